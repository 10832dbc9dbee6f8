"""Ledgers with budgets of operations, in the language of `budget_case`:

    cap     ACCOUNT/OPERATION LIMIT [idle=DURATION] and what `budget` takes
    reserve ACCOUNT UNITS as=HOLD in=OPERATION [lifetime=DURATION]
    give    ACCOUNT LIMIT [idle=DURATION] and what `budget` takes | ACCOUNT none
    expect  spent ~OPERATION N | pends ~OPERATION N | covered ~OPERATION N | left ^HOLD N |
            drew ^HOLD/PRODUCT N

Usage, debits, holds and captures take `in=OPERATION` or `in=OPERATION@PARENT`; debits `from=HOLD`.
"""

from __future__ import annotations

from collections.abc import Callable

from budget_case import BudgetCase, terms_of
from core_world import FAMILY, duration_us
from ledger_case import told_to

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.budgets import Budget
from ledger.core.budgets.operation_budgets import own_budget


class OperationCase(BudgetCase):
    """Tells stories of operations."""

    def _cap(self, options: dict[str, str], place: str, limit: str, *flags: str) -> str:
        name, _, operation = place.partition("/")
        command = c.SetOperationBudget(
            self._request(options),
            self.accounts.get(name, 404),
            FAMILY.operation(operation),
            terms_of(options, limit, "soft" in flags),
            duration_us(options["idle"]) if "idle" in options else 0,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _give(self, options: dict[str, str], name: str, limit: str, *flags: str) -> str:
        command = c.SetOperationPolicy(
            self._request(options),
            self.accounts.get(name, 404),
            None if limit == "none" else terms_of(options, limit, "soft" in flags),
            duration_us(options["idle"]) if "idle" in options else 0,
            int(options.get("version", 0)),
        )
        return self.execute(command)[1]

    def _reserve(self, options: dict[str, str], name: str, units: str) -> str:
        command = c.ReserveOperation(
            self._request(options),
            self.accounts.get(name, 404),
            int(units),
            duration_us(options["lifetime"]) if "lifetime" in options else 0,
            FAMILY.operation(*options["in"].split("@")),
        )
        outcome, told = self.execute(command)
        if isinstance(outcome, e.OperationReserved):
            self.holds[options["as"]] = (name, outcome.hold)
        return told

    def _seen_left(self, name: str, product: str) -> int:
        if not name.startswith("^"):
            return super()._seen_left(name, product)
        return self.core.state.holds[self.holds[name[1:]][1]].left

    def _seen_drew(self, name: str, product: str) -> int:
        called, _, of = name[1:].partition("/")
        number = self.holds[called][1]
        hold = self.core.state.holds.get(number)
        if hold is not None:
            assert hold.drawn is not None
            return hold.drawn.get(of, 0)
        [settled] = [
            family.settled[number]
            for family in self.core.state.families.values()
            if number in family.settled
        ]
        assert settled.drawn is not None
        return settled.drawn.get(of, 0)

    def told(self, line: str) -> str:
        """What came of one line, whatever it was."""
        verb, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        found: str = getattr(self, f"_{verb}")(options, *names)
        return found

    def budget(self, place: str) -> Budget:
        if not place.startswith("~"):
            return super().budget(place)
        found = [
            own_budget(family, FAMILY.operation(place[1:]))
            for family in self.core.state.families.values()
        ]
        assert found[0] is not None, place
        return found[0]

    def _seen_spent(self, name: str, product: str) -> int:
        if name.startswith("~"):
            return self.budget(name).counter.posted
        return super()._seen_spent(name, product)

    def _seen_covered(self, name: str, product: str) -> int:
        operation = self.budget(name).operation
        assert operation is not None
        return len(operation.below)

    def tell(self, event: e.Event) -> str:
        match event:
            case e.OperationBudgetSet():
                return f"cap {event.version}"
            case e.OperationPolicySet():
                return f"policy {event.version}"
            case e.OperationBudgetBegun():
                return f"begun at {event.terms.limit}"
            case e.OperationBudgetEnded():
                return "cap ended"
            case e.OperationJoined():
                return "joined"
            case e.WorkDenied(limit=e.Limit(kind=e.LimitKind.OPERATION) as limit):
                assert event.reason == "OPERATION_BUDGET_EXCEEDED"
                by = f" by policy {limit.value[0]}" if limit.value else ""
                return f"denied by its operation, {limit.left} left{by}"
        return super().tell(event)


def operation_case(test: Callable[[OperationCase], None]) -> Callable[[], None]:
    """As `ledger_case`, for ledgers with budgets of operations."""
    return told_to(OperationCase, test)  # type: ignore[arg-type]
