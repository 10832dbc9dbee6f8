"""The shortest history that still breaks the same rule.

Takes operations, faults and chances away, in halves and then one by one, and keeps what still
fails. Bounded by runs, not by time, so that it finds the same history every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from ledger.simulation.rules import Rule
from ledger.simulation.scenario import Scenario
from ledger.simulation.world import Verdict, run

RUNS_MAX: Final = 400  # x ~50 ms = 20 s
T = TypeVar("T")


class Shrinker:
    """Shrinks one failing scenario. `best` is the shortest so far, `verdict` what it gives."""

    def __init__(self, scenario: Scenario, verdict: Verdict, runs_max: int = RUNS_MAX) -> None:
        """`verdict` is the failing one of `scenario`."""
        assert verdict.violation is not None
        self.best = scenario
        self.verdict = verdict
        self.runs = 0
        self._rule: Rule = verdict.violation.rule
        self._runs_max = runs_max

    def shrink(self) -> None:
        """Take away what can be taken away, until nothing can or the runs are used up."""
        before: Scenario | None = None
        while before != self.best and self.runs < self._runs_max:
            before = self.best
            self._fewer(self.best.faults, lambda kept: replace(self.best, faults=kept))
            self._fewer(self.best.operations, lambda kept: replace(self.best, operations=kept))
            self._fewer_events()
            self._quieter()

    def _try(self, scenario: Scenario) -> bool:
        """Whether a scenario still breaks the rule; then it is the best."""
        if self.runs >= self._runs_max:
            return False
        self.runs += 1
        verdict = run(scenario)
        if verdict.violation is None or verdict.violation.rule is not self._rule:
            return False
        self.best, self.verdict = scenario, verdict
        return True

    def _fewer(
        self, items: Sequence[T], made: Callable[[tuple[T, ...]], Scenario]
    ) -> tuple[T, ...]:
        """Drop runs of items: halves, then quarters, down to single ones."""
        kept = tuple(items)
        size = len(kept)
        while size:
            start = 0
            while start < len(kept):
                fewer = kept[:start] + kept[start + size :]
                if self._try(made(fewer)):
                    kept = fewer
                else:
                    start += size
            size //= 2
        return kept

    def _fewer_events(self) -> None:
        """Drop events of batches."""
        for place, operation in enumerate(self.best.operations):
            if operation.kind != "usage" or len(operation.fields["events"]) < 2:
                continue

            def made(kept: tuple[Any, ...], place: int = place) -> Scenario:
                operations = list(self.best.operations)
                before = operations[place]
                operations[place] = replace(before, fields={**before.fields, "events": [*kept]})
                return replace(self.best, operations=tuple(operations))

            events = operation.fields["events"]
            for index in reversed(range(len(events))):
                if len(events) > 1 and self._try(made(tuple(events[:index] + events[index + 1 :]))):
                    events = events[:index] + events[index + 1 :]

    def _quieter(self) -> None:
        """Turn chances off, shuffling too."""
        if self.best.shuffle:
            self._try(replace(self.best, shuffle=False))
        if self.best.tight:
            self._try(replace(self.best, tight=False))
        for name in ("disk", "network"):
            for each in fields(getattr(self.best, name)):
                chances = getattr(self.best, name)
                if getattr(chances, each.name) and not each.name.endswith("_us"):
                    quieter = replace(chances, **{each.name: 0})
                    self._try(replace(self.best, **{name: quieter}))


def told(scenario: Scenario, verdict: Verdict) -> list[str]:
    """A failing history as lines for a person: what was asked, what failed, what was seen."""
    lines = [f"seed {scenario.seed}: {verdict.violation}"]
    if verdict.violation is not None:
        lines.append(f"  stands for: {verdict.violation.rule.value}")
    lines += ["operations:", *(f"  {operation}" for operation in scenario.operations)]
    lines += ["faults:", *(f"  {fault}" for fault in scenario.faults)]
    for name in ("disk", "network"):
        chances = getattr(scenario, name)
        on = [
            f"{each.name} {getattr(chances, each.name)}"
            for each in fields(chances)
            if getattr(chances, each.name) and not each.name.endswith("_us")
        ]
        lines += [f"  {name}, in a thousand: {', '.join(on)}"] if on else []
    lines += ["history:", *(f"  {record}" for record in verdict.records)]
    lines += ["trace (us, step, what):", *(f"  {line}" for line in verdict.happened)]
    return lines
