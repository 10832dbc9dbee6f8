"""What a price row says beside one price: its model, scope and hours as messages, and back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from rating.card import CardFault, PriceRow, RateCard
from rating.models import (
    DAY_END,
    DAY_START,
    EACH_DAY,
    CostPlus,
    Formula,
    Graduated,
    Hours,
    Model,
    Package,
    Percentage,
    Scope,
    Stairstep,
    Tier,
    Volume,
)
from rating.v1 import card_pb2 as pb

SCOPES: Final = {
    pb.RUNNING_SCOPE_UNSPECIFIED: Scope.MONTH,
    pb.RUNNING_SCOPE_MONTH: Scope.MONTH,
    pb.RUNNING_SCOPE_DAY: Scope.DAY,
    pb.RUNNING_SCOPE_PERIOD: Scope.PERIOD,
    pb.RUNNING_SCOPE_EVENT: Scope.EVENT,
    pb.RUNNING_SCOPE_SUBTREE_MONTH: Scope.SUBTREE_MONTH,
    pb.RUNNING_SCOPE_SUBTREE_DAY: Scope.SUBTREE_DAY,
    pb.RUNNING_SCOPE_SUBTREE_PERIOD: Scope.SUBTREE_PERIOD,
    pb.RUNNING_SCOPE_CONTRACT: Scope.CONTRACT,
}
_SCOPE_NUMBERS: Final = {
    Scope.MONTH: pb.RUNNING_SCOPE_UNSPECIFIED,
    Scope.DAY: pb.RUNNING_SCOPE_DAY,
    Scope.PERIOD: pb.RUNNING_SCOPE_PERIOD,
    Scope.EVENT: pb.RUNNING_SCOPE_EVENT,
    Scope.SUBTREE_MONTH: pb.RUNNING_SCOPE_SUBTREE_MONTH,
    Scope.SUBTREE_DAY: pb.RUNNING_SCOPE_SUBTREE_DAY,
    Scope.SUBTREE_PERIOD: pb.RUNNING_SCOPE_SUBTREE_PERIOD,
    Scope.CONTRACT: pb.RUNNING_SCOPE_CONTRACT,
}
_FIELDS: Final[dict[type, str]] = {
    Graduated: "graduated",
    Volume: "volume",
    Stairstep: "stairstep",
    Package: "package",
    Percentage: "percentage",
    Formula: "formula",
    CostPlus: "cost_plus",
}
_ROW_OF_MODEL: Final = re.compile(r"rows\[(\d+)\]\.model\b")


Terms: TypeAlias = Any
"""A message with the terms of a price row, by the same names: `PriceRow`, `Overwrite`, `Tiers`."""


def model_of(row: Terms) -> Model | None:
    """The model of a row's message, or of one with its fields; None where its price is one for
    every unit."""
    match row.WhichOneof("model"):
        case "graduated":
            return Graduated(_tiers_of(row.graduated.tiers))
        case "volume":
            return Volume(_tiers_of(row.volume.tiers))
        case "stairstep":
            return Stairstep(_tiers_of(row.stairstep.tiers))
        case "package":
            return Package(row.package.size, row.package.price)
        case "percentage":
            said = row.percentage
            return Percentage(
                said.rate,
                said.fixed,
                said.free,
                said.transaction_minimum,
                said.transaction_maximum,
            )
        case "formula":
            return Formula(row.formula.expression, tuple(row.formula.attributes))
        case "cost_plus":
            return CostPlus(row.cost_plus.markup, row.cost_plus.fixed)
    return None


def hours_of(row: pb.PriceRow) -> Hours | None:
    """When the row of a message applies; None = always."""
    if not row.HasField("hours"):
        return None
    said = row.hours
    return Hours(
        said.zone,
        said.start or DAY_START,
        said.end or DAY_END,
        tuple(said.weekdays) or EACH_DAY,
    )


def render_terms(row: PriceRow, message: Terms) -> None:
    """Add to the message of a row what it says beside one price."""
    message.scope = _SCOPE_NUMBERS[row.scope]
    message.included = row.included
    message.maximum = row.maximum
    if row.list_price:
        message.list_price = row.list_price
    if row.hours is not None:
        fields: dict[str, Any] = msgspec.structs.asdict(row.hours)
        message.hours.CopyFrom(pb.Hours(**fields))
    match row.model:
        case Graduated(tiers):
            message.graduated.CopyFrom(pb.GraduatedModel(tiers=_render_tiers(tiers)))
        case Volume(tiers):
            message.volume.CopyFrom(pb.VolumeModel(tiers=_render_tiers(tiers)))
        case Stairstep(tiers):
            message.stairstep.CopyFrom(pb.StairstepModel(tiers=_render_tiers(tiers)))
        case Package(size, price):
            message.package.CopyFrom(pb.PackageModel(size=size, price=price))
        case Percentage():
            fields = msgspec.structs.asdict(row.model)
            message.percentage.CopyFrom(pb.PercentageModel(**fields))
        case Formula(expression, attributes):
            message.formula.CopyFrom(pb.FormulaModel(expression=expression, attributes=attributes))
        case CostPlus(markup, fixed):
            message.cost_plus.CopyFrom(pb.CostPlusModel(markup=markup, fixed=fixed))


def placed(card: RateCard, faults: Sequence[CardFault]) -> list[CardFault]:
    """The faults by the names of the message: a model's field is that of its kind."""

    def named(found: re.Match[str]) -> str:
        place = int(found[1])
        return f"rows[{place}].{_FIELDS.get(type(card.rows[place].model), 'model')}"

    return [
        msgspec.structs.replace(fault, path=_ROW_OF_MODEL.sub(named, fault.path))
        for fault in faults
    ]


def _tiers_of(tiers: Sequence[pb.Tier]) -> tuple[Tier, ...]:
    return tuple([Tier(tier.up_to or None, tier.price, tier.flat) for tier in tiers])


def _render_tiers(tiers: tuple[Tier, ...]) -> list[pb.Tier]:
    return [pb.Tier(up_to=tier.up_to or 0, price=tier.price, flat=tier.flat) for tier in tiers]
