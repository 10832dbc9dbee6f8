"""Commands on their way through a writer, and what comes back (rules I2, I6).

A ticket is decided whole, in one batch, and answered when that batch is durable. How it can fail:

    NotApplied        certain: nothing was recorded, send the same ids again
    └── NotOwner      ... to the process that has the shard
    OutcomeUnknown    the commit may have happened: ask GetOutcome, or send the same ids again
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from ledger.core.commands import Command, Original
from ledger.core.events import (
    BudgetMove,
    Event,
    PlanDeclared,
    UsageConverted,
    UsageMetered,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import State


class NotAppliedReason(StrEnum):
    """Why a command was certainly not applied."""

    QUEUE_FULL = "QUEUE_FULL"
    WRITER_REOPENING = "WRITER_REOPENING"
    DEADLINE = "DEADLINE"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    WRITER_HALTED = "WRITER_HALTED"
    NOT_OWNER = "NOT_OWNER"
    LEASE_LAPSED = "LEASE_LAPSED"


class NotApplied(Exception):
    """Nothing was recorded; the same ids may be sent again after `retry_after_us`."""

    def __init__(self, reason: NotAppliedReason, message: str, retry_after_us: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_us = retry_after_us


class NotOwner(NotApplied):
    """The shard is another process's, or between two: ask its owner."""

    def __init__(self, shard: int, retry_after_us: int) -> None:
        super().__init__(
            NotAppliedReason.NOT_OWNER,
            f"this process does not serve shard {shard} and recorded nothing there; send the same "
            "ids again, GetRouting says where",
            retry_after_us,
        )
        self.shard = shard


class OutcomeUnknown(Exception):
    """The commit may or may not have happened."""


class PositionAhead(Exception):
    """A read asked for a position that this shard has not reached."""

    def __init__(self, shard: int, wanted: int, reached: int) -> None:
        super().__init__(f"shard {shard} stands at entry {reached}; {wanted} was asked for")
        self.shard = shard
        self.wanted = wanted
        self.reached = reached


class Replay(msgspec.Struct, frozen=True, gc=False):
    """The first outcome of an identity that was recorded before, with the same body (rule I1)."""

    event: Event
    plan: PlanDeclared | None
    batch_seq: int
    entry_seq: int
    recorded_at: int
    locator: int = 0
    conversion: UsageConverted | None = None  # right behind usage of which a part was converted
    cost_plan: PlanDeclared | None = None
    metered: UsageMetered | None = None  # right before usage whose meters count over levels
    counted: tuple[BudgetMove, ...] = ()  # by usage of a hold

    @property
    def original(self) -> Original:
        """The entry as a command that corrects it takes it."""
        return Original(
            self.locator,
            self.entry_seq,
            self.event,
            self.plan,
            self.conversion,
            self.cost_plan,
            self.metered,
            self.counted,
        )


TicketOutcome: TypeAlias = Event | Refusal | Replay

PENDING: Final = Refusal(Reason.CONFLICT, "", "", "")
"""Stands in a ticket for a replay that is still to be read from the journal; never answered."""


class Ticket:
    """Commands of one caller for one shard, with their outcomes in the same order.

    `events` is the whole batch: a usage event names its plan by its index there. `position` counts
    the entries of the shard that the answer rests on, those of the batch before it included.
    `future` is done when it is answered, and has no result: one that held the ticket would make a
    cycle, and thousands of commands and entries would wait for the garbage collector.
    """

    __slots__ = (
        "actor",
        "batch_seq",
        "commands",
        "deadline_us",
        "events",
        "first_event",
        "future",
        "outcomes",
        "pending",
        "position",
        "recorded_at",
        "resolution",
        "shard",
        "span",
    )

    def __init__(
        self,
        shard: int,
        commands: Sequence[Command],
        future: Future[None],
        deadline_us: int = 0,
        span: object = None,
        actor: str = "",
    ) -> None:
        self.shard = shard
        self.commands = commands
        self.actor = actor  # who caused it, to stand beside the entries; "" = nobody said
        self.future = future
        self.deadline_us = deadline_us  # by the monotonic clock; 0 = none
        self.span = span  # the caller's span context where it is sampled; opaque here
        self.outcomes: list[TicketOutcome] = []
        self.events: list[Event] = []
        self.first_event = 0  # number of the batch's first entry
        self.batch_seq = 0
        self.recorded_at = 0
        self.position = 0
        self.pending: list[tuple[int, int]] = []  # (place, locator) of replays still to be read

        self.resolution: Any = None  # what `resolve` found for it; opaque here

    @property
    def accounts(self) -> tuple[int, ...]:
        """What it only looks at: nothing."""
        return ()

    def entry_seq(self, place: int) -> int:
        """Number of the entry that answers the command at `place`; -1 where none was recorded."""
        outcome = self.outcomes[place]
        if isinstance(outcome, Refusal):
            return -1
        if isinstance(outcome, Replay):
            return outcome.entry_seq
        index = self.position - self.first_event - 1  # its own entries are the last before it
        while self.events[index] is not outcome:
            index -= 1
        return self.first_event + index

    def plan_of(self, event: Event) -> PlanDeclared:
        """The declaration that a usage or hold event of this ticket's batch names."""
        plan = self.events[event.plan]  # type: ignore[union-attr]
        assert isinstance(plan, PlanDeclared)
        return plan

    def cost_plan_of(self, event: UsageRecorded | UsageReversed) -> PlanDeclared | None:
        """The declaration that its cost names; None where it says nothing of costs."""
        if event.cost is None:
            return None
        plan = self.events[event.cost.plan]
        assert isinstance(plan, PlanDeclared)
        return plan


class Read:
    """A look at the state, in order with the commands, answered when what it saw is durable."""

    __slots__ = ("accounts", "function", "future", "min_position", "resolution")

    def __init__(
        self,
        function: Callable[[State], object],
        min_position: int,
        accounts: Sequence[int],
        future: Future[object],
    ) -> None:
        self.function = function
        self.min_position = min_position
        self.accounts = accounts
        self.future = future
        self.resolution: Any = None

    @property
    def commands(self) -> tuple[Command, ...]:
        """It decides nothing."""
        return ()
