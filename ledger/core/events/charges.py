"""Fixed charges: started, their periods, what they charge and earn, changed, ended (T1, S1, B4)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact, PeriodUnit, Slice
from ledger.core.events.corrections import GivenBack
from ledger.core.events.recurring import Proration, Timing


class ChargeBilling(IntEnum):
    """When a period of a recurring charge is charged."""

    ADVANCE = 1  # as it begins; earned while it runs
    ARREARS = 2  # once it has ended; earned by then


class ChargePayer(IntEnum):
    """Who is billed for what no grant pays."""

    OVERAGE = 1  # whom the account's policy names for its overage
    ACCOUNT = 2  # the account itself, whatever its policy says


class ChargeDiscount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a period costs less: the fraction numerator / denominator of it, or `amount` of a whole
    period. Of `periods` periods from number `from_period` on; 0 = of all from there on."""

    numerator: int
    denominator: int  # 0 = `amount` is off
    amount: int
    from_period: int
    periods: int


class RampStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Another unit amount, from a period's number on or from an instant on; the other is 0."""

    period: int
    instant: int
    unit_amount: int


class ChargeTerms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a charge costs, and when (rules T1, S1). Recorded whole, versioned.

    A period costs the quantity x the unit amount in force, by the time that each was so, in minor
    units of `asset`. `every` 0 = it is charged once. Numbers of periods count from 1, the period in
    which the charge starts, whatever terms it had then.
    """

    product: str
    asset: int
    unit_amount: int
    billing: ChargeBilling
    unit: PeriodUnit
    every: int
    anchor: int  # 0 = where it starts
    zone: str  # "" = the account's
    proration: Proration  # where it starts or ends within a period
    prorate_changes: bool  # of the quantity
    cash_only: bool  # no grant pays: it is billed
    payer: ChargePayer
    discount: ChargeDiscount | None = None
    trial_periods: int = 0  # so many cost nothing
    trial_until: int = 0  # nothing before this instant
    ramp: tuple[RampStep, ...] = ()
    earned_over: int = 0  # microseconds over which a single charge is earned; 0 = at once


class Deferral(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Money of one asset that a fee earns by and by (rule B4).

    `earned` so far of what was unearned: debit unearned, credit revenue. Then `deferred` of what
    the entry charges: debit revenue, credit unearned; below 0 what the entry gives back, which is
    not to be earned any more: debit unearned, credit revenue.
    """

    asset: int
    revenue_book: int
    unearned_book: int
    earned: int
    deferred: int = 0


class ChargeStarted(Fact, frozen=True, tag=126):
    """An account is to be charged from `starts_at` on. `key` is empty where its package says it,
    and so is that of what the package changes and ends: it stands before the entry of the period.
    """

    key: bytes
    account: int
    charge: int
    name: str
    terms: ChargeTerms
    quantity: int
    starts_at: int
    ends_at: int  # 0 = it goes on
    start_given: int = 0  # what the caller gave; 0 = the writer's clock
    trace: bytes = b""


class ChargePeriodBegun(Fact, frozen=True, tag=127):
    """The next period of a charge, by the writer's clock, once: [start, end), or the part of one in
    which the charge runs. It is charged for [charged_from, charged_to) of `full` (rule S1)."""

    account: int
    charge: int
    version: int  # of the terms
    number: int
    start: int
    end: int
    charged_from: int
    charged_to: int
    full: int
    quantity: int


class FeeCharged(Fact, frozen=True, tag=128):
    """A fee: what a period costs, or what a change of it costs more, or less (below 0).

    `total` is what the period costs by now, rounded once; `amount` what this entry adds to what was
    charged for it before. It is drawn like usage of `product` at `effective_at`, overage in the
    month `period`, or billed; what goes back goes to whence it came, the last first, but for what
    was given back by hand before (`kept`). It is for [start, end), in which the quantity was, or is
    from now on, `quantity`. What is unearned is earned from `earned_to` on until `earns_until`, the
    next part of it at `earns_at`. `settled` = 1: nothing more of the period is charged as it ends.
    """

    account: int
    charge: int
    product: str
    asset: int
    number: int
    start: int
    end: int
    quantity: int
    total: int
    amount: int
    used_book: int
    slices: tuple[Slice, ...]
    given_back: tuple[GivenBack, ...]
    effective_at: int
    period: int
    deferrals: tuple[Deferral, ...]
    earned_to: int
    earns_at: int
    earns_until: int
    over_limit: int = 0
    kept: int = 0
    settled: int = 0


class FeeRecognised(Fact, frozen=True, tag=129):
    """What a fee has earned by `earned_to`, by the writer's clock: at the end of each month, and of
    what it was charged for, where the last takes the rest (rule B4)."""

    account: int
    charge: int
    product: str
    deferrals: tuple[Deferral, ...]
    earned_to: int
    earns_at: int
    effective_at: int


class ChargeChanged(Fact, frozen=True, tag=130):
    """Another quantity, now or from the next period on; or other terms, from the next period on.

    Now: what of the period costs more or less stands just before, as a fee of `amount`. `weighed`
    is quantity x unit amount x microseconds of the period up to `weighed_to`, in digits.
    """

    key: bytes
    account: int
    charge: int
    timing: Timing
    version: int
    quantity: int = -1  # -1 = as it was
    terms: ChargeTerms | None = None
    expected_version: int = 0
    weighed: str = ""  # "" = the period is charged as before
    weighed_to: int = 0
    amount: int = 0
    trace: bytes = b""


class ChargeRepriced(Fact, frozen=True, tag=157):
    """A package has a charge cost otherwise from now on, within the period that runs (rules P3,
    S1): so many by these terms, of the same product, asset, periods and discount.

    `weighed` and `weighed_to` are as of a change of quantity. What of the period costs more or less
    stands just behind, as a fee of `amount`.
    """

    account: int
    charge: int
    version: int
    terms: ChargeTerms
    quantity: int
    weighed: str = ""  # "" = the period is charged as before
    weighed_to: int = 0
    amount: int = 0


class ChargeEnded(Fact, frozen=True, tag=131):
    """Nothing is charged for the time from `ends_at` on. What the period costs more or less stands
    just before, as a fee of `amount`."""

    key: bytes
    account: int
    charge: int
    timing: Timing
    ends_at: int
    amount: int = 0
    trace: bytes = b""
