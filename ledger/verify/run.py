"""`verify`: every shard in turn, each read once. Runs beside a server and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from ledger.journal.configuration import content_hash
from ledger.journal.connection import AWAY_ERRORS, CONNECT_ERRORS, Connection, connect, describe
from ledger.journal.errors import JournalUnavailable
from ledger.journal.migrate import read_settings
from ledger.journal.sql import load
from ledger.verify.read_models import ReadModels, read_models
from ledger.verify.reflections import Reflection, ReflectionSource
from ledger.verify.report import Findings, Report, ShardReport
from ledger.verify.shard import PublishedHashes, ShardCheck, check_rows, read_rows

_SQL: Final = load("journal") | load("configuration")

Progress = Callable[[int, int, int], None]
"""Called with (shard, entries checked, entries in its journal) as it goes on."""


def _silent(_shard: int, _done: int, _total: int) -> None:
    """Nobody watches."""


async def verify(
    dsn: str,
    progress: Progress = _silent,
    *,
    sources: Sequence[ReflectionSource] = (read_models,),
) -> Report:
    """Re-derive everything from the journal and compare; see the package.

    For each shard: gapless batches and entries, the hash of each row and the chain, every identity
    once, debits = credits per asset after every batch, and the replayed state against each claim of
    `sources` at the claim's own batch. Raises MigrationRefused, JournalUnavailable.
    """
    settings = await read_settings(dsn)
    report = Report(True, [], [])
    try:
        connection = await connect(dsn, application_name="drawdown verify")
        try:
            published = await _published(connection)
            for shard in range(settings.shards):
                findings = await _verify_shard(connection, shard, published, sources, progress)
                report.shards.append(findings.report)
                report.findings += findings.found
        finally:
            connection.terminate()
    except (*CONNECT_ERRORS, *AWAY_ERRORS) as error:
        raise JournalUnavailable(f"verify was cut off: {describe(error)}") from error
    report.ok = not report.findings
    return report


async def _verify_shard(
    connection: Connection,
    shard: int,
    published: PublishedHashes,
    sources: Sequence[ReflectionSource],
    progress: Progress,
) -> Findings:
    findings = Findings(ShardReport(shard))
    claims = await _claims(connection, shard, sources)
    for claim in claims:
        if isinstance(claim, ReadModels):
            findings.report.projected = claim.entries
    head = await connection.fetchrow(_SQL["head"], shard)
    total: int = head["first_event"] + head["event_count"] if head is not None else 0
    check = ShardCheck(findings.report, findings, published, claims)
    await check_rows(
        read_rows(connection, shard), check, lambda done: progress(shard, done, max(done, total))
    )
    return findings


async def _claims(
    connection: Connection, shard: int, sources: Sequence[ReflectionSource]
) -> list[Reflection]:
    """What claims to be this shard's state, all of one snapshot."""
    claims: list[Reflection] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for source in sources:
            claim = await source(connection, shard)
            if claim is not None:
                claims.append(claim)
    return claims


async def _published(connection: Connection) -> PublishedHashes:
    """Published configuration whose body stands under its hash."""
    good: dict[bytes, bool] = {}
    published: PublishedHashes = {}
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["read_all"], 0)
    for row in rows:
        hashed = row["content_hash"]
        if hashed not in good:
            body = await connection.fetchval(_SQL["body"], hashed)
            good[hashed] = body is not None and content_hash(body) == hashed
        if good[hashed]:
            published[(row["tenant"], row["version"])] = hashed
    return published
