"""`drawdown hold`: units for an operation with all its calls, shown and given back."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import amount, instant, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from google.protobuf.message import Message


@click.group(short_help="Hold units for an operation; show and release holds.")
def hold() -> None:
    """Units that are held for work, and what was drawn of them."""


@hold.command(short_help="Hold units for an operation with all its calls.")
@click.argument("account")
@click.argument("operation")
@click.argument("units", type=click.IntRange(min=1))
@click.option("--lifetime", "lifetime_s", default=0, help="Seconds that it lives; 0 = 15 minutes.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def reserve(
    account: str,
    operation: str,
    units: int,
    lifetime_s: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Hold UNITS of ACCOUNT, in minor units, for OPERATION: its calls draw from them.

    \b
    drawdown hold reserve acme run-17 50000000 --lifetime 3600
    """
    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.AuthorizeRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        operation=operation,
        operation_amount=units,
        lifetime_us=lifetime_s * 1_000_000,
    )
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).Authorize(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
    elif reply.hold_id:
        held = f"{amount(reply.amount, reply.scale)} {reply.asset}"
        click.echo(f"{held} held until {instant(reply.expires_at_us)}: {reply.hold_id}")
    else:
        click.echo(f"denied: {reply.reason}, {amount(int(reply.available), reply.scale)} available")


@hold.command(short_help="Show one hold, and what was drawn of it.")
@click.argument("hold_id")
@server_options
@json_option
def show(hold_id: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Show HOLD_ID as it is now.

    \b
    drawdown hold show hold_AAEAAAAAAAAAAQ
    """
    from ledger.v1 import decision_pb2, types_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.GetHoldRequest(tenant=tenant, hold_id=hold_id)
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).GetHold(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
        return
    found = reply.hold
    state = types_pb2.HoldState.Name(found.state).removeprefix("HOLD_STATE_").lower()
    what = "an operation" if found.covers_operation else found.product
    click.echo(f"{state}, for {what} of {found.account}")
    click.echo(
        f"{amount(found.left, found.scale)} of {amount(found.amount, found.scale)} {found.asset} "
        f"left, until {instant(found.expires_at_us)}"
    )
    for product, units in sorted(found.drawn.items()):
        click.echo(f"{amount(units, found.scale)} drawn for {product or 'other products'}")


@hold.command(short_help="Give back what is left of a hold.")
@click.argument("hold_id")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def release(hold_id: str, request_id: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """Release HOLD_ID.

    \b
    drawdown hold release hold_AAEAAAAAAAAAAQ
    """
    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.ReleaseRequest(
        tenant=tenant, request_id=request_id or uuid.uuid4().hex, hold_id=hold_id
    )
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).Release(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
    else:
        click.echo(f"{amount(reply.released, reply.scale)} {reply.asset} went back")


def _document(reply: Message) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(
        reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found
