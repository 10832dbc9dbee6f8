"""Totals that several accounts share, and the re-rates that follow from them (rules R1, D8, N3).

No prices are known here. What can be said without: a total is the sum of the parts of its accounts;
a re-rate is split by those parts; each share is posted once, before other usage of its account; and
where a total stands again where it stood before, all accounts together were charged the same.
"""

from __future__ import annotations

from itertools import pairwise

from msgspec.structs import astuple

from ledger.core.events import (
    RerateShare,
    RerateShared,
    SharedRerated,
    UsageRecorded,
    UsageRerated,
    UsageReversed,
)
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import Account, State
from ledger.verify.rules.judge import Judge, SharedTally

_SEEN_MAX = 1_024  # places of a total whose charge is remembered; x ~100 B = 0.1 MB a total

Place = tuple[int, int, int]


def usage_shares(judge: Judge, state: State, account: Account, event: UsageRecorded) -> None:
    """Usage counts under an account of its own line, and all that was due of it is posted."""
    dues = account.dues
    if dues is not None and dues.due <= state.now:
        judge.wrong(state, "re-rates due before usage", "posted", len(dues.waiting))
    line = {each.number for each in account.line()}
    for each in event.scoped:
        if each.scope > KIND_MASK:
            if each.scope >> 4 not in line:
                judge.wrong(state, "account of a shared total", sorted(line), each.scope >> 4)
            place = (each.key, each.scope, each.start)
            rows = state.declared[event.plan].rows
            alone = len(rows) == 1
            charge = max(0, event.charges[0])
            _move(judge, state, account, place, rows[0] if alone else -1, each.quantity, charge)


def reversal_shares(judge: Judge, state: State, account: Account, event: UsageReversed) -> None:
    """The same of what is given back; what others had drawn of it comes as their shares."""
    judge.reversal = state.locator
    back = event.kept + sum([each.amount for each in event.given_back])
    of_others = max(0, sum(event.refunds) - back)
    for each in event.scoped:
        if each.scope > KIND_MASK:
            place = (each.key, each.scope, each.start)
            rows = state.declared[event.plan].rows
            alone = len(rows) == 1 and (len(event.refunds) == 1 or not of_others)
            back = of_others - event.refunds[0]
            _move(judge, state, account, place, rows[0] if alone else -1, -each.quantity, back)


def rerated_here(judge: Judge, event: UsageRerated) -> None:
    """What the account itself bears of a re-rate that follows its own entry."""
    for each in event.rerates:
        if each.scope > KIND_MASK:
            _rerate(judge, (each.key, each.scope, each.start), each.amount)


def rerate_shared(judge: Judge, state: State, event: RerateShared) -> None:
    """Shares of others of the family, in order, by their parts of the total."""
    root, back = state.accounts[event.account].root, state.batch_length - event.entry
    if not 0 <= event.entry < state.batch_length:
        judge.wrong(state, "entry that it follows", f"before {state.batch_length}", event.entry)
    for share in event.shares:
        numbers = [number for number, _ in share.amounts]
        if not numbers or any(first >= second for first, second in pairwise(numbers)):
            judge.wrong(state, "accounts of a re-rate", "some, in order", numbers)
        for number, amount in share.amounts:
            if number == event.account or not amount or state.accounts[number].root != root:
                judge.wrong(state, "share of a re-rate", "of another of the family", number)
        _look_at_parts(judge, state, share, judge.reversal == state.locator - back)
        place = (share.key, share.scope, share.start)
        _rerate(judge, place, sum([amount for _, amount in share.amounts]))


def shared_rerated(judge: Judge, state: State, event: SharedRerated) -> None:
    """It is what is due of its account first."""
    dues = state.accounts[event.account].dues
    if dues is None:
        judge.wrong(state, "re-rate", "one that is due", event.rerates)
        return
    due = dues.waiting[0]
    wanted = ((due.rerate,), due.cause, due.effective_at)
    judge.equal(state, "re-rate", wanted, (event.rerates, event.cause, event.effective_at))
    plans = (astuple(due.plan), astuple(state.declared[event.plan]))
    judge.equal(state, "plan of a re-rate", *plans)


def _look_at_parts(judge: Judge, state: State, share: RerateShare, reverses: bool) -> None:
    """By the quantities of the accounts, a minor unit about: one is moved on where an account has
    drawn less than its share. What a reversal gives others is what they have drawn."""
    place = (share.key, share.scope, share.start)
    amounts = [amount for _, amount in share.amounts]
    accounts = [state.accounts[number] for number, _ in share.amounts]
    drawn = [_drawn(each, place) for each in accounts]
    within = all(-amount <= most for amount, most in zip(amounts, drawn, strict=True))
    if reverses and sum(amounts) < 0:
        if not within:
            judge.wrong(state, "given back to others", f"{drawn} at most", amounts)
        return
    parts = [each.scoped.get(place, 0) for each in accounts]
    whole, total, slack = sum(parts), sum(amounts), 1 + len(amounts)
    even = all(
        abs(amount * whole - total * part) <= slack * (whole + part)
        for amount, part in zip(amounts, parts, strict=True)
    )
    if not even:
        judge.wrong(state, "shares of a re-rate", f"by parts of {total}: {parts}", amounts)


def _drawn(account: Account, place: Place) -> int:
    due = account.dues.of(place) if account.dues is not None else 0
    return sum(account.row_draws.get(place, {}).values()) + due


# -- what was charged at a total -------------------------------------------------------------------


def _move(
    judge: Judge, state: State, account: Account, place: Place, row: int, by: int, charge: int
) -> None:
    """Compare where the total stands with where it stood, then move it on."""
    tally = judge.shared.get(place)
    if tally is None:
        accounts = state.family_accounts(account.root)
        parts = [each.scoped.get(place, 0) for each in accounts]
        tally = judge.shared[place] = SharedTally(sum(parts))
        tally.follows = not tally.total  # else what was charged before is not known
    judge.equal(state, f"shared total {place}", tally.total, state.total(account, place))
    stands = tally.seen.get(tally.total, tally.charged)
    if tally.follows and (tally.rerated or not tally.total):
        judge.equal(state, f"charged at shared total {tally.total}", stands, tally.charged)
    if len(tally.seen) < _SEEN_MAX:
        tally.seen[tally.total] = tally.charged
    if row != tally.row and tally.row:
        tally.follows = False  # another price: what was charged by the old one stays
    tally.row = row
    tally.follows = tally.follows and row != -1
    tally.total += by
    tally.charged += charge


def _rerate(judge: Judge, place: Place, amount: int) -> None:
    tally = judge.shared.get(place)
    if tally is not None:
        tally.charged += amount
        tally.rerated = True
