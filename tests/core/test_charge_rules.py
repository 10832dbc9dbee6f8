"""What no entry of a fixed charge may say, though hashes are right: one rule broken at a time."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS, USD, Core
from ledger_case import LedgerCase
from msgspec.structs import replace
from test_verify_rules import judged

from ledger.core import events as e
from ledger.core.catalog import Catalog
from ledger.core.evolve import evolve
from ledger.core.limits import DAY_US
from ledger.core.state import State
from ledger.verify.report import Findings, ShardReport
from ledger.verify.rules import Rules

STORY = """
account  acme overage=self
grant    acme 100 paid=50
charge   acme 310 as=seats x=10 of=seats cash
charge   acme 62 as=plan asset=credits
charge   acme 31 as=late x=2 arrears cash
clock    2026-01-11
quantity seats 13 now
quantity plan 2 now
quantity late 3 now
terms    late 40 arrears cash
clock    2026-02-01
sweep
stop     late
clock    2026-02-15
stop     seats now
"""


def told() -> Core:
    case = LedgerCase()
    case.run(STORY)
    return case.core


def found(core: Core, kind: type, place: int, **changes: Any) -> list[str]:
    """What the rules say to the entry of that kind at that place, were it otherwise."""
    findings = Findings(ShardReport(0))
    rules = Rules(findings)
    state = State(0, Catalog())
    seen = 0
    for batch_seq, (recorded_at, events) in enumerate(core.batches, start=1):
        state.begin_batch(batch_seq, recorded_at)
        for event in events:
            if type(event) is kind:
                if seen == place:
                    rules.before(state, replace(event, **changes))
                    return [each.what.partition(", ")[2] for each in findings.found]
                seen += 1
            evolve(state, event)
    raise AssertionError(f"there are only {seen} of {kind.__name__}")


def test_the_story_itself_has_no_findings() -> None:
    assert judged(told()) == []


def deferral(core: Core, kind: type, place: int, **changes: Any) -> tuple[e.Deferral, ...]:
    """The deferrals of that entry, the first of them otherwise."""
    events = [each for _, events in core.batches for each in events if type(each) is kind]
    first, *others = events[place].deferrals
    return (replace(first, **changes), *others)


OTHER_NAME = e.ChargeTerms(
    "seats", CREDITS, 1, e.ChargeBilling.ADVANCE, e.PeriodUnit.MONTH, 1, 0, "", e.Proration.BOTH,
    True, True, e.ChargePayer.OVERAGE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "place", "changes", "what"),
    [
        (e.ChargeStarted, 1, {"charge": 9}, "number of the charge"),
        (e.ChargeStarted, 1, {"name": "seats"}, "name"),
        (e.ChargeStarted, 1, {"quantity": -1}, "quantity"),
        (e.ChargeStarted, 1, {"ends_at": 1}, "end"),
        (e.ChargePeriodBegun, 0, {"account": 2}, "account of the charge"),
        (e.ChargePeriodBegun, 0, {"number": 2}, "number of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"start": 5}, "start of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"version": 2}, "version of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"quantity": 11}, "quantity of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"end": 5}, "end of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"charged_from": 5}, "full length of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"charged_to": 5}, "time charged of the period of charge 1"),
        (e.ChargePeriodBegun, 0, {"full": DAY_US}, "full length of the period of charge 1"),
        (e.FeeCharged, 0, {"account": 2}, "account of the charge"),
        (e.FeeCharged, 0, {"product": "plan"}, "what the fee is of"),
        (e.FeeCharged, 0, {"asset": CREDITS}, "what the fee is of"),
        (e.FeeCharged, 0, {"number": 2}, "what the fee is of"),
        (e.FeeCharged, 0, {"total": 3_101, "amount": 3_101}, "fee of the period"),
        (e.FeeCharged, 0, {"amount": 3_000}, "amount of the fee"),
        (e.FeeCharged, 0, {"slices": ()}, "sum of slices"),
        (e.FeeCharged, 0, {"over_limit": 1}, "over_limit"),
        (e.FeeCharged, 0, {"effective_at": 2**60}, "effective time"),
        (e.FeeCharged, 0, {"period": 2**60}, "month"),
        (e.FeeCharged, 0, {"deferrals": ()}, f"earned and deferred of asset {USD}"),
        (e.FeeCharged, 0, {"used_book": 1}, "book 1"),
        (e.FeeCharged, 2, {"quantity": 14}, "fee of the period"),
        (e.FeeCharged, -1, {"given_back": ()}, "sum given back"),
        (e.FeeCharged, -1, {"kept": 1}, "sum given back"),
        (e.FeeRecognised, 0, {"account": 2}, "whose fee is earned"),
        (e.FeeRecognised, 0, {"product": "plan"}, "whose fee is earned"),
        (e.FeeRecognised, 0, {"earned_to": 2**60}, "earned by"),
        (e.FeeRecognised, 0, {"deferrals": ()}, f"earned of asset {USD}"),
        (e.ChargeChanged, 0, {"account": 2}, "account of charge 1"),
        (e.ChargeChanged, 0, {"version": 5}, "version of the charge"),
        (e.ChargeChanged, 0, {"quantity": -2}, "quantity"),
        (e.ChargeChanged, 0, {"weighed": "5"}, "weight"),
        (e.ChargeChanged, 0, {"weighed": ""}, "whether the period counts it"),
        (e.ChargeChanged, 3, {"timing": e.Timing.NOW}, "timing of new terms"),
        (e.ChargeChanged, 3, {"terms": OTHER_NAME}, "asset and kind"),
        (e.ChargeEnded, 0, {"ends_at": 1}, "end of charge 3"),
        (e.ChargeEnded, 0, {"timing": e.Timing.NOW}, "what is left of the charge"),
        (e.ChargeEnded, 1, {"account": 2}, "account of charge 1"),
    ],
)
def test_an_entry_that_breaks_a_rule_is_named(
    kind: type, place: int, changes: dict[str, Any], what: str
) -> None:
    core = told()
    if place < 0:
        events = [each for _, events in core.batches for each in events if type(each) is kind]
        place += len(events)
    said = found(core, kind, place, **changes)
    assert what in said, said


def test_money_is_earned_from_and_to_the_books_of_its_product() -> None:
    core = told()
    for kind, place in ((e.FeeCharged, 0), (e.FeeRecognised, 0)):
        books = {
            book.number: book for book in core.state.books.accounts.values() if book.asset == USD
        }
        wrong = next(each for each in books if books[each].kind == e.BookKind.UNBILLED)
        for field in ("revenue_book", "unearned_book"):
            said = found(core, kind, place, deferrals=deferral(core, kind, place, **{field: wrong}))
            assert f"book {wrong}" in said, said
        said = found(core, kind, place, deferrals=deferral(core, kind, place, earned=1))
        assert any(each.startswith("earned") for each in said), said
    said = found(core, e.FeeRecognised, 0, deferrals=deferral(core, e.FeeRecognised, 0, deferred=1))
    assert "deferred" in said
