"""What counts in a period and is no usage of its own time, from the read models (rule T2)."""

from __future__ import annotations

from typing import Final

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import GRANT, mint
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import position_of
from ledger.api.read_models import reached
from ledger.core.limits import INT64_MAX
from ledger.core.state import State
from ledger.journal.directory import Entry
from ledger.projections.as_of import AdjustmentRow, History
from ledger.v1 import correction_pb2 as pb

_ENTRY_BITS: Final = 48  # of a page's number: when its last entry was recorded, and that entry
_ENTRY: Final = (1 << _ENTRY_BITS) - 1
_LAST: Final = (INT64_MAX + 1 << _ENTRY_BITS) - 1


class AdjustmentListing:
    """See CorrectionService.ListAdjustments."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def page(self, request: pb.ListAdjustmentsRequest) -> pb.ListAdjustmentsResponse:
        """One page, in the order recorded."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.instant("period_at_us", request.period_at_us)
        check.done()
        entry = await edge.account(tenant, request.account)
        at = request.period_at_us or edge.now_us(tenant)
        periods = await self._periods(entry, at, subtree=request.subtree)
        if not periods:
            raise CallFailed(
                "ACCOUNT_UNKNOWN",
                "the account's opening is not recorded; send its Create again",
                field="account",
                value=request.account,
            )
        _, start, end = periods[0]
        listing = f"adjustments/{entry.number}/{request.subtree:d}/{start}"
        after = page_after(listing, request.page_token, _LAST)
        history = await reached(self._history, entry, request.min_position)
        beyond = (after & _ENTRY, after >> _ENTRY_BITS) if after else (-1, -1)
        rows, standing = await history.adjustments(tenant, entry.shard, periods, beyond, size + 1)
        shown = rows[:size]
        names = await edge.names({row.account for row in shown})
        token = ""
        if len(rows) > size:
            last = shown[-1]
            token = page_token(listing, last.recorded_at << _ENTRY_BITS | last.entry_seq)
        return pb.ListAdjustmentsResponse(
            adjustments=[self._render(row, names, entry) for row in shown],
            next_page_token=token,
            period_start_us=start,
            period_end_us=end,
            position=position_of(entry.shard, standing.entries),
        )

    async def _periods(self, entry: Entry, at: int, *, subtree: bool) -> list[tuple[int, int, int]]:
        """(account, start, end) of the period that holds an instant, in the zone of each (rule T1):
        of the account first, then of those below it if they are asked for."""

        def periods(state: State) -> list[tuple[int, int, int]]:
            account = state.accounts.get(entry.number)
            found = [account] if account is not None else []
            for each in found if subtree else ():
                found.extend(each.children)
            months = [(each.number, each.calendar) for each in found]
            return [(number, each.start_of(at), each.end_of(at)) for number, each in months]

        return (await self._edge.writer(entry).read(periods, accounts=(entry.number,)))[0]

    def _render(self, row: AdjustmentRow, names: dict[int, str], entry: Entry) -> pb.Adjustment:
        asset = self._edge.assets.of(row.asset) if row.asset else None
        return pb.Adjustment(
            kind=pb.AdjustmentKind.ValueType(row.kind),
            account=names.get(row.account, ""),
            closed_period_us=row.closed or 0,
            asset=asset.code if asset is not None else "",
            scale=asset.scale if asset is not None else 0,
            charged=row.charged,
            shard=entry.shard,
            entry_seq=row.entry_seq,
            effective_at_us=row.effective_at,
            recorded_at_us=row.recorded_at,
            source=row.source or "",
            usage_id=row.event_id or "",
            original_entry_seq=row.original_entry or 0,
            actor=row.actor or "",
            grant_id=mint(GRANT, entry.shard, row.account, row.grant) if row.grant else "",
        )
