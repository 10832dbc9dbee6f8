"""Several tools write their figures into one file, at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.reliability import record


def test_every_tool_s_figures_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "results" / "reliability.json"
    assert record(file, lost=0) == {"lost": 0}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: record(file, **{f"figure_{at}": at}), range(40)))
    kept = json.loads(file.read_text())
    assert kept == {"lost": 0, **{f"figure_{at}": at for at in range(40)}}
    assert record(file, lost=1)["lost"] == 1
    assert [each.name for each in file.parent.iterdir()] == ["reliability.json"]
