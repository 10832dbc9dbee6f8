"""What an account, or its package, gives each operation for a budget, as checkpoints keep it.

Plain values, apart from `operations`, which is compiled: a compiled class does not say the types of
its fields, by which msgspec reads them.
"""

from __future__ import annotations

import msgspec

from ledger.core.events import BudgetTerms


class OperationPolicy(msgspec.Struct, frozen=True, array_like=True):
    """What an account gives each operation for a budget, and from when on it stands idle; None = it
    gives none any more, and `version` counts on."""

    version: int
    terms: BudgetTerms | None = None
    idle: int = 0


class PackageOperationPolicy(OperationPolicy, frozen=True, array_like=True):
    """The same that the account's package carries, at a version of that."""

    package: str = ""
