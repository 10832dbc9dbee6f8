"""What may run: within every limit, as much as is affordable, and what allows no more (D4, H4).

Tries one quantity after another from the most downwards; no search, no boundaries of prices.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.core import events as e
from ledger.core.events import MANDATE_BUDGET, Limit, LimitKind, Overage
from ledger.simulation import naive
from ledger.simulation.model.mandates import denying
from ledger.simulation.model.operations import exceeded, mandated
from ledger.simulation.model.priced import price_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import Overdrawn
from ledger.simulation.naive_holdings import FOREVER, NaiveAccount, NaiveBudget, NaiveGrant, Use
from ledger.simulation.rules import Rule

HOLDS_LOOKED_AT: Final = 64


class Work(NamedTuple):
    """What is to run: a product, its attributes, the names of its quantities; and the operation,
    with its parent, that it is part of."""

    product: str
    attributes: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    operation: bytes = b""


class Case(NamedTuple):
    """What work would cost an account now, and what the limits say of it: "" = it may run."""

    price: naive.Priced
    use: Use
    invalid: str
    denied: str
    available: int
    budget: tuple[NaiveBudget, int] | None = None  # that denies it, and what is left there
    mandate: tuple[str, int, int] | None = None  # or a mandate: why, whose, and its price


def work_of(plan: e.PlanDeclared, event: e.Event) -> Work:
    """That of a declared plan, as an entry names it."""
    operation: bytes = getattr(event, "operation", b"")
    return Work(plan.product, plan.attributes, plan.quantity_names, operation)


def case_of(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    overdrawn: Overdrawn | None = None,
) -> Case:
    """The price of work now, and whether it may run."""
    use = Use(work.product, work.attributes)
    price, _ = price_of(m, account, use, work.names, quantities, m.recorded_at)
    use = m.use(account.tenant, price.version, work.product, work.attributes)
    available = m.payers(account).available(price.asset, use, m.recorded_at, overdrawn)
    invalid = "SUBSET_EXCEEDS_PARENT" if price.broken else ""
    invalid = invalid if any(quantities) else "QUANTITIES_ALL_ZERO"
    denied = "" if invalid else why_denied(m, account, price, use, overdrawn)
    budget, mandate = None, None if invalid else denying(m, account, price, use)
    if mandate is not None:
        denied = mandate[0]
    elif not invalid and not denied and (work.operation or mandated(m, account)):
        budget = _exceeded(m, account, work, quantities, price, use, overdrawn)
        if budget is not None:
            of_operation = budget[0].operation
            denied = "OPERATION_BUDGET_EXCEEDED" if of_operation else "MANDATE_EXCEEDED"
    return Case(price, use, invalid, denied, available, budget, mandate)


def _exceeded(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    price: naive.Priced,
    use: Use,
    overdrawn: Overdrawn | None,
) -> tuple[NaiveBudget, int] | None:
    """The budget of its operation that does not allow work which can be paid for."""
    pieces, _, _ = m.payers(account).waterfall(
        price.asset, use, price.total, m.recorded_at, m.month(account),
        price.asset in m.money, False, overdrawn,
    )  # fmt: skip
    return exceeded(
        m, account, work.operation, use, price.asset, pieces, work.names, quantities, price.total
    )


def why_denied(
    m: Shard,
    account: NaiveAccount,
    price: naive.Priced,
    use: Use,
    overdrawn: Overdrawn | None = None,
) -> str:
    """Why work of that price cannot be paid for; "" = it can."""
    payers = m.payers(account)
    if -1 in price.charges:
        return "UNPRICED"
    if price.total and payers.grace_ended(price.asset):
        return "GRACE_ENDED"
    _, missing, _ = payers.waterfall(
        price.asset, use, price.total, m.recorded_at, m.month(account),
        price.asset in m.money, False, overdrawn,
    )  # fmt: skip
    return "INSUFFICIENT_CREDITS" if missing else ""


def allowed(
    m: Shard,
    account: NaiveAccount,
    event: e.HoldUpTo | e.UsageDebited,
    plan: e.PlanDeclared,
    overdrawn: Overdrawn | None = None,
) -> None:
    """The quantities of an entry are the most that is allowed of what was asked for, and its limit
    is what allows no more."""
    rule, work = Rule.NO_OVERSPEND, work_of(plan, event)
    up_to, quantities = event.up_to, event.quantities
    if not _allows(m, account, work, quantities, overdrawn):
        m.fail(rule, f"{quantities} of {plan.product} may not run")
    if up_to is None:
        m.expect(rule, "limit of what runs whole", None, event.limit)
        return
    place = work.names.index(up_to.quantity)
    found = quantities[place]
    if not up_to.minimum <= found <= up_to.maximum:
        m.fail(rule, f"{found} of {up_to}")
    most = most_of(m, account, work, quantities, up_to, overdrawn)
    m.expect(Rule.DENIAL_JUSTIFIED, "the most that may run", most, found)
    limit = None
    if found < up_to.maximum:
        beyond = case_of(m, account, work, _with(quantities, place, found + 1), overdrawn)
        if not beyond.invalid:
            limit = limit_of(m, account, beyond, overdrawn)
    m.expect(Rule.DENIAL_JUSTIFIED, "limit", limit, event.limit)


def most_of(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    up_to: e.UpTo,
    overdrawn: Overdrawn | None = None,
) -> int:
    """The largest amount of the quantity that may run; -1 = none may."""
    place = work.names.index(up_to.quantity)
    for amount in range(up_to.maximum, up_to.minimum - 1, -1):
        if _allows(m, account, work, _with(quantities, place, amount), overdrawn):
            return amount
    return -1


def least_of(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    up_to: e.UpTo | None,
) -> tuple[int, ...]:
    """The quantities whose denial tells that of a range, the least that make sense."""
    if up_to is None:
        return quantities
    least = _with(quantities, work.names.index(up_to.quantity), up_to.minimum)
    return quantities if case_of(m, account, work, least).invalid else least


def _with(quantities: tuple[int, ...], place: int, amount: int) -> tuple[int, ...]:
    return (*quantities[:place], amount, *quantities[place + 1 :])


def _allows(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    overdrawn: Overdrawn | None,
) -> bool:
    case = case_of(m, account, work, quantities, overdrawn)
    return not case.invalid and not case.denied


# -- what allows no more ---------------------------------------------------------------------------


def limit_of(
    m: Shard, account: NaiveAccount, case: Case, overdrawn: Overdrawn | None = None
) -> Limit:
    """The limit that denies work, what is left of it, and when there may be more."""
    number, asset = account.number, case.price.asset
    payers, policy = m.payers(account), account.policy
    if not case.denied:
        m.fail(Rule.DENIAL_JUSTIFIED, f"nothing denies {case}")
    if case.mandate is not None:
        _, whose, left = case.mandate
        return Limit(LimitKind.MANDATE, whose, left=left)
    if case.budget is not None:
        budget, left = case.budget
        name = budget.operation.hex()
        if not name:
            return Limit(LimitKind.MANDATE, budget.account, budget.number, MANDATE_BUDGET, left)
        return Limit(LimitKind.OPERATION, budget.account, budget.number, name, left)
    if case.denied == "UNPRICED":
        return Limit(LimitKind.PRICE, number)
    funds_at = _funds_at(m, account, asset)
    if case.denied == "GRACE_ENDED":
        return Limit(LimitKind.GRACE, number, retry_at=funds_at)
    if policy.overage != Overage.OFF and policy.holds_overage:
        left = payers.overage_room(asset, m.month(account), 0)
        month_ends = account.months.month_of(m.recorded_at)[1]
        retry_at = min(funds_at or FOREVER, month_ends)
        return Limit(LimitKind.OVERAGE, number, left=left, retry_at=retry_at)
    beyond = overdrawn is not None and overdrawn.asset == asset
    if beyond or (policy.holds_overdraft and payers.overdraft_limit(asset)):
        left = payers.overdraft_left(asset, overdrawn)
        return Limit(LimitKind.OVERDRAFT, number, left=left, retry_at=funds_at)
    last = [each for each in payers.grants() if _is_for(each, asset, case.use, m.recorded_at)][-1:]
    owner, named = (last[0].account, last[0].number) if last else (number, 0)
    return Limit(LimitKind.GRANTS, owner, named, left=case.available, retry_at=funds_at)


def _is_for(grant: NaiveGrant, asset: int, use: Use, now: int) -> bool:
    """Whether it would pay, if not all that is left of it were held."""
    open_ = not grant.settled and grant.asset == asset and grant.left > 0
    return open_ and grant.effective_at <= now < grant.over and grant.applies(use)


def _funds_at(m: Shard, account: NaiveAccount, asset: int) -> int:
    """The next instant at which a hold gives back, a grant takes effect or one is issued."""
    now, times = m.recorded_at, []
    for hold in list(account.holds.values())[:HOLDS_LOOKED_AT]:
        if hold.asset == asset and hold.reserved and hold.expires_at < FOREVER:
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
