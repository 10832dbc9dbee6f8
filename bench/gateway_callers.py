"""A caller of a gateway, a process of its own: plain HTTP on a few connections, at a steady rate.

`python -m bench.gateway_callers` reads one GatewayPlan as JSON, says "ready", waits for "go", and
prints one GatewayResult. A request is sent when it is due, whether or not others are answered, as
clients do; one that finds no free connection waits, and its time runs from when it was due.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import Final

import msgspec
import uvloop
from msgspec import Struct

from bench.callers import cpu_us

ANSWER_TIMEOUT_S: Final = 120


class GatewayPlan(Struct, frozen=True, kw_only=True):
    """What to ask. Accounts take turns."""

    target: str
    path: str
    accounts: list[str]
    connections: int
    rate: int  # requests a second
    warmup_ms: int
    duration_ms: int
    pids: dict[str, int]


class GatewayResult(Struct, frozen=True, kw_only=True):
    """What came back. The window opens after the warm-up."""

    window_ns: int
    latencies_us: list[int]  # sorted
    statuses: dict[str, int]  # of the whole run
    cpu_us: dict[str, int]


class Run:
    """One run of a plan."""

    def __init__(self, plan: GatewayPlan) -> None:
        self._plan = plan
        self._requests = [
            f"GET {plan.path} HTTP/1.1\r\nhost: bench\r\nx-account: {account}\r\n\r\n".encode()
            for account in plan.accounts
        ]
        self._took: list[tuple[int, int]] = []  # when it was due, and how long it took
        self._statuses = Counter[str]()

    async def run(self) -> GatewayResult:
        """See the module."""
        plan = self._plan
        free = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        host, _, port = plan.target.rpartition(":")
        for _ in range(plan.connections):
            free.put_nowait(await asyncio.open_connection(host, int(port)))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.monotonic_ns()
        opens = began + plan.warmup_ms * 1_000_000
        ends = opens + plan.duration_ms * 1_000_000
        step, number, before = 1_000_000_000 // plan.rate, 0, dict[str, int]()
        tasks = set[asyncio.Task[None]]()
        while (due := began + number * step) < ends:
            if not before and due >= opens:
                before = self._cpu()
            await asyncio.sleep((due - time.monotonic_ns()) / 1_000_000_000)
            task = asyncio.create_task(
                self._ask(free, self._requests[number % len(self._requests)], due)
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            number += 1
        after = self._cpu()
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            await asyncio.gather(*tasks)
        return GatewayResult(
            window_ns=ends - opens,
            latencies_us=sorted(took // 1_000 for due, took in self._took if due >= opens),
            statuses=dict(self._statuses),
            cpu_us={name: us - before[name] for name, us in after.items()},
        )

    async def _ask(
        self,
        free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
        request: bytes,
        due: int,
    ) -> None:
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        self._took.append((due, time.monotonic_ns() - due))
        self._statuses[head[9:12].decode()] += 1
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        free.put_nowait((reader, writer))

    def _cpu(self) -> dict[str, int]:
        return {name: cpu_us(pid) for name, pid in self._plan.pids.items()}


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=GatewayPlan)
    result = uvloop.run(Run(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
