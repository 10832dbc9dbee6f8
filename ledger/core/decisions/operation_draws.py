"""What may be drawn of a hold of an operation, and by which calls (rules H1, H4).

Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.admission import outcome_expected
from ledger.core.budgets.operation_cover import covering
from ledger.core.catalog import Bound
from ledger.core.decisions.holds import hold_settled, open_hold
from ledger.core.identity import KEY_BYTES
from ledger.core.mandates.mandating import first_mandate_denying
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.contracted import bound_for
from ledger.core.seats.seat_draws import refuse_seat, turn_of
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State


def paying_hold(
    state: State,
    account: Account,
    number: int,
    operation: bytes,
    shape: Shape,
    quantities: tuple[int, ...],
    now: int,
) -> Hold | Refusal:
    """The hold of an operation that is to pay first for work which is decided now, or why it may
    not; what a mandate allows is asked with all other limits."""
    hold = operation_hold(state, account, number)
    if isinstance(hold, Refusal):
        return hold
    refusal = operation_differs(state, account, hold, operation, now)
    if refusal is not None:
        return refusal
    bound = bound_for(state, account, shape, now, quantities)
    refusal = draw_refused(state, account, shape, bound, now, now)
    if refusal is not None and not refusal.reason.startswith("MANDATE"):
        return refusal
    return hold


def advised_hold(
    state: State,
    account: Account,
    number: int,
    operation: bytes,
    shape: Shape,
    quantities: tuple[int, ...],
    now: int,
) -> Hold | Refusal:
    """The same for advice, by the time at which it is given: a hold that is due has expired, also
    where nothing has recorded that yet."""
    hold = paying_hold(state, account, number, operation, shape, quantities, now)
    if isinstance(hold, Hold) and hold.expires_at <= now:
        return hold_settled(number, hold.expires_at)
    return hold


def operation_hold(state: State, account: Account, number: int) -> Hold | Refusal:
    """The account's hold if it is open and of an operation, else why nothing may be drawn of it."""
    hold = open_hold(state, account, number)
    if isinstance(hold, Refusal) or hold.drawn is not None:
        return hold
    return Refusal(
        Reason.HOLD_OTHER_WORK,
        "hold_id",
        str(number),
        f"the hold is for {hold.product!r} alone: capture it; debits are drawn of a hold of an "
        "operation",
    )


def operation_differs(
    state: State, account: Account, hold: Hold, operation: bytes, now: int
) -> Refusal | None:
    """Why a call of that operation may not be paid by the hold of one: it is neither that one nor
    below it. A call says so itself, unless a budget that covers the hold's operation knows better;
    no draw is a way round one (rule H4)."""
    if not operation:
        return None
    digest, root = operation[:KEY_BYTES], hold.operation[:KEY_BYTES]
    covers = _covered_by(state, account, operation, now)
    if root in (digest, operation[KEY_BYTES:]):
        if _covered_by(state, account, hold.operation, now) <= covers:
            return None
    elif root in covers:
        return None
    return Refusal(
        Reason.OPERATION_DIFFERS,
        "operation",
        str(hold.number),
        "the hold is for another operation with what is below it: name that, or nothing, or name "
        "it as the parent of this one",
    )


def _covered_by(state: State, account: Account, operation: bytes, now: int) -> set[bytes]:
    """The operations whose budgets cover a call of one, those that a policy would give with it."""
    budgets = covering(state, account, operation, now)
    return {each.operation.root for each in budgets if each.operation is not None}


def draw_refused(
    state: State, account: Account, shape: Shape, bound: Bound, at: int, now: int
) -> Refusal | None:
    """Why work of that kind may not be drawn of a hold of an operation, whatever it costs: nobody
    has authorised that. `at`: when it is used, by which it is priced."""
    if bound.terms.outcome is not None:
        return outcome_expected(shape.product)
    denial = first_mandate_denying(account, bound.asset, bound.use, 0, now)
    if denial is not None and denial.reason in (Reason.MANDATE_PRODUCT, Reason.MANDATE_ATTRIBUTES):
        return Refusal(
            denial.reason,
            "product",
            shape.product,
            "the mandate is not for such work: record what has happened as usage of its own",
        )
    if account.seats is None:
        return None
    refusal = refuse_seat(account, shape, at)
    if refusal is not None:
        return refusal
    seated = turn_of(account, bound.asset, bound.use, at, False)
    if seated is None or seated.account:
        return None
    return Refusal(
        Reason.HOLD_OTHER_WORK,
        "hold_id",
        shape.product,
        "the seat's plan leaves out what the account has, which the hold is of; leave the hold out",
    )
