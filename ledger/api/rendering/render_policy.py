"""Decision policies as messages and back, and how a decision came about that one had a say in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.api.assets import Assets
from ledger.api.ids import TOP_UP, mint
from ledger.api.limits import Checked
from ledger.api.requests import asset_number, money_number
from ledger.core.decisions.rule_faults import ATTRIBUTES_MAX, NAMED_MAX, PERMILLE_MAX
from ledger.core.events import (
    Alternative,
    PlanDeclared,
    PolicyAction,
    PolicyDebited,
    PolicyDenied,
    PolicyHeld,
    PolicyRule,
    QuantityMap,
    Ruling,
)
from ledger.core.limits import (
    ALTERNATIVES_MAX,
    ID_BYTES_MAX,
    POLICY_RULES_MAX,
)
from ledger.core.state import Account
from ledger.journal.directory import Entry
from ledger.v1 import decision_pb2, decision_policy_pb2

_ACTIONS: Mapping[int, PolicyAction] = {int(each): each for each in PolicyAction}


class PolicyView(NamedTuple):
    """Rules as they stand: whose, at which version, of which package."""

    account: int
    version: int
    package: str
    rules: tuple[PolicyRule, ...]


def policies_of(account: Account) -> tuple[PolicyView, PolicyView | None]:
    """The account's own rules, and those that count for it."""
    own, standing = account.own_rules, account.rules
    mine = PolicyView(account.number, own.version, "", own.rules)
    if standing is None:
        return mine, None
    return mine, PolicyView(standing.account, standing.version, standing.package, standing.rules)


def render_policy(
    assets: Assets, view: PolicyView, names: Mapping[int, str]
) -> decision_policy_pb2.DecisionPolicy:
    """Rules; `names` has the account whose they are."""
    return decision_policy_pb2.DecisionPolicy(
        rules=[_render_rule(assets, rule) for rule in view.rules],
        version=view.version,
        account=names[view.account],
        package=view.package,
    )


def _render_rule(assets: Assets, rule: PolicyRule) -> decision_policy_pb2.PolicyRule:
    owed, money = assets.of(rule.asset), assets.of(rule.lifetime_asset)
    message = decision_policy_pb2.PolicyRule(
        action=decision_pb2.PolicyAction.ValueType(rule.action),
        products=rule.products,
        attributes=dict(rule.attributes),
        limits=[decision_pb2.LimitKind.ValueType(kind) for kind in rule.limits],
        lifetime_value_least=rule.lifetime_least,
        lifetime_value_asset=money.code,
        lifetime_value_scale=money.scale,
        asset=owed.code,
        scale=owed.scale,
        bound=rule.bound,
        lasting_us=rule.lasting,
        alternatives=[_render_alternative(each) for each in rule.alternatives],
        lifetime_us=rule.lifetime,
    )
    if rule.available_below >= 0:
        message.available_below = rule.available_below
    if rule.margin_floor >= 0:
        message.margin_floor_permille = rule.margin_floor
    return message


def _render_alternative(alternative: Alternative) -> decision_pb2.Alternative:
    return decision_pb2.Alternative(
        product=alternative.product,
        attributes=dict(alternative.attributes),
        quantities=[
            decision_pb2.QuantityMap(
                quantity=each.quantity, becomes=each.becomes, permille=each.permille
            )
            for each in alternative.quantities
        ],
    )


# -- what a request says ---------------------------------------------------------------------------


def check_rules(check: Checked, rules: Iterable[decision_policy_pb2.PolicyRule]) -> None:
    """Their texts, one by one; what a rule may say is for the core to say."""
    given = list(rules)
    check.between("rules", len(given), 0, POLICY_RULES_MAX)
    for place, rule in enumerate(given[:POLICY_RULES_MAX]):
        field = f"rules[{place}]"
        check.between(f"{field}.action", rule.action, 0, max(_ACTIONS))
        check.between(f"{field}.products", len(rule.products), 0, NAMED_MAX)
        for product in rule.products[:NAMED_MAX]:
            check.text(f"{field}.products", product, ID_BYTES_MAX)
        if rule.HasField("available_below"):
            check.between(f"{field}.available_below", rule.available_below, 0)
        if rule.HasField("margin_floor_permille"):
            check.between(f"{field}.margin_floor_permille", rule.margin_floor_permille, 0)
        check.attributes(f"{field}.attributes", rule.attributes)
        check_alternatives(check, rule.alternatives, f"{field}.alternatives")


def check_alternatives(
    check: Checked, alternatives: Iterable[decision_pb2.Alternative], field: str = "alternatives"
) -> None:
    """The same of alternatives, of a rule or of a request."""
    given = list(alternatives)
    check.between(field, len(given), 0, ALTERNATIVES_MAX)
    for place, each in enumerate(given[:ALTERNATIVES_MAX]):
        at = f"{field}[{place}]"
        if each.product:
            check.text(f"{at}.product", each.product, ID_BYTES_MAX)
        check.attributes(f"{at}.attributes", each.attributes)
        check.between(f"{at}.quantities", len(each.quantities), 0, ATTRIBUTES_MAX)
        for mapped in each.quantities[:ATTRIBUTES_MAX]:
            check.text(f"{at}.quantities.quantity", mapped.quantity, ID_BYTES_MAX)
            if mapped.becomes:
                check.text(f"{at}.quantities.becomes", mapped.becomes, ID_BYTES_MAX)
            check.between(f"{at}.quantities.permille", mapped.permille, 0, PERMILLE_MAX)


def rules_of(
    assets: Assets, rules: Iterable[decision_policy_pb2.PolicyRule], entry: Entry
) -> tuple[PolicyRule, ...]:
    """Rules as the core takes them. Raises CallFailed ASSET_UNKNOWN, ASSET_KIND_INVALID."""
    return tuple(
        [_rule_of(assets, f"rules[{place}]", rule, entry) for place, rule in enumerate(rules)]
    )


def _rule_of(
    assets: Assets, field: str, rule: decision_policy_pb2.PolicyRule, entry: Entry
) -> PolicyRule:
    return PolicyRule(
        _ACTIONS[rule.action],
        tuple(sorted(set(rule.products))),
        tuple(sorted(rule.attributes.items())),
        tuple(sorted({int(kind) for kind in rule.limits})),
        money_number(assets, f"{field}.lifetime_value_asset", rule.lifetime_value_asset, entry),
        rule.lifetime_value_least,
        rule.available_below if rule.HasField("available_below") else -1,
        rule.margin_floor_permille if rule.HasField("margin_floor_permille") else -1,
        asset_number(assets, f"{field}.asset", rule.asset, entry),
        rule.bound,
        rule.lasting_us,
        alternatives_of(rule.alternatives),
        rule.lifetime_us,
    )


def alternatives_of(alternatives: Iterable[decision_pb2.Alternative]) -> tuple[Alternative, ...]:
    """Alternatives as the core takes them."""
    return tuple(
        [
            Alternative(
                each.product,
                tuple(sorted(each.attributes.items())),
                tuple(
                    [
                        QuantityMap(mapped.quantity, mapped.becomes, mapped.permille or 1_000)
                        for mapped in each.quantities
                    ]
                ),
            )
            for each in alternatives
        ]
    )


# -- what a decision says --------------------------------------------------------------------------


def ruling_of(event: object) -> Ruling | None:
    """How a recorded decision came about, where a policy or alternatives had a say."""
    if isinstance(event, PolicyHeld | PolicyDebited | PolicyDenied):
        return event.ruling
    return None


def decided_by(ruling: Ruling | None) -> decision_pb2.Decision.ValueType | None:
    """The decision that a ruling makes by itself; None = it is read off what pays."""
    if ruling is None:
        return None
    return _DECISIONS.get(ruling.action)


_DECISIONS: Mapping[PolicyAction, decision_pb2.Decision.ValueType] = {
    PolicyAction.DOWNGRADE: decision_pb2.DECISION_DOWNGRADE,
    PolicyAction.DEFER: decision_pb2.DECISION_DEFER,
    PolicyAction.TOP_UP: decision_pb2.DECISION_TOP_UP,
}


def render_ruling(
    assets: Assets,
    ruling: Ruling,
    plan: PlanDeclared,
    quantities: tuple[int, ...],
    shard: int,
    account: int,
    names: Mapping[int, str],
) -> decision_pb2.Ruling:
    """How a decision of an account came about; `plan` and `quantities` are of the work that was
    decided on, `names` has the account whose policy it is."""
    asset = assets.of(ruling.asset)
    message = decision_pb2.Ruling(
        policy_account=names[ruling.account] if ruling.account else "",
        policy_version=ruling.version,
        package=ruling.package,
        rule=ruling.rule,
        action=decision_pb2.PolicyAction.ValueType(ruling.action),
        reason=ruling.reason,
        charge=ruling.charge,
        asset=asset.code,
        scale=asset.scale,
        missing=ruling.missing,
        top_up_id=mint(TOP_UP, shard, account, ruling.top_up) if ruling.top_up else "",
        tried=[
            decision_pb2.TriedAction(
                rule=each.rule,
                action=decision_pb2.PolicyAction.ValueType(each.action),
                alternative=each.alternative,
                product=each.product,
                charge=each.charge,
                asset=assets.of(each.asset).code,
                scale=assets.of(each.asset).scale,
                result=each.result,
            )
            for each in ruling.tried
        ],
    )
    if ruling.asked is not None:
        message.product = plan.product
        message.attributes.update(plan.attributes)
        message.quantities.update(zip(plan.quantity_names, quantities, strict=True))
    return message
