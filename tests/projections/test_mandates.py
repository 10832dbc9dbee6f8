"""Mandates of agents in tables: granted, revoked, spent and bought (rules H4, F1)."""

from __future__ import annotations

from typing import Any

from ledger.core.commands import (
    Command,
    ConfirmPayment,
    FailPayment,
    GrantMandate,
    RequestTopUp,
    RevokeMandate,
)
from ledger.core.events import MandateTerms, PurchaseRequested, PurchaseTerms
from ledger.core.outcomes import Refusal
from ledger.verify import verify
from tests.projections.books import CREDIT, MONEY, open_books
from tests.projections.projecting import looking, project


async def test_tables_of_mandates(database: str) -> None:
    """A call of 100 and 20 tokens costs 600 units; 1,000 units are sold for 10."""
    async with open_books(database) as books:
        acme = await books.account("acme")
        bot = await books.account("acme/bot", parent="acme")
        sub = await books.account("acme/bot/sub", parent="acme/bot")

        async def ask(command: Command) -> Any:
            (outcome,) = await books.ask(acme, command)
            assert not isinstance(outcome, Refusal), outcome
            return outcome

        async def request(account: int, amount: int) -> PurchaseRequested:
            command = RequestTopUp(books.key(acme), account, CREDIT, amount)
            made: PurchaseRequested = await ask(command)
            return made

        purchase = PurchaseTerms(100, MONEY, 1, 100, "card")
        for entry, limit in ((bot, 100), (sub, 60)):
            terms = MandateTerms(CREDIT, 5_000, ("chat",))
            await ask(
                GrantMandate(
                    books.key(acme),
                    entry.number,
                    terms,
                    purchase=PurchaseTerms(limit, *_price(purchase)),
                )
            )
        paid = await request(sub.number, 2_000)
        await ask(ConfirmPayment(books.key(acme), acme.number, paid.grant))
        await project(database)
        part = await request(sub.number, 3_000)
        await ask(ConfirmPayment(books.key(acme), acme.number, part.grant, 12))
        await ask(FailPayment(books.key(acme), acme.number, part.grant))
        waits = await request(bot.number, 500)
        await ask(books.usage(sub, "one"))
        await ask(RevokeMandate(books.key(acme), sub.number, "enough"))
    await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        mandates = await connection.fetch(
            "SELECT account, budget, spent, held, purchase_limit, purchased, reason "
            "FROM projection.mandates ORDER BY account"
        )
        purchases = await connection.fetch(
            "SELECT account, payer, grant_number, amount, price_paid, counted "
            "FROM projection.mandate_purchases ORDER BY entry_seq"
        )
        unpaid = await connection.fetch(
            "SELECT grant_number, amount, unpaid FROM projection.unpaid_grants"
        )
    assert list(map(tuple, mandates)) == [
        (bot.number, 5_000, 600, 0, 100, 20 + 12 + 5, None),
        (sub.number, 5_000, 600, 0, 60, 20 + 12, "enough"),
    ]
    both = [sub.number, bot.number]
    assert list(map(tuple, purchases)) == [
        (sub.number, acme.number, paid.grant, 2_000, 20, both),
        (sub.number, acme.number, part.grant, 3_000, 30, both),
        (bot.number, acme.number, waits.grant, 500, 5, [bot.number]),
    ]
    assert list(map(tuple, unpaid)) == [(part.grant, 1_800, 18)]


def _price(terms: PurchaseTerms) -> tuple[int, int, int, str]:
    return terms.price_asset, terms.price_numerator, terms.price_denominator, terms.source
