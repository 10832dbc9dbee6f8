"""A console that shows what stands in the books as it stands there.

Names are their owners': nothing of them is markup, a picture, or a command to the terminal that
shows them. Texts are plain; what is to be bold is said beside them.
"""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.text import Text

_COMMANDS: Final = [*range(0x20), *range(0x7F, 0xA0)]  # to a terminal
_DIRECTIONS: Final = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""They would have the rest of a line read from the other side."""

_SHOWN: Final = {
    code: chr(code).encode("unicode_escape").decode()
    for code in (*_COMMANDS, *_DIRECTIONS)
    if chr(code) not in "\t\n"
}
_NAMED: Final = {**_SHOWN, ord("\n"): "\\n"}


def visible(text: str) -> str:
    """The text with `\\x1b` in the place of what a terminal would obey."""
    return text.translate(_SHOWN)


def named(text: str) -> str:
    """The same of what stands in a line: it begins no other one."""
    return text.translate(_NAMED)


class PlainConsole(Console):
    """Texts are never markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See Console: a cell of a table, a title, or what is printed."""
        return super().render_str(visible(text), **options)

    def heading(self, text: str, more: str = "") -> None:
        """A line that begins with a name."""
        self.print(Text.assemble((named(text), "bold"), named(more)))
