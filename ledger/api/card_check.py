"""Everything that a publication asks of a rate card before it is stored, in one pure function.

A large card takes seconds, so a server has it asked in another process (`ledger.card_process`);
bytes in and a small struct out. Without one it is asked in place: in tests, and where nothing else
waits. Must not know the ledger: whether the tenant has the asset is for the service to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ledger.api.rendering.render_card import card_of, left_out
from ledger.api.rendering.render_model import placed
from rating.card import (
    CardFault,
    RateCard,
    canonical_bytes,
    content_hash,
    decode_card,
    validate,
    validate_succession,
)
from rating.cost_faults import check_cost_card, named_by
from rating.v1 import card_pb2

FAULTS_MAX: Final = 1_000  # in an answer; x ~500 B = 500 kB


class CheckedCard(msgspec.Struct, frozen=True):
    """What became of the check. `body` is empty where the card has faults of its own."""

    faults: tuple[CardFault, ...] = ()  # of the card alone, FAULTS_MAX of them
    faults_total: int = 0
    succession: tuple[CardFault, ...] = ()  # beside the latest version
    costs: tuple[CardFault, ...] = ()  # beside the card of costs, or those that name it as one
    asset: str = ""
    asset_scale: int = 0
    cost_asset: str = ""  # that its card of costs is in
    rows: int = 0
    cash_only: int = -1  # place of the first minimum that is for cash only; -1 = none is
    body: bytes = b""
    content_hash: bytes = b""


class CardChecker(Protocol):
    """Who asks `check_card`, here or elsewhere."""

    async def check(
        self,
        message: bytes,
        latest: bytes | None,
        costs: bytes | None = None,
        namers: Sequence[bytes] = (),
    ) -> CheckedCard:
        """See `check_card`."""
        ...

    async def stop(self) -> None:
        """End whatever runs for it."""
        ...


class CheckedHere:
    """The check in the caller's own process, which stands still meanwhile."""

    async def check(
        self,
        message: bytes,
        latest: bytes | None,
        costs: bytes | None = None,
        namers: Sequence[bytes] = (),
    ) -> CheckedCard:
        """See `check_card`."""
        return check_card(message, latest, costs, namers)

    async def stop(self) -> None:
        """Nothing runs."""


def check_card(
    message: bytes, latest: bytes | None, costs: bytes | None = None, namers: Sequence[bytes] = ()
) -> CheckedCard:
    """Check a card, a serialised `rating.v1.RateCard`, alone and beside bodies that are published:
    the latest version, its card of costs, and the cards that name it as theirs."""
    card, faults = card_of(card_pb2.RateCard.FromString(message))
    faults += placed(card, [*validate(card), *left_out(card)])
    succession = validate_succession(decode_card(latest), card) if latest is not None else []
    cost_card = decode_card(costs) if costs is not None else None
    beside = list(check_cost_card(card, cost_card))
    for namer in namers:
        beside += named_by(decode_card(namer), card)
    body = b"" if faults else canonical_bytes(card)
    return CheckedCard(
        tuple(faults[:FAULTS_MAX]),
        len(faults),
        tuple(succession),
        tuple(placed(card, beside)),
        card.asset,
        card.asset_scale,
        cost_card.asset if cost_card is not None else "",
        len(card.rows),
        _cash_only(card),
        body,
        content_hash(body) if body else b"",
    )


def _cash_only(card: RateCard) -> int:
    for place, minimum in enumerate(card.minimums):
        if minimum.cash_only:
            return place
    return -1
