"""`drawdown charge`: what an account costs every period, or once, whatever it uses."""

from __future__ import annotations

import uuid
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, document_of, instant, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from ledger.v1 import charge_pb2, recurring_pb2

PAGE_SIZE: Final = 1_000
UNITS: Final = ("week", "month", "quarter", "year")
_request_id = click.option(
    "--request-id", default="", help="Identity of the call; default: a new one."
)
_now = click.option("--now", is_flag=True, help="Now, not with the next period.")


@click.group(short_help="Start, change, end and list fixed charges and their fees.")
def charge() -> None:
    """Fixed charges of accounts: fees of plans, of seats, of a setup."""


@charge.command("start", short_help="Have an account charged every period, or once.")
@click.argument("account")
@click.argument("name")
@click.argument("unit_amount", type=click.IntRange(min=0), required=False)
@click.option("--product", default="", help="What is charged for.  [default: NAME]")
@click.option("--asset", default="", help="Money or credits.")
@click.option("--quantity", default=1, show_default=True, help="How many.")
@click.option("--unit", type=click.Choice(UNITS), default="month", show_default=True)
@click.option("--every", default=1, show_default=True, help="Units of a period.")
@click.option("--once", is_flag=True, help="Charge it once, without periods.")
@click.option("--arrears", is_flag=True, help="Once a period has ended, not as it begins.")
@click.option("--cash-only", is_flag=True, help="Bill it, whatever grants there are.")
@click.option("--own", is_flag=True, help="Bill the account itself, whatever its policy says.")
@click.option("--trial-periods", default=0, help="So many cost nothing.")
@click.option("--discount", default="", help="A fraction, as 1/4, or an amount of each period.")
@click.option("--discount-periods", default=0, help="So many cost less; 0 = all.")
@click.option("--zone", default="", help="Time zone of the periods.  [default: the account's]")
@click.option("--anchor", type=Instant(), default=0, help="When a period begins.")
@click.option(
    "--terms",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="JSON of ChargeTerms, in place of the options above: ramps and all else.",
)
@click.option("--starts", type=Instant(), default=0, help="When it starts.  [default: now]")
@click.option("--ends", type=Instant(), default=0, help="When it ends.  [default: it goes on]")
@_request_id
@server_options
@json_option
def start(
    account: str,
    name: str,
    unit_amount: int | None,
    product: str,
    asset: str,
    quantity: int,
    unit: str,
    every: int,
    once: bool,
    arrears: bool,
    cash_only: bool,
    own: bool,
    trial_periods: int,
    discount: str,
    discount_periods: int,
    zone: str,
    anchor: int,
    file: Path | None,
    starts: int,
    ends: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Charge ACCOUNT UNIT_AMOUNT, in minor units, for each of the quantity, every period.

    \b
    drawdown charge start acme seats 4900 --asset USD --quantity 10 --cash-only
    """
    from google.protobuf.json_format import Parse

    from ledger.v1 import charge_pb2, recurring_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    terms = charge_pb2.ChargeTerms()
    if file is not None:
        Parse(file.read_bytes(), terms)
    elif unit_amount is None or not asset:
        raise click.UsageError("say UNIT_AMOUNT and --asset, or --terms")
    else:
        terms = charge_pb2.ChargeTerms(
            product=product or name,
            asset=asset,
            unit_amount=unit_amount,
            billing=charge_pb2.CHARGE_BILLING_ARREARS
            if arrears
            else charge_pb2.CHARGE_BILLING_ADVANCE,
            unit=recurring_pb2.PeriodUnit.Value(
                f"PERIOD_UNIT_{'UNSPECIFIED' if once else unit.upper()}"
            ),
            every=0 if once else every,
            once=once,
            anchor_us=anchor,
            zone=zone,
            cash_only=cash_only,
            payer=charge_pb2.CHARGE_PAYER_ACCOUNT if own else charge_pb2.CHARGE_PAYER_OVERAGE,
            discount=_discount(discount, discount_periods) if discount else None,
            trial_periods=trial_periods,
        )
    request = charge_pb2.StartChargeRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        name=name,
        terms=terms,
        quantity=quantity,
        starts_at_us=starts,
        ends_at_us=ends,
    )
    with connect(remote) as channel:
        reply = ChargeServiceStub(channel).StartCharge(request, timeout=TIMEOUT_S)
    _say(reply, reply.charge, as_json)


@charge.command("quantity", short_help="Charge for another quantity.")
@click.argument("charge_id")
@click.argument("quantity", type=click.IntRange(min=0))
@_now
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@_request_id
@server_options
@json_option
def quantity_(
    charge_id: str,
    quantity: int,
    now: bool,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Charge for QUANTITY with the next period; or now, prorated.

    \b
    drawdown charge quantity charge_AAAA 12 --now
    """
    from ledger.v1 import charge_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    request = charge_pb2.ChangeQuantityRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        charge_id=charge_id,
        quantity=quantity,
        timing=_timing(now),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = ChargeServiceStub(channel).ChangeQuantity(request, timeout=TIMEOUT_S)
    _say(reply, reply.charge, as_json, reply.charged)


@charge.command(short_help="Charge by other terms from the next period on.")
@click.argument("charge_id")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@_request_id
@server_options
@json_option
def terms(
    charge_id: str,
    file: Path,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Replace the terms by those in FILE, JSON of ChargeTerms as `list --json` shows them.

    \b
    drawdown charge terms charge_AAAA terms.json
    """
    from google.protobuf.json_format import Parse

    from ledger.v1 import charge_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    request = charge_pb2.ChangeTermsRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        charge_id=charge_id,
        terms=Parse(file.read_bytes(), charge_pb2.ChargeTerms()),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = ChargeServiceStub(channel).ChangeTerms(request, timeout=TIMEOUT_S)
    _say(reply, reply.charge, as_json)


@charge.command(short_help="End a charge.")
@click.argument("charge_id")
@_now
@_request_id
@server_options
@json_option
def end(
    charge_id: str, now: bool, request_id: str, tenant: str, remote: Remote, as_json: bool
) -> None:
    """Charge nothing after the present period; or from now on.

    \b
    drawdown charge end charge_AAAA --now
    """
    from ledger.v1 import charge_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    request = charge_pb2.EndChargeRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        charge_id=charge_id,
        timing=_timing(now),
    )
    with connect(remote) as channel:
        reply = ChargeServiceStub(channel).EndCharge(request, timeout=TIMEOUT_S)
    _say(reply, reply.charge, as_json, reply.charged)


@charge.command("list", short_help="List the charges of an account.")
@click.argument("account")
@server_options
@json_option
def list_(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the charges of ACCOUNT in the order started, ended ones too.

    \b
    drawdown charge list acme
    """
    from ledger.v1 import charge_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    request = charge_pb2.ListChargesRequest(tenant=tenant, account=account, page_size=PAGE_SIZE)
    with connect(remote) as channel:
        stub = ChargeServiceStub(channel)
        reply = stub.ListCharges(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListCharges(request, timeout=TIMEOUT_S)
            reply.charges.extend(page.charges)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.charges:
        click.echo("no charge")
    else:
        columns = ("charge", "name", "quantity", "each", "of", "charged", "until", "")
        listed = table("", *columns, right=("quantity", "each", "charged"))
        for each in reply.charges:
            terms = each.terms
            figures = [amount(of, terms.scale) for of in (terms.unit_amount, each.charged)]
            over = "ended" if each.state == charge_pb2.CHARGE_STATE_ENDED else ""
            until = instant(each.period_end_us) if each.period_end_us else ""
            listed.add_row(
                each.charge_id, each.name, f"{each.quantity:,}", figures[0], terms.asset,
                figures[1], until, over,
            )  # fmt: skip
        console().print(listed)


@charge.command(short_help="List the fees of an account.")
@click.argument("account")
@click.option("--charge", "charge_id", default="", help="Only those of this charge.")
@server_options
@json_option
def fees(account: str, charge_id: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the fees of ACCOUNT in the order recorded, from the read models.

    \b
    drawdown charge fees acme
    """
    from ledger.v1 import charge_pb2
    from ledger.v1.charge_pb2_grpc import ChargeServiceStub

    request = charge_pb2.ListFeesRequest(
        tenant=tenant, account=account, charge_id=charge_id, page_size=PAGE_SIZE
    )
    with connect(remote) as channel:
        stub = ChargeServiceStub(channel)
        reply = stub.ListFees(request, timeout=TIMEOUT_S)
        while reply.next_page_token:
            request.page_token = reply.next_page_token
            page = stub.ListFees(request, timeout=TIMEOUT_S)
            reply.fees.extend(page.fees)
            reply.next_page_token = page.next_page_token
    if as_json:
        print_json(document_of(reply))
    elif not reply.fees:
        click.echo("no fee")
    else:
        columns = ("name", "period", "from", "to", "quantity", "amount", "in all", "of")
        listed = table("", *columns, right=("period", "quantity", "amount", "in all"))
        for each in reply.fees:
            figures = [amount(of, each.scale) for of in (each.amount, each.total)]
            listed.add_row(
                each.name, str(each.period), instant(each.start_us), instant(each.end_us),
                f"{each.quantity:,}", *figures, each.asset,
            )  # fmt: skip
        console().print(listed)


def _timing(now: bool) -> recurring_pb2.RecurringTiming.ValueType:
    from ledger.v1 import recurring_pb2

    return recurring_pb2.RECURRING_TIMING_NOW if now else recurring_pb2.RECURRING_TIMING_NEXT_PERIOD


def _discount(text: str, periods: int) -> charge_pb2.ChargeDiscount:
    from ledger.v1 import charge_pb2

    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise click.UsageError(f"{text!r}: write a fraction, as 1/4, or an amount") from None
    if "/" in text:
        return charge_pb2.ChargeDiscount(
            numerator=found.numerator, denominator=found.denominator, periods=periods
        )
    if found.denominator != 1:
        raise click.UsageError(f"{text!r}: an amount is a whole number of minor units")
    return charge_pb2.ChargeDiscount(amount=found.numerator, periods=periods)


def _say(
    reply: Message, charge: charge_pb2.FixedCharge, as_json: bool, charged: int | None = None
) -> None:
    if as_json:
        print_json(document_of(reply))
        return
    terms = charge.terms
    parts = [f"{charge.charge_id} {charge.name} of {charge.account}: {charge.quantity:,}"]
    if charge.next_quantity != charge.quantity:
        parts.append(f"{charge.next_quantity:,} with the next period")
    what = "" if charged is None else " now"
    of = charge.charged if charged is None else charged
    parts.append(f"charged{what} {amount(of, terms.scale)} {terms.asset}")
    if charge.ends_at_us:
        parts.append(f"ends {instant(charge.ends_at_us)}")
    click.echo(", ".join(parts))
