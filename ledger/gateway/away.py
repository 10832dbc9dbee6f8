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
from typing import Final, NamedTuple

from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import TABLE, CallFailed, failure_of
from ledger.api.forward import PassedOn
from ledger.api.limits import id_fault
from ledger.api.requests import shape_of
from ledger.api.tracing import Away, Span
from ledger.auth.gateway_keys import GatewayKeys
from ledger.auth.principal import Scope
from ledger.client.errors import SpoolFailed
from ledger.client.guarded import DecidedBy, OpenBounds
from ledger.core.limits import ATTRIBUTES_MAX, SECOND_US
from ledger.gateway import replies
from ledger.gateway.authorizing import Asked, authorize, check
from ledger.gateway.inside import Inside
from ledger.gateway.let_in import LetIn
from ledger.gateway.open_spool import Entry, OpenSpool, monotonic_us
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
        keys: GatewayKeys,
        spool: OpenSpool | None = None,
        counted: Counted = str,
    ) -> None:
        """`keys` sign tokens. `spool` None: there is nowhere to keep what runs, so nothing that is
        held is let in."""
        self._edge = edge
        self._inside = inside
        self._keys = keys
        self._spool = spool
        self._advice = OpenBounds().calls if spool is None else spool.bounds.calls
        self._counted = counted
        self._quiet: dict[int, float] = {}  # shard -> until when it is not asked
        self._looked: dict[int, float] = {}  # tenant -> when for its fail modes, without a shard
        self._advised: dict[tuple[str, str], int] = {}  # of an account, since nobody answers

    async def authorize(self, call: Call, work: Asked, key: str) -> Reply:
        """A hold, once for a key, or what the fail mode says. Raises as `authorizing.authorize`
        what is neither an answer nor a shard that is away."""
        spool = self._spool
        if spool is not None and spool.kept:
            before = spool.entry(work.route.tenant, key)
            if before is not None and before.runs:
                return await self._asked_again(call, work, before)
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
        since = self._begun(call)
        return self._told(since, work, reason, await self._advise(call, work, reason))

    # -- parts -------------------------------------------------------------------------------------

    async def _advise(self, call: Call, work: Asked, reason: str) -> Reply:
        """What is advised by the fail mode."""
        place = (work.route.tenant, work.account)
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
        headers = {replies.DECISION: "ALLOW", replies.ACCOUNT: account} | by_mode(mode)
        metadata = {"tenant": work.route.tenant, "account": account} | _said(mode)
        return Reply(replies.OK, headers, metadata=metadata)

    def _begun(self, call: Call) -> _Since:
        """It is decided without the shard, from now on."""
        traceparent = dict(call.hop.metadata).get("traceparent", "")
        span = self._edge.telemetry.away_started(traceparent)
        return _Since(traceparent if span is None else span.traceparent, span, monotonic_us())

    def _told(self, since: _Since, work: Asked, reason: str, reply: Reply) -> Reply:
        """The reply, counted and traced."""
        headers = reply.headers
        if reply.allows:
            outcome = "LET_IN" if replies.HOLD in headers else "ADVISED"
        else:
            outcome = headers[replies.REASON]
        said = {"drawdown.outcome": outcome, "drawdown.away": reason}
        said["drawdown.product"] = work.product
        if replies.FAIL_MODE in headers:  # else it is refused for good, and would be by the shard
            self._counted(outcome)
            said["drawdown.fail_mode"] = headers[replies.FAIL_MODE]
            said["drawdown.decided_by"] = headers[replies.DECIDED_BY]
        ended = Away("gateway.away", said, code="OK" if reply.allows else outcome)
        self._edge.telemetry.away_ended(since.span, ended, since.started_us)
        return reply

    async def _mode(self, work: Asked) -> str:
        edge, name = self._edge, work.route.tenant
        known = edge.ledger.configurations
        tenant = edge.known_tenant(name)
        if not tenant or not edge.ledger.shards.told:
            tenant = await self._look(name, tenant)
        found = known.fail_modes.get(tenant, {}).get(work.product)
        return CLOSED if found is None else found.mode

    async def _look(self, name: str, tenant: int) -> int:
        """The tenant's number, with its fail modes known as they were a second ago: nothing tells
        of them where no shard is open. 0 = there is none, or nobody says so in time."""
        known, now_s = self._edge.ledger.configurations, time.monotonic()
        was_read = known.was_read(tenant)
        if was_read and now_s < self._looked.get(tenant, 0.0) + AGAIN_S:
            return tenant
        self._looked[tenant] = now_s
        with contextlib.suppress(CallFailed, JournalError, TimeoutError):  # the question says so
            async with asyncio.timeout(LOOK_S if was_read else PATIENCE_S):
                tenant = tenant or await self._edge.tenant(name)
                await known.read(tenant)
        return tenant

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
        since = self._begun(call)
        reply = await self._kept(call, work, key, reason, since.traceparent)
        return self._told(since, work, reason, reply)

    async def _kept(
        self, call: Call, work: Asked, key: str, reason: str, traceparent: str
    ) -> Reply:
        """What runs is on the disk."""
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
            traceparent=traceparent,
        )
        try:
            entry = await spool.keep(let_in, work.quantities)
        except SpoolFailed as error:
            return self._full(work, reason, f"and what it uses cannot be kept: {error}")
        if entry is None:
            return self._full(work, reason, f"and no more is let in for {account} until one does")
        if entry.let_in is not let_in:  # it was let in meanwhile
            return await self._asked_again(call, work, entry)
        return _let_in(work, let_in, self._keys)

    async def _asked_again(self, call: Call, work: Asked, before: Entry) -> Reply:
        """What is let in already, for whoever may ask for its account, and for that work alone."""
        account = await self._account(call, work, "DEADLINE")
        if isinstance(account, Reply):
            return account
        let_in = before.let_in
        was = (let_in.account, let_in.product, let_in.attributes, before.estimate)
        of = (let_in.operation, let_in.operation_parent)
        is_same = was == (account, work.product, work.attributes, work.quantities)
        if not is_same or of != (work.operation, work.operation_parent):
            message = "a request of this id was let in for other work; send it under another"
            return refused(CallFailed("CONFLICT", message, field="request_id"))
        return _let_in(work, let_in, self._keys)

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
        return _not_now(work, OPEN, "FAIL_OPEN_BOUND", reason, why)

    def _denied(self, work: Asked, mode: str, reason: str) -> Reply:
        if mode == LEASE_ONLY:
            why = "and a gateway holds no lease"
            return _not_now(work, mode, "LEASE_INSUFFICIENT", reason, why)
        return _not_now(work, CLOSED, "LEDGER_UNAVAILABLE", reason, "and it is closed then")


class _Since(NamedTuple):
    """A decision under way."""

    traceparent: str
    """Of its own span; where it has none, of what asked."""

    span: Span | None
    started_us: int


def by_mode(mode: str) -> dict[str, str]:
    """Headers that say who decided."""
    return {replies.FAIL_MODE: _SHOWN[mode], replies.DECIDED_BY: _DECIDES[mode]}


def _said(mode: str) -> dict[str, str]:
    return {"fail_mode": _SHOWN[mode], "decided_by": _DECIDES[mode]}


def _let_in(work: Asked, let_in: LetIn, keys: GatewayKeys) -> Reply:
    """It runs; what stands for its hold is settled as a hold is."""
    route, token = work.route, let_in.token(keys)
    headers = {
        replies.DECISION: "ALLOW",
        replies.ACCOUNT: let_in.account,
        replies.HOLD: token,
        replies.EXPIRES: str(let_in.until_us),
        **by_mode(OPEN),
    }
    if work.up_to is not None:
        headers[replies.ALLOWED] = str(work.quantities[route.up_to])
    metadata = {
        "tenant": route.tenant,
        "account": let_in.account,
        "hold_id": token,
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
    return min(PATIENCE_S, PART_OF_DEADLINE * left_us / SECOND_US)
