"""What the gateway's configuration says of a route: whose request it is and what it may use.

Owns the names of Envoy's `context_extensions` (docs/gateway.md lists them) and what they default
to. A route that cannot be understood is the operator's fault, not the caller's. Must not ask
anybody anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from ledger.core.limits import HOLD_LIFETIME_BATCH_MAX_US, ID_BYTES_MAX, INT64_MAX, SECOND_US
from ledger.gateway.sources import Kind, Source, SourceInvalid, source_of

TENANT_DEFAULT: Final = "default"
ROUTES_MAX: Final = 1_024  # distinct configurations remembered; x ~2 kB = 2 MB
ROUTE_CHARS_MAX: Final = 4_096  # of one of them; a larger one is read each time
UNIT_MAX: Final = 1_000_000_000
MODES: Final = ("hold", "check")

KEYS: Final = frozenset(
    {
        "tenant",
        "account",
        "product",
        "mode",
        "operation",
        "operation_hold",
        "operation_parent",
        "lifetime_s",
        "settles",
        "unit",
        "pay_url",
        "up_to",
        "up_to_minimum",
    }
)
_QUANTITY: Final = "quantity."
_ATTRIBUTE: Final = "attribute."


class Defaults(NamedTuple):
    """What a route need not say, by the server's settings."""

    tenant: str = TENANT_DEFAULT
    account: str = ""
    """A source; "" = each route names its own."""

    pay_url: str = ""


class RouteInvalid(ValueError):
    """The configuration of a route cannot be used; the message says what to change."""


class Route(NamedTuple):
    """One route, understood."""

    tenant: str
    account: Source
    product: Source
    attributes: tuple[tuple[str, Source], ...]
    quantities: tuple[tuple[str, Source], ...]
    holds: bool
    lifetime_us: int
    settles: str
    """The quantity that hits count; "" = descriptors say it."""

    unit: int
    """So many minor units of a quantity is one hit."""

    pay_url: str
    up_to: str
    """The quantity of which as much as is affordable may run; "" = all or nothing."""

    minimum: Source
    """The least of it that is of any use."""

    operation: Source | None
    """The user action that the request is part of; None = holds name none."""

    operation_parent: Source | None
    """What caused that one."""

    operation_hold: Source | None
    """Its hold, of which that of the request is made, or advised on; None = of the account's."""

    @property
    def sources(self) -> list[Source]:
        """Whatever it takes from a request."""
        named = (*self.attributes, *self.quantities)
        of_an_operation = (self.operation, self.operation_parent, self.operation_hold)
        return [
            *(self.account, self.product, self.minimum),
            *(source for _, source in named),
            *(source for source in of_an_operation if source is not None),
        ]


class Routes:
    """Routes by what was said of them: the same few, again and again."""

    __slots__ = ("_defaults", "_known")

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._known: dict[frozenset[tuple[str, str]], Route] = {}

    @property
    def defaults(self) -> Defaults:
        """The server's."""
        return self._defaults

    def of(self, said: Mapping[str, str]) -> Route:
        """The route of these context extensions. Raises RouteInvalid."""
        key = frozenset(said.items())
        found = self._known.get(key)
        if found is None:
            found = route_of(said, self._defaults)
            if sum([len(name) + len(text) for name, text in key]) > ROUTE_CHARS_MAX:
                return found
            if len(self._known) >= ROUTES_MAX:
                self._known.clear()
            self._known[key] = found
        return found


def route_of(said: Mapping[str, str], defaults: Defaults) -> Route:
    """What the context extensions of a route mean. Raises RouteInvalid."""
    for name in sorted(said):
        if name not in KEYS and not name.startswith((_QUANTITY, _ATTRIBUTE)):
            raise RouteInvalid(
                f"context_extensions.{name} is not known; there are {', '.join(sorted(KEYS))}, "
                "quantity.NAME and attribute.NAME"
            )
    quantities = _named(said, _QUANTITY)
    if not quantities:
        raise RouteInvalid(
            "no quantity is estimated: give the route context_extensions.quantity.NAME"
        )
    mode = said.get("mode", MODES[0])
    if mode not in MODES:
        raise RouteInvalid(f"context_extensions.mode is {mode!r}: write hold or check")
    if "operation_parent" in said and "operation" not in said:
        raise RouteInvalid(
            "context_extensions.operation_parent goes with operation: say of which it is"
        )
    settles = said.get("settles", quantities[0][0] if len(quantities) == 1 else "")
    return Route(
        tenant=said.get("tenant", defaults.tenant),
        account=_source(said, "account", defaults.account),
        product=_source(said, "product", ""),
        attributes=_named(said, _ATTRIBUTE),
        quantities=quantities,
        holds=mode == MODES[0],
        lifetime_us=_whole(said, "lifetime_s", 0, HOLD_LIFETIME_BATCH_MAX_US // SECOND_US)
        * SECOND_US,
        settles=settles,
        unit=_whole(said, "unit", 1, UNIT_MAX),
        pay_url=said.get("pay_url", defaults.pay_url),
        up_to=_up_to(said, quantities),
        minimum=_source(said, "up_to_minimum", "0"),
        operation=_source(said, "operation", "") if "operation" in said else None,
        operation_parent=(
            _source(said, "operation_parent", "") if "operation_parent" in said else None
        ),
        operation_hold=_source(said, "operation_hold", "") if "operation_hold" in said else None,
    )


def direct(tenant: str, pay_url: str) -> Route:
    """The route of a question that says itself what it asks for, and is asked in one tenant."""
    known = _direct if len(tenant) <= ID_BYTES_MAX else _direct.__wrapped__
    return known(tenant, pay_url)


@lru_cache(maxsize=ROUTES_MAX)
def _direct(tenant: str, pay_url: str) -> Route:
    itself = Source(Kind.VALUE, "", "", "")
    return Route(
        tenant=tenant,
        account=itself,
        product=itself,
        attributes=(),
        quantities=(),
        holds=True,
        lifetime_us=0,
        settles="",
        unit=1,
        pay_url=pay_url,
        up_to="",
        minimum=itself,
        operation=None,
        operation_parent=None,
        operation_hold=None,
    )


def whole_number(text: str, most: int = INT64_MAX) -> int:
    """A whole number from 0 to `most`, in plain digits. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or len(text) > len(str(INT64_MAX)):
        raise ValueError(f"{text[:ID_BYTES_MAX]!r} is no whole number from 0 to {most}")
    number = int(text)
    if number > most:
        raise ValueError(f"{text} is above {most}")
    return number


def _up_to(said: Mapping[str, str], quantities: tuple[tuple[str, Source], ...]) -> str:
    name = said.get("up_to", "")
    if name and name not in dict(quantities):
        raise RouteInvalid(
            f"context_extensions.up_to is {name!r}, which no quantity.NAME estimates"
        )
    if not name and "up_to_minimum" in said:
        raise RouteInvalid("context_extensions.up_to_minimum goes with up_to: say of what")
    return name


def _named(said: Mapping[str, str], beginning: str) -> tuple[tuple[str, Source], ...]:
    return tuple(
        (name.removeprefix(beginning), _source(said, name, ""))
        for name in sorted(said)
        if name.startswith(beginning)
    )


def _source(said: Mapping[str, str], name: str, default: str) -> Source:
    text = said.get(name, default)
    if not text:
        raise RouteInvalid(f"nothing says the {name}: give the route context_extensions.{name}")
    try:
        return source_of(text)
    except SourceInvalid as error:
        raise RouteInvalid(f"context_extensions.{name}: {error}") from None


def _whole(said: Mapping[str, str], name: str, default: int, most: int) -> int:
    if name not in said:
        return default
    try:
        number = whole_number(said[name], most)
    except ValueError as error:
        raise RouteInvalid(f"context_extensions.{name}: {error}") from None
    if number == 0:
        raise RouteInvalid(f"context_extensions.{name} is 0: write 1 to {most}")
    return number
