"""Packages over gRPC: published, subscribed to, changed, cancelled, resolved (rules P1 to P3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import account_pb2, budget_pb2, charge_pb2, journal_pb2, recurring_pb2, types_pb2
from ledger.v1 import package_pb2 as pb
from rating.v1 import override_pb2, pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, event, refusal_of, served

NOW = recurring_pb2.RECURRING_TIMING_NOW
WEEK = recurring_pb2.PERIOD_UNIT_WEEK


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(clock: SystemClock) -> AsyncIterator[Served]:
    """One account, with a price, and two packages."""
    async with served(MemoryStorage(clock.now_us, 4), clock) as made:
        await made.priced()
        await made.account("acme")
        await publish(made, "starter", 10_000)
        await publish(made, "pro", 30_000)
        yield made


def package(name: str, amount: int, **changes: Any) -> pb.PackageVersion:
    fields: dict[str, Any] = {
        "name": name,
        "unit": WEEK,
        "grants": [
            pb.PackageGrant(
                name="credits",
                asset="credit",
                amount=amount,
                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
            )
        ],
        "entitlements": [
            pb.PackageEntitlement(feature="sso"),
            pb.PackageEntitlement(
                feature="region", kind=pb.ENTITLEMENT_KIND_STATIC, value=f"of {name}"
            ),
            pb.PackageEntitlement(
                feature="tokens", kind=pb.ENTITLEMENT_KIND_METERED, grant="credits"
            ),
        ],
        **changes,
    }
    return pb.PackageVersion(**fields)


async def publish(
    caller: Served, name: str, amount: int, expected_version: int = 0, **changes: Any
) -> pb.PackageVersion:
    reply = await caller.packages.Publish(
        pb.PackageServicePublishRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            package=package(name, amount, **changes),
            expected_version=expected_version,
        )
    )
    return reply.package


def asked(caller: Served, **changes: Any) -> dict[str, Any]:
    return {"tenant": TENANT, "request_id": caller.new_id(), "account": "acme", **changes}


async def subscribe(caller: Served, **changes: Any) -> pb.PackageServiceSubscribeResponse:
    return await caller.packages.Subscribe(
        pb.PackageServiceSubscribeRequest(**asked(caller, **changes))
    )


async def change(caller: Served, **changes: Any) -> pb.PackageServiceChangeResponse:
    return await caller.packages.Change(pb.PackageServiceChangeRequest(**asked(caller, **changes)))


async def cancel(caller: Served, **changes: Any) -> pb.PackageServiceCancelResponse:
    return await caller.packages.Cancel(pb.PackageServiceCancelRequest(**asked(caller, **changes)))


async def shown(caller: Served) -> pb.Subscription:
    reply = await caller.packages.GetSubscription(
        pb.PackageServiceGetSubscriptionRequest(tenant=TENANT, account="acme")
    )
    return reply.subscription


async def features(caller: Served) -> pb.PackageServiceResolveEntitlementsResponse:
    return await caller.packages.ResolveEntitlements(
        pb.PackageServiceResolveEntitlementsRequest(tenant=TENANT, account="acme")
    )


async def available(caller: Served) -> int:
    return int((await caller.balance("acme")).available)


async def test_a_plan_is_subscribed_to_changed_and_cancelled(
    caller: Served, clock: SystemClock
) -> None:
    """Rules P1, P3, S1: with the next period, then now, then with the period."""
    begun = await subscribe(caller, package="starter")
    assert [(each.name, each.amount) for each in begun.term.issues] == [("credits", 10_000)]
    assert begun.term.end_us - begun.term.start_us == 7 * DAY_US
    assert await available(caller) == 10_000
    later = await change(caller, package="pro")
    assert not later.HasField("term")
    assert (await shown(caller)).next_package == "pro"
    clock.ahead_us += begun.term.end_us - clock.now_us()
    while (await shown(caller)).package != "pro":
        await asyncio.sleep(0)
    assert await available(caller) == 30_000
    half = begun.term.end_us + 7 * DAY_US // 2
    clock.ahead_us += half - clock.now_us()
    changed = await change(
        caller, package="starter", timing=NOW, old_grants=pb.OLD_GRANTS_FORFEIT_UNUSED
    )
    assert [each.amount for each in changed.taken_back] == [30_000]
    assert 4_900 < changed.term.issues[0].amount <= 5_000
    assert await available(caller) == changed.term.issues[0].amount
    ended = await cancel(caller)
    assert ended.ends_at_us == begun.term.end_us + 7 * DAY_US
    assert (await shown(caller)).ends_at_us == ended.ends_at_us
    clock.ahead_us += ended.ends_at_us - clock.now_us()
    while not (await shown(caller)).over:
        await asyncio.sleep(0)
    assert len((await features(caller)).entitlements) == 0


async def test_followers_get_a_version_with_their_next_period(
    caller: Served, clock: SystemClock
) -> None:
    """Rule P1; what is pinned stays."""
    await caller.account("kept")
    begun = await subscribe(caller, package="pro")
    await subscribe(caller, account="kept", package="pro", follow=pb.PACKAGE_FOLLOW_PIN)
    version = (await publish(caller, "pro", 50_000, begun.term.package_version)).version
    assert version > begun.term.package_version
    clock.ahead_us += begun.term.end_us - clock.now_us()
    while (await shown(caller)).package_version != version:
        await asyncio.sleep(0)
    assert await available(caller) == 50_000
    clock.ahead_us += DAY_US
    kept = await caller.packages.GetSubscription(
        pb.PackageServiceGetSubscriptionRequest(tenant=TENANT, account="kept")
    )
    assert kept.subscription.package_version == begun.term.package_version


async def test_a_package_carries_budgets(caller: Served, clock: SystemClock) -> None:
    """Rules P1, H4: published, listed as it was, previewed, set and changed with the package."""
    window = types_pb2.Window(
        kind=types_pb2.WINDOW_KIND_CALENDAR, unit=types_pb2.WINDOW_UNIT_YEAR, zone="Europe/Berlin"
    )
    said = budget_pb2.Budget(
        name="spend",
        measure=budget_pb2.BUDGET_MEASURE_CHARGE,
        limit=5_000,
        asset="credit",
        window=window,
        products=["chat"],
        attributes={"tier": "free"},
        thresholds=[50, 100],
        soft=True,
    )
    calls = budget_pb2.Budget(name="calls", measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=1)
    made = await publish(caller, "small", 1_000, budgets=[said, calls])
    said.scale, calls.window.kind = 6, types_pb2.WINDOW_KIND_LIFETIME
    assert list(made.budgets) == [said, calls]
    calls.limit = 3
    await publish(caller, "large", 2_000, budgets=[calls])
    bad = package("bad", 1)
    bad.budgets.add(name="x", measure=budget_pb2.BUDGET_MEASURE_COST, asset="credit", limit=-1)
    bad.budgets.add(name="y", asset="none")
    bad.budgets[1].window.kind = 99  # type: ignore[assignment]
    request = pb.PackageServicePublishRequest(
        tenant=TENANT, request_id=caller.new_id(), package=bad, validate_only=True
    )
    faults = (await caller.packages.Publish(request)).faults
    assert {(each.path, each.reason) for each in faults} >= {
        ("budgets[0].limit", "BUDGET_INVALID"),
        ("budgets[0].asset", "ASSET_KIND_INVALID"),
        ("budgets[1].measure", "VALUE_UNKNOWN"),
        ("budgets[1].window.kind", "VALUE_UNKNOWN"),
        ("budgets[1].asset", "ASSET_UNKNOWN"),
    }

    ask = {"tenant": TENANT, "account": "acme"}
    first = await caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="small"))
    assert [(each.name, each.version) for each in first.budgets_set] == [("spend", 1), ("calls", 1)]
    await subscribe(caller, package="small")
    await caller.ingest(event("one", account="acme"))

    async def standing() -> list[tuple[str, int, str]]:
        listed = await caller.budgets.List(budget_pb2.BudgetServiceListRequest(**ask))
        return [(each.budget.name, each.budget.limit, each.used) for each in listed.budgets]

    assert await standing() == [("spend", 5_000, "0"), ("calls", 1, "1")]
    preview = await caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="large"))
    assert [(each.name, each.version) for each in preview.budgets_set] == [("calls", 2)]
    assert list(preview.budgets_removed) == ["spend"]
    (each,) = (
        await caller.packages.PreviewSubscribers(
            pb.PackageServicePreviewSubscribersRequest(
                tenant=TENANT, package="small", to_package="large"
            )
        )
    ).previews
    assert (list(each.budgets_set), list(each.budgets_removed)) == (
        list(preview.budgets_set), ["spend"],
    )  # fmt: skip
    assert len(await standing()) == 2
    await change(caller, package="large", timing=NOW)
    assert await standing() == [("calls", 3, "1")]


async def test_a_package_carries_charges(caller: Served, clock: SystemClock) -> None:
    """Rules P1, P3, P4, S1: published, listed as it was, previewed, charged and changed with it."""
    await caller.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    base = charge_pb2.ChargeTerms(product="plan", asset="USD", unit_amount=70_000, cash_only=True)
    full = pb.PackageCharge(
        name="full",
        quantity=3,
        terms=charge_pb2.ChargeTerms(
            product="support",
            asset="credit",
            unit_amount=5,
            billing=charge_pb2.CHARGE_BILLING_ARREARS,
            whole_first=True,
            whole_last=True,
            whole_changes=True,
            payer=charge_pb2.CHARGE_PAYER_ACCOUNT,
            discount=charge_pb2.ChargeDiscount(numerator=1, denominator=2, periods=3),
            trial_periods=1,
            ramp=[charge_pb2.ChargeRampStep(period=2, unit_amount=6)],
        ),
    )
    setup = charge_pb2.ChargeTerms(
        product="setup", asset="USD", unit_amount=9, once=True, earned_over_us=DAY_US
    )
    charges = [pb.PackageCharge(name="base", terms=base), full]
    charges.append(pb.PackageCharge(name="setup", terms=setup))
    phase = pb.PackagePhase(
        name="trial", periods=1, charges=[pb.PhasedCharge(name="base", unit_amount=7_000)]
    )
    made = await publish(caller, "small", 1_000, charges=charges, phases=[phase])
    for each in charges:
        each.quantity = each.quantity or 1
        each.terms.billing = each.terms.billing or charge_pb2.CHARGE_BILLING_ADVANCE
        each.terms.payer = each.terms.payer or charge_pb2.CHARGE_PAYER_OVERAGE
        each.terms.scale = 6 if each.terms.asset == "credit" else 2
    assert list(made.charges) == charges
    assert list(made.phases[0].charges) == list(phase.charges)
    large = charge_pb2.ChargeTerms(product="plan", asset="USD", unit_amount=140_000, cash_only=True)
    await publish(caller, "large", 2_000, charges=[pb.PackageCharge(name="base", terms=large)])
    bad = package("bad", 1)
    bad.charges.add(name="x", terms=charge_pb2.ChargeTerms(asset="none", unit_amount=-1))
    bad.charges.add(
        name="y", terms=charge_pb2.ChargeTerms(product="p", asset="USD", every=2, anchor_us=5)
    )
    bad.charges[1].terms.ramp.add(at_us=5)
    bad.charges[1].terms.payer = 99  # type: ignore[assignment]
    request = pb.PackageServicePublishRequest(
        tenant=TENANT, request_id=caller.new_id(), package=bad, validate_only=True
    )
    faults = (await caller.packages.Publish(request)).faults
    assert {(each.path, each.reason) for each in faults} >= {
        ("charges[0].product", "CHARGE_INVALID"),
        ("charges[0].asset", "ASSET_UNKNOWN"),
        ("charges[1].every", "CHARGE_INVALID"),
        ("charges[1].anchor_us", "CHARGE_INVALID"),
        ("charges[1].ramp[0].at_us", "CHARGE_INVALID"),
        ("charges[1].payer", "VALUE_UNKNOWN"),
    }

    ask = {"tenant": TENANT, "account": "acme"}
    first = await caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="small"))
    shown = [(each.name, each.quantity, each.charged, each.asset) for each in first.charges]
    assert shown == [("base", 1, 7_000, "USD"), ("full", 3, 0, "credit"), ("setup", 1, 9, "USD")]
    await subscribe(caller, package="small")

    async def standing() -> list[tuple[str, int, int]]:
        listed = await caller.charges.ListCharges(charge_pb2.ListChargesRequest(**ask))
        return [
            (each.name, each.terms.unit_amount, each.charged)
            for each in listed.charges
            if each.state == charge_pb2.CHARGE_STATE_ACTIVE
        ]

    assert await standing() == [("base", 7_000, 7_000), ("full", 5, 0), ("setup", 9, 9)]
    preview = await caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="large"))
    shown = [(each.name, each.HasField("terms"), each.scale) for each in preview.charges]
    assert shown == [("full", False, 6), ("base", True, 2)]
    # A whole week of 70.00 ahead, twice that from now on, but for the moments between.
    assert 132_900 < preview.charges[1].charged <= 133_000
    (each,) = (
        await caller.packages.PreviewSubscribers(
            pb.PackageServicePreviewSubscribersRequest(
                tenant=TENANT, package="small", to_package="large"
            )
        )
    ).previews
    assert [fee.name for fee in each.charges] == ["full", "base"]
    assert len(await standing()) == 3
    await change(caller, package="large", timing=NOW)
    (name, amount, charged), _ = await standing()
    assert (name, amount) == ("base", 140_000)
    assert 139_900 < charged <= 140_000


async def test_all_features_of_an_account_in_one_call(caller: Served) -> None:
    """With where each comes from, and what is left of what is metered."""
    assert len((await features(caller)).entitlements) == 0
    begun = await subscribe(caller, package="pro")
    await caller.ingest(event("one", account="acme"))
    left = await available(caller)
    found = await features(caller)
    sso, region, tokens = found.entitlements
    assert (sso.feature, sso.kind) == ("sso", pb.ENTITLEMENT_KIND_BOOLEAN)
    assert (region.value, region.package) == ("of pro", "pro")
    assert region.package_version == begun.term.package_version
    assert (tokens.granted, tokens.available, tokens.asset) == (30_000, left, "credit")
    assert found.period_end_us == begun.term.end_us
    assert 0 < left < 30_000


async def test_a_preview_says_what_the_change_does_and_records_nothing(
    caller: Served, clock: SystemClock
) -> None:
    """The same figures as the change right after, but for the time between."""
    ask = {"tenant": TENANT, "account": "acme"}
    first = await caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="starter"))
    assert [each.amount for each in first.term.issues] == [10_000]
    assert (await refusal_of(shown(caller))).reason == "SUBSCRIPTION_UNKNOWN"
    begun = await subscribe(caller, package="starter")
    clock.ahead_us += 7 * DAY_US // 2
    preview = await caller.packages.Preview(
        pb.PackageServicePreviewRequest(**ask, package="pro", old_grants=pb.OLD_GRANTS_PRORATE)
    )
    made = await change(caller, package="pro", timing=NOW, old_grants=pb.OLD_GRANTS_PRORATE)
    assert preview.taken_back[0].grant_id == begun.term.issues[0].grant_id
    assert abs(preview.taken_back[0].amount - made.taken_back[0].amount) <= 1
    assert abs(preview.term.issues[0].amount - made.term.issues[0].amount) <= 1
    assert preview.term.issues[0].grant_id == ""
    refusal = await refusal_of(
        caller.packages.Preview(pb.PackageServicePreviewRequest(**ask, package="none"))
    )
    assert refusal.reason == "PACKAGE_UNKNOWN"


async def test_the_same_call_again_is_the_same_subscription(caller: Served) -> None:
    """Rule I5; GetOutcome knows it."""
    begun = await subscribe(caller, request_id="once", package="pro")
    again = await subscribe(caller, request_id="once", package="pro")
    assert again.replayed and again.term == begun.term
    refusal = await refusal_of(subscribe(caller, request_id="once", package="starter"))
    assert (refusal.reason, refusal.metadata["field"]) == ("CONFLICT", "package")
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="once")
    )
    assert (outcome.kind, outcome.resource) == (journal_pb2.MUTATION_KIND_SUBSCRIBE, "acme")


async def test_a_version_is_published_once_and_listed(caller: Served) -> None:
    """The newest version again adds nothing; a stale expectation is refused."""
    first = await publish(caller, "team", 5)
    assert (await publish(caller, "team", 5)).version == first.version
    refusal = await refusal_of(publish(caller, "team", 6))
    assert (refusal.reason, refusal.metadata["field"]) == ("VERSION_DIFFERS", "expected_version")
    await publish(caller, "team", 6, first.version)
    reply = await caller.packages.List(
        pb.PackageServiceListRequest(tenant=TENANT, name="team", page_size=1)
    )
    assert [each.grants[0].amount for each in reply.packages] == [6]
    rest = await caller.packages.List(
        pb.PackageServiceListRequest(
            tenant=TENANT, name="team", page_size=1, page_token=reply.next_page_token
        )
    )
    assert [each.grants[0].amount for each in rest.packages] == [5]
    assert rest.next_page_token == ""


async def test_every_fault_of_a_version_is_listed_with_its_place(caller: Served) -> None:
    """And the same are said where it is only checked."""
    wrong = package(
        "wrong",
        0,
        every=1_000,
        policy=pb.PackagePolicy(rate_card="none", excess="sometimes", overdraft_limit=5),
        entitlements=[
            pb.PackageEntitlement(feature="a", kind=pb.ENTITLEMENT_KIND_METERED, grant="x"),
            pb.PackageEntitlement(feature="a", value="v"),
        ],
    )
    wrong.grants[0].asset = "gold"
    ask = pb.PackageServicePublishRequest(
        tenant=TENANT, request_id="wrong", package=wrong, validate_only=True
    )
    reply = await caller.packages.Publish(ask)
    assert {(each.path, each.reason) for each in reply.faults} == {
        ("policy.excess", "VALUE_UNKNOWN"),
        ("every", "NUMBER_OUT_OF_RANGE"),
        ("grants[0].amount", "NUMBER_OUT_OF_RANGE"),
        ("grants[0].asset", "ASSET_UNKNOWN"),
        ("policy.overdraft_asset", "OVERDRAFT_INVALID"),
        ("policy.rate_card", "RATE_CARD_UNKNOWN"),
        ("entitlements[0].grant", "GRANT_UNKNOWN"),
        ("entitlements[1].value", "VALUE_INVALID"),
        ("entitlements[1].feature", "NAME_REPEATED"),
    }
    ask.validate_only = False
    refusal = await refusal_of(caller.packages.Publish(ask))
    assert refusal.reason == "PACKAGE_INVALID"
    listed = await caller.packages.List(pb.PackageServiceListRequest(tenant=TENANT, name="wrong"))
    assert len(listed.packages) == 0


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"package": "none"}, "PACKAGE_UNKNOWN", "package"),
        (
            {"package": "pro", "follow": pb.PACKAGE_FOLLOW_PIN, "package_version": 999},
            "PACKAGE_VERSION_UNKNOWN",
            "package_version",
        ),
        ({"package": "pro", "package_version": 5}, "LOCK_INVALID", "package_version"),
        ({"package": "pro", "locked_until_us": 5}, "LOCK_INVALID", "locked_until_us"),
        ({"package": ""}, "FIELD_REQUIRED", "package"),
        ({"package": "pro", "account": "nobody"}, "ACCOUNT_UNKNOWN", "account"),
    ],
)
async def test_what_cannot_be_subscribed_to(
    caller: Served, changes: dict[str, Any], reason: str, field: str
) -> None:
    """A reason and a field."""
    refusal = await refusal_of(subscribe(caller, **changes))
    assert (refusal.reason, refusal.metadata["field"]) == (reason, field)


async def test_one_package_at_a_time(caller: Served) -> None:
    """Overlapping subscriptions are refused, and what there is none of is not changed."""
    assert (await refusal_of(change(caller, package="pro"))).reason == "NOT_SUBSCRIBED"
    assert (await refusal_of(cancel(caller))).reason == "NOT_SUBSCRIBED"
    assert (await refusal_of(shown(caller))).reason == "SUBSCRIPTION_UNKNOWN"
    await subscribe(caller, package="pro")
    assert (await refusal_of(subscribe(caller, package="starter"))).reason == "SUBSCRIBED_ALREADY"
    refusal = await refusal_of(change(caller, package="starter", expected_version=9))
    assert (refusal.reason, refusal.metadata["field"]) == ("VERSION_MISMATCH", "expected_version")


async def test_a_trial_comes_first_and_says_when_it_is_over(
    caller: Served, clock: SystemClock
) -> None:
    """Rule P4: three days of a trial, a week of a ramp, then the package's own terms."""

    def granting(name: str, amount: int, **length: int) -> pb.PackagePhase:
        return pb.PackagePhase(
            name=name, grants=[pb.PhasedGrant(name="credits", amount=amount)], **length
        )

    phases = [granting("trial", 700, days=3), granting("ramp", 20_000, periods=1)]
    phases[0].entitlements.entitlements.add(feature="sso", kind=pb.ENTITLEMENT_KIND_BOOLEAN)
    published = await publish(caller, "phased", 50_000, phases=phases)
    for phase in phases:
        phase.policy.SetInParent()
    assert list(published.phases) == phases
    begun = await subscribe(caller, package="phased")
    assert begun.term.end_us - begun.term.start_us == 3 * DAY_US
    seen = []
    for days, period in ((0, ("trial", 1)), (3, ("ramp", 1)), (7, ("", 0))):
        clock.ahead_us += days * DAY_US
        while ((found := await shown(caller)).phase, found.phase_periods_left) != period:
            await asyncio.sleep(0)
        names = [each.feature for each in (await features(caller)).entitlements]
        seen.append((found.phase, found.phase_periods_left, len(names), await available(caller)))
    assert seen == [("trial", 1, 1, 700), ("ramp", 1, 3, 20_000), ("", 0, 3, 50_000)]


async def test_phases_that_do_not_do_are_listed(caller: Served) -> None:
    reply = await caller.packages.Publish(
        pb.PackageServicePublishRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            package=package(
                "wrong",
                1,
                phases=[pb.PackagePhase(name="x", policy=pb.PackagePolicy(excess="other"))],
            ),
            validate_only=True,
        )
    )
    assert [(each.path, each.reason) for each in reply.faults] == [
        ("phases[0].policy.excess", "VALUE_UNKNOWN"),
        ("phases[0].periods", "LENGTH_INVALID"),
    ]


async def digests(caller: Served) -> list[bytes]:
    return [digest(await writer.whole()) for writer in caller.ledger.writers]


async def test_a_change_is_tried_for_all_subscribers_and_nothing_is_recorded(
    caller: Served, clock: SystemClock
) -> None:
    """Rules P1, P3, R4: page by page; who keeps an override or a field of the policy is said, and
    why one would be refused."""
    for name in ("zeta", "beta", "idle", "other", "trial"):
        await caller.account(name)
    policy = pb.PackagePolicy(overage="self")
    await publish(caller, "basic", 100, policy=policy)
    await publish(caller, "tried", 5, phases=[pb.PackagePhase(name="trial", days=2)])
    for name in ("acme", "zeta", "beta"):
        await subscribe(caller, account=name, package="basic")
    await subscribe(caller, account="other", package="pro")
    await subscribe(caller, account="trial", package="tried")
    await caller.pricing.SetPriceOverrides(
        override_pb2.SetPriceOverridesRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            account="beta",
            overrides=[
                override_pb2.PriceOverride(
                    product="chat",
                    quantity="input_tokens",
                    multiplier=override_pb2.Multiplier(ratio="2"),
                )
            ],
        )
    )
    shown_policy = (
        await caller.accounts.Get(
            account_pb2.AccountServiceGetRequest(tenant=TENANT, account="zeta")
        )
    ).account
    shown_policy.policy.overage = account_pb2.OVERAGE_OFF
    await caller.accounts.UpdatePolicy(
        account_pb2.UpdatePolicyRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            account="zeta",
            policy=shown_policy.policy,
            expected_version=shown_policy.policy.version,
        )
    )
    later = await publish(
        caller,
        "basic",
        400,
        expected_version=(await shown(caller)).package_version,
        policy=policy,
        effective_from_us=clock.now_us() + 60_000_000,
    )
    before = await digests(caller)

    async def tried(package: str, **changes: Any) -> list[pb.SubscriberPreview]:
        request = pb.PackageServicePreviewSubscribersRequest(
            tenant=TENANT, package=package, page_size=2, **changes
        )
        found: list[pb.SubscriberPreview] = []
        while True:
            reply = await caller.packages.PreviewSubscribers(request)
            found += reply.previews
            request.page_token = reply.next_page_token
            if not request.page_token:
                return found

    found = await tried("basic", package_version=later.version)
    assert [
        (each.account, each.term.issues[0].amount in (299, 300), each.overrides, list(each.held))
        for each in found
    ] == [("acme", True, 0, []), ("beta", True, 1, []), ("zeta", True, 0, ["overage"])]
    assert [each.amount for each in (await tried("pro", to_package="starter"))[0].taken_back] == []
    forfeits = await tried("pro", to_package="starter", old_grants=pb.OLD_GRANTS_FORFEIT_UNUSED)
    assert [each.amount for each in forfeits[0].taken_back] == [30_000]
    (refused,) = await tried("tried", to_package="pro")
    assert (refused.phase, refused.refused.reason) == ("trial", "PACKAGE_PERIOD_DIFFERS")
    assert await tried("nobody has it") == []
    assert await digests(caller) == before
