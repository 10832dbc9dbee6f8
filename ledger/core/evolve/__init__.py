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
    CapRemoved,
    CapSet,
    CapWindowOpened,
    ChargeChanged,
    ChargeEnded,
    ChargePeriodBegun,
    ChargeStarted,
    ClockAdvanced,
    CommitmentCreated,
    CommitmentEnded,
    ConfigurationApplied,
    ConversionReversed,
    CreditNoteIssued,
    Event,
    FeeCharged,
    FeeRecognised,
    GrantCancelled,
    GrantChargedBack,
    GrantExpired,
    GrantIssued,
    GrantReduced,
    GrantRefunded,
    GrantReleased,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExtended,
    HoldReleased,
    InvoiceDue,
    LimitExceeded,
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
    PaymentRecorded,
    PlanDeclared,
    PlanOverridden,
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
    RequestAbandoned,
    SeatAllowanceLow,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SegmentAdded,
    SharingUpdated,
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
    UsageMetered,
    UsageModeled,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
    UsageRepriced,
    UsageRerated,
    UsageReversed,
    WriterOpened,
)
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
    budgets_counted,
    budgets_tallied,
)
from ledger.core.evolve.caps import cap_removed, cap_set, cap_window_opened, sharing_updated
from ledger.core.evolve.charges import (
    charge_changed,
    charge_ended,
    charge_period_begun,
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
from ledger.core.evolve.conversions import conversion_reversed, usage_converted
from ledger.core.evolve.corrections import adjustment_noted, balance_adjusted, usage_reversed
from ledger.core.evolve.grants import (
    grant_cancelled,
    grant_expired,
    grant_issued,
    grant_released,
    grant_restored,
    grant_rolled_over,
    grant_started,
    grant_voided,
)
from ledger.core.evolve.holds import (
    authorize_denied,
    hold_authorized,
    hold_expired,
    hold_extended,
    hold_released,
    outcome_rejected,
    outcome_reported,
)
from ledger.core.evolve.metering import meters_reversed, usage_metered
from ledger.core.evolve.minimums import minimum_charged, minimums_awaited
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
from ledger.core.evolve.seats import (
    seat_allowance_low,
    seat_period_begun,
    seat_plan_ended,
    seat_plan_started,
    seat_reassigned,
    seat_suspended,
    seats_added,
    seats_removed,
)
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


def evolve(state: State, event: Event) -> None:
    """Apply one event as the next entry of the current batch."""
    if type(event) is UsageRecorded:
        usage_recorded(state, event)
    else:
        EVOLVERS[type(event)](state, event)
    state.locator += 1


def evolve_all(state: State, events: Iterable[Event]) -> None:
    """Apply events of one batch, in order: a replay."""
    for event in events:
        if type(event) is UsageRecorded:
            usage_recorded(state, event)
        else:
            EVOLVERS[type(event)](state, event)
        state.locator += 1


EVOLVERS: dict[type, Callable[[State, Any], None]] = {
    WriterOpened: writer_opened,
    ConfigurationApplied: configuration_applied,
    ClockAdvanced: clock_advanced,
    TimeShifted: time_shifted,
    BookOpened: book_opened,
    AccountCreated: account_created,
    AccountPolicyUpdated: account_policy_updated,
    AccountClosed: account_closed,
    AccountClosedOut: account_closed_out,
    AccountFrozen: account_frozen,
    AccountMoved: account_moved,
    AccountUnfrozen: account_unfrozen,
    AccountReopened: account_reopened,
    AccountProfileUpdated: account_profile_updated,
    GrantIssued: grant_issued,
    SharingUpdated: sharing_updated,
    CapSet: cap_set,
    CapRemoved: cap_removed,
    CapWindowOpened: cap_window_opened,
    GrantStarted: grant_started,
    GrantRolledOver: grant_rolled_over,
    GrantReleased: grant_released,
    GrantCancelled: grant_cancelled,
    GrantVoided: grant_voided,
    GrantExpired: grant_expired,
    PlanDeclared: plan_declared,
    PlanOverridden: plan_declared,
    UsageRecorded: usage_recorded,
    UsageModeled: usage_recorded,
    UsageCosted: usage_costed,
    UsageCaptured: usage_costed,
    HoldCharged: usage_costed,
    SuspenseRated: suspense_rated,
    UsageQuoted: usage_quoted,
    UsageRepriced: usage_costed,
    QuoteMade: quote_made,
    QuoteExpired: quote_expired,
    UsageQuarantined: usage_quarantined,
    LimitExceeded: limit_exceeded,
    UsageReversed: usage_reversed,
    UsageRerated: usage_rerated,
    UsageConverted: usage_converted,
    ConversionReversed: conversion_reversed,
    UsageMetered: usage_metered,
    MetersReversed: meters_reversed,
    GrantRestored: grant_restored,
    AdjustmentNoted: adjustment_noted,
    BalanceAdjusted: balance_adjusted,
    HoldAuthorized: hold_authorized,
    AuthorizeDenied: authorize_denied,
    QuotedDenied: authorize_denied,
    BudgetDenied: authorize_denied,
    BudgetSet: budget_set,
    BudgetRemoved: budget_removed,
    BudgetsCounted: budgets_counted,
    BudgetsTallied: budgets_tallied,
    BudgetCrossed: budget_crossed,
    HoldExtended: hold_extended,
    HoldReleased: hold_released,
    HoldExpired: hold_expired,
    OutcomeReported: outcome_reported,
    OutcomeConfirmed: usage_costed,
    OutcomeRejected: outcome_rejected,
    RequestAbandoned: request_abandoned,
    RecurringStarted: recurring_started,
    RecurringIssued: recurring_issued,
    RecurringChanged: recurring_changed,
    RecurringPaused: recurring_paused,
    RecurringResumed: recurring_resumed,
    RecurringEnded: recurring_ended,
    GrantReduced: grant_reduced,
    GrantRefunded: grant_refunded,
    GrantChargedBack: grant_charged_back,
    AccountBilled: account_billed,
    PaymentRecorded: payment_recorded,
    CreditNoteIssued: receivable_lowered,
    ReceivableWrittenOff: receivable_lowered,
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
    PriceOverridesSet: price_overrides_set,
    Subscribed: subscribed,
    PackageChanged: package_changed,
    PackagePeriodBegun: package_period_begun,
    PackagePhaseBegun: package_phase_begun,
    PackagePricesSet: package_prices_set,
    SubscriptionCancelled: subscription_cancelled,
    SubscriptionEnded: subscription_ended,
    ChargeStarted: charge_started,
    ChargePeriodBegun: charge_period_begun,
    FeeCharged: fee_charged,
    FeeRecognised: fee_recognised,
    ChargeChanged: charge_changed,
    ChargeEnded: charge_ended,
    SeatPlanStarted: seat_plan_started,
    SeatsAdded: seats_added,
    SeatsRemoved: seats_removed,
    SeatReassigned: seat_reassigned,
    SeatSuspended: seat_suspended,
    SeatPeriodBegun: seat_period_begun,
    SeatPlanEnded: seat_plan_ended,
    SeatAllowanceLow: seat_allowance_low,
    StatementsSet: statements_set,
    StatementEnded: statement_ended,
    StatementClosed: statement_closed,
    MinimumsAwaited: minimums_awaited,
    MinimumCharged: minimum_charged,
}
"""One function an event; a test asserts that every event has one."""
