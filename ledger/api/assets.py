"""Assets by number, for replies: code and scale of what a recorded event names.

An asset never changes once it is defined, and its number means the same to every shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ledger.core.catalog import Asset
from ledger.engine.configuration import Configurations
from ledger.engine.writer import Writer

NO_ASSET = Asset(0, 0, "", 0, "")
"""Stands where nothing was priced: empty code, scale 0."""


class Loaded(Protocol):
    """What has configuration loaded: a ledger."""

    @property
    def configurations(self) -> Configurations:
        """Of every tenant."""
        ...

    @property
    def writers(self) -> Sequence[Writer]:
        """One a shard."""
        ...


class Assets:
    """Number -> asset, as published and loaded here."""

    __slots__ = ("_ledger",)

    def __init__(self, ledger: Loaded) -> None:
        self._ledger = ledger

    def of(self, number: int) -> Asset:
        """The asset with this number. Never waits for a shard: what is recorded can be shown; what
        stands in read models, after `read`."""
        asset = self._ledger.configurations.assets.get(number)
        if asset is None:
            if number:
                raise LookupError(f"no shard knows asset {number}")
            return NO_ASSET
        return asset

    async def read(self, tenant: int) -> None:
        """Know all that read models name by now: nobody has told of it where no shard is open.
        Raises JournalUnavailable."""
        await self._ledger.configurations.read(tenant)

    def number(self, tenant: int, code: str, shard: int) -> int:
        """The number of the tenant's asset with this code, as that shard has it; -1 = none."""
        if not code:
            return 0
        asset = self._ledger.writers[shard].state.catalog.asset_of(tenant, code)
        return -1 if asset is None else asset.number


class Naming(Protocol):
    """What knows how to call what a reply names: the edge of a server, or who looks back for it."""

    @property
    def assets(self) -> Assets:
        """Assets by number."""
        ...

    async def names(self, numbers: Iterable[int]) -> dict[int, str]:
        """Account ids of numbers; "" for those that nobody knows any more, and for 0."""
        ...
