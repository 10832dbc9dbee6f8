"""Other names of rate cards: "pro" means "pro-2026" until it is moved to "pro-2027".

An account's policy may name an alias instead of a card. Owns which card an alias means at which
instant, by the rule of a card's own versions (see `rating.versions.version_at`). Resolved once a
change and shape, so that the hot path finds a shape's price under an alias as it does under a card;
what is declared names the card itself, so that no replay depends on an alias.
"""

from __future__ import annotations

from ledger.core.catalog import Bound, Catalog, PricedCard
from ledger.core.shapes import Shape, Use
from rating.compile import CompiledCard
from rating.overrides import OverrideSet
from rating.versions import NEVER_US, version_at


class CardAlias:
    """One published version of an alias: from when it means which card."""

    __slots__ = ("card", "effective_from_us", "published_at_us", "version")

    def __init__(
        self, version: int, published_at_us: int, effective_from_us: int, card: str
    ) -> None:
        self.version = version
        self.published_at_us = published_at_us
        self.effective_from_us = effective_from_us
        self.card = card


class AliasedCard(PricedCard):
    """The cards that an alias means, each at its time, in the place of one card."""

    __slots__ = ("_moves", "_times")

    def __init__(self, tenant: int, name: str) -> None:
        super().__init__(tenant, name)
        self._moves: dict[int, PricedCard] = {}  # version of the alias -> what it means
        self._times: list[tuple[int, int, int]] = []  # as `version_at` takes them

    def point(self, alias: CardAlias, target: PricedCard) -> None:
        """Take a published version of the alias in."""
        self._moves[alias.version] = target
        self._times.append((alias.version, alias.published_at_us, alias.effective_from_us))
        if self not in target.followers:
            target.followers.append(self)
        self.settle()

    def changes(self) -> list[int]:
        """The instants at which it means another card, or that card another version."""
        found = [max(published, effective) for _, published, effective in self._times]
        for target in self._moves.values():
            found += target.changes()
        return found

    def under(self, overrides: OverrideSet) -> PricedCard:
        """The same moves, each to what it means with these overrides over it, as it is now."""
        card = AliasedCard(self.tenant, self.name)
        made: dict[PricedCard, PricedCard] = {}
        for version, target in self._moves.items():
            if target not in made:
                made[target] = target.under(overrides)
            card._moves[version] = made[target]
        card._times = self._times
        card.settle()
        return card

    def settled_at(self, at: int) -> tuple[int, int]:
        """[from, until) about an instant, or after it, in which a shape has one price: that of the
        card that it means in the end, once it means that."""
        last = self.target_at(NEVER_US - 1)
        if last is None:
            return NEVER_US, NEVER_US
        starts = [max(published, effective) for _, published, effective in self._times]
        since = self._times[0][2] if len(starts) == 1 else max(starts)
        settled_from, until = last.settled_at(at)
        return max(since, settled_from), until

    def target_at(self, at: int) -> PricedCard | None:
        """The card that it means for usage of that time."""
        version = version_at(self._times, at)
        return self._moves[version] if version is not None else None

    def _bind(self, shape: Shape, at: int) -> Bound:
        """The shape priced at that time by the card that the alias means then."""
        target = self.target_at(at)
        return target.bind(shape, at) if target is not None else self.bound(shape, None)

    def step(self, bound: Bound, shape: Shape, quantities: tuple[int, ...]) -> Bound:
        """The same for an event whose prompt may be above a threshold of the card it means."""
        for target in self._moves.values():
            if target.name == bound.declaration.rate_card:
                return target.step(bound, shape, quantities)
        return bound

    def reaching(
        self,
        shape: Shape,
        effective_at: int,
        quantities: tuple[int, ...],
        places: tuple[int, ...],
    ) -> list[Bound]:
        """What prices most of these places by the card that it means at that time (rule B8)."""
        target = self.target_at(effective_at)
        return target.reaching(shape, effective_at, quantities, places) if target else []

    def card(self, version: int) -> CompiledCard | None:
        """The version of that number of a card that it means or meant."""
        for target in self._moves.values():
            found = target.card(version)
            if found is not None:
                return found
        return None

    def use_at(self, product: str, at: int) -> Use:
        """What usage of the product is for by the card that it means then."""
        target = self.target_at(at)
        return super().use_at(product, at) if target is None else target.use_at(product, at)


def point_alias(catalog: Catalog, tenant: int, name: str, alias: CardAlias) -> None:
    """Take a published version of an alias in; its card was published before."""
    key = (tenant, name)
    found = catalog.cards.get(key)
    if not isinstance(found, AliasedCard):
        assert found is None or not found.assets, f"{name!r} is a card and an alias"
        found = catalog.cards[key] = AliasedCard(tenant, name)
    found.point(alias, catalog.card((tenant, alias.card)))
    catalog.forget_overridden(tenant)
