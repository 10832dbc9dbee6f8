"""What one transaction of a projector writes, gathered in memory first.

Rows are plain tuples in the order of the column lists below; counters are summed up a book, so that
a hot book costs one UPDATE a transaction. Must not do I/O and must not judge.
"""

from __future__ import annotations

from typing import Any, Final

# Columns of each table that COPY fills, in the order of the rows' items.
TRANSFERS: Final = (
    "tenant", "shard", "entry_seq", "line", "debit_book", "credit_book", "asset", "amount",
    "phase", "pot", "value", "cost", "effective_at", "recorded_at",
)  # fmt: skip
USAGE_EVENTS: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "asset", "effective_at", "recorded_at",
    "outcome", "reason", "late", "by_expiry", "quantities", "charges", "charge", "over_limit",
    "hold", "trace", "source", "event_id", "operation", "operation_parent", "personal",
)  # fmt: skip
BOOKS: Final = (
    "tenant", "shard", "book", "kind", "asset", "owner", "name", "debits_posted", "credits_posted",
    "debits_pending", "credits_pending", "value", "transfers",
)  # fmt: skip
BOOK_SNAPSHOTS: Final = (
    "tenant", "shard", "book", "recorded_at", "debits_posted", "credits_posted", "debits_pending",
    "credits_pending",
)  # fmt: skip
ACCOUNTS: Final = (
    "tenant", "shard", "account", "parent", "root", "policy", "version", "created_at", "closed_at",
    "reopened_at", "frozen_at", "profile_version", "placed_seq",
)  # fmt: skip
ACCOUNT_POLICIES: Final = ("tenant", "shard", "account", "version", "policy", "recorded_at")
GRANTS: Final = (
    "tenant", "shard", "number", "account", "ordinal", "kind", "asset", "amount", "price_paid",
    "price_asset", "priority", "effective_at", "expires_at", "products", "tags", "attributes",
    "shared", "rollover", "metadata", "book", "funding_book", "cash_book", "deferred_book",
    "origin", "issued_at", "state", "backfill", "voided", "expired", "rolled", "cancelled",
    "given_back", "returned", "settled_at",
)  # fmt: skip
HOLDS: Final = (
    "tenant", "shard", "number", "entry_seq", "account", "plan", "asset", "amount", "quantities",
    "authorized_at", "expires_at", "lifetime_max", "expiry", "period", "trace", "reported_at",
    "state", "settled_at", "settled_by", "reserved", "captured", "captures",
)  # fmt: skip
DENIALS: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "asset", "quantities", "charge", "available",
    "reason", "recorded_at", "trace",
)  # fmt: skip

USAGE_COSTS: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "asset", "cost", "lines",
)  # fmt: skip
USAGE_OPERATIONS: Final = ("tenant", "shard", "entry_seq", "account", "operation", "parent")
USAGE_FOLLOW_UPS: Final = ("tenant", "shard", "entry_seq", "original_entry", "rerated")
BACKFILLED: Final = (
    "tenant", "shard", "entry_seq", "line", "account", "product", "asset", "value", "recorded_at",
)  # fmt: skip
REVERSALS: Final = (
    "tenant", "shard", "entry_seq", "account", "original_entry", "plan", "asset", "effective_at",
    "recorded_at", "quantities", "refunds", "amount", "as_charged", "trace",
)  # fmt: skip
ADJUSTMENTS: Final = (
    "tenant", "shard", "entry_seq", "account", "period", "closed", "recorded_at",
)  # fmt: skip
RECURRING_GRANTS: Final = (
    "tenant", "shard", "number", "account", "paused", "version", "terms", "next_terms",
    "starts_at", "ends_at", "next_at", "period_start", "period_end", "created_at",
)  # fmt: skip
RECURRING_ISSUES: Final = (
    "tenant", "shard", "entry_seq", "recurring", "cause", "version", "period_start", "period_end",
    "remaining", "whole", "grant_number", "amount", "price_paid", "recorded_at",
)  # fmt: skip
STATEMENT_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "change", "statement", "version", "form",
    "attribute", "period_start", "period_end", "first_entry", "last_entry", "batch_seq", "head",
    "hash", "recorded_at",
)  # fmt: skip
STATEMENTS_TO_CLOSE: Final = ("tenant", "shard", "account", "statement", "ended_by")
DEBTS_SINCE: Final = ("tenant", "account", "asset", "recorded_at", "since", "shard")
COMMITMENTS: Final = ("tenant", "shard", "number", "account", "terms", "created_at")
COMMITMENT_SEGMENTS: Final = (
    "tenant", "shard", "commitment", "grant_number", "starts_at", "ends_at", "amount", "price",
    "moved_from", "recorded_at",
)  # fmt: skip
COMMITMENT_INVOICES: Final = (
    "tenant", "shard", "entry_seq", "line", "commitment", "due_at", "amount",
)  # fmt: skip
WAITING: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "effective_at", "recorded_at", "quantities",
    "reasons",
)  # fmt: skip
RATINGS: Final = ("tenant", "shard", "original_entry", "entry_seq")
COMMITMENT_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "commitment", "kind", "ending", "target", "due_at", "amount",
    "recorded_at",
)  # fmt: skip

AMENDMENTS: Final = (
    "tenant", "shard", "entry_seq", "account", "reversal_entry", "original_entry",
)  # fmt: skip
MANUAL_ADJUSTMENTS: Final = (
    "tenant", "shard", "entry_seq", "account", "asset", "amount", "number", "recorded_at", "trace",
)  # fmt: skip
SHARED_RERATES: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "asset", "amount", "cause_entry",
    "effective_at", "recorded_at",
)  # fmt: skip
MINIMUMS: Final = (
    "tenant", "shard", "entry_seq", "account", "rate_card", "card_version", "scope", "product",
    "quantity_name", "asset", "period_start", "period_end", "minimum", "charged", "recorded_at",
)  # fmt: skip
GAUGE_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "change", "gauge", "scope_start", "scope_end",
    "plan", "effective_at", "quantities", "level", "original_entry", "recorded_at",
)  # fmt: skip
LEASE_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "lease", "change", "holder", "on_lapse", "wanted",
    "amount", "share", "lapses_at", "operation", "parent", "recorded_at",
)  # fmt: skip
HOLD_SIZES: Final = (
    "tenant", "shard", "hold", "account", "plan", "quantity", "asked", "held", "learned_of",
    "permille", "observations", "value", "recorded_at",
)  # fmt: skip
MANDATE_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "change", "asset", "budget", "terms",
    "purchase_limit", "price_asset", "reason", "recorded_at",
)  # fmt: skip
MANDATE_PURCHASES: Final = (
    "tenant", "shard", "entry_seq", "account", "payer", "grant_number", "asset", "amount",
    "price_paid", "price_asset", "counted", "recorded_at",
)  # fmt: skip
UNPAID_GRANTS: Final = (
    "tenant", "shard", "entry_seq", "account", "grant_number", "amount", "unpaid", "recorded_at",
)  # fmt: skip
MANDATE_GRANTED: Final = 1
MANDATE_REVOKED: Final = 2
LEASE_GRANTED: Final = 1
LEASE_RENEWED: Final = 2
LEASE_RETURNED: Final = 3
LEASE_WRITTEN_OFF: Final = 4
LEASE_LAPSED: Final = 5
LEASE_OVERDUE: Final = 6
LEASE_RECALLED: Final = 7
GAUGE_REPORTED: Final = 1
GAUGE_REPORT_BACK: Final = 2
GAUGE_CHARGED: Final = 3
GRANT_SHARINGS: Final = (
    "tenant", "shard", "entry_seq", "account", "grants", "version", "mode", "accounts", "labels",
    "recorded_at",
)  # fmt: skip
CAPS: Final = (
    "tenant", "shard", "entry_seq", "account", "number", "below", "asset", "grant_number",
    "version", "terms", "recorded_at",
)  # fmt: skip
BUDGETS: Final = (
    "tenant", "shard", "entry_seq", "account", "number", "name", "version", "terms", "recorded_at",
)  # fmt: skip
BUDGET_VALUES: Final = (
    "tenant", "shard", "number", "account", "budget", "value", "opened_at",
)  # fmt: skip
BUDGET_CROSSINGS: Final = (
    "tenant", "shard", "entry_seq", "account", "number", "threshold", "used", "most", "recorded_at",
)  # fmt: skip
DECISION_POLICIES: Final = (
    "tenant", "shard", "entry_seq", "account", "package", "version", "rules", "recorded_at",
)  # fmt: skip
RULINGS: Final = (
    "tenant", "shard", "entry_seq", "account", "policy_account", "policy_version", "package",
    "rule", "action", "reason", "product", "charge", "missing", "top_up", "tried", "recorded_at",
)  # fmt: skip
RUNWAY_RULES: Final = (
    "tenant", "shard", "entry_seq", "account", "asset", "version", "hours", "rearm_hours",
    "recorded_at",
)  # fmt: skip
RUNWAY_CROSSINGS: Final = (
    "tenant", "shard", "entry_seq", "account", "asset", "version", "crossing", "short", "as_of",
    "empty_at", "available", "needed", "recorded_at",
)  # fmt: skip
TOP_UP_RULES: Final = (
    "tenant", "shard", "entry_seq", "account", "asset", "version", "rule", "recorded_at",
)  # fmt: skip
SUBSCRIPTION_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "change", "package", "version", "follow",
    "locked_until", "period_start", "period_end", "ends_at", "recorded_at",
)  # fmt: skip
PACKAGE_PHASES: Final = (
    "tenant", "shard", "entry_seq", "account", "phase", "periods", "begins_at", "recorded_at",
)  # fmt: skip
CONTRACT_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "contract", "change", "package", "version",
    "starts_at", "ends_at", "auto_renew", "effective_at", "rerate_from", "ending", "recorded_at",
)  # fmt: skip
CONTRACT_SIGNED: Final = 1
CONTRACT_BEGUN: Final = 2
CONTRACT_AMENDED: Final = 3
CONTRACT_RENEWED: Final = 4
CONTRACT_OVER: Final = 5
SUBSCRIBED: Final = 1
CHANGED_NOW: Final = 2
TO_CHANGE: Final = 3
PERIOD_BEGUN: Final = 4
CANCELLED_NOW: Final = 5
TO_CANCEL: Final = 6
SUBSCRIPTION_OVER: Final = 7
CHARGE_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "charge", "change", "name", "version", "quantity",
    "terms", "period", "period_start", "period_end", "ends_at", "recorded_at",
)  # fmt: skip
CHARGE_STARTED: Final = 1
CHARGE_PERIOD: Final = 2
CHARGE_QUANTITY: Final = 3
CHARGE_QUANTITY_TO_COME: Final = 4
CHARGE_TERMS_TO_COME: Final = 5
CHARGE_ENDED: Final = 6
CHARGE_TO_END: Final = 7
CHARGE_TERMS: Final = 8  # and quantity, from now on
FEE_LINES: Final = (
    "tenant", "shard", "entry_seq", "account", "charge", "product", "asset", "period",
    "period_start", "period_end", "quantity", "amount", "total", "kept", "effective_at",
    "recorded_at",
)  # fmt: skip
SEAT_PLAN_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "change", "terms", "period_start",
    "period_end", "unassigned", "leaving", "largest", "released", "mode", "taken", "ends_at",
    "version", "recorded_at",
)  # fmt: skip
SEATS_STARTED: Final = 1
SEATS_ADDED: Final = 2
SEATS_REMOVED: Final = 3
SEAT_REASSIGNED: Final = 4
SEAT_SUSPENDED: Final = 5
SEAT_RESUMED: Final = 6
SEAT_PERIOD: Final = 7
SEATS_ENDED: Final = 8
SEAT_TERMS: Final = 9  # from the next period on
SEAT_ENTRIES: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "seat", "name", "until", "suspended",
    "entitled", "released", "recorded_at",
)  # fmt: skip
SEAT_ISSUES: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "seat", "grant_number", "amount",
    "price_paid",
)  # fmt: skip
SEAT_ALERTS: Final = (
    "tenant", "shard", "entry_seq", "account", "plan", "seat", "name", "units_left", "entitled",
    "recorded_at",
)  # fmt: skip
# What a row of `statement_entries` is of.
STATEMENTS_ASKED: Final = 1
STATEMENT_ENDED: Final = 2
STATEMENT_CLOSED: Final = 3
TOP_UPS: Final = (
    "tenant", "shard", "number", "account", "state", "asset", "amount", "price_paid", "price_asset",
    "source", "version", "available", "requested_at", "expires_at",
)  # fmt: skip

PENDING: Final = 1
POSTED: Final = 2
RELEASED: Final = 3

APPLIED: Final = 1
SUSPENSE: Final = 2
QUARANTINED: Final = 3
RATED: Final = 4  # what waited of an event, by an entry of its own

INVOICED: Final = 1
ENDED: Final = 2

BY_PERIOD: Final = 1
BY_CHANGE: Final = 2

GRANT_OPEN: Final = 0
GRANT_VOIDED: Final = 1
GRANT_EXPIRED: Final = 2
GRANT_CANCELLED: Final = 3

HOLD_OPEN: Final = 0
HOLD_CAPTURED: Final = 1
HOLD_RELEASED: Final = 2
HOLD_EXPIRED: Final = 3
HOLD_CHARGED: Final = 4

Row = tuple[Any, ...]


class Moved:
    """What a transaction adds to one book's counters; pending ones may fall."""

    __slots__ = (
        "credits_pending",
        "credits_posted",
        "debits_pending",
        "debits_posted",
        "tenant",
        "value",
    )

    def __init__(self, tenant: int) -> None:
        self.tenant = tenant
        self.value = 0  # money recognised by what was drawn from it
        self.debits_posted = 0
        self.credits_posted = 0
        self.debits_pending = 0
        self.credits_pending = 0


class GrantChange:
    """What a transaction does to one grant: units that leave it undrawn, by how, and their money;
    its end (`state` 0 = it goes on)."""

    __slots__ = (
        "backfill",
        "cancelled",
        "cash_book",
        "expired",
        "given_back",
        "returned",
        "rolled",
        "settled_at",
        "state",
        "tenant",
        "voided",
    )

    def __init__(self, tenant: int) -> None:
        self.tenant = tenant
        self.state = GRANT_OPEN
        self.backfill = 0
        self.voided = 0
        self.expired = 0
        self.rolled = 0
        self.cancelled = 0
        self.given_back = 0  # drawn, and given back by reversals
        self.returned = 0
        self.cash_book = 0  # its payment came from there; 0 = as it was
        self.settled_at: int | None = None  # None = a part left, no more


class HoldChange:
    """What a transaction does to one hold: a part of it captured, its expiry moved, its end.

    `reserved` is what is left of each slice (None = unchanged); `captured` and `captures` add up,
    and so does `amount`, which a renewed lease reserves more or less. `again` is where a lease was
    renewed last: entry, time, and month.
    """

    __slots__ = (
        "again",
        "amount",
        "captured",
        "captures",
        "expires_at",
        "reserved",
        "settled_at",
        "settled_by",
        "state",
        "tenant",
    )

    def __init__(self, tenant: int) -> None:
        self.tenant = tenant
        self.state = HOLD_OPEN
        self.settled_at: int | None = None
        self.settled_by: int | None = None
        self.expires_at: int | None = None
        self.reserved: list[int] | None = None
        self.again: tuple[int, int, int] | None = None
        self.amount = 0
        self.captured = 0
        self.captures = 0


class AccountChange:
    """What changes of one account. None = unchanged; 0 = open, not frozen."""

    __slots__ = (
        "closed_at",
        "frozen_at",
        "parent",
        "placed_seq",
        "policy",
        "profile_version",
        "reopened_at",
        "tenant",
        "version",
    )

    def __init__(self, tenant: int) -> None:
        self.tenant = tenant
        self.policy: str | None = None
        self.version = 0
        self.closed_at: int | None = None
        self.reopened_at: int | None = None
        self.frozen_at: int | None = None
        self.profile_version: int | None = None
        self.parent: int | None = None
        self.placed_seq: int | None = None


class RecurringRow:
    """A row of `recurring_grants` as it is, or as a transaction leaves it."""

    __slots__ = RECURRING_GRANTS

    def __init__(self, *values: Any) -> None:
        for name, value in zip(RECURRING_GRANTS, values, strict=True):
            setattr(self, name, value)

    tenant: int
    shard: int
    number: int
    account: int
    paused: bool
    version: int
    terms: str
    next_terms: str | None
    starts_at: int
    ends_at: int | None
    next_at: int
    period_start: int | None
    period_end: int | None
    created_at: int

    def row(self) -> Row:
        """Its values in the order of the columns."""
        return tuple([getattr(self, name) for name in RECURRING_GRANTS])


class Changes:
    """One transaction. Rows of what is new, and by number what changes of what was there."""

    __slots__ = (
        "accounts",
        "actors",
        "adjustments",
        "amendments",
        "backfilled",
        "books",
        "budget_crossings",
        "budget_values",
        "budget_windows",
        "budgets",
        "caps",
        "changed_accounts",
        "changed_grants",
        "changed_holds",
        "charge_entries",
        "clocks",
        "closed_budget_values",
        "commitment_entries",
        "commitment_invoices",
        "commitment_segments",
        "commitments",
        "contract_entries",
        "costs",
        "decision_policies",
        "denials",
        "drawn",
        "events",
        "fee_lines",
        "follow_ups",
        "gauges",
        "grants",
        "hold_sizes",
        "holds",
        "lease_entries",
        "mandate_entries",
        "mandate_purchases",
        "manual",
        "minimums",
        "moved",
        "moves",
        "new_recurring",
        "operations",
        "package_phases",
        "plans",
        "policies",
        "rated",
        "ratings",
        "recurring",
        "recurring_issues",
        "restored",
        "reversals",
        "reversed_costs",
        "reversed_usage",
        "rollovers",
        "rulings",
        "runway_crossings",
        "runway_rules",
        "seat_alerts",
        "seat_entries",
        "seat_issues",
        "seat_plan_entries",
        "shared",
        "shared_rerates",
        "sharings",
        "statement_entries",
        "statements_closed",
        "statements_to_close",
        "subscription_entries",
        "top_up_ends",
        "top_up_rules",
        "top_ups",
        "transfers",
        "unpaid_grants",
        "usage",
        "usage_hours",
        "waiting",
        "waits_no_more",
    )

    def __init__(self) -> None:
        self.events = 0
        self.clocks: dict[int, int] = {}  # tenant -> how far its clock is ahead
        # (entry, line) of money that is given back to elsewhere -> the book that had been drawn.
        self.drawn: dict[tuple[int, int], int] = {}
        self.usage: list[Row] = []
        self.costs: list[Row] = []
        self.operations: list[Row] = []
        self.follow_ups: list[Row] = []
        self.backfilled: list[Row] = []
        self.reversed_costs: list[Row] = []  # (tenant, entry of the usage, cost)
        self.transfers: list[Row] = []
        self.plans: dict[tuple[int, Any], Row] = {}
        self.books: list[Row] = []  # up to `name`; the counters are what moved
        self.moved: dict[int, Moved] = {}
        self.accounts: list[Row] = []  # up to `created_at`
        self.changed_accounts: dict[int, AccountChange] = {}
        self.moves: list[Row] = []  # (tenant, account, version, before, parent, at, entry)
        self.policies: list[Row] = []
        self.grants: list[Row] = []  # up to `issued_at`
        self.changed_grants: dict[int, GrantChange] = {}
        self.holds: list[Row] = []  # up to `reported_at`
        self.changed_holds: dict[int, HoldChange] = {}
        self.denials: list[Row] = []
        self.reversals: list[Row] = []
        self.reversed_usage: list[Row] = []  # (tenant, entry, amount, quantities), oldest first
        self.waiting: list[Row] = []
        self.ratings: list[Row] = []
        self.rated: list[Row] = []  # (tenant, usage entry, places from 1 on): others still wait
        self.waits_no_more: list[Row] = []  # (tenant, usage entry)
        self.adjustments: list[Row] = []
        self.amendments: list[Row] = []
        self.manual: list[Row] = []
        self.shared_rerates: list[Row] = []
        # (tenant, number, of, ordinal, amount, price paid, expires at, book, issued at)
        self.restored: list[Row] = []
        self.commitments: list[Row] = []
        self.commitment_segments: list[Row] = []
        self.commitment_invoices: list[Row] = []
        self.commitment_entries: list[Row] = []
        self.new_recurring: set[int] = set()
        self.recurring: dict[int, RecurringRow] = {}  # what is new or changed, whole
        self.recurring_issues: list[Row] = []
        self.budgets: list[Row] = []
        self.sharings: list[Row] = []
        self.shared: dict[int, tuple[int, bool]] = {}  # grant -> tenant, whether it is now
        self.caps: list[Row] = []
        self.minimums: list[Row] = []
        self.gauges: list[Row] = []
        self.hold_sizes: list[Row] = []
        self.lease_entries: list[Row] = []
        self.mandate_entries: list[Row] = []
        self.mandate_purchases: list[Row] = []
        self.unpaid_grants: list[Row] = []
        self.rollovers: list[tuple[int, int, str]] = []  # tenant, grant, its terms from now on
        self.actors: list[tuple[int, int, str]] = []  # entry, account, who asked for it
        # (tenant, account, book, hour) -> what usage drew, less what was given back.
        self.usage_hours: dict[tuple[int, int, int, int], int] = {}
        # (tenant, budget, since, until) -> what is posted and pends there more, or less.
        self.budget_windows: dict[tuple[int, int, int, int], tuple[int, int]] = {}
        self.budget_crossings: list[Row] = []
        self.budget_values: list[Row] = []
        # (tenant, budget, counter of a value, when); 0 = all of them: the budget was removed.
        self.closed_budget_values: list[tuple[int, int, int, int]] = []
        self.decision_policies: list[Row] = []
        self.rulings: list[Row] = []
        self.runway_rules: list[Row] = []
        self.runway_crossings: list[Row] = []
        self.top_up_rules: list[Row] = []
        self.subscription_entries: list[Row] = []
        self.charge_entries: list[Row] = []
        self.fee_lines: list[Row] = []
        self.package_phases: list[Row] = []
        self.contract_entries: list[Row] = []
        self.seat_plan_entries: list[Row] = []
        self.seat_entries: list[Row] = []
        self.seat_issues: list[Row] = []
        self.seat_alerts: list[Row] = []
        self.statement_entries: list[Row] = []
        # (tenant, shard, account, statement) -> the entry that ended it; and those closed since.
        self.statements_to_close: dict[tuple[int, int, int, int], int] = {}
        self.statements_closed: list[Row] = []
        self.top_ups: list[Row] = []
        self.top_up_ends: dict[
            int, Row
        ] = {}  # number -> (tenant, number, state, settled at, grant)
