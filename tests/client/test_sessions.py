"""Reads see a session's own writes, those whose position it was told, and wait for no others."""

from __future__ import annotations

import pytest

from ledger.client import ClientClosed, DrawdownClient, UsageEvent
from ledger.client.positions import Positions


def usage(number: int, account: str) -> UsageEvent:
    return UsageEvent(f"e-{number}", account, {"output_tokens": 1}, product="chat")


async def granted(client: DrawdownClient, account: str, **changes: str) -> int:
    [balance] = (await client.balance(account, **changes)).balances
    return int(balance.granted)


async def test_a_session_has_the_position_of_its_own_replies(
    client: DrawdownClient,
) -> None:
    mine, other = client.session(), client.session()
    assert (mine.position, other.position) == ("", "")
    for number in range(5):
        await mine.record(usage(number, "acme"))
        assert await granted(mine, "acme") == 10**9 - 15 * (number + 1)
    assert other.position == ""
    [outcome] = await other.ingest([usage(9, "beta")])
    assert outcome.position
    assert other.position != mine.position
    assert await granted(other, "beta") == 10**9 - 15


async def test_a_position_goes_to_another_process_as_text(
    client: DrawdownClient, address: str
) -> None:
    writer = client.session()
    await writer.record(usage(1, "acme"))
    await writer.debit("acme", "chat", {"output_tokens": 2})
    async with DrawdownClient(address) as elsewhere:
        reader = elsewhere.session(writer.position)
        assert reader.position == writer.position
        assert await granted(reader, "acme") == 10**9 - 45
        reader.saw("")
        further = Positions()
        further.observe(writer.position)
        further.observe(reader.position)
        assert reader.position == str(further)


async def test_a_session_shares_the_life_of_its_client(
    address: str, client: DrawdownClient
) -> None:
    async with DrawdownClient(address) as owner:
        async with owner.session() as session:
            await granted(session, "acme")
        await granted(session, "acme")
        await session.record(usage(1, "acme"))
    with pytest.raises(ClientClosed):
        await session.balance("acme")
    with pytest.raises(ClientClosed):
        await session.record(usage(2, "acme"))
