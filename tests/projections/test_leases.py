"""Credit leases in tables, over renewals, usage, lapses and a recall, as the journal says (H7)."""

from __future__ import annotations

from typing import Any

from ledger.core.commands import (
    AcquireLease,
    Command,
    LeasedUsage,
    RecallLease,
    RenewLease,
    ReturnLease,
)
from ledger.core.events import LEASED_QUANTITY, LeaseGranted, LeaseLapse, UsageLeased
from ledger.core.identity import KEY_BYTES
from ledger.core.limits import MINUTE_US
from ledger.core.outcomes import Refusal
from ledger.core.shapes import Shape
from ledger.verify import verify
from tests.projections.books import CHAT, open_books
from tests.projections.projecting import looking, project

LEASED = Shape("chat", (), (LEASED_QUANTITY,))


async def test_tables_of_leases(database: str) -> None:
    """A call of 100 and 20 tokens costs 100 x 3 + 20 x 15 = 600 units."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        await books.grant(acme, 10_000, paid=500)

        async def ask(command: Command) -> Any:
            (outcome,) = await books.ask(acme, command)
            assert not isinstance(outcome, Refusal), outcome
            return outcome

        async def lease(
            wanted: int, holder: str, on_lapse: LeaseLapse, operation: bytes = b""
        ) -> int:
            granted = await ask(
                AcquireLease(
                    books.key(acme),
                    acme.number,
                    LEASED,
                    holder,
                    wanted,
                    0,
                    MINUTE_US,
                    on_lapse,
                    operation=operation,
                )
            )
            assert isinstance(granted, LeaseGranted)
            return granted.hold

        async def use(number: int, event_id: str) -> UsageLeased:
            plain = books.usage(acme, event_id)
            used: UsageLeased = await ask(
                LeasedUsage(
                    plain.key,
                    acme.number,
                    CHAT,
                    plain.quantities,
                    0,
                    plain.names,
                    b"",  # that of the lease
                    plain.personal,
                    hold=number,
                )
            )
            return used

        def renew(number: int, wanted: int, keep: int) -> RenewLease:
            return RenewLease(books.key(acme), acme.number, number, wanted, keep, 0)

        first = await lease(2_000, "edge-1", LeaseLapse.RETURN)
        family = books.ledger.family(acme)
        run, tool = family.operation("run"), family.operation("tool", "run")
        second = await lease(3_000, "edge-2", LeaseLapse.CHARGE, run)
        assert (await use(first, "one")).over == 0
        await ask(renew(first, 5_000, 1_400))
        await use(first, "two")
        await project(database)  # the rest is of another transaction, which reads what it needs
        await ask(renew(first, 4_000, 4_000))
        await use(first, "three")
        await ask(RecallLease(books.key(acme), acme.number, first, 100))
        await ask(renew(first, 4_000, 100))
        third = await lease(700, "edge-3", LeaseLapse.RETURN, tool)
        await ask(ReturnLease(books.key(acme), acme.number, third))
        await project(database)
        books.clock.ahead_us += 2 * MINUTE_US
        await use(second, "four")
        assert (await use(first, "late")).late == 1
        await project(database)
        await ask(ReturnLease(books.key(acme), acme.number, second, True))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        entries = await connection.fetch(
            "SELECT lease, change, holder, wanted, amount, share FROM projection.lease_entries "
            "ORDER BY entry_seq"
        )
        leases = await connection.fetch(
            "SELECT holder, on_lapse, change, open, captured, in_escrow, operation, parent "
            "FROM projection.leases ORDER BY lease"
        )
    assert list(map(tuple, entries)) == [
        (first, 1, "edge-1", 2_000, 2_000, 2_000),
        (second, 1, "edge-2", 3_000, 3_000, 3_000),
        (first, 2, None, 5_000, 5_000, 5_000),
        (first, 2, None, 4_000, 4_000, 4_000),
        (first, 7, None, None, None, 100),
        (first, 2, None, 4_000, 100, 100),
        (third, 1, "edge-3", 700, 700, 700),
        (third, 3, None, None, None, None),
        (first, 5, None, None, 100, None),
        (second, 6, None, None, 3_000, None),
        (second, 4, None, None, None, None),
    ]
    assert list(map(tuple, leases)) == [
        ("edge-1", 1, 5, False, 1_800, 0, None, None),
        ("edge-2", 2, 4, False, 600, 0, run, None),
        ("edge-3", 1, 3, False, 0, 0, tool[:KEY_BYTES], run),
    ]
