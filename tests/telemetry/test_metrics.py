"""What Prometheus sees over HTTP, and what the health checks say."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.engine.observer import CheckpointFigures
from ledger.telemetry.side_port import Heart, SidePort
from ledger.telemetry.telemetry import Telemetry
from tests.patience import HANGS_S


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(2, {})


@pytest.fixture
def problems() -> dict[str, str]:
    return {}


@pytest.fixture
def side_port(telemetry: Telemetry, problems: dict[str, str]) -> Iterator[SidePort]:
    port = SidePort("127.0.0.1", 0, telemetry.registry, Heart(), lambda: problems)
    yield port
    port.close()


def get(side_port: SidePort, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{side_port.address}{path}", timeout=HANGS_S) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(side_port: SidePort) -> dict[tuple[str, tuple[str, ...]], float]:
    status, text = get(side_port, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_everything_that_the_ledger_counts_is_scraped(
    telemetry: Telemetry, side_port: SidePort
) -> None:
    rpc, observer, tallies = telemetry.rpc, telemetry.observer, telemetry.tallies
    rpc.events_ingested({"APPLIED": 999, "SUSPENSE": 1})
    rpc.events_ingested({"APPLIED": 1})
    rpc.decided("Check", "ALLOW")
    rpc.decided("Authorize", "DENY")
    rpc.rpc_ended("ledger.v1.UsageService/Ingest", None, "OK", 0)
    observer.shard_opened(1, 40, 2_500_000)
    observer.replayed(1, 30, 40)
    observer.queue_changed(0, 17)
    observer.batch_ended(observer.batch_sealed(1, 7, [], 60, 4_000), 900, None)
    observer.batch_ended(observer.batch_sealed(1, 8, [], 60, 4_000), 900, OSError("lost"))
    tallies.projected[1] = 90
    tallies.projected_at_us[1] = 1
    seen = samples(side_port)
    assert seen["drawdown_events_total", ("APPLIED",)] == 1_000
    assert seen["drawdown_events_total", ("SUSPENSE",)] == 1
    assert seen["drawdown_decisions_total", ("ALLOW", "Check")] == 1
    assert seen["drawdown_decisions_total", ("DENY", "Authorize")] == 1
    call = ("ledger.v1.UsageService/Ingest", "OK")
    assert seen["rpc_server_call_duration_seconds_count", call] == 1
    assert seen["drawdown_queue_depth", ("0",)] == 17
    assert seen["drawdown_batch_entries_sum", ()] == 60
    assert seen["drawdown_commits_total", ("durable",)] == 1
    assert seen["drawdown_commits_total", ("OSError",)] == 1
    assert seen["drawdown_commit_duration_seconds_count", ()] == 2
    assert seen["drawdown_commit_duration_seconds_bucket", ("0.001",)] == 2
    assert seen["drawdown_commit_duration_seconds_bucket", ("0.0005",)] == 0
    assert seen["drawdown_journal_bytes_total", ()] == 4_000
    assert seen["drawdown_durable_entries", ("1",)] == 100
    assert seen["drawdown_projection_lag_entries", ("1",)] == 10
    assert seen["drawdown_projection_lag_seconds", ("1",)] > 0
    assert ("drawdown_projection_lag_entries", ("0",)) not in seen  # not known yet
    assert seen["drawdown_replay_entries", ("1",)] == 30
    assert seen["drawdown_replay_entries_expected", ("1",)] == 40
    assert seen["drawdown_shard_openings_total", ("1",)] == 1
    assert ("process_resident_memory_bytes", ()) in seen


def test_ready_means_that_every_shard_serves(side_port: SidePort, problems: dict[str, str]) -> None:
    assert get(side_port, "/readyz")[0] == 200
    problems["shard 1"] = "opening"
    status, text = get(side_port, "/readyz")
    assert status == 503
    assert json.loads(text) == {"ready": False, "problems": {"shard 1": "opening"}}


def test_healthy_means_that_the_loop_turns(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    heart = Heart()
    port = SidePort("127.0.0.1", 0, telemetry.registry, heart, dict)
    try:
        assert get(port, "/healthz")[0] == 200
        monkeypatch.setattr("ledger.telemetry.side_port.BEATS_MISSED_MAX", 0)
        assert get(port, "/healthz")[0] == 503
    finally:
        port.close()


def test_another_path_says_what_there_is(side_port: SidePort) -> None:
    status, text = get(side_port, "/balance")
    assert status == 404
    assert "/metrics" in text


def test_what_checkpoints_took_is_scraped(telemetry: Telemetry, side_port: SidePort) -> None:
    observer = telemetry.observer
    observer.checkpoint_written(1, CheckpointFigures(900, 2_000_000, 9_000, 3, 800, 50_000, 800, 1))
    observer.checkpoint_written(1, CheckpointFigures(990, 1_000_000, 4_000, 2, 90, 10_000, 890, 2))
    observer.families_changed(1, 7, 5)
    observer.suspense_changed(1, 9, 0)
    observer.suspense_changed(1, 4, 5)
    seen = samples(side_port)
    for name, expected in (
        ("checkpoints_total", 2),
        ("checkpoint_families_total", 5),
        ("checkpoint_keys_total", 890),
        ("checkpoint_bytes_total", 60_000),
        ("checkpoint_duration_seconds", 1),
        ("checkpoint_pause_seconds", 4 / 1_000),
        ("checkpoint_pause_max_seconds", 9 / 1_000),
        ("checkpoint_entries", 990),
        ("key_segments", 2),
        ("key_segment_keys", 890),
        ("families_resident", 7),
        ("families_paged", 5),
        ("suspense_events", 4),
        ("suspense_rated_total", 5),
    ):
        assert seen[f"drawdown_{name}", ("1",)] == expected, name
