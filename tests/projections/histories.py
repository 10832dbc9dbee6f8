"""Random histories of the real core, written to a real journal, and what they say by brute force.

`History` decides commands and notes what the live balance was at the end of each batch. `Truth`
reads the decoded journal and sums, event by event, what counts at a point: it knows no table, no
index and no snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from ledger.api.balance_figures import balance_figures
from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from ledger.core.outcomes import Known, Refusal, locator_of
from ledger.core.upcast import UPCASTS
from ledger.journal.codec import BatchCodec, PrivateRecords, encode_private
from ledger.journal.postgres import PostgresJournal
from ledger.journal.protocol import GENESIS_HASH, make_row
from ledger.projections.past import Point
from tests.core.core_world import CREDITS, FAMILY, TENANT, USD, Core

PARENT, CHILD, LONER = 11, 12, 13
ACCOUNTS = (PARENT, CHILD, LONER)
PRODUCTS = ("chat", "image")
BY_RESULT = ("case", "lead", "deal")  # what their outcomes come to by themselves, see core_world
CODEC: BatchCodec[e.Event] = BatchCodec(e.Event, UPCASTS)
NO_NAMES = encode_private(PrivateRecords([], [], [], [], [], []))
AGES = (
    0,
    1,
    400_000,
    5 * SECOND_US,
    MINUTE_US,
    20 * MINUTE_US,
    3 * HOUR_US,
    2 * DAY_US,
    30 * DAY_US,
)


class Live(NamedTuple):
    """What the account's balance was, answered from the state."""

    account: int
    asset: int
    at: int
    available: int
    granted: int
    advance: int
    applicable: int


@dataclass
class History:
    """One shard's past, in the making."""

    random: Random
    core: Core = field(default_factory=Core)
    requests: int = 0
    holds: list[tuple[int, int]] = field(default_factory=list)  # account, number
    outcomes: list[tuple[int, int]] = field(default_factory=list)
    grants: list[tuple[int, int]] = field(default_factory=list)
    used: list[c.Original] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)

    def open(self) -> None:
        for number, parent, root in (
            (PARENT, 0, PARENT),
            (CHILD, PARENT, PARENT),
            (LONER, 0, LONER),
        ):
            self.ask(c.CreateAccount, TENANT, number, parent, root, e.AccountPolicy())

    def ask(self, command: Any, *fields: Any) -> Any:
        self.requests += 1
        outcome = self.core.run(command(FAMILY.request(str(self.requests)), *fields))
        assert not isinstance(outcome, Known)
        return None if isinstance(outcome, Refusal) else outcome

    def go_on(self, steps: int) -> None:
        for _ in range(steps):
            verb = self.random.choices(
                (
                    "usage",
                    "reverse",
                    "grant",
                    "hold",
                    "end",
                    "void",
                    "policy",
                    "clock",
                    "money",
                    "report",
                    "settle",
                ),
                (40, 5, 6, 14, 14, 1, 3, 18, 3, 8, 5),
            )[0]
            getattr(self, verb)()

    def usage(self) -> None:
        pick, at = self.random, self.core.now
        at += pick.choice([4 * MINUTE_US, *[-age for age in AGES]])
        shape = self.core.shape(pick.choice(PRODUCTS), "tokens")
        account, amount = pick.choice(ACCOUNTS), pick.randint(1, 9)
        recorded = self.ask(c.RecordUsage, account, shape, (amount,), at, c.NO_NAMES)
        if isinstance(recorded, e.UsageRecorded):
            batch = self.core.batches[-1][1]
            index = next(n for n, each in enumerate(batch) if each is recorded)
            locator = locator_of(self.core.state.batch_seq, index)
            entry_seq = self.core.state.first_event + index
            self.used.append(c.Original(locator, entry_seq, recorded, batch[recorded.plan]))

    def reverse(self) -> None:
        """Give some usage back, also where the grant that paid has ended meanwhile."""
        if self.used:
            pick = self.random
            original = pick.choice(self.used)
            event = original.event
            ended = pick.choice(list(e.EndedGrants))
            some = (pick.randint(1, event.quantities[0]),) if pick.random() < 0.5 else ()
            self.ask(c.ReverseUsage, event.account, original, some, 0, ended)

    def grant(self) -> None:
        pick, now = self.random, self.core.now
        account = pick.choice(ACCOUNTS)
        effective = pick.choice([0, 0, now - 3 * DAY_US, now + 2 * HOUR_US, now + 3 * DAY_US])
        lifetime = pick.choice([0, HOUR_US, 5 * HOUR_US, 4 * DAY_US])
        expires = max(now, effective) + lifetime if lifetime else 0
        free = pick.random() < 0.4
        issued = self.ask(
            c.IssueGrant,
            account,
            e.GrantKind.PROMOTIONAL if free else e.GrantKind.PREPAID,
            CREDITS,
            pick.randint(1, 120),
            0 if free else pick.choice([7, 700]),
            USD,
            0,
            effective,
            expires,
            pick.choice([(), (), ("chat",), ("image",)]),
            b"",
        )
        self.grants.append((account, issued.grant))

    def hold(self) -> None:
        pick, account = self.random, self.random.choice(ACCOUNTS)
        shape = self.core.shape(pick.choice(PRODUCTS), "tokens")
        lifetime = pick.choice([0, MINUTE_US, HOUR_US, DAY_US])
        if pick.random() < 0.3:
            least = pick.choice([(), ("tokens", 1)])
            operation = pick.choice([b"", bytes(16)])
            names = c.NO_NAMES
            quantities = (pick.randint(1, 90),)
            self.ask(c.DebitWork, account, shape, quantities, names, operation, b"", *least)
            return
        held = self.ask(c.AuthorizeHold, account, shape, (pick.randint(1, 30),), lifetime)
        if isinstance(held, e.HoldAuthorized):
            self.holds.append((account, held.hold))

    def end(self) -> None:
        if not self.holds:
            return
        pick = self.random
        account, number = self.holds.pop(pick.randrange(len(self.holds)))
        if pick.random() < 0.3:
            self.ask(c.ReleaseHold, account, number)
            return
        at = pick.choice([0, *[self.core.now - age for age in AGES], self.core.now + MINUTE_US])
        keep = pick.random() < 0.4
        if keep:
            self.holds.append((account, number))
        used = (pick.randint(1, 15 if keep else 40),)
        self.ask(c.CaptureHold, account, number, ("tokens",), used, at, c.NO_NAMES, b"", keep)

    def report(self) -> None:
        """Work that is charged by its result, of now or of long ago."""
        pick, account = self.random, self.random.choice(ACCOUNTS)
        shape = self.core.shape(pick.choice(BY_RESULT), "tokens")
        at = pick.choice([0, *[self.core.now - age for age in AGES], self.core.now + MINUTE_US])
        reported = self.ask(c.ReportOutcome, account, shape, (pick.randint(1, 20),), at)
        if isinstance(reported, e.OutcomeReported):
            self.outcomes.append((account, reported.hold))

    def settle(self) -> None:
        if self.outcomes:
            pick = self.random
            account, number = self.outcomes.pop(pick.randrange(len(self.outcomes)))
            self.ask(pick.choice((c.ConfirmOutcome, c.RejectOutcome)), account, number)

    def void(self) -> None:
        if self.grants:
            account, number = self.random.choice(self.grants)
            self.ask(c.VoidGrant, account, number)

    def policy(self) -> None:
        pick = self.random
        share = pick.random() < 0.4
        policy = e.AccountPolicy(
            overdraft_kind=e.OverdraftKind(1 + share),
            overdraft_basis_points=pick.choice([500, 10_000]) if share else 0,
            overdraft_grace=pick.choice([-1, -1, 0, HOUR_US, DAY_US]),
            overdraft_asset=USD if share else CREDITS,
            overdraft_limit=pick.choice([400, 2_000] if share else [0, 10, 25]),
            overage=pick.choice(list(e.Overage)),
            overage_cap=pick.choice([-1, 20]),
            excess=pick.choice(list(e.Excess)),
        )
        self.ask(c.UpdatePolicy, pick.choice(ACCOUNTS), policy, 0)

    def money(self) -> None:
        """A chargeback, a refund, or a bill that is paid."""
        pick = self.random
        what = pick.choice(("chargeback", "refund", "bill"))
        if what == "bill":
            account = pick.choice(ACCOUNTS)
            self.ask(c.BillAccount, account)
            self.ask(c.RecordPayment, account, USD, 1)
        elif self.grants:
            account, number = pick.choice(self.grants)
            self.ask(c.ChargeBack if what == "chargeback" else c.RefundGrant, account, number)

    def clock(self) -> None:
        """The batch ends: what the balances are now, and on to the next one."""
        self.core.sweep()
        self.note()
        step = self.random.choice(
            [1, SECOND_US, 10 * SECOND_US, 10 * MINUTE_US, 3 * HOUR_US, DAY_US]
        )
        self.core.advance(step)

    def note(self) -> None:
        state, now = self.core.state, self.core.state.recorded_at
        for number in ACCOUNTS:
            account = state.accounts.get(number)
            if account is not None:
                for asset in (CREDITS, USD):
                    view = balance_figures(state, account, asset, "chat", now)
                    self.live.append(
                        Live(
                            number,
                            asset,
                            now,
                            view.available,
                            view.granted,
                            view.advance,
                            view.applicable,
                        )
                    )


async def write_batches(batches: list[tuple[int, list[Any]]], dsn: str) -> None:
    """Append every batch that holds something to shard 0 of a fresh database."""
    journal = PostgresJournal(dsn, 0)
    last = None
    try:
        for recorded_at, events in batches:
            if not events:
                continue
            last = make_row(
                shard=0,
                batch_seq=last.batch_seq + 1 if last else 1,
                recorded_at_us=recorded_at,
                first_event=last.next_event if last else 0,
                event_count=len(events),
                format=1,
                codec=1,
                prev_hash=last.hash if last else GENESIS_HASH,
                payload=CODEC.encode(events),
                private=NO_NAMES,
            )
            await journal.append(last)
    finally:
        await journal.close()


class Move(NamedTuple):
    """One thing that happened to a book, as the events say."""

    book: int
    posted: int  # what it adds to credits less debits
    held: int
    effective_at: int
    recorded_at: int


class Balance(NamedTuple):
    """What an account could spend at a point."""

    available: int
    granted: int
    advance: int
    held: int
    applicable: int


class Truth:
    """What the journal of `History` says, by summing all of it."""

    def __init__(self, batches: list[tuple[int, list[Any]]]) -> None:
        self.moves: list[Move] = []
        self.grants: dict[int, tuple[e.GrantIssued, int]] = {}
        self.voided: dict[int, int] = {}
        self.policies: list[tuple[int, e.AccountPolicy, int]] = []
        self.advances: dict[int, int] = {}  # account -> book
        self.cash: set[int] = set()
        self.paid: list[tuple[int, int, int]] = []  # account, money, when it was recorded
        self.owed: list[tuple[int, int, int]] = []  # advance book, units more, when
        self._holds: dict[int, tuple[int, list[e.Slice]]] = {}  # since when, what is left
        for recorded_at, events in batches:
            for event in CODEC.decode(CODEC.encode(events)) if events else ():
                self._take(event, recorded_at)

    def _take(self, event: Any, now: int) -> None:
        match event:
            case e.BookOpened(kind=e.BookKind.ADVANCE):
                self.advances[event.owner] = event.book
            case e.BookOpened(kind=e.BookKind.CASH):
                self.cash.add(event.book)
            case e.AccountCreated():
                self.policies.append((event.account, event.policy, now))
            case e.AccountPolicyUpdated():
                self.policies.append((event.account, event.policy, now))
            case e.GrantIssued():
                self.grants[event.grant] = (event, now)
                self._paid(event.account, event.cash_book, event.price_paid, now)
                self._move(event.book, event.amount, 0, event.effective_at, now)
                self._repay(event.book, event.backfills, now)
            case e.GrantStarted():
                self._repay(self.grants[event.grant][0].book, event.backfills, now)
            case e.GrantRestored():
                ended = self.grants[event.of][0]
                terms = {"grant": event.grant, "book": event.book, "expires_at": event.expires_at}
                self.grants[event.grant] = (replace(ended, **terms), now)
            case e.UsageReversed():
                for piece in event.given_back:
                    self._move(piece.book, piece.amount, 0, event.effective_at, now)
                    self.owed.append((piece.book, -piece.amount, now))
            case e.GrantRefunded():
                self._move(self.grants[event.grant][0].book, -event.amount, 0, now, now)
                self._paid(event.account, event.cash_book, -event.refunded, now)
            case e.GrantChargedBack():
                taken = sum(part.value for part in event.parts)
                self._paid(event.account, event.cash_book, -taken - event.owed, now)
                for part in event.parts:
                    self._move(self.grants[part.grant][0].book, -part.amount, 0, now, now)
                    if part.ends:
                        self.voided.setdefault(part.grant, now)
            case e.PaymentRecorded():
                self._paid(event.account, event.cash_book, event.amount, now)
            case e.GrantVoided():
                self.voided.setdefault(event.grant, now)
                self._paid(event.account, event.cash_book, -event.refunded, now)
                self._move(self.grants[event.grant][0].book, -event.amount, 0, now, now)
            case e.GrantExpired():
                self._move(self.grants[event.grant][0].book, -event.amount, 0, now, now)
            case e.OutcomeReported():
                self._holds[event.hold] = (event.effective_at, list(event.slices))
                for piece in event.slices:
                    self._move(piece.book, 0, piece.amount, event.effective_at, now)
            case e.OutcomeRejected():
                self._release(event.hold, now, now)
            case e.HoldAuthorized():
                self._holds[event.hold] = (event.effective_at, list(event.slices))
                for piece in event.slices:
                    self._move(piece.book, 0, piece.amount, now, now)
            case e.HoldReleased() | e.HoldExpired():
                self._release(event.hold, now, now)
            case e.UsageRecorded():
                if event.hold and not event.late:
                    taken = event.taken if isinstance(event, e.UsageCaptured) else None
                    self._release(event.hold, event.effective_at, now, taken)
                for piece in event.slices:
                    self._move(piece.book, -piece.amount, 0, event.effective_at, now)
                    self.owed.append((piece.book, piece.amount, now))

    def _repay(self, book: int, backfills: tuple[e.Backfill, ...], now: int) -> None:
        for part in backfills:
            self._move(book, -part.amount, 0, now, now)
            self._move(part.book, part.amount, 0, now, now)
            self.owed.append((part.book, -part.amount, now))

    def _paid(self, account: int, book: int, money: int, now: int) -> None:
        if book in self.cash:
            self.paid.append((account, money, now))

    def _release(
        self, number: int, at: int, now: int, taken: tuple[int, ...] | None = None
    ) -> None:
        """All of a hold goes back, or what was `taken` of each of its slices."""
        since, slices = self._holds.pop(number)
        parts = [piece.amount for piece in slices] if taken is None else taken or [0] * len(slices)
        for piece, part in zip(slices, parts, strict=True):
            self._move(piece.book, 0, -part, max(at, since), now)
        if taken is not None:
            left = [
                e.Slice(piece.pot, piece.book, piece.amount - part)
                for piece, part in zip(slices, parts, strict=True)
            ]
            self._holds[number] = (since, left)

    def _move(self, book: int, posted: int, held: int, effective_at: int, now: int) -> None:
        # What was recorded before it takes effect counts from its recording on.
        self.moves.append(Move(book, posted, held, min(effective_at, now), now))

    def balance(self, account: int, point: Point, product: str = "chat") -> Balance:
        left: dict[int, int] = {}
        held: dict[int, int] = {}
        for move in self.moves:
            if move.recorded_at <= point.known_at and move.effective_at <= point.effective_at:
                left[move.book] = left.get(move.book, 0) + move.posted
                held[move.book] = held.get(move.book, 0) + move.held
        granted = available = applicable = pending = 0
        for number, (issued, at) in self.grants.items():
            if issued.account != account or at > point.known_at:
                continue
            began = issued.effective_at <= point.effective_at
            if began:
                pending += held.get(issued.book, 0)
            voided = self.voided.get(number, point.settled_at + 1) <= point.settled_at
            ended = 0 < issued.expires_at <= point.effective_at
            if began and not ended and not voided:
                granted += left.get(issued.book, 0)
                free = left.get(issued.book, 0) - held.get(issued.book, 0)
                available += free
                applicable += free if not issued.products or product in issued.products else 0
        advance = self.advances.get(account, 0)
        owed = -left.get(advance, 0)
        limit = self.limit(account, CREDITS, point)
        headroom = limit - owed - held.get(advance, 0)
        return Balance(
            available + headroom,
            granted,
            owed,
            pending + held.get(advance, 0),
            applicable + max(0, headroom),
        )

    def limit(self, account: int, asset: int, point: Point) -> int:
        """By the policy in force, what was paid, and how long had been owed (rules D4, H6)."""
        by = point.settled_at
        policy = e.AccountPolicy()
        for owner, each, at in self.policies:
            if owner == account and at <= by:
                policy = each
        if policy.overdraft_asset != asset:
            return 0
        owed = since = 0
        for book, more, at in self.owed:
            if book == self.advances.get(account) and at <= by and asset == CREDITS:
                since = since if owed else at
                owed += more
        if owed and 0 <= policy.overdraft_grace <= point.effective_at - since:
            return 0
        if policy.overdraft_kind == e.OverdraftKind.FIXED:
            return policy.overdraft_limit
        paid = sum(money for owner, money, at in self.paid if owner == account and at <= by)
        share = max(0, paid) * policy.overdraft_basis_points // 10_000
        return min(policy.overdraft_limit, share)

    def instants(self) -> list[int]:
        """Every instant at which something may change, and the moments just beside it."""
        found = {move.recorded_at for move in self.moves} | {
            move.effective_at for move in self.moves
        }
        for issued, _ in self.grants.values():
            found |= {issued.effective_at, issued.expires_at or issued.effective_at}
        return sorted({at + beside for at in found for beside in (-1, 0, 1)})
