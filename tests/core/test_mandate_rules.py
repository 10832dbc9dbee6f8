"""What verify says of mandates: each rule broken once in a journal that is otherwise in order; and
that their entries are read as the commands that they answered (rule H4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import CREDITS, USD, Core
from mandate_case import MandateCase
from msgspec.structs import replace
from replaying import counters, replayed, totals

from ledger.core import events as e
from ledger.core.books import BooksUnbalanced
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

STORY = """
account  acme
grant    acme 1000 shared
mandate  bot 100 parent=acme for=chat,embed with=region:eu most=40 until=+2h buys=30@1/10
mandate  sub 50 parent=bot for=chat with=region:eu most=30 until=+1h buys=20@1/10
asks     sub 100 as=P
confirm  P 4
fail     P
buys     sub 20 with=region:eu
buys     sub 31 with=region:eu
hold     sub 5
buys     sub 5 of=embed with=region:eu
buys     bot 40 with=region:eu
buys     bot 40 with=region:eu
buys     bot 1 with=region:eu
clock    +1h
buys     sub 1 with=region:eu
revoke   bot
buys     bot 1 with=region:eu
"""


def lived() -> MandateCase:
    case = MandateCase()
    case.run(STORY)
    return case


def test_the_story_breaks_no_rule() -> None:
    """So whatever is found below was broken there; and every reason is in it."""
    case = lived()
    case.finish()
    entries = [event for _, batch in case.core.batches for event in batch]
    reasons = {event.reason for event in entries if isinstance(event, e.WorkDenied)}
    assert reasons == {
        "MANDATE_PRICE", "MANDATE_ATTRIBUTES", "MANDATE_PRODUCT", "MANDATE_EXCEEDED",
        "MANDATE_EXPIRED", "MANDATE_REVOKED",
    }  # fmt: skip


def test_unchanged_prices_make_the_journals_own_entries() -> None:
    """Each entry of a mandate is read as the command that it answered."""
    core = lived().core
    replay = replayed(core, plainly=True, faithfully=True)
    assert counters(replay.state) == counters(core.state)
    assert totals(replay.state) == totals(core.state)


def below(event: Any) -> bool:
    return bool(event.terms.price_max == 30)


def any_of(event: Any) -> bool:
    return True


def bought(event: Any) -> bool:
    return bool(event.pending)


def of(reason: str) -> Callable[[Any], bool]:
    return lambda event: bool(event.reason == reason)


def _terms(event: Any, **fields: Any) -> Any:
    return replace(event, terms=replace(event.terms, **fields))


def _buys(event: Any, **fields: Any) -> Any:
    return replace(event, purchase=replace(event.purchase, **fields))


def _limit(event: Any, **fields: Any) -> Any:
    return replace(event, limit=replace(event.limit, **fields))


BROKEN: list[tuple[type, Callable[[Any], bool], Callable[[Any], Any], str]] = [
    (e.BuyingMandateGranted, any_of, lambda x: _terms(x, budget=99), "budget of the mandate"),
    (e.BuyingMandateGranted, any_of, lambda x: _terms(x, asset=USD), "budget of the mandate"),
    (
        e.BuyingMandateGranted,
        any_of,
        lambda x: _terms(x, price_max=-1),
        "budget and price of a mandate",
    ),
    (e.BuyingMandateGranted, any_of, lambda x: _terms(x, expires_at=1), "end of a mandate"),
    (e.BuyingMandateGranted, below, lambda x: _terms(x, products=()), "mandate"),
    (e.BuyingMandateGranted, below, lambda x: _terms(x, attributes=()), "mandate"),
    (e.BuyingMandateGranted, below, lambda x: _terms(x, price_max=41), "mandate"),
    (e.BuyingMandateGranted, below, lambda x: _terms(x, expires_at=0), "mandate"),
    (e.BuyingMandateGranted, below, lambda x: _buys(x, limit=31), "what a mandate buys"),
    (e.BuyingMandateGranted, below, lambda x: _buys(x, price_numerator=2), "what a mandate buys"),
    (e.BuyingMandateGranted, below, lambda x: _buys(x, price_asset=CREDITS), "what a mandate buys"),
    (e.BuyingMandateGranted, below, lambda x: _buys(x, source="other"), "what a mandate buys"),
    (e.BuyingMandateGranted, any_of, lambda x: _buys(x, limit=0), "what a mandate buys"),
    (e.BuyingMandateGranted, any_of, lambda x: _buys(x, limit=9), "limit of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, account=2), "counted of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, account=1), "purchase of account 1"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, counted=(3,)), "counted of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, payer=2), "payer of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, asset=USD), "asset of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, amount=90), "price of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, price_paid=9), "price of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, price_asset=9), "price of the purchase"),
    (e.PurchaseRequested, any_of, lambda x: replace(x, grant=1), "grant of the purchase"),
    (e.GrantIssued, bought, lambda x: replace(x, amount=90), "grant of the purchase"),
    (e.GrantIssued, bought, lambda x: replace(x, pending=False), "grant of the purchase"),
    (e.GrantIssued, bought, lambda x: replace(x, sharing=None), "sharing of the purchase"),
    (e.MandateRevoked, any_of, lambda x: replace(x, account=1), "mandate that is revoked"),
    (e.WorkDenied, of("MANDATE_PRICE"), lambda x: _limit(x, left=29), "left"),
    (e.WorkDenied, of("MANDATE_PRICE"), lambda x: _limit(x, account=1), "mandate that denies"),
    (
        e.WorkDenied,
        of("MANDATE_PRICE"),
        lambda x: replace(x, reason="MANDATE_EXPIRED"),
        "whether the mandate denies for MANDATE_EXPIRED",
    ),
    (
        e.WorkDenied,
        of("MANDATE_REVOKED"),
        lambda x: replace(x, reason="MANDATE_PRODUCT"),
        "whether the mandate denies for MANDATE_PRODUCT",
    ),
    (e.WorkDenied, of("MANDATE_EXCEEDED"), lambda x: _limit(x, left=9), "left"),
    (
        e.WorkDenied,
        of("MANDATE_EXCEEDED"),
        lambda x: replace(_limit(x, kind=e.LimitKind.BUDGET), reason="BUDGET_EXCEEDED"),
        "whether a mandate denies",
    ),
    (
        e.WorkDenied,
        of("MANDATE_PRICE"),
        lambda x: _limit(x, kind=e.LimitKind.GRANTS),
        "whether a mandate denies",
    ),
]


@pytest.mark.parametrize(("kind", "which", "broken", "what"), BROKEN)
def test_each_rule_broken_once(
    kind: type, which: Callable[[Any], bool], broken: Callable[[Any], Any], what: str
) -> None:
    core = lived().core
    for _, batch in core.batches:
        for index, event in enumerate(batch):
            if type(event) is kind and which(event):
                batch[index] = broken(event)
                assert any(what in found for found in _found(core)), _found(core)
                return
    raise AssertionError(f"no {kind.__name__} in the story")


def _found(core: Core) -> list[str]:
    """What is found, up to where the rest fits no more."""
    findings = Findings(ShardReport(0))
    rules, state = Rules(findings), State(0, Catalog())
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            try:
                rules.before(state, event)
                evolve(state, event)
            except (KeyError, AssertionError, IndexError, ValueError, BooksUnbalanced):
                return [finding.what for finding in findings.found]
    return [finding.what for finding in findings.found]
