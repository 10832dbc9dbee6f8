"""Corrections: usage given back, last slice first, and what is put right by hand (D3, R1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from ledger.core import events as e
from ledger.core.events import BookKind, EndedGrants, GrantKind, Pot
from ledger.simulation import naive
from ledger.simulation.model.operations import after_reversal
from ledger.simulation.model.priced import refund_quoted
from ledger.simulation.model.shard import Shard
from ledger.simulation.model.usage import CORRECTION_US, closed_then, draw, expect_noted, recorded
from ledger.simulation.naive_holdings import (
    OPEN,
    VOIDED,
    NaiveAccount,
    NaiveGrant,
    NaiveUsage,
    Use,
)
from ledger.simulation.rules import Rule

RULE = Rule.GIVEN_BACK
PRODUCT = "adjustment"  # what units are drawn as by hand


def rerated(m: Shard, event: e.UsageRerated) -> None:
    """The cards of the worlds price every unit alike: nothing is ever re-rated there."""
    m.fail(RULE, f"{event} of a card without volume prices")


def reversed_(m: Shard, event: e.UsageReversed) -> None:
    """So much is given back as the entry says, to whom it had been drawn from."""
    account = m.deciding(event.account)
    used = m.usage.get(event.original)
    if used is None:
        m.fail(RULE, f"{event} is of no recorded usage")
    facts = (used.account, used.entry, used.effective_at, used.period)
    said = (event.account, event.original_entry, event.effective_at, event.period)
    m.expect(RULE, "account, entry, time and period", facts, said)
    complaint = not_reversible(m, account, used)
    if complaint:
        m.fail(RULE, complaint)
    plan = m.plans[event.plan]
    named = (used.use.product, used.use.attributes, used.names, used.version, used.asset)
    declared = (plan.product, plan.attributes, plan.quantity_names, plan.card_version, plan.asset)
    m.expect(RULE, "plan", named, declared)
    due = _how_much(m, account, used, event)
    if event.key:
        _all_parts(m, account, used, event)
    unwinding = Unwinding(m, event, used)
    own = min(due, used.charge - used.amount)
    unwinding.slices(own)
    beyond = 0
    if due > own and not used.as_charged:
        beyond = unwinding.beyond(account, due - own)
    m.expect(RULE, "beyond its slices", beyond, event.beyond)
    m.expect(RULE, "given back by hand before", unwinding.kept, event.kept)
    unwinding.compare()
    _apply(m, account, used, event, own)
    after_reversal(m, account, used, event)


def _all_parts(m: Shard, account: NaiveAccount, used: NaiveUsage, event: e.UsageReversed) -> None:
    """What rated the usage after it had waited is given back by the entries before this one, the
    last first."""
    given = [part for part in m.parts if part.original in {each.locator for each in used.ratings}]
    m.expect(RULE, "parts of other usage", len(m.parts), len(given))
    order = [part.original for part in given]
    m.expect(RULE, "order of the parts", sorted(order, reverse=True), order)
    sums = [piece.amount for part in given for piece in part.given_back]
    m.expect(RULE, "given back apart", sum(sums), event.apart)
    for rating in used.ratings:
        if rating.locator not in order and any(event.quantities):
            lines, moved = refund(m, account, rating, event.quantities)
            m.expect(RULE, "given back of a rating", (False, {}), (any(lines), moved))
    m.parts = []


def not_reversible(m: Shard, account: NaiveAccount, used: NaiveUsage) -> str:
    """Why usage is not given back, whatever is asked of it; "" where it is."""
    if used.effective_at < m.recorded_at - CORRECTION_US:
        return "it is older than 400 days"
    closed = closed_then(m, account, used.effective_at) if account.closed_at else ""
    if closed:
        return closed
    for each in (used, *used.ratings):
        owing = any(piece.pot not in (Pot.GRANT, Pot.ABSORBED) for piece in each.pieces)
        if owing and any(each.locator < payer.written_off for payer in m.ever_line(account)):
            return "what was owed for it was written off"
    return ""


def _how_much(m: Shard, account: NaiveAccount, used: NaiveUsage, event: e.UsageReversed) -> int:
    """F(Q) - F(Q - q) of each line, or a part of the charge (rule R1)."""
    none = (0,) * len(used.names)
    if event.as_charged or (event.apart and not any(event.quantities)):
        if event.as_charged > used.charge - used.amount:
            m.fail(RULE, f"{event.as_charged} given back of {used.charge} - {used.amount}")
        found = (event.quantities, event.refunds, event.moves, event.whole, event.suspended)
        m.expect(RULE, "goodwill", (none, none, (), 0, 0), found)
        return event.as_charged
    left = used.left
    if not any(event.quantities) or any(
        not 0 <= a <= b for a, b in zip(event.quantities, left, strict=True)
    ):
        m.fail(RULE, f"{event.quantities} given back of {left}")
    if event.whole:
        m.expect(RULE, "all that is left", left, event.quantities)
    rest = tuple(a - b for a, b in zip(left, event.quantities, strict=True))
    own = naive.own_quantities(used.names, rest) or {}
    waits = bool(used.waits) and not any(own[used.names[place]] for place in used.waits)
    m.expect(RULE, "suspended no more", int(waits), event.suspended)
    refunds, moved = refund(m, account, used, event.quantities)
    m.expect(RULE, "refunds", refunds, event.refunds)
    m.expect(RULE, "rounding", sorted(moved.values()), sorted(q for _, q in event.moves))
    for place, quantity in moved.items():
        account.totals[place] -= quantity
    return sum(refunds)


def refund(
    m: Shard, account: NaiveAccount, used: NaiveUsage, quantities: tuple[int, ...]
) -> tuple[tuple[int, ...], dict[tuple[int, str, str, int], int]]:
    """What each line costs less, and the running totals that move back."""
    version = m.version(account.tenant, used.version)
    if version is None:
        return (0,) * len(used.names), {}
    mode = version.prices.rounding
    own = naive.own_quantities(used.names, quantities)
    rest = [a - b for a, b in zip(used.left, quantities, strict=True)]
    if own is None or naive.own_quantities(used.names, rest) is None:
        m.fail(RULE, f"{quantities} of {used} contradict each other")
    if used.quote is not None:
        left = naive.own_quantities(used.names, used.left)
        assert left is not None
        return refund_quoted(m, account, used, own, left)
    lines, moved = [], {}
    for each, name in enumerate(used.names):
        unit, place = used.units.get(name, (Fraction(0), None))
        elsewhere = used.rated is not None and each not in used.rated
        if place is None or not own[name] or elsewhere:
            lines.append(0)
        elif unit.denominator == 1:
            lines.append(int(unit * own[name]))
        else:
            before = account.totals.get(place, 0)
            after = unit * (before - own[name])
            lines.append(naive.rounded(unit * before, mode) - naive.rounded(after, mode))
            moved[place] = own[name]
    return tuple(lines), moved


@dataclass
class Returned:
    """A transfer that a reversal must make: units off `drawn`, to the grant itself ("own"), to one
    in its stead ("restored"), or to where its rest went ("onward")."""

    drawn: int
    to: str
    amount: int
    value: int
    debt: int = -1


@dataclass
class Unwinding:
    """The slices of an event, from the last one on: who gets what back."""

    m: Shard
    event: e.UsageReversed
    used: NaiveUsage
    returned: list[Returned] = field(default_factory=list)
    kept: int = 0
    units: dict[int, int] = field(default_factory=dict)  # grant -> units so far
    money: dict[int, int] = field(default_factory=dict)

    def slices(self, amount: int) -> None:
        """`amount` units after those that were given back before."""
        gone = self.used.amount
        for piece in reversed(self.used.pieces):
            earlier = min(gone, piece.amount)
            gone -= earlier
            take = min(piece.amount - earlier, amount)
            amount -= take
            kind, number = piece.place
            if not take:
                continue
            if kind == "grant":
                self.to_grant(self.m.grants[number], take)
            elif kind == "advance":
                self.to_advance(number, take)
            else:
                value = piece.value * (earlier + take) // piece.amount
                value -= piece.value * earlier // piece.amount
                self.returned.append(Returned(self._book(piece.place), "own", take, value))

    def _book(self, place: tuple[str, int]) -> int:
        m, (kind, number) = self.m, place
        kinds = {
            "advance": BookKind.ADVANCE,
            "overage": BookKind.OVERAGE,
            "promotion": BookKind.PROMOTION,
        }
        tenant = m.accounts[self.used.account].tenant
        return m.find_book(kinds[kind], tenant, self.used.asset, number)

    def to_grant(self, grant: NaiveGrant, take: int, debt: int = -1) -> None:
        """No more than is drawn from it still; it keeps floor(P x drawn / A) of its price."""
        number = grant.number
        room = min(take, grant.drawn - self.units.get(number, 0))
        self.kept += take - room
        if not room:
            return
        units = self.units[number] = self.units.get(number, 0) + room
        keeps = 0
        if grant.price:
            keeps = (grant.price - grant.returned) * (grant.drawn - units) // grant.whole
        value = max(0, grant.recognised - self.money.get(number, 0) - keeps)
        self.money[number] = self.money.get(number, 0) + value
        restores = self.event.ended == EndedGrants.RESTORE
        to = "own"
        if grant.settled != OPEN or (restores and grant.over <= self.m.recorded_at):
            to = "restored" if restores else "onward"
        self.returned.append(Returned(grant.book, to, room, value, debt))

    def to_advance(self, owner: int, take: int) -> None:
        """What is still owed of it is owed no more; the rest goes to who repaid it, the last first
        (rule D3)."""
        left = self.to_run(owner, self.used.run, take)  # which may keep some by itself
        self.kept += left

    def to_run(self, owner: int, run: int, take: int) -> int:
        """The same for one run of debt; returns what is left."""
        m, asset = self.m, self.used.asset
        account = m.accounts[owner]
        part = (run, self.used.use.product)
        earlier = sum(r.amount for r in self.returned if r.debt == part[0] and self._is_debt(r))
        still = account.owing.get(asset, {}).get(part, 0) - earlier
        of_debt = min(take, still)
        if of_debt > 0:
            book = self._book(("advance", owner))
            self.returned.append(Returned(book, "own", of_debt, 0, part[0]))
            take -= of_debt
        for grant in reversed(account.grants):
            back = sum(
                r.amount for r in self.returned if r.drawn == grant.book and r.debt == part[0]
            )
            most = min(take, grant.repaid.get(part, 0) - back) if grant.asset == asset else 0
            if most > 0:
                self.to_grant(grant, most, part[0])
                take -= most
        return take

    def _is_debt(self, returned: Returned) -> bool:
        return self.m.books[returned.drawn].kind == BookKind.ADVANCE

    def beyond(self, account: NaiveAccount, amount: int) -> int:
        """What rounding had put on other events: to the grants that may pay for the account, the
        one that pays last first; to its overage of the month, and to what it owes; then to what is
        other seats' own."""
        left, line = amount, self.m.ever_line(account)
        rest = True
        made = [each.grant for each in self.m.ahead if isinstance(each, e.GrantRestored)]
        for payer in line:
            grants = [
                grant
                for grant in payer.grants
                if grant.asset == self.used.asset
                if payer is account or naive.is_for(grant, {each.number for each in line})
                if grant.number not in made  # which this very entry fills
            ]
            order = self.m.payers(payer)
            turn = order.turn(self.used.asset, self.used.use, self.used.effective_at, True)
            if payer is account:
                paying, rest = order.paying(turn), turn.account
            else:
                paying = order.grants() if rest else []
            ranked = [grant for grant in paying if grant in grants]
            for grant in reversed(ranked):
                if not left or not grant.applies(self.used.use):
                    continue
                part = min(left, grant.drawn - self.units.get(grant.number, 0))
                if part > 0:
                    self.to_grant(grant, part)
                    left -= part
        left -= self.to_overage(account, left)
        left = self.to_debts(account, left)
        order = self.m.payers(account)
        turn = order.turn(self.used.asset, self.used.use, self.used.effective_at, True)
        for grant in reversed(order.of_other_seats(turn)):
            other = grant.asset == self.used.asset and grant.number not in made
            part = min(left, grant.drawn - self.units.get(grant.number, 0))
            if other and grant.applies(self.used.use) and part > 0:
                self.to_grant(grant, part)
                left -= part
        return amount - left

    def to_overage(self, account: NaiveAccount, amount: int) -> int:
        """As much as is posted of the account's own usage, and still owed by who is billed."""
        m, asset = self.m, self.used.asset
        gone = sum(r.amount for r in self.returned if m.books[r.drawn].kind == BookKind.OVERAGE)
        posted = account.overage_posted.get((asset, self.used.period), 0) - gone
        left = amount
        for payer in m.ever_line(account):
            if asset not in payer.overage:
                continue
            book = self._book(("overage", payer.number))
            gone = sum(r.amount for r in self.returned if r.drawn == book)
            part = min(left, posted, payer.overage[asset][0] - gone)
            if part > 0:
                money = part if asset in m.money else 0
                self.returned.append(Returned(book, "own", part, money))
                left -= part
                posted -= part
        return amount - left

    def to_debts(self, account: NaiveAccount, amount: int) -> int:
        """To what is, or was, owed for the product, whatever usage drew it, the last run first;
        returns what is left."""
        if self.used.asset not in account.advance:
            return amount
        grants = [grant for grant in account.grants if grant.asset == self.used.asset]
        parts = {*account.owing.get(self.used.asset, {})}
        parts.update(part for grant in grants for part in grant.repaid)
        for run in sorted({run for run, _ in parts}, reverse=True):
            amount = self.to_run(account.number, run, amount)
        return amount

    def compare(self) -> None:
        """The transfers of the entry are these."""
        m, event = self.m, self.event
        found = []
        for piece in event.given_back:
            to = "own"
            if piece.book != piece.drawn:
                restored = m.books[piece.book].kind == BookKind.GRANT
                to = "restored" if restored else "onward"
            found.append(Returned(piece.drawn, to, piece.amount, piece.value, piece.debt))
        m.expect(RULE, "given back", self.returned, found)


def _apply(
    m: Shard, account: NaiveAccount, used: NaiveUsage, event: e.UsageReversed, own: int
) -> None:
    if used.used_book:
        m.expect(RULE, "used book", used.used_book, event.used_book)
    for piece in event.given_back:
        give_back(m, account, event.used_book, piece, used.use.product)
        drawn = m.books[piece.drawn]
        if drawn.kind == BookKind.ADVANCE:
            part = (piece.debt, used.use.product)
            m.accounts[drawn.owner].pay_off(drawn.asset, part, piece.amount)
        elif drawn.kind == BookKind.OVERAGE:
            m.accounts[drawn.owner].overage[drawn.asset][0] -= piece.amount
            account.overage_posted[drawn.asset, used.period] -= piece.amount
    gone = used.given_back or [0] * len(used.names)
    used.given_back = [a + b for a, b in zip(gone, event.quantities, strict=True)]
    used.amount += own
    used.as_charged += event.as_charged
    account.suspended -= event.suspended
    if event.suspended:
        used.waits = []
    if not event.key:
        m.parts.append(event)
    expect_noted(m, account, event.effective_at)
    if event.replaced_by:

        def replaces(found: e.UsageRecorded) -> None:
            m.expect(RULE, "what stands in its stead", e.UsageRecorded, type(found))
            m.expect(RULE, "its key", event.replaced_by, found.key)
            recorded(m, found, CORRECTION_US)

        m.last.append(("other usage stands in its stead", replaces))


def give_back(
    m: Shard, account: NaiveAccount, used_book: int, piece: e.GivenBack, product: str
) -> None:
    """Post units and money, and take the draw off the grant that had paid."""
    m.transfer(used_book, piece.book, piece.amount)
    book, to = m.books[piece.drawn], m.books[piece.book]
    source = m.grants[book.owner] if book.kind == BookKind.GRANT else None
    if source is None:
        if piece.value:
            payer = m.accounts[book.owner]
            unbilled = m.find_book(BookKind.UNBILLED, payer.tenant, book.asset, payer.number)
            m.expect(RULE, "money goes back to", unbilled, piece.money_book)
            m.transfer(m.revenue(unbilled, product), unbilled, piece.value)
        return
    if piece.value and source.deferred:
        m.expect(RULE, "book of the money", _money_of(m, source, piece), piece.money_book)
    if piece.value and piece.money_book:
        debit = m.revenue(source.deferred, product)
        m.pay(m.accounts[source.account], debit, piece.money_book, piece.value, source)
    source.recognised -= piece.value
    source.drawn -= piece.amount
    source.given += piece.amount
    if piece.book != piece.drawn:
        source.unused += piece.amount
        source.away += piece.amount
        source.returned += piece.value
    if piece.book != piece.drawn and to.kind == BookKind.GRANT:
        restored = m.explained(e.GrantRestored, to.owner)
        figures = (restored.of, restored.amount, restored.price_paid)
        m.expect(RULE, "restored", (source.number, piece.amount, piece.value), figures)
        m.grants[to.owner].drawn -= piece.amount
    elif piece.book != piece.drawn:
        postpaid = source.kind == GrantKind.POSTPAID
        kind = BookKind.TRUE_UP if postpaid else BookKind.FORFEITED
        onward = piece.book == source.funding if source.settled == VOIDED else to.kind == kind
        m.expect(RULE, f"where the rest of grant {source.number} went", True, onward)
    if piece.debt >= 0:
        part = (piece.debt, product)
        source.repaid[part] -= piece.amount
        if not source.repaid[part]:
            del source.repaid[part]


def _money_of(m: Shard, source: NaiveGrant, piece: e.GivenBack) -> int:
    """Where the money of units goes that are given back."""
    to = m.books[piece.book]
    if piece.book == piece.drawn or source.kind == GrantKind.POSTPAID:
        return source.deferred
    if to.kind == BookKind.GRANT:
        return m.grants[to.owner].deferred
    if source.settled == VOIDED:
        return source.cash
    tenant = m.accounts[source.account].tenant
    return m.find_book(BookKind.BREAKAGE, tenant, source.price_asset)


# -- by hand ---------------------------------------------------------------------------------------


def adjusted(m: Shard, event: e.BalanceAdjusted) -> None:
    """A credit to a new free grant or back to one, or a debit that somebody pays."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "adjustment if closed", 0, account.closed_at)
    if event.amount < 0:
        _debited(m, account, event)
        return
    m.expect(RULE, "slices of a credit", (), event.slices)
    if not event.grant_given:
        grant = m.grants[event.grant]
        m.explained(e.GrantIssued, event.grant)
        figures = (grant.account, grant.asset, grant.amount, grant.price, grant.expires_at)
        expected = (account.number, event.asset, event.amount, 0, event.expires_at)
        m.expect(RULE, "new grant", expected, figures)
        return
    grant = m.grants[event.grant]
    m.expect(RULE, "grant", (account.number, OPEN), (grant.account, grant.settled))
    if event.amount > grant.drawn:
        m.fail(RULE, f"{event.amount} back of {grant.drawn}")
    keeps = 0
    if grant.price:
        keeps = (grant.price - grant.returned) * (grant.drawn - event.amount) // grant.whole
    [piece] = event.given_back
    value = max(0, grant.recognised - keeps)
    figures_back = (piece.drawn, piece.book, piece.amount, piece.value)
    expected_back = (grant.book, grant.book, event.amount, value)
    m.expect(RULE, "given back", expected_back, figures_back)
    m.expect_book(event.used_book, BookKind.USED, event.asset, 0, PRODUCT)
    give_back(m, account, event.used_book, piece, PRODUCT)


def _debited(m: Shard, account: NaiveAccount, event: e.BalanceAdjusted) -> None:
    amount, month = -event.amount, m.month(account)
    use = Use(PRODUCT)
    m.expect_book(event.used_book, BookKind.USED, event.asset, 0, PRODUCT)
    if event.grant_given:
        grant = m.grants[event.grant]
        m.expect(RULE, "grant", (account.number, OPEN), (grant.account, grant.settled))
        if amount > grant.available:
            m.fail(RULE, f"{amount} of {grant.available} taken by hand")
        [piece] = event.slices
        figures = (piece.book, piece.amount, piece.value)
        m.expect(RULE, "slice", (grant.book, amount, grant.value_of(amount)), figures)
    else:
        expected, missing, _ = m.payers(account).waterfall(
            event.asset, use, amount, m.recorded_at, month, event.asset in m.money, False
        )
        m.expect(RULE, "missing", 0, missing)
        m.expect(Rule.WATERFALL, "slices", expected, m.pieces(event.slices))
    m.expect(RULE, "period", month, event.period)
    draw(m, account, event.slices, event.used_book, event.asset, PRODUCT, month)
