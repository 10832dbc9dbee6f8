"""`drawdown verify` on books that somebody changed: what differs, and the exit code for it."""

import asyncio
from pathlib import Path

import asyncpg
import grpc

from cli.processes import Server, drawdown
from ledger.v1 import account_pb2, account_pb2_grpc


async def tamper(dsn: str) -> None:
    """As somebody with every right would: past the trigger that forbids it."""
    connection = await asyncpg.connect(dsn)
    try:
        changed = "WHERE shard = 0 AND batch_seq = 1"
        table = await connection.fetchval(
            f"SELECT tableoid::regclass FROM ledger.journal {changed}"
        )
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        await connection.execute(f"UPDATE {table} SET recorded_at = recorded_at + 1 {changed}")
    finally:
        await connection.close()


def test_a_changed_row_is_found_and_named(database: str, tmp_path: Path) -> None:
    server = Server(tmp_path / "log", "--no-projector", DATABASE_URL=database)
    with grpc.insecure_channel(server.address) as channel:
        account_pb2_grpc.AccountServiceStub(channel).Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default", request_id="create", account="acme"
            )
        )
    assert server.end() == 0
    before = drawdown("verify", DATABASE_URL=database)
    assert before.returncode == 0, before.stderr
    asyncio.run(tamper(database))
    after = drawdown("verify", DATABASE_URL=database)
    assert after.returncode == 4
    assert "shard 0, batch 1: " in after.stderr
    assert "differences" in after.stderr
    started = drawdown("serve", "--metrics-port=0", DATABASE_URL=database)
    assert started.returncode == 1  # nobody serves from such books
    assert "restore" in started.stderr
