"""`drawdown explain-decision`: why a request would be allowed, or not."""

from __future__ import annotations

import click

from ledger.cli.arguments import pairs, quantities_of
from ledger.cli.output import json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options


@click.command("explain-decision")
@click.argument("account")
@click.argument("product")
@click.argument("work", nargs=-1, required=True, metavar="QUANTITY=NUMBER...")
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE that prices ask for.")
@click.option("--up-to", default="", metavar="QUANTITY=MINIMUM", help="As much as is affordable.")
@click.option("--operation", default="", help="The user action that it would be a part of.")
@click.option("--operation-parent", default="", help="The action that --operation is a part of.")
@server_options
@json_option
def explain_decision(
    account: str,
    product: str,
    work: tuple[str, ...],
    attributes: tuple[str, ...],
    up_to: str,
    operation: str,
    operation_parent: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say what ACCOUNT would be told that asks for PRODUCT now, and why: prices, pots in their
    turn, budgets, margin, rules. Nothing is held or recorded.

    \b
    drawdown explain-decision acme chat input_tokens=1200 output_tokens=300 --attribute model=big
    """
    from google.protobuf.json_format import MessageToDict

    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.ExplainDecisionRequest(
        tenant=tenant,
        account=account,
        product=product,
        attributes=pairs(attributes),
        quantities=quantities_of(work),
        operation=operation,
        operation_parent=operation_parent,
    )
    if up_to:
        [(name, minimum)] = quantities_of((up_to,)).items()
        request.up_to.CopyFrom(decision_pb2.UpTo(quantity=name, minimum=minimum))
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).ExplainDecision(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(
            MessageToDict(
                reply, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        )
        return
    click.echo("\n".join(reply.words))
