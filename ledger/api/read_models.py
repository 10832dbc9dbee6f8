"""The read models that listings answer from, once they are as far as is asked."""

from __future__ import annotations

from ledger.api.errors import CallFailed
from ledger.api.past_balances import RETRY_AFTER_US, WAIT_S
from ledger.api.positions import minimum
from ledger.journal.directory import Entry
from ledger.projections.as_of import History


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
        raise CallFailed(
            "READ_MODELS_BEHIND",
            f"the read models are {least - standing.entries} entries behind what is asked for; "
            "ask again",
            field="min_position",
            value=min_position,
            retry_after_us=RETRY_AFTER_US,
        )
    return history
