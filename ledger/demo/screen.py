"""What the demo shows: sections, tables and a live line; on a terminal and without one.

Only words and layout. Amounts are exact, printed from integers; a terminal gets a bar that moves, a
pipe a line now and then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ledger.cli.output import amount, table
from ledger.demo.customer import CREDIT, SCALE

WIDTH_MIN: Final = 100
LINE_EVERY_S: Final = 2


def credits(minor: int | str) -> str:
    """An amount in credits, to four places, towards zero: for people."""
    return places(minor, SCALE, 4)


def places(minor: int | str, scale: int, shown: int) -> str:
    """An amount in major units with at most `shown` decimals; the rest is cut off."""
    value = int(minor)
    if scale > shown:
        step = 10 ** (scale - shown)
        value = value // step * step if value >= 0 else -(-value // step * step)
    return amount(value, scale)


def clock(at_us: int) -> str:
    """The time of day in UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(at_us // 1_000_000))


class Screen:
    """Sections are numbered as they come."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(highlight=False, quiet=quiet)
        if not self.console.is_terminal and self.console.width < WIDTH_MIN:
            self.console.width = WIDTH_MIN
        self._sections = 0

    def title(self, text: str) -> None:
        """The first line."""
        self.console.print(f"[bold]{text}[/]")

    def section(self, title: str, note: str = "") -> None:
        """Begin a section."""
        self._sections += 1
        self.console.print()
        tail = f"  [dim]{note}[/]" if note else ""
        self.console.print(f"[bold cyan]{self._sections}  {title}[/]{tail}")

    def line(self, text: str, style: str = "") -> None:
        """A line of a section."""
        self.console.print(Padding(Text(text, style=style), (0, 0, 0, 3), expand=False))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        right: Sequence[str] = (),
    ) -> None:
        """A table of a section."""
        made = table("", *columns, right=right)
        for row in rows:
            made.add_row(*row)
        self.console.print(made)

    def verdict(self, text: str, *, good: bool) -> None:
        """The last line."""
        self.console.print()
        self.console.print(text, style="bold green" if good else "bold red", markup=False)


class Live:
    """The live line of a section; a context manager. `news` prints above it."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._screen = screen
        self._total = total
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._next = time.monotonic() + LINE_EVERY_S
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        if self._screen.console.is_terminal:
            self._bar = Progress(
                TextColumn("  "),
                BarColumn(bar_width=28),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[text]}"),
                console=self._screen.console,
                refresh_per_second=8,
            )
            self._task = self._bar.add_task("", total=self._total, text="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, charged: int, p50_us: int) -> None:
        """How far it is."""
        rate = int(done / max(time.monotonic() - self._began, 0.001))
        text = (
            f"{done:>6,} requests  {rate:,}/s  {credits(charged)} {CREDIT}s charged  "
            f"p50 {p50_us // 1_000} ms"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=text)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY_S
            self._screen.line(f"{done * 100 // max(self._total, 1):>3} %  {text}")

    def news(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self._screen.line(text, style)
