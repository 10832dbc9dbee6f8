"""A client like an AI gateway: it asks before each request, and settles what the request used.

It knows the agents' account by an API key only. When it is denied for a while, the customer tops
up, and it is allowed again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ledger.client import ALLOWED, DrawdownClient
from ledger.v1 import decision_pb2

ESTIMATE: Final = {"input_tokens": 12_000, "output_tokens": 2_000}
USED: Final = {"input_tokens": 12_000, "cached_tokens": 6_000, "output_tokens": 800}
DENIALS_MIN: Final = 5  # before the customer tops up
CALLS_AFTER_MAX: Final = 500  # once the trace is over, before the demo gives up


@dataclass(frozen=True, slots=True)
class Turn:
    """The gateway's answer changed, or the customer topped up. Amounts in minor units."""

    what: str
    at_us: int
    amount: int
    available: str
    reason: str


@dataclass
class GatewayStory:
    """What happened to the gateway's requests."""

    decisions: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    turns: list[Turn] = field(default_factory=list)
    held: int = 0
    charged: int = 0
    given_back: int = 0
    topped_up: int = 0
    repaid_advance: int = 0
    allowed_after_top_up: int = 0

    @property
    def complete(self) -> bool:
        """Allowed, denied, topped up and allowed again."""
        return (
            self.decisions["ALLOW"] > 0
            and self.decisions["DENY"] > 0
            and self.topped_up > 0
            and self.allowed_after_top_up > 0
        )

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "decisions": dict(self.decisions),
            "reasons": dict(self.reasons),
            "turns": [turn.what for turn in self.turns],
            "held": self.held,
            "charged": self.charged,
            "given_back": self.given_back,
            "topped_up": self.topped_up,
            "repaid_advance": self.repaid_advance,
            "allowed_after_top_up": self.allowed_after_top_up,
        }


class Gateway:
    """`run` until the trace is over and the story is complete."""

    def __init__(
        self,
        client: DrawdownClient,
        key: str,
        product: str,
        *,
        now_us: Callable[[], int],
        top_up: Callable[[], Awaitable[tuple[int, int]]],
        told: Callable[[Turn], None],
    ) -> None:
        """`top_up` issues a grant and gives (its amount, the advance that it repaid)."""
        self.story = GatewayStory()
        self._client = client
        self._key = key
        self._product = product
        self._now_us = now_us
        self._top_up = top_up
        self._told = told
        self._last = ""

    async def run(self, over: asyncio.Event, pause_us: int, patience_us: int) -> GatewayStory:
        """Ask every `pause_us`; `patience_us` after the first denial the customer tops up."""
        story = self.story
        denied_at_us = calls_after = 0
        while not (over.is_set() and story.complete) and calls_after < CALLS_AFTER_MAX:
            allowed = await self._request()
            if not allowed and not story.topped_up:
                denied_at_us = denied_at_us or self._now_us()
                patient = self._now_us() - denied_at_us < patience_us and not over.is_set()
                if story.decisions["DENY"] >= DENIALS_MIN and not patient:
                    await self._buy()
            calls_after += over.is_set()
            await asyncio.sleep(pause_us / 1_000_000)
        return story

    async def _request(self) -> bool:
        """One request through the gateway: authorize, do it, capture."""
        story = self.story
        answer = await self._client.authorize(self._key, self._product, ESTIMATE)
        decision = decision_pb2.Decision.Name(answer.decision).removeprefix("DECISION_")
        story.decisions[decision] += 1
        if decision != self._last:
            self._last = decision
            self._turn(decision, answer.amount, answer.available, answer.reason)
        if answer.decision not in ALLOWED:
            story.reasons[answer.reason] += 1
            return False
        if story.topped_up:
            story.allowed_after_top_up += 1
        settled = await self._client.capture(answer.hold_id, USED)
        story.held += answer.amount
        story.charged += settled.charge
        story.given_back += settled.released
        return True

    async def _buy(self) -> None:
        amount, repaid = await self._top_up()
        self.story.topped_up += amount
        self.story.repaid_advance += repaid
        self._last = ""
        self._turn("TOP_UP", amount, str(repaid), "")

    def _turn(self, what: str, amount: int, available: str, reason: str) -> None:
        turn = Turn(what, self._now_us(), amount, available, reason)
        self.story.turns.append(turn)
        self._told(turn)
