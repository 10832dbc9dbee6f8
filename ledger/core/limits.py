"""Every limit of the core, once, with the arithmetic that made it.

The edge states the same figures in the protos' comments; a test compares the two.
"""

from __future__ import annotations

from typing import Final

INT64_MAX: Final = 9_223_372_036_854_775_807  # one transfer fits int64 (rule N1)

MILLISECOND_US: Final = 1_000
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

DEDUPE_WINDOW_US: Final = 35 * DAY_US  # rule I4
DEDUPE_GENERATION_US: Final = 7 * DAY_US  # six live generations cover 35 days
FUTURE_TOLERANCE_US: Final = 5 * MINUTE_US  # rule I4
PERIOD_GRACE_US: Final = DAY_US  # rule T2: late events, rule T3: breakage at expiry + grace
KEYS_OUTLIVE_US: Final = DEDUPE_GENERATION_US + FUTURE_TOLERANCE_US
"""The longest that a key is remembered beyond the window: what its answer needs is kept as long."""

CORRECTION_WINDOW_US: Final = 400 * DAY_US  # rule D3: older usage is adjusted by hand
RESTORED_LIFETIME_US: Final = 30 * DAY_US  # rule D3: what a restored grant lasts at least
MONTH_MAX_US: Final = 33 * DAY_US  # rule T1: the longest, where another zone begins to count
CARDS_KEPT_US: Final = 2 * MONTH_MAX_US + DEDUPE_WINDOW_US
"""Rule R2: how long an account's earlier card may count for the minimums of a period: the one that
runs, the one before, and the longest grace."""
CARDS_BEFORE_MAX: Final = 32  # of them, an account; x ~100 B = 3 kB
DAY_TOTALS_KEPT_US: Final = 70 * DAY_US
"""Rule R1: a running total of a day is kept while usage may count there: it is open as long as its
month, 33 days and the longest grace of 35 in all, and a zone's 2 days. x ~250 B = 18 kB a price
row. A reversal of older usage gives back its share of what its own line cost."""
CORRECTED_A_FAMILY_MAX: Final = 65_536
"""Usage events of one family that were corrected within the window; x ~300 B = 20 MB."""
SUSPENDED_A_FAMILY_MAX: Final = 65_536
"""Usage events of one family that wait for a price; x ~300 B = 20 MB. More are refused, safe to
retry, until the price is there."""
LEVELS_AN_ACCOUNT_MAX: Final = 16_384
"""Running totals of days and periods of an account beyond which no new level of a meter is begun;
x ~200 B = 3 MB, and packed in 8 ms. A report that would begin one counts nothing."""
GAUGES_AN_ACCOUNT_MAX: Final = 4_096
"""Gauges of an account that are still to be charged, each in each scope; x ~1 kB = 4 MB. A report
of one more is refused."""
GAUGE_REPORTS_MAX: Final = 16
"""Reports of a gauge in a scope that are kept, the last ones; x ~150 B. An older one is not taken
back, nor the last of those that are kept where older ones are not."""
GAUGES_A_TURN: Final = 64  # charged one after the other; x ~100 us = 6 ms
RATED_A_FAMILY_MAX: Final = 65_536
"""Usage events of one family whose ratings from suspense are remembered for corrections, within
their window; x ~250 B = 16 MB. What is rated beyond is not reversed, but adjusted by hand."""
BUDGETS_A_LINE_MAX: Final = 64
"""Budgets that apply to an account: its own, and those of the accounts above it. Each is asked by
every authorisation, x ~1 us, and counts every entry."""
BUDGET_THRESHOLDS_MAX: Final = 10
BUDGET_GROUP_BY_MAX: Final = 2
"""Attributes of whose values together a budget counts each by itself."""
BUDGET_VALUES_MAX: Final = 10_000
"""Values of a budget that have a counter of their own at a time (rule H5); x ~1.3 kB = 13 MB, of a
sliding window up to 60 x ~150 B each more. Whatever is beyond counts in one counter together."""
OPERATION_BUDGETS_MAX: Final = 4_096  # of a family at a time; x ~1.3 kB = 5 MB
OPERATIONS_KNOWN_MAX: Final = 65_536  # with a budget, and below those; x ~150 B = 10 MB a family
OPERATION_IDLE_DEFAULT_US: Final = DAY_US  # after which the budget of an operation ends
OPERATION_IDLE_MAX_US: Final = 35 * DAY_US
OPERATION_BUDGETS_ENDED_MAX: Final = 16  # of those that stand idle, with each that is set
BUDGET_VALUES_USUAL: Final = 1_000  # where a budget does not say how many
BUDGET_VALUE_LIMITS_MAX: Final = 100  # values of a budget that are named with a limit of their own
BUDGET_VALUES_CLOSED_MAX: Final = 64
"""Counters that go with an entry that opens one: more than come, so that they do not pile up."""
BUDGET_THRESHOLD_MAX: Final = 1_000  # percent of the limit, which recorded usage may exceed
WINDOW_BUCKETS: Final = 60  # rule H5: of a sliding window; x ~150 B = 9 kB a counter
WINDOW_LENGTH_MIN_US: Final = 10 * MINUTE_US
"""Of a fixed or sliding window: usage may be 5 minutes ahead, so that at most 30 buckets more are
kept; limits of a shorter time are for a gateway."""
WINDOW_LENGTH_MAX_US: Final = 366 * DAY_US
TOP_UP_LIFETIME_US: Final = DAY_US  # rule H6: how long a requested top-up counts as pending
TOP_UP_BACK_OFF_US: Final = HOUR_US  # rule H6: after a decline
RUNWAY_HOURS_MAX: Final = 2_160  # 90 days: as far as a forecast reaches
RUNWAY_REPORT_AGE_MAX_US: Final = 10 * MINUTE_US  # of a forecast by which an alert is told
POLICY_RULES_MAX: Final = 16  # of an account or a package
ALTERNATIVES_MAX: Final = 8
"""Of a rule, and of a request. A denial that tries all of a policy: 16 x 16 x ~12 us = 3 ms."""
TOP_UPS_A_WINDOW_MAX: Final = 24  # of the velocity cap; x 840 windows of 35 days x ~300 B = 6 MB
TOP_UP_WINDOW_MIN_US: Final = HOUR_US
TOP_UP_WINDOW_MAX_US: Final = DEDUPE_WINDOW_US  # settled top-ups are remembered as long
ROLLOVER_AGAIN_MIN_US: Final = HOUR_US
"""What rolls over again and again lives so long each time: while nobody is there, 24 entries a day
and grant fall due, not a million a second."""
PAYMENT_WAIT_US: Final = 7 * DAY_US  # rule F1: a pending grant is cancelled then

HOLD_LIFETIME_DEFAULT_US: Final = 15 * MINUTE_US  # rule H1
HOLD_LIFETIME_MAX_US: Final = DAY_US  # rule H1: from the authorisation, however often extended
HOLD_LIFETIME_BATCH_MAX_US: Final = 35 * DAY_US  # rule H1: of products that are marked batch
DRAWN_PRODUCTS_MAX: Final = 64  # told apart of one hold of an operation; x ~40 B packed
OUTCOMES_PENDING_MAX: Final = 10_000  # an account; x ~800 B = 8 MB
LEASE_TERM_DEFAULT_US: Final = MINUTE_US  # rule H7
LEASE_TERM_MIN_US: Final = 5 * SECOND_US
LEASE_TERM_MAX_US: Final = DAY_US
LEASE_MARGIN_MIN_US: Final = SECOND_US
LEASE_MARGIN_MAX_US: Final = 30 * SECOND_US
LEASES_AN_ACCOUNT_MAX: Final = 512  # credit leases, sorted by each that is granted: x ~1 us
QUOTE_TOLERANCE_DEFAULT: Final = 12_000  # rule H9: basis points of each quoted quantity
QUOTE_TOLERANCE_MAX: Final = 20_000
QUOTES_OPEN_MAX: Final = 1_000  # an account; x ~600 B = 0.6 MB
BASIS_POINTS: Final = 10_000  # hundredths of a percent in the whole
PHASED_MAX: Final = 64  # packages whose phases an account is known to have had, the last ones
OVERRIDES_REMEMBERED_MAX: Final = 4_096
"""Price overrides of an account with those of the correction window; x ~400 B = 1.6 MB."""
OVERDRAFT_BASIS_POINTS_MAX: Final = 1_000_000  # 100 x lifetime value
PERIOD_GRACE_MAX_US: Final = DEDUPE_WINDOW_US
HOLDS_OPEN_MAX_DEFAULT: Final = 10_000  # an account; x ~600 B = 6 MB
BATCH_INDEX_MAX: Final = 1 << 19  # entries; half of what a locator's index holds
SETTLED_A_TOUCH_MAX: Final = 16_384  # overdue pots that one command posts before it is refused
SWEEP_ENTRIES_MAX: Final = 256  # expiries a batch: a midnight with a million delays nobody

ID_BYTES_MAX: Final = 128  # account, alias, event, source, request, operation, external key
ZONE_BYTES_MAX: Final = 64
ATTRIBUTES_MAX: Final = 16
ATTRIBUTE_NAME_BYTES_MAX: Final = 64
ATTRIBUTE_VALUE_BYTES_MAX: Final = 128
QUANTITIES_MAX: Final = 16
PRODUCTS_A_GRANT_MAX: Final = 100
REOPENINGS_MAX: Final = 100  # of an account within the dedupe window; x ~100 B = 10 kB
RECURRING_AN_ACCOUNT_MAX: Final = 1_000  # recurring grants, ended ones too; x ~600 B = 0.6 MB
CHARGES_AN_ACCOUNT_MAX: Final = 4_096  # fixed charges, ended ones too; x ~800 B = 3.2 MB
RAMP_STEPS_MAX: Final = 120  # of a charge's terms; ten years of months
SEAT_PLANS_AN_ACCOUNT_MAX: Final = 16  # ended ones too
SEATS_OWN_MAX: Final = 1_000
"""Seats of a plan with an allowance of their own, each a grant and its book every period; x ~600 B
= 0.6 MB, and a period begins in one go."""
SEATS_A_CALL_MAX: Final = 1_000  # that a call names; x 128 B = 128 kB
SEATS_NAMED_MAX: Final = 10_000  # of a pool; x ~200 B = 2 MB
SEATS_POOLED_MAX: Final = 1_000_000  # of a pool, which is one grant; a number
PERIOD_UNITS_MAX: Final = 120  # weeks, months, quarters or years of one period
ANCHOR_MAX_US: Final = 7_258_118_400_000_000  # 1 January 2200, of anchors, starts and ends
EXPIRES_AFTER_MAX_US: Final = 3_660 * DAY_US  # from a period's end to the expiry of its grant
CAPS_ON_AN_ACCOUNT_MAX: Final = 16  # by whatever accounts above; looked at with every draw
CAPS_OF_AN_ACCOUNT_MAX: Final = 20_000  # on those below it; x ~500 B = 10 MB
SHARED_WITH_MAX: Final = 1_000  # accounts or labels that a grant is shared with
LABELS_MAX: Final = 16  # of an account
LABEL_MAX: Final = 64  # characters of a label
CONTRACTS_AN_ACCOUNT_MAX: Final = 100  # ended ones too; x ~2 kB = 0.2 MB
CONTRACT_COMMITMENTS_MAX: Final = 16  # of a term of a contract
CONTRACT_TERMS_REMEMBERED: Final = 64  # that were renewed; x a week = the 400 days of corrections
COMMITMENTS_AN_ACCOUNT_MAX: Final = 1_000  # ended ones too; x ~1 kB = 1 MB
SEGMENTS_MAX: Final = 120  # of a commitment, each a grant; ten years of months
INVOICES_MAX: Final = 240  # of a commitment
TAGS_A_GRANT_MAX: Final = 100
METADATA_MAX: Final = 16  # pairs of a grant, each as large as an attribute
LINKED_MAX: Final = 64  # usage events that are recorded together; looked at twice, x ~20 us = 1 ms
DEPTH_MAX: Final = 16  # accounts from a root to its deepest descendant
MOVES_REMEMBERED_MAX: Final = 100
"""Moves of an account within the correction window; x ~100 B = 10 kB. What it drew or had billed
where it stood before is given back there."""

KEYS_IN_MEMORY_MAX: Final = 2_000_000  # x ~190 B = 380 MB of memory
"""Identities of one shard that no checkpoint holds yet: four checkpoints' worth. A full map refuses
new events with KEYS_EXHAUSTED until a checkpoint is durable. Those in checkpoints are not limited.
"""

MANDATE_NAMES_MAX: Final = 100  # products, and attributes, of a mandate, x 256 B = 25 kB each
MANDATE_PURCHASES_MAX: Final = 16  # of one mandate and all below it, that wait for their payment
MANDATES_IN_ALL_MAX: Final = 10_000  # below one at any depth: counted as one more comes, ~1 ms
MANDATES_BELOW_MAX: Final = 1_000  # that one mandate delegates, for whoever holds it says how many
