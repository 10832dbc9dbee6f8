"""The second half of an erasure: blank what stands beside the journal, in the background.

The directory has forgotten the account when this begins; what is pending stands there until it is
done, so that a restart goes on with it. No process may still write the erased names afterwards:
each is asked to forget them and to finish what it has accepted.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from ledger.api.forward_all import PeerCalls
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied
from ledger.journal.errors import JournalError
from ledger.journal.storage import PostgresStorage
from ledger.projections.scrub import forget_pending

RETRY_S_MIN: Final = 1
RETRY_S_MAX: Final = 32

_log = logging.getLogger(__name__)


class Eraser:
    """Blanks what erasures left, one pass at a time."""

    def __init__(self, ledger: Ledger, peers: PeerCalls) -> None:
        self._ledger = ledger
        self._peers = peers
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """There may be something pending."""
        self._wanted.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop where it stands; the next start goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def idle(self) -> None:
        """Return when nothing is being blanked."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        delay_s = RETRY_S_MIN
        while self._wanted.is_set():
            self._wanted.clear()
            try:
                await self._blank()
                delay_s = RETRY_S_MIN
            except (JournalError, NotApplied) as error:
                _log.warning("an erasure is not finished, tried again in %s s: %s", delay_s, error)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, RETRY_S_MAX)
                self._wanted.set()

    async def _blank(self) -> None:
        storage = self._ledger.storage
        if not isinstance(storage, PostgresStorage):
            return  # memory forgets as it is
        await self._peers.settle()  # what was in flight for the erased names is durable now
        await forget_pending(storage.pool, self._ledger.directory)
