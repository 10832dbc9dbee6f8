"""The account directory in memory, with the promises of the real one: for tests and the simulator.

Nothing is ever away unless `available` is turned off. Reads no clock and draws no randomness of its
own: both are handed in, and the defaults are fixed, so that a seed repeats a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from msgspec.structs import replace

from ledger.journal import directory as d
from ledger.journal import directory_rules as rules
from ledger.journal.errors import JournalUnavailable


def counted_entropy() -> Callable[[int], bytes]:
    """Bytes that differ at each call and repeat from run to run."""
    calls = 0

    def entropy(size: int) -> bytes:
        nonlocal calls
        calls += 1
        return blake2b(calls.to_bytes(8, "big"), digest_size=size).digest()

    return entropy


class MemoryDirectory:
    """See `directory.Directory`. Everything is cached; keep the object over a simulated crash."""

    def __init__(
        self,
        shards: int = 4,
        *,
        entropy: Callable[[int], bytes] | None = None,
        clock: Callable[[], int] = lambda: 0,
    ) -> None:
        """`placements` may be filled with (tenant, root id) -> shard to override the hash."""
        self.shards = shards
        self.available = True
        self.placements: dict[tuple[int, str], int] = {}
        self._entropy = entropy or counted_entropy()
        self._clock = clock
        self._by_name: dict[tuple[int, str], int] = {}
        self._profiles: dict[int, d.AccountProfile] = {}
        self._placed: dict[int, int] = {}  # account -> its parent, where that is another by now
        self._pseudonyms: dict[tuple[int, str], int] = {}
        self._aliases: dict[tuple[int, str], list[tuple[d.AliasRange, int]]] = {}
        self._pending: dict[int, d.Erasure] = {}
        self._tenants = {
            "default": d.TenantEntry(d.TENANT_DEFAULT, "default", d.TenantKind.LIVE),
            "sandbox": d.TenantEntry(d.TENANT_SANDBOX, "sandbox", d.TenantKind.SANDBOX),
        }

    async def claim(
        self, tenant: int, account_id: str, parent_id: str | None
    ) -> d.Entry | d.Refused:
        """See `Directory.claim`."""
        self._reachable()
        if not d.is_valid_name(account_id):
            return rules.refused(d.Reason.ID_INVALID, account_id)
        parent = self._entry(tenant, parent_id) if parent_id is not None else None
        found = self._entry(tenant, account_id)
        if found is not None:
            if (parent_id is not None and parent is None) or found.parent != (
                parent.number if parent else None
            ):
                return rules.refused(d.Reason.PARENT_DIFFERS, account_id)
            return found
        named = next((entry for entry in self._tenants.values() if entry.number == tenant), None)
        if named is None:
            return rules.refused(d.Reason.TENANT_UNKNOWN, str(tenant))
        if (tenant, account_id) in self._aliases:
            return rules.refused(d.Reason.NAME_IS_ALIAS, account_id)
        if parent_id is not None and parent is None:
            return rules.refused(d.Reason.PARENT_UNKNOWN, parent_id)
        return self._add(named, account_id, parent)

    def _add(self, tenant: d.TenantEntry, account_id: str, parent: d.Entry | None) -> d.Entry:
        number = len(self._profiles) + 1
        shard = self.placements.get((tenant.number, account_id))
        if shard is None:
            shard = d.family_shard(tenant.name, account_id, self.shards)
        entry = d.Entry(
            tenant.number,
            number,
            account_id,
            parent.number if parent else None,
            parent.root if parent else number,
            parent.shard if parent else shard,
            parent.family_key if parent else self._entropy(d.FAMILY_KEY_BYTES),
            d.AccountState.CLAIMED,
        )
        self._by_name[tenant.number, account_id] = number
        parent_id = parent.account_id if parent else None
        self._profiles[number] = d.AccountProfile(entry, parent_id, "", {}, self._clock())
        return entry

    async def confirm(self, number: int) -> None:
        """See `Directory.confirm`."""
        self._reachable()
        profile = self._profiles.get(number)
        if profile is not None and profile.entry.state == d.AccountState.CLAIMED:
            self._change(number, state=d.AccountState.CREATED)
            self._profiles[number] = replace(
                self._profiles[number], version=max(profile.version, 1)
            )

    def cached(self, tenant: int, name: str, at_us: int) -> d.Entry | None:
        """See `Directory.cached`: here, everything there is."""
        number = self._by_name.get((tenant, name))
        ranges = self._aliases.get((tenant, name), ()) if number is None else ()
        if number is None:
            number = next((n for found, n in ranges if rules.meaning((found,), at_us)), None)
        if number is None:
            return None
        entry = self._profiles[number].entry
        return rules.named_by(entry, [found for found, _ in ranges], at_us) if ranges else entry

    async def resolve(
        self, tenant: int, names: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], d.Entry]:
        """See `Directory.resolve`."""
        self._reachable()
        found = {(name, at_us): self.cached(tenant, name, at_us) for name, at_us in names}
        return {key: entry for key, entry in found.items() if entry is not None}

    async def assign_alias(
        self,
        tenant: int,
        alias: str,
        account_id: str,
        effective_from_us: int,
        effective_to_us: int | None = None,
        seat: tuple[str, str] | None = None,
    ) -> d.AliasRange | d.Refused:
        """See `Directory.assign_alias`."""
        self._reachable()
        if not d.is_valid_name(alias):
            return rules.refused(d.Reason.ID_INVALID, alias)
        account = self._entry(tenant, account_id)
        if account is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        named = seat or ("", "")
        wanted = d.AliasRange(alias, account_id, effective_from_us, effective_to_us, *named)
        ranges = [found for found, _ in self._aliases.get((tenant, alias), ())]
        if wanted in ranges:
            return wanted
        is_account = self._entry(tenant, alias) is not None
        refusal = rules.check_alias(ranges, wanted, name_is_account=is_account)
        if refusal is None:
            every = self._aliases.setdefault((tenant, alias), [])
            every.append((wanted, account.number))
            every.sort(key=lambda pair: pair[0].effective_from_us)
        return refusal or wanted

    async def end_alias(
        self, tenant: int, alias: str, effective_to_us: int
    ) -> d.AliasRange | d.Refused:
        """See `Directory.end_alias`."""
        self._reachable()
        every = self._aliases.get((tenant, alias), [])
        found = rules.to_end([pair[0] for pair in every], effective_to_us)
        if found is None:
            return rules.refused(d.Reason.ALIAS_UNKNOWN, alias)
        ended = replace(found, effective_to_us=effective_to_us)
        every[:] = [(ended if pair[0] is found else pair[0], pair[1]) for pair in every]
        return ended

    async def list_aliases(self, tenant: int, account_id: str) -> tuple[d.AliasRange, ...]:
        """See `Directory.list_aliases`."""
        self._reachable()
        account = self._entry(tenant, account_id)
        if account is None:
            return ()
        return tuple(
            found
            for (of, _), every in sorted(self._aliases.items())
            for found, number in every
            if of == tenant and number == account.number
        )

    async def get_account(
        self, tenant: int, account_id: str, *, erased: bool = False
    ) -> d.AccountProfile | d.Refused:
        """See `Directory.get_account`."""
        self._reachable()
        number = self._by_name.get((tenant, account_id))
        if number is None and erased:
            number = self._pseudonyms.get((tenant, account_id))
        if number is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        return self._profiles[number]

    async def list_accounts(
        self, tenant: int, parent_id: str | None, page_size: int, page_token: str
    ) -> d.AccountPage | d.Refused:
        """See `Directory.list_accounts`."""
        self._reachable()
        page = rules.parse_page(page_size, page_token)
        if isinstance(page, d.Refused):
            return page
        rows, after = page
        parent = self._entry(tenant, parent_id) if parent_id is not None else None
        if parent_id is not None and parent is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, parent_id)
        names = sorted(
            (name for of, name in self._by_name if of == tenant and name.encode() > after.encode()),
            key=str.encode,
        )
        profiles = [self._profiles[self._by_name[tenant, name]] for name in names]
        if parent is not None:
            profiles = [found for found in profiles if self._above(found.entry) == parent.number]
        return rules.make_page(profiles[: rows + 1], rows)

    async def names(self, numbers: Sequence[int]) -> dict[int, str]:
        """See `Directory.names`."""
        self._reachable()
        known = (number for number in numbers if number in self._profiles)
        return {number: self._profiles[number].entry.account_id for number in known}

    async def update_profile(
        self,
        tenant: int,
        account_id: str,
        display_name: str | None,
        metadata: dict[str, str] | None,
        version: int,
    ) -> d.AccountProfile | d.Refused:
        """See `Directory.update_profile`."""
        profile = await self.get_account(tenant, account_id)
        if isinstance(profile, d.Refused) or profile.version >= version:
            return profile
        changed = replace(
            profile,
            display_name=profile.display_name if display_name is None else display_name,
            metadata=dict(profile.metadata if metadata is None else metadata),
            version=version,
        )
        self._profiles[profile.entry.number] = changed
        return changed

    async def place(self, profile: d.AccountProfile, parent: int, version: int) -> d.AccountProfile:
        """See `Directory.place`."""
        self._reachable()
        number = profile.entry.number
        found = self._profiles[number]
        if found.place_version < version:
            self._placed[number] = parent
            above = self._profiles[parent].entry.account_id
            found = replace(found, parent_id=above, place_version=version)
            self._profiles[number] = found
        return found

    def _above(self, entry: d.Entry) -> int | None:
        return self._placed.get(entry.number, entry.parent)

    async def erase(self, tenant: int, account_id: str) -> d.Erasure | d.Refused:
        """See `Directory.erase`."""
        self._reachable()
        number = self._by_name.pop((tenant, account_id), None)
        if number is None:
            return rules.refused(d.Reason.ACCOUNT_UNKNOWN, account_id)
        pseudonym = f"erased-{self._entropy(16).hex()}"
        for key, every in list(self._aliases.items()):
            every[:] = [pair for pair in every if pair[1] != number]
            if not every:
                del self._aliases[key]
        self.placements.pop((tenant, account_id), None)
        self._profiles[number] = replace(
            self._profiles[number], display_name="", metadata={}, erased_at_us=self._clock()
        )
        self._pseudonyms[tenant, pseudonym] = number
        entry = self._change(number, account_id=pseudonym, state=d.AccountState.ERASED)
        family = [p.entry for p in self._profiles.values() if p.entry.root == entry.root]
        family_erased = all(member.state == d.AccountState.ERASED for member in family)
        for member in family:
            if family_erased:
                self._change(member.number, family_key=b"")
        for child in [p for p in self._profiles.values() if self._above(p.entry) == number]:
            self._profiles[child.entry.number] = replace(child, parent_id=pseudonym)
        erasure = d.Erasure(tenant, number, entry.root, entry.shard, pseudonym, family_erased)
        self._pending[number] = erasure
        return erasure

    async def erasures_pending(self) -> tuple[d.Erasure, ...]:
        """See `Directory.erasures_pending`."""
        self._reachable()
        return tuple(self._pending.values())

    async def erasure_done(self, number: int) -> None:
        """See `Directory.erasure_done`."""
        self._reachable()
        self._pending.pop(number, None)

    async def tenant(self, name: str) -> d.TenantEntry | None:
        """See `Directory.tenant`."""
        self._reachable()
        return self._tenants.get(name)

    async def add_tenant(self, name: str, kind: d.TenantKind) -> d.TenantEntry | d.Refused:
        """See `Directory.add_tenant`."""
        self._reachable()
        if not d.is_valid_name(name):
            return rules.refused(d.Reason.ID_INVALID, name)
        made = d.TenantEntry(len(self._tenants) + 1, name, kind)
        entry = self._tenants.setdefault(name, made)
        return entry if entry.kind == kind else rules.refused(d.Reason.TENANT_EXISTS, name)

    async def list_tenants(self) -> tuple[d.TenantEntry, ...]:
        """See `Directory.list_tenants`."""
        self._reachable()
        return tuple(self._tenants.values())

    async def catch_up(self) -> d.Changed:
        """See `Directory.catch_up`: nothing is a copy here."""
        self._reachable()
        return d.NOTHING_CHANGED

    async def close(self) -> None:
        """See `Directory.close`."""

    def _reachable(self) -> None:
        if not self.available:
            raise JournalUnavailable("the directory is away")

    def _entry(self, tenant: int, account_id: str) -> d.Entry | None:
        number = self._by_name.get((tenant, account_id))
        return self._profiles[number].entry if number is not None else None

    def _change(self, number: int, **changes: object) -> d.Entry:
        profile = self._profiles[number]
        entry = replace(profile.entry, **changes)
        self._profiles[number] = replace(profile, entry=entry)
        return entry
