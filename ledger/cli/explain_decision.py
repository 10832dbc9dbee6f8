"""`drawdown explain-decision`: why a request would be allowed, or was, or not."""

from __future__ import annotations

from typing import Final

import click

from ledger.cli.arguments import pairs, quantities_of
from ledger.cli.output import document_of, instant, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

LOOK_BACK_S: Final = 330  # a server gives up after 300


@click.command("explain-decision")
@click.argument("account")
@click.argument("product", required=False, default="")
@click.argument("work", nargs=-1, metavar="QUANTITY=NUMBER...")
@click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE that prices ask for.")
@click.option("--up-to", default="", metavar="QUANTITY=MINIMUM", help="As much as is affordable.")
@click.option("--operation", default="", help="The user action that it would be a part of.")
@click.option("--operation-parent", default="", help="The action that --operation is a part of.")
@click.option("--of", "whole", default="", metavar="HOLD_ID", help="Of its operation, that gives.")
@click.option("--request", "request_id", default="", help="A recorded decision, by its request_id.")
@click.option("--hold", default="", metavar="HOLD_ID", help="The one that made this hold.")
@click.option("--entry", type=click.IntRange(0), help="The one of this entry of its shard.")
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
    whole: str,
    request_id: str,
    hold: str,
    entry: int | None,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Say what ACCOUNT would be told that asks for PRODUCT now, and why: prices, pots in their
    turn, budgets, margin, rules. Nothing is held or recorded.

    With --request, --hold or --entry: of a decision that was recorded, from the state before it.

    \b
    drawdown explain-decision acme chat input_tokens=1200 output_tokens=300 --attribute model=big
    drawdown explain-decision acme --request order-17
    """
    named = [each for each in (request_id, hold, entry) if each not in ("", None)]
    if named:
        if len(named) > 1 or product:
            raise click.UsageError("one of PRODUCT with its quantities, --request, --hold, --entry")
        _recorded(tenant, account, request_id, hold, entry, remote, as_json=as_json)
        return
    if not product or not work:
        raise click.UsageError("PRODUCT and QUANTITY=NUMBER, or --request, --hold or --entry")
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
        hold_id=whole,
    )
    if up_to:
        [(name, minimum)] = quantities_of((up_to,)).items()
        request.up_to.CopyFrom(decision_pb2.UpTo(quantity=name, minimum=minimum))
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).ExplainDecision(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(document_of(reply))
        return
    click.echo("\n".join(reply.words))


def _recorded(
    tenant: str,
    account: str,
    request_id: str,
    hold: str,
    entry: int | None,
    remote: Remote,
    *,
    as_json: bool,
) -> None:
    from ledger.v1 import decision_pb2
    from ledger.v1.decision_pb2_grpc import DecisionServiceStub

    request = decision_pb2.ExplainRecordedRequest(tenant=tenant, account=account)
    if request_id:
        request.request_id = request_id
    elif hold:
        request.hold_id = hold
    else:
        assert entry is not None
        request.entry.entry_seq = entry
    with connect(remote) as channel:
        reply = DecisionServiceStub(channel).ExplainRecorded(request, timeout=LOOK_BACK_S)
    if as_json:
        print_json(document_of(reply))
        return
    place = reply.entry
    click.echo(
        f"entry {place.entry_seq}, batch {place.batch_seq}, recorded "
        f"{instant(reply.recorded_at_us)}; from the entries before it:"
    )
    click.echo("\n".join(reply.explanation.words))
    if reply.differs:
        click.echo(f"this version would decide otherwise: {', '.join(reply.differs)}")
