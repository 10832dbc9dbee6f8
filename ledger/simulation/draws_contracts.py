"""Contracts: signed, amended, ended (rules P5, D7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import (
    CommitmentEnding,
    CommitmentTerms,
    Committed,
    ContractRollover,
    GrantKind,
    Invoice,
    OldGrants,
    Segment,
)
from ledger.core.limits import DAY_US, HOUR_US, SECOND_US
from ledger.simulation.draws import At, Draw, Drawn, Made, Ref, again_of
from ledger.simulation.draws_accounts import OVERRIDES
from ledger.simulation.plans import DEAL, PLANS
from ledger.simulation.scenario import Operation
from rating.overrides import Override

CONTRACTED_WORLDS: Final = 48
CONTRACTED_WORLD: Final = 14
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_Instant = Callable[[int], At | Made]
_NAMES: Final = ("first", "second", "third", "fourth")
_LONG: Final = (DAY_US, 36 * HOUR_US, 7 * DAY_US, 7 * DAY_US, 14 * DAY_US, 30 * DAY_US)
_ENDS: Final = (2 * DAY_US, 3 * DAY_US, 7 * DAY_US, 9 * DAY_US)
_SHORT: Final = (SECOND_US, 3 * SECOND_US, 8 * SECOND_US)
_ROLLOVERS: Final = (
    ContractRollover(1, 1),
    ContractRollover(1, 2),
    ContractRollover(2, 3, 17),
    ContractRollover(1, 2, 400),
)


def draw_sign(draw: Draw) -> Drawn:
    """A contract that has begun, begins now or later; long ones are renewed for the most part."""
    again = again_of(draw, "sign", 8, {"ends_at": At(30 * DAY_US)})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account() if draw.chance(25) else (draw.home, "acme")
    package = random.choice((DEAL, DEAL, DEAL, *PLANS[:2], "team"))
    renews = draw.chance(60)
    lasts = random.choice(_LONG if renews or draw.chance(50) else _SHORT)
    at: _Instant = At
    starts_us: int | None = None
    if lasts >= DAY_US and draw.chance(40):  # from day to day: one ends as another one begins
        at, lasts = _midnight, random.choice((DAY_US, 2 * DAY_US, 7 * DAY_US))
        starts_us = random.choice((None, DAY_US, 2 * DAY_US, 3 * DAY_US, 8 * DAY_US))
        lasts += 0 if starts_us else DAY_US
        if package == "team" and starts_us:
            lasts = 30 * DAY_US  # from September to October
    elif draw.chance(45):
        late = (0, 0, -2 * HOUR_US, -DAY_US) if lasts > DAY_US else (0, 0)
        starts_us = random.choice((*late, SECOND_US, DAY_US, 8 * DAY_US))
    fields: dict[str, Any] = {
        "contract": random.choice(_NAMES),
        "package": package if draw.chance(97) else "nothing",
        "version": 5 + (*PLANS, DEAL).index(package) if draw.chance(30) else 0,
        "starts_at": 0 if starts_us is None else at(starts_us),
        "ends_at": at((starts_us or 0) + lasts),
        "auto_renew": int(renews),
        "committed": _committed(draw, tenant, at, starts_us, lasts),
        "overrides": _overrides(draw) if draw.chance(40) else (),
        "rollover": random.choice(_ROLLOVERS) if draw.chance(70) else None,
    }
    return Drawn(tenant, account, fields)


def _midnight(offset_us: int) -> Made:
    """The midnight before the instant so long from now."""
    return Made(lambda at: at - at % DAY_US, (At(offset_us),))


def _offset(at: At | Made | int) -> int:
    """How long from now it is, about."""
    if isinstance(at, Made):
        at = at.parts[0]
    return at.offset_us if isinstance(at, At) else 0


def _overrides(draw: Draw) -> tuple[Override, ...]:
    return tuple(draw.random.sample(OVERRIDES, draw.random.choice((0, 1, 2, 3))))


def _committed(
    draw: Draw, tenant: int, at: _Instant, starts_us: int | None, lasts: int
) -> tuple[Made, ...]:
    """None to two commitments of a time: of one segment or two, to its end for the most part."""
    count = draw.random.choice((0, 1, 2))
    return tuple([_commitment(draw, tenant, at, starts_us, lasts) for _ in range(count)])


def _commitment(draw: Draw, tenant: int, at: _Instant, starts_us: int | None, lasts: int) -> Made:
    random = draw.random
    start = starts_us or 0
    ends = [lasts, *([lasts // 2] if draw.chance(40) else [])]
    if draw.chance(15):
        ends = [lasts * 3 // 4]
    segments: list[Made] = []
    since: At | Made | int = 0 if starts_us is None else at(starts_us)
    for end in sorted(ends):
        until = at(start + end) if end == lasts else At(start + end)
        amount, price = random.choice((30, 400, 900)), random.choice((1, 70, 5_000))
        segments.append(Made(Segment, (since, until, amount, price)))
        since = until
    bills = sorted(
        random.choice((SECOND_US, lasts // 2, lasts)) for _ in range(random.choice((0, 0, 2)))
    )
    invoices = tuple([Made(Invoice, (At(start + each), random.choice((1, 40)))) for each in bills])
    terms = CommitmentTerms(
        random.choice((GrantKind.POSTPAID, GrantKind.PREPAID)),
        asset_number(tenant, 1 if draw.chance(85) else 2),
        asset_number(tenant, 2),
        random.choice((-1, 0)),
        (draw.product(),) if draw.chance(10) else (),
        (),
        (),
        draw.chance(40),
    )
    return Made(Committed, (terms, tuple(segments), invoices))


def draw_amend_contract(draw: Draw) -> Drawn | None:
    """Another end, version, renewal or rollover, or more commitments."""
    again = again_of(draw, "amend_contract", 8, {"expected_version": 9})
    signed = _of(draw)
    if again is not None or signed is None:
        return again
    random = draw.random
    long = _lasts(signed) >= DAY_US  # what is renewed every second is a world of that alone
    what = random.choice(
        ("ends_at", "auto_renew", "committed", "rollover", "version", "overrides", "overrides")
    )
    said: dict[str, Any] = {
        "ends_at": At(random.choice(_ENDS if long else (2 * SECOND_US, HOUR_US))),
        "auto_renew": random.choice((1, 1, 2)) if long else 2,
        "committed": _committed(draw, signed.tenant, At, None, random.choice(_LONG)),
        "rollover": random.choice((*_ROLLOVERS, ContractRollover(0, 1))),
        "overrides": _overrides(draw),
        "version": random.choice((5 + (*PLANS, DEAL).index(_package(signed)), 9, 10, 11, 12)),
    }
    fields: dict[str, Any] = {
        "contract": signed.fields["contract"],
        "version": 0,
        "ends_at": 0,
        "auto_renew": 0,
        "committed": (),
        "rollover": None,
        "overrides": None,
        "effective_at": At(random.choice((0, -SECOND_US, SECOND_US, DAY_US)))
        if draw.chance(30)
        else 0,
        "expected_version": random.randrange(1, 4) if draw.chance(12) else 0,
    }
    return Drawn(signed.tenant, signed.account, {**fields, what: said[what]})


def _lasts(signed: Operation) -> int:
    return _offset(signed.fields["ends_at"]) - _offset(signed.fields["starts_at"])


def _package(signed: Operation) -> str:
    package: str = signed.fields["package"]
    return package if package in (*PLANS, DEAL) else DEAL


def draw_end_contract(draw: Draw) -> Drawn | None:
    """Before its time: trued up, waived, or moved to a commitment of the family."""
    again = again_of(draw, "end_contract", 8, {"old_grants": OldGrants.FORFEIT_UNUSED})
    signed = _of(draw)
    if again is not None or signed is None:
        return again
    ending = draw.random.choice((*CommitmentEnding, CommitmentEnding.TRUE_UP))
    to = draw.earlier("commit") if ending == CommitmentEnding.TRANSFER else None
    if to is None and ending == CommitmentEnding.TRANSFER:
        ending = CommitmentEnding.WAIVE
    fields = {
        "contract": signed.fields["contract"],
        "ending": ending,
        "old_grants": draw.random.choice(tuple(OldGrants)),
        "target": Ref(to.number) if to is not None else 0,
        "target_account": to.account if to is not None else "",
        "expected_version": draw.random.randrange(1, 4) if draw.chance(8) else 0,
    }
    return Drawn(signed.tenant, signed.account, fields)


def _of(draw: Draw) -> Operation | None:
    """One of the last that were to be signed."""
    return draw.earlier("sign")
