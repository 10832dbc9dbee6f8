"""What strangers send to gateways' ways in: refused in words, no fault of the server's own, and no
more memory than the limits say."""

from __future__ import annotations

import json
import logging
import random
import tracemalloc
from typing import Any

import pytest
from google.protobuf import struct_pb2

from ledger.gateway.routes import Defaults, Routes, direct
from tests.gateway import test_asking, test_http
from tests.gateway.test_asking import ROUTE, Asking, descriptor
from tests.gateway.test_http import Http, event

http, asking = test_http.http, test_asking.asking
TEXTS = (
    "",
    "\x00",
    "é" * 200,
    "a" * 5_000,
    "\ud800",
    "💥",
    "../..",
    "%00",
    "null",
    "-1",
    "1e999999999",
)
VALUES: tuple[Any, ...] = (
    *TEXTS,
    None,
    True,
    -1,
    10**100,
    [],
    [[]],
    {},
    {"": {"": ""}},
    {"a": None},
)


def nested(depth: int, name: str = "a") -> str:
    return f'{{"{name}":' * depth + "1" + "}" * depth


def no_fault(caplog: pytest.LogCaptureFixture) -> None:
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


def bodies(dice: random.Random) -> list[bytes]:
    """Events of which one member is not as it should be, and JSON that is none."""
    made = []
    for name in (*event(1), "data_base64", "\ud800"):
        for value in VALUES:
            made.append(json.dumps([event(1, **{name: value})]).encode())
    for name in ("model", "prompt_tokens", "\ud800", "a.b", "a" * 5_000):
        for value in VALUES:
            made.append(json.dumps([event(1, data={"prompt_tokens": 1, name: value})]).encode())
    for number in (
        "1e999999999",
        "-1e-999999999",
        "1e99999999999999999999",
        "9" * 4_500,
        "NaN",
        "-0",
    ):
        whole = json.dumps([event(1)]).replace('"prompt_tokens": 10', f'"prompt_tokens": {number}')
        made.append(whole.encode())
    for depth in (50, 500, 900, 980, 5_000):
        made.append(f'[{json.dumps(event(1))[:-1]}, "data": {nested(depth)}}}]'.encode())
        for name in ("id", "data", "specversion"):
            deep = "[" * depth + "]" * depth
            made.append(f'[{json.dumps(event(1))[:-1]}, "{name}": {deep}}}]'.encode())
    whole = json.dumps([event(number) for number in range(3)]).encode()
    for _ in range(100):
        at = dice.randrange(len(whole))
        made.append(whole[:at] + bytes([dice.randrange(256)]) + whole[at + 1 :])
        made.append(whole[: dice.randrange(len(whole))])
    return [*made, b"", b"[]", b"[" * 100_000, b"\xff\xfe", b"[null]", b"3"]


async def test_no_body_of_events_is_a_fault_of_the_server(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    for body in bodies(random.Random(7)):
        reply = await http.events(body)
        assert reply.status_code in (204, 207, 400, 404, 409), (body[:300], reply.text)
        assert len(reply.content) < 200_000
    no_fault(caplog)


async def test_names_of_properties_within_one_another_take_no_memory_of_their_own(
    http: Http,
) -> None:
    """Each level has the names of all above it: of 4 MiB that were 2 GB."""
    body = f'[{json.dumps(event(1))[:-1]}, "data": {nested(400, "a" * 10_000)}}}]'.encode()
    tracemalloc.start()
    try:
        reply = await http.events(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reply.status_code == 400
    assert peak < 8 * len(body)


async def test_no_question_over_http_is_a_fault_of_the_server(
    http: Http, caplog: pytest.LogCaptureFixture
) -> None:
    names = (
        "tenant", "account", "product", "mode", "key", "operation", "operation_hold", "lifetime_s",
        "settles", "unit", "pay_url", "up_to", "deny_status", "attribute.x", "attribute.",
        "quantity.input_tokens", "quantity.", "quantity.é", "more",
    )  # fmt: skip
    texts = [each for each in TEXTS if each != "\ud800"]
    sources = [
        "header:x-odd",
        "value:\r\nx: y",
        "jwt:a",
        "metadata:a:b",
        "principal",
        "header:",
        "|",
    ]
    for name in names:
        for value in (*texts, *sources):
            reply = await http.check({"x-odd": "\x7f"}, **{name: value})
            reason = reply.headers.get("x-drawdown-reason", "")
            assert reply.status_code < 500 or reason in ("ROUTE_INVALID", "TENANT_UNKNOWN"), (
                name, value, reply.text,
            )  # fmt: skip
    for value in (b"\xff\xfe", b"\x80" * 100, b"a" * 10_000, b"\xed\xa0\x80"):
        query = {"mode": "hold", "key": "header:x-request-id", "attribute.m": "header:x-m"}
        headers = {
            b"x-account": value,
            b"x-request-id": value,
            b"x-m": value,
            b"traceparent": value,
        }
        reply = await http.client.get(
            "/v1/check", params=ROUTE | query, headers=list(headers.items())
        )
        assert 400 <= reply.status_code < 500
    no_fault(caplog)


async def test_no_question_of_an_envoy_is_a_fault_of_the_server(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    odd = struct_pb2.Struct()
    odd.fields["nan"].number_value = float("nan")
    odd.fields["inf"].number_value = float("inf")
    odd.fields["list"].list_value.values.add().number_value = float("-inf")
    odd.fields["fine"].string_value = "acme"
    odd.fields["unset"].CopyFrom(struct_pb2.Value())
    for name, fine in (
        ("nan", False),
        ("inf", False),
        ("list", False),
        ("unset", False),
        ("fine", True),
    ):
        request = asking.request(route=ROUTE | {"account": f"metadata:odd:{name}"})
        request.attributes.metadata_context.filter_metadata["odd"].CopyFrom(odd)
        reply = await asking.check(request)
        assert (reply.status.code == 0) is fine
    for text in (each for each in TEXTS if each != "\ud800"):
        for name in ("account", "product", "attribute.m", "operation", "operation_hold"):
            request = asking.request(route=ROUTE | {name: "header:x-odd"}, x_odd=text)
            assert (await asking.check(request)).status.code in (0, 7)
        named = {"hold_id": text or "x", "account": text, "product": text, "unit": text}
        for entries in (named, {**named, "hold_id": f"open_{text}"}, {**named, "hold_id": ""}):
            reply = await asking.settle(descriptor(2**62, **entries))
            assert not any(each.code == 1 for each in reply.statuses)
    no_fault(caplog)


async def test_no_line_of_the_log_is_a_strangers(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    for hold_id in ("x\nERROR: all is lost", "open_" + "x" * 1_000_000, "\x1b[31m"):
        await asking.settle(descriptor(1, hold_id=hold_id, tenant=f"t{hold_id}"))
        await asking.settle(descriptor(1, hold_id=hold_id))
    said = [each.getMessage() for each in caplog.records]
    assert len(said) == 6
    assert all(each.isprintable() and len(each) < 300 for each in said)


def test_configurations_of_strangers_take_no_memory_that_stays() -> None:
    routes = Routes(Defaults())
    tracemalloc.start()
    try:
        for number in range(200):
            routes.of(ROUTE | {"attribute.x": f"value:{number}" + "a" * 1_000_000})
            direct(f"{number}" + "a" * 1_000_000, "")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000_000
