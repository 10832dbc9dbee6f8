"""Runway alerts as messages."""

from __future__ import annotations

from ledger.api.assets import Assets
from ledger.core.funding.runway import Runway
from ledger.v1 import runway_pb2 as pb


def render_runway(assets: Assets, runway: Runway) -> pb.RunwayAlert:
    """An alert in force, with what it has told."""
    alert, asset = runway.alert, assets.of(runway.asset)
    assert alert is not None, runway
    return pb.RunwayAlert(
        asset=asset.code,
        hours=alert.hours,
        rearm_hours=alert.rearm_hours,
        version=runway.version,
        scale=asset.scale,
        short=runway.short,
        crossings=runway.crossings,
        crossed_at_us=runway.crossed_at,
        empty_at_us=runway.empty_at,
        available=runway.available,
        needed=runway.needed,
    )
