"""Holders of credit leases in a world that fails: clocks that are off, messages that are lost,
doubled, delayed and overtaken, holders and servers that crash. One seed, one world, a few ms.

The real core of the ledger and the real core of the client, over queues of our own and a virtual
clock. What must hold at every step (rule H7): no grant is drawn and held beyond its units; nothing
is over its lease; the account owes no more than the slices that lapsed before they were reported,
and nothing where leases stay charged; no hard budget, that of an operation included, is passed by
more than those; each event counts once, as often as it is reported. In the end every unit is back:
nothing pends, and what was used is what was recorded.

    python -m ledger.simulation.lease_holders 0..9999
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

import msgspec

from ledger.client.lease_core import (
    AcquireRequest,
    GiveBackRequest,
    LeaseCore,
    RenewRequest,
    ReportRequest,
)
from ledger.client.limits import LeaseTerms
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.catalog import Asset, Catalog, asset_number
from ledger.core.commands import NO_NAMES, Command
from ledger.core.decide import Outcome, execute
from ledger.core.due import sweep
from ledger.core.evolve import evolve
from ledger.core.identity import FamilyDigest
from ledger.core.limits import DAY_US, SECOND_US
from ledger.core.live_timers import rebuild_timers
from ledger.core.outcomes import Known, Refusal, split_locator
from ledger.core.repeats import first_difference
from ledger.core.shapes import Shape
from ledger.core.state import State
from rating.card import Meter, PriceRow, Product, RateCard
from rating.compile import CompiledCard
from rating.versions import CardVersion

START_US: Final = 1_767_225_600_000_000
TENANT: Final = 1
ACCOUNT: Final = 1
CREDITS: Final = asset_number(TENANT, 1)
FAMILY: Final = FamilyDigest(b"\x07" * 32)
TOKENS: Final = Shape("chat", (), ("tokens",))
LEASED: Final = Shape("chat", (), (e.LEASED_QUANTITY,))
RUN: Final = FAMILY.operation("run")
TOOL: Final = FAMILY.operation("tool", "run")
_GIVEN: Final = ("", "", "by hand", "", "policy")
TIMEOUT_US: Final = 2 * SECOND_US  # until a holder asks again
SWEEP_US: Final = SECOND_US // 2
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[e.Event]).decode


class Broken(Exception):
    """Something that must hold does not."""


def priced_catalog() -> Catalog:
    """A token of `chat` costs one credit."""
    catalog = Catalog()
    catalog.add_asset(Asset(CREDITS, TENANT, "credits", 0, "credit"))
    card = RateCard(
        name="default",
        asset="credits",
        asset_scale=0,
        meters=(Meter("tokens"),),
        products=(Product("chat"),),
        rows=(PriceRow(product="chat", quantity="tokens", price="1"),),
    )
    catalog.add_card(TENANT, "default", CardVersion(3, 0, 0, CompiledCard(card, 3)))
    return catalog


class Server:
    """The ledger's core behind a door: a batch a command, durable before it is answered."""

    def __init__(self) -> None:
        self.catalog = priced_catalog()
        self.journal: list[tuple[int, list[e.Event]]] = []
        self.state = State(0, self.catalog)
        self.down_until = 0

    def crash(self, until_us: int) -> None:
        """Lose what is in memory; the journal's bytes are what is left."""
        self.down_until = until_us
        state = State(0, self.catalog)
        for batch_seq, (recorded_at, events) in enumerate(self.journal, start=1):
            state.begin_batch(batch_seq, recorded_at)
            for event in _decode(_encode(events)):
                evolve(state, event)
        rebuild_timers(state)
        self.state = state

    def ask(self, command: Command, now_us: int) -> e.Event | Refusal:
        """Decide a command; a known key is answered with what was recorded for it."""
        batch = self._begin(now_us)
        outcome: Outcome = execute(self.state, command, batch)
        if isinstance(outcome, Known):
            batch_seq, index = split_locator(outcome.locator)
            events = self.journal[batch_seq - 1][1]
            recorded: Any = events[index]
            plan = events[recorded.plan] if hasattr(recorded, "plan") else None
            assert plan is None or isinstance(plan, e.PlanDeclared)
            differs = first_difference(command, recorded, plan)
            if differs:
                raise Broken(f"the same id with another body: {differs} of {command}")
            return recorded  # type: ignore[no-any-return]
        return outcome

    def sweep(self, now_us: int) -> None:
        """Post what time has made due."""
        sweep(self.state, 1_000, self._begin(now_us))

    def _begin(self, now_us: int) -> list[e.Event]:
        state = self.state
        state.begin_batch(state.batch_seq + 1, max(START_US + now_us, state.recorded_at + 1))
        self.journal.append((state.recorded_at, []))
        return self.journal[-1][1]


class Holder:
    """A process that decides: the client's core, and a clock that runs fast or slow."""

    def __init__(
        self, name: str, terms: LeaseTerms, rate: int, offset_us: int, operation: bytes
    ) -> None:
        self.name = name
        self.terms = terms
        self.operation = operation
        self._rate = rate  # of its clock, in thousandths
        self._offset_us = offset_us
        self.lives = 0
        self.events = 0
        self.begin()

    def begin(self) -> None:
        """Start anew: nothing is known of the life before."""
        self.lives += 1
        self.core: LeaseCore[tuple[str, int]] = LeaseCore(self.terms, f"{self.name}-{self.lives}")

    def clock(self, now_us: int) -> int:
        """What its monotonic clock shows."""
        return self._offset_us + now_us * self._rate // 1_000


class World:
    """One seed's."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.seed = seed
        self.now = 0
        self.server = Server()
        self.on_lapse = e.LeaseLapse.CHARGE if seed % 2 else e.LeaseLapse.RETURN
        self.faults = random.random() < 0.9
        self.loss = random.choice([0, 2, 10, 30]) if self.faults else 0  # in a hundred
        self.calm = False  # from when on all is done
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._requests = 0
        self.acknowledged: dict[str, int] = {}  # events that a holder was told are recorded
        self.lapsed = 0  # units that were not reported when their leases lapsed and were returned
        self.seen = 0  # batches of the journal that were looked at
        self.recorded: dict[bytes, int] = {}  # usage key -> units
        self.given = _GIVEN[seed % len(_GIVEN)]  # by which operations have a budget
        self.of_operation: set[int] = set()  # leases
        self.lapsed_of_operation = 0
        self.used_by_operation = 0
        self.holders = [self._holder(number) for number in range(random.randint(1, 4))]
        self._open()

    def _holder(self, number: int) -> Holder:
        random = self.random
        wanted = random.choice([5, 20, 60, 200])
        terms = LeaseTerms(
            wanted,
            minimum=random.choice([0, 0, 1, wanted // 2]),
            term_us=random.choice([5, 8, 15, 40]) * SECOND_US,
            report_every_us=random.choice([50_000, 300_000, SECOND_US, 3 * SECOND_US]),
            batch_events=random.choice([1, 5, 100]),
            ask_every_us=random.choice([100_000, 500_000]),
        )
        rate = random.randint(920, 1_080) if self.faults else 1_000
        offset = random.randint(0, DAY_US)
        operation = RUN if self.given == "policy" or (self.given and number % 2 == 0) else b""
        if operation and number > 1:
            operation = TOOL
        return Holder(f"edge-{number}", terms, rate, offset, operation)

    def _open(self) -> None:
        random, ask = self.random, self._must
        policy = e.AccountPolicy()
        ask(c.CreateAccount(b"c" * 16, TENANT, ACCOUNT, 0, ACCOUNT, policy))
        for number in range(random.randint(1, 3)):
            expires = random.choice([0, 0, START_US + random.randint(5, 60) * SECOND_US])
            ask(
                c.IssueGrant(
                    FAMILY.request(f"grant {number}"), ACCOUNT, e.GrantKind.PROMOTIONAL, CREDITS,
                    random.choice([40, 150, 400]), 0, 0, 0, 0, expires, (), b"",
                )
            )  # fmt: skip
        if random.random() < 0.5:
            limit = random.choice([60, 200])
            terms = e.BudgetTerms(e.BudgetMeasure.CHARGE, limit, CREDITS)
            ask(c.SetBudget(FAMILY.request("budget"), ACCOUNT, "all", terms, 0))
        each = e.BudgetTerms(e.BudgetMeasure.CHARGE, 25 + self.seed % 90, CREDITS)
        if self.given == "by hand":
            ask(c.SetOperationBudget(FAMILY.request("run"), ACCOUNT, RUN, each))
        elif self.given == "policy":
            ask(c.SetOperationPolicy(FAMILY.request("each"), ACCOUNT, each))

    def _must(self, command: Command) -> e.Event:
        outcome = self.server.ask(command, self.now)
        assert not isinstance(outcome, Refusal), outcome
        return outcome

    # -- time --------------------------------------------------------------------------------------

    def at(self, when_us: int, what: Callable[[], None]) -> None:
        """Have something happen then."""
        self._order += 1
        heappush(self._queue, (when_us, self._order, what))

    def run(self, until_us: int) -> None:
        """Let happen what is to by then, and look at the ledger after each."""
        while self._queue and self._queue[0][0] <= until_us:
            self.now, _, what = heappop(self._queue)
            what()
            self.check()
        self.now = max(self.now, until_us)

    def delay(self) -> int:
        """How long a message takes."""
        random = self.random
        if self.calm or not self.faults or random.random() < 0.9:
            return random.randint(200, 200_000)
        return random.randint(200_000, 20 * SECOND_US)

    def lost(self) -> bool:
        """Whether a message is."""
        return not self.calm and self.random.randrange(100) < self.loss

    # -- the server --------------------------------------------------------------------------------

    def sweeping(self) -> None:
        """The server's own clock."""
        if self.now >= self.server.down_until:
            self.server.sweep(self.now)
        self.at(self.now + SWEEP_US, self.sweeping)

    def crash_server(self) -> None:
        """Stop it for a while, and again later."""
        if not self.calm:
            self.server.crash(self.now + self.random.randint(10_000, 15 * SECOND_US))
            self.at(self.now + self.random.randint(5, 40) * SECOND_US, self.crash_server)

    def other_work(self) -> None:
        """A hold of somebody else, captured or given back: it never draws beyond the limits."""
        if self.calm:
            return
        random = self.random
        self._requests += 1
        if self.now >= self.server.down_until:
            amount = random.randint(1, 25)
            key = FAMILY.request(f"hold {self._requests}")
            operation = RUN if self.given and self._requests % 2 else b""
            held = self.server.ask(
                c.AuthorizeHold(key, ACCOUNT, TOKENS, (amount,), 0, operation=operation), self.now
            )
            if isinstance(held, e.HoldAuthorized):
                self.at(
                    self.now + random.randint(1, 5 * SECOND_US), self._settle(held.hold, amount)
                )
        self.at(self.now + random.randint(1, 4 * SECOND_US), self.other_work)

    def _settle(self, hold: int, amount: int) -> Callable[[], None]:
        key = FAMILY.request(f"settle {hold}")
        used = self.random.randint(0, amount)

        def settle() -> None:
            if self.now < self.server.down_until:
                self.at(self.now + SECOND_US, settle)
            elif used:
                names = ("tokens",)
                self._must(c.CaptureHold(key, ACCOUNT, hold, names, (used,), 0))
            else:
                self._must(c.ReleaseHold(key, ACCOUNT, hold))

        return settle

    # -- holders -----------------------------------------------------------------------------------

    def work(self, holder: Holder) -> None:
        """Some work asks whether it may go ahead."""
        if self.calm:
            return
        random, core, clock = self.random, holder.core, holder.clock(self.now)
        amount = random.randint(1, 12)
        if core.try_spend(amount, clock):
            self._in_escrow(core)
            if random.random() < 0.05:
                core.give_up(amount)
            else:
                holder.events += 1
                event = (f"{holder.name}-{holder.lives}-{holder.events}", amount)
                core.record(event, amount, clock)
        self.at(self.now + random.randint(1_000, 2 * SECOND_US), lambda: self.work(holder))
        self.look(holder)

    def _in_escrow(self, core: LeaseCore[tuple[str, int]]) -> None:
        """Work is let go ahead only while the server keeps the slice, whatever clocks show."""
        hold = self.server.state.holds.get(int(core.lease_id))
        if hold is None or hold.lease is None or hold.lease.lapsed_at:
            raise Broken(f"lease {core.lease_id} has ended, and its holder goes on")

    def crash_holder(self, holder: Holder) -> None:
        """Start it anew, and again later."""
        if not self.calm:
            holder.begin()
            self.wake(holder)
            self.at(
                self.now + self.random.randint(5, 60) * SECOND_US, lambda: self.crash_holder(holder)
            )

    def wake(self, holder: Holder) -> None:
        """Look at a holder from time to time, as its shell does."""
        core = holder.core
        self.look(holder)

        def again() -> None:
            if holder.core is core:
                self.wake(holder)

        if not core.done:
            self.at(self.now + self.random.randint(50_000, 400_000), again)

    def look(self, holder: Holder) -> None:
        """Send what its core asks for."""
        core = holder.core
        request = core.next_request(holder.clock(self.now))
        if request is None:
            return
        copies = 2 if not self.calm and self.random.random() < 0.1 else 1
        for _ in range(copies):
            if not self.lost():
                self.at(self.now + self.delay(), self._arrives(holder, core, request))
        number = request.number

        def give_up_waiting() -> None:
            core.failed(number, holder.clock(self.now), self.random.randint(1, 300_000))

        self.at(self.now + TIMEOUT_US, give_up_waiting)

    def _arrives(
        self, holder: Holder, core: LeaseCore[tuple[str, int]], request: Any
    ) -> Callable[[], None]:
        def arrive() -> None:
            if self.now < self.server.down_until:
                return
            tell = self._answer(holder, core, request)
            for _ in range(2 if not self.calm and self.random.random() < 0.1 else 1):
                if not self.lost():
                    self.at(self.now + self.delay(), lambda: tell(holder.clock(self.now)))

        return arrive

    def _answer(
        self, holder: Holder, core: LeaseCore[tuple[str, int]], request: Any
    ) -> Callable[[int], None]:
        """What the server does about a request, and what its answer tells the holder."""
        match request:
            case AcquireRequest():
                made = self._ask_for(request, holder.operation)
                if isinstance(made, e.LeaseGranted):
                    number, margin = str(made.hold), made.margin
                    amount, term = made.quantities[0], made.lifetime_max
                    return lambda clock: core.acquired(
                        request.number, number, amount, term, margin, clock
                    )
                return self._refused(core, request, made)
            case RenewRequest():
                made = self.server.ask(
                    c.RenewLease(
                        FAMILY.request(request.request_id), ACCOUNT, int(request.lease_id),
                        request.wanted, request.keep, request.term_us,
                    ),
                    self.now,
                )  # fmt: skip
                if isinstance(made, e.LeaseRenewed):
                    amount, down_to = made.amount, min(made.amount, made.share)
                    term, margin = made.term, made.margin
                    return lambda clock: core.renewed(
                        request.number, amount, down_to, term, margin, clock
                    )
                return self._refused(core, request, made)
            case ReportRequest():
                return self._report(core, request)
            case _:
                assert isinstance(request, GiveBackRequest)
                made = self.server.ask(
                    c.ReturnLease(
                        FAMILY.request(request.request_id), ACCOUNT, int(request.lease_id)
                    ),
                    self.now,
                )
                if isinstance(made, e.LeaseReturned):
                    return lambda _: core.given_back(request.number)
                return self._refused(core, request, made)

    def _ask_for(self, request: AcquireRequest, operation: bytes) -> e.Event | Refusal:
        return self.server.ask(
            c.AcquireLease(
                FAMILY.request(request.request_id), ACCOUNT, LEASED, "edge", request.wanted,
                request.minimum, request.term_us, self.on_lapse, operation=operation,
            ),
            self.now,
        )  # fmt: skip

    def _refused(
        self, core: LeaseCore[tuple[str, int]], request: Any, refusal: object
    ) -> Callable[[int], None]:
        assert isinstance(refusal, Refusal), refusal
        gone = refusal.reason.startswith("LEASE_")
        if not gone:
            raise Broken(f"{request} was refused: {refusal}")
        return lambda clock: core.lost(request.number, refusal.reason, clock, SECOND_US)

    def _report(
        self, core: LeaseCore[tuple[str, int]], request: ReportRequest[tuple[str, int]]
    ) -> Callable[[int], None]:
        lease = int(request.lease_id)
        for (event_id, units), amount in request.events:
            assert units == amount
            made = self.server.ask(
                c.LeasedUsage(
                    FAMILY.usage("edge", event_id), ACCOUNT, TOKENS, (units,), 0, NO_NAMES,
                    hold=lease,
                ),
                self.now,
            )  # fmt: skip
            if isinstance(made, Refusal):
                raise Broken(f"{event_id} was refused: {made}")
        hold = self.server.state.holds.get(lease)
        runs = hold is not None and hold.lease is not None and not hold.lease.lapsed_at
        left, down_to = 0, 0
        if runs:
            assert hold is not None and hold.lease is not None
            left, down_to = hold.left, hold.lease.down_to(hold.left)

        def tell(_: int) -> None:
            core.reported(request.number, left, down_to, (), runs)
            for (event_id, units), _amount in request.events:
                self.acknowledged[event_id] = units

        return tell

    # -- what must hold ----------------------------------------------------------------------------

    def check(self) -> None:
        """Raises Broken."""
        state, journal = self.server.state, self.server.journal
        for _, events in journal[self.seen :]:
            for event in events:
                self._look_at(event)
        self.seen = len(journal)
        for grant in state.grants.values():
            if grant.book.available < 0:
                raise Broken(f"grant {grant.number} is drawn and held beyond its units")
        owed = sum([book.owed for book in state.accounts[ACCOUNT].advance.values()])
        if owed > self.lapsed:
            raise Broken(f"{owed} is owed, and {self.lapsed} lapsed before it was reported")
        for budget in state.families[ACCOUNT].budgets.values():
            counted = sum(budget.counter.within(budget.terms.window, state.now))
            late = self.lapsed_of_operation if budget.operation else self.lapsed
            if counted > budget.terms.limit + late:
                raise Broken(f"{counted} counts in a budget of {budget.terms.limit}, {late} late")

    def _look_at(self, event: e.Event) -> None:
        if isinstance(event, e.OperationLeaseGranted):
            self.of_operation.add(event.hold)
        if isinstance(event, e.UsageRecorded) and event.operation:
            self.used_by_operation += sum(event.quantities)
        if isinstance(event, e.LeaseLapsed):
            self.lapsed += event.unreported
            if event.hold in self.of_operation:
                self.lapsed_of_operation += event.unreported
        elif isinstance(event, e.UsageLeased):
            if event.hold in self.of_operation and not event.operation:
                raise Broken("usage of a lease of an operation is of none")
            if event.over:
                raise Broken(f"{event.over} of an event is over its lease {event.hold}")
            if event.key in self.recorded:
                raise Broken("an event counts twice")
            self.recorded[event.key] = event.quantities[0]
        if self.on_lapse == e.LeaseLapse.CHARGE and self.lapsed:
            raise Broken("a lease that stays charged gave its slice back")

    def end(self) -> None:
        """All holders stop; what they have is reported and given back, the rest lapses."""
        self.calm = True
        self.server.down_until = min(self.server.down_until, self.now + SECOND_US)
        for holder in self.holders:
            holder.core.close()
            self.wake(holder)
        for _ in range(40):  # of 5 s: longer than any term and margin, and any delay
            self.run(self.now + 5 * SECOND_US)
            leases = self.server.state.accounts[ACCOUNT].leases
            if all(each.lease and each.lease.lapsed_at for each in leases) and all(
                holder.core.done for holder in self.holders
            ):
                break
        self.run(self.now + 21 * SECOND_US)  # messages of holders that are no more
        for holder in self.holders:
            if not holder.core.done:
                raise Broken(f"{holder.name} has {holder.core.waiting} events it cannot report")
        state = self.server.state
        for hold in list(state.accounts[ACCOUNT].leases):
            assert hold.lease is not None
            if not hold.lease.lapsed_at:
                raise Broken(f"lease {hold.number} is out for ever")
            key = FAMILY.request(f"write off {hold.number}")
            self._must(c.ReturnLease(key, ACCOUNT, hold.number, True))
        self.run(self.now + 20 * SECOND_US)  # what others hold, and messages that are late
        self.check()
        if state.holds or any(book.debits_pending for book in state.books.accounts.values()):
            raise Broken("something is in escrow in the end")
        for budget in state.families[ACCOUNT].budgets.values():
            if budget.held:
                raise Broken("something pends in a budget in the end")
            if budget.operation and budget.counter.posted != self.used_by_operation:
                raise Broken(f"{self.used_by_operation} of an operation, not all in its budget")
        for event_id, units in self.acknowledged.items():
            if self.recorded.get(FAMILY.usage("edge", event_id)) != units:
                raise Broken(f"{event_id} was said to be recorded, and is not")
        state.books.check()


def run_seed(seed: int) -> World:
    """Run the world of a seed. Raises Broken, or whatever a bug raises."""
    world = World(seed)
    random = world.random
    world.sweeping()
    for holder in world.holders:
        world.wake(holder)
        world.work(holder)
        if world.faults and random.random() < 0.4:
            when = random.randint(5, 40) * SECOND_US
            world.at(when, lambda holder=holder: world.crash_holder(holder))  # type: ignore[misc]
    if random.random() < 0.5:
        world.other_work()
    if world.faults and random.random() < 0.4:
        world.at(random.randint(1, 30) * SECOND_US, world.crash_server)
    world.run(random.choice([20, 60]) * SECOND_US)
    world.end()
    return world


def main(arguments: list[str]) -> int:
    """Run seeds A..B; says how many there were, and the first that breaks."""
    first, _, last = (arguments or ["0..299"])[0].partition("..")
    recorded = lapsed = granted = 0
    for seed in range(int(first), int(last or first) + 1):
        try:
            world = run_seed(seed)
        except Exception as error:
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {error}\n")
            return 1
        recorded += len(world.recorded)
        lapsed += world.lapsed
        granted += world.server.state.next_hold - 1
    sys.stdout.write(
        f"seeds {first}..{last or first}: all hold; {granted} leases and holds, {recorded} events "
        f"reported, {lapsed} units lapsed before they were\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
