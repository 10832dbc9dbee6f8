"""Overrides put into plans: an account's prices are its card's, and its overrides over them (R4).

Owns what an overridden line costs, and which total it runs on: a multiplied line on that of its
row; another price or tiers on that of the row in whose place they stand, if that has one over the
same scope, else on a total of the override's own. Rounding goes on with a plain row's. Chosen and
compiled once a shape, so that an event costs what it costs without.
"""

from collections.abc import Mapping

from rating.card import is_plain
from rating.compile import CompiledCard
from rating.exact import parse_price, reduced, scaled
from rating.functions import (
    MEASURE_QUANTITY,
    NO_MAXIMUM,
    SCOPE_EVENT,
    Function,
    Tiered,
    Transaction,
)
from rating.override_faults import fits
from rating.overrides import (
    Multiplier,
    NumberedOverride,
    OverrideSet,
    row_for,
    selects,
)
from rating.plan import NO_ROW, Plan
from rating.rounding import rounded
from rating.row_functions import FormulaFunction, Ratio
from rating.versions import PLANS_MAX, Attributes, CardVersions

Chosen = tuple[NumberedOverride | None, ...]


def override_row(number: int) -> int:
    """What stands in the place of a row number where an override prices what no row does, and the
    key of an override's own total: below -1, so it is never a row's."""
    return -1 - number


def multiplied(function: Function, ratio: Ratio, rounding: int) -> Function:
    """The function at a ratio. What a row says in whole minor units (fixed parts, minimums, the
    maximum) is rounded once; of a maximum that changes nothing, as F is rounded itself."""
    if isinstance(function, FormulaFunction):
        unit = (function.unit[0] * ratio[0], function.unit[1] * ratio[1])
        return FormulaFunction(function.formula, unit, function.rounding)
    if isinstance(function, Transaction):
        share = multiplied(function.share, ratio, rounding)
        assert isinstance(share, Tiered)
        return Transaction(
            share,
            _amount(function.fixed, ratio, rounding),
            _amount(function.minimum, ratio, rounding),
            _amount(function.maximum, ratio, rounding),
        )
    assert isinstance(function, Tiered)
    numerator, denominator = ratio
    return Tiered(
        function.bounds,
        tuple([slope * numerator for slope in function.slopes]),
        tuple([intercept * numerator for intercept in function.intercepts]),
        function.denominator * denominator,
        function.rounding,
        function.scope,
        function.included,
        _amount(function.maximum, ratio, rounding),
        function.size,
        function.measure,
        function.rerates,
    )


def _amount(amount: int, ratio: Ratio, rounding: int) -> int:
    return amount if amount == NO_MAXIMUM else rounded(amount * ratio[0], ratio[1], rounding)


def overridden(
    card: CompiledCard,
    plan: Plan,
    chosen: Chosen,
    steps: tuple[tuple[int, Plan], ...] = (),
) -> Plan:
    """A plan of the card with these overrides in it, one or none for each quantity."""
    lines = [_line(card, plan, index, numbered) for index, numbered in enumerate(chosen)]
    rows = tuple([line[0] for line in lines])
    ratios = tuple([line[1] for line in lines])
    modeled = any(line[2] is not None or line[3] != line[0] for line in lines)
    lists = plan.lists if plan.modeled else (None,) * plan.count
    return Plan(
        plan.card_version,
        plan.quantities,
        rows,
        ratios,
        plan.subsets,
        plan.prompt_index,
        steps,
        plan.rounding,
        tuple([line[2] for line in lines]) if modeled else (),
        _lists(lists, chosen) if modeled else (),
        tuple([line[3] for line in lines]) if modeled else (),
        chosen if any(chosen) else (),
    )


def plan_again(
    card: CompiledCard, quantities: tuple[str, ...], rows: tuple[int, ...], overrides: Chosen
) -> Plan:
    """The plan of these rows of the card and overrides, by which an event was priced."""
    of_card = tuple([row if row > NO_ROW else NO_ROW for row in rows])
    plan = card.plan_of(quantities, of_card)
    return overridden(card, plan, overrides) if overrides else plan


_Line = tuple[int, Ratio, Function | None, int]  # row, ratio, function, key


def _line(card: CompiledCard, plan: Plan, index: int, numbered: NumberedOverride | None) -> _Line:
    row = plan.rows[index]
    ratio = (plan.numerators[index], plan.denominators[index])
    function = plan.functions[index] if plan.modeled else None
    key = plan.keys[index] if plan.modeled else row
    if numbered is None:
        return row, ratio, function, key
    change = numbered.override.change
    if isinstance(change, Multiplier):
        assert row != NO_ROW
        by = parse_price(change.ratio)
        if function is not None:
            return row, ratio, multiplied(function, by, plan.rounding), key
        return row, reduced(ratio[0] * by[0], ratio[1] * by[1]), None, key
    own = override_row(numbered.number)
    said = row_for(numbered.override)
    stands = own if row == NO_ROW else row
    if is_plain(said):
        price = scaled(parse_price(said.price), card.asset_scale, card.scale_of(said.quantity))
        return stands, price, None, own if function is not None and price[1] != 1 else stands
    instead = card.function_for(said)
    return stands, (0, 1), instead, key if _goes_on(function, instead) else own


def _goes_on(function: Function | None, instead: Function) -> bool:
    """Whether the total of a row is one that runs on for what stands in its place."""
    return (
        function is not None
        and function.scope == instead.scope != SCOPE_EVENT
        and function.measure == instead.measure == MEASURE_QUANTITY
    )


def _lists(lists: tuple[Tiered | None, ...], chosen: Chosen) -> tuple[Tiered | None, ...]:
    """List prices stay beside a multiplied price, and go with a row that is replaced (rule R9)."""
    return tuple(
        [
            each if numbered is None or isinstance(numbered.override.change, Multiplier) else None
            for each, numbered in zip(lists, chosen, strict=True)
        ]
    )


class OverriddenVersions:
    """The versions of a card as an account with overrides sees them; made of ``CardVersions``.

    Between two changes of the overrides the plan of a shape depends on the time as that of the
    card does: see ``settled_at``.
    """

    __slots__ = ("_fits", "_plans", "base", "overrides")

    def __init__(self, base: CardVersions, overrides: OverrideSet) -> None:
        self.base: CardVersions = base
        self.overrides: OverrideSet = overrides
        self._plans: dict[tuple[Plan, str, tuple[tuple[str, str], ...], int], Plan] = {}
        self._fits: dict[tuple[int, int], bool] = {}  # (override, version of the card)

    def settled_at(self, at_us: int) -> tuple[int, int]:
        """[from, until) about an instant, or after it, in which a shape has one plan."""
        since, until = self.overrides.stretch_of(at_us)
        return max(since, self.base.settled_from_us), until

    def plan_for(
        self,
        effective_at_us: int,
        product: str,
        attributes: Attributes,
        quantities: tuple[str, ...],
    ) -> Plan | None:
        """The plan for events of this shape at that time; None where no card applies at all."""
        pairs = attributes if isinstance(attributes, tuple) else tuple(sorted(attributes.items()))
        plan = self.base.plan_for(effective_at_us, product, pairs, quantities)
        return None if plan is None else self.over(effective_at_us, product, pairs, plan)

    def over(
        self,
        effective_at_us: int,
        product: str,
        pairs: tuple[tuple[str, str], ...],
        plan: Plan,
    ) -> Plan:
        """A plan of one of the versions for events of this shape, with the overrides of that time
        over it."""
        stretch = self.overrides.stretch(effective_at_us)
        key = (plan, product, pairs, stretch)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= PLANS_MAX:
                del self._plans[next(iter(self._plans))]
            found = self._plans[key] = self._made(plan, product, dict(pairs), stretch)
        return found

    def _made(self, plan: Plan, product: str, attributes: Mapping[str, str], stretch: int) -> Plan:
        card = self.base.card(plan.card_version)
        assert card is not None
        steps = [
            (above, each, self._chosen(card, each, product, attributes, stretch))
            for above, each in plan.steps
        ]
        chosen = self._chosen(card, plan, product, attributes, stretch)
        if not any(chosen) and not any(any(each[2]) for each in steps):
            return plan
        made = [(above, overridden(card, each, with_)) for above, each, with_ in steps]
        return overridden(card, plan, chosen, tuple(made))

    def _chosen(
        self,
        card: CompiledCard,
        plan: Plan,
        product: str,
        attributes: Mapping[str, str],
        stretch: int,
    ) -> Chosen:
        """For each quantity the override that counts; one that was set later, only if it has no
        price otherwise."""
        in_force = self.overrides.in_force(stretch)
        back = self.overrides.reaching_back(stretch)
        found: list[NumberedOverride | None] = []
        for row, quantity in zip(plan.rows, plan.quantities, strict=True):
            fitting = self._first(card, in_force, product, attributes, quantity, row)
            if fitting is None and row == NO_ROW:
                fitting = self._first(card, back, product, attributes, quantity, row)
            found.append(fitting)
        return tuple(found)

    def _first(
        self,
        card: CompiledCard,
        ranked: tuple[NumberedOverride, ...],
        product: str,
        attributes: Mapping[str, str],
        quantity: str,
        row: int,
    ) -> NumberedOverride | None:
        for numbered in ranked:
            override = numbered.override
            if row == NO_ROW and isinstance(override.change, Multiplier):
                continue  # there is nothing to multiply
            if selects(override, product, attributes, quantity) and self._fitting(card, numbered):
                return numbered
        return None

    def _fitting(self, card: CompiledCard, numbered: NumberedOverride) -> bool:
        key = (numbered.number, card.version)
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = fits(numbered.override, card.card)
        return found
