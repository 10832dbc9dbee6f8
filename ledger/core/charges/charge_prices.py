"""What a period of a fixed charge costs: by quantity and time, rounded once (rules S1, N2).

Pure arithmetic over terms. A period's weight is the sum of quantity x unit amount x microseconds;
what it costs is that over the microseconds of a full period, less the discount. So any number of
changes within a period costs exactly what each quantity cost by the time that it stood.
"""

from __future__ import annotations

from ledger.core.events import ChargeTerms
from rating.compile import ROUND_HALF_EVEN
from rating.price import rounded


def unit_amount_at(terms: ChargeTerms, number: int, at: int) -> int:
    """The unit amount of an instant of a period: nothing in the trial, then by the ramp's last step
    so far."""
    if number <= terms.trial_periods or at < terms.trial_until:
        return 0
    amount = terms.unit_amount
    for step in terms.ramp:
        if step.period > number or step.instant > at:
            break
        amount = step.unit_amount
    return amount


def most_of(terms: ChargeTerms) -> int:
    """The largest unit amount that the terms ever have."""
    return max([terms.unit_amount, *[step.unit_amount for step in terms.ramp]])


def weight(terms: ChargeTerms, number: int, quantity: int, start: int, end: int) -> int:
    """Quantity x unit amount x microseconds of [start, end), cut where the unit amount changes."""
    if end <= start or quantity == 0:
        return 0
    bounds = {start, end}
    for at in (terms.trial_until, *[step.instant for step in terms.ramp]):
        if start < at < end:
            bounds.add(at)
    instants = sorted(bounds)
    total = 0
    for place, at in enumerate(instants[:-1]):
        total += unit_amount_at(terms, number, at) * (instants[place + 1] - at)
    return total * quantity


def cost(terms: ChargeTerms, number: int, weighed: int, length: int, full: int) -> int:
    """What a period costs of that weight, of which `length` of `full` microseconds are charged:
    half to even, once, never below nothing."""
    discount = terms.discount
    if discount is None or not _applies(discount.from_period, discount.periods, number):
        return rounded(weighed, full, ROUND_HALF_EVEN)
    if discount.denominator:
        keeps = discount.denominator - discount.numerator
        return rounded(weighed * keeps, full * discount.denominator, ROUND_HALF_EVEN)
    return rounded(max(0, weighed - discount.amount * length), full, ROUND_HALF_EVEN)


def _applies(from_period: int, periods: int, number: int) -> bool:
    first = max(from_period, 1)
    return number >= first and (periods == 0 or number < first + periods)


def earned_of(
    terms: ChargeTerms, number: int, unearned: int, since: int, at: int, until: int
) -> int:
    """What of the money unearned at `since` is earned by `at`: in proportion to the unit amounts in
    force, rounded down; all of it at `until`. What costs nothing is earned evenly (rule B4)."""
    if at >= until:
        return unearned
    whole = weight(terms, number, 1, since, until)
    if whole == 0:
        return unearned * (at - since) // (until - since)
    return unearned * weight(terms, number, 1, since, at) // whole
