"""`drawdown simulate`: the whole ledger in a world that fails, one seed a world."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.cli.output import Failed, json_option, print_json, progress, say

if TYPE_CHECKING:
    from ledger.simulation.batches import Report

BROKEN: Final = 4  # the exit code
JOBS_DEFAULT: Final = 2


class SeedRange(click.ParamType[tuple[int, int]]):
    """A..B, both included."""

    name = "A..B"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """See click."""
        if isinstance(value, tuple):
            return value
        first, dots, last = str(value).partition("..")
        if not dots or not first.isdigit() or not last.isdigit() or int(first) > int(last):
            self.fail(f"{value!r} is no range of seeds: write A..B, as in 0..299", param, ctx)
        return int(first), int(last)


@click.command(short_help="Run the ledger in a simulated world of faults, by seed.")
@click.option("--seed", type=click.IntRange(0), help="One seed; shrinks and tells what it breaks.")
@click.option("--seeds", type=SeedRange(), help="Many seeds, both ends included.")
@click.option(
    "--mutants", is_flag=True, help="Also run every deliberate fault; all must be caught."
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=JOBS_DEFAULT, help="Processes.",
    show_default=True,
)  # fmt: skip
@click.option(
    "--results", type=click.Path(dir_okay=False, path_type=Path),
    help="Put the figures into this JSON file, beside what stands there.",
)  # fmt: skip
@json_option
def simulate(
    seed: int | None,
    seeds: tuple[int, int] | None,
    mutants: bool,
    jobs: int,
    results: Path | None,
    as_json: bool,
) -> None:
    """The real core, writers, projector and client on virtual time, with faults from a seed.

    \b
    Messages are lost, doubled and late; servers are killed at any await, stopped and woken up;
    commits land late, twice asked, or nobody knows; clocks jump. What clients saw and the journal
    are checked against a small naive model. The same seed always runs the same way.
    Ends with 4 where a rule is broken or a deliberate fault is not caught.
    """
    if seed is not None:
        if seeds is not None or mutants:
            raise click.UsageError("--seed stands alone; --seeds and --mutants go together")
        _one(seed, as_json)
        return
    if seeds is None and not mutants:
        raise click.UsageError("say --seed N, --seeds A..B or --mutants")
    document = _many(seeds, mutants, jobs)
    if results is not None:
        from ledger.simulation.results import record_results

        kept = ("seeds_run", "lost", "double_counted", "mutants_caught", "mutants_total")
        figures = {key: document[key] for key in kept if key in document}
        record_results(results, "simulate", figures)
    if as_json:
        print_json(document)
    else:
        _print(document)
    missed = [each["mutant"] for each in document.get("mutants", ()) if not each["caught"]]
    if document.get("failures") or missed:
        first = document["failures"][0]["seed"] if document.get("failures") else None
        raise Failed(
            f"simulate: {len(document.get('failures', ()))} seeds broke a rule, "
            f"{len(missed)} deliberate faults were not caught",
            f"`drawdown simulate --seed {first}` tells the history" if first is not None else "",
            exit_code=BROKEN,
        )


def _many(seeds: tuple[int, int] | None, mutants: bool, jobs: int) -> dict[str, Any]:
    from ledger.simulation.batches import run_mutants, run_seeds
    from ledger.simulation.mutants import MUTANTS

    document: dict[str, Any] = {}
    if seeds is not None:
        with progress("seeds") as watch:
            report: Report = run_seeds(
                *seeds, jobs, lambda done, total: watch("seeds", done, total)
            )
        document |= report.document()
    if mutants:
        with progress("mutants") as watch:
            found = run_mutants(MUTANTS, jobs, lambda done, total: watch("mutants", done, total))
        document["mutants"] = found
        document["mutants_caught"] = sum(each["caught"] for each in found)
        document["mutants_total"] = len(found)
    return document


def _print(document: dict[str, Any]) -> None:
    if "seeds_run" in document:
        click.echo(
            f"{document['seeds_run']:,} seeds, {document['operations']:,} operations, "
            f"{document['entries']:,} entries, {document['crashes']:,} kills, "
            f"{document['simulated_s']:,} s simulated; {document['lost']} lost, "
            f"{document['double_counted']} counted twice, {len(document['failures'])} broken"
        )
    for failure in document.get("failures", ()):
        click.echo(f"seed {failure['seed']}: {failure['rule']}: {failure['detail']}")
    for each in document.get("mutants", ()):
        how = f"{each['rule']}, seed {each['seed']}" if each["caught"] else "NOT CAUGHT"
        click.echo(f"mutant {each['mutant']}: {how}")
    if "mutants_total" in document:
        click.echo(f"{document['mutants_caught']} of {document['mutants_total']} mutants caught")


def _one(seed: int, as_json: bool) -> None:
    """One seed in a process whose PYTHONHASHSEED is the seed's."""
    from ledger.simulation.scenario import draw, hash_seed_of

    wanted = str(hash_seed_of(seed))
    if os.environ.get("PYTHONHASHSEED") != wanted:
        os.environ["PYTHONHASHSEED"] = wanted
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "ledger.cli", *sys.argv[1:]])
    from ledger.simulation.shrink import Shrinker, told
    from ledger.simulation.world import run

    scenario = draw(seed)
    verdict = run(scenario)
    document: dict[str, Any] = {
        "seed": seed,
        "digest": verdict.digest,
        "steps": verdict.steps,
        "entries": verdict.entries,
        "crashes": verdict.crashes,
        "rule": "",
    }
    if verdict.violation is not None:
        say(f"seed {seed}: {verdict.violation}; looking for a shorter history ...")
        shrinker = Shrinker(scenario, verdict)
        shrinker.shrink()
        document["rule"] = verdict.violation.rule.name
        document["detail"] = verdict.violation.detail
        document["history"] = told(shrinker.best, shrinker.verdict)
    if as_json:
        print_json(document)
    elif verdict.violation is None:
        click.echo(
            f"seed {seed}: every rule held; {verdict.entries} entries, {verdict.crashes} kills, "
            f"{verdict.steps} steps, digest {verdict.digest}"
        )
    else:
        click.echo("\n".join(document["history"]))
    if verdict.violation is not None:
        raise Failed(f"seed {seed} breaks {verdict.violation.rule.name}", exit_code=BROKEN)
