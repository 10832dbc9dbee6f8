"""Calls of PricingService: assets, rate cards, price sheets, overrides, quotes, simulations.

What names an account goes where that is, everything else to the home address.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from ledger.client.calls import Caller
from rating.v1 import card_pb2, override_pb2, simulation_pb2
from rating.v1 import pricing_pb2 as pb
from rating.v1.pricing_pb2_grpc import PricingServiceStub

PAGE_SIZE = 1_000


class PricingCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def create_asset(
        self,
        asset: str,
        scale: int,
        kind: pb.AssetKind.ValueType,
        *,
        display_name: str = "",
        request_id: str = "",
    ) -> pb.CreateAssetResponse:
        """Declare an asset: one major unit is 10^scale minor units, for ever."""
        request = pb.CreateAssetRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            asset=pb.Asset(asset=asset, scale=scale, kind=kind, display_name=display_name),
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).CreateAsset, request
        )

    async def list_assets(self) -> AsyncIterator[pb.Asset]:
        """All assets, ascending by code."""
        request = pb.ListAssetsRequest(tenant=self._caller.tenant, page_size=PAGE_SIZE)
        while True:
            reply = await self._caller.call(
                lambda channel: PricingServiceStub(channel).ListAssets, request
            )
            for asset in reply.assets:
                yield asset
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def publish_rate_card(
        self,
        card: card_pb2.RateCard,
        *,
        expected_version: int = 0,
        effective_from_us: int = 0,
        validate_only: bool = False,
        request_id: str = "",
    ) -> pb.PublishRateCardResponse:
        """Publish a version; returns when every shard has it. 0 = as soon as that."""
        request = pb.PublishRateCardRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            card=card,
            effective_from_us=effective_from_us,
            expected_version=expected_version,
            validate_only=validate_only,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).PublishRateCard, request
        )

    async def get_rate_card(self, name: str, version: int = 0) -> pb.GetRateCardResponse:
        """One version of a rate card; 0 = the newest."""
        request = pb.GetRateCardRequest(tenant=self._caller.tenant, name=name, version=version)
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).GetRateCard, request
        )

    async def list_rate_cards(self, name: str = "") -> AsyncIterator[pb.RateCardVersion]:
        """Versions without their rows, ascending by name, newest first."""
        request = pb.ListRateCardsRequest(
            tenant=self._caller.tenant, name=name, page_size=PAGE_SIZE
        )
        while True:
            reply = await self._caller.call(
                lambda channel: PricingServiceStub(channel).ListRateCards, request
            )
            for version in reply.versions:
                yield version
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def set_rate_card_alias(
        self,
        alias: str,
        rate_card: str,
        *,
        expected_version: int = 0,
        effective_from_us: int = 0,
        request_id: str = "",
    ) -> pb.SetRateCardAliasResponse:
        """Let an alias mean a card, for usage effective from then on; 0 = now, at first ever."""
        request = pb.SetRateCardAliasRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            alias=alias,
            rate_card=rate_card,
            effective_from_us=effective_from_us,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).SetRateCardAlias, request
        )

    async def list_rate_card_aliases(self, alias: str = "") -> AsyncIterator[pb.RateCardAlias]:
        """What aliases mean and meant, ascending by alias, newest first."""
        request = pb.ListRateCardAliasesRequest(
            tenant=self._caller.tenant, alias=alias, page_size=PAGE_SIZE
        )
        while True:
            reply = await self._caller.call(
                lambda channel: PricingServiceStub(channel).ListRateCardAliases, request
            )
            for found in reply.aliases:
                yield found
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def diff_rate_cards(
        self,
        name: str,
        from_version: int = 0,
        to_version: int = 0,
        *,
        candidate: card_pb2.RateCard | None = None,
        large_factor: str = "",
    ) -> pb.DiffRateCardsResponse:
        """What a later version, or a candidate, says otherwise than an earlier version."""
        request = pb.DiffRateCardsRequest(
            tenant=self._caller.tenant,
            name=name,
            from_version=from_version,
            to_version=to_version,
            candidate=candidate,
            large_factor=large_factor,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).DiffRateCards, request
        )

    async def get_price_sheet(
        self,
        name: str = "",
        *,
        account: str = "",
        version: int = 0,
        at_us: int = 0,
        if_none_match: bytes = b"",
    ) -> pb.GetPriceSheetResponse:
        """The prices in force now or at an instant, of a card or of an account, as canonical JSON.

        `if_none_match`: the content_hash of the sheet that is there already; the reply then says
        not_modified where it still holds.
        """
        request = pb.GetPriceSheetRequest(
            tenant=self._caller.tenant,
            name=name,
            account=account,
            version=version,
            at_us=at_us,
            if_none_match=if_none_match,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).GetPriceSheet, request, account
        )

    async def set_price_overrides(
        self,
        account: str,
        overrides: Sequence[override_pb2.PriceOverride],
        *,
        expected_version: int = 0,
        reason: str = "",
        actor: str = "",
        request_id: str = "",
    ) -> override_pb2.SetPriceOverridesResponse:
        """Replace the whole list of an account; those below it inherit it."""
        request = override_pb2.SetPriceOverridesRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            overrides=overrides,
            expected_version=expected_version,
            reason=reason,
            actor=actor,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).SetPriceOverrides, request, account
        )

    async def get_price_overrides(
        self, account: str, *, min_position: str | None = None
    ) -> override_pb2.GetPriceOverridesResponse:
        """What stands for an account, its own and what it inherits."""
        request = override_pb2.GetPriceOverridesRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).GetPriceOverrides, request, account
        )

    async def simulate(
        self,
        *,
        card: card_pb2.RateCard | None = None,
        name: str = "",
        version: int = 0,
        terms: Mapping[str, object] | None = None,
        from_us: int = 0,
        to_us: int = 0,
        accounts_max: int = 0,
        progress: Callable[[simulation_pb2.SimulationProgress], None] | None = None,
    ) -> simulation_pb2.SimulationReport:
        """What was recorded, decided again under a card, a published version or neither, and under
        other terms (docs/pricing.md). Has no deadline; a call that is given up ends it."""
        request = simulation_pb2.SimulateRequest(
            tenant=self._caller.tenant,
            card=card,
            name=name,
            version=version,
            terms=json.dumps(terms) if terms else "",
            from_us=from_us,
            to_us=to_us,
            accounts_max=accounts_max,
        )
        said = self._caller.stream(lambda channel: PricingServiceStub(channel).Simulate, request)
        async for message in said:
            if message.HasField("report"):
                return message.report
            if progress is not None:
                progress(message.progress)
        raise AssertionError("the server ended a simulation without a report")

    async def quote(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        effective_at_us: int = 0,
    ) -> pb.QuoteResponse:
        """Price work without doing it; binds nobody."""
        request = pb.QuoteRequest(
            tenant=self._caller.tenant,
            account=account,
            product=product,
            attributes=dict(attributes or {}),
            quantities=dict(quantities),
            effective_at_us=effective_at_us,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).Quote, request, account
        )

    async def compare(
        self,
        account: str,
        options: Iterable[pb.CompareOption],
        *,
        charge_max: int | None = None,
        one_of: Mapping[str, Iterable[str]] | None = None,
        bounds: Iterable[pb.FactBounds] = (),
        affordable: bool = False,
        weights: Iterable[pb.CompareWeight] = (),
        effective_at_us: int = 0,
    ) -> pb.CompareResponse:
        """Rank offers of work by what they cost and what is published of them; binds nobody."""
        request = pb.CompareRequest(
            tenant=self._caller.tenant,
            account=account,
            options=options,
            charge_max=charge_max,
            one_of=[
                pb.FactOneOf(fact=fact, values=values) for fact, values in (one_of or {}).items()
            ],
            bounds=bounds,
            affordable=affordable,
            weights=weights,
            effective_at_us=effective_at_us,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).Compare, request, account
        )

    async def create_quote(
        self,
        account: str,
        product: str,
        quantities: Mapping[str, int],
        attributes: Mapping[str, str] | None = None,
        *,
        lifetime_us: int = 0,
        hold: bool = False,
        tolerance_basis_points: int = 0,
        request_id: str = "",
    ) -> pb.CreateQuoteResponse:
        """Have a price promised for one use, durably; with `hold` reserved too. 0 = the default."""
        request = pb.CreateQuoteRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            product=product,
            attributes=dict(attributes or {}),
            quantities=dict(quantities),
            lifetime_us=lifetime_us,
            hold=hold,
            tolerance_basis_points=tolerance_basis_points,
        )
        return await self._caller.call(
            lambda channel: PricingServiceStub(channel).CreateQuote, request, account
        )

    async def get_quote(self, quote_id: str, *, min_position: str | None = None) -> pb.BindingQuote:
        """One quote that binds, open or settled within 35 days."""
        request = pb.GetQuoteRequest(
            tenant=self._caller.tenant,
            quote_id=quote_id,
            min_position=self._caller.min_position(min_position),
        )
        reply = await self._caller.call(
            lambda channel: PricingServiceStub(channel).GetQuote, request
        )
        return reply.quote

    async def list_quotes(
        self, account: str, *, min_position: str | None = None
    ) -> AsyncIterator[pb.BindingQuote]:
        """The account's open quotes, first made first."""
        request = pb.ListQuotesRequest(
            tenant=self._caller.tenant,
            account=account,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: PricingServiceStub(channel).ListQuotes, request, account
            )
            for quote in reply.quotes:
                yield quote
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
