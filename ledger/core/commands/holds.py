"""Holds and quotes: what is decided before the work."""

from __future__ import annotations

import msgspec

from ledger.core.commands.base import NO_NAMES, Names
from ledger.core.events import Alternative, Sized
from ledger.core.shapes import Shape


class Sizing(msgspec.Struct, frozen=True, gc=False):
    """That `quantities` of work come from actual usage: the caller `asked` for these, the most.

    `version`: of the configuration that chose it, 0 = none; `learned`: the caller did.
    """

    asked: tuple[int, ...]
    sizes: tuple[Sized, ...]
    version: int
    learned: bool


class AuthorizeHold(msgspec.Struct, gc=False):
    """Reserve the price of an estimate, or deny (rules H1, H3, D4)."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    lifetime: int  # microseconds; 0 = the default
    names: Names = NO_NAMES
    trace: bytes = b""
    quote: int = 0  # that is to price it
    up_to: str = ""  # of this quantity, as much as is affordable, if that is `minimum` or more
    minimum: int = 0
    alternatives: tuple[Alternative, ...] = ()  # that may run in its stead, the cheapest
    sizing: Sizing | None = None
    operation: bytes = b""
    hold: int = 0  # of an operation, of which it is made first


class ReserveOperation(msgspec.Struct, gc=False):
    """Hold units for an operation with all its calls, whatever products they are of (rule H4): what
    they use is drawn from it, until it is released or expires."""

    key: bytes
    account: int
    amount: int
    lifetime: int  # microseconds; 0 = the default
    operation: bytes
    names: Names = NO_NAMES
    trace: bytes = b""


class DebitWork(msgspec.Struct, gc=False):
    """Charge work in full within every limit, in one step, or deny it (rules D4, H4)."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    names: Names = NO_NAMES
    operation: bytes = b""
    trace: bytes = b""
    up_to: str = ""
    minimum: int = 0
    alternatives: tuple[Alternative, ...] = ()
    hold: int = 0  # of an operation, which is to pay first


class CreateQuote(msgspec.Struct, gc=False):
    """Promise the price of work for one use (rule H9); with `held` reserve it too, or refuse."""

    key: bytes
    account: int
    shape: Shape
    quantities: tuple[int, ...]
    lifetime: int  # microseconds; 0 = the default
    tolerance: int  # basis points of each quantity that it prices; 0 = the default
    held: bool
    names: Names = NO_NAMES
    trace: bytes = b""


class ExtendHold(msgspec.Struct, gc=False):
    """Move an open hold's expiry to `lifetime` from now, later or earlier (rule H1)."""

    key: bytes
    account: int
    hold: int
    lifetime: int  # microseconds; 0 = the default
    names: Names = NO_NAMES
    trace: bytes = b""


class CaptureHold(msgspec.Struct, gc=False):
    """Charge a hold with the actual quantities (rule H1): the rest goes back, or stays held where
    `keep_open` says that more captures follow."""

    key: bytes
    account: int
    hold: int
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]
    effective_at: int  # 0 = the writer's clock
    names: Names = NO_NAMES
    trace: bytes = b""
    keep_open: bool = False
    operation: bytes = b""  # b"" = that of the hold
    product: str = ""  # of a hold of an operation, which is of none; "" = that of the hold
    attributes: tuple[tuple[str, str], ...] = ()


class ReleaseHold(msgspec.Struct, gc=False):
    """Give a hold back."""

    key: bytes
    account: int
    hold: int
    names: Names = NO_NAMES
    trace: bytes = b""
