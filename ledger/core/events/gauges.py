"""Gauges: reports that charge nothing, and the one charge of a scope (rules T1, T2, R1)."""

from __future__ import annotations

from ledger.core.events.base import Fact
from ledger.core.events.usage import UsageCosted


class GaugeReported(Fact, frozen=True, tag=146):
    """What a gauge showed: its meter takes the latest value of a scope, which is charged once that
    has ended, with its grace (rule T2). This charges nothing.

    `gauge` says whose level it is, a digest under the family's key; the scope is [start, end).
    `before` and `after` are the levels: the last report by effective time, of one time the later
    recorded; () = none had come. The plan describes what it is usage of, by the card of then.
    """

    key: bytes
    account: int
    effective_at: int
    plan: int
    quantities: tuple[int, ...]
    gauge: int
    start: int
    end: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    effective_given: int = 1
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""


class GaugeCharged(UsageCosted, frozen=True, tag=147):
    """The charge of a gauge's scope, its level as usage of the scope's last instant, in the stead
    of the kinds of usage that carry as much (rules T2, R1).

    Nobody asked for it; its key follows from that of the `report` that it charges (a locator), so
    that it is corrected by that one's id. An account that was closed has its scopes end then:
    `effective_at` is before `end` - 1.
    """

    gauge: int = 0
    start: int = 0
    end: int = 0
    report: int = 0


class GaugeReversed(Fact, frozen=True, tag=148):
    """A report is taken back before its scope was charged: the level is that of the reports that
    are left, () = none is (rule D3). `original` is the report, as a locator and as its number, and
    `report` its key."""

    key: bytes
    account: int
    original: int
    original_entry: int
    report: bytes
    gauge: int
    start: int
    end: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    note: bytes = b""
    trace: bytes = b""
