"""Gauges that are still to be charged, in the order in which they are."""

from __future__ import annotations

import msgspec

from ledger.core.metering.gauges import Gauge, GaugeReport, Gauges, GaugeScope
from ledger.core.state import Account


class PackedGauge(msgspec.Struct, array_like=True, gc=False):
    """A gauge in a scope, and of its reports: effective time, locator, key, quantities."""

    start: int
    end: int
    key: int
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    forgotten: int
    reports: list[tuple[int, int, bytes, tuple[int, ...]]]


class PackedGauges(msgspec.Struct, array_like=True, gc=False):
    """Those of an account; `charged`: start, end and key of what was charged as it closed."""

    gauges: list[PackedGauge]
    charged: list[tuple[int, int, int]]


def pack_gauges(gauges: Gauges | None) -> PackedGauges | None:
    if gauges is None:
        return None
    return PackedGauges(
        [
            PackedGauge(
                scope.start,
                scope.end,
                each.key,
                each.product,
                each.attributes,
                each.quantity_names,
                each.forgotten,
                [(*report,) for report in each.reports],
            )
            for scope in sorted(gauges.scopes)
            for each in gauges.scopes[scope].values()
        ],
        list(gauges.charged),
    )


def unpack_gauges(account: Account, packed: PackedGauges | None) -> Gauges | None:
    if packed is None:
        return None
    gauges = Gauges(account)
    for each in packed.gauges:
        gauge = Gauge(each.key, each.product, each.attributes, each.quantity_names)
        gauge.forgotten = each.forgotten
        gauge.reports = [GaugeReport(*report) for report in each.reports]
        gauges.scopes.setdefault(GaugeScope(each.start, each.end), {})[each.key] = gauge
    gauges.charged = dict.fromkeys(packed.charged)
    gauges.find_due()
    return gauges
