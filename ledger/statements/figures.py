"""What a statement says, in the numbers of the journal; its canonical form and its hash.

Lines say what accounts used and who paid; books say how each of their balances came from what it
was to what it is. Both are sums of transfers, gathered by whoever reads them. `finish` asserts that
they add up: a statement that does not is not made. Amounts are integers of any size, in minor
units. Pure: no I/O, no clock.
"""

from __future__ import annotations

import json
from collections import defaultdict
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from ledger.core.events import BookKind

FORM: Final = 1
"""Of the canonical JSON, which hashes are of: another form gets another number."""

HASH_BYTES: Final = 32


class LineKind(IntEnum):
    """What a line is of."""

    USAGE = 1
    MINIMUM = 2
    ADJUSTMENT = 3  # debited, or credited back, by hand
    FEE = 4


PAYS: Final = {
    BookKind.GRANT: "grants",
    BookKind.ADVANCE: "overdraft",
    BookKind.OVERAGE: "overage",
    BookKind.PROMOTION: "absorbed",
    BookKind.CONVERSION: "converted",
}
"""How the books are called that pay what is used: `converted` was paid in another asset, where it
stands in a line of its own."""

ELSEWHERE: Final = "elsewhere"
"""What was given back of usage, but went on to where the rest of a grant went that has ended since
(rule D3): to no pot, so that it is below zero."""

USES: Final = frozenset({BookKind.USED, BookKind.CONVERSION})
"""What is credited for what is used."""

_FALL_BY_CREDITS: Final = frozenset(
    {
        BookKind.ADVANCE,
        BookKind.OVERAGE,
        BookKind.COMMITMENT,
        BookKind.UNBILLED,
        BookKind.RECEIVABLE,
    }
)
"""Books that say what is owed: debits less credits. Of others a balance is credits less debits."""


class Head(NamedTuple):
    """Whose statement it is, and of what."""

    tenant: int
    shard: int
    account: int
    statement: int  # 0 = a draft
    consolidated: bool  # with everything below the account
    attribute: str  # by which lines stand apart; "" = by none
    start: int
    end: int
    until: int  # entries of the shard before this one


class LineKey(NamedTuple):
    """What a line is of. `value` is that of the statement's attribute, None = it has none;
    `adjusts` names the closed statement that it comes too late for, 0 = what is of before the
    first; None = it is of this period."""

    account: int
    kind: int
    product: str
    value: str | None
    adjusts: int | None


class BookKey(NamedTuple):
    """A book of the statement's accounts, or one of another account that paid for them."""

    book: int
    kind: int
    asset: int
    account: int  # 0 = the house
    grant: int  # 0 = it is no grant's


class Paid(NamedTuple):
    """What one book paid of a line."""

    payer: BookKey
    amount: int


class Line(NamedTuple):
    """What was used, and who paid; what was given back is taken off."""

    key: LineKey
    events: int
    reversals: int
    quantities: dict[str, int]
    paid: tuple[Paid, ...]  # by book

    @property
    def charged(self) -> dict[int, int]:
        """By asset: the sum of what was paid."""
        found: dict[int, int] = defaultdict(int)
        for each in self.paid:
            found[each.payer.asset] += each.amount
        return dict(found)


class Move(NamedTuple):
    """What moved between a book and all books of one kind; `adjusts` as in a line, but only
    whether."""

    other: int
    adjusts: bool
    debits: int
    credits: int


class BookFigures(NamedTuple):
    """How a balance came from what it was to what it is. `held` is what open holds reserve."""

    key: BookKey
    opening: int
    opening_held: int
    moves: tuple[Move, ...]
    closing: int
    held: int


class Total(NamedTuple):
    """Of one asset: all lines, by who paid. `billable` is the one figure that is billed (rule H8):
    what no pot paid, as it stands on the overage books of the statement's accounts."""

    asset: int
    charged: int
    grants: int
    overdraft: int
    overage: int
    absorbed: int
    converted: int
    elsewhere: int
    billable: int


class Statement(NamedTuple):
    """All that a statement says."""

    head: Head
    lines: tuple[Line, ...]
    books: tuple[BookFigures, ...]
    totals: tuple[Total, ...]


class Gathering:
    """Takes what belongs to a statement, piece by piece and in any order."""

    def __init__(self, head: Head, *, whole: bool) -> None:
        """`whole`: of a family, where whoever uses and whoever pays are all in it."""
        self.head = head
        self._whole = whole
        self._events: dict[LineKey, list[int]] = defaultdict(lambda: [0, 0])
        self._quantities: dict[LineKey, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._paid: dict[LineKey, dict[BookKey, int]] = defaultdict(lambda: defaultdict(int))
        self._opening: dict[BookKey, list[int]] = defaultdict(lambda: [0, 0])
        self._closing: dict[BookKey, list[int]] = defaultdict(lambda: [0, 0])
        self._held: dict[BookKey, int] = defaultdict(int)
        self._moves: dict[BookKey, dict[tuple[int, bool], list[int]]] = defaultdict(
            lambda: defaultdict(lambda: [0, 0])
        )

    def used(self, key: LineKey, events: int, reversals: int, quantities: dict[str, int]) -> None:
        """Usage events, reversals, and by how much they raise the quantities."""
        counts = self._events[key]
        counts[0] += events
        counts[1] += reversals
        line = self._quantities[key]
        for name, quantity in quantities.items():
            line[name] += quantity

    def paid(self, key: LineKey, payer: BookKey, amount: int) -> None:
        """Units that a book paid; below zero where it was given back to."""
        self._paid[key][payer] += amount

    def stood(self, key: BookKey, balance: int, held: int) -> None:
        """A balance as it was: before everything that the statement takes in."""
        opening = self._opening[key]
        opening[0] += balance
        opening[1] += held

    def moved(self, key: BookKey, other: int, adjusts: bool, debits: int, credits: int) -> None:
        """What moved on a book of the statement's accounts."""
        move = self._moves[key][other, adjusts]
        move[0] += debits
        move[1] += credits

    def held(self, key: BookKey, amount: int) -> None:
        """By how much what holds reserve on a book has grown."""
        self._held[key] += amount

    def stands(self, key: BookKey, balance: int, held: int) -> None:
        """A balance as it is, counted apart from what moved."""
        closing = self._closing[key]
        closing[0] += balance
        closing[1] += held

    def finish(self) -> Statement:
        """The statement, in its order. AssertionError if it does not add up."""
        lines = tuple([self._line(key) for key in sorted(self._line_keys(), key=_order)])
        books = tuple([each for key in sorted(self._book_keys()) if (each := self._book(key))])
        totals = _totals(lines, books)
        if self._whole:
            _assert_whole(lines, books)
        return Statement(self.head, lines, books, totals)

    def _line_keys(self) -> set[LineKey]:
        keys = self._events.keys() | self._quantities.keys() | self._paid.keys()
        return {key for key in keys if self._says(key)}

    def _says(self, key: LineKey) -> bool:
        """Whether there is anything on a line."""
        return (
            any(self._events.get(key, ()))
            or any(self._quantities.get(key, {}).values())
            or any(self._paid.get(key, {}).values())
        )

    def _line(self, key: LineKey) -> Line:
        events, reversals = self._events.get(key, (0, 0))
        quantities = self._quantities.get(key, {})
        paid = self._paid.get(key, {})
        return Line(
            key,
            events,
            reversals,
            {name: quantities[name] for name in sorted(quantities) if quantities[name]},
            tuple([Paid(payer, paid[payer]) for payer in sorted(paid) if paid[payer]]),
        )

    def _book_keys(self) -> set[BookKey]:
        return self._opening.keys() | self._closing.keys() | self._moves.keys() | self._held.keys()

    def _book(self, key: BookKey) -> BookFigures | None:
        """What a book says; None where it was empty, and nothing moved."""
        opening, opening_held = self._opening.get(key, (0, 0))
        closing, held = self._closing.get(key, (0, 0))
        found = self._moves.get(key, {})
        moves = tuple(
            [
                Move(other, adjusts, *found[other, adjusts])
                for other, adjusts in sorted(found)
                if any(found[other, adjusts])
            ]
        )
        moved = sum([each.credits - each.debits for each in moves])
        if key.kind in _FALL_BY_CREDITS:
            moved = -moved
        assert opening + moved == closing, (key, opening, moved, closing)
        assert opening_held + self._held.get(key, 0) == held, (key, opening_held, held)
        if not moves and not (opening or closing or opening_held or held):
            return None
        return BookFigures(key, opening, opening_held, moves, closing, held)


def paid_by(kind: int) -> str:
    """How a kind of book is called that paid, or that was given back to."""
    return PAYS.get(BookKind(kind), ELSEWHERE)


def balance_of(kind: int, debits: int, credits: int) -> int:
    """The balance of a book by its counters: what is there, or what is owed."""
    return debits - credits if kind in _FALL_BY_CREDITS else credits - debits


def _order(key: LineKey) -> tuple[Any, ...]:
    adjusts = -1 if key.adjusts is None else key.adjusts
    return adjusts, key.account, key.kind, key.product, key.value is not None, key.value or ""


def _totals(lines: tuple[Line, ...], books: tuple[BookFigures, ...]) -> tuple[Total, ...]:
    by_asset: dict[int, dict[str, int]] = defaultdict(
        lambda: dict.fromkeys((*PAYS.values(), ELSEWHERE), 0)
    )
    charged: dict[int, int] = defaultdict(int)
    for line in lines:
        for each in line.paid:
            by_asset[each.payer.asset][paid_by(each.payer.kind)] += each.amount
        for asset, amount in line.charged.items():
            charged[asset] += amount
    billable: dict[int, int] = defaultdict(int)
    for book in books:
        if book.key.kind == BookKind.OVERAGE:
            billable[book.key.asset] += sum(
                [move.debits - move.credits for move in book.moves if move.other in USES]
            )
    assets = sorted(by_asset.keys() | billable.keys())
    totals = []
    for asset in assets:
        paid = by_asset[asset]
        assert sum(paid.values()) == charged[asset], (asset, paid, charged[asset])
        totals.append(Total(asset=asset, charged=charged[asset], billable=billable[asset], **paid))
    return tuple(totals)


def _assert_whole(lines: tuple[Line, ...], books: tuple[BookFigures, ...]) -> None:
    """Of a whole family: what its books paid is on its lines, book by book."""
    by_lines: dict[BookKey, int] = defaultdict(int)
    for line in lines:
        for each in line.paid:
            if each.payer.account:
                by_lines[each.payer] += each.amount
    by_books: dict[BookKey, int] = {}
    for book in books:
        moved = [move.debits - move.credits for move in book.moves if move.other in USES]
        if sum(moved):
            by_books[book.key] = sum(moved)
    by_lines = {key: amount for key, amount in by_lines.items() if amount}
    assert by_lines == by_books, (by_lines, by_books)


# -- the canonical form ----------------------------------------------------------------------------


def canonical_bytes(statement: Statement) -> bytes:
    """The statement as JSON that is always the same: keys sorted, no spaces, amounts as decimal
    strings, numbers of the journal for all that has a name."""
    head = statement.head
    content = {
        "form": FORM,
        "tenant": head.tenant,
        "shard": head.shard,
        "account": head.account,
        "statement": head.statement,
        "consolidated": head.consolidated,
        "attribute": head.attribute,
        "start_us": head.start,
        "end_us": head.end,
        "entries": head.until,
        "lines": [_line_content(line) for line in statement.lines],
        "books": [_book_content(book) for book in statement.books],
        "totals": [
            {name: each if name == "asset" else str(each) for name, each in total._asdict().items()}
            for total in statement.totals
        ],
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _line_content(line: Line) -> dict[str, Any]:
    return {
        **line.key._asdict(),
        "events": line.events,
        "reversals": line.reversals,
        "quantities": {name: str(quantity) for name, quantity in line.quantities.items()},
        "paid": [{**each.payer._asdict(), "amount": str(each.amount)} for each in line.paid],
    }


def _book_content(book: BookFigures) -> dict[str, Any]:
    return {
        **book.key._asdict(),
        "opening": str(book.opening),
        "opening_held": str(book.opening_held),
        "moves": [
            {
                "other": move.other,
                "adjusts": move.adjusts,
                "debits": str(move.debits),
                "credits": str(move.credits),
            }
            for move in book.moves
        ],
        "closing": str(book.closing),
        "held": str(book.held),
    }


def hash_of(statement: Statement, head: bytes) -> bytes:
    """What `StatementClosed` records: of the canonical form and the chain's hash where it ended."""
    return blake2b(canonical_bytes(statement) + head, digest_size=HASH_BYTES).digest()
