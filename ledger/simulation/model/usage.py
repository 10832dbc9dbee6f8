"""Usage: priced, drawn, and where it landed; captures, expiries that charge (R1, D1 to D4)."""

from __future__ import annotations

from ledger.core import events as e
from ledger.core.events import BookKind
from ledger.core.limits import DAY_US, MINUTE_US
from ledger.simulation import naive
from ledger.simulation.model.decisions import allowed, refused_seat
from ledger.simulation.model.holds import due_hold, end_hold, open_hold, reserve
from ledger.simulation.model.leases import over, reported_of
from ledger.simulation.model.operations import Taken, after_usage
from ledger.simulation.model.priced import by_quote, priced
from ledger.simulation.model.quotes import used
from ledger.simulation.model.reserves import refused_draw
from ledger.simulation.model.rulings import ruled
from ledger.simulation.model.seats import after_draw
from ledger.simulation.model.shard import WINDOW_US, Shard
from ledger.simulation.naive_holdings import (
    NaiveAccount,
    NaiveHold,
    NaiveUsage,
    Piece,
    Use,
)
from ledger.simulation.prices import SUBSETS
from ledger.simulation.rules import Rule

CORRECTION_US = 400 * DAY_US


def recorded(m: Shard, event: e.UsageRecorded, oldest_us: int = WINDOW_US) -> None:
    """An event that somebody sent, or a capture."""
    account = m.deciding(event.account)
    plan = m.plans[event.plan]
    at = event.effective_at
    if not event.effective_given:
        m.expect(Rule.WINDOW, "effective at", m.recorded_at, at)
    if not m.recorded_at - oldest_us <= at <= m.recorded_at + 5 * MINUTE_US:
        m.fail(Rule.WINDOW, f"usage of {at} is charged at {m.recorded_at}")
    complaint = closed_then(m, account, at)
    if complaint:
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"usage of {at}, {complaint}")
    if m.frozen(account) and (not event.hold or event.late):
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"usage of frozen account {account.number}")
    if not event.hold and refused_seat(account, plan.attributes, at):
        m.fail(Rule.SEATED, f"usage of a seat that there is not: {plan.attributes}")
    hold = _captured(m, account, event, plan)
    quoted = None
    if isinstance(event, e.UsageQuoted):
        number = hold.number if hold is not None else 0
        quoted = by_quote(m, account, event.quote, plan, event.quantities, at, number)
        price, use = quoted.price, quoted.use
    else:
        price, use = priced(m, account, plan, event.quantities, at)
    if event.hold and m.holds[event.hold].reserves:
        refused = refused_draw(m, account, price.asset, use)
        m.expect(Rule.MANDATED, "why it may not be drawn of a hold", "", refused)
    first = _charge(m, account, event, price, use, hold)
    if quoted is not None and isinstance(event, e.UsageQuoted):
        used(m, event, quoted)
        if not quoted.unused:
            m.usage[m.locator].quote = m.quotes[event.quote]
            m.usage[m.locator].covered = quoted.covered
    if hold is not None and isinstance(event, e.UsageCaptured):
        _take_part(m, hold, event, first)
    elif hold is not None:
        end_hold(m, hold, "captured", first)
    follows(m, account, event, price.asset)


def debited(m: Shard, event: e.UsageDebited) -> None:
    """Work that is allowed and charged in one: as much as every limit affords, and no more."""
    account = m.deciding(event.account)
    plan = m.plans[event.plan]
    standing = (account.closed_at, m.frozen(account))
    m.expect(Rule.CLOSED_TAKES_NOTHING, "closed, frozen", (0, False), standing)
    m.expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
    m.expect(Rule.WINDOW, "effective at", m.recorded_at, event.effective_at)
    if refused_seat(account, plan.attributes, m.recorded_at):
        m.fail(Rule.SEATED, f"work of a seat that there is not: {plan.attributes}")
    price, use = priced(m, account, plan, event.quantities, m.recorded_at)
    overdrawn = None
    if isinstance(event, e.PolicyDebited) and event.ruling is not None:
        overdrawn = ruled(m, account, event)
    hold = None
    if isinstance(event, e.HoldDebited):
        hold = open_hold(m, event.hold, account.number)
        m.expect(Rule.HOLD_SETTLED_ONCE, "a hold of an operation", True, hold.reserves)
    allowed(m, account, event, plan, overdrawn)
    first = _charge(m, account, event, price, use, hold, True, overdrawn)
    if hold is not None and isinstance(event, e.HoldDebited):
        _take_part(m, hold, event, first)
    follows(m, account, event, price.asset)


def reported(m: Shard, event: e.UsageLeased) -> None:
    """Usage of a lease: from its slice, what is above that as any usage (rule H7)."""
    account = m.deciding(event.account)
    plan, at = m.plans[event.plan], event.effective_at
    hold = reported_of(m, event, account)
    if not m.recorded_at - WINDOW_US <= at <= m.recorded_at + 5 * MINUTE_US:
        m.fail(Rule.WINDOW, f"usage of {at} is charged at {m.recorded_at}")
    complaint = closed_then(m, account, at)
    if complaint or (hold is None and m.frozen(account)):
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"usage of {at}, {complaint or 'frozen'}")
    price, use = priced(m, account, plan, event.quantities, at)
    first = _charge(m, account, event, price, use, hold)
    over(m, event, price.total, sum(piece.amount for piece in first))
    if hold is not None:
        _take_part(m, hold, event, first)
    follows(m, account, event, price.asset)


def charged(m: Shard, event: e.HoldCharged) -> None:
    """An expiry that charges what was estimated and not captured, by the rows of the authorisation
    (rule H2)."""
    rule = Rule.EXPIRED_IN_TIME
    account = m.accounts[event.account]
    hold = due_hold(m, event.hold, event.account)
    plan = m.plans[event.plan]
    m.expect(rule, "nobody's", (b"", hold.expires_at), (event.key, event.effective_at))
    m.expect(rule, "product", hold.use.product, plan.product)
    if not any(hold.estimate.values()):
        m.fail(rule, f"hold {hold.number} charges what nobody estimated")
    left = dict(hold.estimate)
    for part, whole in SUBSETS.items():
        if part in left and whole in left:
            left[part] = min(left[part], left[whole])
    quantities = tuple(left[name] for name in plan.quantity_names)
    m.expect(rule, "quantities", quantities, event.quantities)
    m.expect(Rule.CHARGE, "version", hold.version, plan.card_version)
    period = m.period(account, event.effective_at)
    version = m.version(account.tenant, hold.version)
    names = plan.quantity_names
    counts = hold.overrides
    price = naive.price(account, version, plan.product, names, quantities, period, counts)
    first = _charge(m, account, event, price, hold.use, hold)
    end_hold(m, hold, "charged", first)
    follows(m, account, event, price.asset)


def _charge(
    m: Shard,
    account: NaiveAccount,
    event: e.UsageRecorded,
    price: naive.Priced,
    use: Use,
    hold: NaiveHold | None,
    within: bool = False,
    overdrawn: naive.Overdrawn | None = None,
) -> list[Piece]:
    """Judge charges and slices, draw them; returns what the hold itself paid. `within`: of what a
    hold may draw alone, for it is allowed first (rules D4, H3)."""
    m.expect(Rule.CHARGE, "charges", price.charges, event.charges)
    m.expect(Rule.CHARGE, "cost", None, event.cost)
    m.expect(Rule.CHARGE, "in suspense", int(-1 in price.charges), event.suspense)
    # Of a lease none is named, and calls of a hold of an operation may name their own.
    leased = isinstance(event, e.UsageLeased)
    if event.hold and not leased and not m.holds[event.hold].reserves:
        said = m.holds[event.hold].operation
        m.expect(Rule.BUDGETED, "operation of the hold", said, event.operation)
    period = m.period(account, event.effective_at)
    m.expect(Rule.CHARGE, "period", period, event.period)
    first: list[Piece] = []
    left = price.total
    if hold is not None and hold.asset == price.asset:
        first, left = naive.from_hold(hold, m.grants, left, period)
    more: list[Piece] = []
    over = 0
    if left:
        more, _, over = m.payers(account).waterfall(
            price.asset, use, left, event.effective_at, period, price.asset in m.money, not within,
            overdrawn,
        )  # fmt: skip
    expected = naive.merged(first, more, m.grants)
    m.expect(Rule.WATERFALL, "slices", expected, m.pieces(event.slices))
    m.expect(Rule.WATERFALL, "over the limit", over, event.over_limit)
    plan = m.plans[event.plan]
    m.usage[m.locator] = NaiveUsage(
        m.locator, account.number, m.position, event.effective_at, period, use, plan.quantity_names,
        event.quantities, price.version, price.asset, event.used_book, expected, event.suspense,
        account.run.get(price.asset, 0), price.units,
        waits=[place for place, charge in enumerate(price.charges) if charge == -1],
    )  # fmt: skip
    draw(m, account, event.slices, event.used_book, price.asset, use.product, period)
    used = sum(piece.amount for piece in event.slices)
    m.expect(Rule.BALANCED, "slices of the charge", price.total, used)
    for place, quantity in price.moved.items():
        account.totals[place] = account.totals.get(place, 0) + quantity
    account.suspended += event.suspense
    m.usage[m.locator].hold = hold
    part, taken = isinstance(event, e.UsageCaptured | e.HoldDebited), None
    if hold is not None and hold.reserves:
        taken = Taken(hold, _taken(hold, first), isinstance(event, e.HoldDebited))
    after_usage(m, account, m.usage[m.locator], event.operation, price.total, hold, part, taken)
    after_draw(m, account, expected)
    return first


def draw(
    m: Shard,
    account: NaiveAccount,
    slices: tuple[e.Slice, ...],
    used_book: int,
    asset: int,
    product: str,
    period: int,
) -> None:
    """Post the slices of an account's draw (rules B3, B4)."""
    for piece in slices:
        m.transfer(piece.book, used_book, piece.amount)
        kind, number = m.place(piece.book)
        if kind == "grant":
            m.grants[number].drawn += piece.amount
            m.earn(m.grants[number], product, piece.value)
        elif kind == "advance":
            m.accounts[number].owe(asset, product, piece.amount, m.recorded_at)
        elif kind == "overage":
            payer = m.accounts[number]
            if piece.value:
                unbilled = m.find_book(BookKind.UNBILLED, payer.tenant, asset, number)
                m.transfer(unbilled, m.revenue(unbilled, product), piece.value)
            payer.overage.setdefault(asset, [0, 0])[0] += piece.amount
            posted = account.overage_posted
            posted[asset, period] = posted.get((asset, period), 0) + piece.amount


def follows(m: Shard, account: NaiveAccount, event: e.UsageRecorded, asset: int) -> None:
    """What goes over the limits and what belongs to a closed period is said by the next entries."""
    over_limit(m, account, asset, event.over_limit)
    expect_noted(m, account, event.effective_at)


def over_limit(m: Shard, account: NaiveAccount, asset: int, amount: int) -> None:
    """The next entry says what went over the limits, if anything did."""
    if not amount:
        return
    excess = account.policy.excess

    def over(found: e.LimitExceeded) -> None:
        m.expect(Rule.WATERFALL, "what follows", e.LimitExceeded, type(found))
        expected = (account.number, asset, amount, excess)
        said = (found.account, found.asset, found.amount, found.excess)
        m.expect(Rule.WATERFALL, "over limit", expected, said)

    m.then("usage went over the limit", over)


def expect_noted(m: Shard, account: NaiveAccount, at: int) -> None:
    """What belongs to a closed period is noted (rule T2)."""
    own, period, entry = account.months.month_of(at)[0], m.period(account, at), m.index
    if own == period:
        return

    def noted(found: e.AdjustmentNoted) -> None:
        m.expect(Rule.CHARGE, "what follows", e.AdjustmentNoted, type(found))
        expected = (account.number, entry, own, period)
        said = (found.account, found.entry, found.closed, found.period)
        m.expect(Rule.CHARGE, "adjustment", expected, said)

    m.then("it belongs to a closed period", noted)


def unexpected(m: Shard, event: e.Event) -> None:
    """What only follows other entries, and did not."""
    m.fail(Rule.CHARGE, f"{event} follows from nothing")


def closed_then(m: Shard, account: NaiveAccount, at: int) -> str:
    """Why an account takes no usage of that time; "" where it does (rule T2): of before a closing
    it takes usage until the grace of that ends."""
    if account.closed_at and not takes_late(m, account, at, account.closed_at):
        return f"closed at {account.closed_at}"
    for start, end in account.gaps:
        if at >= m.recorded_at - WINDOW_US and at < end and not takes_late(m, account, at, start):
            return f"closed from {start} to {end}"
    return ""


def takes_late(m: Shard, account: NaiveAccount, at: int, closed_at: int) -> bool:
    """Whether usage of that time comes within the grace of a closing (rule T2)."""
    return at < closed_at and closed_at > naive.closed_by(account, m.recorded_at)


def quarantined(m: Shard, event: e.UsageQuarantined) -> None:
    """Older than the window: recorded and listed, never charged (rule I4)."""
    account = m.deciding(event.account)
    if event.effective_at >= m.recorded_at - WINDOW_US:
        m.fail(Rule.WINDOW, f"usage of {event.effective_at} is quarantined")
    complaint = closed_then(m, account, event.effective_at)
    if complaint or m.frozen(account):
        m.fail(Rule.CLOSED_TAKES_NOTHING, f"quarantined usage, {complaint}")


def _captured(
    m: Shard, account: NaiveAccount, event: e.UsageRecorded, plan: e.PlanDeclared
) -> NaiveHold | None:
    """The open hold that this usage is of; None where it is of none."""
    if not event.hold:
        return None
    rule = Rule.HOLD_SETTLED_ONCE
    hold = m.holds.get(event.hold)
    if hold is None or hold.account != account.number:
        m.fail(rule, f"capture of hold {event.hold}, which the account has not")
    described = (hold.use.product, hold.use.attributes)
    if not hold.reserves:
        m.expect(rule, "product", described, (plan.product, plan.attributes))
    elif not plan.product:
        m.fail(rule, f"a capture of hold {hold.number} that says no product")
    if not event.late:
        m.expect(rule, f"hold {hold.number} before its capture", "", hold.ended)
        return hold
    if hold.ended != "expired" or hold.late:
        m.fail(rule, f"late capture of hold {hold.number}: {hold.ended} {hold.late}")
    hold.late = not isinstance(event, e.UsageCaptured)
    return None


def _taken(hold: NaiveHold, first: list[Piece]) -> list[int]:
    """What was drawn of each piece of a hold."""
    amounts = {(piece.pot, piece.place): piece.amount for piece in first}
    return [amounts.get((piece.pot, piece.place), 0) for piece in hold.pieces]


def _take_part(
    m: Shard, hold: NaiveHold, event: e.UsageCaptured | e.HoldDebited, first: list[Piece]
) -> None:
    """A capture that leaves the hold open: what it took no longer pends, the rest does."""
    plan = m.plans[event.plan]
    taken = _taken(hold, first)
    same_asset = plan.asset == hold.asset
    m.expect(Rule.WATERFALL, "taken", taken if same_asset else [], list(event.taken))
    account = m.accounts[hold.account]
    reserve(m, account, hold, -1)
    for place, (amount, (debit, credit)) in enumerate(zip(taken, hold.books, strict=True)):
        m.books[debit].debits_pending -= amount
        m.books[credit].credits_pending -= amount
        piece = hold.pieces[place]
        hold.pieces[place] = piece._replace(amount=piece.amount - amount)
    reserve(m, account, hold, 1)
    if hold.reserves:
        hold.drawn[plan.product] = hold.drawn.get(plan.product, 0) + sum(taken)
    for name, quantity in zip(plan.quantity_names, event.quantities, strict=True):
        if name in hold.estimate:
            hold.estimate[name] = max(0, hold.estimate[name] - quantity)
