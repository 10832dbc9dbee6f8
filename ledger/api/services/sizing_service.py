"""SizingService: which quantities of holds are learned, and how sized holds turned out."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, encode_position
from ledger.api.published import Published
from ledger.api.read_models import WAIT_S, behind
from ledger.core.limits import INT64_MAX
from ledger.journal.configuration import ConfigurationEntry, ConfigurationRefused
from ledger.projections.as_of import History
from ledger.sizing.accuracy import Accuracy, accuracy
from ledger.sizing.rules import (
    OBSERVATIONS_DEFAULT,
    SizingRule,
    SizingSet,
    validate,
)
from ledger.v1 import decision_pb2
from ledger.v1 import sizing_pb2 as pb
from rating.faults import CardFault

_FIELDS = {"VERSION_DIFFERS": "expected_version"}


class SizingService:
    """See ledger/v1/sizing.proto."""

    def __init__(self, edge: Edge, history: History | None = None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history
        self._published = Published(edge.ledger)

    async def publish_rules(
        self, request: pb.PublishRulesRequest, call: Call
    ) -> pb.PublishRulesResponse:
        """Publish a version, or say everything that is wrong with it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("rules", request.HasField("rules"))
        check.between("expected_version", request.expected_version, 0)
        check.done()
        sizing = _set_of(request.rules)
        faults = validate(sizing)
        if faults:
            raise _invalid(faults)
        versions = await self._published.sizing(tenant)
        again = bool(versions) and versions[0][1] == sizing
        if again:
            await edge.ledger.apply_published(tenant)
            entry = versions[0][0]
        else:
            made = await edge.ledger.publish_sizing(
                tenant, sizing, request.expected_version or None
            )
            if isinstance(made, ConfigurationRefused):
                field = _FIELDS.get(made.reason.value, "rules")
                raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
            entry = made
        return pb.PublishRulesResponse(rules=_render(entry, sizing), replayed=again)

    async def list_rules(self, request: pb.ListRulesRequest, call: Call) -> pb.ListRulesResponse:
        """Versions, newest first."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        listing = f"sizing/{tenant}"
        after = page_after(listing, request.page_token)
        found = await self._published.sizing(tenant)
        return pb.ListRulesResponse(
            versions=[_render(*each) for each in found[after : after + size]],
            next_page_token=page_token(listing, after + size) if len(found) > after + size else "",
        )

    async def get_accuracy(
        self, request: pb.GetAccuracyRequest, call: Call
    ) -> pb.GetAccuracyResponse:
        """How holds turned out, a row a kind."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(account=request.account, product=request.product)
        check.instant("from_us", request.from_us)
        check.instant("to_us", request.to_us)
        size = check.page_size(request.page_size)
        check.done()
        account = None
        if request.account:
            account = (await edge.account(tenant, request.account)).number
        end = request.to_us or INT64_MAX
        listing = f"accuracy/{tenant}/{account}/{request.from_us}/{end}/{request.product}"
        after = page_after(listing, request.page_token)
        history = await self._reached(tenant, request.min_position)
        rows, entries = await accuracy(
            history.pool, tenant, request.from_us, end, account, request.product, after, size + 1
        )
        return pb.GetAccuracyResponse(
            rows=[_render_accuracy(row) for row in rows[:size]],
            next_page_token=page_token(listing, after + size) if len(rows) > size else "",
            position=encode_position(entries),
        )

    async def _reached(self, tenant: int, min_position: str) -> History:
        """The read models, once they are as far as is asked. Raises CallFailed."""
        history = self._history
        if history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that nothing is learned there",
            )
        for shard, least in decode_position(min_position).items():
            standing = await history.reach(tenant, shard, least, WAIT_S)
            if standing.entries < least:
                raise behind(history, shard, standing, least, "min_position", min_position)
        return history


def _set_of(message: pb.SizingRules) -> SizingSet:
    return SizingSet(
        tuple(
            [
                SizingRule(
                    rule.product,
                    tuple(rule.quantities),
                    rule.permille,
                    tuple(rule.attributes),
                    rule.account,
                    rule.observations_min or OBSERVATIONS_DEFAULT,
                    rule.floor,
                    rule.ceiling,
                    rule.on_request,
                )
                for rule in message.rules
            ]
        )
    )


def _render(entry: ConfigurationEntry, sizing: SizingSet) -> pb.SizingRules:
    return pb.SizingRules(
        rules=[
            pb.SizingRule(
                product=rule.product,
                account=rule.account,
                quantities=rule.quantities,
                attributes=rule.attributes,
                permille=rule.permille,
                observations_min=rule.observations_min,
                floor=rule.floor,
                ceiling=rule.ceiling,
                on_request=rule.on_request,
            )
            for rule in sizing.rules
        ],
        version=entry.version,
        published_at_us=entry.published_at_us,
    )


def _render_accuracy(row: Accuracy) -> pb.SizingAccuracy:
    return pb.SizingAccuracy(
        product=row.product,
        attributes=row.attributes,
        quantity=row.quantity,
        learned_of=decision_pb2.LearnedOf.ValueType(row.learned_of),
        permille=row.permille,
        holds=row.holds,
        within_value=row.within_value,
        above_hold=row.above_hold,
        asked=str(row.asked),
        held=str(row.held),
        used=str(row.used),
        above=str(row.above),
    )


def _invalid(faults: Sequence[CardFault]) -> CallFailed:
    first = faults[0]
    many = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
    return CallFailed(
        "SIZING_INVALID",
        f"{first.path}: {first.message}{many}",
        field=f"rules.{first.path}",
        value=first.value,
        faults=[
            Fault(each.reason, f"rules.{each.path}", each.value, each.message) for each in faults
        ],
    )
