"""What one descriptor of Envoy's rate limit filter says, and what those of one request ask for.

Owns the names of its entries (docs/gateway.md lists them). Must not ask anybody anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from ledger.core.limits import INT64_MAX
from ledger.gateway.authorizing import Asked
from ledger.gateway.envoy import descriptor_pb2
from ledger.gateway.routes import UNIT_MAX, Route, whole_number

HITS_MAX: Final = 1_000_000_000  # Envoy's own limit of an addend
ENTRIES: Final = frozenset(
    {"tenant", "account", "hold_id", "request_id", "product", "quantity", "unit"}
)
_ATTRIBUTE: Final = "attribute."


class Whose(NamedTuple):
    """What the descriptors that belong together have in common."""

    tenant: str
    account: str
    hold_id: str
    """The hold that they settle; "" = they ask."""

    request_id: str
    """What they ask is held under this name; "" = each asks for advice."""

    @property
    def key(self) -> str:
        """Of the hold that is made. An account's own: ids of requests are not always secret."""
        said = f"{self.account}\n{self.request_id}"
        return f"limit-{blake2b(said.encode(), digest_size=20).hexdigest()}"


class Counted(NamedTuple):
    """One descriptor, understood."""

    whose: Whose
    product: str
    attributes: tuple[tuple[str, str], ...]
    quantity: str
    amount: int


class Unreadable(NamedTuple):
    """One that cannot be counted, with what it belongs to as far as that is known."""

    whose: Whose
    reason: str


def counted(
    descriptor: descriptor_pb2.RateLimitDescriptor, hits_of_all: int, tenant: str
) -> Counted | Unreadable:
    """What a descriptor counts, or why it cannot be told."""
    said = {entry.key: entry.value for entry in descriptor.entries}
    whose = Whose(
        said.get("tenant") or tenant,
        said.get("account", ""),
        said.get("hold_id", ""),
        said.get("request_id", ""),
    )
    for name in said:
        if name not in ENTRIES and not name.startswith(_ATTRIBUTE):
            return Unreadable(whose, "FIELD_NOT_ALLOWED")
    if whose.hold_id and whose.request_id:  # it settles, or it asks
        return Unreadable(whose._replace(request_id=""), "FIELD_NOT_ALLOWED")
    hits = hits_of_all or 1
    if descriptor.HasField("hits_addend"):
        hits = descriptor.hits_addend.value
    if hits > HITS_MAX:
        return Unreadable(whose, "NUMBER_OUT_OF_RANGE")
    try:
        unit = whole_number(said.get("unit", "1"), UNIT_MAX)
    except ValueError:
        return Unreadable(whose, "NUMBER_MALFORMED")
    quantity, product = said.get("quantity", ""), said.get("product", "")
    if not unit or not quantity or not (whose.hold_id or (whose.account and product)):
        return Unreadable(whose, "FIELD_REQUIRED")
    attributes = tuple(
        sorted(
            (name.removeprefix(_ATTRIBUTE), value)
            for name, value in said.items()
            if name.startswith(_ATTRIBUTE)
        )
    )
    return Counted(whose, product, attributes, quantity, hits * unit)


def together(parts: Sequence[Counted | Unreadable]) -> tuple[list[Counted], dict[str, int], str]:
    """(the parts, what they count by quantity, why they cannot be taken together or "")."""
    read, amounts = list[Counted](), dict[str, int]()
    for part in parts:
        if isinstance(part, Unreadable):
            return [], {}, part.reason
        read.append(part)
        amounts[part.quantity] = amounts.get(part.quantity, 0) + part.amount
    if max(amounts.values()) > INT64_MAX:
        return [], {}, "OVERFLOW"
    return read, amounts, ""


def asked(parts: Sequence[Counted], amounts: dict[str, int], route: Route) -> Asked | None:
    """The work that they ask for; None = they name not one and the same."""
    first = parts[0]
    if any((each.product, each.attributes) != (first.product, first.attributes) for each in parts):
        return None
    return Asked(route, first.whose.account, first.product, dict(first.attributes), amounts)
