"""Fixed charges of packages as messages, and what a change of package would do to an account's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.api.assets import Assets
from ledger.api.rendering.render_charge import BILLINGS, PAYERS, render_terms
from ledger.core.packages.package_charges import ChargeChange
from ledger.core.packages.packaged_charges import (
    PackagedBilling,
    PackagedCharge,
    PackagedDiscount,
    PackagedPayer,
    PackagedStep,
)
from ledger.v1 import charge_pb2
from ledger.v1 import package_pb2 as pb
from rating.faults import CardFault

_UNSAID = ("unit", "every", "anchor_us", "zone", "trial_until_us")


def packaged_charge_of(
    path: str, given: pb.PackageCharge, faults: list[CardFault]
) -> PackagedCharge:
    """A charge of a package as it was asked for; what no package says of one is a fault."""
    terms = given.terms
    for field, number, known in (
        ("billing", terms.billing, BILLINGS),
        ("payer", terms.payer, PAYERS),
    ):
        if number not in known:
            message = "there is no such value"
            faults.append(CardFault(f"{path}.{field}", "VALUE_UNKNOWN", str(number), message))
    for field in _UNSAID:
        if value := getattr(terms, field):
            message = "a charge of a package has its periods; leave it out"
            faults.append(CardFault(f"{path}.{field}", "CHARGE_INVALID", str(value), message))
    for at, step in enumerate(terms.ramp):
        if step.at_us:
            message = "a ramp of a package is by numbers of periods"
            where = f"{path}.ramp[{at}].at_us"
            faults.append(CardFault(where, "CHARGE_INVALID", str(step.at_us), message))
    discount = terms.discount
    arrears = terms.billing == charge_pb2.CHARGE_BILLING_ARREARS
    own = terms.payer == charge_pb2.CHARGE_PAYER_ACCOUNT
    return PackagedCharge(
        given.name,
        terms.product,
        terms.asset,
        terms.unit_amount,
        given.quantity if given.HasField("quantity") else 1,
        terms.once,
        PackagedBilling.ARREARS if arrears else PackagedBilling.ADVANCE,
        terms.whole_first,
        terms.whole_last,
        terms.whole_changes,
        terms.cash_only,
        PackagedPayer.ACCOUNT if own else PackagedPayer.OVERAGE,
        PackagedDiscount(
            discount.numerator,
            discount.denominator,
            discount.amount,
            discount.from_period,
            discount.periods,
        )
        if terms.HasField("discount")
        else None,
        terms.trial_periods,
        tuple([PackagedStep(step.period, step.unit_amount) for step in terms.ramp]),
        terms.earned_over_us,
    )


def render_packaged_charge(charge: PackagedCharge, scales: Mapping[str, int]) -> pb.PackageCharge:
    """It as it was published; `scales` of assets by their codes."""
    discount = charge.discount
    return pb.PackageCharge(
        name=charge.name,
        quantity=charge.quantity,
        terms=charge_pb2.ChargeTerms(
            product=charge.product,
            asset=charge.asset,
            unit_amount=charge.unit_amount,
            billing=charge_pb2.ChargeBilling.Value(f"CHARGE_BILLING_{charge.billing.name}"),
            once=charge.once,
            whole_first=charge.whole_first,
            whole_last=charge.whole_last,
            whole_changes=charge.whole_changes,
            cash_only=charge.cash_only,
            payer=charge_pb2.ChargePayer.Value(f"CHARGE_PAYER_{charge.payer.name}"),
            discount=charge_pb2.ChargeDiscount(
                numerator=discount.numerator,
                denominator=discount.denominator,
                amount=discount.amount,
                from_period=discount.from_period,
                periods=discount.periods,
            )
            if discount is not None
            else None,
            trial_periods=charge.trial_periods,
            ramp=[
                charge_pb2.ChargeRampStep(period=step.period, unit_amount=step.unit_amount)
                for step in charge.ramp
            ],
            earned_over_us=charge.earned_over_us,
            scale=scales.get(charge.asset, 0),
        ),
    )


def render_charge_changes(
    assets: Assets, changes: Iterable[ChargeChange]
) -> list[pb.PackageChargePreview]:
    """What would become of each charge."""
    return [
        pb.PackageChargePreview(
            name=each.name,
            terms=render_terms(assets, each.terms) if each.terms is not None else None,
            quantity=each.quantity,
            charged=each.charged,
            asset=assets.of(each.asset).code,
            scale=assets.of(each.asset).scale,
        )
        for each in changes
    ]
