"""Digests of identities: by what a thing is known that was recorded (rules I1, I5).

A key digest is keyed with the family's own key, so that it tells nothing once that key is erased.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

KEY_BYTES = 16


def source_prefix(source: str) -> bytes:
    """What the digest of a usage event begins with: the source, length-prefixed."""
    head = source.encode()
    return b"u%d:%b" % (len(head), head)


class FamilyDigest:
    """Digests of one family's identities: BLAKE2b-128 under the family's key."""

    __slots__ = ("_base", "usage_after")

    def __init__(self, family_key: bytes) -> None:
        base = self._base = blake2b(key=family_key, digest_size=KEY_BYTES)

        def usage_after(prefix: bytes, event_id: str) -> bytes:
            digest = base.copy()
            digest.update(prefix + event_id.encode())
            return digest.digest()

        # As `usage` where many events share a source: `prefix` is `source_prefix(source)`. One
        # object for all accounts of a family, as it is looked at with each event.
        self.usage_after: Callable[[bytes, str], bytes] = usage_after

    def usage(self, source: str, event_id: str) -> bytes:
        """Key of a usage event (rule I1)."""
        return self.usage_after(source_prefix(source), event_id)

    def request(self, request_id: str) -> bytes:
        """Key of a request id (rule I5): its scope is tenant and family."""
        return self._text(b"r", request_id)

    def level(self, named: bytes) -> int:
        """Key of a level of a meter, apart from those of price rows: 62 bits and the one above."""
        digest = self._base.copy()
        digest.update(b"m" + named)
        return int.from_bytes(digest.digest()[:8], "big") >> 2 | 1 << 62

    def external(self, external_key: str) -> bytes:
        """Digest of a grant's permanent key; b"" where it has none."""
        return self._text(b"g", external_key) if external_key else b""

    def operation(self, operation: str, parent: str = "") -> bytes:
        """Digest of an operation, and behind it that of its parent; b"" where there is none."""
        if not operation:
            return b""
        digest = self._text(b"o", operation)
        return digest + self._text(b"o", parent) if parent else digest

    def pairs(self, pairs: tuple[tuple[str, str], ...]) -> bytes:
        """Digest of personal attributes or of a profile, sorted by name; b"" where empty."""
        if not pairs:
            return b""
        digest = self._base.copy()
        digest.update(b"p")
        for name, value in pairs:
            for text in (name.encode(), value.encode()):
                digest.update(b"%d:%b" % (len(text), text))
        return digest.digest()

    def _text(self, kind: bytes, text: str) -> bytes:
        digest = self._base.copy()
        digest.update(kind + text.encode())
        return digest.digest()
