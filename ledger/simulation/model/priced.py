"""What usage costs: by the card of its time, or by a quote (rules R1, R3, R8, H9)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.core import events as e
from ledger.core.events import QuoteUnused
from ledger.simulation import naive
from ledger.simulation.model.overrides import counting, numbers_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import Version
from ledger.simulation.naive_holdings import (
    NaiveAccount,
    NaiveOverride,
    NaiveQuote,
    NaiveUsage,
    Use,
)
from ledger.simulation.rules import Rule

Moved = dict[tuple[int, str, str, int], int]


def priced(
    m: Shard, account: NaiveAccount, plan: e.PlanDeclared, quantities: tuple[int, ...], at: int
) -> tuple[naive.Priced, Use]:
    """The naive price, which the plan must name."""
    use = Use(plan.product, plan.attributes)
    found, counts = price_of(m, account, use, plan.quantity_names, quantities, at)
    m.expect(Rule.CHARGE, "overrides", *numbers_of(counts, plan))
    if found.broken:
        m.fail(Rule.CHARGE, f"{quantities} contradict each other and are recorded")
    named = (plan.rate_card, plan.card_version, plan.asset)
    expected = (m.card_of(account), found.version, found.asset)
    m.expect(Rule.CHARGE, "card, version and asset", expected, named)
    return found, m.use(account.tenant, found.version, plan.product, plan.attributes)


def price_of(
    m: Shard,
    account: NaiveAccount,
    use: Use,
    names: tuple[str, ...],
    quantities: tuple[int, ...],
    at: int,
) -> tuple[naive.Priced, dict[str, NaiveOverride]]:
    """The naive price of work that nothing was recorded of, and the overrides that count for it."""
    version = naive.version_for(m.versions_of(account), use.product, names, at)
    counts = counting(m, account, version, use, names, at)
    period = m.period(account, at)
    return naive.price(account, version, use.product, names, quantities, period, counts), counts


def _expect_plan(
    m: Shard, account: NaiveAccount, plan: e.PlanDeclared, found: naive.Priced, card: str
) -> None:
    named = (plan.rate_card, plan.card_version, plan.asset)
    expected = (card, found.version, found.asset)
    m.expect(Rule.CHARGE, "card, version and asset", expected, named)


@dataclass
class ByQuote:
    """Usage that names a quote: its price, and what of it the quote priced."""

    price: naive.Priced
    use: Use
    unused: QuoteUnused = QuoteUnused.NONE
    covered: dict[str, int] = field(default_factory=dict)
    charges: dict[str, int] = field(default_factory=dict)


def by_quote(
    m: Shard,
    account: NaiveAccount,
    number: int,
    plan: e.PlanDeclared,
    quantities: tuple[int, ...],
    at: int,
    hold: int = 0,
) -> ByQuote:
    """The price of usage that names a quote: up to its tolerance by the quoted rows, from where
    totals stood; the rest by the card of its time, after it (rule H9)."""
    unused = why_unused(m, account, number, plan, hold)
    own = naive.own_quantities(plan.quantity_names, quantities)
    if own is None:
        m.fail(Rule.CHARGE, f"{quantities} contradict each other and are recorded")
    if not unused:
        found, card = _by_quote(m, account, m.quotes[number], plan, own, at)
        if any(found.covered.values()):
            _expect_plan(m, account, plan, found.price, card)
            return found
        unused = QuoteUnused.QUOTE_OTHER_WORK
    price, use = priced(m, account, plan, quantities, at)
    return ByQuote(price, use, unused)


def why_unused(
    m: Shard, account: NaiveAccount, number: int, plan: e.PlanDeclared, hold: int
) -> QuoteUnused:
    """Why a quote prices no such work of the account; NONE where it does."""
    quote = m.quotes.get(number)
    if quote is None or quote.account != account.number:
        return QuoteUnused.QUOTE_UNKNOWN
    if (quote.product, quote.attributes) != (plan.product, plan.attributes):
        return QuoteUnused.QUOTE_OTHER_WORK
    if quote.ended:
        return QuoteUnused[f"QUOTE_{quote.ended.upper()}"]
    return QuoteUnused.NONE if quote.hold == hold else QuoteUnused.QUOTE_HELD


def _by_quote(
    m: Shard,
    account: NaiveAccount,
    quote: NaiveQuote,
    plan: e.PlanDeclared,
    own: dict[str, int],
    at: int,
) -> tuple[ByQuote, str]:
    """What it costs, and the card that prices what is beyond the quote."""
    names, period = plan.quantity_names, m.period(account, at)
    promised = m.version(account.tenant, quote.version)
    assert promised is not None
    live = naive.version_for(m.versions_of(account), plan.product, names, at)
    beyond, card = live, m.card_of(account)
    if live is None or live.asset != promised.asset:
        beyond, card = promised, promised.name
    assert beyond is not None
    found = ByQuote(
        naive.Priced(beyond.number, beyond.asset),
        m.use(account.tenant, beyond.number, plan.product, plan.attributes),
    )
    moved, lines = found.price.moved, []
    for name in names:
        unit = beyond.prices.rows.get((plan.product, name))
        if beyond is promised and name not in quote.own:
            unit = None
        covered = 0
        if name in quote.own:
            covered = min(own[name], quote.own[name] * quote.tolerance // 10_000)
            covered = own[name] if unit is None or beyond is promised is not live else covered
        line = _line(promised, plan.product, name, quote.starts.get(name, 0), covered)
        found.covered[name], found.charges[name] = covered, line
        _move(moved, promised, plan.product, name, period, covered)
        rest = own[name] - covered
        if unit is None:
            lines.append(-1 if rest else line)
            continue
        place = (beyond.number, plan.product, name, period)
        start = account.totals.get(place, 0) + moved.get(place, 0)
        lines.append(line + _line(beyond, plan.product, name, start, rest))
        _move(moved, beyond, plan.product, name, period, rest)
    found.price.charges = tuple(lines)
    return found, card


def _line(version: Version, product: str, name: str, start: int, quantity: int) -> int:
    """F(start + quantity) - F(start)."""
    if not quantity:
        return 0
    unit, mode = version.prices.rows[product, name], version.prices.rounding
    return naive.rounded(unit * (start + quantity), mode) - naive.rounded(unit * start, mode)


def _move(
    moved: Moved, version: Version, product: str, name: str, period: int, quantity: int
) -> None:
    """A total runs on, of a row whose unit price is not whole."""
    if quantity and version.prices.rows[product, name].denominator != 1:
        place = (version.number, product, name, period)
        moved[place] = moved.get(place, 0) + quantity


def refund_quoted(
    m: Shard, account: NaiveAccount, used: NaiveUsage, back: dict[str, int], left: dict[str, int]
) -> tuple[tuple[int, ...], Moved]:
    """What a reversal of quoted usage gives back: first what was beyond the quote, as any usage,
    then what the quote priced, for what it was charged (rules H9, R1)."""
    quote = used.quote
    assert quote is not None
    beyond = m.version(account.tenant, used.version)
    promised = m.version(account.tenant, quote.version)
    assert beyond is not None and promised is not None
    product, lines = used.use.product, []
    moved: Moved = {}
    for name in used.names:
        most = used.covered[name]
        rest = max(0, left[name] - most)
        rest_back = rest - max(0, left[name] - back[name] - most)
        quoted_back = back[name] - rest_back
        end = quote.starts.get(name, 0) + left[name] - rest
        line = _line(promised, product, name, end - quoted_back, quoted_back)
        _move(moved, promised, product, name, used.period, quoted_back)
        if rest_back and (product, name) in beyond.prices.rows:
            place = (beyond.number, product, name, used.period)
            before = account.totals.get(place, 0)
            line += _line(beyond, product, name, before - rest_back, rest_back)
            _move(moved, beyond, product, name, used.period, rest_back)
        lines.append(line)
    return tuple(lines), moved
