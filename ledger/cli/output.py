"""What commands print: for people on a terminal, or one JSON document for scripts.

Results go to standard output; progress, warnings and errors to standard error. Amounts are exact:
integers in minor units and their scale, never floats.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ledger.core.limits import SECOND_US

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.table import Table

    from ledger.cli.screen import PlainConsole

BAR_AFTER_S: Final = 1  # shorter work shows no bar
WIDTH_ELSEWHERE: Final = 200  # into a file or a pipe nothing is folded
LINE_EVERY_S: Final = 5  # where there is no terminal: a line of text so often

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, for scripts."
)


class Failed(click.ClickException):
    """The command could not do it. `message` says what happened and the value, `advice` what to do.

    Exit codes are listed in `drawdown --help`.
    """

    def __init__(self, message: str, advice: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.advice = advice
        self.code = exit_code

    def show(self, file: Any = None) -> None:
        """Print it to standard error."""
        click.echo(f"{click.style('error:', fg='red', bold=True)} {self.message}", err=True)
        if self.advice:
            click.echo(f"       {self.advice}", err=True)


def advice_of(reason: str) -> str:
    """What to do about a refusal with this reason; "" where it is none of ours."""
    from ledger.reasons import REASONS

    row = REASONS.get(reason)
    return f"{row.advice} `drawdown reasons {reason}` says more." if row is not None else ""


def console() -> PlainConsole:
    """Standard output, for tables."""
    from ledger.cli.screen import PlainConsole

    return PlainConsole(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def document_of(message: Message) -> dict[str, Any]:
    """A reply as a document: by its fields' own names, those without a value too."""
    from google.protobuf.json_format import MessageToDict

    document: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document


def say(message: str) -> None:
    """News for a person, on standard error."""
    click.echo(message, err=True)


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns in `right` hold numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        number = column in right
        made.add_column(
            column, justify="right" if number else "left", overflow="fold", no_wrap=number
        )
    return made


def amount(minor: int | str, scale: int) -> str:
    """An exact amount in major units: amount(-1234567, 6) = "-1.234567"; thousands have commas."""
    value = int(minor)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(scale + 1, "0")
    whole, part = (digits[:-scale], digits[-scale:].rstrip("0")) if scale else (digits, "")
    return f"{sign}{int(whole):,}" + (f".{part}" if part else "")


def instant(at_us: int) -> str:
    """Microseconds since the epoch as UTC, "-" for none."""
    if not at_us:
        return "-"
    seconds, micros = divmod(at_us, SECOND_US)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


@contextlib.contextmanager
def progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far things are: call the callback with (what, done, total; 0 = not known).

    A bar on a terminal once it has taken BAR_AFTER_S, a line now and then elsewhere.
    """
    shown = _Bars(unit) if sys.stderr.isatty() else _Lines(unit)
    try:
        yield shown.update
    finally:
        shown.close()


class _Lines:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._next = time.monotonic() + LINE_EVERY_S

    def update(self, what: str, done: int, total: int) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY_S
        of = f" of {total:,}" if total else ""
        say(f"{what}: {done:,}{of} {self._unit}")

    def close(self) -> None:
        """Nothing is open."""


class _Bars:
    """One bar for each `what`; drawn by rich, which throttles itself."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._show_at = time.monotonic() + BAR_AFTER_S
        self._shown = False

    def update(self, what: str, done: int, total: int) -> None:
        if not self._shown:
            if time.monotonic() < self._show_at:
                return
            self._bars.start()
            self._shown = True
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what)
        self._bars.update(self._tasks[what], completed=done, total=total or None)

    def close(self) -> None:
        if self._shown:
            self._bars.stop()
