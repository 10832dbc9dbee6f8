"""What the servicers share: who is meant, by name or number, and the caches of the hot path.

Turns tenants, accounts and minted ids of a request into entries of the directory, or fails the call
with the field at fault. Keeps caches only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from ledger.api.assets import Assets
from ledger.api.errors import CallFailed
from ledger.api.ids import UNKNOWN, MintedId, unmint
from ledger.api.intake.batches import SeatCache
from ledger.api.intake.metering import Meters
from ledger.api.intake.shapes import ShapeCache
from ledger.api.limits import id_fault
from ledger.api.tracing import NoTelemetry, Telemetry
from ledger.engine.lease import NEVER_OURS
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotOwner
from ledger.engine.writer import RETRY_AFTER_US, Writer
from ledger.journal.codec import PrivateRecords, actors_of, decode_private
from ledger.journal.directory import Changed, Entry, TenantKind
from ledger.journal.protocol import Journal
from ledger.sizing.learned import Learned

NUMBERS_MAX: Final = 100_000  # entries by number; x ~300 B = 30 MB


class Edge:
    """Shared by all servicers of a process."""

    def __init__(
        self,
        ledger: Ledger,
        telemetry: Telemetry | None = None,
        learned: Learned | None = None,
    ) -> None:
        """`learned`: what usage has shown; None: nothing is ever learned."""
        self.ledger = ledger
        self.telemetry: Telemetry = telemetry if telemetry is not None else NoTelemetry()
        self.shapes = ShapeCache()
        self.seats = SeatCache()
        self.assets = Assets(ledger)
        self.meters = Meters(ledger)
        self.learned = learned if learned is not None else Learned(None)
        self.closing = asyncio.Event()  # the server stops: what has no end of its own must end
        self._tenants: dict[str, int] = {}
        self._sandboxes: set[int] = set()
        self._entries: dict[int, Entry] = {}
        self._journals: dict[int, Journal] = {}
        ledger.names.listen(self._forget_changed)

    # -- tenants ---------------------------------------------------------------------------------

    async def tenant(self, name: str) -> int:
        """The number of a tenant; its clock is known then. Raises CallFailed FIELD_REQUIRED,
        TENANT_UNKNOWN."""
        number = self._tenants.get(name)
        if number is not None:
            if number in self._sandboxes:
                await self.ledger.sandboxes.refresh(number)
            return number
        fault = id_fault("tenant", name)
        if fault is not None:
            raise CallFailed(fault.reason, fault.message, field="tenant", value=name)
        found = await self.ledger.directory.tenant(name)
        if found is None:
            raise CallFailed(
                "TENANT_UNKNOWN",
                "there is no such tenant; `drawdown tenant add` makes one",
                field="tenant",
                value=name,
            )
        if found.kind is TenantKind.SANDBOX:
            self._sandboxes.add(found.number)
            await self.ledger.sandboxes.refresh(found.number)
        self._tenants[name] = found.number
        return found.number

    def known_tenant(self, name: str) -> int:
        """The number of a tenant that some call has named; else 0."""
        return self._tenants.get(name, 0)

    @property
    def known_tenants(self) -> list[int]:
        """The numbers of those."""
        return list(self._tenants.values())

    async def tenant_name(self, number: int) -> str:
        """The name of a tenant that exists."""
        for tenant in await self.ledger.directory.list_tenants():
            if tenant.number == number:
                return tenant.name
        raise LookupError(f"no tenant has the number {number}")

    def is_sandbox(self, tenant: int) -> bool:
        """Whether a tenant that a call has named has a clock of its own."""
        return tenant in self._sandboxes

    def now_us(self, tenant: int) -> int:
        """The present, by the clock of the tenant that the call has named (rule T4)."""
        return self.ledger.sandboxes.now_us(tenant)

    # -- accounts --------------------------------------------------------------------------------

    def seat(self, tenant_name: str, account_id: str) -> tuple[int, int]:
        """(number, shard) of an account by its own id, as far as it is in memory; else (0, 0).

        For calls that have no time to lose; whoever gets nothing asks `tenant` and `account`.
        """
        tenant = self._tenants.get(tenant_name)
        seat = self.seats.of(tenant).get(account_id) if tenant is not None else None
        return (0, 0) if seat is None else (seat[0], seat[3])

    def keep_seat(self, entry: Entry) -> None:
        """Let `seat` find an account."""
        family = self.ledger.family(entry)
        seats = self.seats.of(entry.tenant)
        number = self.ledger.number_of(entry)
        seats[entry.account_id] = (number, family.usage_after, family, entry.shard)

    async def account(self, tenant: int, name: str, field: str = "account") -> Entry:
        """The account that an id or alias means now (rule I7). Raises ACCOUNT_UNKNOWN."""
        fault = id_fault(field, name)
        if fault is not None:
            raise CallFailed(fault.reason, fault.message, field=field, value=name)
        entry = await self.ledger.resolve(tenant, name)
        if entry is None:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "no account has this id, and no alias of this name is in force; create it, or see "
                "that it is of this tenant",
                field=field,
                value=name,
            )
        return entry

    def known(self, tenant_name: str, name: str) -> Entry | None:
        """The same by the names of both, as far as they are in memory; None: ask `tenant` and
        `account`. A tenant with a clock of its own is always asked for."""
        tenant = self._tenants.get(tenant_name)
        if tenant is None or tenant in self._sandboxes or not self.ledger.names.fresh():
            return None
        seat = self.seats.of(tenant).get(name)  # its own id, which means the same at every time
        entry = self._entries.get(seat[0]) if seat is not None else None
        return entry or self.ledger.cached(tenant, name, self.now_us(tenant))

    async def own_account(self, tenant: int, account_id: str) -> Entry:
        """The same for a field that takes no alias."""
        entry = await self.account(tenant, account_id)
        if entry.account_id != account_id:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "this is an alias; name the account by its own id here",
                field="account",
                value=account_id,
            )
        return entry

    async def minted(
        self, tenant: int, kind: str, text: str, field: str = ""
    ) -> tuple[MintedId, Entry]:
        """Where a hold or grant lives. Raises the kind's in UNKNOWN, naming the `field`."""
        found = unmint(kind, text, self.ledger.directory.shards, field)
        entry = self._entries.get(found.account) if self.ledger.names.fresh() else None
        entry = entry or await self._entry_of(tenant, found.account)
        if entry is None or entry.tenant != tenant or entry.shard != found.shard:
            raise CallFailed(
                UNKNOWN[kind],
                f"the tenant has no such {kind}",
                field=field or f"{kind}_id",
                value=text,
            )
        return found, entry

    def remember(self, entry: Entry) -> None:
        """Keep an entry for its id and for the ids that name its number, if it is not out of date
        already."""
        if self._entries.get(entry.number) is entry:
            return
        if self.ledger.directory.cached(entry.tenant, entry.account_id, 1) is not entry:
            return
        if len(self._entries) >= NUMBERS_MAX:
            self._entries.clear()
        self._entries[entry.number] = entry
        self.keep_seat(entry)

    def forget(self, entry: Entry) -> None:
        """The account was erased."""
        self._entries.pop(entry.number, None)
        self.seats.forget(entry.tenant, entry.account_id)

    def _forget_changed(self, changed: Changed) -> None:
        """Another process erased accounts. Aliases are in no cache of ours."""
        if changed.everything:
            self._entries.clear()
            self.seats.clear()
        for number in changed.accounts:
            self._entries.pop(number, None)
        self.seats.forget_accounts(changed.accounts)

    async def _entry_of(self, tenant: int, number: int) -> Entry | None:
        name = (await self.ledger.directory.names([number])).get(number)
        if name is None:
            return None
        entry = await self.ledger.resolve(tenant, name)
        if entry is None or entry.number != number:
            return None
        self.remember(entry)
        return entry

    async def names(self, numbers: Iterable[int]) -> dict[int, str]:
        """Account ids of numbers; "" for those that nobody knows any more."""
        wanted = sorted(set(numbers) - {0})
        names = {
            number: self._entries[number].account_id for number in wanted if number in self._entries
        }
        missing = [number for number in wanted if number not in names]
        if missing:
            names.update(await self.ledger.directory.names(missing))
        return {0: "", **{number: names.get(number, "") for number in wanted}}

    # -- shards ----------------------------------------------------------------------------------

    def writer(self, entry: Entry) -> Writer:
        """The writer of an account's family. Raises NotOwner: the call is another process's."""
        writer = self.ledger.writers[entry.shard]
        if writer.lease is NEVER_OURS:
            raise NotOwner(entry.shard, RETRY_AFTER_US)
        return writer

    async def private(self, shard: int, batch_seq: int) -> tuple[int, PrivateRecords]:
        """(first entry, names beside the entries) of a journal batch; empty once erased."""
        for row in await self.journal(shard).fetch([batch_seq]):
            return row.first_event, decode_private(row.private)
        return 0, PrivateRecords()

    async def actor(self, shard: int, batch_seq: int, entry_seq: int) -> str:
        """Who caused an entry, where that stands beside it; "" = nobody was asked, or erased."""
        first, private = await self.private(shard, batch_seq)
        return actors_of(private).get(entry_seq - first, "")

    def journal(self, shard: int) -> Journal:
        """A shard's journal to read from, apart from its writer's."""
        journal = self._journals.get(shard)
        if journal is None:
            journal = self._journals[shard] = self.ledger.storage.journal(shard)
        return journal
