"""Events of one batch -> rows and moved counters. Pure: no I/O, no clock.

The mirror of `core.evolve` for tables: it copies figures that stand in the events and computes
none, so read models can be built from any journal without a price, an order or a rule. Usage is the
hot path; everything else is one function an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger.core.events import (
    AccountBilled,
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    AdjustmentNoted,
    AuthorizeDenied,
    BalanceAdjusted,
    BookOpened,
    BudgetCrossed,
    BudgetDenied,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetValueOpened,
    CapRemoved,
    CapSet,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    ClockAdvanced,
    CommitmentCreated,
    CommitmentEnded,
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractSigned,
    ConversionReversed,
    CreditNoteIssued,
    DecisionPolicySet,
    FeeCharged,
    FeeRecognised,
    GaugeCharged,
    GaugeReported,
    GaugeReversed,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantRolloverSet,
    GrantStarted,
    GrantVoided,
    GroupedBudgetSet,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    HoldSized,
    HoldUpTo,
    InvoiceDue,
    LeaseGranted,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    MinimumCharged,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackageRulesSet,
    PaymentRecorded,
    PlanDeclared,
    PlanOverridden,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    QuotedDenied,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    SeatAllowanceLow,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTermsChanged,
    SegmentAdded,
    SharedRerated,
    SharingUpdated,
    SizedDenied,
    StatementClosed,
    StatementEnded,
    StatementsSet,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    SuspenseRated,
    TimeShifted,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleRemoved,
    TopUpRuleSet,
    TrueUpCounted,
    UsageCaptured,
    UsageConverted,
    UsageCosted,
    UsageDebited,
    UsageLeased,
    UsageModeled,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
    UsageRerated,
    UsageReversed,
    WorkDenied,
)
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
            if type(event) is UsageRecorded:
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
    PlanDeclared: plan_declared,
    PlanOverridden: plan_declared,
    BookOpened: book_opened,
    AccountCreated: account_created,
    AccountPolicyUpdated: account_policy_updated,
    AccountClosed: account_closed,
    AccountClosedOut: account_closed_out,
    AccountReopened: account_reopened,
    AccountFrozen: account_frozen,
    AccountMoved: account_moved,
    AccountUnfrozen: account_unfrozen,
    AccountProfileUpdated: account_profile_updated,
    GrantIssued: grant_issued,
    GrantStarted: grant_started,
    GrantRolledOver: grant_rolled_over,
    GrantReleased: grant_released,
    GrantCancelled: grant_cancelled,
    GrantVoided: grant_voided,
    GrantExpired: grant_expired,
    GrantReduced: grant_reduced,
    GrantRefunded: grant_refunded,
    GrantChargedBack: grant_charged_back,
    AccountBilled: account_billed,
    PaymentRecorded: payment_recorded,
    CreditNoteIssued: credited,
    ReceivableWrittenOff: credited,
    RecurringStarted: recurring_started,
    RecurringIssued: recurring_issued,
    RecurringChanged: recurring_changed,
    RecurringPaused: recurring_paused,
    RecurringResumed: recurring_resumed,
    RecurringEnded: recurring_ended,
    CommitmentCreated: commitment_created,
    SegmentAdded: segment_added,
    CommitmentEnded: commitment_ended,
    InvoiceDue: invoice_due,
    TrueUpCounted: grant_reduced,
    TopUpRuleSet: top_up_rule_set,
    TopUpRuleRemoved: top_up_rule_removed,
    TopUpRequested: top_up_requested,
    TopUpConfirmed: top_up_confirmed,
    TopUpDeclined: top_up_declined,
    TopUpExpired: top_up_expired,
    TimeShifted: time_shifted,
    ClockAdvanced: clock_advanced,
    UsageQuarantined: usage_quarantined,
    UsageReversed: usage_reversed,
    UsageRerated: usage_rerated,
    SharedRerated: usage_rerated,
    UsageConverted: usage_converted,
    ConversionReversed: conversion_reversed,
    AdjustmentNoted: adjustment_noted,
    BalanceAdjusted: balance_adjusted,
    GrantRestored: grant_restored,
    GrantRolloverSet: grant_rollover_set,
    HoldAuthorized: hold_authorized,
    HoldSized: hold_sized,
    HoldUpTo: hold_authorized,
    PolicyHeld: policy_held,
    PolicyDenied: policy_denied,
    DecisionPolicySet: decision_policy_set,
    PackageRulesSet: package_rules_set,
    SuspenseRated: suspense_rated,
    UsageModeled: of_model,
    UsageCosted: usage_costed,
    UsageCaptured: usage_costed,
    UsageDebited: usage_costed,
    PolicyDebited: policy_debited,
    HoldCharged: usage_costed,
    UsageQuoted: usage_costed,
    UsageRepriced: usage_repriced,
    GaugeReported: gauge_reported,
    GaugeCharged: gauge_charged,
    GaugeReversed: gauge_reversed,
    HoldExtended: hold_extended,
    HoldReleased: hold_released,
    HoldExpired: hold_expired,
    LeaseGranted: lease_granted,
    LeaseRenewed: lease_renewed,
    UsageLeased: usage_costed,
    LeaseReturned: lease_returned,
    LeaseLapsed: lease_lapsed,
    LeaseOverdue: lease_overdue,
    LeaseRecalled: lease_recalled,
    OutcomeReported: outcome_reported,
    OutcomeConfirmed: usage_costed,
    OutcomeRejected: outcome_rejected,
    AuthorizeDenied: authorize_denied,
    QuotedDenied: authorize_denied,
    SizedDenied: sized_denied,
    WorkDenied: authorize_denied,
    BudgetDenied: authorize_denied,
    SharingUpdated: sharing_updated,
    CapSet: cap_set,
    CapRemoved: cap_removed,
    BudgetSet: budget_set,
    GroupedBudgetSet: budget_set,
    BudgetValueOpened: budget_value_opened,
    BudgetRemoved: budget_removed,
    BudgetsCounted: budgets_counted,
    BudgetsTallied: budgets_counted,
    BudgetCrossed: budget_crossed,
    MinimumCharged: minimum_charged,
    Subscribed: subscribed,
    PackageChanged: package_changed,
    PackagePeriodBegun: package_period_begun,
    PackagePhaseBegun: package_phase_begun,
    ContractSigned: contract_signed,
    ContractBegun: contract_begun,
    ContractAmended: contract_amended,
    ContractRenewed: contract_renewed,
    ContractEnded: contract_ended,
    SubscriptionCancelled: subscription_cancelled,
    SubscriptionEnded: subscription_ended,
    ChargeStarted: charge_started,
    ChargePeriodBegun: charge_period_begun,
    ChargeRepriced: charge_repriced,
    FeeCharged: fee_charged,
    FeeRecognised: fee_recognised,
    ChargeChanged: charge_changed,
    ChargeEnded: charge_ended,
    SeatPlanStarted: seat_plan_started,
    SeatsAdded: seats_added,
    SeatsRemoved: seats_removed,
    SeatReassigned: seat_reassigned,
    SeatSuspended: seat_suspended,
    SeatTermsChanged: seat_terms_changed,
    SeatPeriodBegun: seat_period_begun,
    SeatPlanEnded: seat_plan_ended,
    SeatAllowanceLow: seat_allowance_low,
    StatementsSet: statements_set,
    StatementEnded: statement_ended,
    StatementClosed: statement_closed,
}
"""Usage apart. Events without rows: openings, configuration, LimitExceeded (its usage event says
it), meters and quotes (what they count and price is a usage event's), abandoned requests. A test
asserts that every event is named."""
