"""Contracts over gRPC: signed, amended, renewed, ended; from a package with every balance (P5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ledger.core.limits import DAY_US
from ledger.journal.storage import MemoryStorage
from ledger.v1 import (
    commitment_pb2,
    decision_pb2,
    journal_pb2,
    package_pb2,
    recurring_pb2,
    types_pb2,
)
from ledger.v1 import contract_pb2 as pb
from rating.v1 import card_pb2, override_pb2, pricing_pb2
from tests.api.served import TENANT, Served, SystemClock, card, event, refusal_of, served, work

YEAR = 365 * DAY_US


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
async def caller(clock: SystemClock) -> AsyncIterator[Served]:
    """One account with a price, money, and two packages."""
    async with served(MemoryStorage(clock.now_us, 4), clock) as made:
        await made.priced()
        await made.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
        await made.account("acme")
        for name, amount in (("starter", 10_000), ("enterprise", 500_000)):
            await made.packages.Publish(
                package_pb2.PackageServicePublishRequest(
                    tenant=TENANT,
                    request_id=made.new_id(),
                    package=package_pb2.PackageVersion(
                        name=name,
                        unit=recurring_pb2.PERIOD_UNIT_MONTH,
                        grants=[
                            package_pb2.PackageGrant(
                                name="credits",
                                asset="credit",
                                amount=amount,
                                kind=types_pb2.GRANT_KIND_PROMOTIONAL,
                            )
                        ],
                        entitlements=[package_pb2.PackageEntitlement(feature=f"of {name}")],
                    ),
                )
            )
        yield made


def price(ratio: str) -> override_pb2.PriceOverride:
    return override_pb2.PriceOverride(
        product="*", quantity="*", multiplier=override_pb2.Multiplier(ratio=ratio)
    )


def committed(amount: int, ends_at_us: int) -> pb.ContractCommitment:
    return pb.ContractCommitment(
        terms=commitment_pb2.CommitmentTerms(
            kind=types_pb2.GRANT_KIND_POSTPAID, asset="credit", price_asset="USD"
        ),
        segments=[
            commitment_pb2.CommitmentSegment(ends_at_us=ends_at_us, amount=amount, price=900)
        ],
    )


def asked(caller: Served, **changes: Any) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "request_id": caller.new_id(),
        "account": "acme",
        "contract": "deal",
        **changes,
    }


def signing(caller: Served, clock: SystemClock, **changes: Any) -> pb.ContractServiceSignRequest:
    fields = {"package": "enterprise", "ends_at_us": clock.now_us() + YEAR, **changes}
    return pb.ContractServiceSignRequest(**asked(caller, **fields))


async def shown(caller: Served, contract: str = "deal") -> pb.Contract:
    request = pb.ContractServiceGetRequest(tenant=TENANT, account="acme", contract=contract)
    return (await caller.contracts.Get(request)).contract


async def subscribe(caller: Served, package: str) -> None:
    await caller.packages.Subscribe(
        package_pb2.PackageServiceSubscribeRequest(
            tenant=TENANT, request_id=caller.new_id(), account="acme", package=package
        )
    )


async def used(caller: Served, name: str) -> int:
    (result,) = (await caller.ingest(event(name, "acme"))).results
    return int(result.charge)


async def features(caller: Served) -> list[str]:
    reply = await caller.packages.ResolveEntitlements(
        package_pb2.PackageServiceResolveEntitlementsRequest(tenant=TENANT, account="acme")
    )
    return [each.feature for each in reply.entitlements]


async def test_a_self_serve_package_becomes_a_contract_with_every_balance_kept(
    caller: Served, clock: SystemClock
) -> None:
    """Rule P5: usage of 600 on a package of 10,000, a top-up of 5,000, a hold of 600; then a
    contract of 500,000 a month at half the price, with 100,000 committed."""
    await subscribe(caller, "starter")
    await caller.grant("acme", 5_000)
    assert await used(caller, "before") == 600
    held = await caller.authorize("acme")
    before = await caller.balance("acme")
    assert (before.available, before.pending) == ("13800", "600")
    request = signing(
        caller,
        clock,
        overrides=[price("0.5")],
        commitments=[committed(100_000, clock.now_us() + YEAR)],
    )
    signed = await caller.contracts.Sign(request)
    contract = signed.contract
    assert (contract.state, contract.package, contract.version) == (
        pb.CONTRACT_STATE_RUNNING,
        "enterprise",
        1,
    )
    assert (signed.rerate_from_us, len(contract.commitment_ids)) == (0, 1)
    after = await caller.balance("acme")
    assert (after.available, after.pending) == (str(13_800 + 500_000 + 100_000), "600")
    assert await used(caller, "after") == 300
    captured = await caller.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            hold_id=held.hold_id,
            quantities=work("acme")["quantities"],
        )
    )
    assert captured.charge == 300
    assert await features(caller) == ["of enterprise"]
    again = await caller.contracts.Sign(request)
    assert again.replayed and again.contract.contract == "deal"
    outcome = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id=request.request_id)
    )
    assert outcome.kind == journal_pb2.MUTATION_KIND_SIGN_CONTRACT
    commitment = await caller.commitments.Get(
        commitment_pb2.CommitmentServiceGetRequest(
            tenant=TENANT, commitment_id=contract.commitment_ids[0]
        )
    )
    assert commitment.commitment.segments[0].amount == 100_000


async def test_amendments_take_effect_when_they_say(caller: Served, clock: SystemClock) -> None:
    """Rules P5, R7: now, later, and for the past, with the instant to rate again from."""
    started = clock.now_us() - 10 * DAY_US
    signed = await caller.contracts.Sign(
        signing(caller, clock, starts_at_us=started, overrides=[price("0.5")])
    )
    assert signed.rerate_from_us == started
    assert await used(caller, "half") == 300

    async def amend(**changes: Any) -> pb.ContractServiceAmendResponse:
        return await caller.contracts.Amend(
            pb.ContractServiceAmendRequest(**asked(caller, **changes))
        )

    back = clock.now_us() - DAY_US
    amended = await amend(effective_at_us=back, prices=pb.ContractPrices(overrides=[price("0.25")]))
    assert (amended.rerate_from_us, amended.contract.version) == (back, 2)
    assert await used(caller, "quarter") == 150
    later = await amend(effective_at_us=clock.now_us() + DAY_US, prices=pb.ContractPrices())
    assert (later.rerate_from_us, await used(caller, "still")) == (0, 150)
    clock.ahead_us += 2 * DAY_US
    assert await used(caller, "full") == 600
    await amend(renewal=pb.CONTRACT_RENEWAL_AUTO, expected_version=3)
    stale = await refusal_of(amend(renewal=pb.CONTRACT_RENEWAL_OFF, expected_version=3))
    assert stale.reason == "VERSION_MISMATCH"
    assert (await shown(caller)).renewal == pb.CONTRACT_RENEWAL_AUTO


async def test_what_is_left_of_a_term_rolls_into_the_next(
    caller: Served, clock: SystemClock
) -> None:
    """Rules P5, T3: half, at most 30,000 of 100,000; amended to a fifth; a new segment follows."""
    end = clock.now_us() + 30 * DAY_US
    signed = await caller.contracts.Sign(
        signing(
            caller,
            clock,
            ends_at_us=end,
            renewal=pb.CONTRACT_RENEWAL_AUTO,
            commitments=[committed(100_000, end)],
            rollover=pb.ContractRollover(numerator=1, denominator=2, cap=30_000),
        )
    )
    assert signed.contract.rollover == pb.ContractRollover(numerator=1, denominator=2, cap=30_000)
    fifth = pb.ContractRollover(numerator=1, denominator=5)
    amended = await caller.contracts.Amend(
        pb.ContractServiceAmendRequest(**asked(caller, rollover=fifth))
    )
    assert amended.contract.rollover == fifth
    assert not amended.contract.rollover.HasField("cap")
    wrong = pb.ContractServiceAmendRequest(
        **asked(caller, rollover=pb.ContractRollover(numerator=3, denominator=2))
    )
    refused = await refusal_of(caller.contracts.Amend(wrong))
    assert (refused.reason, refused.metadata["field"]) == ("CONTRACT_INVALID", "rollover.fraction")
    clock.ahead_us += 31 * DAY_US
    await used(caller, "in the second term")
    contract = await shown(caller)
    made = await caller.commitments.Get(
        commitment_pb2.CommitmentServiceGetRequest(
            tenant=TENANT, commitment_id=contract.commitment_ids[1]
        )
    )
    segments = [(each.amount, each.price) for each in made.commitment.segments]
    assert segments == [(100_000, 900), (20_000, 180)]


async def test_a_minimum_is_amended_from_an_instant_on(caller: Served, clock: SystemClock) -> None:
    """Rule R2: what it says from when on is shown; a card without such a minimum refuses."""
    await caller.contracts.Sign(signing(caller, clock))
    amendment = pb.ContractServiceAmendRequest(**asked(caller, minimum=5_000))
    refused = await refusal_of(caller.contracts.Amend(amendment))
    assert (refused.reason, refused.metadata["field"]) == ("CONTRACT_INVALID", "minimum")
    least = card_pb2.Minimum(scope=card_pb2.MINIMUM_SCOPE_CONTRACT, amount="0.001")
    await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=card(minimums=[least]),
            expected_version=2,
        )
    )
    clock.ahead_us += 5_000_000
    later = clock.now_us() + DAY_US
    amended = await caller.contracts.Amend(amendment)
    assert (amended.contract.minimum, amended.contract.version) == (5_000, 2)
    await caller.contracts.Amend(
        pb.ContractServiceAmendRequest(**asked(caller, minimum=0, effective_at_us=later))
    )
    contract = await shown(caller)
    assert contract.minimum == 5_000
    assert [each.amount for each in contract.minimums] == [5_000, 0]
    assert contract.minimums[1].from_us == later
    clock.ahead_us += 2 * DAY_US
    assert (await shown(caller)).minimum == 0


async def test_a_contract_begins_and_ends_by_the_clock(caller: Served, clock: SystemClock) -> None:
    start, end = clock.now_us() + DAY_US, clock.now_us() + 3 * DAY_US
    signed = await caller.contracts.Sign(signing(caller, clock, starts_at_us=start, ends_at_us=end))
    assert signed.contract.state == pb.CONTRACT_STATE_SIGNED
    clock.ahead_us += 2 * DAY_US
    while (await shown(caller)).state != pb.CONTRACT_STATE_RUNNING:
        await asyncio.sleep(0)
    clock.ahead_us += 2 * DAY_US
    while (await shown(caller)).state != pb.CONTRACT_STATE_ENDED:
        await asyncio.sleep(0)
    assert (await shown(caller)).ended_at_us == end
    assert await features(caller) == []


async def test_contracts_that_overlap_are_refused_by_name(
    caller: Served, clock: SystemClock
) -> None:
    """Rule P5; and what a contract sells is not changed beside it."""
    await caller.contracts.Sign(signing(caller, clock))
    refused = await refusal_of(caller.contracts.Sign(signing(caller, clock, contract="other")))
    assert (refused.reason, refused.metadata["value"]) == ("CONTRACTS_OVERLAP", "deal")
    changed = await refusal_of(
        caller.packages.Change(
            package_pb2.PackageServiceChangeRequest(
                tenant=TENANT, request_id=caller.new_id(), account="acme", package="starter"
            )
        )
    )
    assert changed.reason == "CONTRACT_RUNS"


async def test_an_early_end_moves_what_was_committed(caller: Served, clock: SystemClock) -> None:
    """Rule D7: by transfer; then the account has no package, and its contracts are listed."""
    ends = clock.now_us() + YEAR
    signed = await caller.contracts.Sign(
        signing(caller, clock, commitments=[committed(100_000, ends)])
    )
    other = await caller.commitments.Create(
        commitment_pb2.CommitmentServiceCreateRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            account="acme",
            terms=committed(1, ends).terms,
            segments=committed(7, ends).segments,
        )
    )
    target = other.commitment.commitment_id
    ended = await caller.contracts.End(
        pb.ContractServiceEndRequest(
            **asked(
                caller,
                ending=commitment_pb2.COMMITMENT_ENDING_TRANSFER,
                target_commitment_id=target,
                old_grants=package_pb2.OLD_GRANTS_FORFEIT_UNUSED,
            )
        )
    )
    assert [each.amount for each in ended.taken_back] == [500_000]
    assert ended.contract.state == pb.CONTRACT_STATE_ENDED
    moved = await caller.commitments.Get(
        commitment_pb2.CommitmentServiceGetRequest(tenant=TENANT, commitment_id=target)
    )
    assert [each.amount for each in moved.commitment.segments] == [7, 100_000]
    assert signed.contract.commitment_ids == ended.contract.commitment_ids
    await caller.contracts.Sign(signing(caller, clock, contract="next"))
    listed = await caller.contracts.List(
        pb.ContractServiceListRequest(tenant=TENANT, account="acme", page_size=1)
    )
    assert [each.contract for each in listed.contracts] == ["deal"]
    more = await caller.contracts.List(
        pb.ContractServiceListRequest(
            tenant=TENANT, account="acme", page_token=listed.next_page_token
        )
    )
    assert [each.contract for each in more.contracts] == ["next"]


async def test_what_is_wrong_is_said_with_its_place(caller: Served, clock: SystemClock) -> None:
    wrong = signing(
        caller,
        clock,
        overrides=[override_pb2.PriceOverride(product="chat", quantity="input_tokens")],
        commitments=[pb.ContractCommitment()],
    )
    refused = await refusal_of(caller.contracts.Sign(wrong))
    assert {field for field, _ in refused.violations} == {
        "overrides[0].change",
        "commitments[0].terms",
        "commitments[0].segments",
    }
    missing = await refusal_of(shown(caller, "none"))
    assert missing.reason == "CONTRACT_UNKNOWN"


async def test_a_cards_minimum_for_contracts_is_published_and_said_otherwise(
    caller: Served, clock: SystemClock
) -> None:
    """Rule R2: refused before the card asks for one."""
    refused = await refusal_of(caller.contracts.Sign(signing(caller, clock, minimum=5)))
    assert (refused.reason, refused.metadata["field"]) == ("CONTRACT_INVALID", "minimum")
    least = card_pb2.Minimum(scope=card_pb2.MINIMUM_SCOPE_CONTRACT, amount="1")
    version = await caller.pricing.ListRateCards(
        pricing_pb2.ListRateCardsRequest(tenant=TENANT, name="default")
    )
    published = await caller.pricing.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=TENANT,
            request_id=caller.new_id(),
            card=card(minimums=[least]),
            expected_version=version.versions[0].version,
        )
    )
    assert published.version.version
    clock.ahead_us += DAY_US
    signed = await caller.contracts.Sign(signing(caller, clock, minimum=5))
    assert signed.contract.minimum == 5
