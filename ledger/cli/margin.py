"""What usage earned, cost, and whom it is billed to: `drawdown margin`, `operation`, `overage`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from rich.table import Table

    from ledger.v1 import report_pb2

PAGE_SIZE = 1_000
_COLUMNS = ("calls", "money", "earned", "cost", "margin", "burnt")


@click.command(short_help="Show what usage earned, cost and left, by group.")
@click.option(
    "--by",
    type=click.Choice(["product", "account", "operation"]),
    default="product",
    show_default=True,
    help="What usage is grouped by.",
)
@click.option("--attribute", help="Group by this attribute of the events instead.")
@click.option("--account", default="", help="Only usage of this account.  [default: of all]")
@click.option("--subtree", is_flag=True, help="Also of every account below it.")
@click.option("--from", "since", type=Instant(), default=0, help="Effective from then on.")
@click.option("--to", "until", type=Instant(), default=0, help="Effective before.")
@server_options
@json_option
def margin(
    by: str,
    attribute: str | None,
    account: str,
    subtree: bool,
    since: int,
    until: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Show what usage earned (revenue recognised), what providers take for it, and what is left.

    \b
    drawdown margin --by account --from 2026-11-01
    drawdown margin --attribute region --account acme --subtree
    """
    from ledger.v1 import report_pb2
    from ledger.v1.report_pb2_grpc import ReportServiceStub

    named = "attribute" if attribute is not None else by
    request = report_pb2.GetMarginRequest(
        tenant=tenant,
        account=account,
        subtree=subtree,
        from_us=since,
        to_us=until,
        group_by=report_pb2.MarginGroup.Value(f"MARGIN_GROUP_{named.upper()}"),
        attribute=attribute or "",
        page_size=PAGE_SIZE,
    )
    rows: list[report_pb2.MarginRow] = []
    with connect(remote) as channel:
        stub = ReportServiceStub(channel)
        while True:
            reply = stub.GetMargin(request, timeout=TIMEOUT_S)
            rows.extend(reply.rows)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                break
    if as_json:
        print_json([document_of(row) for row in rows])
        return
    listed = table("", attribute or by, *_COLUMNS, right=_COLUMNS)
    for row in rows:
        _add(listed, row.group if row.named else "(none)", row.earnings)
    screen = console()
    screen.print(listed)
    _remark(screen, [row.earnings for row in rows])


@click.command(short_help="Show what one user action earned and cost, with all that it caused.")
@click.argument("operation")
@click.option("--account", default="", help="An account of its family; needed with an id.")
@server_options
@json_option
def operation(operation: str, account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show OPERATION, the fan-out of one user action: its id with --account, or its key alone.

    \b
    drawdown operation answer-4711 --account acme
    """
    from ledger.v1 import report_pb2
    from ledger.v1.report_pb2_grpc import ReportServiceStub

    request = report_pb2.GetOperationRequest(
        tenant=tenant,
        account=account,
        operation=operation if account else "",
        operation_key="" if account else operation,
    )
    with connect(remote) as channel:
        reply = ReportServiceStub(channel).GetOperation(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    screen = console()
    for each in reply.parents:
        screen.print(f"caused by {each.operation or each.operation_key}")
    listed = table("", "operation, with what it caused", *_COLUMNS, right=_COLUMNS)
    for node in reply.operations:
        name = node.operation.operation or node.operation.operation_key
        _add(listed, "  " * node.depth + name, node.total)
    screen.print(listed)
    if reply.more:
        screen.print("There are more below it, which are not counted here.")
    _remark(screen, [reply.operations[0].total])


@click.command(short_help="Show what an account is billed as overage, by whose usage it was.")
@click.argument("account")
@click.option("--from", "since", type=Instant(), default=0, help="Effective from then on.")
@click.option("--to", "until", type=Instant(), default=0, help="Effective before.")
@server_options
@json_option
def overage(
    account: str, since: int, until: int, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Show what was put on the overage of ACCOUNT: by itself, and by children that it pays for.

    \b
    drawdown overage acme --from 2026-11-01
    """
    from ledger.v1 import report_pb2
    from ledger.v1.report_pb2_grpc import ReportServiceStub

    request = report_pb2.GetOverageRequest(
        tenant=tenant, account=account, from_us=since, to_us=until, page_size=PAGE_SIZE
    )
    rows: list[report_pb2.OverageRow] = []
    with connect(remote) as channel:
        stub = ReportServiceStub(channel)
        while True:
            reply = stub.GetOverage(request, timeout=TIMEOUT_S)
            rows.extend(reply.rows)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                break
    if as_json:
        print_json([document_of(row) for row in rows])
        return
    listed = table("", "account", "overage", "asset", right=("overage",))
    for row in rows:
        listed.add_row(row.account or "(erased)", amount(int(row.amount), row.scale), row.asset)
    console().print(listed)


def _add(listed: Table, name: str, earned: report_pb2.Earnings) -> None:
    """A row for each money; burnt units stand in the first."""

    burnt = ", ".join(
        [f"{amount(int(each.amount), each.scale)} {each.asset}" for each in earned.burnt]
    )
    first = (name, f"{earned.calls:,}")
    for each in earned.money:
        sums = (each.earned, each.cost, each.margin)
        if int(each.repaid):
            sums = (str(int(each.earned) + int(each.repaid)), each.cost, each.margin)
        listed.add_row(
            *first,
            each.asset,
            *[amount(int(figure), each.scale) for figure in sums],
            burnt,
        )
        first, burnt = ("", ""), ""
    if not earned.money:
        listed.add_row(*first, "", "", "", "", burnt)


def _remark(screen: Any, shown: list[report_pb2.Earnings]) -> None:
    """What the figures leave open."""
    unknown = sum([each.unknown_cost_calls for each in shown])
    unrated = sum([each.unrated_calls for each in shown])
    if unknown:
        screen.print(f"{unknown:,} calls have a cost that is not known, wholly or in part.")
    if unrated:
        screen.print(f"{unrated:,} calls wait for a price, wholly or in part.")
    for each in shown:
        if each.advanced:
            screen.print("Units drawn in advance have earned nothing yet.")
            return
