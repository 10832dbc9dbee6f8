"""Fixed charges: each period once, by quantity and time, earned exactly over it (T1, S1, B4).

What a period costs is worked out here once more, instant by instant, from the terms alone.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Final

from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.events import (
    BookKind,
    ChargeBilling,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    ChargeTerms,
    Deferral,
    Event,
    FeeCharged,
    FeeRecognised,
    Pot,
    Proration,
    Timing,
)
from ledger.core.state import State
from ledger.verify.rules.budgets import OF_PACKAGES
from ledger.verify.rules.corrections import look_at_given_back
from ledger.verify.rules.judge import Judge, look_at_kind
from ledger.verify.rules.usage import look_at_slices, over_limit_of

_TO_THE_END: Final = (Proration.NONE, Proration.FIRST)


def goes_on_charging(judge: Judge, state: State, event: Event) -> None:
    """What a package starts, changes and ends stands before the entry by which it comes, changes or
    goes, with nothing between them that was asked for by itself (rule P1)."""
    if isinstance(event, OF_PACKAGES):
        what = "entry of the package whose charges stand before it"
        judge.equal(state, what, judge.charging, event.account)
        judge.charging = 0
    elif getattr(event, "key", b"") or isinstance(event, ChargePeriodBegun):
        what = "entry of the package whose charges stand before it"
        judge.wrong(state, what, "one of a subscription", type(event).__name__)
        judge.charging = 0


def charge_started(judge: Judge, state: State, event: ChargeStarted) -> None:
    judge.equal(state, "number of the charge", state.next_charge, event.charge)
    if event.ends_at and event.ends_at <= event.starts_at:
        judge.wrong(state, "end", f"after {event.starts_at}", event.ends_at)
    if event.quantity < 0:
        judge.wrong(state, "quantity", "0 or more", event.quantity)
    for charge in state.accounts[event.account].charges:
        over = charge.is_over(state.now) if event.key else charge.ends_at <= event.starts_at
        over |= charge.ends_at <= charge.starts_at and not event.key  # for no time at all
        if charge.name == event.name and not over:
            judge.wrong(state, "name", "of no charge that goes on", event.name)
    if not event.key:
        judge.charging = event.account


def charge_period_begun(judge: Judge, state: State, event: ChargePeriodBegun) -> None:
    """It follows the one before, once that is settled and earned, and is due (rule T1)."""
    charge = state.charges[event.charge]
    terms = charge.next_terms or charge.terms
    what = f"period of charge {event.charge}"
    judge.equal(state, "account of the charge", charge.account.number, event.account)
    judge.equal(state, f"number of the {what}", charge.begun + 1, event.number)
    judge.equal(state, f"start of the {what}", charge.next_at, event.start)
    judge.equal(state, f"version of the {what}", charge.version, event.version)
    quantity = charge.next_quantity if charge.next_quantity >= 0 else charge.quantity
    judge.equal(state, f"quantity of the {what}", quantity, event.quantity)
    judge.equal(state, f"{what} before settled and earned", (True, ()), _rest(charge))
    if event.start > state.now or event.start >= charge.ends_at:
        judge.wrong(state, what, f"due at {event.start}", state.now)
    if not terms.every:
        judge.equal(state, f"end of the {what}", event.start + terms.earned_over, event.end)
        return
    if not event.start < event.end <= charge.ends_at:
        judge.wrong(state, f"end of the {what}", charge.ends_at, event.end)
    if not event.charged_from <= event.start < event.end <= event.charged_to:
        judge.wrong(state, f"time charged of the {what}", (event.start, event.end), event.start)
    if not 0 < event.charged_to - event.charged_from <= event.full:
        judge.wrong(state, f"full length of the {what}", "as long as it", event.full)
    if terms.proration == Proration.BOTH or (event.number > 1 and event.end < charge.ends_at):
        charged = (event.charged_from, event.charged_to)
        judge.equal(state, f"time charged of the {what}", (event.start, event.end), charged)


def _rest(charge: FixedCharge) -> tuple[bool, tuple[tuple[int, int], ...]]:
    return charge.settled, charge.unearned


def fee_charged(judge: Judge, state: State, event: FeeCharged) -> None:
    """The whole of a period less what was charged before, drawn like usage or given back."""
    charge = state.charges[event.charge]
    account, terms = charge.account, charge.terms
    judge.equal(state, "account of the charge", account.number, event.account)
    of = (terms.product, terms.asset, charge.begun)
    judge.equal(state, "what the fee is of", of, (event.product, event.asset, event.number))
    judge.equal(state, "fee of the period", _total(state, charge, event), event.total)
    judge.equal(state, "amount of the fee", event.total - charge.charged, event.amount)
    taken = sum([piece.amount for piece in event.slices])
    back = sum([piece.amount for piece in event.given_back]) + event.kept
    judge.equal(state, "sum of slices", max(0, event.amount), taken)
    judge.equal(state, "sum given back", max(0, -event.amount), back)
    judge.equal(state, "over_limit", over_limit_of(event.slices), event.over_limit)
    look_at_slices(judge, state, account, event.slices, event.asset)
    look_at_given_back(judge, state, account, event.asset, event.given_back)
    if terms.cash_only and any(piece.pot != Pot.OVERAGE for piece in event.slices):
        judge.wrong(state, "slices of what is billed in money", "overage", event.slices)
    if event.effective_at > state.now:
        judge.wrong(state, "effective time", f"by {state.now}", event.effective_at)
    if not event.period <= event.effective_at:
        judge.wrong(state, "month", f"that of {event.effective_at}", event.period)
    if event.amount:
        book = state.books.accounts[event.used_book]
        used = (BookKind.USED, event.asset, event.product)
        judge.equal(state, f"book {event.used_book}", used, (book.kind, book.asset, book.name))
    _deferred(judge, state, charge, event)


def _total(state: State, charge: FixedCharge, event: FeeCharged) -> int:
    """What the period costs as things stand after the entry (rule S1)."""
    until, at = charge.charged_to, charge.charged_to
    if event.end < charge.period_end:  # it ends early
        until = at = at if charge.terms.proration in _TO_THE_END else event.end
    elif not event.settled:  # another quantity from now on
        at = state.now
    return _cost(charge, charge.terms, event.quantity, at, until)


def _cost(charge: FixedCharge, terms: ChargeTerms, quantity: int, at: int, until: int) -> int:
    """What the period costs up to an instant by the terms of the charge, and from there on for
    that quantity by these."""
    number = charge.begun
    weighed = charge.weighed
    weighed += charge.counted * _weighed(charge.terms, number, charge.weighed_to, at)
    weighed += quantity * _weighed(terms, number, at, until)
    cost = Fraction(weighed, charge.full)
    discount = terms.discount
    if discount is not None:
        first = discount.from_period or 1
        if number >= first and (not discount.periods or number - first < discount.periods):
            if discount.denominator:
                cost -= cost * Fraction(discount.numerator, discount.denominator)
            else:
                length = until - charge.charged_from
                cost = max(Fraction(0), cost - Fraction(discount.amount * length, charge.full))
    return round(cost)  # half to even


def _weighed(terms: ChargeTerms, number: int, start: int, end: int) -> int:
    """Unit amount x microseconds: what each instant's step adds, up to the next."""
    cuts = [terms.trial_until, *[step.instant for step in terms.ramp]]
    cuts = [start, *sorted([each for each in cuts if start < each < end]), end]
    total = 0
    for at, until in pairwise(cuts):
        free = number <= terms.trial_periods or at < terms.trial_until
        steps = [
            step.unit_amount for step in terms.ramp if step.period <= number and step.instant <= at
        ]
        total += 0 if free else (until - at) * (steps[-1] if steps else terms.unit_amount)
    return total


def _deferred(judge: Judge, state: State, charge: FixedCharge, event: FeeCharged) -> None:
    """In advance, all of its money is ahead; what goes back was not earned, if any was not."""
    books = state.books.accounts
    charged: dict[int, int] = {}
    back: dict[int, int] = {}
    for piece in event.slices:
        pays = books[piece.book].value_book
        if piece.value and pays is not None:
            charged[pays.asset] = charged.get(pays.asset, 0) + piece.value
    for each in event.given_back:
        if each.value and each.money_book:
            asset = books[each.money_book].asset
            back[asset] = back.get(asset, 0) + each.value
    stands = dict(charge.unearned)
    moved = {part.asset: part for part in event.deferrals}
    ahead = charge.terms.billing == ChargeBilling.ADVANCE and event.effective_at < event.end
    for asset in sorted({*stands, *moved, *charged, *back}):
        part = moved.get(asset, Deferral(asset, 0, 0, 0))
        before = stands.get(asset, 0)
        if ahead:
            earned = _share_earned(charge, before, event.effective_at)
            deferred = charged.get(asset, 0) - min(before - earned, back.get(asset, 0))
        else:
            deferred = -min(before, back.get(asset, 0))
            earned = before + deferred
        found = (part.earned, part.deferred)
        judge.equal(state, f"earned and deferred of asset {asset}", (earned, deferred), found)
    _between(judge, state, charge, event.deferrals)


def _share_earned(charge: FixedCharge, unearned: int, at: int) -> int:
    """What of money is earned by then, by what the time costs (rule B4)."""
    if at >= charge.earns_until:
        return unearned
    since, until = charge.earned_to, charge.earns_until
    terms, number = charge.terms, charge.begun
    whole = _weighed(terms, number, since, until)
    part = _weighed(terms, number, since, at)
    share = Fraction(part, whole) if whole else Fraction(at - since, until - since)
    return int(unearned * share)


def _between(
    judge: Judge, state: State, charge: FixedCharge, deferrals: tuple[Deferral, ...]
) -> None:
    """From and to the books of its product."""
    for part in deferrals:
        look_at_kind(judge, state, part.revenue_book, BookKind.REVENUE, part.asset)
        look_at_kind(judge, state, part.unearned_book, BookKind.UNEARNED, part.asset)
        for number in (part.revenue_book, part.unearned_book):
            name = state.books.accounts[number].name
            judge.equal(state, f"product of book {number}", charge.terms.product, name)


def fee_recognised(judge: Judge, state: State, event: FeeRecognised) -> None:
    """Not before its time, in proportion to it; the last takes the rest."""
    charge = state.charges[event.charge]
    of = (charge.account.number, charge.terms.product)
    judge.equal(state, "whose fee is earned", of, (event.account, event.product))
    if not charge.earned_to <= event.earned_to <= state.now:
        limits = f"{charge.earned_to} to {state.now}"
        judge.wrong(state, "earned by", limits, event.earned_to)
    whole = event.earns_at <= event.earned_to  # it ends, or is earned whole
    for asset, unearned in charge.unearned:
        earned = sum([part.earned for part in event.deferrals if part.asset == asset])
        due = unearned if whole else _share_earned(charge, unearned, event.earned_to)
        judge.equal(state, f"earned of asset {asset}", due, earned)
    if any(part.deferred for part in event.deferrals):
        judge.wrong(state, "deferred", 0, event.deferrals)
    if not {part.asset for part in event.deferrals} <= dict(charge.unearned).keys():
        judge.wrong(state, "earned", "what is unearned", event.deferrals)
    _between(judge, state, charge, event.deferrals)


def charge_changed(judge: Judge, state: State, event: ChargeChanged) -> None:
    charge = _running(judge, state, event.charge, event.account)
    judge.equal(state, "version of the charge", charge.version + 1, event.version)
    terms = charge.terms
    if event.terms is not None:
        judge.equal(state, "timing of new terms", Timing.NEXT_PERIOD, event.timing)
        kept = (terms.asset, terms.every > 0)
        judge.equal(state, "asset and kind", kept, (event.terms.asset, event.terms.every > 0))
    elif event.quantity < 0:
        judge.wrong(state, "quantity", "0 or more", event.quantity)
    counts = event.terms is None and event.timing == Timing.NOW and charge.runs(state.now)
    counts = counts and (terms.prorate_changes or terms.billing == ChargeBilling.ARREARS)
    judge.equal(state, "whether the period counts it", counts, bool(event.weighed))
    if event.weighed:
        weighed = (0, charge.charged_from)
        if terms.prorate_changes:
            more = _weighed(terms, charge.begun, charge.weighed_to, state.now)
            weighed = (charge.weighed + charge.counted * more, state.now)
        judge.equal(state, "weight", weighed, (int(event.weighed), event.weighed_to))


_REPRICED: Final = ("unit_amount", "trial_periods", "ramp")


def charge_repriced(judge: Judge, state: State, event: ChargeRepriced) -> None:
    """Of a package's charge, within a period that it counts in: other amounts, else the same."""
    charge = _running(judge, state, event.charge, event.account)
    terms = charge.terms
    judge.charging = event.account
    judge.equal(state, "charge that a package changes", True, charge.packaged)
    judge.equal(state, "version of the charge", charge.version + 1, event.version)
    if event.quantity < 0:
        judge.wrong(state, "quantity", "0 or more", event.quantity)
    for field in ChargeTerms.__struct_fields__:
        if field not in _REPRICED:
            kept, found = getattr(terms, field), getattr(event.terms, field)
            judge.equal(state, f"{field} within a period", kept, found)
    judge.equal(state, "whether the period counts it", charge.runs(state.now), bool(event.weighed))
    amount = 0
    if event.weighed:
        more = _weighed(terms, charge.begun, charge.weighed_to, state.now)
        weighed = (charge.weighed + charge.counted * more, state.now)
        judge.equal(state, "weight", weighed, (int(event.weighed), event.weighed_to))
        if terms.billing == ChargeBilling.ADVANCE:
            total = _cost(charge, event.terms, event.quantity, state.now, charge.charged_to)
            amount = total - charge.charged
    judge.equal(state, "amount of the change", amount, event.amount)


def charge_ended(judge: Judge, state: State, event: ChargeEnded) -> None:
    """Nothing is left to be charged or earned where it ends now."""
    if event.key:
        charge = _running(judge, state, event.charge, event.account)
        first = state.now
    else:
        charge = state.charges[event.charge]
        judge.charging = event.account
        judge.equal(
            state, f"account of charge {event.charge}", charge.account.number, event.account
        )
        judge.equal(state, "charge that ends with a package", True, charge.packaged)
        first = charge.period_start if event.timing == Timing.NOW else charge.period_end
    if not first <= event.ends_at <= charge.ends_at:
        lasts = f"{first} to {charge.ends_at}"
        judge.wrong(state, f"end of charge {event.charge}", lasts, event.ends_at)
    if event.timing == Timing.NOW:
        judge.equal(state, "what is left of the charge", (True, ()), _rest(charge))


def _running(judge: Judge, state: State, number: int, account: int) -> FixedCharge:
    charge = state.charges[number]
    judge.equal(state, f"account of charge {number}", charge.account.number, account)
    if charge.ends_at <= state.now:
        judge.wrong(state, f"charge {number}", "not ended", f"ended at {charge.ends_at}")
    return charge
