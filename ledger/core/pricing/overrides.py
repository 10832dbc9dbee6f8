"""Deciding price overrides: the whole list of an account is replaced (rule R4). Changes nothing."""

from __future__ import annotations

from ledger.core.admission import open_account
from ledger.core.commands import SetPriceOverrides
from ledger.core.events import Event, PriceOverridesSet
from ledger.core.limits import OVERRIDES_REMEMBERED_MAX
from ledger.core.outcomes import Known, Reason, Refusal
from ledger.core.state import Account, State
from rating.card import RateCard
from rating.faults import CardFault
from rating.override_faults import override_faults
from rating.overrides import NEVER_US, NumberedOverride, Override


def decide_overrides(
    state: State, command: SetPriceOverrides, out: list[Event]
) -> Event | Known | Refusal:
    """Replace the list; what stands in it as before goes on as it was."""
    account = open_account(state, command.key, command.account)
    if not isinstance(account, Account):
        return account
    version = account.overrides_version
    if command.expected_version and command.expected_version != version:
        return Refusal(
            Reason.VERSION_MISMATCH,
            "expected_version",
            str(version),
            f"the overrides are at version {version}, not {command.expected_version}; "
            "read them again",
        )
    faults = override_faults(command.overrides, newest_card(state, account))
    if faults:
        return overrides_invalid(faults)
    before = tuple([each.numbered for each in account.overrides if each.ended_at_us == NEVER_US])
    numbered = numbered_as(before, command.overrides, state.families[account.root].next_override)
    remembered = account.overrides_remembered(state.corrected_before)
    standing = {each.number for each in numbered}
    total = len(numbered) + sum([each.numbered.number not in standing for each in remembered])
    if total > OVERRIDES_REMEMBERED_MAX:
        return Refusal(
            Reason.OVERRIDES_LIMIT,
            "overrides",
            str(total),
            f"an account has at most {OVERRIDES_REMEMBERED_MAX} overrides with those of the last "
            "400 days, which late usage may need; change them less often",
        )
    made = PriceOverridesSet(
        command.key,
        account.number,
        numbered,
        version + 1,
        command.expected_version,
        command.note,
        command.trace,
    )
    out.append(made)
    return made


def newest_card(state: State, account: Account) -> RateCard | None:
    """The version of the account's card that comes into force last, of what an alias means last;
    None = none is published."""
    key = account.card_key
    return newest_of(state, key[0], key[1])


def newest_of(state: State, tenant: int, name: str) -> RateCard | None:
    """The same of a card or alias by its name."""
    card = state.catalog.card((tenant, name)).target_at(NEVER_US - 1)
    if card is None or not card.versions.versions:
        return None
    return card.versions.versions[-1].card.card


def numbered_as(
    before: tuple[NumberedOverride, ...], overrides: tuple[Override, ...], following: int
) -> tuple[NumberedOverride, ...]:
    """The overrides with their numbers: as before where the same one stands already, else from
    `following` on."""
    left = list(before)
    found: list[NumberedOverride] = []
    for override in overrides:
        place = _place_of(left, override)
        if place >= 0:
            found.append(left.pop(place))
        else:
            found.append(NumberedOverride(following, override))
            following += 1
    return tuple(found)


def _place_of(before: list[NumberedOverride], override: Override) -> int:
    for place, each in enumerate(before):
        if each.override == override:
            return place
    return -1


def overrides_invalid(faults: list[CardFault]) -> Refusal:
    """Why a list of overrides does not do: its first fault, with all of them."""
    first = faults[0]
    return Refusal(
        Reason.OVERRIDES_INVALID,
        first.path,
        first.value,
        f"{len(faults)} faults, the first is {first.path}: {first.message}",
        tuple(faults),
    )
