"""Top-ups: asked for by a rule, answered once (rule H6)."""

from __future__ import annotations

from fractions import Fraction

from ledger.core.events import (
    TopUpConfirmed,
    TopUpDeclined,
    TopUpExpired,
    TopUpRequested,
    TopUpRuleSet,
)
from ledger.core.limits import INT64_MAX, TOP_UP_BACK_OFF_US, TOP_UP_LIFETIME_US
from ledger.core.state import TOP_UP_CONFIRMED, TOP_UP_DECLINED, TOP_UP_PENDING, State
from ledger.verify.rules.judge import Judge


def top_up_rule_set(judge: Judge, state: State, event: TopUpRuleSet) -> None:
    version, _ = state.accounts[event.account].top_up_rules.get(event.rule.asset, (0, None))
    judge.equal(state, "version of the top-up rule", version + 1, event.version)


def top_up_requested(judge: Judge, state: State, event: TopUpRequested) -> None:
    """One charge for the whole gap that nothing pending closes, by a rule in force, not within
    an hour of a decline, nor beyond its velocity cap (rule H6)."""
    account, now = state.accounts[event.account], state.now
    judge.equal(state, "number of the top-up", state.next_top_up, event.top_up)
    version, rule = account.top_up_rules.get(event.asset, (0, None))
    judge.equal(state, "version of the top-up rule", version, event.version)
    if rule is None or not rule.enabled or account.closed_at or account.frozen:
        judge.wrong(state, f"top-up {event.top_up}", "none", "requested")
        return
    available = 0
    for grant in account.grants:
        if grant.seat is not None:  # not available to the account
            continue
        if grant.asset == event.asset and grant.effective_at <= now < grant.expires_at:
            available += grant.book.available
    advance = account.advance.get(event.asset)
    if advance is not None:
        available -= advance.owed + advance.debits_pending
    judge.equal(state, "available", str(available), event.available)
    earlier = [each for each in account.top_ups.values() if each.asset == event.asset]
    have = available + sum(each.amount for each in earlier if each.state == TOP_UP_PENDING)
    threshold = rule.threshold
    missing, judge.missing = judge.missing, None
    if missing is not None and missing[:2] == (event.account, event.asset):
        threshold = max(threshold, available + missing[2])  # of work that waits for it
    if have >= threshold:
        judge.wrong(state, "available and pending", f"below {threshold}", have)
    reached = have + event.amount
    least, most = threshold, threshold + rule.amount - 1
    if rule.target:
        least = most = max(threshold, rule.target)
    fits = INT64_MAX * rule.price_denominator // rule.price_numerator - 1
    if event.amount < min(fits, INT64_MAX) and not least <= reached <= most:
        judge.wrong(state, f"reached by top-up {event.top_up}", f"{least} to {most}", reached)
    price = Fraction(event.amount * rule.price_numerator, rule.price_denominator)
    judge.equal(state, f"price of top-up {event.top_up}", max(1, round(price)), event.price_paid)
    judge.equal(state, "expiry of the top-up", now + TOP_UP_LIFETIME_US, event.expires_at)
    declined = [each.settled_at for each in earlier if each.state == TOP_UP_DECLINED]
    if declined and now < max(declined) + TOP_UP_BACK_OFF_US:
        judge.wrong(state, "time of the top-up", max(declined) + TOP_UP_BACK_OFF_US, now)
    recent = sum(each.requested_at > now - rule.window for each in earlier)
    if recent >= rule.requests_max:
        judge.wrong(state, "top-ups in the window", f"below {rule.requests_max}", recent)


def top_up_confirmed(judge: Judge, state: State, event: TopUpConfirmed) -> None:
    top_up, grant = state.top_ups[event.top_up], state.grants[event.grant]
    judge.equal(state, f"account of top-up {top_up.number}", top_up.account, grant.account)
    if top_up.state == TOP_UP_CONFIRMED:
        judge.wrong(state, f"top-up {top_up.number}", "not confirmed", "confirmed")
    asked = (top_up.asset, top_up.amount, top_up.price_paid, top_up.price_asset)
    issued = (grant.asset, grant.amount, grant.price_paid, grant.price_asset)
    judge.equal(state, f"grant of top-up {top_up.number}", asked, issued)


def top_up_declined(judge: Judge, state: State, event: TopUpDeclined) -> None:
    found = state.top_ups[event.top_up]
    judge.equal(state, f"state of top-up {event.top_up}", TOP_UP_PENDING, found.state)
    judge.equal(state, "account of the top-up", found.account.number, event.account)


def top_up_expired(judge: Judge, state: State, event: TopUpExpired) -> None:
    found = state.top_ups[event.top_up]
    judge.equal(state, f"state of top-up {event.top_up}", TOP_UP_PENDING, found.state)
    if found.expires_at > state.now:
        judge.wrong(state, "expiry of the top-up", found.expires_at, state.now)
