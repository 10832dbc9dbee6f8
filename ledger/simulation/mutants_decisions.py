"""Deliberate faults of decisions: debits, and as much as is affordable (rules D4, H3, H4, I1).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DEBITS: Final = "ledger.core.decisions.debits"
_AFFORDING: Final = "ledger.core.decisions.affording"
_SHORTFALL: Final = "ledger.core.decisions.shortfall"
_RULING: Final = "ledger.core.decisions.ruling"
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
    Mutant(
        "rule looked at of work that the limits allow",
        _RULING,
        "_Case._unmet",
        "if rule.margin_floor < 0 and not self.denied:",
        "if False:",
        "a rule applies where a limit denies the work",
    ),
    Mutant(
        "rule for other products applied",
        _RULING,
        "_is_of",
        "if rule.products and shape.product not in rule.products:",
        "if False:",
        "the conditions of a rule",
    ),
    Mutant(
        "rules of an account that has its own taken from above",
        "ledger.core.evolve.decision_policies",
        "inherit_rules",
        "if standing is None and account.parent is not None:",
        "if account.parent is not None and account.parent.rules is not None:",
        "whose rules count",
    ),
    Mutant(
        "dearest alternative chosen",
        _RULING,
        "_Case._cheapest",
        "rank < best[0]",
        "rank > best[0]",
        "the cheapest alternative that every limit affords",
    ),
    Mutant(
        "alternative that may not run",
        _RULING,
        "_Case._refused",
        "if found.found.denied:",
        "if False:",
        "the cheapest alternative that every limit affords",
    ),
    Mutant(
        "quantities of an alternative rounded down",
        _RULING,
        "_Case._option",
        "-(-amount * become.permille // PERMILLE)",
        "amount * become.permille // PERMILLE",
        "quantities of an alternative, rounded up",
    ),
    Mutant(
        "overdrawn however long it is owed",
        _RULING,
        "_Case._overdraw",
        "elif rule.lasting and owed_since and owed_since + rule.lasting <= self.now:",
        "elif False:",
        "how long a rule lets an account be below zero",
    ),
    Mutant(
        "bound of a rule added to what is owed",
        "ledger.core.drawing.drawdown",
        "overdraft_headroom",
        "limit = max(limit, overdraw.bound)",
        "return overdraw.bound",
        "rule D4",
    ),
    Mutant(
        "top-up of a rule does not pay what is owed",
        _RULING,
        "missing_units",
        "found.charge - drawn - again + owed",
        "found.charge - drawn - again",
        "rule H6",
    ),
    Mutant(
        "bound of a rule not said to be the limit",
        _SHORTFALL,
        "_of_pots",
        "below = overdraw is not None and overdraw.asset == asset",
        "below = False",
        "a denial names the limit that decided it",
    ),
)
