"""`drawdown account`: whether an account takes work, and what stops it."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.output import amount, document_of, instant, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options

if TYPE_CHECKING:
    from ledger.v1 import account_pb2


@click.group(short_help="Show an account; freeze, close and open it again.")
def account() -> None:
    """Show an account; freeze it with everything below it, close it, open it again."""


def _changing(command: Callable[..., Any]) -> Callable[..., Any]:
    """ACCOUNT, --reason, --actor and --request-id of a command that changes an account."""
    decorated = command
    for option in (
        json_option,
        server_options,
        click.option(
            "--request-id",
            default=lambda: uuid.uuid4().hex,
            help="Identity of the call: give it to be able to repeat it.  [default: a new one]",
        ),
        click.option("--actor", default="", help="Who asks for it."),
        click.option("--reason", default="", help="Why."),
        click.argument("name", metavar="ACCOUNT"),
    ):
        decorated = option(decorated)
    return decorated


def _call(
    change: Callable[..., Any],
) -> Callable[..., None]:
    """A command that makes one call with (method of the stub, request) and shows the account."""

    @functools.wraps(change)
    def run(name: str, tenant: str, remote: Remote, as_json: bool, **options: Any) -> None:
        from ledger.v1.account_pb2_grpc import AccountServiceStub

        method, request = change(**options)
        request.tenant, request.account = tenant, name
        with connect(remote) as channel:
            reply = getattr(AccountServiceStub(channel), method)(request, timeout=TIMEOUT_S)
        if as_json:
            print_json(document_of(reply))
            return
        _show(reply.account)
        for each in getattr(reply, "write_offs", ()):
            what = each.grant_id or "what was owed"
            click.echo(f"written off  {amount(each.amount, each.scale)} {each.asset}, {what}")

    return run


@account.command()
@click.argument("name", metavar="ACCOUNT")
@server_options
@json_option
@_call
def show() -> tuple[str, Any]:
    """Show ACCOUNT: its id, an alias, or the pseudonym of an erased one."""
    from ledger.v1 import account_pb2

    return "Get", account_pb2.AccountServiceGetRequest()


@account.command()
@_changing
@_call
def freeze(**noted: str) -> tuple[str, Any]:
    """Let ACCOUNT and everything below it take no new usage and no new holds. Needs --reason."""
    from ledger.v1 import account_pb2

    return "Freeze", account_pb2.FreezeRequest(**noted)


@account.command()
@_changing
@_call
def unfreeze(**noted: str) -> tuple[str, Any]:
    """Let ACCOUNT take new usage again."""
    from ledger.v1 import account_pb2

    return "Unfreeze", account_pb2.UnfreezeRequest(**noted)


@account.command()
@click.option("--write-off", is_flag=True, help="Forfeit its credits, write off what it owes.")
@click.option("--release-holds", is_flag=True, help="Give its open holds back first.")
@_changing
@_call
def close(write_off: bool, release_holds: bool, **noted: str) -> tuple[str, Any]:
    """Close ACCOUNT: at zero, or with what it still has."""
    from ledger.v1 import account_pb2

    return "Close", account_pb2.AccountServiceCloseRequest(
        write_off=write_off, release_holds=release_holds, **noted
    )


@account.command()
@_changing
@_call
def reopen(**noted: str) -> tuple[str, Any]:
    """Let a closed ACCOUNT take usage again that is effective from now on."""
    from ledger.v1 import account_pb2

    return "Reopen", account_pb2.ReopenRequest(**noted)


@account.command()
@click.option("--to", "parent", required=True, help="Its parent from now on, of the same family.")
@click.option(
    "--expected-version",
    type=click.IntRange(1),
    required=True,
    help="Version of its place, which `show` tells: 1 before the first move.",
)
@_changing
@_call
def move(parent: str, expected_version: int, **noted: str) -> tuple[str, Any]:
    """Put ACCOUNT, with everything below it, under another parent."""
    from ledger.v1 import account_pb2

    return "Move", account_pb2.MoveRequest(
        parent=parent, expected_version=expected_version, **noted
    )


@account.command()
@click.argument("name", metavar="ACCOUNT")
@server_options
@json_option
def tree(name: str, tenant: str, remote: Remote, as_json: bool) -> None:
    """List ACCOUNT and everything below it, parents before their children."""
    from ledger.v1 import account_pb2
    from ledger.v1.account_pb2_grpc import AccountServiceStub

    found: list[dict[str, Any]] = []
    with connect(remote) as channel:
        stub = AccountServiceStub(channel)

        def visit(account: str, depth: int) -> None:
            if as_json:
                found.append({"account": account, "depth": depth})
            else:
                click.echo("  " * depth + account)
            request = account_pb2.AccountServiceListRequest(
                tenant=tenant, parent=account, page_size=1_000
            )
            while True:
                page = stub.List(request, timeout=TIMEOUT_S)
                for child in page.accounts:
                    visit(child.account, depth + 1)
                if not page.next_page_token:
                    return
                request.page_token = page.next_page_token

        visit(name, 0)
    if as_json:
        print_json(found)


def _show(found: account_pb2.Account) -> None:
    from ledger.v1 import account_pb2

    state = account_pb2.AccountState.Name(found.state).removeprefix("ACCOUNT_STATE_").lower()
    click.echo(f"{found.account}  {state}  {found.display_name}".rstrip())
    if found.HasField("freeze"):
        freeze = found.freeze
        said = ": ".join(filter(None, (freeze.actor, freeze.reason)))
        click.echo(
            f"frozen since {instant(freeze.frozen_at_us)}, {freeze.account}  {said}".rstrip()
        )
    if found.parent:
        click.echo(f"below {found.parent}, version {found.place_version} of its place")
    for what, at_us in (
        ("closed", found.closed_at_us),
        ("reopened", found.reopened_at_us),
        ("erased", found.erased_at_us),
    ):
        if at_us:
            click.echo(f"{what} at {instant(at_us)}")
    for name in sorted(found.metadata):
        click.echo(f"{name} = {found.metadata[name]}")
