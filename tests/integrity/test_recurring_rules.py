"""What no entry of a recurring grant may say, though hashes and seals are right (rules T1, S1)."""

from __future__ import annotations

import pytest

from ledger.core import events as e
from ledger.core.limits import DAY_US
from tests.integrity.journals import NOON_US
from tests.integrity.test_rules import BOOKS, CREDIT, FIRST, changed, found, key

WEEK = 7 * DAY_US
HALF = WEEK // 2
TERMS = e.RecurringTerms(
    e.GrantKind.PROMOTIONAL,
    CREDIT,
    70,
    0,
    0,
    0,
    (),
    e.PeriodUnit.WEEK,
    1,
    0,
    "UTC",
    e.Proration.BOTH,
    0,
)
RICHER = changed(TERMS, amount=140)
STARTED = e.RecurringStarted(key(20), 11, 1, TERMS, b"", NOON_US, 0)
BOOK = e.BookOpened(6, 1, e.BookKind.GRANT, CREDIT, 2)
GRANT = e.GrantIssued(
    b"",
    11,
    2,
    2,
    e.GrantKind.PROMOTIONAL,
    CREDIT,
    70,
    0,
    0,
    0,
    NOON_US,
    NOON_US + WEEK,
    (),
    b"",
    6,
    2,
    1,
)
ISSUED = e.RecurringIssued(11, 1, 1, NOON_US, NOON_US + WEEK, WEEK, WEEK, 2, 70, 0)
SOUND: list[list[e.Event]] = [FIRST, [STARTED], [BOOK, GRANT, ISSUED]]
PAUSED = e.RecurringPaused(key(21), 11, 1)
# At half of the period: half of what the new terms give more.
MORE = (
    changed(BOOK, book=7, owner=3),
    changed(GRANT, grant=3, ordinal=3, amount=35, book=7, effective_at=NOON_US + HALF),
)
CHANGED = e.RecurringChanged(key(22), 11, 1, RICHER, e.Timing.NOW, 2, 0, HALF, WEEK, 3, 35, 0)
AT = {4: NOON_US + HALF}
ENTRY = len(FIRST) + 4  # the first after SOUND


async def test_sound_journals_have_no_findings() -> None:
    assert len(BOOKS) == 5
    assert await found(*SOUND) == []
    assert await found(*SOUND, [*MORE, CHANGED], at=AT) == []
    resumed = e.RecurringResumed(key(23), 11, 1, NOON_US + WEEK)
    assert await found(*SOUND, [PAUSED], [resumed]) == []
    reduced = e.GrantReduced(11, 2, 35)
    ended = e.RecurringEnded(key(24), 11, 1, e.Timing.NOW, NOON_US + HALF)
    assert await found(*SOUND, [reduced, ended], at=AT) == []


@pytest.mark.parametrize(
    ("issued", "what"),
    [
        (changed(ISSUED, start=NOON_US - 1), "start of the period of recurring grant 1"),
        (changed(ISSUED, end=NOON_US), "end of the period of recurring grant 1"),
        (changed(ISSUED, full=WEEK - 1), "length of the period of recurring grant 1"),
        (changed(ISSUED, remaining=HALF), "share of the period of recurring grant 1"),
        (changed(ISSUED, remaining=WEEK + 1), "remaining time"),
        (changed(ISSUED, version=2), "version of the period of recurring grant 1"),
        (changed(ISSUED, amount=71), "prorated amount"),
        (changed(ISSUED, price_paid=1), "prorated price"),
        (changed(ISSUED, grant=0), "whether there is a grant"),
        (changed(ISSUED, grant=1), "grant 1"),
    ],
)
async def test_a_period_that_breaks_a_rule_is_named(issued: e.Event, what: str) -> None:
    whats = await found(FIRST, [STARTED], [BOOK, GRANT, issued])
    assert f"entry {ENTRY - 1}, {what}" in whats, whats


async def test_no_period_is_issued_twice_or_before_it_begins() -> None:
    again = (
        changed(BOOK, book=7, owner=3),
        changed(GRANT, grant=3, ordinal=3, book=7),
    )
    whats = await found(*SOUND, [*again, changed(ISSUED, grant=3)])
    assert f"entry {ENTRY + 2}, start of the period of recurring grant 1" in whats, whats
    early = changed(ISSUED, start=NOON_US + WEEK, end=NOON_US + 2 * WEEK, grant=3, amount=70)
    whats = await found(*SOUND, [*again, early])
    assert f"entry {ENTRY + 2}, period of recurring grant 1" in whats, whats
    assert await found(*SOUND, [*again, early], at={4: NOON_US + WEEK}) == []


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([*MORE, changed(CHANGED, version=3)], "version of the terms"),
        ([*MORE, changed(CHANGED, amount=36)], "prorated amount"),
        ([*MORE, changed(CHANGED, remaining=HALF + 1)], "remaining time"),
        ([*MORE, changed(CHANGED, full=WEEK - 1)], "full period"),
        ([*MORE, changed(CHANGED, timing=e.Timing.NEXT_PERIOD)], "a share"),
        ([e.RecurringResumed(key(23), 11, 1, NOON_US + WEEK)], "recurring grant 1 paused"),
        ([e.RecurringEnded(key(23), 11, 1, e.Timing.NOW, NOON_US)], "end of recurring grant 1"),
        ([e.RecurringPaused(key(23), 12, 1)], "account of recurring grant 1"),
        ([changed(STARTED, key=key(23), recurring=3)], "number of the recurring grant"),
        ([changed(STARTED, key=key(23), recurring=2, ends_at=NOON_US)], "end"),
        ([e.GrantReduced(11, 2, 71)], "units taken from grant 2"),
    ],
)
async def test_an_entry_that_breaks_a_rule_is_named(entries: list[e.Event], what: str) -> None:
    whats = await found(*SOUND, entries, at=AT)
    assert f"entry {ENTRY + len(entries) - 1}, {what}" in whats, whats


async def test_pauses_and_ends_follow_each_other() -> None:
    whats = await found(*SOUND, [PAUSED], [changed(PAUSED, key=key(25))])
    assert whats == [f"entry {ENTRY + 1}, recurring grant 1 paused"]
    resumed = e.RecurringResumed(key(23), 11, 1, NOON_US)
    whats = await found(*SOUND, [PAUSED], [resumed])
    assert whats == [f"entry {ENTRY + 1}, start of the next period"]
    ended = e.RecurringEnded(key(24), 11, 1, e.Timing.NOW, NOON_US + HALF)
    after = {**AT, 5: NOON_US + HALF + 1}
    whats = await found(*SOUND, [ended], [PAUSED], at=after)
    assert whats == [f"entry {ENTRY + 1}, recurring grant 1"]
