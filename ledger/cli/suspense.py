"""`drawdown suspense`: usage that waits for a price (rule B8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.output import console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import usage_pb2

PAGE_SIZE = 1_000


@click.group(short_help="Usage that waits for a price.")
def suspense() -> None:
    """Usage of which some quantities have no price yet. It is rated when one comes."""


@suspense.command("list", short_help="List it, oldest first.")
@click.argument("account", default="")
@click.option("--product", default="", help="Only usage of this product.")
@click.option("--reason", default="", help="Only what waits for this reason, as UNPRICED.")
@server_options
@json_option
def list_(
    account: str, product: str, reason: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """List what waits, oldest first: of ACCOUNT (its id or an alias) and those below it, or of the
    whole tenant.

    \b
    drawdown suspense list acme --product chat
    """
    from ledger.v1 import usage_pb2
    from ledger.v1.usage_pb2_grpc import UsageServiceStub

    request = usage_pb2.ListSuspenseRequest(
        tenant=tenant, account=account, product=product, reason=reason, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        stub = UsageServiceStub(channel)
        reply = stub.ListSuspense(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListSuspense(request, timeout=TIMEOUT_S)
            reply.usage.extend(page.usage)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    else:
        _print(reply)


def _print(reply: usage_pb2.ListSuspenseResponse) -> None:
    if not reply.usage:
        click.echo("nothing waits for a price")
        return
    columns = ("since", "effective", "account", "product", "quantity", "waits", "reason", "usage")
    listed = table("", *columns, right=("waits",))
    for usage in reply.usage:
        for each in usage.quantities:
            listed.add_row(
                instant(usage.recorded_at_us),
                instant(usage.effective_at_us),
                usage.account,
                usage.product,
                each.name,
                f"{each.quantity:,}",
                each.reason,
                usage.id,
            )
    console().print(listed)
