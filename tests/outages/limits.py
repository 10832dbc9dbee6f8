"""A disk that is full for PostgreSQL alone: no file of its processes may grow past so many bytes.

RLIMIT_FSIZE, set on running processes and taken back while they run. The kernel lets a user do that
to his own processes, so a process that drops root for PostgreSQL's user does it.
"""

from __future__ import annotations

import subprocess
import sys

import psutil

from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import account_for

_LIMIT = """
import os, resource, sys
uid, gid, size, *pids = map(int, sys.argv[1:])
if os.getuid() != uid:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
for pid in pids:
    try:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))
    except ProcessLookupError:
        pass  # a backend that has ended meanwhile
"""


def full_at(postgres: EmbeddedPostgres, size_bytes: int) -> None:
    """From now on, for the postmaster, every backend and whatever they fork."""
    _limit(postgres, size_bytes)


def space_again(postgres: EmbeddedPostgres) -> None:
    _limit(postgres, -1)


def _limit(postgres: EmbeddedPostgres, size_bytes: int) -> None:
    assert postgres.pid is not None
    account = account_for(postgres.data_dir / "cluster")
    postmaster = psutil.Process(postgres.pid)
    # Twice: a backend that the postmaster forked before its own turn is there by the second.
    for _ in range(2):
        pids = [postmaster.pid, *(child.pid for child in postmaster.children(recursive=True))]
        arguments = [str(n) for n in (account.uid, account.gid, size_bytes, *pids)]
        subprocess.run([sys.executable, "-c", _LIMIT, *arguments], check=True, cwd="/")
