"""DecisionService.ExplainRecorded: which decision is meant, and what was recorded of it.

The look back runs in a process that is not ours (`ledger.decision_process`), and ends with the
call. Must not read the journal itself.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from ledger.api.answers import Answer, replayed
from ledger.api.calls import Call
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.ids import hold_number
from ledger.api.limits import Checked
from ledger.api.permits import not_permitted
from ledger.api.positions import position_of
from ledger.api.read_models import reached
from ledger.api.rendering.render_decision import (
    limit_said,
    render_authorize,
    render_debit,
    say_limit,
    say_ruling,
)
from ledger.backtest.again import Said, is_decision, is_of_quote, said_of
from ledger.core.events import QuoteMade, UsageDebited, WorkDenied
from ledger.core.outcomes import split_locator
from ledger.engine.past import ENTRIES_MAX
from ledger.engine.ticket import Replay
from ledger.engine.writer import Writer
from ledger.journal.directory import Entry
from ledger.projections.as_of import History
from ledger.v1 import correction_pb2
from ledger.v1 import decision_pb2 as pb

RETRY_AFTER_US: Final = 2_000_000


class Question(msgspec.Struct, frozen=True):
    """A recorded decision: of which family of which tenant, in which batch, at which index."""

    shard: int
    tenant: int
    root: int
    batch_seq: int
    in_batch: int


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """An ExplainRecordedResponse without what was recorded; or how many entries are too many to be
    read; or why there is no answer, for now if the journal is `away`. `line`: the account and those
    that were above it then."""

    said: bytes = b""
    line: tuple[int, ...] = ()
    entries: int = 0
    fault: str = ""
    away: bool = False


class ExplainersBusy(Exception):
    """As many look back as may at once."""


class ExplanationFailed(Exception):
    """The process could not read what it was to explain, or not in time."""


class Explainer(Protocol):
    """Who looks back for this server."""

    async def explain(self, question: Question) -> Answered:
        """Raises ExplainersBusy, ExplanationFailed."""
        ...


class RecordedDecisions:
    """Finds recorded decisions, and has them explained."""

    def __init__(self, edge: Edge, history: History | None, explainer: Explainer | None) -> None:
        """`history` None: there are no read models; `explainer` None: nobody looks back."""
        self._edge = edge
        self._history = history
        self._explainer = explainer

    async def explain(
        self, request: pb.ExplainRecordedRequest, call: Call
    ) -> pb.ExplainRecordedResponse:
        """Why it was decided so. Raises CallFailed, NotApplied, JournalError."""
        edge, explainer = self._edge, self._explainer
        tenant = await edge.tenant(request.tenant)
        _check(request)
        if explainer is None:
            raise CallFailed(
                "PAST_ABSENT",
                "this server keeps nothing in PostgreSQL that could be looked back into",
            )
        entry = await edge.account(tenant, request.account)
        found = await self._find(request, entry, call)
        if is_of_quote(found.event):
            found = await self._beside(found, entry, -1)
        event = found.event
        if not is_decision(event):
            raise CallFailed(
                "NOT_A_DECISION",
                "the entry is no answer to Authorize or Debit, nor a hold with its quote; what "
                "usage costs says Explain",
                field=request.WhichOneof("decision") or "",
                value=type(event).__name__,
            )
        _, in_batch = split_locator(found.locator)
        question = Question(entry.shard, tenant, entry.root, found.batch_seq, in_batch)
        answered = await self._ask(explainer, question)
        await self._permitted(answered.line, event.account, entry, request.account, call)
        response = pb.ExplainRecordedResponse.FromString(answered.said)
        told = await self._beside(found, entry, 1) if isinstance(event, QuoteMade) else found
        said = said_of(event, told.event)
        await self._say_recorded(response, said, replayed(told, entry.shard), entry.shard)
        response.entry.CopyFrom(
            correction_pb2.EntryRef(batch_seq=found.batch_seq, entry_seq=found.entry_seq)
        )
        response.recorded_at_us = found.recorded_at
        return response

    # -- which -------------------------------------------------------------------------------------

    async def _find(self, request: pb.ExplainRecordedRequest, entry: Entry, call: Call) -> Replay:
        """Raises AuthRefused for what is of an account that is not covered. Whoever covers less
        than the family is refused alike where nothing is found, so as not to learn what is."""
        edge = self._edge
        writer = edge.writer(entry)
        which = request.WhichOneof("decision")
        field, value = str(which), ""
        if which == "request_id":
            value = request.request_id
            key = edge.ledger.family(entry).request(value)
            found = await writer.recorded.under(key)
        elif which == "hold_id":
            value = request.hold_id
            found = await self._of_hold(writer, value, entry)
        else:
            named = request.entry
            field, value = "entry.entry_seq", str(named.entry_seq)
            found = await writer.recorded.entry(entry.root, named.batch_seq, named.entry_seq)
        if found is not None:
            await call.found(entry.tenant, entry.shard, found.event.account, field, value)
            return found
        if which != "hold_id" and not await call.covers_family(entry):
            raise not_permitted(field, value)
        raise CallFailed(
            "DECISION_UNKNOWN",
            "nothing of the account's family is recorded by that name; a request_id is known "
            "for 35 days: name what is older by its hold or its entry",
            field=field,
            value=value,
        )

    async def _beside(self, found: Replay, entry: Entry, step: int) -> Replay:
        """The entry so far from another one of its batch."""
        at = found.entry_seq + step
        beside = await self._edge.writer(entry).recorded.entry(entry.root, found.batch_seq, at)
        assert beside is not None, at
        return beside

    async def _of_hold(self, writer: Writer, hold_id: str, entry: Entry) -> Replay | None:
        number = hold_number(hold_id, entry.number, len(self._edge.ledger.writers))
        _, position = await writer.read(_nothing)
        history = await reached(self._history, entry, position_of(entry.shard, position))
        entry_seq = await history.hold_entry(entry.tenant, entry.shard, number)
        if entry_seq is None:
            return None
        return await writer.recorded.entry(entry.root, 0, entry_seq)

    # -- why ---------------------------------------------------------------------------------------

    async def _permitted(
        self, line: tuple[int, ...], number: int, entry: Entry, name: str, call: Call
    ) -> None:
        """Whoever covers the account may know what those above it hold; those that were above it
        before it moved are another's. Raises AuthRefused."""
        if not call.principal.accounts:
            return
        above, _ = await self._edge.writer(entry).read(
            lambda state: {each.number for each in state.accounts[number].line()}, 0, (number,)
        )
        for other in set(line) - above:
            await call.found(entry.tenant, entry.shard, other, "account", name)

    async def _ask(self, explainer: Explainer, question: Question) -> Answered:
        running = asyncio.create_task(explainer.explain(question))
        closing = asyncio.create_task(self._edge.closing.wait())
        try:
            await asyncio.wait((running, closing), return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise CallFailed("SHUTTING_DOWN", "the server stops; ask another one")
            answered = running.result()
        except ExplainersBusy as error:
            raise CallFailed(
                "EXPLAINING_OTHERS",
                "this server looks back for as many callers as it may at once; ask again",
                retry_after_us=RETRY_AFTER_US,
            ) from error
        except ExplanationFailed as error:
            raise CallFailed("EXPLANATION_FAILED", str(error)) from error
        finally:
            closing.cancel()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)  # its process is gone then
        if answered.entries:
            raise CallFailed(
                "PAST_TOO_LONG",
                f"{answered.entries} entries of the shard would have to be read to stand where it "
                f"was decided, {ENTRIES_MAX} are at most; GetOutcome tells what was recorded",
                value=str(answered.entries),
            )
        return answered

    async def _say_recorded(
        self, response: pb.ExplainRecordedResponse, event: Said, answer: Answer, shard: int
    ) -> None:
        edge, plan = self._edge, answer.plan
        assert plan is not None
        said: pb.AuthorizeResponse | pb.DebitResponse
        if isinstance(event, UsageDebited) or (isinstance(event, WorkDenied) and event.debit):
            said = response.debit
            said.CopyFrom(render_debit(edge.assets, event, plan))
        else:
            said = response.authorize
            said.CopyFrom(render_authorize(edge.assets, event, plan, shard))
        said.position, said.replayed = answer.position, True
        limit = limit_said(event)
        if limit is not None:
            names = await edge.names([limit.account])
            say_limit(said, limit, shard, names, answer.recorded_at_us)
        await say_ruling(edge, said, event, plan, shard)


def _check(request: pb.ExplainRecordedRequest) -> None:
    check = Checked()
    check.ids(account=request.account)
    which = request.WhichOneof("decision")
    check.given("decision", which is not None)
    if which == "request_id":
        check.ids(request_id=request.request_id)
    elif which == "entry":
        check.between("entry.batch_seq", request.entry.batch_seq, 0)
        check.between("entry.entry_seq", request.entry.entry_seq, 0)
    check.done()


def _nothing(_: object) -> None:
    """Only the position is asked for."""
