"""Parts of requests that several services take, checked and turned into what the core takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from ledger.api.assets import Assets
from ledger.api.errors import CallFailed, Fault, invalid
from ledger.api.intake.shapes import ShapeCache, quantities_fault, quantity_names_fault
from ledger.api.limits import Checked, id_fault, text_fault
from ledger.core.events import Rollover
from ledger.core.limits import ID_BYTES_MAX
from ledger.core.shapes import Shape
from ledger.journal.directory import Entry
from ledger.v1 import decision_pb2, lease_pb2, types_pb2


class Work(Protocol):
    """A request that says what would be used."""

    @property
    def product(self) -> str:
        """What, 1 to 128 bytes."""
        ...

    @property
    def attributes(self) -> Mapping[str, str]:
        """What prices may depend on."""
        ...

    @property
    def quantities(self) -> Mapping[str, int]:
        """How much of each."""
        ...


def shape_of(shapes: ShapeCache, work: Work) -> tuple[Shape, tuple[int, ...]]:
    """The shape of the work and its quantities in the shape's order. Raises CallFailed."""
    quantities = work.quantities
    shape = shapes.of(work.product, work.attributes, tuple(quantities))
    if isinstance(shape, Fault):
        raise invalid([shape])
    values = tuple([quantities[name] for name in shape.quantity_names])
    if min(values) <= 0:
        raise_first(quantities_fault(shape.quantity_names, values))
    return shape, values


class RangedWork(Work, Protocol):
    """The same where one quantity may be less."""

    @property
    def up_to(self) -> decision_pb2.UpTo:
        """Which, and the least of it."""
        ...

    def HasField(self, field_name: Literal["up_to"]) -> bool:  # noqa: N802
        """Whether it is said."""
        ...


def up_to_of(work: RangedWork, shape: Shape) -> tuple[str, int]:
    """The quantity of the work that may be less and the least of it; "", 0 = none may."""
    if not work.HasField("up_to"):
        return "", 0
    up_to = work.up_to
    check = Checked()
    check.ids(**{"up_to.quantity": up_to.quantity})
    check.between("up_to.minimum", up_to.minimum, 0)
    check.done()
    return up_to.quantity, up_to.minimum


def seated(shapes: ShapeCache, shape: Shape, entry: Entry) -> Shape:
    """The same work of the seat that the alias names by which the account was named, unless it
    names one itself (rule I7). Raises CallFailed where that is one attribute too many."""
    if entry.seat is None:
        return shape
    found = with_seat(shapes, shape, entry.seat)
    if isinstance(found, Fault):
        raise invalid([found])
    return found


def with_seat(shapes: ShapeCache, shape: Shape, seat: tuple[str, str]) -> Shape | Fault:
    """The shape with the attribute that names a seat; its own, if it has that one, stays."""
    name, value = seat
    attributes = dict(shape.attributes)
    if name in attributes:
        return shape
    return shapes.of(shape.product, {**attributes, name: value}, shape.quantity_names)


def quantities_of(quantities: Mapping[str, int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names, sorted, and quantities of work whose product is known already. Raises CallFailed."""
    names = tuple(sorted(quantities))
    raise_first(quantity_names_fault(names))
    values = tuple([quantities[name] for name in names])
    raise_first(quantities_fault(names, values))
    return names, values


def raise_first(*faults: Fault | None) -> None:
    """Fail the call with these faults, if there is any."""
    found: Iterable[Fault] = [fault for fault in faults if fault is not None]
    if found:
        raise invalid(found)


def asset_number(assets: Assets, field: str, code: str, entry: Entry) -> int:
    """Number of an asset of the account's tenant; 0 for "". Raises CallFailed ASSET_UNKNOWN."""
    number = assets.number(entry.tenant, code, entry.shard)
    if number < 0:
        raise CallFailed(
            "ASSET_UNKNOWN",
            "the tenant has no such asset; create it first",
            field=field,
            value=code,
        )
    return number


def money_number(assets: Assets, field: str, code: str, entry: Entry) -> int:
    """The same of money. Raises CallFailed ASSET_UNKNOWN, ASSET_KIND_INVALID."""
    number = asset_number(assets, field, code, entry)
    if number and assets.of(number).kind != "money":
        raise CallFailed(
            "ASSET_KIND_INVALID", "a grant is paid for in money", field=field, value=code
        )
    return number


def check_names(check: Checked, field: str, given: Iterable[str], most: int) -> None:
    """At most so many names, each once, of 1 to 128 bytes."""
    names = list(given)
    if len(names) > most:
        message = f"{len(names)} names; at most {most} allowed"
        check.fault(Fault("TOO_MANY", field, str(len(names)), message))
    elif len(set(names)) != len(names):
        check.fault(Fault("NAME_REPEATED", field, "", "a name stands twice"))
    for place, name in enumerate(names[:most]):
        check.fault(id_fault(f"{field}[{place}]", name))


def check_rollover(check: Checked, field: str, given: types_pb2.Rollover) -> None:
    """Its figures one by one; whether they fit each other is for the core to say."""
    check.between(f"{field}.numerator", given.numerator, 0)
    check.between(f"{field}.denominator", given.denominator, 1)
    check.between(f"{field}.cap", given.cap, 0)
    check.between(f"{field}.lifetime_us", given.lifetime_us, 0)


def rollover_of(given: types_pb2.Rollover) -> Rollover:
    """A rollover as the core takes it."""
    cap = given.cap if given.HasField("cap") else -1
    return Rollover(given.numerator, given.denominator, cap, given.lifetime_us, given.again)


def check_operation(
    check: Checked,
    request: decision_pb2.AuthorizeRequest
    | decision_pb2.CaptureRequest
    | decision_pb2.CheckManyRequest
    | decision_pb2.CheckRequest
    | decision_pb2.DebitRequest
    | decision_pb2.ExplainDecisionRequest
    | lease_pb2.LeaseServiceAcquireRequest,
) -> None:
    """The operation that a request names, and what caused that."""
    operation, parent = request.operation, request.operation_parent
    check.fault(text_fault("operation", operation, ID_BYTES_MAX, empty=not parent))
    check.fault(text_fault("operation_parent", parent, ID_BYTES_MAX, empty=True))


def check_unlearned(field: str, sizing: decision_pb2.Sizing.ValueType) -> None:
    """What a hold of an operation is to pay is by the caller's figures. Raises CallFailed."""
    if sizing == decision_pb2.SIZING_LEARNED:
        message = "of an operation's hold the quantities are the caller's; leave the learning out"
        raise CallFailed("FIELD_NOT_ALLOWED", message, field=field)
