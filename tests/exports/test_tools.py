"""What hledger and beancount say of exported books: accepted, and the same balances as ours."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from beancount import loader
from beancount.core import data
from beanquery.query import run_query

from ledger.core.limits import DAY_US, HOUR_US
from ledger.exports.chart import OPENING, BookSet
from ledger.exports.run import Format
from tests.exports.exporting import Balances, exported, our_balances
from tests.exports.history import ERASED, ODD_IDS, ODD_PRODUCTS
from tests.exports.hledger_binary import Hledger

NOW_US = time.time_ns() // 1_000
MIDNIGHT_US = NOW_US // DAY_US * DAY_US
RANGES = {
    "everything": {},
    "days": {"from_us": MIDNIGHT_US - 20 * DAY_US, "to_us": MIDNIGHT_US - 5 * DAY_US},
    "amid days": {"from_us": NOW_US - 12 * DAY_US - HOUR_US, "to_us": NOW_US - 12 * DAY_US},
    "from": {"from_us": MIDNIGHT_US - 7 * DAY_US},
    "to": {"to_us": MIDNIGHT_US - 7 * DAY_US},
    "nothing yet": {"to_us": MIDNIGHT_US - 300 * DAY_US},
    "long ago and far ahead": {"from_us": 0, "to_us": MIDNIGHT_US + 40_000 * DAY_US},
    "by recorded time": {"from_us": NOW_US - HOUR_US, "by_recorded": True},
    "a subtree": {"account": "acme/search", "from_us": MIDNIGHT_US - 3 * DAY_US},
    "an asset": {"assets": ("tok",), "to_us": MIDNIGHT_US},
}


def hledger_balances(hledger: Hledger, journal: Path) -> Balances:
    """Every account's own balance by commodity, without zeros."""
    said = hledger(
        "-f", journal, "balance", "--flat", "--no-total", "--layout=bare", "-O", "csv"
    )  # fmt: skip
    rows = list(csv.reader(io.StringIO(said)))[1:]
    found = {(account, commodity): Decimal(text) for account, commodity, text in rows if account}
    return {place: amount for place, amount in found.items() if amount}


def beancount_load(path: Path) -> tuple[list[data.Directive], dict[str, object]]:
    """The entries; beancount must have nothing to say against them."""
    entries, errors, options = loader.load_file(str(path))
    assert not errors, errors[:3]
    return entries, options


def beancount_balances(path: Path) -> Balances:
    """The same by bean-query; commodities by the code that their directive names."""
    entries, options = beancount_load(path)
    commodities = [each for each in entries if isinstance(each, data.Commodity)]
    codes = {each.currency: each.meta["code"] for each in commodities}
    _, rows = run_query(
        entries, options, "SELECT account, currency, sum(number) GROUP BY account, currency"
    )
    return {(account, codes[currency]): number for account, currency, number in rows if number}


def percent(code: str) -> str:
    """How hledger shows a code."""
    return code.replace("%", "%25").replace('"', "%22").replace(";", "%3B").replace("\n", "%0A")


def bean_check(path: Path) -> subprocess.CompletedProcess[str]:
    """The program as people run it."""
    program = Path(sys.executable).with_name("bean-check")
    return subprocess.run([program, path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("books", BookSet)
async def test_both_tools_report_our_balances(
    history: str, tmp_path: Path, hledger: Hledger, books: BookSet
) -> None:
    """Every account, every commodity, to the last place (rules B1, B7, N1)."""
    ours = await our_balances(history, books)
    await exported(history, Format.HLEDGER, tmp_path / "h")
    await exported(history, Format.BEANCOUNT, tmp_path / "b")
    shown = {(account, percent(code)): amount for (account, code), amount in ours.items()}
    assert hledger_balances(hledger, tmp_path / "h" / f"{books}.journal") == shown
    assert beancount_balances(tmp_path / "b" / f"{books}.beancount") == ours
    if books is BookSet.UNITS:
        assert {code for _, code in ours} >= {"CREDIT", "USD", "tok", "Credit", "A", "GPU-N4"}
        assert len(ours) > 60
    else:
        heads = {account.split(":")[2] for account, _ in ours}
        assert heads >= {"Breakage", "Cash", "Deferred", "Revenue"}


@pytest.mark.parametrize("asked", RANGES.values(), ids=RANGES)
async def test_both_tools_accept_any_range(
    history: str, tmp_path: Path, hledger: Hledger, asked: dict[str, int]
) -> None:
    await exported(history, Format.HLEDGER, tmp_path / "h", **asked)
    await exported(history, Format.BEANCOUNT, tmp_path / "b", **asked)
    for books in BookSet:
        journal = tmp_path / "h" / f"{books}.journal"
        hledger("-f", journal, "check", "accounts", "commodities", "assertions", "ordereddates")
        beancount_load(tmp_path / "b" / f"{books}.beancount")
        checked = bean_check(tmp_path / "b" / f"{books}.beancount")
        assert (checked.returncode, checked.stderr) == (0, "")
    of_beancount = beancount_balances(tmp_path / "b" / "units.beancount")
    of_hledger = hledger_balances(hledger, tmp_path / "h" / "units.journal")
    assert {(a, percent(c)): n for (a, c), n in of_beancount.items()} == of_hledger
    assert bool(of_hledger) == (asked != RANGES["nothing yet"])


async def test_one_range_begins_with_what_the_one_before_ends_with(
    history: str, tmp_path: Path, hledger: Hledger
) -> None:
    middle = NOW_US - 9 * DAY_US
    await exported(history, Format.HLEDGER, tmp_path / "1", to_us=middle)
    await exported(history, Format.HLEDGER, tmp_path / "2", from_us=middle)
    await exported(history, Format.HLEDGER, tmp_path / "all")
    first, second, whole = (tmp_path / each / "units.journal" for each in ("1", "2", "all"))
    assert hledger_balances(hledger, second) == hledger_balances(hledger, whole)
    opened: Balances = defaultdict(Decimal)
    said = hledger("-f", second, "register", "desc:^opening balance$", "-O", "csv")
    for row in csv.DictReader(io.StringIO(said)):
        number, _, commodity = row["amount"].partition(" ")
        opened[row["account"], commodity.strip('"')] += Decimal(number)
    closed = hledger_balances(hledger, first)
    assert {
        place: amount for place, amount in opened.items() if place[0] != OPENING[BookSet.UNITS]
    } == closed
    assert closed


async def test_a_wrong_assertion_is_found(history: str, tmp_path: Path, hledger: Hledger) -> None:
    """The tools do look: a balance that is off by its last place is refused by both."""
    await exported(history, Format.HLEDGER, tmp_path / "h")
    await exported(history, Format.BEANCOUNT, tmp_path / "b")
    journal, ledger = tmp_path / "h" / "units.journal", tmp_path / "b" / "units.beancount"
    account = "Equity:Units:Promotion"
    text = journal.read_text()
    right = '0 "odd %22asset%22%3B 50%25%0A" = 19.446744073709551615 '
    assert f"{account}  {right}" in text
    journal.write_text(text.replace(right, right.replace("615 ", "616 ")))
    with pytest.raises(AssertionError, match="assertion"):
        hledger("-f", journal, "check")
    text = ledger.read_text()
    assert "19.446744073709551615 ~ 0" in text
    ledger.write_text(text.replace("19.446744073709551615 ~ 0", "19.446744073709551616 ~ 0"))
    _, errors, _ = loader.load_file(str(ledger))
    assert len(errors) == 1
    assert bean_check(ledger).returncode == 1


async def test_an_auditor_finds_the_way_back(history: str, tmp_path: Path) -> None:
    """Each transaction names its entry, its pot and its product; each account its id."""
    await exported(history, Format.BEANCOUNT, tmp_path / "b")
    entries, _ = beancount_load(tmp_path / "b" / "units.beancount")
    drawn = [e for e in entries if isinstance(e, data.Transaction) and "pot" in e.meta]
    assert {each.meta["pot"] for each in drawn} >= {"GRANT", "OVERAGE", "EXCESS_OWED"}
    assert {each.payee for each in drawn} == {*ODD_PRODUCTS, "agent", "seats", "support"}
    for each in drawn:
        shard, _, entry = each.meta["entry"].partition("/")
        assert int(shard) < 4 and int(entry) > 0
        assert each.meta["effective"].startswith(each.date.isoformat())
    ids = {each.meta.get("account") for each in entries if isinstance(each, data.Open)}
    assert ids >= set(ODD_IDS)


async def test_of_an_erased_account_only_the_number_is_left(history: str, tmp_path: Path) -> None:
    for format in Format:
        await exported(history, format, tmp_path / format)
        for path in (tmp_path / format).iterdir():
            content = path.read_bytes()
            assert ERASED.encode() not in content
            assert b"person--40example" not in content
            assert b"erased-" not in content


async def test_holds_are_in_no_journal(history: str, tmp_path: Path) -> None:
    """What pends is no posting: only tables hold it."""
    done = await exported(history, Format.HLEDGER, tmp_path / "h", (BookSet.UNITS,))
    table = await exported(history, Format.CSV, tmp_path / "c", (BookSet.UNITS,))
    assert done.manifest["files"][0]["rows"] < table.manifest["files"][0]["rows"]
