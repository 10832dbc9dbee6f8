"""A plan: how every event of one shape is priced, as integers beside each other.

Owns the numbers of rows. A plan chooses nothing (``compile`` made it) and prices nothing (``price``
reads it). Plain slotted classes only, so that it compiles with mypyc as it stands.
"""

from typing import Final

from rating.functions import (
    MEASURE_COST,
    SCOPE_EVENT,
    SCOPE_MONTH,
    SCOPE_SUBTREE_DAY,
    Function,
    Tiered,
)
from rating.overrides import NumberedOverride

ROW_BITS: Final = 20  # rows of a card, 65,536 at most, with room to grow
NO_ROW: Final = -1
UNPRICED: Final = -1  # in the place of a charge


def row_number(version: int, ordinal: int) -> int:
    """The tenant-wide number of a row: its card's version and its place in the card."""
    return version << ROW_BITS | ordinal


def row_of(number: int) -> tuple[int, int]:
    """(card version, ordinal of the row in the card) of a row number."""
    return number >> ROW_BITS, number & ((1 << ROW_BITS) - 1)


class Plan:
    """How to price every event of one shape; see ``price.rate``. Treat as read-only.

    Per quantity, in the order of ``quantities``: ``rows`` (row number, -1 = no price),
    ``numerators`` and ``denominators`` (minor units of asset for one minor unit of meter) and
    ``subsets`` (indexes of the quantities that are taken off it, rule R8; ``parents`` are those
    that have any). ``steps`` are the plans (N, plan) for prompts strictly above N, largest N
    first; ``prompt_index`` is where the prompt stands (-1 = the event has none). ``whole``: every
    priced line has denominator 1, so that it rounds event by event (rule R1). ``straight``: whole,
    and all priced. ``flat``: straight, and nothing to subtract. ``simple``: flat, and no steps.

    Where a row has a model the plan is ``modeled``, never whole, and has per quantity:
    ``functions`` (None = the row is plain), ``lists`` (at list price, rule R9), ``keys`` (under
    which number the row's total runs: its series for a model, itself for a plain row, whose total
    carries nothing but rounding) and ``scopes`` (over what). All four are empty otherwise.
    ``running``: (key, scope) of each total that pricing reads and moves, of any plan.
    ``costed``: the provider's cost is needed. ``rerates``: see ``price.rerate``.

    ``listed``: a row has a list price (rule R9). ``of_many``: a total is of several accounts.

    ``overrides``: the one that prices each quantity in the place of its row or over it, None where
    the row does (rule R4); empty where none does. What one prices where no row matched has a row
    number below -1.
    """

    __slots__ = (
        "card_version",
        "costed",
        "count",
        "denominators",
        "flat",
        "functions",
        "keys",
        "listed",
        "lists",
        "modeled",
        "numerators",
        "of_many",
        "overrides",
        "parents",
        "priced",
        "prompt_index",
        "quantities",
        "rerates",
        "rounding",
        "rows",
        "running",
        "scopes",
        "simple",
        "steps",
        "straight",
        "subsets",
        "whole",
    )

    def __init__(
        self,
        card_version: int,
        quantities: tuple[str, ...],
        rows: tuple[int, ...],
        ratios: tuple[tuple[int, int], ...],
        subsets: tuple[tuple[int, ...], ...],
        prompt_index: int,
        steps: tuple[tuple[int, "Plan"], ...],
        rounding: int,
        functions: tuple[Function | None, ...] = (),
        lists: tuple[Tiered | None, ...] = (),
        keys: tuple[int, ...] = (),
        overrides: tuple[NumberedOverride | None, ...] = (),
    ) -> None:
        assert len(quantities) == len(rows) == len(ratios) == len(subsets)
        assert all(numerator >= 0 and denominator > 0 for numerator, denominator in ratios)
        self.card_version: int = card_version
        self.quantities: tuple[str, ...] = quantities
        self.count: int = len(quantities)
        self.rows: tuple[int, ...] = rows
        self.numerators: tuple[int, ...] = tuple([ratio[0] for ratio in ratios])
        self.denominators: tuple[int, ...] = tuple([ratio[1] for ratio in ratios])
        self.subsets: tuple[tuple[int, ...], ...] = subsets
        self.parents: tuple[tuple[int, tuple[int, ...]], ...] = tuple(
            [(index, children) for index, children in enumerate(subsets) if children]
        )
        self.prompt_index: int = prompt_index
        self.steps: tuple[tuple[int, Plan], ...] = steps
        self.rounding: int = rounding
        self.priced: int = sum([1 for row in rows if row != NO_ROW])
        self.functions: tuple[Function | None, ...] = functions
        self.lists: tuple[Tiered | None, ...] = lists
        self.listed: bool = any(each is not None for each in lists)
        self.keys: tuple[int, ...] = keys
        self.overrides: tuple[NumberedOverride | None, ...] = overrides
        self.modeled: bool = bool(functions)
        self.scopes: tuple[int, ...] = tuple(
            [SCOPE_MONTH if each is None else each.scope for each in functions]
        )
        self.running: tuple[tuple[int, int], ...] = self._running()
        self.of_many: bool = any(scope >= SCOPE_SUBTREE_DAY for scope in self.scopes)
        self.costed: bool = any(
            each is not None and each.measure == MEASURE_COST for each in functions
        )
        self.rerates: bool = any(each is not None and each.rerates for each in functions)
        self.whole: bool = not functions and all(
            denominator == 1 for denominator in self.denominators
        )
        self.straight: bool = self.whole and self.priced == self.count
        self.flat: bool = self.straight and not any(subsets)
        self.simple: bool = self.flat and not steps

    def _running(self) -> tuple[tuple[int, int], ...]:
        found: list[tuple[int, int]] = []
        for index, row in enumerate(self.rows):
            function = self.functions[index] if self.modeled else None
            if function is not None:
                if function.scope != SCOPE_EVENT:
                    found.append((self.keys[index], function.scope))
            elif row != NO_ROW and self.denominators[index] != 1:
                found.append((self.keys[index] if self.modeled else row, SCOPE_MONTH))
        return tuple(found)

    def at(self, prompt: int) -> "Plan":
        """The plan for an event whose whole prompt, subsets included, is this large."""
        for above, plan in self.steps:
            if prompt > above:
                return plan
        return self
