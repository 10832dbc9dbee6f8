"""Rate cards checked in a process of their own, so that no publication stops the writers' loop.

The child starts with the first card, ends when it has had none for a while, and is gone when we
are: it reads our pipe. Questions and answers are frames of msgpack, one after the other. What is
asked stands in `ledger.api.card_check`.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import IO, Final

import msgspec

from ledger.api.card_check import CheckedCard, check_card
from ledger.niceness import stand_back

IDLE_S: Final = 60  # then the child ends
TIMEOUT_S: Final = 60  # a check; the largest card takes a few seconds
STOP_TIMEOUT_S: Final = 10
HEAD_BYTES: Final = 4  # of a frame: its length
NICENESS: Final = 5  # beside a server on the same cores

_encoder: Final = msgspec.msgpack.Encoder()
_question: Final = msgspec.msgpack.Decoder(
    tuple[bytes, bytes | None, bytes | None, tuple[bytes, ...]]
)
_answer: Final = msgspec.msgpack.Decoder(CheckedCard)


class CheckFailed(Exception):
    """The process ended twice amid one card, or took too long; nothing was published."""


class CardProcess:
    """A `CardChecker`: `check` as often as there are cards, then `stop`."""

    def __init__(self, idle_s: int = IDLE_S) -> None:
        self._idle_s = idle_s
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._asked: set[asyncio.Task[CheckedCard]] = set()

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def check(
        self,
        message: bytes,
        latest: bytes | None,
        costs: bytes | None = None,
        namers: Sequence[bytes] = (),
    ) -> CheckedCard:
        """See `check_card`. A caller that gives up leaves the exchange whole.

        Raises CheckFailed.
        """
        task = asyncio.create_task(self._check(_encoder.encode((message, latest, costs, namers))))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """End the child, and wait until it is gone."""
        for task in [*self._asked]:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            await _killed(process)

    async def _check(self, question: bytes) -> CheckedCard:
        async with self._turn:
            for _ in range(2):  # a child that was idle may end just as it is asked
                process = await self._running()
                try:
                    async with asyncio.timeout(TIMEOUT_S):
                        return _answer.decode(await _exchange(process, question))
                except (ConnectionError, asyncio.IncompleteReadError):
                    await _killed(process)
                except TimeoutError as error:
                    await _killed(process)
                    raise CheckFailed(f"a rate card took longer than {TIMEOUT_S} s") from error
                except BaseException:  # we stop: what it still says answers nothing
                    await _killed(process)
                    raise
            raise CheckFailed("the process that checks rate cards ended twice amid one of them")

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "ledger.card_process", str(self._idle_s)),
                stdin=PIPE,
                stdout=PIPE,
                start_new_session=True,  # Ctrl-C is for the server, which then ends the child
            )
        return self._process


async def _exchange(process: Process, question: bytes) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    if process.stdin.is_closing():  # it ended, and its code is still to come
        raise ConnectionResetError("the process that checks rate cards has ended")
    process.stdin.write(len(question).to_bytes(HEAD_BYTES))
    process.stdin.write(question)
    await process.stdin.drain()
    head = await process.stdout.readexactly(HEAD_BYTES)
    return await process.stdout.readexactly(int.from_bytes(head))


async def _killed(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def answer_all(questions: IO[bytes], answers: IO[bytes], idle_s: int) -> None:
    """The child: answer until there is nobody, or nothing for so long after an answer."""
    patience_s: int | None = None
    while select.select([questions], [], [], patience_s)[0]:
        patience_s = idle_s
        head = questions.read(HEAD_BYTES)
        if len(head) < HEAD_BYTES:
            return
        asked = _question.decode(questions.read(int.from_bytes(head)))
        answer = _encoder.encode(check_card(*asked))
        answers.write(len(answer).to_bytes(HEAD_BYTES))
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    stand_back(NICENESS)
    answer_all(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]))
