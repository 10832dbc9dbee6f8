"""The door of the core: `execute` decides one command and evolves the state by its events.

    decide(state, command, out) -> the answering event | Known | Refusal     changes nothing
    evolve(state, event)                                                     judges nothing

What time has made due on the account that a command touches is posted first (`due`), what follows
from an entry right behind it (`applying`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ledger.core import commands as c
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
from ledger.core.budgets.operation_budgets import decide_set_operation_budget
from ledger.core.budgets.operation_policies import decide_set_operation_policy
from ledger.core.charges.charging import (
    decide_change_quantity,
    decide_change_terms,
    decide_end_charge,
    decide_start_charge,
)
from ledger.core.contracts.contracting import (
    decide_amend_contract,
    decide_end_contract,
    decide_sign_contract,
)
from ledger.core.decisions.authorizing import decide_authorize
from ledger.core.decisions.capturing import decide_capture
from ledger.core.decisions.debits import decide_debit
from ledger.core.decisions.holds import decide_extend, decide_release
from ledger.core.decisions.operation_holds import decide_reserve
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
from ledger.core.funding.runways import (
    decide_remove_runway,
    decide_report_runway,
    decide_set_runway,
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
from ledger.core.mandates.buying import decide_request_top_up
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


def decide(state: State, command: c.Command, out: list[Event]) -> Outcome:
    """Append to `out` the events that `command` causes; a Refusal or Known leaves it as it was."""
    return _DECIDERS[type(command)](state, command, out)


def execute(state: State, command: c.Command, batch: list[Event]) -> Outcome:
    """Decide a command and evolve the state by its events, which are appended to `batch`."""
    before = len(batch)
    refusal = settle_touched(state, command, batch)
    if refusal is not None:
        if len(batch) > before:
            ask_for_top_ups(state, state.accounts.get(command.account), batch)
        return refusal
    out = in_time(state)
    outcome = decide(state, command, out)
    changed = apply_all(state, out, batch, command)
    if changed and type(command) in _MAKES_DUE:
        settle_touched(state, command, batch)  # what is too much for a batch is swept
    if changed and type(command) is c.AmendUsage:
        out = []
        replaced = decide_replacement(state, command.usage, out)
        assert not isinstance(replaced, Refusal), f"what was tried before is refused: {replaced}"
        apply_all(state, out, batch)
    if len(batch) > before:
        ask_for_top_ups(state, state.accounts.get(command.account), batch)
    return outcome


def _decide_configuration(state: State, command: c.ApplyConfiguration, out: list[Event]) -> Outcome:
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
    c.StartRecurring,
    c.StartCharge,
    c.ResumeRecurring,
    c.CreateCommitment,
    c.AddSegment,
    c.SignContract,
    c.AmendContract,
    c.Subscribe,
    c.ChangePackage,
)
"""Commands of which something may be due at once: it follows them as entries of their own."""


_DECIDERS: dict[type, Callable[[State, Any, list[Event]], Outcome]] = {
    c.RecordUsage: decide_usage,
    c.MeteredUsage: decide_usage,
    c.ReportGauge: decide_report_gauge,
    c.QuotedUsage: decide_usage,
    c.LinkedUsage: decide_usage,
    c.RepriceUsage: decide_reprice,
    c.CreateQuote: decide_quote,
    c.AuthorizeHold: decide_authorize,
    c.DebitWork: decide_debit,
    c.ReserveOperation: decide_reserve,
    c.ExtendHold: decide_extend,
    c.CaptureHold: decide_capture,
    c.ReleaseHold: decide_release,
    c.AcquireLease: decide_acquire,
    c.RenewLease: decide_renew,
    c.LeasedUsage: decide_leased_usage,
    c.ReturnLease: decide_return,
    c.RecallLease: decide_recall,
    c.ReportOutcome: decide_report,
    c.ConfirmOutcome: decide_confirm_outcome,
    c.RejectOutcome: decide_reject_outcome,
    c.ReverseUsage: decide_reverse,
    c.AmendUsage: decide_amend,
    c.AdjustBalance: decide_adjust,
    c.CreateAccount: decide_create,
    c.UpdatePolicy: decide_policy,
    c.UpdateProfile: decide_profile,
    c.CloseAccount: decide_close,
    c.FreezeAccount: decide_freeze,
    c.MoveAccount: decide_move,
    c.UnfreezeAccount: decide_unfreeze,
    c.ReopenAccount: decide_reopen,
    c.IssueGrant: decide_issue,
    c.UpdateSharing: decide_sharing,
    c.SetCap: decide_set_cap,
    c.RemoveCap: decide_remove_cap,
    c.VoidGrant: decide_void,
    c.ConfirmPayment: decide_confirm,
    c.FailPayment: decide_fail,
    c.RefundGrant: decide_refund,
    c.ChargeBack: decide_chargeback,
    c.BillAccount: decide_bill,
    c.RecordPayment: decide_payment,
    c.IssueCreditNote: decide_credit_note,
    c.WriteOffReceivable: decide_write_off,
    c.StartRecurring: decide_start,
    c.ChangeRecurring: decide_change,
    c.PauseRecurring: decide_pause,
    c.ResumeRecurring: decide_resume,
    c.EndRecurring: decide_end,
    c.Subscribe: decide_subscribe,
    c.ChangePackage: decide_change_package,
    c.CancelSubscription: decide_cancel_subscription,
    c.StartCharge: decide_start_charge,
    c.ChangeQuantity: decide_change_quantity,
    c.ChangeTerms: decide_change_terms,
    c.EndCharge: decide_end_charge,
    c.SignContract: decide_sign_contract,
    c.AmendContract: decide_amend_contract,
    c.EndContract: decide_end_contract,
    c.StartSeatPlan: decide_start_plan,
    c.AddSeats: decide_add_seats,
    c.RemoveSeats: decide_remove_seats,
    c.ReassignSeat: decide_reassign,
    c.SuspendSeat: decide_suspend_seat,
    c.ResumeSeat: decide_suspend_seat,
    c.EndSeatPlan: decide_end_plan,
    c.ChangeSeatTerms: decide_change_seat_terms,
    c.CreateCommitment: decide_create_commitment,
    c.AddSegment: decide_add_segment,
    c.EndCommitment: decide_end_commitment,
    c.SetPriceOverrides: decide_overrides,
    c.SetStatements: decide_set_statements,
    c.EndStatement: decide_end_statement,
    c.CloseStatement: decide_close_statement,
    c.SetBudget: decide_set_budget,
    c.SetOperationBudget: decide_set_operation_budget,
    c.SetOperationPolicy: decide_set_operation_policy,
    c.RemoveBudget: decide_remove_budget,
    c.SetDecisionPolicy: decide_set_policy,
    c.GrantMandate: decide_grant_mandate,
    c.RevokeMandate: decide_revoke_mandate,
    c.RequestTopUp: decide_request_top_up,
    c.SetTopUpRule: decide_rule,
    c.RemoveTopUpRule: decide_remove,
    c.SetRunwayAlert: decide_set_runway,
    c.RemoveRunwayAlert: decide_remove_runway,
    c.ReportRunway: decide_report_runway,
    c.ConfirmTopUp: decide_confirm_top_up,
    c.DeclineTopUp: decide_decline_top_up,
    c.AbandonRequest: decide_abandon,
    c.ApplyConfiguration: _decide_configuration,
}
"""One function a command; a test asserts that every command has one."""
