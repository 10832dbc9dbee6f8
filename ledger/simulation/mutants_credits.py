"""Deliberate faults of grants, accounts, payments, corrections and schedules.

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_DRAWDOWN: Final = "ledger.core.drawing.drawdown"
_FOLLOWING: Final = "ledger.core.funding.following"
_GRANTS: Final = "ledger.core.funding.grants"
_ACCOUNTS: Final = "ledger.core.accounts.accounts"
_PAYMENTS: Final = "ledger.core.funding.payments"

GRANTS: Final = (
    Mutant(
        "void leaves the units",
        _GRANTS,
        "decide_void",
        "grant.book.available",
        "0",
        "rule B3",
    ),
    Mutant(
        "void takes what is held",
        _GRANTS,
        "decide_void",
        "grant.book.available",
        "grant.book.credits_posted - grant.book.debits_posted",
        "rule D6",
    ),
    Mutant(
        "what a hold returns to a voided grant stays there",
        _FOLLOWING,
        "follow_up",
        "if amount == 0:",
        "if True:",
        "rule D6",
    ),
    Mutant(
        "advance not repaid",
        _GRANTS,
        "issue",
        "if effective_at <= now and not command.pending:",
        "if False:",
        "rule B3",
    ),
    Mutant(
        "advance repaid by a gift",
        _GRANTS,
        "_backfills",
        "kind == GrantKind.PROMOTIONAL and not account.policy.promotional_backfills",
        "False",
        "rule H6",
    ),
    Mutant(
        "newest debt repaid first",
        "ledger.core.holdings",
        "Debt.parts",
        "in self.owed.items()]",
        "in reversed(self.owed.items())]",
        "rule H6",
    ),
    Mutant(
        "refund above its share",
        "ledger.core.holdings",
        "Grant.share_of",
        "// self.whole",
        "// self.whole + 1",
        "rule F2",
    ),
    Mutant(
        "money of what expires stays deferred",
        _GRANTS,
        "expire",
        "value = grant.rest_of(amount, *just)",
        "value = 0",
        "rule B4",
    ),
    Mutant(
        "external key taken twice",
        _GRANTS,
        "invalid_grant",
        "if command.external_key and",
        "if False and",
        "rule I5",
    ),
    Mutant(
        "expected version ignored",
        _ACCOUNTS,
        "decide_policy",
        "if command.expected_version and",
        "if False and",
        "rule I5",
    ),
    Mutant(
        "account closed with credits",
        _ACCOUNTS,
        "_still_open",
        "if account.first is not None:",
        "if False:",
        "an account closes at zero",
    ),
    Mutant(
        "child keeps its parent's old card",
        "ledger.core.evolve.accounts",
        "inherit",
        "inherit(state, child)",
        "pass",
        "rule D8",
    ),
)

CREDITS: Final = (
    Mutant(
        "more rolls over than is there",
        _GRANTS,
        "roll_over",
        "unheld * terms.numerator // terms.denominator",
        "-(-unheld * terms.numerator // terms.denominator)",
        "rule T3",
    ),
    Mutant(
        "cap of a rollover ignored",
        _GRANTS,
        "roll_over",
        "if terms.cap >= 0:",
        "if False:",
        "rule T3",
    ),
    Mutant(
        "payment releases more than its share",
        _PAYMENTS,
        "decide_confirm",
        "// grant.price_paid - released",
        "// grant.price_paid - released + 1",
        "rule F1",
    ),
    Mutant(
        "refund of what a hold holds",
        _PAYMENTS,
        "decide_refund",
        "left = grant.book.available",
        "left = grant.book.credits_posted - grant.book.debits_posted",
        "rule F2",
    ),
    Mutant(
        "chargeback forgets what was used",
        _PAYMENTS,
        "decide_chargeback",
        "payment - sum([part.value for part in parts])",
        "0",
        "rule F3",
    ),
    Mutant(
        "bill of more than is owed",
        _PAYMENTS,
        "_bill",
        "billed = min(owed, most or owed)",
        "billed = most or owed",
        "rule B4",
    ),
    Mutant(
        "period of a recurring grant issued again",
        "ledger.core.evolve.recurring",
        "recurring_issued",
        "recurring.next_at = event.end",
        "recurring.next_at = event.start + 86_400_000_000",
        "rule T1",
    ),
    Mutant(
        "share of a period rounded up",
        "ledger.core.periods",
        "prorated",
        "rounded(amount * remaining_us, full_us, ROUND_HALF_EVEN)",
        "-(-amount * remaining_us // full_us)",
        "rule S1",
    ),
    Mutant(
        "waived commitment trued up",
        "ledger.core.funding.commitments",
        "end",
        "if command.ending == CommitmentEnding.TRUE_UP:",
        "if True:",
        "rule D7",
    ),
    Mutant(
        "top-up asked for again after a decline",
        "ledger.core.funding.top_ups",
        "wanted",
        "each.settled_at + TOP_UP_BACK_OFF_US > now",
        "False",
        "rule H6",
    ),
    Mutant(
        "first slice given back first",
        "ledger.core.drawing.unwinding",
        "Unwinding.unwind",
        "for piece in reversed(slices):",
        "for piece in slices:",
        "rule D3",
    ),
    Mutant(
        "running total kept by a reversal",
        "ledger.core.evolve.corrections",
        "usage_reversed",
        "move_back(account.totals, (row, event.period), quantity)",
        "pass",
        "rule R1",
    ),
    Mutant(
        "shared grant paid for usage of others",
        _DRAWDOWN,
        "_shared",
        "[grant for grant in owner.with_units() if grant.shared and covers(grant, account)]",
        "list(owner.with_units())",
        "rule D1",
    ),
)
