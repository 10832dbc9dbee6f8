"""Events of a type on their way in: the tenant's meters of their time make usage of them.

Owns the meters that this process knows, read anew from what is published so often that all servers
agree within the second that a new version waits before it takes effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ledger.api.errors import Fault
from ledger.api.limits import text_fault
from ledger.core.commands import Level, MeteredUsage, RecordUsage, ReportGauge
from ledger.core.identity import FamilyDigest
from ledger.core.limits import ID_BYTES_MAX
from ledger.engine.configuration import NO_METERS
from ledger.engine.ledger import Ledger
from ledger.journal.configuration import ConfigurationKind
from ledger.v1 import usage_pb2 as pb
from rating.functions import SCOPE_DAY, SCOPE_MONTH, SCOPE_PERIOD
from rating.metering import Metered, MeterFault, MeterReason, MeterVersions
from rating.models import Scope

PROPERTIES_MAX: Final = 64
VALUE_BYTES_MAX: Final = 1_024
_FRESH_S: Final = 0.5
_SCOPES: Final = {
    Scope.DAY: SCOPE_DAY,
    Scope.MONTH: SCOPE_MONTH,
    Scope.PERIOD: SCOPE_PERIOD,
}
_PLAIN: Final = ("product", "attributes", "quantities")


class Meters:
    """The meters of tenants, as far as they are published."""

    __slots__ = ("_ledger", "_looked", "_reached")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked: dict[int, float] = {}  # tenant -> when, by the loop's clock
        self._reached: dict[int, int] = {}  # tenant -> version of its configuration

    async def of(self, tenant: int) -> MeterVersions:
        """The tenant's meters."""
        looked = self._looked.get(tenant)
        if looked is None or asyncio.get_running_loop().time() - looked > _FRESH_S:
            await self.look_again(tenant)
        return self._ledger.configurations.meters.get(tenant, NO_METERS)

    async def look_again(self, tenant: int) -> None:
        """Take in what was published since."""
        looked = asyncio.get_running_loop().time()
        configurations = self._ledger.configurations
        async for entry in configurations.published(tenant, self._reached.get(tenant, 0)):
            if entry.kind == ConfigurationKind.METERS:
                await configurations.take(entry)
            self._reached[tenant] = entry.version
        self._looked[tenant] = looked


def meter(versions: MeterVersions, event: pb.UsageEvent, now_us: int) -> Metered | Fault:
    """What an event of a type is usage of, or what is wrong with it; one without a time is metered
    as of now."""
    for field in _PLAIN:
        if getattr(event, field):
            message = "an event of a type has none: its meters make them of its properties"
            return Fault("FIELD_NOT_ALLOWED", field, "", message)
    properties: Mapping[str, str] = dict(event.properties)
    fault = text_fault("type", event.type, ID_BYTES_MAX, empty=False) or _properties_fault(
        properties
    )
    if fault is not None:
        return fault
    version = versions.at(event.effective_at_us or now_us)
    if version is None:
        message = "no meters are published for its time; publish them, then send the same again"
        return Fault("NO_METER", "type", event.type, message)
    try:
        return version.meters.meter(event.type, properties)
    except MeterFault as error:
        reason, field = error.reason, error.field
        if reason is not MeterReason.NO_METER:
            field = f"properties[{field!r}]"
        return Fault(reason.value, field, error.value, error.message)


def over_levels(command: RecordUsage, metered: Metered, family: FamilyDigest) -> RecordUsage:
    """The same usage, to be counted over the levels of its meters, if they have any; or a report,
    where they make it one of a gauge."""
    gauge = metered.gauge
    if gauge is not None:
        return ReportGauge(
            command.key,
            command.account,
            command.shape,
            command.quantities,
            command.effective_at,
            command.names,
            command.operation,
            command.personal,
            command.trace,
            gauge=family.level(gauge.named),
            scope=_SCOPES[gauge.scope],
        )
    if not metered.levelled:
        return command
    levels = [
        Level(each.place, family.level(each.named), _SCOPES[each.scope])
        for each in metered.levelled
    ]
    return MeteredUsage(
        command.key,
        command.account,
        command.shape,
        command.quantities,
        command.effective_at,
        command.names,
        command.operation,
        command.personal,
        command.trace,
        levels=tuple(levels),
    )


def _properties_fault(properties: Mapping[str, str]) -> Fault | None:
    if len(properties) > PROPERTIES_MAX:
        message = f"{len(properties)} properties; at most {PROPERTIES_MAX} allowed"
        return Fault("TOO_MANY", "properties", str(len(properties)), message)
    for name, value in properties.items():
        field = f"properties[{name!r}]"
        fault = text_fault(field, name, ID_BYTES_MAX, empty=False) or text_fault(
            field, value, VALUE_BYTES_MAX, empty=True
        )
        if fault is not None:
            return fault
    return None
