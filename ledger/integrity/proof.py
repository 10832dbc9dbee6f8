"""One entry of a journal, its audit path and its seal: proof that it was recorded, as it stands.

A proof is a JSON document that says nothing of anybody else; bytes are base64. Whoever holds the
installation's public key checks it with `faults_of` alone, without a network, a database or any
trust in whoever made it. Pure. docs/integrity.md says the same for other languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from ledger.core.identity import FamilyDigest
from ledger.integrity.keys import key_id_of
from ledger.integrity.leaves import SALT_BYTES, batch_prefix, leaf
from ledger.integrity.merkle import HASH_BYTES, leaf_hash, root_from
from ledger.integrity.seal import Seal, SealMalformed

PROOF_FORMAT: Final = "drawdown.proof.1"
EVENTS_FORMAT: Final = 1  # an event is a msgpack array: tag, then fields
PROOF_BYTES_MAX: Final = 1 << 20

PLAN_TAG: Final = 30
PLAN_TAGS: Final = (PLAN_TAG, 56)  # 56: with the overrides that count
PLAN_FIELD: Final = {
    31: 4, 32: 4, 34: 6, 38: 4, 39: 4, 40: 4, 41: 3, 44: 4, 45: 4, 46: 4,
    48: 4, 57: 4, 59: 4, 66: 4, 77: 4, 82: 4, 83: 4, 96: 3, 104: 3, 117: 4, 146: 4,
    147: 4, 149: 4, 150: 4, 152: 4, 153: 4, 156: 3, 163: 4, 164: 3, 165: 4, 167: 4, 168: 4,
    169: 4, 170: 3, 171: 4, 172: 6, 173: 4, 182: 4, 183: 4, 184: 3, 188: 4, 194: 4,
}  # fmt: skip
"""Tag of an event that names a plan -> where in its array the plan's index in the batch stands."""


class ProofMalformed(ValueError):
    """This is no proof document."""


class ProvenEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry: where it stands, when it was recorded (microseconds UTC), and what it says."""

    format: int
    batch_seq: int
    first_event: int
    recorded_at_us: int
    entry_seq: int
    salt: bytes
    event: bytes
    path: list[bytes]

    def leaf(self, shard: int) -> bytes:
        """The bytes whose hash is the leaf of this entry."""
        prefix = batch_prefix(
            self.format, shard, self.batch_seq, self.first_event, self.recorded_at_us
        )
        return leaf(prefix, self.entry_seq, self.salt, self.event)


class IdentityKind(StrEnum):
    """What an id names: a usage event of a source (rule I1), or another call (rule I5)."""

    USAGE = "usage"
    REQUEST = "request"


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose entry it is, where the ledger was asked to reveal it: with the family's key anyone can
    make the digest that the event holds. `source` is "" for a request id (rules I1, I5)."""

    kind: IdentityKind
    source: str
    id: str
    family_key: bytes

    def digest(self) -> bytes:
        """The key of the event that this names."""
        family = FamilyDigest(self.family_key)
        return (
            family.usage(self.source, self.id) if self.kind == "usage" else family.request(self.id)
        )


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document. `plan` is the entry that says how the event was described and priced."""

    format: str
    seal: Seal
    entry: ProvenEntry
    plan: ProvenEntry | None = None
    identity: Identity | None = None


def encode_proof(proof: Proof) -> bytes:
    """As JSON, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(proof), indent=2) + b"\n"


def decode_proof(document: bytes) -> Proof:
    """Raises ProofMalformed."""
    if len(document) > PROOF_BYTES_MAX:
        raise ProofMalformed(f"{len(document)} bytes; a proof has {PROOF_BYTES_MAX} at most")
    try:
        return msgspec.json.decode(document, type=Proof)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofMalformed(f"no proof: {error}") from error


def faults_of(proof: Proof, public_keys: Sequence[bytes]) -> list[str]:
    """What is wrong with a proof for someone who trusts these public keys; [] = it holds."""
    try:
        return _faults_of(proof, public_keys)
    except (SealMalformed, ProofMalformed) as error:
        return [str(error)]


def _faults_of(proof: Proof, public_keys: Sequence[bytes]) -> list[str]:
    if proof.format != PROOF_FORMAT:
        return [f"format {proof.format!r}; this version knows {PROOF_FORMAT}"]
    seal = proof.seal
    message = seal.message()
    assert message
    keys = [key for key in public_keys if key_id_of(key) == seal.key_id]
    if not keys:
        return [f"the seal is signed by key {seal.key_id.hex()}, which is none of those trusted"]
    if not any(seal.signed_by(key) for key in keys):
        return ["the signature of the seal does not hold"]
    faults = [f"entry: {fault}" for fault in _faults_of_entry(proof.entry, seal)]
    if faults:
        return faults  # what is not proven is not read either
    faults += _faults_of_plan(proof)
    if proof.identity is not None and field_of(proof.entry.event, 1) != proof.identity.digest():
        faults.append("identity: the event was recorded under another identity")
    return faults


def _faults_of_entry(entry: ProvenEntry, seal: Seal) -> list[str]:
    if entry.format != EVENTS_FORMAT:
        return [f"events of format {entry.format}; this version knows {EVENTS_FORMAT}"]
    if len(entry.salt) != SALT_BYTES or any(len(each) != HASH_BYTES for each in entry.path):
        return ["a salt or hash of a wrong length"]
    if not seal.first_batch <= entry.batch_seq <= seal.last_batch:
        return [f"batch {entry.batch_seq} is not among those sealed"]
    if not seal.first_entry <= entry.first_event <= entry.entry_seq < seal.next_entry:
        return [f"entry {entry.entry_seq} is not among those sealed"]
    try:
        hashed = leaf_hash(entry.leaf(seal.shard))
    except Exception as error:  # struct: an integer beyond 64 bits
        raise ProofMalformed(f"no entry has such figures: {error}") from error
    root = root_from(hashed, entry.entry_seq - seal.first_entry, seal.entries, entry.path)
    return [] if root == seal.merkle_root else ["its path does not lead to the sealed root"]


def _faults_of_plan(proof: Proof) -> list[str]:
    """The plan is of the same batch, at the index that the event names, and is one."""
    entry, plan = proof.entry, proof.plan
    place = PLAN_FIELD.get(tag_of(entry.event))
    if place is None:
        return ["plan: the event names none"] if plan is not None else []
    if plan is None:
        return ["plan: the event names one, which is missing"]
    faults = _faults_of_entry(plan, proof.seal)
    if faults:
        return [f"plan: {fault}" for fault in faults]
    if _batch_of(plan) != _batch_of(entry):
        faults.append("is of another batch")
    if plan.entry_seq != entry.first_event + field_of(entry.event, place):
        faults.append("is not the one that the event names")
    if tag_of(plan.event) not in PLAN_TAGS:
        faults.append("declares none")
    return [f"plan: {fault}" for fault in faults]


def _batch_of(entry: ProvenEntry) -> tuple[int, int, int, int]:
    return entry.format, entry.batch_seq, entry.first_event, entry.recorded_at_us


def tag_of(event: bytes) -> int:
    """The tag of an encoded event. Raises ProofMalformed."""
    tag = field_of(event, 0)
    if not isinstance(tag, int):
        raise ProofMalformed("an event begins with its tag")
    return tag


def field_of(event: bytes, place: int) -> Any:
    """One place of an encoded event's array, None where it has none. Raises ProofMalformed."""
    try:
        fields: list[Any] = msgspec.msgpack.decode(event, type=list)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofMalformed(f"an event is a msgpack array: {error}") from error
    return fields[place] if place < len(fields) else None
