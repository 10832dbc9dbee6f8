"""An account's months: in its zone, through changes of it and of grace (T1, T2, T3, D4, R1)."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from core_world import CREDITS, FAMILY, START_US, TENANT, USD, Core, replay
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase, ledger_case
from test_verify_rules import judged
from zone_files import first_shown, shown, utc

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.core.packing import drop_family, pack_family, unpack_family
from ledger.core.periods import Calendar, counting_from
from ledger.core.state import GRANT_EXPIRED, GRANT_OPEN

ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Pacific/Apia",  # had no 30 December 2011
    "Pacific/Kiritimati",  # 14 hours ahead; had no 1 January 1995
    "Pacific/Niue",  # 11 hours behind
)


# -- caps by the month (rule D4) -------------------------------------------------------------------


@ledger_case
def test_a_cap_is_of_the_month_in_a_zone_east_of_utc(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10
    usage   acme 10                         -> overage 10 on acme
    clock   2026-01-31T22:59
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-01-31T23:00                # February there
    usage   acme 10                         -> overage 10 on acme
    usage   acme 1 at=-1m                   -> owed 1; 1 over the limit
    clock   2026-02-01
    usage   acme 1                          -> owed 1; 1 over the limit
    """


@ledger_case
def test_a_cap_is_of_the_month_in_a_zone_west_of_utc(case: LedgerCase) -> None:
    """
    account acme zone=America/New_York overage=self cap=10
    usage   acme 10                         -> overage 10 on acme  # December there
    clock   2026-01-01T05:00
    usage   acme 10                         -> overage 10 on acme
    clock   2026-02-01T04:59
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-02-01T05:00
    usage   acme 10                         -> overage 10 on acme
    """


@ledger_case
def test_months_begin_at_local_midnight_whatever_the_clocks_do(case: LedgerCase) -> None:
    """
    account acme zone=America/New_York overage=self cap=10
    account bolt zone=Europe/Berlin    overage=self cap=10
    clock   2026-03-20
    usage   acme 10                         -> overage 10 on acme
    usage   bolt 10                         -> overage 10 on bolt
    clock   2026-03-31T21:59                # clocks went forward on the 29th
    usage   bolt 1                          -> owed 1; 1 over the limit
    clock   2026-03-31T22:00
    usage   bolt 10                         -> overage 10 on bolt
    clock   2026-04-01T03:59                # on the 8th
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-04-01T04:00
    usage   acme 10                         -> overage 10 on acme
    """


@ledger_case
def test_a_zone_is_the_nearest_ancestors(case: LedgerCase) -> None:
    """
    account acme        zone=Europe/Berlin
    account acme/a      parent=acme   overage=self cap=10
    account acme/a/x    parent=acme/a overage=self cap=10
    account acme/b      parent=acme   overage=self cap=10 zone=UTC
    usage   acme/a   10                     -> overage 10 on acme/a
    usage   acme/a/x 10                     -> overage 10 on acme/a/x
    usage   acme/b   10                     -> overage 10 on acme/b
    clock   2026-01-31T23:00
    usage   acme/a   10                     -> overage 10 on acme/a
    usage   acme/a/x 10                     -> overage 10 on acme/a/x
    usage   acme/b   1                      -> owed 1; 1 over the limit
    """


@ledger_case
def test_holds_count_in_the_month_of_their_authorisation(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10
    clock   2026-01-31T22:55
    hold    acme 10 as=h
    hold    acme 1 as=i                     -> denied INSUFFICIENT_CREDITS
    clock   2026-01-31T23:01
    capture h 10 at=-2m                     -> overage 10 on acme
    usage   acme 10                         -> overage 10 on acme
    hold    acme 1 as=j                     -> denied INSUFFICIENT_CREDITS
    """


# -- rounding over the month (rule R1) -------------------------------------------------------------


@ledger_case
def test_rounding_starts_anew_with_the_local_month(case: LedgerCase) -> None:
    """
    account acme zone=America/New_York
    grant   acme 100
    usage   acme 1 of=half                  -> free  # 1/2, half to even
    clock   2026-01-01T04:59
    usage   acme 1 of=half                  -> drawn 1 from acme
    usage   acme 1 of=half                  -> drawn 1 from acme
    clock   2026-01-01T05:00
    usage   acme 1 of=half                  -> free
    usage   acme 1 of=half at=-1m           -> free  # the fourth of December: 2
    usage   acme 1 of=half                  -> drawn 1 from acme
    """


# -- late events and closed months (rule T2) -------------------------------------------------------


@ledger_case
def test_a_month_closes_so_long_after_its_end_in_its_zone(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10 grace=1h
    usage   acme 4 id=u                     -> overage 4 on acme
    clock   2026-01-31T23:59
    usage   acme 4 at=2026-01-31T22:59      -> overage 4 on acme
    clock   2026-02-01
    usage   acme 4 at=2026-01-31T22:59      -> overage 4 on acme; adjustment
    usage   acme 4 at=2026-01-31T23:00      -> overage 4 on acme
    usage   acme 4 at=2026-01-31T22:59      -> overage 2 on acme, owed 2; 2 over the limit; \
adjustment
    reverse u                               -> 4 to overage; adjustment
    """


@ledger_case
def test_what_is_closed_stays_closed_under_a_longer_grace(case: LedgerCase) -> None:
    """
    account acme overage=self cap=10 grace=0s
    clock   2026-02-01
    usage   acme 1 at=-1m                   -> overage 1 on acme; adjustment
    policy  acme overage=self cap=10 grace=10d
    usage   acme 1 at=-1m                   -> overage 1 on acme; adjustment
    clock   2026-03-10
    usage   acme 10 at=2026-02-28           -> overage 8 on acme, owed 2; 2 over the limit
    policy  acme overage=self cap=10 grace=0s
    usage   acme 10 at=2026-02-28           -> overage 10 on acme; adjustment
    policy  acme overage=self cap=10 grace=10d
    usage   acme 1 at=2026-02-28            -> owed 1; 1 over the limit; adjustment
    """


@ledger_case
def test_a_closing_whose_grace_is_over_stays_so_under_a_longer_one(case: LedgerCase) -> None:
    """
    account acme grace=1h
    clock   2026-01-10
    close   acme
    clock   2026-01-10T01:00
    reopen  acme
    policy  acme grace=10d
    usage   acme 1 at=2026-01-09            -> refused ACCOUNT_CLOSED account
    """


# -- another zone (rule T1) ------------------------------------------------------------------------


@ledger_case
def test_a_zone_further_west_counts_from_the_end_of_the_month(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10
    clock   2026-01-20
    usage   acme 10                         -> overage 10 on acme
    policy  acme zone=America/New_York overage=self cap=10
    clock   2026-01-31T22:59
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-01-31T23:00                # January ends as it was to end, in Berlin
    usage   acme 10                         -> overage 10 on acme
    clock   2026-02-01T05:00                # the six hours belong to February
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-03-01T04:59
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-03-01T05:00
    usage   acme 10                         -> overage 10 on acme
    """


@ledger_case
def test_a_zone_further_east_counts_from_the_end_of_the_month(case: LedgerCase) -> None:
    """
    account acme zone=America/New_York overage=self cap=10
    clock   2026-01-20
    usage   acme 10                         -> overage 10 on acme
    policy  acme zone=Pacific/Kiritimati overage=self cap=10
    clock   2026-02-01T04:59                # February has begun there 18 hours ago
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-02-01T05:00
    usage   acme 10                         -> overage 10 on acme
    clock   2026-02-28T09:59
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-02-28T10:00
    usage   acme 10                         -> overage 10 on acme
    """


@ledger_case
def test_late_usage_is_of_the_month_in_the_zone_of_before(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10
    clock   2026-01-20
    policy  acme zone=America/New_York overage=self cap=10
    clock   2026-02-01T12:00
    usage   acme 10                         -> overage 10 on acme
    usage   acme 10 at=2026-01-31T22:59     -> overage 10 on acme
    usage   acme 1  at=2026-01-31T23:00     -> owed 1; 1 over the limit
    clock   2026-02-01T23:00                # a day after the end in Berlin
    usage   acme 1  at=2026-01-31T22:59     -> owed 1; 1 over the limit; adjustment
    """


@ledger_case
def test_within_a_month_the_last_change_of_zone_holds(case: LedgerCase) -> None:
    """
    account acme zone=Europe/Berlin overage=self cap=10
    clock   2026-01-20
    policy  acme zone=America/New_York overage=self cap=10
    policy  acme zone=Asia/Kathmandu overage=self cap=10
    clock   2026-02-10
    usage   acme 10                         -> overage 10 on acme
    policy  acme zone=UTC overage=self cap=10
    policy  acme zone=Asia/Kathmandu overage=self cap=10
    clock   2026-02-28T18:14
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-02-28T18:15
    usage   acme 10                         -> overage 10 on acme
    """
    zones = case.core.state.accounts[1].calendar.zones
    assert zones == ((0, "Europe/Berlin"), (utc("2026-01-31T23:00"), "Asia/Kathmandu"))


@ledger_case
def test_an_ancestors_change_counts_from_the_end_of_each_ones_own_month(case: LedgerCase) -> None:
    """
    account acme         zone=Europe/Berlin
    account acme/a       parent=acme   overage=self cap=10
    account acme/a/x     parent=acme/a overage=self cap=10
    account acme/tokyo   parent=acme   overage=self cap=10 zone=Asia/Tokyo
    account acme/own     parent=acme   overage=self cap=10 zone=UTC
    clock   2026-01-20
    policy  acme/tokyo   overage=self cap=10        # its January ends in Tokyo, at 15:00
    policy  acme         zone=America/New_York
    usage   acme/a     10                   -> overage 10 on acme/a
    usage   acme/a/x   10                   -> overage 10 on acme/a/x
    usage   acme/tokyo 10                   -> overage 10 on acme/tokyo
    usage   acme/own   10                   -> overage 10 on acme/own
    account acme/new     parent=acme   overage=self cap=10
    usage   acme/new   10                   -> overage 10 on acme/new
    clock   2026-01-31T15:00
    usage   acme/tokyo 10                   -> overage 10 on acme/tokyo
    usage   acme/a     1                    -> owed 1; 1 over the limit
    clock   2026-01-31T23:00
    usage   acme/a     10                   -> overage 10 on acme/a
    usage   acme/a/x   10                   -> overage 10 on acme/a/x
    usage   acme/new   10                   -> overage 10 on acme/new
    usage   acme/tokyo 1                    -> owed 1; 1 over the limit
    usage   acme/own   1                    -> owed 1; 1 over the limit
    clock   2026-02-01
    usage   acme/own   10                   -> overage 10 on acme/own
    clock   2026-03-01T04:59
    usage   acme/a     1                    -> owed 1; 1 over the limit
    usage   acme/tokyo 1                    -> owed 1; 1 over the limit
    clock   2026-03-01T05:00
    usage   acme/a     10                   -> overage 10 on acme/a
    usage   acme/tokyo 10                   -> overage 10 on acme/tokyo
    """


@ledger_case
def test_accounts_of_one_zone_share_its_months(case: LedgerCase) -> None:
    """
    account acme   zone=Europe/Berlin
    account acme/a parent=acme
    account bolt   zone=Europe/Berlin
    account coal
    """
    acme, team, bolt, coal = [case.core.state.accounts[number].calendar for number in range(1, 5)]
    assert acme is team and acme is bolt and acme is not coal
    case.run("clock 2026-01-20\npolicy acme zone=Asia/Tokyo")
    acme, team, bolt, _ = [case.core.state.accounts[number].calendar for number in range(1, 5)]
    assert acme is team and acme is not bolt


# -- breakage after the account's grace (rule T3) --------------------------------------------------


@ledger_case
def test_breakage_comes_at_once_without_a_grace(case: LedgerCase) -> None:
    """
    account acme grace=0s
    grant   acme 10 as=G paid=100 expires=2026-01-10
    clock   2026-01-10
    usage   acme 1 at=2026-01-09            -> G expired 10; owed 1; 1 over the limit
    expect  money breakage 100
    """


@ledger_case
def test_breakage_waits_for_a_grace_of_ten_days(case: LedgerCase) -> None:
    """
    account acme grace=10d
    grant   acme 10 as=G paid=100 expires=2026-02-01
    clock   2026-02-10T23:59
    sweep                                   -> nothing
    usage   acme 1 at=2026-01-31            -> drawn 1 from G
    usage   acme 1                          -> owed 1; 1 over the limit
    clock   2026-02-11
    sweep                                   -> G expired 9
    expect  money breakage 90
    usage   acme 1 at=2026-01-31            -> owed 1; 1 over the limit; adjustment
    """


@ledger_case
def test_breakage_follows_a_change_of_the_grace(case: LedgerCase) -> None:
    """
    account acme grace=1d
    grant   acme 10 as=G expires=2026-02-01
    grant   acme 10 as=H expires=2026-01-31
    clock   2026-02-01T12:00
    sweep                                   -> H expired 10
    policy  acme grace=3d
    clock   2026-02-03
    sweep                                   -> nothing
    usage   acme 1 at=2026-01-31            -> drawn 1 from G
    policy  acme grace=1d
    sweep                                   -> G expired 9
    policy  acme grace=10d
    usage   acme 1 at=2026-01-31            -> owed 1; 1 over the limit; adjustment
    """


@ledger_case
def test_a_rollover_and_the_breakage_of_its_rest_come_at_one_instant(case: LedgerCase) -> None:
    """
    account acme grace=0s
    grant   acme 10 as=G expires=2026-01-10 rolls=1/2
    clock   2026-01-10
    sweep                                   -> G rolled over 5; G expired 5
    """


# -- what must hold for any history ----------------------------------------------------------------


class Model:
    """An account's months as a list of bounds, written down change by change."""

    def __init__(self, zone: str) -> None:
        self.bounds = starts(zone)

    def move(self, zone: str, now: int) -> None:
        """The month that runs ends as it was to end; then months of the zone, the first with what
        is left in between."""
        end = next(bound for bound in self.bounds if bound > now)
        kept = [bound for bound in self.bounds if bound <= end]
        self.bounds = kept + [bound for bound in starts(zone) if bound > end + 2 * DAY_US]

    def month_of(self, at: int) -> tuple[int, int]:
        start = max(bound for bound in self.bounds if bound <= at)
        return start, next(bound for bound in self.bounds if bound > at)


def starts(zone: str, first: int = 2024, years: int = 5) -> list[int]:
    return [
        first_shown(datetime(year, month, 1), zone)
        for year in range(first, first + years)
        for month in range(1, 13)
    ]


ACCOUNTS = {1: 0, 2: 1, 3: 2, 4: 1}  # account -> parent
changes = st.lists(
    st.one_of(
        st.tuples(st.just("zone"), st.sampled_from([*ACCOUNTS]), st.sampled_from(["", *ZONES])),
        st.tuples(st.just("open"), st.just(0), st.sampled_from(["", "", *ZONES])),
        st.tuples(
            st.just("clock"),
            st.sampled_from([MINUTE_US, 5 * HOUR_US, 3 * DAY_US, 11 * DAY_US, 40 * DAY_US]),
            st.just(""),
        ),
    ),
    max_size=14,
)


@given(changes, st.lists(st.integers(-400 * DAY_US, 60 * DAY_US), min_size=8, max_size=8))
def test_every_instant_is_of_one_month_of_an_account(
    taken: list[tuple[str, int, str]], offsets: list[int]
) -> None:
    """Whatever zones an account and those above it had: its months are those that were written down
    change by change, in the state that lived, in a replay, and after it was packed (rule T1)."""
    core, models, zones, parents = Core(), {}, {}, dict(ACCOUNTS)

    def zone_of(number: int) -> str:
        return zones[number] or (zone_of(parents[number]) if parents[number] else "UTC")

    def inheriting(number: int) -> list[int]:
        below = [each for each in models if parents[each] == number and not zones[each]]
        return [number, *[each for child in below for each in inheriting(child)]]

    def open_account(number: int, zone: str) -> None:
        policy = e.AccountPolicy(zone=zone)
        key = FAMILY.request(f"open {number}")
        core.run(c.CreateAccount(key, TENANT, number, parents[number], 1, policy))
        zones[number] = zone
        models[number] = Model(zone_of(number))
        if not zone and parents[number]:
            models[number].bounds = list(models[parents[number]].bounds)

    for number in ACCOUNTS:
        open_account(number, "")
    for request, (verb, number, zone) in enumerate(taken):
        if verb == "clock":
            core.advance(number)
        elif verb == "open":
            fresh = len(models) + 1
            parents[fresh] = 1 + request % len(models)
            open_account(fresh, zone)
        else:
            before = zone_of(number)
            key = FAMILY.request(f"policy {request}")
            core.run(c.UpdatePolicy(key, number, e.AccountPolicy(zone=zone)))
            zones[number] = zone
            if zone_of(number) != before:
                for each in inheriting(number):
                    models[each].move(zone_of(number), core.now)
    again = replay(core.journal())
    assert digest(again) == digest(core.state)
    body = pack_family(core.state, 1, core.state.settled_before)
    assert pack_family(again, 1, again.settled_before) == body
    instants = [core.now + offset for offset in offsets] + [START_US - 30 * DAY_US, core.now]
    for state in (core.state, again, paged(again, body)):
        for number, model in models.items():
            calendar = state.accounts[number].calendar
            assert calendar.zone == zone_of(number)
            for at in instants:
                assert (calendar.start_of(at), calendar.end) == model.month_of(at)
    assert digest(again) == digest(core.state)


def paged(state: Any, body: bytes) -> Any:
    drop_family(state, 1)
    unpack_family(state, body)
    return state


@pytest.mark.parametrize("zone", ZONES)
def test_months_of_one_zone(zone: str) -> None:
    """From its first midnight to its last, apart from zoneinfo; without a gap."""
    calendar = Calendar(((0, zone),))
    bounds = starts(zone, 1994, 40)
    for start, end in pairwise(bounds):
        for at in (start, start + 1, (start + end) // 2, end - 1):
            assert (calendar.start_of(at), calendar.end_of(at)) == (start, end)


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_any_instant_of_64_bits_has_one_month(at: int, first: str, second: str) -> None:
    """Zones are asked from 1970 to 8999, and months of UTC stand before and after; nothing between
    them is left out or twice."""
    calendar = Calendar(counting_from(((0, first),), second, 10 * DAY_US))
    start, end = calendar.start_of(at), calendar.end_of(at)
    assert start <= at < end
    if start > -(2**63):
        assert calendar.end_of(start - 1) == start
    assert calendar.start_of(end) == end
    assert calendar.start_of(end - 1) == start


@given(st.sampled_from(ZONES), st.sampled_from(ZONES), st.integers(0, 400))
def test_no_change_of_zone_makes_another_month(first: str, second: str, day: int) -> None:
    """Zones are at most 26 hours apart: what is between is no month of its own, so that nobody gets
    another cap by it (rules T1, D4)."""
    alone = Calendar(((0, first),))
    since = alone.end_of(START_US + day * DAY_US)
    calendar = Calendar(counting_from(((0, first),), second, since))
    start, end = calendar.start_of(since), calendar.end_of(since)
    assert start == since
    if first != second:
        assert 26 * DAY_US < end - start < 33 * DAY_US
        assert shown(end, second).day == 1 and shown(end, second).hour == 0
    assert calendar.start_of(since - 1) == alone.start_of(since - 1)


graces = st.sampled_from([0, HOUR_US, DAY_US, 3 * DAY_US, 10 * DAY_US, 35 * DAY_US])
graced = st.lists(
    st.one_of(
        st.tuples(st.just("grace"), graces),
        st.tuples(st.just("grant"), st.sampled_from([1, HOUR_US, 2 * DAY_US, 31 * DAY_US])),
        st.tuples(st.just("late"), st.sampled_from([MINUTE_US, 2 * DAY_US, 20 * DAY_US])),
        st.tuples(st.just("clock"), st.sampled_from([1, HOUR_US, DAY_US, 9 * DAY_US, 31 * DAY_US])),
    ),
    max_size=25,
)


@given(graced, st.sampled_from(["", "America/New_York", "Asia/Kathmandu"]))
def test_a_month_that_takes_late_usage_finds_what_expired_with_it(
    taken: list[tuple[str, int]], zone: str
) -> None:
    """However the grace changes: breakage is posted when, and only when, whatever ended with the
    grant is closed for ever; and what is closed never opens again (rules T2, T3)."""
    core = Core()
    grace = DAY_US
    core.run(c.CreateAccount(FAMILY.request("a"), TENANT, 1, 0, 1, e.AccountPolicy(zone=zone)))
    account = core.state.accounts[1]
    closed_by = account.closed_by(core.now)
    for number, (verb, value) in enumerate(taken):
        key = FAMILY.request(str(number))
        if verb == "grace":
            grace = value
            policy = e.AccountPolicy(zone=zone, period_grace=grace)
            core.run(c.UpdatePolicy(key, 1, policy))
        elif verb == "grant":
            kind = e.GrantKind.PROMOTIONAL
            terms = (kind, CREDITS, 100, 0, USD, 0, 0, core.now + value, (), b"")
            core.run(c.IssueGrant(key, 1, *terms))
        elif verb == "late":
            at = core.now - value
            shape = core.shape("chat", "tokens")
            core.run(
                c.RecordUsage(FAMILY.usage("late", str(number)), 1, shape, (1,), at, c.NO_NAMES)
            )
        else:
            core.advance(value)
        core.sweep(10_000)
        assert account.closed_by(core.now) >= closed_by
        closed_by = account.closed_by(core.now)
        for grant in account.grants:
            closed = grant.expires_at <= closed_by
            assert grant.settled == (GRANT_EXPIRED if closed else GRANT_OPEN)
    assert digest(replay(core.journal())) == digest(core.state)


@ledger_case
def test_what_comes_back_to_a_grant_that_ended_knows_no_longer_grace(case: LedgerCase) -> None:
    """
    # Rules T3, D6: its rest became breakage under the grace of then; what is held follows.
    account acme  grace=1h
    grant   acme  10  as=a  expires=+1h
    hold    acme  4   as=h  lifetime=20h
    clock   +3h
    sweep                    -> a expired 6
    policy  acme  grace=30d
    release h                -> released; a expired 4
    """
    assert judged(case.core) == []
