"""Every call of the SDK for callers that do not await: one line each, its types those of the call.

A call is written once, as a coroutine of the client; a line here makes a method of it that has the
same arguments and waits. A call without a line here fails a test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, overload

from ledger.client.aio import DrawdownClient as Async
from ledger.client.looping import LoopThread

P = ParamSpec("P")
R = TypeVar("R")


class called(Generic[P, R]):  # noqa: N801 -- reads as a decorator does
    """A method that runs a coroutine method to its end."""

    def __init__(self, method: Callable[Concatenate[Async, P], Coroutine[Any, Any, R]]) -> None:
        self.method: Final = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, calls: None, owner: object = None) -> called[P, R]: ...

    @overload
    def __get__(self, calls: SyncCalls, owner: object = None) -> Callable[P, R]: ...

    def __get__(
        self, calls: SyncCalls | None, owner: object = None
    ) -> called[P, R] | Callable[P, R]:
        """The method of a client."""
        if calls is None:
            return self

        # by its name: a session has some calls of its own
        bound: Callable[P, Coroutine[Any, Any, R]]
        bound = getattr(calls._client, self.method.__name__)

        @wraps(self.method)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return calls._loop.run(bound(*args, **kwargs))

        return call


class listed(Generic[P, R]):  # noqa: N801 -- reads as a decorator does
    """A method that gives what an asynchronous generator gives, one by one."""

    def __init__(self, method: Callable[Concatenate[Async, P], AsyncIterator[R]]) -> None:
        self.method: Final = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, calls: None, owner: object = None) -> listed[P, R]: ...

    @overload
    def __get__(self, calls: SyncCalls, owner: object = None) -> Callable[P, Iterator[R]]: ...

    def __get__(
        self, calls: SyncCalls | None, owner: object = None
    ) -> listed[P, R] | Callable[P, Iterator[R]]:
        """The method of a client."""
        if calls is None:
            return self

        bound: Callable[P, AsyncIterator[R]] = getattr(calls._client, self.method.__name__)

        @wraps(self.method)
        def call(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
            return calls._loop.each(bound(*args, **kwargs))

        return call


class SyncCalls:
    """Part of sync.DrawdownClient; see the methods of the asynchronous one."""

    _client: Async
    _loop: LoopThread

    acquire_lease = called(Async.acquire_lease)
    add_seats = called(Async.add_seats)
    add_segment = called(Async.add_segment)
    adjust_balance = called(Async.adjust_balance)
    adjustments = listed(Async.adjustments)
    advance_clock = called(Async.advance_clock)
    amend_contract = called(Async.amend_contract)
    amend_usage = called(Async.amend_usage)
    assign_alias = called(Async.assign_alias)
    authorize = called(Async.authorize)
    balance = called(Async.balance)
    balance_changes = called(Async.balance_changes)
    bill = called(Async.bill)
    cancel_subscription = called(Async.cancel_subscription)
    capture = called(Async.capture)
    change_charge_quantity = called(Async.change_charge_quantity)
    change_charge_terms = called(Async.change_charge_terms)
    change_package = called(Async.change_package)
    change_recurring_grant = called(Async.change_recurring_grant)
    change_seat_terms = called(Async.change_seat_terms)
    charge_back = called(Async.charge_back)
    check = called(Async.check)
    check_many = called(Async.check_many)
    explain_decision = called(Async.explain_decision)
    explain_recorded = called(Async.explain_recorded)
    close_account = called(Async.close_account)
    close_statement = called(Async.close_statement)
    compare = called(Async.compare)
    confirm_outcome = called(Async.confirm_outcome)
    confirm_payment = called(Async.confirm_payment)
    confirm_top_up = called(Async.confirm_top_up)
    create_account = called(Async.create_account)
    create_asset = called(Async.create_asset)
    create_commitment = called(Async.create_commitment)
    create_quote = called(Async.create_quote)
    debit = called(Async.debit)
    decline_top_up = called(Async.decline_top_up)
    diff_rate_cards = called(Async.diff_rate_cards)
    draft_statement = called(Async.draft_statement)
    drain = called(Async.drain)
    end_alias = called(Async.end_alias)
    end_charge = called(Async.end_charge)
    end_commitment = called(Async.end_commitment)
    end_contract = called(Async.end_contract)
    end_recurring_grant = called(Async.end_recurring_grant)
    end_seat_plan = called(Async.end_seat_plan)
    erase_account = called(Async.erase_account)
    explain = called(Async.explain)
    explain_difference = called(Async.explain_difference)
    extend = called(Async.extend)
    fail_payment = called(Async.fail_payment)
    forecast = called(Async.forecast)
    freeze_account = called(Async.freeze_account)
    gauges = listed(Async.gauges)
    get_account = called(Async.get_account)
    get_budget = called(Async.get_budget)
    get_decision_policy = called(Async.get_decision_policy)
    get_cap = called(Async.get_cap)
    get_charge = called(Async.get_charge)
    get_clock = called(Async.get_clock)
    get_commitment = called(Async.get_commitment)
    get_contract = called(Async.get_contract)
    get_grant = called(Async.get_grant)
    get_hold = called(Async.get_hold)
    get_mandate = called(Async.get_mandate)
    get_margin = listed(Async.get_margin)
    get_operation_budget = called(Async.get_operation_budget)
    get_operation_policy = called(Async.get_operation_policy)
    get_operation = called(Async.get_operation)
    get_outcome = called(Async.get_outcome)
    get_overage = listed(Async.get_overage)
    get_owed = called(Async.get_owed)
    get_price_overrides = called(Async.get_price_overrides)
    get_price_sheet = called(Async.get_price_sheet)
    get_quote = called(Async.get_quote)
    get_rate_card = called(Async.get_rate_card)
    get_recurring_grant = called(Async.get_recurring_grant)
    get_seat_plan = called(Async.get_seat_plan)
    get_sharing = called(Async.get_sharing)
    get_statement = called(Async.get_statement)
    get_subscription = called(Async.get_subscription)
    get_runway_alerts = called(Async.get_runway_alerts)
    get_top_up = called(Async.get_top_up)
    get_top_up_rules = called(Async.get_top_up_rules)
    get_usage = called(Async.get_usage)
    get_usage_outcome = called(Async.get_usage_outcome)
    give_back_lease = called(Async.give_back_lease)
    ingest_linked = called(Async.ingest_linked)
    ingest_raw = called(Async.ingest_raw)
    issue_credit_note = called(Async.issue_credit_note)
    issue_grant = called(Async.issue_grant)
    issue_mandate_token = called(Async.issue_mandate_token)
    keep_runway = called(Async.keep_runway)
    lease_exposure = called(Async.lease_exposure)
    list_accounts = listed(Async.list_accounts)
    list_assets = listed(Async.list_assets)
    list_budget_values = listed(Async.list_budget_values)
    list_budgets = listed(Async.list_budgets)
    list_caps = listed(Async.list_caps)
    list_charges = listed(Async.list_charges)
    list_commitments = listed(Async.list_commitments)
    list_contracts = listed(Async.list_contracts)
    list_conversions = listed(Async.list_conversions)
    list_fail_modes = listed(Async.list_fail_modes)
    list_fees = listed(Async.list_fees)
    list_grants = listed(Async.list_grants)
    list_holds = called(Async.list_holds)
    list_leases = listed(Async.list_leases)
    list_mandates = listed(Async.list_mandates)
    list_meters = listed(Async.list_meters)
    list_outcomes = listed(Async.list_outcomes)
    list_packages = listed(Async.list_packages)
    list_quotes = listed(Async.list_quotes)
    list_rate_card_aliases = listed(Async.list_rate_card_aliases)
    list_rate_cards = listed(Async.list_rate_cards)
    list_recurring_grants = listed(Async.list_recurring_grants)
    list_seat_plans = called(Async.list_seat_plans)
    list_seats = listed(Async.list_seats)
    list_sizing = listed(Async.list_sizing)
    list_statements = listed(Async.list_statements)
    list_top_ups = listed(Async.list_top_ups)
    move_account = called(Async.move_account)
    present_mandate = called(Async.present_mandate)
    reserve_operation = called(Async.reserve_operation)
    request_top_up = called(Async.request_top_up)
    revoke_mandate = called(Async.revoke_mandate)
    grant_mandate = called(Async.grant_mandate)
    pause_recurring_grant = called(Async.pause_recurring_grant)
    preview_package = called(Async.preview_package)
    preview_subscribers = listed(Async.preview_subscribers)
    publish_sizing = called(Async.publish_sizing)
    publish_conversion = called(Async.publish_conversion)
    publish_meters = called(Async.publish_meters)
    publish_package = called(Async.publish_package)
    publish_rate_card = called(Async.publish_rate_card)
    quote = called(Async.quote)
    reassign_seat = called(Async.reassign_seat)
    recall_lease = called(Async.recall_lease)
    record = called(Async.record)
    record_payment = called(Async.record_payment)
    refresh_routing = called(Async.refresh_routing)
    refund = called(Async.refund)
    reject_outcome = called(Async.reject_outcome)
    release = called(Async.release)
    remove_budget = called(Async.remove_budget)
    remove_cap = called(Async.remove_cap)
    remove_seats = called(Async.remove_seats)
    remove_runway_alert = called(Async.remove_runway_alert)
    remove_top_up_rule = called(Async.remove_top_up_rule)
    renew_lease = called(Async.renew_lease)
    reopen_account = called(Async.reopen_account)
    report_leased_usage = called(Async.report_leased_usage)
    report_outcome = called(Async.report_outcome)
    rerate = listed(Async.rerate)
    resolve_entitlements = called(Async.resolve_entitlements)
    resume_recurring_grant = called(Async.resume_recurring_grant)
    resume_seat = called(Async.resume_seat)
    reverse_all = called(Async.reverse_all)
    reverse_usage = called(Async.reverse_usage)
    roll_up = called(Async.roll_up)
    runway = called(Async.runway)
    set_budget = called(Async.set_budget)
    set_operation_budget = called(Async.set_operation_budget)
    set_operation_policy = called(Async.set_operation_policy)
    set_decision_policy = called(Async.set_decision_policy)
    set_cap = called(Async.set_cap)
    set_fail_mode = called(Async.set_fail_mode)
    set_price_overrides = called(Async.set_price_overrides)
    set_rate_card_alias = called(Async.set_rate_card_alias)
    set_statements = called(Async.set_statements)
    set_runway_alert = called(Async.set_runway_alert)
    set_top_up_rule = called(Async.set_top_up_rule)
    show_lease = called(Async.show_lease)
    show_outcome = called(Async.show_outcome)
    sign_contract = called(Async.sign_contract)
    simulate = called(Async.simulate)
    sizing_accuracy = listed(Async.sizing_accuracy)
    start_charge = called(Async.start_charge)
    start_recurring_grant = called(Async.start_recurring_grant)
    start_seat_plan = called(Async.start_seat_plan)
    subscribe = called(Async.subscribe)
    suspend_seat = called(Async.suspend_seat)
    suspense = listed(Async.suspense)
    trial_balance = called(Async.trial_balance)
    unfreeze_account = called(Async.unfreeze_account)
    update_metadata = called(Async.update_metadata)
    update_policy = called(Async.update_policy)
    update_sharing = called(Async.update_sharing)
    watch = listed(Async.watch)
    void_grant = called(Async.void_grant)
    write_off = called(Async.write_off)
