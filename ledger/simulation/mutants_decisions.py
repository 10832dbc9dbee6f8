"""Deliberate faults of decisions: debits, and as much as is affordable (rules D4, H3, H4, I1).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DEBITS: Final = "ledger.core.decisions.debits"
_AFFORDING: Final = "ledger.core.decisions.affording"
_SHORTFALL: Final = "ledger.core.decisions.shortfall"
_REPEATS: Final = "ledger.core.repeats"

DECISIONS: Final = (
    Mutant(
        "denied debit charged",
        _DEBITS,
        "decide_debit",
        "if found.denied:",
        "if found.denied and not found.slices:",
        "rule D4",
    ),
    Mutant(
        "one more than is affordable",
        _AFFORDING,
        "_Search._between",
        "return low",
        "return high",
        "rule D4",
    ),
    Mutant(
        "less than is affordable",
        _AFFORDING,
        "_Search._between",
        "while high - low > 1:",
        "while high - low > 2:",
        "as much as is affordable",
    ),
    Mutant(
        "range from zero all or nothing",
        _AFFORDING,
        "_Search._cuts",
        "if not any(self.with_(0)):",
        "if False:",
        "as much as is affordable",
    ),
    Mutant(
        "units to come of a grant that was voided",
        _SHORTFALL,
        "_funds_at",
        "if comes and not grant.settled",
        "if comes",
        "a denial says when more may be allowed",
    ),
    Mutant(
        "what was affordable taken for what was asked for",
        _REPEATS,
        "_work_differs",
        "kept = (*kept[:place], up_to.maximum, *kept[place + 1 :])",
        "pass",
        "rule I1",
    ),
    Mutant(
        "another minimum not a conflict",
        _REPEATS,
        "_work_differs",
        "if command.minimum != minimum:",
        "if False:",
        "rule I1",
    ),
)
