"""Single events of a batch of either form, each in the plain form with the defaults filled in."""

from __future__ import annotations

from itertools import accumulate

from ledger.v1 import usage_pb2 as pb


class PlainEvents:
    """Views one batch; each event is made when it is asked for."""

    __slots__ = ("_operations", "_personal", "_quotes", "_request", "_starts")

    def __init__(self, request: pb.IngestRequest) -> None:
        self._request = request
        batch = request.compact
        widths = [len(shape.quantity_names) for shape in batch.shapes]
        self._starts = list(accumulate([widths[index] for index in batch.shape_index], initial=0))
        self._operations = {ref.event: ref for ref in batch.operations}
        self._personal = {ref.event: ref for ref in batch.personal}
        self._quotes = {ref.event: ref.quote_id for ref in batch.quotes}

    def at(self, place: int) -> pb.UsageEvent:
        """The event at a place of the batch."""
        request = self._request
        if request.HasField("compact"):
            event = self._from_columns(place)
        else:
            event = pb.UsageEvent()
            event.CopyFrom(request.events[place])
        event.source = event.source or request.source
        event.product = event.product or request.product
        return event

    def _from_columns(self, place: int) -> pb.UsageEvent:
        batch = self._request.compact
        shape = batch.shapes[batch.shape_index[place]]
        quantities = batch.quantities[self._starts[place] : self._starts[place + 1]]
        event = pb.UsageEvent(
            id=batch.ids[place],
            account=batch.accounts[batch.account_index[place]],
            effective_at_us=batch.effective_at_us[place] if batch.effective_at_us else 0,
            product=shape.product,
            attributes=shape.attributes,
            quantities=dict(zip(shape.quantity_names, quantities, strict=True)),
            source=shape.source,
            quote_id=self._quotes.get(place, ""),
        )
        operation = self._operations.get(place)
        if operation is not None:
            event.operation, event.operation_parent = (
                operation.operation,
                operation.operation_parent,
            )
        personal = self._personal.get(place)
        if personal is not None:
            event.personal_attributes.update(personal.attributes)
        return event
