"""A hold settled with what a gateway saw used: once, whatever becomes of the call that says so.

Gateways tell it once and do not wait: so a settlement goes on when its caller has gone, and is
tried again while we cannot answer, with one and the same id, derived from the hold. What could not
be settled when the server stops, or after SETTLING_S, is left to the hold's expiry (rule H2). Must
not judge figures: the ledger does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import PassedOn
from ledger.api.ids import is_unheld
from ledger.api.requests import quantities_of
from ledger.auth.gateway_keys import GatewayKeys
from ledger.client.errors import SpoolFailed, SpoolFull
from ledger.gateway.inside import Inside
from ledger.gateway.let_in import SIGNED, LetIn, let_in_of, opened
from ledger.gateway.open_spool import OpenSpool
from ledger.gateway.recording import NotYet, Recorded, Recording
from ledger.v1 import decision_pb2 as pb

SETTLING_S: Final = 60
SETTLING_MAX: Final = 10_000  # under way at once; x ~3 kB = 30 MB
CANCELLED_S: Final = 1
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
SHOWN_CHARS: Final = 64

_log = logging.getLogger(__name__)


class Became(StrEnum):
    """What became of a hold that was to be settled."""

    CAPTURED = "CAPTURED"
    LATE = "LATE"  # after its expiry: recorded as usage all the same (rule H1)
    RELEASED = "RELEASED"  # nothing was used
    KEPT = "KEPT"  # it ran without a hold; what it used is on the disk, and recorded from there
    REFUSED = "REFUSED"  # for good; `reason` says why
    UNSETTLED = "UNSETTLED"  # not by now: it expires


class Settled(NamedTuple):
    """The outcome of a settlement."""

    became: Became
    reason: str = ""
    charge: int = 0
    replayed: bool = False


class Settlements:
    """Those under way; `stop` once."""

    def __init__(
        self,
        inside: Inside,
        recording: Recording,
        keys: GatewayKeys,
        spool: OpenSpool | None = None,
    ) -> None:
        """`recording`, `keys` and `spool`: of what was let in without a hold; None: there is no
        disk."""
        self._inside = inside
        self._recording = recording
        self._keys = keys
        self._spool = spool
        self._under_way: set[asyncio.Task[Settled]] = set()

    async def settle(
        self, tenant: str, account: str, hold_id: str, used: Mapping[str, int], call: Call
    ) -> Settled:
        """Capture what was used, or release where nothing was. `account` "" is not compared.

        Goes on when the caller is cancelled.
        """
        if len(self._under_way) >= SETTLING_MAX:
            return Settled(Became.UNSETTLED, "QUEUE_FULL")
        work = self._patiently(tenant, account, hold_id, used, call.detached())
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait([task])  # does not cancel it when we are cancelled
        if task.cancelled():
            return Settled(Became.UNSETTLED, "SHUTTING_DOWN")
        return task.result()

    @property
    def under_way(self) -> int:
        """How many."""
        return len(self._under_way)

    async def stop(self, grace_s: float | None) -> None:
        """Let those under way finish, as long as there is grace, None = no longer; the others are
        left to expire."""
        if not self._under_way:
            return
        _, left = await asyncio.wait(self._under_way, timeout=grace_s or 0)
        for task in left:
            task.cancel()
        if left:  # what a writer has taken is not given up before it answers
            await asyncio.wait(left, timeout=CANCELLED_S)

    async def _patiently(
        self, tenant: str, account: str, hold_id: str, used: Mapping[str, int], call: Call
    ) -> Settled:
        pause_s, failed = FIRST_PAUSE_S, ""
        try:
            async with asyncio.timeout(SETTLING_S):
                while True:
                    try:
                        return await self._once(tenant, account, hold_id, used, call.part())
                    except Exception as error:
                        failed = _reason_to_go_on(error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except TimeoutError:
            _log.warning("hold %s of %s is left to expire: %s", *_shown(hold_id, tenant), failed)
            return Settled(Became.UNSETTLED, failed or "DEADLINE")
        except CallFailed as error:
            _log.warning("hold %s of %s is not settled: %s", *_shown(hold_id, tenant, error.reason))
            return Settled(Became.REFUSED, error.reason)

    async def _once(
        self, tenant: str, account: str, hold_id: str, used: Mapping[str, int], call: Call
    ) -> Settled:
        if is_unheld(hold_id):
            return await self.settle_let_in(tenant, account, hold_id, used, call)
        owner = await self._inside.owner(tenant, hold_id)
        if account and owner != account:
            raise CallFailed(
                "HOLD_UNKNOWN",
                f"the hold is of another account than {account}",
                field="hold_id",
                value=hold_id,
            )
        request_id = f"settle/{hold_id}"
        if not any(used.values()):
            given_back = await self._inside.release(
                pb.ReleaseRequest(tenant=tenant, request_id=request_id, hold_id=hold_id), call
            )
            return Settled(Became.RELEASED, replayed=given_back.replayed)
        taken = await self._inside.capture(
            pb.CaptureRequest(
                tenant=tenant, request_id=request_id, hold_id=hold_id, quantities=used
            ),
            call,
        )
        became = Became.LATE if taken.late else Became.CAPTURED
        return Settled(became, taken.reason, taken.charge, taken.replayed)

    async def capture(self, request: pb.CaptureRequest, call: Call) -> pb.CaptureResponse:
        """See Unheld."""
        if request.keep_open:
            message = "what was let in without a hold is settled at once, by one capture"
            raise CallFailed("FIELD_NOT_ALLOWED", message, field="keep_open", value="true")
        used = dict(zip(*quantities_of(request.quantities), strict=True))
        settled = await self.settle_let_in(request.tenant, "", request.hold_id, used, call)
        return pb.CaptureResponse(reason=settled.became, replayed=settled.replayed)

    async def release(self, request: pb.ReleaseRequest, call: Call) -> pb.ReleaseResponse:
        """See Unheld."""
        settled = await self.settle_let_in(request.tenant, "", request.hold_id, {}, call)
        return pb.ReleaseResponse(replayed=settled.replayed)

    async def settle_let_in(
        self, tenant: str, account: str, token: str, used: Mapping[str, int], call: Call
    ) -> Settled:
        """What work without a hold used: kept on the disk, or told the ledger where there is none.

        Raises CallFailed HOLD_UNKNOWN, CONFLICT, OUTCOME_UNKNOWN, JournalError, and what
        `Gate.covers` does.
        """
        let_in = await self._named(token, tenant, account)
        spool = self._spool
        if call.gate is not None:
            await call.gate.covers(call.principal, tenant, let_in.account, "hold_id")
        if spool is not None:
            try:
                entry = await spool.say_used(let_in, used)
            except (SpoolFull, SpoolFailed) as error:
                _log.warning("what %s used is not on the disk: %s", let_in.key, error)
            else:
                if entry.used != dict(used):
                    raise CallFailed(
                        "CONFLICT",
                        "what it used was said before, with other figures",
                        field="hold_id",
                        value=token,
                    )
                return Settled(Became.KEPT)
        try:
            recorded = await self._recording.record(let_in, used)
        except NotYet as why:
            raise CallFailed("OUTCOME_UNKNOWN", f"it is not recorded yet: {why}") from why
        if recorded is Recorded.REFUSED:
            return Settled(Became.REFUSED, "HOLD_SETTLED")
        became = Became.CAPTURED if any(used.values()) else Became.RELEASED
        return Settled(became, replayed=recorded is Recorded.BEFORE)

    async def _named(self, token: str, tenant: str, account: str) -> LetIn:
        """What a token says. Raises CallFailed HOLD_UNKNOWN."""
        try:
            if SIGNED in token:
                let_in = await opened(token, self._keys)
            else:
                let_in = self._let_in_before(token)
        except ValueError as error:
            raise CallFailed("HOLD_UNKNOWN", str(error), field="hold_id", value=token) from None
        if let_in.tenant != tenant or account not in ("", let_in.account):
            message = f"it is of another account than {account}" if account else "of another tenant"
            raise CallFailed("HOLD_UNKNOWN", message, field="hold_id", value=token)
        return let_in

    def _let_in_before(self, token: str) -> LetIn:
        """What a token says that a version before signatures gave: its work has to be on this
        server's disk. Raises ValueError."""
        let_in = let_in_of(token)
        entry = self._spool.entry(let_in.tenant, let_in.key) if self._spool is not None else None
        if entry is None or entry.let_in != let_in:
            raise ValueError("it is not signed, and no such work was let in here")
        return entry.let_in


def _shown(*texts: str) -> list[str]:
    """What callers said, for the log: no line of their making, and no whole token."""
    return [ascii(text[:SHOWN_CHARS])[1:-1] for text in texts]


def _reason_to_go_on(error: Exception) -> str:
    """Why a settlement is to be tried again. Raises CallFailed where that would not help."""
    failure = error.failure() if isinstance(error, PassedOn) else failure_of(error)
    if failure is None:
        raise error
    if not TABLE[failure.reason].retryable:
        raise failure from error
    return failure.reason
