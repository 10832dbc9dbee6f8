"""Price models as data: what a row may say in place of one price for every unit.

Owns the facts alone. ``functions`` turns them into integers, ``model_faults`` says what is wrong
with them. Quantities (``up_to``, ``size``, ``free``, ``included``) are minor units of the row's
meter; prices are exact texts, "0.25" or "1/3": major units of the card's asset for one major unit
of the meter; amounts (``flat``, ``fixed``, a minimum, a maximum) are major units of the asset.
"""

from enum import StrEnum

from msgspec import Struct

TIERS_MAX = 100  # a row; x ~100 B = 10 kB
UP_TO_MAX = 2**63 - 1  # a running total above it is in the last tier
FORMULA_CHARS_MAX = 1_000
FORMULA_ATTRIBUTES_MAX = 16
FORMULAS_MAX = 256  # distinct ones a card; x ~2 ms to parse = 0.5 s a publication
MINIMUMS_MAX = 64  # a card; x 4 entries = 256 where a period is settled
EACH_DAY = (1, 2, 3, 4, 5, 6, 7)
DAY_START = "00:00"
DAY_END = "24:00"


class Scope(StrEnum):
    """Over what a row's quantity runs on (rule R1): the ledger hands in its total.

    Of the account's own usage, unless it is that of a subtree, whose accounts share one total, or
    of a contract, over its term (rule D8).
    """

    MONTH = "month"
    DAY = "day"
    PERIOD = "period"  # the account's billing period
    EVENT = "event"  # no total: every event starts from zero
    SUBTREE_MONTH = "subtree_month"
    SUBTREE_DAY = "subtree_day"
    SUBTREE_PERIOD = "subtree_period"
    CONTRACT = "contract"


OF_MANY = (Scope.SUBTREE_MONTH, Scope.SUBTREE_DAY, Scope.SUBTREE_PERIOD, Scope.CONTRACT)
"""Scopes in which the usage of several accounts counts together."""


class Tier(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A step of the cumulative quantity: above the one before, to ``up_to`` and no further.

    None is the last tier, which is open. ``price`` is for a unit, ``flat`` is due once for the
    tier as soon as anything is in it.
    """

    up_to: int | None = None
    price: str = ""
    flat: str = ""


class Graduated(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="graduated"
):
    """Each unit is priced by the tier that it falls into."""

    tiers: tuple[Tier, ...]


class Volume(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="volume"):
    """Every unit is priced by the tier that the whole quantity reaches."""

    tiers: tuple[Tier, ...]


class Stairstep(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="stairstep"
):
    """The whole quantity costs the flat amount of the tier that it reaches."""

    tiers: tuple[Tier, ...]


class Package(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="package"):
    """``price`` is an amount for every ``size`` units begun: ceil(quantity / size) of them."""

    size: int
    price: str


class Percentage(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="percentage"
):
    """A share of the quantity, which is an amount itself: ``rate`` "0.029" is 2.9 %.

    ``free`` is the quantity of the scope that costs nothing. A transaction is an event that is
    not wholly free: it bears ``fixed`` beside its share, and costs no less than
    ``transaction_minimum`` and no more than ``transaction_maximum``, where they are given.
    """

    rate: str
    fixed: str = ""
    free: int = 0
    transaction_minimum: str = ""
    transaction_maximum: str = ""


class Formula(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="formula"):
    """An expression over the event's quantities and numeric attributes; see ``formula``.

    It is worth major units of the asset. ``attributes`` are those it reads as ``attr("name")``.
    """

    expression: str
    attributes: tuple[str, ...] = ()


class CostPlus(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="cost_plus"
):
    """What the provider takes for the line, times ``markup``, and ``fixed`` for each event.

    The cost is handed in with the event, in minor units of the card's asset; it runs on over the
    scope in the place of the quantity. ``markup`` "1.2" is 20 % on top.
    """

    markup: str
    fixed: str = ""


Model = Graduated | Volume | Stairstep | Package | Percentage | Formula | CostPlus


class Hours(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a row applies: on these days from ``start`` until ``end`` by the clocks of a zone.

    Days are 1 (Monday) to 7 and those on which a window starts: "22:00" to "06:00" ends on the
    next day. The first instant belongs to the window, the last does not; ``end`` may be "24:00".
    """

    zone: str
    start: str = DAY_START
    end: str = DAY_END
    weekdays: tuple[int, ...] = EACH_DAY


def with_defaults(hours: Hours) -> Hours:
    """The same hours, with our own object wherever they say what is the default: msgspec knows a
    default by its identity alone, and the same hours shall be the same bytes."""
    return Hours(
        hours.zone,
        DAY_START if hours.start == DAY_START else hours.start,
        DAY_END if hours.end == DAY_END else hours.end,
        EACH_DAY if hours.weekdays == EACH_DAY else hours.weekdays,
    )


class MinimumScope(StrEnum):
    """What a minimum is for (rule R2)."""

    LINE = "line"
    PRODUCT = "product"
    ACCOUNT = "account"
    CONTRACT = "contract"


class Minimum(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is due at a period's end if less was charged (rule R2); see ``shares.shortfall``.

    A line names product and quantity, a product its product. The shortfall is drawn like usage
    unless ``cash_only``.
    """

    scope: MinimumScope
    amount: str
    product: str = ""
    quantity: str = ""
    cash_only: bool = False


def cumulative(model: Model | None) -> bool:
    """Whether a line is F(Q + q) - F(Q) and nothing else, so that a maximum can cap F."""
    match model:
        case Formula():
            return False
        case CostPlus(fixed=fixed):
            return not fixed
        case Percentage():
            return not (model.fixed or model.transaction_minimum or model.transaction_maximum)
    return True
