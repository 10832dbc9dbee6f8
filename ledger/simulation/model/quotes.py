"""Quotes: made, reserved by a hold, used once, expired in time (rule H9)."""

from __future__ import annotations

from typing import Any

from ledger.core import events as e
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.simulation import naive
from ledger.simulation.model.holds import authorized
from ledger.simulation.model.priced import ByQuote, priced
from ledger.simulation.model.shard import WINDOW_US, Shard
from ledger.simulation.naive_holdings import NaiveQuote
from ledger.simulation.rules import Rule

RULE = Rule.QUOTED


def made(m: Shard, event: e.QuoteMade) -> None:
    """The price of now is promised; with a hold the next entry reserves it."""
    account = m.deciding(event.account)
    plan = m.plans[event.plan]
    m.expect(Rule.CLOSED_TAKES_NOTHING, "quote of a closed account", 0, account.closed_at)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "quote if frozen", False, m.frozen(account))
    m.expect(RULE, "number", len(m.quotes) + 1, event.quote)
    price, _ = priced(m, account, plan, event.quantities, m.recorded_at)
    if -1 in price.charges:
        m.fail(RULE, f"quote {event.quote} promises what has no price: {price}")
    m.expect(Rule.CHARGE, "quoted charges", price.charges, event.charges)
    own = naive.own_quantities(plan.quantity_names, event.quantities)
    assert own is not None
    m.expect(RULE, "quantities without their parts", tuple(own.values()), event.own)
    period = m.month(account)
    starts = {
        name: account.totals.get((price.version, plan.product, name, period), 0) for name in own
    }
    stood = sorted(start for start in starts.values() if start)
    m.expect(RULE, "where totals stood", stood, sorted(q for _, q in event.positions if q))
    lifetime = event.lifetime or 15 * MINUTE_US
    m.expect(RULE, "made at, expires at", (m.recorded_at, m.recorded_at + lifetime),
             (event.made_at, event.expires_at))  # fmt: skip
    version = m.version(account.tenant, price.version)
    batch = version is not None and plan.product in version.prices.batch
    if lifetime > (35 * DAY_US if batch else DAY_US):
        m.fail(RULE, f"a lifetime of {lifetime}")
    m.expect(RULE, "tolerance", event.tolerance_given or 12_000, event.tolerance)
    quote = NaiveQuote(
        event.quote,
        account.number,
        plan.product,
        plan.attributes,
        own,
        price.version,
        starts,
        event.tolerance,
        event.expires_at,
    )
    m.quotes[quote.number] = quote
    if event.hold:
        m.expect(Rule.HOLD_SETTLED_ONCE, "hold of the quote", len(m.holds) + 1, event.hold)

        def reserved(found: Any) -> None:
            m.expect(RULE, "what follows", e.HoldAuthorized, type(found))
            m.expect(RULE, "asked for by nobody", (b"", quote.number), (found.key, found.quote))
            authorized(m, found)

        m.then("the quote is reserved", reserved)


def used(m: Shard, event: e.UsageQuoted, by: ByQuote) -> None:
    """What the entry says of the quote, which is used where it priced a part."""
    quote, part = m.quotes.get(event.quote), event.part
    long_ago = quote is not None and quote.ended and m.recorded_at - quote.ended_at > WINDOW_US
    if not long_ago or event.unused != e.QuoteUnused.QUOTE_UNKNOWN:  # forgotten by then, or soon
        m.expect(RULE, "why it is unused", by.unused, event.unused)
    if by.unused:
        m.expect(RULE, "part", None, part)
        return
    assert quote is not None and part is not None
    m.expect(RULE, "version", quote.version, part.card_version)
    m.expect(RULE, "covered", tuple(by.covered.values()), part.quantities)
    m.expect(RULE, "quoted charges", tuple(by.charges.values()), part.charges)
    end(m, quote, "used")


def expired(m: Shard, event: e.QuoteExpired) -> None:
    """By the clock, where nobody has used it."""
    quote = m.quotes.get(event.quote)
    if quote is None or quote.ended or quote.account != event.account:
        m.fail(RULE, f"quote {event.quote} expires: {quote}")
    if m.recorded_at < quote.expires_at:
        m.fail(RULE, f"quote {event.quote} expires before its time")
    m.touch(m.accounts[event.account])
    end(m, quote, "expired")


def end(m: Shard, quote: NaiveQuote, ended: str) -> None:
    """It prices nothing more."""
    quote.ended, quote.ended_at = ended, m.recorded_at
