"""Packages and subscriptions as messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from ledger.api.ids import GRANT, mint
from ledger.api.rendering.render_override import override_faults_of, override_of, render_override
from ledger.api.rendering.render_packaged_budget import (
    packaged_budget_of,
    packaged_operations_of,
    render_packaged_budget,
    render_packaged_operations,
)
from ledger.api.rendering.render_packaged_charge import packaged_charge_of, render_packaged_charge
from ledger.api.rendering.render_packaged_rule import packaged_rule_of, render_packaged_rule
from ledger.core.catalog import Asset
from ledger.core.events import PackageTerm, TakenBack
from ledger.core.packages.packaged import (
    Entitlement,
    EntitlementKind,
    Package,
    PackagedAllotment,
    PackagedComparator,
    PackagedExcess,
    PackagedExhausted,
    PackagedGrant,
    PackagedKind,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedSeats,
    PackagedUnit,
    PackagedUnknown,
    PackageVersion,
    Phase,
    PhasedGrant,
    validate,
    version_of,
)
from ledger.core.packages.packaged_charges import PhasedCharge
from ledger.core.packages.phases import present
from ledger.core.state import NEVER, State
from ledger.v1 import package_pb2 as pb
from ledger.v1 import recurring_pb2, seat_pb2, types_pb2
from rating.faults import CardFault

_KINDS: Final = {
    int(types_pb2.GRANT_KIND_UNSPECIFIED): PackagedKind.ALLOWANCE,
    int(types_pb2.GRANT_KIND_ALLOWANCE): PackagedKind.ALLOWANCE,
    int(types_pb2.GRANT_KIND_PROMOTIONAL): PackagedKind.PROMOTIONAL,
    int(types_pb2.GRANT_KIND_PREPAID): PackagedKind.PREPAID,
}
_KIND_NUMBERS: Final = {kind: types_pb2.GrantKind.ValueType(n) for n, kind in _KINDS.items() if n}
_UNITS: Final = {
    int(recurring_pb2.PERIOD_UNIT_UNSPECIFIED): PackagedUnit.MONTH,
    int(recurring_pb2.PERIOD_UNIT_WEEK): PackagedUnit.WEEK,
    int(recurring_pb2.PERIOD_UNIT_MONTH): PackagedUnit.MONTH,
    int(recurring_pb2.PERIOD_UNIT_QUARTER): PackagedUnit.QUARTER,
    int(recurring_pb2.PERIOD_UNIT_YEAR): PackagedUnit.YEAR,
}
_UNIT_NUMBERS: Final = {
    unit: recurring_pb2.PeriodUnit.ValueType(n) for n, unit in _UNITS.items() if n
}
_ENTITLEMENTS: Final = {
    int(pb.ENTITLEMENT_KIND_UNSPECIFIED): EntitlementKind.BOOLEAN,
    int(pb.ENTITLEMENT_KIND_BOOLEAN): EntitlementKind.BOOLEAN,
    int(pb.ENTITLEMENT_KIND_STATIC): EntitlementKind.STATIC,
    int(pb.ENTITLEMENT_KIND_METERED): EntitlementKind.METERED,
}
_ENTITLEMENT_NUMBERS: Final = {
    kind: pb.EntitlementKind.ValueType(n) for n, kind in _ENTITLEMENTS.items() if n
}

_ALLOTMENTS: Final = {
    int(seat_pb2.SEAT_ALLOTMENT_UNSPECIFIED): PackagedAllotment.POOLED,
    int(seat_pb2.SEAT_ALLOTMENT_POOLED): PackagedAllotment.POOLED,
    int(seat_pb2.SEAT_ALLOTMENT_INDIVIDUAL): PackagedAllotment.INDIVIDUAL,
}
_UNKNOWN_SEATS: Final = {
    int(seat_pb2.UNKNOWN_SEAT_UNSPECIFIED): PackagedUnknown.POOL,
    int(seat_pb2.UNKNOWN_SEAT_REJECT): PackagedUnknown.REJECT,
    int(seat_pb2.UNKNOWN_SEAT_POOL): PackagedUnknown.POOL,
    int(seat_pb2.UNKNOWN_SEAT_UNASSIGNED): PackagedUnknown.UNASSIGNED,
}
_EXHAUSTED: Final = {
    int(seat_pb2.EXHAUSTED_SEAT_UNSPECIFIED): PackagedExhausted.ACCOUNT,
    int(seat_pb2.EXHAUSTED_SEAT_ACCOUNT): PackagedExhausted.ACCOUNT,
    int(seat_pb2.EXHAUSTED_SEAT_OVERAGE): PackagedExhausted.OVERAGE,
    int(seat_pb2.EXHAUSTED_SEAT_DENY): PackagedExhausted.DENY,
}

Named = TypeVar("Named", bound=StrEnum)


def package_of(message: pb.PackageVersion) -> tuple[Package, list[CardFault]]:
    """The version of a message, and everything that is wrong with it by itself."""
    faults: list[CardFault] = []
    unsaid = override_faults_of(message.overrides)
    faults += [CardFault(each.field, each.reason, each.value, each.message) for each in unsaid]
    package = Package(
        _unit_of(message.unit, faults),
        message.every or 1,
        message.display_name,
        tuple([_grant_of(f"grants[{at}]", each, faults) for at, each in enumerate(message.grants)]),
        _policy_of(message.policy, faults),
        tuple(
            [
                _entitlement_of(f"entitlements[{at}]", each, faults)
                for at, each in enumerate(message.entitlements)
            ]
        ),
        tuple([override_of(each) for each in message.overrides]) if not unsaid else (),
        tuple([_phase_of(f"phases[{at}]", each, faults) for at, each in enumerate(message.phases)]),
        tuple([_seats_of(f"seats[{at}]", each, faults) for at, each in enumerate(message.seats)]),
        tuple(
            [
                packaged_budget_of(f"budgets[{at}]", each, faults)
                for at, each in enumerate(message.budgets)
            ]
        ),
        tuple(
            [
                packaged_charge_of(f"charges[{at}]", each, faults)
                for at, each in enumerate(message.charges)
            ]
        ),
        tuple(
            [
                packaged_rule_of(f"rules[{at}]", each, faults)
                for at, each in enumerate(message.rules)
            ]
        ),
        packaged_operations_of("operations", message.operations, faults)
        if message.HasField("operations")
        else None,
    )
    return package, [*faults, *validate(package)]


def _unit_of(number: int, faults: list[CardFault]) -> PackagedUnit:
    found = _UNITS.get(number)
    if found is None:
        faults.append(_unknown("unit", number))
    return found or PackagedUnit.MONTH


def _grant_of(path: str, grant: pb.PackageGrant, faults: list[CardFault]) -> PackagedGrant:
    kind = _KINDS.get(grant.kind)
    if kind is None:
        faults.append(_unknown(f"{path}.kind", grant.kind))
    rolls = grant.rollover
    return PackagedGrant(
        grant.name,
        grant.asset,
        grant.amount,
        kind or PackagedKind.ALLOWANCE,
        grant.price_paid,
        grant.price_asset,
        grant.priority,
        tuple(sorted(grant.products)),
        tuple(sorted(grant.tags)),
        grant.shared,
        grant.expires_after_us,
        PackagedRollover(
            rolls.numerator,
            rolls.denominator,
            rolls.cap if rolls.HasField("cap") else -1,
            rolls.lifetime_us,
            rolls.again,
        )
        if grant.HasField("rollover")
        else None,
    )


def _policy_of(
    policy: pb.PackagePolicy, faults: list[CardFault], path: str = "policy"
) -> PackagedPolicy:
    def named(field: str, kind: type[Named]) -> Named | None:
        if not policy.HasField(field):  # type: ignore[arg-type]
            return None
        given = getattr(policy, field)
        try:
            return kind(given)
        except ValueError:
            known = ", ".join(kind)
            message = f"it is one of {known}"
            faults.append(CardFault(f"{path}.{field}", "VALUE_UNKNOWN", given, message))
            return None

    return PackagedPolicy(
        policy.rate_card if policy.HasField("rate_card") else None,
        policy.overdraft_asset if policy.HasField("overdraft_asset") else None,
        policy.overdraft_limit if policy.HasField("overdraft_limit") else None,
        named("overage", PackagedOverage),
        policy.overage_cap if policy.HasField("overage_cap") else None,
        named("excess", PackagedExcess),
        named("comparator", PackagedComparator),
        policy.settlement_asset if policy.HasField("settlement_asset") else None,
    )


def _entitlement_of(
    path: str, given: pb.PackageEntitlement, faults: list[CardFault]
) -> Entitlement:
    kind = _ENTITLEMENTS.get(given.kind)
    if kind is None:
        faults.append(_unknown(f"{path}.kind", given.kind))
    return Entitlement(
        given.feature,
        kind or EntitlementKind.BOOLEAN,
        given.value,
        given.grant,
        tuple(sorted(given.products)),
    )


def _phase_of(path: str, given: pb.PackagePhase, faults: list[CardFault]) -> Phase:
    grants = []
    for at, grant in enumerate(given.grants):
        kind = _KINDS.get(grant.kind)
        if kind is None:
            faults.append(_unknown(f"{path}.grants[{at}].kind", grant.kind))
        said = kind if grant.kind else None
        grants.append(PhasedGrant(grant.name, grant.amount, grant.price_paid, said))
    return Phase(
        given.name,
        given.periods,
        given.days,
        tuple(grants),
        _policy_of(given.policy, faults, f"{path}.policy"),
        tuple(
            [
                _entitlement_of(f"{path}.entitlements.entitlements[{at}]", each, faults)
                for at, each in enumerate(given.entitlements.entitlements)
            ]
        )
        if given.HasField("entitlements")
        else None,
        tuple([PhasedCharge(each.name, each.unit_amount) for each in given.charges]),
    )


def _render_phase(phase: Phase) -> pb.PackagePhase:
    message = pb.PackagePhase(
        name=phase.name,
        periods=phase.periods,
        days=phase.days,
        grants=[
            pb.PhasedGrant(
                name=each.name,
                amount=each.amount,
                price_paid=each.price_paid,
                kind=_KIND_NUMBERS[each.kind] if each.kind is not None else None,
            )
            for each in phase.grants
        ],
        policy=_render_policy(phase.policy),
        charges=[
            pb.PhasedCharge(name=each.name, unit_amount=each.unit_amount) for each in phase.charges
        ],
    )
    if phase.entitlements is not None:
        message.entitlements.CopyFrom(
            pb.PhasedEntitlements(
                entitlements=[_render_entitlement(each) for each in phase.entitlements]
            )
        )
    return message


def _render_entitlement(each: Entitlement) -> pb.PackageEntitlement:
    return pb.PackageEntitlement(
        feature=each.feature,
        kind=_ENTITLEMENT_NUMBERS[each.kind],
        value=each.value,
        grant=each.grant,
        products=each.products,
    )


def _seats_of(path: str, given: pb.PackageSeats, faults: list[CardFault]) -> PackagedSeats:
    for field, number, known in (
        ("allotment", given.allotment, _ALLOTMENTS),
        ("unknown", given.unknown, _UNKNOWN_SEATS),
        ("exhausted", given.exhausted, _EXHAUSTED),
    ):
        if number not in known:
            faults.append(_unknown(f"{path}.{field}", number))
    return PackagedSeats(
        given.name,
        replace(_grant_of(f"{path}.allowance", given.allowance, faults), name=given.name),
        given.attribute,
        _ALLOTMENTS.get(given.allotment, PackagedAllotment.POOLED),
        given.included,
        _UNKNOWN_SEATS.get(given.unknown, PackagedUnknown.POOL),
        _EXHAUSTED.get(given.exhausted, PackagedExhausted.ACCOUNT),
        given.alert if given.HasField("alert") else -1,
    )


def _render_seats(seats: PackagedSeats, scales: Mapping[str, int]) -> pb.PackageSeats:
    return pb.PackageSeats(
        name=seats.name,
        attribute=seats.attribute,
        allotment=seat_pb2.SeatAllotment.Value(f"SEAT_ALLOTMENT_{seats.allotment.name}"),
        allowance=_render_grant(seats.allowance, scales),
        included=seats.included,
        unknown=seat_pb2.UnknownSeat.Value(f"UNKNOWN_SEAT_{seats.unknown.name}"),
        exhausted=seat_pb2.ExhaustedSeat.Value(f"EXHAUSTED_SEAT_{seats.exhausted.name}"),
        alert=seats.alert if seats.alert >= 0 else None,
    )


def _unknown(path: str, number: int) -> CardFault:
    return CardFault(path, "VALUE_UNKNOWN", str(number), "there is no such value")


def render_package(
    name: str, found: PackageVersion, scales: Mapping[str, int]
) -> pb.PackageVersion:
    """A published version; `scales` of assets by their codes."""
    package = found.package
    return pb.PackageVersion(
        name=name,
        display_name=package.display_name,
        unit=_UNIT_NUMBERS[package.unit],
        every=package.every,
        grants=[_render_grant(each, scales) for each in package.grants],
        policy=_render_policy(package.policy),
        entitlements=[_render_entitlement(each) for each in package.entitlements],
        overrides=[render_override(each) for each in package.overrides],
        phases=[_render_phase(each) for each in package.phases],
        seats=[_render_seats(each, scales) for each in package.seats],
        budgets=[render_packaged_budget(each, scales) for each in package.budgets],
        charges=[render_packaged_charge(each, scales) for each in package.charges],
        rules=[render_packaged_rule(each, scales) for each in package.rules],
        operations=render_packaged_operations(package.operations, scales),
        effective_from_us=found.effective_from_us,
        version=found.version,
        published_at_us=found.published_at_us,
    )


def _render_grant(grant: PackagedGrant, scales: Mapping[str, int]) -> pb.PackageGrant:
    rolls = grant.rollover
    return pb.PackageGrant(
        name=grant.name,
        asset=grant.asset,
        amount=grant.amount,
        kind=_KIND_NUMBERS[grant.kind],
        price_paid=grant.price_paid,
        price_asset=grant.price_asset,
        priority=grant.priority,
        products=grant.products,
        tags=grant.tags,
        shared=grant.shared,
        expires_after_us=grant.expires_after_us,
        rollover=pb.PackageRollover(
            numerator=rolls.numerator,
            denominator=rolls.denominator,
            cap=rolls.cap if rolls.cap >= 0 else None,
            lifetime_us=rolls.lifetime_us,
            again=rolls.again,
        )
        if rolls is not None
        else None,
        scale=scales.get(grant.asset, 0),
        price_scale=scales.get(grant.price_asset, 0),
    )


def _render_policy(policy: PackagedPolicy) -> pb.PackagePolicy:
    return pb.PackagePolicy(
        rate_card=policy.rate_card,
        overdraft_asset=policy.overdraft_asset,
        overdraft_limit=policy.overdraft_limit,
        overage=policy.overage,
        overage_cap=policy.overage_cap,
        excess=policy.excess,
        comparator=policy.comparator,
        settlement_asset=policy.settlement_asset,
    )


# -- subscriptions ---------------------------------------------------------------------------------


def render_term(
    term: PackageTerm, shard: int, account: int, *, recorded: bool = True
) -> pb.PackageTerm:
    """A period; grants that are not `recorded` have no ids."""
    return pb.PackageTerm(
        package=term.package,
        package_version=term.version,
        start_us=term.start,
        end_us=term.end,
        remaining_us=term.remaining,
        full_us=term.full,
        issues=[
            pb.PackageIssue(
                name=each.name,
                grant_id=mint(GRANT, shard, account, each.grant) if each.grant and recorded else "",
                amount=each.amount,
                price_paid=each.price_paid,
            )
            for each in term.issues
        ],
    )


def render_taken(
    taken: tuple[TakenBack, ...], shard: int, account: int
) -> list[pb.PackageTakenBack]:
    """What was taken back."""
    return [
        pb.PackageTakenBack(grant_id=mint(GRANT, shard, account, each.grant), amount=each.amount)
        for each in taken
    ]


class Feature(NamedTuple):
    """An entitlement as the state has it: `asset` and what is left are of a metered one."""

    entitlement: Entitlement
    asset: int
    granted: int
    available: int


class Features(NamedTuple):
    """Those of an account at one position; `period_end` 0 = it has no package."""

    package: str
    version: int
    period_end: int
    found: tuple[Feature, ...]


NO_FEATURES: Final = Features("", 0, 0, ())


def features_of(state: State, number: int, now: int) -> Features:
    """All features of an account by the version of the package that its period has."""
    account = state.accounts.get(number)
    subscription = account.subscription if account is not None else None
    if account is None or subscription is None or subscription.over:
        return NO_FEATURES
    if subscription.ends_at <= now:
        return NO_FEATURES  # the entry that says so is yet to come
    versions = state.catalog.packages.get((account.tenant, subscription.package), [])
    version = version_of(versions, subscription.version)
    assert version is not None, (subscription.package, subscription.version)
    package = present(version, subscription).package
    found: list[Feature] = []
    for each in package.entitlements:
        asset, granted, available = 0, 0, 0
        if each.kind is EntitlementKind.METERED:
            packaged = package.grant(each.grant)
            assert packaged is not None, each
            known = state.catalog.asset_of(account.tenant, packaged.asset)
            asset = known.number if known is not None else 0
            for issue in subscription.issues:
                grant = state.grants.get(issue.grant)
                if issue.name != each.grant or grant is None:
                    continue
                granted += issue.amount
                if not grant.settled and now < grant.expires_at:
                    available += grant.book.available
        found.append(Feature(each, asset, granted, available))
    return Features(
        subscription.package, subscription.version, subscription.period_end, tuple(found)
    )


def render_feature(
    feature: Feature, features: Features, asset: Asset | None, account: str
) -> pb.ResolvedEntitlement:
    """One feature, with where it comes from."""
    return pb.ResolvedEntitlement(
        feature=feature.entitlement.feature,
        kind=_ENTITLEMENT_NUMBERS[feature.entitlement.kind],
        value=feature.entitlement.value,
        available=feature.available,
        asset=asset.code if asset is not None else "",
        scale=asset.scale if asset is not None else 0,
        granted=feature.granted,
        package=features.package,
        package_version=features.version,
        account=account,
    )


def subscription_of(state: State, number: int, account_id: str) -> pb.Subscription | None:
    """The subscription of an account as a message; None where it never had one."""
    account = state.accounts.get(number)
    subscription = account.subscription if account is not None else None
    if subscription is None:
        return None
    following = subscription.scheduled
    return pb.Subscription(
        account=account_id,
        package=subscription.package,
        package_version=subscription.version,
        follow=pb.PackageFollow.ValueType(int(subscription.follow)),
        locked_until_us=subscription.locked_until,
        subscribed_at_us=subscription.subscribed_at,
        period_start_us=subscription.period_start,
        period_end_us=subscription.period_end,
        next_package=following.package if following is not None else "",
        ends_at_us=subscription.ends_at if subscription.ends_at != NEVER else 0,
        over=subscription.over,
        version=subscription.revision,
        phase=subscription.phase if not subscription.over else "",
        phase_periods_left=subscription.phase_left if not subscription.over else 0,
    )
