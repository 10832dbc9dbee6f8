"""Ports of servers that benchmarks and tests start: the kernel hands none of them to others.

A port of its choice (`bind` to 0) may be that of another server, or of any connection, by the time
that a server asks for it. Those below its own range are given in turn, from a random place on, and
each process of the suite has its share.
"""

from __future__ import annotations

import itertools
import os
import random
import socket

FIRST, BEHIND = 10_000, 32_000  # the kernel's own begin at 32,768
_SHARES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OWN = range(FIRST + _SHARE, BEHIND, _SHARES)
_turn = itertools.count(random.SystemRandom().randrange(len(_OWN)))


def free_port() -> int:
    """A loopback port that nobody listens on and that this process hands out once."""
    for _ in _OWN:
        port = _OWN[next(_turn) % len(_OWN)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no port of {FIRST} to {BEHIND - 1} is free on 127.0.0.1")
