"""What the account directory promises, run against memory and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from ledger.journal.directory import (
    AccountPage,
    AccountProfile,
    AccountState,
    AliasRange,
    Directory,
    Entry,
    Erasure,
    Reason,
    Refused,
    TenantEntry,
    TenantKind,
    family_shard,
)
from ledger.journal.directory_cache import NameCache
from ledger.journal.directory_memory import MemoryDirectory
from ledger.journal.directory_postgres import PostgresDirectory
from ledger.journal.errors import JournalUnavailable
from ledger.journal.migrate import SHARDS_DEFAULT

T = 1  # the tenant `default`


@pytest.fixture(params=["memory", "postgres"])
async def directory(request: pytest.FixtureRequest) -> AsyncIterator[Directory]:
    made: Directory
    if request.param == "memory":
        made = MemoryDirectory(SHARDS_DEFAULT)
    else:
        made = await PostgresDirectory.open(request.getfixturevalue("database"), SHARDS_DEFAULT)
    yield made
    await made.close()


async def claim(directory: Directory, account_id: str, parent_id: str | None = None) -> Entry:
    entry = await directory.claim(T, account_id, parent_id)
    assert isinstance(entry, Entry), entry
    return entry


def reason(answer: object) -> Reason:
    assert isinstance(answer, Refused), answer
    assert answer.message
    return answer.reason


async def test_a_root_is_claimed_once_and_placed_by_its_hash(directory: Directory) -> None:
    entry = await claim(directory, "acme")
    assert entry == await claim(directory, "acme")
    assert (entry.parent, entry.root, entry.state) == (None, entry.number, AccountState.CLAIMED)
    assert entry.shard == family_shard("default", "acme", SHARDS_DEFAULT)
    assert len(entry.family_key) == 32
    other = await claim(directory, "globex")
    assert other.family_key != entry.family_key
    assert other.number != entry.number


async def test_a_child_lives_with_its_root(directory: Directory) -> None:
    root = await claim(directory, "acme")
    child = await claim(directory, "acme/search", "acme")
    grandchild = await claim(directory, "acme/search/eu", "acme/search")
    assert [child.parent, grandchild.parent] == [root.number, child.number]
    for account in (child, grandchild):
        assert (account.root, account.shard) == (root.number, root.shard)
        assert account.family_key == root.family_key
    assert await claim(directory, "acme/search/eu", "acme/search") == grandchild


async def test_a_claim_that_cannot_be_is_refused_with_its_reason(directory: Directory) -> None:
    await claim(directory, "acme")
    await claim(directory, "globex")
    await claim(directory, "acme/a", "acme")
    refusals = [
        (T, "x", "nobody", Reason.PARENT_UNKNOWN),
        (T, "x", "no\0body", Reason.PARENT_UNKNOWN),
        (T, "acme/a", "globex", Reason.PARENT_DIFFERS),
        (T, "acme/a", "nobody", Reason.PARENT_DIFFERS),
        (T, "acme/a", None, Reason.PARENT_DIFFERS),
        (T, "acme", "globex", Reason.PARENT_DIFFERS),
        (77, "x", None, Reason.TENANT_UNKNOWN),
        (T, "", None, Reason.ID_INVALID),
        (T, "a\0b", None, Reason.ID_INVALID),
        (T, "\ud800", None, Reason.ID_INVALID),
        (T, "é" * 65, None, Reason.ID_INVALID),
    ]
    for tenant, account_id, parent_id, expected in refusals:
        assert reason(await directory.claim(tenant, account_id, parent_id)) is expected
    assert (await claim(directory, "é" * 64)).account_id == "é" * 64


async def test_many_claims_at_once_give_one_number(directory: Directory) -> None:
    claims = await asyncio.gather(*(claim(directory, "acme") for _ in range(12)))
    assert len(set(map(str, claims))) == 1
    children = await asyncio.gather(*(claim(directory, f"c{n % 3}", "acme") for n in range(12)))
    assert len({child.number for child in children}) == 3


async def test_tenants_are_apart(directory: Directory) -> None:
    sandbox = await directory.tenant("sandbox")
    assert sandbox == TenantEntry(2, "sandbox", TenantKind.SANDBOX)
    live = await claim(directory, "acme")
    other = await directory.claim(sandbox.number, "acme", None)
    assert isinstance(other, Entry)
    assert other.number != live.number
    assert reason(await directory.claim(2, "child", "nobody")) is Reason.PARENT_UNKNOWN
    assert await directory.tenant("nobody") is None
    eu = await directory.add_tenant("eu", TenantKind.LIVE)
    assert eu == await directory.add_tenant("eu", TenantKind.LIVE) == await directory.tenant("eu")
    assert reason(await directory.add_tenant("eu", TenantKind.SANDBOX)) is Reason.TENANT_EXISTS
    assert reason(await directory.add_tenant("", TenantKind.LIVE)) is Reason.ID_INVALID
    names = [entry.name for entry in await directory.list_tenants()]
    assert names == ["default", "sandbox", "eu"]
    assert isinstance(eu, TenantEntry)
    assert isinstance(await directory.claim(eu.number, "acme", None), Entry)


async def test_a_confirmed_account_is_created_in_the_cache_too(directory: Directory) -> None:
    entry = await claim(directory, "acme")
    await directory.confirm(entry.number)
    await directory.confirm(entry.number)
    await directory.confirm(999)
    cached = directory.cached(T, "acme", 0)
    assert cached is not None
    assert cached.state is AccountState.CREATED
    assert (await claim(directory, "acme")).state is AccountState.CREATED


async def test_resolve_finds_accounts_and_aliases_at_their_time(directory: Directory) -> None:
    acme, globex = await claim(directory, "acme"), await claim(directory, "globex")
    first = await directory.assign_alias(T, "key-1", "acme", 100, 200)
    assert first == AliasRange("key-1", "acme", 100, 200)
    assert first == await directory.assign_alias(T, "key-1", "acme", 100, 200)
    await directory.assign_alias(T, "key-1", "globex", 200)
    asked = [("acme", 5), ("key-1", 99), ("key-1", 100), ("key-1", 199), ("key-1", 200)]
    found = await directory.resolve(T, [*asked, ("nobody", 5), ("no\0body", 5), ("\ud800", 5)])
    expected = {("acme", 5): acme, ("key-1", 100): acme, ("key-1", 199): acme}
    assert found == expected | {("key-1", 200): globex}
    for (name, at_us), entry in found.items():
        assert directory.cached(T, name, at_us) == entry
    assert directory.cached(T, "key-1", 99) is None
    assert directory.cached(T, "nobody", 5) is None
    assert directory.cached(2, "acme", 5) is None
    assert await directory.resolve(2, asked) == {}
    assert await directory.resolve(T, []) == {}


async def test_a_name_never_means_two_things(directory: Directory) -> None:
    await claim(directory, "acme")
    await claim(directory, "globex")
    await directory.assign_alias(T, "key-1", "acme", 100, 200)

    async def assign(alias: str, account_id: str, start: int, end: int | None = None) -> Reason:
        return reason(await directory.assign_alias(T, alias, account_id, start, end))

    assert await assign("globex", "acme", 0) is Reason.NAME_IS_ACCOUNT
    assert await assign("key-1", "globex", 199) is Reason.ALIAS_OVERLAPS
    assert await assign("key-1", "globex", 50, 101) is Reason.ALIAS_OVERLAPS
    assert await assign("key-1", "globex", 120, 130) is Reason.ALIAS_OVERLAPS
    assert await assign("key-2", "nobody", 0) is Reason.ACCOUNT_UNKNOWN
    assert await assign("key-2", "acme", 10, 10) is Reason.RANGE_INVALID
    assert await assign("", "acme", 0) is Reason.ID_INVALID
    assert reason(await directory.claim(T, "key-1", None)) is Reason.NAME_IS_ALIAS


async def test_an_alias_ends_and_may_begin_again_elsewhere(directory: Directory) -> None:
    await claim(directory, "acme")
    globex = await claim(directory, "globex")
    await directory.assign_alias(T, "key-1", "acme", 100)
    await directory.resolve(T, [("key-1", 300)])
    ended = await directory.end_alias(T, "key-1", 250)
    assert ended == AliasRange("key-1", "acme", 100, 250)
    assert ended == await directory.end_alias(T, "key-1", 250)
    assert directory.cached(T, "key-1", 300) is None
    assert reason(await directory.end_alias(T, "key-1", 100)) is Reason.ALIAS_UNKNOWN
    assert reason(await directory.end_alias(T, "key-2", 100)) is Reason.ALIAS_UNKNOWN
    await directory.assign_alias(T, "key-1", "globex", 250)
    assert await directory.resolve(T, [("key-1", 300)]) == {("key-1", 300): globex}
    await directory.assign_alias(T, "a-key", "acme", 0, 9)
    assert await directory.list_aliases(T, "acme") == (AliasRange("a-key", "acme", 0, 9), ended)
    assert await directory.list_aliases(T, "nobody") == ()


async def test_accounts_are_listed_in_pages(directory: Directory) -> None:
    await claim(directory, "b")
    for name in ("b/2", "b/1", "a", "Z"):
        await claim(directory, name, "b" if "/" in name else None)

    async def listed(parent_id: str | None, size: int, token: str = "") -> AccountPage:
        page = await directory.list_accounts(T, parent_id, size, token)
        assert isinstance(page, AccountPage), page
        return page

    def ids(page: AccountPage) -> list[str]:
        return [profile.entry.account_id for profile in page.accounts]

    first = await listed(None, 2)
    second = await listed(None, 2, first.next_page_token)
    third = await listed(None, 2, second.next_page_token)
    assert [ids(page) for page in (first, second, third)] == [["Z", "a"], ["b", "b/1"], ["b/2"]]
    assert third.next_page_token == ""
    children = await listed("b", 0)
    assert ids(children) == ["b/1", "b/2"]
    assert {profile.parent_id for profile in children.accounts} == {"b"}
    assert ids(await listed("b", 1, (await listed("b", 1)).next_page_token)) == ["b/2"]
    assert len((await listed(None, 10_000_000)).accounts) == 5
    for size, token in ((-1, ""), (0, "%%%"), (0, "AA=="), (0, "é")):
        answer = await directory.list_accounts(T, None, size, token)
        assert reason(answer) is Reason.PAGE_INVALID
    answer = await directory.list_accounts(T, "nobody", 0, "")
    assert reason(answer) is Reason.ACCOUNT_UNKNOWN


async def test_a_profile_is_replaced_where_given(directory: Directory) -> None:
    await claim(directory, "acme")
    profile = await directory.update_profile(T, "acme", "Acme Corp", {"tier": "gold"}, 1)
    assert isinstance(profile, AccountProfile)
    profile = await directory.update_profile(T, "acme", None, {"tier": "é"}, 3)
    assert profile == await directory.update_profile(T, "acme", "Late", {}, 2)
    assert profile == await directory.update_profile(T, "acme", "Again", {}, 3)
    assert profile == await directory.get_account(T, "acme")
    assert isinstance(profile, AccountProfile)
    assert (profile.display_name, profile.metadata) == ("Acme Corp", {"tier": "é"})
    for answer in (
        await directory.update_profile(T, "nobody", "x", None, 1),
        await directory.get_account(T, "nobody"),
        await directory.get_account(T, "\0"),
    ):
        assert reason(answer) is Reason.ACCOUNT_UNKNOWN


async def test_an_erased_account_is_forgotten_and_its_family_goes_on(directory: Directory) -> None:
    root = await claim(directory, "acme")
    child = await claim(directory, "jane@acme.test", "acme")
    await directory.update_profile(T, "jane@acme.test", "Jane", {"phone": "1"}, 1)
    await directory.assign_alias(T, "janes-key", "jane@acme.test", 0)
    await directory.resolve(T, [("janes-key", 5)])
    erasure = await directory.erase(T, "jane@acme.test")
    assert isinstance(erasure, Erasure)
    assert (erasure.number, erasure.shard, erasure.root) == (child.number, root.shard, root.number)
    assert not erasure.family_erased
    assert directory.cached(T, "jane@acme.test", 5) is None
    assert directory.cached(T, "janes-key", 5) is None
    assert await directory.resolve(T, [("janes-key", 5), ("jane@acme.test", 5)]) == {}
    assert reason(await directory.get_account(T, "jane@acme.test")) is Reason.ACCOUNT_UNKNOWN
    assert reason(await directory.get_account(T, erasure.pseudonym)) is Reason.ACCOUNT_UNKNOWN
    assert reason(await directory.erase(T, "jane@acme.test")) is Reason.ACCOUNT_UNKNOWN
    assert await directory.names([child.number, root.number, 999]) == {
        child.number: erasure.pseudonym,
        root.number: "acme",
    }
    assert await claim(directory, "acme") == root
    assert await directory.erasures_pending() == (erasure,)
    await directory.erasure_done(child.number)
    assert await directory.erasures_pending() == ()
    again = await claim(directory, "jane@acme.test")
    assert again.number != child.number


async def test_the_last_account_takes_the_family_key_along(directory: Directory) -> None:
    """The root first, a child last: until then the child keeps parent, shard and key."""
    root = await claim(directory, "acme")
    child = await claim(directory, "acme/a", "acme")
    first = await directory.erase(T, "acme")
    assert isinstance(first, Erasure)
    assert not first.family_erased
    found = (await directory.resolve(T, [("acme/a", 0)]))["acme/a", 0]
    assert (found.family_key, found.shard) == (root.family_key, root.shard)
    profile = await directory.get_account(T, "acme/a")
    assert isinstance(profile, AccountProfile)
    assert profile.parent_id == first.pseudonym
    last = await directory.erase(T, "acme/a")
    assert isinstance(last, Erasure)
    assert last.family_erased
    assert (last.root, last.number) == (root.number, child.number)


async def test_two_erasures_of_one_family_at_once_delete_its_key(directory: Directory) -> None:
    await claim(directory, "acme")
    for n in range(5):
        await claim(directory, f"acme/{n}", "acme")
    names = ["acme", *(f"acme/{n}" for n in range(5))]
    erasures = await asyncio.gather(*(directory.erase(T, name) for name in names))
    assert sum(isinstance(each, Erasure) and each.family_erased for each in erasures) == 1


async def test_nothing_personal_is_left_in_the_tables(database: str) -> None:
    directory = await PostgresDirectory.open(database, SHARDS_DEFAULT)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("INSERT INTO ledger.family_placement VALUES (1, 'jane', 3)")
        assert (await claim(directory, "jane")).shard == 3
        await directory.update_profile(T, "jane", "jane", {"jane": "jane"}, 1)
        await directory.assign_alias(T, "janes-key", "jane", 0)
        await connection.execute(
            "INSERT INTO ledger.parked_usage VALUES (1, 'janes-key', 's', 'jane-1', 'x')"
        )
        await directory.erase(T, "jane")
        for table in ("account_directory", "account_alias", "family_placement", "parked_usage"):
            rows = await connection.fetch(f"SELECT t::text FROM ledger.{table} t")
            assert "jane" not in str(rows), table
        assert (
            await connection.fetchval("SELECT count(family_key) FROM ledger.account_directory") == 0
        )
    finally:
        await connection.close()
        await directory.close()


async def test_a_directory_whose_server_is_away_says_so() -> None:
    memory = MemoryDirectory()
    memory.available = False
    with pytest.raises(JournalUnavailable):
        await memory.claim(T, "acme", None)
    with pytest.raises(JournalUnavailable):
        await PostgresDirectory.open("postgresql://drawdown@127.0.0.1:1/drawdown", 4)


def test_placement_never_changes() -> None:
    """Stored ledgers depend on these figures."""
    placed = [family_shard("default", name, 4) for name in ("acme", "globex", "initech", "é")]
    assert placed == [3, 1, 3, 1]
    assert family_shard("a", "bc", 1 << 30) != family_shard("ab", "c", 1 << 30)


def test_the_cache_is_bounded_and_keeps_what_is_used() -> None:
    cache = NameCache(10)
    entries = [
        Entry(T, n, f"a{n}", None, n, 0, b"k" * 32, AccountState.CREATED) for n in range(100)
    ]
    for entry in entries:
        cache.put(entry)
        assert cache.get(T, "a0", 0) == entries[0]
        assert len(cache) <= 10
    assert cache.get(T, "a99", 0) == entries[99]
    assert cache.get(T, "a50", 0) is None
    cache.put_alias(T, "key", [AliasRange("key", "a99", 10, 20)])
    assert cache.get(T, "key", 15) == entries[99]
    assert cache.get(T, "key", 20) is None
    cache.forget(T, "key", "a99")
    assert cache.get(T, "key", 15) is None


async def test_an_alias_may_name_a_seat_for_a_time(directory: Directory) -> None:
    """Rule I7: who is looked up by it, in memory or not, comes with the seat that it names then."""
    await claim(directory, "acme")
    ann = await directory.assign_alias(T, "key-1", "acme", 100, 200, ("agent", "ann"))
    assert ann == AliasRange("key-1", "acme", 100, 200, "agent", "ann")
    await directory.assign_alias(T, "key-1", "acme", 200, 300, ("agent", "bob"))
    await directory.assign_alias(T, "key-1", "acme", 300)
    wanted = [("key-1", at_us) for at_us in (100, 199, 200, 300)] + [("acme", 150)]
    found = await directory.resolve(T, wanted)
    named = [("agent", "ann"), ("agent", "ann"), ("agent", "bob"), None, None]
    assert [found[place].seat for place in wanted] == named
    for (name, at_us), seat in zip(wanted, named, strict=True):
        entry = directory.cached(T, name, at_us)
        assert entry is not None and entry.seat == seat
    assert [each.seat for each in await directory.list_aliases(T, "acme")] == ["ann", "bob", ""]
