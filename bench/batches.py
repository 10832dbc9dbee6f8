"""Batches as bytes, made before the clock runs: plain and compact, one file a form.

A file is a template: its ids carry a mark in place of the run's tag, of the same length, so a run
gets ids of its own by replacing bytes, without serialising again. Each batch stands beside what its
answer must add up to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.sizes import Sizes
from bench.workload import (
    ID_MARK,
    QUANTITIES,
    SHAPES,
    SOURCE,
    TAG_CHARACTERS,
    TENANT,
    Batch,
    account_ids,
)
from ledger.v1 import decision_pb2, usage_pb2

_MARK: Final = ID_MARK.encode()


class Template(Struct, frozen=True, array_like=True):
    """One message, and what its answer must say: items, of them replayed, sum of the charges."""

    payload: bytes
    items: int
    replayed: int
    charge: int

    def tagged(self, tag: str) -> bytes:
        """The message with ids of the run `tag`."""
        assert len(tag) == TAG_CHARACTERS, tag
        return self.payload.replace(_MARK, tag.encode())


def with_hold(payload: bytes, hold_id: str) -> bytes:
    """A capture with its hold, field 3: messages that stand one after the other are one."""
    text = hold_id.encode()
    assert 0 < len(text) < 128, hold_id
    return payload + b"\x1a" + bytes((len(text),)) + text


def write(path: Path, templates: Iterable[Template]) -> None:
    """Keep templates in a file."""
    path.write_bytes(msgspec.msgpack.encode(list(templates)))


def read(path: Path) -> list[Template]:
    """The templates of a file."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Template])


def ingest(batch: Batch, names: Sequence[str], *, compact: bool) -> Template:
    """A batch of usage of accounts of these names, in one of its two forms."""
    request = _compact(batch, names) if compact else _plain(batch, names)
    return Template(request.SerializeToString(), len(batch.events), batch.resent, batch.charge)


def _plain(batch: Batch, names: Sequence[str]) -> usage_pb2.IngestRequest:
    request = usage_pb2.IngestRequest(tenant=TENANT, source=SOURCE)
    for event in batch.events:
        product, mode, region = SHAPES[event.shape]
        request.events.add(
            id=event.id,
            account=names[event.account],
            effective_at_us=event.effective_at_us,
            product=product,
            attributes={"mode": mode, "region": region},
            quantities={QUANTITIES[0]: event.input_tokens, QUANTITIES[1]: event.output_tokens},
        )
    return request


def _compact(batch: Batch, names: Sequence[str]) -> usage_pb2.IngestRequest:
    compact = usage_pb2.CompactBatch()
    accounts: dict[int, int] = {}
    shapes: dict[int, int] = {}
    for event in batch.events:
        compact.ids.append(event.id)
        compact.account_index.append(accounts.setdefault(event.account, len(accounts)))
        compact.shape_index.append(shapes.setdefault(event.shape, len(shapes)))
        compact.effective_at_us.append(event.effective_at_us)
        compact.quantities.extend((event.input_tokens, event.output_tokens))
    compact.accounts.extend(names[account] for account in accounts)
    for shape in shapes:
        product, mode, region = SHAPES[shape]
        compact.shapes.add(
            product=product,
            attributes={"mode": mode, "region": region},
            quantity_names=QUANTITIES,
        )
    return usage_pb2.IngestRequest(tenant=TENANT, source=SOURCE, compact=compact)


def unary(batches: Iterable[Batch], sizes: Sizes, *, durable: bool) -> Iterator[Template]:
    """Each distinct event as a question: Authorize where `durable`, else Check."""
    names = account_ids(sizes)
    asked: set[str] = set()
    for event in (event for batch in batches for event in batch.events):
        if event.id in asked:
            continue
        asked.add(event.id)
        product, mode, region = SHAPES[event.shape]
        question: decision_pb2.AuthorizeRequest | decision_pb2.CheckRequest
        question = decision_pb2.CheckRequest() if not durable else decision_pb2.AuthorizeRequest()
        question.tenant = TENANT
        question.account = names[event.account]
        question.product = product
        question.attributes.update({"mode": mode, "region": region})
        question.quantities.update(
            {QUANTITIES[0]: event.input_tokens, QUANTITIES[1]: event.output_tokens}
        )
        if isinstance(question, decision_pb2.AuthorizeRequest):
            question.request_id = event.id
        yield Template(question.SerializeToString(), 1, 0, event.charge)


def questions_of_many(
    batches: Iterable[Batch], sizes: Sizes, accounts: int, work: int
) -> Iterator[Template]:
    """So many accounts x pieces of work a call of CheckMany, those of the events in order."""
    names = account_ids(sizes)
    events = [event for batch in batches for event in batch.events]
    for start in range(0, len(events) - work, work):
        asked = events[start : start + work]
        request = decision_pb2.CheckManyRequest(tenant=TENANT)
        request.accounts.extend([names[(start + place) % len(names)] for place in range(accounts)])
        for event in asked:
            product, mode, region = SHAPES[event.shape]
            request.work.add(
                product=product,
                attributes={"mode": mode, "region": region},
                quantities={QUANTITIES[0]: event.input_tokens, QUANTITIES[1]: event.output_tokens},
            )
        charge = accounts * sum([event.charge for event in asked])
        yield Template(request.SerializeToString(), accounts * len(asked), 0, charge)


def every_account(batches: Iterable[Batch], sizes: Sizes, count: int) -> Iterator[Template]:
    """CheckMany of one piece of work for each account there is, so many a call."""
    names = account_ids(sizes)
    event = next(iter(batches)).events[0]
    product, mode, region = SHAPES[event.shape]
    for start in range(0, len(names), count):
        asked = names[start : start + count]
        request = decision_pb2.CheckManyRequest(tenant=TENANT, accounts=asked)
        request.work.add(
            product=product,
            attributes={"mode": mode, "region": region},
            quantities={QUANTITIES[0]: event.input_tokens, QUANTITIES[1]: event.output_tokens},
        )
        yield Template(request.SerializeToString(), len(asked), 0, event.charge * len(asked))


def items(questions: Iterable[Template], count: int) -> Iterator[Template]:
    """The same calls of Authorize as messages of so many items for a stream."""
    asked = list(questions)
    for start in range(0, len(asked) - count, count):
        part = asked[start : start + count]
        request = decision_pb2.DecideStreamRequest()
        for place, each in enumerate(part):
            item = request.items.add(number=start + place)
            item.authorize.ParseFromString(each.payload)
        charge = sum([each.charge for each in part])
        yield Template(request.SerializeToString(), len(part), 0, charge)


def captures(batches: Iterable[Batch]) -> Iterator[Template]:
    """The captures of the holds that `unary` asks for, at the estimate; each lacks its hold."""
    asked: set[str] = set()
    for event in (event for batch in batches for event in batch.events):
        if event.id in asked:
            continue
        asked.add(event.id)
        request = decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id=f"{event.id}c",
            quantities={QUANTITIES[0]: event.input_tokens, QUANTITIES[1]: event.output_tokens},
        )
        yield Template(request.SerializeToString(), 1, 0, event.charge)
