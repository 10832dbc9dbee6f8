"""Contracts: signed, begun, amended, renewed, ended; prices, commitments (rules P5, R4, D7, D8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, SandboxCore
from msgspec.structs import replace
from signing_world import APRIL, CHILD, HALVES, MARCH, TERMS, Signing, committed
from test_package_prices import DOUBLE, FIVE, THREE, charge
from test_packages import ACME, FEBRUARY, HALF, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.contracts.contracts import ContractState
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.packaged import (
    Package,
    PackagedGrant,
    PackagedOverage,
    PackagedPolicy,
    PackagedUnit,
)
from ledger.core.pricing.repriced import bound_by
from rating.overrides import Multiplier, Override


@pytest.fixture
def world() -> Iterator[Signing]:
    made = Signing()
    made.publish("starter", plan(100))
    made.publish("enterprise", plan(1_000, policy=PackagedPolicy(overage=PackagedOverage.SELF)))
    yield made
    made.finish()


# -- signed and begun (rule P5) --------------------------------------------------------------------


def test_from_package_to_contract_every_balance_is_kept(world: Signing) -> None:
    """Rule P5: what the package granted, a top-up, a hold, the rounding position and the totals."""
    world.subscribe("starter")
    world.ask(
        c.IssueGrant(
            world.key(), ACME, e.GrantKind.PREPAID, CREDITS, 70, 70, USD, 0, 0, APRIL, (), b"top-up"
        )
    )  # fmt: skip
    world.to(HALF)
    world.use(30)
    world.use(3, "third")
    shape = world.core.shape("chat", "tokens")
    held = world.ask(c.AuthorizeHold(world.key(), ACME, shape, (10,), DAY_US))
    account = world.core.state.accounts[ACME]
    before = {each.number: (each.book.available, each.expires_at) for each in account.grants}
    totals = dict(account.totals)
    world.sign()
    after = {each.number: (each.book.available, each.expires_at) for each in account.grants}
    assert {number: after[number] for number in before} == before
    assert (dict(account.totals), held.hold in account.holds) == (totals, True)
    assert (
        sum(left for left, _ in after.values()) == sum(left for left, _ in before.values()) + 1_000
    )
    assert account.policy.overage == e.Overage.SELF
    assert (world.subscription.package, world.subscription.contract) == ("enterprise", "deal")


def test_its_periods_run_from_its_start_and_end_with_it(world: Signing) -> None:
    """Rules T1, S1: 31 days, 28 days, then 10 of 31 days."""
    world.sign(ends_at=MARCH + 10 * DAY_US)
    world.to(START_US + 100 * DAY_US)
    assert world.issued() == [(0, 1_000), (31, 1_000), (59, 323)]
    assert world.contract().state == ContractState.ENDED
    assert world.subscription.over
    assert world.core.state.accounts[ACME].policy.overage == e.Overage.OFF


def test_one_that_begins_later_begins_by_the_clock(world: Signing) -> None:
    """Rule P5: until then the account has its package; its version is pinned as it was signed."""
    world.subscribe("starter")
    world.sign(starts_at=HALF)
    world.publish("enterprise", plan(5))
    assert world.contract().state == ContractState.SIGNED
    world.to(HALF - 1)
    assert world.subscription.package == "starter"
    world.to(FEBRUARY)
    assert (world.subscription.package, world.contract().state) == ("enterprise", 2)
    assert world.issued() == [(0, 100), (15, 1_000)]
    assert world.happened(e.ContractBegun) == [(31, "ContractBegun")]


def test_one_that_was_signed_late_counts_from_when_it_is_meant(world: Signing) -> None:
    """Rules P5, T1, D5: what it would have granted since is granted, each period once, and late
    usage of that time has its prices."""
    world.to(MARCH)
    world.sign(starts_at=START_US, ends_at=START_US + 365 * DAY_US, overrides=(THREE,))
    assert world.issued() == [(0, 1_000), (31, 1_000), (59, 1_000)]
    assert charge(world.use(10, at=MARCH - DAY_US)) == 30
    assert charge(world.use(10)) == 30


def test_contracts_do_not_overlap(world: Signing) -> None:
    """Rule P5: the other one is named; one after the other is fine, ended ones leave room."""
    world.sign("first", ends_at=FEBRUARY)
    refusal = world.refused(world.signing("second", starts_at=HALF))
    assert (refusal.reason, refusal.value) == (Reason.CONTRACTS_OVERLAP, "first")
    assert "'first'" in refusal.message
    world.sign("second", starts_at=FEBRUARY)
    refusal = world.refused(c.AmendContract(world.key(), ACME, "first", ends_at=MARCH))
    assert (refusal.reason, refusal.value) == (Reason.CONTRACTS_OVERLAP, "second")
    world.to(HALF)
    world.end("first")
    world.sign("between", ends_at=FEBRUARY)
    world.to(FEBRUARY)
    assert [each.state for each in world.core.state.accounts[ACME].contracts] == [3, 2, 3]
    assert world.subscription.contract == "second"


@pytest.mark.parametrize("names", [("first", "second"), ("second", "first")])
def test_one_that_ends_as_another_begins_takes_its_own_package_along(
    world: Signing, names: tuple[str, str]
) -> None:
    """Rule P5: whichever of the two was signed first."""
    ends = {"first": FEBRUARY, "second": APRIL}
    for name in names:
        world.sign(name, starts_at=START_US if name == "first" else FEBRUARY, ends_at=ends[name])
    world.to(MARCH)
    account = world.core.state.accounts[ACME]
    assert (world.contract("first").state, world.contract("second").state) == (3, 2)
    assert (world.subscription.contract, world.subscription.over) == ("second", False)
    assert account.policy.overage == e.Overage.SELF
    assert world.issued() == [(0, 1_000), (31, 1_000), (59, 1_000)]
    ended, begun = world.happened(e.ContractEnded), world.happened(e.ContractBegun)
    assert (ended, [day for day, _ in begun]) == ([(59, "ContractEnded")], [0, 59])


def test_to_sign_again_within_a_period_mints_nothing(world: Signing) -> None:
    """Rule P3: what a contract granted for the period that runs counts in the next one's first."""
    world.sign("first")
    world.to(HALF)
    world.end("first")
    world.sign("second")
    assert [amount for _, amount in world.issued()] == [1_000]
    world.to(START_US + 47 * DAY_US)
    assert [amount for _, amount in world.issued()] == [1_000, 446]


@pytest.mark.parametrize("old_grants", list(e.OldGrants))
def test_a_contract_that_ends_with_the_period_of_before_takes_back_its_own(
    world: Signing, old_grants: e.OldGrants
) -> None:
    """Rule P5: what the package of before granted stays, also of an asset that this one has not."""
    world.publish("money", Package(grants=(PackagedGrant("money", "USD", 70),)))
    world.publish("both", plan(40))
    world.subscribe("money")
    world.to(HALF)
    world.sign(package="both", ends_at=FEBRUARY)
    world.end(old_grants=old_grants)
    assert world.available == 70 + 20 * (old_grants == e.OldGrants.KEEP)


@pytest.mark.parametrize("gap", [0, 2 * DAY_US])
def test_the_next_contract_begins_as_a_clock_leaps(gap: int) -> None:
    """Rules T4, P5: by the clock alone, though the one before had the account's first timer."""
    made = Signing()
    made.core, made.keys = SandboxCore(), 0
    made.ask(c.CreateAccount(made.key(), TENANT, ACME, 0, ACME, e.AccountPolicy()))
    made.publish("enterprise", plan(1_000))
    made.sign("first", ends_at=FEBRUARY)
    made.sign("second", starts_at=FEBRUARY + gap, ends_at=APRIL)
    made.core.advance(FEBRUARY + gap - made.core.now)
    made.core.sweep()
    states = [each.state for each in made.core.state.accounts[ACME].contracts]
    assert states == [ContractState.ENDED, ContractState.RUNNING]


@pytest.mark.parametrize(
    ("old_grants", "kept"), [(e.OldGrants.FORFEIT_UNUSED, 0), (e.OldGrants.PRORATE, 500)]
)
def test_what_the_package_before_had_granted_is_not_the_contracts(
    world: Signing, old_grants: e.OldGrants, kept: int
) -> None:
    """Rule P5: signed as of where the package's period began, it has that period's end; what is
    taken back as it is left is of its own 1,000, of which half of the time is left."""
    world.subscribe("starter")
    world.to(HALF)
    world.use(40)
    world.sign("deal", starts_at=START_US)
    assert world.available == 60 + 1_000
    world.end(old_grants=old_grants)
    assert world.available == 60 + kept
    world.subscribe("starter")
    assert world.available == 60 + kept + 50
    assert [each.released for each in world.subscription.minted] == [kept + 50]
    world.change("starter", old_grants=e.OldGrants.FORFEIT_UNUSED)
    assert world.available == 60 + 50
    assert [each.released for each in world.subscription.minted] == [50]


@pytest.mark.parametrize(
    ("ended", "then", "signed"),
    [
        # of the second contract: what the larger of both gives, less what was granted before
        (0, "", 0),
        (0, "starter", 0),
        (0, "enterprise", 0),
        (15, "starter", 0),
        (15, "", 0),
        # the term was over before the package came, which then began a period of its own
        (31, "starter", 1_000),
    ],
)
def test_nor_with_a_package_in_between(world: Signing, ended: int, then: str, signed: int) -> None:
    """Rules P3, P5: whose period it is does not change with what the account has for its rest."""
    world.sign("first", ends_at=FEBRUARY)
    world.to(START_US + ended * DAY_US)
    if ended < 31:
        world.end("first")
    for turn in range(3):
        before = sum([amount for _, amount in world.issued()])
        if then:
            world.subscribe(then)
            world.to(world.core.now + DAY_US)
            given = sum([amount for _, amount in world.issued()]) - before
            assert given == (100 if signed and not turn else 0)
            if turn:
                world.cancel()
        world.sign(f"again {turn}", ends_at=APRIL)
        total = sum([amount for _, amount in world.issued()]) - before
        assert total == (signed + given if signed and not turn else 0)
        world.end(f"again {turn}")


def test_a_package_is_not_changed_while_a_contract_sells_it(world: Signing) -> None:
    world.sign()
    for command in (
        c.ChangePackage(world.key(), ACME, "starter", e.Timing.NOW),
        c.CancelSubscription(world.key(), ACME, e.Timing.NOW),
    ):
        refusal = world.refused(command)
        assert (refusal.reason, refusal.value) == (Reason.CONTRACT_RUNS, "deal")
    assert world.refused(c.Subscribe(world.key(), ACME, "starter")).reason == (
        Reason.SUBSCRIBED_ALREADY
    )
    refusal = world.refused(c.CloseAccount(world.key(), ACME, write_off=True))
    assert (refusal.reason, refusal.value) == (Reason.ACCOUNT_NOT_EMPTY, "a contract that goes on")


def test_a_quote_outlives_the_contract_that_ends_at_its_instant(world: Signing) -> None:
    """Rule H9: what was quoted is the price; verify knows that the quote came before the end."""
    world.sign(overrides=(Override("chat", "*", Multiplier("1/2")),))
    world.to(HALF)
    shape = world.core.shape("chat", "tokens")
    quote = world.ask(c.CreateQuote(world.key(), ACME, shape, (6,), 0, 0, False))
    world.end()
    key = FAMILY.usage("test", "quoted")
    before = HALF - DAY_US
    used = c.QuotedUsage(key, ACME, shape, (6,), before, c.NO_NAMES, quote=quote.quote)
    assert world.ask(used).charges == (3,)
    assert judged(world.core) == []


def test_a_retry_is_the_same_contract_and_another_body_is_not(world: Signing) -> None:
    """Rule I1: the first field that differs is named."""
    command = world.signing(overrides=(THREE,), committed=(committed(500),))
    world.ask(command)
    assert isinstance(world.core.run(command), Known)


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"package": "other"}, Reason.PACKAGE_UNKNOWN, "package"),
        ({"version": 99}, Reason.PACKAGE_VERSION_UNKNOWN, "package_version"),
        ({"ends_at": START_US}, Reason.CONTRACT_INVALID, "ends_at_us"),
        ({"starts_at": START_US - 500 * DAY_US}, Reason.CONTRACT_INVALID, "starts_at_us"),
        ({"starts_at": MARCH + 1}, Reason.CONTRACT_INVALID, "ends_at_us"),
        (
            {"overrides": (Override("chat", "other", THREE.change),)},
            Reason.OVERRIDES_INVALID,
            "overrides[0].quantity",
        ),
        ({"minimum": 5}, Reason.CONTRACT_INVALID, "minimum"),
        (
            {"committed": (committed(0),)},
            Reason.AMOUNT_INVALID,
            "commitments[0].segments[0].amount",
        ),
        ({"committed": (committed(1),) * 17}, Reason.CONTRACT_INVALID, "commitments"),
    ],
)
def test_what_no_contract_says_is_refused(
    world: Signing, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    refusal = world.refused(world.signing(**changes))
    assert (refusal.reason, refusal.field) == (reason, field)


# -- prices (rules R4, D8) -------------------------------------------------------------------------


def test_its_prices_count_before_the_accounts_own_and_its_packages(world: Signing) -> None:
    """Rule R4: contract over package over ancestor, one applies; for its time alone."""
    world.publish("priced", plan(10, overrides=(FIVE,)))
    world.ask(c.SetPriceOverrides(world.key(), ACME, (DOUBLE,), 0))
    world.sign(package="priced", starts_at=START_US + DAY_US, overrides=(THREE,), ends_at=HALF)
    assert charge(world.use(10)) == 20
    world.to(START_US + DAY_US)
    assert charge(world.use(10)) == 30
    world.to(HALF)
    assert charge(world.use(10)) == 20
    assert charge(world.use(10, at=HALF - 1)) == 30
    world.ask(c.SetPriceOverrides(world.key(), ACME, (), 0))
    assert charge(world.use(10)) == 10


def test_a_child_is_priced_by_its_own_contract_else_by_its_ancestors(world: Signing) -> None:
    """Rule D8: both have one, then the child's has ended."""
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.sign("above", overrides=(THREE,))
    assert charge(world.use(10, account=CHILD)) == 30
    world.sign("own", account=CHILD, overrides=(FIVE,), ends_at=FEBRUARY)
    assert charge(world.use(10, account=CHILD)) == 50
    assert charge(world.use(10)) == 30
    world.to(FEBRUARY)
    assert charge(world.use(10, account=CHILD)) == 30


def test_an_amendment_prices_from_its_time_on(world: Signing) -> None:
    """Rules R4, D5: one for later takes effect then, late usage goes by its own time."""
    world.sign(overrides=(THREE,))
    amended = world.amend(overrides=(FIVE,), effective_at=HALF)
    assert (amended.rerate_from, amended.revision) == (0, 2)
    assert charge(world.use(10)) == 30
    world.to(HALF)
    assert charge(world.use(10)) == 50
    assert charge(world.use(10, at=HALF - 1)) == 30
    world.to(MARCH)
    assert charge(world.use(10)) == 10
    assert charge(world.use(10, at=MARCH - 1)) == 50


def test_an_amendment_of_the_past_says_from_when_usage_may_be_rated_again(world: Signing) -> None:
    """Rules R7, D5: what was priced stays, late usage of then has the new price."""
    world.sign(overrides=(THREE,))
    before = world.use(10)
    world.to(HALF)
    amended = world.amend(overrides=(FIVE, DOUBLE), effective_at=START_US + DAY_US)
    assert (charge(before), amended.rerate_from) == (30, START_US + DAY_US)
    assert charge(world.use(10, at=START_US + DAY_US)) == 50
    assert charge(world.use(10, at=START_US + DAY_US - 1)) == 30


def test_a_job_rates_again_by_the_contract_as_it_is_meant(world: Signing) -> None:
    """Rule R7: as of its start and its amendments, whenever they were recorded."""
    world.to(HALF)
    world.sign(starts_at=START_US + DAY_US, overrides=(THREE,))
    world.amend(overrides=(FIVE,), effective_at=START_US + 2 * DAY_US)
    account, shape = world.core.state.accounts[ACME], world.core.shape("chat", "tokens")
    version = world.core.catalog.card((TENANT, "default")).versions.versions[-1].version
    prices = []
    for day in range(4):
        at = START_US + day * DAY_US
        bound = bound_by(world.core.state, account, "default", version, shape, (1,), at)
        assert not isinstance(bound, Refusal)
        prices.append(bound.plan.numerators[0])
    assert prices == [1, 3, 5, 5]


# -- amended otherwise, renewed --------------------------------------------------------------------


def test_an_amendment_of_the_end_and_of_the_version(world: Signing) -> None:
    """Rules P1, P5: the version counts from the next period on, prices stand to the new end."""
    world.sign(overrides=(THREE,), ends_at=FEBRUARY)
    second = world.publish("enterprise", plan(2_000))
    world.amend(ends_at=MARCH, version=second)
    world.to(FEBRUARY)
    assert world.issued() == [(0, 1_000), (31, 2_000)]
    assert charge(world.use(10)) == 30
    world.amend(ends_at=FEBRUARY + DAY_US)
    world.to(FEBRUARY + DAY_US)
    assert (world.contract().state, charge(world.use(10))) == (ContractState.ENDED, 10)


def test_an_amendment_commits_more(world: Signing) -> None:
    """Rule D7: an upsize is a commitment beside the others."""
    world.sign(committed=(committed(500),))
    amended = world.amend(committed=(committed(200, price=100),))
    assert len(amended.commitments) == 1
    assert [each.commitment is not None for each in world.core.state.accounts[ACME].grants] == (
        [True, False, True]
    )


def test_it_is_renewed_for_as_long_as_it_was(world: Signing) -> None:
    """Rules P5, T1, D7: two months again, with what it commits to and its prices; until somebody
    says that it is not to be."""
    world.sign(auto_renew=1, overrides=(THREE,), committed=(committed(500),))
    world.to(MARCH)
    contract = world.contract()
    assert (contract.term_start, contract.ends_at) == (MARCH, START_US + 120 * DAY_US)
    assert charge(world.use(10)) == 30
    segments = [
        ((each.effective_at - START_US) // DAY_US, (each.expires_at - START_US) // DAY_US)
        for each in world.core.state.accounts[ACME].grants
        if each.commitment is not None
    ]
    assert segments == [(0, 59), (59, 120)]
    world.amend(auto_renew=2)
    world.to(START_US + 120 * DAY_US)
    assert world.contract().state == ContractState.ENDED
    assert charge(world.use(10)) == 10
    kinds = (e.ContractSigned, e.ContractBegun, e.ContractRenewed, e.ContractEnded)
    assert [name for _, name in world.happened(*kinds)] == [kind.__name__ for kind in kinds]


def test_renewals_that_nobody_saw_come_in_order(world: Signing) -> None:
    """Rule T1: month after month, each as of its own time."""
    world.sign(ends_at=FEBRUARY, auto_renew=1)
    world.to(START_US + 100 * DAY_US)
    renewed = [
        (event.starts_at - START_US) // DAY_US
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.ContractRenewed)
    ]
    assert renewed == [31, 59, 90]
    assert [day for day, _ in world.issued()] == [0, 31, 59, 90]


def test_nor_does_it_matter_when_they_are_seen_where_it_commits_to_something(
    world: Signing,
) -> None:
    """Rules T1, T4, D7: a sandbox's clock may pass several terms at once; each has its segment."""
    world.sign(ends_at=FEBRUARY, auto_renew=1, committed=(committed(50, end=FEBRUARY),))
    world.to(START_US + 100 * DAY_US)
    segments = [
        ((each.effective_at - START_US) // DAY_US, (each.expires_at - START_US) // DAY_US)
        for each in world.core.state.accounts[ACME].grants
        if each.commitment is not None
    ]
    assert segments == [(0, 31), (31, 59), (59, 90), (90, 120)]
    assert world.contract().state == ContractState.RUNNING


def test_what_is_missed_comes_in_order_of_its_time_for_whoever_asks_too(world: Signing) -> None:
    """Rules T1, P5: nothing was swept for a month, and usage of today comes: the weeks from the 8th
    and the 15th on begin before the contract ends on the 21st, the last for 6 of 7 days."""
    world.publish("weekly", plan(70, unit=PackagedUnit.WEEK))
    world.sign(package="weekly", ends_at=START_US + 20 * DAY_US)
    world.core.now = START_US + 30 * DAY_US
    world.core.begin_batch()
    world.use(1)
    assert world.issued() == [(0, 70), (7, 70), (14, 60)]
    kinds = (e.PackagePeriodBegun, e.ContractEnded)
    assert [name for _, name in world.happened(*kinds)] == [
        "PackagePeriodBegun", "PackagePeriodBegun", "ContractEnded",
    ]  # fmt: skip


def test_what_grants_leave_rolls_over_into_the_renewed_term(world: Signing) -> None:
    """Rules T3, P5: by the rule that the package states: half of what is left."""
    grant = replace(plan(100).grants[0], rollover=HALVES)
    world.publish("rolling", replace(plan(100), grants=(grant,)))
    world.sign(package="rolling", ends_at=FEBRUARY, auto_renew=1)
    world.use(40)
    world.to(FEBRUARY)
    assert world.available == 100 + 30


def test_one_that_another_follows_is_not_renewed(world: Signing) -> None:
    world.sign("first", auto_renew=1, ends_at=FEBRUARY)
    world.sign("second", starts_at=FEBRUARY)
    world.to(FEBRUARY)
    assert [each.state for each in world.core.state.accounts[ACME].contracts] == [3, 2]


# -- ended early (rules D7, P3) --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "trued_up"), [(e.CommitmentEnding.TRUE_UP, 400), (e.CommitmentEnding.WAIVE, 0)]
)
def test_an_early_end_trues_up_or_waives(
    world: Signing, ending: e.CommitmentEnding, trued_up: int
) -> None:
    """Rule D7: of 500 units 100 were drawn; the package's own pay
    first."""
    later = committed(300, start=FEBRUARY)
    world.sign(committed=(committed(500), later))
    world.use(1_100)
    world.end(ending=ending)
    ends = [
        event.units
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.CommitmentEnded)
    ]
    assert (ends, world.available) == ([trued_up, 0], 0)
    assert (world.subscription.over, world.contract().ended_at) == (True, world.core.state.now)


def test_an_early_end_transfers_to_another_commitment(world: Signing) -> None:
    """Rule D7: 500 and 300 units go on, for the price that they had."""
    other = world.ask(
        c.CreateCommitment(world.key(), ACME, TERMS, (e.Segment(0, APRIL, 50, 50),), (), b"other")
    )
    world.sign(committed=(committed(500), committed(300)))
    own = world.contract().commitments[0]
    to_itself = c.EndContract(
        world.key(), ACME, "deal", e.CommitmentEnding.TRANSFER, target_account=ACME, target=own
    )
    assert world.refused(to_itself).reason == Reason.TRANSFER_INVALID
    world.end(ending=e.CommitmentEnding.TRANSFER, target_account=ACME, target=other.commitment)
    target = world.core.state.commitments[other.commitment]
    assert [each.amount for each in target.grants] == [50, 500, 300]


def test_an_early_end_may_take_back_what_the_period_granted(world: Signing) -> None:
    """Rule P3: unused units of the package are forfeited."""
    world.sign()
    world.use(100)
    ended = world.end(old_grants=e.OldGrants.FORFEIT_UNUSED)
    assert [each.amount for each in ended.taken] == [900]
    assert world.available == 0


def test_one_that_has_not_begun_is_withdrawn(world: Signing) -> None:
    """Its prices never count, its commitment is voided, the account keeps its package."""
    world.subscribe("starter")
    world.sign(starts_at=HALF, overrides=(THREE,), committed=(committed(500, HALF),))
    world.end(ending=e.CommitmentEnding.WAIVE)
    world.to(HALF)
    assert (charge(world.use(10)), world.subscription.package) == (10, "starter")


def test_one_that_was_withdrawn_leaves_its_time_to_another(world: Signing) -> None:
    world.sign("later", starts_at=HALF, ends_at=FEBRUARY)
    world.to(START_US + DAY_US)
    world.end("later")
    world.sign("whole", starts_at=START_US, ends_at=MARCH)


def test_what_is_over_is_not_amended(world: Signing) -> None:
    world.sign()
    world.end()
    assert world.refused(c.EndContract(world.key(), ACME, "deal")).reason == Reason.CONTRACT_ENDED
    assert world.refused(world.signing()).reason == Reason.CONTRACT_NAME_TAKEN
    unknown = c.AmendContract(world.key(), ACME, "none", auto_renew=1)
    assert world.refused(unknown).reason == Reason.CONTRACT_UNKNOWN


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({}, Reason.CONTRACT_INVALID, "contract"),
        ({"auto_renew": 1, "effective_at": MARCH}, Reason.CONTRACT_INVALID, "effective_at_us"),
        ({"auto_renew": 1, "effective_at": 1}, Reason.CONTRACT_INVALID, "effective_at_us"),
        ({"ends_at": START_US + 1}, Reason.CONTRACT_INVALID, "effective_at_us"),
        ({"version": 99}, Reason.PACKAGE_VERSION_UNKNOWN, "package_version"),
        ({"auto_renew": 1, "expected_version": 9}, Reason.VERSION_MISMATCH, "expected_version"),
    ],
)
def test_what_no_amendment_says_is_refused(
    world: Signing, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    world.sign()
    world.to(HALF)
    refusal = world.refused(c.AmendContract(world.key(), ACME, "deal", **changes))
    assert (refusal.reason, refusal.field) == (reason, field)
