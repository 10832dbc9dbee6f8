"""`drawdown share` and `drawdown cap`: what a family shares, and how much of it each may draw."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.budgets import window_of
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from ledger.v1 import family_pb2

PAGE_SIZE = 1_000


def _changing(command: Callable[..., Any]) -> Callable[..., Any]:
    """--expected-version, --request-id and where the server is."""
    for option in (
        json_option,
        server_options,
        click.option("--request-id", default="", help="Identity of the call; default: a new one."),
        click.option(
            "--expected-version", default=0, help="Version that is replaced; 0 = whatever."
        ),
    ):
        command = option(command)
    return command


@click.command(short_help="Show or say with whom a grant is shared.")
@click.argument("grant_id", metavar="GRANT")
@click.option("--all", "everyone", is_flag=True, help="With all below its account.")
@click.option("--none", "nobody", is_flag=True, help="With none of them.")
@click.option("--account", "accounts", multiple=True, help="With this account; repeatable.")
@click.option("--label", "labels", multiple=True, help="With accounts of this label; repeatable.")
@_changing
def share(
    grant_id: str,
    everyone: bool,
    nobody: bool,
    accounts: tuple[str, ...],
    labels: tuple[str, ...],
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Share GRANT from now on with all, none, those listed, or those that bear a label.

    Without any of them it shows with whom it is shared.

    \b
    drawdown share grant_… --account acme-search --account acme-research
    drawdown share grant_… --label research
    """
    from ledger.v1 import family_pb2
    from ledger.v1.family_pb2_grpc import FamilyServiceStub

    asked = [everyone, nobody, bool(accounts), bool(labels)]
    if sum(asked) > 1:
        raise click.UsageError("give one of --all, --none, --account and --label")
    modes = ("ALL", "NONE", "LISTED", "MATCHING")
    reply: Message
    with connect(remote) as channel:
        stub = FamilyServiceStub(channel)
        if not any(asked):
            shown = family_pb2.GetSharingRequest(tenant=tenant, grant_id=grant_id)
            reply = stub.GetSharing(shown, timeout=TIMEOUT_S)
        else:
            mode = family_pb2.SharingMode.Value(f"SHARING_MODE_{modes[asked.index(True)]}")
            request = family_pb2.UpdateSharingRequest(
                tenant=tenant,
                request_id=request_id or uuid.uuid4().hex,
                grant_id=grant_id,
                sharing=family_pb2.Sharing(mode=mode, accounts=accounts, labels=labels),
                expected_version=expected_version,
            )
            reply = stub.UpdateSharing(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    found = reply.sharing
    mode_name = family_pb2.SharingMode.Name(found.sharing.mode)
    named = ", ".join([*found.sharing.accounts, *found.sharing.labels])
    said = mode_name.removeprefix("SHARING_MODE_").lower() + (f": {named}" if named else "")
    click.echo(
        f"{found.grant_id} of {found.account} is shared with {said}; version {found.version}"
    )


@click.group(short_help="Cap what accounts below may draw of shared grants.")
def cap() -> None:
    """Ceilings and reserves on what an account shares with those below it."""


@cap.command("set", short_help="Set a cap, or another limit of one.")
@click.argument("account")
@click.argument("below")
@click.argument("limit", type=click.IntRange(min=0), required=False)
@click.option("--id", "cap_id", default="", help="The cap that is changed; default: a new one.")
@click.option("--asset", default="", help="Of all that the account shares in this asset.")
@click.option("--grant", "grant_id", default="", help="Of this grant alone.")
@click.option("--fraction", default="", help="Instead of a limit: N/D of what was granted.")
@click.option("--reserve", type=click.IntRange(min=0), default=0, help="Units for it alone.")
@click.option(
    "--window",
    default="lifetime",
    show_default=True,
    help="lifetime, billing, day, week, month, quarter, year, fixed:24h or sliding:7d.",
)
@click.option("--zone", default="", help="Zone of a calendar window; default: UTC.")
@_changing
def set_(
    account: str,
    below: str,
    limit: int | None,
    cap_id: str,
    asset: str,
    grant_id: str,
    fraction: str,
    reserve: int,
    window: str,
    zone: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let BELOW, with all below it, draw up to LIMIT minor units of what ACCOUNT shares.

    \b
    drawdown cap set acme acme-search 500000000 --asset credit --window month
    drawdown cap set acme acme-search --grant grant_… --reserve 100000000
    """
    from ledger.v1 import family_pb2
    from ledger.v1.family_pb2_grpc import FamilyServiceStub

    numerator, denominator = _fraction(fraction) if fraction else (0, 0)
    request = family_pb2.SetCapRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        cap=family_pb2.Cap(
            cap_id=cap_id,
            account=account,
            below=below,
            asset=asset,
            grant_id=grant_id,
            limit=limit,
            numerator=numerator,
            denominator=denominator,
            window=window_of(window, zone),
            reserved=reserve,
        ),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = FamilyServiceStub(channel).SetCap(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"{reply.cap.cap_id} on {below}: version {reply.cap.version}")


@cap.command("list", short_help="List caps with what is used, held and left.")
@click.argument("account")
@click.option("--binding", is_flag=True, help="Those that bind it, instead of those it has set.")
@server_options
@json_option
def list_(account: str, binding: bool, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the caps that ACCOUNT has set on those below it, with their present windows.

    \b
    drawdown cap list acme
    drawdown cap list acme-search --binding
    """
    from ledger.v1 import family_pb2
    from ledger.v1.family_pb2_grpc import FamilyServiceStub

    request = family_pb2.ListCapsRequest(
        tenant=tenant, account=account, binding=binding, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        stub = FamilyServiceStub(channel)
        reply = stub.ListCaps(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListCaps(request, timeout=TIMEOUT_S)
            reply.caps.extend(page.caps)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.caps:
        click.echo("no cap")
    else:
        _print(reply)


@cap.command(short_help="Remove a cap.")
@click.argument("cap_id", metavar="CAP")
@_changing
def remove(
    cap_id: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let CAP bind no more.

    \b
    drawdown cap remove cap_…
    """
    from ledger.v1 import family_pb2
    from ledger.v1.family_pb2_grpc import FamilyServiceStub

    request = family_pb2.RemoveCapRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        cap_id=cap_id,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = FamilyServiceStub(channel).RemoveCap(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"{cap_id} is removed")


def _fraction(text: str) -> tuple[int, int]:
    numerator, found, denominator = text.partition("/")
    if not found or not numerator.isdecimal() or not denominator.isdecimal():
        raise click.UsageError(f"{text!r}: write a fraction as 1/4")
    return int(numerator), int(denominator)


def _print(reply: family_pb2.ListCapsResponse) -> None:
    columns = ("cap", "on", "of", "used", "held", "left", "ceiling", "asset", "reserved", "resets")
    listed = table("", *columns, right=("used", "held", "left", "ceiling", "reserved"))
    for each in reply.caps:
        terms = each.cap
        used, held, left, ceiling = [
            amount(int(figure), terms.scale) if figure else "-"
            for figure in (each.used, each.held, each.left, each.ceiling)
        ]
        reserved = amount(terms.reserved, terms.scale) if terms.reserved else ""
        resets = instant(each.resets_at_us) if each.resets_at_us else ""
        of = terms.grant_id or terms.account
        listed.add_row(
            terms.cap_id, terms.below, of, used, held, left, ceiling, terms.asset, reserved, resets
        )
    console().print(listed)
