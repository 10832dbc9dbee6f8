"""`drawdown statement` and `drawdown rollup`: what accounts used, who paid, what is left."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.instants import Instant
from ledger.cli.output import amount, console, json_option, print_json, table
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.v1 import statement_pb2 as pb

PAGE_SIZE = 1_000
_FORMATS = ("json", "csv", "html")
_FORMS = ("consolidated", "separate")


def _of_a_statement(command: Callable[..., Any]) -> Callable[..., Any]:
    """--form, --attribute and --format."""
    for option in (
        _format_option,
        click.option("--attribute", default="", help="Lines by this attribute, too."),
        click.option(
            "--form",
            type=click.Choice(_FORMS),
            help="Of the account and all below it, or of it alone.  [default: as it is set]",
        ),
    ):
        command = option(command)
    return command


_format_option = click.option(
    "--format",
    "form_of_output",
    type=click.Choice(_FORMATS),
    help="Print the document instead of a table; html prints well.",
)


@click.group(short_help="Draft, close and show statements.")
def statement() -> None:
    """What an account, or a family, used in a billing period, who paid, and what is left."""


@statement.command("set", short_help="Have statements closed by themselves, or no more.")
@click.argument("account")
@click.argument("form", type=click.Choice((*_FORMS, "none")))
@click.option("--attribute", default="", help="Lines by this attribute, too.")
@click.option("--expected-version", default=0, help="Version that is replaced; 0 = whatever.")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@server_options
@json_option
def set_(
    account: str,
    form: str,
    attribute: str,
    expected_version: int,
    request_id: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Close the statements of ACCOUNT once each period's grace is over.

    \b
    drawdown statement set acme consolidated --attribute region
    """
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.StatementServiceSetRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        settings=pb.StatementSettings(
            form=pb.StatementForm.Value(f"STATEMENT_FORM_{form.upper()}"), attribute=attribute
        ),
        expected_version=expected_version,
    )
    with connect(remote) as channel:
        reply = StatementServiceStub(channel).Set(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
        return
    click.echo(f"{form}, version {reply.settings.version}")


@statement.command("draft", short_help="Show what a period's statement says by now.")
@click.argument("account")
@click.option("--at", "at_us", type=Instant(), default=0, help="An instant of it.  [default: now]")
@_of_a_statement
@server_options
def draft(
    account: str,
    at_us: int,
    form: str | None,
    attribute: str,
    form_of_output: str | None,
    tenant: str,
    remote: Remote,
) -> None:
    """Show what the statement of the period that runs, or is in grace, says by now.

    \b
    drawdown statement draft acme --attribute region --format html > acme.html
    """
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.DraftRequest(
        tenant=tenant,
        account=account,
        at_us=at_us,
        form=_form(form),
        attribute=attribute,
        format=_format(form_of_output),
    )
    with connect(remote) as channel:
        reply = StatementServiceStub(channel).Draft(request, timeout=TIMEOUT_S)
    _print(reply.draft, reply.document)


@statement.command("close", short_help="Freeze the statement of a period whose grace is over.")
@click.argument("account")
@click.option("--start", type=Instant(), default=0, help="Start of the period.  [default: next]")
@click.option("--request-id", default="", help="Identity of the call; default: a new one.")
@_of_a_statement
@server_options
def close(
    account: str,
    start: int,
    request_id: str,
    form: str | None,
    attribute: str,
    form_of_output: str | None,
    tenant: str,
    remote: Remote,
) -> None:
    """End the next statement of ACCOUNT, and freeze what it says.

    \b
    drawdown statement close acme --start 2026-10-01
    """
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.StatementServiceCloseRequest(
        tenant=tenant,
        request_id=request_id or uuid.uuid4().hex,
        account=account,
        start_us=start,
        form=_form(form),
        attribute=attribute,
        format=_format(form_of_output),
    )
    with connect(remote) as channel:
        reply = StatementServiceStub(channel).Close(request, timeout=TIMEOUT_S)
    _print(reply.statement, reply.document)


@statement.command("show", short_help="Show a statement by its number.")
@click.argument("account")
@click.argument("number", type=click.IntRange(min=1), required=False)
@_format_option
@server_options
def show(
    account: str, number: int | None, form_of_output: str | None, tenant: str, remote: Remote
) -> None:
    """Show the statement NUMBER of ACCOUNT, or its newest.

    \b
    drawdown statement show acme 3 --format csv
    """
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.StatementServiceGetRequest(
        tenant=tenant, account=account, statement=number or 0, format=_format(form_of_output)
    )
    with connect(remote) as channel:
        reply = StatementServiceStub(channel).Get(request, timeout=TIMEOUT_S)
    _print(reply.statement, reply.document)


@statement.command("list", short_help="List an account's statements.")
@click.argument("account")
@server_options
@json_option
def list_(account: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List the statements of ACCOUNT, the newest first."""
    from ledger.exports.amounts import instant_text
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.StatementServiceListRequest(tenant=tenant, account=account, page_size=PAGE_SIZE)
    found: list[pb.Statement] = []
    with connect(remote) as channel:
        stub = StatementServiceStub(channel)
        while True:
            reply = stub.List(request, timeout=TIMEOUT_S)
            found.extend(reply.statements)
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                break
    if as_json:
        print_json([_document(each) for each in found])
        return
    listed = table("", "statement", "from", "to", "form", "state", "hash", right=("statement",))
    for each in found:
        listed.add_row(
            str(each.statement),
            instant_text(each.start_us),
            instant_text(each.end_us),
            _word(pb.StatementForm.Name(each.form)),
            _word(pb.StatementState.Name(each.state)),
            each.closing.hash,
        )
    console().print(listed)


@click.command(short_help="Show what an account and all below it can spend and owe.")
@click.argument("account")
@click.option("--as-of", type=Instant(), default=0, help="Balances of then.  [default: now]")
@click.option("--from", "since", type=Instant(), default=0, help="Usage from then on, too.")
@click.option("--to", "until", type=Instant(), default=0, help="Usage before.")
@click.option("--attribute", default="", help="Usage by this attribute, too.")
@server_options
@json_option
def rollup(
    account: str,
    as_of: int,
    since: int,
    until: int,
    attribute: str,
    tenant: str,
    remote: Remote,
    as_json: bool,
) -> None:
    """Show what ACCOUNT, and it with everything below it, can spend and owe.

    \b
    drawdown rollup acme
    drawdown rollup acme --as-of 2026-11-01 --from 2026-10-01 --to 2026-11-01
    """
    from ledger.v1 import statement_pb2 as pb
    from ledger.v1.statement_pb2_grpc import StatementServiceStub

    request = pb.RollUpRequest(
        tenant=tenant,
        account=account,
        effective_at_us=as_of,
        from_us=since,
        to_us=until,
        attribute=attribute,
    )
    with connect(remote) as channel:
        reply = StatementServiceStub(channel).RollUp(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(_document(reply))
        return
    names = ("available", "granted", "drawn", "held", "overdraft", "overage")
    listed = table("", "", "asset", *names, right=names)
    for label, found in (("own", reply.own), (f"{reply.accounts} accounts", reply.total)):
        for each in found:
            figures = [_amount(getattr(each, name)) for name in names]
            listed.add_row(label, each.available.asset, *figures)
    screen = console()
    screen.print(listed)
    for owed in reply.overage:
        screen.print(f"overage of {owed.account}: {_amount(owed.amount)} {owed.amount.asset}")
    if reply.usage:
        screen.print(_lines(reply.usage, attribute))


# -- printing --------------------------------------------------------------------------------------


def _form(form: str | None) -> pb.StatementForm.ValueType:
    from ledger.v1 import statement_pb2 as pb

    return pb.StatementForm.Value(f"STATEMENT_FORM_{(form or 'unspecified').upper()}")


def _format(form: str | None) -> pb.StatementFormat.ValueType:
    from ledger.v1 import statement_pb2 as pb

    return pb.StatementFormat.Value(f"STATEMENT_FORMAT_{(form or 'unspecified').upper()}")


def _print(statement: pb.Statement, document: pb.StatementDocument) -> None:
    """The document if there is one, else tables."""
    from ledger.exports.amounts import instant_text
    from ledger.v1 import statement_pb2 as pb

    if document.content:
        click.echo(document.content, nl=False)
        return
    screen = console()
    number = statement.statement or "draft"
    state = _word(pb.StatementState.Name(statement.state))
    start, end = instant_text(statement.start_us), instant_text(statement.end_us)
    screen.print(f"statement {number} of {statement.account}, {start} to {end}, {state}")
    if statement.closing.hash:
        screen.print(f"hash {statement.closing.hash}")
    if statement.lines:
        screen.print(_lines(statement.lines, statement.attribute))
    figures = ("charged", "grants", "overdraft", "overage", "absorbed", "converted", "billable")
    totals = table("", "account", "asset", *figures, right=figures)
    for total in statement.totals:
        shown = [_amount(getattr(total, name)) for name in figures]
        totals.add_row(total.account or "all", total.charged.asset, *shown)
    screen.print(totals)
    balances = table("", "balance", "account", "asset", "opening", "closing", right=("closing",))
    for book in statement.books:
        balances.add_row(
            _word(pb.StatementBookKind.Name(book.kind), "STATEMENT_BOOK_KIND_"),
            book.account,
            book.opening.asset,
            _amount(book.opening),
            _amount(book.closing),
        )
    screen.print(balances)


def _lines(lines: Any, attribute: str) -> Any:
    from ledger.v1 import statement_pb2 as pb

    columns = ["account", "product", *([attribute] if attribute else []), "adjusts"]
    listed = table("", *columns, "events", "paid by", "amount", "asset", right=("events", "amount"))
    for line in lines:
        late = line.HasField("adjusts_statement")
        named = [line.account, line.product]
        named += [line.value if line.HasField("value") else "(none)"] if attribute else []
        named.append(f"statement {line.adjusts_statement}" if late else "")
        for place, paid in enumerate(line.paid or (pb.StatementPayment(),)):
            who = _word(pb.StatementPayer.Name(paid.payer), "STATEMENT_PAYER_")
            first = [*named, str(line.events)] if place == 0 else [""] * (len(columns) + 1)
            figures = (_amount(paid.amount), paid.amount.asset) if line.paid else ("0", "")
            listed.add_row(*first, who if line.paid else "", *figures)
    return listed


def _amount(found: pb.StatementAmount) -> str:
    return amount(found.minor or 0, found.scale)


def _word(name: str, prefix: str = "") -> str:
    return (name.removeprefix(prefix) if prefix else name.rpartition("_")[2]).lower()


def _document(message: Any) -> Any:
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, preserving_proto_field_name=True)
