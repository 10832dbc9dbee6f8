"""`drawdown meters`: how events of a type become quantities of a product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.cli.cards import digest
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, document_of, instant, json_option, print_json, say
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from rating.meters import MeterSet
    from rating.v1 import meter_pb2

CALL_S = 30


@click.group(short_help="Publish and list what makes events into usage.")
def meters() -> None:
    """Publish and list meters: rules that make events of a type, with properties, into quantities
    of a product."""


@meters.command("publish")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--effective-from",
    type=Instant(),
    default=0,
    help="For events from this instant on.  [default: one second after its publication; the first "
    "version from ever]",
)
@click.option("--dry-run", is_flag=True, help="Have the server check the meters; no more.")
@server_options
@json_option
def publish(
    file: Path, effective_from: int, dry_run: bool, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Publish the meters in FILE (JSON, or TOML where its name ends so) as a new version.

    The whole set is replaced. The same file again changes nothing; every fault is listed with its
    place.
    """
    from ledger.api.rendering.render_meters import render_rules
    from rating.meters import canonical_bytes
    from rating.v1 import meter_pb2
    from rating.v1.meter_pb2_grpc import MeterServiceStub

    found = _meters_of(file)
    with connect(remote) as channel:
        stub = MeterServiceStub(channel)
        listed = stub.ListMeters(
            meter_pb2.ListMetersRequest(tenant=tenant, page_size=1), timeout=CALL_S
        )
        newest = listed.meters[0].version if listed.meters else 0
        reply = stub.PublishMeters(
            meter_pb2.PublishMetersRequest(
                tenant=tenant,
                request_id=f"meters-{digest(canonical_bytes(found))}-{newest}-{effective_from}",
                meters=meter_pb2.MeterSet(
                    rules=render_rules(found), effective_from_us=effective_from
                ),
                expected_version=newest,
                validate_only=dry_run,
            ),
            timeout=CALL_S,
        )
    if as_json:
        print_json(document_of(reply))
    elif dry_run:
        click.echo(f"{file}: {len(found.rules):,} rules: checked, not published")
    else:
        unchanged = "unchanged: these are the newest meters already"
        click.echo(_line(reply.meters) + ": " + (unchanged if reply.replayed else "published"))


@meters.command("list")
@server_options
@json_option
def list_meters(tenant: str, remote: Remote, as_json: bool) -> None:
    """List every version of the meters, newest first."""
    from rating.v1 import meter_pb2
    from rating.v1.meter_pb2_grpc import MeterServiceStub

    request = meter_pb2.ListMetersRequest(tenant=tenant)
    found: list[meter_pb2.MeterSet] = []
    with connect(remote) as channel:
        stub = MeterServiceStub(channel)
        while True:
            reply = stub.ListMeters(request, timeout=CALL_S)
            found += reply.meters
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(meter_pb2.ListMetersResponse(meters=found)))
        return
    for each in found:
        click.echo(_line(each))
        for rule in each.rules:
            quantities = ", ".join([quantity.quantity for quantity in rule.quantities])
            product = rule.product or f"by {rule.product_property}"
            click.echo(f"  {rule.name}: {rule.event_type} is {product} ({quantities})")
    if not found:
        click.echo("no meters")


def _meters_of(file: Path) -> MeterSet:
    """The meters of a file, free of faults. Raises Failed, after every fault was said."""
    from rating.card_file import Form, read_meters
    from rating.faults import CardError
    from rating.meters import validate

    form = Form.TOML if file.suffix == ".toml" else Form.JSON
    try:
        found = read_meters(file.read_bytes(), form)
        faults = validate(found)
    except CardError as error:
        faults = error.faults
    for fault in faults:
        say(f"{fault.path}: {fault.reason} {fault.value!r}: {fault.message}")
    if faults:
        many = f"{len(faults):,} faults" if len(faults) > 1 else "1 fault"
        raise Failed(f"the meters are not well formed: {many}")
    return found


def _line(each: meter_pb2.MeterSet) -> str:
    since = instant(each.effective_from_us) if each.effective_from_us > 1 else "ever"
    return f"meters version {each.version}, from {since} on"
