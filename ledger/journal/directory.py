"""The account directory: external account ids and aliases to numbers, families and shards.

Owns the protocol, its values, the placement hash and the bounded read-through cache. It is the only
arbiter of account ids (a row is claimed before AccountCreated is appended, confirmed after) and the
only place where an account's own id is kept, so that erasing it there erases it.
Must not know what an account may do. `directory_memory` and `directory_postgres` implement it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Final, Protocol

from msgspec import Struct

ID_BYTES_MAX: Final = 128  # account ids and aliases, UTF-8
FAMILY_KEY_BYTES: Final = 32
PLACEMENT_HASH: Final = "blake2b-64"
PAGE_SIZE_DEFAULT: Final = 100
PAGE_SIZE_MAX: Final = 1_000
CACHE_NAMES_MAX: Final = 200_000  # x ~400 B = 80 MB a process

TENANT_DEFAULT: Final = 1  # seeded by the first migration: `default`, live
TENANT_SANDBOX: Final = 2  # seeded by the first migration: `sandbox`, sandbox


class AccountState(IntEnum):
    """How far an account came. Claimed: its AccountCreated may not be in the journal yet."""

    CLAIMED = 1
    CREATED = 2
    ERASED = 3


class TenantKind(IntEnum):
    """A sandbox tenant has a clock of its own (rule T4)."""

    LIVE = 1
    SANDBOX = 2


class Reason(StrEnum):
    """Why the directory refused a request. Stable; never reused."""

    TENANT_UNKNOWN = "TENANT_UNKNOWN"
    TENANT_EXISTS = "TENANT_EXISTS"
    ID_INVALID = "ID_INVALID"
    ACCOUNT_UNKNOWN = "ACCOUNT_UNKNOWN"
    PARENT_UNKNOWN = "PARENT_UNKNOWN"
    PARENT_DIFFERS = "PARENT_DIFFERS"
    NAME_IS_ALIAS = "NAME_IS_ALIAS"
    NAME_IS_ACCOUNT = "NAME_IS_ACCOUNT"
    ALIAS_OVERLAPS = "ALIAS_OVERLAPS"
    ALIAS_UNKNOWN = "ALIAS_UNKNOWN"
    RANGE_INVALID = "RANGE_INVALID"
    PAGE_INVALID = "PAGE_INVALID"


class Refused(Struct, frozen=True):
    """A request that cannot be done as asked: stable reason, the value that is at fault, a message.

    Nothing was changed.
    """

    reason: Reason
    value: str
    message: str


class TenantEntry(Struct, frozen=True):
    """A unit of isolation; `number` is the first part of every key."""

    number: int
    name: str
    kind: TenantKind


class Entry(Struct, frozen=True):
    """Where an account lives. `parent` is the one that it was opened under. `family_key` is the
    root's 32 random bytes, b"" once erased. `seat`: attribute and value of the seat that the alias
    names by which the account was looked up; None = none."""

    tenant: int
    number: int
    account_id: str
    parent: int | None
    root: int
    shard: int
    family_key: bytes
    state: AccountState
    seat: tuple[str, str] | None = None


class AccountProfile(Struct, frozen=True):
    """An entry with what people call it, in which version. `parent_id` is of the parent that it has
    now, None for a root.

    `version` counts as the journal does, which may be ahead; 0 = its opening is not confirmed.
    """

    entry: Entry
    parent_id: str | None
    display_name: str
    metadata: dict[str, str]
    created_at_us: int
    version: int = 0
    erased_at_us: int = 0  # 0 = it was not
    place_version: int = 1  # of its place, as the journal counts, which may be ahead


class AccountPage(Struct, frozen=True):
    """One page of a listing, ordered by account id; `next_page_token` is "" on the last."""

    accounts: tuple[AccountProfile, ...]
    next_page_token: str


class AliasRange(Struct, frozen=True):
    """An alias stands for an account in [effective_from_us, effective_to_us); None = open (I7).
    Usage under it bears the attribute `seat_attribute`, of that `seat`; "" = it names none."""

    alias: str
    account_id: str
    effective_from_us: int
    effective_to_us: int | None
    seat_attribute: str = ""
    seat: str = ""


class Erasure(Struct, frozen=True):
    """What `erase` did, and what is left to blank: this account's private records in this shard."""

    tenant: int
    number: int
    root: int
    shard: int
    pseudonym: str
    family_erased: bool


class Changed(Struct, frozen=True):
    """What caches must forget: names, erased accounts by number, or everything."""

    names: tuple[tuple[int, str], ...] = ()
    accounts: frozenset[int] = frozenset()
    everything: bool = False


NOTHING_CHANGED: Final = Changed()


class Directory(Protocol):
    """Accounts, aliases and tenants. Methods raise JournalUnavailable when storage is away."""

    shards: int

    async def claim(self, tenant: int, account_id: str, parent_id: str | None) -> Entry | Refused:
        """Give the id a number, a family and a shard, or return those that it has. Idempotent.

        Refused: TENANT_UNKNOWN, ID_INVALID, PARENT_UNKNOWN, PARENT_DIFFERS (the id exists below
        another parent), NAME_IS_ALIAS.
        """
        ...

    async def confirm(self, number: int) -> None:
        """AccountCreated is durable: mark the account created. Idempotent."""
        ...

    def cached(self, tenant: int, name: str, at_us: int) -> Entry | None:
        """The account that this id or alias means at that time, if it is in memory."""
        ...

    async def resolve(
        self, tenant: int, names: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], Entry]:
        """The same for many (name, at_us) in one query; unknown ones are left out, not cached."""
        ...

    async def assign_alias(
        self,
        tenant: int,
        alias: str,
        account_id: str,
        effective_from_us: int,
        effective_to_us: int | None = None,
        seat: tuple[str, str] | None = None,
    ) -> AliasRange | Refused:
        """Let the alias mean the account in that range, and a seat of it, by attribute and value;
        the same again changes nothing.

        Refused: ID_INVALID, ACCOUNT_UNKNOWN, NAME_IS_ACCOUNT, RANGE_INVALID, ALIAS_OVERLAPS.
        """
        ...

    async def end_alias(
        self, tenant: int, alias: str, effective_to_us: int
    ) -> AliasRange | Refused:
        """End the range that is in force at that instant. Refused: ALIAS_UNKNOWN, RANGE_INVALID."""
        ...

    async def list_aliases(self, tenant: int, account_id: str) -> tuple[AliasRange, ...]:
        """All ranges of all aliases of an account, ordered by alias and time."""
        ...

    async def get_account(
        self, tenant: int, account_id: str, *, erased: bool = False
    ) -> AccountProfile | Refused:
        """One account with its profile; `erased`: or one that this pseudonym stands for.

        Refused: ACCOUNT_UNKNOWN.
        """
        ...

    async def list_accounts(
        self, tenant: int, parent_id: str | None, page_size: int, page_token: str
    ) -> AccountPage | Refused:
        """Accounts by id; the children of `parent_id`, or all when None. Size 0 = default (100).

        Refused: PAGE_INVALID (negative size, foreign token), ACCOUNT_UNKNOWN (the parent).
        """
        ...

    async def names(self, numbers: Sequence[int]) -> dict[int, str]:
        """The account ids (or pseudonyms) of these numbers; unknown ones are left out."""
        ...

    async def update_profile(
        self,
        tenant: int,
        account_id: str,
        display_name: str | None,
        metadata: dict[str, str] | None,
        version: int,
    ) -> AccountProfile | Refused:
        """Replace what is not None, unless that version or a later one stands there already.

        Refused: ACCOUNT_UNKNOWN.
        """
        ...

    async def place(self, profile: AccountProfile, parent: int, version: int) -> AccountProfile:
        """Note below which parent an account stands, unless that version or a later one is noted;
        returns the profile as it is then."""
        ...

    async def erase(self, tenant: int, account_id: str) -> Erasure | Refused:
        """Forget the person: id becomes a pseudonym; profile, aliases, parked usage are deleted.

        When the family's last account goes, its key goes too, and with it the meaning of every
        digest in the journal. Then blank the private records (`ledger.journal.erasure`).
        """
        ...

    async def erasures_pending(self) -> tuple[Erasure, ...]:
        """Erased accounts whose private records have not been reported blank yet."""
        ...

    async def erasure_done(self, number: int) -> None:
        """The private records of that account are blank."""
        ...

    async def tenant(self, name: str) -> TenantEntry | None:
        """A tenant by its name."""
        ...

    async def add_tenant(self, name: str, kind: TenantKind) -> TenantEntry | Refused:
        """Add one. The same again returns it; another kind is refused with TENANT_EXISTS."""
        ...

    async def list_tenants(self) -> tuple[TenantEntry, ...]:
        """All tenants, by number."""
        ...

    async def catch_up(self) -> Changed:
        """Forget what other processes changed since the last call, and say what that was.

        After it `cached` knows nothing that was changed before the call began.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def family_shard(tenant: str, root_id: str, shards: int) -> int:
    """The shard that a family's hash gives: BLAKE2b-64 of length-prefixed tenant name and root id.

    Fixed for ever with the number of shards; a `family_placement` row overrides it.
    """
    digest = blake2b(digest_size=8)
    for part in (tenant.encode(), root_id.encode()):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "big") % shards


def is_valid_name(name: str) -> bool:
    """1 to 128 bytes of UTF-8 without NUL, which PostgreSQL cannot keep."""
    if not name or "\0" in name:
        return False
    try:
        return len(name.encode()) <= ID_BYTES_MAX
    except UnicodeEncodeError:
        return False
