"""Clauses of the rules that no other table states, rule by rule."""

from __future__ import annotations

from core_world import CREDITS
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.limits import DAY_US, HOUR_US, INT64_MAX

# -- numbers: N1, N2 -------------------------------------------------------------------------------


@ledger_case
def test_one_transfer_fits_64_bits_and_totals_need_not(case: LedgerCase) -> None:
    """
    # Rule N1: an amount of 2^63 - 1 is taken, one more is refused; totals pass 2^63.
    account acme overage=self
    grant   acme 9223372036854775807 as=A
    grant   acme 9223372036854775807 as=B
    grant   acme 9223372036854775808 as=X -> refused AMOUNT_INVALID amount
    expect  available acme 18446744073709551614
    usage   acme 9223372036854775807      -> drawn 9223372036854775807 from A
    usage   acme 9223372036854775807      -> drawn 9223372036854775807 from B
    usage   acme 9223372036854775807      -> overage 9223372036854775807 on acme
    usage   acme 9223372036854775807      -> overage 9223372036854775807 on acme
    expect  used chat 36893488147419103228
    # A larger amount is split over transfers of one entry.
    bill    acme
            -> 9223372036854775807 overage, 9223372036854775807 overage
    expect  overage acme 0
    """


@ledger_case
def test_a_price_is_an_exact_fraction_rounded_half_even_over_the_period(case: LedgerCase) -> None:
    """
    # Rules N2, R1: F(Q) of 1/2 is 0, 1, 2, 2, 2, 3 and of 1/3 is 0, 1, 1, 1, 2, 2.
    account acme
    grant   acme 100
    usage   acme 1 of=half   -> free
    usage   acme 1 of=half   -> drawn 1 from acme
    usage   acme 1 of=half   -> drawn 1 from acme
    usage   acme 1 of=half   -> free
    usage   acme 1 of=half   -> free
    usage   acme 1 of=half   -> drawn 1 from acme
    usage   acme 1 of=third  -> free
    usage   acme 1 of=third  -> drawn 1 from acme
    usage   acme 2 of=third  -> free
    usage   acme 1 of=third  -> drawn 1 from acme
    """


# -- identity: I5 ----------------------------------------------------------------------------------


@ledger_case
def test_an_external_key_is_permanent_and_a_request_id_is_not(case: LedgerCase) -> None:
    """
    # Rule I5: a request id is kept for 35 days, the external key of a grant for ever.
    account acme
    grant   acme 5 as=A key=order-1 id=r
    grant   acme 5 as=A key=order-1 id=r   -> replayed: issued
    void    A
    clock   +50d
    grant   acme 5 as=B key=order-1 id=s   -> refused GRANT_KEY_TAKEN external_key
    grant   acme 5 as=B key=order-2 id=s   -> issued
    commit  acme now..+9d:5/5 as=C key=deal
    terminate C waive
    clock   +50d
    commit  acme now..+9d:5/5 as=D key=deal -> refused COMMITMENT_KEY_TAKEN external_key
    """


# -- time: T3, T5 ----------------------------------------------------------------------------------


@ledger_case
def test_every_entry_has_two_times(case: LedgerCase) -> None:
    """
    # Rule T5: when it was effective, as the event says; when it was recorded, as the writer says.
    account acme
    grant   acme 9
    clock   +2h
    usage   acme 1 at=-1h
    """
    recorded_at, entries = case.core.batches[-1]
    [usage] = [each for each in entries if isinstance(each, e.UsageRecorded)]
    assert (recorded_at, usage.effective_at) == (case.core.now, case.core.now - HOUR_US)
    case.core.now -= DAY_US  # a clock that goes back moves no recorded time back
    case.run("clock +1s")
    assert case.core.batches[-1][0] > recorded_at


@ledger_case
def test_what_a_hold_returns_after_the_rollover_stays_within_the_cap(case: LedgerCase) -> None:
    """
    # Rules T3, D6: min(unheld rest x fraction, cap), over all that rolls.
    account acme
    grant   acme 20 as=K expires=+1d rolls=1/1 most=9 priority=-1
    clock   +23h
    hold    acme 15 as=i lifetime=20h  -> held 15 from K
    clock   +1h
    sweep                  -> K rolled over 5
    release i              -> released; K rolled over 4
    """
    assert judged(case.core) == []


@ledger_case
def test_a_rollover_takes_its_share_of_the_price_rounded_down(case: LedgerCase) -> None:
    """
    # Rules T3, B4: 2 of 3 units take floor(10 x 2 / 3) along; what rounding leaves is breakage.
    account acme
    grant   acme 3 as=G paid=10 expires=+1d rolls=1/1
    usage   acme 1         -> drawn 1 from G
    expect  recognised G 3
    clock   +1d
    sweep                  -> G rolled over 2
    expect  deferred G+ 6
    expect  deferred G 1
    clock   +1d
    sweep                  -> G expired 0
    expect  money breakage 1
    expect  deferred G 0
    """
    assert judged(case.core) == []


# -- books: B1, B3, B6 -----------------------------------------------------------------------------


@ledger_case
def test_posted_counters_grow_and_pending_ones_come_back_to_zero(case: LedgerCase) -> None:
    """
    # Rule B1: a reversal is a transfer of its own; nothing posted is taken back.
    account acme
    grant   acme 10 as=G
    hold    acme 6 as=h    -> held 6 from G
    expect  held G 6
    capture h 4 id=c       -> drawn 4 from G
    expect  held G 0
    usage   acme 3 id=u    -> drawn 3 from G
    reverse u              -> 3 to G
    """
    book = case.grant("G").book
    assert (book.credits_posted, book.debits_posted) == (13, 7)
    assert (book.credits_pending, book.debits_pending) == (0, 0)


@ledger_case
def test_available_is_posted_less_pending_with_what_the_overdraft_gives(case: LedgerCase) -> None:
    """
    # Rule B6: holds always count, expired never does, and a product is told what applies to it.
    account acme overdraft=5
    grant   acme 10 as=ANY
    grant   acme 20 as=CHAT for=chat
    grant   acme 40 as=MEDIA tags=media
    grant   acme 80 as=OLD expires=+1h
    grant   acme 160 as=COMING effective=+9d
    grant   acme 320 as=GATED gated paid=5
    expect  available acme 115
    expect  available acme 95 of=half
    clock   +1h
    expect  available acme 35
    expect  available acme 15 of=half
    hold    acme 7 as=h
    expect  available acme 28
    usage   acme 30 of=chat
            -> drawn 13 from CHAT, drawn 10 from ANY, overdraft 5, owed 2; 2 over the limit
    expect  available acme 0
    release h
    expect  available acme 7
    """


# -- drawdown: D3, D4, D8 --------------------------------------------------------------------------


@ledger_case
def test_overage_that_was_debited_by_hand_counts_against_the_cap(case: LedgerCase) -> None:
    """
    # Rule D4: one cap a period, whatever drew the overage.
    account acme overage=self cap=10
    adjust  acme -6   -> overage 6 on acme
    adjust  acme -5   -> refused INSUFFICIENT_CREDITS amount
    hold    acme 5 as=h  -> denied INSUFFICIENT_CREDITS
    usage   acme 5 id=u  -> overage 4 on acme, owed 1; 1 over the limit
    """


@ledger_case
def test_what_was_given_back_by_hand_is_not_given_twice(case: LedgerCase) -> None:
    """
    # Rule D3: two slices that one grant repaid since get no more than is drawn from it still.
    account acme overdraft=3
    usage   acme 7 id=u       -> overdraft 3, owed 4; 4 over the limit
    grant   acme 10 as=H      -> issued, repaid 7
    adjust  acme 5 grant=H    -> 5 to H
    reverse u                 -> 2 to H
    expect  left H 10
    """
    assert judged(case.core) == []


@ledger_case
def test_what_rounding_had_put_on_others_goes_to_the_grant_that_pays_last(
    case: LedgerCase,
) -> None:
    """
    # Rules D3, R1: F(2) - F(1) of 1/2 is 1, which the event itself had not drawn.
    account acme
    grant   acme 5 as=FIRST priority=1
    grant   acme 5 as=LAST priority=2
    usage   acme 6            -> drawn 5 from FIRST, drawn 1 from LAST
    usage   acme 1 of=half id=u  -> free
    usage   acme 1 of=half    -> drawn 1 from LAST
    reverse u                 -> 1 to LAST
    """


@ledger_case
def test_a_restored_grant_expires_with_the_old_one_or_30_days_from_now(case: LedgerCase) -> None:
    """
    # Rule D3: a child grant with the same P/A, expiring at max(old expiry, now + 30 days).
    account acme
    grant   acme 10 as=LONG expires=+90d
    usage   acme 4 id=u
    void    LONG
    reverse u          -> 4 to LONG+
    grant   acme 10 as=SHORT expires=+1d priority=-1
    usage   acme 4 id=v
    void    SHORT
    reverse v          -> 4 to SHORT+
    """
    assert case.grant("LONG+").expires_at == case.grant("LONG").expires_at
    assert case.grant("SHORT+").expires_at == case.core.state.recorded_at + 30 * DAY_US


@ledger_case
def test_a_child_is_priced_by_its_own_card_else_its_nearest_ancestors(case: LedgerCase) -> None:
    """
    # Rule D8: and drawn from a shared grant in that grant's asset.
    account acme     card=usd overage=self
    account eu       parent=acme overage=self
    account sales    parent=eu card=default overage=self
    grant   acme 5 as=MONEY asset=usd shared
    grant   acme 5 as=UNITS shared
    usage   eu 7     -> drawn 5 from MONEY, overage 2 on eu
    expect  unbilled eu 2
    usage   sales 7  -> drawn 5 from UNITS, overage 2 on sales
    policy  eu       card=default overage=self
    usage   eu 1     -> overage 1 on eu
    expect  unbilled eu 2
    """
    assert list(case.account("sales").overage) == [CREDITS]


# -- holds and debts: H2, H6, F1, F3 ---------------------------------------------------------------


@ledger_case
def test_a_hold_expires_by_an_entry_of_its_own_released_or_charged(case: LedgerCase) -> None:
    """
    # Rule H2: by the writer's clock; released, or its estimate is charged, by the product's policy.
    account acme
    grant   acme 30 as=G
    hold    acme 4 as=h               -> held 4 from G
    hold    acme 6 as=i of=agent      -> held 6 from G
    clock   +14m
    sweep                             -> nothing
    clock   +1m
    sweep                             -> hold expired; hold expired, charged, drawn 6 from G
    expect  left G 24
    expect  held G 0
    capture i 6                       -> refused HOLD_SETTLED hold_id
    capture h 4                       -> late, drawn 4 from G
    capture h 4                       -> refused HOLD_SETTLED hold_id
    """


@ledger_case
def test_an_expiry_charges_what_captures_left_of_each_quantity(case: LedgerCase) -> None:
    """
    # Rules H1, H2: more of one quantity than estimated takes nothing off another.
    account acme
    grant   acme 90 as=G
    hold    acme as=h of=agent input=10 output=2  -> held 26 from G
    capture h open input=15                       -> drawn 30 from G
    clock   +15m
    sweep                                         -> hold expired, charged, drawn 6 from G
    """
    assert judged(case.core) == []


@ledger_case
def test_holds_share_one_overdraft(case: LedgerCase) -> None:
    """
    # Rules H3, D4: what a hold has of the overdraft is there for nobody else.
    account acme overdraft=10
    hold    acme 6 as=h  -> overdraft 6
    expect  available acme 4
    hold    acme 6 as=i  -> denied INSUFFICIENT_CREDITS
    usage   acme 6       -> overdraft 4, owed 2; 2 over the limit
    expect  available acme 0
    """


@ledger_case
def test_a_void_of_what_was_paid_in_part_leaves_nothing_deferred(case: LedgerCase) -> None:
    """
    # Rules F1, F2, B4: 4 units for 3 of 7; 2 go back to cash, what rounding leaves is breakage.
    account acme
    grant   acme 10 as=G paid=7 gated
    confirm G 3         -> G released 4
    void    G           -> G cancelled 6; G voided 4
    expect  deferred G 0
    expect  money breakage 1
    expect  lifetime acme 1
    """
    assert judged(case.core) == []


@ledger_case
def test_a_grant_whose_time_has_passed_repays_nothing(case: LedgerCase) -> None:
    """
    # Rules H6, D1: whether it took effect while nobody was there, or was paid for too late.
    account acme overdraft=9
    grant   acme 10 as=PASSED effective=+1h expires=+2h
    grant   acme 10 as=LATE gated paid=5 expires=+2h
    usage   acme 5       -> overdraft 5
    clock   +3h
    sweep                -> nothing
    confirm LATE         -> LATE released 10
    expect  owed acme 5
    clock   +24h
    sweep                -> PASSED expired 10; LATE expired 10
    expect  money breakage 5
    """
    assert judged(case.core) == []


@ledger_case
def test_a_top_up_counts_what_holds_owe_and_not_what_is_to_come(case: LedgerCase) -> None:
    """
    # Rule H6: the whole gap, advance included, also where a hold has yet to draw it.
    account acme overdraft=50
    grant   acme 100 as=COMING effective=+9d
    rule    acme below=5 target=10  -> rule 1; tops up 1: 10 for 10
    hold    acme 15 as=h            -> overdraft 15; tops up 2: 15 for 15
    """


@ledger_case
def test_a_commitment_goes_on_until_its_last_invoice(case: LedgerCase) -> None:
    """
    # Rule D7: the invoice schedule stands apart from the segments.
    account acme
    commit  acme now..+2d:5/5 as=C invoices=5@+9d
    commit  acme now..+2d:5/5 as=D
    clock   +4d
    upsize  D now..+9d:5/5  -> refused COMMITMENT_ENDED commitment_id
    upsize  C now..+9d:5/5  -> added
    terminate C waive       -> ended, trued up 0 for 0; C.2 voided 5
    clock   +9d
    sweep                   -> nothing
    """
    assert judged(case.core) == []


@ledger_case
def test_a_shared_grant_may_pay_before_ones_own(case: LedgerCase) -> None:
    """
    # Rules D1, D2: the distance of the pot is a key of our own order only, also of one draw alone.
    account acme
    account eu    parent=acme order=stripe_1
    account sales parent=acme
    grant   acme  20 as=SHARED shared priority=1
    grant   eu    20 as=EU priority=2
    grant   sales 20 as=SALES priority=2
    hold    eu 5 as=h  -> held 5 from SHARED
    usage   eu 5       -> drawn 5 from SHARED
    hold    sales 5 as=i  -> held 5 from SALES
    usage   sales 5       -> drawn 5 from SALES
    """


@ledger_case
def test_an_account_is_frozen_itself_below_one_that_is(case: LedgerCase) -> None:
    """
    # Rule I2: each freeze is taken back by itself.
    account acme
    account eu parent=acme
    freeze  acme
    freeze  eu
    freeze  eu      -> refused ACCOUNT_FROZEN account
    unfreeze acme
    expect  frozen eu 1
    usage   eu 1    -> refused ACCOUNT_FROZEN account
    unfreeze eu
    usage   eu 1    -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_closed_account_is_charged_back_and_not_frozen(case: LedgerCase) -> None:
    """
    # Rule F3: freeze by policy, of what could still take work.
    account acme freeze=chargeback
    grant   acme 10 as=G paid=20
    usage   acme 4
    close   acme write-off  -> forfeited 6 of G, breakage 12 of G
    chargeback G            -> 20 taken back, void 0 of G, owed 20
    expect  frozen acme 0
    expect  lifetime acme 0
    reopen  acme
    usage   acme 1          -> owed 1; 1 over the limit
    """
    assert judged(case.core) == []


def test_the_largest_grant_is_recognised_to_the_last_unit() -> None:
    """Rules B4, N1: floor(P x drawn / A) at both ends of 64 bits, whoever draws the rest."""
    case = LedgerCase()
    case.run(f"""
    account acme
    grant   acme {INT64_MAX} as=G paid={INT64_MAX}
    usage   acme {INT64_MAX - 1}  -> drawn {INT64_MAX - 1} from G
    expect  recognised G {INT64_MAX - 1}
    expect  deferred G 1
    usage   acme 1                -> drawn 1 from G
    expect  recognised G {INT64_MAX}
    expect  deferred G 0
    """)
    case.finish()
