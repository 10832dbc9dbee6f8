"""Budgets of operations: one user action with all its calls stays within its cap (rule H4)."""

from __future__ import annotations

import pytest
from core_world import FAMILY, WITH_OTHER_LIMITS
from operation_case import OperationCase, operation_case

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets import operations


@operation_case
def test_no_authorisation_or_debit_of_an_operation_passes_its_cap(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100  -> cap 1
    hold    acme  60 as=H1 in=run
    expect  pends ~run  60
    hold    acme  41 as=H2 in=run  -> denied by its operation, 40 left
    debit   acme  30 in=run
    expect  spent ~run  30
    debit   acme  11 in=run  -> denied by its operation, 10 left
    debit   acme  41 in=other
    capture H1  25
    expect  spent ~run  55
    expect  pends ~run  0
    debit   acme  46 in=run  -> denied by its operation, 45 left
    debit   acme  45 in=run
    """


@operation_case
def test_as_much_as_the_operation_affords(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    debit   acme  150 least=10 in=run
    expect  spent ~run  100
    hold    acme  150 least=10 as=H in=run  -> denied by its operation, 0 left
    """


@operation_case
def test_recorded_usage_counts_and_may_exceed(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    usage   acme  130 in=run
    expect  spent ~run  130
    hold    acme  1 as=H in=run  -> denied by its operation, 0 left
    """


@operation_case
def test_operations_below_count_once_a_call_has_named_their_parent(case: OperationCase) -> None:
    """
    # `tool` names its parent in its first call alone; `deep` is below `tool`; nobody said where
    # `apart` belongs, so the cap does not cover it.
    account acme
    grant   acme  1000
    cap     acme/run  100
    usage   acme  10 in=tool@run  -> drawn 10 from acme; joined
    usage   acme  10 in=tool      -> drawn 10 from acme
    debit   acme  10 in=deep@tool
    hold    acme  10 as=H in=deep
    usage   acme  10 in=apart
    expect  spent ~run  30
    expect  pends ~run  10
    expect  covered ~run  2
    debit   acme  61 in=deep  -> denied by its operation, 60 left
    capture H  10
    expect  spent ~run  40
    """


@operation_case
def test_a_denied_first_call_makes_its_operation_known(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    debit   acme  101 in=tool@run  -> denied by its operation, 100 left; joined
    debit   acme  101 in=tool      -> denied by its operation, 100 left
    hold    acme  101 as=H in=deep@tool  -> denied by its operation, 100 left; joined
    expect  covered ~run  2
    """


@operation_case
def test_an_operation_with_a_cap_below_another_with_one_has_to_keep_both(
    case: OperationCase,
) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run   100
    cap     acme/tool   50
    debit   acme  40 in=tool@run
    expect  spent ~run   40
    expect  spent ~tool  40
    debit   acme  11 in=tool  -> denied by its operation, 10 left
    debit   acme  60 in=run
    debit   acme  1 in=tool   -> denied by its operation, 0 left
    """


@operation_case
def test_no_operation_is_below_itself(case: OperationCase) -> None:
    """
    # What a call counts in, its reversal lowers: so none counts where it does not join.
    account acme
    grant   acme  1000
    cap     acme/a  100
    cap     acme/b  100
    debit   acme  10 in=a@b
    usage   acme  10 in=b@a id=U
    debit   acme  10 in=a@a
    expect  spent ~a  20
    expect  spent ~b  30
    reverse U
    expect  spent ~a  20
    expect  spent ~b  20
    """


@operation_case
def test_a_cap_that_has_ended_keeps_its_operation_from_joining_nothing(case: OperationCase) -> None:
    """
    # `b` stands below `a`, whose own cap then ends: so `a` may be below `b`, as a call says next.
    account acme
    account eu  parent=acme
    grant   acme  1000 shared
    cap     acme/b  60 idle=5h
    cap     eu/a    40 idle=2h
    usage   eu  3 in=b@a  -> drawn 3 from acme; joined
    usage   eu  1 in=x@a  -> drawn 1 from acme; joined
    clock   +3h
    usage   eu  5 in=a@b id=U  -> drawn 5 from acme; cap ended; joined
    expect  spent ~b  8
    expect  covered ~b  1
    debit   eu  53 in=a   -> denied by its operation, 52 left
    debit   eu  52 in=x   -> drawn 52 from acme
    debit   eu  52 in=x@a -> drawn 52 from acme; joined
    reverse U
    expect  spent ~b  55
    clock   +6h
    cap     acme/a  10  -> cap ended; cap 1
    """


@operation_case
def test_a_denied_call_ends_the_cap_that_its_operation_had(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/b  60 idle=5h
    cap     acme/a  40 idle=2h
    usage   acme  3 in=b@a
    clock   +3h
    hold    acme  58 as=H in=a@b  -> denied by its operation, 57 left; cap ended; joined
    hold    acme  57 as=I in=a
    hold    acme  1 as=J in=b  -> denied by its operation, 0 left
    """


@operation_case
def test_an_operation_joins_the_nearest_cap_that_is_for_its_account(case: OperationCase) -> None:
    """
    account acme
    account bot  parent=acme
    grant   acme  1000 shared
    cap     acme/run  100
    cap     bot/tool   50
    debit   bot   10 in=tool@run
    debit   acme  10 in=leaf@tool
    debit   acme  10 in=leaf
    expect  spent ~tool  10
    expect  spent ~run  30
    """


@operation_case
def test_accounts_below_count_and_those_beside_do_not(case: OperationCase) -> None:
    """
    account acme
    account bot   parent=acme
    account other parent=acme
    grant   bot    1000
    grant   other  1000
    grant   acme   1000
    cap     bot/run  100
    debit   bot    40 in=run
    debit   other  90 in=run
    debit   other  90 in=tool@run
    debit   bot    61 in=run  -> denied by its operation, 60 left
    cap     other/run  10  -> refused BUDGET_FIXED account
    expect  covered ~run  0
    """


@operation_case
def test_another_limit_keeps_what_was_counted(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    debit   acme  90 in=run
    cap     acme/run  80 version=2  -> refused VERSION_MISMATCH expected_version
    cap     acme/run  80 version=1  -> cap 2
    debit   acme  1 in=run  -> denied by its operation, 0 left
    cap     acme/run  120
    debit   acme  30 in=run
    cap     acme/run  120 of=requests  -> refused BUDGET_FIXED budget.measure
    cap     acme/new  120 each=day     -> refused BUDGET_INVALID budget.window
    """


@operation_case
def test_thresholds_are_told_and_a_soft_one_refuses_nothing(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100 at=50,100 soft
    usage   acme  50 in=run
    debit   acme  60 in=run
    expect  spent ~run  110
    """


@operation_case
def test_what_is_given_back_lowers_what_had_counted(case: OperationCase) -> None:
    """
    # What `early` used before anybody said that it is below `run` never counted there.
    account acme
    grant   acme  1000
    cap     acme/run  100
    usage   acme  20 in=early id=E
    usage   acme  30 in=run id=R
    usage   acme  10 in=early@run id=J
    expect  spent ~run  40
    reverse R
    expect  spent ~run  10
    reverse E
    expect  spent ~run  10
    reverse J
    expect  spent ~run  0
    """


@operation_case
def test_what_never_counted_is_not_given_back(case: OperationCase) -> None:
    """
    # Of an account beside, or of a product that the cap is not for.
    account acme
    account eu  parent=acme
    grant   acme  1000 shared
    cap     eu/run   40
    cap     acme/say  40 for=chat
    usage   eu    20 in=run
    usage   acme  20 in=say of=chat
    usage   acme  30 in=run id=U
    usage   acme  30 in=say of=image id=S
    reverse U
    reverse S
    expect  spent ~run  20
    expect  spent ~say  20
    """


@operation_case
def test_what_is_given_back_later_lowers_what_had_counted(case: OperationCase) -> None:
    """
    # A cap that came between, or one that has ended since, changes nothing of what another counted.
    account acme
    grant   acme  1000
    cap     acme/run  100 idle=10h
    debit   acme  10 in=tool@run
    usage   acme  5 in=tool id=T
    cap     acme/tool  50 idle=1h
    debit   acme  10 in=deep@tool
    usage   acme  10 in=deep id=D
    expect  spent ~run  35
    reverse T
    expect  spent ~run  30
    expect  spent ~tool  20
    clock   +2h
    cap     acme/other  100  -> cap ended; cap 1
    reverse D
    expect  spent ~run  20
    """


@operation_case
def test_a_hold_is_captured_under_its_operation(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    hold    acme  50 as=H in=run
    capture H  10 in=other  -> refused OPERATION_DIFFERS operation
    capture H  10 open in=run
    capture H  10 open
    expect  spent ~run  20
    expect  pends ~run  30
    hold    acme  50 as=P
    capture P  10 in=run  -> refused OPERATION_DIFFERS operation
    release H
    expect  pends ~run  0
    expect  spent ~run  20
    """


@operation_case
def test_an_expired_hold_counts_no_more_and_a_late_capture_does(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    hold    acme  50 as=H in=run lifetime=1m
    clock   +2m
    debit   acme  60 in=run
    expect  pends ~run  0
    capture H  20
    expect  spent ~run  80
    """


@operation_case
def test_a_cap_ends_once_it_stands_idle(case: OperationCase) -> None:
    """
    # An open hold keeps it; what comes after its end is outside of it; another begins at nothing.
    account acme
    grant   acme  1000
    cap     acme/run  100 idle=1h
    debit   acme  90 in=run
    hold    acme  10 as=H in=tool@run lifetime=3h
    clock   +2h
    debit   acme  1 in=tool  -> denied by its operation, 0 left
    release H
    clock   +59m
    debit   acme  11 in=run  -> denied by its operation, 10 left
    clock   +61m
    debit   acme  200 in=run
    cap     acme/other  100  -> cap ended; cap 1
    debit   acme  200 in=tool
    cap     acme/run  100    -> cap 1
    expect  spent ~run  0
    expect  covered ~run  0
    """


@operation_case
def test_an_operation_of_an_ended_cap_joins_another(case: OperationCase) -> None:
    """
    # Whether or not the cap that it had joined is gone from the state by then.
    account acme
    grant   acme  1000
    cap     acme/one  100 idle=1h
    debit   acme  10 in=tool@one
    debit   acme  10 in=mine@one
    cap     acme/mine  200
    clock   +2h
    cap     acme/two  100    -> cap ended; cap 1
    cap     acme/three  90 idle=1h
    debit   acme  10 in=late@three
    debit   acme  200 in=tool@two  -> denied by its operation, 100 left; joined
    clock   +2h
    debit   acme  101 in=late@two  -> denied by its operation, 100 left; joined
    debit   acme  60 in=mine@two
    debit   acme  41 in=late  -> denied by its operation, 40 left
    debit   acme  41 in=mine  -> denied by its operation, 40 left
    expect  covered ~three  0
    expect  covered ~two  3
    """


@operation_case
def test_an_operation_whose_cap_was_below_an_ended_one_joins_another(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/one  100 idle=1h
    cap     acme/two  100
    debit   acme  10 in=tool@one
    clock   +30m
    cap     acme/tool  300
    clock   +40m
    debit   acme  10 in=tool@two
    expect  spent ~two  10
    expect  covered ~one  0
    cap     acme/new  100  -> cap ended; cap 1
    debit   acme  95 in=tool  -> denied by its operation, 90 left
    """


@operation_case
def test_what_an_ended_cap_covered_falls_to_the_one_above(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run   100 idle=10h
    cap     acme/tool   50 idle=1h
    debit   acme  10 in=tool@run
    debit   acme  10 in=deep@tool
    clock   +2h
    debit   acme  10 in=new@deep
    cap     acme/other  100  -> cap ended; cap 1
    debit   acme  10 in=deep
    debit   acme  10 in=tool
    expect  spent ~run  50
    debit   acme  51 in=deep  -> denied by its operation, 50 left
    """


@operation_case
def test_a_repeat_is_compared_with_its_operation(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100 id=c  -> cap 1
    cap     acme/run  100 id=c  -> replayed: cap 1
    cap     acme/run  100 id=c idle=1h  -> refused CONFLICT idle_us
    cap     acme/own  100 id=c  -> refused CONFLICT operation
    hold    acme  10 as=H in=run@top id=h
    hold    acme  10 as=H in=run id=h      -> refused CONFLICT operation_parent
    hold    acme  10 as=H in=other id=h    -> refused CONFLICT operation
    hold    acme  10 as=H id=h             -> refused CONFLICT operation
    capture H  5 id=k in=run
    capture H  5 id=k in=run    -> replayed: drawn 5 from acme
    capture H  5 id=k in=other  -> refused CONFLICT operation
    """


@WITH_OTHER_LIMITS
def test_no_more_operations_are_known_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would have to be known to be covered may not run; recorded usage counts all the same."""
    monkeypatch.setattr(operations, "OPERATIONS_KNOWN_MAX", 2)
    case = OperationCase()
    case.run(
        """
        account acme
        grant   acme  1000
        cap     acme/run  100 idle=1h
        debit   acme  10 in=tool@run
        debit   acme  10 in=more@run   -> refused OPERATIONS_LIMIT operation
        hold    acme  10 as=H in=more@tool  -> refused OPERATIONS_LIMIT operation
        usage   acme  10 in=more@run id=M  -> drawn 10 from acme
        debit   acme  10 in=tool
        expect  spent ~run  30
        reverse M
        expect  spent ~run  30
        cap     acme/next  100  -> refused OPERATIONS_LIMIT operation
        clock   +1h
        cap     acme/next  100  -> cap ended; cap 1
        """
    )
    case.finish()


@WITH_OTHER_LIMITS
def test_no_more_operations_have_a_budget_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "OPERATION_BUDGETS_MAX", 2)
    case = OperationCase()
    case.run(
        """
        account acme
        cap     acme/one  100 idle=2h
        cap     acme/two  100 idle=1h
        cap     acme/three  100  -> refused OPERATIONS_LIMIT operation
        clock   +1h
        cap     acme/three  100  -> cap ended; cap 1
        """
    )
    case.finish()


def test_an_operation_without_a_budget_leaves_nothing_in_the_state() -> None:
    case = OperationCase()
    case.run(
        """
        account acme
        grant   acme  1000
        usage   acme  10 in=tool@run
        hold    acme  10 as=H in=tool@run
        """
    )
    family = next(iter(case.core.state.families.values()))
    assert not family.operations and not family.budgets
    (hold,) = case.core.state.holds.values()
    assert hold.operation == FAMILY.operation("tool", "run")
    case.finish()


@operation_case
def test_what_an_expiry_charges_is_usage_of_the_operation(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100
    hold    acme  50 as=H of=agent in=run lifetime=1m
    clock   +2m
    usage   acme  1 in=run  -> hold expired, charged, drawn 50 from acme; drawn 1 from acme
    expect  pends ~run  0
    expect  spent ~run  51
    debit   acme  50 in=run  -> denied by its operation, 49 left
    """


@operation_case
def test_a_cap_that_ended_is_set_anew_in_one_call(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  100 idle=1h  -> cap 1
    debit   acme  100 in=run
    clock   +1h
    cap     acme/run  100 version=1  -> refused VERSION_MISMATCH expected_version
    cap     acme/run  100 of=requests  -> cap ended; cap 1
    expect  spent ~run  0
    debit   acme  100 in=run
    expect  spent ~run  1
    """


def test_what_runs_instead_is_within_the_cap_too() -> None:
    case = OperationCase()
    case.run("account acme\ngrant acme 1000\ncap acme/run 10")
    for permille, allowed in ((800, False), (500, True)):
        instead = e.Alternative(
            "", (("tier", "small"),), (e.QuantityMap("tokens", "tokens", permille),)
        )
        command = c.DebitWork(
            FAMILY.request(str(permille)),
            case.accounts["acme"],
            case.core.shape("chat", "tokens"),
            (20,),
            operation=FAMILY.operation("run"),
            alternatives=(instead,),
        )
        outcome, _ = case.execute(command)
        assert isinstance(outcome, e.PolicyDebited if allowed else e.PolicyDenied), outcome
    assert case.budget("~run").counter.posted == 10
    case.finish()


@operation_case
def test_what_rounding_gives_back_leaves_no_budget_below_nothing(case: OperationCase) -> None:
    """
    # Each token is 1/2: the event that tips the total over is not the one that is reversed.
    account acme
    grant   acme  1000
    cap     acme/run    2
    cap     acme/other  2
    usage   acme  1 of=half in=run id=A   -> free
    usage   acme  1 of=half in=other      -> drawn 1 from acme
    reverse A
    expect  left acme  1000
    expect  spent ~run 0
    expect  spent ~other 1
    debit   acme  3 in=run  -> denied by its operation, 2 left
    debit   acme  2 in=run
    """
