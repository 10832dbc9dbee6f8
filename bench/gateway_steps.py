"""A question through a stock Envoy: to an empty service, to ours, and to ours with a durable hold.

The three stand side by side behind one Envoy, which answers what is allowed itself; beside the hold
stands what one commit of the same ledger's PostgreSQL takes. A start's work (the server's side
processes begin as it serves) is over first, and each account was asked about before: the first
question about an account after a start reads it from the database, and is a figure of its own.
"""

from __future__ import annotations

import asyncio
import time
from statistics import median
from typing import Any, Final

import asyncpg

from bench.envoy import EMPTY, OURS, envoy
from bench.gateway_callers import GatewayPlan
from bench.processes import call_gateway, reference
from bench.report import Figures, percentile_ms
from bench.workload import account_ids
from bench.world import World, WrongAnswers
from ledger.journal.connection import connect
from ledger.journal.embedded import EmbeddedPostgres

SERVER: Final = "bench.empty_ext_authz"
HOLDS: Final = 2
ACCOUNTS_MAX: Final = 1_000
CONNECTIONS: Final = 16
RATE: Final = 200  # a second: below what any of the three can take, so that no queue is measured
RUN_MIN_MS: Final = 100
COMMITS: Final = 500
COMMIT: Final = "SELECT pg_logical_emit_message(true, 'bench', $1::text)"
COMMIT_BYTES: Final = 1_000  # about a batch of one hold


def gateway(world: World) -> Figures:
    """Empty and ours in turn, then holds, whose entries others have to take in. Percentiles are of
    all runs of a kind together, the ratio of advice is the median over the pairs, so that what
    else the machine does is in both."""
    ledger, sizes = world.ledger, world.sizes
    runs: dict[str, list[Any]] = {"first": [], "empty": [], "check": [], "hold": []}
    accounts = list(account_ids(sizes))[:ACCOUNTS_MAX]
    order = ("first", *("empty", "check") * sizes.gateway_pairs, *("hold",) * HOLDS)
    run_ms = max(sizes.unary_ms * 2 // sizes.gateway_pairs, RUN_MIN_MS)
    first_ms = len(accounts) * 1_000 // RATE
    ledger.catch_up()
    ledger.settle()
    with (
        reference(SERVER) as empty,
        envoy({EMPTY: empty.address, OURS: ledger.address}) as (fronts, envoy_pid),
    ):
        pids = {"envoy": envoy_pid}
        for name in order:
            service = EMPTY if name == "empty" else OURS
            plan = GatewayPlan(
                target=fronts[service],
                path="/hold" if name == "hold" else "/check",
                accounts=accounts,
                connections=CONNECTIONS,
                rate=RATE,
                warmup_ms=0 if name == "first" else sizes.unary_warmup_ms,
                duration_ms=first_ms if name == "first" else run_ms,
                pids=pids | {"service": empty.pid if name == "empty" else ledger.pid},
            )
            result = call_gateway(plan)
            if set(result.statuses) != {"200"}:
                raise WrongAnswers(f"gateway, {name}: {result.statuses}")
            runs[name].append(result)
    figures: Figures = {"rate_per_s": RATE}
    for name, results in runs.items():
        latencies = sorted(us for result in results for us in result.latencies_us)
        requests = max(1, len(latencies))
        figures |= {
            f"{name}_requests": len(latencies),
            f"{name}_p50_ms": percentile_ms(latencies, 50),
            f"{name}_p99_ms": percentile_ms(latencies, 99),
        }
        for process in ("envoy", "service"):
            used = sum(result.cpu_us[process] for result in results)
            figures[f"{name}_{process}_cpu_us_per_request"] = round(used / requests, 1)
    commits = asyncio.run(_commits(EmbeddedPostgres(ledger.data_dir).dsn))
    figures["commit_p50_ms"] = percentile_ms(commits, 50)
    figures["commit_p99_ms"] = percentile_ms(commits, 99)
    figures["p99_ratio_to_empty_ext_authz"] = _p99_ratio(runs["check"], runs["empty"])
    figures["hold_p99_ratio_to_empty_ext_authz"] = round(
        figures["hold_p99_ms"] / figures["empty_p99_ms"], 3
    )
    ledger.catch_up()
    return figures


def _p99_ratio(ours: list[Any], empty: list[Any]) -> float:
    """The median over the pairs."""
    pairs = zip(ours, empty, strict=True)
    ratios = [
        percentile_ms(one.latencies_us, 99) / percentile_ms(other.latencies_us, 99)
        for one, other in pairs
    ]
    return round(median(ratios), 3)


async def _commits(dsn: str) -> list[int]:
    """What transactions that only write to the log take, one by one, in us, sorted."""
    connection: asyncpg.Connection = await connect(dsn, application_name="drawdown-bench")
    try:
        took = []
        for _ in range(COMMITS):
            began = time.monotonic_ns()
            await connection.fetchval(COMMIT, "x" * COMMIT_BYTES)
            took.append((time.monotonic_ns() - began) // 1_000)
        return sorted(took)
    finally:
        await connection.close()
