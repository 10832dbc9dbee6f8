"""`drawdown lease`: what is out with holders at the edge, asked back, written off."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import click

from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.v1 import lease_pb2


@click.group(short_help="Show, recall and end credit leases.")
def lease() -> None:
    """Slices of a balance that holders at the edge decide about by themselves."""


@lease.command("list", short_help="List an account's leases, and what they may come to.")
@click.argument("account")
@server_options
@json_option
def list_(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List what ACCOUNT has out with holders, and what late reports may overdraw.

    \b
    drawdown lease list acme
    """
    from ledger.v1 import lease_pb2
    from ledger.v1.lease_pb2_grpc import LeaseServiceStub

    request = lease_pb2.LeaseServiceListRequest(tenant=tenant, account=account, page_size=1_000)
    with connect(remote) as channel:
        stub = LeaseServiceStub(channel)
        reply = stub.List(request, timeout=TIMEOUT_S)
        exposure = stub.GetExposure(
            lease_pb2.GetExposureRequest(tenant=tenant, account=account), timeout=TIMEOUT_S
        )
    if as_json:
        print_json({**document_of(reply), **document_of(exposure)})
        return
    if not reply.leases:
        click.echo("nothing is out with holders")
    else:
        _print(reply.leases)
    for each in exposure.exposures:
        click.echo(
            f"{amount(int(each.in_escrow), each.scale)} {each.asset} in escrow, "
            f"{amount(int(each.overdue), each.scale)} of it overdue; late reports may overdraw "
            f"{amount(int(each.may_overdraw), each.scale)}"
        )


@lease.command(short_help="Show one lease.")
@click.argument("lease_id")
@server_options
@json_option
def show(lease_id: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show LEASE_ID as it is now.

    \b
    drawdown lease show lease_AAEAAAAAAAAAAQ
    """
    from ledger.v1 import lease_pb2
    from ledger.v1.lease_pb2_grpc import LeaseServiceStub

    request = lease_pb2.LeaseServiceGetRequest(tenant=tenant, lease_id=lease_id)
    with connect(remote) as channel:
        reply = LeaseServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        _print([reply.lease])


@lease.command(short_help="Ask its holder to bring a lease down.")
@click.argument("lease_id")
@click.argument("keep", type=click.IntRange(min=0), default=0)
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def recall(
    lease_id: str, keep: int, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Have the holder of LEASE_ID told to come down to KEEP minor units, 0 by default.

    \b
    drawdown lease recall lease_AAEAAAAAAAAAAQ 1000
    """
    from ledger.v1 import lease_pb2
    from ledger.v1.lease_pb2_grpc import LeaseServiceStub

    request = lease_pb2.RecallRequest(
        tenant=tenant, request_id=request_id or uuid.uuid4().hex, lease_id=lease_id, keep=keep
    )
    with connect(remote) as channel:
        reply = LeaseServiceStub(channel).Recall(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo("its holder is told with the answer to its next call")


@lease.command("give-back", short_help="End a lease, or write off one that is overdue.")
@click.argument("lease_id")
@click.option("--write-off", is_flag=True, help="It has lapsed and stays charged: nobody reports.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def give_back(
    lease_id: str, write_off: bool, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """End LEASE_ID: what is left goes back to the balance.

    \b
    drawdown lease give-back lease_AAEAAAAAAAAAAQ --write-off
    """
    from ledger.v1 import lease_pb2
    from ledger.v1.lease_pb2_grpc import LeaseServiceStub

    request = lease_pb2.GiveBackRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        lease_id=lease_id,
        write_off=write_off,
    )
    with connect(remote) as channel:
        reply = LeaseServiceStub(channel).GiveBack(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo("written off" if write_off else "given back")


def _print(leases: Sequence[lease_pb2.Lease]) -> None:
    from ledger.v1 import lease_pb2

    columns = ("holder", "product", "state", "left", "wanted", "down to", "asset")
    named = ("operation",) if any(each.operation_key for each in leases) else ()
    listed = table("", *columns, "lapses", *named, "lease", right=("left", "wanted", "down to"))
    for each in leases:
        listed.add_row(
            each.holder,
            each.product,
            lease_pb2.LeaseState.Name(each.state).removeprefix("LEASE_STATE_").lower(),
            amount(each.left, each.scale),
            amount(each.wanted, each.scale),
            amount(each.down_to, each.scale),
            each.asset,
            instant(each.lapses_at_us) if each.lapses_at_us else "",
            *([each.operation_key] if named else []),
            each.lease_id,
        )
    console().print(listed)
