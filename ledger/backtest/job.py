"""What a process is told, and what it says, one JSON document a line."""

from __future__ import annotations

import msgspec

from ledger.backtest.candidate import Candidate
from ledger.backtest.figures import Figures
from ledger.backtest.terms import Terms


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Shards for one process. Times are microseconds; None = from the beginning, to the end."""

    dsn: str
    shards: list[int]
    from_us: int | None
    to_us: int | None
    candidate: Candidate
    terms: Terms
    niceness: int = 0
    accounts_max: int


class Said(msgspec.Struct, omit_defaults=True):
    """How far a shard is; or, last, what was found in all of them; or why that is not known."""

    shard: int = 0
    done: int = 0
    total: int = 0
    figures: Figures | None = None
    fault: str = ""
