"""Ledgers with budgets, in the language of `ledger_case`:

    budget   NAME/BUDGET LIMIT [of=charge|net|cost|requests|QUANTITY] [asset=usd] [soft]
             [each=day|week|month|quarter|year[@ZONE] | billing | first:DURATION | last:DURATION]
             [for=PRODUCT,...] [tags=TAG,...] [where=NAME:VALUE,...] [at=PERCENT,...] [version=N]
             [by=NAME[+NAME] [values=N] [but=VALUE[+VALUE]:LIMIT,...]]
    unbudget NAME/BUDGET
    expect   spent NAME/BUDGET N | pends NAME/BUDGET N | life NAME/BUDGET N | late NAME/BUDGET N |
             counters NAME/BUDGET N
             of one that counts `by` value, NAME/BUDGET:VALUE[+VALUE]; `:*` are the others, `:` are
             those without the attribute

A budget without `each` is for its lifetime. At the end the rules of `verify` have no finding, and
the families survive being packed.
"""

from __future__ import annotations

from collections.abc import Callable

from case_options import ASSETS, pairs_of
from core_world import CREDITS, FAMILY, Core, duration_us
from ledger_case import LedgerCase, told_to
from minimum_world import packed_and_back
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.budgets.budgeting import budget_of
from ledger.core.budgets.budgets import Budget

MEASURES = {
    "charge": e.BudgetMeasure.CHARGE,
    "net": e.BudgetMeasure.NET_CHARGE,
    "cost": e.BudgetMeasure.COST,
    "requests": e.BudgetMeasure.REQUESTS,
}
UNCOUNTED = (e.BudgetMeasure.REQUESTS, e.BudgetMeasure.QUANTITY)


def window_of(text: str) -> e.Window:
    """`each=` of the module's docstring."""
    kind, _, length = text.partition(":")
    if not text:
        return e.Window()
    if text == "billing":
        return e.Window(e.WindowKind.BILLING)
    if length:
        sliding = kind == "last"
        return e.Window(
            e.WindowKind.SLIDING if sliding else e.WindowKind.FIXED, length=duration_us(length)
        )
    unit, _, zone = text.partition("@")
    return e.Window(e.WindowKind.CALENDAR, e.WindowUnit[unit.upper()], zone or "UTC")


def terms_of(options: dict[str, str], limit: str, soft: bool) -> e.BudgetTerms:
    of = options.get("of", "charge")
    measure = MEASURES.get(of, e.BudgetMeasure.QUANTITY)
    return e.BudgetTerms(
        measure,
        int(limit),
        0 if measure in UNCOUNTED else ASSETS.get(options.get("asset", ""), CREDITS),
        "" if of in MEASURES else of,
        not soft,
        window_of(options.get("each", "")),
        tuple(options["for"].split(",")) if "for" in options else (),
        tuple(options["tags"].split(",")) if "tags" in options else (),
        pairs_of(options.get("where", "")),
        tuple([int(each) for each in options["at"].split(",")]) if "at" in options else (),
    )


def values_of(options: dict[str, str]) -> e.BudgetValues | None:
    """`by=`, `values=` and `but=`; None = all is counted together."""
    if "by" not in options:
        return None
    limits = (
        [each.rpartition(":") for each in options["but"].split(",")] if "but" in options else []
    )
    return e.BudgetValues(
        tuple(options["by"].split("+")),
        int(options.get("values", 10)),
        tuple([e.ValueLimit(tuple(value.split("+")), int(limit)) for value, _, limit in limits]),
    )


class BudgetCase(LedgerCase):
    """Tells stories of budgets."""

    def __init__(self, core: Core | None = None) -> None:
        super().__init__(core)

    def _budget(self, options: dict[str, str], place: str, limit: str, *flags: str) -> str:
        name, _, called = place.partition("/")
        command = c.SetBudget(
            self._request(options),
            self.accounts.get(name, 404),
            called,
            terms_of(options, limit, "soft" in flags),
            int(options.get("version", 0)),
            values=values_of(options),
        )
        return self.execute(command)[1]

    def _unbudget(self, options: dict[str, str], place: str) -> str:
        name, _, called = place.partition("/")
        return self.execute(c.RemoveBudget(self._request(options), self.accounts[name], called))[1]

    def _capture(self, options: dict[str, str], hold: str, *words: str) -> str:
        """As any; one that has an id may be reversed by it."""
        told = super()._capture(options, hold, *words)
        if "id" in options:
            self._keep(options["id"], FAMILY.request(options["id"]))
        return told

    def budget(self, place: str) -> Budget:
        name, _, called = place.partition("/")
        called, one, value = called.partition(":")
        budget = budget_of(self.account(name), called)
        assert budget is not None, place
        if not one:
            return budget
        assert budget.values is not None, place
        others = value == "*"
        counter = (
            budget.values.others if others else budget.values.kept.get(tuple(value.split("+")))
        )
        return counter or Budget(0, budget.account, called, budget.terms, 1, 0, 0)

    def tell(self, event: e.Event) -> str:
        match event:
            case e.BudgetSet():
                return f"budget {event.version}"
            case e.BudgetRemoved():
                return "removed"
            case e.BudgetsCounted() | e.BudgetsTallied() | e.BudgetValueOpened():
                return ""
            case e.BudgetCrossed():
                account = self.core.state.accounts[event.account]
                budget = self.core.state.families[account.root].budgets[event.budget]
                value = f":{'+'.join(budget.value) or '*'}" if budget.of is not None else ""
                return f"{budget.name}{value} at {event.threshold}%"
            case e.WorkDenied(limit=e.Limit(kind=e.LimitKind.BUDGET) as limit):
                names = [name for name, each in self.accounts.items() if each == limit.account]
                value = f":{'+'.join(limit.value)}" if limit.value else ""
                value += " and others" * limit.shared
                return f"denied by {names[0]}/{limit.name}{value}, {limit.left} left"
        return super().tell(event)

    def _seen_spent(self, name: str, product: str) -> int:
        if "/" not in name:
            return super()._seen_spent(name, product)
        budget = self.budget(name)
        return budget.counter.within(budget.terms.window, self.core.now)[0]

    def _seen_pends(self, name: str, product: str) -> int:
        budget = self.budget(name)
        return budget.counter.within(budget.terms.window, self.core.now)[1]

    def _seen_life(self, name: str, product: str) -> int:
        return self.budget(name).counter.posted

    def _seen_late(self, name: str, product: str) -> int:
        return self.budget(name).counter.late

    def _seen_counters(self, name: str, product: str) -> int:
        values = self.budget(name).values
        assert values is not None
        return len(values.counters())

    def finish(self) -> None:
        super().finish()
        found = judged(self.core)
        assert found == [], found
        packed_and_back(self.core)


def budget_case(test: Callable[[BudgetCase], None]) -> Callable[[], None]:
    """As `ledger_case`, for ledgers with budgets."""
    return told_to(BudgetCase, test)  # type: ignore[arg-type]
