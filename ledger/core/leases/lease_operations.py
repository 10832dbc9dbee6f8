"""Which operations a holder may report under, of a lease that is of one (rules H4, H7).

A lease of an operation pends in full in that one's budgets, so its holder decides for that one and
for what is below it. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.budgets.operation_cover import covering
from ledger.core.decisions.operation_draws import operation_differs
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import Account, Hold, State


def other_operation(
    state: State, account: Account, lease: Hold, operation: bytes
) -> Refusal | None:
    """Why usage of that operation is none of the lease, if it is not: it is neither of the lease's
    nor below that, or a hard budget of its own caps it, in which the lease does not pend. A lease
    of no operation takes usage of any."""
    if not lease.operation or not operation:
        return None
    if operation_differs(state, account, lease, operation, state.now) is None:
        roots = _capped_by(state, account, operation)
        if roots <= _capped_by(state, account, lease.operation):
            return None
    return Refusal(
        Reason.OPERATION_DIFFERS,
        "operation",
        str(lease.number),
        "the lease is for another operation with what is below it that has no hard budget of its "
        "own: name that, or nothing, or record the usage without the lease",
    )


def _capped_by(state: State, account: Account, operation: bytes) -> set[bytes]:
    """The operations whose hard budgets cover a call of one."""
    budgets = covering(state, account, operation, state.now)
    found = [each.operation for each in budgets if each.terms.hard]
    return {each.root for each in found if each is not None}
