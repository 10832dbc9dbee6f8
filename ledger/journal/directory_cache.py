"""The bounded read-through cache of names: ids and aliases of accounts, looked up for every event.

Two generations of plain dicts approximate LRU at the price of one lookup: what is used moves to the
young one; when that is full the old one is forgotten. Holds nothing that storage does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

from msgspec.structs import replace

from ledger.journal.directory import CACHE_NAMES_MAX, AliasRange, Entry

AliasRanges: TypeAlias = tuple[AliasRange, ...]


class NameCache:
    """(tenant, name) to an entry, or to the ranges in which an alias means an account."""

    def __init__(self, names_max: int = CACHE_NAMES_MAX) -> None:
        """Keeps between `names_max` / 2 and `names_max` names once it is full."""
        self._generation_max: Final = max(names_max // 2, 1)
        self._young: dict[tuple[int, str], Entry | AliasRanges] = {}
        self._old: dict[tuple[int, str], Entry | AliasRanges] = {}
        self.forgettings = 0  # what was read before the last of them may be out of date

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, tenant: int, name: str, at_us: int) -> Entry | None:
        """The account that the name means at that instant, as far as it is in memory."""
        found = self._lookup((tenant, name))
        if type(found) is not tuple:
            return found  # type: ignore[return-value]  # an Entry or None
        for alias in found:
            if alias.effective_from_us <= at_us and (
                alias.effective_to_us is None or at_us < alias.effective_to_us
            ):
                account = self._lookup((tenant, alias.account_id))
                if not isinstance(account, Entry):
                    return None
                seat = (alias.seat_attribute, alias.seat)
                return replace(account, seat=seat) if alias.seat else account
        return None

    def put(self, entry: Entry) -> None:
        """Remember an account under its id."""
        self._store((entry.tenant, entry.account_id), entry)

    def put_alias(self, tenant: int, alias: str, ranges: Iterable[AliasRange]) -> None:
        """Remember all ranges of an alias."""
        self._store((tenant, alias), tuple(ranges))

    def forget(self, tenant: int, *names: str) -> None:
        """Drop names: they changed."""
        self.forgettings += 1
        for name in names:
            self._young.pop((tenant, name), None)
            self._old.pop((tenant, name), None)

    def forget_accounts(self, numbers: Collection[int]) -> None:
        """Drop erased accounts, and the aliases that mean them. Looks at every name."""
        if not numbers:
            return
        self.forgettings += 1
        generations = (self._young, self._old)
        gone = {
            key
            for generation in generations
            for key, found in generation.items()
            if isinstance(found, Entry) and found.number in numbers
        }
        for generation in generations:
            for key, found in list(generation.items()):
                if key in gone or (
                    isinstance(found, tuple)
                    and any((key[0], alias.account_id) in gone for alias in found)
                ):
                    del generation[key]

    def clear(self) -> None:
        """Drop everything."""
        self.forgettings += 1
        self._young.clear()
        self._old.clear()

    def _lookup(self, key: tuple[int, str]) -> Entry | AliasRanges | None:
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self._store(key, found)
        return found

    def _store(self, key: tuple[int, str], value: Entry | AliasRanges) -> None:
        if len(self._young) >= self._generation_max and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value
        self._old.pop(key, None)
