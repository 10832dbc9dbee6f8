"""docs/security.md is true: its table is the servers' own, its reasons are all, commands run."""

from __future__ import annotations

import re
from pathlib import Path

import grpc
from cli.processes import Server

from ledger.api.errors import TABLE
from ledger.auth.api_keys import REVOCATION_US
from ledger.auth.certificates import read_certificates
from ledger.auth.refusals import Denied, Undecided, Unproven
from ledger.v1 import account_pb2, account_pb2_grpc
from tests.docs.access_table import BEGIN, END, PAGE, table
from tests.docs.test_commands import blocks, shell


def test_the_table_is_what_the_servers_go_by() -> None:
    """Run `python -m tests.docs.access_table` and commit what it writes."""
    assert PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0] == table()


def test_every_refusal_is_said_with_its_status() -> None:
    page = PAGE.read_text("utf-8")
    for reason in (*Unproven, *Denied, *Undecided):
        [line] = [
            each for each in page.splitlines() if each.startswith("|") and f"`{reason}`" in each
        ]
        assert TABLE[reason].code.name in line


def test_the_bound_of_revocation_is_what_is_said() -> None:
    assert REVOCATION_US == 1_000_000
    assert "within one second, on every server" in PAGE.read_text("utf-8")


def test_the_commands_run(database: str, tmp_path: Path) -> None:
    keys, tokens = blocks("docs/security.md")
    server = Server(tmp_path / "log", "--no-projector", "--auth", DATABASE_URL=database)
    try:
        known = {"DATABASE_URL": database, "DRAWDOWN_ADDRESS": server.address}
        issue = "drawdown token issue --all-tenants --scope admin"
        bearer = f"Bearer {shell(issue, tmp_path, **known).strip()}"
        with grpc.insecure_channel(server.address) as channel:
            account_pb2_grpc.AccountServiceStub(channel).Create(
                account_pb2.AccountServiceCreateRequest(
                    tenant="default", request_id="create", account="acme"
                ),
                metadata=[("authorization", bearer)],
            )
        said = shell(keys, tmp_path, **known)
        assert "acme" in said
        assert "revoked" in said
        assert (tmp_path / "operator.key").read_text().startswith("dd_")
        shell(tokens, tmp_path, **known)
        assert (tmp_path / "alice.token").read_text().count(".") == 2
    finally:
        server.end()


def test_the_file_of_certificates_is_one(tmp_path: Path) -> None:
    [toml] = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "certificates.toml").write_text(toml)
    found = read_certificates(tmp_path / "certificates.toml")
    assert found.principal(("spiffe://example.com/billing",)).actor == "certificate:billing"
