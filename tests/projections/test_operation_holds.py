"""Holds of operations in tables: what calls draw of one, as the journal says (rules H1, H4)."""

from __future__ import annotations

from typing import Any

from ledger.core.commands import CaptureHold, Command, DebitWork, ReleaseHold, ReserveOperation
from ledger.core.events import HoldDebited, OperationReserved
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CHAT, open_books
from tests.projections.projecting import looking, project

WORK = (100, 20)  # costs 100 x 3 + 20 x 15 = 600


async def test_tables_of_a_hold_that_calls_draw_from(database: str) -> None:
    async with open_books(database) as books:
        acme = await books.account("acme")
        await books.grant(acme, 10_000, paid=500)

        async def ask(command: Command) -> Any:
            (outcome,) = await books.ask(acme, command)
            assert not isinstance(outcome, Refusal), outcome
            return outcome

        def debit() -> DebitWork:
            return DebitWork(books.key(acme), acme.number, CHAT, WORK, hold=hold)

        reserved = await ask(ReserveOperation(books.key(acme), acme.number, 2_000, 0, b"o" * 16))
        assert isinstance(reserved, OperationReserved)
        hold = reserved.hold
        assert isinstance(await ask(debit()), HoldDebited)
        await project(database)  # the rest is of another transaction, which reads what it needs
        capture = CaptureHold(
            books.key(acme), acme.number, hold, CHAT.quantity_names, WORK, 0, keep_open=True,
            product=CHAT.product, attributes=CHAT.attributes,
        )  # fmt: skip
        await ask(capture)
        await ask(debit())
        await project(database)
        await ask(debit())  # 200 of it are the hold's, the rest is new usage
        await ask(ReserveOperation(books.key(acme), acme.number, 90_000, 0, b"o" * 16))
        await ask(ReleaseHold(books.key(acme), acme.number, hold))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        held = await connection.fetchrow(
            "SELECT amount, captured, captures, state FROM projection.holds"
        )
        drawn = await connection.fetch(
            "SELECT hold, charge FROM projection.usage ORDER BY entry_seq"
        )
        denied = await connection.fetchval("SELECT charge FROM projection.denials")
    assert tuple(held) == (2_000, 2_000, 4, 2)
    assert list(map(tuple, drawn)) == [(hold, 600)] * 4
    assert denied == 90_000
