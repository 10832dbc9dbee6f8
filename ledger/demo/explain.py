"""One event from usage to the journal: quantities, price rows, who paid, what was posted."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict

from ledger.cli.output import amount, instant
from ledger.demo.customer import Prices
from ledger.demo.screen import Screen
from ledger.v1 import types_pb2, usage_pb2
from rating.compile import row_of


def show_event(screen: Screen, entry: usage_pb2.UsageEntry, prices: Prices) -> None:
    """Print the whole way of one event."""
    tokens = ", ".join(f"{line.quantity:,} {line.quantity_name}" for line in entry.lines)
    screen.line(f"usage    {entry.source} {entry.id} of {entry.account}")
    screen.line(f"         {entry.product}: {tokens}")
    screen.line(f"         happened {instant(entry.effective_at_us)}")
    screen.line(f"rated    by card {entry.rate_card}, version {entry.rate_card_version}")
    screen.table(
        ("quantity", "reported", "priced", "price row", "a token", "charge"),
        [
            (
                line.quantity_name,
                f"{line.quantity:,}",
                f"{line.priced_quantity:,}",
                _row(line.price_row, prices),
                _price(line),
                f"{amount(line.charge, line.scale)} {line.asset}",
            )
            for line in entry.lines
        ],
        right=("reported", "priced", "a token", "charge"),
    )
    screen.line(f"drawn    {amount(entry.charge, entry.scale)} {entry.asset}, in this order:")
    screen.table(
        ("pot", "grant", "amount", "money recognised"),
        [
            (
                types_pb2.Pot.Name(part.pot).removeprefix("POT_").lower(),
                part.grant_id or "-",
                f"{amount(part.amount, part.scale)} {part.asset}",
                f"{amount(part.value, part.value_scale)} {part.value_asset}" if part.value else "-",
            )
            for part in entry.slices
        ],
        right=("amount", "money recognised"),
    )
    screen.line("posted   as double entry:")
    screen.table(
        ("debit", "credit", "amount"),
        [
            (
                transfer.debit_account,
                transfer.credit_account,
                f"{amount(transfer.amount, transfer.scale)} {transfer.asset}",
            )
            for transfer in entry.transfers
        ],
        right=("amount",),
    )
    screen.line(
        f"durable  shard {entry.shard}, journal batch {entry.batch_seq}, entry {entry.entry_seq}, "
        f"recorded {instant(entry.recorded_at_us)}"
    )
    if entry.trace_id:
        screen.line(f"traced   {entry.trace_id}")


def document_of(entry: usage_pb2.UsageEntry) -> dict[str, Any]:
    """The same for scripts."""
    document: dict[str, Any] = MessageToDict(entry, preserving_proto_field_name=True)
    return document


def _row(number: int, prices: Prices) -> str:
    """A price row by its place in the card, with what it says."""
    if number < 0:
        return "none: waits"
    version, ordinal = row_of(number)
    if version != prices.version:
        return f"version {version}, row {ordinal}"
    row = prices.card.rows[ordinal]
    conditions = "".join(f" {name}={value}" for name, value in sorted(row.attributes.items()))
    above = f" above {row.above_prompt:,}" if row.above_prompt else ""
    return f"#{ordinal} {row.product}{conditions}{above}"


def _price(line: types_pb2.Line) -> str:
    """The price of one token in major units, exact."""
    numerator, _, denominator = line.unit_price.partition("/")
    if not numerator:
        return "-"
    shown = amount(numerator, line.scale)
    return f"{shown}/{denominator}" if denominator else shown
