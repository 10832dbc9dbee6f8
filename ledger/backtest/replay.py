"""A range of one shard's journal, decided again.

Each entry is read as the command that it answered and goes through the core's own door; what time
made due is decided again where the journal says that it was. So a replay under the cards as they
were published makes the journal's own entries, and under a candidate what the ledger would have
made. What each kind of entry asks for stands in `entries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ledger.backtest.asked import asked
from ledger.backtest.candidate import Cards
from ledger.backtest.entries import ENTRIES
from ledger.backtest.figures import Figured, Figures
from ledger.backtest.numbers import Numbers
from ledger.backtest.sides import JournalSide, ReplaySide
from ledger.backtest.terms import NO_TERMS, Terms
from ledger.backtest.trying import Trying
from ledger.backtest.usual import Usual
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.applying import ask_for_top_ups
from ledger.core.budgets.counted_before import counted_behind
from ledger.core.decide import Outcome, execute
from ledger.core.decisions.affording import Afforded
from ledger.core.decisions.authorizing import assess_up_to, range_of
from ledger.core.decisions.operation_holds import try_reserve
from ledger.core.drawing.conversion import conversion_behind
from ledger.core.due import post_one, rate_one, settle_touched, sweep
from ledger.core.evolve import evolve
from ledger.core.limits import BATCH_INDEX_MAX, HOUR_US
from ledger.core.live_timers import rebuild_timers
from ledger.core.metering.suspense import rated_by
from ledger.core.opening import declare
from ledger.core.outcomes import LOCATOR_INDEX_MASK, Reason, Refusal, locator_of, split_locator
from ledger.core.shapes import Shape
from ledger.core.state import TIMER_MINIMUMS, State

UNSWEPT_US: Final = HOUR_US
UNSWEPT_BATCHES: Final = 256
"""What was due so long before, so many batches ago, and was posted in none of them, is due in the
replay alone: a writer posts as many entries a batch."""
_TRIES_MAX: Final = 64  # of a command that first posts what is overdue, in parts
_LESS: Final = {Reason.AMOUNT_EXCEEDS_OWED, Reason.REFUND_TOO_LARGE, Reason.CORRECTION_TOO_LARGE}
"""Refused for it is more than there is; the refusal's value is what there is."""


class Replay:
    """One shard from where the range begins."""

    def __init__(
        self,
        state: State,
        cards: Cards,
        originals: dict[int, c.Original],
        corrected: Mapping[int, frozenset[int]],
        tenant: int = 0,
        plainly: bool = False,
        terms: Terms = NO_TERMS,
        began_us: int | None = None,
    ) -> None:
        """`state` stands at the entry before, with the catalog that `cards` installs in.

        `originals`: what is corrected in the range and was recorded before it, by locator;
        `corrected`: batch -> indexes of what is corrected. `tenant`: whose entries are decided
        again; 0 = everybody's. `plainly`: nothing in the fast loop. `terms`: what is tried beside
        the cards, from `began_us` on, where the range begins (None = with the journal).
        """
        self.state = state
        self.cards = cards
        self.figured = Figured()
        self.figures = self.figured.figures
        self.before = JournalSide(self.figured, state)
        self.now = ReplaySide(self.figured, state)
        self.numbers = Numbers(state)
        self.usual = Usual(state, self.figured, self.before.money, tenant)
        self.made: list[e.Event] = []  # by the last decision
        self.operation_holds: set[int] = set()  # of an operation with all its calls
        self.denied_holds: set[int] = set()  # that the ledger had allowed
        self.originals = originals
        self.replaced: dict[bytes, c.Original] = {}  # recorded by an amendment of the batch
        self._waits: dict[int, int] = {}  # what the journal says waits -> where that stands here
        self._ratings: dict[int, c.Original] = {}  # that rated what had waited, by locator here
        self._corrected = corrected
        self._first = state.batch_seq + 1  # batch of the range
        self._tenant = tenant
        self._plainly = plainly
        self.trying = Trying(self, terms, began_us, tenant)
        self._batches = 0
        self._due_by = 0
        for published_by, version in sorted(state.configuration.items()):
            for each in range(1, version + 1):
                cards.apply(published_by, each)
        rebuild_timers(state)

    def batch(self, batch_seq: int, recorded_at: int, events: Sequence[e.Event]) -> None:
        """Decide the next batch again."""
        state, usual, figures = self.state, self.usual, self.figures
        state.keys.newest.clear()  # an identity comes once in a journal
        state.begin_batch(batch_seq, recorded_at)
        usual.begin_batch(self._corrected.get(batch_seq, frozenset()))
        self.before.plans = {}
        self.replaced = {}
        self.trying.begin_batch()
        place, end = 0, len(events)
        while place < end:
            if not self._plainly:
                reached = usual.take(events, place)
                figures.usual += reached - place
                figures.usage_events += reached - place
                place = reached
            if place < end:
                self._entry(events, place)
                usual.look_after(events[place])
                place += 1
        figures.entries += end
        usual.end_batch()
        self._sweep()

    def close(self, accounts_max: int) -> Figures:
        """What was found, with so many accounts in each list."""
        self.usual.close()
        return self.figured.close(accounts_max)

    def _sweep(self) -> None:
        """Now and then: what the journal will not say is due."""
        state = self.state
        self._batches += 1
        if self._batches % UNSWEPT_BATCHES:
            return
        if state.timers and state.timers[0][0] <= self._due_by:
            self.usual.look_again()
            self.numbers.prepare_anew()
            self.made = []
            sweep(state, BATCH_INDEX_MAX, self.made, until=self._due_by)
            self._take()
        self._due_by = state.recorded_at - UNSWEPT_US

    def _entry(self, events: Sequence[e.Event], index: int) -> None:
        event = events[index]
        if self._tenant and not self._is_ours(event):
            return
        take = ENTRIES.get(type(event))
        if take is not None:
            take(self, events, index)
            return
        self.before.learn(event)
        self.before.take(event, None)
        command = asked(event)
        if command is not None:
            self.run(command, events, index)

    def _is_ours(self, event: e.Event) -> bool:
        if isinstance(event, e.AccountCreated | e.BookOpened | e.ConfigurationApplied):
            return event.tenant == self._tenant
        account = self.state.accounts.get(event.account)
        return account is None or account.tenant == self._tenant

    # -- deciding ----------------------------------------------------------------------------------

    def run(
        self, command: c.Command, events: Sequence[e.Event], index: int, grant: int = 0
    ) -> Outcome:
        """Decide again what the entry at `index` answers; what is more than there is asks for what
        there is. `grant` is the number of the one that it issues."""
        also = command.usage.key if isinstance(command, c.AmendUsage) else b""
        self.numbers.prepare(events, index, grant, also)
        named = getattr(command, "grant", 0)
        if named:
            command.grant = self.numbers.grant(named)  # type: ignore[union-attr]
        outcome = self._execute(command)
        if isinstance(outcome, Refusal):
            other = _as_far_as_it_goes(command, outcome)
            if other is not None:
                outcome = self._execute(other)
        if isinstance(outcome, Refusal):
            self.refused(events[index], outcome.reason)
        return outcome

    def run_anew(self, command: c.Command) -> Outcome:
        """Decide what the journal does not have."""
        self.usual.look_again()
        self.numbers.prepare_anew()
        return self._execute(command)

    def _execute(self, command: c.Command) -> Outcome:
        self.made = []
        for _ in range(_TRIES_MAX):
            outcome = execute(self.state, command, self.made)
            if not isinstance(outcome, Refusal) or outcome.reason != Reason.BATCH_FULL:
                break
        self._take()
        return outcome

    def fact(
        self,
        event: e.PriceOverridesSet
        | e.UsageMetered
        | e.MetersReversed
        | e.GaugeReversed
        | e.SharingUpdated
        | e.CapSet
        | e.CapRemoved,
    ) -> None:
        """Take an entry as it is: nothing of it depends on prices."""
        state = self.state
        state.act_for(state.accounts[event.account].tenant)
        self.made = [] if state.acting == state.offset else [e.TimeShifted(state.acting)]
        self.made.append(event)
        for each in self.made:
            evolve(state, each)
        self._take()

    def report(self, event: e.GaugeReported, declared: e.PlanDeclared) -> None:
        """Take a report of a gauge as it is, with what it is usage of."""
        state = self.state
        state.act_for(state.accounts[event.account].tenant)
        self.made = [] if state.acting == state.offset else [e.TimeShifted(state.acting)]
        plan = declare(state, declared, self.made)
        self.made.append(replace(event, plan=plan))
        for each in self.made:
            evolve(state, each)
        self._take()

    def _take(self) -> None:
        """What was made goes into the figures."""
        declared = self.state.declared
        for event in self.made:
            self.now.take(event, declared.get(getattr(event, "plan", -1)))
            if isinstance(event, e.SuspenseRated):
                original = self.original(event)
                self._ratings[original.locator] = original

    def shape(self, declared: e.PlanDeclared) -> Shape:
        """How the events of a plan were described."""
        return self.state.catalog.shape(
            declared.product, declared.attributes, declared.quantity_names
        )

    def refused(self, event: e.Event, reason: str) -> None:
        """Count an entry that is not repeated."""
        self.figured.refused[(type(event).__name__, reason)] += 1

    def not_tried(self, place: str, reason: str) -> None:
        """Count a part of the terms that came to nothing."""
        self.figured.not_tried[(place, reason)] += 1

    def post(self, kind: int, number: int, events: Sequence[e.Event], index: int) -> None:
        """Time made something due; whether it did so here too is decided again."""
        self.numbers.prepare(events, index)
        self.made = []
        post_one(self.state, kind, number, self.made)
        self._take()

    def settle_minimums(self, number: int, end: int, events: Sequence[e.Event], index: int) -> None:
        """A period's minimums were settled: here those of the periods before come first, of which
        the journal says nothing where they had none."""
        account = self.state.accounts.get(number)
        while account is not None and self.state.minimums_period(account)[1] <= end:
            due = account.minimums_due
            self.post(TIMER_MINIMUMS, number, events, index)
            if account.minimums_due == due:
                break

    def rate(self, account: int, usage: int, events: Sequence[e.Event], index: int) -> None:
        """A price came for what waited of a usage event, which the journal has at `usage`."""
        self.numbers.prepare(events, index)
        self.made = []
        rate_one(self.state, account, self._waits.get(usage, usage), self.made)
        self._take()

    def rated(self, account: int, original: c.Original) -> tuple[c.Original, ...]:
        """The entries here that rated a usage event after it had waited."""
        found = []
        for locator in rated_by(self.state, account, original.locator):
            rating = self._ratings.get(locator) or self.originals.get(locator)
            if rating is not None:
                found.append(rating)
        return tuple(found)

    def ask_for_top_ups(self, account: int, events: Sequence[e.Event], index: int) -> None:
        """What rules of the account ask for as things stand here, in the time of its tenant."""
        self.numbers.prepare(events, index)
        self.made = []
        asking = self.state.accounts.get(account)
        if asking is not None:
            self.state.act_for(asking.tenant)
        ask_for_top_ups(self.state, asking, self.made)
        self._take()

    def is_allowed(
        self,
        command: c.AuthorizeHold | c.DebitWork | c.ReserveOperation,
        events: Sequence[e.Event],
        index: int,
    ) -> bool:
        """Whether what was denied would be allowed; nothing is held for it."""
        self.numbers.prepare(events, index)
        self.made = []
        refusal = settle_touched(self.state, command, self.made)
        self._take()
        account = self.state.accounts.get(command.account)
        if refusal is not None or account is None:
            return False
        if isinstance(command, c.ReserveOperation):
            reserved = try_reserve(self.state, account, command.amount, command.operation)
            return not isinstance(reserved, Refusal) and not reserved.denied
        shape, quantities = command.shape, command.quantities
        up_to = range_of(shape, quantities, command.up_to, command.minimum)
        if isinstance(up_to, Refusal):
            return False
        quote = command.quote if isinstance(command, c.AuthorizeHold) else 0
        hold = self.state.holds.get(command.hold) if isinstance(command, c.DebitWork) else None
        found = assess_up_to(
            self.state, account, shape, quantities, up_to, self.state.now, quote,
            command.operation, hold,
        )  # fmt: skip
        return isinstance(found, Afforded) and not found.found.denied

    # -- what is corrected later -------------------------------------------------------------------

    def original(self, event: e.UsageRecorded) -> c.Original:
        """What was just made, as a correction asks for it."""
        state = self.state
        place = next(place for place, each in enumerate(self.made) if each is event)
        locator = state.locator - (len(self.made) - place)
        entry = locator & LOCATOR_INDEX_MASK
        entry_seq = state.first_event + entry
        behind = conversion_behind(self.made, place)
        cost_plan = state.declared[event.cost.plan] if event.cost is not None else None
        declared = state.declared[event.plan]
        counted = counted_behind(self.made, place, entry)
        return c.Original(locator, entry_seq, event, declared, behind, cost_plan, counted=counted)

    def never_run(self, locator: int) -> bool:
        """Whether an entry that was corrected has none in its stead here: it is of the range, and
        of a hold that is denied."""
        batch_seq, _ = split_locator(locator)
        return batch_seq >= self._first and locator not in self.originals

    def keep(self, index: int, original: c.Original, *, waits: bool = False) -> None:
        """Keep what stands here for the entry at `index`, if that is corrected or rated later."""
        locator = locator_of(self.state.batch_seq, index)
        if index in self.usual.corrected:
            self.originals[locator] = original
        if waits:
            self._waits[locator] = original.locator


def _as_far_as_it_goes(command: c.Command, refusal: Refusal) -> c.Command | None:
    """What is left of a command whose whole the replay has no room for; None = nothing.

    A payment, a refund or a goodwill gesture was a fact, but there may be less to pay or to give
    back; an account that closed closes with what it has here.
    """
    if refusal.reason == Reason.ACCOUNT_NOT_EMPTY and isinstance(command, c.CloseAccount):
        return replace(command, write_off=True, release_holds=True)
    left = int(refusal.value) if refusal.value.lstrip("-").isdigit() else 0
    if refusal.reason == Reason.INSUFFICIENT_CREDITS and isinstance(command, c.AdjustBalance):
        return replace(command, amount=-left) if left > 0 else None
    if refusal.reason not in _LESS or left <= 0:
        return None
    if isinstance(command, c.ReverseUsage):
        return replace(command, as_charged=left) if command.as_charged else None
    if hasattr(command, "amount"):
        return replace(command, amount=left)
    return None
