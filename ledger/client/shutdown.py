"""A signal that ends the process ends the blocks first: what they hold is settled on the way out.

Python turns SIGINT into a cancellation by itself; SIGTERM, which orchestrators send, ends a process
where it stands. Owns the handlers while its block runs; must not decide what ends how.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancelled_by(*signals: signal.Signals) -> Iterator[None]:
    """Cancel the task of this block on the first of these signals; none = SIGTERM.

    In the main thread, on a loop that takes signals. The handlers are the loop's until the block
    ends, and the default ones after it.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    wanted = signals or (signal.SIGTERM,)
    for each in wanted:
        loop.add_signal_handler(each, task.cancel, f"the process received {each.name}")
    try:
        yield
    finally:
        for each in wanted:
            loop.remove_signal_handler(each)
