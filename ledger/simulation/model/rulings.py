"""Rules for what happens on shortage, and what they make of one piece of work (rules D4, H4, H6).

Everything that is looked at is said, in its order: the whole of what an entry says of it is
compared. Worlds have no costs and no rates, so that no margin is known there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

from msgspec.structs import replace

from ledger.core import events as e
from ledger.core.events import Alternative, LimitKind, PolicyAction, PolicyRule, Ruling, Tried
from ledger.core.limits import DAY_US
from ledger.simulation.model.decisions import (
    Case,
    Work,
    case_of,
    least_of,
    limit_of,
    most_of,
    work_of,
)
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import Overdrawn
from ledger.simulation.naive_holdings import NaiveAccount
from ledger.simulation.rules import Rule

RULE = Rule.RULED
OF_CREDITS = (LimitKind.GRANTS, LimitKind.OVERDRAFT, LimitKind.OVERAGE, LimitKind.GRACE)

Ruled = e.PolicyHeld | e.PolicyDebited | e.PolicyDenied


def rules_set(m: Shard, event: e.DecisionPolicySet) -> None:
    """The rules of an account, whole."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "rules of a closed account", 0, account.closed_at)
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "as expected", account.ruled, event.expected_version)
    m.expect(Rule.POLICY_VERSIONS, "version of the rules", account.ruled + 1, event.version)
    account.ruled, account.decision_rules = event.version, event.rules


def standing(m: Shard, account: NaiveAccount) -> NaiveAccount | None:
    """Whose rules count: its own, else the nearest above that has any."""
    return next((each for each in m.line(account) if each.decision_rules), None)


def are_wrong(rules: tuple[PolicyRule, ...]) -> bool:
    """Whether one of them cannot be: the only faults that worlds draw."""
    return any(
        (each.action == PolicyAction.OVERDRAW) != (each.bound > 0)
        or (each.action == PolicyAction.DEFER and len(each.alternatives) != 1)
        for each in rules
    )


@dataclass
class _Expected:
    """What a decision comes to: the rule that decided, what runs in the stead, how far below zero
    it may go."""

    rule: int = 0
    action: PolicyAction = PolicyAction.NONE
    instead: tuple[Work, tuple[int, ...]] | None = None
    overdrawn: Overdrawn | None = None
    lifetime: int = -1  # of the hold of other work; -1 = as asked
    missing: int = 0
    runs: bool = False
    tried: list[Tried] = field(default_factory=list)


def ruled(m: Shard, account: NaiveAccount, event: Ruled) -> Overdrawn | None:
    """Judge how a decision came about; returns how far below zero it may go."""
    ruling = event.ruling
    assert ruling is not None
    plan, asked = m.plans[event.plan], ruling.asked
    of = work_of(plan, event)
    if asked is not None:
        work, quantities = (
            of._replace(
                product=asked.product,
                attributes=asked.attributes,
                names=asked.quantity_names,
            ),
            asked.quantities,
        )
        up_to, lifetime = asked.up_to, asked.lifetime
    else:
        work, up_to = of, event.up_to
        quantities, lifetime = event.quantities, getattr(event, "lifetime", 0)
        if up_to is not None:
            place = work.names.index(up_to.quantity)
            quantities = (*quantities[:place], up_to.maximum, *quantities[place + 1 :])
    owner = standing(m, account)
    case, fits = _as_asked(m, account, work, quantities, up_to)
    if fits and not ruling.alternatives:
        m.fail(RULE, f"{ruling} of what may run as it was asked for")
    found = _decide(m, account, owner, work, quantities, up_to, lifetime, case, fits, ruling)
    expected = Ruling(
        owner.number if owner is not None else 0,
        owner.ruled if owner is not None else 0,
        found.rule,
        found.action,
        "" if fits else case.denied,
        case.price.total,
        case.price.asset,
        asked if found.instead is not None else None,
        ruling.alternatives,
        tuple(found.tried),
        found.missing,
    )
    m.expect(RULE, "ruling", expected, ruling)
    m.expect(RULE, "whether it may run", found.runs, not isinstance(event, e.PolicyDenied))
    if found.instead is not None:
        other, amounts = found.instead
        m.expect(RULE, "what runs instead", (other, amounts), (of, event.quantities))
        if isinstance(event, e.PolicyHeld):
            m.expect(RULE, "lifetime", found.lifetime, event.lifetime)
        m.expect(RULE, "of other work", None, event.up_to)
    return found.overdrawn


def _as_asked(
    m: Shard,
    account: NaiveAccount,
    work: Work,
    quantities: tuple[int, ...],
    up_to: e.UpTo | None,
    overdrawn: Overdrawn | None = None,
) -> tuple[Case, bool]:
    """What the limits say by themselves, and whether they let it run, or some of it."""
    if up_to is None:
        case = case_of(m, account, work, quantities, overdrawn)
        return case, not case.denied
    most = most_of(m, account, work, quantities, up_to, overdrawn)
    if most < 0:
        least = least_of(m, account, work, quantities, up_to)
        return case_of(m, account, work, least, overdrawn), False
    place = work.names.index(up_to.quantity)
    amounts = (*quantities[:place], most, *quantities[place + 1 :])
    return case_of(m, account, work, amounts, overdrawn), True


def _decide(
    m: Shard,
    account: NaiveAccount,
    owner: NaiveAccount | None,
    work: Work,
    quantities: tuple[int, ...],
    up_to: e.UpTo | None,
    lifetime: int,
    case: Case,
    fits: bool,
    ruling: Ruling,
) -> _Expected:
    """The first rule that applies and succeeds; else the request's own alternatives."""
    found = _Expected(runs=fits)
    for place, rule in enumerate(owner.decision_rules if owner is not None else (), 1):
        action = rule.action
        assert owner is not None
        unmet = _unmet(m, account, owner, rule, work, case, fits)
        if unmet:
            found.tried.append(Tried(place, action, unmet))
            continue
        match action:
            case PolicyAction.DENY:
                found.tried.append(Tried(place, action, ""))
                found.rule, found.action = place, action
                return found
            case PolicyAction.TOP_UP:
                if limit_of(m, account, case).kind not in OF_CREDITS:
                    found.tried.append(Tried(place, action, "NOT_OF_CREDITS"))
                    continue
                found.tried.append(
                    Tried(place, action, "", 0, "", case.price.total, case.price.asset)
                )
                found.rule, found.action, found.missing = place, action, _missing(m, account, case)
                return found
            case PolicyAction.OVERDRAW:
                overdrawn = Overdrawn(rule.asset, rule.bound)
                result = _overdraw(m, account, rule, work, quantities, up_to, case, overdrawn)
                found.tried.append(
                    Tried(place, action, result, 0, "", case.price.total, rule.asset)
                )
                if not result:
                    found.rule, found.action, found.runs = place, action, True
                    found.overdrawn = overdrawn
                    return found
            case _:
                listed = rule.alternatives
                if action == PolicyAction.DOWNGRADE:
                    listed = (*listed, *ruling.alternatives)
                if _cheapest(m, account, found, place, action, listed, work, quantities, case):
                    longest = _longest(m, account, found)
                    if action == PolicyAction.DEFER:
                        lifetime = min(rule.lifetime or longest, longest)
                    found.lifetime = min(lifetime, longest)
                    return found
    if not fits and ruling.alternatives:
        action, listed = PolicyAction.DOWNGRADE, ruling.alternatives
        if _cheapest(m, account, found, 0, action, listed, work, quantities, case):
            found.lifetime = min(lifetime, _longest(m, account, found))
    return found


def _unmet(
    m: Shard,
    account: NaiveAccount,
    owner: NaiveAccount,
    rule: PolicyRule,
    work: Work,
    case: Case,
    fits: bool,
) -> str:
    """The first condition of a rule that is not met."""
    conditions = (
        ("OTHER_PRODUCT", not rule.products or work.product in rule.products),
        ("OTHER_ATTRIBUTES", all(each in work.attributes for each in rule.attributes)),
        ("WITHIN_LIMITS", not fits or rule.margin_floor >= 0),
        ("OTHER_LIMIT", not rule.limits or (not fits and _kind(m, account, case) in rule.limits)),
        (
            "LIFETIME_VALUE_BELOW",
            not rule.lifetime_asset
            or owner.lifetime.get(rule.lifetime_asset, 0) >= rule.lifetime_least,
        ),
        ("AVAILABLE_NOT_BELOW", rule.available_below < 0 or case.available < rule.available_below),
        ("MARGIN_UNKNOWN", rule.margin_floor < 0),
    )
    return next((name for name, met in conditions if not met), "")


def _kind(m: Shard, account: NaiveAccount, case: Case) -> LimitKind:
    return limit_of(m, account, case).kind


def _overdraw(
    m: Shard,
    account: NaiveAccount,
    rule: PolicyRule,
    work: Work,
    quantities: tuple[int, ...],
    up_to: e.UpTo | None,
    case: Case,
    overdrawn: Overdrawn,
) -> str:
    """Why the same work may not run below zero; "" = it may."""
    if case.price.asset != rule.asset:
        return "OTHER_ASSET"
    since = account.since.get(rule.asset)
    if rule.lasting and since is not None and since + rule.lasting <= m.recorded_at:
        return "OWED_TOO_LONG"
    below, fits = _as_asked(m, account, work, quantities, up_to, overdrawn)
    if fits:
        return ""
    return "BOUND_EXCEEDED" if below.denied == "INSUFFICIENT_CREDITS" else below.denied


def _missing(m: Shard, account: NaiveAccount, case: Case) -> int:
    """What a top-up has to bring: it pays what is owed first, then this work."""
    asset, policy = case.price.asset, account.policy
    owed, pending = account.advance.get(asset, [0, 0])
    limit = m.payers(account).overdraft_limit(asset) if policy.holds_overdraft else 0
    again = max(0, limit - pending)  # may be overdrawn once nothing is owed
    paid = case.available
    if case.denied == "INSUFFICIENT_CREDITS":
        pieces, _, _ = m.payers(account).waterfall(
            asset, case.use, case.price.total, m.recorded_at, m.month(account),
            asset in m.money, False,
        )  # fmt: skip
        paid = sum(piece.amount for piece in pieces if piece.pot != e.Pot.OVERDRAFT)
        return max(1, owed + case.price.total - paid - again)
    return max(1, owed + max(0, case.price.total - paid - again))


def _cheapest(
    m: Shard,
    account: NaiveAccount,
    found: _Expected,
    place: int,
    action: PolicyAction,
    listed: tuple[Alternative, ...],
    work: Work,
    quantities: tuple[int, ...],
    case: Case,
) -> bool:
    """The cheapest alternative that may run, the first of equals; what is priced in another asset
    after all others, for there are no rates. Whether there is one."""
    tried: list[Tried] = []
    ranks: list[tuple[tuple[int, int, int], Work, tuple[int, ...]]] = []
    for number, each in enumerate(listed, 1):
        other, amounts = option(work, quantities, each)
        if (other, amounts) == (work, quantities):
            tried.append(Tried(place, action, "SAME_WORK", number, other.product))
            continue
        its = case_of(m, account, other, amounts)
        charge, asset = (0, 0) if its.invalid else (its.price.total, its.price.asset)
        result = its.invalid or its.denied
        if not result:
            elsewhere = int(asset != case.price.asset and charge > 0)
            ranks.append(((elsewhere, 0 if elsewhere else charge, number), other, amounts))
        tried.append(Tried(place, action, result, number, other.product, charge, asset))
    best = min(ranks, default=None)
    for looked_at in tried:
        lost = not looked_at.result and (best is None or looked_at.alternative != best[0][2])
        found.tried.append(replace(looked_at, result="NOT_CHEAPEST") if lost else looked_at)
    if best is None:
        if not listed:
            found.tried.append(Tried(place, action, "NONE_AFFORDABLE"))
        return False
    found.rule, found.action, found.runs = place, action, True
    found.instead = (best[1], best[2])
    return True


def option(
    work: Work, quantities: tuple[int, ...], listed: Alternative
) -> tuple[Work, tuple[int, ...]]:
    """An alternative as work: quantities renamed and scaled, rounded up."""
    amounts: dict[str, int] = {}
    for name, amount in zip(work.names, quantities, strict=True):
        for each in listed.quantities:
            if each.quantity == name:
                name, amount = each.becomes, ceil(amount * each.permille / 1000)
                break
        if name:
            amounts[name] = amounts.get(name, 0) + amount
    attributes = tuple(sorted({**dict(work.attributes), **dict(listed.attributes)}.items()))
    names = tuple(sorted(amounts))
    other = Work(listed.product or work.product, attributes, names, work.operation, work.hold)
    return other, tuple(amounts[name] for name in names)


def _longest(m: Shard, account: NaiveAccount, found: _Expected) -> int:
    """The longest lifetime of a hold of what runs instead."""
    assert found.instead is not None
    work, amounts = found.instead
    version = m.version(account.tenant, case_of(m, account, work, amounts).price.version)
    batch = version is not None and work.product in version.prices.batch
    return 35 * DAY_US if batch else DAY_US
