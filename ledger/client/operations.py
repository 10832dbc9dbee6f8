"""Around a user action with all its calls: units are held once, and calls draw from them.

    async with client.operation("acme", "run-17", hold=50_000_000) as run:
        found = await run.debit("search", {"queries": 3})
        await run.meter("chat", {"input_tokens": 900, "output_tokens": 250})
        async with run.metered("chat", estimate={"output_tokens": 4_000}) as call:
            call.add(output_tokens=3_100)

A debit is decided before its work runs, and may be denied; what is metered has happened, and is
charged whatever the hold has left; a metered block holds its estimate of the operation's units
while it runs. Each call is recorded once by its own request id. Every way out
of the block gives back what is left of the hold, as a metered call does, and a hold that is in use
is extended while the block runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from ledger.client.decisions import DecisionCalls
from ledger.client.metered import (
    LIFETIME_US,
    REQUEST_ID_BYTES_MAX,
    HoldCalls,
    MeteredCall,
    Request,
    Settling,
)
from ledger.v1 import decision_pb2 as pb


class OperationRequest(Request):
    """A hold that is asked for an operation with all its calls, under one id."""

    def __init__(
        self,
        account: str,
        operation: str,
        hold: int,
        lifetime_us: int,
        operation_parent: str,
        request_id: str,
    ) -> None:
        if lifetime_us < 1:
            raise ValueError(f"lifetime_us is 1 or more, not {lifetime_us}")
        if len(request_id.encode()) > REQUEST_ID_BYTES_MAX:
            raise ValueError(f"request_id has {REQUEST_ID_BYTES_MAX} bytes at most: {request_id!r}")
        what = f"operation {operation}"
        super().__init__(
            account, what, None, {}, lifetime_us, None, "", request_id, (), instead=False
        )
        self.operation = operation
        self.operation_parent = operation_parent
        self._hold = hold

    async def authorize(self, calls: DecisionCalls) -> pb.AuthorizeResponse:
        """Ask, under the one id."""
        return await calls.reserve_operation(
            self.account,
            self.operation,
            self._hold,
            lifetime_us=self.lifetime_us,
            operation_parent=self.operation_parent,
            request_id=self.request_id,
        )


class PartRequest(Request):
    """A hold of one call that is asked for of an operation's hold, under one id."""

    def __init__(
        self,
        of: OperationRequest,
        hold_id: str,
        product: str,
        attributes: Mapping[str, str] | None,
        estimate: Mapping[str, int],
        lifetime_us: int,
        up_to: tuple[str, int] | None,
        operation: str,
        request_id: str,
    ) -> None:
        if lifetime_us < 1:
            raise ValueError(f"lifetime_us is 1 or more, not {lifetime_us}")
        if len(request_id.encode()) > REQUEST_ID_BYTES_MAX:
            raise ValueError(f"request_id has {REQUEST_ID_BYTES_MAX} bytes at most: {request_id!r}")
        super().__init__(
            of.account, product, attributes, estimate, lifetime_us, up_to, "", request_id, (),
            instead=False,
        )  # fmt: skip
        self._hold_id = hold_id
        self.operation = operation or of.operation
        self.operation_parent = of.operation if operation else of.operation_parent

    async def authorize(self, calls: DecisionCalls) -> pb.AuthorizeResponse:
        """Ask, under the one id."""
        return await calls.authorize(
            self.account,
            self.product,
            self.estimate,
            self.attributes,
            lifetime_us=self.lifetime_us,
            up_to=self._up_to,
            operation=self.operation,
            operation_parent=self.operation_parent,
            hold_id=self._hold_id,
            request_id=self.request_id,
        )


class HeldOperation:
    """A user action while it runs; made by `DrawdownClient.operation`, entered once."""

    def __init__(self, calls: HoldCalls, settling: Settling, request: OperationRequest) -> None:
        self._calls = calls
        self._settling = settling
        self._request = request
        self._held = MeteredCall(calls, settling, request)

    @property
    def account(self) -> str:
        """Whose it is."""
        return self._request.account

    @property
    def hold_id(self) -> str:
        """The hold; "" before the block is entered."""
        return self._held.hold_id

    @property
    def decision(self) -> pb.AuthorizeResponse | None:
        """What Authorize answered; None before the block is entered."""
        return self._held.decision

    async def __aenter__(self) -> Self:
        """Hold. Raises Denied, Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        await self._held.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give back what is left; see metered.MeteredCall."""
        await self._held.__aexit__(kind, error, traceback)

    def _place(self, operation: str) -> tuple[str, str]:
        """The operation of a call and its parent: one below this one, "" = this one itself."""
        asked = self._request
        if operation:
            return operation, asked.operation
        return asked.operation, asked.operation_parent

    async def authorize(
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
        """Hold a call's estimate, of the operation's hold first: to be captured or released by its
        own `hold_id`, which gives back to the operation what it leaves."""
        asked = self._request
        of, parent = self._place(operation)
        return await self._calls.authorize(
            asked.account,
            product,
            quantities,
            attributes,
            lifetime_us=lifetime_us,
            up_to=up_to,
            alternatives=alternatives,
            operation=of,
            operation_parent=parent,
            hold_id=self.hold_id,
            request_id=request_id,
        )

    async def check(
        self,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
    ) -> pb.CheckResponse:
        """What `authorize` would say of a call now, of which the hold would pay `from_hold`;
        nothing is held."""
        asked = self._request
        of, parent = self._place(operation)
        return await self._calls.check(
            asked.account,
            product,
            quantities,
            attributes,
            up_to=up_to,
            alternatives=alternatives,
            operation=of,
            operation_parent=parent,
            hold_id=self.hold_id,
        )

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
        """A block that runs with units of the operation's hold held for `estimate`, and is charged
        with what it metered; see DrawdownClient.metered."""
        id_ = request_id or self._calls._caller.new_id()
        request = self.asking(product, attributes, estimate, lifetime_us, up_to, operation, id_)
        return MeteredCall(self._calls, self._settling, request)

    def asking(
        self,
        product: str,
        attributes: Mapping[str, str] | None,
        estimate: Mapping[str, int],
        lifetime_us: int,
        up_to: tuple[str, int] | None,
        operation: str,
        request_id: str,
    ) -> PartRequest:
        """What a call asks for that holds of this operation's hold. Raises ValueError."""
        return PartRequest(
            self._request, self.hold_id, product, attributes, estimate, lifetime_us, up_to,
            operation, request_id,
        )  # fmt: skip

    async def debit(
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
        """Charge a call's work from the hold, then from what else pays, if it is within every
        limit. `operation`: that of the call, below this one; "" = it is of this one."""
        asked = self._request
        of, parent = self._place(operation)
        return await self._calls.debit(
            asked.account,
            product,
            quantities,
            attributes,
            operation=of,
            operation_parent=parent,
            up_to=up_to,
            alternatives=alternatives,
            hold_id=self.hold_id,
            request_id=request_id,
        )

    async def meter(
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
        of, parent = self._place(operation)
        return await self._calls.capture(
            self.hold_id,
            quantities,
            product=product,
            attributes=attributes,
            effective_at_us=effective_at_us,
            keep_open=True,
            operation=of,
            operation_parent=parent,
            request_id=request_id,
        )


class OperationCalls(HoldCalls):
    """Part of DrawdownClient."""

    _settling: Settling

    def operation(
        self,
        account: str,
        operation: str,
        *,
        hold: int,
        lifetime_us: int = LIFETIME_US,
        operation_parent: str = "",
        request_id: str = "",
    ) -> HeldOperation:
        """A block whose calls draw from one hold of so many minor units of the asset that the
        account is charged in. Entering raises Denied where they are not there. `lifetime_us`: of
        the hold; it is extended every third of it, for up to 24 hours."""
        request = OperationRequest(
            account,
            operation,
            hold,
            lifetime_us,
            operation_parent,
            request_id or self._caller.new_id(),
        )
        return HeldOperation(self, self._settling, request)
