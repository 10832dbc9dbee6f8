"""Compile the pure core with mypyc. Optional: plain Python always works and decides the same.

    python build_compiled.py                        in place, beside the sources
    python build_compiled.py --into build/compiled  into a copy, for PYTHONPATH=build/compiled
    python build_compiled.py --clean                remove what was compiled in place

A compiled module hides its source: compile again after every change, or clean. Only plain slotted
classes are compiled; msgspec Structs are slower there, so events and commands stay Python.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PACKAGES = ("ledger", "rating")
GROUP = "drawdown_core"  # the shared library that the compiled modules are thin doors to
MODULES = (
    "rating/rounding.py",
    "rating/functions.py",
    "rating/row_functions.py",
    "rating/plan.py",
    "rating/compile.py",
    "rating/model_lines.py",
    "rating/price.py",
    "ledger/core/account.py",
    "ledger/core/accounts/accounts.py",
    "ledger/core/accounts/standing.py",
    "ledger/core/admission.py",
    "ledger/core/pricing/aliases.py",
    "ledger/core/books.py",
    "ledger/core/budgets/budget_counts.py",
    "ledger/core/budgets/budget_values.py",
    "ledger/core/budgets/counted_before.py",
    "ledger/core/budgets/budgeting.py",
    "ledger/core/budgets/budgets.py",
    "ledger/core/budgets/operation_budgets.py",
    "ledger/core/budgets/operation_cover.py",
    "ledger/core/budgets/operation_policies.py",
    "ledger/core/budgets/operations.py",
    "ledger/core/catalog.py",
    "ledger/core/pricing/costs.py",
    "ledger/core/applying.py",
    "ledger/core/decide.py",
    "ledger/core/due.py",
    "ledger/core/drawing/drawdown.py",
    "ledger/core/evolve/__init__.py",
    "ledger/core/evolve/accounts.py",
    "ledger/core/evolve/books.py",
    "ledger/core/evolve/budgets.py",
    "ledger/core/evolve/operations.py",
    "ledger/core/evolve/commitments.py",
    "ledger/core/evolve/corrections.py",
    "ledger/core/evolve/gauges.py",
    "ledger/core/evolve/grants.py",
    "ledger/core/evolve/holds.py",
    "ledger/core/evolve/leases.py",
    "ledger/core/evolve/moves.py",
    "ledger/core/evolve/payments.py",
    "ledger/core/evolve/quotes.py",
    "ledger/core/evolve/recurring.py",
    "ledger/core/evolve/suspense.py",
    "ledger/core/evolve/top_ups.py",
    "ledger/core/evolve/usage.py",
    "ledger/core/funding/following.py",
    "ledger/core/metering/gauges.py",
    "ledger/core/metering/gauging.py",
    "ledger/core/funding/grants.py",
    "ledger/core/holdings.py",
    "ledger/core/holds.py",
    "ledger/core/decisions/assessing.py",
    "ledger/core/decisions/capturing.py",
    "ledger/core/decisions/charging.py",
    "ledger/core/decisions/holds.py",
    "ledger/core/decisions/affording.py",
    "ledger/core/decisions/authorizing.py",
    "ledger/core/decisions/checking.py",
    "ledger/core/decisions/debits.py",
    "ledger/core/decisions/operation_draws.py",
    "ledger/core/decisions/operation_holds.py",
    "ledger/core/decisions/policing.py",
    "ledger/core/decisions/reckoning.py",
    "ledger/core/decisions/rule_faults.py",
    "ledger/core/decisions/ruling.py",
    "ledger/core/decisions/shortfall.py",
    "ledger/core/decisions/usual_debits.py",
    "ledger/core/keys.py",
    "ledger/core/leases/lease_operations.py",
    "ledger/core/leases/lease_room.py",
    "ledger/core/leases/leases.py",
    "ledger/core/leases/leasing.py",
    "ledger/core/mandates/buying.py",
    "ledger/core/mandates/mandating.py",
    "ledger/core/opening.py",
    "ledger/core/drawing/paying.py",
    "ledger/core/periods.py",
    "ledger/core/pricing/pricing.py",
    "ledger/core/pricing/quotes.py",
    "ledger/core/pricing/rerate_shares.py",
    "ledger/core/pricing/rerates.py",
    "ledger/core/pricing/scopes.py",
    "ledger/core/shapes.py",
    "ledger/core/family.py",
    "ledger/core/live_timers.py",
    "ledger/core/state.py",
    "ledger/core/timers.py",
    "ledger/core/metering/suspense.py",
    "ledger/core/budgets/lanes.py",
    "ledger/core/budgets/tallies.py",
    "ledger/core/funding/true_ups.py",
    "ledger/core/metering/usage.py",
    "ledger/core/metering/usual.py",
    "ledger/core/metering/waiting.py",
    "ledger/core/windows.py",
)


def compile_in(tree: Path) -> None:
    """Compile the modules of a source tree beside their sources."""
    from mypyc.build import mypycify
    from setuptools import setup

    os.chdir(tree)
    with tempfile.TemporaryDirectory() as scratch:
        modules = mypycify(
            ["--strict", "--config-file=", *MODULES],
            opt_level="3",
            debug_level="0",
            group_name=GROUP,
            target_dir=scratch,
        )
        setup(
            name=GROUP,
            ext_modules=modules,
            script_args=["-q", "build_ext", "-i", "-b", f"{scratch}/lib", "-t", f"{scratch}/temp"],
        )


def copy_sources(into: Path) -> Path:
    """A fresh copy of the packages to compile in."""
    if into.exists():
        shutil.rmtree(into)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, into / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    return into


def clean(tree: Path) -> None:
    """Remove compiled modules from a source tree."""
    libraries = [*tree.glob(f"{GROUP}__mypyc*.so")]
    for module in MODULES:
        libraries += (tree / module).parent.glob(f"{Path(module).stem}.*.so")
    for library in libraries:
        library.unlink()


def main() -> None:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(description="Compile the pure core with mypyc.")
    parser.add_argument(
        "--into", type=Path, help="compile a copy of the packages in this directory"
    )
    parser.add_argument("--clean", action="store_true", help="remove what was compiled in place")
    options = parser.parse_args()
    if options.clean:
        clean(ROOT)
        return
    tree = copy_sources(options.into.resolve()) if options.into else ROOT
    compile_in(tree)
    print(f"compiled {len(MODULES)} modules in {tree}")


if __name__ == "__main__":
    main()
