"""One account of a job that rates usage again: found, tried, done (rule R7).

All of its usage is looked at before anything is done, in steps between which the writer goes on.
Then it is given back and recorded again, so many events a decision; a decision is one ticket, so
that both stand in one batch of the journal. Where the new price goes on with totals of the old one
and the account has more, all is given back first. What is recorded already is known by its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, NamedTuple

from ledger.api.answers import answer_of
from ledger.api.calls import Call
from ledger.api.charged_usage import ChargedUsage
from ledger.api.edge import Edge
from ledger.api.errors import CallFailed
from ledger.api.rendering.render_rerate import Sums, render_left, render_total
from ledger.core.commands import NO_NAMES, AdjustBalance, Names, Original
from ledger.core.events import UsageRecorded, UsageRepriced, UsageRerated, UsageReversed
from ledger.core.outcomes import Refusal
from ledger.core.pricing.repricing import REPRICED_A_DECISION_MAX, Job, Trial
from ledger.core.pricing.touched import Touched, consider, touched_again, whole_scopes
from ledger.core.state import State
from ledger.engine.ticket import Replay, Ticket
from ledger.engine.writer import Writer
from ledger.journal.directory import Entry
from ledger.projections.charged import Charged
from rating.v1 import rerate_pb2 as pb

ASSET_DIFFERS: Final = "ASSET_DIFFERS"  # of a closed period: no one figure says what is due


class Item(NamedTuple):
    """Usage that is to be rated again: what is left of it, and whether the job has given it back
    before, by which entry."""

    touched: Touched
    quantities: tuple[int, ...]
    names: Names
    reversal_entry: int


class AccountJob:
    """A job on one account. `run` once; then what came of it is here."""

    step: ClassVar[int] = REPRICED_A_DECISION_MAX  # usage events that a writer has at once

    def __init__(self, edge: Edge, writer: Writer, entry: Entry, job: Job, call: Call) -> None:
        self.events = 0
        self.done_before = 0
        self.totals: dict[tuple[str, int], Sums] = {}  # product, asset
        self.closed: dict[tuple[int, str, int], Sums] = {}  # period, product, asset
        self.adjusted: dict[tuple[int, str, int], str] = {}  # "" = applied, else why not
        self.left: dict[str, list[int]] = {}  # reason -> entries
        self._edge = edge
        self._writer = writer
        self._entry = entry
        self._family = edge.ledger.family(entry)
        self._job = job
        self._call = call
        self._items: list[Item] = []
        self._same: dict[int, Item] = {}  # entry -> usage that is priced so already
        self._trial = Trial()
        self._journal = ChargedUsage(edge, writer, self._family)

    async def look_at(self, usage: Sequence[Charged]) -> None:
        """Sort out some of the account's usage; in the order recorded."""
        self.events += len(usage)
        replays = await self._journal.usage(usage)
        for start in range(0, len(usage), self.step):
            await self._sort_out(
                replays[start : start + self.step], usage[start : start + self.step]
            )

    async def _sort_out(self, replays: Sequence[Replay], usage: Sequence[Charged]) -> None:
        originals = [each.original for each in replays]
        again = await self._journal.given_back(self._job, originals)

        def look(state: State) -> list[Touched | str | None]:
            return [
                self._consider(state, original, charged.amended, again.get(original.entry_seq))
                for original, charged in zip(originals, usage, strict=True)
            ]

        found, _ = await self._writer.read(look, accounts=(self._entry.number,))
        for replay, each in zip(replays, found, strict=True):
            if isinstance(each, str):
                self.left.setdefault(each, []).append(replay.entry_seq)
            elif each is not None:
                await self._keep(replay, each, again.get(replay.entry_seq))

    def join(self) -> None:
        """All is looked at: take in what shares totals with usage that is to be given back."""
        touched = [each.touched for each in self._items if not each.reversal_entry]
        items = {each.touched.original.entry_seq: each for each in self._items}
        for each in whole_scopes(touched, [item.touched for item in self._same.values()]):
            entry = each.original.entry_seq
            if each.same:
                items[entry] = self._same[entry]
        self._items = [items[entry] for entry in sorted(items)]

    async def try_out(self) -> None:
        """What it would come to, by the same steps; nothing is recorded."""
        trial, order = self._trial, list(range(len(self._items)))
        refused: set[int] = set()

        def take(state: State, places: Sequence[int]) -> None:
            for place in places:
                item = self._items[place]
                if item.reversal_entry:
                    continue
                refund = trial.take(state, item.touched)
                if isinstance(refund, str):
                    self._leave(refund, item.touched.original)
                    refused.add(place)
                else:
                    self._sums(*_old(item.touched)).charged += refund.amount

        def put(state: State, places: Sequence[int]) -> None:
            for place in places:
                if place in refused:
                    continue
                item = self._items[place]
                charge = trial.put(state, item.touched, item.quantities)
                if isinstance(charge, str):
                    self._leave(charge, item.touched.original)
                else:
                    sums = self._sums(*_new(item.touched))
                    sums.recharged += charge
                    sums.events += 1

        await self._in_steps(take, order[::-1])
        await self._in_steps(put, order)

    async def run(self) -> None:
        """Do it."""
        items = self._items
        size = self.step
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        if len(parts) > 1 and any(each.touched.shares_totals for each in items):
            taken: dict[int, int] = {}
            for part in reversed(parts):
                await self._submit(part, {}, taken=taken)
            for part in parts:
                await self._submit(part, taken, put=True)
            return
        for part in parts:
            await self._submit(part, {}, put=True)

    async def adjust(self, actor: str) -> None:
        """Post the adjustments of closed periods, one a product and period."""
        job, entry = self._job, self._entry
        for (period, product, asset), sums in self.closed.items():
            due = sums.charged - sums.recharged  # above 0: too much was charged
            if due == 0:
                continue
            reason = (
                f"RERATE {job.name}: {product} of the period from {period} by {job.rate_card}@"
                f"{job.card_version}"
            )
            texts = (("actor", actor or "rerate"), ("reason", reason))
            request_id = f"{job.source}/{entry.number}/{product}/{period}"
            command = AdjustBalance(
                self._family.request(request_id),
                entry.number,
                asset,
                due,
                note=self._family.pairs(texts),
                names=Names("", request_id, personal=texts),
                trace=self._call.trace,
            )
            ticket = await self._call.submit(self._edge.ledger, entry, command)
            try:
                answer_of(ticket, {"account": entry.account_id})
            except CallFailed as failed:
                self.adjusted[period, product, asset] = failed.reason
            else:
                self.adjusted[period, product, asset] = ""

    # -- what there is -----------------------------------------------------------------------------

    def _consider(
        self, state: State, original: Original, amended: bool, again: tuple[int, ...] | None
    ) -> Touched | str | None:
        if again == ():
            self.done_before += 1
            return None
        if again is not None:
            return touched_again(
                state, original, self._job.rate_card, self._job.card_version, again[1:]
            )
        job = self._job
        found = consider(state, original, job.rate_card, job.card_version, amended=amended)
        if not isinstance(found, Touched) or not found.closed:
            return found
        if found.same and not any(place in self._trial.totals for place in found.places):
            return None
        result = self._trial.put_closed(state, found)
        if isinstance(result, str):
            return result
        old, new = _old(found), _new(found)
        if old != new:
            return ASSET_DIFFERS
        sums = self.closed.setdefault((found.period, *old), Sums())
        sums.events += 1
        sums.charged += result[0]
        sums.recharged += result[1]
        return None

    async def _keep(self, replay: Replay, touched: Touched, again: tuple[int, ...] | None) -> None:
        recorded = replay.event
        assert isinstance(recorded, UsageRecorded)
        names = NO_NAMES
        if recorded.operation or recorded.personal:
            names = await self._journal.names_of(replay)
        if touched.same:
            self._same[replay.entry_seq] = Item(touched, touched.quantities, names, 0)
        elif again is not None:
            self._items.append(Item(touched, again[1:], names, again[0]))
        else:
            self._items.append(Item(touched, touched.quantities, names, 0))

    async def _in_steps(
        self, step: Callable[[State, Sequence[int]], None], places: Sequence[int]
    ) -> None:
        size = self.step
        for start in range(0, len(places), size):
            some = places[start : start + size]
            await self._writer.read(
                lambda state, some=some: step(state, some),  # type: ignore[misc]
                accounts=(self._entry.number,),
            )

    # -- what is done ------------------------------------------------------------------------------

    async def _submit(
        self,
        part: Sequence[Item],
        earlier: dict[int, int],
        *,
        taken: dict[int, int] | None = None,
        put: bool = False,
    ) -> None:
        """Give a part back, the last first, and record it again, the first first. `taken` notes the
        entries that gave it back; `earlier` says those where that was done before."""
        takes, puts = [], []
        for item in part:
            original = item.touched.original
            entry = item.reversal_entry or earlier.get(original.locator, 0)
            take, again = self._job.commands_of(
                self._family, original, item.touched.shape, item.quantities, item.names, entry,
                self._call.trace,
            )  # fmt: skip
            takes.append(take)
            puts.append(again)
        commands = [*reversed(takes), *(puts if put else ())]
        ticket = await self._writer.submit(commands, 0, self._call.span, self._call.principal.actor)
        self._call.recorded = True
        rerated = _rerates_in(ticket)
        refused: set[int] = set()
        for place, item in enumerate(reversed(part)):
            outcome = ticket.outcomes[place]
            original = item.touched.original
            if isinstance(outcome, Refusal):
                self._leave(outcome.reason.value, original)
                refused.add(original.locator)
                continue
            event = outcome.event if isinstance(outcome, Replay) else outcome
            assert isinstance(event, UsageReversed)
            if taken is not None:
                taken[original.locator] = ticket.entry_seq(place)
            if original.locator in earlier or item.reversal_entry:
                continue  # counted as it was given back
            amount = sum([piece.amount for piece in event.given_back]) - rerated.get(id(event), 0)
            self._sums(*_old(item.touched)).charged += amount
        for place, item in enumerate(part if put else (), len(part)):
            outcome = ticket.outcomes[place]
            original = item.touched.original
            if isinstance(outcome, Refusal):
                if original.locator not in refused:
                    self._leave(outcome.reason.value, original)
                continue
            event = outcome.event if isinstance(outcome, Replay) else outcome
            assert isinstance(event, UsageRepriced)
            sums = self._sums(*_new(item.touched))
            charge = sum([piece.amount for piece in event.slices])
            sums.recharged += charge + rerated.get(id(event), 0)
            sums.events += 1

    def _sums(self, product: str, asset: int) -> Sums:
        return self.totals.setdefault((product, asset), Sums())

    def _leave(self, reason: str, original: Original) -> None:
        self.left.setdefault(reason, []).append(original.entry_seq)

    # -- what came of it ---------------------------------------------------------------------------

    def render(self, *, dry_run: bool) -> pb.RerateAccount:
        """As the answer says it."""
        assets = self._edge.assets
        account = pb.RerateAccount(
            account=self._entry.account_id,
            shard=self._entry.shard,
            done_before=self.done_before,
            left_alone=render_left(self.left),
        )
        for (product, asset), sums in sorted(self.totals.items()):
            account.totals.append(render_total(assets, product, asset, sums))
        for (period, product, asset), sums in sorted(self.closed.items()):
            reason = self.adjusted.get((period, product, asset))
            due = sums.charged != sums.recharged
            account.adjustments.append(
                pb.RerateAdjustment(
                    period_us=period,
                    total=render_total(assets, product, asset, sums),
                    applied=due and not dry_run and reason == "",
                    reason=reason or "",
                )
            )
        return account


def _old(touched: Touched) -> tuple[str, int]:
    plan = touched.original.plan
    assert plan is not None
    return plan.product, plan.asset


def _new(touched: Touched) -> tuple[str, int]:
    return touched.bound.declaration.product, touched.bound.asset


def _rerates_in(ticket: Ticket) -> dict[int, int]:
    """What earlier usage costs more (or less, below 0) by entries of the ticket, by their id()."""
    found: dict[int, int] = {}
    events = ticket.events
    for event in events[: ticket.position - ticket.first_event]:
        if type(event) is not UsageRerated:  # what others cost by it is not of this usage
            continue
        cause = id(events[event.entry])
        more = sum([piece.amount for piece in event.slices])
        less = sum([piece.amount for piece in event.given_back])
        found[cause] = found.get(cause, 0) + more - less
    return found
