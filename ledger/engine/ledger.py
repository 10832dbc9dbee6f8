"""One process: the writers of its shards, the directory, the configuration, and what spans them.

What touches more than one of them stands here: an account's id is claimed before AccountCreated is
appended and confirmed after; a configuration is published once and applied by every shard before
the answer. Each step may be repeated after a crash.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from ledger.core.commands import ApplyConfiguration, Command, CreateAccount, Names
from ledger.core.events import ConfigurationApplied, Policy
from ledger.core.identity import FamilyDigest
from ledger.core.outcomes import Refusal
from ledger.engine.clock import Clock
from ledger.engine.configuration import AssetBody, Configurations
from ledger.engine.observer import Observer
from ledger.engine.recovery import Progress
from ledger.engine.ticket import Ticket
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.checkpoint import CheckpointStore
from ledger.journal.configuration import (
    ConfigurationEntry,
    ConfigurationKind,
    ConfigurationRefused,
    ConfigurationStore,
)
from ledger.journal.directory import Directory, Entry, Refused
from ledger.journal.parked import ParkedStore
from ledger.journal.protocol import Journal
from rating.card import RateCard, canonical_bytes

FAMILIES_CACHED_MAX: Final = 100_000  # digest objects; x ~600 B = 60 MB
ALWAYS_US: Final = 1
"""The first version of a card prices whatever came before it as well: nothing else did."""


class Storage(Protocol):
    """Where everything durable lives: PostgreSQL, or memory in tests and simulations."""

    shards: int
    directory: Directory
    configuration: ConfigurationStore
    parked: ParkedStore

    def journal(self, shard: int) -> Journal:
        """The journal of one shard."""
        ...

    def checkpoints(self, shard: int) -> CheckpointStore:
        """The checkpoint of one shard."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Ledger:
    """All shards of one process. `start`, then `opened`; `stop` finishes what was accepted."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        recorded_by: str = "",
        observer: Observer | None = None,
        progress: Callable[[int], Progress] | None = None,
        upkeep: Upkeep | None = None,
    ) -> None:
        """`progress(shard)` gives the callback that watches that shard's replay; `upkeep` says how
        often checkpoints are taken and how much stays in memory."""
        self.storage = storage
        self.clock = clock
        self.directory = storage.directory
        self.parked = storage.parked
        self.configuration = storage.configuration
        self.configurations = Configurations(storage.configuration)
        self.writers = [
            Writer(
                storage.journal(shard),
                clock,
                self.configurations,
                recorded_by,
                observer,
                progress(shard) if progress is not None else None,
                checkpoints=storage.checkpoints(shard),
                upkeep=upkeep,
            )
            for shard in range(storage.shards)
        ]
        self._families: OrderedDict[bytes, FamilyDigest] = OrderedDict()
        self._publishing = asyncio.Lock()

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open every shard."""
        for writer in self.writers:
            writer.start()

    async def opened(self) -> None:
        """Return when every shard serves and has applied every published configuration."""
        for writer in self.writers:
            await writer.opened.wait()
        for tenant in await self.directory.list_tenants():
            await self.apply_published(tenant.number)

    async def stop(self) -> None:
        """Drain every shard; storage stays open."""
        await asyncio.gather(*[writer.stop() for writer in self.writers])

    # -- families ----------------------------------------------------------------------------------

    def family(self, entry: Entry) -> FamilyDigest:
        """The digests of an account's family."""
        digest = self._families.get(entry.family_key)
        if digest is None:
            digest = self._families[entry.family_key] = FamilyDigest(entry.family_key)
            if len(self._families) > FAMILIES_CACHED_MAX:
                self._families.popitem(last=False)
        return digest

    async def resolve(self, tenant: int, name: str, at_us: int = 0) -> Entry | None:
        """The account that an id or alias means at that time (rule I7); 0 = now."""
        at_us = at_us or self.clock.now_us()
        found = self.directory.cached(tenant, name, at_us)
        if found is not None:
            return found
        return (await self.directory.resolve(tenant, [(name, at_us)])).get((name, at_us))

    async def submit(
        self,
        entry: Entry,
        command: Command,
        deadline_us: int = 0,
        span: object = None,
    ) -> Ticket:
        """One command to the writer of an account's family. Raises NotApplied, OutcomeUnknown."""
        return await self.writers[entry.shard].submit([command], deadline_us, span)

    # -- accounts ----------------------------------------------------------------------------------

    async def create_account(
        self,
        tenant: int,
        account_id: str,
        parent_id: str | None,
        request_id: str,
        policy: Policy,
        display_name: str = "",
        metadata: dict[str, str] | None = None,
        trace: bytes = b"",
    ) -> tuple[Entry, Ticket] | Refused:
        """Claim the id, append AccountCreated, confirm: every step again after a crash."""
        entry = await self.directory.claim(tenant, account_id, parent_id or None)
        if isinstance(entry, Refused):
            return entry
        digest = self.family(entry)
        profile = [("display_name", display_name)] if display_name else []
        profile += [(f"metadata.{name}", value) for name, value in (metadata or {}).items()]
        ticket = await self.submit(
            entry,
            CreateAccount(
                digest.request(request_id),
                tenant,
                entry.number,
                entry.parent or 0,
                entry.root,
                policy,
                digest.pairs(tuple(sorted(profile))),
                Names("", request_id),
                trace,
            ),
        )
        if not isinstance(ticket.outcomes[0], Refusal):
            if profile:
                await self.directory.update_profile(
                    tenant, account_id, display_name, metadata or {}
                )
            await self.directory.confirm(entry.number)
        return entry, ticket

    # -- configuration -----------------------------------------------------------------------------

    async def publish_asset(
        self, tenant: int, code: str, scale: int, kind: str, display_name: str = ""
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Define an asset. Its scale and kind never change (rule N1): another body is refused."""
        body = msgspec.msgpack.encode(AssetBody(code, scale, kind, display_name))
        return await self._publish(tenant, ConfigurationKind.ASSET, code, body, ALWAYS_US, 0)

    async def publish_card(
        self,
        tenant: int,
        card: RateCard,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish a validated rate card; answers when every shard has applied it.

        Without an effective time the first version of a card prices whatever came before it too,
        and a later one takes effect a margin after its publication, so that all shards switch at
        one effective instant. A version that is dated back prices nothing but what is unpriced
        (see rating.versions).
        """
        effective: int | None = effective_from_us or None
        if effective is None and not await self._has_card(tenant, card.name):
            effective = ALWAYS_US
        return await self._publish(
            tenant,
            ConfigurationKind.RATE_CARD,
            card.name,
            canonical_bytes(card),
            effective,
            expected_version,
        )

    async def _has_card(self, tenant: int, name: str) -> bool:
        async for entry in self.configurations.published(tenant):
            if entry.kind == ConfigurationKind.RATE_CARD and entry.name == name:
                return True
        return False

    async def _publish(
        self,
        tenant: int,
        kind: ConfigurationKind,
        name: str,
        body: bytes,
        effective_from_us: int | None,
        expected_version: int | None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        entry = await self.configuration.publish(
            tenant, kind, name, body, effective_from_us, expected_version
        )
        if isinstance(entry, ConfigurationEntry):
            await self.apply_published(tenant)
        return entry

    async def apply_published(self, tenant: int) -> None:
        """Bring every shard to the last published version. Raises NotApplied, OutcomeUnknown."""
        async with self._publishing:
            await asyncio.gather(*[self._apply(writer, tenant) for writer in self.writers])

    async def _apply(self, writer: Writer, tenant: int) -> None:
        reached, _ = await writer.read(lambda state: state.configuration.get(tenant, 0))
        async for entry in self.configurations.published(tenant, reached):
            await self.configurations.take(entry)
            command = ApplyConfiguration(tenant, entry.version, entry.content_hash)
            ticket = await writer.submit([command])
            assert isinstance(ticket.outcomes[0], ConfigurationApplied), ticket.outcomes[0]
