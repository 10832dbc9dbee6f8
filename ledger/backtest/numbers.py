"""Grants and top-ups of a replay bear the numbers that the journal knows them by.

Commands name what they are for by its number. What both sides make gets the journal's; what only
the replay makes gets a number that the journal never uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.events import (
    BalanceAdjusted,
    ConfigurationApplied,
    Event,
    GrantIssued,
    GrantRestored,
    HoldCharged,
    HoldExpired,
    LeaseLapsed,
    LeaseOverdue,
    OutcomeConfirmed,
    OutcomeRejected,
    QuoteExpired,
    TimeShifted,
    TopUpRequested,
    WriterOpened,
)
from ledger.core.state import State

UNKNOWN_TO_THE_JOURNAL: Final = 1 << 44
_BEGINS: Final = (
    ConfigurationApplied,
    HoldExpired,
    HoldCharged,
    LeaseLapsed,
    LeaseOverdue,
    OutcomeConfirmed,
    OutcomeRejected,
    QuoteExpired,
    TimeShifted,
    WriterOpened,
)
"""Entries without a key that follow from none before them."""


class Numbers:
    """Says which numbers come next before a decision."""

    __slots__ = ("_ahead", "_aliases", "_grant", "_state", "_top_up")

    def __init__(self, state: State) -> None:
        self._state = state
        self._grant = UNKNOWN_TO_THE_JOURNAL
        self._top_up = UNKNOWN_TO_THE_JOURNAL
        self._ahead: list[int] = []  # grants that stand before the entry that made them
        self._aliases: dict[int, int] = {}  # the journal's number -> where that was taken

    def stands_ahead(self, event: GrantIssued | GrantRestored) -> None:
        """A grant whose cause follows it."""
        if event.grant not in self._state.grants:
            self._ahead.append(event.grant)

    def prepare(
        self, events: Sequence[Event], index: int, grant: int = 0, also: bytes = b""
    ) -> None:
        """Before what the entry at `index` answers, or is, is decided again. `grant` is its own;
        `also` the key of another entry that the same command made."""
        state = self._state
        follows, top_up = _following(events, index, also)
        wanted = grant or (self._ahead[0] if self._ahead else follows)
        self._ahead.clear()
        self._take_back()
        if wanted and wanted in state.grants:
            self._aliases[wanted] = self._grant
            wanted = 0
        state.next_grant = wanted or self._grant
        state.next_top_up = top_up if top_up and top_up not in state.top_ups else self._top_up

    def prepare_anew(self) -> None:
        """Before something of which the journal says nothing."""
        self._take_back()
        self._state.next_grant, self._state.next_top_up = self._grant, self._top_up

    def grant(self, number: int) -> int:
        """Under which number the replay has the journal's grant."""
        return self._aliases.get(number, number)

    def _take_back(self) -> None:
        """Note how many of our own numbers the last decision used."""
        self._grant = max(self._grant, self._state.next_grant)
        self._top_up = max(self._top_up, self._state.next_top_up)


def _following(events: Sequence[Event], index: int, also: bytes) -> tuple[int, int]:
    """The first grant and the first top-up that follow from the entry at `index`; 0 = none."""
    grant = top_up = 0
    for place in range(index, len(events)):
        event = events[place]
        key = getattr(event, "key", b"")
        if place > index and ((key and key != also) or isinstance(event, _BEGINS)):
            break
        if isinstance(event, GrantIssued | GrantRestored):
            grant = grant or event.grant
        elif isinstance(event, TopUpRequested):
            top_up = top_up or event.top_up
    return grant, top_up


def is_of_adjustment(events: Sequence[Event], index: int, issued: GrantIssued) -> bool:
    """Whether a grant was issued by the adjustment that follows it (BalanceAdjusted)."""
    for place in range(index + 1, len(events)):
        event = events[place]
        if getattr(event, "key", b""):
            return (
                isinstance(event, BalanceAdjusted)
                and event.grant == issued.grant
                and not event.grant_given
            )
    return False
