"""GrantService: credits in, what is left of them, and taking them back."""

from __future__ import annotations

from typing import Final

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import GRANT
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_grant import (
    GrantView,
    grant_view,
    issued_view,
    render_grant,
    repaid,
)
from ledger.api.requests import check_names, check_rollover, rollover_of
from ledger.core.commands import IssueGrant, Names, VoidGrant
from ledger.core.events import GrantIssued, GrantKind, GrantVoided
from ledger.core.limits import PRODUCTS_A_GRANT_MAX, TAGS_A_GRANT_MAX
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import grant_pb2 as pb
from ledger.v1 import types_pb2

_KINDS: Final = {int(kind): kind for kind in GrantKind}


class GrantService:
    """See ledger/v1/grant.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def issue(
        self, request: pb.GrantServiceIssueRequest, call: Call
    ) -> pb.GrantServiceIssueResponse:
        """Issue a grant."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        _check_issue(request)
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        family = edge.ledger.family(entry)
        command = IssueGrant(
            family.request(request.request_id),
            entry.number,
            _KINDS[request.kind],
            self._asset("asset", request.asset, entry),
            request.amount,
            request.price_paid,
            self._money("price_asset", request.price_asset, entry),
            request.priority,
            request.effective_at_us,
            request.expires_at_us,
            tuple(sorted(request.products)),
            family.external(request.external_key),
            Names("", request.request_id),
            call.trace,
            request.source,
            tuple(sorted(request.tags)),
            tuple(sorted(request.attributes.items())),
            request.shared,
            request.gated,
            rollover_of(request.rollover) if request.HasField("rollover") else None,
            tuple(sorted(request.metadata.items())),
        )
        ticket = await call.submit(edge.ledger, entry, command)
        given = {
            "account": request.account,
            "asset": request.asset,
            "price_asset": request.price_asset,
            "external_key": request.external_key,
        }
        answer = answer_of(ticket, given)
        event = answer.event
        assert isinstance(event, GrantIssued), event
        view = issued_view(event, answer.recorded_at_us)
        with rendering(answer.position):
            account = (await edge.names([event.account]))[event.account]
            grant = render_grant(edge.assets, view, entry.shard, account, answer.recorded_at_us)
        grant.external_key = request.external_key  # the body that the digest stands for
        return pb.GrantServiceIssueResponse(
            grant=grant,
            repaid_advance=repaid(event),
            position=answer.position,
            replayed=answer.replayed,
        )

    async def void(
        self, request: pb.GrantServiceVoidRequest, call: Call
    ) -> pb.GrantServiceVoidResponse:
        """Take back what is left of a grant and not held."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)
        command = VoidGrant(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            Names("", request.request_id),
            call.trace,
            request.forfeit,
        )
        ticket = await call.submit(edge.ledger, entry, command)
        answer = answer_of(ticket, {"grant_id": request.grant_id})
        assert isinstance(answer.event, GrantVoided), answer.event
        with rendering(answer.position):
            view, _ = await self._view(entry, minted.number, request.grant_id)
            grant = await self._render(entry, view)
        return pb.GrantServiceVoidResponse(
            grant=grant,
            voided=answer.event.amount,
            refunded=answer.event.refunded,
            breakage=answer.event.breakage,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def list(
        self, request: pb.GrantServiceListRequest, call: Call
    ) -> pb.GrantServiceListResponse:
        """The grants of an account in the order issued."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"grants/{entry.number}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> list[GrantView]:
            account = state.accounts.get(entry.number)
            grants = account.grants if account is not None else []
            found = [grant for grant in grants if grant.ordinal > after]
            return [grant_view(state, grant) for grant in found[: size + 1]]

        views, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        more = len(views) > size
        now_us = edge.now_us(entry.tenant)
        shown = views[:size]
        return pb.GrantServiceListResponse(
            grants=[
                render_grant(edge.assets, view, entry.shard, entry.account_id, now_us)
                for view in shown
            ],
            next_page_token=page_token(listing, shown[-1].ordinal) if more else "",
            position=position_of(entry.shard, reached),
        )

    async def get(
        self, request: pb.GrantServiceGetRequest, call: Call
    ) -> pb.GrantServiceGetResponse:
        """One grant."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)
        least = minimum(request.min_position, entry.shard)
        view, reached = await self._view(entry, minted.number, request.grant_id, least)
        return pb.GrantServiceGetResponse(
            grant=await self._render(entry, view), position=position_of(entry.shard, reached)
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _view(
        self, entry: Entry, number: int, grant_id: str, min_entries: int = 0
    ) -> tuple[GrantView, int]:
        def look(state: State) -> GrantView | None:
            grant = state.grants.get(number)
            if grant is None or grant.account.number != entry.number:
                return None
            return grant_view(state, grant)

        view, reached = await self._edge.writer(entry).read(look, min_entries, (entry.number,))
        if view is None:
            raise CallFailed(
                "GRANT_UNKNOWN",
                "the account has no such grant",
                field="grant_id",
                value=grant_id,
            )
        return view, reached

    async def _render(self, entry: Entry, view: GrantView) -> types_pb2.Grant:
        edge = self._edge
        now_us = edge.now_us(entry.tenant)
        return render_grant(edge.assets, view, entry.shard, entry.account_id, now_us)

    def _asset(self, field: str, code: str, entry: Entry) -> int:
        number = self._edge.assets.number(entry.tenant, code, entry.shard)
        if number < 0:
            raise CallFailed(
                "ASSET_UNKNOWN",
                "the tenant has no such asset; create it first",
                field=field,
                value=code,
            )
        return number

    def _money(self, field: str, code: str, entry: Entry) -> int:
        number = self._asset(field, code, entry)
        if number and self._edge.assets.of(number).kind != "money":
            raise CallFailed(
                "ASSET_KIND_INVALID", "a grant is paid for in money", field=field, value=code
            )
        return number


def _check_issue(request: pb.GrantServiceIssueRequest) -> None:
    check = Checked()
    check.ids(request_id=request.request_id, asset=request.asset)
    check.optional(external_key=request.external_key)
    check.between("amount", request.amount, 1)
    check.between("price_paid", request.price_paid, 0)
    check.optional(price_asset=request.price_asset)
    check.one_of("kind", request.kind, _KINDS)
    check.instant("effective_at_us", request.effective_at_us)
    check.instant("expires_at_us", request.expires_at_us)
    if bool(request.price_paid) != bool(request.price_asset):
        message = "price_paid and price_asset go together; a free grant has neither"
        check.fault(Fault("FIELD_REQUIRED", "price_asset", request.price_asset, message))
    check.optional(source=request.source)
    check_names(check, "products", list(request.products), PRODUCTS_A_GRANT_MAX)
    check_names(check, "tags", list(request.tags), TAGS_A_GRANT_MAX)
    check.attributes("attributes", request.attributes)
    check.attributes("metadata", request.metadata)
    if request.HasField("rollover"):
        check_rollover(check, "rollover", request.rollover)
    check.done()
