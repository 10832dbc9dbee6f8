"""Policies of operations: what each operation of an account may use that nobody gave a budget by
hand, set in versions and inherited (rule H4).

Reads state, changes nothing. By which call an operation gets its budget: `operation_cover`.
"""

from __future__ import annotations

from ledger.core.admission import open_account
from ledger.core.budgets.operation_budgets import terms_invalid
from ledger.core.commands import SetOperationPolicy
from ledger.core.events import Event, OperationPolicySet
from ledger.core.limits import OPERATION_IDLE_DEFAULT_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State


def decide_set_operation_policy(
    state: State, command: SetOperationPolicy, out: list[Event]
) -> Event | Known | Refusal:
    """Another policy in the stead of the one that the account has, if it has one. Operations that
    have a budget keep it."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.operation_policy.version if account.operation_policy is not None else 0
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the policy is at version {version}, not {command.expected_version}; read it again",
        )
    if command.terms is not None:
        refusal = terms_invalid(state, account, command.terms, command.idle)
        if refusal is not None:
            return refusal
    made = OperationPolicySet(
        command.key,
        account.number,
        command.terms,
        (command.idle or OPERATION_IDLE_DEFAULT_US) if command.terms is not None else 0,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made
