"""With whom grants are shared, and caps, in tables (rules D1, D8)."""

from __future__ import annotations

import json

from ledger.core.commands import RemoveCap, SetCap, UpdateSharing
from ledger.core.events import CapTerms, Sharing, SharingMode
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, open_books
from tests.projections.projecting import looking, project


async def test_tables_of_sharing_and_caps(database: str) -> None:
    async with open_books(database) as books:
        acme = await books.account("acme")
        child = await books.account("acme/child", "acme")
        grant = (await books.grant(acme, 1_000)).grant

        async def ask(command: object) -> None:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome

        owner, below = acme.number, child.number
        listed = Sharing(SharingMode.LISTED, (below,))
        await ask(UpdateSharing(books.key(acme), owner, grant, listed))
        await ask(SetCap(books.key(acme), owner, below, CREDIT, 0, CapTerms(50)))
        await ask(SetCap(books.key(acme), owner, below, 0, grant, CapTerms(reserved=5)))
        await books.use(child, "one")
        await project(database)
        await ask(SetCap(books.key(acme), owner, 0, 0, 0, CapTerms(70), 1))
        await ask(RemoveCap(books.key(acme), owner, 2))
        await project(database)
        assert (await verify(database)).ok
        async with looking(database) as connection:
            shared = await connection.fetchval("SELECT shared FROM projection.grants")
            assert shared is True
            rows = await connection.fetch(
                "SELECT number, below, grant_number, terms FROM projection.caps ORDER BY entry_seq"
            )
        limits = [each["terms"] and json.loads(each["terms"])["limit"] for each in rows]
        assert [each["number"] for each in rows] == [1, 2, 1, 2]
        assert limits == [50, -1, 70, None]
        assert [each["grant_number"] for each in rows] == [None, grant, None, None]
        await ask(UpdateSharing(books.key(acme), owner, grant, Sharing(SharingMode.NONE)))
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        assert await connection.fetchval("SELECT shared FROM projection.grants") is False
        modes = await connection.fetch(
            "SELECT mode, accounts FROM projection.grant_sharings ORDER BY entry_seq"
        )
        assert [tuple(each) for each in modes] == [(3, [below]), (1, [])]
