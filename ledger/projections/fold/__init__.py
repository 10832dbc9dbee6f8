"""Events of one batch -> rows and moved counters. Pure: no I/O, no clock.

The mirror of `core.evolve` for tables: it copies figures that stand in the events and computes
none, so read models can be built from any journal without a price, an order or a rule. Usage is the
hot path; everything else is one function an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger.core import events as e
from ledger.journal.codec import PrivateRecords
from ledger.projections.described import names_of
from ledger.projections.fold.accounts import (
    account_closed,
    account_closed_out,
    account_created,
    account_frozen,
    account_moved,
    account_policy_updated,
    account_profile_updated,
    account_reopened,
    account_unfrozen,
)
from ledger.projections.fold.actors import note_actors
from ledger.projections.fold.books import book_opened, clock_advanced, plan_declared, time_shifted
from ledger.projections.fold.budgets import (
    budget_crossed,
    budget_removed,
    budget_set,
    budget_value_opened,
    budgets_counted,
    budgets_tallied,
    operation_budget_begun,
    operation_budget_ended,
    operation_budget_set,
)
from ledger.projections.fold.caps import cap_removed, cap_set, sharing_updated
from ledger.projections.fold.charges import (
    charge_changed,
    charge_ended,
    charge_period_begun,
    charge_repriced,
    charge_started,
    fee_charged,
    fee_recognised,
)
from ledger.projections.fold.commitments import (
    commitment_created,
    commitment_ended,
    invoice_due,
    segment_added,
)
from ledger.projections.fold.contracts import (
    contract_amended,
    contract_begun,
    contract_ended,
    contract_renewed,
    contract_signed,
)
from ledger.projections.fold.conversions import conversion_reversed, usage_converted
from ledger.projections.fold.corrections import (
    adjustment_noted,
    balance_adjusted,
    note_amendments,
    usage_rerated,
    usage_reversed,
)
from ledger.projections.fold.decision_policies import (
    decision_policy_set,
    hold_debit_denied,
    hold_debited,
    operation_held,
    operation_part_held,
    package_rules_set,
    policy_debited,
    policy_denied,
    policy_held,
)
from ledger.projections.fold.folding import Folding
from ledger.projections.fold.gauges import gauge_charged, gauge_reported, gauge_reversed
from ledger.projections.fold.grants import (
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
from ledger.projections.fold.holds import (
    authorize_denied,
    hold_authorized,
    hold_expired,
    hold_extended,
    hold_refilled,
    hold_released,
    outcome_rejected,
    outcome_reported,
)
from ledger.projections.fold.leases import (
    lease_granted,
    lease_lapsed,
    lease_overdue,
    lease_recalled,
    lease_renewed,
    lease_returned,
)
from ledger.projections.fold.mandates import (
    mandate_granted,
    mandate_revoked,
    purchase_requested,
)
from ledger.projections.fold.minimums import minimum_charged
from ledger.projections.fold.packages import (
    package_changed,
    package_period_begun,
    package_phase_begun,
    subscribed,
    subscription_cancelled,
    subscription_ended,
)
from ledger.projections.fold.payments import (
    account_billed,
    credited,
    grant_charged_back,
    grant_reduced,
    grant_refunded,
    payment_recorded,
)
from ledger.projections.fold.recurring import (
    recurring_changed,
    recurring_ended,
    recurring_issued,
    recurring_paused,
    recurring_resumed,
    recurring_started,
)
from ledger.projections.fold.runways import (
    runway_alert_removed,
    runway_alert_set,
    runway_crossed,
)
from ledger.projections.fold.seats import (
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
from ledger.projections.fold.sizes import hold_sized, sized_denied
from ledger.projections.fold.statements import (
    statement_closed,
    statement_ended,
    statements_set,
)
from ledger.projections.fold.top_ups import (
    top_up_confirmed,
    top_up_declined,
    top_up_expired,
    top_up_requested,
    top_up_rule_removed,
    top_up_rule_set,
)
from ledger.projections.fold.usage import (
    of_model,
    suspense_rated,
    usage_costed,
    usage_quarantined,
    usage_recorded,
    usage_repriced,
)

__all__ = [
    "Fold",
]


class Fold(Folding):
    """Folds the batches of one shard into the changes of one transaction."""

    __slots__ = ()

    def take(
        self,
        first_event: int,
        recorded_at: int,
        events: Sequence[Any],
        private: PrivateRecords,
    ) -> None:
        """Fold one batch. `facts` knows what the batch needs; KeyError otherwise."""
        self.plans = {}
        self.names = names_of(private)
        self.amended = {}
        self.reversed = {}
        self.batch_at = self.recorded_at = recorded_at
        self.first_event = first_event
        handlers = HANDLERS
        for index, event in enumerate(events):
            if type(event) is e.UsageRecorded:
                usage_recorded(self, index, first_event + index, event)
            else:
                self.entry_seq = first_event + index
                handler = handlers.get(type(event))
                if handler is not None:
                    handler(self, index, event)
        if self.amended:
            note_amendments(self, first_event, events)
        note_actors(self, first_event, events, private)
        self.changes.events += len(events)


HANDLERS: Final[dict[type, Callable[[Folding, int, Any], None]]] = {
    e.PlanDeclared: plan_declared,
    e.PlanOverridden: plan_declared,
    e.BookOpened: book_opened,
    e.AccountCreated: account_created,
    e.AccountPolicyUpdated: account_policy_updated,
    e.AccountClosed: account_closed,
    e.AccountClosedOut: account_closed_out,
    e.AccountReopened: account_reopened,
    e.AccountFrozen: account_frozen,
    e.AccountMoved: account_moved,
    e.AccountUnfrozen: account_unfrozen,
    e.AccountProfileUpdated: account_profile_updated,
    e.GrantIssued: grant_issued,
    e.GrantStarted: grant_started,
    e.GrantRolledOver: grant_rolled_over,
    e.GrantReleased: grant_released,
    e.GrantCancelled: grant_cancelled,
    e.GrantVoided: grant_voided,
    e.GrantExpired: grant_expired,
    e.GrantReduced: grant_reduced,
    e.GrantRefunded: grant_refunded,
    e.GrantChargedBack: grant_charged_back,
    e.AccountBilled: account_billed,
    e.PaymentRecorded: payment_recorded,
    e.CreditNoteIssued: credited,
    e.ReceivableWrittenOff: credited,
    e.RecurringStarted: recurring_started,
    e.RecurringIssued: recurring_issued,
    e.RecurringChanged: recurring_changed,
    e.RecurringPaused: recurring_paused,
    e.RecurringResumed: recurring_resumed,
    e.RecurringEnded: recurring_ended,
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
    e.TimeShifted: time_shifted,
    e.ClockAdvanced: clock_advanced,
    e.UsageQuarantined: usage_quarantined,
    e.UsageReversed: usage_reversed,
    e.UsageRerated: usage_rerated,
    e.SharedRerated: usage_rerated,
    e.UsageConverted: usage_converted,
    e.ConversionReversed: conversion_reversed,
    e.AdjustmentNoted: adjustment_noted,
    e.BalanceAdjusted: balance_adjusted,
    e.GrantRestored: grant_restored,
    e.GrantRolloverSet: grant_rollover_set,
    e.HoldAuthorized: hold_authorized,
    e.HoldSized: hold_sized,
    e.OperationHeld: operation_held,
    e.OperationReserved: operation_held,
    e.OperationPartHeld: operation_part_held,
    e.HoldRefilled: hold_refilled,
    e.SizedOperationHeld: hold_sized,
    e.HoldUpTo: hold_authorized,
    e.PolicyHeld: policy_held,
    e.PolicyDenied: policy_denied,
    e.HoldDebitDenied: hold_debit_denied,
    e.DecisionPolicySet: decision_policy_set,
    e.PackageRulesSet: package_rules_set,
    e.SuspenseRated: suspense_rated,
    e.UsageModeled: of_model,
    e.UsageCosted: usage_costed,
    e.UsageCaptured: usage_costed,
    e.UsageDebited: usage_costed,
    e.PolicyDebited: policy_debited,
    e.HoldDebited: hold_debited,
    e.HoldCharged: usage_costed,
    e.UsageQuoted: usage_costed,
    e.UsageRepriced: usage_repriced,
    e.GaugeReported: gauge_reported,
    e.GaugeCharged: gauge_charged,
    e.GaugeReversed: gauge_reversed,
    e.HoldExtended: hold_extended,
    e.HoldReleased: hold_released,
    e.HoldExpired: hold_expired,
    e.LeaseGranted: lease_granted,
    e.OperationLeaseGranted: lease_granted,
    e.MandateGranted: mandate_granted,
    e.BuyingMandateGranted: mandate_granted,
    e.MandateRevoked: mandate_revoked,
    e.PurchaseRequested: purchase_requested,
    e.LeaseRenewed: lease_renewed,
    e.UsageLeased: usage_costed,
    e.LeaseReturned: lease_returned,
    e.LeaseLapsed: lease_lapsed,
    e.LeaseOverdue: lease_overdue,
    e.LeaseRecalled: lease_recalled,
    e.OutcomeReported: outcome_reported,
    e.OutcomeConfirmed: usage_costed,
    e.OutcomeRejected: outcome_rejected,
    e.AuthorizeDenied: authorize_denied,
    e.QuotedDenied: authorize_denied,
    e.SizedDenied: sized_denied,
    e.WorkDenied: authorize_denied,
    e.BudgetDenied: authorize_denied,
    e.SharingUpdated: sharing_updated,
    e.CapSet: cap_set,
    e.CapBegun: cap_set,
    e.CapRemoved: cap_removed,
    e.BudgetSet: budget_set,
    e.GroupedBudgetSet: budget_set,
    e.BudgetValueOpened: budget_value_opened,
    e.OperationBudgetSet: operation_budget_set,
    e.OperationBudgetBegun: operation_budget_begun,
    e.OperationBudgetEnded: operation_budget_ended,
    e.BudgetRemoved: budget_removed,
    e.BudgetsCounted: budgets_counted,
    e.BudgetsTallied: budgets_tallied,
    e.BudgetCrossed: budget_crossed,
    e.MinimumCharged: minimum_charged,
    e.Subscribed: subscribed,
    e.PackageChanged: package_changed,
    e.PackagePeriodBegun: package_period_begun,
    e.PackagePhaseBegun: package_phase_begun,
    e.ContractSigned: contract_signed,
    e.ContractBegun: contract_begun,
    e.ContractAmended: contract_amended,
    e.ContractRenewed: contract_renewed,
    e.ContractEnded: contract_ended,
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
}
"""Usage apart. Events without rows: openings, configuration, LimitExceeded (its usage event says
it), meters and quotes (what they count and price is a usage event's), abandoned requests. A test
asserts that every event is named."""
