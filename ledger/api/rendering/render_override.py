"""Price overrides: the message as the pure override, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ledger.api.errors import Fault
from ledger.api.rendering.render_model import SCOPES, model_of, render_terms
from ledger.core.pricing.sold import NOTHING_SOLD
from ledger.core.state import State
from rating.models import Graduated, Volume
from rating.overrides import (
    NEVER_US,
    Change,
    Layer,
    Multiplier,
    NumberedOverride,
    Override,
    Overwrite,
    SetOverride,
    Tiers,
    row_for,
)
from rating.v1 import override_pb2 as pb


class OverridesView(NamedTuple):
    """What stands for an account: its own list and its version; and by account and who says it
    those of its contract and package, and those above it."""

    own: tuple[SetOverride, ...]
    version: int
    inherited: tuple[tuple[int, SetOverride, pb.OverrideSource.ValueType], ...]


def overrides_view(state: State, number: int) -> OverridesView | None:
    """Read from a shard's state; None where the account is not open yet."""
    account = state.accounts.get(number)
    if account is None:
        return None
    inherited: list[tuple[int, SetOverride, pb.OverrideSource.ValueType]] = []
    for each in account.line():
        sold = each.sold or NOTHING_SOLD
        for layer, source in (
            (sold.contract, pb.OVERRIDE_SOURCE_CONTRACT),
            (each.overrides if each is not account else (), pb.OVERRIDE_SOURCE_ACCOUNT),
            (sold.package, pb.OVERRIDE_SOURCE_PACKAGE),
        ):
            inherited += [(each.number, found, source) for found in _standing(layer)]
    return OverridesView(_standing(account.overrides), account.overrides_version, tuple(inherited))


def _standing(layer: Layer) -> tuple[SetOverride, ...]:
    return tuple([each for each in layer if each.ended_at_us == NEVER_US])


def override_faults_of(messages: Iterable[pb.PriceOverride]) -> list[Fault]:
    """What the form of the messages alone is missing."""
    found = []
    for place, message in enumerate(messages):
        path, which = f"overrides[{place}]", message.WhichOneof("change")
        if which is None:
            found.append(Fault("FIELD_REQUIRED", f"{path}.change", "", "say what it changes"))
        elif which != "multiplier":
            said = message.overwrite if which == "overwrite" else message.tiered
            if which == "tiered" and said.WhichOneof("model") is None:
                found.append(Fault("FIELD_REQUIRED", f"{path}.change.model", "", "say the tiers"))
            if said.scope not in SCOPES:
                text = "there is no such scope"
                found.append(
                    Fault("NUMBER_OUT_OF_RANGE", f"{path}.change.scope", str(said.scope), text)
                )
    return found


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
    which = message.WhichOneof("change")
    if which == "multiplier":
        return Multiplier(message.multiplier.ratio)
    if which == "tiered":
        said = message.tiered
        tiers = model_of(said)
        assert isinstance(tiers, Graduated | Volume)
        return Tiers(said.asset, tiers, SCOPES[said.scope], said.included, said.maximum)
    other = message.overwrite
    return Overwrite(
        other.asset,
        other.price,
        model_of(other),
        SCOPES[other.scope],
        other.included,
        other.maximum,
    )


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
    elif isinstance(change, Tiers):
        message.tiered.asset = change.asset
        render_terms(row_for(override), message.tiered)
    else:
        message.overwrite.asset, message.overwrite.price = change.asset, change.price
        render_terms(row_for(override), message.overwrite)
    return message


def render_standing(
    numbered: NumberedOverride,
    set_at_us: int,
    account: int,
    names: Mapping[int, str],
    source: pb.OverrideSource.ValueType = pb.OVERRIDE_SOURCE_ACCOUNT,
) -> pb.StandingOverride:
    """An override that stands for an account."""
    return pb.StandingOverride(
        override=render_override(numbered.override),
        number=numbered.number,
        set_at_us=set_at_us,
        account=names[account],
        source=source,
    )
