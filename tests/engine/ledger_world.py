"""A whole ledger in memory for the engine's tests: a clock to move, faults to set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ledger.core.catalog import asset_number
from ledger.core.commands import IssueGrant, Names, RecordUsage
from ledger.core.events import AccountPolicy, GrantKind
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import Ticket
from ledger.engine.upkeep import Upkeep
from ledger.journal.checkpoint import CheckpointWrite
from ledger.journal.checkpoint_memory import WriteFault
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.memory import AppendFault
from ledger.journal.protocol import JournalRow
from ledger.journal.storage import MemoryStorage
from rating.card import Meter, PriceRow, RateCard
from tests.patience import HANGS_S

START_US = 1_790_000_000_000_000
CARD = RateCard(
    name="default",
    asset="USD",
    asset_scale=9,
    meters=(Meter(quantity="tokens"),),
    rows=(PriceRow(product="chat", quantity="tokens", price="0.000001"),),
)
CHAT = Shape("chat", (), ("tokens",))
PRICE = 1_000  # minor units a token


@dataclass
class ManualClock:
    """Moves only when told, or with each look by `step`."""

    wall_us: int = START_US
    elapsed_us: int = 0

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_us(self) -> int:
        return self.elapsed_us

    def advance(self, by_us: int) -> None:
        self.wall_us += by_us
        self.elapsed_us += by_us


@dataclass
class World:
    """One installation in memory; `ledger()` opens a process on it."""

    shards: int = 1
    clock: ManualClock = field(default_factory=ManualClock)
    fault: Callable[[JournalRow], AppendFault | None] = lambda row: None
    gate: asyncio.Event | None = None  # while set and not open, the journal's writes wait
    upkeep: Upkeep = field(default_factory=Upkeep)
    checkpoint_fault: Callable[[CheckpointWrite], WriteFault | None] = lambda change: None
    storage: MemoryStorage = field(init=False)

    def __post_init__(self) -> None:
        self.storage = MemoryStorage(
            self.clock.now_us,
            self.shards,
            on_append=lambda row: self.fault(row),
            on_checkpoint=lambda change: self.checkpoint_fault(change),
            pause=self._pause,
        )

    async def _pause(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)

    async def ledger(self) -> Ledger:
        ledger = Ledger(self.storage, self.clock, upkeep=self.upkeep)
        ledger.start()
        async with asyncio.timeout(HANGS_S):
            await ledger.opened()
        return ledger

    async def funded(self, name: str = "acme", amount: int = 10**12) -> tuple[Ledger, Entry]:
        """An open ledger with a price and one account that has credits."""
        ledger = await self.ledger()
        asset = await ledger.publish_asset(TENANT_DEFAULT, "USD", 9, "money")
        assert isinstance(asset, ConfigurationEntry)
        assert isinstance(await ledger.publish_card(TENANT_DEFAULT, CARD), ConfigurationEntry)
        created = await ledger.create_account(
            TENANT_DEFAULT, name, None, f"create-{name}", AccountPolicy()
        )
        assert isinstance(created, tuple), created
        entry = created[0]
        await ledger.submit(entry, self.grant(ledger, entry, "first", amount))
        return ledger, entry

    def grant(self, ledger: Ledger, entry: Entry, key: str, amount: int) -> IssueGrant:
        asset = asset_number(TENANT_DEFAULT, 1)
        return IssueGrant(
            ledger.family(entry).request(key),
            entry.number,
            GrantKind.PREPAID,
            asset,
            amount,
            0,
            asset,
            0,
            START_US - 1,
            0,
            (),
            b"",
        )

    def usage(self, ledger: Ledger, entry: Entry, event_id: str, tokens: int = 1) -> RecordUsage:
        return RecordUsage(
            ledger.family(entry).usage("test", event_id),
            entry.number,
            CHAT,
            (tokens,),
            self.clock.now_us(),
            Names("test", event_id),
        )


def entry_seqs(ticket: Ticket) -> list[int]:
    """Numbers of the entries that answer a ticket's commands, -1 where none was recorded."""
    return [ticket.entry_seq(place) for place in range(len(ticket.outcomes))]
