"""Deliberate faults of the writer, its clock, the journal, paging, the client and the projector.

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DUE: Final = "ledger.core.due"
_CHECKPOINT: Final = "ledger.engine.checkpoint"
_WRITER: Final = "ledger.engine.writer"
_RECENT: Final = "ledger.engine.recent"
_RECOVERY: Final = "ledger.engine.recovery"
_CLOCK: Final = "ledger.engine.clock"
_CLIENT: Final = "ledger.client.core"
_PROJECTOR: Final = "ledger.projections.shard"

ENGINE: Final = (
    Mutant(
        "reply before commit",
        _WRITER,
        "Writer._decide",
        "waits_for = batch if batch.events else self._committing",
        "waits_for = None",
        "a reply waits for its batch",
    ),
    Mutant(
        "refusals do not wait for durability",
        _WRITER,
        "Writer._decide",
        "waits_for = batch if batch.events else self._committing",
        "waits_for = batch if batch.events else None",
        "a refusal waits for what it saw",
    ),
    Mutant(
        "reads do not wait for durability",
        _WRITER,
        "Writer._look",
        "if waits_for is None:\n            self._answers.settle_while_ours(read.future, answer)",
        "if True:\n            self._answers.settle_while_ours(read.future, answer)",
        "a read waits for what it saw",
    ),
    Mutant(
        "min_position ignored",
        _WRITER,
        "Writer._look",
        "if read.min_position > state.entry_seq:",
        "if False:",
        "read your writes",
    ),
    Mutant(
        "unknown commit treated as not applied",
        _WRITER,
        "Writer._drop",
        "is_unknown = not isinstance(error, JournalUnavailable | JournalConflict)",
        "is_unknown = False",
        "rule I6",
    ),
    Mutant(
        "unknown commit treated as done",
        _WRITER,
        "Writer._append",
        "            self._wake.set()\n            raise\n",
        "            self._wake.set()\n"
        "            if not isinstance(error, CommitUnknown):\n                raise\n",
        "rule I6",
    ),
    Mutant(
        "conflict on commit treated as done",
        _WRITER,
        "Writer._append",
        "            self._wake.set()\n            raise\n",
        "            self._wake.set()\n"
        "            if not isinstance(error, JournalConflict):\n                raise\n",
        "of two writers one fails",
    ),
    Mutant(
        "expiries never swept",
        _WRITER,
        "Writer._sweep_due",
        "return timers[0][0] <= now",
        "return False",
        "rule H2",
    ),
    Mutant(
        "hash chain not carried on",
        _WRITER,
        "Writer._seal",
        "self._head_hash = row.hash",
        "pass",
        "the chain",
    ),
    Mutant(
        "retry answered as another entry",
        _RECENT,
        "replay_of",
        "batch.first_event + index",
        "batch.first_event",
        "rule I2",
    ),
    Mutant(
        "old retry answered with another entry",
        _RECENT,
        "RecentBatches.fetch",
        "= replay_of(batch, index)",
        "= replay_of(batch, 0)",
        "rule I2",
    ),
    Mutant(
        "replay answered without looking at the body",
        _RECENT,
        "answer_again",
        "if field:",
        "if False:",
        "rule I1",
    ),
    Mutant(
        "tombstone answered as an outcome",
        _RECENT,
        "answer_again",
        "if is_abandoned(recorded.event):",
        "if False:",
        "rule I5",
    ),
    Mutant(
        "dedupe forgotten after restart",
        _RECOVERY,
        "Replayer.take",
        "            evolve_all(state, events[start : start + YIELD_EVENTS])\n",
        "            evolve_all(state, events[start : start + YIELD_EVENTS])\n"
        "            state.keys.newest.clear()\n",
        "rule I1",
    ),
    Mutant(
        "WriterOpened not awaited",
        _RECOVERY,
        "open_shard",
        "await journal.append(row)",
        "asyncio.ensure_future(journal.append(row))",
        "nothing is answered before the opening is durable",
    ),
    Mutant(
        "epoch not counted",
        _RECOVERY,
        "open_shard",
        "state.epoch + 1",
        "max(state.epoch, 1)",
        "epochs count the openings",
    ),
    Mutant(
        "recorded time goes back after a restart",
        _RECOVERY,
        "open_shard",
        "WriterTime(clock, state.recorded_at, checked)",
        "WriterTime(clock, 0, checked)",
        "rule T5",
    ),
    Mutant(
        "timers forgotten after restart",
        _RECOVERY,
        "open_shard",
        "rebuild_timers(state)",
        "state.timers = []",
        "rule H2",
    ),
    Mutant(
        "jump of the clock believed",
        _CLOCK,
        "WriterTime.next",
        "if wall > expected + JUMP_MAX_US:",
        "if False:",
        "rule T5",
    ),
    Mutant(
        "skew not looked at",
        _CLOCK,
        "check_skew",
        "if abs(skew) > SKEW_MAX_US:",
        "if False:",
        "rule T5",
    ),
    Mutant(
        "publication answered before every shard applied it",
        "ledger.engine.ledger",
        "Ledger._publish",
        "await self.apply_published(tenant)",
        "pass",
        "every shard switches at one instant",
    ),
)

LEASES: Final = (
    Mutant(
        "lease ignored",
        "ledger.engine.lease",
        "HeldLease.holds",
        "return self._clock.monotonic_us() < self._until_us",
        "return True",
        "a paused server that wakes up answers nothing stale",
    ),
    Mutant(
        "lease believed to be twice as long",
        "ledger.engine.lease",
        "HeldLease.renewed",
        "sent_us + self.terms.term_us - self.terms.margin_us",
        "sent_us + 2 * self.terms.term_us",
        "the holder stops before its term ends",
    ),
)

JOURNAL: Final = (
    Mutant(
        "the fence removed",
        "ledger.simulation.database",
        "Database.write",
        "if place in self.rows:",
        "if False:",
        "the primary key (shard, batch_seq)",
    ),
    Mutant(
        "private names beside the wrong entries",
        "ledger.engine.batch",
        "Batch._private_records",
        "[name.event_id for name in names]",
        "[name.event_id for name in reversed(names)]",
        "names stand beside their entry",
    ),
)

CLIENT: Final = (
    Mutant(
        "resend skipped by the client",
        _CLIENT,
        "IngestCore.failed",
        "if failure.again and not",
        "if failure.kind is FailureKind.RETRY and not",
        "the client sends again",
    ),
    Mutant(
        "outcomes given to the wrong events",
        _CLIENT,
        "IngestCore.succeeded",
        "zip(batch.items, outcomes, strict=True)",
        "zip(batch.items, reversed(outcomes), strict=True)",
        "rule I3",
    ),
    Mutant(
        "order reversed by a retry",
        _CLIENT,
        "IngestCore._put_back",
        "for item in reversed(items):",
        "for item in items:",
        "a family's order is kept",
    ),
    Mutant(
        "unknown attempt forgotten by the client",
        "ledger.client.retry",
        "Attempts.failed",
        "self._unknown |= failure.kind is FailureKind.UNKNOWN",
        "self._unknown = failure.kind is FailureKind.UNKNOWN",
        "rule I6",
    ),
)

PROJECTOR: Final = (
    Mutant(
        "checkpoint of the read models left behind",
        _PROJECTOR,
        "TableProjector._step",
        "await store.advance(before, last)",
        "pass",
        "rows and checkpoint in one transaction",
    ),
    Mutant(
        "first batch of a transaction skipped",
        _PROJECTOR,
        "TableProjector._fold",
        "            fold.take(",
        "            last is None or fold.take(",
        "every entry once",
    ),
    Mutant(
        "second end of a grant replaces the first",
        "ledger.projections.fold.grants",
        "grant_voided",
        "change.voided += event.amount",
        "change.voided = event.amount",
        "read models equal the journal",
    ),
)

PAGING: Final = (
    Mutant(
        "checkpoint of a torn moment",
        _CHECKPOINT,
        "Checkpointer.protect",
        "if root in capture.pending:",
        "if False:",
        "a checkpoint is one moment",
    ),
    Mutant(
        "changed families left out of the next checkpoint",
        _CHECKPOINT,
        "Checkpointer.sealed",
        "self._dirty.update(roots)",
        "pass",
        "a checkpoint holds everything that changed",
    ),
    Mutant(
        "checkpoint of another process read as our own",
        "ledger.journal.checkpoint",
        "Expected.check",
        "if epoch != self.epoch or self.batch_seq not in (-1, batch_seq):",
        "if False:",
        "families are those of the state",
    ),
    Mutant(
        "key segments not asked",
        "ledger.engine.segments",
        "KeySegments.any_maybe",
        "return any(any(map(group.filter.__contains__, numbers)) for group in self.groups)",
        "return False",
        "rule I1",
    ),
    Mutant(
        "due family that is paged out forgotten",
        _DUE,
        "_family_due",
        "state.overdue.append(root)",
        "pass",
        "rule H2",
    ),
)
