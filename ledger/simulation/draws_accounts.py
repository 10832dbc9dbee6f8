"""Accounts: opened, given policies and profiles, frozen, closed, reopened; and questions."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from ledger.core.catalog import asset_number
from ledger.core.events import AccountPolicy, Comparator, Excess, Overage, OverdraftKind
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.simulation.draws import CHILDREN, LATER, PARENTS, SANDBOX, SIZES, Draw, Drawn, again_of
from ledger.simulation.months import ZONES
from ledger.simulation.plans import VARIANTS as PLAN_VARIANTS
from ledger.simulation.prices import CARDS, CREDITS, VARIANTS
from rating.overrides import Multiplier, Override, Overwrite


def draw_create(draw: Draw) -> Drawn:
    """An account that operations may create, or one that stands."""
    again = again_of(draw, "create", 10, {"policy": AccountPolicy(excess=Excess.ABSORB)})
    if again is not None:
        return again
    tenant = 1 if draw.chance(80) else 2
    account = draw.random.choice(LATER[tenant])
    fields = {"parent": PARENTS.get(account, ""), "policy": draw_policy_value(draw, tenant)}
    return Drawn(tenant, account, fields)


def draw_policy_value(draw: Draw, tenant: int) -> AccountPolicy:
    """A policy in which each kind of debt is at times there and scarce."""
    random = draw.random
    policy = AccountPolicy(
        rate_card="dollars" if draw.chance(10) else "",
        overdraft_asset=asset_number(tenant, 1) if draw.chance(50) else asset_number(tenant, 2),
        overdraft_limit=random.choice((0, 0, 5, 60, 10_000)),
        overage=random.choice((Overage.OFF, Overage.OFF, Overage.SELF, Overage.PARENT)),
        overage_cap=random.choice((-1, 0, 30, 500)),
        excess=random.choice((Excess.OWE, Excess.BILL, Excess.ABSORB)),
        holds_open_max=random.choice((10_000, 10_000, 2)),
        comparator=random.choice((*[Comparator.INHERITED] * 4, *Comparator)),
        zone=random.choice(ZONES),
        period_grace=random.choice((DAY_US, DAY_US, 0, 2 * SECOND_US, HOUR_US, 25 * DAY_US)),
    )
    return _whole_policy(draw, tenant, policy) if draw.whole else policy


def _whole_policy(draw: Draw, tenant: int, policy: AccountPolicy) -> AccountPolicy:
    """The same with what it may say beside."""
    random = draw.random
    share = policy.overdraft_asset == asset_number(tenant, 2) and draw.chance(50)
    return replace(
        policy,
        holds_overdraft=draw.chance(80),
        holds_overage=draw.chance(80),
        overdraft_kind=OverdraftKind.PERCENT_OF_LIFETIME if share else OverdraftKind.FIXED,
        overdraft_basis_points=random.choice((100, 3_333, 20_000)) if share else 0,
        overdraft_grace=random.choice((-1, -1, 0, SECOND_US, HOUR_US)),
        promotional_backfills=draw.chance(30),
        freeze_on_chargeback=draw.chance(50),
    )


def draw_policy(draw: Draw) -> Drawn:
    """Another policy, at times only if the version is the expected one."""
    again = again_of(draw, "policy", 10, {"expected_version": 7})
    if again is not None:
        return again
    tenant, account = draw.account()
    version = draw.random.randrange(1, 5) if draw.chance(30) else 0
    policy = draw_policy_value(draw, tenant)
    return Drawn(tenant, account, {"policy": policy, "expected_version": version})


OVERRIDES: Final = (
    Override("chat", "tokens", Overwrite(CREDITS, "3")),
    Override("chat", "tokens", Overwrite(CREDITS, "2/3"), priority=1),
    Override("half", "tokens", Overwrite(CREDITS, "5"), effective_from_us=1),
    Override("*", "*", Multiplier("1/2")),
    Override("gpt", "*", Multiplier("3/2"), priority=2),
    Override("gpt", "input", Multiplier("2/3")),
    Override("mystery", "tokens", Overwrite(CREDITS, "1/2"), effective_from_us=1),
    Override("*", "tokens", Overwrite(CREDITS, "7"), {"region": "eu"}),
    Override("chat", "tokens", Overwrite("USD", "0.05")),
)


def draw_override(draw: Draw) -> Drawn:
    """Another list of price overrides, at times only if the version is the expected one."""
    random = draw.random
    chosen = tuple(random.sample(OVERRIDES, random.choice((0, 1, 1, 2, 3))))
    version = random.randrange(1, 4) if draw.chance(20) else 0
    note = random.choice((b"", b"n" * 16))
    fields = {"overrides": chosen, "expected_version": version, "note": note}
    return Drawn(*draw.account(), fields)


def draw_close(draw: Draw) -> Drawn:
    """Close an account; most are not empty."""
    again = again_of(draw, "close", 10, {})
    if again is not None:
        return again
    tenant, account = draw.account()
    if draw.chance(60):
        account = draw.random.choice(CHILDREN[tenant] + LATER[tenant])
    if not draw.whole or draw.chance(30):
        return Drawn(tenant, account, {})
    fields = {
        "write_off": draw.chance(70),
        "release_holds": draw.chance(70),
        "note": draw.random.choice((b"", b"n" * 16)),
    }
    return Drawn(tenant, account, fields)


def draw_freeze(draw: Draw) -> Drawn:
    """Let an account take nothing new."""
    return again_of(draw, "freeze", 10, {"note": b"m" * 16}) or _standing(draw)


def draw_unfreeze(draw: Draw) -> Drawn:
    """Let it take usage again: often one that was frozen."""
    return again_of(draw, "unfreeze", 10, {"note": b"m" * 16}) or _standing(draw, "freeze")


def draw_reopen(draw: Draw) -> Drawn:
    """Open an account again that was closed, at times."""
    return again_of(draw, "reopen", 10, {"note": b"m" * 16}) or _standing(draw, "close")


def _standing(draw: Draw, *undone: str) -> Drawn:
    first = draw.earlier(*undone) if undone and draw.chance(70) else None
    place = draw.account() if first is None else (first.tenant, first.account)
    return Drawn(*place, {"note": b""})


def draw_profile(draw: Draw) -> Drawn:
    """Another display name, by its digest."""
    again = again_of(draw, "profile", 10, {"profile": b"q" * 16})
    if again is not None:
        return again
    version = draw.random.randrange(1, 4) if draw.chance(30) else 0
    return Drawn(*draw.account(), {"profile": b"p" * 16, "expected_version": version})


def draw_abandon(draw: Draw) -> Drawn | None:
    """Ask what became of an earlier call; at times give it up for ever."""
    if draw.chance(30):  # an id that nobody has sent yet
        return Drawn(*draw.account(), {"of": 1_000 + len(draw.operations), "abandon": True})
    first = draw.earlier(*draw.requests)
    if first is None:
        return None
    fields = {"of": first.number, "abandon": draw.chance(50)}
    return Drawn(first.tenant, first.account, fields)


def draw_publish(draw: Draw) -> Drawn:
    """Another variant of a rate card, or of a package."""
    if draw.plans and draw.chance(85):
        drawn = (draw.random.choice(draw.plans), draw.random.randrange(PLAN_VARIANTS))
        return Drawn(draw.home, "", {"plan": drawn})
    name, asset, scale = draw.random.choice(CARDS)
    fields = {"card": (name, asset, scale), "variant": draw.random.randrange(VARIANTS)}
    return Drawn(1 if draw.chance(80) else 2, "", fields)


def draw_clock(draw: Draw) -> Drawn:
    """Move the sandbox's clock on (rule T4)."""
    if draw.plans:
        by_us = draw.random.choice((HOUR_US, DAY_US, 2 * DAY_US, 3 * DAY_US, 8 * DAY_US))
        return Drawn(SANDBOX, "", {"by_us": by_us})
    by_us = draw.random.choice((SECOND_US, HOUR_US, 9 * DAY_US, 9 * DAY_US, 33 * DAY_US))
    return Drawn(SANDBOX, "", {"by_us": by_us})


def draw_read(draw: Draw) -> Drawn:
    """The whole of an account, not older than all that the client has been shown."""
    return Drawn(*draw.account(), {})


def draw_check(draw: Draw) -> Drawn:
    """Advice at once: whatever it says, it must not change anything."""
    return Drawn(*draw.account(), {"quantities": (draw.random.choice(SIZES),)})
