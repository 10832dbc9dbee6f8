"""Debits as most are, asked and said without waiting: the hot path of streams.

It makes of a request the command that `deciding.DEBIT` would, and of a recorded entry the same
reply, where all that it needs is in memory and nothing is out of the ordinary; anything else is
left to that. Nothing is submitted here.
"""

from __future__ import annotations

from typing import Final

from ledger.api.calls import Call
from ledger.api.deciding import Asked
from ledger.api.edge import Edge
from ledger.api.positions import position_of
from ledger.core.commands import DebitWork, Names
from ledger.core.events import Pot, UsageDebited
from ledger.core.limits import ID_BYTES_MAX
from ledger.engine.ticket import Ticket
from ledger.v1 import decision_pb2 as pb

ALLOW: Final = pb.DECISION_ALLOW
_GRANT: Final = int(Pot.GRANT)


def ask_at_once(edge: Edge, request: pb.DebitRequest, call: Call) -> Asked | None:
    """The command of a debit of work and of an account that were seen before; None: ask whoever may
    wait, and say what is wrong."""
    request_id, name = request.request_id, request.account
    if (
        not 0 < len(request_id) <= ID_BYTES_MAX
        or not request_id.isascii()
        or "\0" in request_id
        or request.operation
        or request.operation_parent
        or request.alternatives
        or request.hold_id
        or request.HasField("up_to")
    ):
        return None
    quantities, attributes = request.quantities, request.attributes
    names = tuple(quantities)
    keys = tuple(attributes)
    values = tuple([attributes[each] for each in keys]) if keys else keys
    shape = edge.shapes.find((request.product, keys, values, names))
    if shape is None:
        return None
    amounts = tuple([quantities[each] for each in shape.quantity_names])
    if min(amounts) <= 0:
        return None
    entry = edge.known(request.tenant, name)
    if entry is None or entry.seat is not None:
        return None
    edge.remember(entry)
    command = DebitWork(
        edge.ledger.family(entry).request(request_id),
        entry.number,
        shape,
        amounts,
        Names("", request_id),
        b"",
        call.trace,
    )
    return Asked(entry, command, {"account": name})


def is_usual(debited: UsageDebited) -> bool:
    """Whether it says no more than what it charged to one grant."""
    slices = debited.slices
    return len(slices) == 1 and slices[0].pot == _GRANT and debited.up_to is None


def say_at_once(
    edge: Edge, reply: pb.DebitResponse, ticket: Ticket, debited: UsageDebited, entry_seq: int
) -> None:
    """Say a usual debit, which is new."""
    plan = ticket.plan_of(debited)
    asset = edge.assets.of(plan.asset)
    reply.decision = ALLOW
    reply.charge = debited.slices[0].amount
    reply.asset = asset.code
    reply.scale = asset.scale
    reply.policy_version = debited.policy_version
    if plan.card_version:
        reply.rate_card = plan.rate_card
        reply.rate_card_version = plan.card_version
    reply.position = position_of(ticket.shard, entry_seq + 1)
