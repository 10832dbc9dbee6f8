"""What no entry may say of costs is found although every hash is right (rules B4, N3).

Each journal here is written past the core; one rule is broken by one entry.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import astuple, replace

from ledger.core import events as e
from ledger.core.outcomes import locator_of
from tests.integrity.test_rules import BOOKS, FIRST, PLAN, USAGE, found, key

USD = 8
COST_PLAN = e.PlanDeclared("chat", (), ("tokens",), "supplier", 2, (3,), USD)
COST_BOOKS: list[e.Event] = [
    e.BookOpened(len(BOOKS) + 1, 1, e.BookKind.COST, USD, 0, "acme-ai"),
    e.BookOpened(len(BOOKS) + 2, 1, e.BookKind.PAYABLE, USD, 0, "acme-ai"),
    e.BookOpened(len(BOOKS) + 3, 1, e.BookKind.PAYABLE, USD, 0, "another"),
]
COST = e.ProviderCost((15,), 1, 6, 7, ((3, 5),))
COSTED = e.UsageCosted(
    *astuple(replace(USAGE, slices=(e.Slice(e.Pot.GRANT, 1, 30, 0, 15),))), cost=COST
)
BACK = e.UsageReversed(
    key(8),
    11,
    locator_of(2, 2),
    len(FIRST) + len(COST_BOOKS) + 2,
    USAGE.effective_at,
    0,
    (2,),
    (12,),
    3,
    (e.GivenBack(1, 1, 12, 0, 6),),
    USAGE.period,
    cost=e.ProviderCost((6,), 1, 6, 7, ((3, 2),)),
    refund_cost=1,
)
USED: list[list[e.Event]] = [[*FIRST, *COST_BOOKS], [PLAN, COST_PLAN, COSTED]]


async def test_a_sound_cost_has_no_findings() -> None:
    assert await found(*USED) == []
    assert await found(*USED, [PLAN, COST_PLAN, BACK]) == []


def costed(**changes: Any) -> e.UsageCosted:
    return replace(COSTED, cost=replace(COST, **changes))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (costed(lines=(14,)), "cost of the slices"),
        (costed(lines=(15, 0)), "number of cost lines"),
        (costed(lines=(-2,)), "cost"),
        (costed(plan=0), "book 6"),
        (costed(cost_book=7), "book 7"),
        (costed(payable_book=6), "book 6"),
        (costed(payable_book=8), "provider"),
        (replace(COSTED, cost=None), "cost of the slices"),
        (
            e.UsageRecorded(*astuple(replace(USAGE, slices=(e.Slice(1, 1, 30, 0, 1),)))),
            "cost of the slices",
        ),
        (
            replace(
                costed(),
                slices=(e.Slice(1, 1, 15, 0, 13), e.Slice(1, 1, 15, 0, 2)),
            ),
            "cost of the slice of book 1",
        ),
    ],
)
async def test_usage_that_breaks_a_rule_of_costs_is_named(entry: e.Event, what: str) -> None:
    assert any(what in each for each in await found(USED[0], [PLAN, COST_PLAN, entry])), what


async def test_a_cost_is_of_the_same_work() -> None:
    other = replace(COST_PLAN, product="image")
    assert any(
        "what the cost is for" in each for each in await found(USED[0], [PLAN, other, COSTED])
    )


def back(**changes: Any) -> e.UsageReversed:
    assert BACK.cost is not None
    return replace(BACK, cost=replace(BACK.cost, **changes))


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (replace(BACK, refund_cost=0), "cost taken less"),
        (back(lines=(-1,)), "cost taken less"),
        (back(advances=((3, 6),)), "quantity taken off cost row 3"),
        (back(payable_book=8), "provider"),
    ],
)
async def test_a_reversal_that_takes_a_cost_wrongly_is_named(entry: e.Event, what: str) -> None:
    assert any(what in each for each in await found(*USED, [PLAN, COST_PLAN, entry])), what
