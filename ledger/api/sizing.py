"""How much is held for: what a call asks for, or less, as the tenant's usage has shown.

The size is found here, before a command goes to its writer; the entry records it with where it came
from, so that a retry is told the same when more was learned since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.api.edge import Edge
from ledger.core.commands import Sizing
from ledger.core.events import Sized, SizedBy
from ledger.core.shapes import Shape
from ledger.journal.directory import Entry
from ledger.sizing.rules import NO_SIZING, SizingRule, SizingVersion
from ledger.v1 import decision_pb2 as pb


class Ruled(NamedTuple):
    """By which rule of which version work is sized; `demanded`: because the call says so."""

    rule: SizingRule
    version: SizingVersion
    demanded: bool


async def sized(
    edge: Edge,
    entry: Entry,
    shape: Shape,
    asked: tuple[int, ...],
    mode: pb.Sizing.ValueType,
    ranged: tuple[str, int],
) -> tuple[tuple[int, ...], Sizing | None]:
    """The quantities to decide for, and where they come from; None = they are the caller's, and
    nobody chose to learn them.

    Never more than was asked for. What is asked for as far as it is affordable is learned only
    where the call says so, for its answer says how much may run; then never below the least of use.
    """
    if mode == pb.SIZING_AS_ASKED:
        return asked, None
    version = edge.ledger.configurations.sizing.get(entry.tenant, NO_SIZING)
    ruled = ruled_by(version, shape, entry.account_id, mode)
    if not isinstance(ruled, Ruled):
        return asked, Sizing(asked, (), 0, True) if ruled else None
    sizes = await edge.learned.sizes(
        entry.tenant, ruled.rule, dict(shape.attributes), entry.number, edge.now_us(entry.tenant)
    )
    return apply(edge, ruled, shape, asked, ranged, sizes)


def ruled_by(
    version: SizingVersion, shape: Shape, account_id: str, mode: pb.Sizing.ValueType
) -> Ruled | bool:
    """What sizes an account's work; else whether the call demands to learn what no rule is for."""
    if mode == pb.SIZING_AS_ASKED:
        return False
    rule = version.rule(shape.product, account_id)
    demanded = mode == pb.SIZING_LEARNED
    if rule is None or (rule.on_request and not demanded):
        return demanded
    return Ruled(rule, version, demanded)


def apply(
    edge: Edge,
    ruled: Ruled,
    shape: Shape,
    asked: tuple[int, ...],
    ranged: tuple[str, int],
    sizes: Sequence[Sized],
) -> tuple[tuple[int, ...], Sizing | None]:
    """The same by what was learned of each quantity of the rule."""
    rule, version, demanded = ruled
    named, least = ranged
    quantities = list(asked)
    found = []
    for each in sizes:
        if each.quantity not in shape.quantity_names or (each.quantity == named and not demanded):
            continue
        place = shape.quantity_names.index(each.quantity)
        found.append(each)
        edge.telemetry.sized(each.by.name)
        if each.by != SizedBy.NONE:
            size = rule.size(asked[place], each.value)
            if each.quantity == named:
                size = max(size, min(least, asked[place]))
            quantities[place] = size
    if not any(quantities):  # nothing at all is no work: what was learned is zero
        quantities = list(asked)
    if not found and not demanded:
        return asked, None
    return tuple(quantities), Sizing(asked, tuple(found), version.version, demanded)
