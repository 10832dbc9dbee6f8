"""A load caller, a process of its own: sends bytes made beforehand, keeps replies, counts later.

`python -m bench.callers` reads one Plan as JSON from standard input, loads its template, says
"ready", waits for "go", and prints one Result as JSON. While the clock runs it neither serialises
nor parses: requests are bytes already, replies are kept as bytes and are checked afterwards, every
one of them. Keeps `in_flight` calls open on one connection until time and distinct ids are reached.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import grpc
import msgspec
import psutil
import uvloop
from msgspec import Struct

from bench.batches import Template, read, with_hold
from ledger.v1 import decision_pb2, usage_pb2

CALL_TIMEOUT_S: Final = 120
RUN_NS_MAX: Final = 300_000_000_000
MESSAGE_BYTES_MAX: Final = 16 << 20
INGEST: Final = "/ledger.v1.UsageService/Ingest"
CHECK: Final = "/ledger.v1.DecisionService/Check"
CHECK_MANY: Final = "/ledger.v1.DecisionService/CheckMany"
DECIDE_STREAM: Final = "/ledger.v1.DecisionService/DecideStream"
AUTHORIZE: Final = "/ledger.v1.DecisionService/Authorize"
DEBIT: Final = "/ledger.v1.DecisionService/Debit"
CAPTURE: Final = "/ledger.v1.DecisionService/Capture"


Call = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class Plan(Struct, frozen=True, kw_only=True):
    """What to send. `prepared` messages get their ids before the clock runs.

    With `capture`, a template beside the other, a call is two: a hold, then its capture.
    """

    target: str
    method: str
    template: str
    tag: str
    prepared: int
    in_flight: int
    warmup_ms: int
    duration_ms: int
    distinct: int
    charges: bool  # whether every reply must charge exactly what is due
    pids: dict[str, int]  # processes whose CPU time is read as the window opens and closes
    trees: dict[str, int]  # the same for processes with all that descends from them
    capture: str = ""
    stream: bool = False  # messages of items on one stream, as many as the server takes


class Result(Struct, frozen=True, kw_only=True):
    """What came back. The window opens after the warm-up; `all_` counts are of the whole run."""

    window_ns: int
    calls: int
    items: int
    distinct: int
    latencies_us: list[int]
    cpu_us: dict[str, int]  # in the window: user and system
    caller_cpu_us: int
    all_calls: int
    all_items: int
    all_outcomes: dict[str, int]
    all_replayed: int
    all_replayed_expected: int
    faults: list[str]  # what did not answer as it must, at most ten
    late_tagged: int  # messages that got their ids while the clock ran


class Message(Struct, frozen=True):
    """One message to send and the template that it was made of."""

    payload: bytes
    template: Template


class Messages:
    """The messages of a run, without end: each pass over the template under a tag of its own."""

    def __init__(self, templates: list[Template], tag: str, prepared: int) -> None:
        self._templates = templates
        self._tag = tag
        self._ready = [self._make(index) for index in range(prepared)]
        self._next = 0

    def take(self) -> Message:
        """The next message."""
        index = self._next
        self._next += 1
        if index < len(self._ready):
            return self._ready[index]
        return self._make(index)

    @property
    def late(self) -> int:
        """Messages that were not ready when they were asked for."""
        return max(0, self._next - len(self._ready))

    def _make(self, index: int) -> Message:
        cycle, place = divmod(index, len(self._templates))
        template = self._templates[place]
        return Message(template.tagged(f"{self._tag}{cycle:04d}"), template)


class Answer(Struct, frozen=True):
    """One call: when it ended and how long it took, in ns, and what came back."""

    ended_ns: int
    took_ns: int
    template: Template
    reply: bytes


class Run:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._messages = Messages(read(Path(plan.template)), plan.tag, plan.prepared)
        self._captures: Messages | None = None
        if plan.capture:
            self._captures = Messages(read(Path(plan.capture)), plan.tag, plan.prepared)
        self._answers: list[Answer] = []
        self._sent: list[Template] = []  # on a stream
        self._faults: list[str] = []
        self._opens_ns = 0
        self._closes_ns = 0
        self._distinct = 0
        self._cpu: dict[str, int] = {}
        self._own_cpu = 0

    async def run(self) -> Result:
        """Send until the plan is fulfilled, wait for what is in flight, check every reply."""
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.enable_retries", 0),
        ]
        async with grpc.aio.insecure_channel(self._plan.target, options) as channel:
            await asyncio.wait_for(channel.channel_ready(), CALL_TIMEOUT_S)
            call: Call = channel.unary_unary(self._plan.method)
            capture: Call = channel.unary_unary(CAPTURE)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            self._opens_ns = time.monotonic_ns() + self._plan.warmup_ms * 1_000_000
            in_flight = range(self._plan.in_flight)
            if self._plan.stream:
                await self._stream(channel)
                return self._result_of_stream()
            await asyncio.gather(*[self._send(call, capture) for _ in in_flight])
        return self._result()

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        """Write items and keep replies until the window closes, then read what is still owed."""
        call: grpc.aio.StreamStreamCall[bytes, bytes]
        call = channel.stream_stream(self._plan.method)()
        nothing = Template(b"", 0, 0, 0)

        async def write() -> None:
            while not self._closes_ns:
                message = self._messages.take()
                self._sent.append(message.template)
                await call.write(message.payload)
            await call.done_writing()

        writing = asyncio.create_task(write())
        while isinstance(reply := await call.read(), bytes):
            now_ns = time.monotonic_ns()
            self._answers.append(Answer(now_ns, 0, nothing, reply))
            self._look_at_the_clock(now_ns, nothing)
        await writing

    def _result_of_stream(self) -> Result:
        outcomes: Counter[str] = Counter()
        charge = in_window = 0
        numbers: set[int] = set()
        for answer in self._answers:
            replies = decision_pb2.DecideStreamResponse.FromString(answer.reply).replies
            if self._opens_ns < answer.ended_ns <= self._closes_ns:
                in_window += len(replies)
            for reply in replies:
                numbers.add(reply.number)
                charge += reply.authorize.amount
                outcomes[decision_pb2.Decision.Name(reply.authorize.decision)] += 1
        items = sum([template.items for template in self._sent])
        if sum(outcomes.values()) != items:
            self._fault(f"{sum(outcomes.values())} answers to {items} items")
        due = sum([template.charge for template in self._sent])
        if charge != due:
            self._fault(f"replies hold {charge} where {due} is due")
        return Result(
            window_ns=self._closes_ns - self._opens_ns,
            calls=len(self._answers),
            items=in_window,
            distinct=items,
            latencies_us=[],
            cpu_us={name: us for name, us in self._cpu.items() if name != "caller"},
            caller_cpu_us=self._cpu.get("caller", 0),
            all_calls=len(self._answers),
            all_items=items,
            all_outcomes=dict(outcomes),
            all_replayed=0,
            all_replayed_expected=0,
            faults=self._faults,
            late_tagged=self._messages.late,
        )

    async def _send(self, call: Call, capture: Call) -> None:
        while not self._closes_ns and not self._faults:
            message = self._messages.take()
            following = self._captures.take() if self._captures is not None else None
            began_ns = time.monotonic_ns()
            try:
                reply = await call(message.payload, timeout=CALL_TIMEOUT_S)
                if following is not None:
                    hold_id = decision_pb2.AuthorizeResponse.FromString(reply).hold_id
                    message = following
                    reply = await capture(
                        with_hold(message.payload, hold_id), timeout=CALL_TIMEOUT_S
                    )
            except grpc.aio.AioRpcError as error:
                self._fault(f"{error.code().name}: {error.details()}")
                return
            now_ns = time.monotonic_ns()
            self._answers.append(Answer(now_ns, now_ns - began_ns, message.template, reply))
            self._look_at_the_clock(now_ns, message.template)

    def _look_at_the_clock(self, now_ns: int, template: Template) -> None:
        if now_ns < self._opens_ns or self._closes_ns:
            return
        if not self._cpu:
            self._opens_ns = now_ns  # the window opens with the end of a call
            self._cpu = self._read_cpu()
            return
        self._distinct += template.items - template.replayed
        elapsed_ns = now_ns - self._opens_ns
        reached = self._distinct >= self._plan.distinct
        if elapsed_ns >= self._plan.duration_ms * 1_000_000 and (
            reached or elapsed_ns > RUN_NS_MAX
        ):
            self._closes_ns = now_ns
            self._cpu = {name: us - self._cpu[name] for name, us in self._read_cpu().items()}

    def _read_cpu(self) -> dict[str, int]:
        plan = self._plan
        read = {name: cpu_us(pid) for name, pid in plan.pids.items()}
        read |= {name: tree_cpu_us(pid) for name, pid in plan.trees.items()}
        return read | {"caller": cpu_us(psutil.Process().pid)}

    def _result(self) -> Result:
        if not self._closes_ns and not self._faults:
            self._fault("no call ended in the window")
        window = [
            answer
            for answer in self._answers
            if self._opens_ns < answer.ended_ns <= self._closes_ns
        ]
        outcomes: Counter[str] = Counter()
        replayed = sum(self._check(answer, outcomes) for answer in self._answers)
        expected = sum(answer.template.replayed for answer in self._answers)
        return Result(
            window_ns=self._closes_ns - self._opens_ns,
            calls=len(window),
            items=sum(answer.template.items for answer in window),
            distinct=self._distinct,
            latencies_us=sorted(answer.took_ns // 1_000 for answer in window),
            cpu_us={name: us for name, us in self._cpu.items() if name != "caller"},
            caller_cpu_us=self._cpu.get("caller", 0),
            all_calls=len(self._answers),
            all_items=sum(answer.template.items for answer in self._answers),
            all_outcomes=dict(outcomes),
            all_replayed=replayed,
            all_replayed_expected=expected,
            faults=self._faults,
            late_tagged=self._messages.late,
        )

    def _check(self, answer: Answer, outcomes: Counter[str]) -> int:
        """Count one reply; how many of its items were replayed."""
        template, charge = answer.template, answer.template.charge
        if self._plan.capture:
            captured = decision_pb2.CaptureResponse.FromString(answer.reply)
            outcomes[usage_pb2.IngestOutcome.Name(captured.outcome)] += 1
            found, replayed = captured.charge, int(captured.replayed)
        elif self._plan.method == CHECK:
            check = decision_pb2.CheckResponse.FromString(answer.reply)
            outcomes[decision_pb2.Decision.Name(check.decision)] += 1
            found, replayed = check.charge, 0
        elif self._plan.method == CHECK_MANY:
            many = decision_pb2.CheckManyResponse.FromString(answer.reply)
            for number, count in Counter(many.decisions).items():
                outcomes[decision_pb2.Decision.Name(number)] += count
            found, replayed = sum(many.charges), 0
            if len(many.decisions) != template.items:
                self._fault(f"{len(many.decisions)} answers for {template.items} questions")
        elif self._plan.method == AUTHORIZE:
            hold = decision_pb2.AuthorizeResponse.FromString(answer.reply)
            outcomes[decision_pb2.Decision.Name(hold.decision)] += 1
            found, replayed = hold.amount, int(hold.replayed)
        else:
            found, replayed = self._count_batch(answer, outcomes)
        if self._plan.charges and found != charge:
            self._fault(f"a reply charges {found} where {charge} is due ({template.items} items)")
        return replayed

    def _count_batch(self, answer: Answer, outcomes: Counter[str]) -> tuple[int, int]:
        reply = usage_pb2.IngestResponse.FromString(answer.reply)
        if reply.HasField("compact"):
            numbers = list(reply.compact.outcomes)
            charge, replayed = sum(reply.compact.charges), len(reply.compact.replayed)
        else:
            numbers = [result.outcome for result in reply.results]
            charge = sum(result.charge for result in reply.results)
            replayed = sum(result.replayed for result in reply.results)
        if len(numbers) != answer.template.items:
            self._fault(f"{len(numbers)} outcomes for {answer.template.items} events")
        for number, count in Counter(numbers).items():
            outcomes[usage_pb2.IngestOutcome.Name(number)] += count
        return charge, replayed

    def _fault(self, text: str) -> None:
        if len(self._faults) < 10:
            self._faults.append(text)


def cpu_us(pid: int) -> int:
    """CPU time of a process so far, user and system, in microseconds; 0 where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return round((times.user + times.system) * 1_000_000)


def tree_cpu_us(pid: int) -> int:
    """The same of a process, its living descendants, and those that it has seen end."""
    try:
        root = psutil.Process(pid)
        times, below = root.cpu_times(), root.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0
    ended = round((times.children_user + times.children_system) * 1_000_000)
    return cpu_us(pid) + ended + sum(cpu_us(child.pid) for child in below)


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    result = uvloop.run(Run(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
