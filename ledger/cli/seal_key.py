"""`drawdown seal-key`: make, show and rotate the keys that seal the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.output import Failed, console, instant, json_option, print_json, say, table
from ledger.cli.sealing import own_key_file, seal_key_option

if TYPE_CHECKING:
    from ledger.integrity.keys import KeyRecord, SealKey
    from ledger.settings import SealSettings

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(name="seal-key", short_help="Make, show and rotate the keys that seal the journal.")
def seal_key_group() -> None:
    """Make, show and rotate the Ed25519 keys that seal the journal."""


@seal_key_group.command(short_help="Make a key in a new file.")
@click.argument("file", type=FILE)
@json_option
def create(file: Path, as_json: bool) -> None:
    """Make a private key in FILE, readable by you alone. Prints its id and its public key."""
    from ledger.integrity.key_files import create_key

    _show(create_key(file), as_json)


@seal_key_group.command(short_help="Print a key's id and public key.")
@seal_key_option
@database_options
@json_option
def show(
    seal_key: str | None, database_url: str | None, data_dir: Path | None, as_json: bool
) -> None:
    """Print the id and the public key (PEM) of the key that seals. Needs no database."""
    from ledger.integrity.key_files import read_key
    from ledger.settings import SealSettings, load_settings

    settings = load_settings(
        SealSettings, seal_key=seal_key, database_url=database_url, data_dir=data_dir
    )
    _show(read_key(_configured(settings)), as_json)


@seal_key_group.command(name="list", short_help="List the public keys that the ledger names.")
@database_options
@json_option
def list_keys(database_url: str | None, data_dir: Path | None, as_json: bool) -> None:
    """List every key that ever sealed this ledger, and which key vouched for it."""
    from ledger.integrity.key_files import public_pem
    from ledger.settings import SealSettings, load_settings

    settings = load_settings(SealSettings, database_url=database_url, data_dir=data_dir)
    with database(settings) as books:
        records = asyncio.run(_records(settings, books.dsn))
    if as_json:
        print_json(
            [
                {
                    "key_id": record.key_id.hex(),
                    "public_key": public_pem(record.public_key),
                    "introduced_at_us": record.introduced_at_us,
                    "introduced_by": _introducer(record),
                }
                for record in records
            ]
        )
        return
    shown = table("", "key", "introduced", "by")
    for record in records:
        introduced = instant(record.introduced_at_us)
        shown.add_row(record.key_id.hex(), introduced, _introducer(record) or "-")
    console().print(shown)


@seal_key_group.command(short_help="Introduce a new key, signed by the present one.")
@click.argument("new", type=FILE)
@click.option(
    "--old-key-is-lost",
    is_flag=True,
    help="Nobody vouches for the new key: whoever verifies has to trust it by itself.",
)
@seal_key_option
@database_options
def rotate(
    new: Path,
    old_key_is_lost: bool,
    seal_key: str | None,
    database_url: str | None,
    data_dir: Path | None,
) -> None:
    """Introduce the key in NEW; the key of --seal-key signs that it follows.

    Then start the server, or `drawdown seal`, with NEW. With an embedded PostgreSQL put it in
    place of the data directory's seal-key.pem.
    """
    from ledger.integrity.key_files import read_key
    from ledger.settings import SealSettings, load_settings

    settings = load_settings(
        SealSettings, seal_key=seal_key, database_url=database_url, data_dir=data_dir
    )
    old = None if old_key_is_lost else read_key(_configured(settings))
    made = read_key(str(new))
    with database(settings) as books:
        asyncio.run(_introduce(settings, books.dsn, made, old))
    say(f"seal key {made.key_id.hex()} is introduced; seal with it from now on")


async def _introduce(settings: SealSettings, dsn: str, new: SealKey, old: SealKey | None) -> None:
    from ledger.integrity.keys import introduce
    from ledger.integrity.sealer import wall_us
    from ledger.integrity.store import PostgresSealStore
    from ledger.journal.connection import open_pool
    from ledger.journal.migrate import read_settings

    fixed = await with_patience(settings, lambda: read_settings(dsn))
    pool = await open_pool(dsn, application_name="drawdown seal-key", size_max=1)
    try:
        store = PostgresSealStore(pool, fixed.instance_id.bytes)
        records = await store.keys()
        if any(record.key_id == new.key_id for record in records):
            raise Failed(f"seal key {new.key_id.hex()} is introduced already")
        if old is not None and old.key_id not in {record.key_id for record in records}:
            raise Failed(
                f"seal key {old.key_id.hex()} never sealed this ledger, so it vouches for none",
                "name the present one with --seal-key; `drawdown seal-key list` shows which it is",
            )
        before = records[-1] if records else None
        record = introduce(new, old, before, store.instance, wall_us())
        if not await store.add_key(record):
            raise Failed("another key was introduced meanwhile", "look, then do it again")
    finally:
        pool.terminate()


async def _records(settings: SealSettings, dsn: str) -> list[KeyRecord]:
    from ledger.integrity.store import PostgresSealStore
    from ledger.journal.connection import open_pool
    from ledger.journal.migrate import read_settings

    fixed = await with_patience(settings, lambda: read_settings(dsn))
    pool = await open_pool(dsn, application_name="drawdown seal-key", size_max=1)
    try:
        return await PostgresSealStore(pool, fixed.instance_id.bytes).keys()
    finally:
        pool.terminate()


def _configured(settings: SealSettings) -> str:
    own = own_key_file(settings)
    if settings.seal_key is not None:
        return settings.seal_key
    if own is not None and own.exists():
        return str(own)
    raise Failed(
        "no seal key is named",
        "give one with --seal-key FILE; `drawdown seal-key create FILE` makes one",
        exit_code=2,
    )


def _introducer(record: KeyRecord) -> str:
    return record.introduced_by.hex() if any(record.introduced_by) else ""


def _show(key: SealKey, as_json: bool) -> None:
    from ledger.integrity.key_files import public_pem

    pem = public_pem(key.public_key)
    if as_json:
        print_json({"key_id": key.key_id.hex(), "public_key": pem})
        return
    say(f"key id {key.key_id.hex()}")
    click.echo(pem, nl=False)
