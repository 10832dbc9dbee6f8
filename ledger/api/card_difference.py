"""The difference of two rate cards as a message, large moves first, as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from google.protobuf.message import Message

from ledger.api.rendering.render_card import render_meter, render_product, render_row
from rating.card import PriceRow, RateCard
from rating.diff import CardDiff, Changed, Changes, diff, large_moves, moved_by
from rating.diff_text import shown, summary
from rating.v1 import pricing_pb2 as pb

REPLY_BYTES_MAX: Final = 12 << 20  # of a message of 16 MiB


def compared(before: RateCard, after: RateCard, large_factor: str) -> pb.DiffRateCardsResponse:
    """What the later card says otherwise, without the names of its versions. Pure."""
    change = diff(before, after)
    return _rendered(change, large_moves(change, large_factor))


def _rendered(change: CardDiff, large: Sequence[Changed[PriceRow]]) -> pb.DiffRateCardsResponse:
    reply = pb.DiffRateCardsResponse(summary=summary(change))
    for each in change.head:
        reply.fields.add(field=each.field, before=shown(each.before), after=shown(each.after))
    room = REPLY_BYTES_MAX - reply.ByteSize()
    lists: tuple[tuple[Any, Iterator[Any]], ...] = (
        (reply.rows, _rows(change.rows, large)),
        (reply.products, _parts(change.products, render_product, pb.ProductDifference)),
        (reply.meters, _parts(change.meters, render_meter, pb.MeterDifference)),
    )
    for listed, parts in lists:
        for part in parts:
            room -= part.ByteSize() + 8
            if room < 0:
                reply.omitted += 1
            else:
                listed.append(part)
    return reply


def _rows(
    changes: Changes[PriceRow], large: Sequence[Changed[PriceRow]]
) -> Iterator[pb.RowDifference]:
    moved_far = {id(row) for row in large}
    others = [row for row in changes.changed if id(row) not in moved_far]
    ordered = msgspec.structs.replace(changes, changed=(*large, *others))
    for place, part in enumerate(_parts(ordered, render_row, pb.RowDifference)):
        if place < len(ordered.changed):
            part.ratio = moved_by(ordered.changed[place]) or ""
            part.large = place < len(large)
        yield part


def _parts(
    changes: Changes[Any], render: Callable[[Any], Message], kind: Callable[..., Any]
) -> Iterator[Any]:
    for each in changes.changed:
        yield kind(
            change=pb.PART_CHANGE_CHANGED, before=render(each.before), after=render(each.after)
        )
    for each in changes.removed:
        yield kind(change=pb.PART_CHANGE_REMOVED, before=render(each))
    for change, placed in (
        (pb.PART_CHANGE_ADDED, changes.added),
        (pb.PART_CHANGE_MOVED, changes.moved),
    ):
        for part in placed:
            yield kind(change=change, after=render(part.part), place=part.place)
