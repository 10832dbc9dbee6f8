"""What a seal says, byte for byte, and whether its signature holds. Format 1, fixed for ever.

A seal covers the batches `first_batch` to `last_batch` of one shard, whole: their entries, the hash
of the last row, which chains every row before it, and the Merkle root over their leaves. It names
the seal before it, so that the seals of a shard are a chain of their own. Pure.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct as Layout
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

SEAL_FORMAT: Final = 1
SEAL_SEQ_FIRST: Final = 1
NO_SEAL: Final = bytes(32)  # `prev_seal` of a shard's first
DOMAIN: Final = b"drawdown.seal.1\x00"  # 16 bytes: what a signature of a seal begins with
HASH_PERSON: Final = b"drawdown.seal.1"

_BODY: Final = Layout(">16sq16s16sqqqqqqq32s32s32s")
_LENGTHS: Final = {
    "instance": 16,
    "key_id": 16,
    "head_hash": 32,
    "merkle_root": 32,
    "prev_seal": 32,
    "signature": 64,
}
_INT64: Final = range(-(2**63), 2**63)


class SealMalformed(ValueError):
    """A field has a length, a range or a format that no seal has."""


class Seal(Struct, frozen=True, forbid_unknown_fields=True):
    """One seal. `instance` is the installation's 16-byte id; entries run from `first_entry` to
    before `next_entry`; `sealed_at_us` is by the sealer's clock, and grows with `seal_seq`.
    """

    format: int
    instance: bytes
    key_id: bytes
    shard: int
    seal_seq: int
    first_batch: int
    last_batch: int
    first_entry: int
    next_entry: int
    sealed_at_us: int
    head_hash: bytes
    merkle_root: bytes
    prev_seal: bytes
    signature: bytes = bytes(64)

    @property
    def entries(self) -> int:
        """Leaves of the tree."""
        return self.next_entry - self.first_entry

    def message(self) -> bytes:
        """What is signed: DOMAIN, then every field but the signature. Raises SealMalformed.

        Integers take 8 bytes, big-endian and signed; the rest has a fixed length.
        """
        _check_shape(self)
        return _BODY.pack(
            DOMAIN,
            self.format,
            self.instance,
            self.key_id,
            self.shard,
            self.seal_seq,
            self.first_batch,
            self.last_batch,
            self.first_entry,
            self.next_entry,
            self.sealed_at_us,
            self.head_hash,
            self.merkle_root,
            self.prev_seal,
        )

    def hash(self) -> bytes:
        """What the next seal names: BLAKE2b-256 over message and signature."""
        digest = blake2b(digest_size=32, person=HASH_PERSON)
        digest.update(self.message())
        digest.update(self.signature)
        return digest.digest()

    def signed_by(self, public_key: bytes) -> bool:
        """Whether the signature is this key's, 32 bytes raw. Raises SealMalformed."""
        return signature_holds(public_key, self.signature, self.message())


def signature_holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature holds; a key of another length holds none."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _check_shape(seal: Seal) -> None:
    if seal.format != SEAL_FORMAT:
        raise SealMalformed(f"a seal of format {seal.format}; this version knows {SEAL_FORMAT}")
    for name, length in _LENGTHS.items():
        found = len(getattr(seal, name))
        if found != length:
            raise SealMalformed(f"{name} of a seal has {found} bytes, not {length}")
    for number in (
        seal.shard,
        seal.seal_seq,
        seal.first_batch,
        seal.last_batch,
        seal.first_entry,
        seal.next_entry,
        seal.sealed_at_us,
    ):
        if number not in _INT64:
            raise SealMalformed(f"{number} is no integer of a seal")
