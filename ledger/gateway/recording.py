"""What was let in while a shard was away, recorded when it is back: once, whatever dies between.

The question that nobody answered may have held all the same: so it is made final first (GetOutcome,
rule I5). Where it holds, what was used is captured from the hold; where it does not, it is a usage
event with the key of the request, so a second record of it is a replay or a CONFLICT and charges
nothing. Nothing used: the event is abandoned under its id, so that no estimate can follow it. Of
what nobody settled by the end of its lifetime the estimate is recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from ledger.api.calls import Call, Detached
from ledger.api.edge import Edge
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import PassedOn
from ledger.api.gate import Gate
from ledger.api.tracing import Away, Span, Telemetry
from ledger.auth.gateway_keys import GatewayKeys
from ledger.auth.principal import Principal
from ledger.client.guarded import DecidedBy
from ledger.engine.clock import Clock
from ledger.gateway.inside import DECISIONS, JOURNAL, USAGE, Inside
from ledger.gateway.let_in import SOURCE, LetIn
from ledger.gateway.open_spool import Entry, OpenSpool, monotonic_us
from ledger.journal.errors import JournalError
from ledger.v1 import decision_pb2, journal_pb2, usage_pb2

ROUND_S: Final = 1.0  # between two looks at what is due, and after a failure
LEARN_S: Final = 10.0  # between two looks for fail modes, of a server that may have no shard
PATIENCE_S: Final = 10.0  # for one record
AT_ONCE: Final = 64  # records under way
NS_A_US: Final = 1_000
INGEST: Final = f"{USAGE}/Ingest"
CAPTURE: Final = f"{DECISIONS}/Capture"
RELEASE: Final = f"{DECISIONS}/Release"
OUTCOME: Final = f"{JOURNAL}/GetOutcome"

Counted = Callable[[str], object]
"""Told what became of each."""

_RECORDED: Final = (
    usage_pb2.INGEST_OUTCOME_APPLIED,
    usage_pb2.INGEST_OUTCOME_SUSPENSE,
    usage_pb2.INGEST_OUTCOME_QUARANTINED,
)
_UNDECIDED: Final = (usage_pb2.INGEST_OUTCOME_RETRY, usage_pb2.INGEST_OUTCOME_UNKNOWN)

_log = logging.getLogger(__name__)


class Recorded(StrEnum):
    """What became of one."""

    RECORDED = "RECORDED"  # as usage
    CAPTURED = "CAPTURED"  # from the hold that the question had made
    NOTHING_USED = "NOTHING_USED"
    BEFORE = "RECORDED_BEFORE"  # by a server that was told before, or another one
    REFUSED = "REFUSED"  # for good; the log says why


class NotYet(Exception):
    """The ledger cannot say; ask again."""


class Recording:
    """Records one, with whatever patience its caller has."""

    def __init__(
        self,
        inside: Inside,
        clock: Clock,
        gate: Gate | None,
        principal: Principal,
        telemetry: Telemetry,
    ) -> None:
        """`principal`: this server's own; what may be let in was asked of the gateway's."""
        self._inside = inside
        self._clock = clock
        self._gate = gate
        self._principal = principal
        self._telemetry = telemetry

    async def record(
        self, let_in: LetIn, used: Mapping[str, int], *, is_estimate: bool = False
    ) -> Recorded:
        """Raises NotYet. What is final is a span of the trace of the request, linked to what let
        it in; its entries bear that trace."""
        started_us, span = monotonic_us(), self._telemetry.away_started(let_in.traceparent)
        code = "OK"
        try:
            async with asyncio.timeout(PATIENCE_S):
                method, recorded = await self._record(let_in, used, is_estimate, span)
        except TimeoutError:
            raise NotYet("DEADLINE") from None
        except Exception as error:
            failure = error.failure() if isinstance(error, PassedOn) else failure_of(error)
            if failure is None:
                raise
            if TABLE[failure.reason].retryable:
                raise NotYet(failure.reason) from error
            _log.warning("what %s used was not recorded: %s", let_in, failure)
            method, recorded, code = INGEST, Recorded.REFUSED, failure.code.name
        said = {"drawdown.outcome": str(recorded), "drawdown.product": let_in.product}
        said["drawdown.decided_by"] = DecidedBy.FAIL_OPEN.value
        self._telemetry.away_ended(span, Away("gateway.record", said, method, code), started_us)
        return recorded

    async def _record(
        self, let_in: LetIn, used: Mapping[str, int], is_estimate: bool, span: Span | None
    ) -> tuple[str, Recorded]:
        """(the call that decided, what came of it)."""
        held = await self._held(let_in, span)
        if held:
            if is_estimate:
                return OUTCOME, Recorded.BEFORE  # the hold's own expiry decides (rule H2)
            return await self._settled(let_in, held, used, span)
        if not any(used.values()):
            await self._inside.outcome(
                journal_pb2.GetOutcomeRequest(
                    tenant=let_in.tenant,
                    account=let_in.account,
                    usage=journal_pb2.UsageKey(source=SOURCE, id=let_in.key),
                    abandon=True,
                ),
                self._call(let_in, span),
            )
            return OUTCOME, Recorded.NOTHING_USED
        reply = await self._inside.ingest(
            usage_pb2.IngestRequest(tenant=let_in.tenant, events=[let_in.event(used)]),
            self._call(let_in, span),
        )
        [result] = reply.results
        if result.outcome in _UNDECIDED:
            raise NotYet(result.reason)
        if result.outcome in _RECORDED:
            return INGEST, Recorded.BEFORE if result.replayed else Recorded.RECORDED
        if result.outcome == usage_pb2.INGEST_OUTCOME_CONFLICT and is_estimate:
            return INGEST, Recorded.BEFORE  # what it really used, or that it used nothing
        _log.warning("what %s used was not recorded: %s %s", let_in, result.reason, result.message)
        return INGEST, Recorded.REFUSED

    async def _held(self, let_in: LetIn, span: Span | None) -> str:
        """The hold that the question made; "" = none, and none will be."""
        try:
            found = await self._inside.outcome(
                journal_pb2.GetOutcomeRequest(
                    tenant=let_in.tenant,
                    account=let_in.account,
                    request_id=let_in.key,
                    abandon=True,
                ),
                self._call(let_in, span),
            )
        except CallFailed as failed:
            if TABLE[failed.reason].retryable:
                raise
            return ""  # nothing can be recorded for the account; the usage will say why
        return found.authorize.hold_id

    async def _settled(
        self, let_in: LetIn, held: str, used: Mapping[str, int], span: Span | None
    ) -> tuple[str, Recorded]:
        request_id = f"settle/{held}"
        if any(used.values()):
            taken = await self._inside.capture(
                decision_pb2.CaptureRequest(
                    tenant=let_in.tenant, request_id=request_id, hold_id=held, quantities=used
                ),
                self._call(let_in, span),
            )
            return CAPTURE, Recorded.BEFORE if taken.replayed else Recorded.CAPTURED
        await self._inside.release(
            decision_pb2.ReleaseRequest(tenant=let_in.tenant, request_id=request_id, hold_id=held),
            self._call(let_in, span),
        )
        return RELEASE, Recorded.NOTHING_USED

    def _call(self, let_in: LetIn, span: Span | None) -> Call:
        passed = (("traceparent", let_in.traceparent),) if let_in.traceparent else ()
        call = Call(Detached(passed), self._clock, span, self._gate)
        call.principal = self._principal
        return call


class Recorder:
    """Records what stands in a spool, and keeps the fail modes and the keys of tokens known, for as
    long as the server runs; `start`, then `stop`."""

    def __init__(
        self,
        spool: OpenSpool,
        recording: Recording,
        edge: Edge,
        counted: Counted,
        tenant: str,
        keys: GatewayKeys,
    ) -> None:
        """`tenant`: whose fail modes are known from the start."""
        self._spool = spool
        self._recording = recording
        self._edge = edge
        self._counted = counted
        self._tenant = tenant
        self._keys = keys
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Know the fail modes, and take up what a predecessor let in."""
        with contextlib.suppress(CallFailed, JournalError):
            await self._edge.tenant(self._tenant)
            await self._learn()
        self._tasks = [asyncio.create_task(each) for each in (self._record_all(), self._go_on())]

    async def stop(self) -> None:
        """What is not recorded stays on the disk, for whoever runs here next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._spool.close()

    async def _record_all(self) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(entry: Entry) -> None:
            async with slots:
                try:
                    await self._record(entry)
                except NotYet as why:
                    _log.info("%s stays on the disk: %s", entry.let_in.key, why)
                except Exception:
                    _log.exception("%s stays on the disk", entry.let_in.key)

        while True:
            self._spool.wake.clear()
            due = list(self._spool.due(time.time_ns() // NS_A_US))
            await asyncio.gather(*[one(entry) for entry in due])
            failed = any(self._spool.holds(entry) for entry in due)
            with contextlib.suppress(TimeoutError):
                if failed:
                    await asyncio.sleep(ROUND_S)
                else:
                    await asyncio.wait_for(self._spool.wake.wait(), ROUND_S)

    async def _record(self, entry: Entry) -> None:
        used = entry.used
        quantities = entry.estimate if used is None else used
        recorded = await self._recording.record(entry.let_in, quantities, is_estimate=used is None)
        if entry.used is used:  # nobody has said more meanwhile
            self._counted(recorded)
            self._edge.telemetry.recorded_after(entry.age_us)
            await self._spool.done(entry)

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(LEARN_S)
            with contextlib.suppress(JournalError):
                await self._learn()
                await self._keys.learn()

    async def _learn(self) -> None:
        """Fail modes that were published since: a server that has no shard is told of none."""
        for tenant in self._edge.known_tenants:
            await self._edge.ledger.configurations.read(tenant)
