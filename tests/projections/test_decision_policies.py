"""Decision policies and what they had a say in, in tables (rules D4, P1)."""

from __future__ import annotations

import json

from ledger.core.commands import DebitWork, SetDecisionPolicy, Subscribe
from ledger.core.events import Alternative, PolicyAction, PolicyDebited, PolicyRule, QuantityMap
from ledger.core.outcomes import Refusal
from ledger.core.packages.packaged import Package, PackagedUnit
from ledger.core.packages.packaged_rules import PackagedAction, PackagedRule
from ledger.journal.configuration import ConfigurationEntry
from ledger.journal.directory import TENANT_DEFAULT
from ledger.verify import verify
from tests.projections.books import CHAT, open_books
from tests.projections.projecting import looking, project

HALF = QuantityMap("output_tokens", "output_tokens", 500)
BRIEF = Alternative("", (("mode", "brief"),), (HALF,))
RULES = (
    PolicyRule(PolicyAction.DENY, ("video",)),
    PolicyRule(PolicyAction.DOWNGRADE, alternatives=(BRIEF,)),
    PolicyRule(PolicyAction.TOP_UP),
)


async def test_tables_of_policies_and_their_rulings(database: str) -> None:
    """100 output tokens cost 1,500; half of them 750, of which 1,000 are there once."""
    async with open_books(database) as books:
        lenient = PackagedRule(PackagedAction.OVERDRAW, asset="CREDIT", bound=10_000)
        package = Package(PackagedUnit.MONTH, rules=(lenient,))
        made = await books.ledger.publish_package(TENANT_DEFAULT, "pro", package)
        assert isinstance(made, ConfigurationEntry), made
        acme = await books.account("acme")
        account = acme.number
        await books.grant(acme, 1_000)

        async def ask(command: object) -> object:
            (outcome,) = await books.ask(acme, command)  # type: ignore[arg-type]
            assert not isinstance(outcome, Refusal), outcome
            return outcome

        async def work() -> object:
            return await ask(DebitWork(books.key(acme), account, CHAT, (0, 100)))

        await ask(SetDecisionPolicy(books.key(acme), account, RULES))
        assert isinstance(await work(), PolicyDebited)
        await project(database)
        await work()
        await ask(Subscribe(books.key(acme), account, "pro"))
        await ask(SetDecisionPolicy(books.key(acme), account, (), 1))
        assert isinstance(await work(), PolicyDebited)
        await project(database)
    report = await verify(database)
    assert report.ok, report.findings
    async with looking(database) as connection:
        policies = await connection.fetch(
            "SELECT package, version, rules FROM projection.decision_policies ORDER BY entry_seq"
        )
        rulings = await connection.fetch(
            "SELECT package, rule, action, reason, product, charge, missing, tried"
            " FROM projection.rulings ORDER BY entry_seq"
        )
        said = [(each["package"], len(json.loads(each["rules"]))) for each in policies]
        assert said == [("", 3), ("pro", 1), ("", 0)]
        [_, downgrade, _] = json.loads(policies[0]["rules"])
        assert downgrade["alternatives"][0]["quantities"][0]["permille"] == 500
        reason = "INSUFFICIENT_CREDITS"
        assert [tuple(each)[:-1] for each in rulings] == [
            ("", 2, 3, reason, "chat", 1_500, 0),
            ("", 3, 5, reason, "chat", 1_500, 1_250),
            ("pro", 1, 2, reason, "chat", 1_500, 0),
        ]
        tried = json.loads(rulings[0]["tried"])
        assert [each["result"] for each in tried] == ["OTHER_PRODUCT", ""]
        usage = await connection.fetch("SELECT outcome FROM projection.usage")
        assert len(usage) == 2
        await connection.execute(
            "UPDATE projection.decision_policies SET version = 7 WHERE package = 'pro'"
        )
    damaged = await verify(database)
    assert [found.what for found in damaged.findings] and all(
        "decision policy" in found.what for found in damaged.findings
    ), damaged.findings
