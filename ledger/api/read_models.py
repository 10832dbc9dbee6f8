"""The read models that listings answer from, once they are as far as is asked.

Where they are behind, that is said to pass, and the same may be asked again; where they were seen
to stand still for STALL_S meanwhile, nobody follows: then that is said; asking again is no help.
"""

from __future__ import annotations

from typing import Final

from ledger.api.errors import CallFailed
from ledger.api.positions import minimum
from ledger.journal.directory import Entry
from ledger.projections.as_of import History, Standing

WAIT_S: Final = 2.0  # for read models that are on their way
RETRY_AFTER_US: Final = 500_000
STALL_S: Final = 30  # a projector that is there, however busy, takes a batch in less


async def reached(history: History | None, entry: Entry, min_position: str) -> History:
    """The read models, once they are as far as is asked. Raises CallFailed."""
    if history is None:
        raise CallFailed(
            "READ_MODELS_ABSENT",
            "this server keeps nothing in PostgreSQL, so that it has no read models to list from",
        )
    least = minimum(min_position, entry.shard)
    if not least:
        return history
    standing = await history.reach(entry.tenant, entry.shard, least, WAIT_S)
    if standing.entries < least:
        raise behind(history, entry.shard, standing, least, "min_position", min_position)
    return history


async def followed(history: History, entry: Entry, position: int) -> None:
    """Return where somebody keeps the read models up, whether or not they are at a position of
    now. Raises CallFailed where nothing was ever projected, or nothing is any more."""
    standing = await history.standing(entry.tenant, entry.shard)
    if not standing.entries and position:
        standing = await history.reach(entry.tenant, entry.shard, 1, WAIT_S)
    if standing.entries >= position:
        return
    if not standing.entries or history.stood_s(entry.shard, standing) >= STALL_S:
        raise behind(history, entry.shard, standing, position, "min_position", "")


def behind(
    history: History,
    shard: int,
    standing: Standing,
    least: int,
    field: str,
    value: str,
    again: str = "ask again",
) -> CallFailed:
    """What is answered where they are not so far yet."""
    entries = least - standing.entries
    stood_s = history.stood_s(shard, standing)
    if stood_s >= STALL_S:
        return CallFailed(
            "READ_MODELS_STALLED",
            f"the read models are {entries} entries behind what is asked for and have stood still "
            f"for {int(stood_s)} s: run `drawdown project`, or serve without --no-projector; where "
            "one runs, its log says what is wrong",
            field=field,
            value=value,
        )
    return CallFailed(
        "READ_MODELS_BEHIND",
        f"the read models are {entries} entries behind what is asked for; {again}",
        field=field,
        value=value,
        retry_after_us=RETRY_AFTER_US,
    )
