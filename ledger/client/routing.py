"""Which address serves an account: its family's shard by the shard map, and that shard's owner.

Any server takes any call, so a wrong guess costs a hop and nothing else; where one cannot be
reached, another is asked. An account whose root is not known is taken for a root, until the first
reply says which shard it came from. Pure; bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

FAMILY_HASH: Final = "blake2b-64"
ACCOUNTS_MAX: Final = 100_000  # remembered roots; x ~250 B = 25 MB


def family_shard(tenant: str, root: str, shards: int) -> int:
    """BLAKE2b-64 of the length-prefixed tenant and root, big-endian, modulo `shards`."""
    digest = blake2b(digest_size=8)
    for part in (tenant.encode(), root.encode()):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return int.from_bytes(digest.digest(), "big") % shards


class Routing:
    """The shard map, and what replies have said about accounts."""

    def __init__(self, tenant: str, address: str, *others: str) -> None:
        """`address` is home; it and the `others` are asked before a map says more."""
        self._tenant = tenant
        self._home = address
        self._others = others
        self._avoided: set[str] = set()
        self._addresses: tuple[str, ...] = ()
        self._hashed = False
        self._known: dict[str, tuple[str, int]] = {}  # account -> (root, shard or -1)
        self._shards: dict[str, int] = {}  # root -> shard, as the map or a reply gives it
        self._only = address  # serves everything; "" = it depends on the account

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses, each once, the home address first."""
        return tuple(dict.fromkeys((self._home, *self._others, *self._addresses)))

    def avoid(self, address: str) -> None:
        """That server could not be reached: go elsewhere until there is a new map."""
        self._avoided.add(address)
        self._only = ""

    def take_map(self, hash_name: str, shards: Mapping[int, str], asked: str = "") -> None:
        """Take GetRouting's answer: shard -> address ("" = the one that was `asked`).

        A hash that this client does not know, or a map with gaps, sends everything home.
        """
        whole = sorted(shards) == list(range(len(shards)))
        if len(shards) != len(self._addresses):
            self._shards.clear()
        self._hashed = hash_name == FAMILY_HASH and whole and bool(shards)
        self._addresses = (
            tuple(shards[shard] or asked or self._home for shard in range(len(shards)))
            if self._hashed
            else ()
        )
        self._avoided.clear()
        served = frozenset(self._addresses or (self._home,))
        self._only = min(served) if len(served) == 1 else ""

    def learn(self, account: str, root: str, shard: int) -> None:
        """Take what a reply says of an account: its root never changes, its shard seldom."""
        if len(self._known) >= ACCOUNTS_MAX and account not in self._known:
            del self._known[next(iter(self._known))]
        self._known[account] = (root, shard)
        self._remember(root, shard)

    def saw(self, account: str, shard: int) -> None:
        """A reply to a call for the account came from that shard; -1 = it does not say."""
        if self._only or shard < 0 or not account:
            return
        family = self.family(account)
        if self._shards.get(family) != shard:
            self._remember(family, shard)

    def family(self, account: str) -> str:
        """The root of the account's family, as far as it is known."""
        known = self._known.get(account)
        return account if known is None else known[0]

    def address(self, family: str) -> str:
        """Where the owner of the family serves."""
        if not self._hashed:
            return self._reachable(self._home)
        shard = self._shards.get(family)
        if shard is None:
            shard = family_shard(self._tenant, family, len(self._addresses))
            self._remember(family, shard)
        owner = self._addresses[shard] if shard < len(self._addresses) else self._home
        return self._reachable(owner)

    def address_of(self, account: str) -> str:
        """Where the owner of the account's family serves; home where no account is named."""
        if self._only and account:
            return self._only
        return self.address(self.family(account)) if account else self._reachable(self._home)

    def _reachable(self, address: str) -> str:
        """The address, or another one while that is avoided."""
        if address not in self._avoided:
            return address
        return next((each for each in self.addresses if each not in self._avoided), address)

    def _remember(self, family: str, shard: int) -> None:
        if len(self._shards) >= ACCOUNTS_MAX and family not in self._shards:
            del self._shards[next(iter(self._shards))]
        self._shards[family] = shard
