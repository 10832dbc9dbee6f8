"""Grants end: expiry with its grace, voids, and what holds give back later (rules T3, D6, B3)."""

from __future__ import annotations

from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace

from ledger.core.events import HoldAuthorized
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US


@ledger_case
def test_breakage_is_posted_after_the_grace(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1d
    usage   acme  4   -> drawn 4 from acme
    clock   +1d
    expect  available acme  0
    sweep             -> nothing
    clock   +23h
    sweep             -> nothing
    clock   +1h
    sweep             -> acme expired 6
    sweep             -> nothing
    expect  left acme  0
    """


@ledger_case
def test_a_late_event_draws_from_an_expired_grant_during_the_grace(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1d
    clock   +47h
    usage   acme  4  at=-24h  -> drawn 4 from acme
    clock   +1h
    usage   acme  4  at=-25h  -> acme expired 6; owed 4; 4 over the limit
    """


@ledger_case
def test_no_decision_sees_an_overdue_grant(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1d
    clock   +2d
    void    acme      -> refused GRANT_SETTLED grant_id
    expect  left acme  0
    """


@ledger_case
def test_a_grant_drawn_to_the_end_expires_with_nothing(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1d  paid=7
    usage   acme  10  -> drawn 10 from acme
    clock   +2d
    sweep             -> acme expired 0
    expect  recognised acme  7
    """


@ledger_case
def test_a_void_takes_what_is_left(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    usage   acme  4  -> drawn 4 from acme
    void    acme     -> acme voided 6
    void    acme     -> refused GRANT_SETTLED grant_id
    usage   acme  1  -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_void_leaves_what_is_held_and_takes_what_comes_back(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  4  as=a    -> held 4 from acme
    hold    acme  3  as=b    -> held 3 from acme
    void    acme             -> acme voided 3
    capture a  1             -> drawn 1 from acme; acme voided 3
    release b                -> released; acme voided 3
    expect  left acme  0
    expect  held acme  0
    """


@ledger_case
def test_holds_expire_before_their_grant_does(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1h
    clock   +59m
    hold    acme  4  as=a  lifetime=24h -> held 4 from acme
    hold    acme  3  as=b  lifetime=24h -> held 3 from acme
    clock   +25h
    sweep                    -> hold expired; hold expired; acme expired 10
    """


@ledger_case
def test_expiry_leaves_what_is_held_and_takes_what_comes_back(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1h  paid=10
    hold    acme  2   as=known
    """
    # A hold that outlives the grace, as a product marked batch may have one day (rule H1).
    core = case.core
    authorized = core.batches[-1][1][-1]
    assert isinstance(authorized, HoldAuthorized)
    number = core.state.next_hold
    longer = replace(authorized, hold=number, key=b"longer", expires_at=core.now + 3 * DAY_US)
    core.batches[-1][1].append(longer)
    evolve(core.state, longer)
    case.holds["long"] = ("acme", number)
    case.run(
        """
        clock   +25h
        sweep          -> hold expired; acme expired 8
        expect  held acme  2
        capture long 1 -> drawn 1 from acme; acme expired 1
        expect  left acme  0
        expect  recognised acme  1
        """
    )


@ledger_case
def test_a_hold_outlives_its_grant(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  expires=+1h  paid=20
    clock   +50m
    hold    acme  4  as=a  lifetime=24h  -> held 4 from acme
    clock   +23h
    capture a  3             -> drawn 3 from acme
    clock   +2h
    sweep                    -> acme expired 7
    expect  recognised acme  6
    """


@ledger_case
def test_an_external_key_is_taken_for_ever(case: LedgerCase) -> None:
    """
    account acme
    account acme/a  parent=acme
    account other
    grant   acme  10  key=welcome
    grant   acme  10  key=welcome    -> refused GRANT_KEY_TAKEN external_key
    grant   acme/a 10 key=welcome    -> refused GRANT_KEY_TAKEN external_key
    grant   other 10  key=welcome    -> issued
    clock   +400d
    grant   acme  10  key=welcome    -> refused GRANT_KEY_TAKEN external_key
    """


@ledger_case
def test_an_issue_replays_and_conflicts(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  id=a  paid=5       -> issued
    grant   acme  10  id=a  paid=5       -> replayed: issued
    grant   acme  11  id=a  paid=5       -> refused CONFLICT amount
    grant   acme  10  id=a  paid=6       -> refused CONFLICT price_paid
    grant   acme  10  id=a  paid=5  expires=+1d  -> refused CONFLICT expires_at_us
    grant   acme  10  id=a  paid=5  effective=+0s  -> refused CONFLICT effective_at_us
    """


@ledger_case
def test_the_sweep_posts_a_bounded_number_of_entries(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=a  expires=+1h
    grant   acme  10  as=b  expires=+2h
    grant   acme  10  as=c  expires=+3h
    clock   +30h
    """
    found = [case.tell(event) for event in case.core.sweep(entries_max=2)]
    assert [words for words in found if words] == ["a expired 10"]
    found = [case.tell(event) for event in case.core.sweep(entries_max=2)]
    assert found == ["b expired 10", "c expired 10"]
