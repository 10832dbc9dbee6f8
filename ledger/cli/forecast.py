"""`drawdown forecast`: how long balances last, and what the period will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import balance_pb2

HORIZON_MAX = 2_160
BANDS = ("balance", "used", "expired", "unpaid", "bill")


@click.command(short_help="Foretell how long balances last, and the bill of the period.")
@click.argument("account")
@click.option("--subtree", is_flag=True, help="Of it and all accounts below it, as one.")
@click.option(
    "--hours",
    type=click.IntRange(1, HORIZON_MAX),
    default=720,
    show_default=True,
    help="How far to look.",
)
@server_options
@json_option
def forecast(
    account: str, subtree: bool, hours: int, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Foretell for ACCOUNT (its id or an alias), asset by asset, by what usage has drawn in the
    last four weeks: when the balance is empty, what is left, expires and is billed. Each figure as
    a band: what one future in ten, five and nine in ten do not exceed.

    \b
    drawdown forecast acme
    drawdown forecast acme --subtree --hours 168
    """
    from ledger.v1 import balance_pb2
    from ledger.v1.balance_pb2_grpc import BalanceServiceStub

    request = balance_pb2.ForecastRequest(
        tenant=tenant, account=account, subtree=subtree, horizon_hours=hours
    )
    with connect(remote) as channel:
        reply = BalanceServiceStub(channel).Forecast(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        _print(reply)


def _print(reply: balance_pb2.ForecastResponse) -> None:
    from ledger.v1 import balance_pb2

    screen = console()
    screen.heading(reply.account, f"  from {instant(reply.as_of_us)}")
    if not reply.assets:
        screen.print("no asset was ever used: issue a grant")
    for each in reply.assets:
        outlook = balance_pb2.Outlook.Name(each.outlook).removeprefix("OUTLOOK_")
        screen.print(
            f"{each.asset}: {outlook.lower().replace('_', ' ')}; "
            f"{amount(each.available, each.scale)} available, "
            f"{amount(each.burn_per_day, each.scale)} a day over {each.history_hours} h, "
            f"{amount(each.burn_last_day, each.scale)} in the last 24"
        )
        if not each.HasField("balance"):
            continue
        marks = ("p10", "p50", "p90")
        shown = table("", each.asset, *marks, right=marks)
        empty = [instant(getattr(each.empty_at_us, mark)) for mark in marks]
        shown.add_row("empty at", *empty)
        for name in BANDS:
            band = getattr(each, name)
            figures = [amount(getattr(band, mark), each.scale) for mark in marks]
            shown.add_row(_SAID[name], *figures)
        screen.print(shown)
    if reply.budgets:
        listed = table("budgets", "account", "budget", "limit", "used", "runs out", "resets")
        for budget in reply.budgets:
            listed.add_row(
                budget.account,
                budget.name,
                str(budget.limit),
                budget.used,
                instant(budget.runs_out_at_us),
                instant(budget.resets_at_us),
            )
        screen.print(listed)


_SAID = {
    "balance": "left at the horizon",
    "used": "used until then",
    "expired": "expired until then",
    "unpaid": "unpaid until the period ends",
    "bill": "overage of the period",
}
