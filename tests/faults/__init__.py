"""Faults of the real program, by the hundreds."""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # PostgreSQL is started by fork
