"""How long tests wait for what must come. Speed is never asserted: a machine may be busy."""

from typing import Final

HANGS_S: Final = 120
"""What takes longer has stopped for ever."""
