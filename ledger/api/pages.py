"""Page tokens of listings that the edge pages itself: opaque, bound to what is listed."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from zlib import crc32

from ledger.api.errors import CallFailed
from ledger.core.limits import INT64_MAX

_CHARS_MAX: Final = 64


def page_token(listing: str, after: int) -> str:
    """The token of the page that begins after the item with this number."""
    body = b"%d" % after
    check = crc32(body, crc32(listing.encode()))
    return urlsafe_b64encode(b"%b.%d" % (body, check)).rstrip(b"=").decode()


def page_after(listing: str, token: str, most: int = INT64_MAX) -> int:
    """Where a page begins, at `most` there; 0 for the first. Raises CallFailed PAGE_INVALID."""
    if not token:
        return 0
    if len(token) <= _CHARS_MAX and token.isascii():
        try:
            body, _, _ = urlsafe_b64decode(token + "=" * (-len(token) % 4)).partition(b".")
            after = int(body)
        except ValueError:
            after = -1
        if 0 <= after <= most and page_token(listing, after) == token:
            return after
    raise page_invalid(token)


def page_invalid(token: str) -> CallFailed:
    """A text that is no token of what is listed."""
    return CallFailed(
        "PAGE_INVALID",
        "this is no page token of this listing; hand it back unchanged, with the same filter",
        field="page_token",
        value=token,
    )
