"""`drawdown balance`: what an account can still spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import amount, console, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import balance_pb2, types_pb2

FIGURES = ("available", "granted", "pending", "advance", "overage")


@click.command(short_help="Show what an account can still spend.")
@click.argument("account")
@click.option("--product", default="", help="Also show what may be spent on this product.")
@click.option("--grants", is_flag=True, help="Also list the grants, in drawdown order.")
@server_options
@json_option
def balance(
    account: str,
    product: str,
    grants: bool,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Show what ACCOUNT (its id or an alias) can still spend, asset by asset."""
    from ledger.v1 import balance_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub

    request = balance_pb2.BalanceServiceGetRequest(tenant=tenant, account=account, product=product)
    with connect(remote) as channel:
        reply = BalanceServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
    else:
        _print(reply, product, grants)


def _document(reply: balance_pb2.BalanceServiceGetResponse) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    document: dict[str, Any] = MessageToDict(
        reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document


def _print(reply: balance_pb2.BalanceServiceGetResponse, product: str, grants: bool) -> None:
    screen = console()
    screen.print(f"[bold]{reply.account}[/]  as of {instant(reply.as_of_us)}")
    if not reply.balances:
        screen.print("no asset was ever used: issue a grant")
        return
    figures = (*FIGURES[:1], "applicable", *FIGURES[1:]) if product else FIGURES
    shown = table("", "asset", *figures, right=figures)
    for each in reply.balances:
        amounts = [amount(getattr(each, figure) or 0, each.scale) for figure in figures]
        shown.add_row(each.asset, *amounts)
    screen.print(shown)
    if not grants:
        return
    columns = ("left", "held", "issued")
    listed = table(
        "grants, in drawdown order", "grant", "asset", *columns, "expires", right=columns
    )
    for each in reply.balances:
        for grant in each.grants:
            listed.add_row(
                grant.grant_id,
                each.asset,
                *(amount(figure, each.scale) for figure in _figures_of(grant)),
                instant(grant.expires_at_us),
            )
    screen.print(listed)


def _figures_of(grant: types_pb2.Grant) -> tuple[int, int, int]:
    return grant.remaining, grant.held, grant.amount
