"""Explanations and differences in words, for people. Exact: a number that has no end is a ratio.

Owns the sentences alone; what they say is in ``explain`` and ``differences``.
"""

from math import gcd

from rating.differences import Cause, Difference
from rating.explain import ExplainedLine, Explanation, Ratio, TierSlice

_BEATEN_BY = {
    "product": "it names the product",
    "attributes": "it fixes more attributes",
    "hours": "it names hours",
    "above_prompt": "its prompt threshold is larger",
    "priority": "its priority is higher",
    "later_row": "it stands later in the card",
}
_LIMITS = {
    "maximum": "the maximum of its scope",
    "transaction_minimum": "the minimum of a transaction",
    "transaction_maximum": "the maximum of a transaction",
}
_SCOPES = {
    "subtree_month": "month of the subtree",
    "subtree_day": "day of the subtree",
    "subtree_period": "billing period of the subtree",
    "contract": "term of the contract",
}
_CAUSES = {
    "version": "the rate card",
    "product": "the product",
    "time_class": "the time of day",
    "quote": "the quote",
    "row": "the row",
    "quantity": "the quantity",
    "running_total": "what ran before it",
    "tier": "the tier",
    "cost": "the provider's cost",
}


def decimal(ratio: Ratio) -> str:
    """A ratio as an exact decimal, or as "1/3" where its decimal has no end."""
    numerator, denominator = ratio
    common = gcd(numerator, denominator)
    numerator, denominator = numerator // common, denominator // common
    rest, places = denominator, 0
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    for prime, other in ((2, 5), (5, 2)):
        while rest % prime == 0:
            rest, places, numerator = rest // prime, places + 1, numerator * other
    if rest != 1:
        return f"{ratio[0] // common}/{denominator}"
    sign, digits = ("-" if numerator < 0 else ""), str(abs(numerator))
    if not places:
        return sign + digits
    digits = digits.rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def in_words(account: Explanation) -> str:
    """The account of an event, line by line, in major units."""
    head = f"{account.product}: {_money(account.charged, account)} by {account.card} version "
    said = [f"{head}{account.version}"]
    quoted = account.quoted
    if quoted is not None:
        said.append(f"  a quote priced by {quoted.card} version {quoted.version}:")
        for line in quoted.lines:
            said += _line(line, quoted, part=True) if line.own else []
        said.append("  what is beyond it:")
    if account.rerates:
        said.append(f"  earlier quantity priced anew: {_money(account.rerates, account)}, apart")
    for line in account.lines:
        if line.own or quoted is None:
            said += _line(line, account, part=quoted is not None)
    return "\n".join(said)


def difference_in_words(found: Difference, one: Explanation, other: Explanation) -> str:
    """Why the second event cost more than the first, or less."""
    if found.more:
        word = "more" if found.more > 0 else "less"
        head = f"the second event costs {_money(abs(found.more), one)} {word} than the first"
    else:
        head = "both events cost the same"
    said = [head, *(f"  {_cause(cause)}" for cause in found.causes)]
    for line in found.lines:
        said.append(f"  {line.quantity}: {_charge(line.one, one)} and {_charge(line.other, other)}")
        said += [f"    {_cause(cause)}" for cause in line.causes]
    return "\n".join(said)


def _line(line: ExplainedLine, account: Explanation, *, part: bool = False) -> list[str]:
    quantity = f"{_units(line.own, line)} {line.quantity}"
    if line.own != line.given and not part:
        quantity += f" (of {_units(line.given, line)}, the rest is charged as its parts)"
    if line.ordinal is None and not line.override:
        what = "nothing to charge" if line.charge == 0 else "no row prices it; it waits"
        return [f"  {quantity}: {what}"]
    assert line.charge is not None
    said = [
        f"  {quantity}: {_money(line.charge, account)}",
        f"    {_row(line)} ({', '.join(line.conditions)}), {line.model}",
    ]
    for beaten in line.beaten:
        said.append(f"    before row {beaten.ordinal}, as {_BEATEN_BY[beaten.by]}")
    if line.before:
        scope = _SCOPES.get(line.scope, line.scope)
        said.append(f"    {_units(line.before, line)} before it in the {scope}")
    if line.of_cost:
        said.append(f"    the provider takes {_money(line.measured, account)}")
    if line.free:
        said.append(f"    {_units(line.free, line)} of it are free")
    said += [f"    {_slice(piece, line, account)}" for piece in line.slices]
    if line.fixed:
        said.append(f"    {_money(line.fixed, account)} for the transaction")
    if line.limited_by:
        said.append(f"    {_LIMITS[line.limited_by]} applies")
    if line.exact_after[0] % line.exact_after[1] or line.exact_before[0] % line.exact_before[1]:
        spans = f"{_exact(line.exact_before, account)} to {_exact(line.exact_after, account)}"
        said.append(f"    exactly {spans}, both rounded {account.rounding}")
    if line.rerate:
        said.append(f"    earlier quantity priced anew: {_money(line.rerate, account)}, apart")
    return said


def _row(line: ExplainedLine) -> str:
    if not line.override:
        return f"row {line.ordinal}"
    instead = f" of row {line.ordinal}" if line.ordinal is not None else ""
    return f"override {line.override}{instead}"


def _slice(piece: TierSlice, line: ExplainedLine, account: Explanation) -> str:
    counted = line.model == "package"
    price = piece.unit_price[0], piece.unit_price[1] * 10**account.asset_scale
    if not counted and not line.of_cost:
        price = price[0] * 10**line.meter_scale, price[1]
    elif line.of_cost:
        price = piece.unit_price
    units = piece.upper - piece.lower
    if counted:
        many = f"{units} packages"
    elif line.of_cost:
        many = _money(units, account)
    else:
        many = _units(units, line)
    flat = f" + {_exact(piece.flat, account)}" if piece.flat[0] else ""
    return f"tier {piece.tier + 1}: {many} x {decimal(price)}{flat} = " + _exact(
        piece.amount, account
    )


def _cause(cause: Cause) -> str:
    what = f"the attribute {cause.name}" if cause.kind == "attribute" else _CAUSES[cause.kind]
    return f"{what}: {cause.one or 'none'} and {cause.other or 'none'}"


def _charge(charge: int | None, account: Explanation) -> str:
    return "nothing" if charge is None else _money(charge, account)


def _money(amount: int, account: Explanation) -> str:
    return f"{decimal((amount, 10**account.asset_scale))} {account.asset}"


def _exact(ratio: Ratio, account: Explanation) -> str:
    return decimal((ratio[0], ratio[1] * 10**account.asset_scale))


def _units(quantity: int, line: ExplainedLine) -> str:
    return decimal((quantity, 10**line.meter_scale))
