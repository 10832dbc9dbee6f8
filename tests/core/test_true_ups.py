"""A child's true-up counts toward the commitments of the accounts above it (rule D7)."""

from __future__ import annotations

from typing import Any

import pytest
from contract_world import ContractCase
from core_world import replay
from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace
from replaying import replayed
from test_backtest import assert_is_the_ledger
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US


@ledger_case
def test_what_a_child_is_billed_for_and_has_not_used_is_not_owed_above(case: LedgerCase) -> None:
    """
    # The company commits 100 for 50, the department 40 for 20 of its own. The department uses 10:
    # 30 are trued up, and 30 less are owed of the company's, at its price: 15 of 50.
    account acme
    account search parent=acme
    commit  acme   2026-01-01..2026-03-01:100/50 as=C
    commit  search 2026-01-01..2026-02-01:40/20 as=D
    usage   search 10                     -> drawn 10 from D.1
    usage   acme   20                     -> drawn 20 from C.1
    clock   2026-02-02
    sweep                                 -> D.1 expired 30; 30 for C.1, 15 less due
    expect  unbilled search 20
    expect  available acme 50
    clock   2026-03-02
    sweep                                 -> C.1 expired 50
    expect  unbilled acme 35              # 50 - 15
    expect  credits true_up 80
    """
    assert judged(case.core) == []
    assert digest(replay(case.core.journal())) == digest(case.core.state)
    assert_is_the_ledger(replayed(case.core), case.core)


@ledger_case
def test_both_end_at_once_and_the_lower_is_trued_up_first(case: LedgerCase) -> None:
    """
    # Whatever makes the company's due, be it a touch of the company alone.
    account acme
    account eu     parent=acme
    account search parent=eu
    commit  acme   2026-01-01..2026-02-01:100/100 as=C
    commit  eu     2026-01-01..2026-02-01:50/50 as=E
    commit  search 2026-01-01..2026-02-01:40/40 as=D
    usage   search 10                     -> drawn 10 from D.1
    usage   eu     5                      -> drawn 5 from E.1
    clock   2026-02-02
    usage   acme   1
    expect  unbilled search 40
    expect  unbilled eu 20                # its own 50, less 30 that search is billed for
    expect  unbilled acme 55              # its own 100, less 45 that those below are billed for
    """
    assert judged(case.core) == []


@ledger_case
def test_as_far_as_there_is_room_in_the_order_issued(case: LedgerCase) -> None:
    """
    # Two segments run; a third is to come, another is of other money, and a grant is no commitment.
    account acme
    account search parent=acme
    commit  acme   2026-01-01..2026-03-01:30/30 2026-03-01..2026-04-01:99/99 as=C
    commit  acme   2026-01-15..2026-03-01:10/20 as=B
    grant   acme   100 as=gift
    commit  search 2026-01-01..2026-02-01:60/6 as=D
    usage   acme   110 at=2026-01-01      -> drawn 100 from gift, drawn 10 from C.1
    clock   2026-02-02
    sweep   -> D.1 expired 60; 20 for C.1, 20 less due; 10 for B.1, 20 less due
    expect  available acme 0
    """
    assert judged(case.core) == []


@ledger_case
def test_an_early_end_counts_then_and_a_waiver_never(case: LedgerCase) -> None:
    """
    account acme
    account search parent=acme
    commit  acme   2026-01-01..2026-04-01:100/100 as=C
    commit  search 2026-01-01..2026-03-01:40/40 2026-03-01..2026-04-01:40/40 as=D
    commit  search 2026-01-01..2026-03-01:40/40 as=W
    commit  search 2026-01-01..2026-03-01:10/10 as=P prepaid
    clock   2026-01-10
    usage   search 10                     -> drawn 10 from P.1
    terminate W waive -> ended, trued up 0 for 0; W.1 voided 40
    terminate D
    expect  available acme 60
    """
    assert judged(case.core) == []


@ledger_case
def test_of_a_prepaid_commitment_money_goes_back_to_what_is_to_be_billed(case: LedgerCase) -> None:
    """
    account acme
    account search parent=acme
    commit  acme   2026-01-01..2026-04-01:100/50 as=C prepaid
    commit  search 2026-01-01..2026-02-01:40/20 as=D prepaid
    expect  unbilled acme 50
    clock   2026-02-02
    sweep                                 -> D.1 expired 40; 40 for C.1, 20 less due
    expect  unbilled acme 30
    expect  unbilled search 20
    """
    assert judged(case.core) == []


@ledger_case
def test_what_a_hold_gives_back_later_counts_then(case: LedgerCase) -> None:
    """
    account acme
    account search parent=acme
    commit  acme   2026-01-01..2026-04-01:100/100 as=C
    commit  search 2026-01-01..2026-02-01:40/40 as=D
    clock   2026-01-31T23:00
    hold    search 15 as=h lifetime=24h        -> held 15 from D.1
    clock   2026-02-02
    sweep -> hold expired; D.1 expired 40; 40 for C.1, 40 less due
    expect  available acme 60
    """
    assert judged(case.core) == []


NESTED = """
account acme
account search parent=acme
commit  acme   2026-01-01..2026-03-01:100/50 as=C
commit  acme   2026-01-01..2026-03-01:100/50 as=B
commit  search 2026-01-01..2026-02-01:140/20 as=D
clock   2026-02-02
sweep
"""


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"amount": 99}, "counts toward"),
        ({"refunded": 49}, "counts toward"),
        ({"of": 1}, "counts toward"),
        (None, "counts toward"),
    ],
)
def test_verify_finds_what_was_not_counted_so(changes: dict[str, Any] | None, what: str) -> None:
    """The first of two entries says otherwise, or is not there."""
    case = LedgerCase()
    case.run(NESTED)
    assert judged(case.core) == []
    for _, events in case.core.batches:
        for place, event in enumerate(events):
            if isinstance(event, e.TrueUpCounted) and event.grant == 1:
                if changes is None:
                    del events[place]
                else:
                    events[place] = replace(event, **changes)
    found = judged(case.core, replays=False)
    assert any(what in each.what for each in found), found


@pytest.mark.parametrize("touched", ["usage acme 1", "terminate C", "sweep"])
@pytest.mark.parametrize("seen", [False, True])
def test_terms_below_that_nobody_saw_begin_count_too(touched: str, seen: bool) -> None:
    """Rules D7, P5: a contract of five days is renewed; of the company's 200 four terms' 50 are
    owed no more, whether the ledger saw each day or was touched at last, above them."""
    case = ContractCase()
    case.run(
        """
        account acme
        account eu parent=acme
        plan    pro 10
        commit  acme now..+20d:200/400 as=C
        sign    eu K pro until=+5d renews commit=now..+5d:50/90
        """
    )
    if touched == "terminate C":
        case.run("upsize C +20d..+60d:70/90")
    for _ in range(30):
        case.core.advance(DAY_US)
        if seen:
            case.core.sweep(1_000)
    case.run(touched)
    company = case.accounts["acme"]
    counted = [
        event.amount
        for _, batch in case.core.batches
        for event in batch
        if isinstance(event, e.TrueUpCounted) and event.account == company
    ]
    # The term of days 20 to 25 counts where the company has gone on.
    assert counted == [50] * (5 if touched == "terminate C" else 4)
    case.core.sweep(1_000)
    case.finish()
