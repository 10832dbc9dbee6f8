"""A token covers an account and all below it, as the family stands now; nobody gets beyond it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from ledger.api.forward_all import NoCall
from ledger.api.gate import Gate
from ledger.api.intake.parse_plain import parse_plain
from ledger.api.passing_stream import PASSAGE_S
from ledger.api.replies import Outcomes
from ledger.auth.key_store import PostgresKeyStore
from ledger.auth.passing import BEFORE_US, LIFETIME_US, METADATA, PrincipalSeal
from ledger.auth.principal import Scope, server_principal
from ledger.auth.refusals import AuthRefused, Denied
from ledger.client import DrawdownClient
from ledger.client.errors import Refused as ClientRefused
from ledger.journal.codec import actors_of, decode_private
from ledger.journal.storage import MemoryStorage, PostgresStorage
from ledger.v1 import (
    account_pb2,
    balance_pb2,
    correction_pb2,
    decision_pb2,
    explain_pb2,
    grant_pb2,
    journal_pb2,
    lease_pb2,
    peer_pb2,
    peer_pb2_grpc,
    usage_pb2,
)
from tests.api.cluster import is_open, member, until
from tests.api.proven import Proven, authenticator_of, new_mandate_keys, proven
from tests.api.served import SystemClock, compact, event, plain, refusal_of
from tests.auth.issuing import new_key
from tests.auth.sealing import seal_of

NOT_PERMITTED = (grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED")


@pytest.fixture
async def family(tmp_path: Path) -> AsyncIterator[Proven]:
    """acme above acme/a (above acme/a/x) and acme/b; other is of another family."""
    async with proven(MemoryStorage(SystemClock().now_us, 4), tmp_path / "keys.json") as found:
        await opened(found.caller(tenant="*", sub="operator"))
        yield found


async def opened(operator: Any) -> None:
    await operator.priced()
    await operator.account("acme")
    await operator.account("acme/a", parent="acme")
    await operator.account("acme/a/x", parent="acme/a")
    await operator.account("acme/b", parent="acme")
    await operator.account("other")
    for name in ("acme/a", "acme/a/x", "acme/b", "other"):
        await operator.grant(name, 1_000_000)


def outcome_names(reply: usage_pb2.IngestResponse) -> list[str]:
    return [
        result.reason
        or usage_pb2.IngestOutcome.Name(result.outcome).removeprefix("INGEST_OUTCOME_")
        for result in reply.results
    ]


async def denied(call: Any) -> tuple[grpc.StatusCode, str]:
    found = await refusal_of(call)
    return found.code, found.reason


async def test_the_account_itself_and_all_below_it(family: Proven) -> None:
    caller = family.caller(accounts=["acme/a"])
    for name in ("acme/a", "acme/a/x"):
        assert (await caller.balance(name)).available == "1000000"
        assert (await caller.authorize(name)).hold_id
    for name in ("acme", "acme/b", "other", "nobody"):
        assert await denied(caller.check(name)) == NOT_PERMITTED
    both = family.caller(accounts=["acme/a/x", "other"])
    assert (await both.balance("other")).available == "1000000"
    assert await denied(both.balance("acme/a")) == NOT_PERMITTED
    root = family.caller(accounts=["acme"])
    assert (await root.balance("acme/b")).available == "1000000"


@pytest.mark.parametrize("form", [plain, compact])
async def test_usage_is_refused_event_by_event(family: Proven, form: Any) -> None:
    caller = family.caller(accounts=["acme/a"])
    names = ["acme/a", "acme/b", "acme/a/x", "nobody", "other", "acme"]
    batch = form(*[event(f"{form.__name__}-{name}", name) for name in names], park_unknown=True)
    reply = await caller.usage.Ingest(batch)
    if form is plain:
        refused = "NOT_PERMITTED"
        assert outcome_names(reply) == ["APPLIED", refused, "APPLIED", refused, refused, refused]
    operator = family.caller(tenant="*")
    assert (await operator.balance("acme/b")).available == "1000000"
    assert (await operator.balance("other")).available == "1000000"
    assert int((await operator.balance("acme/a")).available) < 1_000_000
    await operator.account("nobody")  # nothing was parked for it
    assert not (await operator.usage.Ingest(plain(event("after", "nobody")))).results[0].replayed


async def test_a_linked_group_with_a_stranger_is_not_recorded(family: Proven) -> None:
    caller = family.caller(accounts=["acme/a"])
    batch = plain(event("l-1", "acme/a"), event("l-2", "acme/b"))
    batch.linked.add(first=0, count=2)
    assert outcome_names(await caller.usage.Ingest(batch)) == ["LINKED_FAILED", "NOT_PERMITTED"]


async def test_an_alias_of_an_account_outside_is_outside(family: Proven) -> None:
    operator, caller = family.caller(tenant="*"), family.caller(accounts=["acme/a"])
    for alias, account in (("in", "acme/a/x"), ("out", "acme/b")):
        await operator.accounts.AssignAlias(
            account_pb2.AssignAliasRequest(
                tenant="default", request_id=alias, alias=alias, account=account
            )
        )
    assert (await caller.check("in")).decision == decision_pb2.DECISION_ALLOW
    assert await denied(caller.check("out")) == NOT_PERMITTED
    reply = await caller.usage.Ingest(plain(event("1", "in"), event("2", "out")))
    assert outcome_names(reply) == ["APPLIED", "NOT_PERMITTED"]
    named = family.caller(accounts=["out"])  # a token names accounts by their own ids alone
    assert await denied(named.check("acme/b")) == NOT_PERMITTED
    steals = account_pb2.AssignAliasRequest(
        tenant="default", request_id="steal", alias="mine", account="acme/b"
    )
    assert await denied(caller.accounts.AssignAlias(steals)) == NOT_PERMITTED


async def test_a_move_takes_its_rights_along(family: Proven) -> None:
    """acme/a/x goes below acme/b: whoever has acme/a loses it, whoever has acme/b gains it."""
    operator = family.caller(tenant="*")
    of_a, of_b = family.caller(accounts=["acme/a"]), family.caller(accounts=["acme/b"])
    await of_a.balance("acme/a/x")
    assert await denied(of_b.balance("acme/a/x")) == NOT_PERMITTED
    moved = account_pb2.MoveRequest(
        tenant="default",
        request_id="move",
        account="acme/a/x",
        parent="acme/b",
        expected_version=1,
    )
    assert await denied(of_a.accounts.Move(moved)) == NOT_PERMITTED  # not into what it lacks
    await operator.accounts.Move(moved)
    assert await denied(of_a.balance("acme/a/x")) == NOT_PERMITTED
    assert outcome_names(await of_a.usage.Ingest(plain(event("m-1", "acme/a/x")))) == [
        "NOT_PERMITTED"
    ]
    await of_b.balance("acme/a/x")
    assert outcome_names(await of_b.usage.Ingest(plain(event("m-2", "acme/a/x")))) == ["APPLIED"]


async def test_a_stream_ends_for_whoever_loses_the_account(family: Proven) -> None:
    """Whoever watches is asked again with each message: nothing is shown after the move."""
    operator, of_a = family.caller(tenant="*"), family.caller(accounts=["acme/a"])
    watched = of_a.balances.Watch(balance_pb2.WatchRequest(tenant="default", accounts=["acme/a/x"]))
    assert (await watched.read()).snapshot
    moved = account_pb2.MoveRequest(
        tenant="default",
        request_id="move",
        account="acme/a/x",
        parent="acme/b",
        expected_version=1,
    )
    await operator.accounts.Move(moved)
    await operator.grant("acme/a/x", 5)
    assert await denied(watched.read()) == NOT_PERMITTED


async def test_accounts_are_opened_below_what_is_covered(family: Proven) -> None:
    caller = family.caller(accounts=["acme/a"])
    await caller.account("acme/a/new", parent="acme/a/x")
    assert outcome_names(await caller.usage.Ingest(plain(event("n", "acme/a/new")))) == ["APPLIED"]
    assert await denied(caller.account("elsewhere", parent="acme")) == NOT_PERMITTED
    assert (await denied(caller.account("a-root")))[1] == "WHOLE_TENANT_NEEDED"


async def test_what_is_named_by_its_own_id_is_its_accounts(family: Proven) -> None:
    operator, caller = family.caller(tenant="*"), family.caller(accounts=["acme/a"])
    ours, theirs = await operator.authorize("acme/a"), await operator.authorize("acme/b")

    def capture(hold_id: str, request_id: str) -> Any:
        return caller.decisions.Capture(
            decision_pb2.CaptureRequest(
                tenant="default",
                request_id=request_id,
                hold_id=hold_id,
                quantities={"input_tokens": 1, "output_tokens": 1},
            )
        )

    assert await denied(capture(theirs.hold_id, "c-1")) == NOT_PERMITTED
    await capture(ours.hold_id, "c-2")
    grant = (await operator.grant("acme/b", 5)).grant.grant_id
    void = grant_pb2.GrantServiceVoidRequest(tenant="default", request_id="v", grant_id=grant)
    assert await denied(caller.grants.Void(void)) == NOT_PERMITTED


async def test_what_is_found_in_the_family_by_other_names_is_its_accounts(family: Proven) -> None:
    """Source and id, a request id, an entry: they are the family's, and may be a sibling's."""
    operator, caller = family.caller(tenant="*"), family.caller(accounts=["acme/a"])
    await operator.ingest(event("secret", "acme/b"), event("own", "acme/a"))
    await operator.grants.Issue(
        grant_pb2.GrantServiceIssueRequest(
            tenant="default",
            request_id="issued",
            account="acme/b",
            asset="credit",
            amount=7,
            kind=1,
        )
    )

    def usage(name: str) -> dict[str, Any]:
        return {"tenant": "default", "account": "acme/a", "source": "gateway", "id": name}

    get = usage_pb2.UsageServiceGetRequest
    assert (await caller.usage.Get(get(**usage("own")))).entry.id == "own"
    assert await denied(caller.usage.Get(get(**usage("secret")))) == NOT_PERMITTED
    explain = explain_pb2.ExplainRequest(**usage("secret"))
    assert await denied(caller.explaining.Explain(explain)) == NOT_PERMITTED
    difference = explain_pb2.ExplainDifferenceRequest(
        tenant="default",
        one=explain_pb2.ExplainRequest(**usage("own")),
        other=explain_pb2.ExplainRequest(**usage("secret")),
    )
    assert await denied(caller.explaining.ExplainDifference(difference)) == NOT_PERMITTED

    def outcome(**key: Any) -> Any:
        return caller.journal.GetOutcome(
            journal_pb2.GetOutcomeRequest(tenant="default", account="acme/a", **key)
        )

    named = journal_pb2.UsageKey(source="gateway", id="secret")
    assert await denied(outcome(usage=named)) == NOT_PERMITTED
    assert await denied(outcome(request_id="issued")) == NOT_PERMITTED
    assert await denied(outcome(request_id="never", abandon=True)) == NOT_PERMITTED
    found = await outcome(request_id="never")
    assert found.state == journal_pb2.OUTCOME_STATE_NOT_FOUND

    request = correction_pb2.ReverseUsageRequest(tenant="default")
    for name in ("own", "secret"):
        reversal = request.reversals.add(request_id=f"r-{name}", account="acme/a")
        reversal.event.source, reversal.event.id = "gateway", name
        reversal.reason = "wrong"
    reply = await caller.corrections.ReverseUsage(request)
    assert [each.reason for each in reply.results] == ["", "NOT_PERMITTED"]


async def test_who_caused_an_entry_stands_beside_it(family: Proven) -> None:
    caller = family.caller(sub="alice")
    await caller.grant("acme/a", 5)
    entry = await family.ledger.resolve(1, "acme/a")
    assert entry is not None
    rows = [row async for row in family.ledger.storage.journal(entry.shard).read(0)]
    actors = [actor for row in rows for actor in actors_of(decode_private(row.private)).values()]
    assert actors[-1] == "token:alice"
    assert "token:operator" in actors
    found = await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(
            tenant="default", account="acme/a", request_id=caller_request(caller)
        )
    )
    assert found.actor == "token:alice"


def caller_request(caller: Any) -> str:
    """The last request id that this caller made up."""
    return f"request-{next(caller.numbers) - 1}"


# -- several servers -------------------------------------------------------------------------------


@pytest.fixture
async def two(tmp_path: Path, database: str) -> AsyncIterator[list[Proven]]:
    """Two servers of one database, which ask callers and know each other's seal."""
    key, found = new_key(), []
    async with AsyncExitStack() as stack:
        for number in range(2):
            storage = await PostgresStorage.open(database, 4)
            stack.push_async_callback(storage.close)
            clock = SystemClock()
            seal = PrincipalSeal(PostgresKeyStore(storage.pool), clock)
            await seal.learn()
            path = tmp_path / "keys.json"
            served = await stack.enter_async_context(
                member(
                    storage,
                    f"server-{number}",
                    authenticator=await authenticator_of(path, key, clock, seal),
                    seal=seal,
                )
            )
            channel: Any = served.channel
            address = str(served.server.forwarder.process)
            found.append(
                Proven(served.server, served.ledger, address, channel, key, new_mandate_keys())
            )
        await until(lambda: all(len(each.ledger.owned) == 2 for each in found))
        await until(lambda: all(is_open(each) for each in found))  # type: ignore[arg-type]
        yield found


async def test_a_new_secret_of_servers_is_learned_as_they_talk(
    two: list[Proven], database: str
) -> None:
    """One server seals with it before the other has heard of it."""
    await opened(two[0].caller(tenant="*"))
    async with asyncpg.create_pool(database) as pool:
        store = PostgresKeyStore(pool)
        for sealing in two:
            await store.add_server_key("test", BEFORE_US)
            seal = sealing.server.forwarder._seal
            assert seal is not None
            await seal.learn()
            for server in two:
                assert (await server.caller().balance("acme/a/x")).available == "1000000"


async def test_rights_go_with_what_a_server_passes_on(two: list[Proven]) -> None:
    """Asked at both servers, one of which has the family: the answer is the same."""
    await opened(two[0].caller(tenant="*"))
    for number, server in enumerate(two):
        caller = server.caller(accounts=["acme/a", "other"])
        assert (await caller.balance("acme/a/x")).available == "1000000"
        assert await denied(caller.balance("acme/b")) == NOT_PERMITTED
        assert await denied(caller.balance("acme")) == NOT_PERMITTED
        names = ["acme/a/x", "acme/b", "other", "acme"]
        batch = plain(*[event(f"{number}-{name}", name, 0, 1) for name in names])
        for each in batch.events:
            del each.quantities["input_tokens"]
        reply = await caller.usage.Ingest(batch)
        assert outcome_names(reply) == ["APPLIED", "NOT_PERMITTED", "APPLIED", "NOT_PERMITTED"]
        many = decision_pb2.CheckManyRequest(
            tenant="default", accounts=["acme/a", "acme/b", "other"]
        )
        many.work.add(product="chat", quantities={"output_tokens": 1})
        checked = await caller.decisions.CheckMany(many)
        assert [each.reason for each in checked.accounts] == ["", "NOT_PERMITTED", ""]
        request = correction_pb2.ReverseUsageRequest(tenant="default")
        for name in ("acme/a/x", "other"):
            reversal = request.reversals.add(request_id=f"r-{number}-{name}", account=name)
            reversal.event.source, reversal.event.id = "gateway", f"{number}-{name}"
            reversal.reason = "wrong"
        reversed_ = await caller.corrections.ReverseUsage(request)
        assert [each.reason for each in reversed_.results] == ["", ""]
        for metadata in (
            (("drawdown-forwarded-by", "server-9"),),
            (("drawdown-forwarded-by", "server-9"), (METADATA, b"forged")),
            ((METADATA, seal_of(bytes(32), SystemClock()).seal(server_principal("x"), "y")),),
        ):
            stub: Any = peer_pb2_grpc.PeerServiceStub(caller.channel)
            found = await refusal_of(stub.Settle(peer_pb2.SettleRequest(), metadata=metadata))
            assert (found.code, found.reason) == (
                grpc.StatusCode.UNAUTHENTICATED,
                "SERVER_UNPROVEN",
            )
        operator = server.caller(tenant="*")
        await operator.accounts.Create(
            account_pb2.AccountServiceCreateRequest(
                tenant="default", request_id=f"e-{number}", account=f"person-{number}"
            )
        )
        await operator.accounts.Erase(
            account_pb2.AccountServiceEraseRequest(
                tenant="default", request_id=f"x-{number}", account=f"person-{number}"
            )
        )  # which asks every server to forget first


async def test_rights_go_with_what_a_stream_passes_on(two: list[Proven]) -> None:
    """One stream at each server, for accounts of both: what the caller covers is decided, now and
    for as long as the stream goes on."""
    operator = two[0].caller(tenant="*")
    await opened(operator)
    for number, server in enumerate(two):
        caller = server.caller(accounts=["acme/a", "other"])
        stream = caller.decisions.DecideStream()
        for turn in range(2):
            names = ["acme/a/x", "acme/b", "other", "acme"]
            items = [
                decision_pb2.DecideItem(
                    number=place,
                    debit=decision_pb2.DebitRequest(
                        tenant="default",
                        request_id=f"{number}-{turn}-{place}",
                        account=name,
                        product="chat",
                        quantities={"output_tokens": 1},
                    ),
                )
                for place, name in enumerate(names)
            ]
            await stream.write(decision_pb2.DecideStreamRequest(items=items))
            found: dict[int, decision_pb2.DecideReply] = {}
            while len(found) < len(names):
                found |= {each.number: each for each in (await stream.read()).replies}
            assert [found[place].error.reason for place in range(4)] == ["", "NOT_PERMITTED"] * 2
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
    assert 2 * PASSAGE_S * 1_000_000 < LIFETIME_US  # of the seal, which each message shows


async def test_what_another_server_was_to_look_at_is_not_written_here(family: Proven) -> None:
    """A shard that became ours between the look and the writing: it is to be sent again."""
    edge, spreader = family.server.edge, family.server.parking._spreader
    batch = plain(event("moved-here", "acme/b"))
    known = edge.ledger, edge.shapes, edge.seats, edge.meters
    parsed = await parse_plain(*known, 1, batch)
    [shard] = [number for number, lane in enumerate(parsed.lanes) if lane.commands]
    before, outcomes = family.entries, Outcomes(1, edge.assets)
    await spreader.submit(batch, parsed, outcomes, NoCall(), only_elsewhere=frozenset({shard}))
    [result] = outcomes.response(False).results
    assert (result.outcome, result.reason) == (usage_pb2.INGEST_OUTCOME_RETRY, "NOT_OWNER")
    assert family.entries == before


# -- for others than gRPC, and the SDK -------------------------------------------------------------


async def test_one_function_says_who_and_one_says_whether(family: Proven) -> None:
    gate = family.server.gate
    assert isinstance(gate, Gate)
    header = {"authorization": f"Bearer {family.token(accounts=['acme/a'], scope='decide')}"}
    principal = await gate.authenticate(header)
    await gate.permit(principal, Scope.DECIDE, "default", "acme/a/x")
    for scope, tenant, account, reason in (
        (Scope.INGEST, "default", "acme/a/x", Denied.SCOPE_MISSING),
        (Scope.DECIDE, "sandbox", "acme/a/x", Denied.TENANT_NOT_PERMITTED),
        (Scope.DECIDE, "default", "acme/b", Denied.NOT_PERMITTED),
        (Scope.DECIDE, "default", "", Denied.WHOLE_TENANT_NEEDED),
    ):
        with pytest.raises(AuthRefused) as refused:
            await gate.permit(principal, scope, tenant, account)
        assert refused.value.reason == reason
        assert refused.value.http_status == 403


async def test_the_client_bears_a_token_and_asks_for_a_new_one(family: Proven) -> None:
    asked = 0

    def fresh() -> str:
        nonlocal asked
        asked += 1
        return family.token(accounts=["acme/a"])

    async with DrawdownClient(family.address, token=fresh, source="api") as client:
        [done] = await client.ingest([sdk_event("sdk-1", "acme/a/x")])
        assert done.outcome.name == "APPLIED"
        [done] = await client.ingest([sdk_event("sdk-2", "acme/b")])
        assert done.reason == "NOT_PERMITTED"
        with pytest.raises(ClientRefused, match="NOT_PERMITTED"):
            await client.balance("other")
    assert asked >= 4
    with pytest.raises(ClientRefused, match="TOKEN_REQUIRED"):
        async with DrawdownClient(family.address):
            pass


def sdk_event(name: str, account: str) -> Any:
    from ledger.client import UsageEvent

    return UsageEvent(name, account, {"input_tokens": 1, "output_tokens": 1}, product="chat")


async def test_a_report_of_a_lease_does_not_say_which_accounts_there_are(family: Proven) -> None:
    """Usage of an account outside is refused as that of one that is nowhere."""
    caller = family.caller(tenant="default", accounts=["acme/a"])
    made = await caller.leases.Acquire(
        lease_pb2.LeaseServiceAcquireRequest(
            tenant="default",
            request_id="lease",
            account="acme/a",
            product="chat",
            holder="h",
            wanted=10_000,
            term_us=60_000_000,
        )
    )
    names = ["", "other", "acme/b", "nobody"]
    reply = await caller.leases.ReportUsage(
        lease_pb2.ReportUsageRequest(
            tenant="default",
            lease_id=made.lease_id,
            source="s",
            events=[
                usage_pb2.UsageEvent(
                    id=f"{name}/{quote}",
                    account=name,
                    quote_id=quote,
                    quantities={"input_tokens": 1},
                )
                for quote in ("", "q")
                for name in (names if not quote else names[1:])
            ],
        )
    )
    found = [
        (each.reason, each.field, each.message.partition(" (value")[0]) for each in reply.results
    ]
    assert found[0] == ("", "", "") and found[1][0] == "LEASE_OTHER_WORK"
    assert len(found) == 7
    assert set(found[1:]) == {found[1]}
