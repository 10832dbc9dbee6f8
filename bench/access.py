"""What it costs to ask who calls: microseconds a unary call, on one loop, without a network.

`python -m bench.access` prints three figures: a handler without a gate, one with a gate and a token
that was verified a moment ago, and the same for a token of one account whose family decides. Each
is the median of several rounds, so that a busy machine shows little.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from ledger.api.calls import Calls
from ledger.api.server import LedgerServer
from ledger.auth.authenticator import Authenticator
from ledger.auth.key_sources import KeySet
from ledger.auth.principal import Kind, Principal, Scope
from ledger.auth.signing import add_to_jwks, create_signing_key
from ledger.auth.tokens import TokenVerifier
from ledger.engine.ledger import Ledger
from ledger.journal.storage import MemoryStorage
from ledger.server import SystemClock
from ledger.v1 import account_pb2, decision_pb2

CALLS: Final = 2_000
ROUNDS: Final = 15
METHOD: Final = "ledger.v1.DecisionService/Check"
ISSUER, AUDIENCE = "https://bench.example", "bench"


class Context:
    """What a handler asks of gRPC."""

    def __init__(self, token: str) -> None:
        self._metadata = (
            ("user-agent", "grpc-python-asyncio/1.85"),
            ("authorization", f"Bearer {token}"),
        )

    def invocation_metadata(self) -> Any:
        """Pairs, as gRPC gives them."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """No deadline."""
        return None


async def _answer(request: Any, call: Any) -> Any:
    """Asks nothing of the ledger: what is measured is what stands before it."""
    return request


async def _measured(handle: Callable[[Any, Any], Awaitable[Any]], context: Context) -> float:
    request = decision_pb2.CheckRequest(tenant="default", account="root/leaf", product="chat")
    rounds = []
    for _ in range(ROUNDS):
        started_ns = time.perf_counter_ns()
        for _ in range(CALLS):
            await handle(request, context)
        rounds.append((time.perf_counter_ns() - started_ns) / CALLS / 1_000)
    return statistics.median(rounds)


async def measure() -> dict[str, float]:
    """Microseconds a call, by what is asked."""
    clock = SystemClock()
    ledger = Ledger(MemoryStorage(clock.now_us, 1), clock)
    ledger.start()
    await ledger.opened()
    with tempfile.TemporaryDirectory() as folder:
        jwks = Path(folder) / "jwks.json"
        key = create_signing_key(Path(folder) / "key.pem")
        add_to_jwks(jwks, key)
        keys = KeySet(str(jwks), 3_600_000_000, clock)
        await keys.open()
    authenticator = Authenticator(clock, tokens=TokenVerifier(keys, ISSUER, AUDIENCE, 30))
    server = LedgerServer(ledger, authenticator=authenticator)
    edge = server.edge
    for name, parent in (("root", ""), ("root/part", "root"), ("root/leaf", "root/part")):
        await ledger.create_account(1, name, parent, name, _policy(edge))
    now_s = clock.now_us() // 1_000_000

    def token(*accounts: str) -> str:
        principal = Principal(Kind.TOKEN, "bench", frozenset({Scope.DECIDE}), "default", accounts)
        return key.sign(principal, ISSUER, AUDIENCE, now_s, now_s + 3_600, "bench")

    found = {}
    for what, gate, accounts in (
        ("nobody is asked", None, ()),
        ("a token of the tenant", server.gate, ()),
        ("a token of an account above", server.gate, ("root/part",)),
    ):
        calls = Calls(clock, edge.telemetry, server.forwarder, gate)
        handle = calls.unary(METHOD, _answer, decision_pb2.CheckResponse)
        found[what] = await _measured(handle, Context(token(*accounts)))
    await server.stop(0)
    await ledger.stop()
    return found


def _policy(edge: Any) -> Any:
    from ledger.api.rendering.render_account import policy_of

    return policy_of(edge.assets, 1, 0, account_pb2.AccountPolicy())


def main() -> None:
    """Measure and print."""
    found = asyncio.run(measure())
    base = found["nobody is asked"]
    for what, us in found.items():
        print(f"{what:<30} {us:6.2f} us   {us - base:+6.2f} us")


if __name__ == "__main__":
    main()
