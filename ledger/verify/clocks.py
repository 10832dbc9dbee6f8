"""The clocks of tenants (rule T4): each entry is recorded by the clock of its own tenant, which was
moved by published configuration and nothing else, forward and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.core.events import (
    AccountCreated,
    ClockAdvanced,
    ConfigurationApplied,
    Event,
    TimeShifted,
)
from ledger.core.state import State
from ledger.verify.report import Findings

PublishedClocks = Mapping[tuple[int, int], int]
"""(tenant, version) -> offset, of configuration that moves a clock, as far as its body is whole."""


class ClockWatch:
    """Follows the clocks of one shard: `before` each entry is applied, then `batch`."""

    def __init__(self, findings: Findings, published: PublishedClocks) -> None:
        self._findings = findings
        self._published = published
        self._shifted = False  # the entry before says of which time those after it are
        self._due: tuple[int, int] | None = None  # a move that the next entry has to say

    def before(self, state: State, event: Event) -> None:
        """What the entry may not say, given what is there."""
        due, self._due = self._due, None
        if due is not None and not isinstance(event, ClockAdvanced):
            self._wrong(state, "entry after configuration", f"clock of tenant {due[0]}", event)
        if isinstance(event, ClockAdvanced):
            self._moved(state, event, due)
        elif isinstance(event, TimeShifted):
            self._look_at_shift(state, event)
            return
        elif isinstance(event, ConfigurationApplied):
            offset = self._published.get((event.tenant, event.version), 0)
            if offset > state.offsets.get(event.tenant, 0):
                self._due = (event.tenant, offset)
        if event.account:
            if isinstance(event, AccountCreated):
                tenant = event.tenant
            else:
                tenant = state.accounts[event.account].tenant
            expected = state.offsets.get(tenant, 0)
            if state.offset != expected:
                self._wrong(state, f"recorded ahead, tenant {tenant}", expected, state.offset)
        self._shifted = False

    def batch(self, state: State) -> None:
        """The batch is replayed: what was announced in it has come."""
        if self._shifted:
            self._wrong(state, "after a shift of time", "an entry", "the end of the batch")
        if self._due is not None:
            self._wrong(state, "entry after configuration", "a clock", "the end of the batch")
        self._shifted, self._due = False, None

    def _moved(self, state: State, event: ClockAdvanced, due: tuple[int, int] | None) -> None:
        before = state.offsets.get(event.tenant, 0)
        if event.offset <= before:
            self._wrong(state, f"clock of tenant {event.tenant}", f"after {before}", event.offset)
        if self._published and due != (event.tenant, event.offset):
            self._wrong(state, f"clock of tenant {event.tenant}", due, event.offset)

    def _look_at_shift(self, state: State, event: TimeShifted) -> None:
        if self._shifted:
            self._wrong(state, "after a shift of time", "an entry of that time", "another shift")
        if event.offset == state.offset or event.offset not in (0, *state.offsets.values()):
            self._wrong(state, "shift of time", "the offset of another tenant", event.offset)
        self._shifted = True

    def _wrong(self, state: State, what: str, expected: object, found: object) -> None:
        self._findings.add(f"entry {state.entry_seq}, {what}", expected, found)
