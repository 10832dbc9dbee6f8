"""Where the client sends what it asks: to the owner of the account's shard, once it knows it."""

from __future__ import annotations

import pytest

from ledger.client import DrawdownClient
from ledger.client.routing import FAMILY_HASH, Routing, family_shard
from ledger.journal.storage import MemoryStorage
from tests.api.cluster import cluster
from tests.api.served import TENANT, SystemClock

MAP = {0: "a", 1: "b", 2: "a", 3: "b"}
NEAR, FAR = 0, 1


def mapped() -> Routing:
    routing = Routing("acme", "a")
    routing.take_map(FAMILY_HASH, MAP)
    return routing


def of_shard(shard: int) -> str:
    return next(name for name in map(str, range(1_000)) if family_shard("acme", name, 4) == shard)


def test_an_account_is_taken_for_a_root_until_a_reply_says_its_shard() -> None:
    routing = mapped()
    account = of_shard(0)
    assert routing.address_of(account) == "a"
    routing.saw(account, 3)
    assert routing.address_of(account) == "b"


def test_a_family_that_is_known_is_seen_as_a_whole() -> None:
    routing = mapped()
    routing.learn("child", "root", 0)
    routing.learn("root", "root", 0)
    routing.saw("child", 1)
    assert routing.address_of("root") == "b"


@pytest.mark.parametrize(("account", "shard"), [("", 1), ("child", -1)])
def test_a_reply_that_does_not_say_both_says_nothing(account: str, shard: int) -> None:
    routing = mapped()
    before = routing.address_of("child"), routing.address_of("")
    routing.saw(account, shard)
    assert (routing.address_of("child"), routing.address_of("")) == before


def test_what_was_seen_outlives_a_new_map_of_the_same_shards() -> None:
    routing = mapped()
    account = of_shard(0)
    routing.saw(account, 3)
    routing.take_map(FAMILY_HASH, MAP | {3: "c"})
    assert routing.address_of(account) == "c"
    routing.take_map(FAMILY_HASH, dict.fromkeys(range(8), "a") | {5: "b"})
    shard = family_shard("acme", account, 8)
    assert routing.address_of(account) == ("b" if shard == 5 else "a")


def test_a_shard_beyond_the_map_goes_home() -> None:
    routing = mapped()
    routing.saw("child", 9)
    assert routing.address_of("child") == "a"


@pytest.mark.parametrize("pipelined", [False, True])
async def test_a_child_of_another_servers_family_is_passed_on_once(*, pipelined: bool) -> None:
    """Its name says nothing of its family's shard; the first reply does."""
    storage = MemoryStorage(SystemClock().now_us, 4)
    passed_on: list[str] = []

    def count(method: str, _: str) -> None:
        passed_on.append(method.rpartition("/")[2])

    async with cluster([storage, storage.seen_by_another()], count_forward=count) as sides:
        await sides[NEAR].priced()
        owned = sides[FAR].ledger.owned
        names = [f"team-{n}" for n in range(1_000)]
        team = next(name for name in names if family_shard(TENANT, name, 4) in owned)
        child = next(name for name in names if family_shard(TENANT, name, 4) not in owned)
        await sides[FAR].account(team)
        await sides[FAR].account(child, parent=team)
        await sides[FAR].grant(child, 1_000_000)
        passed_on.clear()
        async with DrawdownClient(
            sides[NEAR].address, tenant=TENANT, pipelined=pipelined
        ) as client:
            for _ in range(5):
                quantities = {"input_tokens": 1, "output_tokens": 1}
                answer = await client.debit(child, "chat", quantities, {"model": "gpt"})
                assert answer.charge
    assert passed_on == ["Debit"]
