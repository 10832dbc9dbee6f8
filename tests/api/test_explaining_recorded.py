"""Recorded decisions explained over gRPC: from the state right before them, by a real process
beside a real server (rules I2, I5, T5)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import msgspec
import pytest

from ledger.api.explaining_recorded import Answered, Question
from ledger.client import DrawdownClient
from ledger.decision_process import AT_ONCE, DecisionProcesses
from ledger.engine import past
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import account_pb2, budget_pb2, correction_pb2, decision_pb2, decision_policy_pb2
from rating.v1 import pricing_pb2
from tests.api import served as api
from tests.api.proven import proven
from tests.api.served import TENANT, Served, refusal_of, refused
from tests.api.test_decision_policies import BRIEF, set_rules
from tests.api.test_price_change import dearer, publish
from tests.patience import HANGS_S
from tests.projections.projecting import project

SHARDS = 2
UNITS = 10**6
COST = 600  # of 100 input tokens at 3 and 20 output tokens at 15
PLAIN = {"input_tokens": 100, "output_tokens": 20}


@asynccontextmanager
async def serving(database: str) -> AsyncIterator[Served]:
    """acme shares 5 credits with dev below it, which has 100 millionths of its own."""
    storage = await PostgresStorage.open(database, SHARDS)
    try:
        explainer = DecisionProcesses(database, SHARDS)
        history = History(storage.pool)
        async with api.served(storage, history=history, explainer=explainer) as caller:
            await caller.priced()
            await caller.account("acme")
            await caller.account("dev", parent="acme")
            await caller.account("other")
            await caller.grant("other", 5 * UNITS)
            await caller.grant("acme", 5 * UNITS, shared=True)
            await caller.grant("dev", 100)
            yield caller
    finally:
        await storage.close()


@pytest.fixture
async def books(database: str) -> AsyncIterator[Served]:
    async with serving(database) as caller:
        yield caller


async def recorded(caller: Served, account: str = "dev", **which: Any) -> Any:
    request = decision_pb2.ExplainRecordedRequest(tenant=TENANT, account=account, **which)
    async with asyncio.timeout(HANGS_S):
        return await caller.decisions.ExplainRecorded(request)


async def present(caller: Served, account: str, **changes: Any) -> Any:
    fields = {**api.work(account), "tenant": TENANT, **changes}
    return await caller.decisions.ExplainDecision(decision_pb2.ExplainDecisionRequest(**fields))


def unplaced(told: Any) -> Any:
    """Without its position: plans that a decision declares stand before it in the journal."""
    assert told.decision.position
    copy = decision_pb2.ExplainDecisionResponse()
    copy.CopyFrom(told)
    copy.decision.position = ""
    return copy


async def test_it_is_told_as_it_was_though_all_has_changed_since(books: Served) -> None:
    """Word for word: another grant that would pay first, other prices and a budget came since."""
    await books.authorize("other")
    then = await present(books, "dev")
    held = await books.authorize("dev", request_id="first")
    await books.grant("dev", UNITS, priority=-5)
    await publish(books, dearer())
    budget = budget_pb2.Budget(name="none", measure=budget_pb2.BUDGET_MEASURE_REQUESTS, limit=0)
    await books.budgets.Set(
        budget_pb2.BudgetServiceSetRequest(
            tenant=TENANT, request_id=books.new_id(), account="acme", budget=budget
        )
    )
    async with asyncio.timeout(HANGS_S):
        while (now := await present(books, "dev")).charge != 2 * COST:
            await asyncio.sleep(0.01)
    assert now.decision.reason == "BUDGET_EXCEEDED"
    found = await recorded(books, request_id="first")
    assert not found.differs
    assert unplaced(found.explanation) == unplaced(then)
    assert (found.authorize.hold_id, found.authorize.amount) == (held.hold_id, COST)
    assert found.work == decision_pb2.RecordedWork(
        product="chat", attributes=api.work("dev").get("attributes", {}), quantities=PLAIN
    )
    assert found.decided_at_us == found.recorded_at_us > 0
    again = {"batch_seq": found.entry.batch_seq, "entry_seq": found.entry.entry_seq}
    for entry in (again, {"entry_seq": found.entry.entry_seq}):
        assert await recorded(books, "acme", entry=correction_pb2.EntryRef(**entry)) == found


async def test_denials_debits_and_rules_are_told(books: Served) -> None:
    """Each as it was recorded, and with what a retry is told."""
    await set_rules(
        books, "dev", decision_policy_pb2.PolicyRule(
            action=decision_pb2.POLICY_ACTION_DOWNGRADE, alternatives=[BRIEF]
        )
    )  # fmt: skip
    many = {"input_tokens": 2 * UNITS, "output_tokens": 1}
    denied = await books.authorize("other", request_id="denied", quantities=many)
    charged = await books.debit("dev", request_id="charged")
    over = await books.debit("other", request_id="over", quantities=many)
    instead = await books.authorize("dev", request_id="instead", quantities=many)
    up_to = decision_pb2.UpTo(quantity="input_tokens", minimum=1)
    part = await books.authorize("other", request_id="part", quantities=many, up_to=up_to)
    for account, name, said in (
        ("other", "denied", denied),
        ("dev", "charged", charged),
        ("other", "over", over),
        ("dev", "instead", instead),
        ("other", "part", part),
    ):
        found = await recorded(books, account, request_id=name)
        told = found.explanation.decision
        was = getattr(found, str(found.WhichOneof("recorded")))
        assert not found.differs
        assert (told.decision, told.reason) == (said.decision, said.reason) == (
            was.decision, was.reason,
        )  # fmt: skip
        assert (told.limit, told.ruling) == (said.limit, said.ruling) == (was.limit, was.ruling)
        said.replayed = True
        if isinstance(said, decision_pb2.AuthorizeResponse):
            was.hold_state = said.hold_state  # the present one is no part of the decision
            assert told.charge == said.amount
        else:
            assert told.charge == said.charge
        assert was == said
    assert denied.reason == over.reason == "INSUFFICIENT_CREDITS"
    assert instead.decision == decision_pb2.DECISION_DOWNGRADE
    assert part.decision == decision_pb2.DECISION_ALLOW_UP_TO


async def test_holds_of_operations_and_what_is_drawn_of_them(books: Served) -> None:
    run = await books.decisions.Authorize(
        decision_pb2.AuthorizeRequest(
            tenant=TENANT, request_id="run", account="dev", operation="run", operation_amount=1_000
        )
    )
    await books.authorize("dev", request_id="part", hold_id=run.hold_id)
    whole = await recorded(books, request_id="run")
    assert not whole.differs
    assert dict(whole.work.quantities) == {"reserved": 1_000}
    assert [(pot.account, pot.gives) for pot in whole.explanation.pots if pot.gives] == [
        ("dev", 100),
        ("acme", 900),
    ]
    part = await recorded(books, request_id="part")
    assert not part.differs
    assert (part.explanation.hold.left, part.explanation.hold.gives) == (1_000, COST)


async def test_a_hold_that_was_made_with_its_quote_is_told(books: Served, database: str) -> None:
    """By the request of the quote, by the hold, by either entry: it is one decision."""

    async def quoted(request_id: str, hold: bool) -> Any:
        work = api.work("dev") | {"tenant": TENANT, "request_id": request_id, "hold": hold}
        return (await books.pricing.CreateQuote(pricing_pb2.CreateQuoteRequest(**work))).quote

    then = await present(books, "dev")
    quote = await quoted("held", hold=True)
    await quoted("promised", hold=False)
    await books.grant("dev", 5 * UNITS)
    found = await recorded(books, request_id="held")
    assert not found.differs
    assert unplaced(found.explanation) == unplaced(then)
    assert (found.authorize.hold_id, found.authorize.amount) == (quote.hold_id, COST)
    assert found.authorize.decision == decision_pb2.DECISION_ALLOW
    assert dict(found.work.quantities) == PLAIN
    await project(database)
    behind = correction_pb2.EntryRef(entry_seq=found.entry.entry_seq + 1)
    for which in ({"hold_id": quote.hold_id}, {"entry": found.entry}, {"entry": behind}):
        assert await recorded(books, **which) == found, which
    promised = await refusal_of(recorded(books, request_id="promised"))
    assert promised.reason == "NOT_A_DECISION"


async def test_a_hold_says_its_decision_after_it_is_gone(books: Served, database: str) -> None:
    held = await books.authorize("dev", request_id="first")
    await books.decisions.Release(
        decision_pb2.ReleaseRequest(tenant=TENANT, request_id="back", hold_id=held.hold_id)
    )
    late = await refusal_of(recorded(books, hold_id=held.hold_id))
    assert late.reason == "READ_MODELS_BEHIND"
    await project(database)
    assert await recorded(books, hold_id=held.hold_id) == await recorded(books, request_id="first")
    other = await refusal_of(recorded(books, "acme", hold_id=held.hold_id))
    assert (other.reason, other.metadata["field"]) == ("HOLD_UNKNOWN", "hold_id")


async def test_a_checkpoint_of_before_spares_the_rest(books: Served) -> None:
    """And gives the same; one of after is no help."""
    await books.authorize("dev", request_id="first")
    whole = await recorded(books, request_id="first")
    for writer in books.ledger.writers:
        await writer.checkpoint()
    assert await recorded(books, request_id="first") == whole
    then = await present(books, "dev")
    await books.authorize("dev", request_id="second")
    short = await recorded(books, request_id="second")
    assert short.entries_read < 10 < whole.entries_read
    assert not short.differs
    assert unplaced(short.explanation) == unplaced(then)


@pytest.mark.parametrize(
    ("account", "which", "reason", "field"),
    [
        ("dev", {}, "FIELD_REQUIRED", "decision"),
        ("dev", {"request_id": "x" * 129}, "TEXT_TOO_LONG", "request_id"),
        ("dev", {"request_id": "nobody"}, "DECISION_UNKNOWN", "request_id"),
        ("other", {"request_id": "first"}, "DECISION_UNKNOWN", "request_id"),
        ("dev", {"request_id": "granted"}, "NOT_A_DECISION", "request_id"),
        ("dev", {"hold_id": "hold_x"}, "HOLD_UNKNOWN", "hold_id"),
        ("dev", {"entry": {"entry_seq": 10**9}}, "DECISION_UNKNOWN", "entry.entry_seq"),
        ("dev", {"entry": {"entry_seq": -1}}, "NUMBER_OUT_OF_RANGE", "entry.entry_seq"),
        ("nobody", {"request_id": "first"}, "ACCOUNT_UNKNOWN", "account"),
    ],
    ids=str,
)
async def test_what_cannot_be_explained_is_refused(
    books: Served, account: str, which: dict[str, Any], reason: str, field: str
) -> None:
    await books.authorize("dev", request_id="first")
    await books.grant("dev", 5, request_id="granted")
    found = await refusal_of(recorded(books, account, **which))
    assert (found.reason, found.metadata["field"]) == (reason, field)


async def test_a_server_in_memory_has_no_past(priced: Served) -> None:
    await priced.account("dev")
    assert (await refusal_of(recorded(priced, request_id="first"))).reason == "PAST_ABSENT"


async def test_too_long_a_past_is_said(books: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await books.authorize("dev", request_id="first")

    async def too_long(_: object, question: Question) -> Answered:
        return Answered(entries=past.ENTRIES_MAX + 1)

    monkeypatch.setattr(DecisionProcesses, "explain", too_long)
    found = await refusal_of(recorded(books, request_id="first"))
    assert (found.code, found.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION, "PAST_TOO_LONG",
    )  # fmt: skip


# -- whose it is -----------------------------------------------------------------------------------


async def test_nobody_is_told_of_an_account_that_their_token_does_not_cover(
    database: str, tmp_path: Path
) -> None:
    """A request of another account of the family is found by its id, and its entry by its number,
    but not told; so is a hold."""
    storage = await PostgresStorage.open(database, SHARDS)
    explainer = DecisionProcesses(database, SHARDS)
    try:
        async with proven(
            storage, tmp_path / "keys.json", history=History(storage.pool), explainer=explainer
        ) as served:
            operator = served.caller(tenant="*", sub="operator")
            await operator.priced()
            await operator.account("acme")
            for name in ("acme/a", "acme/b"):
                await operator.account(name, parent="acme")
                await operator.grant(name, UNITS)
            held = await operator.authorize("acme/b", request_id="b")
            await operator.authorize("acme/a", request_id="a")
            entry = (await recorded(operator, "acme/b", request_id="b")).entry
            inside = served.caller(accounts=["acme/a"])
            assert not (await recorded(inside, "acme/a", request_id="a")).differs
            nothing = correction_pb2.EntryRef(entry_seq=10**9)
            for there, absent, field in (
                ({"request_id": "b"}, {"request_id": "c"}, "request_id"),
                ({"entry": entry}, {"entry": nothing}, "entry.entry_seq"),
            ):
                told = [await refusal_of(recorded(inside, "acme/a", **w)) for w in (there, absent)]
                for found in told:
                    assert (found.reason, found.metadata["field"]) == ("NOT_PERMITTED", field)
                one, other = [(each.code, each.message, each.metadata.keys()) for each in told]
                assert one == other  # whether it exists is not told
            whole = served.caller(accounts=["acme"])
            found = await refusal_of(recorded(whole, "acme/a", request_id="c"))
            assert found.reason == "DECISION_UNKNOWN"
            for account, which in (
                ("acme/a", {"request_id": "b"}),
                ("acme/a", {"entry": entry}),
                ("acme/b", {"request_id": "b"}),
                ("acme/b", {"hold_id": held.hold_id}),
                ("acme/a", {"hold_id": held.hold_id}),
            ):
                found = await refusal_of(recorded(inside, account, **which))
                assert found.reason == "NOT_PERMITTED", which
            unread = served.caller(accounts=["acme/a"], scope="decide")
            found = await refusal_of(recorded(unread, "acme/a", request_id="a"))
            assert found.reason == "SCOPE_MISSING"
    finally:
        await storage.close()


async def test_who_gets_an_account_is_not_told_what_those_above_it_held_before(
    database: str, tmp_path: Path
) -> None:
    """Grants, budgets and names of its old parent are no business of its new one's tokens."""
    storage = await PostgresStorage.open(database, SHARDS)
    explainer = DecisionProcesses(database, SHARDS)
    try:
        async with proven(
            storage, tmp_path / "keys.json", history=History(storage.pool), explainer=explainer
        ) as served:
            operator = served.caller(tenant="*", sub="operator")
            await operator.priced()
            await operator.account("acme")
            for name, parent in (("east", "acme"), ("west", "acme"), ("dev", "east")):
                await operator.account(name, parent=parent)
            await operator.grant("east", UNITS, shared=True)
            await operator.authorize("dev", request_id="first")
            moved = account_pb2.MoveRequest(
                tenant=TENANT, request_id="move", account="dev", parent="west", expected_version=1
            )
            await operator.accounts.Move(moved)
            await operator.grant("west", UNITS, shared=True)
            await operator.authorize("dev", request_id="second")
            west = served.caller(accounts=["west"])
            assert (await present(west, "dev")).pots
            assert not (await recorded(west, "dev", request_id="second")).differs
            found = await refusal_of(recorded(west, "dev", request_id="first"))
            assert (found.reason, found.metadata["field"]) == ("NOT_PERMITTED", "account")
            both = served.caller(accounts=["west", "east"])
            assert not (await recorded(both, "dev", request_id="first")).differs
            assert not (await recorded(operator, "dev", request_id="first")).differs
    finally:
        await storage.close()


# -- processes -------------------------------------------------------------------------------------


@asynccontextmanager
async def journal_locked(dsn: str) -> AsyncIterator[None]:
    """Nobody reads checkpoints meanwhile: who looks back waits, and writers go on."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE ledger.checkpoint IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def lookers() -> list[int]:
    """Processes of ours that look back, by their ids."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
                command = (each / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if parent == os.getpid() and b"ledger.decision_process" in command:
                found.append(int(each.name))
    return found


async def until(condition: Callable[[], object]) -> None:
    """Processes come and go without telling us."""
    async with asyncio.timeout(HANGS_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_so_many_at_once_and_each_ends_with_its_caller(books: Served, database: str) -> None:
    """One more is told to wait; decisions go on; who goes away takes a process along."""
    await books.authorize("dev", request_id="first")
    async with journal_locked(database):
        asking = [asyncio.create_task(recorded(books, request_id="first")) for _ in range(AT_ONCE)]
        await until(lambda: len(lookers()) == AT_ONCE)
        found = await refusal_of(recorded(books, request_id="first"))
        assert (found.code, found.reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, "EXPLAINING_OTHERS",
        )  # fmt: skip
        assert found.metadata["retryable"] == "true"
        assert (await books.authorize("dev")).hold_id
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await until(lambda: not lookers())
    assert not (await recorded(books, request_id="first")).differs


async def test_a_process_that_dies_and_a_server_that_stops_are_told(
    books: Served, database: str
) -> None:
    await books.authorize("dev", request_id="first")
    async with journal_locked(database):
        asking = asyncio.create_task(refusal_of(recorded(books, request_id="first")))
        await until(lookers)
        os.kill(lookers()[0], 9)
        assert (await asking).reason == "EXPLANATION_FAILED"
        call = asyncio.create_task(recorded(books, request_id="first"))
        await until(lookers)
        assert books.server is not None
        async with asyncio.timeout(HANGS_S):
            await books.server.stop(HANGS_S)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await call
        assert refused(error.value).reason == "SHUTTING_DOWN"
        assert not lookers()


async def test_a_database_that_goes_away_meanwhile_is_asked_again_later(
    books: Served, database: str
) -> None:
    """That is no fault of the decision: the same call may be sent again."""
    await books.authorize("dev", request_id="first")
    waits = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    async with journal_locked(database):
        asking = asyncio.create_task(refusal_of(recorded(books, request_id="first")))
        connection = await asyncpg.connect(database)
        try:
            async with asyncio.timeout(HANGS_S):
                while not await connection.fetch(waits):
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()
        found = await asking
    assert (found.code, found.reason) == (grpc.StatusCode.UNAVAILABLE, "JOURNAL_UNAVAILABLE")
    assert found.metadata["retryable"] == "true"
    assert not (await recorded(books, request_id="first")).differs


async def test_the_client_asks_by_each_name(books: Served) -> None:
    await books.authorize("dev", request_id="first")
    async with DrawdownClient(books.address, tenant=TENANT) as client:
        found = await client.explain_recorded("dev", request_id="first")
        place = found.entry.batch_seq, found.entry.entry_seq
        assert await client.explain_recorded("dev", entry=place) == found


def test_a_process_that_has_answered_ends_without_a_crash() -> None:
    """Its input is open still, and no server hastens to end it."""
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    asked = msgspec.json.encode({"dsn": nowhere, "shards": 1, "question": Question(0, 1, 1, 1, 0)})
    with subprocess.Popen(
        [sys.executable, "-m", "ledger.decision_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        child.stdin.write(asked + b"\n")
        child.stdin.flush()
        answered = msgspec.json.decode(child.stdout.readline(), type=Answered)
        assert answered.fault and answered.away
        assert (child.wait(HANGS_S), child.stderr.read()) == (0, b"")
