"""The last chapters: a missing price, the books, one event explained, speed, and `verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from time import time_ns
from typing import Final

from ledger.client import UsageEvent
from ledger.demo.customer import CREDIT, DISCOUNT, MONEY, Prices, open_rich, rounded
from ledger.demo.explain import document_of, show_event
from ledger.demo.load import LoadOptions, load
from ledger.demo.playing import Player
from ledger.demo.screen import credits
from ledger.demo.stage import Stage
from ledger.demo.workload import CHAT, SOURCE, TRACES
from ledger.v1.report_pb2 import MARGIN_GROUP_ACCOUNT

UNPRICED_CACHE: Final = "groq/llama-3.3-70b-versatile"  # the map prices no cached tokens for it
FLAT_OUT_FAMILIES: Final = 8


async def suspense(stage: Stage, root: str) -> bool:
    """On purpose: a request whose cached tokens have no price; whether it waits."""
    stage.screen.section("A price that is missing, on purpose", "never free, never lost: it waits")
    [outcome] = await stage.client.ingest(
        [
            UsageEvent(
                id=f"{root}/unpriced",
                account=f"{root}/{CHAT.team}",
                quantities={
                    "input_tokens": 4_000,
                    "cached_tokens": 1_024,
                    "output_tokens": 300,
                },
                product=UNPRICED_CACHE,
            )
        ]
    )
    entry = await stage.client.get_usage(f"{root}/{CHAT.team}", SOURCE, f"{root}/unpriced")
    waiting = [line.quantity_name for line in entry.lines if line.unrated_reason]
    stage.screen.line(
        f"{UNPRICED_CACHE}: {outcome.outcome.name}, {outcome.reason}: the map has no price for "
        f"{', '.join(waiting)}; the rest is charged {credits(outcome.charge)}"
    )
    stage.sections["suspense"] = {
        "outcome": outcome.outcome.name,
        "reason": outcome.reason,
        "waiting": waiting,
        "charge": outcome.charge,
    }
    return outcome.outcome.name == "SUSPENSE"


async def balances(stage: Stage, root: str) -> bool:
    """Show what is left; whether no grant paid more than it had."""
    stage.screen.section("Balances")
    rows, document, overdrawn = [], [], []
    for trace in TRACES.values():
        account = f"{root}/{trace.team}"
        reply = await stage.client.balance(account)
        for balance in reply.balances:
            if balance.asset != CREDIT:
                continue
            grants = ", ".join(credits(grant.remaining) for grant in balance.grants)
            overdrawn += [grant.grant_id for grant in balance.grants if grant.remaining < 0]
            rows.append(
                (
                    account,
                    credits(balance.available),
                    credits(balance.granted),
                    credits(balance.pending),
                    credits(balance.advance),
                    grants or "-",
                )
            )
            document.append(
                {
                    "account": account,
                    "available": balance.available,
                    "granted": balance.granted,
                    "pending": balance.pending,
                    "advance": balance.advance,
                }
            )
    figures = ("available", "granted", "pending", "advance")
    stage.screen.table(("account", *figures, "left of each grant"), rows, right=figures)
    stage.sections["balances"] = document
    if overdrawn:
        stage.screen.line(f"OVERDRAWN grants: {', '.join(overdrawn)}", "bold red")
    return not overdrawn


async def margins(stage: Stage, root: str) -> bool:
    """What each team earned and cost; whether any of it has a cost that nobody knows."""
    stage.screen.section("Margin", "revenue recognised and what the providers take, to the unit")
    await stage.ledger.caught_up()
    rows, document = [], []
    by_account = stage.client.get_margin(MARGIN_GROUP_ACCOUNT, account=root, subtree=True)
    async for row in by_account:
        for each in row.earnings.money:
            figures = (each.earned, each.repaid, each.cost, each.margin)
            rows.append(
                (row.group, f"{row.earnings.calls:,}", *[credits(each) for each in figures])
            )
            document.append(
                {
                    "account": row.group,
                    "calls": row.earnings.calls,
                    "unknown_cost_calls": row.earnings.unknown_cost_calls,
                    "asset": each.asset,
                    "earned": each.earned,
                    "repaid": each.repaid,
                    "cost": each.cost,
                    "margin": each.margin,
                }
            )
    columns = ("calls", "earned", "earned by repaid advances", "cost", "margin")
    stage.screen.table(("account", *columns), rows, right=columns)
    stage.screen.line(
        f"in {MONEY}: the providers take {DISCOUNT} of the list price; free grants earn nothing"
    )
    stage.sections["margin"] = document
    return bool(document)


async def trial_balance(stage: Stage) -> bool:
    """Whether debits equal credits."""
    stage.screen.section("Trial balance", "debits = credits, per asset and shard")
    reply = await stage.client.trial_balance()
    figures = ("debits posted", "credits posted", "debits pending", "credits pending")
    stage.screen.table(
        ("asset", "shard", *figures),
        [
            (
                row.asset,
                str(row.shard),
                *(
                    credits(figure)
                    for figure in (
                        row.debits_posted,
                        row.credits_posted,
                        row.debits_pending,
                        row.credits_pending,
                    )
                ),
            )
            for row in reply.rows
            if int(row.debits_posted)
        ],
        right=("shard", *figures),
    )
    stage.screen.line("balanced" if reply.balanced else "NOT BALANCED")
    stage.sections["trial_balance"] = {"balanced": reply.balanced, "rows": len(reply.rows)}
    return reply.balanced


async def one_event(
    stage: Stage, player: Player, prices: Prices, root: str, costs: dict[str, int]
) -> None:
    """The event with which the team's trial grant ran out: two pots paid for it."""
    account = f"{root}/{CHAT.team}"
    event_id = player.crossing(account, rounded(costs[CHAT.team] // 10))
    entry = await stage.client.get_usage(account, SOURCE, event_id)
    stage.screen.section(
        "One event, from usage to the journal",
        "the trial grant ran out with it: two pots paid",
    )
    show_event(stage.screen, entry, prices)
    stage.sections["event"] = document_of(entry)


async def flat_out(stage: Stage, events: int) -> None:
    """A trace again and again, with new ids, as fast as it goes."""
    stage.screen.section("Flat out", "a trace again, with new ids, as fast as it goes")
    run = f"flat-out-{time_ns() // 1_000}"
    accounts = tuple(f"{run}-{number}" for number in range(FLAT_OUT_FAMILIES))
    for account in accounts:
        await open_rich(stage.client, account)
    loaded = await load(
        LoadOptions(
            address=stage.ledger.address,
            workload=CHAT.name,
            events=events,
            accounts=accounts,
            run=run,
        )
    )
    stage.screen.line(
        f"{loaded.events:,} events in {loaded.took_us / 1_000_000:.2f} s: "
        f"{loaded.events_per_s:,} events/s, rated, drawn down and on disk; client, server and "
        "PostgreSQL on this machine"
    )
    stage.sections["flat_out"] = asdict(loaded)


async def verify(stage: Stage) -> bool:
    """Whether everything that was recorded agrees with itself."""
    stage.screen.section("Verify", "hash chain; debits = credits; replayed state = read models")
    caught_up = await stage.ledger.caught_up()
    code, output = await stage.ledger.run("verify", "--json")
    try:
        found = json.loads(output)
    except ValueError:
        found = {"output": output}
    if not caught_up:
        stage.screen.line("the read models are behind the journal still")
    stage.sections["verify"] = {"ok": code == 0, "caught_up": caught_up, "report": found}
    shards = found.get("shards", [])
    stage.screen.line(
        f"{len(shards)} shards, {sum(shard['batches'] for shard in shards):,} journal batches, "
        f"{sum(shard['entries'] for shard in shards):,} entries"
    )
    if code == 0:
        stage.screen.line("verify: ok", "bold green")
    else:
        stage.screen.line(f"verify: FAILED (exit code {code})", "bold red")
        stage.screen.line(output)
    return code == 0
