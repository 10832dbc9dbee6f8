"""What the naive model keeps of contracts. Nothing of the core's code."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.core.events import Committed, ContractRollover
from ledger.simulation.naive_holdings import FOREVER, NaiveOverride

SIGNED, RUNNING, ENDED = 1, 2, 3


@dataclass
class NaiveContract:
    """A contract and the term of it that runs, or is to begin."""

    account: int
    name: str
    package: str
    version: int
    starts_at: int
    ends_at: int
    renews: bool
    rollover: ContractRollover | None
    committed: tuple[Committed, ...]  # of the term
    of_term: list[int]  # the commitments that are made of it
    before: list[int] = field(default_factory=list)  # those of the terms before
    term_start: int = 0
    overrides: list[NaiveOverride] = field(default_factory=list)  # all that it has said
    state: int = SIGNED
    revision: int = 1
    ended_at: int = 0

    @property
    def due(self) -> int:
        """When it begins, is renewed or ends."""
        if self.state == ENDED:
            return FOREVER
        return self.starts_at if self.state == SIGNED else self.ends_at

    @property
    def until(self) -> int:
        """When it is, or was, over."""
        return self.ended_at if self.state == ENDED else self.ends_at

    @property
    def commitments(self) -> list[int]:
        """All that it has made, in order."""
        return [*self.before, *self.of_term]

    def stand_until(self, ends_at: int) -> None:
        """Overrides that stand to its end stand to that."""
        for each in self.overrides:
            if each.ended_at == self.ends_at:
                each.ended_at = ends_at

    def overlaps(self, start: int, end: int) -> bool:
        """Whether the account has it at some instant of that time; one withdrawn is none."""
        return self.starts_at < self.until and start < self.until and self.starts_at < end

    def shown(self) -> tuple[object, ...]:
        """As a view shows it."""
        return (
            self.state, self.revision, self.package, self.version, self.starts_at, self.term_start,
            self.ends_at, self.renews, self.ended_at, tuple(self.commitments),
        )  # fmt: skip
