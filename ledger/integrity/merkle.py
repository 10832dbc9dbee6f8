"""Merkle trees as RFC 6962 defines them (section 2.1), over BLAKE2b-256.

A leaf hash is H(0x00 || leaf), a node hash H(0x01 || left || right), both under the personalisation
`drawdown.mrkl.1`, so that no leaf can pass as a node. A tree over n leaves splits at the largest
power of two below n. Pure: it knows nothing of journals.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

HASH_BYTES: Final = 32
PERSON: Final = b"drawdown.mrkl.1"
CHUNK_LEAVES: Final = 1_024
"""A power of two. The roots of aligned chunks of that many leaves are nodes of the tree over all,
so whoever keeps them (32 bytes for 1,024 leaves) proves a leaf by hashing one chunk again."""

_LEAF: Final = blake2b(b"\x00", digest_size=HASH_BYTES, person=PERSON)
_NODE: Final = blake2b(b"\x01", digest_size=HASH_BYTES, person=PERSON)


def leaf_hash(leaf: bytes) -> bytes:
    """H(0x00 || leaf)."""
    digest = _LEAF.copy()
    digest.update(leaf)
    return digest.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """H(0x01 || left || right)."""
    digest = _NODE.copy()
    digest.update(left)
    digest.update(right)
    return digest.digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these leaf hashes (or aligned subtree roots), at least one."""
    assert hashes, "a tree has at least one leaf"
    level = list(hashes)
    while len(level) > 1:
        level = _above(level)
    return level[0]


def audit_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root, lowest first."""
    assert 0 <= index < len(hashes), (index, len(hashes))
    path: list[bytes] = []
    level = list(hashes)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        level = _above(level)
        index >>= 1
    return path


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a leaf hash leads to as leaf `index` of `size`; None where the path cannot be.

    The verification of RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    hashed = leaf
    last = size - 1
    for beside in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            hashed = node_hash(beside, hashed)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, beside)
        index >>= 1
        last >>= 1
    return hashed if last == 0 else None


class Chunks:
    """A tree built leaf by leaf: keeps the roots of whole chunks, and the leaves of the last."""

    __slots__ = ("_open", "_roots")

    def __init__(self) -> None:
        self._roots: list[bytes] = []
        self._open: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """The next leaf hash."""
        self._open.append(leaf)
        if len(self._open) == CHUNK_LEAVES:
            self._roots.append(root_of(self._open))
            self._open = []

    def __len__(self) -> int:
        return len(self._roots) * CHUNK_LEAVES + len(self._open)

    def roots(self) -> list[bytes]:
        """The root of each chunk, the last one perhaps of fewer leaves."""
        return [*self._roots, root_of(self._open)] if self._open else list(self._roots)


def _above(level: Sequence[bytes]) -> list[bytes]:
    """The level above: pairs become nodes, an odd one out goes up as it is."""
    pairs = iter(level)
    above = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above
