"""Fixed charges that come and go with a package (rules P1, P3, S1).

A charge that a version says is started with the period that has the version, and costs by the
version of each period. A change within a period charges, or gives back, the difference by the time
that is left; what counts otherwise altogether ends, and is started anew, its discount and its trial
going on. One that somebody has started or changed by hand under the name holds: no version touches
it. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.core.charges.charge_prices import cost, weight
from ledger.core.charges.charge_terms import invalid_quantity, invalid_terms
from ledger.core.charges.charging import bounds_of, owed_until, reprice, seats_of
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.events import (
    ChargeBilling,
    ChargeChanged,
    ChargeEnded,
    ChargeRepriced,
    ChargeStarted,
    ChargeTerms,
    Event,
    Timing,
)
from ledger.core.limits import CHARGES_AN_ACCOUNT_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.packaged import UNITS, Package
from ledger.core.packages.packaged_charges import PackagedCharge, charge_terms, costs
from ledger.core.periods import Cycle
from ledger.core.state import NEVER, Account, State

REPRICED: Final = ("unit_amount", "trial_periods", "ramp")  # what changes within a period


def unfit_charges(
    state: State, account: Account, package: Package, settled_in: int
) -> Refusal | None:
    """Why the account cannot have the charges of a package, in which it settles in that money: the
    first of them, by its place."""
    started = 0
    for place, said in enumerate(package.charges):
        path = f"charges[{place}]"
        standing = _standing(account, said.name, state.now)
        if standing is not None and not standing.packaged:
            continue
        terms = _terms_of(state, account, package, said, 0, standing, state.now)
        refusal = invalid_terms(state, account, terms, settled_in)
        refusal = refusal or invalid_quantity(terms, said.quantity)
        if refusal is not None:
            field = refusal.field.removeprefix("terms.")
            value = said.asset if field == "asset" else refusal.value
            return Refusal(refusal.reason, f"{path}.{field}", value, refusal.message)
        plan = seats_of(account, said.name, state.now)
        if standing is None and plan is not None:
            return Refusal(
                Reason.CHARGE_NAME_TAKEN,
                f"{path}.name",
                said.name,
                f"the fee of the plan of seats {plan.name!r} had this name, and the plan goes on; "
                "end the plan first",
            )
        started += 1  # it may be started anew
        if len(account.charges) + started > CHARGES_AN_ACCOUNT_MAX:
            return Refusal(
                Reason.CHARGES_LIMIT,
                f"{path}.name",
                said.name,
                f"an account has at most {CHARGES_AN_ACCOUNT_MAX} charges, ended ones too",
            )
    return None


def set_charges(
    state: State,
    account: Account,
    package: Package,
    anchor: int,
    start: int,
    end: int,
    out: list[Event],
) -> None:
    """Have the account be charged what the package says from a period's start on, in periods from
    an anchor, and nothing else of one. A period that ends before its time is charged by its time.
    What was charged for periods that are over stays: who signs late is charged anew behind them.
    """
    said = {each.name: each for each in package.charges if costs(each)}
    charged_to: dict[str, int] = {}
    for charge in account.charges:
        goes = charge.name not in said or charge is not _standing(account, charge.name, start)
        if goes and charge.packaged and charge.recurs and charge.ends_at > start:
            charged_to[charge.name] = _end(charge, start, out)
    number = state.next_charge
    for name, each in said.items():
        standing = _standing(account, name, start)
        if standing is not None and not standing.packaged:
            continue
        if each.once and _was_charged(account, name):
            continue
        until = 0 if each.once else _cut(account, package, anchor, start, end)
        since = max(start, charged_to.get(name, start))
        if standing is not None:
            terms = _terms_of(state, account, package, each, anchor, standing, start)
            if _goes_on(state, standing, terms, each.quantity, start, until, out):
                continue
            if standing.recurs:
                since = max(since, _end(standing, start, out))
        terms = _terms_of(state, account, package, each, anchor, None, since)
        out.append(
            ChargeStarted(b"", account.number, number, name, terms, each.quantity, since, until)
        )
        number += 1


def _cut(account: Account, package: Package, anchor: int, start: int, end: int) -> int:
    """The end of a period that ends before its time, as one in which a contract ends; else 0."""
    cycle = Cycle(UNITS[package.unit], package.every, anchor, account.calendar.zone)
    return end if end < cycle.period_of(start)[1] else 0


def end_charges(state: State, account: Account, at: int, out: list[Event]) -> None:
    """The account has no package any more: what it is charged every period goes with it."""
    for charge in account.charges:
        if charge.packaged and charge.recurs and charge.ends_at > at:
            _end(charge, at, out)


class ChargeChange(NamedTuple):
    """What a decision makes of one charge: its terms from now on (None = it ends), how many, and
    what is charged at once (below 0 = given back)."""

    name: str
    terms: ChargeTerms | None
    quantity: int
    charged: int
    asset: int


def charge_changes(
    state: State, account: Account, events: Iterable[Event]
) -> tuple[ChargeChange, ...]:
    """What the events of one decision make of the charges of packages."""
    found: list[ChargeChange] = []
    for event in events:
        if isinstance(event, ChargeStarted):
            terms, charged = event.terms, 0
            if terms.billing == ChargeBilling.ADVANCE:
                charged = _first_fee(account, event)
            found.append(ChargeChange(event.name, terms, event.quantity, charged, terms.asset))
        elif isinstance(event, ChargeRepriced):
            name = state.charges[event.charge].name
            asset = event.terms.asset
            found.append(ChargeChange(name, event.terms, event.quantity, event.amount, asset))
        elif isinstance(event, ChargeEnded):
            charge = state.charges[event.charge]
            found.append(ChargeChange(charge.name, None, 0, event.amount, charge.terms.asset))
    return tuple(found)


def _first_fee(account: Account, event: ChargeStarted) -> int:
    """What is charged ahead for the period in which it starts."""
    terms, start = event.terms, event.starts_at
    zone = terms.zone or account.calendar.zone
    cycle = Cycle(terms.unit, max(1, terms.every), terms.anchor or start, zone)
    _, since, until, full = bounds_of(cycle, terms, 1, start, event.ends_at or NEVER)
    return cost(terms, 1, weight(terms, 1, event.quantity, since, until), until - since, full)


def _standing(account: Account, name: str, at: int) -> FixedCharge | None:
    """The charge of that name that goes on then; of an instant that has passed the last of them."""
    found: FixedCharge | None = None
    for charge in account.charges:
        if charge.name == name and charge.ends_at > at:
            found = charge
    return found


def _was_charged(account: Account, name: str) -> bool:
    """Whether a package has charged it once already: nobody is charged a setup twice."""
    return any(
        charge.name == name and charge.packaged and not charge.recurs for charge in account.charges
    )


def _goes_on(
    state: State,
    charge: FixedCharge,
    terms: ChargeTerms,
    quantity: int,
    start: int,
    until: int,
    out: list[Event],
) -> bool:
    """Have a charge that stands be by these terms from then on, and end where its period is cut;
    False where it cannot."""
    before = charge.terms
    if (terms.asset, terms.every > 0) != (before.asset, charge.recurs):
        return False
    if seats_of(charge.account, charge.name, start) is not None:
        quantity = charge.next_quantity if charge.next_quantity >= 0 else charge.quantity
    coming = (charge.next_terms or before, charge.next_quantity)
    if charge.next_quantity < 0:
        coming = (coming[0], charge.quantity)
    if not charge.begun or start == charge.next_at or not before.prorate_changes:
        if charge.begun and start != charge.next_at and not _same_but(terms, before, REPRICED):
            return False
        _change_next(charge, coming, terms, quantity, out)
        if until and until < charge.ends_at:
            _end(charge, until, out)
        return True
    if (terms, quantity) == (before, charge.quantity) == coming:
        return True
    if start != state.now or not _same_but(terms, before, REPRICED):
        return False
    reprice(state, charge, terms, quantity, out)
    return True


def _change_next(
    charge: FixedCharge,
    coming: tuple[ChargeTerms, int],
    terms: ChargeTerms,
    quantity: int,
    out: list[Event],
) -> None:
    """Append what the next period has otherwise than as things stand."""
    number, version = charge.number, charge.version
    account = charge.account.number
    if terms != coming[0]:
        version += 1
        out.append(ChargeChanged(b"", account, number, Timing.NEXT_PERIOD, version, terms=terms))
    if quantity != coming[1]:
        version += 1
        out.append(ChargeChanged(b"", account, number, Timing.NEXT_PERIOD, version, quantity))


def _same_but(one: ChargeTerms, other: ChargeTerms, fields: tuple[str, ...]) -> bool:
    return all(
        getattr(one, field) == getattr(other, field)
        for field in ChargeTerms.__struct_fields__
        if field not in fields
    )


def _end(charge: FixedCharge, at: int, out: list[Event]) -> int:
    """With the period that is over then, or within one, which is charged by its time. Returns the
    end of what it has charged; what has ended in arrears since then has charged all of it."""
    timing, amount = Timing.NEXT_PERIOD, 0
    if charge.begun and at < charge.period_end:
        if charge.settled and charge.terms.billing == ChargeBilling.ARREARS:
            return charge.ends_at
        timing, amount = Timing.NOW, owed_until(charge, at)
        at = max(at, charge.period_start)
    out.append(ChargeEnded(b"", charge.account.number, charge.number, timing, at, amount))
    return at if at > charge.starts_at else 0


def _terms_of(
    state: State,
    account: Account,
    package: Package,
    said: PackagedCharge,
    anchor: int,
    standing: FixedCharge | None,
    start: int,
) -> ChargeTerms:
    """What a version says of one charge, or how that which stands goes on by it."""
    asset = state.catalog.asset_number(account.tenant, said.asset)
    had = 0 if said.once else _periods_had(account, said.name, standing, start)
    return charge_terms(said, asset, UNITS[package.unit], package.every, anchor, had)


def _periods_had(account: Account, name: str, standing: FixedCharge | None, start: int) -> int:
    """For how many periods packages have charged it before: what one of them ends in the middle and
    another begins is one period."""
    periods, charged_to = 0, 0
    for charge in account.charges:
        if charge.name != name or not charge.packaged or not charge.recurs:
            continue
        periods -= charge.starts_at < charged_to
        if charge is standing:
            return periods
        periods += charge.begun
        charged_to = charge.charged_to if charge.begun else 0
    return periods - (start < charged_to)
