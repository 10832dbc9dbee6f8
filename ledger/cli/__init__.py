"""The command line `drawdown`. Read in this order:

    app          the list of commands, what happens to errors, the exit codes
    output       tables, JSON, amounts, progress bars
    screen       names as they stand in the books: none is markup, or a command to a terminal
    remote       how a command reaches a server, and what a failed call means
    database     how a command reaches the books themselves
    one file a command, or a group of commands

Commands hold no logic of the ledger: they ask a server over gRPC, or call one function of another
package. Whatever is slow to import is imported inside the command, so that `--help` is quick.
"""

from __future__ import annotations

import gc
import os
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""What imports make stays, and is most of what a command makes: with Python's 700 the collector
goes through all of it again and again, a sixth of the time in which a server starts."""


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    # gRPC's fork handlers crash the child when PostgreSQL is started (as another user, hence by
    # fork) from a process that serves; we never use gRPC in a forked child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from ledger.cli.app import run

    run()
