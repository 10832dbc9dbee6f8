"""What `verify` says of entries of budgets that were not decided so (rules H4, H5)."""

from __future__ import annotations

from typing import Any

import pytest
from budget_case import BudgetCase
from core_world import DAY_US, replay
from msgspec.structs import replace
from replaying import counters, replayed
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


def of_every_kind(plainly: bool = False) -> BudgetCase:
    """Budgets set, changed, counted, crossed, denied, removed; `plainly`: each entry by itself."""
    case = BudgetCase()
    case.core.plainly = plainly
    case.run(
        """
        account acme
        account team parent=acme
        grant   acme  1000 shared
        budget  acme/all   50 at=50
        budget  team/day   100 each=day soft
        budget  acme/all   60 at=50
        hold    team  30 as=H1
        capture H1    20 open
        capture H1    10
        usage   team  20 id=u1
        reverse u1
        usage   team  5
        hold    acme  50 as=H2  -> denied by acme/all, 25 left
        hold    acme  5 as=H3
        release H3
        debit   acme  3
        hold    acme  90 as=H4 least=2
        release H4
        unbudget team/day
        clock   +1m
        usage   team  1
        """
    )
    return case


def test_what_was_decided_breaks_no_rule_of_verify() -> None:
    assert judged(of_every_kind().core) == []
    assert judged(of_every_kind(plainly=True).core) == []


def last_move(event: e.Event, **changes: Any) -> dict[str, Any]:
    """The counts of an entry with the last of its moves changed: that of the hard budget, or of
    the other where it is told so."""
    assert isinstance(event, e.BudgetsCounted)
    if changes.pop("of_day", False):
        return {"moves": (replace(event.moves[0], **changes), *event.moves[1:])}
    return {"moves": (*event.moves[:-1], replace(event.moves[-1], **changes))}


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.BudgetSet, 0, {"budget": 9}, "number of the budget"),
        (e.BudgetSet, 0, {"version": 2}, "version of the budget"),
        (e.BudgetSet, 2, {"version": 3}, "version of the budget"),
        (e.BudgetSet, 2, {"budget": 2}, "number of the budget"),
        (e.BudgetSet, 2, {"terms": {"asset": 9}}, "asset of the budget"),
        (e.BudgetSet, 0, {"terms": {"limit": -1}}, "limit of the budget"),
        (e.BudgetSet, 0, {"terms": {"thresholds": (80, 50)}}, "thresholds of the budget"),
        (e.BudgetSet, 0, {"terms": {"window": e.Window(e.WindowKind.FIXED)}}, "window"),
        (e.BudgetRemoved, 0, {"budget": 1}, "budget"),
        (e.WorkDenied, 0, {"limit": {"left": 24}}, "left"),
        (e.WorkDenied, 0, {"limit": {"name": "other"}}, "budget"),
        (e.WorkDenied, 0, {"limit": {"number": 2}}, "a hard one"),
        (e.WorkDenied, 0, {"limit": {"retry_at": 1}}, "when to ask again"),
        (e.WorkDenied, 0, {"limit": {"kind": e.LimitKind.GRANTS}}, "whether a budget denies"),
        (e.WorkDenied, 0, {"reason": "UNPRICED"}, "whether a budget denies"),
        (e.WorkDenied, 0, {"limit": None}, "limit of a denial"),
        (e.WorkDenied, 0, {"policy_version": 9}, "version of the policy"),
        (e.WorkDenied, 0, {"old": {"left": 24}}, "left"),
        (e.WorkDenied, 0, {"old": {"budget_name": "other"}}, "budget"),
        (e.WorkDenied, 0, {"old": {"budget": 2}}, "a hard one"),
        (e.WorkDenied, 0, {"old": {"reason": "UNPRICED"}}, "reason"),
        (e.UsageDebited, 0, {"over_limit": 1}, "over_limit"),
        (e.UsageDebited, 0, {"effective_at": 1}, "effective time"),
        (e.UsageDebited, 0, {"policy_version": 9}, "version of the policy"),
        (e.UsageDebited, 0, {"suspense": 1}, "suspense of what is charged at once"),
        (e.UsageDebited, 0, {"slices": {"pot": e.Pot.EXCESS_OWED}}, "one that may be held"),
        (e.UsageDebited, 0, {"up_to": e.UpTo("tokens", 7, 9)}, "quantity of tokens"),
        (e.HoldUpTo, 0, {"up_to": e.UpTo("tokens", 7, 9)}, "quantity of tokens"),
        (e.HoldUpTo, 0, {"policy_version": 9}, "version of the policy"),
        (e.BudgetsCounted, 8, {"move": {"posted": 26}}, "held of budget"),
        (e.BudgetsCounted, 8, {"move": {"pending": 1}}, "pending in budget"),
        (e.BudgetCrossed, 0, {"threshold": 90}, "threshold"),
        (e.BudgetCrossed, 0, {"used": "1"}, "used"),
        (e.BudgetCrossed, 0, {"until": 1}, "threshold"),
        (e.BudgetCrossed, 0, {"account": 2}, "account of the budget"),
        (e.BudgetsCounted, 0, {"entry": 0}, "counted entry"),
        (e.BudgetsCounted, 0, {"move": {"pending": 61}}, "held of budget"),
        (e.BudgetsCounted, 0, {"move": {"pending": 0}}, "pending in budget"),
        (e.BudgetsCounted, 1, {"move": {"posted": 21}}, "posted in budget"),
        (e.BudgetsCounted, 1, {"move": {"pending": -31}}, "pending in budget"),
        (e.BudgetsCounted, 2, {"move": {"pending": 0}}, "pending in budget"),
        (e.BudgetsCounted, 3, {"move": {"posted": 0}}, "posted in budget"),
        (e.BudgetsCounted, 4, {"move": {"posted": -19}}, "posted in budget"),
        (e.BudgetsCounted, 3, {"move": {"since": 1, "end": 2}}, "window of budget"),
        (e.BudgetsCounted, 3, {"move": {"end": 3 * DAY_US, "of_day": True}}, "window of budget"),
        (e.BudgetsCounted, 3, {"move": {"since": 0, "of_day": True}}, "window of budget"),
        (e.BudgetsCounted, 3, {"moves": ()}, "posted in budget"),
        (e.BudgetsCounted, 3, None, "budgets of UsageRecorded"),
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
                    if changes is not None and "old" in changes:
                        rules.before(state, as_once_said(event, changes["old"]))
                    elif changes is not None:
                        rules.before(state, replace(event, **made(event, changes)))
                    evolve(state, event)
                    continue
            rules.before(state, event)
            evolve(state, event)
    assert seen > place
    assert any(what in f"{found.what} {found.expected}" for found in findings.found), findings.found


def as_once_said(event: e.Event, changes: dict[str, Any]) -> e.BudgetDenied:
    """The denial of a budget as journals had it before each said its limit, changed."""
    assert isinstance(event, e.WorkDenied) and event.limit is not None
    said = {field: getattr(event, field) for field in e.QuotedDenied.__struct_fields__}
    limit = event.limit
    budget = {
        "budget": limit.number,
        "budget_account": limit.account,
        "budget_name": limit.name,
        "left": limit.left,
        "resets_at": limit.retry_at,
    }
    return e.BudgetDenied(**{**said, **budget, **changes})


def made(event: e.Event, changes: dict[str, Any]) -> dict[str, Any]:
    if "move" in changes:
        return last_move(event, **changes["move"])
    if changes.get("limit") and isinstance(event, e.WorkDenied):
        assert event.limit is not None
        return {"limit": replace(event.limit, **changes["limit"])}
    if "slices" in changes:
        assert isinstance(event, e.UsageDebited)
        return {"slices": (replace(event.slices[0], **changes["slices"]),)}
    if "terms" in changes:
        assert isinstance(event, e.BudgetSet)
        return {"terms": replace(event.terms, **changes["terms"])}
    return changes


def test_a_replay_and_a_family_packed_and_back_are_the_same() -> None:
    """Byte for byte, holds that pend in budgets included (ARCHITECTURE, the pure core)."""
    case = of_every_kind()
    case.run("hold team 7 as=H9")
    core = case.core
    again = replay(core.journal())
    assert digest(again) == digest(core.state)
    state, root = core.state, case.accounts["acme"]
    body = pack_family(state, root, state.settled_before)
    before = digest(state)
    drop_family(state, root)
    unpack_family(state, body)
    assert digest(state) == before
    assert pack_family(state, root, state.settled_before) == body
    case.run("release H9")
    assert case.budget("acme/all").counter.pending == 0
    assert state.families[root].budgeted_holds == {}


def test_a_simulation_of_unchanged_prices_counts_and_denies_alike() -> None:
    """Budgets are asked again by whoever tries other prices; with the same ones every entry is what
    the ledger recorded (rule H4)."""
    core = of_every_kind().core
    for plainly in (True, False):
        again = replayed(core, plainly=plainly, faithfully=plainly)
        assert counters(again.state) == counters(core.state)
        found = again.close(10)
        assert (found.denied.old, found.denied.new) == (1, 1)
        assert (found.denied_now, found.allowed_now, found.unrun_captures) == (0, 0, 0)
