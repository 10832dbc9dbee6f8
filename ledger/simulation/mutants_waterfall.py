"""Deliberate faults of the waterfall: who pays, in which order, how much (rules B4, D1 to D4).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DRAWDOWN: Final = "ledger.core.drawing.drawdown"
_COMPARATORS: Final = "ledger.core.drawing.comparators"
_OPENING: Final = "ledger.core.opening"

WATERFALL: Final = (
    Mutant(
        "expired grant drawn",
        _DRAWDOWN,
        "may_pay",
        "grant.effective_at <= at < grant.expires_at",
        "grant.effective_at <= at",
        "rule D1",
    ),
    Mutant(
        "grant drawn before it takes effect",
        _DRAWDOWN,
        "may_pay",
        "grant.effective_at <= at < grant.expires_at",
        "at < grant.expires_at",
        "rule D1",
    ),
    Mutant(
        "grant drawn for a product that it does not cover",
        _DRAWDOWN,
        "may_pay",
        "return not grant.limited or applies(grant, use)",
        "return True",
        "rule D1",
    ),
    Mutant(
        "priority order reversed",
        _COMPARATORS,
        "drawdown",
        "grant.priority,",
        "-grant.priority,",
        "rule D2",
    ),
    Mutant(
        "latest expiry first",
        _COMPARATORS,
        "drawdown",
        "grant.expires_at,",
        "-grant.expires_at,",
        "rule D2",
    ),
    Mutant(
        "order of grants not renewed with the comparator",
        "ledger.core.evolve.accounts",
        "inherit",
        "if comparator != account.comparator:",
        "if False:",
        "rule D2",
    ),
    Mutant(
        "own comparator not looked at",
        "ledger.core.evolve.accounts",
        "inherited_comparator",
        "if policy.comparator:",
        "if False:",
        "rule D2",
    ),
    Mutant(
        "promotional after paid",
        _COMPARATORS,
        "stripe",
        "0 if grant.kind == GrantKind.PROMOTIONAL else 1",
        "1 if grant.kind == GrantKind.PROMOTIONAL else 0",
        "rule D2",
    ),
    Mutant(
        "order of grants not renewed after an issue",
        "ledger.core.evolve.moves",
        "activate",
        "account.unordered = True",
        "pass",
        "rule D2",
    ),
    Mutant(
        "held units drawn",
        _DRAWDOWN,
        "from_grants",
        "book.credits_posted - book.debits_posted - book.debits_pending",
        "book.credits_posted - book.debits_posted",
        "rule B6",
    ),
    Mutant(
        "overdraft limit off by one",
        _DRAWDOWN,
        "overdraft_headroom",
        "return max(0, limit - advance.owed - advance.debits_pending)",
        "return max(0, limit - advance.owed - advance.debits_pending + 1)",
        "rule D4",
    ),
    Mutant(
        "overdraft forgets its holds",
        _DRAWDOWN,
        "overdraft_headroom",
        "- advance.owed - advance.debits_pending",
        "- advance.owed",
        "rule D4",
    ),
    Mutant(
        "overage cap ignored",
        _DRAWDOWN,
        "overage_headroom",
        "if policy.overage_cap < 0:",
        "if True:",
        "rule D4",
    ),
    Mutant(
        "overage cap forgets holds",
        _DRAWDOWN,
        "overage_headroom",
        "- posted - pending",
        "- posted",
        "rule D4",
    ),
    Mutant(
        "overage billed to the child",
        _OPENING,
        "overage_payer",
        "== Overage.PARENT",
        "== Overage.OFF",
        "rule D1",
    ),
    Mutant(
        "excess absorbed instead of billed",
        _DRAWDOWN,
        "_excess",
        "if excess == Excess.BILL:",
        "if excess == Excess.ABSORB:",
        "rule D4",
    ),
    Mutant(
        "money recognised slice by slice",
        "ledger.core.holdings",
        "Grant.value_of",
        "return (self.price_paid - self.returned) * drawn // self.whole - self.recognised",
        "return self.price_paid * amount // self.amount",
        "rule B4",
    ),
)
