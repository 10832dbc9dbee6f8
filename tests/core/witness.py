"""What must have become of every unit and of all money, summed up from the entries alone.

A witness reads the journal as it is written and keeps sums by name: what was granted, drawn,
expired; what was billed, paid, written off. It knows no state and no order of grants. Written from
the rules (B3, B4, D7, F1 to F4, H6), not from `evolve`, and the books must agree with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.core import events as e
from ledger.core.events import BookKind

Owing: TypeAlias = tuple[BookKind, int, int]
"""Who owes what: the kind of book, its owner (an account, or the grant of a commitment), asset."""

Draws: TypeAlias = e.UsageRecorded | e.UsageReversed | e.BalanceAdjusted | e.FeeCharged

OWED = (
    BookKind.ADVANCE,
    BookKind.OVERAGE,
    BookKind.COMMITMENT,
    BookKind.UNBILLED,
    BookKind.RECEIVABLE,
)


@dataclass
class Seen:
    """One grant: what became of its units, and of the money that came in for it."""

    account: int
    amount: int
    bills: int = 0  # the unbilled book that its draws are owed in; 0 = none
    funding: int = 0  # the book that its units came from first
    paid: int = 0  # money that came into its deferred
    units: Counter[str] = field(default_factory=Counter)
    money: Counter[str] = field(default_factory=Counter)
    root: int = 0  # the grant that was paid for, of what it became a part of
    cash: int = 0  # of the root: what came into cash for it, less what went back out

    @property
    def left(self) -> int:
        """Units that are here: granted and nothing of what else became of them."""
        return self.amount - sum(self.units.values())

    @property
    def deferred(self) -> int:
        """Money that came in and was neither earned nor went elsewhere."""
        return self.paid - sum(self.money.values())


class Witness:
    """Sums of everything that entries said."""

    def __init__(self) -> None:
        self.books: dict[int, e.BookOpened] = {}
        self.grants: dict[int, Seen] = {}
        self.owing: dict[Owing, Counter[str]] = {}
        self.lifetime: Counter[tuple[int, int]] = Counter()  # account, money asset (rule H6)
        self.below_since: dict[tuple[int, int], int] = {}  # account, asset: below zero since then
        self.segments: dict[int, list[tuple[int, int]]] = {}  # commitment -> (grant, amount)
        self.invoiced: Counter[int] = Counter()  # commitment -> money
        self.overage: Counter[tuple[int, int, int]] = Counter()  # who drew it, asset, period

    def see(self, event: e.Event, now: int) -> None:
        """One more entry, recorded at `now`."""
        match event:
            case e.BookOpened():
                self.books[event.book] = event
            case e.GrantIssued():
                self._issued(event)
            case e.GrantRestored():
                of = self.grants[event.of]
                seen = Seen(event.account, event.amount, funding=of.funding)
                seen.root = of.root or event.of
                seen.bills = event.deferred_book if of.bills else 0
                seen.paid = event.price_paid if event.deferred_book else 0
                self.grants[event.grant] = seen
            case e.GrantStarted():
                self._repaid(event.grant, event.backfills)
            case e.UsageRecorded():
                self._drawn(event, event.slices)
            case e.UsageReversed():
                self._given_back(event, event.given_back)
            case e.BalanceAdjusted() | e.FeeCharged():
                self._drawn(event, event.slices)
                self._given_back(event, event.given_back)
            case e.AccountClosedOut():
                self._closed_out(event)
            case e.CommitmentCreated():
                amounts = [segment.amount for segment in event.segments]
                self.segments[event.commitment] = list(zip(event.grants, amounts, strict=True))
            case e.SegmentAdded():
                self.segments[event.commitment].append((event.grant, event.segment.amount))
            case _:
                self._ends(event)
                self._bills(event)
        self._look_below(now)

    # -- grants ------------------------------------------------------------------------------------

    def _issued(self, event: e.GrantIssued) -> None:
        seen = Seen(event.account, event.amount, funding=event.funding_book)
        self.grants[event.grant] = seen
        deferred = self.books.get(event.deferred_book)
        if deferred is not None and deferred.kind == BookKind.UNBILLED:
            seen.bills = event.deferred_book
        elif deferred is not None and not event.pending:
            seen.paid = event.price_paid
        if event.origin:
            origin = self.grants[event.origin]
            seen.funding = origin.funding
            seen.root = origin.root or event.origin
            origin.units["rolled"] += event.amount
            origin.money["rolled"] += event.price_paid if deferred is not None else 0
        elif self.books[event.funding_book].kind == BookKind.COMMITMENT:
            self._owe(event.funding_book, "committed", event.amount)
        if event.pending:
            seen.units["pending"] += event.amount
        elif event.cash_book and not event.origin:
            self._came(
                event.account, event.cash_book, "billed ahead", event.price_paid, event.grant
            )
        self._repaid(event.grant, event.backfills)

    def _repaid(self, grant: int, parts: Iterable[e.Backfill]) -> None:
        seen = self.grants[grant]
        for part in parts:
            seen.units["drawn"] += part.amount
            self._earned(seen, part.value)
            self._owe(part.book, "repaid", -part.amount)

    def _earned(self, seen: Seen, value: int) -> None:
        if seen.bills:
            self._owe(seen.bills, "earned", value)
        else:
            seen.money["recognised"] += value

    def _drawn(self, event: Draws, slices: Iterable[e.Slice]) -> None:
        for piece in slices:
            book = self.books[piece.book]
            if book.kind == BookKind.GRANT:
                seen = self.grants[book.owner]
                seen.units["drawn"] += piece.amount
                self._earned(seen, piece.value)
            elif book.kind in OWED:
                self._owe(piece.book, "drawn", piece.amount)
                if book.kind == BookKind.OVERAGE:
                    self.overage[(event.account, book.asset, event.period)] += piece.amount
                if piece.value:  # overage in money: what is owed, and its price
                    place = (BookKind.UNBILLED, book.owner, book.asset)
                    self.owing.setdefault(place, Counter())["earned"] += piece.value

    def _given_back(self, event: Draws, pieces: Iterable[e.GivenBack]) -> None:
        for piece in pieces:
            drawn, to = self.books[piece.drawn], self.books[piece.book]
            payer = event.account
            if drawn.kind == BookKind.GRANT:
                seen = self.grants[drawn.owner]
                payer = seen.account
                seen.units["drawn"] -= piece.amount
                if piece.book != piece.drawn:
                    seen.units["moved"] += piece.amount
                if not seen.bills:
                    seen.money["recognised"] -= piece.value
                    if piece.book != piece.drawn:
                        seen.money["moved"] += piece.value
            elif drawn.kind in OWED:
                self._owe(piece.drawn, "given back", -piece.amount)
                if drawn.kind == BookKind.OVERAGE:
                    month = piece.period or event.period
                    self.overage[(event.account, drawn.asset, month)] -= piece.amount
            if to.kind == BookKind.COMMITMENT:
                self._owe(piece.book, "given back", -piece.amount)
            if piece.money_book and piece.value:
                self._went(payer, piece.money_book, "given back", piece.value, drawn.owner)

    def _ends(self, event: e.Event) -> None:
        """What leaves a grant undrawn, with its share of the price."""
        match event:
            case e.GrantReleased():
                seen = self.grants[event.grant]
                seen.units["pending"] -= event.amount
                seen.paid += event.payment
                self._came(event.account, event.cash_book, "", event.payment, event.grant)
                self._repaid(event.grant, event.backfills)
            case e.GrantCancelled():
                seen = self.grants[event.grant]
                seen.units["pending"] -= event.amount
                seen.units["cancelled"] += event.amount
            case e.GrantExpired():
                seen = self.grants[event.grant]
                seen.units["expired"] += event.amount
                if seen.bills:
                    self._owe(seen.bills, "trued up", event.value)
                elif event.breakage_book:
                    seen.money["breakage"] += event.value
            case e.GrantVoided():
                self._back("voided", event, event.breakage)
            case e.GrantRefunded():
                self._back("refunded", event, event.breakage)
            case e.GrantReduced():
                self._back("reduced", event, 0)
            case e.TrueUpCounted():
                self._back("counted", event, 0)
            case e.GrantChargedBack():
                for part in event.parts:
                    seen = self.grants[part.grant]
                    seen.units["charged back"] += part.amount
                    seen.money["charged back"] += part.value
                self.lifetime[(event.account, self.books[event.cash_book].asset)] -= event.payment
                self._root(event.grant).cash -= event.payment
                self._owe(event.receivable_book, "charged back", event.owed)

    def _back(
        self,
        why: str,
        event: e.GrantVoided | e.GrantRefunded | e.GrantReduced | e.TrueUpCounted,
        breakage: int,
    ) -> None:
        """Units back to where they came from, money to where it came from, the rest broken."""
        seen = self.grants[event.grant]
        seen.units[why] += event.amount
        funding = self.books[seen.funding]
        if funding.kind == BookKind.COMMITMENT:
            self._owe(seen.funding, why, -event.amount)
        if event.cash_book:
            seen.money["refunded"] += event.refunded
            self._went(seen.account, event.cash_book, "refunded", event.refunded, event.grant)
        seen.money["breakage"] += breakage if not seen.bills else 0

    def _closed_out(self, event: e.AccountClosedOut) -> None:
        for each in event.write_offs:
            if each.kind == e.WriteOffKind.GRANT:
                self.grants[each.grant].units["written off"] += each.amount
            elif each.kind == e.WriteOffKind.BREAKAGE:
                self.grants[each.grant].money["breakage"] += each.amount
            elif each.debit in self.books and self.books[each.debit].kind in OWED:
                self._owe(each.debit, "written off", each.amount)
            else:
                self._owe(each.credit, "written off", -each.amount)

    # -- what is owed ------------------------------------------------------------------------------

    def _bills(self, event: e.Event) -> None:
        match event:
            case e.AccountBilled():
                for line in event.lines:
                    self._owe(line.credit, "billed", -line.amount)
                    if self.books[line.debit].kind == BookKind.RECEIVABLE:
                        self._owe(line.debit, "billed", line.amount)
            case e.InvoiceDue():
                self._owe(event.receivable_book, "invoiced", event.amount)
                self._owe(event.unbilled_book, "invoiced", -event.amount)
                self.invoiced[event.commitment] += event.amount
            case e.PaymentRecorded():
                self._came(event.account, event.cash_book, "", event.amount)
                self._owe(event.receivable_book, "paid", -event.amount)
            case e.CreditNoteIssued():
                self._owe(event.receivable_book, "credited", -event.amount)
            case e.ReceivableWrittenOff():
                self._owe(event.receivable_book, "written off", -event.amount)

    def _owe(self, book: int, why: str, amount: int) -> None:
        opened = self.books[book]
        assert opened.kind in OWED, (opened, why)
        place = (opened.kind, opened.owner, opened.asset)
        self.owing.setdefault(place, Counter())[why] += amount

    def _root(self, grant: int) -> Seen:
        return self.grants[self.grants[grant].root or grant]

    def _came(self, account: int, book: int, why: str, money: int, grant: int = 0) -> None:
        """Money from a customer: into cash, or what is to be billed."""
        opened = self.books[book]
        if opened.kind == BookKind.CASH:
            self.lifetime[(account, opened.asset)] += money
            if grant:
                self._root(grant).cash += money
        else:
            self._owe(book, why, money)

    def _went(self, account: int, book: int, why: str, money: int, grant: int) -> None:
        """Money back: out of cash, off what is owed, or back into deferred or breakage."""
        opened = self.books[book]
        if opened.kind == BookKind.CASH:
            self.lifetime[(account, opened.asset)] -= money
            self._root(grant).cash -= money
        elif opened.kind in OWED:
            self._owe(book, why, -money)

    def _look_below(self, now: int) -> None:
        """Since when an account owes in advance: the grace of rule H6 runs from then."""
        for (kind, owner, asset), sums in self.owing.items():
            if kind == BookKind.ADVANCE:
                if sum(sums.values()) > 0:
                    self.below_since.setdefault((owner, asset), now)
                else:
                    self.below_since.pop((owner, asset), None)

    def owed(self, kind: BookKind, owner: int, asset: int) -> int:
        """What stands in such a book."""
        return sum(self.owing.get((kind, owner, asset), Counter()).values())
