"""Where calls made of an operation's hold count: in which budgets, caps and windows (H5, D8)."""

from __future__ import annotations

from itertools import count

import pytest
from family_case import FamilyCase
from operation_case import OperationCase, operation_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.outcomes import Reason


@operation_case
def test_no_unit_counts_twice_in_any_budget(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/all     60
    budget  acme/images  20 for=image
    budget  acme/calls   2 of=requests
    cap     acme/run     55
    reserve acme  50 as=R in=run
    expect  pends acme/all 50
    hold    acme  20 as=H from=R of=image
    expect  pends acme/all 50
    expect  pends ~run 50
    expect  pends acme/images 20
    expect  pends acme/calls 1
    hold    acme  5 as=I from=R of=image  -> denied by acme/images, 0 left
    hold    acme  36 as=I from=R          -> denied by its operation, 5 left
    hold    acme  35 as=I from=R in=tool@run
    expect  left ^R 0
    expect  pends acme/all 55
    hold    acme  1                       -> denied by acme/calls, 0 left
    capture H  15
    expect  pends acme/all 40
    expect  spent acme/all 15
    expect  pends ~run 40
    expect  spent ~run 15
    expect  left ^R 5
    expect  pends acme/images 0
    release I
    expect  left ^R 35
    expect  pends acme/all 35
    expect  pends ~run 35
    release R
    expect  pends acme/all 0
    expect  pends ~run 0
    """


@operation_case
def test_no_draw_is_a_way_round_a_budget_of_an_operation(case: OperationCase) -> None:
    """
    # The tool stands below another operation already, whatever the call says of it.
    account acme
    grant   acme  1000
    cap     acme/run    60
    cap     acme/other  60
    usage   acme  1 in=tool@other
    reserve acme  50 as=R in=run
    hold    acme  5 from=R in=tool@run  -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=tool@run  -> refused OPERATION_DIFFERS operation
    debit   acme  5 from=R in=tool      -> refused OPERATION_DIFFERS operation
    hold    acme  5 from=R in=fresh@run as=F
    """


@operation_case
def test_a_budget_that_a_policy_gives_counts_parts_once(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    give    acme  55
    reserve acme  50 as=R in=run
    hold    acme  56 from=R in=tool@run  -> denied by its operation, 5 left by policy 1; joined
    hold    acme  55 as=H from=R in=tool@run
    expect  pends ~run 55
    hold    acme  1 from=R in=deep@tool  -> denied by its operation, 0 left by policy 1; joined
    capture H  15
    expect  pends ~run 35
    expect  spent ~run 15
    hold    acme  40 as=I from=R in=deep
    release I
    release R
    expect  pends ~run 0
    expect  spent ~run 15
    """


@operation_case
def test_an_account_that_moved_leaves_no_units_pending_behind(case: OperationCase) -> None:
    """
    account top
    account a parent=top
    account b parent=top
    account c parent=a
    grant   c   100
    budget  a/all  100
    reserve c  50 as=R in=run
    hold    c  10 as=H from=R
    expect  pends a/all 50
    move    c b
    debit   c  10 from=R
    expect  pends a/all 40
    hold    c  10 as=I from=R
    expect  pends a/all 30
    capture H  4
    release I
    expect  left ^R 36
    release R
    expect  pends a/all 0
    """


@operation_case
def test_it_counts_in_the_window_of_its_operations_hold(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/day  60 each=day
    budget  acme/images  60 each=day for=image
    clock   +23h
    reserve acme  50 as=R in=run lifetime=12h
    clock   +2h
    hold    acme  40 as=H from=R of=image
    expect  pends acme/day 0
    expect  pends acme/images 40
    hold    acme  30 from=R  -> denied by acme/day, 10 left
    capture H  15 id=C
    expect  spent acme/day 0
    expect  spent acme/images 15
    expect  life acme/day 15
    reverse C
    expect  life acme/day 0
    expect  spent acme/images 0
    debit   acme  35 from=R
    hold    acme  30 as=T
    expect  pends acme/day 30
    """


@operation_case
def test_a_budget_by_value_counts_each_call_when_it_was_made(case: OperationCase) -> None:
    """
    # The window of the operation's hold is over: nobody had counted these values in it.
    account acme
    grant   acme  1000
    budget  acme/models  20 each=day by=model
    clock   +23h
    reserve acme  50 as=R in=run lifetime=12h
    clock   +2h
    debit   acme  10 from=R with=model:x
    hold    acme  10 as=H from=R with=model:y
    hold    acme  11 from=R with=model:x  -> denied by acme/models:x, 10 left
    capture H  4
    expect  left ^R 36
    """


@operation_case
def test_a_hold_whose_window_is_over_is_no_way_round_that_of_now(case: OperationCase) -> None:
    """
    # An agent keeps a unit held, and calls by it for as long as that stands.
    account acme
    grant   acme  1000
    budget  acme/hour  60 each=last:1h
    reserve acme  5 as=R in=run lifetime=23h
    clock   +5h
    debit   acme  50 from=R
    expect  spent acme/hour 50
    debit   acme  50 from=R       -> denied by acme/hour, 10 left
    hold    acme  11 from=R       -> denied by acme/hour, 10 left
    hold    acme  8 as=H from=R
    expect  pends acme/hour 8
    capture H  3
    expect  spent acme/hour 53
    expect  pends acme/hour 0
    """


@operation_case
def test_what_a_hold_covers_needs_no_room_in_the_window_of_now(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/hour  60 each=last:1h
    reserve acme  50 as=R in=run lifetime=23h
    clock   +5h
    debit   acme  60
    debit   acme  10 from=R
    hold    acme  40 as=H from=R
    capture H  40
    expect  spent acme/hour 60
    expect  left ^R 0
    debit   acme  1 from=R        -> denied by acme/hour, 0 left
    hold    acme  1 from=R        -> denied by acme/hour, 0 left
    """


@operation_case
def test_what_is_more_than_a_hold_covers_needs_room_as_a_whole(case: OperationCase) -> None:
    """
    # It counts as a whole in the window of now: not only what is beyond the hold has to fit.
    account acme
    grant   acme  1000
    budget  acme/hour  60 each=last:1h
    reserve acme  20 as=R in=run lifetime=23h
    clock   +5h
    debit   acme  50
    debit   acme  25 from=R       -> denied by acme/hour, 10 left
    debit   acme  20 from=R
    expect  spent acme/hour 50
    """


@operation_case
def test_once_a_hold_has_nothing_left_its_calls_count_now(case: OperationCase) -> None:
    """
    # The window of its authorisation is kept: yesterday's, of which nobody asks any more.
    account acme
    grant   acme  1000
    budget  acme/day  60 each=day
    clock   +23h
    reserve acme  2 as=R in=run lifetime=23h
    clock   +2h
    debit   acme  2 from=R
    debit   acme  50 from=R
    hold    acme  50 from=R       -> denied by acme/day, 10 left
    hold    acme  10 as=H from=R
    debit   acme  1 from=R        -> denied by acme/day, 0 left
    expect  spent acme/day 50
    expect  pends acme/day 10
    """


@operation_case
def test_what_is_given_back_lowers_the_window_in_which_it_counted(case: OperationCase) -> None:
    """
    # The hold's window is over: of each, what exceeds it counts now, the rest where it pended.
    account acme
    grant   acme  1000
    budget  acme/hour  60 each=last:1h
    budget  acme/day  60 each=day
    budget  acme/models  60 each=last:1h by=model
    clock   +12h
    reserve acme  5 as=R in=run lifetime=23h
    clock   +5h
    debit   acme  40 from=R with=model:x id=D
    expect  spent acme/hour 40
    expect  spent acme/day 40
    reverse D 30
    expect  spent acme/hour 10
    expect  spent acme/day 10
    hold    acme  8 as=H from=R
    capture H  3 id=C
    expect  spent acme/hour 13
    reverse C
    expect  spent acme/hour 10
    # Its window of now is over, too, once it is given back.
    clock   +2h
    debit   acme  7 from=R with=model:y
    reverse D
    expect  spent acme/hour 7
    expect  life acme/hour 7
    expect  spent acme/day 7
    """


@operation_case
def test_what_counted_with_its_hold_lowers_the_holds_window(case: OperationCase) -> None:
    """
    account acme
    grant   acme  1000
    budget  acme/day  60 each=day
    clock   +23h
    reserve acme  30 as=R in=run lifetime=23h
    clock   +2h
    debit   acme  20 from=R id=D
    debit   acme  10 from=R
    debit   acme  40 from=R id=E  # of which nothing is left of the hold
    expect  spent acme/day 40
    reverse D
    expect  spent acme/day 40
    expect  life acme/day 50
    reverse E
    expect  spent acme/day 0
    expect  life acme/day 10
    """


@pytest.mark.parametrize("window", ["fixed/1h", "sliding/1h", "day"])
def test_no_cap_is_passed_by_a_hold_whose_window_is_over(window: str) -> None:
    case = CappedCase()
    case.run(f"""
    account acme
    account a parent=acme
    grant   acme  1000 shared
    limit   acme a 60 window={window}
    reserve a 20 as=R in=run lifetime=24h
    clock   +3h
    debit   a 1
    clock   +3h
    debit   a 1
    clock   +3h
    debit   a 1
    debit   a 60 from=R           -> denied INSUFFICIENT_CREDITS
    debit   a 8 from=R
    hold    a 12 as=H from=R
    debit   a 60 from=R           -> denied INSUFFICIENT_CREDITS
    capture H 12
    """)
    assert judged(case.core) == []
    case.finish()


def test_a_cap_that_is_full_when_a_hold_was_made_denies_by_what_it_leaves() -> None:
    case = CappedCase()
    case.run("""
    account acme
    account a parent=acme
    grant   acme  1000 shared
    limit   acme a 60 window=day
    clock   +23h
    reserve a 50 as=R in=run lifetime=12h
    clock   +2h
    debit   a 61 from=R           -> denied INSUFFICIENT_CREDITS
    """)
    assert judged(case.core) == []


@pytest.mark.parametrize(
    ("window", "before", "later", "now"),
    [
        ("day", 0, "2h", 60),  # today's cap is drawn, that of the hold's day is not
        ("day", 10, "2h", 55),
        ("day", 40, "2h", 0),  # the other way round
        ("sliding/2h", 0, "3h", 60),
        ("fixed/2h", 10, "3h", 60),
        ("fixed/1h", 0, "9h", 0),  # the hold's window is kept no more
        ("day", 0, "1s", 0),  # there is one window
    ],
)
def test_a_denial_says_what_a_call_of_the_hold_affords(
    window: str, before: int, later: str, now: int
) -> None:
    """Its last unit is drawn, and one more is denied: by caps where the hold counts (rule H5)."""
    case = CappedCase()
    case.run(f"""
    account acme
    account a parent=acme
    grant   acme  1000 shared
    grant   a     5
    limit   acme a 60 window={window}
    clock   +23h
    """)
    if before:
        case.run(f"debit a {before}")
    case.run(f"""
    reserve a 20 as=R in=run lifetime=24h
    clock   +{later}
    """)
    if now:
        case.run(f"debit a {now}")
    denied = case.debited(500)
    assert isinstance(denied, e.WorkDenied)
    assert denied.reason == Reason.INSUFFICIENT_CREDITS
    assert denied.limit is not None
    assert (denied.limit.kind, denied.limit.left) == (e.LimitKind.CAP, denied.available - 20)
    assert isinstance(case.debited(denied.available + 1), e.WorkDenied)
    drawn = case.debited(denied.available)
    assert isinstance(drawn, e.HoldDebited)
    assert judged(case.core) == []


@operation_case
def test_what_a_call_leaves_pends_in_no_budget_by_value(case: OperationCase) -> None:
    """
    # Else another model's calls would count in the stead of what pended for this one.
    account acme
    grant   acme  1000
    budget  acme/models  20 by=model
    reserve acme  50 as=R in=run
    hold    acme  20 as=H from=R with=model:x
    capture H  4
    expect  pends acme/models:x 0
    debit   acme  20 from=R with=model:y
    expect  spent acme/models:x 4
    expect  spent acme/models:y 20
    debit   acme  1 from=R with=model:y  -> denied by acme/models:y, 0 left
    """


def test_caps_count_it_when_the_operation_was_reserved() -> None:
    case = CappedCase()
    case.run("""
    account acme
    account a parent=acme
    grant   acme  1000 shared
    limit   acme a 60 window=day
    clock   +23h
    reserve a 50 as=R in=run lifetime=12h
    clock   +2h
    hold    a 40 as=H from=R
    hold    a 60 as=T
    capture H  25
    expect  left ^R 25
    hold    a 36 as=X from=R  -> denied INSUFFICIENT_CREDITS
    hold    a 35 as=X from=R
    release X
    expect  left ^R 25
    release R
    """)
    case.finish()


class CappedCase(OperationCase):
    """Tells stories of accounts whose share of a grant is capped: `limit ABOVE BELOW UNITS`."""

    _limit = FamilyCase._cap
    _ceiling = staticmethod(FamilyCase._ceiling)

    def __init__(self) -> None:
        super().__init__()
        self._debits = count(1)
        self.caps: dict[str, tuple[str, int]] = {}

    def debited(self, units: int) -> object:
        """What comes of a debit of account a, from its hold R."""
        number = next(self._debits)
        return self.core.run(
            c.DebitWork(
                number.to_bytes(16, "big"), self.accounts["a"], self.core.shape("chat", "tokens"),
                (units,), hold=self.holds["R"][1],
            )
        )  # fmt: skip
