"""Usage of accounts that the caller does not cover: refused event by event, as it is parsed.

A principal without accounts never comes here. Each account of a batch is looked at once, in the
state of its family's writer; what another server has, that server looks at.
"""

from __future__ import annotations

from typing import Final

from ledger.api.errors import Fault
from ledger.api.intake.batches import Parsed
from ledger.api.permits import Permits
from ledger.auth.principal import Principal
from ledger.engine.ticket import NotOwner

NOWHERE: Final[frozenset[int]] = frozenset()
_MESSAGE: Final = "the caller may not act for this account, or there is none of this name"


async def refuse_uncovered(
    permits: Permits, principal: Principal, tenant: int, parsed: Parsed
) -> frozenset[int]:
    """Take what is not covered out of the batch; NOT_PERMITTED. Unknown accounts are refused alike,
    and never parked: nobody knows yet whose they will be.

    Returns the shards that were another server's meanwhile: they must not be written here.
    """
    for place, name in parsed.unknown.items():
        parsed.faults[place] = Fault("NOT_PERMITTED", "account", name, _MESSAGE)
    parsed.unknown.clear()
    elsewhere = set()
    for shard, lane in enumerate(parsed.lanes):
        if not lane.commands:
            continue
        numbers = {command.account for command in lane.commands}
        try:
            covered = await permits.covers_numbers(principal, tenant, shard, numbers)
        except NotOwner:
            elsewhere.add(shard)
            continue
        if len(covered) == len(numbers):
            continue
        kept = []
        for command, place in zip(lane.commands, lane.places, strict=True):
            if command.account in covered:
                kept.append((command, place))
            else:
                parsed.faults[place] = Fault("NOT_PERMITTED", "account", "", _MESSAGE)
        lane.commands[:] = [command for command, _ in kept]
        lane.places[:] = [place for _, place in kept]
    return frozenset(elsewhere)
