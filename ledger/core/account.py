"""One account as state, with what its decisions need. Only `evolve` changes it."""

from __future__ import annotations

from typing import Final

from ledger.core.books import Book
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.lanes import Lane, Layout
from ledger.core.budgets.operation_terms import OperationPolicy, PackageOperationPolicy
from ledger.core.catalog import CardKey
from ledger.core.charges.fixed_charges import FixedCharge
from ledger.core.contracts.contracts import Contract
from ledger.core.decisions.decision_policies import NO_RULES, OwnRules, StandingRules
from ledger.core.events import AccountPolicy, TopUpRule
from ledger.core.funding.caps import Cap
from ledger.core.funding.runway import Runway
from ledger.core.holdings import (
    NEVER,
    TOP_UP_PENDING,
    Commitment,
    Debt,
    Grant,
    RecurringGrant,
    TopUp,
)
from ledger.core.holds import Hold
from ledger.core.mandates.mandates import Mandate
from ledger.core.metering.gauges import Gauges
from ledger.core.packages.subscriptions import Subscription
from ledger.core.periods import CALENDAR_MONTHS, Anchors, Calendar, billing_period
from ledger.core.pricing.quotes import Quote
from ledger.core.pricing.shared_totals import Dues, is_kept
from ledger.core.pricing.sold import Sold
from ledger.core.seats.seats import SeatPlans
from ledger.core.statements.statements import Statements
from ledger.core.timers import (
    TIMER_CHARGE,
    TIMER_COMMITMENT,
    TIMER_CONTRACT,
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
    TIMER_TOP_UP,
)
from rating.functions import SCOPE_DAY, SCOPE_MONTH
from rating.overrides import Layer, OverrideSet
from rating.zones import UTC_ZONE

LEVEL_SCOPE: Final = SCOPE_DAY
"""Where levels of meters stand among the running totals by scope: no report counts in a scope that
began as long ago as days are forgotten, and keys of price rows are below 2^62."""


RowDraws = dict[tuple[int, int, int], dict[tuple[int, int, int], int]]
"""(key, scope, its start) of a running total -> (used book, book, month of overage) -> units that
its usage drew there, first drawn first."""


class _Used:
    """What is looked at with each event of usage, side by side: a family may have many thousand
    accounts, and memory is what they cost. (Attributes lie in the order of their names, but those
    of a base come first.)"""

    __slots__ = (
        "calendar",
        "caps_given",
        "card_key",
        "comparator",
        "first",
        "layout",
        "next_due",
        "number",
        "open_from",
        "parent",
        "root",
        "row",
        "ruled",
        "sharing",
        "unordered",
        "watched",
    )


class Account(_Used):
    """One account of a family, with what its decisions need."""

    __slots__ = (
        "advance",
        "anchors",
        "budgets",
        "capped",
        "caps",
        "cards_before",
        "charges",
        "children",
        "closed_at",
        "closed_until",
        "commitments",
        "contracts",
        "created_at",
        "debt",
        "depth",
        "dues",
        "freeze_cause",
        "frozen",
        "frozen_at",
        "frozen_by",
        "gaps",
        "gauges",
        "gives",
        "grants",
        "holds",
        "lane",
        "leases",
        "lent",
        "lifetime",
        "mandate",
        "minimums_due",
        "minimums_looked",
        "minimums_until",
        "operation_policy",
        "outcomes",
        "overage",
        "overage_pending",
        "overage_posted",
        "override_set",
        "overrides",
        "overrides_version",
        "own_rules",
        "packaged",
        "packaged_operations",
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
        "row_draws",
        "rules",
        "runways",
        "scoped",
        "seats",
        "sold",
        "statements",
        "subscription",
        "suspended",
        "tenant",
        "top_up_rules",
        "top_ups",
        "totals",
        "unbilled",
        "version",
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
        # One object for a family, as it is looked at with each event.
        self.root: int = parent.root if parent is not None else root
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
        self.runways: tuple[Runway, ...] = ()  # alerts by asset, removed ones too
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
        self.capped = 0  # operations that have a budget here; derived
        self.operation_policy: OperationPolicy | None = None  # its own (rule H4)
        self.packaged_operations: PackageOperationPolicy | None = None
        self.gives: OperationPolicy | None = None  # of both that which counts; derived
        self.budgets: list[Budget] = []  # its own; they bind those below it too (rule H4)
        # What some of them have used, and where it stands in the rows of those alike; derived.
        self.lane: Lane | None = None
        self.layout: Layout | None = None
        self.row = 0
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
        if self.contracts:  # one after the other: nothing else wakes the next
            timers += [
                (each.due, TIMER_CONTRACT, self.number)
                for each in self.contracts
                if each.due != NEVER
            ]
        if self.minimums_due != NEVER:
            timers.append((self.minimums_due, TIMER_MINIMUMS, self.number))
        if self.statements is not None and self.statements.due != NEVER:
            timers.append((self.statements.due, TIMER_STATEMENT, self.number))
        if self.gauges is not None and self.gauges.due != NEVER:
            timers.append((self.gauges.due, TIMER_GAUGE, self.number))
        if self.dues is not None:
            timers.append((self.dues.due, TIMER_RERATE, self.number))
        return timers

    def end_lane(self) -> None:
        """Let its budgets and caps stand alone, for what they count, or which they are, is to
        change."""
        if self.lane is not None:
            self.lane.finish()

    def find_watched(self) -> None:
        """Look up anew whether a top-up rule or a budget is in force, or usage goes by seats."""
        self.end_lane()
        rules = self.top_up_rules.values()
        ruled = any(rule is not None and rule.enabled for _, rule in rules)
        self.ruled = ruled or (self.seats is not None and self.seats.watched)
        gives = self.gives is not None
        self.watched = self.ruled or bool(self.budgets) or self.capped > 0 or gives


def opened_anchors(policy: AccountPolicy) -> Anchors:
    """What the billing periods of an account run from that is opened with this policy."""
    return ((0, policy.billing_anchor),) if policy.billing_anchor else CALENDAR_MONTHS


def pays_minimums(account: Account) -> bool:
    """Whether the minimums of its card are its own: not where it inherits the card (rule R2)."""
    return account.parent is None or bool(account.policy.rate_card)


def inherited_zone(parent: Account | None, policy: AccountPolicy) -> str:
    """The zone of an account's months: its own, else its nearest ancestor's, else UTC (rule T1)."""
    return policy.zone or (parent.calendar.zone if parent is not None else UTC_ZONE)
