"""Leases of operations in any order, beside debits and holds: no hard budget of an operation counts
beyond its limit, and in the end it counts what was used (rules H4, H7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from minimum_world import packed_and_back
from test_lease_operations import LeasedCase
from test_verify_rules import judged

from ledger.core.budgets.budgets import Budget

LIMITS = {"a": 90, "b": 40}
PARENTS = {"a": "", "b": "a", "c": "a", "d": "b"}
ABOVE = {"a": ["a"], "b": ["b", "a"], "c": ["a"], "d": ["b", "a"]}
START = """
account acme
grant   acme 100000
cap     acme/a 90
cap     acme/b 40
usage   acme 1 in=b@a
usage   acme 1 in=c@a
usage   acme 1 in=d@b
"""
STEPS = st.tuples(
    st.sampled_from(("debit", "hold", "lease", "renew", "spend", "spend", "giveback", "release")),
    st.sampled_from(sorted(PARENTS)),
    st.integers(0, 9),
    st.integers(1, 60),
)


class Walk:
    """What each cap was told to have used; who has which leases and holds."""

    def __init__(self) -> None:
        self.case = LeasedCase()
        self.case.run(START)
        self.spent = {"a": 3, "b": 2}
        self.leases: list[tuple[str, str]] = []
        self.holds: list[str] = []

    def step(self, number: int, verb: str, operation: str, place: int, amount: int) -> None:
        case, parent = self.case, PARENTS[operation]
        said = f"in={operation}@{parent}" if parent else f"in={operation}"
        if verb == "debit":
            if not case.told(f"debit acme {amount} {said}").startswith("denied"):
                self.use(operation, amount)
        elif verb == "hold":
            if not case.told(f"hold acme {amount} as=h{number} {said}").startswith("denied"):
                self.holds.append(f"h{number}")
        elif verb == "lease":
            case.run(f"lease acme {amount} as=l{number} {said} min={min(place, amount)}")
            self.leases.append((f"l{number}", operation))
        elif verb == "release":
            if self.holds:
                case.run(f"release {self.holds.pop(place % len(self.holds))}")
        elif self.leases:
            self.lease_step(verb, place, amount)

    def lease_step(self, verb: str, place: int, amount: int) -> None:
        called, operation = self.leases[place % len(self.leases)]
        left = self.case.hold(called).left
        if verb == "renew":
            self.case.run(f"renew {called} {amount} keep={min(left, place)}")
        elif verb == "giveback":
            self.case.run(f"giveback {called}")
            self.leases.remove((called, operation))
        elif left:
            self.case.run(f"spend {called} {min(left, amount)}")
            self.use(operation, min(left, amount))

    def use(self, operation: str, amount: int) -> None:
        for cap in ABOVE[operation]:
            self.spent[cap] += amount

    def check(self) -> None:
        for name, limit in LIMITS.items():
            counter = self.budget(name).counter
            assert counter.posted + counter.pending <= limit, name
            assert counter.posted == self.spent[name], name

    def budget(self, name: str) -> Budget:
        return self.case.budget(f"~{name}")


@given(st.lists(STEPS, max_size=30))
def test_no_lease_passes_a_budget_of_its_operation(steps: list[tuple[str, str, int, int]]) -> None:
    walk = Walk()
    for number, step in enumerate(steps):
        walk.step(number, *step)
        walk.check()
    for called, _ in walk.leases:
        walk.case.run(f"giveback {called}")
    for called in walk.holds:
        walk.case.run(f"release {called}")
    walk.check()
    for name in LIMITS:
        assert walk.budget(name).counter.pending == 0
    assert judged(walk.case.core) == []
    packed_and_back(walk.case.core)
