"""Policies of decisions as state: the rules of an account, and whose count for it.

An account's own count; where it has none, those that its package carries; else those of the nearest
account above it that has any. Only `evolve` changes them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.core.events import PolicyRule


class OwnRules(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What an account was given itself, `version` counting on after a removal, and what its
    package carries."""

    version: int = 0
    rules: tuple[PolicyRule, ...] = ()
    package: str = ""
    package_version: int = 0
    packaged: tuple[PolicyRule, ...] = ()


NO_RULES: Final = OwnRules()


class StandingRules:
    """Rules that count for an account and those below it: whose they are, at which version; of
    which package, "" = the account's own."""

    __slots__ = ("account", "package", "rules", "version")

    def __init__(
        self, account: int, version: int, rules: tuple[PolicyRule, ...], package: str = ""
    ) -> None:
        self.account = account
        self.version = version
        self.rules = rules
        self.package = package


def standing_of(account: int, own: OwnRules) -> StandingRules | None:
    """The rules that an account brings itself; None = it goes by those above it."""
    if own.rules:
        return StandingRules(account, own.version, own.rules)
    if own.packaged:
        return StandingRules(account, own.package_version, own.packaged, own.package)
    return None
