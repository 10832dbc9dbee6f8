"""What of each command is its body, and which events answer it (rule I1).

A new command needs a line here. It says which fields are held to what was recorded, not how: what
is compared in another way than field by field stands in `repeats`.
"""

from __future__ import annotations

from typing import Final

from ledger.core import commands as c
from ledger.core import events as e

BODIES: Final[dict[type, tuple[tuple[type, ...], tuple[str, ...]]]] = {
    c.AdjustBalance: ((e.BalanceAdjusted,), ("account", "asset", "amount", "expires_at", "note")),
    c.AmendUsage: ((e.UsageReversed,), ()),
    c.ReverseUsage: (
        (e.UsageReversed, e.GaugeReversed),
        ("account", "original", "as_charged", "ended", "note"),
    ),
    c.ReleaseHold: ((e.HoldReleased,), ("account", "hold")),
    c.CreateAccount: ((e.AccountCreated,), ("account", "parent", "policy", "profile")),
    c.UpdatePolicy: ((e.AccountPolicyUpdated,), ("account", "policy", "expected_version")),
    c.UpdateProfile: ((e.AccountProfileUpdated,), ("account", "profile", "expected_version")),
    c.CloseAccount: (
        (e.AccountClosed, e.AccountClosedOut),
        ("account", "write_off", "release_holds", "note"),
    ),
    c.MoveAccount: ((e.AccountMoved,), ("account", "parent", "expected_version", "note")),
    c.FreezeAccount: ((e.AccountFrozen,), ("account", "note")),
    c.UnfreezeAccount: ((e.AccountUnfrozen,), ("account", "note")),
    c.ReopenAccount: ((e.AccountReopened,), ("account", "note")),
    c.IssueGrant: (
        (e.GrantIssued,),
        (
            "account",
            "kind",
            "asset",
            "amount",
            "price_paid",
            "price_asset",
            "priority",
            "expires_at",
            "products",
            "external_key",
            "source",
            "tags",
            "attributes",
            "shared",
            "pending",
            "rollover",
            "metadata",
        ),
    ),
    c.UpdateSharing: ((e.SharingUpdated,), ("account", "grant", "sharing", "expected_version")),
    c.SetCap: ((e.CapSet, e.CapBegun), ()),
    c.RemoveCap: ((e.CapRemoved,), ("account", "cap", "expected_version")),
    c.VoidGrant: ((e.GrantVoided,), ("account", "grant", "forfeit")),
    c.ConfirmPayment: ((e.GrantReleased,), ("account", "grant")),
    c.FailPayment: ((e.GrantCancelled,), ("account", "grant")),
    c.RefundGrant: ((e.GrantRefunded,), ("account", "grant", "note")),
    c.ChargeBack: ((e.GrantChargedBack,), ("account", "grant", "note")),
    c.BillAccount: ((e.AccountBilled,), ("account", "asset", "most", "note")),
    c.RecordPayment: ((e.PaymentRecorded,), ("account", "asset", "amount", "source", "note")),
    c.IssueCreditNote: ((e.CreditNoteIssued,), ("account", "asset", "amount", "note")),
    c.WriteOffReceivable: ((e.ReceivableWrittenOff,), ("account", "asset", "amount", "note")),
    c.StartRecurring: (
        (e.RecurringStarted,),
        ("account", "terms", "external_key", "ends_at"),
    ),
    c.ChangeRecurring: (
        (e.RecurringChanged,),
        ("account", "recurring", "terms", "timing", "expected_version"),
    ),
    c.PauseRecurring: ((e.RecurringPaused,), ("account", "recurring")),
    c.ResumeRecurring: ((e.RecurringResumed,), ("account", "recurring")),
    c.EndRecurring: ((e.RecurringEnded,), ("account", "recurring", "timing")),
    c.StartCharge: ((e.ChargeStarted,), ("account", "name", "terms", "quantity", "ends_at")),
    c.ChangeQuantity: (
        (e.ChargeChanged,),
        ("account", "charge", "quantity", "timing", "expected_version"),
    ),
    c.ChangeTerms: ((e.ChargeChanged,), ("account", "charge", "terms", "expected_version")),
    c.EndCharge: ((e.ChargeEnded,), ("account", "charge", "timing")),
    c.Subscribe: ((e.Subscribed,), ("account", "package", "follow", "version", "locked_until")),
    c.ChangePackage: (
        (e.PackageChanged,),
        (
            "account",
            "package",
            "timing",
            "follow",
            "version",
            "locked_until",
            "old_grants",
            "expected_version",
        ),
    ),
    c.CancelSubscription: (
        (e.SubscriptionCancelled,),
        ("account", "timing", "old_grants", "expected_version"),
    ),
    c.StartSeatPlan: ((e.SeatPlanStarted,), ("account", "seat_plan", "terms", "count")),
    c.AddSeats: ((e.SeatsAdded,), ("account", "seat_plan", "count", "expected_version")),
    c.RemoveSeats: (
        (e.SeatsRemoved,),
        ("account", "seat_plan", "count", "mode", "expected_version"),
    ),
    c.ChangeSeatTerms: (
        (e.SeatTermsChanged,),
        ("account", "seat_plan", "terms", "expected_version"),
    ),
    c.ReassignSeat: ((e.SeatReassigned,), ("account", "seat_plan", "to", "expected_version")),
    c.SuspendSeat: ((e.SeatSuspended,), ("account", "seat_plan", "expected_version")),
    c.ResumeSeat: ((e.SeatSuspended,), ("account", "seat_plan", "expected_version")),
    c.EndSeatPlan: (
        (e.SeatPlanEnded,),
        ("account", "seat_plan", "timing", "mode", "expected_version"),
    ),
    c.SignContract: (
        (e.ContractSigned,),
        ("account", "contract", "package", "ends_at", "auto_renew", "minimum", "rollover"),
    ),
    c.AmendContract: (
        (e.ContractAmended,),
        (
            "account",
            "contract",
            "version",
            "ends_at",
            "auto_renew",
            "minimum",
            "rollover",
            "expected_version",
        ),
    ),
    c.EndContract: (
        (e.ContractEnded,),
        ("account", "contract", "ending", "old_grants", "target", "expected_version"),
    ),
    c.CreateCommitment: (
        (e.CommitmentCreated,),
        ("account", "terms", "segments", "invoices", "external_key"),
    ),
    c.AddSegment: ((e.SegmentAdded,), ("account", "commitment", "segment", "invoices")),
    c.EndCommitment: ((e.CommitmentEnded,), ("account", "commitment", "ending", "target")),
    c.SetPriceOverrides: ((e.PriceOverridesSet,), ("account", "expected_version", "note")),
    c.SetStatements: ((e.StatementsSet,), ("account", "form", "attribute", "expected_version")),
    c.EndStatement: ((e.StatementEnded,), ("account",)),
    c.CloseStatement: ((e.StatementClosed,), ("account", "statement", "batch_seq", "head", "hash")),
    c.SetBudget: (
        (e.BudgetSet, e.GroupedBudgetSet),
        ("account", "name", "terms", "values", "expected_version"),
    ),
    c.SetOperationBudget: (
        (e.OperationBudgetSet,),
        ("account", "operation", "terms", "expected_version"),
    ),
    c.SetOperationPolicy: (
        (e.OperationPolicySet,),
        ("account", "terms", "expected_version"),
    ),
    c.RemoveBudget: ((e.BudgetRemoved,), ("account", "name")),
    c.SetDecisionPolicy: ((e.DecisionPolicySet,), ("account", "rules", "expected_version")),
    c.GrantMandate: (
        (e.MandateGranted, e.BuyingMandateGranted),
        ("account", "terms", "purchase"),
    ),
    c.RequestTopUp: ((e.PurchaseRequested,), ("account", "asset", "amount")),
    c.RevokeMandate: ((e.MandateRevoked,), ("account", "note")),
    c.SetTopUpRule: ((e.TopUpRuleSet,), ("account", "rule", "expected_version")),
    c.RemoveTopUpRule: ((e.TopUpRuleRemoved,), ("account", "asset")),
    c.SetRunwayAlert: ((e.RunwayAlertSet,), ("account", "alert", "expected_version")),
    c.RemoveRunwayAlert: ((e.RunwayAlertRemoved,), ("account", "asset")),
    c.ReportRunway: ((e.RunwayCrossed,), ("account", "asset", "version", "crossing")),
    c.ConfirmTopUp: ((e.TopUpConfirmed,), ("account", "top_up")),
    c.DeclineTopUp: ((e.TopUpDeclined,), ("account", "top_up")),
    c.AuthorizeHold: (
        (e.HoldAuthorized, e.AuthorizeDenied),
        ("account", "quantities", "lifetime", "operation"),
    ),
    c.ReserveOperation: (
        (e.OperationReserved, e.WorkDenied),
        ("account", "lifetime", "operation"),
    ),
    c.DebitWork: ((e.UsageDebited, e.WorkDenied), ("account", "quantities", "operation")),
    c.CreateQuote: ((e.QuoteMade,), ("account", "quantities", "lifetime")),
    c.ExtendHold: ((e.HoldExtended,), ("account", "hold", "lifetime")),
    c.CaptureHold: ((e.UsageRecorded,), ("account", "hold", "quantities")),
    c.AcquireLease: (
        (e.LeaseGranted,),
        ("account", "holder", "wanted", "minimum", "lifetime", "on_lapse", "operation"),
    ),
    c.RenewLease: ((e.LeaseRenewed,), ("account", "hold", "wanted", "keep", "lifetime")),
    c.ReturnLease: ((e.LeaseReturned,), ("account", "hold")),
    c.RecallLease: ((e.LeaseRecalled,), ("account", "hold", "keep")),
    c.LeasedUsage: (
        (e.UsageLeased, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.ReportOutcome: ((e.OutcomeReported,), ("account", "quantities", "evidence")),
    c.ConfirmOutcome: ((e.OutcomeConfirmed,), ("account",)),
    c.RejectOutcome: ((e.OutcomeRejected,), ("account", "note")),
    c.RecordUsage: (
        (e.UsageRecorded, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.MeteredUsage: (
        (e.UsageRecorded, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.ReportGauge: (
        (e.GaugeReported, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.QuotedUsage: (
        (e.UsageRecorded, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.LinkedUsage: (
        (e.UsageRecorded, e.UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    c.RepriceUsage: (
        (e.UsageRepriced,),
        ("account", "quantities", "operation", "personal", "job", "original"),
    ),
}
"""Command -> (the events that answer it, the fields that are its body)."""
