"""The public map as what providers take: exact shares of its prices, with who is paid (rule B4)."""

from __future__ import annotations

import pytest

from rating.card import validate
from rating.exact import PriceError
from rating.llm_costs import as_costs
from rating.llm_prices import import_price_map

MAP = """{
  "m": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1e-05, "litellm_provider": "acme"},
  "n": {"input_cost_per_token": 7e-07}
}"""


def test_prices_are_shares_and_providers_are_paid() -> None:
    prices, _ = import_price_map(MAP, "costs")
    costs = as_costs(prices, "0.7")
    assert [row.price for row in costs.rows] == ["0.0000021", "0.000007", "0.00000049"]
    assert [(each.product, each.provider, each.facts) for each in costs.products] == [
        ("m", "acme", {}),
        ("n", "", {}),
    ]
    assert as_costs(prices, "1/3").rows[0].price == "0.000001"
    assert as_costs(prices, "1/3").rows[1].price == "1/300000"
    assert validate(costs) == []


def test_a_factor_that_is_no_price_is_refused() -> None:
    prices, _ = import_price_map(MAP)
    for wrong in ("-1", "a lot", ""):
        with pytest.raises(PriceError):
            as_costs(prices, wrong)


def test_the_whole_map_is_a_card_of_costs() -> None:
    from rating.data import price_map

    prices, _ = import_price_map(price_map(), "costs")
    costs = as_costs(prices, "0.7")
    assert validate(costs) == []
    assert len(costs.rows) == len(prices.rows)
