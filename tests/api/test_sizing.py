"""Right-sized holds over gRPC, on PostgreSQL: learned, recorded, and how they turned out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.sizing import learned
from ledger.sizing.learned import Learned
from ledger.sizing.learning import Learner
from ledger.v1 import account_pb2, decision_pb2, journal_pb2
from ledger.v1 import sizing_pb2 as pb
from ledger.verify import verify
from tests.api.cluster import cluster
from tests.api.served import Served, event, refusal_of
from tests.api.served import served as serve
from tests.patience import HANGS_S
from tests.projections.projecting import project

SHARDS = 4
LEARNED, AS_ASKED = decision_pb2.SIZING_LEARNED, decision_pb2.SIZING_AS_ASKED
OF_ACCOUNT = decision_pb2.LEARNED_OF_ACCOUNT
OF_ATTRIBUTES = decision_pb2.LEARNED_OF_ATTRIBUTES
OF_PRODUCT = decision_pb2.LEARNED_OF_PRODUCT


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine reads what was learned for longer than a question waits for it."""
    monkeypatch.setattr(learned, "WAIT_S", HANGS_S)


def rule(**changes: Any) -> pb.SizingRule:
    fields: dict[str, Any] = {
        "product": "chat",
        "quantities": ["output_tokens"],
        "attributes": ["model"],
        "permille": 900,
        "observations_min": 10,
        **changes,
    }
    return pb.SizingRule(**fields)


async def publish(caller: Served, *rules: pb.SizingRule, **changes: Any) -> pb.PublishRulesResponse:
    request = pb.PublishRulesRequest(
        tenant=caller.tenant,
        request_id=caller.new_id(),
        rules=pb.SizingRules(rules=rules),
        **changes,
    )
    return await caller.sizing.PublishRules(request)


async def catch_up(dsn: str) -> int:
    """Read models to the tail, and all of them learned."""
    await project(dsn)
    learner = Learner(dsn, SHARDS)
    seen = 0
    try:
        while (step := await learner.step()) >= 0:
            seen += step
    finally:
        learner.close()
    return seen


def forget(*callers: Served) -> None:
    """The next look at what was learned is a new one: as after the seconds that it is kept for."""
    for caller in callers:
        edge = caller.server.edge
        edge.learned = Learned(edge.learned._pool)


async def used(caller: Served, account: str, quantities: range, model: str = "") -> None:
    attributes = {"model": model} if model else {}
    events = [
        event(caller.new_id("event"), account, 1, each, attributes=attributes)
        for each in quantities
    ]
    await caller.ingest(*events)


async def ask(caller: Served, account: str, most: int = 1_000, **changes: Any) -> Any:
    fields = {"quantities": {"input_tokens": 10, "output_tokens": most}, **changes}
    return await caller.authorize(account, **fields)


async def capture(
    caller: Served, hold_id: str, output_tokens: int, **changes: Any
) -> decision_pb2.CaptureResponse:
    return await caller.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=caller.tenant,
            request_id=caller.new_id(),
            hold_id=hold_id,
            quantities={"input_tokens": 10, "output_tokens": output_tokens},
            **changes,
        )
    )


def size(answer: Any) -> tuple[int, int, int, int]:
    """(asked, decided for, whose usage, observations) of the only quantity that is learned."""
    [found] = answer.sized
    return found.asked, found.sized, found.learned_of, found.observations


@pytest.fixture
async def stored(database: str) -> AsyncIterator[Served]:
    """A server on PostgreSQL with read models; acme and other have credits."""
    storage = await PostgresStorage.open(database, SHARDS)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            await caller.priced()
            for name in ("acme", "other"):
                await caller.account(name)
                await caller.grant(name, 10_000_000)
            yield caller
    finally:
        await storage.close()


async def test_a_hold_is_for_what_usage_has_shown(stored: Served, database: str) -> None:
    """Of 1 to 100, 90 in 100 are at most 90: so much is held, and a capture of more is charged."""
    assert not (await ask(stored, "acme")).sized, "there is no rule"
    await publish(stored, rule())
    first = await ask(stored, "acme", attributes={"model": "large"})
    assert size(first) == (1_000, 1_000, 0, 0)
    assert first.amount == 10 * 3 + 1_000 * 15

    await used(stored, "acme", range(1, 101), "large")
    await used(stored, "acme", range(201, 211), "small")
    assert await catch_up(database) == 110
    forget(stored)
    held = await ask(stored, "acme", attributes={"model": "large"})
    assert size(held) == (1_000, 90, OF_ACCOUNT, 100)
    assert held.sized[0].value == 90 and held.sized[0].permille == 900
    assert held.amount == 10 * 3 + 90 * 15
    advice = await stored.check(
        "acme",
        quantities={"input_tokens": 10, "output_tokens": 1_000},
        attributes={"model": "large"},
    )
    assert size(advice) == size(held) and advice.charge == held.amount
    small = await ask(stored, "acme", attributes={"model": "small"})
    assert size(small) == (1_000, 209, OF_ACCOUNT, 10)

    # Another account has used nothing of the kind yet: all of the tenant's with that model say it.
    other = await ask(stored, "other", attributes={"model": "large"})
    assert size(other) == (1_000, 90, OF_ATTRIBUTES, 100)
    novel = await ask(stored, "other", attributes={"model": "novel"})
    assert size(novel) == (1_000, 99, OF_PRODUCT, 110)  # 99 of 110 are at most 99

    # What was used beyond the hold is drawn as new usage (rule H1).
    above = await capture(stored, held.hold_id, 400)
    assert above.charge == 10 * 3 + 400 * 15 and above.released == 0
    # The caller's quantity stays the most.
    assert size(await ask(stored, "acme", 40, attributes={"model": "large"}))[:2] == (40, 40)
    report = await verify(database)
    assert report.ok, report.findings


async def test_many_are_sized_as_each_is(stored: Served, database: str) -> None:
    """Of each account and piece of work what Check says of it: by whose usage, how much, at what
    charge; an account by its alias, work as it is asked for, and a range of it."""
    await publish(stored, rule(), rule(account="other", permille=500))
    await used(stored, "acme", range(1, 101), "large")
    await catch_up(database)
    forget(stored)
    await stored.accounts.AssignAlias(
        account_pb2.AssignAliasRequest(
            tenant=stored.tenant, request_id=stored.new_id(), account="acme", alias="key-1"
        )
    )
    await stored.account("poor")
    await stored.grant("poor", 10 * 3 + 90 * 15)
    tokens = {"input_tokens": 10, "output_tokens": 1_000}
    up_to = decision_pb2.UpTo(quantity="output_tokens", minimum=95)
    pieces = [
        decision_pb2.WorkToCheck(product="chat", quantities=tokens, attributes={"model": model})
        for model in ("large", "novel")
    ]
    for each in ({"sizing": AS_ASKED}, {"up_to": up_to}, {"up_to": up_to, "sizing": LEARNED}):
        work = decision_pb2.WorkToCheck(**each)
        work.MergeFrom(pieces[0])
        pieces.append(work)
    pieces.append(decision_pb2.WorkToCheck(product="video", quantities=tokens, sizing=LEARNED))
    names = ["acme", "other", "key-1", "poor", "nobody"]
    many = await stored.decisions.CheckMany(
        decision_pb2.CheckManyRequest(tenant=stored.tenant, accounts=names, work=pieces)
    )
    for a, name in enumerate(names[:4]):
        for w, work in enumerate(pieces):
            single = await stored.decisions.Check(
                decision_pb2.CheckRequest(
                    tenant=stored.tenant,
                    account=name,
                    product=work.product,
                    attributes=work.attributes,
                    quantities=work.quantities,
                    up_to=work.up_to if work.HasField("up_to") else None,
                    sizing=work.sizing,
                )
            )
            place = a * len(pieces) + w
            said = (
                many.decisions[place], many.charges[place],
                many.size_names[many.sizes[place]].sized, many.allowed_quantities[place],
                many.reason_names[many.reasons[place]],
            )  # fmt: skip
            assert said == (
                single.decision, single.charge, single.sized, single.allowed_quantity, single.reason
            ), (name, place)  # fmt: skip
    large = [many.size_names[many.sizes[a * len(pieces)]] for a in range(4)]
    assert [size(each)[1:3] for each in large] == [
        (90, OF_ACCOUNT), (50, OF_ATTRIBUTES), (90, OF_ACCOUNT), (90, OF_ATTRIBUTES)
    ]  # fmt: skip
    assert many.decisions[3 * len(pieces)] == decision_pb2.DECISION_ALLOW
    assert many.decisions[3 * len(pieces) + 2] == decision_pb2.DECISION_DENY, "as it was asked"
    ranged = many.size_names[many.sizes[4]]
    assert (size(ranged)[1], many.allowed_quantities[4]) == (95, 95)
    assert set(many.sizes[4 * len(pieces) :]) == {0}

    refused = await refusal_of(
        stored.decisions.CheckMany(
            decision_pb2.CheckManyRequest(
                tenant=stored.tenant,
                accounts=["acme"],
                work=[decision_pb2.WorkToCheck(product="chat", quantities=tokens, sizing=77)],
            )
        )
    )
    assert refused.violations[0][0] == "work[0].sizing"


async def test_many_questions_begin_so_many_readings(
    stored: Served, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not read yet is as asked, and later as it was learned."""
    monkeypatch.setattr(learned, "WAITING_MAX", 3)
    await publish(stored, rule())
    await used(stored, "acme", range(1, 101), "large")
    await catch_up(database)
    forget(stored)
    tokens = {"output_tokens": 1_000}
    request = decision_pb2.CheckManyRequest(
        tenant=stored.tenant,
        accounts=["acme"],
        work=[
            decision_pb2.WorkToCheck(product="chat", quantities=tokens, attributes={"model": each})
            for each in ("a", "b", "c", "d", "e")
        ],
    )
    for known in (3, 5):
        many = await stored.decisions.CheckMany(request)
        assert list(many.charges) == [90 * 15 if place < known else 15_000 for place in range(5)]


async def test_a_retry_is_told_what_the_first_call_was(stored: Served, database: str) -> None:
    await publish(stored, rule())
    request_id = stored.new_id()
    first = await ask(stored, "acme", request_id=request_id)
    await used(stored, "acme", range(1, 101))
    await catch_up(database)
    forget(stored)
    again = await ask(stored, "acme", request_id=request_id)
    assert again.replayed and again.hold_id == first.hold_id
    assert size(again) == size(first) == (1_000, 1_000, 0, 0)
    refused = await refusal_of(ask(stored, "acme", 999, request_id=request_id))
    assert (refused.reason, refused.metadata["field"]) == ("CONFLICT", "quantities")
    refused = await refusal_of(ask(stored, "acme", request_id=request_id, sizing=LEARNED))
    assert (refused.reason, refused.metadata["field"]) == ("CONFLICT", "sizing")
    outcome = await stored.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=stored.tenant, account="acme", request_id=request_id)
    )
    assert size(outcome.authorize) == size(first)


async def test_rules_and_calls_say_where_it_is_learned(stored: Served, database: str) -> None:
    """On request alone, floors and ceilings, an account of its own, and what is said as it is."""
    await used(stored, "acme", range(1, 101))
    await publish(stored, rule(on_request=True, attributes=[]))
    await catch_up(database)
    assert not (await ask(stored, "acme")).sized
    assert size(await ask(stored, "acme", sizing=LEARNED))[1:3] == (90, OF_ACCOUNT)
    assert size(await ask(stored, "other", sizing=LEARNED))[1:3] == (90, OF_PRODUCT)

    await publish(stored, rule(attributes=[], floor=95), rule(account="other", ceiling=30))
    await catch_up(database)
    assert size(await ask(stored, "acme"))[1] == 95
    assert size(await ask(stored, "other"))[1] == 30
    assert not (await ask(stored, "acme", sizing=AS_ASKED)).sized
    # What may be less is not learned by itself: its answer says how much may run.
    up_to = decision_pb2.UpTo(quantity="output_tokens", minimum=50)
    ranged = await ask(stored, "other", up_to=up_to)
    assert not ranged.sized and ranged.allowed_quantity == 1_000
    # Where it is to be, the least stays within reach, and the size is the most of the range.
    ranged = await ask(stored, "other", up_to=up_to, sizing=LEARNED)
    assert size(ranged)[1] == 50 and ranged.allowed_quantity == 50

    await publish(stored)  # no rules: as asked
    assert not (await ask(stored, "acme")).sized
    told = await ask(stored, "acme", sizing=LEARNED)
    assert not told.sized and told.amount == 10 * 3 + 1_000 * 15
    listed = await stored.sizing.ListRules(pb.ListRulesRequest(tenant=stored.tenant))
    assert [len(each.rules) for each in listed.versions] == [0, 2, 1]
    refused = await refusal_of(ask(stored, "acme", sizing=LEARNED, quote_id="q"))
    assert (refused.reason, refused.violations) == (
        "FIELD_NOT_ALLOWED",
        [("sizing", "FIELD_NOT_ALLOWED")],
    )
    refused = await refusal_of(ask(stored, "acme", sizing=77))
    assert refused.violations[0][0] == "sizing"


async def test_one_tenants_usage_never_sizes_anothers_hold(stored: Served, database: str) -> None:
    """Same product, same model, same names of accounts: nothing is seen across."""
    await publish(stored, rule())
    await used(stored, "acme", range(1, 101))
    stored.tenant = "sandbox"
    await stored.priced()
    await stored.account("acme")
    await stored.grant("acme", 10_000_000)
    await publish(stored, rule())
    await catch_up(database)
    forget(stored)
    assert size(await ask(stored, "acme")) == (1_000, 1_000, 0, 0)
    stored.tenant = "default"
    assert size(await ask(stored, "acme")) == (1_000, 90, OF_ACCOUNT, 100)


async def test_captures_of_one_hold_are_one_piece_of_work(stored: Served, database: str) -> None:
    """Parts are added up as the hold ends; a late one counts; what is released was no work."""
    await publish(stored, rule(attributes=[]))
    for _ in range(12):
        held = await ask(stored, "acme")
        await capture(stored, held.hold_id, 20, keep_open=True)
        await capture(stored, held.hold_id, 30, keep_open=True)
        await capture(stored, held.hold_id, 50)
    open_still = await ask(stored, "acme")
    await capture(stored, open_still.hold_id, 7, keep_open=True)
    released = await ask(stored, "acme")
    await stored.decisions.Release(
        decision_pb2.ReleaseRequest(
            tenant=stored.tenant, request_id=stored.new_id(), hold_id=released.hold_id
        )
    )
    assert await catch_up(database) == 12
    forget(stored)
    assert size(await ask(stored, "acme")) == (1_000, 100, OF_ACCOUNT, 12)


async def test_how_sized_holds_turned_out(stored: Served, database: str) -> None:
    """Ten of 100 learned at 90: nine use 50, one uses 300 of 1,000 that were asked for."""
    await publish(stored, rule(attributes=[]))
    await used(stored, "acme", range(1, 101))
    await catch_up(database)
    for number in range(10):
        held = await ask(stored, "acme")
        await capture(stored, held.hold_id, 300 if number == 4 else 50)
    await ask(stored, "acme")  # not captured: not counted
    await catch_up(database)
    found = await stored.sizing.GetAccuracy(pb.GetAccuracyRequest(tenant=stored.tenant))
    [row] = found.rows
    assert (row.product, row.quantity, row.learned_of, row.permille) == (
        "chat",
        "output_tokens",
        OF_ACCOUNT,
        900,
    )
    assert (row.holds, row.within_value, row.above_hold) == (10, 9, 1)
    assert (row.asked, row.held, row.used, row.above) == ("10000", "900", "750", "210")
    none = await stored.sizing.GetAccuracy(
        pb.GetAccuracyRequest(tenant=stored.tenant, account="other")
    )
    assert not none.rows and none.position
    none = await stored.sizing.GetAccuracy(
        pb.GetAccuracyRequest(tenant=stored.tenant, product="image")
    )
    assert not none.rows
    none = await stored.sizing.GetAccuracy(pb.GetAccuracyRequest(tenant=stored.tenant, to_us=1))
    assert not none.rows


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([rule(product="")], "rules.rules[0].product"),
        ([rule(quantities=[])], "rules.rules[0].quantities"),
        ([rule(quantities=["a", "a"])], "rules.rules[0].quantities[1]"),
        ([rule(attributes=list("abcde"))], "rules.rules[0].attributes"),
        ([rule(permille=1_000)], "rules.rules[0].permille"),
        ([rule(observations_min=9)], "rules.rules[0].observations_min"),
        ([rule(floor=-1)], "rules.rules[0].floor"),
        ([rule(floor=9, ceiling=8)], "rules.rules[0].ceiling"),
        ([rule(), rule(permille=500)], "rules.rules[1].product"),
    ],
)
async def test_faults_of_rules_have_places(
    served: Served, rules: list[pb.SizingRule], field: str
) -> None:
    refused = await refusal_of(publish(served, *rules))
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SIZING_INVALID")
    assert field in [each for each, _ in refused.violations]


async def test_rules_are_published_once_and_read_models_may_be_absent(served: Served) -> None:
    """Without PostgreSQL nothing is learned: holds are for what is asked, and say so."""
    await served.priced()
    await served.account("acme")
    await served.grant("acme", 1_000_000)
    made = await publish(served, rule())
    again = await publish(served, rule())
    assert again.replayed and again.rules.version == made.rules.version
    refused = await refusal_of(publish(served, rule(permille=800), expected_version=1))
    assert refused.reason == "VERSION_DIFFERS"
    assert size(await ask(served, "acme")) == (1_000, 1_000, 0, 0)
    refused = await refusal_of(
        served.sizing.GetAccuracy(pb.GetAccuracyRequest(tenant=served.tenant))
    )
    assert refused.reason == "READ_MODELS_ABSENT"


async def test_two_servers_learn_of_all_shards_and_size_what_the_other_has(database: str) -> None:
    """Accounts of both servers are asked through one of them: sketches of all shards are merged."""
    storages = [await PostgresStorage.open(database, SHARDS) for _ in range(2)]
    async with cluster(list(storages), history=History(storages[0].pool)) as servers:
        near, far = servers
        await near.priced()
        await publish(near, rule(attributes=[]))
        accounts = [f"team-{number}" for number in range(8)]
        for place, account in enumerate(accounts):
            await near.account(account)
            await near.grant(account, 1_000_000)
            await used(near, account, range(place + 1, 81, 8))
        await catch_up(database)
        forget(near, far)
        await near.account("new")
        await near.grant("new", 1_000_000)
        for caller in (near, far):
            many = await caller.decisions.CheckMany(
                decision_pb2.CheckManyRequest(
                    tenant=caller.tenant,
                    accounts=[*accounts, "new"],
                    work=[
                        decision_pb2.WorkToCheck(product="chat", quantities={"output_tokens": each})
                        for each in (1_000, 10)
                    ],
                )
            )
            sizes = [65, 66, 67, 68, 69, 70, 71, 72, 72]
            assert list(many.charges[::2]) == [each * 15 for each in sizes]
            assert [size(many.size_names[each])[1] for each in many.sizes[::2]] == sizes
            assert size(await ask(caller, "new")) == (1_000, 72, OF_PRODUCT, 80)
            for place, account in enumerate(accounts):
                found = size(await ask(caller, account))
                assert found == (1_000, 65 + place, OF_ACCOUNT, 10)
    for storage in storages:
        await storage.close()
    report = await verify(database)
    assert report.ok, report.findings
