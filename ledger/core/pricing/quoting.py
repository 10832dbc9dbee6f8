"""Deciding quotes: made, with a hold or without, and expired (rule H9).

A quote pins row versions, attributes and rate, not quantity. It is used once: see `quoted`. Without
a hold it promises the price, not the funds. Reads state, changes nothing.
"""

from __future__ import annotations

from typing import Final

from ledger.core.admission import known_account, outcome_expected, refuse_new
from ledger.core.commands import CreateQuote
from ledger.core.decisions.assessing import Assessment, assess
from ledger.core.decisions.holds import authorized, hold_refused
from ledger.core.events import Event, QuoteExpired, QuoteMade
from ledger.core.limits import (
    BASIS_POINTS,
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
    QUOTE_TOLERANCE_DEFAULT,
    QUOTE_TOLERANCE_MAX,
    QUOTES_OPEN_MAX,
)
from ledger.core.opening import declare
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.pricing.pricing import rounding_totals
from ledger.core.pricing.quotes import Quote
from ledger.core.state import Account, State
from rating.price import UNPRICED, own_quantities

_DENIED: Final = {
    Reason.UNPRICED: "the rate card in force has no price for a quantity of this product",
    Reason.GRACE_ENDED: "the balance has been below zero for longer than the policy bears",
    Reason.INSUFFICIENT_CREDITS: "the account cannot pay the quoted charge, so no hold reserves it",
}
_MODELED: Final = Refusal(
    Reason.QUOTE_MODELED,
    "product",
    "",
    "a row with a price model prices this work: what it costs depends on other usage, and is not "
    "promised",
)


def decide_quote(state: State, command: CreateQuote, out: list[Event]) -> Event | Known | Refusal:
    """Promise the price of the work, and reserve it where that is asked; else nothing is made."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = _refused(account, command)
    if refusal is not None:
        return refusal
    now = state.now
    found = assess(state, account, command.shape, command.quantities, now)
    if isinstance(found, Refusal):
        return found
    if found.bound.terms.outcome is not None:
        return outcome_expected(command.shape.product)
    if command.lifetime > found.bound.terms.lifetime_max:
        return _lifetime_invalid(command.lifetime, found.bound.terms.lifetime_max)
    if found.bound.plan.modeled:
        return _MODELED
    if found.denied and (command.held or UNPRICED in found.charges):
        return _denied(found)
    totals = rounding_totals(account, found.bound.plan, account.calendar.start_of(now))
    lifetime = command.lifetime or HOLD_LIFETIME_DEFAULT_US
    plan = declare(state, found.bound.declaration, out)
    made = QuoteMade(
        command.key,
        account.number,
        state.next_quote,
        plan,
        command.quantities,
        tuple(own_quantities(found.bound.plan, command.quantities)),
        found.charges,
        tuple(sorted(totals.items())),
        command.tolerance or QUOTE_TOLERANCE_DEFAULT,
        command.tolerance,
        command.lifetime,
        now,
        now + lifetime,
        state.next_hold if command.held else 0,
        command.trace,
    )
    if command.held:
        hold = authorized(
            state, account, found, command.quantities, lifetime, out, quote=state.next_quote
        )
        out.insert(out.index(hold), made)
    else:
        out.append(made)
    return made


def _refused(account: Account, command: CreateQuote) -> Refusal | None:
    refusal = refuse_new(account)
    if refusal is not None:
        return refusal
    if not 0 <= command.lifetime <= HOLD_LIFETIME_BATCH_MAX_US:
        return _lifetime_invalid(command.lifetime, HOLD_LIFETIME_BATCH_MAX_US)
    if command.tolerance and not BASIS_POINTS <= command.tolerance <= QUOTE_TOLERANCE_MAX:
        return Refusal(
            Reason.QUOTE_TOLERANCE_INVALID,
            "tolerance_basis_points",
            str(command.tolerance),
            f"a quote prices {BASIS_POINTS} to {QUOTE_TOLERANCE_MAX} basis points of what is "
            f"quoted; 0 is {QUOTE_TOLERANCE_DEFAULT}",
        )
    if len(account.quotes) >= QUOTES_OPEN_MAX:
        return Refusal(
            Reason.QUOTES_LIMIT,
            "account",
            str(len(account.quotes)),
            f"an account has at most {QUOTES_OPEN_MAX} open quotes; use some, or let them expire",
        )
    return hold_refused(account, 0) if command.held else None


def _lifetime_invalid(lifetime: int, longest: int) -> Refusal:
    return Refusal(
        Reason.QUOTE_LIFETIME_INVALID,
        "lifetime_us",
        str(lifetime),
        f"a quote for this product lives from 1 to {longest} us; 0 is the default",
    )


def _denied(found: Assessment) -> Refusal:
    """Why the work may not be promised, or not be reserved."""
    reason = Reason(found.denied)
    if found.budget is not None:
        exceeded = found.budget
        resets = f"until it resets at {exceeded.resets_at}" if exceeded.resets_at else "for good"
        of = f" for {', '.join(exceeded.value)!r}" if exceeded.value else ""
        of += " and others that it counts together" if exceeded.shared else ""
        return Refusal(
            reason,
            "budget",
            exceeded.budget.name,
            f"this budget of the account or of one above it has {exceeded.left} left{of} {resets}, "
            "which is less than the estimate, so no hold reserves it",
        )
    message = _DENIED.get(reason, "a quantity of this work has no price")
    return Refusal(reason, "quantities", str(found.charge), message)


def expire_quote(quote: Quote, out: list[Event]) -> None:
    """Nobody used it in time (rule H9)."""
    out.append(QuoteExpired(quote.account.number, quote.number))
