"""Top-ups: what rules ask for, and what comes of it (rule H6)."""

from __future__ import annotations

from core_world import CREDITS, DAY_US, FAMILY, HOUR_US, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.funding.top_ups import available_of, price_of, wanted
from ledger.core.limits import DEDUPE_WINDOW_US, INT64_MAX
from ledger.core.packing import drop_family, forget_settled, pack_family, unpack_family


@ledger_case
def test_below_the_threshold_the_whole_gap_is_asked_for(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    rule    acme  below=20 target=100 price=3/2  -> rule 1
    usage   acme  80  -> drawn 80 from acme                            # 20 are left: not below 20
    usage   acme  1   -> drawn 1 from acme; tops up 1: 81 for 122      # 121.5, half-even
    usage   acme  1   -> drawn 1 from acme                             # what pends counts
    collect 1  -> confirmed
    expect  available acme  99
    """


@ledger_case
def test_a_rule_looks_at_once(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=1 target=10  -> rule 1; tops up 1: 10 for 10
    """


@ledger_case
def test_an_advance_is_part_of_the_gap_and_repaid_first(case: LedgerCase) -> None:
    """
    account acme  overdraft=50
    grant   acme  10
    rule    acme  below=5 target=40
    usage   acme  30  -> drawn 10 from acme, overdraft 20; tops up 1: 60 for 60
    collect 1  -> repaid 20; confirmed
    expect  owed acme  0
    expect  available acme  90                # 40, and the overdraft's 50
    expect  left top-up-1  40
    """


@ledger_case
def test_amounts_come_in_multiples_that_reach_the_threshold(case: LedgerCase) -> None:
    """
    account acme  overdraft=100
    rule    acme  below=10 amount=25  -> rule 1; tops up 1: 25 for 25
    usage   acme  60  -> overdraft 60; tops up 2: 50 for 50            # -60 + 25 pending + 50 = 15
    """


@ledger_case
def test_holds_count(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100
    rule    acme  below=50 target=100
    hold    acme  60  as=h  -> held 60 from acme; tops up 1: 60 for 60
    """


@ledger_case
def test_what_a_child_draws_of_a_shared_grant_is_looked_at_above(case: LedgerCase) -> None:
    """
    account acme
    account acme/search parent=acme
    grant   acme  100 shared
    rule    acme  below=50 target=100
    usage   acme/search  60  -> drawn 60 from acme; tops up 1: 60 for 60
    """


@ledger_case
def test_what_time_takes_is_looked_at_as_it_is_posted(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100  expires=+1h
    rule    acme  below=50 target=100
    clock   +26h
    sweep   -> acme expired 100; tops up 1: 100 for 100
    """


@ledger_case
def test_what_is_posted_as_suspense_is_tried_in_vain_is_looked_at(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  100  expires=+1h
    rule    acme  below=20 target=100
    usage   acme  5  of=new  -> suspense
    clock   +24h
    publish new.tokens=2                      # from now on: what was before waits on (rule D5)
    clock   +2h
    sweep   -> acme expired 100; tops up 1: 100 for 100
    expect  suspended acme  1
    """


@ledger_case
def test_after_a_decline_an_hour_passes(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10  -> rule 1; tops up 1: 10 for 10
    decline 1  -> declined
    usage   acme  1  -> owed 1; 1 over the limit
    clock   +59m
    usage   acme  1  -> owed 1; 1 over the limit
    clock   +1m
    usage   acme  1  -> owed 1; 1 over the limit; tops up 2: 13 for 13
    """


@ledger_case
def test_an_unanswered_one_expires_after_a_day_and_is_asked_for_again(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10  -> rule 1; tops up 1: 10 for 10
    clock   +23h
    sweep   -> nothing
    clock   +1h
    sweep   -> expired; tops up 2: 10 for 10
    """


@ledger_case
def test_the_velocity_cap_holds_for_declined_and_expired_ones_too(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10 cap=2/1d  -> rule 1; tops up 1: 10 for 10
    decline 1
    clock   +1h
    usage   acme  1  -> owed 1; 1 over the limit; tops up 2: 11 for 11
    collect 2  -> repaid 1; confirmed
    usage   acme  10  -> drawn 10 from top-up-2
    clock   +22h
    unrule  acme                                                      # nor does a new rule lift it
    rule    acme  below=10 target=10 cap=2/1d  -> rule 2
    clock   +1h
    usage   acme  1  -> owed 1; 1 over the limit; tops up 3: 11 for 11
    """


@ledger_case
def test_a_charge_is_confirmed_once(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10
    collect 1  id=a  -> confirmed
    collect 1  id=a  -> replayed: confirmed
    collect 1  id=b  -> refused TOP_UP_SETTLED top_up_id
    decline 1  -> refused TOP_UP_SETTLED top_up_id
    decline 1  id=a  -> refused CONFLICT request
    """


@ledger_case
def test_money_that_came_after_all_is_taken(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10
    decline 1
    decline 1  -> refused TOP_UP_SETTLED top_up_id
    collect 1  -> confirmed                            # after a decline
    usage   acme  10  -> drawn 10 from top-up-1; tops up 2: 10 for 10
    clock   +1d
    sweep   -> expired; tops up 3: 10 for 10
    collect 2  -> confirmed                            # after its expiry
    expect  available acme  10
    """


@ledger_case
def test_a_rule_is_replaced_removed_and_put_out_of_force(case: LedgerCase) -> None:
    """
    account acme
    grant   acme  10
    rule    acme  below=10 target=20  -> rule 1
    rule    acme  below=10 target=20 version=7  -> refused VERSION_MISMATCH expected_version
    rule    acme  below=5 target=20 version=1  -> rule 2
    usage   acme  2  -> drawn 2 from acme
    rule    acme  below=10 target=20 off  -> rule 3
    usage   acme  8  -> drawn 8 from acme
    unrule  acme
    unrule  acme  -> refused TOP_UP_RULE_UNKNOWN asset
    rule    acme  below=10 target=20  -> rule 4; tops up 1: 20 for 20
    """


@ledger_case
def test_neither_frozen_nor_closed_accounts_buy(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10
    decline 1
    clock   +1h
    freeze  acme
    unfreeze acme  -> done; tops up 2: 10 for 10
    close   acme
    collect 2  -> refused ACCOUNT_CLOSED account
    clock   +1d
    sweep   -> expired
    """


@ledger_case
def test_money_is_topped_up_too(case: LedgerCase) -> None:
    """
    account acme  card=usd
    rule    acme  below=100 target=500 asset=usd  -> rule 1; tops up 1: 500 for 500
    collect 1
    usage   acme  450  -> drawn 450 from top-up-1; tops up 2: 450 for 450
    """


@ledger_case
def test_top_ups_leave_memory_and_come_back(case: LedgerCase) -> None:
    """
    account acme
    rule    acme  below=10 target=10
    decline 1
    clock   +1h
    usage   acme  1
    """
    state = case.core.state
    before = digest(state)
    body = pack_family(state, 1, state.settled_before)
    drop_family(state, 1)
    assert not state.top_ups
    unpack_family(state, body)
    assert digest(state) == before
    assert case.account("acme").watched
    late = state.settled_before + 2 * DEDUPE_WINDOW_US
    kept = forget_settled(body, late)
    assert kept != body
    case.core.advance(2 * DEDUPE_WINDOW_US)
    drop_family(state, 1)
    unpack_family(state, kept)
    assert list(state.top_ups) == [2]  # pends until its expiry is posted
    case.run(
        "sweep -> expired; tops up 3: 11 for 11\ncollect 1 -> refused TOP_UP_UNKNOWN top_up_id"
    )


def test_a_gap_that_fits_no_charge_is_closed_in_parts() -> None:
    core = Core()
    core.run(
        c.CreateAccount(FAMILY.request("a"), TENANT, 1, 0, 1, e.AccountPolicy()),
    )
    account = core.state.accounts[1]
    for price in ((INT64_MAX, 1), (3, 2), (1, INT64_MAX), (INT64_MAX, INT64_MAX - 1)):
        rule = e.TopUpRule(CREDITS, INT64_MAX, INT64_MAX, 0, *price, USD, "card", 1, HOUR_US)
        amount = wanted(account, rule, -(2**70), core.now)
        assert 1 <= amount <= INT64_MAX
        assert 1 <= price_of(rule, amount) <= INT64_MAX


ACME = 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("usage"), st.integers(1, 60)),
            st.tuples(st.just("hold"), st.integers(1, 60)),
            st.tuples(st.just("confirm"), st.integers(0, 3)),
            st.tuples(st.just("decline"), st.integers(0, 3)),
            st.tuples(st.just("rule"), st.sampled_from([0, 15, 40])),
            st.tuples(
                st.just("clock"), st.sampled_from([1, HOUR_US // 2, HOUR_US, 5 * HOUR_US, DAY_US])
            ),
        ),
        max_size=40,
    )
)
def test_top_ups_never_overlap_nor_exceed_the_velocity_cap(taken: list[tuple[str, int]]) -> None:
    """Each covers only what those before it do not; at most 3 in 4 hours; none in the hour after a
    decline; each is confirmed once at most; the replay is equal."""
    core = Core()
    requests = 0

    def ask(command: type, *fields: object) -> None:
        nonlocal requests
        requests += 1
        core.run(command(FAMILY.request(str(requests)), *fields))

    def rule(threshold: int, amount: int) -> e.TopUpRule:
        target = 0 if amount else 100
        return e.TopUpRule(
            CREDITS, threshold, target, amount, 1, 1, USD, "card", 3, 4 * HOUR_US, True
        )

    ask(c.CreateAccount, TENANT, ACME, 0, ACME, e.AccountPolicy("", CREDITS, 30))
    ask(c.SetTopUpRule, ACME, rule(20, 0))
    shape = core.shape("chat", "tokens")
    asked: list[int] = []
    declined: dict[int, int] = {}  # when, unless the money came after all
    open_ones: dict[int, int] = {}
    granted: set[int] = set()
    batch, seen = 0, 0
    thresholds = {1: (20, 0)}
    for verb, number in taken:
        if verb == "usage":
            ask(c.RecordUsage, ACME, shape, (number,), 0, c.NO_NAMES)
        elif verb == "hold":
            ask(c.AuthorizeHold, ACME, shape, (number,), 0)
        elif verb == "rule":
            thresholds[len(thresholds) + 1] = (number, 25)
            ask(c.SetTopUpRule, ACME, rule(number, 25))
        elif verb == "clock":
            core.advance(number)
            core.sweep(10_000)
        else:
            command = c.ConfirmTopUp if verb == "confirm" else c.DeclineTopUp
            ask(command, ACME, max(1, core.state.next_top_up - 1 - number))
        while batch < len(core.batches):
            recorded_at, events = core.batches[batch]
            for event in events[seen:]:
                if isinstance(event, e.TopUpRequested):
                    threshold, _ = thresholds[event.version]
                    have = int(event.available) + sum(open_ones.values())
                    assert have < threshold <= have + event.amount
                    assert all(at + HOUR_US <= recorded_at for at in declined.values())
                    asked.append(recorded_at)
                    assert sum(at > recorded_at - 4 * HOUR_US for at in asked) <= 3
                    open_ones[event.top_up] = event.amount
                elif isinstance(event, e.TopUpConfirmed):
                    assert event.top_up not in granted
                    granted.add(event.top_up)
                    open_ones.pop(event.top_up, None)
                    declined.pop(event.top_up, None)
                elif isinstance(event, e.TopUpDeclined | e.TopUpExpired):
                    open_ones.pop(event.top_up)
                    if isinstance(event, e.TopUpDeclined):
                        declined[event.top_up] = recorded_at
            seen = len(events)
            if batch + 1 == len(core.batches):
                break
            batch, seen = batch + 1, 0
    account = core.state.accounts[ACME]
    pending = sum(open_ones.values())
    have = available_of(account, CREDITS, core.now) + pending
    _, current = account.top_up_rules[CREDITS]
    assert current is not None
    if taken and taken[-1][0] in ("usage", "hold", "rule"):  # an entry of the account
        assert not wanted(account, current, have - pending, core.now)
    assert digest(replay(core.journal())) == digest(core.state)
    assert judged(core) == []
