"""`drawdown outcome`: work that is charged once its result is confirmed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.arguments import pairs, quantities_of
from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import outcome_pb2

PAGE_SIZE: Final = 1_000
_STATUSES: Final = ("pending", "confirmed", "rejected")

evidence_option = click.option(
    "--evidence", "evidence", multiple=True, help="NAME=VALUE, as often as wanted, 16 at most."
)


def request_id_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--request-id, for whoever wants to send the same again."""
    return click.option(
        "--request-id", default="", help="Identity of the call, to repeat it; default: a new one."
    )(command)


@click.group(short_help="Report, confirm and reject work that is sold by result.")
def outcome() -> None:
    """Work that is sold by result: reported and reserved for, charged once it is confirmed."""


@outcome.command(short_help="Record work, and reserve its price.")
@click.argument("account")
@click.argument("product")
@click.argument("quantities", nargs=-1, required=True)
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE that prices ask for.")
@click.option("--at", "at_us", type=Instant(), default=0, help="When it was done; default: now.")
@evidence_option
@request_id_option
@server_options
@json_option
def report(
    account: str,
    product: str,
    quantities: tuple[str, ...],
    attributes: tuple[str, ...],
    at_us: int,
    evidence: tuple[str, ...],
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Record that ACCOUNT used PRODUCT: QUANTITIES are NAME=NUMBER, in minor units.

    \b
    drawdown outcome report acme support-case cases=1 --evidence ticket=4711
    """
    from ledger.v1 import outcome_pb2
    from ledger.v1.outcome_pb2_grpc import OutcomeServiceStub

    request = outcome_pb2.OutcomeServiceReportRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        product=product,
        attributes=pairs(attributes),
        quantities=quantities_of(quantities),
        effective_at_us=at_us,
        evidence=pairs(evidence),
    )
    with connect(remote) as channel:
        reply = OutcomeServiceStub(channel).Report(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(f"{reply.outcome_id}: {amount(reply.reserved, reply.scale)} {reply.asset} reserved")
    if reply.due_at_us:
        does = outcome_pb2.DESCRIPTOR.pool.FindEnumTypeByName("rating.v1.OutcomeTimeout")
        end = does.values_by_number[reply.on_timeout].name.removeprefix("OUTCOME_TIMEOUT_")
        click.echo(f"{end.lower()} by itself at {instant(reply.due_at_us)}")


@outcome.command(short_help="The result is there: charge the work.")
@click.argument("outcome_id")
@evidence_option
@request_id_option
@server_options
@json_option
def confirm(
    outcome_id: str,
    evidence: tuple[str, ...],
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Charge what OUTCOME_ID reserves.

    \b
    drawdown outcome confirm outcome_AAEAAAAAAAAAAQ --evidence survey=solved
    """
    from ledger.v1 import outcome_pb2
    from ledger.v1.outcome_pb2_grpc import OutcomeServiceStub

    request = outcome_pb2.OutcomeServiceConfirmRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        outcome_id=outcome_id,
        evidence=pairs(evidence),
    )
    with connect(remote) as channel:
        reply = OutcomeServiceStub(channel).Confirm(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"confirmed: {amount(reply.charge, reply.scale)} {reply.asset} charged")


@outcome.command(short_help="There is no result: charge nothing.")
@click.argument("outcome_id")
@click.option("--reason", default="", help="Why, at most 256 bytes.")
@evidence_option
@request_id_option
@server_options
@json_option
def reject(
    outcome_id: str,
    reason: str,
    evidence: tuple[str, ...],
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Give back what OUTCOME_ID reserves.

    \b
    drawdown outcome reject outcome_AAEAAAAAAAAAAQ --reason "reopened by the customer"
    """
    from ledger.v1 import outcome_pb2
    from ledger.v1.outcome_pb2_grpc import OutcomeServiceStub

    request = outcome_pb2.OutcomeServiceRejectRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        outcome_id=outcome_id,
        reason=reason,
        evidence=pairs(evidence),
    )
    with connect(remote) as channel:
        reply = OutcomeServiceStub(channel).Reject(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"rejected: {amount(reply.released, reply.scale)} {reply.asset} given back")


@outcome.command("list", short_help="List what pends, or what was settled lately.")
@click.argument("account")
@click.option("--status", type=click.Choice(_STATUSES), default="pending", show_default=True)
@click.option("--subtree", is_flag=True, help="Also those of every account below it.")
@server_options
@json_option
def list_(
    account: str, status: str, subtree: bool, tenant: str, remote: Remote, as_json: bool
) -> None:
    """List outcomes of ACCOUNT: those that pend as they were reported, or those settled in the last
    35 days, last settled first.

    \b
    drawdown outcome list acme --subtree
    """
    from ledger.v1 import outcome_pb2
    from ledger.v1.outcome_pb2_grpc import OutcomeServiceStub

    request = outcome_pb2.OutcomeServiceListRequest(
        tenant=tenant,
        account=account,
        subtree=subtree,
        status=outcome_pb2.OutcomeStatus.Value(f"OUTCOME_STATUS_{status.upper()}"),
        page_size=PAGE_SIZE,
    )
    with connect(remote) as channel:
        stub = OutcomeServiceStub(channel)
        reply = stub.List(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.List(request, timeout=TIMEOUT_S)
            reply.outcomes.extend(page.outcomes)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.outcomes:
        click.echo(f"no outcome is {status}")
    else:
        _print(reply)


def _print(reply: outcome_pb2.OutcomeServiceListResponse) -> None:
    columns = ("reported", "account", "product", "reserved", "charged", "asset", "due", "outcome")
    listed = table("", *columns, right=("reserved", "charged"))
    for each in reply.outcomes:
        listed.add_row(
            instant(each.reported_at_us),
            each.account,
            each.product,
            amount(each.reserved, each.scale),
            amount(each.charge, each.scale),
            each.asset,
            instant(each.due_at_us) if each.due_at_us else "",
            each.outcome_id,
        )
    console().print(listed)
