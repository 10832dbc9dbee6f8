"""An account that signs contracts."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, START_US, USD
from test_packages import ACME, World

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.contracts.contracts import named
from ledger.core.limits import DAY_US
from ledger.core.packages.packaged import (
    PackagedRollover,
)

CHILD = 2
HALVES = PackagedRollover(1, 2)
MARCH = START_US + 59 * DAY_US
APRIL = START_US + 90 * DAY_US
TERMS = e.CommitmentTerms(e.GrantKind.POSTPAID, CREDITS, USD, 0, ("chat",))


def committed(amount: int, start: int = 0, end: int = MARCH, price: int = 500) -> e.Committed:
    return e.Committed(TERMS, (e.Segment(start, end, amount, price),))


class Signing(World):
    def sign(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(self.signing(name, **changes))

    def signing(self, name: str = "deal", **changes: Any) -> c.SignContract:
        fields: dict[str, Any] = {
            "package": "enterprise",
            "version": 0,
            "starts_at": 0,
            "ends_at": MARCH,
            **changes,
        }
        account = fields.pop("account", ACME)
        return c.SignContract(self.key(), account, name, **fields)

    def amend(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(c.AmendContract(self.key(), ACME, name, **changes))

    def end(self, name: str = "deal", **changes: Any) -> Any:
        return self.ask(c.EndContract(self.key(), ACME, name, **changes))

    def contract(self, name: str = "deal", account: int = ACME) -> Any:
        return named(self.core.state.accounts[account], name)

    def happened(self, *kinds: type) -> list[tuple[int, str]]:
        """(days since the start, kind) of entries of these kinds."""
        return [
            ((at - START_US) // DAY_US, type(event).__name__)
            for at, batch in self.core.batches
            for event in batch
            if isinstance(event, kinds)
        ]
