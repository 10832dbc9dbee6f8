"""Durations in microseconds, for the modules of the client, which import none of the server's."""

from typing import Final

SECOND_US: Final = 1_000_000
