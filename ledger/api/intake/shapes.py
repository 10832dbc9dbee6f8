"""Shapes, interned: each distinct description of usage is checked and built once a process.

Two tables: what a caller may write in many ways (any order of names) points at the one `Shape` that
the catalog prices. Bounded by generations: what is used survives, the rest is forgotten. A shape
that is not valid is never kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from ledger.api.errors import Fault
from ledger.api.limits import attributes_fault, id_fault
from ledger.core.limits import QUANTITIES_MAX
from ledger.core.shapes import Shape

SHAPES_MAX: Final = 65_536  # written forms and shapes each; x ~700 B = 46 MB at worst

# (product, names of attributes as written, their values, names of quantities as written)
Written: TypeAlias = tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]]


class ShapeCache:
    """Written form -> shape. `find` is for the hot loop; `intern` checks and remembers."""

    __slots__ = ("_canonical", "_canonical_old", "_generation_max", "_old", "_young", "find")

    def __init__(self, shapes_max: int = SHAPES_MAX) -> None:
        self._generation_max: Final = max(shapes_max // 2, 1)
        self._young: dict[Written, Shape] = {}
        self._old: dict[Written, Shape] = {}
        self._canonical: dict[Written, Shape] = {}
        self._canonical_old: dict[Written, Shape] = {}
        self.find = self._young.get

    def intern(self, written: Written) -> Shape | Fault:
        """The shape of a form that `find` did not find, or what is wrong with it."""
        found = self._old.get(written)
        if found is None:
            product, names, values, quantity_names = written
            built = self._shape(product, dict(zip(names, values, strict=True)), quantity_names)
            if isinstance(built, Fault):
                return built
            found = built
        if len(self._young) >= self._generation_max:
            self._old, self._young = self._young, {}
            self.find = self._young.get
        self._young[written] = found
        return found

    def of(
        self, product: str, attributes: Mapping[str, str], quantity_names: Sequence[str]
    ) -> Shape | Fault:
        """The shape of one description, off the hot path."""
        names = tuple(attributes)
        values = tuple([attributes[name] for name in names])
        written = (product, names, values, tuple(quantity_names))
        return self.find(written) or self.intern(written)

    def _shape(
        self, product: str, attributes: dict[str, str], quantity_names: tuple[str, ...]
    ) -> Shape | Fault:
        fault = id_fault("product", product) or attributes_fault("attributes", attributes)
        if fault is not None:
            return fault
        fault = quantity_names_fault(quantity_names)
        if fault is not None:
            return fault
        names = tuple(sorted(attributes))
        values = tuple([attributes[name] for name in names])
        canonical = (product, names, values, tuple(sorted(quantity_names)))
        shape = self._canonical.get(canonical) or self._canonical_old.get(canonical)
        if shape is None:
            shape = Shape(product, tuple(zip(names, values, strict=True)), canonical[3])
        if len(self._canonical) >= self._generation_max:
            self._canonical_old, self._canonical = self._canonical, {}
        self._canonical[canonical] = shape
        return shape


def quantity_names_fault(names: tuple[str, ...]) -> Fault | None:
    """What is wrong with the names of an event's quantities, or None."""
    if not names:
        return Fault("FIELD_REQUIRED", "quantities", "", "at least one quantity is required")
    if len(names) > QUANTITIES_MAX:
        message = f"{len(names)} quantities; at most {QUANTITIES_MAX} allowed"
        return Fault("TOO_MANY", "quantities", str(len(names)), message)
    for name in names:
        fault = id_fault(f"quantities[{name!r}]", name)
        if fault is not None:
            return fault
    if len(set(names)) != len(names):
        return Fault("NAME_REPEATED", "quantities", ", ".join(names), "a name stands twice")
    return None


def quantities_fault(names: Sequence[str], values: Sequence[int]) -> Fault | None:
    """What is wrong with the quantities of one event, or None (rule R6)."""
    for name, value in zip(names, values, strict=True):
        if value < 0:
            return Fault(
                "QUANTITY_INVALID",
                f"quantities[{name!r}]",
                str(value),
                "a quantity is 0 or more; to take usage back, reverse it",
            )
    if not any(values):
        return Fault(
            "QUANTITIES_ALL_ZERO", "quantities", "0", "at least one quantity must be above 0"
        )
    return None
