"""Price overrides as data: what is priced otherwise than its rate card says, and which one counts.

Owns the facts of an override, its time, and the order of rule R4: one override applies, they never
stack. Sets are lists that stand one before the other, those of an account before its ancestors'.
Must not price: ``overridden`` puts overrides into plans, ``override_faults`` says what is wrong.
"""

from bisect import bisect_right
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from msgspec import Struct

from rating.card import ANY, PriceRow
from rating.exact import parse_price
from rating.models import Graduated, Model, Scope, Volume

OVERRIDES_MAX = 256  # a list; x ~200 B = 51 kB in an entry
NEVER_US: Final = 2**63 - 1

_OVERWRITE: Final = 0  # by kind, the one that counts first (rule R4)
_ADJUSTED: Final = 1


class Overwrite(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="overwrite"
):
    """Another price or model; also for what the card does not price. The fields are a row's.

    ``asset`` says what the price is in, so that it never prices by a card in another one.
    """

    asset: str
    price: str = ""
    model: Model | None = None
    scope: Scope = Scope.MONTH
    included: int = 0
    maximum: str = ""


class Multiplier(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="multiplier"
):
    """An exact ratio of all that the row charges: "0.8" is 20 % less."""

    ratio: str


class Tiers(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="tiered"):
    """Tiers in the place of what the row says; also for what the card does not price."""

    asset: str
    model: Graduated | Volume
    scope: Scope = Scope.MONTH
    included: int = 0
    maximum: str = ""


Change = Overwrite | Multiplier | Tiers


class Override(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is priced otherwise, how, and when.

    ``product`` and ``attributes`` select as a price row does; ``quantity`` "*" is any, for a
    multiplier. Of two overrides of one kind the higher ``priority`` counts. Times are those of
    usage, in microseconds: from ``effective_from_us`` (0 = from when it is set) and before
    ``effective_until_us`` (0 = for ever).
    """

    product: str
    quantity: str
    change: Change
    attributes: dict[str, str] = {}
    priority: int = 0
    effective_from_us: int = 0
    effective_until_us: int = 0


class NumberedOverride(Struct, frozen=True, array_like=True):
    """An override with the number that it has in its account's family, from 1."""

    number: int
    override: Override


class SetOverride(Struct, frozen=True, array_like=True):
    """A numbered override, when it was set, and when it was taken back (`NEVER_US` = it stands)."""

    numbered: NumberedOverride
    set_at_us: int
    ended_at_us: int = NEVER_US

    def ended(self, at_us: int) -> "SetOverride":
        """The same, taken back then unless it was before."""
        return SetOverride(self.numbered, self.set_at_us, min(self.ended_at_us, at_us))

    @property
    def from_us(self) -> int:
        """When it comes into force: when it is meant to, but not before it was set."""
        return max(self.numbered.override.effective_from_us, self.set_at_us)

    @property
    def until_us(self) -> int:
        """When it is in force no more."""
        return min(self.numbered.override.effective_until_us or NEVER_US, self.ended_at_us)

    @property
    def as_meant(self) -> "SetOverride":
        """The same as if it had been set when it is meant from: for a re-rate (rule R7)."""
        meant = self.numbered.override.effective_from_us or self.set_at_us
        return SetOverride(self.numbered, min(self.set_at_us, meant), self.ended_at_us)

    @property
    def reaches_back_us(self) -> tuple[int, int]:
        """[from, until) of before it was set: there it prices what has no price otherwise."""
        override = self.numbered.override
        until = min(self.set_at_us, override.effective_until_us or NEVER_US)
        since = override.effective_from_us or until
        return (since, until) if since < until else (until, until)


def row_for(override: Override) -> PriceRow:
    """What an overwrite or tiers say, as the price row that stands there instead."""
    change = override.change
    assert isinstance(change, Overwrite | Tiers)
    return PriceRow(
        override.product,
        override.quantity,
        change.price if isinstance(change, Overwrite) else "",
        model=change.model,
        scope=change.scope,
        included=change.included,
        maximum=change.maximum,
    )


Layer = tuple[SetOverride, ...]


class SoldProducts(Struct, frozen=True, array_like=True):
    """Products that are sold to an account (rule P2) for usage from then on and before `until_us`
    (`NEVER_US` = they still are)."""

    products: tuple[str, ...]
    from_us: int
    until_us: int = NEVER_US

    def ended(self, at_us: int) -> "SoldProducts":
        """The same, sold no more from then on unless it was before."""
        return SoldProducts(self.products, self.from_us, min(self.until_us, at_us))


Rank = tuple[int, int, int, int, Fraction, int, int]


def rank_of(layer: int, each: SetOverride) -> Rank:
    """The least counts (rule R4): the nearer list, overwrites, the higher priority, the lowest
    multiplier and then tiers, the later effective time, the later number."""
    override = each.numbered.override
    change = override.change
    kind = _OVERWRITE if isinstance(change, Overwrite) else _ADJUSTED
    ratio = Fraction(0)
    if isinstance(change, Multiplier):
        ratio = Fraction(*parse_price(change.ratio))
    tiers = int(isinstance(change, Tiers))
    return (
        layer,
        kind,
        -override.priority,
        tiers,
        ratio,
        -each.from_us,
        -each.numbered.number,
    )


def selects(override: Override, product: str, attributes: Mapping[str, str], quantity: str) -> bool:
    """Whether an override is for that quantity of an event."""
    if override.product not in (ANY, product) or override.quantity not in (ANY, quantity):
        return False
    for name, value in override.attributes.items():
        given = attributes.get(name)
        if given is None or value not in (ANY, given):
            return False
    return True


class OverrideSet:
    """Lists of overrides, the nearest first, and the products that are sold to whoever has them.
    Compared by identity; treat as read-only.

    Time is cut into stretches in which the same overrides are in force, and the same is sold.
    """

    __slots__ = ("_back", "_boundaries", "_in_force", "_meant", "_ranked", "layers", "sold")

    def __init__(self, layers: tuple[Layer, ...], sold: tuple[SoldProducts, ...] = ()) -> None:
        self.layers: tuple[Layer, ...] = layers
        self.sold: tuple[SoldProducts, ...] = sold
        ranked = [(rank_of(i, each), each) for i, layer in enumerate(layers) for each in layer]
        ranked.sort(key=_rank)
        self._ranked: tuple[SetOverride, ...] = tuple([each for _, each in ranked])
        instants: set[int] = set()
        for each in self._ranked:
            if each.from_us < each.until_us:
                instants |= {each.from_us, each.until_us}
            since, until = each.reaches_back_us
            if since < until:
                instants |= {since, until}
        for window in sold:
            instants |= {window.from_us, window.until_us}
        self._boundaries: list[int] = sorted(instants - {NEVER_US})
        self._in_force: dict[int, tuple[NumberedOverride, ...]] = {}
        self._back: dict[int, tuple[NumberedOverride, ...]] = {}
        self._meant: OverrideSet | None = None

    def as_meant(self) -> "OverrideSet":
        """The same set where each counts from when it is meant, whenever it was set (rule R7)."""
        if self._meant is None:
            layers = [tuple([each.as_meant for each in layer]) for layer in self.layers]
            self._meant = OverrideSet(tuple(layers), self.sold)
        return self._meant

    def sells(self, product: str, at_us: int) -> bool:
        """Whether a product that not everybody may buy is sold for usage of that time (rule P2)."""
        return any(
            window.from_us <= at_us < window.until_us and product in window.products
            for window in self.sold
        )

    def stretch(self, at_us: int) -> int:
        """The number of the stretch of time that an instant is in."""
        return bisect_right(self._boundaries, at_us)

    def stretch_of(self, at_us: int) -> tuple[int, int]:
        """[from, until) of the stretch of time that an instant is in."""
        stretch = self.stretch(at_us)
        following = self._boundaries[stretch] if stretch < len(self._boundaries) else NEVER_US
        return self._start_of(stretch), following

    def in_force(self, stretch: int) -> tuple[NumberedOverride, ...]:
        """Those in force then, the one that counts first."""
        found = self._in_force.get(stretch)
        if found is None:
            at_us = self._start_of(stretch)
            found = self._in_force[stretch] = tuple(
                [each.numbered for each in self._ranked if each.from_us <= at_us < each.until_us]
            )
        return found

    def reaching_back(self, stretch: int) -> tuple[NumberedOverride, ...]:
        """Those set later that are meant for then already."""
        found = self._back.get(stretch)
        if found is None:
            at_us = self._start_of(stretch)
            found = self._back[stretch] = tuple(
                [
                    each.numbered
                    for each in self._ranked
                    if each.reaches_back_us[0] <= at_us < each.reaches_back_us[1]
                ]
            )
        return found

    def _start_of(self, stretch: int) -> int:
        return self._boundaries[stretch - 1] if stretch else -1


def _rank(ranked: tuple[Rank, SetOverride]) -> Rank:
    return ranked[0]
