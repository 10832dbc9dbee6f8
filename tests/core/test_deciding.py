"""Work is allowed and charged in one step, or as much of it as is affordable; a denial says which
limit decided it (rules D4, H4, H1, I2)."""

from __future__ import annotations

import pytest
from budget_case import BudgetCase
from core_world import DAY_US, FAMILY, HOUR_US, START_US, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from model_world import ModelCase
from replaying import replayed
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.decisions.affording import Afforded
from ledger.core.decisions.assessing import Assessment, assess
from ledger.core.decisions.authorizing import assess_up_to
from ledger.core.digest import digest
from ledger.core.events import LimitKind
from ledger.core.outcomes import Known


def entries(case: LedgerCase, kind: type) -> list[e.Event]:
    return [event for _, events in case.core.batches for event in events if type(event) is kind]


def limits(case: LedgerCase) -> list[e.Limit]:
    """Those of every denial, in order."""
    found = []
    for event in entries(case, e.WorkDenied):
        assert isinstance(event, e.WorkDenied) and event.limit is not None
        found.append(event.limit)
    return found


@ledger_case
def test_a_debit_is_charged_whole_or_not_at_all(case: LedgerCase) -> None:
    """
    account acme overdraft=5
    grant   acme 20
    debit   acme 12 id=a      -> drawn 12 from acme
    debit   acme 14 id=b      -> denied INSUFFICIENT_CREDITS
    debit   acme 12 id=c      -> drawn 8 from acme, overdraft 4
    debit   acme 2  id=d      -> denied INSUFFICIENT_CREDITS
    debit   acme 1  id=e      -> overdraft 1
    debit   acme 12 id=a      -> replayed: drawn 12 from acme
    debit   acme 14 id=b      -> replayed: denied INSUFFICIENT_CREDITS
    """
    assert [type(event) for event in entries(case, e.LimitExceeded)] == []
    assert judged(case.core) == []


@ledger_case
def test_the_same_request_with_another_body_names_the_field(case: LedgerCase) -> None:
    """
    account acme
    account other parent=acme
    grant   acme 20
    debit   acme 12 id=a in=run    -> drawn 12 from acme
    debit   acme 99 id=b           -> denied INSUFFICIENT_CREDITS
    debit   acme 11 id=a in=run    -> refused CONFLICT quantities
    debit   acme 12 id=a           -> refused CONFLICT operation
    debit   acme 12 id=a of=image in=run  -> refused CONFLICT product
    debit   acme 12 id=a least=2 in=run   -> refused CONFLICT up_to.quantity
    debit   other 12 id=a in=run   -> refused CONFLICT account
    hold    acme 12 id=a as=h      -> refused CONFLICT request
    hold    acme 99 id=b as=h      -> refused CONFLICT request
    debit   acme 8  id=c least=2   -> drawn 8 from acme
    debit   acme 8  id=c least=3   -> refused CONFLICT up_to.minimum
    debit   acme 8  id=c           -> refused CONFLICT up_to.quantity
    hold    acme 9  id=d as=h      -> denied INSUFFICIENT_CREDITS
    debit   acme 9  id=d           -> refused CONFLICT request
    """


@ledger_case
def test_what_is_debited_is_corrected_like_any_usage(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 20
    debit   acme 12 id=a
    reverse a                 -> 12 to acme
    debit   acme 20 id=b      -> drawn 20 from acme
    """


@ledger_case
def test_a_debit_draws_debt_only_where_holds_may(case: LedgerCase) -> None:
    """
    account strict overdraft=50 holds_overdraft=no
    grant   strict 20
    debit   strict 21 id=a     -> denied INSUFFICIENT_CREDITS
    usage   strict 21 id=b     -> drawn 20 from strict, overdraft 1
    account billed overage=self cap=10 parent=strict
    debit   billed 11 id=c     -> denied INSUFFICIENT_CREDITS
    debit   billed 10 id=d     -> overage 10 on billed
    """
    assert judged(case.core) == []


@ledger_case
def test_as_much_as_is_affordable_is_held_or_charged(case: LedgerCase) -> None:
    """
    account acme overdraft=5
    grant   acme 20
    hold    acme 12 as=h1 least=3   -> held 12 from acme
    hold    acme 50 as=h2 least=3   -> held 8 from acme, overdraft 5
    hold    acme 50 as=h3 least=1   -> denied INSUFFICIENT_CREDITS
    release h2
    debit   acme 50 id=d least=13   -> drawn 8 from acme, overdraft 5
    debit   acme 50 id=d least=13   -> replayed: drawn 8 from acme, overdraft 5
    debit   acme 50 id=e least=14   -> denied INSUFFICIENT_CREDITS
    """
    cut = entries(case, e.HoldUpTo)[1]
    assert isinstance(cut, e.HoldUpTo)
    assert (cut.quantities, cut.up_to) == ((13,), e.UpTo("tokens", 3, 50))
    assert cut.limit is not None and cut.limit.kind == LimitKind.OVERDRAFT
    whole = entries(case, e.HoldUpTo)[0]
    assert isinstance(whole, e.HoldUpTo) and whole.limit is None
    assert judged(case.core) == []
    assert digest(replay(case.core.journal())) == digest(case.core.state)


@ledger_case
def test_a_range_from_zero_is_for_whatever_is_affordable(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 20
    hold    acme 12 as=h1 least=0   -> held 12 from acme
    debit   acme 50 id=a least=0    -> drawn 8 from acme
    debit   acme 50 id=b least=0    -> denied INSUFFICIENT_CREDITS
    debit   acme 50 id=a least=0    -> replayed: drawn 8 from acme
    """
    assert judged(case.core) == []


def test_three_nested_budgets_and_a_cap_let_exactly_so_much_through() -> None:
    """Whatever is narrowest decides: 7 tokens of the cap, then 4 requests' quantity, then 3."""
    case = BudgetCase()
    case.run(
        """
        account acme
        account team parent=acme
        account bot parent=team
        grant   acme 1000 shared
        budget  acme/all 60
        budget  team/day 50 each=day
        budget  bot/mine 40
        hold    bot 100 as=H1 least=1   -> held 40 from acme
        capture H1 25
        debit   bot 100 least=1         -> drawn 15 from acme
        debit   bot 1   least=1         -> denied by bot/mine, 0 left
        debit   team 100 least=1        -> drawn 10 from acme
        debit   team 1                  -> denied by team/day, 0 left
        clock   +1d
        debit   team 100 least=1        -> drawn 10 from acme
        debit   acme 1                  -> denied by acme/all, 0 left
        """
    )
    cut = entries(case, e.HoldUpTo)[0]
    assert isinstance(cut, e.HoldUpTo) and cut.limit is not None
    assert (cut.limit.kind, cut.limit.name, cut.limit.left) == (LimitKind.BUDGET, "mine", 40)
    by_day = limits(case)[1]
    assert (by_day.name, by_day.retry_at) == ("day", START_US + DAY_US)
    assert judged(case.core) == []


@ledger_case
def test_a_denial_says_which_pot_was_the_last_and_when_more_comes(case: LedgerCase) -> None:
    """
    account grants
    grant   grants 5
    grant   grants 5 effective=+2d as=later
    debit   grants 6               -> denied INSUFFICIENT_CREDITS
    hold    grants 5 as=h lifetime=10m
    debit   grants 1               -> denied INSUFFICIENT_CREDITS
    account owing overdraft=3
    debit   owing 4                -> denied INSUFFICIENT_CREDITS
    account billed overage=self cap=7
    debit   billed 2
    debit   billed 6               -> denied INSUFFICIENT_CREDITS
    account unpriced
    debit   unpriced 6 of=priceless  -> denied UNPRICED
    account weekly
    recurring weekly 4 every=1week as=R
    debit   weekly 5               -> denied INSUFFICIENT_CREDITS
    """
    number = case.accounts
    first, held, owing, billed, unpriced, weekly = limits(case)
    assert first == e.Limit(LimitKind.GRANTS, number["grants"], 1, "", 5, START_US + 2 * DAY_US)
    assert (held.kind, held.left, held.number) == (LimitKind.GRANTS, 0, 1)
    assert held.retry_at == START_US + HOUR_US // 6
    assert owing == e.Limit(LimitKind.OVERDRAFT, number["owing"], 0, "", 3, 0)
    assert billed == e.Limit(LimitKind.OVERAGE, number["billed"], 0, "", 5, START_US + 31 * DAY_US)
    assert unpriced == e.Limit(LimitKind.PRICE, number["unpriced"])
    assert (weekly.kind, weekly.left) == (LimitKind.GRANTS, 4)
    assert weekly.retry_at > START_US


@ledger_case
def test_a_denial_does_not_wait_for_a_grant_that_was_voided(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 5 effective=+2d as=soon
    grant   acme 5 effective=+3d as=later
    void    soon
    debit   acme 6                 -> denied INSUFFICIENT_CREDITS
    void    later
    debit   acme 6                 -> denied INSUFFICIENT_CREDITS
    """
    assert [each.retry_at for each in limits(case)] == [START_US + 3 * DAY_US, 0]


# -- exactly as much, whatever the price model --------------------------------------------------

PRODUCTS = (
    "graduated", "volume", "dearer", "package", "stairstep", "share", "included", "daily",
    "day-volume", "billed-volume", "power", "steep", "falling", "divided",
)  # fmt: skip


def exactly(case: LedgerCase, name: str, product: str, low: int, high: int) -> int:
    """The answer is allowed, and one more is not; the entry says the same. -1 = denied."""
    core = case.core
    state = core.state
    account = state.accounts[case.accounts[name]]
    shape = core.shape(product, "tokens")

    def alone(amount: int) -> bool:
        found = assess(state, account, shape, (amount,), state.now)
        return isinstance(found, Assessment) and not found.denied

    found = assess_up_to(state, account, shape, (high,), e.UpTo("tokens", low, high), state.now)
    if not isinstance(found, Afforded) or found.found.denied:
        assert not any(alone(amount) for amount in range(low, min(high, low + 300) + 1))
        return -1
    [most] = found.quantities
    assert low <= most <= high and alone(most)
    assert most == high or not alone(most + 1)
    if product != "divided":  # a formula may fall anywhere; others fall at their boundaries alone
        beyond = [amount for amount in range(most + 1, min(high, most + 400) + 1) if alone(amount)]
        assert not beyond
    key = FAMILY.request(f"exactly-{len(core.batches)}-{core.state.entry_seq}")
    command = c.DebitWork(key, account.number, shape, (high,), up_to="tokens", minimum=low)
    outcome = core.run(command)
    assert isinstance(outcome, e.UsageDebited) and outcome.quantities == (most,)
    assert isinstance(core.run(command), Known)
    return most


@given(
    product=st.sampled_from(PRODUCTS),
    used=st.sampled_from((0, 1, 5, 60, 99, 100, 130, 950)),
    units=st.sampled_from((0, 1, 7, 49, 80, 333, 999, 1_000, 1_009, 4_000)),
    overdraft=st.sampled_from((0, 13)),
    low=st.integers(0, 150),
    more=st.sampled_from((0, 1, 40, 500, 2_000, 2**40)),
)
def test_the_answer_is_affordable_and_one_more_is_not(
    product: str, used: int, units: int, overdraft: int, low: int, more: int
) -> None:
    """By every price model, over totals that run on, with and without debt behind."""
    case = ModelCase()
    case.run(f"account acme card=models overdraft={overdraft}")
    if used and product not in ("steep", "falling"):
        case.run(f"grant acme 20000 as=first\nusage acme {used} of={product}\nvoid first")
    if units:
        case.run(f"grant acme {units}")
    exactly(case, "acme", product, low, low + more)
    case.finish()


@pytest.mark.parametrize(
    ("product", "units", "low", "high", "most"),
    [
        ("graduated", 305, 1, 4_000, 102),  # 100 x 3, 2 x 2
        ("volume", 999, 1, 4_000, 199),  # 99 x 10, or 199 x 5: the stretch above the boundary
        ("volume", 504, 1, 4_000, 50),  # 101 x 5 are 505
        ("volume", 800, 90, 4_000, 160),  # 90 x 10 are too much, 101 x 5 are not
        ("dearer", 150, 1, 4_000, 100),
        ("package", 9, 1, 4_000, 100),
        ("stairstep", 79, 1, 4_000, 5),
        ("included", 37, 50, 4_000, 137),
        ("included", 500, 50, 10**15, 10**15),  # never more than its maximum
        ("power", 10, 6, 4_000, -1),  # it is night
        ("power", 10, 4, 4_000, 5),
    ],
)
def test_models_are_searched_to_the_unit(
    product: str, units: int, low: int, high: int, most: int
) -> None:
    case = ModelCase()
    case.run(f"account acme card=models\ngrant acme {units}")
    assert exactly(case, "acme", product, low, high) == most


def test_the_quantity_may_be_part_of_another_or_a_prompt() -> None:
    """gpt: input 2, cached 1 of it, output 3, and 4 and 6 above a prompt of 1,000: 1,000 cost
    2,000, and 1,001 more than 4,000; what is cached makes the input cheaper."""
    case = LedgerCase()
    case.run(
        """
        account acme
        grant   acme 3000
        debit   acme of=gpt input=4000 output=1 least=1   -> drawn 2003 from acme
        debit   acme of=gpt cached=400 input=600 least=100 -> drawn 800 from acme
        debit   acme of=gpt output=900 input=10 least=1 upto=output   -> drawn 197 from acme
        """
    )
    spent = [event.quantities for event in entries(case, e.UsageDebited)]  # type: ignore[attr-defined]
    assert spent == [(1_000, 1), (400, 600), (10, 59)]


@ledger_case
def test_a_simulation_of_unchanged_prices_decides_alike(case: LedgerCase) -> None:
    """
    account acme overdraft=5
    grant   acme 40
    debit   acme 12 id=a
    debit   acme 90 id=b            -> denied INSUFFICIENT_CREDITS
    hold    acme 90 as=h1 least=20  -> held 28 from acme, overdraft 5
    capture h1 10
    debit   acme 90 id=c least=2    -> drawn 18 from acme, overdraft 5
    debit   acme 90 id=d least=2    -> denied INSUFFICIENT_CREDITS
    """
    again = replayed(case.core)
    found = again.close(10)
    assert (found.denied.old, found.denied.new) == (2, 2)
    assert (found.authorized.old, found.authorized.new) == (1, 1)
    assert (found.denied_now, found.allowed_now, found.unrun_captures) == (0, 0, 0)
    [burnt] = found.burn
    assert (burnt.old, burnt.new) == (45, 45)
