"""What gauges show, as messages: from the entry that moved a level, or from the state (rule T2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.events import GaugeCharged, GaugeReported, GaugeReversed, PlanDeclared
from ledger.core.metering.gauges import Gauges
from ledger.v1 import usage_pb2 as pb


class GaugeView(NamedTuple):
    """A gauge in a scope that is not charged yet, as the state has it."""

    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]
    effective_at: int
    start: int
    end: int
    charged_at: int
    reports: int


def level_of(
    event: GaugeReported | GaugeReversed | GaugeCharged, plan: PlanDeclared
) -> pb.GaugeLevel:
    """How an entry moved a level; of a charge, what is charged."""
    names = plan.quantity_names
    if isinstance(event, GaugeCharged):
        before, after = event.quantities, event.quantities
    else:
        before, after = event.before, event.after
    return pb.GaugeLevel(
        before=_named(names, before),
        after=_named(names, after),
        scope_start_us=event.start,
        scope_end_us=event.end,
    )


def _named(names: Sequence[str], quantities: Sequence[int]) -> dict[str, int]:
    return dict(zip(names, quantities, strict=True)) if quantities else {}


def gauge_views(gauges: Gauges, first: int, count: int) -> list[GaugeView]:
    """So many of an account's gauges from a place on, in the order in which they are charged."""
    grace = gauges.account.policy.period_grace
    found = [
        (scope, gauge) for scope in gauges.in_turn() for gauge in gauges.scopes[scope].values()
    ]
    return [
        GaugeView(
            gauge.product,
            gauge.attributes,
            gauge.quantity_names,
            gauge.level,
            gauge.reports[-1].effective_at,
            scope.start,
            scope.end,
            gauges.ends_at(scope) + grace,
            len(gauge.reports),
        )
        for scope, gauge in found[first : first + count]
    ]


def render_gauge(view: GaugeView) -> pb.Gauge:
    """The message of a gauge."""
    return pb.Gauge(
        product=view.product,
        attributes=dict(view.attributes),
        level=_named(view.quantity_names, view.quantities),
        effective_at_us=view.effective_at,
        scope_start_us=view.start,
        scope_end_us=view.end,
        charged_at_us=view.charged_at,
        reports=view.reports,
    )
