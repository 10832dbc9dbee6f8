"""The recorded entry of the usage that is to be corrected: by its entry, or by source and id.

The writer knows ids for the dedupe window (rule I4). Older ones are found in the read models, which
say the number of the entry; what it says is always read in the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.positions import position_of
from ledger.core.events import GaugeReported
from ledger.core.limits import DEDUPE_WINDOW_US
from ledger.core.metering.gauging import charge_key
from ledger.engine.ticket import Replay
from ledger.engine.writer import Writer
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.v1 import correction_pb2 as pb

Named = pb.Reversal | pb.AmendUsageRequest
"""A message that names the usage to be corrected."""


class Sought(NamedTuple):
    """Whose usage is looked for, and what the caller wrote."""

    entry: Entry
    message: Named


class UsageFinder:
    """Finds entries of usage. Methods raise NotApplied and JournalError, as the writer does."""

    def __init__(self, edge: Edge, history: History | None) -> None:
        """`history` None: there are no read models, and ids are known for the window only."""
        self._edge = edge
        self._history = history

    async def one(self, writer: Writer, entry: Entry, message: Named) -> Replay:
        """The entry that a message names. Raises CallFailed where it is not there."""
        [found] = await self.all(writer, [Sought(entry, message)])
        if isinstance(found, CallFailed):
            raise found
        return found

    async def all(self, writer: Writer, sought: Sequence[Sought]) -> list[Replay | CallFailed]:
        """The entry of each, or why there is none; all of the writer's shard."""
        named = [place for place, each in enumerate(sought) if each.message.HasField("event")]
        keyed = await _known(writer, [self._key_of(sought[place]) for place in named])
        known = dict(zip(named, keyed, strict=True))
        missing = [place for place in named if known[place] is None]
        entries = await self._older(writer, [sought[place] for place in missing])
        older = dict(zip(missing, entries, strict=True))
        found: list[Replay | CallFailed] = []
        for place, each in enumerate(sought):
            replay = known.get(place)
            if replay is None:
                replay = await self._by_entry(writer, each, older.get(place))
            if replay is not None:
                found.append(replay)
            elif place in known:
                found.append(await self._unknown(writer, each))
            else:
                found.append(_unknown_entry(each.message))
        return found

    def _key_of(self, sought: Sought) -> bytes:
        """The identity of usage; a capture's is that of its request."""
        event, family = sought.message.event, self._edge.ledger.family(sought.entry)
        return family.usage(event.source, event.id) if event.source else family.request(event.id)

    async def _older(self, writer: Writer, sought: Sequence[Sought]) -> list[int | None]:
        """The numbers of entries that the writer knows by id no more, as the read models say."""
        found: list[int | None] = [None] * len(sought)
        if self._history is None:
            return found
        families: dict[int, list[int]] = {}
        for place, each in enumerate(sought):
            families.setdefault(each.entry.root, []).append(place)
        for root, places in families.items():
            events = [sought[place].message.event for place in places]
            numbers = await self._history.usage_of_family(
                sought[places[0]].entry.tenant,
                writer.shard,
                root,
                [(event.source, event.id) for event in events],
            )
            for place, number in zip(places, numbers, strict=True):
                found[place] = number
        return found

    async def _by_entry(
        self, writer: Writer, sought: Sought, entry_seq: int | None
    ) -> Replay | None:
        root, message = sought.entry.root, sought.message
        if not message.HasField("event"):
            return await writer.recorded.entry(
                root, message.entry.batch_seq, message.entry.entry_seq
            )
        return None if entry_seq is None else await writer.recorded.entry(root, 0, entry_seq)

    async def _unknown(self, writer: Writer, sought: Sought) -> CallFailed:
        """There is no such usage, as far as the read models are."""
        tenant, message = sought.entry.tenant, sought.message
        text = "no usage event of the account's family has this source and id"
        if self._history is None:
            text += "; one that was recorded more than 35 days ago is named by its entry"
        else:
            _, reached = await writer.read(_nothing)
            standing = await self._history.standing(tenant, writer.shard)
            window = self._edge.now_us(tenant) - DEDUPE_WINDOW_US
            if standing.entries < reached and standing.recorded_at < window:
                at = position_of(writer.shard, standing.entries)
                text += (
                    f" as far as the read models know, which are behind, at position {at}: ask "
                    "again once they have caught up, or name it by its entry"
                )
        return CallFailed("USAGE_UNKNOWN", text, field="event.id", value=message.event.id)


async def _known(writer: Writer, keys: list[bytes]) -> list[Replay | None]:
    """What the writer knows by these identities. That of a report of a gauge stands for the charge
    of its scope, once that was charged for it, and as long as that is known."""
    found = await writer.recorded.under_all(keys)
    reports = [
        place
        for place, each in enumerate(found)
        if each is None or isinstance(each.event, GaugeReported)
    ]
    if reports:
        charges = await writer.recorded.under_all([charge_key(keys[place]) for place in reports])
        for place, charge in zip(reports, charges, strict=True):
            found[place] = charge or found[place]
    return found


def _unknown_entry(message: Named) -> CallFailed:
    return CallFailed(
        "ENTRY_UNKNOWN",
        "the account's shard has no such entry",
        field="entry.entry_seq",
        value=str(message.entry.entry_seq),
    )


def _nothing(_: object) -> None:
    """Only the position is asked for."""
