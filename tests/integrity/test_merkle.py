"""The tree is RFC 6962's: vectors by hand, every size and leaf, and one way to each root."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from ledger.integrity.leaves import Salts, batch_prefix, leaf
from ledger.integrity.merkle import (
    CHUNK_LEAVES,
    Chunks,
    audit_path,
    leaf_hash,
    node_hash,
    root_from,
    root_of,
)


def hashed(data: bytes) -> bytes:
    return blake2b(data, digest_size=32, person=b"drawdown.mrkl.1").digest()


def test_vectors_that_were_made_by_hand() -> None:
    """Computed apart from this code, by the definition; a change here breaks every proof."""
    assert leaf_hash(b"").hex() == hashed(b"\x00").hex()
    assert leaf_hash(b"a") == hashed(b"\x00a")
    a, b, c, d, e = (hashed(b"\x00" + each) for each in (b"a", b"b", b"c", b"d", b"e"))
    ab, cd = hashed(b"\x01" + a + b), hashed(b"\x01" + c + d)
    abcd = hashed(b"\x01" + ab + cd)
    assert root_of([a]) == a
    assert root_of([a, b]) == ab
    assert root_of([a, b, c]) == hashed(b"\x01" + ab + c)
    assert root_of([a, b, c, d]) == abcd
    assert root_of([a, b, c, d, e]) == hashed(b"\x01" + abcd + e)
    assert audit_path([a, b, c, d, e], 2) == [d, ab, e]
    assert audit_path([a, b, c, d, e], 4) == [abcd]
    assert root_of([a, b, c]).hex() == VECTOR


VECTOR = "a83cd8fd93bc69c4f50def91611b30908c9475838e5394b5e57254bf2ce79bdd"


def defined(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(defined(hashes[:split]), defined(hashes[split:]))


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(size)]


def test_every_leaf_of_every_small_tree() -> None:
    for size in range(1, 70):
        hashes = leaves(size)
        root = root_of(hashes)
        assert root == defined(hashes)
        for index in range(size):
            path = audit_path(hashes, index)
            assert root_from(hashes[index], index, size, path) == root


@given(size=st.integers(1, 5_000), data=st.data())
def test_any_leaf_of_any_tree(size: int, data: st.DataObject) -> None:
    """By way of the chunks that a seal keeps, as proofs are made."""
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    chunks = Chunks()
    for each in hashes:
        chunks.add(each)
    roots = chunks.roots()
    root = root_of(roots)
    assert len(chunks) == size
    assert root == root_of(hashes)
    number, place = divmod(index, CHUNK_LEAVES)
    chunk = hashes[number * CHUNK_LEAVES : (number + 1) * CHUNK_LEAVES]
    path = [*audit_path(chunk, place), *audit_path(roots, number)]
    assert path == audit_path(hashes, index)
    assert root_from(hashes[index], index, size, path) == root


@given(size=st.integers(1, 300), data=st.data())
def test_nothing_else_leads_to_the_root(size: int, data: st.DataObject) -> None:
    """Another leaf, place, size or length of the path, or any bit of it."""
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root, path = root_of(hashes), audit_path(hashes, index)
    assert root_from(leaf_hash(b"another"), index, size, path) != root
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else size
    assert root_from(hashes[index], other, size, path) != root
    assert root_from(hashes[index], index, size, [*path, bytes(32)]) is None
    assert root_from(hashes[index], -1, size, path) is None
    assert root_from(hashes[index], size, size, path) is None
    if path:
        assert root_from(hashes[index], index, size, path[:-1]) != root
        where = data.draw(st.integers(0, len(path) * 256 - 1))
        bent = [bytearray(each) for each in path]
        bent[where // 256][where % 256 // 8] ^= 1 << where % 8
        assert root_from(hashes[index], index, size, [bytes(each) for each in bent]) != root


def test_a_node_never_passes_as_a_leaf() -> None:
    left, right = leaves(2)
    assert leaf_hash(left + right) != node_hash(left, right)


def test_the_bytes_of_a_leaf() -> None:
    """docs/integrity.md says this to other languages."""
    prefix = batch_prefix(1, 2, 3, 4, 5)
    made = leaf(prefix, 6, b"s" * 16, b"event")
    numbers = b"".join(number.to_bytes(8, "big") for number in (1, 2, 3, 4, 5, 6))
    assert made == numbers + b"s" * 16 + b"event"


def test_salts_are_of_the_secret_and_the_entry_alone() -> None:
    secret = bytes(range(32))
    salts = Salts(secret)
    in_order = [salts.of(entry) for entry in range(9)]
    block = blake2b((1).to_bytes(8, "big"), digest_size=64, key=secret, person=b"drawdown.salt.1")
    assert in_order[4:8] == [block.digest()[at : at + 16] for at in range(0, 64, 16)]
    assert [Salts(secret).of(entry) for entry in reversed(range(9))] == in_order[::-1]
    assert len({*in_order, *(Salts(bytes(32)).of(entry) for entry in range(9))}) == 18
