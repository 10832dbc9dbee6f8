"""What a contract may say: its time, its version of a package, its prices (rules P5, R2, R4, T1).

Reads state, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from ledger.core.contracts.contracts import Contract
from ledger.core.events import Committed, ContractRollover, PolicyPart
from ledger.core.limits import (
    ANCHOR_MAX_US,
    CORRECTION_WINDOW_US,
    INT64_MAX,
    OVERRIDES_REMEMBERED_MAX,
)
from ledger.core.outcomes import Reason, Refusal
from ledger.core.packages.package_policy import policy_under
from ledger.core.packages.packaged import UNITS, Package, PackageVersion, newest_at, version_of
from ledger.core.periods import Cycle
from ledger.core.pricing.overrides import newest_of, overrides_invalid
from ledger.core.state import Account, State
from rating.models import MinimumScope
from rating.override_faults import override_faults
from rating.overrides import Override


class Window(NamedTuple):
    """[start, end) of a contract."""

    start: int
    end: int


def from_start(committed: Committed, at: int) -> Committed:
    """What is committed, where a first segment that says no start starts then."""
    segments = tuple(
        [
            each if each.starts_at or place else replace(each, starts_at=at)
            for place, each in enumerate(committed.segments)
        ]
    )
    return replace(committed, segments=segments)


def invalid_time(state: State, window: Window) -> Refusal | None:
    """A contract ends after now, and began at most as long ago as usage may be corrected."""
    earliest = state.now - CORRECTION_WINDOW_US
    if not earliest <= window.start <= ANCHOR_MAX_US:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "starts_at_us",
            str(window.start),
            f"a contract starts from {earliest} on, as long ago as usage may be corrected, and by "
            f"{ANCHOR_MAX_US}",
        )
    if not max(state.now, window.start) < window.end <= ANCHOR_MAX_US:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "ends_at_us",
            str(window.end),
            f"a contract ends after its start and after now, by {ANCHOR_MAX_US}",
        )
    return None


def overlapping(account: Account, window: Window, but: str = "") -> Refusal | None:
    """An account has one contract at a time; one that was withdrawn before it began is none."""
    for each in account.contracts:
        if each.name == but or each.until <= each.starts_at:
            continue
        if window.start < each.until and each.starts_at < window.end:
            return Refusal(
                Reason.CONTRACTS_OVERLAP,
                "contract",
                each.name,
                f"the contract {each.name!r} is from {each.starts_at} to {each.until}; end it, or "
                "have this one follow it",
            )
    return None


def version_asked(
    state: State, account: Account, package: str, number: int, at: int
) -> PackageVersion | Refusal:
    """The version that is pinned: that one, or the newest in force where the contract starts."""
    versions = state.catalog.packages.get((account.tenant, package))
    if not versions:
        return Refusal(
            Reason.PACKAGE_UNKNOWN,
            "package",
            package,
            "no such package is published; publish it, or name another",
        )
    at = max(at, state.now)
    found = version_of(versions, number) if number else newest_at(versions, at)
    if found is not None:
        return found
    known = ", ".join([str(each.version) for each in versions[-10:]])
    return Refusal(
        Reason.PACKAGE_VERSION_UNKNOWN,
        "package_version",
        str(number),
        f"the package has no such version, or none that is in force then; its last ones are "
        f"{known}",
    )


def invalid_prices(
    state: State,
    account: Account,
    found: PackageVersion,
    overrides: tuple[Override, ...],
    minimum: int,
    policy: tuple[PolicyPart, ...],
) -> Refusal | None:
    """Why the prices, or the minimum, are none of the card that the account would have."""
    wanted, _ = policy_under(state, account, found.package.policy, policy)
    above = account.parent.card_key[1] if account.parent is not None else "default"
    card = newest_of(state, account.tenant, wanted.rate_card or above)
    faults = override_faults(overrides, card) if overrides else []
    if faults:
        return overrides_invalid(faults)
    remembered = len(account.sold.contract) if account.sold is not None else 0
    if len(overrides) + remembered > OVERRIDES_REMEMBERED_MAX:
        return Refusal(
            Reason.OVERRIDES_LIMIT,
            "overrides",
            str(len(overrides) + remembered),
            f"an account has at most {OVERRIDES_REMEMBERED_MAX} overrides of contracts with those "
            "of the last 400 days, which late usage may need; amend them less often",
        )
    if not minimum:
        return None
    scopes = [each.scope for each in card.minimums] if card is not None else []
    pays = account.parent is None or bool(wanted.rate_card)
    if MinimumScope.CONTRACT not in scopes or not pays:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "minimum",
            str(minimum),
            "the account's own rate card has no minimum of scope contract that this could stand "
            "for; publish one there",
        )
    return None


def invalid_rollover(rollover: ContractRollover | None) -> Refusal | None:
    """Why the rest of its commitments cannot roll over like that."""
    if rollover is None:
        return None
    numerator, denominator, cap = rollover.numerator, rollover.denominator, rollover.cap
    if not 0 <= numerator <= denominator <= INT64_MAX or not denominator:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "rollover.fraction",
            f"{numerator}/{denominator}",
            "the fraction that rolls over is from 0 to 1",
        )
    if not -1 <= cap <= INT64_MAX:
        return Refusal(
            Reason.CONTRACT_INVALID,
            "rollover.cap",
            str(cap),
            "a cap is from 0 to 2^63 - 1, or absent",
        )
    return None


def next_term(
    account: Account, contract: Contract, package: Package
) -> tuple[Window, Callable[[int], int]]:
    """The term after the one that runs, as long as that, and where in it an instant of this one is:
    by whole periods where the term is so many, so that months stay months (rule T1)."""
    start, end = contract.term_start, contract.ends_at
    cycle = Cycle(UNITS[package.unit], package.every, contract.starts_at, account.calendar.zone)
    first, last = cycle.index_of(start), cycle.index_of(end)
    whole = cycle.start_of(first) == start and cycle.start_of(last) == end

    def shifted(at: int) -> int:
        index = cycle.index_of(at)
        if whole and cycle.start_of(index) == at:
            return cycle.start_of(index + last - first)
        return at + (cycle.start_of(2 * last - first) if whole else 2 * end - start) - end

    return Window(end, shifted(end)), shifted
