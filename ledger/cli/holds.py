"""`drawdown hold`: units for an operation with all its calls, or for one call; what is used is
taken, and what is left is shown and given back."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import click

from ledger.cli.arguments import pairs, quantities_of
from ledger.cli.output import advice_of, amount, document_of, instant, json_option, print_json, say
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options
from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from ledger.v1 import decision_pb2


@click.group(short_help="Hold units for an operation or a call; take, show, release.")
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
        lifetime_us=lifetime_s * SECOND_US,
    )
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).Authorize(request, timeout=TIMEOUT_S)
    _tell(reply, as_json)


@hold.command(short_help="Hold a call's estimate, or deny it.")
@click.argument("account")
@click.argument("product")
@click.argument("work", nargs=-1, required=True, metavar="QUANTITY=NUMBER...")
@click.option("--of", "whole", default="", metavar="HOLD_ID", help="Of its operation, that gives.")
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE that prices ask for.")
@click.option("--operation", default="", help="The user action that it is a part of.")
@click.option("--operation-parent", default="", help="The action that --operation is a part of.")
@click.option("--lifetime", "lifetime_s", default=0, help="Seconds that it lives; 0 = 15 minutes.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def authorize(
    account: str,
    product: str,
    work: tuple[str, ...],
    whole: str,
    attributes: tuple[str, ...],
    operation: str,
    operation_parent: str,
    lifetime_s: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Hold what WORK of PRODUCT costs ACCOUNT, of the units of --of first.

    \b
    drawdown hold authorize acme chat input_tokens=2000 --of hold_AAEAAAAAAAAAAQ
    """
    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.AuthorizeRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        product=product,
        attributes=pairs(attributes),
        quantities=quantities_of(work),
        operation=operation,
        operation_parent=operation_parent,
        hold_id=whole,
        lifetime_us=lifetime_s * SECOND_US,
    )
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).Authorize(request, timeout=TIMEOUT_S)
    _tell(reply, as_json)


@hold.command(short_help="Charge what was used of a hold.")
@click.argument("hold_id")
@click.argument("work", nargs=-1, required=True, metavar="QUANTITY=NUMBER...")
@click.option("--product", default="", help="What was used, of a hold of an operation.")
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE, with --product.")
@click.option("--keep-open", is_flag=True, help="More follows: the rest stays held.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def capture(
    hold_id: str,
    work: tuple[str, ...],
    product: str,
    attributes: tuple[str, ...],
    keep_open: bool,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Charge WORK that was done with HOLD_ID; the rest goes back.

    \b
    drawdown hold capture hold_AAEAAAAAAAAAAQ input_tokens=1200
    """
    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.CaptureRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        hold_id=hold_id,
        quantities=quantities_of(work),
        product=product,
        attributes=pairs(attributes),
        keep_open=keep_open,
    )
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).Capture(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    rest = f"{amount(reply.hold_left, reply.scale)} left" if keep_open else ""
    rest = rest or f"{amount(reply.released, reply.scale)} went back"
    click.echo(f"{amount(reply.charge, reply.scale)} {reply.asset} charged, {rest}")


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
        print_json(document_of(reply))
        return
    found = reply.hold
    state = types_pb2.HoldState.Name(found.state).removeprefix("HOLD_STATE_").lower()
    what = "an operation" if found.covers_operation else found.product
    click.echo(f"{state}, for {what} of {found.account}")
    click.echo(
        f"{amount(found.left, found.scale)} of {amount(found.amount, found.scale)} {found.asset} "
        f"left, until {instant(found.expires_at_us)}"
    )
    if found.operation_hold_id:
        click.echo(f"part of {found.operation_hold_id}, of its operation")
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
        print_json(document_of(reply))
    else:
        click.echo(f"{amount(reply.released, reply.scale)} {reply.asset} went back")


def _tell(reply: decision_pb2.AuthorizeResponse, as_json: bool) -> None:
    """A hold, or why there is none."""
    if as_json:
        print_json(document_of(reply))
    elif reply.hold_id:
        held = f"{amount(reply.amount, reply.scale)} {reply.asset}"
        click.echo(f"{held} held until {instant(reply.expires_at_us)}: {reply.hold_id}")
    else:
        click.echo(f"denied: {reply.reason}, {amount(int(reply.available), reply.scale)} available")
        if advice := advice_of(reply.reason):
            say(advice)
