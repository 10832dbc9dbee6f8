"""Deciding commitments: create, add a segment, end early, and post what is to be invoiced (D7).

A segment is a grant of its own, issued at once and effective from its start; its true-up is what
its expiry posts. Invoices stand apart from the segments. Reads state, changes nothing.
"""

from __future__ import annotations

from itertools import pairwise

from ledger.core.admission import open_account, recorded_before, unknown_account
from ledger.core.commands import AddSegment, CreateCommitment, EndCommitment
from ledger.core.events import (
    BookKind,
    CommitmentCreated,
    CommitmentEnded,
    CommitmentEnding,
    CommitmentTerms,
    Event,
    GrantKind,
    Invoice,
    InvoiceDue,
    Segment,
    SegmentAdded,
)
from ledger.core.funding.following import move, segment_grant
from ledger.core.funding.grants import expire, invalid_grant, issue, void_of
from ledger.core.limits import (
    ANCHOR_MAX_US,
    COMMITMENTS_AN_ACCOUNT_MAX,
    INT64_MAX,
    INVOICES_MAX,
    SEGMENTS_MAX,
)
from ledger.core.opening import owned_book
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, Commitment, Grant, State


def decide_create_commitment(
    state: State, command: CreateCommitment, out: list[Event]
) -> Event | Known | Refusal:
    """Issue every segment at once; an invoice that is due already follows."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    refusal = not_creatable(state, account, command)
    if refusal is not None:
        return refusal
    return create(state, account, command, out)


def not_creatable(
    state: State, account: Account, command: CreateCommitment, beside: int = 0, as_of: int = 0
) -> Refusal | None:
    """Why the account cannot have it, beside so many that the same decision makes. What time does
    is judged `as_of` the instant at which it was due."""
    return (
        _not_creatable(state, account, command, beside)
        or _invalid_segments(state, account, command, as_of or state.now)
        or _invalid_invoices(command.invoices, len(command.invoices))
    )


def create(
    state: State,
    account: Account,
    command: CreateCommitment,
    out: list[Event],
    number: int = 0,
) -> CommitmentCreated:
    """Append a commitment that is fit; `number` 0 = the next one."""
    grants = [
        issue(state, account, segment_grant(account, command.terms, segment), out).grant
        for segment in command.segments
    ]
    created = CommitmentCreated(
        command.key,
        account.number,
        number or state.next_commitment,
        command.terms,
        command.segments,
        command.invoices,
        command.external_key,
        tuple(grants),
        command.trace,
    )
    out.append(created)
    return created


def _not_creatable(
    state: State, account: Account, command: CreateCommitment, beside: int
) -> Refusal | None:
    taken = state.families[account.root].commitment_keys
    if command.external_key and command.external_key in taken:
        return Refusal(
            Reason.COMMITMENT_KEY_TAKEN,
            "external_key",
            "",
            "a commitment of this family has the external key already; it is permanent",
        )
    if len(account.commitments) + beside >= COMMITMENTS_AN_ACCOUNT_MAX:
        return Refusal(
            Reason.COMMITMENTS_LIMIT,
            "account",
            str(len(account.commitments)),
            f"an account has at most {COMMITMENTS_AN_ACCOUNT_MAX} commitments, ended ones too",
        )
    if command.terms.kind not in (GrantKind.POSTPAID, GrantKind.PREPAID):
        return Refusal(
            Reason.COMMITMENT_INVALID,
            "terms.kind",
            command.terms.kind.name,
            "a commitment is postpaid or prepaid",
        )
    return None


def _invalid_segments(
    state: State, account: Account, command: CreateCommitment, now: int
) -> Refusal | None:
    """One or more, in order, none within another (rule D7)."""
    segments = command.segments
    if not 1 <= len(segments) <= SEGMENTS_MAX:
        return _wrong_segments(len(segments))
    for place, segment in enumerate(segments):
        refusal = _invalid_segment(
            state, account, command.terms, segment, f"segments[{place}]", place == 0, now
        )
        if refusal is not None:
            return refusal
    for place, (before, after) in enumerate(pairwise(segments), 1):
        if after.starts_at < before.ends_at:
            return Refusal(
                Reason.SEGMENTS_OVERLAP,
                f"segments[{place}].starts_at_us",
                str(after.starts_at),
                f"the segment before ends at {before.ends_at}; segments follow each other",
            )
    return None


def _wrong_segments(given: int) -> Refusal:
    return Refusal(
        Reason.SEGMENT_INVALID,
        "segments",
        str(given),
        f"a commitment has from 1 to {SEGMENTS_MAX} segments",
    )


def _invalid_segment(
    state: State,
    account: Account,
    terms: CommitmentTerms,
    segment: Segment,
    where: str,
    first: bool,
    now: int,
) -> Refusal | None:
    if not (0 if first else 1) <= segment.starts_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.SEGMENT_INVALID,
            f"{where}.starts_at_us",
            str(segment.starts_at),
            f"a segment starts by {ANCHOR_MAX_US}; only the first may start with the clock (0)",
        )
    if not max(now, segment.starts_at) < segment.ends_at <= ANCHOR_MAX_US:
        return Refusal(
            Reason.SEGMENT_INVALID,
            f"{where}.ends_at_us",
            str(segment.ends_at),
            f"a segment ends after it starts, after now, and by {ANCHOR_MAX_US}",
        )
    if not 1 <= segment.price <= INT64_MAX:
        return Refusal(
            Reason.SEGMENT_INVALID,
            f"{where}.price",
            str(segment.price),
            "a segment has a price, from 1 to 2^63 - 1: what its whole amount is billed at",
        )
    refusal = invalid_grant(state, account, segment_grant(account, terms, segment))
    if refusal is None:
        return None
    field = f"{where}.amount" if refusal.field == "amount" else f"terms.{refusal.field}"
    return Refusal(refusal.reason, field, refusal.value, refusal.message)


def _invalid_invoices(invoices: tuple[Invoice, ...], in_all: int) -> Refusal | None:
    """In order, each of some money (rule D7)."""
    if in_all > INVOICES_MAX:
        return Refusal(
            Reason.INVOICES_INVALID,
            "invoices",
            str(in_all),
            f"a commitment has at most {INVOICES_MAX} invoices",
        )
    before = 1
    for place, invoice in enumerate(invoices):
        if not before <= invoice.at <= ANCHOR_MAX_US:
            return Refusal(
                Reason.INVOICES_INVALID,
                f"invoices[{place}].at_us",
                str(invoice.at),
                f"invoices stand in the order of their times, from 1 to {ANCHOR_MAX_US}",
            )
        if not 1 <= invoice.amount <= INT64_MAX:
            return Refusal(
                Reason.INVOICES_INVALID,
                f"invoices[{place}].amount",
                str(invoice.amount),
                "an invoice is of 1 to 2^63 - 1",
            )
        before = invoice.at
    return None


def decide_add_segment(
    state: State, command: AddSegment, out: list[Event]
) -> Event | Known | Refusal:
    """One more segment on the same terms, which may run beside others: nothing is edited (D7)."""
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    commitment = _find(state, command.account, command.commitment)
    if isinstance(commitment, Refusal):
        return commitment
    account = commitment.account
    if len(commitment.grants) >= SEGMENTS_MAX:
        return _wrong_segments(len(commitment.grants) + 1)
    refusal = _invalid_segment(
        state, account, commitment.terms, command.segment, "segment", True, state.now
    ) or _invalid_invoices(command.invoices, len(commitment.invoices) + len(command.invoices))
    if refusal is not None:
        return refusal
    wanted = segment_grant(account, commitment.terms, command.segment, commitment.sharing)
    grant = issue(state, account, wanted, out).grant
    added = SegmentAdded(
        command.key,
        account.number,
        commitment.number,
        command.segment,
        command.invoices,
        grant,
        trace=command.trace,
    )
    out.append(added)
    return added


def decide_end_commitment(
    state: State, command: EndCommitment, out: list[Event]
) -> Event | Known | Refusal:
    """What is left of the segments that run is trued up, waived or moved; later ones are voided, or
    move too (rule D7).

    A segment that has ended keeps its own true-up, at the end of its grace.
    """
    known = recorded_before(state, command.key)
    if known is not None:
        return known
    commitment = _find(state, command.account, command.commitment)
    if isinstance(commitment, Refusal):
        return commitment
    target: Commitment | None = None
    if command.ending == CommitmentEnding.TRANSFER:
        found = transfer_target(state, commitment, command)
        if isinstance(found, Refusal):
            return found
        target = found
    return end(state, commitment, command, target, out)


def transfer_target(
    state: State,
    commitment: Commitment,
    command: EndCommitment,
    segments: int = 0,
    invoices: int = 0,
) -> Commitment | Refusal:
    """The commitment that takes what is left of one, beside so much that it takes by the same
    decision; or why it cannot."""
    moved = sum([grant.book.available > 0 for grant in _open_grants(state, commitment)])
    to_come = len(commitment.invoices) - commitment.invoiced
    return _target_of(state, commitment, command, moved + segments, to_come + invoices)


def _open_grants(state: State, commitment: Commitment) -> list[Grant]:
    return [
        grant for grant in commitment.grants if not grant.settled and grant.expires_at > state.now
    ]


def end(
    state: State,
    commitment: Commitment,
    command: EndCommitment,
    target: Commitment | None,
    out: list[Event],
) -> CommitmentEnded:
    """Append the end of a commitment that goes on; `target` takes what is left by transfer."""
    open_grants = _open_grants(state, commitment)
    counted: list[Grant] = []
    invoices: tuple[Invoice, ...] = ()
    if command.ending == CommitmentEnding.TRUE_UP:
        counted = [grant for grant in open_grants if grant.effective_at <= state.now]
    elif command.ending == CommitmentEnding.TRANSFER:
        counted = open_grants
        invoices = commitment.invoices[commitment.invoiced :]
    ended = CommitmentEnded(
        command.key,
        commitment.account.number,
        commitment.number,
        command.ending,
        sum([grant.book.available for grant in counted]),
        sum([grant.rest_of(grant.book.available) for grant in counted]),
        target.number if target is not None else 0,
        invoices,
        command.trace,
    )
    out.append(ended)
    for grant in open_grants:
        amount = grant.book.available
        if target is not None:
            move(state, grant, amount, target, out)
        elif grant in counted:
            expire(state, grant, amount, out)
        else:
            out.append(void_of(state, grant, amount, b"", False, b"", out))
    return ended


def _target_of(
    state: State, commitment: Commitment, command: EndCommitment, segments: int, invoices: int
) -> Commitment | Refusal:
    """The commitment that takes so many segments and invoices, or why it cannot (rule D7)."""
    field = "target_commitment_id"
    account = state.accounts.get(command.target_account)
    if account is None or account.root != commitment.account.root:
        return Refusal(
            Reason.TRANSFER_INVALID,
            field,
            str(command.target),
            "what is left moves within an account family: name a commitment of the same one",
        )
    found = _find(state, account.number, command.target)
    if isinstance(found, Refusal):
        return Refusal(found.reason, field, found.value, found.message)
    ours, theirs = commitment.terms, found.terms
    faults = (
        (found is commitment, Reason.TRANSFER_INVALID, "the commitment cannot move to itself"),
        (
            (ours.asset, ours.price_asset) != (theirs.asset, theirs.price_asset),
            Reason.TRANSFER_INVALID,
            "it is of another asset, or billed in another: name one of the same two",
        ),
        (
            len(found.grants) + segments > SEGMENTS_MAX,
            Reason.SEGMENT_INVALID,
            f"it would have more than {SEGMENTS_MAX} segments",
        ),
        (
            len(found.invoices) + invoices > INVOICES_MAX,
            Reason.INVOICES_INVALID,
            f"it would have more than {INVOICES_MAX} invoices",
        ),
    )
    for wrong, reason, message in faults:
        if wrong:
            return Refusal(reason, field, str(command.target), message)
    return found


def post_invoice(state: State, commitment: Commitment, out: list[Event]) -> None:
    """Bill what is due: debit receivable, credit unbilled (rules B4, D7)."""
    assert commitment.due <= state.now, (commitment.number, commitment.due)
    account, money = commitment.account, commitment.terms.price_asset
    invoice = commitment.invoices[commitment.invoiced]
    receivable = owned_book(state, BookKind.RECEIVABLE, account.receivable, account, money, out)
    unbilled = owned_book(state, BookKind.UNBILLED, account.unbilled, account, money, out)
    out.append(
        InvoiceDue(
            account.number,
            commitment.number,
            invoice.at,
            money,
            invoice.amount,
            receivable,
            unbilled,
        )
    )


def _find(state: State, account: int, number: int) -> Commitment | Refusal:
    """A commitment that goes on."""
    if account not in state.accounts:
        return unknown_account(account)
    commitment = state.commitments.get(number)
    if commitment is None or commitment.account.number != account:
        return Refusal(
            Reason.COMMITMENT_UNKNOWN,
            "commitment_id",
            str(number),
            "the account has no such commitment",
        )
    if commitment.is_over(state.now):
        return Refusal(
            Reason.COMMITMENT_ENDED,
            "commitment_id",
            str(commitment.ended_at or commitment.ends_at),
            "the commitment ended at this instant; create another",
        )
    return commitment
