"""What of a contract's commitments rolls into the term that renews it (rules P5, T3, D7).

The contract is of January and February, 59 days, and renewed for March and April, 61 days. It
commits to 500 credits at 1,000 of its money, 2 each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from core_world import START_US, TENANT
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from replaying import replayed
from signing_world import MARCH, TERMS, Signing, committed
from test_backtest import assert_is_the_ledger
from test_packages import ACME, FEBRUARY
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Reason
from ledger.core.packages.packaged import Package

MAY = START_US + 120 * DAY_US
JULY = MAY + 61 * DAY_US
HALF_OF_IT = e.ContractRollover(1, 2)
ALL = e.ContractRollover(1, 1)
PREPAID = replace(TERMS, kind=e.GrantKind.PREPAID)


@pytest.fixture
def world() -> Iterator[Signing]:
    made = Signing()
    made.publish("enterprise", Package())
    yield made
    made.finish()


def sign(world: Signing, rollover: e.ContractRollover | None, **changes: Any) -> Any:
    fields: dict[str, Any] = {"auto_renew": 1, "committed": (committed(500, price=1_000),)}
    return world.sign(rollover=rollover, **{**fields, **changes})


def segments(world: Signing) -> list[tuple[int, int, int, int]]:
    """(first day, last day, units, price) of every segment."""
    return [
        (
            (each.effective_at - START_US) // DAY_US,
            (each.expires_at - START_US) // DAY_US,
            each.amount,
            each.price_paid,
        )
        for each in world.core.state.accounts[ACME].grants
        if each.commitment is not None
    ]


def trued_up(world: Signing) -> list[tuple[int, int]]:
    """(units, money) of every true-up, or of what was forfeited of a commitment."""
    grants = world.core.state.grants
    return [
        (event.amount, event.value)
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.GrantExpired) and grants[event.grant].commitment is not None
    ]


def test_a_fraction_of_what_is_left_rolls_over_with_its_share_of_the_price(world: Signing) -> None:
    """200 of 500 used; of 300 left half is 150 at 300, the rest is trued up after the grace."""
    sign(world, HALF_OF_IT)
    world.use(200)
    world.to(MARCH)
    assert segments(world) == [(0, 59, 500, 1_000), (59, 120, 500, 1_000), (59, 120, 150, 300)]
    kinds = [type(each) for each in world.core.batches[-1][1]]
    set_, renewed = kinds.index(e.GrantRolloverSet), kinds.index(e.ContractRenewed)
    assert set_ < renewed < kinds.index(e.GrantRolledOver) < kinds.index(e.SegmentAdded)
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(150, 300)]
    world.to(MAY + 2 * DAY_US)
    # What had rolled over does not roll again; of 500 that nobody drew half does.
    assert trued_up(world)[1:] == [(250, 500), (150, 300)]
    assert segments(world)[3:] == [(120, 181, 500, 1_000), (120, 181, 250, 500)]


def test_a_cap_is_of_each_segment(world: Signing) -> None:
    """Rule T3: min(500 x 1/1, 60)."""
    two = (committed(500, price=1_000), committed(40, price=80))
    sign(world, e.ContractRollover(1, 1, 60), committed=two)
    world.to(MARCH)
    assert segments(world)[4:] == [(59, 120, 60, 120), (59, 120, 40, 80)]


def test_by_default_nothing_rolls_over(world: Signing) -> None:
    """Rule D7: true-up at the segment's end."""
    sign(world, None)
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(500, 1_000)]
    assert len(segments(world)) == 2


def test_nor_where_the_contract_is_not_renewed(world: Signing) -> None:
    sign(world, ALL, auto_renew=0)
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(500, 1_000)]


def test_only_segments_that_end_with_the_term_roll_over(world: Signing) -> None:
    """Rule D7: a ramp is trued up at each segment's end."""
    ramp = e.Committed(
        TERMS, (e.Segment(0, FEBRUARY, 100, 200), e.Segment(FEBRUARY, MARCH, 300, 600))
    )
    sign(world, ALL, committed=(ramp,))
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(100, 200), (0, 0)]
    assert segments(world)[-1] == (59, 120, 300, 600)


def test_what_is_paid_ahead_keeps_its_price(world: Signing) -> None:
    """Rules T3, B4: from the deferred of the old to that of the new; the rest is breakage."""
    prepaid = e.Committed(PREPAID, (e.Segment(0, MARCH, 500, 1_000),))
    sign(world, HALF_OF_IT, committed=(prepaid,))
    world.to(MARCH + 2 * DAY_US)
    assert segments(world)[-1] == (59, 120, 250, 500)
    assert trued_up(world) == [(250, 500)]


def test_what_a_hold_gives_back_later_follows(world: Signing) -> None:
    """Rule D6: half of 300 at the renewal, half of 200 as the hold is released."""
    sign(world, HALF_OF_IT)
    shape = world.core.shape("chat", "tokens")
    world.to(MARCH - 1)
    held = world.ask(c.AuthorizeHold(world.key(), ACME, shape, (200,), DAY_US // 2))
    world.to(MARCH)
    assert segments(world)[2:] == [(59, 120, 150, 300)]
    world.ask(c.ReleaseHold(world.key(), ACME, held.hold))
    assert segments(world)[3:] == [(59, 120, 100, 200)]
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(250, 500)]


def test_nothing_follows_into_a_contract_that_was_ended(world: Signing) -> None:
    """What a hold gives back after that is trued up with the rest."""
    sign(world, HALF_OF_IT)
    shape = world.core.shape("chat", "tokens")
    world.to(MARCH - 1)
    held = world.ask(c.AuthorizeHold(world.key(), ACME, shape, (200,), DAY_US // 2))
    world.to(MARCH)
    world.end(ending=e.CommitmentEnding.WAIVE)
    world.ask(c.ReleaseHold(world.key(), ACME, held.hold))
    assert len(segments(world)) == 3
    world.to(MARCH + 2 * DAY_US)
    assert sum(units for units, _ in trued_up(world)) == 500 - 150


@pytest.mark.parametrize(
    ("ending", "units"),
    [(e.CommitmentEnding.TRUE_UP, 750), (e.CommitmentEnding.WAIVE, 0)],
)
def test_an_early_end_takes_what_has_rolled_over_along(
    world: Signing, ending: e.CommitmentEnding, units: int
) -> None:
    """Rule D7: it is a segment of the new term's commitment."""
    sign(world, HALF_OF_IT)
    world.to(MARCH + 2 * DAY_US)
    world.end(ending=ending)
    assert sum(each for each, _ in trued_up(world)) == 250 + units


def test_terms_that_nobody_saw_roll_over_in_order(world: Signing) -> None:
    """Rules T1, T4: the ledger was away for half a year."""
    sign(world, ALL)
    world.to(JULY + 2 * DAY_US)
    assert segments(world) == [
        (0, 59, 500, 1_000), (59, 120, 500, 1_000), (59, 120, 500, 1_000),
        (120, 181, 500, 1_000), (120, 181, 500, 1_000), (181, 243, 500, 1_000),
        (181, 243, 500, 1_000),
    ]  # fmt: skip
    # What rolled over once and was not used: trued up as its second term ends.
    assert [each for each in trued_up(world) if each[0]] == [(500, 1_000), (500, 1_000)]


@pytest.mark.parametrize("at", [MARCH, MARCH + 3 * DAY_US])
def test_an_account_without_grace_rolls_over_too(world: Signing, at: int) -> None:
    """The renewal comes before the true-up that is due at the same instant."""
    policy = replace(world.core.state.accounts[ACME].policy, period_grace=0)
    world.ask(c.UpdatePolicy(world.key(), ACME, policy))
    sign(world, ALL)
    world.to(at)
    assert segments(world)[2:] == [(59, 120, 500, 1_000)]
    assert [each for each in trued_up(world) if each[0]] == []


def test_late_usage_draws_what_did_not_roll_over(world: Signing) -> None:
    """Rule T3: the rest pays what was effective before the expiry, in its grace."""
    sign(world, HALF_OF_IT)
    world.to(MARCH + 1)
    world.use(50, at=MARCH - 1)
    world.to(MARCH + 2 * DAY_US)
    assert trued_up(world) == [(200, 400)]


def test_an_amendment_changes_what_rolls_over(world: Signing) -> None:
    """From now on; numerator 0 is nothing."""
    sign(world, ALL)
    world.to(FEBRUARY)
    world.amend(rollover=HALF_OF_IT)
    assert world.contract().rollover == HALF_OF_IT
    world.amend(auto_renew=1)
    assert world.contract().rollover == HALF_OF_IT
    world.to(MARCH)
    assert segments(world)[-1] == (59, 120, 250, 500)
    world.amend(rollover=e.ContractRollover(0, 1))
    assert world.contract().rollover is None
    world.to(MAY + 2 * DAY_US)
    assert len(segments(world)) == 4


def test_a_true_up_of_what_rolled_over_counts_toward_the_parents(world: Signing) -> None:
    """Rule D7: as that of any segment of the same time."""
    world.ask(c.CreateAccount(world.key(), TENANT, 2, ACME, ACME, e.AccountPolicy()))
    own = e.Committed(TERMS, (e.Segment(0, MARCH, 100, 200),))
    world.sign("child", account=2, auto_renew=1, rollover=ALL, committed=(own,))
    world.to(MARCH)
    above = e.Segment(0, MAY + DAY_US, 1_000, 2_000)
    made = world.ask(c.CreateCommitment(world.key(), ACME, TERMS, (above,), (), b""))
    world.to(MAY + 3 * DAY_US)
    (grant,) = world.core.state.commitments[made.commitment].grants
    counted = [
        event.amount
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.TrueUpCounted) and event.grant == grant.number
    ]
    assert counted == [100]


@pytest.mark.parametrize(
    ("rollover", "field", "value"),
    [
        (e.ContractRollover(3, 2), "rollover.fraction", "3/2"),
        (e.ContractRollover(-1, 2), "rollover.fraction", "-1/2"),
        (e.ContractRollover(0, 0), "rollover.fraction", "0/0"),
        (e.ContractRollover(1, 2, -2), "rollover.cap", "-2"),
    ],
)
def test_what_cannot_roll_over_is_refused(
    world: Signing, rollover: e.ContractRollover, field: str, value: str
) -> None:
    refusal = world.refused(world.signing(rollover=rollover))
    assert (refusal.reason, refusal.field, refusal.value) == (
        Reason.CONTRACT_INVALID, field, value,
    )  # fmt: skip
    sign(world, None)
    refusal = world.refused(c.AmendContract(world.key(), ACME, "deal", rollover=rollover))
    assert (refusal.reason, refusal.field) == (Reason.CONTRACT_INVALID, field)


def test_the_same_again_is_known_and_another_is_a_conflict(world: Signing) -> None:
    """Rule I1."""
    command = world.signing(rollover=ALL, auto_renew=1)
    world.ask(command)
    assert world.core.difference(command, world.ask(command)) == ""
    other = msgspec.structs.replace(command, rollover=HALF_OF_IT)
    assert world.core.difference(other, world.ask(other)) == "rollover"
    amended = c.AmendContract(world.key(), ACME, "deal", rollover=HALF_OF_IT)
    world.ask(amended)
    for changes, field in (({"rollover": ALL}, "rollover"), ({"minimum": 5}, "minimum")):
        other = msgspec.structs.replace(amended, **changes)
        assert world.core.difference(other, world.ask(other)) == field


@pytest.mark.parametrize(
    ("kind", "changes", "what"),
    [
        (e.GrantRolloverSet, {"commitment": 1}, "commitment 1"),
        (e.GrantRolloverSet, {"rollover": e.Rollover(1, 1, -1, 61 * DAY_US)}, "what rolls over"),
        (e.GrantRolloverSet, {"rollover": e.Rollover(1, 2, -1, 0)}, "life of what rolls over"),
        (e.GrantRolledOver, {"amount": 300, "value": 600}, "units that roll over"),
        (e.GrantRolledOver, {"amount": 200, "value": 400}, "units that roll over"),
        (e.GrantRolledOver, {"value": 5}, "price of what rolls over"),
        (e.SegmentAdded, {"commitment": 1}, "segment that rolled over"),
        (e.ContractRenewed, {"starts_at": FEBRUARY}, "renewal"),
    ],
)
def test_verify_finds_what_no_renewal_may_do(
    world: Signing, kind: type, changes: dict[str, Any], what: str
) -> None:
    """Each sound entry, broken once."""
    sign(world, HALF_OF_IT)
    world.to(MARCH)
    batches = world.core.batches
    at, events = batches[-1]
    index = next(i for i, event in enumerate(events) if type(event) is kind)
    told = [*events[:index], replace(events[index], **changes), *events[index + 1 :]]
    world.core.batches = [*batches[:-1], (at, told)]
    found = judged(world.core, replays=False)
    world.core.batches = batches
    assert any(what in each.what for each in found), found


def test_its_journal_decided_again_makes_the_same_entries(world: Signing) -> None:
    sign(world, e.ContractRollover(1, 3, 90))
    world.use(20)
    world.to(MARCH)
    world.use(30)
    world.amend(rollover=ALL)
    world.to(MAY + 2 * DAY_US)
    again = replayed(world.core, catalog=world.core.catalog, plainly=True, faithfully=True)
    assert_is_the_ledger(again, world.core)


@given(
    st.integers(0, 7),
    st.integers(1, 7),
    st.integers(-1, 400),
    st.lists(st.integers(0, 300), min_size=3, max_size=3),
    st.integers(1, 5_000),
)
def test_units_and_money_of_terms_are_those_of_a_plain_model(
    numerator: int, denominator: int, cap: int, used: list[int], price: int
) -> None:
    """Rules T3, B4, D7: over three terms, whatever is used: what is left rolls over by the fraction
    and the cap, the rest is trued up, and the money of each segment is whole."""
    world = Signing()
    world.publish("enterprise", Package())
    world.ask(c.UpdatePolicy(world.key(), ACME, e.AccountPolicy(overage=e.Overage.SELF)))
    rollover = e.ContractRollover(min(numerator, denominator), denominator, cap)
    sign(world, rollover, committed=(committed(300, price=price),))
    rolled = 0
    for term, amount in enumerate(used):
        start, end = [(START_US, MARCH), (MARCH, MAY), (MAY, JULY)][term]
        world.to(start + 3 * DAY_US)
        if amount:
            world.use(amount)
        world.to(end)
        grants = world.core.state.accounts[ACME].grants
        fresh, *others = [each for each in grants if each.commitment and each.effective_at == start]
        assert [each.amount for each in others] == ([rolled] if rolled else [])
        left = fresh.book.available + fresh.rolled
        assert fresh.drawn + left == 300
        moved = left * rollover.numerator // rollover.denominator
        rolled = moved if cap < 0 else min(moved, cap)
        assert fresh.rolled == rolled, term
    world.to(JULY + 70 * DAY_US)
    for grant in world.core.state.accounts[ACME].grants:
        if grant.commitment is not None and grant.settled:
            assert grant.rest_of(0) == 0  # all of its price was drawn, rolled over or trued up
    world.finish()


def test_money_of_a_contract_adds_up(world: Signing) -> None:
    """Rule B4: what is drawn, trued up and rolled over is the price of each segment."""
    sign(world, HALF_OF_IT, committed=(committed(500, price=1_001),))
    world.use(200)
    world.to(MARCH + 2 * DAY_US)
    drawn = sum(
        piece.value
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.UsageRecorded)
        for piece in event.slices
    )
    ((_, left),) = trued_up(world)
    assert drawn + left + segments(world)[-1][3] == 1_001
