"""Deliberate faults of what agents buy (rules F1, H4).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_BUYING: Final = "ledger.core.mandates.buying"
_EVOLVE: Final = "ledger.core.evolve.mandates"

PURCHASES: Final = (
    Mutant(
        "purchase counted by the agent's own mandate alone",
        _EVOLVE,
        "purchase_requested",
        "_count(state, event.counted, event.price_paid, 1)",
        "_count(state, event.counted[:1], event.price_paid, 1)",
        "a purchase counts at the mandate and at every one above",
    ),
    Mutant(
        "purchase that was never paid counted on",
        _EVOLVE,
        "purchase_settled",
        "_count(state, grant.bought_by, -given_back, -1)",
        "_count(state, grant.bought_by, 0, -1)",
        "what is never paid, mandates count no more",
    ),
    Mutant(
        "purchase beyond a mandate's limit",
        _BUYING,
        "_refuse_price",
        "if price > left:",
        "if price > left + 1:",
        "an agent buys within its own limit and every one above",
    ),
    Mutant(
        "purchase billed to the agent's own account",
        _BUYING,
        "payer_of",
        "return outermost.parent if outermost.parent is not None else outermost",
        "return outermost",
        "the payer stands above all mandates of the line",
    ),
    Mutant(
        "revoked mandate buys on",
        _BUYING,
        "_refuse_asked",
        "if above.over(state.now):",
        "if False:",
        "a mandate that has ended buys nothing",
    ),
    Mutant(
        "what an agent bought that pays by itself kept from those below",
        "ledger.core.funding.caps",
        "covers",
        "if owner.number in sharing.accounts:",
        "if False:",
        "a purchase is for the agent that asked, and those below it",
    ),
)
