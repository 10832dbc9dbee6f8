"""Holds of operations in tables: what calls draw of one, as the journal says (rules H1, H4)."""

from __future__ import annotations

from typing import Any

from ledger.core.commands import (
    AuthorizeHold,
    CaptureHold,
    Command,
    DebitWork,
    ReleaseHold,
    ReserveOperation,
)
from ledger.core.events import HoldDebited, OperationPartHeld, OperationReserved
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


async def test_tables_of_calls_holds_that_are_parts_of_one(database: str) -> None:
    """What a part takes is held once, and what is left of it is held for the operation again."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        await books.grant(acme, 10_000, paid=500)

        async def ask(command: Command) -> Any:
            (outcome,) = await books.ask(acme, command)
            assert not isinstance(outcome, Refusal), outcome
            return outcome

        def holding(lifetime: int = 0) -> AuthorizeHold:
            return AuthorizeHold(books.key(acme), acme.number, CHAT, WORK, lifetime, hold=whole)

        def capturing(hold: int, *quantities: int, keep_open: bool = False) -> CaptureHold:
            return CaptureHold(
                books.key(acme), acme.number, hold, CHAT.quantity_names, quantities, 0,
                keep_open=keep_open,
            )  # fmt: skip

        whole = (
            await ask(ReserveOperation(books.key(acme), acme.number, 1_500, 0, b"o" * 16))
        ).hold
        first, second, third = [(await ask(holding())).hold for _ in range(3)]
        await project(database)  # what becomes of them is of another transaction
        await ask(capturing(first, 50, 0, keep_open=True))  # 150
        await ask(ReleaseHold(books.key(acme), acme.number, second))
        await ask(capturing(third, 20, 0))  # 60, of what it has of the operation
        await project(database)
        fourth = await ask(holding())
        assert isinstance(fourth, OperationPartHeld)
        await ask(ReleaseHold(books.key(acme), acme.number, first))
        await ask(ReleaseHold(books.key(acme), acme.number, whole))
        await ask(capturing(fourth.hold, 10, 0))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        holds = await connection.fetch(
            "SELECT amount, captured, captures, state FROM projection.holds ORDER BY number"
        )
    # The operation's is over while the fourth call holds 600 of it: those left it for a call.
    assert list(map(tuple, holds)) == [
        (1_500, 150 + 60 + 600, 0, 2),
        (600, 150, 1, 2),
        (600, 0, 0, 2),
        (600, 60, 1, 1),
        (600, 30, 1, 1),
    ]
