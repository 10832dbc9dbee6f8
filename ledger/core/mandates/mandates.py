"""A mandate as state: what bounds an account that is an agent's, and whether it was revoked."""

from __future__ import annotations

import msgspec

from ledger.core.events import MandateTerms


class Mandate(msgspec.Struct, frozen=True, array_like=True):
    """`granted_at` by the ledger's clock; `revoked_at` 0 = it was not."""

    terms: MandateTerms
    granted_at: int
    revoked_at: int = 0

    def over(self, now: int) -> bool:
        """Whether it allows nothing new any more."""
        return bool(self.revoked_at) or 0 < self.terms.expires_at <= now
