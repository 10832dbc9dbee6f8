"""Tenant-wide configuration: a stream of versions a tenant, bodies as immutable blobs by hash.

Owns the protocol, its values and the in-memory store; `configuration_postgres` is the real one.
Keeps what was published and when; what a version means, and from when it prices what, is decided
by whoever applies it. Must not parse a body.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

from ledger.journal.directory import TENANT_DEFAULT, TENANT_SANDBOX, is_valid_name
from ledger.journal.errors import JournalUnavailable

CONTENT_HASH_BYTES: Final = 32
PUBLICATION_MARGIN_US: Final = 1_000_000  # every shard applies a version within this
PAGE_ENTRIES_MAX: Final = 1_000
BODY_BYTES_MAX: Final = 16 << 20


class ConfigurationKind(IntEnum):
    """What a version configures. Numbers are stored; never reused."""

    ASSET = 1
    RATE_CARD = 2
    CLOCK = 3
    RATE_CARD_ALIAS = 4
    CONVERSION = 5
    METERS = 6
    PACKAGE = 7
    SIZING = 8
    FAIL_MODE = 9


SHARE_NAMES: Final = {
    ConfigurationKind.RATE_CARD: ConfigurationKind.RATE_CARD_ALIAS,
    ConfigurationKind.RATE_CARD_ALIAS: ConfigurationKind.RATE_CARD,
}
"""Kinds of which a name may be one only."""


class ConfigurationEntry(Struct, frozen=True):
    """One published version. `version` is gapless per tenant from 1, over all kinds and names.

    Times are microseconds UTC; `published_at_us` is the database's clock and the offset of the
    tenant's (rule T4), never falling within a tenant. `effective_from_us` stands as it
    was asked for, also when it lies before publication.
    """

    tenant: int
    version: int
    kind: ConfigurationKind
    name: str
    content_hash: bytes
    published_at_us: int
    effective_from_us: int


class ConfigurationReason(StrEnum):
    """Why a publication was refused. Stable; never reused."""

    TENANT_UNKNOWN = "TENANT_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    VERSION_DIFFERS = "VERSION_DIFFERS"
    CARD_NAME_TAKEN = "CARD_NAME_TAKEN"


class ConfigurationRefused(Struct, frozen=True):
    """Nothing was published: stable reason, the value at fault, a message."""

    reason: ConfigurationReason
    value: str
    message: str


class ConfigurationStore(Protocol):
    """Published versions. Methods raise JournalUnavailable when storage is away."""

    async def publish(
        self,
        tenant: int,
        kind: ConfigurationKind,
        name: str,
        body: bytes,
        effective_from_us: int | None = None,
        expected_version: int | None = None,
        offset_us: int = 0,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """Append a version to the tenant's stream.

        `offset_us`: how far the tenant's clock is ahead.

        Without `effective_from_us` it takes effect at publication plus a margin in which every
        shard applies it. `expected_version` is the version that the caller believes to be the
        latest of this kind and name (0 = there is none); None = any. The latest version again
        (same body, same effective time or none given) returns that entry: a retry adds nothing.
        A rate card and an alias never have the same name.
        Refused: TENANT_UNKNOWN, NAME_INVALID, BODY_TOO_LARGE, VERSION_DIFFERS, CARD_NAME_TAKEN.
        """
        ...

    async def read(
        self, tenant: int | None, after_version: int = 0
    ) -> tuple[ConfigurationEntry, ...]:
        """Entries with version > after_version, by version: at most 1,000, so read on.

        Without a tenant all tenants' entries, by tenant and version, in one answer: for start-up.
        """
        ...

    async def body(self, content_hash: bytes) -> bytes | None:
        """The blob with that hash."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def content_hash(body: bytes) -> bytes:
    """BLAKE2b-256 of the body."""
    return blake2b(body, digest_size=CONTENT_HASH_BYTES).digest()


def check_publication(name: str, body: bytes) -> ConfigurationRefused | None:
    """What can be refused without looking at what is stored."""
    if not is_valid_name(name):
        return refused(ConfigurationReason.NAME_INVALID, repr(name), "1 to 128 bytes of UTF-8")
    if len(body) > BODY_BYTES_MAX:
        message = f"{len(body)} bytes; {BODY_BYTES_MAX} are allowed"
        return refused(ConfigurationReason.BODY_TOO_LARGE, str(len(body)), message)
    return None


def check_latest(
    latest: ConfigurationEntry | None,
    name: str,
    hashed: bytes,
    effective_from_us: int | None,
    expected_version: int | None,
) -> ConfigurationEntry | ConfigurationRefused | None:
    """The entry that a retry finds again, a refusal, or None: publish."""
    if (
        latest is not None
        and latest.content_hash == hashed
        and effective_from_us in (None, latest.effective_from_us)
    ):
        return latest
    version = latest.version if latest else 0
    if expected_version is not None and expected_version != version:
        return refused(
            ConfigurationReason.VERSION_DIFFERS,
            str(expected_version),
            f"the latest version of {name!r} is {version}, not {expected_version}; read it again",
        )
    return None


def name_taken(kind: ConfigurationKind, name: str) -> ConfigurationRefused:
    """The name is one of the other kind."""
    other = "a rate card" if kind is ConfigurationKind.RATE_CARD_ALIAS else "an alias"
    message = f"{name!r} is the name of {other} already; use another"
    return refused(ConfigurationReason.CARD_NAME_TAKEN, name, message)


def refused(reason: ConfigurationReason, value: str, message: str) -> ConfigurationRefused:
    """A refusal."""
    return ConfigurationRefused(reason, value, message)


class MemoryConfigurationStore:
    """See `ConfigurationStore`. Two tenants, as the first migration seeds them, unless told."""

    def __init__(
        self,
        *,
        clock: Callable[[], int] = lambda: 0,
        margin_us: int = PUBLICATION_MARGIN_US,
        tenants: tuple[int, ...] = (TENANT_DEFAULT, TENANT_SANDBOX),
    ) -> None:
        """`clock` gives microseconds UTC."""
        self.available = True
        self._clock = clock
        self._margin_us = margin_us
        self._entries: dict[int, list[ConfigurationEntry]] = {tenant: [] for tenant in tenants}
        self._bodies: dict[bytes, bytes] = {}

    async def publish(
        self,
        tenant: int,
        kind: ConfigurationKind,
        name: str,
        body: bytes,
        effective_from_us: int | None = None,
        expected_version: int | None = None,
        offset_us: int = 0,
    ) -> ConfigurationEntry | ConfigurationRefused:
        """See `ConfigurationStore.publish`."""
        self._reachable()
        refusal = check_publication(name, body)
        if refusal is not None:
            return refusal
        if tenant not in self._entries:
            return refused(ConfigurationReason.TENANT_UNKNOWN, str(tenant), f"no tenant {tenant}")
        stream, hashed = self._entries[tenant], content_hash(body)
        named = [found for found in stream if (found.kind, found.name) == (kind, name)]
        latest = named[-1] if named else None
        known = check_latest(latest, name, hashed, effective_from_us, expected_version)
        if known is not None:
            return known
        other = SHARE_NAMES.get(kind)
        if any((found.kind, found.name) == (other, name) for found in stream):
            return name_taken(kind, name)
        now = max(self._clock() + offset_us, stream[-1].published_at_us if stream else 0)
        effective = now + self._margin_us if effective_from_us is None else effective_from_us
        entry = ConfigurationEntry(tenant, len(stream) + 1, kind, name, hashed, now, effective)
        self._bodies[hashed] = body
        stream.append(entry)
        return entry

    async def read(
        self, tenant: int | None, after_version: int = 0
    ) -> tuple[ConfigurationEntry, ...]:
        """See `ConfigurationStore.read`."""
        self._reachable()
        tenants = sorted(self._entries) if tenant is None else (tenant,)
        every = (entry for number in tenants for entry in self._entries.get(number, ()))
        found = tuple(entry for entry in every if entry.version > after_version)
        return found if tenant is None else found[:PAGE_ENTRIES_MAX]

    async def body(self, content_hash: bytes) -> bytes | None:
        """See `ConfigurationStore.body`."""
        self._reachable()
        return self._bodies.get(content_hash)

    async def close(self) -> None:
        """See `ConfigurationStore.close`."""

    def _reachable(self) -> None:
        if not self.available:
            raise JournalUnavailable("the configuration store is away")
