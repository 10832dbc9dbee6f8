"""What commands show of names: as they are, whatever their owners put into them."""

from __future__ import annotations

import io

import pytest

from ledger.cli.output import table
from ledger.cli.screen import PlainConsole, visible


def shown(*names: str) -> str:
    out = io.StringIO()
    console = PlainConsole(file=out, width=200)
    listed = table(f"of {names[0]}", "account", "product")
    for name in names:
        listed.add_row(name, "chat")
        console.print(name)
        console.heading(name, f" in {name}")
    console.print(listed)
    return out.getvalue()


@pytest.mark.parametrize("name", ["acme[eu]", "[/x]", "[red]acme[/red]", "a:cat:b", "[link=x]y"])
def test_no_name_is_markup_or_a_picture(name: str):
    """A name such as [/x] ended every command that listed it; acme[eu] was shown as acme."""
    assert shown(name).count(name) == 5


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("\x1b[2Jacme", "\\x1b[2Jacme"),
        ("acme\r\x9b1mother", "acme\\r\\x9b1mother"),
        ("acme\u202erehto", "acme\\u202erehto"),
    ],
)
def test_no_name_is_a_command_to_the_terminal(name: str, instead: str):
    assert visible(name) == instead
    said = shown(name)
    assert said.count(instead) == 5 and not {"\x1b", "\x9b", "\r", "\u202e"} & set(said)


def test_texts_without_any_of_that_stay_as_they_are():
    assert visible("Ünïcödé 名前\t👩‍👩‍👧\n") == "Ünïcödé 名前\t👩‍👩‍👧\n"
