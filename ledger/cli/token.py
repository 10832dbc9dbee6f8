"""`drawdown token`: API keys and signed tokens, and who issued and revoked them.

Works on the database itself, as whoever may open it may do anything. A secret is printed once, on
standard output, and kept nowhere.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from ledger.cli.database import database, database_options, with_patience
from ledger.cli.instants import Instant
from ledger.cli.output import Failed, console, instant, json_option, print_json, say, table
from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from ledger.auth.key_store import PostgresKeyStore
    from ledger.auth.principal import Principal
    from ledger.journal.storage import PostgresStorage

T = TypeVar("T")

FILE = click.Path(path_type=Path, dir_okay=False)
SCOPES: Final = ("ingest", "decide", "read", "price", "admin")
LIFETIME_S_DEFAULT: Final = 3_600  # of a signed token, which nobody can revoke
CHANGES_MAX: Final = 1_000


@click.group(short_help="Issue, list and revoke what proves who calls.")
def token() -> None:
    """Issue, list and revoke API keys and tokens, which prove to a server who calls.

    docs/security.md says which scope is for what.
    """


@token.command(short_help="Issue an API key, or sign a token.")
@click.option("--tenant", default="", help="For this tenant.")
@click.option("--all-tenants", is_flag=True, help="For all tenants: an operator's.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    help="For this account and all below it; repeat.  [default: the whole tenant]",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice(SCOPES),
    help="What it may do; repeat. None implies another.",
)
@click.option(
    "--expires", type=Instant(), help="Until then.  [default: a key for ever, a token 1 h]"
)
@click.option("--label", default="", help="What an API key is for, to know it again in the list.")
@click.option(
    "--signing-key", type=FILE, help="Sign a token (JWT) with this private key (PEM) instead."
)
@click.option("--subject", default="", help="Of a token: who it speaks for.")
@click.option("--issuer", default="", help="Of a token: the server's --auth-issuer.")
@click.option("--audience", default="", help="Of a token: the server's --auth-audience.")
@database_options
@json_option
def issue(
    tenant: str,
    all_tenants: bool,
    accounts: Sequence[str],
    scopes: Sequence[str],
    expires: int | None,
    label: str,
    signing_key: Path | None,
    subject: str,
    issuer: str,
    audience: str,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Issue an API key and print it. It is shown this once: the ledger keeps a digest.

    With --signing-key a signed token instead, which ends by itself and cannot be revoked.
    """
    from ledger.auth.api_keys import LABEL_BYTES_MAX, mint_key
    from ledger.auth.principal import ALL_TENANTS, Kind, Principal, principal_fault, scopes_of
    from ledger.auth.signing import LIFETIME_S_MAX, read_signing_key

    if bool(tenant) == all_tenants:
        raise click.UsageError("give either --tenant or --all-tenants")
    named = bool(subject or issuer or audience)
    if signing_key is None and named:
        raise click.UsageError("--subject, --issuer and --audience are of tokens: --signing-key")
    if signing_key is not None and not (subject and issuer and audience):
        raise click.UsageError("a token needs --subject, --issuer and --audience")
    if len(label.encode()) > LABEL_BYTES_MAX:
        raise click.UsageError(f"--label has at most {LABEL_BYTES_MAX} bytes")
    now_s = int(time.time())
    if expires is not None and expires <= now_s * SECOND_US:
        raise click.UsageError("--expires is over already")
    key = mint_key()
    principal = Principal(
        Kind.TOKEN if signing_key is not None else Kind.API_KEY,
        subject or key.id,
        scopes_of(scopes),
        ALL_TENANTS if all_tenants else tenant,
        tuple(dict.fromkeys(accounts)),
    )
    fault = principal_fault(principal)
    if fault:
        raise click.UsageError(fault)
    if signing_key is None:
        until_us = expires or 0

        async def write_key(store: PostgresKeyStore, at: _Where) -> None:
            await store.issue(
                key, at.tenant, at.accounts, sorted(scopes), label, _actor(), until_us
            )

        _run(database_url, data_dir, _placed(principal, write_key))
        _show(key.id, key.secret, until_us, as_json)
        return
    signing = read_signing_key(signing_key)
    until_s = expires // SECOND_US if expires else now_s + LIFETIME_S_DEFAULT
    if until_s - now_s > LIFETIME_S_MAX:
        raise click.UsageError(f"a token lives at most {LIFETIME_S_MAX // 86_400} days")
    token_id = secrets.token_hex(16)

    async def write_token(store: PostgresKeyStore, at: _Where) -> None:
        await store.note_token(
            token_id,
            signing.key_id,
            subject,
            at.tenant,
            at.accounts,
            sorted(scopes),
            _actor(),
            until_s * SECOND_US,
        )

    _run(database_url, data_dir, _placed(principal, write_token))
    signed = signing.sign(principal, issuer, audience, now_s, until_s, token_id)
    _show(token_id, signed, until_s * SECOND_US, as_json)


@token.command("list", short_help="List the API keys.")
@click.option("--tenant", help="Of this tenant alone.")
@database_options
@json_option
def list_(
    tenant: str | None, database_url: str | None, data_dir: Path | None, as_json: bool
) -> None:
    """List the API keys, newest first: whose, for what, by whom; never the keys themselves."""
    keys = _run(database_url, data_dir, lambda _, store: store.list(tenant))
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(key) for key in keys])
        return
    shown = table("", "key", "tenant", "accounts", "scopes", "label", "issued", "by", "state")
    for key in keys:
        shown.add_row(
            key.id,
            key.tenant,
            ", ".join(key.accounts) or "all",
            " ".join(key.scopes),
            key.label,
            instant(key.issued_at_us),
            key.issued_by,
            _state(key.expires_at_us, key.revoked_at_us, key.revoked_by),
        )
    console().print(shown)


@token.command(short_help="Revoke an API key.")
@click.argument("key_id")
@database_options
def revoke(key_id: str, database_url: str | None, data_dir: Path | None) -> None:
    """Revoke the API key with the id KEY_ID for ever: within a second on every server."""
    from ledger.auth.api_keys import PREFIX

    found = key_id.removeprefix(PREFIX).partition("_")[0]
    if not _run(database_url, data_dir, lambda _, store: store.revoke(found, _actor())):
        raise Failed(f"there is no API key with the id {found}", "`drawdown token list` shows them")
    click.echo(f"revoked {found}")


@token.command(short_help="Make a key pair that signs tokens.")
@click.argument("file", type=FILE)
@click.option(
    "--jwks",
    type=FILE,
    required=True,
    help="Put the public key into this file, which servers read as --auth-jwks.",
)
def key(file: Path, jwks: Path) -> None:
    """Make an Ed25519 private key in FILE, for you alone, and add its public half to --jwks.

    Servers take both the old keys and the new one until you take the old ones out of the file.
    """
    from ledger.auth.signing import add_to_jwks, create_signing_key

    made = create_signing_key(file)
    add_to_jwks(jwks, made)
    click.echo(f"key {made.key_id}")


@token.command("gateway-key", short_help="Sign what gateways hand back with a new key.")
@click.option(
    "--at-once",
    is_flag=True,
    help="Earlier keys count no more, as where one may be known: of what they signed the estimate "
    "is recorded.  [default: they count for 35 days, the longest that such work runs]",
)
@database_options
def gateway_key(at_once: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Sign the tokens of work that gateways let in with a new key, within ten seconds on every
    server of the database. The key is shown to nobody.
    """
    from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US

    lasts_us = 0 if at_once else HOLD_LIFETIME_BATCH_MAX_US
    number = _run(
        database_url, data_dir, lambda _, store: store.add_gateway_key(_actor(), lasts_us)
    )
    click.echo(f"gateway key {number}")


@token.command("server-key", short_help="Seal what servers pass on with a new secret.")
@database_options
def server_key(database_url: str | None, data_dir: Path | None) -> None:
    """Seal the calls that servers pass on to one another with a new secret, within ten seconds on
    every server of the database. It is shown to nobody.

    Whoever knows one calls as anybody. Earlier ones count for 150 seconds more.
    """
    from ledger.auth.passing import BEFORE_US

    number = _run(
        database_url, data_dir, lambda _, store: store.add_server_key(_actor(), BEFORE_US)
    )
    click.echo(f"server key {number}")


@token.command(short_help="Who asked for changes that no journal entry stands for.")
@click.option("--tenant", help="Of this tenant alone.")
@click.option(
    "--limit", type=click.IntRange(1, CHANGES_MAX), default=100, show_default=True, help="So many."
)
@database_options
@json_option
def changes(
    tenant: str | None,
    limit: int,
    database_url: str | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """List who asked to publish, name, erase or move a clock, the newest first.

    Written down before it was tried. What stands in the journal names its actor beside its entry.
    """
    found = _run(database_url, data_dir, lambda _, store: store.changes(tenant, limit))
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(each) for each in found])
        return
    shown = table("", "when", "actor", "method", "tenant", "account", "name")
    for each in found:
        shown.add_row(
            instant(each.asked_at_us),
            each.actor,
            each.method,
            each.tenant,
            each.account,
            each.name,
        )
    console().print(shown)


class _Where(NamedTuple):
    """Tenant and accounts by their numbers; tenant None = all."""

    tenant: int | None
    accounts: list[int]


def _placed(
    principal: Principal, work: Callable[[PostgresKeyStore, _Where], Awaitable[T]]
) -> Callable[[PostgresStorage, PostgresKeyStore], Awaitable[T]]:
    """The work with whom the principal is for, looked up in the directory."""

    async def placed(storage: PostgresStorage, store: PostgresKeyStore) -> T:
        from ledger.auth.key_store import tenant_name

        name = tenant_name(principal.tenant)
        if name is None:
            return await work(store, _Where(None, []))
        found = await storage.directory.tenant(name)
        if found is None:
            raise Failed(f"TENANT_UNKNOWN: there is no tenant {name}", "`drawdown tenant list`")
        now_us = time.time_ns() // 1_000
        wanted = [(account, now_us) for account in principal.accounts]
        entries = await storage.directory.resolve(found.number, wanted)
        numbers = []
        for account, at_us in wanted:
            entry = entries.get((account, at_us))
            if entry is None or entry.account_id != account:
                raise Failed(
                    f"ACCOUNT_UNKNOWN: {name} has no account {account}",
                    "name it by its own id, not by an alias",
                )
            numbers.append(entry.number)
        return await work(store, _Where(found.number, numbers))

    return placed


def _run(
    database_url: str | None,
    data_dir: Path | None,
    work: Callable[[PostgresStorage, PostgresKeyStore], Awaitable[T]],
) -> T:
    from ledger.auth.key_store import PostgresKeyStore
    from ledger.journal.migrate import read_settings
    from ledger.journal.storage import PostgresStorage
    from ledger.settings import DatabaseSettings, load_settings

    settings = load_settings(DatabaseSettings, database_url=database_url, data_dir=data_dir)
    with database(settings) as books:

        async def run() -> T:
            shards = (await with_patience(settings, lambda: read_settings(books.dsn))).shards
            storage = await PostgresStorage.open(books.dsn, shards)
            try:
                return await work(storage, PostgresKeyStore(storage.pool))
            finally:
                await storage.close()

        return asyncio.run(run())


def _actor() -> str:
    """Who sits at this machine, as far as it knows."""
    return f"cli:{getpass.getuser()}@{socket.gethostname()}"[:128]


def _show(token_id: str, secret: str, expires_at_us: int, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {"id": token_id, "token": secret, "expires_at_us": expires_at_us}
        click.echo(json.dumps(document))
        return
    until = f", until {instant(expires_at_us)}" if expires_at_us else ""
    say(f"{token_id}{until}; this is shown once and kept nowhere:")
    click.echo(secret)


def _state(expires_at_us: int, revoked_at_us: int, revoked_by: str) -> str:
    if revoked_at_us:
        return f"revoked {instant(revoked_at_us)} by {revoked_by}"
    if 0 < expires_at_us <= time.time_ns() // 1_000:
        return f"expired {instant(expires_at_us)}"
    return f"until {instant(expires_at_us)}" if expires_at_us else "good"
