"""What goes wrong at a start or on the way to a server: the message, the value, the exit code."""

import json
import socket
from pathlib import Path

import click
import pytest

from bench.ports import free_port
from cli.processes import Server, drawdown
from ledger.reasons import REASONS


def test_help_is_for_newcomers_and_quick() -> None:
    done = drawdown("--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ledger.cli.app" in imported
    slow = {"grpc", "asyncpg", "ledger.core.events", "ledger.core.state", "opentelemetry.sdk"}
    assert not imported & slow
    for word in ("serve", "demo", "import-prices", "balance", "verify", "Exit codes"):
        assert word in done.stdout


def test_every_command_explains_itself() -> None:
    from ledger.cli.app import cli

    for name, command in cli.commands.items():
        assert command.help, name
        for option in command.params:
            assert isinstance(option, click.Argument) or option.help, (name, option.name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen=0.0.0.0:8433"], "--insecure-listen"),
        (["--listen=example.org:8433"], "example.org:8433"),
        (["--listen=8433"], "host:port"),
        (["--listen=127.0.0.1:99999"], "65535"),
        (["--metrics-host=0.0.0.0"], "0.0.0.0"),
        (["--tls-cert=/nonexistent.pem"], "--tls-key"),
        (["--tls-cert=/nonexistent.pem", "--tls-key=/nonexistent.pem"], "/nonexistent.pem"),
        (["--shards=0"], "0"),
    ],
)
def test_a_server_that_would_be_open_or_cannot_be_is_refused(
    arguments: list[str], said: str
) -> None:
    done = drawdown("serve", *arguments, DATABASE_URL="postgresql://127.0.0.1:1/none")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variable_of_the_environment_is_a_setting() -> None:
    done = drawdown("serve", DRAWDOWN_LISTEN="0.0.0.0:1", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert done.returncode == 2
    assert "0.0.0.0:1" in done.stderr


@pytest.mark.parametrize(
    "command", [["serve", "--metrics-port=0"], ["migrate"], ["tenant", "list"]]
)
def test_postgresql_that_is_away_is_waited_for_and_then_named(command: list[str]) -> None:
    """Bounded; the password is never shown."""
    port = free_port()
    done = drawdown(
        *command,
        DATABASE_URL=f"postgresql://me:secret@127.0.0.1:{port}/books",
        DRAWDOWN_CONNECT_TIMEOUT_S="1",
    )
    assert done.returncode == 3
    assert f"127.0.0.1:{port}/books" in done.stderr
    assert "trying again" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_database_is_refused_with_what_to_do(empty_database: str) -> None:
    done = drawdown("serve", "--metrics-port=0", DATABASE_URL=empty_database)
    assert done.returncode == 1
    assert "drawdown migrate" in done.stderr


def test_another_number_of_shards_is_refused(database: str) -> None:
    done = drawdown("serve", "--metrics-port=0", "--shards=8", DATABASE_URL=database)
    assert done.returncode == 1
    assert "4 shards" in done.stderr


def test_a_server_that_is_away_is_named() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = drawdown("balance", "acme", "--address", address)
    assert done.returncode == 3
    assert address in done.stderr
    assert "drawdown serve" in done.stderr


def test_a_directory_without_a_ledger_is_not_made_into_one(tmp_path: Path) -> None:
    done = drawdown("tenant", "list", f"--data-dir={tmp_path / 'none'}")
    assert done.returncode == 3
    assert "there is no ledger" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_side_port_that_is_taken_is_named(database: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = drawdown("serve", f"--metrics-port={port}", DATABASE_URL=database)
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr


def test_a_sampler_that_there_is_not_is_named(database: str) -> None:
    done = drawdown(
        "serve", "--metrics-port=0", DATABASE_URL=database, OTEL_TRACES_SAMPLER="sometimes"
    )
    assert done.returncode == 2
    assert "sometimes" in done.stderr


def test_a_reason_is_explained_and_what_is_near_to_it_named() -> None:
    done = drawdown("reasons", "conflict", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert done.stdout.startswith("CONFLICT  ALREADY_EXISTS\n")
    assert REASONS["CONFLICT"].advice in done.stdout
    assert "docs/concepts.md#identity-and-retries" in done.stdout
    assert not {"grpc", "asyncpg"} & {
        line.rpartition("|")[2].strip() for line in done.stderr.splitlines()
    }
    some = json.loads(drawdown("reasons", "BUDGET", "--json").stdout)
    assert {"BUDGET_EXCEEDED", "OPERATION_BUDGET_EXCEEDED"} <= {each["reason"] for each in some}
    assert len(json.loads(drawdown("reasons", "--json").stdout)) == len(REASONS)
    wrong = drawdown("reasons", "BUDGET_EXCEDED")
    assert (wrong.returncode, "BUDGET_EXCEEDED" in wrong.stderr) == (2, True)


def test_a_refused_command_says_what_to_do_and_where_more_is_said(server: Server) -> None:
    done = drawdown("account", "show", "nobody", DRAWDOWN_ADDRESS=server.address)
    assert done.returncode == 1
    assert "ACCOUNT_UNKNOWN" in done.stderr
    assert f"{REASONS['ACCOUNT_UNKNOWN'].advice} `drawdown reasons ACCOUNT_UNKNOWN`" in done.stderr
