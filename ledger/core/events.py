"""The facts of the journal: what happened, in the past tense, versioned for ever.

Every event is a tagged, array-like msgspec Struct. The tag is the format: a released event is
never edited; a change is a new class with a new tag, and an upcaster from the old one. Events hold
small internal integers and digests only. Names that could identify a person (account ids, event
ids, operations, personal attributes) live in erasable side tables beside the journal.

Amounts are minor units of the asset that is named; times are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, Final, TypeAlias

import msgspec

from ledger.core.limits import PERIOD_GRACE_US


class Pot(IntEnum):
    """What a slice was drawn from (rules D1, D4)."""

    GRANT = 1
    OVERDRAFT = 2
    OVERAGE = 3
    EXCESS_OWED = 4
    EXCESS_BILLED = 5
    ABSORBED = 6


class GrantKind(IntEnum):
    """Where a grant's units come from (rule B3): funding when paid for, promotion when free, a
    commitment when they are to be billed."""

    PREPAID = 1
    PROMOTIONAL = 2
    POSTPAID = 3  # a commitment: its draws are billed, and its rest by a true-up
    ALLOWANCE = 4  # comes with a fee, of which its price is a share (rule B5)


class Overage(IntEnum):
    """Who is billed for what no pot paid (rule D4)."""

    OFF = 1
    SELF = 2
    PARENT = 3


class Excess(IntEnum):
    """Where recorded usage lands that every limit refuses (rule D4)."""

    OWE = 1
    BILL = 2
    ABSORB = 3


class PeriodUnit(IntEnum):
    """What a period is counted in (rule T1)."""

    WEEK = 1
    MONTH = 2
    QUARTER = 3
    YEAR = 4


class Proration(IntEnum):
    """Which part of a recurring grant's periods is issued by its share of the time (rule S1)."""

    NONE = 1
    FIRST = 2  # where it starts or is resumed within a period
    LAST = 3  # where it ends within a period
    BOTH = 4


class Timing(IntEnum):
    """When a change or the end of a recurring grant takes effect (rule T1)."""

    NEXT_PERIOD = 1
    NOW = 2


class CommitmentEnding(IntEnum):
    """What becomes of the rest of a commitment that ends early (rule D7)."""

    TRUE_UP = 1  # of the segments that run: trued up now; of later ones: voided
    WAIVE = 2  # voided, without money
    TRANSFER = 3  # moved to another commitment, as segments of it


class Suspense(IntEnum):
    """Why a quantity could not be rated (rule B8)."""

    NONE = 0
    UNPRICED = 1


class BookKind(IntEnum):
    """The books of rule B2: those of units, then those of money."""

    GRANT = 1
    ADVANCE = 2
    OVERAGE = 3
    FUNDING = 4
    PROMOTION = 5
    USED = 6
    FORFEITED = 7
    COMMITMENT = 8
    TRUE_UP = 9
    SETTLED = 10
    # The money books, never mixed with those above in one transfer.
    CASH = 11
    DEFERRED = 12
    UNBILLED = 13
    RECEIVABLE = 14
    REVENUE = 15
    BREAKAGE = 16
    CREDIT_NOTE = 17
    BAD_DEBT = 18


OF_A_GRANT: Final = frozenset({BookKind.GRANT, BookKind.COMMITMENT, BookKind.DEFERRED})
"""Books whose owner is a grant."""
OF_AN_ACCOUNT: Final = frozenset(
    {BookKind.ADVANCE, BookKind.OVERAGE, BookKind.UNBILLED, BookKind.RECEIVABLE}
)
"""Books whose owner is an account. All others are the house's."""


class HoldExpiry(IntEnum):
    """What becomes of a hold that nobody settles in time (rule H2)."""

    RELEASE = 1
    CHARGE = 2  # its estimate, as far as it was not captured


class Slice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a draw: debit `book`, credit the product's used book (rules B3, B4, D3).

    `value` is the money recognised by this slice, `cost` the provider's cost, in minor units of
    the money asset of the grant (or of the price, where no grant paid).
    """

    pot: int
    book: int
    amount: int
    value: int = 0
    cost: int = 0


class GivenBack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a reversal: debit the product's used book, credit `book` (rule D3).

    `drawn` is the book that the units had been drawn from, and `book` where they go: the same one,
    or a restored grant's, or where the rest of an ended grant went. `value` and `cost` are given
    back with them, the value by a debit of the product's revenue and a credit of `money_book` (0 =
    there is no money side). `debt` >= 0 is the run of an advance's debt that the units had been
    part of.
    """

    drawn: int
    book: int
    amount: int
    value: int = 0
    cost: int = 0
    debt: int = -1
    money_book: int = 0


class EndedGrants(IntEnum):
    """Where units go that had been drawn from a grant which has ended since (rule D3)."""

    RESTORE = 1  # to a new grant on its terms
    ONWARD = 2  # to where its rest went


class Rollover(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What becomes of a grant's unheld rest at its expiry: a new grant (rule T3)."""

    numerator: int  # of the fraction that moves, from 0 to the denominator
    denominator: int
    cap: int = -1  # units that move at most; -1 = no cap
    lifetime: int = 0  # of the new grant, from the old one's expiry; 0 = it never expires
    again: bool = False  # whether the new grant rolls over in its turn


class Backfill(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of an advance that a grant repays: debit grant, credit `book` (rules B3, B4, H6).

    `product` is what the advance was drawn for; "" = the oldest, whatever it was.
    """

    book: int
    product: str
    amount: int
    value: int = 0  # money recognised by it


class Comparator(IntEnum):
    """What orders an account's grants (rule D2), with its version: a change is a new member."""

    INHERITED = 0  # the nearest ancestor's, else DRAWDOWN_1
    DRAWDOWN_1 = 1
    METRONOME_1 = 2
    ORB_1 = 3
    STRIPE_1 = 4
    OPENMETER_1 = 5


class OverdraftKind(IntEnum):
    """What the limit of an overdraft is (rules D4, H6)."""

    FIXED = 1
    PERCENT_OF_LIFETIME = 2  # a share of lifetime value, `overdraft_limit` at most


class AccountPolicy(msgspec.Struct, frozen=True, array_like=True):
    """Which grants pay first, and what an account may do when none is left (rules D2, D4).

    Recorded whole, versioned. Durations are microseconds.
    """

    rate_card: str = ""  # "" = the nearest ancestor's, else "default" (rule D8)
    overdraft_asset: int = 0
    overdraft_limit: int = 0
    overage: Overage = Overage.OFF
    overage_cap: int = -1  # per calendar month in its zone; -1 = none
    excess: Excess = Excess.OWE
    holds_open_max: int = 10_000
    comparator: Comparator = Comparator.INHERITED
    holds_overdraft: bool = True  # whether holds may draw the overdraft (rule H3)
    holds_overage: bool = True  # whether holds may draw overage (rule H3)
    zone: str = ""  # of its periods (rule T1); "" = the nearest ancestor's, else UTC
    period_grace: int = PERIOD_GRACE_US  # how long a period takes late events (rule T2)
    overdraft_kind: OverdraftKind = OverdraftKind.FIXED
    overdraft_basis_points: int = 0  # of lifetime value, where the kind asks for it
    overdraft_grace: int = -1  # authorisation refuses so long below zero (rule H6); -1 = never
    promotional_backfills: bool = False  # whether free grants repay an advance (rule H6)
    freeze_on_chargeback: bool = False  # rule F3


class RecurringTerms(msgspec.Struct, frozen=True, array_like=True):
    """What a recurring grant issues for a whole period, and what its periods are (rules T1, B5).

    Recorded whole, versioned. Period 0 holds the anchor; a zone of "" is the account's.
    """

    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    products: tuple[str, ...]
    unit: PeriodUnit
    every: int
    anchor: int  # 0 = where it starts
    zone: str
    proration: Proration
    expires_after: int  # microseconds from the period's end to the expiry of its grant
    tags: tuple[str, ...] = ()  # with `products`: what its grants may pay for
    attributes: tuple[tuple[str, str], ...] = ()  # that the usage must bear, all of them
    shared: bool = False  # with the account's whole subtree (rule D1)
    rollover: Rollover | None = None  # of what is left when a grant expires (rule T3)
    metadata: tuple[tuple[str, str], ...] = ()  # of every grant
    source: str = ""  # whence the money of a paid grant comes


class TopUpRule(msgspec.Struct, frozen=True, array_like=True):
    """When an account is to buy units of an asset by itself, and how many (rule H6).

    Once less than `threshold` is available: up to `target`, or the least multiple of `amount` that
    reaches the threshold; one of the two is 0. A unit costs numerator / denominator minor units of
    money. At most `requests_max` in any `window` microseconds.
    """

    asset: int
    threshold: int
    target: int
    amount: int
    price_numerator: int
    price_denominator: int
    price_asset: int
    source: str  # where the payment comes from, as the caller names it
    requests_max: int
    window: int
    enabled: bool = True


class _Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all events. `gc=False`: events hold no reference cycles."""


class WriterOpened(_Event, frozen=True, tag=1):
    """A writer took the shard over at tail + 1; its epoch counts the openings."""

    account: ClassVar[int] = 0  # of none
    epoch: int
    last_batch_seq: int
    last_hash: bytes
    recorded_by: str = ""


class ConfigurationApplied(_Event, frozen=True, tag=2):
    """The shard imported a version of the tenant's configuration; its body is a blob by hash."""

    account: ClassVar[int] = 0  # of none
    tenant: int
    version: int
    content_hash: bytes


class ClockAdvanced(_Event, frozen=True, tag=80):
    """The clock of a sandbox tenant is `offset` microseconds ahead of the writer's from now on, in
    total; it never falls (rule T4). Follows the configuration that says so."""

    account: ClassVar[int] = 0  # of none
    tenant: int
    offset: int


class TimeShifted(_Event, frozen=True, tag=81):
    """The entries after this one, to the next such or the end of the batch, are recorded at the
    batch's time + `offset`: that of the tenant that they are of (rules T4, T5)."""

    account: ClassVar[int] = 0  # of none
    offset: int


class BookOpened(_Event, frozen=True, tag=3):
    """A book account came into being. `owner` is an account or grant, `name` a product."""

    account: ClassVar[int] = 0  # of none
    book: int
    tenant: int
    kind: BookKind
    asset: int
    owner: int = 0
    name: str = ""


class AccountCreated(_Event, frozen=True, tag=13):
    """An account of a family: `root` never changes; `parent` = 0 for the root itself."""

    key: bytes
    tenant: int
    account: int
    parent: int
    root: int
    policy: AccountPolicy
    profile: bytes = b""
    trace: bytes = b""


class AccountPolicyUpdated(_Event, frozen=True, tag=14):
    """The whole new policy; `version` counts from 1 at creation.

    Where another zone is to count for the account and those below it that inherit it: `zone_from`,
    the end of the month that runs (0 = no other). `zone_from_below`: (account, the end of its own
    month) of those where that is another instant (rule T1).
    """

    key: bytes
    account: int
    policy: AccountPolicy
    version: int
    expected_version: int = 0
    trace: bytes = b""
    zone_from: int = 0
    zone_from_below: tuple[tuple[int, int], ...] = ()


class AccountClosed(_Event, frozen=True, tag=12):
    """No new usage after `closed_at`; late events before it until the grace ends (rule T2)."""

    key: bytes
    account: int
    closed_at: int
    trace: bytes = b""


class FreezeCause(IntEnum):
    """Why an account is frozen."""

    REQUEST = 1  # somebody asked for it
    CHARGEBACK = 2  # rule F3


class AccountFrozen(_Event, frozen=True, tag=15):
    """Neither the account nor those below it take new usage until it is unfrozen (rule I2).

    `note` is the digest of the reason and of who asked. Without a `key` it follows from another
    entry.
    """

    key: bytes
    account: int
    cause: FreezeCause = FreezeCause.REQUEST
    note: bytes = b""
    trace: bytes = b""


class AccountUnfrozen(_Event, frozen=True, tag=16):
    """The account takes new usage again, unless one above it is frozen."""

    key: bytes
    account: int
    note: bytes = b""
    trace: bytes = b""


class WriteOffKind(IntEnum):
    """What is written off as an account closes."""

    GRANT = 1  # units that were left: debit grant, credit forfeited
    ADVANCE = 2  # owed in advance: debit promotion, credit advance
    OVERAGE = 3  # owed and not billed: debit settled, credit overage
    BREAKAGE = 4  # money of units that were left: debit deferred, credit breakage
    UNBILLED = 5  # money not billed: debit bad_debt, credit unbilled
    RECEIVABLE = 6  # money billed and not paid: debit bad_debt, credit receivable
    COMMITMENT = 7  # committed and not billed: debit settled, credit commitment


class WriteOff(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a closing: debit and credit are books of `asset` (rules B1, B3)."""

    kind: WriteOffKind
    debit: int
    credit: int
    asset: int
    amount: int
    grant: int = 0  # whose units they were; it pays no more


class AccountClosedOut(_Event, frozen=True, tag=17):
    """An account was closed with what it still had: `holds` were released, then `write_offs`
    posted, after which its books are at zero (rules B3, T2).

    `note` is the digest of the reason and of who asked.
    """

    key: bytes
    account: int
    closed_at: int
    holds: tuple[int, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    write_off: bool = False  # whether that was asked for; the same of `release_holds`
    release_holds: bool = False
    note: bytes = b""
    trace: bytes = b""


class AccountReopened(_Event, frozen=True, tag=18):
    """A closed account takes usage again that is effective from now on."""

    key: bytes
    account: int
    note: bytes = b""
    trace: bytes = b""


class AccountProfileUpdated(_Event, frozen=True, tag=19):
    """Another display name and other metadata, by their digest.

    `version` counts from 1 at creation. The texts stand beside the journal, where an erasure may
    blank them.
    """

    key: bytes
    account: int
    profile: bytes
    version: int
    expected_version: int = 0
    trace: bytes = b""


class GrantIssued(_Event, frozen=True, tag=23):
    """Units credited to a grant: debit `funding_book`, credit `book` (rule B3).

    The funding is a book of what was paid for, given away or committed; or the grant that it was
    part of (`origin`), with its share of the price. `price_paid` P in minor units of `price_asset`;
    P = 0 is free (rule B4). With a `deferred_book`, P moved there from `cash_book`. `pending`: not
    available before its payment is confirmed (rule F1).
    """

    key: bytes
    account: int
    grant: int
    ordinal: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int
    expires_at: int  # 0 = never
    products: tuple[str, ...]  # with `tags`: what it may pay for; () and () = every product
    external_key: bytes
    book: int
    funding_book: int
    effective_given: int = 0
    backfills: tuple[Backfill, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()  # that the usage must bear, all of them
    shared: bool = False  # with the account's whole subtree (rule D1)
    pending: bool = False
    scheduled: bool = False  # it takes effect later, by an entry of its own
    rollover: Rollover | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    cash_book: int = 0
    deferred_book: int = 0  # for a commitment: the payer's unbilled
    origin: int = 0
    source: str = ""  # as the caller named it
    trace: bytes = b""


class GrantStarted(_Event, frozen=True, tag=29):
    """A grant that was issued ahead takes effect, and repays what is owed by then (rule H6)."""

    account: int
    grant: int
    backfills: tuple[Backfill, ...] = ()


class GrantRolledOver(_Event, frozen=True, tag=24):
    """A grant has expired and its unheld rest, as far as its terms say, is issued anew by the next
    entry: `amount` units with `value` of its price (rule T3). Again for what a hold gives back.
    """

    account: int
    grant: int
    amount: int
    value: int = 0


class GrantReleased(_Event, frozen=True, tag=25):
    """A payment for a pending grant is confirmed: its share is posted (rule F1).

    Money: debit `cash_book`, credit the grant's deferred. `rest` = 1: all that was left of the
    price was asked for.
    """

    key: bytes
    account: int
    grant: int
    amount: int
    payment: int
    cash_book: int
    backfills: tuple[Backfill, ...] = ()
    rest: int = 0
    trace: bytes = b""


class GrantCancelled(_Event, frozen=True, tag=28):
    """The payment of a pending grant failed, or did not come in time: what pends is taken back
    (rule F1). `unpaid` is its share of the price. Without a `key` it is time that did it."""

    key: bytes
    account: int
    grant: int
    amount: int
    unpaid: int
    whole: bool  # nothing of it was ever paid: the grant ends
    trace: bytes = b""


class GrantVoided(_Event, frozen=True, tag=26):
    """The issue reversed for what is left and not held: debit grant, credit funding (rule B3).

    Money, of the grant's deferred: `refunded` to cash, `breakage` to breakage (rules B4, F2).
    Without a `key` it is the part that a hold gave back after the void (rule D6).
    """

    key: bytes
    account: int
    grant: int
    amount: int
    refunded: int = 0
    cash_book: int = 0
    breakage: int = 0
    breakage_book: int = 0
    forfeit: bool = False  # nothing is refunded
    trace: bytes = b""


class GrantExpired(_Event, frozen=True, tag=27):
    """Breakage at expiry + grace: debit grant, credit forfeited (rules B3, T3); of a commitment,
    its true-up: debit grant, credit true_up (rule D7).

    Money: debit the grant's deferred or the payer's unbilled, credit breakage. Again for what a
    hold gives back later (rule D6).
    """

    account: int
    grant: int
    amount: int
    forfeited_book: int
    value: int = 0
    breakage_book: int = 0


class PlanDeclared(_Event, frozen=True, tag=30, eq=False):
    """How the usage events after it in the same batch were described and priced, said once.

    `rows` are price rows parallel to `quantity_names`: card version << 20 | row, -1 = unpriced.
    A usage event names its plan by this entry's index in the batch. Compared by identity.
    """

    account: ClassVar[int] = 0  # of none
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity_names: tuple[str, ...]
    rate_card: str
    card_version: int
    rows: tuple[int, ...]
    asset: int


class UsageRecorded(_Event, frozen=True, tag=31):
    """One usage event: rated, drawn down, and where it landed (rules B3, D3, D4, R1).

    `charges` stand parallel to the plan's quantities (-1 = in suspense). `advances` move rounding
    positions: (price row, quantity), within the period that begins at `period`. `over_limit` is
    the part that landed by the policy's `excess`. `hold` was settled by this event, if not 0.
    """

    key: bytes
    account: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    used_book: int
    slices: tuple[Slice, ...]
    period: int
    advances: tuple[tuple[int, int], ...] = ()
    over_limit: int = 0
    suspense: int = 0
    effective_given: int = 1
    hold: int = 0
    late: int = 0
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""


class UsageQuarantined(_Event, frozen=True, tag=32):
    """Older than the dedupe window: recorded and listed, never charged (rule I4)."""

    key: bytes
    account: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    reason: str
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""


class LimitExceeded(_Event, frozen=True, tag=33):
    """Recorded usage went over every limit by `amount` (rule D4); follows its usage event."""

    account: int
    asset: int
    amount: int
    excess: Excess


class UsageReversed(_Event, frozen=True, tag=34):
    """Recorded usage given back, wholly or in part, last slice first (rules D3, R1).

    `original` is the entry that is corrected, as batch << 20 | index and as its number in the
    shard; `plan` its plan, said again. `quantities` are taken off it and `refunds` are what each
    line costs less, both parallel to the plan; with `as_charged` > 0 so much of the charge is given
    back and the quantities stay. `beyond` is the part that its own slices did not draw: what
    rounding had put on other events; `kept` is what its slices drew and was given back by hand
    before, so that it is not given twice. `moves` take rounding positions back, within the period
    that begins at `period`, where overage falls too. `suspended` = 1: it waits for a price no more.
    `whole` = 1: all that was left was asked for. `note` is the digest of reason and actor.
    `replaced_by` is the key of the usage event that stands in its place, `replacement` the digest
    of that event's body.
    """

    key: bytes
    account: int
    original: int
    original_entry: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    refunds: tuple[int, ...]
    used_book: int
    given_back: tuple[GivenBack, ...]
    period: int
    moves: tuple[tuple[int, int], ...] = ()
    as_charged: int = 0
    beyond: int = 0
    kept: int = 0
    suspended: int = 0
    whole: int = 0
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    replaced_by: bytes = b""
    replacement: bytes = b""
    trace: bytes = b""


class GrantRestored(_Event, frozen=True, tag=35):
    """A grant that takes what is given back to `of`, which has ended: on its terms (rule D3).

    `amount` is credited by the entry that follows; `price_paid` is the money that it takes back
    from what `of` had recognised.
    """

    account: int
    grant: int
    ordinal: int
    of: int
    amount: int
    price_paid: int
    expires_at: int  # 0 = never
    book: int
    deferred_book: int = 0  # 0 = it has no money side


class BalanceAdjusted(_Event, frozen=True, tag=37):
    """Units credited or debited by hand; `note` is the digest of why and by whom.

    A credit to a new free grant names the grant that was issued before it, by an entry of its own
    (`grant`, no transfer here). One to a grant that units had been drawn from is in `given_back`:
    debit the product's used book, credit the grant. A debit is in `slices`, drawn as by the product
    `adjustment`, overage in the `period` that begins there.
    """

    key: bytes
    account: int
    asset: int
    amount: int  # below 0 = debited
    grant: int = 0
    grant_given: int = 0  # 1 = the caller named it
    used_book: int = 0
    slices: tuple[Slice, ...] = ()
    given_back: tuple[GivenBack, ...] = ()
    period: int = 0
    expires_at: int = 0
    note: bytes = b""
    trace: bytes = b""


class AdjustmentNoted(_Event, frozen=True, tag=36):
    """An entry before it belongs to a closed period and counts in an open one (rule T2).

    `entry` is its index in the batch. Periods are named by their first instant.
    """

    account: int
    entry: int
    closed: int
    period: int


class UsageCaptured(UsageRecorded, frozen=True, tag=44):
    """A capture that leaves its hold open (rule H1); the last one is a UsageRecorded.

    `taken` is what it drew of each of the hold's slices, in the order in which they were held;
    () where it came late.
    """

    taken: tuple[int, ...] = ()


class HoldCharged(UsageRecorded, frozen=True, tag=46):
    """An expiry that charges what was estimated and not captured, and settles the hold (rule H2).

    Nobody asked for it, so it has no key; it is effective at the hold's expiry.
    """


class HoldAuthorized(_Event, frozen=True, tag=45):
    """Exact slices reserved as pending debits until `expires_at` (rule H1).

    `expiry` and `lifetime_max`, the longest that extending may make it live from here, are those
    of the product then. Its overage counts in the period that begins at `period`.
    """

    key: bytes
    account: int
    hold: int
    plan: int
    quantities: tuple[int, ...]
    charges: tuple[int, ...]
    used_book: int
    slices: tuple[Slice, ...]
    effective_at: int
    expires_at: int
    lifetime: int
    lifetime_max: int
    expiry: HoldExpiry
    period: int
    policy_version: int
    trace: bytes = b""


class HoldExtended(_Event, frozen=True, tag=47):
    """An open hold's expiry moved: `lifetime` from now, as it was asked for (rule H1)."""

    key: bytes
    account: int
    hold: int
    lifetime: int
    expires_at: int
    trace: bytes = b""


class AuthorizeDenied(_Event, frozen=True, tag=41):
    """A denial is an entry: a retry gets the same answer (rule I2)."""

    key: bytes
    account: int
    plan: int
    quantities: tuple[int, ...]
    charge: int
    available: int
    reason: str
    lifetime: int
    policy_version: int
    trace: bytes = b""


class HoldReleased(_Event, frozen=True, tag=42):
    """Every slice of the hold given back."""

    key: bytes
    account: int
    hold: int
    trace: bytes = b""


class HoldExpired(_Event, frozen=True, tag=43):
    """The same, by the writer's clock, as an entry of its own (rule H2)."""

    account: int
    hold: int


class RequestAbandoned(_Event, frozen=True, tag=50):
    """A tombstone: this request id will never be applied (rule I5)."""

    key: bytes
    account: int


class RecurringStarted(_Event, frozen=True, tag=70):
    """An account is to be granted the same again every period, from `starts_at` on."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    external_key: bytes
    starts_at: int
    ends_at: int  # 0 = it goes on
    start_given: int = 0  # what the caller gave; 0 = the writer's clock
    trace: bytes = b""


class RecurringIssued(_Event, frozen=True, tag=71):
    """A period's grant, issued by the writer's clock, once; it follows the grant's own entry.

    [start, end) is the period, or the part of it in which the recurring grant runs. Of the terms of
    `version` it issued the share remaining / full (rule S1). `grant` 0 = that rounds to nothing.
    """

    account: int
    recurring: int
    version: int
    start: int
    end: int
    remaining: int
    full: int
    grant: int
    amount: int
    price_paid: int


class RecurringChanged(_Event, frozen=True, tag=72):
    """New terms. Now: more for the rest of the period is a grant of its own, just before this."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    timing: Timing
    version: int
    expected_version: int = 0
    remaining: int = 0
    full: int = 0
    grant: int = 0
    amount: int = 0
    price_paid: int = 0
    trace: bytes = b""


class RecurringPaused(_Event, frozen=True, tag=73):
    """Nothing is issued until it is resumed; what was issued stays."""

    key: bytes
    account: int
    recurring: int
    trace: bytes = b""


class RecurringResumed(_Event, frozen=True, tag=74):
    """The next period starts at `next_at`; those that passed meanwhile are left out."""

    key: bytes
    account: int
    recurring: int
    next_at: int
    trace: bytes = b""


class RecurringEnded(_Event, frozen=True, tag=75):
    """Nothing is issued from `ends_at` on."""

    key: bytes
    account: int
    recurring: int
    timing: Timing
    ends_at: int
    trace: bytes = b""


class GrantReduced(_Event, frozen=True, tag=76):
    """A part of a grant taken back: debit grant, credit funding (rules B3, S1).

    What a recurring grant had issued for the time after its end; never what is drawn or held. Its
    share of the price goes back from deferred to `cash_book`.
    """

    account: int
    grant: int
    amount: int
    refunded: int = 0
    cash_book: int = 0


class GrantRefunded(_Event, frozen=True, tag=60):
    """Unused units taken back and paid back: debit grant, credit funding (rule F2).

    Money, of the grant's deferred: `refunded` to cash; where no unit is left, what rounding leaves
    of the price is `breakage`. `rest` = 1: all that was left and not held was asked for. `note` is
    the digest of the reason and of who asked, here and below.
    """

    key: bytes
    account: int
    grant: int
    amount: int
    refunded: int
    cash_book: int
    breakage: int = 0
    breakage_book: int = 0
    rest: int = 0
    note: bytes = b""
    trace: bytes = b""


class ChargedBackPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a chargeback takes of a grant: debit grant, credit funding; debit its deferred, credit
    cash with `value`. `ends`: it was open until then, and is void."""

    grant: int
    amount: int
    value: int
    ends: bool


class GrantChargedBack(_Event, frozen=True, tag=61):
    """The bank took the whole `payment` of a grant back (rule F3).

    `parts` are what is left of it and of what it was rolled over or restored to; `owed`, the rest
    of the payment, was used or forfeited: debit `receivable_book`, credit `cash_book`.
    """

    key: bytes
    account: int
    grant: int
    payment: int
    cash_book: int
    receivable_book: int
    owed: int
    parts: tuple[ChargedBackPart, ...]
    note: bytes = b""
    trace: bytes = b""


class BillLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One transfer of a bill: units from settled to overage or to the commitment of `grant`, or
    money from receivable to unbilled (rules B3, B4)."""

    debit: int
    credit: int
    asset: int
    amount: int
    grant: int = 0


class AccountBilled(_Event, frozen=True, tag=62):
    """What an account owed and was not billed for, or up to `most` of `asset` (rule B4)."""

    key: bytes
    account: int
    lines: tuple[BillLine, ...]
    asset: int = 0  # as asked for; 0 = every asset
    most: int = 0  # as asked for; 0 = all
    note: bytes = b""
    trace: bytes = b""


class PaymentRecorded(_Event, frozen=True, tag=63):
    """A bill was paid, wholly or in part: debit `cash_book`, credit `receivable_book` (rule B4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    cash_book: int
    receivable_book: int
    source: str = ""  # as the caller named it
    note: bytes = b""
    trace: bytes = b""


class CreditNoteIssued(_Event, frozen=True, tag=64):
    """A part of what was billed is waived: debit `book`, credit `receivable_book` (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    book: int
    receivable_book: int
    note: bytes = b""
    trace: bytes = b""


class ReceivableWrittenOff(_Event, frozen=True, tag=65):
    """A bill will not be paid: debit bad debt (`book`), credit `receivable_book` (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    book: int
    receivable_book: int
    note: bytes = b""
    trace: bytes = b""


class CommitmentTerms(msgspec.Struct, frozen=True, array_like=True):
    """What every segment of a commitment has in common (rule D7): it never changes."""

    kind: GrantKind  # POSTPAID or PREPAID
    asset: int
    price_asset: int
    priority: int
    products: tuple[str, ...]
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    metadata: tuple[tuple[str, str], ...] = ()


class Segment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A part of a commitment as it was asked for: a grant of its own (rule D7)."""

    starts_at: int  # 0 = the writer's clock
    ends_at: int
    amount: int
    price: int  # what the whole amount is billed at


class Invoice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Money of a commitment that is to be billed at an instant (rule D7)."""

    at: int
    amount: int


class CommitmentCreated(_Event, frozen=True, tag=51):
    """A commitment; the grants of its segments stand just before, in the segments' order."""

    key: bytes
    account: int
    commitment: int
    terms: CommitmentTerms
    segments: tuple[Segment, ...]
    invoices: tuple[Invoice, ...]
    external_key: bytes
    grants: tuple[int, ...]
    trace: bytes = b""


class SegmentAdded(_Event, frozen=True, tag=52):
    """An upsize: one more segment, whose grant stands just before, and what is billed for it.

    With `of` it is what was left of the segment of that grant, of a commitment that was ended by
    transfer: voided just before, with the same money. It follows that end, or the hold that gave
    it back, and has no key.
    """

    key: bytes
    account: int
    commitment: int
    segment: Segment
    invoices: tuple[Invoice, ...]
    grant: int
    of: int = 0
    trace: bytes = b""


class CommitmentEnded(_Event, frozen=True, tag=53):
    """Nothing is drawn or invoiced from here on; what ends its grants follows, each by itself.

    `units` of the segments that run are trued up for `value` of money, or so much of all that have
    not ended moves to the commitment `target`, with the `invoices` that were to come; what a hold
    still reserves follows when it is settled (rule D6).
    """

    key: bytes
    account: int
    commitment: int
    ending: CommitmentEnding
    units: int = 0
    value: int = 0
    target: int = 0
    invoices: tuple[Invoice, ...] = ()
    trace: bytes = b""


class InvoiceDue(_Event, frozen=True, tag=54):
    """An invoice of a commitment, by the writer's clock, once: debit receivable, credit unbilled
    (rules B4, D7)."""

    account: int
    commitment: int
    at: int
    asset: int
    amount: int
    receivable_book: int
    unbilled_book: int


class TopUpRuleSet(_Event, frozen=True, tag=90):
    """The whole new rule of an account for its asset; `version` counts on through removals."""

    key: bytes
    account: int
    rule: TopUpRule
    version: int
    expected_version: int = 0
    trace: bytes = b""


class TopUpRuleRemoved(_Event, frozen=True, tag=91):
    """The account buys no more units of the asset by itself."""

    key: bytes
    account: int
    asset: int
    trace: bytes = b""


class TopUpRequested(_Event, frozen=True, tag=92):
    """`available` and what pended of earlier top-ups fell below the threshold of the rule's
    `version`: one charge of `price_paid` is to be made for `amount` units (rule H6)."""

    account: int
    top_up: int
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    source: str
    version: int
    available: str  # decimal: what is owed may not fit 64 bits (rule N1)
    expires_at: int


class TopUpConfirmed(_Event, frozen=True, tag=93):
    """The charge was made; the entry before issued its units as `grant`."""

    key: bytes
    account: int
    top_up: int
    grant: int
    trace: bytes = b""


class TopUpDeclined(_Event, frozen=True, tag=94):
    """The charge was refused; the next one is asked for an hour later at the earliest."""

    key: bytes
    account: int
    top_up: int
    trace: bytes = b""


class TopUpExpired(_Event, frozen=True, tag=95):
    """Nobody answered within a day: it counts as pending no more."""

    account: int
    top_up: int


Event: TypeAlias = (
    WriterOpened
    | ConfigurationApplied
    | ClockAdvanced
    | TimeShifted
    | BookOpened
    | AccountCreated
    | AccountPolicyUpdated
    | AccountClosed
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosedOut
    | AccountReopened
    | AccountProfileUpdated
    | GrantIssued
    | GrantStarted
    | GrantRolledOver
    | GrantReleased
    | GrantCancelled
    | GrantVoided
    | GrantExpired
    | PlanDeclared
    | UsageRecorded
    | UsageQuarantined
    | LimitExceeded
    | UsageReversed
    | GrantRestored
    | AdjustmentNoted
    | BalanceAdjusted
    | UsageCaptured
    | HoldAuthorized
    | HoldExtended
    | HoldCharged
    | AuthorizeDenied
    | HoldReleased
    | HoldExpired
    | RequestAbandoned
    | RecurringStarted
    | RecurringIssued
    | RecurringChanged
    | RecurringPaused
    | RecurringResumed
    | RecurringEnded
    | GrantReduced
    | CommitmentCreated
    | SegmentAdded
    | CommitmentEnded
    | InvoiceDue
    | GrantRefunded
    | GrantChargedBack
    | AccountBilled
    | PaymentRecorded
    | CreditNoteIssued
    | ReceivableWrittenOff
    | TopUpRuleSet
    | TopUpRuleRemoved
    | TopUpRequested
    | TopUpConfirmed
    | TopUpDeclined
    | TopUpExpired
)
"""Everything that a journal may hold."""
