"""Which terms and quantities of a fixed charge are valid, and what is wrong with others.

Reads state, changes nothing.
"""

from __future__ import annotations

from ledger.core.charges.charge_faults import invalid_alone
from ledger.core.charges.charge_prices import most_of
from ledger.core.drawing.drawdown import settlement_asset
from ledger.core.events import ChargeTerms
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.state import Account, State


def invalid_quantity(terms: ChargeTerms, quantity: int) -> Refusal | None:
    """Below zero, or so large that a period's fee fits no transfer (rule N1)."""
    if not 0 <= quantity <= INT64_MAX:
        return Refusal(
            Reason.QUANTITY_INVALID,
            "quantity",
            str(quantity),
            "a charge is for 0 to 2^63 - 1; end it where it is for nothing any more",
        )
    if quantity * most_of(terms) > INT64_MAX:
        return Refusal(
            Reason.OVERFLOW,
            "quantity",
            str(quantity * most_of(terms)),
            "quantity x unit amount of a period is at most 2^63 - 1 minor units; split the charge",
        )
    return None


def invalid_terms(
    state: State, account: Account, terms: ChargeTerms, settled_in: int = 0
) -> Refusal | None:
    """The first thing that is wrong with terms. `settled_in`: the money that the account is to
    settle in, where that is not the one that it does."""
    return _invalid_asset(state, account, terms, settled_in) or invalid_alone(terms)


def _invalid_asset(
    state: State, account: Account, terms: ChargeTerms, settled_in: int
) -> Refusal | None:
    asset = state.catalog.assets.get(terms.asset)
    if asset is None or asset.tenant != account.tenant:
        return Refusal(
            Reason.ASSET_UNKNOWN,
            "terms.asset",
            str(terms.asset),
            "the tenant has no such asset; create it first",
        )
    settled_in = settled_in or settlement_asset(account)
    if asset.kind == "money" and settled_in not in (0, terms.asset):
        return Refusal(
            Reason.CURRENCY_DIFFERS,
            "terms.asset",
            str(terms.asset),
            "the account settles in another currency; charge in that one",
        )
    return None
