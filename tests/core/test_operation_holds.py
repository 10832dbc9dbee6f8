"""Holds of operations: units for a user action with all its calls, whatever they are of (rules H1,
H4)."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import FAMILY
from hypothesis import given
from hypothesis import strategies as st
from mandate_case import MandateCase
from minimum_world import packed_and_back
from msgspec.structs import replace
from operation_case import OperationCase, operation_case
from replaying import counters, replayed, totals
from test_operation_rules import findings_of
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DRAWN_PRODUCTS_MAX
from ledger.core.outcomes import Known


@operation_case
def test_calls_of_different_products_draw_from_one_hold(case: OperationCase) -> None:
    """
    # chat and image cost 1 a token, half 1/2; gpt 2 an input and 3 an output.
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run
    expect  available acme 50
    debit   acme  10 from=R of=image
    debit   acme  0 from=R of=gpt input=5 output=2
    capture R  8 open of=half
    expect  left ^R 20
    expect  drew ^R/image 10
    expect  drew ^R/gpt 16
    expect  drew ^R/half 4
    expect  available acme 50
    release R
    expect  available acme 70
    expect  drew ^R/gpt 16
    debit   acme  1 from=R  -> refused HOLD_SETTLED hold_id
    capture R  1 of=chat    -> refused HOLD_SETTLED hold_id
    """


@operation_case
def test_what_the_hold_lacks_is_drawn_as_new_usage_within_every_limit(case: OperationCase) -> None:
    """
    account acme
    grant   acme  60
    reserve acme  50 as=R in=run
    debit   acme  45 from=R
    debit   acme  16 from=R  -> denied INSUFFICIENT_CREDITS
    debit   acme  15 from=R
    expect  left ^R 0
    expect  available acme 0
    debit   acme  1 from=R  -> denied INSUFFICIENT_CREDITS
    # A capture says what has happened: it may exceed, and goes where excess goes.
    capture R  3 open of=chat  -> owed 3; 3 over the limit
    expect  owed acme 3
    """


@operation_case
def test_as_much_as_hold_and_account_afford(case: OperationCase) -> None:
    """
    account acme
    grant   acme  30
    reserve acme  20 as=R in=run
    debit   acme  50 least=5 from=R
    expect  left ^R 0
    expect  available acme 0
    debit   acme  50 least=5 from=R  -> denied INSUFFICIENT_CREDITS
    """


@operation_case
def test_the_hold_is_of_grants_for_any_product(case: OperationCase) -> None:
    """
    # What is for images alone cannot be held for whatever calls come; such a call still draws it.
    account acme
    grant   acme  100 as=M for=image
    grant   acme  20 as=A
    reserve acme  21 as=R in=run  -> denied INSUFFICIENT_CREDITS
    reserve acme  20 as=R in=run
    debit   acme  30 from=R of=image
    expect  left ^R 0
    expect  left M 90
    debit   acme  1 from=R of=chat  -> denied INSUFFICIENT_CREDITS
    debit   acme  90 from=R of=image
    """


@operation_case
def test_it_lives_and_ends_as_any_hold(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run lifetime=25h  -> refused HOLD_LIFETIME_INVALID lifetime_us
    reserve acme  50 as=R in=run lifetime=10m
    debit   acme  10 from=R
    extend  R lifetime=30m
    clock   +20m
    debit   acme  10 from=R
    clock   +20m
    sweep
    expect  available acme 80
    debit   acme  1 from=R  -> refused HOLD_SETTLED hold_id
    # A capture that comes late is recorded as plain usage, until the last one.
    capture R  5 open of=image
    capture R  5 of=chat
    capture R  5 of=chat  -> refused HOLD_SETTLED hold_id
    expect  available acme 70
    """


@operation_case
def test_a_final_capture_gives_the_rest_back(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run
    capture R  20 of=image
    expect  available acme 80
    expect  drew ^R/image 20
    """


@operation_case
def test_what_a_hold_is_not_for(case: OperationCase) -> None:
    """
    account acme
    account other
    grant   acme  100
    hold    acme  10 as=H in=run
    debit   acme  5 from=H  -> refused HOLD_OTHER_WORK hold_id
    capture H  5 open of=image  -> refused HOLD_OTHER_WORK product
    capture H  5 open of=chat with=model:x  -> refused HOLD_OTHER_WORK attributes
    capture H  5 open of=chat
    reserve acme  20 as=R in=run
    capture R  5 open  -> refused HOLD_OTHER_WORK product
    debit   other 5 from=R  -> refused HOLD_UNKNOWN hold_id
    debit   acme  5 from=R of=case  -> refused OUTCOME_EXPECTED product
    debit   acme  5 from=R of=nothing  -> denied UNPRICED
    reserve acme  0 as=Z in=run  -> refused QUANTITIES_ALL_ZERO quantities
    """


@operation_case
def test_it_pends_where_every_call_counts_and_each_call_counts_where_it_applies(
    case: OperationCase,
) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all     100
    budget  acme/images   12 for=image
    budget  acme/calls     3 of=requests
    cap     acme/run      60
    reserve acme  61 as=R in=run  -> denied by its operation, 60 left
    reserve acme  50 as=R in=run
    expect  pends acme/all 50
    expect  pends ~run 50
    expect  pends acme/images 0
    expect  pends acme/calls 0
    debit   acme  10 from=R of=image
    expect  pends acme/all 40
    expect  spent acme/all 10
    expect  pends ~run 40
    expect  spent ~run 10
    expect  spent acme/images 10
    expect  spent acme/calls 1
    # What the hold lets through, a budget of the call's own product does not.
    debit   acme  3 from=R of=image  -> denied by acme/images, 2 left
    # 51 are left of `all` beside the hold: 50 for others, 1 that the hold does not have.
    hold    acme  51 as=H  -> denied by acme/all, 50 left
    debit   acme  40 from=R in=tool@run
    expect  spent ~run 50
    expect  pends ~run 0
    debit   acme  11 from=R in=tool  -> denied by its operation, 10 left
    debit   acme  10 from=R in=tool
    debit   acme  1 from=R  -> denied by acme/calls, 0 left
    release R
    expect  spent acme/all 60
    expect  pends acme/all 0
    """


@operation_case
def test_a_lowered_limit_leaves_what_was_held(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    reserve acme  50 as=R in=run
    budget  acme/all  20
    debit   acme  50 from=R
    debit   acme  1 from=R  -> denied by acme/all, 0 left
    """


@operation_case
def test_only_its_operation_and_those_below_draw_from_it(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    reserve acme  50 as=R in=run@job
    debit   acme  5 from=R
    debit   acme  5 from=R in=run
    debit   acme  5 from=R in=run@another
    debit   acme  5 from=R in=tool@run
    # Who names no parent says nothing of where it stands, and no budget knows.
    debit   acme  5 from=R in=tool          -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=elsewhere     -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=deep@tool     -> refused OPERATION_DIFFERS operation
    # What is above it is not below it.
    debit   acme  5 from=R in=job           -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=other@job     -> refused OPERATION_DIFFERS operation
    capture R  5 open of=image in=elsewhere -> refused OPERATION_DIFFERS operation
    capture R  5 of=image in=elsewhere      -> refused OPERATION_DIFFERS operation
    capture R  5 open of=image in=tool@run
    expect  left ^R 25
    # Without the hold it is a call like any other.
    debit   acme  5 in=elsewhere
    """


@operation_case
def test_the_budget_of_its_operation_knows_what_is_below(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  500
    reserve acme  50 as=R in=run
    debit   acme  5 from=R in=tool       -> refused OPERATION_DIFFERS operation
    usage   acme  1 in=tool@run
    debit   acme  5 from=R in=tool
    debit   acme  5 from=R in=deep@tool
    debit   acme  5 from=R in=deep
    debit   acme  5 from=R in=elsewhere  -> refused OPERATION_DIFFERS operation
    expect  pends ~run 35
    expect  spent ~run 16
    """


@operation_case
def test_a_hold_of_one_below_is_not_for_its_parent(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    cap     acme/run  500
    usage   acme  1 in=tool@run
    reserve acme  50 as=R in=tool@run
    debit   acme  5 from=R in=run      -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=sib@run  -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=deep@tool
    release R
    expect  pends ~run 0
    expect  spent ~run 6
    """


@operation_case
def test_a_late_capture_draws_nothing_and_may_be_of_any_operation(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run lifetime=10m
    clock   +20m
    sweep
    capture R  5 open of=image in=elsewhere
    expect  available acme 95
    """


@operation_case
def test_its_window_is_over(case: OperationCase) -> None:
    """
    # What pends in yesterday's window counts there; what it lacks has to fit there, and today.
    account acme
    grant   acme  1000
    budget  acme/day  60 each=day
    clock   +23h
    reserve acme  50 as=R in=run lifetime=12h
    clock   +2h
    debit   acme  40 from=R
    expect  spent acme/day 0
    debit   acme  30 from=R  -> denied by acme/day, 10 left
    debit   acme  20 from=R
    expect  spent acme/day 0
    expect  life acme/day 60
    """


@operation_case
def test_corrections_give_back_in_the_windows_of_each_budget(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all     100 each=day
    budget  acme/images  100 each=day for=image
    cap     acme/run     100
    clock   +23h
    reserve acme  50 as=R in=run lifetime=12h
    clock   +2h
    debit   acme  30 from=R of=image id=D
    expect  spent acme/images 30
    expect  spent acme/all 0
    reverse D
    expect  spent acme/images 0
    expect  life acme/all 0
    expect  spent ~run 0
    expect  left ^R 20
    """


@operation_case
def test_debt_is_held_where_the_policy_lets_holds(case: OperationCase) -> None:
    """
    account acme overdraft=40
    grant   acme  10
    reserve acme  30 as=R in=run
    debit   acme  25 from=R of=image
    expect  owed acme 15
    policy  acme overdraft=40 holds_overdraft=no
    debit   acme  5 from=R
    expect  owed acme 20
    debit   acme  1 from=R  -> denied INSUFFICIENT_CREDITS
    """


class AgentCase(MandateCase, OperationCase):
    """Tells stories of agents whose runs hold units."""


def test_a_mandate_is_asked_of_each_draw() -> None:
    case = AgentCase()
    case.run("""
    account acme
    grant   acme  1000 shared
    account bot parent=acme
    mandate bot 100 for=chat
    reserve bot 60 as=R in=run
    debit   bot 10 from=R
    debit   bot 10 from=R of=image    -> MANDATE_PRODUCT of bot, 0 left
    capture R 5 open of=image         -> refused MANDATE_PRODUCT product
    debit   bot 95 from=R             -> MANDATE_EXCEEDED of bot, 40 left
    debit   bot 90 from=R
    revoke  bot
    debit   bot 1 from=R              -> MANDATE_REVOKED of bot, 0 left
    reserve bot 5 as=Z in=run         -> MANDATE_REVOKED of bot, 0 left
    # What was done before it was known is captured all the same.
    capture R 5 open of=chat
    """)
    case.finish()


def test_a_retry_gets_its_first_answer_and_another_body_is_named() -> None:
    case = OperationCase()
    case.run("account acme\ngrant acme 100\nreserve acme 50 as=R in=run id=1")
    hold, chat = case.holds["R"][1], case.core.shape("chat", "tokens")
    reserve = c.ReserveOperation(FAMILY.request("1"), 1, 50, 0, FAMILY.operation("run"))
    debit = c.DebitWork(FAMILY.request("2"), 1, chat, (10,), hold=hold)
    denied = c.DebitWork(FAMILY.request("3"), 1, chat, (200,), hold=hold)
    case.execute(debit)
    case.execute(denied)
    left = case.core.state.holds[hold].left
    assert [again(case, each) for each in (reserve, debit, denied)] == ["", "", ""]
    assert case.core.state.holds[hold].left == left == 40
    for command, field in (
        (replaced(reserve, amount=51), "operation_amount"),
        (replaced(reserve, lifetime=1), "lifetime_us"),
        (replaced(reserve, operation=FAMILY.operation("other")), "operation"),
        (replaced(debit, hold=0), "hold_id"),
        (replaced(denied, hold=0), "hold_id"),
        (replaced(debit, quantities=(11,)), "quantities"),
        (c.AuthorizeHold(FAMILY.request("1"), 1, chat, (50,), 0), "product"),
        (c.ReserveOperation(FAMILY.request("3"), 1, 200, 0, b""), "request"),
    ):
        assert again(case, command) == field, command


def again(case: OperationCase, command: c.Command) -> str:
    """Field in which a command that comes again differs from what was recorded."""
    outcome, _ = case.execute(command)
    assert isinstance(outcome, Known)
    return case.core.difference(command, outcome)


def replaced(command: Any, **changes: Any) -> Any:
    return replace(command, **changes)


def test_products_beyond_those_told_apart_are_counted_together() -> None:
    case = OperationCase()
    case.run("account acme\ngrant acme 1000\nreserve acme 500 as=R in=run")
    hold = case.core.state.holds[case.holds["R"][1]]
    for number in range(DRAWN_PRODUCTS_MAX):
        hold.draw(f"p{number}", 1)
    hold.draw("one more", 2)
    hold.draw("and another", 3)
    assert hold.drawn is not None
    assert hold.drawn[""] == 5 and len(hold.drawn) == DRAWN_PRODUCTS_MAX + 1


PRICES = {"chat": 1, "image": 1, "free": 0, "gpt": 2}
CALLS = st.tuples(
    st.sampled_from(("debit", "debit", "capture", "usage", "reserve", "release", "again")),
    st.sampled_from(sorted(PRICES)),
    st.integers(1, 30),
)


@given(st.lists(CALLS, max_size=20), st.integers(0, 120), st.integers(0, 60))
def test_any_interleaving_charges_the_sum_once_and_debits_pass_no_limit(
    calls: list[tuple[str, str, int]], units: int, limit: int
) -> None:
    """Against a plain model: free units, what each hold has left, what every call was charged."""
    case = OperationCase()
    case.run(f"account acme\ngrant acme {units + 1}\nbudget acme/all {limit + 60}\ncap acme/run 90")
    free, spent = units + 1, 0
    held: dict[str, int] = {}
    drew = 0
    for number, (verb, product, amount) in enumerate(calls):
        charge = amount * PRICES[product]
        quantities = f"0 input={amount}" if product == "gpt" else str(amount)
        if verb == "reserve":
            room = min(
                free, limit + 60 - spent - sum(held.values()), 90 - spent - sum(held.values())
            )
            told = case.told(f"reserve acme {amount} as=R{number} in=run")
            assert told.startswith("denied") == (amount > room), (told, amount, room)
            if amount <= room:
                held[f"R{number}"] = amount
                free -= amount
            continue
        if not held:
            continue
        name = sorted(held)[number % len(held)]
        if verb == "release":
            case.run(f"release {name}")
            free += held.pop(name)
            continue
        taken = min(charge, held[name])
        beyond = charge - taken
        line = f"debit acme {quantities} from={name} of={product} in=run id=K{number}"
        if verb in ("debit", "again"):
            room = min(free, min(limit + 60, 90) - spent - sum(held.values()))
            allowed = beyond <= max(0, room) if beyond else True
            told = case.told(line)
            assert told.startswith("denied") != allowed, (line, told)
            if verb == "again":
                case.told(line)
        else:
            allowed = True
            case.told(f"capture {name} {quantities} open of={product} in=run")
        if allowed:
            held[name] -= taken
            free -= min(free, beyond)  # the rest of a capture is owed, until a grant comes
            spent += charge
            drew += taken
        state = case.core.state
        for each, left in held.items():
            assert state.holds[case.holds[each][1]].left == left
        assert case.budget("acme/all").counter.posted == spent
        assert case.budget("acme/all").counter.pending == sum(held.values())
        assert case.budget("~run").counter.pending == sum(held.values())
    family = next(iter(case.core.state.families.values()))
    everything = [*case.core.state.holds.values(), *family.settled.values()]
    assert sum(sum(each.drawn.values()) for each in everything if each.drawn is not None) == drew
    assert judged(case.core) == []
    packed_and_back(case.core)


def test_two_hundred_callers_get_exactly_what_the_hold_affords() -> None:
    case = OperationCase()
    case.run("account acme\ngrant acme 100\nreserve acme 100 as=R in=run")
    told = [
        case.told(f"debit acme 1 from=R of={'image' if each % 2 else 'chat'}")
        for each in range(200)
    ]
    assert [each.startswith("denied") for each in told] == [False] * 100 + [True] * 100
    assert case.core.state.holds[case.holds["R"][1]].drawn == {"chat": 50, "image": 50}


STORY = """
account acme
grant   acme  100
budget  acme/all 90
reserve acme  50 as=R in=run
reserve acme  80 as=N in=run  -> denied INSUFFICIENT_CREDITS
debit   acme  10 from=R of=image
capture R  8 open of=half
debit   acme  95 from=R  -> denied INSUFFICIENT_CREDITS
debit   acme  20 from=R in=tool@run
capture R  5 of=chat
reserve acme  10 as=S in=run
release S
"""


def lived() -> OperationCase:
    case = OperationCase()
    case.run(STORY)
    return case


def test_unchanged_prices_make_the_journals_own_entries() -> None:
    core = lived().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.OperationReserved, 0, {"operation": b"x"}, "operation"),
        (e.OperationReserved, 0, {"quantities": (49,)}, "units held for an operation"),
        (e.OperationReserved, 0, {"hold": 9}, "number of the hold"),
        (e.HoldDebited, 0, {"taken": (11,)}, "taken of book"),
        (e.HoldDebited, 1, {"taken": (-1,)}, "taken of book"),
        (e.HoldDebited, 0, {"effective_at": 0}, "effective time"),
        (e.HoldDebitDenied, 0, {"hold": 9}, "hold 9"),
        (e.HoldDebitDenied, 0, {"available": 95}, "charge of a denial"),
        (e.BudgetsCounted, 0, {"move": {"pending": 91}}, "held of budget"),
        (e.BudgetsCounted, 1, {"move": {"pending": -51}}, "pending in budget"),
        (e.BudgetsCounted, 1, {"move": {"posted": 9}}, "posted in budget"),
        (e.BudgetsCounted, 1, None, "budgets of HoldDebited"),
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


def _made(event: e.Event, changes: dict[str, Any]) -> dict[str, Any]:
    if "move" not in changes:
        return changes
    assert isinstance(event, e.BudgetsCounted)
    return {"moves": (replace(event.moves[0], **changes["move"]), *event.moves[1:])}
