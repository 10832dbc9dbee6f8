"""ReportService: what usage earned and cost, from the read models."""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import decode_position, encode_position
from ledger.api.read_models import WAIT_S, behind
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import INT64_MAX
from ledger.projections.as_of import History
from ledger.projections.earnings import Earned, Earnings, Figure, GroupBy, Operation
from ledger.v1 import report_pb2 as pb
from rating.card import ATTRIBUTE_NAME_BYTES_MAX

_GROUPS: Final = {
    pb.MARGIN_GROUP_UNSPECIFIED: GroupBy.PRODUCT,
    pb.MARGIN_GROUP_PRODUCT: GroupBy.PRODUCT,
    pb.MARGIN_GROUP_ACCOUNT: GroupBy.ACCOUNT,
    pb.MARGIN_GROUP_OPERATION: GroupBy.OPERATION,
    pb.MARGIN_GROUP_ATTRIBUTE: GroupBy.ATTRIBUTE,
}


class ReportService:
    """See ledger/v1/report.proto."""

    def __init__(self, edge: Edge, history: History | None = None) -> None:
        """`history` None: there are no read models."""
        self._edge = edge
        self._history = history

    async def get_margin(self, request: pb.GetMarginRequest, call: Call) -> pb.GetMarginResponse:
        """What usage of a span of time earned and cost, by group."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.optional(account=request.account)
        check.instant("from_us", request.from_us)
        check.instant("to_us", request.to_us)
        check.one_of("group_by", request.group_by, {int(each): each for each in _GROUPS})
        size = check.page_size(request.page_size)
        by = _GROUPS.get(request.group_by, GroupBy.PRODUCT)
        check.text("attribute", request.attribute, ATTRIBUTE_NAME_BYTES_MAX)
        if by == GroupBy.ATTRIBUTE:
            check.given("attribute", bool(request.attribute))
        elif request.attribute:
            message = "usage is grouped by an attribute only with MARGIN_GROUP_ATTRIBUTE"
            check.fault(Fault("FIELD_NOT_ALLOWED", "attribute", request.attribute, message))
        check.done()
        account = None
        if request.account:
            account = (await edge.account(tenant, request.account)).number
        end = request.to_us or INT64_MAX
        listing = (
            f"margin/{tenant}/{account}/{request.subtree:d}/{request.from_us}/{end}/{by:d}/"
            f"{request.attribute}"
        )
        after = page_after(listing, request.page_token)
        earnings = await self._reached(tenant, request.min_position)
        groups, entries = await earnings.margin(
            tenant, account, request.subtree, request.from_us, end, by, request.attribute, after,
            size + 1,
        )  # fmt: skip
        shown = groups[:size]
        names: dict[int, str] = {}
        if by == GroupBy.ACCOUNT:
            names = await edge.names({int(group) for group, _ in shown if group is not None})
        return pb.GetMarginResponse(
            rows=[
                pb.MarginRow(
                    group=names.get(int(group), "") if names and group is not None else group or "",
                    named=group is not None,
                    earnings=self._render(earned),
                )
                for group, earned in shown
            ],
            next_page_token=page_token(listing, after + size) if len(groups) > size else "",
            position=encode_position(entries),
        )

    async def get_overage(self, request: pb.GetOverageRequest, call: Call) -> pb.GetOverageResponse:
        """What was put on a payer's overage, by the account whose usage it was."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.instant("from_us", request.from_us)
        check.instant("to_us", request.to_us)
        size = check.page_size(request.page_size)
        check.done()
        payer = (await edge.account(tenant, request.account)).number
        end = request.to_us or INT64_MAX
        listing = f"overage/{tenant}/{payer}/{request.from_us}/{end}"
        after = page_after(listing, request.page_token)
        earnings = await self._reached(tenant, request.min_position)
        found, entries = await earnings.overage(
            tenant, payer, request.from_us, end, after, size + 1
        )
        shown = found[:size]
        names = await edge.names({account for account, _, _ in shown})
        rows = []
        for account, number, amount in shown:
            asset = edge.assets.of(number)
            rows.append(
                pb.OverageRow(
                    account=names[account],
                    asset=asset.code,
                    scale=asset.scale,
                    amount=str(amount),
                )
            )
        return pb.GetOverageResponse(
            rows=rows,
            next_page_token=page_token(listing, after + size) if len(found) > size else "",
            position=encode_position(entries),
        )

    async def get_operation(
        self, request: pb.GetOperationRequest, call: Call
    ) -> pb.GetOperationResponse:
        """One operation, with what it caused and what caused it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        key = await self._key(tenant, request)
        earnings = await self._reached(tenant, request.min_position)
        tree = await earnings.operation(tenant, key)
        if not tree.operations:
            raise CallFailed(
                "OPERATION_UNKNOWN",
                "no usage that the read models know names this operation",
                field="operation_key" if request.operation_key else "operation",
                value=request.operation_key or request.operation,
            )
        return pb.GetOperationResponse(
            operations=[self._node(each) for each in tree.operations],
            parents=[
                pb.OperationName(operation=name or "", operation_key=parent.hex())
                for parent, name in tree.parents
            ],
            more=tree.more,
            position=encode_position(tree.entries),
        )

    async def _key(self, tenant: int, request: pb.GetOperationRequest) -> bytes:
        """The digest that entries name the operation by. Raises CallFailed."""
        check = Checked()
        if not request.operation_key:
            check.ids(account=request.account, operation=request.operation)
            check.done()
            entry = await self._edge.account(tenant, request.account)
            return self._edge.ledger.family(entry).operation(request.operation)
        if request.operation or request.account:
            message = "name the operation by account and id, or by its key"
            check.fault(Fault("FIELD_NOT_ALLOWED", "operation_key", request.operation_key, message))
        try:
            key = bytes.fromhex(request.operation_key)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            message = f"a key is {KEY_BYTES * 2} hexadecimal digits"
            check.fault(Fault("TEXT_INVALID", "operation_key", request.operation_key, message))
        check.done()
        return key

    async def _reached(self, tenant: int, min_position: str) -> Earnings:
        """The read models, once they are as far as is asked. Raises CallFailed."""
        history = self._history
        if history is None:
            raise CallFailed(
                "READ_MODELS_ABSENT",
                "this server keeps nothing in PostgreSQL, so that it has no read models to report "
                "from",
            )
        for shard, least in decode_position(min_position).items():
            standing = await history.reach(tenant, shard, least, WAIT_S)
            if standing.entries < least:
                raise behind(history, shard, standing, least, "min_position", min_position)
        await self._edge.assets.read(tenant)
        return Earnings(history.pool)

    # -- messages --------------------------------------------------------------------------------

    def _node(self, operation: Operation) -> pb.OperationNode:
        return pb.OperationNode(
            operation=pb.OperationName(
                operation=operation.name or "", operation_key=operation.key.hex()
            ),
            parent_key=operation.parent.hex() if operation.parent is not None else "",
            depth=operation.depth,
            own=self._render(operation.own),
            total=self._render(operation.total),
        )

    def _render(self, earned: Earned) -> pb.Earnings:
        values, costs = earned.of(Figure.EARNED), earned.of(Figure.COST)
        repaid = earned.of(Figure.REPAID)
        money: list[pb.MoneyMargin] = []
        for number in earned.money:
            asset = self._edge.assets.of(number)
            value, cost, later = (each.get(number, 0) for each in (values, costs, repaid))
            money.append(
                pb.MoneyMargin(
                    asset=asset.code,
                    scale=asset.scale,
                    earned=str(value),
                    repaid=str(later),
                    cost=str(cost),
                    margin=str(value + later - cost),
                )
            )
        return pb.Earnings(
            calls=earned.calls,
            unrated_calls=earned.unrated,
            unknown_cost_calls=earned.unknown,
            money=money,
            burnt=self._sums(earned.of(Figure.BURNT)),
            advanced=self._sums(earned.of(Figure.ADVANCED)),
        )

    def _sums(self, amounts: dict[int, int]) -> list[pb.AssetSum]:
        assets = self._edge.assets
        return [
            pb.AssetSum(asset=asset.code, scale=asset.scale, amount=str(amount))
            for asset, amount in ((assets.of(number), each) for number, each in amounts.items())
        ]
