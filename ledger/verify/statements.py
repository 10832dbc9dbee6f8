"""Closed statements, worked out anew from the journal alone and compared by their hashes (T2, H8).

The replay gathers which there are; then the shard is read once more, from its beginning to where
the last of them ended, if there are any. What is compared is the hash: of the figures, and of the
chain where the statement ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.core.events import Event, StatementClosed, StatementEnded, StatementForm
from ledger.core.state import State
from ledger.statements.figures import Head, hash_of
from ledger.statements.folding import Folding, Wanted
from ledger.statements.places import Closed
from ledger.verify.report import Findings


class Closing(NamedTuple):
    """The entry that closed a statement."""

    entry_seq: int
    event: StatementClosed


class StatementWatch:
    """Gathers the statements of one shard, then works them out batch by batch."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._wanted: dict[tuple[int, int], Wanted] = {}  # by account and number
        self._ended: dict[
            int, list[tuple[Closed, int]]
        ] = {}  # by account: what, and by which entry
        self._closed: dict[tuple[int, int], Closing] = {}
        self._ending: set[int] = set()  # batches that ended some
        self._heads: dict[int, bytes] = {}  # batch that ended some -> the chain's hash there
        self._last_batch = 0
        self._folding: Folding | None = None

    def look_at(self, state: State, event: Event) -> None:
        """An entry, before it is replayed."""
        if isinstance(event, StatementEnded):
            account = state.accounts[event.account]
            entry = state.entry_seq
            before = self._ended.setdefault(event.account, [])
            head = Head(
                account.tenant,
                state.shard,
                event.account,
                event.statement,
                event.form == StatementForm.CONSOLIDATED,
                event.attribute,
                event.start,
                event.end,
                entry,
            )
            earlier = [each for each, _ in before]
            since = before[-1][1] if before else entry
            wanted = Wanted(head, account.root, since, earlier)
            self._wanted[event.account, event.statement] = wanted
            before.append((Closed(event.statement, event.start, event.end), entry))
            self._ending.add(state.batch_seq)
        elif isinstance(event, StatementClosed):
            place = (event.account, event.statement)
            if place in self._wanted:  # else the rules say so
                self._closed[place] = Closing(state.entry_seq, event)

    def batch(self, batch_seq: int, head: bytes) -> None:
        """A batch is replayed; this is the chain's hash there."""
        if batch_seq in self._ending:
            self._heads[batch_seq] = head
            self._last_batch = batch_seq

    @property
    def last_batch(self) -> int:
        """How far the shard is to be read once more; 0 = not at all."""
        return self._last_batch if self._closed else 0

    def begin(self, shard: int) -> None:
        """Begin to work them out."""
        self._folding = Folding(shard, [self._wanted[place] for place in sorted(self._closed)])

    def fold(self, recorded_at: int, events: Sequence[Event]) -> None:
        """The next batch, from the first on."""
        assert self._folding is not None
        self._folding.batch(recorded_at, events)

    def end(self) -> None:
        """Compare what they say."""
        assert self._folding is not None
        statements = self._folding.finish()
        for place, statement in zip(sorted(self._closed), statements, strict=True):
            entry, event = self._closed[place]
            what = f"entry {entry}, statement {event.statement} of account {event.account}"
            head = self._heads.get(event.batch_seq, b"")
            self._findings.compare(f"{what}, the chain's hash", head.hex(), event.head.hex())
            found = hash_of(statement, event.head)
            self._findings.compare(f"{what}, hash of what it says", found.hex(), event.hash.hex())
