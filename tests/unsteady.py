"""Run what failed in a whole run once more, alone: `python -m tests.unsteady CODE`.

Hundreds of tests run real servers on a real clock, and a machine of two busy cores may take all
processes away for seconds. A test that fails beside the others and passes alone does not stop a
release; it is named, since it is a fault all the same: of the test, or of the product where it is
slow. More than a few at once are no chance, and are not run again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

import pytest

FEW: Final = 3


def again(code: int, folder: Path) -> int:
    """An exit code, for the one of a run in `folder`: 0 where it ran to its end, a few failed, and
    each of them passes alone."""
    kept = folder / ".pytest_cache/v/cache/lastfailed"
    failed = sorted(json.loads(kept.read_bytes())) if kept.exists() else []
    if code != pytest.ExitCode.TESTS_FAILED or not 0 < len(failed) <= FEW:
        return code
    print("once more, alone:", *failed, sep="\n  ", flush=True)
    alone = int(pytest.main([*failed, "-n", "0"]))
    if not alone:
        print("UNSTEADY, to be repaired though they pass alone:", *failed, sep="\n  ", flush=True)
    return alone


if __name__ == "__main__":
    sys.exit(again(int(sys.argv[1]), Path.cwd()))
