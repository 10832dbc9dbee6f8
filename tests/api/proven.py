"""A served ledger that asks who calls, and callers with tokens of an issuer of the tests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.api.server import LedgerServer
from ledger.auth.authenticator import Authenticator
from ledger.auth.mandate_tokens import MandateKeys, MandateVerifier, signing_key
from ledger.auth.passing import PrincipalSeal
from ledger.client.mandate_words import PREFIX
from ledger.core.limits import SECOND_US
from ledger.engine.ledger import Ledger, Storage
from tests.api.served import Served, SystemClock
from tests.auth.issuing import jwks, new_key, token, verifier
from tests.auth.sealing import seal_of

SECRET = bytes(range(32))
LEEWAY_S = 600
ALL_SCOPES = "ingest decide read price admin"


class Bearing:
    """A channel whose every call bears a token; "" = none."""

    def __init__(self, channel: grpc.aio.Channel, secret: str) -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {secret}"),) if secret else ()

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        def callable_of(*arguments: Any, **options: Any) -> Callable[..., Any]:
            call = getattr(self._channel, kind)(*arguments, **options)

            def called(*given: Any, **more: Any) -> Any:
                metadata = (*(more.pop("metadata", None) or ()), *self._metadata)
                return call(*given, metadata=metadata, **more)

            return called

        return callable_of


@dataclass
class Proven:
    """A server that asks, and its issuer."""

    server: LedgerServer
    ledger: Ledger
    address: str
    channel: grpc.aio.Channel
    key: Any
    mandates: MandateKeys
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    clock: SystemClock = field(default_factory=SystemClock)
    tokens: Any = None

    def on_leeway(self) -> str:
        """A token that is good by a leeway of minutes alone, until `tolerate_none`."""
        self.tokens._leeway_s = LEEWAY_S
        return self.token(exp=int(time.time()) - 1)

    def tolerate_none(self) -> None:
        """From now on, also of what was verified."""
        self.tokens._leeway_s = 0
        self.clock.ahead_us += LEEWAY_S * SECOND_US

    def token(self, **changes: Any) -> str:
        return token(self.key, **{"scope": ALL_SCOPES, **changes})

    def caller(self, **changes: Any) -> Served:
        """Somebody with a token that says so."""
        return self.bearing(self.token(**changes))

    def bearing(self, secret: str) -> Served:
        channel: Any = Bearing(self.channel, secret)
        return Served(self.server, self.ledger, channel, numbers=self.numbers, address=self.address)

    @property
    def entries(self) -> list[int]:
        """How many entries each shard has."""
        return [writer.state.entry_seq for writer in self.ledger.writers]


async def authenticator_of(
    path: Path, key: Any, clock: SystemClock, seal: PrincipalSeal | None = None
) -> Authenticator:
    await asyncio.to_thread(path.write_bytes, jwks(key))
    return Authenticator(
        clock,
        tokens=await verifier(path, clock),  # type: ignore[arg-type]
        seal=seal or seal_of(SECRET, clock),
    )


def new_mandate_keys() -> MandateKeys:
    return MandateKeys(signing_key(Ed25519PrivateKey.generate()))


@asynccontextmanager
async def proven(storage: Storage, path: Path, **options: Any) -> AsyncIterator[Proven]:
    """A server on loopback that asks every caller."""
    clock, key = SystemClock(), new_key()
    ledger = Ledger(storage, clock)
    ledger.start()
    await ledger.opened()
    authenticator = await authenticator_of(path, key, clock)
    mandates = new_mandate_keys()
    authenticator.take(PREFIX, MandateVerifier(mandates, clock))
    server = LedgerServer(
        ledger,
        authenticator=authenticator,
        seal=seal_of(SECRET, clock),
        mandates=mandates,
        **options,
    )
    address = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            tokens = authenticator._tokens
            yield Proven(
                server, ledger, address, channel, key, mandates, clock=clock, tokens=tokens
            )
    finally:
        await server.stop(0)
        await ledger.stop()
