"""`drawdown watch`: balances as they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.output import amount, console, instant, json_option, print_json
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import balance_pb2


@click.command()
@click.argument("accounts", nargs=-1, required=True)
@click.option("--subtree", is_flag=True, help="Watch the accounts below them, too.")
@click.option("--product", default="", help="Also show what is applicable to this product.")
@click.option("--holds", is_flag=True, help="Show holds as they open and are settled.")
@click.option("--budgets", is_flag=True, help="Show the accounts' budgets.")
@click.option(
    "--every-ms",
    type=click.IntRange(0, 60_000),
    default=0,
    help="At most one message in this time.  [default: as they come]",
)
@click.option("--after", default="", metavar="POSITION", help="Begin at this position or later.")
@click.option("--messages", type=click.IntRange(1), help="End after so many.  [default: never]")
@server_options
@json_option
def watch(
    remote: Remote,
    tenant: str,
    accounts: tuple[str, ...],
    subtree: bool,
    product: str,
    holds: bool,
    budgets: bool,
    every_ms: int,
    after: str,
    messages: int | None,
    as_json: bool,
) -> None:
    """Show ACCOUNTS of one family as they are, and as they change, until Ctrl-C.

    \b
    drawdown watch acme --subtree --holds
    drawdown watch acme --budgets --json          a line a message
    """
    from ledger.v1 import balance_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub

    request = balance_pb2.WatchRequest(
        tenant=tenant,
        accounts=accounts,
        subtree=subtree,
        product=product,
        holds=holds,
        budgets=budgets,
        min_interval_us=every_ms * 1_000,
        after_position=after,
    )
    with connect(remote) as channel:
        for count, message in enumerate(BalanceServiceStub(channel).Watch(request), 1):
            if as_json:
                print_json(_document(message))
            else:
                _print(message)
            if count == messages:
                return


def _document(message: balance_pb2.WatchResponse) -> dict[str, object]:
    from google.protobuf import json_format

    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _print(message: balance_pb2.WatchResponse) -> None:
    from ledger.v1 import types_pb2

    screen = console()
    when = instant(message.as_of_us)
    for account in message.accounts:
        for each in account.balances:
            scale = each.scale
            line = f"{when}  {account.account}  {amount(each.available, scale)} {each.asset}"
            line += f"  granted {amount(each.granted, scale)}"
            line += f"  pending {amount(each.pending, scale)}"
            screen.print(line)
        for hold in account.holds:
            state = types_pb2.HoldState.Name(hold.state).removeprefix("HOLD_STATE_").lower()
            screen.print(f"{when}  {account.account}  hold {hold.hold_id} {state}")
        for budget in account.budgets:
            line = f"{when}  {account.account}  budget {budget.name}"
            screen.print(f"{line} {budget.left} of {budget.limit} left")
