"""What an operator asks of callers, as settings say it.

Imports nothing that verifies anybody: commands read their settings before they need it, if ever.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

LEEWAY_S_DEFAULT: Final = 30
REFRESH_S_DEFAULT: Final = 60


class Asked(msgspec.Struct, frozen=True):
    """How callers prove who they are.

    `jwks`: file or URL of an issuer's public keys; `certificates`: the file that maps names of
    client certificates; `any_certificate`: without such a file each one is an operator's.
    """

    jwks: str | None = None
    issuer: str = ""
    audience: str = ""
    leeway_s: int = LEEWAY_S_DEFAULT
    refresh_s: int = REFRESH_S_DEFAULT
    certificates: Path | None = None
    any_certificate: bool = False
