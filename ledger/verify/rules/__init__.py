"""What every entry must satisfy, judged from the entry and the state that it comes upon.

The live ledger never judges in `evolve`, and `decide` is never replayed: so this says again, apart
from both, what no entry may do. A figure that breaks a rule is a finding; the replay goes on.
Changes nothing. What needs the rate card of the day (prices) is not judged: it is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.core.budgets.budget_counts import COUNTED
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
    BudgetCrossed,
    BudgetDenied,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetValueOpened,
    CapRemoved,
    CapSet,
    CapWindowOpened,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    CommitmentCreated,
    CommitmentEnded,
    ConfigurationApplied,
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractSigned,
    ConversionReversed,
    CreditNoteIssued,
    DecisionPolicySet,
    Event,
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
    MandateGranted,
    MandateRevoked,
    MetersReversed,
    MinimumCharged,
    MinimumsAwaited,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    PackageChanged,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    PackageRulesSet,
    PaymentRecorded,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PriceOverridesSet,
    QuotedDenied,
    QuoteExpired,
    QuoteMade,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RerateShared,
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
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleSet,
    TrueUpCounted,
    UsageCaptured,
    UsageConverted,
    UsageCosted,
    UsageDebited,
    UsageLeased,
    UsageMetered,
    UsageModeled,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
    UsageRerated,
    UsageReversed,
    WorkDenied,
    WriterOpened,
)
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
from ledger.verify.rules.mandates import mandate_granted, mandate_revoked
from ledger.verify.rules.metering import goes_on_metering, meters_reversed, usage_metered
from ledger.verify.rules.minimums import minimum_charged, minimums_awaited
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
    look_at_plan,
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


class Rules(Judge):
    """Judges the entries of one shard: `before` each is applied, then `after`."""

    def before(self, state: State, event: Event) -> None:
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
        if self.charging:
            goes_on_charging(self, state, event)
        if self.counting and not isinstance(event, TrueUpCounted):
            stops_counting(self, state, event)
        key = getattr(event, "key", b"")
        if key and state.keys.find(key) is not None:
            self.wrong(state, "identity", "once within the window", f"{key.hex()} again")
        plan = getattr(event, "plan", None)
        if plan is not None:
            look_at_plan(self, state, event, state.declared[plan])
        if isinstance(event, COUNTED):
            note_counted(self, state, event)
        judge = JUDGES.get(type(event))
        if judge is not None:
            judge(self, state, event)
        if converted_units(event):
            assert isinstance(event, UsageRecorded)
            self.converting = event

    def after(self, state: State, event: Event) -> None:
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
            UsageRecorded
            | HoldAuthorized
            | LeaseRenewed
            | UsageRerated
            | MinimumCharged
            | FeeCharged,
        ):
            for piece in event.slices:
                book = state.books.accounts[piece.book]
                if book.grant is not None and book.available < 0:
                    what = f"units left of grant {book.grant.number}"
                    what = f"entry {state.entry_seq - 1}, {what}"
                    self.findings.add(what, "0 or more", book.available)


JUDGES: Final[dict[type, Callable[[Judge, State, Any], None]]] = {
    WriterOpened: writer_opened,
    ConfigurationApplied: configuration_applied,
    AccountCreated: account_created,
    AccountPolicyUpdated: account_policy_updated,
    AccountProfileUpdated: account_profile_updated,
    PriceOverridesSet: price_overrides_set,
    AccountClosed: account_closed,
    AccountClosedOut: account_closed_out,
    AccountReopened: account_reopened,
    AccountFrozen: account_frozen,
    AccountMoved: account_moved,
    AccountUnfrozen: account_unfrozen,
    GrantIssued: grant_issued,
    GrantVoided: grant_voided,
    GrantExpired: grant_expired,
    GrantReduced: grant_reduced,
    GrantReleased: grant_released,
    GrantRolledOver: grant_rolled_over,
    GrantCancelled: grant_cancelled,
    GrantRefunded: grant_refunded,
    GrantChargedBack: grant_charged_back,
    AccountBilled: account_billed,
    PaymentRecorded: payment_recorded,
    CreditNoteIssued: credit_note_issued,
    ReceivableWrittenOff: receivable_written_off,
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
    TrueUpCounted: true_up_counted,
    TopUpRuleSet: top_up_rule_set,
    TopUpRequested: top_up_requested,
    TopUpConfirmed: top_up_confirmed,
    TopUpDeclined: top_up_declined,
    TopUpExpired: top_up_expired,
    UsageRecorded: usage_recorded,
    UsageModeled: usage_recorded,
    UsageCosted: usage_recorded,
    UsageCaptured: usage_captured,
    UsageDebited: usage_debited,
    HoldCharged: hold_charged,
    SuspenseRated: suspense_rated,
    UsageQuoted: usage_quoted,
    UsageRepriced: usage_repriced,
    QuoteMade: quote_made,
    QuoteExpired: quote_expired,
    UsageQuarantined: usage_quarantined,
    UsageConverted: usage_converted,
    ConversionReversed: conversion_reversed,
    UsageMetered: usage_metered,
    MetersReversed: meters_reversed,
    GaugeReported: gauge_reported,
    GaugeCharged: gauge_charged,
    GaugeReversed: gauge_reversed,
    UsageReversed: usage_reversed,
    UsageRerated: usage_rerated,
    RerateShared: rerate_shared,
    SharedRerated: usage_rerated,
    GrantRestored: grant_restored,
    AdjustmentNoted: adjustment_noted,
    BalanceAdjusted: balance_adjusted,
    HoldAuthorized: hold_authorized,
    HoldSized: hold_sized,
    HoldUpTo: hold_up_to,
    PolicyHeld: policy_held,
    PolicyDenied: policy_denied,
    PolicyDebited: policy_debited,
    DecisionPolicySet: decision_policy_set,
    PackageRulesSet: package_rules_set,
    AuthorizeDenied: authorize_denied,
    QuotedDenied: authorize_denied,
    SizedDenied: sized_denied,
    WorkDenied: work_denied,
    BudgetDenied: budget_denied,
    SharingUpdated: sharing_updated,
    CapSet: cap_set,
    CapRemoved: cap_removed,
    CapWindowOpened: cap_window_opened,
    BudgetSet: budget_set,
    GroupedBudgetSet: budget_set,
    BudgetValueOpened: budget_value_opened,
    BudgetRemoved: budget_removed,
    BudgetsCounted: budgets_counted,
    BudgetsTallied: budgets_tallied,
    BudgetCrossed: budget_crossed,
    HoldExtended: hold_extended,
    HoldReleased: hold_released,
    HoldExpired: hold_expired,
    ChargeStarted: charge_started,
    ChargePeriodBegun: charge_period_begun,
    ChargeRepriced: charge_repriced,
    FeeCharged: fee_charged,
    FeeRecognised: fee_recognised,
    ChargeChanged: charge_changed,
    ChargeEnded: charge_ended,
    MinimumsAwaited: minimums_awaited,
    MinimumCharged: minimum_charged,
    LeaseGranted: lease_granted,
    LeaseRenewed: lease_renewed,
    UsageLeased: usage_leased,
    LeaseReturned: lease_returned,
    LeaseLapsed: lease_lapsed,
    LeaseOverdue: lease_overdue,
    LeaseRecalled: lease_recalled,
    MandateGranted: mandate_granted,
    MandateRevoked: mandate_revoked,
    OutcomeReported: outcome_reported,
    OutcomeConfirmed: outcome_confirmed,
    OutcomeRejected: outcome_rejected,
    Subscribed: subscribed,
    PackageChanged: package_changed,
    PackagePeriodBegun: package_period_begun,
    ContractSigned: contract_signed,
    ContractBegun: contract_begun,
    ContractAmended: contract_amended,
    ContractRenewed: contract_renewed,
    GrantRolloverSet: grant_rollover_set,
    ContractEnded: contract_ended,
    PackagePhaseBegun: package_phase_begun,
    PackagePricesSet: package_prices_set,
    SubscriptionCancelled: subscription_cancelled,
    SubscriptionEnded: subscription_ended,
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
