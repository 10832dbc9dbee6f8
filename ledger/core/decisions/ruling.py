"""What a policy makes of work that may not run as it was asked for (rules D4, H4, H6, H9).

The rules of a policy are looked at in their order; the first that applies, and of which the action
succeeds, decides. After them come the alternatives that the request itself names. Everything that
was looked at is said, with what came of it. Reads state, changes nothing: the same serves advice,
decisions and their explanation.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

from ledger.core.decisions.affording import Afforded, afford
from ledger.core.decisions.assessing import Assessment, assess
from ledger.core.decisions.shortfall import limit_of
from ledger.core.drawing.drawdown import Overdraw, overdraft_limit
from ledger.core.events import (
    Alternative,
    AskedWork,
    Limit,
    LimitKind,
    PolicyAction,
    PolicyRule,
    Pot,
    Ruling,
    Tried,
    UpTo,
)
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.costs import cost_of
from ledger.core.shapes import Shape
from ledger.core.state import Account, Hold, State

PERMILLE: Final = 1_000

# What came of a rule or an alternative, where that is no reason of a refusal.
OTHER_PRODUCT: Final = "OTHER_PRODUCT"
OTHER_ATTRIBUTES: Final = "OTHER_ATTRIBUTES"
WITHIN_LIMITS: Final = "WITHIN_LIMITS"
OTHER_LIMIT: Final = "OTHER_LIMIT"
LIFETIME_VALUE_BELOW: Final = "LIFETIME_VALUE_BELOW"
AVAILABLE_NOT_BELOW: Final = "AVAILABLE_NOT_BELOW"
MARGIN_KEPT: Final = "MARGIN_KEPT"
MARGIN_UNKNOWN: Final = "MARGIN_UNKNOWN"
NOT_OF_CREDITS: Final = "NOT_OF_CREDITS"  # more of them would not help
OTHER_ASSET: Final = "OTHER_ASSET"
OWED_TOO_LONG: Final = "OWED_TOO_LONG"
BOUND_EXCEEDED: Final = "BOUND_EXCEEDED"
SAME_WORK: Final = "SAME_WORK"
NOT_CHEAPEST: Final = "NOT_CHEAPEST"
NONE_AFFORDABLE: Final = "NONE_AFFORDABLE"

_OF_CREDITS: Final = (LimitKind.GRANTS, LimitKind.OVERDRAFT, LimitKind.OVERAGE, LimitKind.GRACE)
"""Limits that a top-up may lift."""


class Ruled(NamedTuple):
    """What is decided: the work that may run, or the denial of what was asked for, and how it came
    about. `lifetime` is that of its hold, 0 = the default; `overdraw`: how far below zero it goes.
    """

    afforded: Afforded
    shape: Shape
    up_to: UpTo | None
    lifetime: int
    ruling: Ruling
    overdraw: Overdraw | None = None


class Margin(NamedTuple):
    """Price and cost of work, in minor units of the money that its cost is in: the charge is
    converted by the published rate where it is in another asset."""

    price: int
    cost: int
    asset: int


def rule(
    state: State,
    account: Account,
    shape: Shape,
    quantities: tuple[int, ...],
    up_to: UpTo | None,
    alternatives: tuple[Alternative, ...],
    lifetime: int,
    afforded: Afforded,
    now: int,
    operation: bytes = b"",
    hold: Hold | None = None,
) -> Ruled | None:
    """What the account's policy, and the request's alternatives, make of work of which `afforded`
    is what the limits say by themselves. None = the policy has nothing to say: it is allowed."""
    if alternatives or afforded.found.denied or _has_floor(account):
        case = _Case(
            state, account, shape, quantities, up_to, alternatives, lifetime, afforded, now,
            operation, hold,
        )  # fmt: skip
        if alternatives or case.denied or case.is_below_a_floor():
            return case.decide()
    return None


def _has_floor(account: Account) -> bool:
    standing = account.rules
    return standing is not None and any(each.margin_floor >= 0 for each in standing.rules)


def margin_of(
    state: State,
    account: Account,
    found: Assessment,
    shape: Shape,
    quantities: tuple[int, ...],
    now: int,
) -> Margin | None:
    """What work would earn. None = its price or its cost is not known."""
    bound = found.bound
    if found.priced.suspense or bound.cost_card is None:
        return None
    cost = cost_of(state, account, bound, shape, quantities, now)
    if cost is None or isinstance(cost, Refusal) or min(cost.lines) < 0:
        return None
    price, asset = found.charge, cost.bound.asset
    if asset != bound.asset:
        rate = state.catalog.rate(bound.asset, asset, now)
        if rate is None:
            return None
        price = rate.converted(price)
    return Margin(price, cost.total, asset)


class _Option(NamedTuple):
    """An alternative as work of its own."""

    shape: Shape
    quantities: tuple[int, ...]


class _Case:
    """One decision: what was asked for, what the limits say of it, and what was tried so far."""

    def __init__(
        self,
        state: State,
        account: Account,
        shape: Shape,
        quantities: tuple[int, ...],
        up_to: UpTo | None,
        alternatives: tuple[Alternative, ...],
        lifetime: int,
        afforded: Afforded,
        now: int,
        operation: bytes = b"",
        hold: Hold | None = None,
    ) -> None:
        self.state = state
        self.account = account
        self.shape = shape
        self.quantities = quantities
        self.up_to = up_to
        self.alternatives = alternatives
        self.lifetime = lifetime
        self.afforded = afforded
        self.now = now
        self.operation = operation
        self.hold = hold
        self.denied: str = afforded.found.denied
        standing = account.rules
        self.standing = standing
        self.rules: tuple[PolicyRule, ...] = standing.rules if standing is not None else ()
        self.tried: list[Tried] = []
        self._limit: Limit | None = None
        self._margin: Margin | None = None
        self._margin_known = False

    def decide(self) -> Ruled:
        """The first rule that applies and succeeds; else the request's alternatives; else as the
        limits say, or denied for the margin."""
        below = False
        for place, each in enumerate(self.rules, 1):
            unmet = self._unmet(each)
            if unmet:
                self.tried.append(Tried(place, each.action, unmet))
                continue
            below = below or each.margin_floor >= 0
            reason = self.denied or Reason.MARGIN_BELOW_FLOOR
            found = self._act(place, each, reason)
            if found is not None:
                return found
        reason = self.denied or (Reason.MARGIN_BELOW_FLOOR if below else "")
        if reason and self.alternatives:
            own = self._cheapest(0, PolicyAction.DOWNGRADE, self.alternatives, 0, -1)
            if own is not None:
                return self._instead(0, PolicyAction.DOWNGRADE, reason, own, self.lifetime)
        return self._as_asked(0, PolicyAction.NONE, reason)

    def is_below_a_floor(self) -> bool:
        """Whether a rule that asks for a margin applies."""
        return any(each.margin_floor >= 0 and not self._unmet(each) for each in self.rules)

    # -- conditions --------------------------------------------------------------------------------

    def _unmet(self, rule: PolicyRule) -> str:
        """The condition that is not met, "" = the rule applies."""
        if not _is_of(rule, self.shape):
            named = not rule.products or self.shape.product in rule.products
            return OTHER_ATTRIBUTES if named else OTHER_PRODUCT
        if rule.margin_floor < 0 and not self.denied:
            return WITHIN_LIMITS
        if rule.limits and (not self.denied or self._denying().kind not in rule.limits):
            return OTHER_LIMIT
        if rule.lifetime_asset:
            assert self.standing is not None
            owner = self.state.accounts[self.standing.account]
            if owner.lifetime.get(rule.lifetime_asset, 0) < rule.lifetime_least:
                return LIFETIME_VALUE_BELOW
        found = self.afforded.found
        if 0 <= rule.available_below <= found.available:
            return AVAILABLE_NOT_BELOW
        if rule.margin_floor >= 0:
            if not self._margin_known:
                self._margin_known = True
                self._margin = self._margin_of(found, self.shape, self.afforded.quantities)
            if self._margin is None:
                return MARGIN_UNKNOWN
            if not _is_below(self._margin, rule.margin_floor):
                return MARGIN_KEPT
        return ""

    def _denying(self) -> Limit:
        if self._limit is None:
            self._limit = limit_of(self.state, self.account, self.afforded.found, self.now)
        return self._limit

    def _margin_of(
        self, found: Assessment, shape: Shape, quantities: tuple[int, ...]
    ) -> Margin | None:
        return margin_of(self.state, self.account, found, shape, quantities, self.now)

    # -- actions -----------------------------------------------------------------------------------

    def _act(self, place: int, rule: PolicyRule, reason: str) -> Ruled | None:
        """What the rule's action comes to; None = it does not succeed."""
        action = rule.action
        if action == PolicyAction.DENY:
            self.tried.append(Tried(place, action, ""))
            return self._as_asked(place, action, reason)
        if action == PolicyAction.OVERDRAW:
            return self._overdraw(place, rule, reason)
        if action == PolicyAction.TOP_UP:
            return self._top_up(place, rule, reason)
        listed = rule.alternatives
        if action == PolicyAction.DOWNGRADE:
            listed = (*listed, *self.alternatives)
        found = self._cheapest(place, action, listed, len(rule.alternatives), rule.margin_floor)
        if found is None:
            return None
        lifetime = self.lifetime
        if action == PolicyAction.DEFER:
            longest = found[0].bound.terms.lifetime_max
            lifetime = min(rule.lifetime or longest, longest)
        return self._instead(place, action, reason, found, lifetime)

    def _overdraw(self, place: int, rule: PolicyRule, reason: str) -> Ruled | None:
        """The same work, below zero: as far as the bound, and for as long as the rule says."""
        debt = self.account.debt.get(rule.asset)
        owed_since = debt.since if debt is not None else 0
        result = ""
        afforded: Afforded | Refusal | None = None
        overdraw = Overdraw(rule.asset, rule.bound)
        if self.afforded.found.asset != rule.asset:
            result = OTHER_ASSET
        elif rule.lasting and owed_since and owed_since + rule.lasting <= self.now:
            result = OWED_TOO_LONG
        else:
            afforded = self._assess(self.shape, self.quantities, self.up_to, overdraw)
            if isinstance(afforded, Refusal):
                result = afforded.reason
            elif afforded.found.denied == Reason.INSUFFICIENT_CREDITS:
                result = BOUND_EXCEEDED
            else:
                result = afforded.found.denied
        charge = self.afforded.found.charge
        self.tried.append(Tried(place, rule.action, result, 0, "", charge, rule.asset))
        if result:
            return None
        assert isinstance(afforded, Afforded)
        ruling = self._ruling(place, rule.action, reason)
        return Ruled(afforded, self.shape, self.up_to, self.lifetime, ruling, overdraw)

    def _top_up(self, place: int, rule: PolicyRule, reason: str) -> Ruled | None:
        """Denied for now: it says what is missing."""
        found = self.afforded.found
        if self._denying().kind not in _OF_CREDITS:
            self.tried.append(Tried(place, rule.action, NOT_OF_CREDITS))
            return None
        self.tried.append(Tried(place, rule.action, "", 0, "", found.charge, found.asset))
        missing = missing_units(self.account, found)
        return self._as_asked(place, rule.action, reason, missing)

    def _cheapest(
        self,
        place: int,
        action: PolicyAction,
        listed: tuple[Alternative, ...],
        of_rule: int,
        floor: int,
    ) -> tuple[Assessment, _Option] | None:
        """The cheapest alternative that every limit affords, the first of those that cost the same;
        what is priced in an asset that has no rate to that of the work stands after all others."""
        best: tuple[tuple[int, Fraction, int], Assessment, _Option, int] | None = None
        for number, each in enumerate(listed, 1):
            option = self._option(each)
            found = None
            result: str = SAME_WORK
            if option.shape is not self.shape or option.quantities != self.quantities:
                found = self._assess(option.shape, option.quantities, None)
                result = self._refused(found, option, floor)
            charge, asset = 0, 0
            if isinstance(found, Afforded):
                charge, asset = found.found.charge, found.found.asset
                if not result:
                    rank = (*self._worth(charge, asset), number)
                    if best is None or rank < best[0]:
                        if best is not None:
                            self._overtake(best[3])
                        best = (rank, found.found, option, len(self.tried))
                    else:
                        result = NOT_CHEAPEST
            self.tried.append(
                Tried(place, action, result, number, option.shape.product, charge, asset)
            )
        if best is None:
            if not listed:
                self.tried.append(Tried(place, action, NONE_AFFORDABLE))
            return None
        return best[1], best[2]

    def _overtake(self, index: int) -> None:
        """What was the cheapest so far is not."""
        was = self.tried[index]
        self.tried[index] = Tried(
            was.rule,
            was.action,
            NOT_CHEAPEST,
            was.alternative,
            was.product,
            was.charge,
            was.asset,
        )

    def _refused(self, found: Afforded | Refusal, option: _Option, floor: int) -> str:
        """Why an alternative may not run; "" = it may."""
        if isinstance(found, Refusal):
            return found.reason
        if found.found.bound.terms.outcome is not None:
            return Reason.OUTCOME_EXPECTED
        if found.found.denied:
            return found.found.denied
        floors = [each.margin_floor for each in self.rules if _is_of(each, option.shape)]
        least = max([floor, *floors])
        if least >= 0:
            margin = self._margin_of(found.found, option.shape, option.quantities)
            if margin is not None and _is_below(margin, least):
                return Reason.MARGIN_BELOW_FLOOR
        return ""

    def _worth(self, charge: int, asset: int) -> tuple[int, Fraction]:
        """A charge in the asset of the work that was asked for, to compare it."""
        own = self.afforded.found.asset
        if asset == own or not charge:
            return 0, Fraction(charge)
        rate = self.state.catalog.rate(asset, own, self.now)
        if rate is None:
            return 1, Fraction(0)
        return 0, Fraction(charge * rate.numerator, rate.denominator)

    def _assess(
        self,
        shape: Shape,
        quantities: tuple[int, ...],
        up_to: UpTo | None,
        overdraw: Overdraw | None = None,
    ) -> Afforded | Refusal:
        if up_to is not None:
            return afford(
                self.state, self.account, shape, quantities, up_to, self.now, overdraw,
                self.operation, self.hold,
            )  # fmt: skip
        found = assess(
            self.state, self.account, shape, quantities, self.now, 0, overdraw, self.operation,
            self.hold,
        )  # fmt: skip
        return found if isinstance(found, Refusal) else Afforded(found, quantities, None)

    def _option(self, listed: Alternative) -> _Option:
        """The alternative as work: attributes over those of the request, quantities mapped."""
        shape = self.shape
        attributes = dict(shape.attributes)
        attributes.update(dict(listed.attributes))
        mapped = {each.quantity: each for each in listed.quantities}
        amounts: dict[str, int] = {}
        for name, amount in zip(shape.quantity_names, self.quantities, strict=True):
            become = mapped.get(name)
            if become is not None:
                name, amount = become.becomes, -(-amount * become.permille // PERMILLE)
            if name:
                amounts[name] = min(amounts.get(name, 0) + amount, INT64_MAX)
        names = tuple(sorted(amounts))
        product = listed.product or shape.product
        found = self.state.catalog.shape(product, tuple(sorted(attributes.items())), names)
        same = (shape.product, shape.attributes, shape.quantity_names)
        if (found.product, found.attributes, found.quantity_names) == same:
            found = shape
        return _Option(found, tuple([amounts[name] for name in names]))

    # -- what is decided ---------------------------------------------------------------------------

    def _instead(
        self,
        place: int,
        action: PolicyAction,
        reason: str,
        found: tuple[Assessment, _Option],
        lifetime: int,
    ) -> Ruled:
        """Other work may run."""
        assessment, option = found
        shape = self.shape
        asked = AskedWork(
            shape.product,
            shape.attributes,
            shape.quantity_names,
            self.quantities,
            self.lifetime,
            self.up_to,
        )
        lifetime = min(lifetime, assessment.bound.terms.lifetime_max)
        return Ruled(
            Afforded(assessment, option.quantities, None),
            option.shape,
            None,
            lifetime,
            self._ruling(place, action, reason, asked),
        )

    def _as_asked(self, place: int, action: PolicyAction, reason: str, missing: int = 0) -> Ruled:
        """The work may run, or not, as it was asked for."""
        afforded = self.afforded
        if reason and not afforded.found.denied:
            found = afforded.found
            found.denied = reason
            found.slices, found.opened, found.uses_debt = (), [], False
            afforded = Afforded(found, self.quantities, None)
        ruling = self._ruling(place, action, reason, None, missing)
        return Ruled(afforded, self.shape, self.up_to, self.lifetime, ruling)

    def _ruling(
        self,
        place: int,
        action: PolicyAction,
        reason: str,
        asked: AskedWork | None = None,
        missing: int = 0,
    ) -> Ruling:
        standing = self.standing
        return Ruling(
            standing.account if standing is not None else 0,
            standing.version if standing is not None else 0,
            place,
            action,
            reason,
            self.afforded.found.charge,
            self.afforded.found.asset,
            asked,
            self.alternatives,
            tuple(self.tried),
            missing,
            0,
            standing.package if standing is not None else "",
        )


def missing_units(account: Account, found: Assessment) -> int:
    """Units that a top-up is to bring before the work is within the account's own limits: it repays
    first what is owed in advance, and what is owed no more may be overdrawn again (rules B3, H6).
    Never more than an amount may be.
    """
    asset = found.asset
    advance = account.advance.get(asset)
    owed, pending = (advance.owed, advance.debits_pending) if advance is not None else (0, 0)
    limit = overdraft_limit(account, asset) if account.policy.holds_overdraft else 0
    again = max(0, limit - pending)
    if found.denied == Reason.GRACE_ENDED:
        missing = owed + max(0, found.charge - found.available - again)
        return min(max(1, missing), INT64_MAX)
    drawn = sum([piece.amount for piece in found.slices if piece.pot != Pot.OVERDRAFT])
    return min(max(1, found.charge - drawn - again + owed), INT64_MAX)


def _is_of(rule: PolicyRule, shape: Shape) -> bool:
    """Whether a rule is for such work."""
    if rule.products and shape.product not in rule.products:
        return False
    return not rule.attributes or set(rule.attributes) <= set(shape.attributes)


def _is_below(margin: Margin, floor: int) -> bool:
    """Whether price - cost is less than so many thousandths of the price."""
    price, cost, _ = margin
    return (price - cost) * PERMILLE < floor * price
