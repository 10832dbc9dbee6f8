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
    suspense: Pair = msgspec.field(default_factory=Pair)
    top_ups: Pair = msgspec.field(default_factory=Pair)
    burn: list[ProductLine] = []
    revenue: list[ProductLine] = []
    shocks: list[Tally] = []
    over_limit: list[Tally] = []
    denials: list[Denials] = []
    not_repeated: list[NotRepeated] = []

    def merge(self, other: Figures, accounts_max: int) -> None:
        """Add another shard's, and keep so many accounts of each list and asset."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for pair, more in (
            (self.authorized, other.authorized),
            (self.denied, other.denied),
            (self.suspense, other.suspense),
            (self.top_ups, other.top_ups),
        ):
            pair.add(more)
        self.burn = _together([*self.burn, *other.burn])
        self.revenue = _together([*self.revenue, *other.revenue])
        counted = Counter[tuple[str, str]]()
        for each in (*self.not_repeated, *other.not_repeated):
            counted[(each.entry, each.reason)] += each.count
        self.not_repeated = [NotRepeated(*place, count) for place, count in sorted(counted.items())]
        self.shocks = worst([*self.shocks, *other.shocks], shock, accounts_max)
        self.over_limit = worst([*self.over_limit, *other.over_limit], over_limit, accounts_max)
        self.denials = worst([*self.denials, *other.denials], denied, accounts_max)


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


class Figured:
    """The figures of one shard in the making."""

    __slots__ = ("burn", "denials", "figures", "refused", "revenue", "tallies")

    def __init__(self) -> None:
        self.figures = Figures()
        self.tallies: dict[tuple[int, int], Tally] = {}  # (account, asset)
        self.denials: dict[tuple[int, int], Denials] = {}
        self.burn: dict[tuple[str, int], Pair] = {}  # (product, asset)
        self.revenue: dict[tuple[str, int], Pair] = {}  # (product, money)
        self.refused: Counter[tuple[str, str]] = Counter()  # (entry, reason)

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
        moved = [each for each in tallies if each.new != each.old]
        figures.shocks = worst(moved, shock, accounts_max)
        figures.over_limit = worst(further, over_limit, accounts_max)
        figures.denials = worst(self.denials.values(), denied, accounts_max)
        figures.not_repeated = [
            NotRepeated(*place, count) for place, count in sorted(self.refused.items())
        ]
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
