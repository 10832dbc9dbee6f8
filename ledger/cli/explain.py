"""`drawdown explain`: why a usage event costs what it costs, and why one cost more than another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.cli.output import document_of, json_option, print_json
from ledger.cli.remote import Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import explain_pb2

CALL_S = 10


@click.command()
@click.argument("account")
@click.argument("source")
@click.argument("event_id")
@click.option(
    "--beside",
    nargs=3,
    metavar="ACCOUNT SOURCE EVENT_ID",
    help="Say why this other event cost more, or less.",
)
@server_options
@json_option
def explain(
    account: str,
    source: str,
    event_id: str,
    beside: tuple[str, str, str] | None,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say why one usage event costs what it costs: the price row and what it beat, tiers, rounding,
    who paid, in which order. SOURCE "" names a capture by its request id.

    \b
    drawdown explain acme gateway call-1
    drawdown explain acme gateway call-1 --beside acme gateway call-2
    """
    from ledger.v1 import explain_pb2
    from ledger.v1.explain_pb2_grpc import ExplainServiceStub

    reply: explain_pb2.ExplainResponse | explain_pb2.ExplainDifferenceResponse
    one = explain_pb2.ExplainRequest(tenant=tenant, account=account, source=source, id=event_id)
    with connect(remote) as channel:
        stub = ExplainServiceStub(channel)
        if beside:
            other = explain_pb2.ExplainRequest(
                tenant=tenant, account=beside[0], source=beside[1], id=beside[2]
            )
            both = explain_pb2.ExplainDifferenceRequest(tenant=tenant, one=one, other=other)
            reply = stub.ExplainDifference(both, timeout=CALL_S)
            words = [*reply.one.words, *reply.other.words, *reply.words]
        else:
            reply = stub.Explain(one, timeout=CALL_S)
            words = [*reply.explanation.words]
    if as_json:
        print_json(document_of(reply))
        return
    click.echo("\n".join(words))
