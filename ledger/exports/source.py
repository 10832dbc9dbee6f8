"""One snapshot of a tenant's read models, streamed in pages: books, balances, transfers.

Owns the transaction (repeatable read, so that every file is of one position a shard), the names,
and the comparison of what transfers add up to with the counters of the books. The read models and
not the journal are read: they are kept by tenant, PostgreSQL sorts them by either time on its own
disk, and `drawdown verify` holds them to the journal. Memory is bounded by PAGE_ROWS and BOOKS_MAX,
whatever the range.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec

from ledger.core.catalog import Asset, asset_number
from ledger.core.events import BookKind
from ledger.core.limits import INT64_MAX
from ledger.engine.configuration import AssetBody
from ledger.exports import chart, names
from ledger.exports.chart import BookSet, Owner, Place
from ledger.journal.connection import Connection, connect
from ledger.projections.changes import PENDING, POSTED, RELEASED
from ledger.projections.sql import load
from ledger.projections.tables import ProjectionDamaged

PAGE_ROWS: Final = 5_000  # x ~600 B = 3 MB
BOOKS_MAX: Final = 200_000  # names kept; x ~700 B = 140 MB
EVERY_PHASE: Final = (PENDING, POSTED, RELEASED)

_SQL: Final = load("export")


class ExportRefused(Exception):
    """It cannot be exported as asked. `advice` says what to do; nothing was written."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class Selection(msgspec.Struct, frozen=True):
    """What is to be exported. Instants are microseconds UTC; the range is [from, to)."""

    tenant: str
    books: tuple[BookSet, ...]
    from_us: int | None = None
    to_us: int | None = None
    by_recorded: bool = False  # the range is of recorded, not of effective time (rule T5)
    assets: tuple[str, ...] = ()  # codes; () = every asset
    account: str | None = None  # with all below it


class Position(NamedTuple):
    """Where one shard's read models stood; `entries` = the entry that would have come next."""

    shard: int
    batch_seq: int
    entries: int
    recorded_at: int
    hash: bytes
    head_entries: int


class Book(NamedTuple):
    """A book account with its name in the chart of accounts."""

    shard: int
    number: int
    kind: str
    books: BookSet
    path: str
    asset: int
    name: str  # product, source, provider
    account: int  # whose it is, or whose grant's; 0 = the house
    account_id: str  # "" where there is none, or once it is erased
    grant: int
    price_asset: int  # what the grant's value is counted in; 0 = not known


class Counters(NamedTuple):
    """The four counters of rule B1."""

    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int

    @property
    def posted(self) -> int:
        """Debits less credits, as the tools count."""
        return self.debits_posted - self.credits_posted

    def plus(self, other: Counters) -> Counters:
        """Both together."""
        return Counters(*(a + b for a, b in zip(self, other, strict=True)))


class Balance(NamedTuple):
    """One account and asset in the tools: a book, or a house account's books of all shards."""

    book: Book
    asset: Asset
    opening: Counters
    closing: Counters
    postings: int  # in the range, of any phase


class Transfer(NamedTuple):
    """One row of the transfers, as it stands."""

    shard: int
    entry_seq: int
    line: int
    debit_book: int
    credit_book: int
    asset: int
    amount: int
    phase: int
    pot: int
    value: int
    cost: int
    effective_at: int
    recorded_at: int


class Extent(NamedTuple):
    """What a range holds of some phases; the instants are 0 where it holds nothing."""

    rows: int
    first: int
    last: int


Page = list[tuple[Transfer, Book, Book]]
"""Some transfers with their debit and credit book."""


class Source:
    """The snapshot, as one tenant sees it. Make one with `open_source`."""

    def __init__(
        self,
        connection: Connection,
        copy: int,
        selection: Selection,
        tenant: int,
        positions: tuple[Position, ...],
        assets: dict[int, Asset],
    ) -> None:
        self.selection = selection
        self.positions = positions
        self.assets = assets
        self._connection = connection
        self._copy = copy
        self._tenant = tenant
        self._wanted: list[int] | None = None
        self._shard: int | None = None
        self._owned: list[int] | None = None
        self._known: dict[tuple[int, int], Book] = {}
        self._grants = chart.kinds_owned_by(Owner.GRANT)
        self._accounts = chart.kinds_owned_by(Owner.ACCOUNT)

    async def _narrow(self) -> None:
        """Find what `assets` and `account` select. Raises ExportRefused."""
        asked = self.selection
        if asked.assets:
            codes = {asset.code: number for number, asset in self.assets.items()}
            for code in asked.assets:
                if code not in codes:
                    known = ", ".join(sorted(codes)) or "none"
                    raise ExportRefused(
                        f"tenant {asked.tenant!r} has no asset {code!r}", f"its assets: {known}"
                    )
            self._wanted = [codes[code] for code in asked.assets]
        fetch = self._connection.fetch
        if asked.account is not None:
            rows = await fetch(_SQL["subtree"], self._tenant, asked.account)
            if not rows:
                raise ExportRefused(
                    f"tenant {asked.tenant!r} has no account {asked.account!r}",
                    "give the account's id as it was created, not an alias; an erased one has none",
                )
            self._shard = rows[0]["shard"]
            accounts = [row["number"] for row in rows]
            owned = await fetch(
                _SQL["owned_books"],
                self._tenant,
                self._shard,
                accounts,
                self._accounts,
                self._grants,
            )
            self._owned = [row["book"] for row in owned]
        strange = await fetch(_SQL["strange_kinds"], self._tenant, [int(each) for each in BookKind])
        if strange:
            raise ExportRefused(
                f"there are books of kind {strange[0]['kind']}, which this version does not know",
                "a newer version wrote them: export with that one",
            )

    async def check_copy(self) -> None:
        """Whether all of it was read from one copy of the read models. Raises ExportRefused.

        Names are looked up anew by each statement, and of another copy the snapshot shows nothing.
        """
        if await self._connection.fetchval(_SQL["copy"]) != self._copy:
            raise ExportRefused(
                "the read models were rebuilt while they were exported", "do it again"
            )

    @property
    def from_us(self) -> int:
        """Where the range begins; 0 = with the first transfer."""
        return self.selection.from_us or 0

    @property
    def to_us(self) -> int:
        """Where the range ends."""
        return INT64_MAX if self.selection.to_us is None else self.selection.to_us

    async def balances(self, books: Sequence[BookSet]) -> AsyncIterator[Balance]:
        """Every account that was touched before the range's end, in a fixed order.

        Raises ProjectionDamaged where the transfers do not add up to a book's counters.
        """
        held: Balance | None = None
        cursor = self._connection.cursor(
            _SQL["balances"], self._tenant, _kinds(books), self._wanted, self._owned,
            self.selection.by_recorded, self.from_us, self.to_us, self._shard, prefetch=PAGE_ROWS,
        )  # fmt: skip
        page: list[Any] = []
        async for row in cursor:
            page.append(row)
            if len(page) == PAGE_ROWS:
                for balance in await self._balances(page):
                    held, done = _together(held, balance)
                    if done is not None:
                        yield done
                page = []
        for balance in await self._balances(page):
            held, done = _together(held, balance)
            if done is not None:
                yield done
        if held is not None:
            yield held

    async def _balances(self, rows: list[Any]) -> list[Balance]:
        await self._learn((row["shard"], row["book"]) for row in rows)
        found = []
        for row in rows:
            if self._owned is None:
                _compare(row)
            opening, closing = _counters(row, "opening"), _counters(row, "closing")
            if row["rows"] or any(closing):
                book = self._known[row["shard"], row["book"]]
                asset = self.assets[book.asset]
                found.append(Balance(book, asset, opening, closing, row["rows"]))
        return found

    def _range(self, books: Sequence[BookSet], phases: Sequence[int]) -> tuple[Any, ...]:
        """The parameters of `extent` and `transfers`."""
        return (
            self._tenant, _kinds(books), list(phases), self._wanted, self._shard, self._owned,
            self.selection.by_recorded, self.from_us, self.to_us,
        )  # fmt: skip

    async def extent(self, books: Sequence[BookSet], phases: Sequence[int] = EVERY_PHASE) -> Extent:
        """How much `transfers` will yield, and of when."""
        row = await self._connection.fetchrow(_SQL["extent"], *self._range(books, phases))
        assert row is not None
        return Extent(row["rows"], row["first"] or 0, row["last"] or 0)

    async def transfers(
        self, books: Sequence[BookSet], phases: Sequence[int] = EVERY_PHASE
    ) -> AsyncIterator[Page]:
        """The range's transfers by its time, then shard, entry and line; in pages.

        Raises ProjectionDamaged where one goes from one set of books into the other (rule B2).
        """
        cursor = await self._connection.cursor(_SQL["transfers"], *self._range(books, phases))
        while rows := await cursor.fetch(PAGE_ROWS):
            page = [Transfer._make(row) for row in rows]
            await self._learn(
                (each.shard, book) for each in page for book in (each.debit_book, each.credit_book)
            )
            known = self._known
            found = [
                (each, known[each.shard, each.debit_book], known[each.shard, each.credit_book])
                for each in page
            ]
            for transfer, debit, credit in found:
                if debit.books is not credit.books or debit.asset != credit.asset:
                    raise _mixed(transfer, debit, credit)
            yield found

    async def _learn(self, places: Iterable[tuple[int, int]]) -> None:
        """Know these books: at most two a row of a page, beside BOOKS_MAX others."""
        needed = set(places)
        missing = needed - self._known.keys()
        if not missing:
            return
        if len(self._known) + len(missing) > BOOKS_MAX:
            self._known = {place: self._known[place] for place in needed - missing}
        rows = await self._connection.fetch(
            _SQL["books"], self._tenant, [place[0] for place in missing],
            [place[1] for place in missing], self._grants, self._accounts,
        )  # fmt: skip
        for row in rows:
            self._known[row["shard"], row["book"]] = _book(row)
        if len(rows) != len(missing):
            raise ProjectionDamaged(
                f"{len(missing) - len(rows)} books of transfers are not there: run "
                "`drawdown rebuild`"
            )


@asynccontextmanager
async def open_source(dsn: str, selection: Selection) -> AsyncIterator[Source]:
    """Connect and take the snapshot. Raises ExportRefused, JournalUnavailable."""
    connection = await connect(dsn, application_name="drawdown export")
    try:
        await connection.execute(_SQL["session"])
        copy = await connection.fetchval(_SQL["copy"])
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            tenant = await connection.fetchval(_SQL["tenant"], selection.tenant)
            if tenant is None:
                known = [row["name"] for row in await connection.fetch(_SQL["tenants"])]
                raise ExportRefused(
                    f"there is no tenant {selection.tenant!r}", f"tenants: {', '.join(known)}"
                )
            positions = await _positions(connection)
            assets: dict[int, Asset] = {}
            for row in await connection.fetch(_SQL["assets"], tenant):
                body = msgspec.msgpack.decode(row["body"], type=AssetBody)
                number = asset_number(tenant, row["version"])
                assets[number] = Asset(number, tenant, body.code, body.scale, body.kind)
            source = Source(connection, copy, selection, tenant, positions, assets)
            await source._narrow()
            try:
                yield source
            except ProjectionDamaged:
                await source.check_copy()
                raise
    finally:
        await connection.close()


async def _positions(connection: Connection) -> tuple[Position, ...]:
    """Read within a savepoint that is rolled back, which gives the lock on the checkpoint back: a
    rebuild needs that table alone to swap, and must not wait for a long export."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        return tuple(Position(*row) for row in await connection.fetch(_SQL["positions"]))
    finally:
        await savepoint.rollback()


def _kinds(books: Sequence[BookSet]) -> list[int]:
    return [kind for each in books for kind in chart.kinds_of(each)]


def path_of(place: Place, row: Mapping[str, Any]) -> str:
    """The account of a book, named so that no book stands below another.

    beancount counts what stands below an account in when it asserts a balance.
    """
    parts = [place.root, place.books.value.capitalize(), place.words]
    if place.owner is not Owner.HOUSE:
        parts.append(names.account_component(row["root"], row["root_id"] or ""))
        if row["root"] != row["account"]:
            parts.append(names.account_component(row["account"], row["account_id"] or ""))
        elif place.owner is Owner.ACCOUNT:
            parts.append(chart.OWN)
    if place.owner is Owner.GRANT:
        parts.append(names.grant_component(row["owner"]))
    if place.named:
        parts.append(names.name_component(row["name"]))
    elif row["name"]:
        parts[-1] += f"-{names.name_component(row['name'])}"
    return ":".join(parts)


def _book(row: Any) -> Book:
    place = chart.place_of(row["kind"])
    return Book(
        row["shard"],
        row["book"],
        BookKind(row["kind"]).name,
        place.books,
        path_of(place, row),
        row["asset"],
        row["name"],
        row["account"] or 0,
        row["account_id"] or "",
        row["owner"] if place.owner is Owner.GRANT else 0,
        row["price_asset"] or 0,
    )


def _counters(row: Any, when: str) -> Counters:
    return Counters(*(int(row[f"{when}_{name}"]) for name in Counters._fields))


def _compare(row: Any) -> None:
    """A book's counters are what its transfers add up to (rule B1)."""
    if _counters(row, "all") != _counters(row, "said"):
        raise ProjectionDamaged(
            f"book {row['book']} of shard {row['shard']} says {_counters(row, 'said')}, its "
            f"transfers add up to {_counters(row, 'all')}: run `drawdown verify`"
        )


def _mixed(transfer: Transfer, debit: Book, credit: Book) -> ProjectionDamaged:
    return ProjectionDamaged(
        f"entry {transfer.shard}/{transfer.entry_seq} moves from {debit.path} to {credit.path}, "
        "which are of two sets of books or two assets (rule B2): run `drawdown verify`"
    )


def _together(held: Balance | None, new: Balance) -> tuple[Balance, Balance | None]:
    """A house account's books of all shards are one account: (what goes on, what is complete)."""
    if held is None or (held.book.path, held.asset) != (new.book.path, new.asset):
        return new, held
    merged = held._replace(
        opening=held.opening.plus(new.opening),
        closing=held.closing.plus(new.closing),
        postings=held.postings + new.postings,
    )
    return merged, None
