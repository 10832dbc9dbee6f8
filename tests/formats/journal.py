"""A small journal of every event type, written by the real engine, and what it has to replay to.

`journal.v1.msgpack` holds the rows of four shards and the configuration that they applied, as they
were first written. `journal.v1.json` holds what they were replayed to: the hash of each row, each
shard's state and its digest, and the rows of every read model. The digest stands under the version
of its form (`digest.DIGEST_VERSION`): a new form adds one, the old states stay.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from ledger.core import digest
from ledger.core.commands import (
    AbandonRequest,
    AuthorizeHold,
    CloseAccount,
    UpdatePolicy,
    VoidGrant,
)
from ledger.core.events import AccountPolicy, Event, Excess, Overage
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.core.state import State
from ledger.core.upcast import UPCASTS
from ledger.engine.configuration import Configurations
from ledger.engine.ledger import Ledger
from ledger.engine.recovery import Replayer
from ledger.journal.codec import BatchCodec
from ledger.journal.configuration import (
    ConfigurationEntry,
    MemoryConfigurationStore,
    content_hash,
)
from ledger.journal.directory import TENANT_DEFAULT
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import JournalRow, check_row
from ledger.journal.sql import load
from ledger.journal.storage import MemoryStorage
from tests.engine.ledger_world import ManualClock
from tests.formats.formats import plain
from tests.projections.books import CARD, CHAT, DRAW, Books
from tests.projections.projecting import looking, project

ROWS_FILE = "journal.v1.msgpack"
REPLAYED_FILE = "journal.v1.json"
SHARDS = 4
TABLES = ("transfers", "plans", "usage_events", "books", "accounts", "grants", "holds", "denials")
_SQL = load("configuration")


class Recorded(msgspec.Struct):
    """What `journal.v1.msgpack` holds: rows by shard and batch, versions, bodies."""

    rows: list[list[Any]]
    configuration: list[list[Any]]
    bodies: list[bytes]

    def journal(self, shard: int) -> list[JournalRow]:
        return [JournalRow(*row) for row in self.rows if row[0] == shard]

    def configurations(self) -> Configurations:
        """The configuration that the journal applied, as a shard finds it when it opens."""
        return Configurations(_Published(self))


class _Published(MemoryConfigurationStore):
    """Configuration as it was published, when it was."""

    def __init__(self, recorded: Recorded) -> None:
        super().__init__()
        for each in recorded.configuration:
            entry = ConfigurationEntry(*each)
            self._entries[entry.tenant].append(entry)
        self._bodies |= {content_hash(body): body for body in recorded.bodies}


# -- written once --------------------------------------------------------------------------------


async def write() -> Recorded:
    """The story, told to the real engine on a clock that only it moves."""
    clock = ManualClock()
    storage = MemoryStorage(clock.now_us, SHARDS)
    ledger = Ledger(storage, clock, "writer-1")
    ledger.start()
    await ledger.opened()
    books = Books("", ledger, clock)  # type: ignore[arg-type]
    for code, scale, kind in (("CREDIT", 6, "credit"), ("USD", 9, "money")):
        await ledger.publish_asset(TENANT_DEFAULT, code, scale, kind)
    await ledger.publish_card(TENANT_DEFAULT, CARD)
    await _story(books, clock)
    await ledger.stop()
    store = storage.configuration
    entries = await store.read(TENANT_DEFAULT)
    bodies = [await store.body(entry.content_hash) for entry in entries]
    return Recorded(
        [list(msgspec.structs.astuple(row)) for _, row in sorted(storage.store.items())],
        [list(msgspec.structs.astuple(entry)) for entry in entries],
        [body for body in bodies if body is not None],
    )


async def _story(books: Books, clock: ManualClock) -> None:
    for number in range(3):
        team = await books.account(f"team{number}", policy=AccountPolicy(overage=Overage.OFF))
        paid = await books.grant(team, 5_000, paid=1_000_000)
        await books.grant(team, 3_000, lifetime_us=DAY_US, products=("chat",))
        usage = [books.usage(team, f"event-{number}-{each}") for each in range(4)]
        await books.ask(team, *usage)
        kept = await books.hold(team, lifetime_us=HOUR_US)
        await books.release(team, await books.hold(team, (10, 1)))
        await books.capture(team, await books.hold(team), (50, 10))
        await books.ask(team, books.usage(team, f"waits-{number}", (3,), DRAW))
        await books.ask(team, books.usage(team, f"old-{number}", age_us=40 * DAY_US))
        await books.ask(team, VoidGrant(books.key(team), team.number, paid.grant))
        await books.release(team, kept)
        await books.ask(team, AuthorizeHold(books.key(team), team.number, CHAT, (10**6, 1), 0))
        await books.ask(team, AbandonRequest(books.key(team), team.number))
        await books.use(team, *[f"more-{number}-{each}" for each in range(9)])  # into debt
        await books.grant(team, 2_000, paid=77_777)  # repays the advance first
        billed = AccountPolicy(overage=Overage.SELF, overage_cap=1_000, excess=Excess.BILL)
        await books.ask(team, UpdatePolicy(books.key(team), team.number, billed))
        await books.use(team, *[f"over-{number}-{each}" for each in range(6)])
        left = await books.account(f"team{number}/left", f"team{number}")
        await books.ask(left, CloseAccount(books.key(left), left.number))
        short = await books.account(f"team{number}/short", f"team{number}")
        await books.grant(short, 1_000, lifetime_us=HOUR_US)
        await books.hold(short, (10, 1), lifetime_us=MINUTE_US)
        clock.advance(1_000)
    for days in range(3):  # holds and grants run out; what is left is used
        clock.advance(DAY_US)
        for number in range(3):
            for name in (f"team{number}", f"team{number}/short"):
                await books.use(books.accounts[name], f"day-{days}-{name}")


# -- replayed for ever ---------------------------------------------------------------------------


async def replay(recorded: Recorded, shard: int) -> State:
    """The shard's state as a writer that opens it folds it, each row checked by its hash."""
    replayer = Replayer(shard, BatchCodec(Event, UPCASTS), recorded.configurations())
    for row in recorded.journal(shard):
        await replayer.take(check_row(row))
    return replayer.state


async def states(recorded: Recorded) -> dict[str, Any]:
    """Every shard's canonical state and digest."""
    found = {}
    for shard in range(SHARDS):
        state = await replay(recorded, shard)
        found[f"shard {shard}"] = {
            "digest": digest.digest(state).hex(),
            "state": plain(digest.snapshot(state)),
        }
    return found


async def store(recorded: Recorded, dsn: str) -> None:
    """Put journal and configuration into a migrated database."""
    async with looking(dsn) as connection:
        for each, body in zip(recorded.configuration, recorded.bodies, strict=True):
            entry = ConfigurationEntry(*each)
            await connection.execute(_SQL["insert_blob"], entry.content_hash, body)
            await connection.execute(
                "INSERT INTO ledger.configuration VALUES ($1, $2, $3, $4, $5, $6, $7)", *each
            )
    for shard in range(SHARDS):
        journal = PostgresJournal(dsn, shard)
        for row in recorded.journal(shard):
            await journal.append(row)
        await journal.close()


async def read_models(dsn: str, columns: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Every row of every read model after projection; of these columns, or of all."""
    await project(dsn)
    found = {}
    async with looking(dsn) as connection:
        for table in TABLES:
            named = columns[table] if columns else await _columns(connection, table)
            rows = await connection.fetch(f"SELECT {', '.join(named)} FROM projection.{table}")
            cells = [[_cell(value) for value in row] for row in rows]
            found[table] = {"columns": named, "rows": sorted(cells, key=repr)}
    return found


async def _columns(connection: asyncpg.Connection, table: str) -> list[str]:
    found = await connection.fetch(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 "
        "ORDER BY attnum",
        f"projection.{table}",
    )
    return [name for (name,) in found]


def _cell(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal | UUID) else plain(value)


# -- files ---------------------------------------------------------------------------------------


def read(directory: Path) -> tuple[Recorded, dict[str, Any]]:
    """The journal as it was written, and what it was replayed to."""
    rows = msgspec.msgpack.decode((directory / ROWS_FILE).read_bytes(), type=Recorded)
    return rows, json.loads((directory / REPLAYED_FILE).read_text())


async def write_missing_journal(directory: Path, dsn: str) -> list[str]:
    """Write the journal if it is not there, and what of its replay was never recorded."""
    added = []
    path, replayed_path = directory / ROWS_FILE, directory / REPLAYED_FILE
    if not path.exists():
        path.write_bytes(msgspec.msgpack.encode(await write()))
        added.append(ROWS_FILE)
    recorded = msgspec.msgpack.decode(path.read_bytes(), type=Recorded)
    replayed = json.loads(replayed_path.read_text()) if replayed_path.exists() else {}
    if "hashes" not in replayed:
        replayed["hashes"] = [row[8].hex() for row in recorded.rows]
        added.append(f"{REPLAYED_FILE}: hashes")
    if "read_models" not in replayed:
        await store(recorded, dsn)
        replayed["read_models"] = await read_models(dsn)
        added.append(f"{REPLAYED_FILE}: read_models")
    form = f"states, form {digest.DIGEST_VERSION}"
    if form not in replayed:
        replayed[form] = await states(recorded)
        added.append(f"{REPLAYED_FILE}: {form}")
    if added:
        replayed_path.write_text(_lines(replayed))
    return added


def _lines(replayed: dict[str, Any]) -> str:
    """JSON with the innermost lists each on one line."""
    spread = json.dumps(replayed, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", _on_one_line, spread)
    assert json.loads(text) == replayed
    return text + "\n"


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + re.sub(r"\n *", " ", found[1]) + "]"
