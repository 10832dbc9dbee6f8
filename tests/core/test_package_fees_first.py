"""Fees in arrears of what a change forfeits: drawn from it where they are ended before the change
(rules P3, B1).

The subscription begins on 1 January, a month of 31 days."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import CREDITS
from msgspec.structs import replace
from package_charge_world import ARREARS, base, day, fees
from test_packages import ACME, World, plan

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.packages.packaged import Package


@pytest.fixture
def world() -> Any:
    """After 15 of 31 days two fees of 310 a month in arrears come to 150 each, of 200 units."""
    made = World()
    terms = {"asset": "credits", "cash_only": False, "billing": ARREARS}
    charges = tuple([replace(base(310, name), **terms) for name in ("one", "other")])
    made.publish("used", replace(plan(200), charges=charges))
    made.publish("nothing", Package())
    made.subscribe("used")
    made.to(day(16))
    yield made
    made.finish()


def owed(world: World) -> int:
    return int(world.core.state.accounts[ACME].advance[CREDITS].owed)


@pytest.mark.parametrize("how", ["changed", "cancelled"])
@pytest.mark.parametrize("old_grants", [e.OldGrants.FORFEIT_UNUSED, e.OldGrants.PRORATE])
def test_fees_that_are_ended_first_draw_what_would_be_forfeited(
    world: World, how: str, old_grants: e.OldGrants
) -> None:
    """And are charged once: the change finds nothing to end, and nothing to take back."""
    for charge in list(world.core.state.accounts[ACME].charges):
        world.ask(c.EndCharge(world.key(), ACME, charge.number, e.Timing.NOW))
    assert owed(world) == 100
    if how == "changed":
        changed = world.change("nothing", old_grants=old_grants)
    else:
        changed = world.cancel(old_grants=old_grants)
    assert changed.taken == ()
    assert [amount for _, _, amount in fees(world)] == [150, 150]
    assert owed(world) == 100


def test_fees_that_the_change_ends_draw_nothing_of_what_it_forfeits(world: World) -> None:
    """The change is one decision: what it takes back is gone as its fees are drawn."""
    world.change("nothing", old_grants=e.OldGrants.FORFEIT_UNUSED)
    assert [amount for _, _, amount in fees(world)] == [150, 150]
    assert owed(world) == 300
