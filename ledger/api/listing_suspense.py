"""Usage of which something waits for a price, oldest first, from the read models (rule B8)."""

from __future__ import annotations

from typing import Final

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, encode_position
from ledger.api.read_models import WAIT_S, behind
from ledger.core.limits import INT64_MAX
from ledger.projections.as_of import History, WaitingRow
from ledger.v1 import usage_pb2 as pb

_ENTRY_BITS: Final = (
    48  # of a page's number: when its last entry was recorded, its shard, its entry
)
_SHARD_BITS: Final = 10
_LAST: Final = (INT64_MAX + 1 << _SHARD_BITS + _ENTRY_BITS) - 1


class SuspenseListing:
    """See UsageService.ListSuspense."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def page(self, request: pb.ListSuspenseRequest) -> pb.ListSuspenseResponse:
        """One page, in the order recorded."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.optional(account=request.account, product=request.product, reason=request.reason)
        check.done()
        account = 0
        if request.account:
            account = (await edge.account(tenant, request.account)).number
        listing = f"suspense/{tenant}/{account}/{request.product}/{request.reason}"
        after = _unpacked(page_after(listing, request.page_token, _LAST))
        history = await self._reached(tenant, request.min_position)
        rows, entries = await history.waiting(
            tenant, account, request.product, request.reason, after, size + 1
        )
        shown = rows[:size]
        names = await edge.names({row.account for row in shown})
        token = page_token(listing, _packed(shown[-1])) if len(rows) > size else ""
        return pb.ListSuspenseResponse(
            usage=[_render(row, names) for row in shown],
            next_page_token=token,
            position=encode_position(entries),
        )

    async def _reached(self, tenant: int, min_position: str) -> History:
        """The read models, once they are as far as is asked. Raises CallFailed."""
        history = self._history
        if history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to list "
                "from",
            )
        for shard, least in sorted(decode_position(min_position).items()):
            standing = await history.reach(tenant, shard, least, WAIT_S)
            if standing.entries < least:
                raise behind(history, shard, standing, least, "min_position", min_position)
        return history


def _render(row: WaitingRow, names: dict[int, str]) -> pb.SuspendedUsage:
    waits = zip(row.quantity_names, row.quantities, row.reasons, strict=True)
    return pb.SuspendedUsage(
        account=names.get(row.account, ""),
        source=row.source or "",
        id=row.event_id or "",
        product=row.product,
        attributes=row.attributes,
        effective_at_us=row.effective_at,
        recorded_at_us=row.recorded_at,
        quantities=[
            pb.SuspendedQuantity(name=name, quantity=quantity, reason=reason)
            for name, quantity, reason in waits
            if reason is not None
        ],
        shard=row.shard,
        entry_seq=row.entry_seq,
    )


def _packed(row: WaitingRow) -> int:
    return (row.recorded_at << _SHARD_BITS | row.shard) << _ENTRY_BITS | row.entry_seq


def _unpacked(after: int) -> tuple[int, int, int]:
    """(recorded at, shard, entry) that a page comes after."""
    place = after >> _ENTRY_BITS
    entry_seq = after & (1 << _ENTRY_BITS) - 1 if after else -1
    return place >> _SHARD_BITS, place & (1 << _SHARD_BITS) - 1, entry_seq
