"""Linked usage: events of one family that are recorded together or not at all (product A5).

Evolving cannot be undone, so a group is looked at whole before any of it is recorded. Recorded
usage is never refused for lack of credits (rule D4): what may refuse an event rests on itself, its
account and its identity. What passes from one event of a group to the next are running totals: each
is priced over what those before it move; where only rounding runs on, a minor unit a quantity is
kept below the limit of a charge. Changes nothing but what time has made due.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.admission import keys_exhausted, refuse_suspense
from ledger.core.applying import ask_for_top_ups
from ledger.core.commands import LinkedUsage
from ledger.core.due import settle_touched
from ledger.core.events import Event, UsageQuarantined, UsageRecorded
from ledger.core.limits import INT64_MAX
from ledger.core.metering.usage import decide_usage
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.pricing import Place, moves_of
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.state import State

_SHARED: Final = 0
"""In the place of an account: totals that several share."""
_SAFE_TO_RETRY: Final = frozenset({Reason.BATCH_FULL, Reason.KEYS_EXHAUSTED, Reason.SUSPENSE_FULL})


def refuse_linked(
    state: State, group: Sequence[LinkedUsage], batch: list[Event]
) -> list[Refusal] | None:
    """Why nothing of a group can be recorded, one refusal an event; None: each will be recorded, or
    each was before.

    The first that fails says its own reason, the others LINKED_FAILED; what is safe to retry is
    said to all, so that nobody sends a part again.
    """
    known = [state.keys.find(command.key) is not None for command in group]
    if all(known):
        twice = _twice(group)
        return None if twice is None else _all_refused(group, twice, _stands_twice(group[twice]))
    before = len(batch)
    first: Refusal | None = None
    keys: set[bytes] = set()
    moved: dict[int, dict[Place, int]] = {}  # account -> by those of the group before
    for place, command in enumerate(group):
        first = settle_touched(state, command, batch)
        if first is None:
            first = _refused(state, group, command, known[place], keys, moved)
        if first is not None:
            break
        keys.add(command.key)
    if first is None:
        return None
    if len(batch) > before:  # what was due is posted, though nothing of the group is recorded
        for number in dict.fromkeys([command.account for command in group[: place + 1]]):
            ask_for_top_ups(state, state.accounts.get(number), batch)
    return _all_refused(group, place, first)


def _all_refused(group: Sequence[LinkedUsage], place: int, first: Refusal) -> list[Refusal]:
    if first.reason in _SAFE_TO_RETRY:
        return [first] * len(group)
    failed = group[place].names.event_id
    others = Refusal(
        Reason.LINKED_FAILED,
        "linked",
        failed,
        f"an event that it is linked with was refused ({first.reason}); nothing of the group is "
        "recorded",
    )
    return [first if each == place else others for each in range(len(group))]


def _twice(group: Sequence[LinkedUsage]) -> int | None:
    """Where an id stands that stood in the group before."""
    keys: set[bytes] = set()
    for place, command in enumerate(group):
        if command.key in keys:
            return place
        keys.add(command.key)
    return None


def _stands_twice(command: LinkedUsage) -> Refusal:
    return Refusal(
        Reason.CONFLICT, "id", command.names.event_id, "the id stands twice in its group"
    )


def _refused(
    state: State,
    group: Sequence[LinkedUsage],
    command: LinkedUsage,
    known: bool,
    keys: set[bytes],
    moved: dict[int, dict[Place, int]],
) -> Refusal | None:
    """Why one event of a group cannot be recorded with the others, if it cannot."""
    if known:
        return Refusal(
            Reason.LINKED_RECORDED,
            "id",
            command.names.event_id,
            "the id is recorded already, others of its group are not: send those without it, or "
            "the group under ids of its own",
        )
    if command.key in keys:
        return _stands_twice(command)
    if len(state.keys.newest) + len(group) > state.keys.newest_max:
        return keys_exhausted(state)
    account, other = (state.accounts.get(each.account) for each in (command, group[0]))
    if account is not None and other is not None and account.root != other.root:
        return Refusal(
            Reason.LINKED_FAMILIES,
            "account",
            "",
            "linked events belong to accounts of one family",
        )
    totals = {**moved.setdefault(command.account, {}), **moved.setdefault(_SHARED, {})}
    outcome = decide_usage(state, command, [], totals)
    if isinstance(outcome, Refusal):
        return outcome
    if isinstance(outcome, UsageQuarantined):
        return Refusal(
            Reason.LINKED_TOO_OLD,
            "effective_at_us",
            str(outcome.effective_at),
            "the effective time is before the dedupe window: alone it would be quarantined",
        )
    assert not isinstance(outcome, Known) and isinstance(outcome, UsageRecorded), outcome
    if outcome.suspense and account is not None:
        refusal = refuse_suspense(state, account, len(group))
        if refusal is not None:
            return refusal
    charge = sum([piece.amount for piece in outcome.slices])
    if outcome.cost is not None:
        charge = max(charge, outcome.cost.total)
    if charge > INT64_MAX - len(outcome.quantities):
        return Refusal(
            Reason.OVERFLOW,
            "quantities",
            str(charge),
            "the charge is too near to the end of 64 bits to be linked; split the event",
        )
    for total, more in moves_of(outcome).items():
        by = moved[_SHARED if total[1] > KIND_MASK else command.account]
        by[total] = by.get(total, 0) + more
    return None
