"""The command that an entry answered, as far as it can be read off the entry alone.

The inverse of `decide`: what a caller gave, never what the ledger made of it. Usage,
authorisations, corrections, closings and configuration need more than their entry; `replay` asks
for those. An entry that nobody asked for has no command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.backtest.asked_terms import ASKED_TERMS
from ledger.core import commands as c
from ledger.core import events as e


def asked(event: e.Event) -> c.Command | None:
    """The command, under the key of the entry; None where the entry alone does not tell."""
    make = _ASKED.get(type(event))
    return make(event) if make is not None else None


def _issue(event: e.GrantIssued) -> c.Command:
    return issue_of(event)


def issue_of(event: e.GrantIssued, key: bytes | None = None) -> c.IssueGrant:
    """What issues a grant on these terms, under its own key or another."""
    return c.IssueGrant(
        event.key if key is None else key,
        event.account,
        event.kind,
        event.asset,
        event.amount,
        event.price_paid,
        event.price_asset,
        event.priority,
        event.effective_at if event.effective_given else 0,
        event.expires_at,
        event.products,
        event.external_key,
        trace=event.trace,
        source=event.source,
        tags=event.tags,
        attributes=event.attributes,
        shared=event.shared,
        pending=event.pending,
        rollover=event.rollover,
        metadata=event.metadata,
    )


def _create(event: e.AccountCreated) -> c.Command:
    return c.CreateAccount(
        event.key,
        event.tenant,
        event.account,
        event.parent,
        event.root,
        event.policy,
        event.profile,
        trace=event.trace,
    )


def _policy(event: e.AccountPolicyUpdated) -> c.Command:
    return c.UpdatePolicy(
        event.key, event.account, event.policy, event.expected_version, trace=event.trace
    )


def _profile(event: e.AccountProfileUpdated) -> c.Command:
    return c.UpdateProfile(
        event.key, event.account, event.profile, event.expected_version, trace=event.trace
    )


def _freeze(event: e.AccountFrozen) -> c.Command | None:
    if not event.key:
        return None  # it follows from a chargeback
    return c.FreezeAccount(event.key, event.account, event.note, trace=event.trace)


def _move(event: e.AccountMoved) -> c.Command:
    return c.MoveAccount(
        event.key,
        event.account,
        event.parent,
        event.expected_version,
        event.note,
        trace=event.trace,
    )


def _unfreeze(event: e.AccountUnfrozen) -> c.Command:
    return c.UnfreezeAccount(event.key, event.account, event.note, trace=event.trace)


def _reopen(event: e.AccountReopened) -> c.Command:
    return c.ReopenAccount(event.key, event.account, event.note, trace=event.trace)


def _close(event: e.AccountClosed) -> c.Command:
    return c.CloseAccount(event.key, event.account, trace=event.trace)


def _close_out(event: e.AccountClosedOut) -> c.Command:
    return c.CloseAccount(
        event.key,
        event.account,
        trace=event.trace,
        write_off=event.write_off,
        release_holds=event.release_holds,
        note=event.note,
    )


def _confirm(event: e.GrantReleased) -> c.Command:
    amount = 0 if event.rest else event.payment
    return c.ConfirmPayment(event.key, event.account, event.grant, amount, trace=event.trace)


def _fail(event: e.GrantCancelled) -> c.Command | None:
    if not event.key:
        return None  # time did it
    return c.FailPayment(event.key, event.account, event.grant, trace=event.trace)


def _void(event: e.GrantVoided) -> c.Command | None:
    if not event.key:
        return None  # a hold gave it back, or its commitment ended
    return c.VoidGrant(
        event.key, event.account, event.grant, trace=event.trace, forfeit=event.forfeit
    )


def _refund(event: e.GrantRefunded) -> c.Command:
    amount = 0 if event.rest else event.amount
    return c.RefundGrant(
        event.key, event.account, event.grant, amount, event.note, trace=event.trace
    )


def _charge_back(event: e.GrantChargedBack) -> c.Command:
    return c.ChargeBack(event.key, event.account, event.grant, event.note, trace=event.trace)


def _bill(event: e.AccountBilled) -> c.Command:
    return c.BillAccount(
        event.key, event.account, event.asset, event.most, event.note, trace=event.trace
    )


def _pay(event: e.PaymentRecorded) -> c.Command:
    return c.RecordPayment(
        event.key, event.account, event.asset, event.amount, event.source, event.note,
        trace=event.trace,
    )  # fmt: skip


def _credit_note(event: e.CreditNoteIssued) -> c.Command:
    return c.IssueCreditNote(
        event.key, event.account, event.asset, event.amount, event.note, trace=event.trace
    )


def _write_off(event: e.ReceivableWrittenOff) -> c.Command:
    return c.WriteOffReceivable(
        event.key, event.account, event.asset, event.amount, event.note, trace=event.trace
    )


def _adjust(event: e.BalanceAdjusted) -> c.Command:
    return c.AdjustBalance(
        event.key,
        event.account,
        event.asset,
        event.amount,
        event.grant if event.grant_given else 0,
        event.expires_at,
        event.note,
        trace=event.trace,
    )


def _extend(event: e.HoldExtended) -> c.Command:
    return c.ExtendHold(event.key, event.account, event.hold, event.lifetime, trace=event.trace)


def _renew_lease(event: e.LeaseRenewed) -> c.Command:
    return c.RenewLease(
        event.key,
        event.account,
        event.hold,
        event.wanted,
        event.keep,
        event.lifetime,
        trace=event.trace,
    )


def _return_lease(event: e.LeaseReturned) -> c.Command:
    return c.ReturnLease(
        event.key, event.account, event.hold, bool(event.written_off), trace=event.trace
    )


def _set_operation_budget(event: e.OperationBudgetSet) -> c.Command:
    return c.SetOperationBudget(
        event.key,
        event.account,
        event.operation,
        event.terms,
        event.idle,
        event.expected_version,
        trace=event.trace,
    )


def _set_operation_policy(event: e.OperationPolicySet) -> c.Command:
    return c.SetOperationPolicy(
        event.key,
        event.account,
        event.terms,
        event.idle,
        event.expected_version,
        trace=event.trace,
    )


def _grant_mandate(event: e.MandateGranted) -> c.Command:
    purchase = event.purchase if isinstance(event, e.BuyingMandateGranted) else None
    return c.GrantMandate(
        event.key, event.account, event.terms, trace=event.trace, purchase=purchase
    )


def _request_top_up(event: e.PurchaseRequested) -> c.Command:
    return c.RequestTopUp(event.key, event.account, event.asset, event.amount, trace=event.trace)


def _revoke_mandate(event: e.MandateRevoked) -> c.Command:
    return c.RevokeMandate(event.key, event.account, event.note, trace=event.trace)


def _recall_lease(event: e.LeaseRecalled) -> c.Command:
    return c.RecallLease(event.key, event.account, event.hold, event.keep, trace=event.trace)


def _release(event: e.HoldReleased) -> c.Command:
    return c.ReleaseHold(event.key, event.account, event.hold, trace=event.trace)


def _set_budget(event: e.BudgetSet) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.SetBudget(
        event.key,
        event.account,
        event.name,
        event.terms,
        event.expected_version,
        trace=event.trace,
        values=event.values if isinstance(event, e.GroupedBudgetSet) else None,
    )


def _set_policy(event: e.DecisionPolicySet) -> c.Command:
    return c.SetDecisionPolicy(
        event.key,
        event.account,
        event.rules,
        event.expected_version,
        trace=event.trace,
    )


def _remove_budget(event: e.BudgetRemoved) -> c.Command | None:
    if not event.key:
        return None  # it follows from a package
    return c.RemoveBudget(event.key, event.account, event.name, trace=event.trace)


def _set_runway(event: e.RunwayAlertSet) -> c.Command:
    return c.SetRunwayAlert(
        event.key, event.account, event.alert, event.expected_version, trace=event.trace
    )


def _remove_runway(event: e.RunwayAlertRemoved) -> c.Command:
    return c.RemoveRunwayAlert(event.key, event.account, event.asset, trace=event.trace)


def _report_runway(event: e.RunwayCrossed) -> c.Command:
    return c.ReportRunway(
        event.key, event.account, event.asset, event.version, event.crossing, event.as_of,
        event.empty_at, int(event.available), int(event.needed), trace=event.trace,
    )  # fmt: skip


def _set_rule(event: e.TopUpRuleSet) -> c.Command:
    return c.SetTopUpRule(
        event.key, event.account, event.rule, event.expected_version, trace=event.trace
    )


def _remove_rule(event: e.TopUpRuleRemoved) -> c.Command:
    return c.RemoveTopUpRule(event.key, event.account, event.asset, trace=event.trace)


def _confirm_top_up(event: e.TopUpConfirmed) -> c.Command:
    return c.ConfirmTopUp(event.key, event.account, event.top_up, trace=event.trace)


def _decline_top_up(event: e.TopUpDeclined) -> c.Command:
    return c.DeclineTopUp(event.key, event.account, event.top_up, trace=event.trace)


def _abandon(event: e.RequestAbandoned) -> c.Command:
    return c.AbandonRequest(event.key, event.account)


_ASKED: Final[dict[type, Callable[[Any], c.Command | None]]] = {
    e.GrantIssued: _issue,
    e.AccountCreated: _create,
    e.AccountPolicyUpdated: _policy,
    e.AccountProfileUpdated: _profile,
    e.AccountFrozen: _freeze,
    e.AccountMoved: _move,
    e.AccountUnfrozen: _unfreeze,
    e.AccountReopened: _reopen,
    e.AccountClosed: _close,
    e.AccountClosedOut: _close_out,
    e.GrantReleased: _confirm,
    e.GrantCancelled: _fail,
    e.GrantVoided: _void,
    e.GrantRefunded: _refund,
    e.GrantChargedBack: _charge_back,
    e.AccountBilled: _bill,
    e.PaymentRecorded: _pay,
    e.CreditNoteIssued: _credit_note,
    e.ReceivableWrittenOff: _write_off,
    e.BalanceAdjusted: _adjust,
    e.HoldExtended: _extend,
    e.HoldReleased: _release,
    e.LeaseRenewed: _renew_lease,
    e.LeaseReturned: _return_lease,
    e.LeaseRecalled: _recall_lease,
    e.OperationBudgetSet: _set_operation_budget,
    e.OperationPolicySet: _set_operation_policy,
    e.MandateGranted: _grant_mandate,
    e.BuyingMandateGranted: _grant_mandate,
    e.PurchaseRequested: _request_top_up,
    e.MandateRevoked: _revoke_mandate,
    e.DecisionPolicySet: _set_policy,
    e.BudgetSet: _set_budget,
    e.GroupedBudgetSet: _set_budget,
    e.BudgetRemoved: _remove_budget,
    e.RunwayAlertSet: _set_runway,
    e.RunwayAlertRemoved: _remove_runway,
    e.RunwayCrossed: _report_runway,
    e.TopUpRuleSet: _set_rule,
    e.TopUpRuleRemoved: _remove_rule,
    e.TopUpConfirmed: _confirm_top_up,
    e.TopUpDeclined: _decline_top_up,
    e.RequestAbandoned: _abandon,
    **ASKED_TERMS,
}
