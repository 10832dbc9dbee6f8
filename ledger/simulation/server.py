"""A simulated server: requests -> commands -> the real ledger -> replies.

The place of `ledger.api`: it only translates. A reply is made of the recorded event and nothing
else, and carries that event's bytes, so that the checks can compare it with the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from ledger.client.events import EventOutcome, Outcome
from ledger.client.retry import Failure, FailureKind
from ledger.core.commands import (
    AbandonRequest,
    AmendUsage,
    Command,
    LinkedUsage,
    Names,
    RecordUsage,
    ReverseUsage,
)
from ledger.core.events import ChargeStarted, Event, QuoteMade, UsageQuarantined, UsageRecorded
from ledger.core.outcomes import Reason, Refusal
from ledger.core.shapes import Shape
from ledger.core.state import State
from ledger.engine.ledger import Ledger, Storage
from ledger.engine.sandbox import ClockRefused
from ledger.engine.ticket import NotApplied, OutcomeUnknown, PositionAhead, Replay, Ticket
from ledger.engine.upkeep import Upkeep
from ledger.engine.writer import Writer
from ledger.journal.configuration import ConfigurationRefused
from ledger.journal.directory import Entry, Refused
from ledger.journal.errors import JournalConflict, JournalError
from ledger.journal.leases import Identity
from ledger.simulation.client import SOURCE
from ledger.simulation.messages import (
    Answer,
    Attributes,
    Call,
    Mark,
    Reply,
    Status,
    UsageAnswer,
    UsageCall,
)
from ledger.simulation.network import Request
from ledger.simulation.plans import plan
from ledger.simulation.prices import PRODUCTS, card
from ledger.simulation.processes import Process
from ledger.simulation.rules import Rule
from ledger.simulation.views import view_of
from ledger.simulation.workload import ENTRIES

SHAPED: Final = ("authorize", "range", "debit", "quote", "quoted", "acquire", "leased")
LEASED_NAMES: Final = ("leased",)
_OUTCOMES: Final = {
    Reason.CONFLICT: Outcome.CONFLICT,
    Reason.ACCOUNT_UNKNOWN: Outcome.ACCOUNT_UNKNOWN,
    Reason.ACCOUNT_CLOSED: Outcome.ACCOUNT_CLOSED,
    Reason.ACCOUNT_FROZEN: Outcome.ACCOUNT_FROZEN,
    Reason.IN_FUTURE: Outcome.IN_FUTURE,
    Reason.OVERFLOW: Outcome.OVERFLOW,
    Reason.KEYS_EXHAUSTED: Outcome.RETRY,
    Reason.BATCH_FULL: Outcome.RETRY,
    Reason.SUSPENSE_FULL: Outcome.RETRY,
    Reason.RATED_MEANWHILE: Outcome.RETRY,
}
_encode = msgspec.msgpack.Encoder().encode


class SimulatedServer:
    """One server process. `start` it in its process; `serve` is what the network calls."""

    def __init__(
        self,
        process: Process,
        storage: Storage,
        broke: Callable[[Rule, str], None],
        leases: bool,
        upkeep: Upkeep,
        part: int,
    ) -> None:
        """`broke` is told of a broken rule, such as a writer that stops for good. With `leases` it
        shares the shards. Usage is submitted `part` events at a time, as a stream submits it."""
        self.process = process
        self._broke = broke
        self._part = part
        self._arrivals = 0  # submitted so far
        self._stands: dict[int, list[tuple[int, int]]] = {}  # root -> (arrival, entry)
        identity = Identity(process.name, process.name) if leases else None
        self.ledger = Ledger(storage, process.clock, process.name, identity=identity, upkeep=upkeep)
        self.ledger.shards.on_halt = self._on_halt
        self.ready = asyncio.Event()
        self.last_writers: list[Writer] = []  # those that `stop` found
        self.left: dict[int, State] = {}  # and the states that they left, whole
        self._shapes: dict[tuple[str, tuple[str, ...], Attributes], Shape] = {}

    async def start(self) -> None:
        """Open every shard, then serve."""
        self.ledger.start()
        while True:
            try:
                await self.ledger.opened()
                break
            except (NotApplied, OutcomeUnknown, JournalError):
                await asyncio.sleep(0.1)
        self.ready.set()

    async def stop(self) -> None:
        """Drain, as a server that is told to end does."""
        self.last_writers = list(self.ledger.writers)
        await self.ledger.stop()
        for writer in self.last_writers:
            if writer._state is not None:
                # A successor has stored more by now; a spoilt family has not been asked for yet.
                with contextlib.suppress(JournalConflict, msgspec.MsgspecError):
                    self.left[writer.shard] = await writer.whole()

    def _on_halt(self, shard: int, error: BaseException) -> None:
        why = f"{self.process.name}, shard {shard}: {type(error).__name__}: {error}"
        self._broke(Rule.WRITER_GOES_ON, why)

    # -- serving -----------------------------------------------------------------------------------

    async def serve(self, request: Request, deadline_us: int) -> Reply:
        """See network.Host."""
        try:
            if isinstance(request, UsageCall):
                return await self._usage(request, deadline_us)
            return await self._call(request, deadline_us)
        except NotApplied as error:
            return Failure(
                FailureKind.RETRY,
                "UNAVAILABLE",
                error.reason.value,
                str(error),
                retry_after_us=error.retry_after_us,
            )
        except OutcomeUnknown as error:
            return Failure(FailureKind.UNKNOWN, "UNKNOWN", "OUTCOME_UNKNOWN", str(error))
        except PositionAhead as error:
            return Failure(FailureKind.RETRY, "OUT_OF_RANGE", "POSITION_AHEAD", str(error))
        except JournalError as error:
            return Failure(FailureKind.UNKNOWN, "UNAVAILABLE", "DATABASE_AWAY", str(error))

    async def _call(self, call: Call, deadline_us: int) -> Answer:
        match call.kind:
            case "publish":
                return await self._publish(call)
            case "clock":
                return await self._advance(call)
            case "create":
                return await self._create(call)
            case "shard" | "list":
                return await self._shard(call.fields["shard"], call.kind == "list")
        entry = await self.ledger.resolve(call.tenant, call.account)
        if entry is None:
            return Answer(Status.REFUSED, None, reason="NAME_UNKNOWN")
        match call.kind:
            case "read":
                return await self._read(call, entry)
            case "check":
                return self._check(entry)
            case "abandon":
                return await self._outcome(call, entry)
        command = await self._command(call, entry)
        if command is None:
            return Answer(Status.REFUSED, None, reason="NAME_USAGE_UNKNOWN")
        arrival = self._arrive()
        ticket = await self.ledger.submit(entry, command, deadline_us)
        self._check_arrival(arrival, ticket, {entry.number: entry.root})
        return _answer(ticket, 0)

    async def _command(self, call: Call, entry: Entry) -> Command | None:
        """The command whose fields stand in the call, by their names."""
        if call.kind in ("reverse", "amend"):
            return await self._correction(call, entry)
        digest = self.ledger.family(entry)
        fields = dict(call.fields)
        key, names = digest.request(call.request_id), Names("", call.request_id)
        if call.kind == "leased":
            key, names = digest.usage(SOURCE, call.request_id), Names(SOURCE, call.request_id)
        if "operation" in fields:
            said = fields.pop("operation"), fields.pop("operation_parent", "")
            fields["operation"] = digest.operation(*said)
            names = Names(names.source, names.event_id, *said)
        if call.kind in SHAPED:
            product, attributes = fields.pop("product"), fields.pop("attributes", ())
            quantities = LEASED_NAMES if call.kind == "acquire" else PRODUCTS[product]
            fields["shape"] = self._shape(product, quantities, attributes)
        if call.kind in ("end_commitment", "end_contract"):
            name = fields["target_account"]
            there = await self.ledger.resolve(call.tenant, name) if name else None
            fields["target_account"] = there.number if there is not None else 0
        if "external_key" in fields:
            fields["external_key"] = digest.external(fields["external_key"])
        command = ENTRIES[call.kind].command
        assert command is not None
        made: Command = command(key=key, account=entry.number, names=names, **fields)
        return made

    async def _correction(self, call: Call, entry: Entry) -> Command | None:
        """With the entry to be corrected as the journal has it, as `api.correction_service` does
        it; None where nothing stands under its identity."""
        digest, fields = self.ledger.family(entry), call.fields
        source, identity = fields["original"]
        key = digest.usage(source, identity) if source else digest.request(identity)
        [recorded] = await self.ledger.writers[entry.shard].recorded.under_all([key])
        if recorded is None:
            return None
        [ratings] = await self.ledger.writers[entry.shard].recorded.ratings_of([recorded])
        rated = tuple([each.original for each in ratings])
        counted = len(recorded.plan.quantity_names) if recorded.plan is not None else 0
        if len(fields.get("quantities", ())) not in (0, counted) and call.kind == "reverse":
            return None  # the edge refuses quantities that the event has not
        key, names = digest.request(call.request_id), Names("", call.request_id)
        if call.kind == "reverse":
            return ReverseUsage(
                key,
                entry.number,
                recorded.original,
                fields.get("quantities", ()),
                fields.get("as_charged", 0),
                fields["ended"],
                fields["note"],
                names,
                rated=rated,
            )
        product, usage_id = fields["product"], fields["usage"]
        usage = RecordUsage(
            digest.usage(SOURCE, usage_id),
            entry.number,
            self._shape(product, PRODUCTS[product]),
            fields["quantities"],
            fields["effective_at"],
            Names(SOURCE, usage_id),
        )
        body = digest.pairs((("body", repr((product, usage.quantities, usage.effective_at))),))
        return AmendUsage(
            key,
            entry.number,
            recorded.original,
            usage,
            body,
            fields["ended"],
            fields["note"],
            names,
            rated=rated,
        )

    def _shape(self, product: str, names: tuple[str, ...], attributes: Attributes = ()) -> Shape:
        place = (product, names, attributes)
        if place not in self._shapes:
            self._shapes[place] = Shape(product, attributes, names)
        return self._shapes[place]

    async def _create(self, call: Call) -> Answer:
        made = await self.ledger.create_account(
            call.tenant,
            call.account,
            call.fields["parent"] or None,
            call.request_id,
            call.fields["policy"],
        )
        if isinstance(made, Refused):
            return Answer(Status.REFUSED, None, reason=f"DIRECTORY_{made.reason.value}")
        return _answer(made[1], 0)

    async def _publish(self, call: Call) -> Answer:
        if "plan" in call.fields:
            name, variant = call.fields["plan"]
            published = await self.ledger.publish_package(call.tenant, name, plan(name, variant))
            if isinstance(published, ConfigurationRefused):
                return Answer(
                    Status.REFUSED, None, reason=f"CONFIGURATION_{published.reason.value}"
                )
            return Answer(Status.ADVICE, number=published.version)
        name, asset, scale = call.fields["card"]
        made = await self.ledger.publish_card(
            call.tenant, card(name, asset, scale, call.fields["variant"])
        )
        if isinstance(made, ConfigurationRefused):
            return Answer(Status.REFUSED, None, reason=f"CONFIGURATION_{made.reason.value}")
        return Answer(Status.ADVICE, number=made.version)

    async def _advance(self, call: Call) -> Answer:
        """As `api.clock_service` does it; what it makes due is waited for by nobody."""
        made = await self.ledger.advance_clock(
            call.tenant, call.request_id, call.fields["by_us"], 0
        )
        if isinstance(made, ClockRefused):
            return Answer(Status.REFUSED, None, reason=f"CLOCK_{made.reason.value}")
        return Answer(Status.ADVICE, number=made.body.offset)

    async def _read(self, call: Call, entry: Entry) -> Answer:
        writer = self.ledger.writers[entry.shard]
        least = call.min_position.get(entry.shard, 0)
        view, position = await writer.read(
            lambda state: view_of(state, entry.number), least, [entry.number]
        )
        return Answer(Status.READ, Mark(entry.shard, position), view=view)

    async def _shard(self, shard: int, every: bool) -> Answer:
        """What needs no name; `every` family may have to come back for it."""
        writer = self.ledger.writers[shard]
        paged: list[int] = []
        if every:
            paged, _ = await writer.read(lambda state: sorted(state.paged))
        _, position = await writer.read(lambda state: None, accounts=paged)
        return Answer(Status.READ, Mark(shard, position))

    def _check(self, entry: Entry) -> Answer:
        writer = self.ledger.writers[entry.shard]
        writer.peek(lambda state: state.entry_seq)
        return Answer(Status.ADVICE, Mark(entry.shard, writer.durable_position))

    async def _outcome(self, call: Call, entry: Entry) -> Answer:
        """GetOutcome, as `api.journal_service` does it."""
        writer = self.ledger.writers[entry.shard]
        key = self.ledger.family(entry).request(call.request_id)
        _, reached = await writer.read(lambda state: None)
        recorded = await writer.recorded.under(key)
        if recorded is None and call.fields["abandon"]:
            command = AbandonRequest(key, entry.number, Names("", call.request_id))
            ticket = await self.ledger.submit(entry, command)
            outcome = ticket.outcomes[0]
            if isinstance(outcome, Refusal) and outcome.reason != Reason.ABANDONED:
                return _answer(ticket, 0)
            recorded = await writer.recorded.under(key)
        if recorded is None:
            return Answer(Status.ABSENT, Mark(entry.shard, reached))
        return _replayed(recorded, entry.shard, recorded.entry_seq + 1)

    async def _usage(self, call: UsageCall, deadline_us: int) -> UsageAnswer | Failure:
        outcomes: list[EventOutcome | None] = [None] * len(call.items)
        lanes: dict[int, tuple[list[int], list[Command]]] = {}
        entries: dict[str, Entry | None] = {}
        for place, item in enumerate(call.items):
            event_id, account, product, names, quantities, at, attributes, operation, above = item
            if account not in entries:
                entries[account] = await self.ledger.resolve(call.tenant, account, at)
            entry = entries[account]
            if entry is None:
                outcomes[place] = EventOutcome(Outcome.ACCOUNT_UNKNOWN, reason="NAME_UNKNOWN")
                continue
            places, commands = lanes.setdefault(entry.shard, ([], []))
            places.append(place)
            figures = (
                self.ledger.family(entry).usage(SOURCE, event_id),
                entry.number,
                self._shape(product, names, attributes),
                quantities,
                at,
                Names(SOURCE, event_id, operation, above),
                self.ledger.family(entry).operation(operation, above),
            )
            if call.linked:
                follow = len(call.items) - 1 - place
                commands.append(LinkedUsage(*figures, follow=follow))
            else:
                commands.append(RecordUsage(*figures))
        if call.linked and (any(outcomes) or len(lanes) > 1):  # of one family, all of it known
            unknown = EventOutcome(Outcome.ACCOUNT_UNKNOWN, reason="NAME_UNKNOWN")
            return UsageAnswer((unknown,) * len(call.items))
        submitted: list[tuple[int, list[int], Ticket | NotApplied]] = []
        for shard, (places, commands) in lanes.items():
            size = len(commands) if call.linked else self._part
            for start in range(0, len(commands), size):
                part = slice(start, start + size)
                ticket = _accept(self.ledger.writers[shard], commands[part], deadline_us)
                submitted.append((self._arrive(), places[part], ticket))
        waiting = [_answered(ticket) for _, _, ticket in submitted]
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        roots = {entry.number: entry.root for entry in entries.values() if entry is not None}
        for (arrival, places, _), answer in zip(submitted, answers, strict=True):
            if isinstance(answer, Ticket):
                self._check_arrival(arrival, answer, roots)
            for index, place in enumerate(places):
                outcomes[place] = _event_outcome(answer, index)
        return UsageAnswer(tuple([outcome for outcome in outcomes if outcome is not None]))

    def _arrive(self) -> int:
        self._arrivals += 1
        return self._arrivals

    def _check_arrival(self, arrival: int, ticket: Ticket, roots: dict[int, int]) -> None:
        """What was recorded just now stands after what was submitted before it."""
        for place, command in enumerate(ticket.commands):
            if isinstance(ticket.outcomes[place], Refusal | Replay):
                continue
            entry_seq = ticket.entry_seq(place)
            stands = self._stands.setdefault(roots[command.account], [])
            for other, other_seq in stands:
                if other != arrival and (other < arrival) != (other_seq < entry_seq):
                    self._broke(
                        Rule.ARRIVAL_ORDER,
                        f"{self.process.name}, shard {ticket.shard}: {command} came as number "
                        f"{arrival} and stands at entry {entry_seq}, number {other} at {other_seq}",
                    )
            stands.append((arrival, entry_seq))


def _accept(writer: Writer, commands: list[Command], deadline_us: int) -> Ticket | NotApplied:
    """Under way when this returns: calls keep their order on any loop."""
    try:
        return writer.accept(commands, deadline_us)
    except NotApplied as error:
        return error


async def _answered(ticket: Ticket | NotApplied) -> Ticket:
    """As `Writer.submit` waits: a caller that goes away takes its ticket with it."""
    if isinstance(ticket, NotApplied):
        raise ticket
    await ticket.future
    return ticket


def _event_outcome(answer: Ticket | BaseException, index: int) -> EventOutcome:
    if isinstance(answer, NotApplied):
        return EventOutcome(Outcome.RETRY, reason=answer.reason.value)
    if isinstance(answer, OutcomeUnknown):
        return EventOutcome(Outcome.UNKNOWN, reason="OUTCOME_UNKNOWN")
    if isinstance(answer, BaseException):
        raise answer
    found = _answer(answer, index)
    assert found.mark is not None
    position = found.mark.text()
    if found.status is Status.REFUSED:
        outcome = _OUTCOMES.get(Reason(found.reason), Outcome.INVALID)
        return EventOutcome(outcome, reason=found.reason, field=found.at_field, position=position)
    event = found.view
    outcome = Outcome.APPLIED
    charge = 0
    if isinstance(event, UsageQuarantined):
        outcome = Outcome.QUARANTINED
    elif isinstance(event, UsageRecorded):
        charge = sum(piece.amount for piece in event.slices)
        outcome = Outcome.SUSPENSE if event.suspense else Outcome.APPLIED
    return EventOutcome(outcome, charge, replayed=found.replayed, position=position)


def _answer(ticket: Ticket, index: int) -> Answer:
    outcome = ticket.outcomes[index]
    if isinstance(outcome, Refusal):
        # What was decided after it in the same ticket, it has not seen.
        after = [
            ticket.entry_seq(place)
            for place in range(index + 1, len(ticket.outcomes))
            if not isinstance(ticket.outcomes[place], Refusal | Replay)
        ]
        seen = after[0] if after else ticket.position
        mark = Mark(ticket.shard, seen, recorded_at=ticket.recorded_at)
        return Answer(Status.REFUSED, mark, reason=outcome.reason.value, at_field=outcome.field)
    if isinstance(outcome, Replay):
        return _replayed(outcome, ticket.shard, ticket.position)
    return _recorded(
        outcome,
        Mark(
            ticket.shard,
            ticket.position,
            ticket.entry_seq(index),
            _encode(outcome),
            ticket.recorded_at,
        ),
        False,
    )


def _replayed(recorded: Replay, shard: int, position: int) -> Answer:
    mark = Mark(shard, position, recorded.entry_seq, _encode(recorded.event), recorded.recorded_at)
    return _recorded(recorded.event, mark, True)


def _recorded(event: Event, mark: Mark, replayed: bool) -> Answer:
    names: tuple[str, ...] = ("hold", "recurring", "commitment", "grant")
    if isinstance(event, QuoteMade):
        names = ("quote",)
    elif isinstance(event, ChargeStarted):
        names = ("charge",)
    numbers = [getattr(event, name, 0) for name in names]
    number = next((number for number in numbers if number), 0)
    return Answer(Status.RECORDED, mark, replayed, number=number, view=event)
