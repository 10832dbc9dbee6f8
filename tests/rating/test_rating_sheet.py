"""The price sheet: canonical JSON of a version, by a published schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from model_strategies import monotone, plans, transactional, volumes

from rating.card import (
    FACT_VALUE_BYTES_MAX,
    FACTS_MAX,
    Meter,
    PriceRow,
    Product,
    RateCard,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
)
from rating.card_file import read_card
from rating.data import price_map
from rating.llm_prices import import_price_map
from rating.models import (
    CostPlus,
    Formula,
    Graduated,
    Hours,
    Minimum,
    MinimumScope,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.sheet import price_sheet, sheet_bytes

SCHEMA = Path(__file__).parents[2] / "docs" / "price-sheet.schema.json"
SMALL = RateCard(
    name="default",
    asset="USD",
    asset_scale=9,
    meters=(Meter("input_tokens"), Meter("cached_tokens", subset_of="input_tokens")),
    products=(
        Product(
            "chat",
            "Chat",
            tags=("ai",),
            facts={
                "latency_class": "interactive",
                "quality_tier": "small",
                "context_limit": "8192",
            },
        ),
    ),
    rows=(PriceRow("chat", "input_tokens", "1/3", {"mode": "batch"}, 200_000),),
)
HASH = content_hash(canonical_bytes(SMALL))
SMALL_SHEET = (
    '{"asset":"USD","asset_scale":9,'
    '"content_hash":"HASH",'
    '"format":1,'
    '"meters":[{"quantity":"input_tokens","scale":0,"subset_of":""},'
    '{"quantity":"cached_tokens","scale":0,"subset_of":"input_tokens"}],'
    '"name":"default",'
    '"products":[{"batch":false,"display_name":"Chat",'
    '"facts":{"context_limit":"8192","latency_class":"interactive","quality_tier":"small"},'
    '"hold_expiry":"release","product":"chat","tags":["ai"]}],'
    '"prompt_quantity":"input_tokens","rounding":"half_even",'
    '"rows":[{"above_prompt":200000,"attributes":{"mode":"batch"},"price":"1/3","priority":0,'
    '"product":"chat","quantity":"input_tokens"}],'
    '"version":7}\n'
)


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_bytes_of_a_sheet_never_change():
    """And its hash is that of the card's own bytes: the name of the version's content."""
    assert HASH.hex() == "6c5b395f4a0aa580e899e947c5fdcc93552375fe470347be02d96d51c0978c67"
    assert sheet_bytes(SMALL, 7, HASH).decode() == SMALL_SHEET.replace("HASH", HASH.hex())
    validator().validate(json.loads(sheet_bytes(SMALL, 7, HASH)))


def test_the_sheet_of_the_whole_map_is_valid():
    card, _ = import_price_map(price_map())
    sheet = json.loads(sheet_bytes(card, 3, HASH))
    assert sheet == price_sheet(card, 3, HASH)
    validator().validate(sheet)
    (gpt,) = [each for each in sheet["products"] if each["product"] == "gpt-5"]
    assert gpt["facts"]["provider"] == "openai"
    assert gpt["facts"]["context_limit"] == "272000"
    assert gpt["facts"]["model_mode"] == "chat"
    assert len(sheet["rows"]) == len(card.rows)


FACTS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=3)


@given(FACTS, st.randoms(use_true_random=False))
def test_a_sheet_says_all_of_its_card_whatever_the_order_of_its_maps(
    facts: dict[str, str], random: Any
) -> None:
    shuffled = dict(random.sample(sorted(facts.items()), len(facts)))
    cards = [
        msgspec.structs.replace(SMALL, products=(Product("chat", facts=each),))
        for each in (facts, shuffled)
    ]
    one, other = (sheet_bytes(card, 1, HASH) for card in cards)
    assert one == other
    sheet = json.loads(one)
    validator().validate(sheet)
    for head in ("format", "version", "content_hash"):
        del sheet[head]
    assert msgspec.convert(sheet, RateCard) == cards[0]


TERMS = (
    PriceRow("chat", "input_tokens", "0.1", scope=Scope.DAY, included=5, maximum="2"),
    PriceRow("chat", "input_tokens", "0.1", list_price="0.2", hours=Hours("Europe/Berlin")),
    PriceRow("chat", "input_tokens", "", model=Graduated((Tier(5, "1/3", "1"), Tier(None, "2")))),
    PriceRow("chat", "input_tokens", "", model=Volume((Tier(None, "2"),))),
    PriceRow("chat", "input_tokens", "", model=Stairstep((Tier(3, flat="0"), Tier(flat="5")))),
    PriceRow("chat", "input_tokens", "", model=Package(100, "5")),
    PriceRow("chat", "input_tokens", "", model=Percentage("0.029", "0.3", 7, "0.1", "9")),
    PriceRow("chat", "input_tokens", "", model=Formula('attr("w") * 2', ("w",))),
    PriceRow("chat", "input_tokens", "", model=CostPlus("1.2", "0.01")),
)


@pytest.mark.parametrize("row", TERMS, ids=lambda row: type(row.model).__name__)
def test_the_sheet_says_every_term_of_a_row_and_which_model_it_is(row: PriceRow) -> None:
    """By the schema; and a reader makes the same card of it, to the byte."""
    card = msgspec.structs.replace(
        SMALL, rows=(row,), minimums=(Minimum(MinimumScope.LINE, "1", "chat", "input_tokens"),)
    )
    sheet = sheet_bytes(card, 1, HASH)
    validator().validate(json.loads(sheet))
    assert canonical_bytes(read_card(sheet)) == canonical_bytes(card)


@given(st.one_of(plans(monotone), plans(volumes), plans(transactional)))
def test_the_sheet_of_any_model_is_valid(drawn: tuple[RateCard, Any]) -> None:
    validator().validate(json.loads(sheet_bytes(drawn[0], 1, HASH)))


@pytest.mark.parametrize("model", [{}, {"type": "guess"}, {"type": "package", "size": 0}, "none"])
def test_the_schema_refuses_what_is_no_model(model: object) -> None:
    card = msgspec.structs.replace(SMALL, rows=(TERMS[5],))
    sheet = json.loads(sheet_bytes(card, 1, HASH))
    assert validator().is_valid(sheet)
    sheet["rows"][0]["price"] = "1"
    assert not validator().is_valid(sheet), "a price beside a model"
    sheet["rows"][0]["price"] = ""
    sheet["rows"][0]["model"] = model
    assert not validator().is_valid(sheet)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rows", 0, "price"), 0),
        (("rows", 0, "price"), ""),
        (("rows", 0, "price"), "-1"),
        (("rows", 0, "above_prompt"), "1"),
        (("rows", 0, "model"), "unheard of"),
        (("content_hash",), "00"),
        (("products", 0, "facts", "quality_tier"), 1),
        (("format",), 2),
    ],
)
def test_the_schema_refuses_what_is_no_sheet(place: tuple[Any, ...], value: object) -> None:
    sheet = json.loads(sheet_bytes(SMALL, 7, HASH))
    part = sheet
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    assert not validator().is_valid(sheet)


def test_a_card_without_facts_has_the_bytes_that_it_always_had():
    """Hashes of published versions stay (rule I2); facts are left out where there are none."""
    plain = Product("chat", "Chat", tags=("ai",))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(plain)) == {
        "product": "chat",
        "display_name": "Chat",
        "tags": ["ai"],
    }
    assert decode_card(canonical_bytes(SMALL)) == SMALL


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"": "x"}, ("products[0].facts['']", "NAME_EMPTY")),
        ({"n" * 129: "x"}, (f"products[0].facts['{'n' * 129}']", "NAME_TOO_LONG")),
        ({"n": "x" * 1_025}, ("products[0].facts['n']", "NAME_TOO_LONG")),
        ({"n": "\ud800"}, ("products[0].facts['n']", "NAME_NOT_UTF8")),
        ({str(n): "" for n in range(129)}, ("products[0].facts", "TOO_MANY")),
        ({"n": "", "m": "x" * FACT_VALUE_BYTES_MAX}, None),
        ({str(n): "" for n in range(FACTS_MAX)}, None),
    ],
)
def test_faults_of_facts(facts: dict[str, str], fault: tuple[str, str] | None) -> None:
    card = msgspec.structs.replace(SMALL, products=(Product("chat", facts=facts),))
    found = [(each.path, each.reason) for each in validate(card)]
    assert found == ([fault] if fault else [])
