"""A statement as a page that prints: HTML in itself, no scripts, nothing fetched, all text escaped.

Shows what the message holds: totals first, then lines by account, adjustments, and how each balance
came about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from ledger.api.statement_tables import word
from ledger.exports.amounts import instant_text
from ledger.v1 import statement_pb2 as pb

_STYLE: Final = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1b1f24; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p, dl { margin: .25rem 0; color: #4b535d; } dt { display: inline; } dd { display: inline;
  margin: 0 1rem 0 .25rem; color: #1b1f24; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dee4;
  vertical-align: top; }
th { font-weight: 600; border-bottom: 2px solid #1b1f24; } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
td, th.v, h1, h3, p { overflow-wrap: anywhere; }
tr.sum td { font-weight: 600; border-bottom: 0; }
tr.billable td { font-weight: 700; border-top: 2px solid #1b1f24; }
code { font: 12px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.draft { border: 1px solid #9a6700; color: #9a6700; padding: .1rem .5rem; border-radius: .25rem; }
@page { margin: 18mm; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 11px; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; }
  thead { display: table-header-group; } }
"""
_FIGURES: Final = (
    ("charged", "Used"),
    ("grants", "Paid by grants"),
    ("overdraft", "Paid by overdraft"),
    ("overage", "Overage, whoever is billed"),
    ("absorbed", "Absorbed, never billed"),
    ("converted", "Paid in another asset"),
    ("elsewhere", "Given back to elsewhere"),
)


def as_page(statement: pb.Statement) -> bytes:
    """The page, in UTF-8."""
    return "".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(_title(statement))}</title><style>{_STYLE}</style></head>\n<body>",
            *_head(statement),
            "<h2>Totals</h2>",
            *_totals([each for each in statement.totals if not each.account]),
            *_lines(statement),
            *_books(statement),
            *_closing(statement),
            "</body></html>\n",
        ]
    ).encode()


def _title(statement: pb.Statement) -> str:
    number = str(statement.statement) if statement.statement else "draft"
    return f"Statement {number} of {statement.account}"


def _head(statement: pb.Statement) -> Iterable[str]:
    state = word(pb.StatementState.Name(statement.state), "STATEMENT_STATE_")
    form = word(pb.StatementForm.Name(statement.form), "STATEMENT_FORM_")
    yield f"<h1>{escape(_title(statement))}</h1>"
    yield f"<p>{instant_text(statement.start_us)} up to {instant_text(statement.end_us)}</p>"
    mark = f'<span class="draft">{state}</span>' if state != "closed" else state
    yield f"<p>{mark}, {form}</p>"


def _totals(totals: Sequence[pb.StatementTotal]) -> Iterable[str]:
    if not totals:
        yield "<p>Nothing was used.</p>"
        return
    yield '<table><thead><tr><th></th><th class="n">Amount</th><th>Asset</th></tr></thead><tbody>'
    for total in totals:
        for name, label in _FIGURES:
            amount: pb.StatementAmount = getattr(total, name)
            if amount.minor != "0" or name == "charged":
                kind = ' class="sum"' if name == "charged" else ""
                yield f"<tr{kind}><td>{label}</td>{_amount(amount)}</tr>"
        yield f'<tr class="billable"><td>Billable</td>{_amount(total.billable)}</tr>'
    yield "</tbody></table>"


def _lines(statement: pb.Statement) -> Iterable[str]:
    by_account: dict[str, list[pb.StatementLine]] = defaultdict(list)
    late: list[pb.StatementLine] = []
    for line in statement.lines:
        if line.HasField("adjusts_statement"):
            late.append(line)
        else:
            by_account[line.account].append(line)
    if by_account:
        yield "<h2>Usage</h2>"
    for account, lines in by_account.items():
        yield f"<h3>{escape(account)}</h3>"
        yield from _table(statement, lines)
        yield from _totals([each for each in statement.totals if each.account == account])
    if late:
        yield "<h2>Adjustments of closed statements</h2>"
        yield from _table(statement, late)


def _table(statement: pb.Statement, lines: Sequence[pb.StatementLine]) -> Iterable[str]:
    attribute = statement.attribute
    named = f'<th class="v">{escape(attribute)}</th>' if attribute else ""
    yield f"<table><thead><tr><th>Product</th>{named}<th>Quantities</th><th>Paid by</th>"
    yield '<th class="n">Amount</th><th>Asset</th></tr></thead><tbody>'
    for line in lines:
        what = [escape(line.product)]
        if line.kind != pb.STATEMENT_LINE_KIND_USAGE:
            what.append(word(pb.StatementLineKind.Name(line.kind), "STATEMENT_LINE_KIND_"))
        if line.HasField("adjusts_statement"):
            number = line.adjusts_statement
            what.append(f"of statement {number}" if number else "of before the first statement")
            what.append(escape(line.account))
        value = f"<td>{escape(line.value)}</td>" if attribute else ""
        quantities = ", ".join(
            f"{escape(name)} {escape(line.quantities[name])}" for name in sorted(line.quantities)
        )
        for place, paid in enumerate(line.paid or (None,)):
            yield "<tr>"
            if place == 0:
                yield f"<td>{', '.join(what)}</td>{value}<td>{quantities}</td>"
            else:
                yield f"<td></td>{'<td></td>' if attribute else ''}<td></td>"
            if paid is None:
                yield '<td></td><td class="n">0</td><td></td></tr>'
            else:
                yield f"<td>{_payer(paid)}</td>{_amount(paid.amount)}</tr>"
    yield "</tbody></table>"


def _payer(paid: pb.StatementPayment) -> str:
    name = word(pb.StatementPayer.Name(paid.payer), "STATEMENT_PAYER_")
    if paid.grant_id:
        return f"{name} <code>{escape(paid.grant_id)}</code> of {escape(paid.account)}"
    return f"{name} of {escape(paid.account)}" if paid.account else name


def _books(statement: pb.Statement) -> Iterable[str]:
    if not statement.books:
        return
    yield "<h2>Balances</h2>"
    yield '<table><thead><tr><th>Balance</th><th></th><th class="n">Amount</th><th>Asset</th>'
    yield "</tr></thead><tbody>"
    for book in statement.books:
        name = word(pb.StatementBookKind.Name(book.kind), "STATEMENT_BOOK_KIND_")
        whose = f"{name} of {escape(book.account)}"
        if book.grant_id:
            whose += f"<br><code>{escape(book.grant_id)}</code>"
        yield f"<tr><td>{whose}</td><td>opening</td>{_amount(book.opening)}</tr>"
        for move in book.moves:
            late = ", late" if move.adjusts else ""
            yield f"<tr><td></td><td>{escape(move.other)}{late}</td>{_amount(move.amount)}</tr>"
        held = f", of it held {escape(book.held.units)}" if book.held.minor != "0" else ""
        yield f'<tr class="sum"><td></td><td>closing{held}</td>{_amount(book.closing)}</tr>'
    yield "</tbody></table>"


def _closing(statement: pb.Statement) -> Iterable[str]:
    if not statement.HasField("closing"):
        return
    closing = statement.closing
    yield "<h2>Closed</h2><dl>"
    for label, value in (
        ("Recorded", instant_text(closing.closed_at_us)),
        ("Shard", str(statement.shard)),
        ("Entries", f"{closing.first_entry} to {closing.last_entry}"),
        ("Batch", str(closing.batch_seq)),
        ("Chain", closing.head_hash),
        ("Hash", closing.hash),
    ):
        yield f"<div><dt>{label}</dt><dd><code>{escape(value)}</code></dd></div>"
    yield "</dl>"


def _amount(amount: pb.StatementAmount) -> str:
    return f'<td class="n">{escape(amount.units)}</td><td>{escape(amount.asset)}</td>'
