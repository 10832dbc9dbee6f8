"""The client as its users install it: a wheel of its own, alone in a fresh environment.

Built from the project's own files by pip, as `make wheels` does; what it needs comes from where pip
is configured to look, in the versions of constraints.txt.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from bench.programs import fetched
from ledger.client import DrawdownClient
from tests.client.test_typing import NOT_FOR_CALLERS, OF_THE_SERVER, SAMPLES

ROOT = Path(__file__).parents[2]
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
NEEDED = {
    "biscuit-python", "drawdown-client", "googleapis-common-protos", "grpcio", "lark", "msgspec",
    "protobuf", "typing-extensions", "tzdata",
}  # fmt: skip
PROGRAM = """
import asyncio, sys

from ledger.client import DrawdownClient, LocalPrices, sync
from rating.card_file import read_card


def plainly() -> int:
    with sync.DrawdownClient(sys.argv[1]) as client:
        return client.debit("acme", "chat", {"output_tokens": 2}, request_id="d-2").charge


async def main() -> None:
    async with DrawdownClient(sys.argv[1]) as client:
        answer = await client.debit("acme", "chat", {"output_tokens": 1}, request_id="d-1")
        sheet = await client.get_price_sheet("default")
        prices = LocalPrices(read_card(sheet.sheet), sheet.version.version)
        print(answer.charge, prices.amount("chat", {}, {"output_tokens": 1}))
    print(await asyncio.to_thread(plainly))


asyncio.run(main())
print(*sorted(sys.modules))
"""


def environment() -> dict[str, str]:
    return {**{name: each for name, each in os.environ.items() if name != "PYTHONPATH"}, **QUIET}


def ran(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2_000:]} {done.stderr[-2_000:]}"
    return done.stdout


def pip(*arguments: str | Path, python: str | Path = sys.executable, cwd: Path = ROOT) -> str:
    """Our own pip, for whichever Python."""
    command = [sys.executable, "-m", "pip", "--python", python, *arguments]
    done = fetched(command, cwd=cwd, env=environment())
    assert done.returncode == 0, f"{command}: {done.stdout[-2_000:]} {done.stderr[-2_000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The client's and the server's, by name."""
    folder = tmp_path_factory.mktemp("wheels")
    pip("wheel", "-q", "--no-deps", "--wheel-dir", folder, "./client", ".")
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def alone(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the client and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    pip("install", "-q", "-c", constraints, wheels["drawdown_client"], python=python, cwd=folder)
    listed = pip("list", "--format=freeze", python=python, cwd=folder)
    names = {line.split("==")[0].lower().replace("_", "-") for line in listed.splitlines()}
    assert names == NEEDED
    return python


def held(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if not name.split("/")[0].endswith(".dist-info")}


def test_the_two_wheels_have_every_file_and_none_twice(wheels: dict[str, Path]) -> None:
    client, server = held(wheels["drawdown_client"]), held(wheels["drawdown"])
    assert client & server == set()
    tracked = ran("git", "ls-files", "ledger", "rating", cwd=ROOT).split()
    migrations = {name for name in server if name.startswith("ledger/migrations/")}
    assert migrations
    assert client | server - migrations >= set(tracked)
    extra = (client | server) - migrations - set(tracked)
    assert {name for name in extra if "__pycache__" in name or name.endswith(".so")} == set()
    folders = {"/".join(name.split("/")[:2]) for name in client if name.startswith("ledger")}
    assert folders == {"ledger/__init__.py", "ledger/py.typed", "ledger/client", "ledger/v1"}
    assert {"ledger/py.typed", "rating/py.typed"} <= client


def test_the_server_needs_the_client_of_its_own_version(wheels: dict[str, Path]) -> None:
    versions = [
        tomllib.loads((ROOT / path).read_text())["project"]["version"]
        for path in ("pyproject.toml", "client/pyproject.toml")
    ]
    assert versions[0] == versions[1]
    with zipfile.ZipFile(wheels["drawdown"]) as packed:
        [about] = [name for name in packed.namelist() if name.endswith(".dist-info/METADATA")]
        text = packed.read(about).decode()
    assert f"Requires-Dist: drawdown-client=={versions[0]}\n" in text


def test_what_the_client_needs_the_server_asks_for_the_same() -> None:
    """One version of each would otherwise be tested, and another installed."""
    server, client = (
        set(tomllib.loads((ROOT / path).read_text())["project"]["dependencies"])
        for path in ("pyproject.toml", "client/pyproject.toml")
    )
    assert client <= server


async def test_alone_it_debits_on_a_real_server(
    alone: Path, client: DrawdownClient, address: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    said = await asyncio.to_thread(ran, alone, program, address, cwd=tmp_path)
    asynchronous, plain, modules = said.splitlines()
    assert asynchronous == "15 15"
    assert plain == "30"
    loaded = set(modules.split())
    ours = {name.split(".")[1] for name in loaded if name.startswith("ledger.")}
    assert ours & set(OF_THE_SERVER) == set()
    assert {name.split(".")[0] for name in loaded} & set(NOT_FOR_CALLERS) == set()
    [balance] = (await client.balance("acme", product="chat")).balances
    assert balance.granted == str(10**9 - 45)


def test_alone_every_module_of_it_can_be_imported(alone: Path, tmp_path: Path) -> None:
    said = ran(
        alone,
        "-c",
        "import importlib, pkgutil, ledger, rating\n"
        "for package in (ledger, rating):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(found.name); print(found.name)\n",
        cwd=tmp_path,
    )
    assert {"ledger.client.agent", "ledger.v1.decision_pb2_grpc", "rating.formula"} <= set(
        said.split()
    )


def test_alone_it_is_typed(alone: Path, wheels: dict[str, Path], tmp_path: Path) -> None:
    """A caller's type checker takes its types from the wheel, those of messages with `types`."""
    asked = f"{wheels['drawdown_client']}[types]"
    pip("install", "-q", "-c", ROOT / "constraints.txt", asked, python=alone, cwd=tmp_path)
    for name in ("sample_good.py", "sample_bad.py"):
        (tmp_path / name).write_text((SAMPLES / name).read_text())
    options = ["--strict", "--no-error-summary", "--python-executable", str(alone)]
    ran(sys.executable, "-m", "mypy", *options, "sample_good.py", cwd=tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "sample_bad.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    marked = re.findall(r"# E: ([\w-]+)", (SAMPLES / "sample_bad.py").read_text())
    assert re.findall(r" error: .* \[([\w-]+)\]", done.stdout) == marked


def test_the_server_comes_and_goes_beside_the_client(
    alone: Path, wheels: dict[str, Path], tmp_path: Path
) -> None:
    """In one environment: neither takes files of the other along."""
    server = wheels["drawdown"]
    pip("install", "-q", "--no-deps", server, python=alone, cwd=tmp_path)
    assert ran(alone, "-c", "import ledger.core.limits, ledger.client", cwd=tmp_path) == ""
    pip("uninstall", "-q", "-y", "drawdown", python=alone, cwd=tmp_path)
    gone = "import importlib.util as u, ledger.client; print(u.find_spec('ledger.core'))"
    assert ran(alone, "-c", gone, cwd=tmp_path) == "None\n"
