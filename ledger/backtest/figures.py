"""What both sides charged and earned in the range: the ledger, and the replay under the candidate.

Minor units throughout, exact, of any size. `old` is what the journal says, `new` what was decided
again. Figures of two shards add up to those of both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

_S = TypeVar("_S")


class Pair(msgspec.Struct):
    """A figure of both sides."""

    old: int = 0
    new: int = 0

    def add(self, other: Pair) -> None:
        """Add another shard's."""
        self.old += other.old
        self.new += other.new


class Tally(msgspec.Struct):
    """One account in one asset: what its usage was charged, less what was given back, and how much
    of the charges no limit afforded."""

    account: int
    asset: int
    old: int = 0
    new: int = 0
    over_limit_old: int = 0
    over_limit_new: int = 0


class Earnings(msgspec.Struct):
    """One account in one money: what its usage earned, and what providers took for it (rule B4)."""

    account: int
    asset: int
    revenue: Pair = msgspec.field(default_factory=Pair)
    cost: Pair = msgspec.field(default_factory=Pair)

    @property
    def margin(self) -> Pair:
        """What is left."""
        return Pair(self.revenue.old - self.cost.old, self.revenue.new - self.cost.new)


class Denials(msgspec.Struct):
    """Authorisations of one account, in one asset, that are decided otherwise.

    `charge`: what the candidate asks for those that it denies; `unrun`: what their captures had
    been charged.
    """

    account: int
    asset: int
    denied: int = 0  # that had been allowed
    charge: int = 0
    first_at_us: int = 0
    unrun: int = 0
    allowed: int = 0  # that had been denied


class ProductLine(msgspec.Struct):
    """A product's figure in one asset."""

    product: str
    asset: int
    old: int
    new: int


class NotRepeated(msgspec.Struct):
    """Entries whose command the replay refuses, or has nothing to apply it to."""

    entry: str
    reason: str
    count: int


class Figures(msgspec.Struct):
    """What a replay found. Counts are of entries in the range; lists name the worst first."""

    entries: int = 0
    usage_events: int = 0
    usual: int = 0  # of those, decided again in the fast loop
    folded: int = 0  # entries before the range
    accounts: int = 0  # that were charged on either side, each in an asset
    dearer: int = 0
    cheaper: int = 0
    over_limit_accounts: int = 0  # that go further over their limits than they did
    denied_accounts: int = 0
    authorized: Pair = msgspec.field(default_factory=Pair)
    denied: Pair = msgspec.field(default_factory=Pair)
    denied_now: int = 0  # that had been allowed
    allowed_now: int = 0  # that had been denied
    unrun_captures: int = 0
    granted: int = 0  # grants of the terms that were issued
    scaled: int = 0  # grants and terms of recurring ones that were made larger or smaller
    limited: int = 0  # policies that the terms changed
    suspense: Pair = msgspec.field(default_factory=Pair)
    top_ups: Pair = msgspec.field(default_factory=Pair)
    costed: Pair = msgspec.field(default_factory=Pair)  # usage events with a cost
    cost_unknown: Pair = msgspec.field(default_factory=Pair)  # of which a quantity's is not known
    losing: Pair = msgspec.field(default_factory=Pair)  # accounts that cost more than they earn
    burn: list[ProductLine] = []
    revenue: list[ProductLine] = []
    cost: list[ProductLine] = []
    unrun_cost: list[ProductLine] = []  # of captures of work that would not have run: `old` alone
    shocks: list[Tally] = []
    margins: list[Earnings] = []  # of accounts whose usage has a cost
    over_limit: list[Tally] = []
    denials: list[Denials] = []
    not_repeated: list[NotRepeated] = []
    not_tried: list[NotRepeated] = []  # terms, by their place

    def merge(self, other: Figures, accounts_max: int) -> None:
        """Add another shard's, and keep so many accounts of each list and asset."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for pair, more in (
            (self.authorized, other.authorized),
            (self.denied, other.denied),
            (self.suspense, other.suspense),
            (self.top_ups, other.top_ups),
            (self.costed, other.costed),
            (self.cost_unknown, other.cost_unknown),
            (self.losing, other.losing),
        ):
            pair.add(more)
        for lines in _LINES:
            setattr(self, lines, _together([*getattr(self, lines), *getattr(other, lines)]))
        self.not_repeated = _counted_together(self.not_repeated, other.not_repeated)
        self.not_tried = _counted_together(self.not_tried, other.not_tried)
        self.shocks = worst([*self.shocks, *other.shocks], shock, accounts_max)
        self.over_limit = worst([*self.over_limit, *other.over_limit], over_limit, accounts_max)
        self.denials = worst([*self.denials, *other.denials], denied, accounts_max)
        self.margins = worst([*self.margins, *other.margins], loss, accounts_max)

    @property
    def reproduces(self) -> bool:
        """Whether nothing differs from what the ledger has."""
        return (
            not self.shocks
            and not self.not_repeated
            and not self.denied_now
            and not self.allowed_now
            and all(line.old == line.new for line in (*self.burn, *self.revenue, *self.cost))
        )

    @property
    def margin(self) -> list[ProductLine]:
        """What is left of the revenue by product and money."""
        less = [ProductLine(each.product, each.asset, -each.old, -each.new) for each in self.cost]
        return _together([*self.revenue, *less])


_LINES = ("burn", "revenue", "cost", "unrun_cost")
_COUNTS = (
    "entries",
    "usage_events",
    "usual",
    "folded",
    "accounts",
    "dearer",
    "cheaper",
    "over_limit_accounts",
    "denied_accounts",
    "denied_now",
    "allowed_now",
    "unrun_captures",
    "granted",
    "scaled",
    "limited",
)


def shock(tally: Tally) -> int:
    """How much more an account is charged."""
    return tally.new - tally.old


def over_limit(tally: Tally) -> int:
    """How much further it goes over its limits."""
    return tally.over_limit_new - tally.over_limit_old


def denied(denials: Denials) -> int:
    """How many of its authorisations are denied that had been allowed."""
    return denials.denied


def loss(earnings: Earnings) -> int:
    """How much more it would cost than it would earn."""
    return -earnings.margin.new


def worst(lines: Iterable[_S], measure: Callable[[_S], int], most: int) -> list[_S]:
    """By asset, the largest measure first, `most` of each asset; ties by account."""

    def place(line: Any) -> tuple[int, int, int]:
        return line.asset, -measure(line), line.account

    kept: list[_S] = []
    seen: Counter[int] = Counter()
    for line in sorted(lines, key=place):
        asset: int = line.asset  # type: ignore[attr-defined]
        seen[asset] += 1
        if seen[asset] <= most:
            kept.append(line)
    return kept


def _together(lines: Iterable[ProductLine]) -> list[ProductLine]:
    sums: dict[tuple[str, int], Pair] = {}
    for line in lines:
        sums.setdefault((line.product, line.asset), Pair()).add(Pair(line.old, line.new))
    return [ProductLine(*place, pair.old, pair.new) for place, pair in sorted(sums.items())]


def _counted_together(*lists: Iterable[NotRepeated]) -> list[NotRepeated]:
    counted = Counter[tuple[str, str]]()
    for each in lists:
        for line in each:
            counted[(line.entry, line.reason)] += line.count
    return _counted(counted)


def _counted(counted: Counter[tuple[str, str]]) -> list[NotRepeated]:
    return [NotRepeated(*place, count) for place, count in sorted(counted.items())]


class Figured:
    """The figures of one shard in the making."""

    __slots__ = (
        "burn",
        "cost",
        "denials",
        "earnings",
        "figures",
        "not_tried",
        "refused",
        "revenue",
        "tallies",
        "unrun_cost",
    )

    def __init__(self) -> None:
        self.figures = Figures()
        self.tallies: dict[tuple[int, int], Tally] = {}  # (account, asset)
        self.denials: dict[tuple[int, int], Denials] = {}
        self.burn: dict[tuple[str, int], Pair] = {}  # (product, asset)
        self.revenue: dict[tuple[str, int], Pair] = {}  # (product, money)
        self.cost: dict[tuple[str, int], Pair] = {}
        self.unrun_cost: dict[tuple[str, int], Pair] = {}
        self.earnings: dict[tuple[int, int], Earnings] = {}  # (account, money)
        self.refused: Counter[tuple[str, str]] = Counter()  # (entry, reason)
        self.not_tried: Counter[tuple[str, str]] = Counter()  # (place, reason)

    def tally(self, account: int, asset: int) -> Tally:
        """The account's in that asset."""
        tally = self.tallies.get((account, asset))
        if tally is None:
            tally = self.tallies[(account, asset)] = Tally(account, asset)
        return tally

    def denials_of(self, account: int, asset: int) -> Denials:
        """What is decided otherwise for the account."""
        found = self.denials.get((account, asset))
        if found is None:
            found = self.denials[(account, asset)] = Denials(account, asset)
        return found

    def burnt(self, product: str, asset: int) -> Pair:
        """Units that a product's usage drew, less those given back."""
        return _pair(self.burn, (product, asset))

    def earned(self, product: str, money: int) -> Pair:
        """Money that it recognised, less what was given back (rule B4)."""
        return _pair(self.revenue, (product, money))

    def cost_of(self, product: str, money: int) -> Pair:
        """Money that providers took for it, less what they gave back."""
        return _pair(self.cost, (product, money))

    def unrun_cost_of(self, product: str, money: int) -> Pair:
        """What providers took for captures of work that would not have run."""
        return _pair(self.unrun_cost, (product, money))

    def earnings_of(self, account: int, money: int) -> Earnings:
        """The account's in that money."""
        found = self.earnings.get((account, money))
        if found is None:
            found = self.earnings[(account, money)] = Earnings(account, money)
        return found

    def close(self, accounts_max: int) -> Figures:
        """Everything, with so many accounts in each list."""
        figures, tallies = self.figures, list(self.tallies.values())
        further = [each for each in tallies if over_limit(each) > 0]
        figures.accounts = len(tallies)
        figures.dearer = sum([each.new > each.old for each in tallies])
        figures.cheaper = sum([each.new < each.old for each in tallies])
        figures.over_limit_accounts = len(further)
        figures.denied_accounts = sum([each.denied > 0 for each in self.denials.values()])
        figures.burn = _lines(self.burn)
        figures.revenue = _lines(self.revenue)
        figures.cost = _lines(self.cost)
        figures.unrun_cost = _lines(self.unrun_cost)
        margins = [each.margin for each in self.earnings.values()]
        figures.losing.old = sum([each.old < 0 for each in margins])
        figures.losing.new = sum([each.new < 0 for each in margins])
        costly = [each for each in self.earnings.values() if each.cost.old or each.cost.new]
        figures.margins = worst(costly, loss, accounts_max)
        moved = [each for each in tallies if each.new != each.old]
        figures.shocks = worst(moved, shock, accounts_max)
        figures.over_limit = worst(further, over_limit, accounts_max)
        figures.denials = worst(self.denials.values(), denied, accounts_max)
        figures.not_repeated = _counted(self.refused)
        figures.not_tried = _counted(self.not_tried)
        return figures


def _pair(pairs: dict[tuple[str, int], Pair], place: tuple[str, int]) -> Pair:
    pair = pairs.get(place)
    if pair is None:
        pair = pairs[place] = Pair()
    return pair


def _lines(pairs: dict[tuple[str, int], Pair]) -> list[ProductLine]:
    return [
        ProductLine(*place, pair.old, pair.new)
        for place, pair in sorted(pairs.items())
        if pair.old or pair.new
    ]
