"""Minimums against a straight computation: whatever happened, a period lacks just that (R2, S1)."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

from core_world import START_US, SandboxCore
from hypothesis import given
from hypothesis import strategies as st
from ledger_case import LedgerCase
from minimum_world import MinimumCase

from ledger.core import events as e

DAYS = st.integers(0, 9)
AMOUNTS = st.integers(1, 60)
STEPS = st.one_of(
    st.tuples(st.just("usage"), st.sampled_from(["acme", "heir"]), AMOUNTS),
    st.tuples(st.just("image"), st.sampled_from(["acme", "heir"]), AMOUNTS),
    st.tuples(st.just("gpt"), st.just("acme"), AMOUNTS),
    st.tuples(st.just("late"), st.just("acme"), DAYS),
    st.tuples(st.just("reverse"), st.just(""), st.integers(0, 30)),
    st.tuples(st.just("part"), st.just(""), st.integers(0, 30)),
    st.tuples(st.just("goodwill"), st.just(""), st.integers(0, 30)),
    st.tuples(st.just("days"), st.just(""), DAYS),
    st.tuples(st.just("minimums"), st.just(""), st.integers(1, 90)),
    st.tuples(st.just("grant"), st.just("acme"), st.integers(1, 150)),
    st.tuples(st.just("sweep"), st.just(""), st.just(0)),
)


class Told:
    """Runs steps and remembers what each event was charged, and when, by hand."""

    def __init__(self, case: LedgerCase, zone: str) -> None:
        self.case = case
        self.events: list[tuple[str, str]] = []
        case.run(
            "minimums plan chat.tokens=40 chat=70 all=100\n"
            f"account acme card=plan zone={zone} overage=self\naccount heir parent=acme"
        )
        self.versions = [(case.core.now, 40, 70, 100)]

    def step(self, what: str, name: str, amount: int) -> None:
        case, called = self.case, f"u{len(self.events)}"
        if what == "days":
            case.run(f"clock +{amount}d")
        elif what == "grant":
            case.run(f"grant acme {amount} shared as=g{len(case.grants)}")
        elif what == "sweep":
            case.run("sweep")
        elif what == "minimums":
            case.run(f"clock +1h\nminimums plan chat.tokens={amount} chat=70 all={2 * amount}")
            self.versions.append((case.core.now, amount, 70, 2 * amount))
        elif what in ("reverse", "part", "goodwill"):
            if self.events:
                target, one = self.events[amount % len(self.events)]
                words = {"reverse": "", "part": one, "goodwill": " charged=2"}[what]
                self.tried(f"reverse {target}{words}")
        else:
            at = f" at=-{amount}d" if what == "late" else ""
            of, one = (" of=image" if what == "image" else ""), " 1"
            if what == "gpt":
                of, one, amount = f" of=gpt input={amount} output=1", " 0 input=1", 0
            self.events.append((called, one))
            case.run(f"usage {name} {amount or int(what != 'gpt')}{of}{at} id={called}")

    def tried(self, line: str) -> None:
        """A correction that is refused where nothing is left of the event."""
        told = self.case._reverse(*_words(line))
        assert not told.startswith("refused") or told.startswith("refused CORRECTION_TOO_LARGE")


def _words(line: str) -> tuple[dict[str, str], *tuple[str, ...]]:
    """The options and the names of a statement, as the case takes them."""
    words = line.split()[1:]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    return options, *[word for word in words if "=" not in word]


def month_of(at_us: int) -> tuple[int, int]:
    """[start, end) of the month in UTC."""
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    first = datetime(at.year, at.month, 1, tzinfo=UTC)
    after = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * 1_000_000, int(after.timestamp()) * 1_000_000


def nearest_even(ratio: Fraction) -> int:
    return round(ratio)


def least_of(versions: list[tuple[int, ...]], which: int, start: int, end: int) -> int:
    """Each amount by its time in the month."""
    due = Fraction(0)
    for place, version in enumerate(versions):
        until = versions[place + 1][0] if place + 1 < len(versions) else end
        time = min(until, end) - max(version[0], start)
        due += Fraction(version[which] * max(0, time), end - start)
    return nearest_even(due)


@given(st.lists(STEPS, max_size=25), st.booleans())
def test_each_month_pays_its_share_of_the_minimum_less_what_was_charged(
    steps: list[tuple[str, str, int]], sandbox: bool
) -> None:
    """By what the entries say of charges, counted over the months by hand; once a month, in order,
    inner scopes first; every replay, and every family that was packed, agrees (`finish`)."""
    case = MinimumCase(SandboxCore()) if sandbox else MinimumCase()
    told = Told(case, "UTC")
    for step in steps:
        told.step(*step)
    case.run("clock +70d\nsweep\nsweep\nsweep")
    charged: dict[tuple[int, str], int] = {}
    settled: list[tuple[int, int]] = []
    counted_at: dict[int, int] = {}
    plans: dict[int, e.PlanDeclared] = {}
    added: dict[str, int] = {}
    locator_month: dict[int, int] = {}
    place = 0
    for number, (recorded_at, events) in enumerate(case.core.batches, start=1):
        offset = 0
        for index, event in enumerate(events):
            place += 1
            match event:
                case e.TimeShifted():
                    offset = event.offset
                case e.PlanDeclared():
                    plans[index] = event
                case e.UsageRecorded():
                    now = recorded_at + offset
                    start, end = month_of(event.effective_at)
                    if end + 86_400_000_000 <= now:  # closed: it counts in the month of now
                        start, _ = month_of(now)
                    locator_month[(number << 20) | index] = start
                    product = plans[event.plan].product
                    amount = sum(piece.amount for piece in event.slices)
                    for key in (product, "all"):
                        charged[start, key] = charged.get((start, key), 0) + amount
                case e.UsageReversed():
                    start = locator_month[event.original]
                    product = plans[event.plan].product
                    amount = sum(piece.amount for piece in event.given_back)
                    for key in (product, "all"):
                        charged[start, key] = charged.get((start, key), 0) - amount
                case e.MinimumCharged():
                    assert event.account == case.accounts["acme"]
                    start, end = month_of(event.effective_at)
                    assert (event.start, event.end) == (start, end)
                    if event.scope == 1:
                        assert not settled or settled[-1][0] < start
                        added = {}
                    of = event.product or "all"
                    inner = {"chat": ("line",), "all": ("line", "chat")}
                    more = sum(added[each] for each in inner[of]) if event.scope > 1 else 0
                    assert event.charged == charged.get((start, of), 0) + more
                    least = least_of(told.versions, event.scope, max(start, START_US), end)
                    assert event.minimum == least
                    short = max(0, least - event.charged)
                    assert sum(piece.amount for piece in event.slices) == short
                    added["line" if event.scope == 1 else of] = short
                    settled.append((start, event.scope))
                    counted_at[event.end] = place
    assert settled == sorted(settled) and len(set(settled)) == len(settled)
    assert len(settled) >= 6, "January and February at least"
    case.finish()
