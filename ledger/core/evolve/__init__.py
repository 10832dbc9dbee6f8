"""The only code that changes state: live and in replay the same functions, which never judge.

Each applies figures that stand in the event, and nothing else: no price, no clock, no order is
computed here. Figures that contradict the books stop the writer (`BooksUnbalanced`, rule B7).

    moves                                    what several do: pay, retire, owe, set a timer
    books, usage, suspense, holds, quotes, accounts, grants, caps, payments, corrections, recurring,
    commitments, top_ups, minimums, packages, charges, seats,
    statements                                                   one module a kind of event
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ledger.core import events as e
from ledger.core.evolve.accounts import (
    account_closed,
    account_closed_out,
    account_created,
    account_frozen,
    account_policy_updated,
    account_profile_updated,
    account_reopened,
    account_unfrozen,
)
from ledger.core.evolve.books import (
    book_opened,
    clock_advanced,
    configuration_applied,
    limit_exceeded,
    plan_declared,
    request_abandoned,
    time_shifted,
    usage_quarantined,
    writer_opened,
)
from ledger.core.evolve.budgets import (
    budget_crossed,
    budget_removed,
    budget_set,
    budget_value_opened,
    budgets_counted,
    budgets_tallied,
)
from ledger.core.evolve.caps import (
    cap_begun,
    cap_removed,
    cap_set,
    cap_window_opened,
    sharing_updated,
)
from ledger.core.evolve.charges import (
    charge_changed,
    charge_ended,
    charge_period_begun,
    charge_repriced,
    charge_started,
    fee_charged,
    fee_recognised,
)
from ledger.core.evolve.commitments import (
    commitment_created,
    commitment_ended,
    invoice_due,
    segment_added,
)
from ledger.core.evolve.contracts import (
    contract_amended,
    contract_begun,
    contract_ended,
    contract_renewed,
    contract_signed,
)
from ledger.core.evolve.conversions import conversion_reversed, usage_converted
from ledger.core.evolve.corrections import adjustment_noted, balance_adjusted, usage_reversed
from ledger.core.evolve.decision_policies import decision_policy_set, package_rules_set
from ledger.core.evolve.gauges import gauge_charged, gauge_reported, gauge_reversed
from ledger.core.evolve.grants import (
    grant_cancelled,
    grant_expired,
    grant_issued,
    grant_released,
    grant_restored,
    grant_rolled_over,
    grant_rollover_set,
    grant_started,
    grant_voided,
)
from ledger.core.evolve.holds import (
    authorize_denied,
    hold_authorized,
    hold_expired,
    hold_extended,
    hold_refilled,
    hold_released,
    outcome_rejected,
    outcome_reported,
)
from ledger.core.evolve.leases import (
    lease_granted,
    lease_lapsed,
    lease_overdue,
    lease_recalled,
    lease_renewed,
    lease_returned,
    operation_lease_granted,
    usage_leased,
)
from ledger.core.evolve.mandates import (
    mandate_granted,
    mandate_revoked,
    purchase_requested,
)
from ledger.core.evolve.metering import meters_reversed, usage_metered
from ledger.core.evolve.minimums import minimum_charged, minimums_awaited
from ledger.core.evolve.operations import (
    operation_budget_begun,
    operation_budget_ended,
    operation_budget_set,
    operation_joined,
    operation_policy_set,
    package_operations_set,
)
from ledger.core.evolve.overrides import price_overrides_set
from ledger.core.evolve.packages import (
    package_changed,
    package_period_begun,
    package_phase_begun,
    package_prices_set,
    subscribed,
    subscription_cancelled,
    subscription_ended,
)
from ledger.core.evolve.payments import (
    account_billed,
    grant_charged_back,
    grant_reduced,
    grant_refunded,
    payment_recorded,
    receivable_lowered,
)
from ledger.core.evolve.quotes import quote_expired, quote_made, usage_quoted
from ledger.core.evolve.recurring import (
    recurring_changed,
    recurring_ended,
    recurring_issued,
    recurring_paused,
    recurring_resumed,
    recurring_started,
)
from ledger.core.evolve.runways import runway_alert_removed, runway_alert_set, runway_crossed
from ledger.core.evolve.seats import (
    seat_allowance_low,
    seat_period_begun,
    seat_plan_ended,
    seat_plan_started,
    seat_reassigned,
    seat_suspended,
    seat_terms_changed,
    seats_added,
    seats_removed,
)
from ledger.core.evolve.shared_totals import rerate_shared, shared_rerated
from ledger.core.evolve.statements import statement_closed, statement_ended, statements_set
from ledger.core.evolve.top_ups import (
    top_up_confirmed,
    top_up_declined,
    top_up_expired,
    top_up_requested,
    top_up_rule_removed,
    top_up_rule_set,
)
from ledger.core.evolve.tree import account_moved
from ledger.core.evolve.usage import (
    suspense_rated,
    usage_costed,
    usage_recorded,
    usage_rerated,
)
from ledger.core.state import State

__all__ = [
    "evolve",
    "evolve_all",
]


def evolve(state: State, event: e.Event) -> None:
    """Apply one event as the next entry of the current batch."""
    if type(event) is e.UsageRecorded:
        usage_recorded(state, event)
    else:
        EVOLVERS[type(event)](state, event)
    state.locator += 1


def evolve_all(state: State, events: Iterable[e.Event]) -> None:
    """Apply events of one batch, in order: a replay."""
    for event in events:
        if type(event) is e.UsageRecorded:
            usage_recorded(state, event)
        else:
            EVOLVERS[type(event)](state, event)
        state.locator += 1


EVOLVERS: dict[type, Callable[[State, Any], None]] = {
    e.WriterOpened: writer_opened,
    e.ConfigurationApplied: configuration_applied,
    e.ClockAdvanced: clock_advanced,
    e.TimeShifted: time_shifted,
    e.BookOpened: book_opened,
    e.AccountCreated: account_created,
    e.AccountPolicyUpdated: account_policy_updated,
    e.AccountClosed: account_closed,
    e.AccountClosedOut: account_closed_out,
    e.AccountFrozen: account_frozen,
    e.AccountMoved: account_moved,
    e.AccountUnfrozen: account_unfrozen,
    e.AccountReopened: account_reopened,
    e.AccountProfileUpdated: account_profile_updated,
    e.GrantIssued: grant_issued,
    e.SharingUpdated: sharing_updated,
    e.CapSet: cap_set,
    e.CapBegun: cap_begun,
    e.CapRemoved: cap_removed,
    e.CapWindowOpened: cap_window_opened,
    e.GrantStarted: grant_started,
    e.GrantRolledOver: grant_rolled_over,
    e.GrantRolloverSet: grant_rollover_set,
    e.GrantReleased: grant_released,
    e.GrantCancelled: grant_cancelled,
    e.GrantVoided: grant_voided,
    e.GrantExpired: grant_expired,
    e.PlanDeclared: plan_declared,
    e.PlanOverridden: plan_declared,
    e.UsageRecorded: usage_recorded,
    e.UsageModeled: usage_recorded,
    e.UsageCosted: usage_costed,
    e.UsageCaptured: usage_costed,
    e.UsageDebited: usage_costed,
    e.PolicyDebited: usage_costed,
    e.HoldDebited: usage_costed,
    e.HoldCharged: usage_costed,
    e.SuspenseRated: suspense_rated,
    e.UsageQuoted: usage_quoted,
    e.UsageRepriced: usage_costed,
    e.QuoteMade: quote_made,
    e.QuoteExpired: quote_expired,
    e.UsageQuarantined: usage_quarantined,
    e.LimitExceeded: limit_exceeded,
    e.UsageReversed: usage_reversed,
    e.UsageRerated: usage_rerated,
    e.RerateShared: rerate_shared,
    e.SharedRerated: shared_rerated,
    e.UsageConverted: usage_converted,
    e.ConversionReversed: conversion_reversed,
    e.UsageMetered: usage_metered,
    e.MetersReversed: meters_reversed,
    e.GaugeReported: gauge_reported,
    e.GaugeCharged: gauge_charged,
    e.GaugeReversed: gauge_reversed,
    e.GrantRestored: grant_restored,
    e.AdjustmentNoted: adjustment_noted,
    e.BalanceAdjusted: balance_adjusted,
    e.HoldAuthorized: hold_authorized,
    e.HoldSized: hold_authorized,
    e.OperationHeld: hold_authorized,
    e.OperationReserved: hold_authorized,
    e.OperationPartHeld: hold_authorized,
    e.HoldRefilled: hold_refilled,
    e.SizedOperationHeld: hold_authorized,
    e.HoldUpTo: hold_authorized,
    e.PolicyHeld: hold_authorized,
    e.PolicyDenied: authorize_denied,
    e.HoldDebitDenied: authorize_denied,
    e.DecisionPolicySet: decision_policy_set,
    e.PackageRulesSet: package_rules_set,
    e.AuthorizeDenied: authorize_denied,
    e.QuotedDenied: authorize_denied,
    e.SizedDenied: authorize_denied,
    e.WorkDenied: authorize_denied,
    e.BudgetDenied: authorize_denied,
    e.BudgetSet: budget_set,
    e.OperationBudgetSet: operation_budget_set,
    e.OperationJoined: operation_joined,
    e.OperationPolicySet: operation_policy_set,
    e.PackageOperationsSet: package_operations_set,
    e.OperationBudgetBegun: operation_budget_begun,
    e.OperationBudgetEnded: operation_budget_ended,
    e.GroupedBudgetSet: budget_set,
    e.BudgetValueOpened: budget_value_opened,
    e.BudgetRemoved: budget_removed,
    e.BudgetsCounted: budgets_counted,
    e.BudgetsTallied: budgets_tallied,
    e.BudgetCrossed: budget_crossed,
    e.HoldExtended: hold_extended,
    e.HoldReleased: hold_released,
    e.HoldExpired: hold_expired,
    e.LeaseGranted: lease_granted,
    e.OperationLeaseGranted: operation_lease_granted,
    e.LeaseRenewed: lease_renewed,
    e.UsageLeased: usage_leased,
    e.LeaseReturned: lease_returned,
    e.LeaseLapsed: lease_lapsed,
    e.LeaseOverdue: lease_overdue,
    e.LeaseRecalled: lease_recalled,
    e.MandateGranted: mandate_granted,
    e.BuyingMandateGranted: mandate_granted,
    e.MandateRevoked: mandate_revoked,
    e.PurchaseRequested: purchase_requested,
    e.OutcomeReported: outcome_reported,
    e.OutcomeConfirmed: usage_costed,
    e.OutcomeRejected: outcome_rejected,
    e.RequestAbandoned: request_abandoned,
    e.RecurringStarted: recurring_started,
    e.RecurringIssued: recurring_issued,
    e.RecurringChanged: recurring_changed,
    e.RecurringPaused: recurring_paused,
    e.RecurringResumed: recurring_resumed,
    e.RecurringEnded: recurring_ended,
    e.GrantReduced: grant_reduced,
    e.GrantRefunded: grant_refunded,
    e.GrantChargedBack: grant_charged_back,
    e.AccountBilled: account_billed,
    e.PaymentRecorded: payment_recorded,
    e.CreditNoteIssued: receivable_lowered,
    e.ReceivableWrittenOff: receivable_lowered,
    e.CommitmentCreated: commitment_created,
    e.SegmentAdded: segment_added,
    e.CommitmentEnded: commitment_ended,
    e.InvoiceDue: invoice_due,
    e.TrueUpCounted: grant_reduced,
    e.RunwayAlertSet: runway_alert_set,
    e.RunwayAlertRemoved: runway_alert_removed,
    e.RunwayCrossed: runway_crossed,
    e.TopUpRuleSet: top_up_rule_set,
    e.TopUpRuleRemoved: top_up_rule_removed,
    e.TopUpRequested: top_up_requested,
    e.TopUpConfirmed: top_up_confirmed,
    e.TopUpDeclined: top_up_declined,
    e.TopUpExpired: top_up_expired,
    e.PriceOverridesSet: price_overrides_set,
    e.Subscribed: subscribed,
    e.PackageChanged: package_changed,
    e.PackagePeriodBegun: package_period_begun,
    e.ContractSigned: contract_signed,
    e.ContractBegun: contract_begun,
    e.ContractAmended: contract_amended,
    e.ContractRenewed: contract_renewed,
    e.ContractEnded: contract_ended,
    e.PackagePhaseBegun: package_phase_begun,
    e.PackagePricesSet: package_prices_set,
    e.SubscriptionCancelled: subscription_cancelled,
    e.SubscriptionEnded: subscription_ended,
    e.ChargeStarted: charge_started,
    e.ChargePeriodBegun: charge_period_begun,
    e.ChargeRepriced: charge_repriced,
    e.FeeCharged: fee_charged,
    e.FeeRecognised: fee_recognised,
    e.ChargeChanged: charge_changed,
    e.ChargeEnded: charge_ended,
    e.SeatPlanStarted: seat_plan_started,
    e.SeatsAdded: seats_added,
    e.SeatsRemoved: seats_removed,
    e.SeatReassigned: seat_reassigned,
    e.SeatSuspended: seat_suspended,
    e.SeatTermsChanged: seat_terms_changed,
    e.SeatPeriodBegun: seat_period_begun,
    e.SeatPlanEnded: seat_plan_ended,
    e.SeatAllowanceLow: seat_allowance_low,
    e.StatementsSet: statements_set,
    e.StatementEnded: statement_ended,
    e.StatementClosed: statement_closed,
    e.MinimumsAwaited: minimums_awaited,
    e.MinimumCharged: minimum_charged,
}
"""One function an event; a test asserts that every event has one."""
