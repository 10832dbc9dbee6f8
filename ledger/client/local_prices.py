"""What work costs by a price sheet that is pinned: for decisions where the server is not asked.

The same arithmetic as the server's (`rating`), by one version of a rate card. It is an estimate of
what the server will charge: that goes by the version in force, an account's overrides and running
totals, and is settled exactly with each report.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import Final

from rating.card import RateCard
from rating.compile import CompiledCard
from rating.faults import RatingFault
from rating.plan import NO_ROW, Plan
from rating.price import UNPRICED, rate

PLANS_MAX: Final = 4_096
_NO_TOTALS: Final[Mapping[int, int]] = {}
_Shape = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...], int]


class LocalPrices:
    """One version of a rate card, as `rating.card_file.read_card` reads it off a price sheet."""

    __slots__ = ("_card", "_plans", "version")

    def __init__(self, card: RateCard, version: int) -> None:
        self._card = CompiledCard(card, version)
        self._plans: dict[_Shape, Plan] = {}
        self.version: Final = version

    def amount(
        self, product: str, attributes: Mapping[str, str], quantities: Mapping[str, int]
    ) -> int:
        """Units of the card's asset; a unit more for each line that is not whole, for rounding goes
        on over many events (rule R1). Raises ValueError where the card does not price all of it, or
        by what it does not know here: a model over totals, or the provider's cost."""
        card = self._card
        time_class = card.time_class(time_ns() // 1_000)
        shape = (product, tuple(attributes.items()), tuple(quantities), time_class)
        plan = self._plans.get(shape)
        if plan is None:
            plan = self._plan_of(shape)
        try:
            charges, total, advances, _ = rate(plan, tuple(quantities.values()), _NO_TOTALS)
        except RatingFault as fault:
            raise ValueError(f"{product}: {fault}") from fault
        if UNPRICED in charges:
            raise ValueError(f"{product}: version {self.version} does not price all of it")
        return total + len(advances)

    def _plan_of(self, shape: _Shape) -> Plan:
        product, attributes, names, time_class = shape
        plan = self._card.match(product, dict(attributes), names, time_class)
        if plan.modeled or plan.costed or NO_ROW in plan.rows:
            message = f"{product}: version {self.version} has no price for it that stands alone"
            raise ValueError(message)
        if len(self._plans) >= PLANS_MAX:
            self._plans.clear()
        self._plans[shape] = plan
        return plan
