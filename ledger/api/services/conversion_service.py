"""ConversionService: what one asset is worth in another (rule R5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.published import Published
from ledger.engine.configuration import ConversionBody
from ledger.journal.configuration import ConfigurationEntry, ConfigurationRefused
from rating.conversions import cycle_of, rate_faults
from rating.v1 import conversion_pb2 as pb


class ConversionService:
    """See rating/v1/conversion.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._published = Published(edge.ledger)

    async def publish_conversion(
        self, request: pb.PublishConversionRequest, call: Call
    ) -> pb.PublishConversionResponse:
        """Publish a version of a rate; answers when every shard has it."""
        edge, given = self._edge, request.conversion
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(
            request_id=request.request_id,
            **{"conversion.source": given.source, "conversion.target": given.target},
        )
        check.instant("conversion.effective_from_us", given.effective_from_us)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        for fault in rate_faults(given.rate):
            _refuse("RATE_INVALID", fault.message, f"conversion.{fault.path}", fault.value)
        versions = await self._published.conversions(tenant)
        await self._check_assets(tenant, given, [body for _, body in versions])
        body = ConversionBody(given.source, given.target, given.rate)
        named = [each for each in versions if _between(each[1], given.source, given.target)]
        again = bool(named) and _is_again(*named[0], body, given.effective_from_us)
        if again:
            await edge.ledger.apply_published(tenant)
            entry = named[0][0]
        else:
            made = await edge.ledger.publish_conversion(
                tenant, body, given.effective_from_us, request.expected_version
            )
            if isinstance(made, ConfigurationRefused):
                _refuse(made.reason.value, made.message, "expected_version", made.value)
            entry = made
        return pb.PublishConversionResponse(conversion=_rendered(entry, body), replayed=again)

    async def list_conversions(
        self, request: pb.ListConversionsRequest, call: Call
    ) -> pb.ListConversionsResponse:
        """Versions by source and target, newest first."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.optional(source=request.source, target=request.target)
        size = check.page_size(request.page_size)
        check.done()
        listing = f"conversions/{tenant}/{request.source}/{request.target}"
        after = page_after(listing, request.page_token)
        found = [
            (entry, body)
            for entry, body in await self._published.conversions(tenant)
            if _between(body, request.source or body.source, request.target or body.target)
        ]
        more = len(found) > after + size
        return pb.ListConversionsResponse(
            conversions=[_rendered(*each) for each in found[after : after + size]],
            next_page_token=page_token(listing, after + size) if more else "",
        )

    async def _check_assets(
        self, tenant: int, given: pb.Conversion, known: Sequence[ConversionBody]
    ) -> None:
        """Both assets exist, and nothing converts back into itself."""
        for field, code in (("source", given.source), ("target", given.target)):
            if await self._published.asset(tenant, code) is None:
                message = "the tenant has no such asset; create it first"
                _refuse("ASSET_UNKNOWN", message, f"conversion.{field}", code)
        edges: dict[str, list[str]] = {}
        for each in known:
            edges.setdefault(each.source, []).append(each.target)
        cycle = cycle_of(edges, given.source, given.target)
        if cycle:
            chain = " to ".join([given.source, *cycle])
            message = f"it would convert back into itself: {chain}; convert one way only"
            _refuse("CONVERSION_CYCLIC", message, "conversion.target", given.target)


def _refuse(reason: str, message: str, field: str, value: str) -> NoReturn:
    raise CallFailed(reason, message, field=field, value=value)


def _between(body: ConversionBody, source: str, target: str) -> bool:
    return (body.source, body.target) == (source, target)


def _is_again(
    latest: ConfigurationEntry, known: ConversionBody, body: ConversionBody, effective_us: int
) -> bool:
    """Whether the newest version is this very one: a retry of the call that published it."""
    return known == body and effective_us in (0, latest.effective_from_us)


def _rendered(entry: ConfigurationEntry, body: ConversionBody) -> pb.Conversion:
    return pb.Conversion(
        source=body.source,
        target=body.target,
        rate=body.rate,
        version=entry.version,
        effective_from_us=entry.effective_from_us,
        published_at_us=entry.published_at_us,
    )
