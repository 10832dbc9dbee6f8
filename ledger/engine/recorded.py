"""What a shard has durably recorded: entries by key, number and locator, and what belongs to one.

Keys that left memory are found in segments, entries in the journal. Every answer is durable, for it
comes in order with the commands that were accepted before. Must not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ledger.core.events import Event, UsageReversed
from ledger.core.metering.suspense import rated_by
from ledger.core.state import State
from ledger.engine.answers import Answers
from ledger.engine.resolve import Resolver
from ledger.engine.ticket import Replay

T = TypeVar("T")


class Reader(Protocol):
    """How a writer lets its state be looked at."""

    async def __call__(
        self,
        function: Callable[[State], T],
        min_position: int = 0,
        accounts: Sequence[int] = (),
    ) -> tuple[T, int]:
        """See `Writer.read`."""
        ...


class Recorded:
    """Entries of one shard. All raise JournalError, and NotApplied while the shard is not open."""

    def __init__(self, read: Reader, answers: Answers, resolver: Resolver) -> None:
        self._read = read
        self._answers = answers
        self._resolver = resolver

    async def under(self, key: bytes) -> Replay | None:
        """What is recorded under a key, or None (GetOutcome, rule I5)."""
        return (await self.under_all([key]))[0]

    async def under_all(self, keys: Sequence[bytes]) -> list[Replay | None]:
        """The same for many keys."""
        located, _ = await self._read(lambda state: [state.keys.find(key) for key in keys])
        for place, locator in enumerate(located):
            if locator is None:
                located[place] = await self._resolver.find(keys[place])
        found = await self._answers.recorded([each for each in located if each is not None])
        return [None if locator is None else found[locator] for locator in located]

    async def at(self, locators: Sequence[int]) -> list[Replay]:
        """The entries at these locators."""
        found = await self._answers.recorded(locators)
        return [found[locator] for locator in locators]

    async def entry(self, root: int, batch_seq: int, entry_seq: int) -> Replay | None:
        """The entry of that number, if it is of an account of that family; `batch_seq` 0 = of
        whichever batch."""
        last_batch, reached = await self._read(_batch_seq)
        if not 0 <= entry_seq < reached:
            return None
        found = await self._answers.entry(batch_seq, entry_seq, last_batch)
        if found is None or not found.event.account:
            return None
        number = found.event.account
        family, _ = await self._read(lambda state: _root_of(state, number))
        return found if family == root else None

    async def ratings_of(self, usage: Sequence[Replay]) -> list[tuple[Replay, ...]]:
        """The entries that rated each after it had waited for a price (rule B8): a correction takes
        them along."""
        accounts = sorted({each.event.account for each in usage if each.event.account})

        def look(state: State) -> list[tuple[int, ...]]:
            return [rated_by(state, each.event.account, each.locator) for each in usage]

        entries, _ = await self._read(look, accounts=accounts)
        if not any(entries):
            return [()] * len(usage)
        found = await self._answers.recorded([each for these in entries for each in these])
        return [tuple([found[each] for each in these]) for these in entries]

    async def parts_of(self, locator: int, event: Event) -> list[Replay]:
        """The entries before a reversal that give back what rated the usage after it had waited, in
        order; () = none do."""
        found: list[Replay] = []
        left = event.apart if isinstance(event, UsageReversed) else 0
        while left:
            locator -= 1
            [replay] = await self.at([locator])
            if isinstance(replay.event, UsageReversed):
                found.append(replay)
                left -= sum([piece.amount for piece in replay.event.given_back])
        return found[::-1]


def _batch_seq(state: State) -> int:
    return state.batch_seq


def _root_of(state: State, number: int) -> int | None:
    """The family of an account, also of one that has left memory."""
    account = state.accounts.get(number)
    return account.root if account is not None else state.paged.get(number, 0)
