"""Deciding holds of operations: units for a whole user action with all its calls (rules H1, H4).

Such a hold is of no product: calls of any product are drawn from it, each priced by itself as usage
of its time, by captures or by debits that name it, and holds of calls are made of it
(`operation_draws`). It is extended, released and expires like any
hold. Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final

from ledger.core.admission import known_account, unusable
from ledger.core.commands import ReserveOperation
from ledger.core.decisions.assessing import Assessment, assess_reserve
from ledger.core.decisions.authorizing import deny, operation_refused
from ledger.core.decisions.holds import authorized, hold_refused, lifetime_invalid
from ledger.core.events import RESERVED_QUANTITY, Event
from ledger.core.limits import HOLD_LIFETIME_MAX_US
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.contracted import as_contracted
from ledger.core.state import Account, State

_NAMES: Final = (RESERVED_QUANTITY,)


def decide_reserve(
    state: State, command: ReserveOperation, out: list[Event]
) -> Event | Known | Refusal:
    """Hold so many units of the asset that the account is charged in, or record the denial. They
    are of grants that pay for any product, then of debt as the policy lets holds draw it (H3)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = hold_refused(account, command.lifetime)
    if refusal is None and command.lifetime > HOLD_LIFETIME_MAX_US:
        refusal = lifetime_invalid(command.lifetime, HOLD_LIFETIME_MAX_US)
    if refusal is None:
        refusal = unusable((command.amount,))
    if refusal is None:
        refusal = operation_refused(state, account, command.operation)
    if refusal is not None:
        return refusal
    amount, operation = command.amount, command.operation
    found = try_reserve(state, account, amount, operation)
    if isinstance(found, Refusal):
        return found
    if found.denied:
        return deny(
            state, account, found, (amount,), out, command.key, command.trace, command.lifetime,
            operation=operation,
        )  # fmt: skip
    return authorized(
        state, account, found, (amount,), command.lifetime, out, command.key, command.trace,
        operation=operation, reserves=True,
    )  # fmt: skip


def try_reserve(
    state: State, account: Account, amount: int, operation: bytes
) -> Assessment | Refusal:
    """Whether so many units may be held for an operation now; nothing is recorded."""
    now = state.now
    shape = state.catalog.shape("", (), _NAMES)
    bound = as_contracted(account, state.catalog.bind(account.card_key, shape, now), now)
    if bound.asset == 0:
        return Refusal(
            Reason.UNPRICED,
            "account",
            str(account.number),
            "no version of the account's rate card is in force, so that it has no asset to hold; "
            "publish one",
        )
    return assess_reserve(state, account, bound, amount, now, operation)
