"""What a tenant has published, read from the configuration: assets, rate cards, meters and more.

Bodies are immutable, so decoded ones are remembered by hash, a few of them: a card may be large.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from ledger.core.packages.packaged import Package, decode_package
from ledger.engine.configuration import AliasBody, AssetBody, ConversionBody
from ledger.engine.ledger import Ledger
from ledger.journal.configuration import ConfigurationEntry, ConfigurationKind
from ledger.sizing.rules import SizingSet, decode_sizing
from rating.card import RateCard, decode_card
from rating.meters import MeterSet, decode_meters

COST_CARDS_MAX: Final = 4_096  # names by hash; x ~150 B = 600 kB
BODIES_MAX: Final = 64  # x ~1 MB for a card of a few thousand rows

Body = AliasBody | AssetBody | ConversionBody | MeterSet | Package | RateCard | SizingSet


class _CostCard(msgspec.Struct):
    """What of a rate card is read here."""

    cost_card: str = ""


_cost_card: Final = msgspec.msgpack.Decoder(_CostCard)


class Published:
    """Reads the configuration of tenants."""

    __slots__ = ("_bodies", "_cost_cards", "_ledger")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._bodies: OrderedDict[bytes, Body] = OrderedDict()
        self._cost_cards: dict[bytes, str] = {}

    async def assets(self, tenant: int) -> list[ConfigurationEntry]:
        """The tenant's assets, ascending by code."""
        found = await self._entries(tenant, ConfigurationKind.ASSET)
        return sorted(found, key=lambda entry: entry.name.encode())

    async def asset(self, tenant: int, code: str) -> tuple[ConfigurationEntry, AssetBody] | None:
        """One asset and its body."""
        for entry in await self._entries(tenant, ConfigurationKind.ASSET):
            if entry.name == code:
                return entry, await self.asset_body(entry)
        return None

    async def versions(self, tenant: int, name: str = "") -> list[ConfigurationEntry]:
        """Versions of rate cards, ascending by name, newest first; of one card where named."""
        found = await self._entries(tenant, ConfigurationKind.RATE_CARD)
        wanted = [entry for entry in found if not name or entry.name == name]
        return sorted(wanted, key=lambda entry: (entry.name.encode(), -entry.version))

    async def aliases(self, tenant: int, name: str = "") -> list[ConfigurationEntry]:
        """Versions of aliases of rate cards, ascending by name, newest first; of one if named."""
        found = await self._entries(tenant, ConfigurationKind.RATE_CARD_ALIAS)
        wanted = [entry for entry in found if not name or entry.name == name]
        return sorted(wanted, key=lambda entry: (entry.name.encode(), -entry.version))

    async def alias_body(self, entry: ConfigurationEntry) -> AliasBody:
        """The body of a version of an alias."""
        body = await self._body(entry)
        assert isinstance(body, AliasBody), entry
        return body

    async def conversions(self, tenant: int) -> list[tuple[ConfigurationEntry, ConversionBody]]:
        """Versions of rates between assets, ascending by source and target, newest first."""
        found: list[tuple[ConfigurationEntry, ConversionBody]] = []
        for entry in await self._entries(tenant, ConfigurationKind.CONVERSION):
            body = await self._body(entry)
            assert isinstance(body, ConversionBody), entry
            found.append((entry, body))
        return sorted(found, key=lambda each: (each[1].source, each[1].target, -each[0].version))

    async def meters(self, tenant: int) -> list[tuple[ConfigurationEntry, MeterSet]]:
        """Versions of the tenant's meters, newest first."""
        found: list[tuple[ConfigurationEntry, MeterSet]] = []
        for entry in await self._entries(tenant, ConfigurationKind.METERS):
            body = await self._body(entry)
            assert isinstance(body, MeterSet), entry
            found.append((entry, body))
        return found[::-1]

    async def sizing(self, tenant: int) -> list[tuple[ConfigurationEntry, SizingSet]]:
        """Versions of the tenant's sizing rules, newest first."""
        found: list[tuple[ConfigurationEntry, SizingSet]] = []
        for entry in await self._entries(tenant, ConfigurationKind.SIZING):
            body = await self._body(entry)
            assert isinstance(body, SizingSet), entry
            found.append((entry, body))
        return found[::-1]

    async def packages(
        self, tenant: int, name: str = ""
    ) -> list[tuple[ConfigurationEntry, Package]]:
        """Versions of packages, ascending by name, newest first; of one where named."""
        found: list[tuple[ConfigurationEntry, Package]] = []
        for entry in await self._entries(tenant, ConfigurationKind.PACKAGE):
            if not name or entry.name == name:
                body = await self._body(entry)
                assert isinstance(body, Package), entry
                found.append((entry, body))
        return sorted(found, key=lambda each: (each[0].name.encode(), -each[0].version))

    async def asset_body(self, entry: ConfigurationEntry) -> AssetBody:
        """The body of an asset."""
        body = await self._body(entry)
        assert isinstance(body, AssetBody), entry
        return body

    async def body(self, entry: ConfigurationEntry) -> bytes:
        """The body of a version, as it is stored."""
        data = await self._ledger.configuration.body(entry.content_hash)
        assert data is not None, f"version {entry.version} of tenant {entry.tenant} has no body"
        return data

    async def cost_card(self, entry: ConfigurationEntry) -> str:
        """Name of the card of costs that a version of a rate card names; "" = none. A large card is
        passed over for it, not opened."""
        found = self._cost_cards.get(entry.content_hash)
        if found is None:
            if len(self._cost_cards) >= COST_CARDS_MAX:
                self._cost_cards.clear()
            body = _cost_card.decode(await self.body(entry))
            found = self._cost_cards[entry.content_hash] = body.cost_card
        return found

    async def card(self, entry: ConfigurationEntry) -> RateCard:
        """The body of a version of a rate card."""
        body = await self._body(entry)
        assert isinstance(body, RateCard), entry
        return body

    async def _entries(self, tenant: int, kind: ConfigurationKind) -> list[ConfigurationEntry]:
        published = self._ledger.configurations.published(tenant)
        return [entry async for entry in published if entry.kind == kind]

    async def _body(self, entry: ConfigurationEntry) -> Body:
        found = self._bodies.get(entry.content_hash)
        if found is not None:
            self._bodies.move_to_end(entry.content_hash)
            return found
        data = await self.body(entry)
        if entry.kind == ConfigurationKind.ASSET:
            found = msgspec.msgpack.decode(data, type=AssetBody)
        elif entry.kind == ConfigurationKind.RATE_CARD_ALIAS:
            found = msgspec.msgpack.decode(data, type=AliasBody)
        elif entry.kind == ConfigurationKind.CONVERSION:
            found = msgspec.msgpack.decode(data, type=ConversionBody)
        elif entry.kind == ConfigurationKind.METERS:
            found = decode_meters(data)
        elif entry.kind == ConfigurationKind.SIZING:
            found = decode_sizing(data)
        elif entry.kind == ConfigurationKind.PACKAGE:
            found = decode_package(data)
        else:
            found = decode_card(data)
        self._bodies[entry.content_hash] = found
        if len(self._bodies) > BODIES_MAX:
            self._bodies.popitem(last=False)
        return found
