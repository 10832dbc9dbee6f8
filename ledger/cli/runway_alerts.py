"""`drawdown runway-alert`: what the ledger tells before a balance is empty."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.forecast import HORIZON_MAX
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    pass


@click.group("runway-alert", short_help="Set, list and remove alerts before a balance is empty.")
def runway_alert() -> None:
    """Alerts of an account: the server foretells its balance and records each crossing."""


@runway_alert.command("set", short_help="Be told when a balance may not last for so many hours.")
@click.argument("account")
@click.argument("asset")
@click.option("--hours", type=click.IntRange(1, HORIZON_MAX), required=True, help="How long.")
@click.option(
    "--again-after",
    type=click.IntRange(1, HORIZON_MAX),
    default=None,
    help="Not again before it is sure to last for so many hours; default: a quarter more.",
)
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def set_(
    account: str,
    asset: str,
    hours: int,
    again_after: int | None,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Tell once ACCOUNT's balance of ASSET may not last for so many hours: in one future of ten.

    \b
    drawdown runway-alert set acme credit --hours 72
    """
    from ledger.v1 import runway_pb2
    from ledger.v1.runway_pb2_grpc import RunwayServiceStub

    request = runway_pb2.SetAlertRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        alert=runway_pb2.RunwayAlert(asset=asset, hours=hours, rearm_hours=again_after or 0),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = RunwayServiceStub(channel).SetAlert(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        alert = reply.alert
        click.echo(
            f"{account}: tells when {asset} may not last for {alert.hours} h, again after "
            f"{alert.rearm_hours} h (version {alert.version})"
        )


@runway_alert.command("list", short_help="List alerts with what they have told.")
@click.argument("account")
@server_options
@json_option
def list_(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the alerts of ACCOUNT, with what each told last.

    \b
    drawdown runway-alert list acme
    """
    from ledger.v1 import runway_pb2
    from ledger.v1.runway_pb2_grpc import RunwayServiceStub

    request = runway_pb2.GetAlertsRequest(tenant=tenant, account=account)
    with connect(remote) as channel:
        reply = RunwayServiceStub(channel).GetAlerts(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    elif not reply.alerts:
        click.echo("no runway alerts")
    else:
        _print(reply.alerts)


@runway_alert.command(short_help="Remove an alert.")
@click.argument("account")
@click.argument("asset")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def remove(
    account: str, asset: str, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Tell nothing more of ACCOUNT's balance of ASSET.

    \b
    drawdown runway-alert remove acme credit
    """
    from ledger.v1 import runway_pb2
    from ledger.v1.runway_pb2_grpc import RunwayServiceStub

    request = runway_pb2.RemoveAlertRequest(
        tenant=tenant, request_id=request_id or uuid.uuid4().hex, account=account, asset=asset
    )
    with connect(remote) as channel:
        reply = RunwayServiceStub(channel).RemoveAlert(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"{account}: tells nothing more of {asset}")


def _print(alerts: Any) -> None:
    shown = table(
        "", "asset", "hours", "again after", "state", "told", "available", "needed",
        right=("hours", "again after", "available", "needed"),
    )  # fmt: skip
    for each in alerts:
        told = bool(each.crossed_at_us)
        shown.add_row(
            each.asset,
            str(each.hours),
            str(each.rearm_hours),
            "short" if each.short else "lasts" if told else "not told of",
            instant(each.crossed_at_us) if told else "-",
            amount(each.available, each.scale) if told else "-",
            amount(each.needed, each.scale) if told else "-",
        )
    console().print(shown)
