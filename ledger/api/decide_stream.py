"""DecideStream of DecisionService: many decisions under way on one stream.

Each is answered by its number. What is asked goes to the writers in the order in which it came;
while a shard has tickets of the stream in flight, what is asked of it waits and goes as one.
Answers are written as they come, many in a message. At most ITEMS_MAX are unanswered: then nothing
more is read, so that a reader that stalls holds up its own stream and nothing else. Items of other
processes' shards are passed on as they came (`passing_stream`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from google.rpc import code_pb2

from ledger.api.answers import answer_at, entry_seqs
from ledger.api.calls import Call, failure_in
from ledger.api.deciding import CHECK_METHOD, KINDS, Asked, Kind
from ledger.api.edge import Edge
from ledger.api.errors import TABLE, CallFailed
from ledger.api.forward import Forwarder
from ledger.api.ids import is_unheld
from ledger.api.passing_stream import Onward, Passages
from ledger.api.unheld import Unheld
from ledger.api.usual_debits import ask_at_once, is_usual, say_at_once
from ledger.core.commands import Command
from ledger.core.events import UsageDebited
from ledger.engine.ticket import NotApplied, NotOwner, OutcomeUnknown, Ticket
from ledger.engine.underway import Work
from ledger.journal.errors import JournalError
from ledger.v1 import decision_pb2 as pb

ITEMS_MAX: Final = 1_024  # of a stream unanswered; x ~3 kB = 3 MB
MESSAGE_ITEMS_MAX: Final = 256  # in a message, either way
TICKETS_MAX: Final = 2  # of a stream and shard in flight: one commits, one fills
RETRY_AFTER_US: Final = 50_000


class Item:
    """One thing asked for on a stream."""

    __slots__ = ("asked", "kind", "number", "request", "which")

    def __init__(self, number: int, which: str, request: Any, asked: Asked) -> None:
        self.number = number
        self.which = which
        self.kind: Kind = KINDS[which]
        self.request = request
        self.asked = asked


class Lane:
    """What a stream asks of one shard of ours."""

    __slots__ = ("commands", "deciding", "last", "sent", "tickets", "waiting", "working")

    def __init__(self) -> None:
        self.waiting: list[Item] = []
        self.sent = 0  # items that wait no more
        self.commands: list[Command] = []  # theirs
        self.tickets = 0  # in flight
        self.last: asyncio.Future[None] | None = None  # of the newest of them
        # Names that were looked up are on their way to a writer.
        self.working: Work | None = None
        self.deciding = False  # a flush is due


class DecideStream:
    """One stream. `replies` once."""

    def __init__(
        self,
        edge: Edge,
        forwarder: Forwarder,
        check: Callable[[pb.CheckRequest, Call], Awaitable[pb.CheckResponse]],
        call: Call,
        unheld: Unheld | None = None,
    ) -> None:
        """`unheld` None: nothing is let in without a hold."""
        self._edge = edge
        self._forwarder = forwarder
        self._check = check
        self._unheld = unheld
        self._call = call
        self._forwarded = call.forwarded
        self._lanes: dict[int, Lane] = {}
        self._ready: deque[tuple[list[Item], Ticket] | pb.DecideReply] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._unanswered = 0
        self._ended: Exception | bool = False  # nothing more is read; why, if that is a failure
        self._beside: set[asyncio.Task[None]] = set()  # advice and what was let in without a hold
        self._passages = Passages(
            forwarder,
            edge.ledger.shards.owns,
            call,
            answered=self._answer,
            failed=self._fail,
            again=self._again,
        )

    async def replies(
        self, requests: AsyncIterator[pb.DecideStreamRequest]
    ) -> AsyncGenerator[pb.DecideStreamResponse, None]:
        """Answers as they come. What was read is answered, whatever ends the stream."""
        tasks = [asyncio.create_task(self._read(requests)), asyncio.create_task(self._close())]
        try:
            while True:
                if not self._ready:
                    if self._ended and not self._unanswered:
                        break
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                reply = pb.DecideStreamResponse()
                await self._fill(reply)
                if reply.replies:
                    yield reply
                    self._unanswered -= len(reply.replies)
                    self._room.set()
            if isinstance(self._ended, Exception):
                raise self._ended
        finally:
            left = [*tasks, *self._beside]
            for task in left:
                task.cancel()
            for lane in self._lanes.values():
                lane.waiting.clear()
                self._handed_over(lane)
            await asyncio.gather(*left, return_exceptions=True)
            await self._passages.close()

    # -- what is asked -----------------------------------------------------------------------------

    async def _read(self, requests: AsyncIterator[pb.DecideStreamRequest]) -> None:
        try:
            async for request in requests:
                if len(request.items) > MESSAGE_ITEMS_MAX:
                    message = f"at most {MESSAGE_ITEMS_MAX} items in a message"
                    raise CallFailed("TOO_MANY", message, field="items")
                for item in request.items:
                    while self._unanswered >= ITEMS_MAX:
                        self._room.clear()
                        await self._room.wait()
                    self._unanswered += 1
                    if not (item.HasField("debit") and self._take_at_once(item.number, item.debit)):
                        await self._take(item)
            self._end(True)
        except Exception as error:
            self._end(error)

    async def _close(self) -> None:
        await self._edge.closing.wait()
        message = "the server is shutting down; send what has no reply to another one"
        self._end(CallFailed("SHUTTING_DOWN", message, retry_after_us=RETRY_AFTER_US))

    def _end(self, how: Exception | bool) -> None:
        if not self._ended:
            self._ended = how
        self._wake.set()

    def _take_at_once(self, number: int, request: pb.DebitRequest) -> bool:
        """Have a usual debit wait for its writer; False: it takes more than that."""
        if self._ended or self._call.gate is not None:
            return False
        asked = ask_at_once(self._edge, request, self._call)
        if asked is None:
            return False
        shard = asked.entry.shard
        if self._is_ours(shard):
            lane = self._lane(shard)
            if lane.working is None:
                lane.working = self._edge.ledger.underway.begin()
            self._wait_in_lane(shard, lane, Item(number, "debit", request, asked), asked)
        else:
            self._pass_on(number, "debit", request, NotOwner(shard, RETRY_AFTER_US))
        return True

    async def _take(self, item: pb.DecideItem) -> None:
        """Hand an item on; what is wrong with it is its answer."""
        which = item.WhichOneof("request")
        number = item.number
        if self._ended:
            return self._fail(number, _shutting_down())
        if which is None:
            message = "an item asks for one thing"
            return self._fail(number, CallFailed("FIELD_REQUIRED", message, field="request"))
        request = getattr(item, which)
        if which == "check":
            return self._advise(number, request)
        unheld = self._unheld
        if which in ("capture", "release") and unheld is not None and is_unheld(request.hold_id):
            return self._settle(number, KINDS[which], request, unheld)
        kind = KINDS[which]
        underway = self._edge.ledger.underway
        working: Work | None = underway.begin()
        try:
            await self._call.let_in(kind.method, request)
            asked = await kind.ask(self._edge, request, self._call)
            shard = asked.entry.shard
            if self._is_ours(shard):
                lane = self._lane(shard)
                if lane.working is None:
                    lane.working, working = working, None
                self._wait_in_lane(shard, lane, Item(number, which, request, asked), asked)
                return None
            refused = NotOwner(shard, RETRY_AFTER_US)
        except NotOwner as error:
            refused = error
        except Exception as error:
            return self._fail(number, error)
        finally:
            if working is not None:
                underway.end(working)
        self._pass_on(number, which, request, refused)
        return None

    def _is_ours(self, shard: int) -> bool:
        """Whether it is for us to decide, and nothing that was asked before is being decided
        elsewhere. What was asked of us and waits goes first, whoever has the shard by now."""
        lane = self._lanes.get(shard)
        if lane is not None and lane.waiting:
            return True
        return self._edge.ledger.shards.owns(shard) and not self._passages.busy(shard)

    # -- decided here ------------------------------------------------------------------------------

    def _lane(self, shard: int) -> Lane:
        lane = self._lanes.get(shard)
        if lane is None:
            lane = self._lanes[shard] = Lane()
        return lane

    def _wait_in_lane(self, shard: int, lane: Lane, item: Item, asked: Asked) -> None:
        lane.waiting.append(item)
        lane.commands.append(asked.command)
        if not lane.deciding and lane.tickets < TICKETS_MAX:
            self._flush_soon(shard, lane)

    def _flush_soon(self, shard: int, lane: Lane) -> None:
        lane.deciding = True  # with whatever else has come by then
        asyncio.get_running_loop().call_soon(self._flush, shard, lane)

    def _handed_over(self, lane: Lane) -> None:
        if lane.working is not None:
            self._edge.ledger.underway.end(lane.working)
            lane.working = None

    def _flush(self, shard: int, lane: Lane) -> None:
        """One ticket of what waits for a shard."""
        lane.deciding = False
        items, lane.waiting = lane.waiting[:MESSAGE_ITEMS_MAX], lane.waiting[MESSAGE_ITEMS_MAX:]
        commands, lane.commands = lane.commands[: len(items)], lane.commands[len(items) :]
        if not items:
            return
        lane.sent += len(items)
        writer, call = self._edge.ledger.writers[shard], self._call
        actor = call.principal.actor
        try:
            if self._passages.busy(shard):
                raise NotOwner(shard, RETRY_AFTER_US)
            ticket = writer.accept(commands, call.deadline_us, call.span, actor)
        except NotOwner as error:
            for item in items:
                self._pass_on(item.number, item.which, item.request, error)
            return
        except NotApplied as error:
            for item in items:
                self._fail(item.number, error)
            return
        finally:
            if not lane.waiting:
                self._handed_over(lane)
            elif not lane.tickets:  # whose end would bring on those that are left
                self._flush_soon(shard, lane)
        lane.tickets += 1
        lane.last = ticket.future
        ticket.future.add_done_callback(lambda future: self._answered(shard, lane, items, ticket))

    def _answered(self, shard: int, lane: Lane, items: list[Item], ticket: Ticket) -> None:
        lane.tickets -= 1
        future = ticket.future
        error = _unknown() if future.cancelled() else future.exception()
        if error is None:
            self._ready.append((items, ticket))
        for item in items if error is not None else ():
            self._fail(item.number, error if isinstance(error, Exception) else _unknown())
        self._wake.set()
        if lane.waiting:
            self._flush(shard, lane)

    # -- advice, and what is decided elsewhere -----------------------------------------------------

    def _advise(self, number: int, request: pb.CheckRequest) -> None:
        """Advice comes after what was asked of its account before it."""
        before = {
            shard: lane.sent + len(lane.waiting)
            for shard, lane in self._lanes.items()
            if lane.tickets or lane.waiting
        }

        async def work() -> pb.DecideReply | None:
            try:
                await self._call.let_in(CHECK_METHOD, request)
                await self._turn(request, before)
                found = await self._check(request, self._call)
            except NotOwner as error:
                self._pass_on(number, "check", request, error)
                return None
            return pb.DecideReply(number=number, check=found)

        self._spawn(number, work)

    def _settle(self, number: int, kind: Kind, request: Any, unheld: Unheld) -> None:
        """What was let in without a hold: kept where it stands, whoever has its shard."""
        call = self._call.part()

        async def work() -> pb.DecideReply:
            try:
                await call.let_in(kind.method, request)
                found: Any
                if isinstance(request, pb.CaptureRequest):
                    found = await unheld.capture(request, call)
                else:
                    found = await unheld.release(request, call)
            except NotOwner as error:
                if call.forwarded:
                    raise
                found = await self._forwarder.pass_on(
                    kind.method, request, kind.reply, error, call.hop
                )
            return _reply(number, found)

        self._spawn(number, work)

    async def _turn(self, request: pb.CheckRequest, before: Mapping[int, int]) -> None:
        """Return when as many items of the account's shard as were asked `before` are decided.
        Raises NotOwner where some of them are being decided elsewhere."""
        if not before and not self._passages:
            return
        try:
            entry = await self._edge.account(
                await self._edge.tenant(request.tenant), request.account
            )
        except CallFailed:
            return  # nothing was asked of it, and `check` says so
        upto, lane = before.get(entry.shard, 0), self._lanes.get(entry.shard)
        while lane is not None and lane.sent < upto:
            await (asyncio.sleep(0) if lane.last is None else asyncio.wait({lane.last}))
        if lane is not None and lane.last is not None and upto:
            await asyncio.wait({lane.last})
        if self._passages.busy(entry.shard):
            raise NotOwner(entry.shard, RETRY_AFTER_US)

    def _pass_on(self, number: int, which: str, request: Any, refused: NotOwner) -> None:
        """Have the shard's owner decide, after what it was asked before."""
        if self._forwarded:
            self._fail(number, refused)
        else:
            self._passages.pass_on(Onward(number, which, request, refused.shard), refused)

    def _again(self, onward: Onward) -> None:
        """What waited for its shard's items elsewhere: whose it is now."""
        number, request = onward.number, onward.request
        if onward.which == "check":
            self._advise(number, request)
        elif onward.which != "debit" or not self._take_at_once(number, request):
            refused = NotOwner(onward.shard, RETRY_AFTER_US)
            self._pass_on(number, onward.which, request, refused)

    def _spawn(self, number: int, work: Callable[[], Awaitable[pb.DecideReply | None]]) -> None:
        async def run() -> None:
            try:
                reply = await work()
                if reply is not None:
                    self._answer(reply)
            except Exception as error:
                self._fail(number, error)

        task = asyncio.create_task(run())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    # -- answers -----------------------------------------------------------------------------------

    def _answer(self, reply: pb.DecideReply) -> None:
        self._ready.append(reply)
        self._wake.set()

    def _fail(self, number: int, error: Exception) -> None:
        self._ready.append(_failed(number, error))
        self._wake.set()

    async def _fill(self, reply: pb.DecideStreamResponse) -> None:
        """Take what is ready, as much as a message has room for."""
        while self._ready:
            ready = self._ready[0]
            count = 1 if isinstance(ready, pb.DecideReply) else len(ready[0])
            if len(reply.replies) + count > MESSAGE_ITEMS_MAX:
                return
            self._ready.popleft()
            if isinstance(ready, pb.DecideReply):
                reply.replies.append(ready)
                continue
            items, ticket = ready
            usual = 0
            for place, (item, entry_seq) in enumerate(zip(items, entry_seqs(ticket), strict=True)):
                outcome = ticket.outcomes[place]
                if type(outcome) is UsageDebited and is_usual(outcome):
                    added = reply.replies.add(number=item.number)
                    try:
                        say_at_once(self._edge, added.debit, ticket, outcome, entry_seq)
                        usual += 1
                    except Exception as error:
                        added.CopyFrom(_failed(item.number, error))
                else:
                    reply.replies.append(await self._say(item, ticket, place, entry_seq))
            if usual:
                self._edge.telemetry.decided("Debit", "ALLOW", usual)

    async def _say(self, item: Item, ticket: Ticket, place: int, entry_seq: int) -> pb.DecideReply:
        asked = item.asked
        assert asked is not None
        try:
            answer = answer_at(ticket, place, entry_seq, asked.given)
            return _reply(item.number, await item.kind.say(self._edge, asked, answer))
        except (NotApplied, JournalError) as error:  # it is recorded; its answer is not to be had
            message = f"the item is recorded, but its answer could not be made ({error})"
            return _failed(item.number, OutcomeUnknown(message))
        except Exception as error:
            return _failed(item.number, error)


def _reply(number: int, found: Any) -> pb.DecideReply:
    match found:
        case pb.AuthorizeResponse():
            return pb.DecideReply(number=number, authorize=found)
        case pb.DebitResponse():
            return pb.DecideReply(number=number, debit=found)
        case pb.CaptureResponse():
            return pb.DecideReply(number=number, capture=found)
        case pb.ReleaseResponse():
            return pb.DecideReply(number=number, release=found)
        case _:
            return pb.DecideReply(number=number, extend=found)


def _failed(number: int, error: Exception) -> pb.DecideReply:
    """An item's failure, as the status of a single call would say it."""
    failure = error if isinstance(error, CallFailed) else failure_in("DecideStream", error)
    metadata = dict(failure.metadata)
    if failure.field:
        metadata["field"] = failure.field
    if failure.faults and not failure.field:
        metadata["field"] = failure.faults[0].field
    metadata["retryable"] = "true" if TABLE[failure.reason].retryable else "false"
    return pb.DecideReply(
        number=number,
        error=pb.DecideError(
            code=code_pb2.Code.Value(failure.code.name),
            reason=failure.reason,
            message=failure.message,
            metadata=metadata,
            retry_after_us=failure.retry_after_us,
        ),
    )


def _shutting_down() -> CallFailed:
    message = "the server is shutting down; nothing was recorded; send it to another one"
    return CallFailed("SHUTTING_DOWN", message, retry_after_us=RETRY_AFTER_US)


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("whether it is recorded is not known: send the same request_id again")
