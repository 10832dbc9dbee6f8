"""Calls of AccountService and GrantService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from ledger.client.calls import Caller
from ledger.v1 import account_pb2 as pb
from ledger.v1 import grant_pb2, types_pb2
from ledger.v1.account_pb2_grpc import AccountServiceStub
from ledger.v1.grant_pb2_grpc import GrantServiceStub

PAGE_SIZE = 1_000


class AccountCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    # -- accounts ----------------------------------------------------------------------------------

    async def create_account(
        self,
        account: str,
        *,
        parent: str = "",
        policy: pb.AccountPolicy | None = None,
        display_name: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.AccountServiceCreateResponse:
        """Open an account; without `parent` it is the root of a new family."""
        request = pb.AccountServiceCreateRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            parent=parent,
            policy=policy,
            display_name=display_name,
            metadata=dict(metadata or {}),
        )
        reply = await self._caller.call(
            lambda channel: AccountServiceStub(channel).Create, request, parent or account
        )
        self._learn(reply.account)
        return reply

    async def get_account(
        self, account: str, *, min_position: str | None = None
    ) -> pb.AccountServiceGetResponse:
        """Show an account, named by its id or an alias."""
        request = pb.AccountServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: AccountServiceStub(channel).Get, request, account
        )
        self._learn(reply.account)
        return reply

    async def list_accounts(
        self, *, parent: str = "", min_position: str | None = None
    ) -> AsyncIterator[pb.Account]:
        """All accounts, or the direct children of one, ascending by id."""
        request = pb.AccountServiceListRequest(
            tenant=self._caller.tenant,
            parent=parent,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: AccountServiceStub(channel).List, request
            )
            for account in reply.accounts:
                self._learn(account)
                yield account
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def update_policy(
        self,
        account: str,
        policy: pb.AccountPolicy,
        expected_version: int,
        *,
        request_id: str = "",
    ) -> pb.UpdatePolicyResponse:
        """Replace an account's policy as a whole. Refused (ABORTED) if it changed meanwhile."""
        request = pb.UpdatePolicyRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            policy=policy,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).UpdatePolicy, request, account
        )

    async def update_metadata(
        self,
        account: str,
        expected_version: int,
        *,
        display_name: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> pb.UpdateMetadataResponse:
        """Replace display name and metadata whole. Refused (ABORTED) if they changed meanwhile.

        `expected_version` is the account's `metadata_version`.
        """
        request = pb.UpdateMetadataRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            display_name=display_name,
            metadata=dict(metadata or {}),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).UpdateMetadata, request, account
        )

    async def freeze_account(
        self, account: str, reason: str, *, actor: str = "", request_id: str = ""
    ) -> pb.FreezeResponse:
        """Let an account and everything below it take no new usage and no new holds."""
        request = pb.FreezeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Freeze, request, account
        )

    async def unfreeze_account(
        self, account: str, *, reason: str = "", actor: str = "", request_id: str = ""
    ) -> pb.UnfreezeResponse:
        """Let a frozen account take new usage again."""
        request = pb.UnfreezeRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Unfreeze, request, account
        )

    async def close_account(
        self,
        account: str,
        *,
        write_off: bool = False,
        release_holds: bool = False,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.AccountServiceCloseResponse:
        """Close an account at zero; or forfeit its credits and write off its debts, and release its
        holds, where that is asked for."""
        request = pb.AccountServiceCloseRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            write_off=write_off,
            release_holds=release_holds,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Close, request, account
        )

    async def move_account(
        self,
        account: str,
        parent: str,
        expected_version: int,
        *,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> pb.MoveResponse:
        """Put an account, with all below it, under another parent of its family. Refused (ABORTED)
        if it moved meanwhile: `expected_version` is the account's `place_version`."""
        request = pb.MoveRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            parent=parent,
            expected_version=expected_version,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Move, request, account
        )

    async def reopen_account(
        self, account: str, *, reason: str = "", actor: str = "", request_id: str = ""
    ) -> pb.ReopenResponse:
        """Let a closed account take usage again that is effective from now on."""
        request = pb.ReopenRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Reopen, request, account
        )

    async def assign_alias(
        self,
        alias: str,
        account: str,
        *,
        effective_from_us: int = 0,
        seat: tuple[str, str] = ("", ""),
        request_id: str = "",
    ) -> pb.AssignAliasResponse:
        """Map another name to an account; `effective_from_us` 0 = the writer's clock. `seat`: the
        attribute and value of a seat that the name is, too."""
        request = pb.AssignAliasRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            alias=alias,
            account=account,
            effective_from_us=effective_from_us,
            seat_attribute=seat[0],
            seat=seat[1],
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).AssignAlias, request, account
        )

    async def end_alias(
        self, alias: str, account: str, *, effective_to_us: int = 0, request_id: str = ""
    ) -> pb.EndAliasResponse:
        """End a mapping; `effective_to_us` 0 = the writer's clock."""
        request = pb.EndAliasRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            alias=alias,
            account=account,
            effective_to_us=effective_to_us,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).EndAlias, request, account
        )

    async def erase_account(
        self, account: str, *, request_id: str = ""
    ) -> pb.AccountServiceEraseResponse:
        """Erase an account's personal data for ever."""
        request = pb.AccountServiceEraseRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
        )
        return await self._caller.call(
            lambda channel: AccountServiceStub(channel).Erase, request, account
        )

    # -- grants ------------------------------------------------------------------------------------

    async def issue_grant(
        self,
        account: str,
        asset: str,
        amount: int,
        *,
        kind: types_pb2.GrantKind.ValueType = types_pb2.GRANT_KIND_PREPAID,
        price_paid: int = 0,
        price_asset: str = "",
        priority: int = 0,
        effective_at_us: int = 0,
        expires_at_us: int = 0,
        products: Sequence[str] = (),
        tags: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        shared: bool = False,
        gated: bool = False,
        rollover: types_pb2.Rollover | None = None,
        metadata: Mapping[str, str] | None = None,
        source: str = "",
        external_key: str = "",
        request_id: str = "",
    ) -> grant_pb2.GrantServiceIssueResponse:
        """Issue credits; they first repay what the account owes in advance.

        Amounts in minor units of their assets. A lower `priority` pays first; `products` and
        `tags` empty = every product; times 0 = from now, never expires. `shared` with the whole
        subtree; `gated`: once its payment from `source` is confirmed.
        """
        request = grant_pb2.GrantServiceIssueRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            external_key=external_key,
            asset=asset,
            amount=amount,
            price_paid=price_paid,
            price_asset=price_asset,
            kind=kind,
            priority=priority,
            effective_at_us=effective_at_us,
            expires_at_us=expires_at_us,
            products=products,
            tags=tags,
            attributes=attributes or {},
            shared=shared,
            gated=gated,
            rollover=rollover,
            metadata=metadata or {},
            source=source,
        )
        return await self._caller.call(
            lambda channel: GrantServiceStub(channel).Issue, request, account
        )

    async def void_grant(
        self, grant_id: str, *, forfeit: bool = False, request_id: str = ""
    ) -> grant_pb2.GrantServiceVoidResponse:
        """Take back what is left of a grant and not held; `forfeit`: without a refund."""
        request = grant_pb2.GrantServiceVoidRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            grant_id=grant_id,
            forfeit=forfeit,
        )
        return await self._caller.call(lambda channel: GrantServiceStub(channel).Void, request)

    async def get_grant(
        self, grant_id: str, *, min_position: str | None = None
    ) -> grant_pb2.GrantServiceGetResponse:
        """Show one grant."""
        request = grant_pb2.GrantServiceGetRequest(
            tenant=self._caller.tenant,
            grant_id=grant_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(lambda channel: GrantServiceStub(channel).Get, request)

    async def list_grants(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[types_pb2.Grant]:
        """The grants of an account, in the order issued."""
        request = grant_pb2.GrantServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: GrantServiceStub(channel).List, request, account
            )
            for grant in reply.grants:
                yield grant
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def _learn(self, account: pb.Account) -> None:
        self._caller.routing.learn(account.account, account.root, account.shard)
