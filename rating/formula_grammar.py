"""The grammar of formulas: text to a small tree, bounded in length, depth and size.

Owns the language and its faults of form. What a tree is worth is for ``formula``. The parser comes
with the package ``lark`` and is loaded with the first formula, so that cards without one never
pay for it.
"""

from functools import cache, lru_cache
from typing import Any, Final

from msgspec import Struct

from rating.exact import PriceError, parse_price
from rating.models import FORMULA_CHARS_MAX

FORMULA_DEPTH_MAX: Final = 32  # calls within calls; bounds the recursion of an evaluation
FORMULA_NODES_MAX: Final = 256  # x ~0.5 us = 0.1 ms an event at most
FUNCTIONS: Final = {  # name -> fewest and most arguments
    "min": (2, 16),
    "max": (2, 16),
    "ceil": (1, 1),
    "floor": (1, 1),
    "round": (1, 1),
}

GRAMMAR: Final = r"""
?start: sum
?sum: product
    | sum SIGN product             -> chain
?product: unary
    | product FACTOR unary         -> chain
?unary: atom
    | SIGN unary                   -> signed
?atom: NUMBER                      -> number
    | "if" "(" condition "," sum "," sum ")" -> choose
    | "attr" "(" STRING ")"        -> attribute
    | "quantity" "(" STRING ")"    -> quantity
    | NAME "(" sum ("," sum)* ")"  -> call
    | NAME                         -> quantity
    | "(" sum ")"
condition: sum COMPARE sum         -> compare
SIGN: "+" | "-"
FACTOR: "*" | "/"
COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
NUMBER: /[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
STRING: /"[^"\n]+"/
%ignore /[ \t\n]+/
"""


class FormulaError(ValueError):
    """A text is not a formula. ``reason`` is stable, ``value`` what is wrong in it."""

    def __init__(self, reason: str, value: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.value = value


class Node(Struct, frozen=True):
    """One step of a formula.

    ``kind``: number, quantity, attribute, chain (``names`` are the operators between ``args``),
    negate, call (``names`` is the function), choose (compared left and right, then, else, with the
    comparison as ``names``).
    """

    kind: str
    names: tuple[str, ...] = ()
    args: tuple["Node", ...] = ()
    number: tuple[int, int] = (0, 1)
    depth: int = 1
    size: int = 1


@lru_cache(maxsize=1_024)
def parse_formula(text: str) -> Node:
    """The tree of a formula. Raises FormulaError.

    FORMULA_TOO_LONG, FORMULA_MALFORMED, FORMULA_TOO_DEEP, FORMULA_TOO_LARGE,
    FORMULA_FUNCTION_UNKNOWN, FORMULA_ARGUMENTS.
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    if len(text) > FORMULA_CHARS_MAX:
        raise FormulaError(
            "FORMULA_TOO_LONG",
            str(len(text)),
            f"a formula has at most {FORMULA_CHARS_MAX} characters, not {len(text)}",
        )
    try:
        tree: Node = _parser().parse(text)
    except UnexpectedInput as error:
        place = len(text)
        if isinstance(error, UnexpectedCharacters) or (
            isinstance(error, UnexpectedToken) and error.token.type != "$END"
        ):
            place = error.pos_in_stream or 0
        message = f"the formula can't be read from character {place + 1} on: {text[place:][:20]!r}"
        raise FormulaError("FORMULA_MALFORMED", text[place:][:20], message) from None
    return tree


@cache
def _parser() -> Any:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", transformer=_Builder(), maybe_placeholders=False)


class _Builder:
    """Makes nodes as the parser reduces, from the leaves up: nothing recurses."""

    def number(self, children: list[Any]) -> Node:
        try:
            return Node("number", number=parse_price(str(children[0])))
        except PriceError as error:
            raise FormulaError("FORMULA_MALFORMED", str(children[0]), str(error)) from None

    def quantity(self, children: list[Any]) -> Node:
        return Node("quantity", (str(children[0]).strip('"'),))

    def attribute(self, children: list[Any]) -> Node:
        return Node("attribute", (str(children[0])[1:-1],))

    def chain(self, children: list[Any]) -> Node:
        left, operator, right = children
        if left.kind == "chain" and (left.names[0] in "+-") == (operator in "+-"):
            return _node("chain", (*left.names, str(operator)), (*left.args, right))
        return _node("chain", (str(operator),), (left, right))

    def signed(self, children: list[Any]) -> Node:
        sign, inner = children
        if sign == "+":
            raise FormulaError("FORMULA_MALFORMED", "+", "a formula has no plus sign before a term")
        return _node("negate", (), (inner,))

    def compare(self, children: list[Any]) -> tuple[Node, str, Node]:
        left, comparison, right = children
        return left, str(comparison), right

    def choose(self, children: list[Any]) -> Node:
        (left, comparison, right), then, otherwise = children
        return _node("choose", (comparison,), (left, right, then, otherwise))

    def call(self, children: list[Any]) -> Node:
        name, args = str(children[0]), tuple(children[1:])
        if name not in FUNCTIONS:
            known = ", ".join([*FUNCTIONS, "if", "attr", "quantity"])
            message = f"{name!r} is not a function of formulas; there are {known}"
            raise FormulaError("FORMULA_FUNCTION_UNKNOWN", name, message)
        fewest, most = FUNCTIONS[name]
        if not fewest <= len(args) <= most:
            message = f"{name} takes {fewest} to {most} arguments, not {len(args)}"
            raise FormulaError("FORMULA_ARGUMENTS", name, message)
        return _node("call", (name,), args)


def _node(kind: str, names: tuple[str, ...], args: tuple[Node, ...]) -> Node:
    depth, size = 1 + max(arg.depth for arg in args), 1 + sum(arg.size for arg in args)
    if depth > FORMULA_DEPTH_MAX:
        message = f"the formula is nested deeper than {FORMULA_DEPTH_MAX}"
        raise FormulaError("FORMULA_TOO_DEEP", str(depth), message)
    if size > FORMULA_NODES_MAX:
        message = f"the formula has more than {FORMULA_NODES_MAX} parts"
        raise FormulaError("FORMULA_TOO_LARGE", str(size), message)
    return Node(kind, names, args, depth=depth, size=size)
