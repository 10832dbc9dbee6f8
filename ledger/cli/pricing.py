"""`drawdown pricing`: what is published, listed, shown, compared, and as a price sheet.

See `publish` for a card of one's own, `card_aliases` for other names of cards, `backtest` for one
that is tried on what happened, `rerate` for usage that is charged again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.backtest import simulate
from ledger.cli.card_aliases import alias, aliases
from ledger.cli.cards import large_option, published, show_diff
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, console, instant, json_option, print_json, say, table
from ledger.cli.overrides import override
from ledger.cli.publish import publish_file, validate
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options
from ledger.cli.rerate import rerate

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.v1 import pricing_pb2


ROWS_SHOWN_MAX = 100  # for a person; --json has all of them


@click.group(short_help="Publish, show, compare and try rate cards; print a price sheet.")
def pricing() -> None:
    """Check, publish, list, show, compare and try rate cards; print one as a price sheet."""


for command in (validate, publish_file, alias, aliases, override, simulate, rerate):
    pricing.add_command(command)


@pricing.command("list")
@click.argument("name", default="")
@server_options
@json_option
def list_cards(name: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the published versions of all rate cards, or of NAME, newest first."""

    from rating.v1 import pricing_pb2
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    found: list[pricing_pb2.RateCardVersion] = []
    request = pricing_pb2.ListRateCardsRequest(tenant=tenant, name=name, page_size=1_000)
    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        while True:
            reply = stub.ListRateCards(request, timeout=TIMEOUT_S)
            found += reply.versions
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json([_version_document(each) for each in found])
        return
    listed = table("", "rate card", "version", "in force from", "published", "asset", "rows")
    for each in found:
        since = "ever" if each.effective_from_us <= 1 else instant(each.effective_from_us)
        listed.add_row(
            each.name,
            str(each.version),
            since,
            instant(each.published_at_us),
            each.asset,
            f"{each.rows:,}",
        )
    console().print(listed)


@pricing.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="The version.  [default: the newest]")
@server_options
@json_option
def show(name: str, version: int | None, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show a version of rate card NAME; with --json as a file that `publish` takes."""
    import msgspec

    from rating.diff_text import charged, matched

    ((found, card),) = _versions(remote, tenant, name, [version or 0])
    if as_json:
        print_json(msgspec.to_builtins(card))
        return
    since = "ever" if found.effective_from_us <= 1 else instant(found.effective_from_us)
    click.echo(
        f"rate card {name}, version {found.version}, in force from {since}: {card.asset} with "
        f"{card.asset_scale} decimal places, rounded {card.rounding.value}"
    )
    meters = table("", "quantity", "scale", "part of", right=("scale",))
    for meter in card.meters:
        meters.add_row(meter.quantity, str(meter.scale), meter.subset_of)
    rows = table("", "price of", "is")
    for row in card.rows[:ROWS_SHOWN_MAX]:
        rows.add_row(matched(row), charged(row))
    screen = console()
    screen.print(meters)
    screen.print(rows)
    if len(card.rows) > ROWS_SHOWN_MAX:
        click.echo(f"and {len(card.rows) - ROWS_SHOWN_MAX:,} rows more; --json has all of them")


def _version_document(version: pricing_pb2.RateCardVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "effective_from_us": version.effective_from_us,
        "published_at_us": version.published_at_us,
        "asset": version.asset,
        "asset_scale": version.asset_scale,
        "rows": version.rows,
        "content_hash": version.content_hash.hex(),
    }


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
@click.argument("name", default="")
@click.option("--account", default="", help="Instead of NAME: the card that prices this account.")
@click.option("--version", type=click.IntRange(1), help="A version, in force or not.")
@click.option("--at", type=Instant(), default=0, help="The one in force then.  [default: now]")
@click.option(
    "--if-none-match",
    default="",
    help="The content_hash of a sheet that you have: where it still holds, nothing is printed.",
)
@server_options
def sheet(
    name: str,
    account: str,
    version: int | None,
    at: int,
    if_none_match: str,
    tenant: str,
    remote: Remote,
) -> None:
    """Print rate card NAME as canonical JSON (docs/price-sheet.schema.json)."""
    from rating.v1 import pricing_pb2
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    if bool(name) == bool(account):
        raise click.UsageError("name a rate card, or an account with --account")
    try:
        known = bytes.fromhex(if_none_match)
    except ValueError:
        raise click.UsageError(f"--if-none-match {if_none_match!r} is no content_hash") from None
    request = pricing_pb2.GetPriceSheetRequest(
        tenant=tenant,
        name=name,
        account=account,
        version=version or 0,
        at_us=at,
        if_none_match=known,
    )
    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        reply = stub.GetPriceSheet(request, timeout=TIMEOUT_S)
    if reply.not_modified:
        say(f"version {reply.version.version} has this content already")
    else:
        click.echo(reply.sheet, nl=False)


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
