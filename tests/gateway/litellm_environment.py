"""The real LiteLLM in an environment of its own, build/litellm: its needs are at odds with ours.

Installed once for all test processes, from the versions in litellm_requirements.txt.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path

from bench.programs import BUILD, fetched

REQUIREMENTS = Path(__file__).with_name("litellm_requirements.txt")


def litellm_environment() -> Path:
    """The folder of the installed packages."""
    cache = BUILD / "litellm"
    cache.mkdir(parents=True, exist_ok=True)
    asked = f"{sys.version_info[:2]}{REQUIREMENTS.read_text()}"
    folder = cache / hashlib.sha256(asked.encode()).hexdigest()[:12]
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            fresh = folder.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            command += ["--no-compile", "--only-binary", ":all:"]
            command += ["--target", str(fresh), "--requirement", str(REQUIREMENTS)]
            quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
            done = fetched(command, env={**os.environ, **quiet})
            assert done.returncode == 0, f"pip cannot install LiteLLM: {done.stderr[-500:]}"
            fresh.rename(folder)
    return folder
