"""Deciding grants: issue, void, and what time does to them: they take effect, roll over, expire
(rules B3 to B5, D6, H6, T3). Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.core.admission import known_account, open_account
from ledger.core.commands import IssueGrant, VoidGrant
from ledger.core.drawing.drawdown import applies
from ledger.core.events import (
    Backfill,
    BookKind,
    Event,
    GrantCancelled,
    GrantExpired,
    GrantIssued,
    GrantKind,
    GrantReduced,
    GrantRestored,
    GrantRolledOver,
    GrantStarted,
    GrantVoided,
    Segment,
    SegmentAdded,
)
from ledger.core.limits import (
    ATTRIBUTES_MAX,
    INT64_MAX,
    METADATA_MAX,
    PAYMENT_WAIT_US,
    PRODUCTS_A_GRANT_MAX,
    ROLLOVER_AGAIN_MIN_US,
    TAGS_A_GRANT_MAX,
)
from ledger.core.opening import house_book, open_book, owned_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.shapes import Use
from ledger.core.state import Account, Grant, State

MANUAL = "manual"
"""The source of funds where none is named."""


def decide_issue(state: State, command: IssueGrant, out: list[Event]) -> Event | Known | Refusal:
    """Credit units; what the account owes in that asset is repaid first (rule B3)."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = invalid_grant(state, account, command)
    if refusal is not None:
        return refusal
    now = state.now
    effective_at = command.effective_at or now
    if command.expires_at and command.expires_at <= max(now, effective_at):
        return Refusal(
            Reason.EXPIRY_INVALID,
            "expires_at_us",
            str(command.expires_at),
            "a grant expires after it takes effect and after now",
        )
    return issue(state, account, command, out)


def issue(
    state: State,
    account: Account,
    command: IssueGrant,
    out: list[Event],
    *,
    repays: bool = True,
) -> GrantIssued:
    """Append what issues a grant that was found to be in order; it repays what the account owes in
    advance, but where it is not for that."""
    now = state.now
    effective_at = command.effective_at or now
    before = issued_in(state, out)
    number = state.next_grant + before
    tenant, asset, paid = account.tenant, command.asset, command.price_paid
    funding = _funding(state, account, command, number, out)
    cash, deferred = _money_books(state, account, command, number, out)
    book = open_book(state, tenant, BookKind.GRANT, asset, number, "", out)
    backfills: tuple[Backfill, ...] = ()
    if effective_at <= now and not command.pending:
        backfills = _backfills(
            state,
            account,
            command.kind,
            asset,
            lambda use: repays and _is_for(command, use),
            command.amount,
            lambda amount: paid * amount // command.amount,
            out,
        )
        _open_revenues(state, tenant, command.price_asset if deferred else 0, backfills, out)
    issued = GrantIssued(
        command.key,
        account.number,
        number,
        state.families[account.root].next_ordinal + before,
        command.kind,
        asset,
        command.amount,
        paid,
        command.price_asset,
        command.priority,
        effective_at,
        command.expires_at,
        command.products,
        command.external_key,
        book,
        funding,
        1 if command.effective_at else 0,
        backfills,
        command.tags,
        command.attributes,
        command.shared,
        command.pending,
        effective_at > now,
        command.rollover,
        command.metadata,
        cash,
        deferred,
        0,
        command.source,
        command.trace,
        command.sharing,
    )
    out.append(issued)
    return issued


def issued_in(state: State, out: list[Event]) -> int:
    """How many grants the same decision has issued before: they are numbered one by one."""
    for event in reversed(out):
        if isinstance(event, GrantIssued | GrantRestored):
            return event.grant - state.next_grant + 1
    return 0


def _funding(
    state: State, account: Account, command: IssueGrant, number: int, out: list[Event]
) -> int:
    """The book that is debited with the units (rule B3)."""
    tenant, asset, kind = account.tenant, command.asset, command.kind
    if kind == GrantKind.POSTPAID:
        return open_book(state, tenant, BookKind.COMMITMENT, asset, number, "", out)
    if kind == GrantKind.PREPAID or command.price_paid:
        source = command.source or MANUAL
        return house_book(state, tenant, BookKind.FUNDING, asset, source, out)
    return house_book(state, tenant, BookKind.PROMOTION, asset, "", out)


def _money_books(
    state: State, account: Account, command: IssueGrant, number: int, out: list[Event]
) -> tuple[int, int]:
    """Where its price comes from and where it waits for being earned (rules B4, B5): cash and
    deferred; unbilled and deferred where it is still to be billed, as an allowance's fee is; for a
    commitment, which is billed as it is drawn, none and unbilled. A gated one has no cash yet.
    """
    if command.price_paid == 0:
        return 0, 0
    tenant, money = account.tenant, command.price_asset
    if command.kind == GrantKind.POSTPAID:
        return 0, owned_book(state, BookKind.UNBILLED, account.unbilled, account, money, out)
    cash = 0
    if command.kind == GrantKind.ALLOWANCE or command.to_bill:
        cash = owned_book(state, BookKind.UNBILLED, account.unbilled, account, money, out)
    elif not command.pending:
        source = command.source or MANUAL
        cash = house_book(state, tenant, BookKind.CASH, money, source, out)
    deferred = open_book(state, tenant, BookKind.DEFERRED, money, number, "", out)
    return cash, deferred


def _is_for(command: IssueGrant, use: Use) -> bool:
    if command.attributes:
        return False  # an advance does not say what its usage bore
    if not command.products and not command.tags:
        return True
    return use.product in command.products or not use.tags.isdisjoint(command.tags)


def _backfills(
    state: State,
    account: Account,
    kind: GrantKind,
    asset: int,
    is_for: Callable[[Use], bool],
    amount: int,
    value_of: Callable[[int], int],
    out: list[Event],
) -> tuple[Backfill, ...]:
    """What a grant of `amount` units repays of the advance, the oldest of its products first; free
    ones only where the policy says so (rules B3, H6). `value_of` units drawn is money in all; what
    grants issued before in the same decision repay is owed no more.
    """
    advance = account.advance.get(asset)
    if advance is None or advance.owed <= 0:
        return ()
    if kind == GrantKind.PROMOTIONAL and not account.policy.promotional_backfills:
        return ()
    card = state.catalog.card(account.card_key)
    repaid: dict[str, int] = {}
    left = amount
    before: dict[str, int] = {}
    for event in out:
        if isinstance(event, GrantIssued):
            for part in event.backfills:
                if part.book == advance.number:
                    before[part.product] = before.get(part.product, 0) + part.amount
    for product, owed in account.debt[asset].parts():
        gone = min(owed, before.get(product, 0))
        if gone:
            before[product] -= gone
            owed -= gone
        if left and owed and is_for(card.use_at(product, state.now)):
            take = min(owed, left)
            repaid[product] = repaid.get(product, 0) + take
            left -= take
    parts: list[Backfill] = []
    drawn = 0
    for product, take in repaid.items():
        value = value_of(drawn + take) - value_of(drawn)
        parts.append(Backfill(advance.number, product, take, value))
        drawn += take
    return tuple(parts)


def _open_revenues(
    state: State, tenant: int, money: int, backfills: Sequence[Backfill], out: list[Event]
) -> None:
    for part in backfills:
        if money and part.value:
            house_book(state, tenant, BookKind.REVENUE, money, part.product, out)


def backfills_of(state: State, grant: Grant, amount: int, out: list[Event]) -> tuple[Backfill, ...]:
    """What a grant that is there already repays with `amount` units that become available; its
    first part makes up for what rounding has left unrecognised, as any draw does."""
    parts = _backfills(
        state,
        grant.account,
        grant.kind,
        grant.asset,
        lambda use: not grant.attributes and applies(grant, use),
        amount,
        lambda drawn: grant.value_of(drawn) if drawn else 0,
        out,
    )
    money = grant.price_asset if grant.book.value_book is not None else 0
    _open_revenues(state, grant.account.tenant, money, parts, out)
    return parts


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
            return Refusal(
                Reason.ASSET_UNKNOWN,
                field,
                str(asset),
                "the tenant has no such asset; create it first",
            )
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
    if command.kind == GrantKind.POSTPAID and not command.price_paid:
        return Refusal(
            Reason.AMOUNT_INVALID,
            "price_paid",
            "0",
            "a postpaid commitment has a price: what its whole amount is billed at",
        )
    if command.pending and not (command.kind == GrantKind.PREPAID and command.price_paid):
        return Refusal(
            Reason.GATE_INVALID,
            "gated",
            "true",
            "only a prepaid grant with a price waits for its payment (rule F1)",
        )
    for field, given, most in (
        ("products", len(command.products), PRODUCTS_A_GRANT_MAX),
        ("tags", len(command.tags), TAGS_A_GRANT_MAX),
        ("attributes", len(command.attributes), ATTRIBUTES_MAX),
        ("metadata", len(command.metadata), METADATA_MAX),
    ):
        if given > most:
            message = f"a grant names at most {most}"
            return Refusal(Reason.AMOUNT_INVALID, field, str(given), message)
    return _invalid_rollover(command)


def _invalid_rollover(command: IssueGrant) -> Refusal | None:
    rollover = command.rollover
    if rollover is None:
        return None
    faults = (
        (not command.expires_at, "rollover", "no expiry", "what never expires never rolls over"),
        (
            not 0 <= rollover.numerator <= rollover.denominator <= INT64_MAX
            or rollover.denominator == 0,
            "rollover.fraction",
            f"{rollover.numerator}/{rollover.denominator}",
            "the fraction that rolls over is from 0 to 1",
        ),
        (
            not -1 <= rollover.cap <= INT64_MAX,
            "rollover.cap",
            str(rollover.cap),
            "a cap is from 0 to 2^63 - 1, or absent",
        ),
        (
            not 0 <= rollover.lifetime <= INT64_MAX - command.expires_at,
            "rollover.lifetime_us",
            str(rollover.lifetime),
            "it lives for a time after the old expiry; 0 = without end",
        ),
        (
            rollover.again and not rollover.lifetime,
            "rollover.again",
            "true",
            "what never expires never rolls over again",
        ),
        (
            rollover.again and rollover.lifetime < ROLLOVER_AGAIN_MIN_US,
            "rollover.lifetime_us",
            str(rollover.lifetime),
            f"what rolls over again lives for {ROLLOVER_AGAIN_MIN_US} us at least each time: every "
            "rollover is an entry",
        ),
    )
    for wrong, field, value, message in faults:
        if wrong:
            return Refusal(Reason.ROLLOVER_INVALID, field, value, message)
    return None


def grant_of(state: State, account: int, number: int) -> Grant | Refusal:
    """An account's grant that is not settled, or why there is none."""
    grant = state.grants.get(number)
    if grant is None or grant.account.number != account:
        return Refusal(
            Reason.GRANT_UNKNOWN, "grant_id", str(number), "the account has no such grant"
        )
    if grant.settled:
        return Refusal(
            Reason.GRANT_SETTLED,
            "grant_id",
            str(number),
            "the grant is voided, cancelled or expired already; issue another",
        )
    return grant


def decide_void(state: State, command: VoidGrant, out: list[Event]) -> Event | Known | Refusal:
    """Reverse the issue for what is left and not held, and what pends (rules B3, B4, D6)."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    grant = grant_of(state, command.account, command.grant)
    if isinstance(grant, Refusal):
        return grant
    if grant.pending:
        out.append(cancelled(grant, ends=False))  # the void that follows ends it
    amount = grant.book.available
    voided = void_of(state, grant, amount, command.key, command.forfeit, command.trace, out)
    out.append(voided)
    return voided


def void_of(
    state: State,
    grant: Grant,
    amount: int,
    key: bytes,
    forfeit: bool,
    trace: bytes,
    out: list[Event],
    just: tuple[int, int] = (0, 0),
) -> GrantVoided:
    """Units go back to where they came from; of their price at most P x left / A goes back to cash,
    and what rounding leaves of the last part is breakage (rules B4, F2). `just`: units that the
    same decision draws from it, and their value.
    """
    whole = grant.rest_of(amount, *just)
    refunded = 0 if forfeit else grant.share_of(amount)
    breakage = whole - refunded
    cash = broken_book = 0
    if grant.kind == GrantKind.POSTPAID:
        refunded, breakage = whole, 0  # it was never paid, and is not to be
    elif grant.book.value_book is not None:
        cash = grant.cash.number if grant.cash is not None and refunded else 0
        broken_book = breakage_book(state, grant, out) if breakage else 0
    return GrantVoided(
        key,
        grant.account.number,
        grant.number,
        amount,
        refunded,
        cash,
        breakage,
        broken_book,
        forfeit,
        trace,
    )


def breakage_book(state: State, grant: Grant, out: list[Event]) -> int:
    """Number of the house's book for what was paid and left unused (rule B4)."""
    tenant = grant.account.tenant
    return house_book(state, tenant, BookKind.BREAKAGE, grant.price_asset, "", out)


def cancelled(
    grant: Grant, key: bytes = b"", trace: bytes = b"", *, ends: bool = True
) -> GrantCancelled:
    """What pends of a grant is never paid for: with it goes that part of the price, and the grant
    where nothing of it was ever paid (rule F1)."""
    whole = ends and grant.unpaid == grant.price_paid
    return GrantCancelled(
        key, grant.account.number, grant.number, grant.pending, grant.unpaid, whole, trace
    )


def reduced(grant: Grant, amount: int) -> GrantReduced:
    """A part of what is available taken back, with its share of the price (rules S1, F2)."""
    refunded = grant.share_of(amount)
    cash = 0
    if refunded and grant.cash is not None and grant.kind != GrantKind.POSTPAID:
        cash = grant.cash.number
    return GrantReduced(grant.account.number, grant.number, amount, refunded, cash)


# -- what time does --------------------------------------------------------------------------------


def grant_is_due(grant: Grant, now: int) -> bool:
    """Whether time has made something due on it."""
    return any(due <= now for due in grant.dues())


def settle_grant(state: State, grant: Grant, out: list[Event]) -> None:
    """Post the first that time has made due on a grant, as an entry of its own (rules F1, T3)."""
    now = state.now
    if grant.scheduled and grant.effective_at <= now:
        gone = grant.settled or grant.expires_at <= now
        amount = 0 if gone else grant.book.available
        parts = backfills_of(state, grant, amount, out)
        out.append(GrantStarted(grant.account.number, grant.number, parts))
    elif grant.pending and grant.issued_at + PAYMENT_WAIT_US <= now:
        out.append(cancelled(grant))
    elif grant.rollover is not None and not grant.rolled_over and grant.expires_at <= now:
        roll_over(state, grant, grant.book.available, out)
    else:
        assert now >= grant.breaks_at, grant.number
        expire(state, grant, grant.book.available, out)


def roll_over(state: State, grant: Grant, unheld: int, out: list[Event]) -> None:
    """min(unheld rest x fraction, cap), rounded down, is issued anew with its share of the price;
    it rolls over again only where the terms say so (rule T3)."""
    terms = grant.rollover
    assert terms is not None
    amount = unheld * terms.numerator // terms.denominator
    if terms.cap >= 0:
        amount = min(amount, terms.cap - grant.rolled)
    into = state.commitments[grant.rolls_into] if grant.rolls_into else None
    if into is not None and into.ended_at:
        amount = 0  # what it rolls into was ended early
    value = grant.share_of(amount)
    account = grant.account
    out.append(GrantRolledOver(account.number, grant.number, amount, value))
    if amount == 0:
        return
    before = issued_in(state, out)
    number = state.next_grant + before
    old = grant.book
    deferred = cash = 0
    if grant.kind == GrantKind.POSTPAID:
        deferred = old.value_book.number if old.value_book is not None else 0
    elif old.value_book is not None and value:
        cash = old.value_book.number
        money = old.value_book.asset
        deferred = open_book(state, account.tenant, BookKind.DEFERRED, money, number, "", out)
    book = open_book(state, account.tenant, BookKind.GRANT, grant.asset, number, "", out)
    out.append(
        GrantIssued(
            b"",
            account.number,
            number,
            state.families[account.root].next_ordinal + before,
            grant.kind,
            grant.asset,
            amount,
            value,
            grant.price_asset,
            grant.priority,
            grant.expires_at,
            grant.expires_at + terms.lifetime if terms.lifetime else 0,
            tuple(sorted(grant.products)),
            b"",
            book,
            old.number,
            1,
            (),
            tuple(sorted(grant.tags)),
            tuple(sorted(grant.attributes)),
            grant.shared,
            False,
            False,
            terms if terms.again else None,
            grant.metadata,
            cash,
            deferred,
            grant.number,
            sharing=grant.shared_with,
        )
    )
    if into is not None:
        segment = Segment(grant.expires_at, grant.expires_at + terms.lifetime, amount, value)
        out.append(
            SegmentAdded(b"", account.number, into.number, segment, (), number, grant.number)
        )


def expire(
    state: State, grant: Grant, amount: int, out: list[Event], just: tuple[int, int] = (0, 0)
) -> None:
    """Post the breakage of a grant, or a commitment's true-up: after its grace, or where its
    commitment ends early (rules T3, D7)."""
    postpaid = grant.kind == GrantKind.POSTPAID
    kind = BookKind.TRUE_UP if postpaid else BookKind.FORFEITED
    forfeited = house_book(state, grant.account.tenant, kind, grant.asset, "", out)
    value = grant.rest_of(amount, *just)
    breakage = (
        breakage_book(state, grant, out) if value and grant.book.value_book is not None else 0
    )
    out.append(GrantExpired(grant.account.number, grant.number, amount, forfeited, value, breakage))
