"""Rate cards in files: what is read is what was written, and every part that is wrong is named."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_strategies import monotone, plans, transactional, volumes

from rating.card import CardError, PriceRow, RateCard, canonical_bytes, content_hash, validate
from rating.card_file import Form, read_card
from rating.data import price_map
from rating.llm_prices import import_price_map
from rating.models import Graduated, Hours, Scope, Tier
from rating.sheet import sheet_bytes

TOML = """
name = "default"
asset = "USD"
asset_scale = 2
meters = [{ quantity = "calls" }, { quantity = "failed_calls", subset_of = "calls" }]

[[products]]
product = "api"
display_name = "The API"

[[rows]]
product = "api"
quantity = "failed_calls"
price = "0"

[[rows]]
product = "api"
quantity = "calls"
scope = "day"
hours = { zone = "Europe/Berlin", start = "22:00", end = "06:00", weekdays = [1, 2, 3, 4, 5] }
[rows.model]
type = "graduated"
tiers = [{ up_to = 100, price = "0.10" }, { price = "0.02" }]
"""


def faults_of(data: bytes, form: Form = Form.JSON) -> list[tuple[str, str]]:
    with pytest.raises(CardError) as caught:
        read_card(data, form)
    return [(fault.path, fault.reason) for fault in caught.value.faults]


@given(st.one_of(plans(monotone), plans(volumes), plans(transactional)))
def test_a_card_comes_back_from_its_file_and_from_its_price_sheet(drawn) -> None:
    """To the byte, so that its version's hash is the same: every model, every term."""
    card, _ = drawn
    body = canonical_bytes(card)
    assert canonical_bytes(read_card(msgspec.json.encode(card))) == body
    assert canonical_bytes(read_card(sheet_bytes(card, 7, content_hash(body)))) == body


def test_the_whole_map_of_prices_comes_back_from_a_file() -> None:
    card, _ = import_price_map(price_map())
    assert read_card(msgspec.json.encode(card)) == card


def test_a_card_in_toml() -> None:
    """A row with a model needs no price of its own."""
    card = read_card(TOML.encode(), Form.TOML)
    assert validate(card) == []
    assert card.rows[1] == PriceRow(
        "api",
        "calls",
        "",
        model=Graduated((Tier(100, "0.10"), Tier(None, "0.02"))),
        scope=Scope.DAY,
        hours=Hours("Europe/Berlin", "22:00", "06:00", (1, 2, 3, 4, 5)),
    )


def test_every_part_of_bad_form_is_named_at_once() -> None:
    document = json.loads(msgspec.json.encode(read_card(TOML.encode(), Form.TOML)))
    document["asset_scale"] = "2"
    document["meters"][1] = "calls"
    document["products"][0]["colour"] = "blue"
    document["rows"][0] |= {"price": 0.1}
    document["rows"][1]["model"]["tiers"][0]["up_to"] = "100"
    document["rows"].append({"product": "api", "quantity": "calls"})
    document["rows"].append({"product": "api", "quantity": "calls", "model": {"type": "guess"}})
    assert faults_of(json.dumps(document).encode()) == [
        (path, "CARD_MALFORMED")
        for path in (
            "asset_scale",
            "meters[1]",
            "products[0]",
            "rows[0].price",
            "rows[1].model.tiers[0].up_to",
            "rows[2]",
            "rows[3].model.type",
        )
    ]


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        (b"", Form.JSON, "not JSON"),
        (b"[]", Form.JSON, "not a rate card"),
        (b'{"name": "a", "name": "b"}', Form.JSON, "stands twice"),
        (b'{"name": NaN}', Form.JSON, "Expected `str`"),
        (b'{"name": "\\ud800"}', Form.JSON, "surrogates not allowed"),
        (b"\xff", Form.JSON, "not JSON"),
        (b"[" * 100_000, Form.JSON, "not JSON"),
        (b"{}", Form.JSON, "missing required field `name`"),
        (b'{"rows": 1}', Form.JSON, "rows: Expected `array`"),
        (b"name = ", Form.TOML, "not TOML"),
        (b"name = 1979-05-27", Form.TOML, "Expected `str`"),
    ],
    ids=str,
)
def test_what_is_no_card_at_all(data: bytes, form: Form, said: str) -> None:
    with pytest.raises(CardError, match=said):
        read_card(data, form)


def test_a_number_is_no_price() -> None:
    """0.1 has no exact form in binary; the message says what to write (rule N2)."""
    rows = [{"product": "*", "quantity": "q", "price": 0.1}]
    with pytest.raises(CardError, match="texts: prices and amounts"):
        read_card(json.dumps({"name": "n", "asset": "a", "asset_scale": 0, "rows": rows}).encode())


def test_a_card_without_rows_is_a_card() -> None:
    card = read_card(b'{"name": "n", "asset": "a", "asset_scale": 0, "meters": [], "rows": []}')
    assert card == RateCard("n", "a", 0, meters=(), rows=())
