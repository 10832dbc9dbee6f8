"""What may run: within every limit, as much as is affordable, and what allows no more (D4, H4).

Tries one quantity after another from the most downwards; no search, no boundaries of prices.
"""

from __future__ import annotations

from typing import Final

from ledger.core import events as e
from ledger.core.events import Limit, LimitKind, Overage
from ledger.simulation import naive
from ledger.simulation.model.priced import price_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import FOREVER, NaiveAccount, NaiveGrant, Use
from ledger.simulation.rules import Rule

HOLDS_LOOKED_AT: Final = 64


def why_denied(m: Shard, account: NaiveAccount, price: naive.Priced, use: Use) -> str:
    """Why work of that price may not run; "" = it may."""
    payers = m.payers(account)
    if -1 in price.charges:
        return "UNPRICED"
    if price.total and payers.grace_ended(price.asset):
        return "GRACE_ENDED"
    _, missing, _ = payers.waterfall(
        price.asset, use, price.total, m.recorded_at, m.month(account),
        price.asset in m.money, False,
    )  # fmt: skip
    return "INSUFFICIENT_CREDITS" if missing else ""


def allowed(
    m: Shard,
    account: NaiveAccount,
    event: e.HoldUpTo | e.UsageDebited,
    plan: e.PlanDeclared,
) -> None:
    """The quantities of an entry are the most that is allowed of what was asked for, and its limit
    is what allows no more."""
    rule, names = Rule.NO_OVERSPEND, plan.quantity_names
    up_to, quantities = event.up_to, event.quantities
    if not _allows(m, account, plan, quantities):
        m.fail(rule, f"{quantities} of {plan.product} may not run")
    if up_to is None:
        m.expect(rule, "limit of what runs whole", None, event.limit)
        return
    place = names.index(up_to.quantity)
    found = quantities[place]
    if not up_to.minimum <= found <= up_to.maximum:
        m.fail(rule, f"{found} of {up_to}")
    more = range(found + 1, up_to.maximum + 1)
    wrong = [each for each in more if _allows(m, account, plan, _with(quantities, place, each))]
    m.expect(Rule.DENIAL_JUSTIFIED, "more that may run", [], wrong)
    limit = None
    if found < up_to.maximum:
        beyond = _with(quantities, place, found + 1)
        price, use = _price(m, account, plan, beyond)
        if any(beyond) and not price.broken:
            limit = limit_of(m, account, price, use)
    m.expect(Rule.DENIAL_JUSTIFIED, "limit", limit, event.limit)


def least_of(
    m: Shard,
    account: NaiveAccount,
    plan: e.PlanDeclared,
    quantities: tuple[int, ...],
    up_to: e.UpTo | None,
) -> tuple[int, ...]:
    """The quantities whose denial an entry tells: of a range the least that make sense, and all of
    it is denied."""
    if up_to is None:
        return quantities
    place = plan.quantity_names.index(up_to.quantity)
    m.expect(Rule.DENIAL_JUSTIFIED, "the most of it", up_to.maximum, quantities[place])
    every = range(up_to.minimum, up_to.maximum + 1)
    wrong = [each for each in every if _allows(m, account, plan, _with(quantities, place, each))]
    m.expect(Rule.DENIAL_JUSTIFIED, "what may run of it", [], wrong)
    least = _with(quantities, place, up_to.minimum)
    price, _ = _price(m, account, plan, least)
    return quantities if price.broken or not any(least) else least


def _with(quantities: tuple[int, ...], place: int, amount: int) -> tuple[int, ...]:
    return (*quantities[:place], amount, *quantities[place + 1 :])


def _price(
    m: Shard, account: NaiveAccount, plan: e.PlanDeclared, quantities: tuple[int, ...]
) -> tuple[naive.Priced, Use]:
    use = Use(plan.product, plan.attributes)
    price, _ = price_of(m, account, use, plan.quantity_names, quantities, m.recorded_at)
    return price, m.use(account.tenant, price.version, plan.product, plan.attributes)


def _allows(
    m: Shard, account: NaiveAccount, plan: e.PlanDeclared, quantities: tuple[int, ...]
) -> bool:
    price, use = _price(m, account, plan, quantities)
    return any(quantities) and not price.broken and not why_denied(m, account, price, use)


# -- what allows no more ---------------------------------------------------------------------------


def limit_of(m: Shard, account: NaiveAccount, price: naive.Priced, use: Use) -> Limit:
    """The limit that denies work of that price, what is left of it, and when there may be more."""
    number, asset = account.number, price.asset
    payers, policy = m.payers(account), account.policy
    reason = why_denied(m, account, price, use)
    if not reason:
        m.fail(Rule.DENIAL_JUSTIFIED, f"nothing denies {price}")
    if reason == "UNPRICED":
        return Limit(LimitKind.PRICE, number)
    funds_at = _funds_at(m, account, asset)
    if reason == "GRACE_ENDED":
        return Limit(LimitKind.GRACE, number, retry_at=funds_at)
    if policy.overage != Overage.OFF and policy.holds_overage:
        left = payers.overage_room(asset, m.month(account), 0)
        month_ends = account.months.month_of(m.recorded_at)[1]
        retry_at = min(funds_at or FOREVER, month_ends)
        return Limit(LimitKind.OVERAGE, number, left=left, retry_at=retry_at)
    if policy.holds_overdraft and payers.overdraft_limit(asset):
        left = payers.overdraft_left(asset)
        return Limit(LimitKind.OVERDRAFT, number, left=left, retry_at=funds_at)
    left = payers.available(asset, use, m.recorded_at)
    last = [each for each in payers.grants() if _is_for(each, asset, use, m.recorded_at)][-1:]
    owner, named = (last[0].account, last[0].number) if last else (number, 0)
    return Limit(LimitKind.GRANTS, owner, named, left=left, retry_at=funds_at)


def _is_for(grant: NaiveGrant, asset: int, use: Use, now: int) -> bool:
    """Whether it would pay, if not all that is left of it were held."""
    open_ = not grant.settled and grant.asset == asset and grant.left > 0
    return open_ and grant.effective_at <= now < grant.over and grant.applies(use)


def _funds_at(m: Shard, account: NaiveAccount, asset: int) -> int:
    """The next instant at which a hold gives back, a grant takes effect or one is issued."""
    now, times = m.recorded_at, []
    for hold in list(account.holds.values())[:HOLDS_LOOKED_AT]:
        if hold.asset == asset and hold.reserved:
            times.append(hold.expires_at)
    for each in m.line(account):
        own = each is account
        times += [
            grant.effective_at
            for grant in each.grants
            if grant.asset == asset and (own or grant.shared) and not grant.settled
            if now < grant.effective_at < grant.over
        ]
        times += [
            recurring.due
            for recurring in each.recurring
            if recurring.terms.asset == asset and (own or recurring.terms.shared)
            if recurring.due < FOREVER
        ]
    return min(times, default=0)
