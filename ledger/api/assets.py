"""Assets by number, for replies: code and scale of what a recorded event names.

An asset never changes once it is defined, so what was seen is remembered; a tenant has few.
"""

from __future__ import annotations

from ledger.core.catalog import Asset
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied

NO_ASSET = Asset(0, 0, "", 0, "")
"""Stands where nothing was priced: empty code, scale 0."""


class Assets:
    """Number -> asset, over the catalogs of all shards."""

    __slots__ = ("_found", "_ledger")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._found: dict[int, Asset] = {0: NO_ASSET}

    def of(self, number: int) -> Asset:
        """The asset with this number. Raises NotApplied where no open shard knows it."""
        asset = self._found.get(number)
        if asset is None:
            asset = self._found[number] = self._look_up(number)
        return asset

    def number(self, tenant: int, code: str, shard: int) -> int:
        """The number of the tenant's asset with this code, as that shard has it; -1 = none."""
        if not code:
            return 0
        asset = self._ledger.writers[shard].state.catalog.asset_of(tenant, code)
        return -1 if asset is None else asset.number

    def _look_up(self, number: int) -> Asset:
        closed: NotApplied | None = None
        for writer in self._ledger.writers:
            try:
                asset = writer.state.catalog.assets.get(number)
            except NotApplied as error:
                closed = error
                continue
            if asset is not None:
                return asset
        if closed is not None:
            raise closed
        raise LookupError(f"no shard knows asset {number}")
