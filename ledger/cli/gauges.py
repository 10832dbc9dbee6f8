"""`drawdown gauges`: what gauges show until their scope is charged (rule T2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.output import console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import usage_pb2

PAGE_SIZE = 1_000


@click.group(short_help="What gauges show until they are charged.")
def gauges() -> None:
    """Meters that take the latest value: each scope is charged its last report, once it is over."""


@gauges.command("list", short_help="List those of an account.")
@click.argument("account")
@server_options
@json_option
def list_(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List what the gauges of ACCOUNT (its id or an alias) show, first what is charged first.

    \b
    drawdown gauges list acme
    """
    from ledger.v1 import usage_pb2
    from ledger.v1.usage_pb2_grpc import UsageServiceStub

    request = usage_pb2.ListGaugesRequest(tenant=tenant, account=account, page_size=PAGE_SIZE)
    with connect(remote) as channel:
        stub = UsageServiceStub(channel)
        reply = stub.ListGauges(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListGauges(request, timeout=TIMEOUT_S)
            reply.gauges.extend(page.gauges)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    else:
        _print(reply)


def _print(reply: usage_pb2.ListGaugesResponse) -> None:
    if not reply.gauges:
        click.echo("no gauge waits to be charged")
        return
    columns = ("product", "attributes", "quantity", "shows", "since", "until", "charged")
    listed = table("", *columns, right=("shows",))
    for gauge in reply.gauges:
        attributes = ", ".join(
            f"{name}={value}" for name, value in sorted(gauge.attributes.items())
        )
        for name in sorted(gauge.level):
            listed.add_row(
                gauge.product,
                attributes,
                name,
                f"{gauge.level[name]:,}",
                instant(gauge.effective_at_us),
                instant(gauge.scope_end_us),
                instant(gauge.charged_at_us),
            )
    console().print(listed)
