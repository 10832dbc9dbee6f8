"""DecisionPolicyService: the rules by which decisions go where a limit says no."""

from __future__ import annotations

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_policy import (
    PolicyView,
    check_rules,
    policies_of,
    render_policy,
    rules_of,
)
from ledger.core.commands import Names, SetDecisionPolicy
from ledger.core.events import DecisionPolicySet
from ledger.core.state import State
from ledger.v1 import decision_policy_pb2 as pb


class DecisionPolicyService:
    """See ledger/v1/decision_policy.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def set(
        self, request: pb.DecisionPolicyServiceSetRequest, call: Call
    ) -> pb.DecisionPolicyServiceSetResponse:
        """Give an account these rules, whole."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check_rules(check, request.rules)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = SetDecisionPolicy(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            rules_of(edge.assets, request.rules, entry),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, DecisionPolicySet), event
        with rendering(answer.position):
            view = PolicyView(event.account, event.version, "", event.rules)
            rendered = render_policy(edge.assets, view, {entry.number: entry.account_id})
        return pb.DecisionPolicyServiceSetResponse(
            policy=rendered, position=answer.position, replayed=answer.replayed
        )

    async def get(
        self, request: pb.DecisionPolicyServiceGetRequest, call: Call
    ) -> pb.DecisionPolicyServiceGetResponse:
        """The account's own rules, and those that count for it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)

        def find(state: State) -> tuple[PolicyView, PolicyView | None]:
            account = state.accounts.get(entry.number)
            if account is None:
                return PolicyView(entry.number, 0, "", ()), None
            return policies_of(account)

        (own, standing), reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        names = await edge.names([entry.number, *([standing.account] if standing else [])])
        response = pb.DecisionPolicyServiceGetResponse(
            own=render_policy(edge.assets, own, names),
            position=position_of(entry.shard, reached),
        )
        if standing is not None:
            response.standing.CopyFrom(render_policy(edge.assets, standing, names))
        return response
