"""How often forecasts come true: `python -m bench.forecast`, some ten seconds.

On the three shipped traces of real inference. They last an hour each, so time is stretched: 2
seconds of a trace, or 5, stand for an hour. From every 24th hour on, what is known until then is
asked for the use of the next hours and for when a balance would be empty that lasts about half as
long; a band of 10 to 90 in a hundred is right if it holds what came, and would be right in 80 of
100 cases if the future were like the past. Integers and a fixed seed: the same table every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ledger.core.limits import HOUR_US
from ledger.demo.traces import (
    TraceRequest,
    azure_code,
    azure_conversation,
    mooncake_conversation,
)
from ledger.forecast.figures import Bill, foretell
from ledger.forecast.hours import HISTORY, LEAST, Hours
from ledger.forecast.pots import Pot, means_of

TRACES: Final = {
    "Azure, code": azure_code,
    "Azure, conversation": azure_conversation,
    "Mooncake, conversation": mooncake_conversation,
}
SECONDS: Final = (2, 5)  # that stand for an hour
AHEAD: Final = (24, 72, 168)  # hours
STEP: Final = 24
OUTPUT: Final = 3  # an output token is worth so many of input
FOREVER: Final = 1 << 62


class Score(NamedTuple):
    """How many forecasts were made, and in how many each band held what came."""

    made: int
    used: int
    empty: int


def by_hour(requests: Iterable[TraceRequest], hour_us: int) -> list[int]:
    """What was used in each whole stretched hour of a trace."""
    used: list[int] = []
    for each in requests:
        hour = each.offset_us // hour_us
        used.extend([0] * (hour + 1 - len(used)))
        used[hour] += each.input_tokens + OUTPUT * each.output_tokens
    return used[:-1]


def score(used: list[int], ahead: int) -> Score:
    """Forecast from every STEPth hour on."""
    made = right = empty = 0
    for now in range(LEAST, len(used) - ahead, STEP):
        first = max(0, now - HISTORY)
        hours = Hours(first, used[first:now])
        units = hours.total * ahead // (2 * len(hours))
        now_us = now * HOUR_US
        found = foretell(
            hours, means_of([Pot(units, 0, FOREVER)], [], 0, 0, now_us), Bill(0, False, None),
            now_us, ahead, now_us + ahead * HOUR_US, now,
        )  # fmt: skip
        assert found.used is not None and found.empty_at_us is not None
        made += 1
        right += found.used.p10 <= sum(used[now : now + ahead]) <= found.used.p90
        gone_at = emptied(used, now, ahead, units)
        earliest, _, latest = [each or FOREVER for each in found.empty_at_us]
        empty += earliest <= gone_at <= latest
    return Score(made, right, empty)


def emptied(used: list[int], now: int, ahead: int, units: int) -> int:
    """The instant after which so many units were used, FOREVER = beyond the hours looked at."""
    for hour in range(now, now + ahead):
        units -= used[hour]
        if units <= 0:
            return (hour + 1) * HOUR_US
    return FOREVER


def table() -> Iterator[str]:
    """The lines of the table in docs/forecast.md."""
    yield "| trace | an hour is | ahead | forecasts | use within the band | empty within the band |"
    yield "|---|---|---|---|---|---|"
    for name, requests in TRACES.items():
        for seconds in SECONDS:
            used = by_hour(requests(), seconds * 1_000_000)
            for ahead in AHEAD:
                found = score(used, ahead)
                shares = [f"{100 * each // found.made} %" for each in found[1:]]
                line = " | ".join([name, f"{seconds} s", f"{ahead} h", str(found.made), *shares])
                yield f"| {line} |"


if __name__ == "__main__":
    for line in table():
        print(line)
