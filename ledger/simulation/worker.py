"""A worker process: runs seeds one after another and prints one line of JSON for each.

    python -m ledger.simulation.worker seeds FIRST COUNT
    python -m ledger.simulation.worker mutant SEEDS NAME
    python -m ledger.simulation.worker swapped SEEDS NAME...

A mutant is installed before anything of the product is imported, or swapped in where all of it is:
then each has a fork of the process. PYTHONHASHSEED is the caller's business; see `batches`.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any


def main() -> None:
    """See the module."""
    work, *arguments = sys.argv[1:]
    if work == "mutant":
        seeds, name = arguments
        _run_mutant(name, int(seeds))
    elif work == "swapped":
        seeds, *names = arguments
        _run_swapped(names, int(seeds))
    else:
        first, count = map(int, arguments)
        for seed in range(first, first + count):
            _print(_run_seed(seed))


def _run_mutant(name: str, seeds: int) -> None:
    from ledger.simulation.mutants import MUTANTS
    from ledger.simulation.mutation import install

    [mutant] = [each for each in MUTANTS if each.name == name]
    install(mutant)
    _run_until_caught(name, seeds)


def _run_swapped(names: list[str], seeds: int) -> None:
    from ledger.simulation.mutants import MUTANTS
    from ledger.simulation.mutation import swap

    _run_seed(0)  # so that forks import nothing, and make nothing that is made once
    mutants = {each.name: each for each in MUTANTS}
    gc.freeze()
    for name in names:
        child = os.fork()
        if child == 0:
            try:
                swap(mutants[name])
                _run_until_caught(name, seeds)
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"the process of {name!r} ended with {status}")


def _run_until_caught(name: str, seeds: int) -> None:
    from ledger.simulation.mutant_seeds import SEEDS

    for tried, seed in enumerate([SEEDS.get(name, 0), *range(seeds)], start=1):
        found = _run_seed(seed)
        if found["rule"]:
            _print({"mutant": name, "caught": True, "seeds": tried, **found})
            return
    _print({"mutant": name, "caught": False, "seeds": seeds, "rule": "", "detail": ""})


def _run_seed(seed: int) -> dict[str, Any]:
    from ledger.simulation.scenario import draw
    from ledger.simulation.world import run

    verdict = run(draw(seed))
    violation = verdict.violation
    return {
        "seed": seed,
        "digest": verdict.digest,
        "rule": violation.rule.name if violation is not None else "",
        "detail": violation.detail if violation is not None else "",
        "steps": verdict.steps,
        "operations": verdict.operations,
        "entries": verdict.entries,
        "crashes": verdict.crashes,
        "simulated_us": verdict.simulated_us,
    }


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    main()
