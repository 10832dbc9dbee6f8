"""Chance, and what an operation is drawn of: the parts that every topic of the workload shares.

`At` stands for an instant that is fixed when the operation is first sent, `Ref` for the number that
an earlier operation got, `Listed` for one that its client has read of, `Made` for a value of such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple

from ledger.core.catalog import asset_number
from ledger.core.limits import HOUR_US, MINUTE_US, SECOND_US
from ledger.simulation.prices import PRODUCTS
from ledger.simulation.scenario import Operation

TENANTS: Final = (1, 2)
SANDBOX: Final = 2  # the tenant whose clock may be moved
ROOTS: Final = {1: ("acme", "bolt"), 2: ("acme",)}
CHILDREN: Final = {1: ("acme/x", "bolt/x"), 2: ("acme/x",)}
LATER: Final = {1: ("cargo", "acme/y", "acme/x/z"), 2: ("dune",)}
"""Accounts that stand from the beginning, and those that operations may create."""

PARENTS: Final = {"acme/x": "acme", "bolt/x": "bolt", "acme/y": "acme", "acme/x/z": "acme/x"}
LIFETIMES: Final = (0, SECOND_US // 4, SECOND_US, SECOND_US, 2 * SECOND_US, MINUTE_US, HOUR_US)
EUROPE: Final = (("region", "eu"),)
SIZES: Final = (1, 2, 3, 7, 40, 100)


REPORTED: Final = -2
"""The place of an event that is the whole of its operation, where it is usage by its own id."""


@dataclass(frozen=True)
class At:
    """So long after the moment in which the operation is first sent."""

    offset_us: int


@dataclass(frozen=True)
class Ref:
    """The number of the hold or grant that an earlier operation got."""

    operation: int


@dataclass(frozen=True)
class Listed:
    """The number of one of the account's grants, top-ups ... that the last read of it showed; where
    there was none, the first of all."""

    what: str
    place: int


@dataclass(frozen=True)
class Made:
    """`make(*parts)`, once the parts are fixed."""

    make: Callable[..., Any]
    parts: tuple[Any, ...]


class Drawn(NamedTuple):
    """What a draw function makes."""

    tenant: int
    account: str
    fields: dict[str, Any]
    same_as: int = -1
    identity: int = -1


class Draw:
    """Chance, and the operations so far."""

    def __init__(self, random: Random, whole: bool = False, home: int = 1) -> None:
        """`whole`: whether all of the credit model is drawn, or usage, holds and grants alone.
        `home`: the tenant of which nearly everything is."""
        self.random = random
        self.home = home
        self.whole = whole
        self.operations: list[Operation] = []
        self.seats: tuple[str, ...] = ()  # whom usage names, where it goes by seats
        self.ruled = False  # whether work names alternatives at times
        self.agents: tuple[str, ...] = ()  # accounts of agents, of which most is
        self.named: tuple[str, ...] = ()  # operations that calls are part of; () = of none
        self.plans: tuple[str, ...] = ()  # packages that accounts may have
        self.buys = False  # whether agents buy
        self.reserves = False  # whether work is drawn of holds of operations
        self.requests: tuple[str, ...] = ()  # kinds whose identity is a request id
        self.focus = random.randrange(100) < 60  # whether nearly all happens on one account
        self.scarce = random.randrange(100) < 40  # whether grants are small, so that debt is made

    def chance(self, percent: int) -> bool:
        """True so often in a hundred."""
        return self.random.randrange(100) < percent

    def account(self) -> tuple[int, str]:
        """A tenant and one of its accounts; seldom one that may not exist."""
        if self.agents and self.chance(70):
            return self.home, self.random.choice(self.agents)
        if self.focus and self.chance(85 if self.whole else 70):
            return self.home, "acme"
        tenant = self.home if self.chance(80) else 3 - self.home
        names = ROOTS[tenant] + CHILDREN[tenant]
        return tenant, self.random.choice(names + LATER[tenant] if self.chance(15) else names)

    def earlier(self, *kinds: str) -> Operation | None:
        """One of the last operations of these kinds."""
        found = [each for each in self.operations if each.kind in kinds and each.same_as < 0]
        return self.random.choice(found[-6:]) if found else None

    def quantities(self, product: str) -> tuple[int, ...]:
        """Quantities of a product's events; seldom some that contradict each other."""
        if product == "gpt":
            whole = self.random.choice(SIZES)
            part = self.random.randrange(whole + 1)
            return (part, whole) if self.chance(95) else (whole + 1, whole)
        return (self.random.choice(SIZES),) if self.chance(97) else (0,)

    def attributes(self) -> dict[str, Any]:
        """What usage bears, seldom anything; none where grants of every kind are not drawn."""
        if self.seats and self.chance(75):
            named = ("agent", self.random.choice(self.seats))
            return {"attributes": (named, *EUROPE) if self.chance(12) else (named,)}
        return {"attributes": EUROPE} if self.whole and self.chance(15) else {}

    def part_of(self) -> dict[str, Any]:
        """The operation that a call says it is part of, mostly with its parent; seldom another
        parent, or none: then it is outside of a budget that covers the parent."""
        if not self.named or not self.chance(85):
            return {}
        place = self.random.randrange(len(self.named))
        parent = self.named[(place - 1) // 2] if place else ""
        if self.chance(15):
            parent = self.random.choice(self.named)
        said = {"operation": self.named[place]}
        return {**said, "operation_parent": parent} if parent and self.chance(75) else said

    def of(self, *kinds: str) -> tuple[Operation, Ref] | None:
        """One of the last operations of these kinds, and the number that it got."""
        found = self.earlier(*kinds)
        return None if found is None else (found, Ref(found.number))

    def grant(self, *kinds: str) -> tuple[int, str, Ref | Listed] | None:
        """(tenant, account, grant): one that was issued, or that a read has shown."""
        if self.chance(30):
            return (*self.account(), Listed("grants", self.random.randrange(8)))
        found = self.of(*kinds)
        return None if found is None else (found[0].tenant, found[0].account, found[1])

    def product(self) -> str:
        """One of the products, chat above all."""
        return "chat" if self.chance(55) else self.random.choice(sorted(PRODUCTS))

    def asset(self, tenant: int) -> int:
        """The number of one of the tenant's assets, credits above all."""
        return asset_number(tenant, 1 if self.chance(80) else 2)


def again_of(draw: Draw, kind: str, percent: int, change: dict[str, Any]) -> Drawn | None:
    """An earlier operation's identity, with the same body or, at times, with another one."""
    if not draw.chance(percent):
        return None
    first = draw.earlier(kind)
    if first is None:
        return None
    other = change if draw.chance(35) else {}
    return Drawn(first.tenant, first.account, other, first.number)
