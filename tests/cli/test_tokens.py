"""`drawdown token` and a server that asks who calls: keys, tokens, certificates; nothing leaks."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from telemetry.collector import Collector

from cli.processes import Server, drawdown
from cli.test_tls import Authority
from ledger.auth.api_keys import REVOCATION_US
from ledger.telemetry.traceparent import format_traceparent
from ledger.v1 import account_pb2, account_pb2_grpc
from tests.patience import HANGS_S

AUDIENCE = ["--issuer=https://us.example", "--audience=ledger"]


@pytest.fixture
def server(collector: Collector, database: str, tmp_path: Path) -> Iterator[Server]:
    """Asks on loopback, too; traces everything that is marked."""
    made = drawdown("token", "key", str(tmp_path / "sign.pem"), f"--jwks={tmp_path / 'jwks.json'}")
    assert made.returncode == 0, made.stderr
    running = Server(
        tmp_path / "log",
        "--no-projector",
        "--auth",
        f"--auth-jwks={tmp_path / 'jwks.json'}",
        "--auth-issuer=https://us.example",
        "--auth-audience=ledger",
        DATABASE_URL=database,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{collector.address}",
        OTEL_TRACES_SAMPLER="parentbased_always_off",
    )
    yield running
    running.end()


def issued(database: str, *arguments: str) -> tuple[str, str]:
    """(id, secret) of a new key or token."""
    done = drawdown("token", "issue", "--json", *arguments, DATABASE_URL=database)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["token"] not in done.stderr
    return document["id"], document["token"]


def balance(server: Server, token: str, account: str = "nobody") -> str:
    """What a command says on standard error."""
    done = drawdown("balance", account, f"--address={server.address}", DRAWDOWN_TOKEN=token)
    return done.stderr if done.returncode else "answered"


def metrics(server: Server, token: str = "", path: str = "metrics") -> int:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{server.ready['metrics']}/{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=HANGS_S) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_day_with_keys_and_tokens(
    server: Server, collector: Collector, database: str, tmp_path: Path
) -> None:
    """From the first key to its revocation; no secret is in a log, a span or the database."""
    assert "TOKEN_REQUIRED" in balance(server, "")
    key_id, key = issued(database, "--all-tenants", "--scope=read", "--scope=admin", "--label=ops")
    assert "ACCOUNT_UNKNOWN" in balance(server, key)
    reader_id, reader = issued(database, "--tenant=default", "--scope=read")
    with grpc.insecure_channel(server.address) as channel:
        accounts = account_pb2_grpc.AccountServiceStub(channel)
        request = account_pb2.AccountServiceCreateRequest(
            tenant="default", request_id="create", account="acme"
        )
        traced = ("traceparent", format_traceparent(bytes(range(16)), bytes(range(8)), True))
        accounts.Create(request, metadata=[("authorization", f"Bearer {key}"), traced])
        with pytest.raises(grpc.RpcError):
            accounts.Create(request, metadata=[("authorization", f"Bearer {reader}"), traced])
        with pytest.raises(grpc.RpcError):  # a bad one is no better secret
            accounts.Create(request, metadata=[("authorization", f"Bearer {key[:-1]}"), traced])
        alias = account_pb2.AssignAliasRequest(
            tenant="default", request_id="alias", alias="a", account="acme"
        )
        accounts.AssignAlias(alias, metadata=[("authorization", f"Bearer {key}"), traced])
    _, limited = issued(database, "--tenant=default", "--account=acme", "--scope=read")
    assert balance(server, limited, "acme") == "answered"
    assert "NOT_PERMITTED" in balance(server, limited)
    signing = [f"--signing-key={tmp_path / 'sign.pem'}", *AUDIENCE]
    _, signed = issued(database, "--tenant=default", "--scope=read", "--subject=alice", *signing)
    assert balance(server, signed, "acme") == "answered"
    other = [f"--signing-key={tmp_path / 'sign.pem'}", "--issuer=x", "--audience=ledger"]
    _, wrong = issued(database, "--tenant=default", "--scope=read", "--subject=alice", *other)
    assert "TOKEN_ISSUER_WRONG" in balance(server, wrong)

    assert metrics(server) == 401
    assert metrics(server, reader) == 403  # of one tenant
    assert metrics(server, key) == 200
    assert metrics(server, path="healthz") == 200
    assert metrics(server, path="readyz") == 200

    shown = drawdown("token", "list", "--json", DATABASE_URL=database)
    listed = {each["id"]: each for each in json.loads(shown.stdout)}
    assert len(listed) == 3
    assert listed[key_id]["label"] == "ops"
    assert listed[key_id]["issued_by"].startswith("cli:")
    changes = json.loads(drawdown("token", "changes", "--json", DATABASE_URL=database).stdout)
    assert [(each["actor"], each["method"], each["account"]) for each in changes] == [
        (f"key:{key_id}", "ledger.v1.AccountService/AssignAlias", "acme")
    ]

    assert drawdown("token", "revoke", reader_id, DATABASE_URL=database).returncode == 0
    assert drawdown("token", "revoke", reader_id, DATABASE_URL=database).returncode == 0
    assert drawdown("token", "revoke", "0" * 16, DATABASE_URL=database).returncode == 1
    time.sleep(REVOCATION_US / 1_000_000)
    assert "API_KEY_REVOKED" in balance(server, reader, "acme")
    table = drawdown("token", "list", DATABASE_URL=database).stdout
    assert "revoked" in table

    assert server.end() == 0
    written = server.log.read_text() + shown.stdout + table + str(collector.spans)
    assert collector.spans
    for secret in (key, reader, limited, signed, wrong, key[:-1]):
        assert secret not in written
        assert secret.rpartition("_")[2] not in written
        assert secret.rpartition(".")[2] not in written
    import asyncio

    stored = asyncio.run(everything(database))
    for secret in (key, reader, limited, signed):
        assert secret.rpartition("_")[2] not in stored
        assert secret.rpartition(".")[2] not in stored


async def everything(database: str) -> str:
    """The rows of all that access keeps, as text."""
    import asyncpg

    connection = await asyncpg.connect(database)
    try:
        found = []
        for name in ("api_key", "api_key_revocation", "signed_token", "change_asked"):
            found += await connection.fetch(f"SELECT t::text FROM ledger.{name} t")
        return str(found)
    finally:
        await connection.close()


def test_mistakes_of_the_command_line(database: str, tmp_path: Path) -> None:
    scope = "--scope=read"
    for arguments, said in (
        ([scope], "either --tenant or --all-tenants"),
        ([scope, "--tenant=x", "--all-tenants"], "either --tenant or --all-tenants"),
        (["--tenant=default"], "--scope"),
        ([scope, "--tenant=absent"], "TENANT_UNKNOWN"),
        ([scope, "--tenant=default", "--account=absent"], "ACCOUNT_UNKNOWN"),
        ([scope, "--all-tenants", "--account=a"], "tenant"),
        ([scope, "--tenant=default", "--expires=2001-01-01"], "over already"),
        ([scope, "--tenant=default", "--subject=x"], "--signing-key"),
        ([scope, "--tenant=default", "--signing-key=absent"], "needs --subject"),
        (
            [scope, "--tenant=default", "--subject=x", "--signing-key=absent", *AUDIENCE],
            "cannot be read",
        ),
    ):
        done = drawdown("token", "issue", *arguments, DATABASE_URL=database)
        assert done.returncode in (1, 2), arguments
        assert said in done.stderr, arguments
        assert "Traceback" not in done.stderr
    made = tmp_path / "key.pem"
    assert drawdown("token", "key", str(made), f"--jwks={tmp_path / 'j'}").returncode == 0
    assert made.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in (tmp_path / "j").read_text()
    again = drawdown("token", "key", str(made), f"--jwks={tmp_path / 'j'}")
    assert again.returncode == 2
    assert "never overwritten" in again.stderr


def test_settings_that_would_let_strangers_in_are_refused(tmp_path: Path) -> None:
    for arguments, said in (
        (["--listen=0.0.0.0:0"], "--tls-cert"),
        (["--auth-jwks=https://x.example/keys"], "--auth-issuer and --auth-audience"),
        (["--auth-issuer=x"], "--auth-jwks"),
        (["--auth-certificates=x.toml"], "--tls-client-ca"),
    ):
        done = drawdown("serve", *arguments, DATABASE_URL="postgresql://nowhere.invalid/x")
        assert done.returncode == 2, done.stderr
        assert said in done.stderr


def test_certificates_stand_for_whom_the_file_says(database: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, known = authority.issue("server"), authority.issue("billing")
    mapped = tmp_path / "certificates.toml"
    mapped.write_text('[[certificate]]\nname="billing"\ntenant="default"\nscopes=["read"]\n')
    server = Server(
        tmp_path / "log",
        "--no-projector",
        f"--tls-cert={certificate}",
        f"--tls-key={certificate.with_suffix('.key')}",
        f"--tls-client-ca={authority.certificate}",
        f"--auth-certificates={mapped}",
        DATABASE_URL=database,
    )
    try:
        for name, said in ((known, "ACCOUNT_UNKNOWN"), (certificate, "CERTIFICATE_UNKNOWN")):
            done = drawdown(
                "balance",
                "nobody",
                f"--address={server.address}",
                f"--tls-ca={authority.certificate}",
                f"--tls-cert={name}",
                f"--tls-key={name.with_suffix('.key')}",
            )
            assert said in done.stderr
    finally:
        server.end()


def test_a_new_key_for_what_gateways_hand_back_is_shown_to_nobody(database: str) -> None:
    """The first is made by the first who asks, here many at a time; others follow."""
    import asyncio

    import asyncpg

    from ledger.auth.key_store import PostgresKeyStore

    async def keys(at_once: int) -> list[tuple[bytes, int]]:
        async with asyncpg.create_pool(database) as pool:
            store = PostgresKeyStore(pool)
            found = await asyncio.gather(*[store.gateway_keys() for _ in range(at_once)])
        assert all(each == found[0] for each in found)
        return [(key.secret, key.before_until_us) for key in found[0]]

    [first] = asyncio.run(keys(4))
    told = [
        drawdown("token", "gateway-key", *more, DATABASE_URL=database)
        for more in ([], ["--at-once"])
    ]
    assert [each.stdout for each in told] == ["gateway key 2\n", "gateway key 3\n"]
    third, second, last = asyncio.run(keys(1))
    assert last == first
    now_us = time.time_ns() // 1_000
    assert third[1] <= now_us < second[1] <= now_us + 35 * 86_400_000_000
    assert len({third[0], second[0], first[0]}) == 3
    for secret in (first, second, third):
        assert secret[0].hex() not in str(told)


def test_a_new_secret_of_servers_is_shown_to_nobody(database: str) -> None:
    """The first is made by the first who asks, here many at a time; others follow."""
    import asyncio

    import asyncpg

    from ledger.auth.key_store import PostgresKeyStore
    from ledger.auth.passing import BEFORE_US

    async def keys(at_once: int) -> list[tuple[bytes, int]]:
        async with asyncpg.create_pool(database) as pool:
            store = PostgresKeyStore(pool)
            found = await asyncio.gather(*[store.server_keys() for _ in range(at_once)])
        assert all(each == found[0] for each in found)
        return [(key.secret, key.before_until_us) for key in found[0]]

    [first] = asyncio.run(keys(4))
    began_us = time.time_ns() // 1_000
    told = [drawdown("token", "server-key", DATABASE_URL=database) for _ in range(2)]
    assert [each.stdout for each in told] == ["server key 1\n", "server key 2\n"]
    third, second, last = asyncio.run(keys(1))
    assert last == first
    assert began_us + BEFORE_US <= second[1] <= third[1]
    assert third[1] <= time.time_ns() // 1_000 + BEFORE_US
    assert len({third[0], second[0], first[0]}) == 3
    for secret in (first, second, third):
        assert secret[0].hex() not in str(told)
