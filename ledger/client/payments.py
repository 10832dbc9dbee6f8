"""Calls of PaymentService."""

from __future__ import annotations

from ledger.client.calls import Caller
from ledger.v1 import payment_pb2 as pb
from ledger.v1.payment_pb2_grpc import PaymentServiceStub


class PaymentCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown.

    Amounts in minor units. An empty `request_id` is made anew for the call.
    """

    _caller: Caller

    async def confirm_payment(
        self, grant_id: str, amount: int = 0, *, asset: str = "", request_id: str = ""
    ) -> pb.PaymentServiceConfirmResponse:
        """A payment came for a gated grant; 0 = all that is left of its price."""
        request = pb.PaymentServiceConfirmRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
            amount=amount,
            asset=asset,
        )
        return await self._caller.call(lambda channel: PaymentServiceStub(channel).Confirm, request)

    async def fail_payment(
        self, grant_id: str, *, request_id: str = ""
    ) -> pb.PaymentServiceFailResponse:
        """The payment of a gated grant failed."""
        request = pb.PaymentServiceFailRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
        )
        return await self._caller.call(lambda channel: PaymentServiceStub(channel).Fail, request)

    async def refund(
        self,
        grant_id: str,
        units: int = 0,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.RefundResponse:
        """Take unused units back; 0 = all that are left and not held."""
        request = pb.RefundRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
            units=units,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(lambda channel: PaymentServiceStub(channel).Refund, request)

    async def charge_back(
        self, grant_id: str, *, reason: str = "", actor: str = "", request_id: str = ""
    ) -> pb.ChargebackResponse:
        """The bank took the payment of a grant back."""
        request = pb.ChargebackRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PaymentServiceStub(channel).Chargeback, request
        )

    async def bill(
        self,
        account: str,
        asset: str = "",
        amount: int = 0,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.BillResponse:
        """Bill what the account owes: of every asset or of one, all (0) or up to an amount."""
        request = pb.BillRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PaymentServiceStub(channel).Bill, request, account
        )

    async def record_payment(
        self,
        account: str,
        asset: str,
        amount: int,
        *,
        source: str = "",
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.RecordPaymentResponse:
        """What was billed was paid, wholly or in part."""
        request = pb.RecordPaymentRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
            source=source,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PaymentServiceStub(channel).RecordPayment, request, account
        )

    async def issue_credit_note(
        self,
        account: str,
        asset: str,
        amount: int,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.IssueCreditNoteResponse:
        """Waive a part of what was billed."""
        request = pb.IssueCreditNoteRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PaymentServiceStub(channel).IssueCreditNote, request, account
        )

    async def write_off(
        self,
        account: str,
        asset: str,
        amount: int,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.WriteOffResponse:
        """Give up a part of what was billed."""
        request = pb.WriteOffRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PaymentServiceStub(channel).WriteOff, request, account
        )

    async def get_owed(self, account: str, *, min_position: str | None = None) -> list[pb.Owed]:
        """What the account owes in each currency, and has paid so far."""
        request = pb.GetOwedRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        answer = await self._caller.call(
            lambda channel: PaymentServiceStub(channel).GetOwed, request, account
        )
        return list(answer.owed)
