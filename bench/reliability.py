"""Where the tools of this source tree write their figures of reliability.

`record` puts them into bench/results/reliability.json, beside those of others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.simulation.results import record_results

RESULTS = Path(__file__).parent / "results" / "reliability.json"


def record(tool: str, path: Path = RESULTS, /, **figures: int | str) -> dict[str, Any]:
    """See `record_results`."""
    return record_results(path, tool, figures)
