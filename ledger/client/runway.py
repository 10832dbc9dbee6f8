"""How many hours a balance is sure to last, and a top-up rule that is kept by it.

A forecast is advice and decides nothing: it is made outside of the core, from recorded usage.
Whoever wants to be told, or to buy, before a balance is empty asks here every now and then. What is
bought is still the account's rule's to say, in the core: its threshold alone moves, by an entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.client.reads import ReadCalls
from ledger.client.top_ups import TopUpCalls
from ledger.v1 import balance_pb2, top_up_pb2

INT64_MAX: Final = 2**63 - 1
_SHORT: Final = (balance_pb2.OUTLOOK_EMPTIES, balance_pb2.OUTLOOK_EMPTY)


class Runway(NamedTuple):
    """What a forecast says of the next so many hours of one asset."""

    account: str
    """Its id."""

    asset: str
    scale: int
    hours: int
    outlook: int
    """See balance_pb2.Outlook; INSUFFICIENT_HISTORY: nothing is known, and `short` is False."""

    short: bool
    """In one future of ten at least the balance is empty by then, or is empty now."""

    available: int
    """What may be drawn now, overdraft included, in minor units."""

    needed: int
    """What nine futures of ten use and lose to expiry by then; 0 without a history."""

    empty_at_us: int
    """When one future in ten is empty; 0 = not by then."""

    as_of_us: int
    position: str
    usage_position: str
    """What it was foretold from: the same positions and instant, the same figures."""


class Kept(NamedTuple):
    """What became of a rule."""

    runway: Runway
    rule: top_up_pb2.TopUpRule
    """As it is now."""

    changed: bool


class RunwayCalls(ReadCalls, TopUpCalls):
    """Part of DrawdownClient. Every method raises Refused, NotApplied, OutcomeUnknown."""

    async def runway(self, account: str, asset: str, hours: int) -> Runway:
        """Whether a balance is sure to last for so many hours, 1 to 2,160. Raises UnknownAsset."""
        return runway_of(await self.forecast(account, horizon_hours=hours), asset, hours)

    async def keep_runway(
        self, account: str, asset: str, hours: int, *, otherwise: int = 0, at_most: int = INT64_MAX
    ) -> Kept:
        """Have the account's top-up rule buy once its balance may not last for so many hours.

        While it may not, the rule's threshold is what those hours need, `at_most` units; else it is
        `otherwise`. Ask again every hour or so: a crossing is one entry, and one charge closes the
        gap. Raises UnknownAsset, NoTopUpRule; Refused with VERSION_MISMATCH where somebody changed
        the rule meanwhile.
        """
        found = await self.runway(account, asset, hours)
        rule = rule_of((await self.get_top_up_rules(account)).rules, found)
        threshold = threshold_for(rule, found, otherwise, at_most)
        if threshold == rule.threshold:
            return Kept(found, rule, False)
        reply = await self.set_top_up_rule(
            account,
            with_threshold(rule, threshold),
            expected_version=rule.version,
            request_id=request_id_of(found, rule, threshold),
        )
        return Kept(found, reply.rule, True)


class UnknownAsset(LookupError):
    """The account never used the asset, so nothing is foretold of it."""


class NoTopUpRule(LookupError):
    """There is no rule that could buy: set one first."""


def runway_of(reply: balance_pb2.ForecastResponse, asset: str, hours: int) -> Runway:
    """What a forecast with that horizon says of an asset. Raises UnknownAsset."""
    for each in reply.assets:
        if each.asset == asset:
            return Runway(
                reply.account,
                asset,
                each.scale,
                hours,
                each.outlook,
                each.outlook in _SHORT,
                int(each.available),
                int(each.used.p90 or 0) + int(each.expired.p90 or 0),
                each.empty_at_us.p10,
                reply.as_of_us,
                reply.position,
                reply.usage_position,
            )
    known = ", ".join(each.asset for each in reply.assets) or "none"
    raise UnknownAsset(f"{reply.account} never used {asset!r}; what it used: {known}")


def rule_of(rules: Iterable[top_up_pb2.TopUpRule], runway: Runway) -> top_up_pb2.TopUpRule:
    """The account's rule for the asset. Raises NoTopUpRule."""
    for rule in rules:
        if rule.asset == runway.asset:
            return rule
    raise NoTopUpRule(f"{runway.account} has no top-up rule for {runway.asset}: set one first")


def threshold_for(rule: top_up_pb2.TopUpRule, runway: Runway, otherwise: int, at_most: int) -> int:
    """Below what the rule is to buy. Without a history, or out of force, it stays as it is; one
    that buys up to a target buys no more than that."""
    if runway.outlook == balance_pb2.OUTLOOK_INSUFFICIENT_HISTORY or rule.disabled:
        return rule.threshold
    most = min(at_most, rule.target or INT64_MAX)
    if not runway.short:
        return min(otherwise, most)
    needed = max(runway.needed, runway.available + 1, otherwise)
    asked = runway.available < rule.threshold <= most
    if asked and rule.threshold * 8 >= needed * 7:
        return rule.threshold  # a need that moves a little is no reason for another charge
    return min(needed, most)


def with_threshold(rule: top_up_pb2.TopUpRule, threshold: int) -> top_up_pb2.TopUpRule:
    """The same rule but for that."""
    changed = top_up_pb2.TopUpRule()
    changed.CopyFrom(rule)
    changed.threshold = threshold
    return changed


def request_id_of(runway: Runway, rule: top_up_pb2.TopUpRule, threshold: int) -> str:
    """The same for two who ask at once by the same figures: one entry."""
    facts = (
        f"{runway.account} {runway.asset} {rule.version} {threshold} {runway.hours} "
        f"{runway.position} {runway.usage_position}"
    )
    return f"runway-{hashlib.sha256(facts.encode()).hexdigest()[:32]}"
