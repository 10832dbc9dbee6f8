"""What waits for a price, and what came of it: kept with the family that it belongs to (rule B8).

A usage event waits with the quantities that are not reversed; as much is kept of it as rating it
needs, so that nothing has to be read when the price arrives. Pure data: only `evolve` changes it.
"""

from __future__ import annotations


class Waiting:
    """A usage event of which some quantities are not rated."""

    __slots__ = (
        "account",
        "attributes",
        "effective_at",
        "entry_seq",
        "places",
        "product",
        "quantities",
        "quantity_names",
    )

    def __init__(
        self,
        account: int,
        entry_seq: int,
        effective_at: int,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        quantity_names: tuple[str, ...],
        quantities: tuple[int, ...],
        places: tuple[int, ...],
    ) -> None:
        self.account = account
        self.entry_seq = entry_seq  # of the usage event
        self.effective_at = effective_at
        self.product = product
        self.attributes = attributes
        self.quantity_names = quantity_names
        self.quantities = quantities  # all of the event's, as far as they are not reversed
        self.places = places  # which of them are not rated

    @property
    def described(self) -> tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]:
        """What a shape is made of."""
        return self.product, self.attributes, self.quantity_names


class Rated:
    """The entries that rated a usage event after it had waited: a correction of it asks for them.

    Kept as long as it may be corrected (rule D3).
    """

    __slots__ = ("effective_at", "entries")

    def __init__(self, effective_at: int, entries: tuple[int, ...]) -> None:
        self.effective_at = effective_at  # of the usage event
        self.entries = entries  # locators, in order
