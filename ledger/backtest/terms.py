"""Terms that a simulation tries beside a card: extra grants, scaled grants, other limits.

Accounts and assets by number, 0 = every account of the tenant. `place` says where a part stood in
what the caller gave, so that what came of it can be said by that. See `terms_file` for how people
write them, `trying` for what they do in a replay.
"""

from __future__ import annotations

import msgspec

from ledger.core.events import AccountPolicy, GrantKind


class GrantTerms(msgspec.Struct, frozen=True, kw_only=True):
    """A grant that nobody issued. `at_us`: None = where the range begins; `expires_after_us` from
    there, 0 = never."""

    place: str
    account: int = 0
    at_us: int | None = None
    kind: GrantKind
    asset: int
    amount: int
    price_paid: int = 0
    price_asset: int = 0
    priority: int = 0
    expires_after_us: int = 0
    products: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    shared: bool = False


class ScaleTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Grants that are issued in an asset are so many times as large; their price stays."""

    place: str
    account: int = 0
    asset: int
    numerator: int
    denominator: int

    def of(self, amount: int) -> int:
        """The amount, rounded down."""
        return amount * self.numerator // self.denominator


class PolicyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of AccountPolicy with another value, whatever policy the account has."""

    place: str
    account: int = 0
    fields: dict[str, int]

    def of(self, policy: AccountPolicy) -> AccountPolicy:
        """The policy with them; a limit of an overdraft that the account does not have is none."""
        tried = msgspec.structs.replace(policy, **self.fields)
        if tried.overdraft_limit and not tried.overdraft_asset:
            tried = msgspec.structs.replace(tried, overdraft_limit=0)
        return tried


class Terms(msgspec.Struct, frozen=True):
    """All that is tried beside the card. Of scales and policies there is one an account (and
    asset), and one for every account, which comes first."""

    grants: tuple[GrantTerms, ...] = ()
    scales: tuple[ScaleTerms, ...] = ()
    policies: tuple[PolicyTerms, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.grants or self.scales or self.policies)


NO_TERMS = Terms()
