"""Where the rest of a segment is whose commitment was ended by transfer (rule D7), said once more.

Apart from the core, for the rules. Changes nothing.
"""

from __future__ import annotations

from ledger.core.events import CommitmentEnding
from ledger.core.state import Commitment, Grant, State


def was_moved(grant: Grant) -> bool:
    """Whether its commitment was ended by transfer before the segment ended by itself."""
    commitment = grant.commitment
    return commitment is not None and _moved(commitment, grant.expires_at)


def goes_on_to(state: State, grant: Grant) -> Commitment:
    """The last commitment of the chain of transfers; in a journal that was tampered with they may
    go round."""
    commitment = grant.commitment
    assert commitment is not None, grant.number
    seen: set[int] = set()
    while _moved(commitment, grant.expires_at) and commitment.number not in seen:
        seen.add(commitment.number)
        commitment = state.commitments[commitment.moved_to]
    return commitment


def still_goes_on(state: State, grant: Grant) -> bool:
    """Whether what a hold gives back of it is to move on (rule D6)."""
    return not goes_on_to(state, grant).is_over(state.now) and state.now < grant.expires_at


def _moved(commitment: Commitment, ends_at: int) -> bool:
    transfer = commitment.ending == CommitmentEnding.TRANSFER
    return transfer and commitment.ended_at < ends_at
