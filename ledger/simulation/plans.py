"""What the world sells as plans: packages in variants, as they are published and as the model has
them. Must not grant anything.
"""

from __future__ import annotations

from typing import Final

from ledger.core.packages.packaged import (
    Package,
    PackagedAllotment,
    PackagedExcess,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedSeats,
    PackagedUnit,
    PackagedUnknown,
    canonical_bytes,
)
from ledger.core.packages.packaged_charges import PackagedBilling, PackagedCharge, PackagedPayer
from ledger.simulation.prices import CREDITS, USD
from rating.card import content_hash

PLANS: Final = ("basic", "pro", "team")
DEAL: Final = "deal"
"""Published beside them where contracts are drawn: it grants little, so that what is committed is
drawn."""

FLIPPED: Final = ("basic", "crew", "hall", "both", "squad")
"""Published in place of PLANS where seats of packages are drawn: one grants, two have seats alone,
of their own and pooled, and two do both."""
TEAMS: Final = {
    "crew": ("agents",),
    "hall": ("desks",),
    "both": ("desks", "rooms"),
    "squad": ("agents",),
}
"""Their plans of seats."""

VARIANTS: Final = 4
_MANY: Final = 60_000_000  # of which a second's share of a week is something


def plan(name: str, variant: int) -> Package:
    """The package to publish: weeks, but for the last, which has months."""
    amount = (_MANY, 90, 2 * _MANY, 40)[variant]
    fee = _MANY * (1 + variant % 3)
    if name == "basic":  # of FLIPPED, too
        return Package(
            unit=PackagedUnit.WEEK,
            grants=(PackagedGrant("credits", CREDITS, amount, PackagedKind.PROMOTIONAL),),
            charges=(PackagedCharge("fee", "plan", USD, fee, cash_only=True),),
            policy=PackagedPolicy(excess=PackagedExcess.ABSORB)
            if variant % 2
            else PackagedPolicy(),
        )
    if name in FLIPPED:
        return _with_seats(name, variant)
    if name == DEAL:
        return Package(
            unit=PackagedUnit.WEEK,
            grants=(PackagedGrant("credits", CREDITS, 40 + variant, PackagedKind.PROMOTIONAL),),
            charges=(PackagedCharge("fee", "plan", USD, fee, quantity=1 + variant),)
            if variant % 2
            else (),
            policy=PackagedPolicy(overage=PackagedOverage.SELF),
        )
    if name == "pro":
        return Package(
            unit=PackagedUnit.WEEK,
            grants=(
                PackagedGrant("credits", CREDITS, 2 * amount + 7, price_paid=999_000,
                              price_asset=USD, priority=1),
                PackagedGrant("bonus", CREDITS, 30 + variant, PackagedKind.PROMOTIONAL,
                              products=("chat",), shared=variant % 2 == 1),
                PackagedGrant("paid", USD, 50_000, PackagedKind.PREPAID, price_paid=70,
                              price_asset=USD, rollover=PackagedRollover(1, 2, cap=900)),
            ),
            charges=(
                PackagedCharge("fee", "plan", USD, 2 * fee, quantity=2,
                               whole_changes=variant == 3, whole_last=variant == 2),
                PackagedCharge("support", "half", CREDITS, 3_000_000,
                               billing=PackagedBilling.ARREARS, payer=PackagedPayer.ACCOUNT),
                PackagedCharge("setup", "plan", USD, 4_900, once=True),
            ),
            policy=PackagedPolicy(
                overage=PackagedOverage.SELF, overage_cap=-1 if variant % 2 else 70_000
            ),
        )  # fmt: skip
    return Package(
        unit=PackagedUnit.MONTH,
        grants=(PackagedGrant("credits", CREDITS, 3 * amount, PackagedKind.PROMOTIONAL),),
        charges=(PackagedCharge("fee", "plan", USD, fee, whole_first=True),),
        policy=PackagedPolicy(excess=PackagedExcess.BILL),
    )


def _with_seats(name: str, variant: int) -> Package:
    own, pooled = PackagedAllotment.INDIVIDUAL, PackagedAllotment.POOLED
    each = (_MANY // 3, 2 * _MANY, 31, _MANY)[variant]
    if name == "crew":
        return Package(
            unit=PackagedUnit.WEEK,
            seats=(_seats("agents", each, own, 2, alert=5, price_paid=999 * (variant % 2)),),
        )
    if name == "hall":
        seats = _seats("desks", each + 1, pooled, 3, unknown=PackagedUnknown.REJECT)
        return Package(unit=PackagedUnit.WEEK, seats=(seats,))
    if name == "both":
        return Package(
            unit=PackagedUnit.WEEK,
            grants=(PackagedGrant("credits", CREDITS, each, PackagedKind.PROMOTIONAL),),
            seats=(
                _seats("desks", _MANY, pooled, 1 + variant % 2, price_paid=77_000),
                _seats("rooms", 2 * _MANY, pooled, 1),
            ),
        )
    return Package(
        unit=PackagedUnit.WEEK,
        grants=(PackagedGrant("part", CREDITS, 2 * each + 7, PackagedKind.PROMOTIONAL),),
        seats=(_seats("agents", _MANY + variant, own, variant % 3),),
    )


def _seats(
    name: str,
    amount: int,
    allotment: PackagedAllotment,
    included: int,
    *,
    unknown: PackagedUnknown = PackagedUnknown.POOL,
    alert: int = -1,
    price_paid: int = 0,
) -> PackagedSeats:
    kind = PackagedKind.PREPAID if price_paid else PackagedKind.PROMOTIONAL
    price_asset = USD if price_paid else ""
    given = PackagedGrant(name, CREDITS, amount, kind, price_paid, price_asset)
    return PackagedSeats(name, given, "agent", allotment, included, unknown, alert=alert)


BY_HASH: Final = {
    content_hash(canonical_bytes(plan(name, variant))): plan(name, variant)
    for name in (*PLANS, DEAL, *FLIPPED[1:])
    for variant in range(VARIANTS)
}
"""Content hash of every package that may be published -> the package."""
