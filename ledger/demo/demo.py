"""The demo: a real AI workload, metered, charged and gated, on a ledger of its own.

Starts everything, imports prices, opens a customer, plays an hour of real inference requests while
a gateway asks before each of its own, and ends with the books: balances, trial balance, one event
explained, and `verify`. Order and words only; each part is a module beside this one.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any, Final

from ledger.client import DrawdownClient, UsageEvent
from ledger.demo.customer import (
    CARD,
    CREDIT,
    MONEY,
    PlannedGrant,
    Prices,
    gateway_key,
    issue,
    open_family,
    open_rich,
    plan_grants,
    publish_prices,
    rounded,
)
from ledger.demo.explain import document_of, show_event
from ledger.demo.gateway import Gateway, GatewayStory, Turn
from ledger.demo.load import LoadOptions, load
from ledger.demo.playing import Player, Workload
from ledger.demo.processes import DemoFailed, Ledger
from ledger.demo.screen import Live, Screen, clock, credits
from ledger.demo.workload import AGENTS, CHAT, SOURCE, TRACES
from ledger.v1 import types_pb2

UNPRICED_CACHE: Final = "groq/llama-3.3-70b-versatile"  # the map prices no cached tokens for it
FLAT_OUT_FAMILIES: Final = 8


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How much to show. The defaults take about 40 seconds."""

    seconds: int = 20
    """The hour of the traces is played in so long."""
    rows: int = 0
    """Only so many requests of each trace; 0 = all 40,216."""
    data_dir: Path | None = None
    """Keep the books here; None = a temporary directory."""
    database_url: str | None = None
    """Use this PostgreSQL instead of one of our own."""
    flat_out: bool = True
    """Also send the traces once as fast as possible."""

    def __post_init__(self) -> None:
        """Raises ValueError with the option and its value."""
        if self.seconds < 1:
            raise ValueError(f"seconds is 1 or more, not {self.seconds}")
        if self.rows < 0:
            raise ValueError(f"rows is 0 or more, not {self.rows}")


@dataclass
class DemoReport:
    """The summary; `ok` only if the books balance, the story is whole and verify found nothing."""

    ok: bool = False
    sections: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {"ok": self.ok, **self.sections}


def run_demo(options: DemoOptions, *, quiet: bool = False) -> DemoReport:
    """Run it to its end. `quiet`: print nothing. Raises DemoFailed, DrawdownError."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(demo(options, Screen(quiet=quiet)))


async def demo(options: DemoOptions, screen: Screen) -> DemoReport:
    """The same on a running loop."""
    began_us = _now_us()
    screen.title("Drawdown: a real AI workload, metered, charged and gated")
    screen.section("Start", "PostgreSQL, the server, and its projector as a process of its own")
    async with (
        Ledger(options.data_dir, options.database_url) as ledger,
        DrawdownClient(ledger.address, source=SOURCE) as client,
    ):
        screen.line(f"gRPC on {ledger.address}, {ledger.ready['shards']} shards")
        screen.line(f"PostgreSQL {ledger.database}{' (temporary)' if ledger.temporary else ''}")
        screen.line(f"ready after {(_now_us() - began_us) / 1_000_000:.1f} s")
        report = await _Demo(options, screen, ledger, client).run()
    took_us = _now_us() - began_us
    report.sections["took_us"] = took_us
    verdict = "everything adds up" if report.ok else "something is wrong: see above"
    screen.verdict(f"{verdict}, in {took_us / 1_000_000:.0f} s", good=report.ok)
    return report


class _Demo:
    def __init__(
        self, options: DemoOptions, screen: Screen, ledger: Ledger, client: DrawdownClient
    ) -> None:
        self._options = options
        self._screen = screen
        self._ledger = ledger
        self._client = client
        self._report = DemoReport()
        self._sections = self._report.sections
        self._sections["server"] = dict(ledger.ready)

    async def run(self) -> DemoReport:
        workload = Workload.load(self._options.rows)
        prices = await self._prices()
        costs = {
            trace.team: prices.cost(trace, workload.requests[name])
            for name, trace in TRACES.items()
        }
        root = await self._customer(costs)
        self._show_workload(workload, root, costs)
        player, story = await self._live(workload, root, costs)
        exact = self._show_live(player, story, sum(costs.values()))
        waits = await self._suspense(root)
        solvent = await self._balances(root)
        balanced = await self._trial_balance()
        await self._one_event(player, prices, root, costs)
        if self._options.flat_out:
            await self._flat_out(workload)
        verified = await self._verify()
        self._report.ok = all((exact, story.complete, waits, solvent, balanced, verified))
        return self._report

    # -- before ------------------------------------------------------------------------------------

    async def _prices(self) -> Prices:
        self._screen.section("Prices", "the public LLM price map as a rate card, in one command")
        prices = await publish_prices(self._client)
        self._screen.line(
            f'{prices.models:,} models, {prices.rows:,} price rows: card "{CARD}" version '
            f"{prices.version}"
        )
        self._screen.line(f"charges {CREDIT}s: 1 {CREDIT} = 1 US dollar of list price")
        self._sections["prices"] = {
            "card": CARD,
            "version": prices.version,
            "models": prices.models,
            "rows": prices.rows,
        }
        return prices

    async def _customer(self, costs: dict[str, int]) -> str:
        root = await open_family(self._client, costs[AGENTS.team])
        now_us = time_ns() // 1_000
        grants = plan_grants(root, costs)
        for grant in grants:
            await issue(self._client, grant, now_us)
        overdraft = rounded(costs[AGENTS.team] // 10)
        self._screen.section("A customer", f"{root} and its teams, each with grants of its own")
        self._screen.table(
            ("account", "grant", "amount", "paid", "priority", "expires", "pays for"),
            [self._grant_row(grant) for grant in grants],
            right=("amount", "paid", "priority"),
        )
        self._screen.line(
            f"{root}/{AGENTS.team} may also owe up to {credits(overdraft)} {CREDIT}s (overdraft); "
            f"the gateway knows it as {gateway_key(root)}"
        )
        self._sections["customer"] = {
            "root": root,
            "grants": [
                {**asdict(grant), "kind": types_pb2.GrantKind.Name(grant.kind)} for grant in grants
            ],
            "overdraft": overdraft,
        }
        return root

    def _grant_row(self, grant: PlannedGrant) -> tuple[str, ...]:
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

    def _show_workload(self, workload: Workload, root: str, costs: dict[str, int]) -> None:
        minutes = workload.length_us / 60_000_000
        self._screen.section("The workload", f"{len(workload.scheduled):,} real inference requests")
        self._screen.table(
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
        self._screen.line("The traces name no models; which model served a request is our rule:")
        for trace in TRACES.values():
            self._screen.line(f"  {trace.team:<8}{trace.rule}")
        self._screen.line(
            f"Shifted so that the traces end now, order and gaps kept: {minutes:.0f} minutes are "
            f"played in {self._options.seconds} s"
        )

    # -- live --------------------------------------------------------------------------------------

    async def _live(
        self, workload: Workload, root: str, costs: dict[str, int]
    ) -> tuple[Player, GatewayStory]:
        self._screen.section(
            "Live", "usage streams in; a gateway asks before each request of its own"
        )
        with Live(self._screen, len(workload.scheduled)) as live:

            def told() -> None:
                charged = sum(player.tally.charges.values())
                live.update(player.tally.events, charged, player.tally.percentile_us(50))

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
                return amount, await issue(self._client, bought, time_ns() // 1_000)

            player = Player(self._client, told)
            gateway = Gateway(
                self._client,
                gateway_key(root),
                AGENTS.models[0],
                now_us=lambda: time_ns() // 1_000,
                top_up=top_up,
                told=lambda turn: live.news(_sentence(turn), _STYLES.get(turn.what, "")),
            )
            over = asyncio.Event()
            seconds_us = self._options.seconds * 1_000_000
            async with asyncio.TaskGroup() as both:
                asking = both.create_task(
                    gateway.run(over, max(seconds_us // 100, 20_000), seconds_us // 10)
                )
                await player.play(workload, root, root, self._options.seconds)
                over.set()
        return player, asking.result()

    def _show_live(self, player: Player, story: GatewayStory, expected: int) -> bool:
        tally = player.tally
        charged = tally.charges[CREDIT, 9]
        rate = tally.events * 1_000_000 // max(player.took_us, 1)
        outcomes = ", ".join(f"{count:,} {name}" for name, count in tally.outcomes.items())
        exact = charged == expected and tally.outcomes["APPLIED"] == tally.events
        self._screen.line(
            f"{tally.events:,} requests in {player.took_us / 1_000_000:.1f} s ({rate:,}/s): "
            f"{outcomes}"
        )
        self._screen.line(
            f"usage in to outcome back, durable: p50 {tally.percentile_us(50) / 1_000:.1f} ms, "
            f"p99 {tally.percentile_us(99) / 1_000:.1f} ms"
        )
        self._screen.line(
            f"charged {credits(charged)} {CREDIT}s; the list prices, computed apart from the "
            f"ledger: {credits(expected)}" + ("" if exact else "  DIFFERENT")
        )
        if tally.over_limit:
            self._screen.line(
                f"{tally.over_limit:,} requests had run beyond the overdraft: recorded usage is "
                "never refused, it is owed"
            )
        decisions = ", ".join(f"{count} {name}" for name, count in story.decisions.items())
        self._screen.line(
            f"gateway: {decisions}; {credits(story.charged)} {CREDIT}s captured of "
            f"{credits(story.held)} held"
        )
        self._sections["live"] = {
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
        self._sections["gateway"] = story.document()
        return exact

    # -- after -------------------------------------------------------------------------------------

    async def _suspense(self, root: str) -> bool:
        """On purpose: a request whose cached tokens have no price."""
        self._screen.section(
            "A price that is missing, on purpose", "never free, never lost: it waits"
        )
        [outcome] = await self._client.ingest(
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
        entry = await self._client.get_usage(f"{root}/{CHAT.team}", SOURCE, f"{root}/unpriced")
        waiting = [line.quantity_name for line in entry.lines if line.unrated_reason]
        self._screen.line(
            f"{UNPRICED_CACHE}: {outcome.outcome.name}, {outcome.reason}: the map has no price for "
            f"{', '.join(waiting)}; the rest is charged {credits(outcome.charge)}"
        )
        self._sections["suspense"] = {
            "outcome": outcome.outcome.name,
            "reason": outcome.reason,
            "waiting": waiting,
            "charge": outcome.charge,
        }
        return outcome.outcome.name == "SUSPENSE"

    async def _balances(self, root: str) -> bool:
        """Whether no grant paid more than it had."""
        self._screen.section("Balances")
        rows, document, overdrawn = [], [], []
        for trace in TRACES.values():
            account = f"{root}/{trace.team}"
            reply = await self._client.balance(account)
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
        self._screen.table(("account", *figures, "left of each grant"), rows, right=figures)
        self._sections["balances"] = document
        if overdrawn:
            self._screen.line(f"OVERDRAWN grants: {', '.join(overdrawn)}", "bold red")
        return not overdrawn

    async def _trial_balance(self) -> bool:
        self._screen.section("Trial balance", "debits = credits, per asset and shard")
        reply = await self._client.trial_balance()
        figures = ("debits posted", "credits posted", "debits pending", "credits pending")
        self._screen.table(
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
        self._screen.line("balanced" if reply.balanced else "NOT BALANCED")
        self._sections["trial_balance"] = {"balanced": reply.balanced, "rows": len(reply.rows)}
        return reply.balanced

    async def _one_event(
        self, player: Player, prices: Prices, root: str, costs: dict[str, int]
    ) -> None:
        """The event with which the team's trial grant ran out: two pots paid for it."""
        account = f"{root}/{CHAT.team}"
        event_id = player.crossing(account, rounded(costs[CHAT.team] // 10))
        entry = await self._client.get_usage(account, SOURCE, event_id)
        self._screen.section(
            "One event, from usage to the journal",
            "the trial grant ran out with it: two pots paid",
        )
        show_event(self._screen, entry, prices)
        self._sections["event"] = document_of(entry)

    async def _flat_out(self, workload: Workload) -> None:
        """A trace again and again, with new ids, as fast as it goes."""
        self._screen.section("Flat out", "a trace again, with new ids, as fast as it goes")
        run = f"flat-out-{time_ns() // 1_000}"
        accounts = tuple(f"{run}-{number}" for number in range(FLAT_OUT_FAMILIES))
        for account in accounts:
            await open_rich(self._client, account)
        loaded = await load(
            LoadOptions(
                address=self._ledger.address,
                workload=CHAT.name,
                events=len(workload.scheduled),
                accounts=accounts,
                run=run,
            )
        )
        self._screen.line(
            f"{loaded.events:,} events in {loaded.took_us / 1_000_000:.2f} s: "
            f"{loaded.events_per_s:,} events/s, rated, drawn down and on disk; client, server and "
            "PostgreSQL on this machine"
        )
        self._sections["flat_out"] = asdict(loaded)

    async def _verify(self) -> bool:
        self._screen.section("Verify", "hash chain; debits = credits; replayed state = read models")
        caught_up = await self._ledger.caught_up()
        code, output = await self._ledger.run("verify", "--json")
        try:
            found = json.loads(output)
        except ValueError:
            found = {"output": output}
        if not caught_up:
            self._screen.line("the read models are behind the journal still")
        self._sections["verify"] = {"ok": code == 0, "caught_up": caught_up, "report": found}
        shards = found.get("shards", [])
        self._screen.line(
            f"{len(shards)} shards, {sum(shard['batches'] for shard in shards):,} journal batches, "
            f"{sum(shard['entries'] for shard in shards):,} entries"
        )
        if code == 0:
            self._screen.line("verify: ok", "bold green")
        else:
            self._screen.line(f"verify: FAILED (exit code {code})", "bold red")
            self._screen.line(output)
        return code == 0


_STYLES: Final = {"ALLOW": "green", "ALLOW_OVERDRAFT": "yellow", "DENY": "red", "TOP_UP": "bold"}


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


def _now_us() -> int:
    return monotonic_ns() // 1_000


__all__ = ["DemoFailed", "DemoOptions", "DemoReport", "demo", "run_demo"]
