"""FailModeService: how a product's work is decided while no server answers.

A fail mode is configuration as data, in versions as rate cards are. It is for clients: they learn
it with the shard map (`fail_modes_of`), and the ledger itself, which answers, never goes by it.
"""

from __future__ import annotations

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.engine.configuration import Configurations, FailModeVersion
from ledger.journal.configuration import ConfigurationRefused
from ledger.v1 import fail_mode_pb2 as pb

_PREFIX = "FAIL_MODE_"


class FailModeService:
    """See ledger/v1/fail_mode.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def set_fail_mode(
        self, request: pb.SetFailModeRequest, call: Call
    ) -> pb.SetFailModeResponse:
        """Publish a version of a product's fail mode."""
        ledger = self._edge.ledger
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, product=request.product)
        check.given("mode", request.mode != pb.FAIL_MODE_UNSPECIFIED)
        check.one_of("mode", request.mode, pb.FailMode.DESCRIPTOR.values_by_number)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        mode = pb.FailMode.Name(request.mode).removeprefix(_PREFIX)
        await ledger.apply_published(tenant)
        await ledger.configurations.read(tenant)  # nothing is applied here without a shard
        latest = ledger.configurations.fail_modes.get(tenant, {}).get(request.product)
        if latest is not None and latest.mode == mode:
            return pb.SetFailModeResponse(fail_mode=_render(latest), replayed=True)
        made = await ledger.publish_fail_mode(
            tenant, request.product, mode, request.expected_version
        )
        if isinstance(made, ConfigurationRefused):
            field = "expected_version" if made.reason == "VERSION_DIFFERS" else "product"
            raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
        return pb.SetFailModeResponse(fail_mode=_render(FailModeVersion(made, mode)))

    async def list_fail_modes(
        self, request: pb.ListFailModesRequest, call: Call
    ) -> pb.ListFailModesResponse:
        """The newest of each product."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        listing = f"fail_modes/{tenant}"
        after = page_after(listing, request.page_token)
        ledger = self._edge.ledger
        await ledger.apply_published(tenant)
        await ledger.configurations.read(tenant)
        found = fail_modes_of(ledger.configurations, tenant)
        more = len(found) > after + size
        return pb.ListFailModesResponse(
            fail_modes=found[after : after + size],
            next_page_token=page_token(listing, after + size) if more else "",
        )


def fail_modes_of(configurations: Configurations, tenant: int) -> list[pb.ProductFailMode]:
    """What is known here by now of the fail modes of a tenant, ascending by product."""
    known = configurations.fail_modes.get(tenant, {})
    return [_render(known[product]) for product in sorted(known, key=str.encode)]


def _render(found: FailModeVersion) -> pb.ProductFailMode:
    return pb.ProductFailMode(
        product=found.entry.name,
        mode=pb.FailMode.Value(_PREFIX + found.mode),
        version=found.entry.version,
        published_at_us=found.entry.published_at_us,
    )
