"""The compiled configuration that decisions read: assets and rate cards of each tenant.

The engine installs what its shard's journal has applied (`ConfigurationApplied`), so every
decision names a version that every replay can find. Nothing here is state: evolve never reads it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from ledger.core.events import BookKind, HoldExpiry, PlanDeclared, PlanOverridden, Suspense
from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US, HOLD_LIFETIME_MAX_US
from ledger.core.packages.packaged import PackageVersion
from ledger.core.shapes import Shape, Use
from rating.card import ExpiryPolicy, OutcomeTimeout
from rating.compile import NO_ROW, CompiledCard, Plan
from rating.conversions import Rate, Rates
from rating.minimums import Counted, counted_in
from rating.model_lines import NO_FACTS, Facts
from rating.overridden import OverriddenVersions, plan_again
from rating.overrides import OverrideSet
from rating.versions import NEVER_US, CardVersion, CardVersions

BOUNDS_MAX = 65_536  # shapes priced and remembered a card; x ~500 B = 33 MB
OVERRIDDEN_MAX = 4_096  # sets of overrides whose prices are remembered; x ~5 kB = 20 MB

CardKey: TypeAlias = "tuple[int, str] | tuple[int, str, OverrideSet]"
"""How an account is priced: tenant, name of the rate card, and the overrides over it, if any."""

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


class OutcomeTerms(NamedTuple):
    """How long an outcome pends, 0 = for ever, and whether it is charged then or given back."""

    confirm_after: int
    confirms: bool


class HoldTerms(NamedTuple):
    """How holds for a product end, and how long they may live (rules H1, H2); what is sold by
    result is reported instead, and pends by the terms of its `outcome`."""

    expiry: HoldExpiry = HoldExpiry.RELEASE
    lifetime_max: int = HOLD_LIFETIME_MAX_US
    outcome: OutcomeTerms | None = None


USUAL_TERMS: Final = HoldTerms()
NO_MINIMUMS: Final[tuple[Counted, ...]] = ()


class Bound:
    """A shape priced by one version of a card: what a usage event needs, looked up once."""

    __slots__ = (
        "asset",
        "cost_card",
        "declaration",
        "facts",
        "minimums",
        "plan",
        "provider",
        "terms",
        "use",
        "used_key",
        "waits",
        "withheld",
    )

    def __init__(
        self,
        plan: Plan,
        declaration: PlanDeclared,
        asset: int,
        used_key: tuple[int, BookKind, int, str],
        use: Use,
        terms: HoldTerms = USUAL_TERMS,
        waits: Suspense = Suspense.UNPRICED,
        cost_card: tuple[int, str] | None = None,
        provider: str = "",
        minimums: tuple[Counted, ...] = (),
    ) -> None:
        self.plan = plan
        self.declaration = declaration
        self.facts = Facts(dict(declaration.attributes)) if plan.modeled else NO_FACTS
        self.asset = asset
        self.used_key = used_key
        self.use = use
        self.terms = terms  # of holds for the product
        self.waits: int = int(waits)  # why what no row prices waits (rule B8)
        self.cost_card = cost_card  # what the provider takes stands there; None = not known
        self.provider = provider  # who is paid, where the card is one of costs
        self.minimums = minimums  # of the card, in which its lines count (rule R2)
        # What it is for an account without a package or a contract, where its card asks for one
        # (`contracted` says which it is); None = for all the same.
        self.withheld: Bound | None = None


class PricedCard:
    """A rate card's versions, with the shapes that they have priced.

    `settled`: bounds by shape alone, for events from `settled_from_us` on and before
    `settled_until_us`: with overrides, between two changes of them, where it was last asked.
    """

    __slots__ = (
        "_bounds",
        "assets",
        "followers",
        "name",
        "overridden",
        "settled",
        "settled_from_us",
        "settled_until_us",
        "tenant",
        "versions",
    )

    def __init__(self, tenant: int, name: str) -> None:
        self.tenant = tenant
        self.name = name
        self.versions = CardVersions()
        self.overridden: OverriddenVersions | None = None
        self.assets: dict[int, int] = {}  # card version -> asset
        self.settled_from_us = 0
        self.settled_until_us = NEVER_US
        self.settled: dict[Shape, Bound] = {}
        self.followers: list[PricedCard] = []  # aliases that mean it, now or once
        self._bounds: dict[tuple[Shape, Plan | None, bool], Bound] = {}

    def add(self, version: CardVersion, asset: int) -> None:
        """Take a published version in; what was priced before is priced anew."""
        self.versions = self.versions.adding(version)
        self.assets[version.version] = asset
        self.settle()
        for alias in self.followers:
            alias.settle()

    def settle(self, about_us: int = 0) -> None:
        """What prices it has changed, or does by that time: nothing is settled yet."""
        self.settled_from_us, self.settled_until_us = self.settled_at(about_us)
        self.settled = {}

    def settled_at(self, at: int) -> tuple[int, int]:
        """[from, until) about an instant, or after it, in which a shape has one price."""
        if self.overridden is not None:
            return self.overridden.settled_at(at)
        return self.versions.settled_from_us, NEVER_US

    def target_at(self, at: int) -> PricedCard | None:
        """The card that prices usage of that time: it itself, unless it is an alias."""
        return self

    def changes(self) -> list[int]:
        """The instants at which another version comes into force."""
        return [version.in_force_from_us for version in self.versions.versions]

    def under(self, overrides: OverrideSet) -> PricedCard:
        """The same versions with these overrides over them, as they are now."""
        card = PricedCard(self.tenant, self.name)
        card.versions, card.assets = self.versions, self.assets
        card.overridden = OverriddenVersions(self.versions, overrides)
        card.settle()
        return card

    def bind(self, shape: Shape, effective_at: int) -> Bound:
        """The shape priced at that time; every quantity unpriced where no version applies."""
        if effective_at >= self.settled_until_us:
            self.settle(effective_at)
        settled = self.settled_from_us <= effective_at < self.settled_until_us
        if settled:
            bound = self.settled.get(shape)
            if bound is not None:
                return bound
        bound = self._bind(shape, effective_at)
        # What is reported is never usual, nor what is not priced for everybody who has the card.
        if settled and bound.terms.outcome is None and bound.withheld is None:
            if len(self.settled) >= BOUNDS_MAX:
                self.settled = {}
            self.settled[shape] = bound
        return bound

    def _bind(self, shape: Shape, at: int) -> Bound:
        product, attributes, names = shape.product, shape.attributes, shape.quantity_names
        if self.overridden is not None:
            plan = self.overridden.plan_for(at, product, attributes, names)
        else:
            plan = self.versions.plan_for(at, product, attributes, names)
        return self.bound(shape, plan, sold=self.sells(plan, product, at))

    def sells(self, plan: Plan | None, product: str, at: int) -> bool:
        """Whether the version of a plan sells the product for usage of that time: to everybody, or
        by a package that says so (rule P2)."""
        card = self.card(plan.card_version) if plan is not None else None
        if card is None or sold_to_all(card, product):
            return True
        return self.overridden is not None and self.overridden.overrides.sells(product, at)

    def step(self, bound: Bound, shape: Shape, quantities: tuple[int, ...]) -> Bound:
        """The shape with the plan for an event whose prompt may be above a threshold."""
        plan = bound.plan
        if plan.steps:
            plan = plan.at(quantities[plan.prompt_index])
            if plan is not bound.plan:
                return self.bound(shape, plan)
        return bound

    def bound(self, shape: Shape, known: Plan | None, sold: bool = True) -> Bound:
        """The shape with one of its plans: a step for large prompts, or an earlier version's.

        None where no version applies: every quantity is unpriced, as where it is not `sold`.
        """
        bound = self._bounds.get((shape, known, sold))
        if bound is None:
            if len(self._bounds) >= BOUNDS_MAX:
                self._bounds = {}
            plan = known if known is not None else _unpriced(shape)
            bound = self._bounds[(shape, known, sold)] = self._bound(shape, plan, sold)
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
            if self.overridden is not None:
                plan = self.overridden.over(effective_at, shape.product, shape.attributes, plan)
            if plan.steps:
                plan = plan.at(quantities[plan.prompt_index])
            sold = self.sells(plan, shape.product, effective_at)
            bound = self.bound(shape, plan, sold=sold)
            priced = sum([1 for place in places if bound.plan.rows[place] != NO_ROW])
            if priced:
                found.append((-priced, len(found), bound))
        return [bound for _, _, bound in sorted(found, key=_rank)]

    def _bound(self, shape: Shape, plan: Plan, sold: bool) -> Bound:
        card = self.card(plan.card_version)
        bound = self._bound_as(shape, plan, Suspense.UNPRICED if sold else Suspense.NOT_ENTITLED)
        if card is not None and card.card.contract_required:
            bound.withheld = self._bound_as(shape, plan, Suspense.NO_CONTRACT)
        return bound

    def _bound_as(self, shape: Shape, plan: Plan, waits: Suspense) -> Bound:
        """`waits`: why all of it does, where that is not for want of a row."""
        card = self.card(plan.card_version)
        if card is None:
            waits = Suspense.UNPRICED
        elif waits != Suspense.UNPRICED:
            plan = card.plan_of(shape.quantity_names, (NO_ROW,) * len(shape.quantity_names))
        asset = self.assets.get(plan.card_version, 0)
        declared = (
            shape.product,
            shape.attributes,
            shape.quantity_names,
            self.name,
            plan.card_version,
            plan.rows,
            asset,
        )
        overrides = plan.overrides
        declaration = PlanOverridden(*declared, overrides) if overrides else PlanDeclared(*declared)
        used_key = (self.tenant, BookKind.USED, asset, shape.product)
        use = self.use_of(plan.card_version, shape.product, shape.attributes)
        terms = terms_of(card, shape.product)
        costs = card.card.cost_card if card is not None else ""
        cost_card = (self.tenant, costs) if costs else None
        provider = self.provider(plan.card_version, shape.product)
        minimums = NO_MINIMUMS
        if card is not None and card.card.minimums:
            minimums = counted_in(self.name, card.card.minimums, shape.product, plan.quantities)
        return Bound(
            plan, declaration, asset, used_key, use, terms, waits, cost_card, provider, minimums
        )  # fmt: skip

    def provider(self, version: int, product: str) -> str:
        """Who is paid by a version of a card of costs: whom it names for the product, else who it
        is named after (rule B4)."""
        card = self.card(version)
        declared = card.product(product) if card is not None else None
        return declared.provider if declared is not None and declared.provider else self.name

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
        return self.versions.card(version)

    def declared(self, shape: Shape, declaration: PlanDeclared) -> Bound:
        """The shape as a recorded declaration priced it: by the same rows of the same version,
        and the same overrides over them."""
        card = self.card(declaration.card_version)
        assert card is not None, f"no version {declaration.card_version} of card {self.name!r}"
        names, rows, overrides = shape.quantity_names, declaration.rows, declaration.overrides
        plan = plan_again(card, names, rows, overrides)
        sold = sold_to_all(card, shape.product) or any(row != NO_ROW for row in rows)
        if overrides:
            return self._bound(shape, plan, sold)
        return self.bound(shape, plan, sold=sold)


def _rank(found: tuple[int, int, Bound]) -> tuple[int, int]:
    return found[0], found[1]


def sold_to_all(card: CompiledCard, product: str) -> bool:
    """Whether a version of a card sells the product to every account (rule P2)."""
    declared = card.product(product)
    return declared is None or declared.entitled


def terms_of(card: CompiledCard | None, product: str) -> HoldTerms:
    """What a version of a card says of holds for a product (rules H1, H2)."""
    declared = card.product(product) if card is not None else None
    if declared is None:
        return USUAL_TERMS
    charges = declared.hold_expiry == ExpiryPolicy.CHARGE
    by_result = declared.outcome
    return HoldTerms(
        HoldExpiry.CHARGE if charges else HoldExpiry.RELEASE,
        HOLD_LIFETIME_BATCH_MAX_US if declared.batch else HOLD_LIFETIME_MAX_US,
        OutcomeTerms(by_result.confirm_after_us, by_result.on_timeout == OutcomeTimeout.CONFIRM)
        if by_result is not None
        else None,
    )


def _unpriced(shape: Shape) -> Plan:
    count = len(shape.quantity_names)
    return Plan(
        0, shape.quantity_names, (NO_ROW,) * count, ((0, 1),) * count, ((),) * count, -1, (), 0
    )


class Catalog:
    """One shard's compiled configuration, as far as its journal has applied it."""

    __slots__ = (
        "_asset_numbers",
        "_overridden",
        "_shapes",
        "assets",
        "cards",
        "packages",
        "rates",
    )

    def __init__(self) -> None:
        self.assets: dict[int, Asset] = {}
        self.cards: dict[CardKey, PricedCard] = {}
        self.rates: dict[tuple[int, int], Rates] = {}  # source, target
        self.packages: dict[tuple[int, str], list[PackageVersion]] = {}  # as published
        self._overridden: dict[CardKey, None] = {}  # of them, those with overrides
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

    def asset_number(self, tenant: int, code: str) -> int:
        """The number of the tenant's asset with that code; 0 = it has none."""
        return self._asset_numbers.get((tenant, code), 0)

    def add_card(self, tenant: int, name: str, version: CardVersion) -> None:
        """Take a version of a rate card in; its asset must have been defined before."""
        asset = self.asset_of(tenant, version.card.asset)
        assert asset is not None, f"card {name!r} charges in the undefined {version.card.asset!r}"
        self.card((tenant, name)).add(version, asset.number)
        self.forget_overridden(tenant)

    def add_package(self, tenant: int, name: str, version: PackageVersion) -> None:
        """Take a version of a package in."""
        self.packages.setdefault((tenant, name), []).append(version)

    def forget_overridden(self, tenant: int) -> None:
        """Cards or aliases of a tenant have changed: with overrides they are made anew, when they
        are asked for."""
        for key in [key for key in self._overridden if key[0] == tenant]:
            del self.cards[key], self._overridden[key]

    def add_rate(self, source: int, target: int, rate: Rate) -> None:
        """Take a version of the rate between two assets in."""
        self.rates[source, target] = self.rates.get((source, target), Rates()).adding(rate)

    def rate(self, source: int, target: int, at: int) -> Rate | None:
        """What converts one asset to another for usage of that time (rule R5)."""
        rates = self.rates.get((source, target))
        return rates.at(at) if rates is not None else None

    def bind(self, card_key: CardKey, shape: Shape, effective_at: int) -> Bound:
        """A shape priced by the card (tenant, name) at that time."""
        return self.card(card_key).bind(shape, effective_at)

    def step(
        self,
        card_key: CardKey,
        shape: Shape,
        effective_at: int,
        quantities: tuple[int, ...],
    ) -> tuple[Bound, Plan]:
        """The same for one event, whose prompt may be above a threshold of the card."""
        card = self.card(card_key)
        bound = card.step(card.bind(shape, effective_at), shape, quantities)
        return bound, bound.plan

    def card(self, card_key: CardKey) -> PricedCard:
        """The card (tenant, name), under overrides where the key has any; one that prices nothing
        where none is published yet."""
        card = self.cards.get(card_key)
        if card is None:
            card = self.cards[card_key] = self._opened(card_key)
        return card

    def _opened(self, card_key: CardKey) -> PricedCard:
        if len(card_key) == 2:
            return PricedCard(card_key[0], card_key[1])
        if len(self._overridden) >= OVERRIDDEN_MAX:  # no account may be priced so any more
            oldest = next(iter(self._overridden))
            del self.cards[oldest], self._overridden[oldest]
        self._overridden[card_key] = None
        return self.card((card_key[0], card_key[1])).under(card_key[2])

    def plan_of(self, tenant: int, declared: PlanDeclared) -> Plan | None:
        """The plan that priced an event, made again of the rows and overrides that its declaration
        names, over its immutable version, whatever prompt and time chose them; None where no
        version applied."""
        priced = self.cards.get((tenant, declared.rate_card))
        if priced is None or not declared.card_version:
            return None
        card = priced.card(declared.card_version)
        if card is None:
            return None
        return plan_again(card, declared.quantity_names, declared.rows, declared.overrides)

    def minimums_of(self, tenant: int, declared: PlanDeclared) -> tuple[Counted, ...]:
        """The minimums in which lines of a recorded plan count, by its version (rule R2)."""
        priced = self.cards.get((tenant, declared.rate_card))
        card = priced.card(declared.card_version) if priced is not None else None
        if card is None or not card.card.minimums:
            return NO_MINIMUMS
        names = declared.quantity_names
        return counted_in(declared.rate_card, card.card.minimums, declared.product, names)

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
