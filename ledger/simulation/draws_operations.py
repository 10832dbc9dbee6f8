"""Budgets of operations, and what calls say of the tree of operations: how each is drawn."""

from __future__ import annotations

from typing import Any, Final

from ledger.core.catalog import asset_number
from ledger.core.events import BudgetMeasure, BudgetTerms
from ledger.core.limits import DAY_US, SECOND_US
from ledger.simulation.draws import EUROPE, Draw, Drawn, again_of

OPERATED_WORLDS: Final = 12
OPERATED_WORLD: Final = 11
"""One seed in so many draws them, so that the worlds of all others stay as they are."""

_MEASURES: Final = (
    BudgetMeasure.CHARGE,
    BudgetMeasure.CHARGE,
    BudgetMeasure.NET_CHARGE,
    BudgetMeasure.QUANTITY,
    BudgetMeasure.REQUESTS,
)
_LIMITS: Final = (0, 10, 40, 40, 200, 200, 2_000)
_IDLE: Final = (0, SECOND_US // 8, SECOND_US // 2, SECOND_US // 2, 3 * SECOND_US, 35 * DAY_US)
_OTHER: Final = (
    {"products": ("half",)},
    {"limit": 7},
    {"limit": 300, "thresholds": (25, 100)},
    {"limit": 50, "hard": False},
    {"hard": True, "thresholds": ()},
)


def draw_operation(draw: Draw) -> Drawn:
    """A budget of an operation; at times another limit of one that was set before, seldom what
    never changes, or of another account."""
    again = again_of(draw, "operation", 10, {"idle": 2 * SECOND_US})
    if again is not None:
        return again
    random = draw.random
    tenant, account = draw.account()
    first = draw.earlier("operation") if draw.chance(50) else None
    fields: dict[str, Any] = {
        "operation": random.choice(draw.named),
        "idle": random.choice(_IDLE) if draw.chance(97) else 36 * DAY_US,
        "expected_version": random.randrange(1, 4) if draw.chance(15) else 0,
    }
    if draw.reserves and draw.chance(70):
        fields["idle"] = 35 * DAY_US
    if first is None:
        return Drawn(tenant, account, {"terms": _terms(draw, tenant), **fields})
    change = _OTHER[0 if draw.chance(8) else random.randrange(1, len(_OTHER))]
    before: BudgetTerms = first.fields["terms"]
    said = {name: getattr(before, name) for name in BudgetTerms.__struct_fields__}
    fields |= {"operation": first.fields["operation"], "terms": BudgetTerms(**{**said, **change})}
    account = random.choice(("acme", "acme/x")) if draw.chance(8) else first.account
    return Drawn(first.tenant, account, fields)


def _terms(draw: Draw, tenant: int) -> BudgetTerms:
    random = draw.random
    if draw.reserves and draw.chance(50):
        limit, asset = random.choice(_LIMITS), asset_number(tenant, 1)
        return BudgetTerms(BudgetMeasure.CHARGE, limit, asset)
    measure = random.choice(_MEASURES)
    fields: dict[str, Any] = {}
    if measure in (BudgetMeasure.CHARGE, BudgetMeasure.NET_CHARGE):
        fields["asset"] = asset_number(tenant, 1 if draw.chance(90) else 2)
    if measure == BudgetMeasure.QUANTITY:
        fields["quantity"] = random.choice(("tokens", "tokens", "input"))
    if draw.chance(15):
        fields["products"] = ("chat", "gpt")
    if draw.chance(8):
        fields["tags"] = ("work",)
    if draw.chance(8):
        fields["attributes"] = EUROPE
    if draw.chance(40):
        fields["thresholds"] = random.choice(((100,), (50, 100), (10, 20, 150)))
    return BudgetTerms(measure, random.choice(_LIMITS), hard=draw.chance(85), **fields)
