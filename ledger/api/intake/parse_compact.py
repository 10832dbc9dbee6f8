"""The compact form of a usage batch: columns become commands. The fast path of the SDK.

The packed columns are listed once, each table entry is resolved once, what is common to all events
is checked on whole columns; then one tight loop. A batch whose columns do not fit together is
refused as a whole; everything else is an outcome of its event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise, repeat
from operator import itemgetter
from typing import Final, TypeAlias

from ledger.api.errors import CallFailed, Fault
from ledger.api.intake.batches import (
    LOOK_UP,
    PARSE_SLICE,
    UNKNOWN,
    Parsed,
    Seat,
    SeatCache,
    Seats,
)
from ledger.api.intake.parse_plain import by_quote, effective_at_fault, extras
from ledger.api.intake.shapes import ShapeCache, quantities_fault
from ledger.api.limits import BATCH_EVENTS_MAX, id_fault
from ledger.api.requests import with_seat
from ledger.core.commands import Names, RecordUsage
from ledger.core.identity import source_prefix
from ledger.core.limits import ID_BYTES_MAX
from ledger.core.shapes import Shape
from ledger.engine.ledger import Ledger
from ledger.v1 import usage_pb2 as pb

Values: TypeAlias = tuple[int, ...]

_NO_SHAPE: Final = Shape("", (), ())


class _Described:
    """One entry of the shape table."""

    __slots__ = ("fault", "order", "shape", "source", "width")

    def __init__(self, shapes: ShapeCache, shape: pb.Shape, request: pb.IngestRequest) -> None:
        names = tuple(shape.quantity_names)
        self.width = len(names)
        self.source = shape.source or request.source
        self.order: Callable[[Values], Values] | None = None
        found = shapes.of(shape.product or request.product, shape.attributes, names)
        fault = found if isinstance(found, Fault) else id_fault("source", self.source)
        self.fault = fault
        self.shape = _NO_SHAPE if isinstance(found, Fault) else found
        if fault is None and names != self.shape.quantity_names:
            places = [names.index(name) for name in self.shape.quantity_names]
            self.order = itemgetter(*places)


async def parse_compact(
    ledger: Ledger,
    shapes: ShapeCache,
    cache: SeatCache,
    tenant: int,
    request: pb.IngestRequest,
    trace: bytes = b"",
) -> Parsed:
    """The commands of a compact batch, in order. Raises CallFailed where the columns do not fit."""
    batch = request.compact
    ids = list(batch.ids)
    account_index = list(batch.account_index)
    shape_index = list(batch.shape_index)
    times = list(batch.effective_at_us)
    quantities = list(batch.quantities)
    count = len(ids)
    _check_columns(batch, count, account_index, shape_index, times)
    described = [_Described(shapes, shape, request) for shape in batch.shapes]
    rows = _rows(described, shape_index, quantities)
    parsed = Parsed(count, ledger.directory.shards)
    seats = Seats(ledger, cache, tenant)
    named: dict[int, tuple[str, str]] = {}
    column = await _seat_column(seats, list(batch.accounts), account_index, times, parsed, named)
    _check_events(parsed, described, shape_index, ids, times, rows, min(quantities, default=0) > 0)
    names = _names_of_extras(batch, count, parsed, described, shape_index, ids)
    quotes = {ref.event: ref.quote_id for ref in batch.quotes}
    kinds = [(entry.shape, entry.source, source_prefix(entry.source)) for entry in described]
    lines = zip(
        range(count),
        ids,
        column,
        map(kinds.__getitem__, shape_index),
        times or repeat(0, count),
        rows,
        strict=True,
    )
    faults = parsed.faults
    adders = [(lane.commands.append, lane.places.append) for lane in parsed.lanes]
    for start in range(0, count, PARSE_SLICE):
        if start:
            await asyncio.sleep(0)
        for place, event_id, seat, (shape, source, prefix), at, values in islice(
            lines, PARSE_SLICE
        ):
            if place in faults:
                continue
            if named and place in named:
                bearing = with_seat(shapes, shape, named[place])
                if isinstance(bearing, Fault):
                    faults[place] = bearing
                    continue
                shape = bearing
            number, usage_key, family, shard = seat
            add_command, add_place = adders[shard]
            if place in names:
                extra = names[place]
                operation, personal = (
                    family.operation(extra.operation, extra.operation_parent),
                    family.pairs(extra.personal),
                )
            else:
                extra, operation, personal = Names(source, event_id), b"", b""
            command = RecordUsage(
                usage_key(prefix, event_id),
                number,
                shape,
                values,
                at,
                extra,
                operation,
                personal,
                trace,
            )
            if quotes and place in quotes:
                quoted = by_quote(command, quotes[place], parsed)
                if isinstance(quoted, Fault):
                    faults[place] = quoted
                    continue
                command = quoted
            add_command(command)
            add_place(place)
    return parsed


def _check_columns(
    batch: pb.CompactBatch,
    count: int,
    account_index: list[int],
    shape_index: list[int],
    times: list[int],
) -> None:
    if count > BATCH_EVENTS_MAX:
        raise CallFailed(
            "BATCH_TOO_LARGE",
            f"{count} events; at most {BATCH_EVENTS_MAX} in a batch: split it",
            field="compact.ids",
            value=str(count),
        )
    for field, length in (
        ("account_index", len(account_index)),
        ("shape_index", len(shape_index)),
        ("effective_at_us", len(times) or count),
    ):
        if length != count:
            message = f"compact.{field} has {length} values for {count} ids"
            raise CallFailed("COLUMN_LENGTH", message, field=f"compact.{field}", value=str(length))
    for field, column, size in (
        ("account_index", account_index, len(batch.accounts)),
        ("shape_index", shape_index, len(batch.shapes)),
    ):
        for index in (min(column), max(column)):
            if not 0 <= index < size:
                message = f"compact.{field} names place {index} of a table of {size}"
                raise CallFailed(
                    "INDEX_INVALID", message, field=f"compact.{field}", value=str(index)
                )
    for field, table in (("accounts", batch.accounts), ("shapes", batch.shapes)):
        if len(table) > count:
            message = f"compact.{field} has {len(table)} entries for {count} events"
            raise CallFailed("TOO_MANY", message, field=f"compact.{field}", value=str(len(table)))


def _rows(
    described: list[_Described], shape_index: list[int], quantities: list[int]
) -> Sequence[Values]:
    """The quantities of each event, in the order of its shape's names."""
    widths = [entry.width for entry in described]
    needed = sum(map(widths.__getitem__, shape_index))
    if needed != len(quantities):
        raise CallFailed(
            "COLUMN_LENGTH",
            f"the shapes of the events need {needed} quantities; there are {len(quantities)}",
            field="compact.quantities",
            value=str(len(quantities)),
        )
    if len(set(widths)) == 1 and widths[0]:
        rows: Sequence[Values] = list(zip(*[iter(quantities)] * widths[0], strict=True))
    else:
        rest = iter(quantities)
        rows = [tuple(islice(rest, widths[index])) for index in shape_index]
    if any(entry.order is not None for entry in described):
        rows = [
            row if (order := described[index].order) is None else order(row)
            for row, index in zip(rows, shape_index, strict=True)
        ]
    return rows


async def _seat_column(
    seats: Seats,
    accounts: list[str],
    account_index: list[int],
    times: list[int],
    parsed: Parsed,
    named: dict[int, tuple[str, str]],
) -> Iterator[Seat]:
    """The seat of each event; events of unknown accounts are noted in `parsed`, and in `named` what
    the aliases of events say of the account's own seats (rule I7)."""
    by_id = seats.by_id
    known = list(map(by_id.get, accounts))
    if None not in known:
        return map(known.__getitem__, account_index)  # type: ignore[arg-type]
    missing = [name for name in accounts if seats.find(name, 0) is LOOK_UP]
    if missing:
        await seats.look_up([(name, 0) for name in missing])
    table = [by_id.get(name) or seats.find(name, 0) for name in accounts]
    if all(name in by_id for name in accounts):
        return map(table.__getitem__, account_index)
    # Aliases, or names that nobody knows now: what they mean depends on the time of the event.
    at = times or [0] * len(account_index)
    column = [
        by_id.get(accounts[index]) or seats.find(accounts[index], at_us)
        for index, at_us in zip(account_index, at, strict=True)
    ]
    missing_at = [
        (accounts[index], at_us)
        for index, at_us, seat in zip(account_index, at, column, strict=True)
        if seat is LOOK_UP
    ]
    if missing_at:
        await seats.look_up(missing_at)
    for place, seat in enumerate(column):
        name = accounts[account_index[place]]
        if name not in by_id:
            seat = seats.find(name, at[place])
            column[place] = seat
            if seats.named is not None:
                named[place] = seats.named
        if seat is UNKNOWN:
            parsed.refuse_unknown(place, name)
    return iter(column)


def _check_events(
    parsed: Parsed,
    described: list[_Described],
    shape_index: list[int],
    ids: list[str],
    times: list[int],
    rows: Sequence[Values],
    all_positive: bool,
) -> None:
    """Note the faults of events; whole columns first, one by one only where there is one."""
    text = "".join(ids)
    ids_sound = (
        text.isascii()
        and "\0" not in text
        and min(map(len, ids)) > 0
        and max(map(len, ids)) <= ID_BYTES_MAX
    )
    times_sound = not times or min(times) >= 0
    shapes_sound = not any(entry.fault for entry in described)
    if ids_sound and times_sound and shapes_sound and all_positive:
        return
    faults = parsed.faults
    for place, event_id in enumerate(ids):
        if parsed.is_refused(place):
            continue
        entry = described[shape_index[place]]
        fault = (
            entry.fault
            or id_fault("id", event_id)
            or (effective_at_fault(times[place]) if times else None)
            or quantities_fault(entry.shape.quantity_names, rows[place])
        )
        if fault is not None:
            faults[place] = fault
            parsed.unknown.pop(place, None)


def _names_of_extras(
    batch: pb.CompactBatch,
    count: int,
    parsed: Parsed,
    described: list[_Described],
    shape_index: list[int],
    ids: list[str],
) -> dict[int, Names]:
    """Names of the events that have an operation or personal data."""
    operations = {ref.event: (ref.operation, ref.operation_parent) for ref in batch.operations}
    personal = {ref.event: dict(ref.attributes) for ref in batch.personal}
    for field, table in (
        ("operations", batch.operations),
        ("personal", batch.personal),
        ("quotes", batch.quotes),
    ):
        places = [ref.event for ref in table]
        if places and (places[0] < 0 or places[-1] >= count or not _ascending(places)):
            raise CallFailed(
                "INDEX_INVALID",
                f"compact.{field} must name each event at most once, ascending, from 0 to "
                f"{count - 1}",
                field=f"compact.{field}",
            )
    names: dict[int, Names] = {}
    for place in operations.keys() | personal.keys():
        if parsed.is_refused(place):
            continue
        operation, parent = operations.get(place, ("", ""))
        source = described[shape_index[place]].source
        found = extras(operation, parent, personal.get(place, {}), source, ids[place])
        if place in operations and not operation:
            found = Fault("FIELD_REQUIRED", "operation", "", "1 to 128 bytes are required")
        if isinstance(found, Fault):
            parsed.faults[place] = found
            parsed.unknown.pop(place, None)
        else:
            names[place] = found
    return names


def _ascending(places: list[int]) -> bool:
    return all(first < second for first, second in pairwise(places))
