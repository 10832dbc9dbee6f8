"""Closing with what is left: holds given back, credits forfeited, debt written off (B3, D6, T2)."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_properties import ACME as CHILD
from test_properties import PARENT, Run, steps
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.accounts.closing import _owed
from ledger.core.digest import digest, snapshot
from ledger.core.limits import INT64_MAX
from ledger.verify.rules import books_of


@ledger_case
def test_everything_that_is_left_is_written_off(case: LedgerCase) -> None:
    """
    account acme   overdraft=5 overage=self
    grant   acme   10  as=a
    grant   acme   20  as=b  for=image
    usage   acme   17          -> drawn 10 from a, overdraft 5, overage 2 on acme
    close   acme               -> refused ACCOUNT_NOT_EMPTY account
    close   acme   write-off   -> forfeited 20 of b, advance 5 written off, overage 2 written off
    expect  owed     acme 0
    expect  overage  acme 0
    expect  left     b 0
    close   acme   write-off   -> refused ACCOUNT_CLOSED account
    """
    state = case.core.state
    for kind, debits, credits in (
        (e.BookKind.FORFEITED, 0, 20),
        (e.BookKind.PROMOTION, 5, 0),
        (e.BookKind.SETTLED, 2, 0),
    ):
        book = state.house_book(TENANT, kind, CREDITS, "")
        assert book is not None
        assert (book.debits_posted, book.credits_posted) == (debits, credits)


@ledger_case
def test_holds_stay_in_the_way_unless_they_are_to_be_released(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    hold    acme  4  as=h
    hold    acme  3  as=i
    close   acme  write-off           -> refused ACCOUNT_NOT_EMPTY account
    close   acme  release             -> refused ACCOUNT_NOT_EMPTY account   # credits are left
    expect  holds acme 2
    close   acme  release write-off   -> 2 holds released, forfeited 10 of acme
    capture h 1                       -> refused HOLD_SETTLED hold_id
    """


@ledger_case
def test_holds_of_debt_alone_are_released_without_a_write_off(case: LedgerCase) -> None:
    """
    account acme  overdraft=9
    hold    acme  4  as=h
    close   acme  release  -> 1 holds released
    """


@ledger_case
def test_what_a_hold_gives_back_to_an_ended_grant_follows_its_rest(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=a
    grant   acme  10  as=b  priority=9
    hold    acme  8   as=h
    void    a                       -> a voided 2
    close   acme  release write-off -> 1 holds released, forfeited 10 of b; a voided 8
    """


@ledger_case
def test_a_written_off_grant_never_expires_again(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10  as=a  expires=+2d
    close   acme  write-off   -> forfeited 10 of a
    reopen  acme
    clock   +4d
    sweep                     -> nothing
    void    a                 -> refused GRANT_SETTLED grant_id
    """


@ledger_case
def test_late_usage_of_a_written_off_account_is_owed_until_it_closes_again(
    case: LedgerCase,
) -> None:
    """
    account acme
    grant   acme  10
    clock   +2h
    close   acme  write-off   -> forfeited 10 of acme
    usage   acme  3  at=-1h   -> owed 3; 3 over the limit     # rule T2: within its grace
    close   acme  write-off   -> refused ACCOUNT_CLOSED account
    reopen  acme
    close   acme  write-off   -> advance 3 written off
    """


@ledger_case
def test_money_that_was_not_earned_is_breakage(case: LedgerCase) -> None:
    """
    account acme
    grant   acme   10  as=a  paid=99
    usage   acme   3           -> drawn 3 from a
    close   acme   write-off   -> forfeited 7 of a, breakage 70 of a
    expect  recognised a 29
    """


def test_a_commitment_that_was_not_billed_and_its_money() -> None:
    """Its rest is forfeited, what is owed for it settled and bad debt (rules B2, B4, F4)."""
    case = LedgerCase()
    case.run("account acme")
    issue = c.IssueGrant(
        b"postpaid", 1, e.GrantKind.POSTPAID, CREDITS, 10, 50, USD, 0, 0, 0, (), b""
    )
    issued, _ = case.execute(issue)
    assert isinstance(issued, e.GrantIssued)
    case.grants["a"] = issued.grant
    case.run("usage acme 4 -> drawn 4 from a\nclose acme -> refused ACCOUNT_NOT_EMPTY account")
    closed, _ = case.execute(c.CloseAccount(b"close", 1, write_off=True))
    assert isinstance(closed, e.AccountClosedOut)
    assert [(each.kind.name, each.amount, each.grant) for each in closed.write_offs] == [
        ("GRANT", 6, issued.grant),
        ("COMMITMENT", 10, issued.grant),
        ("UNBILLED", 20, 0),
    ]
    assert all(book.credits_posted == book.debits_posted for book in books_of(case.account("acme")))
    assert judged(case.core) == []
    case.finish()


@ledger_case
def test_usage_whose_debt_was_written_off_is_not_reversed(case: LedgerCase) -> None:
    """
    account acme         overdraft=5 overage=self
    account acme/a       parent=acme overage=parent
    grant   acme    4
    usage   acme    4 id=paid       -> drawn 4 from acme
    usage   acme    7 id=owed       -> overdraft 5, overage 2 on acme
    usage   acme/a  3 id=above      -> overage 3 on acme
    close   acme/a
    close   acme    write-off       -> advance 5 written off, overage 5 written off
    reopen  acme
    reopen  acme/a
    reverse owed                    -> refused NOT_REVERSIBLE entry
    reverse above                   -> refused NOT_REVERSIBLE entry
    reverse paid                    -> 4 to acme
    usage   acme    6 id=new        -> drawn 4 from acme, overdraft 2
    reverse new                     -> 2 to advance, 4 to acme
    usage   acme    6 id=again      -> drawn 4 from acme, overdraft 2
    grant   acme    1 as=b          -> issued, repaid 1
    reverse again                   -> 1 to advance, 1 to b, 4 to acme
    expect  owed    acme 0
    """


@ledger_case
def test_a_closing_is_the_same_only_with_the_same_terms(case: LedgerCase) -> None:
    """
    account acme
    account beta
    close   acme  id=a               -> done
    close   acme  id=a               -> replayed: done
    close   acme  id=a write-off     -> refused CONFLICT write_off
    close   acme  id=a release       -> refused CONFLICT release_holds
    close   acme  id=a for=fraud     -> refused CONFLICT reason
    close   beta  id=b write-off for=fraud  -> done
    close   beta  id=b write-off for=fraud  -> replayed: done
    close   beta  id=b for=fraud            -> refused CONFLICT write_off
    close   beta  id=b write-off            -> refused CONFLICT reason
    """


@ledger_case
def test_children_close_first_and_leave_their_parents_debt_to_it(case: LedgerCase) -> None:
    """
    account acme
    account acme/a  parent=acme  overage=parent
    usage   acme/a  7                   -> overage 7 on acme
    close   acme    write-off release   -> refused ACCOUNT_NOT_EMPTY account
    close   acme/a
    close   acme                        -> refused ACCOUNT_NOT_EMPTY account
    close   acme    write-off           -> overage 7 written off
    """


@ledger_case
def test_several_holds_give_the_exact_rest_back(case: LedgerCase) -> None:
    """
    # Rules B4, N3: what several holds give back to one ended grant takes all of its money along.
    account acme
    grant   acme  10  as=a  paid=7
    grant   acme  9   as=b  paid=5
    hold    acme  6   as=h
    hold    acme  6   as=i
    hold    acme  6   as=j
    void    a         -> a voided 1
    void    b         -> b voided 0
    close   acme  release write-off  -> 3 holds released; b voided 9; a voided 9
    expect  deferred a 0
    expect  deferred b 0
    """
    assert judged(case.core) == []


@ledger_case
def test_what_a_waived_commitment_gets_back_is_not_written_off(case: LedgerCase) -> None:
    """
    # Rules D6, B3: the commitment is credited with what its holds give back; the rest is settled.
    account acme
    commit  acme  now..+31d:100/50  as=C
    usage   acme  10                 -> drawn 10 from C.1
    hold    acme  30  as=h
    hold    acme  30  as=i
    terminate C waive                -> ended, trued up 0 for 0; C.1 voided 30
    close   acme  release write-off
            -> 2 holds released, commitment 10 of C.1, unbilled 5 written off; C.1 voided 60
    """
    assert all(book.owed == 0 for book in books_of(case.account("acme")))
    assert judged(case.core) == []


@ledger_case
def test_a_true_up_that_closing_brings_is_written_off(case: LedgerCase) -> None:
    """
    # Rules D6, D7, F4: what holds give back to a segment that was trued up is trued up too.
    account acme
    commit  acme  now..+31d:100/51  as=C
    hold    acme  33  as=h
    hold    acme  33  as=i
    terminate C                      -> ended, trued up 34 for 17; C.1 expired 34
    close   acme  release write-off
            -> 2 holds released, commitment 100 of C.1, unbilled 51 written off; C.1 expired 66
    """
    assert all(book.owed == 0 for book in books_of(case.account("acme")))
    assert judged(case.core) == []


@ledger_case
def test_the_price_of_a_waived_segment_that_was_not_paid_is_not_written_off(
    case: LedgerCase,
) -> None:
    """
    # Rules B4, D6: paid ahead and still to be billed, it goes back to unbilled.
    account acme
    commit  acme  now..+31d:100/50  as=C prepaid
    hold    acme  33  as=h
    hold    acme  33  as=i
    terminate C waive                -> ended, trued up 0 for 0; C.1 voided 34
    close   acme  release write-off  -> 2 holds released; C.1 voided 66
    expect  deferred C.1 0
    """
    assert all(book.owed == 0 for book in books_of(case.account("acme")))
    assert judged(case.core) == []


@ledger_case
def test_what_closing_moves_on_is_not_written_off(case: LedgerCase) -> None:
    """
    # Rules D6, D7: to the commitment of another account, with its money.
    account acme
    account acme/eu  parent=acme
    commit  acme     now..+31d:10/9    as=T for=image
    commit  acme/eu  now..+31d:100/51  as=C
    hold    acme/eu  33  as=h
    hold    acme/eu  33  as=i
    terminate C to=T                 -> ended, moved 34 for 17; C.1 voided 34; added
    close   acme/eu  release         -> 2 holds released; C.1 voided 66; added
    expect  left T.3 66
    """
    assert all(book.owed == 0 for book in books_of(case.account("acme/eu")))
    assert judged(case.core) == []


@ledger_case
def test_a_grant_that_rolled_over_is_written_off_once(case: LedgerCase) -> None:
    """
    # Rules T3, D6: what its holds give back is forfeited with its rest; no grant is issued to an
    # account that closes.
    account acme
    grant   acme  20  as=a  expires=+1h  rolls=1/2  paid=9
    hold    acme  5   as=h  lifetime=20h
    hold    acme  7   as=i  lifetime=20h
    clock   +2h
    sweep                            -> a rolled over 4
    close   acme  release write-off
    expect  left     a 0
    expect  left     a+ 0
    expect  deferred a 0
    expect  deferred a+ 0
    """
    assert all(book.owed == 0 for book in books_of(case.account("acme")))
    assert judged(case.core) == []


@ledger_case
def test_a_segment_does_not_move_to_a_commitment_that_is_over(case: LedgerCase) -> None:
    """
    # Rules D6, D7: its target ended by itself, and its account is closed: it is trued up instead.
    account acme
    account acme/eu  parent=acme
    commit  acme     now..+31d:100/51  as=C
    commit  acme/eu  now..+6h:10/9     as=T for=image
    hold    acme     100  as=h  lifetime=1d
    terminate C to=T                 -> ended, moved 0 for 0; C.1 voided 0
    clock   +12h
    close   acme/eu  write-off
    release h                        -> released; C.1 expired 100
    expect  unbilled acme 51
    """
    assert judged(case.core) == []


@ledger_case
def test_an_amendment_does_not_reach_a_time_that_was_closed(case: LedgerCase) -> None:
    """
    # Rules T2, D3: what an account was closed for stays refused when it is open again, also for
    # usage in the stead of other that is older than the dedupe window.
    account acme
    usage   acme 3 at=-2h id=u
    usage   acme 3 id=v
    clock   +1h
    close   acme write-off
    clock   +36d
    reopen  acme
    amend   u 4 as=w at=-36d   -> refused ACCOUNT_CLOSED account
    clock   +36d
    amend   u 4 as=w at=-37d   -> refused ACCOUNT_CLOSED account    # 35 days after the closing
    amend   u 4 as=w at=-73d   -> refused ACCOUNT_CLOSED account    # its grace is over
    """
    assert judged(case.core) == []


@ledger_case
def test_what_a_moved_account_holds_keeps_the_one_that_it_was_below_open(case: LedgerCase) -> None:
    """
    # Rules H1, D6: what is written off was held still, and its capture found a grant without units.
    account acme
    account eu     parent=acme  overage=self
    account sales  parent=eu
    grant   eu     30  as=g  paid=90  shared
    hold    sales  10  as=h           -> held 10 from g
    move    sales  acme
    close   eu     release write-off  -> refused ACCOUNT_NOT_EMPTY account
    capture h 4                       -> drawn 4 from g
    close   eu     release write-off  -> forfeited 26 of g, breakage 78 of g
    """
    assert judged(case.core) == []


@ledger_case
def test_so_does_overage_that_it_holds(case: LedgerCase) -> None:
    """
    account acme
    account eu     parent=acme  overage=self
    account sales  parent=eu    overage=parent card=usd
    hold    sales  10  as=h      -> overage 10 on eu
    move    sales  acme
    close   eu                   -> refused ACCOUNT_NOT_EMPTY account
    release h
    close   eu                   -> done
    """
    assert judged(case.core) == []


def test_more_than_one_transfer_takes_is_split() -> None:
    """Rule N1: one transfer fits int64, what is owed need not."""
    book = Core().state.books.open(1, TENANT, e.BookKind.ADVANCE, CREDITS, 1, "")
    book.debits_posted = 2 * INT64_MAX + 5
    parts = _owed(e.WriteOffKind.ADVANCE, book, book.owed, 9)
    assert [part.amount for part in parts] == [INT64_MAX, INT64_MAX, 5]
    assert {(part.debit, part.credit) for part in parts} == {(9, 1)}
    book.credits_posted = book.debits_posted + 3
    (back,) = _owed(e.WriteOffKind.ADVANCE, book, book.owed, 9)
    assert (back.debit, back.credit, back.amount) == (1, 9, 3)


@given(steps, st.booleans())
def test_whatever_was_lived_through_every_book_ends_at_zero(
    taken: list[tuple[Any, ...]], frozen: bool
) -> None:
    """Nothing else moves, no rule of `verify` is broken, and the journal replays to the same."""
    run = Run()
    for verb, *given_ in taken:
        run.step(verb, *given_)
    if frozen:
        run.ask(c.FreezeAccount, PARENT)
    for number in (CHILD, PARENT):
        closed = run.ask(c.CloseAccount, number, c.NO_NAMES, b"", True, True)
        assert isinstance(closed, e.AccountClosedOut)
        account = run.state.accounts[number]
        assert not account.holds
        assert account.first is None
        for book in books_of(account):
            assert book.credits_posted == book.debits_posted
            assert book.debits_pending == book.credits_pending == 0
        assert not any(debt.owed for debt in account.debt.values())
    run.check()
    assert judged(run.core) == []
    assert digest(replay(run.core.journal())) == digest(run.state)
    before = snapshot(run.state)
    for number in (PARENT, CHILD):
        assert isinstance(run.ask(c.ReopenAccount, number), e.AccountReopened)
    after = snapshot(run.state)
    for part in ("books", "grants", "holds"):
        assert before[part] == after[part]
    for was, now in zip(before["accounts"], after["accounts"], strict=True):
        assert (was[4], was[5]) == (now[4], now[5])  # policy and its version stay
    assert digest(replay(run.core.journal())) == digest(run.state)
