"""Small batches of several shards in one commit: what is ready while one is on its way goes as one.

Each is still a row of its own that is written only where it continues its shard, so one that does
not fit is refused alone. Where a commit is held up, as by a lock on one of its rows, what waits
behind it goes beside it, but for its own shards. Owns the waiting; the journals own their
connections, and the statement goes on the connection of the first. Must not retry, reorder or
interpret batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Final, NamedTuple, Protocol

from ledger.journal.errors import CommitUnknown, JournalError
from ledger.journal.protocol import JournalRow

PATIENCE_S: Final = 0.1  # for a commit on its way, then what waits goes beside it
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

    __slots__ = ("_began_s", "_held_up", "_running", "_under_way", "_waiting", "_watch")

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None  # that takes what waits
        self._under_way: set[int] = set()  # shards of commits that have no answer yet
        self._held_up = set[asyncio.Task[None]]()  # others go beside these
        self._began_s = 0.0  # when the last commit was begun
        self._watch: asyncio.TimerHandle | None = None

    def takes(self, row: JournalRow) -> bool:
        """Whether a row is small enough to wait for others."""
        return len(row.payload) + len(row.private) <= GROUP_BYTES_MAX

    async def append(self, journal: GroupedJournal, row: JournalRow) -> None:
        """See `Journal.append`. Cancelling it leaves the outcome unknown: the statement, with
        the rows of others, goes on."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append(_Waiting(journal, row, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            if self._watch is None:
                self._watch = loop.call_later(PATIENCE_S, self._look, loop)
        await done

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Now and then, while there are commits: what waits waits no more for one that is held
        up."""
        self._watch = None
        held_up = self._running
        if held_up is None:
            return
        self._watch = loop.call_later(PATIENCE_S, self._look, loop)
        if self._waiting and loop.time() - self._began_s >= PATIENCE_S:
            self._held_up.add(held_up)
            held_up.add_done_callback(self._held_up.discard)
            self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        try:
            while self._running is task:
                await asyncio.sleep(0)  # batches that are sealed in this turn come along
                taken = self._take()
                if not taken:
                    break
                self._began_s = loop.time()
                try:
                    await _commit(taken)
                finally:
                    for each in taken:
                        self._under_way.discard(each.row.shard)
                    _leave(taken)
        except BaseException:
            if self._running is task:
                _leave(self._waiting)
            raise
        finally:
            if self._running is task:
                self._running = None
        free = any(each.row.shard not in self._under_way for each in self._waiting)
        if self._running is None and free:  # it waited for what was under way
            self._running = asyncio.create_task(self._run())

    def _take(self) -> list[_Waiting]:
        """What waits, but for shards that are under way: their order is that of their commits."""
        taken, self._waiting = self._waiting, []
        under_way = self._under_way
        if under_way:
            self._waiting = [each for each in taken if each.row.shard in under_way]
        taken = [each for each in taken if not each.done.done() and each.row.shard not in under_way]
        for each in taken:
            under_way.add(each.row.shard)
        return taken


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
    if len(waiting) == 1:  # as a rule, and it needs no task of its own
        [alone] = waiting
        await _settle(alone, alone.journal.append_alone(alone.row))
        return
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
