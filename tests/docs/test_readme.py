"""The Python examples of README and docs are run as they stand, against a real server."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.client import DrawdownClient, UsageEvent
from ledger.v1.account_pb2 import ACCOUNT_STATE_OPEN, COMPARATOR_STRIPE_1
from ledger.v1.types_pb2 import GRANT_KIND_PROMOTIONAL
from rating.v1.card_pb2 import Meter, PriceRow, RateCard
from rating.v1.pricing_pb2 import ASSET_KIND_CREDIT, ASSET_KIND_MONEY
from tests.crash.processes import ServerProcess

README = Path(__file__).parents[2] / "README.md"
TIME_MACHINE = README.parent / "docs" / "time-machine.md"
CONCEPTS = README.parent / "docs" / "concepts.md"
COMMITMENTS = README.parent / "docs" / "commitments.md"
RECURRING = README.parent / "docs" / "recurring.md"
HOLDS = README.parent / "docs" / "holds.md"
GRANTS = README.parent / "docs" / "grants.md"
OVERDRAFT = README.parent / "docs" / "overdraft.md"


async def test_the_python_example_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    code = example.group(1)
    names: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), names)
    main: Callable[[str], Awaitable[None]] = names["main"]  # type: ignore[assignment]
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        await main(server.address)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", code)
    assert capsys.readouterr().out.splitlines() == said


async def test_the_example_of_a_comparator_runs(database: str, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", CONCEPTS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "concepts.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_account("acme")
            await names["example"](ledger)
            policy = (await ledger.get_account("acme")).account.policy
            assert policy.comparator == COMPARATOR_STRIPE_1
    finally:
        server.stop()


async def test_the_examples_of_an_overdraft_and_a_top_up_run(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"```python\n(.*?)```", OVERDRAFT.read_text(), re.DOTALL)
    assert len(examples) == 2
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_account("acme")
            await ledger.create_asset("USD", 9, ASSET_KIND_MONEY)
            await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
            for example in examples:
                names: dict[str, Any] = {}
                body = textwrap.indent(example, "    ")
                exec(compile(f"async def example(ledger):\n{body}", "overdraft.md", "exec"), names)
                await names["example"](ledger)
            policy = (await ledger.get_account("acme")).account.policy
            assert policy.overdraft_basis_points == 2_000
            [grant] = [each async for each in ledger.list_grants("acme")]
            assert (grant.amount, grant.price_paid) == (20_000_000, 10_000_000_000)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", "".join(examples))
    assert capsys.readouterr().out.splitlines() == said


async def test_the_example_of_a_recurring_grant_runs(database: str, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", RECURRING.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "recurring.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_account("acme")
            await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
            await names["example"](ledger)
            [monthly] = [each async for each in ledger.list_recurring_grants("acme")]
            assert monthly.ends_at_us == monthly.period_end_us
            granted = [each.amount async for each in ledger.list_grants("acme")]
            assert granted[0] == 10_000_000
    finally:
        server.stop()


async def test_the_example_of_linked_events_runs(database: str, tmp_path: Path) -> None:
    example = next(
        each
        for each in re.findall(r"```python\n(.*?)```", CONCEPTS.read_text(), re.DOTALL)
        if "ingest_linked" in each
    )
    names: dict[str, Any] = {}
    body = textwrap.indent(example, "    ")
    exec(compile(f"async def example(ledger):\n{body}", "concepts.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_account("acme")
            await names["example"](ledger)
            recorded = await ledger.get_usage("acme", "docs", "call-1/search")
            assert recorded.product == "search"
    finally:
        server.stop()


async def test_the_example_of_a_commitment_runs(database: str, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", COMMITMENTS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "commitments.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_account("acme")
            await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
            await ledger.create_asset("USD", 2, ASSET_KIND_MONEY)
            await names["example"](ledger)
            contract, *moved = [each async for each in ledger.list_commitments("acme")]
            assert len(moved) == 2
            assert [each.posted for each in contract.invoices] == [True, False]
            shown = await ledger.get_commitment(contract.commitment_id)
            assert shown.commitment == contract
    finally:
        server.stop()


async def test_the_example_of_holds_runs(database: str, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", HOLDS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "holds.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_asset("USD", 9, kind=ASSET_KIND_MONEY)
            await ledger.publish_rate_card(
                RateCard(
                    name="default",
                    asset="USD",
                    asset_scale=9,
                    meters=[Meter(quantity="output_tokens")],
                    rows=[PriceRow(product="chat", quantity="output_tokens", price="0.00001")],
                )
            )
            await ledger.create_account("acme")
            await ledger.issue_grant("acme", "USD", 10**9, kind=GRANT_KIND_PROMOTIONAL)
            await names["example"](ledger)
    finally:
        server.stop()


async def test_the_example_of_an_accounts_standing_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = CONCEPTS.read_text().split("## Standing of an account")[1]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    code = found.group(1)
    names: dict[str, Any] = {}
    body = textwrap.indent(code, "    ")
    exec(compile(f"async def example(ledger):\n{body}", "concepts.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
            await ledger.create_account("beta")
            await ledger.issue_grant("beta", "credit", 1_000_000)
            await names["example"](ledger)
            account = (await ledger.get_account("beta")).account
            assert account.state == ACCOUNT_STATE_OPEN
            assert (account.display_name, account.reopened_at_us > 0) == ("Beta GmbH", True)
    finally:
        server.stop()
    assert capsys.readouterr().out.splitlines() == re.findall(r"print\(.*\)  # (.*)", code)


async def test_the_example_of_a_past_balance_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", TIME_MACHINE.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {"UsageEvent": UsageEvent}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "time-machine.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log", projector=True)
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_asset("credit", 6, kind=ASSET_KIND_CREDIT)
            await ledger.publish_rate_card(
                RateCard(
                    name="default",
                    asset="credit",
                    asset_scale=6,
                    meters=[Meter(quantity="output_tokens")],
                    rows=[PriceRow(product="chat", quantity="output_tokens", price="0.002")],
                )
            )
            await ledger.create_account("acme")
            await ledger.issue_grant("acme", "credit", 10_000_000, kind=GRANT_KIND_PROMOTIONAL)
            await names["example"](ledger)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", found.group(1))
    assert capsys.readouterr().out.splitlines() == said


def test_every_relative_link_leads_somewhere() -> None:
    for page in [README, *README.parent.glob("docs/*.md"), README.parent / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


async def test_the_example_of_grants_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = re.search(r"```python\n(.*?)```", GRANTS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    body = textwrap.indent(found.group(1), "    ")
    exec(compile(f"async def example(ledger):\n{body}", "grants.md", "exec"), names)
    server = ServerProcess(database, tmp_path / "server.log")
    server.start()
    try:
        await server.ready()
        async with DrawdownClient(server.address, tenant="default", source="docs") as ledger:
            await ledger.create_asset("credit", 6, ASSET_KIND_CREDIT)
            await ledger.create_asset("USD", 9, ASSET_KIND_MONEY)
            await ledger.create_account("acme")
            await ledger.create_account("acme/eu", parent="acme")
            await names["example"](ledger)
    finally:
        server.stop()
    said = re.findall(r"print\(.*\)  # (.*)", found.group(1))
    assert capsys.readouterr().out.splitlines() == said
