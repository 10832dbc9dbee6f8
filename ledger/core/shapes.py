"""How usage events are described: the product, the attributes and the names of the quantities.

Thousands of events share one shape, so the edge interns it and the catalog prices it once. A shape
is compared by identity: two equal ones are priced twice, never wrongly.
"""

from __future__ import annotations


class Use:
    """What a draw is for: it says which grants apply (rule D1)."""

    __slots__ = ("attributes", "product", "tags", "values")

    def __init__(
        self,
        product: str,
        attributes: tuple[tuple[str, str], ...] = (),
        tags: tuple[str, ...] = (),
    ) -> None:
        self.product = product
        self.attributes = frozenset(attributes)
        self.tags = frozenset(tags)  # of the product, by the rate card that prices it
        # Derived, for budgets that count values by themselves: attributes -> their values.
        self.values: dict[tuple[str, ...], tuple[str, ...]] | None = None

    def value_of(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The values of those attributes, "" for one that is not there; looked up once."""
        values = self.values
        if values is None:
            values = self.values = {}
        found = values.get(names)
        if found is None:
            borne = dict(self.attributes)
            found = values[names] = tuple([borne.get(each, "") for each in names])
        return found


class Shape:
    """Attributes sorted by name, quantity names sorted; the event's integers stand parallel."""

    __slots__ = ("attributes", "product", "quantity_names")

    def __init__(
        self,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        quantity_names: tuple[str, ...],
    ) -> None:
        self.product = product
        self.attributes = attributes
        self.quantity_names = quantity_names

    def __repr__(self) -> str:
        return f"Shape({self.product!r}, {self.attributes!r}, {self.quantity_names!r})"
