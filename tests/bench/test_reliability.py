"""Several tools write their figures into one file, at the same time."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.reliability import record


def test_every_tool_s_figures_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "results" / "reliability.json"
    assert record("one", file, seeds_run=0) == {
        "seeds_run": 0,
        "by_tool": {"one": {"seeds_run": 0}},
    }
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: record("one", file, **{f"figure_{at}": at}), range(40)))
    kept = json.loads(file.read_text())
    figures = {"seeds_run": 0, **{f"figure_{at}": at for at in range(40)}}
    assert kept == figures | {"by_tool": {"one": figures}}
    assert record("one", file, seeds_run=1)["seeds_run"] == 1
    assert [each.name for each in file.parent.iterdir()] == ["reliability.json"]


def test_what_several_tools_count_is_summed_and_a_later_run_replaces_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "reliability.json"
    file.write_text('{"lost": 7, "double_counted": 9, "kills_survived": 3}')
    record("simulate", file, lost=2, double_counted=1, seeds_run=5)
    assert record("faults", file, lost=1, double_counted=0, kills_survived=4) == {
        "lost": 3,
        "double_counted": 1,
        "seeds_run": 5,
        "kills_survived": 4,
        "by_tool": {
            "simulate": {"lost": 2, "double_counted": 1, "seeds_run": 5},
            "faults": {"lost": 1, "double_counted": 0, "kills_survived": 4},
        },
    }
    record("damage", file, bytes_flipped=1)
    assert record("simulate", file, lost=0, double_counted=0)["lost"] == 1
