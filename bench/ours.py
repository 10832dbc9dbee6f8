"""The real server under measurement: `drawdown serve` on its embedded PostgreSQL, all defaults.

Owns one throwaway data directory: starts and stops the server on it, seeds it, reads back its
metrics and the durability settings of its PostgreSQL, and has `drawdown verify` check the books.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from bench.callers import tree_cpu_us
from bench.family import seed_family
from bench.processes import end, spawn, wait_line
from bench.seeding import seed, seed_more_grants
from bench.sizes import Sizes
from ledger.engine.upkeep import Upkeep
from ledger.exports.amounts import instant_text
from ledger.journal.connection import connect
from ledger.journal.embedded import EmbeddedPostgres
from ledger.journal.embedded_host import throwaway_root

SERVE: Final = ("serve", "--json", "--listen=127.0.0.1:0", "--metrics-port=0")
PAUSES: Final = "BENCH_PAUSES"  # see bench.watched
PREFIX: Final = "drawdown-bench-"
START_TIMEOUT_S: Final = 600  # with the replay of everything that a round recorded
STOP_TIMEOUT_S: Final = 60
CATCH_UP_TIMEOUT_S: Final = 900
PROJECTOR_TIMEOUT_S: Final = 300  # it stands back: on a busy machine it begins late
VERIFY_TIMEOUT_S: Final = 1_200
POLL_S: Final = 0.25
SETTLE_POLL_S: Final = 1
SETTLE_TIMEOUT_S: Final = 20
SETTLED_US_A_SECOND: Final = 150_000  # of CPU, the server's and that of all its children
CHECKPOINT_TABLES: Final = ("checkpoint", "checkpoint_family", "key_segment", "key_bucket")
DURABILITY: Final = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "data_checksums",
    "shared_buffers",
    "server_version",
)


class Recovery(Struct, frozen=True):
    """What the last start had to replay, as the server's own metrics say."""

    entries: int
    slowest_shard_ms: int
    start_ms: int  # from the process's start until it serves, PostgreSQL's start included

    @property
    def entries_per_s(self) -> int:
        """Entries a second; shards replay beside each other, so the last one to open counts."""
        return self.entries * 1_000 // max(1, self.slowest_shard_ms)


class Ours:
    """A ledger in a throwaway directory. `start` and `stop` it as often as needed."""

    def __init__(
        self, root: Path, options: Sequence[str] = (), upkeep: Upkeep | None = None
    ) -> None:
        """`options` of `drawdown serve`; `upkeep` where its checkpoints are not the default."""
        self.data_dir = root / "data"
        self._kept = root / "kept"
        self.address = ""
        self.metrics = ""
        self.pid = 0
        self.start_ms = 0
        self._log = root / "server.log"
        self._options = options
        self._pauses = root / "pauses"
        self._environment = dict(os.environ) | {PAUSES: str(self._pauses)}
        if upkeep is not None:
            interval_s = upkeep.checkpoint_interval_us // 1_000_000
            self._environment["DRAWDOWN_CHECKPOINT_ENTRIES"] = str(upkeep.checkpoint_entries)
            self._environment["DRAWDOWN_CHECKPOINT_INTERVAL_S"] = str(interval_s)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, watched: bool = False) -> None:
        """Start the server; returns once it serves. `watched`: for `longest_pause_ms`."""
        began_ns = time.monotonic_ns()
        module = "bench.watched" if watched else "ledger.cli"
        with self._log.open("ab") as log:
            self._process = spawn(
                [module, *SERVE, *self._options, "--data-dir", str(self.data_dir)],
                stderr=log,
                environment=self._environment,
            )
        try:
            ready = json.loads(wait_line(self._process, START_TIMEOUT_S))
        except RuntimeError as error:
            raise RuntimeError(f"{error}; its log ends:\n{self.log_tail()}") from None
        self.start_ms = (time.monotonic_ns() - began_ns) // 1_000_000
        self.address, self.metrics, self.pid = ready["address"], ready["metrics"], ready["pid"]

    def stop(self) -> None:
        """SIGTERM, as an operator would; everything accepted becomes durable."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        end(process)

    def kill(self) -> None:
        """SIGKILL, as a crash would; its PostgreSQL lives on, and the next start takes it over."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        end(process)

    def keep(self) -> None:
        """Remember the stopped ledger as it is now, for `go_back`."""
        _copy(self.data_dir, self._kept)

    def go_back(self) -> None:
        """Make the stopped ledger what it was when it was kept."""
        shutil.rmtree(self.data_dir)
        _copy(self._kept, self.data_dir)

    def log_tail(self) -> str:
        """The end of the server's log."""
        return self._log.read_text(errors="replace")[-2_000:] if self._log.exists() else ""

    def seed(self, sizes: Sizes, now_us: int) -> None:
        """Open the workload's accounts and issue their grants."""
        asyncio.run(seed(self.address, sizes, now_us))

    def seed_more_grants(self, sizes: Sizes, now_us: int, more: int) -> None:
        """Issue so many more grants an account."""
        asyncio.run(seed_more_grants(self.address, sizes, now_us, more))

    def seed_family(self, sizes: Sizes, now_us: int) -> None:
        """Open the family of the workload `family_shared`."""
        asyncio.run(seed_family(self.address, sizes, now_us))

    @property
    def postgres_pid(self) -> int:
        """Its PostgreSQL's first process."""
        return EmbeddedPostgres(self.data_dir).pid or 0

    @property
    def projector_pid(self) -> int:
        """The projector's process; 0 where none runs."""
        for child in psutil.Process(self.pid).children():
            with contextlib.suppress(psutil.Error):
                if "project" in child.cmdline():
                    return child.pid
        return 0

    def gauges(self, name: str) -> list[int]:
        """The values of one metric, a shard each or just one, as the server shows them now."""
        return [round(value) for value in self._samples(name)]

    def milliseconds(self, name: str) -> list[float]:
        """The same of a metric in seconds."""
        return [round(value * 1_000, 3) for value in self._samples(name)]

    def _samples(self, name: str) -> list[float]:
        with urllib.request.urlopen(
            f"http://{self.metrics}/metrics", timeout=STOP_TIMEOUT_S
        ) as reply:
            families = text_string_to_metric_families(reply.read().decode())
        return [
            sample.value for family in families for sample in family.samples if sample.name == name
        ]

    def longest_pause_ms(self, from_ns: int, to_ns: int) -> tuple[float, float]:
        """How long the watched server's loop stood still at most, between two instants of the
        monotonic clock; 0 = not above a millisecond. And the CPU time of its longest turn, which
        other work on the machine does not lengthen."""
        late_us = longest_us = 0
        for line in self._pauses.read_text().splitlines():
            at_ns, late, cpu = map(int, line.split())
            if from_ns <= at_ns <= to_ns:
                late_us, longest_us = max(late_us, late), max(longest_us, cpu)
        return round(late_us / 1_000, 3), round(longest_us / 1_000, 3)

    def lag(self) -> int:
        """Durable entries that the read models have not taken in yet."""
        return sum(self._behind())

    def catch_up(self) -> int:
        """Wait for the read models; milliseconds that it took."""
        began = time.monotonic_ns()
        while not self._level():
            waited_s = (time.monotonic_ns() - began) // 1_000_000_000
            if waited_s > PROJECTOR_TIMEOUT_S and not self._behind():
                raise RuntimeError(f"no projector reports; the log ends:\n{self.log_tail()}")
            if waited_s > CATCH_UP_TIMEOUT_S:
                raise RuntimeError(f"the projector is still {self.lag()} entries behind")
            time.sleep(POLL_S)
        return (time.monotonic_ns() - began) // 1_000_000

    def settle(self) -> None:
        """Wait until the server and its side processes rest: those begin as it serves, and take
        the machine for seconds. Bounded; on a machine that never rests it is no error."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        used = tree_cpu_us(self.pid)
        while time.monotonic() < deadline:
            time.sleep(SETTLE_POLL_S)
            before, used = used, tree_cpu_us(self.pid)
            if used - before < SETTLED_US_A_SECOND * SETTLE_POLL_S:
                return

    def _level(self) -> bool:
        behind = self._behind()
        return len(behind) == len(self.gauges("drawdown_durable_entries")) and not any(behind)

    def _behind(self) -> list[int]:
        """Entries behind of every shard that the projector has reached so far."""
        return self.gauges("drawdown_projection_lag_entries")

    def recovery(self) -> Recovery:
        """What the last start replayed."""
        return Recovery(
            sum(self.gauges("drawdown_replay_entries")),
            round(max(self.milliseconds("drawdown_replay_duration_seconds"))),
            self.start_ms,
        )

    def durability(self) -> dict[str, str]:
        """PostgreSQL's settings, read back in a session opened as the writers open theirs."""
        dsn = EmbeddedPostgres(self.data_dir).dsn
        return read_back(lambda: connect(dsn, application_name="drawdown-bench"))

    def forget_checkpoints(self) -> None:
        """Drop every checkpoint of the stopped ledger: the next start replays the whole journal."""

        async def drop(dsn: str) -> None:
            connection = await connect(dsn, application_name="drawdown-bench")
            try:
                for table in CHECKPOINT_TABLES:
                    await connection.execute(f"DELETE FROM ledger.{table}")
            finally:
                await connection.close()

        with EmbeddedPostgres(self.data_dir) as postgres:
            asyncio.run(drop(postgres.dsn))

    def verify(self) -> dict[str, Any]:
        """`drawdown verify` on the stopped ledger: hash chain, books, replayed state, read models.

        Raises RuntimeError where it finds a difference.
        """
        began = time.monotonic_ns()
        command = [sys.executable, "-m", "ledger.cli", "verify", "--json"]
        done = subprocess.run(
            [*command, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=VERIFY_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(
                f"drawdown verify ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        took_ms = (time.monotonic_ns() - began) // 1_000_000
        return {"ok": True, "took_ms": took_ms, "report": json.loads(done.stdout)}

    def simulate(self, card: dict[str, Any], from_us: int) -> tuple[int, int, dict[str, Any]]:
        """`drawdown pricing simulate` of a card on the stopped ledger, from that instant on:
        milliseconds that the whole command took, and of CPU time, and its document."""
        path = self.data_dir.with_suffix(".card.json")
        path.write_text(json.dumps(card))
        command = [sys.executable, "-m", "ledger.cli", "pricing", "simulate", "--json"]
        begin = f"--from={instant_text(from_us)}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic_ns()
        done = subprocess.run(
            [*command, f"--card={path}", begin, "--data-dir", str(self.data_dir)],
            capture_output=True,
            text=True,
            timeout=VERIFY_TIMEOUT_S,
            check=False,
        )
        took_ms = (time.monotonic_ns() - began) // 1_000_000
        path.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"drawdown pricing simulate: {done.returncode}\n{done.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return took_ms, round(cpu * 1_000), json.loads(done.stdout)


def _copy(source: Path, target: Path) -> None:
    """With owners and modes: the cluster is another user's where we are root."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def read_back(connecting: Callable[[], Awaitable[asyncpg.Connection]]) -> dict[str, str]:
    """What a session says of its durability."""

    async def read() -> dict[str, str]:
        connection = await connecting()
        try:
            return {name: await connection.fetchval(f"SHOW {name}") for name in DURABILITY}
        finally:
            await connection.close()

    return asyncio.run(read())


@contextlib.contextmanager
def ours(options: Sequence[str] = (), upkeep: Upkeep | None = None) -> Iterator[Ours]:
    """A ledger in a directory that is gone afterwards, with its server and its PostgreSQL."""
    root = throwaway_root() / f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
    root.mkdir(mode=0o755)
    ledger = Ours(root, options, upkeep)
    try:
        yield ledger
    finally:
        ledger.stop()
        with contextlib.suppress(Exception):
            EmbeddedPostgres(ledger.data_dir).reap()
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def usual_postgres() -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL of the usual alternative: same binaries, same settings."""
    root = throwaway_root() / f"{PREFIX}{os.getpid()}-{secrets.token_hex(3)}"
    try:
        with EmbeddedPostgres(root, sync_initdb=False) as server:
            yield server
    finally:
        shutil.rmtree(root, ignore_errors=True)
