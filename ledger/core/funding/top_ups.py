"""Deciding top-ups: rules, what they ask for, and how the charge comes out (rule H6).

A rule looks at an account after each entry that touches it. What it asks for closes the whole gap,
advance included, in one charge, and counts what pends already; so requests never overlap. Nothing
is asked for within an hour of a decline, nor beyond the rule's velocity cap. A charge that was made
issues a prepaid grant, which repays the advance first. Reads state, changes nothing.
"""

from __future__ import annotations

from fractions import Fraction

from ledger.core.admission import account_closed, known_account, open_account
from ledger.core.commands import (
    ConfirmTopUp,
    DeclineTopUp,
    IssueGrant,
    RemoveTopUpRule,
    SetTopUpRule,
)
from ledger.core.events import (
    Event,
    GrantKind,
    PurchaseTerms,
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRule,
    TopUpRuleRemoved,
    TopUpRuleSet,
)
from ledger.core.funding.grants import issue
from ledger.core.limits import (
    INT64_MAX,
    TOP_UP_BACK_OFF_US,
    TOP_UP_LIFETIME_US,
    TOP_UP_WINDOW_MAX_US,
    TOP_UP_WINDOW_MIN_US,
    TOP_UPS_A_WINDOW_MAX,
)
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import (
    TOP_UP_CONFIRMED,
    TOP_UP_DECLINED,
    TOP_UP_PENDING,
    Account,
    State,
    TopUp,
)


def decide_rule(state: State, command: SetTopUpRule, out: list[Event]) -> Event | Known | Refusal:
    """Give an account a rule, or another for the same asset; it looks at the account at once."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version, _ = account.top_up_rules.get(command.rule.asset, (0, None))
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the rule is at version {version}, not {command.expected_version}; read it again",
        )
    refusal = _invalid_rule(state, account, command.rule)
    if refusal is not None:
        return refusal
    made = TopUpRuleSet(
        command.key,
        account.number,
        command.rule,
        version + 1,
        command.expected_version,
        command.trace,
    )
    out.append(made)
    return made


def _invalid_rule(state: State, account: Account, rule: TopUpRule) -> Refusal | None:
    for field, number in (("asset", rule.asset), ("price_asset", rule.price_asset)):
        asset = state.catalog.assets.get(number)
        if asset is None or asset.tenant != account.tenant:
            message = "the tenant has no such asset; create it first"
            return Refusal(Reason.ASSET_UNKNOWN, f"rule.{field}", str(number), message)
        if field == "price_asset" and asset.kind != "money":
            message = "a top-up is paid for in money"
            return Refusal(Reason.ASSET_KIND_INVALID, f"rule.{field}", str(number), message)
    least_target = rule.threshold if rule.target else 0
    for field, value, least, most in (
        ("threshold", rule.threshold, 0, INT64_MAX),
        ("amount", rule.amount, 0 if rule.target else 1, 0 if rule.target else INT64_MAX),
        ("target", rule.target, least_target, INT64_MAX),
        ("price_numerator", rule.price_numerator, 1, INT64_MAX),
        ("price_denominator", rule.price_denominator, 1, INT64_MAX),
        ("requests_max", rule.requests_max, 1, TOP_UPS_A_WINDOW_MAX),
        ("window_us", rule.window, TOP_UP_WINDOW_MIN_US, TOP_UP_WINDOW_MAX_US),
    ):
        if not least <= value <= most:
            message = f"it is from {least} to {most}"
            if field == "amount":
                message = "give a target from the threshold up, or an amount from 1, not both"
            return Refusal(Reason.TOP_UP_RULE_INVALID, f"rule.{field}", str(value), message)
    return None


def decide_remove(
    state: State, command: RemoveTopUpRule, out: list[Event]
) -> Event | Known | Refusal:
    """Ask for nothing more; what pends may still be confirmed or declined."""
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    _, rule = account.top_up_rules.get(command.asset, (0, None))
    if rule is None:
        return Refusal(
            Reason.TOP_UP_RULE_UNKNOWN,
            "asset",
            str(command.asset),
            "the account has no top-up rule for the asset",
        )
    removed = TopUpRuleRemoved(command.key, account.number, command.asset, command.trace)
    out.append(removed)
    return removed


def decide_confirm_top_up(
    state: State, command: ConfirmTopUp, out: list[Event]
) -> Event | Known | Refusal:
    """Issue what was paid for (rules B3, H6): once, also where it was declined or had expired, for
    the money is there."""
    found = _meant(state, command)
    if not isinstance(found, TopUp):
        return found
    if found.state == TOP_UP_CONFIRMED:
        return _settled(found)
    account = found.account
    if account.closed_at:
        return account_closed(account)
    grant = IssueGrant(
        b"",
        account.number,
        GrantKind.PREPAID,
        found.asset,
        found.amount,
        found.price_paid,
        found.price_asset,
        0,
        0,
        0,
        (),
        b"",
        source=found.source,
    )
    issued = issue(state, account, grant, out)
    confirmed = TopUpConfirmed(
        command.key, account.number, found.number, issued.grant, command.trace
    )
    out.append(confirmed)
    return confirmed


def decide_decline_top_up(
    state: State, command: DeclineTopUp, out: list[Event]
) -> Event | Known | Refusal:
    """Count it as pending no more, and wait before the next one."""
    found = _meant(state, command)
    if not isinstance(found, TopUp):
        return found
    if found.state != TOP_UP_PENDING:
        return _settled(found)
    declined = TopUpDeclined(command.key, found.account.number, found.number, command.trace)
    out.append(declined)
    return declined


def _meant(state: State, command: ConfirmTopUp | DeclineTopUp) -> TopUp | Known | Refusal:
    account = known_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    found = account.top_ups.get(command.top_up)
    if found is None or not found.remembered(state.settled_before):
        return Refusal(
            Reason.TOP_UP_UNKNOWN,
            "top_up_id",
            str(command.top_up),
            "the account has no such top-up, or it was requested more than 35 days ago",
        )
    return found


def _settled(top_up: TopUp) -> Refusal:
    return Refusal(
        Reason.TOP_UP_SETTLED,
        "top_up_id",
        str(top_up.number),
        "the top-up is confirmed, declined or expired already; only one that was not confirmed is "
        "confirmed, and only one that pends is declined",
    )


def expire_top_up(top_up: TopUp, out: list[Event]) -> None:
    """Nobody said in time what became of the charge."""
    out.append(TopUpExpired(top_up.account.number, top_up.number))


# -- what rules ask for ----------------------------------------------------------------------------


def available_of(account: Account, asset: int, now: int) -> int:
    """Units of the account's own grants, shared ones too, less what it owes in advance and what
    holds reserve of both: below zero with an advance. What its ancestors share does not count, nor
    what is a seat's own."""
    units = sum(
        [
            grant.book.available
            for grant in account.with_units()
            if grant.asset == asset and grant.effective_at <= now < grant.expires_at
        ]
    )
    advance = account.advance.get(asset)
    return units if advance is None else units - advance.owed - advance.debits_pending


def request_top_ups(state: State, account: Account, out: list[Event]) -> None:
    """Append what the account's rules ask for as things stand."""
    if account.closed_at or account.frozen:
        return
    number = state.next_top_up
    for asset, (version, rule) in sorted(account.top_up_rules.items()):
        if rule is None or not rule.enabled:
            continue
        available = available_of(account, asset, state.now)
        amount = wanted(account, rule, available, state.now)
        if amount:
            out.append(_requested(state, account, rule, version, number, amount, available))
            number += 1


def request_missing(
    state: State, account: Account, asset: int, missing: int
) -> TopUpRequested | None:
    """What the account's rule for the asset asks for where work lacks so many units; None = it has
    none, asks for no more now, or has asked for enough."""
    version, rule = account.top_up_rules.get(asset, (0, None))
    if rule is None or not rule.enabled:
        return None
    available = available_of(account, asset, state.now)
    amount = wanted(account, rule, available, state.now, available + missing)
    if not amount:
        return None
    return _requested(state, account, rule, version, state.next_top_up, amount, available)


def pending_top_up(account: Account, asset: int) -> int:
    """The newest top-up that is to bring units of the asset, 0 = none pends."""
    pending = [
        each.number
        for each in account.top_ups.values()
        if each.asset == asset and each.state == TOP_UP_PENDING
    ]
    return max(pending, default=0)


def _requested(
    state: State,
    account: Account,
    rule: TopUpRule,
    version: int,
    number: int,
    amount: int,
    available: int,
) -> TopUpRequested:
    return TopUpRequested(
        account.number,
        number,
        rule.asset,
        amount,
        price_of(rule, amount),
        rule.price_asset,
        rule.source,
        version,
        str(available),
        state.now + TOP_UP_LIFETIME_US,
    )


def wanted(account: Account, rule: TopUpRule, available: int, now: int, least: int = 0) -> int:
    """Units to ask for now; 0 = none. `least`: units that are to be available, where work waits
    for more than the rule keeps."""
    have = available
    threshold = max(rule.threshold, least)
    recent = 0
    for each in account.top_ups.values():
        if each.asset == rule.asset:
            if each.state == TOP_UP_PENDING:
                have += each.amount
            elif each.state == TOP_UP_DECLINED and each.settled_at + TOP_UP_BACK_OFF_US > now:
                return 0
            recent += each.requested_at > now - rule.window
    if have >= threshold or recent >= rule.requests_max:
        return 0
    if rule.target:
        amount = max(rule.target, threshold) - have
    else:
        amount = -(-(threshold - have) // rule.amount) * rule.amount
    most = INT64_MAX * rule.price_denominator // rule.price_numerator - 1
    return max(1, min(amount, INT64_MAX, most))  # what one charge and one grant can say (rule N1)


def price_of(rule: TopUpRule | PurchaseTerms, amount: int) -> int:
    """Money for so many units, half-even (rule N2), never nothing."""
    return max(1, round(Fraction(amount * rule.price_numerator, rule.price_denominator)))
