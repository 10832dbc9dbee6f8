"""Policies of operations: each operation of an account has a budget, by the first call that names
it, that nobody has set by hand (rule H4)."""

from __future__ import annotations

import pytest
from core_world import WITH_OTHER_LIMITS
from hypothesis import given
from hypothesis import strategies as st
from lease_case import LeaseCase
from mandate_case import MandateCase
from minimum_world import packed_and_back
from operation_case import OperationCase, operation_case
from policy_case import PolicyCase
from test_verify_rules import judged

from ledger.core.budgets import operation_cover as core_cover
from ledger.core.budgets import operations
from ledger.core.leases import lease_room
from ledger.verify.rules import operation_cover


@operation_case
def test_each_operation_has_a_budget_by_its_first_call(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    give    acme  50  -> policy 1
    hold    acme  30 as=H in=one
    expect  pends ~one  30
    debit   acme  21 in=one  -> denied by its operation, 20 left by policy 1
    usage   acme  40 in=two id=U  -> drawn 40 from acme; begun at 50
    debit   acme  11 in=two  -> denied by its operation, 10 left by policy 1
    debit   acme  10 in=two  -> drawn 10 from acme
    reverse U
    expect  spent ~two  10
    capture H  25
    expect  spent ~one  25
    debit   acme  100  -> drawn 100 from acme
    """


@operation_case
def test_a_denied_first_call_begins_the_budget(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    give    acme  50
    debit   acme  51 in=one  -> denied by its operation, 50 left by policy 1; begun at 50
    debit   acme  51 in=one  -> denied by its operation, 50 left by policy 1
    hold    acme 51 in=x@y as=H -> denied by its operation, 50 left by policy 1; begun at 50; joined
    reserve acme  51 as=R in=all  -> denied by its operation, 50 left by policy 1; begun at 50
    reserve acme  50 as=R in=all  -> held 50 from acme
    debit   acme  60 in=all from=R  -> denied by its operation, 0 left by policy 1
    """


@operation_case
def test_the_budget_is_of_the_parent_that_a_call_names(case: OperationCase) -> None:
    """
    # All that one user action causes shares its budget, wherever the first call comes from.
    account acme
    grant   acme  1000
    give    acme  50
    usage   acme  20 in=tool@run   -> drawn 20 from acme; begun at 50; joined
    usage   acme  20 in=other@run  -> drawn 20 from acme; joined
    expect  spent ~run  40
    debit   acme  11 in=run   -> denied by its operation, 10 left by policy 1
    debit   acme  11 in=deep@tool   -> denied by its operation, 10 left by policy 1; joined
    # What was a top before anybody said what it is below has its own as well.
    usage   acme  5 in=leaf@mid  -> drawn 5 from acme; begun at 50; joined
    usage   acme  5 in=mid@top   -> drawn 5 from acme; begun at 50; joined
    usage   acme  5 in=leaf      -> drawn 5 from acme
    expect  spent ~mid  15
    expect  spent ~top  10
    usage   acme  5 in=self@self -> drawn 5 from acme; begun at 50
    usage   acme  5 in=top@mid   -> drawn 5 from acme
    """


@operation_case
def test_a_budget_set_by_hand_counts_in_its_stead(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    give    acme  50
    cap     acme/big  200
    debit   acme  150 in=big  -> drawn 150 from acme
    debit   acme  51 in=big   -> denied by its operation, 50 left
    debit   acme  30 in=one   -> drawn 30 from acme; begun at 50
    cap     acme/one  80      -> cap 2
    debit   acme  51 in=one   -> denied by its operation, 50 left
    debit   acme  50 in=one   -> drawn 50 from acme
    cap     acme/one  80 of=requests  -> refused BUDGET_FIXED budget.measure
    # One of its own below an operation of which nobody has heard: that has the policy's.
    cap     acme/own  20
    debit   acme  15 in=own@top  -> drawn 15 from acme; begun at 50; joined
    debit   acme  36 in=top      -> denied by its operation, 35 left by policy 1
    """


@operation_case
def test_policies_are_inherited_versioned_and_removed(case: OperationCase) -> None:
    """
    account acme
    account bot    parent=acme
    account other  parent=acme
    grant   acme  1000 shared
    give    acme  50   -> policy 1
    give    bot   10 soft  -> policy 1
    usage   bot   20 in=b  -> drawn 20 from acme; begun at 10
    debit   bot   20 in=b  -> drawn 20 from acme
    debit   other 51 in=o  -> denied by its operation, 50 left by policy 1; begun at 50
    give    acme  60 version=2  -> refused VERSION_MISMATCH expected_version
    give    acme  60 version=1  -> policy 2
    debit   other 51 in=o  -> denied by its operation, 50 left by policy 1
    debit   other 61 in=p  -> denied by its operation, 60 left by policy 2; begun at 60
    give    bot   none     -> policy 2
    debit   bot   61 in=c  -> denied by its operation, 60 left by policy 2; begun at 60
    give    acme  none     -> policy 3
    debit   bot   99 in=d  -> drawn 99 from acme
    debit   bot   61 in=c  -> denied by its operation, 60 left by policy 2
    """


@operation_case
def test_what_stood_idle_begins_anew(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    give    acme  50 idle=1h
    debit   acme  50 in=run  -> drawn 50 from acme; begun at 50
    usage   acme  1 in=tool@run  -> drawn 1 from acme; joined
    clock   +1h
    debit   acme  51 in=run  -> denied by its operation, 50 left by policy 1; cap ended; begun at 50
    debit   acme  50 in=tool -> drawn 50 from acme; begun at 50
    clock   +1h
    # `tool` and `run` have ended: all that stands idle goes with the next that begins.
    debit   acme  9 in=run@tool  -> drawn 9 from acme; cap ended; cap ended; begun at 50; joined
    expect  spent ~tool  9
    expect  covered ~tool  1
    """


@operation_case
def test_an_operation_has_one_budget_in_its_family(case: OperationCase) -> None:
    """
    # That of an account beside does not cover the call, and another cannot be.
    account acme
    account bot    parent=acme
    account other  parent=acme
    grant   acme  1000 shared
    give    bot    10
    give    other  20
    usage   bot    5 in=run  -> drawn 5 from acme; begun at 10
    debit   other  99 in=run -> drawn 99 from acme
    usage   bot    5 in=tool@run  -> drawn 5 from acme; joined
    debit   other  21 in=tool  -> denied by its operation, 20 left by policy 1; begun at 20
    usage   bot    5 in=tool   -> drawn 5 from acme
    expect  spent ~run  15
    """


@operation_case
def test_a_policy_that_is_refused(case: OperationCase) -> None:
    """
    account acme
    account shut parent=acme
    close   shut
    give    nobody 50  -> refused ACCOUNT_UNKNOWN account
    give    shut 50    -> refused ACCOUNT_CLOSED account
    give    acme 50 each=day  -> refused BUDGET_INVALID budget.window
    give    acme 50 idle=36d  -> refused BUDGET_INVALID idle_us
    give    acme 50 id=k      -> policy 1
    give    acme 50 id=k      -> replayed: policy 1
    give    acme 51 id=k      -> refused CONFLICT terms
    give    acme 50 id=k idle=1h  -> refused CONFLICT idle_us
    give    acme none id=k    -> refused CONFLICT terms
    """


@WITH_OTHER_LIMITS
def test_no_more_begin_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Authorisations and debits are refused; recorded usage counts nowhere, a soft one refuses
    nothing, and what has ended makes room."""
    monkeypatch.setattr(operations, "OPERATION_BUDGETS_MAX", 2)
    monkeypatch.setattr(operation_cover, "OPERATION_BUDGETS_MAX", 2)
    case = OperationCase()
    case.run(
        """
        account acme
        grant   acme  1000
        give    acme  50 idle=1h
        debit   acme  10 in=one  -> drawn 10 from acme; begun at 50
        debit   acme  10 in=two  -> drawn 10 from acme; begun at 50
        debit   acme  10 in=three  -> refused OPERATIONS_LIMIT operation
        hold    acme  10 as=H in=tool@three  -> refused OPERATIONS_LIMIT operation
        debit   acme  10 in=tool@two  -> drawn 10 from acme; joined
        usage   acme  10 in=three  -> drawn 10 from acme
        give    acme  50 idle=1h soft
        debit   acme  99 in=three  -> drawn 99 from acme
        clock   +1h
        debit   acme  10 in=three  -> drawn 10 from acme; cap ended; cap ended; begun at 50
        """
    )
    case.finish()


CALLS = st.one_of(
    st.tuples(st.just("usage"), st.integers(0, 7)),
    st.tuples(st.just("hold"), st.integers(0, 7)),
    st.tuples(st.just("give"), st.sampled_from([1, 3, 9])),
    st.tuples(st.just("free"), st.just(0)),
    st.tuples(st.just("clock"), st.integers(1, 4)),
    st.tuples(st.just("page"), st.just(0)),
)


@WITH_OTHER_LIMITS
@given(st.lists(CALLS, min_size=5, max_size=40))
def test_those_that_stand_idle_are_found_without_looking_at_all(
    calls: list[tuple[str, int]],
) -> None:
    """Where there is no room, against a plain look at each, in order of when it was last seen."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(operations, "OPERATION_BUDGETS_MAX", 0)
        patched.setattr(operations, "no_room", lambda family, ended, known: 0)
        patched.setattr(core_cover, "no_room", lambda family, ended, known: 0)
        patched.setattr(operations, "OPERATION_BUDGETS_ENDED_MAX", 2)
        case = OperationCase()
        case.run("account acme\ngrant acme 1000000\ngive acme 1000 idle=3h")
        names: list[str] = []
        made = 0
        for what, number in calls:
            if what == "usage":
                case.run(f"usage acme 1 in=o{number}")
            elif what == "hold":
                made += 1
                names.append(f"H{made}")
                case.run(f"hold acme 5 as=H{made} in=o{number} lifetime=8h")
            elif what == "give":
                case.run(f"give acme 1000 idle={number}h")
            elif what == "clock":
                case.run(f"clock +{number}h")
            elif what == "free" and names:
                case.told(f"release {names.pop(0)}")  # it may have expired
            elif what == "page":
                packed_and_back(case.core)
            family = case.core.state.families[case.accounts["acme"]]
            by_seen = sorted(
                family.operation_budgets.values(),
                key=lambda each: (each.operation.seen_at, each.number),  # type: ignore[union-attr]
            )
            now = case.core.state.now
            plainly = [each for each in by_seen if operations.is_idle(each, now)][:2]
            assert operations.idle_ones(family, b"", now) == plainly


class RuleCase(PolicyCase, OperationCase):
    """Stories of operations and of rules for what happens where one denies."""


def test_a_rule_applies_where_the_budget_of_an_operation_denies() -> None:
    case = RuleCase()
    case.run(
        """
        account acme
        grant   acme  1000
        give    acme  50
        rules   acme  deny,when=BUDGET+MANDATE downgrade=chat*500,when=OPERATION
        debit   acme  80 in=one  -> rule 2 downgrade to chat: drawn 40 from acme; begun at 50
        debit   acme  30 in=one  -> denied by its operation, 10 left by policy 1
        debit   acme  20 in=one  -> rule 2 downgrade to chat: drawn 10 from acme
        debit   acme  800 in=two  -> denied by its operation, 50 left by policy 1; begun at 50
        """
    )
    case.finish()


class AgentCase(PolicyCase, MandateCase):
    """Stories of agents and of such rules."""


def test_a_rule_applies_where_a_mandate_denies() -> None:
    case = AgentCase()
    case.run(
        """
        account acme
        grant   acme  1000 shared
        mandate bot   50 parent=acme
        rules   acme  deny,when=BUDGET+OPERATION downgrade=chat*500,when=MANDATE
        buy     bot   80  -> rule 2 downgrade to chat: drawn 40 from acme
        """
    )
    case.finish()


class EdgeCase(LeaseCase, OperationCase):
    """Stories of operations and of leases."""


def test_no_lease_is_a_way_round_a_hard_policy() -> None:
    """What its holder spends is of no operation when it decides."""
    case = EdgeCase()
    case.run(
        """
        account acme
        account bot  parent=acme
        grant   acme  1000 shared
        lease   acme  90 as=a   -> leased 90 from acme
        give    acme  50 for=image
        lease   acme  90 as=b   -> leased 90 from acme
        give    acme  50
        lease   acme  90 as=c   -> refused LEASE_UNBOUNDED account
        renew   a 90 keep=20    -> leased 20 from acme, down to 0
        give    bot   50 soft
        lease   bot   90 as=d   -> leased 90 from acme
        """
    )
    case.finish()


@WITH_OTHER_LIMITS
def test_verify_finds_a_lease_that_goes_round_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_room, "_of_operations", lambda account, use: None)
    case = EdgeCase()
    case.run("account acme\ngrant acme 1000\ngive acme 50\nlease acme 90 as=a\n")
    [found] = judged(case.core)
    assert found.expected == "none where a hard policy bounds operations"


NAMES = ("a", "b", "c", "d")
CALLS = st.tuples(
    st.sampled_from(("usage", "debit", "hold", "clock", "give")),
    st.sampled_from(NAMES),
    st.sampled_from(("", *NAMES)),
    st.integers(1, 30),
)


@given(st.lists(CALLS, max_size=20))
def test_no_decision_passes_what_a_policy_gives(calls: list[tuple[str, str, str, int]]) -> None:
    """Whatever calls come first: what is debited for an operation, and for those that were said to
    be below it by then, stays within the policy, and what is less is not denied."""
    case = OperationCase()
    case.run("account acme\naccount bot parent=acme\ngrant acme 100000 shared\n")
    case.run("give acme 40 idle=3h")
    used: dict[str, int] = {}  # by an operation and those below it: nothing ends meanwhile
    over: dict[str, str] = {}  # operation -> the one that it is below
    for number, (verb, operation, parent, amount) in enumerate(calls):
        if verb == "clock":
            case.run("clock +3h")
            used, over = {}, {}
            continue
        if verb == "give":
            case.run("give acme 40 idle=3h")
            continue
        joins = parent not in ("", operation) and operation not in over
        if joins and operation not in _line(over, parent):
            over[operation] = parent
        line = _line(over, operation)
        allowed = verb == "usage" or all(used.get(each, 0) + amount <= 40 for each in line)
        said = f"in={operation}@{parent}" if parent else f"in={operation}"
        name = f" as=H{number}" if verb == "hold" else ""
        outcome = case.told(f"{verb} {('acme', 'bot')[number % 2]} {amount} {said}{name}")
        assert outcome.startswith("denied") != allowed, (number, outcome, used)
        if verb == "hold" and allowed:
            case.run(f"release H{number}")
        for each in line if allowed and verb != "hold" else ():
            used[each] = used.get(each, 0) + amount
    assert judged(case.core) == []
    packed_and_back(case.core)


def _line(over: dict[str, str], operation: str) -> list[str]:
    line = [operation]
    while line[-1] in over:
        line.append(over[line[-1]])
    return line
