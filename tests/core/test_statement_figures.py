"""What statements say: tables by hand, out of the journal alone (rules T2, H8, D7)."""

from __future__ import annotations

from typing import Any, get_args

from core_world import FAMILY, TENANT
from ledger_case import LedgerCase
from minimum_world import MinimumCase

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.events import BookKind
from ledger.core.outcomes import Refusal
from ledger.statements.figures import Head, LineKind, Statement, paid_by
from ledger.statements.folding import Folding, Wanted
from ledger.statements.places import Closed

CONSOLIDATED, SEPARATE = e.StatementForm.CONSOLIDATED, e.StatementForm.SEPARATE


def stating(case: LedgerCase, name: str, form: e.StatementForm = CONSOLIDATED) -> None:
    key = FAMILY.request(f"statements of {name}")
    asked = case.core.run(c.SetStatements(key, case.accounts[name], form))
    assert not isinstance(asked, Refusal), asked


def statements(case: LedgerCase) -> dict[tuple[str, int], Statement]:
    """By account and number what every statement says that has ended."""
    names = {number: name for name, number in case.accounts.items()}
    wanted: dict[tuple[str, int], Wanted] = {}
    lines: dict[int, list[tuple[Closed, int]]] = {}
    entry = 0
    for _, events in case.core.batches:
        for event in events:
            if isinstance(event, e.StatementEnded):
                account = case.core.state.accounts[event.account]
                before = lines.setdefault(event.account, [])
                head = Head(
                    TENANT, 0, event.account, event.statement, event.form == CONSOLIDATED,
                    event.attribute, event.start, event.end, entry,
                )  # fmt: skip
                since = before[-1][1] if before else entry
                earlier = [each for each, _ in before]
                wanted[names[event.account], event.statement] = Wanted(
                    head, account.root, since, earlier
                )
                before.append((Closed(event.statement, event.start, event.end), entry))
            entry += 1
    folding = Folding(0, list(wanted.values()))
    for recorded_at, events in case.core.batches:
        folding.batch(recorded_at, events)
    return dict(zip(wanted, folding.finish(), strict=True))


def told(case: LedgerCase, statement: Statement) -> list[tuple[Any, ...]]:
    """(account, kind, product, adjusts, who paid, units) of every payment."""
    names = {number: name for name, number in case.accounts.items()}
    return [
        (
            names[line.key.account],
            LineKind(line.key.kind).name,
            line.key.product,
            line.key.adjusts,
            paid_by(each.payer.kind),
            each.amount,
        )
        for line in statement.lines
        for each in line.paid
    ]


def balances(statement: Statement) -> list[tuple[Any, ...]]:
    """(kind, opening, moves, closing) of every book, by kind."""
    found = [
        (
            BookKind(book.key.kind).name,
            book.opening,
            [(BookKind(move.other).name, move.credits - move.debits) for move in book.moves],
            book.closing,
        )
        for book in statement.books
    ]
    return sorted(found)


def test_a_minimum_is_in_the_statement_of_its_period() -> None:
    """Of 100, 70 were used: 30 more, charged as the grace ends, and the statement ends after."""
    case = MinimumCase()
    case.run(
        """
        minimums default all=100
        account  acme overage=self
        usage    acme 70 at=2026-01-01
        """
    )
    stating(case, "acme")
    case.run(
        """
        clock 2026-02-02
        sweep
        """
    )
    found = statements(case)["acme", 1]
    assert told(case, found) == [
        ("acme", "USAGE", "chat", None, "overage", 70),
        ("acme", "MINIMUM", "minimum", None, "overage", 30),
    ]
    assert [(total.charged, total.billable) for total in found.totals] == [(100, 100)]


def test_a_commitments_true_up_is_in_its_books() -> None:
    """Rule D7: of 100 for 50 dollars, 60 are drawn; 40 are trued up a grace after the end."""
    case = LedgerCase()
    case.run(
        """
        account acme
        commit  acme now..2026-01-30:100/50 as=year
        usage   acme 60
        """
    )
    stating(case, "acme")
    case.run(
        """
        clock 2026-01-31
        sweep
        clock 2026-02-02
        sweep
        """
    )
    found = statements(case)["acme", 1]
    assert told(case, found) == [("acme", "USAGE", "chat", None, "grants", 60)]
    assert [total.billable for total in found.totals] == [0]  # it is owed in money, not overage
    assert balances(found) == [
        ("COMMITMENT", 0, [("GRANT", -100)], 100),
        ("GRANT", 0, [("USED", -60), ("COMMITMENT", 100), ("TRUE_UP", -40)], 0),
        ("UNBILLED", 0, [("REVENUE", -30), ("BREAKAGE", -20)], 50),
    ]


def test_what_is_given_back_later_adjusts_the_next_and_names_the_closed_one() -> None:
    case = LedgerCase()
    case.run(
        """
        account acme overage=self
        grant   acme 50
        usage   acme 80 id=early -> drawn 50 from acme, overage 30 on acme
        """
    )
    stating(case, "acme")
    case.run(
        """
        clock   2026-02-03
        sweep
        reverse early 40
        usage   acme 5 at=2026-01-20
        usage   acme 7
        adjust  acme -2
        clock   2026-03-03
        sweep
        """
    )
    found = statements(case)
    assert told(case, found["acme", 1]) == [
        ("acme", "USAGE", "chat", None, "grants", 50),
        ("acme", "USAGE", "chat", None, "overage", 30),
    ]
    assert told(case, found["acme", 2]) == [
        ("acme", "USAGE", "chat", None, "grants", 5),
        ("acme", "USAGE", "chat", None, "overage", 2),
        ("acme", "ADJUSTMENT", "adjustment", None, "overage", 2),
        ("acme", "USAGE", "chat", 1, "grants", -5),
        ("acme", "USAGE", "chat", 1, "overage", -30),
    ]
    assert [(each.billable) for each in found["acme", 2].totals] == [-26]


def test_usage_counts_where_it_was_recorded_and_balances_where_accounts_stand() -> None:
    """Half way, acme/team moves from acme/a to acme/b; what it used before stays with a."""
    case = LedgerCase()
    case.run(
        """
        account acme
        account acme/a parent=acme
        account acme/b parent=acme
        account acme/team parent=acme/a
        grant   acme/team 100
        usage   acme/team 30
        """
    )
    for name in ("acme", "acme/a", "acme/b"):
        stating(case, name)
    case.run(
        """
        move  acme/team acme/b
        usage acme/team 20
        clock 2026-02-03
        sweep
        """
    )
    found = statements(case)
    line = ("acme/team", "USAGE", "chat", None, "grants")
    assert told(case, found["acme", 1]) == [(*line, 50)]
    assert told(case, found["acme/a", 1]) == [(*line, 30)]
    assert told(case, found["acme/b", 1]) == [(*line, 20)]
    assert balances(found["acme/a", 1]) == []
    assert balances(found["acme/b", 1]) == [
        ("GRANT", 0, [("FUNDING", 100), ("USED", -50)], 50),
    ]


def test_what_another_asset_pays_stands_on_a_line_of_its_own() -> None:
    """Rule R5: 100 credits, of which 40 are there; 60 more are 30 dollars at 1/2."""
    case = LedgerCase()
    case.run(
        """
        rate    credits usd 1/2
        account acme settles=usd overage=self
        grant   acme 40
        usage   acme 100
        """
    )
    stating(case, "acme")
    case.run(
        """
        clock 2026-02-03
        sweep
        """
    )
    found = statements(case)["acme", 1]
    assert sorted(told(case, found)) == sorted(
        [
            ("acme", "USAGE", "chat", None, "grants", 40),
            ("acme", "USAGE", "chat", None, "converted", 60),
            ("acme", "USAGE", "chat", None, "overage", 30),
        ]
    )
    assert [(each.charged, each.billable) for each in found.totals] == [(100, 0), (30, 30)]


def test_every_entry_that_is_paid_for_is_on_a_line() -> None:
    """A new kind of entry with slices, or with what they give back, needs a line of statements
    (`paid` in statements.sql, and `ledger.statements.folding`): a family's would not add up."""
    on_lines = (
        e.UsageRecorded, e.UsageReversed, e.UsageRerated, e.UsageConverted, e.ConversionReversed,
        e.MinimumCharged, e.FeeCharged, e.BalanceAdjusted,
    )  # fmt: skip
    pending = (e.HoldAuthorized, e.OutcomeReported, e.LeaseRenewed)
    paid = [
        kind for kind in get_args(e.Event)
        if {"slices", "given_back"} & set(kind.__struct_fields__)
    ]  # fmt: skip
    assert [kind.__name__ for kind in paid if not issubclass(kind, (*on_lines, *pending))] == []
