"""Calls of MandateService: what agents may spend, granted, revoked, shown; their tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import mandate_pb2 as pb
from ledger.v1.mandate_pb2_grpc import MandateServiceStub

PAGE_SIZE = 1_000


class MandateCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def grant_mandate(
        self, parent: str, name: str, terms: pb.MandateTerms, *, request_id: str = ""
    ) -> pb.MandateServiceGrantResponse:
        """Open the account `parent/name` for an agent, with what it may spend; below another
        mandate, no more than that allows."""
        request = pb.MandateServiceGrantRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            parent=parent,
            name=name,
            terms=terms,
        )
        return await self._caller.call(
            lambda channel: MandateServiceStub(channel).Grant, request, parent
        )

    async def revoke_mandate(
        self, account: str, reason: str = "", *, request_id: str = ""
    ) -> pb.MandateServiceRevokeResponse:
        """Allow nothing new from the next decision on, to the agent and to all below it."""
        request = pb.MandateServiceRevokeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            reason=reason,
        )
        return await self._caller.call(
            lambda channel: MandateServiceStub(channel).Revoke, request, account
        )

    async def get_mandate(self, account: str, *, min_position: str | None = None) -> pb.Mandate:
        """A mandate, with what is spent of it, held and left."""
        request = pb.MandateServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: MandateServiceStub(channel).Get, request, account
        )
        return reply.mandate

    async def list_mandates(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.Mandate]:
        """The mandates right below an account."""
        request = pb.MandateServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: MandateServiceStub(channel).List, request, account
            )
            for each in reply.mandates:
                yield each
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def request_top_up(
        self, account: str, asset: str, amount: int, *, request_id: str = ""
    ) -> pb.RequestTopUpResponse:
        """Ask, as the agent of a mandate, that its payer buys units of its asset: they are
        there once the payment side has confirmed the grant."""
        request = pb.RequestTopUpRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
            amount=amount,
        )
        return await self._caller.call(
            lambda channel: MandateServiceStub(channel).RequestTopUp, request, account
        )

    async def issue_mandate_token(
        self, account: str, *, expires_at_us: int = 0
    ) -> pb.IssueTokenResponse:
        """A token of a mandate, a secret, and the public key to read and attenuate it by."""
        request = pb.IssueTokenRequest(
            tenant=self._caller.tenant, account=account, expires_at_us=expires_at_us
        )
        return await self._caller.call(
            lambda channel: MandateServiceStub(channel).IssueToken, request, account
        )

    async def present_mandate(self, token: str) -> pb.Mandate:
        """Open the mandates that a token names which was attenuated offline; that of its holder."""
        request = pb.PresentRequest(tenant=self._caller.tenant, token=token)
        reply = await self._caller.call(
            lambda channel: MandateServiceStub(channel).Present, request
        )
        return reply.mandate
