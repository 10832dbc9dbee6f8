"""The server's wheel needs the client's, of the same version: each file is in one of the two.

An installation for editing has the sources of both from this folder and needs no second one.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientOfTheSameVersion(BuildHookInterface[Any]):
    """Adds the client to what the wheel depends on."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build."""
        if version == "standard" and self.target_name == "wheel":
            build_data["dependencies"].append(f"drawdown-client=={self.metadata.version}")
