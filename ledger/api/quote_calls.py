"""Calls of PricingService about quotes that bind: make one, show one, list an account's."""

from __future__ import annotations

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import QUOTE
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_quote import (
    QuotePage,
    find_quote,
    made_quote,
    open_quotes,
    render_binding,
)
from ledger.api.requests import seated, shape_of
from ledger.core.commands import CreateQuote, Names
from ledger.core.events import QuoteMade
from ledger.core.limits import BASIS_POINTS, HOLD_LIFETIME_BATCH_MAX_US, QUOTE_TOLERANCE_MAX
from ledger.core.state import State
from rating.v1 import pricing_pb2 as pb


class QuoteCalls:
    """Part of PricingService."""

    _edge: Edge

    async def create_quote(
        self, request: pb.CreateQuoteRequest, call: Call
    ) -> pb.CreateQuoteResponse:
        """Promise a price for one use, in one durable step with its hold."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        shape, values = shape_of(edge.shapes, request)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("lifetime_us", request.lifetime_us, 0, HOLD_LIFETIME_BATCH_MAX_US)
        tolerance = request.tolerance_basis_points
        if tolerance:
            check.between("tolerance_basis_points", tolerance, BASIS_POINTS, QUOTE_TOLERANCE_MAX)
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        shape = seated(edge.shapes, shape, entry)
        command = CreateQuote(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            shape,
            values,
            request.lifetime_us,
            tolerance,
            request.hold,
            Names("", request.request_id),
            call.trace,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"account": request.account})
        event, plan = answer.event, answer.plan
        assert isinstance(event, QuoteMade) and plan is not None, event
        with rendering(answer.position):
            made = await edge.writer(entry).look(
                lambda state: made_quote(state, event, plan, tenant, fresh=not answer.replayed),
                (entry.number,),
            )
            names = await edge.names([event.account])
            quote = render_binding(edge.assets, made, entry.shard, names[event.account])
        return pb.CreateQuoteResponse(
            quote=quote, position=answer.position, replayed=answer.replayed
        )

    async def get_quote(self, request: pb.GetQuoteRequest, call: Call) -> pb.GetQuoteResponse:
        """One quote, open or settled within the window."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, QUOTE, request.quote_id)
        found, reached = await edge.writer(entry).read(
            lambda state: find_quote(state, entry.number, minted.number),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if found is None:
            raise CallFailed(
                "QUOTE_UNKNOWN",
                "the account has no such quote, or it was settled more than 35 days ago",
                field="quote_id",
                value=request.quote_id,
            )
        names = await edge.names([entry.number])
        quote = render_binding(edge.assets, found, entry.shard, names[entry.number])
        return pb.GetQuoteResponse(quote=quote, position=position_of(entry.shard, reached))

    async def list_quotes(self, request: pb.ListQuotesRequest, call: Call) -> pb.ListQuotesResponse:
        """An account's open quotes, page by page."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"quotes/{entry.number}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> QuotePage:
            return open_quotes(state, state.accounts.get(entry.number), after, size)

        found, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        names = await edge.names([entry.number])
        return pb.ListQuotesResponse(
            quotes=[
                render_binding(edge.assets, quote, entry.shard, names[entry.number])
                for quote in found.quotes
            ],
            next_page_token=page_token(listing, found.after) if found.after else "",
            position=position_of(entry.shard, reached),
        )
