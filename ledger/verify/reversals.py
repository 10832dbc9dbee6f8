"""That what was given back had been drawn: each reversal beside the usage that it corrects (D3).

The replay judges a reversal by itself; here it meets the entry that it names, which may be 400 days
older, so it is read again at the end. Never more than was drawn, and the last slice first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.core.events import Event, GivenBack, Pot, Slice, UsageRecorded, UsageReversed
from ledger.core.outcomes import split_locator
from ledger.verify.report import Findings

_DEBT: Final = frozenset({Pot.OVERDRAFT, Pot.EXCESS_OWED})


class ReversalWatch:
    """Gathers the reversals of one shard, then judges them batch by batch of what they correct."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._of: dict[int, dict[int, list[tuple[int, UsageReversed]]]] = {}

    def reversed(self, entry_seq: int, event: UsageReversed) -> None:
        """A reversal, in order."""
        batch_seq, index = split_locator(event.original)
        self._of.setdefault(batch_seq, {}).setdefault(index, []).append((entry_seq, event))

    @property
    def batches(self) -> list[int]:
        """The batches that hold what was corrected."""
        return sorted(self._of)

    def judge(self, batch_seq: int, first_event: int, events: Sequence[Event]) -> None:
        """Compare the reversals of entries of this batch with those entries."""
        for index, reversals in self._of.pop(batch_seq).items():
            entry = reversals[0][0]
            recorded = events[index] if index < len(events) else None
            if not isinstance(recorded, UsageRecorded):  # or what rated such after it had waited
                self._wrong(entry, "original", "a usage event", type(recorded).__name__)
                continue
            self._judge(first_event + index, recorded, reversals)

    def end(self) -> None:
        """What is left names batches that the journal does not have."""
        for batch_seq, entries in self._of.items():
            for reversals in entries.values():
                self._wrong(reversals[0][0], "original", f"in batch {batch_seq}", "missing")

    def _judge(
        self, number: int, recorded: UsageRecorded, reversals: list[tuple[int, UsageReversed]]
    ) -> None:
        gone = suspended = 0
        quantities = [0] * len(recorded.quantities)
        for entry, event in reversals:
            for what, expected, found in (
                ("number of the original", number, event.original_entry),
                ("account of the original", recorded.account, event.account),
                ("effective time of the original", recorded.effective_at, event.effective_at),
                ("period of the original", recorded.period, event.period),
            ):
                if expected != found:
                    self._wrong(entry, what, expected, found)
            own = sum([piece.amount for piece in event.given_back]) + event.kept - event.beyond
            left = sum([slice_.amount for slice_ in recorded.slices]) - gone
            due = event.as_charged or min(sum(event.refunds), left)
            # What a line of a price model costs less may be more than it drew itself (rule R1).
            if own != due and not (event.draws and 0 <= own <= due):
                self._wrong(entry, "sum given back of its own", due, own)
            self._in_order(entry, recorded, gone, own, event)
            self._look_at_cost(entry, recorded, event)
            gone += own
            suspended += event.suspended
            for place, quantity in enumerate(event.quantities[: len(quantities)]):
                quantities[place] += quantity
            if any(a > b for a, b in zip(quantities, recorded.quantities, strict=True)):
                self._wrong(entry, "quantities given back", recorded.quantities, quantities)
            if suspended > bool(recorded.suspense):
                self._wrong(entry, "settled suspense", int(bool(recorded.suspense)), suspended)

    def _look_at_cost(self, entry: int, recorded: UsageRecorded, event: UsageReversed) -> None:
        """The provider takes less only of what it took, from the books that it was taken to."""
        back, cost = event.cost, recorded.cost
        if back is None or not back.total:
            return
        if cost is None:
            self._wrong(entry, "cost taken less", "none: it had no cost", back.total)
            return
        for what, expected, found in (
            ("cost book", cost.cost_book, back.cost_book),
            ("payable book", cost.payable_book, back.payable_book),
        ):
            if expected and expected != found:  # rounding may open them
                self._wrong(entry, what, expected, found)
        for place, (taken, less) in enumerate(zip(cost.lines, back.lines, strict=False)):
            if taken == -1 and less:
                self._wrong(entry, f"cost taken less, line {place}", "0: it was not known", less)

    def _in_order(
        self, entry: int, recorded: UsageRecorded, gone: int, own: int, event: UsageReversed
    ) -> None:
        """Its pieces are those of the slices that come next, from the last one on."""
        pieces = list(event.given_back)
        amounts = [piece.amount for piece in pieces]
        left, kept = own, event.kept
        for slice_ in reversed(recorded.slices):
            earlier = min(gone, slice_.amount)
            gone -= earlier
            wanted = min(slice_.amount - earlier, left)
            left -= wanted
            while wanted and pieces and _is_of(pieces[0], slice_):
                part = min(wanted, amounts[0])
                wanted -= part
                amounts[0] -= part
                if amounts[0] == 0:
                    del pieces[0], amounts[0]
            kept -= wanted
            if kept < 0:
                drawn = pieces[0].drawn if pieces else "nothing"
                self._wrong(entry, "book given back from", slice_.book, drawn)
                return
        if left:
            self._wrong(entry, "given back of what was drawn", own - left, own)

    def _wrong(self, entry: int, what: str, expected: object, found: object) -> None:
        self._findings.add(f"entry {entry}, {what}", expected, found)


def _is_of(piece: GivenBack, slice_: Slice) -> bool:
    """Whether units may be those of a slice: from its book, or from who repaid its debt."""
    return piece.drawn == slice_.book or (slice_.pot in _DEBT and piece.debt >= 0)
