"""A rate card made ready: for each shape of event, one plan of integer arithmetic.

Owns the choice of the row (rule R3) and the units: a plan holds minor units of the asset for one
minor unit of the meter, as whole ratios. Rows are parsed at their first match, so that a card of
thousands of rows opens at once. Rows with a model bring their function (``row_functions``). Must
not see an event's numbers: see ``price``. Plain slotted classes only, so that it compiles with
mypyc as it stands.
"""

from collections.abc import Mapping
from typing import Final

from rating.card import ANY, PriceRow, Product, RateCard, Rounding, is_plain, selector_of
from rating.exact import scaled_price
from rating.functions import Function, Tiered
from rating.hours import Windows
from rating.models import CostPlus, Hours
from rating.plan import NO_ROW as NO_ROW
from rating.plan import Plan as Plan
from rating.plan import row_number as row_number
from rating.plan import row_of as row_of
from rating.rounding import ROUND_DOWN as ROUND_DOWN
from rating.rounding import ROUND_HALF_EVEN as ROUND_HALF_EVEN
from rating.rounding import ROUND_HALF_UP as ROUND_HALF_UP
from rating.rounding import ROUND_UP as ROUND_UP
from rating.row_functions import function_of, list_function

PLANS_MAX: Final = 4_096  # shapes remembered a card, x ~1 kB = 4 MB

Rank = tuple[int, int, int, int, int, int]

_ROUNDING_CODES: Final[dict[str, int]] = {
    Rounding.HALF_EVEN.value: ROUND_HALF_EVEN,
    Rounding.HALF_UP.value: ROUND_HALF_UP,
    Rounding.UP.value: ROUND_UP,
    Rounding.DOWN.value: ROUND_DOWN,
}


class CardIndex:
    """Where the rows of a product stand, and what the card says of it; made row by row, so that
    whoever must not stop for a large card makes it in slices (see ``opening``)."""

    __slots__ = ("by_product", "hours", "products", "rows")

    def __init__(self) -> None:
        self.rows: int = 0
        self.by_product: dict[str, list[int]] = {}
        self.products: dict[str, Product] = {}
        self.hours: dict[Hours, int] = {}  # in the order in which rows name them

    def add(self, row: PriceRow) -> None:
        """The next row of the card."""
        ordinals = self.by_product.get(row.product)
        if ordinals is None:
            self.by_product[row.product] = [self.rows]
        else:
            ordinals.append(self.rows)
        if row.hours is not None:
            self.hours.setdefault(row.hours, len(self.hours))
        self.rows += 1

    def declare(self, product: Product) -> None:
        """A product of the card."""
        self.products[product.product] = product


class CompiledCard:
    """One version of a rate card, ready to be matched.

    ``match`` is done once a shape; callers keep the plan. The card must have passed
    ``card.validate``.
    """

    __slots__ = (
        "_before",
        "_by_product",
        "_functions",
        "_parents",
        "_plans",
        "_priced",
        "_products",
        "_ratios",
        "_relevant",
        "_rounding",
        "_scales",
        "_selected",
        "_series",
        "asset",
        "asset_scale",
        "card",
        "version",
        "windows",
    )

    def __init__(self, card: RateCard, version: int, index: CardIndex | None = None) -> None:
        """`index` is the card's own, where it has been made already."""
        assert version >= 0
        if index is None:
            index = CardIndex()
            for row in card.rows:
                index.add(row)
            for product in card.products:
                index.declare(product)
        assert index.rows == len(card.rows)
        self.card: RateCard = card
        self.version: int = version
        self.asset: str = card.asset
        self.asset_scale: int = card.asset_scale
        self._rounding: int = _ROUNDING_CODES[card.rounding.value]
        self._scales: dict[str, int] = {meter.quantity: meter.scale for meter in card.meters}
        self._parents: dict[str, str] = {meter.quantity: meter.subset_of for meter in card.meters}
        self._by_product: dict[str, list[int]] = index.by_product
        self.windows: Windows | None = Windows(tuple(index.hours)) if index.hours else None
        self._before: CompiledCard | None = None
        self._selected: dict[str, dict[object, int]] = {}
        self._series: dict[int, int] = {}
        self._functions: dict[int, tuple[Function, Tiered | None]] = {}
        self._products: dict[str, Product] = index.products
        self._ratios: dict[int, tuple[int, int]] = {}
        self._relevant: dict[str, tuple[str, ...]] = {}
        self._plans: dict[tuple[str, tuple[str | None, ...], tuple[str, ...], int], Plan] = {}
        self._priced: dict[tuple[tuple[str, ...], tuple[int, ...]], Plan] = {}

    def product(self, name: str) -> Product | None:
        """The product as the card declares it; None where it declares none of that name."""
        return self._products.get(name)

    def row(self, ordinal: int) -> PriceRow:
        """The row with this place in the card."""
        return self.card.rows[ordinal]

    def time_class(self, at_us: int) -> int:
        """Which conditions of time of day hold at an instant; 0 where the card has none.

        Events of one shape and one time class have one plan.
        """
        return 0 if self.windows is None else self.windows.class_at(at_us)

    def follow(self, before: "CompiledCard | None", anew: bool = False) -> bool:
        """Let rows with a model go on with the totals of rows of earlier versions (rule R1).

        ``before`` is the version before this one. Which row goes on with which is looked up as
        the row is first asked for; ``anew``: versions before it have changed. Returns whether
        that has changed here. To be called before the card prices anything.
        """
        if before is self._before and not anew:
            return False
        self._before = before
        self._series.clear()
        self._plans.clear()
        self._priced.clear()
        return True

    def series(self, ordinal: int) -> int:
        """The number under which a row's total runs: that of the first version of the row."""
        number = self._series.get(ordinal)
        if number is None:
            number = row_number(self.version, ordinal)
            row = self.card.rows[ordinal]
            if not is_plain(row):
                what = _runs_on(row)
                card = self._before
                while card is not None:
                    place = card.selected(row.product).get(what, NO_ROW)
                    if place != NO_ROW:
                        number = row_number(card.version, place)
                    card = card._before
            self._series[ordinal] = number
        return number

    def selected(self, product: str) -> dict[object, int]:
        """The rows of a product that have totals: by what their totals run on."""
        found = self._selected.get(product)
        if found is None:
            found = {}
            for ordinal in self._by_product.get(product, []):
                row = self.card.rows[ordinal]
                if not is_plain(row):
                    found.setdefault(_runs_on(row), ordinal)
            self._selected[product] = found
        return found

    def scale_of(self, quantity: str) -> int:
        """The scale of a meter that the card declares."""
        return self._scales[quantity]

    def function_for(self, row: PriceRow) -> Function:
        """The function of a row that is not plain and stands in the place of one of the card's."""
        return function_of(row, self.asset_scale, self._scales, self._rounding)

    def function(self, ordinal: int) -> tuple[Function, Tiered | None]:
        """The function of a row that is not plain, and that of its list price."""
        found = self._functions.get(ordinal)
        if found is None:
            row, scale = self.card.rows[ordinal], self.asset_scale
            found = (
                function_of(row, scale, self._scales, self._rounding),
                list_function(row, scale, self._scales, self._rounding),
            )
            self._functions[ordinal] = found
        return found

    def match(
        self,
        product: str,
        attributes: Mapping[str, str],
        quantities: tuple[str, ...],
        time_class: int = 0,
    ) -> Plan:
        """The plan for events of this shape; the quantities are distinct names (rule R3).

        The plan depends only on attributes that some row of the product names, so any number of
        other attributes leads to the same, remembered plan; and on the time class of the event,
        where the card has conditions of time of day.
        """
        known = product
        names = self._relevant.get(product)
        if names is None:
            known = product if product in self._by_product else ANY
            names = self._relevant.get(known)
            if names is None:
                names = self._relevant[known] = self._relevant_names(known)
        key = (known, tuple(map(attributes.get, names)), quantities, time_class)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[key] = self._compile(known, attributes, quantities, time_class)
        return plan

    def plan_of(self, quantities: tuple[str, ...], rows: tuple[int, ...]) -> Plan:
        """The plan of these rows of the card, by which an event was priced: whatever its prompt
        and its time were, it is without steps."""
        key = (quantities, rows)
        plan = self._priced.get(key)
        if plan is None:
            if len(self._priced) >= PLANS_MAX:
                del self._priced[next(iter(self._priced))]
            chosen = [NO_ROW if row == NO_ROW else row_of(row)[1] for row in rows]
            prompt = self.card.prompt_quantity
            prompt_index = quantities.index(prompt) if prompt in quantities else -1
            subsets = self._subsets(quantities)
            plan = self._priced[key] = self._plan(quantities, chosen, subsets, prompt_index, ())
        return plan

    def _ordinals(self, product: str) -> list[int]:
        general = self._by_product.get(ANY, [])
        return general if product == ANY else self._by_product.get(product, []) + general

    def _relevant_names(self, product: str) -> tuple[str, ...]:
        rows = self.card.rows
        names = {name for ordinal in self._ordinals(product) for name in rows[ordinal].attributes}
        return tuple(sorted(names))

    def candidates(
        self, product: str, attributes: Mapping[str, str], time_class: int = 0
    ) -> list[int]:
        """The rows, of any quantity, whose product, attributes and hours fit; worse or better."""
        known = product if product in self._by_product else ANY
        rows = self.card.rows
        return [
            ordinal
            for ordinal in self._ordinals(known)
            if _accepts(rows[ordinal].attributes, attributes)
            and self._in_hours(rows[ordinal].hours, time_class)
        ]

    def _in_hours(self, hours: Hours | None, time_class: int) -> bool:
        if hours is None:
            return True
        assert self.windows is not None
        return bool(time_class >> self.windows.conditions.index(hours) & 1)

    def _compile(
        self,
        product: str,
        attributes: Mapping[str, str],
        quantities: tuple[str, ...],
        time_class: int,
    ) -> Plan:
        assert len(set(quantities)) == len(quantities), "a shape names each quantity once"
        candidates = self.candidates(product, attributes, time_class)
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
        ranks: dict[str, Rank] = {}
        places = {quantity: index for index, quantity in enumerate(quantities)}
        for ordinal in candidates:
            row = self.card.rows[ordinal]
            place = places.get(row.quantity)
            if place is None or row.above_prompt > above:
                continue
            rank = rank_of(row, ordinal)
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
        rows = tuple([NO_ROW if o == NO_ROW else row_number(self.version, o) for o in chosen])
        ratios = tuple([self._ratio(ordinal) for ordinal in chosen])
        rounding = self._rounding
        modeled = [o != NO_ROW and not is_plain(self.card.rows[o]) for o in chosen]
        if not any(modeled):
            return Plan(
                self.version, quantities, rows, ratios, subsets, prompt_index, steps, rounding
            )
        functions = [
            self.function(o) if m else (None, None) for o, m in zip(chosen, modeled, strict=True)
        ]
        keys = [
            self.series(o) if m else row for o, m, row in zip(chosen, modeled, rows, strict=True)
        ]
        return Plan(
            self.version,
            quantities,
            rows,
            ratios,
            subsets,
            prompt_index,
            steps,
            rounding,
            tuple([each[0] for each in functions]),
            tuple([each[1] for each in functions]),
            tuple(keys),
        )

    def _ratio(self, ordinal: int) -> tuple[int, int]:
        if ordinal == NO_ROW:
            return (0, 1)
        ratio = self._ratios.get(ordinal)
        if ratio is None:
            row = self.card.rows[ordinal]
            if row.model is None:
                ratio = scaled_price(row.price, self.asset_scale, self._scales[row.quantity])
            else:
                ratio = (0, 1)  # what it costs is for its function to say
            self._ratios[ordinal] = ratio
        return ratio


def _runs_on(row: PriceRow) -> object:
    """What the total of a row with a model runs on; rows of two versions that agree share it."""
    return selector_of(row), row.scope, isinstance(row.model, CostPlus)


def _accepts(wanted: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    for name, value in wanted.items():
        given = attributes.get(name)
        if given is None or (value not in (ANY, given)):
            return False
    return True


def rank_of(row: PriceRow, ordinal: int) -> Rank:
    """Greater wins: the product itself, attributes fixed, hours, threshold, priority, later row."""
    fixed = sum([1 for value in row.attributes.values() if value != ANY])
    timed = int(row.hours is not None)
    return (int(row.product != ANY), fixed, timed, row.above_prompt, row.priority, ordinal)
