"""Seats against a plain model: random adds, removals, reassignments, suspensions, usage and time.

The model knows no grants, entries or running sums: a pool is a number and the time that seats were
there, a seat a pair of numbers. Rule S2's bound is checked apart from it, by the largest quantity
of each microsecond of a period."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

import core_machine as machine
import pytest
from core_world import FAMILY, Core
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import counters, replayed
from seat_world import ACME, APRIL, KEEP, MAY, PRORATED, UNUSED, Team, individual, pooled

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Refusal

NAMES = ("ann", "bob", "cid", "dee")
MODES = (KEEP, UNUSED, PRORATED)
MONTHS = (APRIL, MAY, MAY + 31 * DAY_US, MAY + 61 * DAY_US)


def half_even(value: Fraction) -> int:
    return round(value)  # of a fraction: to the even one


class Pool:
    """A pool as a plain person counts it."""

    def __init__(self, amount: int, count: int) -> None:
        self.amount = amount
        self.names: dict[str, bool] = {}  # who has a seat -> leaves with the month
        self.spare, self.leaving = count, 0
        self.begin(1)

    def begin(self, share: Fraction | int) -> None:
        self.names = {name: False for name, leaves in self.names.items() if not leaves}
        self.leaving = 0
        self.largest, self.time = self.quantity, self.quantity * Fraction(share)
        self.given = self.left = half_even(self.amount * self.time)

    @property
    def quantity(self) -> int:
        return len(self.names) + self.spare + self.leaving

    def add(self, names: tuple[str, ...], count: int, share: Fraction) -> None:
        before = self.quantity
        back = min(count, self.leaving)
        self.leaving -= back
        self.spare += count
        self.names |= dict.fromkeys(names, False)
        more = self.quantity - before
        fresh = max(0, self.quantity - self.largest)
        had = half_even(self.amount * self.time)
        self.time += fresh * share
        again = min(half_even(self.amount * (more - fresh) * share), had - self.given)
        amount = half_even(self.amount * self.time) - had + again
        self.largest = max(self.largest, self.quantity)
        self.given += amount
        self.left += amount

    def remove(self, names: tuple[str, ...], count: int, mode: Any, share: Fraction) -> None:
        gone, before = len(names) + count, self.quantity
        self.spare -= count
        if mode == KEEP:
            self.leaving += count
            self.names |= dict.fromkeys(names, True)
            return
        for name in names:
            del self.names[name]
        want = self.given * gone // before
        if mode == PRORATED:
            want = half_even(self.amount * gone * share)
        taken = min(want, self.left)
        self.given -= taken
        self.left -= taken


class Own:
    """Seats with allowances of their own: [name, leaves, there, entitled, given, left]."""

    def __init__(self, amount: int, count: int) -> None:
        self.amount = amount
        self.seats: list[dict[str, Any]] = []
        for _ in range(count):
            self.open("", amount)

    def open(self, name: str, amount: int) -> None:
        self.seats.append(
            {"name": name, "leaves": False, "there": True, "most": amount, "given": amount,
             "left": amount}
        )  # fmt: skip

    def begin(self, _: object) -> None:
        self.seats = [each for each in self.seats if each["there"] and not each["leaves"]]
        for each in self.seats:
            each["most"] = each["given"] = each["left"] = self.amount

    @property
    def quantity(self) -> int:
        return len([each for each in self.seats if each["there"]])

    @property
    def names(self) -> dict[str, bool]:
        return {
            each["name"]: each["leaves"] for each in self.seats if each["there"] and each["name"]
        }

    @property
    def spare(self) -> int:
        free = [each for each in self.seats if each["there"] and not each["name"]]
        return len([each for each in free if not each["leaves"]])

    def seat(self, name: str) -> dict[str, Any]:
        return next(each for each in self.seats if each["there"] and each["name"] == name)

    def add(self, names: tuple[str, ...], count: int, share: Fraction) -> None:
        for name in (*names, *[""] * count):
            staying = [
                each
                for each in self.seats
                if each["there"] and each["leaves"] and each["name"] == name
            ]
            if staying:
                staying[0]["leaves"] = False
                continue
            empty = [each for each in self.seats if not each["there"] and each["most"]]
            mine = [each for each in empty if name and each["name"] == name]
            others = [each for each in empty if each["name"] not in names]
            amount = half_even(self.amount * share)
            for each in (*mine[:1], *others[:1])[:1]:
                back = min(amount, each["most"] - each["given"])
                each.update(name=name, there=True, leaves=False)
                each["given"] += back
                each["left"] += back
                break
            else:
                self.open(name, amount)

    def remove(self, names: tuple[str, ...], count: int, mode: Any, share: Fraction) -> None:
        gone = [self.seat(name) for name in names]
        free = [
            each for each in self.seats if each["there"] and not each["name"] and not each["leaves"]
        ]
        gone += free[len(free) - count :]
        for each in gone:
            if mode == KEEP:
                each["leaves"] = True
                continue
            each["there"] = each["leaves"] = False
            want = each["given"] if mode == UNUSED else half_even(self.amount * share)
            taken = min(want, each["left"])
            each["given"] -= taken
            each["left"] -= taken

    @property
    def given(self) -> int:
        return sum([each["given"] for each in self.seats])


_NAMED = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), _NAMED, st.integers(0, 2)),
        st.tuples(st.just("remove"), _NAMED, st.integers(0, 2), st.sampled_from(MODES)),
        st.tuples(
            st.just("reassign"), st.sampled_from(("", *NAMES)), st.sampled_from(("", *NAMES))
        ),
        st.tuples(st.just("suspend"), st.sampled_from(NAMES)),
        st.tuples(st.just("use"), st.sampled_from(("", *NAMES)), st.integers(1, 150)),
        st.tuples(st.just("wait"), st.integers(0, 12 * DAY_US)),
        st.tuples(st.just("page")),
    ),
    max_size=16,
)


class Bound:
    """Rule S2: a period never releases more than the time share of the largest quantity so far."""

    def __init__(self, amount: int, quantity: int, at: int) -> None:
        self.amount, self.largest, self.at = amount, quantity, at
        self.seat_us = 0
        self.grants = 0

    def grow(self, quantity: int, now: int) -> None:
        self.seat_us += self.largest * (now - self.at)
        self.at = now
        self.largest = max(self.largest, quantity)

    def check(self, released: int, start: int, end: int) -> None:
        """Each grant that is rounded by itself may be half a unit more."""
        most = Fraction(self.amount * (self.seat_us + self.largest * (end - self.at)), end - start)
        assert released <= most + Fraction(max(1, self.grants), 2), (released, float(most))


def _play(team: Team, model: Any, own: bool, amount: int, steps: list[Any]) -> None:
    month, bound = 0, Bound(amount, 3, APRIL)
    granted = model.given
    state = team.core.state
    for step in steps:
        now = team.core.now
        start, end = MONTHS[month], MONTHS[month + 1]
        share = Fraction(end - now, end - start)
        verb = step[0]
        plan = team.plan()
        if verb == "wait":
            to = now + step[1]
            if to >= end and month == 2:
                continue
            team.to(to)
            if to >= end:
                month += 1
                model.begin(1)
                bound = Bound(amount, model.quantity, end)
                bound.grants = model.quantity if own else 1
                granted = model.given
        elif verb == "page":
            team.page()
        elif verb == "add":
            names = tuple([each for each in step[1] if model.names.get(each, True)])
            if not (names or step[2]):
                continue
            added = team.add(*names, count=step[2])
            bound.grants += len(added.issues)
            model.add(names, step[2], share)
        elif verb == "remove":
            _, wanted, count, mode = step
            leaving = [] if mode != KEEP else [each for each in NAMES if model.names.get(each)]
            names = tuple([each for each in wanted if each in model.names and each not in leaving])
            count = min(count, model.spare)
            if not (names or count):
                continue
            team.remove(*names, count=count, mode=mode)
            model.remove(names, count, mode, share)
        elif verb == "reassign":
            _, name, to = step
            outcome = team.run(c.ReassignSeat(team.key(), ACME, "agents", name, to))
            there = model.names if name else model.spare
            able = name != to and to not in model.names and (name in there if name else there)
            assert isinstance(outcome, Refusal) != bool(able)
            if able:
                _reassign(model, own, name, to)
        elif verb == "suspend":
            if step[1] in model.names:
                seat = plan.by_name[step[1]]
                (team.resume if seat.suspended else team.suspend)(step[1])
        else:
            _, name, tokens = step
            drew: dict[str, int] = {}
            for pot, units in team.use(tokens, name):
                drew[pot] = drew.get(pot, 0) + units
            if not own:
                model.left -= drew.get("grant", 0)
            elif name in model.names:
                seat = model.seat(name)
                assert drew.get(name, 0) == min(tokens, seat["left"])
                seat["left"] -= drew.get(name, 0)
            else:
                assert not set(drew) & {*NAMES, "unassigned"}
        now = team.core.now
        bound.grow(model.quantity, now)
        tally = team.plan().tally
        assert team.quantity() == model.quantity
        assert tally.released == model.given
        bound.check(tally.released, MONTHS[month], MONTHS[month + 1])
        if not own:
            assert team.left() == model.left
            assert tally.unassigned == model.spare
        else:
            for name in model.names:
                assert team.left(name) == model.seat(name)["left"], name
    drawn = sum([grant.drawn for grant in state.grants.values()])
    issued = sum([grant.amount - grant.unused for grant in state.grants.values()])
    assert 0 <= drawn <= issued and granted >= 0
    team.finish()


def _reassign(model: Any, own: bool, name: str, to: str) -> None:
    if own:
        seats = [each for each in model.seats if each["there"] and each["name"] == name]
        seat = seats[0] if name else next(each for each in seats if not each["leaves"])
        seat["name"] = to
    elif name and to:
        model.names[to] = model.names.pop(name)
    elif name:
        leaves = model.names.pop(name)
        model.leaving += leaves
        model.spare += not leaves
    else:
        model.spare -= 1
        model.names[to] = False


@given(_STEPS, st.sampled_from((1, 7, 100, 999)))
def test_a_pool_is_what_a_plain_model_says(steps: list[Any], amount: int) -> None:
    """Rules S1, S2."""
    team = Team()
    team.start(pooled(amount), count=3)
    _play(team, Pool(amount, 3), False, amount, steps)


@given(_STEPS, st.sampled_from((1, 7, 100, 999)))
def test_seats_of_their_own_are_what_a_plain_model_says(steps: list[Any], amount: int) -> None:
    """Rules S1, S2, D1: and nobody draws what is another's."""
    team = Team(e.AccountPolicy())
    team.start(individual(amount), count=3)
    _play(team, Own(amount, 3), True, amount, steps)


def _seat_command(core: Core, key: bytes, account: int, drawn: Random) -> Any:
    """Something that is asked of the seats of an account, whether it can be or not."""
    shape = core.shape("chat", "tokens", attributes=(("desk", drawn.choice(("eu", "us", "asia"))),))
    if drawn.random() < 0.5:
        tokens = (drawn.randint(1, 40),)
        if drawn.random() < 0.3:
            return c.AuthorizeHold(key, account, shape, tokens, 0, c.NO_NAMES)
        ago = drawn.choice((0, 0, HOUR_US, 3 * DAY_US))
        at = core.state.recorded_at - ago if ago else 0
        return c.RecordUsage(key, account, shape, tokens, at, c.NO_NAMES)
    plan = drawn.choice(("own", "pool"))
    names = drawn.choice(((), ("eu",), ("us",), ("eu", "us")))
    count, mode = drawn.choice((0, 1, 2)), drawn.choice(MODES)
    seat, to = drawn.choice(("", "eu", "us")), drawn.choice(("", "eu", "us", "asia"))
    terms = individual(30, anchor=0, alert=5, unknown=drawn.choice(list(e.UnknownSeat)))
    if plan == "pool":
        terms = pooled(30, anchor=0)
    terms = replace(terms, attribute="desk", exhausted=drawn.choice(list(e.ExhaustedSeat)))
    return drawn.choice(
        (
            c.StartSeatPlan(key, account, plan, terms, names, count),
            c.StartSeatPlan(key, account, plan, terms, names, count),
            c.AddSeats(key, account, plan, names, count),
            c.AddSeats(key, account, plan, names, count),
            c.RemoveSeats(key, account, plan, names, count, mode),
            c.ReassignSeat(key, account, plan, seat, to),
            c.SuspendSeat(key, account, plan, seat),
            c.ResumeSeat(key, account, plan, seat),
            c.EndSeatPlan(key, account, plan, drawn.choice(list(e.Timing)), mode),
        )
    )


@pytest.mark.parametrize("seed", range(8))
def test_seats_beside_whatever_else_is_asked(seed: int) -> None:
    """Accounts have seats, usage names some, and whatever the ledger can be asked is asked in some
    order: no rule of `verify` is broken, books balance, a replay and packed families are the
    same."""
    walked, drawn = machine.CoreMachine(), Random(seed)
    walked.begin(machine.WORLDS[seed % len(machine.WORLDS)])
    core = walked.case.core
    names = sorted(machine.STEPS)
    for number in range(160):
        if number % 2 == 0:
            walked.case.core.sweep(10_000)
            before, entries = digest(core.state), len(core.batches[-1][1])
            account = drawn.choice(sorted(core.state.accounts)[:2])
            outcome = core.run(_seat_command(core, FAMILY.request(f"s{number}"), account, drawn))
            if isinstance(outcome, Refusal):
                assert digest(core.state) == before, outcome
                assert len(core.batches[-1][1]) == entries, outcome
            walked.case.read()
        name = drawn.choice(names)
        arguments = {each: drawn.choice(domain) for each, domain in machine.STEPS[name].items()}
        getattr(walked, name)(**arguments)
        for invariant in walked.invariants:
            invariant.function(walked)
    written = {type(each) for _, events in core.batches for each in events}
    assert e.SeatPlanStarted in written
    walked.teardown()
    replay = replayed(core, plainly=True, faithfully=True)  # decided again, entry by entry
    assert counters(replay.state) == counters(core.state)
    assert counters(replayed(core).state) == counters(core.state)
