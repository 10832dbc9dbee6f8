"""`drawdown conversion`: what one asset is worth in another."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import click

from ledger.cli.instants import Instant
from ledger.cli.output import document_of, instant, json_option, print_json
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from rating.v1 import conversion_pb2

CALL_S = 30
PAGE_SIZE = 1_000


@click.group(short_help="Publish and list what assets are worth in each other.")
def conversion() -> None:
    """Publish and list conversion rates: what grants of a charge's own asset do not pay is
    converted once and paid in the account's settlement currency."""


@conversion.command("set")
@click.argument("source")
@click.argument("target")
@click.argument("rate")
@click.option("--from", "from_us", type=Instant(), default=0, help="In force from this instant on.")
@click.option(
    "--expected-version",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The newest version of this rate; 0 = there is none yet.",
)
@server_options
@json_option
def set_rate(
    source: str,
    target: str,
    rate: str,
    from_us: int,
    expected_version: int,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Publish what one SOURCE is worth in TARGET, exact: 0.01 or 1/3.

    \b
    drawdown conversion set credit USD 0.01
    drawdown conversion set credit USD 0.012 --expected-version 4 --from 2027-01-01T00:00:00Z
    """
    from rating.v1 import conversion_pb2
    from rating.v1.conversion_pb2_grpc import ConversionServiceStub

    request = conversion_pb2.PublishConversionRequest(
        tenant=tenant,
        request_id=uuid.uuid4().hex,
        conversion=conversion_pb2.Conversion(
            source=source, target=target, rate=rate, effective_from_us=from_us
        ),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = ConversionServiceStub(channel).PublishConversion(request, timeout=CALL_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo(_line(reply.conversion))


@conversion.command("list")
@click.option("--source", default="", help="Only from this asset.")
@click.option("--target", default="", help="Only to this asset.")
@server_options
@json_option
def list_rates(source: str, target: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List every version of every rate, newest first."""
    from rating.v1 import conversion_pb2
    from rating.v1.conversion_pb2_grpc import ConversionServiceStub

    request = conversion_pb2.ListConversionsRequest(
        tenant=tenant, source=source, target=target, page_size=PAGE_SIZE
    )
    found: list[conversion_pb2.Conversion] = []
    with connect(remote) as channel:
        stub = ConversionServiceStub(channel)
        while True:
            reply = stub.ListConversions(request, timeout=CALL_S)
            found += reply.conversions
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json(document_of(conversion_pb2.ListConversionsResponse(conversions=found)))
        return
    for each in found:
        click.echo(_line(each))
    if not found:
        click.echo("no conversions")


def _line(each: conversion_pb2.Conversion) -> str:
    since = instant(each.effective_from_us) if each.effective_from_us else "ever"
    return f"1 {each.source} = {each.rate} {each.target}  version {each.version}, from {since} on"
