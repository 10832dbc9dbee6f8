"""What the figures were made on: machine, versions, and whether anything else was running."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

PACKAGES: Final = ("drawdown", "grpcio", "protobuf", "asyncpg", "msgspec", "uvloop", "zstandard")
LOAD: Final = "load_1_min_before"


def machine() -> dict[str, Any]:
    """Processor, cores that we may use, memory, system, load before the start."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        LOAD: round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Python and the packages on the path of an event; the commit of this tree where git knows."""
    found = {"python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    if done.returncode == 0:
        found["commit"] = done.stdout.strip()
    return found


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
