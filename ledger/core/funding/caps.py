"""What an account may draw of the grants above it: sharing, caps and reserves (rules D1, D8).

A cap is of an account that shares (`owner`) for one below it (`below`), and binds that account with
its whole subtree. It counts what they drew and what their holds reserve, from the entry on that set
it: by the slices of each entry, in the window of its time (of a hold and its captures: when it was
authorised, rule H5). A window is opened by an entry of its own, so that `evolve` finds it by
comparing instants. A draw counts for every capped account on the way up to the owner; a cap of an
owner that is no longer above the account binds nothing.

Here is the state and what reads it; `sharing` decides on it, `evolve.caps` changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ledger.core.budgets.lanes import EACH, Lane
from ledger.core.events import CapTerms, Sharing, SharingMode, WindowKind
from ledger.core.windows import OF_NO_WINDOW, Cell, Counter, span_at

if TYPE_CHECKING:
    from ledger.core.state import Account, Grant

_LIFETIME: Final = int(WindowKind.LIFETIME)
_SLIDING: Final = int(WindowKind.SLIDING)


@lru_cache(maxsize=4_096)
def same_terms(terms: CapTerms) -> CapTerms:
    """One object for equal terms: thousands of accounts have caps of the same, and memory is what
    they cost."""
    return terms


class _Used:
    """What is looked at with each draw, side by side: a family may have many thousand caps."""

    __slots__ = ("asset", "grant", "met", "owner", "terms", "windowed")


class Cap(_Used):
    """A ceiling, and an amount that is set aside, with what counts towards both (rule D8)."""

    __slots__ = ("_counter", "below", "created_at", "laid", "lane", "number", "since", "version")

    def __init__(
        self,
        number: int,
        owner: Account,
        below: Account,
        asset: int,
        grant: Grant | None,
        terms: CapTerms,
        created_at: int,
    ) -> None:
        self.number = number
        self.owner = owner
        self.below = below
        self.asset = asset
        self.grant = grant  # None = all that the owner shares in the asset
        self.terms = same_terms(terms)
        self.version = 1
        self.created_at = created_at
        self.since = 0  # locator of its entry; 0 = an older journal has it, which does not say
        self._counter = Counter()
        self.met: Cell | None = None  # derived: of those of the counter, which was met last
        self.windowed: bool = terms.window.kind != _LIFETIME
        # Derived: where what was drawn stands meanwhile, and at which place.
        self.lane: Lane | None = None
        self.laid = 0

    @property
    def counter(self) -> Counter:
        """What it counts, to be read."""
        if self.lane is not None:
            self.lane.settle(self.laid)
        return self._counter

    def take_counter(self) -> Counter:
        """The same to be changed: no lane has it any more."""
        if self.lane is not None:
            self.lane.finish()
            self.lane = None
        return self._counter

    def begin_at(self, counter: Counter) -> None:
        """Go on with what was counted before it was packed."""
        self._counter = counter

    def change(self, terms: CapTerms, version: int) -> None:
        """Another ceiling, or another amount set aside; what it counts stays what it is."""
        self.take_counter()
        self.terms = same_terms(terms)
        self.version = version

    def cell(self, at: int) -> Cell | None:
        """Where a draw of an instant counts; None = no window is open there. What a lane has of it
        it shows once `counter` was asked."""
        met = self.met
        if met is None or not met.since <= at < met.end:
            met = self.met = self._counter.cell(at)
        return met

    def open_window(self, since: int, end: int, now: int) -> None:
        """Open a window, or a bucket of a sliding one; what is over goes."""
        self.take_counter().count(self.terms.window, since, end, 0, 0, now)
        self.met = None

    def binds(self, grant: Grant) -> bool:
        """Whether a draw of this grant by those below counts."""
        if self.grant is None:
            return self.asset == grant.asset and self.owner is grant.account
        return self.grant is grant

    def ceiling(self, at: int) -> int | None:
        """Units that may be drawn in the window of an instant; None = there is no ceiling. A
        fraction is of the grant's units, or of all those that the owner shares at that instant."""
        terms = self.terms
        if terms.denominator == 0:
            return None if terms.limit < 0 else terms.limit
        if self.grant is not None:
            granted = self.grant.amount
        else:
            granted = sum(
                [
                    grant.amount
                    for grant in self.owner.grants
                    if grant.shared
                    and grant.asset == self.asset
                    and not grant.settled
                    and grant.effective_at <= at < grant.expires_at
                ]
            )
        return granted * terms.numerator // terms.denominator

    def counted(self, at: int) -> tuple[int, int]:
        """(drawn, held) in the window of an instant: nothing where none is open."""
        counter = self.counter
        if not self.windowed:
            return counter.posted, counter.pending
        window = self.terms.window
        if window.kind == _SLIDING:
            return counter.within(window, at)
        cell = self.cell(at)
        return (cell.posted, cell.pending) if cell is not None else (0, 0)

    def left(self, at: int) -> int | None:
        """Units that may still be drawn at an instant, never below 0; None = no ceiling."""
        ceiling = self.ceiling(at)
        if ceiling is None:
            return None
        drawn, held = self.counted(at)
        return max(0, ceiling - drawn - held)

    @property
    def aside(self) -> int:
        """Units of its grant that are for the account alone: what it reserved and has not drawn;
        never more, though a re-rate may have given back what was drawn before the cap. In one that
        an older journal has that was set aside as well."""
        reserved = self.terms.reserved
        if reserved == 0:
            return 0
        counter = self.counter
        left = max(0, reserved - counter.posted - counter.pending)
        return min(reserved, left) if self.since else left


def is_at_or_below(account: Account, above: Account) -> bool:
    """Whether an account is the one above, or in its subtree."""
    each: Account | None = account
    while each is not None:
        if each is above:
            return True
        each = each.parent
    return False


def covers(grant: Grant, account: Account) -> bool:
    """Whether a shared grant is shared with an account below its own: it, or one on the way up, is
    listed or bears a label (rule D1). What an agent bought that pays by itself is for all below."""
    sharing = grant.shared_with
    if sharing is None:
        return True
    owner = grant.account
    if owner.number in sharing.accounts:
        return True
    each: Account | None = account
    while each is not None and each is not owner:
        if each.number in sharing.accounts:
            return True
        for label in each.policy.labels:
            if label in sharing.labels:
                return True
        each = each.parent
    return False


def unreserved(grant: Grant, account: Account) -> int:
    """Units that are available of a grant but for what is set aside for others (rule D8)."""
    left = grant.book.available
    if grant.aside:
        others = grant.aside
        each: Account | None = account
        while each is not None and each is not grant.account:
            for cap in each.caps:
                if cap.grant is grant:
                    others -= cap.aside
            each = each.parent
        left -= others
    return left


class Rooms:
    """What one draw of an account, counted at an instant, may take of each grant; it knows what the
    draw has taken so far."""

    __slots__ = ("_account", "_asked_at", "_at", "_drawn", "_taken")

    def __init__(self, account: Account, at: int, asked_at: int = 0) -> None:
        self._account = account
        self._at = at
        self._asked_at = asked_at  # of what is not to pass a cap that counts it at another time
        self._drawn: dict[Grant, int] = {}
        self._taken: dict[Cap, int] = {}

    def of(self, grant: Grant) -> int:
        """Units that the account may take: below 1 = none."""
        left = unreserved(grant, self._account) - self._drawn.get(grant, 0)
        owner = grant.account
        if owner.caps_given and owner is not self._account:
            for cap in capping(self._account, grant):
                most = self.left_of(cap)
                if most is not None:
                    left = min(left, most - self._taken.get(cap, 0))
        return left

    def left_of(self, cap: Cap) -> int | None:
        """Units that a cap leaves, but for what the draw has taken; None = it has no ceiling."""
        if self._asked_at and not self._is_kept(cap):
            return 0
        return cap.left(self._at)

    def _is_kept(self, cap: Cap) -> bool:
        """Whether what counts at that time is counted in a window of a cap; else nobody would."""
        if not cap.windowed:
            return True
        owner = cap.owner
        span = span_at(
            cap.terms.window, cap.counter, self._at, self._asked_at, owner.anchors, owner.calendar
        )
        return span != OF_NO_WINDOW

    def of_all(self, grants: Sequence[Grant]) -> int:
        """Units that it may take of these in their order, each counted as none below zero where a
        cap or a reserve binds it."""
        total = 0
        for grant in grants:
            if grant.aside or grant.account.caps_given:
                units = max(0, self.of(grant))
                self.take(grant, units)
                total += units
            else:
                total += grant.book.available
        return total

    def take(self, grant: Grant, units: int) -> None:
        """The draw takes so many."""
        self._drawn[grant] = self._drawn.get(grant, 0) + units
        owner = grant.account
        if owner.caps_given and owner is not self._account:
            for cap in capping(self._account, grant):
                self._taken[cap] = self._taken.get(cap, 0) + units


def shared_as(shared: bool, sharing: Sharing | None) -> tuple[bool, Sharing | None]:
    """How a grant is issued that its terms say is `shared`, or that `sharing` says since."""
    if sharing is None:
        return shared, None
    narrow = sharing.mode in (SharingMode.LISTED, SharingMode.MATCHING)
    return sharing.mode != SharingMode.NONE, sharing if narrow else None


def capping(account: Account, grant: Grant) -> list[Cap]:
    """The caps that bind a draw of an account from a grant above it."""
    found: list[Cap] = []
    owner = grant.account
    each: Account | None = account
    while each is not None and each is not owner:
        for cap in each.caps:
            if cap.binds(grant):
                found.append(cap)
        each = each.parent
    return found


def leaves_room(account: Account, grant: Grant, amount: int, at: int) -> bool:
    """Whether a draw of that much from a grant above stays within every cap, in windows that are
    open: what usual usage asks."""
    owner = grant.account
    each: Account | None = account
    while each is not None and each is not owner:
        layout = each.layout
        if layout is not None and layout.caps is not None:
            if layout.since <= at < layout.end:
                kept, place = layout.kept, each.row + layout.first_cap
                for drawn_of, shared_by, asset in layout.caps:
                    if (
                        drawn_of == grant.number
                        if drawn_of
                        else shared_by == owner.number and asset == grant.asset
                    ) and kept[place] + amount > kept[place + 1]:
                        return False
                    place += EACH
                each = each.parent
                continue
            each.end_lane()
        for cap in each.caps:
            if cap.grant is grant or (
                cap.grant is None and cap.owner is owner and cap.asset == grant.asset
            ):
                most = cap.terms.limit
                if cap.terms.denominator:
                    ceiling = cap.ceiling(at)
                    assert ceiling is not None
                    most = ceiling
                if not cap.windowed:
                    counter = cap.counter
                    if most >= 0 and counter.posted + counter.pending + amount > most:
                        return False
                    continue
                cell = cap.cell(at)
                if cell is None:
                    return False
                if cap.terms.window.kind == _SLIDING:
                    drawn, held = cap.counted(at)
                else:
                    drawn, held = cell.posted, cell.pending
                if most >= 0 and drawn + held + amount > most:
                    return False
        each = each.parent
    return True
