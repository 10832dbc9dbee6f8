"""Calls of BudgetService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ledger.client.calls import Caller
from ledger.v1 import budget_pb2 as pb
from ledger.v1.budget_pb2_grpc import BudgetServiceStub

PAGE_SIZE = 1_000


class BudgetCalls:
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    _caller: Caller

    async def set_budget(
        self, account: str, budget: pb.Budget, *, expected_version: int = 0, request_id: str = ""
    ) -> pb.BudgetServiceSetResponse:
        """Give an account a budget, or the one of that name another limit; version 0 = whatever it
        is."""
        request = pb.BudgetServiceSetRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            budget=budget,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).Set, request, account
        )

    async def set_operation_budget(
        self,
        account: str,
        operation: str,
        budget: pb.Budget,
        *,
        idle_us: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SetOperationBudgetResponse:
        """Give an operation, with all that it causes, a budget, or the one that it has another
        limit; it ends `idle_us` after the last that counted in it, 0 = 24 hours."""
        request = pb.SetOperationBudgetRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            operation=operation,
            budget=budget,
            idle_us=idle_us,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).SetOperationBudget, request, account
        )

    async def get_operation_budget(
        self, account: str, operation: str, *, min_position: str | None = None
    ) -> pb.GetOperationBudgetResponse:
        """The nearest budget that covers an operation, with what is used and left."""
        request = pb.GetOperationBudgetRequest(
            tenant=self._caller.tenant,
            account=account,
            operation=operation,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).GetOperationBudget, request, account
        )

    async def set_operation_policy(
        self,
        account: str,
        budget: pb.Budget | None,
        *,
        idle_us: int = 0,
        expected_version: int = 0,
        request_id: str = "",
    ) -> pb.SetOperationPolicyResponse:
        """Say what each operation of an account, and of those below it, may use that has no budget
        set by hand; None = nothing any more: it goes by those above it."""
        request = pb.SetOperationPolicyRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            budget=budget,
            idle_us=idle_us,
            expected_version=expected_version,
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).SetOperationPolicy, request, account
        )

    async def get_operation_policy(
        self, account: str, *, min_position: str | None = None
    ) -> pb.GetOperationPolicyResponse:
        """The account's own policy of operations, and that which counts for it."""
        request = pb.GetOperationPolicyRequest(
            tenant=self._caller.tenant,
            account=account,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).GetOperationPolicy, request, account
        )

    async def remove_budget(
        self, account: str, name: str, *, request_id: str = ""
    ) -> pb.BudgetServiceRemoveResponse:
        """Count and refuse by it no more."""
        request = pb.BudgetServiceRemoveRequest(
            tenant=self._caller.tenant,
            request_id=request_id or self._caller.new_id(),
            account=account,
            name=name,
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).Remove, request, account
        )

    async def get_budget(
        self, account: str, name: str, *, min_position: str | None = None
    ) -> pb.BudgetServiceGetResponse:
        """A budget with what is used and left in its present window."""
        request = pb.BudgetServiceGetRequest(
            tenant=self._caller.tenant,
            account=account,
            name=name,
            min_position=self._caller.min_position(min_position),
        )
        return await self._caller.call(
            lambda channel: BudgetServiceStub(channel).Get, request, account
        )

    async def list_budgets(
        self, account: str, *, include_above: bool = False, min_position: str | None = None
    ) -> AsyncIterator[pb.BudgetStanding]:
        """The budgets of an account; with those above it, all that apply to it."""
        request = pb.BudgetServiceListRequest(
            tenant=self._caller.tenant,
            account=account,
            include_above=include_above,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: BudgetServiceStub(channel).List, request, account
            )
            for budget in reply.budgets:
                yield budget
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    async def list_budget_values(
        self,
        account: str,
        name: str,
        *,
        value: Sequence[str] = (),
        min_position: str | None = None,
    ) -> AsyncIterator[pb.BudgetValueStanding]:
        """What a budget has counted of each value; `value`: only of this one, where it counts."""
        request = pb.ListValuesRequest(
            tenant=self._caller.tenant,
            account=account,
            name=name,
            value=value,
            page_size=PAGE_SIZE,
            min_position=self._caller.min_position(min_position),
        )
        while True:
            reply = await self._caller.call(
                lambda channel: BudgetServiceStub(channel).ListValues, request, account
            )
            for each in reply.values:
                yield each
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token
