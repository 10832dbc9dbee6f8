"""List prices against exact fractions: what each line costs, and what goes back of it (rule R9)."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase
from listed_world import ListedCase

from ledger.core import events as e

PRICES = {("api", "tokens"): (5, 8), ("gpt", "input"): (2, 3), ("gpt", "cached"): (1, 4)}
AMOUNTS = st.integers(1, 40)
STEPS = st.one_of(
    st.tuples(st.just("usage"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("gpt"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("hold"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("capture"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("upsize"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("grant"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("reverse"), AMOUNTS, AMOUNTS),
    st.tuples(st.just("part"), AMOUNTS, AMOUNTS),
)


class Told:
    def __init__(self) -> None:
        self.case = ListedCase()
        self.events: list[tuple[str, str]] = []
        self.holds: list[str] = []
        self.count = 0
        self.case.run(
            "account acme card=listed\ngrant acme 300\ncommit acme now..+30d:60/60 as=c priority=5"
        )

    def step(self, what: str, first: int, second: int) -> None:
        self.count += 1
        called, case = f"x{self.count}", self.case
        if what == "usage":
            case.run(f"usage acme {first} of=api id={called}")
            self.events.append((called, " 1"))
        elif what == "gpt":
            words = f"input={first} output={second} cached={first + second}"
            case.run(f"usage acme 0 of=gpt {words} id={called}")
            self.events.append((called, " 0 input=1 cached=1"))
        elif what == "hold":
            told = case._hold({"of": "api", "as": called}, "acme", str(first))
            if not told.startswith("denied"):
                self.holds.append(called)
        elif what == "capture" and self.holds:
            case.run(f"capture {self.holds.pop()} {first}")
        elif what == "upsize":
            case.run(f"upsize c now..+30d:{first}/{first}")
        elif what == "grant":
            case.run(f"grant acme {first} as={called} priority={second}")
        elif what in ("reverse", "part") and self.events:
            target, one = self.events[first % len(self.events)]
            words = f"{target}{one if what == 'part' else ''}".split()
            options = dict(word.split("=") for word in words if "=" in word)
            told = case._reverse(options, *[word for word in words if "=" not in word])
            refused = told.startswith("refused")
            assert not refused or told.startswith("refused CORRECTION_TOO_LARGE"), told

    def reverse_all(self) -> None:
        for called, _ in self.events:
            told = self.case._reverse({}, called)
            refused = told.startswith("refused")
            assert not refused or told.startswith("refused CORRECTION_TOO_LARGE"), told


def drawn_of_commitments(case: LedgerCase, event: e.UsageRecorded) -> int:
    books = case.core.state.books.accounts
    paid = 0
    for piece in event.slices:
        grant = books[piece.book].grant
        if grant is not None and grant.commitment is not None:
            paid += piece.amount
    return paid


@given(st.lists(STEPS, max_size=25))
def test_each_line_is_the_exact_share_and_all_goes_back(steps: list[tuple[str, int, int]]) -> None:
    """L x (C - g) / C, summed and rounded once an event, each line within one unit of its share;
    commitments pay g at least, and all they have where they do not pay C; reversals in whatever
    parts leave nothing of events that are wholly given back."""
    told = Told()
    for step in steps:
        told.step(*step)
    case = told.case
    plans: dict[int, e.PlanDeclared] = {}
    for _, events in case.core.batches:
        for index, event in enumerate(events):
            if isinstance(event, e.PlanDeclared):
                plans[index] = event
            if not isinstance(event, e.UsageRecorded):
                continue
            plan = plans[event.plan]
            quantities = dict(zip(plan.quantity_names, event.quantities, strict=True))
            total = Fraction(0)
            rests = 0
            for line in event.listed:
                name = plan.quantity_names[line.place]
                commit, listed = PRICES[plan.product, name]
                assert (line.commit, line.listed) == (
                    commit * quantities[name],
                    listed * quantities[name],
                )
                share = Fraction(line.listed * (line.commit - line.paid), line.commit)
                rest = event.charges[line.place] - line.paid
                assert abs(rest - share) < 1
                total += share
                rests += rest
            assert rests == round(total)
            paid = sum(line.paid for line in event.listed)
            assert drawn_of_commitments(case, event) >= paid
            assert sum(piece.amount for piece in event.slices) == sum(event.charges)
    told.reverse_all()
    state = case.core.state
    captured = sum(
        piece.amount
        for _, events in case.core.batches
        for event in events
        if isinstance(event, e.UsageRecorded) and event.hold
        for piece in event.slices
    )
    spent = sum(
        book.credits_posted - book.debits_posted
        for book in state.books.accounts.values()
        if book.kind == e.BookKind.USED
    )
    assert spent == captured, "what was captured stays, all else went back"
    case.finish()
