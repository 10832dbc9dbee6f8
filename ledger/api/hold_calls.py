"""Calls of DecisionService that show holds: one, or an account's page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import HOLD
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_hold import (
    HoldDetails,
    HoldPage,
    find_hold,
    open_holds,
    render_hold,
    settled_holds,
)
from ledger.core.state import Account, State
from ledger.journal.directory import Entry
from ledger.v1 import decision_pb2 as pb

_FILTERS: Final[Mapping[int, Callable[[State, Account | None, int, int], HoldPage]]] = {
    pb.HOLD_FILTER_UNSPECIFIED: open_holds,
    pb.HOLD_FILTER_OPEN: open_holds,
    pb.HOLD_FILTER_SETTLED: settled_holds,
}


class HoldCalls:
    """Part of DecisionService."""

    _edge: Edge

    async def get_hold(self, request: pb.GetHoldRequest, call: Call) -> pb.GetHoldResponse:
        """One hold, open or settled within the window."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        minted, entry = await edge.minted(tenant, HOLD, request.hold_id)
        found, reached = await edge.writer(entry).read(
            lambda state: find_hold(state, entry.number, minted.number),
            minimum(request.min_position, entry.shard),
            (entry.number,),
        )
        if found is None:
            raise CallFailed(
                "HOLD_UNKNOWN",
                "the account has no such hold, or it was settled more than 35 days ago",
                field="hold_id",
                value=request.hold_id,
            )
        [hold] = await self._rendered([found], entry)
        return pb.GetHoldResponse(hold=hold, position=position_of(entry.shard, reached))

    async def list_holds(self, request: pb.ListHoldsRequest, call: Call) -> pb.ListHoldsResponse:
        """An account's holds, page by page."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.one_of("filter", request.filter, _FILTERS)
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        choose = _FILTERS[request.filter]
        listing = f"holds/{entry.number}/{choose.__name__}"
        after = page_after(listing, request.page_token)

        def page(state: State) -> HoldPage:
            return choose(state, state.accounts.get(entry.number), after, size)

        found, reached = await edge.writer(entry).read(
            page, minimum(request.min_position, entry.shard), (entry.number,)
        )
        return pb.ListHoldsResponse(
            holds=await self._rendered(found.holds, entry),
            next_page_token=page_token(listing, found.after) if found.after else "",
            position=position_of(entry.shard, reached),
        )

    async def _rendered(self, holds: Iterable[HoldDetails], entry: Entry) -> list[pb.Hold]:
        numbers = {entry.number}
        for hold in holds:
            numbers.update([piece.payer for piece in hold.slices])
        names = await self._edge.names(numbers)
        return [render_hold(self._edge.assets, hold, entry.shard, names) for hold in holds]
