"""Drives the usual alternative: 16 connections of asyncpg, one call of one SQL function an event.

`python -m bench.plain_postgres` reads a PostgresPlan as JSON from standard input, makes schema,
accounts and grants on the PostgreSQL of `dsn`, says "ready", waits for "go", and prints one Result
as JSON. The same events, accounts, grants and prices as ours gets, made before the clock runs. Each
connection calls as soon as its last call is committed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import uvloop

from bench.callers import Result
from bench.plain_postgres.plan import PostgresPlan
from bench.sizes import BY_NAME, Sizes
from bench.workload import (
    FIRST_GRANT,
    ID_MARK,
    MINOR,
    QUANTITIES,
    SECOND_GRANT,
    SECOND_GRANT_PRICE,
    SHAPES,
    SOURCE,
    account_ids,
    batches,
    family_of,
)

HERE: Final = Path(__file__).parent
CALL: Final = "SELECT * FROM usual.record_usage($1, $2, $3, $4, $5, $6, $7, $8)"
Arguments = tuple[Any, ...]


async def seed(connection: asyncpg.Connection, sizes: Sizes, now_us: int) -> None:
    """Schema, function, accounts, prices and grants, from nothing."""
    await connection.execute("DROP SCHEMA IF EXISTS usual CASCADE")
    for name in ("schema.sql", "record_usage.sql"):
        await connection.execute((HERE / name).read_text())
    numbers = range(sizes.accounts)
    names = account_ids(sizes)
    day_ago_us = now_us - 86_400_000_000
    tables: list[tuple[str, list[str], list[Arguments]]] = [
        (
            "account",
            ["account", "family", "name"],
            [(account, family_of(account, sizes), names[account]) for account in numbers],
        ),
        (
            "price",
            ["product", "mode", "quantity", "unit_price"],
            [
                (product, mode, quantity, price)
                for (product, mode), prices in MINOR.items()
                for quantity, price in zip(QUANTITIES, prices, strict=True)
            ],
        ),
        (
            "grants",
            ["account", "priority", "effective_at", "amount", "price_paid"],
            [(account, 0, day_ago_us, FIRST_GRANT, 0) for account in numbers]
            + [(account, 1, day_ago_us, SECOND_GRANT, SECOND_GRANT_PRICE) for account in numbers],
        ),
        (
            "balance",
            ["account", "available"],
            [(account, FIRST_GRANT + SECOND_GRANT) for account in numbers],
        ),
    ]
    for table, columns, records in tables:
        await connection.copy_records_to_table(
            table, schema_name="usual", columns=columns, records=records
        )
    await connection.execute("VACUUM ANALYZE")


def calls(sizes: Sizes, plan: PostgresPlan) -> list[tuple[Arguments, int]]:
    """The arguments of every call of one pass over the events, and what each must charge."""
    made = []
    for batch in batches(sizes, plan.now_us, hot=plan.hot):
        for event in batch.events:
            product, mode, region = SHAPES[event.shape]
            attributes = json.dumps({"mode": mode, "region": region})
            quantities = (event.input_tokens, event.output_tokens)
            arguments = (
                event.account,
                SOURCE,
                event.id.replace(ID_MARK, plan.tag),
                event.effective_at_us,
                product,
                attributes,
                QUANTITIES,
                quantities,
            )
            made.append((arguments, event.charge))
    return made


class Run:
    """One run: workers on connections take the next call, until the window closes."""

    def __init__(self, plan: PostgresPlan) -> None:
        self._plan = plan
        self._sizes = BY_NAME[plan.sizes]
        self._calls = iter(calls(self._sizes, plan))
        self._ended: list[tuple[int, int]] = []
        self._outcomes: Counter[str] = Counter()
        self._replayed = 0
        self._faults: list[str] = []
        self._closes_ns = 0

    async def run(self) -> Result:
        """Seed, wait for the word, measure, check the books."""
        connections = [await asyncpg.connect(self._plan.dsn) for _ in range(self._plan.connections)]
        await seed(connections[0], self._sizes, self._plan.now_us)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        opens_ns = time.monotonic_ns() + self._plan.warmup_ms * 1_000_000
        self._closes_ns = opens_ns + self._plan.duration_ms * 1_000_000
        await asyncio.gather(*[self._work(connection) for connection in connections])
        await self._verify(connections[0])
        for connection in connections:
            await connection.close()
        window = [took for ended, took in self._ended if opens_ns < ended <= self._closes_ns]
        return Result(
            window_ns=self._closes_ns - opens_ns,
            calls=len(window),
            items=len(window),
            distinct=len(window),
            latencies_us=sorted(took // 1_000 for took in window),
            cpu_us={},
            caller_cpu_us=0,
            all_calls=len(self._ended),
            all_items=len(self._ended),
            all_outcomes=dict(self._outcomes),
            all_replayed=self._replayed,
            all_replayed_expected=self._replayed,
            faults=self._faults,
            late_tagged=0,
        )

    async def _work(self, connection: asyncpg.Connection) -> None:
        statement = await connection.prepare(CALL)
        for arguments, charge in self._calls:
            began_ns = time.monotonic_ns()
            outcome, replayed, charged = await statement.fetchrow(*arguments)
            now_ns = time.monotonic_ns()
            self._ended.append((now_ns, now_ns - began_ns))
            self._outcomes[outcome] += 1
            self._replayed += replayed
            if charged != charge and len(self._faults) < 10:
                self._faults.append(f"charged {charged} where {charge} is due")
            if now_ns > self._closes_ns:
                return
        self._faults.append("the events ran out before the time")

    async def _verify(self, connection: asyncpg.Connection) -> None:
        off = await connection.fetchval((HERE / "verify.sql").read_text())
        if off:
            self._faults.append(f"{off} balances do not equal what their transfers add up to")


def main() -> None:
    """See the module."""
    plan = msgspec.json.decode(sys.stdin.readline(), type=PostgresPlan)
    result = uvloop.run(Run(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


if __name__ == "__main__":
    main()
