"""What every transport of the client promises: single calls, a stream, and the simulator's.

Each promise is one function over a `Carrier`; it runs over real gRPC and in a simulated world.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
import pytest

from ledger.api.server import LedgerServer
from ledger.client import DrawdownClient
from ledger.client.channels import Channels
from ledger.client.compact import Envelope
from ledger.client.events import Outcome, UsageEvent, event_bytes, shape_bytes, shape_key
from ledger.client.parcels import Batch, Family, Pending
from ledger.client.refreshing import Refreshing
from ledger.client.retry import Failure, FailureKind
from ledger.client.routing import Routing
from ledger.client.sender import Answer, Transport
from ledger.client.transports import StreamTransport, UnaryTransport
from ledger.engine.ledger import Ledger
from ledger.journal.storage import MemoryStorage
from ledger.simulation.client import FRONT
from ledger.simulation.network import SimulatedTransport
from ledger.simulation.scenario import calm, draw
from ledger.simulation.world import World, bury
from rating.v1 import pricing_pb2
from tests.api.served import SystemClock, card
from tests.client.conftest import CuttingProxy

KINDS = ("unary", "stream", "simulated")


@dataclass
class Carrier:
    """A transport to a server on which `acme` exists, and what became of each batch."""

    transport: Transport
    address: str
    nobody: Callable[[], None]
    """From now on no server is there."""
    cut: Callable[[], None]
    """The connection breaks before the next answer is there."""
    product: str
    quantity: str
    answers: dict[int, list[Answer]] = field(default_factory=dict)
    numbers: int = 0

    def batch(self, *ids: str, account: str = "acme") -> Batch:
        self.numbers += 1
        made = Batch(self.numbers, self.address, 0)
        made.families.append(Family(account))
        for event_id in ids:
            event = UsageEvent(event_id, account, {self.quantity: 3}, self.product)
            shape = shape_key(event)
            made.items.append(Pending(event, shape, shape_bytes(shape) + event_bytes(event)))
        return made

    def send(self, batch: Batch) -> Awaitable[Answer]:
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def answered(of: Batch, answer: Answer) -> None:
            assert of is batch
            self.answers.setdefault(of.number, []).append(answer)
            if not done.done():
                done.set_result(answer)

        self.transport.send(batch, answered)
        return done


Promise = Callable[[Carrier], Awaitable[None]]


@asynccontextmanager
async def real(kind: str) -> AsyncIterator[Carrier]:
    ledger = Ledger(MemoryStorage(SystemClock().now_us, 4), SystemClock())
    ledger.start()
    await ledger.opened()
    server = LedgerServer(ledger)
    address = await server.start("127.0.0.1:0")
    channels = Channels(None, ())
    try:
        async with DrawdownClient(address, source="test", product="chat") as client:
            await client.create_asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
            await client.publish_rate_card(card())
            await client.create_account("acme")
        async with CuttingProxy(address) as proxy:
            made = UnaryTransport if kind == "unary" else StreamTransport
            routing = Routing("default", proxy.address)
            refreshing = Refreshing("default", channels, routing)
            transport = made(
                channels,
                Envelope("default", "test"),
                10_000_000,
                lambda position: None,
                routing,
                refreshing,
            )
            carrier = Carrier(
                transport,
                proxy.address,
                lambda: setattr(carrier, "address", "127.0.0.1:1"),
                lambda: proxy.cuts.append(1),
                "chat",
                "input_tokens",
            )
            yield carrier
            await transport.close()
            await refreshing.close()
    finally:
        await channels.close()
        await server.stop(0)
        await ledger.stop()


def play(kind: str, promise: Promise) -> None:
    """Run a promise where it belongs; afterwards nothing was answered twice."""
    if kind == "simulated":
        in_a_simulated_world(promise)
        return

    async def over_grpc() -> None:
        async with real(kind) as carrier:
            await promise(carrier)
            assert all(len(each) == 1 for each in carrier.answers.values())

    asyncio.run(over_grpc())


def in_a_simulated_world(promise: Promise) -> None:
    world = World(calm(draw(0)))

    async def run() -> None:
        server = world.start_server()
        await server.process.spawn(world._begin(server))
        process = server.process.__class__(world.loop, "client", server.process.clock)

        def cut() -> None:
            world.loop.call_soon(lambda: world.kill(server))

        transport = SimulatedTransport(world.network, process, 1)
        carrier = Carrier(transport, FRONT, world.network.hosts.clear, cut, "chat", "tokens")
        await process.spawn(promise(carrier))  # type: ignore[arg-type]
        await transport.close()
        assert all(len(each) == 1 for each in carrier.answers.values())

    try:
        world.loop.run(run())
    finally:
        bury(world)
        gc.collect()  # what is left of a world ends here, not amid another test


@pytest.mark.parametrize("kind", KINDS)
def test_outcomes_come_in_the_order_of_the_batch(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        answer = await carrier.send(carrier.batch("a", "b", "c", "a"))
        assert isinstance(answer, list)
        assert [each.outcome for each in answer] == [Outcome.APPLIED] * 4
        assert [each.replayed for each in answer] == [False, False, False, True]

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_every_batch_in_flight_gets_its_own_answer(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        batches = [carrier.batch(*(f"{n}.{k}" for k in range(n + 1))) for n in range(5)]
        answers = await asyncio.gather(*[carrier.send(batch) for batch in batches])
        assert [len(answer) for answer in answers] == [1, 2, 3, 4, 5]  # type: ignore[arg-type]

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_batch_again_is_answered_as_before(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        first = await carrier.send(carrier.batch("a", "b"))
        again = await carrier.send(carrier.batch("a", "b"))
        assert isinstance(first, list)
        assert isinstance(again, list)
        assert [each.charge for each in first] == [each.charge for each in again]
        assert all(each.replayed for each in again)

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_event_takes_no_other_with_it(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        batch = carrier.batch("a", "b")
        stranger = carrier.batch("c", account="nobody").items[0]
        batch.items.insert(1, stranger)
        answer = await carrier.send(batch)
        assert isinstance(answer, list)
        assert [each.outcome.name for each in answer] == ["APPLIED", "ACCOUNT_UNKNOWN", "APPLIED"]

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_connection_leaves_the_outcome_unknown(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        carrier.cut()
        answer = await carrier.send(carrier.batch("a"))
        assert isinstance(answer, Failure)
        assert (answer.kind, answer.again) == (FailureKind.UNKNOWN, True)

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_serves_the_same_may_be_sent_again(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        carrier.nobody()
        answer = await carrier.send(carrier.batch("a"))
        assert isinstance(answer, Failure)
        assert answer.again

    play(kind, promise)


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_transport_answers_nothing_any_more(kind: str) -> None:
    async def promise(carrier: Carrier) -> None:
        await carrier.send(carrier.batch("a"))
        waiting = carrier.send(carrier.batch("b"))
        await carrier.transport.close()
        await asyncio.sleep(0.2)
        assert not waiting.done()  # type: ignore[attr-defined]

    play(kind, promise)


async def test_a_stream_that_is_cut_off_on_the_way_says_nothing_of_what_it_owes() -> None:
    """Only the server names the batch that it refuses; a proxy's status is of the stream."""

    async def cut_off(
        requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        await anext(requests)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token has expired")
        yield b""

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(cut_off)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("ledger.v1.UsageService", {"IngestStream": handler}),)
    )
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    channels = Channels(None, ())
    routing = Routing("default", address)
    refreshing = Refreshing("default", channels, routing)
    transport = StreamTransport(
        channels, Envelope("default"), 10_000_000, lambda position: None, routing, refreshing
    )
    carrier = Carrier(transport, address, lambda: None, lambda: None, "chat", "input_tokens")
    try:
        answer = await carrier.send(carrier.batch("a"))
    finally:
        await transport.close()
        await refreshing.close()
        await channels.close()
        await server.stop(0)
    assert isinstance(answer, Failure)
    assert (answer.kind, answer.code) == (FailureKind.UNKNOWN, "UNAUTHENTICATED")
    assert not answer.again
