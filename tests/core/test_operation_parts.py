"""Holds of calls that are made of their operation's: a part of it, held no second time (H1, H4)."""

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
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.outcomes import Known
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


@operation_case
def test_a_calls_hold_is_a_part_of_its_operations(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run
    hold    acme  30 as=H from=R of=image
    expect  left ^R 20
    expect  left ^H 30
    # What is held for the call is held once.
    expect  available acme 50
    capture H  12
    expect  left ^R 38
    expect  drew ^R/image 12
    expect  available acme 50
    release R
    expect  available acme 88
    """


@operation_case
def test_what_the_operation_lacks_is_held_of_the_account_within_its_limits(
    case: OperationCase,
) -> None:
    """
    account acme
    grant   acme  60
    reserve acme  50 as=R in=run
    hold    acme  61 as=H from=R  -> denied INSUFFICIENT_CREDITS
    hold    acme  55 as=H from=R
    expect  left ^R 0
    expect  available acme 5
    # The operation's units are used first: what is left of them is held for it again.
    capture H  52
    expect  left ^R 0
    expect  drew ^R/chat 50
    expect  available acme 8
    """


@operation_case
def test_what_is_left_goes_back_where_it_came_from(case: OperationCase) -> None:
    """
    account acme
    grant   acme  60
    reserve acme  50 as=R in=run
    hold    acme  55 as=H from=R in=tool@run
    release H
    expect  left ^R 50
    expect  available acme 10
    hold    acme  55 as=H from=R in=run
    capture H  20 open
    expect  left ^R 0
    expect  left ^H 35
    expect  drew ^R/chat 20
    capture H  10
    expect  left ^R 20
    expect  drew ^R/chat 30
    expect  available acme 10
    """


@operation_case
def test_once_the_operations_is_over_it_goes_back_to_the_account(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run
    hold    acme  30 as=H from=R
    release R
    expect  available acme 70
    hold    acme  5 as=N from=R  -> refused HOLD_SETTLED hold_id
    capture H  10
    expect  available acme 90
    """


@operation_case
def test_either_may_expire_first(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run lifetime=1h
    hold    acme  30 as=H from=R lifetime=10m
    hold    acme  10 as=L from=R lifetime=2h
    clock   +20m
    sweep
    expect  left ^R 40
    capture H  5
    expect  left ^R 40
    expect  available acme 45
    clock   +1h
    sweep
    expect  available acme 85
    extend  L lifetime=3h
    capture L  10
    expect  available acme 85
    """


@operation_case
def test_an_expiry_that_charges_draws_of_the_operation(case: OperationCase) -> None:
    """
    # What was estimated for such a product is charged where nobody says what it used: 1/3 a token.
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run lifetime=1h
    hold    acme  60 as=H from=R of=third lifetime=10m
    expect  left ^R 30
    capture H  15 open
    expect  drew ^R/third 5
    clock   +20m
    sweep
    expect  drew ^R/third 20
    expect  left ^R 30
    expect  available acme 50
    """


@operation_case
def test_what_draws_no_part_of_an_operation(case: OperationCase) -> None:
    """
    account acme
    account other
    grant   acme  100
    reserve acme  50 as=R in=run
    hold    acme  10 as=H
    hold    acme  5 from=R in=elsewhere  -> refused OPERATION_DIFFERS operation
    hold    acme  5 from=H               -> refused HOLD_OTHER_WORK hold_id
    hold    other 5 from=R               -> refused HOLD_UNKNOWN hold_id
    hold    acme  5 from=R of=nothing    -> denied UNPRICED
    hold    acme  5 as=P from=R in=tool@run
    # A call's hold is of its own work, and no other call's.
    hold    acme  1 from=P in=run        -> refused HOLD_OTHER_WORK hold_id
    debit   acme  1 from=P in=run        -> refused HOLD_OTHER_WORK hold_id
    capture P  1 of=image                -> refused HOLD_OTHER_WORK product
    capture P  1 in=run                  -> refused OPERATION_DIFFERS operation
    """


@operation_case
def test_units_of_a_grant_that_ended_go_where_its_rest_went(case: OperationCase) -> None:
    """
    # What the operation has again is not given back to the grant; what it gives back later is.
    account acme
    grant   acme  100 as=G
    reserve acme  50 as=R in=run
    hold    acme  30 as=H from=R
    void    G
    capture H  10 -> done; drawn 10 from G
    expect  left ^R 40
    hold    acme  15 as=I from=R
    release I
    expect  left ^R 40
    debit   acme  5 from=R
    release R
    expect  left G 0
    """


@operation_case
def test_closing_gives_everything_back(case: OperationCase) -> None:
    """
    account acme
    grant   acme  100
    reserve acme  50 as=R in=run
    hold    acme  30 as=H from=R
    close   acme release write-off
    """


@operation_case
def test_a_lowered_limit_leaves_what_was_held(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all  100
    reserve acme  50 as=R in=run
    budget  acme/all  20
    hold    acme  51 as=H from=R  -> denied by acme/all, 0 left
    hold    acme  50 as=H from=R
    release H
    expect  left ^R 50
    usage   acme  7
    hold    acme  50 as=H from=R
    """


@operation_case
def test_as_much_as_operation_and_account_afford(case: OperationCase) -> None:
    """
    account acme
    grant   acme  30
    reserve acme  20 as=R in=run
    hold    acme  50 least=5 as=H from=R
    expect  left ^H 30
    expect  left ^R 0
    release H
    expect  left ^R 20
    """


def test_a_mandate_is_asked_of_each_part() -> None:
    class AgentCase(MandateCase, OperationCase):
        pass

    case = AgentCase()
    case.run("""
    account acme
    grant   acme  1000 shared
    account bot parent=acme
    mandate bot 100 for=chat
    reserve bot 60 as=R in=run
    hold    bot 10 as=H from=R
    hold    bot 10 as=I from=R of=image  -> MANDATE_PRODUCT of bot, 0 left
    hold    bot 91 as=J from=R           -> MANDATE_EXCEEDED of bot, 40 left
    hold    bot 90 as=J from=R
    expect  left ^R 0
    capture H 4
    expect  left ^R 6
    capture J 80
    release R
    """)
    case.finish()


def test_what_may_run_instead_holds_of_the_operation_too() -> None:
    """The cheapest that all limits afford: `image` at 1 a token for `gpt` at 2 an input."""
    case = OperationCase()
    case.run("account acme\ngrant acme 60\nreserve acme 50 as=R in=run")
    image = e.Alternative("image", (), (e.QuantityMap("input", "tokens", 1_000),))
    command = c.AuthorizeHold(
        FAMILY.request("1"), 1, case.core.shape("gpt", "input"), (40,), 0,
        alternatives=(image,), hold=case.holds["R"][1],
    )  # fmt: skip
    outcome, _ = case.execute(command)
    assert isinstance(outcome, e.OperationPartHeld)
    assert (outcome.charges, outcome.taken) == ((40,), (40,))
    assert case.core.state.holds[outcome.hold].product == "image"
    assert again(case, command) == ""
    case.finish()


@operation_case
def test_work_in_another_asset_holds_nothing_of_it(case: OperationCase) -> None:
    """
    # Money prices chat for the account by now; the operation's hold is of credits.
    account acme
    grant   acme  100
    grant   acme  100 asset=usd as=M
    reserve acme  50 as=R in=run lifetime=12h
    policy  acme  card=usd
    hold    acme  10 as=H from=R
    expect  left ^R 50
    expect  left ^H 10
    capture H  4
    expect  left ^R 50
    expect  left M 96
    """


def again(case: OperationCase, command: c.Command) -> str:
    """Field in which a command that comes again differs from what was recorded."""
    outcome, _ = case.execute(command)
    assert isinstance(outcome, Known)
    return case.core.difference(command, outcome)


def test_a_retry_gets_its_first_answer_and_another_body_is_named() -> None:
    case = OperationCase()
    case.run("account acme\ngrant acme 100\nreserve acme 50 as=R in=run")
    whole, chat = case.holds["R"][1], case.core.shape("chat", "tokens")
    held = c.AuthorizeHold(FAMILY.request("1"), 1, chat, (10,), 0, hold=whole)
    denied = c.AuthorizeHold(FAMILY.request("2"), 1, chat, (200,), 0, hold=whole)
    case.execute(held)
    case.execute(denied)
    left = case.core.state.holds[whole].left
    assert [again(case, each) for each in (held, denied)] == ["", ""]
    assert case.core.state.holds[whole].left == left == 40
    changed: tuple[tuple[c.Command, str], ...] = (
        (replaced(held, hold=0), "hold_id"),
        (replaced(denied, hold=0), "hold_id"),
        (replaced(held, quantities=(11,)), "quantities"),
        (replaced(held, lifetime=1), "lifetime_us"),
        (replaced(held, operation=FAMILY.operation("other")), "operation"),
        (c.DebitWork(FAMILY.request("1"), 1, chat, (10,), hold=whole), "request"),
        (c.DebitWork(FAMILY.request("2"), 1, chat, (200,), hold=whole), "request"),
    )
    for command, field in changed:
        assert again(case, command) == field, command


def replaced(command: Any, **changes: Any) -> Any:
    return replace(command, **changes)


PRICES = {"chat": 1, "image": 1, "gpt": 2}
CALLS = st.tuples(
    st.sampled_from(
        ("hold", "hold", "capture", "part", "release", "debit", "reserve", "end", "page")
    ),
    st.sampled_from(sorted(PRICES)),
    st.integers(1, 30),
)


@given(st.lists(CALLS, max_size=24), st.integers(0, 120), st.integers(0, 60))
def test_any_interleaving_holds_each_unit_once_and_passes_no_limit(
    calls: list[tuple[str, str, int]], units: int, limit: int
) -> None:
    """Against a plain model: free units, what operations have left, what each call's hold has of
    its operation's and of the account, and what is owed."""
    case = OperationCase()
    case.run(f"account acme\ngrant acme {units + 1}\nbudget acme/all {limit + 60}\ncap acme/run 90")
    free, spent, used = units + 1, 0, 0
    wholes: dict[str, int] = {}
    parts: dict[str, tuple[str, int, int, str]] = {}  # of which, of that, of the account, product

    def pends() -> int:
        return sum(wholes.values()) + sum(each[1] + each[2] for each in parts.values())

    def room() -> int:
        return min(free, min(limit + 60, 90) - spent - pends())

    for number, (verb, product, amount) in enumerate(calls):
        charge = amount * PRICES[product]
        quantities = f"0 input={amount}" if product == "gpt" else str(amount)
        if verb == "page":
            packed_and_back(case.core)
        elif verb == "reserve":
            told = case.told(f"reserve acme {amount} as=R{number} in=run")
            assert told.startswith("denied") == (amount > room()), told
            if amount <= room():
                free, wholes[f"R{number}"] = free - amount, amount
        elif verb in ("hold", "debit") and wholes:
            name = sorted(wholes)[number % len(wholes)]
            taken = min(charge, wholes[name])
            beyond = charge - taken
            allowed = not beyond or beyond <= max(0, room())
            line = f"{verb} acme {quantities} as=H{number} from={name} of={product} in=t@run"
            told = case.told(line)
            assert told.startswith("denied") != allowed, (line, told, room())
            if not allowed:
                continue
            wholes[name] -= taken
            free -= beyond
            if verb == "hold":
                parts[f"H{number}"] = (name, taken, beyond, product)
            else:
                spent, used = spent + charge, used + taken
        elif verb in ("capture", "part", "release") and parts:
            name = sorted(parts)[number % len(parts)]
            whole, of_whole, own, product = parts[name]
            charge = amount * PRICES[product]
            quantities = f"0 input={amount}" if product == "gpt" else str(amount)
            if verb == "release":
                case.run(f"release {name}")
                charge = 0
            else:
                case.told(f"capture {name} {quantities}" + (" open" if verb == "part" else ""))
            taken = min(charge, of_whole)
            more = min(charge - taken, own)
            free -= min(free, charge - taken - more)
            spent, used = spent + charge, used + (taken if whole in wholes else 0)
            parts[name] = (whole, of_whole - taken, own - more, product)
            if verb != "part":
                _, of_whole, own, _ = parts.pop(name)
                free += own
                if whole in wholes:
                    wholes[whole] += of_whole
                else:
                    free += of_whole
        elif verb == "end" and wholes:
            name = sorted(wholes)[number % len(wholes)]
            case.run(f"release {name}")
            free += wholes.pop(name)
        state = case.core.state
        for each, left in wholes.items():
            assert state.holds[case.holds[each][1]].left == left
        for each, (_, of_whole, own, _) in parts.items():
            assert state.holds[case.holds[each][1]].left == of_whole + own
        for budget in (case.budget("acme/all"), case.budget("~run")):
            assert (budget.counter.posted, budget.counter.pending) == (spent, pends())
    family = next(iter(case.core.state.families.values()))
    everything = [*case.core.state.holds.values(), *family.settled.values()]
    assert sum(sum(each.drawn.values()) for each in everything if each.drawn is not None) == used
    assert judged(case.core) == []
    packed_and_back(case.core)


STORY = """
account acme
grant   acme  100
budget  acme/all 90
reserve acme  50 as=R in=run
hold    acme  101 as=N from=R  -> denied INSUFFICIENT_CREDITS
hold    acme  60 as=H from=R of=image
capture H  20 open
capture H  5
hold    acme  10 as=I from=R in=tool@run
release I
hold    acme  10 as=J from=R lifetime=5m
clock   +10m
sweep
hold    acme  10 as=K from=R
release R
capture K  4
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
        (e.OperationPartHeld, 0, {"of": 9}, "hold 9"),
        (e.OperationPartHeld, 0, {"taken": (51,)}, "taken of book"),
        (e.OperationPartHeld, 0, {"taken": (-1,)}, "taken of book"),
        (e.OperationPartHeld, 0, {"taken": (40,)}, "beside what is held anew"),
        (e.HoldRefilled, 0, {"units": (31,)}, "held again of book"),
        (e.HoldRefilled, 0, {"units": (25, 1)}, "slices held again"),
        (e.HoldRefilled, 0, {"part": 9}, "hold 9"),
        (e.HoldReleased, 0, None, "what settles hold"),
        (e.HoldDebitDenied, 0, {"hold": 9}, "hold 9"),
        (e.BudgetsCounted, 1, {"move": {"pending": -49}}, "pending in budget"),
        (e.BudgetsCounted, 2, {"move": {"pending": 91}}, "held of budget"),
        (e.BudgetsCounted, 4, {"move": {"pending": -24}}, "pending in budget"),
        (e.BudgetsCounted, 5, {"move": {"pending": 26}}, "pends by the hold of an operation"),
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


@pytest.mark.parametrize(
    ("units", "what"),
    [(24, "that leave it with its part"), (26, "by its part"), (0, "that leave it with its part")],
)
def test_a_call_draws_its_operations_units_first_and_leaves_it_the_rest(
    units: int, what: str
) -> None:
    """Where the journal says otherwise, its state follows; `verify` names it."""
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(lived().core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if isinstance(event, e.HoldRefilled):
                event = replace(event, units=(units,))
            rules.before(state, event)
            evolve(state, event)
            if isinstance(event, e.UsageRecorded) and not isinstance(event, e.UsageCaptured):
                assert any(what in found.what for found in findings.found), findings.found
                return


def _made(event: e.Event, changes: dict[str, Any]) -> dict[str, Any]:
    if "move" not in changes:
        return changes
    assert isinstance(event, e.BudgetsCounted)
    return {"moves": (replace(event.moves[0], **changes["move"]), *event.moves[1:])}
