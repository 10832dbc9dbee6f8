"""`DrawdownClient` for programs that do not await: the same calls, the same arguments.

    with DrawdownClient("127.0.0.1:8433", source="api") as client:
        outcome = client.record(UsageEvent("e-1", "acme", {"input_tokens": 1_200}))

A shell around the asynchronous client, which runs on a loop in a thread of its own. Threads may
share a client: events that they record one by one share batches. A client is opened after a fork,
not before (see forking); it may be made before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Concatenate, ParamSpec, Self

from ledger.client import aio, guarded, metered
from ledger.client.errors import ClientClosed
from ledger.client.events import EventOutcome, UsageEvent
from ledger.client.guarded import OpenBounds
from ledger.client.leases import HeldLease as HeldOnLoop
from ledger.client.limits import LeaseTerms
from ledger.client.local_prices import LocalPrices
from ledger.client.looping import LoopThread
from ledger.client.sync_calls import SyncCalls
from ledger.client.sync_guarded import Guard, GuardedCall
from ledger.client.sync_leases import HeldLease, LockedCore
from ledger.client.sync_metered import MeteredCall
from ledger.client.sync_operations import HeldOperation
from ledger.client.sync_spool import Spool
from ledger.client.sync_streams import Fed
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import lease_pb2

__all__ = [
    "DrawdownClient",
    "Guard",
    "GuardedCall",
    "HeldLease",
    "MeteredCall",
    "Session",
    "Spool",
]

P = ParamSpec("P")


def _with_arguments_of(
    maker: Callable[P, object],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    return lambda made: made


class DrawdownClient(SyncCalls):
    """One tenant's client; share it between threads. Arguments: see aio.DrawdownClient."""

    @_with_arguments_of(aio.DrawdownClient)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """See aio.DrawdownClient."""
        self._client = aio.DrawdownClient(*args, **kwargs)
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        """Fetch the shard map. Raises what `refresh_routing` raises."""
        try:
            self._loop.run(self._client.__aenter__())
        except BaseException:
            self._loop.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """See aio.DrawdownClient.close; ends the thread. Does nothing where it is closed, or in a
        process that was forked meanwhile: the client is the other one's."""
        if self._loop.gone:
            return
        try:
            self._loop.run(self._client.close())
        except ClientClosed:
            pass  # by another thread
        finally:
            self._loop.stop()

    @property
    def position(self) -> str:
        """The furthest position that replies have shown: `min_position` for another client."""
        return self._loop.look(lambda: self._client.position)

    def saw(self, position: str) -> None:
        """Reads of this client are to see what another process was told of at that position."""
        self._loop.look(lambda: self._client.saw(position))

    def session(self, position: str = "") -> Session:
        """Calls over this client whose reads see what the session's own replies have shown, and
        what `position` names, instead of all that this client has seen."""
        return Session(self, position)

    @property
    def pending_events(self) -> int:
        """Usage events that wait or are in flight."""
        return self._client.pending_events

    def ingest(self, events: Iterable[UsageEvent]) -> list[EventOutcome]:
        """Record usage; one outcome an event, in order. See aio.DrawdownClient.ingest."""
        return self._loop.run(self._client.ingest(list(events)))

    def named(self, event: UsageEvent) -> UsageEvent:
        """See aio.DrawdownClient.named."""
        return self._client.named(event)

    def submit(self, events: Iterable[UsageEvent]) -> Future[list[EventOutcome]]:
        """Record usage without waiting for the outcomes, and with a little patience for company.

        Returns once there was room for all: so callers cannot run ahead without bound. Events that
        were taken are recorded whatever becomes of the future, which cannot be cancelled.
        """
        given = list(events)
        outcomes: Future[list[EventOutcome]] = Future()
        outcomes.set_running_or_notify_cancel()

        async def begin() -> None:
            taken = await self._client.submit(given)
            taken.add_done_callback(lambda done: outcomes.set_result(done.result()))

        self._loop.run(begin())
        return outcomes

    def ingest_stream(
        self, events: Iterable[UsageEvent]
    ) -> Iterator[tuple[UsageEvent, EventOutcome]]:
        """Record usage over IngestStream; yields each event with its outcome, in order. The events
        are read in a thread of their own, ahead of the outcomes only as far as the limits of
        pending events allow."""
        return self._loop.each(self._client.ingest_stream(Fed(events).each()))

    def decide_stream(self, items: Iterable[pb.DecideItem]) -> Iterator[pb.DecideReply]:
        """Ask for many on one stream; see aio.DrawdownClient.decide_stream. The items are read in a
        thread of their own: an iterator may wait for replies to what it gave before."""
        return self._loop.each(self._client.decide_stream(Fed(items).each()))

    def hold_lease(
        self,
        account: str,
        product: str,
        terms: LeaseTerms,
        attributes: Mapping[str, str] | None = None,
        *,
        holder: str = "",
        source: str = "lease",
        on_lapse: lease_pb2.LeaseLapse.ValueType = lease_pb2.LEASE_LAPSE_RETURN,
        prices: LocalPrices | None = None,
        operation: str = "",
        operation_parent: str = "",
    ) -> HeldLease:
        """A lease to decide with, in any thread, kept up until it is closed; `prices` for
        `spend_priced`, `operation` for work of one."""
        caller = self._client._caller
        core: LockedCore[UsageEvent] = LockedCore(terms, caller.new_id())
        lease = HeldOnLoop(
            caller,
            self._client._settling,
            account,
            product,
            dict(attributes or {}),
            terms,
            holder or caller.new_id(),
            source,
            on_lapse,
            prices,
            core,
            operation=operation,
            operation_parent=operation_parent,
        )
        return HeldLease(lease, self._loop)

    def operation(
        self,
        account: str,
        operation: str,
        *,
        hold: int,
        lifetime_us: int = metered.LIFETIME_US,
        operation_parent: str = "",
        request_id: str = "",
    ) -> HeldOperation:
        """A block whose calls draw from one hold; see aio.DrawdownClient.operation."""
        held = self._client.operation(
            account,
            operation,
            hold=hold,
            lifetime_us=lifetime_us,
            operation_parent=operation_parent,
            request_id=request_id,
        )
        return HeldOperation(held, self._loop)

    def metered(
        self,
        account: str,
        product: str,
        attributes: Mapping[str, str] | None = None,
        *,
        estimate: Mapping[str, int],
        lifetime_us: int = metered.LIFETIME_US,
        up_to: tuple[str, int] | None = None,
        quote_id: str = "",
        request_id: str = "",
        alternatives: Sequence[pb.Alternative] = (),
        instead: bool = False,
    ) -> MeteredCall:
        """A block that runs with credits held for `estimate`, and is charged with what it metered;
        see aio.DrawdownClient.metered."""
        call = self._client.metered(
            account,
            product,
            attributes,
            estimate=estimate,
            lifetime_us=lifetime_us,
            up_to=up_to,
            quote_id=quote_id,
            request_id=request_id,
            alternatives=alternatives,
            instead=instead,
        )
        return MeteredCall(call, self._loop)

    def guard(
        self,
        spool: Spool,
        *,
        bounds: OpenBounds | None = None,
        patience_us: int = guarded.PATIENCE_US,
        again_us: int = guarded.AGAIN_US,
    ) -> Guard:
        """Metered calls that go by their product's fail mode while no server answers within
        `patience_us`; usage goes to the spool of this client, which is open. See guarded."""
        guard = self._client.guard(
            spool.on_loop(self._loop), bounds=bounds, patience_us=patience_us, again_us=again_us
        )
        return Guard(guard, self._loop)


class Session(DrawdownClient):
    """The same calls on the same connections and in the same batches, with a position of its own:
    for one user of many, whose reads are to wait for that user's writes and for no others. Made by
    `DrawdownClient.session`; needs no closing."""

    def __init__(self, client: DrawdownClient, position: str) -> None:
        self._client = client._client.session(position)
        self._loop = client._loop

    def __enter__(self) -> Self:
        """Nothing is to be opened."""
        return self

    def close(self) -> None:
        """The client stays open."""
