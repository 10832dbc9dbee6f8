"""The projector as a child process of the server. Read models are rebuilt from a checkpoint, so
ending it at any moment is safe."""

from __future__ import annotations

from ledger.side_process import SideProcess


class ProjectorProcess(SideProcess):
    """See SideProcess."""

    def __init__(self, dsn: str) -> None:
        super().__init__("projector", ["project"], {"DATABASE_URL": dsn})
