"""A rate card made ready: for each shape of event, one plan of integer arithmetic.

Owns the choice of the row (rule R3) and the units: a plan holds minor units of the asset for one
minor unit of the meter, as whole ratios. Rows are parsed at their first match, so that a card of
thousands of rows opens at once. Must not see an event's numbers: see ``price``. Plain slotted
classes only, so that it compiles with mypyc as it stands.
"""

from collections.abc import Mapping
from typing import Final

from rating.card import ANY, PriceRow, Product, RateCard, Rounding
from rating.exact import parse_price, scaled

ROW_BITS: Final = 20  # rows of a card, 65,536 at most, with room to grow
PLANS_MAX: Final = 4_096  # shapes remembered a card, x ~1 kB = 4 MB
NO_ROW: Final = -1

ROUND_HALF_EVEN: Final = 0
ROUND_HALF_UP: Final = 1
ROUND_UP: Final = 2
ROUND_DOWN: Final = 3

_ROUNDING_CODES: Final[dict[str, int]] = {
    Rounding.HALF_EVEN.value: ROUND_HALF_EVEN,
    Rounding.HALF_UP.value: ROUND_HALF_UP,
    Rounding.UP.value: ROUND_UP,
    Rounding.DOWN.value: ROUND_DOWN,
}


def row_number(version: int, ordinal: int) -> int:
    """The tenant-wide number of a row: its card's version and its place in the card."""
    return version << ROW_BITS | ordinal


def row_of(number: int) -> tuple[int, int]:
    """(card version, ordinal of the row in the card) of a row number."""
    return number >> ROW_BITS, number & ((1 << ROW_BITS) - 1)


class Plan:
    """How to price every event of one shape; see ``price.rate``. Treat as read-only.

    Per quantity, in the order of ``quantities``: ``rows`` (row number, -1 = no price),
    ``numerators`` and ``denominators`` (minor units of asset for one minor unit of meter) and
    ``subsets`` (indexes of the quantities that are taken off it, rule R8; ``parents`` are those
    that have any). ``steps`` are the plans (N, plan) for prompts strictly above N, largest N
    first; ``prompt_index`` is where the prompt stands (-1 = the event has none). ``whole``: every
    priced line has denominator 1, so that it rounds event by event (rule R1). ``flat``: whole,
    nothing to subtract, all priced. ``simple``: flat, and no steps.
    """

    __slots__ = (
        "card_version",
        "count",
        "denominators",
        "flat",
        "numerators",
        "parents",
        "priced",
        "prompt_index",
        "quantities",
        "rounding",
        "rows",
        "simple",
        "steps",
        "subsets",
        "whole",
    )

    def __init__(
        self,
        card_version: int,
        quantities: tuple[str, ...],
        rows: tuple[int, ...],
        ratios: tuple[tuple[int, int], ...],
        subsets: tuple[tuple[int, ...], ...],
        prompt_index: int,
        steps: tuple[tuple[int, "Plan"], ...],
        rounding: int,
    ) -> None:
        assert len(quantities) == len(rows) == len(ratios) == len(subsets)
        assert all(numerator >= 0 and denominator > 0 for numerator, denominator in ratios)
        self.card_version: int = card_version
        self.quantities: tuple[str, ...] = quantities
        self.count: int = len(quantities)
        self.rows: tuple[int, ...] = rows
        self.numerators: tuple[int, ...] = tuple([ratio[0] for ratio in ratios])
        self.denominators: tuple[int, ...] = tuple([ratio[1] for ratio in ratios])
        self.subsets: tuple[tuple[int, ...], ...] = subsets
        self.parents: tuple[tuple[int, tuple[int, ...]], ...] = tuple(
            [(index, children) for index, children in enumerate(subsets) if children]
        )
        self.prompt_index: int = prompt_index
        self.steps: tuple[tuple[int, Plan], ...] = steps
        self.rounding: int = rounding
        self.priced: int = sum([1 for row in rows if row != NO_ROW])
        self.whole: bool = all(denominator == 1 for denominator in self.denominators)
        self.flat: bool = self.whole and self.priced == self.count and not any(subsets)
        self.simple: bool = self.flat and not steps

    def at(self, prompt: int) -> "Plan":
        """The plan for an event whose whole prompt, subsets included, is this large."""
        for above, plan in self.steps:
            if prompt > above:
                return plan
        return self


class CompiledCard:
    """One version of a rate card, ready to be matched.

    ``match`` is done once a shape; callers keep the plan. The card must have passed
    ``card.validate``.
    """

    __slots__ = (
        "_by_product",
        "_parents",
        "_plans",
        "_products",
        "_ratios",
        "_relevant",
        "_rounding",
        "_scales",
        "asset",
        "asset_scale",
        "card",
        "version",
    )

    def __init__(self, card: RateCard, version: int) -> None:
        assert version >= 0
        self.card: RateCard = card
        self.version: int = version
        self.asset: str = card.asset
        self.asset_scale: int = card.asset_scale
        self._rounding: int = _ROUNDING_CODES[card.rounding.value]
        self._scales: dict[str, int] = {meter.quantity: meter.scale for meter in card.meters}
        self._parents: dict[str, str] = {meter.quantity: meter.subset_of for meter in card.meters}
        self._by_product: dict[str, list[int]] = {}
        for ordinal, row in enumerate(card.rows):
            self._by_product.setdefault(row.product, []).append(ordinal)
        self._products: dict[str, Product] = {each.product: each for each in card.products}
        self._ratios: dict[int, tuple[int, int]] = {}
        self._relevant: dict[str, tuple[str, ...]] = {}
        self._plans: dict[tuple[str, tuple[str | None, ...], tuple[str, ...]], Plan] = {}

    def product(self, name: str) -> Product | None:
        """The product as the card declares it; None where it declares none of that name."""
        return self._products.get(name)

    def row(self, ordinal: int) -> PriceRow:
        """The row with this place in the card."""
        return self.card.rows[ordinal]

    def match(
        self, product: str, attributes: Mapping[str, str], quantities: tuple[str, ...]
    ) -> Plan:
        """The plan for events of this shape; the quantities are distinct names (rule R3).

        The plan depends only on attributes that some row of the product names, so any number of
        other attributes leads to the same, remembered plan.
        """
        known = product if product in self._by_product else ANY
        names = self._relevant.get(known)
        if names is None:
            names = self._relevant[known] = self._relevant_names(known)
        key = (known, tuple([attributes.get(name) for name in names]), quantities)
        plan = self._plans.pop(key, None)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                del self._plans[next(iter(self._plans))]
            plan = self._compile(known, attributes, quantities)
        self._plans[key] = plan
        return plan

    def _ordinals(self, product: str) -> list[int]:
        general = self._by_product.get(ANY, [])
        return general if product == ANY else self._by_product.get(product, []) + general

    def _relevant_names(self, product: str) -> tuple[str, ...]:
        rows = self.card.rows
        names = {name for ordinal in self._ordinals(product) for name in rows[ordinal].attributes}
        return tuple(sorted(names))

    def _compile(
        self, product: str, attributes: Mapping[str, str], quantities: tuple[str, ...]
    ) -> Plan:
        assert len(set(quantities)) == len(quantities), "a shape names each quantity once"
        candidates = [
            ordinal
            for ordinal in self._ordinals(product)
            if _accepts(self.card.rows[ordinal].attributes, attributes)
        ]
        prompt = self.card.prompt_quantity
        prompt_index = quantities.index(prompt) if prompt in quantities else -1
        subsets = self._subsets(quantities)
        base = self._select(candidates, quantities, 0)
        steps: list[tuple[int, Plan]] = []
        last = base
        for above in self._thresholds(candidates, quantities, prompt_index):
            chosen = self._select(candidates, quantities, above)
            if chosen != last:
                plan = self._plan(quantities, chosen, subsets, prompt_index, ())
                steps.append((above, plan))
                last = chosen
        steps.reverse()
        return self._plan(quantities, base, subsets, prompt_index, tuple(steps))

    def _thresholds(
        self, candidates: list[int], quantities: tuple[str, ...], prompt_index: int
    ) -> list[int]:
        if prompt_index < 0:
            return []
        rows = [self.card.rows[ordinal] for ordinal in candidates]
        limits = {row.above_prompt for row in rows if row.quantity in quantities}
        return sorted([limit for limit in limits if limit > 0])

    def _select(self, candidates: list[int], quantities: tuple[str, ...], above: int) -> list[int]:
        """For each quantity the ordinal of the winning row where the prompt exceeds ``above``."""
        chosen = [NO_ROW] * len(quantities)
        ranks: dict[str, tuple[int, int, int, int, int]] = {}
        places = {quantity: index for index, quantity in enumerate(quantities)}
        for ordinal in candidates:
            row = self.card.rows[ordinal]
            place = places.get(row.quantity)
            if place is None or row.above_prompt > above:
                continue
            rank = _rank(row, ordinal)
            best = ranks.get(row.quantity)
            if best is None or rank > best:
                ranks[row.quantity] = rank
                chosen[place] = ordinal
        return chosen

    def _subsets(self, quantities: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        """Each quantity is taken off the nearest of its ancestors that the event carries."""
        places = {quantity: index for index, quantity in enumerate(quantities)}
        children: list[list[int]] = [[] for _ in quantities]
        for index, quantity in enumerate(quantities):
            parent = self._parents.get(quantity, "")
            while parent and parent not in places:
                parent = self._parents.get(parent, "")
            if parent:
                children[places[parent]].append(index)
        return tuple([tuple(indexes) for indexes in children])

    def _plan(
        self,
        quantities: tuple[str, ...],
        chosen: list[int],
        subsets: tuple[tuple[int, ...], ...],
        prompt_index: int,
        steps: tuple[tuple[int, Plan], ...],
    ) -> Plan:
        return Plan(
            self.version,
            quantities,
            tuple([NO_ROW if o == NO_ROW else row_number(self.version, o) for o in chosen]),
            tuple([self._ratio(ordinal) for ordinal in chosen]),
            subsets,
            prompt_index,
            steps,
            self._rounding,
        )

    def _ratio(self, ordinal: int) -> tuple[int, int]:
        if ordinal == NO_ROW:
            return (0, 1)
        ratio = self._ratios.get(ordinal)
        if ratio is None:
            row = self.card.rows[ordinal]
            ratio = scaled(parse_price(row.price), self.asset_scale, self._scales[row.quantity])
            self._ratios[ordinal] = ratio
        return ratio


def _accepts(wanted: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    for name, value in wanted.items():
        given = attributes.get(name)
        if given is None or (value not in (ANY, given)):
            return False
    return True


def _rank(row: PriceRow, ordinal: int) -> tuple[int, int, int, int, int]:
    """Greater wins: the product itself, attributes fixed, threshold, priority, later row."""
    fixed = sum([1 for value in row.attributes.values() if value != ANY])
    return (int(row.product != ANY), fixed, row.above_prompt, row.priority, ordinal)
