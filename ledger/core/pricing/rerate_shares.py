"""Deciding what others bear of a re-rate: totals that several accounts share (rules R1, D3, D8).

Where usage of one account takes a shared total over a boundary of a volume price, or a reversal
back, what earlier usage costs anew is split over the accounts by their parts of that total (rule
N3, ties by account number), none giving back more than it bore. The account itself is re-rated with
its entry, each other has its share due: an entry of its own, by its own slices, before anything
else of it. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import (
    Event,
    Rerate,
    RerateShare,
    RerateShared,
    SharedRerated,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.opening import declare
from ledger.core.pricing.pricing import Place, moves_of
from ledger.core.pricing.rerates import rerated
from ledger.core.pricing.shared_totals import KIND_MASK, Dues
from ledger.core.state import Account, State
from rating.functions import Function
from rating.shares import split


def of_account(
    state: State,
    event: UsageRecorded | UsageReversed,
    entry: int,
    rerates: tuple[Rerate, ...],
    out: list[Event],
) -> tuple[Rerate, ...]:
    """What of these re-rates the entry's own account bears; the shares of others are appended."""
    own: list[Rerate] = []
    shares: list[RerateShare] = []
    declared = state.declared[event.plan]
    plan = state.catalog.plan_of(state.accounts[event.account].tenant, declared)
    for each in rerates:
        if each.scope <= KIND_MASK:
            own.append(each)
            continue
        place = (each.key, each.scope, each.start)
        function = plan.functions[plan.rows.index(each.row)] if plan is not None else None
        assert function is not None, each
        amounts = _split(state, event, place, function, each.amount)
        mine = amounts.pop(event.account, 0)
        if mine:
            own.append(Rerate(each.row, *place, mine))
        others = tuple([(number, amounts[number]) for number in amounts if amounts[number]])
        if others:
            shares.append(RerateShare(each.row, *place, others))
    if shares:
        out.append(
            RerateShared(event.account, entry, event.effective_at, event.plan, tuple(shares))
        )
    return tuple(own)


def given_by_others(
    state: State,
    account: Account,
    place: Place,
    row: int,
    function: Function,
    amount: int,
    quantity: int,
) -> RerateShare | None:
    """What others are given of a reversal of so much `quantity` that gives back more than its
    account was ever charged by a total that they share: those who were charged more than their
    part of what is left costs, by how much. None where nobody was."""
    family = state.families[account.root]
    parts = dict(family.shared[place].parts)
    parts[account.number] -= quantity
    numbers = [each for each in _charged(state, account, place) if each != account.number]
    most = [_borne(state.accounts[number], place) for number in numbers]
    left = sum(parts.values())
    # Of a function of events, what is left costs rests on them, too.
    costs = max(0, sum(most) - amount) if function.transactional else function.total(left)
    fair = [costs * parts.get(number, 0) // left if left else 0 for number in numbers]
    above = [max(0, paid - due) for paid, due in zip(most, fair, strict=True)]
    amount = min(amount, sum(above))  # less, where what others owed was written off
    if not amount:
        return None
    pairs = zip(numbers, split(amount, above), strict=True)
    return RerateShare(row, *place, tuple([(number, -share) for number, share in pairs if share]))


def post_due(state: State, dues: Dues, out: list[Event]) -> None:
    """Append the re-rate of an account that is due first."""
    due = dues.waiting[0]
    account = dues.account
    said = due.plan
    shape = state.catalog.shape(said.product, said.attributes, said.quantity_names)
    bound = state.catalog.card((account.tenant, said.rate_card)).declared(shape, said)
    plan = declare(state, bound.declaration, out)
    made = rerated(state, account, said, due.effective_at, (due.rerate,), out)
    out.append(
        SharedRerated(
            account.number,
            0,
            due.effective_at,
            plan,
            (due.rerate,),
            *made,
            cause=due.cause,
        )
    )
    made.tell(account, said.asset, out)


def _split(
    state: State,
    event: UsageRecorded | UsageReversed,
    place: Place,
    function: Function,
    amount: int,
) -> dict[int, int]:
    """What each account bears of what their quantity before the entry costs more, or less. Nobody
    is given the share of another whose charge was forgiven."""
    shared = state.families[state.accounts[event.account].root].shared[place]
    numbers = sorted(shared.parts)
    weights = [shared.parts[number] for number in numbers]
    if isinstance(event, UsageRecorded):
        weights[numbers.index(event.account)] -= moves_of(event)[place]
    shares = list(split(abs(amount), weights))
    if amount > 0:
        return dict(zip(numbers, shares, strict=True))
    most = [_borne(state.accounts[number], place) for number in numbers]
    if sum(most) + amount >= function.total(shared.total):
        shares = _within(shares, most)
    return dict(zip(numbers, [-share for share in shares], strict=True))


def _within(shares: list[int], most: Sequence[int]) -> list[int]:
    """The same where none is above its most, as far as the others have room: rounding has put a
    minor unit on another account than it would now."""
    over = sum([max(0, share - limit) for share, limit in zip(shares, most, strict=True)])
    room = sum([max(0, limit - share) for share, limit in zip(shares, most, strict=True)])
    moved = min(over, room)
    taken, given = moved, moved
    for place, limit in enumerate(most):
        share = shares[place]
        if share > limit:
            less = min(taken, share - limit)
            shares[place] -= less
            taken -= less
        else:
            more = min(given, limit - share)
            shares[place] += more
            given -= more
    return shares


def _charged(state: State, account: Account, place: Place) -> list[int]:
    """The accounts of its family that have drawn by a total, in order."""
    accounts = state.family_accounts(account.root)
    return sorted([each.number for each in accounts if place in each.row_draws])


def _borne(account: Account, place: Place) -> int:
    """What an account has drawn by a total, or is to draw."""
    due = account.dues.of(place) if account.dues is not None else 0
    return max(0, sum(account.row_draws.get(place, {}).values()) + due)
