"""Balances of the past, worked out of what the read models hold. Pure: no I/O, no clock.

The one rule (T5, B6): a balance as of T, as known at K, counts the transfers that were recorded by
K and effective by T. A transfer that was recorded before it is effective counts from its recording
on, as it does in the balance of today; and a grant's units are available within [effective, expiry)
only, whatever is posted. So every balance is a sum of transfers, less what stands in grants that
may not pay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ledger.core.events import OverdraftKind
from ledger.core.limits import BASIS_POINTS
from ledger.core.shapes import Use
from ledger.projections.changes import GRANT_CANCELLED, GRANT_EXPIRED, GRANT_VOIDED

SCHEDULED: Final = "SCHEDULED"
ELSEWHERE: Final = ""  # another account's, whose parent's it was or will be
ACTIVE: Final = "ACTIVE"
EXPIRED: Final = "EXPIRED"
VOIDED: Final = "VOIDED"

ADVANCE: Final = 2  # core's BookKind
OVERAGE: Final = 3


class Point(NamedTuple):
    """As of which instant, and as known at which. NOTHING counts no transfer at all."""

    effective_at: int
    known_at: int

    @property
    def settled_at(self) -> int:
        """What was recorded by then counts, whenever it took effect."""
        return min(self.effective_at, self.known_at)


NOTHING: Final = Point(-1, -1)


class Counters(NamedTuple):
    """The four counters of a book (rule B1)."""

    debits_posted: int = 0
    credits_posted: int = 0
    debits_pending: int = 0
    credits_pending: int = 0

    @property
    def available(self) -> int:
        """Rule B6."""
        return self.credits_posted - self.debits_posted - self.debits_pending


NO_COUNTERS: Final = Counters()


class GrantRow(NamedTuple):
    """A grant as it was issued, and how it has ended by now."""

    number: int
    account: int
    asset: int
    amount: int
    effective_at: int
    expires_at: int | None
    products: Sequence[str]
    tags: Sequence[str]
    attributes: str  # JSON
    book: int
    state: int
    issued_at: int
    settled_at: int | None


class DebtRow(NamedTuple):
    """An advance or overage book of the account."""

    book: int
    kind: int
    asset: int


class Overdraft(NamedTuple):
    """An overdraft by the policy of then, and what its limit rested on (rules D4, H6)."""

    asset: int  # 0 = none
    most: int
    basis_points: int | None  # of lifetime value; None = the limit is fixed
    grace: int  # -1 = without end
    lifetime: int = 0
    since: int | None = None  # when the balance fell below zero; None = it had not

    def limit(self, at: int) -> int:
        """Units that could be owed at an instant: none once the grace has ended."""
        if self.since is not None and 0 <= self.grace <= at - self.since:
            return 0
        if self.basis_points is None:
            return self.most
        return min(self.most, max(0, self.lifetime) * self.basis_points // BASIS_POINTS)


NO_OVERDRAFT: Final = Overdraft(0, 0, None, -1)


class PastGrant(NamedTuple):
    """A grant at one point; `returned` is what left it other than by draws."""

    row: GrantRow
    state: str
    counters: Counters
    returned: int

    @property
    def drawn(self) -> int:
        """Units that usage and repaid advances have taken, less what corrections gave back."""
        given_back = max(0, self.counters.credits_posted - self.row.amount)
        return self.counters.debits_posted - self.returned - given_back

    @property
    def held(self) -> int:
        """Units that open holds reserve."""
        return self.counters.debits_pending

    @property
    def left(self) -> int:
        """Credits posted less debits posted."""
        return self.counters.credits_posted - self.counters.debits_posted

    @property
    def counts(self) -> bool:
        """Whether its units are available."""
        return self.state == ACTIVE

    @property
    def kept_back(self) -> int:
        """Units that would be available if the grant were in force."""
        return 0 if self.counts else self.counters.available


class PastAsset(NamedTuple):
    """The balance of one asset at one point, in minor units.

    available = credits_posted - debits_posted - held - expired_unposted + overdraft_limit
    - advance, over the grants that have taken effect.
    """

    asset: int
    available: int
    applicable: int
    granted: int
    held: int
    advance: int
    credits_posted: int
    debits_posted: int
    expired_unposted: int
    overdraft_limit: int
    overage: int
    grants: list[PastGrant]


class Past(NamedTuple):
    """What is known of an account at one point."""

    point: Point
    grants: list[PastGrant]
    debts: list[tuple[DebtRow, Counters]]
    overdraft: Overdraft

    def limit(self, asset: int) -> int:
        """The overdraft's limit in that asset as it was then."""
        overdraft = self.overdraft
        return overdraft.limit(self.point.effective_at) if overdraft.asset == asset else 0

    @property
    def assets(self) -> set[int]:
        """Every asset that the account had to do with."""
        found = {grant.row.asset for grant in self.grants}
        found |= {row.asset for row, counters in self.debts if counters != NO_COUNTERS}
        return (found | {self.overdraft.asset}) - {0}

    def balance(self, asset: int, use: Use | None) -> PastAsset:
        """The balance of one asset; `applicable` is to that use, 0 where none is named."""
        grants = [grant for grant in self.grants if grant.row.asset == asset]
        begun = [grant for grant in grants if grant.state not in (SCHEDULED, ELSEWHERE)]
        usable = [grant for grant in grants if grant.counts]
        advance = self._debt(ADVANCE, asset)
        owed = advance.debits_posted - advance.credits_posted
        limit = self.limit(asset)
        headroom = limit - owed - advance.debits_pending
        applicable = [grant for grant in usable if use is not None and applies(grant.row, use)]
        overage = self._debt(OVERAGE, asset)
        return PastAsset(
            asset=asset,
            available=_sum(usable) + headroom,
            applicable=_sum(applicable) + max(0, headroom) if use is not None else 0,
            granted=sum(grant.left for grant in usable),
            held=sum(grant.held for grant in begun) + advance.debits_pending,
            advance=owed,
            credits_posted=sum(grant.counters.credits_posted for grant in begun),
            debits_posted=sum(grant.counters.debits_posted for grant in begun),
            expired_unposted=sum(grant.kept_back for grant in begun),
            overdraft_limit=limit,
            overage=overage.debits_posted - overage.credits_posted,
            grants=grants,
        )

    def _debt(self, kind: int, asset: int) -> Counters:
        for row, counters in self.debts:
            if (row.kind, row.asset) == (kind, asset):
                return counters
        return NO_COUNTERS


def applies(grant: GrantRow, use: Use) -> bool:
    """Whether a grant is for such usage, whatever the time (rule D1)."""
    named = not grant.products and not grant.tags
    named = named or use.product in grant.products or not use.tags.isdisjoint(grant.tags)
    return named and json.loads(grant.attributes).items() <= set(use.attributes)


def state_at(grant: GrantRow, point: Point) -> str:
    """The state of a grant at a point: its end counts once it is recorded, its expiry by itself."""
    if grant.state in (GRANT_VOIDED, GRANT_CANCELLED) and _ended(grant, point):
        return VOIDED
    if grant.expires_at is not None and grant.expires_at <= point.effective_at:
        return EXPIRED
    if grant.state == GRANT_EXPIRED and _ended(grant, point):
        return EXPIRED
    return SCHEDULED if grant.effective_at > point.effective_at else ACTIVE


def _ended(grant: GrantRow, point: Point) -> bool:
    return grant.settled_at is not None and grant.settled_at <= point.settled_at


def past_of(
    point: Point,
    grants: Sequence[GrantRow],
    debts: Sequence[DebtRow],
    counters: Mapping[int, Counters],
    returned: Mapping[int, int],
    overdraft: Overdraft,
    elsewhere: Sequence[GrantRow] = (),
) -> Past:
    """Put together what was read for one point; `elsewhere`: grants that the account may draw at
    another point that is compared with this one, from before or after a move."""
    found = []
    for row in grants:
        if row.issued_at > point.known_at:
            continue
        found.append(
            PastGrant(
                row,
                state_at(row, point),
                counters.get(row.book, NO_COUNTERS),
                returned.get(row.book, 0),
            )
        )
    found += [
        PastGrant(row, ELSEWHERE, counters.get(row.book, NO_COUNTERS), returned.get(row.book, 0))
        for row in elsewhere
    ]
    return Past(
        point,
        found,
        [(debt, counters.get(debt.book, NO_COUNTERS)) for debt in debts],
        overdraft,
    )


def overdraft_of(policy: str | None) -> Overdraft:
    """The overdraft that a policy gives. It is JSON; None = there was no account yet."""
    fields = json.loads(policy) if policy is not None else {}
    share = fields.get("overdraft_kind") == OverdraftKind.PERCENT_OF_LIFETIME
    return Overdraft(
        fields.get("overdraft_asset", 0),
        fields.get("overdraft_limit", 0),
        fields.get("overdraft_basis_points", 0) if share else None,
        fields.get("overdraft_grace", -1),
    )


def _sum(grants: Sequence[PastGrant]) -> int:
    return sum(grant.counters.available for grant in grants)


class Leg(NamedTuple):
    """One side of a transfer that one of two balances counts and the other does not."""

    side: int  # 0 = debit, 1 = credit
    book: int
    entry_seq: int
    line: int
    debit_book: int
    credit_book: int
    asset: int
    amount: int
    phase: int
    effective_at: int
    recorded_at: int
    added: bool
    source: str | None
    event_id: str | None


class Shift(NamedTuple):
    """What moved a balance without a transfer: a grant took effect or ended (`grant`), or the
    overdraft's limit changed (`grant` None)."""

    asset: int
    amount: int
    grant: int | None
    account: int  # the grant's
    before: str
    after: str


def effect(leg: Leg, posted: int, pending: int, released: int) -> int:
    """What the leg adds to the available units of the later balance (rule B6)."""
    amount = 0
    if leg.phase == posted:
        amount = leg.amount if leg.side else -leg.amount
    elif leg.side == 0:
        amount = {pending: -leg.amount, released: leg.amount}[leg.phase]
    return amount if leg.added else -amount


def shifts(before: Past, after: Past) -> list[Shift]:
    """What no transfer explains of the difference of two balances, in a fixed order."""
    found: list[Shift] = []
    earlier = {grant.row.number: grant for grant in before.grants}
    later = {grant.row.number: grant for grant in after.grants}
    for number in sorted(earlier.keys() | later.keys()):
        was, now = earlier.get(number), later.get(number)
        amount = (was.kept_back if was else 0) - (now.kept_back if now else 0)
        if amount:
            known = now or was
            assert known is not None, number
            row = known.row
            states = was.state if was else "", now.state if now else ""
            found.append(Shift(row.asset, amount, number, row.account, *states))
    for asset in sorted({before.overdraft.asset, after.overdraft.asset} - {0}):
        amount = after.limit(asset) - before.limit(asset)
        if amount:
            found.append(
                Shift(asset, amount, None, 0, str(before.limit(asset)), str(after.limit(asset)))
            )
    return found
