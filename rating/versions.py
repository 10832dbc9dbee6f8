"""Which version of a rate card prices an event of a given time.

Owns the rule of effective times: a version is in force from the later of its effective time and
its publication, so that nobody's price changes behind their back; an earlier effective time
reaches back only to what would otherwise be unpriced (it rates suspense, rule B8). Pure: the
times come in as microseconds since the Unix epoch.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from rating.compile import CompiledCard, Plan

PLANS_MAX: Final = 16_384  # shapes remembered over all versions
TIME_CLASSES_MAX: Final = 16  # remembered a card: windows come and go one after the other
NEVER_US: Final = 2**63 - 1

_K = TypeVar("_K")
Attributes = Mapping[str, str] | tuple[tuple[str, str], ...]
_Key = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]


class CardVersion:
    """One published version: when it was published, from when it is meant, and its card."""

    __slots__ = ("card", "effective_from_us", "in_force_from_us", "published_at_us", "version")

    def __init__(
        self, version: int, published_at_us: int, effective_from_us: int, card: CompiledCard
    ) -> None:
        assert version == card.version
        self.version: int = version
        self.published_at_us: int = published_at_us
        self.effective_from_us: int = effective_from_us
        self.in_force_from_us: int = max(published_at_us, effective_from_us)
        self.card: CompiledCard = card

    @property
    def back_dated(self) -> bool:
        """Meant from before its publication: reaches back to what was unpriced."""
        return self.effective_from_us < self.published_at_us


def version_at(versions: Iterable[tuple[int, int, int]], at_us: int) -> int | None:
    """The version that is tried first for usage of that time, ``CardVersions.candidates``[0].

    Of (version, published at, effective from), in microseconds. None where no version applies.
    """
    found: tuple[int, int] | None = None
    reaching: tuple[int, int] | None = None
    for version, published_at_us, effective_from_us in versions:
        in_force = max(published_at_us, effective_from_us), version
        if in_force[0] <= at_us:
            found = in_force if found is None or in_force > found else found
        elif effective_from_us <= at_us:
            published = published_at_us, version
            reaching = published if reaching is None or published < reaching else reaching
    chosen = found or reaching
    return None if chosen is None else chosen[1]


class CardVersions:
    """All versions of one card, read-only; ``adding`` gives the next state.

    ``settled_from_us``: from this time on the plan of a shape no longer depends on the time, so
    a caller may keep plans by shape alone for events at or after it. With one version that is
    when it is meant from; with several, when the last of them came into force; never, where that
    one has conditions of time of day.

    A row with a model goes on with the running total of the same row of an earlier version: what
    is the same is decided here, where all versions are known (``CompiledCard.follow``).
    """

    __slots__ = (
        "_back_dated",
        "_boundaries",
        "_current",
        "_current_from_us",
        "_plans",
        "_regular",
        "_settled_from_us",
        "_settled_plans",
        "_timed_plans",
        "settled_from_us",
        "versions",
    )

    def __init__(self, versions: Iterable[CardVersion] = ()) -> None:
        ordered = sorted(versions, key=_in_force)
        assert len({version.version for version in ordered}) == len(ordered)
        self.versions: tuple[CardVersion, ...] = tuple(ordered)
        self._regular: tuple[CompiledCard, ...] = tuple([v.card for v in ordered])
        self._boundaries: list[int] = [v.in_force_from_us for v in ordered]
        back_dated = [version for version in ordered if version.back_dated]
        before: CompiledCard | None = None
        anew = False
        for version in sorted(ordered, key=_number):
            anew = version.card.follow(before, anew)
            before = version.card
        self._back_dated: tuple[CardVersion, ...] = tuple(sorted(back_dated, key=_published))
        self._current: CompiledCard | None = self._regular[-1] if ordered else None
        self._current_from_us: int = self._boundaries[-1] if ordered else 0
        self.settled_from_us: int = (
            ordered[0].effective_from_us if len(ordered) == 1 else self._current_from_us
        )
        self._settled_from_us: int = self.settled_from_us  # from here on by time class at most
        if self._current is not None and self._current.windows is not None:
            self.settled_from_us = NEVER_US
        self._timed_plans: dict[int, dict[_Key, Plan]] = {}  # by time class
        self._settled_plans: dict[_Key, Plan] = {}
        self._plans: dict[tuple[tuple[tuple[int, int], ...], _Key], Plan] = {}

    def adding(self, version: CardVersion) -> "CardVersions":
        """The same versions and one more."""
        return CardVersions((*self.versions, version))

    def at(self, effective_at_us: int) -> CompiledCard | None:
        """The card in force at that time: the latest to come into force, then the later version."""
        if effective_at_us >= self._current_from_us:
            return self._current
        index = bisect_right(self._boundaries, effective_at_us)
        return self._regular[index - 1] if index else None

    def card(self, version: int) -> CompiledCard | None:
        """The version of that number; None where there is none."""
        for each in self.versions:
            if each.version == version:
                return each.card
        return None

    def candidates(self, effective_at_us: int) -> tuple[CompiledCard, ...]:
        """The cards that may price an event of that time, in the order in which they are tried.

        First the one in force, then the back-dated versions that reach that far back, in the
        order of their publication: so a late event finds the price that it would have had from
        suspense, had it come in time.
        """
        in_force = self.at(effective_at_us)
        cards = [] if in_force is None else [in_force]
        for version in self._back_dated:
            if version.effective_from_us <= effective_at_us < version.published_at_us:
                cards.append(version.card)
        return tuple(cards)

    def plan_for(
        self,
        effective_at_us: int,
        product: str,
        attributes: Attributes,
        quantities: tuple[str, ...],
    ) -> Plan | None:
        """The plan for events of this shape at that time; None where no card applies at all.

        The first candidate that prices every quantity wins, otherwise the first that prices most.
        Attributes given as a sorted tuple of pairs cost one lookup; a mapping is sorted first.
        """
        pairs = attributes if isinstance(attributes, tuple) else tuple(sorted(attributes.items()))
        key = (product, pairs, quantities)
        if effective_at_us >= self.settled_from_us:
            plan = self._settled_plans.get(key)
            if plan is None and self._current is not None:
                plan = self._current.match(product, dict(pairs), quantities)
                _remember(self._settled_plans, key, plan)
            return plan
        if effective_at_us >= self._settled_from_us:
            return self._timed_plan(effective_at_us, key)
        return self._plan_among(self.candidates(effective_at_us), key, effective_at_us)

    def _timed_plan(self, effective_at_us: int, key: _Key) -> Plan:
        """The plan of the current card, which has conditions of time of day."""
        assert self._current is not None
        time_class = self._current.time_class(effective_at_us)
        plans = self._timed_plans.get(time_class)
        if plans is None:
            if len(self._timed_plans) >= TIME_CLASSES_MAX:
                self._timed_plans = {}
            plans = self._timed_plans[time_class] = {}
        plan = plans.get(key)
        if plan is None:
            product, pairs, quantities = key
            plan = self._current.match(product, dict(pairs), quantities, time_class)
            _remember(plans, key, plan)
        return plan

    def _plan_among(
        self, cards: tuple[CompiledCard, ...], key: _Key, effective_at_us: int
    ) -> Plan | None:
        if not cards:
            return None
        classes = [card.time_class(effective_at_us) for card in cards]
        versions = [card.version for card in cards]
        whole_key = (tuple(zip(versions, classes, strict=True)), key)
        plan = self._plans.get(whole_key)
        if plan is None:
            product, pairs, quantities = key
            attributes = dict(pairs)
            plan = cards[0].match(product, attributes, quantities, classes[0])
            for card, time_class in zip(cards[1:], classes[1:], strict=True):
                if plan.priced == plan.count:
                    break
                other = card.match(product, attributes, quantities, time_class)
                if other.priced > plan.priced:
                    plan = other
            _remember(self._plans, whole_key, plan)
        return plan


def _remember(plans: dict[_K, Plan], key: _K, plan: Plan) -> None:
    if len(plans) >= PLANS_MAX:
        del plans[next(iter(plans))]
    plans[key] = plan


def _in_force(version: CardVersion) -> tuple[int, int]:
    return version.in_force_from_us, version.version


def _number(version: CardVersion) -> int:
    return version.version


def _published(version: CardVersion) -> tuple[int, int]:
    return version.published_at_us, version.version
