"""What verify says of the money that draws earn: each told otherwise once (rule B4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ledger_case import LedgerCase
from msgspec.structs import replace
from test_lease_rules import found_in
from test_verify_rules import judged

from ledger.core import events as e

STORY = """
account  acme overdraft=9
usage    acme 8
grant    acme 30 paid=100 as=g
usage    acme 3 id=u
hold     acme 5 as=h
capture  h 6
reverse  u                             -> 3 to g worth 10
refund   g 2
usage    acme 20
grant    acme 7 paid=9 effective=+1h
clock    +2h
sweep
account  eu overage=self card=usd
usage    eu 5
"""


def lived() -> LedgerCase:
    case = LedgerCase()
    case.run(STORY)
    return case


def test_the_story_breaks_no_rule() -> None:
    assert judged(lived().core) == []


def drawn(by: int) -> Callable[[Any], Any]:
    """A draw that earns another sum."""

    def told(event: Any) -> Any:
        first, *others = event.slices
        return replace(event, slices=(replace(first, value=first.value + by), *others))

    return told


def repaid(event: Any) -> Any:
    [part] = event.backfills
    return replace(event, backfills=(replace(part, value=part.value - 1),))


@pytest.mark.parametrize(
    ("kind", "which", "told", "what"),
    [
        (e.UsageRecorded, 0, drawn(1), "money that a draw of book"),
        (e.UsageRecorded, 1, drawn(-1), "money that a draw of grant"),
        (e.UsageRecorded, 2, drawn(1), "money that a draw of grant"),
        (e.UsageRecorded, 3, drawn(-1), "money that a draw of grant"),
        (e.UsageRecorded, 4, drawn(-1), "money that a draw of book"),
        (e.GrantIssued, 0, repaid, "by what it repays"),
        (e.GrantStarted, 0, repaid, "by what it repays"),
    ],
)
def test_each_sum_told_otherwise_is_found(
    kind: type, which: int, told: Callable[[Any], Any], what: str
) -> None:
    core = lived().core
    found = [
        (batch, index)
        for _, batch in core.batches
        for index, event in enumerate(batch)
        if type(event) is kind
    ]
    batch, index = found[which]
    batch[index] = told(batch[index])
    assert any(what in each for each in found_in(core)), found_in(core)


@pytest.mark.parametrize(("by", "sound"), [(0, True), (-1, True), (1, False), (-2, False)])
def test_what_rounding_left_is_earned_with_what_is_repaid(by: int, sound: bool) -> None:
    """Of 11 for 6 units one unit went back with 1: 5 units earn 10, of which 4 had earned 7. In
    older journals the last one earned 2, as if the 4 had earned 8."""
    case = LedgerCase()
    case.run(
        """
        account acme overdraft=50
        grant   acme 6 gated paid=11 as=g
        confirm g 10
        usage   acme 4
        refund  g 1
        usage   acme 30
        confirm g
        expect  deferred g 0
        """
    )
    case.finish()
    [(batch, index)] = [
        (batch, index)
        for _, batch in case.core.batches
        for index, event in enumerate(batch)
        if isinstance(event, e.GrantReleased) and event.backfills
    ]
    released: Any = batch[index]
    [part] = released.backfills
    batch[index] = replace(released, backfills=(replace(part, value=part.value + by),))
    earned = [each for each in found_in(case.core) if "by what it repays" in each]
    assert sound == (not earned), earned
