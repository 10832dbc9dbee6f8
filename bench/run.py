"""The driver behind `make bench`: rounds of steps, then latest.json and latest.png.

Each round has a ledger of its own, made for it and gone after it, and each ingest begins on it as
it was made; steps that are compared stand close together. Everything runs on this machine over
loopback, every wait is bounded, and what was started is ended whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import click
import msgspec

from bench.history import HISTORY_US
from bench.machine import LOAD, machine, versions
from bench.ours import ours, read_back, usual_postgres
from bench.past import History, history
from bench.plot import draw
from bench.report import Figures, contract
from bench.sizes import BY_NAME, Sizes
from bench.steps import STEPS, WORKLOADS, write_templates
from bench.world import World
from ledger.core.limits import DAY_US

RESULTS: Final = Path(__file__).parent / "results"
LEDGERLESS: Final = (
    "decode_only", "decode_only_compact", "echo_", "plain_", "rate_scalar", "lease_local",
    "sizing", "history",
)  # fmt: skip


def measure(sizes: Sizes, only: Sequence[str]) -> dict[str, Any]:
    """Run everything, or only the workloads named; the document of latest.json."""
    wanted = {step for name in only or WORKLOADS for step in WORKLOADS[name]}
    steps = [name for name in STEPS if name in wanted]
    document: dict[str, Any] = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "rounds": sizes.rounds,
        "conditions": conditions(sizes),
        "durability": {},
        "verify": [],
        "runs": {},
    }
    rounds: list[dict[str, Figures]] = []
    with _folder() as templates, history(sizes) as past:
        say(f"serialising {sizes.template_batches} batches of {sizes.batch_events} events ...")
        write_templates(sizes, templates)
        for number in range(1, sizes.rounds + 1):
            rounds.append({})
            for name, figures in _round(sizes, templates, past, number, steps, document):
                rounds[-1][name] = figures
                say(f"round {number}/{sizes.rounds}  {name:<28} {summary(figures)}")
    document["runs"] = contract(rounds)
    return document


def _round(
    sizes: Sizes,
    templates: Path,
    past: History,
    number: int,
    steps: Sequence[str],
    document: dict[str, Any],
) -> Iterator[tuple[str, Figures]]:
    with ours() as ledger, usual_postgres() as postgres:
        world = World(sizes, templates, ledger, postgres, past, number)
        if any(not name.startswith(LEDGERLESS) for name in steps):
            say(f"round {number}/{sizes.rounds}  opening {sizes.accounts:,} accounts ...")
            world.start()
            document["durability"]["drawdown"] = ledger.durability()
        document["durability"]["plain_postgres"] = read_back(lambda: asyncpg.connect(postgres.dsn))
        for name in steps:
            yield name, STEPS[name](world)
        if ledger.address and "recovery" not in steps:
            ledger.stop()
            world.verified.append(ledger.verify())
        document["verify"] += world.verified


def conditions(sizes: Sizes) -> dict[str, Any]:
    """What a reader must know to judge the figures."""
    return {
        "sizes": sizes.name,
        "accounts": sizes.accounts,
        "families_of": sizes.family_accounts,
        "grants_an_account": 2,
        "quantities_an_event": 2,
        "batch_events": sizes.batch_events,
        "batches_in_flight": sizes.in_flight,
        "resent_percent": 1,
        "resent_from": "the last ten batches of the same run",
        "distinct_ids_a_run_at_least": sizes.ingest_distinct,
        "window_ms_at_least": sizes.ingest_ms,
        "unary_window_ms": sizes.unary_ms,
        "load_caller_processes": 1,
        "transport": "gRPC over loopback TCP, without TLS",
        "postgres_connections_of_plain_postgres": sizes.postgres_connections,
        "server": "drawdown serve, all defaults: 4 shards, embedded PostgreSQL, projector, sealer, "
        "conflict detection, metrics; traces sampled as by default, no collector",
        "history": {
            "events": sizes.history_events,
            "days": HISTORY_US // DAY_US,
            "distinct_ids_a_run_at_least": sizes.history_distinct,
            "checkpoint_entries": sizes.history_upkeep.checkpoint_entries,
            "server": "as above without projector and sealer, beside a past and beside none: the "
            "read models and seals of the past would take longer than the measurement",
            "past": "recorded by the engine itself, without gRPC (bench/history.py): real entries, "
            "private records, hash chain, checkpoints and key segments",
            "first_grants": "used up by the past where every account has had fifty events",
        },
        "ratios": "median over the rounds of the ratio within a round",
    }


def summary(figures: Figures) -> str:
    """One line for whoever watches."""
    shown = []
    for key in ("events_per_s", "calls_per_s", "debits_per_s", "authorise_capture_per_s"):
        if key in figures:
            shown.append(f"{figures[key]:>10,} {key.removesuffix('_per_s')}/s")
    for key in ("p50_ms", "p99_ms"):
        if key in figures:
            shown.append(f"{key.removesuffix('_ms')} {figures[key]} ms")
    for key, value in figures.items():
        if key.startswith("server_cpu"):
            shown.append(f"server {value} us each")
    return "  ".join(shown)


def say(text: str) -> None:
    """To whoever watches."""
    click.echo(text, err=True)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="drawdown-bench-templates-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write(document: dict[str, Any], output: Path, only: Sequence[str] = ()) -> None:
    """latest.json and latest.png in the folder; what was not asked for is kept as it stands."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / "latest.json"
    document["measured_at"] = dict.fromkeys(document["runs"], document["made_at"])
    if path.exists():
        _keep(document, json.loads(path.read_text()), only)
    path.write_text(json.dumps(document, indent=2) + "\n")
    draw(document, output / "latest.png")


def _keep(document: dict[str, Any], earlier: dict[str, Any], only: Sequence[str]) -> None:
    """Take in the earlier workloads that the document has not, if the same machine measured them;
    `only` those that were asked for replace earlier ones, not the references that they needed.

    `measured_at` says of each when that was.
    """
    if any(
        {**earlier[key], LOAD: 0} != {**document[key], LOAD: 0} for key in ("machine", "conditions")
    ):
        return
    times = earlier.get("measured_at") or dict.fromkeys(earlier["runs"], earlier["made_at"])
    for name, figures in earlier["runs"].items():
        if name not in document["runs"] or (only and name not in only):
            document["runs"][name] = figures
            document["measured_at"][name] = times[name]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="One short round: for development, not for citing.")
@click.option("--size", type=click.Choice(list(BY_NAME)), default="full", show_default=True)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(WORKLOADS)),
    help="Just these; the others are kept.",
)
@click.option("--rounds", type=click.IntRange(1, 20), help="Rounds instead of the size's own.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=RESULTS,
    show_default="bench/results",
    help="Folder of latest.json and latest.png.",
)
def main(quick: bool, size: str, only: tuple[str, ...], rounds: int | None, output: Path) -> None:
    """Measure Drawdown beside what it is compared with. bench/README.md explains every figure."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    began = time.monotonic()
    sizes = BY_NAME["quick" if quick else size]
    if rounds is not None:
        sizes = msgspec.structs.replace(sizes, rounds=rounds)
    document = measure(sizes, only)
    write(document, output, only)
    say(f"wrote {output}/latest.json and latest.png after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
