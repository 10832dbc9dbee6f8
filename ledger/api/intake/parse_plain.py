"""The plain form of a usage batch: messages with maps become commands. Most callers' hot path.

Each event is read once. A shape is checked once a process, a name looked up once a batch; what is
left per event is an id, some integers and one digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import asdict

from ledger.api.errors import Fault
from ledger.api.ids import quote_number
from ledger.api.intake.batches import (
    LOOK_UP,
    PARSE_SLICE,
    UNKNOWN,
    Parsed,
    SeatCache,
    Seats,
)
from ledger.api.intake.metering import Meters, meter, over_levels
from ledger.api.intake.shapes import ShapeCache, quantities_fault
from ledger.api.limits import attributes_fault, id_fault, text_fault
from ledger.api.requests import with_seat
from ledger.core.commands import Names, QuotedUsage, RecordUsage, ReportGauge
from ledger.core.identity import source_prefix
from ledger.core.limits import ID_BYTES_MAX
from ledger.engine.ledger import Ledger
from ledger.v1 import usage_pb2 as pb
from rating.metering import Metered, MeterVersions

NO_SOURCE: Final = "\0"  # equals no source that passes a check


async def parse_plain(
    ledger: Ledger,
    shapes: ShapeCache,
    cache: SeatCache,
    meters: Meters,
    tenant: int,
    request: pb.IngestRequest,
    trace: bytes = b"",
) -> Parsed:
    """The commands of a batch's events, in order; what is wrong with an event is its own outcome.

    The number of events was checked. Yields to the loop between slices. `meters` are asked for
    once a batch, where it has an event of a type.
    """
    events = list(request.events)
    parsed = Parsed(len(events), ledger.directory.shards)
    run = _Run(shapes, Seats(ledger, cache, tenant), request, trace, parsed)
    place = 0
    while place < len(events):
        if place:
            await asyncio.sleep(0)
        stop = min(place + PARSE_SLICE, len(events))
        reached = run.parse(events[place:stop], place)
        if run.wants_meters:
            run.meters = await meters.of(tenant)
            run.wants_meters = False
        elif reached < stop:
            await run.seats.look_up([(e.account, e.effective_at_us) for e in events[reached:]])
        place = reached
    return parsed


class _Run:
    """What the events of one batch share."""

    __slots__ = (
        "meters",
        "parsed",
        "product",
        "seats",
        "shapes",
        "source",
        "trace",
        "wants_meters",
    )

    def __init__(
        self,
        shapes: ShapeCache,
        seats: Seats,
        request: pb.IngestRequest,
        trace: bytes,
        parsed: Parsed,
    ) -> None:
        self.shapes = shapes
        self.seats = seats
        self.source = request.source
        self.product = request.product
        self.trace = trace
        self.parsed = parsed
        self.meters: MeterVersions | None = None
        self.wants_meters = False

    def parse(self, events: Sequence[pb.UsageEvent], place: int) -> int:
        """Parse events from `place` on; returns the place of the first name to be looked up."""
        seats, by_id = self.seats, self.seats.by_id
        find_shape = self.shapes.find
        faults = self.parsed.faults
        adders = [(lane.commands.append, lane.places.append) for lane in self.parsed.lanes]
        batch_source, batch_product, trace = self.source, self.product, self.trace
        checked_source, prefix = NO_SOURCE, b""
        place -= 1
        for event in events:
            place += 1
            account = event.account
            at = event.effective_at_us
            seat = by_id.get(account)
            named = None
            if seat is None:
                seat = seats.find(account, at)
                named = seats.named
            if seat[0] <= 0:
                if (fault := id_fault("account", account)) is not None:
                    faults[place] = fault
                    continue
                if seat is LOOK_UP:
                    return place
            quantities = event.quantities
            metered: Metered | None = None
            if event.type:
                if self.meters is None:
                    self.wants_meters = True
                    return place
                found = meter(self.meters, event, seats.now_us)
                if isinstance(found, Fault):
                    faults[place] = found
                    continue
                metered = found
                written = metered.written
            else:
                attributes = event.attributes
                names = (*attributes,)
                written = (
                    event.product or batch_product,
                    names,
                    tuple(map(attributes.__getitem__, names)) if names else names,
                    (*quantities,),
                )
            shape = find_shape(written)
            if shape is None:
                interned = self.shapes.intern(written)
                find_shape = self.shapes.find
                if isinstance(interned, Fault):
                    faults[place] = interned
                    continue
                shape = interned
            if named is not None:
                bearing = with_seat(self.shapes, shape, named)
                find_shape = self.shapes.find
                if isinstance(bearing, Fault):
                    faults[place] = bearing
                    continue
                shape = bearing
            if metered is None:
                values = tuple(map(quantities.__getitem__, shape.quantity_names))
            else:
                values = metered.quantities
            event_id = event.id
            source = event.source or batch_source
            if source != checked_source:
                if (fault := id_fault("source", source)) is not None:
                    faults[place] = fault
                    continue
                checked_source, prefix = source, source_prefix(source)
            if (
                min(values) <= 0
                or at < 0
                or not 0 < len(event_id) <= ID_BYTES_MAX
                or not event_id.isascii()
                or "\0" in event_id
            ) and (
                fault := _event_fault(event_id, at, shape.quantity_names, values, metered)
            ) is not None:
                faults[place] = fault
                continue
            operation = event.operation
            personal = event.personal_attributes
            extra: Names | Fault
            if operation or personal or event.operation_parent:
                extra = extras(operation, event.operation_parent, dict(personal), source, event_id)
                if isinstance(extra, Fault):
                    faults[place] = extra
                    continue
                operation_key = seat[2].operation(operation, event.operation_parent)
                personal_key = seat[2].pairs(extra.personal)
            else:
                extra, operation_key, personal_key = Names(source, event_id), b"", b""
            if seat is UNKNOWN:
                self.parsed.refuse_unknown(place, account)
                continue
            number, usage_key, _, shard = seat
            add_command, add_place = adders[shard]
            command = RecordUsage(
                usage_key(prefix, event_id),
                number,
                shape,
                values,
                at,
                extra,
                operation_key,
                personal_key,
                trace,
            )
            if metered is not None:
                command = over_levels(command, metered, seat[2])
            if quote_id := event.quote_id:
                if type(command) is ReportGauge:
                    message = "a report charges nothing that a quote could price"
                    faults[place] = Fault("FIELD_NOT_ALLOWED", "quote_id", quote_id, message)
                    continue
                quoted = by_quote(command, quote_id, self.parsed)
                if isinstance(quoted, Fault):
                    faults[place] = quoted
                    continue
                command = quoted
            add_command(command)
            add_place(place)
        return place + 1


def extras(
    operation: str, operation_parent: str, personal: dict[str, str], source: str, event_id: str
) -> Names | Fault:
    """The names of an event that has an operation or personal data, or what is wrong with them."""
    fault = (
        text_fault("operation", operation, ID_BYTES_MAX, empty=not operation_parent)
        or text_fault("operation_parent", operation_parent, ID_BYTES_MAX, empty=True)
        or attributes_fault("personal_attributes", personal)
    )
    if fault is not None:
        return fault
    return Names(source, event_id, operation, operation_parent, tuple(sorted(personal.items())))


def by_quote(command: RecordUsage, quote_id: str, parsed: Parsed) -> QuotedUsage | Fault:
    """The same usage, to be priced by a quote of its account (rule H9)."""
    quote = quote_number(quote_id, command.account, len(parsed.lanes))
    if isinstance(quote, Fault):
        return quote
    return QuotedUsage(**{**asdict(command), "quote": quote})


def _event_fault(
    event_id: str,
    at_us: int,
    names: tuple[str, ...],
    values: tuple[int, ...],
    metered: Metered | None,
) -> Fault | None:
    fault = id_fault("id", event_id) or effective_at_fault(at_us)
    if metered is not None and metered.gauge is not None:
        return fault  # a gauge may show nothing, which no usage may (rule R6)
    return fault or quantities_fault(names, values)


def effective_at_fault(at_us: int) -> Fault | None:
    """What is wrong with an effective time before any clock is asked, or None."""
    if at_us >= 0:
        return None
    message = "microseconds since 1970, or 0 for the writer's clock"
    return Fault("NUMBER_OUT_OF_RANGE", "effective_at_us", str(at_us), message)
