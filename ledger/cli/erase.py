"""`drawdown erase`: forget the person behind an account; the books stay."""

from __future__ import annotations

from hashlib import blake2b

import click

from ledger.cli.output import instant, json_option, print_json
from ledger.cli.remote import TIMEOUT_S, Remote, connect, server_options


@click.command(short_help="Erase the personal data of an account.")
@click.argument("account")
@click.option("--yes", is_flag=True, help="Do not ask.")
@server_options
@json_option
def erase(account: str, yes: bool, tenant: str, remote: Remote, as_json: bool) -> None:
    """Erase the personal data of ACCOUNT: names, metadata, aliases, event ids. Cannot be undone.

    Its entries, amounts and balances stay, and the journal's hash chain still verifies.
    """
    from ledger.v1 import account_pb2
    from ledger.v1.account_pb2_grpc import AccountServiceStub

    if not yes:
        click.confirm(f"Erase the personal data of {account} for ever?", abort=True, err=True)
    name = blake2b(account.encode(), digest_size=16).hexdigest()  # the same call when repeated
    request = account_pb2.AccountServiceEraseRequest(
        tenant=tenant, request_id=f"erase-{name}", account=account
    )
    with connect(remote) as channel:
        reply = AccountServiceStub(channel).Erase(request, timeout=TIMEOUT_S)
    if as_json:
        print_json(
            {
                "account": account,
                "erased_at_us": reply.erased_at_us,
                "pseudonym": reply.pseudonym,
            }
        )
    else:
        click.echo(
            f"erased {account} at {instant(reply.erased_at_us)}; it is {reply.pseudonym} now"
        )
