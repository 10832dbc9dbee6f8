"""What must hold, by stable names: each stands for a rule or a guarantee of the product.

A simulation that fails names one of these. Owns the names and the exception; judges nothing.
"""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """Name = what is broken; value = the guarantee. Names are never reused."""

    COUNTED_ONCE = "rule I1: one identity is recorded at most once within the dedupe window"
    ACKNOWLEDGED_PRESENT = "what was acknowledged stands in the journal as it was answered"
    DURABLE_BEFORE_REPLY = "no reply leaves before all that it rests on is durable"
    SAME_ANSWER = "rule I1, I2: a retry gets the first outcome, another body a conflict"
    CONFLICT_JUSTIFIED = "rule I1: a conflict names a field that really differs"
    REFUSAL_JUSTIFIED = "rule I2: a refusal follows from the state that it rests on"
    NOT_APPLIED_ABSENT = "rule I6: what was answered 'not applied' and not sent again is absent"
    ABANDONED_FINAL = "rule I5: what was abandoned is never applied"
    OUTCOME_TRUE = "rule I5: GetOutcome says what the journal says"
    REAL_TIME_ORDER = "within a family, what was answered before another was sent precedes it"
    ARRIVAL_ORDER = "what a server is asked to do with a family is done in the order of arrival"
    CLIENT_ORDER = "the client sends the events of a family in the order in which it got them"
    CLIENT_GOES_ON = "a client that may not give up goes on until it is answered"
    PUBLISHED_EVERYWHERE = "a publication is answered when every shard has applied it"
    READ_AT_POSITION = "a read shows exactly the state at its position"
    READ_MIN_POSITION = "a read with min_position never goes back"
    READ_BY_OWNER = "a server answers no read that reached it after a successor had opened"
    NO_OVERSPEND = "rule D4: an authorisation holds no more than is there"
    WATERFALL = "rules D1, D2, D3: the pots that may pay, in their order"
    CHARGE = "rules R1, R3: the price in force, rounded over the period"
    DENIAL_JUSTIFIED = "rule H4: a denial names credits that were really missing"
    HOLD_SETTLED_ONCE = "rule H1: every hold is captured, released or expired exactly once"
    NOTHING_OVERDUE = "rules H2, T3: no decision sees an overdue hold or grant"
    EXPIRED_IN_TIME = "rules H2, T3: what is due is posted, and not before"
    WINDOW = "rule I4: neither older than the window nor in the future is charged"
    CLOSED_TAKES_NOTHING = "rule T2: a closed account takes no new usage"
    GRANT_FIGURES = "rules B3, B4: issue, backfill, void and expiry move what is there"
    RATED_IN_ORDER = "rule B8: what waits is rated once, in order, when it has a price"
    BUDGETED = "rule H4: all that is said to be part of an operation counts in its budget, once"
    MANDATED = "rule H4: an agent does what its mandate and all above it allow, until it is revoked"
    SEATED = "rules S1 to S3: seats have their share of the time, once, and draw only their own"
    CHARGED_ONCE = "rules S1, B4: a fixed charge costs its time, once a period, and is earned by it"
    PACKAGED = (
        "rules P1, P3: a package gives its share of the time, and no flip of plans mints more"
    )
    CONTRACTED = (
        "rules P5, D7: a contract begins, is renewed and ends once, each in time, with its terms"
    )
    RULED = "rule D4: what rules for shortage come to is said, and is what runs"
    LEASED = (
        "rule H7: a lease has its fair share in escrow, until it is reported, returned or lapses"
    )
    QUOTED = "rule H9: a quote prices one piece of its own work, up to its tolerance, in time"
    GIVEN_BACK = "rules D3, R1: a correction gives back what was drawn, to whom it was drawn from"
    VERIFY_FINDS_NOTHING = "`verify` finds no fault with the journal that is left"
    LINKED_TOGETHER = "linked events are recorded together, in one batch, or not at all"
    POLICY_VERSIONS = "policies follow each other without gaps, and close at zero only"
    CONFIGURATION_IN_ORDER = "each shard applies every published version once, in order"
    CONFIGURATION_FIRST = "nothing is decided before what was published is applied"
    BALANCED = "rule B7: debits equal credits after every entry"
    RECORDED_TIME = "rule T5: recorded time rises and stays near the database's clock"
    CHAIN = "the journal is gapless, chained, and its epochs count the openings"
    REPLAY_EQUALS_STATE = "replaying the journal gives the writer's state, byte for byte"
    BOOKS_EQUAL_MODEL = "the ledger's counters are those of the naive model"
    PROJECTION_EQUAL = "read models hold every entry exactly once"
    EVENTUALLY_ANSWERED = "after the faults stop everything sent again is answered"
    ANSWERED_IN_TIME = "a server that runs answers or refuses a request within seconds"
    CHECKPOINT_FITS = "a checkpoint continues the one before it, after a batch of the journal"
    WRITER_GOES_ON = "no writer stops for good while its journal is sound"
    NO_UNHANDLED_ERROR = "no task dies of an exception that nobody expects"
    EVENT_KNOWN = "the naive model knows every event"


class Violation(Exception):
    """A rule is broken: `detail` says where and what was expected."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(f"{rule.name}: {detail}")
        self.rule = rule
        self.detail = detail
