"""Packages as published data: what a version says, every fault of it with its place, its bytes.

A package is named after what is sold, as `pro`, and its versions follow each other: what whoever
subscribes is granted every period, under which policy, and what its features are (rules P1 to P4).
Terms are relative: periods run from where a subscription begins. Assets go by their codes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from ledger.core.events import Comparator, Excess, GrantKind, Overage, PeriodUnit
from ledger.core.limits import (
    EXPIRES_AFTER_MAX_US,
    INT64_MAX,
    PERIOD_UNITS_MAX,
    POLICY_RULES_MAX,
    PRODUCTS_A_GRANT_MAX,
    SEAT_PLANS_AN_ACCOUNT_MAX,
    SEATS_POOLED_MAX,
    TAGS_A_GRANT_MAX,
)
from ledger.core.packages.packaged_budgets import PackagedBudget, budget_faults
from ledger.core.packages.packaged_charges import PackagedCharge, PhasedCharge, charge_faults
from ledger.core.packages.packaged_operations import PackagedOperations, operations_faults
from ledger.core.packages.packaged_rules import PackagedRule, rule_faults
from rating.faults import CardFault, check_between, check_count, check_name
from rating.override_faults import faults_alone
from rating.overrides import Override

GRANTS_A_PACKAGE_MAX: Final = 32
BUDGETS_A_PACKAGE_MAX: Final = 32
CHARGES_A_PACKAGE_MAX: Final = 32
PHASES_MAX: Final = 8
PHASE_DAYS_MAX: Final = 366
OVERRIDES_A_PACKAGE_MAX: Final = 64
PRODUCTS_SOLD_MAX: Final = 256  # by all entitlements of a version
ENTITLEMENTS_MAX: Final = 256  # of a version; x ~100 B = 26 kB in an answer
FEATURE_BYTES_MAX: Final = 128
VALUE_BYTES_MAX: Final = 1_024


class PackagedKind(StrEnum):
    """Where the units of a package's grant come from (rule B5)."""

    ALLOWANCE = "allowance"  # comes with the fee, of which its price is a share
    PROMOTIONAL = "promotional"  # free
    PREPAID = "prepaid"  # paid ahead, every period


class PackagedUnit(StrEnum):
    """What the periods of a package are counted in (rule T1)."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class PackagedOverage(StrEnum):
    """Who is billed for what no pot paid (rule D4)."""

    OFF = "off"
    SELF = "self"
    PARENT = "parent"


class PackagedExcess(StrEnum):
    """Where recorded usage lands that every limit refuses (rule D4)."""

    OWE = "owe"
    BILL = "bill"
    ABSORB = "absorb"


class PackagedComparator(StrEnum):
    """What orders the account's grants (rule D2)."""

    DRAWDOWN_1 = "drawdown-1"
    METRONOME_1 = "metronome-1"
    ORB_1 = "orb-1"
    STRIPE_1 = "stripe-1"
    OPENMETER_1 = "openmeter-1"


KINDS: Final = {
    PackagedKind.ALLOWANCE: GrantKind.ALLOWANCE,
    PackagedKind.PROMOTIONAL: GrantKind.PROMOTIONAL,
    PackagedKind.PREPAID: GrantKind.PREPAID,
}
UNITS: Final = {
    PackagedUnit.WEEK: PeriodUnit.WEEK,
    PackagedUnit.MONTH: PeriodUnit.MONTH,
    PackagedUnit.QUARTER: PeriodUnit.QUARTER,
    PackagedUnit.YEAR: PeriodUnit.YEAR,
}
OVERAGES: Final = {
    PackagedOverage.OFF: Overage.OFF,
    PackagedOverage.SELF: Overage.SELF,
    PackagedOverage.PARENT: Overage.PARENT,
}
EXCESSES: Final = {
    PackagedExcess.OWE: Excess.OWE,
    PackagedExcess.BILL: Excess.BILL,
    PackagedExcess.ABSORB: Excess.ABSORB,
}
COMPARATORS: Final = {
    PackagedComparator.DRAWDOWN_1: Comparator.DRAWDOWN_1,
    PackagedComparator.METRONOME_1: Comparator.METRONOME_1,
    PackagedComparator.ORB_1: Comparator.ORB_1,
    PackagedComparator.STRIPE_1: Comparator.STRIPE_1,
    PackagedComparator.OPENMETER_1: Comparator.OPENMETER_1,
}


class PackagedRollover(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What becomes of the unheld rest of a period's grant (rule T3); `cap` -1 = none."""

    numerator: int
    denominator: int
    cap: int = -1
    lifetime_us: int = 0
    again: bool = False


class PackagedGrant(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is granted for a whole period, in minor units; `price_paid` in those of `price_asset`.

    It expires `expires_after_us` after its period.
    """

    name: str
    asset: str
    amount: int
    kind: PackagedKind = PackagedKind.ALLOWANCE
    price_paid: int = 0
    price_asset: str = ""
    priority: int = 0
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    shared: bool = False
    expires_after_us: int = 0
    rollover: PackagedRollover | None = None


class PackagedPolicy(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Fields of the account's policy that the package sets; absent ones stay as they are."""

    rate_card: str | None = None
    overdraft_asset: str | None = None
    overdraft_limit: int | None = None
    overage: PackagedOverage | None = None
    overage_cap: int | None = None
    excess: PackagedExcess | None = None
    comparator: PackagedComparator | None = None
    settlement_asset: str | None = None


class EntitlementKind(StrEnum):
    """What an entitlement says of its feature."""

    BOOLEAN = "boolean"  # the account has it
    STATIC = "static"  # it has it with a value, as a region or a number of requests
    METERED = "metered"  # it has as much of it as a grant of the package has left


class Entitlement(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A feature of whoever subscribes. `value` of a static one; `grant` of a metered one: the name
    of a grant of the package. `products` are sold with it that not everybody may buy (rule P2)."""

    feature: str
    kind: EntitlementKind = EntitlementKind.BOOLEAN
    value: str = ""
    grant: str = ""
    products: tuple[str, ...] = ()


class PhasedGrant(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a grant of the package is in a phase, of a whole period; amount 0 = it gives nothing.
    `kind` None = as in the package."""

    name: str
    amount: int = 0
    price_paid: int = 0
    kind: PackagedKind | None = None


class Phase(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a subscription before the package's own terms count, as a trial or a ramp (rule
    P4): so many periods, or one period of so many days. What it leaves out is as in the package;
    of the policy it sets single fields, and its entitlements stand in the place of the package's.
    Within one of days nothing is charged that has periods.
    """

    name: str
    periods: int = 0
    days: int = 0
    grants: tuple[PhasedGrant, ...] = ()
    policy: PackagedPolicy = PackagedPolicy()
    entitlements: tuple[Entitlement, ...] | None = None
    charges: tuple[PhasedCharge, ...] = ()


class PackagedAllotment(StrEnum):
    """How seats of a package are given their allowance."""

    POOLED = "pooled"  # one grant of all
    INDIVIDUAL = "individual"  # one a seat, that it alone draws


class PackagedUnknown(StrEnum):
    """What becomes of usage of a seat that is not there (rule S3)."""

    REJECT = "reject"
    POOL = "pool"
    UNASSIGNED = "unassigned"


class PackagedExhausted(StrEnum):
    """Who pays what a seat's own allowance does not (rule S3)."""

    ACCOUNT = "account"
    OVERAGE = "overage"
    DENY = "deny"


class PackagedSeats(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A plan of seats that whoever subscribes has, with `included` seats that nobody has to begin
    with (rule S2). Each brings the allowance every period of the package."""

    name: str
    allowance: PackagedGrant
    attribute: str = ""
    allotment: PackagedAllotment = PackagedAllotment.POOLED
    included: int = 0
    unknown: PackagedUnknown = PackagedUnknown.POOL
    exhausted: PackagedExhausted = PackagedExhausted.ACCOUNT
    alert: int = -1


class Package(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A version of a package. A period is so many weeks, months, quarters or years. `overrides` of
    prices count for as long as a period has this version (rule R4). `phases` follow each other
    from where the subscription begins, then its own terms count (rule P4)."""

    unit: PackagedUnit = PackagedUnit.MONTH
    every: int = 1
    display_name: str = ""
    grants: tuple[PackagedGrant, ...] = ()
    policy: PackagedPolicy = PackagedPolicy()
    entitlements: tuple[Entitlement, ...] = ()
    overrides: tuple[Override, ...] = ()
    phases: tuple[Phase, ...] = ()
    seats: tuple[PackagedSeats, ...] = ()
    budgets: tuple[PackagedBudget, ...] = ()
    charges: tuple[PackagedCharge, ...] = ()
    rules: tuple[PackagedRule, ...] = ()
    operations: PackagedOperations | None = None

    def sold(self) -> tuple[str, ...]:
        """The products that its entitlements sell."""
        return tuple(sorted({name for each in self.entitlements for name in each.products}))

    def grant(self, name: str) -> PackagedGrant | None:
        """Its grant of that name."""
        for each in self.grants:
            if each.name == name:
                return each
        return None


class PackageVersion(msgspec.Struct, frozen=True):
    """A published version of a package; `effective_from_us` as it was asked for."""

    version: int
    published_at_us: int
    effective_from_us: int
    package: Package


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")
_decoder: Final = msgspec.msgpack.Decoder(Package)


def canonical_bytes(package: Package) -> bytes:
    """The bytes of a version: equal versions have equal bytes."""
    return _encoder.encode(package)


def decode_package(data: bytes) -> Package:
    """The version that `canonical_bytes` made bytes of."""
    return _decoder.decode(data)


def version_of(versions: Sequence[PackageVersion], number: int) -> PackageVersion | None:
    """The version of that number."""
    for each in versions:
        if each.version == number:
            return each
    return None


def newest_at(versions: Sequence[PackageVersion], at_us: int) -> PackageVersion | None:
    """The newest version that is in force at an instant; None where none is yet."""
    found: PackageVersion | None = None
    for each in versions:
        in_force = each.effective_from_us <= at_us
        if in_force and (found is None or each.version > found.version):
            found = each
    return found


def validate(package: Package) -> list[CardFault]:
    """Everything that is wrong with a version by itself, each with its place. Whether its assets
    and its card are there is for whoever publishes it."""
    found = list(check_between("every", package.every, 1, PERIOD_UNITS_MAX))
    found.extend(check_name("display_name", package.display_name, empty=True))
    found.extend(check_count("grants", len(package.grants), GRANTS_A_PACKAGE_MAX))
    for place, grant in enumerate(package.grants):
        found.extend(_of_grant(f"grants[{place}]", grant))
    found.extend(_repeated("grants", "name", [each.name for each in package.grants]))
    found.extend(_of_policy(package.policy))
    found.extend(check_count("entitlements", len(package.entitlements), ENTITLEMENTS_MAX))
    for place, each in enumerate(package.entitlements):
        found.extend(_of_entitlement(f"entitlements[{place}]", each, package))
    features = [each.feature for each in package.entitlements]
    found.extend(_repeated("entitlements", "feature", features))
    found.extend(check_count("entitlements.products", len(package.sold()), PRODUCTS_SOLD_MAX))
    found.extend(check_count("overrides", len(package.overrides), OVERRIDES_A_PACKAGE_MAX))
    found.extend(faults_alone(package.overrides))
    for place, override in enumerate(package.overrides):
        for field in ("effective_from_us", "effective_until_us"):
            instant = getattr(override, field)
            if instant:
                message = (
                    "an override of a package counts in periods of this version; publish another"
                )
                path = f"overrides[{place}].{field}"
                found.append(CardFault(path, "TIME_INVALID", str(instant), message))
    found.extend(check_count("phases", len(package.phases), PHASES_MAX))
    for place, phase in enumerate(package.phases):
        found.extend(_of_phase(f"phases[{place}]", phase, package))
    found.extend(_repeated("phases", "name", [each.name for each in package.phases]))
    found.extend(check_count("seats", len(package.seats), SEAT_PLANS_AN_ACCOUNT_MAX))
    for place, seats in enumerate(package.seats):
        found.extend(_of_seats(f"seats[{place}]", seats))
    found.extend(_repeated("seats", "name", [each.name for each in package.seats]))
    found.extend(check_count("budgets", len(package.budgets), BUDGETS_A_PACKAGE_MAX))
    for place, budget in enumerate(package.budgets):
        found.extend(budget_faults(f"budgets[{place}]", budget))
    found.extend(_repeated("budgets", "name", [each.name for each in package.budgets]))
    found.extend(check_count("charges", len(package.charges), CHARGES_A_PACKAGE_MAX))
    for place, charge in enumerate(package.charges):
        found.extend(charge_faults(f"charges[{place}]", charge))
    found.extend(_repeated("charges", "name", [each.name for each in package.charges]))
    found.extend(check_count("rules", len(package.rules), POLICY_RULES_MAX))
    for place, rule in enumerate(package.rules):
        found.extend(rule_faults(f"rules[{place}]", rule))
    if package.operations is not None:
        found.extend(operations_faults("operations", package.operations))
    return found


def _of_phase(path: str, phase: Phase, package: Package) -> Iterator[CardFault]:
    yield from check_name(f"{path}.name", phase.name)
    yield from check_between(f"{path}.periods", phase.periods, 0, PERIOD_UNITS_MAX)
    yield from check_between(f"{path}.days", phase.days, 0, PHASE_DAYS_MAX)
    if bool(phase.periods) == bool(phase.days):
        message = "a phase lasts so many periods or so many days: say one of the two"
        yield CardFault(f"{path}.periods", "LENGTH_INVALID", str(phase.periods), message)
    yield from check_count(f"{path}.grants", len(phase.grants), GRANTS_A_PACKAGE_MAX)
    for place, each in enumerate(phase.grants):
        where, grant = f"{path}.grants[{place}]", package.grant(each.name)
        if grant is None:
            message = "a phase changes grants of its package; name one of them"
            yield CardFault(f"{where}.name", "GRANT_UNKNOWN", each.name, message)
            continue
        yield from check_between(f"{where}.amount", each.amount, 0, INT64_MAX)
        yield from check_between(f"{where}.price_paid", each.price_paid, 0, INT64_MAX)
        free = each.amount == 0 or (each.kind or grant.kind) is PackagedKind.PROMOTIONAL
        if each.price_paid and (free or not grant.price_asset):
            message = "what is free, or has no asset for a price, has none"
            yield CardFault(f"{where}.price_paid", "PRICE_INVALID", str(each.price_paid), message)
    yield from _repeated(f"{path}.grants", "name", [each.name for each in phase.grants])
    for fault in _of_policy(phase.policy):
        yield CardFault(f"{path}.{fault.path}", fault.reason, fault.value, fault.message)
    entitlements = phase.entitlements or ()
    yield from check_count(f"{path}.entitlements", len(entitlements), ENTITLEMENTS_MAX)
    for place, entitlement in enumerate(entitlements):
        yield from _of_entitlement(f"{path}.entitlements[{place}]", entitlement, package)
    features = [each.feature for each in entitlements]
    yield from _repeated(f"{path}.entitlements", "feature", features)
    yield from check_count(f"{path}.charges", len(phase.charges), CHARGES_A_PACKAGE_MAX)
    said = {charge.name: charge for charge in package.charges}
    for place, changed in enumerate(phase.charges):
        where, charge = f"{path}.charges[{place}]", said.get(changed.name)
        if charge is None:
            message = "a phase changes charges of its package; name one of them"
            yield CardFault(f"{where}.name", "CHARGE_UNKNOWN", changed.name, message)
            continue
        amount = changed.unit_amount
        if phase.days and amount and not charge.once:
            message = "a phase of days charges nothing that has periods; say how many periods it is"
            yield CardFault(f"{where}.unit_amount", "LENGTH_INVALID", str(amount), message)
        else:
            yield from charge_faults(where, replace(charge, unit_amount=amount, ramp=()))
    yield from _repeated(f"{path}.charges", "name", [each.name for each in phase.charges])


def _of_grant(path: str, grant: PackagedGrant) -> Iterator[CardFault]:
    yield from check_name(f"{path}.name", grant.name)
    yield from check_name(f"{path}.asset", grant.asset)
    yield from check_between(f"{path}.amount", grant.amount, 1, INT64_MAX)
    yield from check_between(f"{path}.price_paid", grant.price_paid, 0, INT64_MAX)
    yield from check_between(f"{path}.priority", grant.priority, -(2**31), 2**31 - 1)
    yield from check_between(
        f"{path}.expires_after_us", grant.expires_after_us, 0, EXPIRES_AFTER_MAX_US
    )
    yield from check_count(f"{path}.products", len(grant.products), PRODUCTS_A_GRANT_MAX)
    yield from check_count(f"{path}.tags", len(grant.tags), TAGS_A_GRANT_MAX)
    for field, names in (("products", grant.products), ("tags", grant.tags)):
        for at, name in enumerate(names):
            yield from check_name(f"{path}.{field}[{at}]", name)
    if grant.kind is PackagedKind.PROMOTIONAL and grant.price_paid:
        message = "a promotional grant is free"
        yield CardFault(f"{path}.price_paid", "PRICE_INVALID", str(grant.price_paid), message)
    if bool(grant.price_paid) != bool(grant.price_asset):
        message = "a price has an asset, and no price has none"
        yield CardFault(f"{path}.price_asset", "PRICE_INVALID", grant.price_asset, message)
    if grant.rollover is not None:
        yield from _of_rollover(f"{path}.rollover", grant.rollover)


def _of_seats(path: str, seats: PackagedSeats) -> Iterator[CardFault]:
    yield from check_name(f"{path}.name", seats.name)
    yield from check_name(f"{path}.attribute", seats.attribute, empty=True)
    yield from check_between(f"{path}.included", seats.included, 0, SEATS_POOLED_MAX)
    yield from check_between(f"{path}.alert", seats.alert, -1, INT64_MAX)
    yield from _of_grant(f"{path}.allowance", seats.allowance)
    own = seats.allotment is PackagedAllotment.INDIVIDUAL
    for fails, field, value, message in (
        (own and not seats.attribute, "attribute", "", "name the attribute that names the seat"),
        (own and seats.allowance.shared, "allowance.shared", "true", "only its seat draws it"),
        (
            seats.allowance.rollover is not None,
            "allowance.rollover",
            "set",
            "what seats are given ends with the period and its expires_after_us",
        ),
        (seats.alert >= 0 and not own, "alert", str(seats.alert), "a pool has no alert"),
    ):
        if fails:
            yield CardFault(f"{path}.{field}", "SEATS_INVALID", value, message)


def _of_rollover(path: str, rollover: PackagedRollover) -> Iterator[CardFault]:
    yield from check_between(f"{path}.denominator", rollover.denominator, 1, INT64_MAX)
    yield from check_between(
        f"{path}.numerator", rollover.numerator, 0, max(0, rollover.denominator)
    )
    yield from check_between(f"{path}.cap", rollover.cap, -1, INT64_MAX)
    yield from check_between(f"{path}.lifetime_us", rollover.lifetime_us, 0, EXPIRES_AFTER_MAX_US)


def _of_policy(policy: PackagedPolicy) -> Iterator[CardFault]:
    for field, name in (
        ("rate_card", policy.rate_card),
        ("overdraft_asset", policy.overdraft_asset),
        ("settlement_asset", policy.settlement_asset),
    ):
        if name is not None:
            yield from check_name(f"policy.{field}", name)
    if policy.overdraft_limit is not None:
        yield from check_between("policy.overdraft_limit", policy.overdraft_limit, 0, INT64_MAX)
    if policy.overage_cap is not None:
        yield from check_between("policy.overage_cap", policy.overage_cap, -1, INT64_MAX)
    if (policy.overdraft_limit is None) != (policy.overdraft_asset is None):
        message = "an overdraft has an asset and a limit: both or none"
        yield CardFault(
            "policy.overdraft_asset", "OVERDRAFT_INVALID", policy.overdraft_asset or "", message
        )


def _of_entitlement(path: str, given: Entitlement, package: Package) -> Iterator[CardFault]:
    yield from check_name(f"{path}.feature", given.feature, FEATURE_BYTES_MAX)
    for at, name in enumerate(given.products):
        yield from check_name(f"{path}.products[{at}]", name)
    static, metered = given.kind is EntitlementKind.STATIC, given.kind is EntitlementKind.METERED
    yield from check_name(f"{path}.value", given.value, VALUE_BYTES_MAX, empty=not static)
    if given.value and not static:
        message = "only a static entitlement has a value"
        yield CardFault(f"{path}.value", "VALUE_INVALID", given.value, message)
    if metered and package.grant(given.grant) is None:
        message = "a metered entitlement names a grant of the package"
        yield CardFault(f"{path}.grant", "GRANT_UNKNOWN", given.grant, message)
    if given.grant and not metered:
        message = "only a metered entitlement is of a grant"
        yield CardFault(f"{path}.grant", "GRANT_INVALID", given.grant, message)


def _repeated(path: str, what: str, names: Sequence[str]) -> Iterator[CardFault]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            message = f"the {what} stands twice in the package"
            yield CardFault(f"{path}[{place}].{what}", "NAME_REPEATED", name, message)
        seen.add(name)
