"""BalanceService: what an account can still spend, now from durable state (rule B6), at any other
instant from the read models."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.past_balances import PastBalances
from ledger.api.positions import minimum, position_of
from ledger.api.render_grant import GrantView, grant_view, render_grant
from ledger.core.drawdown import in_all
from ledger.core.holds import available_in_all, available_to
from ledger.core.state import Account, State
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.v1 import balance_pb2 as pb

GRANTS_SHOWN_MAX: Final = 1_000


class AssetView(NamedTuple):
    """The balance of one asset, in minor units."""

    asset: int
    available: int
    applicable: int
    granted: int
    pending: int
    advance: int
    overage: int
    grants: list[GrantView]
    leased: int = 0


class BalanceService:
    """See ledger/v1/balance.proto."""

    def __init__(self, edge: Edge, history: History | None = None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._past = PastBalances(edge, history)

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
        for view in sorted(views, key=lambda view: edge.assets.of(view.asset).code):
            asset = edge.assets.of(view.asset)
            response.balances.add(
                asset=asset.code,
                scale=asset.scale,
                available=str(view.available),
                applicable=str(view.applicable) if product else "",
                granted=str(view.granted),
                pending=str(view.pending),
                advance=str(view.advance),
                overage=str(view.overage),
                leased=str(view.leased),
                grants=[
                    render_grant(edge.assets, grant, entry.shard, names[grant.account], as_of_us)
                    for grant in view.grants
                ],
            )
        return response

    async def list_changes(
        self, request: pb.ListChangesRequest, call: Call
    ) -> pb.ListChangesResponse:
        """What made the difference between two balances."""
        return await self._past.list_changes(request)


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
    assets = {grant.asset for grant in account.grants} | set(account.advance)
    assets |= {grant.asset for grant in in_all(account)}
    assets |= set(account.overage) | {hold.asset for hold in account.holds.values()}
    assets.add(account.policy.overdraft_asset)
    assets.discard(0)
    return [_balance(state, account, asset, product, now_us) for asset in assets], now_us


def _balance(state: State, account: Account, asset: int, product: str, now_us: int) -> AssetView:
    usable = [
        grant
        for grant in in_all(account)
        if grant.asset == asset and grant.effective_at <= now_us < grant.expires_at
    ]
    use = state.catalog.card(account.card_key).use_at(product, now_us)
    advance = account.advance.get(asset)
    holds = [hold for hold in account.holds.values() if hold.asset == asset]
    return AssetView(
        asset=asset,
        available=available_in_all(account, asset, now_us),
        applicable=available_to(account, asset, use, now_us) if product else 0,
        granted=sum(grant.book.credits_posted - grant.book.debits_posted for grant in usable),
        pending=sum(hold.amount if hold.lease is None else hold.left for hold in holds),
        advance=advance.owed if advance is not None else 0,
        overage=account.overage_posted.get((asset, account.calendar.start_of(now_us)), 0),
        grants=[grant_view(state, grant) for grant in usable[:GRANTS_SHOWN_MAX]],
        leased=sum(hold.left for hold in account.leases if hold.asset == asset),
    )
