"""Figures of reliability, gathered by several tools into one file.

`record` adds figures to bench/results/reliability.json and keeps what others wrote there. The file
is replaced whole under a lock, so tools may run at the same time.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "reliability.json"


def record(path: Path = RESULTS, /, **figures: int | float | str) -> dict[str, int | float | str]:
    """Set these keys, keep the others; returns everything that the file holds then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the lock of the folder: no file is left behind
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        known: dict[str, int | float | str] = json.loads(path.read_text()) if path.exists() else {}
        known |= figures
        made = path.with_suffix(".new")
        with made.open("w") as file:
            json.dump(dict(sorted(known.items())), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        os.close(folder)
    return known
