"""Holds: authorised or denied, extended, released, expired; each settles once (H1 to H3)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import HoldExpiry
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.simulation.model.decisions import (
    allowed,
    case_of,
    least_of,
    limit_of,
    most_of,
    refused_seat,
    why_denied,
    work_of,
)
from ledger.simulation.model.grants import follow_up
from ledger.simulation.model.operations import after_denial, after_end, after_hold
from ledger.simulation.model.priced import by_quote, priced
from ledger.simulation.model.reserves import ANYTHING, denied_reserve, is_reserve, reserved
from ledger.simulation.model.rulings import ruled, standing
from ledger.simulation.model.seats import after_draw
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import (
    NaiveAccount,
    NaiveHold,
    Piece,
)
from ledger.simulation.rules import Rule


def authorized(m: Shard, event: e.HoldAuthorized) -> None:
    """What is there is reserved, exactly."""
    account = m.deciding(event.account)
    plan = m.plans[event.plan]
    m.expect(Rule.CLOSED_TAKES_NOTHING, "hold of a closed account", 0, account.closed_at)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "hold if frozen", False, m.frozen(account))
    m.expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
    m.expect(Rule.WINDOW, "authorised at", m.recorded_at, event.effective_at)
    lifetime = event.lifetime or 15 * MINUTE_US
    m.expect(Rule.EXPIRED_IN_TIME, "expiry", m.recorded_at + lifetime, event.expires_at)
    if refused_seat(account, plan.attributes, m.recorded_at):
        m.fail(Rule.SEATED, f"a hold for a seat that there is not: {plan.attributes}")
    if open_holds(account) >= account.policy.holds_open_max:
        m.fail(Rule.NO_OVERSPEND, f"one hold more than {account.policy.holds_open_max}")
    reserving = isinstance(event, e.OperationReserved)
    if isinstance(event, e.OperationReserved):
        price, use = reserved(m, account, event, plan), ANYTHING
    elif event.quote:
        quoted = by_quote(m, account, event.quote, plan, event.quantities, m.recorded_at)
        m.expect(Rule.QUOTED, "why its quote is unused", 0, quoted.unused)
        price, use = quoted.price, quoted.use
    else:
        price, use = priced(m, account, plan, event.quantities, m.recorded_at)
    version = m.version(account.tenant, price.version)
    charged = version is not None and plan.product in version.prices.charged
    batch = version is not None and plan.product in version.prices.batch
    month = m.month(account)
    terms = (
        35 * DAY_US if batch else DAY_US,
        HoldExpiry.CHARGE if charged else HoldExpiry.RELEASE,
        month,
    )
    found = (event.lifetime_max, event.expiry, event.period)
    m.expect(Rule.EXPIRED_IN_TIME, "terms of the hold", terms, found)
    if lifetime > event.lifetime_max:
        m.fail(Rule.EXPIRED_IN_TIME, f"a lifetime of {lifetime}, {event.lifetime_max} at most")
    m.expect(Rule.CHARGE, "charges", price.charges, event.charges)
    payers = m.payers(account)
    overdrawn = None
    if isinstance(event, e.PolicyHeld) and event.ruling is not None:
        overdrawn = ruled(m, account, event)
    expected, missing, _ = payers.waterfall(
        price.asset, use, price.total, m.recorded_at, month, price.asset in m.money, False,
        overdrawn,
    )  # fmt: skip
    if missing or -1 in price.charges or (price.total and payers.grace_ended(price.asset)):
        m.fail(Rule.NO_OVERSPEND, f"hold {event.hold} of {price}, {missing} missing")
    m.expect(Rule.WATERFALL, "slices", expected, m.pieces(event.slices))
    if not event.quote and not isinstance(event, e.PolicyHeld) and not reserving:
        reason = case_of(m, account, work_of(plan, event), event.quantities).denied
        m.expect(Rule.NO_OVERSPEND, "why the hold may not be", "", reason)
    if isinstance(event, e.HoldUpTo) and not reserving:
        allowed(m, account, event, plan, overdrawn)
    m.expect(Rule.HOLD_SETTLED_ONCE, "number", len(m.holds) + 1, event.hold)
    hold = NaiveHold(
        event.hold,
        account.number,
        use,
        price.asset,
        expected,
        m.recorded_at,
        event.expires_at,
        [(piece.book, event.used_book) for piece in event.slices],
        event.lifetime_max,
        event.period,
        price.version,
        dict(zip(plan.quantity_names, event.quantities, strict=True)) if charged else {},
        price.overrides,
        operation=getattr(event, "operation", b""),
        names=plan.quantity_names,
        asked=event.quantities,
        reserves=reserving,
    )
    m.holds[hold.number] = account.holds[hold.number] = hold
    if event.quote:
        hold.quote, m.quotes[event.quote].hold = event.quote, hold.number
    reserve(m, account, hold, 1)
    for piece in event.slices:
        m.books[piece.book].debits_pending += piece.amount
        m.books[event.used_book].credits_pending += piece.amount
    if not reserving:
        after_hold(m, account, hold, price.total)
        after_draw(m, account, expected)


def open_holds(account: NaiveAccount) -> int:
    """How many it has; leases are counted by themselves."""
    return sum(hold.lease is None for hold in account.holds.values())


def denied(m: Shard, event: e.AuthorizeDenied) -> None:
    """A denial names what was really missing (rules B8, D4, H6)."""
    rule = Rule.DENIAL_JUSTIFIED
    account = m.deciding(event.account)
    plan = m.plans[event.plan]
    m.expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "closed or frozen", (0, False),
             (account.closed_at, m.frozen(account)))  # fmt: skip
    if is_reserve(plan):
        denied_reserve(m, account, event, plan)
        return
    if isinstance(event, e.QuotedDenied) and event.quote:
        quoted = by_quote(m, account, event.quote, plan, event.quantities, m.recorded_at)
        m.expect(Rule.QUOTED, "why its quote is unused", 0, quoted.unused)
        price, use = quoted.price, quoted.use
    else:
        quantities = event.quantities
        if isinstance(event, e.WorkDenied) and event.up_to is not None:
            most = most_of(m, account, work_of(plan, event), quantities, event.up_to)
            m.expect(rule, "the most that may run", -1, most)
            quantities = least_of(m, account, work_of(plan, event), quantities, event.up_to)
        price, use = priced(m, account, plan, quantities, m.recorded_at)
    m.expect(Rule.CHARGE, "charge", price.total, event.charge)
    left = m.payers(account).available(price.asset, use, m.recorded_at)
    if isinstance(event, e.WorkDenied):
        left = case_of(m, account, work_of(plan, event), quantities).available
    m.expect(rule, "available", left, event.available)
    reason = why_denied(m, account, price, use)
    if isinstance(event, e.WorkDenied):
        reason = case_of(m, account, work_of(plan, event), quantities).denied
    if not reason:
        m.fail(rule, f"denied {event.charge} with {left} there")
    m.expect(rule, "reason", reason, event.reason)
    if isinstance(event, e.WorkDenied):
        case = case_of(m, account, work_of(plan, event), quantities)
        m.expect(rule, "limit", limit_of(m, account, case), event.limit)
    if isinstance(event, e.PolicyDenied) and event.ruling is not None:
        ruled(m, account, event)
    elif standing(m, account) is not None and not getattr(event, "quote", 0):
        m.fail(Rule.RULED, f"no rule was looked at: {event}")
    if isinstance(event, e.WorkDenied):
        after_denial(m, account, event.operation)


def extended(m: Shard, event: e.HoldExtended) -> None:
    """Never beyond the longest lifetime from the authorisation."""
    account = m.deciding(event.account)
    hold = open_hold(m, event.hold, account.number)
    expires_at = m.recorded_at + (event.lifetime or 15 * MINUTE_US)
    m.expect(Rule.EXPIRED_IN_TIME, "expiry", expires_at, event.expires_at)
    if expires_at > hold.authorized_at + hold.lifetime_max:
        m.fail(Rule.EXPIRED_IN_TIME, f"hold {hold.number} lives until {expires_at}")
    hold.expires_at = expires_at


def released(m: Shard, event: e.HoldReleased) -> None:
    """Asked for."""
    account = m.deciding(event.account)
    end_hold(m, open_hold(m, event.hold, account.number), "released", [])


def expired(m: Shard, event: e.HoldExpired) -> None:
    """By the clock, and where nothing is to be charged (rule H2)."""
    hold = due_hold(m, event.hold, event.account)
    if any(hold.estimate.values()):
        m.fail(Rule.EXPIRED_IN_TIME, f"hold {hold.number} expires without its charge")
    end_hold(m, hold, "expired", [])


def due_hold(m: Shard, number: int, account: int) -> NaiveHold:
    """An open hold whose time has come."""
    hold = open_hold(m, number, account)
    if m.recorded_at < hold.expires_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"hold {hold.number} expires before its time")
    m.touch(m.accounts[account])
    return hold


def open_hold(m: Shard, number: int, account: int) -> NaiveHold:
    """An open hold of the account."""
    hold = m.holds.get(number)
    if hold is None or hold.ended or hold.account != account:
        m.fail(Rule.HOLD_SETTLED_ONCE, f"hold {number} ends again: {hold}")
    return hold


def end_hold(
    m: Shard, hold: NaiveHold, ended: str, first: list[Piece], *, writes_off: bool = False
) -> None:
    """Give everything back; what belongs to an ended grant must follow at once (rule D6), but where
    what is left of one that goes on is written off. `first` is what the hold itself paid of a
    capture."""
    for number, units in give_back(m, hold, ended, first, writes_off=writes_off):
        follow_up(m, m.grants[number], units)


def give_back(
    m: Shard, hold: NaiveHold, ended: str, first: list[Piece], *, writes_off: bool = False
) -> list[tuple[int, int]]:
    """The same, but for what follows: the units that each grant has back."""
    account = m.accounts[hold.account]
    if ended in ("released", "expired"):
        after_end(m, hold)
    hold.ended, hold.ended_at = ended, m.recorded_at
    del account.holds[hold.number]
    quote = m.quotes.get(hold.quote)
    if quote is not None and not quote.ended:
        quote.hold = 0
        if ended == "charged":
            quote.ended, quote.ended_at = "used", m.recorded_at
    reserve(m, account, hold, -1)
    used = {(piece.pot, piece.place): piece.amount for piece in first}
    follows: list[tuple[int, int]] = []
    for piece, (debit, credit) in zip(hold.pieces, hold.books, strict=True):
        m.books[debit].debits_pending -= piece.amount
        m.books[credit].credits_pending -= piece.amount
        kind, number = piece.place
        back = piece.amount - used.get((piece.pot, piece.place), 0)
        own = kind == "grant" and m.grants[number].account == account.number
        kept = writes_off and own and not m.grants[number].settled
        if kind == "grant" and back and not kept:
            follows.append((number, back))
    return follows


def reserve(m: Shard, account: NaiveAccount, hold: NaiveHold, sign: int) -> None:
    """Count what a hold reserves, or count it no more."""
    for piece in hold.pieces:
        kind, number = piece.place
        amount = sign * piece.amount
        if kind == "grant":
            m.grants[number].held += amount
        elif kind == "advance":
            m.accounts[number].advance.setdefault(hold.asset, [0, 0])[1] += amount
        elif kind == "overage":
            m.accounts[number].overage.setdefault(hold.asset, [0, 0])[1] += amount
            pending = account.overage_pending
            pending[hold.asset] = pending.get(hold.asset, 0) + amount
