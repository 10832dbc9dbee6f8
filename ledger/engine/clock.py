"""Time as it is handed in, and the time that a writer may record.

`Clock` is the only source of time of the engine. `WriterTime` makes recorded times monotonic and
does not believe a wall clock that jumps ahead of its own monotonic one until the journal's clock
confirms it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

SKEW_MAX_US: Final = 500_000
"""A writer this far from the journal's clock refuses to open."""

JUMP_MAX_US: Final = 1_000_000
"""A wall clock this far ahead of the monotonic one is not used until it is confirmed."""


class Clock(Protocol):
    """A wall clock and a monotonic one, in microseconds."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC; may jump."""
        ...

    def monotonic_us(self) -> int:
        """Microseconds since some moment; never goes back."""
        ...


class ClockSkewed(Exception):
    """This machine's clock and the journal's differ by more than SKEW_MAX_US."""


class Reading(NamedTuple):
    """Both clocks, read together."""

    wall_us: int
    monotonic_us: int

    @classmethod
    def of(cls, clock: Clock) -> Reading:
        """Now."""
        return cls(clock.now_us(), clock.monotonic_us())


class WriterTime:
    """The times that one writer records: max(wall, last recorded + 1), jumps left out (rule T5)."""

    __slots__ = ("_clock", "_last", "_monotonic_base", "_wall_base", "jumped")

    def __init__(self, clock: Clock, last_recorded_us: int, checked: Reading | None = None) -> None:
        """`checked`: the reading that was compared with the journal's clock; a jump since then is
        one. Without it the clock is believed as it is now."""
        base = checked if checked is not None else Reading.of(clock)
        self._clock = clock
        self._last = last_recorded_us
        self._wall_base = base.wall_us
        self._monotonic_base = base.monotonic_us
        self.jumped = False  # ask the journal's clock, then confirm()

    def next(self) -> int:
        """The recorded time of the next batch."""
        wall = self._clock.now_us()
        expected = self._wall_base + self._clock.monotonic_us() - self._monotonic_base
        if wall > expected + JUMP_MAX_US:
            self.jumped = True
            wall = expected
        self._last = max(wall, self._last + 1)
        return self._last

    def peek(self) -> int:
        """What `next` would say, without recording it; a jump is left out, and noticed."""
        wall = self._clock.now_us()
        expected = self._wall_base + self._clock.monotonic_us() - self._monotonic_base
        if wall > expected + JUMP_MAX_US:
            self.jumped = True
            wall = expected
        return max(wall, self._last + 1)

    def confirm(self, journal_now_us: int) -> bool:
        """Take the journal's word on a jump: believe the wall clock only if they agree."""
        self.jumped = False
        agree = abs(self._clock.now_us() - journal_now_us) <= SKEW_MAX_US
        if agree:
            self._wall_base = self._clock.now_us()
            self._monotonic_base = self._clock.monotonic_us()
        return agree


def check_skew(clock: Clock, journal_now_us: int) -> Reading:
    """The reading that agrees with the journal's clock. Raises ClockSkewed if it is too far off."""
    reading = Reading.of(clock)
    skew = reading.wall_us - journal_now_us
    if abs(skew) > SKEW_MAX_US:
        raise ClockSkewed(
            f"this machine's clock is {skew} us from the database's; at most {SKEW_MAX_US} us are "
            "allowed: synchronise the clocks (NTP), the writer opens when they agree"
        )
    return reading
