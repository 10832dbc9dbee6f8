"""Aliases of rate cards: set, listed, and what one means at an instant."""

from __future__ import annotations

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.published import Published
from ledger.engine.configuration import AliasBody
from ledger.journal.configuration import ConfigurationEntry, ConfigurationRefused
from rating.v1 import pricing_pb2 as pb


async def set_alias(
    edge: Edge, published: Published, request: pb.SetRateCardAliasRequest
) -> pb.SetRateCardAliasResponse:
    """Let an alias mean a card; answers when every shard has it. Raises CallFailed."""
    tenant = await edge.tenant(request.tenant)
    check = Checked()
    check.ids(request_id=request.request_id, alias=request.alias, rate_card=request.rate_card)
    check.instant("effective_from_us", request.effective_from_us)
    check.between("expected_version", request.expected_version, 0)
    check.done()
    if not await published.versions(tenant, request.rate_card):
        raise CallFailed(
            "RATE_CARD_UNKNOWN",
            "no rate card of this name is published; an alias never means another alias",
            field="rate_card",
            value=request.rate_card,
        )
    versions = await published.aliases(tenant, request.alias)
    latest = versions[0] if versions else None
    body = AliasBody(request.rate_card)
    again = (
        latest is not None
        and await published.alias_body(latest) == body
        and request.effective_from_us in (0, latest.effective_from_us)
    )
    if again:
        await edge.ledger.apply_published(tenant)
    else:
        made = await edge.ledger.publish_alias(
            tenant,
            request.alias,
            request.rate_card,
            request.effective_from_us,
            request.expected_version,
        )
        if isinstance(made, ConfigurationRefused):
            field = "expected_version" if made.reason == "VERSION_DIFFERS" else "alias"
            raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
        latest = made
    assert latest is not None
    return pb.SetRateCardAliasResponse(alias=_render(latest, body), replayed=again)


async def list_aliases(
    edge: Edge, published: Published, request: pb.ListRateCardAliasesRequest
) -> pb.ListRateCardAliasesResponse:
    """Versions of aliases by name, newest first. Raises CallFailed."""
    tenant = await edge.tenant(request.tenant)
    check = Checked()
    check.optional(alias=request.alias)
    size = check.page_size(request.page_size)
    check.done()
    listing = f"card_aliases/{tenant}/{request.alias}"
    after = page_after(listing, request.page_token)
    entries = await published.aliases(tenant, request.alias)
    page = entries[after : after + size]
    more = len(entries) > after + size
    return pb.ListRateCardAliasesResponse(
        aliases=[_render(entry, await published.alias_body(entry)) for entry in page],
        next_page_token=page_token(listing, after + size) if more else "",
    )


def _render(entry: ConfigurationEntry, body: AliasBody) -> pb.RateCardAlias:
    return pb.RateCardAlias(
        alias=entry.name,
        rate_card=body.card,
        version=entry.version,
        effective_from_us=entry.effective_from_us,
        published_at_us=entry.published_at_us,
    )
