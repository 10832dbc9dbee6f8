"""Statements and roll-ups over gRPC on PostgreSQL: a family's months, by hand (rules T2, H8)."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from html.parser import HTMLParser
from typing import Any

import grpc
import pytest

from ledger.core.limits import DAY_US, HOUR_US
from ledger.journal.storage import PostgresStorage
from ledger.projections.as_of import History
from ledger.v1 import account_pb2, clock_pb2, journal_pb2
from ledger.v1 import statement_pb2 as pb
from ledger.v1.statement_pb2_grpc import StatementServiceStub
from ledger.verify import verify
from tests.api.served import Served, event, refusal_of
from tests.api.served import served as serve
from tests.patience import HANGS_S
from tests.projections.projecting import looking, project

SANDBOX = "sandbox"


def at(month: int, day: int, year: int = 2027) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000


JANUARY, FEBRUARY, MARCH, APRIL = at(1, 1), at(2, 1), at(3, 1), at(4, 1)
NOON = 12 * HOUR_US


class Box(Served):
    """A caller of a sandbox, whose clock tests move."""

    database = ""
    turn: asyncio.Lock

    async def project(self) -> None:
        """Bring the read models up to date; one projector at a time."""
        async with self.turn:
            await project(self.database)

    @property
    def statements(self) -> StatementServiceStub:
        return StatementServiceStub(self.channel)

    async def to(self, at_us: int) -> None:
        while True:
            reply = await self.clock.Advance(
                clock_pb2.AdvanceRequest(tenant=SANDBOX, request_id=f"to {at_us}", to_us=at_us)
            )
            if reply.settled:
                break
        await self.project()

    async def use(self, name: str, account: str, tokens: int, when: int, **fields: Any) -> None:
        made = event(name, account, tokens, 0, effective_at_us=when, **fields)
        reply = await self.ingest(made, tenant=SANDBOX)
        assert not reply.results or reply.results[0].outcome in (0, 1), reply

    async def set(self, account: str, form: int, attribute: str = "", **fields: Any) -> Any:
        return await self.statements.Set(
            pb.StatementServiceSetRequest(
                tenant=SANDBOX,
                request_id=self.new_id(),
                account=account,
                settings=pb.StatementSettings(form=form, attribute=attribute),
                **fields,
            )
        )

    async def draft(self, account: str, **fields: Any) -> pb.DraftResponse:
        await self.project()
        return await self.statements.Draft(
            pb.DraftRequest(tenant=SANDBOX, account=account, **fields)
        )

    async def get(self, account: str, number: int = 0, **fields: Any) -> Any:
        await self.project()
        return await self.statements.Get(
            pb.StatementServiceGetRequest(
                tenant=SANDBOX, account=account, statement=number, **fields
            )
        )

    async def list(self, account: str, **fields: Any) -> Any:
        await self.project()
        return await self.statements.List(
            pb.StatementServiceListRequest(tenant=SANDBOX, account=account, **fields)
        )

    def closing(self, account: str, **fields: Any) -> pb.StatementServiceCloseRequest:
        return pb.StatementServiceCloseRequest(
            **{"tenant": SANDBOX, "request_id": self.new_id(), "account": account, **fields}
        )

    async def close(self, account: str, **fields: Any) -> Any:
        async with self.projecting():
            return await self.closed(self.closing(account, **fields))

    async def closed(self, closing: pb.StatementServiceCloseRequest) -> Any:
        """The answer, amid a projector: while that is slow, the same is sent again."""
        async with asyncio.timeout(HANGS_S):
            while True:
                try:
                    return await self.statements.Close(closing)
                except grpc.aio.AioRpcError as error:
                    if "READ_MODELS_BEHIND" not in str(error.trailing_metadata()):
                        raise

    async def roll_up(self, account: str, **fields: Any) -> pb.RollUpResponse:
        await self.project()
        return await self.statements.RollUp(
            pb.RollUpRequest(tenant=SANDBOX, account=account, **fields)
        )

    @asynccontextmanager
    async def projecting(self) -> AsyncIterator[None]:
        """A projector goes on meanwhile."""

        async def go_on() -> None:
            while True:
                await self.project()
                await asyncio.sleep(0.02)

        task = asyncio.create_task(go_on())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def box(database: str) -> AsyncIterator[Box]:
    """A sandbox at noon of 1 January 2027: acme, with shared credits, and two accounts below it,
    of which one is billed for its overage itself, and one has its parent billed."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage, history=History(storage.pool)) as caller:
            made = Box(caller.server, caller.ledger, caller.channel, tenant=SANDBOX)
            made.database, made.turn = database, asyncio.Lock()
            await made.priced()
            await made.to(JANUARY + NOON)
            await made.account("acme", overage=account_pb2.OVERAGE_SELF)
            await made.account("search", "acme", overage=account_pb2.OVERAGE_SELF)
            await made.account("ads", "acme", overage=account_pb2.OVERAGE_PARENT)
            await made.grant("acme", 1_000, shared=True)
            await made.grant("search", 500)
            yield made
    finally:
        await storage.close()


async def january(box: Box) -> None:
    """900 of search (500 own, 400 shared), 1,500 of ads (600 shared, 900 billed to acme)."""
    await box.to(at(1, 10))
    await box.use("s1", "search", 100, at(1, 3), attributes={"region": "eu"})
    await box.use("s2", "search", 200, at(1, 4), attributes={"region": "us"})
    await box.use("a1", "ads", 500, at(1, 5))


def paid(statement: pb.Statement) -> list[tuple[Any, ...]]:
    """(account, value, adjusts, payer, payer's account, minor) of every payment."""
    return [
        (
            line.account,
            line.value if line.HasField("value") else None,
            line.adjusts_statement if line.HasField("adjusts_statement") else None,
            pb.StatementPayer.Name(each.payer).removeprefix("STATEMENT_PAYER_"),
            each.account,
            int(each.amount.minor),
        )
        for line in statement.lines
        for each in line.paid
    ]


def totals(statement: pb.Statement) -> dict[str, tuple[int, ...]]:
    """By account, "" = all: charged, grants, overage, billable."""
    return {
        each.account: tuple(
            int(getattr(each, name).minor) for name in ("charged", "grants", "overage", "billable")
        )
        for each in statement.totals
    }


# -- what a statement says -------------------------------------------------------------------------


async def test_a_family_in_one_draft(box: Box) -> None:
    await january(box)
    draft = (await box.draft("acme", attribute="region")).draft
    assert (draft.start_us, draft.end_us) == (JANUARY, FEBRUARY)
    assert draft.state == pb.STATEMENT_STATE_DRAFT
    assert sorted(paid(draft), key=repr) == sorted(
        [
            ("search", "eu", None, "GRANT", "search", 300),
            ("search", "us", None, "GRANT", "search", 200),
            ("search", "us", None, "GRANT", "acme", 400),
            ("ads", None, None, "GRANT", "acme", 600),
            ("ads", None, None, "OVERAGE", "acme", 900),
        ],
        key=repr,
    )
    assert totals(draft) == {
        "": (2_400, 1_500, 900, 900),
        "acme": (0, 0, 0, 900),  # billed for what ads used
        "ads": (1_500, 600, 900, 0),
        "search": (900, 900, 0, 0),
    }
    assert [(line.account, line.events, dict(line.quantities)) for line in draft.lines] == [
        ("search", 1, {"input_tokens": "100"}),
        ("search", 1, {"input_tokens": "200"}),
        ("ads", 1, {"input_tokens": "500"}),
    ]
    (amount,) = draft.lines[0].charged
    assert (amount.asset, amount.scale, amount.minor, amount.units) == (
        "credit", 6, "300", "0.000300",
    )  # fmt: skip
    books = {
        (pb.StatementBookKind.Name(book.kind), book.account): (
            book.opening.minor,
            [(move.other, move.amount.minor) for move in book.moves],
            book.closing.minor,
        )
        for book in draft.books
    }
    assert books == {
        ("STATEMENT_BOOK_KIND_GRANT", "acme"): (
            "0", [("funding", "1000"), ("used", "-1000")], "0",
        ),
        ("STATEMENT_BOOK_KIND_GRANT", "search"): (
            "0", [("funding", "500"), ("used", "-500")], "0",
        ),
        ("STATEMENT_BOOK_KIND_OVERAGE", "acme"): ("0", [("used", "900")], "900"),
    }  # fmt: skip


async def test_separate_statements_add_up_to_the_consolidated_one(box: Box) -> None:
    await january(box)
    whole = (await box.draft("acme")).draft
    parts = [
        (await box.draft(name, form=pb.STATEMENT_FORM_SEPARATE)).draft
        for name in ("acme", "search", "ads")
    ]
    for place in range(4):
        assert (
            sum(totals(part)[""][place] for part in parts if part.totals)
            == (totals(whole)[""][place])
        )
    lines = [line.SerializeToString(deterministic=True) for part in parts for line in part.lines]
    assert sorted(lines) == sorted(
        line.SerializeToString(deterministic=True) for line in whole.lines
    )


async def test_a_month_closes_by_itself_and_what_comes_later_adjusts_the_next(box: Box) -> None:
    await box.set("acme", pb.STATEMENT_FORM_CONSOLIDATED, "region")
    await january(box)
    await box.to(FEBRUARY + NOON)  # in grace
    await box.use("s3", "search", 10, at(1, 31))  # its own period's still
    draft = (await box.draft("acme", at_us=at(1, 31))).draft
    async with box.projecting():
        await box.to(FEBRUARY + DAY_US + NOON)
        while not (await box.list("acme")).statements:
            await asyncio.sleep(0.05)
        while (await box.list("acme")).statements[0].state != pb.STATEMENT_STATE_CLOSED:
            await asyncio.sleep(0.05)
    closed = (await box.get("acme", 1)).statement
    assert (closed.statement, closed.state) == (1, pb.STATEMENT_STATE_CLOSED)
    assert closed.lines == draft.lines and closed.totals == draft.totals
    assert closed.books == draft.books
    assert totals(closed)[""] == (2_430, 1_500, 930, 930)
    await box.use("s4", "search", 20, at(1, 20))  # too late: an adjustment of February
    await box.use("s5", "search", 1, at(2, 2))
    assert (await box.get("acme", 1)).statement == closed
    running = (await box.draft("acme")).draft
    assert paid(running) == [
        ("search", None, None, "OVERAGE", "search", 3),
        ("search", None, 1, "OVERAGE", "search", 60),
    ]
    assert totals(running)[""] == (63, 0, 63, 63)
    openings = {(book.kind, book.account): book.opening.minor for book in running.books}
    closings = {
        (book.kind, book.account): book.closing.minor
        for book in closed.books
        if book.closing.minor != "0"
    }
    assert openings == closings
    report = await verify(box.database)
    assert report.ok, report.findings


async def test_the_hash_can_be_made_anew_by_anyone(box: Box) -> None:
    await january(box)
    await box.to(FEBRUARY + DAY_US + NOON)
    reply = await box.close("acme", attribute="region")
    statement = reply.statement
    assert statement.state == pb.STATEMENT_STATE_CLOSED
    canonical, head = statement.canonical.encode(), bytes.fromhex(statement.closing.head_hash)
    assert blake2b(canonical + head, digest_size=32).hexdigest() == statement.closing.hash
    content = json.loads(canonical)
    assert (content["start_us"], content["end_us"]) == (JANUARY, FEBRUARY)
    assert sum(int(each["amount"]) for line in content["lines"] for each in line["paid"]) == 2_400
    async with looking(box.database) as connection:
        found = await connection.fetchval(
            "SELECT hash FROM ledger.journal WHERE shard = $1 AND batch_seq = $2",
            statement.shard,
            statement.closing.batch_seq,
        )
    assert found == head


async def test_verify_finds_a_statement_that_says_something_else(box: Box) -> None:
    """The read models are tampered with before it is closed: its hash is wrong for ever."""
    await january(box)
    await box.project()
    async with looking(box.database) as connection:
        done = await connection.execute(
            "UPDATE projection.usage_events SET quantities = '{7, 7}' WHERE entry_seq = "
            "(SELECT max(entry_seq) FROM projection.usage_events)"
        )
    assert done == "UPDATE 1"
    await box.to(FEBRUARY + DAY_US + NOON)
    await box.close("acme")
    report = await verify(box.database)
    (found,) = [each for each in report.findings if "hash of what it says" in each.what]
    assert "statement 1" in found.what


# -- as documents ----------------------------------------------------------------------------------


async def test_tables_and_json_have_the_same_sums(box: Box) -> None:
    await january(box)
    as_csv = await box.draft("acme", attribute="region", format=pb.STATEMENT_FORMAT_CSV)
    assert as_csv.document.content_type == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(as_csv.document.content.decode())))
    lines = [row for row in rows if row["section"] == "line"]
    assert sum(int(row["minor"]) for row in lines) == 2_400
    assert sum(int(row["minor"]) for row in lines if row["name"] == "overage") == 900
    assert {row["attribute"] for row in lines if row["account"] == "search"} == {"eu", "us"}
    moves = [row for row in rows if row["section"] == "book" and row["name"] == "used"]
    assert sum(int(row["minor"]) for row in moves) == 900 - 1_500
    (billable,) = [
        row for row in rows
        if (row["section"], row["account"], row["name"]) == ("total", "", "billable")
    ]  # fmt: skip
    assert (billable["minor"], billable["units"]) == ("900", "0.000900")
    as_json = await box.draft("acme", attribute="region", format=pb.STATEMENT_FORMAT_JSON)
    document = json.loads(as_json.document.content)
    payments = [each for line in document["lines"] for each in line["paid"]]
    assert sum(int(each["amount"]["minor"]) for each in payments) == 2_400
    assert document["totals"][0]["billable"]["minor"] == "900"


class _Page(HTMLParser):
    """The tags and the text of a page, each tag closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


async def test_a_page_prints_and_trusts_no_text(box: Box) -> None:
    await box.to(at(1, 10))
    bad = "<script>alert(1)</script>"
    await box.use("s1", "search", 100, at(1, 3), attributes={"region": bad})
    reply = await box.draft("acme", attribute="region", format=pb.STATEMENT_FORMAT_HTML)
    assert reply.document.content_type == "text/html; charset=utf-8"
    page = _Page()
    page.feed(reply.document.content.decode())
    page.close()
    assert not page.open
    assert "script" not in page.tags and "link" not in page.tags and "img" not in page.tags
    assert bad in page.text and "0.000300" in page.text and "Billable" in page.text


async def test_a_table_holds_no_formulas(box: Box) -> None:
    await box.to(at(1, 10))
    await box.use("s1", "search", 100, at(1, 3), attributes={"region": "=1+1"})
    reply = await box.draft("acme", attribute="region", format=pb.STATEMENT_FORMAT_CSV)
    rows = csv.DictReader(io.StringIO(reply.document.content.decode()))
    assert "'=1+1" in {row["attribute"] for row in rows}


# -- calls -----------------------------------------------------------------------------------------


async def test_closing_again_answers_the_same(box: Box) -> None:
    await january(box)
    await box.to(FEBRUARY + DAY_US + NOON)
    request = box.closing("acme", start_us=JANUARY, request_id="jan")
    async with box.projecting():
        first = await box.closed(request)
        again = await box.closed(request)
        assert again.replayed and again.statement == first.statement
        other = box.closing("acme", start_us=JANUARY, end_us=FEBRUARY, request_id="jan")
        found = await refusal_of(box.statements.Close(other))
    assert (found.reason, found.metadata["field"]) == ("CONFLICT", "end_us")
    known = await box.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(tenant=SANDBOX, account="acme", request_id="jan")
    )
    assert known.kind == journal_pb2.MUTATION_KIND_CLOSE_STATEMENT


async def test_what_is_refused(box: Box) -> None:
    await january(box)
    await box.to(FEBRUARY + NOON)
    state = grpc.StatusCode.FAILED_PRECONDITION
    bad = grpc.StatusCode.INVALID_ARGUMENT
    missing = grpc.StatusCode.NOT_FOUND
    for call, code, reason, value in (
        (box.close("acme", start_us=JANUARY), state, "STATEMENT_IN_GRACE", FEBRUARY + DAY_US),
        (box.close("acme", start_us=FEBRUARY), state, "STATEMENT_PERIOD_OPEN", MARCH),
        (box.close("acme", start_us=JANUARY + 1), bad, "STATEMENT_PERIOD_INVALID", JANUARY + 1),
        (box.close("nobody"), missing, "ACCOUNT_UNKNOWN", "nobody"),
        (box.close("acme", form=1), bad, "NUMBER_OUT_OF_RANGE", 1),
        (box.close("acme", format=9), bad, "NUMBER_OUT_OF_RANGE", 9),
        (box.get("acme"), missing, "STATEMENT_UNKNOWN", 0),
        (box.draft("acme", at_us=APRIL), bad, "IN_FUTURE", APRIL),
        (box.set("acme", 0), bad, "NUMBER_OUT_OF_RANGE", 0),
        (box.set("acme", 2, "x" * 65), bad, "TEXT_TOO_LONG", "x" * 65),
        (box.set("acme", 2, expected_version=3), None, "VERSION_MISMATCH", 0),
        (box.roll_up("acme", effective_at_us=APRIL), bad, "IN_FUTURE", APRIL),
        (box.roll_up("nobody"), missing, "ACCOUNT_UNKNOWN", "nobody"),
    ):
        found = await refusal_of(call)
        assert found.reason == reason, found
        assert code is None or found.code == code, found
        if found.violations:
            continue
        assert found.metadata["value"] == str(value), found
    await box.to(FEBRUARY + DAY_US + NOON)
    await box.close("acme", start_us=JANUARY)
    closed = await refusal_of(box.close("acme", start_us=JANUARY))
    assert (closed.code, closed.reason) == (state, "STATEMENT_CLOSED")
    drafted = await refusal_of(box.draft("acme", at_us=at(1, 20)))
    assert (drafted.code, drafted.reason) == (state, "STATEMENT_CLOSED")


async def test_statements_are_listed_page_by_page(box: Box) -> None:
    await box.to(APRIL + DAY_US)
    for start in (JANUARY, FEBRUARY, MARCH):
        await box.close("search", start_us=start)
    set_ = await box.set("search", pb.STATEMENT_FORM_SEPARATE)
    assert set_.settings.version == 1
    first = await box.list("search", page_size=2)
    assert [each.statement for each in first.statements] == [3, 2]
    assert first.settings.form == pb.STATEMENT_FORM_SEPARATE
    second = await box.list("search", page_size=2, page_token=first.next_page_token)
    assert [(each.statement, each.start_us) for each in second.statements] == [(1, JANUARY)]
    assert not second.next_page_token and not second.statements[0].lines
    firsts = [(each.closing.first_entry, each.closing.last_entry) for each in first.statements]
    assert firsts[0][0] == firsts[1][1] + 1  # each begins where the one before ended


async def test_without_read_models_there_are_none(served: Served) -> None:
    await served.priced()
    await served.account("acme")
    stub = StatementServiceStub(served.channel)
    for call in (
        stub.Draft(pb.DraftRequest(tenant=served.tenant, account="acme")),
        stub.Close(
            pb.StatementServiceCloseRequest(tenant=served.tenant, request_id="x", account="acme")
        ),
    ):
        found = await refusal_of(call)
        assert (found.code, found.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "READ_MODELS_ABSENT",
        )
    now = await stub.RollUp(pb.RollUpRequest(tenant=served.tenant, account="acme"))
    assert (now.accounts, list(now.total)) == (1, [])


# -- roll-ups --------------------------------------------------------------------------------------


def figures(found: Any) -> list[tuple[int, ...]]:
    return [
        tuple(
            int(getattr(each, name).minor)
            for name in ("available", "granted", "drawn", "held", "overdraft", "overage")
        )
        for each in found
    ]


async def test_a_node_and_all_below_it_now_and_then(box: Box) -> None:
    await box.grant("ads", 70)
    before = await box.roll_up("acme")
    assert figures(before.own) == [(1_000, 1_000, 0, 0, 0, 0)]
    assert figures(before.total) == [(1_570, 1_570, 0, 0, 0, 0)]
    assert before.accounts == 3
    await box.authorize("search", quantities={"input_tokens": 50})  # holds 150
    await box.to(at(1, 10))
    await box.use("a1", "ads", 500, at(1, 5))  # 70 own, 1,000 shared, 430 billed to acme
    now = await box.roll_up("acme", from_us=JANUARY, to_us=FEBRUARY)
    assert figures(now.own) == [(0, 0, 1_000, 0, 0, 430)]
    assert figures(now.total) == [(500, 500, 1_070, 0, 0, 430)]  # the hold has expired
    assert [(each.account, each.amount.minor) for each in now.overage] == [("acme", "430")]
    assert [(line.account, line.product, line.events) for line in now.usage] == [("ads", "chat", 1)]
    assert sum(int(each.amount.minor) for line in now.usage for each in line.paid) == 1_500
    again = await box.roll_up("acme", effective_at_us=now.as_of_us)
    assert (again.own, again.total) == (now.own, now.total)
    held = await box.roll_up("acme", effective_at_us=before.as_of_us + 60_000_000)
    assert figures(held.total) == [(1_420, 1_570, 0, 150, 0, 0)]
    alone = await box.roll_up("ads")
    assert (figures(alone.own), figures(alone.total)) == ([(0, 0, 70, 0, 0, 0)],) * 2


async def test_a_roll_up_of_then_is_of_the_tree_of_then(box: Box) -> None:
    await box.account("team", "search")
    await box.grant("team", 40)
    before = (await box.roll_up("search")).as_of_us
    await box.to(at(1, 5))
    account = account_pb2.MoveRequest(
        tenant=SANDBOX, request_id="move", account="team", parent="ads", expected_version=1
    )
    await box.accounts.Move(account)
    now = [await box.roll_up(name) for name in ("search", "ads")]
    assert [figures(each.total)[0][0] for each in now] == [500, 40]
    then = [
        await box.roll_up(name, effective_at_us=before + 60_000_000) for name in ("search", "ads")
    ]
    assert [figures(each.total) for each in then] == [[(540, 540, 0, 0, 0, 0)], []]


# -- who closes ------------------------------------------------------------------------------------


async def test_what_a_server_leaves_open_its_successor_closes(database: str) -> None:
    """A server goes away between the end of a statement and its closing; two of them closed
    nothing twice."""
    storage = await PostgresStorage.open(database, 4)
    try:
        async with serve(storage) as caller:  # without read models it closes nothing
            box = Box(caller.server, caller.ledger, caller.channel, tenant=SANDBOX)
            box.database, box.turn = database, asyncio.Lock()
            await box.priced()
            await box.to(JANUARY + NOON)
            await box.account("acme", overage=account_pb2.OVERAGE_SELF)
            await box.set("acme", pb.STATEMENT_FORM_CONSOLIDATED)
            await box.use("1", "acme", 100, at(1, 1) + NOON)
            await box.to(MARCH + DAY_US + NOON)
        async with serve(storage, history=History(storage.pool)) as caller:
            box = Box(caller.server, caller.ledger, caller.channel, tenant=SANDBOX)
            box.database, box.turn = database, asyncio.Lock()
            async with asyncio.timeout(HANGS_S):
                while any(not each.closing.hash for each in (await box.list("acme")).statements):
                    await asyncio.sleep(0.05)
            assert await caller.server.closer.round() == 0
            closed = (await box.list("acme")).statements
        async with looking(database) as connection:
            left = "SELECT count(*) FROM projection.statements_to_close"
            assert await connection.fetchval(left) == 0
        assert [each.statement for each in closed] == [2, 1]
        assert (await verify(database)).ok
    finally:
        await storage.close()


async def test_one_that_does_not_add_up_stays_open_and_keeps_nobody_waiting(box: Box) -> None:
    """The read models lose a usage event: what the books paid is on no line."""
    await box.account("loner", overage=account_pb2.OVERAGE_SELF)
    for name in ("acme", "loner"):
        await box.set(name, pb.STATEMENT_FORM_CONSOLIDATED)
    await january(box)
    await box.project()
    async with looking(box.database) as connection:
        await connection.execute(
            "DELETE FROM projection.usage_events WHERE entry_seq = "
            "(SELECT max(entry_seq) FROM projection.usage_events)"
        )
    async with box.projecting(), asyncio.timeout(HANGS_S):
        await box.to(FEBRUARY + DAY_US + NOON)
        while (await box.list("loner")).statements[0].state != pb.STATEMENT_STATE_CLOSED:
            await asyncio.sleep(0.05)
    await box.server.closer.round()
    (left,) = (await box.list("acme")).statements
    assert left.state == pb.STATEMENT_STATE_ENDED
