"""Calls of ChargeService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import charge_pb2 as pb
from ledger.v1 import recurring_pb2
from ledger.v1.charge_pb2_grpc import ChargeServiceStub

PAGE_SIZE = 1_000


class ChargeCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def start_charge(
        self,
        account: str,
        name: str,
        terms: pb.ChargeTerms,
        *,
        quantity: int = 1,
        starts_at_us: int = 0,
        ends_at_us: int = 0,
        request_id: str = "",
    ) -> pb.StartChargeResponse:
        """Have an account charged every period, or once; times 0 = from now, without an end."""
        request = pb.StartChargeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            name=name,
            terms=terms,
            quantity=quantity,
            starts_at_us=starts_at_us,
            ends_at_us=ends_at_us,
        )
        return await self._caller.call(
            lambda channel: ChargeServiceStub(channel).StartCharge, request, account
        )

    async def change_charge_quantity(
        self,
        charge_id: str,
        quantity: int,
        *,
        now: bool = False,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.ChangeQuantityResponse:
        """Charge for so many, with the next period or now; version 0 = whatever it is."""
        request = pb.ChangeQuantityRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            charge_id=charge_id,
            quantity=quantity,
            timing=_timing(now),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: ChargeServiceStub(channel).ChangeQuantity, request
        )

    async def change_charge_terms(
        self,
        charge_id: str,
        terms: pb.ChargeTerms,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.ChangeTermsResponse:
        """Replace the terms with the next period; version 0 = whatever it is."""
        request = pb.ChangeTermsRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            charge_id=charge_id,
            terms=terms,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: ChargeServiceStub(channel).ChangeTerms, request
        )

    async def end_charge(
        self, charge_id: str, *, now: bool = False, request_id: str = ""
    ) -> pb.EndChargeResponse:
        """Charge nothing after the present period, or from now on."""
        request = pb.EndChargeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            charge_id=charge_id,
            timing=_timing(now),
        )
        return await self._caller.call(
            lambda channel: ChargeServiceStub(channel).EndCharge, request
        )

    async def get_charge(
        self, charge_id: str, *, min_position: str | None = None
    ) -> pb.GetChargeResponse:
        """Show one charge."""
        request = pb.GetChargeRequest(
            tenant=self._caller.tenant,
            charge_id=charge_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: ChargeServiceStub(channel).GetCharge, request
        )

    async def list_charges(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.FixedCharge]:
        """The charges of an account, in the order started."""
        request = pb.ListChargesRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ChargeServiceStub(channel).ListCharges, request, account
            )
            for charge in reply.charges:
                yield charge
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def list_fees(
        self, account: str, *, charge_id: str = "", min_position: str | None = None
    ) -> AsyncIterator[pb.Fee]:
        """The fees of an account in the order recorded, from the read models."""
        request = pb.ListFeesRequest(
            tenant=self._caller.tenant,
            account=account,
            charge_id=charge_id,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: ChargeServiceStub(channel).ListFees, request, account
            )
            for fee in reply.fees:
                yield fee
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token


def _timing(now: bool) -> recurring_pb2.RecurringTiming.ValueType:
    return recurring_pb2.RECURRING_TIMING_NOW if now else recurring_pb2.RECURRING_TIMING_NEXT_PERIOD
