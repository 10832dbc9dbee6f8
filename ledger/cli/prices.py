"""`drawdown import-prices`: the public map of LLM prices as a rate card, in one command.

Declares the asset where it is missing, publishes the card if it differs from the newest version,
says what differs and what of the map is not in it. Doing it again changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from ledger.cli.cards import (
    SHOWN_MAX,
    Compared,
    compared,
    digest,
    in_force,
    large_option,
    publish,
    show_diff,
    show_lists,
)
from ledger.cli.output import Failed, console, json_option, print_json, say, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.llm_prices import ImportReport

MONEY_SCALE: Final = 9


@click.command("import-prices", short_help="Publish the public prices of about 3,000 AI models.")
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A price map of your own (JSON, or .zst of it), instead of the one that is shipped.",
)
@click.option(
    "--as",
    "used_as",
    type=click.Choice(["price", "cost"]),
    default="price",
    show_default=True,
    help="What customers pay, or what the providers take (a card of costs).",
)
@click.option("--name", help="Name of the rate card.  [default: default, or costs]")
@click.option(
    "--times",
    default="1",
    show_default=True,
    metavar="FACTOR",
    help="With --as cost: every price times this, exact: 0.7 or 7/10.",
)
@click.option("--cost-card", default="", help="The card of costs that the card names.")
@click.option(
    "--asset", default="USD", show_default=True, help="Asset to charge in; the map is in dollars."
)
@click.option("--dry-run", is_flag=True, help="Report, compare and check; publish nothing.")
@large_option
@click.option("--yes", is_flag=True, help="Publish also where a price moves by more than that.")
@server_options
@json_option
def import_prices(
    map_file: Path | None,
    used_as: str,
    name: str | None,
    times: str,
    cost_card: str,
    asset: str,
    dry_run: bool,
    large_factor: str,
    yes: bool,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Publish the public LLM price map (about 3,000 models) as a rate card.

    Every price is imported: tokens, images, seconds, characters, pages, searches, sessions; the
    report says what is not, and what differs from the newest version. A price that moves by more
    than a factor of 10 needs --yes: a misread unit is how money is lost. Accounts that name no rate
    card use the one called "default". With costs, margins are known:

    \b
    drawdown import-prices --as cost --times 0.7
    drawdown import-prices --cost-card costs
    """
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    costs = used_as == "cost"
    if costs and cost_card:
        raise click.UsageError("a card of costs names no card of costs")
    if times != "1" and not costs:
        raise click.UsageError("--times goes with --as cost")
    name = name or ("costs" if costs else "default")

    with connect(remote) as channel:
        stub = PricingServiceStub(channel)
        scale = _asset_scale(stub, tenant, asset)
        card, report = _import(map_file, name, asset, MONEY_SCALE if scale is None else scale)
        card = (
            _as_costs(card, times) if costs else msgspec.structs.replace(card, cost_card=cost_card)
        )
        found = compared(stub, tenant, card, large_factor)
        if found.large and not (yes or dry_run):
            raise _too_large(found, large_factor)
        if scale is None and not dry_run:
            _create_asset(stub, tenant, asset)
        if dry_run and scale is None:
            result = "not checked by the server: the asset does not exist there yet"
            version = None
        else:
            version, result = publish(stub, tenant, card, found.newest, dry_run=dry_run)
    if as_json:
        print_json(_document(card, report, found, version, result, whole=dry_run))
    else:
        _print(card, report, found, version, result, whole=dry_run)


def _too_large(found: Compared, factor: str) -> Failed:
    from rating.diff_text import lines

    moves = lines(found.change, found.large)["large moves of a price"]
    for line in moves[:SHOWN_MAX]:
        say(f"  {line}")
    count = f"{len(moves):,} prices move" if len(moves) > 1 else "1 price moves"
    return Failed(
        f"{count} by more than a factor of {factor} from version {found.newest}; nothing was "
        "published",
        "see them all with --dry-run; if their units are right, publish with --yes",
    )


def _import(
    map_file: Path | None, name: str, asset: str, scale: int
) -> tuple[RateCard, ImportReport]:
    from rating.llm_prices import PriceMapError, import_price_map

    try:
        return import_price_map(_read_map(map_file), name, asset, scale)
    except PriceMapError as error:
        raise Failed(f"{map_file or 'the shipped map'}: {error}") from error


def _as_costs(card: RateCard, times: str) -> RateCard:
    from rating.exact import PriceError
    from rating.llm_costs import as_costs

    try:
        return as_costs(card, times)
    except PriceError as error:
        raise Failed(f"--times {times}: {error}") from error


def _read_map(map_file: Path | None) -> bytes:
    from rating.data import price_map

    if map_file is None:
        return price_map()
    content = map_file.read_bytes()
    if map_file.suffix != ".zst":
        return content
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as plain:
            return plain.read()
    except zstandard.ZstdError as error:
        raise Failed(f"{map_file} is not zstandard: {error}") from error


def _asset_scale(stub: Any, tenant: str, asset: str) -> int | None:
    from rating.v1 import pricing_pb2

    token = ""
    while True:
        reply = stub.ListAssets(
            pricing_pb2.ListAssetsRequest(tenant=tenant, page_token=token), timeout=TIMEOUT_S
        )
        for each in reply.assets:
            if each.asset == asset:
                return int(each.scale)
        token = reply.next_page_token
        if not token:
            return None


def _create_asset(stub: Any, tenant: str, asset: str) -> None:
    from rating.v1 import pricing_pb2

    stub.CreateAsset(
        pricing_pb2.CreateAssetRequest(
            tenant=tenant,
            request_id=f"import-prices-asset-{digest(asset.encode())}",
            asset=pricing_pb2.Asset(
                asset=asset, scale=MONEY_SCALE, kind=pricing_pb2.ASSET_KIND_MONEY
            ),
        ),
        timeout=TIMEOUT_S,
    )


def _document(
    card: RateCard, report: ImportReport, found: Compared, version: Any, result: str, whole: bool
) -> dict[str, Any]:
    from rating.diff_text import counts, document, summary

    change = found.change
    told = document(change, found.large)
    if not whole:
        told = {"summary": summary(change), "counts": counts(change)} | {
            "large_moves": told["large_moves"]
        }
    return {
        "name": card.name,
        "asset": card.asset,
        "asset_scale": card.asset_scale,
        "version": version.version if version is not None else None,
        "effective_from_us": version.effective_from_us if version is not None else None,
        "result": result,
        "against_version": found.newest,
        "diff": told,
        "report": msgspec.to_builtins(report),
    }


def _print(
    card: RateCard, report: ImportReport, found: Compared, version: Any, result: str, whole: bool
) -> None:
    from rating.diff_text import summary
    from rating.llm_prices import NOT_PRODUCTS, OTHER_UNIT

    screen = console()
    number = f" version {version.version}" if version is not None else ""
    screen.heading(f"rate card {card.name}{number}", f": {result}")
    if version is not None:
        screen.print(in_force(version, card.asset))
    against = f"version {found.newest}" if found.newest else "nothing published yet"
    screen.print(f"against {against}: {summary(found.change)}")
    if whole:
        show_diff(found.change, found.large)
    figures = table("", "the map", "count", right=("count",))
    for name, count in (
        ("entries", report.entries),
        ("products", report.products),
        ("prices", report.prices),
        ("price rows", report.rows),
        ("of them by a multiplier of the product (region, speed)", report.multiplied),
        ("keys for a size or quality of images, rows of their product", report.variants),
        ("prices stated twice, taken once", report.repeated),
        ("facts: limits, modes, providers, flags", report.facts),
        ("products without any price, with facts only", len(report.without_prices)),
        ("keys that are no products", len(report.skipped)),
        ("not imported", len(report.not_imported)),
        ("prices that contradict an earlier one, dropped", len(report.conflicts)),
    ):
        figures.add_row(name, f"{count:,}")
    screen.print(figures)
    show_lists(
        {
            "not imported": [
                f"{each.product} {each.field} = {each.value}: {each.reason}"
                for each in report.not_imported
            ],
            "contradictions": [
                f"{each.product} {each.field}: kept {each.kept}, dropped {each.dropped}"
                for each in report.conflicts
            ],
            "prices in another unit, kept as facts": [
                f"{field}: {use.entries:,}"
                for field, use in report.fields.items()
                if use.became == OTHER_UNIT
            ],
            "no products": [f"{key}: {NOT_PRODUCTS[key]}" for key in report.skipped],
            "no price at all": list(report.without_prices),
        }
    )
