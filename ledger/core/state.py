"""The fold of the journal, in memory: plain slotted objects that only `evolve` changes.

What can be derived (active grants and their order, timers, inherited rate cards) is kept beside
what is recorded and left out of the digest. `catalog` and `vocabulary` are not state: the first is
the compiled configuration that the engine installs, the second lasts for one batch.
"""

from __future__ import annotations

from heapq import heappush

from ledger.core.account import Account, inherited_zone, pays_minimums
from ledger.core.books import Book, Books
from ledger.core.catalog import Bound, Catalog
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.events import BookKind, PlanDeclared
from ledger.core.family import Family
from ledger.core.holdings import (
    GRANT_CANCELLED,
    GRANT_EXPIRED,
    GRANT_OPEN,
    GRANT_VOIDED,
    NEVER,
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    TOP_UP_PENDING,
    Commitment,
    Corrected,
    Debt,
    Grant,
    GrantOrder,
    RecurringGrant,
    TopUp,
)
from ledger.core.holds import (
    HOLD_CAPTURED,
    HOLD_CHARGED,
    HOLD_EXPIRED,
    HOLD_RELEASED,
    Estimate,
    Hold,
    Outcome,
    SettledHold,
    SettledOutcome,
)
from ledger.core.keys import KeyMap
from ledger.core.limits import (
    CORRECTION_WINDOW_US,
    DAY_TOTALS_KEPT_US,
    DEDUPE_WINDOW_US,
    FUTURE_TOLERANCE_US,
    KEYS_OUTLIVE_US,
    MONTH_MAX_US,
)
from ledger.core.outcomes import LOCATOR_INDEX_MASK, locator_of
from ledger.core.periods import Calendar, Zones, billing_period
from ledger.core.pricing.quotes import QUOTE_EXPIRED, QUOTE_OPEN, QUOTE_USED, Quote
from ledger.core.pricing.shared_totals import KIND_MASK
from ledger.core.statements.statements import Statements, find_due
from ledger.core.timers import (
    FETCHED,
    TIMER_CHARGE,
    TIMER_COMMITMENT,
    TIMER_CONTRACT,
    TIMER_FAMILY,
    TIMER_GAUGE,
    TIMER_GRANT,
    TIMER_HOLD,
    TIMER_MINIMUMS,
    TIMER_PACKAGE,
    TIMER_QUOTE,
    TIMER_RECURRING,
    TIMER_RERATE,
    TIMER_SEATS,
    TIMER_STATEMENT,
    TIMER_SUSPENSE,
    TIMER_TOP_UP,
)

__all__ = [
    "FETCHED",
    "GRANT_CANCELLED",
    "GRANT_EXPIRED",
    "GRANT_OPEN",
    "GRANT_VOIDED",
    "HOLD_CAPTURED",
    "HOLD_CHARGED",
    "HOLD_EXPIRED",
    "HOLD_RELEASED",
    "NEVER",
    "QUOTE_EXPIRED",
    "QUOTE_OPEN",
    "QUOTE_USED",
    "TIMER_CHARGE",
    "TIMER_COMMITMENT",
    "TIMER_CONTRACT",
    "TIMER_FAMILY",
    "TIMER_GAUGE",
    "TIMER_GRANT",
    "TIMER_HOLD",
    "TIMER_MINIMUMS",
    "TIMER_PACKAGE",
    "TIMER_QUOTE",
    "TIMER_RECURRING",
    "TIMER_RERATE",
    "TIMER_SEATS",
    "TIMER_STATEMENT",
    "TIMER_SUSPENSE",
    "TIMER_TOP_UP",
    "TOP_UP_CONFIRMED",
    "TOP_UP_DECLINED",
    "TOP_UP_EXPIRED",
    "TOP_UP_PENDING",
    "Account",
    "Commitment",
    "Corrected",
    "Debt",
    "Estimate",
    "Family",
    "FixedCharge",
    "Grant",
    "GrantOrder",
    "Hold",
    "Outcome",
    "Quote",
    "RecurringGrant",
    "SettledHold",
    "SettledOutcome",
    "State",
    "TopUp",
    "inherited_zone",
    "pays_minimums",
]


def corrected_before(settled_before: int) -> int:
    """The same bound for corrections, which are kept longer than settled holds."""
    return settled_before - (CORRECTION_WINDOW_US - DEDUPE_WINDOW_US)


def months_before(settled_before: int) -> int:
    """The same bound for what is counted by month: no usage that may be corrected is of a month
    that began then or earlier (rules R1, D3)."""
    return corrected_before(settled_before) - MONTH_MAX_US


def days_before(settled_before: int) -> int:
    """The same bound for what is counted by day: no usage counts in a day that began then or
    earlier (rules R1, T2)."""
    return settled_before - (DAY_TOTALS_KEPT_US - DEDUPE_WINDOW_US)


class State:
    """All that one shard knows."""

    __slots__ = (
        "accounts",
        "acting",
        "batch_seq",
        "books",
        "calendars",
        "card_keys",
        "catalog",
        "charges",
        "commitments",
        "configuration",
        "cost_books",
        "declared",
        "epoch",
        "families",
        "first_event",
        "grants",
        "holds",
        "house",
        "keys",
        "locator",
        "minimums_from",
        "next_book",
        "next_budget",
        "next_charge",
        "next_commitment",
        "next_grant",
        "next_hold",
        "next_quote",
        "next_recurring",
        "next_top_up",
        "now",
        "offset",
        "offsets",
        "overdue",
        "paged",
        "paged_families",
        "paged_tenants",
        "plan_indexes",
        "quotes",
        "recorded_at",
        "recurring",
        "revenues",
        "shard",
        "suspended",
        "suspended_events",
        "timers",
        "top_ups",
        "touched",
        "used_books",
        "vocabulary",
        "window_end",
        "window_start",
    )

    def __init__(self, shard: int, catalog: Catalog) -> None:
        self.shard = shard
        self.catalog = catalog
        self.epoch = 0
        self.batch_seq = 0
        self.first_event = 0  # entries in all batches before this one
        self.locator = 0  # of the entry that comes next
        self.recorded_at = 0  # by the writer's clock
        self.offsets: dict[int, int] = {}  # tenant -> how far its clock is ahead (rule T4)
        self.minimums_from: dict[int, int] = {}  # tenant -> since when cards have minimums (R2)
        self.offset = 0  # of the entries that come next, as the batch says
        self.acting = 0  # of the tenant in whose name is decided
        self.now = 0  # recorded_at + acting: what every decision goes by
        self.window_start = 0  # usage effective before is too old, after the end in the future
        self.window_end = 0
        self.books = Books()
        self.accounts: dict[int, Account] = {}
        self.families: dict[int, Family] = {}
        self.grants: dict[int, Grant] = {}
        self.holds: dict[int, Hold] = {}
        self.recurring: dict[int, RecurringGrant] = {}
        self.commitments: dict[int, Commitment] = {}
        self.charges: dict[int, FixedCharge] = {}
        self.top_ups: dict[int, TopUp] = {}
        self.quotes: dict[int, Quote] = {}  # open ones
        self.house: dict[tuple[int, int, int, str], Book] = {}  # tenant, kind, asset, name
        self.revenues: dict[tuple[int, str], dict[int, Book]] = {}  # tenant, product -> by asset
        self.configuration: dict[int, int] = {}  # tenant -> version
        self.suspended: dict[int, int] = {}  # root -> usage events of the family that wait (B8)
        self.suspended_events = 0  # in all of them
        self.card_keys: dict[tuple[int, str], tuple[int, str]] = {}  # one object for many accounts
        self.calendars: dict[str, Calendar] = {}  # zone -> that of whoever never had another
        self.keys = KeyMap()
        # Heap of (due, what, number), due by the writer's clock; what is one of TIMER_ above.
        self.timers: list[tuple[int, int, int]] = []
        # Families that are packed elsewhere, not here: account -> root, root -> its timer.
        self.paged: dict[int, int] = {}
        self.paged_families: dict[int, int] = {}
        self.paged_tenants: dict[int, int] = {}  # root -> tenant
        self.overdue: list[int] = []  # of them, those that are to be paged in: something is due
        self.next_book = 1
        self.next_grant = 1
        self.next_hold = 1
        self.next_recurring = 1
        self.next_commitment = 1
        self.next_top_up = 1
        self.next_quote = 1
        self.next_budget = 1
        self.next_charge = 1
        self.vocabulary: dict[PlanDeclared, int] = {}  # this batch's plans -> their index
        self.declared: dict[int, PlanDeclared] = {}  # and back
        self.plan_indexes: dict[Bound, int] = {}  # the same by what they price
        self.touched: dict[int, None] = {}  # families of what it recorded many at a time
        self.used_books: dict[Bound, int] = {}  # numbers of used books, looked up in this batch
        self.cost_books: dict[Bound, tuple[int, int]] = {}  # and of cost and payable books

    def begin_batch(self, batch_seq: int, recorded_at: int) -> None:
        """Move to the next batch: its entries share one recorded time (rule T5)."""
        assert batch_seq == self.batch_seq + 1, (batch_seq, self.batch_seq)
        assert recorded_at > self.recorded_at, (recorded_at, self.recorded_at)
        self.first_event = self.entry_seq
        self.batch_seq = batch_seq
        self.locator = locator_of(batch_seq, 0)
        self.vocabulary = {}
        self.declared = {}
        self.plan_indexes = {}
        self.touched = {}
        self.used_books = {}
        self.cost_books = {}
        self._move_to(recorded_at)

    def stand_at(self, batch_seq: int, entry_seq: int, recorded_at: int) -> None:
        """Stand at the end of a batch that was folded before: for a restored state."""
        self.batch_seq = batch_seq
        self.first_event = entry_seq
        self.locator = locator_of(batch_seq, 0)
        self._move_to(recorded_at)

    def postpone_batch(self, recorded_at: int) -> None:
        """Move a batch that is still empty on to the present time."""
        assert self.batch_length == 0, self.batch_length
        assert recorded_at > self.recorded_at, (recorded_at, self.recorded_at)
        self._move_to(recorded_at)

    def _move_to(self, recorded_at: int) -> None:
        """Set the batch's time, and forget what is older than the dedupe window by then."""
        self.recorded_at = recorded_at
        self.offset = 0
        self._act_at(0)
        self.keys.rotate(recorded_at)

    # -- clocks of tenants (rule T4) ---------------------------------------------------------------

    def act_for(self, tenant: int) -> None:
        """Decide in the time of this tenant from now on: nothing of it is recorded yet."""
        offset = self.offsets.get(tenant, 0)
        if offset != self.acting:
            self._act_at(offset)

    def record_at(self, offset: int) -> None:
        """The entries that come next are of this offset."""
        self.offset = offset
        self._act_at(offset)

    def _act_at(self, offset: int) -> None:
        self.acting = offset
        self.now = now = self.recorded_at + offset
        self.window_start = now - DEDUPE_WINDOW_US
        self.window_end = now + FUTURE_TOLERANCE_US

    def present(self, clock_us: int) -> int:
        """What it is now for the tenant in whose name is looked, at that time by the clock."""
        return max(clock_us, self.recorded_at) + self.acting

    def timer_at(self, tenant: int, due: int) -> int:
        """When something is due by the writer's clock that is due then by the tenant's."""
        return due if due == NEVER else due - self.offsets.get(tenant, 0)

    def advance_clock(self, tenant: int, offset: int) -> None:
        """Move a tenant's clock: all that it makes due comes earlier by the writer's."""
        moved = offset - self.offsets.get(tenant, 0)
        self.offsets[tenant] = offset
        for account in self.accounts.values():
            if account.tenant == tenant:
                due = self.timer_at(tenant, account.next_due)
                self.schedule(self.families[account.root], due)
        for root, owner in self.paged_tenants.items():
            due = self.paged_families[root]
            if owner == tenant and due not in (FETCHED, NEVER):
                self.paged_families[root] = due - moved
                heappush(self.timers, (due - moved, TIMER_FAMILY, root))

    # -- minimums (rule R2) ------------------------------------------------------------------------

    def minimums_period(self, account: Account) -> tuple[int, int]:
        """[start, end) of the billing period of which minimums are to be settled next."""
        since = max(
            self.minimums_from.get(account.tenant, 0),
            account.created_at,
            account.minimums_until,
            account.minimums_looked,
        )
        return billing_period(since, account.anchors, account.calendar)

    def find_minimums_due(self, account: Account) -> None:
        """Work out anew when the account's minimums are settled next."""
        account.minimums_due = NEVER
        pays = account.tenant in self.minimums_from and pays_minimums(account)
        if pays and not account.closed_at:
            _, end = self.minimums_period(account)
            account.minimums_due = end + account.policy.period_grace

    def await_minimums(self, account: Account) -> None:
        """The same, with a timer."""
        before = account.minimums_due
        self.find_minimums_due(account)
        due = account.minimums_due
        if due not in (before, NEVER):
            at = self.timer_at(account.tenant, due)
            heappush(self.timers, (at, TIMER_MINIMUMS, account.number))
            account.next_due = min(account.next_due, due)

    def begin_minimums(self, tenant: int, since: int) -> None:
        """Cards of a tenant have minimums from now on: families that are packed elsewhere are due
        at once, so that each is read in its turn."""
        self.minimums_from[tenant] = since
        for account in self.accounts.values():
            if account.tenant == tenant:
                self.await_minimums(account)
        for root, owner in self.paged_tenants.items():
            due = self.paged_families[root]
            if owner == tenant and due != FETCHED and due > self.recorded_at:
                self.paged_families[root] = self.recorded_at
                heappush(self.timers, (self.recorded_at, TIMER_FAMILY, root))

    # -- statements (rule T2) ----------------------------------------------------------------------

    def find_statement_due(self, account: Account) -> None:
        """Work out anew when the account's next statement ends by itself."""
        due = find_due(account)
        if account.statements is None:
            if due == NEVER:
                return
            account.statements = Statements(account)
        account.statements.due = due

    def await_statement(self, account: Account) -> None:
        """The same, with a timer."""
        before = account.statements.due if account.statements is not None else NEVER
        self.find_statement_due(account)
        due = account.statements.due if account.statements is not None else NEVER
        if due not in (before, NEVER):
            at = self.timer_at(account.tenant, due)
            heappush(self.timers, (at, TIMER_STATEMENT, account.number))
            account.next_due = min(account.next_due, due)

    # -- gauges (rule T2) --------------------------------------------------------------------------

    def await_gauges(self, account: Account, again: bool = False) -> None:
        """Work out anew when the next of the account's gauges is charged, with a timer; `again`:
        also for what is due when the one before was."""
        gauges = account.gauges
        if gauges is None:
            return
        before = gauges.due
        gauges.find_due()
        due = gauges.due
        if due != NEVER and (again or due != before):
            heappush(self.timers, (self.timer_at(account.tenant, due), TIMER_GAUGE, account.number))
            account.next_due = min(account.next_due, due)

    # -- totals of several accounts (rules R1, D8) -------------------------------------------------

    def total(self, account: Account, place: tuple[int, int, int]) -> int:
        """A running total that an account's usage reads: its own, or one that it shares."""
        if place[1] <= KIND_MASK:
            return account.total(*place)
        shared = self.families[account.root].shared.get(place)
        return shared.total if shared is not None else 0

    def await_dues(self, account: Account, since: int) -> None:
        """Have a re-rate of an account posted that is due from then on."""
        dues = account.dues
        assert dues is not None, account.number
        if since < dues.due:
            dues.due = since
            at = self.timer_at(account.tenant, since)
            heappush(self.timers, (at, TIMER_RERATE, account.number))
            account.next_due = min(account.next_due, since)

    # -- what is remembered ------------------------------------------------------------------------

    @property
    def settled_before(self) -> int:
        """Holds that were settled then or earlier are forgotten; later ones by a tenant's clock, if
        it is ahead."""
        return self.recorded_at - DEDUPE_WINDOW_US - KEYS_OUTLIVE_US

    @property
    def corrected_before(self) -> int:
        """Corrections of usage that was effective then or earlier are forgotten."""
        return corrected_before(self.settled_before)

    @property
    def months_before(self) -> int:
        """What was counted in months that began then or earlier is forgotten."""
        return months_before(self.settled_before)

    @property
    def days_before(self) -> int:
        """What was counted in days that began then or earlier is forgotten."""
        return days_before(self.settled_before)

    def settled_hold(self, account: Account, number: int) -> SettledHold | None:
        """A hold of the account's family that was settled within the dedupe window."""
        hold = self.families[account.root].settled.get(number)
        return hold if hold is not None and hold.settled_at > self.settled_before else None

    def quote_of(self, account: Account, number: int) -> Quote | None:
        """A quote of the account, open or settled within the dedupe window."""
        quote = account.quotes.get(number)
        if quote is not None:
            return quote
        settled = self.families[account.root].settled_quotes.get(number)
        if settled is None or settled.account is not account:
            return None
        return settled if settled.settled_at > self.settled_before else None

    def family_accounts(self, root: int) -> list[Account]:
        """The accounts of a family that is here, parents before their children."""
        return self.accounts[root].below()

    def line_at(self, account: Account, locator: int) -> list[Account]:
        """An account and those that were above it when that entry was recorded, nearest first."""
        line: list[Account] = []
        node: Account | None = account
        while node is not None:
            line.append(node)
            above = node.parent
            for _, moved_by, number in reversed(node.parents_before):
                if moved_by < locator:
                    break
                above = self.accounts[number]
            node = above
        return line

    def ever_above(self, account: Account) -> list[Account]:
        """The accounts that may have paid for one, or been billed for it: those above it, the
        nearest first, then those that were before a move (rules D1, D3)."""
        found: list[Account] = []
        above = account.parent
        while above is not None:
            found.append(above)
            above = above.parent
        moved = [each for each in (account, *found) if each.parents_before]
        for each in moved:  # and what was above those
            for _, _, number in each.parents_before:
                before: Account | None = self.accounts[number]
                while before is not None and before not in found and before is not account:
                    found.append(before)
                    if before.parents_before:
                        moved.append(before)
                    before = before.parent
        return found

    def schedule(self, family: Family, due: int) -> None:
        """Have a timer for the whole family at `due` by the writer's clock, unless one stands
        earlier."""
        if due < family.scheduled:
            family.scheduled = due
            heappush(self.timers, (due, TIMER_FAMILY, family.root))

    def try_suspended(self, root: int) -> None:
        """Have what waits in a family tried from the first on: prices may have come (rule B8)."""
        if root in self.suspended:
            family = self.families.get(root)
            if family is not None:
                family.to_try = None
            heappush(self.timers, (self.recorded_at, TIMER_SUSPENSE, root))

    def try_suspended_of(self, tenant: int) -> None:
        """The same for all families of a tenant, those too that are packed elsewhere."""
        for root in self.suspended:
            account = self.accounts.get(root)
            owner = account.tenant if account is not None else self.paged_tenants[root]
            if owner == tenant:
                self.try_suspended(root)

    @property
    def batch_length(self) -> int:
        """Entries in the batch so far: the index of the next one."""
        return self.locator & LOCATOR_INDEX_MASK

    @property
    def entry_seq(self) -> int:
        """Entries in all batches so far: the number of the next one."""
        return self.first_event + (self.locator & LOCATOR_INDEX_MASK)

    def card_key(self, tenant: int, name: str) -> tuple[int, str]:
        """(tenant, name) of a rate card: the same object for every account that it prices."""
        key = (tenant, name)
        return self.card_keys.setdefault(key, key)

    def calendar(self, zones: Zones) -> Calendar:
        """The months in these zones: one object for all accounts that count in one zone."""
        if len(zones) > 1:
            return Calendar(zones)
        zone = zones[0][1]
        found = self.calendars.get(zone)
        if found is None:
            found = self.calendars[zone] = Calendar(zones)
        return found

    def house_book(self, tenant: int, kind: BookKind, asset: int, name: str) -> Book | None:
        """A tenant's house account on this shard, if it is open (rule B7)."""
        return self.house.get((tenant, kind, asset, name))
