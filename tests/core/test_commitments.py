"""Commitments: segments, true-ups, invoices, upsizes and early ends (rule D7; B3, B4)."""

from __future__ import annotations

from core_world import CREDITS
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.packing import (
    drop_family,
    pack_family,
    pack_shard,
    unpack_family,
    unpack_shard,
    whole,
)


@ledger_case
def test_a_ramp_is_drawn_segment_by_segment_and_trued_up_at_each_end(case: LedgerCase) -> None:
    """
    # Rule D7: segments {from, to, amount}; rule B3: unused: debit grant, credit true_up; rule B4:
    # debit unbilled, credit breakage.
    account acme
    commit  acme 2026-01-01..2026-02-01:100/50 2026-02-01..2026-03-01:200/80 as=C -> committed
    expect  available acme 100
    usage   acme 60                       -> drawn 60 from C.1
    expect  unbilled acme 30
    clock   2026-02-01
    usage   acme 10                       -> drawn 10 from C.2
    usage   acme 5 at=2026-01-31          -> drawn 5 from C.1  # of its own time, within the grace
    clock   2026-02-02
    sweep                                 -> C.1 expired 35
    expect  credits true_up 35
    expect  money breakage 18             # 50 - 32, so that the segment costs 50 whatever is drawn
    expect  unbilled acme 54              # 50 and 4 of the second
    clock   2026-03-02
    sweep                                 -> C.2 expired 190
    expect  unbilled acme 130
    expect  credits true_up 225
    """
    assert judged(case.core) == []


@ledger_case
def test_only_what_its_own_grants_pay_counts(case: LedgerCase) -> None:
    """
    # Rule D7: promotional draws and overage do not count.
    account acme  overage=self
    commit  acme 2026-01-01..2026-02-01:10/10 as=C
    grant   acme 5 as=free free
    usage   acme 18    -> drawn 5 from free, drawn 10 from C.1, overage 3 on acme
    clock   2026-02-02
    sweep              -> C.1 expired 0
    expect  unbilled acme 10
    """
    assert judged(case.core) == []


@ledger_case
def test_invoices_come_by_the_clock_apart_from_the_segments(case: LedgerCase) -> None:
    """
    # Rule D7: an invoice schedule apart; rule B4: debit receivable, credit unbilled.
    account acme
    commit  acme 2026-01-01..2026-03-01:100/90 as=C invoices=40@2026-01-01,50@2026-02-15
            -> committed; invoiced 40
    expect  receivable acme 40
    expect  unbilled acme -40
    clock   2026-02-14
    sweep                 -> nothing
    clock   2026-02-15
    usage   acme 1        -> invoiced 50; drawn 1 from C.1
    clock   2026-03-02
    sweep                 -> C.1 expired 99
    expect  receivable acme 90
    expect  unbilled acme 0
    """
    assert judged(case.core) == []


@ledger_case
def test_a_prepaid_commitment_is_deferred_and_to_be_billed(case: LedgerCase) -> None:
    """
    # Rules B4, D7: no cash came in: debit unbilled, credit deferred, for every segment at once.
    account acme
    commit  acme now..2026-02-01:100/50 2026-02-01..+59d:100/50 as=C prepaid invoices=100@2026-01-01
            -> committed; invoiced 100
    expect  deferred C.1 50
    expect  deferred C.2 50
    expect  unbilled acme 0
    expect  receivable acme 100
    expect  lifetime acme 0
    usage   acme 50       -> drawn 50 from C.1
    expect  revenue chat 25
    clock   2026-02-02
    sweep                 -> C.1 expired 50
    expect  credits forfeited 50
    expect  money breakage 25
    expect  deferred C.1 0
    """
    assert judged(case.core) == []


@ledger_case
def test_what_was_billed_and_not_paid_for_is_not_refunded(case: LedgerCase) -> None:
    """
    # Rules D7, F2, F3: no cash came in for a prepaid segment, so none goes back: void or end it.
    account acme
    commit  acme now..2026-02-01:100/50 as=C prepaid invoices=50@2026-01-01
            -> committed; invoiced 50
    refund     C.1 10     -> refused NOT_PAID grant_id
    refund     C.1        -> refused NOT_PAID grant_id
    chargeback C.1        -> refused NOT_PAID grant_id
    expect  left C.1 100
    expect  deferred C.1 50
    expect  unbilled acme 0
    pay     acme 50
    refund     C.1        -> refused NOT_PAID grant_id   # it was the bill that was paid
    void    C.1           -> C.1 voided 100
    expect  deferred C.1 0
    expect  unbilled acme -50                            # a credit on what comes to be billed
    """
    assert judged(case.core) == []


@ledger_case
def test_an_upsize_is_a_new_segment_beside_those_that_run(case: LedgerCase) -> None:
    """
    # Rule D7: an upsize is a new segment, never an edit.
    account acme
    commit  acme 2026-01-01..2026-03-01:100/100 as=C invoices=100@2026-02-01
    clock   2026-01-10
    upsize  C now..2026-03-01:50/25 invoices=20@2026-01-15,5@2026-02-20 -> added
    expect  available acme 150
    clock   2026-02-20
    sweep                 -> invoiced 20; invoiced 100; invoiced 5
    usage   acme 120      -> drawn 50 from C.2, drawn 70 from C.1  # the cheaper unit first (D2)
    clock   2026-03-02
    sweep                 -> C.1 expired 30; C.2 expired 0
    expect  unbilled acme 0
    expect  receivable acme 125
    upsize  C now..+1d:1/1   -> refused COMMITMENT_ENDED commitment_id
    """
    assert judged(case.core) == []


@ledger_case
def test_an_early_end_trues_up_what_runs_and_voids_what_is_to_come(case: LedgerCase) -> None:
    """
    # Rule D7: true-up now. What was invoiced stays; what was to be invoiced is not.
    account   acme
    commit    acme now..+31d:100/50 +31d..+59d:100/60 as=C invoices=40@2026-01-02,70@2026-02-02
    usage     acme 30
    clock     2026-01-15
    terminate C
              -> invoiced 40; ended, trued up 70 for 35; C.1 expired 70; C.2 voided 100
    expect    credits true_up 70
    expect    unbilled acme 10
    expect    available acme 0
    clock     2026-03-15
    sweep                      -> nothing
    expect    receivable acme 40
    expect    money breakage 35
    terminate C                -> refused COMMITMENT_ENDED commitment_id
    """
    assert judged(case.core) == []


@ledger_case
def test_an_early_true_up_takes_the_exact_rest(case: LedgerCase) -> None:
    """
    # Rules B4, D7: 3 units at 10 are billed at 3 and 7, whatever a unit's share rounds to.
    account   acme
    commit    acme now..+31d:3/10 as=C
    usage     acme 1
    terminate C                -> ended, trued up 2 for 7; C.1 expired 2
    expect    unbilled acme 10
    """
    assert judged(case.core) == []


@ledger_case
def test_what_a_hold_keeps_of_an_ended_segment_is_trued_up_when_it_comes_back(
    case: LedgerCase,
) -> None:
    """
    # Rules D6, D7: true-up takes the unheld part; what a hold gives back follows it.
    account   acme
    commit    acme 2026-01-01..2026-02-01:100/50 as=C
    hold      acme 20 as=h
    terminate C                -> ended, trued up 80 for 40; C.1 expired 80
    capture   h 5              -> drawn 5 from C.1; C.1 expired 15
    expect    unbilled acme 50
    expect    left C.1 0
    """
    assert judged(case.core) == []


@ledger_case
def test_a_waived_end_leaves_no_money(case: LedgerCase) -> None:
    """
    # Rule D7: waive. Postpaid: only what was drawn is owed; prepaid: the rest is not to be billed.
    account   acme
    account   beta
    commit    acme 2026-01-01..2026-02-01:100/50 2026-02-01..2026-03-01:100/60 as=C
    commit    beta 2026-01-01..2026-02-01:100/50 2026-02-01..2026-03-01:100/60 as=P prepaid
    usage     acme 30
    usage     beta 30
    terminate C waive          -> ended, trued up 0 for 0; C.1 voided 70; C.2 voided 100
    terminate P waive          -> ended, trued up 0 for 0; P.1 voided 70; P.2 voided 100
    expect    unbilled acme 15
    expect    unbilled beta 15
    expect    deferred P.1 0
    expect    deferred P.2 0
    expect    money breakage 0
    """
    assert judged(case.core) == []


@ledger_case
def test_a_segment_in_its_grace_keeps_its_own_true_up(case: LedgerCase) -> None:
    """
    account   acme
    commit    acme 2026-01-01..2026-02-01:100/50 2026-02-01..2026-03-01:100/60 as=C
    clock     2026-02-01T12:00
    terminate C waive           -> ended, trued up 0 for 0; C.2 voided 100
    usage     acme 10 at=2026-01-31 -> drawn 10 from C.1
    clock     2026-02-02
    sweep                       -> C.1 expired 90
    expect    unbilled acme 50
    """
    assert judged(case.core) == []


@ledger_case
def test_a_retry_gets_the_first_answer_and_another_body_a_conflict(case: LedgerCase) -> None:
    """
    account   acme
    commit    acme 2026-01-01..2026-02-01:100/50 as=C id=x invoices=5@2026-01-05 key=K -> committed
    clock     +1h
    commit    acme 2026-01-01..2026-02-01:100/50 as=C id=x invoices=5@2026-01-05 key=K
              -> replayed: committed
    commit    acme 2026-01-01..2026-02-01:101/50 as=C id=x invoices=5@2026-01-05 key=K
              -> refused CONFLICT segments
    commit    acme 2026-01-01..2026-02-01:100/50 as=C id=x invoices=6@2026-01-05 key=K
              -> refused CONFLICT invoices
    commit    acme 2026-01-01..2026-02-01:100/50 as=D key=K
              -> refused COMMITMENT_KEY_TAKEN external_key
    upsize    C now..2026-02-01:1/1 id=y    -> added
    upsize    C now..2026-02-01:1/2 id=y    -> refused CONFLICT segment
    terminate C id=z
              -> ended, trued up 101 for 51; C.1 expired 100; C.2 expired 1
    terminate C id=z waive                  -> refused CONFLICT ending
    terminate C id=z                        -> replayed: ended, trued up 101 for 51
    """
    assert len(case.core.state.commitments) == 1


@ledger_case
def test_an_account_with_a_commitment_that_goes_on_stays_open(case: LedgerCase) -> None:
    """
    account   acme
    commit    acme 2026-01-01..2026-02-01:100/50 as=C invoices=50@2026-01-20
    close     acme write-off   -> refused ACCOUNT_NOT_EMPTY account
    terminate C waive
    close     acme             -> done
    clock     2026-03-01
    sweep                      -> nothing
    """


@ledger_case
def test_a_family_with_commitments_is_packed_whole(case: LedgerCase) -> None:
    """
    account   acme
    commit    acme now..+31d:100/50 +31d..+59d:9/9 as=C invoices=1@2026-01-02,2@2026-02-10
    commit    acme 2026-01-01..2026-02-01:100/50 as=D prepaid key=K
    clock     2026-01-03
    usage     acme 3
    terminate D
    """
    state = case.core.state
    copy = unpack_shard(
        pack_shard(state, state.batch_seq, state.entry_seq, state.recorded_at), Catalog()
    )
    packed = pack_family(state, 1, state.settled_before)
    unpack_family(copy, packed)
    assert copy.families[1].commitment_keys == state.families[1].commitment_keys
    assert pack_family(copy, 1, state.settled_before) == packed
    assert digest(whole(state, {})) == digest(state)
    # What is paged out is billed when it is due, once it is here again.
    drop_family(state, 1)
    assert not state.commitments
    case.core.advance(45 * DAY_US)
    case.core.sweep()
    assert state.overdue == [1]
    state.overdue = []
    unpack_family(state, packed)
    case.run("sweep -> C.1 expired 100; invoiced 2")
    assert case.account("acme").receivable and CREDITS not in case.account("acme").receivable


def test_the_rules_find_what_no_commitment_may_do() -> None:
    """Apart from the core: a figure that the core would not write is a finding (rule D7)."""
    from msgspec.structs import replace

    from ledger.core import events as e

    def changed(kind: type, **changes: object) -> list[str]:
        case = LedgerCase()
        case.run(
            """
            account   acme
            commit    acme now..2026-02-01:100/50 as=C invoices=50@2026-01-10
            clock     2026-01-10
            upsize    C now..2026-02-01:7/5
            terminate C
            """
        )
        for _, events in case.core.batches:
            for place, event in enumerate(events):
                if type(event) is kind:
                    events[place] = replace(event, **changes)
        return [finding.what for finding in judged(case.core)]

    def told(kind: type, **changes: object) -> str:
        return " ".join(changed(kind, **changes))

    segment = e.Segment(0, 1_767_225_600_000_000 + 31 * DAY_US, 8, 5)
    assert changed(e.InvoiceDue) == []
    assert "invoice of commitment 1" in told(e.InvoiceDue, amount=49)
    assert "grant 2 of a segment" in told(e.SegmentAdded, segment=segment)
    assert "true-up" in told(e.CommitmentEnded, units=106)
    assert "early end of grant 1" in told(e.CommitmentEnded, ending=e.CommitmentEnding.WAIVE)
    assert "grant 1 of a segment" in told(e.CommitmentCreated, segments=(segment,))
