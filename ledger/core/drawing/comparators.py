"""Which grant pays first: the comparators of rule D2, each a key by which grants are sorted.

An account names one in its policy, or takes its nearest ancestor's. A comparator never changes:
one that orders otherwise is a new version, a new member of `Comparator`. All end in the ordinal, so
no two grants of a family are equal. Grants that do not apply are passed over wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from ledger.core.events import Comparator, GrantKind
from ledger.core.holdings import Grant, GrantOrder
from ledger.core.limits import INT64_MAX


def drawdown(grant: Grant) -> GrantOrder:
    """Ours, version 1: prepaid before postpaid, priority (low first), soonest expiry (none last),
    lower cost per unit, narrower applicability, earlier effective. The distance of the pot comes
    before all of these: see `drawdown.in_turn`."""
    return (
        _postpaid(grant),
        grant.priority,
        grant.expires_at,
        Fraction(grant.price_paid, grant.amount),
        -len(grant.attributes),
        _breadth(grant),
        grant.effective_at,
        grant.ordinal,
    )


def metronome(grant: Grant) -> GrantOrder:
    """Metronome's prioritization of commits and credits, version 1: what was rolled over first and
    postpaid last; between them priority, cost zero before paid, fewest applicable products, fewest
    specifiers, soonest expiry, earlier start."""
    return (
        0 if grant.origin else 1,
        _postpaid(grant),
        grant.priority,
        0 if grant.price_paid == 0 else 1,
        _breadth(grant),
        len(grant.attributes),
        grant.expires_at,
        grant.effective_at,
        grant.ordinal,
    )


def orb(grant: Grant) -> GrantOrder:
    """Orb's credit blocks, version 1: soonest expiry, then lower cost basis."""
    return grant.expires_at, Fraction(grant.price_paid, grant.amount), grant.ordinal


def stripe(grant: Grant) -> GrantOrder:
    """Stripe's billing credits, version 1: priority, soonest expiry, category promotional before
    paid, earlier effective, earlier created."""
    return (
        grant.priority,
        grant.expires_at,
        0 if grant.kind == GrantKind.PROMOTIONAL else 1,
        grant.effective_at,
        grant.issued_at,
        grant.ordinal,
    )


def openmeter(grant: Grant) -> GrantOrder:
    """OpenMeter's entitlement grants, version 1: priority, soonest expiry, earlier created."""
    return grant.priority, grant.expires_at, grant.issued_at, grant.ordinal


def _postpaid(grant: Grant) -> int:
    return 1 if grant.kind == GrantKind.POSTPAID else 0


def _breadth(grant: Grant) -> int:
    """Products that it may pay for; more than any number where it pays for those of a tag, and
    more again where it pays for all."""
    if grant.tags:
        return INT64_MAX - 1
    return len(grant.products) or INT64_MAX


COMPARATORS: Final[Mapping[int, Callable[[Grant], GrantOrder]]] = {
    Comparator.DRAWDOWN_1: drawdown,
    Comparator.METRONOME_1: metronome,
    Comparator.ORB_1: orb,
    Comparator.STRIPE_1: stripe,
    Comparator.OPENMETER_1: openmeter,
}


def order_of(grant: Grant) -> GrantOrder:
    """Where its account's comparator puts a grant, worked out once."""
    order = grant.order
    if order is None:
        order = grant.order = COMPARATORS[grant.account.comparator](grant)
    return order
