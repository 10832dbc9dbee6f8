"""A statement as JSON and as CSV. Pure; the same figures as the message, none of its own.

The table has a row a payment of a line and a row a movement of a book, each with the amount in
minor units and in units, so that sums over `section` and `asset` are the statement's totals.
"""

from __future__ import annotations

import csv
import io
from typing import Final

from google.protobuf.json_format import MessageToJson

from ledger.exports.amounts import instant_text
from ledger.v1 import statement_pb2 as pb

COLUMNS: Final = (
    "section",  # line, book, total
    "statement",
    "start",
    "end",
    "kind",
    "account",
    "product",
    "attribute",
    "adjusts_statement",
    "events",
    "reversals",
    "quantities",
    "name",  # of who paid, of what moved, of the figure
    "payer_account",
    "grant_id",
    "asset",
    "scale",
    "minor",
    "units",
)


def as_json(statement: pb.Statement) -> bytes:
    """The message by its field names; whole numbers of 64 bits are strings, as JSON has them."""
    return MessageToJson(statement, preserving_proto_field_name=True, indent=2).encode()


def as_csv(statement: pb.Statement) -> bytes:
    """A table by the names of COLUMNS, in UTF-8, with lines that end as RFC 4180 has them."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, restval="")
    table.writeheader()
    common = {
        "statement": statement.statement or "draft",
        "start": instant_text(statement.start_us),
        "end": instant_text(statement.end_us),
    }
    for row in (*_lines(statement), *_books(statement), *_totals(statement)):
        table.writerow({name: _harmless(value) for name, value in (common | row).items()})
    return out.getvalue().encode()


def _lines(statement: pb.Statement) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for line in statement.lines:
        what: dict[str, object] = {
            "section": "line",
            "kind": word(pb.StatementLineKind.Name(line.kind), "STATEMENT_LINE_KIND_"),
            "account": line.account,
            "product": line.product,
            "attribute": line.value if line.HasField("value") else "",
            "adjusts_statement": line.adjusts_statement
            if line.HasField("adjusts_statement")
            else "",
        }
        counted = {
            "events": line.events,
            "reversals": line.reversals,
            "quantities": " ".join(
                f"{name}={line.quantities[name]}" for name in sorted(line.quantities)
            ),
        }
        for place, each in enumerate(line.paid or (pb.StatementPayment(),)):
            row = what | (counted if place == 0 else {})
            if line.paid:
                row |= {
                    "name": word(pb.StatementPayer.Name(each.payer), "STATEMENT_PAYER_"),
                    "payer_account": each.account,
                    "grant_id": each.grant_id,
                }
                row |= _amount(each.amount)
            rows.append(row)
    return rows


def _books(statement: pb.Statement) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for book in statement.books:
        what: dict[str, object] = {
            "section": "book",
            "kind": word(pb.StatementBookKind.Name(book.kind), "STATEMENT_BOOK_KIND_"),
            "account": book.account,
            "grant_id": book.grant_id,
        }
        rows.append(what | {"name": "opening"} | _amount(book.opening))
        for move in book.moves:
            late = {"adjusts_statement": "yes"} if move.adjusts else {}
            rows.append(what | late | {"name": move.other} | _amount(move.amount))
        rows.append(what | {"name": "closing"} | _amount(book.closing))
        for name, held in (("opening_held", book.opening_held), ("held", book.held)):
            if held.minor != "0":
                rows.append(what | {"name": name} | _amount(held))
    return rows


def _totals(statement: pb.Statement) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for total in statement.totals:
        for field, amount in total.ListFields():
            if field.name != "account":
                what = {"section": "total", "account": total.account, "name": field.name}
                rows.append(what | _amount(amount))
    return rows


def _amount(amount: pb.StatementAmount) -> dict[str, object]:
    return {
        "asset": amount.asset,
        "scale": amount.scale,
        "minor": amount.minor,
        "units": amount.units,
    }


def word(name: str, prefix: str) -> str:
    """The name of an enum's value, in small letters."""
    return name.removeprefix(prefix).lower()


def _harmless(value: object) -> object:
    """Names that customers chose are text to a spreadsheet, whatever they begin with; an amount
    below zero stays one."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        number = value[1:].replace(".", "", 1)
        if not (value[0] == "-" and number.isdigit()):
            return "'" + value
    return value
