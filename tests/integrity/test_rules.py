"""What no entry may do is found although every hash and seal is right: the writer itself is judged.

Each journal here is written past the core, chained and decodable; one rule is broken by one entry.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ledger.core import events as e
from ledger.core.limits import DAY_US, HOLD_LIFETIME_DEFAULT_US, HOUR_US, PERIOD_GRACE_US
from ledger.integrity.ranges import BEGINNING
from ledger.verify.report import Findings, ShardReport
from ledger.verify.shard import ShardCheck
from tests.integrity.journals import NOON_US, SHARD, Written

CREDIT = 7
EXPIRY_US = NOON_US + HOLD_LIFETIME_DEFAULT_US
ELSEWHERE = e.AccountPolicy(zone="Asia/Tokyo")
PLAN = e.PlanDeclared("chat", (), ("tokens",), "default", 1, (2,), CREDIT)
OPENED = e.WriterOpened(1, 0, bytes(32), "test")


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


ACCOUNT = e.AccountCreated(key(1), 1, 11, 0, 11, e.AccountPolicy())
OTHER = e.AccountCreated(key(2), 1, 12, 0, 12, e.AccountPolicy())
GRANT = e.GrantIssued(
    key(3), 11, 1, 1, e.GrantKind.PROMOTIONAL, CREDIT, 100, 0, CREDIT, 0, NOON_US, 0, (), b"", 1, 2
)
BOOKS = (
    e.BookOpened(1, 1, e.BookKind.GRANT, CREDIT, 1),
    e.BookOpened(2, 1, e.BookKind.PROMOTION, CREDIT),
    e.BookOpened(3, 1, e.BookKind.USED, CREDIT, 0, "chat"),
    e.BookOpened(4, 1, e.BookKind.OVERAGE, CREDIT, 12),
    e.BookOpened(5, 1, e.BookKind.ADVANCE, CREDIT, 11),
)
USAGE = e.UsageRecorded(
    key(4), 11, NOON_US, 0, (5,), (30,), 3, (e.Slice(e.Pot.GRANT, 1, 30),), NOON_US
)
HOLD = e.HoldAuthorized(
    key(5),
    11,
    1,
    0,
    (5,),
    (30,),
    3,
    (e.Slice(e.Pot.GRANT, 1, 30),),
    NOON_US + 2,
    EXPIRY_US + 2,
    0,
    DAY_US,
    e.HoldExpiry.RELEASE,
    NOON_US,
    1,
)
FORFEIT = e.WriteOff(e.WriteOffKind.GRANT, 1, 6, CREDIT, 70, 1)
FORFEIT_69 = replace(FORFEIT, amount=69)


def closed_out(*write_offs: e.WriteOff, **changes: Any) -> e.AccountClosedOut:
    """Account 11 at the fourth batch, with its hold and the 70 units that are left."""
    parts = write_offs or (FORFEIT,)
    return replace(e.AccountClosedOut(key(9), 11, NOON_US + 3, (1,), parts, True, True), **changes)


FIRST: list[e.Event] = [OPENED, ACCOUNT, OTHER, *BOOKS, GRANT]
SOUND: list[list[e.Event]] = [FIRST, [PLAN, USAGE], [PLAN, HOLD]]


async def found(*batches: list[e.Event], at: dict[int, int] | None = None) -> list[str]:
    """What verify finds in these batches; `at` says when some of them were recorded."""
    written = Written()
    await written.write(*batches, at=at)
    report = ShardReport(SHARD)
    findings = Findings(report)
    check = ShardCheck(report, findings, {}, ())
    async for row in written.journal.read(0):
        check.take(row)
    check.end()
    return [each.what for each in findings.found]


async def test_a_sound_journal_has_no_findings() -> None:
    assert await found(*SOUND) == []
    assert await found(*SOUND, [e.HoldReleased(key(6), 11, 1)]) == []


def changed(event: Any, **changes: Any) -> Any:
    return replace(event, **changes)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (changed(USAGE, key=key(9), charges=(31,)), "sum of slices"),
        (changed(USAGE, key=key(9), charges=(30,), slices=()), "sum of slices"),
        (changed(USAGE), "identity"),
        (e.AccountPolicyUpdated(key(4), 11, e.AccountPolicy(), 2), "identity"),
        (changed(USAGE, key=key(9), effective_at=NOON_US - 36 * 86_400_000_000), "effective time"),
        (changed(USAGE, key=key(9), effective_at=NOON_US + 400_000_000), "effective time"),
        (changed(USAGE, key=key(9), effective_at=NOON_US - 1), "time that grant 1 pays for"),
        (changed(USAGE, key=key(9), over_limit=1), "over_limit"),
        (changed(USAGE, key=key(9), quantities=(5, 6)), "number of quantities"),
        (changed(USAGE, key=key(9), charges=(15, 15)), "number of charges"),
        (
            changed(USAGE, key=key(9), slices=(e.Slice(e.Pot.OVERAGE, 4, 30),)),
            "owner of book 4",
        ),
        (changed(USAGE, key=key(9), slices=(e.Slice(e.Pot.OVERAGE, 5, 30),)), "kind of book 5"),
        (changed(USAGE, key=key(9), account=12), "owner of book 1"),
        (changed(HOLD, key=key(9), hold=7), "number of the hold"),
        (changed(HOLD, key=key(9), hold=2, effective_at=NOON_US), "effective time"),
        (changed(HOLD, key=key(9), hold=2, expires_at=EXPIRY_US), "expiry of the hold"),
        (changed(HOLD, key=key(9), hold=2, charges=(29,)), "sum of slices"),
        (
            changed(HOLD, key=key(9), hold=2, charges=(70,), slices=(e.Slice(1, 1, 70),)),
            "units left of grant 1",
        ),
        (e.HoldExpired(11, 1), "expiry of hold 1"),
        (e.HoldReleased(key(9), 12, 1), "account of the hold"),
        (e.GrantVoided(key(9), 11, 1, 41), "units taken from grant 1"),
        (e.GrantVoided(b"", 11, 1, 4), "state of grant 1"),
        (e.GrantExpired(11, 1, 4, 3), "breakage of grant 1"),
        (changed(GRANT, key=key(9), grant=2, ordinal=5), "ordinal of the grant"),
        (changed(GRANT, key=key(9), grant=9, ordinal=2), "number of the grant"),
        (
            changed(GRANT, key=key(9), grant=2, ordinal=2, backfills=(e.Backfill(5, "", 101),)),
            "backfill",
        ),
        (changed(ACCOUNT, key=key(9)), "account 11"),
        (changed(ACCOUNT, key=key(9), account=13, parent=11, root=12), "family"),
        (changed(ACCOUNT, key=key(9), account=13), "root"),
        (e.AccountPolicyUpdated(key(9), 11, e.AccountPolicy(), 3), "version of the policy"),
        (e.ConfigurationApplied(1, 2, bytes(32)), "version of the configuration"),
        (e.AccountClosed(key(9), 11, NOON_US + 3), "open holds"),
        (e.AccountClosed(key(9), 11, NOON_US + 3), "left in book 1"),
        (e.AccountClosed(key(9), 12, NOON_US), "closed at"),
        (e.AccountReopened(key(9), 11), "account 11"),
        (e.AccountUnfrozen(key(9), 11), "account 11"),
        (e.AccountMoved(key(9), 11, 12, 11, 2), "family"),
        (e.AccountMoved(key(9), 11, 11, 0, 2), "accounts above it"),
        (e.AccountMoved(key(9), 11, 12, 0, 3), "version of the place"),
        (e.AccountProfileUpdated(key(9), 11, b"", 3), "version of the metadata"),
        (e.UsageQuarantined(key(9), 11, NOON_US, 0, (5,), "TOO_OLD"), "effective time"),
        (e.WriterOpened(3, 3, bytes(32)), "epoch"),
    ],
)
async def test_an_entry_that_breaks_a_rule_is_named(entry: e.Event, what: str) -> None:
    whats = await found(*SOUND, [PLAN, entry])
    assert f"entry 14, {what}" in whats, whats


async def test_every_hold_is_settled_once_and_none_is_forgotten() -> None:
    released = e.HoldReleased(key(6), 11, 1)
    whats = await found(*SOUND, [released], [e.HoldReleased(key(7), 11, 1)])
    assert whats == ["entry 14, hold 1", "replay of entry 14"]
    capture = changed(USAGE, key=key(9), hold=1)
    assert await found(*SOUND, [PLAN, capture]) == []
    whats = await found(*SOUND, [released], [PLAN, capture])
    assert whats == ["entry 15, hold 1", "replay of entry 15"]


async def test_a_hold_that_is_overdue_expires_before_it_is_used() -> None:
    late = {4: EXPIRY_US + 5}
    whats = await found(*SOUND, [e.HoldReleased(key(6), 11, 1)], at=late)
    assert whats == ["entry 13, hold 1"]
    assert await found(*SOUND, [e.HoldExpired(11, 1)], at=late) == []


async def test_a_late_capture_comes_once_and_after_an_expiry_only() -> None:
    late = changed(USAGE, key=key(9), hold=1, late=1)
    again = changed(late, key=key(10), charges=(10,), slices=(e.Slice(1, 1, 10),))
    expired = [e.HoldExpired(11, 1)]
    at = {4: EXPIRY_US + 5, 5: EXPIRY_US + 6, 6: EXPIRY_US + 7}
    assert await found(*SOUND, expired, [PLAN, late], at=at) == []
    whats = await found(*SOUND, expired, [PLAN, late], [PLAN, again], at=at)
    assert whats == ["entry 17, late captures before"]
    whats = await found(*SOUND, [e.HoldReleased(key(6), 11, 1)], [PLAN, late])
    assert whats == ["entry 15, end of the hold"]


CAPTURED = e.UsageCaptured(
    key(11), 11, NOON_US, 0, (2,), (10,), 3, (e.Slice(1, 1, 10),), NOON_US, hold=1, taken=(10,)
)


async def test_a_capture_that_keeps_its_hold_open_takes_of_it_first() -> None:
    again = changed(CAPTURED, key=key(12))
    released = e.HoldReleased(key(6), 11, 1)
    assert await found(*SOUND, [PLAN, CAPTURED], [PLAN, again], [released]) == []
    for entry, what in (
        (changed(CAPTURED, taken=(11,)), "taken of book 1 of hold 1"),
        (changed(CAPTURED, taken=(-1,)), "taken of book 1 of hold 1"),
        (changed(CAPTURED, taken=(9,)), "left of book 1 of hold 1 beside new usage"),
        (changed(CAPTURED, taken=(5, 5)), "slices taken of"),
        (changed(CAPTURED, charges=(11,)), "sum of slices"),
    ):
        whats = await found(*SOUND, [PLAN, entry])
        assert f"entry 14, {what}" in whats, whats
    whats = await found(*SOUND, [released], [PLAN, CAPTURED])
    assert whats[0] == "entry 15, hold 1"


async def test_an_extension_ends_within_a_day_of_the_authorisation() -> None:
    extended = e.HoldExtended(key(11), 11, 1, 60, NOON_US + 3 + 60)
    assert await found(*SOUND, [extended]) == []
    whats = await found(*SOUND, [changed(extended, expires_at=NOON_US + 3 + 61)])
    assert whats == ["entry 13, expiry of the hold"]
    whats = await found(
        *SOUND, [changed(extended, lifetime=DAY_US, expires_at=NOON_US + 3 + DAY_US)]
    )
    assert whats == ["entry 13, expiry of hold 1"]
    late = {4: NOON_US + 10, 5: NOON_US + 20}
    soon = changed(extended, lifetime=5, expires_at=NOON_US + 15)
    assert await found(*SOUND, [soon], [e.HoldExpired(11, 1)], at=late) == []
    whats = await found(*SOUND, [soon], [e.HoldReleased(key(6), 11, 1)], at=late)
    assert whats == ["entry 14, hold 1"]
    whats = await found(*SOUND, [e.HoldReleased(key(6), 11, 1)], [extended])
    assert whats[0] == "entry 14, hold 1"


async def test_an_expiry_charges_by_the_policy_of_the_authorisation_and_when_it_is_due() -> None:
    charged = e.HoldCharged(
        b"", 11, EXPIRY_US + 2, 0, (5,), (30,), 3, (e.Slice(1, 1, 30),), NOON_US, hold=1
    )
    charging = [*SOUND[:2], [PLAN, changed(HOLD, expiry=e.HoldExpiry.CHARGE)]]
    at = {4: EXPIRY_US + 5}
    assert await found(*charging, [PLAN, charged], at=at) == []
    whats = await found(*SOUND, [PLAN, charged], at=at)
    assert whats == ["entry 14, end of hold 1"]
    whats = await found(*charging, [PLAN, charged])
    assert whats == ["entry 14, expiry of hold 1"]
    for entry, what in (
        (changed(charged, quantities=(6,)), "quantity charged of hold 1"),
        (changed(charged, effective_at=EXPIRY_US), "effective time"),
        (changed(charged, charges=(29,)), "sum of slices"),
    ):
        whats = await found(*charging, [PLAN, entry], at=at)
        assert f"entry 14, {what}" in whats, whats
    capture = [PLAN, changed(USAGE, key=key(9), hold=1, late=1)]
    whats = await found(*charging, [PLAN, charged], capture, at={**at, 5: EXPIRY_US + 6})
    assert "entry 16, end of the hold" in whats, whats


async def test_a_lifetime_is_one_that_products_have() -> None:
    whats = await found(*SOUND[:2], [PLAN, changed(HOLD, lifetime_max=2 * DAY_US)])
    assert whats == ["entry 12, longest lifetime of the hold"]


async def test_a_hold_that_stays_open_for_ever_is_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.verify.holds.OVERDUE_BATCHES_MAX", 2)
    policies = [
        [e.AccountPolicyUpdated(key(20 + version), 11, e.AccountPolicy(), version)]
        for version in range(2, 6)
    ]
    at = {batch: EXPIRY_US + batch for batch in range(4, 8)}
    assert await found(*SOUND, *policies[:2], at=at) == []
    assert await found(*SOUND, *policies, at=at) == ["hold 1"]


async def test_breakage_waits_for_the_grace() -> None:
    ends = changed(GRANT, expires_at=NOON_US + 10)
    first = [each if each is not GRANT else ends for each in FIRST]
    expired = [e.GrantExpired(11, 1, 100, 2)]
    assert await found(first, expired, at={2: NOON_US + 10 + PERIOD_GRACE_US}) == []
    whats = await found(first, expired, at={2: NOON_US + 9 + PERIOD_GRACE_US})
    assert whats == ["entry 9, breakage of grant 1"]


async def test_breakage_waits_for_the_grace_of_the_policy() -> None:
    """Rule T3: that of the account, as it stands when the breakage is posted."""
    ends = changed(GRANT, expires_at=NOON_US + 10)
    first = [each if each is not GRANT else ends for each in FIRST]
    shorter = [e.AccountPolicyUpdated(key(20), 11, e.AccountPolicy(period_grace=0), 2)]
    expired = [e.GrantExpired(11, 1, 100, 2)]
    assert await found(first, shorter, expired, at={3: NOON_US + 10}) == []
    whats = await found(first, shorter, expired, at={3: NOON_US + 9})
    assert whats == ["entry 10, breakage of grant 1"]


async def test_usage_counts_in_a_month_that_takes_it() -> None:
    """Rules T1 and T2: its own while that is open, else the one that runs; on its side of a change
    of zone."""
    free = changed(USAGE, key=key(9), account=12, charges=(0,), used_book=0, slices=())
    away = [e.AccountPolicyUpdated(key(20), 12, ELSEWHERE, 2, zone_from=NOON_US + DAY_US)]
    at = {2: NOON_US + 1, 3: NOON_US + 3 * DAY_US}
    before, after = NOON_US + DAY_US - 1, NOON_US + DAY_US
    for effective_at, period, sound in (
        (before, NOON_US, True),
        (after, after, True),
        (after, NOON_US, False),  # from the old zone into the new one
        (before, after, True),  # closed a day after its end
        (after + DAY_US, after + DAY_US + 1, False),  # closed while late usage is taken
        (before, NOON_US - 40 * DAY_US, False),
    ):
        usage = changed(free, effective_at=effective_at, period=period)
        whats = await found(FIRST, away, [PLAN, usage], at=at)
        assert bool(whats) is not sound, (effective_at - NOON_US, period - NOON_US, whats)
        assert all("month" in what for what in whats)


@pytest.mark.parametrize(
    "changes",
    [
        {"zone_from": 0},  # another zone, from no instant
        {"zone_from": NOON_US},  # not after the change
        {"zone_from": NOON_US + 40 * DAY_US},  # no month is as long
        {"policy": e.AccountPolicy()},  # no other zone
        {"zone_from_below": ((11, NOON_US + DAY_US),)},  # not below it
    ],
)
async def test_another_zone_counts_from_the_end_of_the_month(changes: dict[str, Any]) -> None:
    """Rule T1."""
    sound = e.AccountPolicyUpdated(key(20), 12, ELSEWHERE, 2, zone_from=NOON_US + DAY_US)
    assert await found(FIRST, [sound]) == []
    assert len(await found(FIRST, [changed(sound, **changes)])) == 1


async def test_without_a_state_each_entry_s_own_balance_is_judged() -> None:
    """What an incremental run does."""
    written = Written()
    await written.write(*SOUND, [PLAN, changed(USAGE, key=key(9), charges=(31,))])
    report = ShardReport(SHARD)
    findings = Findings(report)
    rows = [row async for row in written.journal.read(0)]
    start = replace(BEGINNING, batch_seq=1, entries=rows[0].next_event, hash=rows[0].hash)
    check = ShardCheck(report, findings, {}, (), start, rows[0].recorded_at_us)
    for row in rows[1:]:
        check.take(row)
    check.end()
    assert [each.what for each in findings.found] == ["entry 14, sum of slices"]


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        (closed_out(holds=()), "holds given back"),
        (closed_out(release_holds=False), "holds given back"),
        (closed_out(write_off=False), "written off"),
        (closed_out(account=12), "holds given back"),
        (closed_out(closed_at=NOON_US), "closed at"),
        (closed_out(FORFEIT_69), "left in book 1"),
        (closed_out(changed(FORFEIT, credit=2)), "write-off of book 1, kinds"),
        (closed_out(changed(FORFEIT, grant=0)), "write-off of book 1, grant"),
        (closed_out(changed(FORFEIT, asset=8)), "write-off of book 1, assets"),
    ],
)
async def test_a_closing_that_leaves_or_takes_too_much_is_named(
    entry: e.AccountClosedOut, what: str
) -> None:
    forfeited = e.BookOpened(6, 1, e.BookKind.FORFEITED, CREDIT)
    assert await found(*SOUND, [forfeited, closed_out()]) == []
    whats = await found(*SOUND, [forfeited, entry])
    assert f"entry 14, {what}" in whats, whats


async def test_nothing_new_is_recorded_for_a_frozen_account_or_one_below() -> None:
    below = changed(ACCOUNT, key=key(20), account=13, parent=11)
    frozen, unfrozen = e.AccountFrozen(key(21), 11), e.AccountUnfrozen(key(22), 11)
    capture = changed(USAGE, key=key(9), hold=1)
    assert await found(*SOUND, [frozen], [PLAN, capture]) == []
    for new in (
        changed(USAGE, key=key(9), charges=(0,), used_book=0, slices=()),
        changed(USAGE, key=key(9), account=13, charges=(0,), used_book=0, slices=()),
        e.AuthorizeDenied(key(9), 11, 0, (5,), 30, 0, "INSUFFICIENT_CREDITS", 0, 1),
        changed(HOLD, key=key(9), hold=2, effective_at=NOON_US + 4, expires_at=EXPIRY_US + 4),
    ):
        assert await found(*SOUND, [below, frozen], [PLAN, new]) == ["entry 16, frozen, account 11"]
        assert "frozen, account 11" not in str(
            await found(*SOUND, [below, frozen, unfrozen, PLAN, new])
        )
    assert await found(*SOUND, [frozen, changed(frozen, key=key(23))]) == [
        "entry 14, frozen before"
    ]


async def test_nothing_is_recorded_for_the_time_in_which_an_account_was_closed() -> None:
    closed_us, reopened_us = NOON_US + 100, NOON_US + 200
    closed = [e.AccountClosed(key(20), 12, closed_us)]
    reopened = [e.AccountReopened(key(21), 12)]
    free = changed(USAGE, key=key(9), account=12, charges=(0,), used_book=0, slices=())
    early = changed(free, effective_at=closed_us - 1)
    within = changed(free, effective_at=closed_us)
    after = changed(free, effective_at=reopened_us)
    at = {2: closed_us, 3: reopened_us, 4: reopened_us + 1}
    for sound in (early, after):
        assert await found(FIRST, closed, reopened, [PLAN, sound], at=at) == []
    assert await found(FIRST, closed, reopened, [PLAN, within], at=at) == [
        "entry 12, time of usage"
    ]
    late = {**at, 4: closed_us + PERIOD_GRACE_US}
    assert await found(FIRST, closed, reopened, [PLAN, early], at=late) == [
        "entry 12, time of usage"
    ]
    assert await found(FIRST, closed, [PLAN, within], at=at) == ["entry 11, time of usage"]
    child = changed(ACCOUNT, key=key(22), account=13, parent=12, root=12)
    assert await found(FIRST, [child], closed, at={3: closed_us}) == ["entry 10, account 13 below"]


RULE = e.TopUpRule(CREDIT, 50, 100, 0, 3, 2, 8, "card", 1, HOUR_US)
RULED = e.TopUpRuleSet(key(30), 11, RULE, 1)
REQUESTED = e.TopUpRequested(
    11, 1, CREDIT, 60, 90, 8, "card", 1, "40", NOON_US + 3 + DAY_US
)  # 70 are left, 30 of them held
DECLINED = e.TopUpDeclined(key(31), 11, 1)
AGAIN = changed(REQUESTED, top_up=2)


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ([changed(RULED, version=2), REQUESTED], "version of the top-up rule"),
        ([changed(RULED, rule=changed(RULE, enabled=False)), REQUESTED], "top-up 1"),
        ([changed(RULED, rule=changed(RULE, threshold=40)), REQUESTED], "available and pending"),
        ([RULED, changed(REQUESTED, top_up=4)], "number of the top-up"),
        ([RULED, changed(REQUESTED, available="41")], "available"),
        ([RULED, changed(REQUESTED, amount=61, price_paid=92)], "reached by top-up 1"),
        ([RULED, changed(REQUESTED, price_paid=91)], "price of top-up 1"),
        ([RULED, changed(REQUESTED, expires_at=NOON_US)], "expiry of the top-up"),
        ([RULED, REQUESTED, AGAIN], "available and pending"),
        ([RULED, REQUESTED, DECLINED, AGAIN], "time of the top-up"),
        ([RULED, REQUESTED, DECLINED, AGAIN], "top-ups in the window"),
        ([RULED, REQUESTED, DECLINED, changed(DECLINED, key=key(32))], "state of top-up 1"),
        ([RULED, REQUESTED, e.TopUpExpired(11, 1)], "expiry of the top-up"),
        ([RULED, REQUESTED, e.TopUpConfirmed(key(33), 11, 1, 1)], "grant of top-up 1"),
    ],
)
async def test_a_top_up_that_breaks_a_rule_is_named(entries: list[e.Event], what: str) -> None:
    """Rule H6, said once more apart from the core."""
    assert await found(*SOUND, [RULED, REQUESTED, DECLINED]) == []
    whats = await found(*SOUND, entries)
    assert any(each.endswith(f", {what}") for each in whats), whats


POLICY = e.AccountPolicy(overdraft_asset=CREDIT, overdraft_limit=30, overdraft_grace=1)
ADVANCED = changed(USAGE, key=key(40), slices=(e.Slice(e.Pot.OVERDRAFT, 5, 30),))


@pytest.mark.parametrize(
    ("policy", "batches", "what"),
    [
        (POLICY, [[PLAN, ADVANCED]], ""),
        (changed(POLICY, overdraft_limit=29), [[PLAN, ADVANCED]], "owed in advance by account 11"),
        (changed(POLICY, overdraft_asset=8), [[PLAN, ADVANCED]], "owed in advance by account 11"),
        (
            changed(
                POLICY,
                overdraft_kind=e.OverdraftKind.PERCENT_OF_LIFETIME,
                overdraft_basis_points=10_000,
            ),
            [[PLAN, ADVANCED]],
            "owed in advance by account 11",
        ),
        (
            POLICY,
            [
                [PLAN, ADVANCED],
                [PLAN, changed(HOLD, key=key(41), hold=2, policy_version=2)],
            ],
            "time below zero",
        ),
        (
            changed(POLICY, holds_overdraft=False),
            [
                [
                    PLAN,
                    changed(
                        HOLD,
                        key=key(41),
                        hold=2,
                        policy_version=2,
                        slices=(e.Slice(e.Pot.OVERDRAFT, 5, 30),),
                    ),
                ]
            ],
            "holds_overdraft",
        ),
        (POLICY, [[PLAN, changed(HOLD, key=key(41), hold=2)]], "version of the policy"),
    ],
)
async def test_an_overdraft_beyond_its_policy_is_named(
    policy: e.AccountPolicy, batches: list[list[e.Event]], what: str
) -> None:
    """Rules D4 and H6: the limit, its kind and the grace that stand in the policy."""
    updated = e.AccountPolicyUpdated(key(42), 11, policy, 2)
    whats = await found(*SOUND, [updated], *batches)
    if not what:
        assert whats == []
    assert not what or any(each.endswith(f", {what}") for each in whats), whats
