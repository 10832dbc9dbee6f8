"""Budgets of operations against a plain model: whatever calls come, no authorisation or debit of an
operation passes its cap, and what counts is what the calls have said (rule H4)."""

from __future__ import annotations

from core_world import FAMILY
from hypothesis import given
from hypothesis import strategies as st
from minimum_world import packed_and_back
from operation_case import OperationCase
from test_verify_rules import judged

from ledger.core.budgets.operation_budgets import own_budget
from ledger.core.identity import KEY_BYTES

NAMES = ("a", "b", "c", "d", "e")
LIMITS = {"a": 60, "b": 40}
CALLS = st.tuples(
    st.sampled_from(("usage", "debit", "hold", "capture", "release")),
    st.sampled_from(NAMES),
    st.sampled_from(("", *NAMES)),
    st.integers(1, 30),
)


class Model:
    """The tree as calls tell it, and what each cap has counted, with nothing shared with the core.

    `above` of an operation is what it joined; a cap counts what is at or below it.
    """

    def __init__(self) -> None:
        self.above: dict[str, str] = {}  # operation that joined -> the one whose cap it joined
        self.spent = dict.fromkeys(LIMITS, 0)
        self.holds: dict[str, tuple[list[str], int, str]] = {}

    def cap_of(self, operation: str) -> str:
        """The nearest cap that is known to cover an operation; "" = none."""
        return operation if operation in LIMITS else self.above.get(operation, "")

    def covering(self, operation: str, parent: str) -> list[str]:
        over = self.above.get(operation, "") or self.joins(operation, parent)
        own = [operation] if operation in LIMITS else []
        return own + (self.line_of(over) if over else [])

    def line_of(self, cap: str) -> list[str]:
        line = [cap]
        while line[-1] in self.above:
            line.append(self.above[line[-1]])
        return line

    def joins(self, operation: str, parent: str) -> str:
        cap = self.cap_of(parent) if parent else ""
        if not cap or operation in self.above or operation in self.line_of(cap):
            return ""
        return cap

    def join(self, operation: str, parent: str) -> None:
        cap = self.joins(operation, parent)
        if cap:
            self.above[operation] = cap

    def left(self, cap: str) -> int:
        held = sum([amount for caps, amount, _ in self.holds.values() if cap in caps])
        return LIMITS[cap] - self.spent[cap] - held


@given(st.lists(CALLS, max_size=25))
def test_no_decision_passes_a_cap_and_all_that_was_said_counts(
    calls: list[tuple[str, str, str, int]],
) -> None:
    case, model = OperationCase(), Model()
    case.run("account acme\ngrant acme 100000\n")
    for name, limit in LIMITS.items():
        case.run(f"cap acme/{name} {limit}")
    for number, (verb, operation, parent, amount) in enumerate(calls):
        said = f"in={operation}@{parent}" if parent else f"in={operation}"
        if verb in ("capture", "release"):
            if not model.holds:
                continue
            name, (_, _, of) = next(iter(model.holds.items()))
            del model.holds[name]
            if verb == "release":
                case.run(f"release {name}")
                continue
            own, _, over = of.partition("@")
            for cap in model.covering(own, over):
                model.spent[cap] += amount
            model.join(own, over)
            case.run(f"capture {name} {amount}")
            continue
        caps = model.covering(operation, parent)
        allowed = verb == "usage" or all(amount <= model.left(cap) for cap in caps)
        told = "" if allowed else "  -> denied"
        line = f"{verb} acme {amount} {said}" + (f" as=H{number}" if verb == "hold" else "")
        outcome = case.told(line)
        assert outcome.startswith("denied by its operation") == bool(told), (line, outcome)
        if allowed and verb == "hold":
            model.holds[f"H{number}"] = (caps, amount, said.removeprefix("in="))
        elif allowed:
            for cap in caps:
                model.spent[cap] += amount
        model.join(operation, parent)
    family = next(iter(case.core.state.families.values()))
    for name in LIMITS:
        budget = own_budget(family, FAMILY.operation(name))
        assert budget is not None
        held = sum([amount for caps, amount, _ in model.holds.values() if name in caps])
        assert (budget.counter.posted, budget.counter.pending) == (model.spent[name], held)
    covered = {name for name in NAMES if FAMILY.operation(name)[:KEY_BYTES] in family.operations}
    assert covered == {*LIMITS, *model.above}
    assert judged(case.core) == []
    packed_and_back(case.core)


IDLE = {"a": 2, "b": 5, "c": 3}  # hours
LATER_CALLS = st.tuples(
    st.sampled_from(("usage", "debit", "hold", "cap", "clock", "clock")),
    st.sampled_from(NAMES),
    st.sampled_from(("", *NAMES)),
    st.integers(1, 4),
)


class Ending:
    """The same where caps of 20 end by standing idle: of each, what was spent, and when last."""

    def __init__(self) -> None:
        self.now = 0
        self.caps: dict[str, tuple[int, int]] = {}
        self.above: dict[str, str] = {}  # operation that joined -> the one whose cap it joined

    def goes_on(self, cap: str) -> bool:
        return self.caps[cap][1] + IDLE[cap] > self.now

    def line_of(self, cap: str) -> list[str]:
        line = [cap] if cap else []
        while line and line[-1] in self.above:
            line.append(self.above[line[-1]])
        return line

    def joins(self, operation: str, parent: str) -> str:
        if any(self.goes_on(cap) for cap in self.line_of(self.above.get(operation, ""))):
            return ""
        over = parent if parent in self.caps else self.above.get(parent, "")
        for cap in self.line_of(over):
            if self.goes_on(cap):
                line = self.line_of(cap)
                return "" if operation in line and self.goes_on(operation) else cap
        return ""

    def covering(self, operation: str, parent: str) -> list[str]:
        own = [operation] if operation in self.caps else []
        over = self.joins(operation, parent) or self.above.get(operation, "")
        return [cap for cap in own + self.line_of(over) if self.goes_on(cap)]

    def end(self, cap: str) -> None:
        del self.caps[cap]
        over = self.above.get(cap)
        for operation in [each for each in self.above if self.above[each] == cap]:
            if over is None:
                del self.above[operation]
            else:
                self.above[operation] = over

    def join(self, operation: str, parent: str) -> None:
        cap = self.joins(operation, parent)
        if cap:
            if operation in self.line_of(cap):
                self.end(operation)
            self.above[operation] = cap
            self.count(cap, 0)

    def count(self, cap: str, amount: int) -> None:
        self.caps[cap] = self.caps[cap][0] + amount, self.now

    def cap(self, operation: str) -> None:
        for each in [each for each in self.caps if not self.goes_on(each)]:
            self.end(each)
        self.caps[operation] = self.caps.get(operation, (0, 0))[0], self.now


@given(st.lists(LATER_CALLS, max_size=25))
def test_caps_that_end_by_standing_idle(calls: list[tuple[str, str, str, int]]) -> None:
    """Whatever has ended and whatever says so meanwhile: all that goes on counts what is below."""
    case, model = OperationCase(), Ending()
    case.run("account acme\ngrant acme 100000\n")
    for number, (verb, operation, parent, amount) in enumerate(calls):
        if verb == "clock":
            case.run(f"clock +{amount}h")
            model.now += amount
            continue
        if verb == "cap":
            if operation in IDLE:
                case.run(f"cap acme/{operation} 20 idle={IDLE[operation]}h")
                model.cap(operation)
            continue
        caps = model.covering(operation, parent)
        allowed = verb == "usage" or all(model.caps[cap][0] + amount <= 20 for cap in caps)
        said = f"in={operation}@{parent}" if parent else f"in={operation}"
        name = f" as=H{number}" if verb == "hold" else ""
        outcome = case.told(f"{verb} acme {amount} {said}{name}")
        assert outcome.startswith("denied by its operation") != allowed, (verb, said, outcome)
        model.join(operation, parent)
        for cap in caps if allowed else ():
            model.count(cap, amount if verb != "hold" else 0)
        if verb == "hold" and allowed:
            case.run(f"release H{number}")
    [family] = case.core.state.families.values()
    for name, (posted, _) in model.caps.items():
        budget = own_budget(family, FAMILY.operation(name))
        assert budget is not None
        assert (budget.counter.posted, budget.counter.pending) == (posted, 0)
    assert len(family.operation_budgets) == len(model.caps)
    assert judged(case.core) == []
    packed_and_back(case.core)
