"""Packages with a base fee of 310 in January, and what is charged of them."""

from __future__ import annotations

from typing import Any

from core_world import START_US
from msgspec.structs import replace
from test_packages import ACME, FEBRUARY, World, plan

from ledger.core import events as e
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    Package,
)
from ledger.core.packages.packaged_charges import (
    PackagedBilling,
    PackagedCharge,
)

MARCH = FEBRUARY + 28 * DAY_US
APRIL = MARCH + 31 * DAY_US
ARREARS = PackagedBilling.ARREARS


def day(number: int) -> int:
    """A day of January."""
    return START_US + (number - 1) * DAY_US


def base(amount: int, name: str = "base", **fields: Any) -> PackagedCharge:
    return PackagedCharge(name, "plan", "USD", amount, **{"cash_only": True, **fields})


def sold(*charges: PackagedCharge, **fields: Any) -> Package:
    return replace(plan(1_000), charges=charges, **fields)


def fees(world: World) -> list[tuple[str, int, int]]:
    """(name, day since the start, amount) of every fee that is not nothing."""
    names = {each.number: each.name for each in world.core.state.accounts[ACME].charges}
    return [
        (names[event.charge], (event.effective_at - START_US) // DAY_US, event.amount)
        for _, batch in world.core.batches
        for event in batch
        if isinstance(event, e.FeeCharged) and event.amount
    ]


def total(world: World) -> int:
    return sum(amount for _, _, amount in fees(world))


def standing(world: World) -> list[tuple[str, int, int, int]]:
    """(name, unit amount, quantity, version) of every charge that goes on."""
    now = world.core.state.now
    return sorted(
        (each.name, each.terms.unit_amount, each.quantity, each.version)
        for each in world.core.state.accounts[ACME].charges
        if each.ends_at > now
    )


def charge_of(world: World, name: str) -> Any:
    found = [each for each in world.core.state.accounts[ACME].charges if each.name == name]
    return found[-1]
