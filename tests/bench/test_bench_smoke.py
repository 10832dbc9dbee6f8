"""`make bench` in small: every step runs against the real server, and no key of the contract lacks.

The figures of so small a run mean nothing and are not looked at; that all answers are right, the
books verify and everything is cleaned up, is.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.ours import PREFIX
from ledger.journal.embedded_host import throwaway_root

RUN_TIMEOUT_S = 3_600
CONTRACT = {
    "ingest_uniform": [
        "events_per_s",
        "p50_ms",
        "p99_ms",
        "ratio_to_decode_only",
        "server_cpu_us_per_event",
        "ratio_to_plain_postgres",
    ],
    "ingest_compact": ["events_per_s", "ratio_to_plain_form"],
    "ingest_hot_account": ["events_per_s", "ratio_to_uniform"],
    "ingest_grants": ["events_per_s", "ratio_to_single_grant"],
    "family_shared": ["events_per_s", "ratio_to_uniform", "ratio_10000_to_100_children"],
    "decide_unary": ["calls_per_s", "p50_ms", "p99_ms", "ratio_to_empty_echo"],
    "authorize_unary": ["calls_per_s", "p50_ms", "p99_ms", "ratio_to_empty_echo"],
    "sdk_autobatch": ["debits_per_s", "p50_ms", "p99_ms", "ratio_to_empty_echo"],
    "holds": ["authorise_capture_per_s", "p50_ms", "p99_ms"],
    "envoy": [
        "p99_ratio_to_empty_ext_authz",
        "check_p99_ms",
        "hold_p99_ms",
        "commit_p99_ms",
    ],
    "rate_scalar": ["events_per_s"],
    "lease_local": ["decisions_per_s", "recorded_per_s"],
    "lease_local_priced": ["decisions_per_s"],
    "sizing": ["code_within_permille", "code_held_to_used", "code_max_tokens_to_used"],
    "price_change": ["rows", "publish_ms", "largest_rows", "largest_publish_ms", "batches"],
    "recovery": ["events_per_s"],
    "simulate": ["events_per_s", "cpu_us_per_event"],
    "history": [
        "events",
        "events_per_s",
        "ratio_to_empty",
        "ratio_to_empty_without_checkpoints",
        "restart_to_serving_ms",
        "killed_to_serving_ms",
        "longest_pause_ms",
        "key_segments",
    ],
}


@pytest.fixture(scope="module")
def left_before():
    """What runs that were killed before this one could not remove."""
    return _of_dead_runs()


@pytest.fixture(scope="module")
def output(tmp_path_factory, left_before):
    folder = tmp_path_factory.mktemp("bench")
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--size", "tiny", "--output", folder],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def document(output):
    return json.loads((output / "latest.json").read_text())


@pytest.mark.parametrize(
    ("workload", "key"), [(name, key) for name, keys in CONTRACT.items() for key in keys]
)
def test_the_contract_has_every_key_with_a_figure(document, workload, key):
    assert document["runs"][workload][key] > 0


@pytest.mark.parametrize("workload", ["decide_unary", "authorize_unary"])
@pytest.mark.parametrize("callers", ["callers_1", "callers_64"])
def test_single_calls_are_measured_with_one_and_with_many_callers(document, workload, callers):
    assert document["runs"][workload][callers]["ratio_to_empty_echo"] > 0


def test_the_longest_pause_for_a_price_change_is_measured(document):
    """None above a millisecond is 0, so that it stands there is all that can be said."""
    assert document["runs"]["price_change"]["longest_pause_ms"] >= 0
    assert document["runs"]["price_change"]["longest_pause_largest_ms"] >= 0


def test_the_disk_was_waited_for(document):
    for name in ("drawdown", "plain_postgres"):
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert document["durability"][name][setting] == "on", (name, setting)


def test_the_books_verify_after_the_runs(document):
    for workload in ("recovery", "history"):
        for run in document["runs"][workload]["single_runs"]:
            assert run["verify"]["ok"]


def test_every_single_run_is_kept(document):
    for name in ("ingest_uniform", "decode_only", "plain_postgres"):
        assert len(document["runs"][name]["single_runs"]) == document["rounds"]


def test_a_picture_is_drawn(output):
    assert (output / "latest.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_left_behind(document, left_before):
    assert _of_dead_runs() <= left_before


def _of_dead_runs():
    return {path for path in throwaway_root().glob(f"{PREFIX}*") if _of_a_dead_run(path)}


def _of_a_dead_run(path: Path) -> bool:
    owner = path.name.removeprefix(PREFIX).partition("-")[0]
    return owner.isdigit() and not Path(f"/proc/{owner}").exists()
