"""Calls of StatementService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import statement_pb2 as pb
from ledger.v1.statement_pb2_grpc import StatementServiceStub

PAGE_SIZE = 1_000


class StatementCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def set_statements(
        self,
        account: str,
        form: pb.StatementForm.ValueType,
        attribute: str = "",
        *,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.StatementServiceSetResponse:
        """Have the ledger close the account's statements by itself, in this form; version 0 =
        whatever it is."""
        request = pb.StatementServiceSetRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            settings=pb.StatementSettings(form=form, attribute=attribute),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: StatementServiceStub(channel).Set, request, account
        )

    async def draft_statement(
        self,
        account: str,
        *,
        at_us: int = 0,
        form: pb.StatementForm.ValueType = pb.STATEMENT_FORM_UNSPECIFIED,
        attribute: str = "",
        format: pb.StatementFormat.ValueType = pb.STATEMENT_FORMAT_UNSPECIFIED,
        min_position: str | None = None,
    ) -> pb.DraftResponse:
        """What the statement of the period of an instant (0 = now) says by now."""
        request = pb.DraftRequest(
            tenant=self._caller.tenant,
            account=account,
            at_us=at_us,
            form=form,
            attribute=attribute,
            format=format,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: StatementServiceStub(channel).Draft, request, account
        )

    async def close_statement(
        self,
        account: str,
        *,
        start_us: int = 0,
        end_us: int = 0,
        form: pb.StatementForm.ValueType = pb.STATEMENT_FORM_UNSPECIFIED,
        attribute: str = "",
        format: pb.StatementFormat.ValueType = pb.STATEMENT_FORMAT_UNSPECIFIED,
        request_id: str = "",
    ) -> pb.StatementServiceCloseResponse:
        """End the statement of the period that begins then (0 = the next), and freeze it."""
        request = pb.StatementServiceCloseRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            start_us=start_us,
            end_us=end_us,
            form=form,
            attribute=attribute,
            format=format,
        )
        return await self._caller.call(
            lambda channel: StatementServiceStub(channel).Close, request, account
        )

    async def get_statement(
        self,
        account: str,
        statement: int = 0,
        *,
        format: pb.StatementFormat.ValueType = pb.STATEMENT_FORMAT_UNSPECIFIED,
        min_position: str | None = None,
    ) -> pb.StatementServiceGetResponse:
        """A statement of the account by its number, 0 = the newest."""
        request = pb.StatementServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            statement=statement,
            format=format,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: StatementServiceStub(channel).Get, request, account
        )

    async def list_statements(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.Statement]:
        """The statements of the account, the newest first, without what they say."""
        request = pb.StatementServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: StatementServiceStub(channel).List, request, account
            )
            for statement in reply.statements:
                yield statement
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def roll_up(
        self,
        account: str,
        *,
        effective_at_us: int = 0,
        from_us: int = 0,
        to_us: int = 0,
        attribute: str = "",
        min_position: str | None = None,
    ) -> pb.RollUpResponse:
        """What the account, and it with all below it, can spend and owe, now or as of an instant;
        with what was used in a span of time, if one is named."""
        request = pb.RollUpRequest(
            tenant=self._caller.tenant,
            account=account,
            effective_at_us=effective_at_us,
            from_us=from_us,
            to_us=to_us,
            attribute=attribute,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: StatementServiceStub(channel).RollUp, request, account
        )
