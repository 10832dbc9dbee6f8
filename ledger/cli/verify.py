"""`drawdown verify`: does everything that was recorded agree with itself?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.output import Failed, console, json_option, print_json, progress, say, table
from ledger.cli.sealing import own_key_file, seal_key_option

if TYPE_CHECKING:
    from ledger.settings import SealSettings
    from ledger.verify import Report, Verified
    from ledger.verify.marks import Marks

DIFFERENT: Final = 4  # the exit code
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Check chain, seals, books, read models and checkpoints.")
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    type=FILE,
    help="A public key (PEM) that you trust; may be given several times. Default: the key that "
    "seals, where it is here.",
)
@click.option("--mark", type=FILE, help="File that keeps what was verified; written if all is ok.")
@click.option(
    "--since-last", is_flag=True, help="Only what came after the mark of the last run; with --mark."
)
@seal_key_option
@database_options
@json_option
def verify(
    public_keys: tuple[Path, ...],
    mark: Path | None,
    since_last: bool,
    seal_key: str | None,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Re-derive everything from the journal and compare.

    \b
    Checks, shard by shard: every hash and the chain, gapless batches and entries, the seals and
    what they sign, the rules and debits = credits at every entry, no hold leaked, and the
    replayed state against read models and checkpoint. --since-last checks rows, chain, seals
    and each entry's own balance from the mark on; what needs a replay is left out, and said so.
    Changes nothing and runs beside a server. Ends with 4 where anything differs.
    """
    from ledger.journal.migrate import read_settings
    from ledger.settings import SealSettings, load_settings
    from ledger.verify import verify_from
    from ledger.verify.marks import read_marks, write_marks

    settings = load_settings(
        SealSettings, seal_key=seal_key, database_url=database_url, data_dir=data_dir
    )
    if since_last and mark is None:
        raise click.UsageError("--since-last needs --mark FILE, which an earlier run wrote")
    marks: Marks | None = read_marks(mark) if since_last and mark is not None else None
    anchors = _anchors(settings, public_keys)
    with database(settings) as books, progress("entries") as watch:

        async def run() -> Verified:
            await with_patience(settings, lambda: read_settings(books.dsn))
            return await verify_from(
                books.dsn,
                marks,
                lambda shard, done, total: watch(f"shard {shard}", done, total),
                anchors=anchors,
            )

        verified = asyncio.run(run())
    report = verified.report
    if as_json:
        print_json(report.document())
    else:
        _print(report)
    if mark is not None and verified.marks is not None:
        write_marks(mark, verified.marks)
    if not report.ok:
        hidden = sum(shard.findings_not_listed for shard in report.shards)
        count = len(report.findings) + hidden
        raise Failed(
            f"verify: {count:,} differences",
            "the journal is the truth: where only read models differ, `drawdown rebuild` makes "
            "them anew; else restore a backup and keep this database for inquiry",
            exit_code=DIFFERENT,
        )


def _anchors(settings: SealSettings, public_keys: tuple[Path, ...]) -> list[bytes]:
    """The public keys to trust: those given, else that of the key that seals, if it is here."""
    from ledger.integrity.key_files import read_key, read_public_key

    if public_keys:
        return [read_public_key(str(path)) for path in public_keys]
    own = own_key_file(settings)
    if settings.seal_key is not None:
        return [read_key(settings.seal_key).public_key]
    return [read_key(str(own)).public_key] if own is not None and own.exists() else []


def _print(report: Report) -> None:
    figures = (
        "batches",
        "entries",
        "usage events",
        "seals",
        "unsealed",
        "in read models",
        "checkpoint",
    )
    shown = table("", "shard", *figures, "head hash", right=figures)
    for shard in report.shards:
        claimed = [
            "-" if entries is None else f"{entries:,}"
            for entries in (shard.projected, shard.checkpointed)
        ]
        counts = [
            f"{count:,}"
            for count in (
                shard.batches,
                shard.entries,
                shard.usage_events,
                shard.seals,
                shard.unsealed_entries,
            )
        ]
        shown.add_row(str(shard.shard), *counts, *claimed, shard.head_hash[:16] or "-")
    console().print(shown)
    for each in report.findings:
        say(
            f"shard {each.shard}, batch {each.batch}: {each.what}: "
            f"expected {each.expected}, found {each.found}"
        )
    for note in report.notes:
        say(f"note: {note}")
    for what in report.not_checked if report.mode != "full" else ():
        say(f"not checked: {what}")
    if report.ok:
        click.echo(f"verify: ok ({report.mode})" if report.mode != "full" else "verify: ok")
