"""Calls of FamilyService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import family_pb2 as pb
from ledger.v1.family_pb2_grpc import FamilyServiceStub

PAGE_SIZE = 1_000


class FamilyCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def update_sharing(
        self,
        grant_id: str,
        sharing: pb.Sharing,
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.UpdateSharingResponse:
        """Share a grant with all, none, those listed or those that match; version 0 = whatever it
        is."""
        request = pb.UpdateSharingRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
            sharing=sharing,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: FamilyServiceStub(channel).UpdateSharing, request
        )

    async def get_sharing(
        self, grant_id: str, *, min_position: str | None = None
    ) -> pb.GetSharingResponse:
        """With whom a grant is shared."""
        request = pb.GetSharingRequest(
            tenant=self._caller.tenant,
            grant_id=grant_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: FamilyServiceStub(channel).GetSharing, request
        )

    async def set_cap(
        self, cap: pb.Cap, *, expected_version: int = 0, request_id: str = ""
    ) -> pb.SetCapResponse:
        """Cap what an account below may draw, or change the cap that `cap_id` names."""
        request = pb.SetCapRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            cap=cap,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: FamilyServiceStub(channel).SetCap, request, cap.account
        )

    async def remove_cap(
        self, cap_id: str, *, expected_version: int = 0, request_id: str = ""
    ) -> pb.RemoveCapResponse:
        """Let a cap bind no more."""
        request = pb.RemoveCapRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            cap_id=cap_id,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: FamilyServiceStub(channel).RemoveCap, request
        )

    async def get_cap(self, cap_id: str, *, min_position: str | None = None) -> pb.GetCapResponse:
        """A cap with what is used, held, set aside and left in its present window."""
        request = pb.GetCapRequest(
            tenant=self._caller.tenant,
            cap_id=cap_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(lambda channel: FamilyServiceStub(channel).GetCap, request)

    async def list_caps(
        self, account: str, *, binding: bool = False, min_position: str | None = None
    ) -> AsyncIterator[pb.CapStanding]:
        """The caps that an account has set on those below it; `binding`: those that bind it."""
        request = pb.ListCapsRequest(
            tenant=self._caller.tenant,
            account=account,
            binding=binding,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: FamilyServiceStub(channel).ListCaps, request, account
            )
            for cap in reply.caps:
                yield cap
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
