"""The listening server: every service on one grpc.aio server, with health and reflection.

Owns the options, the door (nothing listens beyond loopback without TLS unless that is asked for)
and the order of stopping at the edge. Must not own the ledger: whoever made it stops it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc.aio import Server, server
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from ledger import loopback
from ledger.api.calls import Calls
from ledger.api.card_check import CardChecker, CheckedHere
from ledger.api.closing_statements import StatementCloser
from ledger.api.edge import Edge
from ledger.api.erasing import Eraser
from ledger.api.explaining_recorded import Explainer, RecordedDecisions
from ledger.api.forward import Forwarder
from ledger.api.forward_all import PeerCalls, PeerService
from ledger.api.gate import ChangeNotes, Gate
from ledger.api.intake.forward_usage import Spreader
from ledger.api.intake.parking import Parking
from ledger.api.limits import MESSAGE_BYTES_MAX
from ledger.api.malformed import deserialiser
from ledger.api.reflecting import GuardedReflection
from ledger.api.runway_watch import RunwayWatch
from ledger.api.services.account_service import AccountService
from ledger.api.services.balance_service import BalanceService
from ledger.api.services.budget_service import BudgetService
from ledger.api.services.charge_service import ChargeService
from ledger.api.services.clock_service import ClockService
from ledger.api.services.commitment_service import CommitmentService
from ledger.api.services.contract_service import ContractService
from ledger.api.services.conversion_service import ConversionService
from ledger.api.services.correction_service import CorrectionService
from ledger.api.services.decision_policy_service import DecisionPolicyService
from ledger.api.services.decision_service import DecisionService
from ledger.api.services.explain_service import ExplainService
from ledger.api.services.fail_mode_service import FailModeService
from ledger.api.services.family_service import FamilyService
from ledger.api.services.grant_service import GrantService
from ledger.api.services.journal_service import JournalService
from ledger.api.services.lease_service import LeaseService
from ledger.api.services.mandate_service import MandateService
from ledger.api.services.meter_service import MeterService
from ledger.api.services.outcome_service import OutcomeService
from ledger.api.services.package_service import PackageService
from ledger.api.services.payment_service import PaymentService
from ledger.api.services.pricing_service import PricingService
from ledger.api.services.recurring_service import RecurringGrantService
from ledger.api.services.report_service import ReportService
from ledger.api.services.runway_service import RunwayService
from ledger.api.services.seat_service import SeatService
from ledger.api.services.sizing_service import SizingService
from ledger.api.services.statement_service import StatementService
from ledger.api.services.top_up_service import TopUpService
from ledger.api.services.usage_service import UsageService
from ledger.api.simulating import Simulator
from ledger.api.tracing import Telemetry
from ledger.auth.authenticator import Authenticator
from ledger.auth.gateway_keys import GatewayKeys, GatewayKeySource, MemoryGatewayKeys
from ledger.auth.mandate_tokens import MandateKeys
from ledger.auth.passing import PrincipalSeal
from ledger.auth.principal import server_principal
from ledger.engine.ledger import Ledger
from ledger.gateway.authorization import AuthorizationService
from ledger.gateway.away import Answers
from ledger.gateway.envoy import authorization_pb2, rate_limit_pb2
from ledger.gateway.inside import Inside
from ledger.gateway.open_spool import OpenSpool
from ledger.gateway.rate_limit import RateLimitService
from ledger.gateway.recording import Recorder, Recording
from ledger.gateway.routes import Defaults, Routes
from ledger.gateway.settling import Settlements
from ledger.integrity.store import MemorySealStore, SealStore
from ledger.projections.as_of import History
from ledger.sizing.learned import Learned
from ledger.v1 import (
    account_pb2,
    balance_pb2,
    budget_pb2,
    charge_pb2,
    clock_pb2,
    commitment_pb2,
    contract_pb2,
    correction_pb2,
    decision_pb2,
    decision_policy_pb2,
    explain_pb2,
    fail_mode_pb2,
    family_pb2,
    grant_pb2,
    journal_pb2,
    lease_pb2,
    mandate_pb2,
    outcome_pb2,
    package_pb2,
    payment_pb2,
    peer_pb2,
    recurring_pb2,
    report_pb2,
    runway_pb2,
    seat_pb2,
    sizing_pb2,
    statement_pb2,
    top_up_pb2,
    usage_pb2,
)
from rating.v1 import conversion_pb2, meter_pb2, pricing_pb2

MINUTE_MS: Final = 60_000
OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", 2 * MESSAGE_BYTES_MAX),  # a reply may explain every event
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_connection_age_ms", 20 * MINUTE_MS),  # clients spread again over new servers
    ("grpc.max_connection_age_grace_ms", 5 * MINUTE_MS),
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a share
)


def _uncounted(method: str, result: str) -> None:
    """Nobody counts forwarded calls."""


class InsecureListen(ValueError):
    """Listening beyond loopback without TLS was not asked for."""


class LedgerServer:
    """Made on an open ledger; `start`, then `not_serving`, then `stop`."""

    def __init__(
        self,
        ledger: Ledger,
        telemetry: Telemetry | None = None,
        seals: SealStore | None = None,
        peer_credentials: grpc.ChannelCredentials | None = None,
        count_forward: Callable[[str, str], None] = _uncounted,
        history: History | None = None,
        checker: CardChecker | None = None,
        simulator: Simulator | None = None,
        gateway: Defaults | None = None,
        authenticator: Authenticator | None = None,
        seal: PrincipalSeal | None = None,
        notes: ChangeNotes | None = None,
        mandates: MandateKeys | None = None,
        let_in: OpenSpool | None = None,
        count_away: Callable[[str], object] = str,
        gateway_keys: GatewayKeySource | None = None,
        explainer: Explainer | None = None,
    ) -> None:
        """`seals` is where the ledger's seals stand; None: nothing is sealed.

        `peer_credentials`: how to reach other servers of the same database; None = plain.
        `history`: the read models, to look back in; None: there are none.
        `checker`: where rate cards are checked; None = here.
        `simulator`: who tries prices on the journal; None: nobody does.
        `explainer`: who looks back at recorded decisions; None: nobody does.
        `gateway`: what routes of gateways need not say.
        `authenticator`: who finds out who calls; None: nobody is asked, everybody may all.
        `let_in`: where what gateways let in while a shard is away is kept; None: nothing is let in.
        `count_away` is told what gateways were told meanwhile, and what became of it.
        `gateway_keys`: what signs what they hand back; None: a key of this server's own.
        `mandates`: signs tokens of mandates; None: nobody has one.
        `seal`: proves to other servers for whom a call is passed on; `notes`: see Gate.
        """
        learned = Learned(history.pool if history is not None else None)
        self.edge = Edge(ledger, telemetry, learned)
        self.gate = Gate(self.edge, authenticator, notes) if authenticator is not None else None
        self.forwarder = Forwarder(ledger, peer_credentials, count_forward, seal)
        peers = PeerCalls(ledger, self.forwarder)
        ledger.peers = peers
        spreader = Spreader(ledger, self.forwarder)
        self.parking = Parking(self.edge, spreader)
        self.eraser = Eraser(ledger, peers)
        self.checker = checker if checker is not None else CheckedHere()
        self.closer = StatementCloser(ledger, history.pool) if history is not None else None
        self.runways = RunwayWatch(self.edge, history) if history is not None else None
        self._calls = Calls(ledger.clock, self.edge.telemetry, self.forwarder, self.gate)
        recorded = RecordedDecisions(self.edge, history, explainer)
        decisions = DecisionService(self.edge, self.forwarder, recorded)
        usage = UsageService(self.edge, self.parking, spreader, history)
        journal = JournalService(self.edge, seals or MemorySealStore(), self.forwarder)
        self.inside = inside = Inside(self.edge, self._calls, decisions, usage, journal)
        principal = server_principal(self.forwarder.process)
        recording = Recording(inside, ledger.clock, self.gate, principal, self.edge.telemetry)
        self._gateway_keys = keys = GatewayKeys(gateway_keys or MemoryGatewayKeys(), ledger.clock)
        self.settlements = decisions.unheld = Settlements(inside, recording, keys, let_in)
        self.routes = routes = Routes(gateway if gateway is not None else Defaults())
        self.answers = answers = Answers(self.edge, inside, keys, let_in, count_away)
        self.recorder: Recorder | None = None
        if let_in is not None:
            tenant = routes.defaults.tenant
            self.recorder = Recorder(let_in, recording, self.edge, count_away, tenant, keys)
        self._health = health.aio.HealthServicer()
        self.served = services(
            self.edge,
            usage,
            decisions,
            self.parking,
            self.eraser,
            self.forwarder,
            self.checker,
            journal,
            history,
            simulator,
            self.closer,
            mandates,
        )
        self.served += [
            (
                authorization_pb2.DESCRIPTOR.services_by_name["Authorization"],
                AuthorizationService(answers, routes),
            ),
            (
                rate_limit_pb2.DESCRIPTOR.services_by_name["RateLimitService"],
                RateLimitService(answers, routes, self.settlements),
            ),
        ]
        self._server: Server | None = None

    async def start(
        self,
        listen: str,
        credentials: grpc.ServerCredentials | None = None,
        *,
        insecure: bool = False,
    ) -> str:
        """`listen`, then `serve`."""
        address = await self.listen(listen, credentials, insecure=insecure)
        await self.serve()
        return address

    async def listen(
        self,
        listen: str,
        credentials: grpc.ServerCredentials | None = None,
        *,
        insecure: bool = False,
    ) -> str:
        """Answer on "host:port" (port 0 = a free one); returns the address that it became.

        Health says NOT_SERVING until `serve`: other servers may forward calls here already, and
        what is not open yet says so. Raises InsecureListen, and RuntimeError where the address
        cannot be had; JournalError.
        """
        if credentials is None and not insecure and not is_loopback(listen):
            raise InsecureListen(
                f"{listen} is reachable from other machines: give a certificate and a key, or ask "
                "for insecure listening if the network itself is trusted"
            )
        if self.gate is None and not insecure and not is_loopback(listen):
            raise InsecureListen(
                f"{listen} is reachable from other machines, and nobody asks who calls: give an "
                "authenticator, or ask for insecure listening if the network itself is trusted"
            )
        await self._gateway_keys.learn()
        made = server(options=OPTIONS)
        made.add_generic_rpc_handlers((Methods(self.served, self._calls),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, made)
        names = self._names()
        shown = (*names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            GuardedReflection(shown, self.gate), made
        )
        if credentials is None:
            port = made.add_insecure_port(listen)
        else:
            port = made.add_secure_port(listen, credentials)
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await made.start()
        self._server = made
        host = listen.rpartition(":")[0]
        return listen if listen.startswith("unix:") else f"{host}:{port}"

    async def serve(self) -> None:
        """The ledger is open: tell whoever asks after our health to come."""
        for name in ("", *self._names()):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._go_on()

    def _names(self) -> list[str]:
        return [service.full_name for service, _ in self.served]

    async def not_serving(self) -> None:
        """Tell whoever asks after our health to go elsewhere; calls are still answered."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float | None = None) -> None:
        """Take no more calls, give those in flight `grace_s` seconds, and stop what runs beside."""
        self.edge.closing.set()
        await self.hang_up(grace_s)
        await self.settlements.stop(grace_s)
        if self.recorder is not None:
            await self.recorder.stop()
        await self.parking.stop()
        if self.closer is not None:
            await self.closer.stop()
        if self.runways is not None:
            await self.runways.stop()
        await self.eraser.stop()
        await self.forwarder.close()
        await self.checker.stop()

    async def hang_up(self, grace_s: float | None = None) -> None:
        """Take no more calls; what runs beside goes on, and the shards stay."""
        if self._server is not None:
            await self._server.stop(grace_s)

    async def _go_on(self) -> None:
        """Take up what a predecessor left: parked usage, unfinished erasures, statements that are
        to be closed."""
        directory = self.edge.ledger.directory
        self.parking.start([tenant.number for tenant in await directory.list_tenants()])
        if await directory.erasures_pending():
            self.eraser.go_on()
        if self.closer is not None:
            self.closer.start()
        if self.runways is not None:
            self.runways.start()
        if self.recorder is not None:
            await self.recorder.start()


def services(
    edge: Edge,
    usage: UsageService,
    decisions: DecisionService,
    parking: Parking,
    eraser: Eraser,
    forwarder: Forwarder,
    checker: CardChecker,
    journal: JournalService,
    history: History | None = None,
    simulator: Simulator | None = None,
    closer: StatementCloser | None = None,
    mandates: MandateKeys | None = None,
) -> list[tuple[ServiceDescriptor, object]]:
    """Every service of the contract with its servicer."""
    return [
        (usage_pb2.DESCRIPTOR.services_by_name["UsageService"], usage),
        (explain_pb2.DESCRIPTOR.services_by_name["ExplainService"], ExplainService(edge)),
        (
            decision_pb2.DESCRIPTOR.services_by_name["DecisionService"],
            decisions,
        ),
        (outcome_pb2.DESCRIPTOR.services_by_name["OutcomeService"], OutcomeService(edge)),
        (lease_pb2.DESCRIPTOR.services_by_name["LeaseService"], LeaseService(edge)),
        (sizing_pb2.DESCRIPTOR.services_by_name["SizingService"], SizingService(edge, history)),
        (
            account_pb2.DESCRIPTOR.services_by_name["AccountService"],
            AccountService(edge, parking, eraser, forwarder),
        ),
        (grant_pb2.DESCRIPTOR.services_by_name["GrantService"], GrantService(edge)),
        (
            correction_pb2.DESCRIPTOR.services_by_name["CorrectionService"],
            CorrectionService(edge, forwarder, history),
        ),
        (
            recurring_pb2.DESCRIPTOR.services_by_name["RecurringGrantService"],
            RecurringGrantService(edge),
        ),
        (seat_pb2.DESCRIPTOR.services_by_name["SeatService"], SeatService(edge)),
        (
            charge_pb2.DESCRIPTOR.services_by_name["ChargeService"],
            ChargeService(edge, history),
        ),
        (
            decision_policy_pb2.DESCRIPTOR.services_by_name["DecisionPolicyService"],
            DecisionPolicyService(edge),
        ),
        (budget_pb2.DESCRIPTOR.services_by_name["BudgetService"], BudgetService(edge)),
        (
            mandate_pb2.DESCRIPTOR.services_by_name["MandateService"],
            MandateService(edge, parking, mandates),
        ),
        (family_pb2.DESCRIPTOR.services_by_name["FamilyService"], FamilyService(edge)),
        (top_up_pb2.DESCRIPTOR.services_by_name["TopUpService"], TopUpService(edge)),
        (runway_pb2.DESCRIPTOR.services_by_name["RunwayService"], RunwayService(edge)),
        (balance_pb2.DESCRIPTOR.services_by_name["BalanceService"], BalanceService(edge, history)),
        (payment_pb2.DESCRIPTOR.services_by_name["PaymentService"], PaymentService(edge)),
        (
            commitment_pb2.DESCRIPTOR.services_by_name["CommitmentService"],
            CommitmentService(edge),
        ),
        (
            journal_pb2.DESCRIPTOR.services_by_name["JournalService"],
            journal,
        ),
        (
            report_pb2.DESCRIPTOR.services_by_name["ReportService"],
            ReportService(edge, history),
        ),
        (
            statement_pb2.DESCRIPTOR.services_by_name["StatementService"],
            StatementService(edge, history, closer),
        ),
        (peer_pb2.DESCRIPTOR.services_by_name["PeerService"], PeerService(edge.ledger)),
        (clock_pb2.DESCRIPTOR.services_by_name["ClockService"], ClockService(edge)),
        (
            pricing_pb2.DESCRIPTOR.services_by_name["PricingService"],
            PricingService(edge, checker, history, simulator),
        ),
        (
            conversion_pb2.DESCRIPTOR.services_by_name["ConversionService"],
            ConversionService(edge),
        ),
        (meter_pb2.DESCRIPTOR.services_by_name["MeterService"], MeterService(edge)),
        (fail_mode_pb2.DESCRIPTOR.services_by_name["FailModeService"], FailModeService(edge)),
        (contract_pb2.DESCRIPTOR.services_by_name["ContractService"], ContractService(edge)),
        (
            package_pb2.DESCRIPTOR.services_by_name["PackageService"],
            PackageService(edge, forwarder),
        ),
    ]


class Methods(grpc.GenericRpcHandler):
    """Every method of every service, found in one look: gRPC asks handler after handler."""

    def __init__(self, services: Sequence[tuple[ServiceDescriptor, object]], calls: Calls) -> None:
        self._find = {
            f"/{service.full_name}/{method.name}": _handler(method, servicer, calls)
            for service, servicer in services
            for method in service.methods
        }.get

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """See grpc. A method goes to its namesake in snake case."""
        return self._find(handler_call_details.method)


def _handler(
    method: MethodDescriptor, servicer: object, calls: Calls
) -> grpc.RpcMethodHandler[Any, Any]:
    behaviour = getattr(servicer, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
    request = message_factory.GetMessageClass(method.input_type)
    reply = message_factory.GetMessageClass(method.output_type)
    full_name = f"{method.containing_service.full_name}/{method.name}"
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(
            calls.stream(full_name, behaviour),
            request_deserializer=deserialiser(request),
            response_serializer=reply.SerializeToString,
        )
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(
            calls.server_stream(full_name, behaviour, reply),
            request_deserializer=deserialiser(request),
            response_serializer=reply.SerializeToString,
        )
    return grpc.unary_unary_rpc_method_handler(
        calls.unary(full_name, behaviour, reply),
        request_deserializer=deserialiser(request),
        response_serializer=reply.SerializeToString,
    )


def is_loopback(listen: str) -> bool:
    """Whether only this machine can reach the address "host:port", "[v6]:port" or "unix:path"."""
    if listen.startswith("unix:"):
        return True
    return loopback.is_loopback(listen.rpartition(":")[0].strip("[]"))
