"""A ticket's commands become entries of a batch: the core decides, usual ones in one loop.

Owns how much is decided before others of the loop have their turn. Everything happens at once: it
awaits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.core.commands import NO_NAMES, AmendUsage, Command, LinkedUsage
from ledger.core.decide import execute
from ledger.core.decisions.usual_debits import decide_usual
from ledger.core.events import ConfigurationApplied, UsageRecorded
from ledger.core.metering.linked import refuse_linked
from ledger.core.outcomes import Known, Refusal
from ledger.core.state import State
from ledger.engine.answers import Answers
from ledger.engine.batch import Batch
from ledger.engine.checkpoint import Checkpointer
from ledger.engine.configuration import Configurations
from ledger.engine.ticket import Ticket

DECIDE_SLICE: Final = 256  # commands decided between two yields to the loop; x ~12 us = 3 ms
PLAIN_SLICE: Final = 64  # ... of which so many one by one, as `usual` has no part in them; x ~50 us
COPYING_SLICE: Final = 32  # ... while each may have to pack its family first; x ~120 us = 4 ms
PATIENCE_MAX: Final = 64  # commands decided one by one before usual usage is looked for again


class Decider:
    """Decides for one writer. `spent` of a slice is counted until the loop has had its turn."""

    __slots__ = ("_answers", "_checkpointer", "_configurations", "spent")

    def __init__(
        self, answers: Answers, configurations: Configurations, checkpointer: Checkpointer
    ) -> None:
        self.spent = 0
        self._answers = answers
        self._configurations = configurations
        self._checkpointer = checkpointer

    @property
    def left(self) -> int:
        """So many commands may be decided before others have their turn; 0 or less: none."""
        return self.most(DECIDE_SLICE) - self.spent

    def most(self, size: int) -> int:
        """So much is decided at once; less while families are still to be packed before."""
        return COPYING_SLICE if self._checkpointer.copying else size

    def decide(
        self, state: State, ticket: Ticket, batch: Batch, commands: Sequence[Command]
    ) -> int:
        """Decide these, or the first of them where most are not usual; how many."""
        if self._checkpointer.copying:
            self._checkpointer.protect(commands)
        events, indexes = batch.events, batch.indexes
        place, patience, plain = 0, 1, 0
        while place < len(commands) and plain < PLAIN_SLICE:
            start, known, first = place, len(indexes), len(events)
            place = decide_usual(state, commands, start, events, indexes)
            if place > start:
                patience = 1
                batch.runs.append((first, len(events)))
                ticket.outcomes += map(events.__getitem__, indexes[known:])
                batch.names += [command.names for command in commands[start:place]]
                if ticket.actor:
                    batch.actors |= dict.fromkeys(indexes[known:], ticket.actor)
            end = min(place + patience, len(commands))
            while place < end:
                command = commands[place]
                if type(command) is LinkedUsage:
                    place += self._linked(state, ticket, batch, commands[place:], command.follow)
                else:
                    self._one(state, ticket, batch, command)
                    place += 1
                plain += 1
            patience = min(2 * patience, PATIENCE_MAX)
        self.spent += max(place, plain * (DECIDE_SLICE // PLAIN_SLICE))
        return place

    def _linked(
        self, state: State, ticket: Ticket, batch: Batch, commands: Sequence[Command], follow: int
    ) -> int:
        """Decide the group that the commands begin with; how many it has."""
        group: Any = commands[: follow + 1]
        refusals = refuse_linked(state, group, batch.events)
        if refusals is not None:
            ticket.outcomes += refusals
            return len(group)
        decided = len(ticket.outcomes)
        for command in group:
            self._one(state, ticket, batch, command)
        recorded = [isinstance(each, UsageRecorded) for each in ticket.outcomes[decided:]]
        assert all(recorded) or not any(recorded), f"a part of a group: {ticket.outcomes[decided:]}"
        return len(group)

    def _one(self, state: State, ticket: Ticket, batch: Batch, command: Command) -> None:
        events = batch.events
        outcome = execute(state, command, events)
        if isinstance(outcome, Known):
            self._answers.recall(ticket, command, outcome.locator, batch)
            return
        ticket.outcomes.append(outcome)
        if isinstance(outcome, Refusal):
            return
        if isinstance(outcome, ConfigurationApplied):
            self._configurations.install(state.catalog, outcome.tenant, outcome.version)
        elif command.names is not NO_NAMES or ticket.actor:
            index = len(events) - 1
            while events[index] is not outcome:
                index -= 1
            batch.indexes.append(index)
            batch.names.append(command.names)
            if ticket.actor:
                batch.actors[index] = ticket.actor
        if isinstance(command, AmendUsage):
            index = len(events) - 1
            while getattr(events[index], "key", b"") != command.usage.key:
                index -= 1
            batch.indexes.append(index)
            batch.names.append(command.usage.names)


def part_of(commands: Sequence[Command], start: int, size: int) -> Sequence[Command]:
    """So many of them from `start` on, or a few more: a group that is linked is not cut."""
    end = start + max(size, 1)
    if end < len(commands):
        last = commands[end - 1]
        end += last.follow if isinstance(last, LinkedUsage) else 0
    return commands[start:end]
