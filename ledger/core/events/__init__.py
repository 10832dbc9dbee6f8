"""The facts of the journal: what happened, in the past tense, versioned for ever.

Every event is a tagged, array-like msgspec Struct. The tag is the format: a released event is
never edited; a change is a new class with a new tag, and an upcaster from the old one. Events hold
small internal integers and digests only. Names that could identify a person (account ids, event
ids, operations, personal attributes) live in erasable side tables beside the journal.

Amounts are minor units of the asset that is named; times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from typing import TypeAlias

from ledger.core.events.accounts import (
    AccountClosed,
    AccountClosedOut,
    AccountCreated,
    AccountFrozen,
    AccountMoved,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    AccountReopened,
    AccountUnfrozen,
    FreezeCause,
    WriteOff,
    WriteOffKind,
)
from ledger.core.events.base import (
    OF_A_GRANT,
    OF_AN_ACCOUNT,
    Backfill,
    BookKind,
    ListedLine,
    PeriodUnit,
    Pot,
    ProviderCost,
    RowDraw,
    ScopedAdvance,
    Slice,
)
from ledger.core.events.budgets import (
    BudgetCrossed,
    BudgetDenied,
    BudgetMeasure,
    BudgetMove,
    BudgetRemoved,
    BudgetsCounted,
    BudgetSet,
    BudgetsTallied,
    BudgetTerms,
    BudgetValueOpened,
    BudgetValues,
    GroupedBudgetSet,
    ValueLimit,
)
from ledger.core.events.caps import (
    CapBegun,
    CapRemoved,
    CapSet,
    CapTerms,
    CapWindowOpened,
    Sharing,
    SharingMode,
    SharingUpdated,
)
from ledger.core.events.charges import (
    ChargeBilling,
    ChargeChanged,
    ChargeDiscount,
    ChargeEnded,
    ChargePayer,
    ChargePeriodBegun,
    ChargeRepriced,
    ChargeStarted,
    ChargeTerms,
    Deferral,
    FeeCharged,
    FeeRecognised,
    RampStep,
)
from ledger.core.events.commitments import (
    CommitmentCreated,
    CommitmentEnded,
    CommitmentEnding,
    CommitmentTerms,
    Invoice,
    InvoiceDue,
    Segment,
    SegmentAdded,
    TrueUpCounted,
)
from ledger.core.events.contracts import (
    Committed,
    ContractAmended,
    ContractBegun,
    ContractEnded,
    ContractRenewed,
    ContractRollover,
    ContractSigned,
)
from ledger.core.events.conversions import ConversionReversed, UsageConverted
from ledger.core.events.corrections import (
    AdjustmentNoted,
    BalanceAdjusted,
    EndedGrants,
    GivenBack,
    GrantRestored,
    UsageReversed,
)
from ledger.core.events.decision_policies import (
    Alternative,
    AskedWork,
    DecisionPolicySet,
    PackageRulesSet,
    PolicyAction,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PolicyRule,
    QuantityMap,
    Ruling,
    Tried,
)
from ledger.core.events.decisions import (
    HoldUpTo,
    Limit,
    LimitKind,
    UpTo,
    UsageDebited,
    WorkDenied,
)
from ledger.core.events.gauges import GaugeCharged, GaugeReported, GaugeReversed
from ledger.core.events.grants import (
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantKind,
    GrantReduced,
    GrantReleased,
    GrantRolledOver,
    GrantRolloverSet,
    GrantStarted,
    GrantVoided,
    Rollover,
)
from ledger.core.events.holds import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldCharged,
    HoldExpired,
    HoldExpiry,
    HoldExtended,
    HoldReleased,
    QuotedDenied,
    UsageCaptured,
)
from ledger.core.events.leases import (
    LEASED_QUANTITY,
    LeaseGranted,
    LeaseLapse,
    LeaseLapsed,
    LeaseOverdue,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    OperationLeaseGranted,
    UsageLeased,
)
from ledger.core.events.mandates import (
    MANDATE_BUDGET,
    BuyingMandateGranted,
    MandateGranted,
    MandateRevoked,
    MandateTerms,
    PurchaseRequested,
    PurchaseTerms,
)
from ledger.core.events.metering import LevelBack, LevelMove, MetersReversed, UsageMetered
from ledger.core.events.minimums import MinimumCharged, MinimumsAwaited
from ledger.core.events.operations import (
    RESERVED_QUANTITY,
    HoldDebitDenied,
    HoldDebited,
    HoldRefilled,
    OperationBudgetBegun,
    OperationBudgetEnded,
    OperationBudgetSet,
    OperationHeld,
    OperationJoined,
    OperationPartHeld,
    OperationPolicySet,
    OperationReserved,
    PackageOperationsSet,
    SizedOperationHeld,
)
from ledger.core.events.outcome_charges import (
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
)
from ledger.core.events.overrides import PriceOverridesSet
from ledger.core.events.packages import (
    Follow,
    Minted,
    OldGrants,
    PackageChanged,
    PackageIssue,
    PackagePeriodBegun,
    PackagePhaseBegun,
    PackagePricesSet,
    PackageTerm,
    PolicyPart,
    Subscribed,
    SubscriptionCancelled,
    SubscriptionEnded,
    TakenBack,
)
from ledger.core.events.payments import (
    AccountBilled,
    BillLine,
    ChargedBackPart,
    CreditNoteIssued,
    GrantChargedBack,
    GrantRefunded,
    PaymentRecorded,
    ReceivableWrittenOff,
)
from ledger.core.events.policy import AccountPolicy, Comparator, Excess, Overage, OverdraftKind
from ledger.core.events.quotes import (
    QuotedPart,
    QuoteExpired,
    QuoteMade,
    QuoteUnused,
    UsageQuoted,
)
from ledger.core.events.recurring import (
    Proration,
    RecurringChanged,
    RecurringEnded,
    RecurringIssued,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RecurringTerms,
    Timing,
)
from ledger.core.events.rerates import (
    Rerate,
    RerateShare,
    RerateShared,
    SharedRerated,
    UsageRepriced,
    UsageRerated,
)
from ledger.core.events.runways import (
    RunwayAlert,
    RunwayAlertRemoved,
    RunwayAlertSet,
    RunwayCrossed,
)
from ledger.core.events.seats import (
    Allotment,
    ExhaustedSeat,
    SeatAllowanceLow,
    SeatEntry,
    SeatIssue,
    SeatPeriodBegun,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatRemoval,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTally,
    SeatTerms,
    SeatTermsChanged,
    UnknownSeat,
)
from ledger.core.events.sizes import HoldSized, Sized, SizedBy, SizedDenied
from ledger.core.events.statements import (
    StatementClosed,
    StatementEnded,
    StatementForm,
    StatementsSet,
)
from ledger.core.events.top_ups import (
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRule,
    TopUpRuleRemoved,
    TopUpRuleSet,
)
from ledger.core.events.usage import (
    LimitExceeded,
    Suspense,
    SuspenseRated,
    UsageCosted,
    UsageModeled,
    UsageQuarantined,
    UsageRecorded,
)
from ledger.core.events.windows import Window, WindowKind, WindowUnit
from ledger.core.events.writing import (
    BookOpened,
    ClockAdvanced,
    ConfigurationApplied,
    PlanDeclared,
    PlanOverridden,
    RequestAbandoned,
    TimeShifted,
    WriterOpened,
)

__all__ = [
    "LEASED_QUANTITY",
    "MANDATE_BUDGET",
    "OF_AN_ACCOUNT",
    "OF_A_GRANT",
    "RESERVED_QUANTITY",
    "AccountBilled",
    "AccountClosed",
    "AccountClosedOut",
    "AccountCreated",
    "AccountFrozen",
    "AccountMoved",
    "AccountPolicy",
    "AccountPolicyUpdated",
    "AccountProfileUpdated",
    "AccountReopened",
    "AccountUnfrozen",
    "AdjustmentNoted",
    "Allotment",
    "Alternative",
    "AskedWork",
    "AuthorizeDenied",
    "Backfill",
    "BalanceAdjusted",
    "BillLine",
    "BookKind",
    "BookOpened",
    "BudgetCrossed",
    "BudgetDenied",
    "BudgetMeasure",
    "BudgetMove",
    "BudgetRemoved",
    "BudgetSet",
    "BudgetTerms",
    "BudgetValueOpened",
    "BudgetValues",
    "BudgetsCounted",
    "BudgetsTallied",
    "BuyingMandateGranted",
    "CapBegun",
    "CapRemoved",
    "CapSet",
    "CapTerms",
    "CapWindowOpened",
    "ChargeBilling",
    "ChargeChanged",
    "ChargeDiscount",
    "ChargeEnded",
    "ChargePayer",
    "ChargePeriodBegun",
    "ChargeRepriced",
    "ChargeStarted",
    "ChargeTerms",
    "ChargedBackPart",
    "ClockAdvanced",
    "CommitmentCreated",
    "CommitmentEnded",
    "CommitmentEnding",
    "CommitmentTerms",
    "Committed",
    "Comparator",
    "ConfigurationApplied",
    "ContractAmended",
    "ContractBegun",
    "ContractEnded",
    "ContractRenewed",
    "ContractRollover",
    "ContractSigned",
    "ConversionReversed",
    "CreditNoteIssued",
    "DecisionPolicySet",
    "Deferral",
    "EndedGrants",
    "Event",
    "Excess",
    "ExhaustedSeat",
    "FeeCharged",
    "FeeRecognised",
    "Follow",
    "FreezeCause",
    "GaugeCharged",
    "GaugeReported",
    "GaugeReversed",
    "GivenBack",
    "GrantCancelled",
    "GrantChargedBack",
    "GrantExpired",
    "GrantIssued",
    "GrantKind",
    "GrantReduced",
    "GrantRefunded",
    "GrantReleased",
    "GrantRestored",
    "GrantRolledOver",
    "GrantRolloverSet",
    "GrantStarted",
    "GrantVoided",
    "GroupedBudgetSet",
    "HoldAuthorized",
    "HoldCharged",
    "HoldDebitDenied",
    "HoldDebited",
    "HoldExpired",
    "HoldExpiry",
    "HoldExtended",
    "HoldRefilled",
    "HoldReleased",
    "HoldSized",
    "HoldUpTo",
    "Invoice",
    "InvoiceDue",
    "LeaseGranted",
    "LeaseLapse",
    "LeaseLapsed",
    "LeaseOverdue",
    "LeaseRecalled",
    "LeaseRenewed",
    "LeaseReturned",
    "LevelBack",
    "LevelMove",
    "Limit",
    "LimitExceeded",
    "LimitKind",
    "ListedLine",
    "MandateGranted",
    "MandateRevoked",
    "MandateTerms",
    "MetersReversed",
    "MinimumCharged",
    "MinimumsAwaited",
    "Minted",
    "OldGrants",
    "OperationBudgetBegun",
    "OperationBudgetEnded",
    "OperationBudgetSet",
    "OperationHeld",
    "OperationJoined",
    "OperationLeaseGranted",
    "OperationPartHeld",
    "OperationPolicySet",
    "OperationReserved",
    "OutcomeConfirmed",
    "OutcomeRejected",
    "OutcomeReported",
    "Overage",
    "OverdraftKind",
    "PackageChanged",
    "PackageIssue",
    "PackageOperationsSet",
    "PackagePeriodBegun",
    "PackagePhaseBegun",
    "PackagePricesSet",
    "PackageRulesSet",
    "PackageTerm",
    "PaymentRecorded",
    "PeriodUnit",
    "PlanDeclared",
    "PlanOverridden",
    "PolicyAction",
    "PolicyDebited",
    "PolicyDenied",
    "PolicyHeld",
    "PolicyPart",
    "PolicyRule",
    "Pot",
    "PriceOverridesSet",
    "Proration",
    "ProviderCost",
    "PurchaseRequested",
    "PurchaseTerms",
    "QuantityMap",
    "QuoteExpired",
    "QuoteMade",
    "QuoteUnused",
    "QuotedDenied",
    "QuotedPart",
    "RampStep",
    "ReceivableWrittenOff",
    "RecurringChanged",
    "RecurringEnded",
    "RecurringIssued",
    "RecurringPaused",
    "RecurringResumed",
    "RecurringStarted",
    "RecurringTerms",
    "RequestAbandoned",
    "Rerate",
    "RerateShare",
    "RerateShared",
    "Rollover",
    "RowDraw",
    "Ruling",
    "RunwayAlert",
    "RunwayAlertRemoved",
    "RunwayAlertSet",
    "RunwayCrossed",
    "ScopedAdvance",
    "SeatAllowanceLow",
    "SeatEntry",
    "SeatIssue",
    "SeatPeriodBegun",
    "SeatPlanEnded",
    "SeatPlanStarted",
    "SeatReassigned",
    "SeatRemoval",
    "SeatSuspended",
    "SeatTally",
    "SeatTerms",
    "SeatTermsChanged",
    "SeatsAdded",
    "SeatsRemoved",
    "Segment",
    "SegmentAdded",
    "SharedRerated",
    "Sharing",
    "SharingMode",
    "SharingUpdated",
    "Sized",
    "SizedBy",
    "SizedDenied",
    "SizedOperationHeld",
    "Slice",
    "StatementClosed",
    "StatementEnded",
    "StatementForm",
    "StatementsSet",
    "Subscribed",
    "SubscriptionCancelled",
    "SubscriptionEnded",
    "Suspense",
    "SuspenseRated",
    "TakenBack",
    "TimeShifted",
    "Timing",
    "TopUpConfirmed",
    "TopUpDeclined",
    "TopUpExpired",
    "TopUpRequested",
    "TopUpRule",
    "TopUpRuleRemoved",
    "TopUpRuleSet",
    "Tried",
    "TrueUpCounted",
    "UnknownSeat",
    "UpTo",
    "UsageCaptured",
    "UsageConverted",
    "UsageCosted",
    "UsageDebited",
    "UsageLeased",
    "UsageMetered",
    "UsageModeled",
    "UsageQuarantined",
    "UsageQuoted",
    "UsageRecorded",
    "UsageRepriced",
    "UsageRerated",
    "UsageReversed",
    "ValueLimit",
    "Window",
    "WindowKind",
    "WindowUnit",
    "WorkDenied",
    "WriteOff",
    "WriteOffKind",
    "WriterOpened",
]


Event: TypeAlias = (
    WriterOpened
    | ConfigurationApplied
    | ClockAdvanced
    | TimeShifted
    | BookOpened
    | AccountCreated
    | AccountPolicyUpdated
    | AccountClosed
    | AccountFrozen
    | AccountMoved
    | AccountUnfrozen
    | AccountClosedOut
    | AccountReopened
    | AccountProfileUpdated
    | GrantIssued
    | DecisionPolicySet
    | PackageRulesSet
    | SharingUpdated
    | CapSet
    | CapBegun
    | CapRemoved
    | CapWindowOpened
    | GrantStarted
    | GrantRolledOver
    | GrantRolloverSet
    | GrantReleased
    | GrantCancelled
    | GrantVoided
    | GrantExpired
    | PlanDeclared
    | PlanOverridden
    | UsageRecorded
    | UsageModeled
    | SuspenseRated
    | UsageCosted
    | UsageQuarantined
    | LimitExceeded
    | UsageReversed
    | UsageRerated
    | RerateShared
    | SharedRerated
    | UsageRepriced
    | GrantRestored
    | AdjustmentNoted
    | BalanceAdjusted
    | UsageCaptured
    | UsageDebited
    | PolicyDebited
    | UsageQuoted
    | QuoteMade
    | QuoteExpired
    | HoldAuthorized
    | HoldExtended
    | HoldCharged
    | AuthorizeDenied
    | QuotedDenied
    | WorkDenied
    | HoldUpTo
    | HoldSized
    | OperationHeld
    | OperationReserved
    | OperationPartHeld
    | HoldRefilled
    | HoldDebited
    | HoldDebitDenied
    | SizedOperationHeld
    | OperationBudgetSet
    | OperationJoined
    | OperationPolicySet
    | PackageOperationsSet
    | OperationBudgetBegun
    | OperationBudgetEnded
    | SizedDenied
    | PolicyHeld
    | PolicyDenied
    | HoldReleased
    | HoldExpired
    | RequestAbandoned
    | RecurringStarted
    | RecurringIssued
    | RecurringChanged
    | RecurringPaused
    | RecurringResumed
    | RecurringEnded
    | GrantReduced
    | CommitmentCreated
    | SegmentAdded
    | CommitmentEnded
    | InvoiceDue
    | TrueUpCounted
    | GrantRefunded
    | GrantChargedBack
    | AccountBilled
    | PaymentRecorded
    | CreditNoteIssued
    | ReceivableWrittenOff
    | BudgetSet
    | GroupedBudgetSet
    | BudgetValueOpened
    | BudgetRemoved
    | BudgetsCounted
    | BudgetsTallied
    | BudgetCrossed
    | BudgetDenied
    | RunwayAlertSet
    | RunwayAlertRemoved
    | RunwayCrossed
    | TopUpRuleSet
    | TopUpRuleRemoved
    | TopUpRequested
    | TopUpConfirmed
    | TopUpDeclined
    | TopUpExpired
    | PriceOverridesSet
    | UsageConverted
    | ConversionReversed
    | MinimumsAwaited
    | MinimumCharged
    | LeaseGranted
    | OperationLeaseGranted
    | LeaseRenewed
    | UsageLeased
    | LeaseReturned
    | LeaseLapsed
    | LeaseOverdue
    | LeaseRecalled
    | MandateGranted
    | BuyingMandateGranted
    | MandateRevoked
    | PurchaseRequested
    | OutcomeReported
    | OutcomeConfirmed
    | OutcomeRejected
    | UsageMetered
    | MetersReversed
    | GaugeReported
    | GaugeCharged
    | GaugeReversed
    | Subscribed
    | PackageChanged
    | PackagePeriodBegun
    | PackagePhaseBegun
    | PackagePricesSet
    | ContractSigned
    | ContractBegun
    | ContractAmended
    | ContractRenewed
    | ContractEnded
    | SubscriptionCancelled
    | SubscriptionEnded
    | ChargeStarted
    | ChargePeriodBegun
    | ChargeRepriced
    | FeeCharged
    | FeeRecognised
    | ChargeChanged
    | ChargeEnded
    | SeatPlanStarted
    | SeatsAdded
    | SeatsRemoved
    | SeatReassigned
    | SeatSuspended
    | SeatTermsChanged
    | SeatPeriodBegun
    | SeatPlanEnded
    | SeatAllowanceLow
    | StatementsSet
    | StatementEnded
    | StatementClosed
)
"""Everything that a journal may hold."""
