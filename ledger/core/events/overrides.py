"""Price overrides: what an account pays otherwise than its rate card says."""

from __future__ import annotations

from ledger.core.events.base import Fact
from rating.overrides import NumberedOverride


class PriceOverridesSet(Fact, frozen=True, tag=55):
    """The whole new list of an account; `version` counts from 1 (rule R4).

    An override that stood before keeps its number and the time it was set; the others come into
    force now at the earliest, and what is no longer there ends now. Numbers count up within the
    family. `note` is the digest of the reason and of who asked.
    """

    key: bytes
    account: int
    overrides: tuple[NumberedOverride, ...]
    version: int
    expected_version: int = 0
    note: bytes = b""
    trace: bytes = b""
