"""A command of ours as a child process: started again when it dies, gone when we are gone.

The child reads our pipe and ends when it closes, so that a server that is killed leaves none
behind. For work that takes up where it was at any moment: the projector, the sealer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Final

RESTART_DELAY_MIN_S: Final = 1
RESTART_DELAY_MAX_S: Final = 30
STABLE_S: Final = 60  # after this long a death counts as the first again
STOP_TIMEOUT_S: Final = 10

logger = logging.getLogger(__name__)


class SideProcess:
    """`start` once, then `stop`."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """`drawdown` with these arguments and --until-input-ends, and these variables."""
        self.restarts = 0
        self._name = name
        self._arguments = (*arguments, "--until-input-ends")
        self._environment = dict(environment)
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Keep it running."""
        self._task = asyncio.create_task(self._keep(), name=self._name)

    async def stop(self) -> None:
        """End it, and wait until it is gone."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _keep(self) -> None:
        delay_s = RESTART_DELAY_MIN_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *("-m", "ledger.cli", *self._arguments),
                    stdin=PIPE,
                    stdout=DEVNULL,
                    env={**os.environ, **self._environment},
                    start_new_session=True,  # Ctrl-C is for the server, which then ends the child
                )
            except OSError as error:  # no memory, no process, or no file is left
                how = f"cannot be started ({error})"
            else:
                how = f"ended with code {await self._process.wait()}"
            if loop.time() - started > STABLE_S:
                delay_s = RESTART_DELAY_MIN_S
            logger.warning("the %s %s; again in %s s", self._name, how, delay_s)
            self.restarts += 1
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RESTART_DELAY_MAX_S)
