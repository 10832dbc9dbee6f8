"""Packages: subscriptions, changes of plan, versions, what a period mints (rules P1 to P3, S1)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Known, Refusal
from ledger.core.packages.packaged import (
    Package,
    PackagedExcess,
    PackagedGrant,
    PackagedOverage,
    PackagedPolicy,
    PackagedRollover,
    PackagedUnit,
    PackageVersion,
)
from ledger.core.packing import drop_family, pack_family, unpack_family

ACME = 1
MONTH = 31 * DAY_US
FEBRUARY = START_US + MONTH
HALF = START_US + MONTH // 2


def plan(amount: int, **fields: Any) -> Package:
    return Package(grants=(PackagedGrant("credits", "credits", amount),), **fields)


class World:
    """A core with an account and published packages, and request ids that count up."""

    def __init__(self) -> None:
        self.core = Core()
        self.keys = 0
        self.ask(c.CreateAccount(self.key(), TENANT, ACME, 0, ACME, e.AccountPolicy()))

    def key(self) -> bytes:
        self.keys += 1
        return FAMILY.request(str(self.keys))

    def publish(self, name: str, package: Package, since: int = 0) -> int:
        core = self.core
        version = core.state.configuration.get(TENANT, 0) + 1
        core.run(c.ApplyConfiguration(TENANT, version, b"package"))
        made = PackageVersion(version, core.now, since or core.now, package)
        core.catalog.add_package(TENANT, name, made)
        return version

    def ask(self, command: Any) -> Any:
        outcome = self.core.run(command)
        assert not isinstance(outcome, Refusal), outcome
        return outcome

    def refused(self, command: Any) -> Refusal:
        before = digest(self.core.state)
        outcome = self.core.run(command)
        assert isinstance(outcome, Refusal), outcome
        assert digest(self.core.state) == before
        return outcome

    def subscribe(self, package: str, **fields: Any) -> Any:
        return self.ask(c.Subscribe(self.key(), ACME, package, **fields))

    def change(self, package: str, timing: e.Timing = e.Timing.NOW, **fields: Any) -> Any:
        return self.ask(c.ChangePackage(self.key(), ACME, package, timing, **fields))

    def cancel(self, timing: e.Timing = e.Timing.NOW, **fields: Any) -> Any:
        return self.ask(c.CancelSubscription(self.key(), ACME, timing, **fields))

    def to(self, at: int) -> None:
        self.core.now = at
        self.core.begin_batch()
        self.core.sweep()

    def use(self, tokens: int, product: str = "chat", at: int = 0, account: int = ACME) -> Any:
        core = self.core
        self.keys += 1
        key = FAMILY.usage("test", str(self.keys))
        shape = core.shape(product, "tokens")
        return self.ask(c.RecordUsage(key, account, shape, (tokens,), at or core.now, c.NO_NAMES))

    @property
    def available(self) -> int:
        now = self.core.state.now
        return sum(
            grant.book.available
            for grant in self.core.state.accounts[ACME].grants
            if grant.effective_at <= now < grant.expires_at and not grant.settled
        )

    @property
    def subscription(self) -> Any:
        return self.core.state.accounts[ACME].subscription

    def issued(self) -> list[tuple[int, int]]:
        """(days since the start, amount) of every grant that was issued."""
        return [
            ((event.effective_at - START_US) // DAY_US, event.amount)
            for _, batch in self.core.batches
            for event in batch
            if isinstance(event, e.GrantIssued)
        ]

    def finish(self) -> None:
        """Replay gives the same state, packed and unpacked too, and the books balance."""
        state = self.core.state
        before = digest(state)
        assert digest(replay(self.core.journal())) == before
        body = pack_family(state, ACME, state.settled_before)
        drop_family(state, ACME)
        unpack_family(state, body)
        assert digest(state) == before
        state.books.check()
        assert judged(self.core) == []


@pytest.fixture
def world() -> Any:
    made = World()
    made.publish("starter", plan(100))
    made.publish("pro", plan(300))
    yield made
    made.finish()


# -- periods and versions (rule P1) ----------------------------------------------------------------


def test_every_period_grants_what_the_package_says(world: World) -> None:
    """Rules P1, T1: each period once, from where the subscription began; what is left expires."""
    subscribed = world.subscribe("pro")
    assert [each.amount for each in subscribed.term.issues] == [300]
    assert (subscribed.term.start, subscribed.term.end) == (START_US, FEBRUARY)
    world.use(50)
    assert world.available == 250
    world.to(FEBRUARY - 1)
    assert world.available == 250
    world.to(FEBRUARY)
    world.core.sweep()
    assert (world.available, world.issued()) == (300, [(0, 300), (31, 300)])


def test_a_period_that_nobody_swept_is_there_when_usage_comes(world: World) -> None:
    """Rule T1: what is due on an account is posted before its next decision."""
    world.subscribe("starter")
    world.core.advance(MONTH + 59 * DAY_US - MONTH)
    world.use(1)
    assert world.issued() == [(0, 100), (31, 100), (59, 100)]


def test_followers_get_a_new_version_with_their_next_period_and_pinned_ones_never(
    world: World,
) -> None:
    """Rule P1; grandfathering is a pin."""
    first = world.subscribe("pro").term.version
    second = world.publish("pro", plan(500))
    assert world.available == 300
    world.to(FEBRUARY)
    assert (world.available, world.subscription.version) == (500, second)
    world.change("pro", e.Timing.NEXT_PERIOD, follow=e.Follow.PIN, version=first)
    world.publish("pro", plan(900))
    world.to(START_US + 59 * DAY_US)
    assert (world.available, world.subscription.version) == (300, first)
    world.to(START_US + 90 * DAY_US)
    assert (world.available, world.subscription.version) == (300, first)


def test_who_follows_after_an_instant_keeps_the_version_until_then(world: World) -> None:
    """Rule P1: the lock is for periods that begin before it."""
    world.subscribe("pro", follow=e.Follow.FOLLOW_AFTER, locked_until=START_US + 40 * DAY_US)
    world.publish("pro", plan(500))
    world.to(FEBRUARY)
    assert world.available == 300
    world.to(START_US + 59 * DAY_US)
    assert world.available == 500


def test_a_version_that_is_not_in_force_yet_waits(world: World) -> None:
    """Rule P1: newest that is in force where the period begins."""
    world.subscribe("pro")
    world.publish("pro", plan(500), since=FEBRUARY + 1)
    world.to(FEBRUARY)
    assert world.available == 300
    world.to(START_US + 59 * DAY_US)
    assert world.available == 500


# -- changes of plan (rule P3) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old_grants", "used", "available"),
    [
        (e.OldGrants.KEEP, 0, 250),  # 100 + half of 300
        (e.OldGrants.KEEP, 40, 210),
        (e.OldGrants.FORFEIT_UNUSED, 0, 150),
        (e.OldGrants.FORFEIT_UNUSED, 40, 150),
        (e.OldGrants.PRORATE, 0, 200),  # half of 100 back
        (e.OldGrants.PRORATE, 80, 150),  # of that, the 20 that are there
    ],
)
def test_a_change_now_at_half_of_the_period(
    world: World, old_grants: e.OldGrants, used: int, available: int
) -> None:
    """Rules P3, S1: what the new one grants is the share of the time that is left."""
    world.subscribe("starter")
    if used:
        world.use(used)
    world.to(HALF)
    world.change("pro", old_grants=old_grants)
    assert world.available == available
    world.to(FEBRUARY)
    assert world.available == 300


@pytest.mark.parametrize(
    ("first", "second", "available"),
    [
        # for the quarters: 25 + 25, 75, then 25 that are to come
        (e.OldGrants.PRORATE, e.OldGrants.PRORATE, 150),
        # 100 and 150, of which 25 and 75 go
        (e.OldGrants.KEEP, e.OldGrants.PRORATE, 175),
        # 50 and 150 stay, and 25 come
        (e.OldGrants.PRORATE, e.OldGrants.KEEP, 225),
        (e.OldGrants.PRORATE, e.OldGrants.FORFEIT_UNUSED, 25),
    ],
)
def test_a_second_change_in_a_period_takes_no_time_back_twice(
    world: World, first: e.OldGrants, second: e.OldGrants, available: int
) -> None:
    """Rules P3, S1: from 100 to 300 at half of it, back at three quarters, cancelled at seven
    eighths: of what each change left nothing but the time is taken that was not taken before."""
    world.subscribe("starter")
    world.to(HALF)
    world.change("pro", old_grants=first)
    world.to(START_US + MONTH * 3 // 4)
    world.change("starter", old_grants=second)
    assert world.available == available
    if first == second:
        world.to(START_US + MONTH * 7 // 8)
        world.cancel(old_grants=e.OldGrants.PRORATE)
        assert world.available == 50 + 75 + 25 - 12  # 12.5, half-even


def test_a_change_with_the_end_of_the_period_leaves_the_present_one_alone(world: World) -> None:
    """Rule P3."""
    world.subscribe("pro")
    world.to(HALF)
    changed = world.change("starter", e.Timing.NEXT_PERIOD)
    assert changed.term is None
    assert (world.available, world.subscription.package) == (300, "pro")
    world.to(FEBRUARY)
    assert (world.available, world.subscription.package) == (100, "starter")


def test_flipping_at_once_mints_no_more_than_the_larger_plan(world: World) -> None:
    """Rule P3, whether what was left is kept, forfeited or taken back."""
    world.subscribe("starter")
    world.use(100)
    for turn in range(6):
        world.change(("pro", "starter")[turn % 2], old_grants=e.OldGrants.FORFEIT_UNUSED)
        if world.available:
            world.use(world.available)
    assert sum(amount for _, amount in world.issued()) == 300
    world.cancel()
    world.subscribe("pro")
    assert world.available == 0
    world.to(FEBRUARY)
    assert world.available == 300


def test_what_rolled_over_is_carried_over(world: World) -> None:
    """Rule P3: a change touches the period's own grants alone."""
    rolls = PackagedRollover(1, 2, lifetime_us=90 * DAY_US)
    grant = PackagedGrant("credits", "credits", 100, rollover=rolls)
    world.publish("rolling", Package(grants=(grant,)))
    world.subscribe("rolling")
    world.to(FEBRUARY)
    assert world.available == 150
    world.change("pro", old_grants=e.OldGrants.FORFEIT_UNUSED)
    assert world.available == 350


def test_a_period_of_another_length_begins_with_the_next_one(world: World) -> None:
    """Rule P3: now it is refused, and nothing changed."""
    world.publish("weekly", plan(10, unit=PackagedUnit.WEEK))
    world.subscribe("pro")
    refusal = world.refused(c.ChangePackage(world.key(), ACME, "weekly", e.Timing.NOW))
    assert (refusal.reason, refusal.field) == ("PACKAGE_PERIOD_DIFFERS", "package")
    world.change("weekly", e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY)
    assert world.available == 10
    assert world.subscription.period_end == FEBRUARY + 7 * DAY_US


# -- the end ---------------------------------------------------------------------------------------


def test_cancelled_with_the_period_it_ends_then(world: World) -> None:
    """And a change takes that back."""
    world.subscribe("pro")
    world.cancel(e.Timing.NEXT_PERIOD)
    assert world.available == 300
    world.change("pro", e.Timing.NEXT_PERIOD)
    world.to(FEBRUARY)
    assert world.available == 300
    world.cancel(e.Timing.NEXT_PERIOD)
    world.to(START_US + 59 * DAY_US)
    assert (world.available, world.subscription.over) == (0, True)
    world.to(START_US + 120 * DAY_US)
    assert len(world.issued()) == 2
    world.subscribe("starter")
    assert world.available == 100


def test_cancelled_now_it_keeps_or_gives_back(world: World) -> None:
    """Rules P3, S1."""
    world.subscribe("pro")
    world.to(HALF)
    world.cancel(old_grants=e.OldGrants.PRORATE)
    assert world.available == 150
    world.subscribe("pro")
    assert world.available == 300
    world.cancel()
    assert world.available == 300


# -- policies --------------------------------------------------------------------------------------


def test_a_package_sets_fields_of_the_policy_and_takes_them_out_again(world: World) -> None:
    """Rules P1, P5: what it does not name stays."""
    terms = PackagedPolicy(rate_card="resold", overage=PackagedOverage.SELF, overage_cap=50)
    world.publish("metered", plan(10, policy=terms))
    world.subscribe("metered")
    account = world.core.state.accounts[ACME]
    assert (account.policy.rate_card, account.policy.overage) == ("resold", e.Overage.SELF)
    assert (account.card_key[1], account.policy.overage_cap) == ("resold", 50)
    world.change("starter")
    assert account.policy == e.AccountPolicy()
    world.change("metered")
    world.cancel()
    assert account.policy == e.AccountPolicy()


def test_a_field_that_the_account_was_given_since_holds(world: World) -> None:
    """Rule P1: unless an override holds it."""
    terms = PackagedPolicy(overage=PackagedOverage.SELF, excess=PackagedExcess.BILL)
    world.publish("metered", plan(10, policy=terms))
    world.subscribe("metered")
    own = e.AccountPolicy(overage=e.Overage.PARENT, excess=e.Excess.BILL)
    world.ask(c.UpdatePolicy(world.key(), ACME, own))
    world.publish("metered", plan(10, policy=PackagedPolicy(overage=PackagedOverage.OFF)))
    world.to(FEBRUARY)
    account = world.core.state.accounts[ACME]
    assert account.policy == e.AccountPolicy(overage=e.Overage.PARENT)
    world.cancel()
    assert account.policy == e.AccountPolicy(overage=e.Overage.PARENT)


# -- refusals --------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused(world: World) -> None:
    """A reason, the field and the value, and nothing changed."""
    later = world.publish("later", plan(5), since=FEBRUARY)
    world.publish("strange", Package(grants=(PackagedGrant("a", "nothing", 1),)))

    def found(**fields: Any) -> tuple[str, str, str]:
        given = {"package": "pro", **fields}
        refusal = world.refused(c.Subscribe(world.key(), ACME, **given))
        return str(refusal.reason), refusal.field, refusal.value

    assert found(package="none") == ("PACKAGE_UNKNOWN", "package", "none")
    assert found(version=99, follow=e.Follow.PIN) == (
        "PACKAGE_VERSION_UNKNOWN", "package_version", "99",
    )  # fmt: skip
    assert found(package="later") == ("PACKAGE_VERSION_UNKNOWN", "package", "later")
    assert found(version=later) == ("LOCK_INVALID", "package_version", str(later))
    assert found(follow=e.Follow.FOLLOW_AFTER) == ("LOCK_INVALID", "locked_until_us", "0")
    assert found(locked_until=FEBRUARY)[0] == "LOCK_INVALID"
    assert found(package="strange") == ("ASSET_UNKNOWN", "grants[0].asset", "0")
    change = c.ChangePackage(world.key(), ACME, "pro", e.Timing.NOW)
    assert world.refused(change).reason == "NOT_SUBSCRIBED"
    cancel = c.CancelSubscription(world.key(), ACME, e.Timing.NOW)
    assert world.refused(cancel).reason == "NOT_SUBSCRIBED"
    world.subscribe("pro")
    assert found() == ("SUBSCRIBED_ALREADY", "account", "pro")
    stale = c.ChangePackage(world.key(), ACME, "pro", e.Timing.NOW, expected_version=7)
    assert world.refused(stale).reason == "VERSION_MISMATCH"
    closing = c.CloseAccount(world.key(), ACME, write_off=True)
    assert world.refused(closing).value == "a subscription"


def test_the_same_request_is_the_same_subscription(world: World) -> None:
    """Rule I5: another body under the key is a conflict that names the field."""
    command = c.Subscribe(world.key(), ACME, "pro")
    world.ask(command)
    again = world.core.run(command)
    assert isinstance(again, Known) and world.core.difference(command, again) == ""
    other = c.Subscribe(command.key, ACME, "starter")
    known = world.core.run(other)
    assert isinstance(known, Known) and world.core.difference(other, known) == "package"


# -- properties ------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"),
            st.sampled_from(("small", "middle", "large")),
            st.sampled_from(list(e.OldGrants)),
        ),
        st.tuples(st.just("cancel"), st.sampled_from(list(e.OldGrants))),
        st.tuples(st.just("use"), st.integers(1, 400)),
        st.tuples(st.just("wait"), st.integers(1, 6 * DAY_US)),
        st.tuples(st.just("page")),
    ),
    max_size=14,
)
AMOUNTS = {"small": 70, "middle": 333, "large": 1_000}


@given(_STEPS)
def test_flipping_plans_never_mints_more_than_the_larger_one(steps: list[tuple[Any, ...]]) -> None:
    """Rule P3: what a period grants less what it takes back, of the largest that it had at most."""
    world = World()
    for name, amount in AMOUNTS.items():
        world.publish(name, plan(amount))
    state, had = world.core.state, 0
    ends = 0
    base = 0
    for step in (("change", "small", e.OldGrants.KEEP), *steps):
        verb = step[0]
        if verb == "change":
            running = world.subscription is not None and not world.subscription.over
            if running:
                world.change(step[1], old_grants=step[2])
            else:
                world.subscribe(step[1])
        elif verb == "cancel" and world.subscription and not world.subscription.over:
            world.cancel(old_grants=step[1])
        elif verb == "use":
            world.use(step[1])
        elif verb == "wait":
            world.core.advance(step[1])
            world.core.sweep()
        elif verb == "page":
            body = pack_family(state, ACME, state.settled_before)
            drop_family(state, ACME)
            unpack_family(state, body)
        events = [event for _, batch in world.core.batches for event in batch]
        net = sum(event.amount for event in events if isinstance(event, e.GrantIssued))
        net -= sum(
            event.amount for event in events if isinstance(event, e.GrantReduced | e.GrantVoided)
        )
        subscription = world.subscription
        if subscription.period_end != ends:
            ends, had = subscription.period_end, 0
            base = net - sum(each.released for each in subscription.minted)
        had = max(had, AMOUNTS[subscription.package])
        assert 0 <= net - base <= had
        assert [(each.asset, each.released) for each in subscription.minted] == [
            (CREDITS, net - base)
        ]
    world.finish()


# -- what verify finds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.Subscribed, {"revision": 4}, "version of the subscription"),
        (e.PackageChanged, {"revision": 9}, "version of the subscription"),
        (e.PackageChanged, {"taken": (e.TakenBack(99, 1),)}, "units taken back"),
        (e.PackageChanged, {"term": None}, "change now"),
        (e.SubscriptionCancelled, {"ends_at": START_US}, "end of the subscription"),
        (e.SubscriptionEnded, {"ends_at": START_US}, "end of the subscription"),
    ],
)
def test_verify_finds_what_no_entry_may_say(
    world: World, kind: type, changes: dict[str, Any], what: str
) -> None:
    """Rules P1, P3: each sound entry, broken once."""
    found = _broken(world, kind, lambda event: replace(event, **changes))
    assert any(what in each.what for each in found), found


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.PackagePeriodBegun, {"start": START_US}, "start of the package's period"),
        (e.PackagePeriodBegun, {"remaining": MONTH}, "rest of the package's period"),
        (e.PackageChanged, {"end": FEBRUARY + 1}, "end of the period"),
        (e.PackageChanged, {"minted": (e.Minted(CREDITS, 250, 200),)}, "asset"),
        (e.PackageChanged, {"minted": (e.Minted(CREDITS, 1, 300),)}, "granted by the period"),
        (e.Subscribed, {"issues": ()}, "granted by the period"),
    ],
)
def test_verify_finds_what_no_period_may_say(
    world: World, kind: type, changes: dict[str, Any], what: str
) -> None:
    """Rules P3, S1, T1: figures of a period that do not follow from its entries."""
    found = _broken(world, kind, lambda event: replace(event, term=replace(event.term, **changes)))
    assert any(what in each.what for each in found), found


@pytest.mark.parametrize(("units", "cancels"), [(51, False), (51, True), (50, True)])
def test_verify_finds_more_taken_back_than_the_share_of_the_time(
    world: World, units: int, cancels: bool
) -> None:
    """Rules P3, S1: at half of the period 50 of 100, whatever else the entries say."""
    world.subscribe("starter")
    world.to(HALF)
    if cancels:
        world.cancel(old_grants=e.OldGrants.PRORATE)
    else:
        world.change("starter", old_grants=e.OldGrants.PRORATE)
    assert judged(world.core) == []
    found = _judged_by(world, lambda event: _takes(event, units))
    assert any("units taken back of grant" in each for each in found) == (units > 50), found


def _judged_by(world: World, change: Any) -> list[str]:
    """What verify finds where the last entries say something else."""
    at, events = world.core.batches[-1]
    world.core.batches[-1] = (at, [change(event) for event in events])
    found = judged(world.core, replays=False)
    world.core.batches[-1] = (at, events)
    return [each.what for each in found]


def _takes(event: Any, units: int) -> Any:
    """The same where it takes back other units."""
    if isinstance(event, e.GrantReduced):
        return replace(event, amount=units)
    if isinstance(event, e.PackageChanged | e.SubscriptionCancelled):
        return replace(event, taken=(replace(event.taken[0], amount=units),))
    return event


def test_verify_finds_what_was_taken_back_of_what_is_kept(world: World) -> None:
    def kept(event: Any) -> Any:
        changed = isinstance(event, e.PackageChanged)
        return replace(event, old_grants=e.OldGrants.KEEP) if changed else event

    world.subscribe("starter")
    world.to(HALF)
    world.change("pro", old_grants=e.OldGrants.PRORATE)
    found = _judged_by(world, kept)
    assert any("units taken back" in each for each in found), found


def _broken(world: World, kind: type, change: Any) -> list[Any]:
    """What verify finds where the first entry of that kind says something else."""
    world.subscribe("starter")
    world.to(HALF)
    world.change("pro")
    world.to(FEBRUARY)
    world.cancel(e.Timing.NEXT_PERIOD)
    world.to(START_US + 59 * DAY_US)
    batches = world.core.batches
    for place, (at, events) in enumerate(batches):
        for index, event in enumerate(events):
            if type(event) is kind:
                told = [*events[:index], change(event), *events[index + 1 :]]
                world.core.batches = [*batches[:place], (at, told), *batches[place + 1 :]]
                found = judged(world.core, replays=False)
                world.core.batches = batches
                return found
    raise AssertionError(kind)
