"""`drawdown adjustments`: what counts in a period and is no usage of its own time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import correction_pb2

PAGE_SIZE = 1_000


@click.command(short_help="List late usage, reversals and manual adjustments of a period.")
@click.argument("account")
@click.option(
    "--period",
    "period_at",
    type=Instant(),
    default=0,
    help="An instant of it, a calendar month in the account's zone; default: now.",
)
@click.option("--subtree", is_flag=True, help="Also those of every account below it.")
@server_options
@json_option
def adjustments(
    account: str, period_at: int, subtree: bool, tenant: str, remote: Remote, as_json: bool
) -> None:
    """List what counts in a period of ACCOUNT (its id or an alias) and is no usage of its own time:
    usage that came after its period was closed, reversals, adjustments by hand.

    \b
    drawdown adjustments acme --period 2026-11-01 --subtree
    """
    from ledger.v1 import correction_pb2
    from ledger.v1.correction_pb2_grpc import CorrectionServiceStub

    request = correction_pb2.ListAdjustmentsRequest(
        tenant=tenant,
        account=account,
        subtree=subtree,
        period_at_us=period_at,
        page_size=PAGE_SIZE,
    )
    with connect(remote) as channel:
        stub = CorrectionServiceStub(channel)
        reply = stub.ListAdjustments(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListAdjustments(request, timeout=TIMEOUT_S)
            reply.adjustments.extend(page.adjustments)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    else:
        _print(account, reply)


def _print(account: str, reply: correction_pb2.ListAdjustmentsResponse) -> None:
    from ledger.v1 import correction_pb2

    screen = console()
    start, end = instant(reply.period_start_us), instant(reply.period_end_us)
    screen.heading(account, f" {start} to {end}")
    columns = (
        "recorded",
        "what",
        "of closed",
        "account",
        "asset",
        "charged",
        "entry",
        "usage",
        "by",
    )
    listed = table("", *columns, right=("charged", "entry"))
    for each in reply.adjustments:
        kind = correction_pb2.AdjustmentKind.Name(each.kind).removeprefix("ADJUSTMENT_KIND_")
        listed.add_row(
            instant(each.recorded_at_us),
            kind.lower(),
            instant(each.closed_period_us) if each.closed_period_us else "",
            each.account,
            each.asset,
            amount(each.charged, each.scale),
            str(each.entry_seq),
            each.usage_id,
            each.actor,
        )
    screen.print(listed)
