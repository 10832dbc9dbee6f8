"""A real ledger that writes journals for these tests: engine, PostgreSQL, every kind of entry."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ledger.core.catalog import asset_number
from ledger.core.commands import (
    AuthorizeHold,
    CaptureHold,
    CloseAccount,
    Command,
    ExtendHold,
    FreezeAccount,
    IssueGrant,
    Names,
    RecordUsage,
    ReleaseHold,
    ReopenAccount,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
    VoidGrant,
)
from ledger.core.events import AccountPolicy, GrantIssued, GrantKind, HoldAuthorized, Overage
from ledger.core.limits import DAY_US, HOUR_US
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import TicketOutcome
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT, Entry
from ledger.journal.storage import PostgresStorage
from rating.card import ExpiryPolicy, Meter, PriceRow, Product, RateCard

CARD = RateCard(
    name="default",
    asset="CREDIT",
    asset_scale=6,
    meters=(Meter(quantity="input_tokens"), Meter(quantity="output_tokens")),
    rows=(
        PriceRow(product="chat", quantity="input_tokens", price="0.000003"),
        PriceRow(product="chat", quantity="output_tokens", price="0.000015"),
        PriceRow(product="agent", quantity="input_tokens", price="0.000003"),
        PriceRow(product="agent", quantity="output_tokens", price="0.000015"),
    ),
    products=(Product("agent", hold_expiry=ExpiryPolicy.CHARGE),),
)
TOKENS = ("input_tokens", "output_tokens")
CHAT = Shape("chat", (("mode", "batch"), ("region", "eu")), TOKENS)
AGENT = Shape("agent", (), TOKENS)  # its holds are charged when they expire
DRAW = Shape("images", (), ("pictures",))  # no price: waits in suspense
CREDIT = asset_number(TENANT_DEFAULT, 1)
MONEY = asset_number(TENANT_DEFAULT, 2)


@dataclass
class TestClock:
    """The machine's clock, moved ahead by `ahead_us` together with the monotonic one."""

    __test__ = False
    ahead_us: int = 0

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + self.ahead_us

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000 + self.ahead_us


@dataclass
class Books:
    """One ledger, and short words for what may be asked of it."""

    dsn: str
    ledger: Ledger
    clock: TestClock
    count: int = 0
    accounts: dict[str, Entry] = field(default_factory=dict)

    async def ask(self, entry: Entry, *commands: Command) -> list[TicketOutcome]:
        ticket = await self.ledger.writers[entry.shard].submit(commands)
        return ticket.outcomes

    def key(self, entry: Entry) -> bytes:
        self.count += 1
        return self.ledger.family(entry).request(f"request {self.count}")

    async def account(
        self, name: str, parent: str | None = None, policy: AccountPolicy | None = None
    ) -> Entry:
        made = await self.ledger.create_account(
            TENANT_DEFAULT, name, parent, f"create {name}", policy or AccountPolicy()
        )
        assert isinstance(made, tuple), made
        assert not isinstance(made[1].outcomes[0], Refusal), made[1].outcomes[0]
        self.accounts[name] = made[0]
        return made[0]

    async def grant(
        self,
        entry: Entry,
        amount: int,
        *,
        paid: int = 0,
        lifetime_us: int = 0,
        products: Sequence[str] = (),
    ) -> GrantIssued:
        now = self.clock.now_us()
        (issued,) = await self.ask(
            entry,
            IssueGrant(
                self.key(entry),
                entry.number,
                GrantKind.PREPAID,
                CREDIT,
                amount,
                paid,
                MONEY,
                0,
                0,
                now + lifetime_us if lifetime_us else 0,
                tuple(products),
                b"",
            ),
        )
        assert isinstance(issued, GrantIssued), issued
        return issued

    def usage(
        self,
        entry: Entry,
        event_id: str,
        tokens: Sequence[int] = (100, 20),
        shape: Shape = CHAT,
        age_us: int = 0,
    ) -> RecordUsage:
        digest = self.ledger.family(entry)
        person = (("user", f"person of {event_id}"),)
        return RecordUsage(
            digest.usage("app", event_id),
            entry.number,
            shape,
            tuple(tokens),
            self.clock.now_us() - age_us,
            Names("app", event_id, "answer", "question", person),
            digest.operation("answer"),
            digest.pairs(person),
            b"\x01" * 16,
        )

    async def use(self, entry: Entry, *event_ids: str) -> None:
        outcomes = await self.ask(entry, *[self.usage(entry, each) for each in event_ids])
        assert not any(isinstance(each, Refusal) for each in outcomes), outcomes

    async def hold(
        self,
        entry: Entry,
        tokens: Sequence[int] = (100, 20),
        lifetime_us: int = 0,
        shape: Shape = CHAT,
    ) -> int:
        (held,) = await self.ask(
            entry, AuthorizeHold(self.key(entry), entry.number, shape, tuple(tokens), lifetime_us)
        )
        assert isinstance(held, HoldAuthorized), held
        return held.hold

    async def capture(
        self, entry: Entry, hold: int, tokens: Sequence[int], keep_open: bool = False
    ) -> TicketOutcome:
        command = CaptureHold(
            self.key(entry), entry.number, hold, TOKENS, tuple(tokens), 0, keep_open=keep_open
        )
        return (await self.ask(entry, command))[0]

    async def extend(self, entry: Entry, hold: int, lifetime_us: int) -> TicketOutcome:
        command = ExtendHold(self.key(entry), entry.number, hold, lifetime_us)
        return (await self.ask(entry, command))[0]

    async def release(self, entry: Entry, hold: int) -> TicketOutcome:
        return (await self.ask(entry, ReleaseHold(self.key(entry), entry.number, hold)))[0]

    async def a_bit_of_everything(self, prefix: str = "") -> None:
        """Every kind of entry that time does not have to cause, over several shards."""
        for number in range(6):
            name = f"{prefix}team{number}"
            team = await self.account(name)
            paid = await self.grant(team, 5_000, paid=1_000_000)
            await self.grant(team, 3_000, lifetime_us=DAY_US, products=("chat",))
            await self.use(team, *[f"{name}-{each}" for each in range(5)])
            kept = await self.hold(team)
            await self.release(team, await self.hold(team, (10, 1)))
            await self.capture(team, await self.hold(team), (50, 10))
            captured = await self.hold(team, (50, 10))
            parts = await self.hold(team)
            await self.capture(team, parts, (20, 5), keep_open=True)
            await self.extend(team, parts, HOUR_US)
            await self.hold(team, (5, 1), shape=AGENT)
            closed = await self.hold(team)
            await self.capture(team, closed, (20, 5), keep_open=True)
            await self.capture(team, closed, (100, 20))
            await self.ask(team, self.usage(team, f"{name}-wait", (3,), DRAW))
            await self.ask(team, self.usage(team, f"{name}-old", age_us=40 * DAY_US))
            await self.ask(team, VoidGrant(self.key(team), team.number, paid.grant))
            await self.capture(team, captured, (500, 100))
            await self.use(team, *[f"{name}-more{each}" for each in range(12)])  # into debt
            denied = AuthorizeHold(self.key(team), team.number, CHAT, (10**6, 1), 0)
            await self.ask(team, denied)
            await self.grant(team, 100_000, paid=77_777)  # repays the advance first
            await self.release(team, kept)
            await self.ask(
                team, UpdatePolicy(self.key(team), team.number, AccountPolicy(overage=Overage.SELF))
            )
            empty = await self.account(f"{name}/left", name, AccountPolicy(overdraft_limit=0))
            for standing in (CloseAccount, ReopenAccount, FreezeAccount, CloseAccount):
                await self.ask(empty, standing(self.key(empty), empty.number))
            for standing in (FreezeAccount, UnfreezeAccount):
                await self.ask(team, standing(self.key(team), team.number))
            await self.ask(team, UpdateProfile(self.key(team), team.number, b"digest"))
            short = await self.account(f"{name}/short", name)
            await self.grant(short, 1_000, lifetime_us=HOUR_US)
            await self.hold(short, (10, 1), lifetime_us=60_000_000)


@asynccontextmanager
async def open_books(dsn: str, shards: int = 4) -> AsyncIterator[Books]:
    """A ledger on a migrated database with two assets and a rate card."""
    clock = TestClock()
    storage = await PostgresStorage.open(dsn, shards)
    ledger = Ledger(storage, clock)
    try:
        ledger.start()
        await ledger.opened()
        books = Books(dsn, ledger, clock)
        for code, scale, kind in (("CREDIT", 6, "credit"), ("USD", 9, "money")):
            asset = await ledger.publish_asset(TENANT_DEFAULT, code, scale, kind)
            assert isinstance(asset, ConfigurationEntry), asset
        card = await ledger.publish_card(TENANT_DEFAULT, CARD)
        assert isinstance(card, ConfigurationEntry), card
        yield books
    finally:
        await ledger.stop()
        await storage.close()
