"""The token that stands for a hold of work that was let in: whoever sends one may have made it."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from ledger.api.ids import LET_IN
from ledger.auth import shared_keys
from ledger.auth.gateway_keys import GatewayKeys, MemoryGatewayKeys
from ledger.gateway.let_in import LetIn, let_in_of, opened
from tests.api.served import SystemClock

WORK = LetIn("default", "acme", "chat", {"model": "m"}, "run", "", "k", 5, 6)


def token_of(text: str) -> str:
    return LET_IN + urlsafe_b64encode(text.encode()).decode()


async def keys_of() -> GatewayKeys:
    keys = GatewayKeys(MemoryGatewayKeys(), SystemClock())
    await keys.learn()
    return keys


async def test_a_token_says_all_of_its_work() -> None:
    keys = await keys_of()
    assert await opened(WORK.token(keys), keys) == WORK


async def test_a_token_that_is_altered_or_another_ledgers_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_keys, "AGAIN_S", 0)
    keys = await keys_of()
    text, _, signature = WORK.token(keys).partition(".")
    for field, value in WORK._asdict().items():
        other = (
            value + 1 if isinstance(value, int) else {"a": "b"} if field == "attributes" else "x"
        )
        changed, _, _ = WORK._replace(**{field: other}).token(keys).partition(".")
        with pytest.raises(ValueError, match="signed"):
            await opened(f"{changed}.{signature}", keys)
    for forged in (text, f"{text}.", f"{text}.{signature}x", WORK.token(await keys_of())):
        with pytest.raises(ValueError, match="signed"):
            await opened(forged, keys)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "hold_1",
        LET_IN,
        LET_IN + "é",
        token_of("{}"),
        token_of("9" * 5_000),
        token_of("[" * 5_000),
        token_of(json.dumps(WORK[:-1])),
        token_of(json.dumps(WORK._replace(began_us=2**63))),
        token_of(json.dumps(WORK._replace(attributes={"model": "\ud800"}))),
        token_of(json.dumps(WORK._replace(key="\ud800"))),
        token_of(json.dumps(WORK._replace(account="a" * 8_192))),
    ],
    ids=lambda text: str(text)[:20],
)
def test_what_is_none_is_refused_before_it_is_on_the_disk(forged: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        let_in_of(forged)
