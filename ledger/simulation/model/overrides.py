"""Price overrides: set whole, and which of them counts for a quantity, clause by clause (R4)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from ledger.core import events as e
from ledger.simulation.model.shard import Shard
from ledger.simulation.naive import Version
from ledger.simulation.naive_holdings import FOREVER, NaiveAccount, NaiveOverride, Use
from ledger.simulation.prices import CARDS
from ledger.simulation.rules import Rule
from rating.overrides import Multiplier, NumberedOverride, Override, Overwrite

_ASSETS: Final = {name: code for name, code, _ in CARDS}


def overrides_set(m: Shard, event: e.PriceOverridesSet) -> None:
    """Versions follow each other; what stood goes on, and everything else has the next number."""
    account = m.deciding(event.account)
    rule = Rule.POLICY_VERSIONS
    m.expect(rule, "overrides of a closed account", 0, account.closed_at)
    m.expect(rule, "version", account.overrides_version + 1, event.version)
    if event.expected_version:
        m.expect(rule, "expected", account.overrides_version, event.expected_version)
    overrides = [each.override for each in event.overrides]
    if are_wrong(m, account, overrides):
        m.fail(rule, f"overrides that do not do: {overrides}")
    stood = [each for each in account.overrides if each.ended_at == FOREVER]
    gone, made = numbered(m, account, stood, event.overrides)
    for each in gone:
        each.ended_at = m.recorded_at
    account.overrides += [NaiveOverride(*each, m.recorded_at) for each in made]
    account.overrides_version = event.version


def numbered(
    m: Shard,
    account: NaiveAccount,
    stood: list[NaiveOverride],
    said: Sequence[NumberedOverride],
) -> tuple[list[NaiveOverride], list[tuple[int, Override]]]:
    """(those that stand no more, what is new by number): what stood goes on under its number, and
    everything else has the next one of the family."""
    numbers, made = [], []
    for each in said:
        same = [before for before in stood if before.override == each.override]
        if same:
            stood.remove(same[0])
            numbers.append(same[0].number)
            continue
        number = m.next_override.get(account.root, 1)
        m.next_override[account.root] = number + 1
        made.append((number, each.override))
        numbers.append(number)
    m.expect(Rule.POLICY_VERSIONS, "numbers", numbers, [each.number for each in said])
    return stood, made


def are_wrong(m: Shard, account: NaiveAccount, overrides: Sequence[Override]) -> bool:
    """Whether a list is refused: none of the world's own is wrong in itself."""
    versions = m.versions_of(account)
    if not overrides:
        return False
    if not versions:
        return True
    newest = max(versions, key=lambda v: (max(v.published_at, v.effective_from), v.number))
    for override in overrides:
        change = override.change
        if isinstance(change, Overwrite) and change.asset != _ASSETS[newest.name]:
            return True
        if isinstance(change, Multiplier) and not any(
            override.product in ("*", product) and override.quantity in ("*", name)
            for product, name in newest.prices.rows
        ):
            return True
    return False


def counting(
    m: Shard,
    account: NaiveAccount,
    version: Version | None,
    use: Use,
    names: Sequence[str],
    at: int,
) -> dict[str, NaiveOverride]:
    """For each quantity the override that prices it: one in force then, else, where there is no
    price, one that was set later and is meant for then."""
    found: dict[str, NaiveOverride] = {}
    if version is None:
        return found
    for name in names:
        has_row = (use.product, name) in version.prices.rows
        for in_force in (True, False):
            fitting = [
                (layer, each)
                for layer, overrides in enumerate(_layers(m, account))
                for each in overrides
                if _applies(each, in_force, at)
                and _selects(each.override, use, name)
                and _fits(each.override, version, has_row)
            ]
            if fitting:
                found[name] = _first(fitting)
                break
            if has_row:
                break
    return found


def _layers(m: Shard, account: NaiveAccount) -> list[list[NaiveOverride]]:
    """Lists in the order in which they count: a contract's before the account's own (rule R4)."""
    return [each for above in m.line(account) for each in (above.contracted, above.overrides)]


def numbers_of(
    counts: dict[str, NaiveOverride], plan: e.PlanDeclared
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The overrides that price the quantities of a plan, and those that it names."""
    numbers = tuple(counts[name].number if name in counts else 0 for name in plan.quantity_names)
    declared = tuple(each.number if each is not None else 0 for each in plan.overrides)
    return numbers if any(numbers) else (), declared


def _applies(each: NaiveOverride, in_force: bool, at: int) -> bool:
    since, until = each.override.effective_from_us, each.override.effective_until_us or FOREVER
    if in_force:
        return max(since, each.set_at) <= at < min(until, each.ended_at)
    return 0 < since <= at < min(each.set_at, until)


def _selects(override: Override, use: Use, name: str) -> bool:
    if override.product not in ("*", use.product) or override.quantity not in ("*", name):
        return False
    given = dict(use.attributes)
    return all(given.get(key) == value for key, value in override.attributes.items())


def _fits(override: Override, version: Version, has_row: bool) -> bool:
    if isinstance(override.change, Overwrite):
        return override.change.asset == _ASSETS[version.name]
    return has_row


def _first(fitting: list[tuple[int, NaiveOverride]]) -> NaiveOverride:
    """The nearest list, then overwrites, the higher priority, the lower ratio, the later time, the
    later number; the world has no tiers."""
    nearest = min(layer for layer, _ in fitting)
    found = [each for layer, each in fitting if layer == nearest]
    overwrites = [each for each in found if isinstance(each.override.change, Overwrite)]
    found = overwrites or found
    highest = max(each.override.priority for each in found)
    found = [each for each in found if each.override.priority == highest]
    if not overwrites:
        lowest = min(_ratio(each) for each in found)
        found = [each for each in found if _ratio(each) == lowest]
    latest = max(max(each.set_at, each.override.effective_from_us) for each in found)
    found = [each for each in found if max(each.set_at, each.override.effective_from_us) == latest]
    return max(found, key=lambda each: each.number)


def _ratio(each: NaiveOverride) -> Fraction:
    assert isinstance(each.override.change, Multiplier)
    return Fraction(each.override.change.ratio)
