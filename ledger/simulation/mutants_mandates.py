"""Deliberate faults of mandates (rule H4).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_MANDATING: Final = "ledger.core.mandates.mandating"

MANDATES: Final = (
    Mutant(
        "revoked mandate said to have expired",
        _MANDATING,
        "first_mandate_denying",
        "if mandate.revoked_at:",
        "if False:",
        "a revocation counts from the next decision on",
    ),
    Mutant(
        "revoked mandate allows work",
        "ledger.core.evolve.mandates",
        "mandate_revoked",
        "replace(account.mandate, revoked_at=state.now)",
        "account.mandate",
        "a revocation counts from the next decision on",
    ),
    Mutant(
        "mandate above not asked",
        _MANDATING,
        "first_mandate_denying",
        "node = node.parent",
        "break",
        "all mandates above must allow",
    ),
    Mutant(
        "price of a mandate passed",
        _MANDATING,
        "_denies",
        "0 < terms.price_max < charge",
        "0 < terms.price_max < charge - 1",
        "no request costs more than its mandate says",
    ),
    Mutant(
        "products of a mandate not looked at",
        _MANDATING,
        "_denies",
        "if use is not None and terms.products and use.product not in terms.products:",
        "if False:",
        "a mandate is for its products",
    ),
    Mutant(
        "expired mandate goes on",
        "ledger.core.mandates.mandates",
        "Mandate.over",
        " or 0 < self.terms.expires_at <= now",
        "",
        "a mandate ends when it says",
    ),
    Mutant(
        "budget of a mandate passed",
        "ledger.core.budgets.budgeting",
        "first_exceeded",
        "if amount > left:",
        "if amount > left + 1:",
        "what a mandate may spend in all",
    ),
    Mutant(
        "more delegated than the mandate above may spend",
        _MANDATING,
        "exceeding",
        "if terms.budget > above.budget:",
        "if False:",
        "a mandate below allows no more",
    ),
    Mutant(
        "other products delegated",
        _MANDATING,
        "exceeding",
        "set(terms.products) <= set(above.products)",
        "True",
        "a mandate below allows no more",
    ),
    Mutant(
        "mandate that has ended delegates",
        _MANDATING,
        "_refuse_below",
        "if above.over(state.now):",
        "if False:",
        "a mandate that has ended delegates nothing",
    ),
    Mutant(
        "hold that was given up pends in its budget",
        "ledger.core.budgets.budget_counts",
        "_given_up",
        "moves.append(BudgetMove(number, *_kept(state, budget, span), 0, -pending))",
        "pass",
        "a hold of which nothing more is captured pends no more",
    ),
    Mutant(
        "mandate revoked twice",
        _MANDATING,
        "decide_revoke_mandate",
        "if mandate.revoked_at:",
        "if False:",
        "a mandate is revoked once",
    ),
)
