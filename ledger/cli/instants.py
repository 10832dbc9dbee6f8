"""Instants on a command line."""

from __future__ import annotations

import datetime
from typing import Final

import click

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_US: Final = datetime.timedelta(microseconds=1)


class Instant(click.ParamType[int]):
    """A day or an instant, as microseconds since 1970; UTC where no offset is written."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """See click."""
        if isinstance(value, int):
            return value
        try:
            found = datetime.datetime.fromisoformat(value)
            if found.tzinfo is None:
                found = found.replace(tzinfo=datetime.UTC)
            at_us = (found - _EPOCH) // _US
        except (ValueError, OverflowError):
            self.fail(f"{value!r}: write 2026-11-01 or 2026-11-01T12:00:00Z", param, ctx)
        if at_us < 0:
            self.fail(f"{value!r}: nothing was recorded before 1970", param, ctx)
        return at_us
