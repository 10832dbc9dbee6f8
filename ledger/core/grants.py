"""Deciding grants: issue, void, expire (rules B3, B4, D6, T3). Reads state, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.commands import IssueGrant, VoidGrant
from ledger.core.drawdown import house_book
from ledger.core.events import (
    BookKind,
    BookOpened,
    Event,
    GrantExpired,
    GrantIssued,
    GrantKind,
    GrantVoided,
)
from ledger.core.limits import INT64_MAX, PERIOD_GRACE_US, PRODUCTS_A_GRANT_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import GRANT_OPEN, GRANT_VOIDED, NEVER, Account, Grant, Hold, State
from ledger.core.usage import account_closed, recorded_before, unknown_account


def decide_issue(state: State, command: IssueGrant, out: list[Event]) -> Event | Known | Refusal:
    """Credit units; what the account owes in that asset is repaid first (rule B3)."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    if account.closed_at:
        return account_closed(account)
    refusal = invalid_grant(state, account, command)
    if refusal is not None:
        return refusal
    now = state.recorded_at
    effective_at = command.effective_at or now
    if command.expires_at and command.expires_at <= max(now, effective_at):
        return Refusal(
            Reason.EXPIRY_INVALID,
            "expires_at_us",
            str(command.expires_at),
            "a grant expires after it takes effect and after now",
        )
    return issue(state, account, command, out)


def issue(state: State, account: Account, command: IssueGrant, out: list[Event]) -> GrantIssued:
    """Append what issues a grant that was found to be in order."""
    now = state.recorded_at
    effective_at = command.effective_at or now
    source = BookKind.FUNDING if command.kind == GrantKind.PREPAID else BookKind.PROMOTION
    name = "manual" if source == BookKind.FUNDING else ""
    funding = house_book(state, account.tenant, source, command.asset, name, out)
    book = state.next_book + len(out)
    out.append(
        BookOpened(book, account.tenant, BookKind.GRANT, command.asset, state.next_grant, "")
    )
    backfill, backfill_book, backfill_value = 0, 0, 0
    advance = account.advance.get(command.asset)
    if _repays(command, effective_at, now) and advance is not None and advance.owed > 0:
        backfill = min(advance.owed, command.amount)
        backfill_book = advance.number
        backfill_value = command.price_paid * backfill // command.amount
    issued = GrantIssued(
        command.key,
        account.number,
        state.next_grant,
        state.families[account.root].next_ordinal,
        command.kind,
        command.asset,
        command.amount,
        command.price_paid,
        command.price_asset,
        command.priority,
        effective_at,
        command.expires_at,
        command.products,
        command.external_key,
        book,
        funding,
        1 if command.effective_at else 0,
        backfill,
        backfill_book,
        backfill_value,
        command.trace,
    )
    out.append(issued)
    return issued


def _repays(command: IssueGrant, effective_at: int, now: int) -> bool:
    """Whether the grant pays the account's advance: paid for, in force, for every product (H6)."""
    return command.kind == GrantKind.PREPAID and effective_at <= now and not command.products


def invalid_grant(state: State, account: Account, command: IssueGrant) -> Refusal | None:
    """Why a grant cannot be as the command says, whenever it is issued."""
    if command.external_key and command.external_key in state.families[account.root].grant_keys:
        return Refusal(
            Reason.GRANT_KEY_TAKEN,
            "external_key",
            "",
            "a grant of this family has the external key already; it is permanent",
        )
    for field, asset in (("asset", command.asset), ("price_asset", command.price_asset)):
        found = state.catalog.assets.get(asset)
        needed = field == "asset" or command.price_paid > 0
        if needed and (found is None or found.tenant != account.tenant):
            return Refusal(Reason.ASSET_UNKNOWN, field, str(asset), "the tenant has no such asset")
    if not 0 < command.amount <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID, "amount", str(command.amount), "an amount is from 1 to 2^63 - 1"
        )
    if not 0 <= command.price_paid <= INT64_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "price_paid",
            str(command.price_paid),
            "a price paid is from 0 to 2^63 - 1",
        )
    if command.kind == GrantKind.PROMOTIONAL and command.price_paid:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "price_paid",
            str(command.price_paid),
            "a promotional grant is free (rule B5)",
        )
    if len(command.products) > PRODUCTS_A_GRANT_MAX:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "products",
            str(len(command.products)),
            f"a grant names at most {PRODUCTS_A_GRANT_MAX} products",
        )
    return None


def decide_void(state: State, command: VoidGrant, out: list[Event]) -> Event | Known | Refusal:
    """Reverse the issue for what is left and not held (rules B3, D6)."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    account = state.accounts.get(command.account)
    if account is None:
        return unknown_account(command.account)
    grant = state.grants.get(command.grant)
    if grant is None or grant.account.number != command.account:
        return Refusal(
            Reason.GRANT_UNKNOWN, "grant_id", str(command.grant), "the account has no such grant"
        )
    if grant.settled:
        return Refusal(
            Reason.GRANT_SETTLED,
            "grant_id",
            str(command.grant),
            "the grant is voided or expired already",
        )
    voided = GrantVoided(
        command.key, account.number, grant.number, grant.book.available, command.trace
    )
    out.append(voided)
    return voided


def expire(state: State, grant: Grant, out: list[Event]) -> None:
    """Post the breakage of a grant whose grace has ended (rule T3)."""
    assert grant.expires_at != NEVER
    assert state.recorded_at >= grant.expires_at + PERIOD_GRACE_US
    forfeited = house_book(state, grant.account.tenant, BookKind.FORFEITED, grant.asset, "", out)
    out.append(GrantExpired(grant.account.number, grant.number, grant.book.available, forfeited))


def follow_up(state: State, returned: list[tuple[Grant, int]], out: list[Event]) -> None:
    """What a hold gives back to a grant that ended meanwhile goes where its rest went (rule D6)."""
    for grant, amount in returned:
        if amount == 0 or grant.settled == GRANT_OPEN:
            continue
        if grant.settled == GRANT_VOIDED:
            out.append(GrantVoided(b"", grant.account.number, grant.number, amount))
        else:
            forfeited = house_book(
                state, grant.account.tenant, BookKind.FORFEITED, grant.asset, "", out
            )
            out.append(GrantExpired(grant.account.number, grant.number, amount, forfeited))


def returned_by(state: State, hold: Hold, taken: Sequence[int]) -> list[tuple[Grant, int]]:
    """What settling a hold gives back to each grant, where so much of each slice was drawn; () =
    nothing was."""
    returned: list[tuple[Grant, int]] = []
    for place, piece in enumerate(hold.slices):
        grant = state.books.accounts[piece.book].grant
        if grant is not None:
            returned.append((grant, piece.amount - (taken[place] if taken else 0)))
    return returned
