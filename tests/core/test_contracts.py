"""Contracts: signed, begun, amended, renewed, ended; prices, commitments (rules P5, R4, D7, D8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from core_world import CREDITS, START_US, TENANT, USD
from hypothesis import given, settings
from hypothesis import strategies as st
from minimum_world import publish_minimums
from msgspec.structs import replace
from test_package_prices import DOUBLE, FIVE, THREE, charge
from test_packages import ACME, FEBRUARY, HALF, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.contracts.contracts import ContractState, named
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.packaged import (
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedUnit,
)
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.pricing.repriced import bound_by
from rating.models import Minimum, MinimumScope
from rating.overrides import Override

CHILD = 2
HALVES = PackagedRollover(1, 2)
MARCH = START_US + 59 * DAY_US
APRIL = START_US + 90 * DAY_US
TERMS = e.CommitmentTerms(e.GrantKind.POSTPAID, CREDITS, USD, 0, ("chat",))


def committed(amount: int, start: int = 0, end: int = MARCH, price: int = 500) -> e.Committed:
    return e.Committed(TERMS, (e.Segment(start, end, amount, price),))


class Signing(World):
    def sign(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(self.signing(name, **changes))

    def signing(self, name: str = "deal", **changes: Any) -> c.SignContract:
        fields: dict[str, Any] = {
            "package": "enterprise",
            "version": 0,
            "starts_at": 0,
            "ends_at": MARCH,
            **changes,
        }
        account = fields.pop("account", ACME)
        return c.SignContract(self.key(), account, name, **fields)

    def amend(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(c.AmendContract(self.key(), ACME, name, **changes))

    def end(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(c.EndContract(self.key(), ACME, name, **changes))

    def contract(self, name: str = "deal", account: int = ACME) -> Any:
        return named(self.core.state.accounts[account], name)

    def happened(self, *kinds: type) -> list[tuple[int, str]]:
        """(days since the start, kind) of entries of these kinds."""
        return [
            ((at - START_US) // DAY_US, type(event).__name__)
            for at, batch in self.core.batches
            for event in batch
            if isinstance(event, kinds)
        ]


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


def test_to_sign_again_within_a_period_mints_nothing(world: Signing) -> None:
    """Rule P3: what a contract granted for the period that runs counts in the next one's first."""
    world.sign("first")
    world.to(HALF)
    world.end("first")
    world.sign("second")
    assert [amount for _, amount in world.issued()] == [1_000]
    world.to(START_US + 47 * DAY_US)
    assert [amount for _, amount in world.issued()] == [1_000, 446]


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


# -- what verify finds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.ContractSigned, {"starts_at": START_US + 1}, "start of the contract"),
        (e.ContractSigned, {"ends_at": START_US}, "end of the contract"),
        (e.ContractSigned, {"commitments": (9,)}, "commitment 9"),
        (e.ContractSigned, {"version_given": 77}, "version of the package"),
        (e.ContractBegun, {"at": HALF}, "start of the contract"),
        (e.ContractAmended, {"revision": 9}, "version of the contract"),
        (e.ContractAmended, {"effective_at": APRIL}, "time of an amendment"),
        (e.ContractAmended, {"rerate_from": 0}, "rated again"),
        (e.ContractAmended, {"ends_at": APRIL + 30 * DAY_US}, "time of the contract"),
        (e.ContractRenewed, {"starts_at": HALF}, "renewal"),
        (e.ContractRenewed, {"committed": ()}, "committed again"),
        (e.ContractEnded, {"ended_at": HALF}, "end of the term"),
        (e.ContractEnded, {"expected_version": 9}, "expected version"),
        (e.Subscribed, {"follow": e.Follow.FOLLOW}, "package of a contract"),
    ],
)
def test_verify_finds_what_no_contract_may_say(
    world: Signing, kind: type, changes: dict[str, Any], what: str
) -> None:
    """Rules P5, D7, R7: each sound entry, broken once."""
    world.sign(
        ends_at=FEBRUARY, auto_renew=1, overrides=(THREE,), committed=(committed(5, end=FEBRUARY),)
    )
    world.sign("after", starts_at=APRIL, ends_at=APRIL + 90 * DAY_US)
    world.to(HALF)
    world.amend(overrides=(FIVE,), effective_at=START_US + DAY_US, expected_version=1)
    world.to(FEBRUARY)
    world.to(MARCH)
    world.amend(auto_renew=2)
    world.to(APRIL)
    batches = world.core.batches
    place, index = next(
        (n, i)
        for n, (_, events) in enumerate(batches)
        for i, event in enumerate(events)
        if type(event) is kind
    )
    at, events = batches[place]
    told = [*events[:index], replace(events[index], **changes), *events[index + 1 :]]
    world.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
    found = judged(world.core, replays=False)
    world.core.batches = batches
    assert any(what in each.what for each in found), found


def test_a_price_that_was_to_come_later_comes_when_it_is_said_anew(world: Signing) -> None:
    """Rule P5: three from February on, then the same three from the middle of January on."""
    world.sign()
    world.amend(overrides=(THREE,), effective_at=FEBRUARY)
    world.amend(overrides=(THREE,), effective_at=HALF)
    assert charge(world.use(10)) == 10
    world.to(HALF)
    assert charge(world.use(10)) == 30
    world.to(FEBRUARY)
    assert charge(world.use(10)) == 30


# -- against a plain list --------------------------------------------------------------------------

OVERRIDES = {0: (), 2: (DOUBLE,), 3: (THREE,), 5: (FIVE,)}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("sign"), st.tuples(st.integers(-30, 30), st.integers(1, 60))),
        st.tuples(st.just("amend"), st.integers(-30, 40)),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("use"), st.integers(0, 30)),
        st.tuples(st.just("pack"), st.just(0)),
    ),
    max_size=14,
)


@given(steps=steps, prices=st.lists(st.sampled_from(sorted(OVERRIDES)), min_size=14, max_size=14))
@settings(max_examples=120)
def test_usage_of_any_day_has_the_price_of_a_plain_list(
    steps: list[tuple[str, Any]], prices: list[int]
) -> None:
    """Rules P5, R4, D5: against a price for each day, written over by each signing, amendment and
    early end; contracts that would overlap are refused."""
    world = Signing()
    world.publish("enterprise", plan(10))
    world.to(START_US + 34 * DAY_US)
    world.to(START_US + 34 * DAY_US + 1)
    today = 34
    price = dict.fromkeys(range(300), 1)
    taken: dict[int, str] = {}
    for count, ((step, value), number) in enumerate(zip(steps, prices, strict=False)):
        name, now = f"deal {count}", START_US + today * DAY_US
        state = world.core.state
        if step == "sign":
            first, days = max(0, today + value[0]), value[1]
            if first + days <= today:
                continue
            start, end = START_US + first * DAY_US, START_US + (first + days) * DAY_US
            command = world.signing(name, starts_at=start, ends_at=end, overrides=OVERRIDES[number])
            span = range(first, first + days)
            if any(day in taken for day in span):
                assert world.refused(command).reason == Reason.CONTRACTS_OVERLAP
                continue
            world.ask(command)
            taken.update(dict.fromkeys(span, name))
            price.update(dict.fromkeys(span, number or 1))
        elif step in ("amend", "end"):
            going = [day for day in taken if day >= today]
            if not going:
                continue
            deal = taken[min(going)]
            days_of = [day for day, each in taken.items() if each == deal]
            if step == "end":
                if min(days_of) <= today:
                    continue  # within a day, which this list does not know
                world.end(deal)
                for day in days_of:
                    del taken[day]
                    price[day] = 1
                continue
            first = min(max(today + value, min(days_of)), max(days_of))
            world.amend(deal, overrides=OVERRIDES[number], effective_at=START_US + first * DAY_US)
            price.update({day: number or 1 for day in days_of if day >= first})
        elif step == "wait":
            today += value
            world.to(START_US + today * DAY_US + today)
        elif step == "pack":
            body = pack_family(state, ACME, state.settled_before)
            drop_family(state, ACME)
            unpack_family(state, body)
        else:
            day = max(0, today - value)
            if now - START_US - day * DAY_US < 34 * DAY_US:
                at = START_US + day * DAY_US if day < today else state.now
                assert charge(world.use(1, at=at)) == price[day], (day, today)
    world.finish()


# -- minimums of scope contract (rule R2) ----------------------------------------------------------

OF_CONTRACT = Minimum(MinimumScope.CONTRACT, "310")


def charged(world: Signing) -> list[tuple[int, int, int, int]]:
    """(account, minimum, charged, drawn) of each that was settled for a contract."""
    return [
        (event.account, event.minimum, event.charged, sum(each.amount for each in event.slices))
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.MinimumCharged) and event.scope == 4
    ]


@pytest.fixture
def least(world: Signing) -> Signing:
    """The package's card asks for 310 a month of whoever has a contract."""
    publish_minimums(world.core, "plan", (OF_CONTRACT,))
    world.publish("least", plan(1_000, policy=PackagedPolicy(rate_card="plan")))
    return world


def test_a_contracts_minimum_is_of_the_time_that_it_runs(least: Signing) -> None:
    """Rules R2, S1: signed at the 11th, 21 of 31 days of 310 are 210, of which 40 were used; then
    300 of 310 in February; over at its 11th of March, 100 of 31 days."""
    least.to(START_US + 10 * DAY_US)
    least.sign(package="least", starts_at=START_US + 10 * DAY_US, ends_at=MARCH + 10 * DAY_US)
    least.use(40)
    least.to(FEBRUARY + 2 * DAY_US)
    least.use(300)
    least.to(APRIL + 2 * DAY_US)
    last = (ACME, 100, 0, 100)
    assert charged(least) == [(ACME, 210, 40, 170), (ACME, 310, 300, 10), last]


def test_a_contract_may_say_another_minimum(least: Signing) -> None:
    least.sign(package="least", minimum=620, ends_at=MARCH)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 620, 0, 620)]


def test_a_minimum_is_amended_from_an_instant_on(least: Signing) -> None:
    """Rules R2, S1: 620 for 10 of 31 days of January, 930 for 21: 200 + 630; from 15 February, as
    said before its time, what the card says: 14 of 28 days of 930 and of 310."""
    least.sign(package="least", minimum=620, ends_at=MARCH)
    least.to(START_US + 10 * DAY_US)
    amended = least.amend(minimum=930)
    assert (amended.minimum, amended.effective_at) == (930, START_US + 10 * DAY_US)
    least.amend(minimum=0, effective_at=FEBRUARY + 14 * DAY_US)
    assert least.contract().minimums == (
        (START_US, 620), (START_US + 10 * DAY_US, 930), (FEBRUARY + 14 * DAY_US, 0),
    )  # fmt: skip
    least.to(MARCH + 2 * DAY_US)
    assert charged(least) == [(ACME, 830, 0, 830), (ACME, 620, 0, 620)]


def test_a_minimum_of_the_past_counts_where_the_period_is_not_settled(least: Signing) -> None:
    """Rule T2: as of 22 January, said on 1 February, in January's grace; a settled period stays.
    What was said for later goes."""
    least.sign(package="least", minimum=310, ends_at=APRIL)
    least.amend(minimum=3_100, effective_at=MARCH)
    least.to(FEBRUARY + DAY_US // 2)
    least.amend(minimum=620, effective_at=START_US + 21 * DAY_US)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 410, 0, 410)]  # 21 of 31 days of 310, 10 of 620
    least.amend(minimum=6_200, effective_at=START_US + 21 * DAY_US)
    least.to(APRIL + 2 * DAY_US)
    assert charged(least)[1:] == [(ACME, 6_200, 0, 6_200), (ACME, 6_200, 0, 6_200)]


def test_a_minimum_that_the_card_does_not_know_is_refused(world: Signing) -> None:
    world.sign()
    refusal = world.refused(c.AmendContract(world.key(), ACME, "deal", minimum=5))
    assert (refusal.reason, refusal.field, refusal.value) == (
        Reason.CONTRACT_INVALID, "minimum", "5",
    )  # fmt: skip


def test_whoever_has_no_contract_pays_none(least: Signing) -> None:
    least.subscribe("least")
    least.sign(package="least", starts_at=APRIL, ends_at=APRIL + 90 * DAY_US)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == []


def test_a_childs_contract_is_no_part_of_its_parents_minimum(least: Signing) -> None:
    """Rule D8: usage of 30 of a child without, of 40 of one with a contract."""
    for number in (CHILD, 3):
        least.ask(c.CreateAccount(least.key(), TENANT, number, ACME, ACME, e.AccountPolicy()))
    least.sign(package="least")
    least.sign("own", account=3, package="starter", ends_at=FEBRUARY)
    least.use(30, account=CHILD)
    least.use(40, account=3)
    least.to(FEBRUARY + 2 * DAY_US)
    assert charged(least) == [(ACME, 310, 30, 280)]


def test_a_true_up_below_that_is_due_counts_before_a_contract_ends_early(world: Signing) -> None:
    """Rule D7: the child's 40 were to be trued up since 2 February, and nothing was swept: of the
    contract's 100, which end on the 3rd, 60 are left to be."""
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.sign(committed=(committed(100, price=100),))
    below = (e.Segment(START_US, FEBRUARY, 40, 40),)
    world.ask(c.CreateCommitment(world.key(), CHILD, TERMS, below, (), b""))
    world.core.now = FEBRUARY + 2 * DAY_US
    world.core.begin_batch()
    world.end()
    events = [event for _, batch in world.core.batches for event in batch]
    assert [each.amount for each in events if isinstance(each, e.TrueUpCounted)] == [40]
    assert [each.units for each in events if isinstance(each, e.CommitmentEnded)] == [60]
