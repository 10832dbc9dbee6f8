"""What stands back for a server on the same machine: its projector, its sealer, its price checks.

Linux weighs processes within their session only, where it groups them by session (autogroup), and
such a process has a session of its own: there the session stands back too. So has each process in
which PostgreSQL works for a connection: it does for a process what that did for itself.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Final

AUTOGROUP: Final = Path("/proc/self/autogroup")
_CREDENTIALS: Final = struct.Struct("3i")  # of the other side of a local socket: pid, uid, gid


def stand_back(niceness: int) -> None:
    """Let every other process go first, the more the higher `niceness` is (1 to 19)."""
    os.nice(niceness)
    if os.getsid(0) == os.getpid():  # nobody else is in the session
        with contextlib.suppress(OSError):  # another system, or none is grouped
            AUTOGROUP.write_text(f"{os.nice(0)}")


def backend_stands_back(local: socket.socket, backend: int) -> None:
    """Let the process in which PostgreSQL works for us go behind others as far as we do.

    `local` is our socket to it; where PostgreSQL is elsewhere, or is another's, nothing happens.
    Raises BlockingIOError where it is to be tried again: Linux takes one such change in 0.1 s.
    """
    niceness = os.nice(0)
    if niceness <= 0 or local.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return
    try:
        said = local.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        server, _, _ = _CREDENTIALS.unpack(said)
        if _parent(backend) != server:  # its number is one of another container
            return
        os.setpriority(os.PRIO_PROCESS, backend, niceness)
        if os.getsid(backend) == backend:
            Path(f"/proc/{backend}/autogroup").write_text(f"{niceness}")
    except BlockingIOError:
        raise
    except OSError:
        pass  # not ours, or nothing groups sessions here


def _parent(pid: int) -> int:
    """Raises OSError."""
    _, _, behind_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    return int(behind_name.split()[1])
