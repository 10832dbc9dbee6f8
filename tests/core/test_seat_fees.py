"""The fee of seats: it changes with their allowance (rule S2).

April has 30 days; a plan begins on the 1st unless a test says otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest
from core_world import USD
from msgspec.structs import replace
from seat_world import ACME, APRIL, MAY, PRORATED, UNUSED, Team, day, individual, pooled

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US


def fee(team: Team, **fields: Any) -> Any:
    """3,000 a seat and month in money, in advance, billed to the account."""
    given: dict[str, Any] = {
        "product": "seats",
        "asset": USD,
        "unit_amount": 3_000,
        "billing": e.ChargeBilling.ADVANCE,
        "unit": e.PeriodUnit.MONTH,
        "every": 1,
        "anchor": APRIL,
        "zone": "UTC",
        "proration": e.Proration.BOTH,
        "prorate_changes": True,
        "cash_only": True,
        "payer": e.ChargePayer.ACCOUNT,
    }
    terms = e.ChargeTerms(**(given | fields))
    return team.ask(c.StartCharge(team.key(), ACME, "seat fee", terms, 0))


def charged(team: Team) -> list[tuple[int, int]]:
    """(day, amount) of every fee, days counted from 1 April."""
    return [
        ((event.effective_at - APRIL) // DAY_US + 1, event.amount)
        for _, batch in team.core.batches
        for event in batch
        if isinstance(event, e.FeeCharged) and event.amount
    ]


def with_fee(terms: e.SeatTerms) -> e.SeatTerms:
    return replace(terms, charge="seat fee")


@pytest.mark.parametrize("terms", [pooled, individual])
def test_fee_and_allowance_change_together(team: Team, terms: Any) -> None:
    """Rule S2: 10 seats on the 1st: 30,000. 5 more on the 16th: 5 x 3,000 x 15 / 30 = 7,500. On the
    21st 3 leave with the month: nothing; 2 are given back: 2 x 3,000 x 10 / 30 = 2,000 off. On the
    26th a seat comes back: 3,000 x 5 / 30 = 500. May: 11 x 3,000."""
    fee(team)
    team.start(with_fee(terms(300)), count=10)
    team.to(day(16))
    team.add(count=5)
    team.to(day(21))
    team.remove(count=3)
    team.remove(count=2, mode=PRORATED)
    team.to(day(26))
    team.add(count=4)  # of whom three had not left yet
    assert team.quantity() == 14
    team.remove(count=3)
    assert charged(team) == [(1, 30_000), (16, 7_500), (21, -2_000), (26, 500)]
    team.to(MAY)
    assert (team.quantity(), charged(team)[4:]) == (11, [(31, 33_000)])
    assert team.account.charges[0].quantity == 11


def test_a_forfeited_allowance_leaves_its_fee_until_the_period_ends(team: Team) -> None:
    """Rule S2: and who takes that seat's place is paid for already."""
    fee(team)
    team.start(with_fee(individual(300)), "ann", "bob")
    team.to(day(16))
    team.remove("ann", mode=UNUSED)
    team.add("cid")
    assert charged(team) == [(1, 6_000)]
    team.remove("cid", mode=UNUSED)
    team.to(MAY)
    assert charged(team) == [(1, 6_000), (31, 3_000)]


def test_a_plan_that_ends_ends_its_fee(team: Team) -> None:
    """Rule S2: with its period, or now with the share of the time that is left."""
    fee(team)
    team.start(with_fee(pooled(300)), count=2)
    team.to(day(16))
    team.end(mode=PRORATED)
    assert charged(team) == [(1, 6_000), (16, -3_000)]
    team.to(MAY)
    team.start(with_fee(pooled(300)), count=1)
    team.end(e.Timing.NEXT_PERIOD)
    team.to(MAY + 40 * DAY_US)
    assert charged(team)[2:] == [(31, 3_000)]


def test_a_fee_that_does_not_fit_is_refused(team: Team) -> None:
    """There is none; its periods are others; it is another plan's; its figures do not fit."""

    def start(plan: str = "agents") -> Any:
        terms = with_fee(pooled(1))
        return team.refused(c.StartSeatPlan(team.key(), ACME, plan, terms, (), 1))

    assert start() == ("CHARGE_UNKNOWN", "terms.charge", "seat fee")
    fee(team, anchor=APRIL + DAY_US)
    assert start()[:2] == ("SEATS_INVALID", "terms.charge")
    team.ask(c.EndCharge(team.key(), ACME, 1, e.Timing.NOW))
    fee(team, unit_amount=2**61)
    team.start(with_fee(pooled(1)), count=3)
    assert start("other")[:2] == ("SEATS_INVALID", "terms.charge")
    more = c.AddSeats(team.key(), ACME, "agents", (), 1)
    assert team.refused(more)[:2] == ("OVERFLOW", "seats")
    by_hand = c.ChangeQuantity(team.key(), ACME, 2, 5, e.Timing.NOW)
    assert team.refused(by_hand) == ("TERMS_FIXED", "quantity", "agents")
    team.ask(c.EndCharge(team.key(), ACME, 2, e.Timing.NOW))
    team.add(count=1)


def test_a_plan_keeps_the_fee_that_it_started_with(team: Team) -> None:
    """Rule S2: no other charge takes its name while the plan goes on, nor has its fee other periods
    than the seats: a month's removals would be charged for longer."""
    fee(team)
    team.start(with_fee(pooled(1)), count=4)
    terms = team.account.charges[0].terms
    longer = c.ChangeTerms(team.key(), ACME, 1, replace(terms, every=2))
    assert team.refused(longer) == ("TERMS_FIXED", "terms.every", "agents")
    elsewhere = c.ChangeTerms(team.key(), ACME, 1, replace(terms, anchor=day(2)))
    assert team.refused(elsewhere) == ("TERMS_FIXED", "terms.anchor", "agents")
    team.ask(c.ChangeTerms(team.key(), ACME, 1, replace(terms, unit_amount=5)))
    team.ask(c.EndCharge(team.key(), ACME, 1, e.Timing.NOW))
    dear = c.StartCharge(team.key(), ACME, "seat fee", replace(terms, unit_amount=2**62), 1)
    assert team.refused(dear) == ("CHARGE_NAME_TAKEN", "name", "seat fee")
    team.remove(count=1)
    team.end()
    team.ask(dear)
