"""What became of a batch of usage, as messages: columns first, then the form of the request.

An outcome renders from the recorded event and nothing else (rule I2), so a retry says the same as
the first answer did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ledger.api.assets import Assets
from ledger.api.errors import TABLE, CallFailed, Fault, described, shown
from ledger.api.gauge_levels import level_of
from ledger.api.intake.batches import Lane
from ledger.api.positions import decode_position, encode_position, position_of
from ledger.core.events import (
    Event,
    GaugeReported,
    PlanDeclared,
    Suspense,
    UsageQuarantined,
    UsageQuoted,
    UsageRecorded,
)
from ledger.core.outcomes import Refusal
from ledger.engine.ticket import Replay, Ticket
from ledger.v1 import types_pb2
from ledger.v1 import usage_pb2 as pb

_APPLIED: Final = pb.INGEST_OUTCOME_APPLIED
_SUSPENSE: Final = pb.INGEST_OUTCOME_SUSPENSE
_QUARANTINED: Final = pb.INGEST_OUTCOME_QUARANTINED

OUTCOMES: Final[Mapping[int, str]] = {
    number: name.removeprefix("INGEST_OUTCOME_") for name, number in pb.IngestOutcome.items()
}


class Outcomes:
    """The outcomes of a batch in columns, filled lane by lane."""

    __slots__ = (
        "_assets",
        "_codes",
        "_foreign",
        "_known",
        "_table",
        "asset_index",
        "charges",
        "details",
        "gauges",
        "outcomes",
        "over_limit",
        "positions",
        "replayed",
    )

    def __init__(self, count: int, assets: Assets) -> None:
        self._known = assets
        self._table: list[types_pb2.AssetScale] = []  # of the reply
        self._assets: dict[int, int] = {}  # asset number -> place in the table
        self._codes: dict[str, int] = {}  # asset code -> place in the table
        self._foreign: set[int] = set()  # places that another process answered, and counted
        self.outcomes: list[pb.IngestOutcome.ValueType] = [_APPLIED] * count
        self.charges = [0] * count
        self.asset_index = [0] * count
        self.replayed: dict[int, str] = {}  # place -> position
        self.over_limit: set[int] = set()
        self.details: dict[int, Fault] = {}  # reason, field, value and message of the others
        self.gauges: dict[int, pb.GaugeLevel] = {}  # of places that report one
        self.positions: dict[int, int] = {}  # shard -> entries

    # -- filling ---------------------------------------------------------------------------------

    def fail(self, place: int, fault: Fault) -> None:
        """One event that was not recorded."""
        self.outcomes[place] = TABLE[fault.reason].outcome
        self.details[place] = fault

    def fail_lane(self, lane: Lane, failure: CallFailed) -> None:
        """All events of a lane that its writer did not answer."""
        fault = Fault(failure.reason, "", "", failure.message)
        for place in lane.places:
            self.fail(place, fault)

    def park(self, place: int, name: str) -> None:
        """One event that waits until its account or alias appears."""
        self.outcomes[place] = _QUARANTINED
        message = "nobody knows this account or alias yet; the event is recorded when it appears"
        self.details[place] = Fault("ACCOUNT_UNKNOWN", "account", name, message)

    def take(self, lane: Lane, ticket: Ticket) -> None:
        """The outcomes of a lane."""
        shard = ticket.shard
        self.positions[shard] = max(ticket.position, self.positions.get(shard, 0))
        events = ticket.events
        charges, asset_index = self.charges, self.asset_index
        places_of_plan: dict[int, int] = {}
        for place, outcome in zip(lane.places, ticket.outcomes, strict=True):
            if isinstance(outcome, UsageRecorded):
                slices = outcome.slices
                if slices:
                    charges[place] = (
                        slices[0].amount
                        if len(slices) == 1
                        else sum([piece.amount for piece in slices])
                    )
                    index = places_of_plan.get(outcome.plan)
                    if index is None:
                        index = self._asset_place(events[outcome.plan])
                        places_of_plan[outcome.plan] = index
                    asset_index[place] = index
                    if outcome.over_limit:
                        self.over_limit.add(place)
                if outcome.suspense:
                    self._in_suspense(place, outcome.suspense)
                elif type(outcome) is UsageQuoted:
                    self._by_quote(place, outcome)
            elif type(outcome) is Refusal:
                self.fail(place, _fault_of(outcome))
            elif type(outcome) is Replay:
                self.replayed[place] = position_of(shard, outcome.entry_seq + 1)
                self.recorded(place, outcome.event, outcome.plan)
            else:
                self.recorded(place, outcome, ticket.plan_of(outcome))  # type: ignore[arg-type]

    def merge(self, places: Sequence[int], part: pb.IngestResponse) -> None:
        """What another process answered to the events of these places, in their order."""
        for shard, entries in decode_position(part.position).items():
            self.positions[shard] = max(entries, self.positions.get(shard, 0))
        self._foreign.update(places)
        assets = [self._code_place(asset.asset, asset.scale) for asset in part.assets]
        if part.HasField("compact"):
            self._merge_columns(places, part.compact, assets)
            return
        for place, result in zip(places, part.results, strict=True):
            self.outcomes[place] = result.outcome
            self._merge_charge(place, result.charge, result.asset_index, assets)
            if result.reason:
                self._merge_detail(place, result)
            if result.replayed:
                self.replayed[place] = result.position
            if result.over_limit:
                self.over_limit.add(place)
            if result.HasField("gauge"):
                self.gauges[place] = result.gauge

    def _merge_columns(
        self, places: Sequence[int], columns: pb.CompactResults, assets: Sequence[int]
    ) -> None:
        indexes = columns.asset_index or [0] * len(places)
        for place, outcome, charge, index in zip(
            places, columns.outcomes, columns.charges, indexes, strict=True
        ):
            self.outcomes[place] = outcome
            self._merge_charge(place, charge, index, assets)
        self.replayed.update({places[index]: "" for index in columns.replayed})
        self.over_limit.update([places[index] for index in columns.over_limit])
        for detail in columns.details:
            self._merge_detail(places[detail.event], detail.result)

    def _merge_charge(self, place: int, charge: int, index: int, assets: Sequence[int]) -> None:
        if charge:
            self.charges[place] = charge
            self.asset_index[place] = assets[index]

    def _merge_detail(self, place: int, result: pb.IngestResult) -> None:
        self.details[place] = Fault(result.reason, result.field, "", result.message)

    def recorded(self, place: int, event: Event, plan: PlanDeclared | None) -> None:
        """One event as it was recorded, now or earlier."""
        if isinstance(event, UsageQuarantined):
            self.outcomes[place] = _QUARANTINED
            message = "older than the dedupe window: recorded and listed, not charged"
            value = str(event.effective_at)
            self.details[place] = Fault(event.reason, "effective_at_us", value, message)
            return
        if isinstance(event, GaugeReported):
            assert plan is not None
            self.gauges[place] = level_of(event, plan)
            return
        assert isinstance(event, UsageRecorded), event
        self.charges[place] = sum([piece.amount for piece in event.slices])
        if event.slices and plan is not None:
            self.asset_index[place] = self._asset_place(plan)
        if event.over_limit:
            self.over_limit.add(place)
        if event.suspense:
            self._in_suspense(place, event.suspense)
        elif isinstance(event, UsageQuoted):
            self._by_quote(place, event)

    def _by_quote(self, place: int, event: UsageQuoted) -> None:
        if event.unused:
            message = "the quote did not price it, so that it is charged as any usage"
            self.details[place] = Fault(event.unused.name, "quote_id", "", message)

    def _in_suspense(self, place: int, suspense: int) -> None:
        self.outcomes[place] = _SUSPENSE
        message = "a quantity has no price yet; it is rated when the price arrives"
        self.details[place] = Fault(Suspense(suspense).name, "quantities", "", message)

    def _asset_place(self, plan: object) -> int:
        assert isinstance(plan, PlanDeclared)
        place = self._assets.get(plan.asset)
        if place is None:
            asset = self._known.of(plan.asset)
            place = self._assets[plan.asset] = self._code_place(asset.code, asset.scale)
        return place

    def _code_place(self, code: str, scale: int) -> int:
        place = self._codes.get(code)
        if place is None:
            place = self._codes[code] = len(self._table)
            self._table.append(types_pb2.AssetScale(asset=code, scale=scale))
        return place

    # -- rendering -------------------------------------------------------------------------------

    def response(self, compact: bool) -> pb.IngestResponse:
        """The reply in the form of the request."""
        response = pb.IngestResponse(assets=self._table, position=encode_position(self.positions))
        if compact:
            self._render_compact(response.compact)
        else:
            self._render_plain(response)
        return response

    def result(self, place: int) -> pb.IngestResult:
        """One event's outcome by itself."""
        result = pb.IngestResult(
            outcome=self.outcomes[place],
            charge=self.charges[place],
            asset_index=self.asset_index[place],
        )
        self._render_detail(place, result)
        return result

    def assets(self) -> Sequence[types_pb2.AssetScale]:
        """The reply's table of assets."""
        return self._table

    def counts(self) -> dict[str, int]:
        """How many events had which outcome here; for metrics."""
        outcomes = self.outcomes
        if self._foreign:
            outcomes = [each for at, each in enumerate(outcomes) if at not in self._foreign]
        return {OUTCOMES[outcome]: outcomes.count(outcome) for outcome in set(outcomes)}

    def _render_plain(self, response: pb.IngestResponse) -> None:
        add = response.results.add
        if self.replayed or self.over_limit or self.details or self.gauges:
            for place in range(len(self.outcomes)):
                self._render_detail(
                    place,
                    add(
                        outcome=self.outcomes[place],
                        charge=self.charges[place],
                        asset_index=self.asset_index[place],
                    ),
                )
        elif len(self._table) <= 1:
            for charge in self.charges:
                add(outcome=_APPLIED, charge=charge)
        else:
            for charge, index in zip(self.charges, self.asset_index, strict=True):
                add(outcome=_APPLIED, charge=charge, asset_index=index)

    def _render_detail(self, place: int, result: pb.IngestResult) -> None:
        fault = self.details.get(place)
        if fault is not None:
            result.reason = fault.reason
            result.field = shown(fault.field)
            result.message = described(fault)
        position = self.replayed.get(place)
        if position is not None:
            result.replayed = True
            result.position = position
        if place in self.over_limit:
            result.over_limit = True
        gauge = self.gauges.get(place)
        if gauge is not None:
            result.gauge.CopyFrom(gauge)

    def _render_compact(self, results: pb.CompactResults) -> None:
        results.outcomes.extend(self.outcomes)
        results.charges.extend(self.charges)
        if len(self._table) > 1:
            results.asset_index.extend(self.asset_index)
        results.replayed.extend(sorted(self.replayed))
        results.over_limit.extend(sorted(self.over_limit))
        for place in sorted(self.details):
            fault = self.details[place]
            results.details.add(
                event=place,
                result=pb.IngestResult(
                    outcome=self.outcomes[place],
                    reason=fault.reason,
                    field=shown(fault.field),
                    message=described(fault),
                ),
            )


def _fault_of(refusal: Refusal) -> Fault:
    # The core's number of an account means nothing to a caller, who knows which one was sent.
    value = "" if refusal.field == "account" else shown(refusal.value)
    return Fault(refusal.reason.value, refusal.field, value, refusal.message)
