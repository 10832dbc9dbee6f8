"""CorrectionService: recorded usage given back, many at a time, each answered by itself.

Reads the entry that is corrected from the journal and hands it to the core with the command; the
reversals of another server's shards go to it as a smaller call of the same kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ledger.api.amending import (
    ENDED,
    AmendCalls,
    below_zero,
    named_faults,
    texts_of,
)
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import TABLE, CallFailed, Fault, failure_of, refused
from ledger.api.finding_usage import Sought, UsageFinder
from ledger.api.forward import Forwarder, PassedOn
from ledger.api.gauge_levels import level_of
from ledger.api.limits import id_fault
from ledger.api.listing_adjustments import AdjustmentListing
from ledger.api.positions import decode_position, encode_position
from ledger.api.rendering.render_correction import Seen, owners_of, pieces_of, render_reversal, see
from ledger.auth.refusals import AuthRefused
from ledger.core.commands import Names, Original, ReverseUsage
from ledger.core.events import GaugeReversed, PlanDeclared, UsageReversed
from ledger.core.outcomes import Refusal, locator_of
from ledger.engine.ticket import NotApplied, OutcomeUnknown, Replay, Ticket
from ledger.engine.writer import Writer
from ledger.journal.directory import Entry
from ledger.journal.errors import JournalError
from ledger.projections.as_of import History
from ledger.v1 import correction_pb2 as pb

REVERSALS_MAX: Final = 1_000  # of one call; each may read a row of the journal

_METHOD: Final = f"{pb.DESCRIPTOR.services_by_name['CorrectionService'].full_name}/ReverseUsage"
_OUTCOMES: Final[Mapping[bool, pb.CorrectionOutcome.ValueType]] = {
    True: pb.CORRECTION_OUTCOME_RETRY,
    False: pb.CORRECTION_OUTCOME_REFUSED,
}


class Asked(NamedTuple):
    """One reversal of a call: its place there, and the account that it names."""

    place: int
    reversal: pb.Reversal
    entry: Entry


class Decided(NamedTuple):
    """What a writer was asked for one reversal, or why it was not."""

    asked: Asked
    command: ReverseUsage


class CorrectionService(AmendCalls):
    """See ledger/v1/correction.proto."""

    def __init__(self, edge: Edge, forwarder: Forwarder, history: History | None = None) -> None:
        """`history`: the read models, for ids out of the dedupe window and for listings."""
        self._edge = edge
        self._forwarder = forwarder
        self._finder = UsageFinder(edge, history)
        self._listing = AdjustmentListing(edge, history)

    async def list_adjustments(
        self, request: pb.ListAdjustmentsRequest, call: Call
    ) -> pb.ListAdjustmentsResponse:
        """What counts in a period and is no usage of its own time."""
        return await self._listing.page(request)

    async def reverse_usage(
        self, request: pb.ReverseUsageRequest, call: Call
    ) -> pb.ReverseUsageResponse:
        """Give usage back. Where no shard took any of it, the whole call may be retried."""
        edge = self._edge
        tenant = await edge.tenant(request.tenant)
        count = len(request.reversals)
        if not 0 < count <= REVERSALS_MAX:
            reason = "TOO_MANY" if count else "FIELD_REQUIRED"
            message = f"{count} reversals; 1 to {REVERSALS_MAX} are allowed"
            raise CallFailed(reason, message, field="reversals", value=str(count))
        results = [pb.ReversalResult() for _ in range(count)]
        positions: dict[int, int] = {}
        with edge.ledger.underway.working():
            lanes = await self._lanes(tenant, request, results)
            await self._spread(request, lanes, results, positions, call)
        return pb.ReverseUsageResponse(results=results, position=encode_position(positions))

    async def _lanes(
        self,
        tenant: int,
        request: pb.ReverseUsageRequest,
        results: list[pb.ReversalResult],
    ) -> dict[int, list[Asked]]:
        """The reversals that are valid in form, by shard; the others are answered."""
        lanes: dict[int, list[Asked]] = {}
        for place, reversal in enumerate(request.reversals):
            fault = _fault(reversal)
            if fault is not None:
                _fail(results[place], CallFailed(fault.reason, fault.message, field=fault.field))
                continue
            try:
                entry = await self._edge.account(tenant, reversal.account)
            except CallFailed as failure:
                _fail(results[place], failure)
                continue
            lanes.setdefault(entry.shard, []).append(Asked(place, reversal, entry))
        return lanes

    async def _spread(
        self,
        request: pb.ReverseUsageRequest,
        lanes: dict[int, list[Asked]],
        results: list[pb.ReversalResult],
        positions: dict[int, int],
        call: Call,
    ) -> None:
        """Hand each lane to whoever has its shard. Raises NotApplied where nobody took anything."""
        shards = self._edge.ledger.shards
        away: dict[str, list[Asked]] = {}
        ours: list[tuple[int, list[Asked]]] = []
        for shard, lane in lanes.items():
            address = "" if shards.owns(shard) or call.forwarded else shards.route(shard)
            if address:
                away.setdefault(address, []).extend(lane)
            else:
                ours.append((shard, lane))
        failures = await asyncio.gather(
            *[self._ours(shard, lane, results, positions, call) for shard, lane in ours],
            *[
                self._elsewhere(address, request, lane, results, positions, call)
                for address, lane in away.items()
            ],
        )
        refused_all = [failure for failure in failures if isinstance(failure, NotApplied)]
        if refused_all and len(refused_all) == len(failures) and not away:
            answered = {asked.place for lane in lanes.values() for asked in lane}
            if len(answered) == len(results):
                raise refused_all[0]

    async def _elsewhere(
        self,
        address: str,
        request: pb.ReverseUsageRequest,
        lane: list[Asked],
        results: list[pb.ReversalResult],
        positions: dict[int, int],
        call: Call,
    ) -> None:
        """Have another server reverse its own."""
        lane.sort(key=lambda asked: asked.place)
        part = pb.ReverseUsageRequest(
            tenant=request.tenant, reversals=[asked.reversal for asked in lane]
        )
        try:
            answer = await self._forwarder.ask(
                address, _METHOD, part, pb.ReverseUsageResponse, call.hop
            )
        except (PassedOn, CallFailed) as error:
            failure = error.failure() if isinstance(error, PassedOn) else error
            for asked in lane:
                _fail(results[asked.place], failure)
            return
        for asked, result in zip(lane, answer.results, strict=True):
            results[asked.place].CopyFrom(result)
        positions.update(decode_position(answer.position))

    # -- our own shards --------------------------------------------------------------------------

    async def _ours(
        self,
        shard: int,
        lane: list[Asked],
        results: list[pb.ReversalResult],
        positions: dict[int, int],
        call: Call,
    ) -> NotApplied | None:
        """Reverse what belongs to one shard of ours."""
        writer = self._edge.ledger.writers[shard]
        try:
            decided = await self._commands(writer, lane, results, call)
            if not decided:
                return None
            ticket = await writer.submit(
                [each.command for each in decided],
                call.deadline_us,
                call.span,
                call.principal.actor,
            )
        except (NotApplied, OutcomeUnknown, JournalError) as error:
            failure = failure_of(error) or CallFailed("OUTCOME_UNKNOWN", str(error))
            for asked in lane:
                if not results[asked.place].reason:
                    _fail(results[asked.place], failure)
            return error if isinstance(error, NotApplied) else None
        call.recorded = True
        positions[shard] = max(ticket.position, positions.get(shard, 0))
        try:
            await self._render(writer, ticket, decided, results)
        except (NotApplied, JournalError) as error:
            unknown = CallFailed(
                "OUTCOME_UNKNOWN",
                f"it is recorded, but the reply could not be made ({error}): send the same again",
            )
            for each in decided:
                _fail(results[each.asked.place], unknown)
        return None

    async def _commands(
        self, writer: Writer, lane: Sequence[Asked], results: list[pb.ReversalResult], call: Call
    ) -> list[Decided]:
        """What the core is asked, with the entries to be corrected as the journal has them."""
        sought = [Sought(asked.entry, asked.reversal) for asked in lane]
        found = await self._finder.all(writer, sought)
        usage = [each for each in found if not isinstance(each, CallFailed)]
        ratings = iter(await writer.recorded.ratings_of(usage))
        decided: list[Decided] = []
        for asked, recorded in zip(lane, found, strict=True):
            if isinstance(recorded, CallFailed):
                _fail(results[asked.place], recorded)
                continue
            fault = await _not_covered(call, asked, recorded)
            if fault is not None:
                _fail(results[asked.place], fault)
                next(ratings)
                continue
            rated = tuple([each.original for each in next(ratings)])
            command = self._command(asked, recorded, rated, call)
            if isinstance(command, CallFailed):
                _fail(results[asked.place], command)
            else:
                decided.append(Decided(asked, command))
        return decided

    def _command(
        self, asked: Asked, recorded: Replay, rated: tuple[Original, ...], call: Call
    ) -> ReverseUsage | CallFailed:
        reversal, family = asked.reversal, self._edge.ledger.family(asked.entry)
        names = recorded.plan.quantity_names if recorded.plan is not None else ()
        given = dict(reversal.quantities)
        strange = sorted(set(given) - set(names))
        if strange:
            return CallFailed(
                "QUANTITY_UNKNOWN",
                "the event has no such quantity",
                field="quantities",
                value=strange[0],
            )
        quantities = tuple([given.get(name, 0) for name in names]) if given else ()
        texts = texts_of(reversal.reason, reversal.actor)
        return ReverseUsage(
            family.request(reversal.request_id),
            recorded.event.account or asked.entry.number,
            recorded.original,
            quantities,
            reversal.as_charged,
            ENDED[reversal.ended_grants],
            family.pairs(texts),
            Names("", reversal.request_id, personal=texts),
            call.trace,
            rated,
            reversal.refund_cost,
        )

    async def _render(
        self,
        writer: Writer,
        ticket: Ticket,
        decided: Sequence[Decided],
        results: list[pb.ReversalResult],
    ) -> None:
        answers: dict[int, tuple[UsageReversed, PlanDeclared, int, bool]] = {}
        parts: dict[int, list[Replay]] = {}
        for place, (each, outcome) in enumerate(zip(decided, ticket.outcomes, strict=True)):
            result = results[each.asked.place]
            if isinstance(outcome, Refusal):
                _fail(result, refused(outcome, _given(each.asked.reversal)))
                continue
            if isinstance(outcome, Replay) and isinstance(outcome.event, GaugeReversed):
                _taken_back(result, outcome.event, each.command, ticket.shard, outcome.entry_seq)
                result.replayed = True
                continue
            if isinstance(outcome, GaugeReversed):
                entry_seq = ticket.entry_seq(place)
                _taken_back(result, outcome, each.command, ticket.shard, entry_seq)
                continue
            if isinstance(outcome, Replay):
                event, plan, entry_seq = outcome.event, outcome.plan, outcome.entry_seq
                locator = outcome.locator
            else:
                event, plan = outcome, ticket.plan_of(outcome)
                entry_seq = ticket.entry_seq(place)
                locator = locator_of(ticket.batch_seq, entry_seq - ticket.first_event)
            assert isinstance(event, UsageReversed) and plan is not None
            answers[place] = (event, plan, entry_seq, isinstance(outcome, Replay))
            parts[place] = await writer.recorded.parts_of(locator, event)
            cost_plan = (
                outcome.cost_plan if isinstance(outcome, Replay) else ticket.cost_plan_of(event)
            )
            if event.cost is not None and cost_plan is not None:
                asset = self._edge.assets.of(cost_plan.asset)
                result.cost = event.cost.total
                result.cost_asset, result.cost_scale = asset.code, asset.scale
        events = [answer[0] for answer in answers.values()]
        accounts = sorted({event.account for event in events})
        if not events:
            return
        pieces = [
            piece
            for place, answer in answers.items()
            for piece in pieces_of(answer[0], parts[place])
        ]
        seen: Seen
        seen, _ = await writer.read(lambda state: see(state, pieces), accounts=accounts)
        names = await self._edge.names({*accounts, *owners_of(seen)})
        for place, (event, plan, entry_seq, replayed) in answers.items():
            result = results[decided[place].asked.place]
            render_reversal(
                self._edge, result, event, plan, seen, ticket.shard, names, parts[place]
            )
            result.outcome = pb.CORRECTION_OUTCOME_APPLIED
            result.replayed = replayed
            result.entry_seq = entry_seq
            result.position = encode_position({ticket.shard: entry_seq + 1})


async def _not_covered(call: Call, asked: Asked, recorded: Replay) -> CallFailed | None:
    """Why the caller may not reverse what was found, if they may not."""
    account = recorded.event.account or asked.entry.number
    try:
        await call.found(asked.entry.tenant, asked.entry.shard, account, "account")
    except AuthRefused as refused:
        return failure_of(refused)
    return None


def _taken_back(
    result: pb.ReversalResult,
    event: GaugeReversed,
    command: ReverseUsage,
    shard: int,
    entry_seq: int,
) -> None:
    """A report of a gauge that counts no more: nothing was charged for it."""
    plan = command.original.plan
    assert plan is not None
    result.outcome = pb.CORRECTION_OUTCOME_APPLIED
    result.gauge.CopyFrom(level_of(event, plan))
    result.shard, result.entry_seq = shard, entry_seq
    result.original_entry_seq = event.original_entry
    result.position = encode_position({shard: entry_seq + 1})


def _fault(reversal: pb.Reversal) -> Fault | None:
    """What is wrong with the form of one reversal, or None."""
    faults = [
        id_fault("request_id", reversal.request_id),
        id_fault("account", reversal.account),
        *named_faults(reversal),
        below_zero("as_charged", reversal.as_charged),
    ]
    if reversal.as_charged and reversal.quantities:
        message = "give back either quantities or a part of the charge"
        faults.append(Fault("NUMBER_OUT_OF_RANGE", "as_charged", str(reversal.as_charged), message))
    if reversal.as_charged and reversal.refund_cost:
        message = (
            "the quantities stay where a part of the charge is given back, and so does the cost"
        )
        faults.append(Fault("FIELD_NOT_ALLOWED", "refund_cost", "true", message))
    return next((fault for fault in faults if fault is not None), None)


def _given(reversal: pb.Reversal) -> dict[str, str]:
    return {"account": reversal.account}


def _fail(result: pb.ReversalResult, failure: CallFailed) -> None:
    """One reversal that was not applied, or nobody knows."""
    result.outcome = (
        pb.CORRECTION_OUTCOME_UNKNOWN
        if failure.reason == "OUTCOME_UNKNOWN"
        else _OUTCOMES[TABLE[failure.reason].retryable]
    )
    result.reason, result.field, result.message = failure.reason, failure.field, failure.message
