"""Assets by number, for replies: code and scale of what a recorded event names.

An asset never changes once it is defined, and its number means the same to every shard.
"""

from __future__ import annotations

from ledger.core.catalog import Asset
from ledger.engine.ledger import Ledger

NO_ASSET = Asset(0, 0, "", 0, "")
"""Stands where nothing was priced: empty code, scale 0."""


class Assets:
    """Number -> asset, as published and loaded here."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, number: int) -> Asset:
        """The asset with this number. Never waits for a shard: what is recorded can be shown."""
        asset = self._ledger.configurations.assets.get(number)
        if asset is None:
            if number:
                raise LookupError(f"no shard knows asset {number}")
            return NO_ASSET
        return asset

    def number(self, tenant: int, code: str, shard: int) -> int:
        """The number of the tenant's asset with this code, as that shard has it; -1 = none."""
        if not code:
            return 0
        asset = self._ledger.writers[shard].state.catalog.asset_of(tenant, code)
        return -1 if asset is None else asset.number
