"""Meters from a file: published, unchanged, listed, and what is wrong with them said."""

from __future__ import annotations

import json
from pathlib import Path

from cli.processes import Server, drawdown

METERS = """
[[rules]]
name = "gpu jobs"
event_type = "gpu.job"
product_property = "gpu"
quantities = [
  { quantity = "gpu_milliseconds", aggregation = "sum", property = "seconds", scale = 3 },
  { quantity = "jobs" },
]
"""


def test_meters_are_published_from_a_file_and_listed(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "meters.toml"
    file.write_text(METERS)
    where = ("--address", server.address)
    assert drawdown("meters", "list", *where).stdout == "no meters\n"
    checked = drawdown("meters", "publish", str(file), "--dry-run", *where)
    assert "1 rules: checked, not published" in checked.stdout
    published = drawdown("meters", "publish", str(file), *where)
    assert published.stdout.endswith("from ever on: published\n")
    again = drawdown("meters", "publish", str(file), *where)
    assert again.stdout.endswith("unchanged: these are the newest meters already\n")
    listed = drawdown("meters", "list", *where)
    assert "  gpu jobs: gpu.job is by gpu (gpu_milliseconds, jobs)" in listed.stdout
    shown = json.loads(drawdown("meters", "list", "--json", *where).stdout)
    [rule] = shown["meters"][0]["rules"]
    assert rule["quantities"][0]["aggregation"] == "AGGREGATION_SUM"


def test_every_fault_of_a_file_is_said_with_its_place(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "meters.json"
    file.write_text('{"rules": [{"name": "", "event_type": "a", "quantities": []}]}')
    failed = drawdown("meters", "publish", str(file), "--address", server.address)
    assert failed.returncode == 1
    assert "rules[0].name: NAME_EMPTY ''" in failed.stderr
    assert "rules[0].quantities: FIELD_REQUIRED ''" in failed.stderr
    assert "the meters are not well formed: 3 faults" in failed.stderr
