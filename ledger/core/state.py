"""The fold of the journal, in memory: plain slotted objects that only `evolve` changes.

What can be derived (active grants and their order, timers, inherited rate cards) is kept beside
what is recorded and left out of the digest. `catalog` and `vocabulary` are not state: the first is
the compiled configuration that the engine installs, the second lasts for one batch.
"""

from __future__ import annotations

from heapq import heappush
from typing import Final

from ledger.core.books import Book, Books
from ledger.core.budgets.budgets import Budget
from ledger.core.catalog import Bound, CardKey, Catalog
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.contracts.contracts import Contract, due_contract
from ledger.core.decisions.decision_policies import NO_RULES, OwnRules, StandingRules
from ledger.core.events import AccountPolicy, BookKind, PlanDeclared, TopUpRule
from ledger.core.funding.caps import Cap
from ledger.core.holdings import (
    GRANT_CANCELLED,
    GRANT_EXPIRED,
    GRANT_OPEN,
    GRANT_VOIDED,
    HOLD_CAPTURED,
    HOLD_CHARGED,
    HOLD_EXPIRED,
    HOLD_RELEASED,
    NEVER,
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_EXPIRED,
    TOP_UP_PENDING,
    Commitment,
    Corrected,
    Debt,
    Estimate,
    Grant,
    GrantOrder,
    Hold,
    Outcome,
    RecurringGrant,
    SettledHold,
    SettledOutcome,
    TopUp,
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
from ledger.core.mandates.mandates import Mandate
from ledger.core.metering.gauges import Gauges
from ledger.core.metering.waiting import Rated, Waiting
from ledger.core.outcomes import LOCATOR_INDEX_MASK, locator_of
from ledger.core.packages.subscriptions import Subscription
from ledger.core.periods import CALENDAR_MONTHS, Anchors, Calendar, Zones, billing_period
from ledger.core.pricing.quotes import QUOTE_EXPIRED, QUOTE_OPEN, QUOTE_USED, Quote
from ledger.core.pricing.shared_totals import KIND_MASK, Dues, SharedTotal, is_kept
from ledger.core.pricing.sold import Sold
from ledger.core.seats.seats import SeatPlans
from ledger.core.statements.statements import Statements, find_due
from rating.functions import SCOPE_DAY, SCOPE_MONTH
from rating.overrides import Layer, OverrideSet
from rating.zones import UTC_ZONE

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

TIMER_RERATE = -2  # of an account: what others have made its usage cost, before all else
TIMER_GAUGE = -1  # of an account: before minimums, which count it, and before grants are forfeited
TIMER_FAMILY = 0  # of a family that was paged out: before what it brings back at that instant
TIMER_HOLD = 1
TIMER_MINIMUMS = 2  # of an account: before what is left of grants at that instant is forfeited
TIMER_GRANT = 3
TIMER_RECURRING = 4
TIMER_COMMITMENT = 5
TIMER_TOP_UP = 6
TIMER_SUSPENSE = 7  # of a family: what waits for a price is tried
TIMER_QUOTE = 8
TIMER_CONTRACT = 11  # of an account: before the period that its package begins then
TIMER_PACKAGE = 12  # of an account: the next period of its subscription
TIMER_SEATS = 13  # of an account: the next period of a plan of seats
TIMER_CHARGE = 14  # after whatever is granted at that instant, which may pay it
TIMER_STATEMENT = 20  # of an account: after all that is to be in it at that instant

FETCHED = 0
"""Stands for the timer of a paged family that is being fetched, for something of it is due."""


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


LEVEL_SCOPE: Final = SCOPE_DAY
"""Where levels of meters stand among the running totals by scope: no report counts in a scope that
began as long ago as days are forgotten, and keys of price rows are below 2^62."""

RowDraws = dict[tuple[int, int, int], dict[tuple[int, int, int], int]]
"""(key, scope, its start) of a running total -> (used book, book, month of overage) -> units that
its usage drew there, first drawn first."""


class Account:
    """One account of a family, with what its decisions need."""

    __slots__ = (
        "advance",
        "anchors",
        "budgets",
        "calendar",
        "caps",
        "caps_given",
        "card_key",
        "cards_before",
        "charges",
        "children",
        "closed_at",
        "closed_until",
        "commitments",
        "comparator",
        "contracts",
        "created_at",
        "debt",
        "depth",
        "dues",
        "first",
        "freeze_cause",
        "frozen",
        "frozen_at",
        "frozen_by",
        "gaps",
        "gauges",
        "grants",
        "holds",
        "leases",
        "lent",
        "lifetime",
        "mandate",
        "minimums_due",
        "minimums_looked",
        "minimums_until",
        "next_due",
        "number",
        "open_from",
        "outcomes",
        "overage",
        "overage_pending",
        "overage_posted",
        "override_set",
        "overrides",
        "overrides_version",
        "own_rules",
        "packaged",
        "parent",
        "parents_before",
        "period_end",
        "period_start",
        "place_version",
        "policy",
        "profile_at",
        "profile_version",
        "quotes",
        "receivable",
        "recurring",
        "reopened_at",
        "root",
        "row_draws",
        "ruled",
        "rules",
        "scoped",
        "seats",
        "sharing",
        "sold",
        "statements",
        "subscription",
        "suspended",
        "tenant",
        "top_up_rules",
        "top_ups",
        "totals",
        "unbilled",
        "unordered",
        "version",
        "watched",
        "written_off",
    )

    def __init__(
        self,
        tenant: int,
        number: int,
        root: int,
        parent: Account | None,
        policy: AccountPolicy,
        card_key: CardKey,
        comparator: int,
        calendar: Calendar,
        created_at: int,
    ) -> None:
        self.tenant = tenant
        self.number = number
        self.root = root
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent is not None else 1
        self.policy = policy
        self.version = 1
        self.created_at = created_at
        self.closed_at = 0
        self.reopened_at = 0  # last
        self.closed_until = 0  # what had ended by then is closed for ever, whatever its grace now
        self.written_off = 0  # locator of the last entry that wrote off what it owed
        self.gaps: tuple[tuple[int, int], ...] = ()  # [closed, reopened) within the window
        self.frozen_at = 0  # itself, whatever is above it
        self.frozen_by = 0  # locator of the entry that froze it
        self.freeze_cause = 0
        self.frozen: bool = parent is not None and parent.frozen  # itself, or one above it
        self.open_from: int = NEVER if self.frozen else 0  # usage from then on meets it open
        self.profile_version = 1
        self.profile_at = 0  # locator of the entry that its display name and metadata stand beside
        self.children: list[Account] = []
        self.place_version = 1  # one more with each move
        # Of its moves, oldest first: (when, locator of the entry, number of the parent until then).
        self.parents_before: tuple[tuple[int, int, int], ...] = ()
        self.grants: list[Grant] = []
        self.first: Grant | None = None  # of its grants with units left, chained by `after`
        self.unordered = False  # whether the comparator has yet to order the chain
        self.sharing = 0  # of those grants, how many are shared with what is below
        self.caps: tuple[Cap, ...] = ()  # on what accounts above share with it (rule D8)
        self.caps_given: dict[int, Cap] = {}  # on what it shares with those below
        self.holds: dict[int, Hold] = {}
        self.outcomes = 0  # how many of them are outcomes that pend
        self.leases: tuple[Hold, ...] = ()  # and those that are credit leases
        self.quotes: dict[int, Quote] = {}  # open ones
        self.recurring: list[RecurringGrant] = []
        self.commitments: list[Commitment] = []
        self.contracts: tuple[Contract, ...] = ()  # one at a time, ended ones too
        # [from, until) in which it has, or had, a package, of what late usage may ask for.
        self.packaged: tuple[tuple[int, int], ...] = ()
        self.subscription: Subscription | None = None
        self.sold: Sold | None = None  # what its package and its contract say of prices (R4, P2)
        self.charges: tuple[FixedCharge, ...] = ()  # ended ones too
        self.seats: SeatPlans | None = None  # plans of seats
        self.statements: Statements | None = None
        self.top_up_rules: dict[int, tuple[int, TopUpRule | None]] = {}  # asset -> version, rule
        self.watched = False  # whether a top-up rule, a budget or seats look at each of its entries
        self.ruled = False  # whether any of them does but budgets
        self.top_ups: dict[int, TopUp] = {}  # pending ones, and those of the dedupe window
        self.lent: dict[int, Hold] = {}  # holds of those below that reserve units of its grants
        self.totals: dict[tuple[int, int], int] = {}  # (price row, period) -> quantity, rule R1
        # (key, scope, its start) -> quantity: totals of days and billing periods (rule R1).
        self.scoped: dict[tuple[int, int, int], int] = {}
        self.row_draws: RowDraws = {}
        self.advance: dict[int, Book] = {}  # asset -> book
        self.debt: dict[int, Debt] = {}  # asset -> whose debt that book holds
        self.overage: dict[int, Book] = {}  # asset -> book billed to this account
        self.unbilled: dict[int, Book] = {}  # money asset -> book
        self.receivable: dict[int, Book] = {}  # money asset -> book
        self.lifetime: dict[int, int] = {}  # money asset -> lifetime value (rule H6)
        # What this account's usage put into overage: posted by (asset, period), pending by asset.
        self.overage_posted: dict[tuple[int, int], int] = {}
        self.overage_pending: dict[int, int] = {}
        self.gauges: Gauges | None = None  # to be charged when their scopes end (rule T2)
        self.dues: Dues | None = None  # re-rates by totals that it shares (rule R1)
        self.suspended = 0  # usage events with an unrated quantity
        self.budgets: list[Budget] = []  # its own; they bind those below it too (rule H4)
        self.mandate: Mandate | None = None  # it is an agent's (rule H4)
        self.next_due: int = NEVER  # nothing of this account falls due before
        self.overrides: Layer = ()  # its own: those taken back, then the list that stands (R4)
        self.overrides_version = 0
        self.own_rules: OwnRules = NO_RULES  # of its decisions, and what its package carries
        # Those that count: its own, else its package's, else those of the nearest above.
        self.rules: StandingRules | None = parent.rules if parent is not None else None
        self.override_set: OverrideSet | None = (
            parent.override_set if parent is not None else None
        )  # its contract's, its own, its package's, then those above
        self.card_key: CardKey = card_key
        # (until, name) of the cards that it had before, of periods that may not be settled (R2).
        self.cards_before: tuple[tuple[int, str], ...] = ()
        self.minimums_until = 0  # end of the last billing period of which minimums are settled
        self.minimums_looked = 0  # the same where none was in force, which is derived
        self.minimums_due: int = NEVER  # when those of the next are
        self.comparator = comparator  # its own, else its nearest ancestor's
        self.calendar = calendar  # its months (rule T1)
        self.anchors: Anchors = opened_anchors(policy)  # of its billing periods
        self.period_start = 0  # the billing period that was asked for last
        self.period_end = 0

    def find_open_from(self) -> None:
        """Work out anew from when on usage needs no look at what was closed or frozen."""
        if self.closed_at or self.frozen:
            self.open_from = NEVER
        else:
            self.open_from = self.gaps[-1][1] if self.gaps else 0

    def closed_by(self, now: int) -> int:
        """What had ended by then takes late events no more, ever: its grace is over (rule T2)."""
        return max(self.closed_until, now - self.policy.period_grace)

    def billing_period_of(self, at_us: int) -> int:
        """First microsecond of the account's billing period that holds an instant (rule T1)."""
        if not self.period_start <= at_us < self.period_end:
            period = billing_period(at_us, self.anchors, self.calendar)
            self.period_start, self.period_end = period
        return self.period_start

    def count_periods(self, anchors: Anchors, calendar: Calendar) -> None:
        """Let its months and billing periods go by these from now on."""
        self.anchors, self.calendar = anchors, calendar
        self.period_start = self.period_end = 0

    def total(self, key: int, scope: int, start: int) -> int:
        """A running total in its scope (rule R1)."""
        if scope == SCOPE_MONTH:
            return self.totals.get((key, start), 0)
        return self.scoped.get((key, scope, start), 0)

    def forget_scoped(self, days: int, months: int) -> None:
        """Drop what was counted in days, and in months and periods, that began then or earlier."""
        self.scoped = {
            place: quantity
            for place, quantity in self.scoped.items()
            if is_kept(place, days, months)
        }
        self.row_draws = {
            place: drawn for place, drawn in self.row_draws.items() if is_kept(place, days, months)
        }

    def forget_months(self, before: int) -> None:
        """Drop what was counted in months that began then or earlier. No one looks there."""
        for counters in (self.totals, self.overage_posted):
            while counters:
                oldest = next(iter(counters))  # about: a late one only stays longer
                if oldest[1] > before:
                    break
                del counters[oldest]

    def overrides_remembered(self, before: int) -> Layer:
        """Its overrides without those taken back then or earlier: no usage needs them."""
        return tuple([each for each in self.overrides if each.ended_at_us > before])

    def moves_remembered(self, before: int) -> tuple[tuple[int, int, int], ...]:
        """Its moves but those of then or earlier: no usage needs them."""
        return tuple([each for each in self.parents_before if each[0] > before])

    def in_its_zone(self) -> list[Account]:
        """Itself and those below it that have its zone."""
        found = [self]
        for each in found:
            found.extend([child for child in each.children if not child.policy.zone])
        return found

    def line(self) -> list[Account]:
        """Itself and those above it, the nearest first."""
        found = []
        node: Account | None = self
        while node is not None:
            found.append(node)
            node = node.parent
        return found

    def below(self) -> list[Account]:
        """Itself and all below it, parents before their children."""
        found = [self]
        for each in found:
            found.extend(each.children)
        return found

    def freezer(self) -> Account | None:
        """The nearest of itself and those above it that is frozen; None = it takes new usage."""
        account: Account | None = self
        while account is not None and not account.frozen_at:
            account = account.parent
        return account

    def with_units(self) -> list[Grant]:
        """Its grants with units left, in the order in which they are chained."""
        grants: list[Grant] = []
        grant = self.first
        while grant is not None:
            grants.append(grant)
            grant = grant.after
        return grants

    def chain(self, grants: list[Grant]) -> None:
        """Chain these grants in this order."""
        self.first = None
        for grant in reversed(grants):
            grant.after = self.first
            self.first = grant

    def find_next_due(self) -> None:
        """Look up when something next falls due; what is settled only makes `next_due` early."""
        due = NEVER
        for instant, _, _ in self.timers():
            due = min(due, instant)
        for hold in self.lent.values():
            due = min(due, hold.expires_at)
        self.next_due = due

    def timers(self) -> list[tuple[int, int, int]]:
        """What is to fall due: (instant, what it is, its number)."""
        timers = [
            (hold.expires_at, TIMER_HOLD, hold.number)
            for hold in self.holds.values()
            if hold.expires_at != NEVER
        ]
        timers += [
            (due, TIMER_GRANT, grant.number) for grant in self.grants for due in grant.dues()
        ]
        timers += [
            (recurring.due, TIMER_RECURRING, recurring.number)
            for recurring in self.recurring
            if recurring.due != NEVER
        ]
        timers += [
            (commitment.due, TIMER_COMMITMENT, commitment.number)
            for commitment in self.commitments
            if commitment.due != NEVER
        ]
        timers += [
            (each.expires_at, TIMER_TOP_UP, each.number)
            for each in self.top_ups.values()
            if each.state == TOP_UP_PENDING
        ]
        timers += [(each.expires_at, TIMER_QUOTE, each.number) for each in self.quotes.values()]
        if self.subscription is not None and not self.subscription.over:
            timers.append((self.subscription.due, TIMER_PACKAGE, self.number))
        if self.charges:
            timers += [
                (each.due, TIMER_CHARGE, each.number) for each in self.charges if each.due != NEVER
            ]
        if self.seats is not None:
            timers += [
                (each.due, TIMER_SEATS, self.number)
                for each in self.seats.plans.values()
                if each.due != NEVER
            ]
        if self.contracts:
            contract = due_contract(self)
            if contract is not None:
                timers.append((contract.due, TIMER_CONTRACT, self.number))
        if self.minimums_due != NEVER:
            timers.append((self.minimums_due, TIMER_MINIMUMS, self.number))
        if self.statements is not None and self.statements.due != NEVER:
            timers.append((self.statements.due, TIMER_STATEMENT, self.number))
        if self.gauges is not None and self.gauges.due != NEVER:
            timers.append((self.gauges.due, TIMER_GAUGE, self.number))
        if self.dues is not None:
            timers.append((self.dues.due, TIMER_RERATE, self.number))
        return timers

    def find_watched(self) -> None:
        """Look up anew whether a top-up rule or a budget is in force, or usage goes by seats."""
        rules = self.top_up_rules.values()
        ruled = any(rule is not None and rule.enabled for _, rule in rules)
        self.ruled = ruled or (self.seats is not None and self.seats.watched)
        self.watched = self.ruled or bool(self.budgets)


def opened_anchors(policy: AccountPolicy) -> Anchors:
    """What the billing periods of an account run from that is opened with this policy."""
    return ((0, policy.billing_anchor),) if policy.billing_anchor else CALENDAR_MONTHS


def pays_minimums(account: Account) -> bool:
    """Whether the minimums of its card are its own: not where it inherits the card (rule R2)."""
    return account.parent is None or bool(account.policy.rate_card)


def inherited_zone(parent: Account | None, policy: AccountPolicy) -> str:
    """The zone of an account's months: its own, else its nearest ancestor's, else UTC (rule T1)."""
    return policy.zone or (parent.calendar.zone if parent is not None else UTC_ZONE)


class Family:
    """What the accounts under one root share."""

    __slots__ = (
        "budgeted_holds",
        "budgets",
        "commitment_keys",
        "corrected",
        "gauged",
        "grant_keys",
        "next_cap",
        "next_ordinal",
        "next_override",
        "rated",
        "rated_forgotten",
        "recurring_keys",
        "root",
        "scheduled",
        "settled",
        "settled_quotes",
        "shared",
        "to_try",
        "waiting",
    )

    def __init__(self, root: int) -> None:
        self.root = root
        self.next_ordinal = 1
        self.next_override = 1
        self.budgets: dict[int, Budget] = {}  # of all its accounts
        self.budgeted_holds: dict[int, list[int]] = {}  # hold -> budgets in which it pends
        self.next_cap = 1
        self.grant_keys: dict[bytes, int] = {}  # permanent external keys -> grant (rule I5)
        self.recurring_keys: dict[bytes, int] = {}  # and those of recurring grants
        self.commitment_keys: dict[bytes, int] = {}
        self.settled: dict[int, SettledHold] = {}  # for the dedupe window, first settled first
        self.settled_quotes: dict[int, Quote] = {}  # used and expired ones, likewise
        self.corrected: dict[int, Corrected] = {}  # locator of usage -> what was given back of it
        self.waiting: dict[int, Waiting] = {}  # locator of usage -> what of it is not rated (B8)
        self.to_try: list[int] | None = None  # of those, what is still to be tried, the last first
        self.rated: dict[int, Rated] = {}  # locator of usage -> what rated it since
        self.rated_forgotten = 0  # the last usage of which that is not kept, for lack of room
        self.gauged = 0  # accounts with gauges; derived
        # (key, scope, its start) -> totals that several accounts share (rule D8); derived.
        self.shared: dict[tuple[int, int, int], SharedTotal] = {}
        self.scheduled: int = (
            NEVER  # its own timer, by the writer's clock, for what has none since it was paged in
        )

    def share(self, place: tuple[int, int, int], account: int, by: int) -> None:
        """Move the part that an account has in a total that several share."""
        total = self.shared.get(place)
        if total is None:
            total = self.shared[place] = SharedTotal()
        total.move(account, by)
        if not total.parts:
            del self.shared[place]

    def forget_shared(self, days: int, months: int) -> None:
        """Drop what was counted in days, and in months and periods, that began then or earlier."""
        self.shared = {
            place: total for place, total in self.shared.items() if is_kept(place, days, months)
        }

    def is_trying(self, to_try: list[int]) -> bool:
        """Whether that is still the list of what is to be tried; new prices make it anew."""
        return self.to_try is to_try

    def pend(self, hold: int, budget: int) -> None:
        """Note that a hold pends in a budget."""
        budgets = self.budgeted_holds.setdefault(hold, [])
        if budget not in budgets:
            budgets.append(budget)

    def unpend(self, hold: int, budget: int) -> None:
        """Note that it does no more."""
        budgets = self.budgeted_holds[hold]
        budgets.remove(budget)
        if not budgets:
            del self.budgeted_holds[hold]

    def forget_settled(self, before: int) -> None:
        """Drop the holds that were settled then or earlier. Whoever looks compares the time too."""
        settled = self.settled
        while settled:
            oldest = next(iter(settled))
            if settled[oldest].settled_at > before:
                return
            del settled[oldest]

    def forget_quotes(self, before: int) -> None:
        """The same of quotes."""
        settled = self.settled_quotes
        while settled:
            oldest = next(iter(settled))
            if settled[oldest].settled_at > before:
                return
            del settled[oldest]

    def remembered(self, before: int) -> dict[int, Corrected]:
        """What was corrected, by locator in order, of events that were effective after `before`."""
        corrected = self.corrected
        return {
            locator: corrected[locator]
            for locator in sorted(corrected)
            if corrected[locator].effective_at > before
        }

    def remembered_rated(self, before: int) -> dict[int, Rated]:
        """What was rated after it had waited, in the same way."""
        rated = self.rated
        return {
            locator: rated[locator]
            for locator in sorted(rated)
            if rated[locator].effective_at > before
        }


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

    def rebuild_timers(self) -> None:
        """Forget the timers of what is settled: after a replay, before the first sweep."""
        live = [
            (self.timer_at(hold.account.tenant, hold.expires_at), TIMER_HOLD, hold.number)
            for hold in self.holds.values()
            if hold.expires_at != NEVER
        ]
        live += [
            (self.timer_at(grant.account.tenant, due), TIMER_GRANT, grant.number)
            for grant in self.grants.values()
            for due in grant.dues()
        ]
        live += [
            (self.timer_at(recurring.account.tenant, recurring.due), kind, recurring.number)
            for kind, every in (
                (TIMER_RECURRING, self.recurring.values()),
                (TIMER_COMMITMENT, self.commitments.values()),
            )
            for recurring in every
            if recurring.due != NEVER
        ]
        live += [
            (self.timer_at(each.account.tenant, each.expires_at), TIMER_TOP_UP, each.number)
            for each in self.top_ups.values()
            if each.state == TOP_UP_PENDING
        ]
        live += [(self.recorded_at, TIMER_SUSPENSE, root) for root in self.suspended]
        live += [
            (self.timer_at(each.tenant, each.minimums_due), TIMER_MINIMUMS, each.number)
            for each in self.accounts.values()
            if each.minimums_due != NEVER
        ]
        live += [
            (self.timer_at(each.tenant, each.gauges.due), TIMER_GAUGE, each.number)
            for each in self.accounts.values()
            if each.gauges is not None and each.gauges.due != NEVER
        ]
        live += [
            (self.timer_at(each.tenant, each.dues.due), TIMER_RERATE, each.number)
            for each in self.accounts.values()
            if each.dues is not None
        ]
        live += [
            (self.timer_at(each.tenant, each.subscription.due), TIMER_PACKAGE, each.number)
            for each in self.accounts.values()
            if each.subscription is not None and not each.subscription.over
        ]
        live += [
            (self.timer_at(each.account.tenant, each.due), TIMER_CHARGE, each.number)
            for each in self.charges.values()
            if each.due != NEVER
        ]
        live += [
            (self.timer_at(each.tenant, plan.due), TIMER_SEATS, each.number)
            for each in self.accounts.values()
            if each.seats is not None
            for plan in each.seats.plans.values()
            if plan.due != NEVER
        ]
        live += [
            (self.timer_at(account.tenant, each.due), TIMER_CONTRACT, account.number)
            for account in self.accounts.values()
            for each in account.contracts
            if each.due != NEVER
        ]
        live += [
            (self.timer_at(each.account.tenant, each.expires_at), TIMER_QUOTE, each.number)
            for each in self.quotes.values()
        ]
        live += [
            (self.timer_at(each.tenant, each.statements.due), TIMER_STATEMENT, each.number)
            for each in self.accounts.values()
            if each.statements is not None and each.statements.due != NEVER
        ]
        live += [
            (due, TIMER_FAMILY, root) for root, due in self.paged_families.items() if due != NEVER
        ]
        self.timers = sorted(live)
        for family in self.families.values():
            family.scheduled = NEVER

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
