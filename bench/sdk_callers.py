"""Callers of the SDK, one process: each task debits one piece of work, waits, and goes on.

`python -m bench.sdk_callers` reads one Plan from standard input and prints one Result, as
`bench.callers` does. What an application would do is done while the clock runs: it calls the SDK
with plain values, which makes messages of them. Every answer is checked afterwards.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvloop

from bench.batches import Template, read
from bench.callers import Plan, Result, cpu_us, tree_cpu_us
from bench.workload import ID_MARK
from ledger.client import DrawdownClient
from ledger.v1 import decision_pb2

FAULTS_MAX: Final = 10


class Work(NamedTuple):
    """What a caller asks for, and what it costs. The run's tag is still to be put into the id."""

    request_id: str
    account: str
    product: str
    quantities: dict[str, int]
    attributes: dict[str, str]
    due: int


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._work = [_work(template) for template in read(Path(plan.template))]
        self._answers: list[tuple[int, int, int, decision_pb2.DebitResponse]] = []
        """When it ended and how long it took, in ns; what is due; what came back."""
        self._faults: list[str] = []
        self._opens_ns = self._closes_ns = self._in_window = self._taken = 0
        self._cpu: dict[str, int] = {}

    async def run(self) -> Result:
        """Debit until the time is over, then check every answer."""
        plan = self._plan
        async with DrawdownClient(plan.target, pipelined=True) as client:
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            self._opens_ns = time.monotonic_ns() + plan.warmup_ms * 1_000_000
            await asyncio.gather(*[self._debit(client) for _ in range(plan.in_flight)])
        return self._result()

    async def _debit(self, client: DrawdownClient) -> None:
        while not self._closes_ns and not self._faults:
            request_id, work = self._take()
            began_ns = time.monotonic_ns()
            answer = await client.debit(
                work.account, work.product, work.quantities, work.attributes, request_id=request_id
            )
            now_ns = time.monotonic_ns()
            self._answers.append((now_ns, now_ns - began_ns, work.due, answer))
            self._look_at_the_clock(now_ns)

    def _take(self) -> tuple[str, Work]:
        cycle, place = divmod(self._taken, len(self._work))
        self._taken += 1
        work = self._work[place]
        return work.request_id.replace(ID_MARK, f"{self._plan.tag}{cycle:04d}"), work

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
        for _, _, due, answer in self._answers:
            outcomes[decision_pb2.Decision.Name(answer.decision)] += 1
            if answer.charge != due and len(self._faults) < FAULTS_MAX:
                self._faults.append(f"charged {answer.charge} where {due} is due")
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
            all_replayed=sum(answer.replayed for _, _, _, answer in self._answers),
            all_replayed_expected=0,
            faults=self._faults,
            late_tagged=0,
        )


def _work(template: Template) -> Work:
    """The work that a template asks a hold for."""
    asked = decision_pb2.AuthorizeRequest.FromString(template.payload)
    return Work(
        asked.request_id,
        asked.account,
        asked.product,
        dict(asked.quantities),
        dict(asked.attributes),
        template.charge,
    )


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    result = uvloop.run(Run(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
