"""What a gateway is told while the shard of an account does not answer: its product's fail mode.

A server is there and the shard is not: its owner has died, is cut off, or does not answer in time.
CLOSED, and without a mode: nothing runs. LEASE_ONLY: nothing either, for a gateway holds no lease.
OPEN: it runs within bounds, and is on this server's disk before it is told so. Must not record
anything in the ledger: see `recording`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import PassedOn
from ledger.api.limits import id_fault
from ledger.api.requests import shape_of
from ledger.auth.principal import Scope
from ledger.client.errors import SpoolFailed
from ledger.client.guarded import DecidedBy, OpenBounds
from ledger.core.limits import ATTRIBUTES_MAX
from ledger.gateway import replies
from ledger.gateway.authorizing import Asked, authorize, check
from ledger.gateway.inside import Inside
from ledger.gateway.let_in import LetIn
from ledger.gateway.open_spool import Entry, OpenSpool
from ledger.gateway.replies import Reply, denied, refused
from ledger.journal.errors import JournalError

AWAY: Final = frozenset(
    {
        "NOT_OWNER",
        "OWNER_UNREACHABLE",
        "OUTCOME_UNKNOWN",
        "DEADLINE",
        "LEASE_LAPSED",
        "WRITER_REOPENING",
        "WRITER_HALTED",
        "JOURNAL_UNAVAILABLE",
    }
)
"""What says that the shard is not there now. A queue that is full is there."""

PATIENCE_S: Final = 1.0  # for the answer of an open product's shard; Envoy waits 2 s in our file
PART_OF_DEADLINE: Final = 0.6  # of what the gateway waits, where that is less
LOOK_S: Final = 0.2  # for the account of a name, of a directory that may be away too
AGAIN_S: Final = 1.0  # until a shard that did not answer in time is asked again
LIFETIME_US: Final = 900_000_000  # of a route that says none, as of a hold
OPEN, LEASE_ONLY, CLOSED = "OPEN", "LEASE_ONLY", "CLOSED"
ACCOUNTS_MAX: Final = 100_000  # that are advised while nobody answers
US_A_SECOND: Final = 1_000_000
_SHOWN: Final = {OPEN: "open", LEASE_ONLY: "lease-only", CLOSED: "closed"}
_DECIDES: Final = {
    OPEN: DecidedBy.FAIL_OPEN.value,
    LEASE_ONLY: DecidedBy.LEASE.value,
    CLOSED: DecidedBy.FAIL_CLOSED.value,
}

Counted = Callable[[str], object]
"""Told of every decision that was made while a shard was away."""


class Answers:
    """Answers a gateway's questions: by the ledger, else by the fail mode."""

    def __init__(
        self,
        edge: Edge,
        inside: Inside,
        spool: OpenSpool | None = None,
        counted: Counted = str,
    ) -> None:
        """`spool` None: there is nowhere to keep what runs, so nothing that is held is let in."""
        self._edge = edge
        self._inside = inside
        self._spool = spool
        self._advice = OpenBounds().calls if spool is None else spool.bounds.calls
        self._counted = counted
        self._quiet: dict[int, float] = {}  # shard -> until when it is not asked
        self._advised: dict[tuple[str, str], int] = {}  # of an account, since nobody answers

    async def authorize(self, call: Call, work: Asked, key: str) -> Reply:
        """A hold, once for a key, or what the fail mode says. Raises as `authorizing.authorize`
        what is neither an answer nor a shard that is away."""
        spool = self._spool
        if spool is not None and spool.kept:
            before = spool.entry(work.route.tenant, key)
            if before is not None and before.used is None:
                return _let_in(work, before)  # the gateway asks again
        is_open = await self._mode(work) == OPEN
        shard = self._shard(work) if is_open else -1
        if self._quiet.get(shard, 0.0) > time.monotonic():
            return await self._without(call, work, key, "DEADLINE")
        try:
            if not is_open:
                return await authorize(self._inside, call, work, key)
            async with asyncio.timeout(_patience_s(call)):
                reply = await authorize(self._inside, call, work, key)
        except Exception as error:
            reason = self._reason_of(error)
            if reason == "DEADLINE" and shard >= 0:
                self._quiet[shard] = time.monotonic() + AGAIN_S
            return await self._without(call, work, key, reason)
        if shard >= 0 and self._quiet:
            self._quiet.pop(shard, None)
        return reply

    async def check(self, call: Call, work: Asked) -> Reply:
        """Advice, or what the fail mode says: nothing is held, so nothing is kept."""
        place = (work.route.tenant, work.account)
        is_open = await self._mode(work) == OPEN
        try:
            async with asyncio.timeout(_patience_s(call) if is_open else None):
                reply = await check(self._inside, call, work)
        except Exception as error:
            reason = self._reason_of(error)
        else:
            if self._advised:
                self._advised.pop(place, None)
            return reply
        mode = await self._mode(work)
        if mode != OPEN:
            return self._denied(work, mode, reason)
        account = await self._account(call, work, reason)
        if isinstance(account, Reply):
            return account
        advised = self._advised.get(place, 0)
        if advised >= self._advice or (not advised and len(self._advised) >= ACCOUNTS_MAX):
            return self._full(work, reason, f"and {advised} were let in for {work.account} so far")
        self._advised[place] = advised + 1
        self._counted("ADVISED")
        headers = {replies.DECISION: "ALLOW", replies.ACCOUNT: account} | by_mode(mode)
        metadata = {"tenant": work.route.tenant, "account": account} | _said(mode)
        return Reply(replies.OK, headers, metadata=metadata)

    # -- parts -------------------------------------------------------------------------------------

    async def _mode(self, work: Asked) -> str:
        edge, name = self._edge, work.route.tenant
        tenant = edge.known_tenant(name)
        if not tenant:
            with contextlib.suppress(CallFailed, JournalError):  # the question will say so
                tenant = await edge.tenant(name)
        found = edge.ledger.configurations.fail_modes.get(tenant, {}).get(work.product)
        return CLOSED if found is None else found.mode

    def _shard(self, work: Asked) -> int:
        """Of the account, as far as it is in memory; else -1, and it is asked."""
        entry = self._edge.known(work.route.tenant, work.account)
        return -1 if entry is None else entry.shard

    def _reason_of(self, error: Exception) -> str:
        """Why the shard is away. Raises the error where that is not what it says."""
        if isinstance(error, TimeoutError):
            return "DEADLINE"
        failure = error.failure() if isinstance(error, PassedOn) else failure_of(error)
        if failure is not None:
            stops = failure.reason == "SHUTTING_DOWN" and not self._edge.closing.is_set()
            if stops or failure.reason in AWAY:
                return failure.reason
        raise error

    async def _without(self, call: Call, work: Asked, key: str, reason: str) -> Reply:
        """Let it in, or say why not."""
        mode = await self._mode(work)
        if mode != OPEN:
            return self._denied(work, mode, reason)
        spool = self._spool
        if spool is None:
            message = "and there is no disk to keep what it uses: give the server --gateway-spool"
            return self._full(work, reason, message)
        try:  # what the shard would refuse cannot be recorded either
            shape_of(self._edge.shapes, work)
            for name, text in (("operation", work.operation), ("parent", work.operation_parent)):
                if text and (fault := id_fault(name, text)) is not None:
                    raise CallFailed(fault.reason, fault.message, field=name, value=text)
        except CallFailed as failed:
            return refused(failed)
        if len(work.attributes) >= ATTRIBUTES_MAX:
            why = f"and {ATTRIBUTES_MAX} attributes leave no room for decided_by"
            return self._full(work, reason, why)
        account = await self._account(call, work, reason)
        if isinstance(account, Reply):
            return account
        tenant = self._edge.known_tenant(work.route.tenant)
        let_in = LetIn(
            tenant=work.route.tenant,
            account=account,
            product=work.product,
            attributes=work.attributes,
            operation=work.operation,
            operation_parent=work.operation_parent,
            key=key,
            began_us=self._edge.now_us(tenant),
            until_us=time.time_ns() // 1_000 + (work.route.lifetime_us or LIFETIME_US),
            traceparent=dict(call.hop.metadata).get("traceparent", ""),
        )
        try:
            entry = await spool.keep(let_in, work.quantities)
        except SpoolFailed as error:
            return self._full(work, reason, f"and what it uses cannot be kept: {error}")
        if entry is None:
            return self._full(work, reason, f"and no more is let in for {account} until one does")
        self._counted("LET_IN")
        return _let_in(work, entry)

    async def _account(self, call: Call, work: Asked, reason: str) -> str | Reply:
        """The account's own id, of one that the caller covers; a denial where that cannot be said
        without the shard."""
        tenant = work.route.tenant
        try:
            async with asyncio.timeout(LOOK_S):
                if call.gate is not None:
                    await call.gate.permit(call.principal, Scope.DECIDE, tenant, work.account)
                known = self._edge.known(tenant, work.account)
                if known is None:
                    number = await self._edge.tenant(tenant)
                    known = await self._edge.account(number, work.account)
        except Exception as error:
            failure = failure_of(error) if not isinstance(error, TimeoutError) else None
            if failure is not None and not TABLE[failure.reason].retryable:
                return refused(failure)
            return self._denied(work, CLOSED, reason)
        return known.account_id

    def _full(self, work: Asked, reason: str, why: str) -> Reply:
        self._counted("FAIL_OPEN_BOUND")
        return _not_now(work, OPEN, "FAIL_OPEN_BOUND", reason, why)

    def _denied(self, work: Asked, mode: str, reason: str) -> Reply:
        if mode == LEASE_ONLY:
            self._counted("LEASE_INSUFFICIENT")
            why = "and a gateway holds no lease"
            return _not_now(work, mode, "LEASE_INSUFFICIENT", reason, why)
        self._counted("LEDGER_UNAVAILABLE")
        return _not_now(work, CLOSED, "LEDGER_UNAVAILABLE", reason, "and it is closed then")


def by_mode(mode: str) -> dict[str, str]:
    """Headers that say who decided."""
    return {replies.FAIL_MODE: _SHOWN[mode], replies.DECIDED_BY: _DECIDES[mode]}


def _said(mode: str) -> dict[str, str]:
    return {"fail_mode": _SHOWN[mode], "decided_by": _DECIDES[mode]}


def _let_in(work: Asked, entry: Entry) -> Reply:
    """It runs; what stands for its hold is settled as a hold is."""
    route, let_in = work.route, entry.let_in
    headers = {
        replies.DECISION: "ALLOW",
        replies.ACCOUNT: let_in.account,
        replies.HOLD: entry.token,
        replies.EXPIRES: str(let_in.until_us),
        **by_mode(OPEN),
    }
    if work.up_to is not None:
        headers[replies.ALLOWED] = str(work.quantities[route.up_to])
    metadata = {
        "tenant": route.tenant,
        "account": let_in.account,
        "hold_id": entry.token,
        "unit": str(route.unit),
        **_said(OPEN),
    }
    if route.settles:
        metadata["quantity"] = route.settles
    return Reply(replies.OK, headers, metadata=metadata)


def _not_now(work: Asked, mode: str, code: str, reason: str, why: str) -> Reply:
    message = f"nobody answers now for {work.account} ({reason}), {why}: ask again"
    said = denied(
        replies.UNAVAILABLE,
        code,
        message,
        account=work.account,
        product=work.product,
        **_said(mode),
    )
    headers = {**said.headers, **by_mode(mode), replies.RETRY_AFTER: "1"}
    return said._replace(headers=headers)


def _patience_s(call: Call) -> float:
    left_us = call.left_us
    if left_us is None:
        return PATIENCE_S
    return min(PATIENCE_S, PART_OF_DEADLINE * left_us / US_A_SECOND)
