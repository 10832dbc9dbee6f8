"""What waited for a price and is rated now that it has one (rules B8, D5, T2)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.simulation import naive
from ledger.simulation.model.operations import after_usage
from ledger.simulation.model.overrides import counting, numbers_of
from ledger.simulation.model.seats import after_draw
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.usage import draw, follows
from ledger.simulation.naive import Version
from ledger.simulation.naive_holdings import NaiveAccount, NaiveUsage, Piece
from ledger.simulation.rules import Rule

RULE = Rule.RATED_IN_ORDER


def rated(m: Shard, event: e.SuspenseRated) -> None:
    """By the first version that prices most of what waits; nothing that came before it and has a
    price waits still."""
    account = m.deciding(event.account)
    used = m.usage.get(event.original)
    if used is None or not used.waits:
        m.fail(RULE, f"{event} is of no usage that waits")
    facts = (b"", used.account, used.entry, used.effective_at, used.left)
    said = (event.key, event.account, event.original_entry, event.effective_at, event.quantities)
    m.expect(RULE, "key, account, entry, time and quantities", facts, said)
    if _closed(m, account):
        m.fail(RULE, f"usage of account {account.number} is rated, which is closed")
    _first(m, account, used)
    version = reaching(m, account, used)
    if version is None:
        m.fail(RULE, f"{event} has no price")
    plan = m.plans[event.plan]
    period = m.period(account, used.effective_at)
    counts = counting(m, account, version, used.use, used.names, used.effective_at)
    product, names = used.use.product, used.names
    price = naive.price(account, version, product, names, used.left, period, counts)
    m.expect(RULE, "overrides", *numbers_of(counts, plan))
    named = (used.use.product, used.use.attributes, used.names, version.name, version.number)
    declared = (
        plan.product, plan.attributes, plan.quantity_names, plan.rate_card, plan.card_version,
    )  # fmt: skip
    m.expect(RULE, "plan", named, declared)
    places = tuple(place for place in used.waits if price.charges[place] != -1)
    m.expect(RULE, "rated", places, event.rated)
    charges = [-1 if place in used.waits else 0 for place in range(len(used.names))]
    for place in places:
        charges[place] = price.charges[place]
    m.expect(RULE, "charges", tuple(charges), event.charges)
    m.expect(RULE, "period", period, event.period)
    used.waits = [place for place in used.waits if place not in places]
    m.expect(RULE, "settled", int(not used.waits), event.settled)
    _pay(m, account, event, used, version, {used.names[place] for place in places}, price)
    account.suspended -= event.settled


def _pay(
    m: Shard,
    account: NaiveAccount,
    event: e.SuspenseRated,
    used: NaiveUsage,
    version: Version,
    names: set[str],
    price: naive.Priced,
) -> None:
    use = m.use(account.tenant, version.number, used.use.product, used.use.attributes)
    total = sum(charge for charge in event.charges if charge > 0)
    expected: list[Piece] = []
    over = 0
    if total:
        expected, _, over = m.payers(account).waterfall(
            version.asset, use, total, used.effective_at, event.period,
            version.asset in m.money, True,
        )  # fmt: skip
    m.expect(Rule.WATERFALL, "slices", expected, m.pieces(event.slices))
    m.expect(Rule.WATERFALL, "over the limit", over, event.over_limit)
    rating = NaiveUsage(
        m.locator, account.number, m.position, used.effective_at, event.period, use, used.names,
        used.left, version.number, version.asset, event.used_book, expected, 0,
        account.run.get(version.asset, 0), price.units, rated=event.rated,
    )  # fmt: skip
    rating.hold = used.hold
    m.usage[m.locator] = rating
    used.ratings.append(rating)
    draw(m, account, event.slices, event.used_book, version.asset, use.product, event.period)
    moved = {price.units[name][1] for name in names if name in price.units}
    for place, quantity in price.moved.items():
        if place in moved:
            account.totals[place] = account.totals.get(place, 0) + quantity
    after_usage(m, account, rating, b"", total, None, False)
    after_draw(m, account, expected)
    follows(m, account, event, version.asset)


def reaching(m: Shard, account: NaiveAccount, used: NaiveUsage) -> Version | None:
    """The version that has prices for most of what waits; None where none has any."""
    best, most = None, 0
    for each in naive.candidates(m.versions_of(account), used.effective_at):
        counts = counting(m, account, each, used.use, used.names, used.effective_at)
        waiting = [used.names[place] for place in used.waits]
        rows = each.prices.rows
        priced = sum((used.use.product, name) in rows or name in counts for name in waiting)
        if priced > most:
            best, most = each, priced
    return best


def _first(m: Shard, account: NaiveAccount, used: NaiveUsage) -> None:
    for other in m.usage.values():
        if other.locator >= used.locator or not other.waits:
            continue
        owner = m.accounts[other.account]
        if owner.root == account.root and not _closed(m, owner) and reaching(m, owner, other):
            m.fail(RULE, f"usage {other.entry} has a price and waits, {used.entry} is rated")


def _closed(m: Shard, account: NaiveAccount) -> bool:
    """Whether it takes nothing more (rule T2)."""
    return bool(account.closed_at) and account.closed_at <= naive.closed_by(account, m.recorded_at)
