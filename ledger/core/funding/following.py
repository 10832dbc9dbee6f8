"""Where units go that a grant no longer keeps: on to another commitment, and what a hold gives back
to a grant that ended meanwhile, to where its rest went (rules D6, D7).

Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.core.commands import IssueGrant
from ledger.core.events import (
    CommitmentEnding,
    CommitmentTerms,
    Event,
    GrantKind,
    GrantVoided,
    HoldRefilled,
    Segment,
    SegmentAdded,
    Sharing,
    Slice,
)
from ledger.core.funding.caps import shared_as
from ledger.core.funding.grants import expire, issue, roll_over, void_of
from ledger.core.state import GRANT_EXPIRED, GRANT_OPEN, Account, Commitment, Grant, Hold, State


def follow_up(
    state: State,
    returned: Sequence[tuple[Grant, int]],
    out: list[Event],
    slices: Sequence[Slice] = (),
) -> None:
    """What a hold gives back to a grant that ended meanwhile goes where its rest went (rule D6).

    `slices` are drawn in the same decision, before.
    """
    drawn = {piece.book: (piece.amount, piece.value) for piece in slices}
    for grant, amount in returned:
        if amount == 0:
            continue
        just = drawn.get(grant.book.number, (0, 0))
        if grant.settled == GRANT_OPEN:
            if grant.rolled_over:
                roll_over(state, grant, amount, out)
        elif was_moved(grant):
            _follow_transfer(state, grant, amount, out, just)
        elif grant.settled == GRANT_EXPIRED:
            expire(state, grant, amount, out, just)
        else:
            out.append(void_of(state, grant, amount, b"", grant.forfeit, b"", out, just))


def returned_by(state: State, hold: Hold, taken: Sequence[int]) -> list[tuple[Grant, int]]:
    """What settling a hold gives back to each grant, where so much of each slice was drawn; () =
    nothing was. What its operation's hold has again is not given back."""
    returned: list[tuple[Grant, int]] = []
    kept = _kept(state, hold, taken)
    for place, piece in enumerate(hold.slices):
        grant = state.books.accounts[piece.book].grant
        if grant is not None:
            gone = (taken[place] if taken else 0) + (kept[place] if kept else 0)
            returned.append((grant, piece.amount - gone))
    return returned


def _kept(state: State, hold: Hold, taken: Sequence[int]) -> list[int]:
    """Units of each of its slices that settling a call's hold leaves to its operation's, while that
    is open: what came from there and is not drawn, where so much of each slice is; [] = none."""
    if hold.part_of not in state.holds:
        return []
    drawn = taken or (0,) * len(hold.parts)
    kept = [max(0, part - units) for part, units in zip(hold.parts, drawn, strict=True)]
    return kept if any(kept) else []


def refill(state: State, hold: Hold, taken: Sequence[int], out: list[Event]) -> None:
    """Before a call's hold is settled, of which so much of each slice is drawn: what it leaves to
    its operation's is held there again, and pends where it did (rules H1, H4)."""
    kept = _kept(state, hold, taken) if hold.part_of else []
    if not kept:
        return
    whole = state.holds[hold.part_of]
    units = {
        (piece.pot, piece.book): amount for piece, amount in zip(hold.slices, kept, strict=True)
    }
    back = tuple([units.get((piece.pot, piece.book), 0) for piece in whole.slices])
    out.append(HoldRefilled(hold.account.number, whole.number, hold.number, back))


# -- transfers -------------------------------------------------------------------------------------


def was_moved(grant: Grant) -> bool:
    """Whether its rest moved to another commitment: it was ended by transfer before its time."""
    commitment = grant.commitment
    return (
        commitment is not None
        and commitment.moved_to > 0
        and commitment.ended_at < grant.expires_at
    )


def goes_on_to(state: State, grant: Grant) -> Commitment:
    """The commitment where the rest of a segment that was moved is by now, however often it was."""
    commitment = grant.commitment
    assert commitment is not None, grant.number
    while commitment.moved_to and commitment.ended_at < grant.expires_at:
        commitment = state.commitments[commitment.moved_to]
    return commitment


def _follow_transfer(
    state: State, grant: Grant, amount: int, out: list[Event], just: tuple[int, int]
) -> None:
    """A hold gives units back to a segment that was moved: they follow; where that commitment has
    ended since, or the segment's time is over, they end as they would have there."""
    target = goes_on_to(state, grant)
    if target.is_over(state.now):
        if target.ending == CommitmentEnding.WAIVE and target.ended_at < grant.expires_at:
            out.append(void_of(state, grant, amount, b"", False, b"", out, just))
        else:
            expire(state, grant, amount, out, just)
    elif grant.expires_at <= state.now:
        expire(state, grant, amount, out, just)
    else:
        move(state, grant, amount, target, out, just)


def move(
    state: State,
    grant: Grant,
    amount: int,
    target: Commitment,
    out: list[Event],
    just: tuple[int, int] = (0, 0),
) -> None:
    """Void so much of a segment and add it to the target as a segment of its own, with the exact
    money (rules B4, D7). `just`: units that the same decision draws from it, and their value.

    It ends when the old one would have, and starts then too, or now where that one runs.
    """
    value = grant.rest_of(amount, *just)
    cash = 0
    if value and grant.cash is not None and grant.kind != GrantKind.POSTPAID:
        cash = grant.cash.number
    out.append(GrantVoided(b"", grant.account.number, grant.number, amount, value, cash))
    if amount == 0:
        return
    starts_at = grant.effective_at if grant.effective_at > state.now else 0
    segment = Segment(starts_at, grant.expires_at, amount, value)
    account = target.account
    added = issue(
        state, account, segment_grant(account, target.terms, segment, target.sharing), out
    )
    out.append(
        SegmentAdded(b"", account.number, target.number, segment, (), added.grant, grant.number)
    )


def segment_grant(
    account: Account,
    terms: CommitmentTerms,
    segment: Segment,
    since: Sharing | None = None,
) -> IssueGrant:
    """The grant that a segment is, of a commitment that is shared otherwise `since`."""
    shared, sharing = shared_as(terms.shared, since)
    return IssueGrant(
        b"",
        account.number,
        terms.kind,
        terms.asset,
        segment.amount,
        segment.price,
        terms.price_asset,
        terms.priority,
        segment.starts_at,
        segment.ends_at,
        terms.products,
        b"",
        tags=terms.tags,
        attributes=terms.attributes,
        shared=shared,
        sharing=sharing,
        metadata=terms.metadata,
        to_bill=terms.kind == GrantKind.PREPAID,
    )
