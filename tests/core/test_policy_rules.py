"""What `verify` says to decisions that their policy does not make: each rule broken once."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS
from msgspec.structs import replace
from policy_case import PolicyCase
from replaying import replayed
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

STORY = """
    account acme
    grant   acme 20
    rules   acme deny,of=image overdraw=5/1h downgrade=half|image*750 topup  -> policy 1
    rule    acme below=1 amount=10
    rules   acme deny,of=image overdraw=5/1h downgrade=half|image*750 topup version=1
    buy     acme 4
    ask     acme 18 as=a
            -> rule 2 overdraw: held 16 from acme, overdraft 2; tops up 1: 10 for 10
    capture a 18
    buy     acme 1                 -> rule 2 overdraw: overdraft 1
    buy     acme 9 of=image        -> rule 1 deny: denied INSUFFICIENT_CREDITS
    collect 1
    buy     acme 13 or=free        -> rule 3 downgrade to free: free
    ask     acme 13 as=b           -> rule 3 downgrade to half: held 6 from top-up-1
    buy     acme 60
            -> rule 4 top_up 59: denied INSUFFICIENT_CREDITS; tops up 2: 60 for 60
"""


def told() -> PolicyCase:
    case = PolicyCase()
    case.run(STORY)
    return case


def ruling(event: Any, **changes: Any) -> e.Event:
    return replace(event, ruling=replace(event.ruling, **changes))


def chosen(event: Any, **changes: Any) -> e.Event:
    """With what decided in its trail changed."""
    tried = [each if each.result else replace(each, **changes) for each in event.ruling.tried]
    return ruling(event, tried=tuple(tried))


def overdrawn(event: Any) -> e.Event:
    [grant, advance] = event.slices
    return replace(event, slices=(replace(grant, amount=10), replace(advance, amount=8)))


BROKEN: tuple[tuple[type, int, Any, str], ...] = (
    (e.DecisionPolicySet, 0, lambda v: replace(v, version=2), "version of the decision policy"),
    (e.DecisionPolicySet, 1, lambda v: replace(v, expected_version=2), "expected version"),
    (
        e.DecisionPolicySet,
        0,
        lambda v: replace(v, rules=(e.PolicyRule(e.PolicyAction.NONE),)),
        "action of rule 1",
    ),
    (
        e.DecisionPolicySet,
        0,
        lambda v: replace(v, rules=(e.PolicyRule(e.PolicyAction.OVERDRAW, asset=CREDITS),)),
        "bound of rule 1",
    ),
    (e.DecisionPolicySet, 0, lambda v: replace(v, rules=v.rules * 9), "rules of a policy"),
    (e.PolicyHeld, 0, overdrawn, "owed in advance"),
    (e.PolicyHeld, 0, lambda v: replace(v, ruling=None), "ruling of a decision"),
    (e.PolicyHeld, 0, lambda v: ruling(v, version=1), "policy of the decision"),
    (e.PolicyHeld, 0, lambda v: ruling(v, account=9), "policy of the decision"),
    (e.PolicyHeld, 0, lambda v: ruling(v, rule=9), "rule that decided"),
    (e.PolicyHeld, 0, lambda v: ruling(v, rule=3), "action of the rule"),
    (e.PolicyHeld, 0, lambda v: ruling(v, tried=v.ruling.tried[1:]), "rules that were looked at"),
    (e.PolicyHeld, 0, lambda v: chosen(v, rule=1), "what decided"),
    (e.PolicyHeld, 0, lambda v: ruling(v, reason=""), "reason"),
    (e.PolicyHeld, 0, lambda v: ruling(v, action=e.PolicyAction.TOP_UP), "lets work run"),
    (e.PolicyHeld, 1, lambda v: ruling(v, asked=None), "work in its stead"),
    (e.PolicyHeld, 1, lambda v: chosen(v, charge=7), "charge of what runs"),
    (e.PolicyHeld, 1, lambda v: chosen(v, alternative=9), "alternative that runs"),
    (e.PolicyHeld, 1, lambda v: chosen(v, alternative=2), "work that runs"),
    (
        e.PolicyHeld,
        1,
        lambda v: ruling(
            v, tried=(*v.ruling.tried, replace(v.ruling.tried[-1], charge=1, result="NOT_CHEAPEST"))
        ),
        "cheapest of those that may run",
    ),
    (e.PolicyDebited, 1, lambda v: ruling(v, alternatives=()), "alternative that runs"),
    (e.PolicyDenied, 0, lambda v: replace(v, ruling=None), "ruling of a decision"),
    (e.PolicyDenied, 0, lambda v: ruling(v, action=e.PolicyAction.OVERDRAW), "that denies"),
    (e.PolicyDenied, 0, lambda v: ruling(v, reason="UNPRICED"), "reason"),
    (e.PolicyDenied, 0, lambda v: ruling(v, charge=1), "charge of what was asked"),
    (e.PolicyDenied, 0, lambda v: ruling(v, missing=1), "whether units are missing"),
    (e.PolicyDenied, 1, lambda v: ruling(v, missing=0), "whether units are missing"),
    (e.PolicyDenied, 1, lambda v: ruling(v, top_up=7), "account of the top-up that pends"),
    (e.PolicyDenied, 1, lambda v: ruling(v, missing=20), "reached by top-up"),
    (e.TopUpRequested, 1, lambda v: replace(v, amount=70, price_paid=70), "reached by top-up"),
)


@pytest.mark.parametrize(("kind", "place", "breaking", "what"), BROKEN)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, place: int, breaking: Any, what: str
) -> None:
    """That of its kind, changed: `verify` says which rule it breaks."""
    findings = Findings(ShardReport(0))
    rules, state, seen = Rules(findings), State(0, Catalog()), 0
    for batch_seq, (recorded_at, events) in enumerate(told().core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            is_it = type(event) is kind and seen == place
            seen += type(event) is kind
            rules.before(state, breaking(event) if is_it else event)
            evolve(state, event)
    assert seen > place
    assert any(what in f"{found.what} {found.expected}" for found in findings.found), findings.found


def test_the_story_itself_breaks_none() -> None:
    assert judged(told().core) == []


def test_below_zero_for_longer_than_the_rule_bears_is_named() -> None:
    case = PolicyCase()
    case.run("account acme\nrules acme overdraw=5\nbuy acme 1\nclock +2h\nbuy acme 1")
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(case.core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if isinstance(event, e.DecisionPolicySet):
                limited = replace(event.rules[0], lasting=3_600_000_000)
                event = replace(event, rules=(limited,))
            rules.before(state, event)
            evolve(state, event)
    assert any("time below zero" in found.what for found in findings.found)


def test_a_simulation_of_unchanged_prices_decides_alike() -> None:
    """Policies are asked again by whoever tries other prices (rule I2)."""
    again = replayed(told().core, faithfully=True).close(10)
    assert (again.denied.old, again.denied.new) == (2, 2)
    assert (again.authorized.old, again.authorized.new) == (2, 2)
