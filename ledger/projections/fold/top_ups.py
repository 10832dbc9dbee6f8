"""Top-up rules, requests and answers."""

from __future__ import annotations

from ledger.core.events import (
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
)
from ledger.core.state import TOP_UP_CONFIRMED, TOP_UP_DECLINED, TOP_UP_EXPIRED, TOP_UP_PENDING
from ledger.projections.described import rule_json
from ledger.projections.fold.folding import Folding


def top_up_rule_set(fold: Folding, _: int, event: TopUpRuleSet) -> None:
    rule = event.rule
    _top_up_rule(fold, event.account, rule.asset, event.version, rule_json(rule))


def top_up_rule_removed(fold: Folding, _: int, event: TopUpRuleRemoved) -> None:
    _top_up_rule(fold, event.account, event.asset, None, None)


def _top_up_rule(
    fold: Folding, account: int, asset: int, version: int | None, rule: str | None
) -> None:
    fold.changes.top_up_rules.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, asset, version,
            rule, fold.recorded_at,
        )
    )  # fmt: skip


def top_up_requested(fold: Folding, _: int, event: TopUpRequested) -> None:
    fold.changes.top_ups.append(
        (
            fold.facts.tenants[event.account], fold.shard, event.top_up, event.account,
            TOP_UP_PENDING, event.asset, event.amount, event.price_paid, event.price_asset,
            event.source, event.version, int(event.available), fold.recorded_at,
            event.expires_at,
        )
    )  # fmt: skip


def top_up_confirmed(fold: Folding, _: int, event: TopUpConfirmed) -> None:
    _top_up_end(fold, event.account, event.top_up, TOP_UP_CONFIRMED, event.grant)


def top_up_declined(fold: Folding, _: int, event: TopUpDeclined) -> None:
    _top_up_end(fold, event.account, event.top_up, TOP_UP_DECLINED)


def top_up_expired(fold: Folding, _: int, event: TopUpExpired) -> None:
    _top_up_end(fold, event.account, event.top_up, TOP_UP_EXPIRED)


def _top_up_end(
    fold: Folding, account: int, number: int, state: int, grant: int | None = None
) -> None:
    tenant = fold.facts.tenants[account]
    fold.changes.top_up_ends[number] = (tenant, number, state, fold.recorded_at, grant)
