"""Meters with levels: the largest value and different values of a scope, late, repeated, reversed
(rules N4, R1, I1, D3)."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from core_world import FAMILY, START_US, TENANT, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import replayed, totals
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.account import LEVEL_SCOPE
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, LEVELS_AN_ACCOUNT_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packing import pack_family
from ledger.core.pricing.repricing import Job
from rating.functions import SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD

ACME, BETA = 1, 2
MONTH_US = 31 * DAY_US
KEYS = FAMILY.level


class World:
    """Two accounts, what they have, and reports of them: of `seats` the largest value counts, of
    `user` each different one."""

    def __init__(self) -> None:
        self.core = Core()
        self.ids = count(1)
        for number in (ACME, BETA):
            policy = e.AccountPolicy(overage=e.Overage.SELF)
            self.core.run(
                c.CreateAccount(FAMILY.request(f"a{number}"), TENANT, number, 0, number, policy)
            )

    def command(self, value: int, **options: Any) -> c.MeteredUsage:
        user = options.get("user", "")
        named = f"users {user}" if user else options.get("named", "seats")
        level = c.Level(0, KEYS(named.encode()), options.get("scope", SCOPE_MONTH))
        event_id = options.get("id") or f"r{next(self.ids)}"
        return c.MeteredUsage(
            FAMILY.usage("s", event_id),
            options.get("account", ACME),
            self.core.shape(options.get("product", "chat"), "tokens"),
            (value,),
            options.get("at", 0),
            c.Names("s", event_id),
            levels=(level,),
        )

    def report(self, value: int, **options: Any) -> int:
        """What a report counts, which is also what it is charged."""
        self.core.advance(1)
        outcome = self.core.run(self.command(value, **options))
        assert isinstance(outcome, e.UsageRecorded), outcome
        assert sum(piece.amount for piece in outcome.slices) == outcome.quantities[0]
        return outcome.quantities[0]

    def reverse(self, event_id: str, *quantities: int) -> None:
        known = self.core.state.keys.find(FAMILY.usage("s", event_id))
        assert known is not None
        self.core.advance(1)
        outcome = self.core.run(
            c.ReverseUsage(
                FAMILY.request(f"reverse {next(self.ids)}"),
                ACME,
                self.core.original(known),
                quantities,
            )
        )
        assert isinstance(outcome, e.UsageReversed), outcome

    def level(self, named: str, start: int = START_US) -> int:
        return self.core.state.accounts[ACME].scoped.get(
            (KEYS(named.encode()), LEVEL_SCOPE, start), 0
        )

    def check(self) -> None:
        """The journal says all of it: a replay is the same state, and breaks no rule."""
        self.core.state.books.check()
        again = replay(self.core.journal())
        assert digest(again) == digest(self.core.state)
        assert judged(self.core) == []
        for root in (ACME, BETA):
            packed = pack_family(self.core.state, root, self.core.state.settled_before)
            assert packed == pack_family(again, root, again.settled_before)


@pytest.fixture
def world() -> World:
    return World()


def test_the_largest_value_of_a_month_counts_once(world: World) -> None:
    """Whatever is at or below it counts nothing, and is recorded all the same."""
    assert [world.report(value) for value in (4, 10, 10, 3, 12)] == [4, 6, 0, 0, 2]
    assert world.level("seats") == 12
    world.check()


def test_different_values_count_once_each(world: World) -> None:
    users = ("ada", "bob", "ada", "cid", "bob")
    assert [world.report(1, user=user) for user in users] == [1, 1, 0, 1, 0]
    world.check()


@pytest.mark.parametrize(
    ("scope", "later", "counts"),
    [
        (SCOPE_DAY, DAY_US, 5),
        (SCOPE_MONTH, DAY_US, 0),
        (SCOPE_MONTH, MONTH_US, 5),
        (SCOPE_PERIOD, DAY_US, 0),
        (SCOPE_PERIOD, MONTH_US, 5),
    ],
)
def test_a_scope_begins_anew(world: World, scope: int, later: int, counts: int) -> None:
    assert world.report(5, scope=scope) == 5
    world.core.advance(later)
    assert world.report(5, scope=scope) == counts
    world.check()


def test_a_late_report_counts_in_the_scope_of_its_own_time(world: World) -> None:
    """In whatever order reports come, a scope counts its largest value."""
    world.core.advance(MONTH_US)
    assert world.report(7) == 7
    assert world.report(9, at=START_US + DAY_US) == 9
    assert world.report(11, at=START_US + 2 * DAY_US) == 2
    assert world.level("seats") == 11
    assert world.report(8) == 1
    world.check()


def test_accounts_and_meters_have_levels_of_their_own(world: World) -> None:
    assert world.report(5) == 5
    assert world.report(5, account=BETA) == 5
    assert world.report(5, named="storage") == 5
    world.check()


def test_the_same_report_again_is_the_first_outcome(world: World) -> None:
    """Rule I1: its body is what was reported, whatever that counted; another value conflicts."""
    world.report(10)
    assert world.report(12, id="twice") == 2
    assert world.report(20) == 8

    def again(**options: Any) -> str:
        command = world.command(options.pop("value", 12), id="twice", **options)
        known = world.core.run(command)
        assert isinstance(known, Known)
        return world.core.difference(command, known)

    assert again() == ""
    assert again(value=2) == "quantities"
    assert again(named="storage") == "properties"
    plain = c.RecordUsage(
        FAMILY.usage("s", "twice"), ACME, world.core.shape("chat", "tokens"), (2,), 0, c.NO_NAMES
    )
    known = world.core.run(plain)
    assert isinstance(known, Known)
    assert world.core.difference(plain, known) == "properties"
    world.check()


def test_a_reversal_takes_off_the_level_what_it_gives_back(world: World) -> None:
    """Rule D3: so that what counts is never more than the largest value that still stands."""
    world.report(4, id="a")
    world.report(10, id="b")
    world.reverse("b")
    assert world.level("seats") == 4
    assert world.report(8) == 4
    world.reverse("a", 3)
    assert world.level("seats") == 5
    assert world.report(8) == 3
    world.check()


def test_a_value_that_was_given_back_counts_with_its_next_event(world: World) -> None:
    world.report(1, user="ada", id="first")
    assert world.report(1, user="ada") == 0
    world.reverse("first")
    assert world.report(1, user="ada") == 1
    world.check()


def test_what_counted_nothing_has_nothing_to_give_back(world: World) -> None:
    world.report(4)
    world.report(3, id="below")
    known = world.core.state.keys.find(FAMILY.usage("s", "below"))
    assert known is not None
    command = c.ReverseUsage(FAMILY.request("r"), ACME, world.core.original(known))
    outcome = world.core.run(command)
    assert isinstance(outcome, Refusal)
    assert outcome.reason == Reason.CORRECTION_TOO_LARGE
    world.check()


def test_goodwill_and_amendments_leave_and_lower_the_level(world: World) -> None:
    """Goodwill leaves the quantities, and so the level; an amendment gives all of it back, and what
    stands in its stead is no report."""
    world.report(6, id="a")
    known = world.core.state.keys.find(FAMILY.usage("s", "a"))
    assert known is not None
    original = world.core.original(known)
    goodwill = c.ReverseUsage(FAMILY.request("g"), ACME, original, as_charged=2)
    assert isinstance(world.core.run(goodwill), e.UsageReversed)
    assert world.level("seats") == 6
    key, shape = FAMILY.usage("s", "instead"), world.core.shape("chat", "tokens")
    usage = c.RecordUsage(key, ACME, shape, (1,), world.core.now, c.NO_NAMES)
    amended = world.core.run(c.AmendUsage(FAMILY.request("m"), ACME, original, usage, b"body"))
    assert isinstance(amended, e.UsageReversed)
    assert world.level("seats") == 0
    world.check()


def test_a_report_that_waits_for_a_price_has_counted(world: World) -> None:
    """Rule B8: the quantity is known; what it costs is not."""
    world.core.advance(1)
    outcome = world.core.run(world.command(5, product="unheard of"))
    assert isinstance(outcome, e.UsageRecorded)
    assert (outcome.quantities, outcome.charges) == ((5,), (-1,))
    assert world.level("seats") == 5
    world.check()


def test_beyond_the_limit_a_new_level_counts_nothing(world: World) -> None:
    """In the customer's favour: recorded usage is never refused, and nothing is counted twice."""
    levels = world.core.state.accounts[ACME].scoped
    assert world.report(1, user="early") == 1
    for number in range(LEVELS_AN_ACCOUNT_MAX - 1):
        levels[number, LEVEL_SCOPE, START_US] = 1
    assert world.report(1, user="one too many") == 0
    assert world.report(1, user="early") == 0
    assert world.level("users one too many") == 0
    old = START_US - 400 * DAY_US  # forgotten: it takes no room
    del levels[0, LEVEL_SCOPE, START_US]
    levels[0, LEVEL_SCOPE, old] = 1
    assert world.report(1, user="one more") == 1
    assert (0, LEVEL_SCOPE, old) not in world.core.state.accounts[ACME].scoped


def test_reports_too_old_are_quarantined_as_they_were_reported(world: World) -> None:
    world.core.advance(60 * DAY_US)
    command = world.command(5, at=START_US, id="old")
    outcome = world.core.run(command)
    assert isinstance(outcome, e.UsageQuarantined)
    assert outcome.quantities == (5,)
    known = world.core.run(command)
    assert isinstance(known, Known)
    assert world.core.difference(command, known) == ""
    world.check()


REPORTS = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([0, DAY_US, 20 * DAY_US]), st.booleans()),
    max_size=12,
)


@given(REPORTS, st.permutations(range(12)))
def test_reports_in_one_batch_or_one_by_one_in_any_order_count_the_same_in_all(
    reports: list[tuple[int, int, bool]], order: list[int]
) -> None:
    """What counts in a scope is its largest value, and how many different ones there were."""
    totals = []
    for batched, turned in ((False, False), (True, False), (True, True)):
        world = World()
        world.core.advance(25 * DAY_US)
        total = 0
        given = [reports[i] for i in order if i < len(reports)] if turned else reports
        for value, at, unique in given:
            options: dict[str, Any] = {"at": START_US + at, "scope": SCOPE_DAY}
            if unique:
                options["user"] = f"user {value}"
            if batched:
                outcome = world.core.run(world.command(1 if unique else value, **options))
                assert isinstance(outcome, e.UsageRecorded)
                total += outcome.quantities[0]
            else:
                total += world.report(1 if unique else value, **options)
        world.check()
        totals.append(total)
    expected = 0
    for day in {at for _, at, _ in reports}:
        of_day = [(value, unique) for value, at, unique in reports if at == day]
        expected += max([value for value, unique in of_day if not unique], default=0)
        expected += len({value for value, unique in of_day if unique})
    assert totals == [expected] * 3


def test_prices_tried_on_reports_keep_what_they_counted(world: World) -> None:
    """What meters count is a fact of the journal; a candidate prices it."""
    key, shape = FAMILY.usage("s", "opens the books"), world.core.shape("chat", "tokens")
    world.core.run(c.RecordUsage(key, ACME, shape, (1,), 0, c.NO_NAMES))
    for value in (4, 10, 12):
        world.report(value, id=f"seats {value}")
    world.reverse("seats 10")
    world.report(12)
    again = replayed(world.core, faithfully=True).state.accounts[ACME]
    assert again.scoped == world.core.state.accounts[ACME].scoped != {}


@pytest.mark.parametrize("rate_card", ["", "resold"])
@pytest.mark.parametrize("plainly", [True, False])
def test_a_report_that_counts_nothing_more_is_repeated(rate_card: str, plainly: bool) -> None:
    """It is no usage of nothing, which a caller is refused: it stands on both sides, whatever is
    tried (row C8), with what its provider takes too."""
    world = World()
    policy = e.AccountPolicy(rate_card, overage=e.Overage.SELF)
    world.core.run(c.UpdatePolicy(FAMILY.request("card"), ACME, policy))
    for value in (4, 4, 3):
        world.report(value)
    replay = replayed(world.core, plainly=plainly)
    assert totals(replay.state) == totals(world.core.state)
    found = replay.close(10)
    assert found.not_repeated == [] and found.usage_events == 3
    assert found.costed.old == found.costed.new == (3 if rate_card else 0)


def test_usage_that_is_rated_again_keeps_what_it_counted(world: World) -> None:
    """Rule R7: neither a report in between nor one after counts again; a reversal of what stands
    now takes it off."""
    for value in (4, 10, 12):
        world.report(value, id=f"seats {value}")
    known = world.core.state.keys.find(FAMILY.usage("s", "seats 10"))
    assert known is not None
    world.core.reprice("chat", "tokens", "3")
    job = Job("contract", "default", world.core.versions)
    shape = world.core.shape("chat", "tokens")
    take, put = job.commands_of(FAMILY, world.core.original(known), shape, (6,))
    assert isinstance(world.core.run(take), e.UsageReversed)
    assert world.level("seats") == 12
    again = world.core.run(put)
    assert isinstance(again, e.UsageRepriced)
    assert sum(piece.amount for piece in again.slices) == 18
    known = world.core.run(put)
    assert isinstance(known, Known)
    assert world.core.difference(put, known) == ""
    command = c.ReverseUsage(FAMILY.request("r"), ACME, world.core.original(known.locator), (5,))
    assert isinstance(world.core.run(command), e.UsageReversed)
    assert world.level("seats") == 7
    world.check()


STEPS = st.lists(
    st.tuples(st.sampled_from(["seats", "disks"]), st.integers(1, 9), st.integers(0, 9)),
    max_size=14,
)


@given(STEPS)
def test_a_level_is_what_stands_of_what_was_counted(steps: list[tuple[str, int, int]]) -> None:
    """Reports and reversals of parts of them, in any order: a report counts what is above what
    stands of its meter, and never more than that is given back."""
    world = World()
    standing: dict[str, dict[str, int]] = {"seats": {}, "disks": {}}
    for number, (named, value, undone) in enumerate(steps):
        events = standing[named]
        left = [each for each, units in events.items() if units]
        if undone and left:
            event_id = left[undone % len(left)]
            part = min(value, events[event_id])
            world.reverse(event_id, part)
            events[event_id] -= part
        else:
            event_id = f"{named} {number}"
            level = sum(events.values())
            events[event_id] = world.report(value, named=named, id=event_id)
            assert events[event_id] == max(0, value - level)
        assert world.level(named) == sum(events.values())
    world.check()


def _changed(event: e.Event, kind: type, **changes: Any) -> e.Event:
    return replace(event, **changes) if isinstance(event, kind) else event


@pytest.mark.parametrize(
    ("kind", "changes", "found"),
    [
        (e.UsageMetered, {"moves": (e.LevelMove(0, KEYS(b"seats"), START_US, 9, 3),)}, "counted"),
        (e.UsageMetered, {"moves": ()}, "taken off a level"),
        (e.UsageMetered, {"account": BETA}, "account that is metered"),
        (e.UsageMetered, {"carried": 1}, "usage rated again"),
        (
            e.MetersReversed,
            {"moves": (e.LevelBack(KEYS(b"seats"), START_US, 9),)},
            "taken off a level",
        ),
    ],
)
def test_verify_holds_what_was_counted_to_what_stands(
    world: World, kind: type, changes: dict[str, Any], found: str
) -> None:
    """A journal that says otherwise than its usage, or than the level, is found out."""
    world.report(5, id="a")
    world.reverse("a", 2)
    for place, (at, events) in enumerate(world.core.batches):
        changed = [_changed(event, kind, **changes) for event in events]
        world.core.batches[place] = (at, changed)
    assert any(found in finding.what for finding in judged(world.core, replays=False))
