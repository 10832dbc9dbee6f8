"""A simulation of a tenant's prices from the database alone: no server is needed for it.

Checks what is to be tried, has every shard replayed in processes of their own, and names what was
found. Reads the journal and the published configuration, and writes nothing. A server may go on:
what it records meanwhile is not in the range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ledger.backtest.candidate import Candidate
from ledger.backtest.processes import Watch, Work, replay_all
from ledger.backtest.report import Report, Trial
from ledger.backtest.terms import Terms
from ledger.backtest.terms_file import accounts_named, read_terms
from ledger.core.catalog import Asset, asset_number
from ledger.engine.configuration import AssetBody
from ledger.journal.configuration import ConfigurationEntry, ConfigurationKind
from ledger.journal.configuration_postgres import PostgresConfigurationStore
from ledger.journal.connection import Connection, connect, open_pool
from ledger.journal.migrate import read_settings
from ledger.journal.sql import load
from rating.card import (
    CardFault,
    RateCard,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
)
from rating.cost_faults import check_cost_card, named_by

_SQL = load("directory")


class SimulationRefused(Exception):
    """It cannot be tried. `advice` says what to do; `faults` are those of the card or the terms."""

    def __init__(self, message: str, advice: str, faults: Sequence[CardFault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.faults = tuple(faults)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to try: a card, or a published version of one (`name`, `version`), in [from, to) by
    recorded time; None = everything. Without either, the cards as they were published. `terms` is a
    document as `terms_file` reads it."""

    tenant: str
    card: RateCard | None = None
    name: str = ""
    version: int = 0
    from_us: int | None = None
    to_us: int | None = None
    accounts_max: int = 20
    terms: dict[str, Any] = {}


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
        work = Work(
            candidate=candidate,
            terms=await _terms(connection, tenant, asked, assets),
            from_us=asked.from_us,
            to_us=asked.to_us,
            accounts_max=asked.accounts_max,
        )
        figures = await replay_all(dsn, settings.shards, work, watch)
        named = {each.account for each in (*figures.shocks, *figures.over_limit)}
        named |= {each.account for each in figures.denials}
        named |= {each.account for each in figures.margins}
        rows = await connection.fetch(_SQL["names"], sorted(named))
    finally:
        connection.terminate()
    names = {row["number"]: row["account_id"] or "" for row in rows}
    return Report(
        asked.tenant, trial, asked.terms, asked.from_us, asked.to_us, figures, assets, names
    )


async def _terms(
    connection: Connection, tenant: int, asked: Asked, assets: Mapping[int, Asset]
) -> Terms:
    names = sorted(accounts_named(asked.terms))
    rows = await connection.fetch(_SQL["by_names"], tenant, names) if names else []
    accounts = {row["account_id"]: row["number"] for row in rows}
    terms, faults = read_terms(asked.terms, accounts, assets.values(), asked.from_us, asked.to_us)
    if faults:
        raise SimulationRefused("the terms cannot be tried", "correct them", faults)
    return terms


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
            await _check_costs(store, asked.card, cards)
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
        raise SimulationRefused("the rate card does not compile", "correct it", faults)
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


async def _check_costs(
    store: PostgresConfigurationStore, card: RateCard, cards: Sequence[ConfigurationEntry]
) -> None:
    """Whether it goes with its card of costs, and with the cards that name it as theirs."""
    newest = {entry.name: entry for entry in cards}  # ascending by version
    newest.pop(card.name, None)
    beside = {}
    for name, entry in newest.items():
        body = await store.body(entry.content_hash)
        assert body is not None
        beside[name] = decode_card(body)
    faults = [*check_cost_card(card, beside.get(card.cost_card))]
    for other in beside.values():
        if other.cost_card == card.name:
            faults += named_by(other, card)
    if faults:
        raise SimulationRefused("the rate card does not go with its costs", "correct it", faults)
