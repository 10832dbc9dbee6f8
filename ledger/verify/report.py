"""What `verify` says: findings, and what it looked at."""

from __future__ import annotations

from typing import Any, Final

import msgspec

FINDINGS_MAX: Final = 100  # a shard; what is beyond is counted


class Finding(msgspec.Struct, frozen=True):
    """One difference. `batch` is the batch_seq at which it showed, 0 where there is none."""

    shard: int
    batch: int
    what: str
    expected: str
    found: str


class ShardReport(msgspec.Struct):
    """What was read of one shard.

    `projected` = entries that its read models hold, `checkpointed` = those that its checkpoint
    covers; None without.

    Counts are of this run: from the mark on where it began at one. `unsealed_entries` are chained,
    but under no seal yet. `holds_overdue` are due and not yet swept.
    """

    shard: int
    batches: int = 0
    entries: int = 0
    usage_events: int = 0
    head_hash: str = ""
    projected: int | None = None
    checkpointed: int | None = None
    started_at_batch: int = 0
    seals: int = 0
    sealed_batches: int = 0
    unsealed_entries: int = 0
    holds_open: int = 0
    holds_overdue: int = 0
    findings_not_listed: int = 0


class Report(msgspec.Struct):
    """The whole result: `ok` is true where everything that was looked at agrees with itself.

    `mode` is full or incremental; `not_checked` says what this run cannot know, `notes` what a
    reader should.
    """

    ok: bool
    shards: list[ShardReport]
    findings: list[Finding]
    mode: str = "full"
    checked: list[str] = []
    not_checked: list[str] = []
    notes: list[str] = []

    def document(self) -> dict[str, Any]:
        """For JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


class Findings:
    """Gathers what is found in one shard, so much of it as a person may read."""

    __slots__ = ("batch", "found", "report")

    def __init__(self, report: ShardReport) -> None:
        self.report = report
        self.found: list[Finding] = []
        self.batch = 0  # where we are

    def add(self, what: str, expected: object, found: object) -> None:
        """A difference."""
        if len(self.found) >= FINDINGS_MAX:
            self.report.findings_not_listed += 1
            return
        self.found.append(
            Finding(self.report.shard, self.batch, what, _shown(expected), _shown(found))
        )

    def compare(self, what: str, expected: object, found: object) -> None:
        """A difference if there is one."""
        if expected != found:
            self.add(what, expected, found)


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
