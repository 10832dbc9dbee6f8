"""What `verify` says of entries of budgets by value that were not decided so (rules H4, H5)."""

from __future__ import annotations

from typing import Any

import pytest
from budget_case import BudgetCase
from core_world import FAMILY, replay
from msgspec.structs import replace
from replaying import counters, replayed
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.commands import SetBudget
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


def of_every_kind(plainly: bool = False) -> BudgetCase:
    """Counters opened, shared, closed, counted, crossed, denied; `plainly`: entry by entry."""
    case = BudgetCase()
    case.core.plainly = plainly
    case.run(
        """
        account acme
        grant   acme  1000
        clock   +2h
        budget  acme/per   50 by=user values=1 each=day at=50 but=vip:200
        hold    acme  30 with=user:a as=H1
        capture H1    20
        usage   acme  30 with=user:b id=u1
        hold    acme  40 with=user:c as=H2  -> denied by acme/per:c and others, 20 left
        hold    acme  20 with=user:c as=H3 lifetime=24h
        reverse u1
        hold    acme  31 with=user:a as=H4  -> denied by acme/per:a, 30 left
        hold    acme  201 with=user:vip as=H5  -> denied by acme/per:vip, 200 left
        clock   +23h
        release H3
        usage   acme  1 with=user:b
        usage   acme  2 with=user:b
        budget  acme/per   50 by=user values=2 each=day at=50
        usage   acme  2 with=user:d
        """
    )
    return case


def test_what_was_decided_breaks_no_rule_of_verify() -> None:
    for plainly in (False, True):
        core = of_every_kind(plainly).core
        assert judged(core) == []
        assert digest(replay(core.journal())) == digest(core.state)


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.GroupedBudgetSet, 0, {"values": e.BudgetValues(("user",), 0)}, "values of the budget"),
        (e.GroupedBudgetSet, 1, {"values": e.BudgetValues(("team",), 2)}, "group_by of the budget"),
        (e.BudgetValueOpened, 0, {"number": 9}, "number of the counter"),
        (e.BudgetValueOpened, 0, {"value": ("b",)}, "value of the counter"),
        (e.BudgetValueOpened, 0, {"value": ()}, "others have a counter"),
        (e.BudgetValueOpened, 0, {"entry": 0}, "entry that opens a counter"),
        (e.BudgetValueOpened, 1, {"value": ("b",)}, "one of 1"),
        (e.BudgetValueOpened, 1, {"closed": (2,)}, "closed counter"),
        (e.BudgetValueOpened, 2, {"closed": ()}, "one of 1"),
        (e.BudgetValueOpened, 2, {"closed": (2, 3, 9)}, "closed counter"),
        (e.BudgetsCounted, 0, {"budget": 1}, "the counter of a value of it"),
        (e.BudgetsCounted, 2, {"budget": 2}, "posted in budget"),
        (e.BudgetsCounted, 2, {"posted": 29}, "posted in budget"),
        (e.BudgetsCounted, 3, {"budget": 2}, "counter of the value"),
        (e.BudgetsCounted, 3, {"pending": 21}, "held of budget"),
        (e.BudgetsCounted, 4, {"posted": -29}, "posted in budget"),
        (e.BudgetsCounted, 4, {"budget": 2}, "posted in budget"),
        (e.BudgetsCounted, 4, None, "budgets of UsageReversed"),
        (e.WorkDenied, 0, {"limit": {"left": 50}}, "left"),
        (e.WorkDenied, 0, {"limit": {"shared": False}}, "value of the budget"),
        (e.WorkDenied, 1, {"limit": {"value": ("b",)}}, "value of the budget"),
        (e.WorkDenied, 1, {"limit": {"left": 31}}, "left"),
        (e.WorkDenied, 2, {"limit": {"left": 50}}, "left"),
        (e.BudgetCrossed, 0, {"budget": 2}, "used"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, place: int, changes: dict[str, Any] | None, what: str
) -> None:
    """That of its kind, changed or left out (None): `verify` says which rule it breaks."""
    findings = Findings(ShardReport(0))
    rules, state, seen = Rules(findings), State(0, Catalog()), 0
    core = of_every_kind(plainly=True).core
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if type(event) is kind:
                seen += 1
                if seen == place + 1:
                    if changes is not None:
                        rules.before(state, replace(event, **made(event, changes)))
                    evolve(state, event)
                    continue
            rules.before(state, event)
            evolve(state, event)
    assert seen > place
    assert any(what in f"{found.what} {found.expected}" for found in findings.found), findings.found


def made(event: e.Event, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes of counts are of their one move."""
    if isinstance(event, e.BudgetsCounted):
        return {"moves": (replace(event.moves[0], **changes),)}
    if isinstance(event, e.WorkDenied):
        assert event.limit is not None
        return {"limit": replace(event.limit, **changes["limit"])}
    return changes


def test_a_simulation_of_unchanged_prices_counts_and_denies_alike() -> None:
    core = of_every_kind().core
    for plainly in (True, False):
        again = replayed(core, plainly=plainly, faithfully=plainly)
        assert counters(again.state) == counters(core.state)
        found = again.close(10)
        assert (found.denied.old, found.denied.new) == (3, 3)
        assert (found.denied_now, found.allowed_now, found.unrun_captures) == (0, 0, 0)


def test_a_call_that_is_repeated_is_compared_with_its_values() -> None:
    """Same body again: the first outcome; other values: CONFLICT, which names them (rule I1)."""
    case = BudgetCase()
    case.run("account acme")
    terms = e.BudgetTerms(e.BudgetMeasure.REQUESTS, 5)
    values = e.BudgetValues(("user",), 10)
    account = case.account("acme").number

    def ask(said: e.BudgetValues | None, name: str) -> str:
        key = FAMILY.request(name)
        return case.execute(SetBudget(key, account, name, terms, values=said))[1]

    assert ask(values, "per") == ask(None, "all") == "budget 1"
    assert ask(values, "per") == ask(None, "all") == "replayed: budget 1"
    for said, name in ((None, "per"), (e.BudgetValues(("user",), 11), "per"), (values, "all")):
        assert ask(said, name) == "refused CONFLICT values"
