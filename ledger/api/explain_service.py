"""ExplainService: why recorded usage costs what it costs (row C7 of what we promise)."""

from __future__ import annotations

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.explaining import Account, account_of, render_account
from ledger.api.limits import Checked
from ledger.api.positions import minimum, position_of
from ledger.api.render_usage import render_entry
from ledger.core.events import UsageQuarantined, UsageRecorded
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
        _, explanation, position = await self._one(tenant, request, "")
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
        one, first, _ = await self._one(tenant, request.one, "one.")
        other, second, _ = await self._one(tenant, request.other, "other.")
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
        self, tenant: int, request: pb.ExplainRequest, prefix: str
    ) -> tuple[Account, pb.Explanation, str]:
        edge = self._edge
        check = Checked()
        check.ids(**{f"{prefix}id": request.id})
        check.optional(**{f"{prefix}source": request.source})
        check.done()
        entry = await edge.account(tenant, request.account)
        writer, family = edge.writer(entry), edge.ledger.family(entry)
        key = (
            family.usage(request.source, request.id)
            if request.source
            else family.request(request.id)
        )
        _, reached = await writer.read(lambda _: None, minimum(request.min_position, entry.shard))
        recorded = await writer.recorded(key)
        if recorded is None or not isinstance(recorded.event, UsageRecorded | UsageQuarantined):
            raise CallFailed(
                "USAGE_UNKNOWN",
                "no usage event of the account's family has this source and id, up to position "
                f"{position_of(entry.shard, reached)}",
                field=f"{prefix}id",
                value=request.id,
            )
        account, reached = await writer.read(
            lambda state: account_of(state, recorded, tenant, edge.assets),
            accounts=(entry.number,),
        )
        usage = await render_entry(edge, account.view, recorded, entry.shard)
        usage.source, usage.id = request.source, request.id
        return account, render_account(account, usage), position_of(entry.shard, reached)


def _cause(cause: Cause, quantity: str) -> pb.DifferenceCause:
    return pb.DifferenceCause(
        kind=cause.kind,
        quantity_name=quantity,
        name=cause.name,
        one=cause.one,
        other=cause.other,
    )
