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
from ledger.simulation.loop import US_A_SECOND
from ledger.simulation.messages import Answer, Call, Mark, Record, Reply, Status, mark_of
from ledger.simulation.network import ATTEMPT_US, Network, SimulatedTransport
from ledger.simulation.prices import PRODUCTS
from ledger.simulation.processes import Process
from ledger.simulation.scenario import Operation
from ledger.simulation.workload import REQUESTS, TENANTS, At, Ref

FRONT: Final = "front:1"
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
                await asyncio.sleep(operation.pause_us / US_A_SECOND)
            task = asyncio.create_task(self._perform(operation))
            tasks.append(task)
            if operation.waits:
                await task
        await asyncio.gather(*tasks)

    async def _perform(self, operation: Operation) -> None:
        if operation.kind == "usage":
            await self._ingest(operation)
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
                    effective_at_us=body["effective_at"],
                )
            )
        waiting = await self._senders[operation.tenant].deliver(events, flush=operation.waits)
        for record, outcome in zip(records, await waiting, strict=True):
            self._take_outcome(record, outcome)

    def _event(
        self, operation: Operation, place: int, drawn: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The identity and body of an event: its own, or an earlier one's again."""
        body = {name: self._fixed(value) for name, value in drawn.items() if name != "same_as"}
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

    # -- anything else -----------------------------------------------------------------------------

    async def _ask(self, operation: Operation) -> None:
        call = self._call_of(operation)
        if call is None:
            return
        record = self._record(operation, -1, operation.account, call.request_id, call.fields)
        record.min_position = call.min_position
        clock = self.process.clock
        attempts = Attempts(self._policy, self._random.randrange, clock.monotonic_us())
        while True:
            reply = await self._attempt(call)
            if isinstance(reply, Failure):
                if reply.kind is FailureKind.UNKNOWN:
                    self._unknown(call.request_id)
                verdict = attempts.failed(reply, clock.monotonic_us())
                if isinstance(verdict, int):
                    await asyncio.sleep(verdict / US_A_SECOND)
                    continue
                reply = verdict
            self._take(record, reply)
            return

    async def _attempt(self, call: Call) -> Reply:
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
        body = {name: self._fixed(value) for name, value in fields.items()}
        if None in body.values():
            return None
        if kind == "abandon":
            request_id = f"r{body['of']}"
        if kind in REQUESTS:
            self._shared.bodies.setdefault(operation.number, body)
        positions = dict(self.positions) if kind == "read" else {}
        return Call(kind, operation.tenant, account, request_id, body, positions)

    def _fixed(self, value: Any) -> Any:
        if isinstance(value, At):
            return self.process.clock.now_us() + value.offset_us
        if isinstance(value, Ref):
            return self._shared.numbers.get(value.operation)
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
        if record.kind == "publish":
            record.view = reply.number
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


def by_client(operations: tuple[Operation, ...], clients: int) -> list[list[Operation]]:
    """The operations of each client, in order."""
    return [
        [operation for operation in operations if operation.client == client]
        for client in range(clients)
    ]
