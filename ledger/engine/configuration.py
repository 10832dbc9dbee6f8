"""What tenants published, of every kind: loaded once a process, applied by each shard.

A shard uses a version only after its own journal has applied it, so every decision names a version
that every replay finds. Bodies are immutable, found by version and checked by hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.commands import ApplyConfiguration
from ledger.core.packages.packaged import PackageVersion, decode_package
from ledger.core.pricing.aliases import CardAlias, point_alias
from ledger.journal.configuration import (
    ConfigurationEntry,
    ConfigurationKind,
    ConfigurationStore,
)
from ledger.journal.errors import JournalUnavailable
from ledger.sizing.rules import NO_SIZING, SizingVersion, decode_sizing
from rating.compile import CompiledCard
from rating.conversions import Rate, ratio_of
from rating.metering import CompiledMeters, MeterVersion, MeterVersions
from rating.meters import decode_meters
from rating.opening import CardOpening
from rating.versions import CardVersion


class AssetBody(msgspec.Struct, frozen=True):
    """The body of an asset's definition. `scale`: decimal places of the minor unit (rule N1)."""

    code: str
    scale: int
    kind: str
    display_name: str = ""


class ClockBody(msgspec.Struct, frozen=True):
    """The body of a move of a sandbox tenant's clock (rule T4), as it was asked for: by so much,
    or to an instant; the other is 0. Microseconds; `offset` in total, `reached` what it showed."""

    request_id: str
    offset: int
    reached: int
    by: int = 0
    to: int = 0


class AliasBody(msgspec.Struct, frozen=True):
    """The body of a version of a rate card's alias: which card it means."""

    card: str


class FailModeBody(msgspec.Struct, frozen=True):
    """The body of a version of a product's fail mode: a name of ledger.v1.FailMode, without its
    prefix."""

    mode: str


class ConversionBody(msgspec.Struct, frozen=True):
    """The body of a conversion rate: major units of `target` for one of `source` (rule R5)."""

    source: str
    target: str
    rate: str


class FailModeVersion(NamedTuple):
    """A published version of the fail mode of the product that the entry names."""

    entry: ConfigurationEntry
    mode: str


def conversion_name(body: ConversionBody) -> str:
    """The name of a rate in the stream: codes of two assets may be too long for one name."""
    digest = blake2b(f"{len(body.source)}:{body.source}{body.target}".encode(), digest_size=16)
    return digest.hexdigest()


METERS_NAME: Final = "meters"
"""The name in the stream of a tenant's meters: there is one set of them."""
NO_METERS: Final = MeterVersions()
READ_KINDS: Final = (ConfigurationKind.ASSET, ConfigurationKind.FAIL_MODE)
"""What is answered without a shard."""
SIZING_NAME: Final = "sizing"
"""The name in the stream of a tenant's sizing rules: there is one set of them."""

Loaded = (
    Asset
    | CardVersion
    | CardAlias
    | ClockBody
    | ConversionBody
    | MeterVersion
    | PackageVersion
    | SizingVersion
    | FailModeBody
)


class ConfigurationMissing(Exception):
    """A shard's journal applied a version that the configuration tables do not hold."""


class Configurations:
    """Loaded and compiled versions of every tenant, shared by the shards of a process."""

    __slots__ = (
        "_entries",
        "_loaded",
        "_opening",
        "_read",
        "_store",
        "assets",
        "fail_modes",
        "meters",
        "offsets",
        "sizing",
    )

    def __init__(self, store: ConfigurationStore) -> None:
        self.assets: dict[int, Asset] = {}  # every one that any shard here has applied, and more
        self.meters: dict[int, MeterVersions] = {}  # tenant -> what was taken here
        self.sizing: dict[int, SizingVersion] = {}  # tenant -> the newest that was taken here
        self.offsets: dict[int, int] = {}  # tenant -> how far its clock is ahead, as published
        self.fail_modes: dict[int, dict[str, FailModeVersion]] = {}  # tenant -> product -> newest
        self._store = store
        self._read: dict[int, int] = {}  # tenant -> the version that `read` reached
        self._opening = asyncio.Lock()  # shards ask for the same version at once: it opens once
        self._entries: dict[tuple[int, int], ConfigurationEntry] = {}
        self._loaded: dict[tuple[int, int], Loaded] = {}

    async def load(self, tenant: int, version: int) -> None:
        """Make a version ready to install. Raises ConfigurationMissing."""
        if (tenant, version) in self._loaded:
            return
        for entry in await self._store.read(tenant, version - 1):
            await self.take(entry)
        if (tenant, version) not in self._loaded:
            raise _missing(tenant, version)

    async def published(
        self, tenant: int, after_version: int = 0
    ) -> AsyncIterator[ConfigurationEntry]:
        """Every published version after that one, in order."""
        while True:
            page = await self._store.read(tenant, after_version)
            for entry in page:
                yield entry
                after_version = entry.version
            if not page:
                return

    async def read(self, tenant: int) -> None:
        """Take the assets and fail modes that were published since this was asked last: nothing
        applies them here while no shard is open, or none is ours. Raises JournalUnavailable where
        nothing was read before; else that stays."""
        after = self._read.get(tenant, 0)
        try:
            async for entry in self.published(tenant, after):
                if entry.kind in READ_KINDS:
                    await self.take(entry)
                after = entry.version
        except JournalUnavailable:
            if tenant not in self._read:
                raise
        self._read[tenant] = max(after, self._read.get(tenant, 0))

    def was_read(self, tenant: int) -> bool:
        """Whether `read` has told of the tenant, ever."""
        return tenant in self._read

    async def unapplied(self, applied: Mapping[int, int]) -> list[ApplyConfiguration]:
        """What brings a shard that has applied these versions (by tenant) to the last published.

        Loads each of them.
        """
        commands = []
        for entry in await self._store.read(None):
            if entry.version > applied.get(entry.tenant, 0):
                await self.take(entry)
                commands.append(self.command(entry))
        return commands

    def command(self, entry: ConfigurationEntry) -> ApplyConfiguration:
        """What has a shard apply a version that was taken."""
        loaded = self._loaded[(entry.tenant, entry.version)]
        offset = loaded.offset if isinstance(loaded, ClockBody) else -1
        minimums = isinstance(loaded, CardVersion) and bool(loaded.card.card.minimums)
        return ApplyConfiguration(entry.tenant, entry.version, entry.content_hash, offset, minimums)

    async def take(self, entry: ConfigurationEntry) -> None:
        """Load and compile one published version. A large card takes many turns of the loop, each
        a short one: writers go on between them."""
        place = (entry.tenant, entry.version)
        if place in self._loaded:
            return
        async with self._opening:
            if place not in self._loaded:
                await self._take(place, entry)

    async def _take(self, place: tuple[int, int], entry: ConfigurationEntry) -> None:
        body = await self._store.body(entry.content_hash)
        if body is None:
            raise _missing(entry.tenant, entry.version)
        self._entries[place] = entry
        if entry.kind == ConfigurationKind.ASSET:
            asset = msgspec.msgpack.decode(body, type=AssetBody)
            number = asset_number(entry.tenant, entry.version)
            loaded = Asset(number, entry.tenant, asset.code, asset.scale, asset.kind)
            self._loaded[place] = self.assets[number] = loaded
        elif entry.kind == ConfigurationKind.CLOCK:
            moved = msgspec.msgpack.decode(body, type=ClockBody)
            self._loaded[place] = moved
            self.note(entry.tenant, moved)
        elif entry.kind == ConfigurationKind.RATE_CARD_ALIAS:
            alias = msgspec.msgpack.decode(body, type=AliasBody)
            self._loaded[place] = CardAlias(
                entry.version, entry.published_at_us, entry.effective_from_us, alias.card
            )
        elif entry.kind == ConfigurationKind.CONVERSION:
            self._loaded[place] = msgspec.msgpack.decode(body, type=ConversionBody)
        elif entry.kind == ConfigurationKind.FAIL_MODE:
            found = msgspec.msgpack.decode(body, type=FailModeBody)
            self._loaded[place] = found
            self._note_fail_mode(FailModeVersion(entry, found.mode))
        elif entry.kind == ConfigurationKind.METERS:
            meters = MeterVersion(
                entry.version,
                entry.published_at_us,
                entry.effective_from_us,
                CompiledMeters(decode_meters(body)),
            )
            self._loaded[place] = meters
            self.meters[entry.tenant] = self.meters.get(entry.tenant, NO_METERS).adding(meters)
        elif entry.kind == ConfigurationKind.SIZING:
            sizing = SizingVersion(entry.version, decode_sizing(body))
            self._loaded[place] = sizing
            if sizing.version > self.sizing.get(entry.tenant, NO_SIZING).version:
                self.sizing[entry.tenant] = sizing
        elif entry.kind == ConfigurationKind.PACKAGE:
            self._loaded[place] = PackageVersion(
                entry.version,
                entry.published_at_us,
                entry.effective_from_us,
                decode_package(body),
            )
        else:
            card = await _opened(body, entry.version)
            self._loaded[place] = CardVersion(
                entry.version, entry.published_at_us, entry.effective_from_us, card
            )

    def note(self, tenant: int, moved: ClockBody) -> None:
        """The tenant's clock is at least so far ahead."""
        self.offsets[tenant] = max(moved.offset, self.offsets.get(tenant, 0))

    def _note_fail_mode(self, found: FailModeVersion) -> None:
        modes = self.fail_modes.setdefault(found.entry.tenant, {})
        known = modes.get(found.entry.name)
        if known is None or known.entry.version < found.entry.version:
            modes[found.entry.name] = found

    def card(self, tenant: int, version: int) -> tuple[str, CardVersion] | None:
        """The name and the card that a loaded version published; None where it published none."""
        loaded = self._loaded[(tenant, version)]
        if not isinstance(loaded, CardVersion):
            return None
        return self._entries[(tenant, version)].name, loaded

    def install(self, catalog: Catalog, tenant: int, version: int) -> None:
        """Put a loaded version into a shard's catalog, as its journal applies it."""
        loaded = self._loaded[(tenant, version)]
        if isinstance(loaded, Asset):
            catalog.add_asset(loaded)
        elif isinstance(loaded, ConversionBody):
            self._install_rate(catalog, self._entries[(tenant, version)], loaded)
        elif isinstance(loaded, CardVersion):
            catalog.add_card(tenant, self._entries[(tenant, version)].name, loaded)
        elif isinstance(loaded, PackageVersion):
            catalog.add_package(tenant, self._entries[(tenant, version)].name, loaded)
        elif isinstance(loaded, CardAlias):
            point_alias(catalog, tenant, self._entries[(tenant, version)].name, loaded)

    def _install_rate(
        self, catalog: Catalog, entry: ConfigurationEntry, body: ConversionBody
    ) -> None:
        source = catalog.asset_of(entry.tenant, body.source)
        target = catalog.asset_of(entry.tenant, body.target)
        assert source is not None and target is not None, body
        ratio = ratio_of(body.rate, source.scale, target.scale)
        rate = Rate(entry.version, entry.published_at_us, entry.effective_from_us, *ratio)
        catalog.add_rate(source.number, target.number, rate)


async def _opened(body: bytes, version: int) -> CompiledCard:
    opening = CardOpening(body, version)
    card = opening.step()
    while card is None:
        await asyncio.sleep(0)
        card = opening.step()
    return card


def _missing(tenant: int, version: int) -> ConfigurationMissing:
    return ConfigurationMissing(
        f"configuration {version} of tenant {tenant} is not in the configuration tables, but a "
        "journal applied it: restore them from the same backup as the journal"
    )
