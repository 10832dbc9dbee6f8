"""Deciding corrections: recorded usage given back, last slice first (rules D3, R1, T2).

The recorded slices are unwound, whatever today's order of grants is. Reads state, changes nothing:
the entry that is corrected comes with the command, as the journal has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ledger.core.books import Book
from ledger.core.commands import AmendUsage, Original, ReverseUsage
from ledger.core.comparators import order_of
from ledger.core.drawdown import applies, house_book, open_book
from ledger.core.events import (
    AdjustmentNoted,
    BookKind,
    EndedGrants,
    Event,
    GivenBack,
    GrantKind,
    GrantRestored,
    PlanDeclared,
    Pot,
    Slice,
    SuspenseRated,
    UsageQuarantined,
    UsageRecorded,
    UsageReversed,
)
from ledger.core.limits import (
    CORRECTED_A_FAMILY_MAX,
    CORRECTION_WINDOW_US,
    INT64_MAX,
    QUANTITIES_MAX,
    RESTORED_LIFETIME_US,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import (
    GRANT_OPEN,
    GRANT_VOIDED,
    NEVER,
    Account,
    Corrected,
    Family,
    Grant,
    State,
)
from ledger.core.usage import (
    closed_period,
    decide_replacement,
    keys_exhausted,
    rating_fault,
    recorded_before,
    refuse_closed,
    unknown_account,
)
from rating.price import RatingFault, own_quantities, refund

_NOTHING = Corrected(0, (), 0, 0)


def decide_reverse(
    state: State, command: ReverseUsage, out: list[Event]
) -> Event | Known | Refusal:
    """Give back what is asked for of the event that comes with the command, or say why not."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if command.account not in state.accounts:
        return unknown_account(command.account)
    return _decide(state, command, out)


def _decide(
    state: State,
    command: ReverseUsage,
    out: list[Event],
    replaced_by: bytes = b"",
    replacement: bytes = b"",
) -> Event | Refusal:
    account = state.accounts[command.account]
    refusal = _refused(state, account, command)
    if refusal is not None:
        return refusal
    parts = _parts(state, account, command, out)
    if command.as_charged:
        return _as_charged(state, account, command, parts, out)
    made = _by_quantities(state, account, command, parts, out)
    if isinstance(made, Refusal):
        return made
    if replaced_by:
        place = out.index(made)
        made = replace(made, replaced_by=replaced_by, replacement=replacement)
        out[place] = made
    return made


def decide_amend(state: State, command: AmendUsage, out: list[Event]) -> Event | Known | Refusal:
    """The reversal of an amendment; what stands in its stead is decided upon it (`execute`).

    Refused as a whole where either would be.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if state.keys.find(command.usage.key) is not None or command.usage.key == command.key:
        return Refusal(
            Reason.CONFLICT,
            "replacement.id",
            "",
            "the id of the usage that is to stand in its stead is recorded already; use a new one",
        )
    if command.account not in state.accounts:
        return unknown_account(command.account)
    if len(state.keys.newest) + 2 > state.keys.newest_max:
        return keys_exhausted(state)
    tried: list[Event] = []
    refusal = decide_replacement(state, command.usage, tried)
    if isinstance(refusal, Refusal):
        return refusal
    charge = sum([piece.amount for piece in refusal.slices])
    if charge > INT64_MAX - QUANTITIES_MAX:  # rounding may add 1 a line once the other is reversed
        return Refusal(
            Reason.OVERFLOW,
            "quantities",
            str(charge),
            "the charge hardly fits 64 bits; reverse the usage and record it anew in parts",
        )
    reversal = ReverseUsage(
        command.key,
        command.account,
        command.original,
        (),
        0,
        command.ended,
        command.note,
        command.names,
        command.trace,
        command.rated,
    )
    return _decide(state, reversal, out, command.usage.key, command.body)


def _refused(state: State, account: Account, command: ReverseUsage) -> Refusal | None:
    """Why the entry cannot be corrected, whatever is asked of it."""
    recorded = command.original.event
    entry = str(command.original.entry_seq)
    if isinstance(recorded, UsageReversed):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "the entry is a reversal itself, which is not reversed; record the usage again under a "
            "new id",
        )
    if isinstance(recorded, UsageQuarantined):
        return Refusal(
            Reason.NOT_REVERSIBLE, "entry", entry, "the usage is quarantined: it was never charged"
        )
    if (
        not isinstance(recorded, UsageRecorded)
        or isinstance(recorded, SuspenseRated)
        or recorded.account != command.account
        or command.original.plan is None
    ):
        return Refusal(
            Reason.NOT_REVERSIBLE, "entry", entry, "the entry is no recorded usage of the account"
        )
    if recorded.effective_at < state.now - CORRECTION_WINDOW_US:
        return Refusal(
            Reason.CORRECTION_TOO_OLD,
            "entry",
            str(recorded.effective_at),
            "usage older than 400 days is not reversed; make a manual adjustment instead",
        )
    if account.closed_at:
        refusal = refuse_closed(state, account, recorded.effective_at)
        if refusal is not None:
            return refusal
    family = state.families[account.root]
    refusal = _refused_as_rated(family, command, recorded)
    if refusal is not None:
        return refusal
    if any(_is_written_off(account, each) for each in (command.original, *command.rated)):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            entry,
            "what was owed for the usage was written off as its account closed; make a manual "
            "adjustment instead",
        )
    if (
        len(family.corrected) >= CORRECTED_A_FAMILY_MAX
        and command.original.locator not in family.corrected
        and len(family.remembered(state.corrected_before)) >= CORRECTED_A_FAMILY_MAX
    ):
        return Refusal(
            Reason.CORRECTIONS_LIMIT,
            "entry",
            str(CORRECTED_A_FAMILY_MAX),
            "so many usage events of the family were corrected within 400 days; make a manual "
            "adjustment instead",
        )
    return None


def _refused_as_rated(
    family: Family, command: ReverseUsage, recorded: UsageRecorded
) -> Refusal | None:
    """Why not, of usage that was rated after it had waited: what rated it is to come along."""
    locator = command.original.locator
    rated = family.rated.get(locator)
    if tuple([part.locator for part in command.rated]) != (rated.entries if rated else ()):
        return Refusal(
            Reason.RATED_MEANWHILE,
            "entry",
            str(command.original.entry_seq),
            "a price came for what waited of the usage; send the same again",
        )
    if (
        recorded.suspense
        and rated is None
        and locator <= family.rated_forgotten
        and locator not in family.waiting
    ):
        return Refusal(
            Reason.NOT_REVERSIBLE,
            "entry",
            str(command.original.entry_seq),
            "what rated the usage after it had waited is not remembered, for so many of the "
            "family's were; make a manual adjustment instead",
        )
    return None


def _is_written_off(account: Account, original: Original) -> bool:
    """Whether debt that the event drew is not owed any more, by the account or one above it."""
    locator, recorded = original.locator, original.event
    assert isinstance(recorded, UsageRecorded)
    if all(piece.pot in (Pot.GRANT, Pot.ABSORBED) for piece in recorded.slices):
        return False
    payer: Account | None = account
    while payer is not None:
        if locator < payer.written_off:
            return True
        payer = payer.parent
    return False


# -- how much ------------------------------------------------------------------------------------


def _as_charged(
    state: State,
    account: Account,
    command: ReverseUsage,
    parts: list[_Part],
    out: list[Event],
) -> Event | Refusal:
    """Goodwill: some of the charge, the quantities stay (rule R1)."""
    left = sum([part.left for part in parts])
    if command.as_charged > left:
        return _too_large("as_charged", left, "of the charge")
    due, apart = command.as_charged, 0
    for part in parts:
        own = min(due, part.left)
        if own == 0 and part is not parts[-1]:
            continue
        part.unwinding.unwind(part.before.amount, own)
        due -= own
        made = _record(
            state,
            account,
            part,
            out,
            quantities=(0,) * len(part.recorded.quantities),
            as_charged=own,
            apart=apart if part is parts[-1] else 0,
        )
        apart += own
    return made


def _by_quantities(
    state: State,
    account: Account,
    command: ReverseUsage,
    parts: list[_Part],
    out: list[Event],
) -> UsageReversed | Refusal:
    """F(Q) - F(Q - q) of each line, out of the event's slices, last first."""
    usage = parts[-1]
    left = _quantities_left(usage.recorded, usage.before)
    quantities = command.quantities or left
    if not any(left):
        return _too_large("quantities", 0, "of the quantities")
    for given, most in zip(quantities, left, strict=True):
        if given < 0:
            return Refusal(
                Reason.QUANTITY_INVALID, "quantities", str(given), "a quantity is zero or more"
            )
        if given > most:
            return _too_large("quantities", most, "of a quantity")
    if not any(quantities):
        return Refusal(
            Reason.QUANTITIES_ALL_ZERO, "quantities", "0", "at least one quantity is above zero"
        )
    rest = tuple([a - b for a, b in zip(left, quantities, strict=True)])
    for part in parts:
        fault = part.price(quantities, rest)
        if fault is not None:
            return rating_fault(fault)
    apart = 0
    for part in parts:
        due, drawn = sum(part.refunds), part.left
        part.unwinding.unwind(part.before.amount, min(due, drawn))
        beyond = 0
        if due > drawn and not part.before.as_charged:
            beyond = part.unwinding.beyond(account, part.declared, due - drawn)
        if part is usage or part.refunds_any:
            made = _record(
                state,
                account,
                part,
                out,
                quantities=quantities,
                beyond=beyond,
                suspended=part.waits_no_more(),
                apart=apart if part is usage else 0,
            )
        apart += sum([piece.amount for piece in part.unwinding.given_back])
    return made


def _record(
    state: State,
    account: Account,
    part: _Part,
    out: list[Event],
    *,
    quantities: tuple[int, ...],
    beyond: int = 0,
    suspended: int = 0,
    as_charged: int = 0,
    apart: int = 0,
) -> UsageReversed:
    command, recorded, unwinding = part.command, part.recorded, part.unwinding
    reversal = UsageReversed(
        command.key,
        account.number,
        command.original.locator,
        command.original.entry_seq,
        recorded.effective_at,
        _declare_again(state, part.declared, out),
        quantities,
        part.refunds,
        unwinding.used_book,
        tuple(unwinding.given_back),
        recorded.period,
        part.moves,
        as_charged,
        beyond,
        unwinding.kept,
        suspended,
        0 if command.quantities or command.as_charged else 1,
        command.ended,
        command.note,
        trace=command.trace,
        apart=apart,
    )
    entry = state.batch_length + len(out)
    out.append(reversal)
    closed, period = closed_period(state, account, recorded.effective_at)
    if closed is not None:
        out.append(AdjustmentNoted(account.number, entry, closed, period))
    return reversal


class _Part:
    """One entry that charged the usage: its own, or one that rated what had waited (rule B8)."""

    def __init__(
        self,
        state: State,
        account: Account,
        command: ReverseUsage,
        out: list[Event],
        earlier: _Unwinding | None,
    ) -> None:
        """`command` names the entry; `earlier` is what this decision has given back already."""
        recorded = command.original.event
        declared = command.original.plan
        assert isinstance(recorded, UsageRecorded) and declared is not None
        family = state.families[account.root]
        locator = command.original.locator
        self.command = command
        self.recorded = recorded
        self.declared = declared
        self.before = family.corrected.get(locator, _NOTHING)
        self.left = _charge(recorded) - self.before.amount
        self.unwinding = _Unwinding(state, command, recorded, out, earlier)
        self.refunds: tuple[int, ...] = (0,) * len(recorded.quantities)
        self.moves: tuple[tuple[int, int], ...] = ()
        self._state = state
        self._account = account
        self._waiting = family.waiting.get(locator)
        self._waits_no_more = False
        self._places: tuple[int, ...] | None = None  # that it charged; None = all with a price
        if isinstance(recorded, SuspenseRated):
            self._places = recorded.rated

    @property
    def refunds_any(self) -> bool:
        """Whether there is anything to be recorded of it."""
        return bool(self.moves) or any(self.refunds)

    def price(self, quantities: tuple[int, ...], rest: tuple[int, ...]) -> RatingFault | None:
        """Work out what these quantities cost less where `rest` stays; or what is wrong."""
        account, declared, recorded = self._account, self.declared, self.recorded
        plan = self._state.catalog.plan_of(account.tenant, declared, recorded.quantities)
        own: Sequence[int] = rest
        if plan is not None:
            assert plan.rows == declared.rows, (plan.rows, declared.rows)
            try:
                refunds, moves = refund(
                    plan, quantities, _totals(account, declared, recorded.period)
                )
                own = own_quantities(plan, rest)
            except RatingFault as fault:
                return fault
            if self._places is not None:
                rows = [plan.rows[place] for place in self._places]
                refunds = self.masked(refunds)
                moves = tuple([(row, quantity) for row, quantity in moves if row in rows])
            self.refunds, self.moves = refunds, moves
        if self._waiting is not None:
            self._waits_no_more = not any(own[place] for place in self._waiting.places)
        return None

    def masked(self, figures: tuple[int, ...]) -> tuple[int, ...]:
        """Only those of the quantities that the entry charged."""
        if self._places is None:
            return figures
        return tuple([each if place in self._places else 0 for place, each in enumerate(figures)])

    def waits_no_more(self) -> int:
        """1: nothing of what it put aside is left."""
        return 1 if self._waits_no_more else 0


def _parts(state: State, account: Account, command: ReverseUsage, out: list[Event]) -> list[_Part]:
    """The entries that charged the usage, in the order in which they give back: the last first,
    that of the usage itself at the end."""
    parts: list[_Part] = []
    earlier: _Unwinding | None = None
    for rated in reversed(command.rated):
        apart = replace(command, key=b"", original=rated)
        part = _Part(state, account, apart, out, earlier)
        earlier = part.unwinding
        parts.append(part)
    parts.append(_Part(state, account, command, out, earlier))
    return parts


def _declare_again(state: State, declared: PlanDeclared, out: list[Event]) -> int:
    index = state.vocabulary.get(declared)
    if index is None:
        index = state.batch_length + len(out)
        out.append(declared)
    return index


def _charge(recorded: UsageRecorded) -> int:
    return sum([piece.amount for piece in recorded.slices])


def _quantities_left(recorded: UsageRecorded, before: Corrected) -> tuple[int, ...]:
    if not before.quantities:
        return recorded.quantities
    return tuple([a - b for a, b in zip(recorded.quantities, before.quantities, strict=True)])


def _totals(account: Account, declared: PlanDeclared, period: int) -> Mapping[int, int]:
    """Rounding positions of the event's period (rule R1)."""
    return {row: account.totals.get((row, period), 0) for row in declared.rows}


def _too_large(field: str, left: int, of_what: str) -> Refusal:
    return Refusal(
        Reason.CORRECTION_TOO_LARGE,
        field,
        str(left),
        f"more {of_what} would be given back than is left of the event",
    )


# -- to whom -------------------------------------------------------------------------------------


def value_given_back(grant: Grant, units: int, money: int = 0) -> int:
    """Money that a grant recognises less when `units` go back: it keeps floor(P x drawn / A).

    `money` of it has gone back already.
    """
    keeps = 0
    if grant.price_paid:
        keeps = (grant.price_paid - grant.returned) * (grant.drawn - units) // grant.whole
    return grant.recognised - money - keeps


class _Unwinding:
    """Gives units of one event back, and knows what this decision has given already."""

    def __init__(
        self,
        state: State,
        command: ReverseUsage,
        recorded: UsageRecorded,
        out: list[Event],
        earlier: _Unwinding | None = None,
    ) -> None:
        """`earlier`: of another entry in the same decision, which has taken from the same pots."""
        self.given_back: list[GivenBack] = []
        self.kept = 0  # given back by hand before
        self.used_book = recorded.used_book
        assert command.original.plan is not None
        self._product = command.original.plan.product
        self._state = state
        self._command = command
        self._recorded = recorded
        self._out = out
        self._units: dict[int, int] = {}  # grant -> taken off what is drawn from it
        self._money: dict[int, int] = {}  # ... and off what it has recognised
        self._debts: dict[tuple[int, int], int] = {}  # (book, run) -> taken off
        if earlier is not None:
            self._units, self._money = earlier._units, earlier._money
            self._debts = earlier._debts

    def unwind(self, gone: int, amount: int) -> None:
        """`amount` units of the event's slices, the last first, after the `gone` ones."""
        for piece in reversed(self._recorded.slices):
            if amount == 0:
                return
            earlier = min(gone, piece.amount)
            gone -= earlier
            take = min(piece.amount - earlier, amount)
            if take:
                self._slice(piece, earlier, take)
                amount -= take
        assert amount == 0, amount

    def _slice(self, piece: Slice, earlier: int, take: int) -> None:
        book = self._state.books.accounts[piece.book]
        cost = _share(piece.cost, earlier, take, piece.amount)
        if book.grant is not None:
            self._to_grant(book.grant, take, cost)
        elif book.kind == BookKind.ADVANCE:
            self._to_advance(book, take, cost)
        else:
            value = _share(piece.value, earlier, take, piece.amount)
            money = book.value_book.number if value and book.value_book is not None else 0
            self.given_back.append(
                GivenBack(book.number, book.number, take, value, cost, money_book=money)
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
            grant.expires_at <= state.now and self._command.ended == EndedGrants.RESTORE
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
        elif self._command.ended == EndedGrants.RESTORE:
            to, money = self._restore(grant, take, value)
        else:
            to, money = self._onward(grant, money)
        self.given_back.append(GivenBack(grant.book.number, to, take, value, cost, debt, money))

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
        before = sum([isinstance(event, GrantRestored) for event in out])
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
        grants that repaid it, the last first."""
        owner = self._state.accounts[book.owner]
        owed = owner.debt[book.asset].owed
        payers = [grant for grant in owner.grants if grant.asset == book.asset and grant.repaid]
        runs = {run for run, _ in (*owed, *(part for grant in payers for part in grant.repaid))}
        locator = self._command.original.locator
        run = max([run for run in runs if run <= locator], default=0)
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
            paid = _share(cost, 0, part, take)
            self._debts[(number, run)] = self._debts.get((number, run), 0) + part
            if source is None:
                self.given_back.append(GivenBack(number, number, part, 0, paid, run))
            else:
                self._to_grant(source, part, paid, run)
            take -= part
            cost -= paid
        self.kept += take

    def beyond(self, account: Account, declared: PlanDeclared, amount: int) -> int:
        """What rounding had put on other events of the period: back to the grants that may pay for
        them, the one that pays last first (rule D1); returns how much. What none of them has drawn
        stays."""
        left = amount
        card = self._state.catalog.card((account.tenant, declared.rate_card))
        use = card.use_of(declared.card_version, declared.product, declared.attributes)
        payer: Account | None = account
        while payer is not None and left:
            grants = [
                grant
                for grant in payer.grants
                if grant.asset == declared.asset
                and (payer is account or grant.shared)
                and applies(grant, use)
            ]
            for grant in sorted(grants, key=order_of, reverse=True):
                part = min(left, grant.drawn - self._units.get(grant.number, 0))
                if part > 0:
                    self._to_grant(grant, part, 0)
                    left -= part
            payer = payer.parent
        if left < amount and not self.used_book:
            self.used_book = house_book(
                self._state, account.tenant, BookKind.USED, declared.asset, declared.product,
                self._out,
            )  # fmt: skip
        return amount - left


def _share(whole: int, earlier: int, take: int, amount: int) -> int:
    """What `take` of `amount` units bear of a figure, after `earlier` ones: exact over all."""
    return whole * (earlier + take) // amount - whole * earlier // amount
