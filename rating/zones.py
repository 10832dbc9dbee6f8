"""Local time in the zones of the IANA database, read from the pinned tzdata package alone.

Never from the machine, whose copy is of another day on every server. Pure in the sense that counts:
the same package gives the same answer everywhere (rule T1). The bounds that the ledger finds here
are recorded, so that no replay depends on the database.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

UTC_ZONE: Final = "UTC"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


def is_zone(name: str) -> bool:
    """Whether the database has a zone or a link of that name."""
    return name in _names()


@cache
def _zone(name: str) -> ZoneInfo:
    assert is_zone(name), name
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_of(at_us: int, zone: str) -> datetime:
    """What the zone's clocks show at an instant of the years 1 to 9999."""
    at = _EPOCH + timedelta(microseconds=at_us)
    return at.astimezone(_zone(zone)).replace(tzinfo=None)


def instant_of(local: datetime, zone: str) -> int:
    """The first instant at which the zone's clocks show `local` or later.

    So a doubled local time is the first of the two, and a skipped one the instant of the skip (rule
    T1); and the order of local times is that of their instants.
    """
    aware = local.replace(tzinfo=_zone(zone), fold=0)
    found = (aware - _EPOCH) // _MICROSECOND
    if local_of(found, zone) == local:
        return found
    # Skipped: by the offset before the skip it is too late, by that after it too early.
    before = (aware.replace(fold=1) - _EPOCH) // _MICROSECOND
    while found - before > 1:
        middle = (before + found) // 2
        if local_of(middle, zone) < local:
            before = middle
        else:
            found = middle
    return found
