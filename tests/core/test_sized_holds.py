"""Holds for what is learned: an entry says what was asked and where it comes from (rule H1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import replay
from ledger_case import LedgerCase, ledger_case
from msgspec.structs import replace
from policy_case import PolicyCase, policy_case
from test_deciding import entries
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.digest import digest
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules


def whole(case: LedgerCase) -> None:
    """No rule is broken, and a replay comes to the same."""
    assert judged(case.core) == []
    assert digest(replay(case.core.journal())) == digest(case.core.state)


@ledger_case
def test_what_is_learned_is_held_and_what_is_above_is_new_usage(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100
    hold    acme 12 asked=50 as=h1   -> held 12 from acme
    capture h1 30                    -> drawn 30 from acme
    hold    acme 90 asked=95 as=h2   -> denied INSUFFICIENT_CREDITS
    """
    [held] = entries(case, e.HoldSized)
    assert isinstance(held, e.HoldSized)
    assert (held.quantities, held.asked, held.sizing_version, held.learned) == ((12,), (50,), 7, 0)
    assert held.sizes == (e.Sized("tokens", e.SizedBy.PRODUCT, 950, 100, 12),)
    [denied] = entries(case, e.SizedDenied)
    assert isinstance(denied, e.SizedDenied)
    assert (denied.quantities, denied.asked) == ((90,), (95,))
    assert denied.limit is not None and denied.limit.left == 70
    whole(case)


@ledger_case
def test_a_retry_is_told_the_same_though_more_was_learned(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 100
    hold    acme 12 asked=50 as=h1 id=one            -> held 12 from acme
    hold    acme 40 asked=50 as=h1 id=one            -> replayed: held 12 from acme
    hold    acme 50 as=h1 id=one                     -> replayed: held 12 from acme
    hold    acme 12 asked=51 as=h1 id=one            -> refused CONFLICT quantities
    hold    acme 12 as=h1 id=one                     -> refused CONFLICT quantities
    hold    acme 12 asked=50 demanded=1 as=h1 id=one -> refused CONFLICT sizing
    hold    acme 12 asked=50 lifetime=1m as=h1 id=one -> refused CONFLICT lifetime_us
    hold    acme 12 asked=50 least=1 as=h1 id=one    -> refused CONFLICT up_to.quantity
    hold    acme 20 demanded=1 as=h2 id=two          -> held 20 from acme
    hold    acme 20 as=h2 id=two                     -> refused CONFLICT sizing
    hold    acme 7 asked=20 demanded=1 as=h2 id=two  -> replayed: held 20 from acme
    hold    acme 10 as=h3 id=three                   -> held 10 from acme
    hold    acme 3 asked=10 as=h3 id=three           -> replayed: held 10 from acme
    hold    acme 3 asked=10 demanded=1 as=h3 id=three -> refused CONFLICT sizing
    hold    acme 98 asked=99 as=h4 id=four           -> denied INSUFFICIENT_CREDITS
    hold    acme 1 asked=99 as=h4 id=four            -> replayed: denied INSUFFICIENT_CREDITS
    hold    acme 1 asked=98 as=h4 id=four            -> refused CONFLICT quantities
    """
    whole(case)


@ledger_case
def test_of_what_is_learned_as_much_as_is_affordable(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 20
    hold    acme 12 asked=50 least=3 as=h1 id=one   -> held 12 from acme
    hold    acme 12 asked=50 least=3 as=h2 id=two   -> held 8 from acme
    hold    acme 30 asked=50 least=3 as=h2 id=two   -> replayed: held 8 from acme
    hold    acme 30 asked=50 least=2 as=h2 id=two   -> refused CONFLICT up_to.minimum
    hold    acme 12 asked=50 least=3 as=h3 id=three -> denied INSUFFICIENT_CREDITS
    """
    ranges = [held.up_to for held in entries(case, e.HoldSized)]  # type: ignore[attr-defined]
    assert ranges == [e.UpTo("tokens", 3, 12)] * 2
    whole(case)


@ledger_case
def test_parts_are_cut_to_what_was_learned_of_their_whole(case: LedgerCase) -> None:
    """
    account acme
    grant   acme 1000
    hold    acme of=gpt input=10 cached=30 asked=30/50 as=h1
    """
    # Names stand sorted as the shape has them: cached tokens first (rule R8).
    [held] = entries(case, e.HoldSized)
    assert isinstance(held, e.HoldSized)
    assert (held.quantities, held.asked) == ((10, 10), (30, 50))
    whole(case)


@policy_case
def test_a_policy_has_its_say_on_what_was_learned(case: PolicyCase) -> None:
    """
    account acme
    grant   acme 20
    rules   acme downgrade=half topup
    ask     acme 12 asked=90 as=a id=a   -> held 12 from acme
    release a
    ask     acme 30 asked=90 as=b id=b   -> rule 1 downgrade to half: held 15 from acme
    ask     acme 9 asked=90 as=b id=b    -> replayed: rule 1 downgrade to half: held 15 from acme
    ask     acme 9 asked=91 as=b id=b    -> refused CONFLICT quantities
    release b
    ask     acme 60 asked=90 as=c id=c   -> rule 2 top_up 40: denied INSUFFICIENT_CREDITS
    ask     acme 6 asked=90 as=c id=c    -> replayed: rule 2 top_up 40: denied INSUFFICIENT_CREDITS
    """
    plain, cut = entries(case, e.HoldSized)
    assert isinstance(plain, e.HoldSized) and plain.ruling is None
    assert isinstance(cut, e.HoldSized) and cut.ruling is not None and cut.ruling.asked is not None
    assert (cut.ruling.asked.quantities, cut.asked) == ((30,), (90,))
    [denied] = entries(case, e.SizedDenied)
    assert isinstance(denied, e.SizedDenied) and denied.ruling is not None
    assert (denied.quantities, denied.asked, denied.ruling.missing) == ((60,), (90,), 40)
    whole(case)


BROKEN: list[tuple[type[e.Event], Callable[[Any], Any], str]] = [
    (e.HoldSized, lambda event: replace(event, asked=(11,)), "quantity of tokens"),
    (e.HoldSized, lambda event: replace(event, asked=()), "quantities that were asked for"),
    (e.HoldSized, lambda event: replace(event, sizing_version=0), "who chose to learn"),
    (e.HoldSized, lambda event: _sizes(event, quantity="words"), "quantity that was learned"),
    (e.HoldSized, lambda event: _sizes(event, permille=1_000), "permille of tokens"),
    (e.HoldSized, lambda event: _sizes(event, observations=0), "whether tokens is learned"),
    (e.HoldSized, lambda event: replace(event, policy_version=9), "version of the policy"),
    (e.SizedDenied, lambda event: replace(event, asked=(89,)), "quantity of tokens"),
    (e.SizedDenied, lambda event: replace(event, limit=None), "limit of a denial"),
]


def _sizes(event: Any, **changes: Any) -> Any:
    return replace(event, sizes=(replace(event.sizes[0], **changes),))


@pytest.mark.parametrize(("kind", "broken", "what"), BROKEN)
def test_the_judge_says_what_no_sized_entry_may_do(
    kind: type, broken: Callable[[Any], Any], what: str
) -> None:
    case = LedgerCase()
    case.run(
        """
        account acme
        grant   acme 100
        hold    acme 12 asked=50 as=h1
        hold    acme 90 asked=95 as=h2   -> denied INSUFFICIENT_CREDITS
        """
    )
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(case.core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            rules.before(state, broken(event) if type(event) is kind else event)
            evolve(state, event)
    assert any(what in f"{found.what} {found.expected}" for found in findings.found), findings.found
