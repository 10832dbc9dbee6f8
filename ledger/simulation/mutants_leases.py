"""Deliberate faults of credit leases in the whole world (rule H7).

A part of the list in `mutants`; the worlds of their holders have tests of their own.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_LEASING: Final = "ledger.core.leases.leasing"
_ROOM: Final = "ledger.core.leases.lease_room"
_LEASES: Final = "ledger.core.leases.leases"
_EVOLVE: Final = "ledger.core.evolve.leases"

CREDIT_LEASES: Final = (
    Mutant(
        "lease of less than is of use",
        _LEASING,
        "decide_acquire",
        "if amount < command.minimum:",
        "if False:",
        "rule H7",
    ),
    Mutant(
        "share of a lease forgets what others have",
        _ROOM,
        "room_of",
        "pool = own + free + sum([each.left for each in others])",
        "pool = own + free",
        "rule H7",
    ),
    Mutant(
        "share of a lease forgets what others want",
        _ROOM,
        "room_of",
        "share = fair_shares(pool, [*wants, mine])[number]\n    budgets",
        "share = fair_shares(pool, [mine])[number]\n    budgets",
        "rule H7",
    ),
    Mutant(
        "shares below their minimum handed out",
        _LEASES,
        "fair_shares",
        "if not short:",
        "if True:",
        "rule H7",
    ),
    Mutant(
        "renewed lease cut below what its holder may have spent",
        _LEASING,
        "decide_renew",
        "amount = max(keep, min(command.wanted, share))",
        "amount = min(command.wanted, share)",
        "rule H7",
    ),
    Mutant(
        "recall forgotten by a renewal",
        _LEASING,
        "decide_renew",
        "share = min(share, lease.recalled)",
        "pass",
        "rule H7",
    ),
    Mutant(
        "recalled for ever",
        _EVOLVE,
        "lease_renewed",
        "if lease.recalled != NOT_RECALLED and event.amount <= lease.recalled:",
        "if False:",
        "rule H7",
    ),
    Mutant(
        "lease that stays charged given back as it lapses",
        _LEASING,
        "lapse_lease",
        "if lease.on_lapse == LeaseLapse.CHARGE and hold.left:",
        "if False:",
        "rule H7",
    ),
    Mutant(
        "lapsed lease renewed",
        _LEASING,
        "running_lease",
        "return _lapsed(number, lapsed_at) if lapsed_at else hold",
        "return hold",
        "rule H7",
    ),
    Mutant(
        "late report never over its lease",
        _LEASING,
        "decide_leased_usage",
        "within = min(priced.total, found.lease.unreported)",
        "within = priced.total",
        "rule H7",
    ),
    Mutant(
        "late reports may take what was not reported again and again",
        _EVOLVE,
        "_late",
        "unreported=ended.unreported - (charge - event.over),",
        "unreported=ended.unreported,",
        "rule H7",
    ),
    Mutant(
        "usage of other work reported of a lease",
        _LEASING,
        "_other_work",
        "if shape.product != lease.product:",
        "if False:",
        "rule H7",
    ),
    Mutant(
        "renewed lease counts where it was",
        _EVOLVE,
        "lease_renewed",
        "hold.authorized_at = event.effective_at",
        "pass",
        "rules H5, H7",
    ),
)
