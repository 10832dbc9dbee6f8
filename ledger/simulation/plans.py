"""What the world sells as plans: packages in variants, as they are published and as the model has
them. Must not grant anything.
"""

from __future__ import annotations

from typing import Final

from ledger.core.packages.packaged import (
    Package,
    PackagedExcess,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedUnit,
    canonical_bytes,
)
from ledger.core.packages.packaged_charges import PackagedBilling, PackagedCharge, PackagedPayer
from ledger.simulation.prices import CREDITS, USD
from rating.card import content_hash

PLANS: Final = ("basic", "pro", "team")
DEAL: Final = "deal"
"""Published beside them where contracts are drawn: it grants little, so that what is committed is
drawn."""

VARIANTS: Final = 4
_MANY: Final = 60_000_000  # of which a second's share of a week is something


def plan(name: str, variant: int) -> Package:
    """The package to publish: weeks, but for the last, which has months."""
    amount = (_MANY, 90, 2 * _MANY, 40)[variant]
    fee = _MANY * (1 + variant % 3)
    if name == "basic":
        return Package(
            unit=PackagedUnit.WEEK,
            grants=(PackagedGrant("credits", CREDITS, amount, PackagedKind.PROMOTIONAL),),
            charges=(PackagedCharge("fee", "plan", USD, fee, cash_only=True),),
            policy=PackagedPolicy(excess=PackagedExcess.ABSORB)
            if variant % 2
            else PackagedPolicy(),
        )
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


BY_HASH: Final = {
    content_hash(canonical_bytes(plan(name, variant))): plan(name, variant)
    for name in (*PLANS, DEAL)
    for variant in range(VARIANTS)
}
"""Content hash of every package that may be published -> the package."""
