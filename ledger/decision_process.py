"""Recorded decisions explained in processes of their own, so that no look back stops the writers.

One process a question, which reads the database and nothing of ours, and is gone when its question
is answered or given up, or when we are: it reads our pipe. What is asked stands in
`ledger.api.explaining_recorded`, what is answered in `ledger.api.deciding_again`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Iterable
from typing import Final

import msgspec

from ledger.api.assets import Assets
from ledger.api.deciding_again import Unexplained, explain_again
from ledger.api.explaining_recorded import Answered, ExplainersBusy, ExplanationFailed, Question
from ledger.core.events import Event
from ledger.core.upcast import UPCASTS
from ledger.engine.configuration import ConfigurationMissing, Configurations
from ledger.engine.past import PastTooLong, Place, read_past
from ledger.engine.writer import Writer
from ledger.journal.codec import BatchCodec
from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, describe
from ledger.journal.errors import JournalCorrupt, JournalUnavailable
from ledger.journal.storage import PostgresStorage
from ledger.niceness import stand_back

AT_ONCE: Final = 2  # processes of one server; each takes a core, and the memory of one family
SECONDS_MAX: Final = 300  # of one answer
LINE_BYTES_MAX: Final = 16 << 20  # of an answer: hundreds of pots and budgets are 100 kB
NICENESS: Final = 10  # nobody waits for a look back to sell
GC_THRESHOLDS: Final = (100_000, 50, 100)  # entries hold no cycles


class DecisionProcesses:
    """An `Explainer`, for the database of a server."""

    def __init__(self, dsn: str, shards: int) -> None:
        self._dsn = dsn
        self._shards = shards
        self._running = 0

    async def explain(self, question: Question) -> Answered:
        """See `Explainer`."""
        if self._running >= AT_ONCE:
            raise ExplainersBusy
        self._running += 1
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await self._ask(question)
        except TimeoutError as error:
            raise ExplanationFailed(f"it took longer than {SECONDS_MAX} s") from error
        finally:
            self._running -= 1

    async def _ask(self, question: Question) -> Answered:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "ledger.decision_process"),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is for the server, which then ends it
            limit=LINE_BYTES_MAX,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            asked = _Asked(self._dsn, self._shards, question)
            process.stdin.write(msgspec.json.encode(asked) + b"\n")
            line = await process.stdout.readline()
            if not line:
                code = await process.wait()
                raise ExplanationFailed(f"the process that looks back ended with code {code}")
            answered = msgspec.json.decode(line, type=Answered)
            if answered.away:
                raise JournalUnavailable(answered.fault)
            if answered.fault:
                raise ExplanationFailed(answered.fault)
            return answered
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class _Asked(msgspec.Struct, frozen=True):
    """A question, and where to look."""

    dsn: str
    shards: int
    question: Question


class _Naming:
    """Names by the database; a `Naming`."""

    def __init__(self, storage: PostgresStorage, configurations: Configurations) -> None:
        self._storage = storage
        self.configurations = configurations
        self.writers: tuple[Writer, ...] = ()
        self.assets = Assets(self)

    async def names(self, numbers: Iterable[int]) -> dict[int, str]:
        """See `Naming`."""
        wanted = sorted(set(numbers) - {0})
        names = await self._storage.directory.names(wanted)
        return {0: "", **{number: names.get(number, "") for number in wanted}}


async def answer(asked: _Asked) -> Answered:
    """The child: the state before the entry, and why that came of it. Raises JournalUnavailable,
    JournalCorrupt, ConfigurationMissing, LookupError, Unexplained."""
    question = asked.question
    storage = await PostgresStorage.open(asked.dsn, asked.shards)
    try:
        configurations = Configurations(storage.configuration)
        past = await read_past(
            storage.journal(question.shard),
            storage.checkpoints(question.shard),
            configurations,
            BatchCodec(Event, UPCASTS),
            Place(question.tenant, question.root, question.batch_seq, question.in_batch),
        )
        account = past.state.accounts[past.events[past.state.batch_length].account]
        line = tuple([each.number for each in account.line()])
        said = await explain_again(_Naming(storage, configurations), past)
        return Answered(said.SerializeToString(), line)
    except PastTooLong as error:
        return Answered(entries=error.entries)
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"the look back was cut off: {describe(error)}") from error
    finally:
        await storage.close()


def _end_with_input() -> None:
    """Whoever started us is gone: nobody waits for the answer."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """See the module."""
    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Asked)
    threading.Thread(target=_end_with_input, daemon=True).start()
    gc.set_threshold(*GC_THRESHOLDS)
    stand_back(NICENESS)
    try:
        answered = asyncio.run(answer(asked))
    except JournalUnavailable as error:
        answered = Answered(fault=str(error), away=True)
    except (
        JournalCorrupt,
        ConfigurationMissing,
        LookupError,
        Unexplained,
    ) as error:
        answered = Answered(fault=str(error) or type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(answered) + b"\n")
    sys.stdout.buffer.flush()
    os._exit(0)  # an end of Python's own aborts while a thread reads our input


if __name__ == "__main__":
    main()
