"""A time forward or back on a command line."""

from __future__ import annotations

import click

from ledger.cli.clock import Duration


class Shift(click.ParamType[int]):
    """A duration with its sign, as -3d or +90s, in microseconds."""

    name = "shift"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        if value[:1] not in ("+", "-"):
            self.fail(f"{value!r}: write it with its sign, as -3d or +90s", param, ctx)
        moved = Duration().convert(value[1:], param, ctx)
        return -moved if value[0] == "-" else moved
