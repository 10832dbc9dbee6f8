"""Outcomes: work that is charged once its result is confirmed (rules B1, H1, D3, D4).

An outcome is held for as a hold is: it has a number among the holds, and its slices pend until the
one entry that confirms or rejects it.
"""

from __future__ import annotations

from ledger.core.events.base import Fact
from ledger.core.events.holds import HoldAuthorized
from ledger.core.events.usage import UsageCosted


class OutcomeReported(HoldAuthorized, frozen=True, tag=82):
    """Recorded work whose charge pends, with what will pay it reserved as for recorded usage.

    `effective_at` is when the work was done and says which price counts. `expires_at` is when the
    writer's clock confirms it (`expiry` CHARGE) or rejects it (RELEASE), the end of time where
    neither; `lifetime` and `lifetime_max` are how long that is from the report, 0 = for ever.
    `charges` are what it would cost as it was reported, -1 where there is no price (`suspense` says
    why). `evidence`: digest of what was given for it, which stands beside the entry, erasable.
    """

    effective_given: int = 1
    suspense: int = 0
    evidence: bytes = b""


class OutcomeConfirmed(UsageCosted, frozen=True, tag=83):
    """The result is confirmed, and the work charged: of what was reserved for outcome `hold` first.

    It is usage by the price rows of the report, effective at the time of the work; `personal` is
    the digest of the evidence. `by_time` = 1: the writer's clock confirmed it, so it has no key.
    """

    by_time: int = 0


class OutcomeRejected(Fact, frozen=True, tag=84):
    """No result: nothing is charged, and all that was reserved goes back.

    `note`: digest of reason and evidence. `by_time` = 1: by the writer's clock, without a key.
    """

    key: bytes
    account: int
    hold: int
    note: bytes = b""
    by_time: int = 0
    trace: bytes = b""
