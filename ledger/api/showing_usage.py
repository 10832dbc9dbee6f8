"""One recorded usage event, by the source and id that a caller names, with what rated it since."""

from __future__ import annotations

from typing import NamedTuple

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_usage import UsageView, render_entry, render_rating, view_of
from ledger.core.events import GaugeReported, UsageQuarantined, UsageRecorded
from ledger.core.metering.gauging import charge_key
from ledger.core.state import State
from ledger.engine.ticket import Replay
from ledger.engine.writer import Writer
from ledger.v1 import explain_pb2, usage_pb2

Named = usage_pb2.UsageServiceGetRequest | explain_pb2.ExplainRequest
"""A message that names a usage event."""


class Found(NamedTuple):
    """The entry of a usage event, and those that rated it after it had waited for a price."""

    tenant: int
    account: int
    writer: Writer
    recorded: Replay
    ratings: tuple[Replay, ...]

    def views(self, state: State) -> list[UsageView]:
        """What rendering each of them needs of the state."""
        return [view_of(state, each, self.tenant) for each in (self.recorded, *self.ratings)]


async def find_usage(edge: Edge, tenant: int, named: Named, call: Call, prefix: str = "") -> Found:
    """The event that a message names; `prefix` leads to it in the request.

    Raises CallFailed; AuthRefused where it is of an account that the caller does not cover.
    """
    check = Checked()
    check.ids(**{f"{prefix}id": named.id})
    check.optional(**{f"{prefix}source": named.source})
    check.done()
    entry = await edge.account(tenant, named.account)
    writer, family = edge.writer(entry), edge.ledger.family(entry)
    key = family.usage(named.source, named.id) if named.source else family.request(named.id)
    _, reached = await writer.read(lambda _: None, minimum(named.min_position, entry.shard))
    recorded = await writer.recorded.under(key)
    if recorded is None or isinstance(recorded.event, GaugeReported):
        recorded = await writer.recorded.under(charge_key(key)) or recorded
    shown = UsageRecorded | UsageQuarantined | GaugeReported
    if recorded is None or not isinstance(recorded.event, shown):
        raise CallFailed(
            "USAGE_UNKNOWN",
            "no usage event of the account's family has this source and id, up to position "
            f"{position_of(entry.shard, reached)}",
            field=f"{prefix}id",
            value=named.id,
        )
    account = recorded.event.account
    await call.found(tenant, writer.shard, account, f"{prefix}id", named.id)
    [ratings] = await writer.recorded.ratings_of([recorded])
    return Found(tenant, entry.number, writer, recorded, ratings)


async def show_usage(
    edge: Edge, found: Found, views: list[UsageView], named: Named
) -> usage_pb2.UsageEntry:
    """The event as a message."""
    shard = found.writer.shard
    shown = await render_entry(edge, views[0], found.recorded, shard)
    for view, rating in zip(views[1:], found.ratings, strict=True):
        shown.ratings.append(await render_rating(edge, view, rating, shard))
    shown.source, shown.id = named.source, named.id
    return shown
