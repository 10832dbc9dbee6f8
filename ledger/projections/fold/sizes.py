"""Holds for what was learned, and denials of them."""

from __future__ import annotations

from ledger.core.events import HoldSized, SizedDenied
from ledger.projections.fold.decision_policies import policy_denied, policy_held
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.holds import authorize_denied, hold_authorized


def hold_sized(fold: Folding, index: int, event: HoldSized) -> None:
    """With what was asked for and what was held of each quantity that may be learned; nothing of
    it where a policy had other work run."""
    if event.ruling is None:
        hold_authorized(fold, index, event)
    else:
        policy_held(fold, index, event)
        if event.ruling.asked is not None:
            return
    tenant, plan = fold.place(event)
    names = plan.declared.quantity_names
    for each in event.sizes:
        place = names.index(each.quantity)
        fold.changes.hold_sizes.append(
            (
                tenant, fold.shard, event.hold, event.account, plan.digest, each.quantity,
                event.asked[place], event.quantities[place], int(each.by), each.permille,
                each.observations, each.value, fold.recorded_at,
            )
        )  # fmt: skip


def sized_denied(fold: Folding, index: int, event: SizedDenied) -> None:
    if event.ruling is None:
        authorize_denied(fold, index, event)
    else:
        policy_denied(fold, index, event)
