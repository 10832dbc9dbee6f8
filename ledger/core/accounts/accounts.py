"""Deciding accounts: create, new policy or profile, close, abandon a request. Changes nothing."""

from __future__ import annotations

from ledger.core.accounts.closing import close, commitments, settling
from ledger.core.admission import (
    account_closed,
    known_account,
    open_account,
    recorded_before,
    unknown_account,
)
from ledger.core.commands import (
    AbandonRequest,
    CloseAccount,
    CreateAccount,
    UpdatePolicy,
    UpdateProfile,
)
from ledger.core.drawing.drawdown import settlement_asset
from ledger.core.events import (
    AccountCreated,
    AccountPolicy,
    AccountPolicyUpdated,
    AccountProfileUpdated,
    BookKind,
    Event,
    OverdraftKind,
    RequestAbandoned,
)
from ledger.core.funding.sharing import labels_fault
from ledger.core.limits import (
    ANCHOR_MAX_US,
    DEPTH_MAX,
    INT64_MAX,
    OVERDRAFT_BASIS_POINTS_MAX,
    PERIOD_GRACE_MAX_US,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.periods import billing_period, refuse_zone
from ledger.core.state import NEVER, Account, FixedCharge, Grant, State, inherited_zone


def decide_create(
    state: State, command: CreateAccount, out: list[Event]
) -> Event | Known | Refusal:
    """Open an account under its parent, in the family of its root."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if command.account in state.accounts:
        return Refusal(
            Reason.ACCOUNT_EXISTS,
            "account",
            str(command.account),
            "the account exists already; use it, or choose another id",
        )
    if command.parent:
        parent = state.accounts.get(command.parent)
        if parent is None:
            return Refusal(
                Reason.PARENT_UNKNOWN,
                "parent",
                str(command.parent),
                "the parent does not exist; create it first",
            )
        if parent.closed_at:
            return account_closed(parent)
        assert parent.root == command.root and parent.tenant == command.tenant, command
        if parent.depth >= DEPTH_MAX:
            return Refusal(
                Reason.DEPTH_EXCEEDED,
                "parent",
                str(parent.depth),
                f"a family is at most {DEPTH_MAX} accounts deep; choose a parent nearer its root",
            )
    refusal = _invalid_policy(state, command.tenant, command.policy)
    if refusal is not None:
        return refusal
    created = AccountCreated(
        command.key,
        command.tenant,
        command.account,
        command.parent,
        command.root,
        command.policy,
        command.profile,
        command.trace,
    )
    out.append(created)
    return created


def decide_policy(state: State, command: UpdatePolicy, out: list[Event]) -> Event | Known | Refusal:
    """Replace an account's policy; decisions name the version that they used."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    if command.expected_version and command.expected_version != account.version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(account.version),
            f"the policy is at version {account.version}, not {command.expected_version}; "
            "read it again",
        )
    refusal = invalid_policy(state, account, command.policy)
    if refusal is not None:
        return refusal
    updated = AccountPolicyUpdated(
        command.key,
        account.number,
        command.policy,
        account.version + 1,
        command.expected_version,
        command.trace,
        *zone_from(state, account, inherited_zone(account.parent, command.policy)),
        _anchor_from(state, account, command.policy),
    )
    out.append(updated)
    return updated


def invalid_policy(state: State, account: Account, policy: AccountPolicy) -> Refusal | None:
    """Why an account that there is may not have this policy."""
    above = settlement_asset(account.parent) if account.parent is not None else 0
    return _invalid_policy(state, account.tenant, policy) or settles_otherwise(
        state, account, policy.settlement_asset or above, "policy.settlement_asset"
    )


def zone_from(state: State, account: Account, zone: str) -> tuple[int, tuple[tuple[int, int], ...]]:
    """From when on this zone counts, if it is another, for the account, and for those below it that
    inherit it where that differs: each ends the month that it is in (rule T1)."""
    now = state.now
    if zone == account.calendar.zone:
        return 0, ()
    since = account.calendar.end_of(now)
    ends = [(each.number, each.calendar.end_of(now)) for each in account.in_its_zone()]
    return since, tuple([each for each in ends if each[1] != since])


def _anchor_from(state: State, account: Account, policy: AccountPolicy) -> int:
    """From when on another billing anchor counts: the period that runs ends first (rule T1)."""
    if policy.billing_anchor == account.policy.billing_anchor:
        return 0
    return billing_period(state.now, account.anchors, account.calendar)[1]


def settles_otherwise(state: State, account: Account, asset: int, field: str) -> Refusal | None:
    """Another settlement currency while anything is open in the present one, or is charged for in
    one that it is not (rule N6)."""
    before = settlement_asset(account)
    if before == asset:
        return None
    line = [account]
    for each in line:
        line += [child for child in each.children if not child.policy.settlement_asset]
        if asset and any(_charged_in_other(state, charge, asset) for charge in each.charges):
            return Refusal(
                Reason.SETTLEMENT_ASSET_OPEN,
                field,
                str(asset),
                "a fixed charge of the account or of one below it goes on in another currency; end "
                "it first",
            )
        if before == 0:
            continue
        books = (each.advance, each.overage, each.unbilled, each.receivable)
        owed = [book[before] for book in books if before in book]
        if any(book.owed or book.debits_pending for book in owed):
            return Refusal(
                Reason.SETTLEMENT_ASSET_OPEN,
                field,
                str(asset),
                "something is owed or held in the present settlement currency, by the account or "
                "one below it; settle it first",
            )
    return None


def _charged_in_other(state: State, charge: FixedCharge, asset: int) -> bool:
    """Whether a charge goes on in money that is not that."""
    charged = charge.terms.asset
    if charged == asset or charge.is_over(state.now):
        return False
    return state.catalog.assets[charged].kind == "money"


def _invalid_policy(state: State, tenant: int, policy: AccountPolicy) -> Refusal | None:
    if not 0 <= policy.overdraft_limit <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "policy.overdraft_limit",
            str(policy.overdraft_limit),
            "an overdraft limit is from 0 to 2^63 - 1",
        )
    if policy.overdraft_limit:
        asset = state.catalog.assets.get(policy.overdraft_asset)
        if asset is None or asset.tenant != tenant:
            return Refusal(
                Reason.ASSET_UNKNOWN,
                "policy.overdraft_asset",
                str(policy.overdraft_asset),
                "the tenant has no such asset; create it first",
            )
        if policy.overdraft_kind == OverdraftKind.PERCENT_OF_LIFETIME and asset.kind != "money":
            return Refusal(
                Reason.ASSET_KIND_INVALID,
                "policy.overdraft_asset",
                str(policy.overdraft_asset),
                "lifetime value is counted in money, so its share is of an asset that is money; "
                "name one, or give a fixed limit",
            )
    if policy.settlement_asset:
        asset = state.catalog.assets.get(policy.settlement_asset)
        if asset is None or asset.tenant != tenant or asset.kind != "money":
            return Refusal(
                Reason.ASSET_KIND_INVALID,
                "policy.settlement_asset",
                str(policy.settlement_asset),
                "what is left of a charge is settled in money; name an asset that is money",
            )
    if not -1 <= policy.overage_cap <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "policy.overage_cap",
            str(policy.overage_cap),
            "an overage cap is from 0 to 2^63 - 1, or absent",
        )
    for field, value, most in (
        ("overdraft_basis_points", policy.overdraft_basis_points, OVERDRAFT_BASIS_POINTS_MAX),
        ("period_grace_us", policy.period_grace, PERIOD_GRACE_MAX_US),
    ):
        if not 0 <= value <= most:
            return Refusal(
                Reason.AMOUNT_INVALID, f"policy.{field}", str(value), f"it is from 0 to {most}"
            )
    if not -1 <= policy.overdraft_grace <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "policy.overdraft_grace_us",
            str(policy.overdraft_grace),
            "a grace is from 0 to 2^63 - 1 us, or absent",
        )
    refusal = refuse_zone("policy.zone", policy.zone)
    if refusal is not None:
        return refusal
    if not 0 <= policy.billing_anchor <= ANCHOR_MAX_US:
        return Refusal(
            Reason.ANCHOR_INVALID,
            "policy.billing_anchor_us",
            str(policy.billing_anchor),
            f"an anchor is an instant from 1 to {ANCHOR_MAX_US}, or 0 for calendar months",
        )
    if labels_fault(policy.labels):
        return Refusal(
            Reason.SHARING_INVALID,
            "policy.labels",
            ", ".join(policy.labels),
            labels_fault(policy.labels),
        )
    if not 0 <= policy.holds_open_max <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "policy.holds_open_max",
            str(policy.holds_open_max),
            "an account has from 0 to 2^63 - 1 open holds",
        )
    return None


def decide_profile(
    state: State, command: UpdateProfile, out: list[Event]
) -> Event | Known | Refusal:
    """Note down that display name and metadata were replaced; also of a closed account."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.profile_version
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the metadata is at version {version}, not {command.expected_version}; read it again",
        )
    updated = AccountProfileUpdated(
        command.key,
        account.number,
        command.profile,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(updated)
    return updated


def decide_close(state: State, command: CloseAccount, out: list[Event]) -> Event | Known | Refusal:
    """Close at zero, or with what is left written off; never above an open child."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    open_part = _still_open(state, account, command)
    if open_part:
        return Refusal(
            Reason.ACCOUNT_NOT_EMPTY,
            "account",
            open_part,
            f"the account still has {open_part}; {_WAYS_OUT[open_part]}",
        )
    return close(state, account, command, out)


_HOLDS, _RECURRING, _CHILDREN = "open holds", "recurring grants", "open children"
_HELD_ELSEWHERE = "units held by an account that was moved away"
_SUBSCRIPTION = "a subscription"
_CHARGES = "fixed charges"
_SEATS = "plans of seats"
_CREDITS, _ADVANCE, _OVERAGE = "credits", "an advance", "unbilled overage"
_DEFERRED = "money paid ahead"
_UNBILLED, _RECEIVABLE = "money to be billed", "unpaid bills"
_COMMITMENT = "a commitment to be billed"
_COMMITTED = "commitments that go on"
_CONTRACT = "a contract that goes on"
_PENDING = "grants that wait for their payment"
_RESERVED = "units set aside for it"
_WAYS_OUT = {
    _HOLDS: "capture or release them first, or close with release_holds",
    _HELD_ELSEWHERE: "capture or release those holds, give back those leases, or wait until they "
    "expire",
    _CREDITS: "void them first, or close with write_off",
    _DEFERRED: "void the grants that it was paid for, or close with write_off",
    _ADVANCE: "repay it first, or close with write_off",
    _OVERAGE: "settle it first, or close with write_off",
    _COMMITMENT: "void or bill it first, or close with write_off",
    _UNBILLED: "bill it first, or close with write_off",
    _RECEIVABLE: "have them paid first, or close with write_off",
    _PENDING: "confirm or fail their payments, or void them",
    _RECURRING: "end them first",
    _SUBSCRIPTION: "cancel it first",
    _CHARGES: "end them first",
    _SEATS: "end them first",
    _COMMITTED: "end them first",
    _CONTRACT: "end it first",
    _CHILDREN: "close them first",
    _RESERVED: "remove its caps that reserve units, or set them without a reserve",
}


def _still_open(state: State, account: Account, command: CloseAccount) -> str:
    """What keeps it from closing in the way that is asked for."""
    now = state.now
    if account.holds and not command.release_holds:
        return _HOLDS
    if not command.write_off:
        if account.first is not None:
            return _CREDITS
        if account.seats is not None and any(grant.chained for grant in account.grants):
            return _CREDITS
        if any(map(_paid_ahead, account.grants)):
            return _DEFERRED
        if any(book.owed != 0 for book in account.advance.values()):
            return _ADVANCE
        if any(book.owed != 0 for book in account.overage.values()):
            return _OVERAGE
        more = settling(state, account)
        if any(book.owed + more.get(book.number, 0) != 0 for book in commitments(account)):
            return _COMMITMENT
        if any(book.owed + more.get(book.number, 0) != 0 for book in account.unbilled.values()):
            return _UNBILLED
        if any(book.owed != 0 for book in account.receivable.values()):
            return _RECEIVABLE
    if any(grant.pending for grant in account.grants):
        return _PENDING
    if any(recurring.ends_at > now for recurring in account.recurring):
        return _RECURRING
    if any(contract.due != NEVER for contract in account.contracts):
        return _CONTRACT
    if any(not commitment.is_over(now) for commitment in account.commitments):
        return _COMMITTED
    if account.subscription is not None and not account.subscription.over:
        return _SUBSCRIPTION
    if any(not charge.is_over(now) for charge in account.charges):
        return _CHARGES
    if account.seats is not None and account.seats.goes_on(now):
        return _SEATS
    if any(not child.closed_at for child in account.children):
        return _CHILDREN
    if _is_held_elsewhere(account):
        return _HELD_ELSEWHERE
    if any(cap.terms.reserved for cap in account.caps):
        return _RESERVED
    return ""


def _is_held_elsewhere(account: Account) -> bool:
    """Whether others hold units of its grants, or overage that is billed to it: those below it are
    closed and hold nothing, but one that was moved away since keeps what it holds (rule H1)."""
    billed = {book.number: book.debits_pending for book in account.overage.values()}
    for hold in account.holds.values():
        for piece in hold.slices:
            if piece.book in billed:
                billed[piece.book] -= piece.amount
    return bool(account.lent) or any(billed.values())


def _paid_ahead(grant: Grant) -> bool:
    """Whether money is left in its deferred, as rounding may where a grant was paid in parts."""
    pays = grant.book.value_book
    return (
        not grant.settled
        and pays is not None
        and pays.kind == BookKind.DEFERRED
        and bool(pays.owed)
    )


def decide_abandon(
    state: State, command: AbandonRequest, out: list[Event]
) -> Event | Known | Refusal:
    """A tombstone, unless the request was applied after all (rule I5)."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    if state.accounts.get(command.account) is None:
        return unknown_account(command.account)
    abandoned = RequestAbandoned(command.key, command.account)
    out.append(abandoned)
    return abandoned
