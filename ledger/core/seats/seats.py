"""Seat plans of an account as state (rules S1 to S3). Only `evolve` changes them.

A seat that has had an allowance of its own stays remembered once it is gone: late usage of its time
draws what it had, and who takes its place within the period has what was left, never a new
allowance (rule S2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.events import Allotment, SeatTally, SeatTerms, UnknownSeat
from ledger.core.holdings import NEVER

if TYPE_CHECKING:
    from ledger.core.holdings import Grant
    from ledger.core.state import Account

NOTHING_COUNTED = SeatTally(0, 0, 0, 0, 0)


class Seat:
    """One seat that is somebody's, or has an allowance of its own."""

    __slots__ = (
        "alerted",
        "allotted",
        "entitled",
        "grants",
        "name",
        "number",
        "plan",
        "pots",
        "released",
        "suspended",
        "until",
    )

    def __init__(self, number: int, plan: SeatPlan) -> None:
        self.number = number  # of its plan
        self.plan = plan
        self.name = ""  # "" = unassigned
        self.until: int = NEVER  # it is there before then
        self.suspended = False
        self.entitled = 0  # by the time that it was there in the period that runs
        self.released = 0  # of it, less what was taken back
        self.grants: tuple[int, ...] = ()  # of the period
        self.allotted = False  # it has had grants of its own, in whatever period
        self.alerted = False  # it was told since its last grant that little is left
        self.pots: list[Grant] = []  # its grants with units left, of whatever period

    @property
    def leaves(self) -> bool:
        """Whether it is there, or was, for less time than its plan."""
        return self.until < self.plan.ends_at

    @property
    def left(self) -> int:
        """Units that are left of its grants."""
        return sum([grant.book.available for grant in self.pots])


class SeatPlan:
    """A named plan of seats, and the period that runs."""

    __slots__ = (
        "account",
        "by_name",
        "created_at",
        "ends_at",
        "full",
        "grants",
        "name",
        "next_seat",
        "next_terms",
        "period_end",
        "period_start",
        "revision",
        "seats",
        "started_at",
        "tally",
        "terms",
    )

    def __init__(self, account: Account, name: str, terms: SeatTerms, created_at: int) -> None:
        self.account = account
        self.name = name
        self.terms = terms
        self.next_terms: SeatTerms | None = None  # from the next period on
        self.created_at = created_at
        self.revision = 0
        self.started_at = created_at  # last; its periods run from there, without an anchor
        self.ends_at: int = NEVER
        self.period_start = 0
        self.period_end = 0
        self.full = 0
        self.grants: tuple[int, ...] = ()  # of the pool and period
        self.tally = NOTHING_COUNTED
        self.next_seat = 1
        self.seats: dict[int, Seat] = {}  # by number, gone ones that had an allowance too
        self.by_name: dict[str, Seat] = {}  # who has a seat, or had one last

    @property
    def due(self) -> int:
        """When its next period begins; NEVER = none will."""
        return NEVER if self.ends_at <= self.period_end else self.period_end

    @property
    def individual(self) -> bool:
        """Whether each seat has an allowance of its own."""
        return self.terms.allotment == Allotment.INDIVIDUAL

    def present(self, at: int) -> list[Seat]:
        """The seats that are there at an instant, by number."""
        return [each for each in self.seats.values() if at < each.until]

    def quantity(self, at: int) -> int:
        """How many seats there are, those that leave with the period too."""
        if at >= self.ends_at:
            return 0
        return len(self.present(at)) + self.tally.unassigned + self.tally.leaving

    def vacant(self, now: int) -> list[Seat]:
        """Seats of the period that nobody has any more, with an allowance of their own: who comes
        takes their place."""
        return [each for each in self.seats.values() if each.until <= now and each.entitled]

    def seat_of(self, name: str, at: int) -> Seat | None:
        """The seat that somebody has at an instant."""
        seat = self.by_name.get(name)
        return seat if seat is not None and at < seat.until and at < self.ends_at else None

    def forget(self, seat: Seat) -> None:
        """Nothing is left of a seat that is gone."""
        if self.by_name.get(seat.name) is seat:
            del self.by_name[seat.name]
        del self.seats[seat.number]

    def place(self, seat: Seat, name: str) -> None:
        """Let it be somebody's."""
        if seat.name and self.by_name.get(seat.name) is seat:
            del self.by_name[seat.name]
        seat.name = name
        if name:
            self.by_name[name] = seat


class SeatPlans:
    """All plans of an account."""

    __slots__ = ("account", "individual", "plans", "strict")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.plans: dict[str, SeatPlan] = {}  # by name, sorted
        self.individual: list[SeatPlan] = []  # whose seats have allowances of their own
        self.strict: list[SeatPlan] = []  # that reject usage of a seat that they do not have

    def add(self, plan: SeatPlan) -> None:
        """One more plan."""
        self.plans[plan.name] = plan
        self.plans = {name: self.plans[name] for name in sorted(self.plans)}
        self.find_kinds()

    @property
    def next_due(self) -> SeatPlan | None:
        """The plan whose next period begins first; None = none will."""
        found: SeatPlan | None = None
        for plan in self.plans.values():
            if plan.due != NEVER and (found is None or plan.due < found.due):
                found = plan
        return found

    def find_kinds(self) -> None:
        """Look up anew which plans a draw, and new usage, has to look at."""
        plans = list(self.plans.values())
        self.individual = [each for each in plans if each.individual]
        self.strict = [each for each in plans if each.terms.unknown == UnknownSeat.REJECT]

    def goes_on(self, now: int) -> bool:
        """Whether any of them has not ended."""
        return any(plan.ends_at > now for plan in self.plans.values())

    @property
    def watched(self) -> bool:
        """Whether usage of the account is more than a draw on its grants."""
        return bool(self.individual or self.strict)
