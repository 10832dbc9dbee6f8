"""`drawdown seat`: plans of seats, their changes, and the seats with their balances."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import seat_pb2

PAGE_SIZE: Final = 1_000
MODES: Final = ("keep-until-period-end", "forfeit-unused", "forfeit-prorated")
UNITS: Final = ("week", "month", "quarter", "year")

_request_id: Final = click.option(
    "--request-id", default="", help="Identity of the call; default: a new one."
)
_expected: Final = click.option(
    "--expected-version", default=0, help="Version of the plan; 0 = whatever it is."
)
_count: Final = click.option(
    "--count", default=0, type=click.IntRange(min=0), help="Unassigned seats beside those named."
)


@click.group(short_help="Seats of an account: start, add, remove, reassign, list.")
def seat() -> None:
    """Plans of seats of an account, and what each seat is given every period."""


@seat.command("start", short_help="Start a plan of seats.")
@click.argument("account")
@click.argument("plan")
@click.argument("allowance", type=click.IntRange(min=1))
@click.argument("seats", nargs=-1)
@_count
@click.option("--asset", required=True, help="Asset of the allowance.")
@click.option("--attribute", default="", help="Attribute of usage that names its seat.")
@click.option("--individual", is_flag=True, help="Each seat has an allowance of its own.")
@click.option(
    "--kind",
    type=click.Choice(("allowance", "promotional", "prepaid")),
    default="promotional",
    show_default=True,
    help="How the grants come about.",
)
@click.option("--unit", type=click.Choice(UNITS), default="month", show_default=True)
@click.option("--every", type=click.IntRange(1, 120), default=1, show_default=True)
@click.option("--anchor", type=Instant(), default=0, help="An instant at which a period begins.")
@click.option("--zone", default="", help="Time zone of the periods; default: the account's.")
@click.option(
    "--unknown",
    type=click.Choice(("reject", "pool", "unassigned")),
    default="pool",
    show_default=True,
    help="What becomes of usage of a seat that is not there.",
)
@click.option(
    "--exhausted",
    type=click.Choice(("account", "overage", "deny")),
    default="account",
    show_default=True,
    help="Who pays what a seat's own allowance does not.",
)
@click.option("--alert", type=click.IntRange(min=0), default=None, help="Tell of so few units.")
@click.option("--charge", default="", help="Fixed charge whose quantity is that of the seats.")
@_request_id
@server_options
@json_option
def start(
    account: str,
    plan: str,
    allowance: int,
    seats: tuple[str, ...],
    count: int,
    asset: str,
    attribute: str,
    individual: bool,
    kind: str,
    unit: str,
    every: int,
    anchor: int,
    zone: str,
    unknown: str,
    exhausted: str,
    alert: int | None,
    charge: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Have ACCOUNT have SEATS from now on, each with ALLOWANCE, in minor units, every period.

    \b
    drawdown seat start acme agents 1000000 --count 20 --asset credit
    drawdown seat start acme agents 1000000 ann bob --individual --attribute agent --asset credit
    """
    from ledger.v1 import recurring_pb2, seat_pb2, types_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    allotment = "INDIVIDUAL" if individual else "POOLED"
    request = seat_pb2.SeatServiceStartPlanRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        terms=seat_pb2.SeatTerms(
            attribute=attribute,
            allotment=seat_pb2.SeatAllotment.Value(f"SEAT_ALLOTMENT_{allotment}"),
            allowance=seat_pb2.SeatAllowance(
                kind=types_pb2.GrantKind.Value(f"GRANT_KIND_{kind.upper()}"),
                asset=asset,
                amount=allowance,
                unit=recurring_pb2.PeriodUnit.Value(f"PERIOD_UNIT_{unit.upper()}"),
                every=every,
                anchor_us=anchor,
                zone=zone,
            ),
            unknown=seat_pb2.UnknownSeat.Value(f"UNKNOWN_SEAT_{unknown.upper()}"),
            exhausted=seat_pb2.ExhaustedSeat.Value(f"EXHAUSTED_SEAT_{exhausted.upper()}"),
            alert=alert,
            charge=charge,
        ),
        seats=seats,
        count=count,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).StartPlan(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("add", short_help="Add seats.")
@click.argument("account")
@click.argument("plan")
@click.argument("seats", nargs=-1)
@_count
@_expected
@_request_id
@server_options
@json_option
def add(
    account: str,
    plan: str,
    seats: tuple[str, ...],
    count: int,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Add SEATS to PLAN of ACCOUNT, with their share of the period.

    \b
    drawdown seat add acme agents --count 5
    """
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceAddRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        seats=seats,
        count=count,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).Add(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("remove", short_help="Remove seats, with the period or now.")
@click.argument("account")
@click.argument("plan")
@click.argument("seats", nargs=-1)
@_count
@click.option("--mode", type=click.Choice(MODES), default=MODES[0], show_default=True)
@_expected
@_request_id
@server_options
@json_option
def remove(
    account: str,
    plan: str,
    seats: tuple[str, ...],
    count: int,
    mode: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Remove SEATS from PLAN of ACCOUNT.

    \b
    drawdown seat remove acme agents ann --mode forfeit-prorated
    """
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceRemoveRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        seats=seats,
        count=count,
        mode=_mode(mode),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).Remove(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("reassign", short_help="Give a seat to another.")
@click.argument("account")
@click.argument("plan")
@click.option("--from", "name", default="", help="Who has it; default: nobody.")
@click.option("--to", default="", help="Who is to have it; default: nobody.")
@_expected
@_request_id
@server_options
@json_option
def reassign(
    account: str,
    plan: str,
    name: str,
    to: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Give a seat of PLAN of ACCOUNT to another, with what is left of it.

    \b
    drawdown seat reassign acme agents --from ann --to bob
    """
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceReassignRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        seat=name,
        to=to,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).Reassign(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("suspend", short_help="Authorise nothing for a seat.")
@click.argument("account")
@click.argument("plan")
@click.argument("name")
@_expected
@_request_id
@server_options
@json_option
def suspend(
    account: str,
    plan: str,
    name: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Authorise nothing for seat NAME of PLAN until it is resumed."""
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceSuspendRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        seat=name,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).Suspend(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("resume", short_help="Authorise again for a seat.")
@click.argument("account")
@click.argument("plan")
@click.argument("name")
@_expected
@_request_id
@server_options
@json_option
def resume(
    account: str,
    plan: str,
    name: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Authorise again for seat NAME of PLAN."""
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceResumeRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        seat=name,
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).Resume(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("terms", short_help="Have a plan give otherwise from its next period on.")
@click.argument("account")
@click.argument("plan")
@click.option("--amount", type=int, default=None, help="For each seat and whole period.")
@click.option("--price-paid", type=int, default=None, help="Of that, in minor units.")
@click.option("--unknown", type=click.Choice(("reject", "pool", "unassigned")), default=None)
@click.option("--exhausted", type=click.Choice(("account", "overage", "deny")), default=None)
@click.option("--alert", type=int, default=None, help="Units left of a seat's; -1 = never.")
@_request_id
@server_options
@json_option
def terms(
    account: str,
    plan: str,
    amount: int | None,
    price_paid: int | None,
    unknown: str | None,
    exhausted: str | None,
    alert: int | None,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Have PLAN of ACCOUNT give otherwise from its next period on; what is not given stays as it
    is, or is to be."""
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    with connect(remote) as channel:
        stub = SeatServiceStub(channel)
        asked = seat_pb2.SeatServiceGetPlanRequest(tenant=tenant, account=account, plan=plan)
        found = stub.GetPlan(asked, timeout=TIMEOUT_S).plan
        wanted = found.next_terms if found.HasField("next_terms") else found.terms
        if amount is not None:
            wanted.allowance.amount = amount
        if price_paid is not None:
            wanted.allowance.price_paid = price_paid
        if unknown is not None:
            wanted.unknown = seat_pb2.UnknownSeat.Value(f"UNKNOWN_SEAT_{unknown.upper()}")
        if exhausted is not None:
            wanted.exhausted = seat_pb2.ExhaustedSeat.Value(f"EXHAUSTED_SEAT_{exhausted.upper()}")
        if alert is not None and alert >= 0:
            wanted.alert = alert
        elif alert is not None:
            wanted.ClearField("alert")
        request = seat_pb2.SeatServiceChangeTermsRequest(
            tenant=tenant,
            request_id=request_id or uuid.uuid4().hex,
            account=account,
            plan=plan,
            terms=wanted,
            expected_version=found.version,
        )
        reply = stub.ChangeTerms(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("end", short_help="End a plan of seats.")
@click.argument("account")
@click.argument("plan")
@click.option("--now", is_flag=True, help="Now, not with the period.")
@click.option("--mode", type=click.Choice(MODES), default=MODES[1], show_default=True)
@_expected
@_request_id
@server_options
@json_option
def end(
    account: str,
    plan: str,
    now: bool,
    mode: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """End PLAN of ACCOUNT with its period, or now with all of its seats."""
    from ledger.v1 import recurring_pb2, seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    timing = "NOW" if now else "NEXT_PERIOD"
    request = seat_pb2.SeatServiceEndPlanRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        plan=plan,
        timing=recurring_pb2.RecurringTiming.Value(f"RECURRING_TIMING_{timing}"),
        mode=_mode(mode),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).EndPlan(request, timeout=TIMEOUT_S)
    _say(reply, as_json)


@seat.command("plans", short_help="List the plans of an account.")
@click.argument("account")
@server_options
@json_option
def plans(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the plans of seats of ACCOUNT, ended ones too."""
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceListPlansRequest(
        tenant=tenant, account=account, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        reply = SeatServiceStub(channel).ListPlans(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    for each in reply.plans:
        click.echo(_line(each))
    if not reply.plans:
        click.echo("no plan of seats")


@seat.command("list", short_help="List seats with their balances.")
@click.argument("account")
@click.argument("plan")
@click.argument("name", default="")
@server_options
@json_option
def list_(account: str, plan: str, name: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the seats of PLAN of ACCOUNT, or the one called NAME, each with its balance."""
    from ledger.v1 import seat_pb2
    from ledger.v1.seat_pb2_grpc import SeatServiceStub

    request = seat_pb2.SeatServiceListSeatsRequest(
        tenant=tenant, account=account, plan=plan, name=name, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        stub = SeatServiceStub(channel)
        found = stub.GetPlan(
            seat_pb2.SeatServiceGetPlanRequest(tenant=tenant, account=account, plan=plan),
            timeout=TIMEOUT_S,
        ).plan
        reply = stub.ListSeats(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListSeats(request, timeout=TIMEOUT_S)
            reply.seats.extend(page.seats)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    else:
        _print(found, reply)


def _print(plan: seat_pb2.SeatPlan, reply: seat_pb2.SeatServiceListSeatsResponse) -> None:
    click.echo(_line(plan))
    scale = plan.terms.allowance.scale
    listed = table("", "seat", "available", "held", "released", "", right=("available", "held"))
    for each in reply.seats:
        figures = [amount(units, scale) for units in (each.available, each.pending, each.released)]
        leaves = f"leaves {instant(each.leaves_at_us)}" if each.leaves_at_us else ""
        notes = ", ".join([note for note in ("suspended" * each.suspended, leaves) if note])
        listed.add_row(each.name or "(unassigned)", *figures, notes)
    console().print(listed)


def _line(plan: seat_pb2.SeatPlan) -> str:
    terms = plan.terms.allowance
    units = amount(terms.amount, terms.scale)
    until = f"ends {instant(plan.ends_at_us)}" if plan.ends_at_us else "goes on"
    return (
        f"{plan.name}: {plan.quantity:,} seats ({plan.unassigned:,} unassigned, {plan.leaving:,} "
        f"leaving) of {units} {terms.asset}; period until {instant(plan.period_end_us)}, {until}"
    )


def _say(reply: Any, as_json: bool) -> None:
    if as_json:
        print_json(document_of(reply))
        return
    scale, asset = reply.plan.terms.allowance.scale, reply.plan.terms.allowance.asset
    granted = sum([each.amount for each in getattr(reply, "issues", ())])
    taken = getattr(reply, "taken_back", 0)
    if granted:
        click.echo(f"granted {amount(granted, scale)} {asset}")
    if taken:
        click.echo(f"taken back {amount(taken, scale)} {asset}")
    click.echo(_line(reply.plan))


def _mode(mode: str) -> seat_pb2.SeatRemoval.ValueType:
    from ledger.v1 import seat_pb2

    return seat_pb2.SeatRemoval.Value(f"SEAT_REMOVAL_{mode.upper().replace('-', '_')}")
