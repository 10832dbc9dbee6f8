"""Budgets of accounts: how each is set, changed amid usage and removed (rules H4, H5)."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import BudgetMeasure, BudgetTerms, Window, WindowKind, WindowUnit
from ledger.core.limits import DAY_US, HOUR_US, MINUTE_US
from ledger.simulation.draws import EUROPE, Draw, Drawn, again_of

BUDGETED_WORLDS: Final = 24
BUDGETED_WORLD: Final = 16
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

NAMES: Final = ("a", "b", "c")
WINDOWS: Final = (
    Window(),
    Window(WindowKind.CALENDAR, WindowUnit.DAY, "UTC"),
    Window(WindowKind.CALENDAR, WindowUnit.DAY, "Europe/Berlin"),
    Window(WindowKind.CALENDAR, WindowUnit.WEEK, "America/New_York"),
    Window(WindowKind.CALENDAR, WindowUnit.MONTH, "UTC"),
    Window(WindowKind.BILLING),
    Window(WindowKind.FIXED, length=10 * MINUTE_US),
    Window(WindowKind.FIXED, length=DAY_US),
    Window(WindowKind.SLIDING, length=10 * MINUTE_US),
    Window(WindowKind.SLIDING, length=HOUR_US),
    Window(WindowKind.SLIDING, length=9 * DAY_US),
)
_MEASURES: Final = (
    BudgetMeasure.CHARGE,
    BudgetMeasure.CHARGE,
    BudgetMeasure.NET_CHARGE,
    BudgetMeasure.QUANTITY,
    BudgetMeasure.REQUESTS,
)
_LIMITS: Final = (0, 3, 10, 40, 40, 200, 2_000)
_OTHER: Final = (
    {"limit": 7},
    {"limit": 300, "thresholds": (25, 100)},
    {"limit": 60, "hard": False},
    {"hard": True, "thresholds": ()},
    {"limit": 20, "thresholds": (1, 50, 99)},
)
_FIXED: Final = ({"products": ("half",)}, {"window": Window(WindowKind.SLIDING, length=DAY_US)})


def draw_budget(draw: Draw) -> Drawn:
    """A budget of an account; mostly another limit of one that was set before, seldom what never
    changes."""
    again = again_of(draw, "budget", 8, {"expected_version": 9})
    if again is not None:
        return again
    random = draw.random
    version = random.randrange(1, 4) if draw.chance(12) else 0
    first = draw.earlier("budget") if draw.chance(55) else None
    if first is None:
        tenant, account = draw.account()
        terms = _terms(draw, tenant)
        fields = {"name": random.choice(NAMES), "terms": terms, "expected_version": version}
        return Drawn(tenant, account, fields)
    before: BudgetTerms = first.fields["terms"]
    change: dict[str, Any] = random.choice(_FIXED if draw.chance(6) else _OTHER)
    said = {name: getattr(before, name) for name in BudgetTerms.__struct_fields__}
    fields = {
        "name": first.fields["name"],
        "terms": BudgetTerms(**{**said, **change}),
        "expected_version": version,
    }
    return Drawn(first.tenant, first.account, fields)


def draw_unbudget(draw: Draw) -> Drawn | None:
    """A budget is removed; seldom one that there is none of."""
    again = again_of(draw, "unbudget", 8, {"name": "b"})
    first = draw.earlier("budget")
    if again is not None or first is None:
        return again
    name = first.fields["name"] if draw.chance(90) else draw.random.choice(NAMES)
    return Drawn(first.tenant, first.account, {"name": name})


def _terms(draw: Draw, tenant: int) -> BudgetTerms:
    random = draw.random
    measure = random.choice(_MEASURES)
    fields: dict[str, Any] = {}
    if measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE):
        fields["asset"] = asset_number(tenant, 1 if draw.chance(92) else 2)
    if measure == BudgetMeasure.QUANTITY:
        fields["quantity"] = random.choice(("tokens", "tokens", "input"))
    if draw.chance(15):
        fields["products"] = ("chat", "gpt")
    if draw.chance(8):
        fields["tags"] = ("work",)
    if draw.chance(8):
        fields["attributes"] = EUROPE
    if draw.chance(50):
        fields["thresholds"] = random.choice(((100,), (50, 100), (10, 20, 150), (30, 20)))
    hard = draw.chance(75)
    return BudgetTerms(
        measure, random.choice(_LIMITS), hard=hard, window=random.choice(WINDOWS), **fields
    )
