"""Usage as CloudEvents over HTTP, as OpenMeter's clients send it: `POST /api/v1/events`.

An event's subject is the account, its id and source are its identity (rule I1), its type and data
are what the tenant's meters make quantities of: the same events, the same outcomes, as UsageService
gives them. Must not know a product.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from grpc import StatusCode

from ledger.api.calls import Call
from ledger.api.errors import TABLE, CallFailed
from ledger.auth.principal import ALL_TENANTS
from ledger.client.errors import InvalidEvent
from ledger.client.raw_events import RawEvent, flattened
from ledger.gateway.inside import Inside
from ledger.v1 import usage_pb2 as pb

BODY_BYTES_MAX: Final = 4 * 1024 * 1024  # x 4 for what Python makes of it
EVENTS_MAX: Final = 1_000
DIGITS_MAX: Final = 4_000  # of a whole number; Python itself reads 4,300
SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PLAIN: Final = "application/json"  # one or many, as it comes
CONTENT_TYPES: Final = (SINGLE, BATCH, PLAIN)
NO_CONTENT: Final = 204
MULTI_STATUS: Final = 207
TOO_LARGE: Final = 413
UNAVAILABLE: Final = 503

_RECORDED: Final = frozenset(
    {pb.INGEST_OUTCOME_APPLIED, pb.INGEST_OUTCOME_SUSPENSE, pb.INGEST_OUTCOME_QUARANTINED}
)
_STATUSES: Final = {
    pb.INGEST_OUTCOME_ACCOUNT_UNKNOWN: 404,
    pb.INGEST_OUTCOME_CONFLICT: 409,
    pb.INGEST_OUTCOME_ACCOUNT_CLOSED: 409,
    pb.INGEST_OUTCOME_ACCOUNT_FROZEN: 409,
    pb.INGEST_OUTCOME_RETRY: UNAVAILABLE,
    pb.INGEST_OUTCOME_UNKNOWN: UNAVAILABLE,
}
"""How an event that is not recorded is answered; what is not named here is 400."""

_UNLET: Final = {StatusCode.UNAUTHENTICATED: 401, StatusCode.PERMISSION_DENIED: 403}
_BY_REASON: Final = {"BATCH_TOO_LARGE": TOO_LARGE}


class Told(NamedTuple):
    """An answer: 204 without a body where everything is recorded."""

    status: int
    body: Mapping[str, Any] | None = None


class BodyInvalid(ValueError):
    """A body that is no CloudEvent, nor several; the message says why."""


class CloudEvents:
    """Answers `POST /api/v1/events`."""

    def __init__(self, inside: Inside, tenant: str) -> None:
        """`tenant`: of requests that name none."""
        self._inside = inside
        self._tenant = tenant

    async def answer(
        self, content_type: str, body: bytes, tenant: str, show: bool, call: Call
    ) -> Told:
        """Record them. `show`: say what became of each, even where all are recorded."""
        try:
            events = events_of(content_type, body)
        except BodyInvalid as error:
            return Told(400, {"error": {"code": "MALFORMED_REQUEST", "message": str(error)}})
        results: list[dict[str, Any] | None] = []
        statuses: list[int] = []
        request = pb.IngestRequest(tenant=tenant or self._tenant_of(call))
        for event in events:
            try:
                request.events.append(usage_event(event))
            except InvalidEvent as error:
                statuses.append(400)
                results.append(_fault(event, error))
            else:
                statuses.append(0)
                results.append(None)
        if request.events:
            try:
                reply = await self._inside.ingest(request, call)
            except CallFailed as failed:
                return failure(failed)
            answers = iter(zip(request.events, reply.results, strict=True))
            for place, known in enumerate(results):
                if known is None:
                    event, result = next(answers)
                    statuses[place] = _status(result)
                    results[place] = _shown(event, result, reply.assets)
        return Told(*_whole(statuses, results, show))

    def _tenant_of(self, call: Call) -> str:
        """Of a request that names none: its token's, else the server's."""
        proven = call.principal.tenant
        return self._tenant if proven == ALL_TENANTS else proven


def events_of(content_type: str, body: bytes) -> Sequence[Any]:
    """What a body holds. Raises BodyInvalid."""
    try:
        found = json.loads(body, parse_int=_integer, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise BodyInvalid(f"the body is no JSON: {error}") from None
    many = isinstance(found, list)
    if not many and not isinstance(found, dict):
        raise BodyInvalid("it is neither an event nor a list of them")
    if content_type == SINGLE and many:
        raise BodyInvalid(f"{SINGLE} is one event; several are {BATCH}")
    if content_type == BATCH and not many:
        raise BodyInvalid(f"{BATCH} is a list of events")
    events: list[Any] = found if isinstance(found, list) else [found]
    if not events:
        raise BodyInvalid("there is no event in it")
    if len(events) > EVENTS_MAX:
        raise BodyInvalid(f"{len(events)} events; at most {EVENTS_MAX} in a request: split it")
    return events


def _integer(text: str) -> int | str:
    """One that Python does not read stays a text: it is for what takes it to refuse it."""
    return int(text) if len(text) <= DIGITS_MAX else text


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of more than eighteen digits
        return text


def usage_event(event: Any) -> pb.UsageEvent:
    """A CloudEvent as usage of a type. Raises InvalidEvent."""
    if not isinstance(event, dict):
        raise InvalidEvent("TEXT_INVALID", "event", event, "not an object")
    version = event.get("specversion", "1.0")
    if version != "1.0":
        raise InvalidEvent("TEXT_INVALID", "specversion", version, "only CloudEvents 1.0 are known")
    if "data_base64" in event:
        raise InvalidEvent("TEXT_INVALID", "data_base64", "", "data is an object of JSON")
    raw = RawEvent.of_cloud_event(event)
    return pb.UsageEvent(
        id=raw.id,
        account=raw.account,
        effective_at_us=raw.effective_at_us,
        source=raw.source,
        type=raw.type,
        properties=flattened(raw.properties),
    )


def failure(failed: CallFailed) -> Told:
    """A request of which nothing was recorded, or of which that is not known."""
    error = {"code": failed.reason, "message": failed.message}
    return Told(status_of(failed.reason), {"error": error})


def status_of(reason: str) -> int:
    """The status of an event that this is said of, alone, or of a request as a whole."""
    handling = TABLE[reason]
    if reason in _BY_REASON:
        return _BY_REASON[reason]
    if handling.outcome in _RECORDED:
        return NO_CONTENT
    return _UNLET.get(handling.code) or _STATUSES.get(handling.outcome, 400)


def _whole(
    statuses: Sequence[int], results: Sequence[dict[str, Any] | None], show: bool
) -> tuple[int, Mapping[str, Any] | None]:
    """One status for all where it is the same; else 207, and each has its own."""
    [*distinct] = set(statuses)
    if distinct == [NO_CONTENT]:
        return (200, {"results": results}) if show else (NO_CONTENT, None)
    return distinct[0] if len(distinct) == 1 else MULTI_STATUS, {"results": results}


def _status(result: pb.IngestResult) -> int:
    if result.outcome in _RECORDED:
        return NO_CONTENT
    return status_of(result.reason) if result.reason in TABLE else 400


def _shown(event: pb.UsageEvent, result: pb.IngestResult, assets: Sequence[Any]) -> dict[str, Any]:
    outcome = pb.IngestOutcome.Name(result.outcome).removeprefix("INGEST_OUTCOME_")
    shown: dict[str, Any] = {"id": event.id, "outcome": outcome, "replayed": result.replayed}
    if result.reason:
        shown |= {"reason": result.reason, "message": result.message}
    if result.field:
        shown["field"] = result.field
    if result.charge:
        asset = assets[result.asset_index]
        shown |= {"charge": str(result.charge), "asset": asset.asset, "scale": asset.scale}
    return shown


def _fault(event: Any, error: InvalidEvent) -> dict[str, Any]:
    name = event.get("id", "") if isinstance(event, dict) else ""
    return {
        "id": name.encode(errors="replace").decode() if isinstance(name, str) else "",
        "outcome": "INVALID",
        "reason": error.reason,
        "field": error.field,
        "message": str(error),
    }
