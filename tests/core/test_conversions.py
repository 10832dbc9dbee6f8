"""What grants of a charge's own asset leave is paid in the settlement currency (rules R5, N6)."""

from __future__ import annotations

from core_world import CREDITS, USD
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged

from ledger.core import events as e


@ledger_case
def test_the_rest_is_converted_once_and_drawn_from_grants_of_the_settlement_currency(
    case: LedgerCase,
) -> None:
    """
    # 10 credits pay first; the other 5 are worth 5 x 3/2 = 7.5, half to even: 8.
    account  acme  settles=usd
    rate     credits usd 3/2
    grant    acme 10
    grant    acme 100 asset=usd paid=50 as=money
    usage    acme 15  -> drawn 10 from acme, converted 5; 5 worth 8: drawn 8 from money
    expect   used chat 15
    expect   left money 92
    expect   revenue chat 4   # floor(50 x 8 / 100)
    """


@ledger_case
def test_half_goes_to_even_once_for_the_whole_rest(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overage=self
    rate     credits usd 1/2
    usage    acme 1  -> converted 1; 1 worth 0: nothing
    usage    acme 3  -> converted 3; 3 worth 2: overage 2 on acme
    usage    acme 5  -> converted 5; 5 worth 2: overage 2 on acme
    expect   used chat 9
    expect   unbilled acme 4
    expect   revenue chat 4
    """


@ledger_case
def test_overage_in_credits_has_its_price_in_money(case: LedgerCase) -> None:
    """
    # Rule B4: overage is unbilled and revenue at its price in money; it is billed and paid then.
    account  acme  settles=usd overage=self
    rate     credits usd 2/1
    usage    acme 50  -> converted 50; 50 worth 100: overage 100 on acme
    expect   unbilled acme 100
    expect   revenue chat 100
    bill     acme     -> 100 overage, 100 unbilled
    expect   receivable acme 100
    pay      acme 100 -> done
    expect   receivable acme 0
    """


@ledger_case
def test_the_overdraft_stands_last_among_the_grants_of_its_asset(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overdraft=4 overage=self
    rate     credits usd 1/1
    grant    acme 3
    usage    acme 9  -> drawn 3 from acme, overdraft 4, converted 2; 2 worth 2: overage 2 on acme
    account  beta  settles=usd overdraft=4 in=usd overage=self
    grant    beta 3
    usage    beta 9  -> drawn 3 from beta, converted 6; 6 worth 6: overdraft 4, overage 2 on beta
    """


@ledger_case
def test_what_no_pot_pays_lands_by_the_excess_in_the_settlement_currency(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overage=self cap=3
    rate     credits usd 1/1
    usage    acme 5
             -> converted 5; 5 worth 5: overage 3 on acme, owed 2; 2 over the limit
    account  beta  settles=usd excess=absorb
    usage    beta 5  -> converted 5; 5 worth 5: absorbed 5; 5 over the limit
    account  gamma settles=usd excess=bill
    usage    gamma 5 -> converted 5; 5 worth 5: billed 5 on gamma; 5 over the limit
    """


@ledger_case
def test_the_rate_is_pinned_at_the_effective_time(case: LedgerCase) -> None:
    """
    # A later rate counts from its time on; usage that is late is converted by that of its own time.
    account  acme  settles=usd overage=self
    rate     credits usd 1/1
    clock    +2h
    rate     credits usd 3/1
    usage    acme 1            -> converted 1; 1 worth 3: overage 3 on acme
    usage    acme 1 at=-1h     -> converted 1; 1 worth 1: overage 1 on acme
    rate     credits usd 9/1 from=+1h
    usage    acme 1            -> converted 1; 1 worth 3: overage 3 on acme
    """


@ledger_case
def test_without_a_rate_or_a_settlement_currency_nothing_is_converted(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overage=self
    usage    acme 5  -> overage 5 on acme
    account  beta  overage=self
    rate     credits usd 1/1
    usage    beta 5  -> overage 5 on beta
    account  gamma card=usd settles=usd overage=self
    usage    gamma 5 -> overage 5 on gamma    # it is priced in it
    """


@ledger_case
def test_a_child_settles_as_its_nearest_ancestor_does(case: LedgerCase) -> None:
    """
    account  acme  settles=usd
    account  team  parent=acme overage=parent
    rate     credits usd 1/1
    grant    acme 4 asset=usd paid=4 shared as=money
    usage    team 6  -> converted 6; 6 worth 6: drawn 4 from money, overage 2 on acme
    """


@ledger_case
def test_the_settlement_currency_is_fixed_while_anything_is_open(case: LedgerCase) -> None:
    """
    # Rule N6, for the account and those below it that settle as it does.
    account  acme  settles=usd overage=self
    account  team  parent=acme overage=self
    rate     credits usd 1/1
    usage    team 5
    policy   acme  overage=self  -> refused SETTLEMENT_ASSET_OPEN policy.settlement_asset
    bill     team
    policy   acme  overage=self  -> refused SETTLEMENT_ASSET_OPEN policy.settlement_asset
    pay      team 5
    policy   acme  overage=self
    account  beta  settles=credits -> refused ASSET_KIND_INVALID policy.settlement_asset
    """


@ledger_case
def test_a_reversal_gives_back_in_both_assets_last_slice_first(case: LedgerCase) -> None:
    """
    # 5 of 9 were converted at 3/1, to 10 of a grant and 5 of overage.
    account  acme  settles=usd overage=self
    rate     credits usd 3/1
    grant    acme 4
    grant    acme 10 asset=usd paid=10 as=money
    usage    acme 9 id=u
             -> drawn 4 from acme, converted 5; 5 worth 15: drawn 10 from money, overage 5 on acme
    reverse  u 2   -> 2 to conversion; 2 back: 5 to overage worth 5, 1 to money worth 1
    reverse  u 2   -> 2 to conversion; 2 back: 6 to money worth 6
    reverse  u 5   -> 1 to conversion, 4 to acme; 1 back: 3 to money worth 3
    expect   spent chat 0
    expect   left money 10
    expect   left acme 4
    expect   revenue chat 0
    expect   unbilled acme 0
    """


@ledger_case
def test_an_amendment_converts_anew(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overage=self
    rate     credits usd 2/1
    usage    acme 10 id=u  -> converted 10; 10 worth 20: overage 20 on acme
    amend    u 3 as=v
    expect   unbilled acme 6
    expect   spent chat 3
    """


@ledger_case
def test_a_capture_above_its_hold_converts_what_is_left(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overage=self
    rate     credits usd 2/1
    grant    acme 10
    hold     acme 10 as=h     -> held 10 from acme
    capture  h 13             -> drawn 10 from acme, converted 3; 3 worth 6: overage 6 on acme
    """


@ledger_case
def test_a_grant_repays_what_was_owed_in_the_settlement_currency(case: LedgerCase) -> None:
    """
    account  acme  settles=usd overdraft=100 in=usd
    rate     credits usd 2/1
    usage    acme 10 id=u     -> converted 10; 10 worth 20: overdraft 20
    grant    acme 30 asset=usd paid=30 as=money -> issued, repaid 20
    expect   revenue chat 20
    reverse  u                -> 10 to conversion; 10 back: 20 to money worth 20
    expect   revenue chat 0
    expect   left money 30
    """


def test_what_verify_says_of_a_wrong_conversion() -> None:
    """No entry may convert otherwise than at its rate, to the unit, right behind its usage."""
    case = LedgerCase()
    case.run(
        """
        account  acme  settles=usd overage=self
        rate     credits usd 3/2
        usage    acme 5
        """
    )
    assert judged(case.core) == []
    found = [x for _, batch in case.core.batches for x in batch if isinstance(x, e.UsageConverted)]
    assert [(x.source, x.target, x.units, x.amount) for x in found] == [(CREDITS, USD, 5, 8)]


@given(
    st.lists(st.integers(1, 40), max_size=3),
    st.lists(st.integers(1, 40), max_size=3),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["overage=self", "overdraft=25 in=usd", "overdraft=9", "excess=absorb"]),
    st.data(),
)
def test_whatever_is_reversed_each_asset_balances_and_nothing_is_left(
    credits: list[int],
    money: list[int],
    uses: list[int],
    ratio: tuple[int, int],
    policy: str,
    data: st.DataObject,
) -> None:
    """Rules B7, D3, R5: debits = credits in both assets after every entry; parts of usage that are
    given back in any order come to nothing, and `verify` has no finding."""
    case = LedgerCase()
    case.run(f"account acme settles=usd {policy}\nrate credits usd {ratio[0]}/{ratio[1]}")
    for number, amount in enumerate(credits):
        case.run(f"grant acme {amount} as=c{number}")
    for number, amount in enumerate(money):
        case.run(f"grant acme {amount} asset=usd paid={amount} as=m{number}")
    for number, amount in enumerate(uses):
        case.run(f"usage acme {amount} id=u{number}")
    converted = [
        each
        for _, batch in case.core.batches
        for each in batch
        if isinstance(each, e.UsageConverted)
    ]
    for each in converted:
        assert sum([piece.amount for piece in each.slices]) == each.amount
    left = {f"u{number}": amount for number, amount in enumerate(uses)}
    while left:
        name = data.draw(st.sampled_from(sorted(left)))
        part = data.draw(st.integers(1, left[name]))
        case.run(f"reverse {name} {part}")
        left[name] -= part
        if not left[name]:
            del left[name]
    case.finish()
    assert judged(case.core) == []
    books = case.core.state.books.accounts.values()
    for book in books:
        if book.kind in (e.BookKind.CONVERSION, e.BookKind.USED, e.BookKind.REVENUE):
            assert book.credits_posted == book.debits_posted, book.kind
    for number, amount in enumerate(credits):
        assert case.grant(f"c{number}").book.available == amount
    for number, amount in enumerate(money):
        assert case.grant(f"m{number}").book.available == amount


@ledger_case
def test_what_waited_for_a_price_is_converted_when_it_is_rated(case: LedgerCase) -> None:
    """
    # At the rate of its effective time; a part that goes back does so in both assets.
    account  acme  settles=usd overage=self
    rate     credits usd 3/1
    grant    acme 4
    grant    acme 20 asset=usd paid=7 as=money
    usage    acme 10 of=priceless id=u
    clock    +1h
    rate     credits usd 9/1
    override acme priceless:1@-2d..
    sweep    -> rated, drawn 4 from acme, converted 6; 6 worth 18: drawn 18 from money
    expect   left money 2
    reverse  u 3
    expect   left money 11
    reverse  u
    expect   left money 20
    expect   left acme 4
    expect   spent priceless 0
    expect   revenue priceless 0
    """


@ledger_case
def test_entries_of_one_usage_round_the_money_of_one_grant_together(case: LedgerCase) -> None:
    """
    # Rules B4, D3: both parts were drawn from `money`, which has recognised floor(50 x 2 / 90) = 1.
    account  acme  settles=usd
    rate     credits usd 1/1
    grant    acme 90 asset=usd paid=50 as=money
    override acme priceless/input:1
    usage    acme of=priceless id=u input=1 cached=0 output=1
             -> converted 1, suspense; 1 worth 1: drawn 1 from money
    override acme priceless/input:1 priceless/output:1@-2d..
    sweep    -> rated, converted 1; 1 worth 1: drawn 1 from money
    expect   recognised money 1
    reverse  u
    expect   recognised money 0
    expect   left money 90
    """
