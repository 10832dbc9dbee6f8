"""A card's canonical bytes opened in steps, for whoever has a loop that must not stop.

The bytes are split in one go, in C; rows and products are decoded and indexed a step at a time. The
outcome is what ``CompiledCard(decode_card(body), version)`` is. Who waits between steps is the
caller's business.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from rating.card import PriceRow, Product, RateCard, malformed
from rating.compile import CardIndex, CompiledCard

STEP: Final = 500  # rows or products; x ~2 us = 1 ms, tiers apart

_IN_STEPS: Final = frozenset({"rows", "products"})


def _split_card() -> Any:
    """A card whose rows and products are bytes still."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(RateCard):
        kind = list[msgspec.Raw] if field.name in _IN_STEPS else field.type
        fields.append((field.name, kind) if field.required else (field.name, kind, field.default))
    return msgspec.defstruct("SplitCard", fields, forbid_unknown_fields=True)


_splitter: Final = msgspec.msgpack.Decoder(_split_card())
_row: Final = msgspec.msgpack.Decoder(PriceRow)
_product: Final = msgspec.msgpack.Decoder(Product)


class CardOpening:
    """Made from a body and the number of its version; ``step`` until there is a card."""

    __slots__ = ("_index", "_products", "_rows", "_split", "_version")

    def __init__(self, body: bytes, version: int) -> None:
        """Raises CardError (reason CARD_MALFORMED), as ``step`` does."""
        try:
            self._split: Any = _splitter.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(error) from error
        self._version = version
        self._index = CardIndex()
        self._rows: list[PriceRow] = []
        self._products: list[Product] = []

    def step(self) -> CompiledCard | None:
        """Open the next few; the card, once everything is open."""
        split, index = self._split, self._index
        rows, products = self._rows, self._products
        try:
            if len(rows) < len(split.rows):
                for raw in split.rows[len(rows) : len(rows) + STEP]:
                    row = _row.decode(raw)
                    rows.append(row)
                    index.add(row)
            else:
                for raw in split.products[len(products) : len(products) + STEP]:
                    product = _product.decode(raw)
                    products.append(product)
                    index.declare(product)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise malformed(error) from error
        if len(rows) < len(split.rows) or len(products) < len(split.products):
            return None
        head = {name: getattr(split, name) for name in RateCard.__struct_fields__}
        card = RateCard(**head | {"rows": tuple(rows), "products": tuple(products)})
        return CompiledCard(card, self._version, index)
