"""MeterService: how events of a type become quantities of a product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.api.calls import Call
from ledger.api.card_check import FAULTS_MAX
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.published import Published
from ledger.api.rendering.render_card import render_fault
from ledger.api.rendering.render_meters import meters_of, render_meters
from ledger.journal.configuration import ConfigurationEntry, ConfigurationRefused
from rating.faults import CardFault
from rating.meters import MeterSet
from rating.v1 import meter_pb2 as pb

_FIELDS: Final = {"VERSION_DIFFERS": "expected_version"}


class MeterService:
    """See rating/v1/meter.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._published = Published(edge.ledger)

    async def publish_meters(
        self, request: pb.PublishMetersRequest, call: Call
    ) -> pb.PublishMetersResponse:
        """Publish a version, or list everything that is wrong with it."""
        edge, given = self._edge, request.meters
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("meters", request.HasField("meters"))
        check.instant("meters.effective_from_us", given.effective_from_us)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        meters, faults = meters_of(given)
        if request.validate_only:
            return pb.PublishMetersResponse(
                faults=[render_fault(fault) for fault in faults[:FAULTS_MAX]]
            )
        if faults:
            raise _invalid(faults)
        versions = await self._published.meters(tenant)
        again = bool(versions) and _is_again(*versions[0], meters, given.effective_from_us)
        if again:
            await edge.ledger.apply_published(tenant)
            entry = versions[0][0]
        else:
            made = await edge.ledger.publish_meters(
                tenant, meters, given.effective_from_us, request.expected_version
            )
            if isinstance(made, ConfigurationRefused):
                field = _FIELDS.get(made.reason.value, "meters")
                raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
            entry = made
        await edge.meters.look_again(tenant)
        return pb.PublishMetersResponse(meters=render_meters(entry, meters), replayed=again)

    async def list_meters(self, request: pb.ListMetersRequest, call: Call) -> pb.ListMetersResponse:
        """Versions, newest first."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        listing = f"meters/{tenant}"
        after = page_after(listing, request.page_token)
        found = await self._published.meters(tenant)
        return pb.ListMetersResponse(
            meters=[render_meters(*each) for each in found[after : after + size]],
            next_page_token=page_token(listing, after + size) if len(found) > after + size else "",
        )


def _is_again(
    latest: ConfigurationEntry, known: MeterSet, meters: MeterSet, effective_us: int
) -> bool:
    """Whether the newest version is this very one: a retry of the call that published it."""
    return known == meters and effective_us in (0, latest.effective_from_us)


def _invalid(faults: Sequence[CardFault]) -> CallFailed:
    first = faults[0]
    many = f"; {len(faults) - 1} more" if len(faults) > 1 else ""
    return CallFailed(
        "METERS_INVALID",
        f"{first.path}: {first.message}{many}",
        field=f"meters.{first.path}",
        value=first.value,
        faults=[
            Fault(each.reason, f"meters.{each.path}", each.value, each.message) for each in faults
        ],
    )
