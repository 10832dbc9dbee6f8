"""`drawdown pricing validate` and `publish`: a rate card of one's own, from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.cards import (
    Compared,
    compared,
    in_force,
    large_option,
    publish,
    refuse_faults,
    show_diff,
)
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, json_option, print_json
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from rating.card import RateCard
    from rating.v1 import pricing_pb2

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.command()
@file_argument
@json_option
def validate(file: Path, as_json: bool) -> None:
    """Check the rate card in FILE (JSON, or TOML where its name ends so), without a server.

    Every fault is listed with its place. What only the server knows, the asset and the newest
    version, `publish --dry-run` checks.
    """
    card = card_of_file(file)
    if as_json:
        print_json({"name": card.name, "rows": len(card.rows), "faults": []})
    else:
        click.echo(f"{file}: rate card {card.name} with {len(card.rows):,} rows compiles")


@click.command("publish")
@file_argument
@click.option(
    "--effective-from",
    type=Instant(),
    default=0,
    help="For usage from this instant on.  [default: one second after its publication; a card's "
    "first version from ever]",
)
@click.option("--dry-run", is_flag=True, help="Compare, and have the server check it; no more.")
@large_option
@click.option("--yes", is_flag=True, help="Publish without asking, if no price moves so far.")
@click.option("--allow-large", is_flag=True, help="With --yes, also where a price moves so far.")
@server_options
@json_option
def publish_file(
    file: Path,
    effective_from: int,
    dry_run: bool,
    large_factor: str,
    yes: bool,
    allow_large: bool,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Publish the rate card in FILE (JSON, or TOML where its name ends so) as a new version.

    Says what differs from the newest version, and asks. Without a terminal it needs --yes; a price
    that moves by more than the large factor, from or to zero, or to other terms needs
    --allow-large beside it: a misread unit is how money is lost. The same file again changes
    nothing.
    """
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    card = card_of_file(file)
    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        found = compared(stub, tenant, card, large_factor)
        if not as_json:
            _say_difference(card, found)
        publish(stub, tenant, card, found.newest, dry_run=True)
        if not dry_run and (found.change or not found.newest):
            _agree(found, yes=yes, allow_large=allow_large)
        version, result = publish(
            stub,
            tenant,
            card,
            found.newest,
            effective_from_us=effective_from,
            dry_run=dry_run,
        )
    if as_json:
        print_json(_document(card, found, version, result))
        return
    number = f" version {version.version}" if version is not None else ""
    click.echo(f"rate card {card.name}{number}: {result}")
    if version is not None:
        click.echo(in_force(version, card.asset))


def card_of_file(file: Path) -> RateCard:
    """The card of a file, free of faults. Raises Failed, after every fault was said."""
    from ledger.api.rendering.render_card import left_out
    from rating.card import CardError
    from rating.card import validate as faults_of
    from rating.card_file import Form, read_card

    try:
        card = read_card(file.read_bytes(), Form.TOML if file.suffix == ".toml" else Form.JSON)
    except CardError as error:
        refuse_faults(error.faults)
        raise
    refuse_faults([*faults_of(card), *left_out(card)])
    return card


def _say_difference(card: RateCard, found: Compared) -> None:
    from rating.diff_text import summary

    against = f"version {found.newest}" if found.newest else "nothing published yet"
    click.echo(f"rate card {card.name} against {against}: {summary(found.change)}")
    show_diff(found.change, found.large)


def _agree(found: Compared, *, yes: bool, allow_large: bool) -> None:
    """Return if the difference may be published. Raises Failed, click.Abort."""
    count = f"{len(found.large):,} prices move" if len(found.large) > 1 else "1 price moves"
    if yes and (allow_large or not found.large):
        return
    if yes:
        raise Failed(
            f"{count} far, or to other terms; nothing was published",
            "see them with --dry-run; if they are right, add --allow-large",
        )
    if not sys.stdin.isatty():
        raise Failed("nobody is there to ask; nothing was published", "publish with --yes")
    question = f"{count} far, or to other terms. Publish?" if found.large else "Publish?"
    click.confirm(question, abort=True)


def _document(
    card: RateCard,
    found: Compared,
    version: pricing_pb2.RateCardVersion | None,
    result: str,
) -> dict[str, Any]:
    from rating.diff_text import document

    return {
        "name": card.name,
        "version": version.version if version is not None else None,
        "effective_from_us": version.effective_from_us if version is not None else None,
        "result": result,
        "against_version": found.newest,
        "diff": document(found.change, found.large),
    }
