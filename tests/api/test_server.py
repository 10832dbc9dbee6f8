"""The door, the doctor, and what callers hear when the engine cannot answer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ledger.api.calls import Call
from ledger.api.intake import parking
from ledger.api.server import InsecureListen, LedgerServer, is_loopback
from ledger.core.events import AccountPolicy
from ledger.engine import writer
from ledger.engine.ledger import Ledger
from ledger.journal.memory import AppendFault
from ledger.journal.storage import MemoryStorage
from ledger.v1 import decision_pb2, journal_pb2, journal_pb2_grpc, usage_pb2
from tests.api import served as api
from tests.api.served import TENANT, Served, event, plain, refusal_of, work
from tests.patience import HANGS_S

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


# -- the door ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("127.9.9.9:0", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/drawdown.sock", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("10.0.0.1:50051", False),
        ("example.com:50051", False),
        (":50051", False),
    ],
)
def test_what_only_this_machine_can_reach(listen, expected):
    assert is_loopback(listen) is expected


async def test_nothing_listens_beyond_loopback_without_tls_unless_asked(served: Served):
    other = LedgerServer(served.ledger)
    with pytest.raises(InsecureListen, match="certificate"):
        await other.start("0.0.0.0:0")
    address = await other.start("0.0.0.0:0", insecure=True)
    assert not address.endswith(":0")
    await other.stop(0)


async def test_a_taken_port_is_an_error(served: Served):
    first, second = LedgerServer(served.ledger), LedgerServer(served.ledger)
    address = await first.start("127.0.0.1:0")
    with pytest.raises(RuntimeError):
        await second.start(address)
    await first.stop(0)
    await second.stop(0)


def certificate() -> tuple[bytes, bytes]:
    """(key, certificate) of localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, made.public_bytes(serialization.Encoding.PEM)


async def test_tls(priced: Served):
    key, cert = certificate()
    secure = LedgerServer(priced.ledger)
    address = await secure.start("127.0.0.1:0", grpc.ssl_server_credentials([(key, cert)]))
    options = (("grpc.ssl_target_name_override", "localhost"),)
    trusted = grpc.ssl_channel_credentials(cert)
    async with grpc.aio.secure_channel(address, trusted, options) as channel:
        stub = journal_pb2_grpc.JournalServiceStub(channel)
        routing = await stub.GetRouting(journal_pb2.GetRoutingRequest(tenant=TENANT))
        assert len(routing.shards) == 4
    await secure.stop(0)


# -- health and reflection -----------------------------------------------------------------------


async def test_health_says_when_to_go_elsewhere(served: Served):
    stub = health_pb2_grpc.HealthStub(served.channel)
    names = ["", "ledger.v1.UsageService", "rating.v1.PricingService"]
    for name in names:
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == SERVING
    await served.server.not_serving()
    for name in names:
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert reply.status == NOT_SERVING
    routing = await served.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant=TENANT))
    assert routing.shards


async def test_reflection_lists_every_service(served: Served):
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    async for reply in stub.ServerReflectionInfo(iter([ask])):
        names = {service.name for service in reply.list_services_response.service}
    assert {f"ledger.v1.{name}Service" for name in ("Usage", "Decision", "Account")} <= names
    assert {"rating.v1.PricingService", "grpc.health.v1.Health"} <= names


# -- when the engine cannot answer ---------------------------------------------------------------


class Faulty:
    """A memory storage whose appends fail as told."""

    def __init__(self) -> None:
        self.fault: AppendFault | None = None
        self.gate: asyncio.Event | None = None
        self.storage = MemoryStorage(
            api.SystemClock().now_us, 1, on_append=lambda _: self.fault, pause=self._pause
        )

    async def _pause(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)


async def test_a_commit_of_unknown_outcome_says_so_and_the_retry_finds_out():
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.account("acme")
        faulty.fault = AppendFault.UNKNOWN_WRITTEN
        reply = await caller.ingest(event("a", "acme"))
        faulty.fault = None
        assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_UNKNOWN
        assert reply.results[0].reason == "OUTCOME_UNKNOWN"
        async with asyncio.timeout(HANGS_S):
            await caller.ledger.writers[0].opened.wait()
        again = await caller.ingest(event("a", "acme"))
        assert (again.results[0].charge, again.results[0].replayed) == (600, True)


async def test_an_unknown_outcome_of_a_unary_call_is_a_status():
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.account("acme")
        faulty.fault = AppendFault.UNKNOWN_NOT_WRITTEN
        found = await refusal_of(caller.authorize("acme", request_id="auth"))
        faulty.fault = None
        assert (found.code, found.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
        assert "GetOutcome" in found.message
        async with asyncio.timeout(HANGS_S):
            await caller.ledger.writers[0].opened.wait()
        outcome = await caller.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant=TENANT, account="acme", request_id="auth")
        )
        assert outcome.state == journal_pb2.OUTCOME_STATE_NOT_FOUND


async def test_while_the_journal_is_away_nothing_is_applied_and_callers_are_told_to_retry():
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.account("acme")
        faulty.fault = AppendFault.UNAVAILABLE
        found = await refusal_of(caller.ingest(event("a", "acme")))
        assert (found.code, found.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "WRITER_REOPENING",
        )
        assert found.retry_after_us > 0
        checked = await refusal_of(caller.check("acme"))
        assert checked.reason == "WRITER_REOPENING"
        faulty.fault = None
        async with asyncio.timeout(HANGS_S):
            await caller.ledger.writers[0].opened.wait()
        assert (await caller.ingest(event("a", "acme"))).results[0].charge == 600


async def test_parked_usage_is_brought_in_when_the_journal_is_back(monkeypatch):
    monkeypatch.setattr(parking, "RETRY_S_MIN", 0)
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.ingest(event("a", "late"), park_unknown=True)
        await caller.ledger.create_account(1, "late", None, "create", AccountPolicy())
        faulty.fault = AppendFault.UNAVAILABLE
        caller.server.parking.appeared(1, "late")
        async with asyncio.timeout(HANGS_S):
            while caller.ledger.writers[0].opened.is_set():
                await asyncio.sleep(0)
            faulty.fault = None
            await caller.server.parking.idle()
        assert (await caller.balance("late")).advance == "600"


async def test_a_full_queue_is_unavailable_with_a_time_to_come_back(monkeypatch):
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.account("acme")
        monkeypatch.setattr(writer, "QUEUE_COMMANDS_MAX", 2)
        found = await refusal_of(
            caller.ingest(event("a", "acme"), event("b", "acme"), event("c", "acme"))
        )
        assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_FULL")
        assert found.retry_after_us > 0
        # Where one event has an outcome of its own, the others say it for themselves.
        reply = await caller.ingest(
            event("a", "acme"), event("b", "acme"), event("c", "acme"), event("d", "nobody")
        )
        assert [result.reason for result in reply.results] == ["QUEUE_FULL"] * 3 + [
            "ACCOUNT_UNKNOWN"
        ]
        assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_RETRY


async def test_a_caller_that_gave_up_sends_again_and_is_charged_once():
    faulty = Faulty()
    async with api.served(faulty.storage) as caller:
        await caller.priced()
        await caller.account("acme")
        faulty.gate = asyncio.Event()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await caller.usage.Ingest(plain(event("a", "acme")), timeout=0.05)
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        faulty.gate.set()
        assert (await caller.ingest(event("a", "acme"))).results[0].charge == 600
        assert (await caller.balance("acme")).advance == "600"


async def test_a_deadline_that_passed_in_the_queue_applies_nothing(priced: Served, monkeypatch):
    await priced.account("acme")
    with monkeypatch.context() as patched:
        patched.setattr(Call, "deadline_us", 1)
        found = await refusal_of(priced.authorize("acme", request_id="auth"))
        assert (found.code, found.reason) == (
            grpc.StatusCode.DEADLINE_EXCEEDED,
            "DEADLINE",
        )
        found = await refusal_of(priced.ingest(event("a", "acme")))
        assert found.reason == "DEADLINE"
    assert not (await priced.authorize("acme", request_id="auth")).replayed
    assert not (await priced.ingest(event("a", "acme"))).results[0].replayed


async def _awaited(call):
    return await call


async def test_a_bug_is_internal_and_tells_nothing_of_the_inside(priced: Served, monkeypatch):
    await priced.account("acme")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr("ledger.api.advising.assess_up_to", broken)
    found = await refusal_of(priced.check("acme"))
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in found.message


async def test_stopping_lets_calls_in_flight_finish():
    faulty = Faulty()
    ledger = Ledger(faulty.storage, api.SystemClock())
    ledger.start()
    await ledger.opened()
    server = LedgerServer(ledger)
    address = await server.start("127.0.0.1:0")
    async with grpc.aio.insecure_channel(address) as channel:
        caller = api.Served(server, ledger, channel)
        await caller.priced()
        await caller.account("acme")
        faulty.gate = asyncio.Event()
        call = asyncio.ensure_future(_awaited(caller.usage.Ingest(plain(event("a", "acme")))))
        async with asyncio.timeout(HANGS_S):
            while ledger.writers[0].state.keys.find(_key(ledger)) is None:
                await asyncio.sleep(0)
        stopping = asyncio.ensure_future(server.stop(5))
        await asyncio.sleep(0)
        faulty.gate.set()
        assert (await call).results[0].charge == 600
        await stopping
        await ledger.stop()


async def test_a_stream_that_never_ends_does_not_keep_the_server_from_stopping(priced: Served):
    await priced.account("acme")
    stream = priced.usage.IngestStream()
    batch = usage_pb2.IngestStreamRequest(batch_number=1, batch=plain(event("a", "acme")))
    await stream.write(batch)
    assert (await stream.read()).batch.results[0].charge == 600
    async with asyncio.timeout(HANGS_S):
        await priced.server.stop(60)
        found = await refusal_of(stream.read())
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert found.retry_after_us > 0


def _key(ledger: Ledger) -> bytes:
    entry = ledger.directory.cached(1, "acme", 1)
    assert entry is not None
    return ledger.family(entry).usage("gateway", "a")


async def test_telemetry_hears_of_calls_outcomes_and_decisions():
    class Heard:
        def __init__(self) -> None:
            self.calls: list[tuple[str, str]] = []
            self.outcomes: list[dict[str, int]] = []
            self.decisions: list[tuple[str, str]] = []

        def rpc_started(self, method, context):
            class Span:
                trace_id = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")

            return Span()

        def rpc_ended(self, method, span, code, started_us):
            self.calls.append((method.rpartition("/")[2], code))

        def events_ingested(self, outcomes):
            self.outcomes.append(dict(outcomes))

        def decided(self, method, decision):
            self.decisions.append((method, decision))

    heard = Heard()
    storage = MemoryStorage(api.SystemClock().now_us, 1)
    async with api.served(storage, telemetry=heard) as caller:
        await caller.priced()
        await caller.account("acme")
        await caller.ingest(event("a", "acme"), event("b", "nobody"))
        await caller.check("acme")
        await caller.authorize("acme")
        await refusal_of(caller.check("nobody"))
        entry = (
            await caller.usage.Get(
                usage_pb2.UsageServiceGetRequest(
                    tenant=TENANT, account="acme", source="gateway", id="a"
                )
            )
        ).entry
    assert entry.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert heard.outcomes == [{"APPLIED": 1, "ACCOUNT_UNKNOWN": 1}]
    assert heard.decisions == [("Check", "DENY"), ("Authorize", "DENY")]
    assert ("Check", "OK") in heard.calls
    assert ("Check", "NOT_FOUND") in heard.calls


async def test_the_hot_messages_survive_a_client_that_sends_unknown_fields(priced: Served):
    await priced.account("acme")
    request = decision_pb2.CheckRequest(**work("acme")).SerializeToString() + b"\xf8\x07\x01"
    call = priced.channel.unary_unary(
        "/ledger.v1.DecisionService/Check",
        response_deserializer=decision_pb2.CheckResponse.FromString,
    )
    assert (await call(request)).decision == decision_pb2.DECISION_DENY
