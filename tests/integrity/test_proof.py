"""A proof holds for what was recorded and for nothing else; its format stays what it is."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core import events as e
from ledger.core.upcast import UPCASTS
from ledger.integrity.proof import (
    PLAN_FIELD,
    PLAN_TAG,
    Identity,
    IdentityKind,
    Proof,
    ProofMalformed,
    decode_proof,
    encode_proof,
    faults_of,
)
from ledger.integrity.prover import NotSealed, prove
from ledger.integrity.seal import Seal, SealMalformed
from ledger.journal.errors import JournalCorrupt
from tests.conftest import run_apart
from tests.integrity.journals import FAMILY_KEY, SHARD, Written, batch, small
from tests.integrity.sealing import KEY, OTHER_KEY

FIXTURES = Path(__file__).parent / "fixtures"
KEYS = [KEY.public_key]
REVEALED = Identity(IdentityKind.USAGE, "app", "evt-1-2", FAMILY_KEY)
PROVEN = 7 + 2 + 2  # the entry of evt-1-2


@pytest.fixture(scope="module")
def proof() -> Proof:
    async def make() -> Proof:
        written = await small()
        return await prove(written.journal, written.seals, PROVEN, REVEALED)

    return run_apart(make)


async def test_every_sealed_entry_can_be_proven() -> None:
    written = await small()
    for entry_seq in range(7 + 8 + 9 + 4 + 4):
        proof = await prove(written.journal, written.seals, entry_seq)
        assert faults_of(proof, KEYS) == []
        assert decode_proof(encode_proof(proof)) == proof
    with pytest.raises(NotSealed, match="sealed: up to entry 31"):
        await prove(written.journal, written.seals, 32)


async def test_entries_of_many_and_of_large_batches_can_be_proven() -> None:
    """Over several chunks of the tree, from the first entry to the last."""
    for sizes in ([1] * 700, [5_000], [900, 1, 1, 200, 1, 3_000]):
        written = Written()
        await written.sealer().introduce()
        await written.write(*[batch(number, size) for number, size in enumerate(sizes)])
        seal = await written.sealer().seal(written.journal)
        assert seal is not None
        for entry_seq in {0, 1, 900, 1_023, 1_024, 2_000, seal.next_entry - 1}:
            proof = await prove(written.journal, written.seals, entry_seq)
            assert proof.entry.entry_seq == entry_seq
            assert faults_of(proof, KEYS) == []


def test_a_proof_shows_the_event_and_its_plan_and_nothing_else(proof: Proof) -> None:
    assert proof.plan is not None
    event = msgspec.msgpack.decode(proof.entry.event, type=e.Event)
    plan = msgspec.msgpack.decode(proof.plan.event, type=e.Event)
    assert isinstance(event, e.UsageRecorded)
    assert isinstance(plan, e.PlanDeclared)
    assert (event.quantities, event.charges, plan.product) == ((5,), (15,), "chat")
    assert proof.plan.entry_seq == proof.entry.first_event + event.plan
    document = encode_proof(proof)
    for other in range(7):
        for each in batch(1, 7)[2:]:
            if msgspec.msgpack.encode(each) != proof.entry.event:
                assert b64encode(msgspec.msgpack.encode(each)) not in document, other


async def test_a_neighbour_that_is_easy_to_guess_cannot_be_confirmed() -> None:
    """Without the salt the hash of a leaf says nothing of an event that one knows in full."""
    written = await small()
    last = 7 + 7  # HoldExpired of batch 2, beside evt-1-4
    proof = await prove(written.journal, written.seals, last - 1)
    beside = await prove(written.journal, written.seals, last)
    guessed = replace(beside.entry, salt=proof.entry.salt)
    assert faults_of(replace(beside, entry=guessed), KEYS) != []


def test_identity_is_shown_only_where_asked_for(proof: Proof) -> None:
    assert faults_of(proof, KEYS) == []
    for other in (
        replace(REVEALED, id="evt-1-3"),
        replace(REVEALED, source="app2"),
        replace(REVEALED, kind=IdentityKind.REQUEST),
        replace(REVEALED, family_key=bytes(32)),
    ):
        assert faults_of(replace(proof, identity=other), KEYS) == [
            "identity: the event was recorded under another identity"
        ]


def test_only_a_trusted_key_proves(proof: Proof) -> None:
    assert "none of those trusted" in faults_of(proof, [OTHER_KEY.public_key])[0]
    assert faults_of(proof, []) != []
    forged = OTHER_KEY.seal(replace(proof.seal, key_id=OTHER_KEY.key_id))
    assert faults_of(replace(proof, seal=forged), KEYS) != []
    pretended = replace(forged, key_id=KEY.key_id)
    assert faults_of(replace(proof, seal=pretended), KEYS) == [
        "the signature of the seal does not hold"
    ]


async def test_a_plan_cannot_be_exchanged(proof: Proof) -> None:
    """Another plan of the same batch is sealed as well, but it is not the one that is named."""
    written = await small()
    first = (await prove(written.journal, written.seals, proof.entry.first_event)).entry
    assert faults_of(replace(proof, plan=first), KEYS) == [
        "plan: is not the one that the event names"
    ]
    elsewhere = (await prove(written.journal, written.seals, 1)).entry
    assert "plan: is of another batch" in faults_of(replace(proof, plan=elsewhere), KEYS)
    assert faults_of(replace(proof, plan=None), KEYS) == [
        "plan: the event names one, which is missing"
    ]
    bare = await prove(written.journal, written.seals, 0)
    assert faults_of(replace(bare, plan=first), KEYS) == ["plan: the event names none"]


def bends(value: Any) -> list[Any]:
    """The value with each part of it changed a little, one at a time."""
    match value:
        case bytes():
            return [
                value[:at] + bytes([value[at] ^ 1 << at % 8]) + value[at + 1 :]
                for at in range(len(value))
            ] + [value[:-1], value + b"\0"]
        case int():
            return [value + 1, value - 1, value ^ 1 << 40, -value - 1, 1 << 64]
        case str():
            return [value + " ", value[:-1]]
        case list():
            return [
                [*value[:at], bent, *value[at + 1 :]]
                for at, each in enumerate(value)
                for bent in bends(each)
            ] + [value[:-1], [*value, bytes(32)], value[::-1]]
        case msgspec.Struct():
            return [
                replace(value, **{name: bent})
                for name in value.__struct_fields__
                for bent in bends(getattr(value, name))
            ]
    raise AssertionError(value)


def test_no_part_of_a_proof_may_change(proof: Proof) -> None:
    """Every byte and figure of it, one after the other."""
    bent = bends(proof)
    assert len(bent) > 800
    for each in bent:
        assert faults_of(each, KEYS) != [], each


@given(data=st.data())
def test_no_altered_document_proves_something_else(proof: Proof, data: st.DataObject) -> None:
    document = bytearray(encode_proof(proof))
    at = data.draw(st.integers(0, len(document) - 1))
    document[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != document[at]))
    try:
        read = decode_proof(bytes(document))
    except ProofMalformed:
        return
    assert read == proof or faults_of(read, KEYS) != []  # spaces and unused bits of base64


@pytest.mark.parametrize(
    "document", [b"", b"{}", b"[]", b"\xff", b'{"format": 1}', b" " * (1 << 21)]
)
def test_what_is_no_proof(document: bytes) -> None:
    with pytest.raises(ProofMalformed):
        decode_proof(document)


def test_every_event_that_names_a_plan_is_known() -> None:
    """A new kind of event that names a plan needs its line in PLAN_FIELD."""
    fields = {
        event.__struct_config__.tag: event.__struct_fields__.index("plan") + 1
        for event in (*get_args(e.Event), *UPCASTS)
        if "plan" in event.__struct_fields__
    }
    assert fields == PLAN_FIELD
    assert e.PlanDeclared.__struct_config__.tag == PLAN_TAG


async def test_a_journal_that_changed_gives_no_proof() -> None:
    written = await small()
    store = written.journal._store
    row = store[SHARD, 2]
    store[SHARD, 2] = msgspec.structs.replace(row, recorded_at_us=row.recorded_at_us + 1)
    with pytest.raises(JournalCorrupt):
        await prove(written.journal, written.seals, PROVEN)


# -- formats, fixed for ever -----------------------------------------------------------------------


def test_the_first_format_of_a_proof_is_what_it_was(proof: Proof) -> None:
    """If this fails, a released format was edited: make a second one beside it instead."""
    released = (FIXTURES / "proof_v1.json").read_bytes()
    read = decode_proof(released)
    assert encode_proof(read) == released
    assert faults_of(read, KEYS) == []
    assert (proof.entry, proof.plan, proof.identity) == (read.entry, read.plan, read.identity)
    assert proof.seal.merkle_root == read.seal.merkle_root
    # The head hash is of compressed bytes, which another version of the compressor may make anew.
    assert KEY.seal(replace(proof.seal, head_hash=read.seal.head_hash)) == read.seal


def test_a_proof_can_be_checked_by_the_document_alone() -> None:
    """As docs/integrity.md says it, with nothing of ours: what another language has to do."""
    document = json.loads((FIXTURES / "proof_v1.json").read_text())
    seal, entry = document["seal"], document["entry"]

    def raw(text: str) -> bytes:
        import base64

        return base64.b64decode(text, validate=True)

    def number(value: int) -> bytes:
        return value.to_bytes(8, "big", signed=True)

    def hashed(data: bytes) -> bytes:
        return blake2b(data, digest_size=32, person=b"drawdown.mrkl.1").digest()

    message = b"drawdown.seal.1\0" + number(seal["format"]) + raw(seal["instance"])
    message += raw(seal["key_id"])
    for name in (
        "shard", "seal_seq", "first_batch", "last_batch", "first_entry", "next_entry",
        "sealed_at_us",
    ):  # fmt: skip
        message += number(seal[name])
    for name in ("head_hash", "merkle_root", "prev_seal"):
        message += raw(seal[name])
    Ed25519PublicKey.from_public_bytes(KEYS[0]).verify(raw(seal["signature"]), message)
    leaf = b"".join(
        number(each)
        for each in (
            entry["format"], seal["shard"], entry["batch_seq"], entry["first_event"],
            entry["recorded_at_us"], entry["entry_seq"],
        )
    ) + raw(entry["salt"]) + raw(entry["event"])  # fmt: skip
    node, index = hashed(b"\0" + leaf), entry["entry_seq"] - seal["first_entry"]
    last = seal["next_entry"] - seal["first_entry"] - 1
    for beside in map(raw, entry["path"]):
        if index % 2 or index == last:
            node = hashed(b"\1" + beside + node)
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            node = hashed(b"\1" + node + beside)
        index, last = index // 2, last // 2
    assert (node, last) == (raw(seal["merkle_root"]), 0)


def test_a_seal_that_no_version_made_is_malformed(proof: Proof) -> None:
    for change in ({"format": 2}, {"head_hash": b""}, {"shard": 1 << 63}, {"signature": b"s"}):
        bent: Seal = replace(proof.seal, **change)
        with pytest.raises(SealMalformed):
            bent.hash()
