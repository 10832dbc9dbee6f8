"""FamilyService: with whom grants are shared, and how much of them those below may draw."""

from __future__ import annotations

from typing import Final

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.ids import CAP, GRANT, mint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_budget import window_of
from ledger.api.rendering.render_family import (
    CapView,
    SharingView,
    StandingView,
    render_cap,
    render_sharing,
    render_standing,
    sharing_view,
    standing_view,
)
from ledger.api.requests import asset_number
from ledger.core.commands import Names, RemoveCap, SetCap, UpdateSharing
from ledger.core.events import CapSet, CapTerms, Sharing, SharingMode, SharingUpdated
from ledger.core.limits import SHARED_WITH_MAX, ZONE_BYTES_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.v1 import family_pb2 as pb
from ledger.v1 import types_pb2

_MODES: Final = {int(each): each for each in SharingMode}
_KINDS: Final = {int(value): value for value in types_pb2.WindowKind.values()}
_UNITS: Final = {int(value): value for value in types_pb2.WindowUnit.values()}
_ANOTHER_CAP: Final = (Reason.CAP_INVALID, "cap_id")
"""The refusal of a reserve beside that of another cap, which it names by its number."""


class FamilyService:
    """See ledger/v1/family.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    # -- sharing ---------------------------------------------------------------------------------

    async def update_sharing(
        self, request: pb.UpdateSharingRequest, call: Call
    ) -> pb.UpdateSharingResponse:
        """Share a grant otherwise from now on."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.given("sharing", request.HasField("sharing"))
        check.one_of("sharing.mode", request.sharing.mode, _MODES)
        for field, given in (
            ("accounts", request.sharing.accounts),
            ("labels", request.sharing.labels),
        ):
            if len(given) > SHARED_WITH_MAX:
                message = f"{len(given)} {field}; at most {SHARED_WITH_MAX} allowed"
                check.fault(Fault("TOO_MANY", f"sharing.{field}", str(len(given)), message))
        check.done()
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)
        listed: dict[int, str] = {}
        numbers: list[int] = []
        for place, name in enumerate(request.sharing.accounts):
            named = await edge.account(tenant, name, field=f"sharing.accounts[{place}]")
            listed[named.number] = name
            numbers.append(named.number)
        command = UpdateSharing(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            Sharing(
                _MODES[request.sharing.mode],
                tuple(sorted(numbers)),
                tuple(sorted(request.sharing.labels)),
            ),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given_as = {"account": entry.account_id, "grant_id": request.grant_id}
        ticket = await call.submit(edge.ledger, entry, command)
        outcome = ticket.outcomes[0]
        if isinstance(outcome, Refusal) and outcome.reason == Reason.NOT_BELOW:
            given_as[outcome.field] = listed[int(outcome.value)]
        answer = answer_of(ticket, given_as)
        event = answer.event
        assert isinstance(event, SharingUpdated), event
        view = SharingView(event.account, event.grant, event.sharing, event.version)
        with rendering(answer.position):
            names = await edge.names([event.account, *event.sharing.accounts])
            rendered = render_sharing(view, entry.shard, names)
        return pb.UpdateSharingResponse(
            sharing=rendered,
            alike=[mint(GRANT, entry.shard, event.account, number) for number in event.alike],
            position=answer.position,
            replayed=answer.replayed,
        )

    async def get_sharing(self, request: pb.GetSharingRequest, call: Call) -> pb.GetSharingResponse:
        """With whom a grant is shared."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, GRANT, request.grant_id)

        def find(state: State) -> SharingView | None:
            grant = state.grants.get(minted.number)
            if grant is None or grant.account.number != entry.number:
                return None
            return sharing_view(grant)

        view, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "GRANT_UNKNOWN",
                "the account has no such grant",
                field="grant_id",
                value=request.grant_id,
            )
        names = await edge.names([view.account, *view.sharing.accounts])
        return pb.GetSharingResponse(
            sharing=render_sharing(view, entry.shard, names),
            position=position_of(entry.shard, reached),
        )

    # -- caps ------------------------------------------------------------------------------------

    async def set_cap(self, request: pb.SetCapRequest, call: Call) -> pb.SetCapResponse:
        """Cap what an account below may draw, or change a cap that stands."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        given = request.cap
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.given("cap", request.HasField("cap"))
        if request.HasField("cap"):
            _check_cap(check, given)
        check.done()
        entry, number = await self._owner(tenant, given)
        below = await edge.account(tenant, given.below, field="cap.below") if given.below else None
        grant = 0
        if given.grant_id:
            minted, _ = await edge.minted(tenant, GRANT, given.grant_id, "cap.grant_id")
            grant = minted.number
        command = SetCap(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            below.number if below is not None else 0,
            asset_number(edge.assets, "cap.asset", given.asset, entry),
            grant,
            _terms(given),
            number,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given_as = {
            "account": entry.account_id,
            "cap_id": given.cap_id,
            "cap.below": given.below,
            "cap.asset": given.asset,
            "cap.grant_id": given.grant_id,
        }
        ticket = await call.submit(edge.ledger, entry, command)
        outcome = ticket.outcomes[0]
        if isinstance(outcome, Refusal) and (outcome.reason, outcome.field) == _ANOTHER_CAP:
            given_as["cap_id"] = mint(CAP, entry.shard, entry.number, int(outcome.value))
        answer = answer_of(ticket, given_as)
        event = answer.event
        assert isinstance(event, CapSet), event
        view = CapView(
            event.cap,
            event.account,
            event.below,
            event.asset,
            event.grant,
            event.terms,
            event.version,
        )
        with rendering(answer.position):
            names = await edge.names([event.account, event.below])
            rendered = render_cap(edge.assets, view, entry.shard, names)
        return pb.SetCapResponse(cap=rendered, position=answer.position, replayed=answer.replayed)

    async def remove_cap(self, request: pb.RemoveCapRequest, call: Call) -> pb.RemoveCapResponse:
        """Let a cap bind no more."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.done()
        minted, entry = await edge.minted(tenant, CAP, request.cap_id)
        command = RemoveCap(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            minted.number,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        given_as = {"account": entry.account_id, "cap_id": request.cap_id}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given_as)
        return pb.RemoveCapResponse(position=answer.position, replayed=answer.replayed)

    async def get_cap(self, request: pb.GetCapRequest, call: Call) -> pb.GetCapResponse:
        """One cap, and what it has counted."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, CAP, request.cap_id)
        clock_us = edge.ledger.clock.now_us()

        def find(state: State) -> StandingView | None:
            account = state.accounts.get(entry.number)
            cap = account.caps_given.get(minted.number) if account is not None else None
            return standing_view(cap, _now(state, tenant, clock_us)) if cap is not None else None

        view, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if view is None:
            raise CallFailed(
                "CAP_UNKNOWN",
                "the account has set no such cap",
                field="cap_id",
                value=request.cap_id,
            )
        names = await edge.names([view.cap.account, view.cap.below])
        return pb.GetCapResponse(
            cap=render_standing(edge.assets, view, entry.shard, names),
            position=position_of(entry.shard, reached),
        )

    async def list_caps(self, request: pb.ListCapsRequest, call: Call) -> pb.ListCapsResponse:
        """The caps that an account has set, or those that bind it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        clock_us = edge.ledger.clock.now_us()
        listing = f"caps/{entry.number}/{int(request.binding)}"
        shown = page_after(listing, request.page_token)

        def find(state: State) -> list[StandingView]:
            account = state.accounts.get(entry.number)
            if account is None:
                return []
            if request.binding:
                line = account.line()
                caps = [cap for each in line for cap in each.caps if cap.owner in line]
            else:
                caps = list(account.caps_given.values())
            now = _now(state, tenant, clock_us)
            return [standing_view(cap, now) for cap in caps[shown : shown + size + 1]]

        views, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        more = len(views) > size
        views = views[:size]
        names = await edge.names(
            [number for view in views for number in (view.cap.account, view.cap.below)]
        )
        return pb.ListCapsResponse(
            caps=[render_standing(edge.assets, view, entry.shard, names) for view in views],
            next_page_token=page_token(listing, shown + size) if more else "",
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    async def _owner(self, tenant: int, given: pb.Cap) -> tuple[Entry, int]:
        """The account whose grants are capped, and the number of the cap; 0 = a new one."""
        edge = self._edge
        if not given.cap_id:
            return await edge.account(tenant, given.account, field="cap.account"), 0
        minted, entry = await edge.minted(tenant, CAP, given.cap_id, "cap.cap_id")
        if given.account:
            named = await edge.account(tenant, given.account, field="cap.account")
            if named.number != entry.number:
                raise CallFailed(
                    "CAP_INVALID",
                    "the account of a cap is fixed; remove it and set another",
                    field="cap.account",
                    value=given.account,
                )
        return entry, minted.number


def _terms(cap: pb.Cap) -> CapTerms:
    return CapTerms(
        cap.limit if cap.HasField("limit") else -1,
        cap.numerator,
        cap.denominator,
        window_of(cap.window),
        cap.reserved,
    )


def _check_cap(check: Checked, cap: pb.Cap) -> None:
    check.optional(**{"cap.asset": cap.asset})
    if not cap.cap_id:
        check.ids(**{"cap.account": cap.account, "cap.below": cap.below})
    if cap.HasField("limit"):
        check.between("cap.limit", cap.limit, 0)
    check.between("cap.numerator", cap.numerator, 0)
    check.between("cap.denominator", cap.denominator, 0)
    check.between("cap.reserved", cap.reserved, 0)
    check.one_of("cap.window.kind", cap.window.kind, _KINDS)
    check.one_of("cap.window.unit", cap.window.unit, _UNITS)
    check.text("cap.window.zone", cap.window.zone, ZONE_BYTES_MAX)


def _now(state: State, tenant: int, clock_us: int) -> int:
    """What it is now for the tenant (rule T4)."""
    return max(clock_us, state.recorded_at) + state.offsets.get(tenant, 0)
