"""GetProof, ListSeals and GetSealKeys of a served ledger: proofs hold, and show no others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import msgspec
import pytest

from ledger.core.events import Event, PlanDeclared, UsageRecorded
from ledger.integrity.keys import key_id_of
from ledger.integrity.proof import decode_proof, faults_of
from ledger.integrity.seal import Seal
from ledger.integrity.sealer import Sealer
from ledger.integrity.store import MemorySealStore
from ledger.journal.storage import MemoryStorage
from ledger.v1 import journal_pb2 as pb
from tests.api import served as api
from tests.integrity.sealing import INSTANCE, KEY

KEYS = [KEY.public_key]
USAGE = pb.UsageKey(source="gateway", id="evt-1")


class Sealed:
    """A served ledger in memory, with a sealer at hand."""

    def __init__(self, caller: api.Served, seals: MemorySealStore) -> None:
        self.caller = caller
        self.seals = seals

    async def seal(self) -> None:
        sealer = Sealer(self.seals, KEY)
        await sealer.introduce()
        for shard in range(4):
            await sealer.seal(self.caller.ledger.storage.journal(shard))

    def ask(self, account: str, **key: Any) -> Any:
        return self.caller.journal.GetProof(
            pb.GetProofRequest(tenant=api.TENANT, account=account, **key)
        )

    async def shows(self, account: str, shard: int, number: int) -> bool:
        """Whether the account gets a proof of that entry; it holds, or the entry is unknown."""
        try:
            reply = await self.ask(account, entry=pb.EntryNumber(shard=shard, entry_seq=number))
        except grpc.aio.AioRpcError as error:
            refusal = api.refused(error)
            if refusal.reason == "ENTRY_UNKNOWN":
                return False
            raise
        return faults_of(decode_proof(reply.document), KEYS) == []


@pytest.fixture
async def sealed() -> AsyncIterator[Sealed]:
    seals = MemorySealStore(INSTANCE)
    async with api.served(MemoryStorage(api.SystemClock().now_us, 4), seals=seals) as caller:
        await caller.priced()
        for account in ("acme", "zeta"):
            await caller.account(account)
        await caller.ingest(api.event("evt-1", "acme"), api.event("evt-1", "zeta"))
        yield Sealed(caller, seals)


async def test_a_usage_event_is_proven_with_its_plan(sealed: Sealed) -> None:
    await sealed.seal()
    reply = await sealed.ask("acme", usage=USAGE)
    proof = decode_proof(reply.document)
    assert faults_of(proof, KEYS) == []
    assert proof.identity is None
    assert reply.entry.event == proof.entry.event
    assert list(reply.plan.path) == proof.plan.path
    assert reply.seal.signature == proof.seal.signature
    event = msgspec.msgpack.decode(reply.entry.event, type=Event)
    plan = msgspec.msgpack.decode(reply.plan.event, type=Event)
    assert isinstance(event, UsageRecorded)
    assert isinstance(plan, PlanDeclared)
    assert (event.quantities, plan.product) == ((100, 20), "chat")


async def test_the_identity_is_revealed_where_asked_for(sealed: Sealed) -> None:
    await sealed.caller.grant("acme", 1_000, request_id="grant-1")
    await sealed.seal()
    reply = await sealed.ask("acme", usage=USAGE, reveal_identity=True)
    proof = decode_proof(reply.document)
    assert faults_of(proof, KEYS) == []
    assert (proof.identity.source, proof.identity.id) == ("gateway", "evt-1")
    reply = await sealed.ask("acme", request_id="grant-1", reveal_identity=True)
    proof = decode_proof(reply.document)
    assert faults_of(proof, KEYS) == []
    assert (proof.identity.kind, proof.identity.id) == ("request", "grant-1")
    assert not reply.HasField("plan")


async def test_what_is_not_sealed_yet_says_so(sealed: Sealed) -> None:
    refusal = await api.refusal_of(sealed.ask("acme", usage=USAGE))
    assert refusal.reason == "NOT_SEALED"
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.retry_after_us > 0


async def test_entries_of_another_family_are_not_shown(sealed: Sealed) -> None:
    """By number, each family sees its own entries; configuration, books and others', nobody."""
    await sealed.seal()
    seen: dict[str, set[tuple[int, int]]] = {}
    for account in ("acme", "zeta"):
        shard = (await sealed.ask(account, usage=USAGE)).seal.shard
        last = await sealed.seals.last(shard)
        assert last is not None
        for number in range(last.seal.next_entry):
            if await sealed.shows(account, shard, number):
                seen.setdefault(account, set()).add((shard, number))
    assert len(seen["acme"]) == len(seen["zeta"]) == 3  # created, used, over every limit
    assert not seen["acme"] & seen["zeta"]
    refusal = await api.refusal_of(sealed.ask("acme", entry=pb.EntryNumber(shard=9)))
    assert refusal.reason == "ENTRY_UNKNOWN"


async def test_what_is_wrong_with_a_request_is_named(sealed: Sealed) -> None:
    for key, reason in (
        ({}, "FIELD_REQUIRED"),
        ({"usage": pb.UsageKey(source="gateway")}, "FIELD_REQUIRED"),
        ({"request_id": "x" * 129}, "TEXT_TOO_LONG"),
        ({"entry": pb.EntryNumber(shard=0, entry_seq=-1)}, "NUMBER_OUT_OF_RANGE"),
        ({"request_id": "nothing"}, "ENTRY_UNKNOWN"),
        ({"usage": pb.UsageKey(source="gateway", id="evt-2")}, "ENTRY_UNKNOWN"),
    ):
        assert (await api.refusal_of(sealed.ask("acme", **key))).reason == reason, key
    assert (await api.refusal_of(sealed.ask("nobody", usage=USAGE))).reason == "ACCOUNT_UNKNOWN"


async def test_seals_and_keys_are_listed_for_whoever_keeps_them(sealed: Sealed) -> None:
    await sealed.seal()
    journal = sealed.caller.journal
    keys = await journal.GetSealKeys(pb.GetSealKeysRequest(tenant=api.TENANT))
    assert keys.instance == INSTANCE
    assert [each.public_key for each in keys.keys] == KEYS
    assert keys.keys[0].key_id == key_id_of(KEY.public_key)
    shard = (await sealed.ask("acme", usage=USAGE)).seal.shard
    await sealed.caller.ingest(api.event("evt-2", "acme"))
    await sealed.seal()

    async def listed(**page: Any) -> list[pb.Seal]:
        request = pb.ListSealsRequest(tenant=api.TENANT, shard=shard, **page)
        reply = await journal.ListSeals(request)
        if not reply.next_page_token:
            return list(reply.seals)
        assert len(reply.seals) == page["page_size"]
        return [*reply.seals, *await listed(**{**page, "page_token": reply.next_page_token})]

    first, second = await listed()
    assert await listed(page_size=1) == [first, second]
    assert await listed(after_seal_seq=1) == [second]
    assert await listed(after_seal_seq=2) == []
    read = Seal(**{name: getattr(second, name) for name in Seal.__struct_fields__})
    assert read.signed_by(KEY.public_key)
    for wrong in ({"shard": 4}, {"after_seal_seq": -1}, {"page_size": -1}, {"page_token": "x"}):
        request = pb.ListSealsRequest(tenant=api.TENANT, **wrong)
        await api.refusal_of(journal.ListSeals(request))
