"""BudgetService: what accounts and all below them may use in a window."""

from __future__ import annotations

from typing import Final

from ledger.api.answers import answer_of, rendering
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.limits import Checked
from ledger.api.pages import page_after, page_token
from ledger.api.positions import minimum, position_of
from ledger.api.rendering.render_budget import (
    BudgetView,
    OperationView,
    budget_view,
    operation_view,
    render_budget,
    render_operation,
    render_operation_policy,
    render_set,
    render_standing,
    render_value,
    values_of,
    window_of,
)
from ledger.api.requests import asset_number
from ledger.core.budgets.budgeting import budget_of
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_cover import covering, policy_owner
from ledger.core.budgets.operation_terms import OperationPolicy
from ledger.core.commands import (
    Names,
    RemoveBudget,
    SetBudget,
    SetOperationBudget,
    SetOperationPolicy,
)
from ledger.core.events import (
    BudgetMeasure,
    BudgetSet,
    BudgetTerms,
    OperationBudgetSet,
    OperationPolicySet,
)
from ledger.core.limits import (
    ATTRIBUTE_NAME_BYTES_MAX,
    ATTRIBUTE_VALUE_BYTES_MAX,
    OPERATION_IDLE_MAX_US,
    ZONE_BYTES_MAX,
)
from ledger.core.state import Account, State
from ledger.journal.directory import Entry
from ledger.v1 import budget_pb2 as pb
from ledger.v1 import types_pb2

_MEASURES: Final = {int(each): each for each in BudgetMeasure}
_KINDS: Final = {int(value): value for value in types_pb2.WindowKind.values()}
_UNITS: Final = {int(value): value for value in types_pb2.WindowUnit.values()}


class BudgetService:
    """See ledger/v1/budget.proto."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    async def set(
        self, request: pb.BudgetServiceSetRequest, call: Call
    ) -> pb.BudgetServiceSetResponse:
        """Give an account a budget, or another limit."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.given("budget", request.HasField("budget"))
        if request.HasField("budget"):
            _check_budget(check, request.budget)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = SetBudget(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.budget.name,
            self._terms(request.budget, entry),
            request.expected_version,
            Names("", request.request_id),
            call.trace,
            values_of(request.budget),
        )
        given = {"account": request.account, "budget.asset": request.budget.asset}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, BudgetSet), event
        with rendering(answer.position):
            rendered = render_set(edge.assets, event)
        return pb.BudgetServiceSetResponse(
            budget=rendered, position=answer.position, replayed=answer.replayed
        )

    async def remove(
        self, request: pb.BudgetServiceRemoveRequest, call: Call
    ) -> pb.BudgetServiceRemoveResponse:
        """Count and refuse by a budget no more."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, name=request.name)
        check.done()
        entry = await edge.account(tenant, request.account)
        command = RemoveBudget(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            request.name,
            Names("", request.request_id),
            call.trace,
        )
        given = {"account": request.account, "name": request.name}
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        return pb.BudgetServiceRemoveResponse(position=answer.position, replayed=answer.replayed)

    async def get(
        self, request: pb.BudgetServiceGetRequest, call: Call
    ) -> pb.BudgetServiceGetResponse:
        """One budget of an account, and what it has counted."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(name=request.name)
        check.done()
        entry = await edge.account(tenant, request.account)
        clock_us = edge.ledger.clock.now_us()

        def find(state: State) -> BudgetView | None:
            account = state.accounts.get(entry.number)
            budget = budget_of(account, request.name) if account is not None else None
            return budget_view(budget, _now(state, account, clock_us)) if budget else None

        view, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if view is None:
            raise _unknown(request.name)
        return pb.BudgetServiceGetResponse(
            budget=render_standing(edge.assets, view, entry.account_id),
            position=position_of(entry.shard, reached),
        )

    async def set_operation_budget(
        self, request: pb.SetOperationBudgetRequest, call: Call
    ) -> pb.SetOperationBudgetResponse:
        """Give an operation a budget, or another limit."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id, operation=request.operation)
        check.between("expected_version", request.expected_version, 0)
        check.between("idle_us", request.idle_us, 0, OPERATION_IDLE_MAX_US)
        check.given("budget", request.HasField("budget"))
        if request.HasField("budget"):
            _check_terms(check, request.budget)
        check.done()
        _refuse_of_values(request.budget)
        entry = await edge.account(tenant, request.account)
        family = edge.ledger.family(entry)
        command = SetOperationBudget(
            family.request(request.request_id),
            entry.number,
            family.operation(request.operation),
            self._terms(request.budget, entry),
            request.idle_us,
            request.expected_version,
            Names("", request.request_id, request.operation),
            call.trace,
        )
        given = {
            "account": request.account,
            "operation": request.operation,
            "budget.asset": request.budget.asset,
        }
        answer = answer_of(await call.submit(edge.ledger, entry, command), given)
        event = answer.event
        assert isinstance(event, OperationBudgetSet), event
        with rendering(answer.position):
            rendered = render_budget(edge.assets, "", event.terms, event.version, None)
        return pb.SetOperationBudgetResponse(
            budget=rendered,
            operation_key=event.operation.hex(),
            idle_us=event.idle,
            position=answer.position,
            replayed=answer.replayed,
        )

    async def get_operation_budget(
        self, request: pb.GetOperationBudgetRequest, call: Call
    ) -> pb.GetOperationBudgetResponse:
        """The nearest budget that covers an operation."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(operation=request.operation)
        check.done()
        entry = await edge.account(tenant, request.account)
        operation = edge.ledger.family(entry).operation(request.operation)
        clock_us = edge.ledger.clock.now_us()

        def find(state: State) -> OperationView | None:
            account = state.accounts.get(entry.number)
            if account is None:
                return None
            now = _now(state, account, clock_us)
            budgets = covering(state, account, operation, now)
            return operation_view(budgets[0], now) if budgets else None

        view, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if view is None:
            message = "no budget covers the operation: none was set, or it has ended"
            raise CallFailed("BUDGET_UNKNOWN", message, field="operation", value=request.operation)
        names = await edge.names([view.budget.account])
        response = render_operation(edge.assets, view, names[view.budget.account])
        response.position = position_of(entry.shard, reached)
        return response

    async def set_operation_policy(
        self, request: pb.SetOperationPolicyRequest, call: Call
    ) -> pb.SetOperationPolicyResponse:
        """Say what each operation may use, or that none is given a budget any more."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(request_id=request.request_id)
        check.between("expected_version", request.expected_version, 0)
        check.between("idle_us", request.idle_us, 0, OPERATION_IDLE_MAX_US)
        given = request.HasField("budget")
        if given:
            _check_terms(check, request.budget)
        check.done()
        _refuse_of_values(request.budget)
        entry = await edge.account(tenant, request.account)
        command = SetOperationPolicy(
            edge.ledger.family(entry).request(request.request_id),
            entry.number,
            self._terms(request.budget, entry) if given else None,
            request.idle_us if given else 0,
            request.expected_version,
            Names("", request.request_id),
            call.trace,
        )
        named = {"account": request.account, "budget.asset": request.budget.asset}
        answer = answer_of(await call.submit(edge.ledger, entry, command), named)
        event = answer.event
        assert isinstance(event, OperationPolicySet), event
        with rendering(answer.position):
            policy = OperationPolicy(event.version, event.terms, event.idle)
            rendered = render_operation_policy(edge.assets, policy, entry.account_id)
        return pb.SetOperationPolicyResponse(
            policy=rendered, position=answer.position, replayed=answer.replayed
        )

    async def get_operation_policy(
        self, request: pb.GetOperationPolicyRequest, call: Call
    ) -> pb.GetOperationPolicyResponse:
        """The account's own policy of operations, and that which counts for it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        entry = await edge.account(tenant, request.account)

        def find(state: State) -> tuple[OperationPolicy | None, tuple[int, OperationPolicy] | None]:
            account = state.accounts.get(entry.number)
            if account is None:
                return None, None
            owner = policy_owner(account)
            standing = owner.gives if owner is not None else None
            counts = (owner.number, standing) if owner is not None and standing else None
            return account.operation_policy, counts

        (own, counts), reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        response = pb.GetOperationPolicyResponse(
            own=render_operation_policy(edge.assets, own or OperationPolicy(0), entry.account_id),
            position=position_of(entry.shard, reached),
        )
        if counts is not None:
            names = await edge.names([counts[0]])
            response.standing.CopyFrom(
                render_operation_policy(edge.assets, counts[1], names[counts[0]])
            )
        return response

    async def list(
        self, request: pb.BudgetServiceListRequest, call: Call
    ) -> pb.BudgetServiceListResponse:
        """The budgets of an account; with those above it, all that apply to it."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        size = check.page_size(request.page_size)
        check.done()
        entry = await edge.account(tenant, request.account)
        clock_us = edge.ledger.clock.now_us()
        listing = f"budgets/{entry.number}/{int(request.include_above)}"
        shown = page_after(listing, request.page_token)

        def find(state: State) -> list[BudgetView]:
            views: list[BudgetView] = []
            account = state.accounts.get(entry.number)
            now = _now(state, account, clock_us)
            while account is not None:
                views.extend([budget_view(each, now) for each in account.budgets])
                account = account.parent if request.include_above else None
            return views[shown : shown + size + 1]

        views, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        more = len(views) > size
        views = views[:size]
        names = await edge.names([view.account for view in views])
        return pb.BudgetServiceListResponse(
            budgets=[render_standing(edge.assets, view, names[view.account]) for view in views],
            next_page_token=page_token(listing, shown + size) if more else "",
            position=position_of(entry.shard, reached),
        )

    async def list_values(self, request: pb.ListValuesRequest, call: Call) -> pb.ListValuesResponse:
        """What a budget has counted of each value."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        check = Checked()
        check.ids(name=request.name)
        size = check.page_size(request.page_size)
        for value in request.value:
            check.text("value", value, ATTRIBUTE_VALUE_BYTES_MAX)
        check.done()
        entry = await edge.account(tenant, request.account)
        clock_us = edge.ledger.clock.now_us()
        wanted = tuple(request.value)
        listing = f"budget values/{entry.number}/{request.name}/{wanted}"
        shown = page_after(listing, request.page_token)

        def find(state: State) -> list[BudgetView] | None:
            account = state.accounts.get(entry.number)
            budget = budget_of(account, request.name) if account is not None else None
            if budget is None:
                return None
            values = budget.values
            now = _now(state, account, clock_us)
            if values is None:
                return []
            if wanted:
                counter = values.counter_of(wanted, now)
                counters = [counter] if counter is not None else []
            else:
                counters = values.counters()
            counters = sorted([each for each in counters if each.number > shown], key=_by_number)
            return [budget_view(each, now) for each in counters[: size + 1]]

        views, reached = await edge.writer(entry).read(
            find, minimum(request.min_position, entry.shard), (entry.number,)
        )
        if views is None:
            raise _unknown(request.name)
        more = len(views) > size
        views = views[:size]
        return pb.ListValuesResponse(
            values=[render_value(view) for view in views],
            next_page_token=page_token(listing, views[-1].number) if more else "",
            position=position_of(entry.shard, reached),
        )

    # -- parts -----------------------------------------------------------------------------------

    def _terms(self, budget: pb.Budget, entry: Entry) -> BudgetTerms:
        assets = self._edge.assets
        return BudgetTerms(
            BudgetMeasure(budget.measure),
            budget.limit,
            asset_number(assets, "budget.asset", budget.asset, entry) if budget.asset else 0,
            budget.quantity,
            not budget.soft,
            window_of(budget.window),
            tuple(budget.products),
            tuple(budget.tags),
            tuple(sorted(budget.attributes.items())),
            tuple(budget.thresholds),
        )


def _unknown(name: str) -> CallFailed:
    message = "the account has no budget of that name"
    return CallFailed("BUDGET_UNKNOWN", message, field="name", value=name)


def _by_number(budget: Budget) -> int:
    return budget.number


def _refuse_of_values(budget: pb.Budget) -> None:
    """The budget of an operation is known by that, and counts all of it together."""
    for field in ("name", "group_by", "values_max", "value_limits"):
        if getattr(budget, field):
            message = "the budget of an operation has none; leave it out"
            raise CallFailed("FIELD_NOT_ALLOWED", message, field=f"budget.{field}")


def _check_budget(check: Checked, budget: pb.Budget) -> None:
    check.ids(**{"budget.name": budget.name})
    _check_terms(check, budget)


def _check_terms(check: Checked, budget: pb.Budget) -> None:
    check.one_of("budget.measure", budget.measure, _MEASURES)
    check.optional(**{"budget.asset": budget.asset, "budget.quantity": budget.quantity})
    check.one_of("budget.window.kind", budget.window.kind, _KINDS)
    check.one_of("budget.window.unit", budget.window.unit, _UNITS)
    check.text("budget.window.zone", budget.window.zone, ZONE_BYTES_MAX)
    for field, values in (("products", budget.products), ("tags", budget.tags)):
        for value in values:
            check.ids(**{f"budget.{field}": value})
    check.attributes("budget.attributes", budget.attributes)
    for name in budget.group_by:
        check.text("budget.group_by", name, ATTRIBUTE_NAME_BYTES_MAX)
    for limit in budget.value_limits:
        for value in limit.value:
            check.text("budget.value_limits", value, ATTRIBUTE_VALUE_BYTES_MAX)


def _now(state: State, account: Account | None, clock_us: int) -> int:
    """What it is now for the account's tenant (rule T4)."""
    offset = state.offsets.get(account.tenant, 0) if account is not None else 0
    return max(clock_us, state.recorded_at) + offset
