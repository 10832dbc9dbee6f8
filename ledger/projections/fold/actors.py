"""Who asked for what is recorded, other than usage and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ledger.core.events import (
    AuthorizeDenied,
    HoldAuthorized,
    HoldExtended,
    HoldReleased,
    LeaseRenewed,
    QuoteMade,
    UsageRecorded,
)
from ledger.journal.codec import PrivateRecords, actors_of
from ledger.projections.fold.folding import Folding

OF_WORK: Final = (
    UsageRecorded,
    HoldAuthorized,
    HoldExtended,
    HoldReleased,
    AuthorizeDenied,
    LeaseRenewed,
    QuoteMade,
)
"""Entries that come with every piece of work: as many as there is usage."""


def note_actors(
    fold: Folding, first_event: int, events: Sequence[Any], private: PrivateRecords
) -> None:
    """Write down who asked for the changes of a batch."""
    for index, actor in actors_of(private).items():
        event = events[index]
        if not isinstance(event, OF_WORK):
            fold.changes.actors.append((first_event + index, event.account, actor))
