"""The demo: a real AI workload, metered, charged and gated, on a ledger of its own.

Starts everything, imports prices, opens a customer, plays an hour of real inference requests while
a gateway asks before each of its own, and ends with the books: balances, trial balance, one event
explained, and `verify`. Owns the order; the chapters are `opening`, `live` and `closing`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic_ns

from ledger.client import DrawdownClient, DrawdownError
from ledger.demo import closing, opening
from ledger.demo.live import live, summarise
from ledger.demo.playing import Workload
from ledger.demo.processes import DemoFailed, Ledger
from ledger.demo.screen import Screen
from ledger.demo.stage import DemoOptions, DemoReport, Stage
from ledger.demo.workload import SOURCE, TRACES

__all__ = ["DemoFailed", "DemoOptions", "DemoReport", "demo", "run_demo"]


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
        report = DemoReport(sections={"server": dict(ledger.ready)})
        try:
            report.ok = await _play(Stage(options, screen, ledger, client, report.sections))
        except (DrawdownError, ExceptionGroup) as error:
            failed = _call_that_failed(error)
            if failed is None:
                raise
            await _end_cancelling()
            raise DemoFailed(f"a call failed: {failed}") from error
    took_us = _now_us() - began_us
    report.sections["took_us"] = took_us
    verdict = "everything adds up" if report.ok else "something is wrong: see above"
    screen.verdict(f"{verdict}, in {took_us / 1_000_000:.0f} s", good=report.ok)
    return report


async def _end_cancelling() -> None:
    """A task group whose body fails beside one of its tasks may leave its own cancellation behind,
    pending or counted (CPython's issue 116720): what follows, which ends processes in its time, is
    not to be cancelled by it. Nobody else cancels what has failed."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)
    while task.cancelling():
        task.uncancel()


async def _play(stage: Stage) -> bool:
    """All chapters in order; whether everything added up."""
    workload = Workload.load(stage.options.rows)
    prices = await opening.prices(stage)
    costs = {
        trace.team: prices.cost(trace, workload.requests[name]) for name, trace in TRACES.items()
    }
    root = await opening.customer(stage, costs)
    opening.describe(stage, workload, root, costs)
    player, story = await live(stage, workload, root, costs)
    exact = summarise(stage, player, story, sum(costs.values()))
    waits = await closing.suspense(stage, root)
    solvent = await closing.balances(stage, root)
    earned = await closing.margins(stage, root)
    balanced = await closing.trial_balance(stage)
    await closing.one_event(stage, player, prices, root, costs)
    if stage.options.flat_out:
        await closing.flat_out(stage, len(workload.scheduled))
    verified = await closing.verify(stage)
    return all((exact, story.complete, waits, solvent, earned, balanced, verified))


def _call_that_failed(error: Exception) -> DrawdownError | None:
    """The client's error, alone or among those of tasks; None where it is something else."""
    if isinstance(error, ExceptionGroup):
        found = (_call_that_failed(each) for each in error.exceptions)
        return next((each for each in found if each is not None), None)
    return error if isinstance(error, DrawdownError) else None


def _now_us() -> int:
    return monotonic_ns() // 1_000
