"""Small batches of several shards in one commit: what is ready while one is on its way goes as one.

Each is still a row of its own that is written only where it continues its shard, so one that does
not fit is refused alone. Owns the waiting; the journals own their connections, and the statement
goes on the connection of the first. Must not retry, reorder or interpret batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, Protocol

from ledger.journal.errors import CommitUnknown, JournalError
from ledger.journal.protocol import JournalRow

GROUP_BYTES_MAX: Final = 16_384  # of a row; a larger one goes alone, and nobody waits behind it


class GroupedJournal(Protocol):
    """What a group asks of a journal."""

    async def append_alone(self, row: JournalRow) -> None:
        """See `Journal.append`."""
        ...

    async def append_together(self, rows: Sequence[JournalRow]) -> list[bool]:
        """Append rows of several shards in one commit; which of them were written, the others do
        not continue their shards. Raises JournalUnavailable, JournalConflict (none is written) and
        CommitUnknown."""
        ...

    async def refuse(self, row: JournalRow) -> None:
        """Raise why a row was not written."""
        ...


class _Waiting(NamedTuple):
    journal: GroupedJournal
    row: JournalRow
    done: asyncio.Future[None]


class CommitGroup:
    """Shared by the journals of one process, each of which appends one row at a time."""

    __slots__ = ("_running", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    def takes(self, row: JournalRow) -> bool:
        """Whether a row is small enough to wait for others."""
        return len(row.payload) + len(row.private) <= GROUP_BYTES_MAX

    async def append(self, journal: GroupedJournal, row: JournalRow) -> None:
        """See `Journal.append`. Cancelling it leaves the outcome unknown: the statement, with
        the rows of others, goes on."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(journal, row, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # batches that are sealed in this turn come along
                waiting, self._waiting = self._waiting, []
                try:
                    await _commit([each for each in waiting if not each.done.done()])
                finally:
                    _leave(waiting)
        finally:
            self._running = None
            _leave(self._waiting)


async def _commit(waiting: Sequence[_Waiting]) -> None:
    if len(waiting) < 2:
        await _one_by_one(waiting)
        return
    try:
        written = await waiting[0].journal.append_together([each.row for each in waiting])
    except CommitUnknown as error:
        for each in waiting:
            _fail(each, CommitUnknown(str(error)))
    except JournalError:  # none is written, and which of them is at fault is not said
        await _one_by_one(waiting)
    except Exception as error:
        for each in waiting:
            _fail(each, error)
    else:
        for each, is_written in zip(waiting, written, strict=True):
            await _settle(each, _nothing() if is_written else each.journal.refuse(each.row))


async def _one_by_one(waiting: Sequence[_Waiting]) -> None:
    """Each on its own connection, beside each other."""
    await asyncio.gather(*[_settle(each, each.journal.append_alone(each.row)) for each in waiting])


async def _settle(waiting: _Waiting, ending: Awaitable[None]) -> None:
    """Tell whoever waits how it ended."""
    try:
        await ending
    except Exception as error:
        _fail(waiting, error)
        return
    if not waiting.done.done():
        waiting.done.set_result(None)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)


def _leave(waiting: Sequence[_Waiting]) -> None:
    """Nothing more is done for those that still wait: the loop ends."""
    for each in waiting:
        each.done.cancel()


async def _nothing() -> None:
    """It is written."""
