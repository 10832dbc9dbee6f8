"""The first chapters: prices, a customer with its grants, and what will be played."""

from __future__ import annotations

from dataclasses import asdict
from time import time_ns

from ledger.demo.customer import (
    CARD,
    CREDIT,
    MONEY,
    PlannedGrant,
    Prices,
    gateway_key,
    issue,
    open_family,
    plan_grants,
    publish_prices,
    rounded,
)
from ledger.demo.playing import Workload
from ledger.demo.screen import credits
from ledger.demo.stage import Stage
from ledger.demo.workload import AGENTS, TRACES
from ledger.v1 import types_pb2


async def prices(stage: Stage) -> Prices:
    """Publish the price map."""
    stage.screen.section("Prices", "the public LLM price map as a rate card, in one command")
    published = await publish_prices(stage.client)
    stage.screen.line(
        f'{published.models:,} models, {published.rows:,} price rows: card "{CARD}" version '
        f"{published.version}"
    )
    stage.screen.line(f"charges {CREDIT}s: 1 {CREDIT} = 1 US dollar of list price")
    stage.sections["prices"] = {
        "card": CARD,
        "version": published.version,
        "models": published.models,
        "rows": published.rows,
    }
    return published


async def customer(stage: Stage, costs: dict[str, int]) -> str:
    """Open the customer; returns the id of its root."""
    root = await open_family(stage.client, costs[AGENTS.team])
    now_us = time_ns() // 1_000
    grants = plan_grants(root, costs)
    for grant in grants:
        await issue(stage.client, grant, now_us)
    overdraft = rounded(costs[AGENTS.team] // 10)
    stage.screen.section("A customer", f"{root} and its teams, each with grants of its own")
    stage.screen.table(
        ("account", "grant", "amount", "paid", "priority", "expires", "pays for"),
        [_grant_row(grant) for grant in grants],
        right=("amount", "paid", "priority"),
    )
    stage.screen.line(
        f"{root}/{AGENTS.team} may also owe up to {credits(overdraft)} {CREDIT}s (overdraft); "
        f"the gateway knows it as {gateway_key(root)}"
    )
    stage.sections["customer"] = {
        "root": root,
        "grants": [
            {**asdict(grant), "kind": types_pb2.GrantKind.Name(grant.kind)} for grant in grants
        ],
        "overdraft": overdraft,
    }
    return root


def describe(stage: Stage, workload: Workload, root: str, costs: dict[str, int]) -> None:
    """Say what will be played, and by which rules."""
    minutes = workload.length_us / 60_000_000
    stage.screen.section("The workload", f"{len(workload.scheduled):,} real inference requests")
    stage.screen.table(
        ("trace", "requests", "account", "at list price"),
        [
            (
                trace.of,
                f"{len(workload.requests[name]):,}",
                f"{root}/{trace.team}",
                credits(costs[trace.team]),
            )
            for name, trace in TRACES.items()
        ],
        right=("requests", "at list price"),
    )
    stage.screen.line("The traces name no models; which model served a request is our rule:")
    for trace in TRACES.values():
        stage.screen.line(f"  {trace.team:<8}{trace.rule}")
    stage.screen.line(
        f"Shifted so that the traces end now, order and gaps kept: {minutes:.0f} minutes are "
        f"played in {stage.options.seconds} s"
    )


def _grant_row(grant: PlannedGrant) -> tuple[str, ...]:
    kind = types_pb2.GrantKind.Name(grant.kind).removeprefix("GRANT_KIND_").lower()
    return (
        grant.account,
        f"{grant.key} ({kind})",
        credits(grant.amount),
        f"{credits(grant.paid)} {MONEY}" if grant.paid else "free",
        str(grant.priority),
        f"in {grant.days} d" if grant.days else "never",
        ", ".join(grant.products) or "everything",
    )
