"""A team with seats, in a core of its own: what tests of seats share."""

from __future__ import annotations

from typing import Any

from core_world import CREDITS, FAMILY, START_US, TENANT, Core, replay
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.core.packing import drop_family, pack_family, unpack_family

ACME = 1
APRIL = START_US + 90 * DAY_US
"""2026-04-01: a month of 30 days begins."""
MAY = APRIL + 30 * DAY_US
KEEP = e.SeatRemoval.KEEP_UNTIL_PERIOD_END
UNUSED = e.SeatRemoval.FORFEIT_UNUSED
PRORATED = e.SeatRemoval.FORFEIT_PRORATED


def day(number: int) -> int:
    """The first microsecond of a day of April."""
    return APRIL + (number - 1) * DAY_US


def allowance(amount: int, **fields: Any) -> e.RecurringTerms:
    given: dict[str, Any] = {
        "kind": e.GrantKind.PROMOTIONAL,
        "asset": CREDITS,
        "amount": amount,
        "price_paid": 0,
        "price_asset": 0,
        "priority": 0,
        "products": (),
        "unit": e.PeriodUnit.MONTH,
        "every": 1,
        "anchor": APRIL,
        "zone": "UTC",
        "proration": e.Proration.BOTH,
        "expires_after": 0,
    }
    return e.RecurringTerms(**(given | fields))


def pooled(amount: int, **fields: Any) -> e.SeatTerms:
    """A plan of seats whose allowances are one pool."""
    given = {key: fields.pop(key) for key in ("unknown",) if key in fields}
    return e.SeatTerms("agent", e.Allotment.POOLED, allowance(amount, **fields), **given)


def individual(amount: int, **fields: Any) -> e.SeatTerms:
    """A plan whose seats have each an allowance of its own."""
    own = {key: fields.pop(key) for key in ("unknown", "exhausted", "alert") if key in fields}
    return e.SeatTerms("agent", e.Allotment.INDIVIDUAL, allowance(amount, **fields), **own)


class Team:
    """A core with an account, and request ids that count up. It begins on 1 April."""

    def __init__(self, policy: e.AccountPolicy | None = None) -> None:
        self.core = Core(APRIL)
        self.keys = 0
        self.ask(c.CreateAccount(self.key(), TENANT, ACME, 0, ACME, policy or e.AccountPolicy()))

    def key(self) -> bytes:
        self.keys += 1
        return FAMILY.request(str(self.keys))

    def run(self, command: Any) -> Any:
        return self.core.run(command)

    def ask(self, command: Any) -> Any:
        outcome = self.core.run(command)
        assert not isinstance(outcome, Refusal), outcome
        return outcome

    def refused(self, command: Any) -> tuple[str, str, str]:
        """(reason, field, value); nothing changed."""
        before = digest(self.core.state)
        outcome = self.core.run(command)
        assert isinstance(outcome, Refusal), outcome
        assert digest(self.core.state) == before
        assert outcome.message
        return str(outcome.reason), outcome.field, outcome.value

    # -- seats -------------------------------------------------------------------------------------

    def start(self, terms: e.SeatTerms, *seats: str, count: int = 0, plan: str = "agents") -> Any:
        return self.ask(c.StartSeatPlan(self.key(), ACME, plan, terms, seats, count))

    def add(self, *seats: str, count: int = 0, plan: str = "agents") -> Any:
        return self.ask(c.AddSeats(self.key(), ACME, plan, seats, count))

    def remove(
        self, *seats: str, count: int = 0, mode: e.SeatRemoval = KEEP, plan: str = "agents"
    ) -> Any:
        return self.ask(c.RemoveSeats(self.key(), ACME, plan, seats, count, mode))

    def reassign(self, seat: str, to: str, plan: str = "agents") -> Any:
        return self.ask(c.ReassignSeat(self.key(), ACME, plan, seat, to))

    def suspend(self, seat: str, plan: str = "agents") -> Any:
        return self.ask(c.SuspendSeat(self.key(), ACME, plan, seat))

    def resume(self, seat: str, plan: str = "agents") -> Any:
        return self.ask(c.ResumeSeat(self.key(), ACME, plan, seat))

    def end(
        self,
        timing: e.Timing = e.Timing.NOW,
        mode: e.SeatRemoval = UNUSED,
        plan: str = "agents",
    ) -> Any:
        return self.ask(c.EndSeatPlan(self.key(), ACME, plan, timing, mode))

    # -- work --------------------------------------------------------------------------------------

    def to(self, at: int) -> None:
        """Time passes, and what it makes due is posted."""
        self.core.now = at
        self.core.begin_batch()
        self.core.sweep()

    def usage(self, tokens: int, seat: str = "", at: int = 0, product: str = "chat") -> Any:
        self.keys += 1
        shape = self.core.shape(product, "tokens", attributes=(("agent", seat),) if seat else ())
        return c.RecordUsage(
            FAMILY.usage("test", str(self.keys)), ACME, shape, (tokens,), at, c.NO_NAMES
        )

    def use(self, tokens: int, seat: str = "", at: int = 0, product: str = "chat") -> Any:
        """Record usage; what it drew: (seat's name or book's kind, units)."""
        return self.drew(self.ask(self.usage(tokens, seat, at, product)))

    def hold(self, tokens: int, seat: str = "", product: str = "chat") -> Any:
        shape = self.core.shape(product, "tokens", attributes=(("agent", seat),) if seat else ())
        return self.ask(c.AuthorizeHold(self.key(), ACME, shape, (tokens,), 0, c.NO_NAMES))

    def drew(self, event: Any) -> list[tuple[str, int]]:
        books = self.core.state.books.accounts
        found = []
        for piece in event.slices:
            grant = books[piece.book].grant
            if grant is None:
                found.append((e.BookKind(books[piece.book].kind).name.lower(), piece.amount))
            elif grant.seat is None:
                found.append(("grant", piece.amount))
            else:
                found.append((grant.seat.name or "unassigned", piece.amount))
        return found

    def grant(self, amount: int, **fields: Any) -> Any:
        return self.ask(
            c.IssueGrant(
                self.key(), ACME, e.GrantKind.PROMOTIONAL, CREDITS, amount, 0, 0, 0, 0, 0, (), b"",
                **fields,
            )
        )  # fmt: skip

    # -- what is there -----------------------------------------------------------------------------

    @property
    def account(self) -> Any:
        return self.core.state.accounts[ACME]

    def plan(self, plan: str = "agents") -> Any:
        return self.account.seats.plans[plan]

    def quantity(self, plan: str = "agents") -> int:
        return int(self.plan(plan).quantity(self.core.state.now))

    def left(self, seat: str = "", plan: str = "agents") -> int:
        """Of the allowance of a seat; of the pool where none is named."""
        found = self.plan(plan)
        numbers = found.by_name[seat].grants if seat else found.grants
        return sum([self.core.state.grants[number].book.available for number in numbers])

    def issued(self) -> list[tuple[int, int]]:
        """(day, units) of all grants that were issued, days counted from 1 April."""
        return [
            ((event.effective_at - APRIL) // DAY_US + 1, event.amount)
            for _, batch in self.core.batches
            for event in batch
            if isinstance(event, e.GrantIssued)
        ]

    def told(self) -> list[tuple[str, int]]:
        """(seat, units left) of every alert."""
        return [
            (event.name, event.left)
            for _, batch in self.core.batches
            for event in batch
            if isinstance(event, e.SeatAllowanceLow)
        ]

    def page(self) -> None:
        """The family leaves memory and comes back: the same state, the same bytes."""
        state = self.core.state
        before = digest(state)
        body = pack_family(state, ACME, state.settled_before)
        drop_family(state, ACME)
        unpack_family(state, body)
        assert digest(state) == before
        assert pack_family(state, ACME, state.settled_before) == body

    def finish(self) -> None:
        """Replay gives the same state, packed and unpacked too, and nothing breaks a rule."""
        state = self.core.state
        assert digest(replay(self.core.journal())) == digest(state)
        self.page()
        state.books.check()
        assert judged(self.core) == []
