"""Any server takes any call: it is answered as if it had come to the owner.

Two servers share a ledger; `near` owns the families asked about, `far` owns none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from bench.ports import free_port
from ledger import server as server_module
from ledger.api.errors import CallFailed
from ledger.api.forward import HOP, Hop
from ledger.client.routing import family_shard
from ledger.core.limits import DAY_US
from ledger.journal.leases import Identity
from ledger.journal.storage import MemoryStorage, PostgresStorage
from ledger.settings import ServerSettings
from ledger.v1 import (
    account_pb2,
    balance_pb2,
    clock_pb2,
    contract_pb2,
    correction_pb2,
    decision_pb2,
    family_pb2,
    grant_pb2,
    journal_pb2,
    package_pb2,
    peer_pb2,
    peer_pb2_grpc,
    types_pb2,
    usage_pb2,
)
from rating.v1 import meter_pb2, pricing_pb2
from tests.api.cluster import TERMS, cluster, is_open, member, until
from tests.api.paired import Pair, paired
from tests.api.served import (
    TENANT,
    SystemClock,
    event,
    plain,
    refusal_of,
    work,
)
from tests.api.test_server import certificate

APPLIED = usage_pb2.INGEST_OUTCOME_APPLIED


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """In memory."""
    first = MemoryStorage(SystemClock().now_us, 4)
    async with paired([first, first.seen_by_another()]) as made:
        yield made


@pytest.fixture
async def stored(database: str) -> AsyncIterator[Pair]:
    """On PostgreSQL: each has caches of its own."""
    storages = [await PostgresStorage.open(database, 4) for _ in range(2)]
    async with paired(storages) as made:
        yield made
    for storage in storages:
        await storage.close()


async def test_every_service_answers_at_a_server_that_does_not_own_the_account(
    stored: Pair,
) -> None:
    far = stored.sides[0]
    team = stored.name(1)
    created = await far.accounts.Create(
        account_pb2.AccountServiceCreateRequest(
            tenant=TENANT,
            request_id="create",
            account=team,
            metadata={"plan": "gold"},
            policy=account_pb2.AccountPolicy(overdraft_asset="credit", overdraft_limit=10),
        )
    )
    assert created.account.metadata == {"plan": "gold"}
    child = await far.account(f"{team}/search", parent=team)
    assert child.account.root == team
    grant = await far.grant(team, 10_000)
    assert (await far.ingest(event("a", team))).results[0].charge == 600
    assert (await far.check(team)).decision == decision_pb2.DECISION_ALLOW
    assert (await far.balance(team)).available == str(10_000 - 600 + 10)
    quote = await far.pricing.Quote(pricing_pb2.QuoteRequest(**work(team)))
    assert quote.charge == 600
    held = await far.authorize(team, request_id="auth")
    captured = await far.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="capture",
            hold_id=held.hold_id,
            quantities={"input_tokens": 10, "output_tokens": 2},
        )
    )
    assert captured.charge == 60
    second = await far.authorize(team)
    released = await far.decisions.Release(
        decision_pb2.ReleaseRequest(tenant=TENANT, request_id="release", hold_id=second.hold_id)
    )
    assert released.position
    shown = await far.usage.Get(
        usage_pb2.UsageServiceGetRequest(tenant=TENANT, account=team, source="gateway", id="a")
    )
    assert shown.entry.charge == 600
    outcome = await far.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account=team, request_id="auth")
    )
    assert outcome.state == journal_pb2.OUTCOME_STATE_RECORDED
    never = await far.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account=team, request_id="no", abandon=True)
    )
    assert never.state == journal_pb2.OUTCOME_STATE_ABANDONED
    found = await far.grants.Get(
        grant_pb2.GrantServiceGetRequest(tenant=TENANT, grant_id=grant.grant.grant_id)
    )
    assert found.grant.account == team
    listed = await far.grants.List(grant_pb2.GrantServiceListRequest(tenant=TENANT, account=team))
    assert len(listed.grants) == 1
    got = await far.accounts.Get(account_pb2.AccountServiceGetRequest(tenant=TENANT, account=team))
    updated = await far.accounts.UpdatePolicy(
        account_pb2.UpdatePolicyRequest(
            tenant=TENANT,
            request_id="policy",
            account=team,
            policy=account_pb2.AccountPolicy(),
            expected_version=got.account.policy.version,
        )
    )
    assert updated.account.policy.version == got.account.policy.version + 1
    await far.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(
            tenant=TENANT, request_id="alias", alias=f"key-{team}", account=team
        )
    )
    assert (await far.ingest(event("b", f"key-{team}"))).results[0].charge == 600
    aliases = await far.accounts.ListAliases(
        account_pb2.ListAliasesRequest(tenant=TENANT, account=team)
    )
    assert [each.alias for each in aliases.aliases] == [f"key-{team}"]
    await far.accounts.EndAlias(
        account_pb2.EndAliasRequest(
            tenant=TENANT, request_id="end", alias=f"key-{team}", account=team
        )
    )
    named = await far.accounts.UpdateMetadata(
        account_pb2.UpdateMetadataRequest(
            tenant=TENANT,
            request_id="name",
            account=f"{team}/search",
            metadata={"plan": "silver"},
            expected_version=1,
        )
    )
    assert named.account.metadata == {"plan": "silver"}
    states = []
    for method, request in (
        ("Freeze", account_pb2.FreezeRequest(request_id="f", reason="fraud")),
        ("Unfreeze", account_pb2.UnfreezeRequest(request_id="u")),
        ("Close", account_pb2.AccountServiceCloseRequest(request_id="c", write_off=True)),
        ("Reopen", account_pb2.ReopenRequest(request_id="r")),
    ):
        request.tenant, request.account = TENANT, f"{team}/search"
        states.append((await getattr(far.accounts, method)(request)).account.state)
    assert states == [
        account_pb2.ACCOUNT_STATE_FROZEN,
        account_pb2.ACCOUNT_STATE_OPEN,
        account_pb2.ACCOUNT_STATE_CLOSED,
        account_pb2.ACCOUNT_STATE_OPEN,
    ]
    [reversal] = (
        await far.corrections.ReverseUsage(
            correction_pb2.ReverseUsageRequest(
                tenant=TENANT,
                reversals=[
                    correction_pb2.Reversal(
                        request_id="reverse",
                        account=team,
                        event=correction_pb2.SourceAndId(source="gateway", id="a"),
                    )
                ],
            )
        )
    ).results
    assert reversal.amount == 600
    amended = await far.corrections.AmendUsage(
        correction_pb2.AmendUsageRequest(
            tenant=TENANT,
            request_id="amend",
            account=team,
            event=correction_pb2.SourceAndId(source="gateway", id="b"),
            replacement=event("c", ""),
        )
    )
    assert amended.usage.charge == 600
    adjusted = await far.corrections.AdjustBalance(
        correction_pb2.AdjustBalanceRequest(
            tenant=TENANT,
            request_id="adjust",
            account=team,
            asset="credit",
            amount=7,
            reason="goodwill",
            actor="mary",
        )
    )
    assert adjusted.grant_id
    voided = await far.grants.Void(
        grant_pb2.GrantServiceVoidRequest(
            tenant=TENANT, request_id="void", grant_id=grant.grant.grant_id
        )
    )
    assert voided.voided > 0
    await far.accounts.Close(
        account_pb2.AccountServiceCloseRequest(
            tenant=TENANT, request_id="close", account=f"{team}/search"
        )
    )
    await far.accounts.Erase(
        account_pb2.AccountServiceEraseRequest(
            tenant=TENANT, request_id="erase", account=f"{team}/search"
        )
    )
    passed = {method.rpartition("/")[2] for method, result in stored.counted if result == "OK"}
    assert passed >= {
        "Create", "Issue", "Ingest", "Check", "Get", "Quote", "Authorize", "Capture", "Release",
        "GetOutcome", "List", "UpdatePolicy", "AssignAlias", "ListAliases", "EndAlias", "Void",
        "Close", "Erase", "ReverseUsage", "AmendUsage", "AdjustBalance",
    }  # fmt: skip


async def test_what_a_family_shares_is_said_at_any_server(pair: Pair) -> None:
    """Sharing and caps, by the ids that the owner of the family's shard gave."""
    far = pair.sides[0]
    team = pair.name(1)
    await far.account(team)
    await far.account(f"{team}/search", parent=team)
    grant_id = (await far.grant(team, 1_000)).grant.grant_id
    shared = await far.families.UpdateSharing(
        family_pb2.UpdateSharingRequest(
            tenant=TENANT,
            request_id="share",
            grant_id=grant_id,
            sharing=family_pb2.Sharing(mode=family_pb2.SHARING_MODE_ALL),
        )
    )
    asked = family_pb2.GetSharingRequest(tenant=TENANT, grant_id=grant_id)
    assert (await far.families.GetSharing(asked)).sharing == shared.sharing
    cap = family_pb2.Cap(account=team, below=f"{team}/search", asset="credit", limit=50)
    made = await far.families.SetCap(
        family_pb2.SetCapRequest(tenant=TENANT, request_id="cap", cap=cap)
    )
    await far.ingest(event("a", f"{team}/search"))
    one = family_pb2.GetCapRequest(tenant=TENANT, cap_id=made.cap.cap_id)
    assert (await far.families.GetCap(one)).cap.used == "50"
    listing = family_pb2.ListCapsRequest(tenant=TENANT, account=team)
    assert [each.cap for each in (await far.families.ListCaps(listing)).caps] == [made.cap]
    await far.families.RemoveCap(
        family_pb2.RemoveCapRequest(tenant=TENANT, request_id="gone", cap_id=made.cap.cap_id)
    )
    told = await far.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=TENANT, account=team, request_id="gone")
    )
    assert told.resource == made.cap.cap_id
    passed = {method.rpartition("/")[2] for method, result in pair.counted if result == "OK"}
    assert passed >= {
        "UpdateSharing", "GetSharing", "SetCap", "GetCap", "ListCaps", "RemoveCap"
    }  # fmt: skip


async def test_a_refusal_of_the_owner_comes_back_word_for_word(pair: Pair) -> None:
    far, near = pair.sides
    team = pair.name(1)
    await far.account(team)
    here = await refusal_of(far.grant(team, 5, asset="nothing"))
    there = await refusal_of(near.grant(team, 5, asset="nothing"))
    assert here == there
    assert here.reason == "ASSET_UNKNOWN"


async def test_what_is_asked_of_all_shards_is_put_together(pair: Pair) -> None:
    far, near = pair.sides
    teams = [pair.name(side, "all") for side in (0, 1, 0, 1)]
    for team in teams:
        await far.account(team)
        await near.grant(team, 1_000)
    for server in pair.sides:
        balance = await server.journal.TrialBalance(
            journal_pb2.TrialBalanceRequest(tenant=TENANT, asset="credit")
        )
        assert balance.balanced
        assert {row.shard for row in balance.rows} == {
            family_shard(TENANT, team, 4) for team in teams
        }
        assert sum(int(row.debits_posted) for row in balance.rows) == 4_000
        listed = await server.accounts.List(account_pb2.AccountServiceListRequest(tenant=TENANT))
        assert [each.account for each in listed.accounts] == sorted(teams)
        assert {each.shard for each in listed.accounts} == {
            family_shard(TENANT, team, 4) for team in teams
        }


async def test_a_price_is_in_force_on_every_shard_when_its_publication_is_answered(
    pair: Pair,
) -> None:
    far, near = pair.sides
    await far.asset("EUR", 2, pricing_pb2.ASSET_KIND_MONEY)
    await near.asset("USD", 2, pricing_pb2.ASSET_KIND_MONEY)
    for served in pair.sides:
        for shard in served.ledger.owned:
            catalog = served.ledger.writers[shard].state.catalog
            assert catalog.asset_of(1, "EUR") is not None
            assert catalog.asset_of(1, "USD") is not None


async def test_meters_are_known_to_every_server_when_their_publication_is_answered(
    stored: Pair,
) -> None:
    """An event of a type is metered by whoever takes it, and by its owner again: alike."""
    far, near = stored.sides
    team = stored.name(1)
    await far.account(team)
    refused = await far.ingest(_of_a_type("before", team))
    assert refused.results[0].reason == "NO_METER"
    assert (await near.ingest(_of_a_type("before", team))).results[0].reason == "NO_METER"
    quantity = meter_pb2.MeteredQuantity(
        quantity="input_tokens", aggregation=meter_pb2.AGGREGATION_MAX, property="tokens"
    )
    rule = meter_pb2.MeterRule(
        name="calls", event_type="call", product="chat", quantities=[quantity]
    )
    await near.meters.PublishMeters(
        meter_pb2.PublishMetersRequest(
            tenant=TENANT, request_id="meters", meters=meter_pb2.MeterSet(rules=[rule])
        )
    )
    charged = [
        (await side.ingest(_of_a_type(event_id, team, tokens))).results[0].charge
        for side, event_id, tokens in ((far, "a", "100"), (near, "b", "150"), (far, "c", "120"))
    ]
    assert charged == [100 * 3, 50 * 3, 0]
    again = (await near.ingest(_of_a_type("a", team, "100"))).results[0]
    assert (again.replayed, again.charge) == (True, 300)


def _of_a_type(event_id: str, account: str, tokens: str = "1") -> usage_pb2.UsageEvent:
    return usage_pb2.UsageEvent(
        id=event_id, account=account, type="call", properties={"tokens": tokens}
    )


async def test_a_forwarded_call_goes_no_further(pair: Pair) -> None:
    far = pair.sides[0]
    team = pair.name(1)
    await far.account(team)
    marked = ((HOP, "somebody"),)
    request = balance_pb2.BalanceServiceGetRequest(tenant=TENANT, account=team)
    found = await refusal_of(far.balances.Get(request, metadata=marked))
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_OWNER")
    assert found.retry_after_us > 0
    batch = await far.usage.Ingest(plain(event("h", team), event("i", "nobody")), metadata=marked)
    assert [result.reason for result in batch.results] == ["NOT_OWNER", "ACCOUNT_UNKNOWN"]
    assert batch.results[0].outcome == usage_pb2.INGEST_OUTCOME_RETRY
    whole = await refusal_of(far.usage.Ingest(plain(event("h", team)), metadata=marked))
    assert whole.reason == "NOT_OWNER"


async def test_the_shard_map_names_the_owners(pair: Pair) -> None:
    far, near = pair.sides
    maps = [
        [
            route.address
            for route in (
                await each.journal.GetRouting(journal_pb2.GetRoutingRequest(tenant=TENANT))
            ).shards
        ]
        for each in pair.sides
    ]
    assert maps[0] == maps[1]
    keepers = [each.ledger.shards.keeper.identity.address for each in (far, near)]
    assert maps[0] == [
        keepers[0] if far.ledger.shards.owns(shard) else keepers[1] for shard in range(4)
    ]


async def test_an_alias_ended_elsewhere_means_nothing_here_within_the_bound(stored: Pair) -> None:
    """Both servers have it in memory; one of them hears of its end from the database alone."""
    far, near = stored.sides
    team = stored.name(0)
    await far.account(team)
    await near.ledger.directory.assign_alias(1, "moving", team, 1)
    for server in stored.sides:
        assert await server.ledger.resolve(1, "moving") is not None
    await near.ledger.directory.end_alias(1, "moving", 2)
    await until(lambda: far.ledger.cached(1, "moving", SystemClock().now_us()) is None)
    assert await far.ledger.resolve(1, "moving") is None


async def test_an_account_erased_elsewhere_is_forgotten_here(stored: Pair) -> None:
    far, near = stored.sides
    team = stored.name(1)
    await far.account(team)
    await far.ingest(event("e", team))
    assert far.ledger.cached(1, team, 1) is not None
    await near.accounts.Erase(
        account_pb2.AccountServiceEraseRequest(tenant=TENANT, request_id="x", account=team)
    )
    await until(lambda: far.ledger.cached(1, team, 1) is None)
    reply = await far.ingest(event("f", team))
    assert reply.results[0].outcome == usage_pb2.INGEST_OUTCOME_ACCOUNT_UNKNOWN
    await near.server.eraser.idle()


async def test_names_are_looked_up_again_while_nobody_says_what_changed() -> None:
    storage = MemoryStorage(SystemClock().now_us, 1)
    async with member(storage, "only") as served:
        await served.account("acme")
        assert served.ledger.cached(1, "acme", 1) is not None
        await served.ledger.names.stop()
        await until(lambda: not served.ledger.names.fresh())
        assert served.ledger.cached(1, "acme", 1) is None
        assert await served.ledger.resolve(1, "acme") is not None


async def test_peers_settle_and_apply_for_their_own_shards(pair: Pair) -> None:
    stub = peer_pb2_grpc.PeerServiceStub(pair.sides[1].channel)
    owned = pair.sides[1].ledger.owned
    assert list((await stub.Settle(peer_pb2.SettleRequest())).shards) == owned
    applied = await stub.ApplyPublished(peer_pb2.ApplyPublishedRequest(tenant=1))
    assert list(applied.shards) == owned


@pytest.mark.parametrize("side", [0, 1])
async def test_a_clock_is_moved_on_the_shards_of_every_server(pair: Pair, side: int) -> None:
    """Whoever is asked, all that came due has happened everywhere by the answer (rule T4)."""
    near = pair.sides[side]
    near.tenant = "sandbox"
    await near.priced()
    names = [pair.name(owner, "sandbox") for owner in (0, 1)]
    for name in names:  # whose shards these are is another tenant's hash: some on each server
        await near.account(name)
        now_us = near.ledger.clock.now_us()
        await near.grant(name, 100, expires_at_us=now_us + DAY_US)
    request = clock_pb2.AdvanceRequest(
        tenant="sandbox", request_id=f"move-{side}", by_us=3 * DAY_US
    )
    while not (reply := await near.clock.Advance(request)).settled:
        assert reply.accounts_left
    for asked in pair.sides:
        shown = await asked.clock.Get(clock_pb2.ClockServiceGetRequest(tenant="sandbox"))
        assert shown.offset_us == 3 * DAY_US
        offsets = [asked.ledger.writers[each].state.offsets for each in asked.ledger.owned]
        assert offsets == [{2: 3 * DAY_US}] * len(asked.ledger.owned)
        for name in names:
            listed = await asked.grants.List(
                grant_pb2.GrantServiceListRequest(tenant="sandbox", account=name)
            )
            assert [each.state for each in listed.grants] == [types_pb2.GRANT_STATE_EXPIRED]


@pytest.mark.parametrize("side", [0, 1])
async def test_nobody_has_settled_while_a_call_carries_names_to_a_writer(
    pair: Pair, side: int
) -> None:
    """Its names may be erased meanwhile, and would be written down after that."""
    served = pair.sides[side]
    team = pair.name(side)
    await served.account(team)
    resolve = served.ledger.directory.resolve
    asked, going_on = asyncio.Event(), asyncio.Event()

    async def slowly(*arguments: object) -> object:
        asked.set()
        await going_on.wait()
        return await resolve(*arguments)

    served.ledger.directory.resolve = slowly
    ingest = asyncio.ensure_future(served.ingest(event("a", team), event("b", "stranger")))
    await asked.wait()
    served.ledger.directory.resolve = resolve
    settling = asyncio.create_task(pair.sides[0].ledger.peers.settle())
    for _ in range(5):
        await pair.sides[0].check(team)
    assert not settling.done()
    going_on.set()
    assert (await ingest).results[0].outcome == APPLIED
    await settling


async def test_our_own_address_is_never_another_servers() -> None:
    """A predecessor's lease that has not run out, or an address that was given twice."""
    storage = MemoryStorage(SystemClock().now_us, 1)
    async with member(storage, "here") as served:
        await served.account("acme")
        keeper = served.ledger.shards.keeper
        ghost = Identity("ghost", keeper.identity.address)
        await storage.leases.release(keeper.identity, 0, keeper.leases[0].epoch)
        await storage.leases.beat(ghost, {}, TERMS.term_us // 2)
        assert await storage.leases.acquire(ghost, [0], TERMS.term_us // 2)
        await until(lambda: not served.ledger.owned)
        assert keeper.address_is_shared
        found = await refusal_of(served.check("acme"))
        assert found.reason == "NOT_OWNER"
        await until(lambda: served.ledger.owned == [0] and is_open(served))
        assert not keeper.address_is_shared
        assert (await served.check("acme")).reason == "UNPRICED", "answered"


async def test_an_owner_that_is_gone_leaves_reads_to_be_retried_and_writes_unknown() -> None:
    """The others wait for its term; what it may have had is said to be unknown, nothing else."""
    first = MemoryStorage(SystemClock().now_us, 4)
    storages = [first, first.seen_by_another()]
    async with cluster(storages) as sides:
        pair = Pair(sides)
        await sides[0].priced()
        mine, theirs = pair.name(0), pair.name(1)
        for team in (mine, theirs):
            await sides[0].account(team)
        keeper = sides[1].ledger.shards.keeper
        keeper._task.cancel()  # it renews nothing any more
        keeper._task = None
        leave_to(first, keeper.identity.process, 600_000_000)
        await sides[1].server.hang_up(0)  # and answers nobody
        found = await refusal_of(sides[0].check(theirs))
        assert found.reason == "OWNER_UNREACHABLE"
        batch = await sides[0].ingest(event("1", mine), event("2", theirs))
        assert batch.results[0].outcome == APPLIED
        assert batch.results[1].outcome in (
            usage_pb2.INGEST_OUTCOME_RETRY,
            usage_pb2.INGEST_OUTCOME_UNKNOWN,
        )
        leave_to(first, keeper.identity.process, 0)
        await until(lambda: sides[0].ledger.owned == [0, 1, 2, 3] and is_open(sides[0]))
        again = await sides[0].ingest(event("1", mine), event("2", theirs))
        assert [result.outcome for result in again.results] == [APPLIED] * 2
        assert [result.replayed for result in again.results] == [True, False]


def leave_to(storage: MemoryStorage, process: str, left_us: int) -> None:
    """What is left of a process's leases: nobody takes its shards before, whatever the load."""
    shared, expires = storage.leases.shared, SystemClock().now_us() + left_us
    for shard, (epoch, owner, address, _) in list(shared.leases.items()):
        if owner == process:
            shared.leases[shard] = (epoch, owner, address, expires)
    address, leaving, _ = shared.members[process]
    shared.members[process] = (address, leaving, expires)


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("Get", journal_pb2.GetOutcomeRequest(), "OWNER_UNREACHABLE"),
        ("GetOutcome", journal_pb2.GetOutcomeRequest(abandon=True), "OUTCOME_UNKNOWN"),
        ("Capture", journal_pb2.GetOutcomeRequest(), "OUTCOME_UNKNOWN"),
    ],
)
async def test_only_what_records_nothing_is_said_to_have_recorded_nothing(
    pair: Pair, method: str, request_: Message, reason: str
) -> None:
    """GetOutcome looks like a read, but a tombstone may stand when its answer is lost."""
    forwarder = pair.sides[0].server.forwarder
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(CallFailed) as failed:
        await forwarder.ask(
            address,
            f"ledger.v1.JournalService/{method}",
            request_,
            journal_pb2.GetOutcomeResponse,
            Hop((), 5),
        )
    assert failed.value.reason == reason


async def test_servers_prove_themselves_to_each_other_where_clients_have_to(
    tmp_path: Path,
) -> None:
    key, cert = certificate()
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(cert)
    settings = ServerSettings(
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
        tls_client_ca=tmp_path / "cert.pem",
    )
    first = MemoryStorage(SystemClock().now_us, 4)
    async with cluster(
        [first, first.seen_by_another()],
        listen="localhost:0",
        credentials=server_module._credentials(settings),
        peer_credentials=server_module._peer_credentials(settings),
    ) as sides:
        pair = Pair(sides)
        team = pair.name(1)
        await sides[0].priced()
        await sides[0].account(team)
        assert (await sides[0].ingest(event("a", team))).results[0].charge == 600


async def test_a_change_is_tried_for_subscribers_wherever_they_are(pair: Pair) -> None:
    """Each server asks the other for its own; a contract is signed wherever it is asked for."""
    here = pair.sides[0]
    teams = sorted([pair.name(0), pair.name(1)])
    for name, amount in (("small", 10), ("large", 30)):
        await here.packages.Publish(
            package_pb2.PackageServicePublishRequest(
                tenant=TENANT,
                request_id=here.new_id(),
                package=package_pb2.PackageVersion(
                    name=name,
                    grants=[
                        package_pb2.PackageGrant(name="credits", asset="credit", amount=amount)
                    ],
                ),
            )
        )
    for team in teams:
        await here.account(team)
        await here.packages.Subscribe(
            package_pb2.PackageServiceSubscribeRequest(
                tenant=TENANT, request_id=here.new_id(), account=team, package="small"
            )
        )
    for server in pair.sides:
        reply = await server.packages.PreviewSubscribers(
            package_pb2.PackageServicePreviewSubscribersRequest(
                tenant=TENANT, package="small", to_package="large"
            )
        )
        found = [(each.account, each.term.issues[0].amount) for each in reply.previews]
        assert found == [(team, 20) for team in teams]
    for team in teams:
        signed = await here.contracts.Sign(
            contract_pb2.ContractServiceSignRequest(
                tenant=TENANT,
                request_id=here.new_id(),
                account=team,
                contract="deal",
                package="small",
                ends_at_us=SystemClock().now_us() + 90 * DAY_US,
            )
        )
        assert signed.contract.state == contract_pb2.CONTRACT_STATE_RUNNING


async def test_a_stream_comes_from_the_owner(pair: Pair):
    """Balances are watched at whichever server: the owner's stream is passed on, word for word."""
    near, far = pair.sides
    account = pair.name(0)
    await near.account(account)
    watched = far.balances.Watch(balance_pb2.WatchRequest(tenant=TENANT, accounts=[account]))
    first = await watched.read()
    assert first.snapshot and [each.account for each in first.accounts] == [account]
    await near.grant(account, 50)
    second = await watched.read()
    assert second.accounts[0].balances[0].available == "50"
    watched.cancel()
