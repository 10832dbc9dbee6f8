"""What may be asked of the core, in the imperative. Parsed once, at the edge; valid in form.

Time and identity come in with the command: `key` is the 16-byte digest of rule I1 (family, source,
id) or of a request id (rule I5). External names travel beside the command (`Names`), only to be
written to the erasable side table; `decide` never reads them.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

from ledger.core.events import (
    AccountPolicy,
    BudgetTerms,
    CapTerms,
    CommitmentEnding,
    CommitmentTerms,
    EndedGrants,
    Event,
    Follow,
    GrantKind,
    Invoice,
    OldGrants,
    PlanDeclared,
    RecurringTerms,
    Rollover,
    Segment,
    Sharing,
    Timing,
    TopUpRule,
    UsageConverted,
    UsageMetered,
)
from ledger.core.shapes import Shape
from rating.overrides import Override


class Names(msgspec.Struct, frozen=True, gc=False):
    """External names of one event, for the side table that erasure may blank."""

    source: str
    event_id: str
    operation: str = ""
    operation_parent: str = ""
    personal: tuple[tuple[str, str], ...] = ()


NO_NAMES = Names("", "")


class Level(msgspec.Struct, frozen=True, gc=False):
    """A quantity that counts what is above a level: the most that counts already in a scope.

    `place` is that of the quantity, which says what was reported; `key` a digest that says whose
    level it is within the account; `scope` as of running totals (rating.functions).
    """

    place: int
    key: int
    scope: int


class RecordUsage(msgspec.Struct, gc=False):
    """Record usage that has happened: it is never refused for lack of credits (rule D4)."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    names: Names
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""
    quote: int = 0  # that is to price it; only of the kinds below, as are
    levels: tuple[Level, ...] = ()  # over which its meters count


class MeteredUsage(RecordUsage, gc=False):
    """Usage whose meters count over levels (rules N4, R1)."""


class QuotedUsage(RecordUsage, gc=False):
    """Usage that names a quote (rule H9): of a kind of its own, for it is never usual."""


class LinkedUsage(RecordUsage, gc=False):
    """One event of a group that is recorded together or not at all; the group stands together."""

    follow: int = 0  # how many of the group follow


class RepriceUsage(RecordUsage, gc=False):
    """Record usage again that a job has given back, by a version of a card that the job names,
    whatever version is in force at its time (rule R7): same quantities, attributes and time.

    `taken` is the key of the reversal, without which nothing is recorded, `reversal_entry` its
    number where it stands in an earlier batch.
    """

    rate_card: str = ""
    card_version: int = 0
    job: str = ""
    original: int = 0  # batch << 20 | index
    original_entry: int = 0
    taken: bytes = b""
    reversal_entry: int = 0
    metered: UsageMetered | None = None  # what the usage before had counted over levels


class AuthorizeHold(msgspec.Struct, gc=False):
    """Reserve the price of an estimate, or deny (rules H1, H3, D4)."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    lifetime: int  # microseconds; 0 = the default
    names: Names = NO_NAMES
    trace: bytes = b""
    quote: int = 0  # that is to price it


class CreateQuote(msgspec.Struct, gc=False):
    """Promise the price of work for one use (rule H9); with `held` reserve it too, or refuse."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    lifetime: int  # microseconds; 0 = the default
    tolerance: int  # basis points of each quantity that it prices; 0 = the default
    held: bool
    names: Names = NO_NAMES
    trace: bytes = b""


class ExtendHold(msgspec.Struct, gc=False):
    """Move an open hold's expiry to `lifetime` from now, later or earlier (rule H1)."""

    key: bytes
    account: int
    hold: int
    lifetime: int  # microseconds; 0 = the default
    names: Names = NO_NAMES
    trace: bytes = b""


class CaptureHold(msgspec.Struct, gc=False):
    """Charge a hold with the actual quantities (rule H1): the rest goes back, or stays held where
    `keep_open` says that more captures follow."""

    key: bytes
    account: int
    hold: int
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    names: Names = NO_NAMES
    trace: bytes = b""
    keep_open: bool = False


class ReleaseHold(msgspec.Struct, gc=False):
    """Give a hold back."""

    key: bytes
    account: int
    hold: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ReportOutcome(msgspec.Struct, gc=False):
    """Record work that is charged once its result is confirmed. `evidence`: digest of what is given
    for it, here and below."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    evidence: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class ConfirmOutcome(msgspec.Struct, gc=False):
    """The result is there: charge the work."""

    key: bytes
    account: int
    outcome: int
    evidence: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class RejectOutcome(msgspec.Struct, gc=False):
    """There is no result: give back what the outcome reserves. `note`: digest of reason and
    evidence."""

    key: bytes
    account: int
    outcome: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class Original(msgspec.Struct, frozen=True, gc=False):
    """A recorded entry as the journal has it, which never changes: whoever asks reads it there.

    `locator` is batch << 20 | index, `entry_seq` its number in the shard, `plan` the declaration
    that it names, if it names one, `conversion` what stands right behind usage that was converted,
    `cost_plan` the declaration of its cost card, `metered` what its meters counted over levels.
    """

    locator: int
    entry_seq: int
    event: Event
    plan: PlanDeclared | None
    conversion: UsageConverted | None = None
    cost_plan: PlanDeclared | None = None
    metered: UsageMetered | None = None


class ReverseUsage(msgspec.Struct, gc=False):
    """Give recorded usage back: all that is left of it, some quantities, or some of the charge.

    `quantities` stand parallel to the original's plan, () = all that is left; `as_charged` > 0
    instead of them gives back so much of the charge (rules D3, R1). What the provider takes stays,
    for the work was done, unless `refund_cost` says that it takes it back (rule B4).
    """

    key: bytes
    account: int
    original: Original
    quantities: tuple[int, ...] = ()
    as_charged: int = 0
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
    rated: tuple[Original, ...] = ()  # the entries that rated it after it had waited (rule B8)
    refund_cost: bool = False
    replaced_by: bytes = b""  # key of the usage that a job records again (rule R7); b"" = by none
    replacement: bytes = b""  # digest of what it is priced by


class AmendUsage(msgspec.Struct, gc=False):
    """Give all that is left of recorded usage back and record other usage in its stead, at once.

    `usage` has an identity of its own and names its effective time; `body` is the digest of what
    the caller gave of it.
    """

    key: bytes
    account: int
    original: Original
    usage: RecordUsage
    body: bytes
    ended: EndedGrants = EndedGrants.RESTORE
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""
    rated: tuple[Original, ...] = ()


class AdjustBalance(msgspec.Struct, gc=False):
    """Credit units to an account by hand, or debit them: for what no correction can put right.

    `amount` > 0 credits: to a `grant` that they had been drawn from, or to a new free one (0).
    Below 0 it debits: that grant, or whoever pays by the account's waterfall.
    """

    key: bytes
    account: int
    asset: int
    amount: int
    grant: int = 0
    expires_at: int = 0  # of a new grant; 0 = never
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class CreateAccount(msgspec.Struct, gc=False):
    """Open an account whose id the directory has claimed."""

    key: bytes
    tenant: int
    account: int
    parent: int
    root: int
    policy: AccountPolicy
    profile: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UpdatePolicy(msgspec.Struct, gc=False):
    """Replace the policy; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    policy: AccountPolicy
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class CloseAccount(msgspec.Struct, gc=False):
    """Close an account. With `write_off` its credits are forfeited and what it owes is written off,
    with `release_holds` its holds are given back; without, it must have none."""

    key: bytes
    account: int
    names: Names = NO_NAMES
    trace: bytes = b""
    write_off: bool = False
    release_holds: bool = False
    note: bytes = b""


class MoveAccount(msgspec.Struct, gc=False):
    """Put an account with all below it under another parent of its family.

    `expected_version` is of its place, from 1; 0 = whatever it is.
    """

    key: bytes
    account: int
    parent: int
    expected_version: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class FreezeAccount(msgspec.Struct, gc=False):
    """Let an account and those below it take no new usage. `note`: digest of reason and actor."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UnfreezeAccount(msgspec.Struct, gc=False):
    """Let a frozen account take new usage again."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class ReopenAccount(msgspec.Struct, gc=False):
    """Let a closed account take usage again from now on."""

    key: bytes
    account: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class SetPriceOverrides(msgspec.Struct, gc=False):
    """Replace the whole list of an account's price overrides; `expected_version` 0 = whatever it
    is. `note`: digest of reason and actor."""

    key: bytes
    account: int
    overrides: tuple[Override, ...]
    expected_version: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class UpdateProfile(msgspec.Struct, gc=False):
    """Replace display name and metadata, given by digest; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    profile: bytes
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class IssueGrant(msgspec.Struct, gc=False):
    """Credit units to an account. `external_key` is a permanent identity of the grant (rule I5).

    `source` names whence the money of a paid grant comes; `pending`: it waits for its payment (F1).
    """

    key: bytes
    account: int
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    priority: int
    effective_at: int  # 0 = the writer's clock
    expires_at: int  # 0 = never
    products: tuple[str, ...]
    external_key: bytes
    names: Names = NO_NAMES
    trace: bytes = b""
    source: str = ""
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    pending: bool = False
    rollover: Rollover | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    to_bill: bool = False  # its price is still to be billed: no cash came in
    sharing: Sharing | None = None  # where it is shared with some only: of what is issued anew


class UpdateSharing(msgspec.Struct, gc=False):
    """Share a grant otherwise from now on; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    grant: int
    sharing: Sharing
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class SetCap(msgspec.Struct, gc=False):
    """Set how much an account `below` may draw of what this one shares of an asset, or of one
    `grant`. `cap` 0 = a new one; of one that stands only limit, fraction and reserve may change."""

    key: bytes
    account: int
    below: int
    asset: int
    grant: int
    terms: CapTerms
    cap: int = 0
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveCap(msgspec.Struct, gc=False):
    """Let a cap bind no more."""

    key: bytes
    account: int
    cap: int
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class VoidGrant(msgspec.Struct, gc=False):
    """Take back what is left of a grant and not held; `forfeit`: without a refund (rule B4)."""

    key: bytes
    account: int
    grant: int
    names: Names = NO_NAMES
    trace: bytes = b""
    forfeit: bool = False


class ConfirmPayment(msgspec.Struct, gc=False):
    """A payment came for a grant that waits for it; `amount` 0 = all that is left of its price.

    `asset`, where it is named, must be the money of the price (rule F1).
    """

    key: bytes
    account: int
    grant: int
    amount: int = 0
    asset: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class FailPayment(msgspec.Struct, gc=False):
    """The payment of a grant that waits for it failed: what pends is cancelled (rule F1)."""

    key: bytes
    account: int
    grant: int
    names: Names = NO_NAMES
    trace: bytes = b""


class RefundGrant(msgspec.Struct, gc=False):
    """Take unused units back and pay back what they cost; `amount` 0 = all left and not held (F2).

    `note`: digest of reason and actor, here and below.
    """

    key: bytes
    account: int
    grant: int
    amount: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class ChargeBack(msgspec.Struct, gc=False):
    """The bank took the payment of a grant back (rule F3)."""

    key: bytes
    account: int
    grant: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class BillAccount(msgspec.Struct, gc=False):
    """Bill what the account owes by now: of every asset (0) or of one, all (0) or up to `most`."""

    key: bytes
    account: int
    asset: int = 0
    most: int = 0
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class RecordPayment(msgspec.Struct, gc=False):
    """A bill was paid, wholly or in part; `source` names whence the money came."""

    key: bytes
    account: int
    asset: int
    amount: int
    source: str = ""
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class IssueCreditNote(msgspec.Struct, gc=False):
    """Waive a part of what was billed and not paid (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class WriteOffReceivable(msgspec.Struct, gc=False):
    """Give up a part of what was billed and will not be paid (rule F4)."""

    key: bytes
    account: int
    asset: int
    amount: int
    note: bytes = b""
    names: Names = NO_NAMES
    trace: bytes = b""


class StartRecurring(msgspec.Struct, gc=False):
    """Grant the same again every period. `external_key` is a permanent identity (rule I5)."""

    key: bytes
    account: int
    terms: RecurringTerms
    external_key: bytes
    starts_at: int  # 0 = the writer's clock
    ends_at: int  # 0 = it goes on
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangeRecurring(msgspec.Struct, gc=False):
    """Replace the terms; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    recurring: int
    terms: RecurringTerms
    timing: Timing
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class PauseRecurring(msgspec.Struct, gc=False):
    """Issue nothing until it is resumed."""

    key: bytes
    account: int
    recurring: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ResumeRecurring(msgspec.Struct, gc=False):
    """Issue again, from the present period on unless that was issued."""

    key: bytes
    account: int
    recurring: int
    names: Names = NO_NAMES
    trace: bytes = b""


class EndRecurring(msgspec.Struct, gc=False):
    """Issue nothing after the present period, or from now on."""

    key: bytes
    account: int
    recurring: int
    timing: Timing
    names: Names = NO_NAMES
    trace: bytes = b""


class Subscribe(msgspec.Struct, gc=False):
    """Have an account have a package from now on. `version` 0 = the newest; `locked_until` is
    given where it follows after an instant (rule P1)."""

    key: bytes
    account: int
    package: str
    follow: Follow = Follow.FOLLOW
    version: int = 0
    locked_until: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class ChangePackage(msgspec.Struct, gc=False):
    """Another package or version, now or from the next period on (rule P3); `expected_version` is
    that of the subscription, 0 = whatever it is."""

    key: bytes
    account: int
    package: str
    timing: Timing
    follow: Follow = Follow.FOLLOW
    version: int = 0
    locked_until: int = 0
    old_grants: OldGrants = OldGrants.KEEP
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class CancelSubscription(msgspec.Struct, gc=False):
    """End an account's subscription with its period, or now."""

    key: bytes
    account: int
    timing: Timing
    old_grants: OldGrants = OldGrants.KEEP
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class CreateCommitment(msgspec.Struct, gc=False):
    """Commit an account to segments, to be billed by a schedule of its own (rule D7)."""

    key: bytes
    account: int
    terms: CommitmentTerms
    segments: tuple[Segment, ...]
    invoices: tuple[Invoice, ...]
    external_key: bytes
    names: Names = NO_NAMES
    trace: bytes = b""


class AddSegment(msgspec.Struct, gc=False):
    """An upsize: one more segment, which may run beside others."""

    key: bytes
    account: int
    commitment: int
    segment: Segment
    invoices: tuple[Invoice, ...]
    names: Names = NO_NAMES
    trace: bytes = b""


class EndCommitment(msgspec.Struct, gc=False):
    """End a commitment before its time. `target` of `target_account` takes what is transferred."""

    key: bytes
    account: int
    commitment: int
    ending: CommitmentEnding
    target_account: int = 0
    target: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class SetBudget(msgspec.Struct, gc=False):
    """Give an account a budget of that name, or one that has it another limit, hardness or other
    thresholds; `expected_version` 0 = whatever it is (rule H4)."""

    key: bytes
    account: int
    name: str
    terms: BudgetTerms
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveBudget(msgspec.Struct, gc=False):
    """Count and refuse by the budget no more; holds that pend in it go on."""

    key: bytes
    account: int
    name: str
    names: Names = NO_NAMES
    trace: bytes = b""


class SetTopUpRule(msgspec.Struct, gc=False):
    """Give an account a rule for its asset, or another; `expected_version` 0 = whatever it is."""

    key: bytes
    account: int
    rule: TopUpRule
    expected_version: int = 0
    names: Names = NO_NAMES
    trace: bytes = b""


class RemoveTopUpRule(msgspec.Struct, gc=False):
    """Buy no more units of the asset; what was requested stays."""

    key: bytes
    account: int
    asset: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ConfirmTopUp(msgspec.Struct, gc=False):
    """The charge of a requested top-up was made."""

    key: bytes
    account: int
    top_up: int
    names: Names = NO_NAMES
    trace: bytes = b""


class DeclineTopUp(msgspec.Struct, gc=False):
    """The charge of a requested top-up was refused."""

    key: bytes
    account: int
    top_up: int
    names: Names = NO_NAMES
    trace: bytes = b""


class AbandonRequest(msgspec.Struct, gc=False):
    """Make 'not applied so far' final (rule I5)."""

    key: bytes
    account: int
    names: Names = NO_NAMES
    trace: bytes = b""


class ApplyConfiguration(msgspec.Struct, gc=False):
    """Import a published version of a tenant's configuration.

    `offset`: of the tenant's clock, where the version moves it (rule T4); else -1. `minimums`: the
    version is of a rate card that has some (rule R2).
    """

    key: ClassVar[bytes] = b""  # it has no identity: the version that comes next comes once
    account: ClassVar[int] = 0
    names: ClassVar[Names] = NO_NAMES
    tenant: int
    version: int
    content_hash: bytes
    offset: int = -1
    minimums: bool = False


Command: TypeAlias = (
    RecordUsage
    | MeteredUsage
    | QuotedUsage
    | LinkedUsage
    | RepriceUsage
    | CreateQuote
    | AuthorizeHold
    | ExtendHold
    | CaptureHold
    | ReleaseHold
    | ReportOutcome
    | ConfirmOutcome
    | RejectOutcome
    | ReverseUsage
    | AmendUsage
    | AdjustBalance
    | CreateAccount
    | UpdatePolicy
    | CloseAccount
    | FreezeAccount
    | MoveAccount
    | UnfreezeAccount
    | ReopenAccount
    | UpdateProfile
    | SetPriceOverrides
    | IssueGrant
    | UpdateSharing
    | SetCap
    | RemoveCap
    | VoidGrant
    | ConfirmPayment
    | FailPayment
    | RefundGrant
    | ChargeBack
    | BillAccount
    | RecordPayment
    | IssueCreditNote
    | WriteOffReceivable
    | StartRecurring
    | ChangeRecurring
    | PauseRecurring
    | ResumeRecurring
    | EndRecurring
    | Subscribe
    | ChangePackage
    | CancelSubscription
    | CreateCommitment
    | AddSegment
    | EndCommitment
    | SetBudget
    | RemoveBudget
    | SetTopUpRule
    | RemoveTopUpRule
    | ConfirmTopUp
    | DeclineTopUp
    | AbandonRequest
    | ApplyConfiguration
)
