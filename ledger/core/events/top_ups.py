"""Top-ups: rules, what they asked for, and what came of it (rule H6)."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact


class TopUpRule(msgspec.Struct, frozen=True, array_like=True):
    """When an account is to buy units of an asset by itself, and how many (rule H6).

    Once less than `threshold` is available: up to `target`, or the least multiple of `amount` that
    reaches the threshold; one of the two is 0. A unit costs numerator / denominator minor units of
    money. At most `requests_max` in any `window` microseconds.
    """

    asset: int
    threshold: int
    target: int
    amount: int
    price_numerator: int
    price_denominator: int
    price_asset: int
    source: str  # where the payment comes from, as the caller names it
    requests_max: int
    window: int
    enabled: bool = True


class TopUpRuleSet(Fact, frozen=True, tag=90):
    """The whole new rule of an account for its asset; `version` counts on through removals."""

    key: bytes
    account: int
    rule: TopUpRule
    version: int
    expected_version: int = 0
    trace: bytes = b""


class TopUpRuleRemoved(Fact, frozen=True, tag=91):
    """The account buys no more units of the asset by itself."""

    key: bytes
    account: int
    asset: int
    trace: bytes = b""


class TopUpRequested(Fact, frozen=True, tag=92):
    """`available` and what pended of earlier top-ups fell below the threshold of the rule's
    `version`: one charge of `price_paid` is to be made for `amount` units (rule H6)."""

    account: int
    top_up: int
    asset: int
    amount: int
    price_paid: int
    price_asset: int
    source: str
    version: int
    available: str  # decimal: what is owed may not fit 64 bits (rule N1)
    expires_at: int


class TopUpConfirmed(Fact, frozen=True, tag=93):
    """The charge was made; the entry before issued its units as `grant`."""

    key: bytes
    account: int
    top_up: int
    grant: int
    trace: bytes = b""


class TopUpDeclined(Fact, frozen=True, tag=94):
    """The charge was refused; the next one is asked for an hour later at the earliest."""

    key: bytes
    account: int
    top_up: int
    trace: bytes = b""


class TopUpExpired(Fact, frozen=True, tag=95):
    """Nobody answered within a day: it counts as pending no more."""

    account: int
    top_up: int
