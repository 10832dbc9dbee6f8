"""Usual usage is recorded many at a time as it is one by one: the same entries, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core, card, replay
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_properties import Run, steps

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from rating.card import PriceRow
from rating.compile import CompiledCard
from rating.versions import CardVersion

ACCOUNTS = (1, 2, 3)  # of one family, and 9 that nobody knows
ZONES = ("", "America/New_York", "Pacific/Kiritimati")  # 10 h into January, these 5 and 24 h
QUANTITIES = {
    "chat": ("tokens",),
    "half": ("tokens",),
    "free": ("tokens",),
    "huge": ("tokens",),
    "priceless": ("tokens",),
    "gpt": ("input", "cached", "output"),
    "image": ("tokens", "input"),  # of which the second has no price
}

usage = st.tuples(
    st.sampled_from([1, 1, 2, 2, 2, 3, 9]),
    st.sampled_from([*QUANTITIES, "chat", "half", "gpt", "gpt"]),
    st.lists(st.sampled_from([0, 1, 1, 2, 3, 7, 1_001]), min_size=3, max_size=3),
    st.sampled_from([0, 0, 0, 1, 5, -MINUTE_US, -20 * HOUR_US, HOUR_US]),
    st.integers(0, 400),  # its id: some come again
    st.sampled_from([False, False, True]),  # as a debit
)
grant = st.tuples(
    st.sampled_from(ACCOUNTS),
    st.sampled_from([1, 5, 40, 5_000]),
    st.sampled_from([0, 0, 3, 1_000]),
    st.sampled_from([CREDITS, CREDITS, CREDITS, USD]),
    st.sampled_from([0, 0, HOUR_US, 3 * DAY_US]),
    st.sampled_from([(), (), ("chat",), ("gpt", "half")]),
)
STANDING: dict[str, Any] = {
    "close": c.CloseAccount,
    "reopen": c.ReopenAccount,
    "freeze": c.FreezeAccount,
    "unfreeze": c.UnfreezeAccount,
}
moves = st.lists(
    st.one_of(
        st.tuples(st.just("usage"), st.lists(usage, min_size=1, max_size=12)),
        st.tuples(st.just("usage"), st.lists(usage, min_size=1, max_size=12)),
        st.tuples(st.just("usage"), st.lists(usage, min_size=1, max_size=12)),
        st.tuples(st.just("grant"), grant),
        st.tuples(st.just("hold"), st.sampled_from(ACCOUNTS)),
        st.tuples(st.just("clock"), st.sampled_from([1, MINUTE_US, HOUR_US, 20 * DAY_US])),
        st.tuples(
            st.just("policy"),
            st.tuples(
                st.sampled_from(ACCOUNTS), st.sampled_from(ZONES), st.sampled_from([0, DAY_US])
            ),
        ),
        st.tuples(st.sampled_from([*STANDING]), st.sampled_from(ACCOUNTS)),
    ),
    min_size=5,
    max_size=30,
)


class Usage:
    """A family whose usage goes in batches."""

    def __init__(
        self, *, plainly: bool, zones: tuple[str, ...] = ("", "", ""), rate_card: str = "default"
    ) -> None:
        self.core = Core(START_US + 10 * HOUR_US)
        self.core.plainly = plainly
        self.requests = 0
        self.rate_card = rate_card
        for number, zone in zip(ACCOUNTS, zones, strict=True):
            parent = ACCOUNTS[0] if number != ACCOUNTS[0] else 0
            policy = e.AccountPolicy(zone=zone, rate_card=rate_card)
            self.ask(c.CreateAccount, TENANT, number, parent, ACCOUNTS[0], policy)

    def begin(self) -> None:
        """Grants, and usage of most products."""
        for terms in (
            (1, 60, 7, CREDITS, 0, ()),
            (2, 70_000, 0, CREDITS, 40 * DAY_US, ()),
            (3, 5_000, 3, USD, HOUR_US, ()),
            (1, 90_000, 7, CREDITS, 50 * DAY_US, ()),
            (3, 90_000, 7, CREDITS, 50 * DAY_US, ()),
        ):
            self.move("grant", terms)
        self.core.advance(HOUR_US)
        for number, product in enumerate(QUANTITIES):
            if product != "huge":
                self.record([self.usage(2, product, [2, 2, 2], 0, 1_000 + number)])
        for account in ACCOUNTS:  # puts its grants in order
            self.record([self.usage(account, "chat", [1], 0, 2_000 + account)])

    def ask(self, command: Any, *fields: Any) -> None:
        self.requests += 1
        self.core.run(command(FAMILY.request(str(self.requests)), *fields))

    def move(self, verb: str, given_: Any) -> None:
        if verb == "usage":
            self.record([self.usage(*event) for event in given_])
        elif verb == "grant":
            account, amount, paid, asset, expires, products = given_
            kind = e.GrantKind.PREPAID if paid else e.GrantKind.PROMOTIONAL
            expires_at = self.core.now + expires if expires else 0
            terms = (kind, asset, amount, paid, USD, 0, 0, expires_at, products, b"")
            self.ask(c.IssueGrant, account, *terms)
        elif verb == "hold":
            self.ask(c.AuthorizeHold, given_, self.core.shape("chat", "tokens"), (30,), MINUTE_US)
        elif verb in STANDING:
            self.ask(STANDING[verb], given_)
        elif verb == "policy":
            account, zone, grace = given_
            policy = e.AccountPolicy(zone=zone, period_grace=grace, rate_card=self.rate_card)
            self.ask(c.UpdatePolicy, account, policy)
        else:
            self.core.advance(given_)

    def usage(
        self,
        account: int,
        product: str,
        amounts: list[int],
        ago: int,
        event: int,
        debit: bool = False,
    ) -> c.RecordUsage | c.DebitWork:
        if debit:
            return self.debit(account, product, amounts, event)
        names = QUANTITIES[product]
        return c.RecordUsage(
            FAMILY.usage("tests", str(event)),
            account,
            self.core.shape(product, *names),
            tuple(amounts[: len(names)]),
            self.core.now + ago if ago else 0,
            c.NO_NAMES,
        )

    def debit(
        self, account: int, product: str, amounts: list[int], event: int, **more: Any
    ) -> c.DebitWork:
        names = QUANTITIES[product]
        shape = self.core.shape(product, *names)
        key = FAMILY.request(f"debit {event}")
        return c.DebitWork(key, account, shape, tuple(amounts[: len(names)]), **more)

    def record(self, commands: Sequence[c.RecordUsage | c.DebitWork]) -> None:
        """As a writer does: as many as are usual, then one by one until the next is."""
        place = 0
        while place < len(commands):
            if not self.core.plainly:
                place += self.core.run_usual(commands[place:])
            for command in commands[place : place + 1]:
                self.core.run(command)
            place += 1


@given(steps)
def test_one_at_a_time(taken: list[tuple[Any, ...]]) -> None:
    """Beside holds, voids, policies and expiries."""
    usual, plain = Run(), Run()
    plain.core.plainly = True
    for verb, *given_ in taken:
        usual.step(verb, *given_)
        plain.step(verb, *given_)
    assert usual.core.journal() == plain.core.journal()
    assert digest(usual.state) == digest(plain.state)


@given(
    moves,
    st.one_of(st.just(("", "", "")), st.permutations(ZONES).map(tuple)),
    st.sampled_from(["default", "resold"]),
)
def test_many_at_a_time(
    taken: list[tuple[str, Any]], zones: tuple[str, ...], rate_card: str
) -> None:
    """Whole and fractional prices, subsets, thresholds, suspense, repeats, refusals; months of the
    accounts' zones, and changes of them (rule T1); with and without what the provider takes."""
    usual = Usage(plainly=False, zones=zones, rate_card=rate_card)
    plain = Usage(plainly=True, zones=zones, rate_card=rate_card)
    usual.begin()
    plain.begin()
    for verb, given_ in taken:
        usual.move(verb, given_)
        plain.move(verb, given_)
    assert usual.core.journal() == plain.core.journal()
    assert digest(usual.core.state) == digest(plain.core.state)
    assert digest(replay(usual.core.journal())) == digest(usual.core.state)


def paid_for(rate_card: str = "default") -> Usage:
    """A family with a grant since the month before, that has used most products in this batch."""
    made = Usage(plainly=False, rate_card=rate_card)
    since = made.core.now - 2 * DAY_US
    terms = (e.GrantKind.PREPAID, CREDITS, 1_000_000, 7, USD, 0, since, 0, (), b"")
    made.ask(c.IssueGrant, 1, *terms)
    for number, product in enumerate(("chat", "half", "gpt"), start=100):
        made.record([made.usage(1, product, [2, 2, 2], 0, number)])
    return made


@pytest.mark.parametrize("rate_card", ["default", "resold"])
def test_most_usage_is_usual(rate_card: str) -> None:
    """What comes in numbers is taken at once: no condition quietly turns the fast path off."""
    made = paid_for(rate_card)
    made.core.advance(HOUR_US)
    made.record([made.usage(1, "chat", [1], 0, 90)])
    events = [
        made.usage(1, product, [20, 3, 9], ago, number)
        for number, (product, ago) in enumerate(
            [(product, ago) for product in ("chat", "half", "gpt") for ago in (0, -MINUTE_US, 5)]
        )
    ]
    assert made.core.run_usual(events) == len(events)


def test_most_debits_are_usual() -> None:
    """Beside each other and beside usage: a run is of one kind."""
    made = paid_for()
    made.core.advance(HOUR_US)
    debits = [
        made.debit(1, product, [20, 3, 9], number)
        for number, product in enumerate(("chat", "half", "gpt") * 3)
    ]
    events = [made.usage(1, "chat", [1], 0, number) for number in (90, 91)]
    assert made.core.run_usual([*debits, *events]) == len(debits)
    assert made.core.run_usual([*events, *debits]) == len(events)
    kinds = [type(event) for event in made.core.batches[-1][1]]
    assert kinds.count(e.UsageDebited) == len(debits)


@pytest.mark.parametrize(
    ("account", "product", "amounts", "more"),
    [
        (9, "chat", [1], {}),  # nobody knows the account
        (2, "chat", [1], {}),  # it has no grant
        (1, "chat", [0], {}),
        (1, "gpt", [20, 0, 1], {}),  # each quantity of a debit is above 0
        (1, "chat", [-1], {}),
        (1, "priceless", [1], {}),
        (1, "free", [1], {}),
        (1, "huge", [7], {}),
        (1, "gpt", [1, 2, 1], {}),
        (1, "chat", [1_000_001], {}),  # more than the grant has
        (1, "chat", [1], {"up_to": "tokens"}),
        (1, "chat", [1], {"alternatives": (e.Alternative(product="half"),)}),
    ],
)
def test_what_is_no_usual_debit_is_left_alone(
    account: int, product: str, amounts: list[int], more: dict[str, Any]
) -> None:
    made = paid_for()
    before, entries = digest(made.core.state), len(made.core.batches[-1][1])
    sound = made.debit(1, "chat", [1], 1)
    assert made.core.run_usual([made.debit(account, product, amounts, 0, **more), sound]) == 0
    assert digest(made.core.state) == before
    assert len(made.core.batches[-1][1]) == entries


def test_usage_of_many_zones_is_usual() -> None:
    """Neighbours in a batch may be of months that began at other instants (rule T1)."""
    made = Usage(plainly=False, zones=("", "America/New_York", "Pacific/Kiritimati"))
    for number in ACCOUNTS:
        terms = (e.GrantKind.PREPAID, CREDITS, 1_000, 7, USD, 0, START_US - DAY_US, 0, (), b"")
        made.ask(c.IssueGrant, number, *terms)
        made.record([made.usage(number, "half", [20], 0, 100 + number)])
    made.core.advance(1)
    asked = [(1, -9), (2, -5), (3, -9), (3, -12), (1, 0), (3, -15)] * 4
    events = [
        made.usage(account, "half", [20], ago * HOUR_US, number)
        for number, (account, ago) in enumerate(asked)
    ]
    assert made.core.run_usual(events) == len(events)
    recorded = [each for each in made.core.batches[-1][1] if isinstance(each, e.UsageRecorded)]
    began = {1: 0, 2: 5 * HOUR_US, 3: -14 * HOUR_US}
    assert [each.period - START_US for each in recorded] == [began[who] for who, _ in asked]
    late = made.usage(2, "half", [20], -6 * HOUR_US, 999)  # December in New York
    assert made.core.run_usual([late]) == 0


def test_a_plan_that_this_batch_has_not_declared_is_declared() -> None:
    made = paid_for()
    made.core.advance(1)
    first, second = (made.usage(1, "gpt", [20, 3, 9], 0, number) for number in (1, 2))
    assert made.core.run_usual([first, second]) == 2
    kinds = [type(event) for event in made.core.batches[-1][1]]
    assert kinds == [e.PlanDeclared, e.UsageRecorded, e.UsageRecorded]


@pytest.mark.parametrize(
    ("account", "product", "amounts", "ago"),
    [
        (9, "chat", [1], 0),  # nobody knows the account
        (2, "chat", [1], 0),  # it has no grant
        (1, "chat", [0], 0),
        (1, "chat", [-1], 0),
        (1, "gpt", [20, -1, 1], 0),
        (1, "chat", [1], HOUR_US),  # in the future
        (1, "chat", [1], -20 * HOUR_US),  # of the month before
        (1, "priceless", [1], 0),
        (1, "free", [1], 0),
        (1, "huge", [7], 0),  # does not fit 64 bits
        (1, "gpt", [1, 2, 1], 0),  # more cached than there is
        (1, "chat", [1_000_001], 0),  # more than the grant has
    ],
)
def test_what_is_not_usual_is_left_alone(
    account: int, product: str, amounts: list[int], ago: int
) -> None:
    made = paid_for()
    before, entries = digest(made.core.state), len(made.core.batches[-1][1])
    sound = made.usage(1, "chat", [1], 0, 1)
    assert made.core.run_usual([made.usage(account, product, amounts, ago, 0), sound]) == 0
    assert digest(made.core.state) == before
    assert len(made.core.batches[-1][1]) == entries


def test_what_is_frozen_is_left_alone_and_what_is_not_is_usual_again() -> None:
    made = paid_for()
    made.ask(c.FreezeAccount, 1)
    event, debit = made.usage(1, "chat", [1], 0, 1), made.debit(1, "chat", [1], 2)
    assert made.core.run_usual([event]) == made.core.run_usual([debit]) == 0
    made.ask(c.UnfreezeAccount, 1)
    assert made.core.run_usual([event]) == made.core.run_usual([debit]) == 1


def test_after_a_reopening_what_was_before_it_is_looked_at() -> None:
    made = Usage(plainly=False)
    for command in (c.CloseAccount, c.ReopenAccount):
        made.core.advance(HOUR_US)
        made.ask(command, 2)
    made.core.advance(HOUR_US)
    terms = (e.GrantKind.PREPAID, CREDITS, 9, 0, USD, 0, 0, 0, (), b"")
    made.ask(c.IssueGrant, 2, *terms)
    made.core.advance(HOUR_US)
    made.record([made.usage(2, "chat", [1], 0, 1)])
    assert made.core.run_usual([made.usage(2, "chat", [1], -MINUTE_US, 2)]) == 1
    reopened = made.core.state.accounts[2].reopened_at
    before = replace(made.usage(2, "chat", [1], 0, 3), effective_at=reopened - 1)
    assert made.core.run_usual([before]) == 0


def test_what_is_known_is_left_alone() -> None:
    """In the run of keys that is written to, in an older one, and as found in a key segment."""
    made = paid_for()
    event = made.usage(1, "chat", [1], 0, 1)
    assert made.core.run_usual([event, event]) == 1
    keys = made.core.state.keys
    keys.freeze()
    assert made.core.run_usual([event]) == 0
    found = made.usage(1, "chat", [1], 0, 2)
    keys.found = {found.key: keys.find(event.key) or 0}
    assert made.core.run_usual([found]) == 0
    keys.found = {}
    keys.newest_max = len(keys.newest) + 1
    third, fourth = (made.usage(1, "chat", [1], 0, number) for number in (3, 4))
    assert made.core.run_usual([third, fourth]) == 1


def test_a_debit_that_is_known_is_left_alone() -> None:
    made = paid_for()
    debit = made.debit(1, "chat", [1], 1)
    assert made.core.run_usual([debit, debit]) == 1
    keys = made.core.state.keys
    keys.freeze()
    assert made.core.run_usual([debit]) == 0
    keys.newest_max = len(keys.newest) + 1
    assert made.core.run_usual([made.debit(1, "chat", [1], number) for number in (3, 4)]) == 1


def test_what_a_grant_is_restricted_to() -> None:
    made = Usage(plainly=False)
    made.move("grant", (1, 50, 0, CREDITS, 0, ("chat",)))
    made.record(
        [made.usage(1, product, [1], 0, number) for number, product in enumerate(["chat", "half"])]
    )
    assert made.core.run_usual([made.usage(1, "chat", [1], 0, 10)]) == 1
    assert made.core.run_usual([made.usage(1, "half", [1], 0, 11)]) == 0


def test_an_event_of_an_earlier_price_is_left_alone() -> None:
    """The second version of a card holds from now on; what was before is priced by the first."""
    made = paid_for()
    made.core.advance(HOUR_US)
    dearer = card("default", "credits", (PriceRow(product="chat", quantity="tokens", price="5"),))
    version = CardVersion(9, 9, made.core.now, CompiledCard(dearer, 9))
    made.core.catalog.add_card(TENANT, "default", version)
    made.record([made.usage(1, "chat", [1], 0, 1)])
    assert made.core.run_usual([made.usage(1, "chat", [1], 5, 2)]) == 1
    assert made.core.run_usual([made.usage(1, "chat", [1], -MINUTE_US, 3)]) == 0
