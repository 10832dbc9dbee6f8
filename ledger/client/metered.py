"""Around one call of a model: hold, meter what comes, settle whatever happens.

    async with client.metered("acme", "chat", estimate={"output_tokens": 4_000}) as call:
        async for chunk in call.metering(model.stream(prompt), tokens_of):
            ...

Every way out settles the hold: with what was metered it is captured, with nothing it is released.
A question that was given up without an answer is taken back once a server answers (rule I5).
That runs in a task which the client owns, so that a caller that is cancelled, or a generator that
is closed, does not wait for the server and leaves no hold open; `client.close` waits for it. The
hold lives for minutes and is extended while the block runs: a process that dies lets it expire.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from ledger.client.decisions import ALLOWED, RUNS_INSTEAD, DecisionCalls
from ledger.client.errors import (
    CallError,
    ClientClosed,
    Denied,
    NotApplied,
    OutcomeUnknown,
    Refused,
)
from ledger.client.reads import ReadCalls
from ledger.v1 import decision_pb2 as pb

T = TypeVar("T")
R = TypeVar("R")
LIFETIME_US: Final = 120_000_000  # of a hold; x 1/3 = 40 s between extensions
PATIENT_MAX: Final = 1_024  # questions to be taken back; x ~5 kB = 5 MB
AGAIN_S: Final = 0.5  # after a call was given up
CLOSE_S: Final = 10  # that closing a client waits for holds to be settled
TURNS: Final = 8  # of the loop, in which what was cancelled or dropped right before closing leaves
# its block: two for each generator around it
REQUEST_ID_BYTES_MAX: Final = 123  # 128 less "/used", which is the capture's
_log: Final = logging.getLogger("ledger.client")


class Settling:
    """Tasks that outlive who began them, until they end or the client is closed."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._patient: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Start a task that is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin_patient(self, work: Coroutine[Any, Any, None]) -> None:
        """Start what waits for a server for as long as it takes; `finish` does not wait for it.
        Above PATIENT_MAX it is not done."""
        if len(self._patient) >= PATIENT_MAX:
            work.close()
            _log.warning("a hold of unknown outcome is left to expire: %d wait", PATIENT_MAX)
            return
        task = asyncio.get_running_loop().create_task(work)
        self._patient.add(task)
        task.add_done_callback(self._patient.discard)

    async def finish(self, timeout_s: float) -> None:
        """Wait for all that were begun, and for what they begin."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._tasks:
            left_s = deadline - asyncio.get_running_loop().time()
            await asyncio.wait(set(self._tasks), timeout=max(0, left_s))
            if left_s <= 0:
                break
        for task in [*self._tasks, *self._patient]:
            task.cancel()


class HoldCalls(DecisionCalls, ReadCalls):
    """The calls that a metered one makes."""


class MeteredCall:
    """One call of a model while it runs; made by `DrawdownClient.metered`, entered once.

    `decision` is what Authorize answered, `settled` what Capture or Release did; both None before.
    """

    def __init__(self, calls: HoldCalls, settling: Settling, request: Request) -> None:
        self.decision: pb.AuthorizeResponse | None = None
        self.settled: pb.CaptureResponse | pb.ReleaseResponse | None = None
        self.used: dict[str, int] = {}
        """What was metered so far, by quantity."""
        self._calls = calls
        self._settling = settling
        self._request = request
        self._extending: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def hold_id(self) -> str:
        """The hold; "" before the block is entered."""
        return self.decision.hold_id if self.decision is not None else ""

    @property
    def allowed_quantity(self) -> int:
        """Of a call with `up_to`: how much of that quantity is held for."""
        return self.decision.allowed_quantity if self.decision is not None else 0

    @property
    def instead(self) -> pb.Ruling | None:
        """The work that is to run in the stead of what was asked for: product, attributes and
        quantities; None = what was asked for."""
        decision = self.decision
        if decision is None or decision.decision not in RUNS_INSTEAD:
            return None
        return decision.ruling

    # -- metering ----------------------------------------------------------------------------------

    def add(self, **quantities: int) -> None:
        """So much more was used, in minor units of the meters."""
        self.add_all(quantities)

    def add_all(self, quantities: Mapping[str, int]) -> None:
        """The same for names that are no names of arguments."""
        for name, quantity in quantities.items():
            if type(quantity) is not int or quantity < 0:
                raise ValueError(f"{name} is a whole number, 0 or more, not {quantity!r}")
        if self._ended:
            raise ValueError(f"hold {self.hold_id} is settled: nothing more can be metered")
        for name, quantity in quantities.items():
            self.used[name] = self.used.get(name, 0) + quantity

    def set(self, **quantities: int) -> None:
        """So much was used in all: what a model reports at the end instead of what was counted."""
        for name in quantities:
            before = self.used.pop(name, 0)
            try:
                self.add_all({name: quantities[name]})
            except ValueError:
                self.used[name] = before
                raise

    async def metering(
        self, chunks: AsyncIterable[T], count: Callable[[T], Mapping[str, int]]
    ) -> AsyncIterator[T]:
        """The chunks as they come; `count` says what each of them used. A chunk is counted before
        it is given on."""
        async for chunk in chunks:
            self.add_all(count(chunk))
            yield chunk

    # -- life --------------------------------------------------------------------------------------

    async def __aenter__(self) -> MeteredCall:
        """Hold. Raises Denied, Refused, NotApplied, OutcomeUnknown, ClientClosed."""
        asking = self._settling.begin(self._request.authorize(self._calls))
        try:
            decision = await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._settling.begin(self._release_later(asking))
            raise
        except OutcomeUnknown:
            self._ended = True
            self._abandon()
            raise
        self._decided(decision)
        return self

    def _decided(self, decision: pb.AuthorizeResponse) -> None:
        """A server has answered. Raises Denied."""
        self.decision = decision
        if self.instead is not None and not self._request.instead:
            self._settling.begin(self._released(decision))  # whoever asked would run the other
            raise _denied(self._request, decision)
        if self.instead is None and decision.decision not in ALLOWED:
            self._ended = True
            raise _denied(self._request, decision)
        self._extending = asyncio.create_task(self._extend())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Settle. Raises Refused, NotApplied, OutcomeUnknown; where the block has raised, that goes
        on, and what settling raised is a note of it."""
        self._ended = True
        if self._extending is not None:
            self._extending.cancel()
        settling = self._settling.begin(self._settle())
        try:
            await asyncio.shield(settling)
        except (CallError, ClientClosed) as failure:
            if error is None:
                raise
            error.add_note(f"hold {self.hold_id} could not be settled: {failure}")
        except asyncio.CancelledError:
            settling.add_done_callback(self._settled_unseen)
            raise

    def _settled_unseen(self, settling: asyncio.Task[None]) -> None:
        """Whoever should hear of a failure is gone."""
        if not settling.cancelled() and settling.exception() is not None:
            _log.warning("hold %s could not be settled: %s", self.hold_id, settling.exception())

    async def _settle(self) -> None:
        """Capture what was metered, or release. What no server has answered in time is said, and
        settled once one answers, under the same id: the work has been done."""
        try:
            await self._settle_once()
        except (NotApplied, OutcomeUnknown):
            self._settling.begin_patient(self._settled_at_last())
            raise

    async def _settled_at_last(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            try:
                await self._settle_once()
                return
            except (Refused, ClientClosed) as failure:
                _log.warning("hold %s could not be settled: %s", self.hold_id, failure)
                return
            except CallError:
                continue

    async def _settle_once(self) -> None:
        used = {name: quantity for name, quantity in self.used.items() if quantity}
        if used:
            self.settled = await self._calls.capture(
                self.hold_id, used, request_id=f"{self._request.request_id}/used"
            )
        else:
            self.settled = await self._calls.release(
                self.hold_id, request_id=f"{self._request.request_id}/free"
            )

    async def _release_later(self, asking: asyncio.Task[pb.AuthorizeResponse]) -> None:
        """Whoever asked has gone: what was held meanwhile goes back."""
        self._ended = True
        try:
            decision = await asking
        except OutcomeUnknown:
            self._abandon()
            return
        except (CallError, ClientClosed) as failure:
            _log.warning("a hold of %s is left to expire: %s", self._request.account, failure)
            return
        self.decision = decision
        await self._released(decision)

    async def _released(self, decision: pb.AuthorizeResponse) -> None:
        """What it holds goes back."""
        self._ended = True
        try:
            if decision.hold_id:
                self.settled = await self._calls.release(decision.hold_id)
        except (CallError, ClientClosed) as failure:
            _log.warning("a hold of %s is left to expire: %s", self._request.account, failure)

    def _abandon(self) -> None:
        """Nobody knows whether there is a hold: have there be none, once a server answers."""
        self._settling.begin_patient(self._taken_back())

    async def _taken_back(self) -> None:
        account, request_id = self._request.account, self._request.request_id
        while True:
            try:
                found = await self._calls.get_outcome(account, request_id, abandon=True)
                if found.authorize.hold_id:
                    await self._calls.release(
                        found.authorize.hold_id, request_id=f"{request_id}/back"
                    )
                return
            except Refused as failure:
                _log.warning("a hold of %s is left to expire: %s", account, failure)
                return
            except ClientClosed:
                return
            except CallError:
                await asyncio.sleep(AGAIN_S)

    async def _extend(self) -> None:
        """Keep the hold open while the block runs."""
        lifetime_us = self._request.lifetime_us
        while True:
            await asyncio.sleep(lifetime_us / 3_000_000)
            try:
                await self._calls.extend(self.hold_id, lifetime_us=lifetime_us)
            except (Refused, ClientClosed) as failure:
                _log.warning("hold %s is extended no more: %s", self.hold_id, failure)
                return
            except CallError as failure:
                _log.warning("hold %s could not be extended yet: %s", self.hold_id, failure)


class Request:
    """What a metered call asks for, under one id."""

    def __init__(
        self,
        account: str,
        product: str,
        attributes: Mapping[str, str] | None,
        estimate: Mapping[str, int],
        lifetime_us: int,
        up_to: tuple[str, int] | None,
        quote_id: str,
        request_id: str,
        alternatives: Sequence[pb.Alternative],
        instead: bool,
    ) -> None:
        self.instead = instead or bool(alternatives)  # whether other work may run
        self._alternatives = alternatives
        self.account = account
        self.product = product
        self.lifetime_us = lifetime_us
        self.request_id = request_id
        self.attributes: Mapping[str, str] = attributes or {}
        self.estimate = estimate
        self.operation = ""  # that it is a part of, where it says one
        self.operation_parent = ""
        self._up_to = up_to
        self._quote_id = quote_id

    def authorize(self, calls: DecisionCalls) -> Coroutine[Any, Any, pb.AuthorizeResponse]:
        """Ask for the hold."""
        return calls.authorize(
            self.account,
            self.product,
            self.estimate,
            self.attributes,
            lifetime_us=self.lifetime_us,
            quote_id=self._quote_id,
            up_to=self._up_to,
            alternatives=self._alternatives,
            request_id=self.request_id,
        )


class MeteredCalls(HoldCalls):
    """Part of DrawdownClient."""

    _settling: Settling

    def metered(
        self,
        account: str,
        product: str,
        attributes: Mapping[str, str] | None = None,
        *,
        estimate: Mapping[str, int],
        lifetime_us: int = LIFETIME_US,
        up_to: tuple[str, int] | None = None,
        quote_id: str = "",
        request_id: str = "",
        alternatives: Sequence[pb.Alternative] = (),
        instead: bool = False,
    ) -> MeteredCall:
        """A block that runs with credits held for `estimate`, and is charged with what it metered.

        Entering raises Denied where it may not run. `lifetime_us`: of the hold; it is extended
        every third of it. `up_to`: see `authorize`, and `allowed_quantity` of what is entered.
        `alternatives`: see `authorize`. With them, or with `instead`, the block may be entered for
        other work than was asked for: look at `instead` of what is entered. Otherwise a decision
        policy that would have other work run is a denial here.
        """
        request = request_of(
            account,
            product,
            attributes,
            estimate,
            lifetime_us,
            up_to=up_to,
            quote_id=quote_id,
            request_id=request_id or self._caller.new_id(),
            alternatives=alternatives,
            instead=instead,
        )
        return MeteredCall(self, self._settling, request)


def request_of(
    account: str,
    product: str,
    attributes: Mapping[str, str] | None,
    estimate: Mapping[str, int],
    lifetime_us: int,
    *,
    up_to: tuple[str, int] | None = None,
    quote_id: str = "",
    request_id: str,
    alternatives: Sequence[pb.Alternative] = (),
    instead: bool = False,
) -> Request:
    """What a metered call asks for. Raises ValueError."""
    if lifetime_us < 1:
        raise ValueError(f"lifetime_us is 1 or more, not {lifetime_us}")
    if len(request_id.encode()) > REQUEST_ID_BYTES_MAX:
        raise ValueError(f"request_id has {REQUEST_ID_BYTES_MAX} bytes at most: {request_id!r}")
    return Request(
        account,
        product,
        attributes,
        estimate,
        lifetime_us,
        up_to,
        quote_id,
        request_id,
        alternatives,
        instead,
    )


def _denied(request: Request, decision: pb.AuthorizeResponse) -> Denied:
    limit = decision.limit
    return Denied(
        decision.reason or decision.ruling.reason,
        account=request.account,
        product=request.product,
        asked=decision.amount if decision.reason else decision.ruling.charge,
        available=int(decision.available or 0),
        asset=decision.asset,
        scale=decision.scale,
        retry_after_us=decision.retry_after_us,
        limit=pb.LimitKind.Name(limit.kind) if decision.HasField("limit") else "",
        limit_account=limit.account,
        limit_name=limit.name or limit.id,
        limit_left=limit.left,
    )
