"""Deliberate faults of usage, identities and holds (rules B6, D4, H1, H2, I1 to I5, R1, T2).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_CAPTURING: Final = "ledger.core.decisions.capturing"
_CHARGING: Final = "ledger.core.decisions.charging"
_HOLDS: Final = "ledger.core.decisions.holds"
_ADMISSION: Final = "ledger.core.admission"
_USAGE: Final = "ledger.core.metering.usage"
_USUAL: Final = "ledger.core.metering.usual"
_DUE: Final = "ledger.core.due"

USAGE: Final = (
    Mutant(
        "closed account accepts usage",
        _ADMISSION,
        "refuse_closed",
        "return account_closed(account)",
        "return None",
        "rule T2",
    ),
    Mutant(
        "usage older than the window charged",
        _USAGE,
        "decide_usage",
        "if at < state.window_start:",
        "if False:",
        "rule I4",
    ),
    Mutant(
        "usage of the future taken",
        _USAGE,
        "decide_usage",
        "if at > state.window_end:",
        "if False:",
        "rule I4",
    ),
    Mutant(
        "usual usage draws what a hold holds",
        _USUAL,
        "_record",
        "book.debits_posted - book.debits_pending\n                if left > 0",
        "book.debits_posted\n                if left > 0",
        "rule B6",
    ),
    Mutant(
        "usual usage recorded again",
        _USUAL,
        "_record",
        "key in newest\n            or (older and find_older(key) is not None)",
        "False",
        "rule I1",
    ),
    Mutant(
        "usual usage paid by an expired grant",
        _USUAL,
        "_record",
        "and grant.effective_at <= at < grant.expires_at",
        "",
        "rule D2",
    ),
    Mutant(
        "rounding total not advanced",
        "ledger.core.evolve.usage",
        "usage_recorded",
        "position[place] = position.get(place, 0) + quantity",
        "position[place] = quantity",
        "rule R1",
    ),
    Mutant(
        "usage key not remembered",
        "ledger.core.evolve.usage",
        "usage_recorded",
        "state.keys.newest[event.key] = state.locator",
        "pass",
        "rule I1",
    ),
    Mutant(
        "denials not replayed",
        "ledger.core.evolve.holds",
        "authorize_denied",
        "state.keys.add(event.key, state.locator)",
        "pass",
        "rule I2",
    ),
    Mutant(
        "abandoned request not remembered",
        "ledger.core.evolve.books",
        "request_abandoned",
        "state.keys.add(event.key, state.locator)",
        "pass",
        "rule I5",
    ),
    Mutant(
        "older generations of keys not asked",
        "ledger.core.keys",
        "KeyMap.find",
        "return self.find_older(key) if locator is None else locator",
        "return self.found.get(key) if locator is None else locator",
        "rule I4",
    ),
    Mutant(
        "keys forgotten after a week",
        "ledger.core.keys",
        "KeyMap.rotate",
        "self.forget(recorded_at)",
        "self.forget(recorded_at + 30 * 86_400_000_000)",
        "rule I4",
    ),
    Mutant(
        "conflict not detected",
        "ledger.core.repeats",
        "first_difference",
        "if given != kept:",
        "if False:",
        "rule I1",
    ),
    Mutant(
        "captured hold released again",
        "ledger.core.evolve.holds",
        "settle",
        "del state.holds[hold.number]",
        "pass",
        "rule H1",
    ),
    Mutant(
        "hold's reservation not given back",
        "ledger.core.evolve.holds",
        "unreserve",
        "_unreserve(state, hold, piece, piece.amount)",
        "pass",
        "rule H1",
    ),
    Mutant(
        "capture settles nothing",
        "ledger.core.evolve.holds",
        "capture",
        "settle(state, hold, HOLD_CAPTURED, taken)",
        "pass",
        "rule H1",
    ),
    Mutant(
        "late capture twice",
        _CAPTURING,
        "decide_capture",
        "if settled.ended != HOLD_EXPIRED or settled.captured_late:",
        "if settled.ended != HOLD_EXPIRED:",
        "rule H1",
    ),
    Mutant(
        "released hold captured",
        _CAPTURING,
        "decide_capture",
        "if settled.ended != HOLD_EXPIRED or settled.captured_late:",
        "if settled.captured_late:",
        "rule H1",
    ),
    Mutant(
        "capture beyond the hold is free",
        _CHARGING,
        "charge_usage",
        "held=held, cost=borne, counted_at=since)",
        "held=held, cost=borne, counted_at=since); "
        "payment.slices = tuple(held) if held else payment.slices",
        "rule H1",
    ),
    Mutant(
        "partial hold granted",
        "ledger.core.decisions.authorizing",
        "decide_authorize",
        "if found.denied:",
        "if found.denied and not found.slices:",
        "rule D4",
    ),
    Mutant(
        "one hold too many",
        _HOLDS,
        "holds_limit",
        "count < account.policy.holds_open_max",
        "count <= account.policy.holds_open_max",
        "rule H1",
    ),
    Mutant(
        "hold expiry without entry",
        _DUE,
        "_post",
        "end_in_time(state, found, out)",
        "del state.holds[found.number], found.account.holds[found.number]",
        "rule H2",
    ),
    Mutant(
        "decision on an overdue pot",
        _DUE,
        "_settle_line",
        "if account.next_due <= state.now:",
        "if False:",
        "rules H2, T3",
    ),
)
