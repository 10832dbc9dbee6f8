"""The life of a server: what it starts, what it leaves behind, and what a restart finds."""

import contextlib
import json
import secrets
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from cli.processes import READY_TIMEOUT_S, STOP_TIMEOUT_S, Server, drawdown
from ledger.journal.embedded_host import throwaway_root
from ledger.v1 import account_pb2, account_pb2_grpc, journal_pb2, journal_pb2_grpc


@pytest.fixture
def own_dir() -> Iterator[Path]:
    path = throwaway_root() / f"drawdown-serve-{secrets.token_hex(4)}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def descendants(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.ready["pid"]).children(recursive=True)


def name_of(process: psutil.Process) -> str:
    """Empty once it has ended."""
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def test_a_signal_ends_everything_and_a_restart_finds_it(own_dir: Path, tmp_path: Path) -> None:
    """SIGTERM: exit code 0, no PostgreSQL and no projector left, every answer kept."""
    first = Server(tmp_path / "log", f"--data-dir={own_dir}")
    children = descendants(first)
    assert any("postgres" in name for name in map(name_of, children))
    with grpc.insecure_channel(first.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default", request_id="create", account="acme"
            )
        )
    assert first.end(signal.SIGTERM) == 0
    _, left = psutil.wait_procs(children, timeout=STOP_TIMEOUT_S)
    assert not left
    second = Server(tmp_path / "log", f"--data-dir={own_dir}")
    try:
        with grpc.insecure_channel(second.address) as channel:
            found = account_pb2_grpc.AccountServiceStub(channel).Get(
                account_pb2.AccountServiceGetRequest(tenant="default", account="acme")
            )
        assert found.account.account == "acme"
        with urllib.request.urlopen(f"http://{second.ready['metrics']}/readyz") as reply:
            assert json.load(reply)["ready"] is True
    finally:
        assert second.end(signal.SIGINT) == 0


def test_a_second_server_shares_the_embedded_database(own_dir: Path, tmp_path: Path) -> None:
    first = Server(tmp_path / "log", f"--data-dir={own_dir}", "--no-projector")
    second = Server(tmp_path / "log", "--no-projector", DATABASE_URL=first.ready["database_url"])
    try:
        with grpc.insecure_channel(first.address) as channel:
            stub = journal_pb2_grpc.JournalServiceStub(channel)
            owners: set[str] = set()
            deadline = time.monotonic() + READY_TIMEOUT_S
            while owners != {first.address, second.address}:
                assert time.monotonic() < deadline, owners
                reply = stub.GetRouting(journal_pb2.GetRoutingRequest(tenant="default"))
                owners = {shard.address for shard in reply.shards}
            while True:  # what was handed over may be opening
                assert time.monotonic() < deadline
                with contextlib.suppress(grpc.RpcError):
                    request = journal_pb2.TrialBalanceRequest(tenant="default")
                    assert stub.TrialBalance(request).balanced
                    break
    finally:
        assert second.end() == 0
        assert first.end() == 0


def test_a_server_that_is_killed_leaves_no_projector(database: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "log", DATABASE_URL=database)
    projectors = descendants(server)
    assert len(projectors) == 1
    server.end(signal.SIGKILL)
    _, left = psutil.wait_procs(projectors, timeout=STOP_TIMEOUT_S)
    assert not left


def test_a_port_that_is_taken_is_named(database: str, tmp_path: Path) -> None:

    server = Server(tmp_path / "log", "--no-projector", DATABASE_URL=database)
    try:
        done = drawdown(
            "serve",
            "--no-projector",
            "--metrics-port=0",
            f"--listen={server.address}",
            DATABASE_URL=database,
        )
        assert done.returncode == 1
        assert server.address in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        server.end()
