"""The real hledger: the one on the PATH, else Debian's package unpacked into build/hledger.

Needs no root: packages are fetched with the machine's own apt, and only unpacked. Where that cannot
be, the tests fail and say what to install.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(__file__).parents[2] / "build" / "hledger"
HELP = (
    "hledger is needed to test exports, is not on the PATH, and could not be fetched with apt. "
    "Install it (Debian, Ubuntu: apt install hledger; macOS: brew install hledger)"
)


class HledgerMissing(Exception):
    """It cannot be had here."""


class Hledger:
    """The program, and the libraries that came with it."""

    def __init__(self, program: Path, libraries: Sequence[Path] = ()) -> None:
        self.program = program
        self.environment = dict(os.environ)
        self.environment["LC_ALL"] = "C.UTF-8"
        if libraries:
            self.environment["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))

    def __call__(self, *arguments: str | Path) -> str:
        """What it prints; fails with what it says where it refuses."""
        done = subprocess.run(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            env=self.environment,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"hledger {' '.join(map(str, arguments))}: {done.stderr[-2_000:]}")
        return done.stdout


def find_hledger() -> Hledger:
    """Find it or fetch it, once for all test processes. Raises HledgerMissing."""
    on_path = shutil.which("hledger")
    if on_path is not None:
        return Hledger(Path(on_path))
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _unpacked()
        if found is None:
            _fetch()
            found = _unpacked()
    if found is None:
        raise HledgerMissing(HELP)
    return found


def _unpacked() -> Hledger | None:
    program = CACHE / "root" / "usr" / "bin" / "hledger"
    if not program.exists():
        return None
    hledger = Hledger(
        program, sorted({path.parent for path in (CACHE / "root").rglob("lib*.so.*")})
    )
    hledger("--version")
    return hledger


def _fetch() -> None:
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise HledgerMissing(f"{HELP}: there is no {tool}")
    downloads, fresh = CACHE / "download", CACHE / "root.new"
    for folder in (downloads, fresh):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    try:
        _download(downloads, [])
    except subprocess.CalledProcessError:  # no lists of packages yet, and perhaps not root: our own
        state, cache = CACHE / "state", CACHE / "cache"
        for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        own = ["-o", f"Dir::State={state}", "-o", f"Dir::Cache={cache}"]
        own += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
        try:
            _run(["apt-get", *own, "update"], downloads)
            _download(downloads, own)
        except subprocess.CalledProcessError as error:
            raise HledgerMissing(f"{HELP}: {error.stderr.strip()[-500:]}") from error
    for package in sorted(downloads.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(fresh)], downloads)
    shutil.rmtree(CACHE / "root", ignore_errors=True)
    fresh.rename(CACHE / "root")
    for folder in (downloads, CACHE / "state", CACHE / "cache"):
        shutil.rmtree(folder, ignore_errors=True)


def _download(folder: Path, options: list[str]) -> None:
    """The package and the libraries that it names, but for the C library."""
    said = _run(["apt-cache", *options, "depends", "hledger"], folder)
    needs = [each for each in re.findall(r"^  Depends: (\S+)$", said, re.M) if each != "libc6"]
    _run(["apt-get", *options, "download", "hledger", *needs], folder)


def _run(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "LC_ALL": "C"},
        check=True,
    ).stdout
