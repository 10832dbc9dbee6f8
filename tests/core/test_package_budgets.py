"""Budgets that a package carries: set, changed, removed with it (rules P1, P3, H4).

The subscription begins on 1 January, a month of 31 days; February has 28."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, TENANT
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_packages import ACME, FEBRUARY, HALF, World, plan
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.budgeting import budget_of
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import Package, canonical_bytes, decode_package, validate
from ledger.core.packages.packaged_budgets import (
    PackagedBudget,
    PackagedMeasure,
    PackagedValueLimit,
    PackagedWindow,
    PackagedWindowKind,
    PackagedWindowUnit,
)

MARCH = FEBRUARY + 28 * DAY_US
CALLS = PackagedMeasure.REQUESTS


def calls(limit: int, name: str = "calls", **fields: Any) -> PackagedBudget:
    return PackagedBudget(name, CALLS, limit, **fields)


def team(*budgets: PackagedBudget) -> Package:
    return replace(plan(1_000), budgets=budgets)


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("starter", plan(1_000))
    made.publish("team", team(calls(3), calls(90, "spend", hard=False, thresholds=(50,))))
    made.publish("big", team(calls(9)))
    yield made
    made.finish()


def shown(world: World) -> list[tuple[str, int, int, int]]:
    """(name, limit, used, version) of every budget of the account."""
    account = world.core.state.accounts[ACME]
    return sorted(
        (
            each.name,
            each.terms.limit,
            each.counter.within(each.terms.window, world.core.state.now)[0],
            each.version,
        )
        for each in account.budgets
    )


def by_hand(world: World, name: str, limit: int) -> Any:
    terms = e.BudgetTerms(e.BudgetMeasure.REQUESTS, limit)
    return world.ask(c.SetBudget(world.key(), ACME, name, terms))


def authorize(world: World) -> Any:
    return world.core.run(
        c.AuthorizeHold(world.key(), ACME, world.core.shape("chat", "tokens"), (1,), 0)
    )


def test_a_subscription_begins_with_its_budgets(world: World) -> None:
    """Rules P1, H4: they stand before its entry, count from there, and hard ones refuse."""
    world.use(1)
    world.subscribe("team")
    assert shown(world) == [("calls", 3, 0, 1), ("spend", 90, 0, 1)]
    kinds = [type(each) for each in world.core.batches[-1][1]]
    assert kinds.index(e.BudgetSet) < kinds.index(e.Subscribed)
    for _ in range(3):
        world.use(1)
    assert shown(world) == [("calls", 3, 3, 1), ("spend", 90, 3, 1)]
    denied = authorize(world)
    assert isinstance(denied, e.WorkDenied) and denied.limit is not None, denied
    assert (denied.limit.name, denied.limit.left) == ("calls", 0)


def test_a_retried_subscription_is_known(world: World) -> None:
    """What its budgets are recorded by is no key of anybody's."""
    command = c.Subscribe(world.key(), ACME, "team")
    world.ask(command)
    known = world.ask(command)
    event, _ = world.core.recorded(known)
    assert isinstance(event, e.Subscribed)


def test_followers_have_another_limit_with_their_next_period(world: World) -> None:
    """Rules P1, H4: the counter goes on; what is gone from the version is removed."""
    world.subscribe("team")
    for _ in range(3):
        world.use(1)
    world.publish("team", team(calls(5), calls(7, "new")))
    assert shown(world) == [("calls", 3, 3, 1), ("spend", 90, 3, 1)]
    world.to(FEBRUARY)
    assert shown(world) == [("calls", 5, 3, 2), ("new", 7, 0, 1)]
    world.to(MARCH)
    assert shown(world) == [("calls", 5, 3, 2), ("new", 7, 0, 1)]  # nothing is said twice


def test_pinned_ones_keep_theirs(world: World) -> None:
    """Rule P1."""
    first = world.publish("team", team(calls(4)))
    world.subscribe("team", follow=e.Follow.PIN, version=first)
    world.publish("team", team(calls(8)))
    world.to(FEBRUARY)
    assert shown(world) == [("calls", 4, 0, 1)]


def test_what_counts_something_else_begins_anew(world: World) -> None:
    """Measure, filters and windows of a counter are fixed: removed, and set by another number."""
    world.subscribe("team")
    world.use(1)
    before = budget_of(world.core.state.accounts[ACME], "calls")
    world.publish("team", team(calls(3, products=("chat",))))
    world.to(FEBRUARY)
    after = budget_of(world.core.state.accounts[ACME], "calls")
    assert before is not None
    assert after is not None
    assert after.number > before.number
    assert shown(world) == [("calls", 3, 0, 1)]


def test_another_package_takes_over_what_was_used(world: World) -> None:
    """Rule P3: budget counters carry over; the old package's other budgets go."""
    world.subscribe("team")
    world.use(1)
    world.to(HALF)
    world.change("big")
    assert shown(world) == [("calls", 9, 1, 2)]
    world.change("starter", e.Timing.NEXT_PERIOD)
    assert shown(world) == [("calls", 9, 1, 2)]
    world.to(FEBRUARY)
    assert shown(world) == []


@pytest.mark.parametrize("timing", list(e.Timing))
def test_they_end_with_the_subscription(world: World, timing: e.Timing) -> None:
    """Now, or with its period."""
    world.subscribe("team")
    world.cancel(timing)
    assert bool(shown(world)) == (timing == e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY)
    assert shown(world) == []


def test_what_somebody_has_set_by_hand_holds(world: World) -> None:
    """No version, change or end of the subscription touches it, as a field of the policy."""
    by_hand(world, "spend", 1)
    world.subscribe("team")
    by_hand(world, "calls", 2)
    assert shown(world) == [("calls", 2, 0, 2), ("spend", 1, 0, 1)]
    world.publish("team", team(calls(7), calls(7, "spend"), calls(7, "own")))
    world.to(FEBRUARY)
    assert shown(world) == [("calls", 2, 0, 2), ("own", 7, 0, 1), ("spend", 1, 0, 1)]
    world.change("big")
    world.cancel()
    assert shown(world) == [("calls", 2, 0, 2), ("spend", 1, 0, 1)]


@pytest.mark.parametrize("timing", list(e.Timing))
def test_that_of_a_mandate_outlives_the_package(world: World, timing: e.Timing) -> None:
    """No entry of a package touches it, neither one that says so, and verify knows that."""
    world.publish("agents", team(calls(7, e.MANDATE_BUDGET)))
    world.subscribe("team")
    world.ask(c.GrantMandate(world.key(), ACME, e.MandateTerms(CREDITS, 40)))
    world.change("agents")
    world.cancel(timing)
    world.to(FEBRUARY)
    assert shown(world) == [(e.MANDATE_BUDGET, 40, 0, 1)]


def test_verify_finds_a_package_that_touches_that_of_a_mandate(world: World) -> None:
    world.subscribe("team")
    world.ask(c.GrantMandate(world.key(), ACME, e.MandateTerms(CREDITS, 40)))
    world.cancel()
    [of_mandate] = world.core.state.accounts[ACME].budgets
    fields = {"budget": of_mandate.number, "name": of_mandate.name}
    found = _told_otherwise(world, e.BudgetRemoved, fields)
    assert any("budget that goes with a package" in each.what for each in found), found


def test_one_that_was_removed_by_hand_comes_back_with_the_period(world: World) -> None:
    """The next period has what its version says."""
    world.subscribe("big")
    world.use(1)
    world.ask(c.RemoveBudget(world.key(), ACME, "calls"))
    assert shown(world) == []
    world.to(FEBRUARY)
    assert shown(world) == [("calls", 9, 0, 1)]


def test_what_an_account_cannot_have_is_refused(world: World) -> None:
    """By the place of the budget: an asset that is not there or is no money; no room."""
    world.publish(
        "broken", team(calls(1), PackagedBudget("x", PackagedMeasure.CHARGE, 1, "pearls"))
    )
    refusal = world.refused(c.Subscribe(world.key(), ACME, "broken"))
    assert (refusal.reason, refusal.field, refusal.value) == (
        "ASSET_UNKNOWN", "budgets[1].asset", "pearls",
    )  # fmt: skip
    world.publish("costly", team(PackagedBudget("x", PackagedMeasure.COST, 1, "credits")))
    world.subscribe("starter")
    refusal = world.refused(c.ChangePackage(world.key(), ACME, "costly", e.Timing.NOW))
    assert (refusal.reason, refusal.field) == ("ASSET_KIND_INVALID", "budgets[0].asset")
    for place in range(63):
        by_hand(world, f"own {place}", 1)
    refusal = world.refused(c.ChangePackage(world.key(), ACME, "team", e.Timing.NOW))
    assert (refusal.reason, refusal.field, refusal.value) == (
        "BUDGETS_LIMIT", "budgets[1].name", "spend",
    )  # fmt: skip
    world.change("big")
    world.publish("other", team(calls(1, "other")))
    world.change("other")  # in the place of the one that goes
    assert [each[0] for each in shown(world) if "own" not in each[0]] == ["other"]


def test_a_version_without_room_leaves_a_follower_at_its_own(world: World) -> None:
    """Rule P1: as with any version that an account may not have."""
    world.subscribe("big")
    for place in range(63):
        by_hand(world, f"own {place}", 1)
    version = world.subscription.version
    world.publish("big", team(calls(9), calls(1, "more")))
    world.to(FEBRUARY)
    assert (world.subscription.version, len(shown(world))) == (version, 64)
    world.ask(c.RemoveBudget(world.key(), ACME, "own 0"))
    world.to(MARCH)
    assert (world.subscription.version > version, len(shown(world))) == (True, 64)


def test_accounts_below_count_towards_the_room_and_in_the_budget(world: World) -> None:
    """A budget binds the whole subtree (rule H4)."""
    world.ask(c.CreateAccount(world.key(), TENANT, 2, ACME, ACME, e.AccountPolicy()))
    terms = e.BudgetTerms(e.BudgetMeasure.REQUESTS, 5)
    for place in range(63):
        world.ask(c.SetBudget(world.key(), 2, f"below {place}", terms))
    refusal = world.refused(c.Subscribe(world.key(), ACME, "team"))
    assert (refusal.reason, refusal.field) == ("BUDGETS_LIMIT", "budgets[1].name")
    world.ask(c.RemoveBudget(world.key(), 2, "below 0"))
    world.subscribe("team")


def test_charges_by_the_calendar_and_with_filters_are_as_they_were_said(world: World) -> None:
    """Every field is that of the budget's terms."""
    said = PackagedBudget(
        "monthly",
        PackagedMeasure.CHARGE,
        500,
        "credits",
        hard=False,
        window=PackagedWindow(
            PackagedWindowKind.CALENDAR, PackagedWindowUnit.MONTH, "Europe/Berlin"
        ),
        products=("chat",),
        tags=("ai",),
        attributes=(("region", "eu"),),
        thresholds=(50, 100),
    )
    assert decode_package(canonical_bytes(team(said))) == team(said)
    world.publish("full", team(said))
    world.subscribe("full")
    budget = budget_of(world.core.state.accounts[ACME], "monthly")
    assert budget is not None
    assert budget.terms == e.BudgetTerms(
        e.BudgetMeasure.CHARGE,
        500,
        CREDITS,
        "",
        False,
        e.Window(e.WindowKind.CALENDAR, e.WindowUnit.MONTH, "Europe/Berlin"),
        ("chat",),
        ("ai",),
        (("region", "eu"),),
        (50, 100),
    )


@pytest.mark.parametrize(
    ("kind", "change", "what"),
    [
        (e.BudgetSet, {"key": b"k" * 16}, "budget that goes with a package"),
        (e.BudgetSet, {"version": 2}, "version of the budget"),
        (e.SubscriptionCancelled, None, "entry of the package whose budgets stand before it"),
        (e.BudgetRemoved, None, "budget of a package that ends"),
    ],
)
def test_verify_finds_what_no_package_may_do(
    world: World, kind: type, change: dict[str, Any] | None, what: str
) -> None:
    """Each sound entry, broken or left out (None) once."""
    world.subscribe("team")
    world.cancel()
    world.to(HALF)
    world.use(1)
    found = _told_otherwise(world, kind, change)
    assert any(what in each.what for each in found), found


def test_verify_finds_a_package_that_touches_what_was_set_by_hand(world: World) -> None:
    """Rule P1."""
    world.subscribe("big")
    by_hand(world, "calls", 2)
    by_hand(world, "calls", 3)
    found = _told_otherwise(world, e.BudgetSet, {"key": b""})
    assert any("budget that a package changes" in each.what for each in found), found


def _told_otherwise(world: World, kind: type, change: dict[str, Any] | None) -> list[Any]:
    """What verify finds where the last entry of that kind says something else, or is not there."""
    batches = world.core.batches
    for place in reversed(range(len(batches))):
        at, events = batches[place]
        for index in reversed(range(len(events))):
            if isinstance(events[index], kind):
                instead = [] if change is None else [replace(events[index], **change)]
                told = [*events[:index], *instead, *events[index + 1 :]]
                world.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
                found = judged(world.core, replays=False)
                world.core.batches = batches
                return found
    raise AssertionError(kind)


NAMES = ("a", "b")
SAID = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), max_size=2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("xy"), SAID),
        st.tuples(st.just("take"), st.sampled_from("xy"), st.booleans()),
        st.tuples(st.just("cancel"), st.booleans()),
        st.tuples(st.just("set"), st.sampled_from(NAMES), st.integers(1, 9)),
        st.tuples(st.just("remove"), st.sampled_from(NAMES)),
        st.tuples(st.just("use")),
        st.tuples(st.just("period")),
    ),
    max_size=14,
)


class Model:
    """What budgets an account has: limit, used, whether by a package; said once more, plainly."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, int]] = {"x": {"a": 1}, "y": {"a": 2, "b": 3}}
        self.budgets: dict[str, tuple[int, int, bool]] = {}
        self.package = ""
        self.following: str | None = None  # from the next period on; "" = none

    def begin(self, package: str) -> None:
        self.package, self.following = package, None
        said = self.versions[package] if package else {}
        for name, (_, _, packaged) in list(self.budgets.items()):
            if packaged and name not in said:
                del self.budgets[name]
        for name, limit in said.items():
            _, used, packaged = self.budgets.get(name, (0, 0, True))
            if packaged:
                self.budgets[name] = (limit, used, True)

    def shown(self) -> list[tuple[str, int, int]]:
        return sorted((name, limit, used) for name, (limit, used, _) in self.budgets.items())


@given(STEPS)
def test_budgets_are_those_of_a_plain_model(steps: list[tuple[Any, ...]]) -> None:
    """Rules P1, P3, H4: whatever is published, taken, set by hand and used, in whatever order."""
    world, model = World(), Model()
    for name, said in model.versions.items():
        world.publish(name, team(*[calls(limit, each) for each, limit in said.items()]))
    for verb, *given_ in steps:
        if verb == "publish":
            name, said = given_
            world.publish(name, team(*[calls(limit, each) for each, limit in said.items()]))
            model.versions[name] = said
        elif verb == "take" and not model.package:
            world.subscribe(given_[0])
            model.begin(given_[0])
        elif verb == "take":
            now = given_[1]
            world.change(given_[0], e.Timing.NOW if now else e.Timing.NEXT_PERIOD)
            if now:
                model.begin(given_[0])
            else:
                model.following = given_[0]
        elif verb == "cancel" and model.package:
            world.cancel(e.Timing.NOW if given_[0] else e.Timing.NEXT_PERIOD)
            if given_[0]:
                model.begin("")
            else:
                model.following = ""
        elif verb == "set":
            name, limit = given_
            by_hand(world, name, limit)
            model.budgets[name] = (limit, model.budgets.get(name, (0, 0, False))[1], False)
        elif verb == "remove" and given_[0] in model.budgets:
            world.ask(c.RemoveBudget(world.key(), ACME, given_[0]))
            del model.budgets[given_[0]]
        elif verb == "use":
            world.use(1)
            for name, (limit, used, packaged) in model.budgets.items():
                model.budgets[name] = (limit, used + 1, packaged)
        elif verb == "period" and model.package:
            following = model.following
            world.to(world.subscription.period_end)
            model.begin(model.package if following is None else following)
        assert [each[:3] for each in shown(world)] == model.shown(), (verb, given_)
    world.finish()


def test_every_fault_of_packaged_budgets_is_named() -> None:
    """With its place, as of any package."""
    fixed = PackagedWindow(PackagedWindowKind.FIXED)
    broken = team(
        calls(1),
        calls(-1),
        calls(1, "a", asset="credits"),
        calls(1, "b", quantity="tokens"),
        calls(1, "c", window=fixed),
        calls(1, "d", thresholds=(50, 50)),
        PackagedBudget("e", PackagedMeasure.CHARGE, 1),
        calls(1, ""),
    )
    assert [(each.path, each.reason) for each in validate(broken)] == [
        ("budgets[1].limit", "BUDGET_INVALID"),
        ("budgets[2].asset", "BUDGET_INVALID"),
        ("budgets[3].quantity", "BUDGET_INVALID"),
        ("budgets[4].window.length_us", "BUDGET_INVALID"),
        ("budgets[5].thresholds", "BUDGET_INVALID"),
        ("budgets[6].asset", "NAME_EMPTY"),
        ("budgets[7].name", "NAME_EMPTY"),
        ("budgets[1].name", "NAME_REPEATED"),
    ]


def test_a_contract_takes_budgets_over_and_ends_them(world: World) -> None:
    """Rules P5, H4: the counter goes on from package to contract; its end takes them away."""
    world.subscribe("team")
    world.use(1)
    world.ask(c.SignContract(world.key(), ACME, "deal", "big", 0, 0, MARCH))
    assert shown(world) == [("calls", 9, 1, 2)]
    world.to(FEBRUARY)
    assert shown(world) == [("calls", 9, 1, 2)]
    world.to(MARCH)
    assert shown(world) == []


def test_a_contract_that_is_ended_early_ends_its_budgets(world: World) -> None:
    """As the end of a subscription does."""
    world.ask(c.SignContract(world.key(), ACME, "deal", "big", 0, 0, MARCH))
    by_hand(world, "own", 1)
    world.ask(c.EndContract(world.key(), ACME, "deal"))
    assert shown(world) == [("own", 1, 0, 1)]


def test_its_journal_decided_again_makes_the_same_entries(world: World) -> None:
    """What a package sets and removes follows from it, and is asked for by nobody."""
    world.publish("team", team(calls(5), calls(7, "new")), since=FEBRUARY)
    world.subscribe("team")
    world.use(1)
    world.to(FEBRUARY)
    by_hand(world, "new", 8)
    world.use(1)
    world.change("big")
    world.use(1)
    world.ask(c.RemoveBudget(world.key(), ACME, "new"))
    world.cancel(e.Timing.NEXT_PERIOD)
    world.to(MARCH)
    again = replayed(world.core, catalog=world.core.catalog, faithfully=True)
    assert_is_the_ledger(again, world.core)


def by_value(limit: int, most: int, *limits: tuple[str, int], **fields: Any) -> PackagedBudget:
    named = tuple([PackagedValueLimit((user,), its) for user, its in limits])
    return calls(limit, group_by=("user",), values_max=most, value_limits=named, **fields)


def of_user(world: World, user: str) -> Any:
    shape = world.core.shape("chat", "tokens", attributes=(("user", user),))
    return world.core.run(c.AuthorizeHold(world.key(), ACME, shape, (1,), 0))


def test_a_package_carries_budgets_by_value(world: World) -> None:
    """Rules P1, H5: other limits, also of some values, and another number of values are the same
    budget, whose counters go on; other attributes begin anew, all together too."""
    world.publish("team", team(by_value(1, 2, ("vip", 2))))
    world.subscribe("team")
    assert isinstance(of_user(world, "ann"), e.HoldAuthorized)
    assert isinstance(of_user(world, "ann"), e.WorkDenied)
    assert isinstance(of_user(world, "vip"), e.HoldAuthorized)
    world.publish("team", team(by_value(2, 3, ("vip", 1))))
    world.to(FEBRUARY)
    budget = budget_of(world.core.state.accounts[ACME], "calls")
    assert budget is not None and budget.values is not None
    assert (budget.version, budget.values.said.values_max) == (2, 3)
    assert isinstance(of_user(world, "ann"), e.HoldAuthorized)
    assert isinstance(of_user(world, "ann"), e.HoldAuthorized)
    assert isinstance(of_user(world, "ann"), e.WorkDenied)
    world.publish("team", team(calls(2)))
    world.to(MARCH)
    after = budget_of(world.core.state.accounts[ACME], "calls")
    assert after is not None and after.values is None and after.number > budget.number
    assert not [each for each in world.core.state.families[ACME].budgets.values() if each.of]


def test_what_a_package_says_of_values_is_looked_at_as_it_is_published() -> None:
    """Each fault by its place; what was published stays as it was."""
    whole = by_value(1, 2, ("vip", 2))
    assert not validate(team(whole))
    assert decode_package(canonical_bytes(team(whole))) == team(whole)
    for wrong, place in (
        (by_value(1, 0), "budgets[0].values_max"),
        (by_value(1, 10_001), "budgets[0].values_max"),
        (by_value(1, 2, ("a", -1)), "budgets[0].value_limits"),
        (calls(1, values_max=5), "budgets[0].group_by"),
        (calls(1, group_by=("a", "b", "c"), values_max=5), "budgets[0].group_by"),
    ):
        assert [(each.path, each.reason) for each in validate(team(wrong))] == [
            (place, "BUDGET_INVALID")
        ]
