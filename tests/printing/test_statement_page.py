"""The page of a statement in a real browser and on paper: all of it is there, and nothing runs.

What is looked for comes of the message, not of the page (docs/statements.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.api.statement_page import as_page
from ledger.v1 import statement_pb2 as pb
from tests.printing.chromium import find_chromium
from tests.printing.printer import A4_INCHES, LETTER_INCHES, Browser, Printed, browsing

HOSTILE = '<script>alert("a")</script><img src=x onerror=alert(1)>&amp;'
WIDE = "w" * 128  # as long as a name may be
HASH = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(find_chromium(), tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def amount(minor: int, asset: str = "credit") -> pb.StatementAmount:
    units = f"{minor // 10**6:,}".replace(",", "") + f".{minor % 10**6:06}"
    return pb.StatementAmount(asset=asset, scale=6, minor=str(minor), units=units)


def line(account: str, product: str, value: str, place: int, **more: int) -> pb.StatementLine:
    return pb.StatementLine(
        kind=pb.STATEMENT_LINE_KIND_USAGE,
        account=account,
        product=product,
        value=value,
        events=3,
        quantities={"input_tokens": str(1_000 + place), "output_tokens": str(2_000 + place)},
        paid=[
            pb.StatementPayment(
                payer=pb.STATEMENT_PAYER_GRANT,
                account="acme",
                grant_id=f"gr_{place:022}",
                amount=amount(1_000_001 + place),
            ),
            pb.StatementPayment(
                payer=pb.STATEMENT_PAYER_OVERAGE, account=account, amount=amount(7 + place)
            ),
        ],
        **more,
    )


def total(account: str, place: int) -> pb.StatementTotal:
    return pb.StatementTotal(
        account=account,
        charged=amount(9_000_000 + place),
        grants=amount(8_000_000 + place),
        overdraft=amount(300 + place),
        overage=amount(200 + place),
        absorbed=amount(0),
        converted=amount(0),
        elsewhere=amount(0),
        billable=amount(200 + place),
    )


def statement(accounts: int, lines: int) -> pb.Statement:
    """A closed one of so many accounts with so many lines each."""
    names = [f"acme/größe-{each}" for each in range(accounts)]
    listed = [
        line(name, f"produit-{place}", f"région {place}", 1_000 * number + place)
        for number, name in enumerate(names)
        for place in range(lines)
    ]
    return pb.Statement(
        account="acme",
        statement=7,
        state=pb.STATEMENT_STATE_CLOSED,
        form=pb.STATEMENT_FORM_CONSOLIDATED,
        attribute="region",
        start_us=1_798_761_600_000_000,
        end_us=1_801_440_000_000_000,
        lines=[
            *listed,
            line(names[0], HOSTILE, HOSTILE, 77_001),
            line(names[0], WIDE, WIDE, 77_002),
            line(names[0], "late", "eu", 77_003, adjusts_statement=5),
        ],
        books=[
            pb.StatementBook(
                kind=pb.STATEMENT_BOOK_KIND_GRANT,
                account=name,
                grant_id=f"gr_{number:022}",
                opening=amount(50_000_000 + number),
                moves=[pb.StatementMove(other=WIDE, adjusts=True, amount=amount(600_000 + number))],
                closing=amount(40_000_000 + number),
                opening_held=amount(0),
                held=amount(3_000_000 + number),
            )
            for number, name in enumerate(names)
        ],
        totals=[total("", 1), *[total(name, 10 + number) for number, name in enumerate(names)]],
        closing=pb.StatementClosing(
            first_entry=11, last_entry=99, batch_seq=12, head_hash=HASH, hash=HASH[::-1],
            closed_at_us=1_801_440_000_000_000,
        ),
        shard=3,
    )  # fmt: skip


def printed(
    browser: Browser, folder: Path, what: pb.Statement, inches: tuple[float, float] = A4_INCHES
) -> Printed:
    page = folder / "statement.html"
    page.write_bytes(as_page(what))
    found = browser.print(page, inches)
    assert found.requests == [page.as_uri()], "a page is all in itself"
    assert found.complaints == []
    assert found.overflow_px <= 0
    return found


def on_paper(text: str, paper: str) -> bool:
    """Whether it stands there, wherever lines are broken."""
    return "".join(text.split()) in paper


def rows_of(each: pb.StatementLine) -> list[str]:
    """What the rows of a line say, from left to right."""
    quantities = [f"{name} {each.quantities[name]}" for name in sorted(each.quantities)]
    what = each.product
    if each.HasField("adjusts_statement"):
        what += f", of statement {each.adjusts_statement}, {each.account}"
    rows = []
    for place, paid in enumerate(each.paid):
        payer = pb.StatementPayer.Name(paid.payer).removeprefix("STATEMENT_PAYER_").lower()
        grant = f"{paid.grant_id} " if paid.grant_id else ""
        row = f"{payer} {grant}of {paid.account} {paid.amount.units} {paid.amount.asset}"
        rows.append(f"{what} {each.value} {', '.join(quantities)} {row}" if not place else row)
    return rows


@pytest.mark.parametrize("inches", [A4_INCHES, LETTER_INCHES])
def test_all_lines_and_totals_are_on_paper(
    browser: Browser, tmp_path: Path, inches: tuple[float, float]
) -> None:
    """Row by row as they stand, on sheets of the size that was asked for, none of them empty, with
    the head of a table on each sheet that it goes on on."""
    what = statement(accounts=4, lines=40)
    found = printed(browser, tmp_path, what, inches)
    assert found.title == "Statement 7 of acme"
    for width, height in found.sizes:
        assert (width, height) == pytest.approx((inches[0] * 72, inches[1] * 72), abs=1.5)
    paper = "".join(found.pages)
    rows = [row for each in what.lines for row in rows_of(each)]
    assert [row for row in rows if not on_paper(row, paper)] == []
    for each in what.totals:
        for label, figure in (
            ("Used", each.charged),
            ("Paid by grants", each.grants),
            ("Paid by overdraft", each.overdraft),
            ("Overage, whoever is billed", each.overage),
            ("Billable", each.billable),
        ):
            assert on_paper(f"{label} {figure.units} {figure.asset}", paper), (each.account, label)
    for book in what.books:
        assert on_paper(f"opening {book.opening.units} credit", paper)
        assert on_paper(f"{WIDE}, late {book.moves[0].amount.units} credit", paper)
        assert on_paper(f"closing, of it held {book.held.units} {book.closing.units} credit", paper)
    assert on_paper(HASH, paper) and on_paper(HASH[::-1], paper)
    assert 8 <= len(found.pages) <= 30
    assert min(map(len, found.pages)) > 50
    tables = len(re.findall("ProductregionQuantitiesPaidbyAmountAsset", paper))
    assert tables > len(what.totals), "heads are repeated"


def test_no_row_is_cut_by_the_end_of_a_sheet(browser: Browser, tmp_path: Path) -> None:
    """Each row of a line is whole on one sheet, however long the name of the attribute is."""
    what = statement(accounts=2, lines=60)
    what.attribute = "a" * 64
    found = printed(browser, tmp_path, what)
    for each in what.lines:
        for row in rows_of(each):
            assert any(on_paper(row, sheet) for sheet in found.pages), row


def test_a_small_statement_is_one_sheet(browser: Browser, tmp_path: Path) -> None:
    what = pb.Statement(
        account="acme",
        state=pb.STATEMENT_STATE_DRAFT,
        form=pb.STATEMENT_FORM_SEPARATE,
        start_us=1_798_761_600_000_000,
        end_us=1_801_440_000_000_000,
        totals=[total("", 1)],
    )
    found = printed(browser, tmp_path, what)
    assert found.title == "Statement draft of acme"
    assert len(found.pages) == 1
    assert on_paper("draft, separate", found.pages[0])


def test_the_browser_would_have_told(browser: Browser, tmp_path: Path) -> None:
    """What the page is cleared of is seen where it is: requests, scripts that fail or speak, what
    is wider than the paper."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><title>bad</title><img src='missing.png'><p style='width:3000px'>wide</p>"
        "<script>console.error('said'); throw new Error('thrown')</script>"
    )
    found = browser.print(page, A4_INCHES)
    assert (tmp_path / "missing.png").as_uri() in found.requests
    assert any("said" in each for each in found.complaints)
    assert any("thrown" in each for each in found.complaints)
    assert found.overflow_px > 2_000
