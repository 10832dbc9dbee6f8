"""`drawdown load`: stream a real trace, or a uniform load, into a running ledger."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from ledger.cli.output import Failed, json_option, print_json, progress
from ledger.cli.remote import Remote, check_answers, credentials_of, server_options

WORKLOADS = ("azure-code", "azure-conversation", "mooncake", "uniform")


@click.command(short_help="Stream a real trace of AI requests as usage.")
@click.argument("workload", type=click.Choice(WORKLOADS), default="azure-code")
@click.option("--events", type=click.IntRange(0), default=0, help="How many.  [default: the trace]")
@click.option(
    "--seconds", type=click.IntRange(0), default=0, help="Spread over so long.  [default: flat out]"
)
@click.option(
    "--batch",
    type=click.IntRange(1, 8_192),
    default=1_000,
    show_default=True,
    help="Events a batch.",
)
@click.option(
    "--in-flight", type=click.IntRange(1), default=8, show_default=True, help="Batches at a time."
)
@click.option(
    "--account", "accounts", multiple=True, help="Charge this one; repeat.  [default: 100 new ones]"
)
@click.option(
    "--run", default="load", show_default=True, help="Part of every id: the same run is a replay."
)
@click.option("--stream", is_flag=True, help="One stream, instead of a call a batch.")
@click.option("--plain", is_flag=True, help="The plain form of a batch, instead of the compact.")
@server_options
@json_option
def load(workload: str, remote: Remote, as_json: bool, **options: Any) -> None:
    """Send WORKLOAD as usage and report throughput, latency and outcomes.

    The traces are real requests to language models (Azure 2023, Mooncake 2024); `uniform` is made
    up. The same command again sends the same ids, and is answered as replayed.
    """
    from ledger.demo.load import LoadOptions, LoadRefused, describe_report, run_load

    chosen = LoadOptions(
        address=remote.address,
        workload=workload,
        credentials=credentials_of(remote) if remote.tls_ca is not None else None,
        metadata=remote.metadata,
        **options,
    )
    check_answers(remote, chosen.tenant)
    with progress("events") as watch:
        try:
            report = run_load(chosen, watch)
        except LoadRefused as error:
            raise Failed(str(error)) from error
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        click.echo(describe_report(report))
