"""Callers of the SDK, one process: each task records one event, waits for its outcome, goes on.

`python -m bench.sdk_callers` reads one Plan from standard input and prints one Result, as
`bench.callers` does. What an application would do is done while the clock runs: events are made,
and the SDK makes messages of them and outcomes of the replies. Every outcome is checked afterwards.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from bench.batches import read
from bench.callers import Plan, Result, cpu_us, tree_cpu_us
from bench.workload import ID_MARK
from ledger.client import DrawdownClient, EventOutcome, UsageEvent
from ledger.v1 import usage_pb2

FAULTS_MAX: Final = 10


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._events: list[tuple[UsageEvent, int]] = []
        self._answers: list[tuple[int, int, int, EventOutcome]] = []  # ended, took in ns, due
        self._faults: list[str] = []
        self._opens_ns = self._closes_ns = self._in_window = self._taken = 0
        self._cpu: dict[str, int] = {}
        for template in read(Path(plan.template)):
            request = usage_pb2.IngestRequest.FromString(template.payload)
            self._events.append((_event(request), template.charge))

    async def run(self) -> Result:
        """Record until the time is over, then check every outcome."""
        plan = self._plan
        async with DrawdownClient(plan.target) as client:
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            self._opens_ns = time.monotonic_ns() + plan.warmup_ms * 1_000_000
            await asyncio.gather(*[self._record(client) for _ in range(plan.in_flight)])
        return self._result()

    async def _record(self, client: DrawdownClient) -> None:
        while not self._closes_ns and not self._faults:
            event, due = self._take()
            began_ns = time.monotonic_ns()
            outcome = await client.record(event)
            now_ns = time.monotonic_ns()
            self._answers.append((now_ns, now_ns - began_ns, due, outcome))
            self._look_at_the_clock(now_ns)

    def _take(self) -> tuple[UsageEvent, int]:
        cycle, place = divmod(self._taken, len(self._events))
        self._taken += 1
        event, due = self._events[place]
        return replace(event, id=event.id.replace(ID_MARK, f"{self._plan.tag}{cycle:04d}")), due

    def _look_at_the_clock(self, now_ns: int) -> None:
        if now_ns < self._opens_ns or self._closes_ns:
            return
        if not self._cpu:
            self._opens_ns = now_ns
            self._cpu = self._read_cpu()
            return
        self._in_window += 1
        if now_ns - self._opens_ns >= self._plan.duration_ms * 1_000_000:
            self._closes_ns = now_ns
            self._cpu = {name: us - self._cpu[name] for name, us in self._read_cpu().items()}

    def _read_cpu(self) -> dict[str, int]:
        read = {name: cpu_us(pid) for name, pid in self._plan.pids.items()}
        read |= {name: tree_cpu_us(pid) for name, pid in self._plan.trees.items()}
        return read | {"caller": time.process_time_ns() // 1_000}

    def _result(self) -> Result:
        outcomes: Counter[str] = Counter()
        for _, _, due, outcome in self._answers:
            outcomes[usage_pb2.IngestOutcome.Name(int(outcome.outcome))] += 1
            if outcome.charge != due and len(self._faults) < FAULTS_MAX:
                self._faults.append(f"charged {outcome.charge} where {due} is due")
        took = [
            took_ns // 1_000
            for ended_ns, took_ns, _, _ in self._answers
            if self._opens_ns < ended_ns <= self._closes_ns
        ]
        return Result(
            window_ns=self._closes_ns - self._opens_ns,
            calls=self._in_window,
            items=self._in_window,
            distinct=self._in_window,
            latencies_us=sorted(took),
            cpu_us={name: us for name, us in self._cpu.items() if name != "caller"},
            caller_cpu_us=self._cpu["caller"],
            all_calls=len(self._answers),
            all_items=len(self._answers),
            all_outcomes=dict(outcomes),
            all_replayed=sum(outcome.replayed for _, _, _, outcome in self._answers),
            all_replayed_expected=0,
            faults=self._faults,
            late_tagged=0,
        )


def _event(request: usage_pb2.IngestRequest) -> UsageEvent:
    [made] = request.events
    return UsageEvent(
        made.id,
        made.account,
        dict(made.quantities),
        made.product,
        dict(made.attributes),
        made.effective_at_us,
        request.source,
    )


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    result = uvloop.run(Run(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
