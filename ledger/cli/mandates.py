"""`drawdown mandate`: what agents may spend, and their tokens."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.output import amount as show_amount
from ledger.cli.output import instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from ledger.v1 import mandate_pb2

PAGE_SIZE: Final = 1_000


@click.group(short_help="Grant, show and revoke what agents may spend.")
def mandate() -> None:
    """Mandates of agents: accounts of their own, below the account that pays."""


def _terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--asset", required=True, help="Asset in which usage is charged."),
        click.option("--product", "products", multiple=True, help="Only this; repeatable."),
        click.option("--attribute", "attributes", multiple=True, help="NAME=VALUE of usage."),
        click.option("--price-max", default=0, help="Most that one request may cost; 0 = any."),
        click.option("--expires-at-us", default=0, help="When it ends; 0 = not by itself."),
        click.option("--buys", default=0, help="What it may buy for in all; 0 = nothing."),
        click.option("--price", default="", help="N/D: what D units cost; as above if not said."),
        click.option("--money", default="", help="Asset that purchases are paid in."),
        click.option("--source", default="", help="Where the money of purchases comes from."),
    ):
        command = option(command)
    return command


@mandate.command(short_help="Give an agent what it may spend.")
@click.argument("parent")
@click.argument("name")
@click.argument("budget", type=click.IntRange(min=1))
@_terms_options
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def grant(
    parent: str,
    name: str,
    budget: int,
    asset: str,
    products: tuple[str, ...],
    attributes: tuple[str, ...],
    price_max: int,
    expires_at_us: int,
    buys: int,
    price: str,
    money: str,
    source: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Open the account PARENT/NAME for an agent that may spend BUDGET minor units in all.

    Below another mandate it delegates: with --token of that mandate, and no more than it allows.

    \b
    drawdown mandate grant acme research 5000000 --asset credit --product chat
    drawdown mandate grant acme shop 500 --asset credit --buys 20 --price 1/1000 --money USD
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    pairs = [each.partition("=") for each in attributes]
    if any(not middle for _, middle, _ in pairs):
        raise click.UsageError("--attribute is NAME=VALUE")
    purchase: mandate_pb2.PurchaseTerms | None = None
    if buys:
        numerator, denominator = _ratio(price) if price else (0, 0)
        purchase = mandate_pb2.PurchaseTerms(
            limit=buys,
            price_asset=money,
            price_numerator=numerator,
            price_denominator=denominator,
            source=source,
        )
    elif price or money or source:
        raise click.UsageError("--price, --money and --source are those of --buys LIMIT")
    request = mandate_pb2.MandateServiceGrantRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        parent=parent,
        name=name,
        terms=mandate_pb2.MandateTerms(
            asset=asset,
            budget=budget,
            products=products,
            attributes={key: value for key, _, value in pairs},
            price_max=price_max,
            expires_at_us=expires_at_us,
            purchase=purchase,
        ),
    )
    with connect(remote) as channel:
        reply = MandateServiceStub(channel).Grant(request, timeout=TIMEOUT_S)
    _show(reply.mandate, as_json)


@mandate.command(short_help="Ask, as an agent, that its payer buys.")
@click.argument("account")
@click.argument("amount", type=click.IntRange(min=1))
@click.option("--asset", required=True, help="Asset of the mandate.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def buy(
    account: str,
    amount: int,
    asset: str,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Request AMOUNT minor units for the agent of ACCOUNT: they are there once they are paid for.

    Prints the grant by which the payment is confirmed (PaymentService.Confirm) or failed.

    \b
    drawdown mandate buy acme/shopper 500000 --asset credit
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    request = mandate_pb2.RequestTopUpRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        asset=asset,
        amount=amount,
    )
    with connect(remote) as channel:
        reply = MandateServiceStub(channel).RequestTopUp(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
        return
    units = show_amount(reply.amount, reply.scale)
    price = show_amount(reply.price_paid, reply.price_scale)
    click.echo(f"{reply.grant_id}: {units} {reply.asset} for {price} {reply.price_asset}")


@mandate.command(short_help="Sign a token of a mandate.")
@click.argument("account")
@click.option("--expires-at-us", default=0, help="When the token ends; 0 = with the mandate.")
@server_options
def token(account: str, expires_at_us: int, tenant: str, remote: Remote) -> None:
    """Print a token of the mandate of ACCOUNT, a secret, and its public key on the second line.

    \b
    drawdown mandate token acme/research > research.token
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    request = mandate_pb2.IssueTokenRequest(
        tenant=tenant, account=account, expires_at_us=expires_at_us
    )
    with connect(remote) as channel:
        reply = MandateServiceStub(channel).IssueToken(request, timeout=TIMEOUT_S)
    click.echo(reply.token)
    click.echo(reply.public_key)


@mandate.command(short_help="Show a mandate, and those right below it.")
@click.argument("account")
@server_options
@json_option
def show(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """What the mandate of ACCOUNT allows, what is spent of it, held and left.

    \b
    drawdown mandate show acme/research
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    request = mandate_pb2.MandateServiceGetRequest(tenant=tenant, account=account)
    with connect(remote) as channel:
        reply = MandateServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    _show(reply.mandate, as_json)


@mandate.command("list", short_help="List the mandates right below an account.")
@click.argument("account")
@server_options
@json_option
def list_mandates(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """The mandates right below ACCOUNT, by when they were granted.

    \b
    drawdown mandate list acme
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    request = mandate_pb2.MandateServiceListRequest(
        tenant=tenant, account=account, page_size=PAGE_SIZE
    )
    found: list[mandate_pb2.Mandate] = []
    with connect(remote) as channel:
        stub = MandateServiceStub(channel)
        while True:
            reply = stub.List(request, timeout=TIMEOUT_S)
            found.extend(reply.mandates)
            if not reply.next_page_token:
                break
            request.page_token = reply.next_page_token
    if as_json:
        print_json({"mandates": [_document(each) for each in found]})
    else:
        _print(found)


@mandate.command(short_help="End a mandate, and all below it.")
@click.argument("account")
@click.option("--reason", default="", help="Why; kept for ever.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
def revoke(account: str, reason: str, request_id: str, tenant: str, remote: Remote) -> None:
    """Allow the agent of ACCOUNT nothing new from the next decision on.

    \b
    drawdown mandate revoke acme/research --reason "it asked for too much"
    """
    from ledger.v1 import mandate_pb2
    from ledger.v1.mandate_pb2_grpc import MandateServiceStub

    request = mandate_pb2.MandateServiceRevokeRequest(
        tenant=tenant, request_id=request_id or uuid.uuid4().hex, account=account, reason=reason
    )
    with connect(remote) as channel:
        MandateServiceStub(channel).Revoke(request, timeout=TIMEOUT_S)
    click.echo(f"the mandate of {account} is revoked")


def _show(found: mandate_pb2.Mandate, as_json: bool) -> None:
    if as_json:
        print_json(_document(found))
    else:
        _print([found])


def _print(found: list[mandate_pb2.Mandate]) -> None:
    from ledger.cli.output import console

    columns = ["account", "state", "budget", "spent", "held", "left", "of", "ends"]
    buying = any(each.terms.HasField("purchase") for each in found)
    columns += ["bought", "to buy"] if buying else []
    listed = table("", *columns, right=("budget", "spent", "held", "left", "bought", "to buy"))
    for each in found:
        terms = each.terms
        figures = (terms.budget, each.spent, each.held, each.left)
        listed.add_row(
            each.account,
            _state(each),
            *[show_amount(figure, terms.scale) for figure in figures],
            terms.asset,
            instant(terms.expires_at_us) if terms.expires_at_us else "",
            *(_bought(each) if buying else ()),
        )
    console().print(listed)


def _bought(found: mandate_pb2.Mandate) -> tuple[str, str]:
    purchase = found.terms.purchase
    if not found.terms.HasField("purchase"):
        return "", ""
    scale, money = purchase.price_scale, purchase.price_asset
    bought, left = (show_amount(each, scale) for each in (found.purchased, found.purchase_left))
    return f"{bought} {money}", f"{left} {money}"


def _ratio(price: str) -> tuple[int, int]:
    numerator, _, denominator = price.partition("/")
    if not (numerator.isdecimal() and (denominator or "1").isdecimal()):
        raise click.UsageError("--price is N/D: N minor units of money for D of the asset")
    return int(numerator), int(denominator or "1")


def _document(found: Message) -> dict[str, object]:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(found, preserving_proto_field_name=True)


def _state(found: mandate_pb2.Mandate) -> str:
    from ledger.v1 import mandate_pb2

    return mandate_pb2.MandateState.Name(found.state).removeprefix("MANDATE_STATE_").lower()
