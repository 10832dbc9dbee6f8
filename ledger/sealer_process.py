"""The sealer as a child process of the server: the private key is in no process that listens."""

from __future__ import annotations

from ledger.side_process import SideProcess


class SealerProcess(SideProcess):
    """See SideProcess. When it is stopped it seals once more what became durable until then."""

    def __init__(self, dsn: str, key: str, every_s: int) -> None:
        """`key` is a file, or PEM text, which then goes through the environment."""
        super().__init__(
            "sealer",
            ["seal", f"--seal-every-s={every_s}"],
            {"DATABASE_URL": dsn, "DRAWDOWN_SEAL_KEY": key},
        )
