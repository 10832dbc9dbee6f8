"""Debit of DecisionService: authorise and charge in one durable step."""

from __future__ import annotations

from ledger.api.answers import answer_of
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.limits import Checked, text_fault
from ledger.api.render_decision import DECISIONS, render_debit, say_limit
from ledger.api.requests import seated, shape_of, up_to_of
from ledger.core.commands import DebitWork, Names
from ledger.core.events import UsageDebited, WorkDenied
from ledger.core.limits import ID_BYTES_MAX
from ledger.v1 import decision_pb2 as pb


class DebitCalls:
    """Part of DecisionService."""

    _edge: Edge

    async def debit(self, request: pb.DebitRequest, call: Call) -> pb.DebitResponse:
        """Decide and charge, in one durable step."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        check = Checked()
        check.ids(request_id=request.request_id)
        operation, parent = request.operation, request.operation_parent
        check.fault(text_fault("operation", operation, ID_BYTES_MAX, empty=not parent))
        check.fault(text_fault("operation_parent", parent, ID_BYTES_MAX, empty=True))
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        shape = seated(edge.shapes, shape, entry)
        family = edge.ledger.family(entry)
        command = DebitWork(
            family.request(request.request_id),
            entry.number,
            shape,
            values,
            Names("", request.request_id, operation, parent),
            family.operation(operation, parent),
            call.trace,
            *up_to_of(request, shape),
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event, plan = answer.event, answer.plan
        assert isinstance(event, UsageDebited | WorkDenied) and plan is not None, event
        response = render_debit(edge.assets, event, plan)
        response.position, response.replayed = answer.position, answer.replayed
        if event.limit is not None:
            names = await edge.names([event.limit.account])
            say_limit(response, event.limit, entry.shard, names, answer.recorded_at_us)
        edge.telemetry.decided("Debit", DECISIONS[response.decision])
        return response
