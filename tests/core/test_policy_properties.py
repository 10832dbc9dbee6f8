"""Random policies, and what comes of random work by them, against a plain model of its own (rules
D4, H4, I2): which rule decides, what runs, what it costs; and never beyond the bound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from core_world import CREDITS, FAMILY, HOUR_US, replay
from hypothesis import given
from hypothesis import strategies as st
from policy_case import PolicyCase
from test_verify_rules import judged

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.digest import digest

PRICES = {"chat": Fraction(1), "image": Fraction(1), "half": Fraction(1, 2), "free": Fraction(0)}
PRODUCTS = (*PRICES, "nothing")
A = e.PolicyAction

works = st.builds(
    lambda product, permille: e.Alternative(
        product, (), (e.QuantityMap("tokens", "tokens", permille),) if permille != 1000 else ()
    ),
    st.sampled_from(PRODUCTS),
    st.sampled_from([250, 500, 1000, 2000]),
)
conditions: dict[str, Any] = {
    "products": st.sampled_from([(), ("chat",), ("half", "image")]),
    "limits": st.sampled_from([(), (int(e.LimitKind.GRANTS),), (int(e.LimitKind.PRICE),)]),
    "available_below": st.sampled_from([-1, -1, 5, 20]),
}
rules = st.one_of(
    st.builds(e.PolicyRule, st.just(A.DENY), **conditions),
    st.builds(e.PolicyRule, st.just(A.TOP_UP), **conditions),
    st.builds(
        e.PolicyRule,
        st.just(A.OVERDRAW),
        asset=st.just(CREDITS),
        bound=st.integers(1, 30),
        lasting=st.sampled_from([0, 2 * HOUR_US]),
        **conditions,
    ),
    st.builds(
        e.PolicyRule,
        st.just(A.DOWNGRADE),
        alternatives=st.lists(works, max_size=3).map(tuple),
        **conditions,
    ),
    st.builds(
        e.PolicyRule, st.just(A.DEFER), alternatives=works.map(lambda work: (work,)), **conditions
    ),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("rules"), st.lists(rules, max_size=4).map(tuple)),
        st.tuples(
            st.sampled_from(["ask", "buy"]),
            st.sampled_from(PRODUCTS),
            st.integers(1, 40),
            st.lists(works, max_size=2).map(tuple),
        ),
        st.tuples(st.just("release"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.just(HOUR_US)),
        st.tuples(st.just("grant"), st.integers(1, 25)),
    ),
    max_size=25,
)


class Model:
    """One account: units, what is owed, what holds reserve, how much of each product was used."""

    def __init__(self) -> None:
        self.units = self.owed = self.since = self.now = 0
        self.used = dict.fromkeys(PRICES, 0)
        self.holds: list[tuple[int, int]] = []  # of grants, of the advance
        self.rules: tuple[e.PolicyRule, ...] = ()

    def cost(self, product: str, tokens: int) -> int | None:
        if product not in PRICES:
            return None
        price, before = PRICES[product], self.used[product]
        return round((before + tokens) * price) - round(before * price)

    @property
    def free(self) -> int:
        return self.units - sum(held for held, _ in self.holds)

    @property
    def drawn(self) -> int:
        return self.owed + sum(held for _, held in self.holds)

    def decide(
        self, product: str, tokens: int, listed: tuple[e.Alternative, ...]
    ) -> tuple[int, e.PolicyAction, str, int, int]:
        """Rule, action, product that runs ("" = none), its tokens and charge."""
        cost = self.cost(product, tokens)
        if cost is not None and cost <= self.free:
            return 0, A.NONE, product, tokens, cost
        kind = e.LimitKind.PRICE if cost is None else e.LimitKind.GRANTS
        for place, rule in enumerate(self.rules, 1):
            if rule.products and product not in rule.products:
                continue
            if rule.limits and kind not in rule.limits:
                continue
            if 0 <= rule.available_below <= self.free:
                continue
            if rule.action == A.DENY:
                return place, A.DENY, "", 0, 0
            if rule.action == A.TOP_UP and cost is not None:
                return place, A.TOP_UP, "", 0, 0
            if rule.action == A.OVERDRAW and cost is not None:
                long = rule.lasting and self.since and self.since + rule.lasting <= self.now
                if not long and cost - self.free + self.drawn <= rule.bound:
                    return place, A.OVERDRAW, product, tokens, cost
            if rule.action in (A.DOWNGRADE, A.DEFER):
                works = rule.alternatives + (listed if rule.action == A.DOWNGRADE else ())
                found = self.cheapest(product, tokens, works)
                if found is not None:
                    return place, rule.action, *found
        found = self.cheapest(product, tokens, listed)
        if found is not None:
            return 0, A.DOWNGRADE, *found
        return 0, A.NONE, "", 0, 0

    def cheapest(
        self, product: str, tokens: int, works: tuple[e.Alternative, ...]
    ) -> tuple[str, int, int] | None:
        found = []
        for place, work in enumerate(works):
            permille = work.quantities[0].permille if work.quantities else 1000
            amount = -(-tokens * permille // 1000)
            cost = self.cost(work.product, amount)
            same = (work.product, amount) == (product, tokens)
            if not same and cost is not None and cost <= self.free:
                found.append((cost, place, work.product, amount))
        if not found:
            return None
        cost, _, name, amount = min(found)
        return name, amount, cost

    def take(self, cost: int, product: str, tokens: int, *, held: bool) -> None:
        units = min(cost, self.free)
        if held:
            self.holds.append((units, cost - units))
            return
        self.units -= units
        self.used[product] += tokens
        if cost > units:
            self.since = self.since or self.now
            self.owed += cost - units

    def granted(self, amount: int) -> None:
        repaid = min(amount, self.owed)
        self.owed -= repaid
        self.units += amount - repaid
        if not self.owed:
            self.since = 0


@given(steps)
def test_random_policies_decide_as_a_plain_model_says(taken: list[tuple[Any, ...]]) -> None:
    case, model = PolicyCase(), Model()
    case.run("account acme")
    account, numbers = case.accounts["acme"], []
    model.now = case.core.now
    for step, (verb, *given_) in enumerate(taken):
        key = FAMILY.request(f"s{step}")
        if verb == "rules":
            [model.rules] = given_
            assert isinstance(
                case.core.run(c.SetDecisionPolicy(key, account, model.rules)), e.DecisionPolicySet
            )
        elif verb == "wait":
            case.core.advance(given_[0])
            model.now = case.core.now
        elif verb == "grant":
            case.run(f"grant acme {given_[0]} as=g{step}")
            model.granted(given_[0])
        elif verb == "release" and numbers:
            place = given_[0] % len(numbers)
            case.core.run(c.ReleaseHold(key, account, numbers.pop(place)))
            model.holds.pop(place)
        elif verb in ("ask", "buy"):
            product, tokens, listed = given_
            shape = case.core.shape(product, "tokens")
            kind: Any = c.AuthorizeHold if verb == "ask" else c.DebitWork
            more = {"lifetime": 24 * HOUR_US} if verb == "ask" else {}
            command = kind(key, account, shape, (tokens,), alternatives=listed, **more)
            outcome = case.core.run(command)
            place, action, runs, amount, cost = model.decide(product, tokens, listed)
            ruling = getattr(outcome, "ruling", None)
            said = (ruling.rule, ruling.action) if ruling is not None else (0, A.NONE)
            assert said == (place, action), (outcome, runs)
            assert isinstance(outcome, e.AuthorizeDenied) == (not runs), outcome
            if runs:
                plan = case.core.state.declared[outcome.plan]
                assert (plan.product, outcome.quantities) == (runs, (amount,))
                assert sum(piece.amount for piece in outcome.slices) == cost
                model.take(cost, runs, amount, held=verb == "ask")
                if verb == "ask":
                    numbers.append(outcome.hold)
            if action == A.OVERDRAW:
                assert model.drawn <= model.rules[place - 1].bound
            advance = case.core.state.accounts[account].advance.get(CREDITS)
            if advance is not None:
                assert advance.owed + advance.debits_pending == model.drawn
    assert judged(case.core) == []
    assert digest(replay(case.core.journal())) == digest(case.core.state)
