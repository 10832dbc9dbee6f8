"""Sharing and caps: what was set (rules D1, D8). What counts towards a cap is in the draws."""

from __future__ import annotations

from ledger.core.events import CapRemoved, CapSet, SharingMode, SharingUpdated
from ledger.projections.described import cap_json
from ledger.projections.fold.folding import Folding


def sharing_updated(fold: Folding, _: int, event: SharingUpdated) -> None:
    tenant, sharing = fold.facts.tenants[event.account], event.sharing
    grants = (event.grant, *event.alike)
    fold.changes.sharings.append(
        (
            tenant, fold.shard, fold.entry_seq, event.account, grants, event.version,
            int(sharing.mode), sharing.accounts, sharing.labels, fold.recorded_at,
        )
    )  # fmt: skip
    for grant in grants:
        fold.changes.shared[grant] = tenant, sharing.mode != SharingMode.NONE


def cap_set(fold: Folding, _: int, event: CapSet) -> None:
    fold.changes.caps.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.cap, event.below, event.asset, event.grant or None, event.version,
            cap_json(event.terms), fold.recorded_at,
        )
    )  # fmt: skip


def cap_removed(fold: Folding, _: int, event: CapRemoved) -> None:
    fold.changes.caps.append(
        (
            fold.facts.tenants[event.account], fold.shard, fold.entry_seq, event.account,
            event.cap, None, None, None, None, None, fold.recorded_at,
        )
    )  # fmt: skip
