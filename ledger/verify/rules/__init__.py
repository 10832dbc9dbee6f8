"""What every entry must satisfy, judged from the entry and the state that it comes upon.

The live ledger never judges in `evolve`, and `decide` is never replayed: so this says again, apart
from both, what no entry may do. A figure that breaks a rule is a finding; the replay goes on.
Changes nothing. What needs the rate card of the day (prices) is not judged: it is recorded. What
packages give is, by the versions that were published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core import events as e
from ledger.core.budgets.budget_counts import COUNTED
from ledger.core.state import State
from ledger.verify.rules.accounts import (
    account_closed,
    account_closed_out,
    account_created,
    account_frozen,
    account_moved,
    account_policy_updated,
    account_profile_updated,
    account_reopened,
    account_unfrozen,
    books_of,
    configuration_applied,
    writer_opened,
)
from ledger.verify.rules.budget_values import budget_value_opened
from ledger.verify.rules.budgets import (
    budget_crossed,
    budget_denied,
    budget_removed,
    budget_set,
    budgets_counted,
    budgets_tallied,
    goes_on_budgeting,
    note_counted,
)
from ledger.verify.rules.caps import (
    cap_begun,
    cap_removed,
    cap_set,
    cap_window_opened,
    sharing_updated,
)
from ledger.verify.rules.charges import (
    charge_changed,
    charge_ended,
    charge_period_begun,
    charge_repriced,
    charge_started,
    fee_charged,
    fee_recognised,
    goes_on_charging,
)
from ledger.verify.rules.commitments import (
    commitment_created,
    commitment_ended,
    goes_on_moving,
    invoice_due,
    segment_added,
)
from ledger.verify.rules.contracts import (
    contract_amended,
    contract_begun,
    contract_ended,
    contract_renewed,
    contract_signed,
    grant_rollover_set,
)
from ledger.verify.rules.conversions import (
    conversion_reversed,
    converted_units,
    goes_on_converting,
    usage_converted,
)
from ledger.verify.rules.corrections import (
    adjustment_noted,
    balance_adjusted,
    grant_restored,
    usage_rerated,
    usage_reversed,
)
from ledger.verify.rules.decision_policies import decision_policy_set, package_rules_set
from ledger.verify.rules.decisions import (
    hold_up_to,
    policy_debited,
    policy_denied,
    policy_held,
    work_denied,
)
from ledger.verify.rules.gauges import gauge_charged, gauge_reported, gauge_reversed
from ledger.verify.rules.grants import (
    grant_cancelled,
    grant_expired,
    grant_issued,
    grant_reduced,
    grant_released,
    grant_rolled_over,
    grant_voided,
)
from ledger.verify.rules.holds import (
    authorize_denied,
    hold_authorized,
    hold_expired,
    hold_extended,
    hold_released,
)
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.leases import (
    lease_granted,
    lease_lapsed,
    lease_overdue,
    lease_recalled,
    lease_renewed,
    lease_returned,
    usage_leased,
)
from ledger.verify.rules.mandates import mandate_granted, mandate_revoked, purchase_requested
from ledger.verify.rules.metering import goes_on_metering, meters_reversed, usage_metered
from ledger.verify.rules.minimums import minimum_charged, minimums_awaited
from ledger.verify.rules.operation_cover import note_named
from ledger.verify.rules.operation_parts import (
    goes_on_refilling,
    hold_refilled,
    look_at_rest,
)
from ledger.verify.rules.operations import (
    hold_debit_denied,
    hold_debited,
    operation_budget_begun,
    operation_budget_ended,
    operation_budget_set,
    operation_held,
    operation_joined,
    operation_part_held,
    operation_policy_set,
    operation_reserved,
    package_operations_set,
    sized_operation_held,
)
from ledger.verify.rules.outcome_charges import (
    outcome_confirmed,
    outcome_rejected,
    outcome_reported,
)
from ledger.verify.rules.overrides import price_overrides_set
from ledger.verify.rules.packages import (
    package_changed,
    package_period_begun,
    package_phase_begun,
    package_prices_set,
    subscribed,
    subscription_cancelled,
    subscription_ended,
)
from ledger.verify.rules.payments import (
    account_billed,
    credit_note_issued,
    grant_charged_back,
    grant_refunded,
    payment_recorded,
    receivable_written_off,
)
from ledger.verify.rules.quotes import quote_expired, quote_made, usage_quoted
from ledger.verify.rules.recurring import (
    recurring_changed,
    recurring_ended,
    recurring_issued,
    recurring_paused,
    recurring_resumed,
    recurring_started,
)
from ledger.verify.rules.runways import (
    runway_alert_removed,
    runway_alert_set,
    runway_crossed,
)
from ledger.verify.rules.seats import (
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
from ledger.verify.rules.shared_totals import rerate_shared
from ledger.verify.rules.sizes import hold_sized, sized_denied
from ledger.verify.rules.statements import (
    statement_closed,
    statement_ended,
    statements_set,
)
from ledger.verify.rules.suspense import suspense_rated
from ledger.verify.rules.top_ups import (
    top_up_confirmed,
    top_up_declined,
    top_up_expired,
    top_up_requested,
    top_up_rule_set,
)
from ledger.verify.rules.true_ups import stops_counting, true_up_counted
from ledger.verify.rules.usage import (
    hold_charged,
    look_at_backfills,
    look_at_plan,
    look_at_values,
    sides_of,
    usage_captured,
    usage_debited,
    usage_quarantined,
    usage_recorded,
    usage_repriced,
)

__all__ = [
    "Rules",
    "books_of",
    "sides_of",
]


DRAWN: Final = (
    e.UsageRecorded,
    e.UsageConverted,
    e.UsageRerated,
    e.FeeCharged,
    e.MinimumCharged,
    e.BalanceAdjusted,
)
"""The entries that draw what they say in slices."""


class Rules(Judge):
    """Judges the entries of one shard: `before` each is applied, then `after`."""

    def before(self, state: State, event: e.Event) -> None:
        """What the entry may not say, given what is there. May raise KeyError where the entry names
        what is not there."""
        if self.converting is not None:
            goes_on_converting(self, state, event)
        if self.metering is not None:
            goes_on_metering(self, state, event)
        if self.moving is not None:
            goes_on_moving(self, state, event)
        if self.budgeting:
            goes_on_budgeting(self, state, event)
        if self.refilling:
            goes_on_refilling(self, state, event)
        hold = state.holds.get(getattr(event, "hold", 0))
        if hold is not None and hold.part_of:
            look_at_rest(self, state, hold, event)
        if self.charging:
            goes_on_charging(self, state, event)
        if self.counting and not isinstance(event, e.TrueUpCounted):
            stops_counting(self, state, event)
        key = getattr(event, "key", b"")
        if key and state.keys.find(key) is not None:
            self.wrong(state, "identity", "once within the window", f"{key.hex()} again")
        plan = getattr(event, "plan", None)
        if plan is not None:
            look_at_plan(self, state, event, state.declared[plan])
        if getattr(event, "operation", b"") or isinstance(event, e.LeaseRenewed):
            note_named(self, state, event)
        if isinstance(event, COUNTED):
            note_counted(self, state, event)
        if isinstance(event, DRAWN):
            look_at_values(self, state, event.slices)
        if isinstance(event, e.GrantIssued | e.GrantStarted | e.GrantReleased):
            look_at_backfills(self, state, event)
        judge = JUDGES.get(type(event))
        if judge is not None:
            judge(self, state, event)
        if converted_units(event):
            assert isinstance(event, e.UsageRecorded)
            self.converting = event

    def after(self, state: State, event: e.Event) -> None:
        """What may not be so once the entry is applied (rules B6, B7)."""
        for asset, totals in state.books.totals.items():
            if not totals.balanced:
                self.findings.add(
                    f"entry {state.entry_seq - 1}, credits of asset {asset}",
                    f"{totals.debits_posted} + {totals.debits_pending} pending",
                    f"{totals.credits_posted} + {totals.credits_pending} pending",
                )
        if isinstance(
            event,
            e.UsageRecorded
            | e.HoldAuthorized
            | e.LeaseRenewed
            | e.UsageRerated
            | e.MinimumCharged
            | e.FeeCharged,
        ):
            for piece in event.slices:
                book = state.books.accounts[piece.book]
                if book.grant is not None and book.available < 0:
                    what = f"units left of grant {book.grant.number}"
                    what = f"entry {state.entry_seq - 1}, {what}"
                    self.findings.add(what, "0 or more", book.available)


JUDGES: Final[dict[type, Callable[[Judge, State, Any], None]]] = {
    e.WriterOpened: writer_opened,
    e.ConfigurationApplied: configuration_applied,
    e.AccountCreated: account_created,
    e.AccountPolicyUpdated: account_policy_updated,
    e.AccountProfileUpdated: account_profile_updated,
    e.PriceOverridesSet: price_overrides_set,
    e.AccountClosed: account_closed,
    e.AccountClosedOut: account_closed_out,
    e.AccountReopened: account_reopened,
    e.AccountFrozen: account_frozen,
    e.AccountMoved: account_moved,
    e.AccountUnfrozen: account_unfrozen,
    e.GrantIssued: grant_issued,
    e.GrantVoided: grant_voided,
    e.GrantExpired: grant_expired,
    e.GrantReduced: grant_reduced,
    e.GrantReleased: grant_released,
    e.GrantRolledOver: grant_rolled_over,
    e.GrantCancelled: grant_cancelled,
    e.GrantRefunded: grant_refunded,
    e.GrantChargedBack: grant_charged_back,
    e.AccountBilled: account_billed,
    e.PaymentRecorded: payment_recorded,
    e.CreditNoteIssued: credit_note_issued,
    e.ReceivableWrittenOff: receivable_written_off,
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
    e.TrueUpCounted: true_up_counted,
    e.RunwayAlertSet: runway_alert_set,
    e.RunwayAlertRemoved: runway_alert_removed,
    e.RunwayCrossed: runway_crossed,
    e.TopUpRuleSet: top_up_rule_set,
    e.TopUpRequested: top_up_requested,
    e.TopUpConfirmed: top_up_confirmed,
    e.TopUpDeclined: top_up_declined,
    e.TopUpExpired: top_up_expired,
    e.UsageRecorded: usage_recorded,
    e.UsageModeled: usage_recorded,
    e.UsageCosted: usage_recorded,
    e.UsageCaptured: usage_captured,
    e.UsageDebited: usage_debited,
    e.HoldCharged: hold_charged,
    e.SuspenseRated: suspense_rated,
    e.UsageQuoted: usage_quoted,
    e.UsageRepriced: usage_repriced,
    e.QuoteMade: quote_made,
    e.QuoteExpired: quote_expired,
    e.UsageQuarantined: usage_quarantined,
    e.UsageConverted: usage_converted,
    e.ConversionReversed: conversion_reversed,
    e.UsageMetered: usage_metered,
    e.MetersReversed: meters_reversed,
    e.GaugeReported: gauge_reported,
    e.GaugeCharged: gauge_charged,
    e.GaugeReversed: gauge_reversed,
    e.UsageReversed: usage_reversed,
    e.UsageRerated: usage_rerated,
    e.RerateShared: rerate_shared,
    e.SharedRerated: usage_rerated,
    e.GrantRestored: grant_restored,
    e.AdjustmentNoted: adjustment_noted,
    e.BalanceAdjusted: balance_adjusted,
    e.HoldAuthorized: hold_authorized,
    e.HoldSized: hold_sized,
    e.OperationHeld: operation_held,
    e.OperationReserved: operation_reserved,
    e.OperationPartHeld: operation_part_held,
    e.HoldRefilled: hold_refilled,
    e.SizedOperationHeld: sized_operation_held,
    e.OperationBudgetSet: operation_budget_set,
    e.OperationJoined: operation_joined,
    e.OperationPolicySet: operation_policy_set,
    e.PackageOperationsSet: package_operations_set,
    e.OperationBudgetBegun: operation_budget_begun,
    e.OperationBudgetEnded: operation_budget_ended,
    e.HoldUpTo: hold_up_to,
    e.PolicyHeld: policy_held,
    e.PolicyDenied: policy_denied,
    e.HoldDebitDenied: hold_debit_denied,
    e.PolicyDebited: policy_debited,
    e.HoldDebited: hold_debited,
    e.DecisionPolicySet: decision_policy_set,
    e.PackageRulesSet: package_rules_set,
    e.AuthorizeDenied: authorize_denied,
    e.QuotedDenied: authorize_denied,
    e.SizedDenied: sized_denied,
    e.WorkDenied: work_denied,
    e.BudgetDenied: budget_denied,
    e.SharingUpdated: sharing_updated,
    e.CapSet: cap_set,
    e.CapBegun: cap_begun,
    e.CapRemoved: cap_removed,
    e.CapWindowOpened: cap_window_opened,
    e.BudgetSet: budget_set,
    e.GroupedBudgetSet: budget_set,
    e.BudgetValueOpened: budget_value_opened,
    e.BudgetRemoved: budget_removed,
    e.BudgetsCounted: budgets_counted,
    e.BudgetsTallied: budgets_tallied,
    e.BudgetCrossed: budget_crossed,
    e.HoldExtended: hold_extended,
    e.HoldReleased: hold_released,
    e.HoldExpired: hold_expired,
    e.ChargeStarted: charge_started,
    e.ChargePeriodBegun: charge_period_begun,
    e.ChargeRepriced: charge_repriced,
    e.FeeCharged: fee_charged,
    e.FeeRecognised: fee_recognised,
    e.ChargeChanged: charge_changed,
    e.ChargeEnded: charge_ended,
    e.MinimumsAwaited: minimums_awaited,
    e.MinimumCharged: minimum_charged,
    e.LeaseGranted: lease_granted,
    e.OperationLeaseGranted: lease_granted,
    e.LeaseRenewed: lease_renewed,
    e.UsageLeased: usage_leased,
    e.LeaseReturned: lease_returned,
    e.LeaseLapsed: lease_lapsed,
    e.LeaseOverdue: lease_overdue,
    e.LeaseRecalled: lease_recalled,
    e.MandateGranted: mandate_granted,
    e.BuyingMandateGranted: mandate_granted,
    e.PurchaseRequested: purchase_requested,
    e.MandateRevoked: mandate_revoked,
    e.OutcomeReported: outcome_reported,
    e.OutcomeConfirmed: outcome_confirmed,
    e.OutcomeRejected: outcome_rejected,
    e.Subscribed: subscribed,
    e.PackageChanged: package_changed,
    e.PackagePeriodBegun: package_period_begun,
    e.ContractSigned: contract_signed,
    e.ContractBegun: contract_begun,
    e.ContractAmended: contract_amended,
    e.ContractRenewed: contract_renewed,
    e.GrantRolloverSet: grant_rollover_set,
    e.ContractEnded: contract_ended,
    e.PackagePhaseBegun: package_phase_begun,
    e.PackagePricesSet: package_prices_set,
    e.SubscriptionCancelled: subscription_cancelled,
    e.SubscriptionEnded: subscription_ended,
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
