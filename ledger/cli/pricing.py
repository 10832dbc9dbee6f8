"""`drawdown pricing`: what is published, as a difference between versions and as a price sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.cards import large_option, published, show_diff
from ledger.cli.output import Failed, json_option, print_json
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.v1 import pricing_pb2


@click.group(short_help="Compare published prices; print a price sheet.")
def pricing() -> None:
    """Compare two versions of a rate card; print one as a price sheet."""


@pricing.command()
@click.argument("name")
@click.option("--from", "earlier", type=click.IntRange(1), required=True, help="Earlier version.")
@click.option("--to", "later", type=click.IntRange(1), help="Later version.  [default: the newest]")
@large_option
@server_options
@json_option
def diff(
    name: str,
    earlier: int,
    later: int | None,
    large_factor: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say what a later version of rate card NAME says otherwise than an earlier one."""
    from rating.diff import diff as difference
    from rating.diff import large_moves
    from rating.diff_text import document, summary

    (first, before), (last, after) = _versions(remote, tenant, name, [earlier, later or 0])
    change = difference(before, after)
    large = large_moves(change, large_factor)
    if as_json:
        between = {"name": name, "from": first.version, "to": last.version}
        print_json(between | {"diff": document(change, large)})
        return
    click.echo(f"rate card {name}, version {first.version} to {last.version}: {summary(change)}")
    show_diff(change, large)


@pricing.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="The version.  [default: the newest]")
@server_options
def sheet(name: str, version: int | None, tenant: str, remote: Remote) -> None:
    """Print a version of rate card NAME as canonical JSON (docs/price-sheet.schema.json)."""
    from rating.sheet import sheet_bytes

    ((found, card),) = _versions(remote, tenant, name, [version or 0])
    click.echo(sheet_bytes(card, found.version, found.content_hash), nl=False)


def _versions(
    remote: Remote, tenant: str, name: str, versions: list[int]
) -> list[tuple[pricing_pb2.RateCardVersion, RateCard]]:
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    found = []
    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        for version in versions:
            each = published(stub, tenant, name, version)
            if each is None:
                raise Failed(
                    f"there is no rate card {name!r}", "publish one: `drawdown import-prices`"
                )
            found.append(each)
    return found
