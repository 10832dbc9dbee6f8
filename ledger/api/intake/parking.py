"""Usage for accounts and aliases that nobody knows yet (rule I2, `park_unknown`).

Keeps such events beside the journal and, when their name appears, records them in the order in
which they came. An event leaves the store only once it is durable in the journal; one that cannot
be recorded stays listed there, so that nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Final

from ledger.api.edge import Edge
from ledger.api.errors import Fault
from ledger.api.forward_all import NoCall
from ledger.api.intake.batches import Parsed
from ledger.api.intake.forward_usage import Spreader
from ledger.api.intake.parse_plain import parse_plain
from ledger.api.intake.plain_events import PlainEvents
from ledger.api.replies import Outcomes
from ledger.core.limits import FUTURE_TOLERANCE_US
from ledger.engine.ticket import NotApplied, NotAppliedReason, OutcomeUnknown
from ledger.journal.errors import JournalError
from ledger.journal.parked import LIST_DEFAULT, ParkedUsage, ParkOutcome
from ledger.v1 import usage_pb2 as pb

RETRY_S_MIN: Final = 1
RETRY_S_MAX: Final = 32
ROUND_S: Final = 15  # between two looks at all names that are waited for
_RECORDED: Final = (
    pb.INGEST_OUTCOME_APPLIED,
    pb.INGEST_OUTCOME_SUSPENSE,
    pb.INGEST_OUTCOME_QUARANTINED,
)
_UNDECIDED: Final = (pb.INGEST_OUTCOME_RETRY, pb.INGEST_OUTCOME_UNKNOWN)

_log = logging.getLogger(__name__)


class Parking:
    """Parks and, in the background, brings parked usage in."""

    def __init__(self, edge: Edge, spreader: Spreader) -> None:
        self._edge = edge
        self._spreader = spreader
        self._tasks: set[asyncio.Task[None]] = set()
        self._round: asyncio.Task[None] | None = None
        self._tried: dict[tuple[int, str], int] = {}  # events that stayed, when last tried

    # -- in --------------------------------------------------------------------------------------

    async def park(
        self, tenant: int, request: pb.IngestRequest, parsed: Parsed, outcomes: Outcomes
    ) -> None:
        """Keep the events of unknown accounts. Raises JournalUnavailable: send them again."""
        store = self._edge.ledger.parked
        events = PlainEvents(request)
        wanted: set[tuple[str, int]] = set()
        now_us = self._edge.now_us(tenant)
        for place in sorted(parsed.unknown):
            name = parsed.unknown[place]
            event = events.at(place)
            if event.effective_at_us > now_us + FUTURE_TOLERANCE_US:
                outcomes.fail(place, _in_future(event.effective_at_us))
                continue
            wanted.add((name, event.effective_at_us or now_us))
            body = event.SerializeToString(deterministic=True)
            match await store.park(tenant, name, event.source, event.id, body):
                case ParkOutcome.PARKED:
                    outcomes.park(place, name)
                case ParkOutcome.REPLAYED:
                    outcomes.park(place, name)
                    outcomes.replayed[place] = ""
                case ParkOutcome.CONFLICT:
                    message = "the id waits for its account with another body; that one stays"
                    outcomes.fail(place, Fault("CONFLICT", "event", event.id, message))
                case _:
                    message = "account, source and id: 1 to 128 bytes without NUL"
                    outcomes.fail(place, Fault("ID_INVALID", "id", event.id, message))
        # A name may have appeared between the look-up and the parking.
        found = await self._edge.ledger.directory.resolve(tenant, list(wanted))
        for name in {name for name, _ in found}:
            self.appeared(tenant, name)

    # -- out -------------------------------------------------------------------------------------

    def appeared(self, tenant: int, name: str) -> None:
        """An account or alias may exist now: bring in what waits for it, in the background."""
        self._spawn(partial(self.bring_in, tenant, name))

    def start(self, tenants: Iterable[int]) -> None:
        """Bring in what was left waiting for names that exist by now, and go on looking: an alias
        takes effect at its time, and other processes open accounts too."""
        for tenant in tenants:
            self._spawn(partial(self.bring_in_all, tenant))
        self._round = asyncio.create_task(_until_done(self._go_round))

    async def stop(self) -> None:
        """Stop where it stands; what is not recorded keeps waiting."""
        running = [*self._tasks] if self._round is None else [*self._tasks, self._round]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def idle(self) -> None:
        """Return when nothing is being brought in."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def bring_in(self, tenant: int, name: str) -> int:
        """Record what waits for a name, in order; returns how many events were recorded.

        What cannot be recorded stays where it is and keeps nothing behind it from being recorded.
        """
        store = self._edge.ledger.parked
        recorded = 0
        stays: set[tuple[str, str]] = set()
        while True:
            waiting = await store.waiting(tenant, name, LIST_DEFAULT + len(stays))
            untried = [parked for parked in waiting if _key_of(parked) not in stays][:LIST_DEFAULT]
            if not untried:
                return recorded
            with self._edge.ledger.underway.working():
                done = await self._record(tenant, untried)
            stays.update({_key_of(parked) for parked in untried}.difference(done))
            if done:
                recorded += len(done)
                await store.delete(tenant, name, done)

    async def _record(self, tenant: int, waiting: Sequence[ParkedUsage]) -> list[tuple[str, str]]:
        """(source, id) of those that are durable in the journal now."""
        edge = self._edge
        request = pb.IngestRequest(
            tenant=await edge.tenant_name(tenant), events=[_event_of(parked) for parked in waiting]
        )
        parsed = await parse_plain(
            edge.ledger, edge.shapes, edge.seats, edge.meters, tenant, request
        )
        outcomes = Outcomes(parsed.count, edge.assets)
        for place, fault in parsed.faults.items():
            outcomes.fail(place, fault)
        await self._spreader.submit(request, parsed, outcomes, NoCall())
        undecided = [
            outcomes.details[place]
            for place, outcome in enumerate(outcomes.outcomes)
            if outcome in _UNDECIDED
        ]
        if undecided:
            raise NotApplied(NotAppliedReason.NOT_OWNER, undecided[0].message, 0)
        done = []
        for place, outcome in enumerate(outcomes.outcomes):
            if outcome in _RECORDED:
                done.append(_key_of(waiting[place]))
            else:
                _log.warning("parked usage stays parked: %s", outcomes.details[place])
        return done

    async def bring_in_all(self, tenant: int) -> None:
        """Record what waits for any name that means an account by now, page by page.

        A name whose events all stayed is tried again only when their number has changed.
        """
        ledger = self._edge.ledger
        await ledger.sandboxes.refresh(tenant)
        after = ""
        while waiting := await ledger.parked.names(tenant, after=after):
            after = max(waiting)
            now_us = ledger.sandboxes.now_us(tenant)
            known = await ledger.directory.resolve(tenant, [(name, now_us) for name in waiting])
            for name in sorted({name for name, _ in known}):
                place, count = (tenant, name), waiting[name]
                if self._tried.get(place) != count:
                    stayed = count - await self.bring_in(tenant, name)
                    self._tried.pop(place, None)
                    if stayed > 0:
                        self._tried[place] = stayed

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            for tenant in await self._edge.ledger.directory.list_tenants():
                await self.bring_in_all(tenant.number)

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        task = asyncio.create_task(_until_done(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _until_done(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Try again, more and more patiently, until writers and storage answer."""
    delay_s = RETRY_S_MIN
    while True:
        try:
            await work()
            return
        except (NotApplied, OutcomeUnknown, JournalError) as error:
            _log.warning("parked usage waits on, tried again in %s s: %s", delay_s, error)
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RETRY_S_MAX)


def _key_of(parked: ParkedUsage) -> tuple[str, str]:
    return parked.source, parked.event_id


def _in_future(at_us: int) -> Fault:
    """As the writer would say: what is refused must not be kept (rule I2)."""
    message = f"more than {FUTURE_TOLERANCE_US} us after the server's clock; correct the sender's"
    return Fault("IN_FUTURE", "effective_at_us", str(at_us), message)


def _event_of(parked: ParkedUsage) -> pb.UsageEvent:
    """As it was sent: without a time it happened when the writer records it, so that whoever sends
    it again sends the same body (rule I1), and an alias given since means something by then."""
    return pb.UsageEvent.FromString(parked.body)
