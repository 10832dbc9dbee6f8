"""Calls of RunwayService."""

from __future__ import annotations

from ledger.client.calls import Caller
from ledger.v1 import runway_pb2 as pb
from ledger.v1.runway_pb2_grpc import RunwayServiceStub


class RunwayAlertCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def set_runway_alert(
        self,
        account: str,
        asset: str,
        hours: int,
        *,
        rearm_hours: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SetAlertResponse:
        """Have the ledger tell once the balance may not last for so many hours, 1 to 2,160; not
        again before it is sure to last for `rearm_hours`, 0 = a quarter more."""
        request = pb.SetAlertRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            alert=pb.RunwayAlert(asset=asset, hours=hours, rearm_hours=rearm_hours),
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: RunwayServiceStub(channel).SetAlert, request, account
        )

    async def remove_runway_alert(
        self, account: str, asset: str, *, request_id: str = ""
    ) -> pb.RemoveAlertResponse:
        """Tell nothing more of the asset."""
        request = pb.RemoveAlertRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            asset=asset,
        )
        return await self._caller.call(
            lambda channel: RunwayServiceStub(channel).RemoveAlert, request, account
        )

    async def get_runway_alerts(
        self, account: str, *, min_position: str | None = None
    ) -> pb.GetAlertsResponse:
        """The alerts of an account, one an asset, with what they have told."""
        request = pb.GetAlertsRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: RunwayServiceStub(channel).GetAlerts, request, account
        )
