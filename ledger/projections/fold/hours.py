"""What usage draws, by account, book and hour: what forecasts look back on."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.events import GivenBack, Slice
from ledger.core.limits import HOUR_US
from ledger.projections.fold.folding import Folding


def drawn(
    fold: Folding,
    tenant: int,
    account: int,
    effective_at: int,
    slices: Sequence[Slice],
    given_back: Sequence[GivenBack] = (),
) -> None:
    """Usage of an account, or what it costs more or less than was recorded before."""
    hours = fold.changes.usage_hours
    hour = effective_at - effective_at % HOUR_US
    for piece in slices:
        place = (tenant, account, piece.book, hour)
        hours[place] = hours.get(place, 0) + piece.amount
    for back in given_back:
        place = (tenant, account, back.drawn, hour)
        hours[place] = hours.get(place, 0) - back.amount
