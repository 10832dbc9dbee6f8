"""One process: the writers of its shards, the directory, the configuration, and what spans them.

What touches more than one of them stands here: an account's id is claimed before AccountCreated is
appended and confirmed after; a configuration is published once and applied by every shard before
the answer. Each step may be repeated after a crash. Which shards are its own is for `shards` to
say; what those of other processes must do is asked of `peers`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from ledger.core.commands import Command, CreateAccount, Names
from ledger.core.events import AccountPolicy, ConfigurationApplied
from ledger.core.identity import FamilyDigest
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package
from ledger.core.packages.packaged import canonical_bytes as package_bytes
from ledger.engine.clock import Clock
from ledger.engine.configuration import (
    METERS_NAME,
    SIZING_NAME,
    AliasBody,
    AssetBody,
    Configurations,
    ConversionBody,
    FailModeBody,
    conversion_name,
)
from ledger.engine.lease import Terms
from ledger.engine.names import NameWatch
from ledger.engine.observer import Observer
from ledger.engine.profiles import private_pairs, profile_pairs
from ledger.engine.recovery import Progress
from ledger.engine.sandbox import ClockMoved, ClockRefused, Sandboxes
from ledger.engine.shards import Shards
from ledger.engine.ticket import NotApplied, NotAppliedReason, NotOwner, OutcomeUnknown, Ticket
from ledger.engine.underway import Underway
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
from ledger.journal.leases import Identity, LeaseStore
from ledger.journal.parked import ParkedStore
from ledger.journal.protocol import Journal
from ledger.sizing.rules import SizingSet
from ledger.sizing.rules import canonical_bytes as sizing_bytes
from rating.card import RateCard, canonical_bytes
from rating.meters import MeterSet
from rating.meters import canonical_bytes as meter_bytes

FAMILIES_CACHED_MAX: Final = 100_000  # digest objects; x ~850 B = 85 MB
UNSERVED_RETRY_US: Final = 200_000
ALWAYS_US: Final = 1
"""The first version of a card prices whatever came before it as well: nothing else did."""


FIRST_VERSION: Final = 1
"""Of display name and metadata, as an account is opened."""


class Storage(Protocol):
    """Where everything durable lives: PostgreSQL, or memory in tests and simulations."""

    shards: int
    directory: Directory
    configuration: ConfigurationStore
    parked: ParkedStore

    @property
    def leases(self) -> LeaseStore:
        """Which process may answer for which shard."""
        ...

    def journal(self, shard: int) -> Journal:
        """The journal of one shard."""
        ...

    def checkpoints(self, shard: int) -> CheckpointStore:
        """The checkpoint of one shard."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Peers(Protocol):
    """The other processes, as far as a ledger needs them."""

    async def apply_published(self, tenant: int) -> set[int]:
        """Have every other process bring its shards to the last published version.

        Returns those shards. Raises NotApplied where a process does not answer.
        """
        ...

    async def settle_clock(self, tenant: int, until: int, patience_us: int) -> dict[int, int]:
        """Have every other process do what `Sandboxes.settle_owned` does, for its shards."""
        ...


class Ledger:
    """The shards of one process. `start`, then `opened`; `stop` finishes what was accepted.

    With an `identity` it shares its storage with other processes, by leases, and `writers[shard]`
    refuses with NotOwner while another has the shard. Without one it has all shards, for good.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        recorded_by: str = "",
        observer: Observer | None = None,
        progress: Callable[[int], Progress] | None = None,
        *,
        identity: Identity | None = None,
        terms: Terms | None = None,
        upkeep: Upkeep | None = None,
    ) -> None:
        """`progress(shard)` gives the callback that watches that shard's replay; `upkeep` says how
        often checkpoints are taken and how much stays in memory."""
        terms = terms if terms is not None else Terms()
        self.storage = storage
        self.clock = clock
        self.directory = storage.directory
        self.parked = storage.parked
        self.configuration = storage.configuration
        self.configurations = Configurations(storage.configuration)
        self.names = NameWatch(storage.directory, clock, terms, sole=identity is None)
        self.shards = Shards(
            storage.leases,
            [storage.journal(shard) for shard in range(storage.shards)],
            [storage.checkpoints(shard) for shard in range(storage.shards)],
            clock,
            self.configurations,
            recorded_by,
            observer,
            progress,
            identity=identity,
            terms=terms,
            upkeep=upkeep,
        )
        self.sandboxes = Sandboxes(storage.configuration, self.configurations, self.shards, clock)
        self.underway = Underway()
        self.peers: Peers | None = None
        self._families: OrderedDict[bytes, FamilyDigest] = OrderedDict()
        self._publishing = asyncio.Lock()

    # -- life ------------------------------------------------------------------------------------

    def start(self, address: str = "") -> None:
        """Begin to open every shard, or those that leases are won for.

        `address`: where other processes reach us, for an identity that did not know it.
        """
        self.names.start()
        self.shards.start(address)

    async def opened(self) -> None:
        """Return when every shard of ours serves and has applied every published configuration.

        Raises what made a shard impossible to open.
        """
        await self.shards.opened()

    async def stop(self) -> None:
        """Drain every shard and release it; storage stays open."""
        try:
            await self.shards.stop()
        finally:
            await self.names.stop()

    # -- shards ------------------------------------------------------------------------------------

    @property
    def writers(self) -> list[Writer]:
        """By shard; those of other processes' shards refuse with NotOwner."""
        return self.shards.writers

    @property
    def owned(self) -> list[int]:
        """The shards of this process, ascending."""
        return self.shards.owned

    # -- families ----------------------------------------------------------------------------------

    def family(self, entry: Entry) -> FamilyDigest:
        """The digests of an account's family."""
        digest = self._families.get(entry.family_key)
        if digest is None:
            digest = self._families[entry.family_key] = FamilyDigest(entry.family_key)
            if len(self._families) > FAMILIES_CACHED_MAX:
                self._families.popitem(last=False)
        return digest

    def number_of(self, entry: Entry) -> int:
        """An account's number, as the one object that its shard has of it where it is in memory:
        one of a large family is looked at with each event, and each object costs."""
        try:
            account = self.writers[entry.shard].state.accounts.get(entry.number)
        except NotApplied:  # the shard is not open, or not ours
            return entry.number
        return account.number if account is not None else entry.number

    async def resolve(self, tenant: int, name: str, at_us: int = 0) -> Entry | None:
        """The account that an id or alias means at that time (rule I7); 0 = now, by the clock of
        the tenant."""
        at_us = at_us or self.sandboxes.now_us(tenant)
        found = self.cached(tenant, name, at_us)
        if found is not None:
            return found
        return (await self.directory.resolve(tenant, [(name, at_us)])).get((name, at_us))

    def cached(self, tenant: int, name: str, at_us: int) -> Entry | None:
        """The same from memory, unless another process may have changed it unseen."""
        return self.directory.cached(tenant, name, at_us) if self.names.fresh() else None

    async def submit(
        self,
        entry: Entry,
        command: Command,
        deadline_us: int = 0,
        span: object = None,
        actor: str = "",
    ) -> Ticket:
        """One command to the writer of an account's family, `actor` beside what it records.

        Raises NotApplied, OutcomeUnknown.
        """
        return await self.writers[entry.shard].submit([command], deadline_us, span, actor)

    # -- accounts ----------------------------------------------------------------------------------

    async def create_account(
        self,
        tenant: int,
        account_id: str,
        parent_id: str | None,
        request_id: str,
        policy: AccountPolicy,
        display_name: str = "",
        metadata: dict[str, str] | None = None,
        trace: bytes = b"",
        actor: str = "",
    ) -> tuple[Entry, Ticket] | Refused:
        """Claim the id, append AccountCreated, confirm: every step again after a crash."""
        entry = await self.directory.claim(tenant, account_id, parent_id or None)
        if isinstance(entry, Refused):
            return entry
        digest = self.family(entry)
        metadata = metadata or {}
        profile = profile_pairs(display_name, metadata)
        ticket = await self.submit(
            entry,
            CreateAccount(
                digest.request(request_id),
                tenant,
                entry.number,
                entry.parent or 0,
                entry.root,
                policy,
                digest.pairs(profile),
                Names(
                    "",
                    request_id,
                    personal=private_pairs(display_name, metadata) if profile else (),
                ),
                trace,
            ),
            actor=actor,
        )
        if not isinstance(ticket.outcomes[0], Refusal):
            if profile:
                await self.directory.update_profile(
                    tenant, account_id, display_name, metadata, FIRST_VERSION
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
        """Publish a validated rate card; see `publish_card_body`."""
        body = canonical_bytes(card)
        return await self.publish_card_body(
            tenant, card.name, body, effective_from_us, expected_version
        )

    async def publish_card_body(
        self,
        tenant: int,
        name: str,
        body: bytes,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish the canonical bytes of a validated rate card of that name; answers when every
        shard has applied it.

        Without an effective time the first version of a card prices whatever came before it too,
        and a later one takes effect a margin after its publication, so that all shards switch at
        one effective instant. A version that is dated back prices nothing but what is unpriced
        (see rating.versions).
        """
        effective: int | None = effective_from_us or None
        kind = ConfigurationKind.RATE_CARD
        if effective is None and not await self._has(tenant, kind, name):
            effective = ALWAYS_US
        return await self._publish(tenant, kind, name, body, effective, expected_version)

    async def publish_alias(
        self,
        tenant: int,
        name: str,
        card: str,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Let a name mean a published rate card, from when on as for a version of a card."""
        kind, effective = ConfigurationKind.RATE_CARD_ALIAS, effective_from_us or None
        if effective is None and not await self._has(tenant, kind, name):
            effective = ALWAYS_US
        body = msgspec.msgpack.encode(AliasBody(card))
        return await self._publish(tenant, kind, name, body, effective, expected_version)

    async def publish_conversion(
        self,
        tenant: int,
        body: ConversionBody,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish what an asset is worth in another, from when on as for a version of a card."""
        kind, name = ConfigurationKind.CONVERSION, conversion_name(body)
        effective: int | None = effective_from_us or None
        if effective is None and not await self._has(tenant, kind, name):
            effective = ALWAYS_US
        encoded = msgspec.msgpack.encode(body)
        return await self._publish(tenant, kind, name, encoded, effective, expected_version)

    async def publish_fail_mode(
        self, tenant: int, product: str, mode: str, expected_version: int | None = None
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Say how a product's work is decided while no server answers; it prices nothing, so there
        is no instant from which it counts."""
        kind, body = ConfigurationKind.FAIL_MODE, msgspec.msgpack.encode(FailModeBody(mode))
        return await self._publish(tenant, kind, product, body, None, expected_version)

    async def publish_meters(
        self,
        tenant: int,
        meters: MeterSet,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish a validated set of meters, from when on as for a version of a card."""
        kind, effective = ConfigurationKind.METERS, effective_from_us or None
        if effective is None and not await self._has(tenant, kind, METERS_NAME):
            effective = ALWAYS_US
        body = meter_bytes(meters)
        return await self._publish(tenant, kind, METERS_NAME, body, effective, expected_version)

    async def publish_sizing(
        self, tenant: int, sizing: SizingSet, expected_version: int | None = None
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish a validated set of sizing rules, in force where a shard applies it."""
        kind, body = ConfigurationKind.SIZING, sizing_bytes(sizing)
        return await self._publish(tenant, kind, SIZING_NAME, body, None, expected_version)

    async def publish_package(
        self,
        tenant: int,
        name: str,
        package: Package,
        effective_from_us: int = 0,
        expected_version: int | None = None,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Publish a validated version of a package, from when on as for a version of a card."""
        kind, effective = ConfigurationKind.PACKAGE, effective_from_us or None
        if effective is None and not await self._has(tenant, kind, name):
            effective = ALWAYS_US
        body = package_bytes(package)
        return await self._publish(tenant, kind, name, body, effective, expected_version)

    async def _has(self, tenant: int, kind: ConfigurationKind, name: str) -> bool:
        async for entry in self.configurations.published(tenant):
            if entry.kind == kind and entry.name == name:
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
            tenant,
            kind,
            name,
            body,
            effective_from_us,
            expected_version,
            self.sandboxes.offset(tenant),
        )
        if isinstance(entry, ConfigurationEntry):
            try:
                await self.apply_published(tenant)
            except NotApplied as error:
                raise OutcomeUnknown(
                    f"version {entry.version} is published, but not every shard has applied it "
                    f"({error}): send the same again"
                ) from error
        return entry

    async def advance_clock(
        self, tenant: int, request_id: str, by_us: int, to_us: int
    ) -> ClockMoved | ClockRefused:
        """Move the clock of a sandbox tenant (rule T4); returns when every shard goes by it.

        See `Sandboxes.publish`; `settle_clock` waits for what it makes due. Raises OutcomeUnknown.
        """
        moved = await self.sandboxes.publish(tenant, request_id, by_us, to_us)
        if isinstance(moved, ClockMoved):
            try:
                await self.apply_published(tenant)
            except NotApplied as error:
                raise OutcomeUnknown(
                    f"the clock is moved, but not every shard goes by it ({error}): send the same "
                    "again"
                ) from error
        return moved

    async def settle_clock(self, tenant: int, until: int, patience_us: int) -> int:
        """Wait for what was due by then, by the clock of the tenant, on every shard; returns how
        many accounts have something of it left when patience has run out. Raises NotApplied."""
        here, there = await asyncio.gather(
            self.sandboxes.settle_owned(tenant, until, patience_us),
            self._settle_elsewhere(tenant, until, patience_us),
        )
        missing = [s for s in range(len(self.writers)) if s not in here.keys() | there.keys()]
        if missing:
            raise _unserved(missing)
        return sum((there | here).values())

    async def _settle_elsewhere(self, tenant: int, until: int, patience_us: int) -> dict[int, int]:
        return (
            {} if self.peers is None else await self.peers.settle_clock(tenant, until, patience_us)
        )

    async def apply_published(self, tenant: int) -> None:
        """Bring every shard to the last published version. Raises NotApplied, OutcomeUnknown."""
        applied, elsewhere = await asyncio.gather(
            self.apply_owned(tenant), self._apply_elsewhere(tenant)
        )
        missing = [s for s in range(len(self.writers)) if s not in applied | elsewhere]
        if missing:
            raise _unserved(missing)

    async def apply_owned(self, tenant: int) -> set[int]:
        """The same for the shards of this process; returns them."""
        async with self._publishing:
            shards = self.owned
            try:
                await asyncio.gather(*[self._apply(self.writers[s], tenant) for s in shards])
            except NotOwner as error:  # given away this moment; its next owner applies it first
                raise _unserved([error.shard]) from None
        return set(shards)

    async def _apply_elsewhere(self, tenant: int) -> set[int]:
        return set() if self.peers is None else await self.peers.apply_published(tenant)

    async def _apply(self, writer: Writer, tenant: int) -> None:
        reached, _ = await writer.read(lambda state: state.configuration.get(tenant, 0))
        async for entry in self.configurations.published(tenant, reached):
            await self.configurations.take(entry)
            command = self.configurations.command(entry)
            outcome = (await writer.submit([command])).outcomes[0]
            if isinstance(outcome, Refusal) and int(outcome.value) >= entry.version:
                continue  # another process had the shard meanwhile, and applied it
            assert isinstance(outcome, ConfigurationApplied), outcome


def _unserved(shards: list[int]) -> NotApplied:
    return NotApplied(
        NotAppliedReason.NOT_OWNER,
        f"nobody serves the shards {shards} now; send the same again",
        UNSERVED_RETRY_US,
    )
