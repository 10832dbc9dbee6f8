"""Names: valid for the tools, injective, and the same tomorrow."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
import regex
from beancount.core.account import ACCOUNT_RE
from beancount.parser import parser
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.events import OF_A_GRANT, OF_AN_ACCOUNT, BookKind
from ledger.core.limits import DAY_US, INT64_MAX
from ledger.exports import chart, names
from ledger.exports.amounts import day_number, day_text, decimal_text, instant_text
from ledger.exports.chart import BookSet, Owner
from tests.exports.history import ODD_IDS, ODD_PRODUCTS

MARK = "X-"  # of a name that does not begin with a small letter or digit
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)


def unescape(text: str) -> str:
    """The text of which `names.escape` made this."""
    parts: list[bytes] = []
    at = 0
    while at < len(text):
        if text.startswith("--", at):
            parts.append(bytes.fromhex(text[at + 2 : at + 4]))
            at += 4
        else:
            parts.append(text[at].encode())
            at += 1
    return b"".join(parts).decode()


def name_of(component: str) -> str:
    """The name of which `names.name_component` made this."""
    if component.startswith(MARK):
        return unescape(component[len(MARK) :])
    return unescape(component[0].lower() + component[1:])


@pytest.mark.parametrize("kind", BookKind, ids=lambda kind: kind.name)
def test_every_kind_of_book_has_a_place_in_one_set(kind: BookKind) -> None:
    """Rule B2."""
    place = chart.place_of(kind)
    assert place.root in ("Assets", "Liabilities", "Equity", "Income", "Expenses")
    assert [int(kind) in chart.kinds_of(books) for books in BookSet].count(True) == 1


def test_owners_are_those_of_the_core() -> None:
    assert chart.kinds_owned_by(Owner.GRANT) == sorted(map(int, OF_A_GRANT))
    assert chart.kinds_owned_by(Owner.ACCOUNT) == sorted(map(int, OF_AN_ACCOUNT))


def test_every_book_of_the_rule_has_a_place() -> None:
    """Rule B2, word for word."""
    units = "grant commitment overage advance promotion funding used true_up forfeited settled"
    money = "cash deferred unbilled receivable revenue breakage credit_note bad_debt cost payable"
    assert {name for name, place in chart.CHART.items() if place.books is BookSet.UNITS} == {
        *units.upper().split(),
        "CONVERSION",
    }
    assert {name for name, place in chart.CHART.items() if place.books is BookSet.MONEY} == {
        *money.upper().split(),
        "UNEARNED",  # of fixed charges: docs/fixed-charges.md
    }


def test_no_two_kinds_have_one_account() -> None:
    places = [(place.books, place.root, place.words) for place in chart.CHART.values()]
    assert len(set(places)) == len(places)
    assert not set(chart.OPENING.values()) & {
        f"{root}:{books.capitalize()}:{words}" for books, root, words in places
    }


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("chat", "Chat"),
        ("Chat", "X-Chat"),
        ("x-chat", "X-x-chat"),
        ("gpt-4o", "Gpt-4o"),
        ("3d/render", "3d--2Frender"),
        ("a--b", "A--2D--2Db"),
        ("-", "X---2D"),
        ("", "X-"),
        ("é", "X---C3--A9"),
    ],
)
def test_a_name_is_readable_and_stays_as_it_is(name: str, component: str) -> None:
    """A change here renames accounts in books that customers keep."""
    assert names.name_component(name) == component


@given(TEXTS)
def test_a_name_can_be_read_back(name: str) -> None:
    component = names.name_component(name)
    assert name_of(component) == name
    assert regex.fullmatch(ACCOUNT_RE, f"Income:{component}")
    assert unescape(names.escape(name)) == name


@given(st.integers(1, INT64_MAX), TEXTS)
def test_an_account_is_named_by_its_number_first(number: int, account_id: str) -> None:
    component = names.account_component(number, account_id)
    assert regex.fullmatch(ACCOUNT_RE, f"Assets:{component}")
    head, _, tail = component.partition("-")
    assert head == f"A{number}"
    assert unescape(tail) == account_id


@given(st.lists(st.tuples(TEXTS, st.integers(1, 2**32 - 1)), unique_by=lambda each: each[1]))
def test_no_two_assets_become_one_commodity(assets: list[tuple[str, int]]) -> None:
    codes = dict(assets)
    for make in (names.beancount_commodity, lambda code, _: names.hledger_commodity(code)):
        made = [make(code, number) for code, number in codes.items()]
        assert len(set(made)) == len(codes)


@pytest.mark.parametrize(
    "code",
    [
        "USD",
        "CREDIT",
        "credit",
        "A",
        "X-N4",
        "GPU_H100",
        "€",
        "A" * 60,
        "9LIVES",
        "A-",
        "TRUE",
        "NULL",
    ],
)
def test_beancount_reads_the_commodity(code: str) -> None:
    commodity = names.beancount_commodity(code, 7 << 32 | 4)
    text = (
        f"2026-01-01 commodity {commodity}\n  code: {names.beancount_string(code)}\n"
        f'2026-01-01 * "x"\n  Assets:A  1.5 {commodity}\n  Assets:B  -1.5 {commodity}\n'
    )
    entries, errors, _ = parser.parse_string(text)
    assert not errors
    assert entries[0].currency == commodity
    assert entries[0].meta["code"] == code
    assert entries[1].postings[0].units.currency == commodity


@pytest.mark.parametrize("text", [*ODD_IDS, *ODD_PRODUCTS])
def test_beancount_reads_any_string_back(text: str) -> None:
    entries, errors, _ = parser.parse_string(
        f"2026-01-01 open Assets:A\n  text: {names.beancount_string(text)}\n"
    )
    assert not errors
    assert entries[0].meta["text"] == text


@given(st.integers(-(10**40), 10**40), st.integers(0, 18))
def test_decimals_are_exact(minor: int, scale: int) -> None:
    """Rule N1: no amount goes through a float or is rounded."""
    text = decimal_text(minor, scale)
    assert Decimal(text) == Context(prec=60).scaleb(Decimal(minor), -scale)
    assert len(text.partition(".")[2]) == scale


def test_days_and_instants_are_of_utc() -> None:
    assert instant_text(0) == "1970-01-01T00:00:00.000000Z"
    assert instant_text(DAY_US - 1) == "1970-01-01T23:59:59.999999Z"
    assert day_text(day_number(DAY_US - 1)) == "1970-01-01"
    assert day_text(day_number(0) - 1) == "1969-12-31"


def test_what_takes_effect_after_the_calendar_ends_is_dated_on_its_last_days() -> None:
    """An instant may be as late as the year 294,247; the tools count to 9999-12-31."""
    assert day_text(day_number(INT64_MAX)) == "9999-12-30"
    assert day_text(day_number(INT64_MAX) + 1) == "9999-12-31"
    assert instant_text(INT64_MAX) == str(INT64_MAX)
