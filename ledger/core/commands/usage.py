"""Usage that is to be recorded."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import Level, Names
from ledger.core.events import UsageMetered
from ledger.core.shapes import Shape


class RecordUsage(msgspec.Struct, gc=False):
    """Record usage that has happened: it is never refused for lack of credits (rule D4)."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    names: Names
    operation: bytes = b""
    personal: bytes = b""
    trace: bytes = b""
    quote: int = 0  # that is to price it; only of the kinds below, as are
    levels: tuple[Level, ...] = ()  # over which its meters count


class MeteredUsage(RecordUsage, gc=False):
    """Usage whose meters count over levels (rules N4, R1)."""


class ReportGauge(RecordUsage, gc=False):
    """Say what a gauge shows: its scope is charged for the last report, once it has ended (T2).

    `gauge` is a digest that says whose level it is within the account; `scope` as of running totals
    (rating.functions).
    """

    gauge: int = 0
    scope: int = 0


class QuotedUsage(RecordUsage, gc=False):
    """Usage that names a quote (rule H9): of a kind of its own, for it is never usual."""


class LinkedUsage(RecordUsage, gc=False):
    """One event of a group that is recorded together or not at all; the group stands together."""

    follow: int = 0  # how many of the group follow


class RepriceUsage(RecordUsage, gc=False):
    """Record usage again that a job has given back, by a version of a card that the job names,
    whatever version is in force at its time (rule R7): same quantities, attributes and time.

    `taken` is the key of the reversal, without which nothing is recorded, `reversal_entry` its
    number where it stands in an earlier batch.
    """

    rate_card: str = ""
    card_version: int = 0
    job: str = ""
    original: int = 0  # batch << 20 | index
    original_entry: int = 0
    taken: bytes = b""
    reversal_entry: int = 0
    metered: UsageMetered | None = None  # what the usage before had counted over levels
