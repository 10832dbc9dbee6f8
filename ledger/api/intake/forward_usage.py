"""A batch of usage over several processes: split by owner, answered per item in order (rule I3).

Our own lanes go to our writers; the events of each other owner go to it as a smaller batch of the
same form, marked as forwarded, and its outcomes are put where they belong. What an owner that is
gone had may be recorded or not: those events, and only those, are UNKNOWN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from grpc import StatusCode

from ledger.api.covering import NOWHERE
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import RETRY_AFTER_US, Forwarder, Hop, PassedOn
from ledger.api.intake.batches import Lane, Parsed
from ledger.api.replies import Outcomes
from ledger.engine.ledger import Ledger
from ledger.engine.ticket import NotApplied, NotOwner, Ticket
from ledger.v1 import usage_pb2 as pb

T = TypeVar("T")

METHOD: Final = f"{pb.DESCRIPTOR.services_by_name['UsageService'].full_name}/Ingest"
_AGAIN: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED})


class Onward(Protocol):
    """What is asked of the call that brought the batch, only where there is another owner."""

    @property
    def forwarded(self) -> bool:
        """Whether another process passed it on to us."""
        ...

    @property
    def hop(self) -> Hop:
        """What goes with its parts."""
        ...


class Spreader:
    """Hands the lanes of a batch to whoever has their shards."""

    def __init__(self, ledger: Ledger, forwarder: Forwarder) -> None:
        self._ledger = ledger
        self._forwarder = forwarder

    async def submit(
        self,
        request: pb.IngestRequest,
        parsed: Parsed,
        outcomes: Outcomes,
        call: Onward,
        deadline_us: int = 0,
        span: object = None,
        taken: Callable[[], None] | None = None,
        only_elsewhere: frozenset[int] = NOWHERE,
    ) -> NotApplied | CallFailed | None:
        """Fill in all outcomes; a failure if nobody took anything and all of it may be sent again.

        A `call` that was forwarded already goes no further. `taken` is called once what is
        submitted from then on is decided later: when all is in our queues, and other owners, of
        whom each call is on its own, have answered. Shards in `only_elsewhere` are another server's
        to decide about, even if they have become ours meanwhile: then they are to be sent again.
        """
        lanes = [(shard, lane) for shard, lane in enumerate(parsed.lanes) if lane.commands]
        elsewhere = self._elsewhere(lanes)
        if elsewhere and call.forwarded:
            elsewhere = {}
        writers = self._ledger.writers
        if only_elsewhere:
            away = {shard for group in elsewhere.values() for shard, _ in group}
            refused_here = only_elsewhere - away
            for shard, lane in lanes:
                if shard in refused_here:
                    _fail(outcomes, lane, NotOwner(shard, RETRY_AFTER_US))
            lanes = [(shard, lane) for shard, lane in lanes if shard not in refused_here]
        if taken is not None and not elsewhere:
            # What waits for it is woken after the first steps of our submits, which enqueue.
            asyncio.get_running_loop().call_soon(taken)
        if not elsewhere and len(lanes) == 1:
            shard, lane = lanes[0]
            answers: list[Any] = [
                await _settled(writers[shard].submit(lane.commands, deadline_us, span))
            ]
        else:
            away = {shard for group in elsewhere.values() for shard, _ in group}
            lanes = [(shard, lane) for shard, lane in lanes if shard not in away]
            answers = await asyncio.gather(
                *[
                    _settled(writers[shard].submit(lane.commands, deadline_us, span))
                    for shard, lane in lanes
                ],
                *[
                    _settled(self._ask(address, request, group, outcomes, call.hop))
                    for address, group in elsewhere.items()
                ],
            )
        if taken is not None and elsewhere:
            taken()
        for (_, lane), answer in zip(lanes, answers, strict=False):
            if isinstance(answer, Ticket):
                outcomes.take(lane, answer)
            else:
                _fail(outcomes, lane, answer)
        for group, answer in zip(elsewhere.values(), answers[len(lanes) :], strict=True):
            if answer is not None:
                for _, lane in group:
                    _fail(outcomes, lane, answer)
        refused = [answer for answer in answers if _is_not_applied(answer)]
        return refused[0] if refused and len(refused) == len(answers) else None

    def _elsewhere(self, lanes: Sequence[tuple[int, Lane]]) -> Mapping[str, list[tuple[int, Lane]]]:
        """The lanes of other processes' shards, by address; empty for most batches."""
        shards = self._ledger.shards
        found: dict[str, list[tuple[int, Lane]]] = {}
        for shard, lane in lanes:
            if not shards.owns(shard) and (address := shards.route(shard)):
                found.setdefault(address, []).append((shard, lane))
        return found

    async def _ask(
        self,
        address: str,
        request: pb.IngestRequest,
        group: Sequence[tuple[int, Lane]],
        outcomes: Outcomes,
        hop: Hop,
    ) -> None:
        """Have another process record its events. Raises CallFailed, NotApplied."""
        places = sorted([place for _, lane in group for place in lane.places])
        part = part_of(request, places)
        try:
            answer = await self._forwarder.ask(address, METHOD, part, pb.IngestResponse, hop)
        except PassedOn as error:
            raise error.failure() from error
        outcomes.merge(places, answer)


def part_of(request: pb.IngestRequest, places: Sequence[int]) -> pb.IngestRequest:
    """The batch that consists of the events of these places, ascending, in the same form."""
    compact = request.HasField("compact")
    count = len(request.compact.ids) if compact else len(request.events)
    if len(places) == count:
        return request
    part = pb.IngestRequest(
        tenant=request.tenant,
        source=request.source,
        product=request.product,
        park_unknown=request.park_unknown,
    )
    if compact:
        _fill_columns(part.compact, request.compact, places)
    else:
        part.events.extend([request.events[place] for place in places])
    if request.linked:
        moved = {place: to for to, place in enumerate(places)}
        for group in request.linked:  # all of it goes to one owner, or it was refused
            if group.first in moved:
                part.linked.add(first=moved[group.first], count=group.count)
    return part


def _fill_columns(part: pb.CompactBatch, batch: pb.CompactBatch, places: Sequence[int]) -> None:
    widths = [len(shape.quantity_names) for shape in batch.shapes]
    shape_index, account_index = list(batch.shape_index), list(batch.account_index)
    starts, start = [], 0
    for index in shape_index:
        starts.append(start)
        start += widths[index]
    quantities, ids, times = list(batch.quantities), list(batch.ids), list(batch.effective_at_us)
    shapes: dict[int, int] = {}
    accounts: dict[int, int] = {}
    for place in places:
        shape = shape_index[place]
        part.shape_index.append(shapes.setdefault(shape, len(shapes)))
        part.account_index.append(accounts.setdefault(account_index[place], len(accounts)))
        part.quantities.extend(quantities[starts[place] : starts[place] + widths[shape]])
    part.ids.extend([ids[place] for place in places])
    if times:
        part.effective_at_us.extend([times[place] for place in places])
    part.shapes.extend([batch.shapes[index] for index in shapes])
    part.accounts.extend([batch.accounts[index] for index in accounts])
    moved = {place: to for to, place in enumerate(places)}
    for operation in batch.operations:
        if operation.event in moved:
            part.operations.add(
                event=moved[operation.event],
                operation=operation.operation,
                operation_parent=operation.operation_parent,
            )
    for personal in batch.personal:
        if personal.event in moved:
            part.personal.add(event=moved[personal.event], attributes=personal.attributes)
    for quote in batch.quotes:
        if quote.event in moved:
            part.quotes.add(event=moved[quote.event], quote_id=quote.quote_id)


async def _settled(work: Awaitable[T]) -> T | Exception:
    try:
        return await work
    except Exception as error:
        return error


def _fail(outcomes: Outcomes, lane: Lane, error: Exception) -> None:
    failure = failure_of(error)
    if failure is None:
        raise error
    outcomes.fail_lane(lane, failure)


def _is_not_applied(answer: object) -> bool:
    """Whether certainly nothing was recorded, and the same may be sent again."""
    if isinstance(answer, CallFailed):
        return TABLE[answer.reason].code in _AGAIN
    return isinstance(answer, NotApplied)
