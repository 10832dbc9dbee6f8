"""Find for each mutant the seed that catches it, and write it down in `mutant_seeds`.

    python -m tests.simulation.seeds [--jobs 2]

Once worlds are drawn otherwise, what was known catches nothing any more: the suite then searches,
which takes minutes. Seeds that still do stay.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from ledger.simulation import mutant_seeds, mutants
from ledger.simulation.batches import run_mutants

TABLE = re.compile(r"^SEEDS: Final\[dict\[str, int\]\] = \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Write down the seeds that catch mutants.")
    parser.add_argument("--jobs", type=int, default=2)
    found = run_mutants(mutants.MUTANTS, parser.parse_args().jobs, watch)
    seeds = dict(mutant_seeds.SEEDS)
    for each in found:
        if not each["caught"]:
            print(f"not caught: {each['mutant']}", file=sys.stderr)
        else:
            if each["seed"] != seeds.get(each["mutant"]):
                print(f"{each['mutant']}: {seeds.get(each['mutant'])} -> {each['seed']}")
            seeds[each["mutant"]] = each["seed"]
    path = Path(mutant_seeds.__file__)
    lines = [f'    "{each.name}": {seeds[each.name]},\n' for each in mutants.MUTANTS]
    table = "SEEDS: Final[dict[str, int]] = {\n" + "".join(lines) + "}\n"
    path.write_text(TABLE.sub(lambda _: table, path.read_text()))
    return 0 if all(each["caught"] for each in found) else 1


def watch(done: int, total: int) -> None:
    print(f"\r{done}/{total}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
