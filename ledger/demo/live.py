"""The live chapter: usage streams in, and a gateway asks before each request of its own."""

from __future__ import annotations

import asyncio
from time import time_ns
from typing import Final

from ledger.demo.customer import CREDIT, SCALE, PlannedGrant, gateway_key, issue, rounded
from ledger.demo.gateway import Gateway, GatewayStory, Turn
from ledger.demo.playing import Player, Workload
from ledger.demo.screen import Live, clock, credits
from ledger.demo.stage import Stage
from ledger.demo.workload import AGENTS
from ledger.v1 import types_pb2

_STYLES: Final = {"ALLOW": "green", "ALLOW_OVERDRAFT": "yellow", "DENY": "red", "TOP_UP": "bold"}


async def live(
    stage: Stage, workload: Workload, root: str, costs: dict[str, int]
) -> tuple[Player, GatewayStory]:
    """Play the traces and the gateway beside each other."""
    stage.screen.section("Live", "usage streams in; a gateway asks before each request of its own")
    with Live(stage.screen, len(workload.scheduled)) as shown:

        def told() -> None:
            charged = sum(player.tally.charges.values())
            shown.update(player.tally.events, charged, player.tally.percentile_us(50))

        async def top_up() -> tuple[int, int]:
            amount = rounded(costs[AGENTS.team])
            bought = PlannedGrant(
                account=f"{root}/{AGENTS.team}",
                key="top-up",
                amount=amount,
                kind=types_pb2.GRANT_KIND_PREPAID,
                priority=10,
                paid=amount,
            )
            return amount, await issue(stage.client, bought, time_ns() // 1_000)

        player = Player(stage.client, told)
        gateway = Gateway(
            stage.client,
            gateway_key(root),
            AGENTS.models[0],
            now_us=lambda: time_ns() // 1_000,
            top_up=top_up,
            told=lambda turn: shown.news(_sentence(turn), _STYLES.get(turn.what, "")),
        )
        over = asyncio.Event()
        seconds_us = stage.options.seconds * 1_000_000
        async with asyncio.TaskGroup() as both:
            asking = both.create_task(
                gateway.run(over, max(seconds_us // 100, 20_000), seconds_us // 10)
            )
            await player.play(workload, root, root, stage.options.seconds)
            over.set()
    return player, asking.result()


def summarise(stage: Stage, player: Player, story: GatewayStory, expected: int) -> bool:
    """Say what came of it; whether every request was charged what its list price says."""
    tally = player.tally
    charged = tally.charges[CREDIT, SCALE]
    rate = tally.events * 1_000_000 // max(player.took_us, 1)
    outcomes = ", ".join(f"{count:,} {name}" for name, count in tally.outcomes.items())
    exact = charged == expected and tally.outcomes["APPLIED"] == tally.events
    stage.screen.line(
        f"{tally.events:,} requests in {player.took_us / 1_000_000:.1f} s ({rate:,}/s): {outcomes}"
    )
    stage.screen.line(
        f"usage in to outcome back, durable: p50 {tally.percentile_us(50) / 1_000:.1f} ms, "
        f"p99 {tally.percentile_us(99) / 1_000:.1f} ms"
    )
    stage.screen.line(
        f"charged {credits(charged)} {CREDIT}s; the list prices, computed apart from the "
        f"ledger: {credits(expected)}" + ("" if exact else "  DIFFERENT")
    )
    if tally.over_limit:
        stage.screen.line(
            f"{tally.over_limit:,} requests had run beyond the overdraft: recorded usage is "
            "never refused, it is owed"
        )
    decisions = ", ".join(f"{count} {name}" for name, count in story.decisions.items())
    stage.screen.line(
        f"gateway: {decisions}; {credits(story.charged)} {CREDIT}s captured of "
        f"{credits(story.held)} held"
    )
    stage.sections["live"] = {
        "events": tally.events,
        "took_us": player.took_us,
        "events_per_s": rate,
        "p50_us": tally.percentile_us(50),
        "p99_us": tally.percentile_us(99),
        "outcomes": dict(tally.outcomes),
        "over_limit": tally.over_limit,
        "charged": charged,
        "expected": expected,
    }
    stage.sections["gateway"] = story.document()
    return exact


def _sentence(turn: Turn) -> str:
    """A turn of the gateway's story for a person."""
    when = f"{clock(turn.at_us)}  gateway  "
    match turn.what:
        case "TOP_UP":
            return (
                f"{clock(turn.at_us)}  customer tops up {credits(turn.amount)} {CREDIT}s; "
                f"{credits(turn.available)} of it repay what it owes"
            )
        case "DENY":
            return (
                f"{when}DENY {turn.reason}: asked for {credits(turn.amount)}, "
                f"available {credits(turn.available)}"
            )
        case _:
            left = f", {credits(turn.available)} still available" if turn.available else ""
            return f"{when}{turn.what}: {credits(turn.amount)} held for a request{left}"
