"""Events of a type in the client: JSON-like values as the texts that the ledger takes, exactly."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from ledger.client import InvalidEvent, RawEvent
from ledger.client.compact import Envelope
from ledger.client.raw_events import flattened


def test_values_become_texts_and_objects_dotted_names() -> None:
    text = '{"a": 1, "b": {"c": 0.10, "d": {"e": true}}, "f": null, "g": "x", "h": 1e-7, "i": {}}'
    assert flattened(json.loads(text, parse_float=Decimal)) == {
        "a": "1",
        "b.c": "0.10",
        "b.d.e": "true",
        "g": "x",
        "h": "1E-7",
    }


@pytest.mark.parametrize(
    ("properties", "reason", "field"),
    [
        ({"a": {"b": json.loads("0.1")}}, "NUMBER_INEXACT", "properties['a.b']"),
        ({"a": [1]}, "TEXT_INVALID", "properties['a']"),
        ({"a": "\ud800"}, "TEXT_INVALID", "properties['a']"),
        ({1: "a"}, "TEXT_INVALID", "properties"),
        ({"a.b": 1, "a": {"b": 2}}, "TEXT_INVALID", "properties"),
    ],
)
def test_what_is_not_exact_or_no_text_is_refused(
    properties: dict[Any, Any], reason: str, field: str
) -> None:
    with pytest.raises(InvalidEvent) as found:
        flattened(properties)
    assert (found.value.reason, found.value.field) == (reason, field)


CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "call-1",
    "source": "gateway",
    "type": "chat.completion",
    "subject": "acme",
    "time": "2026-01-01T01:00:00.000001+01:00",
    "data": {"model": "large", "usage": {"prompt_tokens": 3}},
}


def test_a_cloud_event_is_an_event_of_its_type() -> None:
    event = RawEvent.of_cloud_event(CLOUD_EVENT)
    request = Envelope("default", "docs", "chat").raw([event])
    [sent] = request.events
    assert (sent.id, sent.account, sent.source, sent.type) == (
        "call-1",
        "acme",
        "gateway",
        "chat.completion",
    )
    assert sent.effective_at_us == 1_767_225_600_000_001
    assert dict(sent.properties) == {"model": "large", "usage.prompt_tokens": "3"}
    assert (sent.product, request.product, request.source) == ("", "", "docs")
    assert RawEvent.of_cloud_event(CLOUD_EVENT, "beta").account == "beta"
    assert RawEvent.of_cloud_event({**CLOUD_EVENT, "time": ""}).effective_at_us == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", 1), ("time", "yesterday"), ("time", "2026-01-01T00:00:00"), ("data", "text")],
)
def test_a_cloud_event_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidEvent) as found:
        RawEvent.of_cloud_event({**CLOUD_EVENT, name: value})
    assert found.value.field == name
