"""Which families are in memory: they leave it when idle or too many, and come back when asked for.

A family leaves only while nothing of it has changed since the last durable checkpoint, which holds
it packed; all that stays is where its accounts belong and when something falls due. Must not do
I/O: `resolve` fetches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from ledger.core.commands import Command, CreateAccount
from ledger.core.events import AccountCreated, Event
from ledger.core.packing import drop_family
from ledger.core.state import State
from ledger.engine.upkeep import Upkeep

DROPS_A_TURN: Final = 64  # families; x ~20 us

_ACCOUNT_OF: Final = attrgetter("account")


class Pager:
    """Remembers when each family in memory was last touched, the longest ago first."""

    __slots__ = ("_limits", "_touched")

    def __init__(self, limits: Upkeep) -> None:
        self._limits = limits
        self._touched: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._touched)

    def restart(self, roots: Iterable[int], now_us: int) -> None:
        """These families are in memory, and no others."""
        self._touched = dict.fromkeys(roots, now_us)

    def touch(self, roots: Iterable[int], now_us: int) -> None:
        """These families were decided upon, or came in, by the monotonic clock."""
        touched = self._touched
        for root in roots:
            touched.pop(root, None)
            touched[root] = now_us

    def page_out(self, state: State, is_clean: Callable[[int], bool], now_us: int) -> int:
        """Drop a few families that are due and clean; returns how many.

        Nothing of the state may be undecided about: no entries since the last batch was sealed.
        """
        touched, limits = self._touched, self._limits
        dropped = 0
        passed: list[int] = []
        for root, at_us in touched.items():
            too_many = len(touched) - dropped > limits.resident_families
            if not too_many and now_us - at_us < limits.idle_us:
                break
            if len(passed) == DROPS_A_TURN:
                break
            passed.append(root)
            if is_clean(root):
                drop_family(state, root)
                dropped += 1
        for root in passed:
            if root in state.families:  # not clean yet: look at the others first next time
                touched[root] = touched.pop(root)
            else:
                del touched[root]
        return dropped


def touched_roots(
    state: State, events: Sequence[Event], runs: Sequence[tuple[int, int]] = ()
) -> dict[int, None]:
    """The families that the entries of this batch, already applied, have changed.

    Of those that were recorded many at a time, in `runs`, the state has it: accounts of a large
    family are out of the processor's caches by now.
    """
    others: list[Event] = []
    start = 0
    for first, end in runs:
        others += events[start:first]
        start = end
    others += events[start:]
    return state.touched | roots_of(state, touched_accounts(others))


def touched_accounts(events: Sequence[Event]) -> dict[int, None]:
    """The accounts of these entries; 0 = of none."""
    return dict.fromkeys(map(_ACCOUNT_OF, events))


def roots_of(state: State, accounts: Iterable[int]) -> dict[int, None]:
    """The families of these accounts, which are in memory."""
    return {state.accounts[account].root: None for account in accounts if account}


def needed_roots(state: State, events: Sequence[Event]) -> dict[int, None]:
    """The paged families that these entries, not yet applied, will change."""
    paged = state.paged
    roots: dict[int, None] = {}
    for event in events:
        root = paged.get(event.account)
        if root is None and type(event) is AccountCreated:
            root = paged.get(event.parent)
        if root is not None:
            roots[root] = None
    return roots


def root_of(state: State, command: Command) -> int:
    """The family that a command may change, in memory or not; 0 = none."""
    account = state.accounts.get(command.account)
    if account is not None:
        return account.root
    if isinstance(command, CreateAccount):
        return command.root
    return state.paged.get(command.account, 0)
