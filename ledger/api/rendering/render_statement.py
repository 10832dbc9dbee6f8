"""Statements as messages: figures under the names that customers know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from ledger.api.assets import Assets
from ledger.api.ids import GRANT, mint
from ledger.core.events import BookKind, StatementForm
from ledger.exports.amounts import decimal_text
from ledger.statements.figures import (
    PAYS,
    USES,
    BookFigures,
    BookKey,
    Line,
    Paid,
    Statement,
    Total,
    balance_of,
    canonical_bytes,
)
from ledger.statements.reading import Ended
from ledger.v1 import statement_pb2 as pb

_PAYERS: Final = {
    BookKind.GRANT: pb.STATEMENT_PAYER_GRANT,
    BookKind.ADVANCE: pb.STATEMENT_PAYER_OVERDRAFT,
    BookKind.OVERAGE: pb.STATEMENT_PAYER_OVERAGE,
    BookKind.PROMOTION: pb.STATEMENT_PAYER_ABSORBED,
    BookKind.CONVERSION: pb.STATEMENT_PAYER_CONVERTED,
}
_BOOKS: Final = {
    BookKind.GRANT: pb.STATEMENT_BOOK_KIND_GRANT,
    BookKind.ADVANCE: pb.STATEMENT_BOOK_KIND_OVERDRAFT,
    BookKind.OVERAGE: pb.STATEMENT_BOOK_KIND_OVERAGE,
    BookKind.COMMITMENT: pb.STATEMENT_BOOK_KIND_COMMITMENT,
    BookKind.DEFERRED: pb.STATEMENT_BOOK_KIND_DEFERRED,
    BookKind.UNBILLED: pb.STATEMENT_BOOK_KIND_UNBILLED,
    BookKind.RECEIVABLE: pb.STATEMENT_BOOK_KIND_RECEIVABLE,
}
_FIGURES: Final = (
    "charged",
    "grants",
    "overdraft",
    "overage",
    "absorbed",
    "converted",
    "elsewhere",
    "billable",
)


def accounts_of(statement: Statement) -> set[int]:
    """The accounts that a statement names."""
    found = {statement.head.account}
    for line in statement.lines:
        found.add(line.key.account)
        found.update([each.payer.account for each in line.paid])
    found.update([book.key.account for book in statement.books])
    return found - {0}


class StatementRendering:
    """Renders the statements of one shard."""

    def __init__(self, assets: Assets, shard: int, names: Mapping[int, str]) -> None:
        self._assets = assets
        self._shard = shard
        self._names = names

    def statement(self, statement: Statement, ended: Ended | None) -> pb.Statement:
        """A statement; `ended` None: a draft."""
        head = statement.head
        made = pb.Statement(
            account=self._names[head.account],
            statement=head.statement,
            state=pb.STATEMENT_STATE_DRAFT,
            form=pb.STATEMENT_FORM_CONSOLIDATED
            if head.consolidated
            else pb.STATEMENT_FORM_SEPARATE,
            attribute=head.attribute,
            start_us=head.start,
            end_us=head.end,
            lines=[self.line(line) for line in statement.lines],
            books=[self._book(book) for book in statement.books],
            totals=self._totals(statement),
            shard=self._shard,
        )
        if ended is not None:
            _say_how_far(made, ended)
            made.canonical = canonical_bytes(statement).decode()
        return made

    def summary(self, account: int, ended: Ended) -> pb.Statement:
        """A statement without what it says."""
        made = pb.Statement(
            account=self._names[account],
            statement=ended.statement,
            form=pb.StatementForm.ValueType(ended.form),
            attribute=ended.attribute,
            start_us=ended.start,
            end_us=ended.end,
            shard=self._shard,
        )
        _say_how_far(made, ended)
        return made

    def amount(self, asset: int, minor: int) -> pb.StatementAmount:
        """An amount of an asset, in both of its forms."""
        found = self._assets.of(asset)
        return pb.StatementAmount(
            asset=found.code,
            scale=found.scale,
            minor=str(minor),
            units=decimal_text(minor, found.scale),
        )

    def line(self, line: Line) -> pb.StatementLine:
        """What was used of a product."""
        key = line.key
        made = pb.StatementLine(
            kind=pb.StatementLineKind.ValueType(key.kind),
            account=self._names.get(key.account, ""),
            product=key.product,
            value=key.value,
            adjusts_statement=key.adjusts,
            events=line.events,
            reversals=line.reversals,
            quantities={name: str(quantity) for name, quantity in line.quantities.items()},
            paid=[self._payment(each) for each in line.paid],
        )
        charged = line.charged
        made.charged.extend([self.amount(asset, charged[asset]) for asset in sorted(charged)])
        return made

    def _payment(self, paid: Paid) -> pb.StatementPayment:
        payer = paid.payer
        return pb.StatementPayment(
            payer=_PAYERS.get(BookKind(payer.kind), pb.STATEMENT_PAYER_ELSEWHERE),
            account=self._names.get(payer.account, ""),
            grant_id=self._grant(payer),
            amount=self.amount(payer.asset, paid.amount),
        )

    def _grant(self, key: BookKey) -> str:
        return mint(GRANT, self._shard, key.account, key.grant) if key.grant else ""

    def _book(self, book: BookFigures) -> pb.StatementBook:
        key = book.key
        return pb.StatementBook(
            kind=_BOOKS[BookKind(key.kind)],
            account=self._names.get(key.account, ""),
            grant_id=self._grant(key),
            opening=self.amount(key.asset, book.opening),
            moves=[
                pb.StatementMove(
                    other=BookKind(move.other).name.lower(),
                    adjusts=move.adjusts,
                    amount=self.amount(key.asset, balance_of(key.kind, move.debits, move.credits)),
                )
                for move in book.moves
            ],
            closing=self.amount(key.asset, book.closing),
            opening_held=self.amount(key.asset, book.opening_held),
            held=self.amount(key.asset, book.held),
        )

    def _totals(self, statement: Statement) -> list[pb.StatementTotal]:
        found = [self._total("", total) for total in statement.totals]
        for account, totals in totals_by_account(statement.lines, statement.books).items():
            found += [self._total(self._names.get(account, ""), total) for total in totals]
        return found

    def _total(self, account: str, total: Total) -> pb.StatementTotal:
        figures = total._asdict()
        amounts = {name: self.amount(total.asset, figures[name]) for name in _FIGURES}
        return pb.StatementTotal(account=account, **amounts)


def _say_how_far(made: pb.Statement, ended: Ended) -> None:
    """How far a statement is, and what froze it."""
    made.state = pb.STATEMENT_STATE_ENDED
    if ended.closed_by is not None:
        assert ended.head is not None and ended.hash is not None
        made.state = pb.STATEMENT_STATE_CLOSED
        made.closing.CopyFrom(
            pb.StatementClosing(
                first_entry=ended.first or 0,
                last_entry=ended.last or 0,
                batch_seq=ended.batch_seq or 0,
                head_hash=ended.head.hex(),
                hash=ended.hash.hex(),
                closed_at_us=ended.closed_at or 0,
            )
        )


def totals_by_account(
    lines: Iterable[Line], books: Iterable[BookFigures]
) -> dict[int, list[Total]]:
    """The totals of each account apart, by its number: what it used, and what is billed to it."""
    sums: dict[tuple[int, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_FIGURES, 0))
    for line in lines:
        for each in line.paid:
            total = sums[line.key.account, each.payer.asset]
            total["charged"] += each.amount
            total[PAYS.get(BookKind(each.payer.kind), "elsewhere")] += each.amount
    for book in books:
        if book.key.kind == BookKind.OVERAGE:
            moved = [move.debits - move.credits for move in book.moves if move.other in USES]
            if sum(moved):
                sums[book.key.account, book.key.asset]["billable"] += sum(moved)
    found: dict[int, list[Total]] = defaultdict(list)
    for account, asset in sorted(sums):
        found[account].append(Total(asset=asset, **sums[account, asset]))
    return dict(found)


def form_of(form: int, otherwise: int) -> int:
    """The form that a request asks for, else another; NONE is no form of a statement."""
    given = form or otherwise
    return given if given > StatementForm.NONE else StatementForm.CONSOLIDATED
