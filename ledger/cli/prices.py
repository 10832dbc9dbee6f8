"""`drawdown import-prices`: the public map of LLM prices as a rate card, in one command.

Declares the asset where it is missing, publishes the card if it differs from the newest version,
and says what of the map is not in it. Doing it again changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from ledger.cli.output import Failed, console, instant, json_option, print_json, say, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.llm_prices import ImportReport
    from rating.v1 import pricing_pb2

MONEY_SCALE: Final = 9
SHOWN_MAX: Final = 12  # lines of each list for a person; --json has all of them


@click.command("import-prices", short_help="Publish the public prices of about 3,000 AI models.")
@click.option(
    "--map",
    "map_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A price map of your own (JSON, or .zst of it), instead of the one that is shipped.",
)
@click.option("--name", default="default", show_default=True, help="Name of the rate card.")
@click.option(
    "--asset", default="USD", show_default=True, help="Asset to charge in; the map is in dollars."
)
@click.option("--dry-run", is_flag=True, help="Report and check the card; publish nothing.")
@server_options
@json_option
def import_prices(
    map_file: Path | None,
    name: str,
    asset: str,
    dry_run: bool,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Publish the public LLM price map (about 3,000 models) as a rate card.

    Every token price is imported, cached, batch, priority, flex and long prompts included; the
    report says what is not. Accounts that name no rate card use the one called "default".
    """
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    with connect(remote) as channel:
        stub = PricingServiceStub(channel)
        scale = _asset_scale(stub, tenant, asset)
        card, report = _import(map_file, name, asset, MONEY_SCALE if scale is None else scale)
        if scale is None and not dry_run:
            _create_asset(stub, tenant, asset)
        if dry_run and scale is None:
            published = "not checked by the server: the asset does not exist there yet"
            version = None
        else:
            version, published = _publish(stub, tenant, card, dry_run)
    if as_json:
        print_json(_document(report, card, version, published))
    else:
        _print(report, card, version, published)


def _import(
    map_file: Path | None, name: str, asset: str, scale: int
) -> tuple[RateCard, ImportReport]:
    from rating.llm_prices import PriceMapError, import_price_map

    try:
        return import_price_map(_read_map(map_file), name, asset, scale)
    except PriceMapError as error:
        raise Failed(f"{map_file or 'the shipped map'}: {error}") from error


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
            request_id=f"import-prices-asset-{_digest(asset.encode())}",
            asset=pricing_pb2.Asset(
                asset=asset, scale=MONEY_SCALE, kind=pricing_pb2.ASSET_KIND_MONEY
            ),
        ),
        timeout=TIMEOUT_S,
    )


def _publish(
    stub: Any, tenant: str, card: RateCard, dry_run: bool
) -> tuple[pricing_pb2.RateCardVersion | None, str]:
    from rating.card import canonical_bytes
    from rating.v1 import pricing_pb2

    newest = next(
        iter(
            stub.ListRateCards(
                pricing_pb2.ListRateCardsRequest(tenant=tenant, name=card.name, page_size=1),
                timeout=TIMEOUT_S,
            ).versions
        ),
        None,
    )
    expected = newest.version if newest is not None else 0
    reply = stub.PublishRateCard(
        pricing_pb2.PublishRateCardRequest(
            tenant=tenant,
            request_id=f"import-prices-{_digest(canonical_bytes(card))}-{expected}",
            card=message_of(card),
            expected_version=expected,
            validate_only=dry_run,
        ),
        timeout=TIMEOUT_S,
    )
    if not dry_run:
        unchanged = "unchanged: this is the newest version already"
        return reply.version, unchanged if reply.replayed else "published"
    for fault in reply.faults:
        say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}")
    if reply.faults:
        raise Failed(f"the card does not compile: {len(reply.faults)} faults")
    return None, "checked, not published"


def message_of(card: RateCard) -> Any:
    """The rate card as PricingService takes it."""
    from rating.v1 import card_pb2

    return card_pb2.RateCard(
        name=card.name,
        asset=card.asset,
        asset_scale=card.asset_scale,
        rounding=card_pb2.Rounding.Value(f"ROUNDING_{card.rounding.value.upper()}"),
        prompt_quantity=card.prompt_quantity,
        meters=[card_pb2.Meter(**msgspec.to_builtins(meter)) for meter in card.meters],
        products=[
            card_pb2.Product(
                product=each.product,
                display_name=each.display_name,
                hold_expiry=card_pb2.HoldExpiry.Value(f"HOLD_EXPIRY_{each.hold_expiry.upper()}"),
                batch=each.batch,
                tags=each.tags,
            )
            for each in card.products
        ],
        rows=[card_pb2.PriceRow(**msgspec.to_builtins(row)) for row in card.rows],
    )


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()


def _document(report: ImportReport, card: RateCard, version: Any, published: str) -> dict[str, Any]:
    return {
        "name": card.name,
        "asset": card.asset,
        "asset_scale": card.asset_scale,
        "version": version.version if version is not None else None,
        "effective_from_us": version.effective_from_us if version is not None else None,
        "result": published,
        "report": msgspec.to_builtins(report),
    }


def _print(report: ImportReport, card: RateCard, version: Any, published: str) -> None:
    screen = console()
    number = f" version {version.version}" if version is not None else ""
    screen.print(f"[bold]rate card {card.name}{number}[/]: {published}")
    if version is not None:
        always = version.effective_from_us <= 1
        since = "for usage of any time" if always else f"from {instant(version.effective_from_us)}"
        screen.print(f"in force {since}, charges in {card.asset}")
    figures = table("", "the map", "count", right=("count",))
    for name, count in (
        ("entries", report.entries),
        ("products with prices", report.products),
        ("price rows", report.rows),
        ("prices stated twice, taken once", report.repeated),
        ("products without token prices, not imported", len(report.without_token_prices)),
        ("kinds of price that are not for tokens, not imported", len(report.not_imported)),
        ("prices that could not be read", len(report.faults)),
        ("prices that contradict an earlier one, dropped", len(report.conflicts)),
    ):
        figures.add_row(name, f"{count:,}")
    screen.print(figures)
    lists = {
        "not imported (field: products that have it)": [
            f"{field}: {count:,}"
            for field, count in sorted(report.not_imported.items(), key=lambda item: -item[1])
        ],
        "could not be read": [
            f"{each.product} {each.field} = {each.value}: {each.reason}" for each in report.faults
        ],
        "contradictions": [
            f"{each.product} {each.field}: kept {each.kept}, dropped {each.dropped}"
            for each in report.conflicts
        ],
        "no token price at all": list(report.without_token_prices),
    }
    for title, lines in lists.items():
        if lines:
            more = len(lines) - SHOWN_MAX
            screen.print(f"[bold]{title}[/]")
            for line in lines[:SHOWN_MAX]:
                screen.print(f"  {line}", markup=False)
            if more > 0:
                screen.print(f"  and {more:,} more; --json lists all")
