"""`drawdown serve` whose loop is watched: how long it did not turn, and when.

`python -m bench.watched serve ...` is the real server and a timer of 1 ms on the loop of its
writers. Each time that it comes late is a line in the file that BENCH_PAUSES names: the monotonic
clock in ns, how late in us, and the CPU time of the loop's thread since the last time, in us.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # before gRPC, as ledger.cli does

from bench.ours import PAUSES
from ledger.cli import main, serving
from ledger.server import Server

TICK_S: Final = 0.001
TICK_US: Final = 1_000


class Watched(Server):
    """The server, watched from its start on."""

    async def start(self) -> None:
        """See Server."""
        self._spawn(_watch(Path(os.environ[PAUSES])))
        await super().start()


async def _watch(path: Path) -> None:
    with path.open("a") as out:
        while True:
            began_ns, began_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
            await asyncio.sleep(TICK_S)
            now_ns = time.monotonic_ns()
            late_us = (now_ns - began_ns) // 1_000 - TICK_US
            if late_us > TICK_US:
                cpu_us = (time.thread_time_ns() - began_cpu_ns) // 1_000
                out.write(f"{now_ns} {late_us} {cpu_us}\n")
                out.flush()


if __name__ == "__main__":
    serving.Server = Watched  # type: ignore[misc]
    main()
