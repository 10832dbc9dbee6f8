"""docs/exports.md: its commands run as they stand, and its tables are those of the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ledger.core.events import BookKind
from ledger.exports import chart, names, rows
from ledger.exports.chart import CHART
from ledger.journal.directory import TENANT_DEFAULT
from tests.exports.history import issue
from tests.exports.hledger_binary import Hledger
from tests.projections.books import open_books
from tests.projections.projecting import project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exports.md").read_text()


def shell(
    block: str, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eux"],
        input=block,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )


async def test_the_commands_of_the_page_run(
    database: str, tmp_path: Path, hledger: Hledger
) -> None:
    async with open_books(database) as books:
        await books.ledger.publish_asset(TENANT_DEFAULT, "credit", 6, "credit")
        acme = await books.account("acme")
        credit = books.ledger.writers[acme.shard].state.catalog.asset_of(TENANT_DEFAULT, "credit")
        assert credit is not None
        await issue(books, acme, credit.number, 1_000)
        await books.use(acme, "a", "b")
    await project(database)
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    path = [str(Path(sys.executable).parent), str(hledger.program.parent), os.environ["PATH"]]
    environment = {**hledger.environment, "PATH": ":".join(path), "DATABASE_URL": database}
    done = shell(block, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"-0\.001000 credit +Liabilities:Units:Grants:A\d+-acme:G1$", done.stdout, re.M
    ), done.stdout
    assert (tmp_path / "acme.csv").read_bytes().count(b"\r\n") == 2  # the heading, and the grant


def columns(heading: str) -> list[str]:
    """The names in the first column of the table after a heading of the page."""
    table = PAGE.partition(heading)[2].partition("\n\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_page_lists_the_columns_in_their_order() -> None:
    assert columns("`transfers`, every phase:") == [each.name for each in rows.TRANSFERS]
    assert columns("`balances`, a row an account and asset:") == [
        each.name for each in rows.BALANCES
    ]


def test_the_page_says_where_every_kind_of_book_stands() -> None:
    listed: dict[str, str] = {}
    for kinds, cell in re.findall(r"^\| (?:units|money) \| ([\w, ]+) \| (.*) \|$", PAGE, re.M):
        accounts = re.findall(r"`([\w:-]+)`", cell)
        shared = kinds.split(", ")
        assert len(accounts) in (1, len(shared))
        listed |= dict(zip(shared, accounts * len(shared), strict=False))
    assert {name.upper() for name in listed} == set(CHART)
    for name, account in listed.items():
        place = CHART[name.upper()]
        head = f"{place.root}:{place.books.capitalize()}:{place.words}"
        assert account == head or account.startswith(f"{head}:"), name
    assert {kind.name for kind in BookKind} <= set(CHART)
    assert set(chart.OPENING.values()) <= set(re.findall(r"`(Equity:\w+:Opening)`", PAGE))


def test_the_names_of_the_page_are_the_program_s() -> None:
    assert "`credit` is `CREDIT-N1`" in PAGE
    assert names.beancount_commodity("credit", 1) == "CREDIT-N1"
    for name, component in (("chat", "Chat"), ("Chat", "X-Chat")):
        assert f"`{name}` is `{component}`" in PAGE
        assert names.name_component(name) == component
    assert f"`acme/search` is `{names.escape('acme/search')}`" in PAGE
