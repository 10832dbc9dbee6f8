"""Formulas: what their texts mean, what they may not say, and how they fail: rules N2 and R6."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_evaluator import Unpriceable, evaluated

from rating.faults import RatingFault
from rating.formula import FORMULA_BITS_MAX, CompiledFormula
from rating.formula_grammar import FORMULA_DEPTH_MAX, FORMULA_NODES_MAX, FormulaError
from rating.models import FORMULA_CHARS_MAX

SCALES = {"a": 0, "b": 2, "max": 0, "odd-name": 0}


def value(text: str, attributes: dict[str, str] | None = None, **quantities: int) -> Fraction:
    return Fraction(*CompiledFormula(text, SCALES).value(quantities, attributes or {}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("2 + 3 * 4 - 6 / 4", Fraction(25, 2)),
        ("(2 + 3) * 4", 20),
        ("10 - 3 - 2", 5),
        ("60 / 3 / 2", 10),
        ("2 / 3 * 3", 2),
        ("10 - -3", 13),
        ("a", 7),
        ("b", Fraction(5, 2)),
        ('quantity("max") + quantity("odd-name")', 4),
        ("max(a, 3) + min(a, 3, 1)", 8),
        ("if(a >= 7, 1, 0) + if(a != 7, 10, 20) + if(b < 2.5, 100, 200)", 221),
        ("if(a == b, 1, if(a > b, 2, 3))", 2),
        ('attr("x") * 2', Fraction(5, 1)),
        ('attr("below") + 2', Fraction(1, 2)),
        ("2.5e-3 + 1E2", Fraction(1000025, 10000)),
        ("floor(-1/2) + 1 + ceil(-1/2) + round(-3/2) + 2 + round(5/2)", 2),
    ],
)
def test_what_a_formula_is_worth(text: str, expected: Fraction) -> None:
    """Quantities in major units, everything exact."""
    quantities = {"a": 7, "b": 250, "max": 3, "odd-name": 1}
    attributes = {"x": "2.5", "below": "-1.5"}
    assert Fraction(*CompiledFormula(text, SCALES).value(quantities, attributes)) == expected


def test_it_names_what_it_reads() -> None:
    formula = CompiledFormula('if(a > attr("least"), b, quantity("max"))', SCALES)
    assert (formula.quantities, formula.attributes) == ({"a", "b", "max"}, {"least"})


@pytest.mark.parametrize(
    ("text", "reason", "part"),
    [
        ("", "FORMULA_MALFORMED", ""),
        ("1 +", "FORMULA_MALFORMED", ""),
        ("1 1", "FORMULA_MALFORMED", "1"),
        ("+1", "FORMULA_MALFORMED", "+"),
        ("a $ 2", "FORMULA_MALFORMED", "$ 2"),
        ("a ** 2", "FORMULA_MALFORMED", "* 2"),
        ("a > 2", "FORMULA_MALFORMED", "> 2"),
        ("if(a, 1, 2)", "FORMULA_MALFORMED", ", 1, 2)"),
        ("attr(x)", "FORMULA_MALFORMED", "x)"),
        ("a.__class__", "FORMULA_MALFORMED", ".__class__"),
        ("1e999", "FORMULA_MALFORMED", "1e999"),
        ("9" * 81, "FORMULA_MALFORMED", "9" * 81),
        ("é", "FORMULA_MALFORMED", "é"),
        ("1" * (FORMULA_CHARS_MAX + 1), "FORMULA_TOO_LONG", str(FORMULA_CHARS_MAX + 1)),
        ("-" * FORMULA_CHARS_MAX, "FORMULA_MALFORMED", ""),
        ("-" * (FORMULA_DEPTH_MAX) + "a", "FORMULA_TOO_DEEP", str(FORMULA_DEPTH_MAX + 1)),
        ("+".join(["a"] * FORMULA_NODES_MAX), "FORMULA_TOO_LARGE", str(FORMULA_NODES_MAX + 1)),
        ("eval(a)", "FORMULA_FUNCTION_UNKNOWN", "eval"),
        ("min(a)", "FORMULA_ARGUMENTS", "min"),
        ("round(a, 2)", "FORMULA_ARGUMENTS", "round"),
        ("a + tokens", "FORMULA_QUANTITY_UNKNOWN", "tokens"),
        ('quantity("no")', "FORMULA_QUANTITY_UNKNOWN", "no"),
        ("a + 1 / (2 - 2)", "FORMULA_DIVISION_BY_ZERO", "a + 1 / (2 - 2)"),
        ("a + " + "*".join(["1e40"] * 5), "FORMULA_OVERFLOW", None),
        ("1 - 2", "FORMULA_NEGATIVE", "1 - 2"),
    ],
)
def test_what_can_be_known_is_a_fault_at_publication(
    text: str, reason: str, part: str | None
) -> None:
    with pytest.raises(FormulaError) as refused:
        CompiledFormula(text, SCALES)
    assert refused.value.reason == reason
    assert part is None or refused.value.value == part
    assert str(refused.value)


@pytest.mark.parametrize(
    ("text", "attributes", "reason"),
    [
        ("1 / a", {}, "FORMULA_DIVISION_BY_ZERO"),
        ("a - 1", {}, "FORMULA_NEGATIVE"),
        ("a + " + "*".join(['attr("x")'] * 5), {"x": "9e40"}, "FORMULA_OVERFLOW"),
        ("a + 1 / (" + "*".join(['attr("x")'] * 5) + ")", {"x": "9e40"}, "FORMULA_OVERFLOW"),
        ('attr("x")', {}, "ATTRIBUTE_MISSING"),
        ('attr("x")', {"x": ""}, "ATTRIBUTE_NOT_NUMERIC"),
        ('attr("x")', {"x": "ten"}, "ATTRIBUTE_NOT_NUMERIC"),
        ('attr("x")', {"x": "--1"}, "ATTRIBUTE_NOT_NUMERIC"),
        ('attr("x")', {"x": "NaN"}, "ATTRIBUTE_NOT_NUMERIC"),
        ('attr("x")', {"x": "1" * 81}, "ATTRIBUTE_NOT_NUMERIC"),
    ],
)
def test_what_cannot_is_a_rating_fault(text: str, attributes: dict[str, str], reason: str) -> None:
    with pytest.raises(RatingFault) as refused:
        value(text, attributes, a=0)
    assert refused.value.reason == reason


def test_the_bound_is_the_bound() -> None:
    """One bit less passes."""
    assert FORMULA_BITS_MAX == 512
    base = str(2**128)
    assert value("*".join(['attr("x")'] * 3) + ' * (attr("x") - 1)', {"x": base}) < 2**512
    with pytest.raises(RatingFault):
        value("*".join(['attr("x")'] * 4), {"x": base})


leaves = st.one_of(
    st.sampled_from(["a", "b", 'attr("x")', "0", "1", "2.5", "0.125", "1e2", "7"]),
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}" if text[0] != "-" else text),
        pair.map(lambda both: f"min({both[0]}, {both[1]})"),
        pair.map(lambda both: f"max({both[0]},{both[1]},1)"),
        st.tuples(st.sampled_from(["ceil", "floor", "round"]), inner).map(
            lambda call: f"{call[0]}({call[1]})"
        ),
        st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner, inner).map(
            lambda parts: f"if({parts[0]} {parts[1]} {parts[2]}, {parts[3]}, {parts[0]})"
        ),
    )


@settings(deadline=None)
@given(
    st.recursive(leaves, grown, max_leaves=12),
    st.integers(0, 9),
    st.integers(0, 999),
    st.sampled_from(["0", "-1", "2.5", "12"]),
)
def test_any_formula_is_worth_what_the_slow_reader_finds(text: str, a: int, b: int, x: str) -> None:
    """Never an exception of another kind."""
    quantities, attributes = {"a": a, "b": b}, {"x": x}
    values = {"a": Fraction(a), "b": Fraction(b, 100)}
    try:
        formula = CompiledFormula(text, SCALES)
    except FormulaError as error:  # too large, or a part that is constant and can't be
        found: object = error.reason
        if found in ("FORMULA_TOO_LONG", "FORMULA_TOO_LARGE", "FORMULA_DIVISION_BY_ZERO"):
            return
    else:
        found = outcome(lambda: Fraction(*formula.value(quantities, attributes)))
    expected = outcome(lambda: evaluated(text, values, attributes))
    if isinstance(expected, Fraction) and expected < 0:
        expected = "FORMULA_NEGATIVE"
    assert found == expected


def outcome(evaluate: Callable[[], Fraction]) -> Fraction | str:
    """The value, or the reason why there is none."""
    try:
        return evaluate()
    except (RatingFault, Unpriceable) as refused:
        return getattr(refused, "reason", str(refused))


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_a_fault(text: str) -> None:
    try:
        CompiledFormula(text, SCALES)
    except FormulaError as error:
        reason = error.reason
    else:
        reason = "FORMULA_"
    assert reason.startswith("FORMULA_")
