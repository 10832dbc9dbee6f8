"""Random families that share, with caps and reserves: who draws what, against lists of all draws.

No cap is exceeded by a draw, what is set aside stays untouched, the sum over the children is what
is drawn from the parent, nothing is drawn twice, and the order is respected (rules D1, D8); many at
a time as one by one, and as it replays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.packing import whole

PARENTS = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4}
LABELS = {2: ("red",), 5: ("blue",), 3: ("blue",)}
WINDOWS = (
    e.Window(),
    e.Window(e.WindowKind.CALENDAR, e.WindowUnit.DAY, "UTC"),
)
who = st.sampled_from([2, 3, 4, 5, 6, 4, 5, 6, 6, 1])
amount = st.integers(1, 30)
SHARINGS = (
    e.Sharing(e.SharingMode.NONE),
    e.Sharing(e.SharingMode.ALL),
    e.Sharing(e.SharingMode.ALL),
    e.Sharing(e.SharingMode.LISTED, (2,)),
    e.Sharing(e.SharingMode.LISTED, (3, 6)),
    e.Sharing(e.SharingMode.MATCHING, (), ("blue",)),
    e.Sharing(e.SharingMode.MATCHING, (), ("red", "blue")),
)
OTHERS = ["grant", "share", "cap", "cap", "reserve", "recap", "uncap"]
sharings = st.sampled_from(SHARINGS)
usage = st.tuples(st.just("usage"), who, amount, st.sampled_from([0, 0, 0, -3 * HOUR_US]))
steps = st.lists(
    st.one_of(
        usage,
        usage,
        usage,
        st.tuples(st.just("grant"), st.sampled_from([1, 1, 2, 4]), st.integers(20, 200)),
        st.tuples(st.just("share"), st.integers(0, 9), sharings),
        st.tuples(
            st.just("cap"),
            st.sampled_from([1, 1, 2]),
            who,
            st.sampled_from([(5, 0, 0), (25, 0, 0), (60, 0, 0), (-1, 1, 3), (0, 0, 0)]),
            st.sampled_from(WINDOWS),
            st.sampled_from([0, 0, 1]),
        ),
        st.tuples(st.just("reserve"), st.integers(0, 9), who, st.integers(1, 60)),
        st.tuples(st.just("recap"), st.integers(0, 9), st.integers(0, 80)),
        st.tuples(st.just("uncap"), st.integers(0, 9)),
        st.tuples(st.just("hold"), who, amount),
        st.tuples(st.just("capture"), st.integers(0, 9), st.integers(0, 40)),
        st.tuples(st.just("reverse"), st.integers(0, 99), st.integers(1, 9)),
        st.tuples(st.just("clock"), st.sampled_from([1, HOUR_US, 9 * HOUR_US])),
    ),
    min_size=30,
    max_size=70,
)


@dataclass
class Draw:
    """Units that an account drew of a grant, or holds, counted at an instant."""

    account: int
    grant: int
    at: int
    units: int


@dataclass
class ModelCap:
    owner: int
    below: int
    grant: int
    terms: e.CapTerms
    drawn: list[Draw] = field(default_factory=list)
    late: list[Draw] = field(default_factory=list)  # given back of days in which it counts nothing
    days: set[int] = field(default_factory=set)
    since: int = 0  # locator from which on it counts

    @property
    def total(self) -> int:
        return sum(each.units for each in [*self.drawn, *self.late])


class World:
    """A family, and beside it lists of what was drawn and held."""

    def __init__(self, *, plainly: bool) -> None:
        self.core = Core(START_US + 10 * HOUR_US)
        self.core.plainly = plainly
        self.requests = 0
        self.grants: list[int] = []
        self.caps: dict[int, ModelCap] = {}
        self.holds: dict[int, tuple[int, int, list[tuple[int, int]]]] = {}
        self.drawn: list[Draw] = []
        self.used: list[bytes] = []
        for number, parent in PARENTS.items():
            policy = e.AccountPolicy(labels=LABELS.get(number, ()), excess=e.Excess.ABSORB)
            self.ask(c.CreateAccount, TENANT, number, parent, 1, policy)

    def ask(self, command: Any, *fields: Any, **more: Any) -> Any:
        self.requests += 1
        return self.core.run(command(FAMILY.request(str(self.requests)), *fields, **more))

    # -- the model ---------------------------------------------------------------------------------

    @staticmethod
    def line(account: int) -> list[int]:
        found = [account]
        while PARENTS[found[-1]]:
            found.append(PARENTS[found[-1]])
        return found

    def binds(self, cap: ModelCap, account: int, grant: int) -> bool:
        owner = self.core.state.grants[grant].account.number
        return (
            cap.owner == owner
            and cap.grant in (0, grant)
            and cap.below in self.line(account)
            and account != owner
        )

    def held_for(self, cap: ModelCap) -> list[Draw]:
        return [
            Draw(account, grant, at, units)
            for account, at, slices in self.holds.values()
            for grant, units in slices
            if self.binds(cap, account, grant)
        ]

    def counted(self, cap: ModelCap, at: int) -> int:
        day = cap.terms.window.kind == e.WindowKind.CALENDAR
        return sum(
            each.units
            for each in [*cap.drawn, *self.held_for(cap)]
            if not day or each.at // DAY_US == at // DAY_US
        )

    def ceiling(self, cap: ModelCap, at: int) -> int | None:
        terms, grants = cap.terms, self.core.state.grants
        if not terms.denominator:
            return terms.limit if terms.limit >= 0 else None
        base = [
            grants[number].amount
            for number in self.grants
            if cap.grant in (0, number)
            and grants[number].account.number == cap.owner
            and (cap.grant or (grants[number].shared and grants[number].effective_at <= at))
        ]
        return sum(base) * terms.numerator // terms.denominator

    def aside(self, cap: ModelCap) -> int:
        if not cap.terms.reserved:
            return 0
        total = cap.total + sum(each.units for each in self.held_for(cap))
        return max(0, cap.terms.reserved - total)

    def left(self, grant: int) -> int:
        units = self.core.state.grants[grant].amount
        units -= sum(each.units for each in self.drawn if each.grant == grant)
        for _, _, slices in self.holds.values():
            units -= sum(amount for number, amount in slices if number == grant)
        return units

    def covered(self, grant: int, account: int) -> bool:
        found = self.core.state.grants[grant]
        below = self.line(account)[: self.line(account).index(found.account.number)]
        sharing = found.shared_with
        if sharing is None:
            return found.shared
        return any(
            each in sharing.accounts or set(LABELS.get(each, ())) & set(sharing.labels)
            for each in below
        )

    def expected(self, account: int, units: int, at: int) -> list[tuple[int, int]]:
        """Own grants, then those of ancestors, the nearest first, each within caps and reserves."""
        slices: list[tuple[int, int]] = []
        for owner in self.line(account):
            for grant in self.grants:
                found = self.core.state.grants[grant]
                if found.account.number != owner or found.effective_at > at:
                    continue
                if owner != account and not self.covered(grant, account):
                    continue
                room = self.left(grant)
                for cap in self.caps.values():
                    if cap.grant == grant and cap.below not in self.line(account):
                        room -= self.aside(cap)
                for cap in self.caps.values():
                    if self.binds(cap, account, grant):
                        most = self.ceiling(cap, at)
                        if most is not None:
                            earlier = sum(n for g, n in slices if self.binds(cap, account, g))
                            room = min(room, most - self.counted(cap, at) - earlier)
                take = min(room, units)
                if take > 0:
                    slices.append((grant, take))
                    units -= take
        return slices

    def note(
        self, account: int, at: int, slices: list[tuple[int, int]], original: int = -1
    ) -> None:
        """`original`: locator of the draw that is given back."""
        for grant, units in slices:
            draw = Draw(account, grant, at, units)
            self.drawn.append(draw)
            for cap in self.caps.values():
                if self.binds(cap, account, grant) and not 0 <= original < cap.since:
                    if units > 0:
                        cap.days.add(at // DAY_US)
                    known = at // DAY_US in cap.days or cap.terms.window.kind == 1
                    (cap.drawn if known else cap.late).append(draw)

    def drawn_by(self, slices: Any) -> list[tuple[int, int]]:
        books = self.core.state.books.accounts
        return [
            (books[piece.book].owner, piece.amount) for piece in slices if piece.pot == e.Pot.GRANT
        ]

    # -- steps -------------------------------------------------------------------------------------

    def step(self, verb: str, *given_: Any) -> None:
        getattr(self, f"_{verb}")(*given_)
        for number, cap in self.caps.items():
            found = self.core.state.accounts[cap.owner].caps_given[number]
            now = self.core.now
            assert sum(found.counted(now)) == self.counted(cap, now), (verb, given_, number)
            assert found.counter.posted == cap.total
            assert found.aside == self.aside(cap)
        for grant in self.grants:
            of_it = [cap for cap in self.caps.values() if cap.grant == grant]
            assert self.core.state.grants[grant].aside == sum(map(self.aside, of_it))
            assert self.core.state.grants[grant].book.available == self.left(grant) >= 0

    def _usage(self, account: int, units: int, ago: int) -> None:
        at = self.core.now + ago
        wanted = self.expected(account, units, at)
        key = FAMILY.usage("t", str(len(self.used)))
        command = c.RecordUsage(
            key, account, self.core.shape("chat", "tokens"), (units,), at if ago else 0, c.NO_NAMES
        )
        if self.core.plainly or not self.core.run_usual([command]):
            self.core.run(command)
        self.used.append(key)
        event = self.original(key).event
        assert isinstance(event, e.UsageRecorded)
        assert self.drawn_by(event.slices) == wanted, (self.drawn_by(event.slices), wanted)
        self.note(account, at, wanted)

    def original(self, key: bytes) -> c.Original:
        locator = self.core.state.keys.find(key)
        assert locator is not None
        return self.core.original(locator)

    def _grant(self, account: int, units: int) -> None:
        kind = e.GrantKind.PROMOTIONAL
        terms = (kind, CREDITS, units, 0, USD, 0, self.core.now - 12 * HOUR_US, 0, (), b"")
        issued = self.ask(c.IssueGrant, account, *terms, shared=units % 3 > 0)
        self.grants.append(issued.grant)

    def _share(self, place: int, sharing: e.Sharing) -> None:
        if self.grants:
            grant = self.core.state.grants[self.grants[place % len(self.grants)]]
            self.ask(c.UpdateSharing, grant.account.number, grant.number, sharing)

    def _set(self, owner: int, below: int, grant: int, terms: e.CapTerms) -> None:
        made = self.ask(c.SetCap, owner, below, CREDITS, grant, terms)
        if isinstance(made, e.CapSet):
            cap = self.caps[made.cap] = ModelCap(owner, below, grant, terms)
            cap.since = self.core.state.locator
            cap.days |= {each.at // DAY_US for each in self.held_for(cap)}

    def _cap(
        self, owner: int, below: int, most: tuple[int, int, int], window: e.Window, of_one: int
    ) -> None:
        own = [n for n in self.grants if self.core.state.grants[n].account.number == owner]
        grant = own[-1] if of_one and own else 0
        self._set(owner, below, grant, e.CapTerms(*most, window))

    def _reserve(self, place: int, below: int, units: int) -> None:
        if self.grants:
            grant = self.core.state.grants[self.grants[place % len(self.grants)]]
            self._set(grant.account.number, below, grant.number, e.CapTerms(reserved=units))

    def _recap(self, place: int, most: int) -> None:
        if self.caps:
            number = sorted(self.caps)[place % len(self.caps)]
            cap = self.caps[number]
            terms = e.CapTerms(most, 0, 0, cap.terms.window, min(most, cap.terms.reserved))
            made = self.ask(c.SetCap, cap.owner, 0, 0, 0, terms, number)
            if isinstance(made, e.CapSet):
                cap.terms = terms

    def _uncap(self, place: int) -> None:
        if self.caps:
            number = sorted(self.caps)[place % len(self.caps)]
            self.ask(c.RemoveCap, self.caps[number].owner, number)
            del self.caps[number]

    def _hold(self, account: int, units: int) -> None:
        now = self.core.now
        wanted = self.expected(account, units, now)
        shape = self.core.shape("chat", "tokens")
        made = self.ask(c.AuthorizeHold, account, shape, (units,), 20 * HOUR_US)
        if isinstance(made, e.HoldAuthorized):
            assert self.drawn_by(made.slices) == wanted
            self.holds[made.hold] = account, now, wanted
            for cap in self.caps.values():
                if any(self.binds(cap, account, grant) for grant, _ in wanted):
                    cap.days.add(now // DAY_US)
        else:
            assert sum(taken for _, taken in wanted) < units

    def _capture(self, place: int, units: int) -> None:
        self._sweep()
        if not self.holds:
            return
        number = sorted(self.holds)[place % len(self.holds)]
        account, since, held = self.holds[number]
        if units == 0:
            self.ask(c.ReleaseHold, account, number)
            del self.holds[number]
            return
        more = units - sum(taken for _, taken in held)
        beyond = self.expected(account, more, self.core.now) if more > 0 else []
        named = {"quantity_names": ("tokens",), "quantities": (units,)}
        made = self.ask(c.CaptureHold, account, number, effective_at=0, **named)
        assert isinstance(made, e.UsageRecorded)
        taken = self.drawn_by(made.slices)
        if more <= 0 or all(cap.terms.window.kind == 1 for cap in self.caps.values()):
            want: dict[int, int] = {}
            left = units
            for grant, amount in [*held, *beyond]:
                want[grant] = want.get(grant, 0) + min(amount, left)
                left -= min(amount, left)
            assert dict(taken) == {grant: amount for grant, amount in want.items() if amount}
        del self.holds[number]
        self.note(account, since, taken)

    def _reverse(self, place: int, units: int) -> None:
        if not self.used:
            return
        original = self.original(self.used[place % len(self.used)])
        event = original.event
        assert isinstance(event, e.UsageRecorded)
        made = self.ask(c.ReverseUsage, event.account, original, (units,))
        if isinstance(made, e.UsageReversed):
            books = self.core.state.books.accounts
            for piece in made.given_back:
                if books[piece.drawn].kind == e.BookKind.GRANT:
                    grant = books[piece.drawn].owner
                    back = [(grant, -piece.amount)]
                    self.note(event.account, event.effective_at, back, original.locator)

    def _clock(self, by: int) -> None:
        self.core.advance(by)
        self._sweep()

    def _sweep(self) -> None:
        self.core.sweep(1_000)
        for number in [each for each in self.holds if each not in self.core.state.holds]:
            del self.holds[number]


def both(taken: list[tuple[Any, ...]]) -> None:
    """Each draw against a naive waterfall over lists, and each counter against all draws."""
    usual, plain = World(plainly=False), World(plainly=True)
    for verb, *given_ in taken:
        usual.step(verb, *given_)
        plain.step(verb, *given_)
    assert usual.core.journal() == plain.core.journal()
    state = usual.core.state
    assert digest(state) == digest(plain.core.state)
    assert digest(replay(usual.core.journal())) == digest(state)
    assert digest(whole(state, {})) == digest(state)
    state.books.check()
    assert judged(usual.core) == []


@given(steps)
def test_no_cap_is_exceeded_and_the_order_is_respected(taken: list[tuple[Any, ...]]) -> None:
    """Whatever comes in whatever order, as Hypothesis has it."""
    both([("grant", 1, 200), ("grant", 2, 50), *taken])


def drawn(chance: Random) -> tuple[Any, ...]:
    """Some step, each kind as likely as it is of use here."""
    one, below = chance.randrange(10), chance.choice([2, 3, 4, 5, 6, 6, 1])
    units, pick = chance.randint(1, 30), chance.choice
    match pick(["usage"] * 8 + ["hold", "capture"] * 3 + ["reverse", "clock"] * 2 + OTHERS):
        case "usage":
            return ("usage", below, units, pick([0, 0, 0, -3 * HOUR_US]))
        case "grant":
            return ("grant", pick([1, 1, 2, 4]), 20 * units)
        case "share":
            mode = pick([e.Sharing(e.SharingMode.ALL), *SHARINGS])
            return ("share", one, mode)
        case "cap":
            most = pick([(5, 0, 0), (25, 0, 0), (60, 0, 0), (-1, 1, 3)])
            return ("cap", pick([1, 1, 2]), below, most, pick(WINDOWS), pick([0, 0, 1]))
        case "reserve":
            return ("reserve", one, below, 2 * units)
        case "recap":
            return ("recap", one, 3 * units)
        case "uncap":
            return ("uncap", one)
        case "hold":
            return ("hold", below, units)
        case "capture":
            return ("capture", one, pick([0, units, units, 40]))
        case "reverse":
            return ("reverse", chance.randrange(99), pick([1, 5, 9]))
    return ("clock", pick([1, HOUR_US, 9 * HOUR_US]))


@pytest.mark.parametrize("seed", range(8))
def test_long_lives_of_families(seed: int) -> None:
    """The same over hundreds of steps, in which every kind of entry is met."""
    chance = Random(seed)
    taken = [("grant", 1, 2_000), ("share", 0, e.Sharing(e.SharingMode.ALL))]
    both(taken + [drawn(chance) for _ in range(250)])
