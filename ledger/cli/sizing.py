"""`drawdown sizing`: which quantities of holds are learned, and how sized holds turned out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.cli.instants import Instant
from ledger.cli.output import Failed, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import sizing_pb2

PAGE_SIZE = 1_000
PUBLISH_S = 30


@click.group(short_help="Publish what holds are sized by; show how that went.")
def sizing() -> None:
    """Right-sized holds: estimates that are learned from what work really used."""


@sizing.command("publish")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@server_options
@json_option
def publish(file: Path, tenant: str, remote: Remote, as_json: bool) -> None:
    """Publish the sizing rules in FILE (JSON) as a new version; the whole set is replaced.

    \b
    {"rules": [{"product": "chat", "quantities": ["output_tokens"],
                "attributes": ["model"], "permille": 950}]}

    The same file again changes nothing; every fault is listed with its place.
    """
    import uuid

    from google.protobuf import json_format

    from ledger.v1 import sizing_pb2
    from ledger.v1.sizing_pb2_grpc import SizingServiceStub

    try:
        rules = json_format.Parse(file.read_bytes(), sizing_pb2.SizingRules())
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Failed(f"{file}: these are no sizing rules: {error}") from error
    request = sizing_pb2.PublishRulesRequest(
        tenant=tenant, request_id=f"sizing-{uuid.uuid4()}", rules=rules
    )
    with connect(remote) as channel:
        reply = SizingServiceStub(channel).PublishRules(request, timeout=PUBLISH_S)
    if as_json:
        print_json(document_of(reply))
    else:
        unchanged = "unchanged: these are the newest rules already"
        click.echo(_line(reply.rules) + ": " + (unchanged if reply.replayed else "published"))


@sizing.command("list")
@server_options
@json_option
def list_(tenant: str, remote: Remote, as_json: bool) -> None:
    """List every version of the sizing rules, newest first."""
    from ledger.v1 import sizing_pb2
    from ledger.v1.sizing_pb2_grpc import SizingServiceStub

    request = sizing_pb2.ListRulesRequest(tenant=tenant, page_size=PAGE_SIZE)
    found = sizing_pb2.ListRulesResponse()
    with connect(remote) as channel:
        stub = SizingServiceStub(channel)
        while True:
            reply = stub.ListRules(request, timeout=TIMEOUT_S)
            found.versions.extend(reply.versions)
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(found))
        return
    for each in found.versions:
        click.echo(_line(each))
        for rule in each.rules:
            whose = f" of {rule.account}" if rule.account else ""
            by = f" by {', '.join(rule.attributes)}" if rule.attributes else ""
            when = ", on request" if rule.on_request else ""
            click.echo(
                f"  {rule.product}{whose}: {', '.join(rule.quantities)}{by}, "
                f"{rule.permille} in 1,000, of {rule.observations_min:,} or more{when}"
            )
    if not found.versions:
        click.echo("no sizing rules")


@sizing.command("accuracy")
@click.option("--account", default="", help="Only holds of this account.  [default: of all]")
@click.option("--product", default="", help="Only holds for this product.  [default: for all]")
@click.option("--from", "since", type=Instant(), default=0, help="Authorised from then on.")
@click.option("--to", "until", type=Instant(), default=0, help="Authorised before.")
@server_options
@json_option
def accuracy(
    account: str,
    product: str,
    since: int,
    until: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Show what sized holds asked for, held and used, of those that were captured.

    `within` is the share that needed no more than was learned: compare it with what was promised.
    `held/asked` and `used/held` are sums, in permille.
    """
    from ledger.v1 import sizing_pb2
    from ledger.v1.sizing_pb2_grpc import SizingServiceStub

    request = sizing_pb2.GetAccuracyRequest(
        tenant=tenant,
        account=account,
        product=product,
        from_us=since,
        to_us=until,
        page_size=PAGE_SIZE,
    )
    found = sizing_pb2.GetAccuracyResponse()
    with connect(remote) as channel:
        stub = SizingServiceStub(channel)
        while True:
            reply = stub.GetAccuracy(request, timeout=PUBLISH_S)
            found.rows.extend(reply.rows)
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(found))
    elif not found.rows:
        click.echo("no sized hold was captured")
    else:
        _print(found)


def _print(found: sizing_pb2.GetAccuracyResponse) -> None:
    from ledger.v1 import decision_pb2

    numbers = ("holds", "promised", "within", "above hold", "held/asked", "used/held")
    made = table("", "product", "attributes", "quantity", "learned of", *numbers, right=numbers)
    for row in found.rows:
        by = decision_pb2.LearnedOf.Name(row.learned_of).removeprefix("LEARNED_OF_")
        learned = row.learned_of != decision_pb2.LEARNED_OF_UNSPECIFIED
        made.add_row(
            row.product,
            ", ".join(f"{name}={value}" for name, value in sorted(row.attributes.items())),
            row.quantity,
            by.lower() if learned else "nobody yet",
            f"{row.holds:,}",
            str(row.permille) if learned else "-",
            _permille(row.within_value, row.holds) if learned else "-",
            _permille(row.above_hold, row.holds),
            _permille(int(row.held), int(row.asked)),
            _permille(int(row.used), int(row.held)),
        )
    console().print(made)


def _permille(part: int, whole: int) -> str:
    return str((part * 1_000 + whole // 2) // whole) if whole else "-"


def _line(each: sizing_pb2.SizingRules) -> str:
    count = "no rules" if not each.rules else f"{len(each.rules):,} rules"
    return f"sizing version {each.version} of {instant(each.published_at_us)}, {count}"
