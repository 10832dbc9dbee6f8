"""What clients saw, and what is left, against the naive model. Raises the first Violation.

Reads journal rows, records and final states; changes nothing. The model reads the journal once;
whatever was answered about a position is compared when it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from ledger.core.events import (
    ConfigurationApplied,
    Event,
    RequestAbandoned,
    UsageQuarantined,
    WriterOpened,
)
from ledger.core.identity import FamilyDigest
from ledger.core.limits import MINUTE_US
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec, decode_private
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.protocol import GENESIS_HASH, JournalRow
from ledger.simulation.client import SOURCE
from ledger.simulation.database import Database
from ledger.simulation.messages import Record, Status
from ledger.simulation.model import WINDOW_US, ShardModel
from ledger.simulation.refusals import is_justified, same_body
from ledger.simulation.rules import Rule, Violation
from ledger.simulation.scenario import Scenario

AHEAD_MAX_US: Final = 1_700_000
"""How far a recorded time may be ahead of the database's clock: 0.5 s at opening, 1 s later."""

FUTURE_US: Final = 5 * MINUTE_US

KNOWN: Final = frozenset({"CONFLICT", "ABANDONED", "LINKED_RECORDED", "LINKED_FAILED"})
"""Reasons of what may stand under its identity already."""

_encode = msgspec.msgpack.Encoder().encode


class Landed(NamedTuple):
    """When a row became durable: by the database's clock, and by the loop's steps; what had been
    published by then: tenant -> version."""

    at_us: int
    step: int
    published: Mapping[int, int]


@dataclass(slots=True)
class Recorded:
    """One entry of the journal, with the names beside it."""

    shard: int
    entry_seq: int
    recorded_at: int
    event: Any
    batch_seq: int = 0
    tenant: int = 0
    root: int = 0
    source: str = ""
    identity: str = ""


Identity = tuple[int, int, str, str]
"""(tenant, root, source, id)."""


class Judge:
    """Reads one world's journal and answers what the checks ask."""

    def __init__(self, database: Database, landed: dict[tuple[int, int], Landed]) -> None:
        """`landed`: when each row became durable."""
        self.database = database
        self.entries: list[list[Recorded]] = [[] for _ in range(database.shards)]
        self.applied: dict[tuple[int, int, int], int] = {}
        """(shard, tenant, version) -> the step in which its row became durable."""
        self.by_identity: dict[Identity, list[Recorded]] = {}
        self._landed = landed
        self._published_before: dict[int, Mapping[int, int]] = {}  # the shard's last opening
        self._codec: BatchCodec[Event] = BatchCodec(Event, UPCASTS)
        self._questions: dict[tuple[int, int], list[Callable[[ShardModel], None]]] = {}
        profiles = database.directory._profiles
        self.numbers = {
            (each.entry.tenant, each.entry.account_id): number for number, each in profiles.items()
        }
        self.models = [ShardModel(n, self._published, self.numbers) for n in range(database.shards)]
        self.roots = {number: each.entry.root for number, each in profiles.items()}
        self.tenants = {number: each.entry.tenant for number, each in profiles.items()}
        self.digests = {n: FamilyDigest(each.entry.family_key) for n, each in profiles.items()}

    def _published(self, tenant: int, version: int) -> ConfigurationEntry | None:
        stream = self.database.configuration._entries.get(tenant, [])
        return stream[version - 1] if version <= len(stream) else None

    def ask(self, shard: int, position: int, question: Callable[[ShardModel], None]) -> None:
        """Put a question to the model when it stands at a position."""
        self._questions.setdefault((shard, position), []).append(question)

    # -- the journal -------------------------------------------------------------------------------

    def read(self) -> None:
        """Read every shard; answer what was asked on the way."""
        for shard, model in enumerate(self.models):
            self._answer(shard, model)
            prev_hash, prev_at = GENESIS_HASH, 0
            for row in self.database.rows_of(shard, 0, len(self.database.rows)):
                self._check_row(row, model, prev_hash, prev_at)
                self._read_row(row, model)
                prev_hash, prev_at = row.hash, row.recorded_at_us
            for (_, position), left in self._questions.items():
                assert _ != shard or position <= model.position or not left

    def _check_row(
        self, row: JournalRow, model: ShardModel, prev_hash: bytes, prev_at: int
    ) -> None:
        place = f"shard {row.shard}, batch {row.batch_seq}"
        expected = (model.batch_seq + 1, model.position, prev_hash)
        if (row.batch_seq, row.first_event, row.prev_hash) != expected:
            raise Violation(Rule.CHAIN, f"{place} does not continue batch {model.batch_seq}")
        if row.recorded_at_us <= prev_at:
            raise Violation(Rule.RECORDED_TIME, f"{place}: {row.recorded_at_us} after {prev_at}")
        landed = self._landed[row.shard, row.batch_seq].at_us
        if row.recorded_at_us > max(landed + AHEAD_MAX_US, prev_at + 1):
            ahead = row.recorded_at_us - landed
            raise Violation(Rule.RECORDED_TIME, f"{place} is {ahead} us ahead of the database")

    def _read_row(self, row: JournalRow, model: ShardModel) -> None:
        private = decode_private(row.private)
        names = {
            index: (source, identity)
            for index, source, identity in zip(
                private.indexes, private.sources, private.ids, strict=True
            )
        }
        events = self._codec.decode(row.payload)
        if len(events) != row.event_count:
            raise Violation(Rule.CHAIN, f"batch {row.batch_seq} holds {len(events)} events")
        asked = [getattr(events[index], "key", b"") for index in names]
        model.begin(row.batch_seq, row.recorded_at_us, asked)
        for index, event in enumerate(events):
            self._take(model, event, row)
            found = Recorded(
                row.shard, row.first_event + index, row.recorded_at_us, event, row.batch_seq
            )
            self.entries[row.shard].append(found)
            if index in names:
                found.source, found.identity = names[index]
                account = event.account
                found.tenant, found.root = self.tenants[account], self.roots[account]
                self._count(found)
                used = model.usage.get(row.batch_seq << 20 | index)
                if used is not None:
                    model.originals[found.tenant, found.source, found.identity] = used
                elif isinstance(event, UsageQuarantined):  # long after the same was recorded
                    model.originals.pop((found.tenant, found.source, found.identity), None)
            self._answer(row.shard, model)
        model.end()

    def _take(self, model: ShardModel, event: Any, row: JournalRow) -> None:
        try:
            model.take(event)
        except LookupError as error:
            raise Violation(
                Rule.EVENT_KNOWN, f"entry {model.position}: {event} names what is not: {error!r}"
            ) from error
        self._check_configuration(model, event, row)
        if isinstance(event, ConfigurationApplied):
            step = self._landed[row.shard, row.batch_seq].step
            self.applied[row.shard, event.tenant, event.version] = step

    def _check_configuration(self, model: ShardModel, event: Any, row: JournalRow) -> None:
        """Whoever opens a shard decides nothing before it has applied what was published."""
        if isinstance(event, WriterOpened):
            self._published_before[row.shard] = self._landed[row.shard, row.batch_seq].published
        if not getattr(event, "key", b""):
            return  # what time does is decided by nobody
        for tenant, version in self._published_before[row.shard].items():
            if model.applied.get(tenant, 0) < version:
                raise Violation(
                    Rule.CONFIGURATION_FIRST,
                    f"shard {row.shard}, entry {model.position}: version {version} of tenant "
                    f"{tenant} was published before the shard was opened",
                )

    def _answer(self, shard: int, model: ShardModel) -> None:
        for question in self._questions.pop((shard, model.position), ()):
            question(model)

    def _count(self, found: Recorded) -> None:
        """Rule I1: the same identity again only when the first one is out of the window."""
        place = (found.tenant, found.root, found.source, found.identity)
        before = self.by_identity.setdefault(place, [])
        if before and found.recorded_at - before[-1].recorded_at < WINDOW_US:
            first = before[-1]
            gone = isinstance(first.event, RequestAbandoned)
            raise Violation(
                Rule.ABANDONED_FINAL if gone else Rule.COUNTED_ONCE,
                f"{place} stands at {first.shard}/{first.entry_seq} as {first.event} and again at "
                f"{found.shard}/{found.entry_seq} as {found.event}",
            )
        before.append(found)

    # -- what was answered -------------------------------------------------------------------------

    def identity_of(self, record: Record) -> Identity | None:
        """The identity under which an operation is recorded; None for an unknown account."""
        number = self.numbers.get((record.tenant, record.account))
        if number is None:
            return None
        source = SOURCE if record.kind in ("usage", "linked", "leased") else ""
        return record.tenant, self.roots[number], source, record.identity

    def time_before(self, record: Record) -> int:
        """The recorded time that its shard had reached before an operation was sent."""
        assert record.mark is not None
        shard = record.mark.shard
        times = [
            each.recorded_at
            for each in self.entries[shard]
            if self._landed[shard, each.batch_seq].step < record.sent_step
        ]
        return max(times, default=0)

    def standing(self, record: Record, position: int, at_us: int) -> Recorded | None:
        """What stands under an operation's identity before a position, within the window."""
        identity = self.identity_of(record)
        if identity is None:
            return None
        for found in reversed(self.by_identity.get(identity, ())):
            if found.entry_seq < position and (not at_us or at_us - found.recorded_at < WINDOW_US):
                return found
        return None


def ask_everything(judge: Judge, records: list[Record]) -> None:
    """Before the journal is read: what has to be compared at which position."""
    for record in records:
        mark = record.mark
        number = judge.numbers.get((record.tenant, record.account))
        if number is not None and record.body.get("operation"):
            parent = record.body.get("operation_parent", "")
            record.said = judge.digests[number].operation(record.body["operation"], parent)
        if mark is None or record.status not in (Status.READ, Status.REFUSED):
            continue
        if mark.position > judge.database.entries[mark.shard]:
            raise Violation(
                Rule.DURABLE_BEFORE_REPLY,
                f"{record}: only {judge.database.entries[mark.shard]} entries were ever durable",
            )
        judge.ask(mark.shard, mark.position, _question(judge, record))


def _question(judge: Judge, record: Record) -> Callable[[ShardModel], None]:
    number = judge.numbers.get((record.tenant, record.account), 0)

    def ask(model: ShardModel) -> None:
        assert record.mark is not None
        if record.status is Status.READ:
            expected = model.view(number)
            if expected != record.view:
                raise Violation(
                    Rule.READ_AT_POSITION, f"{record}: expected {expected}, found {record.view}"
                )
            return
        known = record.reason in KNOWN  # keys may outlive the window
        ahead = model.offsets.get(record.tenant, 0)
        at_us = 0 if known else record.mark.recorded_at - ahead
        found = judge.standing(record, record.mark.position, at_us)
        if found is not None and not known:
            raise Violation(
                Rule.SAME_ANSWER, f"{record}, but it stands at {found.entry_seq}: {found.event}"
            )
        complaint = is_justified(model, record, number, found.event if found else None)
        if complaint:
            rule = Rule.CONFLICT_JUSTIFIED if known else Rule.REFUSAL_JUSTIFIED
            raise Violation(rule, f"{record}: {complaint}")

    return ask


def check_records(
    judge: Judge,
    records: list[Record],
    uncertain: Collection[tuple[int, str]],
    scenario: Scenario,
) -> None:
    """Each answer against the journal.

    `uncertain`: (client, identity) of which an attempt ended with an unknown outcome.
    """
    senders = _senders(records)
    for record in records:
        # Nothing else can have recorded it than what its client knows of.
        alone = senders[record.identity] == 1 and not scenario.network.doubled
        certain = alone and (record.client, record.identity) not in uncertain
        given_up = record.status in (Status.GAVE_UP, Status.UNKNOWN)
        if given_up and not scenario.give_up_us:
            raise Violation(Rule.CLIENT_GOES_ON, str(record))
        if certain and record.replayed and record.kind != "abandon":
            raise Violation(
                Rule.NOT_APPLIED_ABSENT, f"{record}: every attempt before was answered 'no'"
            )
        match record.status:
            case Status.PENDING:
                raise Violation(Rule.EVENTUALLY_ANSWERED, str(record))
            case Status.RECORDED:
                _check_recorded(judge, record)
            case Status.ABSENT:
                assert record.mark is not None
                found = judge.standing(record, record.mark.position, record.answered_us)
                if found is not None:
                    raise Violation(Rule.OUTCOME_TRUE, f"{record}, but {found} stands")
            case Status.READ:
                _check_read(record)
            case Status.GAVE_UP if alone and record.kind not in ("abandon", "publish", "clock"):
                if judge.identity_of(record) in judge.by_identity:
                    raise Violation(Rule.NOT_APPLIED_ABSENT, f"{record}: it was recorded")


def _senders(records: list[Record]) -> dict[str, int]:
    """How often each identity was sent, by anybody."""
    senders: dict[str, int] = {}
    for record in records:
        senders[record.identity] = senders.get(record.identity, 0) + 1
    return senders


def _check_recorded(judge: Judge, record: Record) -> None:
    mark = record.mark
    assert mark is not None
    entries = judge.entries[mark.shard]
    found = entries[mark.entry_seq] if mark.entry_seq < len(entries) else None
    if found is None or _encode(found.event) != mark.body:
        what = found.event if found is not None else "nothing"
        raise Violation(Rule.ACKNOWLEDGED_PRESENT, f"{record}: there stands {what}")
    identity = judge.identity_of(record)
    if (found.tenant, found.root, found.source, found.identity) != identity:
        raise Violation(Rule.SAME_ANSWER, f"{record}: there stands {found}")
    if record.kind == "abandon":
        return
    if isinstance(found.event, RequestAbandoned):
        raise Violation(Rule.ABANDONED_FINAL, f"{record} is answered with its tombstone")
    number = judge.numbers[record.tenant, record.account]
    field = same_body(record, found.event, number)
    if field:
        raise Violation(Rule.SAME_ANSWER, f"{record}: {field} differs from {found.event}")
    hold: int = getattr(found.event, "hold", 0)
    if record.kind in ("capture", "debit") and hold:
        of = judge.models[mark.shard].holds[hold]
        own = record.said if record.said and of.reserves else of.operation
        if found.event.operation != own:
            raise Violation(Rule.SAME_ANSWER, f"{record}: it is not of {own.hex()}: {found.event}")
    if record.kind in ("reverse", "amend"):
        original = entries[found.event.original_entry]
        if (original.source, original.identity) != record.body["original"]:
            raise Violation(Rule.SAME_ANSWER, f"{record}: it corrects {original}")


def _check_read(record: Record) -> None:
    assert record.mark is not None
    least = record.min_position.get(record.mark.shard, 0)
    if record.mark.position < least:
        raise Violation(Rule.READ_MIN_POSITION, f"{record}: {least} was asked for")


def check_published(judge: Judge, records: list[Record]) -> None:
    """A publication that was answered had been applied by every shard."""
    for record in records:
        if record.kind != "publish" or record.status is not Status.ADVICE:
            continue
        for shard in range(judge.database.shards):
            step = judge.applied.get((shard, record.tenant, record.view))
            if step is None or step > record.answered_step:
                raise Violation(
                    Rule.PUBLISHED_EVERYWHERE, f"{record}: version {record.view}, shard {shard}"
                )


def check_client_order(judge: Judge, records: list[Record]) -> None:
    """Events of one client for one account are recorded in the order in which it got them."""
    last: dict[tuple[int, int, str], Record] = {}
    senders = _senders(records)
    for record in records:
        if record.kind != "usage" or record.status is not Status.RECORDED:
            continue
        if senders[record.identity] > 1:
            continue
        place = (record.client, record.tenant, record.account)
        before = last.get(place)
        assert record.mark is not None
        if before is not None and _overtaken(judge, before, record):
            raise Violation(Rule.CLIENT_ORDER, f"{record} stands before {before}")
        last[place] = record


def check_linked(judge: Judge, records: list[Record]) -> None:
    """All of a group of linked events stand in one batch, or none of it was recorded by it."""
    groups: dict[int, list[Record]] = {}
    for record in records:
        if record.kind == "linked":
            groups.setdefault(record.operation, []).append(record)
    for group in groups.values():
        found = {
            (mark.shard, judge.entries[mark.shard][mark.entry_seq].batch_seq)
            for mark in (each.mark for each in group if each.status is Status.RECORDED)
            if mark is not None
        }
        if found and not all(each.status is Status.RECORDED for each in group):
            raise Violation(Rule.LINKED_TOGETHER, "; ".join(map(str, group)))
        if len(found) > 1 and not any(each.replayed for each in group):
            raise Violation(Rule.LINKED_TOGETHER, f"{found}: {'; '.join(map(str, group))}")


def _overtaken(judge: Judge, before: Record, after: Record) -> bool:
    """Whether `after` stands first without a reason.

    A reason is that an attempt whose answer was lost refused `before`, and the next one recorded it
    (rule I2): it was of the future when `after` was recorded, or quantities that contradict each
    other became too old to be rated, and were quarantined.
    """
    assert before.mark is not None and after.mark is not None
    if before.mark.entry_seq < after.mark.entry_seq:
        return False
    if before.body["effective_at"] < before.mark.recorded_at - WINDOW_US:
        return False
    then = min(after.mark.recorded_at, judge.time_before(before))  # it may leap amid a call
    return bool(before.body["effective_at"] <= then + FUTURE_US)


def check_order(judge: Judge, records: list[Record], stale_reads: bool) -> None:
    """Strict serialisability of each shard, and so of each family.

    `stale_reads`: two servers may have been there, and nothing keeps the older one from reading:
    there are no leases, or the database's clock, by which they run out, has leapt.
    """
    answered = sorted(
        (record for record in records if record.mark is not None and record.answered_step >= 0),
        key=lambda record: record.answered_step,
    )
    sent = sorted(answered, key=lambda record: record.sent_step)
    reached = [0] * judge.database.shards
    last: list[Record | None] = [None] * judge.database.shards
    place = 0
    for record in sent:
        while place < len(answered) and answered[place].answered_step < record.sent_step:
            _reach(answered[place], reached, last)
            place += 1
        mark = record.mark
        assert mark is not None
        if record.replayed or record.kind in ("check", "publish", "clock", "abandon"):
            continue
        recorded = record.status is Status.RECORDED
        if not recorded and stale_reads:
            continue
        at = mark.entry_seq if recorded else mark.position
        if at < reached[mark.shard]:
            raise Violation(
                Rule.REAL_TIME_ORDER,
                f"{record} rests on less than {reached[mark.shard]} entries, which had been shown "
                f"before it was sent: {last[mark.shard]}",
            )


def _reach(record: Record, reached: list[int], last: list[Record | None]) -> None:
    mark = record.mark
    assert mark is not None
    if record.kind in ("check", "publish", "clock"):
        return
    low = mark.entry_seq + 1 if record.status is Status.RECORDED else mark.position
    if low > reached[mark.shard]:
        reached[mark.shard], last[mark.shard] = low, record
