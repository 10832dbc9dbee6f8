"""What a writer answered to one command: the recorded event, where it stands, whether it is old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from ledger.api.errors import refused
from ledger.api.positions import position_of
from ledger.core.events import (
    AuthorizeDenied,
    Event,
    HoldAuthorized,
    LeaseRenewed,
    PlanDeclared,
    QuoteMade,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.outcomes import Refusal
from ledger.engine.ticket import NotApplied, NotOwner, OutcomeUnknown, Replay, Ticket
from ledger.journal.errors import JournalError

_PLANNED = (
    UsageRecorded,
    UsageQuarantined,
    UsageReversed,
    HoldAuthorized,
    LeaseRenewed,
    AuthorizeDenied,
    QuoteMade,
)


class Answer(NamedTuple):
    """A recorded event; `plan` is the declaration that it names, if it names one."""

    event: Event
    plan: PlanDeclared | None
    recorded_at_us: int
    position: str
    replayed: bool


def answer_of(ticket: Ticket, given: Mapping[str, str]) -> Answer:
    """The answer to a ticket's only command. Raises CallFailed where it was refused.

    `given`: fields as the caller wrote them, for the message.
    """
    return answer_at(ticket, 0, ticket.entry_seq(0), given)


def answer_at(ticket: Ticket, place: int, entry_seq: int, given: Mapping[str, str]) -> Answer:
    """The same of the command at a place, which that entry answers."""
    outcome = ticket.outcomes[place]
    if isinstance(outcome, Refusal):
        raise refused(outcome, given)
    if isinstance(outcome, Replay):
        return replayed(outcome, ticket.shard)
    plan = ticket.plan_of(outcome) if isinstance(outcome, _PLANNED) else None
    position = position_of(ticket.shard, entry_seq + 1)
    return Answer(outcome, plan, ticket.recorded_at, position, False)


def entry_seqs(ticket: Ticket) -> list[int]:
    """The number of the entry that answers each command of a ticket, -1 where none was recorded."""
    found: list[int] = []
    index = ticket.position - ticket.first_event - 1  # its own entries are the last before it
    for outcome in reversed(ticket.outcomes):
        if isinstance(outcome, Refusal):
            found.append(-1)
        elif isinstance(outcome, Replay):
            found.append(outcome.entry_seq)
        else:
            while ticket.events[index] is not outcome:
                index -= 1
            found.append(ticket.first_event + index)
    found.reverse()
    return found


def replayed(recorded: Replay, shard: int) -> Answer:
    """The answer that a recorded entry gives again."""
    position = position_of(shard, recorded.entry_seq + 1)
    return Answer(recorded.event, recorded.plan, recorded.recorded_at, position, True)


@contextmanager
def rendering(position: str) -> Iterator[None]:
    """What fails while a durable answer is being rendered must not say "not applied" (rule I6).

    NotOwner goes on: the shard's next owner can render it (see `calls`).
    """
    try:
        yield
    except NotOwner:
        raise
    except (NotApplied, JournalError) as error:
        raise OutcomeUnknown(
            f"it is recorded, before position {position}, but the reply could not be made "
            f"({error}): send the same request id again, or ask GetOutcome"
        ) from error
