"""Deciding minimums: once a billing period has ended and its grace too, what it lacks (R2, S1, T2).

An account whose policy names its card, or that is the root of its family, pays the card's minimums;
what accounts below it were charged by the card that they inherit counts for it. A period is settled
by one entry a minimum of the card in force at its last instant, inner scopes first, each prorated
to the time in which the account was open and had that minimum. Which periods are next to be settled
is derived from the last that was; nothing here is asked of an account of a tenant without minimums.
Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.contracts.contracts import Contract, begun, has_begun_one
from ledger.core.drawing.drawdown import draw
from ledger.core.events import BookKind, Event, LimitExceeded, MinimumCharged, Pot, Slice
from ledger.core.opening import house_book, money_value, open_revenue, overage_book
from ledger.core.periods import full_period
from ledger.core.shapes import Use
from ledger.core.state import NEVER, Account, State
from rating.compile import CompiledCard
from rating.functions import SCOPE_MINIMUM
from rating.minimums import SCOPE_NUMBERS, in_turn, includes, minimum_key
from rating.models import Minimum, MinimumScope
from rating.rounding import ROUND_HALF_EVEN, rounded
from rating.row_functions import amount_of

PRODUCT: Final = "minimum"
"""What the shortfall of a whole account is drawn as."""


class Stretch(NamedTuple):
    """A part of a period in which an account was open under one version of a card, and had that
    contract, if any, which said that minimum (rule P5; 0 = none of its own)."""

    length: int
    card: CompiledCard | None
    contract: Contract | None = None
    minimum: int = 0


class Asked(NamedTuple):
    """A minimum that a version of a card asks for, in its asset."""

    card: CompiledCard
    asset: int
    minimum: Minimum


class Settlement:
    """A period that is to be settled: its minimums in turn, and what each of them has added."""

    __slots__ = ("account", "added", "end", "full", "minimums", "start", "stretches")

    def __init__(
        self,
        account: Account,
        start: int,
        end: int,
        full: int,
        minimums: list[Asked],
        stretches: list[Stretch],
    ) -> None:
        self.account = account
        self.start = start
        self.end = end
        self.full = full
        self.minimums = minimums
        self.stretches = stretches
        self.added: list[tuple[Asked, int]] = []


def settlement_of(state: State, account: Account) -> tuple[int, Settlement | None]:
    """The end of the account's next period, and how it is to be settled: by the card of its last
    instant, and for a contract that ended within it by the card of then; None where those ask for
    nothing."""
    start, end = state.minimums_period(account)
    assert end + account.policy.period_grace <= state.now, (account.number, end)
    card = _in_force(state, account, end - 1)
    minimums = _asked(state, account, card, _contracts_in(account, start, end))
    names = [card.card.name] if card is not None else []
    for contract in _contracts_in(account, start, end):
        card = _in_force(state, account, min(contract.until, end) - 1)
        if card is not None and card.card.name not in names:
            names.append(card.card.name)
            minimums += [
                each
                for each in _asked(state, account, card, [contract])
                if each.minimum.scope is MinimumScope.CONTRACT
            ]
    if not minimums:
        return end, None
    full_start, full_end = full_period(start, account.anchors, account.calendar)
    stretches = _stretches(state, account, start, end)
    return end, Settlement(account, start, end, full_end - full_start, minimums, stretches)


def _contracts_in(account: Account, start: int, end: int) -> list[Contract]:
    """The contracts that it had in a period."""
    return [
        each
        for each in account.contracts
        if begun(each) and each.starts_at < end and start < each.until
    ]


def _asked(
    state: State, account: Account, card: CompiledCard | None, contracts: list[Contract]
) -> list[Asked]:
    """What a version of a card asks for in turn; for contracts only where there are any."""
    if card is None or not card.card.minimums:
        return []
    asset = state.catalog.asset_of(account.tenant, card.asset)
    assert asset is not None, card.asset
    return [
        Asked(card, asset.number, each)
        for each in in_turn(card.card.minimums)
        if contracts or each.scope is not MinimumScope.CONTRACT
    ]


def post_minimum(state: State, settlement: Settlement, place: int, out: list[Event]) -> None:
    """Append the entry of one of its minimums, upon what those before it have left in the pots."""
    account, start, end = settlement.account, settlement.start, settlement.end
    asked = settlement.minimums[place]
    card, asset, minimum = asked
    parts = _parts(minimum, card, settlement.stretches)
    full = max(settlement.full, sum([length for _, length in parts]))
    least = rounded(sum([most * us for most, us in parts]), full, ROUND_HALF_EVEN)
    of_contract = minimum.scope is MinimumScope.CONTRACT
    charged = _charged(account, minimum_key(card.card.name, minimum), start, of_contract)
    charged += sum(
        [
            more
            for inner, more in settlement.added
            if inner.card.card.name == card.card.name and includes(minimum, inner.minimum)
        ]
    )
    short = max(0, least - charged)
    settlement.added.append((asked, short))
    slices, used, over_limit, period = _draw(
        state, account, card, minimum, asset, short, end - 1, out
    )
    out.append(
        MinimumCharged(
            account.number,
            card.card.name,
            card.version,
            SCOPE_NUMBERS[minimum.scope],
            minimum.product,
            minimum.quantity,
            asset,
            start,
            end,
            full,
            parts,
            least,
            charged,
            used,
            slices,
            end - 1,
            period,
            over_limit,
            int(minimum.cash_only),
            int(place == len(settlement.minimums) - 1),
        )
    )
    if over_limit:
        excess = account.policy.excess
        out.append(LimitExceeded(account.number, asset, over_limit, excess))


def _draw(
    state: State,
    account: Account,
    card: CompiledCard,
    minimum: Minimum,
    asset: int,
    short: int,
    at: int,
    out: list[Event],
) -> tuple[tuple[Slice, ...], int, int, int]:
    """(slices, used book, what of it is over the limits, month of overage) of a shortfall, drawn
    like usage of the period's last instant, or billed."""
    period = account.calendar.start_of(at)
    if short == 0:
        return (), 0, 0, period
    product = minimum.product or PRODUCT
    used = house_book(state, account.tenant, BookKind.USED, asset, product, out)
    slices: tuple[Slice, ...]
    if minimum.cash_only:
        book = overage_book(state, account, asset, out)
        slices = (Slice(Pot.OVERAGE, book, short, money_value(state, asset, short)),)
        over_limit = 0
    else:
        declared = card.product(minimum.product) if minimum.product else None
        use = Use(product, (), declared.tags if declared is not None else ())
        drawn = draw(state, account, asset, use, short, at, period, out, True)
        slices, over_limit = tuple(drawn.slices), drawn.over_limit
    open_revenue(state, account.tenant, product, slices, out)
    return slices, used, over_limit, period


def _charged(account: Account, key: int, start: int, of_contract: bool) -> int:
    """What the account, and those below it that inherit its card, were charged for a minimum; of a
    contract's without those that have one of their own (rule D8). What one that names a card by now
    was charged before counts here still, where it is of no period of its own."""
    total = account.scoped.get((key, SCOPE_MINIMUM, start), 0)
    for child in account.children:
        if of_contract and has_begun_one(child):
            continue
        if child.policy.rate_card and (of_contract or child.billing_period_of(start) == start):
            continue
        total += _charged(child, key, start, of_contract)
    return total


# -- when which card was in force ------------------------------------------------------------------


def _in_force(state: State, account: Account, at: int) -> CompiledCard | None:
    """The version in force at an instant of the card that the account had then."""
    name = account.card_key[1]
    for until, before in account.cards_before:
        if at < until:
            name = before
            break
    card = state.catalog.card((account.tenant, name)).target_at(at)
    return card.versions.at(at) if card is not None else None


def _stretches(state: State, account: Account, start: int, end: int) -> list[Stretch]:
    """The parts of a period in which the account was open, each with what was in force."""
    bounds = {start, end, account.created_at}
    closings = (*account.gaps, (account.closed_at or NEVER, NEVER))
    for closed_at, reopened_at in closings:
        bounds |= {closed_at, reopened_at}
    contracts = [each for each in account.contracts if begun(each)]
    for contract in contracts:
        bounds |= {contract.starts_at, contract.until, *[since for since, _ in contract.minimums]}
    names = [account.card_key[1]]
    for until, name in account.cards_before:
        bounds.add(until)
        names.append(name)
    for name in names:
        bounds |= set(state.catalog.card((account.tenant, name)).changes())
    instants = sorted([each for each in bounds if start <= each <= end])
    found: list[Stretch] = []
    for place, at in enumerate(instants[:-1]):
        if at < account.created_at or any(a <= at < b for a, b in closings):
            continue
        having = [each for each in contracts if each.starts_at <= at < each.until]
        length, card = instants[place + 1] - at, _in_force(state, account, at)
        if having:
            found.append(Stretch(length, card, having[0], having[0].minimum_at(at)))
        else:
            found.append(Stretch(length, card))
    return found


def _parts(
    minimum: Minimum, card: CompiledCard, stretches: list[Stretch]
) -> tuple[tuple[int, int], ...]:
    """(minimum, microseconds) of what was in force for its scope, by any version of the card; those
    of one amount that follow each other as one."""
    names = (minimum.scope, minimum.product, minimum.quantity)
    parts: list[tuple[int, int]] = []
    of_contract = minimum.scope is MinimumScope.CONTRACT
    for length, version, contract, said in stretches:
        if version is None or version.card.name != card.card.name:
            continue
        if of_contract and contract is None:
            continue
        for each in version.card.minimums:
            if (each.scope, each.product, each.quantity) == names:
                most = amount_of(each.amount, version.asset_scale)
                if of_contract and said:
                    most = said
                if parts and parts[-1][0] == most:
                    parts[-1] = most, parts[-1][1] + length
                else:
                    parts.append((most, length))
    return tuple(parts)
