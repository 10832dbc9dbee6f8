"""What is wrong with the terms of a fixed charge by themselves (rules T1, S1).

Whether the account can be charged in their asset is for whoever charges it. Pure.
"""

from __future__ import annotations

from ledger.core.events import ChargeBilling, ChargeDiscount, ChargeTerms, RampStep
from ledger.core.limits import (
    ANCHOR_MAX_US,
    EXPIRES_AFTER_MAX_US,
    ID_BYTES_MAX,
    INT64_MAX,
    PERIOD_UNITS_MAX,
    RAMP_STEPS_MAX,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.periods import refuse_anchor, refuse_zone


def invalid_alone(terms: ChargeTerms) -> Refusal | None:
    """The first field that says what no charge may, if one does."""
    return (
        _invalid_amounts(terms)
        or _invalid_period(terms)
        or _invalid_trial(terms)
        or _invalid_ramp(terms.ramp)
        or _invalid_discount(terms.discount)
        or _invalid_once(terms)
    )


def _invalid_amounts(terms: ChargeTerms) -> Refusal | None:
    if not 0 < len(terms.product.encode()) <= ID_BYTES_MAX:
        return _invalid(
            "product", terms.product, f"name what is charged for, in up to {ID_BYTES_MAX} bytes"
        )
    for field, amount in (
        ("unit_amount", terms.unit_amount),
        *[("ramp", step.unit_amount) for step in terms.ramp],
    ):
        if not 0 <= amount <= INT64_MAX:
            return Refusal(
                Reason.AMOUNT_INVALID,
                f"terms.{field}",
                str(amount),
                "a unit amount is from 0 to 2^63 - 1 minor units",
            )
    return None


def _invalid_period(terms: ChargeTerms) -> Refusal | None:
    if not 0 <= terms.every <= PERIOD_UNITS_MAX:
        return Refusal(
            Reason.PERIOD_INVALID,
            "terms.every",
            str(terms.every),
            f"a period is from 1 to {PERIOD_UNITS_MAX} weeks, months, quarters or years; 0 = it is "
            "charged once",
        )
    return refuse_anchor("terms.anchor_us", terms.anchor) or refuse_zone("terms.zone", terms.zone)


def _invalid_trial(terms: ChargeTerms) -> Refusal | None:
    if not 0 <= terms.trial_periods <= INT64_MAX:
        return _invalid(
            "trial_periods", str(terms.trial_periods), "a trial is of 0 or more periods"
        )
    if not 0 <= terms.trial_until <= ANCHOR_MAX_US:
        return _invalid(
            "trial_until_us", str(terms.trial_until), f"a trial ends by {ANCHOR_MAX_US}"
        )
    if terms.trial_periods and terms.trial_until:
        return _invalid(
            "trial_until_us",
            str(terms.trial_until),
            "a trial is of so many periods or until an instant, not both",
        )
    return None


def _invalid_ramp(ramp: tuple[RampStep, ...]) -> Refusal | None:
    if len(ramp) > RAMP_STEPS_MAX:
        return _invalid("ramp", str(len(ramp)), f"a ramp has at most {RAMP_STEPS_MAX} steps")
    before = (0, 0)
    for step in ramp:
        place = (step.period, step.instant)
        if (step.period > 0) == (step.instant > 0) or min(place) < 0:
            return _invalid(
                "ramp", str(place), "a step is from a period's number or from an instant on"
            )
        if max(place) > ANCHOR_MAX_US:
            return _invalid("ramp", str(max(place)), f"a step is by {ANCHOR_MAX_US}")
        later = step.period > before[0] if step.period else step.instant > before[1]
        if before != (0, 0) and (not later or (step.period > 0) != (before[0] > 0)):
            return _invalid(
                "ramp", str(place), "the steps stand in order, all by number or all by instant"
            )
        before = place
    return None


def _invalid_discount(discount: ChargeDiscount | None) -> Refusal | None:
    if discount is None:
        return None
    for field, value in (("from_period", discount.from_period), ("periods", discount.periods)):
        if not 0 <= value <= INT64_MAX:
            return _invalid(f"discount.{field}", str(value), "it is 0 or more")
    if discount.denominator:
        if not 0 <= discount.numerator <= discount.denominator <= INT64_MAX or discount.amount:
            return _invalid(
                "discount.fraction",
                f"{discount.numerator}/{discount.denominator}",
                "a discount is a fraction from 0 to 1, or an amount, not both",
            )
    elif not 0 <= discount.amount <= INT64_MAX or discount.numerator:
        return _invalid(
            "discount.amount", str(discount.amount), "a discount is an amount from 0 to 2^63 - 1"
        )
    return None


def _invalid_once(terms: ChargeTerms) -> Refusal | None:
    """What is charged once has no periods, and only that is earned over a stated length."""
    if not 0 <= terms.earned_over <= EXPIRES_AFTER_MAX_US:
        return _invalid(
            "earned_over_us", str(terms.earned_over), f"it is from 0 to {EXPIRES_AFTER_MAX_US} us"
        )
    if terms.every:
        if terms.earned_over:
            return _invalid(
                "earned_over_us",
                str(terms.earned_over),
                "what is charged every period is earned over it; leave it out",
            )
        return None
    if terms.billing == ChargeBilling.ARREARS:
        return _invalid("billing", terms.billing.name, "what is charged once is charged in advance")
    if terms.trial_periods or terms.trial_until or terms.ramp:
        return _invalid("ramp", "", "what is charged once has neither trial nor ramp")
    return None


def _invalid(field: str, value: str, message: str) -> Refusal:
    return Refusal(Reason.CHARGE_INVALID, f"terms.{field}", value, message)
