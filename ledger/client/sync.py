"""`DrawdownClient` for programs that do not await: the same calls, the same arguments.

    with DrawdownClient("127.0.0.1:8433", source="api") as client:
        outcome = client.record(UsageEvent("e-1", "acme", {"input_tokens": 1_200}))

A shell around the asynchronous client, which runs on a loop in a thread of its own. Threads may
share a client: events that they record one by one share batches. Leases are held (`hold_lease`) on
a loop only; their calls are here. Not to be carried over a fork.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from ledger.client import aio, metered
from ledger.client.looping import LoopThread
from ledger.client.sync_calls import SyncCalls
from ledger.v1 import decision_pb2 as pb

P = ParamSpec("P")
T = TypeVar("T")


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
        """See aio.DrawdownClient.close; ends the thread."""
        try:
            self._loop.run(self._client.close())
        finally:
            self._loop.stop()

    @property
    def position(self) -> str:
        """The furthest position that replies have shown: `min_position` for another client."""
        return self._client.position

    def saw(self, position: str) -> None:
        """Reads of this client are to see what another process was told of at that position."""
        self._client.saw(position)

    @property
    def pending_events(self) -> int:
        """Usage events that wait or are in flight."""
        return self._client.pending_events

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


class MeteredCall:
    """One call of a model while it runs; see metered.MeteredCall. May be metered by any thread."""

    def __init__(self, call: metered.MeteredCall, loop: LoopThread) -> None:
        self._call = call
        self._loop = loop
        self._lock = threading.Lock()

    @property
    def decision(self) -> pb.AuthorizeResponse | None:
        """What Authorize answered; None before the block is entered."""
        return self._call.decision

    @property
    def settled(self) -> pb.CaptureResponse | pb.ReleaseResponse | None:
        """What Capture or Release answered; None before."""
        return self._call.settled

    @property
    def used(self) -> Mapping[str, int]:
        """What was metered so far, by quantity."""
        return self._call.used

    @property
    def hold_id(self) -> str:
        """The hold; "" before the block is entered."""
        return self._call.hold_id

    @property
    def allowed_quantity(self) -> int:
        """Of a call with `up_to`: how much of that quantity is held for."""
        return self._call.allowed_quantity

    @property
    def instead(self) -> pb.Ruling | None:
        """The work that is to run in the stead of what was asked for; None = what was asked for."""
        return self._call.instead

    def add(self, **quantities: int) -> None:
        """So much more was used, in minor units of the meters."""
        self.add_all(quantities)

    def add_all(self, quantities: Mapping[str, int]) -> None:
        """The same for names that are no names of arguments."""
        with self._lock:
            self._call.add_all(quantities)

    def set(self, **quantities: int) -> None:
        """So much was used in all: what a model reports at the end instead of what was counted."""
        with self._lock:
            self._call.set(**quantities)

    def metering(self, chunks: Iterable[T], count: Callable[[T], Mapping[str, int]]) -> Iterator[T]:
        """The chunks as they come; `count` says what each of them used."""
        for chunk in chunks:
            self.add_all(count(chunk))
            yield chunk

    def __enter__(self) -> Self:
        """Hold. Raises Denied, Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        self._loop.run(self._call.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Settle; see metered.MeteredCall."""
        self._loop.run(self._call.__aexit__(kind, error, traceback))
