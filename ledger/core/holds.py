"""Units that a request, an operation or a lease has reserved (rule H1): a hold while it is open,
and what remains of it once it has ended.

Plain slotted objects that only `evolve` changes. They know the slices that they reserve by pot and
book, and no grant: what a slice is worth stands in `holdings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ledger.core.books import Book
from ledger.core.events import PlanDeclared, Pot, Slice
from ledger.core.limits import DRAWN_PRODUCTS_MAX

if TYPE_CHECKING:
    from ledger.core.leases.leases import CreditLease, SettledLease
    from ledger.core.state import Account

HOLD_CAPTURED = 1
HOLD_RELEASED = 2
HOLD_EXPIRED = 3
HOLD_CHARGED = 4  # expired, and its estimate was charged (rule H2)


class Estimate(NamedTuple):
    """What an expiry would charge (rule H2): quantities not captured so far, priced as planned."""

    plan: PlanDeclared
    quantities: tuple[int, ...]

    def without(self, names: tuple[str, ...], quantities: tuple[int, ...]) -> Estimate:
        """What is left of it after a capture."""
        captured = dict(zip(names, quantities, strict=True))
        left = [
            max(0, quantity - captured.get(name, 0))
            for name, quantity in zip(self.plan.quantity_names, self.quantities, strict=True)
        ]
        return Estimate(self.plan, tuple(left))


class Outcome(NamedTuple):
    """What makes a hold an outcome: work that was done at the hold's `authorized_at`, reported
    then, by the entry at that locator. It is charged as estimated, by the plan of the report, once
    it is confirmed; `confirms`: the clock does so at the hold's expiry, else it rejects it."""

    estimate: Estimate
    confirms: bool
    reported_at: int
    reported_by: int


class SettledOutcome(NamedTuple):
    """What is remembered of one that was confirmed or rejected, by the entry at a locator."""

    reported_at: int
    reported_by: int
    settled_by: int
    charge: int  # 0 where it was rejected
    quantity_names: tuple[str, ...]
    quantities: tuple[int, ...]


def taken_of(
    held: Iterable[tuple[int, int, int]], drawn: Sequence[Slice], same_period: bool
) -> tuple[int, ...]:
    """What a capture that drew these slices took of each of a hold's (pot, book, amount).

    A capture takes them first; overage that it drew in another period is not the hold's (rule D4).
    """
    amounts = {(piece.pot, piece.book): piece.amount for piece in drawn}
    return tuple(
        [
            min(amount, amounts.get((pot, book), 0)) if pot != Pot.OVERAGE or same_period else 0
            for pot, book, amount in held
        ]
    )


class Hold:
    """Exact slices reserved until `expires_at` (rule H1).

    `slices` are what is still reserved of each, 0 where captures have taken it; `amount` is what
    was authorised. `estimate` is there where an expiry charges it. One of a call of an operation is
    a part of that one's hold `part_of`, from which it has `parts` of each of its slices.
    """

    __slots__ = (
        "account",
        "amount",
        "asset",
        "attributes",
        "authorized_at",
        "captures",
        "counted_at",
        "drawn",
        "estimate",
        "expires_at",
        "handed_on",
        "lease",
        "lifetime_max",
        "number",
        "operation",
        "outcome",
        "part_of",
        "parts",
        "period",
        "product",
        "quote",
        "slices",
        "used",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        asset: int,
        used: Book | None,
        slices: tuple[Slice, ...],
        authorized_at: int,
        expires_at: int,
        lifetime_max: int,
        period: int,
        estimate: Estimate | None,
    ) -> None:
        self.number = number
        self.account = account
        self.product = product
        self.attributes = attributes
        self.asset = asset
        self.used = used  # None where the estimate cost nothing
        self.slices = slices
        self.amount = sum([piece.amount for piece in slices])
        self.authorized_at = authorized_at
        self.counted_at = authorized_at  # in windows: as what it is a part of (rule H5)
        self.expires_at = expires_at
        self.lifetime_max = lifetime_max
        self.period = period  # in which its overage counts
        self.estimate = estimate
        self.captures = 0  # so far, each of which left it open
        self.quote = 0  # that prices its capture
        self.operation = b""  # that its work is part of, and that one's parent
        self.outcome: Outcome | None = None  # of work that is charged by its result
        self.lease: CreditLease | None = None  # of a slice that is in escrow with a holder
        # Of an operation with all its calls: product -> units that it has drawn; None = of one
        # piece of work.
        self.drawn: dict[str, int] | None = None
        self.part_of = 0  # hold of its operation; 0 = none
        self.parts: tuple[int, ...] = ()
        self.handed_on = 0  # units that its operation's hold has again, as it is being settled

    def draw(self, product: str, units: int) -> None:
        """A call of the operation has drawn so many units for a product. Of many products, those
        that come late are counted together, as ""."""
        drawn = self.drawn
        assert drawn is not None, self.number
        if product not in drawn and len(drawn) >= DRAWN_PRODUCTS_MAX:
            product = ""
        drawn[product] = drawn.get(product, 0) + units

    @property
    def left(self) -> int:
        """What it still reserves."""
        return sum([piece.amount for piece in self.slices])

    def taken_by(self, drawn: Sequence[Slice], period: int) -> tuple[int, ...]:
        """What a capture in that period, which drew these slices, took of each of the hold's."""
        held = [(piece.pot, piece.book, piece.amount) for piece in self.slices]
        return taken_of(held, drawn, period == self.period)


class SettledHold:
    """What remains of a hold for the dedupe window: how it ended, what it reserved, how much of
    that was captured or charged, and what a late capture needs. `captured_late`: the last late
    capture has come (rule H1)."""

    __slots__ = (
        "account",
        "amount",
        "asset",
        "attributes",
        "authorized_at",
        "captured",
        "captured_late",
        "captures",
        "counted_at",
        "drawn",
        "ended",
        "expires_at",
        "lease",
        "number",
        "operation",
        "outcome",
        "product",
        "settled_at",
    )

    def __init__(
        self,
        number: int,
        account: Account,
        product: str,
        attributes: tuple[tuple[str, str], ...],
        asset: int,
        amount: int,
        ended: int,
        captured_late: bool,
        settled_at: int,
        captured: int,
        captures: int,
        authorized_at: int,
        expires_at: int,
        outcome: SettledOutcome | None = None,
        lease: SettledLease | None = None,
        operation: bytes = b"",
        drawn: dict[str, int] | None = None,
        counted_at: int = 0,
    ) -> None:
        self.number = number
        self.account = account
        self.product = product
        self.attributes = attributes
        self.asset = asset
        self.amount = amount
        self.ended = ended
        self.captured_late = captured_late
        self.settled_at = settled_at
        self.captured = captured
        self.captures = captures  # while it was open
        self.authorized_at = authorized_at
        self.expires_at = expires_at
        self.outcome = outcome
        self.operation = operation
        self.lease = lease  # both None = it was a hold of a request
        self.drawn = drawn  # of an operation: units by product
        self.counted_at = counted_at or authorized_at
