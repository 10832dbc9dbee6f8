"""Parts of requests that several services take, checked and turned into what the core takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ledger.api.errors import Fault, invalid
from ledger.api.shapes import ShapeCache, quantities_fault, quantity_names_fault
from ledger.core.shapes import Shape


class Work(Protocol):
    """A request that says what would be used."""

    @property
    def product(self) -> str:
        """What, 1 to 128 bytes."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """What prices may depend on."""
        ...

    @property
    def quantities(self) -> Mapping[str, int]:
        """How much of each."""
        ...


def shape_of(shapes: ShapeCache, work: Work) -> tuple[Shape, tuple[int, ...]]:
    """The shape of the work and its quantities in the shape's order. Raises CallFailed."""
    quantities = work.quantities
    shape = shapes.of(work.product, work.attributes, tuple(quantities))
    if isinstance(shape, Fault):
        raise invalid([shape])
    values = tuple([quantities[name] for name in shape.quantity_names])
    if min(values) <= 0:
        raise_first(quantities_fault(shape.quantity_names, values))
    return shape, values


def quantities_of(quantities: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names, sorted, and quantities of work whose product is known already. Raises CallFailed."""
    names = tuple(sorted(quantities))
    raise_first(quantity_names_fault(names))
    values = tuple([quantities[name] for name in names])
    raise_first(quantities_fault(names, values))
    return names, values


def raise_first(*faults: Fault | None) -> None:
    """Fail the call with these faults, if there is any."""
    found: Iterable[Fault] = [fault for fault in faults if fault is not None]
    if found:
        raise invalid(found)
