"""Fixed charges: each period once, by quantity and time; who pays, and what is earned (S1, B4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ledger.core import events as e
from ledger.core.events import BookKind, ChargePayer, Overage, Pot, Proration, Timing
from ledger.simulation import naive
from ledger.simulation.model.corrections import Unwinding, give_back
from ledger.simulation.model.recurring import period_of
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.usage import draw, over_limit
from ledger.simulation.naive_charges import Drawn, NaiveCharge
from ledger.simulation.naive_holdings import (
    FOREVER,
    NaiveAccount,
    NaiveUsage,
    Piece,
    Use,
)
from ledger.simulation.rules import Rule

RULE = Rule.CHARGED_ONCE


def charges_of(m: Shard, account: NaiveAccount) -> list[NaiveCharge]:
    """Those of an account."""
    return [each for each in m.charges.values() if each.account == account.number]


def started(m: Shard, event: e.ChargeStarted) -> None:
    """Under a name that no other has that goes on; without a key, a package has it from now on."""
    account = _deciding(m, event.account, event)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "charge if closed", 0, account.closed_at)
    m.expect(RULE, "number", len(m.charges) + 1, event.charge)
    now = m.recorded_at
    expected = (event.start_given or now, event.ends_at)
    if not event.key:
        expected = (_package_since(m, account, event), package_cut(m, account, event.terms))
    m.expect(RULE, "start", expected, (event.starts_at, event.ends_at))
    since = event.starts_at if not event.key else max(event.starts_at, now)
    if event.ends_at and event.ends_at <= since:
        m.fail(RULE, f"{event} ends before it starts")
    of = [each for each in charges_of(m, account) if each.name == event.name]
    if any(
        not each.over(now) if event.key else each.ends_at > max(since, each.starts_at)
        for each in of
    ):
        m.fail(RULE, f"another charge has the name of {event}")
    charge = NaiveCharge(
        event.charge, account.number, event.name, event.terms, event.quantity, event.starts_at,
        event.ends_at or FOREVER, event.starts_at,
    )  # fmt: skip
    charge.packaged = not event.key
    m.charges[event.charge] = charge


def period_begun(m: Shard, event: e.ChargePeriodBegun) -> None:
    """The next one, once, as of its own time; in advance its fee follows."""
    charge = m.charges[event.charge]
    account = m.accounts[charge.account]
    m.touch(account)
    if charge.due > m.recorded_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"{event} is not due before {charge.due}")
    m.expect(RULE, "left of the period before", (True, {}), (charge.settled, charge.unearned))
    terms = charge.terms = charge.next_terms or charge.terms
    charge.next_terms = None
    if charge.next_quantity >= 0:
        charge.quantity, charge.next_quantity = charge.next_quantity, -1
    start = charge.next_at
    number = charge.begun + 1
    end, charged_from, charged_to, full = start + terms.earned_over, start, start + 1, 1
    if terms.every:
        cycle_start, cycle_end = period_of(m, account, charge.starts_at, terms, start)
        end, full = min(cycle_end, charge.ends_at), cycle_end - cycle_start
        first = terms.proration in (Proration.FIRST, Proration.BOTH) or number > 1
        last = terms.proration in (Proration.LAST, Proration.BOTH)
        charged_from, charged_to = start if first else cycle_start, end if last else cycle_end
    expected = (
        account.number, charge.version, number, start, end, charged_from, charged_to, full,
        charge.quantity,
    )  # fmt: skip
    found = (
        event.account, event.version, event.number, event.start, event.end, event.charged_from,
        event.charged_to, event.full, event.quantity,
    )  # fmt: skip
    m.expect(RULE, "period", expected, found)
    charge.begun, charge.next_at, charge.start, charge.end = number, end, start, end
    charge.charged_from, charge.charged_to, charge.full = charged_from, charged_to, full
    charge.steps, charge.base, charge.base_to = [(charged_from, charge.quantity)], 0, 0
    charge.settled, charge.charged, charge.drawn = False, 0, []
    if not terms.every:
        charge.ends_at = end
    if charge.ahead:

        def follows(found: e.FeeCharged) -> None:
            m.expect(RULE, "what follows", e.FeeCharged, type(found))
            _fee(m, charge, found, start, end, charge.total(charge.steps, charged_to), start, 1)

        m.then("a period that is charged in advance begins", follows)


def fee_charged(m: Shard, event: e.FeeCharged) -> None:
    """What is due of a period that has ended, or what a change or an end that follows comes to."""
    charge = m.charges[event.charge]
    now = m.recorded_at
    since = package_at(m, m.accounts[charge.account])
    ends = charge.packaged and since < charge.end  # by a contract, as of before
    if not charge.settled and charge.end <= now and not ends:
        m.touch(m.accounts[charge.account])
        at = max(charge.start, charge.end - 1)
        total = charge.total(charge.steps, charge.charged_to)
        _fee(m, charge, event, charge.start, charge.end, total, at, 1)
        return
    if not charge.runs(max(since if event.settled else now, charge.start)):
        m.fail(RULE, f"{event} is of no period that runs")
    if event.settled:
        until = charge.last_part(since)
        if until is None:
            m.fail(RULE, f"{event} of a period that costs what it did")
        total, end = charge.total(charge.steps, until), min(until, now)
        charge.announced = total - charge.charged
        _fee(m, charge, event, end, end, total, now, 1)
        _noted(m, event)
        m.then("a charge is settled", lambda found: _ends(m, found))
        return
    steps = charge.changed(now, event.quantity)
    if steps is None:
        m.fail(RULE, f"{event} of a change that is not prorated")
    total = charge.total(steps, charge.charged_to)
    charge.announced = total - charge.charged
    m.expect(RULE, "whether a fee is of anything", True, charge.announced != 0)
    _fee(m, charge, event, now, charge.end, total, now, 0)

    def changes(found: e.ChargeChanged) -> None:
        m.expect(RULE, "what follows a fee", e.ChargeChanged, type(found))
        m.expect(RULE, "quantity", event.quantity, found.quantity)
        changed(m, found)

    m.then("the fee of a change is charged", changes)


def _ends(m: Shard, found: Any) -> None:
    m.expect(RULE, "what follows", e.ChargeEnded, type(found))
    ended(m, found)


def recognised(m: Shard, event: e.FeeRecognised) -> None:
    """A month's, or the last, as of its own time; or all that is left, where the charge ends."""
    charge = m.charges[event.charge]
    account, now = m.accounts[charge.account], m.recorded_at
    m.touch(account)
    ends = charge.packaged and package_at(m, account) < charge.earns_at  # by a contract
    if charge.unearned and charge.earns_at <= now and not ends:
        at = charge.due
        m.expect(RULE, "what is due first", charge.earns_at, at)
        parts = {asset: charge.earned(money, at) for asset, money in charge.unearned.items()}
        times = (at, min(account.months.end_of(at), charge.earns_until), at - 1)
    else:
        if not charge.unearned:
            m.fail(RULE, f"{event} of nothing")
        parts, times = dict(charge.unearned), (now, now, now)
        m.then("all of a charge is earned", lambda found: _ends(m, found))
    m.expect(RULE, "times", times, (event.earned_to, event.earns_at, event.effective_at))
    _defer(m, account, charge, event.deferrals, [(a, money, 0) for a, money in parts.items()])
    charge.earned_to, charge.earns_at = event.earned_to, event.earns_at


def changed(m: Shard, event: e.ChargeChanged) -> None:
    """Another quantity, now or with the next period; other terms with the next period."""
    charge = _running(m, event.charge, event.account, event)
    m.expect(Rule.POLICY_VERSIONS, "version", charge.version + 1, event.version)
    if event.key:
        charge.packaged = False
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "expected", charge.version, event.expected_version)
    charge.version = event.version
    announced, charge.announced = charge.announced, 0
    expected: tuple[str, int, int] = ("", 0, 0)
    now = m.recorded_at
    if event.terms is not None:
        kept = (charge.terms.asset, charge.terms.every > 0, Timing.NEXT_PERIOD)
        said = (event.terms.asset, event.terms.every > 0, event.timing)
        m.expect(RULE, "what a charge keeps", kept, said)
        charge.next_terms = event.terms
    elif event.timing == Timing.NEXT_PERIOD:
        charge.next_quantity = event.quantity
    else:
        charge.quantity, charge.next_quantity = event.quantity, -1
        steps = charge.changed(now, event.quantity) if charge.runs(now) else None
        if steps is not None:
            since, amount = steps[-1][0], 0
            weighed = charge.weighed(steps, since)
            if charge.ahead:
                amount = charge.total(steps, charge.charged_to) - (charge.charged - announced)
            expected = (str(weighed), since, amount)
            charge.steps = steps
    m.expect(RULE, "weighed", expected, (event.weighed, event.weighed_to, event.amount))
    m.expect(RULE, "charged before", expected[2], announced)


def ended(m: Shard, event: e.ChargeEnded) -> None:
    """With the period that runs, or now: then all of it is charged and earned."""
    charge = _running(m, event.charge, event.account, event)
    now = m.recorded_at
    announced, charge.announced = charge.announced, 0
    ends_at = now
    if event.key:
        m.by_fees = {}
    if not event.key:
        now = package_at(m, m.accounts[charge.account])
        runs = charge.begun and now < charge.end
        ends_at = max(now, charge.start) if runs else now
        cut = package_cut(m, m.accounts[charge.account], charge.next_terms or charge.terms)
        if cut and not runs and event.ends_at == cut:  # it goes on to there
            ends_at = cut
        timing = Timing.NOW if runs else Timing.NEXT_PERIOD
        m.expect(RULE, "when it ends", timing, event.timing)
    elif event.timing == Timing.NEXT_PERIOD:
        ends_at = min(max(now, charge.end), charge.ends_at)
    if event.timing == Timing.NOW:
        m.expect(RULE, "left to be earned", {}, charge.unearned)
        until = charge.last_part(now)
        if not charge.settled:
            m.fail(RULE, f"{event} without a fee for the time until then")
        if until is not None:
            total = charge.total(charge.steps, until)
            m.expect(RULE, "whether its fee stands before it", total, charge.charged)
        charge.end = min(charge.end, ends_at)
    m.expect(RULE, "end", (ends_at, announced), (event.ends_at, event.amount))
    charge.ends_at = ends_at


def repriced(m: Shard, event: e.ChargeRepriced) -> None:
    """A package has it cost otherwise from now on; what that comes to follows."""
    charge = _running(m, event.charge, event.account, event)
    m.expect(Rule.POLICY_VERSIONS, "version", charge.version + 1, event.version)
    now, terms = m.recorded_at, event.terms
    kept = (charge.terms.product, charge.terms.asset, charge.terms.every)
    m.expect(RULE, "what a charge keeps", kept, (terms.product, terms.asset, terms.every))
    charge.version = event.version
    expected: tuple[str, int, int] = ("", 0, 0)
    if charge.runs(now):
        charge.base, charge.base_to = charge.weighed(charge.steps, now), now
        charge.steps = [(now, event.quantity)]
        expected = (str(charge.base), now, 0)
    charge.terms, charge.next_terms = terms, None
    charge.quantity, charge.next_quantity = event.quantity, -1
    if charge.base_to == now and charge.ahead and expected[1]:
        total = charge.total(charge.steps, charge.charged_to)
        expected = (*expected[:2], total - charge.charged)
        if total != charge.charged:

            def follows(found: e.FeeCharged) -> None:
                m.expect(RULE, "what follows", e.FeeCharged, type(found))
                _fee(m, charge, found, now, charge.end, total, now, 0)
                _noted(m, found)

            m.then("a charge that runs is repriced", follows)
    m.expect(RULE, "weighed", expected, (event.weighed, event.weighed_to, event.amount))


def _noted(m: Shard, event: e.FeeCharged) -> None:
    """What a fee of a package moves, which takes back of grants what stood before it."""
    if not m.charges[event.charge].packaged:
        return
    for book, units in (
        *[(each.drawn, each.amount) for each in event.given_back if each.drawn == each.book],
        *[(each.book, -each.amount) for each in event.slices],
    ):
        if m.books[book].kind == BookKind.GRANT:
            grant = m.books[book].owner
            m.by_fees[grant] = m.by_fees.get(grant, 0) + units


def package_at(m: Shard, account: NaiveAccount) -> int:
    """As of when what a package says is so: of its period that is due, or now."""
    leaving, beginning = m.leaving(account.number), m.beginning(account.number)
    if leaving is not None:
        return leaving.ended_at
    times = [m.recorded_at] if beginning is None else [m.recorded_at, beginning.starts_at]
    subscription = m.subscriptions.get(account.number)
    return min(*times, m.recorded_at if subscription is None else subscription.due)


def package_cut(m: Shard, account: NaiveAccount, terms: e.ChargeTerms) -> int:
    """Where the period that begins is cut short, by a contract of this time or of before: charges
    end with it; 0 = nowhere."""
    if not terms.every or m.leaving(account.number) is not None:
        return 0
    at, subscription = package_at(m, account), m.subscriptions.get(account.number)
    contract = m.beginning(account.number)
    if contract is not None and contract.starts_at > at:
        contract = None
    if contract is None and subscription is not None:
        if at < subscription.end:  # what is left of it
            return _cut(m, account, terms, subscription.end)
        contract = m.running(account.number) if subscription.contract else None
    return 0 if contract is None else _cut(m, account, terms, contract.ends_at)


def _cut(m: Shard, account: NaiveAccount, terms: e.ChargeTerms, until: int) -> int:
    at = package_at(m, account)
    _, end = period_of(m, account, terms.anchor or at, terms, at)
    return until if until < end else 0


def _package_since(m: Shard, account: NaiveAccount, event: e.ChargeStarted) -> int:
    """Since when a package charges it: behind what packages have charged under the name, for nobody
    is charged twice for a day."""
    of = [each for each in charges_of(m, account) if each.name == event.name and each.packaged]
    ends = [each.ends_at for each in of if each.terms.every and each.ends_at > each.starts_at]
    return max(package_at(m, account), *ends) if ends else package_at(m, account)


def _deciding(m: Shard, account: int, event: Any) -> NaiveAccount:
    """The account of an entry that somebody asked for; without a key, what follows explains it."""
    if getattr(event, "key", b""):
        return m.deciding(account)
    m.ahead.append(event)
    m.touch(m.accounts[account])
    return m.accounts[account]


def _running(m: Shard, number: int, account: int, event: Any) -> NaiveCharge:
    _deciding(m, account, event)
    charge = m.charges[number]
    m.expect(RULE, "account", account, charge.account)
    key: bytes = getattr(event, "key", b"")
    if not key:
        m.expect(RULE, "whether a package has it", True, charge.packaged)
    elif charge.ends_at <= m.recorded_at:
        m.fail(RULE, f"charge {number} has ended")
    return charge


# -- fees ------------------------------------------------------------------------------------------


def _fee(
    m: Shard,
    charge: NaiveCharge,
    event: e.FeeCharged,
    start: int,
    end: int,
    total: int,
    at: int,
    settled: int,
) -> None:
    """What the period costs by now, less what was charged; drawn, or given back."""
    account, terms = m.accounts[charge.account], charge.terms
    month = account.months.month_of(at)[0]
    amount = total - charge.charged
    ahead = charge.ahead and at < end
    earns_at = min(account.months.end_of(at), end) if ahead else end
    expected = (
        account.number, terms.product, terms.asset, charge.begun, start, end, total, amount, at,
        month, at if ahead else end, earns_at, end, settled,
    )  # fmt: skip
    found = (
        event.account, event.product, event.asset, event.number, event.start, event.end,
        event.total, event.amount, event.effective_at, event.period, event.earned_to,
        event.earns_at, event.earns_until, event.settled,
    )  # fmt: skip
    m.expect(RULE, "fee", expected, found)
    if settled:
        m.expect(RULE, "quantity", charge.steps[-1][1], event.quantity)
    if amount:
        m.expect_book(event.used_book, BookKind.USED, terms.asset, 0, terms.product)
    pieces, over = _drawn(m, account, charge, max(0, amount), at, month)
    m.expect(Rule.WATERFALL, "slices", pieces, m.pieces(event.slices))
    m.expect(Rule.WATERFALL, "over the limit", over, event.over_limit)
    charged = _money(m, terms.asset, [(each.place, each.value) for each in pieces])
    _unwind(m, charge, event, max(0, -amount), month)
    back: dict[int, int] = {}
    for each in event.given_back:
        if each.value and each.money_book:
            asset = m.books[each.money_book].asset
            back[asset] = back.get(asset, 0) + each.value
    parts = []
    for asset in sorted({*charge.unearned, *charged, *back}):
        stands = charge.unearned.get(asset, 0)
        earned = charge.earned(stands, at) if stands else 0
        if ahead:
            less = min(stands - earned, back.get(asset, 0))
            parts.append((asset, earned, charged.get(asset, 0) - less))
        else:
            less = min(stands, back.get(asset, 0))
            parts.append((asset, stands - less, -less))
    draw(m, account, event.slices, event.used_book, terms.asset, terms.product, month)
    _defer(m, account, charge, event.deferrals, parts)
    _return(m, account, event)
    m.fees.append((charge.number, charge.begun, amount, total))
    charge.charged = total
    if amount > 0:
        charge.drawn += [Drawn(month, each) for each in pieces]
    charge.earned_to, charge.earns_at, charge.earns_until = at if ahead else end, earns_at, end
    charge.settled = charge.settled or bool(settled)
    over_limit(m, account, terms.asset, over)


def _drawn(
    m: Shard, account: NaiveAccount, charge: NaiveCharge, amount: int, at: int, month: int
) -> tuple[list[Piece], int]:
    """Who pays: as for usage of that time; or it is billed, whatever grants there are (D4)."""
    terms = charge.terms
    payer = account
    if terms.payer == ChargePayer.OVERAGE and account.policy.overage == Overage.PARENT:
        payer = [*m.above(account), account][0]
    is_money = terms.asset in m.money
    if not amount:
        return [], 0
    if terms.cash_only:
        value = amount if is_money else 0
        return [Piece(Pot.OVERAGE, ("overage", payer.number), amount, value)], 0
    versions = naive.candidates(m.versions_of(account), at)
    use = m.use(account.tenant, versions[0].number if versions else 0, terms.product)
    pieces, _, over = m.payers(account).waterfall(
        terms.asset, use, amount, at, month, is_money, True, payer=payer
    )
    return pieces, over


def _money(m: Shard, asset: int, paid: list[tuple[tuple[str, int], int]]) -> dict[int, int]:
    """What of a fee is money, by asset."""
    found: dict[int, int] = {}
    for (kind, number), value in paid:
        if kind == "grant":
            asset = m.grants[number].price_asset
        if value:
            found[asset] = found.get(asset, 0) + value
    return found


@dataclass
class _FeeUnwinding(Unwinding):
    """The fees of a period, from the last on; an advance is of whatever run of the product."""

    months: list[int] = field(default_factory=list)  # of what is given back, in order

    def to_advance(self, owner: int, take: int) -> None:
        """What is owed of the product, the last run first; then who repaid it."""
        self.kept += self.to_debts(self.m.accounts[owner], take)


def _unwind(m: Shard, charge: NaiveCharge, event: e.FeeCharged, amount: int, month: int) -> None:
    """Take `amount` off what was drawn, and compare who gets it back."""
    use = Use(charge.terms.product)
    used = NaiveUsage(
        0, charge.account, 0, 0, month, use, (), (), 0, charge.terms.asset, event.used_book,
        [], 0, 0, {},
    )  # fmt: skip
    said: Any = _Given(event.given_back)
    unwinding = _FeeUnwinding(m, said, used)
    while amount:
        own, piece = charge.drawn.pop()
        take = min(amount, piece.amount)
        amount -= take
        before = len(unwinding.returned)
        used.pieces, used.amount = [piece], 0
        unwinding.slices(take)
        made = unwinding.returned[before:]
        unwinding.months += [0 if own == month else own] * len(made)
        if take < piece.amount:
            value = piece.value - piece.value * take // piece.amount
            charge.drawn.append(
                Drawn(own, Piece(piece.pot, piece.place, piece.amount - take, value))
            )
    unwinding.compare()
    m.expect(RULE, "given back by hand before", unwinding.kept, event.kept)
    found = [each.period for each in event.given_back]
    m.expect(RULE, "months of what is given back", unwinding.months, found)


@dataclass
class _Given:
    """An entry that gives back, as a correction reads it."""

    given_back: tuple[e.GivenBack, ...]
    ended: e.EndedGrants = e.EndedGrants.RESTORE


def _return(m: Shard, account: NaiveAccount, event: e.FeeCharged) -> None:
    for piece in event.given_back:
        give_back(m, account, event.used_book, piece, event.product)
        drawn = m.books[piece.drawn]
        if drawn.kind == BookKind.ADVANCE:
            part = (piece.debt, event.product)
            m.accounts[drawn.owner].pay_off(drawn.asset, part, piece.amount)
        elif drawn.kind == BookKind.OVERAGE:
            m.accounts[drawn.owner].overage[drawn.asset][0] -= piece.amount
            account.overage_posted[drawn.asset, piece.period or event.period] -= piece.amount


def _defer(
    m: Shard,
    account: NaiveAccount,
    charge: NaiveCharge,
    deferrals: tuple[e.Deferral, ...],
    expected: list[tuple[int, int, int]],
) -> None:
    """Money between what is earned and what is not (rule B4)."""
    found = [(each.asset, each.earned, each.deferred) for each in deferrals]
    moves = [each for each in sorted(expected) if each[1] or each[2]]
    m.expect(RULE, "earned and deferred", moves, found)
    for each in deferrals:
        m.expect_book(each.revenue_book, BookKind.REVENUE, each.asset, 0, charge.terms.product)
        m.expect_book(each.unearned_book, BookKind.UNEARNED, each.asset, 0, charge.terms.product)
        m.expect(RULE, "tenant", account.tenant, m.books[each.unearned_book].tenant)
        if each.earned:
            m.transfer(each.unearned_book, each.revenue_book, each.earned)
        if each.deferred > 0:
            m.transfer(each.revenue_book, each.unearned_book, each.deferred)
        elif each.deferred < 0:
            m.transfer(each.unearned_book, each.revenue_book, -each.deferred)
        left = charge.unearned.get(each.asset, 0) + each.deferred - each.earned
        charge.unearned[each.asset] = left
        if not left:
            del charge.unearned[each.asset]
