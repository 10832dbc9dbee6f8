"""The processes of a measurement: reference servers and load callers, started, awaited, ended.

Everything started here ends with the `with` block, whatever happens in it. Loopback only.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Final

import msgspec

from bench.callers import Plan, Result
from bench.gateway_callers import GatewayPlan, GatewayResult
from bench.history import Fill, Filled
from bench.plain_postgres.plan import PostgresPlan
from bench.ports import free_port

READY_TIMEOUT_S: Final = 300
RUN_TIMEOUT_S: Final = 420
FILL_TIMEOUT_S: Final = 3_600
STOP_TIMEOUT_S: Final = 30


def free_address() -> str:
    """A loopback address that nobody listens on just now."""
    return f"127.0.0.1:{free_port()}"


class Reference:
    """A reference server that runs: its address and process id."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self.pid = pid


@contextlib.contextmanager
def reference(module: str) -> Iterator[Reference]:
    """`python -m MODULE ADDRESS` until the block ends."""
    address = free_address()
    process = spawn([module, address])
    try:
        _expect(process, "ready", READY_TIMEOUT_S)
        yield Reference(address, process.pid)
    finally:
        end(process)


def call(plan: Plan, callers: int = 1, module: str = "bench.callers") -> list[Result]:
    """One run of load callers: each loads its template, then all go at once."""
    processes = [spawn([module]) for _ in range(callers)]
    try:
        for index, process in enumerate(processes):
            own = msgspec.structs.replace(plan, tag=f"{plan.tag[:7]}{index}")
            _write(process, msgspec.json.encode(own))
        for process in processes:
            _expect(process, "ready", READY_TIMEOUT_S)
        for process in processes:
            _write(process, b"go")
        lines = [wait_line(process, RUN_TIMEOUT_S) for process in processes]
        return [msgspec.json.decode(line, type=Result) for line in lines]
    finally:
        for process in processes:
            end(process)


def call_postgres(plan: PostgresPlan) -> Result:
    """One run of the usual alternative, seeding included."""
    process = spawn(["bench.plain_postgres"])
    try:
        _write(process, msgspec.json.encode(plan))
        _expect(process, "ready", READY_TIMEOUT_S)
        _write(process, b"go")
        return msgspec.json.decode(wait_line(process, RUN_TIMEOUT_S), type=Result)
    finally:
        end(process)


def call_gateway(plan: GatewayPlan) -> GatewayResult:
    """One run of a gateway's caller."""
    process = spawn(["bench.gateway_callers"])
    try:
        _write(process, msgspec.json.encode(plan))
        _expect(process, "ready", READY_TIMEOUT_S)
        _write(process, b"go")
        return msgspec.json.decode(wait_line(process, RUN_TIMEOUT_S), type=GatewayResult)
    finally:
        end(process)


def fill(plans: Sequence[Fill]) -> list[Filled]:
    """Fill shards, a process a plan, all at the same time."""
    processes = [spawn(["bench.history"]) for _ in plans]
    try:
        for process, plan in zip(processes, plans, strict=True):
            _write(process, msgspec.json.encode(plan))
        lines = [wait_line(process, FILL_TIMEOUT_S) for process in processes]
        return [msgspec.json.decode(line, type=Filled) for line in lines]
    finally:
        for process in processes:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, then ask, then kill; it is gone afterwards."""
    assert process.stdin is not None
    for stop in (process.stdin.close, process.terminate, process.kill):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def spawn(
    arguments: list[str],
    stderr: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """`python -m` with those arguments, its input and output held by us."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment,
    )


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def _expect(process: subprocess.Popen[bytes], word: str, timeout_s: int) -> None:
    line = wait_line(process, timeout_s).strip().decode()
    if line != word:
        raise RuntimeError(f"process {process.pid} says {line!r} where {word!r} was expected")


def wait_line(process: subprocess.Popen[bytes], timeout_s: int) -> bytes:
    """Its next line. Raises RuntimeError where it ends or stays silent."""
    assert process.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    reader = threading.Thread(target=_read_line, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        line = lines.get(timeout=timeout_s)
    except queue.Empty:
        raise RuntimeError(f"process {process.pid} was silent for {timeout_s} s") from None
    if not line:
        raise RuntimeError(f"process {process.pid} ended with {process.wait()}")
    return line


def _read_line(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    lines.put(stream.readline())
