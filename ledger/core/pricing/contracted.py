"""Whether an account has a package or a contract at an instant, and what usage is without one (B8).

A rate card may ask for one (`contract_required`): usage of a time in which neither the account nor
one above it has a package, by itself or by a contract, has no price and waits as NO_CONTRACT. It is
asked of each event by its effective time; whoever has had a package keeps the times of it for as
long as late usage may need them. Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.catalog import Bound
from ledger.core.shapes import Shape
from ledger.core.state import Account, State


def bound_for(
    state: State, account: Account, shape: Shape, at: int, quantities: tuple[int, ...]
) -> Bound:
    """The shape as the account's card prices an event of that time for it."""
    bound, _ = state.catalog.step(account.card_key, shape, at, quantities)
    return bound if bound.withheld is None else as_contracted(account, bound, at)


def as_contracted(account: Account, bound: Bound, at: int) -> Bound:
    """What the card prices for the account at that time: nothing where it asks for a package or a
    contract and there is none."""
    withheld = bound.withheld
    return bound if withheld is None or has_package(account, at) else withheld


def has_package(account: Account, at: int) -> bool:
    """Whether the account, or one above it, has a package then, by itself or by a contract."""
    return any(since <= at < until for each in account.line() for since, until in each.packaged)
