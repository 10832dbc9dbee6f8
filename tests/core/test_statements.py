"""Which statements there are, when each ends, and what is refused (rules T1, T2).

What they say is of tests/statements.
"""

from __future__ import annotations

from typing import Any

import pytest
from core_world import FAMILY, START_US, replay
from ledger_case import LedgerCase
from msgspec.structs import replace as changed
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family

FEBRUARY = START_US + 31 * DAY_US
MARCH = FEBRUARY + 28 * DAY_US
APRIL = MARCH + 31 * DAY_US
CONSOLIDATED, SEPARATE = e.StatementForm.CONSOLIDATED, e.StatementForm.SEPARATE
HEAD, FIGURES = b"h" * 32, b"f" * 32


class World:
    """Families in words, and what is asked of their statements."""

    def __init__(self) -> None:
        self.case = LedgerCase()
        self.core = self.case.core
        self.keys = 0
        self.case.run(
            """
            account  acme
            account  acme/search parent=acme
            account  acme/ads    parent=acme
            account  acme/ads/eu parent=acme/ads
            """
        )

    def number(self, name: str) -> int:
        return self.case.accounts[name]

    def key(self) -> bytes:
        self.keys += 1
        return FAMILY.request(f"statement {self.keys}")

    def ask(self, command: Any) -> Any:
        outcome = self.core.run(command)
        assert not isinstance(outcome, Refusal | Known), outcome
        return outcome

    def refused(self, command: Any) -> Refusal:
        before = digest(self.core.state)
        outcome = self.core.run(command)
        assert isinstance(outcome, Refusal), outcome
        assert digest(self.core.state) == before
        return outcome

    def set(self, name: str, form: e.StatementForm = CONSOLIDATED, **fields: Any) -> Any:
        return self.ask(c.SetStatements(self.key(), self.number(name), form, **fields))

    def end(self, name: str, start: int = 0, end: int = 0, **fields: Any) -> c.EndStatement:
        return c.EndStatement(self.key(), self.number(name), start, end, **fields)

    def close(self, name: str, statement: int, batch_seq: int = 0) -> c.CloseStatement:
        account = self.core.state.accounts[self.number(name)]
        said = account.statements
        if not batch_seq and said is not None and statement in said.ended:
            batch_seq = said.ended[statement].batch_seq
        return c.CloseStatement(
            self.key(), account.number, statement, batch_seq or 1, HEAD, FIGURES
        )

    def to(self, at: int, *, sweep: bool = True) -> None:
        self.core.now = at
        self.core.begin_batch()
        if sweep:
            self.core.sweep()

    def ended(self) -> list[tuple[str, int, int, int]]:
        """(account, number, start, end) of each statement that ended, in order."""
        names = {number: name for name, number in self.case.accounts.items()}
        return [
            (names[event.account], event.statement, event.start, event.end)
            for _, batch in self.core.batches
            for event in batch
            if isinstance(event, e.StatementEnded)
        ]

    def finish(self) -> None:
        """Replay gives the same state, packed and unpacked too, and no rule is broken."""
        state = self.core.state
        before = digest(state)
        assert digest(replay(self.core.journal())) == before
        root = self.number("acme")
        due = {each.number: each.statements.due for each in below(state, root) if each.statements}
        body = pack_family(state, root, state.settled_before)
        drop_family(state, root)
        unpack_family(state, body)
        assert digest(state) == before
        assert pack_family(state, root, state.settled_before) == body
        for each in below(state, root):
            if each.statements is not None:
                assert each.statements.due == due[each.number]
        assert judged(self.core) == []


def below(state: Any, root: int) -> list[Any]:
    found: list[Any] = state.accounts[root].below()
    return found


@pytest.fixture
def world() -> Any:
    made = World()
    yield made
    made.finish()


# -- when they end ---------------------------------------------------------------------------------


def test_nothing_ends_by_itself_unless_it_is_asked_for(world: World) -> None:
    world.to(APRIL)
    assert world.ended() == []


def test_a_period_ends_with_its_grace_once_and_in_order(world: World) -> None:
    world.set("acme")
    world.to(FEBRUARY + DAY_US - 1)
    assert world.ended() == []
    world.to(FEBRUARY + DAY_US)
    world.to(APRIL + 2 * DAY_US)  # nobody was there meanwhile
    assert world.ended() == [
        ("acme", 1, START_US, FEBRUARY),
        ("acme", 2, FEBRUARY, MARCH),
        ("acme", 3, MARCH, APRIL),
    ]


def test_separate_statements_are_of_all_below_that_say_nothing_else(world: World) -> None:
    world.set("acme", SEPARATE)
    world.set("acme/ads", CONSOLIDATED)  # one for it and acme/ads/eu
    world.to(FEBRUARY + DAY_US)
    assert sorted(world.ended()) == [
        (name, 1, START_US, FEBRUARY) for name in ("acme", "acme/ads", "acme/search")
    ]
    world.set("acme/ads", e.StatementForm.NONE)
    world.case.run("account acme/new parent=acme")
    world.to(MARCH + DAY_US)
    assert sorted(each[0] for each in world.ended()[3:]) == ["acme", "acme/new", "acme/search"]


def test_an_account_that_moves_goes_by_what_is_said_where_it_stands(world: World) -> None:
    world.set("acme/ads", SEPARATE)
    world.case.run("move acme/ads/eu acme")
    world.case.run("move acme/search acme/ads")
    world.to(FEBRUARY + DAY_US)
    assert sorted(each[0] for each in world.ended()) == ["acme/ads", "acme/search"]


def test_usage_ends_what_is_due_of_those_above_first(world: World) -> None:
    """A late event after the grace never comes before the statement's end."""
    world.set("acme")
    world.to(FEBRUARY + DAY_US, sweep=False)
    world.case.run("grant acme/search 100")
    assert world.ended() == [("acme", 1, START_US, FEBRUARY)]
    kinds = [type(event) for event in world.core.batches[-1][1]]
    assert kinds.index(e.StatementEnded) < kinds.index(e.GrantIssued)


def test_what_is_due_below_comes_before_the_end(world: World) -> None:
    """Breakage of a child's grant whose grace ends with the period's stands before the end."""
    world.case.run("grant acme/ads/eu 100 expires=2026-02-01")
    world.set("acme")
    world.to(FEBRUARY + DAY_US, sweep=False)
    world.case.run("grant acme 100")
    kinds = [type(event) for event in world.core.batches[-1][1]]
    assert kinds.index(e.GrantExpired) < kinds.index(e.StatementEnded)


def test_another_grace_or_anchor_moves_the_end(world: World) -> None:
    world.set("acme")
    world.case.run("policy acme grace=2h")
    world.to(FEBRUARY + 2 * HOUR_US)
    assert world.ended() == [("acme", 1, START_US, FEBRUARY)]
    world.case.run("policy acme grace=48h")
    world.to(MARCH + DAY_US)
    assert len(world.ended()) == 1
    world.to(MARCH + 2 * DAY_US)
    assert world.ended()[1:] == [("acme", 2, FEBRUARY, MARCH)]


def test_a_grace_that_grows_opens_no_period_again(world: World) -> None:
    """What one grace has closed stays closed (rule T2): its statement is due at once."""
    world.to(FEBRUARY + DAY_US + 1)
    world.case.run("policy acme grace=240h")
    outcome = world.ask(world.end("acme", START_US))
    assert (outcome.start, outcome.end) == (START_US, FEBRUARY)


def test_the_period_of_its_closing_is_an_accounts_last(world: World) -> None:
    world.set("acme/ads/eu")
    world.to(FEBRUARY + 5 * DAY_US)
    world.case.run("close acme/ads/eu")
    world.to(APRIL + 5 * DAY_US)
    assert [each[2:] for each in world.ended()] == [(START_US, FEBRUARY), (FEBRUARY, MARCH)]
    world.case.run("reopen acme/ads/eu")
    world.to(APRIL + 6 * DAY_US)
    assert [each[2:] for each in world.ended()[2:]] == [(MARCH, APRIL)]


# -- ended by a call -------------------------------------------------------------------------------


def test_a_call_ends_the_next_period_or_the_one_that_it_names(world: World) -> None:
    world.to(APRIL + DAY_US)
    first = world.ask(world.end("acme", FEBRUARY, MARCH, attribute="region"))
    assert (first.statement, first.start, first.end) == (1, FEBRUARY, MARCH)
    assert (first.form, first.attribute) == (CONSOLIDATED, "region")
    second = world.ask(world.end("acme"))
    assert (second.statement, second.start, second.end) == (2, MARCH, APRIL)


@pytest.mark.parametrize(
    ("start", "end", "reason", "field", "value"),
    [
        (FEBRUARY + 1, 0, Reason.STATEMENT_PERIOD_INVALID, "start_us", FEBRUARY + 1),
        (FEBRUARY, MARCH - 1, Reason.STATEMENT_PERIOD_INVALID, "end_us", MARCH - 1),
        (0, MARCH, Reason.STATEMENT_PERIOD_INVALID, "end_us", MARCH),
        (START_US - 31 * DAY_US, 0, Reason.STATEMENT_PERIOD_INVALID, "start_us", None),
        (APRIL, 0, Reason.STATEMENT_PERIOD_OPEN, "end_us", APRIL + 30 * DAY_US),
        (MARCH, 0, Reason.STATEMENT_IN_GRACE, "end_us", APRIL + DAY_US),
    ],
)
def test_a_period_that_is_none_or_not_over_is_refused(
    world: World, start: int, end: int, reason: Reason, field: str, value: int | None
) -> None:
    world.to(APRIL + 23 * HOUR_US)
    found = world.refused(world.end("acme", start, end))
    assert (found.reason, found.field) == (reason, field)
    assert value is None or found.value == str(value)


def test_periods_are_closed_once_and_in_order(world: World) -> None:
    world.to(APRIL + DAY_US)
    world.ask(world.end("acme", START_US))
    again = world.refused(world.end("acme", START_US))
    assert (again.reason, again.value) == (Reason.STATEMENT_CLOSED, str(START_US))
    gap = world.refused(world.end("acme", MARCH))
    assert (gap.reason, gap.value) == (Reason.STATEMENT_NOT_NEXT, str(FEBRUARY))
    unknown = world.refused(c.EndStatement(world.key(), 99))
    assert unknown.reason == Reason.ACCOUNT_UNKNOWN


def test_a_call_again_is_the_same_or_conflicts(world: World) -> None:
    world.to(APRIL + DAY_US)
    command = world.end("acme", START_US)
    world.ask(command)
    known = world.core.run(command)
    assert isinstance(known, Known)
    assert world.core.difference(command, known) == ""
    for field, value in (
        ("start", 0), ("end", FEBRUARY), ("form", int(SEPARATE)), ("attribute", "region"),
    ):  # fmt: skip
        other = changed(command, **{field: value})
        name = {"start": "start_us", "end": "end_us"}.get(field, field)
        assert world.core.difference(other, known) == name


def test_settings_are_versioned(world: World) -> None:
    assert world.set("acme", attribute="region").version == 1
    stale = world.refused(
        c.SetStatements(world.key(), world.number("acme"), SEPARATE, "", expected_version=2)
    )
    assert (stale.reason, stale.value) == (Reason.VERSION_MISMATCH, "1")
    assert world.set("acme", SEPARATE, expected_version=1).version == 2
    world.case.run("close acme/ads/eu")
    closed = world.refused(c.SetStatements(world.key(), world.number("acme/ads/eu"), SEPARATE))
    assert closed.reason == Reason.ACCOUNT_CLOSED


# -- closed ----------------------------------------------------------------------------------------


def test_figures_are_frozen_once_over_the_entries_between_two_ends(world: World) -> None:
    world.set("acme")
    world.to(FEBRUARY + DAY_US)
    world.to(MARCH + DAY_US)
    first_end, second_end = (
        sum(len(batch) for _, batch in world.core.batches[:-2]) + place for place in (0, 1)
    )
    for number, first, last in ((1, 0, first_end - 1), (2, first_end, second_end - 1)):
        closed = world.ask(world.close("acme", number))
        assert (closed.first, closed.last) == (first, last)
        assert (closed.head, closed.hash) == (HEAD, FIGURES)
    again = world.refused(world.close("acme", 1))
    assert (again.reason, again.value) == (Reason.STATEMENT_CLOSED, "1")
    unknown = world.refused(world.close("acme", 3))
    assert (unknown.reason, unknown.value) == (Reason.STATEMENT_UNKNOWN, "3")


def test_figures_of_another_batch_are_refused(world: World) -> None:
    world.set("acme")
    world.to(FEBRUARY + DAY_US)
    found = world.refused(world.close("acme", 1, batch_seq=1))
    assert (found.reason, found.field) == (Reason.STATEMENT_UNKNOWN, "batch_seq")


# -- what verify finds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "what"),
    [
        (e.StatementsSet, {"version": 7}, "version of the statements"),
        (e.StatementEnded, {"statement": 2}, "number of the statement"),
        (e.StatementEnded, {"end": FEBRUARY + 2 * DAY_US}, "period of the statement"),
        (e.StatementEnded, {"form": e.StatementForm.NONE}, "form of the statement"),
        (e.StatementEnded, {"attribute": "x"}, "statements that are asked for"),
        (e.StatementClosed, {"first": 1}, "entries that the statement covers, and its batch"),
        (e.StatementClosed, {"last": 1}, "entries that the statement covers, and its batch"),
        (e.StatementClosed, {"hash": b"short"}, "bytes of the statement's hashes"),
    ],
)
def test_verify_finds_what_no_statement_may_say(kind: type, fields: Any, what: str) -> None:
    world = World()
    world.set("acme")
    world.to(FEBRUARY + DAY_US)
    world.ask(world.close("acme", 1))
    assert judged(world.core) == []
    for _, batch in world.core.batches:
        for place, event in enumerate(batch):
            if isinstance(event, kind):
                batch[place] = changed(event, **fields)
    try:
        found = judged(world.core, replays=False)
    except KeyError:  # a statement of another number is not there to be closed
        assert what == "number of the statement"
        return
    assert what in [each.what.partition(", ")[2] for each in found]
