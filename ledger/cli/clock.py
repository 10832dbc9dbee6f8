"""`drawdown clock`: what time it is for a tenant, and moving a sandbox's clock forward."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

import click

from ledger.cli.instants import Instant
from ledger.cli.output import document_of, instant, json_option, print_json, progress
from ledger.cli.remote import Remote, connect, server_options
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US

if TYPE_CHECKING:
    from ledger.v1 import clock_pb2

CALL_S: Final = 10  # of one call; what is left is waited for in the next
_UNITS_US: Final = {
    "s": SECOND_US,
    "m": MINUTE_US,
    "h": HOUR_US,
    "d": DAY_US,
    "w": 7 * DAY_US,
}


class Duration(click.ParamType[int]):
    """A time as 90s, 15m, 6h, 31d or 4w, as microseconds."""

    name = "duration"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,12})([smhdw])", value)
        if found is None or int(found[1]) == 0:
            self.fail(f"{value!r}: write 90s, 15m, 6h, 31d or 4w", param, ctx)
        return int(found[1]) * _UNITS_US[found[2]]


@click.group(short_help="Show a tenant's clock; move a sandbox's forward.")
def clock() -> None:
    """Show what time it is for a tenant; move the clock of a sandbox forward. Whatever time causes
    then happens: grants expire, periods begin, holds lapse, invoices fall due."""


@clock.command()
@server_options
@json_option
def show(tenant: str, remote: Remote, as_json: bool) -> None:
    """Show what time it is for the tenant, and how far its clock is ahead."""
    from ledger.v1 import clock_pb2
    from ledger.v1.clock_pb2_grpc import ClockServiceStub

    with connect(remote) as channel:
        reply = ClockServiceStub(channel).Get(
            clock_pb2.ClockServiceGetRequest(tenant=tenant), timeout=CALL_S
        )
    if as_json:
        print_json(document_of(reply))
        return
    kind = "sandbox" if reply.sandbox else "live: its clock cannot be moved"
    click.echo(f"{instant(reply.now_us)}  {tenant}, {kind}")
    if reply.offset_us:
        click.echo(f"{_told(reply.offset_us)} ahead")


@clock.command()
@click.option("--by", "by_us", type=Duration(), default=0, help="How far: 90s, 15m, 6h, 31d, 4w.")
@click.option("--to", "to_us", type=Instant(), default=0, help="To this instant of its clock.")
@click.option(
    "--request-id",
    default=lambda: uuid.uuid4().hex,
    help="Identity of the call: give it to be able to repeat it.  [default: a new one]",
)
@server_options
@json_option
def advance(
    by_us: int, to_us: int, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Move the clock of a sandbox tenant forward, and wait until all that came due has happened.

    \b
    drawdown clock advance --tenant sandbox --by 31d
    drawdown clock advance --tenant sandbox --to 2027-01-01T00:00:00Z
    """
    from ledger.v1 import clock_pb2

    if (by_us > 0) == (to_us > 0):
        raise click.UsageError("give one of --by and --to")
    request = clock_pb2.AdvanceRequest(tenant=tenant, request_id=request_id)
    if to_us:
        request.to_us = to_us
    else:
        request.by_us = by_us
    reply = _advance(remote, request)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(f"{instant(reply.reached_us)}  {tenant}: all that was due by then has happened")
    click.echo(f"{_told(reply.offset_us)} ahead")


def _advance(remote: Remote, request: clock_pb2.AdvanceRequest) -> clock_pb2.AdvanceResponse:
    """Ask until nothing is left of what came due."""
    from ledger.v1.clock_pb2_grpc import ClockServiceStub

    most = 0
    with connect(remote) as channel, progress("accounts") as show_progress:
        stub = ClockServiceStub(channel)
        while True:
            reply = stub.Advance(request, timeout=CALL_S)
            if reply.settled:
                return reply
            most = max(most, reply.accounts_left)
            show_progress("posting what is due", most - reply.accounts_left, most)


def _told(offset_us: int) -> str:
    """A duration for a person: 31 d 6 h."""
    seconds = offset_us // SECOND_US
    parts = ((seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"))
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said) or f"{seconds} s"
