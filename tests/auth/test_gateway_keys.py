"""Keys that servers sign with what gateways hand back: shared, renewed, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ledger.auth import shared_keys
from ledger.auth.gateway_keys import GatewayKeys, MemoryGatewayKeys
from ledger.auth.shared_keys import SharedKey
from ledger.journal.errors import JournalUnavailable

TEXT = "open_abc"


class Hands:
    """A clock that stands."""

    def __init__(self) -> None:
        self.now = 1_000

    def now_us(self) -> int:
        return self.now

    def monotonic_us(self) -> int:
        return self.now


class Source(MemoryGatewayKeys):
    """Counts readings, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.readings = 0
        self.away = False

    async def gateway_keys(self) -> Sequence[SharedKey]:
        self.readings += 1
        await asyncio.sleep(0)
        if self.away:
            raise JournalUnavailable("away")
        return self.keys

    def renew(self, before_until_us: int) -> None:
        self.keys = [SharedKey(bytes([len(self.keys)]) * 32, before_until_us), *self.keys]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_keys, "AGAIN_S", 0)


async def known(source: Source, clock: Hands | None = None) -> GatewayKeys:
    made = GatewayKeys(source, clock or Hands())
    await made.learn()
    return made


async def test_what_one_server_signed_another_takes_and_no_other_text_or_ledgers() -> None:
    source = Source()
    one, other = await known(source), await known(source)
    signature = one.signature(TEXT)
    assert await other.signed(TEXT, signature)
    assert not await other.signed(TEXT + "d", signature)
    assert not await other.signed(TEXT, signature[:-2])
    assert not await other.signed(TEXT, "")
    assert not await other.signed(TEXT, "é" * 43)
    assert not await (await known(Source())).signed(TEXT, signature)


async def test_a_new_key_counts_at_once_where_it_is_not_known_yet() -> None:
    source = Source()
    before = await known(source)
    source.renew(2_000)
    after = await known(source)
    assert await before.signed(TEXT, after.signature(TEXT))
    assert before.signature(TEXT) == after.signature(TEXT)


async def test_an_earlier_key_counts_until_its_successor_says() -> None:
    source, clock = Source(), Hands()
    first = (await known(source)).signature(TEXT)
    source.renew(2_000)
    keys = await known(source, clock)
    second = keys.signature(TEXT)
    assert await keys.signed(TEXT, first)
    clock.now = 2_000
    assert not await keys.signed(TEXT, first)
    assert await keys.signed(TEXT, second)
    source.renew(3_000)
    assert not await keys.signed(TEXT, first)  # the second's word stands
    assert await keys.signed(TEXT, second)
    source.renew(0)
    keys = await known(source, clock)
    assert not await keys.signed(TEXT, second)


async def test_many_that_nobody_signed_are_one_reading_and_none_is_called_forged_unread() -> None:
    source = Source()
    keys = await known(source)
    assert not any(await asyncio.gather(*[keys.signed(TEXT, "x") for _ in range(100)]))
    assert source.readings <= 3
    source.away = True
    assert await keys.signed(TEXT, keys.signature(TEXT))
    with pytest.raises(JournalUnavailable):
        await keys.signed(TEXT, "x")


async def test_a_key_that_counts_no_more_is_learned_while_others_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Source()
    keys = await known(source)
    signature = keys.signature(TEXT)
    source.renew(0)
    assert await keys.signed(TEXT, signature)  # within LEARN_S
    monkeypatch.setattr(shared_keys, "LEARN_S", 0)
    assert not await keys.signed(TEXT, signature)
