"""PricingService: assets, versions of rate cards and what differs, price sheets, quotes, and prices
tried on what happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from ledger.api.calls import Call
from ledger.api.card_aliases import list_aliases, set_alias
from ledger.api.card_check import FAULTS_MAX, CardChecker, CheckedCard
from ledger.api.card_difference import compared
from ledger.api.comparing import options_of, price_all, render_comparison, wishes_of
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault, refused
from ledger.api.limits import DISPLAY_NAME_BYTES_MAX, Checked
from ledger.api.override_calls import OverrideCalls
from ledger.api.pages import page_after, page_token
from ledger.api.price_sheets import price_sheet
from ledger.api.published import Published
from ledger.api.quote_calls import QuoteCalls
from ledger.api.quoting import price, render_quote
from ledger.api.rendering.render_card import (
    render_card,
    render_fault,
    render_published,
    render_version,
)
from ledger.api.requests import seated, shape_of
from ledger.api.rerate_calls import RerateCalls
from ledger.api.simulating import Simulator, simulate
from ledger.core.outcomes import Refusal
from ledger.engine.configuration import AssetBody
from ledger.journal.configuration import (
    ConfigurationEntry,
    ConfigurationReason,
    ConfigurationRefused,
)
from ledger.projections.as_of import History
from rating.card import SCALE_MAX, CardFault, RateCard, decode_card
from rating.diff import LARGE_FACTOR
from rating.exact import PriceError, parse_price
from rating.v1 import card_pb2, simulation_pb2
from rating.v1 import pricing_pb2 as pb

_KINDS: Final = {
    pb.ASSET_KIND_MONEY: "money",
    pb.ASSET_KIND_CREDIT: "credit",
    pb.ASSET_KIND_UNIT: "unit",
}
_REFUSED_FIELDS: Final = {
    ConfigurationReason.VERSION_DIFFERS: "expected_version",
    ConfigurationReason.CARD_NAME_TAKEN: "card.name",
}
_KIND_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}


class PricingService(OverrideCalls, QuoteCalls, RerateCalls):
    """See rating/v1/pricing.proto."""

    def __init__(
        self,
        edge: Edge,
        checker: CardChecker,
        history: History | None = None,
        simulator: Simulator | None = None,
    ) -> None:
        """`history`: the read models, to find usage in that is rated again; `simulator`: who tries
        prices on the journal."""
        self._edge = edge
        self._history = history
        self._checker = checker
        self._simulator = simulator
        self._published = Published(edge.ledger)

    # -- assets ----------------------------------------------------------------------------------

    async def create_asset(
        self, request: pb.CreateAssetRequest, call: Call
    ) -> pb.CreateAssetResponse:
        """Declare an asset; answers when every shard has it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        asset = request.asset
        check = Checked()
        check.ids(request_id=request.request_id, **{"asset.asset": asset.asset})
        check.between("asset.scale", asset.scale, 0, SCALE_MAX)
        check.text("asset.display_name", asset.display_name, DISPLAY_NAME_BYTES_MAX)
        check.one_of("asset.kind", asset.kind, {int(kind): kind for kind in _KINDS})
        check.done()
        body = AssetBody(asset.asset, asset.scale, _KINDS[asset.kind], asset.display_name)
        known = await self._published.asset(tenant, asset.asset)
        if known is not None and known[1] != body:
            raise _asset_exists(known[1])
        made = await edge.ledger.publish_asset(
            tenant, body.code, body.scale, body.kind, body.display_name
        )
        if isinstance(made, ConfigurationRefused):
            raise CallFailed(made.reason.value, made.message, field="asset", value=made.value)
        return pb.CreateAssetResponse(asset=_render_asset(made, body), replayed=known is not None)

    async def list_assets(self, request: pb.ListAssetsRequest, call: Call) -> pb.ListAssetsResponse:
        """The tenant's assets by code."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        listing = f"assets/{tenant}"
        after = page_after(listing, request.page_token)
        entries = await self._published.assets(tenant)
        page = entries[after : after + size]
        more = len(entries) > after + size
        return pb.ListAssetsResponse(
            assets=[
                _render_asset(entry, await self._published.asset_body(entry)) for entry in page
            ],
            next_page_token=page_token(listing, after + size) if more else "",
        )

    # -- rate cards ------------------------------------------------------------------------------

    async def publish_rate_card(
        self, request: pb.PublishRateCardRequest, call: Call
    ) -> pb.PublishRateCardResponse:
        """Publish a version, or list everything that is wrong with it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.given("card", request.HasField("card"))
        check.instant("effective_from_us", request.effective_from_us)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        name = request.card.name
        versions = await self._published.versions(tenant, name)
        latest = versions[0] if versions else None
        card, faults, total = await self._checked(tenant, request.card, latest)
        if request.validate_only:
            shown = faults[:FAULTS_MAX]
            return pb.PublishRateCardResponse(faults=[render_fault(fault) for fault in shown])
        if faults:
            raise _card_invalid(faults, total)
        again = latest is not None and _is_again(latest, card, request.effective_from_us)
        if not again:
            made = await edge.ledger.publish_card_body(
                tenant, name, card.body, request.effective_from_us, request.expected_version
            )
            if isinstance(made, ConfigurationRefused):
                field = _REFUSED_FIELDS.get(made.reason, "card")
                raise CallFailed(made.reason.value, made.message, field=field, value=made.value)
            latest = made
        else:
            await edge.ledger.apply_published(tenant)
        assert latest is not None
        version = render_published(latest, card.asset, card.asset_scale, card.rows)
        return pb.PublishRateCardResponse(version=version, replayed=again)

    async def get_rate_card(
        self, request: pb.GetRateCardRequest, call: Call
    ) -> pb.GetRateCardResponse:
        """One version of a card, whole."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.ids(name=request.name)
        check.between("version", request.version, 0)
        check.done()
        versions = await self._published.versions(tenant, request.name)
        entry = _version_of(versions, request.name, request.version)
        card = await self._published.card(entry)
        return pb.GetRateCardResponse(version=render_version(entry, card), card=render_card(card))

    async def list_rate_cards(
        self, request: pb.ListRateCardsRequest, call: Call
    ) -> pb.ListRateCardsResponse:
        """Versions by name, newest first, without their rows."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.optional(name=request.name)
        size = check.page_size(request.page_size)
        check.done()
        listing = f"cards/{tenant}/{request.name}"
        after = page_after(listing, request.page_token)
        entries = await self._published.versions(tenant, request.name)
        page = entries[after : after + size]
        more = len(entries) > after + size
        return pb.ListRateCardsResponse(
            versions=[render_version(entry, await self._published.card(entry)) for entry in page],
            next_page_token=page_token(listing, after + size) if more else "",
        )

    async def diff_rate_cards(
        self, request: pb.DiffRateCardsRequest, call: Call
    ) -> pb.DiffRateCardsResponse:
        """What a later version or a candidate says otherwise than an earlier version."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.ids(name=request.name)
        check.between("from_version", request.from_version, 0)
        check.between("to_version", request.to_version, 0)
        asked = request.HasField("candidate")
        if asked and request.to_version:
            message = "the candidate is the later card; leave the version out"
            value = str(request.to_version)
            check.fault(Fault("FIELD_NOT_ALLOWED", "to_version", value, message))
        if not asked and not request.from_version:
            check.given("from_version", False)
        check.fault(_factor_fault(request.large_factor))
        check.done()
        versions = await self._published.versions(tenant, request.name)
        latest = versions[0] if versions else None
        later: ConfigurationEntry | None = None
        earlier: ConfigurationEntry | None = latest
        if request.from_version or not asked:
            earlier = _version_of(versions, request.name, request.from_version)
        if asked:
            after = await self._candidate(tenant, request, latest)
        else:
            later = _version_of(versions, request.name, request.to_version)
            after = await self._published.card(later)
        before = (
            RateCard(after.name, after.asset, after.asset_scale, meters=(), rows=())
            if earlier is None
            else await self._published.card(earlier)
        )
        factor = request.large_factor or LARGE_FACTOR
        reply = await asyncio.to_thread(compared, before, after, factor)  # writers go on
        if earlier is not None:
            reply.earlier.CopyFrom(render_version(earlier, before))
        if later is not None:
            reply.later.CopyFrom(render_version(later, after))
        return reply

    async def _candidate(
        self, tenant: int, request: pb.DiffRateCardsRequest, latest: ConfigurationEntry | None
    ) -> RateCard:
        """The candidate, if it could be published."""
        card, faults, total = await self._checked(tenant, request.candidate, latest)
        if request.candidate.name != request.name:
            message = f"the card compared is {request.name!r}"
            faults.append(CardFault("name", "NAME_DIFFERS", request.candidate.name, message))
            total += 1
        if faults:
            raise _card_invalid(faults, total, "candidate")
        return decode_card(card.body)

    async def get_price_sheet(
        self, request: pb.GetPriceSheetRequest, call: Call
    ) -> pb.GetPriceSheetResponse:
        """The version that prices usage of an instant, as canonical JSON."""
        return await price_sheet(self._edge, self._published, request)

    async def set_rate_card_alias(
        self, request: pb.SetRateCardAliasRequest, call: Call
    ) -> pb.SetRateCardAliasResponse:
        """Let an alias mean a card from an instant on."""
        return await set_alias(self._edge, self._published, request)

    async def list_rate_card_aliases(
        self, request: pb.ListRateCardAliasesRequest, call: Call
    ) -> pb.ListRateCardAliasesResponse:
        """Versions of aliases by name, newest first."""
        return await list_aliases(self._edge, self._published, request)

    async def _checked(
        self, tenant: int, sent: card_pb2.RateCard, latest: ConfigurationEntry | None
    ) -> tuple[CheckedCard, list[CardFault], int]:
        """The card; what is wrong with it, alone and beside what is published; and how much."""
        before = await self._published.body(latest) if latest is not None else None
        costs, namers = await self._cost_cards(tenant, sent)
        card = await self._checker.check(sent.SerializeToString(), before, costs, namers)
        faults = []
        known = await self._published.asset(tenant, card.asset) if card.asset else None
        if known is None and card.asset:
            message = "the tenant has no such asset; create it first"
            faults.append(CardFault("asset", "ASSET_UNKNOWN", card.asset, message))
        elif known is not None and known[1].scale != card.asset_scale:
            message = f"the asset {card.asset!r} has scale {known[1].scale}"
            value = str(card.asset_scale)
            faults.append(CardFault("asset_scale", "ASSET_SCALE_DIFFERS", value, message))
        if known is not None and known[1].kind != "money" and card.cash_only >= 0:
            path = f"minimums[{card.cash_only}].cash_only"
            message = f"what is for cash only is billed in money, which {card.asset!r} is not"
            faults.append(CardFault(path, "MINIMUM_ASSET_NOT_MONEY", card.asset, message))
        beside = [*faults, *card.succession, *card.costs, *await self._cost_money(tenant, card)]
        return card, [*card.faults, *beside], card.faults_total + len(beside)

    async def _cost_cards(
        self, tenant: int, sent: card_pb2.RateCard
    ) -> tuple[bytes | None, list[bytes]]:
        """The body of the card of costs that is named, and of the cards that name this one."""
        if not sent.name:
            return None, []
        newest: dict[str, ConfigurationEntry] = {}
        for entry in await self._published.versions(tenant):
            newest.setdefault(entry.name, entry)
        named = newest.get(sent.cost_card)
        costs = await self._published.body(named) if named is not None else None
        namers: list[bytes] = []
        for name, entry in newest.items():
            if name != sent.name and await self._published.cost_card(entry) == sent.name:
                namers.append(await self._published.body(entry))
        return costs, namers

    async def _cost_money(self, tenant: int, card: CheckedCard) -> list[CardFault]:
        """Providers are paid in money."""
        known = await self._published.asset(tenant, card.cost_asset) if card.cost_asset else None
        if known is None or known[1].kind == "money":
            return []
        message = f"the card of costs is in {card.cost_asset!r}, which is no money"
        return [CardFault("cost_card", "COST_ASSET_NOT_MONEY", card.cost_asset, message)]

    # -- simulations -----------------------------------------------------------------------------

    async def simulate(
        self, request: simulation_pb2.SimulateRequest, call: Call
    ) -> AsyncGenerator[simulation_pb2.SimulateResponse, None]:
        """What was recorded, decided again under other prices and terms."""
        said = simulate(self._edge, self._published, self._candidate_card, self._simulator, request)
        async with contextlib.aclosing(said):
            async for message in said:
                yield message

    async def _candidate_card(
        self, tenant: int, request: simulation_pb2.SimulateRequest
    ) -> CheckedCard:
        """The card of a simulation, if it could be published as the first of its name: it is tried
        on the whole range, so that what stands before it does not matter."""
        card, faults, total = await self._checked(tenant, request.card, None)
        if faults:
            raise _card_invalid(faults, total)
        return card

    # -- quotes ----------------------------------------------------------------------------------

    async def quote(self, request: pb.QuoteRequest, call: Call) -> pb.QuoteResponse:
        """Price work without doing it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        check = Checked()
        check.instant("effective_at_us", request.effective_at_us)
        check.done()
        entry = await edge.account(tenant, request.account)
        shape = seated(edge.shapes, shape, entry)
        clock_us = edge.ledger.clock.now_us()
        priced = await edge.writer(entry).look(
            lambda state: price(
                state, entry.number, shape, values, request.effective_at_us, clock_us
            ),
            (entry.number,),
        )
        if isinstance(priced, Refusal):
            raise refused(priced, {"account": request.account})
        return render_quote(edge.assets, priced, values, entry.shard)

    async def compare(self, request: pb.CompareRequest, call: Call) -> pb.CompareResponse:
        """Price several offers of work and rank those that meet what is asked."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        options = options_of(edge.shapes, request.options)
        wishes = wishes_of(request)
        entry = await edge.account(tenant, request.account)
        options = [
            option._replace(shape=seated(edge.shapes, option.shape, entry)) for option in options
        ]
        clock_us = edge.ledger.clock.now_us()
        priced = await edge.writer(entry).look(
            lambda state: price_all(
                state, entry.number, options, request.effective_at_us, clock_us
            ),
            (entry.number,),
        )
        if isinstance(priced, Refusal):
            raise refused(priced, {"account": request.account})
        found, at_us = priced
        return render_comparison(edge.assets, options, found, wishes, entry, at_us)


def _version_of(
    versions: Sequence[ConfigurationEntry], name: str, version: int
) -> ConfigurationEntry:
    """That version of the versions of a card, newest first; 0 = the newest."""
    for entry in versions:
        if version in (0, entry.version):
            return entry
    raise CallFailed(
        "RATE_CARD_UNKNOWN",
        "the tenant has no such version of a rate card",
        field="name",
        value=f"{name} version {version}" if version else name,
    )


def _factor_fault(factor: str) -> Fault | None:
    """What is wrong with the factor from which on a move is large."""
    try:
        numerator, denominator = parse_price(factor or LARGE_FACTOR)
    except PriceError as error:
        return Fault("FACTOR_INVALID", "large_factor", factor, str(error))
    if numerator < denominator:
        message = "a factor says how many times more or less; 1 or more"
        return Fault("FACTOR_INVALID", "large_factor", factor, message)
    return None


def _is_again(latest: ConfigurationEntry, card: CheckedCard, effective_from_us: int) -> bool:
    """Whether the newest version is this very card: a retry of the call that published it."""
    same = latest.content_hash == card.content_hash
    return same and effective_from_us in (0, latest.effective_from_us)


def _render_asset(entry: ConfigurationEntry, body: AssetBody) -> pb.Asset:
    return pb.Asset(
        asset=body.code,
        scale=body.scale,
        display_name=body.display_name,
        created_at_us=entry.published_at_us,
        kind=_KIND_NUMBERS[body.kind],
    )


def _asset_exists(known: AssetBody) -> CallFailed:
    return CallFailed(
        "ASSET_EXISTS",
        f"the asset exists with scale {known.scale}, kind {known.kind} and display name "
        f"{known.display_name!r}; none of them changes",
        field="asset.asset",
        value=known.code,
    )


def _card_invalid(faults: list[CardFault], total: int, field: str = "card") -> CallFailed:
    first = faults[0]
    others = ""
    if total > 1:
        listed = min(total, FAULTS_MAX)
        others = f"{total} faults, of which validate_only lists {listed}; the first is "
    return CallFailed(
        "RATE_CARD_INVALID",
        f"the rate card does not compile: {others}{first.path}: {first.message}",
        field=f"{field}.{first.path}",
        value=first.value,
        metadata={"faults": str(total)} if total > 1 else {},
        faults=[
            Fault(fault.reason, f"{field}.{fault.path}", fault.value, fault.message)
            for fault in faults
        ],
    )
