"""A mandate as state: what bounds an account that is an agent's, whether it was revoked, and what
was bought by it."""

from __future__ import annotations

import msgspec

from ledger.core.events import MandateTerms, PurchaseTerms


class Mandate(msgspec.Struct, frozen=True, array_like=True):
    """`granted_at` by the ledger's clock; `revoked_at` 0 = it was not.

    `purchase` None: it buys nothing. `purchased` is money, of all that was requested by its agent
    and those below it, and is paid or still waits for its payment; `pending`, how many of those
    wait.
    """

    terms: MandateTerms
    granted_at: int
    revoked_at: int = 0
    purchase: PurchaseTerms | None = None
    purchased: int = 0
    pending: int = 0

    def over(self, now: int) -> bool:
        """Whether it allows nothing new any more."""
        return bool(self.revoked_at) or 0 < self.terms.expires_at <= now
