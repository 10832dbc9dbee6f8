"""Work that is decided while no server answers, by the fail mode of its product.

    async with Spool(client, folder) as spool:
        guard = client.guard(spool, bounds=OpenBounds(calls=500))
        async with guard.metered("acme", "chat", estimate={"output_tokens": 400}) as call:
            call.add(output_tokens=12)
        print(call.decided_by)

The server decides as long as one answers within the patience. Where none does: a closed product is
denied; an open one runs, within bounds an account, and its usage goes to the spool with the
attribute `decided_by`; one of leases runs where a lease is at hand that covers it. What a hold let
in is captured, from the disk if need be. After a question that nobody answered others are decided
here at once, and a server is asked again every `again_us`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ledger.client.calls import monotonic_us
from ledger.client.durations import SECOND_US
from ledger.client.errors import CallError, ClientClosed, Denied, NotApplied, OutcomeUnknown
from ledger.client.events import UsageEvent
from ledger.client.metered import LIFETIME_US, MeteredCall, Request, Settling, request_of
from ledger.client.operations import HeldOperation
from ledger.client.spool_records import SpooledCapture, record_of
from ledger.v1 import decision_pb2 as pb
from ledger.v1 import fail_mode_pb2

if TYPE_CHECKING:
    from ledger.client.aio import DrawdownClient
    from ledger.client.leases import HeldLease
    from ledger.client.spool import Spool

PATIENCE_US: Final = 2_000_000
AGAIN_US: Final = SECOND_US
ACCOUNTS_MAX: Final = 100_000  # with usage that is not recorded yet; x ~500 B = 50 MB
RECORDS_PROMISED: Final = 2  # x the estimate's record: use may be of more quantities than it named
MARK: Final = "decided_by"
"""Attribute of usage that was let in while no server answered; its value is `fail_open`."""
_log: Final = logging.getLogger("ledger.client")


class DecidedBy(StrEnum):
    """Who let work in, or denied it."""

    SERVER = "server"
    FAIL_CLOSED = "fail_closed"
    FAIL_OPEN = "fail_open"
    LEASE = "lease"


_OF_MODE: Final[Mapping[int, DecidedBy]] = {
    fail_mode_pb2.FAIL_MODE_OPEN: DecidedBy.FAIL_OPEN,
    fail_mode_pb2.FAIL_MODE_LEASE_ONLY: DecidedBy.LEASE,
}


@dataclass(frozen=True, slots=True)
class OpenBounds:
    """What an open product lets in for one account that is not recorded yet: so many calls, and of
    each quantity that is named here so much, by estimates while a call runs, then by what it
    used."""

    calls: int = 1_000
    quantities: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for bounds that let nothing in."""
        if self.calls < 1 or any(bound < 1 for bound in self.quantities.values()):
            raise ValueError("calls and each of quantities are 1 or more: else the mode is closed")


class _Exposure:
    """What was let in for an account: what runs, and what has ended and is not recorded."""

    __slots__ = ("ended", "running")

    def __init__(self) -> None:
        self.running: list[Mapping[str, int]] = []
        self.ended: list[Mapping[str, int]] = []

    def has_room(self, bounds: OpenBounds, estimate: Mapping[str, int]) -> bool:
        """Whether one more is within bounds."""
        counted = [*self.running, *self.ended, estimate]
        if len(counted) > bounds.calls:
            return False
        return all(
            sum(each.get(name, 0) for each in counted) <= bound
            for name, bound in bounds.quantities.items()
        )


class Guard:
    """Made by `DrawdownClient.guard`; for one spool, any number of tasks.

    The fail modes that a server said last are kept in the spool's folder, for a process that begins
    while none answers; of a product of which nothing is known it is CLOSED.
    """

    def __init__(
        self,
        client: DrawdownClient,
        settling: Settling,
        new_id: Callable[[], str],
        spool: Spool,
        bounds: OpenBounds,
        patience_us: int,
        again_us: int,
    ) -> None:
        if min(patience_us, again_us) < 1:
            raise ValueError("patience_us and again_us are 1 or more")
        self.client: Final = client
        self.settling: Final = settling
        self.spool: Final = spool
        self._new_id = new_id
        self.patience_s: Final = patience_us / SECOND_US
        self._bounds = bounds
        self._again_us = again_us
        self._away_until_us = 0
        self._learning = False
        self._leases: dict[tuple[str, str], HeldLease] = {}
        self._exposures: dict[str, _Exposure] = {}
        self._promised_events = 0
        self._promised_bytes = 0
        self._path = spool.folder / "fail_modes.json"
        self._modes = _read(self._path)

    def use(self, account: str, product: str, lease: HeldLease) -> None:
        """Decide by this lease for a LEASE_ONLY product; it is held with prices, on this loop."""
        if not lease.priced:
            raise ValueError("hold the lease with prices: nobody else says what work costs")
        self._leases[account, product] = lease

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
        """See `DrawdownClient.metered`. Entering raises Denied, where no server answers with the
        reason LEDGER_UNAVAILABLE, FAIL_OPEN_BOUND or LEASE_INSUFFICIENT, and `decided_by`. `of`: an
        operation of the account, whose hold gives first while a server answers; what runs without
        one is usage of it all the same. `operation`: the call's own, below that."""
        if MARK in (attributes or {}):
            raise ValueError(f"{MARK} is said of usage by the client alone")
        id_ = request_id or self._new_id()
        if of is None:
            if operation:
                raise ValueError("a call's operation goes with `of`, the one that it is below")
            request = request_of(
                account, product, attributes, estimate, lifetime_us, request_id=id_
            )
            return GuardedCall(self, request)
        if of.account != account:
            raise ValueError(f"the operation is of {of.account}, not of {account}")
        part = of.asking(product, attributes, estimate, lifetime_us, None, operation, id_)
        return GuardedCall(self, part)

    def mode_of(self, product: str) -> DecidedBy:
        """Who decides of a product's work while no server answers, as far as is known here."""
        self._keep_modes()
        return _OF_MODE.get(self._modes.get(product, 0), DecidedBy.FAIL_CLOSED)

    # -- for its calls -----------------------------------------------------------------------------

    @property
    def is_away(self) -> bool:
        """Whether nobody answered just now: it is not asked again yet."""
        return monotonic_us() < self._away_until_us

    def went_away(self) -> None:
        """A question was not answered."""
        self._away_until_us = monotonic_us() + self._again_us

    def came_back(self) -> None:
        """A server has answered: what is not on the disk any more is recorded."""
        self._away_until_us = 0
        if self.client.fail_modes is None and not self._learning:
            self._learning = True
            self.settling.begin(self._learn())
        if self._exposures and not self.spool.kept_events:
            for account, exposure in list(self._exposures.items()):
                exposure.ended.clear()
                if not exposure.running:
                    del self._exposures[account]

    async def _learn(self) -> None:
        """Have the fail modes, of a client that has asked for no shard map yet."""
        try:
            await self.client.refresh_routing()
            self._keep_modes()
        except (CallError, ClientClosed) as error:
            _log.warning("the fail modes are not known yet: %s", error)
        finally:
            self._learning = False

    def _keep_modes(self) -> None:
        """Have on the disk what a server said last, for whoever begins while none answers."""
        known = self.client.fail_modes
        if known is not None and known != self._modes:
            self._modes = dict(known)
            _write(self._path, self._modes)

    def let_in(self, account: str, estimate: Mapping[str, int], kept_bytes: int) -> bool:
        """Whether an open product's work is within bounds, and the spool has room for its usage
        beside that of all that runs; then it counts."""
        promised = self._promised_bytes + kept_bytes
        if not self.spool.has_room(self._promised_events + 1, promised):
            return False
        exposure = self._exposures.get(account)
        if exposure is None:
            if len(self._exposures) >= ACCOUNTS_MAX:
                return False
            exposure = self._exposures[account] = _Exposure()
        if not exposure.has_room(self._bounds, estimate):
            return False
        exposure.running.append(estimate)
        self._promised_events += 1
        self._promised_bytes = promised
        return True

    def ended(
        self, account: str, estimate: Mapping[str, int], used: Mapping[str, int], kept_bytes: int
    ) -> None:
        """Work that was let in has ended, with so much used."""
        self._promised_events -= 1
        self._promised_bytes -= kept_bytes
        exposure = self._exposures[account]
        exposure.running.remove(estimate)
        if used:
            exposure.ended.append(used)
        elif not exposure.running and not exposure.ended:
            del self._exposures[account]

    def lease_of(self, account: str, product: str) -> HeldLease | None:
        """The lease to decide by."""
        return self._leases.get((account, product))


class GuardedCall(MeteredCall):
    """One call of a model; see MeteredCall. `decided_by`: who let it in. `kept`: what was used is
    on the disk, and will be recorded; then `settled` is None, as where `decided_by` is not the
    server."""

    def __init__(self, guard: Guard, request: Request) -> None:
        super().__init__(guard.client, guard.settling, request)
        self.decided_by = DecidedBy.SERVER
        self.kept = False
        self._guard = guard
        self._began_us = 0
        self._lease: HeldLease | None = None
        self._spent = 0
        self._kept_bytes = 0

    async def __aenter__(self) -> GuardedCall:
        """Hold, or decide by the fail mode. Raises Denied, Refused, InvalidEvent, ClientClosed."""
        guard, request = self._guard, self._request
        decision = None if guard.is_away else await self._asked()
        mode = guard.mode_of(request.product)
        if decision is not None:
            guard.came_back()
            self._decided(decision)
            return self
        self.decided_by = mode
        self._began_us = time.time_ns() // 1_000
        reason = self._denied_here()
        if reason:
            self._ended = True
            raise Denied(
                reason,
                account=request.account,
                product=request.product,
                decided_by=mode,
                asked=0,
                available=0,
                asset="",
                scale=0,
                retry_after_us=0,
                limit="",
                limit_account="",
                limit_name="",
                limit_left=0,
            )
        return self

    async def _asked(self) -> pb.AuthorizeResponse | None:
        """What a server says within the patience; None = none did, and whatever becomes of the
        question, its hold goes back."""
        guard = self._guard
        asking = guard.settling.begin(self._request.authorize(self._calls))
        try:
            await asyncio.wait({asking}, timeout=guard.patience_s)
        except asyncio.CancelledError:
            guard.settling.begin(self._release_later(asking))
            raise
        if asking.done():
            try:
                return asking.result()
            except NotApplied:
                guard.went_away()
                return None
            except OutcomeUnknown:
                pass
        asking.cancel()
        guard.went_away()
        self._abandon()
        return None

    def _denied_here(self) -> str:
        """Why it may not run without a server; "" = it may."""
        guard, request = self._guard, self._request
        if self.decided_by is DecidedBy.FAIL_OPEN:
            self._kept_bytes = RECORDS_PROMISED * len(record_of(self._event(request.estimate)))
            let_in = guard.let_in(request.account, request.estimate, self._kept_bytes)
            return "" if let_in else "FAIL_OPEN_BOUND"
        if self.decided_by is DecidedBy.LEASE:
            lease = guard.lease_of(request.account, request.product)
            if lease is None:
                return "LEASE_INSUFFICIENT"
            try:
                amount = lease.amount_of(self._event(request.estimate))
            except ValueError:
                return "LEASE_INSUFFICIENT"
            if not lease.try_spend(amount):
                return "LEASE_INSUFFICIENT"
            self._lease, self._spent = lease, amount
            return ""
        return "LEDGER_UNAVAILABLE"

    async def _settle(self) -> None:
        used = {name: quantity for name, quantity in self.used.items() if quantity}
        if self.decided_by is DecidedBy.FAIL_OPEN:
            await self._settle_open(used)
        elif self._lease is not None:
            try:
                self._settle_lease(self._lease, used)
            except ClientClosed:  # the lease, meanwhile
                self.kept = await self._guard.spool.charge(self._event(used)) is None
        elif used:
            request_id = f"{self._request.request_id}/used"
            now_us = time.time_ns() // 1_000
            capture = SpooledCapture(self.hold_id, used, request_id, now_us)
            self.settled = await self._guard.spool.capture(capture)
            self.kept = self.settled is None
        else:
            await super()._settle()

    async def _settle_open(self, used: dict[str, int]) -> None:
        guard, request = self._guard, self._request
        counted: Mapping[str, int] = used
        try:
            if used:
                self.kept = await guard.spool.charge(self._event(used)) is None
                if not self.kept:
                    counted = {}
        finally:
            guard.ended(request.account, request.estimate, counted, self._kept_bytes)

    def _settle_lease(self, lease: HeldLease, used: dict[str, int]) -> None:
        if not used:
            lease.give_up(self._spent)
            return
        event = self._event(used)
        try:
            amount = lease.amount_of(event)
        except ValueError:  # of a quantity that the estimate had not: the server charges it
            amount = self._spent
        if amount < self._spent:
            lease.give_up(self._spent - amount)
        elif amount > self._spent and not lease.try_spend(amount - self._spent):
            amount = self._spent
        lease.record(amount, event)

    def _event(self, quantities: Mapping[str, int]) -> UsageEvent:
        request = self._request
        attributes = dict(request.attributes)
        if self.decided_by is DecidedBy.FAIL_OPEN:
            attributes[MARK] = DecidedBy.FAIL_OPEN.value
        return UsageEvent(
            request.request_id,
            request.account,
            dict(quantities),
            request.product,
            attributes,
            operation=request.operation,
            operation_parent=request.operation_parent,
            effective_at_us=self._began_us,
        )


def _read(path: Path) -> dict[str, int]:
    """The fail modes that were written; none that cannot be read."""
    try:
        found = json.loads(path.read_bytes())
        return {str(product): int(mode) for product, mode in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        _log.warning(
            "%s cannot be read, all products are closed until a server says: %s", path, error
        )
        return {}


def _write(path: Path, modes: Mapping[str, int]) -> None:
    """Keep them, whole or as they were."""
    beside = path.with_suffix(".new")
    try:
        with beside.open("wb") as file:
            file.write(json.dumps(modes).encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        _log.warning("%s could not be written: %s", path, error)
