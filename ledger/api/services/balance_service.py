"""BalanceService: what an account can still spend, now from durable state (rule B6), at any other
instant from the read models."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from ledger.api.balance_figures import (
    BalanceFigures,
    assets_of,
    balance_figures,
    render_figures,
    usable_grants,
)
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.forecasting import Forecasts
from ledger.api.limits import Checked
from ledger.api.past_balances import PastBalances
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_grant import GrantView, grant_view, render_grant
from ledger.api.watching import BalanceWatch
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.v1 import balance_pb2 as pb

GRANTS_SHOWN_MAX: Final = 1_000


class AssetView(NamedTuple):
    """The balance of one asset, with the grants that make it up."""

    figures: BalanceFigures
    grants: list[GrantView]


class BalanceService:
    """See ledger/v1/balance.proto."""

    def __init__(self, edge: Edge, history: History | None = None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._past = PastBalances(edge, history)
        self._watch = BalanceWatch(edge)
        self._forecasts = Forecasts(edge, history)

    async def get(
        self, request: pb.BalanceServiceGetRequest, call: Call
    ) -> pb.BalanceServiceGetResponse:
        """The balances of one account."""
        if request.effective_at_us or request.known_at_us or request.grant_id:
            return await self._past.get(request)
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(product=request.product)
        check.done()
        entry = await edge.account(tenant, request.account)
        product = request.product
        clock_us = edge.ledger.clock.now_us()
        (views, as_of_us), reached = await edge.writer(entry).read(
            lambda state: _balances(state, entry, product, clock_us),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        response = pb.BalanceServiceGetResponse(
            account=entry.account_id,
            as_of_us=as_of_us,
            position=position_of(entry.shard, reached),
        )
        names = await edge.names({grant.account for view in views for grant in view.grants})
        for view in sorted(views, key=lambda view: edge.assets.of(view.figures.asset).code):
            balance = render_figures(edge.assets, view.figures)
            balance.grants.extend(
                render_grant(edge.assets, grant, entry.shard, names[grant.account], as_of_us)
                for grant in view.grants
            )
            response.balances.append(balance)
        return response

    def watch(self, request: pb.WatchRequest, call: Call) -> AsyncGenerator[pb.WatchResponse, None]:
        """Accounts of a family as they change."""
        return self._watch.watch(request, call)

    async def list_changes(
        self, request: pb.ListChangesRequest, call: Call
    ) -> pb.ListChangesResponse:
        """What made the difference between two balances."""
        return await self._past.list_changes(request)

    async def forecast(self, request: pb.ForecastRequest, call: Call) -> pb.ForecastResponse:
        """How long balances last, and what the period will cost."""
        return await self._forecasts.forecast(request)


def _balances(
    state: State, entry: Entry, product: str, clock_us: int
) -> tuple[list[AssetView], int]:
    account = state.accounts.get(entry.number)
    if account is None:
        raise CallFailed(
            "ACCOUNT_UNKNOWN",
            "the account's opening is not recorded; send its Create again",
            field="account",
            value=entry.account_id,
        )
    now_us = state.present(clock_us)
    views = []
    for asset in assets_of(account):
        usable = usable_grants(account, asset, now_us)[:GRANTS_SHOWN_MAX]
        figures = balance_figures(state, account, asset, product, now_us)
        views.append(AssetView(figures, [grant_view(state, grant) for grant in usable]))
    return views, now_us
