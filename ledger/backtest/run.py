"""A simulation of a tenant's prices: every shard, in processes of their own, with progress.

Reads the journal and the published configuration, and writes nothing. A server may go on: what it
records meanwhile is not in the range.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterable

import msgspec

from ledger.backtest.candidate import Candidate
from ledger.backtest.figures import Figures
from ledger.backtest.job import Job, Said
from ledger.backtest.report import Report, Trial
from ledger.backtest.terms import NO_TERMS
from ledger.core.catalog import Asset, asset_number
from ledger.engine.configuration import AssetBody
from ledger.journal.configuration import ConfigurationKind
from ledger.journal.configuration_postgres import PostgresConfigurationStore
from ledger.journal.connection import Connection, connect, open_pool
from ledger.journal.migrate import read_settings
from ledger.journal.sql import load
from rating.card import RateCard, canonical_bytes, content_hash, decode_card, validate

LINE_BYTES_MAX = 64 << 20  # of one answer: the accounts that are asked for
_SQL = load("directory")

Watch = Callable[[str, int, int], None]
"""Called with ("shard N", entries done, entries to do) as it goes on."""


class SimulationRefused(Exception):
    """It cannot be tried. `advice` says what to do."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class SimulationFailed(Exception):
    """A process could not read what it was to replay."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to try: a card, or a published version of one (`name`, `version`), in [from, to) by
    recorded time; None = everything. Without either, the cards as they were published."""

    tenant: str
    card: RateCard | None = None
    name: str = ""
    version: int = 0
    from_us: int | None = None
    to_us: int | None = None
    accounts_max: int = 20


async def simulate(dsn: str, asked: Asked, watch: Watch) -> Report:
    """Replay the range under the candidate. Raises SimulationRefused, MigrationRefused,
    JournalUnavailable, SimulationFailed."""
    if asked.from_us is not None and asked.to_us is not None and asked.from_us >= asked.to_us:
        raise SimulationRefused(
            f"the range from {asked.from_us} to {asked.to_us} us is empty",
            "--to is the first instant that is no longer replayed, after --from",
        )
    settings = await read_settings(dsn)
    connection = await connect(dsn, application_name="drawdown pricing simulate")
    try:
        tenant = await _tenant(connection, asked.tenant)
        candidate, trial, assets = await _candidate(dsn, tenant, asked)
        figures = await _replay(dsn, range(settings.shards), candidate, asked, watch)
        named = {each.account for each in (*figures.shocks, *figures.over_limit)}
        named |= {each.account for each in figures.denials}
        named |= {each.account for each in figures.margins}
        rows = await connection.fetch(_SQL["names"], sorted(named))
    finally:
        connection.terminate()
    names = {row["number"]: row["account_id"] or "" for row in rows}
    return Report(asked.tenant, trial, asked.from_us, asked.to_us, figures, assets, names)


async def _tenant(connection: Connection, name: str) -> int:
    tenants = {row["name"]: row["number"] for row in await connection.fetch(_SQL["tenants"])}
    if name not in tenants:
        raise SimulationRefused(
            f"there is no tenant {name!r}", f"tenants: {', '.join(sorted(tenants))}"
        )
    number: int = tenants[name]
    return number


async def _candidate(
    dsn: str, tenant: int, asked: Asked
) -> tuple[Candidate, Trial | None, dict[int, Asset]]:
    """What is tried, checked against what is published; and the tenant's assets."""
    pool = await open_pool(dsn, application_name="drawdown pricing simulate")
    try:
        store = PostgresConfigurationStore(pool)
        entries = [each for each in await store.read(None) if each.tenant == tenant]
        assets: dict[int, Asset] = {}
        for entry in entries:
            if entry.kind == ConfigurationKind.ASSET:
                found = await store.body(entry.content_hash)
                assert found is not None
                body = msgspec.msgpack.decode(found, type=AssetBody)
                number = asset_number(tenant, entry.version)
                assets[number] = Asset(number, tenant, body.code, body.scale, body.kind)
        cards = [each for each in entries if each.kind == ConfigurationKind.RATE_CARD]
        if asked.card is not None:
            _check(asked.card, {each.name for each in cards}, assets.values())
            body_bytes = canonical_bytes(asked.card)
            trial = Trial(asked.card.name, 0, content_hash(body_bytes).hex())
            return Candidate(tenant, asked.card.name, body_bytes), trial, assets
        if not asked.name:
            return Candidate(tenant), None, assets
        for entry in cards:
            if (entry.name, entry.version) == (asked.name, asked.version):
                published = await store.body(entry.content_hash)
                assert published is not None
                _check(decode_card(published), {asked.name}, assets.values())
                trial = Trial(asked.name, asked.version, entry.content_hash.hex())
                return Candidate(tenant, asked.name, b"", asked.version), trial, assets
    finally:
        await pool.close()
    versions = ", ".join(str(each.version) for each in cards if each.name == asked.name)
    raise SimulationRefused(
        f"there is no version {asked.version} of rate card {asked.name!r}",
        f"its versions: {versions}" if versions else "list the cards that there are",
    )


def _check(card: RateCard, published: set[str], assets: Iterable[Asset]) -> None:
    """Whether the card can price what was recorded."""
    faults = validate(card)
    if faults:
        said = "; ".join(str(fault) for fault in faults[:3])
        raise SimulationRefused(f"the rate card has {len(faults)} faults: {said}", "correct them")
    if card.name not in published:
        raise SimulationRefused(
            f"no usage was priced by a rate card {card.name!r}",
            f"the candidate has the name of the card that it is to replace: "
            f"{', '.join(sorted(published)) or 'none is published'}",
        )
    known = {asset.code: asset for asset in assets}
    asset = known.get(card.asset)
    if asset is None or asset.scale != card.asset_scale:
        raise SimulationRefused(
            f"the card charges in {card.asset!r} with scale {card.asset_scale}",
            "assets: " + ", ".join(f"{each.code} with scale {each.scale}" for each in assets),
        )


async def _replay(
    dsn: str, shards: Iterable[int], candidate: Candidate, asked: Asked, watch: Watch
) -> Figures:
    """Shards over as many processes as there are cores; the first that fails ends them all."""
    every = list(shards)
    count = min(len(every), len(os.sched_getaffinity(0)))
    figures = Figures()
    jobs = [
        Job(
            dsn=dsn,
            shards=every[first::count],
            from_us=asked.from_us,
            to_us=asked.to_us,
            candidate=candidate,
            terms=NO_TERMS,
            accounts_max=asked.accounts_max,
        )
        for first in range(count)
    ]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_process(job, watch)) for job in jobs]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    for task in tasks:
        figures.merge(task.result(), asked.accounts_max)
    return figures


async def _process(job: Job, watch: Watch) -> Figures:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ledger.backtest.worker",
        stdin=PIPE,
        stdout=PIPE,
        limit=LINE_BYTES_MAX,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        async for line in process.stdout:
            said = msgspec.json.decode(line, type=Said)
            if said.figures is not None:
                return said.figures
            if said.fault:
                raise SimulationFailed(said.fault)
            watch(f"shard {said.shard}", said.done, said.total)
        raise SimulationFailed(
            f"the process that replays shards {job.shards} ended with code {await process.wait()}"
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
