"""PricingService.Simulate: what is tried, checked; progress as it comes; the report at last.

The replay runs in processes that are not ours (`ledger.backtest.simulator`), and ends with the
call. Must not read the journal itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final, Protocol

from ledger.api.card_check import CheckedCard
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed, Fault
from ledger.api.limits import Checked
from ledger.api.published import Published
from ledger.api.rendering.render_simulation import render_report
from ledger.backtest.candidate import Candidate
from ledger.backtest.figures import Figures
from ledger.backtest.processes import SimulationFailed, Watch, Work
from ledger.backtest.simulator import SimulationRunning
from ledger.backtest.terms import NO_TERMS, Terms
from ledger.backtest.terms_file import accounts_named, read_terms
from ledger.core.catalog import Asset, asset_number
from rating.card_file import Form, document_of
from rating.faults import CardError, CardFault
from rating.v1 import simulation_pb2 as pb

ACCOUNTS: Final = 20
ACCOUNTS_MAX: Final = 10_000
TERMS_BYTES_MAX: Final = 1 << 20
_TERMS: Final = "terms: an object with grants, scale, policies"

CheckCard = Callable[[int, pb.SimulateRequest], Awaitable[CheckedCard]]
"""Says what became of the card of a request, or fails the call."""


class Simulator(Protocol):
    """Who runs simulations for this server."""

    async def run(self, work: Work, watch: Watch) -> Figures:
        """Replay every shard. Raises SimulationRunning, SimulationFailed."""
        ...


async def simulate(
    edge: Edge,
    published: Published,
    check_card: CheckCard,
    simulator: Simulator | None,
    request: pb.SimulateRequest,
) -> AsyncGenerator[pb.SimulateResponse, None]:
    """Messages of the call, the report last."""
    tenant = await edge.tenant(request.tenant)
    _check(request)
    if simulator is None:
        raise CallFailed(
            "SIMULATION_ABSENT",
            "this server keeps nothing in PostgreSQL that could be replayed",
        )
    candidate, content_hash = await _candidate(published, check_card, tenant, request)
    assets = await _assets(published, tenant)
    work = Work(
        candidate=candidate,
        terms=await _terms(edge, tenant, request, assets),
        from_us=request.from_us or None,
        to_us=request.to_us or edge.ledger.clock.now_us(),
        accounts_max=request.accounts_max or ACCOUNTS,
    )
    progress = _Progress()
    running = asyncio.create_task(simulator.run(work, progress))
    closing = asyncio.create_task(edge.closing.wait())
    try:
        while True:
            moved = asyncio.create_task(progress.moved.wait())
            await asyncio.wait((running, closing, moved), return_when=asyncio.FIRST_COMPLETED)
            moved.cancel()
            if running.done() or closing.done():
                break
            for message in progress.take():
                yield pb.SimulateResponse(progress=message)
        if not running.done():
            raise CallFailed("SHUTTING_DOWN", "the server stops; ask another one")
        figures = _found(running)
    finally:
        closing.cancel()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)  # its processes are gone then
    for message in progress.take():
        yield pb.SimulateResponse(progress=message)
    listed = (figures.shocks, figures.over_limit, figures.denials, figures.margins)
    names = await edge.names(each.account for lines in listed for each in lines)
    report = render_report(figures, candidate, content_hash, assets, names)
    yield pb.SimulateResponse(report=report)


class _Progress:
    """How far each shard is, as far as that was not told yet."""

    def __init__(self) -> None:
        self.moved = asyncio.Event()
        self._shards: dict[int, pb.SimulationProgress] = {}

    def __call__(self, shard: int, done: int, total: int) -> None:
        self._shards[shard] = pb.SimulationProgress(shard=shard, entries_done=done, entries=total)
        self.moved.set()

    def take(self) -> list[pb.SimulationProgress]:
        """What is new."""
        found = [*self._shards.values()]
        self._shards.clear()
        self.moved.clear()
        return found


def _found(running: asyncio.Task[Figures]) -> Figures:
    try:
        return running.result()
    except SimulationRunning as error:
        raise CallFailed(
            "SIMULATION_RUNNING",
            "this server runs a simulation already: wait for it, ask another server, or run "
            "`drawdown pricing simulate`",
            field="tenant",
        ) from error
    except SimulationFailed as error:
        raise CallFailed("SIMULATION_FAILED", str(error)) from error


def _check(request: pb.SimulateRequest) -> None:
    check = Checked()
    check.optional(name=request.name)
    check.text("terms", request.terms, TERMS_BYTES_MAX)
    check.between("version", request.version, 0)
    check.between("accounts_max", request.accounts_max, 0, ACCOUNTS_MAX)
    check.instant("from_us", request.from_us)
    check.instant("to_us", request.to_us)
    if request.HasField("card") and (request.name or request.version):
        message = "a card or a published version is tried, not both"
        check.fault(Fault("FIELD_NOT_ALLOWED", "card", request.card.name, message))
    elif bool(request.name) != bool(request.version):
        check.given("version" if request.name else "name", False)
    if request.to_us and request.from_us >= request.to_us:
        message = "the range ends where it begins or before"
        check.fault(Fault("RANGE_INVALID", "to_us", str(request.to_us), message))
    check.done()


async def _candidate(
    published: Published, check_card: CheckCard, tenant: int, request: pb.SimulateRequest
) -> tuple[Candidate, bytes]:
    """What is tried, and its content hash."""
    named = request.card.name if request.HasField("card") else request.name
    if not named and not request.HasField("card"):
        return Candidate(tenant), b""
    versions = await published.versions(tenant, named)
    if request.HasField("card"):
        card = await check_card(tenant, request)
        if not versions:
            raise CallFailed(
                "RATE_CARD_UNKNOWN",
                "no usage was priced by a card of this name: the candidate has the name of the "
                "card that it is to replace",
                field="card.name",
                value=named,
            )
        return Candidate(tenant, named, card.body), card.content_hash
    for entry in versions:
        if entry.version == request.version:
            return Candidate(tenant, named, b"", entry.version), entry.content_hash
    raise CallFailed(
        "RATE_CARD_UNKNOWN",
        "the tenant has no such version of a rate card",
        field="version",
        value=f"{named} version {request.version}",
    )


async def _assets(published: Published, tenant: int) -> dict[int, Asset]:
    found = {}
    for entry in await published.assets(tenant):
        body = await published.asset_body(entry)
        number = asset_number(tenant, entry.version)
        found[number] = Asset(number, tenant, body.code, body.scale, body.kind)
    return found


async def _terms(
    edge: Edge, tenant: int, request: pb.SimulateRequest, assets: dict[int, Asset]
) -> Terms:
    """The terms, or every fault of them."""
    if not request.terms:
        return NO_TERMS
    try:
        document = document_of(request.terms.encode(), Form.JSON, _TERMS)
    except CardError as error:
        raise _terms_invalid(error.faults) from error
    accounts = {}
    for name in sorted(accounts_named(document)):
        entry = await edge.ledger.resolve(tenant, name)
        if entry is not None and entry.account_id == name:  # an alias means what it means now
            accounts[name] = entry.number
    terms, faults = read_terms(
        document, accounts, assets.values(), request.from_us or None, request.to_us or None
    )
    if faults:
        raise _terms_invalid(faults)
    return terms


def _terms_invalid(faults: list[CardFault]) -> CallFailed:
    first = faults[0]
    field = f"terms.{first.path}".rstrip(".")
    return CallFailed(
        "TERMS_INVALID",
        f"the terms cannot be tried: {len(faults)} faults; the first is {first.path}: "
        f"{first.message}",
        field=field,
        value=first.value,
        faults=[
            Fault(each.reason, f"terms.{each.path}".rstrip("."), each.value, each.message)
            for each in faults
        ],
    )
