"""What servers of the tests tell each other by."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.auth.api_keys import Clock
from ledger.auth.passing import PrincipalSeal
from ledger.auth.shared_keys import SharedKey


class MemoryServerKeys:
    """Secrets of servers in one process."""

    def __init__(self, secret: bytes) -> None:
        self.keys = [SharedKey(secret, 0)]
        self.error: Exception | None = None
        self.readings = 0

    async def server_keys(self) -> Sequence[SharedKey]:
        """See ServerKeySource."""
        self.readings += 1
        if self.error is not None:
            raise self.error
        return self.keys


def seal_of(secret: bytes, clock: Clock) -> PrincipalSeal:
    """By one secret, for good."""
    source = MemoryServerKeys(secret)
    return PrincipalSeal(source, clock, source.keys)
