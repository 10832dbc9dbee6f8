"""Whether a command that comes again is what was recorded under its key (rule I1).

The first field that differs is named: CONFLICT says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.core.commands import (
    AbandonRequest,
    AcquireLease,
    AddSeats,
    AddSegment,
    AdjustBalance,
    AmendContract,
    AmendUsage,
    AuthorizeHold,
    BillAccount,
    CancelSubscription,
    CaptureHold,
    ChangePackage,
    ChangeQuantity,
    ChangeRecurring,
    ChangeSeatTerms,
    ChangeTerms,
    ChargeBack,
    CloseAccount,
    CloseStatement,
    Command,
    ConfirmOutcome,
    ConfirmPayment,
    ConfirmTopUp,
    CreateAccount,
    CreateCommitment,
    CreateQuote,
    DebitWork,
    DeclineTopUp,
    EndCharge,
    EndCommitment,
    EndContract,
    EndRecurring,
    EndSeatPlan,
    EndStatement,
    ExtendHold,
    FailPayment,
    FreezeAccount,
    GrantMandate,
    IssueCreditNote,
    IssueGrant,
    LeasedUsage,
    LinkedUsage,
    MeteredUsage,
    MoveAccount,
    PauseRecurring,
    QuotedUsage,
    ReassignSeat,
    RecallLease,
    RecordPayment,
    RecordUsage,
    RefundGrant,
    RejectOutcome,
    ReleaseHold,
    RemoveBudget,
    RemoveCap,
    RemoveSeats,
    RemoveTopUpRule,
    RenewLease,
    ReopenAccount,
    ReportGauge,
    ReportOutcome,
    RepriceUsage,
    ResumeRecurring,
    ResumeSeat,
    ReturnLease,
    ReverseUsage,
    RevokeMandate,
    SetBudget,
    SetCap,
    SetDecisionPolicy,
    SetPriceOverrides,
    SetStatements,
    SetTopUpRule,
    SignContract,
    StartCharge,
    StartRecurring,
    StartSeatPlan,
    Subscribe,
    SuspendSeat,
    UnfreezeAccount,
    UpdatePolicy,
    UpdateProfile,
    UpdateSharing,
    VoidGrant,
    WriteOffReceivable,
)
from ledger.core.contracts.contract_terms import from_start
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
    AskedWork,
    AuthorizeDenied,
    BalanceAdjusted,
    BudgetRemoved,
    BudgetSet,
    CapRemoved,
    CapSet,
    ChargeChanged,
    ChargeEnded,
    ChargeStarted,
    CommitmentCreated,
    CommitmentEnded,
    ContractAmended,
    ContractEnded,
    ContractSigned,
    CreditNoteIssued,
    DecisionPolicySet,
    Event,
    GaugeReported,
    GaugeReversed,
    GrantCancelled,
    GrantChargedBack,
    GrantIssued,
    GrantRefunded,
    GrantReleased,
    GrantVoided,
    GroupedBudgetSet,
    HoldAuthorized,
    HoldExtended,
    HoldReleased,
    HoldSized,
    LeaseGranted,
    LeaseRecalled,
    LeaseRenewed,
    LeaseReturned,
    MandateGranted,
    MandateRevoked,
    OutcomeConfirmed,
    OutcomeRejected,
    OutcomeReported,
    PackageChanged,
    PaymentRecorded,
    PlanDeclared,
    PriceOverridesSet,
    QuoteMade,
    ReceivableWrittenOff,
    RecurringChanged,
    RecurringEnded,
    RecurringPaused,
    RecurringResumed,
    RecurringStarted,
    RequestAbandoned,
    Ruling,
    SeatPlanEnded,
    SeatPlanStarted,
    SeatReassigned,
    SeatsAdded,
    SeatsRemoved,
    SeatSuspended,
    SeatTermsChanged,
    SegmentAdded,
    SharingUpdated,
    SizedDenied,
    StatementClosed,
    StatementEnded,
    StatementsSet,
    Subscribed,
    SubscriptionCancelled,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpRuleRemoved,
    TopUpRuleSet,
    UpTo,
    UsageCaptured,
    UsageDebited,
    UsageLeased,
    UsageMetered,
    UsageQuarantined,
    UsageRecorded,
    UsageRepriced,
    UsageReversed,
    WorkDenied,
)
from ledger.core.identity import KEY_BYTES
from ledger.core.metering.levels import reported_of

# command -> (the event that answers it, the fields that are its body)
_BODIES: dict[type, tuple[tuple[type, ...], tuple[str, ...]]] = {
    AdjustBalance: ((BalanceAdjusted,), ("account", "asset", "amount", "expires_at", "note")),
    AmendUsage: ((UsageReversed,), ()),
    ReverseUsage: (
        (UsageReversed, GaugeReversed),
        ("account", "original", "as_charged", "ended", "note"),
    ),
    ReleaseHold: ((HoldReleased,), ("account", "hold")),
    CreateAccount: ((AccountCreated,), ("account", "parent", "policy", "profile")),
    UpdatePolicy: ((AccountPolicyUpdated,), ("account", "policy", "expected_version")),
    UpdateProfile: ((AccountProfileUpdated,), ("account", "profile", "expected_version")),
    CloseAccount: (
        (AccountClosed, AccountClosedOut),
        ("account", "write_off", "release_holds", "note"),
    ),
    MoveAccount: ((AccountMoved,), ("account", "parent", "expected_version", "note")),
    FreezeAccount: ((AccountFrozen,), ("account", "note")),
    UnfreezeAccount: ((AccountUnfrozen,), ("account", "note")),
    ReopenAccount: ((AccountReopened,), ("account", "note")),
    IssueGrant: (
        (GrantIssued,),
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
    UpdateSharing: ((SharingUpdated,), ("account", "grant", "sharing", "expected_version")),
    SetCap: ((CapSet,), ()),
    RemoveCap: ((CapRemoved,), ("account", "cap", "expected_version")),
    VoidGrant: ((GrantVoided,), ("account", "grant", "forfeit")),
    ConfirmPayment: ((GrantReleased,), ("account", "grant")),
    FailPayment: ((GrantCancelled,), ("account", "grant")),
    RefundGrant: ((GrantRefunded,), ("account", "grant", "note")),
    ChargeBack: ((GrantChargedBack,), ("account", "grant", "note")),
    BillAccount: ((AccountBilled,), ("account", "asset", "most", "note")),
    RecordPayment: ((PaymentRecorded,), ("account", "asset", "amount", "source", "note")),
    IssueCreditNote: ((CreditNoteIssued,), ("account", "asset", "amount", "note")),
    WriteOffReceivable: ((ReceivableWrittenOff,), ("account", "asset", "amount", "note")),
    StartRecurring: (
        (RecurringStarted,),
        ("account", "terms", "external_key", "ends_at"),
    ),
    ChangeRecurring: (
        (RecurringChanged,),
        ("account", "recurring", "terms", "timing", "expected_version"),
    ),
    PauseRecurring: ((RecurringPaused,), ("account", "recurring")),
    ResumeRecurring: ((RecurringResumed,), ("account", "recurring")),
    EndRecurring: ((RecurringEnded,), ("account", "recurring", "timing")),
    StartCharge: ((ChargeStarted,), ("account", "name", "terms", "quantity", "ends_at")),
    ChangeQuantity: (
        (ChargeChanged,),
        ("account", "charge", "quantity", "timing", "expected_version"),
    ),
    ChangeTerms: ((ChargeChanged,), ("account", "charge", "terms", "expected_version")),
    EndCharge: ((ChargeEnded,), ("account", "charge", "timing")),
    Subscribe: ((Subscribed,), ("account", "package", "follow", "version", "locked_until")),
    ChangePackage: (
        (PackageChanged,),
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
    CancelSubscription: (
        (SubscriptionCancelled,),
        ("account", "timing", "old_grants", "expected_version"),
    ),
    StartSeatPlan: ((SeatPlanStarted,), ("account", "seat_plan", "terms", "count")),
    AddSeats: ((SeatsAdded,), ("account", "seat_plan", "count", "expected_version")),
    RemoveSeats: ((SeatsRemoved,), ("account", "seat_plan", "count", "mode", "expected_version")),
    ChangeSeatTerms: (
        (SeatTermsChanged,),
        ("account", "seat_plan", "terms", "expected_version"),
    ),
    ReassignSeat: ((SeatReassigned,), ("account", "seat_plan", "to", "expected_version")),
    SuspendSeat: ((SeatSuspended,), ("account", "seat_plan", "expected_version")),
    ResumeSeat: ((SeatSuspended,), ("account", "seat_plan", "expected_version")),
    EndSeatPlan: ((SeatPlanEnded,), ("account", "seat_plan", "timing", "mode", "expected_version")),
    SignContract: (
        (ContractSigned,),
        ("account", "contract", "package", "ends_at", "auto_renew", "minimum", "rollover"),
    ),
    AmendContract: (
        (ContractAmended,),
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
    EndContract: (
        (ContractEnded,),
        ("account", "contract", "ending", "old_grants", "target", "expected_version"),
    ),
    CreateCommitment: (
        (CommitmentCreated,),
        ("account", "terms", "segments", "invoices", "external_key"),
    ),
    AddSegment: ((SegmentAdded,), ("account", "commitment", "segment", "invoices")),
    EndCommitment: ((CommitmentEnded,), ("account", "commitment", "ending", "target")),
    SetPriceOverrides: ((PriceOverridesSet,), ("account", "expected_version", "note")),
    SetStatements: ((StatementsSet,), ("account", "form", "attribute", "expected_version")),
    EndStatement: ((StatementEnded,), ("account",)),
    CloseStatement: ((StatementClosed,), ("account", "statement", "batch_seq", "head", "hash")),
    SetBudget: (
        (BudgetSet, GroupedBudgetSet),
        ("account", "name", "terms", "values", "expected_version"),
    ),
    RemoveBudget: ((BudgetRemoved,), ("account", "name")),
    SetDecisionPolicy: ((DecisionPolicySet,), ("account", "rules", "expected_version")),
    GrantMandate: ((MandateGranted,), ("account", "terms")),
    RevokeMandate: ((MandateRevoked,), ("account", "note")),
    SetTopUpRule: ((TopUpRuleSet,), ("account", "rule", "expected_version")),
    RemoveTopUpRule: ((TopUpRuleRemoved,), ("account", "asset")),
    ConfirmTopUp: ((TopUpConfirmed,), ("account", "top_up")),
    DeclineTopUp: ((TopUpDeclined,), ("account", "top_up")),
    AuthorizeHold: (
        (HoldAuthorized, AuthorizeDenied),
        ("account", "quantities", "lifetime"),
    ),
    DebitWork: ((UsageDebited, WorkDenied), ("account", "quantities", "operation")),
    CreateQuote: ((QuoteMade,), ("account", "quantities", "lifetime")),
    ExtendHold: ((HoldExtended,), ("account", "hold", "lifetime")),
    CaptureHold: ((UsageRecorded,), ("account", "hold", "quantities")),
    AcquireLease: (
        (LeaseGranted,),
        ("account", "holder", "wanted", "minimum", "lifetime", "on_lapse"),
    ),
    RenewLease: ((LeaseRenewed,), ("account", "hold", "wanted", "keep", "lifetime")),
    ReturnLease: ((LeaseReturned,), ("account", "hold")),
    RecallLease: ((LeaseRecalled,), ("account", "hold", "keep")),
    LeasedUsage: (
        (UsageLeased, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    ReportOutcome: ((OutcomeReported,), ("account", "quantities", "evidence")),
    ConfirmOutcome: ((OutcomeConfirmed,), ("account",)),
    RejectOutcome: ((OutcomeRejected,), ("account", "note")),
    RecordUsage: (
        (UsageRecorded, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    MeteredUsage: (
        (UsageRecorded, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    ReportGauge: (
        (GaugeReported, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    QuotedUsage: (
        (UsageRecorded, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    LinkedUsage: (
        (UsageRecorded, UsageQuarantined),
        ("account", "quantities", "operation", "personal"),
    ),
    RepriceUsage: (
        (UsageRepriced,),
        ("account", "quantities", "operation", "personal", "job", "original"),
    ),
}


def first_difference(
    command: Command,
    recorded: Event,
    plan: PlanDeclared | None,
    metered: UsageMetered | None = None,
) -> str:
    """Name of the first field in which `command` differs from what was recorded under its key.

    "" = the same body. `plan` is the declaration that the recorded event names, if it names one;
    `metered` what its meters counted over levels, if they have any.
    """
    if isinstance(command, AbandonRequest):
        return ""
    kinds, fields = _BODIES[type(command)]
    if not isinstance(recorded, kinds):
        return "request"
    if isinstance(recorded, ChargeChanged) and (recorded.terms is None) != isinstance(
        command, ChangeQuantity
    ):
        return "request"
    if isinstance(command, ReverseUsage) and isinstance(recorded, GaugeReversed):
        return _report_back_differs(command, recorded)
    if isinstance(command, ReverseUsage | AmendUsage):
        assert isinstance(recorded, UsageReversed)
        return _reversal_differs(command, recorded)
    if isinstance(command, LeasedUsage):
        if isinstance(recorded, UsageLeased) and recorded.hold != command.hold:
            return "lease_id"
    elif isinstance(command, RecordUsage) and isinstance(recorded, UsageRecorded) and recorded.hold:
        return "request"
    if isinstance(command, CaptureHold) and isinstance(recorded, UsageLeased):
        return "request"
    if isinstance(command, ReleaseHold) and isinstance(recorded, LeaseReturned):
        return "request"
    if isinstance(command, AuthorizeHold) and isinstance(recorded, LeaseGranted):
        return "request"
    if (
        isinstance(command, ReturnLease)
        and isinstance(recorded, LeaseReturned)
        and command.write_off != bool(recorded.written_off)
    ):
        return "write_off"
    if isinstance(command, CaptureHold) and isinstance(recorded, OutcomeConfirmed):
        return "request"
    if isinstance(recorded, WorkDenied) and bool(recorded.debit) != isinstance(command, DebitWork):
        return "request"
    if isinstance(
        command,
        RecordUsage | AuthorizeHold | DebitWork | CreateQuote | ReportOutcome | AcquireLease,
    ):
        shape = command.shape
        assert plan is not None
        asked: AskedWork | PlanDeclared = _asked_of(recorded) or plan
        if shape.product != asked.product:
            return "product"
        if shape.attributes != asked.attributes:
            return "attributes"
        if shape.quantity_names != asked.quantity_names:
            return "quantities"
    elif isinstance(command, CaptureHold):
        assert plan is not None
        if command.quantity_names != plan.quantity_names:
            return "quantities"
        if command.keep_open != isinstance(recorded, UsageCaptured):
            return "keep_open"
    if isinstance(
        command, RecordUsage | CaptureHold | IssueGrant | ReportOutcome
    ) and command.effective_at != _effective_at_given(recorded):
        return "effective_at_us"
    if (
        isinstance(command, StartRecurring | StartCharge)
        and isinstance(recorded, RecurringStarted | ChargeStarted)
        and command.starts_at != recorded.start_given
    ):
        return "starts_at_us"
    if (
        isinstance(command, RecordUsage | AuthorizeHold)
        and not isinstance(recorded, UsageQuarantined)  # it keeps no quote
        and command.quote != getattr(recorded, "quote", 0)
    ):
        return "quote_id"
    if isinstance(command, ConfirmOutcome):
        assert isinstance(recorded, OutcomeConfirmed)
        if command.outcome != recorded.hold:
            return "outcome_id"
        if command.evidence != recorded.personal:
            return "evidence"
    if isinstance(command, RejectOutcome):
        assert isinstance(recorded, OutcomeRejected)
        if command.outcome != recorded.hold:
            return "outcome_id"
    if (
        isinstance(command, ReportGauge)
        and isinstance(recorded, GaugeReported)
        and command.gauge != recorded.gauge
    ):
        return "properties"
    if isinstance(command, AuthorizeHold | DebitWork):
        assert plan is not None
        return _work_differs(command, recorded, plan, fields)
    if isinstance(command, CreateQuote):
        assert isinstance(recorded, QuoteMade)
        if command.tolerance != recorded.tolerance_given:
            return "tolerance_basis_points"
        if command.held != bool(recorded.hold):
            return "hold"
    if isinstance(command, ConfirmPayment):
        assert isinstance(recorded, GrantReleased)
        if command.amount != (0 if recorded.rest else recorded.payment):
            return "amount"
    if isinstance(command, RefundGrant):
        assert isinstance(recorded, GrantRefunded)
        if command.amount != (0 if recorded.rest else recorded.amount):
            return "amount"
    if isinstance(command, AdjustBalance):
        assert isinstance(recorded, BalanceAdjusted)
        if command.grant != (recorded.grant if recorded.grant_given else 0):
            return "grant_id"
    if isinstance(command, SetPriceOverrides):
        assert isinstance(recorded, PriceOverridesSet)
        if command.overrides != tuple([each.override for each in recorded.overrides]):
            return "overrides"
    if isinstance(recorded, SeatSuspended):
        if recorded.suspended != isinstance(command, SuspendSeat):
            return "request"
        if recorded.name != getattr(command, "seat", ""):
            return "seat"
    if isinstance(command, StartSeatPlan | AddSeats | RemoveSeats):
        assert isinstance(recorded, SeatPlanStarted | SeatsAdded | SeatsRemoved)
        if command.seats != recorded.names:
            return "seats"
    if isinstance(command, ReassignSeat):
        assert isinstance(recorded, SeatReassigned)
        if command.seat != recorded.name:
            return "seat"
    if isinstance(command, EndStatement):
        assert isinstance(recorded, StatementEnded)
        for name, given in (
            ("start_us", (command.start, recorded.start_given)),
            ("end_us", (command.end, recorded.end_given)),
            ("form", (command.form, recorded.form_given)),
            ("attribute", (command.attribute, recorded.attribute_given)),
        ):
            if given[0] != given[1]:
                return name
    if isinstance(command, SignContract):
        assert isinstance(recorded, ContractSigned)
        differs = _signing_differs(command, recorded)
        if differs:
            return differs
    if isinstance(command, AmendContract):
        assert isinstance(recorded, ContractAmended)
        differs = _amendment_differs(command, recorded)
        if differs:
            return differs
    if isinstance(command, SetCap):
        assert isinstance(recorded, CapSet)
        return _cap_differs(command, recorded)
    reported: tuple[int, ...] | None = None
    if (
        isinstance(command, RecordUsage)
        and isinstance(recorded, UsageRecorded)
        and not isinstance(command, RepriceUsage)
    ):
        levels = tuple([(each.place, each.key) for each in command.levels])
        if levels != tuple([(each.place, each.key) for each in metered.moves] if metered else ()):
            return "properties"
        if metered is not None:
            reported = reported_of(recorded.quantities, metered)
    for field in fields:
        given = getattr(command, field)
        kept: Any = getattr(recorded, field, _UNSAID.get(field))
        if field == "quantities" and reported is not None:
            kept = reported
        if given != kept:
            if field == "operation" and given[:KEY_BYTES] == kept[:KEY_BYTES]:
                return "operation_parent"
            if field == "hold" and isinstance(command, RenewLease | ReturnLease | RecallLease):
                return "lease_id"
            if field == "lifetime" and isinstance(command, AcquireLease | RenewLease):
                return "term_us"
            return _WIRE_NAMES.get(field, field)
    return ""


def _sizing_differs(
    command: AuthorizeHold, recorded: HoldSized | SizedDenied, lifetime: int
) -> str:
    """What the caller said is compared, not what was learned by then or is by now."""
    sizing = command.sizing
    for field, said, kept in (
        ("account", command.account, recorded.account),
        ("quantities", command.quantities if sizing is None else sizing.asked, recorded.asked),
        ("lifetime", command.lifetime, lifetime),
        ("sizing", sizing is not None and sizing.learned, bool(recorded.learned)),
    ):
        if said != kept:
            return _WIRE_NAMES.get(field, field)
    return ""


def _work_differs(
    command: AuthorizeHold | DebitWork, recorded: Event, plan: PlanDeclared, fields: Sequence[str]
) -> str:
    """Work that is asked for is as much as there may be of it, whatever was allowed."""
    asked = _asked_of(recorded)
    up_to: UpTo | None = asked.up_to if asked is not None else getattr(recorded, "up_to", None)
    sizing = command.sizing if isinstance(command, AuthorizeHold) else None
    if isinstance(command, AuthorizeHold) and isinstance(recorded, HoldSized | SizedDenied):
        lifetime = asked.lifetime if asked is not None else recorded.lifetime
        differs = _sizing_differs(command, recorded, lifetime)
        if differs:
            return differs
        fields = ()
    elif sizing is not None and sizing.learned:
        return "sizing"
    for field in fields:
        given, kept = getattr(command, field), getattr(recorded, field)
        if field == "quantities" and sizing is not None:
            given = sizing.asked
        if asked is not None and field in ("quantities", "lifetime"):
            kept = asked.quantities if field == "quantities" else asked.lifetime
        elif field == "quantities" and up_to is not None and not isinstance(recorded, WorkDenied):
            place = plan.quantity_names.index(up_to.quantity)
            kept = (*kept[:place], up_to.maximum, *kept[place + 1 :])
        if given != kept:
            if field == "operation" and given[:KEY_BYTES] == kept[:KEY_BYTES]:
                return "operation_parent"
            return _WIRE_NAMES.get(field, field)
    named, minimum = (up_to.quantity, up_to.minimum) if up_to is not None else ("", 0)
    if command.up_to != named:
        return "up_to.quantity"
    if command.minimum != minimum:
        return "up_to.minimum"
    ruling: Ruling | None = getattr(recorded, "ruling", None)
    alternatives = ruling.alternatives if ruling is not None else ()
    return "alternatives" if command.alternatives != alternatives else ""


def _asked_of(recorded: Event) -> AskedWork | None:
    """What was asked for, where a policy had other work run in its stead."""
    ruling: Ruling | None = getattr(recorded, "ruling", None)
    return ruling.asked if ruling is not None else None


def _report_back_differs(command: ReverseUsage, recorded: GaugeReversed) -> str:
    """What was taken back was a report, whole."""
    for field, given, kept in (
        ("request", command.replaced_by, b""),
        ("account", command.account, recorded.account),
        ("original", command.original.locator, recorded.original),
        ("as_charged", command.as_charged, 0),
        ("reason", command.note, recorded.note),
        ("refund_cost", command.refund_cost, False),
        ("quantities", command.quantities, ()),
    ):
        if given != kept:
            return field
    return ""


def _signing_differs(command: SignContract, recorded: ContractSigned) -> str:
    if command.version != recorded.version_given:
        return "package_version"
    if command.starts_at != recorded.starts_given:
        return "starts_at_us"
    if command.overrides != tuple([each.override for each in recorded.overrides]):
        return "overrides"
    at = recorded.starts_at
    committed = tuple([from_start(each, at) for each in command.committed])
    return "commitments" if committed != recorded.committed else ""


def _amendment_differs(command: AmendContract, recorded: ContractAmended) -> str:
    if command.effective_at != recorded.effective_given:
        return "effective_at_us"
    said = recorded.overrides
    overrides = tuple([each.override for each in said]) if said is not None else None
    if command.overrides != overrides:
        return "overrides"
    at = recorded.effective_at
    committed = tuple([from_start(each, at) for each in command.committed])
    return "commitments" if committed != recorded.committed else ""


def _reversal_differs(command: ReverseUsage | AmendUsage, recorded: UsageReversed) -> str:
    if isinstance(command, ReverseUsage):
        if command.replaced_by != recorded.replaced_by:
            return "request"
        if command.replacement != recorded.replacement:
            return "version"
    elif not recorded.replaced_by:
        return "request"
    if isinstance(command, AmendUsage):
        if command.usage.key != recorded.replaced_by:
            return "replacement.id"
        if command.body != recorded.replacement:
            return "replacement"
    quantities, as_charged = (
        (command.quantities, command.as_charged) if isinstance(command, ReverseUsage) else ((), 0)
    )
    goodwill = not any(recorded.quantities)  # then what stands apart was asked for with the rest
    kept_charge = recorded.as_charged + recorded.apart if goodwill else recorded.as_charged
    for field, given, kept in (
        ("account", command.account, recorded.account),
        ("original", command.original.locator, recorded.original),
        ("as_charged", as_charged, kept_charge),
        ("ended_grants", command.ended, recorded.ended),
        ("reason", command.note, recorded.note),
        (
            "refund_cost",
            isinstance(command, ReverseUsage) and command.refund_cost,
            bool(recorded.refund_cost),
        ),
    ):
        if given != kept:
            return field
    whole = not quantities and not as_charged
    if whole != bool(recorded.whole):
        return "quantities"
    if quantities and quantities != recorded.quantities:
        return "quantities"
    return ""


def _cap_differs(command: SetCap, recorded: CapSet) -> str:
    """What a change of a cap does not name is as it stands; a new one of a grant, of its asset."""
    named = (
        ("cap.cap_id", command.cap, recorded.cap if recorded.version > 1 else 0),
        ("cap", command.terms, recorded.terms),
        ("expected_version", command.expected_version, recorded.expected_version),
        ("cap.account", command.account, recorded.account),
    )
    for field, given, kept in named:
        if given != kept:
            return field
    for field, asked, stands in (
        ("cap.below", command.below, recorded.below),
        ("cap.asset", command.asset, recorded.asset),
        ("cap.grant_id", command.grant, recorded.grant),
    ):
        if asked != stands and (asked or not command.cap) and (field != "cap.asset" or asked):
            return field
    return ""


def _effective_at_given(recorded: Event) -> int:
    """The effective time that the caller gave; 0 = it was left to the writer."""
    if isinstance(recorded, UsageRecorded | GrantIssued | OutcomeReported | GaugeReported):
        return recorded.effective_at if recorded.effective_given else 0
    assert isinstance(recorded, UsageQuarantined), recorded
    return recorded.effective_at


_UNSAID = {"write_off": False, "release_holds": False, "note": b"", "values": None}
"""Fields that an event leaves out where they have their default: a plain AccountClosed."""


_WIRE_NAMES = {
    "seat_plan": "plan",
    "ends_at": "ends_at_us",
    "recurring": "recurring_grant_id",
    "charge": "charge_id",
    "commitment": "commitment_id",
    "target": "target_commitment_id",
    "top_up": "top_up_id",
    "hold": "hold_id",
    "grant": "grant_id",
    "lifetime": "lifetime_us",
    "expires_at": "expires_at_us",
    "personal": "personal_attributes",
    "profile": "metadata",
    "note": "reason",
    "pending": "gated",
    "most": "amount",
}


def is_abandoned(recorded: Event) -> bool:
    """Whether the key was given up for ever (rule I5)."""
    return isinstance(recorded, RequestAbandoned)
