"""Deliberate faults of fixed charges (rules T1, S1, B4).

A part of the list in `mutants`.
"""

from __future__ import annotations

from typing import Final

from ledger.simulation.mutation import Mutant

_CHARGING: Final = "ledger.core.charges.charging"
_FEES: Final = "ledger.core.charges.charge_fees"
_PRICES: Final = "ledger.core.charges.charge_prices"
_EVOLVE: Final = "ledger.core.evolve.charges"

CHARGES: Final = (
    Mutant(
        "first period of a charge charged whole",
        _CHARGING,
        "bounds_of",
        "charged_from = start if terms.proration in _FIRST or number > 1 else cycle_start",
        "charged_from = cycle_start",
        "a period in which it starts is charged by its share of the time",
    ),
    Mutant(
        "period of a charge begun late",
        _CHARGING,
        "_begin",
        "start, number = charge.next_at, charge.begun + 1",
        "start, number = max(charge.next_at, state.now), charge.begun + 1",
        "what is missed is charged in order, as of its own time",
    ),
    Mutant(
        "change of a charge counted from the period's start",
        _CHARGING,
        "_weighed_anew",
        "so_far += _weight(charge, charge.counted, charge.weighed_to, weighed_to)",
        "weighed_to = charge.weighed_to",
        "each quantity costs by the time that it stood",
    ),
    Mutant(
        "period in arrears charged by its last quantity",
        _CHARGING,
        "_charge_ended_period",
        "weighed = charge.weighed\n",
        "weighed = 0\n",
        "each quantity costs by the time that it stood",
    ),
    Mutant(
        "rest of a charge that ends now is kept",
        _CHARGING,
        "_last_part",
        "until = max(at, charge.weighed_to, charge.period_start)",
        "until = charge.charged_to",
        "the time after the end is given back",
    ),
    Mutant(
        "charge goes on after its end",
        _EVOLVE,
        "charge_ended",
        "charge.ends_at = event.ends_at",
        "pass",
        "nothing is charged for the time from its end on",
    ),
    Mutant(
        "quantity to come outlives a change now",
        _EVOLVE,
        "charge_changed",
        "charge.quantity, charge.next_quantity = event.quantity, -1",
        "charge.quantity = event.quantity",
        "a change now takes back one that was to come",
    ),
    Mutant(
        "terms of a charge changed within its period",
        _EVOLVE,
        "charge_changed",
        "charge.next_terms = event.terms",
        "charge.terms = event.terms",
        "other terms begin with the next period",
    ),
    Mutant(
        "discount of a charge that does not end",
        _PRICES,
        "_applies",
        "number >= first and (periods == 0 or number < first + periods)",
        "number >= first",
        "a discount of a month ends after that month",
    ),
    Mutant(
        "fee in cash drawn from grants",
        _FEES,
        "_draw",
        "if terms.cash_only:",
        "if False:",
        "what is cash only is billed, whatever grants there are",
    ),
    Mutant(
        "fee given back to what it drew first",
        _FEES,
        "_give_back",
        "reversed(charge.drawn)",
        "charge.drawn",
        "the last drawn goes back first",
    ),
    Mutant(
        "fee that went back may go back again",
        _EVOLVE,
        "fee_charged",
        "_without(drawn, -event.amount)",
        "drawn",
        "no more goes back than is drawn",
    ),
    Mutant(
        "all of a fee earned by the end of the month",
        _FEES,
        "_earned",
        "until = at if ends else charge.earns_until",
        "until = at",
        "what is charged ahead is earned by what its time costs",
    ),
    Mutant(
        "what goes back of a fee is still to be earned",
        _FEES,
        "_deferrals",
        "deferred = charged.get(asset, 0) - min(rest, back.get(asset, 0))",
        "deferred = charged.get(asset, 0)",
        "what is given back is earned no more",
    ),
    Mutant(
        "fee in arrears to be earned once more",
        _FEES,
        "fee",
        "ahead = terms.billing == ChargeBilling.ADVANCE and at < end",
        "ahead = at < end",
        "what has ended is earned as it is charged",
    ),
    Mutant(
        "quantities of a charge left out of a packed family",
        "ledger.core.packing.charges",
        "pack_charge",
        "wide(charge.weighed),",
        "wide(0),",
        "a checkpoint holds the whole of a family",
    ),
)
"""Faults of what is charged whatever is used."""
