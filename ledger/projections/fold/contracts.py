"""Contracts, entry by entry."""

from __future__ import annotations

from ledger.core.events import (
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractSigned,
)
from ledger.projections import changes as c
from ledger.projections.fold.folding import Folding


def contract_signed(fold: Folding, _: int, event: ContractSigned) -> None:
    _append(
        fold, event.account, event.contract, c.CONTRACT_SIGNED, event.package, event.version,
        event.starts_at, event.ends_at, bool(event.auto_renew), None, None, None,
    )  # fmt: skip


def contract_begun(fold: Folding, _: int, event: ContractBegun) -> None:
    _append(
        fold, event.account, event.contract, c.CONTRACT_BEGUN, None, None, event.at, *[None] * 5
    )


def contract_amended(fold: Folding, _: int, event: ContractAmended) -> None:
    renews = event.auto_renew == 1 if event.auto_renew else None
    _append(
        fold, event.account, event.contract, c.CONTRACT_AMENDED, None, event.version or None, None,
        event.ends_at or None, renews, event.effective_at, event.rerate_from or None, None,
    )  # fmt: skip


def contract_renewed(fold: Folding, _: int, event: ContractRenewed) -> None:
    _append(
        fold, event.account, event.contract, c.CONTRACT_RENEWED, None, None, event.starts_at,
        event.ends_at, None, None, None, None,
    )  # fmt: skip


def contract_ended(fold: Folding, _: int, event: ContractEnded) -> None:
    _append(
        fold, event.account, event.contract, c.CONTRACT_OVER, None, None, None, event.ended_at,
        None, None, None, int(event.ending) if event.key else None,
    )  # fmt: skip


def _append(fold: Folding, account: int, contract: str, change: int, *values: object) -> None:
    fold.changes.contract_entries.append(
        (
            fold.facts.tenants[account], fold.shard, fold.entry_seq, account, contract, change,
            *values, fold.recorded_at,
        )
    )  # fmt: skip
