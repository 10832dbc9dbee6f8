"""Named steps at which a process may be made to fail: for tests of what it leaves behind.

`DRAWDOWN_FAILPOINT=append.sent:3` kills this process with SIGKILL as it reaches that step for the
third time; `append.sent:3:error` makes the I/O there fail instead; a comma separates several. Says
so on stderr as it fails. Read once, at import; what is forked afterwards is armed anew. Without the
variable `reached` does nothing. Steps stand in the layers that do I/O, never in core or engine.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "DRAWDOWN_FAILPOINT"
STDERR: Final = 2

STEPS: Final = (
    "append.before",  # the INSERT of a batch is about to be sent
    "append.sent",  # it is on its way; whether it lands is not known
    "append.durable",  # it is answered, and nobody has been told
    "read.answered",  # a part of the journal is read, and nothing made of it
    "checkpoint.before",  # a checkpoint is about to be written
    "checkpoint.commit",  # all of it is written, and not committed
    "checkpoint.durable",  # it is committed, and not taken in
    "checkpoint.claim",  # a new owner is about to claim the checkpoints
    "lease.beat",  # leases are about to be renewed
    "lease.taken",  # shards were won, and are not open
    "directory.confirm",  # an account is open, and its id only claimed
    "configuration.commit",  # a configuration is written, and not committed
    "projection.commit",  # rows of the read models are written, and not committed
    "seal.before",  # a seal is signed, and not stored
    "migration.commit",  # a migration is applied and written down, and not committed
)


class FailpointUnknown(ValueError):
    """The variable names no step, count or action."""


class Failpoint:
    """One step that fails at its n-th time."""

    def __init__(self, text: str) -> None:
        """`step[:n][:kill|error]`. Raises FailpointUnknown."""
        step, _, rest = text.partition(":")
        count, _, action = rest.partition(":")
        if step not in STEPS or not (count or "1").isdigit() or action not in ("", "kill", "error"):
            raise FailpointUnknown(
                f"{VARIABLE}={text!r}: say step[:n][:kill|error], with a step of {', '.join(STEPS)}"
            )
        self.step = step
        self.left = int(count or "1")
        self.kills = action != "error"

    def reach(self, step: str) -> None:
        """Fail if it is this step's turn. Raises ConnectionError, as a lost connection does."""
        if step != self.step:
            return
        self.left -= 1
        if self.left:
            return
        os.write(STDERR, f"failpoint {step}\n".encode())
        if self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        raise ConnectionError(f"the failpoint {step} was reached")


_failpoints: list[Failpoint] = []


def arm(texts: str) -> None:
    """Fail where the variable's text says, and nowhere else. Raises FailpointUnknown."""
    _failpoints[:] = [Failpoint(text) for text in texts.split(",") if text]


def armed() -> bool:
    """Whether any step fails."""
    return bool(_failpoints)


def reached(step: str) -> None:
    """A named step is reached."""
    for failpoint in _failpoints:
        failpoint.reach(step)


arm(os.environ.get(VARIABLE, ""))
