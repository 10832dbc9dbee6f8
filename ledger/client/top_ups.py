"""Calls of TopUpService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import top_up_pb2 as pb
from ledger.v1.top_up_pb2_grpc import TopUpServiceStub

PAGE_SIZE = 1_000


class TopUpCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def set_top_up_rule(
        self, account: str, rule: pb.TopUpRule, *, expected_version: int = 0, request_id: str = ""
    ) -> pb.TopUpServiceSetRuleResponse:
        """Give an account a rule for an asset, or another; version 0 = whatever it is."""
        request = pb.TopUpServiceSetRuleRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            rule=rule,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: TopUpServiceStub(channel).SetRule, request, account
        )

    async def remove_top_up_rule(
        self, account: str, asset: str, *, request_id: str = ""
    ) -> pb.TopUpServiceRemoveRuleResponse:
        """Ask for nothing more of the asset."""
        request = pb.TopUpServiceRemoveRuleRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
        )
        return await self._caller.call(
            lambda channel: TopUpServiceStub(channel).RemoveRule, request, account
        )

    async def get_top_up_rules(
        self, account: str, *, min_position: str | None = None
    ) -> pb.TopUpServiceGetRulesResponse:
        """The rules of an account, one an asset."""
        request = pb.TopUpServiceGetRulesRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: TopUpServiceStub(channel).GetRules, request, account
        )

    async def list_top_ups(
        self,
        account: str,
        *,
        state: pb.TopUpState.ValueType = pb.TOP_UP_STATE_UNSPECIFIED,
        min_position: str | None = None,
    ) -> AsyncIterator[pb.TopUp]:
        """The charges that the account's rules asked for, in order."""
        request = pb.TopUpServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            state=state,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: TopUpServiceStub(channel).List, request, account
            )
            for top_up in reply.top_ups:
                yield top_up
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def get_top_up(
        self, top_up_id: str, *, min_position: str | None = None
    ) -> pb.TopUpServiceGetResponse:
        """Show one charge."""
        request = pb.TopUpServiceGetRequest(
            tenant=self._caller.tenant,
            top_up_id=top_up_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(lambda channel: TopUpServiceStub(channel).Get, request)

    async def confirm_top_up(
        self, top_up_id: str, *, request_id: str = ""
    ) -> pb.TopUpServiceConfirmResponse:
        """Say that the charge was made: its units are issued."""
        request = pb.TopUpServiceConfirmRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            top_up_id=top_up_id,
        )
        return await self._caller.call(lambda channel: TopUpServiceStub(channel).Confirm, request)

    async def decline_top_up(
        self, top_up_id: str, *, request_id: str = ""
    ) -> pb.TopUpServiceDeclineResponse:
        """Say that the charge was refused."""
        request = pb.TopUpServiceDeclineRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            top_up_id=top_up_id,
        )
        return await self._caller.call(lambda channel: TopUpServiceStub(channel).Decline, request)
