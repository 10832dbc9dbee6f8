"""`drawdown pricing alias` and `aliases`: other names of rate cards, moved from card to card."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.cards import digest
from ledger.cli.instants import Instant
from ledger.cli.output import console, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options


@click.command()
@click.argument("alias")
@click.argument("card")
@click.option(
    "--effective-from",
    type=Instant(),
    default=0,
    help="For usage from this instant on.  [default: one second from now; at first from ever]",
)
@server_options
@json_option
def alias(
    alias: str, card: str, effective_from: int, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Let ALIAS mean rate card CARD: accounts whose policy names it are priced by that card.

    Moving it again changes nothing of what was priced before.
    """
    from rating.v1 import pricing_pb2
    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    with connect(remote) as channel:
        stub: Any = PricingServiceStub(channel)
        known = _versions(stub, tenant, alias)
        expected = known[0].version if known else 0
        named = digest(f"{alias}\n{card}\n{effective_from}\n{expected}".encode())
        reply = stub.SetRateCardAlias(
            pricing_pb2.SetRateCardAliasRequest(
                tenant=tenant,
                request_id=f"alias-{named}",
                alias=alias,
                rate_card=card,
                effective_from_us=effective_from,
                expected_version=expected,
            ),
            timeout=TIMEOUT_S,
        )
    if as_json:
        print_json(_document(reply.alias) | {"replayed": reply.replayed})
        return
    done = "means already" if reply.replayed else "means"
    since = _since(reply.alias.effective_from_us)
    click.echo(f"{alias} {done} rate card {card}, for usage from {since}")


@click.command()
@click.argument("alias", default="")
@server_options
@json_option
def aliases(alias: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List what all aliases of rate cards, or ALIAS, mean and meant, newest first."""

    from rating.v1.pricing_pb2_grpc import PricingServiceStub

    with connect(remote) as channel:
        found = _versions(PricingServiceStub(channel), tenant, alias)
    if as_json:
        print_json([_document(each) for each in found])
        return
    listed = table("", "alias", "means rate card", "for usage from", "published")
    for each in found:
        listed.add_row(
            each.alias,
            each.rate_card,
            _since(each.effective_from_us),
            instant(each.published_at_us),
        )
    console().print(listed)


def _versions(stub: Any, tenant: str, alias: str) -> list[Any]:
    from rating.v1 import pricing_pb2

    found: list[Any] = []
    request = pricing_pb2.ListRateCardAliasesRequest(tenant=tenant, alias=alias, page_size=1_000)
    while True:
        reply = stub.ListRateCardAliases(request, timeout=TIMEOUT_S)
        found += reply.aliases
        if not reply.next_page_token:
            return found
        request.page_token = reply.next_page_token


def _since(effective_from_us: int) -> str:
    return "ever" if effective_from_us <= 1 else instant(effective_from_us)


def _document(found: Any) -> dict[str, Any]:
    return {
        "alias": found.alias,
        "rate_card": found.rate_card,
        "version": found.version,
        "effective_from_us": found.effective_from_us,
        "published_at_us": found.published_at_us,
    }
