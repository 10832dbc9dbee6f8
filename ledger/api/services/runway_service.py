"""RunwayService: alerts by how long balances are to last. What they tell is found by
`runway_watch`."""

from __future__ import annotations

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_runway import render_runway
from ledger.api.requests import asset_number
from ledger.core.commands import Names, RemoveRunwayAlert, SetRunwayAlert
from ledger.core.events import RunwayAlert, RunwayAlertSet
from ledger.core.funding.runway import Runway
from ledger.core.limits import RUNWAY_HOURS_MAX
from ledger.core.state import State
from ledger.v1 import runway_pb2 as pb


class RunwayService:
    """See ledger/v1/runway.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def set_alert(self, request: pb.SetAlertRequest, call: Call) -> pb.SetAlertResponse:
        """Give an account an alert for an asset, or another one."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.given("alert", request.HasField("alert"))
        if request.HasField("alert"):
            check.ids(**{"alert.asset": request.alert.asset})
        check.done()
        entry = await edge.account(tenant, request.account)
        asked = request.alert
        quarter_more = min(asked.hours + -(-asked.hours // 4), RUNWAY_HOURS_MAX)
        command = SetRunwayAlert(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            RunwayAlert(
                asset_number(edge.assets, "alert.asset", asked.asset, entry),
                asked.hours,
                asked.rearm_hours or quarter_more,
            ),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, "alert.asset": asked.asset}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, RunwayAlertSet), event
        with rendering(answer.position):
            made = Runway(event.alert.asset, event.version, event.alert)
            rendered = render_runway(edge.assets, made)
        return pb.SetAlertResponse(
            alert=rendered, position=answer.position, replayed=answer.replayed
        )

    async def remove_alert(
        self, request: pb.RemoveAlertRequest, call: Call
    ) -> pb.RemoveAlertResponse:
        """Remove the alert of an asset."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, asset=request.asset)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = RemoveRunwayAlert(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            asset_number(edge.assets, "asset", request.asset, entry),
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, "asset": request.asset}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        return pb.RemoveAlertResponse(position=answer.position, replayed=answer.replayed)

    async def get_alerts(self, request: pb.GetAlertsRequest, call: Call) -> pb.GetAlertsResponse:
        """The alerts of an account."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)

        def in_force(state: State) -> list[Runway]:
            account = state.accounts.get(entry.number)
            kept = account.runways if account is not None else ()
            return [each for each in kept if each.alert is not None]

        found, reached = await edge.writer(entry).read(
            in_force, minimum(request.min_position, entry.shard), (entry.number,)
        )
        return pb.GetAlertsResponse(
            alerts=[render_runway(edge.assets, each) for each in found],
            position=position_of(entry.shard, reached),
        )
