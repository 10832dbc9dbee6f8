"""The figures of statements out of the journal alone, read once from its beginning: for `verify`.

Goes by the transfers of each entry as read models are made of, but keeps no table: what belongs to
a statement is added up as it comes, from the first batch that its period may hold something of to
the entry that ended it, and its balances are the counters of the replayed state. Pure: whoever
reads the journal hands it in.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ledger.core.catalog import Catalog
from ledger.core.events import OF_A_GRANT, OF_AN_ACCOUNT, BookKind, ClockAdvanced, Event
from ledger.core.evolve import evolve
from ledger.core.funding.adjustments import PRODUCT
from ledger.core.funding.minimums import PRODUCT as MINIMUM
from ledger.core.outcomes import locator_of
from ledger.core.state import State
from ledger.journal.codec import PrivateRecords
from ledger.projections import changes as c
from ledger.projections.changes import Changes
from ledger.projections.facts import Facts
from ledger.projections.fold import Fold
from ledger.statements.figures import (
    USES,
    BookKey,
    Gathering,
    Head,
    LineKey,
    LineKind,
    Statement,
    balance_of,
)
from ledger.statements.places import Closed, Place, Span, adjusted

_decode_attributes: Final = msgspec.json.Decoder(dict[str, str]).decode
_NO_NAMES: Final = PrivateRecords([], [], [], [], [], [])


Counters = tuple[int, int, int]


class Subject(NamedTuple):
    """Whose an entry is that something is charged for, and what it is of."""

    account: int
    kind: int
    product: str
    attributes: dict[str, str]
    placed: int  # the entry that says where in the family it counts


class Wanted:
    """A statement in the making."""

    def __init__(self, head: Head, root: int, before: int, earlier: Sequence[Closed]) -> None:
        self.head = head
        self.root = root  # of the account's family
        self.span = Span(head.start, head.end, before, head.until)
        self.earlier = list(earlier)
        self.paid: dict[tuple[LineKey, int], int] = defaultdict(int)  # by payer's book
        self.used: list[tuple[LineKey, int, int, dict[str, int]]] = []
        # (book, kind of the other one, place) -> debits, credits, held
        self.moves: dict[tuple[int, int, Place], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.standing: set[int] = set()  # the accounts that it is of as it ends
        # Debits, credits and held of the family's books, before anything of the period, and at the
        # end; None = it has not ended yet.
        self.opened: dict[int, Counters] = {}
        self.counters: dict[int, Counters] | None = None


class Folding:
    """Folds the batches of one shard, in order and from the first, into the figures of statements
    that are known beforehand."""

    def __init__(self, shard: int, wanted: Sequence[Wanted]) -> None:
        self.state = State(shard, Catalog())
        self._wanted = list(wanted)
        self._to_begin = sorted(wanted, key=lambda each: -each.head.start)  # the next one last
        self._open: dict[int, list[Wanted]] = defaultdict(list)  # by root
        self._ends: dict[int, list[Wanted]] = defaultdict(list)  # by the entry that ends them
        for each in self._wanted:
            self._ends[each.head.until].append(each)
        self._facts = Facts()
        self._facts.revenues = {}
        self._first_events: list[int] = []
        self._roots = {each.root for each in wanted}
        self._subjects: dict[int, Subject] = {}  # of usage of these families, by entry
        self._plans: dict[tuple[int, Any], tuple[str, dict[str, str], Sequence[str]]] = {}
        self._books: dict[int, BookKey] = {}
        self._family_books: dict[int, list[int]] = defaultdict(list)  # by root
        self._owners: dict[int, int] = {}  # grant -> account
        self._root_of: dict[int, int] = {}  # account -> root

    def batch(self, recorded_at: int, events: Sequence[Event]) -> None:
        """Fold the next batch."""
        state = self.state
        first_event = state.entry_seq
        self._first_events.append(first_event)
        state.begin_batch(state.batch_seq + 1, recorded_at)
        changes = Changes()
        needed = self._facts.needed(events)
        self._begin(recorded_at, events)
        needed.payers.clear()  # who owes no money by now has no book for it
        assert not needed, "a journal that is read from its beginning says all that it names"
        Fold(state.shard, self._facts, changes).take(first_event, recorded_at, events, _NO_NAMES)
        self._learn(changes)
        for event in events:
            for each in self._ends.get(state.entry_seq, ()):
                self._stand(each)
            evolve(state, event)
        self._take(changes)
        for root, found in self._open.items():
            self._open[root] = [each for each in found if each.counters is None]

    def finish(self) -> list[Statement]:
        """The statements, in the order in which they were asked for."""
        return [self._finish(each) for each in self._wanted]

    def _begin(self, recorded_at: int, events: Sequence[Event]) -> None:
        """Begin the statements of whose periods this batch may hold something."""
        ahead = max(self.state.offsets.values(), default=0)
        for event in events:
            if isinstance(event, ClockAdvanced):
                ahead = max(ahead, event.offset)
        while self._to_begin and self._to_begin[-1].head.start <= recorded_at + ahead:
            each = self._to_begin.pop()
            each.opened = self._counters(each.root)
            self._open[each.root].append(each)

    def _counters(self, root: int) -> dict[int, Counters]:
        """What the books of a family stand at, as far as they are open by now."""
        books = self.state.books.accounts
        return {
            number: (book.debits_posted, book.credits_posted, book.debits_pending)
            for number in self._family_books[root]
            if (book := books.get(number)) is not None
        }

    # -- what entries say --------------------------------------------------------------------------

    def _learn(self, changes: Changes) -> None:
        for row in changes.accounts:
            self._root_of[row[2]] = row[4]
        for place, row in changes.plans.items():
            self._plans[place] = (row[3], _decode_attributes(row[4]), row[5])
        for row in changes.grants:
            self._owners[row[2]] = row[3]
        for row in changes.restored:
            self._owners[row[1]] = self._owners[row[2]]
        for _, _, book, kind, asset, owner, _ in changes.books:
            account = grant = 0
            if kind in OF_A_GRANT:
                account, grant = self._owners[owner], owner
            elif kind in OF_AN_ACCOUNT:
                account = owner
            self._books[book] = BookKey(book, kind, asset, account, grant)
            if account and (root := self._root_of[account]) in self._roots:
                self._family_books[root].append(book)

    def _take(self, changes: Changes) -> None:
        subjects: dict[int, Subject] = {}
        for row in changes.usage:
            if row[8] != c.QUARANTINED:
                self._subject(subjects, row[2], row[3], LineKind.USAGE, (row[0], row[4]), row[2])
                if row[8] != c.RATED:
                    self._used(subjects.get(row[2]), row, 1, row[12], (row[6], row[7]))
        self._subjects.update(subjects)
        for row in changes.reversals:
            plan = (row[0], row[5])
            self._subject(subjects, row[2], row[3], LineKind.USAGE, plan, row[4])
            self._used(subjects.get(row[2]), row, -1, row[9], (row[7], row[8]))
        for _, _, entry, original, _ in changes.follow_ups:
            if original in self._subjects:
                subjects.setdefault(entry, self._subjects[original])
        for row in changes.shared_rerates:
            self._subject(subjects, row[2], row[3], LineKind.USAGE, (row[0], row[4]), row[2])
        for row in changes.minimums:
            product = row[7] or MINIMUM
            self._of_product(subjects, row[2], row[3], LineKind.MINIMUM, product)
        for row in changes.fee_lines:
            self._of_product(subjects, row[2], row[3], LineKind.FEE, row[5])
        for row in changes.manual:
            self._of_product(subjects, row[2], row[3], LineKind.ADJUSTMENT, PRODUCT)
        for row in changes.transfers:
            self._transfer(subjects.get(row[2]), row)

    def _subject(
        self,
        subjects: dict[int, Subject],
        entry: int,
        account: int,
        kind: int,
        plan: tuple[int, Any],
        placed: int,
    ) -> None:
        if self._root_of[account] in self._roots:
            product, attributes, _ = self._plans[plan]
            subjects[entry] = Subject(account, kind, product, attributes, placed)

    def _of_product(
        self, subjects: dict[int, Subject], entry: int, account: int, kind: int, product: str
    ) -> None:
        if self._root_of[account] in self._roots:
            subjects[entry] = Subject(account, kind, product, {}, entry)

    def _used(
        self,
        subject: Subject | None,
        row: tuple[Any, ...],
        sign: int,
        quantities: Sequence[int],
        times: tuple[int, int],
    ) -> None:
        if subject is None:
            return
        names = self._plans[row[0], row[4] if sign > 0 else row[5]][2]
        pairs = zip(names, quantities, strict=True)
        used = {name: sign * quantity for name, quantity in pairs}
        for each in self._open[self._root_of[subject.account]]:
            key = self._line(each, subject, row[2], times)
            if key is not None:
                each.used.append((key, int(sign > 0), int(sign < 0), used))

    def _transfer(self, subject: Subject | None, row: tuple[Any, ...]) -> None:
        entry, debit, credit, amount, phase = row[2], row[4], row[5], row[7], row[8]
        times = (row[12], row[13])
        debited, credited = self._books[debit], self._books[credit]
        if subject is not None and phase == c.POSTED and {debited.kind, credited.kind} & USES:
            payer, sign = (debit, 1) if credited.kind in USES else (credit, -1)
            for each in self._open[self._root_of[subject.account]]:
                key = self._line(each, subject, entry, times)
                if key is not None:
                    each.paid[key, payer] += sign * amount
        for own, other, side in ((debited, credited, 0), (credited, debited, 1)):
            if not own.account:
                continue
            for each in self._open[self._root_of[own.account]]:
                if entry >= each.head.until:
                    continue  # it is not in the counters either that the statement is held to
                moved = each.moves[own.book, other.kind, each.span.place_of(entry, *times)]
                if phase == c.POSTED:
                    moved[side] += amount
                elif side == 0:
                    moved[2] += amount if phase == c.PENDING else -amount

    def _line(
        self, wanted: Wanted, subject: Subject, entry: int, times: tuple[int, int]
    ) -> LineKey | None:
        """The line of a statement that an entry is on; None = on none."""
        head, span = wanted.head, wanted.span
        place = span.place_of(entry, *times)
        if place in (Place.BEFORE, Place.AFTER):
            return None
        if head.consolidated:
            account = self.state.accounts[subject.account]
            above = self.state.line_at(account, self._locator(subject.placed))
            if head.account not in [each.number for each in above]:
                return None
        elif head.account != subject.account:
            return None
        late = adjusted(wanted.earlier, min(times)) if place == Place.ADJUSTS else None
        value = subject.attributes.get(head.attribute) if head.attribute else None
        return LineKey(subject.account, subject.kind, subject.product, value, late)

    def _locator(self, entry: int) -> int:
        place = bisect_right(self._first_events, entry) - 1
        return locator_of(place + 1, entry - self._first_events[place])

    # -- as a statement ends -----------------------------------------------------------------------

    def _stand(self, wanted: Wanted) -> None:
        """Note whose the statement is as it ends, and what their books stand at."""
        head = wanted.head
        node = self.state.accounts[head.account]
        found = node.below() if head.consolidated else [node]
        wanted.standing = {each.number for each in found}
        wanted.counters = self._counters(wanted.root)

    def _finish(self, wanted: Wanted) -> Statement:
        if wanted.counters is None:
            self._stand(wanted)
        assert wanted.counters is not None
        head = wanted.head
        node = self.state.accounts[head.account]
        gathering = Gathering(head, whole=head.consolidated and node.parent is None)
        for line, events, reversals, quantities in wanted.used:
            gathering.used(line, events, reversals, quantities)
        for (line, payer), amount in wanted.paid.items():
            gathering.paid(line, self._payer(payer), amount)
        opened = {number: list(counters) for number, counters in wanted.opened.items()}
        closing = {number: list(counters) for number, counters in wanted.counters.items()}
        for (number, other, place), moved in sorted(wanted.moves.items()):
            key = self._books[number]
            if place == Place.BEFORE:
                _add(opened.setdefault(number, [0, 0, 0]), moved)
            elif place == Place.AFTER:
                _add(closing[number], [-each for each in moved])
            elif key.account in wanted.standing:
                debits, credits, held = moved
                gathering.moved(key, other, place == Place.ADJUSTS, debits, credits)
                gathering.held(key, held)
        for found, note in ((opened, gathering.stood), (closing, gathering.stands)):
            for number, (debits, credits, held) in found.items():
                key = self._books[number]
                if key.account in wanted.standing:
                    note(key, balance_of(key.kind, debits, credits), held)
        return gathering.finish()

    def _payer(self, number: int) -> BookKey:
        """A book that paid, by whose it is where it is a grant's or an account's."""
        key = self._books[number]
        owned = key.kind in (BookKind.GRANT, BookKind.ADVANCE, BookKind.OVERAGE)
        return key if owned else key._replace(account=0, grant=0)


def _add(counters: list[int], more: Sequence[int]) -> None:
    for place, each in enumerate(more):
        counters[place] += each
