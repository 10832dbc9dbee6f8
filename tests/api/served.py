"""A ledger behind a real socket, and a caller with a stub of every service, for the tests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from ledger.api.calls import STATUS_DETAILS
from ledger.api.server import LedgerServer
from ledger.engine.ledger import Ledger, Storage
from ledger.v1 import (
    account_pb2,
    account_pb2_grpc,
    balance_pb2,
    balance_pb2_grpc,
    budget_pb2_grpc,
    charge_pb2_grpc,
    clock_pb2_grpc,
    commitment_pb2_grpc,
    contract_pb2_grpc,
    correction_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    decision_policy_pb2_grpc,
    explain_pb2_grpc,
    fail_mode_pb2_grpc,
    family_pb2_grpc,
    grant_pb2,
    grant_pb2_grpc,
    journal_pb2_grpc,
    lease_pb2_grpc,
    mandate_pb2_grpc,
    outcome_pb2_grpc,
    package_pb2_grpc,
    payment_pb2_grpc,
    recurring_pb2_grpc,
    report_pb2_grpc,
    runway_pb2_grpc,
    seat_pb2_grpc,
    sizing_pb2_grpc,
    top_up_pb2_grpc,
    types_pb2,
    usage_pb2,
    usage_pb2_grpc,
)
from rating.v1 import (
    card_pb2,
    conversion_pb2_grpc,
    meter_pb2_grpc,
    pricing_pb2,
    pricing_pb2_grpc,
)
from tests.patience import HANGS_S

TENANT = "default"
PRODUCT = "chat"
INPUT_PRICE, OUTPUT_PRICE = 3, 15  # minor units of the asset a token


@dataclass
class SystemClock:
    """The machine's clock; `ahead_us` moves it, and the monotonic one with it."""

    ahead_us: int = 0

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + self.ahead_us

    def monotonic_us(self) -> int:
        return time.monotonic_ns() // 1_000 + self.ahead_us


@dataclass
class Refused:
    """A status as a caller sees it."""

    code: grpc.StatusCode
    reason: str
    message: str
    metadata: Mapping[str, str]
    violations: list[tuple[str, str]]  # (field, reason)
    retry_after_us: int
    quota: list[str]


def refused(error: grpc.aio.AioRpcError) -> Refused:
    """Read the google.rpc.Status of an error; every one of ours carries one."""
    found = [value for key, value in error.trailing_metadata() or () if key == STATUS_DETAILS]
    assert found, f"{error.code()} without details: {error.details()}"
    status = status_pb2.Status.FromString(found[0])
    assert status.message == error.details()
    assert status.code == error.code().value[0]
    refusal = Refused(error.code(), "", status.message, {}, [], 0, [])
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        quota = error_details_pb2.QuotaFailure()
        if detail.Unpack(info):
            assert info.domain == "drawdown"
            refusal.reason, refusal.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            refusal.violations = [(v.field, v.reason) for v in bad.field_violations]
        elif detail.Unpack(retry):
            refusal.retry_after_us = retry.retry_delay.ToMicroseconds()
        elif detail.Unpack(quota):
            refusal.quota = [violation.subject for violation in quota.violations]
    assert refusal.reason
    return refusal


async def refusal_of(call: Any) -> Refused:
    """The status that a call ends with."""
    try:
        reply = await call
    except grpc.aio.AioRpcError as error:
        return refused(error)
    raise AssertionError(f"the call was answered: {reply}")


def servicer_of(caller: Served, service: str) -> Any:
    """What answers a service, to be asked without a socket."""
    assert caller.server is not None
    return next(found for each, found in caller.server.served if each.name == service)


@dataclass
class Served:
    """A caller of a served ledger."""

    server: LedgerServer
    ledger: Ledger
    channel: grpc.aio.Channel
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    tenant: str = TENANT
    address: str = ""

    def __post_init__(self) -> None:
        self.usage = usage_pb2_grpc.UsageServiceStub(self.channel)
        self.decisions = decision_pb2_grpc.DecisionServiceStub(self.channel)
        self.accounts = account_pb2_grpc.AccountServiceStub(self.channel)
        self.explaining = explain_pb2_grpc.ExplainServiceStub(self.channel)
        self.grants = grant_pb2_grpc.GrantServiceStub(self.channel)
        self.payments = payment_pb2_grpc.PaymentServiceStub(self.channel)
        self.commitments = commitment_pb2_grpc.CommitmentServiceStub(self.channel)
        self.recurring = recurring_pb2_grpc.RecurringGrantServiceStub(self.channel)
        self.clock = clock_pb2_grpc.ClockServiceStub(self.channel)
        self.runways = runway_pb2_grpc.RunwayServiceStub(self.channel)
        self.top_ups = top_up_pb2_grpc.TopUpServiceStub(self.channel)
        self.balances = balance_pb2_grpc.BalanceServiceStub(self.channel)
        self.corrections = correction_pb2_grpc.CorrectionServiceStub(self.channel)
        self.reports = report_pb2_grpc.ReportServiceStub(self.channel)
        self.fail_modes = fail_mode_pb2_grpc.FailModeServiceStub(self.channel)
        self.families = family_pb2_grpc.FamilyServiceStub(self.channel)
        self.charges = charge_pb2_grpc.ChargeServiceStub(self.channel)
        self.budgets = budget_pb2_grpc.BudgetServiceStub(self.channel)
        self.policies = decision_policy_pb2_grpc.DecisionPolicyServiceStub(self.channel)
        self.leases = lease_pb2_grpc.LeaseServiceStub(self.channel)
        self.mandates = mandate_pb2_grpc.MandateServiceStub(self.channel)
        self.outcomes = outcome_pb2_grpc.OutcomeServiceStub(self.channel)
        self.journal = journal_pb2_grpc.JournalServiceStub(self.channel)
        self.pricing = pricing_pb2_grpc.PricingServiceStub(self.channel)
        self.conversions = conversion_pb2_grpc.ConversionServiceStub(self.channel)
        self.meters = meter_pb2_grpc.MeterServiceStub(self.channel)
        self.contracts = contract_pb2_grpc.ContractServiceStub(self.channel)
        self.packages = package_pb2_grpc.PackageServiceStub(self.channel)
        self.sizing = sizing_pb2_grpc.SizingServiceStub(self.channel)
        self.seats = seat_pb2_grpc.SeatServiceStub(self.channel)

    def new_id(self, what: str = "request") -> str:
        return f"{what}-{next(self.numbers)}"

    # -- what most tests begin with ----------------------------------------------------------------

    async def priced(self, **changes: Any) -> None:
        """The asset `credit` and the card `default`, which prices `chat` in it."""
        await self.asset("credit", 6, pricing_pb2.ASSET_KIND_CREDIT)
        await self.pricing.PublishRateCard(
            pricing_pb2.PublishRateCardRequest(
                tenant=self.tenant, request_id=self.new_id(), card=card(**changes)
            )
        )

    async def asset(self, code: str, scale: int, kind: int) -> pricing_pb2.CreateAssetResponse:
        return await self.pricing.CreateAsset(
            pricing_pb2.CreateAssetRequest(
                tenant=self.tenant,
                request_id=self.new_id(),
                asset=pricing_pb2.Asset(asset=code, scale=scale, kind=kind),
            )
        )

    async def account(
        self, name: str, parent: str = "", **policy: Any
    ) -> account_pb2.AccountServiceCreateResponse:
        return await self.accounts.Create(
            account_pb2.AccountServiceCreateRequest(
                tenant=self.tenant,
                request_id=self.new_id(),
                account=name,
                parent=parent,
                policy=account_pb2.AccountPolicy(**policy),
            )
        )

    async def grant(
        self, account: str, amount: int, **changes: Any
    ) -> grant_pb2.GrantServiceIssueResponse:
        fields = {
            "tenant": self.tenant,
            "request_id": self.new_id(),
            "account": account,
            "asset": "credit",
            "amount": amount,
            "kind": types_pb2.GRANT_KIND_PREPAID,
            **changes,
        }
        return await self.grants.Issue(grant_pb2.GrantServiceIssueRequest(**fields))

    async def ingest(
        self, *events: usage_pb2.UsageEvent, **changes: Any
    ) -> usage_pb2.IngestResponse:
        return await self.usage.Ingest(plain(*events, **{"tenant": self.tenant, **changes}))

    async def balance(
        self, account: str, product: str = "", min_position: str = ""
    ) -> balance_pb2.AssetBalance:
        """The balance of the account's only asset."""
        reply = await self.balances.Get(
            balance_pb2.BalanceServiceGetRequest(
                tenant=self.tenant, account=account, product=product, min_position=min_position
            )
        )
        assert len(reply.balances) == 1, reply
        return reply.balances[0]

    async def check(self, account: str, **changes: Any) -> decision_pb2.CheckResponse:
        return await self.decisions.Check(
            decision_pb2.CheckRequest(**{**work(account), "tenant": self.tenant, **changes})
        )

    async def authorize(self, account: str, **changes: Any) -> decision_pb2.AuthorizeResponse:
        fields = {
            **work(account),
            "tenant": self.tenant,
            "request_id": self.new_id(),
            **changes,
        }
        return await self.decisions.Authorize(decision_pb2.AuthorizeRequest(**fields))

    async def debit(self, account: str, **changes: Any) -> decision_pb2.DebitResponse:
        fields = {
            **work(account),
            "tenant": self.tenant,
            "request_id": self.new_id(),
            **changes,
        }
        return await self.decisions.Debit(decision_pb2.DebitRequest(**fields))


def work(account: str, input_tokens: int = 100, output_tokens: int = 20) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "account": account,
        "product": PRODUCT,
        "quantities": {"input_tokens": input_tokens, "output_tokens": output_tokens},
    }


def card(**changes: Any) -> card_pb2.RateCard:
    fields: dict[str, Any] = {
        "name": "default",
        "asset": "credit",
        "asset_scale": 6,
        "meters": [
            card_pb2.Meter(quantity="input_tokens"),
            card_pb2.Meter(quantity="output_tokens"),
            card_pb2.Meter(quantity="cached_tokens", subset_of="input_tokens"),
        ],
        "products": [card_pb2.Product(product=PRODUCT, display_name="Chat")],
        "rows": [
            card_pb2.PriceRow(product=PRODUCT, quantity="input_tokens", price="0.000003"),
            card_pb2.PriceRow(product=PRODUCT, quantity="output_tokens", price="0.000015"),
            card_pb2.PriceRow(product=PRODUCT, quantity="cached_tokens", price="0.000001"),
        ],
    }
    return card_pb2.RateCard(**{**fields, **changes})


def event(
    event_id: str, account: str, input_tokens: int = 100, output_tokens: int = 20, **changes: Any
) -> usage_pb2.UsageEvent:
    fields = {
        "id": event_id,
        "account": account,
        "product": PRODUCT,
        "quantities": {"input_tokens": input_tokens, "output_tokens": output_tokens},
        **changes,
    }
    return usage_pb2.UsageEvent(**fields)


def plain(*events: usage_pb2.UsageEvent, **changes: Any) -> usage_pb2.IngestRequest:
    fields = {"tenant": TENANT, "source": "gateway", "events": events, **changes}
    return usage_pb2.IngestRequest(**fields)


def compact(*events: usage_pb2.UsageEvent, **changes: Any) -> usage_pb2.IngestRequest:
    """The same events in columns."""
    batch = usage_pb2.CompactBatch()
    shapes: dict[tuple[Any, ...], int] = {}
    accounts: dict[str, int] = {}
    for place, each in enumerate(events):
        names = tuple(each.quantities)
        shape = (each.product, tuple(each.attributes.items()), names, each.source)
        if shape not in shapes:
            shapes[shape] = len(shapes)
            batch.shapes.add(
                product=each.product,
                attributes=each.attributes,
                quantity_names=names,
                source=each.source,
            )
        batch.shape_index.append(shapes[shape])
        batch.account_index.append(accounts.setdefault(each.account, len(accounts)))
        batch.ids.append(each.id)
        batch.effective_at_us.append(each.effective_at_us)
        batch.quantities.extend(each.quantities[name] for name in names)
        if each.operation or each.operation_parent:
            batch.operations.add(
                event=place, operation=each.operation, operation_parent=each.operation_parent
            )
        if each.personal_attributes:
            batch.personal.add(event=place, attributes=each.personal_attributes)
        if each.quote_id:
            batch.quotes.add(event=place, quote_id=each.quote_id)
    batch.accounts.extend(accounts)
    fields = {"tenant": TENANT, "source": "gateway", "compact": batch, **changes}
    return usage_pb2.IngestRequest(**fields)


@asynccontextmanager
async def served(
    storage: Storage, clock: SystemClock | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Open a ledger on this storage and serve it on a free port of loopback."""
    ledger = Ledger(storage, clock or SystemClock())
    ledger.start()
    async with asyncio.timeout(HANGS_S):
        await ledger.opened()
    server = LedgerServer(ledger, **options)
    address = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield Served(server, ledger, channel, address=address)
    finally:
        await server.stop(0)
        await ledger.stop()
