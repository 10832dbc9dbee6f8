"""What the chapters of the demo share: options, the screen, the ledger, the client, the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.client import DrawdownClient
from ledger.demo.processes import Ledger
from ledger.demo.screen import Screen


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How much to show. The defaults take about 40 seconds."""

    seconds: int = 20
    """The hour of the traces is played in so long."""
    rows: int = 0
    """Only so many requests of each trace; 0 = all 40,216."""
    data_dir: Path | None = None
    """Keep the books here; None = a temporary directory."""
    database_url: str | None = None
    """Use this PostgreSQL instead of one of our own."""
    flat_out: bool = True
    """Also send the traces once as fast as possible."""

    def __post_init__(self) -> None:
        """Raises ValueError with the option and its value."""
        if self.seconds < 1:
            raise ValueError(f"seconds is 1 or more, not {self.seconds}")
        if self.rows < 0:
            raise ValueError(f"rows is 0 or more, not {self.rows}")


@dataclass
class DemoReport:
    """The summary; `ok` only if the books balance, the story is whole and verify found nothing."""

    ok: bool = False
    sections: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {"ok": self.ok, **self.sections}


@dataclass(frozen=True, slots=True)
class Stage:
    """Handed to every chapter; `sections` is the report for scripts, a key a chapter."""

    options: DemoOptions
    screen: Screen
    ledger: Ledger
    client: DrawdownClient
    sections: dict[str, Any]
