"""Groups of a batch of usage that are recorded together or not at all: from their places in the
batch to the commands of one lane.

Owns what can be refused before a shard is asked: a malformed list of groups fails the batch, an
event that is invalid in itself takes its group along, and a group is never split over shards.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from ledger.api.errors import CallFailed, Fault
from ledger.api.intake.batches import Lane, Parsed
from ledger.core.commands import LinkedUsage, RecordUsage, ReportGauge
from ledger.core.limits import LINKED_MAX
from ledger.v1 import usage_pb2 as pb


def linked_places(request: pb.IngestRequest, count: int) -> list[range]:
    """The places of each group of a batch of `count` events. Raises CallFailed BATCH_LINKED."""
    groups: list[range] = []
    free = 0  # the first place that no group has yet
    for number, group in enumerate(request.linked):
        if not 2 <= group.count <= LINKED_MAX:
            message = f"a group has 2 to {LINKED_MAX} events"
            raise _malformed(f"linked[{number}].count", group.count, message)
        if not free <= group.first <= count - group.count:
            message = "groups stand within the batch, ascending, and no event is in two"
            raise _malformed(f"linked[{number}].first", group.first, message)
        free = group.first + group.count
        groups.append(range(group.first, free))
    return groups


def _malformed(field: str, value: int, message: str) -> CallFailed:
    return CallFailed("BATCH_LINKED", message, field=field, value=str(value))


def link(groups: Sequence[range], parsed: Parsed, id_at: Callable[[int], str]) -> None:
    """Make the events of each group linked commands, or faults where one of them is one.

    `id_at` gives the id of the event at a place.
    """
    refused: set[int] = set()
    for places in groups:
        if _refuse(places, parsed, id_at):
            refused.update(places)
    if refused:
        for lane in parsed.lanes:
            _drop(lane, refused)
    for places in groups:
        if places[0] not in refused:
            _link(_lane_of(places[0], parsed), places)


def _refuse(places: range, parsed: Parsed, id_at: Callable[[int], str]) -> bool:
    """Note why nothing of a group can be recorded, if that is known already."""
    faulty = [place for place in places if place in parsed.faults]
    if faulty:
        first = faulty[0]
    else:
        lane = _lane_of(places[0], parsed)
        strangers = [place for place in places if _lane_of(place, parsed) is not lane]
        if strangers:
            first = strangers[0]
            message = "linked events belong to accounts of one family"
            parsed.faults[first] = Fault("LINKED_FAMILIES", "account", "", message)
        elif levelled := [place for place in places if _is_metered(_command_at(place, lane))]:
            first = levelled[0]
            message = (
                "what this event counts or shows rests on those before it, which is not known of "
                "linked events; send it by itself"
            )
            parsed.faults[first] = Fault("METERS_LINKED", "type", "", message)
        else:
            return False
    reason = parsed.faults[first].reason
    message = (
        f"an event that it is linked with was refused ({reason}); nothing of the group is recorded"
    )
    for place in places:
        parsed.unknown.pop(place, None)  # it would be parked
        if place != first:
            parsed.faults[place] = Fault("LINKED_FAILED", "linked", id_at(first), message)
    return True


def _lane_of(place: int, parsed: Parsed) -> Lane | None:
    for lane in parsed.lanes:
        at = bisect_left(lane.places, place)
        if at < len(lane.places) and lane.places[at] == place:
            return lane
    return None


def _command_at(place: int, lane: Lane | None) -> RecordUsage:
    assert lane is not None, place
    command = lane.commands[bisect_left(lane.places, place)]
    assert isinstance(command, RecordUsage), command
    return command


def _is_metered(command: RecordUsage) -> bool:
    """Whether its meters go by what came before."""
    return bool(command.levels) or isinstance(command, ReportGauge)


def _drop(lane: Lane, places: set[int]) -> None:
    kept = [at for at, place in enumerate(lane.places) if place not in places]
    if len(kept) < len(lane.places):
        lane.commands = [lane.commands[at] for at in kept]
        lane.places = [lane.places[at] for at in kept]


def _link(lane: Lane | None, places: range) -> None:
    """The group's commands stand one after the other: a lane keeps the order of the batch."""
    assert lane is not None, places
    start = bisect_left(lane.places, places[0])
    assert lane.places[start : start + len(places)] == list(places), places
    for at in range(start, start + len(places)):
        command = lane.commands[at]
        assert isinstance(command, RecordUsage), command
        lane.commands[at] = LinkedUsage(
            command.key,
            command.account,
            command.shape,
            command.quantities,
            command.effective_at,
            command.names,
            command.operation,
            command.personal,
            command.trace,
            command.quote,
            follow=start + len(places) - 1 - at,
        )
