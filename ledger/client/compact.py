"""Batches as messages, and replies as outcomes: the compact form, and the plain one.

Only here and in the shell are generated messages seen. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.client.events import EventOutcome, GaugeLevel, Outcome, ShapeKey, UsageEvent
from ledger.client.parcels import Pending
from ledger.client.raw_events import RawEvent, flattened
from ledger.v1 import usage_pb2 as pb

_OUTCOMES: Final[Mapping[int, Outcome]] = {int(outcome): outcome for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all batches of a client have in common."""

    tenant: str
    source: str = ""
    product: str = ""
    park_unknown: bool = False
    plain: bool = False

    def request(self, items: Sequence[Pending]) -> pb.IngestRequest:
        """The message of a batch."""
        request = pb.IngestRequest(
            tenant=self.tenant,
            source=self.source,
            product=self.product,
            park_unknown=self.park_unknown,
        )
        if self.plain:
            request.events.extend([plain_event(item.event) for item in items])
        else:
            request.compact.CopyFrom(compact_batch(items))
        return request

    def linked(self, events: Sequence[UsageEvent]) -> pb.IngestRequest:
        """The message of events that are recorded together or not at all."""
        return pb.IngestRequest(
            tenant=self.tenant,
            source=self.source,
            product=self.product,
            events=[plain_event(event) for event in events],
            linked=[pb.LinkedEvents(first=0, count=len(events))],
        )

    def raw(self, events: Sequence[RawEvent]) -> pb.IngestRequest:
        """The message of events of a type. Raises InvalidEvent."""
        return pb.IngestRequest(
            tenant=self.tenant,
            source=self.source,
            park_unknown=self.park_unknown,
            events=[_raw(event) for event in events],
        )


def compact_batch(items: Sequence[Pending]) -> pb.CompactBatch:
    """The compact form: each distinct shape and account once, the rest in columns."""
    shapes: dict[ShapeKey, int] = {}
    accounts: dict[str, int] = {}
    ids: list[str] = []
    shape_index: list[int] = []
    account_index: list[int] = []
    times: list[int] = []
    quantities: list[int] = []
    operations: list[pb.OperationRef] = []
    personal: list[pb.PersonalAttributes] = []
    quotes: list[pb.QuoteRef] = []
    for place, item in enumerate(items):
        event = item.event
        ids.append(event.id)
        shape_index.append(shapes.setdefault(item.shape, len(shapes)))
        account_index.append(accounts.setdefault(event.account, len(accounts)))
        times.append(event.effective_at_us)
        quantities.extend(event.quantities.values())
        if event.operation or event.operation_parent:
            operations.append(
                pb.OperationRef(
                    event=place,
                    operation=event.operation,
                    operation_parent=event.operation_parent,
                )
            )
        if event.personal_attributes:
            attributes = dict(event.personal_attributes)
            personal.append(pb.PersonalAttributes(event=place, attributes=attributes))
        if event.quote_id:
            quotes.append(pb.QuoteRef(event=place, quote_id=event.quote_id))
    return pb.CompactBatch(
        shapes=[
            pb.Shape(product=product, source=source, attributes=dict(pairs), quantity_names=names)
            for product, source, pairs, names in shapes
        ],
        accounts=list(accounts),
        ids=ids,
        account_index=account_index,
        shape_index=shape_index,
        effective_at_us=times if any(times) else [],
        quantities=quantities,
        operations=operations,
        personal=personal,
        quotes=quotes,
    )


def plain_event(event: UsageEvent) -> pb.UsageEvent:
    """An event in the plain form."""
    return pb.UsageEvent(
        id=event.id,
        account=event.account,
        effective_at_us=event.effective_at_us,
        product=event.product,
        attributes=dict(event.attributes),
        quantities=dict(event.quantities),
        source=event.source,
        operation=event.operation,
        operation_parent=event.operation_parent,
        personal_attributes=dict(event.personal_attributes),
        quote_id=event.quote_id,
    )


def _raw(event: RawEvent) -> pb.UsageEvent:
    return pb.UsageEvent(
        id=event.id,
        account=event.account,
        type=event.type,
        properties=flattened(event.properties),
        effective_at_us=event.effective_at_us,
        source=event.source,
        operation=event.operation,
        operation_parent=event.operation_parent,
        personal_attributes=dict(event.personal_attributes),
        quote_id=event.quote_id,
    )


def outcomes_of(response: pb.IngestResponse) -> list[EventOutcome]:
    """The outcomes of a reply in either form, in the order of its batch.

    An outcome that this client does not know counts as UNKNOWN.
    """
    assets = [(asset.asset, asset.scale) for asset in response.assets]
    position = response.position
    if response.results:
        return [_outcome(result, assets, position) for result in response.results]
    columns = response.compact
    charges = columns.charges
    default = assets[0] if assets else ("", 0)
    found = [
        EventOutcome(
            _outcome_of(number), charge, *(default if charge else ("", 0)), position=position
        )
        for number, charge in zip(columns.outcomes, charges, strict=True)
    ]
    if len(assets) > 1:
        for place, index in enumerate(columns.asset_index):
            if index and charges[place]:
                asset, scale = assets[index]
                found[place] = found[place]._replace(asset=asset, scale=scale)
    for place in columns.replayed:
        found[place] = found[place]._replace(replayed=True)
    for place in columns.over_limit:
        found[place] = found[place]._replace(over_limit=True)
    for detail in columns.details:
        result = detail.result
        found[detail.event] = found[detail.event]._replace(
            reason=result.reason,
            field=result.field,
            message=result.message,
            position=result.position or position,
        )
    return found


def _outcome(result: pb.IngestResult, assets: list[tuple[str, int]], position: str) -> EventOutcome:
    asset, scale = assets[result.asset_index] if result.charge else ("", 0)
    return EventOutcome(
        _outcome_of(result.outcome),
        result.charge,
        asset,
        scale,
        result.replayed,
        result.over_limit,
        result.reason,
        result.field,
        result.message,
        result.position or position,
        _gauge(result.gauge) if result.HasField("gauge") else None,
    )


def _gauge(level: pb.GaugeLevel) -> GaugeLevel:
    return GaugeLevel(
        dict(level.before), dict(level.after), level.scope_start_us, level.scope_end_us
    )


def _outcome_of(number: int) -> Outcome:
    return _OUTCOMES.get(number, Outcome.UNKNOWN)
