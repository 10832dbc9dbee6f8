"""Quotes: promised within their limits, used once, by their own work, in time (rule H9)."""

from __future__ import annotations

from ledger.core.events import HoldAuthorized, QuoteExpired, QuoteMade, UsageQuoted
from ledger.core.limits import (
    BASIS_POINTS,
    HOLD_LIFETIME_BATCH_MAX_US,
    HOLD_LIFETIME_DEFAULT_US,
    QUOTE_TOLERANCE_DEFAULT,
    QUOTE_TOLERANCE_MAX,
    QUOTES_OPEN_MAX,
)
from ledger.core.pricing.quotes import Quote
from ledger.core.state import State
from ledger.verify.rules.judge import Judge
from ledger.verify.rules.usage import takes, usage_recorded


def quote_made(judge: Judge, state: State, event: QuoteMade) -> None:
    judge.equal(state, "number of the quote", state.next_quote, event.quote)
    judge.equal(state, "time of the quote", state.now, event.made_at)
    expires_at = event.made_at + (event.lifetime or HOLD_LIFETIME_DEFAULT_US)
    judge.equal(state, "expiry of the quote", expires_at, event.expires_at)
    if event.lifetime > HOLD_LIFETIME_BATCH_MAX_US:
        most = f"at most {HOLD_LIFETIME_BATCH_MAX_US}"
        judge.wrong(state, "lifetime of the quote", most, event.lifetime)
    tolerance = event.tolerance_given or QUOTE_TOLERANCE_DEFAULT
    judge.equal(state, "tolerance of the quote", tolerance, event.tolerance)
    if not BASIS_POINTS <= event.tolerance <= QUOTE_TOLERANCE_MAX:
        bounds = f"{BASIS_POINTS} to {QUOTE_TOLERANCE_MAX}"
        judge.wrong(state, "tolerance of the quote", bounds, event.tolerance)
    if len(event.own) != len(event.quantities) or any(
        not 0 <= own <= quantity for own, quantity in zip(event.own, event.quantities, strict=False)
    ):
        judge.wrong(state, "quantities without their parts", event.quantities, event.own)
    if min(event.charges, default=0) < 0:
        judge.wrong(state, "quoted charges", "0 or more", event.charges)
    if event.hold:
        judge.equal(state, "hold of the quote", state.next_hold, event.hold)
    account = state.accounts[event.account]
    if len(account.quotes) >= QUOTES_OPEN_MAX:
        judge.wrong(state, "open quotes", f"less than {QUOTES_OPEN_MAX}", len(account.quotes))
    takes(judge, state, account, state.now, new=True)


def hold_of_quote(judge: Judge, state: State, event: HoldAuthorized) -> None:
    """A hold that a quote prices: open, of the account, without another hold."""
    quote = _open(judge, state, event.quote, event.account)
    if quote is not None:
        plan = state.declared[event.plan]
        _same_work(judge, state, quote, plan.product, plan.attributes)
        judge.equal(state, "other hold of the quote", 0, quote.hold)


def usage_quoted(judge: Judge, state: State, event: UsageQuoted) -> None:
    """As any usage; what a quote prices is within what it promised, and it was not used before."""
    usage_recorded(judge, state, event)
    part = event.part
    if (part is None) != bool(event.unused):
        judge.wrong(state, "why the quote is unused", "either that or a part", event.unused)
    if part is None:
        return
    quote = _open(judge, state, event.quote, event.account)
    if quote is None:
        return
    plan = state.declared[event.plan]
    names = plan.quantity_names
    _same_work(judge, state, quote, plan.product, plan.attributes)
    judge.equal(state, "hold of the quote", quote.hold, 0 if event.late else event.hold)
    version = (quote.plan.rate_card, quote.plan.card_version)
    judge.equal(state, "version of the quote", version, (part.rate_card, part.card_version))
    quoted = dict(zip(quote.plan.quantity_names, quote.plan.rows, strict=True))
    judge.equal(state, "rows of the quote", tuple([quoted.get(n, -1) for n in names]), part.rows)
    if len(part.quantities) != len(names) or len(part.charges) != len(names):
        judge.wrong(state, "number of quoted quantities", len(names), len(part.quantities))
        return
    for place, name in enumerate(names):
        most = event.quantities[place]
        if plan.rows[place] != -1 and plan.rows != part.rows:
            most = min(most, quote.most(name))
        if not 0 <= part.quantities[place] <= (most if name in quoted else 0):
            judge.wrong(state, f"quoted of {name}", f"0 to {most}", part.quantities[place])
        if not 0 <= part.charges[place] <= max(event.charges[place], 0):
            what = f"0 to {event.charges[place]}"
            judge.wrong(state, f"quoted charge of {name}", what, part.charges[place])
    positions = tuple([each for each in quote.positions if each[0] in part.rows])
    judge.equal(state, "positions of the quote", positions, part.positions)


def quote_expired(judge: Judge, state: State, event: QuoteExpired) -> None:
    """Open, and due: once, and not before its time."""
    quote = state.quotes.get(event.quote)
    if quote is None:
        judge.wrong(state, f"quote {event.quote}", "open", "settled or unknown")
        return
    judge.equal(state, "account of the quote", quote.account.number, event.account)
    if quote.expires_at > state.now:
        judge.wrong(state, f"expiry of quote {event.quote}", quote.expires_at, state.now)


def _open(judge: Judge, state: State, number: int, account: int) -> Quote | None:
    """An open quote of the account that is not overdue: what is overdue expires first."""
    quote = state.quotes.get(number)
    if quote is None:
        judge.wrong(state, f"quote {number}", "open", "settled or unknown")
        return None
    judge.equal(state, "account of the quote", quote.account.number, account)
    if quote.expires_at <= state.now:
        judge.wrong(state, f"quote {number}", "expired first", f"due at {quote.expires_at}")
    return quote


def _same_work(
    judge: Judge,
    state: State,
    quote: Quote,
    product: str,
    attributes: tuple[tuple[str, str], ...],
) -> None:
    promised = (quote.plan.product, quote.plan.attributes)
    judge.equal(state, "work of the quote", promised, (product, attributes))
