"""Why a line costs what it costs: the row, what it beat, its tiers, its rounding. Data, no words.

Owns the account of one event, made again from the plan that priced it and what it was given; it
prices nothing by itself. Exact ratios are minor units of the asset. In words: see ``wording``.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from rating.card import ANY, PriceRow
from rating.compile import CompiledCard, rank_of
from rating.functions import MEASURE_COST, Function, Tiered, Transaction
from rating.model_lines import NO_FACTS, Facts, before_of
from rating.models import Scope
from rating.overrides import Multiplier, row_for
from rating.plan import NO_ROW, UNPRICED, Plan, row_of
from rating.price import own_quantities, rate, rate_own, rerate
from rating.row_functions import FormulaFunction

Ratio = tuple[int, int]

# why a row is beaten, by the first part of the rank that is smaller (rule R3)
BEATEN_BY: Final = ("product", "attributes", "hours", "above_prompt", "priority", "later_row")


class Beaten(Struct, frozen=True):
    """A row of the card that would have applied too, and by what the winner is before it."""

    ordinal: int
    by: str  # one of BEATEN_BY


class TierSlice(Struct, frozen=True):
    """What of the event falls into one tier: units above ``lower``, to ``upper`` and no further.

    Units are those that are priced: above what is included, in begun packages where the model has
    them. ``flat`` is due because the tier is entered. ``amount`` = units x unit price + flat.
    """

    tier: int
    lower: int
    upper: int
    unit_price: Ratio
    flat: Ratio
    amount: Ratio


class ExplainedLine(Struct, frozen=True):
    """One quantity of an event; ``ordinal`` is that of its row, None where none applies; where an
    ``override`` gives another price, conditions and model are that one's.

    ``measured`` is what runs on (``own``, or its cost), from ``before`` on, in ``scope``; of it
    ``free`` is included. ``exact_before`` and ``exact_after`` are F before rounding, without
    limits and fixed part; the line is the difference of the two rounded, plus ``fixed``, within
    ``limited_by`` (maximum, transaction_minimum, transaction_maximum).
    """

    quantity: str
    meter_scale: int
    given: int
    own: int
    ordinal: int | None
    conditions: tuple[str, ...] = ()
    beaten: tuple[Beaten, ...] = ()
    model: str = "per_unit"
    scope: str = Scope.MONTH.value
    before: int = 0
    measured: int = 0
    of_cost: bool = False
    free: int = 0
    slices: tuple[TierSlice, ...] = ()
    fixed: int = 0
    exact_before: Ratio = (0, 1)
    exact_after: Ratio = (0, 1)
    limited_by: str = ""
    charge: int | None = None  # None waits for a price
    rerate: int = 0
    override: int = 0  # number of the one that counts (rule R4); 0 = none does


class Explanation(Struct, frozen=True):
    """An event, priced; ``total`` is the sum of the lines, re-rates apart.

    ``quoted`` is what a quote priced of the event, by its own rows and from its own totals on: the
    lines are what is beyond it.
    """

    card: str
    version: int
    asset: str
    asset_scale: int
    rounding: str
    product: str
    attributes: dict[str, str]
    time_class: int
    lines: tuple[ExplainedLine, ...]
    total: int
    rerates: int
    quoted: "Explanation | None" = None

    @property
    def charged(self) -> int:
        """What the whole event costs, re-rates apart."""
        return self.total + (self.quoted.total if self.quoted is not None else 0)


def explain(
    card: CompiledCard,
    plan: Plan,
    product: str,
    attributes: Mapping[str, str],
    quantities: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts = NO_FACTS,
    time_class: int = 0,
    part: Sequence[int] = (),
) -> Explanation:
    """The account of one event that ``plan``, a plan of ``card``, prices. Raises RatingFault.

    ``totals`` and ``facts`` are what ``price.rate`` was given, ``time_class`` what
    ``card.time_class`` says of the event's time. ``part``: what the plan prices of each quantity
    without its subsets, where something else prices the rest.
    """
    if part:
        charges, total, _, used = rate_own(plan, part, totals, facts)
    else:
        charges, total, _, used = rate(plan, quantities, totals, facts)
    own = part or own_quantities(used, quantities)
    moved = dict(rerate(used, quantities, totals))
    prompt = quantities[used.prompt_index] if used.prompt_index >= 0 else 0
    candidates = card.candidates(product, attributes, time_class)
    scales = {meter.quantity: meter.scale for meter in card.card.meters}
    lines = []
    for index, name in enumerate(used.quantities):
        given, scale = quantities[index], scales.get(name, 0)
        charge = None if charges[index] == UNPRICED else charges[index]
        numbered = used.overrides[index] if used.overrides else None
        if used.rows[index] == NO_ROW and numbered is None:
            lines.append(ExplainedLine(name, scale, given, own[index], None, charge=charge))
            continue
        ordinal: int | None = None
        row: PriceRow | None = None
        beaten: tuple[Beaten, ...] = ()
        if used.rows[index] > NO_ROW:
            ordinal = row_of(used.rows[index])[1]
            row = card.row(ordinal)
            beaten = _beaten(card, row, ordinal, candidates, prompt)
        if numbered is not None and not isinstance(numbered.override.change, Multiplier):
            instead = row_for(numbered.override)  # it stands in the row's place
            row = replace(instead, attributes=numbered.override.attributes)
        assert row is not None
        line = ExplainedLine(
            name,
            scale,
            given,
            own[index],
            ordinal,
            _conditions(row),
            beaten,
            charge=charge,
            override=numbered.number if numbered is not None else 0,
        )
        rerated = moved.get(used.rows[index], 0)
        lines.append(_priced(line, row, used, index, own, totals, facts, rerated))
    return Explanation(
        card.card.name,
        card.version,
        card.asset,
        card.asset_scale,
        card.card.rounding.value,
        product,
        dict(attributes),
        time_class,
        tuple(lines),
        total,
        sum(moved.values()),
    )


def _conditions(row: PriceRow) -> tuple[str, ...]:
    """What the row asks of an event, and this one fulfilled."""
    found = ["any product" if row.product == ANY else f"product {row.product}"]
    for name, value in sorted(row.attributes.items()):
        found.append(f"any {name}" if value == ANY else f"{name} {value}")
    if row.hours is not None:
        hours = row.hours
        days = "".join(str(day) for day in hours.weekdays)
        found.append(f"{hours.start} to {hours.end} on days {days} in {hours.zone}")
    if row.above_prompt:
        found.append(f"prompt above {row.above_prompt}")
    return tuple(found)


def _beaten(
    card: CompiledCard, row: PriceRow, ordinal: int, candidates: list[int], prompt: int
) -> tuple[Beaten, ...]:
    best = rank_of(row, ordinal)
    found = []
    for other in candidates:
        rival = card.row(other)
        applies = rival.quantity == row.quantity and (
            not rival.above_prompt or prompt > rival.above_prompt
        )
        if other != ordinal and applies:
            ranks = zip(best, rank_of(rival, other), BEATEN_BY, strict=True)
            found.append(Beaten(other, next(by for ours, theirs, by in ranks if ours > theirs)))
    return tuple(found)


def _priced(
    line: ExplainedLine,
    row: PriceRow,
    plan: Plan,
    index: int,
    own: Sequence[int],
    totals: Mapping[int, int],
    facts: Facts,
    rerated: int,
) -> ExplainedLine:
    function = plan.functions[index] if plan.modeled else None
    key = plan.keys[index] if plan.modeled else plan.rows[index]
    if function is None:
        before = totals.get(key, 0) if plan.denominators[index] != 1 else 0
        unit = (plan.numerators[index], plan.denominators[index])
        return _replaced(line, **_linear(unit, before, own[index]))
    model = "per_unit" if row.model is None else type(row.model).__struct_config__.tag
    if isinstance(function, FormulaFunction):
        exact = (0, 1)
        if own[index]:
            given = dict(zip(plan.quantities, own, strict=True))
            exact = function.exact(given, facts.attributes)
        return _replaced(
            line, model=model, scope=Scope.EVENT.value, measured=own[index], exact_after=exact
        )
    before = before_of(function, totals, key)
    of_cost = function.measure == MEASURE_COST
    more = facts.costs[index] if of_cost and own[index] else own[index]
    share = function.share if isinstance(function, Transaction) else function
    assert isinstance(share, Tiered)
    return _replaced(
        line,
        model=model,
        scope=row.scope.value,
        before=before,
        measured=more,
        of_cost=of_cost,
        free=max(0, min(before + more, share.included) - before),
        slices=_slices(share, share.units(before), share.units(before + more)),
        fixed=_fixed(function, before, more, own[index]),
        exact_before=_exact(share, before, before + more if share.rerates else before),
        exact_after=_exact(share, before + more, before + more),
        limited_by=_limited_by(function, before, more, own[index]),
        rerate=rerated,
    )


def _replaced(line: ExplainedLine, **changes: object) -> ExplainedLine:
    fields = {name: getattr(line, name) for name in line.__struct_fields__}
    return ExplainedLine(**{**fields, **changes})


def _linear(unit: Ratio, before: int, more: int) -> dict[str, object]:
    numerator, denominator = unit
    amount = (numerator * more, denominator)
    piece = TierSlice(0, before, before + more, unit, (0, 1), amount)
    return {
        "before": before,
        "measured": more,
        "slices": (piece,) if more else (),
        "exact_before": (numerator * before, denominator),
        "exact_after": (numerator * (before + more), denominator),
    }


def _slices(share: Tiered, before: int, after: int) -> tuple[TierSlice, ...]:
    """The units from ``before`` to ``after`` by the tiers that price them."""
    if before == after:
        return ()
    last = bisect_left(share.bounds, after)
    if share.rerates:
        flat = share.intercepts[last] if before == 0 else 0
        return (_slice(share, last, before, after, flat),)
    found = []
    for tier in range(bisect_left(share.bounds, before), last + 1):
        floor = share.bounds[tier - 1] if tier else 0
        ceiling = share.bounds[tier] if tier < len(share.bounds) else after
        lower, upper = max(before, floor), min(after, ceiling)
        if lower < upper:
            flat = 0
            if before <= floor:  # the tier is entered: what its line starts at above the last one's
                flat = share.intercepts[tier] + share.slopes[tier] * floor
                if tier:
                    flat -= share.intercepts[tier - 1] + share.slopes[tier - 1] * floor
            found.append(_slice(share, tier, lower, upper, flat))
    return tuple(found)


def _slice(share: Tiered, tier: int, lower: int, upper: int, flat: int) -> TierSlice:
    slope, denominator = share.slopes[tier], share.denominator
    amount = slope * (upper - lower) + flat
    return TierSlice(
        tier, lower, upper, (slope, denominator), (flat, denominator), (amount, denominator)
    )


def _exact(share: Tiered, running: int, reached: int) -> Ratio:
    """F before rounding, of a running total, at the tier that ``reached`` reaches."""
    tier = bisect_left(share.bounds, share.units(reached))
    return share.exact(share.units(running), tier), share.denominator


def _fixed(function: Function, before: int, more: int, own: int) -> int:
    if not isinstance(function, Transaction) or not own:
        return 0
    return 0 if 0 < function.share.included >= before + more else function.fixed


def _limited_by(function: Function, before: int, more: int, own: int) -> str:
    if not own:
        return ""
    if isinstance(function, Transaction):
        if 0 < function.share.included >= before + more:
            return ""
        cost = function.share.charge(before, more) + function.fixed
        if cost < function.minimum:
            return "transaction_minimum"
        return "transaction_maximum" if 0 <= function.maximum < cost else ""
    assert isinstance(function, Tiered)
    if function.maximum >= 0 and function.total(before + more) == function.maximum:
        tier = bisect_left(function.bounds, function.units(before + more))
        exact = function.exact(function.units(before + more), tier)
        return "maximum" if exact > function.maximum * function.denominator else ""
    return ""
