"""All accounts of a subtree are charged together what its total costs (rules R1, D8, N3).

Over random trees, moves, reversals and orders, beside a plain model: parents, who names a card, and
what stands of each event in the subtree where it was recorded.
"""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from shared_world import SharedCase

from ledger.core.limits import DAY_US

PRODUCTS = (
    "graduated",
    "volume",
    "dearer",
    "package",
    "stairstep",
    "included",
    "share",
    "thirds",
    "day-volume",
)
ACCOUNTS = 6


def cost(product: str, total: int) -> int:
    """F, by hand; half to even."""
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
        case "included":
            return min(500, max(0, total - 100))
        case "share":
            return round(Fraction(max(0, total - 100), 10))
    assert product == "thirds"
    return round(Fraction(total, 3) if total <= 10 else Fraction(total, 4))


class Trees(SharedCase):
    """A family of six whose first names the card, and what stands by product, subtree and day."""

    def __init__(self, parents: list[int], priced: list[bool], policy: str) -> None:
        super().__init__()
        self.run(f"account n0 card=together {policy}")
        self.parents = [0]
        self.priced = [True]
        for number, parent in enumerate(parents, 1):
            above = parent % number
            card = "card=together" if priced[number - 1] else ""
            self.run(f"account n{number} parent=n{above} {card} {policy}")
            self.parents.append(above)
            self.priced.append(priced[number - 1])
        self.stands: dict[tuple[str, int, int], int] = {}
        self.recorded: list[tuple[tuple[str, int, int], int, str, int]] = []

    def top(self, account: int) -> int:
        while not self.priced[account]:
            account = self.parents[account]
        return account

    def use(self, product: str, account: int, tokens: int) -> None:
        event = f"u{len(self.recorded)}"
        self.run(f"usage n{account} {tokens} of={product} id={event}")
        day = self.core.now // DAY_US if product.startswith("day") else 0
        place = (product, self.top(account), day)
        self.stands[place] = self.stands.get(place, 0) + tokens
        self.recorded.append((place, account, event, tokens))

    def reverse(self, which: int, part: int) -> None:
        which %= len(self.recorded)
        place, account, event, left = self.recorded[which]
        tokens = min(left, part)
        if tokens:
            self.run(f"reverse {event} {tokens}")
            self.stands[place] -= tokens
            self.recorded[which] = (place, account, event, left - tokens)

    def move(self, account: int, parent: int) -> None:
        above = parent
        while above and above != account:
            above = self.parents[above]
        if account and above != account and self.parents[account] != parent:
            self.run(f"move n{account} n{parent}")
            self.parents[account] = parent

    def check(self) -> None:
        """Once all that is due is posted, each place has drawn F of what stands there."""
        while self.core.sweep():
            pass
        drawn: dict[tuple[str, int, int], int] = {}
        for name in self.accounts:
            account = self.account(name)
            assert account.dues is None
            for (_, scope, start), parts in account.row_draws.items():
                for (used, _, _), units in parts.items():
                    product = self.core.state.books.accounts[used].name
                    day = start // DAY_US if product.startswith("day") else 0
                    top = (scope >> 4) - 1  # accounts are numbered from 1
                    place = (product, top, day)
                    drawn[place] = drawn.get(place, 0) + units
        found = {place: units for place, units in drawn.items() if units}
        wanted = {place: cost(place[0], total) for place, total in self.stands.items()}
        assert found == {place: units for place, units in wanted.items() if units}
        for product in PRODUCTS:
            all_of_it = sum(units for place, units in wanted.items() if place[0] == product)
            assert self._seen_spent(product, "") == all_of_it, product


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("use"),
            st.sampled_from(PRODUCTS),
            st.integers(0, ACCOUNTS - 1),
            st.sampled_from([1, 3, 7, 40, 60, 110, 450]),
        ),
        st.tuples(
            st.just("reverse"), st.just(""), st.integers(0, 40), st.sampled_from([1, 5, 60, 1_000])
        ),
        st.tuples(st.just("grant"), st.just(""), st.integers(0, ACCOUNTS - 1), st.integers(1, 900)),
        st.tuples(
            st.just("move"), st.just(""), st.integers(1, ACCOUNTS - 1), st.integers(0, ACCOUNTS - 1)
        ),
        st.tuples(st.just("check"), st.just(""), st.just(0), st.just(0)),
        st.tuples(st.just("clock"), st.just(""), st.integers(0, 2), st.just(0)),
    ),
    min_size=4,
    max_size=26,
)
trees = st.tuples(
    st.lists(st.integers(0, 10), min_size=ACCOUNTS - 1, max_size=ACCOUNTS - 1),
    st.lists(st.sampled_from([False, False, True]), min_size=ACCOUNTS - 1, max_size=ACCOUNTS - 1),
    st.sampled_from(["overdraft=700", "overage=self", "excess=absorb", "excess=bill"]),
)


@given(trees, steps)
def test_a_subtree_is_charged_what_its_total_costs(
    tree: tuple[list[int], list[bool], str], taken: list[tuple[str, str, int, int]]
) -> None:
    case = Trees(*tree)
    for number, (verb, product, which, amount) in enumerate(taken):
        if verb == "use":
            case.use(product, which, amount)
        elif verb == "reverse" and case.recorded:
            case.reverse(which, amount)
        elif verb == "grant":
            case.run(f"grant n{which} {amount} as=g{number} paid={amount // 3}")
        elif verb == "move":
            case.move(which, amount)
        elif verb == "clock":
            case.core.advance(which * DAY_US // 3 + 1)
        elif verb == "check":
            case.check()
    case.check()
    case.finish()


@given(
    st.sampled_from(["volume", "dearer"]),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), min_size=1, max_size=20),
)
def test_each_account_pays_its_part_at_the_tier_of_all(
    product: str, parts: list[tuple[int, int]]
) -> None:
    """Where prices are whole, to the unit: its own quantity at the price that all have reached."""
    case = Trees([0, 0, 0, 1, 1], [False] * 5, "overage=self")
    own = [0] * 4
    for account, tokens in parts:
        case.use(product, account, tokens)
        own[account] += tokens
    case.check()
    total = sum(own)
    price = cost(product, total) // total
    for account, quantity in enumerate(own):
        drawn = case.account(f"n{account}").row_draws.values()
        assert sum(units for each in drawn for units in each.values()) == quantity * price


@given(trees, steps, st.lists(st.booleans(), min_size=26, max_size=26))
def test_a_family_that_was_packed_decides_as_one_that_stayed(
    tree: tuple[list[int], list[bool], str],
    taken: list[tuple[str, str, int, int]],
    packs: list[bool],
) -> None:
    """The same entries, byte for byte, also where re-rates are due as it is packed."""
    stays, packed = Trees(*tree), Trees(*tree)
    for number, (verb, product, which, amount) in enumerate(taken):
        if packs[number]:
            packed.finish()
        for case in (stays, packed):
            if verb == "use":
                case.use(product, which, amount)
            elif verb == "reverse" and case.recorded:
                case.reverse(which, amount)
            elif verb == "grant":
                case.run(f"grant n{which} {amount} as=g{number}")
            elif verb == "move":
                case.move(which, amount)
    assert stays.core.journal() == packed.core.journal()


def test_what_another_has_drawn_of_a_reversal_is_judged_once() -> None:
    """Who comes first draws the first block, and has it back when all is reversed."""
    case = Trees([0] * (ACCOUNTS - 1), [False] * (ACCOUNTS - 1), "overdraft=700")
    case.use("package", 0, 1)
    case.use("package", 1, 1)
    case.reverse(0, 1)
    case.reverse(1, 1)
    case.use("package", 0, 1)
    case.check()
    case.finish()
