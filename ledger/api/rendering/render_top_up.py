"""Top-ups and their rules as messages, from the state at one position."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, TOP_UP, mint
from ledger.core.events import TopUpRule
from ledger.core.state import TopUp
from ledger.journal.directory import Entry
from ledger.v1 import top_up_pb2 as pb


class TopUpView(NamedTuple):
    """What a charge's message needs of the state, taken at one position."""

    number: int
    state: int
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    source: str
    version: int
    available: int
    requested_at_us: int
    expires_at_us: int
    settled_at_us: int
    grant: int


def top_up_view(top_up: TopUp) -> TopUpView:
    """The view of a charge."""
    return TopUpView(
        top_up.number,
        top_up.state,
        top_up.asset,
        top_up.amount,
        top_up.price_paid,
        top_up.price_asset,
        top_up.source,
        top_up.version,
        top_up.available,
        top_up.requested_at,
        top_up.expires_at,
        top_up.settled_at,
        top_up.grant,
    )


def render_top_up(assets: Assets, view: TopUpView, entry: Entry) -> pb.TopUp:
    """One charge."""
    asset, money = assets.of(view.asset), assets.of(view.price_asset)
    return pb.TopUp(
        top_up_id=mint(TOP_UP, entry.shard, entry.number, view.number),
        account=entry.account_id,
        state=pb.TopUpState.ValueType(view.state),
        asset=asset.code,
        scale=asset.scale,
        amount=view.amount,
        price_paid=view.price_paid,
        price_asset=money.code,
        price_scale=money.scale,
        source=view.source,
        rule_version=view.version,
        available=str(view.available),
        requested_at_us=view.requested_at_us,
        expires_at_us=view.expires_at_us,
        settled_at_us=view.settled_at_us,
        grant_id=mint(GRANT, entry.shard, entry.number, view.grant) if view.grant else "",
    )


def render_rule(assets: Assets, rule: TopUpRule, version: int) -> pb.TopUpRule:
    """A rule as it is in force: what was left to a default is filled."""
    asset, money = assets.of(rule.asset), assets.of(rule.price_asset)
    return pb.TopUpRule(
        asset=asset.code,
        threshold=rule.threshold,
        target=rule.target,
        amount=rule.amount,
        price_numerator=rule.price_numerator,
        price_denominator=rule.price_denominator,
        price_asset=money.code,
        source=rule.source,
        requests_max=rule.requests_max,
        window_us=rule.window,
        disabled=not rule.enabled,
        version=version,
        scale=asset.scale,
        price_scale=money.scale,
    )
