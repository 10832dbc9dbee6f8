"""The compiled configuration that decisions read: assets and rate cards of each tenant.

The engine installs what its shard's journal has applied (`ConfigurationApplied`), so every
decision names a version that every replay can find. Nothing here is state: evolve never reads it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.events import BookKind, HoldExpiry, PlanDeclared
from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US, HOLD_LIFETIME_MAX_US
from ledger.core.shapes import Shape, Use
from rating.card import ExpiryPolicy
from rating.compile import NO_ROW, CompiledCard, Plan
from rating.model_lines import NO_FACTS, Facts
from rating.versions import CardVersion, CardVersions

BOUNDS_MAX = 65_536  # shapes priced and remembered a card; x ~500 B = 33 MB

ASSET_VERSION_BITS = 32


class Asset:
    """A unit of account with a fixed scale (rule N1): amounts are integers of 10^-scale."""

    __slots__ = ("code", "kind", "number", "scale", "tenant")

    def __init__(self, number: int, tenant: int, code: str, scale: int, kind: str) -> None:
        self.number = number
        self.tenant = tenant
        self.code = code
        self.scale = scale
        self.kind = kind  # money | credit | unit


def asset_number(tenant: int, version: int) -> int:
    """The number of an asset: unique over tenants, from the version that defined it."""
    return tenant << ASSET_VERSION_BITS | version


class HoldTerms(NamedTuple):
    """How holds for a product end, and how long they may live (rules H1, H2)."""

    expiry: HoldExpiry = HoldExpiry.RELEASE
    lifetime_max: int = HOLD_LIFETIME_MAX_US


USUAL_TERMS: Final = HoldTerms()


class Bound:
    """A shape priced by one version of a card: what a usage event needs, looked up once."""

    __slots__ = ("asset", "declaration", "facts", "plan", "terms", "use", "used_key")

    def __init__(
        self,
        plan: Plan,
        declaration: PlanDeclared,
        asset: int,
        used_key: tuple[int, BookKind, int, str],
        use: Use,
        terms: HoldTerms = USUAL_TERMS,
    ) -> None:
        self.plan = plan
        self.declaration = declaration
        self.facts = Facts(dict(declaration.attributes)) if plan.modeled else NO_FACTS
        self.asset = asset
        self.used_key = used_key
        self.use = use
        self.terms = terms  # of holds for the product


class PricedCard:
    """A rate card's versions, with the shapes that they have priced."""

    __slots__ = (
        "_bounds",
        "assets",
        "followers",
        "name",
        "settled",
        "settled_from_us",
        "tenant",
        "versions",
    )

    def __init__(self, tenant: int, name: str) -> None:
        self.tenant = tenant
        self.name = name
        self.versions = CardVersions()
        self.assets: dict[int, int] = {}  # card version -> asset
        self.settled_from_us = 0
        self.settled: dict[Shape, Bound] = {}  # for events not earlier than settled_from_us
        self.followers: list[PricedCard] = []  # aliases that mean it, now or once
        self._bounds: dict[tuple[Shape, Plan | None], Bound] = {}

    def add(self, version: CardVersion, asset: int) -> None:
        """Take a published version in; what was priced before is priced anew."""
        self.versions = self.versions.adding(version)
        self.assets[version.version] = asset
        self.settle()
        for alias in self.followers:
            alias.settle()

    def settle(self) -> None:
        """What prices it has changed: nothing is settled yet."""
        self.settled_from_us = self.versions.settled_from_us
        self.settled = {}

    def bind(self, shape: Shape, effective_at: int) -> Bound:
        """The shape priced at that time; every quantity unpriced where no version applies."""
        settled = effective_at >= self.settled_from_us
        if settled:
            bound = self.settled.get(shape)
            if bound is not None:
                return bound
        plan = self.versions.plan_for(
            effective_at, shape.product, shape.attributes, shape.quantity_names
        )
        bound = self.bound(shape, plan)
        if settled:
            if len(self.settled) >= BOUNDS_MAX:
                self.settled = {}
            self.settled[shape] = bound
        return bound

    def step(self, bound: Bound, shape: Shape, quantities: tuple[int, ...]) -> Bound:
        """The shape with the plan for an event whose prompt may be above a threshold."""
        plan = bound.plan
        if plan.steps:
            plan = plan.at(quantities[plan.prompt_index])
            if plan is not bound.plan:
                return self.bound(shape, plan)
        return bound

    def bound(self, shape: Shape, known: Plan | None) -> Bound:
        """The shape with one of its plans: a step for large prompts, or an earlier version's.

        None where no version applies: every quantity is unpriced.
        """
        bound = self._bounds.get((shape, known))
        if bound is None:
            if len(self._bounds) >= BOUNDS_MAX:
                self._bounds = {}
            plan = known if known is not None else _unpriced(shape)
            asset = self.assets.get(plan.card_version, 0)
            declaration = PlanDeclared(
                shape.product,
                shape.attributes,
                shape.quantity_names,
                self.name,
                plan.card_version,
                plan.rows,
                asset,
            )
            used_key = (self.tenant, BookKind.USED, asset, shape.product)
            use = self.use_of(plan.card_version, shape.product, shape.attributes)
            terms = terms_of(self.card(plan.card_version), shape.product)
            bound = Bound(plan, declaration, asset, used_key, use, terms)
            self._bounds[(shape, known)] = bound
        return bound

    def reaching(
        self,
        shape: Shape,
        effective_at: int,
        quantities: tuple[int, ...],
        places: tuple[int, ...],
    ) -> list[Bound]:
        """The shape as each version prices it that may price an event of that time and has prices
        for some of these places: those for most of them first (rule B8)."""
        found: list[tuple[int, int, Bound]] = []
        for card in self.versions.candidates(effective_at):
            plan = card.match(
                shape.product,
                dict(shape.attributes),
                shape.quantity_names,
                card.time_class(effective_at),
            )
            if plan.steps:
                plan = plan.at(quantities[plan.prompt_index])
            priced = sum([1 for place in places if plan.rows[place] != NO_ROW])
            if priced:
                found.append((-priced, len(found), self.bound(shape, plan)))
        return [bound for _, _, bound in sorted(found, key=_rank)]

    def use_of(
        self, version: int, product: str, attributes: tuple[tuple[str, str], ...] = ()
    ) -> Use:
        """What a draw for the product is for, by the tags that a version gives it."""
        card = self.card(version)
        declared = card.product(product) if card is not None else None
        return Use(product, attributes, declared.tags if declared is not None else ())

    def use_at(self, product: str, at: int) -> Use:
        """The same by the version in force at that time, for usage without attributes."""
        candidates = self.versions.candidates(at)
        return self.use_of(candidates[0].version if candidates else 0, product)

    def card(self, version: int) -> CompiledCard | None:
        """The version of that number; None where there is none."""
        for each in self.versions.versions:
            if each.version == version:
                return each.card
        return None

    def declared(self, shape: Shape, declaration: PlanDeclared) -> Bound:
        """The shape as a recorded declaration priced it: by the same rows of the same version."""
        card = self.card(declaration.card_version)
        assert card is not None, f"no version {declaration.card_version} of card {self.name!r}"
        return self.bound(shape, card.plan_of(shape.quantity_names, declaration.rows))


def _rank(found: tuple[int, int, Bound]) -> tuple[int, int]:
    return found[0], found[1]


def terms_of(card: CompiledCard | None, product: str) -> HoldTerms:
    """What a version of a card says of holds for a product (rules H1, H2)."""
    declared = card.product(product) if card is not None else None
    if declared is None:
        return USUAL_TERMS
    charges = declared.hold_expiry == ExpiryPolicy.CHARGE
    return HoldTerms(
        HoldExpiry.CHARGE if charges else HoldExpiry.RELEASE,
        HOLD_LIFETIME_BATCH_MAX_US if declared.batch else HOLD_LIFETIME_MAX_US,
    )


def _unpriced(shape: Shape) -> Plan:
    count = len(shape.quantity_names)
    return Plan(
        0, shape.quantity_names, (NO_ROW,) * count, ((0, 1),) * count, ((),) * count, -1, (), 0
    )


class Catalog:
    """One shard's compiled configuration, as far as its journal has applied it."""

    __slots__ = ("_asset_numbers", "_shapes", "assets", "cards")

    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.cards: dict[tuple[int, str], PricedCard] = {}
        self._asset_numbers: dict[tuple[int, str], int] = {}
        self._shapes: dict[tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]], Shape] = {}

    def add_asset(self, asset: Asset) -> None:
        """Take a defined asset in."""
        self.assets[asset.number] = asset
        self._asset_numbers[(asset.tenant, asset.code)] = asset.number

    def asset_of(self, tenant: int, code: str) -> Asset | None:
        """The tenant's asset with that code."""
        number = self._asset_numbers.get((tenant, code))
        return self.assets[number] if number is not None else None

    def add_card(self, tenant: int, name: str, version: CardVersion) -> None:
        """Take a version of a rate card in; its asset must have been defined before."""
        asset = self.asset_of(tenant, version.card.asset)
        assert asset is not None, f"card {name!r} charges in the undefined {version.card.asset!r}"
        self.card((tenant, name)).add(version, asset.number)

    def bind(self, card_key: tuple[int, str], shape: Shape, effective_at: int) -> Bound:
        """A shape priced by the card (tenant, name) at that time."""
        return self.card(card_key).bind(shape, effective_at)

    def step(
        self,
        card_key: tuple[int, str],
        shape: Shape,
        effective_at: int,
        quantities: tuple[int, ...],
    ) -> tuple[Bound, Plan]:
        """The same for one event, whose prompt may be above a threshold of the card."""
        card = self.card(card_key)
        bound = card.step(card.bind(shape, effective_at), shape, quantities)
        return bound, bound.plan

    def card(self, card_key: tuple[int, str]) -> PricedCard:
        """The card (tenant, name); one that prices nothing where none is published yet."""
        card = self.cards.get(card_key)
        if card is None:
            card = self.cards[card_key] = PricedCard(card_key[0], card_key[1])
        return card

    def plan_of(self, tenant: int, declared: PlanDeclared) -> Plan | None:
        """The plan that priced an event, made again of the rows that its declaration names in its
        immutable version, whatever prompt and time chose them; None where no version applied."""
        priced = self.cards.get((tenant, declared.rate_card))
        if priced is None or not declared.card_version:
            return None
        card = priced.card(declared.card_version)
        return card.plan_of(declared.quantity_names, declared.rows) if card is not None else None

    def shape(
        self,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        quantity_names: tuple[str, ...],
    ) -> Shape:
        """The shape of that description: the same object every time, so that it is priced once."""
        described = (product, attributes, quantity_names)
        shape = self._shapes.get(described)
        if shape is None:
            if len(self._shapes) >= BOUNDS_MAX:
                self._shapes = {}
            shape = self._shapes[described] = Shape(product, attributes, quantity_names)
        return shape
