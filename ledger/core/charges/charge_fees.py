"""Fees of fixed charges: who pays, what goes back, and what of the money is earned when (B3, B4).

A fee is drawn like usage, or billed. Charged ahead of its time, its money moves on at once from
revenue to `unearned`, in the same entry, and comes back by and by: at the end of each month of the
account, and of the period, which takes the rest. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.charges.charge_prices import earned_of
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.drawing.drawdown import draw
from ledger.core.drawing.unwinding import Unwinding
from ledger.core.events import (
    BookKind,
    BookOpened,
    ChargeBilling,
    ChargePayer,
    ChargeTerms,
    Deferral,
    EndedGrants,
    Event,
    FeeCharged,
    FeeRecognised,
    GivenBack,
    LimitExceeded,
    Pot,
    Slice,
)
from ledger.core.opening import house_book, money_value, open_revenue, overage_book
from ledger.core.state import Account, State


def fee(
    state: State,
    charge: FixedCharge,
    terms: ChargeTerms,
    number: int,
    start: int,
    end: int,
    quantity: int,
    total: int,
    amount: int,
    at: int,
    out: list[Event],
    *,
    settled: bool,
) -> None:
    """Append the fee of a period that comes to `total`, `amount` more or less than was charged.

    It is for [start, end). What it is ahead of its time is earned by `end`.
    """
    account, product, asset = charge.account, terms.product, terms.asset
    month = account.calendar.start_of(at)
    used, over_limit, kept = 0, 0, 0
    slices: tuple[Slice, ...] = ()
    given_back: tuple[GivenBack, ...] = ()
    if amount:
        used = house_book(state, account.tenant, BookKind.USED, asset, product, out)
    if amount > 0:
        slices, over_limit = _draw(state, account, terms, amount, at, month, out)
        open_revenue(state, account.tenant, product, slices, out)
    elif amount < 0:
        given_back, kept = _give_back(state, charge, used, -amount, month, out)
    ahead = terms.billing == ChargeBilling.ADVANCE and at < end
    deferrals = _deferrals(state, charge, terms, slices, given_back, at, out, ahead=ahead)
    out.append(
        FeeCharged(
            account.number,
            charge.number,
            product,
            asset,
            number,
            start,
            end,
            quantity,
            total,
            amount,
            used,
            slices,
            given_back,
            at,
            month,
            deferrals,
            at if ahead else end,
            next_earning(account, at, end) if ahead else end,
            end,
            over_limit,
            kept,
            int(settled),
        )
    )
    if over_limit:
        out.append(LimitExceeded(account.number, asset, over_limit, account.policy.excess))


def _draw(
    state: State,
    account: Account,
    terms: ChargeTerms,
    amount: int,
    at: int,
    month: int,
    out: list[Event],
) -> tuple[tuple[Slice, ...], int]:
    """(slices, what of them is over the limits) of a fee: like usage of its time, or billed."""
    payer = account if terms.payer == ChargePayer.ACCOUNT else None
    asset = terms.asset
    if terms.cash_only:
        book = overage_book(state, account, asset, out, payer)
        return (Slice(Pot.OVERAGE, book, amount, money_value(state, asset, amount)),), 0
    use = state.catalog.card(account.card_key).use_at(terms.product, at)
    drawn = draw(state, account, asset, use, amount, at, month, out, True, payer=payer)
    return tuple(drawn.slices), drawn.over_limit


def _give_back(
    state: State, charge: FixedCharge, used: int, amount: int, month: int, out: list[Event]
) -> tuple[tuple[GivenBack, ...], int]:
    """What the period's fees drew, the last first (rule D3); and what of it was given back by hand
    before."""
    unwinding = Unwinding(state, charge.terms.product, used, EndedGrants.RESTORE, -1, out)
    left = amount
    for drawn in reversed(charge.drawn):
        take = min(left, drawn.piece.amount)
        if take:
            period = drawn.month if drawn.month != month else 0
            unwinding.unwind((drawn.piece,), 0, take, period=period)
            left -= take
    assert left == 0, (charge.number, left)
    return tuple(unwinding.given_back), unwinding.kept


# -- what is earned when ---------------------------------------------------------------------------


def next_earning(account: Account, at: int, end: int) -> int:
    """When what is unearned at `at` is next recognised: at the end of the month, or of its time."""
    return min(account.calendar.end_of(at), end)


def recognised(
    state: State, charge: FixedCharge, at: int, effective_at: int, *, ends: bool = False
) -> FeeRecognised:
    """What the charge has earned by an instant; all of it where it `ends` there."""
    parts = [(asset, money, 0) for asset, money in _earned(charge, at, ends=ends)]
    return FeeRecognised(
        charge.account.number,
        charge.number,
        charge.terms.product,
        _posted(state, charge.account, charge.terms.product, parts, []),
        at,
        at if ends else next_earning(charge.account, at, charge.earns_until),
        effective_at,
    )


def _earned(charge: FixedCharge, at: int, *, ends: bool = False) -> list[tuple[int, int]]:
    """(asset, money) of what is unearned that is earned by an instant, since it was last."""
    until = at if ends else charge.earns_until
    return [
        (asset, earned_of(charge.terms, charge.begun, unearned, charge.earned_to, at, until))
        for asset, unearned in charge.unearned
    ]


def _deferrals(
    state: State,
    charge: FixedCharge,
    terms: ChargeTerms,
    slices: Sequence[Slice],
    given_back: Sequence[GivenBack],
    at: int,
    out: list[Event],
    *,
    ahead: bool,
) -> tuple[Deferral, ...]:
    """What the entry defers of its money where that is `ahead` of its time; what it gives back is
    taken off what was not earned. Where nothing is ahead any more, all that is left is earned."""
    unearned = dict(charge.unearned)
    earned = dict(_earned(charge, at))
    charged: dict[int, int] = {}
    back: dict[int, int] = {}
    for piece in slices:
        if piece.value:
            book = state.books.accounts.get(piece.book)
            # Overage in money that this decision opens has the fee's asset.
            pays = book.value_book if book is not None else None
            asset = pays.asset if pays is not None else terms.asset
            charged[asset] = charged.get(asset, 0) + piece.value
    for each in given_back:
        if each.value and each.money_book:
            asset = _asset_of(state, each.money_book, out)
            back[asset] = back.get(asset, 0) + each.value
    parts: list[tuple[int, int, int]] = []
    for asset in sorted({*unearned, *charged, *back}):
        stands = unearned.get(asset, 0)
        if ahead:
            rest = stands - earned.get(asset, 0)
            deferred = charged.get(asset, 0) - min(rest, back.get(asset, 0))
            parts.append((asset, stands - rest, deferred))
        else:
            taken = min(stands, back.get(asset, 0))
            parts.append((asset, stands - taken, -taken))
    return _posted(state, charge.account, terms.product, parts, out)


def _posted(
    state: State,
    account: Account,
    product: str,
    parts: Sequence[tuple[int, int, int]],
    out: list[Event],
) -> tuple[Deferral, ...]:
    """(asset, earned, deferred) with the books that they move between."""
    posted: list[Deferral] = []
    for asset, earned, deferred in parts:
        if earned or deferred:
            revenue = house_book(state, account.tenant, BookKind.REVENUE, asset, product, out)
            unearned = house_book(state, account.tenant, BookKind.UNEARNED, asset, product, out)
            posted.append(Deferral(asset, revenue, unearned, earned, deferred))
    return tuple(posted)


def _asset_of(state: State, number: int, out: Sequence[Event]) -> int:
    """The asset of a book, one too that this decision opens."""
    book = state.books.accounts.get(number)
    if book is not None:
        return book.asset
    return next(each.asset for each in out if isinstance(each, BookOpened) and each.book == number)
