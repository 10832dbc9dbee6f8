"""Seat plans of an account and their seats. `expected_version` is that of the plan, 0 = whatever it
is."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import SeatRemoval, SeatTerms, Timing


class StartSeatPlan(msgspec.Struct, gc=False):
    """Have an account have a plan of seats from now on: named ones, and `count` unassigned."""

    key: bytes
    account: int
    seat_plan: str
    terms: SeatTerms
    seats: tuple[str, ...] = ()
    count: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class AddSeats(msgspec.Struct, gc=False):
    """More seats from now on: these, and `count` unassigned ones (rules S1, S2)."""

    key: bytes
    account: int
    seat_plan: str
    seats: tuple[str, ...] = ()
    count: int = 0
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveSeats(msgspec.Struct, gc=False):
    """Fewer seats: without these, and without `count` unassigned ones (rule S2)."""

    key: bytes
    account: int
    seat_plan: str
    seats: tuple[str, ...] = ()
    count: int = 0
    mode: SeatRemoval = SeatRemoval.KEEP_UNTIL_PERIOD_END
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ReassignSeat(msgspec.Struct, gc=False):
    """Give a seat with what is left of it to another; "" = an unassigned one, and nobody."""

    key: bytes
    account: int
    seat_plan: str
    seat: str
    to: str
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class SuspendSeat(msgspec.Struct, gc=False):
    """Authorise nothing for a seat until it is resumed; what it has stays."""

    key: bytes
    account: int
    seat_plan: str
    seat: str
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ResumeSeat(msgspec.Struct, gc=False):
    """Authorise again."""

    key: bytes
    account: int
    seat_plan: str
    seat: str
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangeSeatTerms(msgspec.Struct, gc=False):
    """Have a plan give otherwise from its next period on (rules P3, S2)."""

    key: bytes
    account: int
    seat_plan: str
    terms: SeatTerms
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class EndSeatPlan(msgspec.Struct, gc=False):
    """End a plan with its period, or now, with all seats removed by that mode."""

    key: bytes
    account: int
    seat_plan: str
    timing: Timing
    mode: SeatRemoval = SeatRemoval.FORFEIT_UNUSED
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""
