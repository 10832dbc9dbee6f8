"""SIGKILL for a whole PostgreSQL server, as a power cut would end it."""

from __future__ import annotations

import contextlib

import psutil

from ledger.journal.embedded import EmbeddedPostgres
from tests.patience import HANGS_S


def kill_server(postgres: EmbeddedPostgres) -> int:
    """Kill the postmaster and all its processes, and wait until they are gone; its process id."""
    assert postgres.pid is not None
    postmaster = psutil.Process(postgres.pid)
    postmaster.suspend()  # it starts no other one
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):  # a backend ends with its client
            process.kill()
    _, alive = psutil.wait_procs(family, HANGS_S)
    assert not alive, alive
    return postmaster.pid
