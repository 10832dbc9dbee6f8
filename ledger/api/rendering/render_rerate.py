"""What came of a job that rates usage again, as the answer says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.api.assets import Assets
from rating.v1 import rerate_pb2 as pb

LEFT_LISTED_MAX: Final = 100  # entries a reason


class Sums:
    """What usage was charged, and is charged now, in one asset."""

    __slots__ = ("charged", "events", "recharged")

    def __init__(self) -> None:
        self.events = 0
        self.charged = 0
        self.recharged = 0


def render_total(assets: Assets, product: str, asset: int, sums: Sums) -> pb.RerateTotal:
    """What a product was charged in an asset, and is charged now."""
    found = assets.of(asset)
    return pb.RerateTotal(
        product=product,
        asset=found.code,
        scale=found.scale,
        events=sums.events,
        charged=str(sums.charged),
        recharged=str(sums.recharged),
    )


def render_left(left: Mapping[str, list[int]]) -> list[pb.RerateLeftAlone]:
    """What was left alone: entries by reason."""
    return [
        pb.RerateLeftAlone(
            reason=reason, events=len(entries), entry_seqs=sorted(entries)[:LEFT_LISTED_MAX]
        )
        for reason, entries in sorted(left.items())
    ]
