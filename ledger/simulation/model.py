"""The naive ledger of one shard: reads the journal entry by entry and judges each one.

Plain dicts, nothing incremental but what the rules say is kept. It uses the event classes as data
and none of the core's code. Every method raises Violation where an entry contradicts a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from ledger.core import events as e
from ledger.core.events import BookKind, GrantKind, Pot, WriteOffKind
from ledger.journal.configuration import ConfigurationEntry, ConfigurationKind
from ledger.simulation import naive
from ledger.simulation.months import Months
from ledger.simulation.naive import (
    DAY_US,
    MINUTE_US,
    NaiveAccount,
    NaiveGrant,
    NaiveHold,
    Piece,
    Version,
)
from ledger.simulation.rules import Rule, Violation

WINDOW_US: Final = 35 * DAY_US
_PLACES: Final = {
    BookKind.GRANT: "grant",
    BookKind.ADVANCE: "advance",
    BookKind.OVERAGE: "overage",
    BookKind.PROMOTION: "promotion",
}
VOIDED: Final = 1
EXPIRED: Final = 2


@dataclass
class NaiveBook:
    """A book with its four counters."""

    kind: int
    tenant: int
    asset: int
    owner: int
    name: str = ""
    debits: int = 0
    credits: int = 0
    debits_pending: int = 0
    credits_pending: int = 0


class ShardModel:
    """One shard, as far as its journal has been read."""

    def __init__(
        self, shard: int, published: Callable[[int, int], ConfigurationEntry | None]
    ) -> None:
        """`published(tenant, version)` is what stands in the configuration tables."""
        self.shard = shard
        self.position = 0
        self.batch_seq = 0
        self.batch_at = 0
        self.recorded_at = 0  # of the next entry, by the clock of its tenant
        self.offsets: dict[int, int] = {}
        self.epoch = 0
        self.accounts: dict[int, NaiveAccount] = {}
        self.grants: dict[int, NaiveGrant] = {}
        self.holds: dict[int, NaiveHold] = {}
        self.books: dict[int, NaiveBook] = {}
        self.versions: dict[int, list[Version]] = {}
        self.applied: dict[int, int] = {}
        self.external: dict[tuple[int, bytes], int] = {}
        self._published = published
        self._plans: dict[int, e.PlanDeclared] = {}
        self._index = 0
        self._money: set[int] = set()
        self._due: list[tuple[int, int, int]] = []  # follow-ups that must come next
        self._over_limit: tuple[int, int] | None = None

    # -- reading -----------------------------------------------------------------------------------

    def begin(self, batch_seq: int, recorded_at: int) -> None:
        """The next batch."""
        self.batch_seq = batch_seq
        self.batch_at = self.recorded_at = recorded_at
        self._plans = {}
        self._index = 0

    def take(self, event: Any) -> None:
        """Judge and apply the next entry."""
        if event.account in self.accounts:  # rule T5: by the clock of its own tenant
            ahead = self.offsets.get(self.accounts[event.account].tenant, 0)
            self._expect(Rule.RECORDED_TIME, "ahead", ahead, self.recorded_at - self.batch_at)
        handler = HANDLERS.get(type(event))
        if handler is None:
            raise Violation(Rule.EVENT_KNOWN, f"{type(event).__name__} is not in the model")
        opening = isinstance(event, e.BookOpened | e.PlanDeclared)
        if self._due and not opening:
            self._follow_up(event)
        elif self._over_limit is not None and not isinstance(event, e.LimitExceeded):
            self._fail(Rule.WATERFALL, f"usage went over the limit, and {event} follows")
        else:
            handler(self, event)
        self._index += 1
        self.position += 1

    def end(self) -> None:
        """The batch is over: nothing may be owed to it."""
        if self._due or self._over_limit is not None:
            self._fail(Rule.HOLD_SETTLED_ONCE, f"the batch ends before {self._due}")
        self._check_balance()

    def _fail(self, rule: Rule, what: str) -> None:
        raise Violation(
            rule, f"shard {self.shard}, batch {self.batch_seq}, entry {self.position}: {what}"
        )

    def _expect(self, rule: Rule, what: str, expected: object, found: object) -> None:
        if expected != found:
            self._fail(rule, f"{what}: expected {expected}, found {found}")

    # -- openings, configuration, books ------------------------------------------------------------

    def _writer_opened(self, event: e.WriterOpened) -> None:
        self._expect(Rule.CHAIN, "epoch", self.epoch + 1, event.epoch)
        self._expect(Rule.CHAIN, "last batch", self.batch_seq - 1, event.last_batch_seq)
        self.epoch = event.epoch

    def _configuration_applied(self, event: e.ConfigurationApplied) -> None:
        before = self.applied.get(event.tenant, 0)
        self._expect(Rule.CONFIGURATION_IN_ORDER, "version", before + 1, event.version)
        self.applied[event.tenant] = event.version
        entry = self._published(event.tenant, event.version)
        if entry is None or entry.content_hash != event.content_hash:
            self._fail(Rule.CONFIGURATION_IN_ORDER, f"{event} was never published")
            return
        if entry.kind == ConfigurationKind.CLOCK:
            return
        if entry.kind == ConfigurationKind.ASSET:
            if event.version == 2:
                self._money.add(event.tenant << 32 | event.version)
            return
        prices = naive.prices_of(entry.content_hash)
        assert prices is not None, "the world published a card that it does not know"
        asset = event.tenant << 32 | (1 if entry.name == "default" else 2)
        self.versions.setdefault(event.tenant, []).append(
            Version(
                event.version,
                entry.name,
                prices,
                entry.published_at_us,
                entry.effective_from_us,
                asset,
            )
        )

    def _clock_advanced(self, event: e.ClockAdvanced) -> None:
        before = self.offsets.get(event.tenant, 0)
        if event.offset <= before:
            self._fail(Rule.RECORDED_TIME, f"{event} does not move the clock on from {before}")
        self.offsets[event.tenant] = event.offset

    def _time_shifted(self, event: e.TimeShifted) -> None:
        self.recorded_at = self.batch_at + event.offset

    def _book_opened(self, event: e.BookOpened) -> None:
        self._expect(Rule.BALANCED, "book number", len(self.books) + 1, event.book)
        self.books[event.book] = NaiveBook(
            event.kind, event.tenant, event.asset, event.owner, event.name
        )

    def _plan_declared(self, event: e.PlanDeclared) -> None:
        self._plans[self._index] = event

    # -- accounts ----------------------------------------------------------------------------------

    def _account_created(self, event: e.AccountCreated) -> None:
        rule = Rule.POLICY_VERSIONS
        if event.account in self.accounts:
            self._fail(rule, f"account {event.account} is created twice")
        if event.parent:
            parent = self.accounts.get(event.parent)
            if parent is None or parent.closed_at or parent.root != event.root:
                self._fail(rule, f"account {event.account} below {parent}")
        self.accounts[event.account] = NaiveAccount(
            event.account, event.tenant, event.parent, event.root, event.policy, self._months(event)
        )

    def _months(self, event: e.AccountCreated) -> Months:
        """Those of its zone, else all that its parent has (rule T1)."""
        if event.policy.zone or not event.parent:
            return Months(event.policy.zone or "UTC")
        above = self.accounts[event.parent].months
        return Months(above.zone, above.starts)

    def _policy_updated(self, event: e.AccountPolicyUpdated) -> None:
        account = self._deciding(event.account)
        self._expect(Rule.POLICY_VERSIONS, "version", account.version + 1, event.version)
        if event.expected_version:
            self._expect(Rule.POLICY_VERSIONS, "expected", account.version, event.expected_version)
        self._expect(Rule.CLOSED_TAKES_NOTHING, "policy of a closed account", 0, account.closed_at)
        if event.policy.period_grace != account.policy.period_grace:
            account.closed_until = naive.closed_by(account, self.recorded_at)
        account.policy, account.version = event.policy, event.version
        self._zone_changed(account, event)

    def _zone_changed(self, account: NaiveAccount, event: e.AccountPolicyUpdated) -> None:
        """Another zone counts from the end of each one's own month, here and below (rule T1)."""
        zone = event.policy.zone
        if not zone:
            zone = self.accounts[account.parent].months.zone if account.parent else "UTC"
        since, below = 0, {}
        if zone != account.months.zone:
            since = account.months.end_of(self.recorded_at)
            for each in self._inheriting(account):
                end = each.months.end_of(self.recorded_at)
                if end != since:
                    below[each.number] = end
                each.months.count_in(zone, self.recorded_at)
        found = (event.zone_from, dict(event.zone_from_below))
        self._expect(Rule.POLICY_VERSIONS, "another zone from", (since, below), found)

    def _inheriting(self, account: NaiveAccount) -> list[NaiveAccount]:
        found = [account]
        for each in found:
            found += [
                child
                for child in self.accounts.values()
                if child.parent == each.number and not child.policy.zone
            ]
        return found

    def _account_closed(self, event: e.AccountClosed) -> None:
        account = self._deciding(event.account)
        self._expect(Rule.POLICY_VERSIONS, "closed at", self.recorded_at, event.closed_at)
        left = self.still_open(account)
        if left or account.closed_at:
            self._fail(Rule.POLICY_VERSIONS, f"account {account.number} closes with {left}")
        account.closed_at = event.closed_at

    def _account_closed_out(self, event: e.AccountClosedOut) -> None:
        """Holds are given back, then every book that stands for the account is brought to zero."""
        account = self._deciding(event.account)
        rule = Rule.POLICY_VERSIONS
        self._expect(rule, "closed at", self.recorded_at, event.closed_at)
        self._expect(rule, "holds given back", tuple(sorted(account.holds)), event.holds)
        for number in event.holds:
            self._end_hold(self._open_hold(number, account.number), "released", [])
        for each in event.write_offs:
            self._transfer(each.debit, each.credit, each.amount)
            if each.kind in (WriteOffKind.UNBILLED, WriteOffKind.RECEIVABLE):
                continue
            if each.kind == WriteOffKind.BREAKAGE:
                self.grants[each.grant].returned += each.amount
            elif each.grant:
                grant = self._unsettled(each.grant, account)
                self._expect(rule, f"rest of grant {grant.number}", _left(grant), each.amount)
                grant.settled = EXPIRED
                grant.unused += each.amount
            else:
                owed = account.advance if each.kind == WriteOffKind.ADVANCE else account.overage
                owed[each.asset][0] -= each.amount
                if each.kind == WriteOffKind.ADVANCE:
                    account.owing.pop(each.asset, None)
                    account.repayments += 1
        left = self.still_open(account)
        if left or account.closed_at:
            self._fail(rule, f"account {account.number} closes with {left}")
        account.closed_at = event.closed_at

    def _account_reopened(self, event: e.AccountReopened) -> None:
        account = self._deciding(event.account)
        if not account.closed_at:
            self._fail(Rule.POLICY_VERSIONS, f"account {account.number} is reopened, but open")
        account.gaps.append((account.closed_at, self.recorded_at))
        account.closed_at = 0

    def _account_frozen(self, event: e.AccountFrozen) -> None:
        account = self._deciding(event.account)
        self._expect(Rule.CLOSED_TAKES_NOTHING, "frozen before", 0, account.frozen_at)
        account.frozen_at = self.recorded_at

    def _account_unfrozen(self, event: e.AccountUnfrozen) -> None:
        account = self._deciding(event.account)
        if not account.frozen_at:
            self._fail(Rule.CLOSED_TAKES_NOTHING, f"account {account.number} is not frozen")
        account.frozen_at = 0

    def _profile_updated(self, event: e.AccountProfileUpdated) -> None:
        account = self._deciding(event.account)
        version = account.profile_version + 1
        self._expect(Rule.POLICY_VERSIONS, "version of the metadata", version, event.version)
        account.profile_version = event.version

    def frozen(self, account: NaiveAccount | None) -> bool:
        """Whether it or one above it is frozen."""
        while account is not None:
            if account.frozen_at:
                return True
            account = self.accounts.get(account.parent)
        return False

    def still_open(self, account: NaiveAccount) -> str:
        """Why an account cannot be closed; "" where it can."""
        if account.holds:
            return "holds"
        if any(not grant.settled and _left(grant) for grant in account.grants):
            return "credits"
        if any(owed for owed, _ in (*account.advance.values(), *account.overage.values())):
            return "debt"
        if any(a.parent == account.number and not a.closed_at for a in self.accounts.values()):
            return "children"
        return ""

    # -- grants ------------------------------------------------------------------------------------

    def _grant_issued(self, event: e.GrantIssued) -> None:
        rule = Rule.GRANT_FIGURES
        account = self._deciding(event.account)
        self._expect(Rule.CLOSED_TAKES_NOTHING, "grant to a closed account", 0, account.closed_at)
        family = [a.number for a in self.accounts.values() if a.root == account.root]
        before = [grant for grant in self.grants.values() if grant.account in family]
        self._expect(rule, "ordinal", len(before) + 1, event.ordinal)
        self._expect(rule, "number", len(self.grants) + 1, event.grant)
        if not event.effective_given:
            self._expect(rule, "effective at", self.recorded_at, event.effective_at)
        if event.expires_at and event.expires_at <= max(self.recorded_at, event.effective_at):
            self._fail(rule, f"grant {event.grant} is over before it begins")
        key = (account.root, event.external_key)
        if event.external_key and self.external.setdefault(key, event.grant) != event.grant:
            self._fail(rule, f"grant {event.grant} has the key of grant {self.external[key]}")
        grant = NaiveGrant(
            event.grant,
            event.ordinal,
            event.account,
            event.kind,
            event.asset,
            event.amount,
            event.price_paid,
            event.priority,
            event.effective_at,
            event.expires_at,
            event.products,
        )
        grant.books = (event.book, event.funding_book, event.cash_book, event.deferred_book)
        grant.scheduled = event.scheduled
        self._expect(rule, "scheduled", event.effective_at > self.recorded_at, event.scheduled)
        paid = BookKind.FUNDING if event.kind == GrantKind.PREPAID else BookKind.PROMOTION
        self._expect(rule, "funding", paid, self.books[event.funding_book].kind)
        self._transfer(event.funding_book, event.book, event.amount)
        self._expect(rule, "money side", event.price_paid > 0, event.cash_book > 0)
        if event.price_paid:
            self._transfer(event.cash_book, event.deferred_book, event.price_paid)
        due = grant.effective_at <= self.recorded_at
        self._backfill(account, grant, event.backfills, due)
        account.grants.append(grant)
        self.grants[grant.number] = grant

    def _backfill(
        self,
        account: NaiveAccount,
        grant: NaiveGrant,
        found: tuple[e.Backfill, ...],
        due: bool = True,
    ) -> None:
        """A paid grant in force repays what its products owe, the oldest first (rules B3, H6)."""
        repaid: dict[str, int] = {}
        left = grant.available if due and grant.kind == GrantKind.PREPAID else 0
        owing = account.owing.get(grant.asset, {})
        for (run, product), owed in list(owing.items()):
            applies = not grant.products or product in grant.products
            take = min(left, owed) if applies else 0
            left -= take
            if take:
                repaid[product] = repaid.get(product, 0) + take
                owing[run, product] -= take
            if not owing[run, product]:
                del owing[run, product]
        account.repayments += bool(repaid)
        expected = list(repaid.items())
        actual = [(part.product, part.amount) for part in found]
        self._expect(Rule.GRANT_FIGURES, "backfills", expected, actual)
        for part in found:
            value = grant.value_of(part.amount)
            self._expect(Rule.GRANT_FIGURES, "backfill value", value, part.value)
            self._transfer(grant.books[0], part.book, part.amount)
            account.advance[grant.asset][0] -= part.amount
            grant.drawn += part.amount
            self._earn(grant, part.product, value)

    def _earn(self, grant: NaiveGrant, product: str, value: int) -> None:
        """Money recognised by a draw: debit deferred, credit revenue (rule B4)."""
        grant.recognised += value
        if value:
            self._revenue(grant.books[3], product, value)

    def _revenue(self, debit: int, product: str, value: int) -> None:
        paying = self.books[debit]
        [revenue] = [
            number
            for number, book in self.books.items()
            if (book.kind, book.tenant, book.asset, book.name)
            == (BookKind.REVENUE, paying.tenant, paying.asset, product)
        ]
        self._transfer(debit, revenue, value)

    def _grant_started(self, event: e.GrantStarted) -> None:
        grant = self.grants[event.grant]
        if not grant.scheduled or self.recorded_at < grant.effective_at:
            self._fail(Rule.GRANT_FIGURES, f"grant {grant.number} takes effect twice or early")
        grant.scheduled = False
        gone = grant.settled or 0 < grant.expires_at <= self.recorded_at
        self._backfill(self.accounts[event.account], grant, event.backfills, not gone)

    def _grant_voided(self, event: e.GrantVoided) -> None:
        account = self._deciding(event.account)
        grant = self._unsettled(event.grant, account)
        self._expect(Rule.GRANT_FIGURES, "voided", grant.available, event.amount)
        grant.settled = VOIDED
        money = grant.leaving(event.amount, event.forfeit)
        self._expect(Rule.GRANT_FIGURES, "money", money, (event.refunded, event.breakage))
        self._take_back(grant, event.amount, BookKind.FUNDING, BookKind.PROMOTION)
        for moved, book in zip(money, (event.cash_book, event.breakage_book), strict=True):
            self._give_back(grant, moved, book)

    def _give_back(self, grant: NaiveGrant, money: int, book: int) -> None:
        grant.returned += money
        if money:
            self._transfer(grant.books[3], book, money)

    def _grant_expired(self, event: e.GrantExpired) -> None:
        grant = self._unsettled(event.grant, self.accounts[event.account])
        grace = self.accounts[event.account].policy.period_grace
        if not grant.expires_at or self.recorded_at < grant.expires_at + grace:
            self._fail(Rule.EXPIRED_IN_TIME, f"grant {grant.number} is posted before its grace")
        self._expect(Rule.GRANT_FIGURES, "expired", grant.available, event.amount)
        grant.settled = EXPIRED
        value = sum(grant.leaving(event.amount))
        self._expect(Rule.GRANT_FIGURES, "breakage", value, event.value)
        self._take_back(grant, event.amount, BookKind.FORFEITED)
        self._give_back(grant, value, event.breakage_book)

    def _unasked(self, event: e.Event) -> None:
        self._fail(Rule.GRANT_FIGURES, f"{event}: nobody asked for such a grant")

    def _unsettled(self, number: int, account: NaiveAccount) -> NaiveGrant:
        grant = self.grants[number]
        if grant.settled or grant.account != account.number:
            self._fail(Rule.GRANT_FIGURES, f"grant {number} ends twice, or elsewhere")
        return grant

    def _take_back(self, grant: NaiveGrant, amount: int, *kinds: BookKind) -> None:
        """Move what nobody drew off the grant's book; the other side is one of these kinds."""
        if not amount:
            return
        grant.unused += amount
        [book] = [
            book
            for book in self.books.values()
            if book.kind == BookKind.GRANT and book.owner == grant.number
        ]
        book.debits += amount
        if BookKind.FORFEITED in kinds:
            kind = BookKind.FORFEITED
        else:
            paid = grant.kind == GrantKind.PREPAID
            kind = BookKind.FUNDING if paid else BookKind.PROMOTION
        tenant = self.accounts[grant.account].tenant
        [other] = [
            each
            for each in self.books.values()
            if (each.kind, each.asset, each.tenant) == (kind, grant.asset, tenant)
        ]
        other.credits += amount

    # -- usage -------------------------------------------------------------------------------------

    def _usage_recorded(self, event: e.UsageRecorded) -> None:
        account = self._deciding(event.account)
        plan = self._plans[event.plan]
        at = event.effective_at
        if not event.effective_given:
            self._expect(Rule.WINDOW, "effective at", self.recorded_at, at)
        if not self.recorded_at - WINDOW_US <= at <= self.recorded_at + 5 * MINUTE_US:
            self._fail(Rule.WINDOW, f"usage of {at} is charged at {self.recorded_at}")
        if account.closed_at and not self.takes_late(account, at):
            self._fail(Rule.CLOSED_TAKES_NOTHING, f"usage of {at}, closed at {account.closed_at}")
        over = naive.closed_by(account, self.recorded_at)
        if any(at < end and (start <= at or start <= over) for start, end in account.gaps):
            self._fail(Rule.CLOSED_TAKES_NOTHING, f"usage of {at}, closed in {account.gaps}")
        if self.frozen(account) and (not event.hold or event.late):
            self._fail(Rule.CLOSED_TAKES_NOTHING, f"usage of frozen account {account.number}")
        month = naive.period_of(account, at, self.recorded_at)
        self._expect(Rule.CHARGE, "month", month, event.period)
        priced = self._priced(account, plan, event.quantities, at)
        self._expect(Rule.CHARGE, "charges", priced.charges, event.charges)
        self._expect(Rule.CHARGE, "in suspense", int(-1 in priced.charges), event.suspense)
        hold = self._captured(account, event, plan)
        first: list[Piece] = []
        left = priced.total
        if hold is not None and hold.asset == priced.asset:
            first, left = naive.from_hold(account, hold, self.grants, left, at, self.recorded_at)
        more: list[Piece] = []
        over = 0
        if left:
            more, _, over = self._waterfall(account, priced.asset, plan.product, left, at, True)
        expected = naive.merged(first, more, self.grants)
        self._expect(Rule.WATERFALL, "slices", expected, self._pieces(event.slices))
        self._expect(Rule.WATERFALL, "over the limit", over, event.over_limit)
        if hold is not None and isinstance(event, e.UsageCaptured):
            self._take_part(hold, event, first)
        elif hold is not None:
            self._end_hold(hold, "captured", expected)
        self._draw(account, event, priced.asset, plan.product)
        for place, quantity in priced.moved.items():
            account.totals[place] = account.totals.get(place, 0) + quantity
        account.suspended += event.suspense
        if over:
            self._over_limit = (account.number, over)

    def takes_late(self, account: NaiveAccount, at: int) -> bool:
        """Whether a closed account takes usage of that time (rule T2)."""
        return at < account.closed_at and account.closed_at > naive.closed_by(
            account, self.recorded_at
        )

    def _captured(
        self, account: NaiveAccount, event: e.UsageRecorded, plan: e.PlanDeclared
    ) -> NaiveHold | None:
        """The open hold that this usage settles; None where it settles none."""
        if not event.hold:
            return None
        rule = Rule.HOLD_SETTLED_ONCE
        hold = self.holds.get(event.hold)
        if hold is None or hold.account != account.number:
            self._fail(rule, f"capture of hold {event.hold}, which the account has not")
            return None
        self._expect(rule, "product", hold.product, plan.product)
        if not event.late:
            self._expect(rule, f"hold {hold.number} before its capture", "", hold.ended)
            return hold
        if hold.ended != "expired" or hold.late:
            self._fail(rule, f"late capture of hold {hold.number}: {hold.ended} {hold.late}")
        hold.late = not isinstance(event, e.UsageCaptured)
        return None

    def _take_part(self, hold: NaiveHold, event: e.UsageCaptured, first: list[Piece]) -> None:
        """A capture that leaves the hold open: what it took no longer pends, the rest does."""
        amounts = {(piece.pot, piece.place): piece.amount for piece in first}
        taken = [amounts.get((piece.pot, piece.place), 0) for piece in hold.pieces]
        same_asset = event.taken != ()
        self._expect(Rule.WATERFALL, "taken", taken if same_asset else [], list(event.taken))
        account = self.accounts[hold.account]
        self._reserve(account, hold, -1)
        for place, (amount, (debit, credit)) in enumerate(zip(taken, hold.books, strict=True)):
            self.books[debit].debits_pending -= amount
            self.books[credit].credits_pending -= amount
            hold.pieces[place] = hold.pieces[place]._replace(
                amount=hold.pieces[place].amount - amount
            )
        self._reserve(account, hold, 1)

    def _hold_charged(self, event: e.HoldCharged) -> None:
        """By the policy of a product; none of a simulated world has one (rule H2)."""
        self._fail(Rule.EXPIRED_IN_TIME, f"hold {event.hold} is charged at its expiry")

    def _draw(
        self, account: NaiveAccount, event: e.UsageRecorded, asset: int, product: str
    ) -> None:
        used = 0
        for piece in event.slices:
            self._transfer(piece.book, event.used_book, piece.amount)
            used += piece.amount
            kind, number = self._place(piece.book)
            if kind == "grant":
                self.grants[number].drawn += piece.amount
                self._earn(self.grants[number], product, piece.value)
            elif kind == "advance":
                self.accounts[number].advance.setdefault(asset, [0, 0])[0] += piece.amount
                debtor = self.accounts[number]
                owing = debtor.owing.setdefault(asset, {})
                part = (debtor.repayments, product)
                owing[part] = owing.get(part, 0) + piece.amount
            elif kind == "overage":
                if piece.value:
                    [unbilled] = [
                        each
                        for each, book in self.books.items()
                        if (book.kind, book.asset, book.owner) == (BookKind.UNBILLED, asset, number)
                    ]
                    self._revenue(unbilled, product, piece.value)
                self.accounts[number].overage.setdefault(asset, [0, 0])[0] += piece.amount
                place = (asset, naive.period_of(account, event.effective_at, self.recorded_at))
                posted = account.overage_posted
                posted[place] = posted.get(place, 0) + piece.amount
        charged = sum(charge for charge in event.charges if charge > 0)
        self._expect(Rule.BALANCED, "slices of the charge", charged, used)

    def _limit_exceeded(self, event: e.LimitExceeded) -> None:
        expected, self._over_limit = self._over_limit, None
        self._expect(Rule.WATERFALL, "over limit", expected, (event.account, event.amount))

    def _adjustment_noted(self, event: e.AdjustmentNoted) -> None:
        account = self.accounts[event.account]
        runs = account.months.month_of(self.recorded_at)[0]
        self._expect(Rule.CHARGE, "open period", runs, event.period)
        closed = naive.period_of(account, event.closed, self.recorded_at)
        self._expect(Rule.CHARGE, "period of what belongs to a closed one", event.period, closed)

    def _correction(self, event: e.Event) -> None:
        self._fail(Rule.CHARGE, f"the workload corrects nothing: {event}")

    def _recurring(self, event: e.Event) -> None:
        self._fail(Rule.GRANT_FIGURES, f"the workload starts no recurring grant: {event}")

    def _commitment(self, event: e.Event) -> None:
        self._fail(Rule.GRANT_FIGURES, f"the workload makes no commitment: {event}")

    def _usage_quarantined(self, event: e.UsageQuarantined) -> None:
        account = self._deciding(event.account)
        if event.effective_at >= self.recorded_at - WINDOW_US:
            self._fail(Rule.WINDOW, f"usage of {event.effective_at} is quarantined")
        if account.closed_at and not self.takes_late(account, event.effective_at):
            self._fail(Rule.CLOSED_TAKES_NOTHING, "quarantined usage of a closed account")

    # -- holds -------------------------------------------------------------------------------------

    def _hold_authorized(self, event: e.HoldAuthorized) -> None:
        account = self._deciding(event.account)
        plan = self._plans[event.plan]
        self._expect(Rule.CLOSED_TAKES_NOTHING, "hold of a closed account", 0, account.closed_at)
        self._expect(Rule.CLOSED_TAKES_NOTHING, "hold if frozen", False, self.frozen(account))
        self._expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
        self._expect(Rule.WINDOW, "authorised at", self.recorded_at, event.effective_at)
        lifetime = event.lifetime or 15 * MINUTE_US
        self._expect(Rule.EXPIRED_IN_TIME, "expiry", self.recorded_at + lifetime, event.expires_at)
        terms = (DAY_US, e.HoldExpiry.RELEASE, account.months.month_of(self.recorded_at)[0])
        found = (event.lifetime_max, event.expiry, event.period)
        self._expect(Rule.EXPIRED_IN_TIME, "terms of the hold", terms, found)
        if len(account.holds) >= account.policy.holds_open_max:
            self._fail(Rule.NO_OVERSPEND, f"one hold more than {account.policy.holds_open_max}")
        priced = self._priced(account, plan, event.quantities, self.recorded_at)
        self._expect(Rule.CHARGE, "charges", priced.charges, event.charges)
        expected, missing, _ = self._waterfall(
            account, priced.asset, plan.product, priced.total, self.recorded_at, False
        )
        if missing or -1 in priced.charges:
            self._fail(Rule.NO_OVERSPEND, f"hold {event.hold} of {priced}, {missing} missing")
        self._expect(Rule.WATERFALL, "slices", expected, self._pieces(event.slices))
        self._expect(Rule.HOLD_SETTLED_ONCE, "number", len(self.holds) + 1, event.hold)
        hold = NaiveHold(
            event.hold,
            account.number,
            plan.product,
            priced.asset,
            expected,
            self.recorded_at,
            event.period,
            event.expires_at,
            [(piece.book, event.used_book) for piece in event.slices],
        )
        self.holds[hold.number] = account.holds[hold.number] = hold
        self._reserve(account, hold, 1)
        for piece in event.slices:
            self.books[piece.book].debits_pending += piece.amount
            self.books[event.used_book].credits_pending += piece.amount

    def _denied(self, event: e.AuthorizeDenied) -> None:
        rule = Rule.DENIAL_JUSTIFIED
        account = self._deciding(event.account)
        plan = self._plans[event.plan]
        self._expect(Rule.POLICY_VERSIONS, "by policy", account.version, event.policy_version)
        priced = self._priced(account, plan, event.quantities, self.recorded_at)
        self._expect(Rule.CHARGE, "charge", priced.total, event.charge)
        _, missing, _ = self._waterfall(
            account, priced.asset, plan.product, priced.total, self.recorded_at, False
        )
        left = naive.available(account, priced.asset, plan.product, self.recorded_at)
        self._expect(rule, "available", left, event.available)
        if -1 in priced.charges:
            self._expect(rule, "reason", "UNPRICED", event.reason)
        elif missing:
            self._expect(rule, "reason", "INSUFFICIENT_CREDITS", event.reason)
        else:
            self._fail(rule, f"denied {event.charge} with {left} there")

    def _hold_extended(self, event: e.HoldExtended) -> None:
        account = self._deciding(event.account)
        hold = self._open_hold(event.hold, account.number)
        expires_at = self.recorded_at + (event.lifetime or 15 * MINUTE_US)
        self._expect(Rule.EXPIRED_IN_TIME, "expiry", expires_at, event.expires_at)
        if expires_at > hold.authorized_at + DAY_US:
            self._fail(Rule.EXPIRED_IN_TIME, f"hold {hold.number} lives until {expires_at}")
        hold.expires_at = expires_at

    def _hold_released(self, event: e.HoldReleased) -> None:
        account = self._deciding(event.account)
        self._end_hold(self._open_hold(event.hold, account.number), "released", [])

    def _hold_expired(self, event: e.HoldExpired) -> None:
        hold = self._open_hold(event.hold, event.account)
        if self.recorded_at < hold.expires_at:
            self._fail(Rule.EXPIRED_IN_TIME, f"hold {hold.number} expires before its time")
        self._end_hold(hold, "expired", [])

    def _open_hold(self, number: int, account: int) -> NaiveHold:
        hold = self.holds.get(number)
        if hold is None or hold.ended or hold.account != account:
            self._fail(Rule.HOLD_SETTLED_ONCE, f"hold {number} ends again: {hold}")
        assert hold is not None
        return hold

    def _end_hold(self, hold: NaiveHold, ended: str, taken: list[Piece]) -> None:
        """Give everything back; what belongs to an ended grant must follow at once (rule D6)."""
        account = self.accounts[hold.account]
        hold.ended, hold.ended_at = ended, self.recorded_at
        del account.holds[hold.number]
        self._reserve(account, hold, -1)
        for piece, (debit, credit) in zip(hold.pieces, hold.books, strict=True):
            self.books[debit].debits_pending -= piece.amount
            self.books[credit].credits_pending -= piece.amount
            kind, number = piece.place
            used = sum(each.amount for each in taken if each.place == piece.place)
            if kind == "grant" and self.grants[number].settled and piece.amount > used:
                self._due.append((self.grants[number].settled, number, piece.amount - used))

    def _reserve(self, account: NaiveAccount, hold: NaiveHold, sign: int) -> None:
        for piece in hold.pieces:
            kind, number = piece.place
            amount = sign * piece.amount
            if kind == "grant":
                self.grants[number].held += amount
            elif kind == "advance":
                self.accounts[number].advance.setdefault(hold.asset, [0, 0])[1] += amount
            elif kind == "overage":
                self.accounts[number].overage.setdefault(hold.asset, [0, 0])[1] += amount
                pending = account.overage_pending
                pending[hold.asset] = pending.get(hold.asset, 0) + amount

    def _follow_up(self, event: Any) -> None:
        """What a hold gave back to a grant that had ended goes where its rest went."""
        settled, number, amount = self._due.pop(0)
        kind = e.GrantVoided if settled == VOIDED else e.GrantExpired
        key: bytes | None = getattr(event, "key", None)
        if type(event) is not kind or key:
            self._fail(Rule.GRANT_FIGURES, f"{amount} back to ended grant {number}, then {event}")
        self._expect(Rule.GRANT_FIGURES, "grant", (number, amount), (event.grant, event.amount))
        grant = self.grants[number]
        money = grant.leaving(amount)
        if isinstance(event, e.GrantExpired):
            self._expect(Rule.GRANT_FIGURES, "breakage", sum(money), event.value)
            self._take_back(grant, amount, BookKind.FORFEITED)
            self._give_back(grant, event.value, event.breakage_book)
            return
        self._expect(Rule.GRANT_FIGURES, "money", money, (event.refunded, event.breakage))
        self._take_back(grant, amount, BookKind.FUNDING)
        for moved, book in zip(money, (event.cash_book, event.breakage_book), strict=True):
            self._give_back(grant, moved, book)

    def _abandoned(self, event: e.RequestAbandoned) -> None:
        self._deciding(event.account)

    # -- parts -------------------------------------------------------------------------------------

    def _deciding(self, number: int) -> NaiveAccount:
        """The account that an entry decides on; nothing of it may be overdue (rules H2, T3)."""
        account = self.accounts.get(number)
        if account is None:
            self._fail(Rule.POLICY_VERSIONS, f"account {number} was never created")
        assert account is not None
        for hold in account.holds.values():
            if hold.expires_at <= self.recorded_at:
                self._fail(Rule.NOTHING_OVERDUE, f"hold {hold.number} is overdue")
        for grant in account.grants:
            grace = account.policy.period_grace
            over = grant.expires_at and grant.expires_at + grace <= self.recorded_at
            if over and not grant.settled:
                self._fail(Rule.NOTHING_OVERDUE, f"grant {grant.number} is overdue")
        return account

    def price_of(
        self,
        account: NaiveAccount,
        product: str,
        names: tuple[str, ...],
        q: tuple[int, ...],
        at: int,
    ) -> naive.Priced:
        """The naive price by what the shard has applied."""
        card = self._card_of(account)
        versions = [each for each in self.versions.get(account.tenant, ()) if each.name == card]
        return naive.price(account, versions, product, names, q, at, self.recorded_at)

    def _priced(
        self, account: NaiveAccount, plan: e.PlanDeclared, quantities: tuple[int, ...], at: int
    ) -> naive.Priced:
        priced = self.price_of(account, plan.product, plan.quantity_names, quantities, at)
        if priced.broken:
            self._fail(Rule.CHARGE, f"{quantities} contradict each other and are recorded")
        found = (plan.rate_card, plan.card_version, plan.asset)
        expected = (self._card_of(account), priced.version, priced.asset)
        self._expect(Rule.CHARGE, "card, version and asset", expected, found)
        return priced

    def _card_of(self, account: NaiveAccount) -> str:
        """A child is priced by its own card, else its nearest ancestor's (rule D8)."""
        while not account.policy.rate_card and account.parent:
            account = self.accounts[account.parent]
        return account.policy.rate_card or "default"

    def _waterfall(
        self, account: NaiveAccount, asset: int, product: str, amount: int, at: int, recorded: bool
    ) -> tuple[list[Piece], int, int]:
        parent = self.accounts.get(account.parent)
        order, money = self._comparator_of(account), asset in self._money
        return naive.waterfall(
            account,
            parent,
            order,
            asset,
            product,
            amount,
            at,
            money,
            recorded,
            self.recorded_at,
        )

    def _comparator_of(self, account: NaiveAccount) -> e.Comparator:
        """A child's grants are ordered by its own, else its nearest ancestor's (rule D2)."""
        while not account.policy.comparator and account.parent:
            account = self.accounts[account.parent]
        return account.policy.comparator or e.Comparator.DRAWDOWN_1

    def _pieces(self, slices: Iterable[e.Slice]) -> list[Piece]:
        return [
            Piece(Pot(piece.pot), self._place(piece.book), piece.amount, piece.value)
            for piece in slices
        ]

    def _place(self, number: int) -> naive.Place:
        book = self.books[number]
        kind = _PLACES.get(BookKind(book.kind))
        if kind is None:
            self._fail(Rule.WATERFALL, f"book {number} of kind {book.kind} pays for usage")
        assert kind is not None
        return kind, book.owner

    def _transfer(self, debit: int, credit: int, amount: int) -> None:
        if amount <= 0 or self.books[debit].asset != self.books[credit].asset:
            self._fail(Rule.BALANCED, f"no transfer: {amount} from {debit} to {credit}")
        self.books[debit].debits += amount
        self.books[credit].credits += amount

    def _check_balance(self) -> None:
        sums: dict[int, list[int]] = {}
        for book in self.books.values():
            total = sums.setdefault(book.asset, [0, 0])
            total[0] += book.debits - book.credits
            total[1] += book.debits_pending - book.credits_pending
        for asset, total in sums.items():
            self._expect(Rule.BALANCED, f"asset {asset}, debits - credits", [0, 0], total)

    def view(self, number: int) -> dict[str, Any] | None:
        """An account as `server.view_of` shows it; None where it is not open."""
        account = self.accounts.get(number)
        if account is None:
            return None
        return {
            "version": account.version,
            "closed": bool(account.closed_at),
            "grants": {g.number: (g.available, g.held, g.settled) for g in account.grants},
            "holds": {
                hold.number: sum(piece.amount for piece in hold.pieces)
                for hold in account.holds.values()
            },
            "advance": {asset: tuple(pair) for asset, pair in account.advance.items()},
            "overage": {asset: tuple(pair) for asset, pair in account.overage.items()},
            "suspended": account.suspended,
        }


def _left(grant: NaiveGrant) -> int:
    return grant.amount - grant.drawn - grant.unused


HANDLERS: Final[dict[type, Callable[[ShardModel, Any], None]]] = {
    e.WriterOpened: ShardModel._writer_opened,
    e.ConfigurationApplied: ShardModel._configuration_applied,
    e.ClockAdvanced: ShardModel._clock_advanced,
    e.TimeShifted: ShardModel._time_shifted,
    e.BookOpened: ShardModel._book_opened,
    e.AccountCreated: ShardModel._account_created,
    e.AccountPolicyUpdated: ShardModel._policy_updated,
    e.AccountClosed: ShardModel._account_closed,
    e.AccountClosedOut: ShardModel._account_closed_out,
    e.AccountReopened: ShardModel._account_reopened,
    e.AccountFrozen: ShardModel._account_frozen,
    e.AccountUnfrozen: ShardModel._account_unfrozen,
    e.AccountProfileUpdated: ShardModel._profile_updated,
    e.GrantIssued: ShardModel._grant_issued,
    e.GrantStarted: ShardModel._grant_started,
    e.GrantRolledOver: ShardModel._unasked,
    e.GrantReleased: ShardModel._unasked,
    e.GrantCancelled: ShardModel._unasked,
    e.GrantRefunded: ShardModel._unasked,
    e.GrantChargedBack: ShardModel._unasked,
    e.AccountBilled: ShardModel._unasked,
    e.PaymentRecorded: ShardModel._unasked,
    e.CreditNoteIssued: ShardModel._unasked,
    e.ReceivableWrittenOff: ShardModel._unasked,
    e.GrantVoided: ShardModel._grant_voided,
    e.GrantExpired: ShardModel._grant_expired,
    e.PlanDeclared: ShardModel._plan_declared,
    e.UsageRecorded: ShardModel._usage_recorded,
    e.UsageCaptured: ShardModel._usage_recorded,
    e.HoldCharged: ShardModel._hold_charged,
    e.UsageQuarantined: ShardModel._usage_quarantined,
    e.LimitExceeded: ShardModel._limit_exceeded,
    e.UsageReversed: ShardModel._correction,
    e.GrantRestored: ShardModel._correction,
    e.BalanceAdjusted: ShardModel._correction,
    e.RecurringStarted: ShardModel._recurring,
    e.RecurringIssued: ShardModel._recurring,
    e.RecurringChanged: ShardModel._recurring,
    e.RecurringPaused: ShardModel._recurring,
    e.RecurringResumed: ShardModel._recurring,
    e.RecurringEnded: ShardModel._recurring,
    e.GrantReduced: ShardModel._recurring,
    e.CommitmentCreated: ShardModel._commitment,
    e.SegmentAdded: ShardModel._commitment,
    e.CommitmentEnded: ShardModel._commitment,
    e.InvoiceDue: ShardModel._commitment,
    e.TopUpRuleSet: ShardModel._commitment,
    e.TopUpRuleRemoved: ShardModel._commitment,
    e.TopUpRequested: ShardModel._commitment,
    e.TopUpConfirmed: ShardModel._commitment,
    e.TopUpDeclined: ShardModel._commitment,
    e.TopUpExpired: ShardModel._commitment,
    e.AdjustmentNoted: ShardModel._adjustment_noted,
    e.HoldAuthorized: ShardModel._hold_authorized,
    e.AuthorizeDenied: ShardModel._denied,
    e.HoldExtended: ShardModel._hold_extended,
    e.HoldReleased: ShardModel._hold_released,
    e.HoldExpired: ShardModel._hold_expired,
    e.RequestAbandoned: ShardModel._abandoned,
}
"""One function an event; a test asserts that every event has one."""
