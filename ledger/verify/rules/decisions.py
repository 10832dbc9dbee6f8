"""Decisions with what decided them: denials, holds for what is affordable (D4, H4, I2)."""

from __future__ import annotations

from ledger.core.events import (
    HoldUpTo,
    LimitKind,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    WorkDenied,
)
from ledger.core.state import State
from ledger.verify.rules.budgets import look_at_denying
from ledger.verify.rules.decision_policies import look_at_denial, look_at_ruling
from ledger.verify.rules.holds import authorize_denied, hold_authorized
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.mandates import look_at_mandate
from ledger.verify.rules.usage import look_at_up_to, usage_debited


def work_denied(judge: Judge, state: State, event: WorkDenied) -> None:
    """With the limit that decided it: a budget that leaves less, or units that are not there."""
    authorize_denied(judge, state, event)
    account, limit = state.accounts[event.account], event.limit
    judge.equal(state, "version of the policy", account.version, event.policy_version)
    if limit is None:
        judge.wrong(state, "limit of a denial", "one", limit)
        return
    of_budget = event.reason == "BUDGET_EXCEEDED"
    judge.equal(state, "whether a budget denies", of_budget, limit.kind == LimitKind.BUDGET)
    of_operation = event.reason == "OPERATION_BUDGET_EXCEEDED"
    of_mandate = event.reason.startswith("MANDATE_")
    judge.equal(state, "whether a mandate denies", of_mandate, limit.kind == LimitKind.MANDATE)
    if of_budget or of_operation or event.reason == "MANDATE_EXCEEDED":
        look_at_denying(judge, state, event, limit)
    elif of_mandate:
        look_at_mandate(judge, state, event, limit)
    if event.reason == "INSUFFICIENT_CREDITS" and event.charge <= event.available:
        judge.wrong(state, "charge of a denial", f"above {event.available}", event.charge)
    if 0 < limit.retry_at <= state.now:
        judge.wrong(state, "when to ask again", f"after {state.now}, or not known", limit.retry_at)


def hold_up_to(judge: Judge, state: State, event: HoldUpTo) -> None:
    """A hold for what is affordable of a range."""
    hold_authorized(judge, state, event)
    look_at_up_to(judge, state, event.quantities, event.up_to, state.declared[event.plan])


def policy_held(judge: Judge, state: State, event: PolicyHeld) -> None:
    """A hold that a policy had a say in."""
    hold_up_to(judge, state, event)
    look_at_ruling(judge, state, event)


def policy_debited(judge: Judge, state: State, event: PolicyDebited) -> None:
    """The same, charged at once."""
    usage_debited(judge, state, event)
    look_at_ruling(judge, state, event)


def policy_denied(judge: Judge, state: State, event: PolicyDenied) -> None:
    """The same, denied."""
    work_denied(judge, state, event)
    look_at_denial(judge, state, event)
