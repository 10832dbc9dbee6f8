"""Top-ups: what a rule asks for, when it must, and what became of the charge (rule H6)."""

from __future__ import annotations

from fractions import Fraction

from ledger.core import events as e
from ledger.core.events import TopUpRule
from ledger.core.limits import DAY_US, HOUR_US
from ledger.simulation.model.grants import RULE
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive_holdings import NaiveAccount, NaiveTopUp
from ledger.simulation.rules import Rule


def rule_set(m: Shard, event: e.TopUpRuleSet) -> None:
    """Versions count on through removals."""
    account = m.deciding(event.account)
    m.expect(Rule.CLOSED_TAKES_NOTHING, "rule if closed", 0, account.closed_at)
    version, _ = account.rules.get(event.rule.asset, (0, None))
    m.expect(Rule.POLICY_VERSIONS, "version", version + 1, event.version)
    if event.expected_version:
        m.expect(Rule.POLICY_VERSIONS, "expected", version, event.expected_version)
    account.rules[event.rule.asset] = (event.version, event.rule)


def rule_removed(m: Shard, event: e.TopUpRuleRemoved) -> None:
    """There was one."""
    account = m.deciding(event.account)
    version, rule = account.rules.get(event.asset, (0, None))
    if rule is None:
        m.fail(RULE, f"no rule of account {account.number} is removed")
    account.rules[event.asset] = (version, None)


def available_of(m: Shard, account: NaiveAccount, asset: int) -> int:
    """Its own units, less what it owes in advance and what holds reserve of that."""
    now = m.recorded_at
    units = sum(
        grant.available
        for grant in account.grants
        if grant.asset == asset and grant.effective_at <= now < grant.over and not grant.settled
        if grant.seat is None  # which the account does not have
    )
    return units - sum(account.advance.get(asset, [0, 0]))


def wanted(m: Shard, account: NaiveAccount, rule: TopUpRule) -> int:
    """Units that a rule asks for as things stand; 0 = none."""
    now = m.recorded_at
    earlier = [each for each in account.top_ups if each.asset == rule.asset]
    have = available_of(m, account, rule.asset)
    have += sum(each.amount for each in earlier if each.state == "pending")
    declined = [each.settled_at for each in earlier if each.state == "declined"]
    recent = sum(each.requested_at > now - rule.window for each in earlier)
    if account.closed_at or m.frozen(account) or not rule.enabled or have >= rule.threshold:
        return 0
    if any(at + HOUR_US > now for at in declined) or recent >= rule.requests_max:
        return 0
    gap = rule.threshold - have
    return rule.target - have if rule.target else -(-gap // rule.amount) * rule.amount


def requested(m: Shard, event: e.TopUpRequested) -> None:
    """One charge for the whole gap, by the rule in force."""
    account = m.accounts[event.account]
    version, rule = account.rules.get(event.asset, (0, None))
    if rule is None:
        m.fail(RULE, f"{event}, and there is no rule")
    amount = wanted(m, account, rule)
    price = max(1, round(Fraction(amount * rule.price_numerator, rule.price_denominator)))
    expected = (
        len(m.top_ups) + 1, amount, price, rule.price_asset, rule.source, version,
        str(available_of(m, account, event.asset)), m.recorded_at + DAY_US,
    )  # fmt: skip
    found = (
        event.top_up, event.amount, event.price_paid, event.price_asset, event.source,
        event.version, event.available, event.expires_at,
    )  # fmt: skip
    m.expect(RULE, "top-up", expected, found)
    if not amount:
        m.fail(RULE, f"{event} asks for what is there")
    top_up = NaiveTopUp(
        event.top_up, account.number, event.asset, amount, price, event.price_asset,
        m.recorded_at, event.expires_at,
    )  # fmt: skip
    m.top_ups[event.top_up] = top_up
    account.top_ups.append(top_up)


def confirmed(m: Shard, event: e.TopUpConfirmed) -> None:
    """Once, also where it was declined or had expired: the entry before issued it."""
    account = m.deciding(event.account)
    top_up = m.top_ups[event.top_up]
    m.expect(RULE, "account", account.number, top_up.account)
    if top_up.state == "confirmed":
        m.fail(RULE, f"top-up {top_up.number} is confirmed twice")
    grant = m.explained(e.GrantIssued, event.grant)
    asked = (top_up.account, e.GrantKind.PREPAID, top_up.asset, top_up.amount, top_up.price, 0)
    issued = (
        grant.account, grant.kind, grant.asset, grant.amount, grant.price_paid, grant.expires_at,
    )  # fmt: skip
    m.expect(RULE, "grant of the top-up", asked, issued)
    top_up.state, top_up.settled_at = "confirmed", m.recorded_at


def declined(m: Shard, event: e.TopUpDeclined) -> None:
    """Of one that pends."""
    account = m.deciding(event.account)
    top_up = m.top_ups[event.top_up]
    expected = (account.number, "pending")
    m.expect(RULE, "top-up that is declined", expected, (top_up.account, top_up.state))
    top_up.state, top_up.settled_at = "declined", m.recorded_at


def expired(m: Shard, event: e.TopUpExpired) -> None:
    """By the clock."""
    top_up = m.top_ups[event.top_up]
    m.touch(m.accounts[event.account])
    if top_up.state != "pending" or m.recorded_at < top_up.expires_at:
        m.fail(Rule.EXPIRED_IN_TIME, f"{event}: {top_up}")
    top_up.state, top_up.settled_at = "expired", m.recorded_at


def nothing_wanted(m: Shard) -> None:
    """At the end of a batch no rule of an account that it touched asks for anything."""
    for number in m.asked:
        account = m.accounts[number]
        for asset, (_, rule) in account.rules.items():
            if rule is not None and wanted(m, account, rule):
                m.fail(
                    Rule.GRANT_FIGURES,
                    f"account {number} should have asked for {wanted(m, account, rule)} of {asset}",
                )
