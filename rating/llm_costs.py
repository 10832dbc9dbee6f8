"""The public map of LLM prices as what providers take: a card of costs (rule B4). Pure."""

from msgspec.structs import replace

from rating.card import Product, RateCard
from rating.exact import parse_price, reduced, written

PROVIDER_FACT = "provider"


def as_costs(card: RateCard, times: str = "1") -> RateCard:
    """An imported card with every price times ``times`` (what was negotiated, "0.7" or "7/10"), and
    each product's provider as who is paid. Facts stay with the card of prices.

    Raises PriceError where ``times`` is none.
    """
    factor = parse_price(times)
    rows = []
    for row in card.rows:
        price = parse_price(row.price)
        ratio = reduced(price[0] * factor[0], price[1] * factor[1])
        rows.append(replace(row, price=written(ratio)))
    products = [
        Product(product.product, provider=product.facts.get(PROVIDER_FACT, ""))
        for product in card.products
    ]
    return replace(card, rows=tuple(rows), products=tuple(products))
