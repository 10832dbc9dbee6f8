"""Accounts that are frozen, closed and opened again; what people call them, until it is erased."""

from __future__ import annotations

import grpc
import pytest

from ledger.journal.codec import decode_private
from ledger.journal.directory import Erasure
from ledger.journal.storage import PostgresStorage
from ledger.v1 import account_pb2 as pb
from ledger.v1 import decision_pb2, journal_pb2, usage_pb2
from ledger.verify import verify
from tests.api import served as api
from tests.api.served import TENANT, Served, event, refusal_of, work
from tests.api.test_accounts import creating, getting
from tests.projections.projecting import looking, project


def freezing(account: str, request_id: str = "freeze", **changes) -> pb.FreezeRequest:
    fields = {"reason": "chargeback of May", "actor": "ops@example.com", **changes}
    return pb.FreezeRequest(tenant=TENANT, request_id=request_id, account=account, **fields)


def unfreezing(account: str, request_id: str = "unfreeze", **changes) -> pb.UnfreezeRequest:
    return pb.UnfreezeRequest(tenant=TENANT, request_id=request_id, account=account, **changes)


def reopening(account: str, request_id: str = "reopen", **changes) -> pb.ReopenRequest:
    return pb.ReopenRequest(tenant=TENANT, request_id=request_id, account=account, **changes)


def closing(account: str, request_id: str = "close", **changes) -> pb.AccountServiceCloseRequest:
    fields = {"tenant": TENANT, "request_id": request_id, "account": account, **changes}
    return pb.AccountServiceCloseRequest(**fields)


def naming(account: str, expected_version: int, request_id: str = "name", **changes):
    return pb.UpdateMetadataRequest(
        tenant=TENANT,
        request_id=request_id,
        account=account,
        expected_version=expected_version,
        **changes,
    )


async def outcome(caller: Served, request_id: str, account: str = "acme", **changes):
    return await caller.journal.GetOutcome(
        journal_pb2.GetOutcomeRequest(
            tenant=TENANT, account=account, request_id=request_id, **changes
        )
    )


# -- frozen --------------------------------------------------------------------------------------


async def test_a_frozen_account_refuses_usage_until_it_is_unfrozen(priced: Served):
    await priced.account("acme")
    await priced.account("acme/team", "acme")
    await priced.grant("acme", 10_000)
    held = await priced.authorize("acme")
    frozen = await priced.accounts.Freeze(freezing("acme"))
    assert frozen.account.state == pb.ACCOUNT_STATE_FROZEN
    freeze = frozen.account.freeze
    assert (freeze.account, freeze.cause) == ("acme", pb.FREEZE_CAUSE_REQUEST)
    assert (freeze.reason, freeze.actor) == ("chargeback of May", "ops@example.com")
    assert freeze.frozen_at_us > frozen.account.created_at_us
    for name in ("acme", "acme/team"):
        refused = (await priced.ingest(event("a", name))).results[0]
        assert refused.outcome == usage_pb2.INGEST_OUTCOME_ACCOUNT_FROZEN
        assert (refused.reason, refused.field) == ("ACCOUNT_FROZEN", "account")
        found = await refusal_of(priced.authorize(name, request_id="h"))
        assert (found.code, found.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "ACCOUNT_FROZEN",
        )
        assert found.metadata["account"] == name
        assert (await refusal_of(priced.check(name))).reason == "ACCOUNT_FROZEN"
    captured = await priced.decisions.Capture(
        decision_pb2.CaptureRequest(
            tenant=TENANT,
            request_id="capture",
            hold_id=held.hold_id,
            quantities=work("acme")["quantities"],
        )
    )
    assert captured.charge == 600
    thawed = await priced.accounts.Unfreeze(unfreezing("acme", reason="paid"))
    assert thawed.account.state == pb.ACCOUNT_STATE_OPEN
    assert not thawed.account.HasField("freeze")
    again = (await priced.ingest(event("a", "acme"))).results[0]
    assert (again.outcome, again.replayed) == (usage_pb2.INGEST_OUTCOME_APPLIED, False)
    assert (await priced.authorize("acme", request_id="h")).hold_id


async def test_what_is_shown_of_a_freeze(priced: Served):
    """Of one above in what is below; reasons in Get, not in a listing; also once it is closed."""
    await priced.account("acme")
    await priced.account("acme/team", "acme")
    made = await priced.accounts.Freeze(freezing("acme"))
    for name in ("acme", "acme/team"):
        found = (await priced.accounts.Get(getting(name, min_position=made.position))).account
        assert (found.state, found.freeze) == (pb.ACCOUNT_STATE_FROZEN, made.account.freeze)
    await priced.accounts.Freeze(freezing("acme/team", "own", reason="of its own", actor=""))
    listed = await priced.accounts.List(pb.AccountServiceListRequest(tenant=TENANT))
    assert [each.state for each in listed.accounts] == [pb.ACCOUNT_STATE_FROZEN] * 2
    assert [each.freeze.account for each in listed.accounts] == ["acme", "acme/team"]
    assert [each.freeze.reason for each in listed.accounts] == ["", ""]
    closed = (await priced.accounts.Close(closing("acme/team"))).account
    assert (closed.state, closed.freeze.reason) == (pb.ACCOUNT_STATE_CLOSED, "of its own")


async def test_a_freeze_is_recorded_once(priced: Served):
    await priced.account("acme")
    made = await priced.accounts.Freeze(freezing("acme"))
    await priced.accounts.Unfreeze(unfreezing("acme"))
    again = await priced.accounts.Freeze(freezing("acme"))
    assert again.replayed
    assert again.account == made.account
    assert (await priced.accounts.Get(getting("acme"))).account.state == pb.ACCOUNT_STATE_OPEN
    other = await refusal_of(priced.accounts.Freeze(freezing("acme", reason="else")))
    assert (other.reason, other.metadata["field"]) == ("CONFLICT", "reason")
    for request_id, kind in (
        ("freeze", journal_pb2.MUTATION_KIND_FREEZE_ACCOUNT),
        ("unfreeze", journal_pb2.MUTATION_KIND_UNFREEZE_ACCOUNT),
    ):
        found = await outcome(priced, request_id)
        assert (found.state, found.kind) == (journal_pb2.OUTCOME_STATE_RECORDED, kind)
        assert found.resource == "acme"
    never = await outcome(priced, "later", abandon=True)
    assert never.state == journal_pb2.OUTCOME_STATE_ABANDONED
    assert (await refusal_of(priced.accounts.Freeze(freezing("acme", "later")))).reason == (
        "ABANDONED"
    )


@pytest.mark.parametrize(
    ("call", "request_", "reason"),
    [
        ("Freeze", freezing("acme", reason=""), "FIELD_REQUIRED"),
        ("Freeze", freezing("acme", reason="x" * 257), "TEXT_TOO_LONG"),
        ("Freeze", freezing("acme", actor="x" * 129), "TEXT_TOO_LONG"),
        ("Freeze", freezing("acme", ""), "FIELD_REQUIRED"),
        ("Freeze", freezing("nobody"), "ACCOUNT_UNKNOWN"),
        ("Freeze", freezing("alias"), "ACCOUNT_UNKNOWN"),
        ("Freeze", freezing("frozen"), "ACCOUNT_FROZEN"),
        ("Freeze", freezing("closed"), "ACCOUNT_CLOSED"),
        ("Unfreeze", unfreezing("acme"), "ACCOUNT_NOT_FROZEN"),
        ("Unfreeze", unfreezing("frozen/below"), "ACCOUNT_NOT_FROZEN"),
        ("Unfreeze", unfreezing("closed"), "ACCOUNT_CLOSED"),
        ("Unfreeze", unfreezing("acme", reason="x" * 257), "TEXT_TOO_LONG"),
        ("Reopen", reopening("acme"), "ACCOUNT_NOT_CLOSED"),
        ("Reopen", reopening("acme", reason="\0"), "TEXT_INVALID"),
        ("Reopen", reopening(""), "FIELD_REQUIRED"),
        ("UpdateMetadata", naming("acme", 0), "NUMBER_OUT_OF_RANGE"),
        ("UpdateMetadata", naming("acme", 2), "VERSION_MISMATCH"),
        ("UpdateMetadata", naming("acme", 1, display_name="x" * 257), "TEXT_TOO_LONG"),
        ("UpdateMetadata", naming("acme", 1, metadata={"x": "y" * 129}), "TEXT_TOO_LONG"),
        ("UpdateMetadata", naming("acme", 1, metadata={"": "y"}), "FIELD_REQUIRED"),
        (
            "UpdateMetadata",
            naming("acme", 1, metadata={f"{each}": "" for each in range(17)}),
            "TOO_MANY",
        ),
        ("UpdateMetadata", naming("nobody", 1), "ACCOUNT_UNKNOWN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_refused_changes_nothing(priced: Served, call, request_, reason):
    await priced.account("acme")
    await priced.account("frozen")
    await priced.account("frozen/below", "frozen")
    await priced.account("closed")
    await priced.accounts.Freeze(freezing("frozen", "first"))
    await priced.accounts.Close(closing("closed"))
    await priced.accounts.AssignAlias(
        pb.AssignAliasRequest(tenant=TENANT, request_id="a", alias="alias", account="acme")
    )
    before = (await priced.accounts.List(pb.AccountServiceListRequest(tenant=TENANT))).accounts
    assert (await refusal_of(getattr(priced.accounts, call)(request_))).reason == reason
    after = (await priced.accounts.List(pb.AccountServiceListRequest(tenant=TENANT))).accounts
    assert list(after) == list(before)


# -- closed --------------------------------------------------------------------------------------


async def test_an_account_closes_with_what_is_left_written_off(stored: Served, database: str):
    """Every amount as a transfer of the one entry, listed in the reply; the books are at zero."""
    await stored.account("acme", overdraft_asset="credit", overdraft_limit=500, overage=2)
    grants = [(await stored.grant("acme", 1_000, products=each)).grant for each in (["x"], [])]
    held = await stored.authorize("acme")
    await stored.ingest(event("a", "acme"), event("b", "acme"))  # 400 are left: into debt
    request = closing("acme")
    found = await refusal_of(stored.accounts.Close(request))
    assert (found.reason, "release_holds" in found.message) == ("ACCOUNT_NOT_EMPTY", True)
    request.write_off = request.release_holds = True
    request.reason, request.actor = "insolvent", "finance"
    closed = await stored.accounts.Close(request)
    assert closed.account.state == pb.ACCOUNT_STATE_CLOSED
    assert list(closed.released_holds) == [held.hold_id]
    assert [(each.kind, each.grant_id, each.amount) for each in closed.write_offs] == [
        (pb.WRITE_OFF_KIND_GRANT, grants[0].grant_id, 1_000),
        (pb.WRITE_OFF_KIND_GRANT, grants[1].grant_id, 600),
        (pb.WRITE_OFF_KIND_ADVANCE, "", 500),
        (pb.WRITE_OFF_KIND_OVERAGE, "", 300),
    ]
    assert {(each.asset, each.scale) for each in closed.write_offs} == {("credit", 6)}
    balance = await stored.balance("acme", min_position=closed.position)
    assert (balance.granted, balance.pending, balance.advance) == ("0", "0", "0")
    again = await stored.accounts.Close(request)
    assert (again.replayed, again.write_offs, again.released_holds) == (
        True,
        closed.write_offs,
        closed.released_holds,
    )
    request.write_off = False
    other = await refusal_of(stored.accounts.Close(request))
    assert (other.reason, other.metadata["field"]) == ("CONFLICT", "write_off")
    assert (await outcome(stored, "close")).kind == journal_pb2.MUTATION_KIND_CLOSE_ACCOUNT
    await project(database)
    async with looking(database) as connection:
        lines = await connection.fetch(
            "SELECT phase, amount FROM projection.transfers WHERE (shard, entry_seq) = "
            "(SELECT shard, max(entry_seq) FROM projection.transfers GROUP BY shard) ORDER BY line"
        )
    assert [tuple(line) for line in lines] == [(3, 600), (2, 1_000), (2, 600), (2, 500), (2, 300)]
    report = await verify(database)
    assert report.ok, report.findings


# -- opened again --------------------------------------------------------------------------------


async def test_a_closed_account_is_opened_again(priced: Served):
    await priced.account("acme", overdraft_asset="credit", overdraft_limit=1_000)
    closed = await priced.accounts.Close(closing("acme"))
    opened = await priced.accounts.Reopen(reopening("acme", reason="came back"))
    assert opened.account.state == pb.ACCOUNT_STATE_OPEN
    assert opened.account.policy.overdraft_limit == 1_000
    assert (opened.account.closed_at_us, opened.account.reopened_at_us > 0) == (0, True)
    while_closed = event("a", "acme", effective_at_us=closed.account.closed_at_us)
    refused = (await priced.ingest(while_closed)).results[0]
    assert refused.outcome == usage_pb2.INGEST_OUTCOME_ACCOUNT_CLOSED
    for number, at_us in enumerate((0, closed.account.created_at_us)):
        taken = (await priced.ingest(event(f"{number}", "acme", effective_at_us=at_us))).results[0]
        assert taken.outcome == usage_pb2.INGEST_OUTCOME_APPLIED
    again = await priced.accounts.Reopen(reopening("acme", reason="came back"))
    assert (again.replayed, again.account) == (True, opened.account)
    found = await outcome(priced, "reopen")
    assert found.kind == journal_pb2.MUTATION_KIND_REOPEN_ACCOUNT
    late = await priced.accounts.Close(closing("acme"))
    assert (late.replayed, late.account.state) == (True, pb.ACCOUNT_STATE_CLOSED)


# -- names and metadata --------------------------------------------------------------------------


async def test_metadata_is_replaced_at_its_version(priced: Served):
    first = creating("acme", display_name="Acme", metadata={"crm": "17", "plan": "gold"})
    assert (await priced.accounts.Create(first)).account.metadata_version == 1
    request = naming("acme", 1, display_name="Acme GmbH", metadata={"crm": "18"})
    updated = await priced.accounts.UpdateMetadata(request)
    assert (updated.account.display_name, dict(updated.account.metadata)) == (
        "Acme GmbH",
        {"crm": "18"},
    )
    assert updated.account.metadata_version == 2
    assert updated.account.policy.version == 1
    assert (await priced.accounts.Get(getting("acme"))).account == updated.account
    stale = await refusal_of(priced.accounts.UpdateMetadata(naming("acme", 1, "stale")))
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
    emptied = await priced.accounts.UpdateMetadata(naming("acme", 2, "empty"))
    assert (emptied.account.display_name, dict(emptied.account.metadata)) == ("", {})
    again = await priced.accounts.UpdateMetadata(request)
    assert (again.replayed, again.account) == (True, updated.account)
    await priced.accounts.Create(first)  # nor does the first call bring the first names back
    found = (await priced.accounts.Get(getting("acme"))).account
    assert (found.display_name, found.metadata_version) == ("", 3)
    request.metadata["crm"] = "19"
    other = await refusal_of(priced.accounts.UpdateMetadata(request))
    assert (other.reason, other.metadata["field"]) == ("CONFLICT", "metadata")
    assert (await outcome(priced, "name")).kind == journal_pb2.MUTATION_KIND_UPDATE_METADATA


@pytest.mark.parametrize("way", ["get", "list"])
async def test_a_directory_that_is_behind_the_journal_is_brought_up_to_date(
    stored: Served, database: str, way: str
):
    """A server that dies between the entry and the directory loses no name."""
    await stored.accounts.Create(creating("acme", display_name="Acme"))
    await stored.accounts.UpdateMetadata(naming("acme", 1, display_name="Two", metadata={"a": "b"}))
    await stored.accounts.Create(creating("other", display_name="Other"))
    await stored.account("plain")
    async with looking(database) as connection:
        await connection.execute(
            "UPDATE ledger.account_directory SET profile_version = 0, display_name = '', "
            "metadata = '{}' WHERE state = 2"
        )
    if way == "get":
        found = [
            (await stored.accounts.Get(getting(name))).account
            for name in ("acme", "other", "plain")
        ]
    else:
        listing = pb.AccountServiceListRequest(tenant=TENANT)
        found = list((await stored.accounts.List(listing)).accounts)
    assert [(each.display_name, dict(each.metadata)) for each in found] == [
        ("Two", {"a": "b"}),
        ("Other", {}),
        ("", {}),
    ]
    async with looking(database) as connection:
        rows = await connection.fetch(
            "SELECT display_name, profile_version FROM ledger.account_directory ORDER BY account_id"
        )
    assert [tuple(row) for row in rows] == [("Two", 2), ("Other", 1), ("", 1)]


# -- erased --------------------------------------------------------------------------------------


async def test_everything_said_of_an_erased_account_is_gone_and_verify_passes(database: str):
    """Names of every version, reasons, actors: nowhere in the database; the chain is whole."""
    storage = await PostgresStorage.open(database, 4)
    async with api.served(storage) as stored:
        await stored.priced()
        await stored.accounts.Create(creating("jane-1", display_name="jane-2"))
        named = naming("jane-1", 1, display_name="jane-3", metadata={"mail": "jane-4"})
        await stored.accounts.UpdateMetadata(named)
        await stored.accounts.UpdateMetadata(naming("jane-1", 2, "empty"))
        await stored.accounts.Freeze(freezing("jane-1", reason="jane-5", actor="jane-6"))
        await stored.accounts.Unfreeze(unfreezing("jane-1", reason="jane-7"))
        await stored.accounts.Freeze(freezing("jane-1", "jane-8", reason="jane-9"))
        await stored.accounts.Close(closing("jane-1"))
        await stored.accounts.Reopen(reopening("jane-1", actor="jane-10"))
        await project(database)
        assert await hits(database)
        erasing = pb.AccountServiceEraseRequest(tenant=TENANT, request_id="erase", account="jane-1")
        erased = await stored.accounts.Erase(erasing)
        await stored.server.eraser.idle()
        assert (await refusal_of(stored.accounts.Get(getting("jane-1")))).reason == (
            "ACCOUNT_UNKNOWN"
        )
        found = (await stored.accounts.Get(getting(erased.pseudonym))).account
        assert found.account == found.root == erased.pseudonym
        assert found.erased_at_us > 0
        assert (found.display_name, dict(found.metadata)) == ("", {})
        assert (found.state, found.freeze.account) == (pb.ACCOUNT_STATE_FROZEN, erased.pseudonym)
        assert (found.freeze.reason, found.freeze.actor) == ("", "")
        assert not await hits(database)
        listed = await stored.accounts.List(pb.AccountServiceListRequest(tenant=TENANT))
        assert not listed.accounts
        for request in (naming(erased.pseudonym, 3), naming("jane-1", 3)):
            refused = await refusal_of(stored.accounts.UpdateMetadata(request))
            assert refused.reason == "ACCOUNT_UNKNOWN"
    await storage.close()
    await project(database)
    assert not await hits(database)
    report = await verify(database)
    assert report.ok, report.findings


async def hits(dsn: str) -> list[str]:
    """Where anything that begins with jane- stands, in clear or packed."""
    found = []
    async with looking(dsn) as connection:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname IN ('ledger', 'projection')"
        )
        for (table,) in tables:
            rows = await connection.fetch(f"SELECT t::text FROM {table} t")
            found += [table for row in rows if "jane-" in str(row)]
        packed = await connection.fetch("SELECT records FROM ledger.journal_private")
        found += ["private" for (records,) in packed if "jane-" in str(decode_private(records))]
    return found


async def test_an_erased_name_is_not_brought_back(stored: Served):
    """By an update that was recorded before, and writes to the directory after."""
    await stored.accounts.Create(creating("jane", display_name="Jane"))
    directory = stored.ledger.directory
    erased = await directory.erase(1, "jane")
    assert isinstance(erased, Erasure)
    for name in ("jane", erased.pseudonym):
        await directory.update_profile(1, name, "Jane", {"a": "b"}, 9)
    found = (await stored.accounts.Get(getting(erased.pseudonym))).account
    assert (found.display_name, dict(found.metadata)) == ("", {})
