"""Rules that every directory applies alike: refusals, alias ranges, pages. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from ledger.journal.directory import (
    ID_BYTES_MAX,
    PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
    AccountPage,
    AccountProfile,
    AliasRange,
    Entry,
    Reason,
    Refused,
    is_valid_name,
)

_MESSAGES: Final = {
    Reason.TENANT_UNKNOWN: "no tenant {!r}",
    Reason.TENANT_EXISTS: "tenant {!r} exists with another kind",
    Reason.ID_INVALID: f"{{!r}} is no id: 1 to {ID_BYTES_MAX} bytes of UTF-8 without NUL",
    Reason.ACCOUNT_UNKNOWN: "no account {!r}",
    Reason.PARENT_UNKNOWN: "no account {!r} to be the parent",
    Reason.PARENT_DIFFERS: (
        "account {!r} was opened under another parent; use it as it is, or move it"
    ),
    Reason.NAME_IS_ALIAS: "{!r} is, or was, an alias of an account; choose another account id",
    Reason.NAME_IS_ACCOUNT: "{!r} is the id of an account; choose another alias",
    Reason.ALIAS_OVERLAPS: "alias {!r} stands for an account within that range already; end it",
    Reason.ALIAS_UNKNOWN: "no alias {!r} is in force just before that instant",
    Reason.RANGE_INVALID: "the range {} is empty: it must end after it begins",
    Reason.PAGE_INVALID: "{!r} is neither a page size (0 or more) nor a token of this listing",
}


def refused(reason: Reason, value: str) -> Refused:
    """A refusal with its message."""
    return Refused(reason, value, _MESSAGES[reason].format(value))


def meaning(ranges: Iterable[AliasRange], at_us: int) -> str | None:
    """The account id that these ranges of one alias give at that instant."""
    for found in ranges:
        ends = found.effective_to_us
        if found.effective_from_us <= at_us and (ends is None or at_us < ends):
            return found.account_id
    return None


def named_by(entry: Entry, ranges: Iterable[AliasRange], at_us: int) -> Entry:
    """The account that an alias means at that instant, with the seat that the alias names."""
    for found in ranges:
        ends = found.effective_to_us
        if found.seat and found.effective_from_us <= at_us and (ends is None or at_us < ends):
            return replace(entry, seat=(found.seat_attribute, found.seat))
    return entry


def check_alias(
    ranges: Sequence[AliasRange], wanted: AliasRange, *, name_is_account: bool
) -> Refused | None:
    """Whether the range may be added beside those that the alias has."""
    if not is_valid_name(wanted.alias):
        return refused(Reason.ID_INVALID, wanted.alias)
    ends = wanted.effective_to_us
    if ends is not None and ends <= wanted.effective_from_us:
        return refused(Reason.RANGE_INVALID, f"[{wanted.effective_from_us}, {ends})")
    if name_is_account:
        return refused(Reason.NAME_IS_ACCOUNT, wanted.alias)
    if any(_overlap(found, wanted) for found in ranges):
        return refused(Reason.ALIAS_OVERLAPS, wanted.alias)
    return None


def to_end(ranges: Iterable[AliasRange], effective_to_us: int) -> AliasRange | None:
    """The range that is in force up to that instant."""
    for found in ranges:
        ends = found.effective_to_us
        if found.effective_from_us < effective_to_us and (ends is None or effective_to_us <= ends):
            return found
    return None


def parse_page(page_size: int, page_token: str) -> tuple[int, str] | Refused:
    """(rows, the account id to go on after): 0 = default, too large = clamped, negative refused."""
    if page_size < 0:
        return refused(Reason.PAGE_INVALID, str(page_size))
    rows = min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    if not page_token:
        return rows, ""
    try:
        after = base64.urlsafe_b64decode(page_token.encode("ascii")).decode()
    except (UnicodeError, binascii.Error):
        return refused(Reason.PAGE_INVALID, page_token)
    return (rows, after) if is_valid_name(after) else refused(Reason.PAGE_INVALID, page_token)


def make_page(found: Sequence[AccountProfile], rows: int) -> AccountPage:
    """A page out of up to `rows` + 1 profiles: the one too many says that there is a next page."""
    page = tuple(found[:rows])
    if len(found) <= rows:
        return AccountPage(page, "")
    last = page[-1].entry.account_id
    return AccountPage(page, base64.urlsafe_b64encode(last.encode()).decode())


def _overlap(one: AliasRange, other: AliasRange) -> bool:
    one_ends, other_ends = one.effective_to_us, other.effective_to_us
    return (one_ends is None or other.effective_from_us < one_ends) and (
        other_ends is None or one.effective_from_us < other_ends
    )
