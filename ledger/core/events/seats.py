"""Seat plans of an account: seats added, removed, reassigned, suspended, and their periods (rules
S1 to S3)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.packages import TakenBack
from ledger.core.events.recurring import RecurringTerms, Timing


class Allotment(IntEnum):
    """How the allowance of a plan is given."""

    POOLED = 1  # one grant a period, of seats x allowance, that whoever uses the account draws
    INDIVIDUAL = 2  # one grant a seat and period, that only usage of that seat draws


class UnknownSeat(IntEnum):
    """What becomes of usage that names a seat which the plan does not have (rule S3)."""

    REJECT = 1  # it is invalid
    POOL = 2  # the account pays
    UNASSIGNED = 3  # seats that nobody has pay, then the account


class ExhaustedSeat(IntEnum):
    """Who pays what a seat's own allowance does not (rule S3)."""

    ACCOUNT = 1  # its grants, then overdraft, then overage
    OVERAGE = 2  # overage at once
    DENY = 3  # nobody: it is not authorised; recorded usage goes to the account


class SeatRemoval(IntEnum):
    """What becomes of the allowance of a seat that is removed (rule S2)."""

    KEEP_UNTIL_PERIOD_END = 1  # the seat stays until then
    FORFEIT_UNUSED = 2  # what is neither drawn nor held ends now
    FORFEIT_PRORATED = 3  # the share of the time that is left, as far as it is there (S1)


class SeatTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a plan gives for each seat and whole period, and to whose usage.

    `attribute` of an event names its seat; "" where nothing is asked by seat. Zone, anchor and unit
    of the periods are those of `allowance`, which is always prorated. `alert` is told of a seat
    whose allowance has so many units left, or fewer; -1 = never. The quantity of the account's
    fixed charge of the name `charge` is that of the seats; "" = of none. `packaged`: a package says
    all this, at each period that of its version then.
    """

    attribute: str
    allotment: Allotment
    allowance: RecurringTerms
    unknown: UnknownSeat = UnknownSeat.POOL
    exhausted: ExhaustedSeat = ExhaustedSeat.ACCOUNT
    alert: int = -1
    charge: str = ""
    packaged: bool = False


class SeatEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One seat as it is from now on. It is there until `until`; the period has `released` units to
    it of the `entitled` ones, less what was taken back; both 0 where the allowance is pooled."""

    seat: int
    name: str  # "" = unassigned
    until: int
    suspended: bool
    entitled: int
    released: int


class SeatIssue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a seat was granted, just before in the same entries. Seat 0 = the pool."""

    seat: int
    grant: int
    amount: int
    price_paid: int


class SeatTally(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The quantity of a plan as it is from now on, and what its period has granted.

    `unassigned` seats of a pool, and how many of it are `leaving` with the period. The `largest`
    quantity of the period counts `seat_us`, the sum of seats x microseconds from when each was
    first there to the end: its share of a full period is what the pool has had at most (S1, S2).
    """

    unassigned: int
    leaving: int
    largest: int
    seat_us: int
    released: int


class SeatPlanStarted(Fact, frozen=True, tag=118):
    """An account has a plan of seats from now on; its first period, or what is left of it."""

    key: bytes
    account: int
    seat_plan: str
    terms: SeatTerms
    names: tuple[str, ...]  # of seats that somebody has, as asked for
    count: int  # of unassigned ones
    start: int
    end: int
    full: int
    seats: tuple[SeatEntry, ...]
    issues: tuple[SeatIssue, ...]
    tally: SeatTally
    revision: int  # counts up with every decision on the plan
    trace: bytes = b""


class SeatsAdded(Fact, frozen=True, tag=119):
    """More seats from now on, with their share of the period (rule S1)."""

    key: bytes
    account: int
    seat_plan: str
    names: tuple[str, ...]
    count: int
    seats: tuple[SeatEntry, ...]
    issues: tuple[SeatIssue, ...]
    tally: SeatTally
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatsRemoved(Fact, frozen=True, tag=120):
    """Fewer seats, now or with the period; what was taken back stands before (rule S2)."""

    key: bytes
    account: int
    seat_plan: str
    names: tuple[str, ...]
    count: int
    mode: SeatRemoval
    seats: tuple[SeatEntry, ...]
    taken: tuple[TakenBack, ...]
    tally: SeatTally
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatReassigned(Fact, frozen=True, tag=121):
    """A seat with what is left of it is another's: from `name` to `to`; "" = nobody's."""

    key: bytes
    account: int
    seat_plan: str
    name: str
    to: str
    seats: tuple[SeatEntry, ...]
    tally: SeatTally
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatSuspended(Fact, frozen=True, tag=122):
    """Nothing is authorised for a seat any more, or again."""

    key: bytes
    account: int
    seat_plan: str
    name: str
    suspended: bool
    seats: tuple[SeatEntry, ...]
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatTermsChanged(Fact, frozen=True, tag=161):
    """A plan gives otherwise from its next period on; as it does now = what was to come is not."""

    key: bytes
    account: int
    seat_plan: str
    terms: SeatTerms
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatPeriodBegun(Fact, frozen=True, tag=123):
    """The next period of a plan, by the writer's clock, once; its grants stand before. The seats
    that it names are those that are there."""

    account: int
    seat_plan: str
    start: int
    end: int
    full: int
    seats: tuple[SeatEntry, ...]
    issues: tuple[SeatIssue, ...]
    tally: SeatTally
    terms: SeatTerms | None = None  # from now on; None = as before


class SeatPlanEnded(Fact, frozen=True, tag=124):
    """Nothing is granted from `ends_at` on, and no seat is there."""

    key: bytes
    account: int
    seat_plan: str
    timing: Timing
    mode: SeatRemoval
    ends_at: int
    taken: tuple[TakenBack, ...]
    tally: SeatTally
    revision: int
    expected_version: int = 0
    trace: bytes = b""


class SeatAllowanceLow(Fact, frozen=True, tag=125):
    """Of a seat's allowance of the period, `entitled` units, so many are `left`: as few as its plan
    has it told of. Once a seat and period."""

    account: int
    seat_plan: str
    seat: int
    name: str
    left: int
    entitled: int
