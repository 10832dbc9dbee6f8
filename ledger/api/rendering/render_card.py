"""Rate cards: the message as the pure card, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from ledger.api.errors import shown
from ledger.api.rendering.render_model import SCOPES, hours_of, model_of, render_terms
from ledger.journal.configuration import ConfigurationEntry
from rating.card import (
    PROMPT_QUANTITY,
    CardFault,
    ExpiryPolicy,
    Meter,
    Outcome,
    OutcomeTimeout,
    PriceRow,
    Product,
    RateCard,
    Rounding,
    is_plain,
)
from rating.models import OF_MANY, Minimum, MinimumScope
from rating.v1 import card_pb2, pricing_pb2

T = TypeVar("T")

_ROUNDINGS: Final = {
    card_pb2.ROUNDING_UNSPECIFIED: Rounding.HALF_EVEN,
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
_TIMEOUTS: Final = {
    card_pb2.OUTCOME_TIMEOUT_UNSPECIFIED: OutcomeTimeout.CONFIRM,
    card_pb2.OUTCOME_TIMEOUT_CONFIRM: OutcomeTimeout.CONFIRM,
    card_pb2.OUTCOME_TIMEOUT_CANCEL: OutcomeTimeout.CANCEL,
}
TIMEOUT_NUMBERS: Final = {
    OutcomeTimeout.CONFIRM: card_pb2.OUTCOME_TIMEOUT_CONFIRM,
    OutcomeTimeout.CANCEL: card_pb2.OUTCOME_TIMEOUT_CANCEL,
}
_EXPIRY_NUMBERS: Final = {
    ExpiryPolicy.RELEASE: card_pb2.HOLD_EXPIRY_UNSPECIFIED,
    ExpiryPolicy.CHARGE: card_pb2.HOLD_EXPIRY_CHARGE,
}
_MINIMUM_SCOPES: Final = {
    card_pb2.MINIMUM_SCOPE_LINE: MinimumScope.LINE,
    card_pb2.MINIMUM_SCOPE_PRODUCT: MinimumScope.PRODUCT,
    card_pb2.MINIMUM_SCOPE_ACCOUNT: MinimumScope.ACCOUNT,
    card_pb2.MINIMUM_SCOPE_CONTRACT: MinimumScope.CONTRACT,
}
_MINIMUM_NUMBERS: Final = {scope: number for number, scope in _MINIMUM_SCOPES.items()}
_NUMBERS: Final = {rounding: number for number, rounding in _ROUNDINGS.items()}


def left_out(card: RateCard) -> list[CardFault]:
    """What the library can price and the ledger does not serve."""
    faults = []
    for index, row in enumerate(card.rows):
        shared = row.scope in OF_MANY
        if row.list_price and (row.model is not None or row.included or row.maximum or shared):
            faults.append(_not_served(f"rows[{index}].list_price", row.list_price))
    return faults


def _not_served(path: str, value: str) -> CardFault:
    message = "the ledger does not price by this yet; leave it out"
    return CardFault(path, "NOT_SERVED", value, message)


def card_of(message: card_pb2.RateCard) -> tuple[RateCard, list[CardFault]]:
    """The card of a message, and its faults of form: enums that nobody knows, which the card says
    as their defaults."""
    faults: list[CardFault] = []

    def known(path: str, kind: str, number: int, values: Mapping[Any, T]) -> T:
        found = values.get(number)
        if found is None:
            reason = f"{kind.upper().replace(' ', '_')}_UNKNOWN"
            faults.append(CardFault(path, reason, str(number), f"there is no such {kind}"))
            return next(iter(values.values()))
        return found

    card = RateCard(
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
                    model_of(row),
                    known(f"rows[{place}].scope", "scope", row.scope, SCOPES),
                    row.included,
                    row.maximum,
                    row.list_price,
                    hours_of(row),
                )
                for place, row in enumerate(message.rows)
            ]
        ),
        products=tuple(
            [
                Product(
                    product.product,
                    product.display_name,
                    known(
                        f"products[{place}].hold_expiry",
                        "hold expiry",
                        product.hold_expiry,
                        _EXPIRIES,
                    ),
                    product.batch,
                    tuple(product.tags),
                    dict(product.facts),
                    not product.entitlement_required,
                    product.provider,
                    Outcome(
                        product.outcome.confirm_after_us,
                        known(
                            f"products[{place}].outcome.on_timeout",
                            "outcome timeout",
                            product.outcome.on_timeout,
                            _TIMEOUTS,
                        ),
                    )
                    if product.HasField("outcome")
                    else None,
                )
                for place, product in enumerate(message.products)
            ]
        ),
        rounding=known("rounding", "rounding", message.rounding, _ROUNDINGS),
        prompt_quantity=message.prompt_quantity or PROMPT_QUANTITY,
        minimums=tuple(
            [
                Minimum(
                    known(f"minimums[{place}].scope", "scope", minimum.scope, _MINIMUM_SCOPES),
                    minimum.amount,
                    minimum.product,
                    minimum.quantity,
                    minimum.cash_only,
                )
                for place, minimum in enumerate(message.minimums)
            ]
        ),
        cost_card=message.cost_card,
        contract_required=message.contract_required,
    )
    return card, faults


def render_card(card: RateCard) -> card_pb2.RateCard:
    """The message of a card."""
    return card_pb2.RateCard(
        name=card.name,
        asset=card.asset,
        asset_scale=card.asset_scale,
        rounding=_NUMBERS[card.rounding],
        prompt_quantity=card.prompt_quantity,
        cost_card=card.cost_card,
        contract_required=card.contract_required,
        meters=[render_meter(meter) for meter in card.meters],
        products=[render_product(product) for product in card.products],
        rows=[render_row(row) for row in card.rows],
        minimums=[render_minimum(minimum) for minimum in card.minimums],
    )


def render_meter(meter: Meter) -> card_pb2.Meter:
    """The message of a meter."""
    return card_pb2.Meter(quantity=meter.quantity, scale=meter.scale, subset_of=meter.subset_of)


def render_product(product: Product) -> card_pb2.Product:
    """The message of a product."""
    return card_pb2.Product(
        product=product.product,
        display_name=product.display_name,
        hold_expiry=_EXPIRY_NUMBERS[product.hold_expiry],
        batch=product.batch,
        tags=product.tags,
        facts=product.facts,
        entitlement_required=not product.entitled,
        provider=product.provider,
        outcome=card_pb2.OutcomeTerms(
            confirm_after_us=product.outcome.confirm_after_us,
            on_timeout=TIMEOUT_NUMBERS[product.outcome.on_timeout],
        )
        if product.outcome is not None
        else None,
    )


def render_minimum(minimum: Minimum) -> card_pb2.Minimum:
    """The message of a minimum."""
    return card_pb2.Minimum(
        scope=_MINIMUM_NUMBERS[minimum.scope],
        amount=minimum.amount,
        product=minimum.product,
        quantity=minimum.quantity,
        cash_only=minimum.cash_only,
    )


def render_row(row: PriceRow) -> card_pb2.PriceRow:
    """The message of a price row."""
    message = card_pb2.PriceRow(
        product=row.product,
        quantity=row.quantity,
        attributes=row.attributes,
        above_prompt=row.above_prompt,
        price=row.price,
        priority=row.priority,
    )
    if row.hours is not None or not is_plain(row):
        render_terms(row, message)
    return message


def render_version(entry: ConfigurationEntry, card: RateCard) -> pricing_pb2.RateCardVersion:
    """A published version without its rows."""
    return render_published(entry, card.asset, card.asset_scale, len(card.rows))


def render_published(
    entry: ConfigurationEntry, asset: str, asset_scale: int, rows: int
) -> pricing_pb2.RateCardVersion:
    """The same of a card that is not at hand."""
    return pricing_pb2.RateCardVersion(
        name=entry.name,
        version=entry.version,
        effective_from_us=entry.effective_from_us,
        published_at_us=entry.published_at_us,
        asset=asset,
        asset_scale=asset_scale,
        rows=rows,
        content_hash=entry.content_hash,
    )


def render_fault(fault: CardFault) -> card_pb2.CardFault:
    """One fault of a card."""
    return card_pb2.CardFault(
        path=fault.path, reason=fault.reason, value=shown(fault.value), message=fault.message
    )
