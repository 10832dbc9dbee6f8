"""F stays F: whatever is used, in whatever parts, and whatever is reversed (rule R1).

At any moment the charges of a scope, with its re-rates and less what was given back, are what its
total costs: to the unit, through every pot.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from model_world import ModelCase

from ledger.core.limits import DAY_US

PRODUCTS = ("graduated", "volume", "dearer", "package", "stairstep", "included", "day-volume")
POLICIES = (
    "overdraft=700",
    "overage=self cap=900",
    "excess=absorb",
    "excess=bill",
)


def cost(product: str, total: int) -> int:
    """F, by hand."""
    match product:
        case "graduated":
            low, middle = min(total, 100), max(0, min(total, 1000) - 100)
            return 3 * low + 2 * middle + max(0, total - 1000)
        case "volume" | "day-volume":
            return total * (10 if total <= 100 else 5)
        case "dearer":
            return total * (1 if total <= 100 else 2)
        case "package":
            return -(-total // 100) * 5
        case "stairstep":
            return 0 if total == 0 else 50 if total <= 5 else 80
    assert product == "included"
    return min(500, max(0, total - 100))


class Scopes(ModelCase):
    """Usage of one account, and how much of it stands by product and scope."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        self.run(f"account acme card=models {policy}")
        self.stands: dict[tuple[str, int], int] = {}
        self.recorded: list[tuple[str, int, str, int]] = []  # product, scope, id, left

    def use(self, product: str, tokens: int) -> None:
        self.run(f"usage acme {tokens} of={product} id=u{len(self.recorded)}")
        day = product.startswith("day")
        scope = (self.core.now // DAY_US) if day else 0
        self.recorded.append((product, scope, f"u{len(self.recorded)}", tokens))
        self.stands[product, scope] = self.stands.get((product, scope), 0) + tokens

    def reverse(self, which: int, part: int) -> None:
        place = which % len(self.recorded)
        product, scope, event, left = self.recorded[place]
        tokens = min(left, part)
        if tokens:
            self.run(f"reverse {event} {tokens}")
            self.recorded[place] = (product, scope, event, left - tokens)
            self.stands[product, scope] -= tokens

    def check(self) -> None:
        for product in PRODUCTS:
            expected = sum(
                cost(product, total) for (each, _), total in self.stands.items() if each == product
            )
            assert self._seen_spent(product, "") == expected, product
            drawn = [
                units
                for (key, _, _), parts in self.account("acme").row_draws.items()
                for (used, _, _), units in parts.items()
                if self.core.state.books.accounts[used].name == product
            ]
            assert sum(drawn) == expected, product


moves = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.sampled_from(PRODUCTS), st.integers(1, 260)),
        st.tuples(st.just("reverse"), st.integers(0, 40), st.sampled_from([1, 7, 60, 10_000])),
        st.tuples(st.just("grant"), st.integers(1, 900), st.sampled_from([0, 333])),
        st.tuples(st.just("clock"), st.integers(0, 2), st.just(0)),
    ),
    min_size=4,
    max_size=24,
)


@given(moves, st.sampled_from(POLICIES))
def test_what_stands_of_a_scope_costs_what_its_total_costs(
    taken: list[tuple[str, object, int]], policy: str
) -> None:
    case = Scopes(policy)
    for number, (verb, what, amount) in enumerate(taken):
        if verb == "use":
            case.use(str(what), amount)
        elif verb == "reverse" and case.recorded:
            assert isinstance(what, int)
            case.reverse(what, amount)
        elif verb == "grant":
            case.run(f"grant acme {what} as=g{number} paid={amount}")
        elif verb == "clock":
            assert isinstance(what, int)
            case.core.advance(what * DAY_US // 3 + 1)
        case.check()
    case.finish()


@given(
    st.sampled_from([product for product in PRODUCTS if product != "day-volume"]),
    st.lists(st.integers(1, 400), min_size=1, max_size=12),
)
def test_parts_cost_together_what_the_whole_costs(product: str, parts: list[int]) -> None:
    case, whole = Scopes("overage=self"), Scopes("overage=self")
    for part in parts:
        case.use(product, part)
    whole.use(product, sum(parts))
    spent = [each._seen_spent(product, "") for each in (case, whole)]
    assert spent == [cost(product, sum(parts))] * 2
    case.finish()


@given(moves, st.lists(st.booleans(), min_size=24, max_size=24))
def test_a_family_that_was_packed_decides_as_one_that_stayed(
    taken: list[tuple[str, object, int]], packs: list[bool]
) -> None:
    """The same entries, byte for byte."""
    stays, moved = Scopes("overdraft=700"), Scopes("overdraft=700")
    for number, (verb, what, amount) in enumerate(taken):
        if packs[number]:
            moved.finish()
        for case in (stays, moved):
            if verb == "use":
                case.use(str(what), amount)
            elif verb == "reverse" and case.recorded:
                assert isinstance(what, int)
                case.reverse(what, amount)
            elif verb == "grant":
                case.run(f"grant acme {what} as=g{number} paid={amount}")
    assert stays.core.journal() == moved.core.journal()


def test_a_transfer_of_a_re_rate_may_be_split_over_pots() -> None:
    """Each with its own money, so that paid grants recognise floor(P x drawn / A) (rule B4)."""
    case = Scopes("overage=self")
    case.run(
        """
        grant acme 400 as=a paid=133 priority=1
        grant acme 500 as=b paid=77 priority=2
        """
    )
    case.use("volume", 95)
    case.use("volume", 60)
    case.check()
    for name in "ab":
        grant = case.grant(name)
        assert grant.recognised == grant.price_paid * grant.drawn // grant.amount


def test_what_a_re_rate_has_put_on_other_debt_is_given_back_of_that_debt() -> None:
    """A price that falls gives back of the newest debt, one that rises adds debt of its own: so the
    debt of an entry is less than its line, and its reversal looks further (rules R1, D3)."""
    case = Scopes("overdraft=700")
    case.use("volume", 61)  # 610
    case.use("volume", 40)  # 200, and the 61 are 305 cheaper
    case.run("grant acme 1 as=one")  # repays 1
    case.reverse(0, 60)  # the last 40 and 1 are 205 dearer
    case.reverse(0, 1)
    case.check()
    case.reverse(1, 40)
    case.check()
    assert case._seen_spent("volume", "") == 0
    case.finish()
