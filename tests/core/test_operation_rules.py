"""What verify says of budgets of operations: each rule broken once in a journal that is in order
otherwise; and that their entries are read as the commands that they answered (rule H4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from core_world import FAMILY
from msgspec.structs import replace
from operation_case import OperationCase
from replaying import counters, replayed, totals

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.identity import KEY_BYTES
from ledger.core.state import Family, State
from ledger.verify.operations import look_at_operations
from ledger.verify.report import Finding, Findings, ShardReport
from ledger.verify.rules import Rules
from ledger.verify.rules.budgets import look_for_uncounted

STORY = """
account acme
grant   acme  1000
cap     acme/run   100 at=50
cap     acme/tool   60 idle=1h
cap     acme/run   120
hold    acme  40 as=H in=run
debit   acme  30 in=tool@run
hold    acme  31 as=N in=tool  -> denied by its operation, 30 left
debit   acme  21 in=leaf@tool
usage   acme   5 in=leaf@tool id=U
capture H  20 open
capture H  10
reverse U
clock   +2h
cap     acme/late  10
"""


GIVEN = """
account acme
grant   acme  1000
give    acme  50 idle=1h
give    acme  60 idle=1h
debit   acme  61 in=tool@run  -> denied by its operation, 60 left by policy 2; begun at 60; joined
usage   acme  20 in=one id=U  -> drawn 20 from acme; begun at 60
hold    acme  10 as=H in=leaf@two
cap     acme/one  70
clock   +2h
debit   acme  5 in=one
reverse U
give    acme  none
debit   acme  500 in=none
"""


def lived() -> OperationCase:
    case = OperationCase()
    case.run(STORY)
    return case


def test_the_story_breaks_no_rule() -> None:
    """So whatever is found below was broken there."""
    lived().finish()


def test_unchanged_prices_make_the_journals_own_entries() -> None:
    """Each entry of an operation is read as the command that it answered."""
    core = lived().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


TERMS = e.BudgetTerms(e.BudgetMeasure.CHARGE, 10, 1)
DAILY = e.Window(e.WindowKind.CALENDAR, e.WindowUnit.DAY, "UTC")
OTHER = FAMILY.operation("other")


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.OperationBudgetSet, 0, {"budget": 9}, "number of the budget"),
        (e.OperationBudgetSet, 0, {"version": 2}, "version of the budget"),
        (e.OperationBudgetSet, 2, {"version": 1}, "version of the budget"),
        (e.OperationBudgetSet, 2, {"budget": 2}, "number of the budget"),
        (e.OperationBudgetSet, 2, {"terms": replace(TERMS, asset=2)}, "asset of the budget"),
        (e.OperationBudgetSet, 0, {"terms": replace(TERMS, window=DAILY)}, "window"),
        (e.OperationBudgetSet, 0, {"terms": replace(TERMS, limit=-1)}, "limit of the budget"),
        (e.OperationBudgetSet, 0, {"terms": replace(TERMS, thresholds=(9, 8))}, "thresholds"),
        (e.OperationBudgetSet, 0, {"idle": 0}, "idle time of an operation"),
        (e.OperationBudgetSet, 0, {"operation": b"x"}, "length of an operation"),
        (e.OperationJoined, 0, {"operation": OTHER}, "call of an operation"),
        (e.OperationJoined, 0, {"entry": 0}, "call of an operation"),
        (e.OperationJoined, 1, {"budget": 1}, "budget that covers the parent"),
        (e.OperationBudgetEnded, 0, {"budget": 1}, "budget of an operation"),
        (e.OperationBudgetEnded, 0, {"operation": OTHER}, "budget of an operation"),
        (e.WorkDenied, 0, {"limit": {"left": 9}}, "left"),
        (e.WorkDenied, 0, {"limit": {"name": "other"}}, "budget"),
        (e.WorkDenied, 0, {"limit": {"kind": e.LimitKind.BUDGET}}, "operation's budget denies"),
        (e.WorkDenied, 0, {"reason": "BUDGET_EXCEEDED"}, "reason"),
        (e.OperationHeld, 0, {"operation": b"x"}, "operation"),
        (e.BudgetsCounted, 0, {"move": {"pending": 121}}, "held of budget"),
        (e.BudgetsCounted, 1, {"move": {"posted": 29}}, "posted in budget"),
        (e.BudgetsCounted, 1, {"moves": ()}, "posted in budget"),
        (e.BudgetsCounted, 2, None, "budgets of UsageDebited"),
        (e.BudgetsCounted, 5, {"move": {"posted": -4}}, "posted in budget"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, place: int, changes: dict[str, Any] | None, what: str
) -> None:
    """That of its kind, changed or left out (None): `verify` says which rule it breaks."""

    def change(event: e.Event) -> e.Event | None:
        return replace(event, **_made(event, changes)) if changes is not None else None

    findings = findings_of(lived().core.batches, kind, place, change)
    assert any(what in f"{found.what} {found.expected}" for found in findings), findings


def given() -> OperationCase:
    case = OperationCase()
    case.run(GIVEN)
    return case


def test_the_story_of_policies_breaks_no_rule() -> None:
    given().finish()


def test_entries_of_policies_are_made_again() -> None:
    core = given().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.OperationPolicySet, 1, {"version": 3}, "version of the policy of operations"),
        (e.OperationPolicySet, 1, {"expected_version": 5}, "expected version"),
        (e.OperationPolicySet, 0, {"idle": 0}, "idle time of an operation"),
        (e.OperationPolicySet, 0, {"terms": replace(TERMS, limit=-1)}, "limit of the budget"),
        (e.OperationBudgetBegun, 0, {"operation": OTHER}, "operation that gets a budget"),
        (e.OperationBudgetBegun, 0, {"entry": 0}, "operation that gets a budget"),
        (e.OperationBudgetBegun, 0, {"budget": 9}, "number of the budget"),
        (e.OperationBudgetBegun, 1, {"terms": TERMS}, "policy of operations"),
        (e.OperationBudgetBegun, 1, {"policy": 1}, "policy of operations"),
        (e.OperationBudgetBegun, 1, {"idle": 5}, "policy of operations"),
        (e.WorkDenied, 0, {"limit": {"left": 9}}, "left"),
        (e.WorkDenied, 0, {"limit": {"value": ("1",)}}, "budget"),
        (e.WorkDenied, 0, {"limit": {"number": 9}}, "budget"),
        (e.BudgetsCounted, 0, {"move": {"posted": 19}}, "posted in budget"),
        (e.BudgetsCounted, 0, None, "budgets of UsageRecorded"),
    ],
)
def test_an_entry_of_a_policy_that_breaks_a_rule_is_named(
    kind: type, place: int, changes: dict[str, Any] | None, what: str
) -> None:
    def change(event: e.Event) -> e.Event | None:
        return replace(event, **_made(event, changes)) if changes is not None else None

    findings = findings_of(given().core.batches, kind, place, change)
    assert any(what in f"{found.what} {found.expected}" for found in findings), findings


def findings_of(
    batches: Sequence[tuple[int, Sequence[e.Event]]],
    kind: type,
    place: int,
    change: Callable[[e.Event], e.Event | None],
) -> list[Finding]:
    """What is found where `verify` is shown another entry (None: not shown it) in the place of one
    of a kind, `place` of which stand before it, while the state goes on as it did."""
    findings = Findings(ShardReport(0))
    rules, state, seen = Rules(findings), State(0, Catalog()), 0
    for batch_seq, (recorded_at, events) in enumerate(batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            shown: e.Event | None = event
            if type(event) is kind:
                seen += 1
                if seen == place + 1:
                    shown = change(event)
            if shown is not None:
                rules.before(state, shown)
            evolve(state, event)
    look_for_uncounted(rules, state)
    assert seen > place
    return findings.found


def _made(event: e.Event, changes: dict[str, Any]) -> dict[str, Any]:
    if "limit" in changes:
        assert isinstance(event, e.WorkDenied) and event.limit is not None
        return {"limit": replace(event.limit, **changes["limit"])}
    if "move" in changes:
        assert isinstance(event, e.BudgetsCounted)
        return {"moves": (replace(event.moves[0], **changes["move"]), *event.moves[1:])}
    return changes


def forget(family: Family) -> None:
    family.operations.pop(FAMILY.operation("tool")[:KEY_BYTES])


def mislead(family: Family) -> None:
    names = [digest for digest, each in family.operations.items() if each.operation is not None]
    first, then = family.operations[names[0]], family.operations[names[1]]
    family.operations[names[0]], family.operations[names[1]] = then, first


def never_end(family: Family) -> None:
    family.operation_ends.clear()


def end_in_any_order(family: Family) -> None:
    family.operation_ends.reverse()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (forget, "budget of operation"),
        (mislead, "budget of operation"),
        (never_end, "end of budget"),
        (end_in_any_order, "ends in order"),
    ],
)
def test_a_name_that_leads_elsewhere_is_found(change: Callable[[Family], None], what: str) -> None:
    """The rules look operations up by name: so whether names are right is looked at by itself."""
    case = OperationCase()
    case.run(
        """
        account acme
        grant   acme  1000
        cap     acme/run   100
        cap     acme/other 100 idle=2h
        usage   acme  10 in=tool@run
        """
    )
    state = case.core.state
    findings = Findings(ShardReport(0))
    look_at_operations(findings, state)
    assert findings.found == []
    change(state.families[case.accounts["acme"]])
    look_at_operations(findings, state)
    assert findings.found and all(what in each.what for each in findings.found)
