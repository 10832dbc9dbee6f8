"""ExplainService: why recorded usage costs what it costs (row C7 of what we promise)."""

from __future__ import annotations

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.explaining import Account, account_of, render_account
from ledger.api.limits import Checked
from ledger.api.positions import position_of
from ledger.api.showing_usage import find_usage, show_usage
from ledger.v1 import explain_pb2 as pb
from rating.differences import Cause, difference
from rating.wording import difference_in_words


class ExplainService:
    """See ledger/v1/explain.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def explain(self, request: pb.ExplainRequest, call: Call) -> pb.ExplainResponse:
        """One event, as data and in words."""
        tenant = await self._edge.tenant(request.tenant)
        _, explanation, position = await self._one(tenant, request, "", call)
        return pb.ExplainResponse(explanation=explanation, position=position)

    async def explain_difference(
        self, request: pb.ExplainDifferenceRequest, call: Call
    ) -> pb.ExplainDifferenceResponse:
        """Two events, and why the second cost more than the first."""
        tenant = await self._edge.tenant(request.tenant)
        check = Checked()
        check.given("one", request.HasField("one"))
        check.given("other", request.HasField("other"))
        check.done()
        one, first, _ = await self._one(tenant, request.one, "one.", call)
        other, second, _ = await self._one(tenant, request.other, "other.", call)
        left, right = one.explanation, other.explanation
        if left is None or right is None:
            named = ("one.id", request.one.id) if left is None else ("other.id", request.other.id)
            raise CallFailed(
                "NOT_COMPARABLE",
                "no rate card priced the event, so there is nothing to compare; explain it alone",
                field=named[0],
                value=named[1],
            )
        if (left.asset, left.asset_scale) != (right.asset, right.asset_scale):
            raise CallFailed(
                "NOT_COMPARABLE",
                f"the events are charged in {left.asset!r} and {right.asset!r}; compare events of "
                "one asset",
                field="other.id",
                value=request.other.id,
            )
        found = difference(left, right)
        causes = [_cause(each, "") for each in found.causes]
        for line in found.lines:
            causes += [_cause(each, line.quantity) for each in line.causes]
        return pb.ExplainDifferenceResponse(
            one=first,
            other=second,
            charged_more=found.more,
            causes=causes,
            words=difference_in_words(found, left, right).splitlines(),
        )

    async def _one(
        self, tenant: int, request: pb.ExplainRequest, prefix: str, call: Call
    ) -> tuple[Account, pb.Explanation, str]:
        found = await find_usage(self._edge, tenant, request, call, prefix)
        assets = self._edge.assets
        (account, views), reached = await found.writer.read(
            lambda state: (
                account_of(state, found.recorded, tenant, assets),
                found.views(state),
            ),
            accounts=(found.account,),
        )
        usage = await show_usage(self._edge, found, views, request)
        position = position_of(found.writer.shard, reached)
        return account, render_account(account, usage), position


def _cause(cause: Cause, quantity: str) -> pb.DifferenceCause:
    return pb.DifferenceCause(
        kind=cause.kind,
        quantity_name=quantity,
        name=cause.name,
        one=cause.one,
        other=cause.other,
    )
