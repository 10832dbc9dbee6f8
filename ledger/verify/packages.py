"""Published versions of packages, and the assets that they name: entries of packages go by them."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.core.catalog import asset_number
from ledger.core.packages.packaged import PackageVersion, decode_package
from ledger.engine.configuration import AssetBody
from ledger.journal.configuration import ConfigurationKind

KINDS: Final = (ConfigurationKind.PACKAGE, ConfigurationKind.ASSET)
"""What is read of the configuration."""


class PublishedPackages:
    """Versions by tenant and version of the configuration; assets by tenant and code."""

    __slots__ = ("_assets", "_numbers", "versions")

    def __init__(self) -> None:
        self.versions: dict[tuple[int, int], PackageVersion] = {}
        self._assets: dict[tuple[int, str], int] = {}
        self._numbers: set[int] = set()

    def asset(self, tenant: int, code: str) -> int:
        """The number of an asset; 0 = none."""
        return self._assets.get((tenant, code), 0)

    def has(self, tenant: int, version: int) -> bool:
        """Whether that version was taken in."""
        place = (tenant, version)
        return place in self.versions or asset_number(tenant, version) in self._numbers

    def add_asset(self, tenant: int, code: str, number: int) -> None:
        """Take an asset in."""
        self._assets[tenant, code] = number
        self._numbers.add(number)

    def take(self, tenant: int, version: int, kind: int, body: bytes) -> None:
        """Take a published body of one of KINDS in, whose hash is right."""
        if kind == ConfigurationKind.ASSET:
            code = msgspec.msgpack.decode(body, type=AssetBody).code
            self.add_asset(tenant, code, asset_number(tenant, version))
        elif kind == ConfigurationKind.PACKAGE:
            self.versions[tenant, version] = PackageVersion(version, 0, 0, decode_package(body))
