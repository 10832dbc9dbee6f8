"""Deliberate faults of seats that packages carry, and of what a period gives by grants and by seats
together (rules P3, S2).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_ROOM: Final = "ledger.core.packages.period_room"
_SEATS: Final = "ledger.core.packages.package_seats"
_TERMS: Final = "ledger.core.packages.package_terms"

FLIPS: Final = (
    Mutant(
        "grants beside the seats of another package",
        _TERMS,
        "begin",
        "room = min(room, left[asset])",
        "pass",
        "grants and seats of a period are no more than the larger package gives",
    ),
    Mutant(
        "seats beside the grants of another package",
        _SEATS,
        "set_seats",
        "min(most[asset], room(state, account, asset, named, part, units))",
        "room(state, account, asset, named, part, units)",
        "grants and seats of a period are no more than the larger package gives",
    ),
    Mutant(
        "seats of two packages beside each other",
        _SEATS,
        "set_seats",
        "min(most[asset], room(state, account, asset, named, part, units))",
        "most[asset]",
        "seats of another package have what theirs come to above what is there",
    ),
    Mutant(
        "seats of the package before forgotten in what there is",
        _ROOM,
        "room_of_term",
        "max(0, max(worth) - granted.released - seated)",
        "max(0, max(worth) - granted.released)",
        "what the seats of the period were given counts",
    ),
    Mutant(
        "seats that are added by hand are not bounded",
        _ROOM,
        "room_for",
        "return max(0, min(left, room(state, account, asset, named, part, units)))",
        "return ANYTHING",
        "seats that are added go by the same bound",
    ),
    Mutant(
        "seats begin again within their period",
        _SEATS,
        "seats_to_begin",
        "if before is None or max(before.ends_at, before.period_end) <= start:",
        "if before is None or before.ends_at <= before.period_end:",
        "a plan that ended is not started again within its period",
    ),
)
"""Faults of going to and fro between packages with seats."""
