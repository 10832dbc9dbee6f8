"""The command that a recorded decision answered: work that was to be held, charged or reserved for.

What a caller gave, read off the entry and its plan: never what the ledger made of it.
"""

from __future__ import annotations

from typing import Any

from ledger.core import commands as c
from ledger.core import events as e
from ledger.core.shapes import Shape


def work_of(
    event: e.HoldAuthorized | e.AuthorizeDenied | e.UsageDebited, shape: Shape
) -> c.AuthorizeHold | c.DebitWork | c.ReserveOperation:
    """The command, under the key of the entry; `shape` is that of its plan."""
    if isinstance(event, e.UsageDebited) or (isinstance(event, e.WorkDenied) and event.debit):
        return debit_of(event, shape)
    if isinstance(event, e.OperationReserved):
        return reserve_of(event)
    if isinstance(event, e.WorkDenied) and not shape.product:
        return reserve_of(event)
    return authorize_of(event, shape)


def reserve_of(event: e.OperationReserved | e.WorkDenied) -> c.ReserveOperation:
    """What asked for a hold of an operation with all its calls."""
    return c.ReserveOperation(
        event.key, event.account, event.quantities[0], event.lifetime, event.operation,
        trace=event.trace,
    )  # fmt: skip


def authorize_of(event: e.HoldAuthorized | e.AuthorizeDenied, shape: Shape) -> c.AuthorizeHold:
    """What asked for a hold of work."""
    shape, quantities, up_to, lifetime = _work_of(event, shape)
    return c.AuthorizeHold(
        event.key,
        event.account,
        shape,
        quantities,
        lifetime,
        c.NO_NAMES,
        event.trace,
        getattr(event, "quote", 0),
        *_range(up_to),
        _alternatives(event),
        _sizing(event),
        getattr(event, "operation", b""),
        _whole_of(event),
    )


def debit_of(event: e.UsageDebited | e.WorkDenied, shape: Shape) -> c.DebitWork:
    """What asked for work to be charged at once."""
    shape, quantities, up_to, _ = _work_of(event, shape)
    return c.DebitWork(
        event.key,
        event.account,
        shape,
        quantities,
        c.NO_NAMES,
        event.operation,
        event.trace,
        *_range(up_to),
        _alternatives(event),
        event.hold if isinstance(event, e.HoldDebited | e.HoldDebitDenied) else 0,
    )


def quote_of(event: e.QuoteMade, shape: Shape) -> c.CreateQuote:
    """What asked for a promise, and a hold with it if there is one."""
    return c.CreateQuote(
        event.key,
        event.account,
        shape,
        event.quantities,
        event.lifetime,
        event.tolerance_given,
        event.hold > 0,
        trace=event.trace,
    )


def _whole_of(event: e.HoldAuthorized | e.AuthorizeDenied) -> int:
    """The hold of an operation that was to pay first; 0 = none."""
    if isinstance(event, e.OperationPartHeld):
        return event.of
    return event.hold if isinstance(event, e.HoldDebitDenied) else 0


def _sizing(event: e.HoldAuthorized | e.AuthorizeDenied) -> c.Sizing | None:
    """Where its estimate came from: what was learned then stays."""
    if not isinstance(event, e.HoldSized | e.SizedDenied):
        return None
    return c.Sizing(event.asked, event.sizes, event.sizing_version, bool(event.learned))


def _work_of(event: Any, shape: Shape) -> tuple[Shape, tuple[int, ...], e.UpTo | None, int]:
    """The work that was asked for, and how long it was to be held, whatever runs in its stead."""
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    asked = ruling.asked if ruling is not None else None
    if asked is not None:
        shape = Shape(asked.product, asked.attributes, asked.quantity_names)
        return shape, asked.quantities, asked.up_to, asked.lifetime
    lifetime = getattr(event, "lifetime", 0)
    return shape, _asked_for(event, shape), getattr(event, "up_to", None), lifetime


def _alternatives(event: Any) -> tuple[e.Alternative, ...]:
    ruling: e.Ruling | None = getattr(event, "ruling", None)
    return ruling.alternatives if ruling is not None else ()


def _range(up_to: e.UpTo | None) -> tuple[str, int]:
    return (up_to.quantity, up_to.minimum) if up_to is not None else ("", 0)


def _asked_for(event: Any, shape: Shape) -> tuple[int, ...]:
    """The quantities that were asked for, of which less may have been allowed."""
    up_to = getattr(event, "up_to", None)
    if up_to is None or isinstance(event, e.WorkDenied):
        return event.quantities  # type: ignore[no-any-return]
    place = shape.quantity_names.index(up_to.quantity)
    return (*event.quantities[:place], up_to.maximum, *event.quantities[place + 1 :])
