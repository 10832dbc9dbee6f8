"""The load generator: a trace or a uniform load through the client, paced or flat out.

Opens the accounts that it loads, unless it is told which to use. Ids follow from the options alone,
so the same command again sends the same events, and the ledger answers them as replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Final

import grpc

from ledger.client import DrawdownClient, Limits, Refused, RetryPolicy, UsageEvent
from ledger.demo.tally import Tally
from ledger.demo.workload import TRACES, batched, repeated_trace, uniform_events
from ledger.v1 import types_pb2

UNIFORM: Final = "uniform"
WORKLOADS: Final = (*TRACES, UNIFORM)
UNIFORM_EVENTS: Final = 100_000  # where no number is given
GRANT_MAJOR: Final = 1_000_000_000  # enough for any load, in major units of the card's asset
SCALE_MAX: Final = 9  # with it GRANT_MAJOR fits an int64

Watch = Callable[[str, int, int], None]
"""Told of progress: (what, events done, events in all)."""


class LoadRefused(Exception):
    """The load cannot run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to send, and how. `run` is part of every id: another run sends other events."""

    address: str = "127.0.0.1:8433"
    tenant: str = "default"
    workload: str = "azure-code"
    """One of WORKLOADS."""
    events: int = 0
    """How many; a trace is repeated with new ids. 0 = the trace once, or 100,000."""
    seconds: int = 0
    """Spread them over so long, with the gaps of the trace. 0 = flat out."""
    batch: int = 1_000
    in_flight: int = 8
    accounts: tuple[str, ...] = ()
    """Accounts to charge, which must exist; none = accounts of its own, opened as needed."""
    own_accounts: int = 100
    run: str = "load"
    stream: bool = False
    """Send batches on one IngestStream instead of an Ingest call each."""
    plain: bool = False
    credentials: grpc.ChannelCredentials | None = None
    metadata: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError with the option and its value."""
        if self.workload not in WORKLOADS:
            raise ValueError(f"workload {self.workload!r} is none of {', '.join(WORKLOADS)}")
        if not 1 <= self.batch <= 8_192:
            raise ValueError(f"batch is 1 to 8,192 events, not {self.batch}")
        for name in ("in_flight", "own_accounts"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is 1 or more, not {getattr(self, name)}")
        for name in ("events", "seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)}")
        if not 1 <= len(self.run.encode()) <= 64:
            raise ValueError(f"run is 1 to 64 bytes, not {self.run!r}")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What came of it. Times in microseconds; charges in minor units."""

    workload: str
    run: str
    events: int
    batches: int
    took_us: int
    events_per_s: int
    p50_us: int
    """Of a batch, from handing it to the client to having every outcome."""
    p99_us: int
    outcomes: dict[str, int]
    reasons: dict[str, int]
    replayed: int
    over_limit: int
    charges: list[dict[str, Any]] = field(default_factory=list)
    example: str = ""
    """The message of one event that was not applied; "" where all were."""


def run_load(options: LoadOptions, watch: Watch | None = None) -> LoadReport:
    """Run a load to its end. Raises LoadRefused, and DrawdownError of the client."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load(options, watch))


async def load(options: LoadOptions, watch: Watch | None = None) -> LoadReport:
    """The same on a running loop."""
    limits = Limits(
        batch_events=options.batch,
        worth_events=options.batch,
        in_flight=options.in_flight,
        ordered=False,
        pending_events=max(65_536, 2 * options.batch * options.in_flight),
    )
    async with DrawdownClient(
        options.address,
        tenant=options.tenant,
        plain=options.plain,
        streaming=options.stream,
        limits=limits,
        retry=RetryPolicy(give_up_us=60_000_000),
        credentials=options.credentials,
        metadata=options.metadata,
    ) as client:
        accounts = options.accounts or await _own_accounts(client, options, watch)
        sending = _Sending(client, options, accounts, watch)
        return await sending.run()


class _Sending:
    """Batches handed out to as many tasks as may be in flight."""

    def __init__(
        self,
        client: DrawdownClient,
        options: LoadOptions,
        accounts: tuple[str, ...],
        watch: Watch | None,
    ) -> None:
        events, self._length_us, self._total = _events_of(options, accounts)
        self._client = client
        self._options = options
        self._watch = watch
        self._batches: Iterator[tuple[int, list[UsageEvent]]] = batched(events, options.batch)
        self._tally = Tally()
        self._began_us = 0

    async def run(self) -> LoadReport:
        self._began_us = _now_us()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._options.in_flight):
                group.create_task(self._worker())
        return self._report(_now_us() - self._began_us)

    async def _worker(self) -> None:
        for offset_us, batch in self._batches:
            await self._pace(offset_us)
            sent_us = _now_us()
            outcomes = await self._client.ingest(batch)
            self._tally.add(outcomes, _now_us() - sent_us)
            self._tell()

    async def _pace(self, offset_us: int) -> None:
        if not self._options.seconds:
            return
        due_us = offset_us * self._options.seconds * 1_000_000 // max(self._length_us, 1)
        delay_us = self._began_us + due_us - _now_us()
        if delay_us > 0:
            await asyncio.sleep(delay_us / 1_000_000)

    def _tell(self) -> None:
        if self._watch is not None:
            self._watch(f"loading {self._options.workload}", self._tally.events, self._total)

    def _report(self, took_us: int) -> LoadReport:
        tally = self._tally
        return LoadReport(
            workload=self._options.workload,
            run=self._options.run,
            events=tally.events,
            batches=len(tally.latencies_us),
            took_us=took_us,
            events_per_s=tally.events * 1_000_000 // max(took_us, 1),
            p50_us=tally.percentile_us(50),
            p99_us=tally.percentile_us(99),
            outcomes=dict(tally.outcomes.most_common()),
            reasons=dict(tally.reasons.most_common()),
            replayed=tally.replayed,
            over_limit=tally.over_limit,
            charges=[
                {"asset": asset, "scale": scale, "amount": str(amount)}
                for (asset, scale), amount in sorted(tally.charges.items())
            ],
            example=tally.example.message if tally.example is not None else "",
        )


def _events_of(
    options: LoadOptions, accounts: tuple[str, ...]
) -> tuple[Iterator[tuple[int, UsageEvent]], int, int]:
    """(the events, the time that they span in microseconds, how many)."""
    if options.workload == UNIFORM:
        count = options.events or UNIFORM_EVENTS
        return uniform_events(accounts, options.run, count), count * 1_000, count
    trace = TRACES[options.workload]
    requests = list(trace.requests())
    count = options.events or len(requests)
    repeats, rest = divmod(count - 1, len(requests))
    length_us = repeats * (requests[-1].offset_us + 1_000_000) + requests[rest].offset_us
    return repeated_trace(trace, accounts, options.run, count), length_us, count


async def _own_accounts(
    client: DrawdownClient, options: LoadOptions, watch: Watch | None
) -> tuple[str, ...]:
    """Accounts of the load, each a family with a grant that never runs out; opened once."""
    newest = [version async for version in client.list_rate_cards("default")][:1]
    if not newest:
        raise LoadRefused(
            'the ledger has no rate card "default": run `drawdown import-prices` first, or name '
            "accounts that have a card of their own"
        )
    asset, scale = newest[0].asset, newest[0].asset_scale
    amount = GRANT_MAJOR * 10 ** min(scale, SCALE_MAX)
    names = tuple(f"load-{number:04d}" for number in range(options.own_accounts))
    done = 0

    async def open_account(name: str) -> None:
        nonlocal done
        try:
            await client.create_account(name, request_id=f"load-open-{name}")
        except Refused as refused:
            if refused.reason != "ACCOUNT_EXISTS":
                raise
        try:
            await client.issue_grant(
                name,
                asset,
                amount,
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
                external_key=f"load-{asset}",
                request_id=f"load-grant-{asset}",
            )
        except Refused as refused:
            if refused.reason not in ("GRANT_KEY_TAKEN", "CONFLICT"):
                raise
        done += 1
        if watch is not None:
            watch("opening accounts", done, len(names))

    for first in range(0, len(names), 50):
        await asyncio.gather(*(open_account(name) for name in names[first : first + 50]))
    return names


def _now_us() -> int:
    return monotonic_ns() // 1_000


def describe_report(report: LoadReport) -> str:
    """The report for a person, in a few lines of plain text."""
    lines = [
        f"{report.events:,} events in {report.took_us / 1_000_000:.2f} s: "
        f"{report.events_per_s:,} events/s",
        f"a batch: p50 {report.p50_us / 1_000:.1f} ms, p99 {report.p99_us / 1_000:.1f} ms "
        f"({report.batches:,} batches)",
        "outcomes: " + ", ".join(f"{name} {count:,}" for name, count in report.outcomes.items()),
    ]
    if report.replayed:
        lines.append(f"{report.replayed:,} of them were recorded before (replayed)")
    if report.example:
        lines.append(f"for example: {report.example}")
    return "\n".join(lines)
