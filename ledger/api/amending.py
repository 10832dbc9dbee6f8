"""Amendments and manual adjustments: one command each, answered or refused as a whole."""

from __future__ import annotations

from typing import Final

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.finding_usage import Named, UsageFinder
from ledger.api.ids import GRANT, mint
from ledger.api.limits import Checked, id_fault, text_fault
from ledger.api.positions import position_of
from ledger.api.rendering.render_correction import (
    owners_of,
    pieces_of,
    render_given_back,
    render_reversal,
    see,
)
from ledger.api.rendering.render_usage import render_slice
from ledger.api.replies import Outcomes
from ledger.api.requests import shape_of
from ledger.core.commands import AdjustBalance, AmendUsage, Names, Original, RecordUsage
from ledger.core.events import BalanceAdjusted, EndedGrants, UsageReversed
from ledger.core.limits import ID_BYTES_MAX, INT64_MAX
from ledger.engine.ticket import Replay
from ledger.journal.directory import Entry
from ledger.v1 import correction_pb2 as pb
from ledger.v1 import usage_pb2

REASON_BYTES_MAX: Final = 1_024
ENDED: Final = {
    int(pb.ENDED_GRANTS_UNSPECIFIED): EndedGrants.RESTORE,
    int(pb.ENDED_GRANTS_RESTORE): EndedGrants.RESTORE,
    int(pb.ENDED_GRANTS_ONWARD): EndedGrants.ONWARD,
}


class AmendCalls:
    """Part of CorrectionService."""

    _edge: Edge
    _finder: UsageFinder

    async def amend_usage(self, request: pb.AmendUsageRequest, call: Call) -> pb.AmendUsageResponse:
        """Give usage back and record other usage in its stead."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, account=request.account)
        for fault in named_faults(request):
            check.fault(fault)
        check.given("replacement", request.HasField("replacement"))
        check.done()
        entry = await edge.account(tenant, request.account)
        writer = edge.writer(entry)
        with edge.ledger.underway.working():
            recorded = await self._finder.one(writer, entry, request)
            await call.found(tenant, writer.shard, recorded.event.account, "account")
            [ratings] = await writer.recorded.ratings_of([recorded])
            rated = tuple([each.original for each in ratings])
            command = self._amendment(request, entry, recorded, rated, call)
            ticket = await call.submit(edge.ledger, entry, command)
            answer = answer_of(ticket, {"account": request.account})
            event, plan = answer.event, answer.plan
            assert isinstance(event, UsageReversed) and plan is not None, event
            response = pb.AmendUsageResponse(replayed=answer.replayed)
            with rendering(answer.position):
                both = await writer.recorded.under_all([command.key, command.usage.key])
                assert both[0] is not None
                parts = await writer.recorded.parts_of(both[0].locator, event)
                seen, _ = await writer.read(
                    lambda state: see(state, pieces_of(event, parts)), accounts=(event.account,)
                )
                names = await edge.names({event.account, *owners_of(seen)})
                render_reversal(
                    edge, response.reversal, event, plan, seen, entry.shard, names, parts
                )
            self._render_both(response, entry, *both)
        return response

    def _amendment(
        self,
        request: pb.AmendUsageRequest,
        entry: Entry,
        recorded: Replay,
        rated: tuple[Original, ...],
        call: Call,
    ) -> AmendUsage:
        edge, family = self._edge, self._edge.ledger.family(entry)
        usage = usage_pb2.UsageEvent()
        usage.CopyFrom(request.replacement)
        if recorded.plan is not None:
            usage.product = usage.product or recorded.plan.product
        usage.source = usage.source or request.event.source
        check = Checked()
        check.ids(
            **{
                "replacement.id": usage.id,
                "replacement.source": usage.source,
                "replacement.product": usage.product,
            }
        )
        check.optional(
            **{
                "replacement.operation": usage.operation,
                "replacement.operation_parent": usage.operation_parent,
            }
        )
        check.attributes("replacement.personal_attributes", usage.personal_attributes)
        check.instant("replacement.effective_at_us", usage.effective_at_us)
        if usage.account and usage.account != request.account:
            message = "usage is amended within its account; leave it empty"
            check.fault(Fault("FIELD_NOT_ALLOWED", "replacement.account", usage.account, message))
        if usage.quote_id:
            message = "a quote prices one piece of work as it happens; leave it empty"
            check.fault(Fault("FIELD_NOT_ALLOWED", "replacement.quote_id", usage.quote_id, message))
        if usage.type or usage.properties:
            message = "usage is amended by its product and quantities, which no meter makes"
            check.fault(Fault("FIELD_NOT_ALLOWED", "replacement.type", usage.type, message))
        check.done()
        shape, quantities = shape_of(edge.shapes, usage)
        personal = tuple(sorted(usage.personal_attributes.items()))
        texts = texts_of(request.reason, request.actor)
        effective_at = getattr(recorded.event, "effective_at", 0)
        replacement = RecordUsage(
            family.usage(usage.source, usage.id),
            recorded.event.account or entry.number,
            shape,
            quantities,
            usage.effective_at_us or effective_at,
            Names(usage.source, usage.id, usage.operation, usage.operation_parent, personal),
            family.operation(usage.operation, usage.operation_parent),
            family.pairs(personal),
            call.trace,
        )
        body = [
            ("product", usage.product),
            ("effective_at", str(replacement.effective_at)),
            ("operation", usage.operation),
            ("operation_parent", usage.operation_parent),
            *[(f"attribute.{name}", value) for name, value in shape.attributes],
            *[
                (f"quantity.{name}", str(quantity))
                for name, quantity in zip(shape.quantity_names, quantities, strict=True)
            ],
            *[(f"personal.{name}", value) for name, value in personal],
        ]
        return AmendUsage(
            family.request(request.request_id),
            replacement.account,
            recorded.original,
            replacement,
            family.pairs(tuple(body)),
            ENDED[request.ended_grants],
            family.pairs(texts),
            Names("", request.request_id, personal=texts),
            call.trace,
            rated,
        )

    def _render_both(
        self,
        response: pb.AmendUsageResponse,
        entry: Entry,
        reversal: Replay | None,
        usage: Replay | None,
    ) -> None:
        assert reversal is not None and usage is not None, "both are recorded in one batch"
        response.reversal.outcome = pb.CORRECTION_OUTCOME_APPLIED
        response.reversal.replayed = response.replayed
        response.reversal.entry_seq = reversal.entry_seq
        response.reversal.position = position_of(entry.shard, reversal.entry_seq + 1)
        outcomes = Outcomes(1, self._edge.assets)
        outcomes.recorded(0, usage.event, usage.plan)
        response.usage.CopyFrom(outcomes.result(0))
        if outcomes.assets():
            charged = outcomes.assets()[0]
            response.asset, response.scale = charged.asset, charged.scale
        response.position = position_of(entry.shard, usage.entry_seq + 1)

    async def adjust_balance(
        self, request: pb.AdjustBalanceRequest, call: Call
    ) -> pb.AdjustBalanceResponse:
        """Credit or debit units by hand."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(
            request_id=request.request_id,
            account=request.account,
            asset=request.asset,
            actor=request.actor,
        )
        check.fault(text_fault("reason", request.reason, REASON_BYTES_MAX, empty=False))
        check.between("amount", request.amount, -INT64_MAX)
        check.instant("expires_at_us", request.expires_at_us)
        check.done()
        entry = await edge.account(tenant, request.account)
        grant = 0
        if request.grant_id:
            minted, _ = await edge.minted(tenant, GRANT, request.grant_id)
            grant = minted.number
        asset = edge.assets.number(tenant, request.asset, entry.shard)
        if asset < 0:
            raise CallFailed(
                "ASSET_UNKNOWN",
                "the tenant has no such asset; create it first",
                field="asset",
                value=request.asset,
            )
        family = edge.ledger.family(entry)
        texts = texts_of(request.reason, request.actor)
        command = AdjustBalance(
            family.request(request.request_id),
            entry.number,
            asset,
            request.amount,
            grant,
            request.expires_at_us,
            family.pairs(texts),
            Names("", request.request_id, personal=texts),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        given = {
            "account": request.account,
            "asset": request.asset,
            "grant_id": request.grant_id,
        }
        answer = answer_of(ticket, given)
        event = answer.event
        assert isinstance(event, BalanceAdjusted), event
        response = pb.AdjustBalanceResponse(position=answer.position, replayed=answer.replayed)
        if event.grant:
            response.grant_id = mint(GRANT, entry.shard, event.account, event.grant)
        with rendering(answer.position):
            seen, _ = await edge.writer(entry).read(
                lambda state: see(state, event.given_back, event.slices), accounts=(event.account,)
            )
            names = await edge.names({event.account, *owners_of(seen)})
            for piece in event.slices:
                response.slices.append(
                    render_slice(
                        edge,
                        piece,
                        seen[piece.book],
                        event.asset,
                        entry.shard,
                        event.account,
                        names,
                    )
                )
            for back in event.given_back:
                response.given_back.append(
                    render_given_back(edge, back, event.asset, seen, entry.shard, names)
                )
        return response


def texts_of(reason: str, actor: str) -> tuple[tuple[str, str], ...]:
    """Why and by whom, as it stands beside the journal; the digest of it stands in the entry."""
    texts = (("actor", actor), ("reason", reason))
    return tuple([(name, text) for name, text in texts if text])


def named_faults(message: Named) -> list[Fault | None]:
    """What is wrong with how a message names the usage, and says why it is corrected."""
    faults = [
        text_fault("reason", message.reason, REASON_BYTES_MAX, empty=True),
        text_fault("actor", message.actor, ID_BYTES_MAX, empty=True),
    ]
    which = message.WhichOneof("usage")
    if which == "event":
        faults.append(id_fault("event.id", message.event.id))
        faults.append(text_fault("event.source", message.event.source, ID_BYTES_MAX, empty=True))
    elif which is None:
        faults.append(Fault("FIELD_REQUIRED", "usage", "", "name the usage to be corrected"))
    else:
        faults.append(below_zero("entry.batch_seq", message.entry.batch_seq))
        faults.append(below_zero("entry.entry_seq", message.entry.entry_seq))
    if message.ended_grants not in ENDED:
        value = str(message.ended_grants)
        text = "not a value that may be asked for"
        faults.append(Fault("NUMBER_OUT_OF_RANGE", "ended_grants", value, text))
    return faults


def below_zero(field: str, value: int) -> Fault | None:
    """What is wrong with a number that is 0 or more, or None."""
    if value >= 0:
        return None
    return Fault("NUMBER_OUT_OF_RANGE", field, str(value), "must be 0 or more")
