"""User actions with one hold, for programs that do not await: what `sync.DrawdownClient.operation`
makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from ledger.client import operations
from ledger.client.looping import LoopThread
from ledger.client.metered import LIFETIME_US
from ledger.client.sync_metered import MeteredCall
from ledger.v1 import decision_pb2 as pb


class HeldOperation:
    """A user action while it runs; see operations.HeldOperation. Its calls may come of any
    thread."""

    def __init__(self, held: operations.HeldOperation, loop: LoopThread) -> None:
        self._held = held
        self._loop = loop

    def on_loop(self, loop: LoopThread) -> operations.HeldOperation:
        """For the client of that loop. Raises ValueError where it is another one's."""
        if loop is not self._loop:
            raise ValueError("the operation is of another client: hold for it by this client")
        return self._held

    @property
    def hold_id(self) -> str:
        """The hold; "" before the block is entered."""
        return self._held.hold_id

    @property
    def decision(self) -> pb.AuthorizeResponse | None:
        """What Authorize answered; None before the block is entered."""
        return self._held.decision

    def authorize(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        lifetime_us: int = 0,
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        request_id: str = "",
    ) -> pb.AuthorizeResponse:
        """Hold a call's estimate, of the operation's hold first."""
        asking = self._held.authorize(
            product,
            quantities,
            attributes,
            operation=operation,
            lifetime_us=lifetime_us,
            up_to=up_to,
            alternatives=alternatives,
            request_id=request_id,
        )
        return self._loop.run(asking)

    def check(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
    ) -> pb.CheckResponse:
        """What `authorize` would say of a call now; nothing is held."""
        asking = self._held.check(
            product,
            quantities,
            attributes,
            operation=operation,
            up_to=up_to,
            alternatives=alternatives,
        )
        return self._loop.run(asking)

    def metered(
        self,
        product: str,
        attributes: Mapping[str, str] | None = None,
        *,
        estimate: Mapping[str, int],
        operation: str = "",
        lifetime_us: int = LIFETIME_US,
        up_to: tuple[str, int] | None = None,
        request_id: str = "",
    ) -> MeteredCall:
        """A block that runs with units of the operation's hold held for `estimate`."""
        call = self._held.metered(
            product,
            attributes,
            estimate=estimate,
            operation=operation,
            lifetime_us=lifetime_us,
            up_to=up_to,
            request_id=request_id,
        )
        return MeteredCall(call, self._loop)

    def debit(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        request_id: str = "",
    ) -> pb.DebitResponse:
        """Charge a call's work from the hold first, if it is within every limit."""
        asking = self._held.debit(
            product,
            quantities,
            attributes,
            operation=operation,
            up_to=up_to,
            alternatives=alternatives,
            request_id=request_id,
        )
        return self._loop.run(asking)

    def meter(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        effective_at_us: int = 0,
        request_id: str = "",
    ) -> pb.CaptureResponse:
        """Charge what a call has used: from the hold first, what is above it as new usage."""
        asking = self._held.meter(
            product,
            quantities,
            attributes,
            operation=operation,
            effective_at_us=effective_at_us,
            request_id=request_id,
        )
        return self._loop.run(asking)

    def __enter__(self) -> Self:
        """Hold. Raises Denied, Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        self._loop.run(self._held.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give back what is left."""
        self._loop.run(self._held.__aexit__(kind, error, traceback))
