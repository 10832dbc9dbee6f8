"""What may run: within every limit, as much as is affordable, and what allows no more (D4, H4).

Tries one quantity after another from the most downwards; no search, no boundaries of prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.core import events as e
from ledger.core.events import MANDATE_BUDGET, Limit, LimitKind, Overage, UnknownSeat
from ledger.simulation import naive
from ledger.simulation.model.mandates import denying
from ledger.simulation.model.operations import Taken, budgeted, exceeded
from ledger.simulation.model.priced import price_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.windows import resets_at
from ledger.simulation.naive import Overdrawn
from ledger.simulation.naive_holdings import (
    FOREVER,
    NaiveAccount,
    NaiveBudget,
    NaiveGrant,
    Piece,
    Use,
)
from ledger.simulation.rules import Rule

HOLDS_LOOKED_AT: Final = 64


class Work(NamedTuple):
    """What is to run: a product, its attributes, the names of its quantities; the operation, with
    its parent, that it is part of; and the hold of an operation that it is drawn of first."""

    product: str
    attributes: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    operation: bytes = b""
    hold: int = 0


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
    hold = event.hold if isinstance(event, e.HoldDebited | e.HoldDebitDenied) else 0
    return Work(plan.product, plan.attributes, plan.quantity_names, operation, hold)


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
    first = first_of(m, account, work, price)
    if first and -1 not in price.charges:
        available += m.holds[work.hold].reserved
    denied = "" if invalid else why_denied(m, account, price, use, overdrawn, first)
    budget, mandate = None, None if invalid else denying(m, account, price, use)
    if mandate is not None:
        denied = mandate[0]
    elif not invalid and not denied and (work.operation or budgeted(m, account)):
        budget = _exceeded(m, account, work, quantities, price, use, overdrawn, first)
        if budget is not None:
            denied = reason_of(m, budget[0])
    return Case(price, use, invalid, denied, available, budget, mandate)


def reason_of(m: Shard, budget: NaiveBudget) -> str:
    """Why a budget denies work."""
    if budget.operation:
        return "OPERATION_BUDGET_EXCEEDED"
    return "MANDATE_EXCEEDED" if is_mandates(m, budget) else "BUDGET_EXCEEDED"


def is_mandates(m: Shard, budget: NaiveBudget) -> bool:
    """Whether it is what an agent may spend by its mandate."""
    return m.accounts[budget.account].mandate is not None and budget.name == MANDATE_BUDGET


def first_of(m: Shard, account: NaiveAccount, work: Work, price: naive.Priced) -> list[Piece]:
    """What the hold of its operation pays of work, piece by piece, none of which is left out."""
    hold = m.holds.get(work.hold)
    if hold is None or hold.asset != price.asset:
        return []
    paid, _ = naive.from_hold(hold, m.grants, price.total, m.month(account))
    amounts = {(piece.pot, piece.place): piece for piece in paid}
    return [
        amounts.get((piece.pot, piece.place), piece._replace(amount=0, value=0))
        for piece in hold.pieces
    ]


def _exceeded(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    price: naive.Priced,
    use: Use,
    overdrawn: Overdrawn | None,
    first: list[Piece],
) -> tuple[NaiveBudget, int] | None:
    """The budget of its operation that does not allow work which can be paid for."""
    left = price.total - sum(piece.amount for piece in first)
    pieces, _, _ = m.payers(account).waterfall(
        price.asset, use, left, m.recorded_at, m.month(account),
        price.asset in m.money, False, overdrawn,
    )  # fmt: skip
    drawn = None
    if first:
        drawn = Taken(m.holds[work.hold], [piece.amount for piece in first])
    return exceeded(
        m, account, work.operation, use, price.asset, [*first, *pieces], work.names, quantities,
        price.total, drawn,
    )  # fmt: skip


def why_denied(
    m: Shard,
    account: NaiveAccount,
    price: naive.Priced,
    use: Use,
    overdrawn: Overdrawn | None = None,
    first: Sequence[Piece] = (),
) -> str:
    """Why work of that price cannot be paid for; "" = it can. A hold pays what comes `first`."""
    payers = m.payers(account)
    if -1 in price.charges:
        return "UNPRICED"
    if is_suspended(m, account, use):
        return "SEAT_SUSPENDED"
    left = price.total - sum(piece.amount for piece in first)
    if left and payers.grace_ended(price.asset):
        return "GRACE_ENDED"
    _, missing, _ = payers.waterfall(
        price.asset, use, left, m.recorded_at, m.month(account),
        price.asset in m.money, False, overdrawn,
    )  # fmt: skip
    turn = payers.turn(price.asset, use, m.recorded_at, False)
    short = "INSUFFICIENT_CREDITS" if turn.account else "SEAT_EXHAUSTED"
    return short if missing else ""


def is_suspended(m: Shard, account: NaiveAccount, use: Use) -> bool:
    """Whether work names a seat for which nothing is authorised (rule S3)."""
    named = dict(use.attributes)
    return any(
        seat is not None and seat.suspended
        for plan in account.seat_plans.values()
        for seat in [plan.seat_of(named.get(plan.terms.attribute, ""), m.recorded_at)]
    )


def refused_seat(account: NaiveAccount, attributes: tuple[tuple[str, str], ...], at: int) -> bool:
    """Whether new usage names a seat that a plan does not have, and refuses (rule S3)."""
    named = dict(attributes)
    return any(
        plan.terms.unknown == UnknownSeat.REJECT
        and plan.terms.attribute in named
        and plan.started_at <= at < plan.ends_at
        and plan.seat_of(named[plan.terms.attribute], at) is None
        for plan in account.seat_plans.values()
    )


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
        if budget.operation:
            name = budget.operation.hex()
            return Limit(LimitKind.OPERATION, budget.account, budget.number, name, left)
        kind = LimitKind.MANDATE if is_mandates(m, budget) else LimitKind.BUDGET
        at = resets_at(m, budget)
        return Limit(kind, budget.account, budget.number, budget.name, left, at)
    if case.denied == "UNPRICED":
        return Limit(LimitKind.PRICE, number)
    if case.denied == "SEAT_SUSPENDED":
        return Limit(LimitKind.SEAT, number, left=case.available)
    if case.denied == "SEAT_EXHAUSTED":
        times = _own_times(m, account, asset, case.use)
        over = payers.turn(asset, case.use, m.recorded_at, False).overage
        if over and policy.overage != Overage.OFF and policy.holds_overage:
            times.append(account.months.month_of(m.recorded_at)[1])
        retry_at = min(times, default=0)
        return Limit(LimitKind.SEAT, number, left=case.available, retry_at=retry_at)
    funds_at = _funds_at(m, account, asset, case.use)
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


def _own_times(m: Shard, account: NaiveAccount, asset: int, use: Use) -> list[int]:
    """When holds give back, and when the seats of the usage that stay have their next allowance."""
    times = []
    for hold in list(account.holds.values())[:HOLDS_LOOKED_AT]:
        if hold.asset == asset and hold.reserved and hold.expires_at < FOREVER:
            times.append(hold.expires_at)
    plan, seats = m.payers(account).seats(asset, use, m.recorded_at) or (None, [])
    if plan is not None and plan.due < FOREVER and any(seat.until > plan.due for seat in seats):
        times.append(plan.due)
    return times


def _funds_at(m: Shard, account: NaiveAccount, asset: int, use: Use) -> int:
    """The next instant at which a hold gives back, a grant takes effect or one is issued."""
    now, times = m.recorded_at, _own_times(m, account, asset, use)
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
        times += [
            plan.due
            for plan in each.seat_plans.values()
            if plan.terms.allowance.asset == asset and not plan.individual
            if plan.due < FOREVER and (own or plan.terms.allowance.shared)
        ]
    return min(times, default=0)
