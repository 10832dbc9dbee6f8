"""RecurringGrantService: the same credits again, every period."""

from __future__ import annotations

from typing import Final, TypeVar

from ledger.api.answers import Answer, answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import GRANT, RECURRING, mint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_recurring import (
    RecurringView,
    find_view,
    recurring_view,
    render_recurring,
)
from ledger.api.requests import (
    asset_number,
    check_names,
    check_rollover,
    money_number,
    rollover_of,
)
from ledger.core.commands import (
    ChangeRecurring,
    Command,
    EndRecurring,
    Names,
    PauseRecurring,
    ResumeRecurring,
    StartRecurring,
)
from ledger.core.events import (
    GrantKind,
    PeriodUnit,
    Proration,
    RecurringChanged,
    RecurringEnded,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RecurringTerms,
    Timing,
)
from ledger.core.limits import PRODUCTS_A_GRANT_MAX, TAGS_A_GRANT_MAX, ZONE_BYTES_MAX
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import recurring_pb2 as pb

_KINDS: Final = {
    int(kind): kind for kind in (GrantKind.PREPAID, GrantKind.PROMOTIONAL, GrantKind.ALLOWANCE)
}
_UNITS: Final = {int(unit): unit for unit in PeriodUnit}
_PRORATIONS: Final = {0: Proration.NONE, **{int(each): each for each in Proration}}
_TIMINGS: Final = {0: Timing.NEXT_PERIOD, **{int(each): each for each in Timing}}

Reply = TypeVar(
    "Reply",
    pb.RecurringGrantServiceStartResponse,
    pb.RecurringGrantServiceChangeResponse,
    pb.RecurringGrantServicePauseResponse,
    pb.RecurringGrantServiceResumeResponse,
    pb.RecurringGrantServiceEndResponse,
)


class RecurringGrantService:
    """See ledger/v1/recurring.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def start(
        self, request: pb.RecurringGrantServiceStartRequest, call: Call
    ) -> pb.RecurringGrantServiceStartResponse:
        """Have an account granted the same every period."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.optional(external_key=request.external_key)
        check.instant("starts_at_us", request.starts_at_us)
        check.instant("ends_at_us", request.ends_at_us)
        check.given("terms", request.HasField("terms"))
        if request.HasField("terms"):
            _check_terms(check, request.terms)
        check.done()
        entry = await edge.account(tenant, request.account)
        edge.remember(entry)
        family = edge.ledger.family(entry)
        command = StartRecurring(
            family.request(request.request_id),
            entry.number,
            self._terms(request.terms, entry),
            family.external(request.external_key),
            request.starts_at_us,
            request.ends_at_us,
            Names("", request.request_id),
            call.trace,
        )
        given = {
            "account": request.account,
            "external_key": request.external_key,
            **_given(request.terms),
        }
        answer = await self._ask(call, entry, command, given)
        response = await self._answered(
            pb.RecurringGrantServiceStartResponse(), entry, answer, request.account
        )
        response.recurring_grant.external_key = request.external_key
        return response

    async def change(
        self, request: pb.RecurringGrantServiceChangeRequest, call: Call
    ) -> pb.RecurringGrantServiceChangeResponse:
        """Replace the terms, with the next period or now."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.one_of("timing", request.timing, _TIMINGS)
        check.between("expected_version", request.expected_version, 0)
        check.given("terms", request.HasField("terms"))
        if request.HasField("terms"):
            _check_terms(check, request.terms)
        check.done()
        minted, entry = await edge.minted(tenant, RECURRING, request.recurring_grant_id)
        command = ChangeRecurring(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            self._terms(request.terms, entry),
            _TIMINGS[request.timing],
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given = {"recurring_grant_id": request.recurring_grant_id, **_given(request.terms)}
        answer = await self._ask(call, entry, command, given)
        event = answer.event
        assert isinstance(event, RecurringChanged), event
        response = await self._answered(
            pb.RecurringGrantServiceChangeResponse(), entry, answer, request.recurring_grant_id
        )
        response.issued = event.amount
        if event.grant:
            response.grant_id = mint(GRANT, entry.shard, event.account, event.grant)
        return response

    async def pause(
        self, request: pb.RecurringGrantServicePauseRequest, call: Call
    ) -> pb.RecurringGrantServicePauseResponse:
        """Issue nothing until it is resumed."""
        entry, number, key = await self._meant(request)
        names = Names("", request.request_id)
        command = PauseRecurring(key, entry.number, number, names, call.trace)
        given = {"recurring_grant_id": request.recurring_grant_id}
        answer = await self._ask(call, entry, command, given)
        return await self._answered(
            pb.RecurringGrantServicePauseResponse(), entry, answer, request.recurring_grant_id
        )

    async def resume(
        self, request: pb.RecurringGrantServiceResumeRequest, call: Call
    ) -> pb.RecurringGrantServiceResumeResponse:
        """Issue again."""
        entry, number, key = await self._meant(request)
        names = Names("", request.request_id)
        command = ResumeRecurring(key, entry.number, number, names, call.trace)
        given = {"recurring_grant_id": request.recurring_grant_id}
        answer = await self._ask(call, entry, command, given)
        return await self._answered(
            pb.RecurringGrantServiceResumeResponse(), entry, answer, request.recurring_grant_id
        )

    async def end(
        self, request: pb.RecurringGrantServiceEndRequest, call: Call
    ) -> pb.RecurringGrantServiceEndResponse:
        """Issue nothing after the present period, or from now on."""
        check = Checked()
        check.one_of("timing", request.timing, _TIMINGS)
        check.done()
        entry, number, key = await self._meant(request)
        timing, names = _TIMINGS[request.timing], Names("", request.request_id)
        command = EndRecurring(key, entry.number, number, timing, names, call.trace)
        given = {"recurring_grant_id": request.recurring_grant_id}
        answer = await self._ask(call, entry, command, given)
        assert isinstance(answer.event, RecurringEnded), answer.event
        response = await self._answered(
            pb.RecurringGrantServiceEndResponse(), entry, answer, request.recurring_grant_id
        )
        response.ends_at_us = answer.event.ends_at
        return response

    async def list(
        self, request: pb.RecurringGrantServiceListRequest, call: Call
    ) -> pb.RecurringGrantServiceListResponse:
        """The recurring grants of an account in the order started."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        listing = f"recurring/{entry.number}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> list[RecurringView]:
            account = state.accounts.get(entry.number)
            kept = account.recurring if account is not None else []
            found = [each for each in kept if each.number > after]
            return [recurring_view(each) for each in found[: size + 1]]

        views, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        shown = views[:size]
        return pb.RecurringGrantServiceListResponse(
            recurring_grants=[self._render(entry, view) for view in shown],
            next_page_token=page_token(listing, shown[-1].number) if len(views) > size else "",
            position=position_of(entry.shard, reached),
        )

    async def get(
        self, request: pb.RecurringGrantServiceGetRequest, call: Call
    ) -> pb.RecurringGrantServiceGetResponse:
        """One recurring grant."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, RECURRING, request.recurring_grant_id)
        least = minimum(request.min_position, entry.shard)
        view, reached = await self._view(entry, minted.number, request.recurring_grant_id, least)
        return pb.RecurringGrantServiceGetResponse(
            recurring_grant=self._render(entry, view), position=position_of(entry.shard, reached)
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _meant(
        self,
        request: pb.RecurringGrantServicePauseRequest
        | pb.RecurringGrantServiceResumeRequest
        | pb.RecurringGrantServiceEndRequest,
    ) -> tuple[Entry, int, bytes]:
        """The account, the recurring grant's number, and the identity of the call."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.done()
        minted, entry = await edge.minted(tenant, RECURRING, request.recurring_grant_id)
        return entry, minted.number, edge.ledger.family(entry).request(request.request_id)

    async def _ask(
        self, call: Call, entry: Entry, command: Command, given: dict[str, str]
    ) -> Answer:
        ticket = await call.submit(self._edge.ledger, entry, command)
        return answer_of(ticket, given)

    async def _answered(self, response: Reply, entry: Entry, answer: Answer, asked: str) -> Reply:
        """The reply to a mutation, with what it changed as it is at its position or later."""
        event = answer.event
        assert isinstance(
            event,
            RecurringStarted
            | RecurringChanged
            | RecurringPaused
            | RecurringResumed
            | RecurringEnded,
        ), event
        number = event.recurring
        with rendering(answer.position):
            view, _ = await self._view(entry, number, asked)
            response.recurring_grant.CopyFrom(self._render(entry, view))
        response.position, response.replayed = answer.position, answer.replayed
        return response

    async def _view(
        self, entry: Entry, number: int, asked: str, min_entries: int = 0
    ) -> tuple[RecurringView, int]:
        view, reached = await self._edge.writer(entry).read(
            lambda state: find_view(state, entry.number, number), min_entries, (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "RECURRING_UNKNOWN",
                "the account has no such recurring grant",
                field="recurring_grant_id",
                value=asked,
            )
        return view, reached

    def _render(self, entry: Entry, view: RecurringView) -> pb.RecurringGrant:
        edge = self._edge
        now_us = edge.now_us(entry.tenant)
        return render_recurring(edge.assets, view, entry.shard, entry.account_id, now_us)

    def _terms(self, terms: pb.RecurringTerms, entry: Entry) -> RecurringTerms:
        assets = self._edge.assets
        return RecurringTerms(
            _KINDS[terms.kind],
            asset_number(assets, "terms.asset", terms.asset, entry),
            terms.amount,
            terms.price_paid,
            money_number(assets, "terms.price_asset", terms.price_asset, entry),
            terms.priority,
            tuple(sorted(terms.products)),
            _UNITS[terms.unit],
            terms.every or 1,
            terms.anchor_us,
            terms.zone,
            _PRORATIONS[terms.proration],
            terms.expires_after_us,
            tuple(sorted(terms.tags)),
            tuple(sorted(terms.attributes.items())),
            terms.shared,
            rollover_of(terms.rollover) if terms.HasField("rollover") else None,
            tuple(sorted(terms.metadata.items())),
            terms.source,
        )


def _given(terms: pb.RecurringTerms) -> dict[str, str]:
    """Terms that the core knows by number, as the caller wrote them."""
    return {"terms.asset": terms.asset, "terms.price_asset": terms.price_asset}


def _check_terms(check: Checked, terms: pb.RecurringTerms) -> None:
    check.one_of("terms.kind", terms.kind, _KINDS)
    check.ids(**{"terms.asset": terms.asset})
    check.between("terms.amount", terms.amount, 1)
    check.between("terms.price_paid", terms.price_paid, 0)
    check.optional(**{"terms.price_asset": terms.price_asset})
    if bool(terms.price_paid) != bool(terms.price_asset):
        message = "price_paid and price_asset go together; what is free has neither"
        check.fault(Fault("FIELD_REQUIRED", "terms.price_asset", terms.price_asset, message))
    check_names(check, "terms.products", terms.products, PRODUCTS_A_GRANT_MAX)
    check_names(check, "terms.tags", terms.tags, TAGS_A_GRANT_MAX)
    check.attributes("terms.attributes", terms.attributes)
    check.attributes("terms.metadata", terms.metadata)
    check.optional(**{"terms.source": terms.source})
    if terms.HasField("rollover"):
        check_rollover(check, "terms.rollover", terms.rollover)
    check.one_of("terms.unit", terms.unit, _UNITS)
    check.one_of("terms.proration", terms.proration, _PRORATIONS)
    check.text("terms.zone", terms.zone, ZONE_BYTES_MAX)
