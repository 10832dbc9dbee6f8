"""What a formula is worth: a tree made into closures over exact ratios, once.

Owns the arithmetic and its bound. Every value is a reduced ratio of two integers; quantities stand
in major units of their meters, as prices do. A formula can't loop, can't name another formula and
can't see anything but the event. Whatever goes wrong is a RatingFault with a stable reason.
"""

from collections.abc import Callable, Mapping
from math import gcd
from typing import Final

from rating.exact import PriceError, parse_price
from rating.faults import RatingFault
from rating.formula_grammar import FormulaError, Node, parse_formula
from rating.rounding import ROUND_HALF_EVEN, rounded

FORMULA_BITS_MAX: Final = 512  # of a numerator or denominator: a 80 character price has 266

Ratio = tuple[int, int]
Run = Callable[[Mapping[str, int], Mapping[str, str]], Ratio]

_NO_QUANTITIES: Final[dict[str, int]] = {}
_NO_ATTRIBUTES: Final[dict[str, str]] = {}


class CompiledFormula:
    """A formula ready to be evaluated, and the names that it reads."""

    __slots__ = ("_run", "attributes", "expression", "quantities")

    def __init__(self, expression: str, scales: Mapping[str, int]) -> None:
        """``scales`` are those of the card's meters. Raises FormulaError.

        Beside the faults of the grammar: FORMULA_QUANTITY_UNKNOWN, and what is wrong with parts
        that are constant (FORMULA_DIVISION_BY_ZERO, FORMULA_OVERFLOW, FORMULA_NEGATIVE).
        """
        tree = parse_formula(expression)
        self.expression: str = expression
        self.quantities: frozenset[str] = _names(tree, "quantity")
        self.attributes: frozenset[str] = _names(tree, "attribute")
        for name in sorted(self.quantities - scales.keys()):
            message = f"the formula reads {name!r}, which is not a meter of this card"
            raise FormulaError("FORMULA_QUANTITY_UNKNOWN", name, message)
        try:
            self._run: Run = _compiled(tree, scales)[0]
            if not self.quantities and not self.attributes:
                self.value(_NO_QUANTITIES, _NO_ATTRIBUTES)
        except RatingFault as fault:
            raise FormulaError(fault.reason, expression, str(fault)) from None

    def value(self, quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        """Major units of the asset, zero or more, for quantities in minor units of their meters.

        A quantity that the event does not carry is zero. Raises RatingFault.
        """
        ratio = self._run(quantities, attributes)
        if ratio[0] < 0:
            raise RatingFault(
                "FORMULA_NEGATIVE",
                f"the formula {self.expression!r} is below zero; bound it by max(0, ...)",
            )
        return ratio


def _names(tree: Node, kind: str) -> frozenset[str]:
    found = {tree.names[0]} if tree.kind == kind else set()
    return frozenset(found.union(*(_names(arg, kind) for arg in tree.args)))


def _compiled(node: Node, scales: Mapping[str, int]) -> tuple[Run, bool]:
    """The closure of a node, and whether it is constant: then it is evaluated here."""
    if node.kind == "number":
        return _constant(node.number), True
    if node.kind == "quantity":
        return _quantity(node.names[0], 10 ** scales[node.names[0]]), False
    if node.kind == "attribute":
        return _attribute(node.names[0]), False
    made = [_compiled(arg, scales) for arg in node.args]
    runs = [run for run, _ in made]
    run = _step(node, runs)
    if all(constant for _, constant in made):
        return _constant(run(_NO_QUANTITIES, _NO_ATTRIBUTES)), True
    return run, False


def _step(node: Node, runs: list[Run]) -> Run:
    if node.kind == "chain":
        return _chain(runs[0], tuple(zip(node.names, runs[1:], strict=True)))
    if node.kind == "negate":
        return _negated(runs[0])
    if node.kind == "choose":
        return _choice(node.names[0], runs[0], runs[1], runs[2], runs[3])
    assert node.kind == "call", node.kind
    if node.names[0] in ("min", "max"):
        return _extreme(runs, 1 if node.names[0] == "max" else -1)
    return _whole(node.names[0], runs[0])


def _bounded(numerator: int, denominator: int) -> Ratio:
    common = gcd(numerator, denominator)
    if common > 1:
        numerator //= common
        denominator //= common
    if numerator.bit_length() > FORMULA_BITS_MAX or denominator.bit_length() > FORMULA_BITS_MAX:
        raise RatingFault(
            "FORMULA_OVERFLOW",
            f"a part of the formula is beyond {FORMULA_BITS_MAX} bits",
        )
    return numerator, denominator


def _constant(ratio: Ratio) -> Run:
    bounded = _bounded(*ratio)
    return lambda quantities, attributes: bounded


def _quantity(name: str, unit: int) -> Run:
    if unit == 1:
        return lambda quantities, attributes: _bounded(quantities.get(name, 0), 1)
    return lambda quantities, attributes: _bounded(quantities.get(name, 0), unit)


def _attribute(name: str) -> Run:
    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        text = attributes.get(name)
        if text is None:
            raise RatingFault(
                "ATTRIBUTE_MISSING", f"the formula reads the attribute {name!r}; send it"
            )
        try:
            numerator, denominator = parse_price(text.removeprefix("-"))
        except PriceError:
            raise RatingFault(
                "ATTRIBUTE_NOT_NUMERIC",
                f"the formula reads the attribute {name!r} as a number, but it is {text[:40]!r}",
            ) from None
        return _bounded(-numerator if text.startswith("-") else numerator, denominator)

    return run


def _chain(first: Run, rest: tuple[tuple[str, Run], ...]) -> Run:
    """Additions and subtractions, or multiplications and divisions, from left to right."""

    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        n, d = first(quantities, attributes)
        for operator, operand in rest:
            m, e = operand(quantities, attributes)
            if operator == "+":
                n, d = _bounded(n * e + m * d, d * e)
            elif operator == "-":
                n, d = _bounded(n * e - m * d, d * e)
            elif operator == "*":
                n, d = _bounded(n * m, d * e)
            elif m == 0:
                raise RatingFault("FORMULA_DIVISION_BY_ZERO", "the formula divides by zero")
            else:
                n, d = _bounded(n * e if m > 0 else -n * e, d * abs(m))
        return n, d

    return run


def _negated(inner: Run) -> Run:
    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        n, d = inner(quantities, attributes)
        return -n, d

    return run


def _choice(comparison: str, left: Run, right: Run, then: Run, otherwise: Run) -> Run:
    """Only the branch that is taken is evaluated, so that it may guard a division."""

    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        n, d = left(quantities, attributes)
        m, e = right(quantities, attributes)
        sign = n * e - m * d
        if _holds(comparison, sign):
            return then(quantities, attributes)
        return otherwise(quantities, attributes)

    return run


def _holds(comparison: str, sign: int) -> bool:
    if comparison == "<":
        return sign < 0
    if comparison == "<=":
        return sign <= 0
    if comparison == ">":
        return sign > 0
    if comparison == ">=":
        return sign >= 0
    return sign == 0 if comparison == "==" else sign != 0


def _extreme(runs: list[Run], direction: int) -> Run:
    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        best = runs[0](quantities, attributes)
        for each in runs[1:]:
            other = each(quantities, attributes)
            if (other[0] * best[1] - best[0] * other[1]) * direction > 0:
                best = other
        return best

    return run


def _whole(name: str, inner: Run) -> Run:
    """ceil, floor, or round half to even."""

    def run(quantities: Mapping[str, int], attributes: Mapping[str, str]) -> Ratio:
        n, d = inner(quantities, attributes)
        if name == "floor":
            return n // d, 1
        if name == "ceil":
            return -(-n // d), 1
        whole = rounded(abs(n), d, ROUND_HALF_EVEN)
        return (whole if n >= 0 else -whole), 1

    return run
