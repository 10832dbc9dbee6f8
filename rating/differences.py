"""Why one event cost more than another: the two accounts beside each other.

Owns the list of causes, from the whole event (card version, product, attributes, time) to each of
its quantities (row, quantity, running total, tier, cost). Data; in words: see ``wording``.
"""

from collections.abc import Iterator

from msgspec import Struct

from rating.explain import ExplainedLine, Explanation


class Cause(Struct, frozen=True):
    """Something that is not the same for both; ``one`` and ``other`` are its values."""

    kind: str  # version, product, attribute, time_class, quote; or of a line: row, quantity,
    # running_total, tier, cost
    name: str  # of the attribute
    one: str
    other: str


class LineDifference(Struct, frozen=True):
    """A quantity that cost differently; None where an event lacks it or it waits for a price."""

    quantity: str
    one: int | None
    other: int | None
    causes: tuple[Cause, ...]


class Difference(Struct, frozen=True):
    """What the second event costs more than the first (``more``, maybe below zero), and why."""

    more: int
    causes: tuple[Cause, ...]
    lines: tuple[LineDifference, ...]


def difference(one: Explanation, other: Explanation) -> Difference:
    """Why the second event cost more than the first, or less. Both are of the same asset."""
    assert (one.asset, one.asset_scale) == (other.asset, other.asset_scale)
    ours = {line.quantity: line for line in one.lines}
    theirs = {line.quantity: line for line in other.lines}
    lines = []
    for quantity in [*ours, *(name for name in theirs if name not in ours)]:
        left, right = ours.get(quantity), theirs.get(quantity)
        causes = tuple(_of_line(left, right, one.version, other.version))
        first, second = _charged(one, left), _charged(other, right)
        if first != second or (left is None) != (right is None):
            lines.append(LineDifference(quantity, first, second, causes))
    return Difference(other.charged - one.charged, tuple(_of_event(one, other)), tuple(lines))


def _charged(account: Explanation, line: ExplainedLine | None) -> int | None:
    """What a quantity costs, with what a quote priced of it."""
    if line is None or line.charge is None or account.quoted is None:
        return None if line is None else line.charge
    quoted = next(each for each in account.quoted.lines if each.quantity == line.quantity)
    return line.charge + (quoted.charge or 0)


def _of_event(one: Explanation, other: Explanation) -> Iterator[Cause]:
    versions = (f"{each.card} {each.version}" for each in (one, other))
    yield from _unlike("version", "", *versions)
    yield from _unlike("product", "", one.product, other.product)
    for name in sorted({*one.attributes, *other.attributes}):
        given = (each.attributes.get(name, "") for each in (one, other))
        yield from _unlike("attribute", name, *given)
    yield from _unlike("time_class", "", one.time_class, other.time_class)
    yield from _unlike("quote", "", _quote(one), _quote(other))


def _quote(account: Explanation) -> str:
    """How much a quote priced, and by which version."""
    quoted = account.quoted
    if quoted is None:
        return ""
    units = " + ".join(f"{line.own} {line.quantity}" for line in quoted.lines if line.own)
    return f"{units} by {quoted.card} {quoted.version}"


def _of_line(
    one: ExplainedLine | None, other: ExplainedLine | None, version: int, other_version: int
) -> Iterator[Cause]:
    if one is None or other is None:
        yield from _unlike(
            "quantity", "", one.given if one else "none", other.given if other else "none"
        )
        return
    yield from _unlike("row", "", _row(one, version), _row(other, other_version))
    yield from _unlike("quantity", "", one.own, other.own)
    yield from _unlike("running_total", "", one.before, other.before)
    yield from _unlike("tier", "", _tiers(one), _tiers(other))
    if one.of_cost and other.of_cost:
        yield from _unlike("cost", "", one.measured, other.measured)


def _unlike(kind: str, name: str, one: object, other: object) -> Iterator[Cause]:
    if one != other:
        yield Cause(kind, name, str(one), str(other))


def _row(line: ExplainedLine, version: int) -> str:
    if line.override:
        return f"override {line.override} of version {version}"
    return "none" if line.ordinal is None else f"{line.ordinal} of version {version}"


def _tiers(line: ExplainedLine) -> str:
    return ", ".join(str(piece.tier + 1) for piece in line.slices)
