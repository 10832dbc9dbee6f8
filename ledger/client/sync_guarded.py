"""`Guard` for callers that do not await; any number of threads share one.

with Spool(client, folder) as spool:
    guard = client.guard(spool, bounds=OpenBounds(calls=500))
    with guard.metered("acme", "chat", estimate={"output_tokens": 400}) as call:
        call.add(output_tokens=12)
    print(call.decided_by)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.client import guarded
from ledger.client.guarded import DecidedBy
from ledger.client.looping import LoopThread
from ledger.client.metered import LIFETIME_US
from ledger.client.sync_leases import HeldLease
from ledger.client.sync_metered import MeteredCall
from ledger.client.sync_operations import HeldOperation


class Guard:
    """Made by `sync.DrawdownClient.guard`; see guarded.Guard."""

    def __init__(self, guard: guarded.Guard, loop: LoopThread) -> None:
        self._guard: Final = guard
        self._loop: Final = loop

    def use(self, account: str, product: str, lease: HeldLease) -> None:
        """Decide by this lease for a LEASE_ONLY product; this client holds it, with prices."""
        held = lease.on_loop(self._loop)
        self._loop.look(lambda: self._guard.use(account, product, held))

    def metered(
        self,
        account: str,
        product: str,
        attributes: Mapping[str, str] | None = None,
        *,
        estimate: Mapping[str, int],
        lifetime_us: int = LIFETIME_US,
        of: HeldOperation | None = None,
        operation: str = "",
        request_id: str = "",
    ) -> GuardedCall:
        """See `sync.DrawdownClient.metered` and guarded.Guard.metered."""
        call = self._guard.metered(
            account,
            product,
            attributes,
            estimate=estimate,
            lifetime_us=lifetime_us,
            of=of.on_loop(self._loop) if of is not None else None,
            operation=operation,
            request_id=request_id,
        )
        return GuardedCall(call, self._loop)

    def mode_of(self, product: str) -> DecidedBy:
        """Who decides of a product's work while no server answers, as far as is known here."""
        return self._loop.look(lambda: self._guard.mode_of(product))


class GuardedCall(MeteredCall):
    """One call of a model; see guarded.GuardedCall."""

    def __init__(self, call: guarded.GuardedCall, loop: LoopThread) -> None:
        super().__init__(call, loop)
        self._guarded: Final = call

    @property
    def decided_by(self) -> DecidedBy:
        """Who let it in."""
        return self._guarded.decided_by

    @property
    def kept(self) -> bool:
        """Whether what was used is on the disk, and will be recorded; then `settled` is None."""
        return self._guarded.kept
