"""What clients ask for: one entry a command of the core, with its weight and how it is drawn.

A command without an entry fails a test. To add one: write a function that draws its fields (named
as the command names them) and put it into ENTRIES. `At` stands for an instant that is fixed when
the operation is first sent, `Ref` for the hold or grant that an earlier operation got.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple

from ledger.core.catalog import asset_number
from ledger.core.commands import (
    AbandonRequest,
    AddSegment,
    AdjustBalance,
    AmendUsage,
    ApplyConfiguration,
    AuthorizeHold,
    BillAccount,
    CaptureHold,
    ChangeRecurring,
    ChargeBack,
    CloseAccount,
    ConfirmPayment,
    ConfirmTopUp,
    CreateAccount,
    CreateCommitment,
    DeclineTopUp,
    EndCommitment,
    EndRecurring,
    ExtendHold,
    FailPayment,
    FreezeAccount,
    IssueCreditNote,
    IssueGrant,
    LinkedUsage,
    PauseRecurring,
    RecordPayment,
    RecordUsage,
    RefundGrant,
    ReleaseHold,
    RemoveTopUpRule,
    ReopenAccount,
    ResumeRecurring,
    ReverseUsage,
    SetTopUpRule,
    StartRecurring,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
    VoidGrant,
    WriteOffReceivable,
)
from ledger.core.events import AccountPolicy, Comparator, Excess, GrantKind, Overage
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from ledger.simulation.months import ZONES
from ledger.simulation.prices import CARDS, PRODUCTS, VARIANTS
from ledger.simulation.scenario import Operation

TENANTS: Final = (1, 2)
ROOTS: Final = {1: ("acme", "bolt"), 2: ("acme",)}
CHILDREN: Final = {1: ("acme/x", "bolt/x"), 2: ("acme/x",)}
LATER: Final = {1: ("cargo", "acme/y", "acme/x/z"), 2: ("dune",)}
"""Accounts that stand from the beginning, and those that operations may create."""

PARENTS: Final = {"acme/x": "acme", "bolt/x": "bolt", "acme/y": "acme", "acme/x/z": "acme/x"}
LIFETIMES: Final = (0, SECOND_US // 4, SECOND_US, SECOND_US, 2 * SECOND_US, MINUTE_US, HOUR_US)
SIZES: Final = (1, 2, 3, 7, 40, 100)


@dataclass(frozen=True)
class At:
    """So long after the moment in which the operation is first sent."""

    offset_us: int


@dataclass(frozen=True)
class Ref:
    """The number of the hold or grant that an earlier operation got."""

    operation: int


class Drawn(NamedTuple):
    """What a draw function makes."""

    tenant: int
    account: str
    fields: dict[str, Any]
    same_as: int = -1
    identity: int = -1


class Draw:
    """Chance, and the operations so far."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.later = Random()  # of what was added since: seeds that are known stay as they are
        self.later.setstate(random.getstate())
        self.operations: list[Operation] = []
        self.focus = random.randrange(100) < 60  # whether nearly all happens on one account
        self.scarce = random.randrange(100) < 40  # whether grants are small, so that debt is made

    def chance(self, percent: int) -> bool:
        """True so often in a hundred."""
        return self.random.randrange(100) < percent

    def account(self) -> tuple[int, str]:
        """A tenant and one of its accounts; seldom one that may not exist."""
        if self.focus and self.chance(70):
            return 1, "acme"
        tenant = 1 if self.chance(80) else 2
        names = ROOTS[tenant] + CHILDREN[tenant]
        return tenant, self.random.choice(names + LATER[tenant] if self.chance(15) else names)

    def earlier(self, *kinds: str) -> Operation | None:
        """One of the last operations of these kinds."""
        found = [each for each in self.operations if each.kind in kinds and each.same_as < 0]
        return self.random.choice(found[-6:]) if found else None

    def quantities(self, product: str) -> tuple[int, ...]:
        """Quantities of a product's events; seldom some that contradict each other."""
        if product == "gpt":
            whole = self.random.choice(SIZES)
            part = self.random.randrange(whole + 1)
            return (part, whole) if self.chance(95) else (whole + 1, whole)
        return (self.random.choice(SIZES),) if self.chance(97) else (0,)

    def product(self) -> str:
        """One of the products, chat above all."""
        return "chat" if self.chance(55) else self.random.choice(sorted(PRODUCTS))

    def asset(self, tenant: int) -> int:
        """The number of one of the tenant's assets, credits above all."""
        return asset_number(tenant, 1 if self.chance(80) else 2)


def _again(draw: Draw, kind: str, percent: int, change: dict[str, Any]) -> Drawn | None:
    """An earlier operation's identity, with the same body or, at times, with another one."""
    if not draw.chance(percent):
        return None
    first = draw.earlier(kind)
    if first is None:
        return None
    other = change if draw.chance(35) else {}
    return Drawn(first.tenant, first.account, other, first.number)


def draw_usage(draw: Draw) -> Drawn:
    """A batch of events of one tenant: most of one account; retries, conflicts, late, future."""
    tenant, account = draw.account()
    events = []
    for _ in range(draw.random.choice((1, 1, 2, 3, 8))):
        if draw.chance(30):
            other_tenant, other = draw.account()
            account = other if other_tenant == tenant else account
        product = draw.product()
        events.append(
            {
                "account": account,
                "product": product,
                "quantities": draw.quantities(product),
                "effective_at": _effective(draw),
                "same_as": _earlier_event(draw, tenant),
            }
        )
    return Drawn(tenant, account, {"events": events})


def _effective(draw: Draw) -> At | int:
    kind = draw.random.randrange(20)
    if kind < 10:
        return 0
    if kind < 15:
        return At(-draw.random.randrange(5 * MINUTE_US))
    if kind < 17:
        return At(-draw.random.randrange(40) * DAY_US)
    if kind < 18:
        return At(draw.random.randrange(4 * MINUTE_US))
    return At(draw.random.choice((4, 6, 60)) * MINUTE_US) if kind < 19 else At(-35 * DAY_US)


def _earlier_event(draw: Draw, tenant: int) -> tuple[int, int, bool] | None:
    """(operation, place, whether the body differs) of an event whose identity comes again."""
    if not draw.chance(15):
        return None
    first = draw.earlier("usage")
    if first is None or first.tenant != tenant:
        return None
    return first.number, draw.random.randrange(len(first.fields["events"])), draw.chance(30)


def draw_authorize(draw: Draw) -> Drawn:
    """A hold; a lifetime that ends soon, for most; seldom under an id that was given up."""
    again = _again(draw, "authorize", 12, {"quantities": (5,), "product": "chat"})
    if again is not None:
        return again
    given_up = draw.earlier("abandon") if draw.chance(15) else None
    tenant, account = draw.account()
    if given_up is not None:
        tenant, account = given_up.tenant, given_up.account
    product = draw.product()
    lifetime = draw.random.choice(LIFETIMES)
    fields = {"product": product, "quantities": draw.quantities(product), "lifetime": lifetime}
    identity = given_up.fields["of"] if given_up is not None else -1
    return Drawn(tenant, account, fields, identity=identity)


def draw_capture(draw: Draw) -> Drawn | None:
    """Settle an earlier hold: less, as much, or more than it reserved."""
    again = _again(draw, "capture", 12, {"quantities": (9,)})
    if again is not None:
        return again
    hold = draw.earlier("authorize")
    if hold is None:
        return None
    product = hold.fields["product"]
    fields = {
        "hold": Ref(hold.number),
        "quantity_names": PRODUCTS[product],
        "quantities": draw.quantities(product),
        "effective_at": At(-draw.random.randrange(MINUTE_US)) if draw.chance(30) else 0,
    }
    return Drawn(hold.tenant, hold.account, fields)


def draw_release(draw: Draw) -> Drawn | None:
    """Give an earlier hold back."""
    again = _again(draw, "release", 12, {})
    hold = draw.earlier("authorize")
    if again is not None or hold is None:
        return again
    return Drawn(hold.tenant, hold.account, {"hold": Ref(hold.number)})


def draw_create(draw: Draw) -> Drawn:
    """An account that operations may create, or one that stands."""
    again = _again(draw, "create", 10, {"policy": AccountPolicy(excess=Excess.ABSORB)})
    if again is not None:
        return again
    tenant = 1 if draw.chance(80) else 2
    account = draw.random.choice(LATER[tenant])
    fields = {"parent": PARENTS.get(account, ""), "policy": draw_policy_value(draw, tenant)}
    return Drawn(tenant, account, fields)


def draw_policy_value(draw: Draw, tenant: int) -> AccountPolicy:
    """A policy in which each kind of debt is at times there and scarce."""
    random = draw.random
    return AccountPolicy(
        rate_card="dollars" if draw.chance(10) else "",
        overdraft_asset=asset_number(tenant, 1) if draw.chance(50) else asset_number(tenant, 2),
        overdraft_limit=random.choice((0, 0, 5, 60, 10_000)),
        overage=random.choice((Overage.OFF, Overage.OFF, Overage.SELF, Overage.PARENT)),
        overage_cap=random.choice((-1, 0, 30, 500)),
        excess=random.choice((Excess.OWE, Excess.BILL, Excess.ABSORB)),
        holds_open_max=random.choice((10_000, 10_000, 2)),
        comparator=random.choice((*[Comparator.INHERITED] * 4, *Comparator)),
        zone=draw.later.choice(ZONES),
        period_grace=draw.later.choice((DAY_US, DAY_US, 0, 2 * SECOND_US, 25 * DAY_US)),
    )


def draw_policy(draw: Draw) -> Drawn:
    """Another policy, at times only if the version is the expected one."""
    again = _again(draw, "policy", 10, {"expected_version": 7})
    if again is not None:
        return again
    tenant, account = draw.account()
    version = draw.random.randrange(1, 5) if draw.chance(30) else 0
    policy = draw_policy_value(draw, tenant)
    return Drawn(tenant, account, {"policy": policy, "expected_version": version})


def draw_close(draw: Draw) -> Drawn:
    """Close an account; most are not empty."""
    again = _again(draw, "close", 10, {})
    if again is not None:
        return again
    tenant, account = draw.account()
    if draw.chance(60):
        account = draw.random.choice(CHILDREN[tenant] + LATER[tenant])
    return Drawn(tenant, account, {})


def draw_issue(draw: Draw) -> Drawn:
    """A grant: small, large, free, soon over, not yet in force, for some products only."""
    again = _again(draw, "issue", 12, {"amount": 77})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    free = draw.chance(30)
    key = f"key-{random.randrange(4)}" if draw.chance(15) else ""
    fields = {
        "kind": GrantKind.PROMOTIONAL if free else GrantKind.PREPAID,
        "asset": draw.asset(tenant),
        "amount": random.choice((1, 10, 50) if draw.scarce else (1, 10, 50, 300, 5_000)),
        "price_paid": 0 if free or draw.chance(30) else random.choice((1, 7, 100, 9_999)),
        "price_asset": asset_number(tenant, 2),
        "priority": random.randrange(3),
        "effective_at": _grant_effective(draw),
        "expires_at": _grant_expiry(draw),
        "products": (draw.product(),) if draw.chance(20) else (),
        "external_key": key,
    }
    return Drawn(tenant, account, fields)


def _grant_effective(draw: Draw) -> At | int:
    if draw.chance(50):
        return 0
    return At(draw.random.choice((-30 * DAY_US, -HOUR_US, -SECOND_US, 2 * SECOND_US)))


def _grant_expiry(draw: Draw) -> At | int:
    if draw.chance(45):
        return 0
    return At(draw.random.choice((SECOND_US, 3 * SECOND_US, 20 * SECOND_US, HOUR_US, 3 * DAY_US)))


def draw_void(draw: Draw) -> Drawn | None:
    """Take an earlier grant back."""
    again = _again(draw, "void", 12, {})
    grant = draw.earlier("issue")
    if again is not None or grant is None:
        return again
    return Drawn(grant.tenant, grant.account, {"grant": Ref(grant.number)})


def draw_abandon(draw: Draw) -> Drawn | None:
    """Ask what became of an earlier call; at times give it up for ever."""
    if draw.chance(30):  # an id that nobody has sent yet
        return Drawn(*draw.account(), {"of": 1_000 + len(draw.operations), "abandon": True})
    first = draw.earlier(*REQUESTS)
    if first is None:
        return None
    fields = {"of": first.number, "abandon": draw.chance(50)}
    return Drawn(first.tenant, first.account, fields)


def draw_publish(draw: Draw) -> Drawn:
    """Another variant of a rate card."""
    name, asset, scale = draw.random.choice(CARDS)
    fields = {"card": (name, asset, scale), "variant": draw.random.randrange(VARIANTS)}
    return Drawn(1 if draw.chance(80) else 2, "", fields)


def draw_read(draw: Draw) -> Drawn:
    """The whole of an account, not older than all that the client has been shown."""
    return Drawn(*draw.account(), {})


def draw_check(draw: Draw) -> Drawn:
    """Advice at once: whatever it says, it must not change anything."""
    return Drawn(*draw.account(), {"quantities": (draw.random.choice(SIZES),)})


@dataclass(frozen=True)
class Entry:
    """How often a kind of operation comes, how it is drawn, and which command it becomes."""

    weight: int
    draw: Callable[[Draw], Drawn | None]
    command: type | None = None
    generic: bool = True  # whether the server makes the command from the fields by their names


ENTRIES: Final[dict[str, Entry]] = {
    "usage": Entry(40, draw_usage, RecordUsage, generic=False),
    "authorize": Entry(20, draw_authorize, AuthorizeHold),
    "capture": Entry(14, draw_capture, CaptureHold),
    "release": Entry(6, draw_release, ReleaseHold),
    "create": Entry(5, draw_create, CreateAccount, generic=False),
    "policy": Entry(7, draw_policy, UpdatePolicy),
    "close": Entry(4, draw_close, CloseAccount),
    "issue": Entry(18, draw_issue, IssueGrant),
    "void": Entry(5, draw_void, VoidGrant),
    "abandon": Entry(6, draw_abandon, AbandonRequest, generic=False),
    "publish": Entry(2, draw_publish, ApplyConfiguration, generic=False),
    "read": Entry(16, draw_read),
    "check": Entry(3, draw_check),
}
"""Every command of the core but those of NOT_DRAWN, and the reads."""

NOT_DRAWN: Final[frozenset[type]] = frozenset(
    {
        ExtendHold,
        LinkedUsage,
        FreezeAccount,
        UnfreezeAccount,
        ReopenAccount,
        ReverseUsage,
        UpdateProfile,
        StartRecurring,
        ChangeRecurring,
        PauseRecurring,
        ResumeRecurring,
        EndRecurring,
        CreateCommitment,
        AddSegment,
        EndCommitment,
        SetTopUpRule,
        RemoveTopUpRule,
        ConfirmTopUp,
        DeclineTopUp,
        AmendUsage,
        AdjustBalance,
        BillAccount,
        ChargeBack,
        ConfirmPayment,
        FailPayment,
        IssueCreditNote,
        RecordPayment,
        RefundGrant,
        WriteOffReceivable,
    }
)
"""Commands that no world draws: their own properties are in tests/core."""

REQUESTS: Final = tuple(kind for kind, entry in ENTRIES.items() if entry.generic and entry.command)
"""Kinds whose identity is a request id."""


def draw_operations(random: Random, clients: int, span_us: int) -> tuple[Operation, ...]:
    """The operations of a world, spread over about `span_us` by the clients' pauses."""
    draw = Draw(random)
    count = random.choice((8, 20, 40, 70))
    kinds = [kind for kind in ENTRIES if kind in ("usage", "read") or draw.chance(80)]
    weights = [ENTRIES[kind].weight * random.choice((1, 1, 3)) for kind in kinds]
    if draw.chance(30):
        weights[kinds.index("read")] *= 8
    patience = random.choice((75, 30, 10))  # how often a client waits for its answer
    pause_us = 2 * span_us * clients // count
    for number in range(count):
        kind = "issue" if number < 3 else random.choices(kinds, weights)[0]
        drawn = ENTRIES[kind].draw(draw)
        if drawn is None:
            continue
        operation = Operation(
            number,
            random.randrange(clients),
            kind,
            drawn.tenant,
            drawn.account,
            drawn.fields,
            random.randrange(pause_us) if draw.chance(70) else 0,
            draw.chance(patience),
            drawn.same_as,
            drawn.identity,
        )
        draw.operations.append(operation)
    return tuple(draw.operations)
