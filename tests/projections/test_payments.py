"""Payments, refunds, chargebacks and bills in tables: every transfer, and what `verify` says."""

from __future__ import annotations

from ledger.core.commands import (
    BillAccount,
    ChargeBack,
    ConfirmPayment,
    FailPayment,
    IssueCreditNote,
    IssueGrant,
    Names,
    RecordPayment,
    RefundGrant,
    VoidGrant,
    WriteOffReceivable,
)
from ledger.core.events import (
    AccountPolicy,
    BookKind,
    GrantChargedBack,
    GrantIssued,
    GrantKind,
    GrantRefunded,
    GrantReleased,
    Rollover,
)
from ledger.core.limits import DAY_US
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, MONEY, Books, open_books
from tests.projections.projecting import looking, project


async def issue(books: Books, team, amount: int, paid: int, **terms) -> int:
    kind = terms.pop("kind", GrantKind.PREPAID)
    expires = books.clock.now_us() + terms.pop("lifetime") if "lifetime" in terms else 0
    made = IssueGrant(
        books.key(team), team.number, kind, CREDIT, amount, paid, MONEY, 0, 0, expires, (), b"",
        Names("", "issue"), **terms,
    )  # fmt: skip
    return (await said(books, team, made, GrantIssued)).grant


async def said(books: Books, team, command, kind=object):
    (outcome,) = await books.ask(team, command)
    assert not isinstance(outcome, Refusal), outcome
    assert isinstance(outcome, kind), outcome
    return outcome


async def story(books: Books, database: str) -> None:
    key = books.key
    team = await books.account("team", policy=AccountPolicy(freeze_on_chargeback=True))
    n = team.number
    await books.use(team, "before any credit")  # owed in advance
    gated = await issue(books, team, 1_000, 777, pending=True, source="stripe")
    part = ConfirmPayment(key(team), n, gated, 400)
    assert (await said(books, team, part, GrantReleased)).backfills
    await project(database)
    await said(books, team, ConfirmPayment(key(team), n, gated))
    failed = await issue(books, team, 500, 50, pending=True)
    await said(books, team, FailPayment(key(team), n, failed))
    bought = await issue(
        books, team, 9_000, 1_001, lifetime=DAY_US, rollover=Rollover(1, 2, -1, 9 * DAY_US)
    )
    await books.use(team, "some")
    refund = await said(books, team, RefundGrant(key(team), n, bought, 100), GrantRefunded)
    assert refund.refunded
    committed = await issue(books, team, 3_000, 300, kind=GrantKind.POSTPAID, lifetime=DAY_US)
    await issue(books, team, 10, 70, kind=GrantKind.ALLOWANCE)
    await said(books, team, BillAccount(key(team), n, MONEY, 50))
    await project(database)
    books.clock.ahead_us += 3 * DAY_US  # what is left rolls over, expires and is trued up
    await books.use(team, "later")
    await said(books, team, BillAccount(key(team), n))
    await said(books, team, RecordPayment(key(team), n, MONEY, 60, "bank"))
    await said(books, team, IssueCreditNote(key(team), n, MONEY, 5))
    await said(books, team, WriteOffReceivable(key(team), n, MONEY, 6))
    held = await books.hold(team)
    charged = await said(books, team, ChargeBack(key(team), n, bought), GrantChargedBack)
    assert len(charged.parts) == 2, "it rolled over"
    await project(database)
    await books.release(team, held)
    last = await issue(books, team, 2, 1)
    await said(books, team, VoidGrant(key(team), n, last, forfeit=True))
    assert committed != gated


async def test_money_in_tables(database: str) -> None:
    async with open_books(database) as books:
        await story(books, database)
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        kinds = await connection.fetch(
            "SELECT DISTINCT b.kind FROM projection.transfers t JOIN projection.books b "
            "ON b.shard = t.shard AND b.book IN (t.debit_book, t.credit_book) WHERE t.asset = $1",
            MONEY,
        )
        money = {BookKind(kind) for (kind,) in kinds}
        unbalanced = await connection.fetch(
            "SELECT shard, asset FROM projection.books "
            "GROUP BY shard, asset HAVING sum(debits_posted) <> sum(credits_posted)"
        )
    assert money == {
        BookKind.CASH,
        BookKind.DEFERRED,
        BookKind.UNBILLED,
        BookKind.RECEIVABLE,
        BookKind.REVENUE,
        BookKind.BREAKAGE,
        BookKind.CREDIT_NOTE,
        BookKind.BAD_DEBT,
    }
    assert not unbalanced
