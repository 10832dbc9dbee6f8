"""What a family shares: with whom, and how much of it each may draw (rules D1, D8)."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from ledger.core.events.base import Fact
from ledger.core.events.windows import Window


class SharingMode(IntEnum):
    """With whom of the accounts below its own a grant is shared (rule D1)."""

    NONE = 1
    ALL = 2
    LISTED = 3  # with the accounts that are named, and with what is below them
    MATCHING = 4  # with accounts that bear one of the labels, and with what is below them


class Sharing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """With whom a grant is shared: `accounts` where they are listed, `labels` where they match."""

    mode: SharingMode
    accounts: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()


class CapTerms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How much an account, with all below it, may draw of what one above it shares (rule D8).

    The ceiling in the `window` is `limit` units, or numerator / denominator of what was granted;
    -1 and 0 / 0 = there is none. `reserved` units of one grant are for the account alone.
    """

    limit: int = -1
    numerator: int = 0
    denominator: int = 0
    window: Window = Window()
    reserved: int = 0


class SharingUpdated(Fact, frozen=True, tag=105):
    """A grant is shared otherwise from now on; slices drawn before stay (rules D1, D3).

    Of a grant that a commitment or a recurring grant issued, so are all that it issued (`alike`),
    and will.
    """

    key: bytes
    account: int
    grant: int
    sharing: Sharing
    version: int
    alike: tuple[int, ...] = ()
    expected_version: int = 0
    trace: bytes = b""


class CapSet(Fact, frozen=True, tag=106):
    """An account `below` may draw so much of what `account` shares of an asset, or of one `grant`
    (0 = of all that it shares in the asset). Version 1 is a new cap, which counts from here on,
    with what holds reserve by then: in the windows `spans`, [since, end) each.
    """

    key: bytes
    account: int
    cap: int
    below: int
    asset: int
    grant: int
    terms: CapTerms
    version: int
    spans: tuple[tuple[int, int], ...] = ()
    expected_version: int = 0
    trace: bytes = b""


class CapBegun(CapSet, frozen=True, tag=143):
    """A new cap. What is given back of a draw before it counts nothing in it: neither did the draw.
    In one that an older journal has by `CapSet` it counts less."""


class CapRemoved(Fact, frozen=True, tag=107):
    """A cap binds no more, and what it reserved is there for all; its counter is gone."""

    key: bytes
    account: int
    cap: int
    expected_version: int = 0
    trace: bytes = b""


class CapWindowOpened(Fact, frozen=True, tag=108):
    """A cap counts in a new window [since, end) from here on: for the entry that follows, and for
    all of that time. So what an entry moves follows from its slices and its time alone (rule H5).
    """

    account: int
    cap: int
    since: int
    end: int
