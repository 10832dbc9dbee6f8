"""What may be owed in advance, and for how long (rules D4, H3, H6)."""

from __future__ import annotations

from core_world import CREDITS, FAMILY, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.packing import drop_family, pack_family, unpack_family


@ledger_case
def test_a_share_of_lifetime_value_is_the_limit(case: LedgerCase) -> None:
    """
    account acme  card=usd  overdraft=1000 in=usd percent=20
    hold    acme  1  as=none  -> denied INSUFFICIENT_CREDITS   # nothing was paid so far
    grant   acme  99  asset=usd  paid=99
    hold    acme  119  as=too-much  -> denied INSUFFICIENT_CREDITS   # 99 x 20 % = 19.8: 19
    hold    acme  118  as=all  -> held 99 from acme, overdraft 19
    capture all  118  -> drawn 99 from acme, overdraft 19
    usage   acme  5  -> owed 5; 5 over the limit   # recorded usage has happened (rule D4)
    expect  owed acme  24
    """


@ledger_case
def test_the_limit_grows_with_payments_up_to_its_cap(case: LedgerCase) -> None:
    """
    account acme  card=usd  overdraft=30 in=usd percent=50
    grant   acme  40  asset=usd  paid=40  as=first
    usage   acme  40
    hold    acme  21  as=h  -> denied INSUFFICIENT_CREDITS
    grant   acme  40  asset=usd  paid=40  as=second
    usage   acme  40
    hold    acme  31  as=h  -> denied INSUFFICIENT_CREDITS   # 50 % of 80 is 40, the cap 30
    hold    acme  30  as=h  -> overdraft 30
    """


@ledger_case
def test_a_refund_lowers_lifetime_value(case: LedgerCase) -> None:
    """
    account acme  card=usd  overdraft=1000 in=usd percent=50
    grant   acme  40  asset=usd  paid=40
    usage   acme  10
    void    acme  -> acme voided 30
    hold    acme  6  as=h  -> denied INSUFFICIENT_CREDITS   # 40 paid, 30 refunded
    hold    acme  5  as=h  -> overdraft 5
    """


@ledger_case
def test_a_gift_is_no_payment(case: LedgerCase) -> None:
    """
    account acme  card=usd  overdraft=1000 in=usd percent=100
    grant   acme  40  asset=usd  free
    usage   acme  40
    hold    acme  1  as=h  -> denied INSUFFICIENT_CREDITS
    """


@ledger_case
def test_a_share_is_of_money_only(case: LedgerCase) -> None:
    """
    account acme  overdraft=10 percent=50  -> refused ASSET_KIND_INVALID policy.overdraft_asset
    """


@ledger_case
def test_authorisation_refuses_once_grace_has_ended(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=2h
    usage   acme  10  -> overdraft 10
    clock   +1h
    hold    acme  5  as=first  -> overdraft 5
    release first
    clock   +1h
    expect  available acme  0
    hold    acme  5  as=late  -> denied GRACE_ENDED
    usage   acme  5  -> overdraft 5          # has happened: recorded, in the same order
    expect  owed acme  15
    """


@ledger_case
def test_grace_begins_with_the_first_debt_not_with_the_last(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=2h
    usage   acme  1
    clock   +119m
    usage   acme  1
    clock   +1m
    hold    acme  1  as=h  -> denied GRACE_ENDED
    """


@ledger_case
def test_grace_ends_at_zero_and_begins_anew(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=2h
    usage   acme  10
    clock   +3h
    grant   acme  9   as=part  -> issued, repaid 9
    hold    acme  1   as=h  -> denied GRACE_ENDED      # still below zero
    grant   acme  1   as=rest  -> issued, repaid 1
    hold    acme  1   as=h  -> overdraft 1
    capture h  1
    clock   +119m
    hold    acme  1   as=h2  -> overdraft 1            # below zero for 119 minutes only
    """


@ledger_case
def test_what_is_given_back_ends_it_too(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=2h
    usage   acme  10  id=u
    clock   +3h
    reverse u
    hold    acme  1  as=h  -> overdraft 1
    """


@ledger_case
def test_below_zero_nothing_is_authorised_even_from_a_grant(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=0s
    usage   acme  10  of=chat
    grant   acme  50  free                 # promotional: it repays nothing
    hold    acme  5   as=h  -> denied GRACE_ENDED
    usage   acme  5   -> drawn 5 from acme
    """


@ledger_case
def test_excess_counts_as_below_zero(case: LedgerCase) -> None:
    """
    account acme  bears=1h
    usage   acme  10  -> owed 10; 10 over the limit
    clock   +1h
    hold    acme  1  as=h  -> denied GRACE_ENDED
    """


@ledger_case
def test_a_new_policy_holds_for_what_is_decided_after_it(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=1h
    usage   acme  10
    clock   +2h
    hold    acme  1  as=h  -> denied GRACE_ENDED
    policy  acme  overdraft=100 bears=3h
    hold    acme  1  as=h  -> overdraft 1
    """


@ledger_case
def test_a_write_off_ends_it(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=1h
    usage   acme  10
    close   acme  write-off
    clock   +2h
    reopen  acme
    hold    acme  1  as=h  -> overdraft 1
    """


@ledger_case
def test_since_when_it_is_below_zero_is_packed(case: LedgerCase) -> None:
    """
    account acme  overdraft=100 bears=2h
    usage   acme  10
    clock   +1h
    """
    state = case.core.state
    assert case.account("acme").debt[CREDITS].since == state.recorded_at - HOUR_US
    body = pack_family(state, 1, state.settled_before)
    drop_family(state, 1)
    assert unpack_family(state, body) == 1
    assert case.account("acme").debt[CREDITS].since == state.recorded_at - HOUR_US
    assert pack_family(state, 1, state.settled_before) == body


ACME = 1
percents = st.sampled_from([0, 3_333, 5_000, 10_000, 25_000])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pay"), st.integers(1, 40)),
            st.tuples(st.just("void"), st.integers(0, 9)),
            st.tuples(st.just("hold"), st.integers(1, 40)),
            st.tuples(st.just("usage"), st.integers(1, 40)),
            st.tuples(st.just("policy"), percents),
            st.tuples(st.just("clock"), st.sampled_from([HOUR_US, DAY_US])),
        ),
        max_size=25,
    )
)
def test_no_authorisation_exceeds_what_its_policy_version_gave(
    taken: list[tuple[str, int]],
) -> None:
    """Rules D4 and H6, from the journal alone: payments, policies and what holds owe in advance."""
    core = Core()
    requests = 0

    def ask(command: type, *fields: object) -> None:
        nonlocal requests
        requests += 1
        core.run(command(FAMILY.request(str(requests)), *fields))

    def policy(basis_points: int) -> e.AccountPolicy:
        return e.AccountPolicy(
            "usd",
            USD,
            50,
            overdraft_kind=e.OverdraftKind.PERCENT_OF_LIFETIME,
            overdraft_basis_points=basis_points,
            overdraft_grace=2 * HOUR_US,
        )

    ask(c.CreateAccount, TENANT, ACME, 0, ACME, policy(5_000))
    shape = core.shape("chat", "tokens")
    versions, before = {1: 5_000}, 0
    for verb, number in taken:
        account = core.state.accounts[ACME]
        if verb == "pay":
            ask(c.IssueGrant, ACME, e.GrantKind.PREPAID, USD, number, number, USD, 0, 0, 0, (), b"")
        elif verb == "void":
            ask(c.VoidGrant, ACME, number + 1)
        elif verb == "hold":
            ask(c.AuthorizeHold, ACME, shape, (number,), 0)
        elif verb == "usage":
            ask(c.RecordUsage, ACME, shape, (number,), 0, c.NO_NAMES)
        elif verb == "policy":
            ask(c.UpdatePolicy, ACME, policy(number))
            versions[account.version] = number
        else:
            core.advance(number)
            core.sweep(10_000)
        batch = core.batches[-1][1]
        event = batch[-1] if batch and len(batch) != before else None
        before = len(batch)
        if isinstance(event, e.HoldAuthorized):
            assert event.policy_version == account.version
            cash = core.state.house_book(TENANT, e.BookKind.CASH, USD, "manual")
            paid = cash.debits_posted - cash.credits_posted if cash is not None else 0
            advance = account.advance.get(USD)
            owed = advance.owed + advance.debits_pending if advance is not None else 0
            if any(piece.pot == e.Pot.OVERDRAFT for piece in event.slices):
                assert owed <= min(50, paid * versions[event.policy_version] // 10_000)
            debt = account.debt.get(USD)
            assert debt is None or not debt.owed or core.now < debt.since + 2 * HOUR_US
    assert digest(replay(core.journal())) == digest(core.state)
    assert judged(core) == []
