"""The door of the core: `execute` decides one command and evolves the state by its events.

    decide(state, command, out) -> the answering event | Known | Refusal     changes nothing
    evolve(state, event)                                                     judges nothing

What time has made due on the account that a command touches is posted first (`due`), what follows
from an entry right behind it (`applying`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ledger.core.accounts.accounts import (
    decide_abandon,
    decide_close,
    decide_create,
    decide_policy,
    decide_profile,
)
from ledger.core.accounts.moving import decide_move
from ledger.core.accounts.standing import decide_freeze, decide_reopen, decide_unfreeze
from ledger.core.applying import apply_all, ask_for_top_ups, in_time
from ledger.core.budgets.budgeting import decide_remove_budget, decide_set_budget
from ledger.core.charges.charging import (
    decide_change_quantity,
    decide_change_terms,
    decide_end_charge,
    decide_start_charge,
)
from ledger.core.commands import (
    AbandonRequest,
    AcquireLease,
    AddSeats,
    AddSegment,
    AdjustBalance,
    AmendContract,
    AmendUsage,
    ApplyConfiguration,
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
from ledger.core.contracts.contracting import (
    decide_amend_contract,
    decide_end_contract,
    decide_sign_contract,
)
from ledger.core.decisions.authorizing import decide_authorize
from ledger.core.decisions.debits import decide_debit
from ledger.core.decisions.holds import (
    decide_capture,
    decide_extend,
    decide_release,
)
from ledger.core.decisions.policing import decide_set_policy
from ledger.core.due import settle_touched
from ledger.core.events import (
    ClockAdvanced,
    ConfigurationApplied,
    Event,
    MinimumsAwaited,
)
from ledger.core.funding.adjustments import decide_adjust
from ledger.core.funding.commitments import (
    decide_add_segment,
    decide_create_commitment,
    decide_end_commitment,
)
from ledger.core.funding.grants import decide_issue, decide_void
from ledger.core.funding.payments import (
    decide_bill,
    decide_chargeback,
    decide_confirm,
    decide_credit_note,
    decide_fail,
    decide_payment,
    decide_refund,
    decide_write_off,
)
from ledger.core.funding.recurring import (
    decide_change,
    decide_end,
    decide_pause,
    decide_resume,
    decide_start,
)
from ledger.core.funding.sharing import decide_remove_cap, decide_set_cap, decide_sharing
from ledger.core.funding.top_ups import (
    decide_confirm_top_up,
    decide_decline_top_up,
    decide_remove,
    decide_rule,
)
from ledger.core.leases.leasing import (
    decide_acquire,
    decide_leased_usage,
    decide_recall,
    decide_renew,
    decide_return,
)
from ledger.core.mandates.mandating import decide_grant_mandate, decide_revoke_mandate
from ledger.core.metering.corrections import decide_amend, decide_reverse
from ledger.core.metering.gauging import decide_report_gauge
from ledger.core.metering.outcome_charges import (
    decide_confirm_outcome,
    decide_reject_outcome,
    decide_report,
)
from ledger.core.metering.usage import decide_replacement, decide_usage
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.packages.subscribing import (
    decide_cancel_subscription,
    decide_change_package,
    decide_subscribe,
)
from ledger.core.pricing.overrides import decide_overrides
from ledger.core.pricing.quoting import decide_quote
from ledger.core.pricing.repricing import decide_reprice
from ledger.core.seats.seating import (
    decide_add_seats,
    decide_end_plan,
    decide_reassign,
    decide_remove_seats,
    decide_start_plan,
    decide_suspend_seat,
)
from ledger.core.seats.seating import (
    decide_change_terms as decide_change_seat_terms,
)
from ledger.core.state import (
    State,
)
from ledger.core.statements.stating import (
    decide_close_statement,
    decide_end_statement,
    decide_set_statements,
)

Outcome: TypeAlias = Event | Known | Refusal


def decide(state: State, command: Command, out: list[Event]) -> Outcome:
    """Append to `out` the events that `command` causes; a Refusal or Known leaves it as it was."""
    return _DECIDERS[type(command)](state, command, out)


def execute(state: State, command: Command, batch: list[Event]) -> Outcome:
    """Decide a command and evolve the state by its events, which are appended to `batch`."""
    before = len(batch)
    refusal = settle_touched(state, command, batch)
    if refusal is not None:
        return refusal
    out = in_time(state)
    outcome = decide(state, command, out)
    changed = apply_all(state, out, batch, command)
    if changed and type(command) in _MAKES_DUE:
        settle_touched(state, command, batch)  # what is too much for a batch is swept
    if changed and type(command) is AmendUsage:
        out = []
        replaced = decide_replacement(state, command.usage, out)
        assert not isinstance(replaced, Refusal), f"what was tried before is refused: {replaced}"
        apply_all(state, out, batch)
    if len(batch) > before:
        ask_for_top_ups(state, state.accounts.get(command.account), batch)
    return outcome


def _decide_configuration(state: State, command: ApplyConfiguration, out: list[Event]) -> Outcome:
    reached = state.configuration.get(command.tenant, 0)
    if command.version != reached + 1:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "version",
            str(reached),
            f"configuration is applied in order: {reached} is the last version applied",
        )
    applied = ConfigurationApplied(command.tenant, command.version, command.content_hash)
    out.append(applied)
    if command.offset > state.offsets.get(command.tenant, 0):
        out.append(ClockAdvanced(command.tenant, command.offset))
    if command.minimums and command.tenant not in state.minimums_from:
        offset = state.offsets.get(command.tenant, 0)
        out.append(MinimumsAwaited(command.tenant, state.recorded_at + offset))
    return applied


_MAKES_DUE = (
    StartRecurring,
    StartCharge,
    ResumeRecurring,
    CreateCommitment,
    AddSegment,
    SignContract,
    AmendContract,
    Subscribe,
    ChangePackage,
)
"""Commands of which something may be due at once: it follows them as entries of their own."""


_DECIDERS: dict[type, Callable[[State, Any, list[Event]], Outcome]] = {
    RecordUsage: decide_usage,
    MeteredUsage: decide_usage,
    ReportGauge: decide_report_gauge,
    QuotedUsage: decide_usage,
    LinkedUsage: decide_usage,
    RepriceUsage: decide_reprice,
    CreateQuote: decide_quote,
    AuthorizeHold: decide_authorize,
    DebitWork: decide_debit,
    ExtendHold: decide_extend,
    CaptureHold: decide_capture,
    ReleaseHold: decide_release,
    AcquireLease: decide_acquire,
    RenewLease: decide_renew,
    LeasedUsage: decide_leased_usage,
    ReturnLease: decide_return,
    RecallLease: decide_recall,
    ReportOutcome: decide_report,
    ConfirmOutcome: decide_confirm_outcome,
    RejectOutcome: decide_reject_outcome,
    ReverseUsage: decide_reverse,
    AmendUsage: decide_amend,
    AdjustBalance: decide_adjust,
    CreateAccount: decide_create,
    UpdatePolicy: decide_policy,
    UpdateProfile: decide_profile,
    CloseAccount: decide_close,
    FreezeAccount: decide_freeze,
    MoveAccount: decide_move,
    UnfreezeAccount: decide_unfreeze,
    ReopenAccount: decide_reopen,
    IssueGrant: decide_issue,
    UpdateSharing: decide_sharing,
    SetCap: decide_set_cap,
    RemoveCap: decide_remove_cap,
    VoidGrant: decide_void,
    ConfirmPayment: decide_confirm,
    FailPayment: decide_fail,
    RefundGrant: decide_refund,
    ChargeBack: decide_chargeback,
    BillAccount: decide_bill,
    RecordPayment: decide_payment,
    IssueCreditNote: decide_credit_note,
    WriteOffReceivable: decide_write_off,
    StartRecurring: decide_start,
    ChangeRecurring: decide_change,
    PauseRecurring: decide_pause,
    ResumeRecurring: decide_resume,
    EndRecurring: decide_end,
    Subscribe: decide_subscribe,
    ChangePackage: decide_change_package,
    CancelSubscription: decide_cancel_subscription,
    StartCharge: decide_start_charge,
    ChangeQuantity: decide_change_quantity,
    ChangeTerms: decide_change_terms,
    EndCharge: decide_end_charge,
    SignContract: decide_sign_contract,
    AmendContract: decide_amend_contract,
    EndContract: decide_end_contract,
    StartSeatPlan: decide_start_plan,
    AddSeats: decide_add_seats,
    RemoveSeats: decide_remove_seats,
    ReassignSeat: decide_reassign,
    SuspendSeat: decide_suspend_seat,
    ResumeSeat: decide_suspend_seat,
    EndSeatPlan: decide_end_plan,
    ChangeSeatTerms: decide_change_seat_terms,
    CreateCommitment: decide_create_commitment,
    AddSegment: decide_add_segment,
    EndCommitment: decide_end_commitment,
    SetPriceOverrides: decide_overrides,
    SetStatements: decide_set_statements,
    EndStatement: decide_end_statement,
    CloseStatement: decide_close_statement,
    SetBudget: decide_set_budget,
    RemoveBudget: decide_remove_budget,
    SetDecisionPolicy: decide_set_policy,
    GrantMandate: decide_grant_mandate,
    RevokeMandate: decide_revoke_mandate,
    SetTopUpRule: decide_rule,
    RemoveTopUpRule: decide_remove,
    ConfirmTopUp: decide_confirm_top_up,
    DeclineTopUp: decide_decline_top_up,
    AbandonRequest: decide_abandon,
    ApplyConfiguration: _decide_configuration,
}
"""One function a command; a test asserts that every command has one."""
