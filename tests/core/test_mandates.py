"""Mandates: what an agent may spend, and its sub-agents below it (rules H4, D8)."""

from __future__ import annotations

import pytest
from core_world import CREDITS, WITH_OTHER_LIMITS
from hypothesis import given
from hypothesis import strategies as st
from mandate_case import MandateCase, mandate_case

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import MANDATES_BELOW_MAX
from ledger.core.mandates import mandating
from ledger.core.outcomes import Refusal


@mandate_case
def test_an_agent_spends_within_its_budget(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme  -> mandate
    hold    bot 60 as=H1
    buys    bot 40               -> drawn 40 from acme
    expect  spent bot/mandate 40
    expect  pends bot/mandate 60
    buys    bot 1                -> MANDATE_EXCEEDED of bot, 0 left
    release H1
    buys    bot 61               -> MANDATE_EXCEEDED of bot, 60 left
    buys    bot 60               -> drawn 60 from acme
    """


@mandate_case
def test_what_a_sub_agent_spends_counts_in_every_mandate_above(case: MandateCase) -> None:
    """
    # 100 for the agent; its two sub-agents may have 80 each, and 100 together.
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme
    mandate one 80 parent=bot
    mandate two 80 parent=bot
    buys    one 70               -> drawn 70 from acme
    expect  spent one/mandate 70
    expect  spent bot/mandate 70
    expect  spent two/mandate 0
    hold    two 30 as=H
    buys    two 1                -> MANDATE_EXCEEDED of bot, 0 left
    buys    one 11               -> MANDATE_EXCEEDED of one, 10 left
    """


@mandate_case
def test_what_is_used_beyond_a_hold_counts_and_is_never_refused(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme
    hold    bot 90 as=H
    capture H 130
    expect  spent bot/mandate 130
    usage   bot 5                -> drawn 5 from acme
    expect  spent bot/mandate 135
    buys    bot 1                -> MANDATE_EXCEEDED of bot, 0 left
    """


@mandate_case
def test_products_attributes_and_price_of_each_request(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme for=chat with=region:eu most=10
    buys    bot 5 with=region:eu           -> drawn 5 from acme
    buys    bot 5 with=region:us           -> MANDATE_ATTRIBUTES of bot, 0 left
    buys    bot 5                          -> MANDATE_ATTRIBUTES of bot, 0 left
    buys    bot 11 with=region:eu          -> MANDATE_PRICE of bot, 10 left
    buys    bot 10 with=region:eu,user:ann -> drawn 10 from acme
    buys    bot 5 of=embed with=region:eu  -> MANDATE_PRODUCT of bot, 0 left
    expect  spent bot/mandate 15
    """


@mandate_case
def test_the_nearest_mandate_that_refuses_is_named(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme for=chat
    mandate sub 50 parent=bot for=chat most=5
    account deep parent=sub
    buys    deep 6               -> MANDATE_PRICE of sub, 5 left
    buys    deep 5               -> drawn 5 from acme
    buys    deep 5 of=embed      -> MANDATE_PRODUCT of sub, 0 left
    """


@mandate_case
def test_revoked_at_the_next_decision_with_all_below_it(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme
    mandate sub 50 parent=bot
    hold    sub 20 as=H
    revoke  bot                  -> revoked
    buys    bot 1                -> MANDATE_REVOKED of bot, 0 left
    buys    sub 1                -> MANDATE_REVOKED of bot, 0 left
    capture H 20
    expect  spent sub/mandate 20
    mandate new 10 parent=sub    -> refused MANDATE_REVOKED account
    revoke  bot                  -> refused MANDATE_REVOKED account
    revoke  acme                 -> refused MANDATE_UNKNOWN account
    """


@mandate_case
def test_one_that_expires(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme until=+1h
    buys    bot 1                -> drawn 1 from acme
    clock   +1h
    buys    bot 1                -> MANDATE_EXPIRED of bot, 0 left
    mandate sub 1 parent=bot until=+1m  -> refused MANDATE_EXPIRED account
    revoke  bot                  -> revoked
    buys    bot 1                -> MANDATE_REVOKED of bot, 0 left
    """


@mandate_case
def test_no_mandate_is_more_than_the_one_above(case: MandateCase) -> None:
    """
    account acme
    grant   acme 1000 shared
    mandate bot 100 parent=acme for=chat,embed with=region:eu most=10 until=+1h
    mandate a 101 parent=bot for=chat with=region:eu most=10 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.budget
    mandate a 100 parent=bot with=region:eu most=10 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.products
    mandate a 100 parent=bot for=chat,draw with=region:eu most=10 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.products
    mandate a 100 parent=bot for=chat with=user:ann most=10 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.attributes
    mandate a 100 parent=bot for=chat with=region:eu until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.price_max
    mandate a 100 parent=bot for=chat with=region:eu most=11 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.price_max
    mandate a 100 parent=bot for=chat with=region:eu most=10
            -> refused MANDATE_EXCEEDS_PARENT terms.expires_at
    mandate a 100 parent=bot for=chat with=region:eu most=10 until=+2h
            -> refused MANDATE_EXCEEDS_PARENT terms.expires_at
    mandate a 100 parent=bot in=usd for=chat with=region:eu most=10 until=+1h
            -> refused MANDATE_EXCEEDS_PARENT terms.asset
    mandate a 100 parent=bot for=chat with=region:eu,user:ann most=10 until=+1h  -> mandate
    """


@mandate_case
def test_below_one_that_was_moved_no_mandate_above_is_exceeded(case: MandateCase) -> None:
    """
    # `big` allows more than `small`, below which it stands by now.
    account acme
    mandate small 10 parent=acme
    mandate big 100 parent=acme
    move    big small
    mandate sub 50 parent=big    -> refused MANDATE_EXCEEDS_PARENT terms.budget
    mandate sub 10               -> mandate
    """


@mandate_case
def test_terms_that_are_none(case: MandateCase) -> None:
    """
    account acme
    account bot parent=acme
    mandate bot 0                -> refused MANDATE_INVALID terms.budget
    mandate bot 1 most=-1        -> refused MANDATE_INVALID terms.price_max
    mandate bot 1 until=-1h      -> refused MANDATE_INVALID terms.expires_at
    mandate bot 1 with=a:b,a:c   -> refused MANDATE_INVALID terms.attributes
    mandate nobody 1             -> refused ACCOUNT_UNKNOWN account
    mandate bot 1                -> mandate
    mandate bot 1                -> refused MANDATE_EXISTS account
    """


@mandate_case
def test_the_budget_of_a_mandate_is_for_nobody_to_change(case: MandateCase) -> None:
    """
    account acme
    mandate bot 10 parent=acme
    budget  bot/mandate 500      -> refused BUDGET_FIXED budget.name
    unbudget bot/mandate         -> refused BUDGET_FIXED budget.name
    budget  acme/mandate 500     -> budget 1
    mandate acme 5               -> refused MANDATE_EXISTS account
    """


@mandate_case
def test_a_retry_is_answered_as_the_first(case: MandateCase) -> None:
    """
    account acme
    account bot parent=acme
    mandate bot 10 id=M          -> mandate
    mandate bot 10 id=M          -> replayed: mandate
    mandate bot 11 id=M          -> refused CONFLICT terms
    """


def test_a_mandate_has_so_many_right_below_it() -> None:
    """Whoever has a token says how many sub-agents there are: so they are bounded."""
    case = MandateCase()
    case.run("account acme\nmandate bot 10 parent=acme")
    terms = e.MandateTerms(CREDITS, 1)
    for number in range(MANDATES_BELOW_MAX):
        case.run(f"account s{number} parent=bot")
        made, _ = case.execute(
            c.GrantMandate(b"m%015d" % number, case.accounts[f"s{number}"], terms)
        )
        assert isinstance(made, e.MandateGranted), made
    case.run("account last parent=bot\naccount far parent=s0")
    refused, _ = case.execute(c.GrantMandate(b"k" * 16, case.accounts["last"], terms))
    assert isinstance(refused, Refusal) and refused.reason == "MANDATES_LIMIT"
    far, _ = case.execute(c.GrantMandate(b"f" * 16, case.accounts["far"], terms))
    assert isinstance(far, e.MandateGranted)


@WITH_OTHER_LIMITS
def test_a_mandate_has_so_many_below_it_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """At any depth: else each of a thousand sub-agents would have a thousand of its own."""
    monkeypatch.setattr(mandating, "MANDATES_IN_ALL_MAX", 4)
    case = MandateCase()
    case.run("""
    account acme
    mandate bot 10 parent=acme
    mandate a 10 parent=bot
    mandate b 10 parent=bot
    mandate aa 10 parent=a
    mandate aaa 10 parent=aa
    mandate c 10 parent=bot      -> refused MANDATES_LIMIT account
    mandate bb 10 parent=b       -> refused MANDATES_LIMIT account
    mandate other 10 parent=acme -> mandate
    """)


NODES = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 60)), min_size=1, max_size=8)
SPENDS = st.lists(
    st.tuples(
        st.integers(0, 8), st.integers(1, 40), st.sampled_from(("hold", "buys", "revoke", "move"))
    ),
    max_size=30,
)


@given(nodes=NODES, spends=SPENDS)
def test_no_node_is_ever_above_its_budget(
    nodes: list[tuple[int, int]], spends: list[tuple[int, int, str]]
) -> None:
    """Whatever the tree and the order: as a plain model of it that adds up by hand."""
    case = MandateCase()
    case.run("account acme\ngrant acme 100000 shared")
    above: dict[str, str] = {}
    limit: dict[str, int] = {}
    for number, (parent, budget) in enumerate(nodes):
        over = f"n{parent}" if parent < number else "acme"
        budget = min(budget, limit.get(over, budget))
        name = f"n{number}"
        case.run(f"mandate {name} {budget} parent={over}")
        above[name], limit[name] = over, budget
    used = dict.fromkeys(limit, 0)
    revoked: set[str] = set()
    for count, (number, amount, kind) in enumerate(spends):
        name = f"n{number % len(nodes)}"
        line = [name]
        while above[line[-1]] != "acme":
            line.append(above[line[-1]])
        if kind == "move":
            to = f"n{amount % len(nodes)}" if amount % 3 else "acme"
            if "refused" not in case._move({}, name, to):
                above[name] = to  # what it used before counts where it stood then
            continue
        if kind == "revoke":
            if name not in revoked:
                case.run(f"revoke {name}")
            revoked.add(name)
            continue
        allowed = revoked.isdisjoint(line) and all(
            used[each] + amount <= limit[each] for each in line
        )
        told = (
            case._buys({}, name, str(amount))
            if kind == "buys"
            else case._hold({"as": f"H{count}"}, name, str(amount))
        )
        assert ("MANDATE_" not in told) == allowed, told
        for each in line if allowed else ():
            used[each] += amount
    for name, spent in used.items():
        budget = case.budget(f"{name}/mandate")
        posted, pending = budget.counter.within(budget.terms.window, case.core.now)
        assert posted + pending == spent <= limit[name]
    case.finish()


def test_an_agents_account_takes_no_lease() -> None:
    """Units in escrow are bound by no price of a request."""
    case = MandateCase()
    case.run("account acme\ngrant acme 100 shared\nmandate bot 50 parent=acme")
    shape = case.core.shape("chat", e.LEASED_QUANTITY)
    command = c.AcquireLease(
        b"l" * 16, case.accounts["bot"], shape, "edge", 10, 0, 0, e.LeaseLapse.RETURN
    )
    refused, _ = case.execute(command)
    assert isinstance(refused, Refusal) and refused.reason == "LEASE_UNBOUNDED"
