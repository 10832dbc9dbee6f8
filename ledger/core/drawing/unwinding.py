"""Giving units of usage back to where they came from, the last drawn first (rule D3).

Owns to whom: the grant that had paid, its child or where its rest went where it has ended, who
repaid an advance since; and the money that goes with it. How much is for `corrections` and
`rerates` to say. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.books import Book
from ledger.core.drawing.comparators import order_of
from ledger.core.drawing.drawdown import applies, settlement_asset
from ledger.core.events import (
    BookKind,
    EndedGrants,
    Event,
    ExhaustedSeat,
    GivenBack,
    GrantIssued,
    GrantKind,
    GrantRestored,
    PlanDeclared,
    RowDraw,
    Slice,
)
from ledger.core.limits import RESTORED_LIFETIME_US
from ledger.core.opening import house_book, open_book
from ledger.core.pricing.pricing import Place
from ledger.core.seats.seat_draws import seats_of
from ledger.core.state import GRANT_OPEN, GRANT_VOIDED, NEVER, Account, Grant, State


def value_given_back(grant: Grant, units: int, money: int = 0) -> int:
    """Money that a grant recognises less when `units` go back: it keeps floor(P x drawn / A).

    `money` of it has gone back already. It may have recognised less than it keeps, since units that
    left undrawn took their price rounded down: then nothing goes back, and the next draw makes up.
    """
    keeps = 0
    if grant.price_paid:
        keeps = (grant.price_paid - grant.returned) * (grant.drawn - units) // grant.whole
    return max(0, grant.recognised - money - keeps)


class _Taken:
    """What one decision has taken off already, whatever entries it is of."""

    __slots__ = ("debts", "money", "others", "rows", "units")

    def __init__(self) -> None:
        self.units: dict[int, int] = {}  # grant -> off what is drawn from it
        self.money: dict[int, int] = {}  # ... and off what it has recognised
        self.debts: dict[tuple[int, int], int] = {}  # (book, run) -> off what is owed
        self.others: dict[int, int] = {}  # book -> off what was drawn from it, if not from a grant
        self.rows: dict[tuple[Place, tuple[int, int, int]], int] = {}  # off what rows drew


class Unwinding:
    """Gives units of one entry back, and knows what this decision has given already.

    `locator` is that of the usage, so that the debt is found that it was part of (-1 = of whatever
    usage of the product).
    """

    def __init__(
        self,
        state: State,
        product: str,
        used_book: int,
        ended: EndedGrants,
        locator: int,
        out: list[Event],
        earlier: Unwinding | None = None,
    ) -> None:
        """`earlier`: of another entry in the same decision, which has taken from the same pots."""
        self.given_back: list[GivenBack] = []
        self.kept = 0  # given back by hand before
        self.unwound = (0, 0)  # units of the entry's own slices: given back before, and now
        self.used_book = used_book
        self._product = product
        self._state = state
        self._ended = ended
        self._locator = locator
        self._out = out
        self._sliced: dict[int, int] = {}  # book -> what of the entry's own slices was unwound
        self._part = (0, 0)  # used book and month, where they are not the entry's
        self._of_rows = False  # whether what is unwound is known to be drawn still, by rows
        self._lowered: dict[tuple[Place, tuple[int, int, int]], int] = {}  # by this entry
        self._taken: _Taken = earlier._taken if earlier is not None else _Taken()
        self._units, self._money = self._taken.units, self._taken.money
        self._debts, self._rows = self._taken.debts, self._taken.rows

    def unwind(
        self,
        slices: Sequence[Slice],
        gone: int,
        amount: int,
        drawn: dict[int, int] | None = None,
        period: int = 0,
    ) -> int:
        """`amount` units of an event's slices, the last first, after the `gone` ones; of each book
        no more than is `drawn` from it still, where that is given: returns what is left then.
        `period`: the month of their overage, where it is not the entry's."""
        self.unwound = gone, amount
        self._part = (0, period)
        self._of_rows = drawn is not None
        for piece in reversed(slices):
            if amount == 0:
                return 0
            earlier = min(gone, piece.amount)
            gone -= earlier
            take = min(piece.amount - earlier, amount)
            if drawn is not None:
                take = min(take, drawn.get(piece.book, 0))
                drawn[piece.book] = drawn.get(piece.book, 0) - take
            if take:
                self._sliced[piece.book] = self._sliced.get(piece.book, 0) + take
                self._slice(piece, earlier, take)
                amount -= take
        assert amount == 0 or drawn is not None, amount
        return amount

    def _slice(self, piece: Slice, earlier: int, take: int) -> None:
        book = self._state.books.accounts[piece.book]
        cost = share_of(piece.cost, earlier, take, piece.amount)
        if book.grant is not None:
            self._to_grant(book.grant, take, cost)
        elif book.kind == BookKind.ADVANCE:
            self._to_advance(book, take, cost)
        else:
            value = share_of(piece.value, earlier, take, piece.amount)
            money = book.value_book.number if value and book.value_book is not None else 0
            self._give(book.number, book.number, take, value, cost, -1, money)

    def _give(
        self, drawn: int, to: int, take: int, value: int, cost: int, debt: int, money: int
    ) -> None:
        used, period = self._part
        revenue = 0
        if used and value and money:
            asset = self._state.books.accounts[money].asset
            tenant = self._state.books.accounts[used].tenant
            place = (tenant, BookKind.REVENUE, asset, self._product)
            revenue = house_book(self._state, *place, self._out)
        others = self._taken.others
        others[drawn] = others.get(drawn, 0) + take
        self.given_back.append(
            GivenBack(drawn, to, take, value, cost, debt, money, used, revenue, period)
        )

    def _to_grant(self, grant: Grant, take: int, cost: int, debt: int = -1) -> None:
        """To the grant itself, or, where it has ended, as the command says; never more than is
        drawn from it still."""
        state = self._state
        room = min(take, grant.drawn - self._units.get(grant.number, 0))
        self.kept += take - room
        if room == 0:
            return
        take = room
        value = self._value_of(grant, take)
        ended = grant.settled != GRANT_OPEN or (
            grant.expires_at <= state.now and self._ended == EndedGrants.RESTORE
        )
        value_book = grant.book.value_book
        money = value_book.number if value and value_book is not None else 0
        if value_book is not None and value:  # rounding may have put it on another product
            house_book(
                state, grant.account.tenant, BookKind.REVENUE, value_book.asset, self._product,
                self._out,
            )  # fmt: skip
        if not ended:
            to = grant.book.number
        elif self._ended == EndedGrants.RESTORE:
            to, money = self._restore(grant, take, value)
        else:
            to, money = self._onward(grant, money)
        self._give(grant.book.number, to, take, value, cost, debt, money)

    def _onward(self, grant: Grant, money: int) -> tuple[int, int]:
        """Books of units and of money that the rest of an ended grant went to."""
        state, tenant, out = self._state, grant.account.tenant, self._out
        postpaid = grant.kind == GrantKind.POSTPAID
        if grant.settled == GRANT_VOIDED:
            if money and not postpaid:
                money = grant.cash.number if grant.cash is not None else 0
            return grant.funding.number, money
        if money and not postpaid:
            money = house_book(state, tenant, BookKind.BREAKAGE, grant.price_asset, "", out)
        kind = BookKind.TRUE_UP if postpaid else BookKind.FORFEITED
        return house_book(state, tenant, kind, grant.asset, "", out), money

    def _value_of(self, grant: Grant, take: int) -> int:
        """Money that the grant recognises less: what it keeps is floor(P x drawn / A) again."""
        units = self._units.get(grant.number, 0) + take
        money = self._money.get(grant.number, 0)
        value = value_given_back(grant, units, money)
        self._units[grant.number] = units
        self._money[grant.number] = money + value
        return value

    def _restore(self, grant: Grant, amount: int, price_paid: int) -> tuple[int, int]:
        """Open a grant on the terms of one that ended; returns its books of units and of money."""
        state, out = self._state, self._out
        before = sum([isinstance(event, GrantIssued | GrantRestored) for event in out])
        number = state.next_grant + before
        tenant, money = grant.account.tenant, 0
        if grant.book.value_book is not None and price_paid:
            money = grant.book.value_book.number
            if grant.kind != GrantKind.POSTPAID:
                asset = grant.price_asset
                money = open_book(state, tenant, BookKind.DEFERRED, asset, number, "", out)
        book = open_book(state, tenant, BookKind.GRANT, grant.asset, number, "", out)
        expires_at = 0
        if grant.expires_at != NEVER:
            expires_at = max(grant.expires_at, state.now + RESTORED_LIFETIME_US)
        out.append(
            GrantRestored(
                grant.account.number,
                number,
                state.families[grant.account.root].next_ordinal + before,
                grant.number,
                amount,
                price_paid,
                expires_at,
                book,
                money,
            )
        )
        return book, money

    def _to_advance(self, book: Book, take: int, cost: int) -> None:
        """What is still owed of the event's run of debt is owed no more; the rest goes to the
        grants that repaid it, the last first. What rows have drawn is in other runs where a re-rate
        has taken from this one."""
        if self._locator >= 0:
            payers, runs = self._debts_of(book)
            run = max([run for run in runs if run <= self._locator], default=0)
            take, cost = self._to_run(book, payers, run, take, cost)
        if self._locator < 0 or self._of_rows:
            take = self._to_debts(book, take, cost)
        self.kept += take

    def _to_debts(self, book: Book, take: int, cost: int = 0) -> int:
        """The same of the debt of whatever usage of the product, the last run first; returns what
        none of it takes."""
        payers, runs = self._debts_of(book)
        for run in sorted(runs, reverse=True):
            take, cost = self._to_run(book, payers, run, take, cost)
        return take

    def _debts_of(self, book: Book) -> tuple[list[Grant], set[int]]:
        """Who repaid what was owed there, and which runs of debt there were."""
        owner = self._state.accounts[book.owner]
        owed = owner.debt[book.asset].owed
        payers = [grant for grant in owner.grants if grant.asset == book.asset and grant.repaid]
        runs = {run for run, _ in (*owed, *(part for grant in payers for part in grant.repaid))}
        return payers, runs

    def _to_run(
        self, book: Book, payers: list[Grant], run: int, take: int, cost: int
    ) -> tuple[int, int]:
        """The same for one run of debt; returns what is left of the units and their cost."""
        owed = self._state.accounts[book.owner].debt[book.asset].owed
        part_of = (run, self._product)
        still = owed.get(part_of, 0) - self._debts.get((book.number, run), 0)
        for source, most in [
            (None, still),
            *((grant, grant.repaid.get(part_of, 0)) for grant in reversed(payers)),
        ]:
            number = source.book.number if source is not None else book.number
            if source is not None:
                most -= self._debts.get((number, run), 0)
            part = min(take, most)
            if part <= 0:
                continue
            paid = share_of(cost, 0, part, take)
            self._debts[(number, run)] = self._debts.get((number, run), 0) + part
            if source is None:
                self._give(number, number, part, 0, paid, run, 0)
            else:
                self._to_grant(source, part, paid, run)
            take -= part
            cost -= paid
        return take, cost

    def from_row(self, account: Account, place: Place, amount: int) -> int:
        """Up to `amount` of what a row with a running total drew in a scope, by whatever usage, the
        last drawn first; returns how much."""
        left = amount
        own = (self._product, self._part, self._locator)
        self._locator = -1
        for part, units in reversed(list(account.row_draws.get(place, {}).items())):
            take = min(left, units - self._rows.get((place, part), 0))
            used, number, period = part
            if take > 0 and not self._is_forgiven(account, self._state.books.accounts[number]):
                self._product = self._state.books.accounts[used].name
                self._part = (used if used != self.used_book else 0, period)
                self._lower(place, part, take)
                self._of_book(self._state.books.accounts[number], take)
                left -= take
        self._product, self._part, self._locator = own
        return amount - left

    def _is_forgiven(self, account: Account, book: Book) -> bool:
        """Whether a debt was written off as an account closed from which this one had been moved
        away: what rows have drawn there is known still, but owed no more, whatever came since."""
        if book.kind != BookKind.OVERAGE or book.owner == account.number:
            return False
        owner = self._state.accounts[book.owner]
        closing = owner.written_off
        return bool(closing) and owner not in self._state.line_at(account, closing)

    def _of_book(self, book: Book, take: int) -> None:
        if book.grant is not None:
            self._to_grant(book.grant, take, 0)
        elif book.kind == BookKind.ADVANCE:
            self._to_advance(book, take, 0)
        else:  # money is worth itself, other units nothing
            money = book.value_book.number if book.value_book is not None else 0
            self._give(book.number, book.number, take, take if money else 0, 0, -1, money)

    def drawn_by_rows(
        self, account: Account, places: Sequence[Place], period: int
    ) -> dict[int, int]:
        """Units that rows with a running total have drawn still in their scopes, by book: by usage
        of the entry's product, and of overage in its month `period`."""
        found: dict[int, int] = {}
        for place in places:
            for part, units in account.row_draws.get(place, {}).items():
                used, book, month = part
                if used == self.used_book and month in (0, period):
                    units -= self._rows.get((place, part), 0)
                    found[book] = found.get(book, 0) + units
        return found

    def lower_row(self, account: Account, place: Place, amount: int, period: int) -> None:
        """So much less is drawn by a row in a scope: of what the entry's own slices had drawn and
        was unwound, as far as it still is, else of the last."""
        parts = list(account.row_draws.get(place, {}).items())
        for part, units in reversed(parts):
            used, book, month = part
            if used == self.used_book and month in (0, period):
                still = units - self._rows.get((place, part), 0)
                take = min(amount, still, self._sliced.get(book, 0))
                if take > 0:
                    self._lower(place, part, take)
                    self._sliced[book] -= take
                    amount -= take
        for part, units in reversed(parts):
            take = min(amount, units - self._rows.get((place, part), 0))
            if take > 0:
                self._lower(place, part, take)
                amount -= take

    def _lower(self, place: Place, part: tuple[int, int, int], units: int) -> None:
        for counters in (self._rows, self._lowered):
            counters[place, part] = counters.get((place, part), 0) + units

    @property
    def draws(self) -> tuple[RowDraw, ...]:
        """What the rows have drawn less by it."""
        return tuple(
            [RowDraw(*place, *part, -units) for (place, part), units in self._lowered.items()]
        )

    def beyond(
        self, account: Account, declared: PlanDeclared, amount: int, period: int, at: int
    ) -> int:
        """What rounding had put on other events of the period: back to the grants that may pay for
        usage of then, the one that pays last first (rule D1), to the account's overage and
        overdraft, then to what only other usage draws; returns how much. What none of them has
        drawn stays."""
        left = amount
        card = self._state.catalog.card((account.tenant, declared.rate_card))
        use = card.use_of(declared.card_version, declared.product, declared.attributes)
        of_seats = seats_of(account, declared.asset, use, at)
        plan, own = of_seats if of_seats is not None else (None, [])
        rest = plan is None or plan.terms.exhausted != ExhaustedSeat.OVERAGE
        others: list[Grant] = []
        for payer in (account, *self._state.ever_above(account)):
            grants = [
                grant
                for grant in payer.grants
                if grant.asset == declared.asset
                and (payer is account or grant.shared)
                and applies(grant, use)
            ]
            paying, not_paying = list[Grant](), list[Grant]()
            for each in grants:
                pays = each.seat in own or (each.seat is None and rest)
                (paying if pays else not_paying).append(each)
            if payer is account:
                others = not_paying
            paying.sort(key=_pays_after_seats, reverse=True)
            left = self._to_grants(paying, left)
        if left and not settlement_asset(account):  # else it was converted, which no debt was
            left = self._to_overage(account, declared.asset, period, left)
            advance = account.advance.get(declared.asset)
            if left and advance is not None:
                locator, self._locator = self._locator, -1
                left = self._to_debts(advance, left)
                self._locator = locator
        left = self._to_grants(sorted(others, key=order_of, reverse=True), left)
        if left < amount and not self.used_book:
            self.used_book = house_book(
                self._state, account.tenant, BookKind.USED, declared.asset, declared.product,
                self._out,
            )  # fmt: skip
        return amount - left

    def _to_grants(self, grants: Sequence[Grant], amount: int) -> int:
        """To each what is drawn from it still; returns what is left."""
        for grant in grants:
            part = min(amount, grant.drawn - self._units.get(grant.number, 0))
            if part > 0:
                self._to_grant(grant, part, 0)
                amount -= part
        return amount

    def _to_overage(self, account: Account, asset: int, period: int, amount: int) -> int:
        """To what the account's usage of the month has drawn of overage, whoever is billed;
        returns what is left."""
        posted = account.overage_posted.get((asset, period), 0)
        for payer in (account, *self._state.ever_above(account)):
            if not amount:
                break
            book = payer.overage.get(asset)
            if book is not None:
                gone = self._taken.others.get(book.number, 0)
                part = min(amount, posted - gone, book.owed - gone)
                if part > 0:
                    if book.value_book is not None:
                        tenant, money = account.tenant, book.value_book.asset
                        place = (tenant, BookKind.REVENUE, money, self._product)
                        house_book(self._state, *place, self._out)
                    self._of_book(book, part)
                    amount -= part
                    posted -= part
        return amount


def _pays_after_seats(grant: Grant) -> tuple[bool, object]:
    """The order in which grants pay for usage of a seat: its own first (rule D1)."""
    return grant.seat is None, order_of(grant)


def share_of(whole: int, earlier: int, take: int, amount: int) -> int:
    """What `take` of `amount` units bear of a figure, after `earlier` ones: exact over all."""
    return whole * (earlier + take) // amount - whole * earlier // amount
