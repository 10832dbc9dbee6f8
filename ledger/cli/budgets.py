"""`drawdown budget`: what an account and all below it may use in a window."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import click

from ledger.cli import operation_budgets
from ledger.cli.arguments import pairs
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options
from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from ledger.v1 import budget_pb2, types_pb2

PAGE_SIZE: Final = 1_000
_UNITS: Final = ("day", "week", "month", "quarter", "year")
_LENGTHS: Final = {"m": 60, "h": 3_600, "d": 86_400}


@click.group(short_help="Set, list and remove budgets.")
def budget() -> None:
    """Budgets of an account: they bind all below it too."""


for each in operation_budgets.COMMANDS:
    budget.add_command(each)


@budget.command("set", short_help="Give an account a budget, or another limit.")
@click.argument("account")
@click.argument("name")
@click.argument("limit", type=click.IntRange(min=0))
@click.option(
    "--measure",
    type=click.Choice(("charge", "net_charge", "cost", "quantity", "requests")),
    default="charge",
    show_default=True,
    help="What it counts.",
)
@click.option("--asset", default="", help="Asset of a charge or cost.")
@click.option("--quantity", default="", help="Name of the quantity that it counts.")
@click.option(
    "--window",
    default="lifetime",
    show_default=True,
    help="lifetime, billing, day, week, month, quarter, year, fixed:24h or sliding:7d.",
)
@click.option("--zone", default="", help="Zone of a calendar window; default: UTC.")
@click.option("--soft", is_flag=True, help="Count only: refuse nothing.")
@click.option("--product", "products", multiple=True, help="Only for this product; repeatable.")
@click.option("--tag", "tags", multiple=True, help="Or for products of this tag; repeatable.")
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE that usage must bear.")
@click.option("--threshold", "thresholds", multiple=True, type=int, help="Percent to be told.")
@click.option("--by", "group_by", multiple=True, help="Attribute: LIMIT is for each value of it.")
@click.option("--values", "values_max", default=0, help="Values with a counter; 0 = 1,000.")
@click.option(
    "--value-limit", "limits", multiple=True, help="VALUE=LIMIT; VALUE,VALUE=LIMIT of two."
)
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def set_(
    account: str,
    name: str,
    limit: int,
    measure: str,
    asset: str,
    quantity: str,
    window: str,
    zone: str,
    soft: bool,
    products: tuple[str, ...],
    tags: tuple[str, ...],
    attributes: tuple[str, ...],
    thresholds: tuple[int, ...],
    group_by: tuple[str, ...],
    values_max: int,
    limits: tuple[str, ...],
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Let ACCOUNT and all below it use up to LIMIT, in minor units, in each window of NAME.

    \b
    drawdown budget set acme monthly 500000000 --asset credit --window month --threshold 80
    drawdown budget set acme per-user 200 --measure requests --window day --by user
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.BudgetServiceSetRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        budget=budget_pb2.Budget(
            name=name,
            measure=budget_pb2.BudgetMeasure.Value(f"BUDGET_MEASURE_{measure.upper()}"),
            limit=limit,
            asset=asset,
            quantity=quantity,
            soft=soft,
            window=window_of(window, zone),
            products=products,
            tags=tags,
            attributes=pairs(attributes),
            thresholds=sorted(thresholds),
            group_by=group_by,
            values_max=values_max,
            value_limits=_limits(limits, len(group_by)),
        ),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).Set(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"budget {name} of {account}: version {reply.budget.version}")


@budget.command("list", short_help="List budgets with what is used and left.")
@click.argument("account")
@click.option("--above", is_flag=True, help="Also those of the accounts above it.")
@server_options
@json_option
def list_(account: str, above: bool, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the budgets of ACCOUNT, with their present windows.

    \b
    drawdown budget list acme-search --above
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.BudgetServiceListRequest(
        tenant=tenant, account=account, include_above=above, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        stub = BudgetServiceStub(channel)
        reply = stub.List(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.List(request, timeout=TIMEOUT_S)
            reply.budgets.extend(page.budgets)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.budgets:
        click.echo("no budget")
    else:
        _print(reply)


@budget.command("values", short_help="List what a budget has counted of each value.")
@click.argument("account")
@click.argument("name")
@click.option("--value", "values", multiple=True, help="Only this one; once an attribute.")
@server_options
@json_option
def values_(
    account: str,
    name: str,
    values: tuple[str, ...],
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """List what budget NAME of ACCOUNT has counted of each value that it counts by itself.

    \b
    drawdown budget values acme per-user
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.ListValuesRequest(
        tenant=tenant, account=account, name=name, value=values, page_size=PAGE_SIZE
    )
    named = budget_pb2.BudgetServiceGetRequest(tenant=tenant, account=account, name=name)
    with connect(remote) as channel:
        stub = BudgetServiceStub(channel)
        scale = stub.Get(named, timeout=TIMEOUT_S).budget.budget.scale
        reply = stub.ListValues(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListValues(request, timeout=TIMEOUT_S)
            reply.values.extend(page.values)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.values:
        click.echo("no value has counted anything")
    else:
        _print_values(reply, scale)


@budget.command(short_help="Remove a budget.")
@click.argument("account")
@click.argument("name")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def remove(
    account: str, name: str, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Count and refuse by budget NAME of ACCOUNT no more.

    \b
    drawdown budget remove acme monthly
    """
    from ledger.v1 import budget_pb2
    from ledger.v1.budget_pb2_grpc import BudgetServiceStub

    request = budget_pb2.BudgetServiceRemoveRequest(
        tenant=tenant, request_id=request_id or uuid.uuid4().hex, account=account, name=name
    )
    with connect(remote) as channel:
        reply = BudgetServiceStub(channel).Remove(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
    else:
        click.echo(f"budget {name} of {account} is removed")


def window_of(text: str, zone: str) -> types_pb2.Window:
    """`lifetime`, `billing`, a unit of the calendar, `fixed:24h` or `sliding:7d`."""
    from ledger.v1 import types_pb2

    kind, _, length = text.partition(":")
    if text in _UNITS:
        unit = types_pb2.WindowUnit.Value(f"WINDOW_UNIT_{text.upper()}")
        return types_pb2.Window(kind=types_pb2.WINDOW_KIND_CALENDAR, unit=unit, zone=zone)
    if text in ("lifetime", "billing") and not zone:
        return types_pb2.Window(kind=types_pb2.WindowKind.Value(f"WINDOW_KIND_{text.upper()}"))
    if kind in ("fixed", "sliding") and length[:-1].isdecimal() and length[-1] in _LENGTHS:
        length_us = int(length[:-1]) * _LENGTHS[length[-1]] * SECOND_US
        named = types_pb2.WindowKind.Value(f"WINDOW_KIND_{kind.upper()}")
        return types_pb2.Window(kind=named, zone=zone, length_us=length_us)
    raise click.UsageError(
        f"{text!r}: write lifetime, billing, {', '.join(_UNITS)}, fixed:24h or sliding:7d; only "
        "units of the calendar have a zone"
    )


def _print(reply: budget_pb2.BudgetServiceListResponse) -> None:
    columns = ("account", "budget", "used", "pending", "left", "limit", "of", "resets", "")
    listed = table("", *columns, right=("used", "pending", "left", "limit"))
    for each in reply.budgets:
        terms = each.budget
        figures = [
            amount(int(figure), terms.scale)
            for figure in (each.used, each.pending, each.left, terms.limit)
        ]
        what = terms.asset or terms.quantity or "requests"
        resets = instant(each.resets_at_us) if each.resets_at_us else ""
        soft = "soft" if terms.soft else ""
        if terms.group_by:
            soft = f"each {', '.join(terms.group_by)}: {each.values} {soft}".rstrip()
        listed.add_row(each.account, terms.name, *figures, what, resets, soft)
    console().print(listed)


def _print_values(reply: budget_pb2.ListValuesResponse, scale: int) -> None:
    figures = ("used", "pending", "left", "limit")
    listed = table("", "value", *figures, "resets", right=figures)
    for each in reply.values:
        value = "all others" if each.shared else ", ".join(each.value) or "none"
        shown = [
            amount(int(figure), scale)
            for figure in (each.used, each.pending, each.left, each.limit)
        ]
        listed.add_row(value, *shown, instant(each.resets_at_us) if each.resets_at_us else "")
    console().print(listed)


def _limits(given: tuple[str, ...], attributes: int) -> list[budget_pb2.BudgetValueLimit]:
    from ledger.v1 import budget_pb2

    limits = []
    for each in given:
        value, found, limit = each.rpartition("=")
        if not found or not limit.isdecimal():
            raise click.UsageError(f"{each!r}: write VALUE=LIMIT")
        parts = value.split(",") if attributes > 1 else [value]
        limits.append(budget_pb2.BudgetValueLimit(value=parts, limit=int(limit)))
    return limits
