"""Workloads that were not measured anew stay in latest.json, with their time: on one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.machine import LOAD
from bench.run import write


def document(at: str, cores: int, **figures: int) -> dict[str, Any]:
    return {
        "made_at": at,
        "machine": {"cores": cores, LOAD: len(at)},
        "conditions": {},
        "runs": {name: {"events_per_s": figure} for name, figure in figures.items()},
    }


def test_what_was_not_measured_now_is_kept_with_its_time(tmp_path: Path) -> None:
    write(document("first", 2, rate_scalar=1, recovery=2), tmp_path)
    write(document("then", 2, recovery=3), tmp_path)
    kept = json.loads((tmp_path / "latest.json").read_text())
    assert kept["runs"] == {"rate_scalar": {"events_per_s": 1}, "recovery": {"events_per_s": 3}}
    assert kept["measured_at"] == {"rate_scalar": "first", "recovery": "then"}


def test_a_reference_that_was_not_asked_for_replaces_nothing(tmp_path: Path) -> None:
    write(document("first", 2, rate_scalar=1, recovery=2), tmp_path)
    write(document("then", 2, rate_scalar=7, recovery=3), tmp_path, ["recovery"])
    kept = json.loads((tmp_path / "latest.json").read_text())
    assert kept["runs"] == {"rate_scalar": {"events_per_s": 1}, "recovery": {"events_per_s": 3}}
    assert kept["measured_at"] == {"rate_scalar": "first", "recovery": "then"}


def test_another_machine_s_figures_are_not_kept(tmp_path: Path) -> None:
    write(document("first", 2, rate_scalar=1), tmp_path)
    write(document("then", 4, recovery=3), tmp_path)
    kept = json.loads((tmp_path / "latest.json").read_text())
    assert list(kept["runs"]) == list(kept["measured_at"]) == ["recovery"]
