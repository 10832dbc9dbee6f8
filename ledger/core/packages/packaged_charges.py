"""Fixed charges as a package says them: published data, faults, and the terms that they are of an
account (rules P1, S1).

Assets go by their codes; what a package says has the package's periods, and so no instants. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from ledger.core.charges.charge_faults import invalid_alone
from ledger.core.charges.charge_prices import most_of
from ledger.core.events import (
    ChargeBilling,
    ChargeDiscount,
    ChargePayer,
    ChargeTerms,
    PeriodUnit,
    Proration,
    RampStep,
)
from ledger.core.limits import INT64_MAX
from rating.faults import CardFault, check_between, check_name


class PackagedBilling(StrEnum):
    """When a period is charged."""

    ADVANCE = "advance"
    ARREARS = "arrears"


class PackagedPayer(StrEnum):
    """Who is billed for what no grant pays."""

    OVERAGE = "overage"
    ACCOUNT = "account"


BILLINGS: Final = {each: ChargeBilling[each.name] for each in PackagedBilling}
PAYERS: Final = {each: ChargePayer[each.name] for each in PackagedPayer}
PRORATIONS: Final = {  # (whole_first, whole_last)
    (False, False): Proration.BOTH,
    (False, True): Proration.FIRST,
    (True, False): Proration.LAST,
    (True, True): Proration.NONE,
}


class PackagedDiscount(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What periods cost less: a fraction of them, or an amount of a whole period; of `periods` of
    them (0 = all) from number `from_period` on."""

    numerator: int = 0
    denominator: int = 0
    amount: int = 0
    from_period: int = 0
    periods: int = 0


class PackagedStep(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Another unit amount from a period's number on."""

    period: int
    unit_amount: int


class PackagedCharge(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What whoever subscribes is charged, by its name: every period of the package, or `once`. What
    costs nothing is not charged. Numbers of periods count from the first that is."""

    name: str
    product: str
    asset: str
    unit_amount: int
    quantity: int = 1
    once: bool = False
    billing: PackagedBilling = PackagedBilling.ADVANCE
    whole_first: bool = False
    whole_last: bool = False
    whole_changes: bool = False
    cash_only: bool = False
    payer: PackagedPayer = PackagedPayer.OVERAGE
    discount: PackagedDiscount | None = None
    trial_periods: int = 0
    ramp: tuple[PackagedStep, ...] = ()
    earned_over_us: int = 0


class PhasedCharge(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a charge of the package costs in a phase, without its ramp; 0 = nothing."""

    name: str
    unit_amount: int = 0


def costs(charge: PackagedCharge) -> bool:
    """Whether it ever costs something."""
    most = max([charge.unit_amount, *[step.unit_amount for step in charge.ramp]])
    return charge.quantity > 0 and most > 0


def charge_terms(
    charge: PackagedCharge, asset: int, unit: PeriodUnit, every: int, anchor: int, had: int = 0
) -> ChargeTerms:
    """It as the terms of an account's charge, in periods from an anchor on. `asset`: the number of
    its own. Of a charge that the account `had` for so many periods before, it goes on."""
    return ChargeTerms(
        charge.product,
        asset,
        charge.unit_amount,
        BILLINGS[charge.billing],
        unit,
        0 if charge.once else every,
        0 if charge.once else anchor,
        "",
        PRORATIONS[charge.whole_first, charge.whole_last],
        not charge.whole_changes,
        charge.cash_only,
        PAYERS[charge.payer],
        _discount(charge.discount, had) if charge.discount is not None else None,
        max(0, charge.trial_periods - had) if had else charge.trial_periods,
        0,
        _ramp(charge, had),
        charge.earned_over_us,
    )


def _discount(discount: PackagedDiscount, had: int) -> ChargeDiscount | None:
    """It after so many periods of it were had; None = it is over."""
    first, periods = discount.from_period, discount.periods
    if had:
        first = max(1, first) - had
        left = periods - max(0, 1 - first)
        if periods and left <= 0:
            return None
        first, periods = max(1, first), left if periods else 0
    return ChargeDiscount(discount.numerator, discount.denominator, discount.amount, first, periods)


def _ramp(charge: PackagedCharge, had: int) -> tuple[RampStep, ...]:
    """Its steps, of which the last that is over already counts from the first period on."""
    steps = [RampStep(step.period - had, 0, step.unit_amount) for step in charge.ramp]
    passed = [step for step in steps if step.period <= 1]
    begins = (RampStep(1, 0, passed[-1].unit_amount),) if passed else ()
    return (*begins, *[step for step in steps if step.period > 1])


def charge_faults(path: str, charge: PackagedCharge) -> Iterator[CardFault]:
    """What is wrong with it by itself, each with its place."""
    yield from check_name(f"{path}.name", charge.name)
    yield from check_name(f"{path}.asset", charge.asset)
    yield from check_between(f"{path}.quantity", charge.quantity, 0, INT64_MAX)
    periods = [step.period for step in charge.ramp]
    if any(period < 1 for period in periods) or periods != sorted(set(periods)):
        message = "the steps of a ramp are by numbers of periods from 1 on, in order"
        yield CardFault(f"{path}.ramp", "CHARGE_INVALID", str(periods), message)
        return
    refusal = invalid_alone(charge_terms(charge, 1, PeriodUnit.MONTH, 1, 0))
    if refusal is not None:
        field = refusal.field.removeprefix("terms.")
        yield CardFault(f"{path}.{field}", refusal.reason.name, refusal.value, refusal.message)
    elif charge.quantity * most_of(charge_terms(charge, 1, PeriodUnit.MONTH, 1, 0)) > INT64_MAX:
        message = "quantity x unit amount of a period is at most 2^63 - 1 minor units"
        yield CardFault(f"{path}.quantity", "OVERFLOW", str(charge.quantity), message)
