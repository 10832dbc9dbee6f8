"""`drawdown pricing simulate`: a candidate card tried on what was recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.instants import Instant
from ledger.cli.output import (
    Failed,
    amount,
    console,
    json_option,
    print_json,
    progress,
    say,
    table,
)
from ledger.cli.publish import card_of_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.backtest.figures import Denials, ProductLine, Tally
    from ledger.backtest.report import Report
    from ledger.backtest.run import Asked

ACCOUNTS: Final = 20
ACCOUNTS_MAX: Final = 10_000
TERMS: Final = ("grants", "scale", "policies")


@click.command(short_help="Try a rate card on what was recorded.")
@click.option(
    "--card",
    "candidate",
    help="A file with a card or a price sheet (JSON, or TOML where its name ends so), or "
    "NAME@VERSION of a published one.  "
    "[default: the cards as they were published, which must give what the ledger has]",
)
@click.option(
    "--terms",
    "terms_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with extra grants, scaled grants and other limits (JSON, or TOML where its name "
    "ends so; see docs/pricing.md).",
)
@click.option("--tenant", default="default", show_default=True, help="Whose usage.")
@click.option("--from", "from_us", type=Instant(), help="Begin here.  [default: the beginning]")
@click.option("--to", "to_us", type=Instant(), help="End before this.  [default: now]")
@click.option(
    "--accounts",
    "accounts_max",
    type=click.IntRange(1, ACCOUNTS_MAX),
    default=ACCOUNTS,
    show_default=True,
    help="So many accounts of each list, the worst first.",
)
@database_options
@json_option
def simulate(
    candidate: str | None,
    terms_file: Path | None,
    tenant: str,
    from_us: int | None,
    to_us: int | None,
    accounts_max: int,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Decide what was recorded again under another rate card, other grants, other limits.

    \b
    drawdown pricing simulate --card next.json --from 2026-11-01 --to 2026-12-01
    drawdown pricing simulate --card default@7 --terms trial.toml --json

    Says what would have been earned and burnt, whose bill would have changed and by how much, and
    what would have been denied. Times are those at which entries were recorded. Reads the database
    itself and changes nothing: a server may run beside it, and need not.
    """
    from ledger.backtest.processes import SimulationFailed
    from ledger.backtest.run import SimulationRefused
    from ledger.backtest.run import simulate as run_simulation
    from ledger.journal.migrate import read_settings
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    asked = _asked(candidate, terms_file, tenant, from_us, to_us, accounts_max)
    try:
        with database(settings) as books, progress("entries") as said:

            def watch(shard: int, done: int, total: int) -> None:
                said(f"shard {shard}", done, total)

            async def run() -> Report:
                await with_patience(settings, lambda: read_settings(books.dsn))
                return await run_simulation(books.dsn, asked, watch)

            found = asyncio.run(run())
    except SimulationRefused as refused:
        for fault in refused.faults:
            say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}".lstrip(": "))
        raise Failed(refused.message, refused.advice) from refused
    except SimulationFailed as failed:
        raise Failed(
            str(failed), "see whether `drawdown verify` finds the journal whole"
        ) from failed
    if as_json:
        print_json(found.document())
    else:
        _show(found)


def _asked(
    candidate: str | None,
    terms_file: Path | None,
    tenant: str,
    from_us: int | None,
    to_us: int | None,
    accounts_max: int,
) -> Asked:
    from ledger.backtest.run import Asked

    card, name, version = None, "", 0
    if candidate is not None:
        before, at, after = candidate.rpartition("@")
        if at and before and after.isdecimal() and not Path(candidate).exists():
            name, version = before, int(after)
        else:
            if not Path(candidate).is_file():
                raise Failed(
                    f"there is no file {candidate!r}", "name a file, or NAME@VERSION of a card"
                )
            card = card_of_file(Path(candidate))
    return Asked(
        tenant=tenant,
        card=card,
        name=name,
        version=version,
        from_us=from_us,
        to_us=to_us,
        accounts_max=accounts_max,
        terms=_document(terms_file) if terms_file is not None else {},
    )


def _document(file: Path) -> dict[str, Any]:
    from rating.card_file import Form, document_of
    from rating.faults import CardError

    form = Form.TOML if file.suffix == ".toml" else Form.JSON
    try:
        return document_of(file.read_bytes(), form, "terms: an object with grants, scale, policies")
    except CardError as error:
        raise Failed(f"{file}: {error.faults[0].message}", "see docs/pricing.md") from error


# -- for people ------------------------------------------------------------------------------------


def _show(report: Report) -> None:
    figures = report.figures
    trial = report.trial
    if trial is None:
        click.echo("the cards as they were published")
    else:
        which = f"version {trial.version}" if trial.version else "not published"
        click.echo(f"rate card {trial.card}, {which}, in the place of what priced the range")
    if report.terms:
        said = [f"{len(report.terms.get(name, ())):,} {name}" for name in TERMS]
        click.echo(
            f"terms ({', '.join(said)}): {figures.granted:,} grants issued, {figures.scaled:,} "
            f"scaled, {figures.limited:,} policies changed"
        )
    for each in figures.not_tried:
        click.echo(f"not tried: {each.entry}, {each.count:,} x {each.reason}")
    click.echo(f"{figures.usage_events:,} usage events of {figures.entries:,} entries")
    _show_products(report, "Revenue", figures.revenue)
    _show_products(report, "Burn", figures.burn)
    _show_costs(report)
    click.echo(
        f"accounts: {figures.accounts:,} charged, {figures.dearer:,} dearer, "
        f"{figures.cheaper:,} cheaper"
    )
    _show_tallies(report, figures.shocks)
    click.echo(
        f"authorisations: {figures.denied_now:,} denied that were allowed, "
        f"{figures.allowed_now:,} allowed that were denied; {figures.unrun_captures:,} captures "
        "of work that would not have run"
    )
    _show_denials(report, figures.denials)
    _show_over_limit(report, figures.over_limit)
    if figures.suspense.old or figures.suspense.new:
        click.echo(
            f"usage events that wait for a price: {figures.suspense.old:,} -> "
            f"{figures.suspense.new:,}"
        )
    if figures.top_ups.old or figures.top_ups.new:
        click.echo(f"top-ups requested: {figures.top_ups.old:,} -> {figures.top_ups.new:,}")
    for each in figures.not_repeated:
        click.echo(f"not repeated: {each.count:,} x {each.entry}, {each.reason}")
    if report.reproduces:
        click.echo("nothing differs from what the ledger has")


def _show_products(report: Report, title: str, lines: Iterable[ProductLine]) -> None:
    shown = table(title, "product", "asset", "was", "would be", right=("was", "would be"))
    found = list(lines)
    for line in found:
        code, scale = report.asset(line.asset)
        shown.add_row(line.product, code, amount(line.old, scale), amount(line.new, scale))
    for asset, pair in report.sums(found).items():
        code, scale = report.asset(asset)
        shown.add_row("all", code, amount(pair.old, scale), amount(pair.new, scale))
    if found:
        console().print(shown)


def _show_costs(report: Report) -> None:
    """What providers took, and what is left of the revenue."""
    figures = report.figures
    if not (figures.costed.old or figures.costed.new):
        click.echo("margin: all of the revenue, for no usage names a card of costs")
        return
    _show_products(report, "What providers take", figures.cost)
    _show_products(report, "Margin", figures.margin)
    click.echo(
        f"usage events with a cost: {figures.costed.old:,} -> {figures.costed.new:,}, a part "
        f"unknown: {figures.cost_unknown.old:,} -> {figures.cost_unknown.new:,}"
    )
    columns = ("account", "asset", "margin was", "would be", "of revenue", "less cost")
    shown = table("Margins by account, the worst first", *columns, right=columns[2:])
    for each in figures.margins:
        code, scale = report.asset(each.asset)
        found = (each.margin.old, each.margin.new, each.revenue.new, each.cost.new)
        shown.add_row(report.name(each.account), code, *[amount(f, scale) for f in found])
    if shown.row_count:
        console().print(shown)
    click.echo(
        f"accounts that cost more than they earn: {figures.losing.old:,} -> {figures.losing.new:,}"
    )
    for line in figures.unrun_cost:
        code, scale = report.asset(line.asset)
        click.echo(
            f"captures of work that would not have run, {line.product}: providers took "
            f"{amount(line.old, scale)} {code}"
        )


def _show_tallies(report: Report, tallies: Iterable[Tally]) -> None:
    columns = ("account", "asset", "was", "would be", "more")
    shown = table("Bills that change, the worst first", *columns, right=columns[2:])
    for each in tallies:
        code, scale = report.asset(each.asset)
        figures = (each.old, each.new, each.new - each.old)
        shown.add_row(report.name(each.account), code, *[amount(f, scale) for f in figures])
    if shown.row_count:
        console().print(shown)


def _show_denials(report: Report, denials: Iterable[Denials]) -> None:
    columns = ("account", "denied", "asset", "asked", "captured then")
    shown = table("Who would have been denied", *columns, right=("denied", "asked", columns[4]))
    for each in denials:
        code, scale = report.asset(each.asset)
        if each.denied:
            figures = [amount(each.charge, scale), amount(each.unrun, scale)]
            shown.add_row(report.name(each.account), f"{each.denied:,}", code, *figures)
    if shown.row_count:
        console().print(shown)


def _show_over_limit(report: Report, tallies: Iterable[Tally]) -> None:
    columns = ("account", "asset", "was", "would be")
    shown = table("Usage beyond every limit", *columns, right=columns[2:])
    for each in tallies:
        code, scale = report.asset(each.asset)
        figures = (each.over_limit_old, each.over_limit_new)
        shown.add_row(report.name(each.account), code, *[amount(f, scale) for f in figures])
    if shown.row_count:
        console().print(shown)
