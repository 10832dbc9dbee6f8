"""Arguments that several commands take."""

from __future__ import annotations

import click


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, each name once. Raises click.UsageError."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name or name in found:
            raise click.UsageError(f"{each!r}: write NAME=VALUE, each name once")
        found[name] = value
    return found


def quantities_of(given: tuple[str, ...]) -> dict[str, int]:
    """NAME=NUMBER of minor units of the meter, each name once. Raises click.UsageError."""
    return {name: _number(name, value) for name, value in pairs(given).items()}


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise click.UsageError(f"{name}={text}: a quantity is a whole number of minor units")
    return int(text)
