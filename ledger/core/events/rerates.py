"""Re-rates: what earlier usage costs anew, by its own total (rule R1) or by a job (rule R7)."""

from __future__ import annotations

import msgspec

from ledger.core.events.base import Fact, RowDraw, ScopedAdvance, Slice
from ledger.core.events.corrections import GivenBack
from ledger.core.events.usage import UsageCosted


class Rerate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the quantity before costs more, or less (below 0), by a price row: `key` is whose total
    that is, in the scope that begins at `start`."""

    row: int
    key: int
    scope: int
    start: int
    amount: int


class UsageRerated(Fact, frozen=True, tag=38):
    """Earlier usage costs more or less because of the entry before, whose index is `entry`: usage
    or a reversal that took a total over a boundary of a volume price (rule R1).

    What it costs more is drawn by `slices`, as usage of the product of `plan`; what it costs less
    is in `given_back`, the last drawn first. `kept` is what was given back by hand before. `draws`
    is what the rows have drawn more or less by it. Overage falls in the month `period`. `scoped`
    moves what was charged for minimums, up or down (rule R2).
    """

    account: int
    entry: int
    effective_at: int
    plan: int
    rerates: tuple[Rerate, ...]
    used_book: int = 0
    slices: tuple[Slice, ...] = ()
    given_back: tuple[GivenBack, ...] = ()
    period: int = 0
    over_limit: int = 0
    kept: int = 0
    draws: tuple[RowDraw, ...] = ()
    scoped: tuple[ScopedAdvance, ...] = ()


class RerateShare(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What earlier usage of accounts costs more, or less, by one total that they share: a price row
    in the scope that begins at `start`, and (account, amount) in order of the accounts."""

    row: int
    key: int
    scope: int
    start: int
    amounts: tuple[tuple[int, int], ...]


class RerateShared(Fact, frozen=True, tag=149):
    """Usage of an account, at index `entry` of the batch, costs earlier usage of others anew: they
    share a total that it took over a boundary of a volume price, or took back (rules R1, D8).

    Each has a re-rate due from now on, which is posted before anything else of that account.
    """

    account: int
    entry: int
    effective_at: int
    plan: int
    shares: tuple[RerateShare, ...]


class SharedRerated(UsageRerated, frozen=True, tag=150):
    """A re-rate that was due: the entry of number `cause`, of another account, took a total that
    both share over a boundary. Its own `entry` is none, for that one may be of another batch."""

    cause: int = 0


class UsageRepriced(UsageCosted, frozen=True, tag=77):
    """Usage that a job rated again, by the version of a card that its plan names (rule R7).

    It stands in the stead of the usage at entry `original_entry`, `original` as batch << 20 |
    index, which the job has given back at entry `reversal_entry`: same quantities, attributes and
    time. `job` is the job's own name.
    """

    job: str = ""
    original: int = 0
    original_entry: int = 0
    reversal_entry: int = 0
