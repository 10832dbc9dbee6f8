"""Holds, and what is taken of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldCharged,
    HoldDebited,
    HoldExpired,
    HoldExtended,
    HoldRefilled,
    HoldReleased,
    LeaseRenewed,
    OperationPartHeld,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    UsageCaptured,
    UsageRecorded,
)
from ledger.core.holds import taken_of
from ledger.projections import changes as c
from ledger.projections.changes import HoldChange
from ledger.projections.facts import HoldFact, HoldLine
from ledger.projections.fold.folding import Folding


def hold_authorized(fold: Folding, _: int, event: HoldAuthorized) -> None:
    _reserve(fold, event, None)


def outcome_reported(fold: Folding, _: int, event: OutcomeReported) -> None:
    _reserve(fold, event, fold.recorded_at)


def _reserve(fold: Folding, event: HoldAuthorized, reported_at: int | None) -> None:
    tenant, plan = fold.place(event)
    amount = 0
    for line, piece in enumerate(event.slices):
        amount += piece.amount
        fold.counters(piece.book, tenant).debits_pending += piece.amount
        fold.changes.transfers.append(
            (
                tenant, fold.shard, fold.entry_seq, line, piece.book, event.used_book,
                plan.asset, piece.amount, c.PENDING, piece.pot, piece.value, piece.cost,
                event.effective_at, fold.recorded_at,
            )
        )  # fmt: skip
    if amount:
        fold.counters(event.used_book, tenant).credits_pending += amount
    fold.changes.holds.append(
        (
            tenant, fold.shard, event.hold, fold.entry_seq, event.account, plan.digest,
            plan.asset, amount, event.quantities, event.effective_at, event.expires_at,
            event.lifetime_max, int(event.expiry), event.period, event.trace or None,
            reported_at,
        )
    )  # fmt: skip
    lines = [
        HoldLine(p.pot, p.book, event.used_book, p.amount, p.value, p.cost) for p in event.slices
    ]
    fold.facts.holds[event.hold] = HoldFact(
        tenant, plan.asset, event.effective_at, event.period, tuple(lines)
    )


def reserve_again(fold: Folding, event: LeaseRenewed) -> None:
    """A lease goes on: nothing of what it had pends where it was, and all that it has now does,
    by this entry."""
    fact = fold.facts.holds[event.hold]
    if fact is None:
        return
    tenant, plan = fold.place(event)
    line = _unreserve(fold, fact, fold.entry_seq, fact.lines, event.effective_at)
    for place, piece in enumerate(event.slices, line):
        fold.counters(piece.book, tenant).debits_pending += piece.amount
        fold.counters(event.used_book, tenant).credits_pending += piece.amount
        fold.changes.transfers.append(
            (
                tenant, fold.shard, fold.entry_seq, place, piece.book, event.used_book,
                plan.asset, piece.amount, c.PENDING, piece.pot, piece.value, piece.cost,
                event.effective_at, fold.recorded_at,
            )
        )  # fmt: skip
    change = _hold_change(fold, event.hold, fact)
    change.amount += event.amount - sum([each.amount for each in fact.lines])
    change.again = (fold.entry_seq, event.effective_at, event.period)
    change.reserved = [piece.amount for piece in event.slices]
    change.expires_at = event.expires_at
    lines = [
        HoldLine(p.pot, p.book, event.used_book, p.amount, p.value, p.cost) for p in event.slices
    ]
    fold.facts.holds[event.hold] = HoldFact(
        tenant, plan.asset, event.effective_at, event.period, tuple(lines)
    )


def keep_until(fold: Folding, number: int, expires_at: int) -> None:
    """A hold has another expiry."""
    fact = fold.facts.holds[number]
    if fact is not None:
        _hold_change(fold, number, fact).expires_at = expires_at


def captured(fold: Folding, entry_seq: int, event: UsageRecorded) -> int:
    """Give back what of the hold is captured, or all of it; returns the entry's next line."""
    fact = fold.facts.holds[event.hold]
    if fact is None:
        return 0
    change = _hold_change(fold, event.hold, fact)
    if isinstance(event, UsageCaptured | HoldDebited):
        change.captures += 1
        change.captured += sum(event.taken)
        return _take_part(fold, event.hold, fact, entry_seq, event)
    held = [(line.pot, line.debit_book, line.amount) for line in fact.lines]
    change.captured += sum(taken_of(held, event.slices, event.period == fact.period))
    if isinstance(event, HoldCharged):
        return end_hold(fold, event.hold, entry_seq, c.HOLD_CHARGED, event.effective_at)
    change.captures += 1
    if isinstance(event, OutcomeConfirmed) and event.by_time:
        return end_hold(fold, event.hold, entry_seq, c.HOLD_CHARGED, event.effective_at)
    return end_hold(fold, event.hold, entry_seq, c.HOLD_CAPTURED, event.effective_at)


def _take_part(
    fold: Folding,
    number: int,
    fact: HoldFact,
    entry_seq: int,
    event: UsageCaptured | HoldDebited,
) -> int:
    """What was taken of each slice no longer pends; the rest stays held."""
    taken = event.taken
    if not taken:
        return 0
    parts = _lower(fold, number, fact, taken)
    return _unreserve(fold, fact, entry_seq, parts, event.effective_at)


def _lower(fold: Folding, number: int, fact: HoldFact, units: Sequence[int]) -> list[HoldLine]:
    """So many units of each slice are held no more; what they are, as lines of a transfer."""
    left = [
        piece._replace(amount=piece.amount - amount)
        for piece, amount in zip(fact.lines, units, strict=True)
    ]
    fold.facts.holds[number] = fact._replace(lines=tuple(left))
    _hold_change(fold, number, fact).reserved = [piece.amount for piece in left]
    return [
        piece._replace(amount=amount, value=0, cost=0)
        for piece, amount in zip(fact.lines, units, strict=True)
    ]


def part_held(fold: Folding, event: OperationPartHeld) -> None:
    """A call's hold has of its operation's, which holds so much less: for calls, as what they draw
    of it at once."""
    whole = fold.facts.holds[event.of]
    if whole is None or not any(event.taken):
        return
    _hold_change(fold, event.of, whole).captured += sum(event.taken)
    parts = _lower(fold, event.of, whole, event.taken)
    line = len(event.slices)
    _unreserve(fold, whole, fold.entry_seq, parts, event.effective_at, line)


def hold_refilled(fold: Folding, _: int, event: HoldRefilled) -> None:
    """What a call's hold has left of its operation's is held there again."""
    part, whole = fold.facts.holds[event.part], fold.facts.holds[event.hold]
    if part is None or whole is None:
        return
    units = {
        (piece.pot, piece.debit_book): amount
        for piece, amount in zip(whole.lines, event.units, strict=True)
    }
    back = [units.get((piece.pot, piece.debit_book), 0) for piece in part.lines]
    less = _lower(fold, event.part, part, back)
    line = _unreserve(fold, part, fold.entry_seq, less, fold.recorded_at)
    for piece in _lower(fold, event.hold, whole, [-amount for amount in event.units]):
        amount = -piece.amount
        if not amount:
            continue
        fold.counters(piece.debit_book, whole.tenant).debits_pending += amount
        fold.counters(piece.credit_book, whole.tenant).credits_pending += amount
        fold.changes.transfers.append(
            (
                whole.tenant, fold.shard, fold.entry_seq, line, piece.debit_book,
                piece.credit_book, whole.asset, amount, c.PENDING, piece.pot, 0, 0,
                fold.recorded_at, fold.recorded_at,
            )
        )  # fmt: skip
        line += 1
    _hold_change(fold, event.hold, whole).captured -= sum(event.units)


def end_hold(
    fold: Folding, number: int, entry_seq: int, state: int, effective_at: int, first: int = 0
) -> int:
    """Give back every slice that is still reserved, from line `first` of the entry on; returns
    the next one."""
    fact = fold.facts.holds.pop(number)
    if fact is None:
        return first
    change = _hold_change(fold, number, fact)
    change.state = state
    change.settled_at, change.settled_by = fold.recorded_at, entry_seq
    return _unreserve(fold, fact, entry_seq, fact.lines, effective_at, first)


def _hold_change(fold: Folding, number: int, fact: HoldFact) -> HoldChange:
    changed = fold.changes.changed_holds
    change = changed.get(number)
    if change is None:
        change = changed[number] = HoldChange(fact.tenant)
    return change


def _unreserve(
    fold: Folding,
    fact: HoldFact,
    entry_seq: int,
    pieces: Iterable[HoldLine],
    effective_at: int,
    line: int = 0,
) -> int:
    """Write what no longer pends; returns the entry's next line.

    It takes effect when what it was captured for did, so that the two are never counted both;
    not before the hold itself (rule T5).
    """
    effective_at = max(effective_at, fact.authorized_at)
    for piece in pieces:
        if not piece.amount:
            continue
        fold.counters(piece.debit_book, fact.tenant).debits_pending -= piece.amount
        fold.counters(piece.credit_book, fact.tenant).credits_pending -= piece.amount
        fold.changes.transfers.append(
            (
                fact.tenant, fold.shard, entry_seq, line, piece.debit_book,
                piece.credit_book, fact.asset, piece.amount, c.RELEASED, piece.pot,
                piece.value, piece.cost, effective_at, fold.recorded_at,
            )
        )  # fmt: skip
        line += 1
    return line


def hold_extended(fold: Folding, _: int, event: HoldExtended) -> None:
    keep_until(fold, event.hold, event.expires_at)


def hold_released(fold: Folding, _: int, event: HoldReleased) -> None:
    end_hold(fold, event.hold, fold.entry_seq, c.HOLD_RELEASED, fold.recorded_at)


def hold_expired(fold: Folding, _: int, event: HoldExpired) -> None:
    end_hold(fold, event.hold, fold.entry_seq, c.HOLD_EXPIRED, fold.recorded_at)


def outcome_rejected(fold: Folding, _: int, event: OutcomeRejected) -> None:
    state = c.HOLD_EXPIRED if event.by_time else c.HOLD_RELEASED
    end_hold(fold, event.hold, fold.entry_seq, state, fold.recorded_at)


def authorize_denied(fold: Folding, _: int, event: AuthorizeDenied) -> None:
    tenant, plan = fold.place(event)
    fold.changes.denials.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, plan.digest, plan.asset,
            event.quantities, event.charge, event.available, event.reason, fold.recorded_at,
            event.trace or None,
        )
    )  # fmt: skip
