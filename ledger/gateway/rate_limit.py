"""Envoy's rate limiting: envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit.

A descriptor with a `hold_id` settles that hold with the hits it adds; one without asks whether its
account could pay for them. All descriptors of a request that are applied when its stream is done
come in one call: one status each, in order, and one settlement a hold. No answer of ours holds up a
stream that is done; what became of a hold stands in the reply's metadata.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.errors import CallFailed
from ledger.core.limits import INT64_MAX
from ledger.gateway.authorizing import ALLOWED
from ledger.gateway.envoy import descriptor_pb2
from ledger.gateway.envoy import rate_limit_pb2 as pb
from ledger.gateway.inside import Inside
from ledger.gateway.replies import refused
from ledger.gateway.routes import UNIT_MAX, Routes, whole_number
from ledger.gateway.settling import Became, Settled, Settlements
from ledger.v1 import decision_pb2

HITS_MAX: Final = 1_000_000_000  # Envoy's own limit of an addend
DESCRIPTORS_MAX: Final = 64
UNKNOWN: Final = pb.RateLimitResponse.UNKNOWN
OK: Final = pb.RateLimitResponse.OK
OVER_LIMIT: Final = pb.RateLimitResponse.OVER_LIMIT
"""UNKNOWN: it could not be read, or the hold not settled; Envoy lets it pass."""

ENTRIES: Final = frozenset({"tenant", "account", "hold_id", "product", "quantity", "unit"})
_ATTRIBUTE: Final = "attribute."
_SETTLED: Final = frozenset({Became.CAPTURED, Became.LATE, Became.RELEASED, Became.KEPT})


class Counted(NamedTuple):
    """One descriptor, understood."""

    tenant: str
    account: str
    hold_id: str
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity: str
    amount: int


class Unreadable(NamedTuple):
    """One that cannot be counted, with what is known of the hold that it was to settle."""

    reason: str
    hold: tuple[str, str, str]


class RateLimitService:
    """See Envoy's rls.proto."""

    def __init__(self, inside: Inside, routes: Routes, settlements: Settlements) -> None:
        self._inside = inside
        self._routes = routes
        self._settlements = settlements

    async def should_rate_limit(
        self, request: pb.RateLimitRequest, call: Call
    ) -> pb.RateLimitResponse:
        """Settle what names a hold, advise on the rest."""
        descriptors = request.descriptors
        if len(descriptors) > DESCRIPTORS_MAX:
            raise CallFailed(
                "TOO_MANY",
                f"{len(descriptors)} descriptors; at most {DESCRIPTORS_MAX} allowed",
                field="descriptors",
                value=str(len(descriptors)),
            )
        tenant = self._routes.defaults.tenant
        read = [counted(each, request.hits_addend, tenant) for each in descriptors]
        holds = dict[tuple[str, str, str], list[int]]()
        for place, each in enumerate(read):
            hold = each.hold if isinstance(each, Unreadable) else each[:3]
            if hold[2]:
                holds.setdefault(hold, []).append(place)
        became = dict(
            zip(
                holds,
                await asyncio.gather(
                    *[
                        self._settle(hold, [read[place] for place in places], call)
                        for hold, places in holds.items()
                    ]
                ),
                strict=True,
            )
        )
        codes = [UNKNOWN] * len(read)
        for place, each in enumerate(read):
            if not isinstance(each, Unreadable) and not each.hold_id:
                codes[place] = await self._advise(each, call.part())
        for hold, places in holds.items():
            for place in places:
                codes[place] = OK if became[hold].became in _SETTLED else UNKNOWN
        over = OVER_LIMIT in codes
        response = pb.RateLimitResponse(overall_code=OVER_LIMIT if over else OK)
        response.statuses.extend(pb.RateLimitResponse.DescriptorStatus(code=code) for code in codes)
        if became:
            response.dynamic_metadata.update(
                {hold[2]: _shown(settled) for hold, settled in became.items()}
            )
        return response

    async def _settle(
        self, hold: tuple[str, str, str], parts: list[Counted | Unreadable], call: Call
    ) -> Settled:
        """A hold settles once: with all that belongs to it, or not at all."""
        used = dict[str, int]()
        for part in parts:
            if isinstance(part, Unreadable):
                return Settled(Became.REFUSED, part.reason)
            used[part.quantity] = used.get(part.quantity, 0) + part.amount
        if max(used.values()) > INT64_MAX:
            return Settled(Became.REFUSED, "OVERFLOW")
        tenant, account, hold_id = hold
        return await self._settlements.settle(tenant, account, hold_id, used, call)

    async def _advise(self, each: Counted, call: Call) -> pb.RateLimitResponse.Code.ValueType:
        """Whether the account could pay; nothing is held."""
        if each.amount == 0:
            return OK
        request = decision_pb2.CheckRequest(
            tenant=each.tenant,
            account=each.account,
            product=each.product,
            attributes=dict(each.attributes),
            quantities={each.quantity: each.amount},
        )
        try:
            found = await self._inside.check(request, call)
        except CallFailed as failed:
            refused(failed)  # raises what may be asked again
            return OVER_LIMIT
        return OK if found.decision in ALLOWED else OVER_LIMIT


def counted(
    descriptor: descriptor_pb2.RateLimitDescriptor, hits_of_all: int, tenant: str
) -> Counted | Unreadable:
    """What a descriptor counts, or why it cannot be told."""
    said = {entry.key: entry.value for entry in descriptor.entries}
    hold = (said.get("tenant") or tenant, said.get("account", ""), said.get("hold_id", ""))
    for name in said:
        if name not in ENTRIES and not name.startswith(_ATTRIBUTE):
            return Unreadable("FIELD_NOT_ALLOWED", hold)
    hits = hits_of_all or 1
    if descriptor.HasField("hits_addend"):
        hits = descriptor.hits_addend.value
    if hits > HITS_MAX:
        return Unreadable("NUMBER_OUT_OF_RANGE", hold)
    try:
        unit = whole_number(said.get("unit", "1"), UNIT_MAX)
    except ValueError:
        return Unreadable("NUMBER_MALFORMED", hold)
    quantity = said.get("quantity", "")
    if not unit or not quantity or not (hold[2] or (hold[1] and said.get("product"))):
        return Unreadable("FIELD_REQUIRED", hold)
    attributes = tuple(
        (name.removeprefix(_ATTRIBUTE), value)
        for name, value in said.items()
        if name.startswith(_ATTRIBUTE)
    )
    return Counted(*hold, said.get("product", ""), attributes, quantity, hits * unit)


def _shown(settled: Settled) -> dict[str, str | bool]:
    shown: dict[str, str | bool] = {"outcome": settled.became, "replayed": settled.replayed}
    if settled.reason:
        shown["reason"] = settled.reason
    if settled.charge:
        shown["charge"] = str(settled.charge)
    return shown
