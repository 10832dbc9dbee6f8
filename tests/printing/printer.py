"""A page in a real browser: what it asks for, says and overflows, and what it is on paper.

Speaks the DevTools protocol over the two pipes that Chromium reads and writes, one message after
the other.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pypdf

from tests.patience import HANGS_S
from tests.printing.chromium import Chromium

A4_INCHES = (210 / 25.4, 297 / 25.4)
LETTER_INCHES = (8.5, 11.0)
WITH_PIPES = """
import fcntl, os, sys
reads, writes, *program = sys.argv[1:]
kept = [fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in (reads, writes)]
for place, pipe in enumerate(kept, start=3):
    os.dup2(pipe, place)
os.execv(program[0], program)
"""


class Printed(NamedTuple):
    """A page as it was rendered and printed."""

    title: str
    requests: list[str]
    """What was asked for, the page itself included."""

    complaints: list[str]
    """Whatever was written to the console, thrown, blocked, or opened as a dialog."""

    overflow_px: int
    """By how much the content is wider than the paper between its margins."""

    pages: list[str]
    """The text of each sheet of paper, without any white space."""

    sizes: list[tuple[float, float]]
    """Of each sheet, in points."""


class Browser:
    """One browser with one tab."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._unread, self._sent, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "Security"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask, and wait for the answer; events until then are kept."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._sent:
                assert "error" not in found, (method, found)
                result: dict[str, Any] = found["result"]
                return result
            self.events.append(found)

    def until(self, event: str) -> None:
        """Wait for an event that has not come yet."""
        while event not in [each["method"] for each in self.events]:
            self.events.append(self._read())

    def evaluate(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression)["result"]["value"]

    def _read(self) -> dict[str, Any]:
        ends = time.monotonic() + HANGS_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._answers], [], [], max(0, ends - time.monotonic()))
            read = os.read(self._answers, 1 << 20) if ready else b""
            assert read, "the browser has ended, or does not answer"
            self._unread += read
        message, _, self._unread = self._unread.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def print(self, page: Path, inches: tuple[float, float]) -> Printed:
        """Show a page as it is printed, and print it."""
        self.events.clear()
        width, height = inches
        self.call("Page.navigate", url=page.as_uri())
        self.until("Page.loadEventFired")
        self.call("Emulation.setEmulatedMedia", media="print")
        inside = round((width - 2 * 18 / 25.4) * 96)  # the page's margins are 18 mm
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=inside, height=1_000, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        overflow = self.evaluate(f"document.documentElement.scrollWidth - {inside}")
        title = self.evaluate("document.title")
        printed = self.call(
            "Page.printToPDF", paperWidth=width, paperHeight=height, preferCSSPageSize=True
        )
        sheets = pypdf.PdfReader(BytesIO(base64.b64decode(printed["data"]))).pages
        return Printed(
            title,
            [
                each["params"]["request"]["url"]
                for each in self.events
                if each["method"] == "Network.requestWillBeSent"
            ],
            [
                json.dumps(each)
                for each in self.events
                if each["method"]
                in (
                    "Log.entryAdded",
                    "Runtime.consoleAPICalled",
                    "Runtime.exceptionThrown",
                    "Page.javascriptDialogOpening",
                )
            ],
            overflow,
            ["".join(each.extract_text().split()) for each in sheets],
            [(float(each.mediabox.width), float(each.mediabox.height)) for each in sheets],
        )


@contextmanager
def browsing(chromium: Chromium, folder: Path) -> Iterator[Browser]:
    """A browser that keeps what it writes in a folder."""
    reads, commands = os.pipe()
    answers, writes = os.pipe()
    program = [str(chromium.program), "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu"]
    program += ["--remote-debugging-pipe", f"--user-data-dir={folder}", "--disable-dev-shm-usage"]
    process = subprocess.Popen(
        [sys.executable, "-c", WITH_PIPES, str(reads), str(writes), *program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(reads, writes),
        env={"HOME": str(folder), "PATH": os.environ["PATH"], **chromium.environment},
    )
    os.close(reads)
    os.close(writes)
    try:
        yield Browser(commands, answers)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(answers)
