"""Price overrides: the message as the pure override, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.api.errors import Fault
from ledger.core.state import Account, State
from rating.overrides import (
    NEVER_US,
    Change,
    Multiplier,
    NumberedOverride,
    Override,
    Overwrite,
    SetOverride,
)
from rating.v1 import override_pb2 as pb


class OverridesView(NamedTuple):
    """What stands for an account: its own list and its version, and by account those above it."""

    own: tuple[SetOverride, ...]
    version: int
    inherited: tuple[tuple[int, SetOverride], ...]


def overrides_view(state: State, number: int) -> OverridesView | None:
    """Read from a shard's state; None where the account is not open yet."""
    account = state.accounts.get(number)
    if account is None:
        return None
    inherited: list[tuple[int, SetOverride]] = []
    above = account.parent
    while above is not None:
        inherited += [(above.number, each) for each in _standing(above)]
        above = above.parent
    return OverridesView(_standing(account), account.overrides_version, tuple(inherited))


def _standing(account: Account) -> tuple[SetOverride, ...]:
    return tuple([each for each in account.overrides if each.ended_at_us == NEVER_US])


def override_faults_of(messages: Iterable[pb.PriceOverride]) -> list[Fault]:
    """What the form of the messages alone is missing."""
    return [
        Fault("FIELD_REQUIRED", f"overrides[{place}].change", "", "say what it changes")
        for place, message in enumerate(messages)
        if message.WhichOneof("change") is None
    ]


def override_of(message: pb.PriceOverride) -> Override:
    """The override of a message that says what it changes."""
    return Override(
        message.product,
        message.quantity,
        _change_of(message),
        dict(message.attributes),
        message.priority,
        message.effective_from_us,
        message.effective_until_us,
    )


def _change_of(message: pb.PriceOverride) -> Change:
    if message.WhichOneof("change") == "multiplier":
        return Multiplier(message.multiplier.ratio)
    return Overwrite(message.overwrite.asset, message.overwrite.price)


def render_override(override: Override) -> pb.PriceOverride:
    """The override as a message."""
    message = pb.PriceOverride(
        product=override.product,
        quantity=override.quantity,
        attributes=override.attributes,
        priority=override.priority,
        effective_from_us=override.effective_from_us,
        effective_until_us=override.effective_until_us,
    )
    change = override.change
    if isinstance(change, Multiplier):
        message.multiplier.ratio = change.ratio
    else:
        assert isinstance(change, Overwrite)
        message.overwrite.asset, message.overwrite.price = change.asset, change.price
    return message


def render_standing(
    numbered: NumberedOverride, set_at_us: int, account: int, names: Mapping[int, str]
) -> pb.StandingOverride:
    """An override that stands for an account."""
    return pb.StandingOverride(
        override=render_override(numbered.override),
        number=numbered.number,
        set_at_us=set_at_us,
        account=names[account],
    )
