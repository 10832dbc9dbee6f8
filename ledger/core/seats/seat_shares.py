"""What seats are granted for their time, and what is taken back of it (rules S1, S2).

Of a pool the time of all seats is added up and rounded once, so that a period never gives more than
the time share of its largest quantity; who takes the place of a seat that left early has at most
what was taken back. A seat with an allowance of its own keeps that account for itself. Reads state,
changes nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core.events import Event, RecurringTerms, SeatIssue, SeatTally, TakenBack
from ledger.core.funding.grants import issue, reduced
from ledger.core.funding.recurring import grant_of_terms
from ledger.core.periods import prorated
from ledger.core.state import Account, State
from rating.compile import ROUND_HALF_EVEN
from rating.price import rounded

ANYTHING: Final = 1 << 126
"""Room for whatever seats come to."""


class Part(NamedTuple):
    """What is left of a period [start, end) whose full length is `full`."""

    start: int
    end: int
    full: int

    @property
    def remaining(self) -> int:
        """Microseconds of it."""
        return self.end - self.start

    def share(self, amount: int) -> int:
        """The share of an amount for that time, rounded once (rule S1)."""
        return prorated(amount, self.remaining, self.full)


def pool_share(amount: int, seat_us: int, full: int) -> int:
    """What seats x microseconds of a period are given of an amount a seat, rounded once."""
    return rounded(amount * seat_us, full, ROUND_HALF_EVEN)


def add_to_pool(
    state: State,
    account: Account,
    terms: RecurringTerms,
    tally: SeatTally,
    part: Part,
    there: int,
    more: int,
    out: list[Event],
    room: int = ANYTHING,
) -> tuple[tuple[SeatIssue, ...], SeatTally]:
    """Grant a pool what so many `more` seats bring where so many are `there`: what they are above
    the largest quantity of the period brings its time; the others take the place of seats that left
    early, with what was taken back of those at most (rule S2). At most `room` units (rule P3)."""
    fresh = max(0, there + more - tally.largest)
    seat_us = tally.seat_us + fresh * part.remaining
    before = pool_share(terms.amount, tally.seat_us, part.full)
    back = min(part.share((more - fresh) * terms.amount), max(0, before - tally.released))
    amount = pool_share(terms.amount, seat_us, part.full) - before + back
    price = pool_share(terms.price_paid, seat_us, part.full)
    price -= pool_share(terms.price_paid, tally.seat_us, part.full)
    price += rounded(terms.price_paid * back, terms.amount, ROUND_HALF_EVEN)
    if amount > room:  # what is not granted is no place that seats left: it never comes back
        given = max(0, room - back)
        most = tally.seat_us - (-given * part.full // terms.amount)
        seat_us = min(seat_us, most)
    amount, price = within(room, amount, price)
    issued = granted(state, account, terms, 0, amount, price, part, out)
    return (issued,) if issued.grant else (), SeatTally(
        tally.unassigned,
        tally.leaving,
        max(tally.largest, there + more),
        seat_us,
        tally.released + amount,
    )


def within(room: int, amount: int, price_paid: int) -> tuple[int, int]:
    """At most so many units, with their share of the price, rounded down."""
    return (amount, price_paid) if amount <= room else (room, price_paid * room // amount)


def granted(
    state: State,
    account: Account,
    terms: RecurringTerms,
    seat: int,
    amount: int,
    price_paid: int,
    part: Part,
    out: list[Event],
) -> SeatIssue:
    """Issue it from the part's start on; what is a seat's own repays nothing that the account owes,
    for only that seat draws it (rule D1)."""
    if not amount:
        return SeatIssue(seat, 0, 0, 0)
    asked = grant_of_terms(
        account, terms, amount, price_paid, part.start, part.end + terms.expires_after
    )
    number = issue(state, account, asked, out, repays=not seat).grant
    return SeatIssue(seat, number, amount, price_paid)


def take_back(
    state: State, grants: tuple[int, ...], amount: int, out: list[Event]
) -> tuple[TakenBack, ...]:
    """Take back of these grants, the last first, up to so many units as are neither drawn nor held;
    their share of the price goes back with them."""
    taken: list[TakenBack] = []
    for number in reversed(grants):
        grant = state.grants[number]
        part = min(amount, grant.book.available)
        if part <= 0 or grant.settled:
            continue
        out.append(reduced(grant, part))
        taken.append(TakenBack(number, part))
        amount -= part
    return tuple(taken)


def units_of(taken: tuple[TakenBack, ...]) -> int:
    """Units that were taken back in all."""
    return sum([each.amount for each in taken])
