"""Which public keys seal, and how one introduces the next. Format 1, fixed for ever.

The keys of an installation are a chain of records. Each is signed by the key that it introduces
and, but for the first, by one before it. So trust in any one of them reaches all that are linked to
it, in both directions, and a key that somebody slipped in is linked to none. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from struct import Struct as Layout
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from msgspec.structs import replace

from ledger.integrity.seal import Seal, signature_holds

KEY_FORMAT: Final = 1
KEY_SEQ_FIRST: Final = 1
KEY_ID_BYTES: Final = 16
DOMAIN: Final = b"drawdown.skey.1\x00"
PERSON: Final = b"drawdown.skey.1"
NOBODY: Final = bytes(KEY_ID_BYTES)  # `introduced_by` of the first key, and after a loss
NO_RECORD: Final = bytes(32)
NO_SIGNATURE: Final = bytes(64)

_BODY: Final = Layout(">16sq16sq16s32s16sq32s")


class KeyNotIntroduced(Exception):
    """The key is not among the installation's, or is older than one that sealed already."""


def key_id_of(public_key: bytes) -> bytes:
    """The first 16 bytes of BLAKE2b-256 over the raw public key."""
    return blake2b(public_key, digest_size=32, person=PERSON).digest()[:KEY_ID_BYTES]


class SealKey:
    """A private key in memory. Never shown, never stored by us but in the file made for it."""

    __slots__ = ("_private", "key_id", "public_key")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same for the same message."""
        return self._private.sign(message)

    def seal(self, seal: Seal) -> Seal:
        """The seal with this key's signature."""
        assert seal.key_id == self.key_id, (seal.key_id, self.key_id)
        return replace(seal, signature=self.sign(seal.message()))


class KeyRecord(Struct, frozen=True):
    """One public key of an installation: `key_seq` counts from 1, `prev_hash` is of the record
    before. `old_signature` is by the key `introduced_by`, both zero where nobody vouches."""

    format: int
    instance: bytes
    key_seq: int
    key_id: bytes
    public_key: bytes
    introduced_by: bytes
    introduced_at_us: int
    prev_hash: bytes
    old_signature: bytes = NO_SIGNATURE
    signature: bytes = NO_SIGNATURE

    def message(self) -> bytes:
        """What both keys sign: DOMAIN, then every field but the signatures, in order."""
        return _BODY.pack(
            DOMAIN,
            self.format,
            self.instance,
            self.key_seq,
            self.key_id,
            self.public_key,
            self.introduced_by,
            self.introduced_at_us,
            self.prev_hash,
        )

    def hash(self) -> bytes:
        """What the next record names: BLAKE2b-256 over message and both signatures."""
        digest = blake2b(digest_size=32, person=PERSON)
        for part in (self.message(), self.old_signature, self.signature):
            digest.update(part)
        return digest.digest()


def introduce(
    new: SealKey, old: SealKey | None, before: KeyRecord | None, instance: bytes, now_us: int
) -> KeyRecord:
    """The record of a new key. `old` vouches for it; None for the first, or where it is lost."""
    record = KeyRecord(
        KEY_FORMAT,
        instance,
        before.key_seq + 1 if before is not None else KEY_SEQ_FIRST,
        new.key_id,
        new.public_key,
        old.key_id if old is not None else NOBODY,
        max(now_us, before.introduced_at_us + 1) if before is not None else now_us,
        before.hash() if before is not None else NO_RECORD,
    )
    message = record.message()
    return replace(
        record,
        old_signature=old.sign(message) if old is not None else NO_SIGNATURE,
        signature=new.sign(message),
    )


def faults_of(record: KeyRecord, before: Sequence[KeyRecord], instance: bytes) -> list[str]:
    """What is wrong with a record that comes after those; [] where nothing is."""
    last = before[-1] if before else None
    faults = []
    if record.format != KEY_FORMAT:
        faults.append(f"format {record.format}")
    if record.instance != instance:
        faults.append("it is another installation's")
    if record.key_seq != len(before) + KEY_SEQ_FIRST:
        faults.append(f"key_seq {record.key_seq} does not follow {len(before)}")
    if record.key_id != key_id_of(record.public_key):
        faults.append("key_id is not its public key's")
    if record.prev_hash != (last.hash() if last is not None else NO_RECORD):
        faults.append("it does not name the record before it")
    if last is not None and record.introduced_at_us <= last.introduced_at_us:
        faults.append("it is no later than the record before it")
    if not signature_holds(record.public_key, record.signature, record.message()):
        faults.append("its own signature does not hold")
    faults += _faults_of_introduction(record, before)
    return faults


def trusted_keys(records: Sequence[KeyRecord], anchors: Iterable[bytes]) -> dict[bytes, bytes]:
    """key_id -> public key of every key that is linked to one of the public keys `anchors`.

    `records` have no faults. An anchor is trusted whether a record names it or not.
    """
    trusted = {key_id_of(public_key): public_key for public_key in anchors}
    islands: list[dict[bytes, bytes]] = []
    for record in records:
        linked = {record.key_id: record.public_key}
        for island in [each for each in islands if record.introduced_by in each]:
            islands.remove(island)
            linked |= island
        islands.append(linked)
    for island in islands:
        if not trusted.keys().isdisjoint(island):
            trusted |= island
    return trusted


def _faults_of_introduction(record: KeyRecord, before: Sequence[KeyRecord]) -> list[str]:
    if record.introduced_by == NOBODY:
        return ["a signature of nobody"] if record.old_signature != NO_SIGNATURE else []
    for each in before:
        if each.key_id == record.introduced_by:
            if signature_holds(each.public_key, record.old_signature, record.message()):
                return []
            return ["the signature of the key that introduces it does not hold"]
    return ["the key that introduces it is not known"]
