"""What is wrong with a card beside the card of costs that it names (rule B4).

A card of costs is a rate card like any other; here stands what it must not say to be one. Pure.
"""

from collections.abc import Iterator

from rating.card import RateCard
from rating.faults import CardFault
from rating.models import OF_MANY, CostPlus, Volume


def check_cost_card(card: RateCard, costs: RateCard | None) -> Iterator[CardFault]:
    """Every fault of a card that names a card of costs, or needs one and names none.

    ``costs`` is the newest version of the card that is named; None: nobody has published it.
    """
    rests = [place for place, row in enumerate(card.rows) if isinstance(row.model, CostPlus)]
    if not card.cost_card:
        for place in rests:
            message = "the price rests on the provider's cost: name the card of costs (cost_card)"
            yield CardFault(f"rows[{place}].model", "COST_CARD_MISSING", "", message)
        return
    if card.cost_card == card.name:
        message = "a card is not its own card of costs; publish one of its own"
        yield CardFault("cost_card", "COST_CARD_OWN", card.cost_card, message)
        return
    if costs is None:
        message = "the tenant has no such rate card; publish the card of costs first"
        yield CardFault("cost_card", "COST_CARD_UNKNOWN", card.cost_card, message)
        return
    yield from check_is_cost_card(costs, "cost_card")
    scales = {meter.quantity: meter.scale for meter in costs.meters}
    for place, meter in enumerate(card.meters):
        scale = scales.get(meter.quantity, meter.scale)
        if scale != meter.scale:
            message = f"card {costs.name!r} counts {meter.quantity!r} with scale {scale}"
            path, value = f"meters[{place}].scale", str(meter.scale)
            yield CardFault(path, "COST_SCALE_DIFFERS", value, message)
    for place in rests:
        if costs.asset != card.asset:
            message = f"costs are in {costs.asset!r}; a price on top of them is in the same money"
            yield CardFault(f"rows[{place}].model", "COST_ASSET_DIFFERS", card.asset, message)


def check_is_cost_card(costs: RateCard, path: str = "") -> Iterator[CardFault]:
    """What a card of costs must not say; ``path`` is where the card is named, if it is."""
    for place, row in enumerate(costs.rows):
        if isinstance(row.model, Volume | CostPlus):
            kind = "volume" if isinstance(row.model, Volume) else "cost-plus"
            message = f"rows[{place}] of card {costs.name!r} is a {kind} price, which no cost has"
            yield CardFault(path or f"rows[{place}].model", "COST_MODEL_INVALID", kind, message)
            return
        if row.scope in OF_MANY:
            message = (
                f"rows[{place}] of card {costs.name!r} counts several accounts together; what the "
                "provider takes is counted for each account"
            )
            fault = path or f"rows[{place}].scope"
            yield CardFault(fault, "COST_SCOPE_INVALID", row.scope.value, message)
            return


def named_by(namer: RateCard, costs: RateCard) -> Iterator[CardFault]:
    """Why a card cannot be what another names as its card of costs."""
    for fault in check_cost_card(namer, costs):
        message = f"card {namer.name!r} names this card as its card of costs: {fault.message}"
        yield CardFault("", fault.reason, fault.value, message)
