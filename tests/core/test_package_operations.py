"""What each operation may use by the package of an account: with each period by its version, until
the account has a policy of its own or the package no more (rules P1, H4)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, FAMILY, TENANT, replay
from msgspec.structs import replace
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_operation_rules import findings_of
from test_packages import ACME, FEBRUARY, HALF, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.operation_cover import covering
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, OPERATION_IDLE_DEFAULT_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import Package, canonical_bytes, decode_package, validate
from ledger.core.packages.packaged_budgets import (
    PackagedBudget,
    PackagedMeasure,
    PackagedWindow,
    PackagedWindowKind,
)
from ledger.core.packages.packaged_operations import PackagedOperations
from ledger.core.packing import drop_family, pack_family, unpack_family

CHILD = 2


def budget(limit: int, **fields: Any) -> PackagedBudget:
    return PackagedBudget("", PackagedMeasure.CHARGE, limit, "credits", **fields)


def each(limit: int, **fields: Any) -> Package:
    return replace(plan(100), operations=PackagedOperations(budget(limit, **fields)))


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("plain", plan(100))
    made.publish("small", each(10))
    made.publish("large", each(20))
    made.ask(c.CreateAccount(made.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    yield made
    made.finish()


def ask(world: World, tokens: int, operation: str, account: int = ACME) -> Any:
    shape = world.core.shape("chat", "tokens")
    named = FAMILY.operation(operation)
    return world.ask(c.DebitWork(world.key(), account, shape, (tokens,), operation=named))


def left(world: World, operation: str, account: int = ACME) -> tuple[int, int]:
    """What an operation may use still, and the version that gave it; -1 = no budget covers it."""
    state = world.core.state
    named, of = FAMILY.operation(operation), state.accounts[account]
    found = covering(state, of, named, world.core.now)
    if not found:
        return -1, 0
    assert found[0].operation is not None
    return found[0].terms.limit - found[0].counter.posted, found[0].operation.policy


def test_each_operation_of_a_subscriber_has_it(world: World) -> None:
    assert left(world, "a") == (-1, 0)
    term = world.subscribe("small").term
    assert left(world, "a") == (10, term.version)
    denied = ask(world, 11, "a")
    assert denied.reason == Reason.OPERATION_BUDGET_EXCEEDED
    assert (denied.limit.left, denied.limit.value) == (10, (str(term.version),))
    assert isinstance(ask(world, 7, "a"), e.UsageDebited)
    assert left(world, "a") == (3, term.version)
    assert left(world, "b", CHILD) == (10, term.version), "and those of the accounts below"
    assert isinstance(ask(world, 11, ""), e.UsageDebited), "what is of no operation is outside"


def test_a_change_now_counts_for_operations_that_begin_then(world: World) -> None:
    world.subscribe("small")
    ask(world, 7, "a")
    term = world.change("large").term
    assert left(world, "a")[0] == 3, "an operation keeps what it began with"
    assert left(world, "b") == (20, term.version)
    world.change("plain")
    assert left(world, "c") == (-1, 0)
    assert left(world, "a")[0] == 3


def test_a_change_with_the_period_counts_from_then_on(world: World) -> None:
    world.subscribe("small")
    world.change("large", e.Timing.NEXT_PERIOD)
    assert left(world, "a")[0] == 10
    world.to(FEBRUARY)
    assert left(world, "b")[0] == 20


@pytest.mark.parametrize("timing", [e.Timing.NOW, e.Timing.NEXT_PERIOD])
def test_it_ends_with_the_subscription(world: World, timing: e.Timing) -> None:
    world.subscribe("small")
    world.cancel(timing)
    assert left(world, "a")[0] == (-1 if timing is e.Timing.NOW else 10)
    world.to(FEBRUARY)
    assert left(world, "b") == (-1, 0)


def test_a_version_counts_from_the_next_period_of_whoever_follows(world: World) -> None:
    world.subscribe("small", follow=e.Follow.FOLLOW)
    world.to(HALF)
    version = world.publish("small", each(15))
    assert left(world, "a")[0] == 10
    world.to(FEBRUARY)
    assert left(world, "b") == (15, version)


def test_who_bought_the_old_plan_keeps_it(world: World) -> None:
    first = world.subscribe("small", follow=e.Follow.PIN).term.version
    world.publish("small", each(15))
    world.to(FEBRUARY)
    assert left(world, "b") == (10, first)


def test_a_policy_of_its_own_comes_first_and_that_of_the_package_after_it(world: World) -> None:
    world.subscribe("small")
    terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, 50, CREDITS)
    world.ask(c.SetOperationPolicy(world.key(), ACME, terms))
    assert left(world, "a") == (50, 1)
    world.change("large")
    assert left(world, "b") == (50, 1), "no version and no change touches it"
    world.ask(c.SetOperationPolicy(world.key(), ACME, None))
    assert left(world, "c")[0] == 20


def test_that_of_the_child_comes_before_a_policy_of_the_account_above(world: World) -> None:
    terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, 50, CREDITS)
    world.ask(c.SetOperationPolicy(world.key(), ACME, terms))
    assert left(world, "a", CHILD)[0] == 50
    world.ask(c.Subscribe(world.key(), CHILD, "small"))
    assert (left(world, "b", CHILD)[0], left(world, "c")[0]) == (10, 50)


def test_a_contract_brings_that_of_its_package(world: World) -> None:
    world.subscribe("small")
    ends_at = FEBRUARY + 10 * DAY_US
    signed = c.SignContract(world.key(), ACME, "deal", "large", 0, 0, ends_at)
    world.ask(signed)
    assert left(world, "a")[0] == 20
    world.to(ends_at)
    assert left(world, "b") == (-1, 0)


def test_nothing_is_recorded_where_it_stands(world: World) -> None:
    """The same version again with the next period; its idle time is a day unless said."""
    world.subscribe("small")
    world.to(FEBRUARY)
    [said] = recorded(world)
    assert (said.package, said.terms.limit, said.idle) == ("small", 10, OPERATION_IDLE_DEFAULT_US)
    world.cancel()
    assert [each.terms is None for each in recorded(world)] == [False, True]


def recorded(world: World) -> list[e.PackageOperationsSet]:
    batches = world.core.batches
    return [each for _, batch in batches for each in batch if type(each) is e.PackageOperationsSet]


def test_a_family_packed_and_a_replay_have_it(world: World) -> None:
    world.subscribe("small")
    ask(world, 7, "a")
    state = world.core.state
    before, body = digest(state), pack_family(state, ACME, state.settled_before)
    drop_family(state, ACME)
    unpack_family(state, body)
    assert digest(state) == before
    assert pack_family(state, ACME, state.settled_before) == body
    assert left(world, "b")[0] == 10
    assert digest(replay(world.core.journal())) == digest(state)
    assert_is_the_ledger(replayed(world.core, catalog=world.core.catalog), world.core)


def test_every_fault_of_it_is_named() -> None:
    windows = PackagedWindow(PackagedWindowKind.FIXED, length_us=3_600_000_000)
    named = replace(budget(1), name="all")
    for said, paths in (
        (PackagedOperations(budget(5)), []),
        (PackagedOperations(named), ["operations.budget.name"]),
        (PackagedOperations(budget(-1)), ["operations.budget.limit"]),
        (PackagedOperations(replace(budget(1), asset="")), ["operations.budget.asset"]),
        (PackagedOperations(budget(1, window=windows)), ["operations.budget.window"]),
        (
            PackagedOperations(budget(1, group_by=("model",), values_max=5)),
            ["operations.budget.group_by"],
        ),
        (PackagedOperations(budget(1), -1), ["operations.idle_us"]),
        (PackagedOperations(budget(1), 36 * 86_400_000_000), ["operations.idle_us"]),
    ):
        package = replace(plan(10), operations=said)
        assert [fault.path for fault in validate(package)] == paths, said
        assert decode_package(canonical_bytes(package)) == package


def test_a_package_whose_budget_does_not_fit_is_refused(world: World) -> None:
    pearls = PackagedOperations(replace(budget(1), asset="pearls"))
    world.publish("broken", replace(plan(10), operations=pearls))
    refused = world.refused(c.Subscribe(world.key(), ACME, "broken"))
    assert (refused.reason, refused.field, refused.value) == (
        Reason.ASSET_UNKNOWN, "operations.budget.asset", "pearls",
    )  # fmt: skip


def test_no_lease_is_a_way_round_a_hard_one(world: World) -> None:
    world.subscribe("small")
    lease = c.AcquireLease(
        world.key(),
        ACME,
        world.core.shape("chat", e.LEASED_QUANTITY),
        "worker",
        10,
        1,
        0,
        e.LeaseLapse.CHARGE,
    )
    assert world.refused(lease).reason == Reason.LEASE_UNBOUNDED
    world.publish("soft", each(10, hard=False))
    world.change("soft")
    world.ask(lease)


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.PackageOperationsSet, 0, {"idle": 0}, "idle time of an operation"),
        (e.PackageOperationsSet, 0, {"terms": None}, "policy of operations of the package"),
        (e.PackageOperationsSet, 1, {"package": "small", "limit": 10}, "the package"),
        (e.OperationBudgetBegun, 0, {"policy": 99}, "policy of operations"),
        (e.OperationBudgetBegun, 0, {"account": CHILD}, "account of the policy"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, place: int, changes: dict[str, Any], what: str
) -> None:
    world = World()
    world.ask(c.CreateAccount(world.key(), TENANT, CHILD, ACME, ACME, e.AccountPolicy()))
    world.publish("small", each(10))
    world.publish("large", each(20))
    first = world.subscribe("small").term.version
    ask(world, 7, "a")
    world.change("large")
    assert judged(world.core) == []

    def change(event: e.Event) -> e.Event:
        made = dict(changes)
        if "limit" in made:
            assert isinstance(event, e.PackageOperationsSet) and event.terms is not None
            made |= {"terms": replace(event.terms, limit=made.pop("limit")), "version": first}
        return replace(event, **made)

    findings = findings_of(world.core.batches, kind, place, change)
    assert any(what in f"{found.what} {found.expected}" for found in findings), findings
