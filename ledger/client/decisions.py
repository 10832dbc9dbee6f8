"""Calls of DecisionService: may this run, and settling what ran.

Work may run if the decision is in ALLOWED; anything else is a denial.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from typing import Any, Final

from ledger.client.calls import Caller
from ledger.client.durations import SECOND_US
from ledger.v1 import decision_pb2 as pb
from ledger.v1.decision_pb2_grpc import DecisionServiceStub

LOOK_BACK_US: Final = 330 * SECOND_US
"""One attempt to have a recorded decision explained: a server gives up after 300 s."""
ALLOWED = frozenset({pb.DECISION_ALLOW, pb.DECISION_ALLOW_OVERDRAFT, pb.DECISION_ALLOW_UP_TO})
"""What may run; with ALLOW_UP_TO, so much of it as the answer's `allowed_quantity`."""
RUNS_INSTEAD = frozenset({pb.DECISION_DOWNGRADE, pb.DECISION_DEFER})
"""Other work may run than was asked for: the answer's `ruling` says which. Only where the account
has a decision policy, or the request names alternatives."""


def _range(up_to: tuple[str, int] | None) -> pb.UpTo | None:
    return pb.UpTo(quantity=up_to[0], minimum=up_to[1]) if up_to is not None else None


class DecisionCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def check(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        sizing: pb.Sizing.ValueType = pb.SIZING_UNSPECIFIED,
        operation: str = "",
        operation_parent: str = "",
        hold_id: str = "",
    ) -> pb.CheckResponse:
        """What authorize would say now; advisory, nothing is held or recorded. `up_to`,
        `alternatives`, `sizing` and `hold_id`: see authorize; `from_hold` of the answer is what
        that hold would pay."""
        asked = self._asked(account, product, quantities, attributes, up_to, alternatives, sizing)
        request = pb.CheckRequest(
            **asked, operation=operation, operation_parent=operation_parent, hold_id=hold_id
        )
        return await self._caller.call(
            lambda channel: DecisionServiceStub(channel).Check, request, account
        )

    async def explain_decision(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        sizing: pb.Sizing.ValueType = pb.SIZING_UNSPECIFIED,
        operation: str = "",
        operation_parent: str = "",
        hold_id: str = "",
    ) -> pb.ExplainDecisionResponse:
        """Why check answers what it answers: prices, pots, budgets, margin, rules; and in words."""
        asked = self._asked(account, product, quantities, attributes, up_to, alternatives, sizing)
        request = pb.ExplainDecisionRequest(
            **asked, operation=operation, operation_parent=operation_parent, hold_id=hold_id
        )
        return await self._caller.call(
            lambda channel: DecisionServiceStub(channel).ExplainDecision, request, account
        )

    async def explain_recorded(
        self,
        account: str,
        *,
        request_id: str = "",
        hold_id: str = "",
        entry: tuple[int, int] | None = None,
    ) -> pb.ExplainRecordedResponse:
        """Why authorize or debit decided as it did, or a quote could have its hold: the explanation
        from the state right before, and what was recorded. One of `request_id`, known for 35 days,
        `hold_id` and `entry`, a batch (0 = look for it) and an entry of its shard. The server reads
        its journal for it."""
        request = pb.ExplainRecordedRequest(tenant=self._caller.tenant, account=account)
        if request_id:
            request.request_id = request_id
        if hold_id:
            request.hold_id = hold_id
        if entry is not None:
            request.entry.batch_seq, request.entry.entry_seq = entry
        return await self._caller.call(
            lambda channel: DecisionServiceStub(channel).ExplainRecorded,
            request,
            account,
            attempt_us=LOOK_BACK_US,
        )

    def _asked(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None,
        up_to: tuple[str, int] | None,
        alternatives: Sequence[pb.Alternative],
        sizing: pb.Sizing.ValueType,
    ) -> dict[str, Any]:
        """The fields of work that is asked about."""
        return {
            "tenant": self._caller.tenant,
            "account": account,
            "product": product,
            "attributes": dict(attributes or {}),
            "quantities": dict(quantities),
            "up_to": _range(up_to),
            "alternatives": alternatives,
            "sizing": sizing,
        }

    async def check_many(
        self,
        accounts: Sequence[str],
        work: Sequence[pb.WorkToCheck],
        *,
        operation: str = "",
        operation_parent: str = "",
        hold_id: str = "",
    ) -> pb.CheckManyResponse:
        """The same for each piece of work and each account, at most 100 of both, in columns: the
        answer for `accounts[a]` and `work[w]` stands at `a * len(work) + w`. With `hold_id`, of
        one account."""
        request = pb.CheckManyRequest(
            tenant=self._caller.tenant,
            accounts=accounts,
            work=work,
            operation=operation,
            operation_parent=operation_parent,
            hold_id=hold_id,
        )
        return await self._caller.call(
            lambda channel: DecisionServiceStub(channel).CheckMany, request
        )

    async def authorize(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        lifetime_us: int = 0,
        quote_id: str = "",
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        sizing: pb.Sizing.ValueType = pb.SIZING_UNSPECIFIED,
        operation: str = "",
        operation_parent: str = "",
        hold_id: str = "",
        request_id: str = "",
    ) -> pb.AuthorizeResponse:
        """Decide and hold the credits, durably. `lifetime_us` 0 = 15 minutes. `quote_id`: a quote
        that prices it and its capture. `up_to`: a quantity and the least of it: hold for as much of
        it as is affordable, to what `quantities` says; the answer says how much that is.
        `alternatives`: work of which the cheapest may run where this may not. `sizing`: whether
        less may be held, as usage has shown; as the product's rule says unless told. `hold_id`: of
        `reserve_operation`, of which this one is made first; what it leaves is held there again."""
        request = pb.AuthorizeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            product=product,
            attributes=dict(attributes or {}),
            quantities=dict(quantities),
            operation=operation,
            operation_parent=operation_parent,
            hold_id=hold_id,
            lifetime_us=lifetime_us,
            quote_id=quote_id,
            up_to=_range(up_to),
            alternatives=alternatives,
            sizing=sizing,
        )
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Authorize,
            "authorize",
            request,
            account,
        )

    async def reserve_operation(
        self,
        account: str,
        operation: str,
        amount: int,
        *,
        lifetime_us: int = 0,
        operation_parent: str = "",
        request_id: str = "",
    ) -> pb.AuthorizeResponse:
        """Hold `amount` minor units, of the asset that the account is charged in, for an operation
        with all its calls: `debit` and `capture` that name the hold draw from it, whatever they are
        of. `lifetime_us` 0 = 15 minutes."""
        request = pb.AuthorizeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            operation=operation,
            operation_parent=operation_parent,
            operation_amount=amount,
            lifetime_us=lifetime_us,
        )
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Authorize,
            "authorize",
            request,
            account,
        )

    async def debit(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        operation: str = "",
        operation_parent: str = "",
        up_to: tuple[str, int] | None = None,
        alternatives: Sequence[pb.Alternative] = (),
        hold_id: str = "",
        request_id: str = "",
    ) -> pb.DebitResponse:
        """Charge work at once if it is within every limit, durably. `up_to` and
        `alternatives`: see authorize. `hold_id`: of `reserve_operation`, which pays first."""
        request = pb.DebitRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            product=product,
            operation=operation,
            operation_parent=operation_parent,
            up_to=_range(up_to),
            alternatives=alternatives,
            hold_id=hold_id,
        )
        for name, value in attributes.items() if attributes else ():  # half the time of a dict
            request.attributes[name] = value
        for quantity, amount in quantities.items():
            request.quantities[quantity] = amount
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Debit,
            "debit",
            request,
            account,
        )

    async def decide_stream(
        self, items: AsyncIterable[pb.DecideItem]
    ) -> AsyncIterator[pb.DecideReply]:
        """Ask for many on one stream; answers carry the numbers of their items. An item's failure
        is its answer. Nothing is sent again by itself: what has no answer when the stream fails,
        the caller sends again with the same request_id. What the items raise is raised after the
        answers to those before it."""
        broken: list[Exception] = []

        async def messages() -> AsyncIterator[pb.DecideStreamRequest]:
            try:
                async for item in items:
                    yield pb.DecideStreamRequest(items=[item])
            except Exception as error:  # gRPC would make a cancellation of it
                broken.append(error)

        async for message in self._caller.both(
            lambda channel: DecisionServiceStub(channel).DecideStream, messages()
        ):
            for reply in message.replies:
                yield reply
        if broken:
            raise broken[0]

    async def capture(
        self,
        hold_id: str,
        quantities: Mapping[str, int],
        *,
        effective_at_us: int = 0,
        keep_open: bool = False,
        operation: str = "",
        operation_parent: str = "",
        product: str = "",
        attributes: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.CaptureResponse:
        """Charge a hold with what was used; the rest goes back, or with `keep_open` stays held.
        `product` and `attributes`: of what was used, of a hold of `reserve_operation`."""
        request = pb.CaptureRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            hold_id=hold_id,
            quantities=dict(quantities),
            effective_at_us=effective_at_us,
            keep_open=keep_open,
            operation=operation,
            operation_parent=operation_parent,
            product=product,
            attributes=attributes or {},
        )
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Capture,
            "capture",
            request,
        )

    async def extend(
        self, hold_id: str, *, lifetime_us: int = 0, request_id: str = ""
    ) -> pb.ExtendResponse:
        """Let an open hold live `lifetime_us` from now; 0 = 15 minutes."""
        request = pb.ExtendRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            hold_id=hold_id,
            lifetime_us=lifetime_us,
        )
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Extend,
            "extend",
            request,
        )

    async def get_hold(self, hold_id: str, *, min_position: str | None = None) -> pb.Hold:
        """One hold as it is at present."""
        request = pb.GetHoldRequest(
            tenant=self._caller.tenant,
            hold_id=hold_id,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: DecisionServiceStub(channel).GetHold, request
        )
        return reply.hold

    async def list_holds(
        self,
        account: str,
        *,
        settled: bool = False,
        page_size: int = 0,
        page_token: str = "",
        min_position: str | None = None,
    ) -> pb.ListHoldsResponse:
        """A page of an account's open holds, or of those settled in the last 35 days."""
        request = pb.ListHoldsRequest(
            tenant=self._caller.tenant,
            account=account,
            filter=pb.HOLD_FILTER_SETTLED if settled else pb.HOLD_FILTER_OPEN,
            page_size=page_size,
            page_token=page_token,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: DecisionServiceStub(channel).ListHolds, request, account
        )

    async def release(self, hold_id: str, *, request_id: str = "") -> pb.ReleaseResponse:
        """Give back all that a hold reserves."""
        request = pb.ReleaseRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            hold_id=hold_id,
        )
        return await self._caller.decide(
            lambda channel: DecisionServiceStub(channel).Release,
            "release",
            request,
        )
