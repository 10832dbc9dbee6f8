"""The time zone database read byte by byte, apart from zoneinfo: what clocks showed, and when."""

from __future__ import annotations

import struct
from bisect import bisect_right
from calendar import monthrange
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files

EPOCH = datetime(1970, 1, 1)


def us(at: datetime) -> int:
    """Microseconds of a time in UTC."""
    return (at - EPOCH) // timedelta(microseconds=1)


def utc(text: str) -> int:
    return us(datetime.fromisoformat(text))


@cache
def offsets(zone: str) -> tuple[list[int], list[int]]:
    """(instants in seconds, offset from each on), from a TZif file's 64-bit data block."""
    data = files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()
    assert data[:4] == b"TZif" and data[4:5] >= b"2"
    header = struct.Struct(">4s1s15x6I")
    _, _, utc_count, std_count, leaps, times, types, chars = header.unpack_from(data)
    place = header.size + times * 5 + types * 6 + chars + leaps * 8 + std_count + utc_count
    _, _, _, _, leaps, times, types, chars = header.unpack_from(data, place)
    place += header.size
    at = struct.unpack_from(f">{times}q", data, place)
    index = data[place + 8 * times : place + 9 * times]
    kinds = [
        struct.unpack_from(">iBB", data, place + 9 * times + 6 * each)[0] for each in range(types)
    ]
    footer = data[place + 9 * times + 6 * types + chars :].strip(b"\n").decode()
    instants, found = [-(2**62), *at], [kinds[0], *[kinds[each] for each in index]]
    if "," in footer:  # the rule of today, for the years after the last that is listed
        assert instants[-1] > utc("1996-01-01") // 1_000_000, zone
        _continue(footer, instants, found)
    return instants, found


def _continue(footer: str, instants: list[int], found: list[int]) -> None:
    """Add the transitions of a rule "std offset dst offset,Mm.w.d/time,Mm.w.d/time" to 2037."""
    names, first, second = footer.split(",")
    offset, summer = _offsets_of(names)
    for year in range(1996, 2038):
        changes = [
            (_day_of(first, year) - offset, summer),
            (_day_of(second, year) - summer, offset),
        ]
        for at, then in sorted(changes):
            if at > instants[-1]:
                instants.append(at)
                found.append(then)


def _offsets_of(names: str) -> tuple[int, int]:
    parts: list[str] = []
    rest = names
    while rest:
        if rest[0] == "<":
            rest = rest[rest.index(">") + 1 :]
        else:
            rest = rest.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        digits = rest[: len(rest) - len(rest.lstrip("+-0123456789:"))]
        parts.append(digits)
        rest = rest[len(digits) :]
    offset = -_seconds(parts[0])
    return offset, -_seconds(parts[1]) if parts[1] else offset + 3600


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    fields = [int(each) for each in text.lstrip("+-").split(":")]
    return sign * sum(each * 60 ** (2 - place) for place, each in enumerate(fields))


def _day_of(rule: str, year: int) -> int:
    day, _, time = rule.partition("/")
    month, week, weekday = (int(each) for each in day.removeprefix("M").split("."))
    days = [
        each
        for each in range(1, monthrange(year, month)[1] + 1)
        if datetime(year, month, each).isoweekday() % 7 == weekday
    ]
    found = datetime(year, month, days[-1] if week == 5 else days[week - 1])
    return us(found) // 1_000_000 + (_seconds(time) if time else 7200)


def shown(at: int, zone: str) -> datetime:
    instants, found = offsets(zone)
    offset = found[bisect_right(instants, at // 1_000_000) - 1]
    return EPOCH + timedelta(microseconds=at, seconds=offset)


def first_shown(local: datetime, zone: str) -> int:
    """The least instant at which the clocks show `local` or later: look at every stretch."""
    instants, found = offsets(zone)
    for start, end, offset in zip(instants, [*instants[1:], 2**62], found, strict=True):
        at = max(us(local) - offset * 1_000_000, start * 1_000_000)
        if at < end * 1_000_000:
            return at
    raise AssertionError(local)
