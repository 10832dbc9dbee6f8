"""A simulated client: the real client core and its retries, over the simulated network.

Runs its operations one after another (some without waiting for the answer), remembers every
position that it was shown, and writes down what it saw. It knows nothing of how servers work.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final

from ledger.client.core import IngestCore
from ledger.client.events import EventOutcome, Outcome, UsageEvent
from ledger.client.limits import Limits
from ledger.client.retry import Attempts, Failure, FailureKind, RetryPolicy
from ledger.client.routing import Routing
from ledger.client.sender import Sender
from ledger.core.limits import SECOND_US
from ledger.simulation.draws import REPORTED, TENANTS, At, Listed, Made, Ref
from ledger.simulation.messages import (
    Answer,
    Call,
    Mark,
    Record,
    Reply,
    Status,
    UsageAnswer,
    UsageCall,
    mark_of,
)
from ledger.simulation.network import ATTEMPT_US, Network, SimulatedTransport
from ledger.simulation.prices import PRODUCTS
from ledger.simulation.processes import Process
from ledger.simulation.scenario import Operation
from ledger.simulation.workload import REQUESTS

FRONT: Final = "front:1"
SOURCE: Final = "sim"  # of every usage event
LEAVE_OUT: Final = ("sign", "amend_contract")
"""Operations that may leave a field out: None of another refers to what never came."""

LIMITS: Final = Limits(batch_events=6, linger_us=500, coalesce_us=5_000, in_flight=2)
"""Small batches, so that a handful of events makes several."""

_STATUS: Final = {
    Outcome.RETRY: Status.GAVE_UP,
    Outcome.UNKNOWN: Status.UNKNOWN,
    Outcome.APPLIED: Status.RECORDED,
    Outcome.SUSPENSE: Status.RECORDED,
    Outcome.QUARANTINED: Status.RECORDED,
}


class Shared:
    """What clients tell each other: numbers of holds and grants, and bodies that were sent."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}  # operation -> the hold or grant that it got
        self.bodies: dict[int, dict[str, Any]] = {}  # operation -> fields as first sent
        self.offsets: dict[int, int] = {}  # tenant -> how far its clock was moved, as answers say
        self.views: dict[tuple[int, str], dict[str, Any]] = {}  # the last that was read of each
        self.records: list[Record] = []
        self.uncertain: dict[tuple[int, str], None] = {}
        """(client, identity) of which an attempt ended with an unknown outcome."""


class SimulatedClient:
    """One client process."""

    def __init__(
        self,
        process: Process,
        network: Network,
        random: Random,
        shared: Shared,
        number: int,
        give_up_us: int,
    ) -> None:
        self.process = process
        self.number = number
        self.positions: dict[int, int] = {}  # shard -> entries that replies have shown
        self._network = network
        self._shared = shared
        self._random = random
        self._policy = RetryPolicy(
            first_us=20_000, longest_us=SECOND_US, give_up_us=give_up_us, attempt_us=ATTEMPT_US
        )
        self._senders = {
            tenant: Sender(
                IngestCore(LIMITS, self._policy, Routing(str(tenant), FRONT), random.randrange),
                SimulatedTransport(network, process, tenant, self._unknown),
                process.clock.monotonic_us,
            )
            for tenant in TENANTS
        }

    async def run(self, operations: list[Operation]) -> None:
        """Everything that this client has to do; returns when all of it is answered."""
        tasks = []
        for operation in operations:
            if operation.pause_us:
                await asyncio.sleep(operation.pause_us / SECOND_US)
            task = asyncio.create_task(self._perform(operation))
            tasks.append(task)
            if operation.waits:
                await task
        await asyncio.gather(*tasks)

    async def _perform(self, operation: Operation) -> None:
        if operation.kind == "usage":
            await self._ingest(operation)
        elif operation.kind == "linked":
            await self._link(operation)
        else:
            await self._ask(operation)

    # -- usage -------------------------------------------------------------------------------------

    async def _ingest(self, operation: Operation) -> None:
        events, records = [], []
        for place, drawn in enumerate(operation.fields["events"]):
            identity, body = self._event(operation, place, drawn)
            record = self._record(operation, place, body["account"], identity, body)
            records.append(record)
            quantities = dict(zip(PRODUCTS[body["product"]], body["quantities"], strict=True))
            events.append(
                UsageEvent(
                    identity,
                    body["account"],
                    quantities,
                    body["product"],
                    dict(body.get("attributes", ())),
                    effective_at_us=body["effective_at"],
                    operation=body.get("operation", ""),
                    operation_parent=body.get("operation_parent", ""),
                )
            )
        waiting = await self._senders[operation.tenant].deliver(events, flush=operation.waits)
        for record, outcome in zip(records, await waiting, strict=True):
            self._take_outcome(record, outcome)

    def _event(
        self, operation: Operation, place: int, drawn: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The identity and body of an event: its own, or an earlier one's again."""
        at = (operation.tenant, "")
        body = {name: self._fixed(value, at) for name, value in drawn.items() if name != "same_as"}
        identity = f"e{operation.number}.{place}"
        if drawn["same_as"] is not None:
            of, at_place, differs = drawn["same_as"]
            first = self._shared.bodies.get(of)
            if first is not None and at_place < len(first["events"]):
                identity, kept = first["events"][at_place]
                body = {**kept, "quantities": body["quantities"]} if differs else dict(kept)
                if differs and len(PRODUCTS[body["product"]]) != len(body["quantities"]):
                    body["quantities"] = tuple(n + 1 for n in kept["quantities"])
        made = self._shared.bodies.setdefault(operation.number, {"events": []})
        made["events"].append((identity, body))
        return identity, body

    def _take_outcome(self, record: Record, outcome: EventOutcome) -> None:
        record.answered_step = self.process.loop.steps
        record.answered_us = self.process.clock.now_us()
        record.status = _STATUS.get(outcome.outcome, Status.REFUSED)
        record.reason, record.at_field = outcome.reason, outcome.field
        record.replayed = outcome.replayed
        record.view = outcome.charge
        if outcome.position:
            record.mark = mark_of(outcome.position)
            self._observe(record.mark)

    async def _link(self, operation: Operation) -> None:
        """Events that are recorded together: one call, sent again as a whole."""
        if operation.same_as >= 0:
            first = self._shared.bodies.get(operation.same_as)
            if first is None:
                return
            events = first["events"]
        else:
            drawn = operation.fields["events"]
            events = [self._event(operation, place, each) for place, each in enumerate(drawn)]
        records = [
            self._record(operation, place, body["account"], identity, body)
            for place, (identity, body) in enumerate(events)
        ]
        items = tuple(
            (identity, body["account"], body["product"], PRODUCTS[body["product"]],
             body["quantities"], body["effective_at"], body.get("attributes", ()),
             body.get("operation", ""), body.get("operation_parent", ""))
            for identity, body in events
        )  # fmt: skip
        reply = await self._until_answered(
            UsageCall(operation.tenant, items, linked=True), [identity for identity, _ in events]
        )
        for place, record in enumerate(records):
            if isinstance(reply, UsageAnswer):
                self._take_outcome(record, reply.outcomes[place])
            else:
                self._take(record, reply)

    # -- anything else -----------------------------------------------------------------------------

    async def _ask(self, operation: Operation) -> None:
        call = self._call_of(operation)
        if call is None:
            return
        record = self._record(operation, -1, operation.account, call.request_id, call.fields)
        record.min_position = call.min_position
        self._take(record, await self._until_answered(call, [call.request_id]))

    async def _until_answered(self, call: Call | UsageCall, identities: list[str]) -> Reply:
        """Send until there is an answer, or until the client gives up."""
        clock = self.process.clock
        attempts = Attempts(self._policy, self._random.randrange, clock.monotonic_us())
        while True:
            reply = await self._attempt(call)
            if isinstance(reply, UsageAnswer):
                failure = _open_end(reply)
                if failure is None:
                    return reply
                reply = failure
            if not isinstance(reply, Failure):
                return reply
            if reply.kind is FailureKind.UNKNOWN:
                for identity in identities:
                    self._unknown(identity)
            verdict = attempts.failed(reply, clock.monotonic_us())
            if not isinstance(verdict, int):
                return verdict
            await asyncio.sleep(verdict / SECOND_US)

    async def _attempt(self, call: Call | UsageCall) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._network.call(self.process, call, answered.set_result)
        return await answered

    def _call_of(self, operation: Operation) -> Call | None:
        """The call, its times and references fixed; None where what it refers to never came."""
        fields = operation.fields
        own = operation.number if operation.identity < 0 else operation.identity
        request_id = f"r{own}"
        kind, account = operation.kind, operation.account
        if operation.same_as >= 0:
            first = self._shared.bodies.get(operation.same_as)
            if first is None:
                return None
            fields = {**first, **fields}
            request_id = f"r{operation.same_as}"
            if kind == "capture" and len(fields["quantities"]) != len(fields["quantity_names"]):
                fields["quantities"] = (9, 9)
        place = (operation.tenant, account)
        body = {name: self._fixed(value, place) for name, value in fields.items()}
        if operation.same_as < 0 and kind in ("reverse", "amend"):
            body["original"] = self._original(*body["original"])
        if operation.same_as < 0 and kind == "amend":
            body["usage"] = f"e{operation.number}.0"
        if kind not in LEAVE_OUT and None in body.values():
            return None
        if kind == "abandon":
            request_id = f"r{body['of']}"
        if kind in REQUESTS:
            self._shared.bodies.setdefault(operation.number, body)
        positions = dict(self.positions) if kind == "read" else {}
        return Call(kind, operation.tenant, account, request_id, body, positions)

    def _original(self, operation: int, place: int) -> tuple[str, str] | None:
        """(source, id) of usage that was sent before; "" is the source of a capture."""
        body = self._shared.bodies.get(operation)
        if body is None:
            return None
        if place < 0:
            return SOURCE if place == REPORTED else "", f"r{operation}"
        identity = body["usage"] if "usage" in body else body["events"][place][0]
        return SOURCE, identity

    def _fixed(self, value: Any, place: tuple[int, str] = (0, "")) -> Any:
        """The value as it is sent; `place`: tenant and account that are asked about."""
        if isinstance(value, At):
            ahead = self._shared.offsets.get(place[0], 0)
            return self.process.clock.now_us() + ahead + value.offset_us
        if isinstance(value, Ref):
            return self._shared.numbers.get(value.operation)
        if isinstance(value, Listed):
            listed = sorted((self._shared.views.get(place) or {}).get(value.what, ()))
            return listed[value.place % len(listed)] if listed else 1
        if isinstance(value, Made):
            return value.make(*[self._fixed(part, place) for part in value.parts])
        if isinstance(value, tuple) and value and isinstance(value[0], Made):
            return tuple([self._fixed(part, place) for part in value])
        return value

    def _take(self, record: Record, reply: Reply) -> None:
        record.answered_step = self.process.loop.steps
        record.answered_us = self.process.clock.now_us()
        if isinstance(reply, Failure):
            unknown = reply.kind is FailureKind.UNKNOWN
            record.status = Status.UNKNOWN if unknown else Status.GAVE_UP
            record.reason = reply.reason or reply.code
            return
        assert isinstance(reply, Answer), reply
        record.status, record.mark, record.replayed = reply.status, reply.mark, reply.replayed
        record.reason, record.at_field, record.view = reply.reason, reply.at_field, reply.view
        if record.kind == "read" and reply.view:
            self._shared.views[record.tenant, record.account] = reply.view
        if record.kind == "publish":
            record.view = reply.number
        elif record.kind == "clock":
            known = self._shared.offsets.get(record.tenant, 0)
            self._shared.offsets[record.tenant] = max(known, reply.number)
        elif reply.number:
            self._shared.numbers.setdefault(record.operation, reply.number)
        if reply.mark is not None:
            self._observe(reply.mark)

    # -- parts -------------------------------------------------------------------------------------

    def _record(
        self, operation: Operation, place: int, account: str, identity: str, body: dict[str, Any]
    ) -> Record:
        record = Record(
            operation.number,
            place,
            self.number,
            operation.kind,
            operation.tenant,
            account,
            identity,
            body,
            sent_step=self.process.loop.steps,
        )
        self._shared.records.append(record)
        return record

    def _unknown(self, identity: str) -> None:
        self._shared.uncertain[self.number, identity] = None

    def _observe(self, mark: Mark) -> None:
        reached = max(mark.position, mark.entry_seq + 1)
        self.positions[mark.shard] = max(self.positions.get(mark.shard, 0), reached)


def _open_end(answer: UsageAnswer) -> Failure | None:
    """The failure of a call some of whose events may or must be sent again."""
    outcomes = {outcome.outcome for outcome in answer.outcomes}
    if Outcome.UNKNOWN in outcomes:
        return Failure(FailureKind.UNKNOWN, "UNKNOWN", "OUTCOME_UNKNOWN", "of an event")
    if Outcome.RETRY in outcomes:
        return Failure(FailureKind.RETRY, "UNAVAILABLE", "RETRY", "of an event")
    return None


def by_client(operations: tuple[Operation, ...], clients: int) -> list[list[Operation]]:
    """The operations of each client, in order."""
    return [
        [operation for operation in operations if operation.client == client]
        for client in range(clients)
    ]
