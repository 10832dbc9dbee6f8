"""Calls that show what is durable: balances, usage, the trial balance, what became of a call.

`min_position` None = everything that this client's replies have shown; "" = whatever is durable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from ledger.client.calls import Caller
from ledger.v1 import balance_pb2, journal_pb2, usage_pb2
from ledger.v1.balance_pb2_grpc import BalanceServiceStub
from ledger.v1.journal_pb2_grpc import JournalServiceStub
from ledger.v1.usage_pb2_grpc import UsageServiceStub

PAGE_SIZE = 1_000


class ReadCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def balance(
        self,
        account: str,
        *,
        product: str = "",
        effective_at_us: int = 0,
        known_at_us: int = 0,
        grant_id: str = "",
        min_position: str | None = None,
    ) -> balance_pb2.BalanceServiceGetResponse:
        """What an account can still spend; with `product` also what is applicable to it.

        With an instant or a grant: as of `effective_at_us`, as known at `known_at_us`.
        """
        request = balance_pb2.BalanceServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            product=product,
            effective_at_us=effective_at_us,
            known_at_us=known_at_us,
            grant_id=grant_id,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BalanceServiceStub(channel).Get, request, account
        )

    async def balance_changes(
        self,
        account: str,
        before: balance_pb2.BalanceInstant | None = None,
        after: balance_pb2.BalanceInstant | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        min_position: str | None = None,
    ) -> balance_pb2.ListChangesResponse:
        """A page of what made the difference between two balances. `before` None = nothing yet,
        `after` None = now."""
        request = balance_pb2.ListChangesRequest(
            tenant=self._caller.tenant,
            account=account,
            before=before,
            after=after,
            page_size=page_size,
            page_token=page_token,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BalanceServiceStub(channel).ListChanges, request, account
        )

    async def forecast(
        self,
        account: str,
        *,
        subtree: bool = False,
        horizon_hours: int = 0,
        min_position: str | None = None,
    ) -> balance_pb2.ForecastResponse:
        """How long balances last, and what the period will cost, by what usage has drawn; with
        `subtree` of the account and all below it as one. A horizon of 0 = 30 days."""
        request = balance_pb2.ForecastRequest(
            tenant=self._caller.tenant,
            account=account,
            subtree=subtree,
            horizon_hours=horizon_hours,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BalanceServiceStub(channel).Forecast, request, account
        )

    async def watch(
        self,
        *accounts: str,
        subtree: bool = False,
        product: str = "",
        holds: bool = False,
        budgets: bool = False,
        min_interval_us: int = 0,
        after_position: str = "",
    ) -> AsyncIterator[balance_pb2.WatchResponse]:
        """Accounts of one family as they are, then as they change (docs/live-balance.md).

        It goes on over restarts and takeovers: a message with `snapshot` is whole again, so nothing
        is missed. Whoever breaks out of the loop ends it; see contextlib.aclosing.
        """

        def asked(position: str) -> balance_pb2.WatchRequest:
            return balance_pb2.WatchRequest(
                tenant=self._caller.tenant,
                accounts=accounts,
                subtree=subtree,
                product=product,
                after_position=position,
                min_interval_us=min_interval_us,
                holds=holds,
                budgets=budgets,
            )

        home = accounts[0] if accounts else ""
        said = self._caller.resumed(
            lambda channel: BalanceServiceStub(channel).Watch, asked, home, after_position
        )
        async for message in said:
            yield message

    async def get_usage(
        self, account: str, source: str, event_id: str, *, min_position: str | None = None
    ) -> usage_pb2.UsageEntry:
        """One usage event as it is recorded. `source` "" = a capture, by its request_id."""
        request = usage_pb2.UsageServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            source=source,
            id=event_id,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: UsageServiceStub(channel).Get, request, account
        )
        return reply.entry

    async def trial_balance(
        self, *, asset: str = "", min_position: str | None = None
    ) -> journal_pb2.TrialBalanceResponse:
        """Total debits and credits per asset and shard."""
        request = journal_pb2.TrialBalanceRequest(
            tenant=self._caller.tenant,
            asset=asset,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: JournalServiceStub(channel).TrialBalance, request
        )

    async def get_outcome(
        self, account: str, request_id: str, *, abandon: bool = False
    ) -> journal_pb2.GetOutcomeResponse:
        """What became of a mutating call. `abandon`: make "not applied" final (rule I5)."""
        request = journal_pb2.GetOutcomeRequest(
            tenant=self._caller.tenant, account=account, request_id=request_id, abandon=abandon
        )
        return await self._get_outcome(request)

    async def suspense(
        self,
        account: str = "",
        *,
        product: str = "",
        reason: str = "",
        min_position: str | None = None,
    ) -> AsyncIterator[usage_pb2.SuspendedUsage]:
        """Usage that waits for a price, oldest first: of an account and those below it, or ("") of
        the tenant; of a product, with a quantity that waits for a reason. From the read models."""
        request = usage_pb2.ListSuspenseRequest(
            tenant=self._caller.tenant,
            account=account,
            product=product,
            reason=reason,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: UsageServiceStub(channel).ListSuspense, request, account
            )
            for each in page.usage:
                yield each
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def gauges(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[usage_pb2.Gauge]:
        """What an account's gauges show that are not charged yet, first what is charged first."""
        request = usage_pb2.ListGaugesRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            page = await self._caller.call(
                lambda channel: UsageServiceStub(channel).ListGauges, request, account
            )
            for each in page.gauges:
                yield each
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def get_usage_outcome(
        self, account: str, source: str, event_id: str, *, abandon: bool = False
    ) -> journal_pb2.GetOutcomeResponse:
        """What became of a usage event. `abandon`: make "not applied" final (rule I5)."""
        request = journal_pb2.GetOutcomeRequest(
            tenant=self._caller.tenant,
            account=account,
            usage=journal_pb2.UsageKey(source=source, id=event_id),
            abandon=abandon,
        )
        return await self._get_outcome(request)

    async def _get_outcome(
        self, request: journal_pb2.GetOutcomeRequest
    ) -> journal_pb2.GetOutcomeResponse:
        return await self._caller.call(
            lambda channel: JournalServiceStub(channel).GetOutcome, request, request.account
        )
