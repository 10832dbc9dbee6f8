"""gRPC does not survive a fork: whoever calls in the child is told so, instead of waiting for ever.

A process that has opened a channel has threads of gRPC's, which its children have not. What they
call hangs or crashes there, also on channels of their own. A client that was made before a fork and
not opened is fine.
"""

from __future__ import annotations

import os

_opened_by = 0  # the process that opened channels; 0 = none has
_forked_from = 0  # the process that this one was forked from after it had; 0 = none


def opening() -> None:
    """A channel is to be opened, or used. Raises RuntimeError in a child of one that had."""
    global _opened_by
    if _forked_from:
        raise RuntimeError(
            f"process {os.getpid()} was forked from {_forked_from} after a client was opened "
            "there, and gRPC does not survive that: open clients after the fork, in each process "
            "its own (gunicorn: in post_fork, or with the first request), or start processes by "
            "spawn"
        )
    if not _opened_by:
        _opened_by = os.getpid()


def is_carried() -> bool:
    """Whether this process was forked from one that had opened channels."""
    return _forked_from != 0


def _in_child() -> None:
    global _forked_from
    _forked_from = _forked_from or _opened_by


os.register_at_fork(after_in_child=_in_child)
