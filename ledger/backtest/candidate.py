"""The cards of a shard's replay: as they were published, but for the candidate.

The candidate prices everything that the card of its name priced in the range, whatever effective
times either has. What older entries name stays to be found: a correction gives back by the rows
that charged, and a hold of before the range expires by the rows of its authorisation.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.core.catalog import Catalog
from ledger.engine.configuration import Configurations
from rating.card import decode_card
from rating.compile import CompiledCard
from rating.versions import CardVersion

UNPUBLISHED: Final = 1 << 30
"""The version of a candidate that was never published: above all that were."""
_ALWAYS_US: Final = 0
_NEVER_AGAIN_US: Final = -1  # in force before any event, and replaced by the candidate since


class Candidate(msgspec.Struct, frozen=True):
    """What is tried instead of the tenant's card `name`: a card's body, or a published version.

    Neither: every card as it was published, which must give what the ledger has.
    """

    tenant: int
    name: str = ""
    body: bytes = b""
    version: int = 0


class Cards:
    """Installs what the journal applies in the catalog of the replay."""

    __slots__ = ("_candidate", "_catalog", "_configurations")

    def __init__(
        self, catalog: Catalog, configurations: Configurations, candidate: Candidate
    ) -> None:
        """All published versions are loaded. Every asset is there at once, for the candidate."""
        self._catalog = catalog
        self._configurations = configurations
        self._candidate = candidate
        for asset in configurations.assets.values():
            catalog.add_asset(asset)
        if candidate.name:
            card = self._card()
            version = CardVersion(card.version, _ALWAYS_US, _ALWAYS_US, card)
            catalog.add_card(candidate.tenant, candidate.name, version)

    def _card(self) -> CompiledCard:
        candidate = self._candidate
        if candidate.body:
            return CompiledCard(decode_card(candidate.body), UNPUBLISHED)
        found = self._configurations.card(candidate.tenant, candidate.version)
        assert found is not None and found[0] == candidate.name, candidate
        return found[1].card

    def apply(self, tenant: int, version: int) -> None:
        """Take in a version as the journal applies it."""
        candidate = self._candidate
        found = self._configurations.card(tenant, version)
        if found is None:  # an asset is there already, and a clock is the journal's to move
            self._configurations.install(self._catalog, tenant, version)
            return
        name, published = found
        if (tenant, name) != (candidate.tenant, candidate.name):
            self._catalog.add_card(tenant, name, published)
        elif version != candidate.version:
            replaced = CardVersion(version, _NEVER_AGAIN_US, _NEVER_AGAIN_US, published.card)
            self._catalog.add_card(tenant, name, replaced)
