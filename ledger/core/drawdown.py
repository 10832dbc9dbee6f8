"""The waterfall: which pots pay for an amount, in which order, how much of each (rules D1 to D4).

Reads state, changes nothing. The slices that it returns are recorded with the entry, so no later
change of priorities or policies rewrites them (rule D3).
"""

from __future__ import annotations

from typing import Final

from ledger.core.books import Book
from ledger.core.comparators import order_of
from ledger.core.events import BookKind, BookOpened, Event, Excess, Overage, Pot, Slice
from ledger.core.state import Account, Grant, State

_GRANT: Final = int(Pot.GRANT)


class Draw:
    """What a draw would take. `left` > 0 only where authorisation ran out of pots."""

    __slots__ = ("left", "over_limit", "slices")

    def __init__(self, slices: list[Slice], left: int, over_limit: int) -> None:
        self.slices = slices
        self.left = left
        self.over_limit = over_limit

    @property
    def uses_debt(self) -> bool:
        """Whether overdraft or overage pays a part."""
        return any(piece.pot != _GRANT for piece in self.slices)


def in_order(account: Account, asset: int) -> list[Grant]:
    """The account's grants of that asset with units left, in the order in which they pay."""
    _first(account)
    return [grant for grant in account.with_units() if grant.asset == asset]


def _first(account: Account) -> Grant | None:
    """The grant that is to pay first; the chain is put in order when first needed after an issue.

    So evolve, and with it every replay, compares nothing.
    """
    if account.unordered:
        account.chain(sorted(account.with_units(), key=order_of))
        account.unordered = False
    return account.first


def from_grants(
    account: Account, asset: int, product: str, amount: int, at: int, slices: list[Slice]
) -> int:
    """Take up to `amount` from grants that may pay at `at`; returns what is left to find."""
    grant = account.first if not account.unordered else _first(account)
    while grant is not None:
        if (
            grant.asset == asset
            and grant.effective_at <= at < grant.expires_at
            and (not grant.products or product in grant.products)
        ):
            book = grant.book
            left = book.credits_posted - book.debits_posted - book.debits_pending
            if left > 0:
                take = left if left < amount else amount
                slices.append(Slice(_GRANT, book.number, take, grant.value_of(take)))
                amount -= take
                if amount == 0:
                    return 0
        grant = grant.after
    return amount


def from_first_grant(
    account: Account, asset: int, product: str, amount: int, at: int
) -> Slice | None:
    """The one slice of a draw that the grant first in order pays alone, as most are; else None."""
    grant = account.first if not account.unordered else _first(account)
    if (
        grant is None
        or grant.asset != asset
        or not grant.effective_at <= at < grant.expires_at
        or (grant.products and product not in grant.products)
    ):
        return None
    book = grant.book
    drawn = book.debits_posted
    if book.credits_posted - drawn - book.debits_pending < amount:
        return None
    paid = grant.price_paid
    if paid == 0:
        return Slice(_GRANT, book.number, amount)
    value = paid * (drawn - grant.unused + amount) // grant.amount - grant.recognised
    return Slice(_GRANT, book.number, amount, value)


def applicable(account: Account, asset: int, product: str, at: int) -> int:
    """Units of the grants that may pay for `product` at `at`, whatever the order (rule D1)."""
    total = 0
    grant = account.first
    while grant is not None:
        if (
            grant.asset == asset
            and grant.effective_at <= at < grant.expires_at
            and (not grant.products or product in grant.products)
        ):
            total += grant.book.available
        grant = grant.after
    return total


def overdraft_headroom(account: Account, asset: int) -> int:
    """Units that the overdraft still affords, holds counted (rule D4)."""
    policy = account.policy
    if policy.overdraft_limit == 0 or policy.overdraft_asset != asset:
        return 0
    advance = account.advance.get(asset)
    if advance is None:
        return policy.overdraft_limit
    return max(0, policy.overdraft_limit - advance.owed - advance.debits_pending)


def overage_headroom(account: Account, asset: int, period: int) -> int | None:
    """Units that overage still takes in `period`, holds counted; None = without a cap."""
    policy = account.policy
    if policy.overage == Overage.OFF:
        return 0
    if policy.overage_cap < 0:
        return None
    posted = account.overage_posted.get((asset, period), 0)
    pending = account.overage_pending.get(asset, 0)
    return max(0, policy.overage_cap - posted - pending)


def overage_payer(account: Account) -> Account:
    """Who is billed: the account itself, or its parent (rule D1)."""
    if account.policy.overage == Overage.PARENT and account.parent is not None:
        return account.parent
    return account


def draw(
    state: State,
    account: Account,
    asset: int,
    product: str,
    amount: int,
    at: int,
    period: int,
    opened: list[Event],
    recorded: bool,
) -> Draw:
    """Find `amount` > 0 of `asset`: grants, overdraft to its limit, overage to its cap (rule D4).

    `recorded` usage has happened: what every limit refuses lands by the policy's `excess`, marked
    over the limit. Otherwise it is to be held: debt only where the policy lets holds draw it (rule
    H3). Books that a slice needs and that do not exist are appended to `opened`.
    """
    slices: list[Slice] = []
    left = from_grants(account, asset, product, amount, at, slices)
    over_limit = 0
    if left:
        left = from_debt(state, account, asset, left, period, opened, slices, recorded)
    if left and recorded:
        slices.append(_excess(state, account, asset, left, opened))
        over_limit, left = left, 0
    return Draw(slices, left, over_limit)


def from_debt(
    state: State,
    account: Account,
    asset: int,
    amount: int,
    period: int,
    opened: list[Event],
    slices: list[Slice],
    recorded: bool,
) -> int:
    """Take up to `amount` from overdraft and overage; returns what is left to find (D4, H3)."""
    left = amount
    policy = account.policy
    headroom = overdraft_headroom(account, asset) if recorded or policy.holds_overdraft else 0
    if headroom > 0:
        take = min(headroom, left)
        number = advance_book(state, account, asset, opened)
        slices.append(Slice(Pot.OVERDRAFT, number, take))
        left -= take
    if left == 0 or not (recorded or policy.holds_overage):
        return left
    cap = overage_headroom(account, asset, period)
    take = left if cap is None else min(cap, left)
    if take > 0:
        number = overage_book(state, account, asset, opened)
        slices.append(Slice(Pot.OVERAGE, number, take, money_value(state, asset, take)))
        left -= take
    return left


def _excess(state: State, account: Account, asset: int, amount: int, opened: list[Event]) -> Slice:
    """Where recorded usage lands that every limit refuses: by the account's policy."""
    excess = account.policy.excess
    if excess == Excess.OWE:
        return Slice(Pot.EXCESS_OWED, advance_book(state, account, asset, opened), amount)
    if excess == Excess.BILL:
        number = overage_book(state, account, asset, opened)
        return Slice(Pot.EXCESS_BILLED, number, amount, money_value(state, asset, amount))
    number = house_book(state, account.tenant, BookKind.PROMOTION, asset, "", opened)
    return Slice(Pot.ABSORBED, number, amount)


def money_value(state: State, asset: int, amount: int) -> int:
    """The price in money of overage (rule B4): the amount itself where the asset is money."""
    found = state.catalog.assets.get(asset)
    return amount if found is not None and found.kind == "money" else 0


def advance_book(state: State, account: Account, asset: int, opened: list[Event]) -> int:
    """Number of the account's advance book, to be opened if it has none."""
    return _owned_book(state, BookKind.ADVANCE, account.advance, account, asset, opened)


def overage_book(state: State, account: Account, asset: int, opened: list[Event]) -> int:
    """Number of the payer's overage book, to be opened if it has none."""
    payer = overage_payer(account)
    return _owned_book(state, BookKind.OVERAGE, payer.overage, payer, asset, opened)


def _owned_book(
    state: State,
    kind: BookKind,
    books: dict[int, Book],
    owner: Account,
    asset: int,
    opened: list[Event],
) -> int:
    book = books.get(asset)
    if book is not None:
        return book.number
    return _opening(state, owner.tenant, kind, asset, owner.number, "", opened)


def house_book(
    state: State, tenant: int, kind: BookKind, asset: int, name: str, opened: list[Event]
) -> int:
    """Number of a tenant's house book on this shard, to be opened if there is none (rule B7)."""
    book = state.house.get((tenant, kind, asset, name))
    if book is not None:
        return book.number
    return _opening(state, tenant, kind, asset, 0, name, opened)


def _opening(
    state: State,
    tenant: int,
    kind: BookKind,
    asset: int,
    owner: int,
    name: str,
    opened: list[Event],
) -> int:
    """A book that this decision opens: the same one if it needs it twice."""
    number = state.next_book
    for event in opened:
        if isinstance(event, BookOpened):
            if (event.kind, event.owner, event.asset, event.name, event.tenant) == (
                kind,
                owner,
                asset,
                name,
                tenant,
            ):
                return event.book
            number += 1
    opened.append(BookOpened(number, tenant, kind, asset, owner, name))
    return number
