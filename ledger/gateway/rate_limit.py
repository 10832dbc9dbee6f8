"""Envoy's rate limiting: envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit.

A descriptor with a `hold_id` settles that hold with the hits it adds. One with a `request_id` asks
for a hold of them, with the others of that request; one with neither asks whether its account could
pay for them. While the account's shard is away the product's fail mode decides both (`away`). All
descriptors of a request that are applied when its stream is done come in one call: one status each,
in order, and one settlement a hold. No answer of ours holds up a stream that is done; what became
of a hold stands in the reply's metadata, and so does the hold that was made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.errors import CallFailed
from ledger.gateway import replies
from ledger.gateway.authorization import FOR_CLIENTS
from ledger.gateway.away import Answers
from ledger.gateway.descriptors import Counted, Unreadable, Whose, asked, counted, together
from ledger.gateway.envoy import rate_limit_pb2 as pb
from ledger.gateway.replies import Reply, denied
from ledger.gateway.routes import Routes, direct
from ledger.gateway.settling import Became, Settled, Settlements

DESCRIPTORS_MAX: Final = 64
UNKNOWN: Final = pb.RateLimitResponse.UNKNOWN
OK: Final = pb.RateLimitResponse.OK
OVER_LIMIT: Final = pb.RateLimitResponse.OVER_LIMIT
"""UNKNOWN: it could not be read, or the hold not settled; Envoy lets it pass."""

AS_ASKED: Final = frozenset({"ALLOW", "ALLOW_OVERDRAFT"})
"""What lets a request go on: Envoy cannot tell the upstream here that other work is to run."""

_SETTLED: Final = frozenset({Became.CAPTURED, Became.LATE, Became.RELEASED, Became.KEPT})
_FREE: Final = Reply(replies.OK, {replies.DECISION: "ALLOW"})
_METADATA: Final = ("tenant", "account", "hold_id", "fail_mode", "decided_by")


class _Told(NamedTuple):
    """What was said of some of the descriptors."""

    reply: Reply
    places: list[int]
    whose: Whose

    @property
    def goes_on(self) -> bool:
        """Whether the request may."""
        return self.reply.allows and self.reply.headers[replies.DECISION] in AS_ASKED


class RateLimitService:
    """See Envoy's rls.proto."""

    def __init__(self, answers: Answers, routes: Routes, settlements: Settlements) -> None:
        self._answers = answers
        self._routes = routes
        self._settlements = settlements

    async def should_rate_limit(
        self, request: pb.RateLimitRequest, call: Call
    ) -> pb.RateLimitResponse:
        """Settle what names a hold, hold for what names a request, advise on the rest."""
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
        codes = [UNKNOWN] * len(read)
        metadata = dict[str, Any]()
        settles, asks = _grouped(read)
        became = await asyncio.gather(
            *[self._settle(whose, [read[each] for each in at], call) for whose, at in settles]
        )
        for (whose, places), settled in zip(settles, became, strict=True):
            metadata[whose.hold_id] = _shown(settled)
            for place in places:
                codes[place] = OK if settled.became in _SETTLED else UNKNOWN
        told = [
            _Told(await self._answer(whose, [read[each] for each in places], call), places, whose)
            for whose, places in asks
        ]
        for each in told:
            for place in each.places:
                codes[place] = OK if each.goes_on else OVER_LIMIT
        refused = next((each.reply for each in told if not each.goes_on), None)
        if refused is not None:
            await self._give_back(told, call)
        for each in told if refused is None else ():
            said = each.reply.metadata
            metadata |= {name: said[name] for name in _METADATA if name in said}
        response = pb.RateLimitResponse(overall_code=OK if refused is None else OVER_LIMIT)
        response.statuses.extend(pb.RateLimitResponse.DescriptorStatus(code=code) for code in codes)
        if metadata:
            response.dynamic_metadata.update(metadata)
        if refused is not None:
            _refuse(response, refused)
        else:
            _show(response, [each.reply for each in told])
        return response

    async def _settle(self, whose: Whose, parts: list[Counted | Unreadable], call: Call) -> Settled:
        """A hold settles once: with all that belongs to it, or not at all."""
        _, used, reason = together(parts)
        if reason:
            return Settled(Became.REFUSED, reason)
        return await self._settlements.settle(
            whose.tenant, whose.account, whose.hold_id, used, call
        )

    async def _answer(self, whose: Whose, parts: list[Counted | Unreadable], call: Call) -> Reply:
        """May it run? Held for where the request is named, else whether its account could pay."""
        read, amounts, reason = together(parts)
        if reason:
            return denied(replies.BAD_REQUEST, reason, f"its descriptors cannot be read ({reason})")
        if not whose.request_id and not any(amounts.values()):
            return _FREE
        work = asked(read, amounts, direct(whose.tenant, self._routes.defaults.pay_url))
        if work is None:
            message = "descriptors of one request are of one product, with the same attributes"
            return denied(replies.BAD_REQUEST, "FIELD_NOT_ALLOWED", message)
        if not whose.request_id:
            reply = await self._answers.check(call.part(), work)
            return reply if replies.FAIL_MODE in reply.headers else reply._replace(metadata={})
        return await self._answers.authorize(call.part(), work, whose.key)

    async def _give_back(self, told: Iterable[_Told], call: Call) -> None:
        """What was held for a request that does not go on."""
        for each in told:
            hold_id = each.reply.headers.get(replies.HOLD)
            if hold_id and each.reply.allows:
                await self._settlements.settle(each.whose.tenant, "", hold_id, {}, call)


def _grouped(
    read: list[Counted | Unreadable],
) -> tuple[list[tuple[Whose, list[int]]], list[tuple[Whose, list[int]]]]:
    """(what settles, what asks), each with the places of its descriptors. Advice stands alone, and
    is not given on what cannot be read."""
    settles, holds = dict[Whose, list[int]](), dict[Whose, list[int]]()
    alone = list[tuple[Whose, list[int]]]()
    for place, part in enumerate(read):
        if part.whose.hold_id:
            settles.setdefault(part.whose, []).append(place)
        elif part.whose.request_id:
            holds.setdefault(part.whose, []).append(place)
        elif isinstance(part, Counted):
            alone.append((part.whose, [place]))
    return list(settles.items()), [*holds.items(), *alone]


def _shown(settled: Settled) -> dict[str, str | bool]:
    shown: dict[str, str | bool] = {"outcome": settled.became, "replayed": settled.replayed}
    if settled.reason:
        shown["reason"] = settled.reason
    if settled.charge:
        shown["charge"] = str(settled.charge)
    return shown


def _refuse(response: pb.RateLimitResponse, reply: Reply) -> None:
    """Envoy answers the client with its own status, and with this."""
    _add(response, reply.headers)
    if reply.body:
        _add(response, {"content-type": "application/json; charset=utf-8"})
        response.raw_body = reply.body.encode()


def _show(response: pb.RateLimitResponse, told: list[Reply]) -> None:
    """What the client sees of what was held for, or let in."""
    ours = [
        each for each in told if replies.HOLD in each.headers or replies.FAIL_MODE in each.headers
    ]
    if ours:
        headers = ours[0].headers
        _add(response, {name: headers[name] for name in FOR_CLIENTS if name in headers})


def _add(response: pb.RateLimitResponse, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        response.response_headers_to_add.add(key=name, value=replies.header_value(value))
