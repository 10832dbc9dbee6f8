"""Whole files under the final name, or none.

Everything is written in a folder beside the place where it is to stand, synced, and then renamed.
What ends early, by an error, a full disk or a signal, leaves nothing but what was there before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

from ledger.exports.source import ExportRefused

MANIFEST: Final = "manifest.json"
PROGRAM: Final = "drawdown"
BUFFER_BYTES: Final = 1 << 20


class Staging:
    """Where files are written before they are an export. Make one with `staged`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def text(self, name: str) -> Iterator[TextIO]:
        """A new file, UTF-8, newlines as they are written."""
        path = self.folder / name
        with path.open("w", BUFFER_BYTES, encoding="utf-8", newline="") as file:
            yield file

    def append(self, name: str, other: str) -> None:
        """Put a file at the end of another; it is a file of its own no longer."""
        source = self.folder / other
        with (self.folder / name).open("ab") as file, source.open("rb") as added:
            shutil.copyfileobj(added, file, BUFFER_BYTES)
        source.unlink()

    def digest(self, name: str) -> str:
        """SHA-256 of a file."""
        with (self.folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def size(self, name: str) -> int:
        """Its bytes."""
        return (self.folder / name).stat().st_size


def check_target(target: Path, *, single: bool, force: bool) -> None:
    """Whether an export may stand there. Raises ExportRefused."""
    if not target.parent.is_dir():
        raise ExportRefused(f"{target.parent} is no directory", "make it, or name another --out")
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise ExportRefused(f"{target} exists", "name another --out, or replace it with --force")
    if single != (target.is_file() and not target.is_symlink()):
        what = "file" if single else "directory"
        raise ExportRefused(f"{target} is no {what}, and is not replaced", "name another --out")
    if not single and not is_export(target):
        raise ExportRefused(
            f"{target} is a directory without an export's {MANIFEST}, and is not replaced",
            "name another --out",
        )


def is_export(folder: Path) -> bool:
    """Whether an export of ours, and nothing else, stands in that directory."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        names = {each["name"] for each in manifest["files"]} | {MANIFEST}
        return manifest["program"] == PROGRAM and {each.name for each in folder.iterdir()} == names
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def staged(target: Path, *, single: bool) -> Iterator[Staging]:
    """Write within; what was written stands at `target` when it ends without an exception.

    `single`: the one file besides the manifest becomes `target`, the manifest stands beside it.
    Raises ExportRefused for what the file system refuses.
    """
    folder = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir()
        yield Staging(folder)
        for path in folder.iterdir():
            _sync(path)
        _sync(folder)
        if single:
            _place_files(folder, target)
        else:
            _place_folder(folder, target)
        _sync(target.parent)
    except OSError as error:
        raise ExportRefused(
            f"{target} cannot be written: {error.strerror or error}", "nothing stands there of it"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def manifest_beside(target: Path) -> Path:
    """Where the manifest of a single file stands."""
    return target.with_name(f"{target.name}.{MANIFEST}")


def _place_files(folder: Path, target: Path) -> None:
    (data,) = [path for path in folder.iterdir() if path.name != MANIFEST]
    os.replace(data, target)
    os.replace(folder / MANIFEST, manifest_beside(target))


def _place_folder(folder: Path, target: Path) -> None:
    if not target.exists():
        folder.rename(target)
        return
    before = folder.with_suffix(".before")
    target.rename(before)
    try:
        folder.rename(target)
    except OSError:
        before.rename(target)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
