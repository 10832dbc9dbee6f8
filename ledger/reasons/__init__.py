"""Every reason that anything of ours answers with: one row each, in groups of areas.

`docs/errors.md`, the statuses of the edge and the advice of the command line are made of these
rows; a test holds them against what the code answers. Read the groups in this order:

    form            the form of a row, and the ways in which a reason leaves
    requests        what a request says: its form, its identity
    serving         whether it could be done now
    authentication  who calls, and what they may
    accounts        accounts, their names, tenants
    usage           events, what waits for a price, outcomes, corrections
    decisions       denials, holds, budgets; promises: mandates, leases, quotes
    funding         grants, payments, statements
    plans           packages, seats, fixed charges, contracts
    prices          cards, conversions, simulations
    edges           what gateways answer and the client raises by themselves
    card_faults, other_faults         what one field of something that is published has wrong

Codes never change their meaning and are never used again. Must import nothing of the ledger.
"""

from __future__ import annotations

from typing import Final

from ledger.reasons import (
    accounts,
    authentication,
    card_faults,
    decisions,
    edges,
    funding,
    other_faults,
    plans,
    prices,
    promises,
    requests,
    serving,
    usage,
)
from ledger.reasons.form import Area, Row

GROUPS: Final[tuple[tuple[str, tuple[Area, ...]], ...]] = (
    ("What a request says", requests.AREAS),
    ("Whether it could be done now", serving.AREAS),
    ("Who calls", authentication.AREAS),
    ("Accounts and tenants", accounts.AREAS),
    ("Usage", usage.AREAS),
    ("Decisions", (*decisions.AREAS, *promises.AREAS)),
    ("Funding", funding.AREAS),
    ("Packages, seats, charges and contracts", plans.AREAS),
    ("Prices", prices.AREAS),
    ("Gateways and the client", edges.AREAS),
    ("Faults within what is published", (*card_faults.AREAS, *other_faults.AREAS)),
)
AREAS: Final[tuple[Area, ...]] = tuple([area for _, areas in GROUPS for area in areas])
REASONS: Final[dict[str, Row]] = {row.reason: row for area in AREAS for row in area.rows}
assert len(REASONS) == sum([len(area.rows) for area in AREAS]), "a reason stands twice"


def area_of(reason: str) -> Area:
    """The area of a reason. Raises KeyError."""
    for area in AREAS:
        if any(row.reason == reason for row in area.rows):
            return area
    raise KeyError(reason)
