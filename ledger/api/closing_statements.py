"""Closes statements that have ended: works out what each says, and has the writer record its hash.

A statement ends by an entry, by the clock or by a call; from then on it takes nothing more, so that
whoever comes by may close it, and however often: the figures are the same, and it is closed once.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import Final

from ledger.core.commands import CloseStatement
from ledger.core.events import StatementClosed
from ledger.core.identity import KEY_BYTES
from ledger.core.outcomes import Reason, Refusal
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, OutcomeUnknown, Replay
from ledger.journal.connection import Pool
from ledger.journal.errors import JournalError
from ledger.statements.figures import hash_of
from ledger.statements.reading import ToClose, read, to_close

POLL_S: Final = 1.0  # between two looks at what has ended
AWAY_S: Final = 5.0  # after a look that failed
AT_ONCE_MAX: Final = 64  # statements a look

_log = logging.getLogger(__name__)


class StatementCloser:
    """Closes, in the background, what has ended on the shards that are open here."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        self._ledger = ledger
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self._left: set[tuple[int, int]] = set()  # (account, statement): they do not add up

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._go_on())

    async def stop(self) -> None:
        """Stop where it stands: what has ended is closed by whoever has the shard next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def close_of(self, shard: int, account: int, statement: int) -> None:
        """Close one statement, if the read models know that it has ended and it is not closed.
        Raises NotApplied, OutcomeUnknown, JournalUnavailable."""
        for each in await to_close(self._pool, [shard], 1, account, statement):
            await self._close(each)

    async def round(self) -> int:
        """Close what has ended by now; how many statements that were."""
        shards = [writer.shard for writer in self._ledger.writers if writer.opened.is_set()]
        closed = 0
        for each in await to_close(self._pool, shards, AT_ONCE_MAX + len(self._left)):
            if (each.account, each.statement) in self._left:
                continue
            try:
                with self._ledger.underway.working():
                    closed += await self._close(each)
            except AssertionError:  # others are closed all the same; a restart tries again
                self._left.add((each.account, each.statement))
                _log.exception(
                    "statement %s of account %s does not add up and stays open: run `verify`, and "
                    "`rebuild` if it finds the read models wrong, then restart this server",
                    each.statement,
                    each.account,
                )
        return closed

    async def _close(self, ended: ToClose) -> bool:
        """Work it out and have it recorded; whether it was closed by this."""
        async with read(self._pool, ended.tenant, ended.shard, ended.account) as reading:
            statement = await reading.of(await reading.ended(), ended.statement)
        command = CloseStatement(
            key_of(ended.account, ended.statement),
            ended.account,
            ended.statement,
            ended.batch_seq,
            ended.head,
            hash_of(statement, ended.head),
        )
        ticket = await self._ledger.writers[ended.shard].submit([command])
        outcome = ticket.outcomes[0]
        if isinstance(outcome, Refusal) and outcome.reason != Reason.STATEMENT_CLOSED:
            _log.error("statement %s of account %s stays open: %s", ended.statement,
                       ended.account, outcome)  # fmt: skip
        if isinstance(outcome, Replay):
            return False
        return isinstance(outcome, StatementClosed)

    async def _go_on(self) -> None:
        while True:
            try:
                closed = await self.round()
                pause_s = 0.0 if closed >= AT_ONCE_MAX else POLL_S
            except (NotApplied, OutcomeUnknown, JournalError) as error:
                _log.warning("statements wait to be closed: %s", error)
                pause_s = AWAY_S
            await asyncio.sleep(pause_s)


def key_of(account: int, statement: int) -> bytes:
    """The identity of its closing: the server's own, and the same whoever closes it."""
    body = b"statement" + account.to_bytes(8, "big") + statement.to_bytes(8, "big")
    return blake2b(body, digest_size=KEY_BYTES).digest()
