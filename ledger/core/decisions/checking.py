"""Advice on many pieces of work of many accounts, one account after another.

Says of each what is said of one. What a piece of work costs is looked up once for a shape and
a card where that does not depend on the account, and what an account's grants afford once for an
asset; whatever they do not settle by themselves (debt, budgets, seats, prices that run on) is
assessed as any. Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ledger.core.admission import refuse_new
from ledger.core.budgets.operation_cover import covering
from ledger.core.catalog import Bound, CardKey, Catalog
from ledger.core.commands import Sizing
from ledger.core.decisions.affording import Afforded
from ledger.core.decisions.authorizing import (
    assess_up_to,
    operation_refused,
    parts_within,
    range_of,
)
from ledger.core.decisions.holds import holds_limit
from ledger.core.decisions.operation_draws import advised_hold
from ledger.core.decisions.ruling import Ruled, rule
from ledger.core.decisions.shortfall import limit_of
from ledger.core.drawing.drawdown import grace_ended, in_turn, may_pay, overdraft_headroom
from ledger.core.events import Limit, LimitKind, Overage, PolicyAction, Suspense, UpTo
from ledger.core.funding.caps import Rooms
from ledger.core.limits import INT64_MAX
from ledger.core.outcomes import Reason, Refusal
from ledger.core.pricing.pricing import price
from ledger.core.shapes import Shape, Use
from ledger.core.state import Account, Grant, State

_BY_ACTION: Final = {PolicyAction.DOWNGRADE: 4, PolicyAction.DEFER: 5, PolicyAction.TOP_UP: 6}
COST_ALONE: Final = 1
COST_ASSESSED: Final = 12
"""What an answer costs that is read off, and one that is assessed: about so many microseconds."""


class Work(NamedTuple):
    """Something that may be asked for: a shape and how much, in the shape's order; `up_to`: as much
    of one quantity as is affordable; `sizing`: the quantities were learned, for the account asked
    about."""

    shape: Shape
    quantities: tuple[int, ...]
    up_to: UpTo | None = None
    sizing: Sizing | None = None


class Asked:
    """Work that account after account is asked about; the same object where it is the same."""

    __slots__ = ("work",)

    def __init__(self, work: Sequence[Work]) -> None:
        self.work = work


class Flat(NamedTuple):
    """What a piece of work costs whoever has the card; `denied`: why it has no price."""

    bound: Bound
    charge: int
    denied: str


class Answered:
    """The answers for one account, parallel to the work that was asked about.

    `allowed`: 0 = denied for its reason in `denied`, 1 = by grants, 2 = with debt, 3 = so much as
    `amounts` says of the quantity that may be less, 4 = downgraded, 5 = deferred, 6 = denied until
    a top-up; charge and price are those of what may run. `limits` are what denies it or allows no
    more. `sized` is what was decided for where it was learned. `taken` is what a hold of an
    operation would pay of the charges.
    `spent` is about what they took to find, in microseconds.
    """

    __slots__ = (
        "allowed",
        "amounts",
        "available",
        "bounds",
        "charges",
        "denied",
        "limits",
        "sized",
        "spent",
        "taken",
        "version",
    )

    def __init__(self, version: int) -> None:
        self.version = version
        self.allowed: list[int] = []
        self.denied: list[str] = []
        self.charges: list[int] = []
        self.available: list[int] = []
        self.bounds: list[Bound | None] = []
        self.limits: list[Limit | None] = []
        self.amounts: list[int] = []  # 0 = none may be less, or it is denied
        self.sized: list[Work | None] = []
        self.taken: list[int] = []
        self.spent = 0


class Checker:
    """Prices the same work for account after account of one shard, at one instant."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._flat: dict[tuple[CardKey, Asked], list[Flat | None]] = {}

    def is_of(self, state: State) -> bool:
        """Whether it may go on with that state."""
        return state.catalog is self._catalog

    def answer(
        self,
        state: State,
        account: Account,
        asked: Asked,
        now: int,
        operation: bytes = b"",
        hold: int = 0,
    ) -> Answered:
        """What Authorize would say to each piece of work now, were it part of `operation`, and that
        hold of an operation to pay first."""
        found, work = Answered(account.version), asked.work
        refusal = holds_limit(account) or operation_refused(state, account, operation)
        refusal = refusal or refuse_new(account)
        if refusal is not None:
            for _ in work:
                _refused(found, refusal)
            return found
        ruled = account.rules is not None
        alone = not ruled and account.seats is None and not hold
        alone = alone and not _is_budgeted(state, account, operation, now)
        none: list[Flat | None] = [None] * len(work)
        flat = self._prices(state, account, asked, now) if alone else none
        means = _Means(account, now)
        for asked_for, price_of in zip(work, flat, strict=True):
            each = _within(state, account, asked_for, now)
            if isinstance(each, Refusal):
                _refused(found, each)
                continue
            if price_of is None or not _read_off(found, account, means, price_of, each):
                found.spent += COST_ASSESSED
                part_of, whole = operation, None
                if hold:
                    paying = advised_hold(
                        state, account, hold, operation, each.shape, each.quantities, now
                    )
                    if isinstance(paying, Refusal):
                        _refused(found, paying)
                        continue
                    part_of, whole = operation or paying.operation, paying
                afforded = assess_up_to(
                    state, account, each.shape, each.quantities, each.up_to, now,
                    operation=part_of, hold=whole,
                )  # fmt: skip
                if isinstance(afforded, Refusal):
                    _refused(found, afforded)
                else:
                    decided = None
                    if ruled and afforded.found.bound.terms.outcome is None:
                        decided = rule(
                            state, account, each.shape, each.quantities, each.up_to, (), 0,
                            afforded, now, part_of, whole,
                        )  # fmt: skip
                    if decided is not None:
                        _decided(found, state, account, decided, each, now)
                        continue
                    _assessed(found, state, account, afforded, each, now)
                    if price_of is not None and found.denied[-1] == Reason.INSUFFICIENT_CREDITS:
                        means.too_little(price_of.bound, found.limits[-1])
        return found

    def _prices(self, state: State, account: Account, asked: Asked, now: int) -> list[Flat | None]:
        key = (account.card_key, asked)
        known = self._flat.get(key)
        if known is None:
            known = self._flat[key] = [_flat(state, account, each, now) for each in asked.work]
        return known


def _within(state: State, account: Account, work: Work, now: int) -> Work | Refusal:
    """The work as it is decided on: parts that were learned cut to what is left of their whole."""
    if work.sizing is None:
        return work
    quantities, up_to = parts_within(state, account, work.shape, work.quantities, now), work.up_to
    if up_to is not None:
        ranged = range_of(work.shape, quantities, up_to.quantity, up_to.minimum)
        if isinstance(ranged, Refusal):
            return ranged
        up_to = ranged
    return work._replace(quantities=quantities, up_to=up_to)


def _is_budgeted(state: State, account: Account, operation: bytes, now: int) -> bool:
    """Whether a budget of the account, of one above it or of the operation may say no."""
    family = state.families[account.root]
    if not family.may_bound:
        return False
    if any(budget.terms.hard for node in account.line() for budget in node.budgets):
        return True
    return any(budget.terms.hard for budget in covering(state, account, operation, now))


def _flat(state: State, account: Account, work: Work, now: int) -> Flat | None:
    """The price of the work, if it is the same for all who have the account's card now."""
    if not work.quantities or min(work.quantities) < 0 or not any(work.quantities):
        return None
    if work.sizing is not None:
        return None  # it is another quantity for each account
    bound, plan = state.catalog.step(account.card_key, work.shape, now, work.quantities)
    if bound.withheld is not None:
        return None  # it depends on what the account has
    if not plan.whole or plan.modeled or plan.listed or plan.costed or plan.rerates:
        return None
    priced = price(state, account, bound, work.quantities, now)
    if isinstance(priced, Refusal):
        return None
    return Flat(
        bound, priced.total, Reason[Suspense(priced.suspense).name] if priced.suspense else ""
    )


class _Means:
    """What an account's grants and overdraft afford now, worked out once for an asset; for each
    use, where grants are for some products alone."""

    __slots__ = ("_account", "_by_use", "_grants", "_limits", "_now", "units")

    def __init__(self, account: Account, now: int) -> None:
        self._account = account
        self._now = now
        self._grants: list[Grant] | None = None
        self._by_use: dict[Use, tuple[int, int, bool]] = {}
        self._limits: dict[int | Use, Limit | None] = {}
        self.units: dict[int, tuple[int, int, bool]] = {}
        """Asset -> units of grants, overdraft headroom, whether its grace has ended."""

    def too_little(self, bound: Bound, limit: Limit | None) -> None:
        """This limit denies work of that price which costs more than there is."""
        self._limits[bound.asset if bound.asset in self.units else bound.use] = limit

    def denying(self, bound: Bound, charge: int) -> Limit | None:
        """The limit that is known to deny so much; None = it is to be assessed."""
        policy = self._account.policy
        units, headroom, ended = self.of(bound)
        if ended or charge <= units + headroom:
            return None
        if policy.overage != Overage.OFF and policy.holds_overage:
            return None
        return self._limits.get(bound.asset if bound.asset in self.units else bound.use)

    def of(self, bound: Bound) -> tuple[int, int, bool]:
        """The same for work of that price."""
        asset, now = bound.asset, self._now
        found = self.units.get(asset)
        if found is not None:
            return found
        found = self._by_use.get(bound.use)
        if found is not None:
            return found
        account = self._account
        if self._grants is None:
            self._grants = [
                grant for grant in in_turn(account) if grant.effective_at <= now < grant.expires_at
            ]
        grants = [grant for grant in self._grants if grant.asset == asset]
        limited = any(grant.limited for grant in grants)
        if limited:
            grants = [grant for grant in grants if may_pay(grant, asset, bound.use, now)]
        ended = grace_ended(account, asset, now)
        headroom = 0
        if account.policy.holds_overdraft and not ended:
            headroom = overdraft_headroom(account, asset)
        found = Rooms(account, now).of_all(grants), headroom, ended
        if limited:
            self._by_use[bound.use] = found
        else:
            self.units[asset] = found
        return found


def _read_off(found: Answered, account: Account, means: _Means, flat: Flat, work: Work) -> bool:
    """Note the answer if price and grants say it by themselves; else False."""
    bound, charge, denied = flat
    units, headroom, ended = means.of(bound)
    limit = Limit(LimitKind.PRICE, account.number) if denied else None
    if charge and not denied and (ended or charge > units):
        limit = means.denying(bound, charge) if work.up_to is None else None
        if limit is None:
            return False
        denied = Reason.INSUFFICIENT_CREDITS
    found.allowed.append(0 if denied else 1)
    found.denied.append(denied)
    found.charges.append(charge)
    found.available.append(min(units + headroom, INT64_MAX))
    found.bounds.append(bound)
    found.limits.append(limit)
    found.amounts.append(work.up_to.maximum if work.up_to is not None and not denied else 0)
    found.sized.append(None)
    found.taken.append(0)
    found.spent += COST_ALONE
    return True


def _assessed(
    found: Answered,
    state: State,
    account: Account,
    afforded: Afforded,
    work: Work,
    now: int,
    as_asked: bool = True,
) -> None:
    assessed, quantities, limit = afforded
    amount = 0
    if assessed.denied:
        found.allowed.append(0)
        limit = limit_of(state, account, assessed, now)
    else:
        cut = as_asked and quantities != work.quantities
        found.allowed.append(3 if cut else 2 if assessed.uses_debt else 1)
        if work.up_to is not None and as_asked:
            amount = quantities[work.shape.quantity_names.index(work.up_to.quantity)]
    found.denied.append(assessed.denied)
    found.charges.append(assessed.charge)
    found.available.append(min(assessed.available, INT64_MAX))
    found.bounds.append(assessed.bound)
    found.limits.append(limit)
    found.amounts.append(amount)
    found.sized.append(work if work.sizing is not None else None)
    found.taken.append(sum(assessed.taken))


def _decided(
    found: Answered, state: State, account: Account, decided: Ruled, work: Work, now: int
) -> None:
    """What a policy makes of it."""
    _assessed(found, state, account, decided.afforded, work, now, decided.ruling.asked is None)
    found.allowed[-1] = _BY_ACTION.get(decided.ruling.action, found.allowed[-1])


def _refused(found: Answered, refusal: Refusal) -> None:
    """What would be an error of one call is a denial among many answers."""
    found.allowed.append(0)
    found.denied.append(refusal.reason)
    found.charges.append(0)
    found.available.append(0)
    found.bounds.append(None)
    found.limits.append(None)
    found.amounts.append(0)
    found.sized.append(None)
    found.taken.append(0)
