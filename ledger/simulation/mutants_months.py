"""Deliberate faults of months, graces and of what moves between commitments (rules T1 to T3, D7).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_FOLLOWING: Final = "ledger.core.funding.following"

MONTHS: Final = (
    Mutant(
        "another zone counts at once",
        "ledger.core.evolve.accounts",
        "change_zone",
        "elsewhere.get(each.number, event.zone_from)",
        "state.recorded_at",
        "rule T1",
    ),
    Mutant(
        "months of UTC in every zone",
        "ledger.core.periods",
        "_within",
        "_month_in(at_us, zone)",
        '_month_in(at_us, "UTC")',
        "rule T1",
    ),
    Mutant(
        "a longer grace opens what was closed",
        "ledger.core.account",
        "Account.closed_by",
        "max(self.closed_until, now - self.policy.period_grace)",
        "now - self.policy.period_grace",
        "rule T2",
    ),
    Mutant(
        "breakage after the grace of another policy",
        "ledger.core.holdings",
        "Grant.breaks_at",
        "self.account.policy.period_grace",
        "86_400_000_000",
        "rule T3",
    ),
    Mutant(
        "breakage not timed anew with the grace",
        "ledger.core.evolve.accounts",
        "account_policy_updated",
        "_set_breakage(state, account)",
        "pass",
        "rule T3",
    ),
)

TRANSFERS: Final = (
    Mutant(
        "what moves to another commitment leaves its price",
        _FOLLOWING,
        "move",
        "value = grant.rest_of(amount, *just)",
        "value = grant.rest_of(amount, *just) // 2",
        "rules B4, D7",
    ),
    Mutant(
        "invoices to come do not move with a commitment",
        "ledger.core.evolve.commitments",
        "commitment_ended",
        "target.plan(event.invoices)",
        "pass",
        "rule D7",
    ),
    Mutant(
        "what a hold gives back to a moved segment stays there",
        _FOLLOWING,
        "follow_up",
        "elif was_moved(grant):",
        "elif False:",
        "rules D6, D7",
    ),
)
