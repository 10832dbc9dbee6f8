"""Rate cards: the message as the pure card, and back."""

from __future__ import annotations

from typing import Final

from ledger.api.errors import shown
from ledger.journal.configuration import ConfigurationEntry
from rating.card import (
    PROMPT_QUANTITY,
    CardFault,
    ExpiryPolicy,
    Meter,
    PriceRow,
    Product,
    RateCard,
    Rounding,
)
from rating.v1 import card_pb2, pricing_pb2

_ROUNDINGS: Final = {
    card_pb2.ROUNDING_HALF_EVEN: Rounding.HALF_EVEN,
    card_pb2.ROUNDING_HALF_UP: Rounding.HALF_UP,
    card_pb2.ROUNDING_UP: Rounding.UP,
    card_pb2.ROUNDING_DOWN: Rounding.DOWN,
}
_EXPIRIES: Final = {
    card_pb2.HOLD_EXPIRY_UNSPECIFIED: ExpiryPolicy.RELEASE,
    card_pb2.HOLD_EXPIRY_RELEASE: ExpiryPolicy.RELEASE,
    card_pb2.HOLD_EXPIRY_CHARGE: ExpiryPolicy.CHARGE,
}
_EXPIRY_NUMBERS: Final = {
    ExpiryPolicy.RELEASE: card_pb2.HOLD_EXPIRY_UNSPECIFIED,
    ExpiryPolicy.CHARGE: card_pb2.HOLD_EXPIRY_CHARGE,
}
_NUMBERS: Final = {rounding: number for number, rounding in _ROUNDINGS.items()}


def card_of(message: card_pb2.RateCard) -> RateCard | CardFault:
    """The card of a message; enums that nobody knows are its only faults of form."""
    rounding = _ROUNDINGS.get(message.rounding or card_pb2.ROUNDING_HALF_EVEN)
    if rounding is None:
        value = str(message.rounding)
        return CardFault("rounding", "ROUNDING_UNKNOWN", value, "there is no such rounding")
    for place, product in enumerate(message.products):
        if product.hold_expiry not in _EXPIRIES:
            value = str(product.hold_expiry)
            path = f"products[{place}].hold_expiry"
            return CardFault(path, "HOLD_EXPIRY_UNKNOWN", value, "there is no such hold expiry")
    return RateCard(
        name=message.name,
        asset=message.asset,
        asset_scale=message.asset_scale,
        meters=tuple(
            [Meter(meter.quantity, meter.scale, meter.subset_of) for meter in message.meters]
        ),
        rows=tuple(
            [
                PriceRow(
                    row.product,
                    row.quantity,
                    row.price,
                    dict(row.attributes),
                    row.above_prompt,
                    row.priority,
                )
                for row in message.rows
            ]
        ),
        products=tuple(
            [
                Product(
                    product.product,
                    product.display_name,
                    _EXPIRIES[product.hold_expiry],
                    product.batch,
                    tuple(product.tags),
                    dict(product.facts),
                )
                for product in message.products
            ]
        ),
        rounding=rounding,
        prompt_quantity=message.prompt_quantity or PROMPT_QUANTITY,
    )


def render_card(card: RateCard) -> card_pb2.RateCard:
    """The message of a card."""
    return card_pb2.RateCard(
        name=card.name,
        asset=card.asset,
        asset_scale=card.asset_scale,
        rounding=_NUMBERS[card.rounding],
        prompt_quantity=card.prompt_quantity,
        meters=[
            card_pb2.Meter(quantity=meter.quantity, scale=meter.scale, subset_of=meter.subset_of)
            for meter in card.meters
        ],
        products=[
            card_pb2.Product(
                product=product.product,
                display_name=product.display_name,
                hold_expiry=_EXPIRY_NUMBERS[product.hold_expiry],
                batch=product.batch,
                tags=product.tags,
                facts=product.facts,
            )
            for product in card.products
        ],
        rows=[
            card_pb2.PriceRow(
                product=row.product,
                quantity=row.quantity,
                attributes=row.attributes,
                above_prompt=row.above_prompt,
                price=row.price,
                priority=row.priority,
            )
            for row in card.rows
        ],
    )


def render_version(entry: ConfigurationEntry, card: RateCard) -> pricing_pb2.RateCardVersion:
    """A published version without its rows."""
    return pricing_pb2.RateCardVersion(
        name=entry.name,
        version=entry.version,
        effective_from_us=entry.effective_from_us,
        published_at_us=entry.published_at_us,
        asset=card.asset,
        asset_scale=card.asset_scale,
        rows=len(card.rows),
        content_hash=entry.content_hash,
    )


def render_fault(fault: CardFault) -> card_pb2.CardFault:
    """One fault of a card."""
    return card_pb2.CardFault(
        path=fault.path, reason=fault.reason, value=shown(fault.value), message=fault.message
    )
