"""What may be asked of the core, in the imperative. Parsed once, at the edge; valid in form.

Time and identity come in with the command: `key` is the 16-byte digest of rule I1 (family, source,
id) or of a request id (rule I5). External names travel beside the command (`Names`), only to be
written to the erasable side table; `decide` never reads them.
"""

from __future__ import annotations

from typing import TypeAlias

from ledger.core.commands.accounts import (
    CloseAccount,
    CreateAccount,
    FreezeAccount,
    MoveAccount,
    ReopenAccount,
    SetPriceOverrides,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
)
from ledger.core.commands.base import NO_NAMES, Level, Names
from ledger.core.commands.budgets import RemoveBudget, SetBudget
from ledger.core.commands.charges import ChangeQuantity, ChangeTerms, EndCharge, StartCharge
from ledger.core.commands.commitments import AddSegment, CreateCommitment, EndCommitment
from ledger.core.commands.contracts import AmendContract, EndContract, SignContract
from ledger.core.commands.corrections import AdjustBalance, AmendUsage, Original, ReverseUsage
from ledger.core.commands.families import RemoveCap, SetCap, UpdateSharing
from ledger.core.commands.grants import IssueGrant, RefundGrant, VoidGrant
from ledger.core.commands.holds import (
    AuthorizeHold,
    CaptureHold,
    CreateQuote,
    DebitWork,
    ExtendHold,
    ReleaseHold,
    ReserveOperation,
    Sizing,
)
from ledger.core.commands.leases import (
    AcquireLease,
    LeasedUsage,
    RecallLease,
    RenewLease,
    ReturnLease,
)
from ledger.core.commands.mandates import GrantMandate, RequestTopUp, RevokeMandate
from ledger.core.commands.operations import SetOperationBudget, SetOperationPolicy
from ledger.core.commands.outcomes import ConfirmOutcome, RejectOutcome, ReportOutcome
from ledger.core.commands.packages import CancelSubscription, ChangePackage, Subscribe
from ledger.core.commands.payments import (
    BillAccount,
    ChargeBack,
    ConfirmPayment,
    FailPayment,
    IssueCreditNote,
    RecordPayment,
    WriteOffReceivable,
)
from ledger.core.commands.policies import SetDecisionPolicy
from ledger.core.commands.recurring import (
    ChangeRecurring,
    EndRecurring,
    PauseRecurring,
    ResumeRecurring,
    StartRecurring,
)
from ledger.core.commands.runways import RemoveRunwayAlert, ReportRunway, SetRunwayAlert
from ledger.core.commands.seats import (
    AddSeats,
    ChangeSeatTerms,
    EndSeatPlan,
    ReassignSeat,
    RemoveSeats,
    ResumeSeat,
    StartSeatPlan,
    SuspendSeat,
)
from ledger.core.commands.statements import CloseStatement, EndStatement, SetStatements
from ledger.core.commands.top_ups import ConfirmTopUp, DeclineTopUp, RemoveTopUpRule, SetTopUpRule
from ledger.core.commands.usage import (
    LinkedUsage,
    MeteredUsage,
    QuotedUsage,
    RecordUsage,
    ReportGauge,
    RepriceUsage,
)
from ledger.core.commands.writing import AbandonRequest, ApplyConfiguration

__all__ = [
    "NO_NAMES",
    "AbandonRequest",
    "AcquireLease",
    "AddSeats",
    "AddSegment",
    "AdjustBalance",
    "AmendContract",
    "AmendUsage",
    "ApplyConfiguration",
    "AuthorizeHold",
    "BillAccount",
    "CancelSubscription",
    "CaptureHold",
    "ChangePackage",
    "ChangeQuantity",
    "ChangeRecurring",
    "ChangeSeatTerms",
    "ChangeTerms",
    "ChargeBack",
    "CloseAccount",
    "CloseStatement",
    "Command",
    "ConfirmOutcome",
    "ConfirmPayment",
    "ConfirmTopUp",
    "CreateAccount",
    "CreateCommitment",
    "CreateQuote",
    "DebitWork",
    "DeclineTopUp",
    "EndCharge",
    "EndCommitment",
    "EndContract",
    "EndRecurring",
    "EndSeatPlan",
    "EndStatement",
    "ExtendHold",
    "FailPayment",
    "FreezeAccount",
    "GrantMandate",
    "IssueCreditNote",
    "IssueGrant",
    "LeasedUsage",
    "Level",
    "LinkedUsage",
    "MeteredUsage",
    "MoveAccount",
    "Names",
    "Original",
    "PauseRecurring",
    "QuotedUsage",
    "ReassignSeat",
    "RecallLease",
    "RecordPayment",
    "RecordUsage",
    "RefundGrant",
    "RejectOutcome",
    "ReleaseHold",
    "RemoveBudget",
    "RemoveCap",
    "RemoveRunwayAlert",
    "RemoveSeats",
    "RemoveTopUpRule",
    "RenewLease",
    "ReopenAccount",
    "ReportGauge",
    "ReportOutcome",
    "ReportRunway",
    "RepriceUsage",
    "RequestTopUp",
    "ReserveOperation",
    "ResumeRecurring",
    "ResumeSeat",
    "ReturnLease",
    "ReverseUsage",
    "RevokeMandate",
    "SetBudget",
    "SetCap",
    "SetDecisionPolicy",
    "SetOperationBudget",
    "SetOperationPolicy",
    "SetPriceOverrides",
    "SetRunwayAlert",
    "SetStatements",
    "SetTopUpRule",
    "SignContract",
    "Sizing",
    "StartCharge",
    "StartRecurring",
    "StartSeatPlan",
    "Subscribe",
    "SuspendSeat",
    "UnfreezeAccount",
    "UpdatePolicy",
    "UpdateProfile",
    "UpdateSharing",
    "VoidGrant",
    "WriteOffReceivable",
]

Command: TypeAlias = (
    RecordUsage
    | MeteredUsage
    | ReportGauge
    | QuotedUsage
    | LinkedUsage
    | RepriceUsage
    | CreateQuote
    | AuthorizeHold
    | ReserveOperation
    | DebitWork
    | ExtendHold
    | CaptureHold
    | ReleaseHold
    | AcquireLease
    | RenewLease
    | LeasedUsage
    | ReturnLease
    | RecallLease
    | ReportOutcome
    | ConfirmOutcome
    | RejectOutcome
    | ReverseUsage
    | AmendUsage
    | AdjustBalance
    | CreateAccount
    | UpdatePolicy
    | CloseAccount
    | FreezeAccount
    | MoveAccount
    | UnfreezeAccount
    | ReopenAccount
    | UpdateProfile
    | SetPriceOverrides
    | IssueGrant
    | UpdateSharing
    | SetCap
    | RemoveCap
    | VoidGrant
    | ConfirmPayment
    | FailPayment
    | RefundGrant
    | ChargeBack
    | BillAccount
    | RecordPayment
    | IssueCreditNote
    | WriteOffReceivable
    | StartRecurring
    | ChangeRecurring
    | PauseRecurring
    | ResumeRecurring
    | EndRecurring
    | Subscribe
    | ChangePackage
    | CancelSubscription
    | StartCharge
    | ChangeQuantity
    | ChangeTerms
    | EndCharge
    | SignContract
    | AmendContract
    | EndContract
    | StartSeatPlan
    | AddSeats
    | RemoveSeats
    | ReassignSeat
    | SuspendSeat
    | ResumeSeat
    | EndSeatPlan
    | ChangeSeatTerms
    | CreateCommitment
    | AddSegment
    | EndCommitment
    | SetBudget
    | SetOperationBudget
    | SetOperationPolicy
    | RemoveBudget
    | SetDecisionPolicy
    | GrantMandate
    | RevokeMandate
    | RequestTopUp
    | SetTopUpRule
    | RemoveTopUpRule
    | SetRunwayAlert
    | RemoveRunwayAlert
    | ReportRunway
    | ConfirmTopUp
    | DeclineTopUp
    | SetStatements
    | EndStatement
    | CloseStatement
    | AbandonRequest
    | ApplyConfiguration
)
