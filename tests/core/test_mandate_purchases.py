"""What agents buy: requested within every mandate of the line, paid for by the payment side (rules
F1, H4). A credit costs 1/10 of a minor unit of money, where nothing else is said."""

from __future__ import annotations

from collections import Counter

from core_world import CREDITS
from hypothesis import given
from hypothesis import strategies as st
from mandate_case import MandateCase, mandate_case

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import MANDATE_PURCHASES_MAX
from ledger.core.outcomes import Refusal


@mandate_case
def test_what_an_agent_requests_is_there_once_it_is_paid(case: MandateCase) -> None:
    """
    account acme
    mandate bot 1000 parent=acme buys=50@1/10 source=card
    buys    bot 1                -> denied INSUFFICIENT_CREDITS
    asks    bot 300 as=G         -> 300 for 30 from acme
    expect  bought bot 30
    expect  waits bot 1
    expect  pending G 300
    buys    bot 1                -> denied INSUFFICIENT_CREDITS
    confirm G
    expect  waits bot 0
    expect  bought bot 30
    expect  cash card 30
    buys    bot 300              -> drawn 300 from G
    asks    bot 206              -> refused MANDATE_PURCHASE_EXCEEDED amount
    asks    bot 200              -> 200 for 20 from acme
    asks    bot 1                -> refused MANDATE_PURCHASE_EXCEEDED amount
    """


@mandate_case
def test_what_is_never_paid_is_given_back(case: MandateCase) -> None:
    """
    # 100 for 10, of which 4 came before the rest failed; 200 for 20 that failed; 300 that expired.
    account acme
    mandate bot 1000 parent=acme buys=30@1/10
    asks    bot 100 as=G
    confirm G 4                  -> G released 40
    fail    G                    -> G cancelled 60
    expect  bought bot 4
    asks    bot 200 as=F
    fail    F                    -> F cancelled 200
    expect  bought bot 4
    asks    bot 260 as=E
    asks    bot 10               -> refused MANDATE_PURCHASE_EXCEEDED amount
    clock   +7d
    sweep
    expect  waits bot 0
    expect  bought bot 4
    asks    bot 100 as=V
    void    V
    expect  bought bot 4
    expect  waits bot 0
    """


@mandate_case
def test_what_was_paid_stays_counted(case: MandateCase) -> None:
    """
    # Else an agent would buy without end, as the payer gives back what it does not need.
    account acme
    mandate bot 1000 parent=acme buys=30@1/10
    asks    bot 300 as=G
    confirm G
    refund  G                    -> 300 units back, refunded 30
    expect  bought bot 30
    asks    bot 1                -> refused MANDATE_PURCHASE_EXCEEDED amount
    """


@mandate_case
def test_it_counts_in_every_mandate_above(case: MandateCase) -> None:
    """
    account acme
    account team parent=acme
    mandate bot 1000 parent=team buys=30@1/10
    mandate one 500 parent=bot buys=20@1/10
    mandate two 500 parent=bot buys=20@2/20
    asks    one 150 as=A         -> 150 for 15 from team
    asks    two 160              -> refused MANDATE_PURCHASE_EXCEEDED amount
    asks    two 150 as=B         -> 150 for 15 from team
    asks    bot 1                -> refused MANDATE_PURCHASE_EXCEEDED amount
    expect  bought bot 30
    expect  bought one 15
    fail    A
    expect  bought bot 15
    expect  bought one 0
    expect  waits bot 1
    asks    bot 150              -> 150 for 15 from team
    """


@mandate_case
def test_what_one_agent_bought_is_for_it_and_those_below(case: MandateCase) -> None:
    """
    account acme
    account sibling parent=acme
    mandate bot 1000 parent=acme buys=30@1/10
    mandate one 500 parent=bot buys=20@1/10
    mandate two 500 parent=bot
    asks    one 100 as=A
    confirm A
    buys    two 1                -> denied INSUFFICIENT_CREDITS
    buys    bot 1                -> denied INSUFFICIENT_CREDITS
    buys    sibling 1            -> denied INSUFFICIENT_CREDITS
    buys    one 10               -> drawn 10 from A
    buys    acme 10              -> drawn 10 from A
    """


@mandate_case
def test_an_agent_that_pays_by_itself_buys_for_those_below_too(case: MandateCase) -> None:
    """
    # It stands at the root of its family, so that nobody above it could pay.
    account bot
    account sub parent=bot
    mandate bot 1000 buys=50@1/10
    asks    bot 100 as=G         -> 100 for 10 from bot
    confirm G
    buys    sub 60               -> drawn 60 from G
    buys    bot 40               -> drawn 40 from G
    """


@mandate_case
def test_whom_nothing_is_sold(case: MandateCase) -> None:
    """
    account acme
    mandate bot 100 parent=acme buys=30@1/10 until=+1h
    mandate dry 100 parent=bot until=+1h
    mandate sub 100 parent=bot buys=30@1/10 until=+1h
    account plain parent=bot
    asks    dry 10               -> refused MANDATE_BUYS_NOTHING account
    asks    plain 10             -> refused MANDATE_UNKNOWN account
    asks    acme 10              -> refused MANDATE_UNKNOWN account
    asks    nobody 10            -> refused ACCOUNT_UNKNOWN account
    asks    bot 10 of=none       -> refused ASSET_UNKNOWN asset
    asks    bot 10 of=usd        -> refused MANDATE_ASSET asset
    asks    bot 0                -> refused AMOUNT_INVALID amount
    asks    bot 9223372036854775807  -> refused MANDATE_PURCHASE_EXCEEDED amount
    freeze  acme
    asks    bot 10               -> refused ACCOUNT_FROZEN account
    unfreeze acme
    revoke  sub
    asks    sub 10               -> refused MANDATE_REVOKED account
    clock   +1h
    asks    bot 10               -> refused MANDATE_EXPIRED account
    close   sub
    asks    sub 10               -> refused ACCOUNT_CLOSED account
    """


@mandate_case
def test_what_waits_survives_the_mandate(case: MandateCase) -> None:
    """
    # The charge may be made already: who pays confirms it or lets it fail.
    account acme
    mandate bot 100 parent=acme buys=30@1/10
    asks    bot 100 as=A
    asks    bot 100 as=B
    revoke  bot
    confirm A
    fail    B
    expect  bought bot 10
    buys    bot 1                -> MANDATE_REVOKED of bot, 0 left
    buys    acme 1               -> drawn 1 from A
    """


@mandate_case
def test_no_mandate_buys_more_than_the_one_above(case: MandateCase) -> None:
    """
    account acme
    mandate dry 100 parent=acme
    mandate bot 100 parent=acme buys=30@1/10 source=card
    mandate d 100 parent=dry buys=1@1/10   -> refused MANDATE_EXCEEDS_PARENT terms.purchase.limit
    mandate a 100 parent=bot buys=31@1/10 source=card
            -> refused MANDATE_EXCEEDS_PARENT terms.purchase.limit
    mandate a 100 parent=bot buys=30@1/11 source=card
            -> refused MANDATE_EXCEEDS_PARENT terms.purchase.price_numerator
    mandate a 100 parent=bot buys=30@1/10
            -> refused MANDATE_EXCEEDS_PARENT terms.purchase.source
    mandate a 100 parent=bot buys=0@1/10 source=card
            -> refused MANDATE_INVALID terms.purchase.limit
    mandate a 100 parent=bot buys=1@0/0 source=card
            -> refused MANDATE_INVALID terms.purchase.price_numerator
    mandate b 100 parent=acme buys=-1@1/10 -> refused MANDATE_INVALID terms.purchase.limit
    mandate b 100 buys=1@0/10    -> refused MANDATE_INVALID terms.purchase.price_numerator
    mandate b 100 buys=1@1/0     -> refused MANDATE_INVALID terms.purchase.price_denominator
    mandate b 100 buys=1@1/10 money=credits
            -> refused ASSET_KIND_INVALID terms.purchase.price_asset
    mandate b 100 buys=1@1/10 money=none  -> refused ASSET_UNKNOWN terms.purchase.price_asset
    mandate a 100 parent=bot buys=30@10/100 source=card  -> mandate
    """


@mandate_case
def test_a_price_is_never_nothing_and_rounds_half_even(case: MandateCase) -> None:
    """
    account acme
    mandate bot 100 parent=acme buys=30@1/10
    asks    bot 1                -> 1 for 1 from acme
    asks    bot 25               -> 25 for 2 from acme
    asks    bot 35               -> 35 for 4 from acme
    expect  bought bot 7
    """


@mandate_case
def test_a_retry_is_answered_as_the_first(case: MandateCase) -> None:
    """
    account acme
    mandate bot 100 parent=acme buys=30@1/10 id=M
    mandate bot 100 buys=30@1/10 id=M  -> replayed: mandate
    mandate bot 100 buys=31@1/10 id=M  -> refused CONFLICT purchase
    mandate bot 100 id=M               -> refused CONFLICT purchase
    asks    bot 10 id=R as=A           -> 10 for 1 from acme
    asks    bot 10 id=R as=A           -> replayed: 10 for 1 from acme
    asks    bot 11 id=R as=A           -> refused CONFLICT amount
    expect  bought bot 1
    """


@mandate_case
def test_below_mandates_of_another_price_nothing_is_bought(case: MandateCase) -> None:
    """
    # What it counts there would be another money, or money for other units.
    account acme
    mandate dear 100 parent=acme buys=30@2/10
    mandate bot 100 parent=acme buys=30@1/10
    asks    bot 100 as=A
    move    bot dear
    asks    bot 10               -> refused MANDATE_BUYS_NOTHING account
    expect  bought dear 0
    fail    A
    expect  bought bot 0
    expect  bought dear 0
    """


@mandate_case
def test_what_was_asked_before_a_move_counts_where_it_was_asked(case: MandateCase) -> None:
    """
    account acme
    mandate old 100 parent=acme buys=30@1/10
    mandate new 100 parent=acme buys=30@1/10
    mandate bot 100 parent=old buys=30@1/10
    asks    bot 100 as=A
    move    bot new
    expect  bought old 10
    expect  bought new 0
    fail    A
    expect  bought old 0
    expect  bought new 0
    asks    bot 200 as=B         -> 200 for 20 from acme
    expect  bought new 20
    """


@mandate_case
def test_what_waits_as_accounts_close(case: MandateCase) -> None:
    """
    # What waits is settled after the agent's account is closed, and before its payer's may be.
    account acme
    mandate bot 100 parent=acme buys=30@1/10
    asks    bot 100 as=A
    asks    bot 100 as=B
    close   bot
    confirm A
    expect  bought bot 20
    close   acme write-off       -> refused ACCOUNT_NOT_EMPTY account
    fail    B
    close   acme write-off       -> forfeited 100 of A, breakage 10 of A
    expect  bought bot 10
    expect  waits bot 0
    reopen  acme
    reopen  bot
    asks    bot 200              -> 200 for 20 from acme
    """


@mandate_case
def test_a_chargeback_gives_back_what_was_never_paid_alone(case: MandateCase) -> None:
    """
    account acme
    mandate bot 100 parent=acme buys=30@1/10
    asks    bot 300 as=A
    confirm A 10
    chargeback A
    expect  bought bot 10
    expect  waits bot 0
    """


@mandate_case
def test_quotes_and_ranges_are_within_the_mandate_too(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme most=50
    quote   bot 60 as=Q hold=H   -> refused MANDATE_PRICE quantities
    quote   bot 40 as=R
    hold    bot 40 as=G quote=R
    quote   bot 50 as=S hold=I
    hold    bot 11 as=J          -> MANDATE_EXCEEDED of bot, 10 left
    revoke  bot
    quote   bot 1 as=T hold=K    -> refused MANDATE_REVOKED quantities
    release G
    """


def test_so_many_wait_at_a_time() -> None:
    """Else whoever holds a token would fill its payer's books with grants of a unit each."""
    case = MandateCase()
    case.run("account acme\nmandate bot 100 parent=acme buys=900@1/10")
    case.run("mandate sub 100 parent=bot buys=900@1/10")
    for number in range(MANDATE_PURCHASES_MAX):
        case.run(f"asks sub 1 as=P{number} -> 1 for 1 from acme")
    case.run("asks bot 1 -> refused MANDATE_PURCHASES_LIMIT account")
    case.run("confirm P3\nasks bot 1 -> 1 for 1 from acme")
    case.finish()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "confirm", "part", "fail", "void")),
        st.integers(0, 5),
        st.integers(1, 120),
    ),
    max_size=25,
)
NODES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=6)


@given(nodes=NODES, steps=STEPS)
def test_no_node_ever_bought_more_than_its_limit(
    nodes: list[tuple[int, int]], steps: list[tuple[str, int, int]]
) -> None:
    """Whatever the tree and the order: as a plain model of it that adds up by hand."""
    case = MandateCase()
    case.run("account acme")
    above: dict[str, str] = {}
    limit: dict[str, int] = {}
    for number, (parent, most) in enumerate(nodes):
        over = f"n{parent}" if parent < number else "acme"
        most = min(most, limit.get(over, most))
        name = f"n{number}"
        case.run(f"mandate {name} 100 parent={over}" + (f" buys={most}@1/10" if most else ""))
        above[name], limit[name] = over, most
    counted: Counter[str] = Counter()
    open_: dict[str, tuple[list[str], int]] = {}
    for count, (kind, which, units) in enumerate(steps):
        if kind == "ask":
            line = [f"n{which % len(nodes)}"]
            while above[line[-1]] != "acme":
                line.append(above[line[-1]])
            price = max(1, round(units / 10))
            allowed = all(counted[each] + price <= limit[each] for each in line)
            told = case._asks({"as": f"P{count}"}, line[0], str(units))
            assert told.startswith("refused") != allowed, told
            if allowed:
                counted.update(dict.fromkeys(line, price))
                open_[f"P{count}"] = (line, price)
            continue
        if not open_:
            continue
        name = sorted(open_)[which % len(open_)]
        line, unpaid = open_.pop(name)
        if kind == "part" and unpaid > 1:
            case.run(f"confirm {name} 1")
            open_[name] = (line, unpaid - 1)
        elif kind in ("confirm", "part"):
            case.run(f"confirm {name}")
        else:
            case.run(f"{kind} {name}")
            counted.subtract(dict.fromkeys(line, unpaid))
    for name in limit:
        mandate = case.account(name).mandate
        assert mandate is not None
        assert mandate.purchased == counted[name] <= limit[name]
        assert mandate.pending == sum(name in line for line, _ in open_.values())
    case.finish()


def test_units_beyond_64_bits_are_refused() -> None:
    case = MandateCase()
    case.run("account acme\nmandate bot 1 parent=acme buys=9223372036854775807@1/10")
    command = c.RequestTopUp(b"k" * 16, case.accounts["bot"], CREDITS, 1 << 63)
    refused, _ = case.execute(command)
    assert isinstance(refused, Refusal) and refused.reason == "AMOUNT_INVALID"
    made, _ = case.execute(c.RequestTopUp(b"l" * 16, case.accounts["bot"], CREDITS, (1 << 63) - 1))
    assert isinstance(made, e.PurchaseRequested)
    assert made.price_paid == ((1 << 63) - 1) // 10 + 1
