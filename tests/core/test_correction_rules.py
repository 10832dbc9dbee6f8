"""What `verify` finds in corrections that no core would record (rules D3, B4, T2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ledger_case import LedgerCase
from msgspec.structs import replace
from test_correction_properties import look_at

from ledger.core import events as e
from ledger.core.books import BooksUnbalanced

SOUND = """
    account acme overdraft=50
    account other
    grant   acme 4 as=A paid=40 priority=1
    grant   acme 9 as=B paid=90 priority=2
    grant   other 9 as=C
    usage   acme 10 id=u
    usage   acme 13 id=v of=image
    reverse u 8
    adjust  acme 1 grant=B
    adjust  acme -1
    adjust  acme 3 as=M
"""


def changed(kind: type, change: Callable[[Any], Any]) -> Callable[[e.Event], e.Event]:
    return lambda event: change(event) if type(event) is kind else event


def pieces(change: Callable[[tuple[e.GivenBack, ...]], Any]) -> Callable[[e.Event], e.Event]:
    return changed(
        e.UsageReversed, lambda event: replace(event, given_back=tuple(change(event.given_back)))
    )


def journal(change: Callable[[e.Event], e.Event] = lambda event: event) -> LedgerCase:
    case = LedgerCase()
    case.run(SOUND)
    case.core.batches = [(at, [change(each) for each in batch]) for at, batch in case.core.batches]
    return case


def test_a_sound_journal_has_no_findings() -> None:
    assert look_at(journal().core) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (pieces(lambda given: reversed(given)), "book given back from"),
        (pieces(lambda given: given[:1]), "sum given back of its own"),
        (pieces(lambda given: [replace(given[0], value=1), *given[1:]]), "money of grant 2"),
        (pieces(lambda given: [replace(given[0], amount=7), *given[1:]]), "sum given back"),
        (pieces(lambda given: [replace(each, book=1) for each in given]), "book given back to"),
        (changed(e.UsageReversed, lambda event: replace(event, original_entry=3)), "number of the"),
        (
            changed(e.UsageReversed, lambda event: replace(event, quantities=(11,))),
            "quantities given",
        ),
        (changed(e.UsageReversed, lambda event: replace(event, as_charged=5)), "goodwill"),
        (changed(e.UsageReversed, lambda event: replace(event, effective_at=1)), "effective time"),
        (changed(e.UsageReversed, lambda event: replace(event, suspended=1)), "settled suspense"),
        (changed(e.UsageReversed, lambda event: replace(event, period=0)), "period of the"),
        (changed(e.BalanceAdjusted, lambda event: replace(event, amount=9)), "sum adjusted"),
        (changed(e.BalanceAdjusted, lambda event: replace(event, asset=9)), "asset of book"),
    ],
)
def test_what_breaks_a_rule_is_found(change: Callable[[e.Event], e.Event], what: str) -> None:
    sound, case = journal(), journal(change)
    for (_, before), (_, batch) in zip(sound.core.batches, case.core.batches, strict=True):
        same = [a == b or isinstance(a, e.PlanDeclared) for a, b in zip(before, batch, strict=True)]
        if not all(same):  # what comes after it may not fit it any more
            del batch[same.index(False) + 1 :]
    found = look_at(case.core)
    assert any(what in each for each in found), found


def test_more_than_was_drawn_stops_the_writer() -> None:
    def more(event: Any) -> Any:
        given = [replace(each, amount=each.amount + 5) for each in event.given_back]
        return replace(event, given_back=tuple(given), refunds=(18,))

    with pytest.raises(BooksUnbalanced, match="more is given back than was drawn"):
        look_at(journal(changed(e.UsageReversed, more)).core)
