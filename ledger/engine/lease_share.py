"""Who should have which shard: pure functions of what the lease store shows.

Every process computes the same shares from the same view and acts for itself alone. Two that see
different moments may want the same shard; the store gives it to one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from ledger.journal.leases import LeaseView


class Plan(NamedTuple):
    """What one process does next: shards to take, one to hand over (-1 = none), its fair share."""

    take: tuple[int, ...]
    give: int
    share: int


def shares(shards: int, held: Mapping[str, int]) -> dict[str, int]:
    """How many shards each process should have, moving as few as possible."""
    if not held:
        return {}
    base, extra = divmod(shards, len(held))
    order = sorted(held, key=lambda process: (-held[process], process))
    return {process: base + (place < extra) for place, process in enumerate(order)}


def free_shards(shards: int, view: LeaseView, me: str, mine: Collection[int]) -> list[int]:
    """Shards that nobody has: no lease, one that ran out, one of ours that we do not know of."""
    taken = {
        lease.shard
        for lease in view.leases
        if lease.left_us > 0 and (lease.owner != me or lease.shard in mine)
    }
    return [shard for shard in range(shards) if shard not in taken and shard not in mine]


def plan(
    shards: int,
    view: LeaseView,
    me: str,
    mine: Collection[int],
    *,
    leaving: bool = False,
    overdue: Collection[int] = (),
) -> Plan:
    """What to do next. `mine` are the shards that we hold.

    `overdue`: free shards that those entitled to them have not taken in time; anyone takes them.
    While we are `leaving` we take nothing, and give as long as somebody else is there.
    """
    staying = {each.process for each in view.members if each.left_us > 0 and not each.leaving}
    staying.discard(me)
    if leaving:
        return Plan((), max(mine, default=-1) if staying else -1, 0)
    held = dict.fromkeys([*staying, me], 0)
    for lease in view.leases:
        if lease.left_us > 0 and lease.owner in staying:
            held[lease.owner] += 1
    held[me] = len(mine)
    share = shares(shards, held)
    free = free_shards(shards, view, me, mine)
    room = share[me] - len(mine)
    if room < 0:
        needed = any(held[other] < share[other] for other in staying)
        return Plan((), max(mine) if needed and not free else -1, share[me])
    rank = sorted(held).index(me)
    start = rank * len(free) // len(held)
    wanted = (free[start:] + free[:start])[:room]
    return Plan(tuple(sorted({*wanted, *(s for s in overdue if s in free)})), -1, share[me])
