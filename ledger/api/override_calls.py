"""The calls of PricingService on what an account pays otherwise than its rate card says."""

from __future__ import annotations

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import REASON_BYTES_MAX, Checked
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_override import (
    override_faults_of,
    override_of,
    overrides_view,
    render_standing,
)
from ledger.api.standing import note_pairs
from ledger.core.commands import Names, SetPriceOverrides
from ledger.core.events import PriceOverridesSet
from rating.overrides import OVERRIDES_MAX
from rating.v1 import override_pb2 as pb


class OverrideCalls:
    """Part of PricingService."""

    _edge: Edge

    async def set_price_overrides(
        self, request: pb.SetPriceOverridesRequest, call: Call
    ) -> pb.SetPriceOverridesResponse:
        """Replace the whole list of an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.between("overrides", len(request.overrides), 0, OVERRIDES_MAX)
        check.text("reason", request.reason, REASON_BYTES_MAX)
        check.optional(actor=request.actor)
        for fault in override_faults_of(request.overrides):
            check.fault(fault)
        check.done()
        entry = await edge.account(tenant, request.account)
        family = edge.ledger.family(entry)
        said = note_pairs(request.reason, request.actor)
        command = SetPriceOverrides(
            family.request(request.request_id),
            entry.number,
            tuple([override_of(message) for message in request.overrides]),
            request.expected_version,
            family.pairs(said),
            Names("", request.request_id, personal=said),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event = answer.event
        assert isinstance(event, PriceOverridesSet), event
        response = pb.SetPriceOverridesResponse(
            version=event.version, position=answer.position, replayed=answer.replayed
        )
        with rendering(answer.position):
            view, _ = await edge.writer(entry).read(
                lambda state: overrides_view(state, entry.number), 0, (entry.number,)
            )
            stand = view.own if view is not None else ()
            since = {each.numbered.number: each.set_at_us for each in stand}
            names = await edge.names({entry.number})
            for numbered in event.overrides:
                set_at_us = since.get(numbered.number, answer.recorded_at_us)
                response.overrides.append(render_standing(numbered, set_at_us, entry.number, names))
        return response

    async def get_price_overrides(
        self, request: pb.GetPriceOverridesRequest, call: Call
    ) -> pb.GetPriceOverridesResponse:
        """What stands for an account, its own and what it inherits."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)
        view, reached = await edge.writer(entry).read(
            lambda state: overrides_view(state, entry.number),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if view is None:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "the account's opening is not recorded; send its Create again",
                field="account",
                value=request.account,
            )
        names = await edge.names({entry.number, *[number for number, _, _ in view.inherited]})
        return pb.GetPriceOverridesResponse(
            overrides=[
                render_standing(each.numbered, each.set_at_us, entry.number, names)
                for each in view.own
            ],
            inherited=[
                render_standing(each.numbered, each.set_at_us, number, names, source)
                for number, each, source in view.inherited
            ],
            version=view.version,
            position=position_of(entry.shard, reached),
        )
