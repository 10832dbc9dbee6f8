"""The naive ledger of one shard: reads the journal entry by entry and judges each one.

Plain dicts, nothing incremental but what the rules say is kept. It uses the event classes as data
and none of the core's code. Raises Violation where an entry contradicts a rule. Read in this order:

    shard        what is known, expectations, books, what must come next
    accounts     openings, configuration, policies, standing, closing
    grants       issued, repaying, voided, rolled over, expired
    overrides    which price override counts
    priced       what usage costs, by a card or by a quote
    mandates     of agents: granted, asked, revoked
    windows      of budgets: where usage counts, what the present one holds
    budgets      of accounts: set, changed amid usage, removed
    operations   budgets of operations: which cover a call, what counts in them
    decisions    what may run: within every limit, as much as is affordable
    reserves     holds of operations: units for whatever calls come
    rulings      what rules make of what may not run as it was asked for
    holds        authorised, denied, extended, settled
    leases       in escrow, renewed, reported on, given back, lapsed
    quotes       promised, used, expired
    usage        priced and drawn; captures, charges of expired holds
    suspense     what waited for a price, rated
    money        payments, refunds, chargebacks, bills
    corrections  usage given back, adjustments by hand
    recurring, commitments, top_ups     what issues grants by itself
    charges      fixed ones: their periods, fees and what those earn
    period_room  what a period of a package gives, by grants and by seats together
    packaged_seats    plans of seats that packages begin and end
    packages     subscriptions: grants, charges and policies of each period
    contracts    signed, begun, amended, renewed, ended
    seats        whose allowances pay first; their plans, period by period
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ledger.core import events as e
from ledger.simulation.model import (
    accounts,
    budgets,
    charges,
    commitments,
    contracts,
    corrections,
    grants,
    holds,
    leases,
    mandates,
    money,
    operations,
    overrides,
    packages,
    quotes,
    recurring,
    rulings,
    seats,
    suspense,
    top_ups,
    usage,
)
from ledger.simulation.model.shard import WINDOW_US, Shard
from ledger.simulation.rules import Rule

__all__ = ["HANDLERS", "WINDOW_US", "ShardModel"]

_OPENINGS: Final = (e.BookOpened, e.PlanDeclared)


class ShardModel(Shard):
    """One shard: `begin` a batch, `take` its entries, `end` it."""

    def begin(self, batch_seq: int, recorded_at: int, requests: Iterable[bytes] = ()) -> None:
        """The next batch; `requests` are the keys of entries that somebody asked for by name."""
        self.requests = set(requests)
        self.batch_seq = batch_seq
        self.batch_at = self.recorded_at = recorded_at
        self.plans = {}
        self.index = 0
        self.asked = {}

    def take(self, event: Any) -> None:
        """Judge and apply the next entry."""
        if event.account in self.accounts:  # rule T5: by the clock of its own tenant
            ahead = self.offsets.get(self.accounts[event.account].tenant, 0)
            self.expect(Rule.RECORDED_TIME, "ahead", ahead, self.recorded_at - self.batch_at)
        handler = HANDLERS.get(type(event))
        if handler is None:
            self.fail(Rule.EVENT_KNOWN, f"{type(event).__name__} is not in the model")
        opens = isinstance(event, _OPENINGS)
        if self.due and not opens:
            _, judge = self.due.pop(0)
            judge(event)
        elif not opens and self._awaits(event):
            operations.follows(self, event, self.following.pop(0))
        elif self.last and not opens:
            _, judge = self.last.pop(0)
            judge(event)
        else:
            handler(self, event)
        self.index += 1
        self.position += 1

    def end(self) -> None:
        """The batch is over: nothing may be owed to it, nothing unexplained."""
        if self.due:
            self.fail(Rule.HOLD_SETTLED_ONCE, f"the batch ends before {self.due[0][0]}")
        if self._awaits(None) or self.last or self.uncounted:
            self.fail(
                Rule.BUDGETED,
                f"the batch ends before {self.following or self.last or self.uncounted}",
            )
        if self.ahead:
            self.fail(Rule.GRANT_FIGURES, f"nothing explains {self.ahead}")
        top_ups.nothing_wanted(self)
        self.check_balance()

    def _awaits(self, event: Any) -> bool:
        """Whether something has to follow what was decided last."""
        self.coming = event
        while not self.following and self.behind:
            self.following = self.behind.pop(0)()
        return bool(self.following)


HANDLERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    e.WriterOpened: accounts.writer_opened,
    e.ConfigurationApplied: accounts.configuration_applied,
    e.ClockAdvanced: accounts.clock_advanced,
    e.TimeShifted: accounts.time_shifted,
    e.BookOpened: accounts.book_opened,
    e.AccountCreated: accounts.created,
    e.AccountPolicyUpdated: accounts.policy_updated,
    e.AccountClosed: accounts.closed,
    e.AccountClosedOut: accounts.closed_out,
    e.AccountReopened: accounts.reopened,
    e.AccountFrozen: accounts.frozen,
    e.AccountMoved: accounts.moved,
    e.AccountUnfrozen: accounts.unfrozen,
    e.AccountProfileUpdated: accounts.profile_updated,
    e.GrantIssued: grants.issued,
    e.GrantStarted: grants.started,
    e.GrantRolledOver: grants.rolled_over,
    e.GrantReleased: money.confirmed,
    e.GrantCancelled: grants.cancelled,
    e.GrantRefunded: money.refunded,
    e.GrantChargedBack: money.charged_back,
    e.AccountBilled: money.billed,
    e.PaymentRecorded: money.receivable_paid,
    e.CreditNoteIssued: money.credited,
    e.ReceivableWrittenOff: money.written_off,
    e.GrantVoided: grants.voided,
    e.GrantExpired: grants.expired,
    e.GrantReduced: grants.reduced,
    e.TrueUpCounted: usage.unexpected,  # but right behind what it counts
    e.GrantRestored: grants.restored,
    e.PlanDeclared: accounts.plan_declared,
    e.PlanOverridden: accounts.plan_declared,
    e.PriceOverridesSet: overrides.overrides_set,
    e.UsageRecorded: usage.recorded,
    e.UsageModeled: usage.recorded,
    e.UsageCosted: usage.unexpected,
    e.UsageConverted: usage.unexpected,
    e.ConversionReversed: usage.unexpected,
    e.LeaseGranted: leases.granted,
    e.LeaseRenewed: leases.renewed,
    e.UsageLeased: usage.reported,
    e.LeaseReturned: leases.returned,
    e.LeaseLapsed: leases.lapsed,
    e.LeaseOverdue: leases.overdue,
    e.LeaseRecalled: leases.recalled,
    e.MandateGranted: mandates.granted,
    e.MandateRevoked: mandates.revoked,
    e.BuyingMandateGranted: mandates.granted,
    e.PurchaseRequested: mandates.bought,
    e.OutcomeReported: usage.unexpected,
    e.OutcomeConfirmed: usage.unexpected,
    e.OutcomeRejected: usage.unexpected,
    e.UsageMetered: usage.unexpected,
    e.MetersReversed: usage.unexpected,
    e.GaugeReported: usage.unexpected,  # gauges are of tests/core/test_gauges
    e.GaugeCharged: usage.unexpected,
    e.GaugeReversed: usage.unexpected,
    e.UsageCaptured: usage.recorded,
    e.HoldCharged: usage.charged,
    e.UsageQuoted: usage.recorded,
    e.QuoteMade: quotes.made,
    e.QuoteExpired: quotes.expired,
    e.UsageQuarantined: usage.quarantined,
    e.LimitExceeded: usage.unexpected,
    e.AdjustmentNoted: usage.unexpected,
    e.SuspenseRated: suspense.rated,
    e.UsageReversed: corrections.reversed_,
    e.UsageRerated: corrections.rerated,
    e.RerateShared: usage.unexpected,  # shared totals are of tests/core/test_shared_totals
    e.SharedRerated: usage.unexpected,
    e.UsageRepriced: usage.unexpected,  # jobs are of tests/core/test_repricing
    e.BalanceAdjusted: corrections.adjusted,
    e.HoldAuthorized: holds.authorized,
    e.AuthorizeDenied: holds.denied,
    e.QuotedDenied: holds.denied,
    e.WorkDenied: holds.denied,
    e.HoldSized: usage.unexpected,
    e.OperationHeld: holds.authorized,
    e.OperationReserved: holds.authorized,
    e.OperationPartHeld: usage.unexpected,  # of tests/core/test_operation_parts
    e.HoldRefilled: usage.unexpected,
    e.HoldDebited: usage.debited,
    e.HoldDebitDenied: holds.denied,
    e.SizedOperationHeld: usage.unexpected,
    e.OperationLeaseGranted: usage.unexpected,
    e.SizedDenied: usage.unexpected,
    e.HoldUpTo: holds.authorized,
    e.PolicyHeld: holds.authorized,
    e.PolicyDenied: holds.denied,
    e.PolicyDebited: usage.debited,
    e.DecisionPolicySet: rulings.rules_set,
    e.PackageRulesSet: usage.unexpected,
    e.PackageOperationsSet: usage.unexpected,
    e.UsageDebited: usage.debited,
    e.HoldExtended: holds.extended,
    e.HoldReleased: holds.released,
    e.HoldExpired: holds.expired,
    e.RequestAbandoned: accounts.abandoned,
    e.RecurringStarted: recurring.started,
    e.RecurringIssued: recurring.issued,
    e.RecurringChanged: recurring.changed,
    e.RecurringPaused: recurring.paused,
    e.RecurringResumed: recurring.resumed,
    e.RecurringEnded: recurring.ended,
    e.CommitmentCreated: commitments.created,
    e.SegmentAdded: commitments.segment_added,
    e.CommitmentEnded: commitments.ended,
    e.InvoiceDue: commitments.invoice_due,
    e.TopUpRuleSet: top_ups.rule_set,
    e.TopUpRuleRemoved: top_ups.rule_removed,
    e.TopUpRequested: top_ups.requested,
    e.TopUpConfirmed: top_ups.confirmed,
    e.TopUpDeclined: top_ups.declined,
    e.TopUpExpired: top_ups.expired,
    e.SharingUpdated: usage.unexpected,  # these of tests/core/test_cap_properties
    e.CapSet: usage.unexpected,
    e.CapBegun: usage.unexpected,
    e.CapRemoved: usage.unexpected,
    e.CapWindowOpened: usage.unexpected,
    e.BudgetSet: budgets.budget_set,
    e.BudgetRemoved: budgets.budget_removed,
    e.BudgetsCounted: usage.unexpected,
    e.BudgetsTallied: operations.tallied,
    e.BudgetCrossed: usage.unexpected,
    e.BudgetDenied: usage.unexpected,
    e.GroupedBudgetSet: usage.unexpected,
    e.BudgetValueOpened: usage.unexpected,
    e.OperationBudgetSet: operations.budget_set,
    e.OperationPolicySet: usage.unexpected,  # worlds have none
    e.OperationBudgetBegun: usage.unexpected,
    e.OperationJoined: usage.unexpected,  # but right behind a call
    e.OperationBudgetEnded: operations.budget_ended,
    e.Subscribed: contracts.subscribed,
    e.PackageChanged: packages.changed,
    e.PackagePeriodBegun: packages.period_begun,
    e.PackagePricesSet: usage.unexpected,
    e.GrantRolloverSet: contracts.rollover_set,
    e.ContractSigned: contracts.signed,
    e.ContractBegun: usage.unexpected,  # but right behind its package
    e.ContractAmended: contracts.amended,
    e.ContractRenewed: contracts.renewed,
    e.ContractEnded: contracts.ended,
    e.PackagePhaseBegun: usage.unexpected,
    e.SubscriptionCancelled: contracts.cancelled,
    e.SubscriptionEnded: packages.ended,
    e.ChargeStarted: charges.started,
    e.ChargePeriodBegun: charges.period_begun,
    e.ChargeRepriced: charges.repriced,
    e.FeeCharged: charges.fee_charged,
    e.FeeRecognised: charges.recognised,
    e.ChargeChanged: charges.changed,
    e.ChargeEnded: charges.ended,
    e.SeatPlanStarted: seats.started,
    e.SeatsAdded: seats.added,
    e.SeatsRemoved: seats.removed,
    e.SeatReassigned: seats.reassigned,
    e.SeatSuspended: seats.suspended,
    e.SeatPeriodBegun: seats.period_begun,
    e.SeatPlanEnded: seats.ended,
    e.SeatTermsChanged: seats.terms_changed,
    e.SeatAllowanceLow: usage.unexpected,  # but right behind a draw
    e.RunwayAlertSet: usage.unexpected,  # runway alerts are of tests/core/test_runways
    e.RunwayAlertRemoved: usage.unexpected,
    e.RunwayCrossed: usage.unexpected,
    e.StatementsSet: usage.unexpected,  # statements are of tests/core/test_statements
    e.StatementEnded: usage.unexpected,
    e.StatementClosed: usage.unexpected,
    e.MinimumsAwaited: usage.unexpected,
    e.MinimumCharged: usage.unexpected,
}
"""One function an event; a test asserts that every event has one."""
