"""What an account can still spend, as figures taken from the state at one position (rule B6)."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.core.decisions.assessing import available_in_all, available_to
from ledger.core.drawing.drawdown import in_all
from ledger.core.state import Account, Grant, State
from ledger.v1 import balance_pb2 as pb


class BalanceFigures(NamedTuple):
    """The balance of one asset, in minor units."""

    asset: int
    available: int
    applicable: int | None
    granted: int
    pending: int
    advance: int
    overage: int
    leased: int


def assets_of(account: Account) -> list[int]:
    """The assets that an account has anything of, by number."""
    assets = {grant.asset for grant in account.grants} | set(account.advance)
    assets |= {grant.asset for grant in in_all(account)}
    assets |= set(account.overage) | {hold.asset for hold in account.holds.values()}
    assets.add(account.policy.overdraft_asset)
    assets.discard(0)
    return sorted(assets)


def usable_grants(account: Account, asset: int, now_us: int) -> list[Grant]:
    """The grants in an asset that an account may draw now, in order."""
    return [
        grant
        for grant in in_all(account)
        if grant.asset == asset and grant.effective_at <= now_us < grant.expires_at
    ]


def balance_figures(
    state: State, account: Account, asset: int, product: str, now_us: int
) -> BalanceFigures:
    """The balance of an account in one asset; `product` "" = what is applicable is not asked."""
    advance = account.advance.get(asset)
    holds = [hold for hold in account.holds.values() if hold.asset == asset]
    applicable: int | None = None
    if product:
        use = state.catalog.card(account.card_key).use_at(product, now_us)
        applicable = available_to(account, asset, use, now_us)
    return BalanceFigures(
        asset=asset,
        available=available_in_all(account, asset, now_us),
        applicable=applicable,
        granted=sum(
            grant.book.credits_posted - grant.book.debits_posted
            for grant in usable_grants(account, asset, now_us)
        ),
        pending=sum(hold.left for hold in holds),
        advance=advance.owed if advance is not None else 0,
        overage=account.overage_posted.get((asset, account.calendar.start_of(now_us)), 0),
        leased=sum(hold.left for hold in account.leases if hold.asset == asset),
    )


def render_figures(assets: Assets, figures: BalanceFigures) -> pb.AssetBalance:
    """A balance without its grants."""
    asset = assets.of(figures.asset)
    return pb.AssetBalance(
        asset=asset.code,
        scale=asset.scale,
        available=str(figures.available),
        applicable="" if figures.applicable is None else str(figures.applicable),
        granted=str(figures.granted),
        pending=str(figures.pending),
        advance=str(figures.advance),
        overage=str(figures.overage),
        leased=str(figures.leased),
    )
