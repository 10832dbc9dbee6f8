"""What many accounts' work is sized to, for CheckMany: what was learned is looked up together.

Each account's work is sized as Check sizes it. Where nothing of it is, the account keeps the work
that it shares with others, which is priced once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.api.edge import Edge
from ledger.api.sizing import Ruled, apply, ruled_by
from ledger.core.commands import Sizing
from ledger.core.decisions.checking import Asked, Work
from ledger.sizing.learned import Wanted, wanted_of
from ledger.sizing.rules import NO_SIZING
from ledger.v1 import decision_pb2 as pb


class Seated(NamedTuple):
    """An account that is known: its place in the request, number, and what it is asked about."""

    place: int
    number: int
    asked: Asked
    operation: bytes


async def sized_many(
    edge: Edge, tenant: int, accounts: Sequence[Seated], modes: Sequence[pb.Sizing.ValueType]
) -> list[Seated]:
    """The accounts with their work sized; `modes` stand parallel to the work."""
    version = edge.ledger.configurations.sizing.get(tenant, NO_SIZING)
    names = await edge.names({each.number for each in accounts})
    ruled: list[list[Ruled | bool]] = []
    wanted: list[list[Wanted | None]] = []
    for account in accounts:
        name = names[account.number]
        by = [
            ruled_by(version, each.shape, name, mode)
            for each, mode in zip(account.asked.work, modes, strict=True)
        ]
        ruled.append(by)
        wanted.append(
            [
                wanted_of(tenant, its.rule, dict(each.shape.attributes), account.number)
                if isinstance(its, Ruled)
                else None
                for its, each in zip(by, account.asked.work, strict=True)
            ]
        )
    distinct = {each: None for row in wanted for each in row if each is not None}
    sizes = await edge.learned.sizes_of_many(distinct, edge.now_us(tenant))
    found = []
    for account, by, keys in zip(accounts, ruled, wanted, strict=True):
        work: list[Work] = []
        for each, its, key in zip(account.asked.work, by, keys, strict=True):
            if isinstance(its, Ruled) and key is not None:
                up_to = each.up_to
                ranged = ("", 0) if up_to is None else (up_to.quantity, up_to.minimum)
                quantities, sizing = apply(
                    edge, its, each.shape, each.quantities, ranged, sizes[key]
                )
                work.append(each._replace(quantities=quantities, sizing=sizing))
            elif its:
                work.append(each._replace(sizing=Sizing(each.quantities, (), 0, True)))
            else:
                work.append(each)
        learned = any(each.sizing is not None for each in work)
        found.append(account._replace(asked=Asked(work)) if learned else account)
    return found
